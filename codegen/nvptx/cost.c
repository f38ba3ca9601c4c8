// SPDX-License-Identifier: Apache-2.0
// Predicted time of a launch: the largest of what memory, the second cache and
// the tensor cores need, and what nothing hides. docs/cuda-kernels.md,
// "Strategies", tells the model and where its constants come from.
#include "cost.h"

#include "nv.h"

// Share of the nominal bandwidth that reads reach: 1407 of 1555 GB/s on an
// A100, 1861 of 2039 on an H800 (Luo et al., arXiv 2402.13499).
static const double reachable = 0.9;

// Bytes per clock and multiprocessor from the second cache: 5120 per clock for
// an A100 (NVIDIA A100 whitepaper, "A100 L2 Cache"), taken for all.
static const double cache_bytes = 5120.0 / 108.0;

// Of what the longest term hides, the share that shows all the same. An
// assumption; it prefers less work where the longest term is equal.
static const double unhidden = 0.1;

enum {
  // Loads that wait for one another before the first weights are there: the
  // worker's record, its first step, the weights.
  FIRST_LOADS = 3,
  // The end of a share: Y, or sums, counter, the others' sums.
  LAST_LOADS = 1,
  SPLIT_LOADS = 4,
  MMA_FLOPS = 2 * 16 * 16 * 8,
  TENSOR_CORES = 4,  // of a multiprocessor, since Volta
};

// Instructions of each kind per 8 tokens. A dense one comes with 512 bytes of
// weights, a 2:4 one with 64 more of metadata (base/fragment_abi.h).
typedef struct kinds {
  double dense, sparse;
} kinds;

static kinds count_kinds(const tsr_cuda_facts *facts) {
  double time = (double)facts->time;
  double extra = (double)facts->stream_bytes - time * TSR_FRAGMENT_SIZE;
  kinds k = {0, extra / 64.0};
  if (k.sparse < 0) k.sparse = 0;
  if (k.sparse > time) k.sparse = time;  // padding of metadata
  k.dense = time - k.sparse;
  return k;
}

// Written once, read once, as fp32; both in the second cache.
static uint64_t partial_bytes(const tsr_kernel_spec *spec, uint32_t tokens,
                              const nv_work *work) {
  return work->partials * tokens * spec->tile.rows * 8;
}

static void count_work(const tsr_kernel_spec *spec, const tsr_cuda_facts *facts,
                       uint32_t tokens, const nv_work *work,
                       tsr_cuda_candidate *out) {
  uint64_t n = tokens;
  uint64_t outputs = spec->rows;
  if (tsr_activation_is_gated(spec->activation)) outputs /= 2;
  uint64_t output_bytes = n * outputs * tsr_dtype_size(spec->output_type);
  out->bytes = facts->stream_bytes * work->weight_reads;
  out->bytes += n * spec->columns * tsr_dtype_size(spec->weight_type);
  out->bytes += output_bytes * (spec->has_residual ? 2 : 1);
  out->bytes += partial_bytes(spec, tokens, work);
  out->mma = facts->time * work->token_tiles * (out->kernel.block_tokens / 8);
  // A fragment holds 256 kept weights, whichever its kind.
  out->flops = 2 * 256 * facts->time * n;
}

// Bytes per second that the loads in flight allow (Little's law).
static double flight_rate(const tsr_cuda_candidate *c, const tsr_cuda_gpu *gpu,
                          const nv_work *work) {
  const tsr_cuda_geometry *g = &c->kernel.geometry;
  double warp = (double)g->depth * NV_GROUP_BLOCKS * TSR_FRAGMENT_SIZE;
  double block = warp * g->groups * g->k_slices;
  double blocks = (double)work->workers * work->token_tiles;
  if (blocks > gpu->multiprocessors) blocks = gpu->multiprocessors;
  return blocks * block / gpu->latency;
}

static double memory_seconds(uint64_t bytes, const tsr_cuda_candidate *c,
                             const tsr_cuda_gpu *gpu, const nv_work *work,
                             bool *out_by_latency) {
  double rate = reachable * gpu->bandwidth;
  double flight = flight_rate(c, gpu, work);
  *out_by_latency = flight < rate;
  if (flight < rate) rate = flight;
  return (double)bytes * work->byte_imbalance / rate;
}

// Each token tile reads the weights, each step the X of 64 columns.
static double cache_seconds(uint64_t partials, const tsr_cuda_facts *facts,
                            const tsr_cuda_gpu *gpu, uint32_t tokens,
                            const nv_work *work) {
  double bytes = (double)facts->stream_bytes * work->token_tiles +
                 (double)facts->steps * tokens * NV_CHUNK_BYTES +
                 (double)partials;
  return bytes / (cache_bytes * gpu->multiprocessors * gpu->clock);
}

static double tensor_seconds(const tsr_cuda_candidate *c,
                             const tsr_cuda_facts *facts,
                             const tsr_cuda_gpu *gpu, const nv_work *work) {
  kinds k = count_kinds(facts);
  double columns = (double)work->token_tiles * (c->kernel.block_tokens / 8);
  double seconds = columns * (k.dense * MMA_FLOPS / gpu->dense_flops +
                              k.sparse * 2 * MMA_FLOPS / gpu->sparse_flops);
  // Multiprocessors without a block in the last wave, tensor cores without a
  // warp.
  uint64_t blocks = (uint64_t)work->workers * work->token_tiles;
  uint64_t waves = (blocks - 1) / gpu->multiprocessors + 1;
  uint32_t warps = c->kernel.threads / NV_LANES;
  seconds *= (double)waves * gpu->multiprocessors / (double)blocks;
  if (warps < TENSOR_CORES) seconds *= (double)TENSOR_CORES / warps;
  return seconds * work->time_imbalance;
}

void nv_cost(const tsr_kernel_spec *spec, const tsr_cuda_facts *facts,
             const tsr_cuda_target *target, uint32_t tokens,
             const nv_work *work, tsr_cuda_candidate *out) {
  const tsr_cuda_gpu *gpu = &target->gpu;
  count_work(spec, facts, tokens, work, out);
  bool by_latency = false;
  uint64_t partials = partial_bytes(spec, tokens, work);
  double memory =
      memory_seconds(out->bytes - partials, out, gpu, work, &by_latency);
  double cache = cache_seconds(partials, facts, gpu, tokens, work);
  double tensor = tensor_seconds(out, facts, gpu, work);
  int loads = FIRST_LOADS + (work->partials != 0 ? SPLIT_LOADS : LAST_LOADS);
  double fixed = gpu->launch + loads * gpu->latency;
  double most = memory;
  out->bound = by_latency ? "latency" : "bandwidth";
  if (cache > most) {
    most = cache;
    out->bound = "cache";
  }
  if (tensor > most) {
    most = tensor;
    out->bound = "tensor cores";
  }
  if (fixed > most) out->bound = "latency";
  double hidden = memory + cache + tensor - most;
  out->seconds = fixed + most + unhidden * hidden;
}

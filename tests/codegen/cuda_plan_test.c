// SPDX-License-Identifier: Apache-2.0
// Which kernels serve a layer: ranges that partition, names that are legal and
// tell kernels apart, shared memory that every target has, predictions that
// keep to what bounds them.
#include <ctype.h>
#include <string.h>

#include "codegen/cuda.h"
#include "test.h"

static const tsr_kernel_spec llama = {
    .rows = 4096,
    .columns = 4096,
    .tile = {128, 128},
    .weight_type = TSR_DTYPE_BF16,
    .output_type = TSR_DTYPE_BF16,
    .activation = TSR_ACTIVATION_SILU,
    .has_bias = true,
    .has_residual = true,
    .kinds = 1u << TSR_KIND_SPARSE24 | 1u << TSR_KIND_DENSE,
    .token_first = 1,
    .token_last = UINT32_MAX,
};

static tsr_cuda_facts dense_facts(const tsr_kernel_spec *spec) {
  uint64_t weights = (uint64_t)spec->rows * spec->columns;
  tsr_cuda_facts facts = {
      .stream_bytes = weights * 2,
      .time = weights / 256,
      .steps = weights / 64 / spec->tile.rows,
      .byte_imbalance = 1,
      .time_imbalance = 1,
      .partials = 100,
  };
  return facts;
}

// ---- Plans -----------------------------------------------------------------

static bool is_identifier(const char *name) {
  if (!isalpha((unsigned char)name[0])) return false;
  for (; *name != '\0'; ++name) {
    if (!isalnum((unsigned char)*name) && *name != '_') return false;
  }
  return true;
}

static void check_kernel(const tsr_cuda_kernel *k) {
  const tsr_cuda_geometry *g = &k->geometry;
  CHECK(is_identifier(k->name));
  CHECK(strlen(k->name) < sizeof(k->name) - 1);
  CHECK_EQ(k->threads, 32 * g->groups * g->k_slices * g->token_slices);
  CHECK(k->threads <= 256);
  CHECK_EQ(k->block_tokens, g->token_slices * g->warp_tokens);
  CHECK(g->stages == 2 || g->stages == 3);
  uint32_t x = g->k_slices * g->stages * k->block_tokens * 128;
  CHECK(k->shared_size >= x);
  // So that each target's limit for a block is kept: 99 KiB is the least.
  CHECK(k->shared_size <= 99 * 1024);
  uint32_t rows =
      k->spec.tile.rows < k->spec.rows ? k->spec.tile.rows : k->spec.rows;
  CHECK_EQ(g->groups, (rows + 63) / 64);
  if (strcmp(k->strategy, "decode") == 0) {
    CHECK_EQ(k->mode, TSR_NVIDIA_DECODE);
    CHECK(k->spec.token_last <= k->block_tokens);
  } else {
    CHECK_STR(k->strategy, "prefill");
    CHECK_EQ(k->mode, TSR_NVIDIA_PREFILL);
  }
}

static void check_partition(const tsr_kernel_spec *spec,
                            const tsr_cuda_target *target) {
  tsr_cuda_kernel kernels[TSR_KERNEL_LIMIT];
  uint32_t count = tsr_cuda_plan(spec, target, kernels);
  uint64_t next = spec->token_first;
  CHECK(count > 0);
  for (uint32_t i = 0; i < count; ++i) {
    CHECK_EQ(kernels[i].spec.token_first, next);
    CHECK(kernels[i].spec.token_last >= kernels[i].spec.token_first);
    next = (uint64_t)kernels[i].spec.token_last + 1;
    check_kernel(&kernels[i]);
  }
  CHECK_EQ(next, (uint64_t)spec->token_last + 1);
}

static void test_partitions(void) {
  static const uint32_t ends[][2] = {
      {1, UINT32_MAX}, {1, 1},    {1, 8},           {3, 70},
      {9, 16},         {64, 65},  {128, 129},       {129, 129},
      {200, 5000},     {65, 128}, {129, UINT32_MAX}};
  static const tsr_tile_shape tiles[] = {{16, 32},   {48, 64},   {64, 64},
                                         {128, 128}, {192, 512}, {256, 512}};
  static const uint32_t rows[] = {1, 16, 63, 65, 4096, 100000};
  for (size_t e = 0; e < sizeof(ends) / sizeof(ends[0]); ++e) {
    for (size_t t = 0; t < sizeof(tiles) / sizeof(tiles[0]); ++t) {
      for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); ++r) {
        tsr_kernel_spec spec = llama;
        spec.rows = rows[r];
        spec.tile = tiles[t];
        spec.token_first = ends[e][0];
        spec.token_last = ends[e][1];
        for (uint32_t i = 0; tsr_cuda_target_names[i] != NULL; ++i) {
          check_partition(&spec,
                          tsr_cuda_target_find(tsr_cuda_target_names[i]));
        }
      }
    }
  }
}

static void test_llama(const tsr_cuda_target *target) {
  static const char *const names[] = {
      "tsr_decode_bf16_4096x4096_t128x128_sd_silu_b_r_bf16_n1to8",
      "tsr_decode_bf16_4096x4096_t128x128_sd_silu_b_r_bf16_n9to16",
      "tsr_decode_bf16_4096x4096_t128x128_sd_silu_b_r_bf16_n17to32",
      "tsr_decode_bf16_4096x4096_t128x128_sd_silu_b_r_bf16_n33to64",
      "tsr_prefill_bf16_4096x4096_t128x128_sd_silu_b_r_bf16_n65to128",
      "tsr_prefill_bf16_4096x4096_t128x128_sd_silu_b_r_bf16_n129up",
  };
  static const uint32_t tokens[] = {8, 16, 32, 64, 128, 256};
  tsr_cuda_kernel kernels[TSR_KERNEL_LIMIT];
  CHECK_EQ(tsr_cuda_plan(&llama, target, kernels), 6);
  for (uint32_t i = 0; i < 6; ++i) {
    CHECK_STR(kernels[i].name, names[i]);
    CHECK_EQ(kernels[i].block_tokens, tokens[i]);
    CHECK_EQ(kernels[i].geometry.groups, 2);
    CHECK_EQ(kernels[i].geometry.k_slices, i < 4 ? 4 : 1);
  }
}

// Each field that changes code changes the name, and the key with it.
static void test_names(void) {
  tsr_kernel_spec specs[] = {llama, llama, llama, llama, llama, llama,
                             llama, llama, llama, llama, llama, llama};
  enum { COUNT = sizeof(specs) / sizeof(specs[0]) };
  specs[1].rows = 4112;
  specs[2].columns = 4128;
  specs[3].tile.rows = 64;
  specs[4].tile.columns = 64;
  specs[5].weight_type = TSR_DTYPE_F16;
  specs[6].output_type = TSR_DTYPE_F32;
  specs[7].activation = TSR_ACTIVATION_NONE;
  specs[8].has_bias = false;
  specs[9].has_residual = false;
  specs[10].kinds = 1u << TSR_KIND_DENSE;
  specs[11].token_last = 7;
  tsr_cuda_kernel kernels[COUNT][TSR_KERNEL_LIMIT];
  const tsr_cuda_target *target = tsr_cuda_target_find("sm_80");
  for (uint32_t i = 0; i < COUNT; ++i) {
    CHECK(tsr_cuda_plan(&specs[i], target, kernels[i]) > 0);
    for (uint32_t j = 0; j < i; ++j) {
      CHECK(strcmp(kernels[i][0].name, kernels[j][0].name) != 0);
      CHECK(!tsr_hash_equal(tsr_cuda_key(&kernels[i][0], target),
                            tsr_cuda_key(&kernels[j][0], target)));
    }
  }
  CHECK(tsr_hash_equal(tsr_cuda_key(&kernels[0][0], target),
                       tsr_cuda_key(&kernels[0][0], target)));
  CHECK(!tsr_hash_equal(
      tsr_cuda_key(&kernels[0][0], target),
      tsr_cuda_key(&kernels[0][0], tsr_cuda_target_find("sm_86"))));
  // Zero tiles are no code, so that they occur is no field.
  tsr_kernel_spec zeros = llama;
  zeros.kinds |= 1u << TSR_KIND_ZERO;
  CHECK(tsr_cuda_plan(&zeros, target, kernels[1]) > 0);
  CHECK_STR(kernels[1][0].name, kernels[0][0].name);
}

// Of each bucket that serves a range one candidate: the smallest has the plain
// name, the others' says the tokens of their tile. Kernels of equal names are
// equal, on all targets.
typedef struct bucket_case {
  uint32_t tokens;  // of the layer that is asked for
  const char *name;
  uint32_t block_tokens;
} bucket_case;

static void check_bucket(const bucket_case *b, const tsr_cuda_target *target) {
  tsr_cuda_facts facts = dense_facts(&llama);
  tsr_cuda_candidate c[TSR_CUDA_CANDIDATE_LIMIT];
  uint32_t count = tsr_cuda_explain(&llama, &facts, target, b->tokens, c);
  uint32_t found = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (!c[i].is_applicable || strcmp(c[i].kernel.name, b->name) != 0) continue;
    ++found;
    CHECK_EQ(c[i].kernel.block_tokens, b->block_tokens);
    check_kernel(&c[i].kernel);
  }
  if (found != 1) fprintf(stderr, "%s, %s: ", target->name, b->name);
  CHECK_EQ(found, 1);
}

static void test_buckets(void) {
#define REST "_bf16_4096x4096_t128x128_sd_silu_b_r_bf16_"
  static const bucket_case buckets[] = {
      {1, "tsr_decode" REST "n1to8", 8},
      {8, "tsr_decode" REST "n1to8_x16", 16},
      {1, "tsr_decode" REST "n1to8_x32", 32},
      {7, "tsr_decode" REST "n1to8_x64", 64},
      {1, "tsr_prefill" REST "n1to8", 128},
      {1, "tsr_prefill" REST "n1to8_x256", 256},
      {33, "tsr_decode" REST "n33to64", 64},
      {65, "tsr_prefill" REST "n65to128", 128},
      {128, "tsr_prefill" REST "n65to128_x256", 256},
      {129, "tsr_prefill" REST "n129up", 256},
  };
#undef REST
  for (uint32_t t = 0; tsr_cuda_target_names[t] != NULL; ++t) {
    for (size_t i = 0; i < sizeof(buckets) / sizeof(buckets[0]); ++i) {
      check_bucket(&buckets[i], tsr_cuda_target_find(tsr_cuda_target_names[t]));
    }
  }
}

static void test_refused(void) {
  tsr_kernel_spec spec = llama;
  tsr_cuda_kernel kernels[TSR_KERNEL_LIMIT];
  tsr_cuda_candidate candidates[TSR_CUDA_CANDIDATE_LIMIT];
  tsr_cuda_facts facts = dense_facts(&spec);
  spec.tile.rows = 528;
  CHECK_EQ(tsr_cuda_plan(&spec, tsr_cuda_target_find("sm_80"), kernels), 0);
  uint32_t count = tsr_cuda_explain(
      &spec, &facts, tsr_cuda_target_find("sm_80"), 1, candidates);
  CHECK(count > 0);
  for (uint32_t i = 0; i < count; ++i) {
    CHECK(!candidates[i].is_applicable && !candidates[i].is_chosen);
    CHECK_STR(candidates[i].reason, "tiles of more than 512 rows");
  }
  spec.rows = 512;  // then the tile has no more
  spec.tile.rows = 528;
  CHECK(tsr_cuda_plan(&spec, tsr_cuda_target_find("sm_80"), kernels) > 0);
}

// ---- Predictions -----------------------------------------------------------

static void check_explained(uint32_t tokens, const char *chosen,
                            const tsr_cuda_target *target) {
  tsr_cuda_candidate c[TSR_CUDA_CANDIDATE_LIMIT];
  tsr_cuda_facts facts = dense_facts(&llama);
  uint32_t count = tsr_cuda_explain(&llama, &facts, target, tokens, c);
  CHECK(count >= 2);
  CHECK(c[0].is_chosen);
  CHECK_STR(c[0].strategy, chosen);
  CHECK(c[0].kernel.spec.token_first <= tokens);
  CHECK(c[0].kernel.spec.token_last >= tokens);
  for (uint32_t i = 1; i < count; ++i) {
    CHECK(!c[i].is_chosen);
    CHECK(c[i].is_applicable == (c[i].reason == NULL));
    if (i > 1 && c[i].is_applicable) CHECK(c[i].seconds >= c[i - 1].seconds);
    if (c[i].is_applicable) CHECK(c[i - 1].is_applicable);
  }
  for (uint32_t i = 0; i < count && c[i].is_applicable; ++i) {
    const tsr_cuda_gpu *gpu = &target->gpu;
    CHECK(c[i].flops == 2ull * 4096 * 4096 * tokens);
    CHECK(c[i].bytes >= facts.stream_bytes);
    CHECK(c[i].mma >= facts.time * ((tokens + 7) / 8));
    // No prediction beats what it is bounded by.
    CHECK(c[i].seconds > (double)facts.stream_bytes / gpu->bandwidth);
    CHECK(c[i].seconds > (double)c[i].mma * 4096 / gpu->dense_flops);
    CHECK(c[i].seconds < 1);
  }
}

static void test_explained(void) {
  static const uint32_t tokens[] = {1, 7, 8, 9, 16, 17, 33, 64};
  for (uint32_t i = 0; tsr_cuda_target_names[i] != NULL; ++i) {
    const tsr_cuda_target *t = tsr_cuda_target_find(tsr_cuda_target_names[i]);
    for (size_t n = 0; n < sizeof(tokens) / sizeof(tokens[0]); ++n) {
      check_explained(tokens[n], "decode", t);
    }
    check_explained(65, "prefill", t);
    check_explained(128, "prefill", t);
    check_explained(129, "prefill", t);
    check_explained(4096, "prefill", t);
  }
}

static tsr_cuda_candidate best(const tsr_cuda_facts *facts, uint32_t tokens) {
  tsr_cuda_candidate c[TSR_CUDA_CANDIDATE_LIMIT];
  CHECK(tsr_cuda_explain(&llama, facts, tsr_cuda_target_find("sm_80"), tokens,
                         c) > 0);
  return c[0];
}

// What the figures of docs/cuda-kernels.md rest on.
static void test_bounds(void) {
  tsr_cuda_facts dense = dense_facts(&llama);
  tsr_cuda_facts sparse = dense;
  sparse.time /= 2;
  sparse.stream_bytes = sparse.stream_bytes * 9 / 16;
  CHECK_STR(best(&dense, 1).bound, "bandwidth");
  CHECK_STR(best(&dense, 4096).bound, "tensor cores");
  // 2:4 weights: 1.78 times less to read, half the instructions.
  double decode = best(&dense, 16).seconds / best(&sparse, 16).seconds;
  double prefill = best(&dense, 4096).seconds / best(&sparse, 4096).seconds;
  CHECK(decode > 1.5 && decode < 16.0 / 9);
  CHECK(prefill > 1.8 && prefill < 2.1);
  // Nearly nothing to do: the launch and the loads that nothing hides.
  tsr_cuda_facts little = {.stream_bytes = 8192,
                           .time = 16,
                           .steps = 2,
                           .byte_imbalance = 1,
                           .time_imbalance = 1};
  CHECK_STR(best(&little, 1).bound, "latency");
  // Imbalance costs in proportion.
  tsr_cuda_facts uneven = dense;
  uneven.byte_imbalance = 2;
  CHECK(best(&uneven, 1).seconds > 1.8 * best(&dense, 1).seconds);
}

int main(void) {
  test_partitions();
  // No strategy of today is for some targets alone.
  for (uint32_t i = 0; tsr_cuda_target_names[i] != NULL; ++i) {
    test_llama(tsr_cuda_target_find(tsr_cuda_target_names[i]));
  }
  test_names();
  test_buckets();
  test_refused();
  test_explained();
  test_bounds();
  return test_finish();
}

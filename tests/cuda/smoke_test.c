// SPDX-License-Identifier: Apache-2.0
// The first thing to run after a change of the kernels: a handful of layers,
// one feature more in each, so that the first failure says what is broken.
// Arguments: the driver, then numbers of cases to run alone.
#include <stdlib.h>

#include "device.h"
#include "test.h"

typedef struct smoke {
  const char *label;
  layer_mix mix;
  uint32_t rows, columns, tile_rows, tile_columns, workers, tokens;
  tsr_dtype type, output;
  tsr_activation activation;
  bool bias, residual;
} smoke;

#define BF16 TSR_DTYPE_BF16
#define F16 TSR_DTYPE_F16
#define F32 TSR_DTYPE_F32

static const smoke smokes[] = {
    {"zero, bias only", LAYER_ZERO, 128, 128, 64, 64, 1, 8, BF16, F32, 0, true,
     false},
    {"one dense unit", LAYER_DENSE, 64, 64, 64, 64, 1, 8, BF16, F32, 0, false,
     false},
    {"one 2:4 unit", LAYER_SPARSE, 64, 64, 64, 64, 1, 8, BF16, F32, 0, false,
     false},
    {"dense", LAYER_DENSE, 128, 512, 128, 128, 1, 8, BF16, F32, 0, false,
     false},
    {"2:4", LAYER_SPARSE, 128, 512, 128, 128, 1, 8, F16, F32, 0, false, false},
    {"mixed", LAYER_RANDOM_50, 256, 512, 128, 128, 1, 7, BF16, BF16, 0, true,
     false},
    {"split", LAYER_RANDOM_50, 256, 512, 128, 128, 7, 16, F16, F16, 0, true,
     true},
    {"64 tokens", LAYER_RANDOM_50, 256, 512, 128, 128, 7, 64, BF16, BF16,
     TSR_ACTIVATION_GELU_ERF, true, false},
    {"prefill", LAYER_RANDOM_50, 256, 512, 128, 128, 7, 200, BF16, BF16,
     TSR_ACTIVATION_SILU, true, true},
    {"token tiles", LAYER_RANDOM_50, 256, 512, 128, 128, 7, 600, BF16, F32, 0,
     true, true},
    {"ragged", LAYER_RANDOM_50, 250, 490, 96, 96, 7, 33, BF16, BF16,
     TSR_ACTIVATION_SWIGLU, true, true},
    {"small tiles", LAYER_RANDOM_50, 120, 200, 16, 32, 7, 9, F16, F32, 0, true,
     true},
    {"large tiles", LAYER_RANDOM_50, 400, 900, 256, 512, 108, 65, F16, F16, 0,
     true, true},
};

static bool make_layer(const smoke *s, uint64_t seed, layer *out) {
  layer_options options = {.spec = {.rows = s->rows,
                                    .columns = s->columns,
                                    .tile = {s->tile_rows, s->tile_columns},
                                    .weight_type = s->type,
                                    .output_type = s->output,
                                    .activation = s->activation,
                                    .has_bias = s->bias,
                                    .has_residual = s->residual},
                           .mix = s->mix,
                           .workers = s->workers,
                           .split = true,
                           .seed = seed};
  return layer_create(&options, out);
}

static bool run_smoke(device *dev, const smoke *s, uint64_t seed) {
  layer l;
  run_result result;
  if (!make_layer(s, seed, &l)) return false;
  run_options run = {.label = s->label,
                     .target = "sm_80",
                     .tokens = s->tokens,
                     .data_seed = seed,
                     .launches = 3,
                     .is_hardware = strcmp(dev->emulated, "a100") == 0};
  bool ok = run_layer(dev, &l, &run, &result);
  printf("%-16s %s, error %.2f of its bound, %u blocks, %llu instructions\n",
         s->label, ok ? "ok" : "FAILED", result.worst, result.profile.blocks,
         (unsigned long long)result.profile.warp_instructions);
  layer_destroy(&l);
  return ok;
}

// ---- That it can fail ------------------------------------------------------

// What a defect of a kernel would look like, made by hand.
typedef void (*sabotage)(layer *l);

static void flip_weight(layer *l) {
  l->stream[l->tables.stream_size / 2 + 1] ^= 0x80u;  // the sign of one
}
static void flip_metadata(layer *l) {
  // A 2:4 layer: 0x4 (columns 0, 1), a third of all quads, becomes 0x8 (0, 2);
  // other patterns change as well. All are ordered.
  for (uint32_t i = 0; i < 64; ++i) {
    if (l->stream[i] == 0x44) {
      l->stream[i] = 0x48;
      return;
    }
  }
}
static void shift_step(layer *l) {
  l->tables.steps[1].code ^= 64u;  // columns of X
}
static void forget_step(layer *l) {
  for (uint32_t i = 0; i < l->tables.worker_count; ++i) {
    if (l->tables.workers[i].step_end > 1) --l->tables.workers[i].step_end;
  }
}
// A fault, which a context does not survive; what comes next must run.
static void forget_bias(layer *l) {
  l->spec.has_bias = false;
}

static void check_can_fail(device *dev) {
  static const struct {
    uint32_t smoke;
    sabotage sabotage;
  } all[] = {{3, flip_weight},
             {4, flip_metadata},
             {3, shift_step},
             {6, forget_step},
             {0, forget_bias}};
  for (uint32_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i) {
    layer l;
    run_result result;
    const smoke *s = &smokes[all[i].smoke];
    CHECK(make_layer(s, 1, &l));
    all[i].sabotage(&l);
    run_options run = {.label = "this has to be found",
                       .target = "sm_80",
                       .tokens = s->tokens,
                       .data_seed = 1};
    CHECK(!run_layer(dev, &l, &run, &result));
    layer_destroy(&l);
  }
}

// ---- What only large layers have -------------------------------------------

// Weights from 4 GiB on and up to 512 GiB, which is all that a step's offset
// can say; rows of X that are 8 GiB apart, copied by 16 bytes and one by one.
static void check_far(device *dev) {
  static const struct {
    uint32_t smoke, ahead, gap;
  } all[] = {{5, 1u << 25, 0},
             {7, UINT32_MAX - 8191u, 0},
             {10, UINT32_MAX - 8191u, 0},
             {8, UINT32_MAX - 8191u, 0},
             {5, 0, UINT32_MAX - 1023u},
             {5, 0, UINT32_MAX - 1024u}};
  for (uint32_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i) {
    layer l;
    run_result result;
    const smoke *s = &smokes[all[i].smoke];
    CHECK(make_layer(s, 1, &l));
    CHECK(l.tables.stream_size <= 8191u * TSR_FRAGMENT_ALIGNMENT);
    run_options run = {.label = "far apart",
                       .target = "sm_80",
                       .tokens = all[i].gap == 0 ? s->tokens : 2,
                       .input_gap = all[i].gap,
                       .stream_ahead = all[i].ahead,
                       .data_seed = 1};
    CHECK(run_layer(dev, &l, &run, &result));
    layer_destroy(&l);
  }
}

// Slots of partial sums on both sides of the workspace's first 4 GiB: what is
// written by its own number is read from the first slot on, so both have to be
// computed in 64 bits.
static void check_far_slots(device *dev) {
  const smoke *s = &smokes[6];
  uint32_t ahead = (1u << 19) - 1u;  // slots of 8 KiB
  layer l;
  run_result result;
  CHECK(make_layer(s, 1, &l));
  for (uint32_t i = 0; i < l.tables.segment_count; ++i) {
    tsr_nvidia_segment *segment = &l.tables.segments[i];
    if (segment->partial == TSR_NVIDIA_NO_PARTIAL) continue;
    segment->partial += ahead;
    segment->partial_first += ahead;
  }
  for (uint32_t i = 0; i < l.tables.cut_count; ++i) {
    l.tables.cuts[i].partial_count += ahead;
  }
  run_options run = {.label = "far slots",
                     .target = "sm_80",
                     .tokens = s->tokens,
                     .data_seed = 1};
  CHECK(run_layer(dev, &l, &run, &result));
  CHECK(result.cut != NULL && result.cut->reduction_count != 0);
  CHECK_EQ(result.kernel->block_tokens * s->tile_rows * 4, 8192);
  layer_destroy(&l);
}

// Y is stored in pairs, the residual does not allow them, and the reverse.
static void check_pairs(device *dev) {
  const smoke *s = &smokes[6];
  layer l;
  run_result result;
  CHECK(make_layer(s, 1, &l));
  for (uint32_t i = 0; i < 2; ++i) {
    run_options run = {.label = "pairs",
                       .target = "sm_80",
                       .tokens = s->tokens,
                       .residual_shift = 1 - i,
                       .output_shift = i,
                       .data_seed = 1};
    CHECK(run_layer(dev, &l, &run, &result));
  }
  layer_destroy(&l);
}

int main(int argc, char **argv) {
  static const char *const devices[] = {"h100", "a100"};
  device dev;
  for (int d = 0; d < 2; ++d) {
    if (argc < 2 || !device_open(&dev, argv[1], devices[d])) return 1;
    printf("%s:\n", devices[d]);
    for (uint32_t i = 0; i < sizeof(smokes) / sizeof(smokes[0]); ++i) {
      bool wanted = argc == 2;
      for (int a = 2; a < argc; ++a) wanted |= (uint32_t)atoi(argv[a]) == i;
      if (wanted) CHECK(run_smoke(&dev, &smokes[i], 1 + i));
    }
    if (argc == 2 && d == 0) {
      check_far(&dev);
      check_far_slots(&dev);
      check_pairs(&dev);
      check_can_fail(&dev);
    }
    device_close(&dev);
  }
  return test_finish();
}

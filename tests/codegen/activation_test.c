// SPDX-License-Identifier: Apache-2.0
// Activations and conversions of generated code over all exponents, against
// libm in float64: a layer of zero tiles turns its bias into v, exactly.
#include <math.h>
#include <stdlib.h>

#include "layer.h"
#include "support/sweep.h"
#include "test.h"

enum { ROWS = 65536 };

static float inputs[ROWS];
static float outputs[ROWS];

static void evaluate(const layer *l, const image *im, void *out) {
  tsr_host_args args = {.tiles = l->tiles,
                        .input = inputs,
                        .bias = inputs,
                        .output = out,
                        .input_stride = 32,
                        .output_stride = ROWS,
                        .token_count = 1};
  uint8_t *scratch = aligned_alloc(64, 1 << 20);
  args.scratch = scratch;
  for (uint32_t w = 0; w < l->schedule->worker_count; ++w) {
    args.stream = l->stream;
    args.segments = l->segments + l->workers[w].segment_first;
    args.segment_count = l->workers[w].segment_count;
    im->run[0](&args);
  }
  free(scratch);
}

static bool prepare(tsr_activation activation, tsr_dtype output,
                    const char *variant, layer *l, image *im) {
  layer_options options = {.zero_share = 1, .workers = 1, .seed = 1};
  options.spec = (tsr_kernel_spec){.rows = ROWS,
                                   .columns = 32,
                                   .tile = {256, 32},
                                   .weight_type = TSR_DTYPE_BF16,
                                   .output_type = output,
                                   .activation = activation,
                                   .has_bias = true,
                                   .token_first = 1,
                                   .token_last = 1};
  bool ok = layer_create(&options, l) && image_create(&l->spec, variant, im);
  CHECK(ok);
  return ok;
}

// What docs/numerics.md states.
static double bound(tsr_activation a, double v, double y) {
  double w = fabs(0.79788456080286535588 * (v + 0.044715 * v * v * v));
  if (a == TSR_ACTIVATION_RELU) return 0;
  if (a == TSR_ACTIVATION_SILU) return fabs(y) * 0x1p-21 + 0x1p-119;
  if (a == TSR_ACTIVATION_GELU_TANH) {
    return fabs(y) * (v > -3 ? 0x1p-20 : 0x1p-24 * (8 + 8 * fmin(w, 100))) +
           0x1p-116;
  }
  return fabs(y) * (0x1p-20 + (v < 0 ? 0x1p-24 * fmin(v * v / 2, 90) : 0)) +
         0x1p-100;
}

static void test_activation(tsr_activation activation, const char *variant) {
  layer l;
  image im = {0};
  const sweep all = {variant, inputs, ROWS};
  if (!prepare(activation, TSR_DTYPE_F32, variant, &l, &im)) return;
  evaluate(&l, &im, outputs);
  CHECK_EQ(sweep_activation(&all, activation, bound, -3, outputs), 0);
  image_destroy(&im);
  layer_destroy(&l);
}

static void test_conversion(tsr_dtype type, const char *variant) {
  static const float edges[] = {INFINITY, -INFINITY, NAN};
  static uint16_t bits[ROWS];
  layer l;
  image im = {0};
  const sweep all = {variant, inputs, ROWS};
  if (!prepare(TSR_ACTIVATION_NONE, type, variant, &l, &im)) return;
  memcpy(inputs, edges, sizeof(edges));
  evaluate(&l, &im, bits);
  CHECK_EQ(sweep_conversion(&all, type, bits), 0);
  sweep_fill(inputs, ROWS);
  image_destroy(&im);
  layer_destroy(&l);
}

// A NaN comes out as one, whatever the activation.
static void test_nan(tsr_activation activation, const char *variant) {
  layer l;
  image im = {0};
  if (!prepare(activation, TSR_DTYPE_F32, variant, &l, &im)) return;
  float kept = inputs[7];
  inputs[7] = NAN;
  evaluate(&l, &im, outputs);
  CHECK(isnan(outputs[7]));
  CHECK(!isnan(outputs[8]));
  inputs[7] = kept;
  image_destroy(&im);
  layer_destroy(&l);
}

int main(void) {
  static const char *const variants[] = {"generic", "x86-64-v2", "x86-64-v3",
                                         "x86-64-v4", "x86-64-v4-bf16"};
  sweep_fill(inputs, ROWS);
  uint32_t ran = 0;
  for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); ++i) {
    if (!machine_can(variants[i])) continue;
    ++ran;
    for (int a = TSR_ACTIVATION_RELU; a <= TSR_ACTIVATION_SILU; ++a) {
      test_activation((tsr_activation)a, variants[i]);
      test_nan((tsr_activation)a, variants[i]);
    }
    test_conversion(TSR_DTYPE_BF16, variants[i]);
    test_conversion(TSR_DTYPE_F16, variants[i]);
  }
  if (ran == 0) {
    printf("SKIPPED: no variant runs on this machine\n");
    return 77;
  }
  return test_finish();
}

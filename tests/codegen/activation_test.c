// SPDX-License-Identifier: Apache-2.0
// Activations and conversions of generated code over all exponents, against
// libm in float64: a layer of zero tiles turns its bias into v, exactly.
#include <math.h>
#include <stdlib.h>

#include "base/float16.h"
#include "layer.h"
#include "test.h"

enum { ROWS = 65536 };

static float inputs[ROWS];
static float outputs[ROWS];

// Every exponent and sign, random mantissas; first the special ones.
static void make_inputs(void) {
  static const float special[] = {0.0f,   -0.0f,   1.0f,  -1.0f,  88.0f, -88.0f,
                                  1e-40f, -1e-40f, 3e38f, -13.0f, -3.0f, 65504};
  uint64_t state = 3;
  for (uint32_t i = 0; i < ROWS; ++i) {
    uint32_t exponent = i % 255;
    if (i % 2 == 0) exponent = 118 + i / 2 % 18;  // 2^-9 .. 2^8
    uint32_t bits = (uint32_t)random_next(&state) & 0x807fffffu;
    inputs[i] = tsr_float_from_bits(bits | exponent << 23);
  }
  memcpy(inputs, special, sizeof(special));
}

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

static double exact(tsr_activation a, double v) {
  double inner = 0.79788456080286535588 * (v + 0.044715 * v * v * v);
  if (a == TSR_ACTIVATION_RELU) return v > 0 ? v : 0;
  if (a == TSR_ACTIVATION_SILU) return v / (1 + exp(-v));
  if (a == TSR_ACTIVATION_GELU_TANH) return v / (1 + exp(-2 * inner));
  return v * 0.5 * erfc(-v * 0.70710678118654752440);
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
  if (!prepare(activation, TSR_DTYPE_F32, variant, &l, &im)) return;
  evaluate(&l, &im, outputs);
  double worst = 0;
  double worst_at = 0;
  uint32_t bad = 0;
  for (uint32_t i = 0; i < ROWS; ++i) {
    double v = inputs[i];
    double y = exact(activation, v);
    double error = fabs(outputs[i] - y);
    double relative = y != 0 && fabs(y) > 1e-30 ? error / fabs(y) : 0;
    if (!(error <= bound(activation, v, y)) && ++bad < 4) {
      fprintf(stderr, "%s %s: f(%.9g) = %.9g, expected %.9g\n", variant,
              tsr_activation_name(activation), v, outputs[i], y);
    }
    if (v > -3 && relative > worst) {
      worst = relative;
      worst_at = v;
    }
  }
  CHECK_EQ(bad, 0);
  printf("%s %s: worst relative error (v > -3) 2^%.2f at %g\n", variant,
         tsr_activation_name(activation), log2(worst), worst_at);
  image_destroy(&im);
  layer_destroy(&l);
}

static void test_conversion(tsr_dtype type, const char *variant) {
  layer l;
  image im = {0};
  static uint16_t bits[ROWS];
  if (!prepare(TSR_ACTIVATION_NONE, type, variant, &l, &im)) return;
  float kept[3];
  memcpy(kept, inputs, sizeof(kept));
  inputs[0] = INFINITY;
  inputs[1] = -INFINITY;
  inputs[2] = NAN;
  evaluate(&l, &im, bits);
  uint32_t bad = 0;
  for (uint32_t i = 0; i < ROWS; ++i) {
    // v is 0 + bias, which makes -0 a 0.
    float v = inputs[i] + 0.0f;
    uint16_t want = type == TSR_DTYPE_BF16 ? tsr_bf16_from_float(v)
                                           : tsr_fp16_from_float(v);
    bool is_nan = i == 2 && (bits[i] & 0x7fffu) > 0x7c00u;
    if (bits[i] != want && !is_nan && ++bad < 4) {
      fprintf(stderr, "%s %s: %g is %04x, expected %04x\n", variant,
              tsr_dtype_name(type), inputs[i], bits[i], want);
    }
  }
  CHECK_EQ(bad, 0);
  memcpy(inputs, kept, sizeof(kept));
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
  make_inputs();
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

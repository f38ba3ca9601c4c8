// SPDX-License-Identifier: Apache-2.0
// The float64 reference on a matrix made here: its roundings against
// base/float16.h (written apart), its values against sums written out, its
// bounds against what fp32 arithmetic really does. The importer is stood in
// for by this file.
#include "reference.h"

#include <math.h>
#include <stdlib.h>

#include "base/float16.h"
#include "base/memory.h"
#include "test.h"

enum { ROWS = 6, COLUMNS = 37, TOKENS = 5 };

struct tsr_matrix {
  tsr_dtype source_type;
  float weights[ROWS][COLUMNS];
  float bias[ROWS];
};

uint32_t tsr_matrix_rows(const tsr_matrix *matrix) {
  (void)matrix;
  return ROWS;
}

tsr_dtype tsr_matrix_source_type(const tsr_matrix *matrix) {
  return matrix->source_type;
}

tsr_status tsr_matrix_read(const tsr_matrix *matrix, uint32_t row,
                           uint32_t count, float *values, uint8_t *keep,
                           tsr_error *error) {
  (void)error;
  CHECK(keep == NULL);
  memcpy(values, matrix->weights[row], count * sizeof(matrix->weights[0]));
  return TSR_OK;
}

tsr_status tsr_matrix_read_bias(const tsr_matrix *matrix, float *values,
                                tsr_error *error) {
  (void)error;
  memcpy(values, matrix->bias, sizeof(matrix->bias));
  return TSR_OK;
}

static uint64_t state = 7;

static float random_float(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (float)((double)(state >> 11) * 0x1p-52 - 1.0);
}

// ---- Types -----------------------------------------------------------------

static void test_patterns(void) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    uint16_t pattern = (uint16_t)bits;
    double half = tsr_reference_load(&pattern, 0, TSR_DTYPE_F16);
    double brain = tsr_reference_load(&pattern, 0, TSR_DTYPE_BF16);
    float half_expected = tsr_fp16_to_float(pattern);
    float brain_expected = tsr_bf16_to_float(pattern);
    if (isnan(half_expected)) {
      CHECK(isnan(half));
    } else {
      CHECK(half == (double)half_expected);
    }
    if (isnan(brain_expected)) {
      CHECK(isnan(brain));
    } else {
      CHECK(brain == (double)brain_expected);
    }
    uint16_t stored = 0;
    if (isfinite(half)) {
      tsr_reference_store(&stored, 0, TSR_DTYPE_F16, half);
      CHECK_EQ(stored, pattern);
      CHECK(tsr_reference_round(half, TSR_DTYPE_F16) == half);
    }
    if (isfinite(brain)) {
      tsr_reference_store(&stored, 0, TSR_DTYPE_BF16, brain);
      CHECK_EQ(stored, pattern);
    }
  }
}

static void check_rounding(float value) {
  double half = tsr_reference_round((double)value, TSR_DTYPE_F16);
  double brain = tsr_reference_round((double)value, TSR_DTYPE_BF16);
  CHECK(half == (double)tsr_fp16_to_float(tsr_fp16_from_float(value)));
  CHECK(brain == (double)tsr_bf16_to_float(tsr_bf16_from_float(value)));
  CHECK(tsr_reference_round((double)value, TSR_DTYPE_F32) == (double)value);
}

static void test_rounding(void) {
  for (int i = 0; i < 20000; ++i) {
    // All exponents, and ties: the low bits are often a lone one.
    (void)random_float();
    uint32_t bits = (uint32_t)(state >> 32);
    if (i % 2 == 0) bits = (bits & 0xffff8000u) | 0x8000u;
    if (i % 3 == 0) bits = (bits & 0xfffff000u) | 0x1000u;
    float value = tsr_float_from_bits(bits);
    if (isfinite(value)) check_rounding(value);
  }
  const float edges[] = {65504.0f,  65519.9f,    65520.0f,       0x1p-24f,
                         0x1p-25f,  0x1.8p-25f,  -0x1p-14f,      0.0f,
                         0x1p-133f, 0x1.8p-134f, 0x1.fffffep127f};
  for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); ++i) {
    check_rounding(edges[i]);
    check_rounding(-edges[i]);
  }
}

// ---- Columns ---------------------------------------------------------------

typedef struct setup {
  tsr_matrix matrix;
  tsr_plan_layer layer;
  tsr_probe probe;
  double input[COLUMNS][TOKENS];
  double residual[TOKENS][ROWS];
} setup;

static void fill(setup *s, tsr_dtype weight, tsr_dtype output,
                 tsr_activation activation, bool residual) {
  memset(s, 0, sizeof(*s));
  s->matrix.source_type = TSR_DTYPE_F32;
  s->layer.weight_type = s->layer.input_type = weight;
  s->layer.output_type = output;
  s->layer.activation = activation;
  s->layer.has_bias = true;
  for (int r = 0; r < ROWS; ++r) {
    s->matrix.bias[r] = random_float();
    for (int k = 0; k < COLUMNS; ++k) {
      s->matrix.weights[r][k] = k % 3 == 0 ? 0.0f : random_float();
    }
  }
  for (int k = 0; k < COLUMNS; ++k) {
    for (int n = 0; n < TOKENS; ++n) {
      s->input[k][n] = tsr_reference_round((double)random_float(), weight);
    }
  }
  for (int n = 0; n < TOKENS; ++n) {
    for (int r = 0; r < ROWS; ++r) {
      s->residual[n][r] = tsr_reference_round((double)random_float(), output);
    }
  }
  s->probe = (tsr_probe){
      .token_count = TOKENS,
      .columns = COLUMNS,
      .output_columns = tsr_activation_is_gated(activation) ? ROWS / 2 : ROWS,
      .input = &s->input[0][0],
      .residual = residual ? &s->residual[0][0] : NULL};
}

static float activate_float(tsr_activation activation, float v) {
  switch (activation) {
    case TSR_ACTIVATION_RELU:
      return v > 0.0f ? v : 0.0f;
    case TSR_ACTIVATION_GELU_ERF:
    case TSR_ACTIVATION_GEGLU_ERF:
      return 0.5f * v * (1.0f + erff(v * 0.70710678f));
    case TSR_ACTIVATION_GELU_TANH:
    case TSR_ACTIVATION_GEGLU_TANH:
      return 0.5f * v *
             (1.0f + tanhf(0.79788456f * (v + 0.044715f * v * v * v)));
    case TSR_ACTIVATION_SILU:
    case TSR_ACTIVATION_SWIGLU:
      return v / (1.0f + expf(-v));
    case TSR_ACTIVATION_NONE:
    default:
      return v;
  }
}

// What a kernel would compute, in fp32 and in its own order (from the last
// column down), with rounded weights.
static double compute_float(const setup *s, int column, int n) {
  bool gated = tsr_activation_is_gated(s->layer.activation);
  float v[2] = {0.0f, 0.0f};
  for (int half = 0; half < (gated ? 2 : 1); ++half) {
    int row = gated ? 2 * column + half : column;
    for (int k = COLUMNS - 1; k >= 0; --k) {
      double weight = tsr_reference_round((double)s->matrix.weights[row][k],
                                          s->layer.weight_type);
      v[half] += (float)weight * (float)s->input[k][n];
    }
    v[half] += s->matrix.bias[row];
  }
  float y = activate_float(s->layer.activation, v[0]);
  if (gated) y *= v[1];
  if (s->probe.residual != NULL) {
    y +=
        (float)s->probe
            .residual[(uint32_t)n * s->probe.output_columns + (uint32_t)column];
  }
  return tsr_reference_round((double)y, s->layer.output_type);
}

static void check_column(const setup *s, tsr_reference *reference, int column) {
  tsr_expected expected;
  CHECK_EQ(tsr_reference_column(reference, (uint32_t)column, &expected, NULL),
           TSR_OK);
  for (int n = 0; n < TOKENS; ++n) {
    double y = compute_float(s, column, n);
    CHECK(fabs(y - expected.rounded[n]) <= expected.rounded_bound[n]);
    CHECK(fabs(y - expected.original[n]) <= expected.original_bound[n]);
    CHECK(expected.rounded_bound[n] <= expected.original_bound[n]);
    // Tight enough to see one weight's lowest bit of bf16 in fp32 output.
    if (s->layer.output_type == TSR_DTYPE_F32 &&
        s->layer.activation == TSR_ACTIVATION_NONE) {
      CHECK(expected.rounded_bound[n] < 1e-4);
    }
  }
}

static void test_columns(void) {
  static setup s;
  for (int activation = 0; activation < TSR_ACTIVATION_COUNT; ++activation) {
    for (int i = 0; i < 12; ++i) {
      fill(&s, i % 2 == 0 ? TSR_DTYPE_BF16 : TSR_DTYPE_F16,
           (tsr_dtype)(i / 2 % 3), (tsr_activation)activation, i >= 6);
      tsr_reference *reference;
      CHECK_EQ(tsr_reference_create(&s.matrix, &s.layer, &s.probe,
                                    TSR_ADDER_HOST, 4, &reference, NULL),
               TSR_OK);
      for (int c = 0; c < (int)s.probe.output_columns; ++c) {
        check_column(&s, reference, c);
      }
      tsr_reference_destroy(reference);
    }
  }
}

// Values written out by hand: 2 * 3 - 1 * 0.5 + bias 0.25, relu, residual 1.
static void test_by_hand(void) {
  static setup s;
  fill(&s, TSR_DTYPE_BF16, TSR_DTYPE_F32, TSR_ACTIVATION_RELU, true);
  memset(s.matrix.weights, 0, sizeof(s.matrix.weights));
  s.matrix.weights[4][0] = 2.0f;
  s.matrix.weights[4][36] = -1.0f;
  s.matrix.weights[5][0] = -2.0f;
  s.matrix.bias[4] = s.matrix.bias[5] = 0.25f;
  s.input[0][3] = 3.0;
  s.input[36][3] = 0.5;
  s.residual[3][4] = s.residual[3][5] = 1.0;
  tsr_reference *reference;
  tsr_expected expected;
  CHECK_EQ(tsr_reference_create(&s.matrix, &s.layer, &s.probe, TSR_ADDER_HOST,
                                4, &reference, NULL),
           TSR_OK);
  CHECK_EQ(tsr_reference_column(reference, 4, &expected, NULL), TSR_OK);
  CHECK(expected.original[3] == 6.75);
  CHECK(expected.rounded[3] == 6.75);
  CHECK_EQ(tsr_reference_column(reference, 5, &expected, NULL), TSR_OK);
  CHECK(expected.original[3] == 1.0);
  tsr_reference_destroy(reference);
}

// The chains of docs/numerics.md, seen from a bound that little else is in: a
// sum of 37 columns, two of which are not zero.
static void test_chains(void) {
  static const double chains[] = {
      [TSR_ADDER_HOST] = 2 * 10 + 4 + 5,
      [TSR_ADDER_TENSOR_CORE] = 22 * 3 + 8 + 4 + 3,
      [TSR_ADDER_TENSOR_EXACT] = 3 + 8 + 4 + 3,
  };
  static setup s;
  fill(&s, TSR_DTYPE_BF16, TSR_DTYPE_F32, TSR_ACTIVATION_NONE, false);
  memset(s.matrix.weights, 0, sizeof(s.matrix.weights));
  memset(s.matrix.bias, 0, sizeof(s.matrix.bias));
  s.matrix.weights[0][0] = s.matrix.weights[0][36] = 1.0f;
  s.input[0][0] = 1.0;
  s.input[36][0] = -1.0;
  for (int i = 0; i < 3; ++i) {
    tsr_reference *reference;
    tsr_expected expected;
    CHECK_EQ(tsr_reference_create(&s.matrix, &s.layer, &s.probe, (tsr_adder)i,
                                  4, &reference, NULL),
             TSR_OK);
    CHECK_EQ(tsr_reference_column(reference, 0, &expected, NULL), TSR_OK);
    CHECK(expected.rounded[0] == 0.0);
    double bound = 2.0 * chains[i] * 0x1p-24;
    CHECK(fabs(expected.rounded_bound[0] / bound - 1.0) < 1e-4);
    tsr_reference_destroy(reference);
  }
}

static void test_out_of_memory(void) {
  static setup s;
  fill(&s, TSR_DTYPE_BF16, TSR_DTYPE_F32, TSR_ACTIVATION_NONE, false);
  for (uint64_t n = 1;; ++n) {
    tsr_reference *reference;
    tsr_error error = {0};
    (void)tsr_memory_fail_at(n);
    tsr_status status = tsr_reference_create(
        &s.matrix, &s.layer, &s.probe, TSR_ADDER_HOST, 4, &reference, &error);
    (void)tsr_memory_fail_at(0);
    if (status == TSR_OK) {
      CHECK(n > 3);
      tsr_reference_destroy(reference);
      return;
    }
    CHECK_EQ(status, TSR_OUT_OF_MEMORY);
    CHECK(reference == NULL);
  }
}

int main(void) {
  test_patterns();
  test_rounding();
  test_columns();
  test_by_hand();
  test_chains();
  test_out_of_memory();
  return test_finish();
}

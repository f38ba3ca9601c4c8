// SPDX-License-Identifier: Apache-2.0
// See reference.h. Sums run over tokens in the inner loop, so that they
// vectorise without changing their order.
#include "reference.h"

#include <math.h>

#include "base/memory.h"

// The most warps of a thread block that share a row (docs/cuda-kernels.md).
enum { K_SLICES_MAX = 8 };

// Unit roundoff, smallest normal exponent and largest finite value of a type.
typedef struct format {
  int precision;  // significant bits
  int exponent_min;
  double max;
} format;

static const format formats[TSR_DTYPE_COUNT] = {
    [TSR_DTYPE_F32] = {24, -126, 0x1.fffffep127},
    [TSR_DTYPE_F16] = {11, -14, 65504.0},
    [TSR_DTYPE_BF16] = {8, -126, 0x1.fep127},
};

static double unit_roundoff(tsr_dtype type) {
  return ldexp(1.0, -formats[type].precision);
}

// Half of the smallest subnormal: the largest error of rounding near zero.
static double underflow_error(tsr_dtype type) {
  return ldexp(1.0, formats[type].exponent_min - formats[type].precision);
}

double tsr_reference_round(double value, tsr_dtype type) {
  const format *f = &formats[type];
  if (value == 0.0 || !isfinite(value)) return value;
  int exponent;
  (void)frexp(value, &exponent);  // value in [2^(exponent - 1), 2^exponent)
  if (exponent - 1 < f->exponent_min) exponent = f->exponent_min + 1;
  double quantum = ldexp(1.0, exponent - f->precision);
  double rounded = rint(value / quantum) * quantum;
  return fabs(rounded) > f->max ? copysign(INFINITY, value) : rounded;
}

double tsr_reference_load(const void *array, size_t index, tsr_dtype type) {
  if (type == TSR_DTYPE_F32) return (double)((const float *)array)[index];
  uint16_t bits = ((const uint16_t *)array)[index];
  double sign = (bits & 0x8000u) != 0 ? -1.0 : 1.0;
  int mantissa_bits = formats[type].precision - 1;
  int mantissa = bits & ((1 << mantissa_bits) - 1);
  int exponent = (bits & 0x7fff) >> mantissa_bits;
  int exponent_top = (0x7fff >> mantissa_bits);
  if (exponent == exponent_top) {
    return mantissa == 0 ? sign * INFINITY : (double)NAN;
  }
  if (exponent == 0) {
    exponent = 1;
  } else {
    mantissa |= 1 << mantissa_bits;
  }
  // The bias is 1 - exponent_min: stored exponent 1 means exponent_min.
  return sign *
         ldexp((double)mantissa,
               exponent - 1 + formats[type].exponent_min - mantissa_bits);
}

void tsr_reference_store(void *array, size_t index, tsr_dtype type,
                         double value) {
  if (type == TSR_DTYPE_F32) {
    ((float *)array)[index] = (float)value;
    return;
  }
  const format *f = &formats[type];
  unsigned bits = signbit(value) ? 0x8000u : 0;
  if (value != 0.0) {
    int exponent;
    (void)frexp(value, &exponent);
    if (exponent - 1 < f->exponent_min) exponent = f->exponent_min + 1;
    // With the leading bit in the mantissa, adding it carries into the
    // exponent field; a subnormal has none and stays at field 0.
    unsigned mantissa = (unsigned)fabs(ldexp(value, f->precision - exponent));
    unsigned field = (unsigned)(exponent - 1 - f->exponent_min);
    bits |= (field << (f->precision - 1)) + mantissa;
  }
  ((uint16_t *)array)[index] = (uint16_t)bits;
}

// ---- Activations -----------------------------------------------------------

static double gelu_erf(double v) {
  return 0.5 * v * erfc(-v / sqrt(2.0));
}

static double gelu_tanh(double v) {
  double inner = 0.79788456080286535588 * (v + 0.044715 * v * v * v);
  // 1 + tanh(t) = 2 / (1 + exp(-2 t)), without cancellation below zero.
  return v / (1.0 + exp(-2.0 * inner));
}

static double silu(double v) {
  return v / (1.0 + exp(-v));
}
static double relu(double v) {
  return v > 0.0 ? v : 0.0;
}
static double identity(double v) {
  return v;
}

// The function applied to v (to the gate, for gated activations), the largest
// slope it has anywhere, and how far the generated code may be from it,
// relative to its result.
typedef struct activation {
  double (*function)(double);
  double slope;
  double evaluation;
} activation;

static const activation activations[TSR_ACTIVATION_COUNT] = {
    [TSR_ACTIVATION_NONE] = {identity, 1.0, 0.0},
    [TSR_ACTIVATION_RELU] = {relu, 1.0, 0.0},
    [TSR_ACTIVATION_GELU_ERF] = {gelu_erf, 1.13, 0x1p-20},
    [TSR_ACTIVATION_GELU_TANH] = {gelu_tanh, 1.13, 0x1p-20},
    [TSR_ACTIVATION_SILU] = {silu, 1.1, 0x1p-20},
    [TSR_ACTIVATION_SWIGLU] = {silu, 1.1, 0x1p-20},
    [TSR_ACTIVATION_GEGLU_ERF] = {gelu_erf, 1.13, 0x1p-20},
    [TSR_ACTIVATION_GEGLU_TANH] = {gelu_tanh, 1.13, 0x1p-20},
};

// ---- Columns ---------------------------------------------------------------

// Sums of one row of W over all tokens.
typedef struct row_sums {
  double *original;   // sum of w x
  double *rounded;    // the same with rounded weights
  double *magnitude;  // sum of |w| |x|, the larger of both
  double weights;     // sum of |w|
} row_sums;

struct tsr_reference {
  const tsr_matrix *matrix;
  const tsr_plan_layer *layer;
  const tsr_probe *probe;
  double gamma;             // fp32 accumulation: |error| <= gamma * magnitude
  double weight_roundoff;   // 0 when the packed type is the source's
  double weight_underflow;  // absolute, per weight
  double *bias;             // [rows]
  float *values;            // [columns]
  row_sums sums[2];         // one, or gate and up
  tsr_expected expected;
  double *memory;  // owns all arrays of doubles
};

static bool type_holds(tsr_dtype wide, tsr_dtype narrow) {
  return wide == narrow || wide == TSR_DTYPE_F32;
}

// The longest chain of roundings, in units of fp32's (docs/numerics.md).
static double chain_length(uint32_t columns, tsr_adder adder,
                           uint32_t segment_count) {
  double sixteens = (columns + 15u) / 16u;
  switch (adder) {
    case TSR_ADDER_HOST:
      return 2.0 * ((columns + 3u) / 4u) + segment_count + 5.0;
    case TSR_ADDER_TENSOR_CORE:
      return 22.0 * sixteens + K_SLICES_MAX + segment_count + 3.0;
    case TSR_ADDER_TENSOR_EXACT:
      break;
  }
  return sixteens + K_SLICES_MAX + segment_count + 3.0;
}

// gamma(n) of docs/numerics.md.
static void set_constants(tsr_reference *reference, tsr_adder adder,
                          uint32_t segment_count) {
  const tsr_plan_layer *layer = reference->layer;
  double operations =
      chain_length(reference->probe->columns, adder, segment_count);
  double u = unit_roundoff(TSR_DTYPE_F32) * operations;
  reference->gamma = u / (1.0 - u);
  if (!type_holds(layer->weight_type,
                  tsr_matrix_source_type(reference->matrix))) {
    reference->weight_roundoff = unit_roundoff(layer->weight_type);
    reference->weight_underflow = underflow_error(layer->weight_type);
  }
}

static tsr_status read_bias(tsr_reference *reference, tsr_error *error) {
  uint32_t rows = tsr_matrix_rows(reference->matrix);
  if (!reference->layer->has_bias) return TSR_OK;
  float *bias = tsr_malloc(sizeof(*bias) * rows);
  if (bias == NULL) return tsr_error_out_of_memory(error);
  tsr_status status = tsr_matrix_read_bias(reference->matrix, bias, error);
  for (uint32_t i = 0; status == TSR_OK && i < rows; ++i) {
    reference->bias[i] = (double)bias[i];
  }
  tsr_free(bias);
  return status;
}

static tsr_status allocate(tsr_reference *reference, tsr_error *error) {
  enum { TOKEN_ARRAYS = 10 };
  size_t tokens = reference->probe->token_count;
  size_t rows = tsr_matrix_rows(reference->matrix);
  reference->memory = tsr_calloc(tokens * TOKEN_ARRAYS + rows, sizeof(double));
  reference->values = tsr_calloc(reference->probe->columns, sizeof(float));
  if (reference->memory == NULL || reference->values == NULL) {
    return tsr_error_out_of_memory(error);
  }
  double *cursor = reference->memory;
  double **arrays[TOKEN_ARRAYS] = {
      &reference->sums[0].original,  &reference->sums[0].rounded,
      &reference->sums[0].magnitude, &reference->sums[1].original,
      &reference->sums[1].rounded,   &reference->sums[1].magnitude,
      &reference->expected.original, &reference->expected.original_bound,
      &reference->expected.rounded,  &reference->expected.rounded_bound,
  };
  for (int i = 0; i < TOKEN_ARRAYS; ++i, cursor += tokens) *arrays[i] = cursor;
  reference->bias = cursor;
  return TSR_OK;
}

tsr_status tsr_reference_create(const tsr_matrix *matrix,
                                const tsr_plan_layer *layer,
                                const tsr_probe *probe, tsr_adder adder,
                                uint32_t segment_count,
                                tsr_reference **out_reference,
                                tsr_error *error) {
  *out_reference = NULL;
  tsr_reference *reference = tsr_calloc(1, sizeof(*reference));
  if (reference == NULL) return tsr_error_out_of_memory(error);
  reference->matrix = matrix;
  reference->layer = layer;
  reference->probe = probe;
  set_constants(reference, adder, segment_count);
  tsr_status status = allocate(reference, error);
  if (status == TSR_OK) status = read_bias(reference, error);
  if (status == TSR_OK) {
    *out_reference = reference;
  } else {
    tsr_reference_destroy(reference);
  }
  return status;
}

void tsr_reference_destroy(tsr_reference *reference) {
  if (reference == NULL) return;
  tsr_free(reference->memory);
  tsr_free(reference->values);
  tsr_free(reference);
}

static void add_products(const tsr_reference *reference, double weight,
                         double rounded, const double *input,
                         const row_sums *sums) {
  double larger = fmax(fabs(weight), fabs(rounded));
  for (uint32_t n = 0; n < reference->probe->token_count; ++n) {
    sums->original[n] += weight * input[n];
    sums->rounded[n] += rounded * input[n];
    sums->magnitude[n] += larger * fabs(input[n]);
  }
}

static tsr_status sum_row(tsr_reference *reference, uint32_t row,
                          row_sums *sums, tsr_error *error) {
  const tsr_probe *probe = reference->probe;
  tsr_status status = tsr_matrix_read(reference->matrix, row, 1,
                                      reference->values, NULL, error);
  if (status != TSR_OK) return status;
  for (uint32_t n = 0; n < probe->token_count; ++n) {
    sums->original[n] = sums->rounded[n] = sums->magnitude[n] = 0.0;
  }
  sums->weights = 0.0;
  for (uint32_t k = 0; k < probe->columns; ++k) {
    double weight = (double)reference->values[k];
    if (weight == 0.0) continue;
    sums->weights += fabs(weight);
    add_products(reference, weight,
                 tsr_reference_round(weight, reference->layer->weight_type),
                 probe->input + (size_t)k * probe->token_count, sums);
  }
  return TSR_OK;
}

typedef struct estimate {
  double value;
  double error;
} estimate;

// v = W x + bias as fp32 arithmetic may have it.
static estimate linear(const tsr_reference *reference, const row_sums *sums,
                       uint32_t row, uint32_t token, bool rounded) {
  double bias = reference->bias[row];
  double magnitude = sums->magnitude[token];
  double value = (rounded ? sums->rounded : sums->original)[token] + bias;
  // The last term is for units that take subnormal numbers as zero; |X| <= 1.
  double columns = (double)reference->probe->columns;
  double error = reference->gamma * (magnitude + fabs(bias)) +
                 0x1p-126 * (3.0 * columns + sums->weights);
  if (!rounded) {
    error += reference->weight_roundoff * magnitude +
             reference->weight_underflow * columns;
  }
  return (estimate){value, error};
}

static estimate activate(const activation *a, estimate v) {
  double value = a->function(v.value);
  double error = a->slope * v.error + a->evaluation * fabs(value) + 0x1p-100;
  return (estimate){value, error};
}

// The product of gate and up, then the residual, each rounded in fp32.
static estimate finish(const tsr_reference *reference, estimate gate,
                       estimate up, uint32_t column, uint32_t token) {
  const tsr_probe *probe = reference->probe;
  double u = unit_roundoff(TSR_DTYPE_F32);
  estimate y = gate;
  if (tsr_activation_is_gated(reference->layer->activation)) {
    y.value = gate.value * up.value;
    y.error = (fabs(gate.value) + gate.error) * up.error +
              fabs(up.value) * gate.error;
    y.error += u * (fabs(y.value) + y.error);
  }
  if (probe->residual != NULL) {
    y.value += probe->residual[(size_t)token * probe->output_columns + column];
    y.error += u * (fabs(y.value) + y.error);
  }
  tsr_dtype type = reference->layer->output_type;
  double largest = fabs(y.value) + y.error;
  y.error += unit_roundoff(type) * largest + underflow_error(type);
  // A result at the end of the range may be infinite.
  if (largest * (1.0 + unit_roundoff(type)) > formats[type].max) {
    y.error = INFINITY;
  }
  return y;
}

static estimate expect(const tsr_reference *reference, uint32_t column,
                       uint32_t token, bool rounded) {
  const activation *a = &activations[reference->layer->activation];
  bool gated = tsr_activation_is_gated(reference->layer->activation);
  uint32_t row = gated ? 2 * column : column;
  estimate gate =
      activate(a, linear(reference, &reference->sums[0], row, token, rounded));
  estimate up = {0.0, 0.0};
  if (gated) {
    up = linear(reference, &reference->sums[1], row + 1, token, rounded);
  }
  return finish(reference, gate, up, column, token);
}

tsr_status tsr_reference_column(tsr_reference *reference, uint32_t column,
                                tsr_expected *out_expected, tsr_error *error) {
  bool gated = tsr_activation_is_gated(reference->layer->activation);
  uint32_t row = gated ? 2 * column : column;
  tsr_status status = sum_row(reference, row, &reference->sums[0], error);
  if (status == TSR_OK && gated) {
    status = sum_row(reference, row + 1, &reference->sums[1], error);
  }
  if (status != TSR_OK) return status;
  const tsr_expected *out = &reference->expected;
  for (uint32_t n = 0; n < reference->probe->token_count; ++n) {
    estimate original = expect(reference, column, n, false);
    estimate rounded = expect(reference, column, n, true);
    out->original[n] = original.value;
    out->original_bound[n] = original.error;
    out->rounded[n] = rounded.value;
    out->rounded_bound[n] = rounded.error;
  }
  *out_expected = *out;
  return TSR_OK;
}

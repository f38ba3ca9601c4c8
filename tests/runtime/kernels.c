// SPDX-License-Identifier: Apache-2.0
// Kernels of the host ABI in plain C: slow, and written by index formula from
// base/host_abi.h alone, so that they are an independent reading of the packed
// layout. Built as a shared object, they let the runtime be tested without a
// compiler of ours.
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/host_abi.h"
#include "support/number.h"

typedef struct shape {
  uint32_t rows, columns, tile_rows, tile_columns;
  tsr_dtype weight_type, output_type;
  tsr_activation activation;
} shape;

// Weight [row, column] of the packed tile at |tile|.
static float weight_at(const shape *s, const uint8_t *tile, uint32_t rows,
                       uint32_t columns, tsr_kind kind, uint32_t row,
                       uint32_t column) {
  uint64_t units = (rows + 7) / 8;
  uint64_t quads = (columns + 3) / 4;
  uint64_t micro = row / 32;
  uint64_t here = units - 4 * micro < 4 ? units - 4 * micro : 4;
  uint64_t unit = column / 4 * here + row % 32 / 8;
  uint32_t element = 4 * (row % 8) + column % 4;
  if (kind == TSR_KIND_DENSE) {
    return number_load(tile + micro * 4 * quads * 64 + unit * 64, element,
                       s->weight_type);
  }
  // 16 units: 64 bytes of masks, 512 of elements; a rest of n: 64 and the
  // lines that 32 * n bytes fill. Whole micro-panels stand in front.
  uint64_t rest = 4 * quads % 16;
  uint64_t panel = 4 * quads / 16 * 576;
  if (rest != 0) panel += 64 + (rest * 32 + 63) / 64 * 64;
  const uint8_t *block = tile + micro * panel + unit / 16 * 576;
  uint32_t mask;
  memcpy(&mask, block + unit % 16 * 4, sizeof(mask));
  if ((mask >> element & 1u) == 0) return 0;
  uint32_t before = mask & ((1u << element) - 1);
  return number_load(block + 64 + unit % 16 * 32,
                     (size_t)__builtin_popcount(before), s->weight_type);
}

static float activate(tsr_activation activation, float v) {
  switch (activation) {
    case TSR_ACTIVATION_RELU:
      return v > 0 ? v : 0;
    case TSR_ACTIVATION_GELU_ERF:
    case TSR_ACTIVATION_GEGLU_ERF:
      return v / 2 * (1 + erff(v * 0.70710678f));
    case TSR_ACTIVATION_SILU:
    case TSR_ACTIVATION_SWIGLU:
      return v / (1 + expf(-v));
    case TSR_ACTIVATION_NONE:
    case TSR_ACTIVATION_GELU_TANH:
    case TSR_ACTIVATION_GEGLU_TANH:
      break;
  }
  return v;
}

static uint32_t extent(uint32_t index, uint32_t tile, uint32_t total) {
  uint32_t left = total - index * tile;
  return left < tile ? left : tile;
}

// Epilogue of one panel of one token; |sums| has the tile's rows.
static void finish(const shape *s, const tsr_host_args *a, uint64_t token,
                   uint32_t panel, const float *sums) {
  bool gated = tsr_activation_is_gated(s->activation);
  uint32_t rows = extent(panel, s->tile_rows, s->rows);
  for (uint32_t i = 0; i < rows; i += gated ? 2 : 1) {
    uint32_t row = panel * s->tile_rows + i;
    float v = sums[i] + (a->bias == NULL ? 0 : a->bias[row]);
    float y = activate(s->activation, v);
    if (gated) y *= sums[i + 1] + (a->bias == NULL ? 0 : a->bias[row + 1]);
    uint64_t column = gated ? row / 2 : row;
    if (a->residual != NULL) {
      y += number_load(a->residual,
                       token * (uint64_t)a->residual_stride + column,
                       s->output_type);
    }
    number_store(a->output, token * (uint64_t)a->output_stride + column,
                 s->output_type, y);
  }
}

static float input_at(const shape *s, const tsr_host_args *a, uint64_t token,
                      uint32_t column) {
  if (a->packed_input != NULL) {
    return ((const float *)a->packed_input)[token * s->columns + column];
  }
  return number_load(a->input, token * (uint64_t)a->input_stride + column,
                     s->weight_type);
}

static void add_tile(const shape *s, const tsr_host_args *a,
                     const uint8_t *tile, uint32_t panel, uint32_t word,
                     float *sums) {
  uint32_t first = (word & 0xffffff) * s->tile_columns;
  uint32_t rows = extent(panel, s->tile_rows, s->rows);
  uint32_t columns = extent(word & 0xffffff, s->tile_columns, s->columns);
  for (uint64_t n = 0; n < a->token_count; ++n) {
    for (uint32_t r = 0; r < rows; ++r) {
      float sum = sums[n * s->tile_rows + r];
      for (uint32_t c = 0; c < columns; ++c) {
        sum += weight_at(s, tile, rows, columns, (tsr_kind)(word >> 24), r, c) *
               input_at(s, a, n, first + c);
      }
      sums[n * s->tile_rows + r] = sum;
    }
  }
}

static void run(const shape *s, const tsr_host_args *a) {
  const uint8_t *stream = a->stream;
  for (uint32_t i = 0; i < a->segment_count; ++i) {
    const tsr_host_segment *segment = &a->segments[i];
    uint64_t size = a->token_count * s->tile_rows;
    bool direct = segment->partial == TSR_HOST_NO_PARTIAL;
    float *sums = direct ? a->scratch : a->partials + segment->partial * size;
    memset(sums, 0, size * sizeof(*sums));
    for (uint32_t t = 0; t < segment->tile_count; ++t) {
      uint32_t word = a->tiles[segment->tile_first + t];
      add_tile(s, a, stream, segment->panel, word, sums);
      stream += tsr_host_tile_size(
          extent(segment->panel, s->tile_rows, s->rows),
          extent(word & 0xffffff, s->tile_columns, s->columns),
          (tsr_kind)(word >> 24));
    }
    for (uint64_t n = 0; direct && n < a->token_count; ++n) {
      finish(s, a, n, segment->panel, sums + n * s->tile_rows);
    }
  }
}

static void reduce(const shape *s, const tsr_host_args *a) {
  for (uint32_t i = a->first; i < a->first + a->count; ++i) {
    const tsr_host_reduction *r = &a->reductions[i];
    for (uint64_t n = 0; n < a->token_count; ++n) {
      float sums[256] = {0};
      for (uint32_t p = 0; p < r->partial_count; ++p) {
        uint64_t slot = r->partial_first + p;
        const float *part =
            a->partials + (slot * a->token_count + n) * s->tile_rows;
        for (uint32_t k = 0; k < s->tile_rows; ++k) sums[k] += part[k];
      }
      finish(s, a, n, r->panel, sums);
    }
  }
}

static void pack(const shape *s, const tsr_host_args *a) {
  float *packed = a->packed_input;
  for (uint64_t n = a->first; n < (uint64_t)a->first + a->count; ++n) {
    for (uint32_t c = 0; c < s->columns; ++c) {
      packed[n * s->columns + c] = number_load(
          a->input, n * (uint64_t)a->input_stride + c, s->weight_type);
    }
  }
}

#define EXPORT __attribute__((visibility("default")))

#define LAYER(symbol, rows, columns, tile_rows, tile_columns, weight, output, \
              activation, bias, residual)                                     \
  static const shape symbol##_shape = {rows,                                  \
                                       columns,                               \
                                       tile_rows,                             \
                                       tile_columns,                          \
                                       TSR_DTYPE_##weight,                    \
                                       TSR_DTYPE_##output,                    \
                                       TSR_ACTIVATION_##activation};          \
  EXPORT void symbol##_run(const tsr_host_args *args);                        \
  EXPORT void symbol##_reduce(const tsr_host_args *args);                     \
  EXPORT void symbol##_pack(const tsr_host_args *args);                       \
  void symbol##_run(const tsr_host_args *args) {                              \
    run(&symbol##_shape, args);                                               \
  }                                                                           \
  void symbol##_reduce(const tsr_host_args *args) {                           \
    reduce(&symbol##_shape, args);                                            \
  }                                                                           \
  void symbol##_pack(const tsr_host_args *args) {                             \
    pack(&symbol##_shape, args);                                              \
  }
#include "layers.def"

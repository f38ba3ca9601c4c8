// SPDX-License-Identifier: Apache-2.0
// Which kernels serve a layer, under which names, with how much scratch. No
// LLVM work; the numbers are those of the widest variant.
#include <stdio.h>
#include <string.h>

#include "host.h"

enum { GEMV_DENSE_LAST = 4, BATCH_LAST = 16 };

// Accumulators of a gemm chunk stay within this, so that they and the slice of
// X fit the second cache (1 MiB on Zen 4, 1..2 MiB on recent Intel).
enum { CHUNK_BUDGET = 256 * 1024 };

static uint32_t divide_up(uint32_t a, uint32_t b) {
  return a / b + (a % b != 0);
}

host_shape tsr_host_shape(const tsr_kernel_spec *spec) {
  host_shape shape = {0};
  uint32_t rows = spec->tile.rows;
  uint32_t columns = spec->tile.columns;
  shape.panel_count = divide_up(spec->rows, rows);
  shape.tile_count = divide_up(spec->columns, columns);
  shape.quads = divide_up(spec->columns, TSR_HOST_QUAD);
  shape.tile_quads = columns / TSR_HOST_QUAD;
  shape.last_quads = divide_up(spec->columns % columns, TSR_HOST_QUAD);
  shape.last_valid = (spec->columns - 1) % TSR_HOST_QUAD + 1;
  shape.micros = rows / TSR_HOST_MICRO_ROWS;
  shape.tail_units = rows % TSR_HOST_MICRO_ROWS / TSR_HOST_UNIT_ROWS;
  shape.micro_slots = divide_up(rows, TSR_HOST_MICRO_ROWS);
  shape.last_rows = spec->rows % rows;
  shape.last_micros = shape.last_rows / TSR_HOST_MICRO_ROWS;
  shape.last_tail_units =
      divide_up(shape.last_rows % TSR_HOST_MICRO_ROWS, TSR_HOST_UNIT_ROWS);
  return shape;
}

// Where batch begins to win: later with 2:4 tiles, which gemv multiplies as
// they lie and batch expands (measured; docs/host-kernels.md).
static uint32_t gemv_last(const tsr_kernel_spec *spec) {
  bool sparse = (spec->kinds & 1u << TSR_KIND_SPARSE24) != 0;
  return sparse ? (uint32_t)HOST_GEMV_TOKENS : (uint32_t)GEMV_DENSE_LAST;
}

host_strategy tsr_host_strategy(const tsr_kernel_spec *spec) {
  if (spec->token_last <= gemv_last(spec)) return HOST_GEMV;
  return spec->token_last <= BATCH_LAST ? HOST_BATCH : HOST_GEMM;
}

// A multiple of 12, which every register block's token count divides.
static uint32_t gemm_chunk(uint32_t tile_rows) {
  uint32_t chunk = CHUNK_BUDGET / (tile_rows * 16) / 12 * 12;
  if (chunk < 24) chunk = 24;
  return chunk > 192 ? 192 : chunk;
}

host_sizes tsr_host_sizes(const tsr_kernel_spec *spec) {
  host_sizes sizes = {0};
  host_shape shape = tsr_host_shape(spec);
  uint64_t token = HOST_GEMV_TOKEN_SIZE;
  uint64_t tokens = spec->token_last;
  host_strategy strategy = tsr_host_strategy(spec);
  sizes.chunk = spec->token_last;
  if (strategy != HOST_GEMV) {
    token = HOST_BLOCK_TOKEN_SIZE;
    sizes.chunk = strategy == HOST_BATCH ? (uint32_t)BATCH_LAST
                                         : gemm_chunk(spec->tile.rows);
    tokens = (sizes.chunk + 11) / 12 * 12;
  }
  sizes.accumulators = shape.micro_slots * tokens * token;
  sizes.sums = sizes.accumulators;
  sizes.expanded = sizes.sums + (uint64_t)sizes.chunk * spec->tile.rows * 4;
  sizes.expanded = (sizes.expanded + 63) / 64 * 64;
  sizes.total = sizes.expanded;
  if (strategy != HOST_GEMV) {
    sizes.total += (uint64_t)shape.tile_quads * 4 * HOST_UNIT_F32_SIZE;
  }
  return sizes;
}

static const char *strategy_name(host_strategy strategy) {
  static const char *const names[] = {"gemv", "batch", "gemm"};
  return names[strategy];
}

static void write_name(const tsr_kernel_spec *spec, char *out, size_t size) {
  char tokens[32];
  if (spec->token_last == UINT32_MAX) {
    (void)snprintf(tokens, sizeof(tokens), "n%uup", spec->token_first);
  } else if (spec->token_first == spec->token_last) {
    (void)snprintf(tokens, sizeof(tokens), "n%u", spec->token_first);
  } else {
    (void)snprintf(tokens, sizeof(tokens), "n%uto%u", spec->token_first,
                   spec->token_last);
  }
  bool sparse = (spec->kinds & 1u << TSR_KIND_SPARSE24) != 0;
  bool dense = (spec->kinds & 1u << TSR_KIND_DENSE) != 0;
  (void)snprintf(out, size, "tsr_%s_%s_%ux%u_t%ux%u_%s%s%s_%s%s%s_%s_%s",
                 strategy_name(tsr_host_strategy(spec)),
                 tsr_dtype_name(spec->weight_type), spec->rows, spec->columns,
                 spec->tile.rows, spec->tile.columns, sparse ? "s" : "",
                 dense ? "d" : "", sparse || dense ? "" : "z",
                 tsr_activation_name(spec->activation),
                 spec->has_bias ? "_b" : "", spec->has_residual ? "_r" : "",
                 tsr_dtype_name(spec->output_type), tokens);
}

static void describe(const tsr_kernel_spec *spec, uint32_t first, uint32_t last,
                     tsr_kernel *out) {
  memset(out, 0, sizeof(*out));
  out->spec = *spec;
  out->spec.token_first = first;
  out->spec.token_last = last;
  out->spec.kinds &= 1u << TSR_KIND_SPARSE24 | 1u << TSR_KIND_DENSE;
  write_name(&out->spec, out->name, sizeof(out->name));
  host_strategy strategy = tsr_host_strategy(&out->spec);
  out->strategy = strategy_name(strategy);
  (void)snprintf(out->run_symbol, sizeof(out->run_symbol), "%s_run", out->name);
  (void)snprintf(out->reduce_symbol, sizeof(out->reduce_symbol), "%s_reduce",
                 out->name);
  out->scratch_base = tsr_host_sizes(&out->spec).total;
  if (strategy == HOST_GEMV) return;
  (void)snprintf(out->pack_symbol, sizeof(out->pack_symbol), "%s_pack",
                 out->name);
  // Blocks of up to HOST_MAX_BLOCK tokens, 4 floats per quad and token.
  out->packed_per_token = (uint64_t)tsr_host_shape(spec).quads * 16;
  out->packed_base = out->packed_per_token * (HOST_MAX_BLOCK - 1);
}

uint32_t tsr_codegen_plan(const tsr_kernel_spec *spec,
                          tsr_kernel out_kernels[TSR_KERNEL_LIMIT]) {
  uint32_t count = 0;
  uint32_t first = spec->token_first < 1 ? 1 : spec->token_first;
  while (first <= spec->token_last && count < TSR_KERNEL_LIMIT) {
    uint32_t last = UINT32_MAX;
    if (first <= BATCH_LAST) last = BATCH_LAST;
    if (first <= gemv_last(spec)) last = first;
    if (last > spec->token_last) last = spec->token_last;
    describe(spec, first, last, &out_kernels[count++]);
    if (last == UINT32_MAX) break;
    first = last + 1;
  }
  return count;
}

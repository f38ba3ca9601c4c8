// SPDX-License-Identifier: Apache-2.0
// States what the packed layout means: kernels that load its words as they lie,
// 16 bytes per lane, and give them to matrix instructions compute W X^T. On
// the emulated driver, which knows the PTX ISA's layouts and nothing of ours.
//  mma: one warp, row block after row block; mma.m16n8k16 takes a fragment of a
//    dense tile, mma.sp::ordered_metadata.m16n8k32 one of a 2:4 tile.
//  wgmma: a warpgroup, row group after row group, A in registers; warp i has
//    the words of row block i.
// Values are small integers: sums are exact, results must be equal.
#include <stdlib.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "harness.h"
#include "tile.h"

enum { TOKENS = 8 };

typedef struct tile_case {
  uint32_t rows, columns;
  tsr_kind kind;
  tsr_dtype type;
} tile_case;

static matrix m;
static float x[TOKENS][COLUMNS];
static float y[ROWS][TOKENS];
static uint64_t state = 5;

static uint32_t padded_rows(const tile_case *c) {
  return (c->rows + 15) / 16 * 16;
}

static uint32_t padded_columns(const tile_case *c) {
  return (c->columns + 31) / 32 * 32;
}

// ---- Text ------------------------------------------------------------------

static void begin_kernel(tsr_buffer *text, const char *target) {
  tsr_buffer_printf(text,
                    ".version 8.5\n.target %s\n.address_size 64\n"
                    ".extern .shared .align 128 .b8 image[];\n"
                    ".visible .entry k(.param .u64 pw, .param .u64 px,"
                    " .param .u64 py) {\n"
                    ".reg .b64 %%w, %%words, %%meta, %%x, %%y, %%desc, %%q;\n"
                    ".reg .b32 %%tid, %%warp, %%lane, %%g, %%t, %%o;\n"
                    ".reg .b32 %%a<4>, %%b<4>, %%e<4>;\n"
                    ".reg .f32 %%d<4>;\n.reg .pred %%p, %%keep;\n",
                    target);
  tsr_buffer_append_string(
      text,
      "ld.param.u64 %w, [pw];\nld.param.u64 %x, [px];\n"
      "ld.param.u64 %y, [py];\nmov.u32 %tid, %tid.x;\n"
      "shr.u32 %warp, %tid, 5;\nand.b32 %lane, %tid, 31;\n"
      "shr.u32 %g, %lane, 2;\nand.b32 %t, %lane, 3;\n"
      // Y^T: row 16 warp + g, tokens 2t and 2t + 1.
      "mad.lo.u32 %o, %warp, 16, %g;\nshl.b32 %o, %o, 3;\n"
      "mad.lo.u32 %o, %t, 2, %o;\nmul.wide.u32 %q, %o, 4;\n"
      "add.u64 %y, %y, %q;\n"
      "mul.wide.u32 %q, %lane, 16;\nadd.u64 %words, %w, %q;\n");
}

static void zero_sums(tsr_buffer *text) {
  for (int i = 0; i < 4; ++i) {
    tsr_buffer_printf(text, "mov.f32 %%d%d, 0f00000000;\n", i);
  }
}

// |guard|: "" or "@%p ". |row|: first of the row block or row group.
static void store_sums(tsr_buffer *text, const char *guard, uint32_t row) {
  uint32_t at = row * TOKENS * 4;
  tsr_buffer_printf(text,
                    "%sst.global.v2.f32 [%%y+%u], {%%d0,%%d1};\n"
                    "%sst.global.v2.f32 [%%y+%u], {%%d2,%%d3};\n",
                    guard, at, guard, at + 8 * TOKENS * 4);
}

// %meta: this lane's metadata words of a unit of |blocks| row blocks.
static void locate_metadata(tsr_buffer *text, uint32_t blocks) {
  tsr_buffer_printf(text,
                    "mul.wide.u32 %%q, %%lane, %u;\nadd.u64 %%meta, %%w, "
                    "%%q;\n",
                    4 * tsr_fragment_metadata_words(blocks));
}

// All words of the lane in one access; block i's is %e<i>.
static void load_metadata(tsr_buffer *text, uint32_t blocks, uint64_t unit) {
  static const char *const forms[5] = {"", "b32 %e0", "v2.b32 {%e0,%e1}", "",
                                       "v4.b32 {%e0,%e1,%e2,%e3}"};
  tsr_buffer_printf(text, "ld.global.%s, [%%meta+%llu];\n",
                    forms[tsr_fragment_metadata_words(blocks)],
                    (unsigned long long)unit);
}

// One fragment times 8 tokens. |k|: its first column of the tile.
static void write_mma(tsr_buffer *text, const tile_case *c, uint64_t fragment,
                      uint32_t k, uint32_t block, uint32_t step) {
  const char *type = tsr_dtype_name(c->type);
  bool sparse = c->kind == TSR_KIND_SPARSE24;
  tsr_buffer_printf(text,
                    "ld.global.v4.b32 {%%a0,%%a1,%%a2,%%a3}, "
                    "[%%words+%llu];\n",
                    (unsigned long long)fragment);
  for (uint32_t i = 0; i < (sparse ? 4 : 2); ++i) {
    tsr_buffer_printf(text, "ld.global.b32 %%b%u, [%%x+%u];\n", i,
                      2 * (k + 8 * i));
  }
  if (sparse) {
    tsr_buffer_printf(
        text,
        "mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.f32.%s.%s.f32 "
        "{%%d0,%%d1,%%d2,%%d3}, {%%a0,%%a1,%%a2,%%a3}, {%%b0,%%b1,%%b2,%%b3}, "
        "{%%d0,%%d1,%%d2,%%d3}, %%e%u, %u;\n",
        type, type, block, step);
  } else {
    tsr_buffer_printf(text,
                      "mma.sync.aligned.m16n8k16.row.col.f32.%s.%s.f32 "
                      "{%%d0,%%d1,%%d2,%%d3}, {%%a0,%%a1,%%a2,%%a3}, "
                      "{%%b0,%%b1}, {%%d0,%%d1,%%d2,%%d3};\n",
                      type, type);
  }
}

static void write_mma_block(tsr_buffer *text, const tile_case *c,
                            uint32_t group, uint32_t block) {
  uint32_t blocks = tsr_fragment_group_blocks(c->rows, group);
  zero_sums(text);
  for (uint32_t chunk = 0; chunk < tsr_fragment_chunks(c->columns); ++chunk) {
    uint64_t unit =
        tsr_fragment_unit_offset(c->rows, c->columns, c->kind, chunk, group);
    if (c->kind == TSR_KIND_SPARSE24) load_metadata(text, blocks, unit);
    uint32_t steps = tsr_fragment_chunk_steps(c->columns, c->kind, chunk);
    for (uint32_t i = 0; i < steps; ++i) {
      uint32_t k = 64 * chunk + i * tsr_fragment_step_columns(c->kind);
      write_mma(text, c, unit + tsr_fragment_offset(blocks, c->kind, i, block),
                k, block, i);
    }
  }
  store_sums(text, "", 64 * group + 16 * block);
}

// X is row-major [TOKENS, padded columns]: lane (g, t) takes token g.
static void write_mma_kernel(tsr_buffer *text, const tile_case *c) {
  begin_kernel(text, "sm_80");
  tsr_buffer_printf(text,
                    "mul.lo.u32 %%o, %%g, %u;\nmad.lo.u32 %%o, %%t, 2, %%o;\n"
                    "mul.wide.u32 %%q, %%o, 2;\nadd.u64 %%x, %%x, %%q;\n",
                    padded_columns(c));
  for (uint32_t group = 0; group < tsr_fragment_groups(c->rows); ++group) {
    uint32_t blocks = tsr_fragment_group_blocks(c->rows, group);
    locate_metadata(text, blocks);
    for (uint32_t block = 0; block < blocks; ++block) {
      write_mma_block(text, c, group, block);
    }
  }
  tsr_buffer_append_string(text, "ret;\n}\n");
}

// X to shared memory; %desc: its descriptor (no swizzle, core matrices of 8
// tokens x 16 bytes, 128 bytes apart along K).
static void load_image(tsr_buffer *text, uint32_t size) {
  tsr_buffer_printf(
      text,
      "shl.b32 %%o, %%tid, 4;\nCOPY:\nsetp.lt.u32 %%p, %%o, %u;\n"
      "@!%%p bra.uni LOADED;\ncvt.u64.u32 %%q, %%o;\nadd.u64 %%q, %%q, %%x;\n"
      "ld.global.v4.b32 {%%a0,%%a1,%%a2,%%a3}, [%%q];\n"
      "mov.u32 %%e0, image;\nadd.u32 %%e0, %%e0, %%o;\n"
      "st.shared.v4.b32 [%%e0], {%%a0,%%a1,%%a2,%%a3};\n"
      "add.u32 %%o, %%o, 2048;\nbra COPY;\nLOADED:\n"
      "fence.proxy.async;\nbar.sync 0;\n"
      "mov.u32 %%e0, image;\nshr.u32 %%e0, %%e0, 4;\n"
      "cvt.u64.u32 %%desc, %%e0;\nor.b64 %%desc, %%desc, %llu;\n",
      size, (unsigned long long)(8ull << 16 | 8ull << 32));
}

static void write_wgmma(tsr_buffer *text, const tile_case *c, uint64_t fragment,
                        uint32_t k, uint32_t step) {
  const char *type = tsr_dtype_name(c->type);
  bool sparse = c->kind == TSR_KIND_SPARSE24;
  for (int i = 0; i < 4; ++i) {
    tsr_buffer_printf(text, "mov.b32 %%a%d, 0;\n", i);
  }
  tsr_buffer_printf(text,
                    "@%%p ld.global.v4.b32 {%%a0,%%a1,%%a2,%%a3}, "
                    "[%%words+%llu];\n",
                    (unsigned long long)fragment);
  // 16 columns of K are two core matrices, 256 bytes: 16 in the descriptor.
  tsr_buffer_printf(text,
                    "add.u64 %%q, %%desc, %u;\nwgmma.fence.sync.aligned;\n"
                    "wgmma.mma_async%s.sync.aligned.m64n8k%u.f32.%s.%s "
                    "{%%d0,%%d1,%%d2,%%d3}, {%%a0,%%a1,%%a2,%%a3}, %%q",
                    k, sparse ? ".sp" : "", sparse ? 32 : 16, type, type);
  if (sparse) tsr_buffer_printf(text, ", %%e0, %u", step);
  tsr_buffer_append_string(text,
                           ", %keep, 1, 1, 0;\n"
                           "wgmma.commit_group.sync.aligned;\n"
                           "wgmma.wait_group.sync.aligned 0;\n");
}

// Warps beyond the group's row blocks multiply zeros.
static void write_wgmma_group(tsr_buffer *text, const tile_case *c,
                              uint32_t group) {
  uint32_t blocks = tsr_fragment_group_blocks(c->rows, group);
  zero_sums(text);
  tsr_buffer_printf(text, "setp.lt.u32 %%p, %%warp, %u;\n", blocks);
  locate_metadata(text, blocks);
  tsr_buffer_append_string(text,
                           "mul.wide.u32 %q, %warp, 4;\n"
                           "add.u64 %meta, %meta, %q;\n");
  for (uint32_t chunk = 0; chunk < tsr_fragment_chunks(c->columns); ++chunk) {
    uint64_t unit =
        tsr_fragment_unit_offset(c->rows, c->columns, c->kind, chunk, group);
    if (c->kind == TSR_KIND_SPARSE24) {
      tsr_buffer_printf(text,
                        "mov.b32 %%e0, 0x44444444;\n"
                        "@%%p ld.global.b32 %%e0, [%%meta+%llu];\n",
                        (unsigned long long)unit);
    }
    uint32_t steps = tsr_fragment_chunk_steps(c->columns, c->kind, chunk);
    for (uint32_t i = 0; i < steps; ++i) {
      uint32_t k = 64 * chunk + i * tsr_fragment_step_columns(c->kind);
      write_wgmma(text, c, unit + tsr_fragment_offset(blocks, c->kind, i, 0), k,
                  i);
    }
  }
  store_sums(text, "@%p ", 64 * group);
}

static void write_wgmma_kernel(tsr_buffer *text, const tile_case *c) {
  begin_kernel(text, "sm_90a");
  load_image(text, TOKENS * 2 * padded_columns(c));
  tsr_buffer_append_string(text,
                           "setp.eq.u32 %keep, %tid, %tid;\n"
                           "mul.wide.u32 %q, %warp, 512;\n"
                           "add.u64 %words, %words, %q;\n");
  for (uint32_t group = 0; group < tsr_fragment_groups(c->rows); ++group) {
    write_wgmma_group(text, c, group);
  }
  tsr_buffer_append_string(text, "ret;\n}\n");
}

// ---- Running ---------------------------------------------------------------

static void fill(const tile_case *c) {
  matrix_fill(&m, &state, c->kind, matrix_integer);
  for (uint32_t n = 0; n < TOKENS; ++n) {
    for (uint32_t k = 0; k < COLUMNS; ++k) {
      // Also where W has padding: it must not matter.
      x[n][k] = matrix_integer(&state);
    }
  }
}

// X as the kernel wants it, 16-bit.
static void write_input(const tile_case *c, bool is_image, uint16_t *out) {
  uint32_t columns = padded_columns(c);
  for (uint32_t n = 0; n < TOKENS; ++n) {
    for (uint32_t k = 0; k < columns; ++k) {
      uint32_t at = is_image ? k / 8 * 64 + n * 8 + k % 8 : n * columns + k;
      out[at] = number_bits(x[n][k], c->type);
    }
  }
}

static uint32_t count_wrong(const tile_case *c) {
  uint32_t wrong = 0;
  for (uint32_t row = 0; row < padded_rows(c); ++row) {
    for (uint32_t n = 0; n < TOKENS; ++n) {
      double sum = 0;
      for (uint32_t k = 0; k < c->columns && row < c->rows; ++k) {
        sum += (double)m.values[row][k] * (double)x[n][k];
      }
      wrong += (double)y[row][n] != sum;
    }
  }
  return wrong;
}

static uint64_t matrix_instructions(const emu *e) {
  uint64_t count = 0;
  for (size_t i = 0; i < sizeof(e->launch.profile.matrix) /
                             sizeof(e->launch.profile.matrix[0]);
       ++i) {
    count += e->launch.profile.matrix[i].count;
  }
  return count;
}

static void run_case(emu *e, const tile_case *c, bool is_group) {
  static uint16_t input[TOKENS * COLUMNS];
  uint64_t size = tsr_fragment_tile_size(c->rows, c->columns, c->kind);
  uint8_t *packed = tsr_malloc(size);
  tsr_buffer text;
  tsr_buffer_init(&text);
  fill(c);
  write_input(c, is_group, input);
  matrix_pack(&m, 0, c->rows, c->columns, c->kind, c->type, packed);
  if (is_group) {
    write_wgmma_kernel(&text, c);
  } else {
    write_mma_kernel(&text, c);
  }
  emu_must_load(e, tsr_buffer_text(&text));
  uint64_t input_size = (uint64_t)padded_columns(c) * TOKENS * 2;
  uint64_t args[3] = {emu_upload(e, packed, size),
                      emu_upload(e, input, input_size),
                      emu_upload(e, NULL, sizeof(y))};
  emu_dims dims = {.block = {is_group ? 128 : 32, 1, 1},
                   .shared = (uint32_t)input_size};
  bool is_clean = emu_launch(e, "k", dims, args, 3);
  memset(y, 0xff, sizeof(y));
  emu_download(e, y, args[2], (uint64_t)padded_rows(c) * TOKENS * 4);
  for (int i = 0; i < 3; ++i) (void)tsr_heap_free(e->heap, args[i]);
  uint32_t wrong = count_wrong(c);
  CHECK(is_clean);
  CHECK_EQ(wrong, 0);
  if (!is_clean || wrong != 0) {
    fprintf(stderr, "%s %ux%u %s %s: %s\n", is_group ? "wgmma" : "mma", c->rows,
            c->columns, c->kind == TSR_KIND_DENSE ? "dense" : "2:4",
            tsr_dtype_name(c->type), emu_findings(e));
  }
  // The cost that schedules are made with is the count of instructions (of
  // warps; a warpgroup has four, needed or not).
  uint32_t rows = is_group ? (c->rows + 63) / 64 * 64 : c->rows;
  CHECK_EQ(matrix_instructions(e),
           tsr_fragment_tile_time(rows, c->columns, c->kind));
  tsr_buffer_fini(&text);
  tsr_free(packed);
}

static void run_all(const char *device, bool is_group) {
  static const tsr_tile_shape shapes[] = {
      {16, 32},   {32, 64},   {48, 96},  {64, 64}, {128, 128}, {80, 96},
      {128, 256}, {120, 100}, {37, 150}, {1, 7},   {256, 512}};
  emu e;
  emu_init(&e, device);
  for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); ++i) {
    for (int form = 0; form < 4; ++form) {
      tile_case c = {shapes[i].rows, shapes[i].columns,
                     form & 1 ? TSR_KIND_SPARSE24 : TSR_KIND_DENSE,
                     form & 2 ? TSR_DTYPE_F16 : TSR_DTYPE_BF16};
      run_case(&e, &c, is_group);
    }
  }
  emu_fini(&e);
}

int main(void) {
  run_all("a100", false);
  run_all("h100", true);
  return test_finish();
}

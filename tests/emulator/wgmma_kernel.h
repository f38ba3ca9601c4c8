// SPDX-License-Identifier: Apache-2.0
// A kernel of one warpgroup around one wgmma.mma_async, and what it should
// give: shared memory is an image made on the host by the pictures of PTX ISA
// 9.7.15.5.1 (swizzled rows of chunks), not by the emulator's address formula.
#ifndef TESTS_EMULATOR_WGMMA_KERNEL_H_
#define TESTS_EMULATOR_WGMMA_KERNEL_H_

#include <stdlib.h>

#include "matrix.h"

enum { WG_IMAGE = 96 * 1024, WG_B = 32 * 1024, WG_BASE = 1024 };

typedef struct wg_matrix {  // an operand in shared memory
  uint32_t swizzle;         // bytes: 0, 32, 64, 128
  bool across;              // MN-major
  uint32_t step;            // which slice of K within a swizzled row
  uint64_t descriptor;
} wg_matrix;

typedef struct wg_case {
  mat_type a_type, b_type, c_type;
  uint32_t n, k, kept, selector;
  bool a_registers, negate_a, negate_b, keep;  // keep: scale-d
  bool saturate;
  wg_matrix a_at, b_at;
  uint32_t a[64][32], at[64][32], b[64][256], c[64][256], d[64][256];
  uint32_t metadata[128];
  unsigned char image[WG_IMAGE];
} wg_case;

static inline bool wg_sparse(const wg_case *w) {
  return w->kept != w->k;
}

// Puts element (line, k) of A or B at its place in |image| + |start|.
// |lines|: of M or N; |bytes|: of K.
static inline void wg_place(unsigned char *image, uint32_t start,
                            const wg_matrix *at, mat_type type, uint32_t lines,
                            uint32_t bytes, uint32_t line, uint32_t k,
                            uint32_t bits) {
  uint32_t size = mat_formats[type].bits / 8, pitch = at->swizzle, offset;
  if (!at->across && pitch == 0) {
    // Core matrices of 8 rows of 16 bytes; neighbours along K 128 bytes apart.
    uint32_t x = k * size;
    offset = line / 8 * 8 * bytes + x / 16 * 128 + line % 8 * 16 + x % 16;
  } else if (!at->across) {
    uint32_t x = k * size + at->step * 32, chunk = x / 16;
    uint32_t turn = line % 8 / (128 / pitch);
    offset = line * pitch + (chunk ^ turn) * 16 + x % 16;
  } else if (pitch == 0) {
    // Core matrices of 8 K of 8 elements; along MN 128 bytes apart.
    offset = line / 8 * 128 + k / 8 * 16 * lines + k % 8 * 16 + line % 8 * 2;
  } else {
    // Atoms of |pitch| bytes of MN times 8 K, along MN first.
    uint32_t per = pitch / 2, chunk = line % per / 8;
    uint32_t atoms = (lines + per - 1) / per, turn = k % 8 / (128 / pitch);
    offset = (k / 8 * atoms + line / per) * 8 * pitch + k % 8 * pitch +
             (chunk ^ turn) * 16 + line % 8 * 2;
  }
  memcpy(image + start + offset, &bits, size);
}

static inline uint64_t wg_descriptor(uint32_t start, const wg_matrix *at,
                                     uint32_t lines, uint32_t bytes) {
  uint64_t leading, stride,
      mode = at->swizzle == 0     ? 0
             : at->swizzle == 128 ? 1
             : at->swizzle == 64  ? 2
                                  : 3;
  uint32_t pitch = at->swizzle, address = WG_BASE + start;
  if (!at->across) {
    leading = pitch == 0 ? 128 : 16;  // not used with a swizzle
    stride = pitch == 0 ? 8 * bytes : 8 * pitch;
    if (pitch != 0) address += at->step * 32;
  } else if (pitch == 0) {
    leading = 16 * lines;  // next 8 K
    stride = 128;          // next 8 of MN
  } else {
    uint32_t per = pitch / 2;
    leading = 8 * pitch;
    stride = (lines + per - 1) / per * 8 * pitch;
  }
  return (uint64_t)(address >> 4) | (leading >> 4) << 16 | (stride >> 4) << 32 |
         mode << 62;
}

// Lane and lowest bit of the metadata of |row| (of 16) from |column| on.
static inline void wg_metadata_place(const wg_case *w, uint32_t row,
                                     uint32_t column, uint32_t *lane,
                                     uint32_t *bit) {
  uint32_t group = row % 8 * 4, high = row / 8;
  if (mat_formats[w->a_type].bits == 8) {
    *lane = group + high + (column >= 32 ? 2 : 0);
    *bit = column % 32;
  } else {
    *lane = group + 2 * w->selector + (column >= w->k / 2 ? 1 : 0);
    *bit = high * 16 + column % (w->k / 2) * 32 / w->k;
  }
}

static inline void wg_fill_metadata(wg_case *w, uint64_t *state) {
  static const uint32_t codes[6] = {0x4, 0x8, 0x9, 0xc, 0xd, 0xe};
  bool single = w->a_type == MAT_TF32;
  uint32_t size = single ? 2 : 4;
  for (uint32_t row = 0; row < 64; ++row) {
    for (uint32_t column = 0; column < w->k; column += size) {
      uint32_t code = codes[random_next(state) % 6], lane, bit;
      uint32_t *at = &w->at[row][column / 2];
      if (single) code = code < 9 ? 0x4 : 0xe;
      at[0] = column + (single ? (code == 0xe ? 1 : 0) : (code & 3));
      if (!single) at[1] = column + (code >> 2);
      wg_metadata_place(w, row % 16, column, &lane, &bit);
      w->metadata[row / 16 * 32 + lane] |= code << bit;
    }
  }
}

// Draws the matrices, lays them out, and computes D.
static inline void wg_prepare(wg_case *w, uint64_t *state) {
  uint32_t a_bytes = w->kept * mat_formats[w->a_type].bits / 8;
  uint32_t b_bytes = w->k * mat_formats[w->b_type].bits / 8;
  memset(w->image, 0x55, sizeof(w->image));
  memset(w->metadata, 0, sizeof(w->metadata));
  for (uint32_t row = 0; row < 64; ++row) {
    for (uint32_t i = 0; i < w->kept; ++i) {
      w->a[row][i] = mat_random(w->a_type, state);
      w->at[row][i] = i;
      if (!w->a_registers) {
        wg_place(w->image, 0, &w->a_at, w->a_type, 64, a_bytes, row, i,
                 w->a[row][i]);
      }
    }
  }
  for (uint32_t n = 0; n < w->n; ++n) {
    for (uint32_t k = 0; k < w->k; ++k) {
      w->b[k][n] = mat_random(w->b_type, state);
      wg_place(w->image, WG_B, &w->b_at, w->b_type, w->n, b_bytes, n, k,
               w->b[k][n]);
    }
  }
  if (wg_sparse(w)) wg_fill_metadata(w, state);
  w->a_at.descriptor = wg_descriptor(0, &w->a_at, 64, a_bytes);
  w->b_at.descriptor = wg_descriptor(WG_B, &w->b_at, w->n, b_bytes);
  static double a[64][32], b[64][256];
  double sign = w->negate_a != w->negate_b ? -1.0 : 1.0;
  for (uint32_t i = 0; i < 64 * 32; ++i) {
    a[i / 32][i % 32] = sign * mat_value(w->a_type, w->a[i / 32][i % 32]);
  }
  for (uint32_t i = 0; i < 64 * w->n; ++i) {
    b[i / w->n][i % w->n] = mat_value(w->b_type, w->b[i / w->n][i % w->n]);
  }
  for (uint32_t row = 0; row < 64; ++row) {
    for (uint32_t n = 0; n < w->n; ++n) {
      w->c[row][n] = mat_random(w->c_type, state);
      double sum = w->keep ? mat_value(w->c_type, w->c[row][n]) : 0.0;
      for (uint32_t i = 0; i < w->kept; ++i) {
        sum += a[row][i] * b[w->at[row][i]][n];
      }
      w->d[row][n] = mat_accumulator(w->c_type, sum, w->saturate);
    }
  }
}

// --- The kernel -------------------------------------------------------------

// PTX put in at places of the kernel; NULL: nothing.
typedef struct wg_hooks {
  const char *no_proxy_fence, *no_fence;  // not NULL: left out
  const char *after_fence, *after_mma, *after_commit;
  const char *no_wait;
  const char *after_wait;
} wg_hooks;

static inline uint32_t wg_registers(const wg_case *w) {
  return w->c_type == MAT_F16 ? w->n / 4 : w->n / 2;
}

static inline const char *wg_text(const char *text) {
  return text == NULL ? "" : text;
}

static inline void wg_write_mma(const wg_case *w, tsr_buffer *text) {
  bool whole = mat_integer(w->a_type);
  uint32_t at = 0;
  tsr_buffer_printf(
      text, "wgmma.mma_async%s.sync.aligned.m64n%uk%u.%s.%s.%s%s ",
      wg_sparse(w) ? ".sp" : "", w->n, w->k, mat_formats[w->c_type].name,
      mat_formats[w->a_type].name, mat_formats[w->b_type].name,
      w->saturate ? ".satfinite" : "");
  mat_vector(text, 'd', &at, wg_registers(w));
  tsr_buffer_append_string(text,
                           w->a_registers ? ",{%a0,%a1,%a2,%a3}" : ",%da");
  tsr_buffer_append_string(text, ",%db");
  if (wg_sparse(w)) tsr_buffer_printf(text, ",%%m,%u", w->selector);
  tsr_buffer_append_string(text, ",%keep");
  if (!whole) {
    tsr_buffer_printf(text, ",%d,%d", w->negate_a ? -1 : 1,
                      w->negate_b ? -1 : 1);
  }
  if (mat_formats[w->a_type].bits == 16) {
    if (!w->a_registers) tsr_buffer_printf(text, ",%d", w->a_at.across);
    tsr_buffer_printf(text, ",%d", w->b_at.across);
  }
  tsr_buffer_append_string(text, ";\n");
}

// Parameters: image, registers in (A, metadata, D; 128 words each), D out, two
// descriptors. |%i| counts bytes, |%thr4| is 4 tid.
static inline void wg_write(const wg_case *w, const wg_hooks *hooks,
                            tsr_buffer *text) {
  uint32_t count = wg_registers(w);
  tsr_buffer_append_string(
      text,
      ".version 8.7\n.target sm_90a\n.address_size 64\n"
      ".extern .shared .align 1024 .b8 smem[];\n"
      ".visible .entry k(.param .u64 pimage, .param .u64 pin, "
      ".param .u64 pout, .param .u64 pda, .param .u64 pdb) {\n"
      ".reg .b64 %image, %in, %out, %da, %db, %p64;\n"
      ".reg .b32 %thr, %thr4, %i, %s, %base, %m, %v<4>, %a<4>, %w;\n"
      ".reg .pred %more, %keep, %q;\n");
  tsr_buffer_printf(text, ".reg .b32 %%d<%u>;\n", count);
  tsr_buffer_append_string(
      text,
      "ld.param.u64 %image, [pimage];\nld.param.u64 %in, [pin];\n"
      "ld.param.u64 %out, [pout];\nld.param.u64 %da, [pda];\n"
      "ld.param.u64 %db, [pdb];\nmov.u32 %thr, %tid.x;\n"
      "shl.b32 %thr4, %thr, 2;\nshr.u32 %w, %thr, 5;\n"
      "shl.b32 %i, %thr, 4;\nmov.u32 %base, smem;\n"
      "COPY:\ncvt.u64.u32 %p64, %i;\nadd.u64 %p64, %p64, %image;\n"
      "ld.global.v4.b32 {%v0,%v1,%v2,%v3}, [%p64];\n"
      "add.u32 %s, %i, %base;\n"
      "st.shared.v4.b32 [%s], {%v0,%v1,%v2,%v3};\n");
  tsr_buffer_printf(text,
                    "add.u32 %%i, %%i, 2048;\n"
                    "setp.lt.u32 %%more, %%i, %u;\n@%%more bra COPY;\n"
                    "cvt.u64.u32 %%p64, %%thr4;\nadd.u64 %%in, %%in, %%p64;\n"
                    "add.u64 %%out, %%out, %%p64;\n"
                    "setp.eq.u32 %%keep, 0, %d;\n",
                    WG_IMAGE, w->keep ? 0 : 1);
  for (uint32_t i = 0; i < 4; ++i) {
    tsr_buffer_printf(text, "ld.global.b32 %%a%u, [%%in+%u];\n", i, i * 512);
  }
  tsr_buffer_append_string(text, "ld.global.b32 %m, [%in+2048];\n");
  for (uint32_t i = 0; i < count; ++i) {
    tsr_buffer_printf(text, "ld.global.b32 %%d%u, [%%in+%u];\n", i,
                      (5 + i) * 512);
  }
  if (hooks->no_proxy_fence == NULL) {
    tsr_buffer_append_string(text, "fence.proxy.async;\n");
  }
  tsr_buffer_append_string(text, "bar.sync 0;\n");
  if (hooks->no_fence == NULL) {
    tsr_buffer_append_string(text, "wgmma.fence.sync.aligned;\n");
  }
  tsr_buffer_append_string(text, wg_text(hooks->after_fence));
  wg_write_mma(w, text);
  tsr_buffer_append_string(text, wg_text(hooks->after_mma));
  tsr_buffer_append_string(text, "wgmma.commit_group.sync.aligned;\n");
  tsr_buffer_append_string(text, wg_text(hooks->after_commit));
  if (hooks->no_wait == NULL) {
    tsr_buffer_append_string(text, "wgmma.wait_group.sync.aligned 0;\n");
  }
  tsr_buffer_append_string(text, wg_text(hooks->after_wait));
  for (uint32_t i = 0; i < count && hooks->no_wait == NULL; ++i) {
    tsr_buffer_printf(text, "st.global.b32 [%%out+%u], %%d%u;\n", i * 512, i);
  }
  tsr_buffer_append_string(text, "DONE:\nret;\n}\n");
}

// Element i of the accumulators of |thread|.
static inline void wg_d_place(uint32_t thread, uint32_t i, uint32_t *row,
                              uint32_t *column) {
  uint32_t lane = thread % 32;
  *row = thread / 32 * 16 + lane / 4 + (i / 2 % 2 == 1 ? 8 : 0);
  *column = i / 4 * 8 + lane % 4 * 2 + i % 2;
}

// Launches with |threads| threads; true when nothing was found. |same|: D was
// as computed.
static inline bool wg_run(emu *e, const wg_case *w, const wg_hooks *hooks,
                          uint32_t threads, bool *same) {
  static uint32_t in[5 + 128][128], out[128][128];
  uint32_t count = wg_registers(w), packed = mat_packed(w->c_type);
  memset(in, 0, sizeof(in));
  for (uint32_t thread = 0; thread < 128; ++thread) {
    uint32_t e_a = mat_packed(w->a_type), lane = thread % 32, row, column;
    for (uint32_t i = 0; i < 4 * e_a && w->a_registers; ++i) {
      uint32_t bits = w->a[thread / 32 * 16 + mat_a_row(lane, i, e_a)]
                          [mat_a_column(lane, i, e_a)];
      in[i / e_a][thread] |= bits << (i % e_a * mat_formats[w->a_type].bits);
    }
    in[4][thread] = w->metadata[thread];
    for (uint32_t i = 0; i < count * packed; ++i) {
      wg_d_place(thread, i, &row, &column);
      in[5 + i / packed][thread] |= w->c[row][column] << (i % packed * 16);
    }
  }
  tsr_buffer text;
  tsr_buffer_init(&text);
  wg_write(w, hooks, &text);
  emu_must_load(e, tsr_buffer_text(&text));
  tsr_buffer_fini(&text);
  uint64_t args[5] = {
      emu_upload(e, w->image, WG_IMAGE), emu_upload(e, in, sizeof(in)),
      emu_upload(e, NULL, sizeof(out)), w->a_at.descriptor, w->b_at.descriptor};
  emu_dims dims = {.block = {threads, 1, 1}, .shared = WG_IMAGE};
  bool clean = emu_launch(e, "k", dims, args, 5);
  emu_download(e, out, args[2], sizeof(out));
  for (int i = 0; i < 3; ++i) (void)tsr_heap_free(e->heap, args[i]);
  *same = true;
  for (uint32_t thread = 0; thread < threads && *same; ++thread) {
    for (uint32_t i = 0; i < count * packed && *same; ++i) {
      uint32_t row, column, got = out[i / packed][thread];
      wg_d_place(thread, i, &row, &column);
      if (packed == 2) got = got >> (i % 2 * 16) & 0xffff;
      *same = got == w->d[row][column];
    }
  }
  return clean;
}

#endif  // TESTS_EMULATOR_WGMMA_KERNEL_H_

// SPDX-License-Identifier: Apache-2.0
// ldmatrix, stmatrix, movmatrix: which element lands where, bank conflicts,
// bad addresses, and forms that are not PTX.
#include "matrix.h"

// Shared memory of 64 rows; row r starts at |pitch| * r. Lane l fills row l and
// row l + 32 with their numbers: element i of row r is 100 r + i.
static void write_fill(tsr_buffer *text, uint32_t pitch) {
  tsr_buffer_printf(text,
                    ".shared .align 16 .b8 tile[%u];\n"
                    ".reg .b32 %%base, %%row, %%at, %%v, %%w, %%h;\n"
                    ".reg .b16 %%e;\n"
                    "mov.u32 %%base, tile;\n",
                    64 * pitch);
  for (uint32_t half = 0; half < 2; ++half) {
    tsr_buffer_printf(text,
                      "add.u32 %%row, %%hlane, %u;\n"
                      "mad.lo.u32 %%at, %%row, %u, %%base;\n"
                      "mul.lo.u32 %%v, %%row, 100;\n",
                      32 * half, pitch);
    for (uint32_t i = 0; i < 8; ++i) {
      tsr_buffer_printf(text,
                        "add.u32 %%w, %%v, %u;\n"
                        "cvt.u16.u32 %%e, %%w;\n"
                        "st.shared.b16 [%%at+%u], %%e;\n",
                        i, 2 * i);
    }
  }
  tsr_buffer_append_string(text, "bar.warp.sync 0xffffffff;\n");
}

// Element of matrix i, row, column, as filled: lane 8i + row gives row
// (37 lane + 5) % 64 of shared memory.
static uint32_t source_row(uint32_t lane) {
  return (37 * lane + 5) % 64;
}

static void test_load(emu *e, uint32_t count, bool transposed, bool generic,
                      uint32_t pitch, uint64_t want_wavefronts) {
  tsr_buffer text;
  tsr_buffer_init(&text);
  write_fill(&text, pitch);
  tsr_buffer_printf(&text,
                    "mad.lo.u32 %%row, %%hlane, 37, 5;\n"
                    "and.b32 %%row, %%row, 63;\n"
                    "mad.lo.u32 %%at, %%row, %u, %%base;\n"
                    ".reg .b64 %%wide; cvt.u64.u32 %%wide, %%at;\n"
                    "cvta.shared.u64 %%wide, %%wide;\n"
                    "ldmatrix.sync.aligned.m8n8.x%u%s%s.b16 ",
                    pitch, count, transposed ? ".trans" : "",
                    generic ? "" : ".shared");
  uint32_t at = 0;
  mat_vector(&text, 'o', &at, count);
  tsr_buffer_append_string(&text, generic ? ",[%wide];" : ",[%at];");
  static uint64_t out[4][32];
  bool clean = emu_lanes(e, NULL, tsr_buffer_text(&text), "", NULL,
                         &"rrrr"[4 - count], out);
  CHECK(clean);
  if (!clean) fprintf(stderr, "%s", emu_findings(e));
  for (uint32_t i = 0; i < count; ++i) {
    for (uint32_t lane = 0; lane < 32; ++lane) {
      for (uint32_t j = 0; j < 2; ++j) {
        uint32_t row = lane / 4, column = lane % 4 * 2 + j;
        if (transposed) row = lane % 4 * 2 + j, column = lane / 4;
        uint32_t want = 100 * source_row(8 * i + row) + column;
        CHECK_EQ(out[i][lane] >> (16 * j) & 0xffff, want);
      }
    }
  }
  const tessera_emu_profile *profile = &e->launch.profile;
  CHECK_EQ(profile->by_class[TESSERA_EMU_CLASS_MATRIX_IO], 1);
  CHECK_EQ(profile->shared_load.instructions, 1);
  CHECK_EQ(profile->shared_load.bytes, 128 * count);
  CHECK_EQ(profile->shared_load.width[4], 1);
  CHECK_EQ(profile->shared_load.ideal, count);
  CHECK_EQ(profile->shared_load.transactions, want_wavefronts);
  tsr_buffer_fini(&text);
}

static void test_loads(emu *e) {
  for (uint32_t count = 1; count <= 4; count *= 2) {
    for (int form = 0; form < 4; ++form) {
      // 16 bytes apart: rows (37 l + 5) % 8 of a matrix are all different, so
      // it is read in one pass. 128 bytes apart: all in the same banks.
      test_load(e, count, (form & 1) != 0, (form & 2) != 0, 16, count);
      test_load(e, count, (form & 1) != 0, (form & 2) != 0, 128, 8 * count);
    }
  }
  test_load(e, 4, false, false, 144, 4);  // padded: no conflict
}

static void test_stores(emu *e) {
  for (uint32_t count = 1; count <= 4; count *= 2) {
    for (int transposed = 0; transposed < 2; ++transposed) {
      tsr_buffer text;
      tsr_buffer_init(&text);
      tsr_buffer_printf(&text,
                        ".shared .align 16 .b8 tile[512];\n"
                        ".reg .b32 %%base, %%at;\nmov.u32 %%base, tile;\n"
                        "mad.lo.u32 %%at, %%hlane, 16, %%base;\n"
                        "stmatrix.sync.aligned.m8n8.x%u%s.shared::cta.b16 "
                        "[%%at], ",
                        count, transposed ? ".trans" : "");
      uint32_t i = 0;
      mat_vector(&text, 'i', &i, count);
      tsr_buffer_append_string(&text,
                               ";\nbar.warp.sync 0xffffffff;\n"
                               "mad.lo.u32 %at, %hlane, 4, %base;\n");
      for (i = 0; i < count; ++i) {  // word l of matrix i
        tsr_buffer_printf(&text, "ld.shared.b32 %%o%u, [%%at+%u];\n", i,
                          128 * i);
      }
      static uint64_t in[4][32], out[4][32];
      for (uint32_t lane = 0; lane < 128; ++lane) {
        in[lane / 32][lane % 32] = (2 * lane) | (2 * lane + 1) << 16;
      }
      CHECK(emu_lanes(e, NULL, tsr_buffer_text(&text), &"rrrr"[4 - count],
                      (const uint64_t(*)[32])in, &"rrrr"[4 - count], out));
      for (uint32_t word = 0; word < 32 * count; ++word) {
        for (uint32_t j = 0; j < 2; ++j) {
          uint32_t row = word % 32 / 4, column = word % 4 * 2 + j;
          uint32_t from = transposed ? column * 8 + row : row * 8 + column;
          CHECK_EQ(out[word / 32][word % 32] >> (16 * j) & 0xffff,
                   word / 32 * 64 + from);
        }
      }
      CHECK_EQ(e->launch.profile.shared_store.instructions, 1);
      CHECK_EQ(e->launch.profile.shared_store.transactions, count);
      tsr_buffer_fini(&text);
    }
  }
}

static void test_move(emu *e) {
  static uint64_t in[1][32], out[1][32];
  for (uint32_t lane = 0; lane < 32; ++lane) {
    in[0][lane] = (2 * lane) | (2 * lane + 1) << 16;
  }
  CHECK(emu_lanes(e, NULL, "movmatrix.sync.aligned.m8n8.trans.b16 %o0, %i0;",
                  "r", (const uint64_t(*)[32])in, "r", out));
  for (uint32_t lane = 0; lane < 32; ++lane) {
    uint32_t row = lane / 4, column = lane % 4 * 2;
    CHECK_EQ(out[0][lane], (column * 8 + row) | (column * 8 + 8 + row) << 16);
  }
}

// |body| with one shared tile must give a finding of |kind|.
static void expect_finding(emu *e, const char *body,
                           tessera_emu_finding_kind kind) {
  static uint64_t out[4][32];
  char text[1024];
  (void)snprintf(text, sizeof(text),
                 ".shared .align 16 .b8 tile[512];\n"
                 ".reg .b32 %%base, %%at, %%v; .reg .pred %%q;\n"
                 "mov.u32 %%base, tile; mov.b32 %%v, 7;\n"
                 "mad.lo.u32 %%at, %%hlane, 16, %%base;\n%s",
                 body);
  bool clean = emu_lanes(e, NULL, text, "", NULL, "rrrr", out);
  CHECK(!clean);
  CHECK(emu_found(e, kind));
  if (!emu_found(e, kind)) {
    fprintf(stderr, "%s\nfound: %s\n", body, emu_findings(e));
  }
}

static void test_defects(emu *e) {
  expect_finding(e,
                 "ldmatrix.sync.aligned.m8n8.x4.shared.b16 "
                 "{%o0,%o1,%o2,%o3},[%at+16];",
                 TESSERA_EMU_OUT_OF_BOUNDS);
  expect_finding(e, "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%o0},[%at+8];",
                 TESSERA_EMU_MISALIGNED);
  expect_finding(e, "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%o0},[%at];",
                 TESSERA_EMU_UNINITIALISED);
  // Written by the lanes, read by others without a barrier.
  expect_finding(e,
                 "st.shared.v4.b32 [%at], {%v,%v,%v,%v};\n"
                 "xor.b32 %at, %at, 16;\n"
                 "ldmatrix.sync.aligned.m8n8.x4.shared.b16 "
                 "{%o0,%o1,%o2,%o3},[%at];",
                 TESSERA_EMU_RACE);
  expect_finding(e,
                 "st.shared.v4.b32 [%at], {%v,%v,%v,%v};\n"
                 "bar.warp.sync 0xffffffff; setp.lt.u32 %q, %hlane, 30;\n"
                 "@%q ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%o0},[%at];",
                 TESSERA_EMU_DIVERGENCE);
  expect_finding(e, "ldmatrix.sync.aligned.m8n8.x1.b16 {%o0},[%hout];",
                 TESSERA_EMU_ILLEGAL);
  expect_finding(e, "stmatrix.sync.aligned.m8n8.x2.shared.b16 [%at+4],{%v,%v};",
                 TESSERA_EMU_MISALIGNED);
}

static void test_refused(void) {
  static const struct {
    const char *device, *target, *text;
  } texts[] = {
      {"h100", "sm_90a",
       "ldmatrix.sync.aligned.m8n8.x1.shared.b16 %r0, [%r1];"},
      {"h100", "sm_90a",
       "ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r0}, [%r1];"},
      {"h100", "sm_90a",
       "ldmatrix.sync.aligned.m8n8.x3.shared.b16 {%r0}, [%r1];"},
      {"h100", "sm_90a",
       "ldmatrix.sync.aligned.m16n16.x1.trans.shared.b8 {%r0,%r2}, [%r1];"},
      {"h100", "sm_90a", "ldmatrix.aligned.m8n8.x1.shared.b16 {%r0}, [%r1];"},
      {"h100", "sm_90a",
       "ldmatrix.sync.aligned.m8n8.x1.global.b16 {%r0}, [%d1];"},
      {"a100", "sm_80",
       "stmatrix.sync.aligned.m8n8.x1.shared.b16 [%r1], {%r0};"},
      {"h100", "sm_90a", "movmatrix.sync.aligned.m8n8.b16 %r0, %r1;"},
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
    emu e;
    emu_init(&e, texts[i].device);
    emu_check_refused(&e, "8.5", texts[i].target,
                      ".reg .b32 %r<8>; .reg .b64 %d<4>;", texts[i].text);
    emu_fini(&e);
  }
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  test_loads(&e);
  test_stores(&e);
  test_move(&e);
  test_defects(&e);
  emu_fini(&e);
  test_refused();
  return test_finish();
}

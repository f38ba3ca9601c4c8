// SPDX-License-Identifier: Apache-2.0
// mma.sp of every shape, type and selector, with all valid patterns; metadata
// that is not valid is found; forms that are not PTX are refused. Metadata are
// placed by the figures of PTX ISA 9.7.14.6.2: "Tk:[m..n]" of chunk [row].
#include "matrix.h"

static uint64_t state = 11;

static const struct form {
  const char *shape;
  mat_type a, b, c;
  uint32_t k, selectors;
  bool saturate;
} forms[] = {
    {"m16n8k16", MAT_F16, MAT_F16, MAT_F32, 16, 4, false},
    {"m16n8k16", MAT_F16, MAT_F16, MAT_F16, 16, 4, false},
    {"m16n8k16", MAT_BF16, MAT_BF16, MAT_F32, 16, 4, false},
    {"m16n8k32", MAT_F16, MAT_F16, MAT_F32, 32, 2, false},
    {"m16n8k32", MAT_F16, MAT_F16, MAT_F16, 32, 2, false},
    {"m16n8k32", MAT_BF16, MAT_BF16, MAT_F32, 32, 2, false},
    {"m16n8k8", MAT_TF32, MAT_TF32, MAT_F32, 8, 4, false},
    {"m16n8k16", MAT_TF32, MAT_TF32, MAT_F32, 16, 2, false},
    {"m16n8k32", MAT_S8, MAT_S8, MAT_S32, 32, 2, false},
    {"m16n8k32", MAT_U8, MAT_S8, MAT_S32, 32, 2, true},
    {"m16n8k64", MAT_S8, MAT_U8, MAT_S32, 64, 1, true},
    {"m16n8k64", MAT_U8, MAT_U8, MAT_S32, 64, 1, false},
    {"m16n8k64", MAT_E4M3, MAT_E4M3, MAT_F32, 64, 1, false},
    {"m16n8k64", MAT_E5M2, MAT_E4M3, MAT_F32, 64, 1, false},
};

enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

// The codes with the lower index in the low bits.
static const uint32_t ordered_codes[6] = {0x4, 0x8, 0x9, 0xc, 0xd, 0xe};

// Lane and lowest bit of the metadata for |row| and the columns from |column|.
static void metadata_place(const struct form *f, uint32_t selector,
                           uint32_t row, uint32_t column, uint32_t *lane,
                           uint32_t *bit) {
  uint32_t group = row % 8 * 4, high = row >= 8 ? 1 : 0;
  switch (f->selectors) {
    case 4:  // one thread of four: its number is the selector
      *lane = group + selector;
      *bit = high * 16 + column * 16 / f->k;
      return;
    case 2:
      if (mat_formats[f->a].bits == 8) {  // the pair's threads share the rows
        *lane = group + 2 * selector + high;
        *bit = column;  // 32 columns, 8 groups of 4 bits
      } else {          // the pair's threads share the columns
        *lane = group + 2 * selector + (column >= f->k / 2 ? 1 : 0);
        *bit = high * 16 + column % (f->k / 2) * 32 / f->k;
      }
      return;
    default:  // all: rows by the low bit of the thread, columns by the high one
      *lane = group + high + (column >= 32 ? 2 : 0);
      *bit = column % 32;
      return;
  }
}

// Draws a pattern for each group of A; |pattern| 0..5 for all, 6: any; |swap|:
// indices in falling order too. Fills m->at and |metadata|; lanes that the
// selector does not name get noise.
static void fill_metadata(mat_case *m, const struct form *f, uint32_t selector,
                          uint32_t pattern, bool swap, uint64_t metadata[32]) {
  bool single = f->a == MAT_TF32;
  uint32_t size = single ? 2 : 4;
  uint32_t words[32] = {0};
  bool named[32] = {false};
  for (uint32_t row = 0; row < 16; ++row) {
    for (uint32_t column = 0; column < f->k; column += size) {
      uint64_t random = random_next(&state);
      uint32_t code = ordered_codes[pattern < 6 ? pattern : random % 6];
      uint32_t *at = &m->at[row][column / 2];
      if (single) {
        code = (random >> 8) % 2 == 0 ? 0x4 : 0xe;
        at[0] = column + (code == 0xe ? 1 : 0);
      } else {
        if (swap && random >> 63 != 0) code = (code & 3) << 2 | code >> 2;
        at[0] = column + (code & 3);
        at[1] = column + (code >> 2);
      }
      uint32_t lane, bit;
      metadata_place(f, selector, row, column, &lane, &bit);
      words[lane] |= code << bit;
      named[lane] = true;
    }
  }
  for (uint32_t i = 0; i < 32; ++i) {
    metadata[i] = named[i] ? words[i] : (uint32_t)random_next(&state);
  }
}

static void write_mma_sp(tsr_buffer *text, const struct form *f, bool ordered,
                         uint32_t selector) {
  const char *c = mat_formats[f->c].name;
  uint32_t in = 0, out = 0, e = mat_packed(f->a);
  uint32_t c_count = 4 / mat_packed(f->c);
  tsr_buffer_printf(text, "mma.sp%s.sync.aligned.%s.row.col%s.%s.%s.%s.%s ",
                    ordered ? "::ordered_metadata" : "", f->shape,
                    f->saturate ? ".satfinite" : "", c, mat_formats[f->a].name,
                    mat_formats[f->b].name, c);
  mat_vector(text, 'o', &out, c_count);
  tsr_buffer_append_string(text, ",");
  mat_vector(text, 'i', &in, f->k / e / 4);
  tsr_buffer_append_string(text, ",");
  mat_vector(text, 'i', &in, f->k / e / 4);
  tsr_buffer_append_string(text, ",");
  mat_vector(text, 'i', &in, c_count);
  tsr_buffer_printf(text, ",%%i%u,%u;", in, selector);
}

// True when nothing was found; D is compared when |compare|.
static bool run_case(emu *e, const struct form *f, mat_case *m, bool ordered,
                     uint32_t selector, const uint64_t metadata[32],
                     bool compare) {
  static uint64_t in[16][32], out[4][32];
  memset(in, 0, sizeof(in));
  uint32_t count = mat_fragments(m, in);
  memcpy(in[count++], metadata, sizeof(in[0]));
  tsr_buffer text;
  tsr_buffer_init(&text);
  write_mma_sp(&text, f, ordered, selector);
  static const char types[] = "rrrrrrrrrrrrrrrr";
  bool clean = emu_lanes(
      e, NULL, tsr_buffer_text(&text), types + sizeof(types) - 1 - count,
      (const uint64_t(*)[32])in, f->c == MAT_F16 ? "rr" : "rrrr", out);
  if (compare) CHECK(mat_same(m, out, tsr_buffer_text(&text)));
  tsr_buffer_fini(&text);
  return clean;
}

static mat_case new_case(const struct form *f) {
  mat_case m = {.a_type = f->a,
                .b_type = f->b,
                .c_type = f->c,
                .k = f->k,
                .kept = f->k / 2,
                .saturate = f->saturate};
  mat_fill(&m, &state);
  return m;
}

static void test_shapes(emu *e) {
  static mat_case m;
  for (size_t i = 0; i < FORMS; ++i) {
    const struct form *f = &forms[i];
    for (uint32_t selector = 0; selector < f->selectors; ++selector) {
      for (uint32_t pattern = 0; pattern <= 6; ++pattern) {
        bool ordered = pattern % 2 == 0;
        uint64_t metadata[32];
        m = new_case(f);
        fill_metadata(&m, f, selector, pattern, !ordered, metadata);
        mat_reference(&m);
        CHECK(run_case(e, f, &m, ordered, selector, metadata, true));
      }
    }
  }
}

// What A leaves out does not meet B: infinities there do not matter.
static void test_left_out(emu *e) {
  const struct form *f = &forms[5];  // bf16, k32
  static mat_case m;
  uint64_t metadata[32];
  m = new_case(f);
  fill_metadata(&m, f, 0, 0, false, metadata);  // keeps the first two of four
  for (uint32_t k = 2; k < 32; k += 4) {
    for (uint32_t n = 0; n < 8; ++n) {
      m.b[k][n] = n % 2 == 0 ? 0x7f80 : 0x7fff;
    }
  }
  mat_reference(&m);
  CHECK(run_case(e, f, &m, true, 0, metadata, true));
}

// Every code of four bits, with and without ::ordered_metadata.
static void test_invalid(emu *e) {
  static mat_case m;
  static const size_t which[] = {2, 5, 7, 8, 12};
  for (size_t i = 0; i < sizeof(which) / sizeof(which[0]); ++i) {
    const struct form *f = &forms[which[i]];
    for (uint32_t code = 0; code < 16; ++code) {
      for (int ordered = 0; ordered < 2; ++ordered) {
        uint64_t metadata[32];
        uint32_t lane, bit;
        m = new_case(f);
        fill_metadata(&m, f, 0, 6, false, metadata);
        metadata_place(f, 0, 13, f->k / 2, &lane, &bit);
        metadata[lane] &= ~(UINT64_C(15) << bit);
        metadata[lane] |= (uint64_t)code << bit;
        // What is then computed: each kept element meets what its index names;
        // tf32: the half that the low index lies in.
        uint32_t *at = &m.at[13][f->k / 4], first = code & 3;
        if (f->a == MAT_TF32) {
          at[0] = f->k / 2 + first / 2;
        } else {
          at[0] = f->k / 2 + first;
          at[1] = f->k / 2 + (code >> 2);
        }
        mat_reference(&m);
        bool valid = ordered != 0 ? first < code >> 2 : first != code >> 2;
        if (f->a == MAT_TF32) valid = code == 0x4 || code == 0xe;
        CHECK_EQ(run_case(e, f, &m, ordered != 0, 0, metadata, true), valid);
        CHECK_EQ(emu_found(e, TESSERA_EMU_METADATA), !valid);
        e->config.checks &= ~(uint32_t)TESSERA_EMU_CHECK_NUMERIC;
        CHECK(run_case(e, f, &m, ordered != 0, 0, metadata, true));
        e->config.checks = TESSERA_EMU_CHECK_ALL;
      }
    }
  }
}

static void test_message(emu *e) {
  const struct form *f = &forms[5];
  static mat_case m;
  uint64_t metadata[32];
  m = new_case(f);
  fill_metadata(&m, f, 1, 6, false, metadata);
  metadata[4 * 5 + 3] &= ~UINT64_C(0xf0);  // row 5, second group of k 16..31
  CHECK(!run_case(e, f, &m, true, 1, metadata, false));
  CHECK(strstr(emu_findings(e), "pattern 0x0 for columns 20..23 of row 5") !=
        NULL);
  CHECK(strstr(emu_findings(e), "thread (23,0,0)") != NULL);
}

static void test_hardware_model(emu *e) {
  // One kept product of 2^-30 next to 1: exact rounds it away, and so does the
  // hardware; but with C = -1 the exact sum is 2^-30, the hardware's 0.
  const struct form *f = &forms[5];
  static mat_case m;
  uint64_t metadata[32];
  m = new_case(f);
  memset(m.a, 0, sizeof(m.a));
  fill_metadata(&m, f, 0, 0, false, metadata);
  for (uint32_t row = 0; row < 16; ++row) {
    m.a[row][0] = 0x3f80;            // 1
    m.a[row][15] = (127 - 30) << 7;  // 2^-30, column 29
    for (uint32_t n = 0; n < 8; ++n) {
      m.b[0][n] = m.b[29][n] = 0x3f80;
      m.c[row][n] = 0xbf800000;
      m.d[row][n] = (127 - 30) << 23;
    }
  }
  CHECK(run_case(e, f, &m, true, 0, metadata, true));
  e->config.accumulate = TESSERA_EMU_ACCUMULATE_HARDWARE;
  memset(m.d, 0, sizeof(m.d));
  CHECK(run_case(e, f, &m, true, 0, metadata, true));
  e->config.accumulate = TESSERA_EMU_ACCUMULATE_EXACT;
}

static void test_refused(void) {
  static const struct {
    const char *version, *text;
  } texts[] = {
      {"8.7",  // the selector is 0 or 1
       "mma.sp.sync.aligned.m16n8k32.row.col.f32.bf16.bf16.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r4,%r5,%r6,%r7},"
       "{%f0,%f1,%f2,%f3},%r8,2;"},
      {"8.7",
       "mma.sp.sync.aligned.m16n8k64.row.col.f32.e4m3.e4m3.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r4,%r5,%r6,%r7},"
       "{%f0,%f1,%f2,%f3},%r8,1;"},
      {"8.7",
       "mma.sp.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1},{%r4,%r5},{%f0,%f1,%f2,%f3},%r8,4;"},
      {"8.4",  // ::ordered_metadata is of 8.5
       "mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col"
       ".f32.bf16.bf16.f32 {%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},"
       "{%r4,%r5,%r6,%r7},{%f0,%f1,%f2,%f3},%r8,0;"},
      {"8.7",  // fp8 has k64 only, and f32 only
       "mma.sp.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1},{%r4,%r5},{%f0,%f1,%f2,%f3},%r8,0;"},
      {"8.7",
       "mma.sp.sync.aligned.m16n8k64.row.col.f16.e4m3.e4m3.f16 "
       "{%r0,%r1},{%r0,%r1,%r2,%r3},{%r4,%r5,%r6,%r7},{%r0,%r1},%r8,0;"},
      {"8.7",  // the selector is an immediate
       "mma.sp.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1},{%r4,%r5},{%f0,%f1,%f2,%f3},%r8,%r7;"},
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
    emu e;
    emu_init(&e, "h100");
    emu_check_refused(&e, texts[i].version, "sm_90a",
                      ".reg .b32 %r<10>; .reg .f32 %f<8>;", texts[i].text);
    emu_fini(&e);
  }
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  test_shapes(&e);
  test_left_out(&e);
  test_invalid(&e);
  test_message(&e);
  test_hardware_model(&e);
  emu_fini(&e);
  test_refused();
  return test_finish();
}

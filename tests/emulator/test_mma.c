// SPDX-License-Identifier: Apache-2.0
// mma.sync of every shape and type against matrices multiplied by their
// definition, special values, and forms that are not PTX.
#include "matrix.h"

static uint64_t state = 7;

static const struct form {
  const char *shape;
  mat_type a, b, c;
  uint32_t k;
  bool saturate;
} forms[] = {
    {"m16n8k8", MAT_F16, MAT_F16, MAT_F32, 8, false},
    {"m16n8k8", MAT_F16, MAT_F16, MAT_F16, 8, false},
    {"m16n8k16", MAT_F16, MAT_F16, MAT_F32, 16, false},
    {"m16n8k16", MAT_F16, MAT_F16, MAT_F16, 16, false},
    {"m16n8k8", MAT_BF16, MAT_BF16, MAT_F32, 8, false},
    {"m16n8k16", MAT_BF16, MAT_BF16, MAT_F32, 16, false},
    {"m16n8k4", MAT_TF32, MAT_TF32, MAT_F32, 4, false},
    {"m16n8k8", MAT_TF32, MAT_TF32, MAT_F32, 8, false},
    {"m16n8k16", MAT_E4M3, MAT_E4M3, MAT_F32, 16, false},
    {"m16n8k16", MAT_E5M2, MAT_E4M3, MAT_F16, 16, false},
    {"m16n8k32", MAT_E4M3, MAT_E4M3, MAT_F32, 32, false},
    {"m16n8k32", MAT_E4M3, MAT_E5M2, MAT_F32, 32, false},
    {"m16n8k32", MAT_E5M2, MAT_E4M3, MAT_F32, 32, false},
    {"m16n8k32", MAT_E5M2, MAT_E5M2, MAT_F16, 32, false},
    {"m16n8k16", MAT_S8, MAT_S8, MAT_S32, 16, false},
    {"m16n8k16", MAT_U8, MAT_S8, MAT_S32, 16, true},
    {"m16n8k32", MAT_S8, MAT_S8, MAT_S32, 32, true},
    {"m16n8k32", MAT_S8, MAT_U8, MAT_S32, 32, false},
    {"m16n8k32", MAT_U8, MAT_S8, MAT_S32, 32, false},
    {"m16n8k32", MAT_U8, MAT_U8, MAT_S32, 32, true},
};

// The instruction with inputs %i and outputs %o.
static void write_mma(tsr_buffer *text, const struct form *f) {
  const char *c = mat_formats[f->c].name;
  uint32_t in = 0, out = 0, e = mat_packed(f->a);
  uint32_t c_count = 4 / mat_packed(f->c);
  tsr_buffer_printf(text, "mma.sync.aligned.%s.row.col%s.%s.%s.%s.%s ",
                    f->shape, f->saturate ? ".satfinite" : "", c,
                    mat_formats[f->a].name, mat_formats[f->b].name, c);
  mat_vector(text, 'o', &out, c_count);
  tsr_buffer_append_string(text, ",");
  mat_vector(text, 'i', &in, f->k / e / 2);
  tsr_buffer_append_string(text, ",");
  mat_vector(text, 'i', &in, f->k / e / 4);
  tsr_buffer_append_string(text, ",");
  mat_vector(text, 'i', &in, c_count);
  tsr_buffer_append_string(text, ";");
}

static void run_case(emu *e, const struct form *f, mat_case *m) {
  static uint64_t in[16][32], out[4][32];
  memset(in, 0, sizeof(in));
  uint32_t count = mat_fragments(m, in);
  tsr_buffer text;
  tsr_buffer_init(&text);
  write_mma(&text, f);
  static const char types[] = "rrrrrrrrrrrrrrrr";
  bool clean = emu_lanes(
      e, NULL, tsr_buffer_text(&text), types + sizeof(types) - 1 - count,
      (const uint64_t(*)[32])in, f->c == MAT_F16 ? "rr" : "rrrr", out);
  CHECK(clean);
  if (!clean) fprintf(stderr, "%s", emu_findings(e));
  CHECK(mat_same(m, out, tsr_buffer_text(&text)));
  tsr_buffer_fini(&text);
}

static void test_shapes(emu *e) {
  static mat_case m;
  for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); ++i) {
    const struct form *f = &forms[i];
    for (int round = 0; round < 3; ++round) {
      m = (mat_case){.a_type = f->a,
                     .b_type = f->b,
                     .c_type = f->c,
                     .k = f->k,
                     .kept = f->k,
                     .saturate = f->saturate};
      mat_fill(&m, &state);
      for (uint32_t n = 0; n < 8 && f->c == MAT_S32 && round == 2; ++n) {
        m.c[n][n] = 0x7fffffff;  // saturates, or wraps around
        m.c[n + 8][n] = 0x80000000;
      }
      mat_reference(&m);
      run_case(e, f, &m);
    }
  }
}

// Infinities, NaN, subnormals and cancellation, where double still is exact.
static void test_special(emu *e) {
  const struct form *f = &forms[5];  // bf16, k16
  static mat_case m;
  m = (mat_case){.a_type = f->a, .b_type = f->b, .c_type = f->c, .k = f->k};
  m.kept = f->k;
  for (uint32_t k = 0; k < 16; ++k) {
    for (uint32_t n = 0; n < 8; ++n) m.b[k][n] = n == 7 && k == 0 ? 0 : 0x3f80;
  }
  for (uint32_t row = 0; row < 16; ++row) {
    for (uint32_t k = 0; k < 16; ++k) m.at[row][k] = k;
  }
  m.a[0][0] = 0x7f80;                      // inf (NaN in column 7: inf * 0)
  m.a[1][0] = 0x7f80, m.a[1][1] = 0xff80;  // inf - inf
  m.a[2][3] = 0xffc1;                      // NaN
  m.a[3][2] = 0x0001;                      // the smallest subnormal
  m.a[4][0] = 0x7f00, m.a[4][1] = 0x7f00;  // overflow
  m.a[5][0] = 0x4b80, m.a[5][1] = 0x3f80, m.a[5][2] = 0xcb80;  // 2^24+1-2^24
  m.a[6][15] = 0x8000;                                         // -0
  for (uint32_t n = 0; n < 8; ++n) {
    m.c[6][n] = 0x80000000;  // -0 + -0, but +0 from the other products
    m.c[7][n] = 0xff800000;
    m.c[8][n] = 0x7fc00000;
    m.c[9][n] = 0x00000001;
  }
  mat_reference(&m);
  CHECK_EQ(m.d[0][7], 0x7fffffff);
  CHECK_EQ(m.d[5][0], 0x3f800000);
  run_case(e, f, &m);
}

// A sum that double cannot hold: 2^100 + 2^-100 - 2^100.
static void test_far_apart(emu *e) {
  const struct form *f = &forms[5];
  static mat_case m;
  m = (mat_case){.a_type = f->a, .b_type = f->b, .c_type = f->c, .k = f->k};
  m.kept = f->k;
  for (uint32_t row = 0; row < 16; ++row) {
    m.a[row][0] = (127 + 100) << 7;
    m.a[row][7] = (127 - 100) << 7;
    m.a[row][15] = 0x8000 | (127 + 100) << 7;
  }
  for (uint32_t n = 0; n < 8; ++n) {
    m.b[0][n] = m.b[7][n] = m.b[15][n] = 0x3f80;
  }
  for (uint32_t row = 0; row < 16; ++row) {
    for (uint32_t n = 0; n < 8; ++n) m.d[row][n] = (127 - 100) << 23;
  }
  run_case(e, f, &m);
  // Cut at 25 bits below 2^100, it is gone; so is half of the last step.
  e->config.accumulate = TESSERA_EMU_ACCUMULATE_HARDWARE;
  memset(m.d, 0, sizeof(m.d));
  run_case(e, f, &m);
  e->config.accumulate = TESSERA_EMU_ACCUMULATE_EXACT;
}

static void test_f64(emu *e) {
  static const struct {
    const char *shape, *ins;
    uint32_t rows, k;
  } shapes[] = {{"m8n8k4", "dddd", 8, 4},
                {"m16n8k4", "ddddddd", 16, 4},
                {"m16n8k8", "dddddddddd", 16, 8},
                {"m16n8k16", "dddddddddddddddd", 16, 16}};
  for (size_t s = 0; s < 4; ++s) {
    static uint64_t in[16][32], out[4][32];
    static double a[16][16], b[16][8], c[16][8];
    uint32_t rows = shapes[s].rows, k = shapes[s].k, halves = rows / 8;
    for (uint32_t i = 0; i < 16 * 16; ++i) {
      a[i / 16][i % 16] = (double)(int64_t)random_next(&state) * 0x1p-63;
      b[i / 16][i % 8] = (double)(int64_t)random_next(&state) * 0x1p-60;
      c[i / 16][i % 8] = (double)(int64_t)random_next(&state) * 0x1p-62;
    }
    uint32_t na = k / 4 * halves, nb = k / 4, at = 0, to = 0;
    for (uint32_t lane = 0; lane < 32; ++lane) {
      uint32_t g = lane >> 2, t = lane % 4;
      for (uint32_t i = 0; i < na; ++i) {
        uint32_t row = halves == 2 && i % 2 == 1 ? g + 8 : g;
        memcpy(&in[i][lane], &a[row][i / halves * 4 + t], 8);
      }
      for (uint32_t i = 0; i < nb; ++i) {
        memcpy(&in[na + i][lane], &b[i * 4 + t][g], 8);
      }
      for (uint32_t i = 0; i < 2 * halves; ++i) {
        memcpy(&in[na + nb + i][lane],
               &c[mat_c_row(lane, i)][mat_c_column(lane, i)], 8);
      }
    }
    tsr_buffer text;
    tsr_buffer_init(&text);
    tsr_buffer_printf(&text, "mma.sync.aligned.%s.row.col.f64.f64.f64.f64 ",
                      shapes[s].shape);
    mat_vector(&text, 'o', &to, 2 * halves);
    tsr_buffer_append_string(&text, ",");
    mat_vector(&text, 'i', &at, na);
    tsr_buffer_append_string(&text, ",");
    mat_vector(&text, 'i', &at, nb);
    tsr_buffer_append_string(&text, ",");
    mat_vector(&text, 'i', &at, 2 * halves);
    tsr_buffer_append_string(&text, ";");
    CHECK(emu_lanes(e, NULL, tsr_buffer_text(&text), shapes[s].ins,
                    (const uint64_t(*)[32])in, halves == 2 ? "dddd" : "dd",
                    out));
    tsr_buffer_fini(&text);
    for (uint32_t lane = 0; lane < 32; ++lane) {
      for (uint32_t i = 0; i < 2 * halves; ++i) {
        uint32_t row = mat_c_row(lane, i), n = mat_c_column(lane, i);
        double sum = c[row][n];
        for (uint32_t j = 0; j < k; ++j) sum = fma(a[row][j], b[j][n], sum);
        CHECK(memcmp(&sum, &out[i][lane], 8) == 0);
      }
    }
  }
}

static void test_count_and_partial(emu *e) {
  static uint64_t in[12][32], out[4][32];
  const char *mma =
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%o0,%o1,%o2,%o3},{%i0,%i1,%i2,%i3},{%i4,%i5},{%i6,%i7,%i8,%i9};";
  char body[512];
  (void)snprintf(body, sizeof(body), "%s\n%s", mma, mma);
  CHECK(emu_lanes(e, NULL, body, "rrrrrrrrrr", (const uint64_t(*)[32])in,
                  "rrrr", out));
  const tessera_emu_profile *profile = &e->launch.profile;
  CHECK_EQ(profile->matrix_count, 1);
  CHECK_STR(profile->matrix[0].name, "mma.m16n8k16.bf16");
  CHECK_EQ(profile->matrix[0].count, 2);
  CHECK_EQ(profile->by_class[TESSERA_EMU_CLASS_MATRIX], 2);
  // Only some of the lanes: undefined, reported; the others keep their value.
  (void)snprintf(body, sizeof(body),
                 ".reg .pred %%q; mov.b32 %%o0, 5; mov.b32 %%o1, 5;"
                 "mov.b32 %%o2, 5; mov.b32 %%o3, 5;"
                 "setp.lt.u32 %%q, %%hlane, 9; @%%q %s",
                 mma);
  CHECK(!emu_lanes(e, NULL, body, "rrrrrrrrrr", (const uint64_t(*)[32])in,
                   "rrrr", out));
  CHECK(emu_found(e, TESSERA_EMU_DIVERGENCE));
  CHECK_EQ(out[0][8], 0);
  CHECK_EQ(out[0][9], 5);
}

// Every text is refused, in the line of the instruction.
static void test_refused(void) {
  static const struct {
    const char *device, *version, *target, *text;
  } texts[] = {
      {"h100", "8.7", "sm_90a",
       "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1},%r2,{%f0,%f1,%f2,%f3};"},
      {"h100", "8.7", "sm_90a",
       "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f16 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r2,%r3},{%r0,%r1};"},
      {"h100", "8.7", "sm_90a",
       "mma.sync.aligned.m16n8k16.row.row.f32.bf16.bf16.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r2,%r3},{%f0,%f1,%f2,%f3};"},
      {"h100", "8.7", "sm_90a",
       "mma.sync.aligned.m16n8k16.col.row.f32.bf16.bf16.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r2,%r3},{%f0,%f1,%f2,%f3};"},
      {"h100", "8.7", "sm_90a",
       "mma.sync.aligned.m16n8k16.row.col.f16.bf16.bf16.f16 "
       "{%r0,%r1},{%r0,%r1,%r2,%r3},{%r2,%r3},{%r0,%r1};"},
      {"h100", "8.7", "sm_90a",
       "mma.sync.aligned.m16n8k16.row.col.f32.bf16.f16.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r2,%r3},{%f0,%f1,%f2,%f3};"},
      {"h100", "8.7", "sm_90a",
       "mma.sync.aligned.m16n8k32.row.col.f32.bf16.bf16.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r2,%r3},{%f0,%f1,%f2,%f3};"},
      {"h100", "8.7", "sm_90a",
       "mma.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r2,%r3},{%f0,%f1,%f2,%f3};"},
      {"h100", "8.7", "sm_90a",
       "mma.sync.aligned.m16n8k16.row.col.satfinite.f32.bf16.bf16.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r2,%r3},{%f0,%f1,%f2,%f3};"},
      {"h100", "8.7", "sm_90a",
       "mma.sync.aligned.m16n8k16.row.col.foo.f32.bf16.bf16.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r2,%r3},{%f0,%f1,%f2,%f3};"},
      {"h100", "8.3", "sm_90a",
       "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e5m2.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r2,%r3},{%f0,%f1,%f2,%f3};"},
      {"a100", "8.7", "sm_80",
       "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e5m2.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r2,%r3},{%f0,%f1,%f2,%f3};"},
      {"rtx4090", "8.6", "sm_89",
       "mma.sync.aligned.m16n8k32.row.col.f16.e4m3.e5m2.f16 "
       "{%r0,%r1},{%r0,%r1,%r2,%r3},{%r2,%r3},{%r0,%r1};"},
      {"rtx4090", "8.6", "sm_89",
       "mma.sync.aligned.m16n8k16.row.col.f32.e4m3.e5m2.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1},{%r2},{%f0,%f1,%f2,%f3};"},
      {"h100", "8.7", "sm_90a",
       "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1,%r2},{%r2,%r3},{%f0,%f1,%f2,%f3};"},
      {"h100", "8.7", "sm_90a",
       "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
       "{%f0,%f1,%f2,%f3},{%f0,%f1,%f2,%f3},{%f2,%f3},{%f0,%f1,%f2,%f3};"},
      {"h100", "8.7", "sm_90a",
       "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
       "{%f0,%f1,%f2,%f3},{0,0,0,0},{%r2,%r3},{%f0,%f1,%f2,%f3};"},
      {"h100", "8.7", "sm_90a",
       "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
       "{%f0,%f1,%f2,%f3},{%r0,%r1,%r2,%r3},{%r2,%r3},{%r0,%r1,%r2,%r3};"},
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
    emu e;
    emu_init(&e, texts[i].device);
    emu_check_refused(&e, texts[i].version, texts[i].target,
                      ".reg .b32 %r<8>; .reg .f32 %f<8>;", texts[i].text);
    emu_fini(&e);
  }
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  test_shapes(&e);
  test_special(&e);
  test_far_apart(&e);
  test_f64(&e);
  test_count_and_partial(&e);
  emu_fini(&e);
  test_refused();
  return test_finish();
}

// SPDX-License-Identifier: Apache-2.0
// wgmma: every type, layout and form against matrices by definition, in all
// models of time; defects of programs around it are found.
#include "wgmma_kernel.h"

static uint64_t state = 13;
static const wg_hooks no_hooks;

// Runs |w| filled but for the matrices; nothing may be found.
static void expect_right(emu *e, wg_case *w, const char *what) {
  bool same;
  wg_prepare(w, &state);
  bool clean = wg_run(e, w, &no_hooks, 128, &same);
  CHECK(clean);
  CHECK(same);
  if (!clean || !same) {
    fprintf(stderr,
            "%s %s n %u k %u kept %u, A %s across %d swizzle %u, B across %d "
            "swizzle %u: %s\n",
            what, mat_formats[w->a_type].name, w->n, w->k, w->kept,
            w->a_registers ? "registers" : "shared", w->a_at.across,
            w->a_at.swizzle, w->b_at.across, w->b_at.swizzle, emu_findings(e));
  }
}

static const struct types {
  mat_type a, b, c;
} types[] = {
    {MAT_F16, MAT_F16, MAT_F32},   {MAT_F16, MAT_F16, MAT_F16},
    {MAT_BF16, MAT_BF16, MAT_F32}, {MAT_TF32, MAT_TF32, MAT_F32},
    {MAT_E4M3, MAT_E5M2, MAT_F32}, {MAT_E5M2, MAT_E5M2, MAT_F16},
    {MAT_S8, MAT_U8, MAT_S32},     {MAT_U8, MAT_U8, MAT_S32},
};

static void set_types(wg_case *w, const struct types *t, bool sparse) {
  memset(w, 0, offsetof(wg_case, a));
  w->a_type = t->a;
  w->b_type = t->b;
  w->c_type = t->c;
  w->kept = 256 / mat_formats[t->a].bits;
  w->k = sparse ? 2 * w->kept : w->kept;
  w->keep = true;
}

// All types, dense and sparse, A in registers and in shared memory.
static void test_types(emu *e, wg_case *w) {
  for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i) {
    for (int form = 0; form < 8; ++form) {
      set_types(w, &types[i], (form & 1) != 0);
      w->n = (form & 4) != 0 ? 32 : 8;
      w->a_registers = (form & 2) != 0;
      w->keep = (form & 4) == 0;
      // Form 3 negates both, 5 B alone, 7 A in registers alone.
      w->negate_a = (form == 3 || form == 7) && !mat_integer(w->a_type);
      w->negate_b = (form == 5 || form == 3) && !mat_integer(w->b_type);
      w->saturate = form == 2 && mat_integer(w->a_type);
      w->selector = mat_formats[w->a_type].bits > 8 && (form & 2) != 0 ? 1 : 0;
      w->a_at.swizzle = 128;
      w->b_at.swizzle = 128;
      expect_right(e, w, "types");
    }
  }
}

// All layouts of both operands, all slices of a swizzled row.
static void test_layouts(emu *e, wg_case *w) {
  static const uint32_t swizzles[] = {0, 32, 64, 128};
  for (uint32_t form = 0; form < 128; ++form) {
    bool sparse = form % 2 == 1;
    set_types(w, &types[form % 3], sparse);
    w->a_at.swizzle = swizzles[form / 2 % 4];
    w->b_at.swizzle = swizzles[form / 8 % 4];
    w->a_at.across = form / 32 % 2 == 1;
    w->b_at.across = form / 64 % 2 == 1;
    w->n = form % 5 == 0 ? 72 : 64;
    uint32_t a_slices = w->a_at.swizzle / 32, b_slices = w->b_at.swizzle / 32;
    if (sparse) b_slices /= 2;
    if (w->a_at.across) a_slices = 0;
    if (w->b_at.across) b_slices = 0;
    if (sparse && w->b_at.swizzle == 32 && !w->b_at.across) continue;
    w->a_at.step = a_slices == 0 ? 0 : form % a_slices;
    w->b_at.step = b_slices == 0 ? 0 : form % b_slices * (sparse ? 2 : 1);
    expect_right(e, w, "layouts");
  }
}

static void test_sizes(emu *e, wg_case *w) {
  for (uint32_t n = 8; n <= 256; n += n < 32 ? 8 : 56) {
    set_types(w, &types[2], n % 16 == 0);
    w->n = n;
    w->a_at.swizzle = 64;
    w->b_at.swizzle = 64;
    expect_right(e, w, "sizes");
  }
  set_types(w, &types[2], true);
  w->n = 256;
  w->a_registers = true;
  w->b_at.across = true;
  w->b_at.swizzle = 128;
  expect_right(e, w, "sizes");
  CHECK_STR(e->launch.profile.matrix[0].name, "wgmma.sp.m64n256k32.bf16");
  CHECK_EQ(e->launch.profile.matrix[0].count, 4);
}

// A pattern that does not begin at a multiple of its size: the base offset.
static void test_base_offset(emu *e, wg_case *w) {
  for (uint32_t shift = 0; shift < 8; ++shift) {
    set_types(w, &types[2], false);
    w->n = 8;
    w->a_registers = true;
    w->b_at.swizzle = 128;
    wg_prepare(w, &state);
    memmove(w->image + WG_B + 128 * shift, w->image + WG_B, 1024);
    w->b_at.descriptor += 8 * shift;
    w->b_at.descriptor |= (uint64_t)shift << 49;
    bool same;
    CHECK(wg_run(e, w, &no_hooks, 128, &same));
    CHECK(same);
  }
}

static wg_case *plain(wg_case *w) {
  set_types(w, &types[2], false);
  w->n = 16;
  w->a_registers = true;
  w->b_at.swizzle = 128;
  wg_prepare(w, &state);
  return w;
}

static void test_time(emu *e, wg_case *w) {
  bool same;
  // A chain on one accumulator, over two groups.
  wg_hooks hooks = {.after_mma = NULL};
  for (int time = 0; time < 3; ++time) {
    for (uint64_t seed = 0; seed < 4; ++seed) {
      e->config.time = (tessera_emu_time)time;
      e->config.seed = seed;
      (void)plain(w);
      for (uint32_t row = 0; row < 64; ++row) {  // A * B twice
        for (uint32_t n = 0; n < 16; ++n) {
          double sum = 0;
          for (uint32_t i = 0; i < 16; ++i) {
            sum += mat_value(MAT_BF16, w->a[row][i]) *
                   mat_value(MAT_BF16, w->b[i][n]);
          }
          double once = mat_value(MAT_F32, w->c[row][n]) + sum;
          once = (double)(float)once;
          w->d[row][n] = mat_accumulator(MAT_F32, once + sum, false);
        }
      }
      tsr_buffer text;
      tsr_buffer_init(&text);
      tsr_buffer_append_string(&text, "wgmma.commit_group.sync.aligned;\n");
      wg_write_mma(w, &text);
      hooks.after_mma = tsr_buffer_text(&text);
      CHECK(wg_run(e, w, &hooks, 128, &same));
      CHECK(same);
      tsr_buffer_fini(&text);
    }
  }
  e->config.time = TESSERA_EMU_TIME_LATE;
}

static void expect_finding(emu *e, const wg_case *w, const wg_hooks *hooks,
                           uint32_t threads, tessera_emu_finding_kind kind,
                           const char *message) {
  bool same;
  bool clean = wg_run(e, w, hooks, threads, &same);
  CHECK(!clean);
  CHECK(emu_found(e, kind));
  CHECK(strstr(emu_findings(e), message) != NULL);
  if (strstr(emu_findings(e), message) == NULL) {
    fprintf(stderr, "wanted '%s', found:\n%s", message, emu_findings(e));
  }
}

static void test_register_defects(emu *e, wg_case *w) {
  (void)plain(w);
  expect_finding(e, w, &(wg_hooks){.after_commit = "mov.b32 %v0, %d3;\n"}, 128,
                 TESSERA_EMU_IN_FLIGHT, "reads a register of the wgmma");
  expect_finding(e, w, &(wg_hooks){.after_commit = "mov.b32 %d3, 0;\n"}, 128,
                 TESSERA_EMU_IN_FLIGHT, "writes a register of the wgmma");
  expect_finding(e, w, &(wg_hooks){.after_mma = "mov.b32 %a1, 0;\n"}, 128,
                 TESSERA_EMU_IN_FLIGHT, "writes a register of the wgmma");
  expect_finding(
      e, w,
      &(wg_hooks){.after_commit = "wgmma.wait_group.sync.aligned 1;\n"
                                  "mov.b32 %v0, %d0;\n"},
      128, TESSERA_EMU_IN_FLIGHT, "reads a register of the wgmma");
  expect_finding(e, w, &(wg_hooks){.no_fence = ""}, 128, TESSERA_EMU_IN_FLIGHT,
                 "without a wgmma.fence");
  expect_finding(e, w, &(wg_hooks){.after_fence = "add.u32 %d0, %d0, 1;\n"},
                 128, TESSERA_EMU_IN_FLIGHT, "the accumulator were written");
  expect_finding(e, w, &(wg_hooks){.after_fence = "add.u32 %a2, %a2, 1;\n"},
                 128, TESSERA_EMU_IN_FLIGHT, "A were written");
  tsr_buffer text;
  tsr_buffer_init(&text);
  tsr_buffer_append_string(&text, "add.u32 %d1, %d1, 1;\n");
  wg_write_mma(w, &text);
  tsr_buffer_append_string(&text,
                           "wgmma.commit_group.sync.aligned;\n"
                           "wgmma.wait_group.sync.aligned 0;\n");
  expect_finding(e, w, &(wg_hooks){.after_wait = tsr_buffer_text(&text)}, 128,
                 TESSERA_EMU_IN_FLIGHT, "the accumulator were written");
  tsr_buffer_fini(&text);
}

static void test_memory_defects(emu *e, wg_case *w) {
  (void)plain(w);
  expect_finding(e, w, &(wg_hooks){.no_proxy_fence = ""}, 128,
                 TESSERA_EMU_PROXY, "fence.proxy.async");
  // B is overwritten while it may still be read.
  bool same = true;
  wg_hooks overwrite = {.after_commit =
                            "add.u32 %s, %base, 32768;\n"
                            "add.u32 %s, %s, %thr4;\n"
                            "st.shared.b32 [%s], 0;\n"
                            "bar.sync 0;\n"};
  CHECK(!wg_run(e, w, &overwrite, 128, &same));
  CHECK(!same);  // late: what was written is what is read
  CHECK(emu_found(e, TESSERA_EMU_RACE) || emu_found(e, TESSERA_EMU_IN_FLIGHT));
  w->b_at.descriptor |= 0x3fff;  // the last 16 bytes of 256 KB
  expect_finding(e, w, &no_hooks, 128, TESSERA_EMU_OUT_OF_BOUNDS, "bounds");
}

static void test_group_defects(emu *e, wg_case *w) {
  (void)plain(w);
  expect_finding(e, w, &(wg_hooks){.no_wait = ""}, 128, TESSERA_EMU_LEAK,
                 "in flight that nobody waited for");
  expect_finding(e, w, &no_hooks, 64, TESSERA_EMU_DIVERGENCE,
                 "four warps of a warpgroup");
  expect_finding(e, w,
                 &(wg_hooks){.after_fence = "setp.eq.u32 %q, %w, 2;\n"
                                            "@%q bra DONE;\n"},
                 128, TESSERA_EMU_DIVERGENCE, "different sequences");
  (void)plain(w);
  w->metadata[0] = 0;
  set_types(w, &types[2], true);
  w->n = 16;
  w->a_registers = true;
  w->b_at.swizzle = 128;
  wg_prepare(w, &state);
  w->metadata[37] &= ~0xfu;  // lane 5 of warp 1
  w->metadata[37] |= 0x5;
  expect_finding(e, w, &no_hooks, 128, TESSERA_EMU_METADATA,
                 "invalid pattern 0x5 for columns 16..19 of row 1");
}

// fp8 keeps 13 bits below the largest exponent: 2^-9 beside 32 is lost.
static void test_hardware_model(emu *e, wg_case *w) {
  for (int hardware = 0; hardware < 2; ++hardware) {
    set_types(w, &types[4], false);
    w->n = 8;
    w->a_registers = true;
    w->b_at.swizzle = 32;
    wg_prepare(w, &state);
    memset(w->a, 0, sizeof(w->a));
    memset(w->image + WG_B, 0, 8 * 32);
    for (uint32_t row = 0; row < 64; ++row) {
      w->a[row][0] = 0x01;  // 2^-9 as e4m3
      for (uint32_t n = 0; n < 8; ++n) {
        w->c[row][n] = 0x42000000;  // 32
        w->d[row][n] = hardware != 0 ? 0x42000000 : 0x42000200;
      }
    }
    for (uint32_t n = 0; n < 8; ++n) {
      wg_place(w->image, WG_B, &w->b_at, MAT_E5M2, 8, 32, n, 0, 0x3c);  // 1
    }
    e->config.accumulate = (tessera_emu_accumulate)hardware;
    bool same;
    CHECK(wg_run(e, w, &no_hooks, 128, &same));
    CHECK(same);
  }
  e->config.accumulate = TESSERA_EMU_ACCUMULATE_EXACT;
}

static void test_refused(void) {
  static const struct {
    const char *version, *target, *text;
  } texts[] = {
      {"8.7", "sm_90", "wgmma.fence.sync.aligned;"},
      {"8.7", "sm_90a", "wgmma.fence.aligned;"},
      {"8.7", "sm_90a",
       "wgmma.mma_async.sync.aligned.m64n12k16.f32.f16.f16 "
       "{%f0,%f1,%f2,%f3}, %d0, %d1, %p, 1, 1, 0, 0;"},
      {"8.7", "sm_90a",
       "wgmma.mma_async.sync.aligned.m64n8k8.f32.f16.f16 "
       "{%f0,%f1,%f2,%f3}, %d0, %d1, %p, 1, 1, 0, 0;"},
      {"8.7", "sm_90a",
       "wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16 "
       "{%f0,%f1,%f2,%f3}, %d0, %d1, %p, 1, 1, 0, 0;"},
      {"8.7", "sm_90a",
       "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 "
       "{%f0,%f1,%f2,%f3}, %d0, %d1, %p, 2, 1, 0, 0;"},
      {"8.7", "sm_90a",
       "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 "
       "{%f0,%f1,%f2,%f3}, {%r0,%r1,%r2,%r3}, %d1, %p, 1, 1, 0, 0;"},
      {"8.7", "sm_90a",
       "wgmma.mma_async.sync.aligned.m64n8k8.f32.tf32.tf32 "
       "{%f0,%f1,%f2,%f3}, %d0, %d1, %p, 1, 1, 0, 0;"},
      {"8.7", "sm_90a",
       "wgmma.mma_async.sync.aligned.m64n40k32.s32.s8.s8 "
       "{%r0,%r1,%r2,%r3,%r0,%r0,%r0,%r0,%r0,%r0,%r0,%r0,%r0,%r0,%r0,%r0,"
       "%r0,%r0,%r0,%r0}, %d0, %d1, %p;"},
      {"8.7", "sm_90a",
       "wgmma.mma_async.sp.sync.aligned.m64n8k32.f32.f16.f16 "
       "{%f0,%f1,%f2,%f3}, %d0, %d1, %r1, 2, %p, 1, 1, 0, 0;"},
      {"8.1", "sm_90a",
       "wgmma.mma_async.sp.sync.aligned.m64n8k32.f32.f16.f16 "
       "{%f0,%f1,%f2,%f3}, %d0, %d1, %r1, 1, %p, 1, 1, 0, 0;"},
      {"8.7", "sm_90a",
       "wgmma.mma_async.sp.sync.aligned.m64n8k64.f32.e4m3.e4m3 "
       "{%f0,%f1,%f2,%f3}, %d0, %d1, %r1, 1, %p, 1, 1;"},
      {"8.7", "sm_90a",
       "wgmma.mma_async.sp::ordered_metadata.sync.aligned.m64n8k32.f32.f16.f16 "
       "{%f0,%f1,%f2,%f3}, %d0, %d1, %r1, 1, %p, 1, 1, 0, 0;"},
      {"8.7", "sm_90a", "wgmma.wait_group.sync.aligned %r0;"},
      {"8.7", "sm_90a",
       "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 "
       "{%f0,%f1,%f2,%f3}, {%f0,%f1,%f2,%f3}, %d1, %p, 1, 1, 0;"},
  };
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
    emu e;
    emu_init(&e, "h100");
    emu_check_refused(&e, texts[i].version, texts[i].target,
                      ".reg .b32 %r<8>; .reg .pred %p;\n"
                      ".reg .f32 %f<8>; .reg .b64 %d<2>;",
                      texts[i].text);
    emu_fini(&e);
  }
}

int main(void) {
  wg_case *w = calloc(1, sizeof(*w));
  if (w == NULL) return 1;
  emu e;
  emu_init(&e, "h100");
  test_types(&e, w);
  test_layouts(&e, w);
  test_sizes(&e, w);
  test_base_offset(&e, w);
  test_time(&e, w);
  test_hardware_model(&e, w);
  test_register_defects(&e, w);
  test_memory_defects(&e, w);
  test_group_defects(&e, w);
  emu_fini(&e);
  free(w);
  test_refused();
  return test_finish();
}

// SPDX-License-Identifier: Apache-2.0
// ld and st: every type and vector, every space, every modifier that ptxas 13.0
// takes, and forms that it refuses. Expected bytes are computed here.
#include "exec/devices.h"
#include "harness.h"

#define LANES(lanes) ((const uint64_t(*)[32])(lanes))

enum { SLOT = 64 };  // bytes of each lane in |data|

static unsigned char data[TSR_LANES * SLOT];
static uint64_t scratch[1][32];  // for bodies without outputs

static void fill_data(void) {
  uint64_t state = 3;
  for (size_t i = 0; i < sizeof(data); ++i) {
    data[i] = (unsigned char)random_next(&state);
  }
}

static void addresses(uint64_t out[TSR_LANES], uint64_t base) {
  for (uint32_t i = 0; i < TSR_LANES; ++i) out[i] = base + i * SLOT;
}

static uint64_t bytes_of(uint32_t lane, uint32_t offset, uint32_t size) {
  uint64_t value = 0;
  memcpy(&value, data + lane * SLOT + offset, size);
  return value;
}

static uint64_t extend(uint64_t value, uint32_t bits, bool is_signed,
                       uint32_t register_bits) {
  if (is_signed && bits < 64 && (value >> (bits - 1) & 1u) != 0) {
    value |= ~UINT64_C(0) << bits;
  }
  return register_bits == 64 ? value
                             : value & ((UINT64_C(1) << register_bits) - 1);
}

typedef struct type_case {
  const char *name;
  uint32_t bits;
  bool is_signed;
} type_case;

static const type_case types[] = {
    {"b8", 8, false},   {"u8", 8, false},   {"s8", 8, true},
    {"b16", 16, false}, {"u16", 16, false}, {"s16", 16, true},
    {"b32", 32, false}, {"u32", 32, false}, {"s32", 32, true},
    {"b64", 64, false}, {"u64", 64, false}, {"s64", 64, true},
    {"f32", 32, false}, {"f64", 64, false},
};
enum { TYPE_COUNT = sizeof(types) / sizeof(types[0]) };

static const struct {
  char letter;
  uint32_t bits;
} registers[] = {{'h', 16}, {'r', 32}, {'d', 64}};

static void test_load_types(emu *e) {
  static uint64_t in[1][32];
  static uint64_t out[1][32];
  addresses(in[0], emu_upload(e, data, sizeof(data)));
  for (uint32_t t = 0; t < TYPE_COUNT; ++t) {
    for (uint32_t r = 0; r < 3; ++r) {
      if (types[t].bits > registers[r].bits) continue;
      for (uint32_t offset = 0; offset < 16; offset += types[t].bits / 8) {
        char body[100];
        char letter[2] = {registers[r].letter, 0};
        (void)snprintf(body, sizeof(body), "ld.global.%s %%o0, [%%i0+%u];",
                       types[t].name, offset);
        CHECK(emu_lanes(e, "", body, "d", LANES(in), letter, out));
        for (uint32_t i = 0; i < TSR_LANES; ++i) {
          uint64_t expected =
              extend(bytes_of(i, offset, types[t].bits / 8), types[t].bits,
                     types[t].is_signed, registers[r].bits);
          CHECK_EQ(out[0][i], expected);
        }
      }
    }
  }
}

static void vector_text(char *out, size_t size, const char *prefix,
                        uint32_t count, uint32_t first) {
  size_t used = 0;
  for (uint32_t k = 0; k < count; ++k) {
    used += (size_t)snprintf(out + used, size - used, "%s%s%u",
                             k == 0 ? "{" : ", ", prefix, first + k);
  }
  (void)snprintf(out + used, size - used, "}");
}

static void test_vectors(emu *e) {
  static uint64_t in[9][32];
  static uint64_t out[8][32];
  for (uint32_t t = 0; t < TYPE_COUNT; ++t) {
    for (uint32_t count = 2; count <= 4; count *= 2) {
      uint32_t bytes = types[t].bits / 8;
      if (bytes * count > 16) continue;
      char letter = types[t].bits == 64 ? 'd' : types[t].bits == 32 ? 'r' : 'h';
      char letters[10] = {'d'};
      for (uint32_t k = 0; k < count; ++k) letters[k + 1] = letter;
      char list[80];
      char body[200];
      addresses(in[0], emu_upload(e, data, sizeof(data)));
      vector_text(list, sizeof(list), "%o", count, 0);
      (void)snprintf(body, sizeof(body), "ld.global.v%u.%s %s, [%%i0+%u];",
                     count, types[t].name, list, bytes * count);
      CHECK(emu_lanes(e, "", body, "d", LANES(in), letters + 1, out));
      for (uint32_t k = 0; k < count; ++k) {
        for (uint32_t i = 0; i < TSR_LANES; ++i) {
          uint64_t expected =
              extend(bytes_of(i, bytes * (count + k), bytes), types[t].bits,
                     types[t].is_signed, bytes < 2 ? 16 : bytes * 8);
          CHECK_EQ(out[k][i], expected);
          in[k + 1][i] = expected;
        }
      }
      // And back, to another place.
      uint64_t target = emu_upload(e, NULL, sizeof(data));
      addresses(in[0], target);
      vector_text(list, sizeof(list), "%i", count, 1);
      (void)snprintf(body, sizeof(body), "st.global.v%u.%s [%%i0], %s;", count,
                     types[t].name, list);
      CHECK(emu_lanes(e, "", body, letters, LANES(in), "", scratch));
      unsigned char got[sizeof(data)];
      emu_download(e, got, target, sizeof(got));
      for (uint32_t i = 0; i < TSR_LANES; ++i) {
        CHECK(memcmp(got + i * SLOT, data + i * SLOT + bytes * count,
                     bytes * count) == 0);
        CHECK(got[i * SLOT + bytes * count] == 0xff);
      }
    }
  }
}

static void test_store_types(emu *e) {
  static uint64_t in[2][32];
  for (uint32_t t = 0; t < TYPE_COUNT; ++t) {
    for (uint32_t r = 0; r < 3; ++r) {
      if (types[t].bits > registers[r].bits) continue;
      uint32_t bytes = types[t].bits / 8;
      uint64_t target = emu_upload(e, NULL, sizeof(data));
      addresses(in[0], target + 16);
      for (uint32_t i = 0; i < TSR_LANES; ++i) in[1][i] = bytes_of(i, 0, 8);
      char body[200];
      char letters[3] = {'d', registers[r].letter, 0};
      // Odd lanes only: the others' bytes stay.
      (void)snprintf(body, sizeof(body),
                     ".reg .pred %%q; .reg .b32 %%t; and.b32 %%t, %%hlane, 1;\n"
                     "setp.ne.u32 %%q, %%t, 0;\n@%%q st.global.%s [%%i0], "
                     "%%i1;",
                     types[t].name);
      CHECK(emu_lanes(e, "", body, letters, LANES(in), "", scratch));
      unsigned char got[sizeof(data)];
      emu_download(e, got, target, sizeof(got));
      for (uint32_t i = 0; i < TSR_LANES; ++i) {
        const unsigned char *slot = got + i * SLOT;
        for (uint32_t k = 0; k < SLOT; ++k) {
          bool hit = i % 2 == 1 && k >= 16 && k < 16 + bytes;
          CHECK_EQ(slot[k], hit ? data[i * SLOT + k - 16] : 0xff);
        }
      }
    }
  }
}

// A value through each space and back; all of one warp in different spaces.
static const char *const spaces_text =
    ".version 8.7\n.target sm_90a\n.address_size 64\n"
    ".const .align 16 .b32 table[4] = {11, 22, 33, 44};\n"
    ".global .align 16 .b8 bytes[8] = {1, 2, 3, 4, 0xf5, 6, 7, 8};\n"
    ".visible .entry spaces(.param .u64 out, .param .align 8 .b8 box[16]) {\n"
    ".reg .b64 %rd<20>; .reg .b32 %r<30>; .reg .pred %p<4>;\n"
    ".shared .align 16 .b8 sh[256];\n"
    ".local .align 16 .b8 lo[64];\n"
    "ld.param.u64 %rd1, [out];\n"
    "cvta.to.global.u64 %rd1, %rd1;\n"
    "mov.u32 %r1, %tid.x;\n"
    "mul.wide.u32 %rd2, %r1, 64; add.u64 %rd1, %rd1, %rd2;\n"
    // Shared: the neighbour's value.
    "shl.b32 %r2, %r1, 2; mov.u32 %r3, sh; add.u32 %r3, %r3, %r2;\n"
    "mul.lo.u32 %r4, %r1, 3; st.shared.u32 [%r3], %r4; bar.sync 0;\n"
    "xor.b32 %r5, %r2, 4; mov.u32 %r6, sh; add.u32 %r6, %r6, %r5;\n"
    "ld.shared.u32 %r7, [%r6]; st.global.u32 [%rd1], %r7;\n"
    // Local: each thread's own.
    "add.u32 %r8, %r1, 1000; st.local.u32 [lo+8], %r8;\n"
    "ld.local.u32 %r9, [lo+8]; st.global.u32 [%rd1+4], %r9;\n"
    // Constants and initialised globals.
    "ld.const.u32 %r10, [table+8]; st.global.u32 [%rd1+8], %r10;\n"
    "ld.global.s8 %r11, [bytes+4]; st.global.u32 [%rd1+12], %r11;\n"
    // A parameter that is an array.
    "ld.param.u32 %r12, [box+4]; st.global.u32 [%rd1+16], %r12;\n"
    // Generic addresses, a space for each lane modulo 4.
    "mov.u64 %rd3, sh; cvta.shared.u64 %rd3, %rd3;\n"
    "cvt.u64.u32 %rd4, %r2; add.u64 %rd3, %rd3, %rd4;\n"
    "mov.u64 %rd5, lo; cvta.local.u64 %rd5, %rd5; add.u64 %rd5, %rd5, 8;\n"
    "mov.u64 %rd6, table; cvta.const.u64 %rd6, %rd6;\n"
    "mov.b64 %rd7, box; cvta.param.u64 %rd7, %rd7; add.u64 %rd7, %rd7, 4;\n"
    "and.b32 %r13, %r1, 3;\n"
    "setp.eq.u32 %p0, %r13, 1; selp.b64 %rd8, %rd5, %rd3, %p0;\n"
    "setp.eq.u32 %p1, %r13, 2; selp.b64 %rd8, %rd6, %rd8, %p1;\n"
    "setp.eq.u32 %p2, %r13, 3; selp.b64 %rd8, %rd7, %rd8, %p2;\n"
    "bar.sync 0;\n"
    "ld.u32 %r14, [%rd8]; st.global.u32 [%rd1+20], %r14;\n"
    "setp.lt.u32 %p3, %r13, 2; add.u32 %r15, %r14, 1;\n"
    "@%p3 st.u32 [%rd8], %r15;\n"
    "ld.u32 %r16, [%rd8]; st.global.u32 [%rd1+24], %r16;\n"
    "ret;\n}\n";

static void test_spaces(emu *e) {
  emu_must_load(e, spaces_text);
  uint64_t out = emu_upload(e, NULL, TSR_LANES * 64);
  uint64_t box = UINT64_C(0x1234567800000000);
  emu_dims dims = {.block = {32, 1, 1}};
  uint64_t args[] = {out, box};
  bool clean = emu_launch(e, "spaces", dims, args, 2);
  CHECK(clean);
  if (!clean) fprintf(stderr, "%s", emu_findings(e));
  uint32_t got[TSR_LANES][16];
  emu_download(e, got, out, sizeof(got));
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    CHECK_EQ(got[i][0], (i ^ 1u) * 3);
    CHECK_EQ(got[i][1], i + 1000);
    CHECK_EQ(got[i][2], 33);
    CHECK_EQ(got[i][3], 0xfffffff5u);
    CHECK_EQ(got[i][4], 0x12345678);
    const uint32_t expected[] = {i * 3, i + 1000, 11, 0x12345678};
    CHECK_EQ(got[i][5], expected[i % 4]);
    CHECK_EQ(got[i][6], expected[i % 4] + (i % 4 < 2));
  }
}

// --- Modifiers --------------------------------------------------------------

static const char *const accepted[] = {
    "ld.ca.b32 %o0, [%i0];",
    "ld.L1::evict_last.L2::128B.b32 %o0, [%i0];",
    "ld.weak.global.ca.b32 %o0, [%i0];",
    "ld.global.nc.cg.b32 %o0, [%i0];",
    "st.L1::evict_last.b32 [%i0], %i1; ld.b32 %o0, [%i0];",
    "ld.weak.global.b32 %o0, [%i0];",
    "ld.global.ca.b32 %o0, [%i0];",
    "ld.global.cg.b32 %o0, [%i0];",
    "ld.global.cs.b32 %o0, [%i0];",
    "ld.global.lu.b32 %o0, [%i0];",
    "ld.global.cv.b32 %o0, [%i0];",
    "ld.volatile.global.b32 %o0, [%i0];",
    "ld.volatile.global.L2::128B.b32 %o0, [%i0];",
    "ld.relaxed.gpu.global.b32 %o0, [%i0];",
    "ld.global.relaxed.gpu.b32 %o0, [%i0];",
    "ld.acquire.sys.b32 %o0, [%i0];",
    "ld.acquire.cluster.global.b32 %o0, [%i0];",
    "ld.relaxed.cta.global.L1::no_allocate.L2::64B.b32 %o0, [%i0];",
    "ld.mmio.relaxed.sys.global.b32 %o0, [%i0];",
    "ld.global.nc.b32 %o0, [%i0];",
    "ld.global.ca.nc.b32 %o0, [%i0];",
    "ld.global.nc.L1::no_allocate.L2::256B.b32 %o0, [%i0];",
    "ld.global.nc.L1::evict_last.b32 %o0, [%i0];",
    "ld.global.L1::evict_first.b32 %o0, [%i0];",
    "ld.global.L1::evict_unchanged.b32 %o0, [%i0];",
    "ld.global.L2::cache_hint.b32 %o0, [%i0], %i0;",
    ".reg .b64 %y; createpolicy.fractional.L2::evict_last.b64 %y, 0.5;\n"
    "ld.global.L2::cache_hint.L2::128B.b32 %o0, [%i0], %y;",
    ".reg .b64 %y; createpolicy.fractional.L2::evict_last."
    "L2::evict_unchanged.b64 %y;\nld.global.L2::cache_hint.b32 %o0, [%i0], %y;",
    ".reg .b64 %y; createpolicy.range.global.L2::evict_last.L2::evict_first."
    "b64 %y, [%i0], 4096, 8192;\nld.global.b32 %o0, [%i0];",
    ".reg .b64 %y; createpolicy.cvt.L2.b64 %y, 0x10000000;\n"
    "ld.global.b32 %o0, [%i0];",
    "ldu.global.b32 %o0, [%i0];",
    "ld.global.v4.b32 {%o0, _, _, _}, [%i0];",
    "ld.global.b32 {%o0}, [%i0];",
    "prefetch.global.L1 [%i0]; prefetch.L2 [%i0];\nld.global.b32 %o0, [%i0];",
    "prefetch.global.L2::evict_last [%i0+1000000];\n"
    "prefetch.global.L2::evict_normal [%i0];\nprefetchu.L1 [%i0];\n"
    "prefetch.tensormap [%i0];\nld.b32 %o0, [%i0];",
    ".reg .b64 %y; and.b64 %y, %i0, -128;\n"
    "applypriority.global.L2::evict_normal [%y], 128;\n"
    "ld.global.b32 %o0, [%i0];",
    "membar.gl; membar.cta; membar.sys; fence.sc.gpu; fence.acq_rel.cta;\n"
    "fence.acquire.cluster; fence.release.sys; fence.gpu; fence.proxy.alias;\n"
    "fence.proxy.async; fence.proxy.async.global;\n"
    "fence.proxy.async.shared::cta; fence.proxy.async.shared::cluster;\n"
    "fence.mbarrier_init.release.cluster; membar.proxy.alias;\n"
    "fence.proxy.tensormap::generic.release.gpu;\n"
    "fence.acquire.sync_restrict::shared::cluster.cluster;\n"
    "fence.release.sync_restrict::shared::cta.cluster;\n"
    "fence.proxy.async::generic.acquire.sync_restrict::shared::cluster."
    "cluster;\nld.global.b32 %o0, [%i0];",
    "st.weak.global.wb.b32 [%i0], %i1; ld.global.b32 %o0, [%i0];",
    "st.global.cg.b32 [%i0], %i1; ld.global.b32 %o0, [%i0];",
    "st.global.cs.b32 [%i0], %i1; ld.global.b32 %o0, [%i0];",
    "st.global.wt.b32 [%i0], %i1; ld.global.b32 %o0, [%i0];",
    "st.volatile.global.b32 [%i0], %i1; ld.volatile.b32 %o0, [%i0];",
    "st.relaxed.gpu.global.b32 [%i0], %i1; ld.relaxed.gpu.b32 %o0, [%i0];",
    "st.release.sys.global.b32 [%i0], %i1; ld.acquire.sys.b32 %o0, [%i0];",
    "st.mmio.relaxed.sys.global.b32 [%i0], %i1; ld.b32 %o0, [%i0];",
    "st.global.L1::evict_last.b32 [%i0], %i1; ld.b32 %o0, [%i0];",
    "st.global.L2::cache_hint.b32 [%i0], %i1, %i0; ld.b32 %o0, [%i0];",
};

static void test_modifiers(emu *e) {
  static uint64_t in[2][32];
  static uint64_t out[1][32];
  addresses(in[0], emu_upload(e, data, sizeof(data)));
  for (uint32_t i = 0; i < TSR_LANES; ++i) in[1][i] = bytes_of(i, 0, 4);
  for (size_t k = 0; k < sizeof(accepted) / sizeof(accepted[0]); ++k) {
    memset(out, 0, sizeof(out));
    bool clean = emu_lanes(e, "", accepted[k], "dr", LANES(in), "r", out);
    if (!clean) fprintf(stderr, "%s: %s\n", accepted[k], emu_findings(e));
    CHECK(clean);
    for (uint32_t i = 0; i < TSR_LANES; ++i) CHECK_EQ(out[0][i], in[1][i]);
  }
}

static const char *const refused[] = {
    "ld.relaxed.gpu.global.ca.b32 %r1, [%rd1];",
    "ld.volatile.global.ca.b32 %r1, [%rd1];",
    "ld.global.ca.L1::evict_last.b32 %r1, [%rd1];",
    "ld.volatile.global.L1::evict_last.b32 %r1, [%rd1];",
    "ld.volatile.global.L2::cache_hint.b32 %r1, [%rd1], %rd2;",
    "ld.shared.L1::evict_last.b32 %r1, [%r2];",
    "ld.shared.L2::cache_hint.b32 %r1, [%r2], %rd2;",
    "ld.shared.L2::128B.b32 %r1, [%r2];",
    "ld.local.L1::evict_last.b32 %r1, [%rd1];",
    "ld.volatile.const.b32 %r1, [%rd1];",
    "ld.relaxed.gpu.local.b32 %r1, [%rd1];",
    "ld.mmio.relaxed.sys.shared.b32 %r1, [%r2];",
    "ld.mmio.relaxed.gpu.b32 %r1, [%rd1];",
    "ld.mmio.relaxed.sys.global.v2.b32 {%r1, %r2}, [%rd1];",
    "ld.global.nc.cv.b32 %r1, [%rd1];",
    "ld.weak.global.nc.b32 %r1, [%rd1];",
    "ld.global.L2::evict_last.b32 %r1, [%rd1];",
    "st.volatile.local.b32 [%rd1], %r1;",
    "st.relaxed.gpu.global.cg.b32 [%rd1], %r1;",
    "st.shared.L1::evict_last.b32 [%r2], %r1;",
    "ld.global.f16 %h1, [%rd1];",
    "ld.acquire.global.b32 %r1, [%rd1];",
    "ld.relaxed.b32 %r1, [%rd1];",
    "ld.nc.b32 %r1, [%rd1];",
    "ld.volatile.global.nc.b32 %r1, [%rd1];",
    "ld.mmio.sys.global.b32 %r1, [%rd1];",
    "ld.global.b32 _, [%rd1];",
    "ld.global.b32 %r1;",
    "ld.global.b32 %r1, [%rd1], %rd1;",
    "ld.global.L2::cache_hint.b32 %r1, [%rd1];",
    "ld.global.b64 %r1, [%rd1];",
    "ld.global.b32 %h1, [%rd1];",
    "ld.global %r1, [%rd1];",
    "ld.global.ca.cg.b32 %r1, [%rd1];",
    "ld.global.wb.b32 %r1, [%rd1];",
    "ld.global.shared.b32 %r1, [%rd1];",
    "ld.release.gpu.global.b32 %r1, [%rd1];",
    "ld.global.v4.b64 {%rd1, %rd1, %rd1, %rd1}, [%rd1];",
    "ld.global.v8.b16 {%h1, %h1, %h1, %h1, %h1, %h1, %h1, %h1}, [%rd1];",
    "ld.global.v2.b32 {%r1, %r1, %r1}, [%rd1];",
    "ld.global.v2.b32 %r1, [%rd1];",
    "ld.global.v3.b32 {%r1, %r1, %r1}, [%rd1];",
    "ld.global.b32 {%r1, %r2}, [%rd1];",
    "ld.global.b32 %r1, %rd1;",
    "st.acquire.gpu.global.b32 [%rd1], %r1;",
    "st.const.b32 [%rd1], %r1;",
    "st.global.nc.b32 [%rd1], %r1;",
    "st.global.b64 [%rd1], %r1;",
    "st.global.L2::128B.b32 [%rd1], %r1;",
    "st.global.bf16 [%rd1], %h1;",
    "prefetch.shared.L1 [%rd1];",
    "prefetch.global.L3 [%rd1];",
    "discard.global.L2 [%rd1], 64;",
    "applypriority.global.L2::evict_last [%rd1], 128;",
    "createpolicy.fractional.b64 %rd1, 0.5;",
    "membar.gpu;",
    "fence.sc;",
    "fence.proxy.sync;",
    "fence.mbarrier_init.release.gpu;",
    "fence.acquire.sync_restrict::shared::cta.cluster;",
    "fence.proxy.tensormap::generic.acquire.gpu;",
};

static void test_refused(emu *e) {
  for (size_t k = 0; k < sizeof(refused) / sizeof(refused[0]); ++k) {
    CHECK(emu_refuses(e, refused[k]));
  }
}

// 256 bits at once: PTX 8.8, sm_100, which no device of the table is.
static const char *const wide_text =
    ".version 8.8\n.target sm_100a\n.address_size 64\n"
    ".visible .entry wide(.param .u64 in, .param .u64 out) {\n"
    ".reg .b64 %rd<16>; .reg .b32 %r<16>;\n"
    "ld.param.u64 %rd1, [in]; ld.param.u64 %rd2, [out];\n"
    "mov.u32 %r1, %tid.x; mul.wide.u32 %rd3, %r1, 64;\n"
    "add.u64 %rd1, %rd1, %rd3; add.u64 %rd2, %rd2, %rd3;\n"
    "ld.global.v8.b32 {%r1, %r2, %r3, %r4, %r5, %r6, %r7, _}, [%rd1];\n"
    "st.global.v8.b32 [%rd2], {%r1, %r2, %r3, %r4, %r5, %r6, %r7, 7};\n"
    "ld.global.L2::evict_last.v4.b64 {%rd4, %rd5, %rd6, %rd7}, [%rd1+32];\n"
    "st.global.v4.b64 [%rd2+32], {%rd7, %rd5, %rd6, %rd4};\nret;\n}\n";

static void test_wide(emu *e) {
  tsr_device_model device = *e->device;
  const tsr_device_model *before = e->device;
  device.sm_major = 10;
  e->device = &device;
  emu_must_load(e, wide_text);
  uint64_t args[] = {emu_upload(e, data, sizeof(data)),
                     emu_upload(e, NULL, sizeof(data))};
  emu_dims dims = {.block = {32, 1, 1}};
  CHECK(emu_launch(e, "wide", dims, args, 2));
  unsigned char got[sizeof(data)];
  emu_download(e, got, args[1], sizeof(got));
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    const unsigned char *from = data + i * SLOT;
    const unsigned char *to = got + i * SLOT;
    CHECK(memcmp(to, from, 28) == 0);
    CHECK(to[28] == 7 && to[29] == 0 && to[31] == 0);
    CHECK(memcmp(to + 32, from + 56, 8) == 0);
    CHECK(memcmp(to + 40, from + 40, 16) == 0);
    CHECK(memcmp(to + 56, from + 32, 8) == 0);
  }
  args[0] += 16;  // a multiple of 16, not of 32
  CHECK(!emu_launch(e, "wide", dims, args, 2));
  CHECK_EQ(e->launch.fault, TESSERA_EMU_MISALIGNED);
  tsr_report_clear(e->report);
  e->device = before;
}

static void test_b128(emu *e) {
  static uint64_t in[2][32];
  uint64_t target = emu_upload(e, NULL, sizeof(data));
  addresses(in[0], emu_upload(e, data, sizeof(data)));
  addresses(in[1], target);
  CHECK(emu_lanes(e, "",
                  ".reg .b128 %q;\nld.global.b128 %q, [%i0+16];\n"
                  "st.global.b128 [%i1+32], %q;",
                  "dd", LANES(in), "", scratch));
  unsigned char got[sizeof(data)];
  emu_download(e, got, target, sizeof(got));
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    CHECK(memcmp(got + i * SLOT + 32, data + i * SLOT + 16, 16) == 0);
    CHECK(got[i * SLOT + 48] == 0xff && got[i * SLOT + 31] == 0xff);
  }
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  fill_data();
  test_load_types(&e);
  test_store_types(&e);
  test_vectors(&e);
  test_b128(&e);
  test_spaces(&e);
  test_modifiers(&e);
  test_refused(&e);
  test_wide(&e);
  emu_fini(&e);
  return test_finish();
}

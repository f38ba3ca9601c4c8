// SPDX-License-Identifier: Apache-2.0
// cp.async.bulk and cp.reduce.async.bulk: a warp that loads tiles for others
// through mbarriers, results that go back by bulk groups, reductions against
// plain arithmetic; and each mistake a program can make in them.
#include <stdlib.h>

#include "harness.h"

#define HEADER ".version 8.7\n.target sm_90a\n.address_size 64\n"

enum { SEEDS = 24, TILES = 13, PLACES = 4, WORDS = 256, THREADS = 128 };

static const tessera_emu_time times[] = {
    TESSERA_EMU_TIME_LATE, TESSERA_EMU_TIME_EARLY, TESSERA_EMU_TIME_RANDOM};

typedef struct stream {
  const char *expect;       // bytes announced for each tile
  const char *empty_wait;   // label and wait of the producer
  const char *full_parity;  // of the consumers' wait
  const char *full_wait;    // label and wait of the consumers
  const char *release;      // how a consumer gives a place back
  const char *empty_count;
  const char *fence;       // before the result is stored
  const char *store_wait;  // behind the store
} stream;

#define EXPECT_RIGHT "1024"
#define EMPTY_WAIT                                                  \
  "we:\nmbarrier.try_wait.parity.shared::cta.b64 %q, [%e], %par;\n" \
  "@!%q bra we;\n"
#define FULL_WAIT                                                   \
  "wf:\nmbarrier.try_wait.parity.shared::cta.b64 %q, [%f], %par;\n" \
  "@!%q bra wf;\n"
#define EVEN "and.b32 %par, %k, 1;"
#define RELEASE "mbarrier.arrive.shared::cta.b64 _, [%e];"
#define FENCE "fence.proxy.async.shared::cta;"
#define STORE_WAIT "cp.async.bulk.wait_group.read 0;"

static const stream good = {EXPECT_RIGHT, EMPTY_WAIT, EVEN,  FULL_WAIT,
                            RELEASE,      "96",       FENCE, STORE_WAIT};

// Thread 0 loads 1 KiB tiles into a ring; warps 1 to 3 sum words of them, put
// the sums into shared memory, and thread 32 stores those 384 bytes.
static bool run_stream(emu *e, const stream *s, uint32_t *out_wrong) {
  char text[8192];
  (void)snprintf(
      text, sizeof(text),
      HEADER
      ".visible .entry stream(.param .u64 pin, .param .u64 pout) {\n"
      ".reg .b64 %%in, %%out;\n"
      ".reg .b32 %%t, %%b, %%f, %%e, %%i, %%k, %%s, %%a, %%v, %%par, %%r;\n"
      ".reg .b32 %%sum, %%full, %%empty, %%j;\n.reg .pred %%p, %%q, %%c;\n"
      ".shared .align 128 .b8 buf[4096];\n.shared .align 16 .b8 res[384];\n"
      ".shared .align 8 .b64 fullbar[4];\n.shared .align 8 .b64 emptybar[4];\n"
      "ld.param.u64 %%in, [pin];\nld.param.u64 %%out, [pout];\n"
      "mov.u32 %%t, %%tid.x;\nmov.u32 %%b, buf;\nmov.u32 %%r, res;\n"
      "mov.u32 %%full, fullbar;\nmov.u32 %%empty, emptybar;\n"
      "mov.u32 %%sum, 0;\nmov.u32 %%i, 0;\n"
      "setp.eq.u32 %%p, %%t, 0;\n@!%%p bra ready;\n"
      "init:\nmad.lo.u32 %%f, %%i, 8, %%full;\n"
      "mad.lo.u32 %%e, %%i, 8, %%empty;\n"
      "mbarrier.init.shared::cta.b64 [%%f], 1;\n"
      "mbarrier.init.shared::cta.b64 [%%e], %s;\n"
      "add.u32 %%i, %%i, 1;\nsetp.lt.u32 %%q, %%i, 4;\n@%%q bra init;\n"
      "fence.proxy.async.shared::cta;\n"
      "ready:\nbar.sync 0;\n"
      "mov.u32 %%i, 0;\nsetp.ge.u32 %%c, %%t, 32;\n@%%c bra consume;\n"
      "@!%%p bra done;\n"
      "produce:\nand.b32 %%s, %%i, 3;\nshr.u32 %%k, %%i, 2;\n"
      "mad.lo.u32 %%f, %%s, 8, %%full;\nmad.lo.u32 %%e, %%s, 8, %%empty;\n"
      "xor.b32 %%par, %%k, 1;\nand.b32 %%par, %%par, 1;\n%s\n"
      "mad.lo.u32 %%a, %%s, 1024, %%b;\n"
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%%f], %s;\n"
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%%a], [%%in], 512, [%%f];\n"
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%%a+512], [%%in+512], 512, [%%f];\n"
      "add.u64 %%in, %%in, 1024;\nadd.u32 %%i, %%i, 1;\n"
      "setp.lt.u32 %%q, %%i, %u;\n@%%q bra produce;\nbra.uni done;\n"
      "consume:\nand.b32 %%s, %%i, 3;\nshr.u32 %%k, %%i, 2;\n"
      "mad.lo.u32 %%f, %%s, 8, %%full;\nmad.lo.u32 %%e, %%s, 8, %%empty;\n"
      "%s\n%s\n"
      "mad.lo.u32 %%a, %%s, 1024, %%b;\nmad.lo.u32 %%a, %%t, 4, %%a;\n"
      "ld.shared.u32 %%v, [%%a];\nmad.lo.u32 %%sum, %%v, %%i, %%sum;\n"
      "ld.shared.u32 %%v, [%%a+512];\nadd.u32 %%sum, %%v, %%sum;\n%s\n"
      "add.u32 %%i, %%i, 1;\nsetp.lt.u32 %%q, %%i, %u;\n@%%q bra consume;\n"
      "sub.u32 %%j, %%t, 32;\nmad.lo.u32 %%a, %%j, 4, %%r;\n"
      "st.shared.u32 [%%a], %%sum;\n%s\nbar.sync 1, 96;\n"
      "setp.eq.u32 %%q, %%t, 32;\n@!%%q bra done;\n"
      "cp.async.bulk.global.shared::cta.bulk_group [%%out], [%%r], 384;\n"
      "cp.async.bulk.commit_group;\n%s\n"
      "done:\nret;\n}\n",
      s->empty_count, s->empty_wait, s->expect, (unsigned)TILES, s->full_parity,
      s->full_wait, s->release, (unsigned)TILES, s->fence, s->store_wait);
  static uint32_t in[TILES * WORDS], out[96];
  for (uint32_t i = 0; i < TILES * WORDS; ++i) in[i] = i * 2654435761u + 7;
  tsr_report_clear(e->report);  // it keeps 256 findings
  emu_must_load(e, text);
  uint64_t args[2] = {emu_upload(e, in, sizeof(in)),
                      emu_upload(e, NULL, sizeof(out))};
  emu_dims dims = {.block = {THREADS}};
  bool clean = emu_launch(e, "stream", dims, args, 2);
  emu_download(e, out, args[1], sizeof(out));
  *out_wrong = 0;
  for (uint32_t t = 32; t < THREADS; ++t) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < TILES; ++i) {
      sum += in[i * WORDS + t] * i + in[i * WORDS + 128 + t];
    }
    *out_wrong += sum != out[t - 32];
  }
  (void)tsr_heap_free(e->heap, args[0]);
  (void)tsr_heap_free(e->heap, args[1]);
  return clean;
}

static void test_stream(emu *e) {
  for (uint64_t seed = 0; seed < SEEDS; ++seed) {
    for (size_t t = 0; t < 3; ++t) {
      uint32_t wrong;
      e->config.seed = seed;
      e->config.time = times[t];
      bool clean = run_stream(e, &good, &wrong);
      CHECK(clean);
      if (!clean) fprintf(stderr, "stream: %s", emu_findings(e));
      CHECK_EQ(wrong, 0);
    }
  }
  const tessera_emu_profile *profile = &e->launch.profile;
  CHECK_EQ(profile->bulk_load.instructions, 2 * TILES);
  CHECK_EQ(profile->bulk_load.bytes, TILES * 1024);
  CHECK_EQ(profile->bulk_load.transactions, TILES * 32);
  CHECK_EQ(profile->bulk_load.ideal, TILES * 32);
  CHECK_EQ(profile->bulk_store.instructions, 1);
  CHECK_EQ(profile->bulk_store.bytes, 384);
}

#define BIT(kind) (1u << TESSERA_EMU_##kind)

static bool found_any(emu *e, uint32_t kinds) {
  for (uint32_t kind = 1; kind <= TESSERA_EMU_TIMEOUT; ++kind) {
    if ((kinds >> kind & 1) != 0 &&
        emu_found(e, (tessera_emu_finding_kind)kind)) {
      return true;
    }
  }
  return false;
}

static void check_stream(emu *e, const char *name, const stream *s,
                         uint32_t kinds) {
  for (uint64_t seed = 0; seed < SEEDS; ++seed) {
    uint32_t wrong;
    e->config.seed = seed;
    e->config.time = times[seed % 3];
    bool found = !run_stream(e, s, &wrong) && found_any(e, kinds);
    CHECK(found);
    if (!found) {
      fprintf(stderr, "%s, seed %u: found: %s\n", name, (unsigned)seed,
              emu_findings(e));
    }
  }
}

static void test_stream_defects(emu *e) {
  stream s = good;
  s.expect = "1040";
  check_stream(e, "too many bytes expected", &s, BIT(DEADLOCK));
  s.expect = "512";
  check_stream(e, "too few bytes expected", &s,
               BIT(DEADLOCK) | BIT(RACE) | BIT(IN_FLIGHT));
  s = good;
  s.full_wait = "";
  check_stream(e, "no wait for full", &s,
               BIT(RACE) | BIT(IN_FLIGHT) | BIT(UNINITIALISED));
  s = good;
  s.full_parity = "xor.b32 %par, %k, 1;\nand.b32 %par, %par, 1;";
  check_stream(e, "wrong parity of full", &s,
               BIT(RACE) | BIT(IN_FLIGHT) | BIT(DEADLOCK));
  s = good;
  s.empty_wait = "";
  check_stream(e, "no wait for empty", &s,
               BIT(RACE) | BIT(IN_FLIGHT) | BIT(BARRIER));
  s = good;
  s.empty_count = "97";
  check_stream(e, "too few arrivals", &s, BIT(DEADLOCK));
  s = good;
  s.release = "";
  check_stream(e, "places never given back", &s, BIT(DEADLOCK));
  s = good;
  s.release = "mbarrier.arrive.relaxed.cta.shared::cta.b64 _, [%e];";
  check_stream(e, "released without .release", &s, BIT(RACE));
  s = good;
  s.fence = "";
  check_stream(e, "no fence.proxy.async", &s, BIT(PROXY));
  s = good;
  s.store_wait = "";
  check_stream(e, "no wait for the store", &s, BIT(LEAK));
  s = good;
  s.store_wait = "st.shared.u32 [%r], %i;\n" STORE_WAIT;
  check_stream(e, "overwrites what is being stored", &s, BIT(IN_FLIGHT));
}

// --- One thread -------------------------------------------------------------

// |body| uses %in (64 bytes that are read), %out, %b (shared, 256 bytes, its
// first 64 are the bytes of |mine|), %m (an mbarrier for one arrival).
static bool run_single(emu *e, const char *body, const void *in, void *out,
                       const uint32_t mine[16]) {
  char text[8192], words[2048];
  size_t used = 0;
  for (uint32_t i = 0; i < 16; ++i) {
    used += (size_t)snprintf(words + used, sizeof(words) - used,
                             "mov.u32 %%v, %u;\nst.shared.u32 [%%b+%u], %%v;\n",
                             mine[i], i * 4);
  }
  (void)snprintf(
      text, sizeof(text),
      HEADER
      ".visible .entry single(.param .u64 pin, .param .u64 pout) {\n"
      ".reg .b64 %%in, %%out, %%pol, %%d<4>;\n.reg .b16 %%h;\n"
      ".reg .b32 %%b, %%m, %%v, %%i;\n.reg .pred %%p, %%q;\n"
      ".shared .align 128 .b8 buf[256];\n.shared .align 8 .b64 bar;\n"
      "ld.param.u64 %%in, [pin];\nld.param.u64 %%out, [pout];\n"
      "mov.u32 %%b, buf;\nmov.u32 %%m, bar;\nmov.b64 %%pol, 0;\n"
      "mov.b16 %%h, 1;\n"
      "mbarrier.init.shared::cta.b64 [%%m], 1;\n%s"
      "fence.proxy.async;\n%s\nret;\n}\n",
      words, body);
  tsr_report_clear(e->report);  // it keeps 256 findings
  emu_must_load(e, text);
  uint64_t args[2] = {emu_upload(e, in, 64), emu_upload(e, out, 64)};
  bool clean = emu_launch(e, "single", (emu_dims){{0}, {0}, 0}, args, 2);
  emu_download(e, out, args[1], 64);
  (void)tsr_heap_free(e->heap, args[0]);
  (void)tsr_heap_free(e->heap, args[1]);
  return clean;
}

#define COMPLETE "cp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\n"
#define MBARRIER_WAIT                                           \
  "w:\nmbarrier.try_wait.parity.shared::cta.b64 %q, [%m], 0;\n" \
  "@!%q bra w;\n"

static uint64_t element_of(const uint32_t *words, uint32_t index,
                           uint32_t size) {
  uint64_t value = 0;
  memcpy(&value, (const char *)words + index * size, size);
  return value;
}

typedef uint64_t (*binary)(uint64_t a, uint64_t b);
static uint64_t add(uint64_t a, uint64_t b) {
  return a + b;
}
static uint64_t min_u(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}
static uint64_t max_s32(uint64_t a, uint64_t b) {
  return (int32_t)a > (int32_t)b ? a : b;
}
static uint64_t min_s64(uint64_t a, uint64_t b) {
  return (int64_t)a < (int64_t)b ? a : b;
}
static uint64_t and_bits(uint64_t a, uint64_t b) {
  return a & b;
}
static uint64_t or_bits(uint64_t a, uint64_t b) {
  return a | b;
}
static uint64_t xor_bits(uint64_t a, uint64_t b) {
  return a ^ b;
}
static uint64_t inc(uint64_t a, uint64_t b) {
  return a >= b ? 0 : a + 1;
}
static uint64_t dec(uint64_t a, uint64_t b) {
  return a == 0 || a > b ? b : a - 1;
}
static uint64_t add_f32(uint64_t a, uint64_t b) {
  float x, y;
  uint32_t u = (uint32_t)a, v = (uint32_t)b;
  memcpy(&x, &u, 4);
  memcpy(&y, &v, 4);
  x += y;
  memcpy(&u, &x, 4);
  return u;
}

static void check_reduction(emu *e, const char *suffix, uint32_t size,
                            binary reference) {
  uint32_t in[16] = {0}, mine[16], out[16], before[16];
  uint64_t state = 99;
  for (uint32_t i = 0; i < 16; ++i) {
    mine[i] = (uint32_t)random_next(&state) >> (i % 3 * 10);
    before[i] = out[i] = (uint32_t)random_next(&state) >> (i % 4 * 8);
    if (strcmp(suffix, "add.f32") == 0) {  // no NaN: their bits are not told
      mine[i] &= 0xbfffffffu;
      before[i] = out[i] &= 0xbfffffffu;
    }
  }
  out[3] = before[3] = 0;
  out[5] = before[5] = mine[5];
  char body[256];
  (void)snprintf(body, sizeof(body),
                 "cp.reduce.async.bulk.global.shared::cta.bulk_group.%s "
                 "[%%out], [%%b], 64;\n" COMPLETE,
                 suffix);
  CHECK(run_single(e, body, in, out, mine));
  for (uint32_t i = 0; i < 64 / size; ++i) {
    uint64_t mask = size == 8 ? ~UINT64_C(0) : (UINT64_C(1) << size * 8) - 1;
    uint64_t want =
        reference(element_of(before, i, size), element_of(mine, i, size));
    CHECK_EQ(element_of(out, i, size), want & mask);
  }
}

static void test_reductions(emu *e) {
  check_reduction(e, "add.u32", 4, add);
  check_reduction(e, "add.s32", 4, add);
  check_reduction(e, "add.u64", 8, add);
  check_reduction(e, "min.u32", 4, min_u);
  check_reduction(e, "min.u64", 8, min_u);
  check_reduction(e, "max.s32", 4, max_s32);
  check_reduction(e, "min.s64", 8, min_s64);
  check_reduction(e, "and.b32", 4, and_bits);
  check_reduction(e, "or.b64", 8, or_bits);
  check_reduction(e, "xor.b32", 4, xor_bits);
  check_reduction(e, "inc.u32", 4, inc);
  check_reduction(e, "dec.u32", 4, dec);
  check_reduction(e, "add.f32", 4, add_f32);
  // 1.5 + 2^-11 (a tie, to even), 65504 + 16 (infinity), min and max, -0.
  uint32_t in[16] = {0}, mine[16] = {0x10003e00, 0x00004c00}, out[16];
  memset(out, 0, sizeof(out));
  out[0] = 0x3c013e00;  // 1.0009765625 (odd), 1.5
  out[1] = 0x80007bff;  // -0, 65504
  CHECK(run_single(e,
                   "cp.reduce.async.bulk.global.shared::cta.bulk_group.add."
                   "noftz.f16 [%out], [%b], 16;\n" COMPLETE,
                   in, out, mine));
  // 1.0009765625 + 2^-11 = 1.00146484375: halfway, to the even 1.001953125.
  CHECK_EQ(out[0], 0x3c024200);
  CHECK_EQ(out[1], 0x00007c00);
  mine[0] = 0x3f803f80;  // bf16 1, 1
  out[0] = 0x3b803f80;   // 2^-8, 1
  CHECK(run_single(e,
                   "cp.reduce.async.bulk.global.shared::cta.bulk_group.add."
                   "noftz.bf16 [%out], [%b], 16;\n" COMPLETE,
                   in, out, mine));
  CHECK_EQ(out[0], 0x3f804000);  // 1 + 2^-8 is halfway, to the even 1
  mine[0] = 0xbc003c00;
  out[0] = 0x7e003800;  // NaN, 0.5
  CHECK(run_single(e,
                   "cp.reduce.async.bulk.global.shared::cta.bulk_group.max.f16 "
                   "[%out], [%b], 16;\n" COMPLETE,
                   in, out, mine));
  CHECK_EQ(out[0], 0xbc003c00);
}

// Blocks that add to the same words, one after the other and side by side.
static void test_shared_sums(emu *e) {
  uint32_t in[16] = {0}, out[16] = {0}, mine[16];
  for (uint32_t i = 0; i < 16; ++i) mine[i] = i + 1;
  CHECK(run_single(e,
                   "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 "
                   "[%out], [%b], 64;\n" COMPLETE,
                   in, out, mine));
  static const tessera_emu_parallel ways[] = {TESSERA_EMU_PARALLEL_AUTO,
                                              TESSERA_EMU_PARALLEL_NEVER,
                                              TESSERA_EMU_PARALLEL_ALWAYS};
  for (size_t k = 0; k < 3; ++k) {
    e->config.parallel = ways[k];
    memset(out, 0, sizeof(out));
    uint64_t args[2] = {emu_upload(e, in, 64), emu_upload(e, out, 64)};
    CHECK(emu_launch(e, "single", (emu_dims){.grid = {200}}, args, 2));
    emu_download(e, out, args[1], 64);
    for (uint32_t i = 0; i < 16; ++i) CHECK_EQ(out[i], 200 * (i + 1));
    (void)tsr_heap_free(e->heap, args[0]);
    (void)tsr_heap_free(e->heap, args[1]);
  }
  e->config.parallel = TESSERA_EMU_PARALLEL_AUTO;
}

static void test_forms(emu *e) {
  uint32_t in[16], out[16], mine[16];
  for (uint32_t i = 0; i < 16; ++i) {
    in[i] = i * 3 + 1;
    mine[i] = i * 5 + 2;
  }
  static const char load[] =
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%m], 64;\n"
      "cp.async.bulk.prefetch.L2.global [%in], 64;\n"
      "cp.async.bulk.prefetch.L2.global.L2::cache_hint [%in], 64, %pol;\n"
      "cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes"
      ".L2::cache_hint [%b+64], [%in], 32, [%m], %pol;\n"
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes."
      "multicast::cluster.L2::cache_hint [%b+96], [%in+32], 32, [%m], %h, "
      "%pol;\n" MBARRIER_WAIT
      "cp.async.bulk.global.shared::cta.bulk_group.L2::cache_hint [%out], "
      "[%b+64], 64, %pol;\n"
      "cp.async.bulk.commit_group;\ncp.async.bulk.wait_group.read 0;\n";
  for (size_t t = 0; t < 3; ++t) {
    e->config.time = times[t];
    memset(out, 0, sizeof(out));
    CHECK(run_single(e, load, in, out, mine));
    CHECK(memcmp(in, out, 64) == 0);
    // Within shared memory, copied and reduced.
    memset(out, 0, sizeof(out));
    CHECK(run_single(
        e,
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%m], 64;\n"
        "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes"
        " [%b+64], [%b], 64, [%m];\n" MBARRIER_WAIT
        "fence.proxy.async;\n"
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%m], 64;\n"
        "cp.reduce.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx"
        "::bytes.add.u32 [%b+64], [%b], 64, [%m];\n"
        "x:\nmbarrier.try_wait.parity.shared::cta.b64 %q, [%m], 1;\n"
        "@!%q bra x;\n"
        "cp.async.bulk.global.shared::cta.bulk_group [%out], [%b+64], "
        "64;\n" COMPLETE,
        in, out, mine));
    if (e->launch.fault != 0) fprintf(stderr, "%s", emu_findings(e));
    for (uint32_t i = 0; i < 16; ++i) CHECK_EQ(out[i], mine[i] * 2);
  }
}

// Late, wait_group N lets the last N groups go on, .read only the writing.
static void test_groups(emu *e) {
  uint32_t in[16] = {0}, out[16], mine[16];
  for (uint32_t i = 0; i < 16; ++i) mine[i] = i + 1;
  memset(out, 0, sizeof(out));
  e->config.time = TESSERA_EMU_TIME_LATE;
  CHECK(run_single(
      e,
      "cp.async.bulk.global.shared::cta.bulk_group [%out], [%b], 16;\n"
      "cp.async.bulk.commit_group;\n"
      "cp.async.bulk.global.shared::cta.bulk_group [%out+16], [%b+16], 16;\n"
      "cp.async.bulk.commit_group;\n"
      "cp.async.bulk.wait_group 1;\n"
      "ld.global.u32 %v, [%out];\nst.global.u32 [%out+32], %v;\n"
      "cp.async.bulk.wait_group.read 0;\n"
      "ld.global.u32 %v, [%out+16];\nst.global.u32 [%out+36], %v;\n",
      in, out, mine));
  CHECK_EQ(out[4], 5);  // at the end at the latest
  CHECK_EQ(out[8], 1);
  CHECK_EQ(out[9], 0);  // read, not yet written
}

static void check_found(emu *e, const char *body, uint32_t kinds) {
  uint32_t in[16] = {0}, out[16], mine[16] = {0};
  for (size_t t = 0; t < 3; ++t) {
    e->config.time = times[t];
    memset(out, 0, sizeof(out));
    bool found = !run_single(e, body, in, out, mine) && found_any(e, kinds);
    CHECK(found);
    if (!found) fprintf(stderr, "%s\nfound: %s\n", body, emu_findings(e));
  }
}

#define LOAD(operands)                                           \
  "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::" \
  "bytes " operands
#define STORE(operands) "cp.async.bulk.global.shared::cta.bulk_group " operands

static void test_faults(emu *e) {
  check_found(e, LOAD("[%b], [%in], 24, [%m];"), BIT(ILLEGAL));
  check_found(e, LOAD("[%b], [%in+8], 16, [%m];"), BIT(MISALIGNED));
  check_found(e, LOAD("[%b+8], [%in], 16, [%m];"), BIT(MISALIGNED));
  check_found(e, LOAD("[%b+256], [%in], 16, [%m];"), BIT(OUT_OF_BOUNDS));
  check_found(e, LOAD("[%b], [%in+64], 16, [%m];"), BIT(OUT_OF_BOUNDS));
  check_found(e, LOAD("[%b], [%in], 16, [%b+128];"), BIT(BARRIER));
  check_found(e,
              "mov.b16 %h, 2;\ncp.async.bulk.shared::cluster.global."
              "mbarrier::complete_tx::bytes.multicast::cluster [%b], [%in], "
              "16, [%m], %h;",
              BIT(ILLEGAL));
  check_found(e, STORE("[%out+64], [%b], 16;"), BIT(OUT_OF_BOUNDS));
  check_found(e, STORE("[%out], [%b+4], 16;"), BIT(MISALIGNED));
  check_found(e, "cp.async.bulk.prefetch.L2.global [%in+64], 16;",
              BIT(OUT_OF_BOUNDS));
  // Nobody waits for the mbarrier.
  check_found(e,
              "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%m], 16;\n" LOAD(
                  "[%b+64], [%in], 16, [%m];"),
              BIT(LEAK));
  // Read, or invalidated, before it came.
  check_found(e,
              LOAD("[%b+64], [%in], 16, [%m];\n") "ld.shared.u32 %v, [%b+64];",
              BIT(IN_FLIGHT) | BIT(RACE));
  e->config.time = TESSERA_EMU_TIME_LATE;
  uint32_t in[16] = {0}, out[16] = {0}, mine[16] = {0};
  CHECK(!run_single(
      e,
      LOAD(
          "[%b+64], [%in], 16, [%m];\n") "mbarrier.inval.shared::cta.b64 [%m];",
      in, out, mine));
  CHECK(emu_found(e, TESSERA_EMU_BARRIER));
}

static void check_refused(emu *e, const char *instruction) {
  emu_check_refused(e, "8.7", "sm_90a",
                    ".reg .b64 %rd<4>; .reg .b32 %r<4>; .reg .b16 %h;",
                    instruction);
}

static void test_refused(emu *e) {
  check_refused(e, LOAD("[%r1], [%rd1], 16;"));
  check_refused(e,
                "cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes"
                ".multicast::cluster [%r1], [%rd1], 16, [%r2], %h;");
  check_refused(e,
                "cp.async.bulk.tensor.1d.shared::cta.global.mbarrier::"
                "complete_tx::bytes.multicast::cluster [%r1], [%rd1, {%r1}], "
                "[%r2], %h;");
  check_refused(e, LOAD("[%r1], [%rd1], 16, [%r2], %h;"));
  check_refused(e,
                "cp.async.bulk.shared::cluster.global.bulk_group [%r1], "
                "[%rd1], 16;");
  check_refused(e,
                "cp.async.bulk.global.shared::cta.mbarrier::complete_tx::"
                "bytes [%rd1], [%r1], 16, [%r2];");
  check_refused(e, "cp.async.bulk.global.shared::cta [%rd1], [%r1], 16;");
  check_refused(e,
                "cp.async.bulk.global.global.bulk_group [%rd1], [%rd1], 16;");
  check_refused(e,
                "cp.async.bulk.global.shared::cta.bulk_group.cp_mask [%rd1],"
                " [%r1], 16, %h;");
  check_refused(e,
                "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.s64 "
                "[%rd1], [%r1], 16;");
  check_refused(e,
                "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f16 "
                "[%rd1], [%r1], 16;");
  check_refused(e,
                "cp.reduce.async.bulk.global.shared::cta.bulk_group.min.f32 "
                "[%rd1], [%r1], 16;");
  check_refused(e,
                "cp.reduce.async.bulk.global.shared::cta.bulk_group.u32 "
                "[%rd1], [%r1], 16;");
  check_refused(e,
                "cp.reduce.async.bulk.global.shared::cta.bulk_group.add "
                "[%rd1], [%r1], 16;");
  check_refused(e, "cp.async.bulk.wait_group.write 0;");
  check_refused(e, "cp.async.bulk.prefetch.global [%rd1], 16;");
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  test_forms(&e);
  test_groups(&e);
  test_reductions(&e);
  test_shared_sums(&e);
  test_faults(&e);
  test_refused(&e);
  test_stream(&e);
  test_stream_defects(&e);
  emu_fini(&e);
  return test_finish();
}

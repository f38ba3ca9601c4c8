// SPDX-License-Identifier: Apache-2.0
// Tensor maps and the copies that use them, against a formula for each element:
// all ranks, elements outside of the tensor, strides between elements, the
// three swizzles; stores, reductions, and what must be refused.
#include <stdlib.h>

#include "async/tensor_map.h"
#include "base/memory.h"
#include "harness.h"

#define HEADER ".version 8.7\n.target sm_90a\n.address_size 64\n"

enum { BOX_BYTES = 16384, TENSOR_BYTES = 1 << 16 };

static const tessera_emu_time times[] = {
    TESSERA_EMU_TIME_LATE, TESSERA_EMU_TIME_EARLY, TESSERA_EMU_TIME_RANDOM};

typedef struct tensor {
  uint32_t type, rank, element;  // element: bytes
  uint64_t dims[5], strides[4];
  uint32_t box[5], steps[5];
  uint32_t swizzle, fill;
} tensor;

static tsr_status encode(void *map, const tensor *t, uint64_t address) {
  tsr_error error = {0};
  return tsr_tensor_map_encode(map, t->type, t->rank, address, t->dims,
                               t->strides, t->box, t->steps, 0, t->swizzle, 0,
                               t->fill, &error);
}

// --- The formula ------------------------------------------------------------

static uint32_t count_along(const tensor *t, uint32_t i) {
  uint32_t step = i == 0 ? 1 : t->steps[i];
  return (t->box[i] + step - 1) / step;
}

static uint32_t box_bytes(const tensor *t) {
  uint32_t bytes = t->element;
  for (uint32_t i = 0; i < t->rank; ++i) bytes *= count_along(t, i);
  return bytes;
}

// Where element |index| of the box lies in shared memory, relative to a base
// that is a multiple of 1024: rows side by side, then 16-byte chunks exchanged
// within a row of |span| bytes by the number of the 128-byte line.
static uint32_t place_of(const tensor *t, uint32_t index) {
  uint32_t at = index * t->element;
  if (t->swizzle == 0) return at;
  uint32_t chunks = 1u << t->swizzle;
  uint32_t chunk = at / 16 % chunks, line = at / 128 % chunks;
  return at - chunk * 16 + (chunk ^ line) * 16;
}

// The offset of element |index| of the box in the tensor's memory; -1 outside.
static int64_t source_of(const tensor *t, const int32_t *at, uint32_t index) {
  int64_t offset = 0;
  for (uint32_t i = 0; i < t->rank; ++i) {
    uint32_t n = count_along(t, i);
    int64_t where = at[i] + (int64_t)(index % n) * (i == 0 ? 1 : t->steps[i]);
    index /= n;
    if (where < 0 || where >= (int64_t)t->dims[i]) return -1;
    offset += where * (int64_t)(i == 0 ? t->element : t->strides[i - 1]);
  }
  return offset;
}

// --- Running ----------------------------------------------------------------

// One thread of 32 executes |copy| (the map is [%map], coordinates %c0 to %c4,
// shared memory at %b, an mbarrier at %m that expects |bytes|), before which
// shared memory was filled from |shared| and after which it is given back.
static bool run(emu *e, const char *copy, const tensor *t, const int32_t *at,
                uint64_t map, unsigned char *shared) {
  char text[8192];
  (void)snprintf(
      text, sizeof(text),
      HEADER
      ".visible .entry box(.param .u64 pmap, .param .u64 pio) {\n"
      ".reg .b64 %%map, %%io, %%a, %%o, %%pol;\n.reg .b32 %%c<5>, %%b, %%m;\n"
      ".reg .b32 %%t, %%i, %%s, %%r<4>;\n.reg .pred %%p, %%q;\n"
      ".reg .b16 %%h;\n"
      ".shared .align 1024 .b8 buf[16384];\n.shared .align 8 .b64 bar;\n"
      "ld.param.u64 %%map, [pmap];\nld.param.u64 %%io, [pio];\n"
      "mov.u32 %%b, buf;\nmov.u32 %%m, bar;\nmov.u32 %%t, %%tid.x;\n"
      "mov.u32 %%c0, %d;\nmov.u32 %%c1, %d;\nmov.u32 %%c2, %d;\n"
      "mov.u32 %%c3, %d;\nmov.u32 %%c4, %d;\nmov.b64 %%pol, 0;\n"
      "mov.b16 %%h, 1;\nsetp.eq.u32 %%p, %%t, 0;\n"
      "mul.wide.u32 %%o, %%t, 16;\nadd.u64 %%a, %%io, %%o;\n"
      "mad.lo.u32 %%s, %%t, 16, %%b;\nmov.u32 %%i, 0;\n"
      "fill:\nld.global.v4.u32 {%%r0, %%r1, %%r2, %%r3}, [%%a];\n"
      "st.shared.v4.u32 [%%s], {%%r0, %%r1, %%r2, %%r3};\n"
      "add.u64 %%a, %%a, 512;\nadd.u32 %%s, %%s, 512;\n"
      "add.u32 %%i, %%i, 512;\nsetp.lt.u32 %%q, %%i, 16384;\n@%%q bra fill;\n"
      "@%%p mbarrier.init.shared::cta.b64 [%%m], 1;\n"
      "fence.proxy.async;\nbar.sync 0;\n@!%%p bra end;\n"
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%%m], %u;\n"
      "%s\n"
      "end:\nbar.sync 0;\n"
      "add.u64 %%a, %%io, %%o;\nmad.lo.u32 %%s, %%t, 16, %%b;\n"
      "mov.u32 %%i, 0;\n"
      "back:\nld.shared.v4.u32 {%%r0, %%r1, %%r2, %%r3}, [%%s];\n"
      "st.global.v4.u32 [%%a], {%%r0, %%r1, %%r2, %%r3};\n"
      "add.u64 %%a, %%a, 512;\nadd.u32 %%s, %%s, 512;\n"
      "add.u32 %%i, %%i, 512;\nsetp.lt.u32 %%q, %%i, 16384;\n@%%q bra back;\n"
      "ret;\n}\n",
      at[0], at[1], at[2], at[3], at[4],
      strstr(copy, "complete_tx") != NULL ? box_bytes(t) : 0, copy);
  tsr_report_clear(e->report);  // it keeps 256 findings
  emu_must_load(e, text);
  uint64_t args[2] = {map, emu_upload(e, shared, BOX_BYTES)};
  bool clean = emu_launch(e, "box", (emu_dims){.block = {32}}, args, 2);
  emu_download(e, shared, args[1], BOX_BYTES);
  (void)tsr_heap_free(e->heap, args[1]);
  return clean;
}

#define WAIT                                                    \
  "w:\nmbarrier.try_wait.parity.shared::cta.b64 %q, [%m], 0;\n" \
  "@!%q bra w;\n"
#define COMMIT "cp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\n"

static const char *const coordinates[] = {
    "{%c0}", "{%c0, %c1}", "{%c0, %c1, %c2}", "{%c0, %c1, %c2, %c3}",
    "{%c0, %c1, %c2, %c3, %c4}"};

static void make_load(char text[512], const tensor *t) {
  (void)snprintf(text, 512,
                 "cp.async.bulk.tensor.%ud.shared::cluster.global.tile"
                 ".mbarrier::complete_tx::bytes [%%b], [%%map, %s], [%%m];\n%s",
                 t->rank, coordinates[t->rank - 1], WAIT);
}
static void make_store(char text[512], const tensor *t, const char *reduction) {
  bool reduce = reduction[0] != '\0';
  (void)snprintf(text, 512,
                 "cp.%sasync.bulk.tensor.%ud.global.shared::cta%s.bulk_group "
                 "[%%map, %s], [%%b];\n%s",
                 reduce ? "reduce." : "", t->rank, reduction,
                 coordinates[t->rank - 1], COMMIT);
}

typedef struct fixture {
  unsigned char *memory;  // the tensor, as it was
  uint64_t address, map;
  unsigned char shared[BOX_BYTES], before[BOX_BYTES];
} fixture;

static void set_up(emu *e, fixture *f, const tensor *t) {
  f->memory = tsr_malloc(TENSOR_BYTES);
  if (f->memory == NULL) exit(1);
  for (uint32_t i = 0; i < TENSOR_BYTES; ++i) {
    f->memory[i] = (unsigned char)(i * 31 + (i >> 8) * 7 + 1);
  }
  for (uint32_t i = 0; i < BOX_BYTES; ++i) {
    f->before[i] = f->shared[i] = (unsigned char)(i * 13 + (i >> 8) * 3 + 5);
  }
  f->address = emu_upload(e, f->memory, TENSOR_BYTES);
  _Alignas(64) unsigned char map[TSR_TENSOR_MAP_SIZE];
  CHECK_EQ(encode(map, t, f->address), TSR_OK);
  f->map = emu_upload(e, map, sizeof(map));
}

static void tear_down(emu *e, fixture *f) {
  (void)tsr_heap_free(e->heap, f->address);
  (void)tsr_heap_free(e->heap, f->map);
  tsr_free(f->memory);
}

// Shared memory after a load, from the formula.
static void expect_load(const tensor *t, const int32_t *at, const fixture *f,
                        unsigned char *out) {
  memcpy(out, f->before, BOX_BYTES);
  for (uint32_t i = 0; i < box_bytes(t) / t->element; ++i) {
    int64_t source = source_of(t, at, i);
    unsigned char *to = out + place_of(t, i);
    if (source >= 0) {
      memcpy(to, f->memory + source, t->element);
    } else {
      memset(to, t->fill != 0 ? 0xff : 0, t->element);
      if (t->fill != 0) to[t->element - 1] = 0x7f;
      // fma.oob's NaN, 0x7ff7.
      if (t->fill != 0 && t->element == 2) to[0] = 0xf7;
    }
  }
}

static void check_load(emu *e, const tensor *t, const int32_t *at) {
  fixture f;
  char copy[512];
  static unsigned char want[BOX_BYTES];
  set_up(e, &f, t);
  make_load(copy, t);
  expect_load(t, at, &f, want);
  for (size_t k = 0; k < 3; ++k) {
    e->config.time = times[k];
    memcpy(f.shared, f.before, BOX_BYTES);
    bool clean = run(e, copy, t, at, f.map, f.shared);
    CHECK(clean);
    if (!clean) fprintf(stderr, "load: %s", emu_findings(e));
    CHECK(memcmp(f.shared, want, BOX_BYTES) == 0);
  }
  CHECK_EQ(e->launch.profile.bulk_load.instructions, 1);
  tear_down(e, &f);
}

static void check_store(emu *e, const tensor *t, const int32_t *at) {
  fixture f;
  char copy[512];
  set_up(e, &f, t);
  make_store(copy, t, "");
  for (uint32_t i = 0; i < box_bytes(t) / t->element; ++i) {
    int64_t target = source_of(t, at, i);
    if (target < 0) continue;
    memcpy(f.memory + target, f.before + place_of(t, i), t->element);
  }
  bool clean = run(e, copy, t, at, f.map, f.shared);
  CHECK(clean);
  if (!clean) fprintf(stderr, "store: %s", emu_findings(e));
  CHECK(memcmp((const void *)(uintptr_t)f.address, f.memory, TENSOR_BYTES) ==
        0);
  tear_down(e, &f);
}

// --- Tensors ----------------------------------------------------------------

static const tensor tensors[] = {
    {2, 1, 4, {1000}, {0}, {64}, {1}, 0, 0},
    {0, 1, 1, {1000}, {0}, {256}, {3}, 0, 0},
    {9, 2, 2, {100, 50}, {208}, {64, 32}, {1, 1}, 0, 0},
    {9, 2, 2, {100, 50}, {208}, {64, 32}, {1, 1}, 3, 0},
    {9, 2, 2, {100, 50}, {208}, {64, 32}, {1, 1}, 3, 1},
    {6, 2, 2, {100, 50}, {208}, {32, 32}, {1, 1}, 2, 0},
    {6, 2, 2, {100, 50}, {208}, {16, 32}, {1, 1}, 1, 1},
    {7, 2, 4, {30, 60}, {128}, {8, 50}, {1, 1}, 0, 1},
    {8, 2, 8, {30, 60}, {256}, {16, 20}, {1, 1}, 3, 1},
    {7, 2, 4, {30, 60}, {128}, {32, 33}, {1, 4}, 3, 0},
    {4, 3, 8, {10, 9, 8}, {96, 1024}, {4, 5, 6}, {1, 1, 1}, 0, 0},
    {9, 3, 2, {64, 7, 20}, {128, 1024}, {64, 4, 8}, {1, 2, 3}, 3, 1},
    {1, 4, 2, {40, 5, 4, 3}, {80, 512, 2048}, {8, 3, 2, 2}, {1, 1, 1, 1}, 0, 0},
    {3,
     5,
     4,
     {8, 5, 4, 3, 3},
     {32, 256, 1024, 4096},
     {8, 3, 2, 2, 2},
     {1, 1, 1, 2, 1},
     1,
     0},
};

static void test_copies(emu *e) {
  static const int32_t places[][5] = {
      {0, 0, 0, 0, 0},          {16, 4, 1, 1, 1},         {-5, -3, -1, 0, -1},
      {7, 45, 15, 2, 2},        {990, 0, -2, -1, 0},      {-300, 1, 1, 1, 1},
      {2000000000, 0, 0, 0, 0}, {0, -2000000000, 0, 0, 0}};
  for (size_t i = 0; i < sizeof(tensors) / sizeof(tensors[0]); ++i) {
    for (size_t k = 0; k < sizeof(places) / sizeof(places[0]); ++k) {
      check_load(e, &tensors[i], places[k]);
      if (tensors[i].fill == 0) check_store(e, &tensors[i], places[k]);
    }
  }
}

static void test_reductions(emu *e) {
  static const tensor t = {2, 2, 4, {100, 50}, {400}, {32, 8}, {1, 1}, 3, 0};
  static const char *const names[] = {".add", ".min", ".xor.tile", ".inc"};
  const int32_t at[5] = {90, 45, 0, 0, 0};
  for (uint32_t op = 0; op < 4; ++op) {
    fixture f;
    char copy[512];
    set_up(e, &f, &t);
    make_store(copy, &t, names[op]);
    for (uint32_t i = 0; i < box_bytes(&t) / 4; ++i) {
      int64_t target = source_of(&t, at, i);
      if (target < 0) continue;
      uint32_t a, b;
      memcpy(&a, f.memory + target, 4);
      memcpy(&b, f.before + place_of(&t, i), 4);
      a = op == 0   ? a + b
          : op == 1 ? (a < b ? a : b)
          : op == 2 ? a ^ b
                    : (a >= b ? 0 : a + 1);
      memcpy(f.memory + target, &a, 4);
    }
    CHECK(run(e, copy, &t, at, f.map, f.shared));
    CHECK(memcmp((const void *)(uintptr_t)f.address, f.memory, TENSOR_BYTES) ==
          0);
    tear_down(e, &f);
  }
}

// --- A map among the parameters ---------------------------------------------

// As nvcc passes a __grid_constant__ CUtensorMap: the map is the parameter.
static tsr_status launch_with_map(emu *e, const unsigned char *map,
                                  uint64_t out) {
  const tsr_kernel *kernel = tsr_program_kernel(e->program, "direct");
  unsigned char params[192] = {0};
  CHECK_EQ(kernel->param_count, 2);
  CHECK_EQ(kernel->params[0].size, TSR_TENSOR_MAP_SIZE);
  memcpy(params + kernel->params[0].offset, map, TSR_TENSOR_MAP_SIZE);
  memcpy(params + kernel->params[1].offset, &out, sizeof(out));
  e->launch = (tsr_launch){.kernel = kernel,
                           .device = e->device,
                           .config = e->config,
                           .number = ++e->launches,
                           .grid = {1, 1, 1},
                           .block = {32, 1, 1},
                           .threads = 32,
                           .warps = 1,
                           .params = params,
                           .params_size = kernel->params_size,
                           .heap = e->heap,
                           .report = e->report};
  tsr_error error = {0};
  tsr_status status = tsr_engine_run(&e->launch, &error);
  e->launch.params = NULL;
  return status;
}

// Each allocation of a launch fails once: an error or a finding, no crash.
static void check_no_memory(emu *e, const unsigned char *map, uint64_t out) {
  e->config.threads = 1;
  uint64_t nth = 1;
  for (; nth < 200; ++nth) {
    tsr_report_clear(e->report);
    (void)tsr_memory_fail_at(nth);
    tsr_status status = launch_with_map(e, map, out);
    bool told = status == TSR_OUT_OF_MEMORY || e->launch.fault != 0 ||
                tsr_report_count(e->report) > 0;
    if (tsr_memory_fail_at(0) < nth) break;  // none was left to fail
    CHECK(told);
    if (!told) fprintf(stderr, "allocation %u\n", (unsigned)nth);
  }
  CHECK(nth > 5 && nth < 200);
}

static void test_parameter(emu *e) {
  static const tensor t = {2, 1, 4, {1000}, {0}, {32}, {1}, 0, 0};
  uint32_t in[1000], out[32];
  for (uint32_t i = 0; i < 1000; ++i) in[i] = i * 3;
  uint64_t address = emu_upload(e, in, sizeof(in));
  uint64_t result = emu_upload(e, NULL, sizeof(out));
  _Alignas(64) unsigned char map[TSR_TENSOR_MAP_SIZE];
  CHECK_EQ(encode(map, &t, address), TSR_OK);
  emu_must_load(
      e, HEADER
      ".visible .entry direct(.param .align 64 .b8 pmap[128], .param .u64 pout)"
      " {\n.reg .b64 %map, %out, %o;\n.reg .b32 %b, %m, %t, %v;\n"
      ".reg .pred %p, %q;\n"
      ".shared .align 128 .b8 buf[128];\n.shared .align 8 .b64 bar;\n"
      "mov.b64 %o, pmap;\ncvta.param.u64 %map, %o;\n"
      "ld.param.u64 %out, [pout];\nmov.u32 %b, buf;\nmov.u32 %m, bar;\n"
      "mov.u32 %t, %tid.x;\nsetp.eq.u32 %p, %t, 0;\n"
      "@%p prefetch.param.tensormap [pmap];\n"
      "@%p prefetch.tensormap [%map];\n"
      "@%p mbarrier.init.shared::cta.b64 [%m], 1;\nbar.sync 0;\n"
      "@%p mbarrier.arrive.expect_tx.shared::cta.b64 _, [%m], 128;\n"
      "@%p cp.async.bulk.prefetch.tensor.1d.L2.global.tile [%map, {7}];\n"
      "@%p cp.async.bulk.tensor.1d.shared::cta.global.tile"
      ".mbarrier::complete_tx::bytes [%b], [%map, {7}], [%m];\n" WAIT
      "mad.lo.u32 %b, %t, 4, %b;\nld.shared.u32 %v, [%b];\n"
      "mul.wide.u32 %o, %t, 4;\nadd.u64 %out, %out, %o;\n"
      "st.global.u32 [%out], %v;\nret;\n}\n");
  tsr_report_clear(e->report);
  CHECK_EQ(launch_with_map(e, map, result), TSR_OK);
  CHECK(e->launch.fault == 0 && tsr_report_count(e->report) == 0);
  if (e->launch.fault != 0) fprintf(stderr, "parameter: %s", emu_findings(e));
  emu_download(e, out, result, sizeof(out));
  for (uint32_t i = 0; i < 32; ++i) CHECK_EQ(out[i], (i + 7) * 3);
  check_no_memory(e, map, result);
  (void)tsr_heap_free(e->heap, address);
  (void)tsr_heap_free(e->heap, result);
}

// --- Mistakes ---------------------------------------------------------------

static void check_found(emu *e, const tensor *t, const char *copy,
                        const unsigned char *map,
                        tessera_emu_finding_kind kind) {
  fixture f;
  const int32_t at[5] = {0};
  set_up(e, &f, t);
  if (map != NULL) {
    memcpy((void *)(uintptr_t)f.map, map, TSR_TENSOR_MAP_SIZE);
  }
  bool found = !run(e, copy, t, at, f.map, f.shared) && emu_found(e, kind);
  CHECK(found);
  if (!found) fprintf(stderr, "%s\nfound: %s\n", copy, emu_findings(e));
  tear_down(e, &f);
}

#define LOAD_2D(operands)                                                  \
  "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::" \
  "bytes " operands "\n" WAIT

static void test_faults(emu *e) {
  const tensor *t = &tensors[3];
  unsigned char map[TSR_TENSOR_MAP_SIZE] = {0};
  static const char right[] = LOAD_2D("[%b], [%map, {%c0, %c1}], [%m];");
  check_found(e, t, right, map, TESSERA_EMU_ILLEGAL);  // never encoded
  fixture f;
  set_up(e, &f, t);
  memcpy(map, (const void *)(uintptr_t)f.map, sizeof(map));
  tear_down(e, &f);
  map[40] ^= 1;
  check_found(e, t, right, map, TESSERA_EMU_ILLEGAL);  // damaged
  check_found(e, t, LOAD_2D("[%b+64], [%map, {%c0, %c1}], [%m];"), NULL,
              TESSERA_EMU_MISALIGNED);
  check_found(e, t, LOAD_2D("[%b+16384], [%map, {%c0, %c1}], [%m];"), NULL,
              TESSERA_EMU_OUT_OF_BOUNDS);
  check_found(e, t, LOAD_2D("[%b], [%map+16, {%c0, %c1}], [%m];"), NULL,
              TESSERA_EMU_MISALIGNED);
  check_found(
      e, t,
      "cp.async.bulk.tensor.1d.shared::cluster.global.mbarrier::complete_tx::"
      "bytes [%b], [%map, {%c0}], [%m];",
      NULL, TESSERA_EMU_ILLEGAL);
  // min is not for bf16... but and is not either.
  check_found(e, t,
              "cp.reduce.async.bulk.tensor.2d.global.shared::cta.and.bulk_group"
              " [%map, {%c0, %c1}], [%b];",
              NULL, TESSERA_EMU_ILLEGAL);
  // The tensor reaches beyond its memory.
  tensor large = *t;
  large.dims[1] = 1000;
  check_found(e, &large,
              "mov.u32 %c1, 900;\n" LOAD_2D("[%b], [%map, {%c0, %c1}], [%m];"),
              NULL, TESSERA_EMU_OUT_OF_BOUNDS);
  // A byte less than comes, and a byte more.
  check_found(e, t,
              "mbarrier.expect_tx.shared::cta.b64 [%m], 16;\n" LOAD_2D(
                  "[%b], [%map, {%c0, %c1}], [%m];"),
              NULL, TESSERA_EMU_DEADLOCK);
}

static void test_encode(void) {
  _Alignas(64) unsigned char map[192];
  tensor t = tensors[3];
  tsr_tensor_map decoded;
  CHECK_EQ(encode(map, &t, 4096), TSR_OK);
  CHECK(tsr_tensor_map_decode(map, &decoded) == NULL);
  CHECK_EQ(decoded.rows, 32);
  CHECK_EQ(decoded.row_size, 128);
  CHECK_EQ(encode(map + 16, &t, 4096), TSR_INVALID_ARGUMENT);
  CHECK_EQ(encode(map, &t, 4104), TSR_INVALID_ARGUMENT);
#define REFUSED(change)                                    \
  do {                                                     \
    t = tensors[3];                                        \
    change;                                                \
    CHECK_EQ(encode(map, &t, 4096), TSR_INVALID_ARGUMENT); \
  } while (0)
  REFUSED(t.rank = 0);
  REFUSED(t.rank = 6);
  REFUSED(t.type = 16);
  REFUSED(t.dims[1] = 0);
  REFUSED(t.dims[0] = (UINT64_C(1) << 32) + 1);
  REFUSED(t.strides[0] = 200);
  REFUSED(t.strides[0] = UINT64_C(1) << 40);
  REFUSED(t.box[0] = 0);
  REFUSED(t.box[1] = 257);
  REFUSED(t.box[0] = 60);
  REFUSED(t.box[0] = 128);
  REFUSED(t.steps[1] = 0);
  REFUSED(t.steps[1] = 9);
  REFUSED(t.swizzle = 7);
  REFUSED(t.fill = 2);
  REFUSED(t.fill = 1; t.type = 1);
  t = tensors[3];
  t.dims[0] = UINT64_C(1) << 32;
  CHECK_EQ(encode(map, &t, 4096), TSR_OK);
  t.type = 11;  // tf32: 64 elements of 4 bytes are too wide, 32 are not
  t.box[0] = 32;
  CHECK_EQ(encode(map, &t, 4096), TSR_UNSUPPORTED);
  tsr_error error = {0};
  t = tensors[10];
  CHECK_EQ(tsr_tensor_map_encode(map, t.type, 2, 4096, t.dims, t.strides, t.box,
                                 t.steps, 1, 0, 0, 0, &error),
           TSR_INVALID_ARGUMENT);  // interleaved maps need three dimensions
  CHECK_EQ(tsr_tensor_map_encode(map, t.type, 3, 4096, t.dims, t.strides, t.box,
                                 t.steps, 1, 0, 0, 0, NULL),
           TSR_UNSUPPORTED);
  CHECK_EQ(encode(map, &t, 4096), TSR_OK);
  CHECK_EQ(tsr_tensor_map_replace_address(map, 8192, NULL), TSR_OK);
  CHECK(tsr_tensor_map_decode(map, &decoded) == NULL);
  CHECK_EQ(decoded.address, 8192);
}

static void check_refused(emu *e, const char *instruction) {
  emu_check_refused(e, "8.7", "sm_90a",
                    ".reg .b64 %rd<4>; .reg .b32 %r<4>; .reg .b16 %h;",
                    instruction);
}

#define START(dims) "cp.async.bulk.tensor." dims ".shared::cluster.global"
#define BYTES ".mbarrier::complete_tx::bytes "

static void test_refused(emu *e) {
  check_refused(e, START("3d") ".im2col" BYTES
                               "[%r1], [%rd1, {%r1, %r2, %r3}], [%r2], {%h};");
  check_refused(e, START("2d") ".tile::gather4" BYTES
                               "[%r1], [%rd1, {%r1, %r2}], [%r2];");
  check_refused(e, START("2d") BYTES "[%r1], [%rd1, {%r1}], [%r2];");
  check_refused(e, START("2d") BYTES "[%r1], [%rd1], [%r2];");
  check_refused(e, START("6d") BYTES "[%r1], [%rd1, {%r1, %r2}], [%r2];");
  check_refused(e, START("2d") ".bulk_group [%r1], [%rd1, {%r1, %r2}], [%r2];");
  check_refused(e, START("2d") BYTES "[%r1], [%rd1, {%r1, %r2}];");
  check_refused(e,
                "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group "
                "[%r1], [%rd1, {%r1, %r2}];");
  check_refused(e,
                "cp.reduce.async.bulk.tensor.2d.global.shared::cta"
                ".bulk_group [%rd1, {%r1, %r2}], [%r1];");
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  test_encode();
  test_refused(&e);
  test_copies(&e);
  test_reductions(&e);
  test_parameter(&e);
  test_faults(&e);
  emu_fini(&e);
  return test_finish();
}

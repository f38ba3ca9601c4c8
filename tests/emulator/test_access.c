// SPDX-License-Identifier: Apache-2.0
// tsr_access_resolve against a checker that looks at one byte after another, on
// random accesses: side by side, strided, scattered, all in one place, over the
// ends; every space; some or all lanes. The quick ways must say what the slow
// one says.
#include <stdlib.h>

#include "check/report.h"
#include "memory/access.h"
#include "memory/bits.h"
#include "memory/heap.h"
#include "test.h"

enum { SHARED = 700, LOCAL = 96, PARAMS = 52, ALLOCATIONS = 3, ROUNDS = 60000 };

static uint64_t state = 5;

static uint64_t draw(uint64_t below) {
  state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (state >> 33) % below;
}

typedef struct fake {
  tsr_heap *heap;
  tsr_report *report;
  tsr_kernel kernel;
  tsr_launch launch;
  tsr_block block;
  tsr_warp warp;
  tessera_emu_profile profile;
  tsr_allocation in[ALLOCATIONS];
  unsigned char *local;
} fake;

static unsigned char shared[SHARED];
static uint64_t shared_written[SHARED / 64 + 1];
static unsigned char params[PARAMS];

static void make(fake *f) {
  static const uint64_t sizes[ALLOCATIONS] = {5000, 100, 1200};
  memset(f, 0, sizeof(*f));
  tsr_error error = {0};
  CHECK(tsr_heap_create(1 << 20, true, &f->heap, &error) == TSR_OK);
  CHECK(tsr_report_create(&f->report, &error) == TSR_OK);
  for (uint32_t i = 0; i < ALLOCATIONS; ++i) {
    uint64_t address = 0;
    tsr_heap_use use = i == 2 ? TSR_HEAP_CONSTANT : TSR_HEAP_DATA;
    CHECK(tsr_heap_allocate(f->heap, sizes[i], use, &address, &error) ==
          TSR_OK);
    CHECK(tsr_heap_find(f->heap, address, &f->in[i]));
  }
  f->kernel.function.name = "k";
  f->launch.kernel = &f->kernel;
  f->launch.heap = f->heap;
  f->launch.report = f->report;
  f->launch.params = params;
  f->launch.params_size = PARAMS;
  f->launch.threads = 64;
  for (int i = 0; i < 3; ++i) f->launch.block[i] = i == 0 ? 64 : 1;
  f->launch.config.checks = TESSERA_EMU_CHECK_INIT;
  f->launch.config.profile = 1;
  f->local = malloc((size_t)64 * LOCAL);
  f->block.launch = &f->launch;
  f->block.shared = shared;
  f->block.shared_size = SHARED;
  f->block.shared_written = (unsigned char *)shared_written;
  f->block.local = f->local;
  f->block.local_stride = LOCAL;
  f->warp.block = &f->block;
  f->warp.index = 1;
  f->warp.profile = &f->profile;
  for (uint32_t i = 0; i < TSR_LANES; ++i) f->warp.tid[0][i] = 32 + i;
}

static void destroy(fake *f) {
  tsr_report_destroy(f->report);
  tsr_heap_destroy(f->heap);
  free(f->local);
}

// --- The plain checker ------------------------------------------------------

typedef struct verdict {
  tessera_emu_finding_kind fatal;  // 0: none
  bool unwritten;
  uint32_t lane;  // of the finding
} verdict;

// Where a lane's byte is, and its bit; false: nowhere.
static bool locate(const fake *f, tsr_ptx_space space, uint32_t lane,
                   uint64_t address, unsigned char **out_host,
                   unsigned char **out_bits, uint64_t *out_bit,
                   bool *out_read_only) {
  *out_bits = NULL;
  *out_read_only = false;
  if (space == TSR_PTX_SPACE_SHARED) {
    if (address < 1024 || address >= 1024 + SHARED) return false;
    *out_host = shared + (address - 1024);
    *out_bits = (unsigned char *)shared_written;
    *out_bit = address - 1024;
    return true;
  }
  if (space == TSR_PTX_SPACE_LOCAL) {
    if (address >= LOCAL) return false;
    *out_host = f->local + (size_t)(32 + lane) * LOCAL + address;
    return true;
  }
  if (space == TSR_PTX_SPACE_PARAM) {
    if (address >= PARAMS) return false;
    *out_host = params + address;
    *out_read_only = true;
    return true;
  }
  for (uint32_t i = 0; i < ALLOCATIONS; ++i) {
    if (address < f->in[i].address ||
        address >= f->in[i].address + f->in[i].size) {
      continue;
    }
    *out_host = (unsigned char *)(uintptr_t)address;
    *out_bits = f->in[i].written;
    *out_bit = address - f->in[i].address;
    *out_read_only = i == 2;
    return space != TSR_PTX_SPACE_CONST || i == 2;
  }
  return false;
}

static tessera_emu_finding_kind judge_lane(const fake *f,
                                           const tsr_access *access,
                                           uint32_t lane, bool *out_unwritten,
                                           unsigned char **out_host) {
  bool store = access->kind != TSR_ACCESS_LOAD;
  tsr_ptx_space space = access->space;
  uint64_t address = access->address[lane];
  if (space == TSR_PTX_SPACE_NONE) space = tsr_generic_space(address, &address);
  if (space == TSR_PTX_SPACE_PARAM && store) return TESSERA_EMU_READ_ONLY;
  *out_unwritten = false;
  bool refused = false;  // bounds come first
  for (uint32_t k = 0; k < access->size; ++k) {
    unsigned char *host = NULL;
    unsigned char *bits = NULL;
    uint64_t bit = 0;
    bool read_only = false;
    if (!locate(f, space, lane, address + k, &host, &bits, &bit, &read_only)) {
      return TESSERA_EMU_OUT_OF_BOUNDS;
    }
    refused = refused || (read_only && store);
    if (k == 0) *out_host = host;
    if (bits != NULL && (bits[bit / 8] >> bit % 8 & 1) == 0 &&
        access->kind != TSR_ACCESS_STORE) {
      *out_unwritten = true;
    }
  }
  return refused ? TESSERA_EMU_READ_ONLY : 0;
}

static verdict judge(const fake *f, const tsr_access *access,
                     unsigned char *host[TSR_LANES]) {
  verdict v = {0};
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((access->mask >> i & 1u) != 0 &&
        access->address[i] % access->align != 0) {
      return (verdict){.fatal = TESSERA_EMU_MISALIGNED, .lane = i};
    }
  }
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((access->mask >> i & 1u) == 0) continue;
    bool unwritten = false;
    tessera_emu_finding_kind kind =
        judge_lane(f, access, i, &unwritten, &host[i]);
    if (kind != 0) return (verdict){.fatal = kind, .lane = i};
    if (unwritten && !v.unwritten) {
      v.unwritten = true;
      v.lane = i;
    }
  }
  return v;
}

// --- Random accesses --------------------------------------------------------

static uint64_t base_of(const fake *f, tsr_ptx_space space, uint64_t *out_size,
                        uint64_t *out_window) {
  *out_window = 0;
  uint64_t pick = draw(ALLOCATIONS);
  if (space == TSR_PTX_SPACE_CONST) pick = 2;
  if (space == TSR_PTX_SPACE_NONE) {
    static const tsr_ptx_space spaces[] = {
        TSR_PTX_SPACE_SHARED, TSR_PTX_SPACE_LOCAL, TSR_PTX_SPACE_PARAM,
        TSR_PTX_SPACE_GLOBAL};
    space = spaces[draw(4)];
    *out_window = tsr_window(space);
  }
  switch (space) {
    case TSR_PTX_SPACE_SHARED:
      *out_size = SHARED;
      return 1024;
    case TSR_PTX_SPACE_LOCAL:
      *out_size = LOCAL;
      return 0;
    case TSR_PTX_SPACE_PARAM:
      *out_size = PARAMS;
      return 0;
    default:
      *out_size = f->in[pick].size;
      return f->in[pick].address;
  }
}

static void draw_access(const fake *f, tsr_access *access) {
  static const tsr_ptx_space spaces[] = {
      TSR_PTX_SPACE_GLOBAL, TSR_PTX_SPACE_GLOBAL, TSR_PTX_SPACE_SHARED,
      TSR_PTX_SPACE_NONE,   TSR_PTX_SPACE_LOCAL,  TSR_PTX_SPACE_PARAM,
      TSR_PTX_SPACE_CONST};
  memset(access, 0, sizeof(*access));
  access->space = spaces[draw(7)];
  access->kind = (tsr_access_kind)draw(3);
  access->size = 1u << draw(6);
  access->align = draw(4) == 0 ? 1 : access->size;
  access->mask = draw(2) == 0 ? TSR_ALL_LANES : (uint32_t)draw(1u << 31) | 4u;
  uint64_t size = 0;
  uint64_t window = 0;
  uint64_t base = base_of(f, access->space, &size, &window);
  uint64_t unit = draw(20) == 0 ? 1 : access->size;
  uint64_t first = draw(size / unit + 1) * unit;
  if (draw(3) != 0) first = draw(size / unit / 4 + 1) * unit;
  uint64_t stride = draw(3) == 0 ? draw(size / unit / 24 + 2) * unit : unit;
  uint64_t shape = draw(4);
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    uint64_t at = shape == 0   ? first
                  : shape == 1 ? draw(size / unit + (draw(60) == 0)) * unit
                               : first + i * stride;
    if ((access->mask >> i & 1u) == 0) at = draw(1 << 30);
    access->address[i] = window + base + at;
  }
}

static void check_findings(fake *f, const tsr_access *access, verdict v) {
  tessera_emu_finding found = {.struct_size = sizeof(found)};
  size_t count = tsr_report_count(f->report);
  CHECK_EQ(count, v.fatal != 0 || v.unwritten ? 1 : 0);
  if (count != 1 || !tsr_report_get(f->report, 0, &found)) return;
  CHECK_EQ(found.kind, v.fatal != 0 ? v.fatal : TESSERA_EMU_UNINITIALISED);
  CHECK_EQ(found.thread[0], 32 + v.lane);
  uint64_t address = access->address[v.lane];
  if (access->space == TSR_PTX_SPACE_NONE) {
    (void)tsr_generic_space(address, &address);
  }
  CHECK_EQ(found.address, address);
}

// Bytes that the access wrote are marked, and no others.
static void check_marks(const fake *f, const tsr_access *access,
                        unsigned char *const before[2], const size_t sizes[2]) {
  const unsigned char *now[2] = {f->in[0].written,
                                 (const unsigned char *)shared_written};
  for (int m = 0; m < 2; ++m) {
    for (size_t bit = 0; bit < sizes[m]; ++bit) {
      bool was = (before[m][bit / 8] >> bit % 8 & 1) != 0;
      bool is = (now[m][bit / 8] >> bit % 8 & 1) != 0;
      bool hit = false;
      const unsigned char *at =
          m == 0 ? (const unsigned char *)(uintptr_t)(f->in[0].address + bit)
                 : shared + bit;
      for (uint32_t i = 0; i < TSR_LANES && is != was; ++i) {
        if ((access->mask >> i & 1u) == 0) continue;
        hit = hit ||
              (at >= access->host[i] && at < access->host[i] + access->size);
      }
      if (is != (was || hit)) CHECK(is == (was || hit));
    }
    // And none forgotten.
    if (access->kind == TSR_ACCESS_LOAD) continue;
    for (uint32_t i = 0; i < TSR_LANES; ++i) {
      if ((access->mask >> i & 1u) == 0) continue;
      const unsigned char *start =
          m == 0 ? (const unsigned char *)(uintptr_t)f->in[0].address : shared;
      if (access->host[i] < start || access->host[i] >= start + sizes[m]) {
        continue;
      }
      CHECK(tsr_bits_all(now[m], (uint64_t)(access->host[i] - start),
                         access->size));
    }
  }
}

static uint32_t seen[32];

static void one_round(fake *f) {
  static const size_t sizes[2] = {5000, SHARED};
  unsigned char global_before[5000 / 8 + 1];
  unsigned char shared_before[SHARED / 8 + 1];
  unsigned char *before[2] = {global_before, shared_before};
  memcpy(global_before, f->in[0].written, sizeof(global_before));
  memcpy(shared_before, shared_written, sizeof(shared_before));
  tsr_access access;
  tsr_op op = {.line = 7};
  unsigned char *host[TSR_LANES] = {NULL};
  draw_access(f, &access);
  verdict v = judge(f, &access, host);
  tsr_access asked = access;
  tsr_report_clear(f->report);
  f->launch.number += 1;
  f->launch.failure = 0;
  bool fine = tsr_access_resolve(&f->warp, &op, &access);
  CHECK(fine == (v.fatal == 0));
  CHECK_EQ(access.space, asked.space);
  seen[v.fatal != 0 ? v.fatal : v.unwritten ? 30 : 31] += 1;
  if (v.fatal != 0) {
    // Lanes in front of the bad one may have been reported, too.
    CHECK_EQ(tsr_launch_fault(&f->launch), v.fatal);
    return;
  }
  check_findings(f, &asked, v);
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((access.mask >> i & 1u) != 0) CHECK(access.host[i] == host[i]);
  }
  if (access.shape == TSR_SHAPE_DENSE) {
    CHECK(access.mask == TSR_ALL_LANES);
    for (uint32_t i = 0; i < TSR_LANES; ++i) {
      CHECK(access.host[i] == access.host[0] + (size_t)i * access.size);
    }
  }
  check_marks(f, &access, before, sizes);
}

int main(void) {
  fake f;
  make(&f);
  for (uint32_t i = 0; i < ROUNDS; ++i) {
    if (i % 500 == 0) {  // some written, some not
      memset(shared_written, 0, sizeof(shared_written));
      memset(f.in[0].written, 0, 5000 / 8 + 1);
      tsr_heap_mark_written(f.heap, f.in[0].address + draw(5000), draw(3000));
      tsr_heap_mark_written(f.heap, f.in[2].address, draw(1200));
      tsr_bits_set((unsigned char *)shared_written, draw(300), 1 + draw(400));
    }
    one_round(&f);
  }
  // Each outcome was met often.
  CHECK(seen[TESSERA_EMU_OUT_OF_BOUNDS] > 500);
  CHECK(seen[TESSERA_EMU_MISALIGNED] > 500);
  CHECK(seen[TESSERA_EMU_READ_ONLY] > 500);
  CHECK(seen[30] > 500 && seen[31] > 500);
  destroy(&f);
  return test_finish();
}

// SPDX-License-Identifier: Apache-2.0
// The race detector on histories of accesses: what is ordered is silent, what
// is not is found, with the line of the other access.
#include "check/race.h"
#include "check/report.h"
#include "decode/program.h"
#include "test.h"

enum { WARPS = 4, SIZE = 1024, AT = TSR_SHARED_BASE };

static tsr_kernel kernel = {.function = {.name = "k"}};
static tsr_launch launch;
static tsr_block block;
static tsr_warp warps[WARPS];
static tsr_race *race;
static tsr_op op;

static void begin(void) {
  tsr_error error = {0};
  if (launch.report == NULL) {
    CHECK(tsr_report_create(&launch.report, &error) == TSR_OK);
  }
  tsr_report_clear(launch.report);
  launch.kernel = &kernel;
  launch.number = 1;
  block = (tsr_block){.launch = &launch,
                      .warps = warps,
                      .warp_count = WARPS,
                      .shared_size = SIZE};
  for (uint32_t w = 0; w < WARPS; ++w) {
    warps[w] = (tsr_warp){.block = &block, .index = w};
    for (uint32_t lane = 0; lane < TSR_LANES; ++lane) {
      warps[w].tid[0][lane] = w * TSR_LANES + lane;
    }
  }
  if (race == NULL) {
    race = tsr_race_create(&block);
  } else {
    tsr_race_reset(race, &block);
  }
}

static bool found(tessera_emu_finding_kind kind) {
  tessera_emu_finding finding = {.struct_size = sizeof(finding)};
  for (size_t i = 0; tsr_report_get(launch.report, i, &finding); ++i) {
    if (finding.kind == kind) return true;
  }
  return false;
}
static bool silent(void) {
  tessera_emu_finding finding = {.struct_size = sizeof(finding)};
  if (!tsr_report_get(launch.report, 0, &finding)) return true;
  fprintf(stderr, "unexpected: %s\n", finding.message);
  return false;
}

// Lanes of |mask| access |size| bytes, lane i at offset + i * stride.
static void lanes(uint32_t w, uint32_t line, tsr_access_kind kind,
                  uint32_t mask, uint32_t offset, uint32_t stride,
                  uint32_t size, bool relaxed) {
  tsr_access access = {.kind = kind,
                       .space = TSR_PTX_SPACE_SHARED,
                       .size = size,
                       .mask = mask,
                       .ordered = relaxed};
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    access.address[i] = AT + offset + i * stride;
  }
  op.line = line;
  tsr_race_access(race, &warps[w], &op, &access);
}
static void store(uint32_t w, uint32_t line, uint32_t offset) {
  lanes(w, line, TSR_ACCESS_STORE, TSR_ALL_LANES, offset, 4, 4, false);
}
// Every lane reads what its neighbour wrote.
static void load_next(uint32_t w, uint32_t line, uint32_t offset) {
  tsr_access access = {
      .kind = TSR_ACCESS_LOAD, .size = 4, .mask = TSR_ALL_LANES};
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    access.address[i] = AT + offset + (i + 1) % TSR_LANES * 4;
  }
  op.line = line;
  tsr_race_access(race, &warps[w], &op, &access);
}
static void load(uint32_t w, uint32_t line, uint32_t offset) {
  lanes(w, line, TSR_ACCESS_LOAD, TSR_ALL_LANES, offset, 4, 4, false);
}

static void test_barriers(void) {
  begin();
  store(0, 1, 0);
  tsr_race_barrier(race, 0, 0xf);
  load(1, 2, 0);
  load(2, 2, 0);
  load(3, 2, 0);
  tsr_race_barrier(race, 0, 0xf);
  store(2, 3, 0);
  CHECK(silent());

  begin();  // nobody waited
  store(0, 11, 0);
  load(1, 12, 0);
  CHECK(found(TESSERA_EMU_RACE));
  tessera_emu_finding finding = {.struct_size = sizeof(finding)};
  CHECK(tsr_report_get(launch.report, 0, &finding));
  CHECK_STR(finding.message,
            "k: line 12: race: read of shared memory not ordered after the "
            "write by thread (0,0,0) at line 11 (block (0,0,0), thread "
            "(32,0,0), address 0x400)");

  begin();  // the second barrier is missing: a write meets a read
  store(0, 1, 0);
  tsr_race_barrier(race, 0, 0xf);
  load(1, 2, 0);
  load(2, 2, 0);
  store(0, 3, 0);
  CHECK(found(TESSERA_EMU_RACE));

  begin();  // the barrier was another pair's
  store(0, 1, 0);
  tsr_race_barrier(race, 1, 0x3);
  load(2, 2, 0);
  CHECK(found(TESSERA_EMU_RACE));

  begin();  // bar.arrive releases what was before it, not what came after
  store(0, 1, 0);
  tsr_race_barrier_arrive(race, &warps[0], 2);
  store(0, 2, 128);
  tsr_race_barrier(race, 2, 0x2);
  load(1, 3, 0);
  CHECK(silent());
  load(1, 4, 128);
  CHECK(found(TESSERA_EMU_RACE));
}

static void test_lanes_of_a_warp(void) {
  begin();
  store(0, 1, 0);
  load(0, 2, 0);  // each lane its own
  tsr_race_warp_sync(race, &warps[0], TSR_ALL_LANES);
  load_next(0, 3, 0);
  tsr_race_warp_sync(race, &warps[0], TSR_ALL_LANES);
  store(0, 4, 0);
  CHECK(silent());

  begin();
  store(0, 1, 0);
  load_next(0, 2, 0);
  CHECK(found(TESSERA_EMU_RACE));

  begin();  // read by the neighbour, then written
  store(0, 1, 0);
  tsr_race_warp_sync(race, &warps[0], TSR_ALL_LANES);
  load_next(0, 2, 0);
  store(0, 3, 0);
  CHECK(found(TESSERA_EMU_RACE));

  begin();  // a store by all lanes to one place: one of them wins
  lanes(0, 1, TSR_ACCESS_STORE, TSR_ALL_LANES, 0, 0, 4, false);
  CHECK(silent());
}

// Lane 0 stores |value| to the word that |memory| stands for.
static void store_value(uint32_t w, uint32_t line, uint32_t value,
                        uint32_t *memory) {
  static uint32_t registers[TSR_LANES];
  static const tsr_ref element = 0;
  tsr_access access = {.kind = TSR_ACCESS_STORE,
                       .size = 4,
                       .mask = 1,
                       .elements = &element,
                       .element_size = 4};
  access.address[0] = AT;
  access.host[0] = (unsigned char *)memory;
  registers[0] = value;
  warps[w].base[0] = (unsigned char *)registers;
  op.line = line;
  tsr_race_access(race, &warps[w], &op, &access);
  *memory = value;
}

static void test_equal_values(void) {
  uint32_t word = 0;
  begin();  // all raise one flag
  store_value(0, 1, 7, &word);
  store_value(1, 1, 7, &word);
  store_value(2, 2, 7, &word);
  CHECK(silent());
  load(3, 3, 0);  // and one looks at it too early
  CHECK(found(TESSERA_EMU_RACE));

  begin();
  store_value(0, 1, 7, &word);
  store_value(1, 1, 8, &word);
  CHECK(found(TESSERA_EMU_RACE));

  begin();  // somebody may still read what was there
  load(0, 1, 0);
  store_value(1, 2, 8, &word);
  CHECK(found(TESSERA_EMU_RACE));
}

static void test_bytes(void) {
  begin();  // neighbours in a word do not meet
  lanes(0, 1, TSR_ACCESS_STORE, TSR_ALL_LANES, 0, 4, 2, false);
  lanes(1, 2, TSR_ACCESS_STORE, TSR_ALL_LANES, 2, 4, 2, false);
  lanes(0, 3, TSR_ACCESS_LOAD, TSR_ALL_LANES, 0, 4, 2, false);
  CHECK(silent());
  load(0, 4, 0);  // all four bytes: two are the other's
  CHECK(found(TESSERA_EMU_RACE));

  begin();  // words become whole again
  lanes(0, 1, TSR_ACCESS_STORE, TSR_ALL_LANES, 1, 4, 1, false);
  tsr_race_barrier(race, 0, 0xf);
  store(1, 2, 0);
  tsr_race_barrier(race, 0, 0xf);
  lanes(2, 3, TSR_ACCESS_LOAD, TSR_ALL_LANES, 3, 4, 1, false);
  lanes(3, 3, TSR_ACCESS_LOAD, TSR_ALL_LANES, 3, 4, 1, false);
  CHECK(silent());
  lanes(1, 4, TSR_ACCESS_STORE, 1, 0, 4, 2, false);  // bytes nobody read
  CHECK(silent());
  lanes(1, 5, TSR_ACCESS_STORE, 1, 3, 4, 1, false);
  CHECK(found(TESSERA_EMU_RACE));
}

static void test_atomics(void) {
  begin();
  for (uint32_t w = 0; w < WARPS; ++w) {
    lanes(w, 1, TSR_ACCESS_ATOMIC, TSR_ALL_LANES, 0, 0, 4, false);
  }
  CHECK(silent());
  tsr_race_barrier(race, 0, 0xf);
  load(0, 2, 0);
  CHECK(silent());

  begin();  // read before the barrier
  lanes(1, 1, TSR_ACCESS_ATOMIC, 1, 0, 0, 4, false);
  lanes(0, 2, TSR_ACCESS_LOAD, 1, 0, 0, 4, false);
  CHECK(found(TESSERA_EMU_RACE));

  begin();  // data, fence, flag; flag, fence, data
  store(0, 1, 64);
  tsr_race_fence(race, &warps[0], TSR_ORDER_ACQUIRE | TSR_ORDER_RELEASE);
  lanes(0, 2, TSR_ACCESS_STORE, 1, 0, 0, 4, true);
  lanes(1, 3, TSR_ACCESS_LOAD, 1, 0, 0, 4, true);
  tsr_race_fence(race, &warps[1], TSR_ORDER_ACQUIRE | TSR_ORDER_RELEASE);
  load(1, 4, 64);
  CHECK(silent());

  begin();  // without the writer's fence
  store(0, 1, 64);
  lanes(0, 2, TSR_ACCESS_STORE, 1, 0, 0, 4, true);
  lanes(1, 3, TSR_ACCESS_LOAD, 1, 0, 0, 4, true);
  tsr_race_fence(race, &warps[1], TSR_ORDER_ACQUIRE | TSR_ORDER_RELEASE);
  load(1, 4, 64);
  CHECK(found(TESSERA_EMU_RACE));

  begin();  // without the reader's
  store(0, 1, 64);
  tsr_race_fence(race, &warps[0], TSR_ORDER_ACQUIRE | TSR_ORDER_RELEASE);
  lanes(0, 2, TSR_ACCESS_STORE, 1, 0, 0, 4, true);
  lanes(1, 3, TSR_ACCESS_LOAD, 1, 0, 0, 4, true);
  load(1, 4, 64);
  CHECK(found(TESSERA_EMU_RACE));
}

// A ring of one stage: warp 0 fills it by a bulk copy on mbarrier 0, the others
// read it and arrive on mbarrier 1.
static void ring(bool wait_full, bool wait_empty) {
  begin();
  tsr_race_mbarrier_init(race, 0);
  tsr_race_mbarrier_init(race, 1);
  tsr_race_barrier(race, 0, 0xf);
  for (uint32_t round = 0; round < 3; ++round) {
    op.line = 10 + round;
    tsr_race_copy_issue(race, &warps[0], &op, 0, AT, 256, 0, TSR_PROXY_ASYNC);
    tsr_race_mbarrier_arrive(race, &warps[0], 0);
    tsr_race_copy_land(race, &warps[0], 0, AT, 256, 0, TSR_PROXY_ASYNC);
    tsr_race_mbarrier_complete(race, 0);
    for (uint32_t w = 1; w < WARPS; ++w) {
      if (wait_full) tsr_race_mbarrier_observe(race, &warps[w], 0);
      load(w, 20, 0);
      load_next(w, 21, 128);
      tsr_race_mbarrier_arrive(race, &warps[w], 1);
    }
    tsr_race_mbarrier_complete(race, 1);
    if (wait_empty) tsr_race_mbarrier_observe(race, &warps[0], 1);
  }
}

static void test_mbarriers(void) {
  ring(true, true);
  CHECK(silent());
  ring(false, true);
  CHECK(found(TESSERA_EMU_RACE));
  ring(true, false);
  CHECK(found(TESSERA_EMU_RACE));
}

static void test_in_flight(void) {
  begin();
  op.line = 5;
  tsr_race_copy_issue(race, &warps[0], &op, 0, AT, 16, TSR_RACE_NO_SLOT,
                      TSR_PROXY_GENERIC);
  lanes(0, 6, TSR_ACCESS_LOAD, 1, 0, 0, 4, false);  // its own thread, too
  CHECK(found(TESSERA_EMU_IN_FLIGHT));

  begin();
  tsr_race_copy_issue(race, &warps[0], &op, 0, AT, 16, TSR_RACE_NO_SLOT,
                      TSR_PROXY_GENERIC);
  tsr_race_copy_land(race, &warps[0], 0, AT, 16, TSR_RACE_NO_SLOT,
                     TSR_PROXY_GENERIC);
  lanes(0, 6, TSR_ACCESS_LOAD, 1, 0, 0, 16, false);
  CHECK(silent());
  lanes(0, 7, TSR_ACCESS_LOAD, 2, 0, 0, 16, false);  // no barrier yet
  CHECK(found(TESSERA_EMU_RACE));

  begin();  // the source of a copy out of shared memory
  store(0, 1, 0);
  tsr_race_proxy_fence(race, &warps[0], TSR_ALL_LANES);
  tsr_race_barrier(race, 0, 0xf);
  tsr_race_read_issue(race, &warps[1], &op, 0, AT, 128);
  CHECK(silent());
  store(0, 2, 0);
  CHECK(found(TESSERA_EMU_IN_FLIGHT));

  begin();  // done, and the others know
  store(0, 1, 0);
  tsr_race_proxy_fence(race, &warps[0], TSR_ALL_LANES);
  tsr_race_barrier(race, 0, 0xf);
  tsr_race_read_issue(race, &warps[1], &op, 0, AT, 128);
  tsr_race_read_done(race, &warps[1], 0, AT, 128);
  tsr_race_barrier(race, 0, 0xf);
  store(0, 2, 0);
  CHECK(silent());
}

static void test_proxies(void) {
  begin();  // the issuer fences after it has seen the write
  store(0, 1, 0);
  tsr_race_barrier(race, 0, 0xf);
  tsr_race_proxy_fence(race, &warps[1], 1);
  tsr_race_read_issue(race, &warps[1], &op, 0, AT, 128);
  CHECK(silent());

  begin();  // the fence came before the write was seen
  store(0, 1, 0);
  tsr_race_proxy_fence(race, &warps[1], 1);
  tsr_race_barrier(race, 0, 0xf);
  tsr_race_read_issue(race, &warps[1], &op, 0, AT, 128);
  CHECK(found(TESSERA_EMU_PROXY));
}

// What orders once goes on ordering, and no more than that.
static void test_memory_of_order(void) {
  begin();  // one barrier used by one pair, later by another
  store(0, 1, 0);
  tsr_race_barrier(race, 1, 0x3);
  tsr_race_barrier(race, 1, 0xc);
  load(2, 2, 0);
  CHECK(found(TESSERA_EMU_RACE));

  begin();  // a barrier releases like a fence: warp 1 tells what warp 0 did
  store(0, 1, 0);
  tsr_race_barrier(race, 0, 0x3);
  lanes(1, 2, TSR_ACCESS_STORE, 1, 512, 4, 4, true);
  lanes(2, 3, TSR_ACCESS_LOAD, 1, 512, 4, 4, true);
  tsr_race_fence(race, &warps[2], TSR_ORDER_ACQUIRE | TSR_ORDER_RELEASE);
  load(2, 4, 0);
  CHECK(silent());

  begin();  // who looks only after the second phase has seen the first, too
  tsr_race_mbarrier_init(race, 0);
  store(0, 1, 0);
  tsr_race_mbarrier_arrive(race, &warps[0], 0);
  tsr_race_mbarrier_complete(race, 0);
  tsr_race_mbarrier_arrive(race, &warps[2], 0);
  tsr_race_mbarrier_complete(race, 0);
  tsr_race_mbarrier_observe(race, &warps[1], 0);
  load(1, 2, 0);
  CHECK(silent());

  begin();  // an old phase does not undo a later bar.warp.sync
  tsr_race_mbarrier_init(race, 0);
  tsr_race_mbarrier_arrive(race, &warps[0], 0);
  tsr_race_mbarrier_complete(race, 0);
  store(0, 1, 0);
  tsr_race_warp_sync(race, &warps[0], TSR_ALL_LANES);
  tsr_race_mbarrier_observe(race, &warps[0], 0);
  load_next(0, 2, 0);
  CHECK(silent());

  begin();  // a new block knows nothing of the last one's mbarriers
  tsr_race_mbarrier_observe(race, &warps[1], 0);
  tsr_race_mbarrier_observe(race, &warps[1], TSR_RACE_MBARRIERS - 1);
  store(0, 1, 0);
  load(1, 2, 0);
  CHECK(found(TESSERA_EMU_RACE));
}

int main(void) {
  test_memory_of_order();
  test_barriers();
  test_lanes_of_a_warp();
  test_equal_values();
  test_bytes();
  test_atomics();
  test_mbarriers();
  test_in_flight();
  test_proxies();
  tsr_race_destroy(race);
  tsr_report_destroy(launch.report);
  return test_finish();
}

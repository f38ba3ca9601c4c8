// SPDX-License-Identifier: Apache-2.0
// Sectors and bank conflicts of access patterns whose counts follow from the
// definition: 32-byte sectors; 32 banks of 4 bytes, equal words broadcast, wide
// accesses in halves and quarters of a warp.
#include "harness.h"
#include "memory/access.h"

static tsr_access access_of(uint32_t size, uint32_t mask) {
  tsr_access access = {.size = size, .align = size, .mask = mask};
  return access;
}

typedef struct pattern {
  const char *what;
  uint32_t size;
  uint64_t base, stride;
  uint32_t lanes;  // the first of them take part
  uint64_t transactions, ideal;
} pattern;

static tessera_emu_traffic run(const pattern *p, bool shared) {
  tessera_emu_traffic traffic = {0};
  tsr_access access =
      access_of(p->size, p->lanes == 32 ? TSR_ALL_LANES : (1u << p->lanes) - 1);
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    access.address[i] = p->base + i * p->stride;
  }
  (shared ? tsr_count_shared : tsr_count_global)(&traffic, &access);
  CHECK_EQ(traffic.instructions, 1);
  CHECK_EQ(traffic.bytes, (uint64_t)p->size * p->lanes);
  if (traffic.transactions != p->transactions || traffic.ideal != p->ideal) {
    fprintf(stderr, "%s: %s: %llu of %llu\n", shared ? "shared" : "global",
            p->what, (unsigned long long)traffic.transactions,
            (unsigned long long)traffic.ideal);
  }
  CHECK_EQ(traffic.transactions, p->transactions);
  CHECK_EQ(traffic.ideal, p->ideal);
  return traffic;
}

static void test_shared(void) {
  static const pattern patterns[] = {
      {"words side by side", 4, 1024, 4, 32, 1, 1},
      {"any start", 4, 1036, 4, 32, 1, 1},
      {"stride 2 words", 4, 1024, 8, 32, 2, 1},
      {"stride 3 words", 4, 1024, 12, 32, 1, 1},
      {"stride 4 words", 4, 1024, 16, 32, 4, 1},
      {"stride 32 words: a column", 4, 1024, 128, 32, 32, 1},
      {"stride 33 words: padded", 4, 1024, 132, 32, 1, 1},
      {"stride 34 words", 4, 1024, 136, 32, 2, 1},
      {"broadcast", 4, 1024, 0, 32, 1, 1},
      {"half the lanes, stride 32", 4, 1024, 128, 16, 16, 1},
      {"one lane", 4, 1024, 4, 1, 1, 1},
      {"bytes", 1, 1024, 1, 32, 1, 1},
      {"bytes, stride 4", 1, 1024, 4, 32, 1, 1},
      {"bytes, stride 128", 1, 1024, 128, 32, 32, 1},
      {"halves", 2, 1024, 2, 32, 1, 1},
      {"8 bytes side by side", 8, 1024, 8, 32, 2, 2},
      {"8 bytes, stride 16", 8, 1024, 16, 32, 4, 2},
      {"8 bytes, half a warp", 8, 1024, 8, 16, 1, 1},
      {"8 bytes, broadcast", 8, 1024, 0, 32, 2, 2},
      {"16 bytes side by side", 16, 1024, 16, 32, 4, 4},
      {"16 bytes, stride 32", 16, 1024, 32, 32, 8, 4},
      {"16 bytes, rows of 128", 16, 1024, 128, 32, 32, 4},
      {"16 bytes, rows of 144: padded", 16, 1024, 144, 32, 4, 4},
      {"16 bytes, a quarter", 16, 1024, 16, 8, 1, 1},
      {"16 bytes, 9 lanes", 16, 1024, 16, 9, 2, 2},
  };
  for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); ++i) {
    (void)run(&patterns[i], true);
  }
}

// Rows of a 128-byte swizzled tile: 16-byte chunk c of row r lies at c ^ r, so
// that eight rows of any chunk touch all banks (what ldmatrix does, four times
// eight rows).
static void test_swizzle(void) {
  for (uint32_t chunk = 0; chunk < 8; ++chunk) {
    tessera_emu_traffic traffic = {0};
    tsr_access access = access_of(16, TSR_ALL_LANES);
    for (uint32_t i = 0; i < TSR_LANES; ++i) {
      access.address[i] = 1024 + i * 128 + (chunk ^ (i % 8)) * 16;
    }
    tsr_count_shared(&traffic, &access);
    CHECK_EQ(traffic.transactions, 4);
    CHECK_EQ(traffic.ideal, 4);
  }
}

// Against the definition, spelled out, on random addresses.
static void test_shared_random(void) {
  static const uint32_t sizes[] = {1, 2, 4, 8, 16};
  uint64_t state = 7;
  for (int round = 0; round < 2000; ++round) {
    uint32_t size = sizes[round % 5];
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    tsr_access access = access_of(size, (uint32_t)(state >> 32) | 1u);
    for (uint32_t i = 0; i < TSR_LANES; ++i) {
      state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
      access.address[i] = 1024 + (state >> 40) % 256 * size;
    }
    uint32_t group = size <= 4 ? 32 : 128 / size;
    uint64_t expected = 0;
    for (uint32_t first = 0; first < 32; first += group) {
      uint64_t most = 0;
      for (uint32_t bank = 0; bank < 32; ++bank) {
        uint64_t words = 0;
        for (uint64_t word = bank; word < 2048; word += 32) {
          bool used = false;
          for (uint32_t i = first; i < first + group; ++i) {
            if ((access.mask >> i & 1u) == 0) continue;
            used = used || (access.address[i] / 4 <= word &&
                            word <= (access.address[i] + size - 1) / 4);
          }
          words += used;
        }
        most = words > most ? words : most;
      }
      expected += most;
    }
    tessera_emu_traffic traffic = {0};
    tsr_count_shared(&traffic, &access);
    CHECK_EQ(traffic.transactions, expected);
  }
}

static void test_global(void) {
  static const pattern patterns[] = {
      {"words side by side", 4, 1 << 20, 4, 32, 4, 4},
      {"not aligned to sectors", 4, (1 << 20) + 16, 4, 32, 5, 4},
      {"stride 2", 4, 1 << 20, 8, 32, 8, 4},
      {"stride 8", 4, 1 << 20, 32, 32, 32, 4},
      {"stride 100 words", 4, 1 << 20, 400, 32, 32, 4},
      {"one address", 4, 1 << 20, 0, 32, 1, 1},
      {"one lane", 4, 1 << 20, 0, 1, 1, 1},
      {"bytes", 1, 1 << 20, 1, 32, 1, 1},
      {"16 bytes", 16, 1 << 20, 16, 32, 16, 16},
      {"16 bytes, stride 32", 16, 1 << 20, 32, 32, 32, 16},
      {"32 bytes", 32, 1 << 20, 32, 32, 32, 32},
      {"backwards", 4, 1 << 20, (uint64_t)-4, 32, 5, 4},
  };
  for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); ++i) {
    (void)run(&patterns[i], false);
  }
}

static void test_global_random(void) {
  uint64_t state = 9;
  for (int round = 0; round < 2000; ++round) {
    uint32_t size = 1u << (round % 6);
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    tsr_access access = access_of(size, (uint32_t)(state >> 32) | 4u);
    bool sectors[512] = {false};
    bool bytes[16384] = {false};
    for (uint32_t i = 0; i < TSR_LANES; ++i) {
      state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
      uint64_t at = (state >> 40) % 512 * size;
      access.address[i] = (UINT64_C(1) << 40) + at;
      if ((access.mask >> i & 1u) == 0) continue;
      for (uint32_t k = 0; k < size; ++k) {
        sectors[(at + k) / 32] = true;
        bytes[at + k] = true;
      }
    }
    uint64_t expected = 0;
    uint64_t distinct = 0;
    for (uint32_t i = 0; i < 512; ++i) expected += sectors[i];
    for (uint32_t i = 0; i < 16384; ++i) distinct += bytes[i];
    tessera_emu_traffic traffic = {0};
    tsr_count_global(&traffic, &access);
    CHECK_EQ(traffic.transactions, expected);
    CHECK_EQ(traffic.ideal, (distinct + 31) / 32);
  }
}

static void test_local(void) {
  tessera_emu_traffic traffic = {0};
  tsr_access access = access_of(4, TSR_ALL_LANES);
  tsr_count_local(&traffic, &access);  // the same variable of all threads
  CHECK_EQ(traffic.transactions, 4);
  CHECK_EQ(traffic.ideal, 4);
  for (uint32_t i = 0; i < TSR_LANES; ++i) access.address[i] = i * 4;
  tsr_count_local(&traffic, &access);  // each another element
  CHECK_EQ(traffic.transactions, 4 + 32);
  CHECK_EQ(traffic.ideal, 8);
}

static void test_widths(void) {
  tessera_emu_traffic traffic = {0};
  for (uint32_t size = 1; size <= 32; size *= 2) {
    tsr_access access = access_of(size, 1);
    tsr_count_global(&traffic, &access);
  }
  for (uint32_t i = 0; i < 4; ++i) CHECK_EQ(traffic.width[i], 1);
  CHECK_EQ(traffic.width[4], 2);
  CHECK_EQ(traffic.bytes, 63);
}

static void test_merge(void) {
  static tessera_emu_profile sum;
  static tessera_emu_profile part;
  part.warp_instructions = 5;
  part.by_class[TESSERA_EMU_CLASS_COUNT - 1] = 3;
  part.global_load.bytes = 128;
  part.bulk_store.width[4] = 2;
  part.blocks = 1;
  tsr_count_matrix(&part, "mma.m16n8k16.bf16");
  tsr_count_matrix(&part, "mma.m16n8k8.tf32");
  tsr_count_matrix(&part, "mma.m16n8k16.bf16");
  tsr_profile_merge(&sum, &part);
  tsr_profile_merge(&sum, &part);
  CHECK_EQ(sum.warp_instructions, 10);
  CHECK_EQ(sum.by_class[TESSERA_EMU_CLASS_COUNT - 1], 6);
  CHECK_EQ(sum.global_load.bytes, 256);
  CHECK_EQ(sum.bulk_store.width[4], 4);
  CHECK_EQ(sum.blocks, 2);
  CHECK_EQ(sum.matrix_count, 2);
  CHECK_STR(sum.matrix[0].name, "mma.m16n8k16.bf16");
  CHECK_EQ(sum.matrix[0].count, 4);
  CHECK_EQ(sum.matrix[1].count, 2);
  // More shapes than places: none is lost.
  for (uint32_t i = 0; i < 40; ++i) {
    char name[16];
    (void)snprintf(name, sizeof(name), "shape%u", i);
    tsr_count_matrix(&sum, name);
  }
  uint64_t all = 0;
  for (uint32_t i = 0; i < sum.matrix_count; ++i) all += sum.matrix[i].count;
  CHECK_EQ(all, 46);
  CHECK_EQ(sum.matrix_count, 24);
  CHECK_STR(sum.matrix[23].name, "other");
}

// --- A launch ---------------------------------------------------------------

static const char *const launch_text =
    ".version 8.7\n.target sm_90a\n.address_size 64\n"
    ".visible .entry k(.param .u64 a) {\n"
    ".reg .b64 %rd<6>; .reg .b32 %r<12>; .reg .pred %p<2>;\n"
    ".shared .align 16 .b8 sh[4096];\n.local .align 16 .b8 lo[16];\n"
    "ld.param.u64 %rd1, [a]; mov.u32 %r1, %tid.x;\n"
    "mul.wide.u32 %rd2, %r1, 16; add.u64 %rd3, %rd1, %rd2;\n"
    "ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%rd3];\n"  // coalesced
    "add.u64 %rd4, %rd1, 4096; setp.lt.u32 %p1, %r1, 8;\n"
    "@%p1 st.global.u32 [%rd3+4096], %r2;\n"  // 8 lanes of each first warp
    "red.global.add.u32 [%rd1+8192], 1;\n"
    "shl.b32 %r6, %r1, 7; and.b32 %r6, %r6, 4095; mov.u32 %r7, sh;\n"
    "add.u32 %r6, %r6, %r7; mov.u32 %r8, 0;\n"
    "setp.lt.u32 %p1, %r1, 32;\n"
    "@%p1 st.shared.u32 [%r6], %r8;\n"  // a column: 32 passes
    "@%p1 ld.shared.u32 %r9, [%r6];\n"
    "st.local.u32 [lo], %r1; ld.local.u32 %r9, [lo];\n"
    "ret;\n}\n";

static void check_traffic(const tessera_emu_traffic *traffic,
                          uint64_t instructions, uint64_t bytes, int width,
                          uint64_t transactions, uint64_t ideal) {
  CHECK_EQ(traffic->instructions, instructions);
  CHECK_EQ(traffic->bytes, bytes);
  CHECK_EQ(traffic->width[width], instructions);
  CHECK_EQ(traffic->transactions, transactions);
  CHECK_EQ(traffic->ideal, ideal);
}

static void test_launch(void) {
  emu e;
  emu_init(&e, "h100");
  static unsigned char bytes[16384];
  uint64_t address = emu_upload(&e, bytes, sizeof(bytes));
  emu_must_load(&e, launch_text);
  emu_dims dims = {.grid = {3, 1, 1}, .block = {64, 1, 1}};
  bool clean = emu_launch(&e, "k", dims, &address, 1);
  CHECK(clean);
  if (!clean) fprintf(stderr, "%s", emu_findings(&e));
  const tessera_emu_profile *p = &e.launch.profile;
  CHECK_EQ(p->blocks, 3);
  check_traffic(&p->global_load, 6, 6 * 512, 4, 6 * 16, 6 * 16);
  check_traffic(&p->global_store, 3, 3 * 32, 2, 3 * 4, 3);
  check_traffic(&p->global_atomic, 6, 6 * 128, 2, 6, 6);
  check_traffic(&p->shared_store, 3, 3 * 128, 2, 3 * 32, 3);
  check_traffic(&p->shared_load, 3, 3 * 128, 2, 3 * 32, 3);
  check_traffic(&p->local_store, 6, 6 * 128, 2, 6 * 4, 6 * 4);
  check_traffic(&p->local_load, 6, 6 * 128, 2, 6 * 4, 6 * 4);
  // Three blocks read the first 1024 bytes, each once; the rest nobody.
  static uint8_t reads[1024];
  e.config.watch_address = address + 512;
  e.config.watch_size = sizeof(reads);
  e.config.watch_reads = reads;
  CHECK(emu_launch(&e, "k", dims, &address, 1));
  for (uint32_t i = 0; i < sizeof(reads); ++i) {
    if (reads[i] != (i < 512 ? 3 : 0)) CHECK_EQ(reads[i], i < 512 ? 3 : 0);
  }
  memset(reads, 0, sizeof(reads));
  e.config.watch_width = 32;  // no access is as wide
  CHECK(emu_launch(&e, "k", dims, &address, 1));
  for (uint32_t i = 0; i < sizeof(reads); ++i) {
    if (reads[i] != 0) CHECK_EQ(reads[i], 0);
  }
  e.config.watch_reads = NULL;
  e.config.profile = 0;
  CHECK(emu_launch(&e, "k", dims, &address, 1));
  CHECK_EQ(e.launch.profile.global_load.instructions, 0);
  emu_fini(&e);
}

int main(void) {
  test_shared();
  test_swizzle();
  test_shared_random();
  test_global();
  test_global_random();
  test_local();
  test_widths();
  test_merge();
  test_launch();
  return test_finish();
}

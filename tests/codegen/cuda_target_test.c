// SPDX-License-Identifier: Apache-2.0
// The table of CUDA targets: what LLVM would take without a word must be right
// here, and numbers must agree.
#include <string.h>

#include "codegen/cuda.h"
#include "test.h"

static void test_names(void) {
  uint32_t count = 0;
  for (; tsr_cuda_target_names[count] != NULL; ++count) {
    const char *name = tsr_cuda_target_names[count];
    const tsr_cuda_target *target = tsr_cuda_target_find(name);
    CHECK(target != NULL);
    if (target == NULL) continue;
    CHECK_STR(target->name, name);
    char spelled[16];
    (void)snprintf(spelled, sizeof(spelled), "sm_%u%s", target->sm,
                   target->is_exact ? "a" : "");
    CHECK_STR(spelled, name);
    (void)snprintf(spelled, sizeof(spelled), "+ptx%u", target->ptx);
    CHECK_STR(target->features, spelled);
  }
  CHECK_EQ(count, 7);
  static const char *const unknown[] = {"sm_999", "sm_75", "sm_80 ", "",
                                        "sm_",    "SM_80", "sm_100a"};
  for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); ++i) {
    CHECK(tsr_cuda_target_find(unknown[i]) == NULL);
  }
}

// mma.sp::ordered_metadata: 8.5 (PTX ISA); each architecture its first version.
static void test_versions(void) {
  for (uint32_t i = 0; tsr_cuda_target_names[i] != NULL; ++i) {
    const tsr_cuda_target *t = tsr_cuda_target_find(tsr_cuda_target_names[i]);
    uint32_t least = t->sm >= 120 ? 87 : t->sm >= 100 ? 86 : 85;
    CHECK_EQ(t->ptx, least);
  }
}

static void test_limits(void) {
  for (uint32_t i = 0; tsr_cuda_target_names[i] != NULL; ++i) {
    const tsr_cuda_target *t = tsr_cuda_target_find(tsr_cuda_target_names[i]);
    // One block's limit is the multiprocessor's less what the system takes.
    CHECK_EQ(t->shared_total - t->shared_block, 1024);
    CHECK_EQ(t->registers_total, 65536);
    CHECK(t->threads_total == 2048 || t->threads_total == 1536);
    const tsr_cuda_gpu *gpu = &t->gpu;
    CHECK(gpu->name != NULL && gpu->multiprocessors >= 84);
    CHECK(gpu->sparse_flops > gpu->dense_flops);
    CHECK(gpu->sparse_flops <= 2.05 * gpu->dense_flops);
    // A multiprocessor does at most 1024 dense multiplications per clock with
    // mma.sync on the A100 and 2048 on any of these.
    double per_clock = gpu->dense_flops / 2 / gpu->clock / gpu->multiprocessors;
    CHECK(per_clock > 200 && per_clock <= 2048);
    CHECK(gpu->latency > 1e-7 && gpu->latency < 1e-6);
    CHECK(gpu->launch > 0 && gpu->launch < 1e-5);
  }
}

static tsr_cuda_resources occupancy(const char *target, uint32_t threads,
                                    uint32_t shared, uint32_t registers) {
  tsr_cuda_kernel kernel = {.threads = threads, .shared_size = shared};
  tsr_cuda_resources r = {.is_known = true, .registers = registers};
  tsr_cuda_occupancy(&kernel, tsr_cuda_target_find(target), &r);
  return r;
}

static void check_occupancy(tsr_cuda_resources r, uint32_t blocks,
                            const char *limiter) {
  CHECK_EQ(r.blocks, blocks);
  CHECK_STR(r.limiter, limiter);
}

// Counted by hand from the limits; NVIDIA's occupancy calculator gives the
// same.
static void test_occupancy(void) {
  check_occupancy(occupancy("sm_80", 256, 0, 255), 1, "registers");
  check_occupancy(occupancy("sm_80", 256, 0, 128), 2, "registers");
  check_occupancy(occupancy("sm_80", 128, 0, 168), 3, "registers");
  check_occupancy(occupancy("sm_80", 256, 0, 16), 8, "threads");
  check_occupancy(occupancy("sm_86", 256, 0, 16), 6, "threads");
  check_occupancy(occupancy("sm_80", 32, 0, 16), 32, "blocks");
  check_occupancy(occupancy("sm_86", 32, 0, 16), 16, "blocks");
  check_occupancy(occupancy("sm_86", 128, 49 * 1024, 32), 2, "shared memory");
  check_occupancy(occupancy("sm_86", 128, 49 * 1024 + 1, 32), 1,
                  "shared memory");
  check_occupancy(occupancy("sm_86", 128, 99 * 1024, 32), 1, "shared memory");
  check_occupancy(occupancy("sm_86", 128, 99 * 1024 + 1, 32), 0,
                  "shared memory");
  tsr_cuda_kernel kernel = {.threads = 256, .shared_size = 1024};
  tsr_cuda_resources r = {.blocks = 7};
  tsr_cuda_occupancy(&kernel, tsr_cuda_target_find("sm_80"), &r);
  CHECK_EQ(r.blocks, 0);  // unknown registers: nothing is claimed
  CHECK(r.limiter == NULL);
}

int main(void) {
  test_names();
  test_versions();
  test_limits();
  test_occupancy();
  return test_finish();
}

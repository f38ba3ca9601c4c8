// SPDX-License-Identifier: Apache-2.0
// Limits per compute capability: CUDA C Programming Guide, "Technical
// Specifications per Compute Capability". Clocks, sizes and rates: NVIDIA's
// data sheets and white papers of each product.
#include "exec/devices.h"

#define KIB(n) ((n)*1024u)
#define GIB(n) ((uint64_t)(n) << 30)

static const tsr_device_model models[] = {
    {.key = "a100",
     .name = "NVIDIA A100-SXM4-80GB",
     .sm_major = 8,
     .sm_minor = 0,
     .multiprocessors = 108,
     .shared_per_multiprocessor = KIB(164),
     .shared_per_block = KIB(48),
     .shared_per_block_optin = KIB(163),
     .registers_per_multiprocessor = 65536,
     .threads_per_multiprocessor = 2048,
     .blocks_per_multiprocessor = 32,
     .memory_bytes = GIB(80),
     .l2_bytes = KIB(40960),
     .clock_khz = 1410000,
     .memory_clock_khz = 1593000,
     .bus_bits = 5120,
     .bandwidth = 2039e9,
     .mma_flops = 312e12},
    {.key = "a6000",
     .name = "NVIDIA RTX A6000",
     .sm_major = 8,
     .sm_minor = 6,
     .multiprocessors = 84,
     .shared_per_multiprocessor = KIB(100),
     .shared_per_block = KIB(48),
     .shared_per_block_optin = KIB(99),
     .registers_per_multiprocessor = 65536,
     .threads_per_multiprocessor = 1536,
     .blocks_per_multiprocessor = 16,
     .memory_bytes = GIB(48),
     .l2_bytes = KIB(6144),
     .clock_khz = 1800000,
     .memory_clock_khz = 8001000,
     .bus_bits = 384,
     .bandwidth = 768e9,
     .mma_flops = 154.8e12},
    {.key = "rtx4090",
     .name = "NVIDIA GeForce RTX 4090",
     .sm_major = 8,
     .sm_minor = 9,
     .multiprocessors = 128,
     .shared_per_multiprocessor = KIB(100),
     .shared_per_block = KIB(48),
     .shared_per_block_optin = KIB(99),
     .registers_per_multiprocessor = 65536,
     .threads_per_multiprocessor = 1536,
     .blocks_per_multiprocessor = 24,
     .memory_bytes = GIB(24),
     .l2_bytes = KIB(73728),
     .clock_khz = 2520000,
     .memory_clock_khz = 10501000,
     .bus_bits = 384,
     .bandwidth = 1008e9,
     .mma_flops = 165.2e12},
    {.key = "h100",
     .name = "NVIDIA H100 80GB HBM3",
     .sm_major = 9,
     .sm_minor = 0,
     .multiprocessors = 132,
     .shared_per_multiprocessor = KIB(228),
     .shared_per_block = KIB(48),
     .shared_per_block_optin = KIB(227),
     .registers_per_multiprocessor = 65536,
     .threads_per_multiprocessor = 2048,
     .blocks_per_multiprocessor = 32,
     .memory_bytes = GIB(80),
     .l2_bytes = KIB(51200),
     .clock_khz = 1980000,
     .memory_clock_khz = 2619000,
     .bus_bits = 5120,
     .bandwidth = 3352e9,
     .mma_flops = 989.4e12},
    {.key = "h200",
     .name = "NVIDIA H200",
     .sm_major = 9,
     .sm_minor = 0,
     .multiprocessors = 132,
     .shared_per_multiprocessor = KIB(228),
     .shared_per_block = KIB(48),
     .shared_per_block_optin = KIB(227),
     .registers_per_multiprocessor = 65536,
     .threads_per_multiprocessor = 2048,
     .blocks_per_multiprocessor = 32,
     .memory_bytes = GIB(141),
     .l2_bytes = KIB(51200),
     .clock_khz = 1980000,
     .memory_clock_khz = 3201000,
     .bus_bits = 6144,
     .bandwidth = 4800e9,
     .mma_flops = 989.4e12},
};

const tsr_device_model *tsr_device_at(uint32_t index) {
  return index < sizeof(models) / sizeof(models[0]) ? &models[index] : NULL;
}

const tsr_device_model *tsr_device_find(const char *key) {
  const tsr_device_model *model;
  for (uint32_t i = 0; (model = tsr_device_at(i)) != NULL; ++i) {
    if (strcmp(model->key, key) == 0) return model;
  }
  return NULL;
}

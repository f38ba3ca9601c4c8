// SPDX-License-Identifier: Apache-2.0
// The targets of the NVIDIA family as a table: pairs of architecture and PTX
// version, limits, and the GPU that stands for each. LLVM takes an architecture
// or a PTX version that it does not know for a very old one and says so on
// stderr only; so nothing reaches it but what stands here.
//
// PTX version: 8.5 is the first with mma.sp::ordered_metadata (PTX ISA,
// "mma.sp", notes), which the kernels use; sm_100 needs 8.6, sm_120 8.7 (PTX
// ISA, ".target" directive, table of versions). No newer one than needed: it
// would ask for a newer driver.
//
// Limits: CUDA C++ Programming Guide, "Compute Capabilities", table "Technical
// Specifications per Compute Capability".
//
// GPUs. Boost clock, bandwidth and tensor rates with fp32 accumulation are
// those of NVIDIA's whitepapers and data sheets (A100, table 1; GA102,
// appendix A; Ada, appendix A; H100, table 1; Blackwell RTX, appendix A; HGX
// B200 data sheet), changed where measurements of mma.sync are known:
//   A100: mma.sync above 95 % of 312, mma.sp.m16n8k32 1979 of 2048 FMA per
//     clock and multiprocessor (Sun et al., arXiv 2206.02874, table 6).
//   H100: mma.sync 62.9 % of 989 on average, mma.sp 1.42 times that (Luo et
//     al., arXiv 2402.13499, on an H800: the same per multiprocessor).
//   B200: mma.sync has not been measured that we know of; taken to do per
//     clock and multiprocessor what it does on the H100.
// Latency of a load from memory, in clocks: 466 A100, 542 RTX 4090, 479 H100
// (arXiv 2402.13499, table of memory latencies); the A6000 is taken to be like
// the A100, B200 like H100, RTX 5090 like RTX 4090. Launch: an assumption, 1 us
// for each node of a graph that waits for the one before it.
#include <string.h>

#include "nv.h"

#define KIB(n) ((n)*1024u)

static const tsr_cuda_target targets[] = {
    {"sm_80",
     80,
     false,
     85,
     "+ptx85",
     KIB(163),
     KIB(164),
     2048,
     32,
     65536,
     {"A100-SXM4-80GB", 108, 1.41e9, 2.039e12, 0.95 * 312e12, 603e12,
      466 / 1.41e9, 1e-6}},
    {"sm_86",
     86,
     false,
     85,
     "+ptx85",
     KIB(99),
     KIB(100),
     1536,
     16,
     65536,
     {"RTX A6000", 84, 1.8e9, 0.768e12, 154.8e12, 309.7e12, 466 / 1.8e9, 1e-6}},
    {"sm_89",
     89,
     false,
     85,
     "+ptx85",
     KIB(99),
     KIB(100),
     1536,
     24,
     65536,
     {"RTX 4090", 128, 2.52e9, 1.008e12, 165.2e12, 330.4e12, 542 / 2.52e9,
      1e-6}},
    {"sm_90",
     90,
     false,
     85,
     "+ptx85",
     KIB(227),
     KIB(228),
     2048,
     32,
     65536,
     {"H100 SXM", 132, 1.755e9, 3.35e12, 622e12, 883e12, 479 / 1.755e9, 1e-6}},
    {"sm_90a",
     90,
     true,
     85,
     "+ptx85",
     KIB(227),
     KIB(228),
     2048,
     32,
     65536,
     {"H100 SXM", 132, 1.755e9, 3.35e12, 622e12, 883e12, 479 / 1.755e9, 1e-6}},
    {"sm_100",
     100,
     false,
     86,
     "+ptx86",
     KIB(227),
     KIB(228),
     2048,
     32,
     65536,
     {"B200", 148, 1.85e9, 8e12, 735e12, 1044e12, 479 / 1.85e9, 1e-6}},
    {"sm_120",
     120,
     false,
     87,
     "+ptx87",
     KIB(99),
     KIB(100),
     1536,
     24,
     65536,
     {"RTX 5090", 170, 2.407e9, 1.792e12, 209.5e12, 419e12, 542 / 2.407e9,
      1e-6}},
};

const char *const tsr_cuda_target_names[] = {
    "sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100", "sm_120", NULL};

const tsr_cuda_target *tsr_cuda_target_find(const char *name) {
  for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); ++i) {
    if (strcmp(targets[i].name, name) == 0) return &targets[i];
  }
  return NULL;
}

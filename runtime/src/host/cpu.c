// SPDX-License-Identifier: Apache-2.0
// x86-64: CPUID leaves 1, 7, 0x80000001 and XCR0 (Intel SDM volume 2A, CPUID;
// AMD APM volume 3, appendix E). aarch64: the kernel's AT_HWCAP words.
#include "cpu.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)

enum { EAX, EBX, ECX, EDX };

// Bits of XCR0 that the system must have set.
enum { XMM = 0x2, YMM = 0x6, ZMM = 0xe6 };

typedef struct feature {
  const char *word;
  uint32_t leaf;
  uint32_t subleaf;
  uint32_t reg;
  uint32_t bit;
  uint32_t state;  // 0: general registers or SSE only
} feature;

static const feature features[] = {
    {"sse3", 1, 0, ECX, 0, 0},
    {"pni", 1, 0, ECX, 0, 0},
    {"pclmulqdq", 1, 0, ECX, 1, 0},
    {"ssse3", 1, 0, ECX, 9, 0},
    {"fma", 1, 0, ECX, 12, YMM},
    {"cx16", 1, 0, ECX, 13, 0},
    {"sse4_1", 1, 0, ECX, 19, 0},
    {"sse4_2", 1, 0, ECX, 20, 0},
    {"movbe", 1, 0, ECX, 22, 0},
    {"popcnt", 1, 0, ECX, 23, 0},
    {"aes", 1, 0, ECX, 25, 0},
    {"avx", 1, 0, ECX, 28, YMM},
    {"f16c", 1, 0, ECX, 29, YMM},
    {"bmi1", 7, 0, EBX, 3, 0},
    {"avx2", 7, 0, EBX, 5, YMM},
    {"bmi2", 7, 0, EBX, 8, 0},
    {"avx512f", 7, 0, EBX, 16, ZMM},
    {"avx512dq", 7, 0, EBX, 17, ZMM},
    {"adx", 7, 0, EBX, 19, 0},
    {"avx512ifma", 7, 0, EBX, 21, ZMM},
    {"avx512cd", 7, 0, EBX, 28, ZMM},
    {"avx512bw", 7, 0, EBX, 30, ZMM},
    {"avx512vl", 7, 0, EBX, 31, ZMM},
    {"avx512vbmi", 7, 0, ECX, 1, ZMM},
    {"avx512_vbmi2", 7, 0, ECX, 6, ZMM},
    {"gfni", 7, 0, ECX, 8, 0},
    {"vaes", 7, 0, ECX, 9, YMM},
    {"vpclmulqdq", 7, 0, ECX, 10, YMM},
    {"avx512_vnni", 7, 0, ECX, 11, ZMM},
    {"avx512_bitalg", 7, 0, ECX, 12, ZMM},
    {"avx512_vpopcntdq", 7, 0, ECX, 14, ZMM},
    {"avx512_fp16", 7, 0, EDX, 23, ZMM},
    {"avx_vnni", 7, 1, EAX, 4, YMM},
    {"avx512_bf16", 7, 1, EAX, 5, ZMM},
    {"lahf_lm", 0x80000001u, 0, ECX, 0, 0},
    {"abm", 0x80000001u, 0, ECX, 5, 0},
    {"lzcnt", 0x80000001u, 0, ECX, 5, 0},
};

static uint32_t read_xcr0(void) {
  uint32_t a = 0;
  uint32_t b = 0;
  uint32_t c = 0;
  uint32_t d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c >> 27 & 1u) == 0) return 0;
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

static bool has_feature(const char *word) {
  for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); ++i) {
    const feature *f = &features[i];
    if (strcmp(f->word, word) != 0) continue;
    uint32_t r[4] = {0};
    if (!__get_cpuid_count(f->leaf, f->subleaf, &r[EAX], &r[EBX], &r[ECX],
                           &r[EDX])) {
      return false;
    }
    return (r[f->reg] >> f->bit & 1u) != 0 &&
           (read_xcr0() & f->state) == f->state;
  }
  return false;
}

const char *tsr_cpu_architecture(void) {
  return "x86_64";
}

// The levels of the x86-64 psABI, and what we add above them.
static const struct {
  const char *name;
  const char *required;
} levels[] = {
    {"x86-64-v4-bf16",
     "avx512f avx512bw avx512cd avx512dq avx512vl avx512_vbmi2 avx512_bf16"},
    {"x86-64-v4", "avx512f avx512bw avx512cd avx512dq avx512vl"},
    {"x86-64-v3", "avx avx2 bmi1 bmi2 f16c fma abm movbe"},
    {"x86-64-v2", "cx16 lahf_lm popcnt sse3 sse4_1 sse4_2 ssse3"},
};

const char *tsr_cpu_level(void) {
  char missing[32];
  for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); ++i) {
    if (!tsr_cpu_find_missing(levels[i].required, missing, sizeof(missing))) {
      return levels[i].name;
    }
  }
  return "x86-64";
}

void tsr_cpu_brand(char *out_text, size_t size) {
  uint32_t r[12] = {0};
  char brand[sizeof(r) + 1] = {0};
  for (uint32_t i = 0; i < 3; ++i) {
    uint32_t *part = &r[(size_t)4 * i];
    if (!__get_cpuid(0x80000002u + i, &part[0], &part[1], &part[2], &part[3])) {
      (void)snprintf(out_text, size, "%s", tsr_cpu_architecture());
      return;
    }
  }
  memcpy(brand, r, sizeof(r));
  size_t end = strlen(brand);
  while (end != 0 && brand[end - 1] == ' ') brand[--end] = '\0';
  (void)snprintf(out_text, size, "%s", brand + strspn(brand, " "));
}

#else

#if defined(__aarch64__)

// arch/arm64/include/uapi/asm/hwcap.h of Linux: part of its user ABI.
static const struct {
  const char *word;
  unsigned long type;
  unsigned bit;
} features[] = {
    {"fp", AT_HWCAP, 0},        {"asimd", AT_HWCAP, 1},
    {"aes", AT_HWCAP, 3},       {"atomics", AT_HWCAP, 8},
    {"fphp", AT_HWCAP, 9},      {"asimdhp", AT_HWCAP, 10},
    {"asimddp", AT_HWCAP, 20},  {"sve", AT_HWCAP, 22},
    {"asimdfhm", AT_HWCAP, 23}, {"sve2", AT_HWCAP2, 1},
    {"i8mm", AT_HWCAP2, 13},    {"bf16", AT_HWCAP2, 14},
};

static bool has_feature(const char *word) {
  for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); ++i) {
    if (strcmp(features[i].word, word) != 0) continue;
    return (getauxval(features[i].type) >> features[i].bit & 1ul) != 0;
  }
  return false;
}

const char *tsr_cpu_architecture(void) {
  return "aarch64";
}

#else

static bool has_feature(const char *word) {
  (void)word;
  return false;
}

const char *tsr_cpu_architecture(void) {
#if defined(__riscv) && __riscv_xlen == 64
  return "riscv64";
#else
  return "unknown";
#endif
}

#endif

const char *tsr_cpu_level(void) {
  return tsr_cpu_architecture();
}

void tsr_cpu_brand(char *out_text, size_t size) {
  (void)snprintf(out_text, size, "%s", tsr_cpu_architecture());
}

#endif

bool tsr_cpu_find_missing(const char *required, char *out_word, size_t size) {
  for (const char *at = required + strspn(required, " "); *at != '\0';) {
    size_t length = strcspn(at, " ");
    (void)snprintf(out_word, size, "%.*s", (int)length, at);
    if (length >= size || !has_feature(out_word)) return true;
    at += length;
    at += strspn(at, " ");
  }
  if (size != 0) out_word[0] = '\0';
  return false;
}

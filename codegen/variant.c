// SPDX-License-Identifier: Apache-2.0
// The variants of the host family as a table, and "native", described from what
// LLVM finds on this machine. Only names from these tables reach LLVM, which
// takes an unknown processor or feature for no feature at all (it prints a
// warning and goes on).
//
// Every variant is a baseline processor plus listed features, native too: its
// code uses nothing that |required| does not name, so a bundle built here runs
// or is refused elsewhere, and never traps.
#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "isa.h"

#define X86_TRIPLE "x86_64-unknown-linux-gnu"
#define V3_FLAGS "avx2 fma f16c bmi1 bmi2 abm movbe"
#define V4_FLAGS V3_FLAGS " avx512f avx512bw avx512cd avx512dq avx512vl"

static const tsr_variant variants[] = {
    {"generic", X86_TRIPLE, "x86_64", "x86-64", "", "", 0},
    {"x86-64-v2", X86_TRIPLE, "x86_64", "x86-64-v2", "",
     "cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3", 1},
    {"x86-64-v3", X86_TRIPLE, "x86_64", "x86-64-v3", "", V3_FLAGS, 2},
    {"x86-64-v4", X86_TRIPLE, "x86_64", "x86-64-v4", "", V4_FLAGS, 3},
    {"x86-64-v4-bf16", X86_TRIPLE, "x86_64", "x86-64-v4",
     "+avx512vbmi,+avx512vbmi2,+avx512vnni,+avx512bf16",
     V4_FLAGS " avx512vbmi avx512_vbmi2 avx512_vnni avx512_bf16", 4},
    {"aarch64", "aarch64-unknown-linux-gnu", "aarch64", "generic", "+neon",
     "fp asimd", 1},
};

enum { VARIANT_COUNT = sizeof(variants) / sizeof(variants[0]) };

// LLVM's names and the kernel's, for native. Features that our code gains
// nothing from are left out on purpose.
static const struct {
  const char *llvm;
  const char *flag;
} native_features[] = {
    {"cx16", "cx16"},
    {"sahf", "lahf_lm"},
    {"popcnt", "popcnt"},
    {"ssse3", "ssse3"},
    {"sse4.1", "sse4_1"},
    {"sse4.2", "sse4_2"},
    {"avx", "avx"},
    {"avx2", "avx2"},
    {"fma", "fma"},
    {"f16c", "f16c"},
    {"bmi", "bmi1"},
    {"bmi2", "bmi2"},
    {"lzcnt", "abm"},
    {"movbe", "movbe"},
    {"avx512f", "avx512f"},
    {"avx512bw", "avx512bw"},
    {"avx512cd", "avx512cd"},
    {"avx512dq", "avx512dq"},
    {"avx512vl", "avx512vl"},
    {"avx512vbmi", "avx512vbmi"},
    {"avx512vbmi2", "avx512_vbmi2"},
    {"avx512vnni", "avx512_vnni"},
    {"avx512bf16", "avx512_bf16"},
};

enum { FEATURE_COUNT = sizeof(native_features) / sizeof(native_features[0]) };

static pthread_once_t native_once = PTHREAD_ONCE_INIT;
static char native_list[FEATURE_COUNT * 16];
static char native_required[FEATURE_COUNT * 16];
static tsr_variant native;

// Whether the |separator|-separated |list| has |word|.
static bool list_has(const char *list, const char *word, char separator) {
  size_t size = strlen(word);
  for (const char *at = strstr(list, word); at != NULL;
       at = strstr(at + 1, word)) {
    bool starts = at == list || at[-1] == separator;
    if (starts && (at[size] == '\0' || at[size] == separator)) return true;
  }
  return false;
}

static void append(char *list, size_t capacity, const char *prefix,
                   const char *word, const char *separator) {
  size_t size = strlen(list);
  (void)snprintf(list + size, capacity - size, "%s%s%s",
                 size == 0 ? "" : separator, prefix, word);
}

static void describe_native(void) {
#if defined(__x86_64__)
  char *features = LLVMGetHostCPUFeatures();
  for (size_t i = 0; i < FEATURE_COUNT; ++i) {
    char word[24];
    (void)snprintf(word, sizeof(word), "+%s", native_features[i].llvm);
    if (!list_has(features, word, ',')) continue;
    append(native_list, sizeof(native_list), "+", native_features[i].llvm, ",");
    append(native_required, sizeof(native_required), "",
           native_features[i].flag, " ");
  }
  LLVMDisposeMessage(features);
  native = variants[0];
  native.features = native_list;
  native.required = native_required;
#elif defined(__aarch64__)
  native = variants[VARIANT_COUNT - 1];
#else
  native = variants[0];
#endif
  native.name = "native";
  native.rank = 10;
}

const tsr_variant *tsr_variant_find(const char *name) {
  for (size_t i = 0; i < VARIANT_COUNT; ++i) {
    if (strcmp(variants[i].name, name) == 0) return &variants[i];
  }
  if (strcmp(name, "native") != 0) return NULL;
  (void)pthread_once(&native_once, describe_native);
  return &native;
}

const char *const tsr_variant_names[] = {
    "generic",        "x86-64-v2", "x86-64-v3", "x86-64-v4",
    "x86-64-v4-bf16", "aarch64",   "native",    NULL};

cg_isa tsr_variant_isa(const tsr_variant *variant) {
  const char *flags = variant->required;
  cg_isa isa = {.lanes = 4, .registers = 16};
  if (strcmp(variant->architecture, "aarch64") == 0) {
    isa.registers = 32;
    isa.f16_convert = true;
    return isa;
  }
  bool avx512 =
      list_has(flags, "avx512f", ' ') && list_has(flags, "avx512bw", ' ') &&
      list_has(flags, "avx512vl", ' ') && list_has(flags, "avx512dq", ' ');
  bool avx2 = list_has(flags, "avx2", ' ') && list_has(flags, "fma", ' ');
  isa.f16_convert = list_has(flags, "f16c", ' ');
  isa.permute = avx2;
  if (avx2) isa.lanes = 8;
  if (avx512) {
    isa.lanes = 16;
    isa.registers = 32;
    isa.bf16_dot = list_has(flags, "avx512_bf16", ' ');
    isa.multishift = list_has(flags, "avx512vbmi", ' ');
  }
  return isa;
}

// SPDX-License-Identifier: Apache-2.0
// What this machine's processor can do, in the words that manifests use (the
// flags of /proc/cpuinfo). A feature counts only when the operating system
// saves its registers.
#ifndef RUNTIME_HOST_CPU_H_
#define RUNTIME_HOST_CPU_H_

#include <stdbool.h>
#include <stddef.h>

// Of |required|, words separated by spaces, the first that is missing here is
// copied to |out_word| (cut to |size|); false when there is none. A word that
// this build does not know counts as missing.
bool tsr_cpu_find_missing(const char *required, char *out_word, size_t size);

// "x86_64", "aarch64", ...: what this library was built for.
const char *tsr_cpu_architecture(void);
// The instruction-set level: "x86-64-v3", "aarch64".
const char *tsr_cpu_level(void);
// "AMD EPYC 9654 96-Core Processor", or the architecture where there is none.
void tsr_cpu_brand(char *out_text, size_t size);

#endif  // RUNTIME_HOST_CPU_H_

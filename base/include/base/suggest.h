// SPDX-License-Identifier: Apache-2.0
// "Did you mean": the nearest of a few words.
#ifndef BASE_SUGGEST_H_
#define BASE_SUGGEST_H_

#include <stdint.h>

// The candidate nearest to |text| by insertions, deletions, substitutions and
// swaps of neighbours, when it is near enough to be a slip; NULL otherwise.
// The first wins a draw. NULL candidates are skipped.
const char *tsr_suggest(const char *text, uint32_t size,
                        const char *const *candidates, uint32_t count);

#endif  // BASE_SUGGEST_H_

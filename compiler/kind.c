// SPDX-License-Identifier: Apache-2.0
#include "compiler/kind.h"

#include <assert.h>

const tsr_kind_info *tsr_kind_describe(tsr_kind kind) {
  static const tsr_kind_info table[TSR_KIND_COUNT] = {
      [TSR_KIND_ZERO] = {"zero", '.', 0.0, 0.0},
      [TSR_KIND_SPARSE24] = {"sparse24", 's', 1.125, 0.5},
      [TSR_KIND_DENSE] = {"dense", 'D', 2.0, 1.0},
  };
  assert((unsigned)kind < TSR_KIND_COUNT);
  return &table[kind];
}

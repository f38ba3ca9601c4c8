// SPDX-License-Identifier: Apache-2.0
// The modifiers that loads, stores and atomics share: memory semantics and
// scope (PTX ISA 9.0, 8.3 to 8.5), state space (5.1), cache hints (9.7.9.1,
// 9.7.9.2).
#ifndef OPS_MEMORY_MODIFIERS_H_
#define OPS_MEMORY_MODIFIERS_H_

#include "decode/decode.h"

typedef enum tsr_semantics {
  TSR_SEMANTICS_NONE,  // weak as well, but not written
  TSR_SEMANTICS_WEAK,
  TSR_SEMANTICS_VOLATILE,
  TSR_SEMANTICS_MMIO,
  TSR_SEMANTICS_SCOPED,  // relaxed, acquire, release
} tsr_semantics;

typedef struct tsr_memory_modifiers {
  tsr_ptx_space space;  // NONE: generic
  tsr_semantics semantics;
  uint32_t order;       // TSR_ORDER_* (op->aux[2])
  bool cache_operator;  // .ca, .cg, ...
  bool evict;           // .L1::evict_* or .L2::evict_*
  bool wide_evict;      // .L2::evict_*
  bool cache_hint;      // a cache-policy operand follows
  bool prefetch;        // .L2::64B ...
} tsr_memory_modifiers;

static inline bool tsr_is_ordered(tsr_semantics semantics) {
  return semantics >= TSR_SEMANTICS_VOLATILE;
}
// Takes one of the names in |known| (NULL-terminated) and, where it is
// ".relaxed" and the like, its scope.
bool tsr_take_semantics(tsr_decoder *d, const char *const *known,
                        tsr_memory_modifiers *mods);
// Takes one of the scopes; without one an error. |order| gets DEVICE.
bool tsr_take_scope(tsr_decoder *d, uint32_t *order);
// What ".acquire", ".release", ".acq_rel", ".sc" add to TSR_ORDER_STRONG.
uint32_t tsr_order_of(const char *semantics);
// Takes the state space if it is one of |known| (NULL-terminated names).
tsr_ptx_space tsr_take_space(tsr_decoder *d, const char *const *known);
// Takes evict_* and .L2::cache_hint.
void tsr_take_cache_hints(tsr_decoder *d, tsr_memory_modifiers *mods);
// Which modifiers do not go together; |bits|: of the whole vector, |vector|:
// there is one.
bool tsr_check_modifiers(tsr_decoder *d, const tsr_memory_modifiers *mods,
                         uint32_t bits, bool vector);
// The cache-policy operand at |index|, which must be the last one, when |hint|;
// else there is none. Checks the number of operands.
bool tsr_take_policy(tsr_decoder *d, bool hint, uint32_t index,
                     tsr_ref *out_ref);
// Lane |lane|'s element, |size| bytes; atomically when |ordered|.
uint64_t tsr_element_load(const unsigned char *host, uint32_t size,
                          bool ordered);
void tsr_element_store(unsigned char *host, uint32_t size, bool ordered,
                       uint64_t value);

#endif  // OPS_MEMORY_MODIFIERS_H_

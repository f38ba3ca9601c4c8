// SPDX-License-Identifier: Apache-2.0
#include "ops/memory_modifiers.h"

#include "memory/access.h"

// Clusters have one block here: their scope is no wider than a block's.
bool tsr_take_scope(tsr_decoder *d, uint32_t *order) {
  static const char *const scopes[] = {"cta", "cluster", "gpu", "sys", NULL};
  int scope = tsr_mod_need(d, scopes, "a scope");
  if (scope < 0) return false;
  if (scope >= 2) *order |= TSR_ORDER_DEVICE;
  return scope != 1 || tsr_decode_require(d, 78, 90, 0);
}

uint32_t tsr_order_of(const char *semantics) {
  if (strcmp(semantics, "acquire") == 0) return TSR_ORDER_ACQUIRE;
  if (strcmp(semantics, "release") == 0) return TSR_ORDER_RELEASE;
  if (strcmp(semantics, "acq_rel") == 0 || strcmp(semantics, "sc") == 0) {
    return TSR_ORDER_ACQUIRE | TSR_ORDER_RELEASE;
  }
  return 0;
}

bool tsr_take_semantics(tsr_decoder *d, const char *const *known,
                        tsr_memory_modifiers *mods) {
  int found = tsr_mod_one_of(d, known);
  tsr_semantics *out_semantics = &mods->semantics;
  *out_semantics = TSR_SEMANTICS_NONE;
  mods->order = 0;
  if (found < 0) return true;
  const char *name = known[found];
  *out_semantics = strcmp(name, "weak") == 0       ? TSR_SEMANTICS_WEAK
                   : strcmp(name, "volatile") == 0 ? TSR_SEMANTICS_VOLATILE
                   : strcmp(name, "mmio") == 0     ? TSR_SEMANTICS_MMIO
                                                   : TSR_SEMANTICS_SCOPED;
  if (*out_semantics == TSR_SEMANTICS_SCOPED) {
    mods->order = TSR_ORDER_STRONG | tsr_order_of(name);
    return tsr_take_scope(d, &mods->order);
  }
  // Volatile is as relaxed.sys (ISA, 8.4.2).
  if (tsr_is_ordered(*out_semantics)) {
    mods->order = TSR_ORDER_STRONG | TSR_ORDER_DEVICE;
  }
  if (*out_semantics != TSR_SEMANTICS_MMIO) return true;
  if (!tsr_mod(d, "relaxed") || !tsr_mod(d, "sys")) {
    return tsr_decode_error(d, "'.mmio' needs '.relaxed.sys'");
  }
  return tsr_decode_require(d, 82, 70, 0);
}

tsr_ptx_space tsr_take_space(tsr_decoder *d, const char *const *known) {
  static const struct {
    const char *prefix;
    tsr_ptx_space space;
  } spaces[] = {
      {"global", TSR_PTX_SPACE_GLOBAL}, {"shared", TSR_PTX_SPACE_SHARED},
      {"local", TSR_PTX_SPACE_LOCAL},   {"const", TSR_PTX_SPACE_CONST},
      {"param", TSR_PTX_SPACE_PARAM},
  };
  int found = tsr_mod_one_of(d, known);
  if (found < 0) return TSR_PTX_SPACE_NONE;
  for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); ++i) {
    size_t size = strlen(spaces[i].prefix);
    if (strncmp(known[found], spaces[i].prefix, size) == 0) {
      return spaces[i].space;
    }
  }
  return TSR_PTX_SPACE_NONE;
}

void tsr_take_cache_hints(tsr_decoder *d, tsr_memory_modifiers *mods) {
  static const char *const level1[] = {
      "L1::evict_normal", "L1::evict_unchanged", "L1::evict_first",
      "L1::evict_last",   "L1::no_allocate",     NULL};
  static const char *const level2[] = {"L2::evict_normal", "L2::evict_first",
                                       "L2::evict_last", NULL};
  mods->evict = tsr_mod_one_of(d, level1) >= 0;
  mods->wide_evict = tsr_mod_one_of(d, level2) >= 0;
  mods->evict = mods->evict || mods->wide_evict;
  mods->cache_hint = tsr_mod(d, "L2::cache_hint");
}

// Volatile and synchronising accesses are to memory that others can see.
static bool check_semantics(tsr_decoder *d, const tsr_memory_modifiers *mods,
                            bool vector) {
  if (!tsr_is_ordered(mods->semantics)) return true;
  if (mods->space != TSR_PTX_SPACE_NONE &&
      mods->space != TSR_PTX_SPACE_GLOBAL &&
      mods->space != TSR_PTX_SPACE_SHARED) {
    return tsr_decode_error(
        d, "memory semantics need global, shared or generic memory");
  }
  if (mods->semantics == TSR_SEMANTICS_MMIO &&
      (mods->space == TSR_PTX_SPACE_SHARED || vector)) {
    return tsr_decode_error(d, "'.mmio' needs a scalar of global memory");
  }
  if (mods->cache_operator) {
    return tsr_decode_error(d,
                            "cache operators need an access without semantics");
  }
  return true;
}

bool tsr_check_modifiers(tsr_decoder *d, const tsr_memory_modifiers *mods,
                         uint32_t bits, bool vector) {
  bool hints = mods->evict || mods->cache_hint;
  if (!check_semantics(d, mods, vector)) return false;
  if ((hints || mods->prefetch) && mods->space != TSR_PTX_SPACE_NONE &&
      mods->space != TSR_PTX_SPACE_GLOBAL) {
    return tsr_decode_error(d, "cache hints need global memory");
  }
  if (hints && mods->semantics == TSR_SEMANTICS_VOLATILE) {
    return tsr_decode_error(d, "a volatile access takes no cache hints");
  }
  if (mods->cache_operator && mods->evict) {
    return tsr_decode_error(d,
                            "a cache operator and an eviction priority exclude "
                            "each other");
  }
  if (mods->wide_evict && bits != 256) {
    return tsr_decode_error(d, "'.L2::evict_*' needs 256 bits at once");
  }
  return true;
}

bool tsr_take_policy(tsr_decoder *d, bool hint, uint32_t index,
                     tsr_ref *out_ref) {
  *out_ref = TSR_REF_NONE;
  uint32_t count = index + (hint ? 1 : 0);
  if (!tsr_need_operands(d, count, count)) return false;
  if (!hint) return true;
  if (!tsr_decode_require(d, 74, 80, 0)) return false;
  return tsr_source(d, tsr_operand(d, index), TSR_PTX_B64, out_ref);
}

uint64_t tsr_element_load(const unsigned char *host, uint32_t size,
                          bool ordered) {
  const void *at = host;
  if (ordered) {
    switch (size) {
      case 1:
        return __atomic_load_n((const uint8_t *)at, __ATOMIC_ACQUIRE);
      case 2:
        return __atomic_load_n((const uint16_t *)at, __ATOMIC_ACQUIRE);
      case 4:
        return __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
      default:
        return __atomic_load_n((const uint64_t *)at, __ATOMIC_ACQUIRE);
    }
  }
  uint64_t value = 0;
  memcpy(&value, at, size);
  return value;
}

void tsr_element_store(unsigned char *host, uint32_t size, bool ordered,
                       uint64_t value) {
  void *at = host;
  if (!ordered) {
    memcpy(at, &value, size);
    return;
  }
  switch (size) {
    case 1:
      __atomic_store_n((uint8_t *)at, (uint8_t)value, __ATOMIC_RELEASE);
      break;
    case 2:
      __atomic_store_n((uint16_t *)at, (uint16_t)value, __ATOMIC_RELEASE);
      break;
    case 4:
      __atomic_store_n((uint32_t *)at, (uint32_t)value, __ATOMIC_RELEASE);
      break;
    default:
      __atomic_store_n((uint64_t *)at, value, __ATOMIC_RELEASE);
      break;
  }
}

// SPDX-License-Identifier: Apache-2.0
// A table of names by scope, open addressing. Kernels have tens of thousands
// of names, so nothing here may be slower than a hash look-up.
#include "base/memory.h"
#include "decode/internal.h"

void tsr_symbols_fini(tsr_symbols *symbols) {
  tsr_free(symbols->entries);
  tsr_free(symbols->slots);
  memset(symbols, 0, sizeof(*symbols));
}

uint64_t tsr_hash_bytes(const char *data, uint32_t size, uint64_t seed) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (seed * 0x9e3779b97f4a7c15);
  for (uint32_t i = 0; i < size; ++i) {
    hash = (hash ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
  }
  return hash ^ hash >> 29;
}

static bool equal(const tsr_symbol *symbol, uint32_t scope, tsr_ptx_str name) {
  return symbol->scope == scope && symbol->name.size == name.size &&
         memcmp(symbol->name.data, name.data, name.size) == 0;
}

// The slot of the name, or the free one where it would go.
static uint32_t slot_of(const tsr_symbols *symbols, uint32_t scope,
                        tsr_ptx_str name) {
  uint32_t mask = symbols->slot_count - 1;
  uint32_t slot = (uint32_t)tsr_hash_bytes(name.data, name.size, scope) & mask;
  while (symbols->slots[slot] != 0 &&
         !equal(&symbols->entries[symbols->slots[slot] - 1], scope, name)) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

tsr_symbol *tsr_symbols_find(const tsr_symbols *symbols, uint32_t scope,
                             tsr_ptx_str name) {
  if (symbols->slot_count == 0) return NULL;
  uint32_t entry = symbols->slots[slot_of(symbols, scope, name)];
  return entry == 0 ? NULL : &symbols->entries[entry - 1];
}

static bool grow(tsr_symbols *symbols) {
  uint32_t capacity = symbols->capacity == 0 ? 32 : symbols->capacity * 2;
  if (capacity > UINT32_C(1) << 28) return false;
  tsr_symbol *entries =
      tsr_realloc(symbols->entries, (size_t)capacity * sizeof(*entries));
  if (entries == NULL) return false;
  symbols->entries = entries;
  uint32_t *slots = tsr_calloc((size_t)capacity * 2, sizeof(*slots));
  if (slots == NULL) return false;
  tsr_free(symbols->slots);
  symbols->slots = slots;
  symbols->slot_count = capacity * 2;
  symbols->capacity = capacity;
  for (uint32_t i = 0; i < symbols->count; ++i) {
    const tsr_symbol *symbol = &symbols->entries[i];
    slots[slot_of(symbols, symbol->scope, symbol->name)] = i + 1;
  }
  return true;
}

tsr_symbol *tsr_symbols_add(tsr_symbols *symbols, uint32_t scope,
                            tsr_ptx_str name) {
  if (symbols->count == symbols->capacity && !grow(symbols)) return NULL;
  tsr_symbol *symbol = &symbols->entries[symbols->count++];
  memset(symbol, 0, sizeof(*symbol));
  symbol->name = name;
  symbol->scope = scope;
  symbols->slots[slot_of(symbols, scope, name)] = symbols->count;
  return symbol;
}

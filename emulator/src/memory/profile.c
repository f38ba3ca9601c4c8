// SPDX-License-Identifier: Apache-2.0
// Counts what a warp instruction asks of memory, without caches: the 32-byte
// sectors of global memory (CUDA C++ Best Practices Guide, "Coalesced Access to
// Global Memory") and the passes through the 32 banks of shared memory (CUDA C
// Programming Guide, "Shared Memory", compute capability 5.x and later). Each
// has a quick way for what well-written kernels do.
#include <stdio.h>
#include <string.h>

#include "memory/access.h"

enum { SECTOR = 32, BANKS = 32, BANK_BYTES = 4 };

static uint32_t width_index(uint32_t size) {
  uint32_t index = 0;
  while (index < 4 && (1u << index) < size) ++index;
  return index;  // wider than 16 bytes: counted with 16
}

static void count_instruction(tessera_emu_traffic *traffic, uint32_t size,
                              uint32_t lanes) {
  traffic->instructions += 1;
  traffic->bytes += (uint64_t)size * lanes;
  traffic->width[width_index(size)] += 1;
}

// Puts the addresses of the lanes that take part side by side; returns their
// number. Sorted, when |out_sorted| says so.
static uint32_t compact(const tsr_access *access, uint64_t out[TSR_LANES],
                        bool *out_sorted) {
  uint32_t count = 0;
  bool sorted = true;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((access->mask >> i & 1u) == 0) continue;
    sorted = sorted && (count == 0 || out[count - 1] <= access->address[i]);
    out[count++] = access->address[i];
  }
  *out_sorted = sorted;
  return count;
}

static void sort(uint64_t *values, uint32_t count) {
  for (uint32_t i = 1; i < count; ++i) {
    uint64_t value = values[i];
    uint32_t at = i;
    for (; at > 0 && values[at - 1] > value; --at) values[at] = values[at - 1];
    values[at] = value;
  }
}

// Lanes side by side, or all in one place: |size| bytes at |start|.
static void count_run(tessera_emu_traffic *traffic, uint64_t start,
                      uint64_t size) {
  traffic->transactions += (start + size - 1) / SECTOR - start / SECTOR + 1;
  traffic->ideal += (size + SECTOR - 1) / SECTOR;
}

void tsr_count_global(tessera_emu_traffic *traffic, const tsr_access *access) {
  if (access->shape != TSR_SHAPE_ANY) {
    bool dense = access->shape == TSR_SHAPE_DENSE;
    uint32_t first = (uint32_t)__builtin_ctz(access->mask);
    count_instruction(traffic, access->size,
                      (uint32_t)__builtin_popcount(access->mask));
    count_run(traffic, access->address[first],
              (uint64_t)access->size * (dense ? TSR_LANES : 1));
    return;
  }
  uint64_t lanes[TSR_LANES];
  bool sorted = true;
  uint32_t count = compact(access, lanes, &sorted);
  if (count == 0) return;
  count_instruction(traffic, access->size, count);
  if (!sorted) sort(lanes, count);
  uint64_t sectors = 0;
  uint64_t distinct = 0;     // bytes
  uint64_t next_byte = 0;    // behind those counted
  uint64_t next_sector = 0;  // likewise
  for (uint32_t i = 0; i < count; ++i) {
    uint64_t end = lanes[i] + access->size;
    uint64_t last = (end - 1) / SECTOR;
    uint64_t first = lanes[i] / SECTOR;
    uint64_t start = lanes[i] > next_byte ? lanes[i] : next_byte;
    if (first < next_sector) first = next_sector;
    if (last >= first) sectors += last - first + 1;
    if (end > start) distinct += end - start;
    if (end > next_byte) next_byte = end;
    if (last >= next_sector) next_sector = last + 1;
  }
  traffic->transactions += sectors;
  traffic->ideal += (distinct + SECTOR - 1) / SECTOR;
}

// Blocks may run side by side.
static void count_read(uint8_t *counter) {
  uint8_t now = __atomic_load_n(counter, __ATOMIC_RELAXED);
  while (now != UINT8_MAX &&
         !__atomic_compare_exchange_n(counter, &now, (uint8_t)(now + 1), true,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

void tsr_count_watched(const tessera_emu_config *config,
                       const tsr_access *access) {
  if (access->size < config->watch_width) return;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((access->mask >> i & 1u) == 0) continue;
    for (uint32_t byte = 0; byte < access->size; ++byte) {
      uint64_t at = access->address[i] + byte - config->watch_address;
      if (at < config->watch_size) count_read(&config->watch_reads[at]);
    }
  }
}

// Passes for one group of words: the most distinct words in any bank.
static uint32_t wavefronts(const uint64_t *words, uint32_t count) {
  uint32_t banks = 0;
  for (uint32_t i = 0; i < count; ++i) banks |= 1u << (words[i] % BANKS);
  if ((uint32_t)__builtin_popcount(banks) == count) return 1;
  uint8_t head[BANKS];  // last word of the bank, plus one
  uint8_t depth[BANKS];
  uint8_t next[TSR_LANES * 8];
  uint32_t most = 0;
  memset(head, 0, sizeof(head));
  memset(depth, 0, sizeof(depth));
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t bank = (uint32_t)(words[i] % BANKS);
    uint32_t at = head[bank];
    while (at != 0 && words[at - 1] != words[i]) at = next[at - 1];
    if (at != 0) continue;  // a broadcast
    next[i] = head[bank];
    head[bank] = (uint8_t)(i + 1);
    if (++depth[bank] > most) most = depth[bank];
  }
  return most;
}

void tsr_count_shared(tessera_emu_traffic *traffic, const tsr_access *access) {
  if (access->mask == 0) return;
  uint32_t lanes = (uint32_t)__builtin_popcount(access->mask);
  count_instruction(traffic, access->size, lanes);
  uint32_t words_each = (access->size + BANK_BYTES - 1) / BANK_BYTES;
  uint32_t group = TSR_LANES / words_each;
  if (access->shape == TSR_SHAPE_DENSE) {  // no bank twice in a group
    traffic->transactions += words_each;
    traffic->ideal += words_each;
    return;
  }
  for (uint32_t first = 0; first < TSR_LANES; first += group) {
    uint64_t words[TSR_LANES];
    uint32_t count = 0;
    for (uint32_t i = first; i < first + group; ++i) {
      if ((access->mask >> i & 1u) == 0) continue;
      for (uint32_t w = 0; w < words_each; ++w) {
        words[count++] = access->address[i] / BANK_BYTES + w;
      }
    }
    if (count == 0) continue;
    traffic->transactions += wavefronts(words, count);
    traffic->ideal += 1;
  }
}

void tsr_count_local(tessera_emu_traffic *traffic, const tsr_access *access) {
  uint64_t lanes[TSR_LANES];
  bool sorted = true;
  uint32_t count = compact(access, lanes, &sorted);
  if (count == 0) return;
  count_instruction(traffic, access->size, count);
  if (!sorted) sort(lanes, count);
  for (uint32_t i = 0; i < count;) {
    uint32_t first = i;
    while (i < count && lanes[i] == lanes[first]) ++i;
    traffic->transactions += (access->size * (i - first) + SECTOR - 1) / SECTOR;
  }
  traffic->ideal += (access->size * count + SECTOR - 1) / SECTOR;
}

// --- Sums -------------------------------------------------------------------

static void add_traffic(tessera_emu_traffic *sum,
                        const tessera_emu_traffic *part) {
  sum->instructions += part->instructions;
  sum->bytes += part->bytes;
  for (uint32_t i = 0; i < 5; ++i) sum->width[i] += part->width[i];
  sum->transactions += part->transactions;
  sum->ideal += part->ideal;
}

static void add_matrix(tessera_emu_profile *profile, const char *name,
                       uint64_t count) {
  enum { ROOM = sizeof(profile->matrix) / sizeof(profile->matrix[0]) };
  uint32_t i = 0;
  while (i < profile->matrix_count &&
         strcmp(profile->matrix[i].name, name) != 0) {
    ++i;
  }
  if (i == profile->matrix_count && i < ROOM) {
    // The last place sums up all shapes that have none of their own.
    (void)snprintf(profile->matrix[i].name, sizeof(profile->matrix[i].name),
                   "%s", i == ROOM - 1 ? "other" : name);
    profile->matrix[i].count = 0;
    profile->matrix_count = i + 1;
  }
  profile->matrix[i < ROOM ? i : ROOM - 1].count += count;
}

void tsr_count_matrix(tessera_emu_profile *profile, const char *name) {
  add_matrix(profile, name, 1);
}

void tsr_profile_merge(tessera_emu_profile *sum,
                       const tessera_emu_profile *part) {
  sum->blocks += part->blocks;
  sum->warp_instructions += part->warp_instructions;
  sum->thread_instructions += part->thread_instructions;
  for (uint32_t i = 0; i < TESSERA_EMU_CLASS_COUNT; ++i) {
    sum->by_class[i] += part->by_class[i];
  }
  add_traffic(&sum->global_load, &part->global_load);
  add_traffic(&sum->global_store, &part->global_store);
  add_traffic(&sum->global_atomic, &part->global_atomic);
  add_traffic(&sum->shared_load, &part->shared_load);
  add_traffic(&sum->shared_store, &part->shared_store);
  add_traffic(&sum->shared_atomic, &part->shared_atomic);
  add_traffic(&sum->local_load, &part->local_load);
  add_traffic(&sum->local_store, &part->local_store);
  add_traffic(&sum->copy, &part->copy);
  add_traffic(&sum->copy_shared, &part->copy_shared);
  add_traffic(&sum->bulk_load, &part->bulk_load);
  add_traffic(&sum->bulk_store, &part->bulk_store);
  sum->barrier_waits += part->barrier_waits;
  sum->mbarrier_waits += part->mbarrier_waits;
  for (uint32_t i = 0; i < part->matrix_count; ++i) {
    add_matrix(sum, part->matrix[i].name, part->matrix[i].count);
  }
}

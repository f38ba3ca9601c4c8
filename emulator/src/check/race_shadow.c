// SPDX-License-Identifier: Apache-2.0
// What the global race detector remembers of memory: 32 bytes for each word of
// the pages that the launch has written to, found through a hash table of
// regions. Most accesses are reads of memory that nobody writes: they end at
// the bounds, or at one look into that table.
#include "base/memory.h"
#include "check/race_global_state.h"

// Eight times the memory that a launch writes; 256 MiB of that.
#define SHADOW_MAX (UINT64_C(1) << 31)

void tsr_shadow_reset(tsr_race_global *g) {
  while (g->regions != NULL) {
    tsr_shadow_region *region = g->regions;
    g->regions = region->next;
    for (uint32_t i = 0; i < TSR_SHADOW_PAGES; ++i) {
      tsr_shadow_page *page = region->pages[i];
      if (page == NULL) continue;
      page->u.next = g->free_pages;
      g->free_pages = page;
    }
    region->next = g->free_regions;
    g->free_regions = region;
  }
  if (g->table != NULL && g->region_count > 0) {
    memset(g->table, 0, sizeof(*g->table) << g->table_bits);
  }
  g->region_count = 0;
  g->last = NULL;
  g->low = UINT64_MAX;
  g->high = 0;
  g->part_count = g->part_free = 0;
  g->reader_count = g->reader_free = 0;
}

void tsr_shadow_destroy(tsr_race_global *g) {
  tsr_shadow_reset(g);
  while (g->free_regions != NULL) {
    tsr_shadow_region *region = g->free_regions;
    g->free_regions = region->next;
    tsr_free(region);
  }
  while (g->free_pages != NULL) {
    tsr_shadow_page *page = g->free_pages;
    g->free_pages = page->u.next;
    tsr_free(page);
  }
  tsr_free(g->table);
  tsr_free(g->parts);
  tsr_free(g->readers);
}

// --- Pages ------------------------------------------------------------------

static uint32_t slot_of(const tsr_race_global *g, uint64_t number) {
  return (uint32_t)(number * UINT64_C(0x9e3779b97f4a7c15) >>
                    (64 - g->table_bits));
}

static tsr_shadow_region *find_region(tsr_race_global *g, uint64_t number) {
  if (g->last != NULL && g->last->number == number) return g->last;
  if (g->table == NULL) return NULL;
  uint32_t mask = (1u << g->table_bits) - 1;
  for (uint32_t at = slot_of(g, number);; at = (at + 1) & mask) {
    tsr_shadow_region *region = g->table[at];
    if (region == NULL) return NULL;
    if (region->number == number) return g->last = region;
  }
}

static void insert(tsr_race_global *g, tsr_shadow_region *region) {
  uint32_t mask = (1u << g->table_bits) - 1;
  uint32_t at = slot_of(g, region->number);
  while (g->table[at] != NULL) at = (at + 1) & mask;
  g->table[at] = region;
}

// At most half of the table is used.
static bool grow_table(tsr_race_global *g) {
  if (g->table != NULL && g->region_count < 1u << (g->table_bits - 1)) {
    return true;
  }
  uint32_t bits = g->table == NULL ? 6 : g->table_bits + 1;
  tsr_shadow_region **table = tsr_calloc((size_t)1 << bits, sizeof(*table));
  if (table == NULL) return false;
  tsr_free(g->table);
  g->table = table;
  g->table_bits = bits;
  for (tsr_shadow_region *r = g->regions; r != NULL; r = r->next) insert(g, r);
  return true;
}

static void *grow_by(tsr_race_global *g, size_t size) {
  if (g->shadow_bytes + size > SHADOW_MAX) return NULL;
  void *made = tsr_malloc(size);
  if (made != NULL) g->shadow_bytes += size;
  return made;
}

static tsr_shadow_region *make_region(tsr_race_global *g, uint64_t number) {
  if (!grow_table(g)) return NULL;
  tsr_shadow_region *region = g->free_regions;
  if (region != NULL) {
    g->free_regions = region->next;
  } else if ((region = grow_by(g, sizeof(*region))) == NULL) {
    return NULL;
  }
  memset(region, 0, sizeof(*region));
  region->number = number;
  region->next = g->regions;
  g->regions = region;
  ++g->region_count;
  insert(g, region);
  return g->last = region;
}

static tsr_shadow_page *make_page(tsr_race_global *g) {
  tsr_shadow_page *page = g->free_pages;
  if (page != NULL) {
    g->free_pages = page->u.next;
  } else if ((page = grow_by(g, sizeof(*page))) == NULL) {
    return NULL;
  }
  memset(page, 0, sizeof(*page));
  return page;
}

tsr_shadow_page *tsr_shadow_page_of(tsr_race_global *g, uint64_t address,
                                    bool make) {
  uint64_t number = address / TSR_SHADOW_REGION;
  tsr_shadow_region *region = find_region(g, number);
  if (region == NULL && make) region = make_region(g, number);
  if (region == NULL) return NULL;
  tsr_shadow_page **page =
      &region->pages[address % TSR_SHADOW_REGION / TSR_SHADOW_PAGE];
  if (*page == NULL && make) {
    *page = make_page(g);
    uint64_t start = address & ~(uint64_t)(TSR_SHADOW_PAGE - 1);
    if (g->low > start) g->low = start;
    if (g->high < start + TSR_SHADOW_PAGE) g->high = start + TSR_SHADOW_PAGE;
  }
  return *page;
}

// Lanes that lie far apart are looked at one by one.
enum { QUICK_PAGES = 16 };

bool tsr_shadow_untouched(tsr_race_global *g, uint64_t low, uint64_t end) {
  if (low >= g->high || end <= g->low) return true;
  uint64_t first = low / TSR_SHADOW_PAGE;
  uint64_t last = (end - 1) / TSR_SHADOW_PAGE;
  uint64_t region = low / TSR_SHADOW_REGION;
  bool one = region == (end - 1) / TSR_SHADOW_REGION;
  if (one && find_region(g, region) == NULL) return true;
  if (last - first >= QUICK_PAGES) return false;
  for (uint64_t page = first; page <= last; ++page) {
    if (tsr_shadow_page_of(g, page * TSR_SHADOW_PAGE, false) != NULL) {
      return false;
    }
  }
  return true;
}

// --- Pools: index 0 is not used ---------------------------------------------

uint32_t tsr_shadow_take_readers(tsr_race_global *g) {
  uint32_t index = g->reader_free;
  if (index != 0) {
    g->reader_free = g->readers[index].next;
  } else {
    if (g->reader_count + 1 >= g->reader_capacity) {
      uint32_t capacity = g->reader_capacity * 2 + 64;
      size_t size = capacity * sizeof(*g->readers);
      tsr_shadow_readers *grown = g->shadow_bytes + size > SHADOW_MAX
                                      ? NULL
                                      : tsr_realloc(g->readers, size);
      if (grown == NULL) return 0;
      g->shadow_bytes += (capacity - g->reader_capacity) * sizeof(*g->readers);
      g->readers = grown;
      g->reader_capacity = capacity;
    }
    index = ++g->reader_count;
  }
  g->readers[index].count = g->readers[index].next = 0;
  return index;
}

void tsr_shadow_forget_reads(tsr_race_global *g, tsr_shadow_cell *cell) {
  if (cell->read.block != 0 && (cell->read_by & TSR_SHADOW_MANY) != 0) {
    g->readers[cell->read.clock].next = g->reader_free;
    g->reader_free = cell->read.clock;
  }
  cell->read.block = 0;
}

static uint32_t take_parts(tsr_race_global *g) {
  uint32_t index = g->part_free;
  if (index != 0) {
    g->part_free = g->parts[(size_t)index * 4].parts;
    return index;
  }
  if (g->part_count + 1 >= g->part_capacity) {
    uint32_t capacity = g->part_capacity * 2 + 64;
    size_t size = (size_t)capacity * 4 * sizeof(*g->parts);
    tsr_shadow_cell *grown = g->shadow_bytes + size > SHADOW_MAX
                                 ? NULL
                                 : tsr_realloc(g->parts, size);
    if (grown == NULL) return 0;
    g->shadow_bytes +=
        (size_t)(capacity - g->part_capacity) * 4 * sizeof(*g->parts);
    g->parts = grown;
    g->part_capacity = capacity;
  }
  return ++g->part_count;
}

bool tsr_shadow_split(tsr_race_global *g, tsr_shadow_cell *word) {
  uint32_t index = take_parts(g);
  if (index == 0) return false;
  bool many = word->read.block != 0 && (word->read_by & TSR_SHADOW_MANY) != 0;
  for (uint32_t i = 0; i < 4; ++i) {
    tsr_shadow_cell *part = &g->parts[(size_t)index * 4 + i];
    *part = *word;
    if (!many || i == 0) continue;
    uint32_t readers = tsr_shadow_take_readers(g);
    if (readers == 0) return false;
    g->readers[readers] = g->readers[word->read.clock];
    part->read.clock = readers;
  }
  word->parts = index;
  return true;
}

void tsr_shadow_unite(tsr_race_global *g, tsr_shadow_cell *word) {
  uint32_t index = word->parts;
  tsr_shadow_cell *parts = &g->parts[(size_t)index * 4];
  uint16_t sync = word->write_by & TSR_SHADOW_SYNC;
  *word = parts[0];
  word->write_by |= sync;
  for (uint32_t i = 1; i < 4; ++i) tsr_shadow_forget_reads(g, &parts[i]);
  word->parts = 0;
  parts[0].parts = g->part_free;
  g->part_free = index;
}

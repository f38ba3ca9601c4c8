// SPDX-License-Identifier: Apache-2.0
// What the files of the global race detector share: race_global.c (rules),
// race_shadow.c (what is remembered of each word of memory), race_known.c (what
// blocks know of each other, and through which words).
#ifndef CHECK_RACE_GLOBAL_STATE_H_
#define CHECK_RACE_GLOBAL_STATE_H_

#include "check/race_global.h"
#include "check/race_state.h"

enum {
  TSR_SHADOW_PAGE = 512,  // bytes of memory: a warp's 16-byte accesses
  TSR_SHADOW_REGION = 1 << 16,
  TSR_SHADOW_CELLS = TSR_SHADOW_PAGE / 4,
  TSR_SHADOW_PAGES = TSR_SHADOW_REGION / TSR_SHADOW_PAGE,  // of a region
  TSR_SHADOW_READERS = 16,  // remembered of those that are not ordered
};

// Who and how, in 16 bits: a lane (6 bits; TSR_SHADOW_WARP: the whole warp), a
// warp (5), and flags.
enum {
  TSR_SHADOW_WARP = 0x3f,
  TSR_SHADOW_STRONG = 1 << 11,  // atomic, volatile, relaxed, ...
  TSR_SHADOW_NARROW = 1 << 12,  // strong for its own block only
  TSR_SHADOW_MANY = 1 << 13,    // reads: a list, whose index is the clock
  TSR_SHADOW_SYNC = 1 << 14,    // writes: the word may carry a release
};

// An access that is remembered.
typedef struct tsr_shadow_mark {
  uint32_t block;  // linear + 1; 0: nobody
  uint32_t clock, line;
} tsr_shadow_mark;

// A word of memory, or one byte of a word that was accessed in parts.
typedef struct tsr_shadow_cell {
  tsr_shadow_mark write, read;
  uint16_t write_by, read_by;
  uint32_t parts;  // index of four byte cells, 0: whole
} tsr_shadow_cell;

typedef struct tsr_shadow_page {
  union {
    tsr_shadow_cell cells[TSR_SHADOW_CELLS];
    struct tsr_shadow_page *next;  // of those not in use
  } u;
} tsr_shadow_page;

typedef struct tsr_shadow_region {
  uint64_t number;                 // address / TSR_SHADOW_REGION
  struct tsr_shadow_region *next;  // of all in use, or of all not in use
  tsr_shadow_page *pages[TSR_SHADOW_PAGES];
} tsr_shadow_region;

typedef struct tsr_shadow_readers {
  uint32_t count, next;  // |next|: whom to forget; of those not in use
  tsr_shadow_mark marks[TSR_SHADOW_READERS];
  uint16_t by[TSR_SHADOW_READERS];
} tsr_shadow_readers;

// What somebody knows of blocks: rows sorted by block, each the block and its
// warps' clocks. Never changed once made; who needs another makes one, and
// those that nobody refers to any more are freed now and then.
struct tsr_race_known {
  struct tsr_race_known *next;
  uint32_t count;
  bool marked;
  uint32_t rows[];
};

// Two levels: within the block (every scope has it) and across blocks (.gpu,
// .sys).
enum { TSR_RACE_BLOCK, TSR_RACE_DEVICE, TSR_RACE_LEVELS };

// What a warp had seen at its last fence.
typedef struct tsr_race_told {
  bool any;
  uint32_t clocks[TSR_RACE_WARPS];  // of its own block
  const tsr_race_known *outside;
} tsr_race_told;

// What a warp gives to words and takes from them.
typedef struct tsr_race_peer {
  tsr_race_told told[TSR_RACE_LEVELS];
  const tsr_race_known *heard[TSR_RACE_LEVELS];  // read, not fenced yet
  const tsr_race_known *last;                    // acquired last
} tsr_race_peer;

// A word that something was released into: once for all blocks (|block| 0),
// and once for each block that it was released to by itself.
typedef struct tsr_race_word {
  uint64_t word;  // address / 4; 0: free
  uint32_t block;
  uint32_t stores;  // counts plain writes: they end what atomics passed on
  const tsr_race_known *known;
  uint32_t by_block, by_warp;  // the last strong writer
} tsr_race_word;

struct tsr_race_global {
  uint32_t warps;   // of a block
  tsr_race *races;  // that watch it
  bool gave_up, said_so;
  // race_shadow.c
  uint64_t low, high;  // all written memory lies between
  tsr_shadow_region **table;
  uint32_t table_bits;
  uint32_t region_count;
  tsr_shadow_region *last;  // looked up
  tsr_shadow_region *regions, *free_regions;
  tsr_shadow_page *free_pages;
  tsr_shadow_cell *parts;  // four per index
  uint32_t part_count, part_capacity, part_free;
  tsr_shadow_readers *readers;
  uint32_t reader_count, reader_capacity, reader_free;
  uint64_t shadow_bytes;
  // race_known.c
  tsr_race_known *known;  // all of them
  uint64_t known_bytes, known_limit;
  tsr_race_word *words;
  uint32_t word_count, word_capacity;  // a power of two
};

// Stops looking and says so, once.
void tsr_race_global_give_up(tsr_race *race);

// --- Memory's shadow (race_shadow.c)
// ----------------------------------------------------------

void tsr_shadow_reset(tsr_race_global *g);
void tsr_shadow_destroy(tsr_race_global *g);
// Whether nobody has written to [low, end) in this launch: quick, and false if
// it would take long to say.
bool tsr_shadow_untouched(tsr_race_global *g, uint64_t low, uint64_t end);
// The page of |address|; NULL if there is none, or, when |make|, no memory.
tsr_shadow_page *tsr_shadow_page_of(tsr_race_global *g, uint64_t address,
                                    bool make);
// Four cells in place of one; what was known of the word holds for each byte.
bool tsr_shadow_split(tsr_race_global *g, tsr_shadow_cell *word);
// A whole word was written: its bytes are one again.
void tsr_shadow_unite(tsr_race_global *g, tsr_shadow_cell *word);
// A new list of readers; 0 when out of memory.
uint32_t tsr_shadow_take_readers(tsr_race_global *g);
void tsr_shadow_forget_reads(tsr_race_global *g, tsr_shadow_cell *cell);

// --- Knowledge (race_known.c)
// ----------------------------------------------------------

void tsr_known_reset(tsr_race_global *g);
void tsr_known_destroy(tsr_race_global *g);
// |block|'s warps' clocks; NULL: nothing is known of it.
const uint32_t *tsr_known_row(const tsr_race_global *g,
                              const tsr_race_known *known, uint32_t block);
// What either knows, but for |skip| (0: nobody) of the second.
const tsr_race_known *tsr_known_join(tsr_race_global *g,
                                     const tsr_race_known *a,
                                     const tsr_race_known *b, uint32_t skip);
// Frees what nobody refers to, if there is enough to be worth it. Nothing but
// what |g| and its races have may be in use.
void tsr_known_collect(tsr_race_global *g);
// Warp |w| has seen |known|.
void tsr_known_acquire(tsr_race *race, uint32_t w, const tsr_race_known *known);
// A strong write of |w| to |word|, which carries on what the word has when it
// |adds| (a read-modify-write). |order|: TSR_ORDER_*. False: the word carries
// nothing.
bool tsr_known_give(tsr_race *race, uint32_t w, uint64_t word, bool adds,
                    uint32_t order, const tsr_race_told *told);
// A weak write: nothing is carried any more.
void tsr_known_cut(tsr_race_global *g, uint64_t word);
// A strong read.
void tsr_known_take(tsr_race *race, uint32_t w, uint64_t word, uint32_t order);
// What |w| has seen now.
void tsr_known_tell(const tsr_race *race, uint32_t w, tsr_race_told *out_told);
// The fence of |order|, for words of global memory.
void tsr_known_fence(tsr_race *race, uint32_t w, uint32_t order);
// A race's memory of other blocks.
static inline uint32_t tsr_race_block_id(const tsr_race *race) {
  return (uint32_t)race->block->linear + 1;
}

#endif  // CHECK_RACE_GLOBAL_STATE_H_

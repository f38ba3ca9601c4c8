// SPDX-License-Identifier: Apache-2.0
// Liveness by walking back from each use that its block does not define (the
// cost is the sum of the blocks in which registers are alive), one interval of
// operations per register, then linear scan, for each class of registers.
#include "decode/compaction.h"

#include "base/memory.h"

bool tsr_compaction_enabled = true;

// Beyond this many steps of the walk the remaining registers count as alive
// everywhere: a bound for text made to be slow.
enum { TSR_WALK_LIMIT = 40000000 };

typedef struct interval {
  uint32_t first, last;  // operations, inclusive; first > last: never used
  uint32_t defined;      // first definition
  uint32_t unit;
  bool own;  // never shared
} interval;

typedef struct block {
  uint32_t first, last;  // operations
  uint32_t preds, pred_count;
} block;

typedef struct touch {  // of a register in a block
  uint32_t reg;
  uint32_t next;  // of the same register, UINT32_MAX at the end
  uint32_t block;
  bool exposed;  // used before the block defines it
  bool killed;   // defined for all lanes
} touch;

typedef struct scan {
  const tsr_compaction *work;
  interval *intervals;
  block *blocks;
  uint32_t block_count;
  uint32_t *block_of;  // operation -> block
  uint32_t *pred_list;
  uint32_t *reach;  // see make_reach
  bool *loops;
  touch *touches;
  uint32_t touch_count, touch_capacity;
  uint32_t *touch_of;               // register -> newest touch
  uint32_t *kill_mark, *live_mark;  // block -> register + 1
  uint32_t *stack;
  uint64_t steps;
  bool failed;
} scan;

static uint32_t index_of(tsr_ref ref) {
  return ref / 8;
}

static bool is_register(tsr_ref ref) {
  return ref != TSR_REF_NONE && (ref & 1) == 0;
}

// --- Blocks

static bool make_blocks(scan *s) {
  const tsr_compaction *work = s->work;
  uint32_t count = work->count;
  s->block_of = tsr_calloc((size_t)count + 1, sizeof(*s->block_of));
  if (s->block_of == NULL) return false;
  s->block_of[0] = 1;
  for (uint32_t i = 0; i < work->jump_count; ++i) {
    s->block_of[work->jumps[i].to] = 1;
    s->block_of[work->jumps[i].from + 1] = 1;
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (work->ends[i] != 0) s->block_of[i + 1] = 1;
  }
  uint32_t blocks = 0;
  for (uint32_t i = 0; i < count; ++i) blocks += s->block_of[i];
  s->blocks = tsr_calloc((size_t)blocks + 1, sizeof(*s->blocks));
  if (s->blocks == NULL) return false;
  for (uint32_t i = 0; i < count; ++i) {
    if (s->block_of[i] != 0) s->blocks[s->block_count++].first = i;
    s->block_of[i] = s->block_count - 1;
    s->blocks[s->block_count - 1].last = i;
  }
  return true;
}

static void add_edge(scan *s, uint32_t from, uint32_t to, bool store) {
  block *target = &s->blocks[to];
  if (store) s->pred_list[target->preds + target->pred_count] = from;
  ++target->pred_count;
}

static void edges(scan *s, bool store) {
  const tsr_compaction *work = s->work;
  for (uint32_t i = 0; i < s->block_count; ++i) s->blocks[i].pred_count = 0;
  for (uint32_t i = 0; i < work->jump_count; ++i) {
    add_edge(s, s->block_of[work->jumps[i].from],
             s->block_of[work->jumps[i].to], store);
  }
  for (uint32_t i = 0; i + 1 < s->block_count; ++i) {
    if (work->ends[s->blocks[i].last] == 0) add_edge(s, i, i + 1, store);
  }
}

static bool make_edges(scan *s) {
  edges(s, false);
  uint32_t total = 0;
  for (uint32_t i = 0; i < s->block_count; ++i) {
    s->blocks[i].preds = total;
    total += s->blocks[i].pred_count;
  }
  s->pred_list = tsr_calloc((size_t)total + 1, sizeof(*s->pred_list));
  if (s->pred_list == NULL) return false;
  edges(s, true);
  return true;
}

// A value does not exist in front of its first definition but where control
// comes back from behind it: reach[b] is the smallest block that control may
// come to from b or any block behind b; loops[b]: it may come back to b's
// start.
static bool make_reach(scan *s) {
  s->reach = tsr_malloc(((size_t)s->block_count + 1) * sizeof(*s->reach));
  s->loops = tsr_calloc((size_t)s->block_count + 1, sizeof(*s->loops));
  if (s->reach == NULL || s->loops == NULL) return false;
  uint32_t *back = s->reach;
  for (uint32_t i = 0; i < s->block_count; ++i) back[i] = UINT32_MAX;
  for (uint32_t i = 0; i < s->work->jump_count; ++i) {
    uint32_t from = s->block_of[s->work->jumps[i].from];
    uint32_t to = s->block_of[s->work->jumps[i].to];
    if (to < back[from]) back[from] = to;
  }
  for (uint32_t i = s->block_count - 1; i-- > 0;) {
    if (back[i + 1] < back[i]) back[i] = back[i + 1];
  }
  for (uint32_t i = 0; i < s->block_count; ++i) {
    s->loops[i] = back[i] <= i;
    back[i] = back[i] < i ? back[back[i]] : i;
  }
  return true;
}

// --- Uses and definitions

static void widen(interval *one, uint32_t first, uint32_t last) {
  if (first < one->first) one->first = first;
  if (last > one->last || one->last == UINT32_MAX) one->last = last;
}

static touch *touch_in(scan *s, uint32_t reg, uint32_t in_block) {
  uint32_t newest = s->touch_of[reg];
  if (newest != UINT32_MAX && s->touches[newest].block == in_block) {
    return &s->touches[newest];
  }
  if (s->touch_count == s->touch_capacity) {
    uint32_t wanted = s->touch_capacity == 0 ? 1024 : s->touch_capacity * 2;
    touch *grown =
        tsr_realloc(s->touches, (size_t)wanted * sizeof(*s->touches));
    if (grown == NULL) {
      s->failed = true;
      return NULL;
    }
    s->touches = grown;
    s->touch_capacity = wanted;
  }
  s->touches[s->touch_count] =
      (touch){.reg = reg, .next = newest, .block = in_block};
  s->touch_of[reg] = s->touch_count;
  return &s->touches[s->touch_count++];
}

static void use(scan *s, tsr_ref ref, uint32_t at) {
  if (!is_register(ref)) return;
  uint32_t reg = index_of(ref);
  widen(&s->intervals[reg], at, at);
  touch *one = touch_in(s, reg, s->block_of[at]);
  if (one != NULL && !one->killed) one->exposed = true;
}

static void define(scan *s, tsr_ref ref, uint32_t at, bool kills) {
  if (!is_register(ref)) return;
  uint32_t reg = index_of(ref);
  interval *one = &s->intervals[reg];
  if (one->defined == UINT32_MAX) one->defined = at;
  widen(one, at, at);
  touch *found = touch_in(s, reg, s->block_of[at]);
  if (found != NULL && kills) found->killed = true;
}

static void own(scan *s, const tsr_ref *refs, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (is_register(refs[i])) s->intervals[index_of(refs[i])].own = true;
  }
}

static void collect(scan *s) {
  for (uint32_t i = 0; i < s->work->count && !s->failed; ++i) {
    const tsr_op *op = &s->work->code[i];
    use(s, op->guard, i);
    for (uint32_t k = 0; k < op->src_count; ++k) use(s, op->src[k], i);
    bool kills = op->guard == TSR_REF_NONE;
    for (uint32_t k = 0; k < op->dst_count; ++k) {
      define(s, op->dst[k], i, kills);
    }
    if ((op->flags & TSR_OP_DEFERRED) != 0) {
      own(s, op->dst, op->dst_count);
      own(s, op->src, op->src_count);
    }
  }
}

// --- The walk

static void walk_register(scan *s, uint32_t reg) {
  interval *one = &s->intervals[reg];
  uint32_t depth = 0, mark = reg + 1;
  // Where the register can hold anything at all.
  uint32_t floor =
      one->defined == UINT32_MAX ? 0 : s->reach[s->block_of[one->defined]];
  for (uint32_t t = s->touch_of[reg]; t != UINT32_MAX; t = s->touches[t].next) {
    if (s->touches[t].killed) s->kill_mark[s->touches[t].block] = mark;
    if (s->touches[t].exposed) {
      s->live_mark[s->touches[t].block] = mark;
      s->stack[depth++] = s->touches[t].block;
    }
  }
  while (depth > 0) {
    const block *at = &s->blocks[s->stack[--depth]];
    // Alive where it begins.
    widen(one, at->first, at->first);
    s->steps += 1 + at->pred_count;
    for (uint32_t i = 0; i < at->pred_count; ++i) {
      uint32_t pred = s->pred_list[at->preds + i];
      if (pred < floor) continue;
      widen(one, one->first, s->blocks[pred].last);
      if (s->kill_mark[pred] == mark || s->live_mark[pred] == mark) continue;
      s->live_mark[pred] = mark;
      s->stack[depth++] = pred;
    }
  }
  if (one->defined != UINT32_MAX) {
    uint32_t start = s->loops[s->block_of[one->defined]]
                         ? s->blocks[floor].first
                         : one->defined;
    if (one->first < start) one->first = start;
  }
}

static void walk(scan *s) {
  for (uint32_t reg = 0; reg < s->work->register_count; ++reg) {
    if (s->touch_of[reg] == UINT32_MAX) continue;
    if (s->steps > TSR_WALK_LIMIT) {
      s->intervals[reg].own = true;
    } else {
      walk_register(s, reg);
    }
  }
}

// --- Units

static const uint32_t class_sizes[TSR_CLASSES] = {1, 1, 2, 4};

// Slots of one class of registers; |link| makes a stack of the free ones.
typedef struct slots {
  uint32_t *link;
  uint32_t count, capacity;
  uint32_t top;  // UINT32_MAX: none is free
} slots;

static bool take(slots *s, uint32_t *out_slot) {
  if (s->top != UINT32_MAX) {
    *out_slot = s->top;
    s->top = s->link[s->top];
    return true;
  }
  if (s->count == s->capacity) {
    uint32_t wanted = s->capacity == 0 ? 64 : s->capacity * 2;
    uint32_t *grown = tsr_realloc(s->link, (size_t)wanted * sizeof(*grown));
    if (grown == NULL) return false;
    s->link = grown;
    s->capacity = wanted;
  }
  *out_slot = s->count++;
  return true;
}

static void give(slots *s, uint32_t slot) {
  s->link[slot] = s->top;
  s->top = slot;
}

// Registers by an operation, as lists.
static bool bucket(const scan *s, bool by_last, uint32_t **heads,
                   uint32_t **links) {
  *heads = tsr_malloc((size_t)(s->work->count + 1) * sizeof(**heads));
  *links = tsr_malloc((size_t)(s->work->register_count + 1) * sizeof(**links));
  if (*heads == NULL || *links == NULL) return false;
  memset(*heads, 0xff, (size_t)(s->work->count + 1) * sizeof(**heads));
  for (uint32_t reg = s->work->register_count; reg-- > 0;) {
    const interval *one = &s->intervals[reg];
    if (s->touch_of[reg] == UINT32_MAX || one->own) continue;
    uint32_t at = by_last ? one->last : one->first;
    (*links)[reg] = (*heads)[at];
    (*heads)[at] = reg;
  }
  return true;
}

// |slots| of each class, at every operation: what begins takes, what has ended
// gives back.
static bool scan_slots(scan *s, slots *classes, const uint32_t *starts,
                       const uint32_t *start_links, const uint32_t *stops,
                       const uint32_t *stop_links) {
  for (uint32_t i = 0; i < s->work->count; ++i) {
    for (uint32_t reg = starts[i]; reg != UINT32_MAX; reg = start_links[reg]) {
      slots *own_class = &classes[s->work->classes[reg]];
      if (!take(own_class, &s->intervals[reg].unit)) return false;
    }
    for (uint32_t reg = stops[i]; reg != UINT32_MAX; reg = stop_links[reg]) {
      give(&classes[s->work->classes[reg]], s->intervals[reg].unit);
    }
  }
  return true;
}

// Slots to units: a part of the file for each class, then what shares with
// nobody.
static void place(scan *s, const slots *classes, uint32_t *out_units) {
  uint32_t bases[TSR_CLASSES], total = 0;
  for (uint32_t c = 0; c < TSR_CLASSES; ++c) {
    bases[c] = total;
    total += classes[c].count * class_sizes[c];
  }
  for (uint32_t reg = 0; reg < s->work->register_count; ++reg) {
    interval *one = &s->intervals[reg];
    uint32_t c = s->work->classes[reg];
    if (s->touch_of[reg] == UINT32_MAX) continue;
    if (one->own) {
      one->unit = total;
      total += class_sizes[c];
    } else {
      one->unit = bases[c] + one->unit * class_sizes[c];
    }
  }
  *out_units = total;
}

static bool assign(scan *s, uint32_t *out_units) {
  slots classes[TSR_CLASSES];
  memset(classes, 0, sizeof(classes));
  for (uint32_t c = 0; c < TSR_CLASSES; ++c) classes[c].top = UINT32_MAX;
  uint32_t *starts = NULL, *start_links = NULL, *stops = NULL,
           *stop_links = NULL;
  bool good = bucket(s, false, &starts, &start_links) &&
              bucket(s, true, &stops, &stop_links) &&
              scan_slots(s, classes, starts, start_links, stops, stop_links);
  if (good) place(s, classes, out_units);
  for (uint32_t c = 0; c < TSR_CLASSES; ++c) tsr_free(classes[c].link);
  tsr_free(starts);
  tsr_free(start_links);
  tsr_free(stops);
  tsr_free(stop_links);
  return good;
}

// --- All of it

static void rename_refs(const scan *s, tsr_ref *refs, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (is_register(refs[i])) {
      refs[i] = s->intervals[index_of(refs[i])].unit * 2;
    }
  }
}

static void rename_all(const scan *s) {
  for (uint32_t i = 0; i < s->work->count; ++i) {
    tsr_op *op = &s->work->code[i];
    rename_refs(s, op->dst, op->dst_count);
    rename_refs(s, op->src, op->src_count);
    rename_refs(s, &op->guard, 1);
  }
}

static bool prepare(scan *s) {
  size_t registers = (size_t)s->work->register_count + 1;
  s->intervals = tsr_malloc(registers * sizeof(*s->intervals));
  s->touch_of = tsr_malloc(registers * sizeof(*s->touch_of));
  if (s->intervals == NULL || s->touch_of == NULL) return false;
  for (size_t i = 0; i < registers; ++i) {
    s->intervals[i] = (interval){.first = UINT32_MAX,
                                 .last = UINT32_MAX,
                                 .defined = UINT32_MAX,
                                 .own = !tsr_compaction_enabled};
    s->touch_of[i] = UINT32_MAX;
  }
  if (!make_blocks(s) || !make_edges(s) || !make_reach(s)) return false;
  size_t blocks = (size_t)s->block_count + 1;
  s->kill_mark = tsr_calloc(blocks, sizeof(*s->kill_mark));
  s->live_mark = tsr_calloc(blocks, sizeof(*s->live_mark));
  s->stack = tsr_calloc(blocks, sizeof(*s->stack));
  return s->kill_mark != NULL && s->live_mark != NULL && s->stack != NULL;
}

bool tsr_compact(const tsr_compaction *work, uint32_t *out_units) {
  scan s = {.work = work};
  *out_units = 0;
  bool good = work->count > 0 && prepare(&s);
  if (good) {
    collect(&s);
    if (tsr_compaction_enabled) walk(&s);
    good = !s.failed && assign(&s, out_units);
  }
  if (good) rename_all(&s);
  tsr_free(s.intervals);
  tsr_free(s.touch_of);
  tsr_free(s.blocks);
  tsr_free(s.block_of);
  tsr_free(s.pred_list);
  tsr_free(s.reach);
  tsr_free(s.loops);
  tsr_free(s.touches);
  tsr_free(s.kill_mark);
  tsr_free(s.live_mark);
  tsr_free(s.stack);
  return good;
}

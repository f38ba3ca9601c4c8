// SPDX-License-Identifier: Apache-2.0
// Registers share units without harm: random programs are executed twice at
// once, on registers of their own and on the units they were given, with lanes
// that go their own ways one operation at a time (more divergence than any
// schedule of the engine has). Every defined value read must be the same.
#include <stdlib.h>

#include "decode/compaction.h"
#include "harness.h"

enum { OPS = 60, REGISTERS = 40, REFS = 3 };

typedef enum op_kind { COMPUTE, JUMP, END } op_kind;

typedef struct program {
  tsr_op code[OPS];
  tsr_ref refs[OPS][2 * REFS];
  tsr_ref virtual_refs[OPS][2 * REFS];
  tsr_ref virtual_guard[OPS];
  op_kind kinds[OPS];
  uint8_t ends[OPS];
  tsr_jump jumps[OPS];
  uint32_t jump_of[OPS], jump_count;
  uint8_t classes[REGISTERS];
} program;

static const uint32_t class_units[TSR_CLASSES] = {1, 1, 2, 4};

static uint32_t draw(uint64_t *state, uint32_t below) {
  return (uint32_t)(random_next(state) >> 7) % below;
}

static tsr_ref draw_register(program *p, uint64_t *state, bool predicate) {
  for (;;) {
    uint32_t reg = draw(state, REGISTERS);
    if (predicate == (p->classes[reg] == TSR_CLASS_PREDICATE)) return reg * 8;
    if (!predicate && draw(state, 4) == 0) return reg * 8;
  }
}

static void make_compute(program *p, uint32_t i, uint64_t *state) {
  tsr_op *op = &p->code[i];
  op->dst_count = (uint16_t)draw(state, REFS + 1);
  op->src_count = (uint16_t)draw(state, REFS + 1);
  for (uint32_t k = 0; k < op->dst_count; ++k) {
    op->dst[k] = draw_register(p, state, false);
    for (uint32_t j = 0; j < k; ++j) {
      if (op->dst[j] == op->dst[k]) op->dst[k] = TSR_REF_NONE;
    }
  }
  for (uint32_t k = 0; k < op->src_count; ++k) {
    op->src[k] = draw_register(p, state, false);
  }
}

static void make(program *p, uint64_t *state) {
  memset(p, 0, sizeof(*p));
  for (uint32_t r = 0; r < REGISTERS; ++r) {
    p->classes[r] = (uint8_t)draw(state, TSR_CLASSES);
  }
  p->classes[0] = TSR_CLASS_PREDICATE;
  p->classes[1] = TSR_CLASS_32;
  for (uint32_t i = 0; i < OPS; ++i) {
    tsr_op *op = &p->code[i];
    op->dst = p->refs[i];
    op->src = p->refs[i] + REFS;
    op->guard = TSR_REF_NONE;
    uint32_t kind = draw(state, 40);
    p->kinds[i] = i == OPS - 1 || kind == 0 ? END : kind < 6 ? JUMP : COMPUTE;
    if (i < OPS - 1 && (p->kinds[i] != COMPUTE || draw(state, 3) == 0)) {
      op->guard = draw_register(p, state, true);
    }
    if (p->kinds[i] == JUMP) {
      // Short loops mostly: in them a value of one turn lives to the next.
      uint32_t back = draw(state, 12), far = draw(state, OPS);
      p->jump_of[i] = draw(state, 3) == 0 ? far : i > back ? i - back : 0;
      p->jumps[p->jump_count++] = (tsr_jump){i, p->jump_of[i]};
    }
    if (p->kinds[i] == COMPUTE) make_compute(p, i, state);
    p->ends[i] = p->kinds[i] != COMPUTE && op->guard == TSR_REF_NONE;
    memcpy(p->virtual_refs[i], p->refs[i], sizeof(p->refs[i]));
    p->virtual_guard[i] = op->guard;
  }
}

// --- Two machines

typedef struct machine {
  uint64_t value[REGISTERS][TSR_LANES][2];
  bool defined[REGISTERS][TSR_LANES];
  unsigned char *file;
  uint64_t wrong;
} machine;

static unsigned char *column(const machine *m, tsr_ref ref, uint32_t class,
                             uint32_t lane) {
  return m->file + (size_t)(ref >> 1) * TSR_REGISTER_UNIT +
         (size_t)lane * class_units[class] * 4;
}

static void put(machine *m, tsr_ref ref, uint32_t class, uint32_t lane,
                const uint64_t value[2]) {
  if (class == TSR_CLASS_PREDICATE) {
    uint32_t *word =
        (uint32_t *)(void *)(m->file + (size_t)(ref >> 1) * TSR_REGISTER_UNIT);
    *word = (*word & ~(1u << lane)) | (uint32_t)value[0] << lane;
    return;
  }
  memcpy(column(m, ref, class, lane), value, (size_t)class_units[class] * 4);
}

static bool same(const machine *m, tsr_ref ref, uint32_t class, uint32_t lane,
                 const uint64_t value[2]) {
  if (class == TSR_CLASS_PREDICATE) {
    const uint32_t *word =
        (const uint32_t *)(const void *)(m->file + (size_t)(ref >> 1) *
                                                       TSR_REGISTER_UNIT);
    return (*word >> lane & 1u) == value[0];
  }
  return memcmp(column(m, ref, class, lane), value,
                (size_t)class_units[class] * 4) == 0;
}

static void check(machine *m, const program *p, tsr_ref virtual_ref,
                  tsr_ref ref, uint32_t lane) {
  uint32_t reg = virtual_ref / 8;
  if (!m->defined[reg][lane]) return;
  m->wrong += !same(m, ref, p->classes[reg], lane, m->value[reg][lane]);
}

static void write_all(machine *m, const program *p, uint32_t pc, uint32_t lane,
                      uint64_t *state) {
  const tsr_op *op = &p->code[pc];
  for (uint32_t k = 0; k < op->dst_count; ++k) {
    tsr_ref virtual_ref = p->virtual_refs[pc][k];
    if (virtual_ref == TSR_REF_NONE) continue;
    uint32_t reg = virtual_ref / 8, class = p->classes[reg];
    uint64_t *value = m->value[reg][lane];
    value[0] = random_next(state);
    value[1] = random_next(state);
    if (class == TSR_CLASS_PREDICATE) value[0] &= 1;
    if (class == TSR_CLASS_32) value[0] &= UINT32_MAX;
    m->defined[reg][lane] = true;
    put(m, op->dst[k], class, lane, value);
  }
}

// One operation of |lane|. False when the lane has ended.
static bool step(machine *m, const program *p, uint32_t *pc, uint32_t lane,
                 uint64_t *state) {
  uint32_t at = *pc;
  const tsr_op *op = &p->code[at];
  bool taken = true;
  if (op->guard != TSR_REF_NONE) {
    uint32_t reg = p->virtual_guard[at] / 8;
    check(m, p, p->virtual_guard[at], op->guard, lane);
    taken = m->defined[reg][lane] && m->value[reg][lane][0] != 0;
  }
  *pc = at + 1;
  if (!taken) return true;
  if (p->kinds[at] == END) return false;
  if (p->kinds[at] == JUMP) {
    *pc = p->jump_of[at];
    return true;
  }
  for (uint32_t k = 0; k < op->src_count; ++k) {
    check(m, p, p->virtual_refs[at][REFS + k], op->src[k], lane);
  }
  write_all(m, p, at, lane, state);
  // Handlers may write one destination before they have read every source.
  for (uint32_t k = 0; k < op->src_count; ++k) {
    check(m, p, p->virtual_refs[at][REFS + k], op->src[k], lane);
  }
  for (uint32_t k = 0; k < op->dst_count; ++k) {
    if (p->virtual_refs[at][k] == TSR_REF_NONE) continue;
    check(m, p, p->virtual_refs[at][k], op->dst[k], lane);
  }
  return true;
}

static uint64_t simulate(const program *p, uint32_t units, uint64_t *state) {
  machine *m = calloc(1, sizeof(*m));
  if (m == NULL) exit(1);
  m->file = calloc((size_t)units + 1, TSR_REGISTER_UNIT);
  if (m->file == NULL) exit(1);
  uint32_t pcs[TSR_LANES] = {0};
  bool alive[TSR_LANES];
  memset(alive, 1, sizeof(alive));
  for (uint32_t i = 0; i < 6000; ++i) {
    uint32_t lane = draw(state, TSR_LANES);
    if (alive[lane]) alive[lane] = step(m, p, &pcs[lane], lane, state);
  }
  uint64_t wrong = m->wrong;
  free(m->file);
  free(m);
  return wrong;
}

static void random_programs(void) {
  uint64_t state = 7, all = 0, compacted = 0;
  program *p = malloc(sizeof(*p));
  if (p == NULL) exit(1);
  for (uint32_t i = 0; i < 1000; ++i) {
    make(p, &state);
    tsr_compaction work = {.code = p->code,
                           .count = OPS,
                           .ends = p->ends,
                           .jumps = p->jumps,
                           .jump_count = p->jump_count,
                           .classes = p->classes,
                           .register_count = REGISTERS};
    uint32_t units = 0;
    CHECK(tsr_compact(&work, &units));
    for (uint32_t r = 0; r < REGISTERS; ++r) all += class_units[p->classes[r]];
    compacted += units;
    uint64_t wrong = simulate(p, units, &state);
    if (wrong != 0) fprintf(stderr, "program %u\n", i);
    CHECK_EQ(wrong, 0);
  }
  CHECK(compacted < all);
  free(p);
}

// --- Long straight text: r[i+1] = f(r[i], r[i-1]), in 32 bits.

typedef struct chain {
  tsr_op *code;
  tsr_ref *refs;
  uint8_t *ends, *classes;
  uint32_t count;
} chain;

static void make_chain(chain *c, uint32_t count) {
  c->count = count;
  c->code = calloc(count, sizeof(*c->code));
  c->refs = calloc(count, 3 * sizeof(*c->refs));
  c->ends = calloc(count, 1);
  c->classes = malloc(count);
  if (!c->code || !c->refs || !c->ends || !c->classes) exit(1);
  memset(c->classes, TSR_CLASS_32, count);
  for (uint32_t i = 0; i < count; ++i) {
    tsr_op *op = &c->code[i];
    op->dst = &c->refs[(size_t)3 * i];
    op->src = op->dst + 1;
    op->dst_count = 1;
    op->src_count = 2;
    op->guard = TSR_REF_NONE;
    op->dst[0] = i * 8;
    op->src[0] = i < 1 ? TSR_REF_NONE : (i - 1) * 8;
    op->src[1] = i < 2 ? 1 : (i - 2) * 8;  // a constant first
  }
  c->ends[count - 1] = 1;
}

static uint32_t compact_chain(chain *c, const tsr_jump *jumps,
                              uint32_t jump_count) {
  tsr_compaction work = {.code = c->code,
                         .count = c->count,
                         .ends = c->ends,
                         .jumps = jumps,
                         .jump_count = jump_count,
                         .classes = c->classes,
                         .register_count = c->count};
  uint32_t units = 0;
  CHECK(tsr_compact(&work, &units));
  return units;
}

static void free_chain(chain *c) {
  free(c->code);
  free(c->refs);
  free(c->ends);
  free(c->classes);
}

static void long_text(void) {
  chain c;
  make_chain(&c, 30000);
  CHECK_EQ(compact_chain(&c, NULL, 0), 3);
  CHECK_EQ(c.code[1].src[1], 1);  // constants keep their place
  CHECK_EQ(c.code[0].src[0], TSR_REF_NONE);
  free_chain(&c);
  make_chain(&c, 30000);
  tsr_compaction_enabled = false;
  CHECK_EQ(compact_chain(&c, NULL, 0), 30000);
  tsr_compaction_enabled = true;
  free_chain(&c);
}

// A thousand registers alive through ten thousand blocks: the walk stays
// bounded, and what it gives up on is merely not shared.
static void many_blocks(void) {
  chain c;
  make_chain(&c, 50000);
  tsr_jump *jumps = calloc(50000, sizeof(*jumps));
  if (jumps == NULL) exit(1);
  uint32_t count = 0;
  for (uint32_t i = 20000; i < 40000; ++i) {
    c.code[i].dst[0] = TSR_REF_NONE;
    c.code[i].src[0] = c.code[i].src[1] = TSR_REF_NONE;
    jumps[count++] = (tsr_jump){i, i + 2};
  }
  for (uint32_t i = 40000; i < 50000; ++i) c.code[i].src[0] = (i - 39000) * 8;
  uint32_t units = compact_chain(&c, jumps, count);
  CHECK(units >= 10000 && units < 50000);
  free(jumps);
  free_chain(&c);
}

// --- Rules one by one

static void deferred_registers(void) {
  chain c;
  make_chain(&c, 100);
  c.code[50].flags = TSR_OP_DEFERRED;
  uint32_t units = compact_chain(&c, NULL, 0);
  // Three registers of their own: its destination and both sources.
  CHECK(units == 6);
  for (uint32_t i = 0; i < 100; ++i) {
    if (i >= 48 && i <= 52) continue;
    CHECK(c.code[i].dst[0] != c.code[50].dst[0]);
    CHECK(c.code[i].dst[0] != c.code[50].src[0]);
    CHECK(c.code[i].dst[0] != c.code[50].src[1]);
  }
  free_chain(&c);
}

// 0: a = ; 1: b = ; 2: @p a = b; 3: use a. With the guard the first value of a
// lives on, without it b may take its unit.
static uint32_t guarded_definition(bool guarded) {
  chain c;
  make_chain(&c, 5);
  tsr_ref a = 0, b = 8, p = 16;
  c.classes[2] = TSR_CLASS_PREDICATE;
  tsr_ref rows[5][3] = {{p, TSR_REF_NONE, TSR_REF_NONE},
                        {a, TSR_REF_NONE, TSR_REF_NONE},
                        {b, TSR_REF_NONE, TSR_REF_NONE},
                        {a, b, TSR_REF_NONE},
                        {TSR_REF_NONE, a, p}};
  memcpy(c.refs, rows, sizeof(rows));
  if (guarded) c.code[3].guard = p;
  uint32_t units = compact_chain(&c, NULL, 0);
  CHECK(c.code[2].dst[0] != c.code[1].dst[0]);
  free_chain(&c);
  return units;
}

int main(void) {
  random_programs();
  long_text();
  many_blocks();
  deferred_registers();
  CHECK_EQ(guarded_definition(true), 3);
  CHECK_EQ(guarded_definition(false), 3);
  return test_finish();
}

// SPDX-License-Identifier: Apache-2.0
// The registers of wgmma (PTX ISA 9.7.15.7.1, 9.7.15.7.2): those in flight may
// only be touched by a wgmma with the same accumulators; those that other
// instructions wrote need a wgmma.fence before wgmma takes them. The latter is
// seen by digests, taken at the fence of what the instructions behind it in the
// text will use, and at completion of the accumulators.
#include "base/memory.h"
#include "check/report.h"
#include "decode/program.h"
#include "tensor/wgmma_state.h"

static bool checked(const tsr_warp *warp) {
  return (warp->block->launch->config.checks & TESSERA_EMU_CHECK_ASYNC) != 0;
}

typedef struct register_set {  // of one instruction
  unsigned char *const *base;
  const tsr_ref *refs;
  uint32_t count;
} register_set;

static register_set accumulators(const tsr_op *op, unsigned char *const *base) {
  return (register_set){base, op->src + TSR_WGMMA_SRC_D,
                        op->src_count - (uint32_t)TSR_WGMMA_SRC_D};
}

static register_set fragment(const tsr_op *op, unsigned char *const *base) {
  const tsr_wgmma_form *form = op->data;
  return (register_set){base, op->src, form->a_shared ? 0 : 4};
}

static bool sets_equal(register_set x, register_set y) {
  return x.base[0] == y.base[0] && x.count == y.count &&
         memcmp(x.refs, y.refs, sizeof(*x.refs) * x.count) == 0;
}

static bool sets_meet(register_set x, register_set y) {
  if (x.base[0] != y.base[0]) return false;
  for (uint32_t i = 0; i < x.count; ++i) {
    for (uint32_t j = 0; j < y.count; ++j) {
      if (x.refs[i] == y.refs[j]) return true;
    }
  }
  return false;
}

// --- In flight --------------------------------------------------------------

static uint64_t unit_of(const tsr_warp *warp, unsigned char *const *base,
                        tsr_ref ref) {
  return (uint64_t)(tsr_unit(base, ref) - warp->registers) / TSR_REGISTER_UNIT;
}

static bool mark_set(tsr_warp *warp, register_set set) {
  tsr_wgmma *state = warp->wgmma;
  for (uint32_t i = 0; i < set.count; ++i) {
    if ((set.refs[i] & 1) != 0) continue;  // a constant, or none
    uint64_t unit = unit_of(warp, set.base, set.refs[i]);
    if (unit / 64 >= state->busy_words) {
      uint32_t words = (uint32_t)(unit / 64) + 8;
      uint64_t *grown = tsr_realloc(state->busy, sizeof(*grown) * words);
      if (grown == NULL) return false;
      memset(grown + state->busy_words, 0,
             sizeof(*grown) * (words - state->busy_words));
      state->busy = grown;
      state->busy_words = words;
    }
    state->busy[unit / 64] |= UINT64_C(1) << (unit % 64);
  }
  return true;
}

bool tsr_wgmma_mark_busy(tsr_warp *warp) {
  tsr_wgmma *state = warp->wgmma;
  if (state->busy != NULL) {
    memset(state->busy, 0, sizeof(*state->busy) * state->busy_words);
  }
  for (uint32_t i = 0; i < state->count; ++i) {
    const tsr_wgmma_pending *pending = &state->pending[i];
    if (!mark_set(warp, accumulators(pending->op, pending->base)) ||
        !mark_set(warp, fragment(pending->op, pending->base))) {
      return false;
    }
  }
  return true;
}

static bool is_busy(const tsr_warp *warp, tsr_ref ref) {
  if ((ref & 1) != 0) return false;
  uint64_t unit = unit_of(warp, warp->base, ref);
  const tsr_wgmma *state = warp->wgmma;
  return unit / 64 < state->busy_words &&
         (state->busy[unit / 64] >> (unit % 64) & 1) != 0;
}

static void find_busy(tsr_warp *warp, const tsr_op *op, const char *what) {
  tsr_find(warp, op, TSR_NO_LANE, TESSERA_EMU_IN_FLIGHT, false, TSR_NO_ADDRESS,
           "%s a register of the wgmma.mma_async in line %u, which no "
           "wgmma.wait_group has waited for",
           what, warp->wgmma->pending[0].op->line);
}

void tsr_wgmma_check_registers(tsr_warp *warp, const tsr_op *op) {
  if (warp->wgmma == NULL || warp->wgmma->count == 0 || !checked(warp) ||
      tsr_wgmma_is_mma(op)) {  // that one at its issue
    return;
  }
  for (uint32_t i = 0; i < op->dst_count; ++i) {
    if (is_busy(warp, op->dst[i])) {
      find_busy(warp, op, "writes");
      return;
    }
  }
  for (uint32_t i = 0; i < op->src_count; ++i) {
    if (is_busy(warp, op->src[i])) {
      find_busy(warp, op, "reads");
      return;
    }
  }
}

// --- Fences -----------------------------------------------------------------

static uint64_t digest(register_set set) {
  uint64_t sum = UINT64_C(0xcbf29ce484222325);
  for (uint32_t i = 0; i < set.count; ++i) {
    if ((set.refs[i] & 1) != 0) continue;
    const unsigned char *unit = tsr_unit(set.base, set.refs[i]);
    for (uint32_t at = 0; at < TSR_REGISTER_UNIT; at += 8) {
      uint64_t word;
      memcpy(&word, unit + at, sizeof(word));
      sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
      sum ^= sum >> 29;
    }
  }
  return sum;
}

static tsr_wgmma_watched *find_watched(tsr_wgmma *state, register_set set) {
  for (uint32_t i = 0; i < state->watched_count; ++i) {
    tsr_wgmma_watched *watched = &state->watched[i];
    register_set other = {watched->base, watched->refs, watched->count};
    if (sets_equal(other, set)) return watched;
  }
  return NULL;
}

static void watch(tsr_wgmma *state, register_set set) {
  if (set.count == 0) return;
  tsr_wgmma_watched *watched = find_watched(state, set);
  if (watched == NULL) {
    if (state->watched_count == TSR_WGMMA_WATCHED) return;
    watched = &state->watched[state->watched_count++];
    memcpy(watched->base, set.base, sizeof(watched->base));
    watched->refs = set.refs;
    watched->count = set.count;
  }
  watched->digest = digest(set);
}

void tsr_wgmma_watch_fence(tsr_warp *warp, const tsr_op *fence) {
  enum { AHEAD = 512 };  // operations looked at
  tsr_wgmma *state = warp->wgmma;
  state->watched_count = 0;
  const tsr_function *function = warp->current->function;
  if (!checked(warp) || function == NULL || fence < function->code) return;
  const tsr_op *end = function->code + function->op_count;
  for (uint32_t i = 1; i < AHEAD && fence + i < end; ++i) {
    if (tsr_wgmma_is_commit(fence + i)) return;
    if (!tsr_wgmma_is_mma(fence + i)) continue;
    watch(state, accumulators(fence + i, warp->base));
    watch(state, fragment(fence + i, warp->base));
  }
}

void tsr_wgmma_watch_done(tsr_warp *warp, const tsr_wgmma_pending *pending) {
  if (checked(warp)) {
    watch(warp->wgmma, accumulators(pending->op, pending->base));
  }
}

static void check_digest(tsr_warp *warp, const tsr_op *op, register_set set,
                         const char *what) {
  const tsr_wgmma_watched *watched = find_watched(warp->wgmma, set);
  if (watched == NULL || set.count == 0 || watched->digest == digest(set)) {
    return;
  }
  tsr_find(warp, op, TSR_NO_LANE, TESSERA_EMU_IN_FLIGHT, false, TSR_NO_ADDRESS,
           "registers of %s were written without a wgmma.fence before this "
           "wgmma.mma_async",
           what);
}

void tsr_wgmma_check_issue(tsr_warp *warp, const tsr_wgmma_pending *pending) {
  tsr_wgmma *state = warp->wgmma;
  const tsr_op *op = pending->op;
  if (!checked(warp)) return;
  if (!state->fenced) {
    tsr_find(warp, op, TSR_NO_LANE, TESSERA_EMU_IN_FLIGHT, false,
             TSR_NO_ADDRESS,
             "the first wgmma.mma_async comes without a wgmma.fence before it");
  }
  register_set d = accumulators(op, pending->base);
  register_set a = fragment(op, pending->base);
  bool chained = false;  // D is that of a wgmma in flight
  for (uint32_t i = 0; i < state->count; ++i) {
    const tsr_wgmma_pending *other = &state->pending[i];
    register_set other_d = accumulators(other->op, other->base);
    bool same = sets_equal(d, other_d);
    chained = chained || same;
    if ((!same && sets_meet(d, other_d)) || sets_meet(a, other_d) ||
        sets_meet(d, fragment(other->op, other->base))) {
      find_busy(warp, op, "uses");
      return;
    }
  }
  if (!chained && pending->scale_d) {
    check_digest(warp, op, d, "the accumulator");
  }
  check_digest(warp, op, a, "A");
}

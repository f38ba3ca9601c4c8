// SPDX-License-Identifier: Apache-2.0
// Operations as they are appended, constants, jumps, mistakes. Operations lie
// in chunks while a function is decoded so that pointers to them stay true.
#include <stdio.h>

#include "decode/internal.h"

// --- Mistakes

bool tsr_decode_out_of_memory(tsr_decoder *d) {
  d->loader->out_of_memory = true;
  return false;
}

TSR_PRINTF(3, 0)
static void report(tsr_decoder *d, tsr_ptx_pos pos, const char *format,
                   va_list list) {
  char text[400];
  (void)vsnprintf(text, sizeof(text), format, list);
  tsr_ptx_log_error(d->loader->log, pos, "%s", text);
}

bool tsr_decode_error_pos(tsr_decoder *d, tsr_ptx_pos pos, const char *format,
                          ...) {
  va_list list;
  va_start(list, format);
  report(d, pos, format, list);
  va_end(list);
  return false;
}

bool tsr_decode_error(tsr_decoder *d, const char *format, ...) {
  va_list list;
  va_start(list, format);
  report(d, d->instruction->pos, format, list);
  va_end(list);
  return false;
}

bool tsr_decode_error_at(tsr_decoder *d, const tsr_ptx_operand *operand,
                         const char *format, ...) {
  va_list list;
  va_start(list, format);
  report(d, operand->pos.line == 0 ? d->instruction->pos : operand->pos, format,
         list);
  va_end(list);
  return false;
}

// --- Operations

tsr_op *tsr_decode_op(const tsr_decoder *d, uint32_t index) {
  return &d->chunks[index / TSR_OP_CHUNK][index % TSR_OP_CHUNK];
}

static bool room_for_op(tsr_decoder *d) {
  if (!tsr_decode_grow(d, (void **)&d->ends, d->op_count, &d->ends_capacity,
                       sizeof(*d->ends))) {
    return false;
  }
  if (d->op_count < d->chunk_count * TSR_OP_CHUNK) return true;
  if (!tsr_decode_grow(d, (void **)&d->chunks, d->chunk_count,
                       &d->chunk_capacity, sizeof(*d->chunks))) {
    return false;
  }
  tsr_op *chunk =
      tsr_arena_alloc_array(&d->loader->scratch, TSR_OP_CHUNK, sizeof(*chunk));
  if (chunk == NULL) return tsr_decode_out_of_memory(d);
  d->chunks[d->chunk_count++] = chunk;
  return true;
}

tsr_op *tsr_emit_front(tsr_decoder *d, tsr_handler handler, uint32_t dst_count,
                       uint32_t src_count) {
  if (!room_for_op(d)) return NULL;
  tsr_ref *refs = tsr_arena_alloc_array(
      &d->loader->program->arena, dst_count + src_count + 1, sizeof(*refs));
  if (refs == NULL) {
    (void)tsr_decode_out_of_memory(d);
    return NULL;
  }
  for (uint32_t i = 0; i < dst_count + src_count; ++i) refs[i] = TSR_REF_NONE;
  d->ends[d->op_count] = TSR_ENDS_NOT;
  tsr_op *op = tsr_decode_op(d, d->op_count++);
  memset(op, 0, sizeof(*op));
  op->run = handler;
  op->dst = refs;
  op->src = refs + dst_count;
  op->dst_count = (uint16_t)dst_count;
  op->src_count = (uint16_t)src_count;
  op->guard = TSR_REF_NONE;
  op->op_class = TESSERA_EMU_CLASS_INTEGER;
  op->line =
      d->instruction == NULL ? d->ast->pos.line : d->instruction->pos.line;
  return op;
}

tsr_op *tsr_emit(tsr_decoder *d, tsr_handler handler,
                 tessera_emu_class op_class, uint32_t dst_count,
                 uint32_t src_count) {
  tsr_op *op = tsr_emit_front(d, handler, dst_count, src_count);
  if (op == NULL) return NULL;
  op->op_class = (uint8_t)op_class;
  op->guard = d->guard;
  op->guard_negated = d->instruction != NULL && d->instruction->guard_negated;
  return op;
}

// The operation's index; |op| was among the last ones emitted.
static uint32_t index_of(const tsr_decoder *d, const tsr_op *op) {
  uint32_t index = d->op_count;
  while (index > 0 && tsr_decode_op(d, index - 1) != op) --index;
  return index == 0 ? 0 : index - 1;
}

void tsr_emit_ends(tsr_decoder *d, const tsr_op *op) {
  d->ends[index_of(d, op)] = TSR_ENDS_HERE;
}

const tsr_address *tsr_emit_address(tsr_decoder *d, tsr_op *op,
                                    uint32_t src_index,
                                    const tsr_address *address) {
  if (!tsr_decode_grow(d, (void **)&d->addresses, d->address_count,
                       &d->address_capacity, sizeof(*d->addresses))) {
    return NULL;
  }
  tsr_address *copy =
      tsr_arena_alloc(&d->loader->program->arena, sizeof(*copy));
  if (copy == NULL) {
    (void)tsr_decode_out_of_memory(d);
    return NULL;
  }
  *copy = *address;
  op->src[src_index] = address->base;
  if (op->data == NULL) op->data = copy;
  d->addresses[d->address_count++] =
      (tsr_address_patch){index_of(d, op), src_index, copy};
  return copy;
}

bool tsr_emit_target(tsr_decoder *d, tsr_op *op, tsr_ptx_str name,
                     tsr_ptx_pos pos, uint32_t *where) {
  const tsr_symbol *symbol = tsr_lookup(d, name);
  if (symbol == NULL || symbol->kind != TSR_SYMBOL_LABEL) {
    return tsr_decode_error_pos(d, pos, "undefined label '%.*s'",
                                (int)name.size, name.data);
  }
  if (!tsr_decode_grow(d, (void **)&d->patches, d->patch_count,
                       &d->patch_capacity, sizeof(*d->patches))) {
    return false;
  }
  d->patches[d->patch_count++] =
      (tsr_patch){index_of(d, op), symbol->index, where};
  return true;
}

bool tsr_emit_jump(tsr_decoder *d, tsr_op *op, uint32_t target) {
  if (!tsr_decode_grow(d, (void **)&d->labels, d->label_count,
                       &d->label_capacity, sizeof(*d->labels)) ||
      !tsr_decode_grow(d, (void **)&d->patches, d->patch_count,
                       &d->patch_capacity, sizeof(*d->patches))) {
    return false;
  }
  d->patches[d->patch_count++] =
      (tsr_patch){index_of(d, op), d->label_count, NULL};
  d->labels[d->label_count++] = (tsr_label){{NULL, 0}, target};
  return true;
}

bool tsr_emit_label(tsr_decoder *d, tsr_op *op,
                    const tsr_ptx_operand *operand) {
  if (operand->kind != TSR_PTX_NAME) {
    return tsr_decode_error_at(d, operand, "label expected");
  }
  return tsr_emit_target(d, op, operand->name, operand->pos, NULL);
}

// --- Constants

static uint32_t *pool_slot(tsr_decoder *d, uint64_t bits, bool wide) {
  uint32_t mask = d->pool_slot_count - 1;
  uint64_t hash = (bits ^ (wide ? UINT64_C(0x9e3779b97f4a7c15) : 0)) *
                  UINT64_C(0xbf58476d1ce4e5b9);
  uint32_t slot = (uint32_t)(hash >> 32) & mask;
  while (d->pool_slots[slot] != 0) {
    uint32_t unit = d->pool_slots[slot] - 1;
    if (d->pool_keys[unit] == bits && d->pool_wide[unit] == wide) break;
    slot = (slot + 1) & mask;
  }
  return &d->pool_slots[slot];
}

static bool grow_pool(tsr_decoder *d) {
  uint32_t capacity = d->pool_capacity == 0 ? 64 : d->pool_capacity * 2;
  tsr_arena *arena = &d->loader->scratch;
  uint64_t *keys = tsr_arena_alloc_array(arena, capacity, sizeof(*keys));
  uint8_t *wide = tsr_arena_alloc_array(arena, capacity, sizeof(*wide));
  uint32_t *slots =
      tsr_arena_alloc_array(arena, (size_t)capacity * 2, sizeof(*slots));
  if (keys == NULL || wide == NULL || slots == NULL) {
    return tsr_decode_out_of_memory(d);
  }
  if (d->pool_units > 0) {
    memcpy(keys, d->pool_keys, d->pool_units * sizeof(*keys));
    memcpy(wide, d->pool_wide, d->pool_units * sizeof(*wide));
  }
  d->pool_keys = keys;
  d->pool_wide = wide;
  d->pool_slots = slots;
  d->pool_slot_count = capacity * 2;
  d->pool_capacity = capacity;
  for (uint32_t i = 0; i < d->pool_units; i += wide[i] + 1u) {
    *pool_slot(d, keys[i], wide[i]) = i + 1;
  }
  return true;
}

tsr_ref tsr_constant(tsr_decoder *d, tsr_ptx_type type, uint64_t bits) {
  uint32_t size = tsr_ptx_type_bits(type);
  bool wide = size > 32;
  if (type == TSR_PTX_PRED) {
    bits = bits != 0 ? TSR_ALL_LANES : 0;
  } else if (size < 64) {
    bits &= (UINT64_C(1) << size) - 1;
  }
  if (d->pool_units + 2 > d->pool_capacity && !grow_pool(d)) {
    return TSR_REF_NONE;
  }
  uint32_t *slot = pool_slot(d, bits, wide);
  if (*slot == 0) {
    *slot = d->pool_units + 1;
    d->pool_keys[d->pool_units] = bits;
    d->pool_wide[d->pool_units] = wide;
    d->pool_units += wide ? 2 : 1;
  }
  return (*slot - 1) * 2 + 1;
}

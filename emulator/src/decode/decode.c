// SPDX-License-Identifier: Apache-2.0
// A function's statements to operations: finds the family of each instruction,
// lets it emit, resolves jumps, compacts registers.
#include "base/memory.h"
#include "decode/compaction.h"
#include "decode/internal.h"

// --- Families

#define TSR_FAMILY(table) extern const tsr_opcode table[];
#include "decode/families.def"

static const tsr_opcode *const families[] = {
#define TSR_FAMILY(table) table,
#include "decode/families.def"
    NULL};

typedef struct opcode_entry {
  const tsr_opcode *opcode;
  uint32_t next;  // of the same name, in the order of families.def; 0: none
} opcode_entry;

struct tsr_opcode_table {
  opcode_entry *entries;  // from 1
  uint32_t *slots;
  uint32_t slot_count, count;
};

static uint32_t *opcode_slot(const struct tsr_opcode_table *table,
                             const char *name, uint32_t size) {
  uint32_t slot =
      (uint32_t)tsr_hash_bytes(name, size, 0) & (table->slot_count - 1);
  while (table->slots[slot] != 0) {
    const char *other = table->entries[table->slots[slot]].opcode->name;
    if (strlen(other) == size && memcmp(other, name, size) == 0) break;
    slot = (slot + 1) & (table->slot_count - 1);
  }
  return &table->slots[slot];
}

static void add_opcode(struct tsr_opcode_table *table,
                       const tsr_opcode *opcode) {
  uint32_t *slot =
      opcode_slot(table, opcode->name, (uint32_t)strlen(opcode->name));
  table->entries[++table->count] = (opcode_entry){opcode, 0};
  if (*slot == 0) {
    *slot = table->count;
    return;
  }
  uint32_t last = *slot;
  while (table->entries[last].next != 0) last = table->entries[last].next;
  table->entries[last].next = table->count;
}

struct tsr_opcode_table *tsr_opcode_table_make(tsr_loader *loader) {
  uint32_t count = 0;
  for (uint32_t f = 0; families[f] != NULL; ++f) {
    for (const tsr_opcode *o = families[f]; o->name != NULL; ++o) ++count;
  }
  struct tsr_opcode_table *table =
      tsr_arena_alloc(&loader->scratch, sizeof(*table));
  if (table == NULL) return NULL;
  table->slot_count = 64;
  while (table->slot_count < count * 2) table->slot_count *= 2;
  table->slots = tsr_arena_alloc_array(&loader->scratch, table->slot_count,
                                       sizeof(*table->slots));
  table->entries = tsr_arena_alloc_array(&loader->scratch, count + 1,
                                         sizeof(*table->entries));
  if (table->slots == NULL || table->entries == NULL) return NULL;
  for (uint32_t f = 0; families[f] != NULL; ++f) {
    for (const tsr_opcode *o = families[f]; o->name != NULL; ++o) {
      add_opcode(table, o);
    }
  }
  return table;
}

// --- Instructions

static bool take_guard(tsr_decoder *d) {
  const tsr_ptx_instruction *instruction = d->instruction;
  d->guard = TSR_REF_NONE;
  if (instruction->guard.size == 0) return true;
  uint32_t index = tsr_lookup_register(d, instruction->guard, 0);
  if (index == UINT32_MAX || d->registers[index].type != TSR_PTX_PRED) {
    return tsr_decode_error_pos(
        d, instruction->guard_pos, "'%.*s' is not a predicate",
        (int)instruction->guard.size, instruction->guard.data);
  }
  d->guard = tsr_virtual_ref(index);
  return true;
}

// ".reg .v4 .f32 %v": %v alone stands for {%v.x, %v.y, %v.z, %v.w}.
static bool expand_vector(tsr_decoder *d, tsr_ptx_operand *operand) {
  if (operand->kind != TSR_PTX_NAME || operand->component != 0) return true;
  const tsr_symbol *symbol = tsr_lookup(d, operand->name);
  if (symbol == NULL || symbol->kind != TSR_SYMBOL_REGISTER) return true;
  uint32_t count = d->registers[symbol->index].vector;
  if (count == 1) return true;
  tsr_ptx_operand *items =
      tsr_arena_alloc_array(&d->loader->scratch, count, sizeof(*items));
  if (items == NULL) return tsr_decode_out_of_memory(d);
  for (uint32_t i = 0; i < count; ++i) {
    items[i] = *operand;
    items[i].component = "xyzw"[i];
  }
  operand->kind = TSR_PTX_VECTOR;
  operand->items = items;
  operand->item_count = count;
  return true;
}

static bool expand_vectors(tsr_decoder *d) {
  uint32_t count = d->instruction->operand_count;
  if (!d->has_vectors || count == 0) return true;
  tsr_ptx_operand *operands =
      tsr_arena_alloc_array(&d->loader->scratch, count, sizeof(*operands));
  if (operands == NULL) return tsr_decode_out_of_memory(d);
  memcpy(operands, d->instruction->operands, count * sizeof(*operands));
  for (uint32_t i = 0; i < count; ++i) {
    if (!expand_vector(d, &operands[i])) return false;
  }
  d->rewritten = *d->instruction;
  d->rewritten.operands = operands;
  d->instruction = &d->rewritten;
  return true;
}

static void check_left_over(tsr_decoder *d) {
  const tsr_ptx_instruction *instruction = d->instruction;
  for (uint32_t i = 0; i < instruction->modifier_count; ++i) {
    if (d->taken[i]) continue;
    const tsr_ptx_modifier *modifier = &instruction->modifiers[i];
    (void)tsr_decode_error_pos(
        d, modifier->pos.line == 0 ? instruction->pos : modifier->pos,
        "modifier '.%.*s' is not allowed for '%.*s'", (int)modifier->name.size,
        modifier->name.data, (int)instruction->opcode.size,
        instruction->opcode.data);
    return;
  }
}

static void run_families(tsr_decoder *d, uint32_t entry) {
  const struct tsr_opcode_table *table = d->loader->opcodes;
  tsr_ptx_str opcode = d->instruction->opcode;
  for (; entry != 0; entry = table->entries[entry].next) {
    memset(d->taken, 0, sizeof(d->taken));
    d->passed = false;
    d->pending_count = 0;
    if (table->entries[entry].opcode->decode(d)) {
      check_left_over(d);
      tsr_emit_pending(d);
      return;
    }
    if (d->passed) continue;
    if (d->loader->log->error_count == d->failures &&
        !d->loader->out_of_memory) {
      (void)tsr_decode_error(d, "this form of '%.*s' is not known",
                             (int)opcode.size, opcode.data);
    }
    return;
  }
  (void)tsr_decode_error(d, "no form of '%.*s' with these types",
                         (int)opcode.size, opcode.data);
}

// "mov %r, %tid.x" and "mov %rd, frame variable": what was put in front writes
// the destination itself. One instruction then counts once.
static void merge_move(tsr_decoder *d, uint32_t first_op,
                       uint32_t first_register) {
  if (!tsr_ptx_str_equal(d->instruction->opcode, "mov") ||
      d->op_count < first_op + 2) {
    return;
  }
  tsr_op *front = tsr_decode_op(d, d->op_count - 2);
  const tsr_op *move = tsr_decode_op(d, d->op_count - 1);
  if (front->dst_count != 1 || move->dst_count != 1 || move->src_count != 1 ||
      front->dst[0] != move->src[0] || move->dst[0] == TSR_REF_NONE) {
    return;
  }
  uint32_t from = tsr_virtual_index(front->dst[0]);
  uint32_t to = tsr_virtual_index(move->dst[0]);
  if (from < first_register || tsr_ptx_type_bits(d->registers[from].type) !=
                                   tsr_ptx_type_bits(d->registers[to].type)) {
    return;
  }
  front->dst[0] = move->dst[0];
  front->guard = move->guard;
  front->guard_negated = move->guard_negated;
  front->op_class = move->op_class;
  --d->op_count;
}

static void note_dependents(tsr_decoder *d) {
  const tsr_ptx_instruction *instruction = d->instruction;
  if (!tsr_ptx_str_equal(instruction->opcode, "griddepcontrol")) return;
  for (uint32_t i = 0; i < instruction->modifier_count; ++i) {
    tsr_ptx_str name = instruction->modifiers[i].name;
    if (tsr_ptx_str_equal(name, "wait")) d->body->waits_dependents = true;
    if (tsr_ptx_str_equal(name, "launch_dependents")) {
      d->body->launches_dependents = true;
    }
  }
}

static void decode_instruction(tsr_decoder *d,
                               const tsr_ptx_instruction *instruction) {
  d->instruction = instruction;
  d->failures = d->loader->log->error_count;
  tsr_ptx_str opcode = instruction->opcode;
  uint32_t entry = *opcode_slot(d->loader->opcodes, opcode.data, opcode.size);
  if (entry == 0) {
    (void)tsr_decode_error(d, "unknown instruction '%.*s'", (int)opcode.size,
                           opcode.data);
  } else if (instruction->modifier_count > TSR_MODIFIER_LIMIT) {
    (void)tsr_decode_error(d, "more than %d modifiers", TSR_MODIFIER_LIMIT);
  } else if (take_guard(d) && expand_vectors(d)) {
    uint32_t ops = d->op_count, registers = d->register_count;
    note_dependents(d);
    run_families(d, entry);
    merge_move(d, ops, registers);
  }
  d->instruction = NULL;
}

static void decode_label(tsr_decoder *d, tsr_ptx_str name) {
  const tsr_symbol *symbol = tsr_symbols_find(&d->symbols, d->scope, name);
  if (symbol == NULL || symbol->kind != TSR_SYMBOL_LABEL) return;
  if (d->labels[symbol->index].target == UINT32_MAX) {
    d->labels[symbol->index].target = d->op_count;
  }
}

static void decode_statement(tsr_decoder *d,
                             const tsr_ptx_statement *statement) {
  switch (statement->kind) {
    case TSR_PTX_STATEMENT_INSTRUCTION:
      decode_instruction(d, &statement->as.instruction);
      break;
    case TSR_PTX_STATEMENT_LABEL:
      decode_label(d, statement->as.label);
      break;
    case TSR_PTX_STATEMENT_VARIABLE:
      (void)tsr_declare_variable(d, &statement->as.variable);
      break;
    case TSR_PTX_STATEMENT_OPEN:
      tsr_scope_open(d);
      break;
    case TSR_PTX_STATEMENT_CLOSE:
      tsr_scope_close(d);
      break;
    default:  // declared with the labels
      break;
  }
}

// --- The whole function

static bool resolve_jumps(tsr_decoder *d, tsr_op *code, tsr_jump *jumps) {
  for (uint32_t i = 0; i < d->patch_count; ++i) {
    const tsr_patch *patch = &d->patches[i];
    uint32_t target = d->labels[patch->label].target;
    if (target >= d->op_count) return false;
    uint32_t *where =
        patch->where != NULL ? patch->where : &code[patch->op].aux[0];
    *where = target;
    jumps[i] = (tsr_jump){patch->op, target};
  }
  return true;
}

static tsr_register_class class_of(tsr_ptx_type type) {
  uint32_t bits = tsr_ptx_type_bits(type);
  if (type == TSR_PTX_PRED) return TSR_CLASS_PREDICATE;
  return bits <= 32 ? TSR_CLASS_32 : bits <= 64 ? TSR_CLASS_64 : TSR_CLASS_128;
}

static bool compact(tsr_decoder *d, tsr_op *code, const tsr_jump *jumps) {
  uint8_t *classes = tsr_arena_alloc_array(
      &d->loader->scratch, d->register_count + 1, sizeof(*classes));
  if (classes == NULL) return tsr_decode_out_of_memory(d);
  for (uint32_t i = 0; i < d->register_count; ++i) {
    classes[i] = (uint8_t)class_of(d->registers[i].type);
  }
  tsr_compaction work = {.code = code,
                         .count = d->op_count,
                         .ends = d->ends,
                         .jumps = jumps,
                         .jump_count = d->patch_count,
                         .classes = classes,
                         .register_count = d->register_count};
  if (!tsr_compact(&work, &d->function->register_units)) {
    return tsr_decode_out_of_memory(d);
  }
  for (uint32_t i = 0; i < d->address_count; ++i) {
    const tsr_address_patch *patch = &d->addresses[i];
    patch->address->base = code[patch->op].src[patch->src];
  }
  return true;
}

// Splats the pool.
static bool make_pool(tsr_decoder *d) {
  size_t size = (size_t)(d->pool_units + 1) * TSR_REGISTER_UNIT;
  char *raw = tsr_arena_alloc(&d->loader->program->arena, size + 64);
  if (raw == NULL) return tsr_decode_out_of_memory(d);
  raw += (64 - (uintptr_t)raw % 64) % 64;
  unsigned char *pool = (unsigned char *)raw;
  for (uint32_t i = 0; i < d->pool_units; i += d->pool_wide[i] + 1u) {
    uint32_t bytes = d->pool_wide[i] ? 8 : 4;
    for (uint32_t lane = 0; lane < TSR_LANES; ++lane) {
      memcpy(pool + (size_t)i * TSR_REGISTER_UNIT + (size_t)lane * bytes,
             &d->pool_keys[i], bytes);
    }
  }
  d->function->constants = pool;
  d->function->constant_units = d->pool_units;
  return true;
}

static bool finish(tsr_decoder *d) {
  tsr_op *code = tsr_arena_alloc_array(&d->loader->program->arena,
                                       d->op_count + 1, sizeof(*code));
  tsr_jump *jumps = tsr_arena_alloc_array(&d->loader->scratch,
                                          d->patch_count + 1, sizeof(*jumps));
  if (code == NULL || jumps == NULL) return tsr_decode_out_of_memory(d);
  for (uint32_t i = 0; i < d->op_count; ++i) {
    code[i] = *tsr_decode_op(d, i);
    if ((code[i].flags & TSR_OP_COMMUNICATES) != 0) {
      d->body->communicates = true;
    }
  }
  if (!resolve_jumps(d, code, jumps)) {
    return tsr_decode_error_pos(d, d->ast->pos, "a label was not placed");
  }
  if (!compact(d, code, jumps) || !make_pool(d)) return false;
  tsr_function *function = d->function;
  function->code = code;
  function->op_count = d->op_count;
  function->local_bytes =
      (uint32_t)tsr_round_up(d->frame_bytes, d->loader->frame_align);
  d->body->units = function->register_units;
  d->body->local_bytes = function->local_bytes;
  return true;
}

static bool decode_all(tsr_decoder *d) {
  const tsr_ptx_function *ast = d->ast;
  if (!tsr_declare_labels(d) || !tsr_declare_frame(d)) return false;
  if (!tsr_decode_entry(d)) return false;
  for (uint32_t i = 0; i < ast->statement_count; ++i) {
    if (d->loader->out_of_memory) return false;
    decode_statement(d, &ast->statements[i]);
  }
  d->instruction = NULL;
  d->guard = TSR_REF_NONE;
  if (!tsr_decode_leave(d)) return false;
  if (d->loader->log->error_count > 0) return true;
  return finish(d);
}

bool tsr_decode_function_body(tsr_loader *loader, const tsr_ptx_function *ast,
                              const tsr_signature *signature,
                              tsr_kernel *kernel, tsr_function *function,
                              tsr_body *body) {
  tsr_decoder d = {.loader = loader,
                   .ast = ast,
                   .kernel = kernel,
                   .function = function,
                   .body = body,
                   .signature = signature,
                   .guard = TSR_REF_NONE};
  function->line = ast->pos.line;
  function->end_line = ast->end.line;
  (void)decode_all(&d);
  tsr_symbols_fini(&d.symbols);
  return !loader->out_of_memory;
}

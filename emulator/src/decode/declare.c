// SPDX-License-Identifier: Apache-2.0
// The names of a function: registers (also as ranges, %r<10>), variables in
// local, shared and parameter space, labels. Scopes nest; a label is seen in
// its whole scope, everything else from its declaration on (PTX ISA 4.4, 5.4).
#include <stdio.h>

#include "decode/internal.h"

enum { TSR_REGISTER_LIMIT = 1 << 20, TSR_FRAME_LIMIT = 512 * 1024 };

bool tsr_decode_grow(tsr_decoder *d, void **array, uint32_t count,
                     uint32_t *capacity, size_t size) {
  if (count < *capacity) return true;
  uint32_t wanted = *capacity == 0 ? 64 : *capacity * 2;
  void *grown =
      tsr_arena_alloc_array(&d->loader->scratch, (size_t)wanted, size);
  if (grown == NULL || wanted < *capacity) return tsr_decode_out_of_memory(d);
  if (count > 0) memcpy(grown, *array, (size_t)count * size);
  *array = grown;
  *capacity = wanted;
  return true;
}

uint32_t tsr_register_new(tsr_decoder *d, tsr_ptx_type type, uint32_t vector) {
  if (!tsr_decode_grow(d, (void **)&d->registers, d->register_count,
                       &d->register_capacity, sizeof(*d->registers))) {
    return UINT32_MAX;
  }
  d->registers[d->register_count] = (tsr_register){type, vector};
  return d->register_count++;
}

// --- Look-up

// %r12 may be the 12th of %r<n>, or the second of %r1<n>.
static tsr_symbol *find_range(const tsr_decoder *d, uint32_t scope,
                              tsr_ptx_str name, uint32_t *out_index) {
  uint32_t digits = name.size;
  while (digits > 0 && name.data[digits - 1] >= '0' &&
         name.data[digits - 1] <= '9') {
    --digits;
  }
  if (name.size - digits > 10 && name.size > 10) digits = name.size - 10;
  for (uint32_t split = digits; split < name.size; ++split) {
    if (split == 0) continue;
    if (name.data[split] == '0' && split + 1 < name.size) continue;
    uint64_t index = 0;
    for (uint32_t i = split; i < name.size; ++i) {
      index = index * 10 + (uint64_t)(name.data[i] - '0');
    }
    // Ranges have names of their own: "%r<".
    tsr_ptx_str prefix = {name.data, split};
    tsr_symbol *symbol =
        tsr_symbols_find(&d->symbols, scope | UINT32_C(1) << 31, prefix);
    if (symbol != NULL && index < symbol->count) {
      *out_index = symbol->index + (uint32_t)index;
      return symbol;
    }
  }
  return NULL;
}

tsr_symbol *tsr_lookup(const tsr_decoder *d, tsr_ptx_str name) {
  for (uint32_t scope = d->scope; scope != 0; scope = d->scope_parents[scope]) {
    tsr_symbol *symbol = tsr_symbols_find(&d->symbols, scope, name);
    if (symbol != NULL) return symbol;
  }
  return tsr_symbols_find(&d->loader->symbols, 0, name);
}

uint32_t tsr_lookup_register(const tsr_decoder *d, tsr_ptx_str name,
                             char component) {
  uint32_t index = UINT32_MAX;
  for (uint32_t scope = d->scope; scope != 0; scope = d->scope_parents[scope]) {
    if (find_range(d, scope, name, &index) != NULL) break;
    tsr_symbol *symbol = tsr_symbols_find(&d->symbols, scope, name);
    if (symbol == NULL) continue;
    if (symbol->kind == TSR_SYMBOL_REGISTER) index = symbol->index;
    break;
  }
  if (index == UINT32_MAX) return index;
  uint32_t vector = d->registers[index].vector;
  if (component == 0) return vector == 1 ? index : UINT32_MAX;
  uint32_t part = component == 'x'   ? 0
                  : component == 'y' ? 1
                  : component == 'z' ? 2
                  : component == 'w' ? 3
                                     : 4;
  return vector > 1 && part < vector ? index + part + 1 : UINT32_MAX;
}

const tsr_variable *tsr_lookup_variable(const tsr_decoder *d,
                                        const tsr_symbol *symbol) {
  return symbol->scope == 0 ? &d->loader->variables[symbol->index]
                            : &d->variables[symbol->index];
}

// --- Declarations

static tsr_symbol *add(tsr_decoder *d, uint32_t scope, tsr_ptx_str name,
                       tsr_ptx_pos pos, tsr_symbol_kind kind, uint32_t index) {
  uint32_t plain = scope & ~(UINT32_C(1) << 31), unused = 0;
  tsr_symbol *other = tsr_symbols_find(&d->symbols, scope, name);
  if (other == NULL && plain == scope) {
    other = find_range(d, scope, name, &unused);
  }
  if (other != NULL) {
    (void)tsr_decode_error_pos(
        d, pos, "duplicate definition of '%.*s' (first at line %u)",
        (int)name.size, name.data, other->pos.line);
    return NULL;
  }
  tsr_symbol *symbol = tsr_symbols_add(&d->symbols, scope, name);
  if (symbol == NULL) {
    (void)tsr_decode_out_of_memory(d);
    return NULL;
  }
  symbol->pos = pos;
  symbol->kind = kind;
  symbol->index = index;
  return symbol;
}

static bool new_register(tsr_decoder *d, const tsr_ptx_variable *ast) {
  if (tsr_register_new(d, ast->type, ast->vector) == UINT32_MAX) return false;
  if (ast->vector == 1) return true;
  d->has_vectors = true;
  for (uint32_t i = 0; i < ast->vector; ++i) {
    if (tsr_register_new(d, ast->type, 1) == UINT32_MAX) return false;
  }
  return true;
}

// Registers declared one by one whose names a range would give again.
static bool range_is_new(tsr_decoder *d, const tsr_ptx_variable *ast) {
  char name[128];
  if (d->plain_registers == 0 || ast->name.size > 100) return true;
  memcpy(name, ast->name.data, ast->name.size);
  for (uint32_t i = 0; i < ast->range; ++i) {
    int digits = snprintf(name + ast->name.size, 16, "%u", i);
    tsr_ptx_str one = {name, ast->name.size + (uint32_t)digits};
    const tsr_symbol *other = tsr_symbols_find(&d->symbols, d->scope, one);
    if (other == NULL) continue;
    return tsr_decode_error_pos(
        d, ast->pos, "duplicate definition of '%.*s' (first at line %u)",
        (int)one.size, one.data, other->pos.line);
  }
  return true;
}

static bool declare_register(tsr_decoder *d, const tsr_ptx_variable *ast) {
  uint32_t count = ast->range == 0 ? 1 : ast->range;
  if (ast->is_array) {
    return tsr_decode_error_pos(d, ast->pos, "registers cannot be arrays");
  }
  if (count > TSR_REGISTER_LIMIT ||
      d->register_count > TSR_REGISTER_LIMIT - count) {
    return tsr_decode_error_pos(d, ast->pos, "more than %d registers",
                                TSR_REGISTER_LIMIT);
  }
  if (ast->range > 0 && ast->vector > 1) {
    return tsr_decode_error_pos(d, ast->pos,
                                "vector registers cannot be a range");
  }
  if (!range_is_new(d, ast)) return false;
  d->plain_registers += ast->range == 0;
  uint32_t scope = d->scope | (ast->range > 0 ? UINT32_C(1) << 31 : 0);
  tsr_symbol *symbol =
      add(d, scope, ast->name, ast->pos,
          ast->range > 0 ? TSR_SYMBOL_RANGE : TSR_SYMBOL_REGISTER,
          d->register_count);
  if (symbol == NULL) return false;
  symbol->count = count;
  for (uint32_t i = 0; i < count; ++i) {
    if (!new_register(d, ast)) return false;
  }
  return true;
}

static bool add_variable(tsr_decoder *d, const tsr_ptx_variable *ast,
                         uint64_t address) {
  if (!tsr_decode_grow(d, (void **)&d->variables, d->variable_count,
                       &d->variable_capacity, sizeof(*d->variables))) {
    return false;
  }
  if (add(d, d->scope, ast->name, ast->pos, TSR_SYMBOL_VARIABLE,
          d->variable_count) == NULL) {
    return false;
  }
  tsr_variable *variable = &d->variables[d->variable_count++];
  *variable = (tsr_variable){.ast = ast, .address = address};
  variable->size = tsr_variable_bytes(d->loader, ast);
  variable->is_dynamic = ast->space == TSR_PTX_SPACE_SHARED && ast->is_extern;
  return true;
}

static bool declare_in_frame(tsr_decoder *d, const tsr_ptx_variable *ast) {
  uint64_t address = tsr_round_up(d->frame_bytes, ast->align);
  uint64_t size = tsr_variable_bytes(d->loader, ast);
  if (size > TSR_FRAME_LIMIT || address + size > TSR_FRAME_LIMIT) {
    return tsr_decode_error_pos(d, ast->pos, "more than %d bytes of .local",
                                TSR_FRAME_LIMIT);
  }
  d->frame_bytes = address + size;
  return add_variable(d, ast, address);
}

static bool declare_one(tsr_decoder *d, const tsr_ptx_variable *ast) {
  switch (ast->space) {
    case TSR_PTX_SPACE_REG:
      return declare_register(d, ast);
    case TSR_PTX_SPACE_LOCAL:
    case TSR_PTX_SPACE_PARAM:
      return declare_in_frame(d, ast);
    case TSR_PTX_SPACE_SHARED:
      return add_variable(d, ast, d->body->shared[d->body->shared_next++]);
    default:
      return tsr_decode_error_pos(
          d, ast->pos, "'%.*s': this state space is not allowed in a function",
          (int)ast->name.size, ast->name.data);
  }
}

bool tsr_declare_variable(tsr_decoder *d, const tsr_ptx_variable *ast) {
  if (ast->initial_count > 0) {
    return tsr_decode_error_pos(d, ast->pos, "'%.*s' cannot be initialised",
                                (int)ast->name.size, ast->name.data);
  }
  return declare_one(d, ast);
}

// Parameters of a kernel lie in the launch's buffer; those of a .func in its
// frame, or in registers that are filled when it begins.
bool tsr_declare_frame(tsr_decoder *d) {
  const tsr_ptx_function *ast = d->ast;
  if (d->kernel != NULL) {
    for (uint32_t i = 0; i < ast->param_count; ++i) {
      if (!add_variable(d, &ast->params[i], d->kernel->params[i].offset)) {
        return false;
      }
      d->variables[d->variable_count - 1].is_argument = true;
    }
    return true;
  }
  uint32_t count = ast->result_count + ast->param_count;
  d->argument_registers = tsr_arena_alloc_array(&d->loader->scratch, count + 1,
                                                sizeof(*d->argument_registers));
  if (d->argument_registers == NULL) return tsr_decode_out_of_memory(d);
  for (uint32_t i = 0; i < count; ++i) {
    const tsr_ptx_variable *one = i < ast->result_count
                                      ? &ast->results[i]
                                      : &ast->params[i - ast->result_count];
    d->argument_registers[i] = UINT32_MAX;
    if (one->space == TSR_PTX_SPACE_REG) {
      d->argument_registers[i] = d->register_count;
      if (!declare_register(d, one)) return false;
    } else {
      if (!add_variable(d, one, d->signature->offsets[i])) return false;
      d->variables[d->variable_count - 1].is_argument = true;
    }
  }
  d->frame_bytes = d->signature->bytes;
  return true;
}

// --- Labels and scopes, before anything is decoded

static bool new_scope(tsr_decoder *d, uint32_t parent, uint32_t *out_scope) {
  if (!tsr_decode_grow(d, (void **)&d->scope_parents, d->scope_count,
                       &d->scope_capacity, sizeof(*d->scope_parents))) {
    return false;
  }
  d->scope_parents[d->scope_count] = parent;
  *out_scope = d->scope_count++;
  return true;
}

static bool declare_label(tsr_decoder *d, const tsr_ptx_statement *statement) {
  if (!tsr_decode_grow(d, (void **)&d->labels, d->label_count,
                       &d->label_capacity, sizeof(*d->labels))) {
    return false;
  }
  if (add(d, d->scope, statement->as.label, statement->pos, TSR_SYMBOL_LABEL,
          d->label_count) != NULL) {
    d->labels[d->label_count++] = (tsr_label){statement->as.label, UINT32_MAX};
  }
  return !d->loader->out_of_memory;
}

static bool declare_statement(tsr_decoder *d, uint32_t index) {
  const tsr_ptx_statement *statement = &d->ast->statements[index];
  switch (statement->kind) {
    case TSR_PTX_STATEMENT_OPEN:
      return new_scope(d, d->scope, &d->scope);
    case TSR_PTX_STATEMENT_CLOSE:
      tsr_scope_close(d);
      return true;
    case TSR_PTX_STATEMENT_LABEL:
      return declare_label(d, statement);
    case TSR_PTX_STATEMENT_TARGETS:
      (void)add(d, d->scope, statement->as.targets.name, statement->pos,
                TSR_SYMBOL_TARGETS, index);
      return !d->loader->out_of_memory;
    case TSR_PTX_STATEMENT_PROTOTYPE:
      (void)add(d, d->scope, statement->as.prototype->name, statement->pos,
                TSR_SYMBOL_PROTOTYPE, index);
      return !d->loader->out_of_memory;
    default:
      return true;
  }
}

bool tsr_declare_labels(tsr_decoder *d) {
  d->scope_count = 0;
  if (!new_scope(d, 0, &d->scope)) return false;  // 0: the module
  if (!new_scope(d, 0, &d->scope)) return false;  // 1: the function
  for (uint32_t i = 0; i < d->ast->statement_count; ++i) {
    if (!declare_statement(d, i)) return false;
  }
  d->scope = 1;
  d->scope_count = 2;  // numbered again, in the same order, when decoding
  return true;
}

void tsr_scope_open(tsr_decoder *d) {
  d->scope = d->scope_count++;
}

void tsr_scope_close(tsr_decoder *d) {
  if (d->scope_parents[d->scope] != 0) d->scope = d->scope_parents[d->scope];
}

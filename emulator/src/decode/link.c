// SPDX-License-Identifier: Apache-2.0
// The symbols of a module: what is declared and defined, where variables lie
// in device memory, what they hold at first. Names are resolved within the
// module alone (a JIT linker's other inputs do not exist here).
#include "base/memory.h"
#include "decode/internal.h"

static bool no_memory(tsr_loader *loader) {
  loader->out_of_memory = true;
  return false;
}

uint64_t tsr_round_up(uint64_t value, uint64_t align) {
  return align <= 1 ? value : (value + align - 1) / align * align;
}

uint64_t tsr_variable_bytes(tsr_loader *loader, const tsr_ptx_variable *ast) {
  uint64_t element =
      (uint64_t)(tsr_ptx_type_bits(ast->type) + 7) / 8 * ast->vector;
  uint64_t count = ast->is_unsized ? ast->initial_count / ast->vector
                   : ast->is_array ? ast->count
                                   : 1;
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(element, count, &bytes) || bytes >> 40 != 0) {
    tsr_ptx_log_error(loader->log, ast->pos, "'%.*s' is too large",
                      (int)ast->name.size, ast->name.data);
    return 0;
  }
  return bytes;
}

bool tsr_signature_make(tsr_loader *loader, const tsr_ptx_variable *results,
                        uint32_t result_count, const tsr_ptx_variable *params,
                        uint32_t param_count, tsr_signature *out) {
  uint32_t count = result_count + param_count;
  tsr_arena *arena = &loader->program->arena;
  out->result_count = result_count;
  out->param_count = param_count;
  out->sizes = tsr_arena_alloc_array(arena, count + 1, sizeof(*out->sizes));
  out->offsets = tsr_arena_alloc_array(arena, count + 1, sizeof(*out->offsets));
  if (out->sizes == NULL || out->offsets == NULL) return no_memory(loader);
  uint64_t offset = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const tsr_ptx_variable *one =
        i < result_count ? &results[i] : &params[i - result_count];
    offset = tsr_round_up(offset, one->align);
    out->offsets[i] = (uint32_t)offset;
    out->sizes[i] = (uint32_t)tsr_variable_bytes(loader, one);
    offset += out->sizes[i];
    if (offset > UINT32_C(1) << 20) {
      tsr_ptx_log_error(loader->log, one->pos, "parameters are too large");
      offset = 0;
    }
  }
  out->bytes = (uint32_t)tsr_round_up(offset, 16);
  return true;
}

// --- Declarations

static bool duplicate(tsr_loader *loader, const tsr_symbol *symbol,
                      tsr_ptx_pos pos) {
  tsr_ptx_log_error(
      loader->log, pos, "duplicate definition of '%.*s' (first at line %u)",
      (int)symbol->name.size, symbol->name.data, symbol->pos.line);
  return true;
}

static bool declare_variable(tsr_loader *loader, const tsr_ptx_variable *ast) {
  if (ast->space != TSR_PTX_SPACE_GLOBAL && ast->space != TSR_PTX_SPACE_CONST &&
      ast->space != TSR_PTX_SPACE_SHARED) {
    tsr_ptx_log_error(loader->log, ast->pos,
                      "'%.*s': this state space is not allowed at module scope",
                      (int)ast->name.size, ast->name.data);
    return true;
  }
  tsr_symbol *symbol = tsr_symbols_find(&loader->symbols, 0, ast->name);
  if (symbol == NULL) {
    symbol = tsr_symbols_add(&loader->symbols, 0, ast->name);
    if (symbol == NULL) return no_memory(loader);
    symbol->kind = TSR_SYMBOL_VARIABLE;
    symbol->pos = ast->pos;
    symbol->index = loader->variable_count++;
    loader->variables[symbol->index].ast = ast;
    return true;
  }
  if (symbol->kind != TSR_SYMBOL_VARIABLE) {
    return duplicate(loader, symbol, ast->pos);
  }
  tsr_variable *variable = &loader->variables[symbol->index];
  const tsr_ptx_variable *other = variable->ast;
  if (other->space != ast->space || other->type != ast->type ||
      other->vector != ast->vector) {
    tsr_ptx_log_error(loader->log, ast->pos,
                      "'%.*s' was declared otherwise at line %u",
                      (int)ast->name.size, ast->name.data, symbol->pos.line);
  } else if (other->is_extern) {
    variable->ast = ast;
  } else if (!ast->is_extern && !ast->is_weak && !ast->is_common) {
    if (!other->is_weak && !other->is_common) {
      return duplicate(loader, symbol, ast->pos);
    }
    variable->ast = ast;  // a strong definition replaces a weak one
  }
  return true;
}

static bool same_shape(const tsr_ptx_function *a, const tsr_ptx_function *b) {
  if (a->is_entry != b->is_entry || a->result_count != b->result_count ||
      a->param_count != b->param_count) {
    return false;
  }
  for (uint32_t i = 0; i < a->param_count; ++i) {
    const tsr_ptx_variable *x = &a->params[i], *y = &b->params[i];
    if (x->type != y->type || x->count != y->count) return false;
  }
  for (uint32_t i = 0; i < a->result_count; ++i) {
    const tsr_ptx_variable *x = &a->results[i], *y = &b->results[i];
    if (x->type != y->type || x->count != y->count) return false;
  }
  return true;
}

static bool declare_function(tsr_loader *loader, const tsr_ptx_function *ast) {
  tsr_symbol *symbol = tsr_symbols_find(&loader->symbols, 0, ast->name);
  if (symbol == NULL) {
    symbol = tsr_symbols_add(&loader->symbols, 0, ast->name);
    if (symbol == NULL) return no_memory(loader);
    symbol->kind = TSR_SYMBOL_FUNCTION;
    symbol->pos = ast->pos;
    symbol->index = loader->callee_count++;
    loader->callees[symbol->index].ast = ast;
    return true;
  }
  if (symbol->kind != TSR_SYMBOL_FUNCTION) {
    return duplicate(loader, symbol, ast->pos);
  }
  tsr_callee *callee = &loader->callees[symbol->index];
  if (!same_shape(callee->ast, ast)) {
    tsr_ptx_log_error(loader->log, ast->pos,
                      "'%.*s' was declared otherwise at line %u",
                      (int)ast->name.size, ast->name.data, symbol->pos.line);
  } else if (!callee->ast->has_body) {
    callee->ast = ast;
  } else if (ast->has_body && !ast->is_weak) {
    if (!callee->ast->is_weak) return duplicate(loader, symbol, ast->pos);
    callee->ast = ast;
  }
  return true;
}

bool tsr_link_declare(tsr_loader *loader) {
  const tsr_ptx_module *module = loader->module;
  loader->variables = tsr_arena_alloc_array(
      &loader->scratch, module->variable_count + 1, sizeof(*loader->variables));
  loader->callees = tsr_arena_alloc_array(
      &loader->scratch, module->function_count + 1, sizeof(*loader->callees));
  if (loader->variables == NULL || loader->callees == NULL) {
    return no_memory(loader);
  }
  for (uint32_t i = 0; i < module->variable_count; ++i) {
    if (!declare_variable(loader, &module->variables[i])) return false;
  }
  for (uint32_t i = 0; i < module->function_count; ++i) {
    if (!declare_function(loader, &module->functions[i])) return false;
  }
  for (uint32_t i = 0; i < loader->callee_count; ++i) {
    tsr_callee *callee = &loader->callees[i];
    if (callee->ast->is_entry) continue;
    const tsr_ptx_function *ast = callee->ast;
    if (!tsr_signature_make(loader, ast->results, ast->result_count,
                            ast->params, ast->param_count,
                            &callee->signature)) {
      return false;
    }
  }
  return true;
}

// --- Global and constant memory

static bool is_in_heap(const tsr_variable *variable) {
  return variable->ast->space == TSR_PTX_SPACE_GLOBAL ||
         variable->ast->space == TSR_PTX_SPACE_CONST;
}

static bool place_variable(tsr_loader *loader, tsr_variable *variable,
                           tsr_global *global) {
  const tsr_ptx_variable *ast = variable->ast;
  bool is_constant = ast->space == TSR_PTX_SPACE_CONST;
  if (ast->align > 512) {
    tsr_ptx_log_error(loader->log, ast->pos, "alignment of '%.*s' is above 512",
                      (int)ast->name.size, ast->name.data);
    return true;
  }
  uint64_t room = variable->size == 0 ? 1 : variable->size;
  if (tsr_heap_allocate(loader->program->heap, room,
                        is_constant ? TSR_HEAP_CONSTANT : TSR_HEAP_DATA,
                        &variable->address, loader->error) != TSR_OK) {
    return no_memory(loader);
  }
  // Zero unless initialised: PTX ISA 5.4.4.
  memset((void *)(uintptr_t)variable->address, 0, (size_t)room);
  tsr_heap_mark_written(loader->program->heap, variable->address, room);
  global->address = variable->address;  // freed with the program from here on
  loader->program->global_count++;
  global->name = tsr_arena_strndup(&loader->program->arena, ast->name.data,
                                   ast->name.size);
  global->size = variable->size;
  global->is_constant = is_constant;
  return global->name != NULL || no_memory(loader);
}

// The address that an initialiser names; 0 after an error.
static uint64_t symbol_value(tsr_loader *loader,
                             const tsr_ptx_initial *initial) {
  const tsr_symbol *symbol =
      tsr_symbols_find(&loader->symbols, 0, initial->symbol);
  const char *what = "undefined symbol";
  if (symbol != NULL && symbol->kind == TSR_SYMBOL_VARIABLE) {
    const tsr_variable *variable = &loader->variables[symbol->index];
    if (is_in_heap(variable) && !variable->is_undefined) {
      return variable->address;
    }
    what = variable->is_undefined ? "undefined symbol" : "no constant address:";
  } else if (symbol != NULL) {
    tsr_callee *callee = &loader->callees[symbol->index];
    if (!callee->ast->is_entry && callee->ast->has_body) {
      callee->address_used = true;
      return TSR_FUNCTION_BASE + symbol->index;
    }
    if (callee->ast->is_entry) what = "no address of a kernel:";
  }
  tsr_ptx_log_error(loader->log, initial->pos, "%s '%.*s'", what,
                    (int)initial->symbol.size, initial->symbol.data);
  return 0;
}

static void initialise(tsr_loader *loader, const tsr_variable *variable) {
  const tsr_ptx_variable *ast = variable->ast;
  uint64_t element = (tsr_ptx_type_bits(ast->type) + 7) / 8;
  if (element == 0 || ast->initial_count > variable->size / element) {
    tsr_ptx_log_error(loader->log, ast->pos,
                      "too many initial values of '%.*s'", (int)ast->name.size,
                      ast->name.data);
    return;
  }
  for (uint64_t i = 0; i < ast->initial_count; ++i) {
    const tsr_ptx_initial *initial = &ast->initials[i];
    uint64_t value = initial->bits;
    if (initial->symbol.size > 0) {
      value += symbol_value(loader, initial);
      if (initial->mask_bits > 0) {
        value >>= initial->mask_shift;
        if (initial->mask_bits < 64) {
          value &= (UINT64_C(1) << initial->mask_bits) - 1;
        }
      } else if (element < 8) {
        tsr_ptx_log_error(loader->log, initial->pos,
                          "the address of '%.*s' does not fit",
                          (int)initial->symbol.size, initial->symbol.data);
      }
    }
    memcpy((void *)(uintptr_t)(variable->address + i * element), &value,
           element < 8 ? (size_t)element : 8);
  }
}

bool tsr_link_place(tsr_loader *loader) {
  tsr_global *globals = tsr_arena_alloc_array(
      &loader->program->arena, loader->variable_count + 1, sizeof(*globals));
  if (globals == NULL) return no_memory(loader);
  loader->program->globals = globals;
  for (uint32_t i = 0; i < loader->variable_count; ++i) {
    tsr_variable *variable = &loader->variables[i];
    const tsr_ptx_variable *ast = variable->ast;
    variable->size = tsr_variable_bytes(loader, ast);
    if (ast->space == TSR_PTX_SPACE_SHARED) {
      variable->is_dynamic = ast->is_extern && ast->is_unsized;
      variable->is_undefined = ast->is_extern && !ast->is_unsized;
      continue;
    }
    variable->is_undefined = ast->is_extern;
    if (variable->is_undefined) continue;
    if (!place_variable(loader, variable,
                        &globals[loader->program->global_count])) {
      return false;
    }
  }
  if (loader->log->error_count > 0) return true;
  for (uint32_t i = 0; i < loader->variable_count; ++i) {
    tsr_variable *variable = &loader->variables[i];
    if (variable->ast->initial_count == 0 || variable->is_undefined) continue;
    if (is_in_heap(variable)) {
      initialise(loader, variable);
    } else {
      tsr_ptx_log_error(loader->log, variable->ast->pos,
                        "'%.*s' in .shared cannot be initialised",
                        (int)variable->ast->name.size,
                        variable->ast->name.data);
    }
  }
  return true;
}

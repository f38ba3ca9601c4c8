// SPDX-License-Identifier: Apache-2.0
// The layout of a kernel's static shared memory. A variable of the module
// takes room only in kernels that name it, as with ptxas: front ends put every
// kernel's arrays at module scope. What a .func names lies at the same place
// in every kernel (in front of the kernel's own), for its code is shared.
// Dynamic shared memory (.extern .shared x[], all of them at one address)
// follows.
#include "decode/internal.h"

typedef struct layout {
  tsr_loader *loader;
  uint64_t end;  // address behind what is placed
  uint32_t dynamic_align;
  bool functions;
} layout;

typedef void visit(layout *to, tsr_variable *variable);

static void visit_name(layout *to, tsr_ptx_str name, visit *f) {
  tsr_loader *loader = to->loader;
  if (name.size == 0 || name.data[0] == '%') return;
  tsr_symbol *symbol = tsr_symbols_find(&loader->symbols, 0, name);
  if (symbol == NULL || symbol->kind != TSR_SYMBOL_VARIABLE) return;
  tsr_variable *variable = &loader->variables[symbol->index];
  if (variable->ast->space == TSR_PTX_SPACE_SHARED) f(to, variable);
}

static void visit_operand(layout *to, const tsr_ptx_operand *operand,
                          visit *f) {
  visit_name(to, operand->name, f);
  for (uint32_t i = 0; i < operand->item_count; ++i) {
    visit_operand(to, &operand->items[i], f);
  }
}

static void visit_function(layout *to, const tsr_ptx_function *ast, visit *f) {
  for (uint32_t i = 0; i < ast->statement_count; ++i) {
    const tsr_ptx_statement *statement = &ast->statements[i];
    if (statement->kind != TSR_PTX_STATEMENT_INSTRUCTION) continue;
    const tsr_ptx_instruction *instruction = &statement->as.instruction;
    for (uint32_t k = 0; k < instruction->operand_count; ++k) {
      visit_operand(to, &instruction->operands[k], f);
    }
  }
}

static void mark(layout *to, tsr_variable *variable) {
  if (variable->is_dynamic) {
    if (variable->ast->align > to->dynamic_align) {
      to->dynamic_align = variable->ast->align;
    }
  } else if (to->functions) {
    variable->by_functions = true;
  } else if (!variable->by_functions) {
    variable->placed = true;
  }
}

static uint64_t put(layout *to, const tsr_ptx_variable *ast, uint64_t size) {
  uint64_t address = tsr_round_up(to->end, ast->align);
  to->end = address + size;
  return address;
}

static bool put_own(layout *to, const tsr_ptx_function *ast, tsr_body *body) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < ast->statement_count; ++i) {
    const tsr_ptx_statement *statement = &ast->statements[i];
    count += statement->kind == TSR_PTX_STATEMENT_VARIABLE &&
             statement->as.variable.space == TSR_PTX_SPACE_SHARED;
  }
  body->shared = tsr_arena_alloc_array(&to->loader->scratch, count + 1,
                                       sizeof(*body->shared));
  if (body->shared == NULL) {
    to->loader->out_of_memory = true;
    return false;
  }
  count = 0;
  for (uint32_t i = 0; i < ast->statement_count; ++i) {
    const tsr_ptx_statement *statement = &ast->statements[i];
    if (statement->kind != TSR_PTX_STATEMENT_VARIABLE) continue;
    const tsr_ptx_variable *variable = &statement->as.variable;
    if (variable->space != TSR_PTX_SPACE_SHARED) continue;
    if (variable->is_extern) {
      if (variable->align > to->dynamic_align) {
        to->dynamic_align = variable->align;
      }
      body->shared[count++] = 0;
    } else {
      body->shared[count++] =
          put(to, variable, tsr_variable_bytes(to->loader, variable));
    }
  }
  return true;
}

bool tsr_link_common_shared(tsr_loader *loader) {
  layout to = {.loader = loader, .end = TSR_SHARED_BASE, .functions = true};
  for (uint32_t i = 0; i < loader->callee_count; ++i) {
    const tsr_ptx_function *ast = loader->callees[i].ast;
    if (ast->is_entry) continue;
    visit_function(&to, ast, mark);
    if (!put_own(&to, ast, &loader->bodies[i])) return false;
  }
  for (uint32_t i = 0; i < loader->variable_count; ++i) {
    tsr_variable *variable = &loader->variables[i];
    if (!variable->by_functions) continue;
    variable->address = put(&to, variable->ast, variable->size);
  }
  loader->common_shared = (uint32_t)(to.end > UINT32_MAX ? UINT32_MAX : to.end);
  loader->common_dynamic_align = to.dynamic_align;
  return true;
}

bool tsr_link_shared(tsr_loader *loader, const tsr_ptx_function *function,
                     tsr_body *body, tsr_kernel *kernel) {
  layout to = {.loader = loader,
               .end = loader->common_shared,
               .dynamic_align = loader->common_dynamic_align};
  for (uint32_t i = 0; i < loader->variable_count; ++i) {
    loader->variables[i].placed = false;
  }
  visit_function(&to, function, mark);
  for (uint32_t i = 0; i < loader->variable_count; ++i) {
    tsr_variable *variable = &loader->variables[i];
    if (!variable->placed) continue;
    variable->address = put(&to, variable->ast, variable->size);
  }
  if (!put_own(&to, function, body)) return false;
  uint64_t used = to.end - TSR_SHARED_BASE;
  if (used > loader->device->shared_per_block) {
    tsr_ptx_log_error(
        loader->log, function->pos,
        "entry '%.*s' uses too much shared data (%llu bytes, %u at most)",
        (int)function->name.size, function->name.data, (unsigned long long)used,
        loader->device->shared_per_block);
    return true;
  }
  kernel->static_shared_align = to.dynamic_align == 0 ? 16 : to.dynamic_align;
  if (to.dynamic_align > 0) to.end = tsr_round_up(to.end, to.dynamic_align);
  kernel->static_shared = (uint32_t)(to.end - TSR_SHARED_BASE);
  for (uint32_t i = 0; i < loader->variable_count; ++i) {
    if (loader->variables[i].is_dynamic) loader->variables[i].address = to.end;
  }
  for (uint32_t i = 0, k = 0; i < function->statement_count; ++i) {
    const tsr_ptx_statement *statement = &function->statements[i];
    if (statement->kind != TSR_PTX_STATEMENT_VARIABLE) continue;
    const tsr_ptx_variable *variable = &statement->as.variable;
    if (variable->space != TSR_PTX_SPACE_SHARED) continue;
    if (variable->is_extern) body->shared[k] = to.end;
    ++k;
  }
  return true;
}

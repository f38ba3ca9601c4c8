// SPDX-License-Identifier: Apache-2.0
// Any bytes as PTX text: parsed, walked, and loaded as a program. Beyond not
// crashing:
//  - a text has a module exactly when no mistake was found in it;
//  - every string of the tree lies in the text and every place is in it;
//  - what the parser refuses is not loaded.
#include <stdlib.h>
#include <string.h>

#include "decode/program.h"
#include "exec/devices.h"
#include "fuzz.h"

static void require(bool condition) {
  if (!condition) abort();
}

// Reads all bytes, for the sanitizer's eyes.
static void walk_string(tsr_ptx_str string) {
  volatile char sum = 0;
  for (uint32_t i = 0; i < string.size; ++i) sum = (char)(sum ^ string.data[i]);
}

static void walk_operand(const tsr_ptx_operand *operand, uint32_t depth) {
  require(depth < 16 && operand->pos.line > 0 && operand->pos.column > 0);
  walk_string(operand->name);
  for (uint32_t i = 0; i < operand->item_count; ++i) {
    walk_operand(&operand->items[i], depth + 1);
  }
}

static void walk_variable(const tsr_ptx_variable *variable) {
  walk_string(variable->name);
  require(variable->type != TSR_PTX_NO_TYPE);
  require(variable->vector == 1 || variable->vector == 2 ||
          variable->vector == 4);
  require(variable->align != 0);
  require(variable->initial_count <= variable->count * variable->vector);
  for (uint64_t i = 0; i < variable->initial_count; ++i) {
    walk_string(variable->initials[i].symbol);
  }
}

static void walk_instruction(const tsr_ptx_instruction *instruction) {
  walk_string(instruction->opcode);
  walk_string(instruction->guard);
  for (uint32_t i = 0; i < instruction->modifier_count; ++i) {
    walk_string(instruction->modifiers[i].name);
  }
  for (uint32_t i = 0; i < instruction->operand_count; ++i) {
    walk_operand(&instruction->operands[i], 0);
  }
}

static void walk_statement(const tsr_ptx_statement *statement) {
  switch (statement->kind) {
    case TSR_PTX_STATEMENT_INSTRUCTION:
      walk_instruction(&statement->as.instruction);
      break;
    case TSR_PTX_STATEMENT_LABEL:
      walk_string(statement->as.label);
      break;
    case TSR_PTX_STATEMENT_VARIABLE:
      walk_variable(&statement->as.variable);
      break;
    case TSR_PTX_STATEMENT_TARGETS:
      for (uint32_t i = 0; i < statement->as.targets.count; ++i) {
        walk_string(statement->as.targets.names[i]);
      }
      break;
    case TSR_PTX_STATEMENT_PROTOTYPE:
      walk_string(statement->as.prototype->name);
      break;
    default:
      break;
  }
}

static void walk_function(const tsr_ptx_function *function) {
  uint32_t depth = 0;
  walk_string(function->name);
  for (uint32_t i = 0; i < function->param_count; ++i) {
    walk_variable(&function->params[i]);
  }
  for (uint32_t i = 0; i < function->statement_count; ++i) {
    const tsr_ptx_statement *statement = &function->statements[i];
    if (statement->kind == TSR_PTX_STATEMENT_OPEN) ++depth;
    if (statement->kind == TSR_PTX_STATEMENT_CLOSE) require(depth-- > 0);
    walk_statement(statement);
  }
  require(depth == 0);
}

static bool parse(const char *text, size_t size) {
  tsr_arena arena = {0};
  tsr_ptx_log log = {0};
  tsr_error error = {0};
  const tsr_ptx_module *module;
  tsr_status status = tsr_ptx_parse(text, size, &arena, &log, &module, &error);
  require((status == TSR_OK) == (module != NULL));
  require((status == TSR_OK) == (log.error_count == 0));
  require((status == TSR_OK) == (error.message[0] == '\0'));
  if (module != NULL) {
    for (uint32_t i = 0; i < module->variable_count; ++i) {
      walk_variable(&module->variables[i]);
    }
    for (uint32_t i = 0; i < module->function_count; ++i) {
      walk_function(&module->functions[i]);
    }
  }
  tsr_ptx_log_fini(&log);
  tsr_arena_fini(&arena);
  return status == TSR_OK;
}

static void load(const char *text, size_t size, bool parsed) {
  static tsr_heap *heap;
  tsr_error error = {0};
  if (heap == NULL) {
    require(tsr_heap_create(UINT64_C(1) << 28, false, &heap, &error) == TSR_OK);
  }
  tsr_ptx_log log = {0};
  tsr_program *program = NULL;
  tsr_status status = tsr_program_load(text, size, tsr_device_find("h100"),
                                       heap, &log, &program, &error);
  require(parsed || status != TSR_OK);
  require((status == TSR_OK) == (program != NULL));
  require(status != TSR_OK || log.error_count == 0);
  tsr_program_destroy(program);
  tsr_ptx_log_fini(&log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data;
  load(text, size, parse(text, size));
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Modifiers of the instruction being decoded: taken one by one by its family;
// what is left over is a mistake.
#include <stdio.h>

#include "decode/internal.h"

const tsr_ptx_instruction *tsr_decode_instruction(const tsr_decoder *d) {
  return d->instruction;
}

tsr_arena *tsr_decode_arena(tsr_decoder *d) {
  return &d->loader->program->arena;
}

uint32_t tsr_decode_ptx_version(const tsr_decoder *d) {
  return d->loader->program->ptx_version;
}

uint32_t tsr_decode_target(const tsr_decoder *d) {
  return d->loader->program->target;
}

bool tsr_decode_pass(tsr_decoder *d) {
  d->passed = true;
  return false;
}

bool tsr_decode_require(tsr_decoder *d, uint32_t ptx_version, uint32_t target,
                        char variant) {
  const tsr_program *program = d->loader->program;
  tsr_ptx_str opcode = d->instruction->opcode;
  if (program->ptx_version < ptx_version) {
    return tsr_decode_error(d, "'%.*s' needs .version %u.%u or later",
                            (int)opcode.size, opcode.data, ptx_version / 10,
                            ptx_version % 10);
  }
  if (variant != 0
          ? program->target != target || program->target_variant != variant
          : program->target < target) {
    char suffix[2] = {variant, '\0'};
    return tsr_decode_error(d, "'%.*s' needs .target sm_%u%s%s",
                            (int)opcode.size, opcode.data, target, suffix,
                            variant != 0 ? "" : " or later");
  }
  return true;
}

static bool is_free(const tsr_decoder *d, uint32_t index, const char *name) {
  return !d->taken[index] &&
         tsr_ptx_str_equal(d->instruction->modifiers[index].name, name);
}

bool tsr_mod(tsr_decoder *d, const char *name) {
  for (uint32_t i = 0; i < d->instruction->modifier_count; ++i) {
    if (!is_free(d, i, name)) continue;
    d->taken[i] = true;
    return true;
  }
  return false;
}

int tsr_mod_one_of(tsr_decoder *d, const char *const *names) {
  for (int i = 0; names[i] != NULL; ++i) {
    if (tsr_mod(d, names[i])) return i;
  }
  return -1;
}

int tsr_mod_need(tsr_decoder *d, const char *const *names, const char *what) {
  int index = tsr_mod_one_of(d, names);
  if (index < 0) (void)tsr_decode_error(d, "%s expected", what);
  return index;
}

tsr_ptx_type tsr_mod_type(tsr_decoder *d) {
  for (uint32_t i = 0; i < d->instruction->modifier_count; ++i) {
    if (d->taken[i]) continue;
    tsr_ptx_type type =
        tsr_ptx_type_from_name(d->instruction->modifiers[i].name);
    if (type == TSR_PTX_NO_TYPE) continue;
    d->taken[i] = true;
    return type;
  }
  return TSR_PTX_NO_TYPE;
}

bool tsr_mod_need_type(tsr_decoder *d, tsr_ptx_type *out_type) {
  *out_type = tsr_mod_type(d);
  if (*out_type != TSR_PTX_NO_TYPE) return true;
  // What stands where the type should be is named, if anything does.
  tsr_ptx_str next = tsr_mod_peek(d);
  if (next.size == 0) return tsr_decode_error(d, "type expected");
  return tsr_decode_error(d, "type expected, found '.%.*s'", (int)next.size,
                          next.data);
}

uint32_t tsr_mod_vector(tsr_decoder *d) {
  if (tsr_mod(d, "v2")) return 2;
  if (tsr_mod(d, "v4")) return 4;
  if (tsr_mod(d, "v8")) return 8;
  return 1;
}

tsr_ptx_str tsr_mod_peek(const tsr_decoder *d) {
  for (uint32_t i = 0; i < d->instruction->modifier_count; ++i) {
    if (!d->taken[i]) return d->instruction->modifiers[i].name;
  }
  return (tsr_ptx_str){NULL, 0};
}

tsr_ptx_type_kind tsr_instruction_kind(const tsr_decoder *d) {
  for (uint32_t i = 0; i < d->instruction->modifier_count; ++i) {
    tsr_ptx_type type =
        tsr_ptx_type_from_name(d->instruction->modifiers[i].name);
    if (type != TSR_PTX_NO_TYPE) return tsr_ptx_type_class(type);
  }
  return TSR_PTX_KIND_NONE;
}

uint32_t tsr_operand_count(const tsr_decoder *d) {
  return d->instruction->operand_count;
}

bool tsr_need_operands(tsr_decoder *d, uint32_t least, uint32_t most) {
  uint32_t count = d->instruction->operand_count;
  if (count >= least && count <= most) return true;
  char wanted[48];
  if (least == most) {
    (void)snprintf(wanted, sizeof(wanted), "%u", least);
  } else {
    (void)snprintf(wanted, sizeof(wanted), "%u to %u", least, most);
  }
  return tsr_decode_error(d, "'%.*s' takes %s operands, not %u",
                          (int)d->instruction->opcode.size,
                          d->instruction->opcode.data, wanted, count);
}

// One that is not there is of a kind that no instruction takes, so that a
// family that looks before it counts reports a mistake.
const tsr_ptx_operand *tsr_operand(const tsr_decoder *d, uint32_t index) {
  static const tsr_ptx_operand missing = {.kind = TSR_PTX_TUPLE};
  if (index >= d->instruction->operand_count) return &missing;
  return &d->instruction->operands[index];
}

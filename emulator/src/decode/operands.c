// SPDX-License-Identifier: Apache-2.0
// Operands of the instruction being decoded: registers with the checks of PTX
// ISA 9.4 ("Operand Size Exceeding Instruction-Type Size") and 6.2, immediates
// converted to the instruction's type, special registers, addresses.
#include "decode/front.h"
#include "ops/special.h"

static const char *const space_names[] = {
    "generic", ".reg", ".const", ".global", ".local", ".param", ".shared"};

static bool mismatch(tsr_decoder *d, const tsr_ptx_operand *operand,
                     tsr_ptx_type have, tsr_ptx_type want) {
  return tsr_decode_error_at(d, operand, "'%.*s' is .%s where .%s is expected",
                             (int)operand->name.size, operand->name.data,
                             tsr_ptx_type_name(have), tsr_ptx_type_name(want));
}

// Integers agree with each other and with bits; floats with bits and with
// themselves; bits with all. Wider registers: bits or (for integers) integers.
static bool agree(tsr_ptx_type have, tsr_ptx_type want, bool wider) {
  tsr_ptx_type_kind h = tsr_ptx_type_class(have), w = tsr_ptx_type_class(want);
  if (h == TSR_PTX_KIND_PRED || w == TSR_PTX_KIND_PRED) return h == w;
  uint32_t have_bits = tsr_ptx_type_bits(have);
  uint32_t want_bits = tsr_ptx_type_bits(want);
  if (have_bits < want_bits || (have_bits > want_bits && !wider)) return false;
  if (h == TSR_PTX_KIND_BITS || w == TSR_PTX_KIND_BITS) return true;
  if (h == TSR_PTX_KIND_FLOAT || w == TSR_PTX_KIND_FLOAT) {
    return h == w && have == want;
  }
  return true;
}

static bool is_symbolic(const tsr_decoder *d) {
  static const char *const names[] = {"mov",        "cvta",     "mapa",
                                      "getctarank", "isspacep", NULL};
  for (int i = 0; names[i] != NULL; ++i) {
    if (tsr_ptx_str_equal(d->instruction->opcode, names[i])) return true;
  }
  return false;
}

// --- Immediates

static double double_of(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

// A float literal as bits of |type|; false when the type takes none.
static bool convert_float(const tsr_ptx_operand *operand, tsr_ptx_type type,
                          uint64_t *out) {
  bool single = operand->kind == TSR_PTX_FLOAT32;
  uint32_t low = (uint32_t)operand->integer;
  float narrow;
  memcpy(&narrow, &low, sizeof(narrow));
  switch (type) {
    case TSR_PTX_F32:
      if (!single) {
        narrow = (float)double_of(operand->integer);
        memcpy(&low, &narrow, sizeof(low));
      }
      *out = low;
      return true;
    case TSR_PTX_F64:
    case TSR_PTX_B64:
      *out = operand->integer;
      if (single) {
        double value = (double)narrow;
        memcpy(out, &value, sizeof(value));
      }
      return true;
    case TSR_PTX_B32:
      *out = low;
      return single;
    default:
      return false;
  }
}

static bool immediate_source(tsr_decoder *d, const tsr_ptx_operand *operand,
                             tsr_ptx_type type, tsr_ref *out_ref) {
  uint64_t bits = operand->integer;
  bool fits;
  if (operand->kind == TSR_PTX_INTEGER) {
    fits = tsr_ptx_type_class(type) != TSR_PTX_KIND_FLOAT &&
           tsr_ptx_type_bits(type) <= 64;
  } else {
    fits = convert_float(operand, type, &bits);
  }
  if (!fits) {
    return tsr_decode_error_at(
        d, operand, "%s literal where .%s is expected",
        operand->kind == TSR_PTX_INTEGER ? "integer" : "float",
        tsr_ptx_type_name(type));
  }
  *out_ref = tsr_constant(d, type, bits);
  return *out_ref != TSR_REF_NONE;
}

bool tsr_immediate(tsr_decoder *d, const tsr_ptx_operand *operand,
                   uint64_t *out_value) {
  if (operand->kind == TSR_PTX_NAME &&
      tsr_ptx_str_equal(operand->name, "WARP_SZ")) {
    *out_value = TSR_LANES;
    return true;
  }
  if (operand->kind != TSR_PTX_INTEGER) {
    return tsr_decode_error_at(d, operand, "integer constant expected");
  }
  *out_value = operand->integer;
  return true;
}

// --- Names

static bool unknown_name(tsr_decoder *d, const tsr_ptx_operand *operand) {
  char part[3] = {operand->component != 0 ? '.' : '\0', operand->component, 0};
  return tsr_decode_error_at(d, operand, "unknown symbol '%.*s%s'",
                             (int)operand->name.size, operand->name.data, part);
}

static bool register_offset(tsr_decoder *d, const tsr_ptx_operand *operand) {
  return tsr_decode_error_at(d, operand,
                             "an offset is for addresses, '%.*s' is a register",
                             (int)operand->name.size, operand->name.data);
}

static bool special_source(tsr_decoder *d, const tsr_ptx_operand *operand,
                           tsr_ptx_type type, tsr_ref *out_ref) {
  tsr_ptx_type own = TSR_PTX_NO_TYPE;
  uint32_t selector = 0;
  tsr_handler handler =
      tsr_special_handler(operand->name, operand->component, &own, &selector);
  if (handler == NULL) return unknown_name(d, operand);
  if (operand->integer != 0) return register_offset(d, operand);
  if (!tsr_ptx_str_equal(d->instruction->opcode, "mov") &&
      !tsr_ptx_str_equal(d->instruction->opcode, "cvt")) {
    return tsr_decode_error_at(
        d, operand, "special register '%.*s' is not allowed with '%.*s'",
        (int)operand->name.size, operand->name.data,
        (int)d->instruction->opcode.size, d->instruction->opcode.data);
  }
  // %tid and its like were 16 bits wide once, %gridid 32: mov.u16 and mov.u32
  // still read them.
  uint32_t bits = tsr_ptx_type_bits(type);
  bool old = (own == TSR_PTX_U32 && bits == 16) ||
             (bits == 32 && tsr_ptx_str_equal(operand->name, "%gridid"));
  if (!agree(own, type, old)) return mismatch(d, operand, own, type);
  tsr_ref ref = tsr_front_special(d, handler, own, selector);
  if (ref != TSR_REF_NONE && old) {
    ref = tsr_front_cut(d, ref, tsr_ptx_type_bits(own), type);
  }
  *out_ref = ref;
  return ref != TSR_REF_NONE;
}

static bool function_source(tsr_decoder *d, const tsr_ptx_operand *operand,
                            const tsr_symbol *symbol, tsr_ptx_type type,
                            tsr_ref *out_ref) {
  tsr_callee *callee = &d->loader->callees[symbol->index];
  if (callee->ast->is_entry) {
    return tsr_decode_error_at(d, operand,
                               "the address of a kernel is not "
                               "supported");
  }
  callee->address_used = true;
  callee->is_called = true;
  *out_ref = tsr_constant(d, type, TSR_FUNCTION_BASE + symbol->index);
  return *out_ref != TSR_REF_NONE;
}

static bool variable_source(tsr_decoder *d, const tsr_ptx_operand *operand,
                            const tsr_variable *variable, tsr_ptx_type type,
                            tsr_ref *out_ref) {
  tsr_ptx_space space = variable->ast->space;
  uint64_t address = variable->address + operand->integer;
  bool is_heap = space == TSR_PTX_SPACE_GLOBAL || space == TSR_PTX_SPACE_CONST;
  if (is_heap && tsr_ptx_type_bits(type) < 64) {
    return tsr_decode_error_at(d, operand,
                               "the address of '%.*s' needs a 64-bit type",
                               (int)operand->name.size, operand->name.data);
  }
  bool in_kernel = d->kernel != NULL;
  if (space == TSR_PTX_SPACE_LOCAL ||
      (space == TSR_PTX_SPACE_PARAM && !in_kernel)) {
    *out_ref = tsr_front_frame(d, type, address);
  } else if (space == TSR_PTX_SPACE_SHARED && variable->is_dynamic &&
             !in_kernel) {
    *out_ref = tsr_front_dynamic(d, type, operand->integer);
  } else {
    *out_ref = tsr_constant(d, type, address);
  }
  return *out_ref != TSR_REF_NONE;
}

// A .param variable made for a call: it lies in the frame, whereas a kernel's
// own parameters lie in the launch's buffer.
static bool is_call_param(const tsr_variable *variable) {
  return variable->ast->space == TSR_PTX_SPACE_PARAM && !variable->is_argument;
}

static bool symbol_source(tsr_decoder *d, const tsr_ptx_operand *operand,
                          tsr_ptx_type type, tsr_ref *out_ref) {
  const tsr_symbol *symbol = tsr_lookup(d, operand->name);
  if (symbol == NULL || (symbol->kind != TSR_SYMBOL_VARIABLE &&
                         symbol->kind != TSR_SYMBOL_FUNCTION)) {
    return unknown_name(d, operand);
  }
  tsr_ptx_type_kind kind = tsr_ptx_type_class(type);
  uint32_t bits = tsr_ptx_type_bits(type);
  if (!is_symbolic(d) || kind == TSR_PTX_KIND_FLOAT || bits < 32 || bits > 64) {
    return tsr_decode_error_at(d, operand,
                               "the address of '%.*s' is not allowed here",
                               (int)operand->name.size, operand->name.data);
  }
  if (symbol->kind == TSR_SYMBOL_FUNCTION) {
    return function_source(d, operand, symbol, type, out_ref);
  }
  const tsr_variable *variable = tsr_lookup_variable(d, symbol);
  if (variable->is_undefined) {
    return tsr_decode_error_at(d, operand, "undefined variable '%.*s'",
                               (int)operand->name.size, operand->name.data);
  }
  if (is_call_param(variable)) {
    return tsr_decode_error_at(d, operand, "no address of parameter '%.*s'",
                               (int)operand->name.size, operand->name.data);
  }
  return variable_source(d, operand, variable, type, out_ref);
}

// --- Sources and destinations

tsr_ptx_type tsr_register_type(const tsr_decoder *d,
                               const tsr_ptx_operand *operand) {
  if (operand->kind != TSR_PTX_NAME) return TSR_PTX_NO_TYPE;
  uint32_t index = tsr_lookup_register(d, operand->name, operand->component);
  return index == UINT32_MAX ? TSR_PTX_NO_TYPE : d->registers[index].type;
}

tsr_ref tsr_temporary(tsr_decoder *d, tsr_ptx_type type) {
  uint32_t index = tsr_register_new(d, type, 1);
  return index == UINT32_MAX ? TSR_REF_NONE : tsr_virtual_ref(index);
}

tsr_ref tsr_carry_flag(tsr_decoder *d) {
  if (!d->has_carry_flag) d->carry_flag = tsr_temporary(d, TSR_PTX_PRED);
  d->has_carry_flag = d->carry_flag != TSR_REF_NONE;
  return d->carry_flag;
}

static bool source(tsr_decoder *d, const tsr_ptx_operand *operand,
                   tsr_ptx_type type, bool wider, tsr_ref *out_ref) {
  *out_ref = TSR_REF_NONE;
  switch (operand->kind) {
    case TSR_PTX_INTEGER:
    case TSR_PTX_FLOAT32:
    case TSR_PTX_FLOAT64:
      return immediate_source(d, operand, type, out_ref);
    case TSR_PTX_NAME:
      break;
    default:
      return tsr_decode_error_at(d, operand, "register or constant expected");
  }
  uint32_t index = tsr_lookup_register(d, operand->name, operand->component);
  if (operand->negated && (index == UINT32_MAX || type != TSR_PTX_PRED)) {
    return tsr_decode_error_at(d, operand, "'!' needs a predicate");
  }
  if (index == UINT32_MAX) {
    if (tsr_ptx_str_equal(operand->name, "WARP_SZ")) {
      tsr_ptx_operand number = *operand;
      number.kind = TSR_PTX_INTEGER;
      number.integer = TSR_LANES;
      return immediate_source(d, &number, type, out_ref);
    }
    return operand->name.size > 0 && operand->name.data[0] == '%'
               ? special_source(d, operand, type, out_ref)
               : symbol_source(d, operand, type, out_ref);
  }
  if (operand->integer != 0) return register_offset(d, operand);
  tsr_ptx_type have = d->registers[index].type;
  if (!agree(have, type, wider)) return mismatch(d, operand, have, type);
  tsr_ref ref = tsr_virtual_ref(index);
  if (operand->negated) ref = tsr_front_not(d, ref);
  uint32_t bits = tsr_ptx_type_bits(have);
  if (bits > tsr_ptx_type_bits(type)) ref = tsr_front_cut(d, ref, bits, type);
  *out_ref = ref;
  return ref != TSR_REF_NONE;
}

bool tsr_source(tsr_decoder *d, const tsr_ptx_operand *operand,
                tsr_ptx_type type, tsr_ref *out_ref) {
  return source(d, operand, type, false, out_ref);
}

bool tsr_source_wider(tsr_decoder *d, const tsr_ptx_operand *operand,
                      tsr_ptx_type type, tsr_ref *out_ref) {
  return source(d, operand, type, true, out_ref);
}

static bool destination(tsr_decoder *d, const tsr_ptx_operand *operand,
                        tsr_ptx_type type, bool wider, bool sink,
                        tsr_ref *out_ref) {
  *out_ref = TSR_REF_NONE;
  if (operand->kind == TSR_PTX_SINK) {
    return sink || tsr_decode_error_at(d, operand, "'_' is not allowed here");
  }
  if (operand->kind != TSR_PTX_NAME || operand->negated) {
    return tsr_decode_error_at(d, operand, "register expected");
  }
  uint32_t index = tsr_lookup_register(d, operand->name, operand->component);
  if (index == UINT32_MAX) {
    return tsr_decode_error_at(d, operand, "'%.*s' is not a register",
                               (int)operand->name.size, operand->name.data);
  }
  if (operand->integer != 0) return register_offset(d, operand);
  tsr_ptx_type have = d->registers[index].type;
  if (!agree(have, type, wider)) return mismatch(d, operand, have, type);
  *out_ref = tsr_virtual_ref(index);
  uint32_t bits = tsr_ptx_type_bits(have), narrow = tsr_ptx_type_bits(type);
  bool is_signed = tsr_ptx_type_class(type) == TSR_PTX_KIND_SIGNED;
  if (bits == narrow || (bits <= 32 && !is_signed)) return true;
  if (bits > 64 || narrow > 32 || d->pending_count == TSR_PENDING_LIMIT) {
    return mismatch(d, operand, have, type);
  }
  tsr_ref temporary = tsr_temporary(d, type);
  if (temporary == TSR_REF_NONE) return false;
  d->pending[d->pending_count++] =
      (tsr_pending){temporary, *out_ref, type, have};
  *out_ref = temporary;
  return true;
}

bool tsr_destination(tsr_decoder *d, const tsr_ptx_operand *operand,
                     tsr_ptx_type type, bool sink, tsr_ref *out_ref) {
  return destination(d, operand, type, false, sink, out_ref);
}

bool tsr_destination_wider(tsr_decoder *d, const tsr_ptx_operand *operand,
                           tsr_ptx_type type, bool sink, tsr_ref *out_ref) {
  return destination(d, operand, type, true, sink, out_ref);
}

// --- Addresses

static bool register_address(tsr_decoder *d, const tsr_ptx_operand *operand,
                             uint32_t index, tsr_address *address) {
  tsr_ptx_type type = d->registers[index].type;
  tsr_ptx_type_kind kind = tsr_ptx_type_class(type);
  uint32_t bits = tsr_ptx_type_bits(type);
  if ((bits != 32 && bits != 64) || kind == TSR_PTX_KIND_FLOAT) {
    return tsr_decode_error_at(d, operand, "'%.*s' is .%s, not an address",
                               (int)operand->name.size, operand->name.data,
                               tsr_ptx_type_name(type));
  }
  address->base = tsr_virtual_ref(index);
  address->wide = bits == 64;
  if (address->space == TSR_PTX_SPACE_PARAM && d->kernel == NULL) {
    address->space = TSR_PTX_SPACE_LOCAL;
  }
  return true;
}

static bool variable_address(tsr_decoder *d, const tsr_variable *variable,
                             tsr_address *address) {
  int64_t offset = address->offset;
  uint64_t place = variable->address;
  address->wide = true;
  switch (variable->ast->space) {
    case TSR_PTX_SPACE_LOCAL:
    case TSR_PTX_SPACE_PARAM:
      address->offset = (int64_t)((uint64_t)offset + place);
      address->base = tsr_constant(d, TSR_PTX_B64, 0);
      if (variable->ast->space == TSR_PTX_SPACE_PARAM && d->kernel != NULL &&
          !is_call_param(variable)) {
        break;
      }
      address->space = TSR_PTX_SPACE_LOCAL;
      address->frame = true;
      break;
    case TSR_PTX_SPACE_SHARED:
      address->wide = false;
      address->base = variable->is_dynamic && d->kernel == NULL
                          ? tsr_front_dynamic(d, TSR_PTX_B32, 0)
                          : tsr_constant(d, TSR_PTX_B32, place);
      break;
    default:
      address->base = tsr_constant(d, TSR_PTX_B64, place);
      break;
  }
  return address->base != TSR_REF_NONE;
}

static bool symbol_address(tsr_decoder *d, const tsr_ptx_operand *operand,
                           tsr_address *address) {
  const tsr_symbol *symbol = tsr_lookup(d, operand->name);
  if (symbol == NULL || symbol->kind != TSR_SYMBOL_VARIABLE) {
    return unknown_name(d, operand);
  }
  const tsr_variable *variable = tsr_lookup_variable(d, symbol);
  if (variable->is_undefined) {
    return tsr_decode_error_at(d, operand, "undefined variable '%.*s'",
                               (int)operand->name.size, operand->name.data);
  }
  tsr_ptx_space space = variable->ast->space;
  if (address->space == TSR_PTX_SPACE_NONE) {
    // Generic: the same as the window's for all spaces, since the space of a
    // named variable is known.
    address->space = space;
  } else if (address->space != space) {
    return tsr_decode_error_at(d, operand, "'%.*s' is in %s, not in %s",
                               (int)operand->name.size, operand->name.data,
                               space_names[space], space_names[address->space]);
  }
  return variable_address(d, variable, address);
}

bool tsr_address_operand(tsr_decoder *d, const tsr_ptx_operand *operand,
                         tsr_ptx_space space, tsr_address *out_address) {
  *out_address = (tsr_address){.base = TSR_REF_NONE,
                               .space = space,
                               .offset = (int64_t)operand->integer};
  if (operand->kind != TSR_PTX_ADDRESS) {
    return tsr_decode_error_at(d, operand, "address expected");
  }
  if (operand->name.size == 0) {
    out_address->wide = true;
    out_address->base = tsr_constant(d, TSR_PTX_B64, 0);
    return out_address->base != TSR_REF_NONE;
  }
  uint32_t index = tsr_lookup_register(d, operand->name, operand->component);
  return index != UINT32_MAX ? register_address(d, operand, index, out_address)
                             : symbol_address(d, operand, out_address);
}

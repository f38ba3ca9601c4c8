// SPDX-License-Identifier: Apache-2.0
// ld, ldu and st (PTX ISA 9.0, 9.7.9.8 to 9.7.9.12). An operation: data is the
// address, src[0] its base, aux[0] the bytes of an element, aux[1] the number
// of elements, aux[2] flags. Where a register is wider than the element the
// decoder puts an operation behind (or in front) that extends it (cuts it).
#include "check/report.h"
#include "memory/access.h"
#include "ops/memory_modifiers.h"

// --- Execution --------------------------------------------------------------

static bool resolve(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                    tsr_access_kind kind, tsr_access *access) {
  const tsr_address *address = op->data;
  access->space = address->space;
  access->kind = kind;
  access->proxy = TSR_PROXY_GENERIC;
  access->size = op->aux[0] * op->aux[1];
  access->align = access->size;
  access->order = op->aux[2];
  access->ordered = (access->order & TSR_ORDER_STRONG) != 0;
  access->uncounted = false;
  access->elements = kind == TSR_ACCESS_STORE ? &op->src[1] : NULL;
  access->element_size = op->aux[0];
  access->mask = mask;
  tsr_address_lanes(warp, address, access->address);
  return tsr_access_resolve(warp, op, access);
}

#define LOAD_LANES(type)                                       \
  do {                                                         \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {                 \
      if ((mask >> i & 1u) == 0) continue;                     \
      type element;                                            \
      memcpy(&element, access->host[i] + at, sizeof(element)); \
      out[i] = element;                                        \
    }                                                          \
  } while (0)

// Element |at| bytes behind each lane's address, of up to 4 bytes.
static void load32(const tsr_access *access, uint32_t size, uint32_t at,
                   uint32_t out[TSR_LANES]) {
  uint32_t mask = access->mask;
  if (access->ordered) {
    for (uint32_t i = 0; i < TSR_LANES; ++i) {
      if ((mask >> i & 1u) == 0) continue;
      out[i] = (uint32_t)tsr_element_load(access->host[i] + at, size, true);
    }
  } else if (size == 4) {
    LOAD_LANES(uint32_t);
  } else if (size == 2) {
    LOAD_LANES(uint16_t);
  } else {
    LOAD_LANES(uint8_t);
  }
}

static void load64(const tsr_access *access, uint32_t at,
                   uint64_t out[TSR_LANES]) {
  uint32_t mask = access->mask;
  if (access->ordered) {
    for (uint32_t i = 0; i < TSR_LANES; ++i) {
      if ((mask >> i & 1u) == 0) continue;
      out[i] = tsr_element_load(access->host[i] + at, 8, true);
    }
  } else {
    LOAD_LANES(uint64_t);
  }
}

// Words side by side: |count| of each lane, the |k|th of which goes to |out|.
#define TAKE_APART(count)                             \
  do {                                                \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {        \
      uint32_t word;                                  \
      memcpy(&word, from + (i * (count) + k) * 4, 4); \
      out[i] = word;                                  \
    }                                                 \
  } while (0)

TSR_CLONES static void load_dense(const unsigned char *from, uint32_t count,
                                  uint32_t k, uint32_t *restrict out) {
  if (count == 1) {
    memcpy(out, from, (size_t)TSR_LANES * 4);
  } else if (count == 2) {
    TAKE_APART(2);
  } else {
    TAKE_APART(4);
  }
}

#define PUT_TOGETHER(count)                            \
  do {                                                 \
    for (uint32_t i = 0; i < TSR_LANES; ++i) {         \
      memcpy(to + (i * (count) + k) * 4, &from[i], 4); \
    }                                                  \
  } while (0)

TSR_CLONES static void store_dense(unsigned char *restrict to, uint32_t count,
                                   uint32_t k, const uint32_t *from) {
  if (count == 1) {
    memcpy(to, from, (size_t)TSR_LANES * 4);
  } else if (count == 2) {
    PUT_TOGETHER(2);
  } else {
    PUT_TOGETHER(4);
  }
}

// All lanes' words lie side by side in memory.
static bool is_dense(const tsr_op *op, const tsr_access *access) {
  return access->shape == TSR_SHAPE_DENSE && op->aux[0] == 4 &&
         op->aux[1] <= 4 && !access->ordered;
}

static void load128(tsr_warp *warp, const tsr_access *access, tsr_ref ref) {
  if (ref == TSR_REF_NONE) return;
  unsigned char *out = tsr_unit(warp->base, ref);
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((access->mask >> i & 1u) == 0) continue;
    memcpy(out + (size_t)i * 16, access->host[i], 16);
  }
}

static tsr_flow run_load(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_access access;
  if (!resolve(warp, op, mask, TSR_ACCESS_LOAD, &access)) {
    return TSR_FLOW_FAULT;
  }
  uint32_t size = op->aux[0];
  bool dense = is_dense(op, &access);
  for (uint32_t k = 0; k < op->aux[1]; ++k) {
    if (op->dst[k] == TSR_REF_NONE) continue;
    if (dense) {
      load_dense(access.host[0], op->aux[1], k, tsr_dst32(warp, op->dst[k]));
    } else if (size <= 4) {
      uint32_t lanes[TSR_LANES] = {0};
      load32(&access, size, k * size, lanes);
      tsr_put32(warp, op->dst[k], mask, lanes);
    } else if (size == 8) {
      uint64_t lanes[TSR_LANES] = {0};
      load64(&access, k * size, lanes);
      tsr_put64(warp, op->dst[k], mask, lanes);
    } else {
      load128(warp, &access, op->dst[k]);
    }
  }
  // A loop that polls must let others write.
  return access.ordered ? TSR_FLOW_YIELD : TSR_FLOW_NEXT;
}

static void store_element(const tsr_warp *warp, const tsr_access *access,
                          tsr_ref ref, uint32_t size, uint32_t at) {
  const unsigned char *lanes = tsr_unit(warp->base, ref);
  size_t stride = size <= 4 ? 4 : size;
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((access->mask >> i & 1u) == 0) continue;
    unsigned char *to = access->host[i] + at;
    const unsigned char *from = lanes + i * stride;
    if (access->ordered && size <= 8) {
      uint64_t value = 0;
      memcpy(&value, from, size);
      tsr_element_store(to, size, true, value);
    } else if (size == 4) {
      memcpy(to, from, 4);
    } else if (size == 8) {
      memcpy(to, from, 8);
    } else {
      memcpy(to, from, size);
    }
  }
}

static tsr_flow run_store(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_access access;
  if (!resolve(warp, op, mask, TSR_ACCESS_STORE, &access)) {
    return TSR_FLOW_FAULT;
  }
  uint32_t size = op->aux[0];
  bool dense = is_dense(op, &access);
  for (uint32_t k = 0; k < op->aux[1]; ++k) {
    if (dense) {
      store_dense(access.host[0], op->aux[1], k,
                  tsr_src32(warp, op->src[k + 1]));
      continue;
    }
    store_element(warp, &access, op->src[k + 1], size, k * size);
  }
  return TSR_FLOW_NEXT;
}

// --- Decoding ---------------------------------------------------------------

typedef struct memory_form {
  tsr_memory_modifiers mods;
  tsr_ptx_type type;
  uint32_t count;  // elements
} memory_form;

static bool take_type(tsr_decoder *d, memory_form *form) {
  form->count = tsr_mod_vector(d);
  if (!tsr_mod_need_type(d, &form->type)) return false;
  switch (form->type) {
    case TSR_PTX_B8:
    case TSR_PTX_B16:
    case TSR_PTX_B32:
    case TSR_PTX_B64:
    case TSR_PTX_B128:
    case TSR_PTX_U8:
    case TSR_PTX_U16:
    case TSR_PTX_U32:
    case TSR_PTX_U64:
    case TSR_PTX_S8:
    case TSR_PTX_S16:
    case TSR_PTX_S32:
    case TSR_PTX_S64:
    case TSR_PTX_F32:
    case TSR_PTX_F64:
      break;
    default:
      return tsr_decode_error(d, "type '.%s' cannot be loaded or stored",
                              tsr_ptx_type_name(form->type));
  }
  uint32_t bits = tsr_ptx_type_bits(form->type);
  if (!tsr_check_modifiers(d, &form->mods, bits * form->count,
                           form->count > 1)) {
    return false;
  }
  if (bits == 128 && !tsr_decode_require(d, 83, 70, 0)) return false;
  if (bits * form->count == 256 && bits >= 32 && bits <= 64) {
    if (form->mods.space != TSR_PTX_SPACE_GLOBAL &&
        form->mods.space != TSR_PTX_SPACE_NONE) {
      return tsr_decode_error(d, "256 bits at once need '.global'");
    }
    return tsr_decode_require(d, 88, 100, 0);
  }
  if (form->count == 8 || bits * form->count > 128) {
    return tsr_decode_error(d, "a vector of %u '.%s' is too wide", form->count,
                            tsr_ptx_type_name(form->type));
  }
  return true;
}

// The |index|th part of an operand of |count| elements; NULL after an error.
static const tsr_ptx_operand *part(tsr_decoder *d, const tsr_ptx_operand *all,
                                   uint32_t count, uint32_t index) {
  if (count == 1 && all->kind != TSR_PTX_VECTOR) return all;
  if (all->kind == TSR_PTX_VECTOR && all->item_count == count) {
    return &all->items[index];
  }
  (void)tsr_decode_error_at(d, all, "a vector of %u elements expected", count);
  return NULL;
}

static tsr_op *emit_access(tsr_decoder *d, tsr_handler handler,
                           tessera_emu_class op_class, const memory_form *form,
                           const tsr_address *address, uint32_t dst_count,
                           uint32_t src_count) {
  tsr_op *op = tsr_emit(d, handler, op_class, dst_count, src_count);
  if (op == NULL || tsr_emit_address(d, op, 0, address) == NULL) return NULL;
  bool ordered = (form->mods.order & TSR_ORDER_STRONG) != 0;
  op->aux[0] = tsr_ptx_type_bits(form->type) / 8;
  op->aux[1] = form->count;
  op->aux[2] = form->mods.order;
  if (ordered && (address->space == TSR_PTX_SPACE_GLOBAL ||
                  address->space == TSR_PTX_SPACE_NONE)) {
    op->flags = (uint8_t)(op->flags | TSR_OP_COMMUNICATES);
  }
  return op;
}

static bool emit_load(tsr_decoder *d, const memory_form *form) {
  tsr_address address;
  tsr_ref policy;
  tsr_ref refs[8];
  const tsr_ptx_operand *to = tsr_operand(d, 0);
  if (!tsr_take_policy(d, form->mods.cache_hint, 2, &policy) ||
      !tsr_address_operand(d, tsr_operand(d, 1), form->mods.space, &address)) {
    return false;
  }
  for (uint32_t k = 0; k < form->count; ++k) {
    const tsr_ptx_operand *item = part(d, to, form->count, k);
    if (item == NULL || !tsr_destination_wider(d, item, form->type,
                                               form->count > 1, &refs[k])) {
      return false;
    }
  }
  tsr_op *op = emit_access(d, run_load, TESSERA_EMU_CLASS_LOAD, form, &address,
                           form->count, 2);
  if (op == NULL) return false;
  memcpy(op->dst, refs, form->count * sizeof(*refs));
  op->src[1] = policy;
  return true;
}

static bool decode_ld(tsr_decoder *d) {
  static const char *const semantics[] = {"weak",    "volatile", "mmio",
                                          "relaxed", "acquire",  NULL};
  static const char *const spaces[] = {
      "global", "shared",       "shared::cta", "shared::cluster", "param",
      "local",  "param::entry", "param::func", "const",           NULL};
  static const char *const cache[] = {"ca", "cg", "cs", "lu", "cv", NULL};
  static const char *const prefetch[] = {"L2::64B", "L2::128B", "L2::256B",
                                         NULL};
  memory_form form = {0};
  // .mmio.relaxed names two of them: the first in the table wins.
  if (!tsr_take_semantics(d, semantics, &form.mods)) return false;
  form.mods.space = tsr_take_space(d, spaces);
  int operation = tsr_mod_one_of(d, cache);
  form.mods.cache_operator = operation >= 0;
  bool read_only = tsr_mod(d, "nc");
  if (read_only && (form.mods.space != TSR_PTX_SPACE_GLOBAL || operation >= 3 ||
                    form.mods.semantics != TSR_SEMANTICS_NONE)) {
    return tsr_decode_error(d,
                            "'.nc' needs '.global', no memory semantics and "
                            "at most '.ca', '.cg' or '.cs'");
  }
  if (read_only) form.mods.order |= TSR_ORDER_READ_ONLY;
  tsr_take_cache_hints(d, &form.mods);
  form.mods.prefetch = tsr_mod_one_of(d, prefetch) >= 0;
  return take_type(d, &form) && emit_load(d, &form);
}

// Loads through the texture path: the address is the same for all threads of a
// warp (9.7.9.10), which is not checked.
static bool decode_ldu(tsr_decoder *d) {
  static const char *const spaces[] = {"global", NULL};
  memory_form form = {.mods.order = TSR_ORDER_READ_ONLY};
  form.mods.space = tsr_take_space(d, spaces);
  return take_type(d, &form) && emit_load(d, &form);
}

static bool decode_st(tsr_decoder *d) {
  static const char *const semantics[] = {"weak",    "volatile", "mmio",
                                          "relaxed", "release",  NULL};
  static const char *const spaces[] = {
      "global", "shared", "shared::cta", "shared::cluster",
      "local",  "param",  "param::func", NULL};
  static const char *const cache[] = {"wb", "cg", "cs", "wt", NULL};
  memory_form form = {0};
  if (!tsr_take_semantics(d, semantics, &form.mods)) return false;
  form.mods.space = tsr_take_space(d, spaces);
  form.mods.cache_operator = tsr_mod_one_of(d, cache) >= 0;
  tsr_take_cache_hints(d, &form.mods);
  if (!take_type(d, &form)) return false;
  tsr_address address;
  tsr_ref policy;
  tsr_ref refs[8];
  if (!tsr_take_policy(d, form.mods.cache_hint, 2, &policy) ||
      !tsr_address_operand(d, tsr_operand(d, 0), form.mods.space, &address)) {
    return false;
  }
  for (uint32_t k = 0; k < form.count; ++k) {
    const tsr_ptx_operand *item = part(d, tsr_operand(d, 1), form.count, k);
    if (item == NULL || !tsr_source_wider(d, item, form.type, &refs[k])) {
      return false;
    }
  }
  tsr_op *op = emit_access(d, run_store, TESSERA_EMU_CLASS_STORE, &form,
                           &address, 0, form.count + 2);
  if (op == NULL) return false;
  memcpy(op->src + 1, refs, form.count * sizeof(*refs));
  op->src[form.count + 1] = policy;
  return true;
}

const tsr_opcode tsr_opcodes_memory[] = {
    {"ld", decode_ld}, {"ldu", decode_ldu}, {"st", decode_st}, {0}};

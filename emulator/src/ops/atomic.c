// SPDX-License-Identifier: Apache-2.0
// atom and red (PTX ISA 9.0, 9.7.13.5, 9.7.13.6). Lanes act one after another,
// lowest first; each element is changed by a compare-and-swap of the host, so
// that blocks on other threads see it whole. An operation: data is the address,
// src[0] its base, src[1...] the operand's elements, then cas's new value, then
// the cache policy; aux[0] bytes of an element, aux[1] elements, aux[2] flags,
// aux[3] what to do and with which type.
#include <math.h>
#include <pthread.h>

#include "base/float16.h"
#include "memory/access.h"
#include "ops/memory_modifiers.h"

typedef enum atomic_verb {
  ATOMIC_AND,
  ATOMIC_OR,
  ATOMIC_XOR,
  ATOMIC_EXCH,
  ATOMIC_CAS,
  ATOMIC_ADD,
  ATOMIC_INC,
  ATOMIC_DEC,
  ATOMIC_MIN,
  ATOMIC_MAX,
} atomic_verb;

static const char *const atomic_names[] = {
    "and", "or", "xor", "exch", "cas", "add", "inc", "dec", "min", "max", NULL};

enum { MOST_ELEMENTS = 8 };

// --- One element ------------------------------------------------------------

// Subnormals become zeros of their sign.
static float flushed(float value) {
  return fpclassify(value) == FP_SUBNORMAL ? copysignf(0.0f, value) : value;
}

// The current implementation flushes in global memory only (9.7.13.5).
static uint32_t add_f32(uint32_t a, uint32_t b, bool flush) {
  float x = tsr_float_from_bits(a);
  float y = tsr_float_from_bits(b);
  float sum = flush ? flushed(flushed(x) + flushed(y)) : x + y;
  return isnan(sum) ? 0x7fffffffu : tsr_float_bits(sum);
}

static uint64_t add_f64(uint64_t a, uint64_t b) {
  double x;
  double y;
  memcpy(&x, &a, sizeof(x));
  memcpy(&y, &b, sizeof(y));
  x += y;
  memcpy(&a, &x, sizeof(a));
  return a;
}

// One of two numbers: the one that is no NaN; -0 is below +0.
static float pick(atomic_verb verb, float x, float y) {
  if (isnan(x)) return y;
  if (isnan(y)) return x;
  bool x_below = x < y || (x == y && signbit(x) != 0);
  return x_below == (verb == ATOMIC_MIN) ? x : y;
}

// float holds the sum of two of either 16-bit type with twice the bits and two
// more, so rounding twice is rounding once.
static uint16_t half_combine(atomic_verb verb, bool bf16, uint16_t a,
                             uint16_t b) {
  float x = bf16 ? tsr_bf16_to_float(a) : tsr_fp16_to_float(a);
  float y = bf16 ? tsr_bf16_to_float(b) : tsr_fp16_to_float(b);
  float result = verb == ATOMIC_ADD ? x + y : pick(verb, x, y);
  if (isnan(result)) return 0x7fff;
  return bf16 ? tsr_bf16_from_float(result) : tsr_fp16_from_float(result);
}

static uint32_t pair_combine(atomic_verb verb, bool bf16, uint32_t a,
                             uint32_t b) {
  uint32_t low = half_combine(verb, bf16, (uint16_t)a, (uint16_t)b);
  uint32_t high =
      half_combine(verb, bf16, (uint16_t)(a >> 16), (uint16_t)(b >> 16));
  return low | high << 16;
}

static bool below(tsr_ptx_type type, uint64_t a, uint64_t b) {
  switch (type) {
    case TSR_PTX_S32:
      return (int32_t)(uint32_t)a < (int32_t)(uint32_t)b;
    case TSR_PTX_S64:
      return (int64_t)a < (int64_t)b;
    default:
      return a < b;
  }
}

typedef struct atomic_act {
  atomic_verb verb;
  tsr_ptx_type type;
  bool flush;
  uint64_t operand, swap;  // |swap|: cas's new value
} atomic_act;

static uint64_t integer_combine(const atomic_act *act, uint64_t old) {
  uint64_t b = act->operand;
  switch (act->verb) {
    case ATOMIC_AND:
      return old & b;
    case ATOMIC_OR:
      return old | b;
    case ATOMIC_XOR:
      return old ^ b;
    case ATOMIC_EXCH:
      return b;
    case ATOMIC_CAS:
      return old == b ? act->swap : old;
    case ATOMIC_ADD:
      return old + b;
    case ATOMIC_INC:
      return old >= b ? 0 : old + 1;
    case ATOMIC_DEC:
      return old == 0 || old > b ? b : old - 1;
    case ATOMIC_MIN:
      return below(act->type, b, old) ? b : old;
    default:
      return below(act->type, old, b) ? b : old;
  }
}

static uint64_t combine(const atomic_act *act, uint64_t old) {
  switch (act->type) {
    case TSR_PTX_F32:
      return add_f32((uint32_t)old, (uint32_t)act->operand, act->flush);
    case TSR_PTX_F64:
      return add_f64(old, act->operand);
    case TSR_PTX_F16:
    case TSR_PTX_BF16:
      return half_combine(act->verb, act->type == TSR_PTX_BF16, (uint16_t)old,
                          (uint16_t)act->operand);
    case TSR_PTX_F16X2:
    case TSR_PTX_BF16X2:
      return pair_combine(act->verb, act->type == TSR_PTX_BF16X2, (uint32_t)old,
                          (uint32_t)act->operand);
    default:
      return integer_combine(act, old);
  }
}

#define UPDATE(type)                                                       \
  do {                                                                     \
    type *at = (type *)(void *)host;                                       \
    type old = __atomic_load_n(at, __ATOMIC_ACQUIRE);                      \
    while (!__atomic_compare_exchange_n(at, &old, (type)combine(act, old), \
                                        true, __ATOMIC_ACQ_REL,            \
                                        __ATOMIC_ACQUIRE)) {               \
    }                                                                      \
    return old;                                                            \
  } while (0)

// Returns what was there.
static uint64_t update(unsigned char *host, uint32_t size,
                       const atomic_act *act) {
  if (size == 2) UPDATE(uint16_t);
  if (size == 4) UPDATE(uint32_t);
  UPDATE(uint64_t);
}

// --- A warp -----------------------------------------------------------------

static bool resolve(tsr_warp *warp, const tsr_op *op, uint32_t mask,
                    tsr_access *access) {
  const tsr_address *address = op->data;
  access->space = address->space;
  access->kind = TSR_ACCESS_ATOMIC;
  access->proxy = TSR_PROXY_GENERIC;
  access->size = op->aux[0] * op->aux[1];
  access->align = access->size;
  access->ordered = true;
  access->order = op->aux[2];
  access->uncounted = false;
  access->elements = NULL;
  access->mask = mask;
  tsr_address_lanes(warp, address, access->address);
  return tsr_access_resolve(warp, op, access);
}

static bool is_shared(const tsr_access *access, uint32_t lane) {
  uint64_t offset = 0;
  return access->space == TSR_PTX_SPACE_SHARED ||
         (access->space == TSR_PTX_SPACE_NONE &&
          tsr_generic_space(access->address[lane], &offset) ==
              TSR_PTX_SPACE_SHARED);
}

static uint64_t lane_of(const tsr_warp *warp, tsr_ref ref, uint32_t size,
                        uint32_t lane) {
  return size == 8 ? tsr_src64(warp, ref)[lane] : tsr_src32(warp, ref)[lane];
}

// Element |k| of all lanes; what was there goes to |out|.
static void update_lanes(const tsr_warp *warp, const tsr_op *op,
                         const tsr_access *access, uint32_t k,
                         uint64_t out[TSR_LANES]) {
  uint32_t size = op->aux[0];
  atomic_act act = {.verb = (atomic_verb)(op->aux[3] & 0xff),
                    .type = (tsr_ptx_type)(op->aux[3] >> 8)};
  bool changed = false;  // then who polls memory may go on
  for (uint32_t i = 0; i < TSR_LANES; ++i) {
    if ((access->mask >> i & 1u) == 0) continue;
    act.flush = !is_shared(access, i);
    act.operand = lane_of(warp, op->src[1 + k], size, i);
    if (act.verb == ATOMIC_CAS) {
      act.swap = lane_of(warp, op->src[2], size, i);
    }
    out[i] = update(access->host[i] + (size_t)k * size, size, &act);
    // From the values: another thread may change memory by now.
    changed |= ((combine(&act, out[i]) ^ out[i]) << (64 - 8 * size)) != 0;
  }
  warp->block->progress += changed;
}

static void put(tsr_warp *warp, tsr_ref ref, uint32_t size, uint32_t mask,
                const uint64_t lanes[TSR_LANES]) {
  if (size == 8) {
    tsr_put64(warp, ref, mask, lanes);
    return;
  }
  uint32_t narrow[TSR_LANES];
  for (uint32_t i = 0; i < TSR_LANES; ++i) narrow[i] = (uint32_t)lanes[i];
  tsr_put32(warp, ref, mask, narrow);
}

static tsr_flow run_atom(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  tsr_access access;
  if (!resolve(warp, op, mask, &access)) return TSR_FLOW_FAULT;
  // All operands are read before a result is written: they may be the same.
  uint64_t old[MOST_ELEMENTS][TSR_LANES];
  for (uint32_t k = 0; k < op->aux[1]; ++k) {
    memset(old[k], 0, sizeof(old[k]));
    update_lanes(warp, op, &access, k, old[k]);
  }
  if (op->dst_count == 0) return TSR_FLOW_NEXT;  // red
  for (uint32_t k = 0; k < op->aux[1]; ++k) {
    put(warp, op->dst[k], op->aux[0], mask, old[k]);
  }
  return TSR_FLOW_YIELD;  // who takes a lock in a loop must let others go on
}

// exch and cas of 128 bits: hosts have no such operation that is there in every
// build. One lock, for there are few of them.
static tsr_flow run_atom128(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  tsr_access access;
  if (!resolve(warp, op, mask, &access)) return TSR_FLOW_FAULT;
  unsigned char old[TSR_LANES * 16];
  bool cas = (op->aux[3] & 0xff) == ATOMIC_CAS;
  const unsigned char *operand = tsr_unit(warp->base, op->src[1]);
  const unsigned char *value = cas ? tsr_unit(warp->base, op->src[2]) : operand;
  (void)pthread_mutex_lock(&mutex);
  for (size_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    memcpy(old + i * 16, access.host[i], 16);
    if (!cas || memcmp(old + i * 16, operand + i * 16, 16) == 0) {
      memcpy(access.host[i], value + i * 16, 16);
      ++warp->block->progress;
    }
  }
  (void)pthread_mutex_unlock(&mutex);
  if (op->dst[0] == TSR_REF_NONE) return TSR_FLOW_YIELD;
  unsigned char *out = tsr_unit(warp->base, op->dst[0]);
  for (size_t i = 0; i < TSR_LANES; ++i) {
    if ((mask >> i & 1u) != 0) memcpy(out + i * 16, old + i * 16, 16);
  }
  return TSR_FLOW_YIELD;
}

// --- Decoding ---------------------------------------------------------------

typedef struct atomic_form {
  tsr_ptx_space space;
  atomic_verb verb;
  tsr_ptx_type type;
  uint32_t count;
  uint32_t order;  // TSR_ORDER_*
  bool noftz, cache_hint, returns;
} atomic_form;

static bool integer_type_fits(const atomic_form *form) {
  switch (form->verb) {
    case ATOMIC_AND:
    case ATOMIC_OR:
    case ATOMIC_XOR:
      return form->type == TSR_PTX_B32 || form->type == TSR_PTX_B64;
    case ATOMIC_CAS:
      if (form->type == TSR_PTX_B16) return true;
      // fall through
    case ATOMIC_EXCH:
      return form->type == TSR_PTX_B32 || form->type == TSR_PTX_B64 ||
             form->type == TSR_PTX_B128;
    case ATOMIC_ADD:
      return form->type == TSR_PTX_U32 || form->type == TSR_PTX_S32 ||
             form->type == TSR_PTX_U64;
    case ATOMIC_INC:
    case ATOMIC_DEC:
      return form->type == TSR_PTX_U32;
    default:
      return form->type == TSR_PTX_U32 || form->type == TSR_PTX_S32 ||
             form->type == TSR_PTX_U64 || form->type == TSR_PTX_S64;
  }
}

static bool float_type_fits(const atomic_form *form) {
  bool vector = form->count > 1;
  switch (form->type) {
    case TSR_PTX_F32:
      return form->verb == ATOMIC_ADD && !form->noftz && form->count <= 4;
    case TSR_PTX_F64:
      return form->verb == ATOMIC_ADD && !form->noftz && !vector;
    case TSR_PTX_F16:
    case TSR_PTX_BF16:
      break;
    default:
      if (form->count > 4) return false;
      break;
  }
  return form->noftz &&
         (form->verb == ATOMIC_ADD ||
          (vector && (form->verb == ATOMIC_MIN || form->verb == ATOMIC_MAX)));
}

static bool check_form(tsr_decoder *d, const atomic_form *form) {
  bool is_float = tsr_ptx_type_class(form->type) == TSR_PTX_KIND_FLOAT;
  bool fits = is_float
                  ? float_type_fits(form)
                  : integer_type_fits(form) && !form->noftz && form->count == 1;
  if (!fits) {
    return tsr_decode_error(d, "no atomic '.%s%s' of %u '.%s'",
                            atomic_names[form->verb],
                            form->noftz ? ".noftz" : "", form->count,
                            tsr_ptx_type_name(form->type));
  }
  if (form->cache_hint && form->space == TSR_PTX_SPACE_SHARED) {
    return tsr_decode_error(d, "cache hints need global memory");
  }
  if (form->count > 1) {
    if (form->space == TSR_PTX_SPACE_SHARED) {
      return tsr_decode_error(d, "vector atomics need '.global'");
    }
    return tsr_decode_require(d, 81, 90, 0);
  }
  switch (form->type) {
    case TSR_PTX_B16:
    case TSR_PTX_F16:
      return tsr_decode_require(d, 63, 70, 0);
    case TSR_PTX_BF16:
    case TSR_PTX_BF16X2:
      return tsr_decode_require(d, 78, 90, 0);
    case TSR_PTX_B128:
      return tsr_decode_require(d, 83, 90, 0);
    default:
      return true;
  }
}

static bool take_form(tsr_decoder *d, atomic_form *form) {
  static const char *const atom_semantics[] = {"relaxed", "acquire", "release",
                                               "acq_rel", NULL};
  static const char *const red_semantics[] = {"relaxed", "release", NULL};
  static const char *const scopes[] = {"cta", "cluster", "gpu", "sys", NULL};
  static const char *const spaces[] = {"global", "shared", "shared::cta",
                                       "shared::cluster", NULL};
  const char *const *semantics = form->returns ? atom_semantics : red_semantics;
  int semantic = tsr_mod_one_of(d, semantics);
  int scope = tsr_mod_one_of(d, scopes);
  // Without: ".relaxed", ".gpu". Clusters have one block here.
  form->order = TSR_ORDER_STRONG;
  if (semantic >= 0) form->order |= tsr_order_of(semantics[semantic]);
  if (scope < 0 || scope >= 2) form->order |= TSR_ORDER_DEVICE;
  form->space = tsr_take_space(d, spaces);
  int verb = tsr_mod_need(d, atomic_names, "an atomic operation");
  if (verb < 0) return false;
  form->verb = (atomic_verb)verb;
  if (!form->returns && (verb == ATOMIC_CAS || verb == ATOMIC_EXCH)) {
    return tsr_decode_error(d, "'red' has no '.%s'", atomic_names[verb]);
  }
  form->noftz = tsr_mod(d, "noftz");
  form->cache_hint = tsr_mod(d, "L2::cache_hint");
  form->count = tsr_mod_vector(d);
  return tsr_mod_need_type(d, &form->type) && check_form(d, form);
}

// How the registers of |type| are declared.
static tsr_ptx_type register_type(tsr_ptx_type type) {
  return type == TSR_PTX_F16 || type == TSR_PTX_BF16 ? TSR_PTX_B16 : type;
}

static const tsr_ptx_operand *part(tsr_decoder *d, const tsr_ptx_operand *all,
                                   uint32_t count, uint32_t index) {
  if (count == 1) return all;
  if (all->kind == TSR_PTX_VECTOR && all->item_count == count) {
    return &all->items[index];
  }
  (void)tsr_decode_error_at(d, all, "a vector of %u elements expected", count);
  return NULL;
}

typedef struct atomic_operands {
  tsr_address address;
  tsr_ref dst[MOST_ELEMENTS], src[MOST_ELEMENTS], swap, policy;
} atomic_operands;

static bool take_operands(tsr_decoder *d, const atomic_form *form,
                          atomic_operands *out) {
  uint32_t at = form->returns ? 1 : 0;
  bool cas = form->verb == ATOMIC_CAS;
  tsr_ptx_type type = register_type(form->type);
  if (!tsr_take_policy(d, form->cache_hint, at + 2 + (cas ? 1 : 0),
                       &out->policy) ||
      !tsr_address_operand(d, tsr_operand(d, at), form->space, &out->address)) {
    return false;
  }
  for (uint32_t k = 0; k < form->count; ++k) {
    const tsr_ptx_operand *from =
        part(d, tsr_operand(d, at + 1), form->count, k);
    if (from == NULL || !tsr_source(d, from, type, &out->src[k])) return false;
    if (!form->returns) continue;
    const tsr_ptx_operand *to = tsr_operand(d, 0);
    if (to->kind == TSR_PTX_SINK) {
      out->dst[k] = TSR_REF_NONE;
      continue;
    }
    to = part(d, to, form->count, k);
    if (to == NULL || !tsr_destination(d, to, type, true, &out->dst[k])) {
      return false;
    }
  }
  return !cas || tsr_source(d, tsr_operand(d, at + 2), type, &out->swap);
}

static bool emit(tsr_decoder *d, const atomic_form *form,
                 const atomic_operands *operands) {
  bool cas = form->verb == ATOMIC_CAS;
  uint32_t size = tsr_ptx_type_bits(form->type) / 8;
  uint32_t src_count = 1 + form->count + (cas ? 1 : 0) + 1;
  tsr_op *op =
      tsr_emit(d, size == 16 ? run_atom128 : run_atom, TESSERA_EMU_CLASS_ATOMIC,
               form->returns ? form->count : 0, src_count);
  if (op == NULL || tsr_emit_address(d, op, 0, &operands->address) == NULL) {
    return false;
  }
  if (form->returns) {
    memcpy(op->dst, operands->dst, form->count * sizeof(*op->dst));
  }
  memcpy(op->src + 1, operands->src, form->count * sizeof(*op->src));
  if (cas) op->src[2] = operands->swap;
  op->src[src_count - 1] = operands->policy;
  op->aux[0] = size;
  op->aux[1] = form->count;
  op->aux[2] = form->order;
  op->aux[3] = (uint32_t)form->verb | (uint32_t)form->type << 8;
  if (operands->address.space != TSR_PTX_SPACE_SHARED) {
    op->flags = (uint8_t)(op->flags | TSR_OP_COMMUNICATES);
  }
  return true;
}

static bool decode(tsr_decoder *d, bool returns) {
  atomic_form form = {.returns = returns};
  atomic_operands operands;
  return take_form(d, &form) && take_operands(d, &form, &operands) &&
         emit(d, &form, &operands);
}

static bool decode_atom(tsr_decoder *d) {
  return decode(d, true);
}

static bool decode_red(tsr_decoder *d) {
  return decode(d, false);
}

const tsr_opcode tsr_opcodes_atomic[] = {
    {"atom", decode_atom}, {"red", decode_red}, {0}};

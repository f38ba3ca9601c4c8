// SPDX-License-Identifier: Apache-2.0
// atom and red: every operation and type on edge values against plain formulas
// (16-bit floats rounded from double), lanes with addresses of their own and
// with one address for all, each space, vectors, and blocks on several threads
// at once.
#include <math.h>

#include "harness.h"

#define LANES(lanes) ((const uint64_t(*)[32])(lanes))

static uint64_t random_state = 11;

// --- References -------------------------------------------------------------

static float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

// Either 16-bit type by its definition: IEEE 754 with 8 (bf16) or 5 bits of
// exponent.
static double half_value(uint16_t bits, bool bf16) {
  int fraction_bits = bf16 ? 7 : 10;
  int bias = bf16 ? 127 : 15;
  int exponent = (bits & 0x7fff) >> fraction_bits;
  int fraction = bits & ((1 << fraction_bits) - 1);
  double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 2 * bias + 1) {
    return fraction != 0 ? (double)NAN : sign * HUGE_VAL;
  }
  if (exponent == 0) return sign * ldexp(fraction, 1 - bias - fraction_bits);
  return sign * ldexp(fraction + (1 << fraction_bits),
                      exponent - bias - fraction_bits);
}

// To nearest even. |exact|: the sum of two such numbers is exact in double,
// unless bf16's exponents are so far apart that the smaller changes nothing.
static uint16_t half_round(double exact, bool bf16) {
  int fraction_bits = bf16 ? 7 : 10;
  int bias = bf16 ? 127 : 15;
  uint32_t infinity = bf16 ? 0x7f80 : 0x7c00;
  if (isnan(exact)) return 0x7fff;
  uint32_t sign = signbit(exact) != 0 ? 0x8000 : 0;
  if (isinf(exact)) return (uint16_t)(sign | infinity);
  int exponent = 0;
  (void)frexp(exact, &exponent);
  int least = 1 - bias - fraction_bits;
  int unit = exponent - 1 - fraction_bits;  // of the last bit
  if (exact == 0 || unit < least) unit = least;
  uint32_t count = (uint32_t)nearbyint(ldexp(fabs(exact), -unit));
  uint32_t bits = count + ((uint32_t)(unit - least) << fraction_bits);
  return (uint16_t)(sign | (bits < infinity ? bits : infinity));
}

static uint16_t half_add(uint16_t a, uint16_t b, bool bf16) {
  return half_round(half_value(a, bf16) + half_value(b, bf16), bf16);
}

static uint16_t half_extreme(uint16_t a, uint16_t b, bool bf16, bool min) {
  double x = half_value(a, bf16);
  double y = half_value(b, bf16);
  if (isnan(x) && isnan(y)) return 0x7fff;
  if (isnan(x)) return b;
  if (isnan(y)) return a;
  if (x == y) return (a & 0x8000u) != 0 ? (min ? a : b) : (min ? b : a);
  return (x < y) == min ? a : b;
}

static uint32_t flush(uint32_t bits) {
  return (bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits;
}

static uint32_t float_add(uint32_t a, uint32_t b, bool ftz) {
  float sum =
      ftz ? float_of(flush(a)) + float_of(flush(b)) : float_of(a) + float_of(b);
  uint32_t bits;
  memcpy(&bits, &sum, 4);
  if (isnan(sum)) return 0x7fffffffu;
  return ftz ? flush(bits) : bits;
}

static uint64_t reference(const char *op, const char *type, uint64_t old,
                          uint64_t b, uint64_t c, bool shared) {
  bool wide = strstr(type, "64") != NULL;
  uint64_t all = wide                       ? UINT64_MAX
                 : strcmp(type, "b16") == 0 ? 0xffff
                                            : 0xffffffffu;
  if (strcmp(op, "and") == 0) return old & b;
  if (strcmp(op, "or") == 0) return old | b;
  if (strcmp(op, "xor") == 0) return old ^ b;
  if (strcmp(op, "exch") == 0) return b;
  if (strcmp(op, "cas") == 0) return old == b ? c : old;
  if (strcmp(op, "inc") == 0) return old >= b ? 0 : old + 1;
  if (strcmp(op, "dec") == 0) return old == 0 || old > b ? b : old - 1;
  if (strcmp(type, "f32") == 0) {
    return float_add((uint32_t)old, (uint32_t)b, !shared);
  }
  if (strcmp(type, "f64") == 0) {
    double x;
    double y;
    memcpy(&x, &old, 8);
    memcpy(&y, &b, 8);
    x += y;
    memcpy(&old, &x, 8);
    return old;
  }
  bool bf16 = type[0] == 'b' && type[1] == 'f';
  if (bf16 || type[0] == 'f') {
    uint16_t parts[2];
    for (int k = 0; k < 2; ++k) {
      uint16_t x = (uint16_t)(old >> (16 * k));
      uint16_t y = (uint16_t)(b >> (16 * k));
      parts[k] = strncmp(op, "add", 3) == 0
                     ? half_add(x, y, bf16)
                     : half_extreme(x, y, bf16, strncmp(op, "min", 3) == 0);
    }
    return strstr(type, "x2") != NULL ? parts[0] | (uint32_t)parts[1] << 16
                                      : parts[0];
  }
  if (strcmp(op, "add") == 0) return (old + b) & all;
  bool less = type[0] == 'u' ? old < b
              : wide         ? (int64_t)old < (int64_t)b
                             : (int32_t)(uint32_t)old < (int32_t)(uint32_t)b;
  return less == (strcmp(op, "min") == 0) ? old : b;
}

// --- One operation ----------------------------------------------------------

typedef struct atomic_case {
  const char *op, *type;
  uint32_t bits;
} atomic_case;

static const atomic_case cases[] = {
    {"and", "b32", 32},         {"and", "b64", 64},
    {"or", "b32", 32},          {"or", "b64", 64},
    {"xor", "b32", 32},         {"xor", "b64", 64},
    {"exch", "b32", 32},        {"exch", "b64", 64},
    {"cas", "b16", 16},         {"cas", "b32", 32},
    {"cas", "b64", 64},         {"add", "u32", 32},
    {"add", "s32", 32},         {"add", "u64", 64},
    {"inc", "u32", 32},         {"dec", "u32", 32},
    {"min", "u32", 32},         {"min", "s32", 32},
    {"min", "u64", 64},         {"min", "s64", 64},
    {"max", "u32", 32},         {"max", "s32", 32},
    {"max", "u64", 64},         {"max", "s64", 64},
    {"add", "f32", 32},         {"add", "f64", 64},
    {"add.noftz", "f16", 16},   {"add.noftz", "bf16", 16},
    {"add.noftz", "f16x2", 32}, {"add.noftz", "bf16x2", 32},
};

static uint64_t cut(uint64_t value, uint32_t bits) {
  return bits == 64 ? value : value & ((UINT64_C(1) << bits) - 1);
}

// Values of all kinds; cas finds what it looks for half of the time.
static void draw(const atomic_case *c, uint64_t memory[32], uint64_t b[32],
                 uint64_t swap[32]) {
  for (uint32_t i = 0; i < 32; ++i) {
    uint64_t small = random_next(&random_state) % 5;
    memory[i] = cut(random_next(&random_state), c->bits);
    b[i] = cut(random_next(&random_state), c->bits);
    swap[i] = cut(random_next(&random_state), c->bits);
    if (small == 0) b[i] = memory[i];
    if (small == 1) memory[i] = cut(0, c->bits);
    if (small == 2) b[i] = cut(UINT64_C(0x7f807f807f807f80), c->bits);
    if (small == 3) memory[i] = cut(UINT64_C(0x8000000180000001), c->bits);
    // Two subnormal numbers whose sum is normal: flushed before, not after.
    if (small == 4 && strcmp(c->type, "f32") == 0) {
      memory[i] = 0x007fffff;
      b[i] = 0x00000001 + i;
    }
    // A pair of f64 without NaN: their payloads are the host's.
    if (strcmp(c->type, "f64") == 0) {
      double x = (double)(int64_t)memory[i] * 0x1p-40;
      double y = (double)(int64_t)b[i] * 0x1p-90;
      memcpy(&memory[i], &x, 8);
      memcpy(&b[i], &y, 8);
    }
  }
}

static void text_of(char *out, size_t size, const atomic_case *c, bool red,
                    const char *space, const char *address) {
  const char *swap = strcmp(c->op, "cas") == 0 ? ", %i2" : "";
  (void)snprintf(out, size, "%s%s.%s.%s %s[%s], %%i1%s;", red ? "red" : "atom",
                 space, c->op, c->type, red ? "" : "%o0, ", address, swap);
}

static void test_global_case(emu *e, const atomic_case *c, bool red,
                             bool same) {
  static uint64_t in[3][32];
  static uint64_t out[1][32];
  uint64_t memory[32];
  draw(c, memory, in[1], in[2]);
  uint64_t at = emu_upload(e, memory, sizeof(memory));
  for (uint32_t i = 0; i < 32; ++i) in[0][i] = at + (same ? 0 : i * 8);
  char body[200];
  char letter = c->bits == 64 ? 'd' : c->bits == 32 ? 'r' : 'h';
  char letters[4] = {'d', letter, letter, 0};
  char result[2] = {red ? '\0' : letter, 0};
  text_of(body, sizeof(body), c, red, same ? ".global" : "", "%i0");
  CHECK(emu_lanes(e, "", body, letters, LANES(in), result, out));
  uint64_t after[32];
  emu_download(e, after, at, sizeof(after));
  for (uint32_t i = 0; i < 32; ++i) {
    uint64_t *cell = &memory[same ? 0 : i];
    uint64_t old = cut(*cell, c->bits);
    if (!red && out[0][i] != old) {
      fprintf(stderr, "%s of %s, lane %u\n", c->op, c->type, i);
    }
    if (!red) CHECK_EQ(out[0][i], old);
    uint64_t next = reference(c->op, c->type, old, in[1][i], in[2][i], false);
    *cell = (*cell & ~cut(UINT64_MAX, c->bits)) | next;
  }
  if (memcmp(after, memory, sizeof(memory)) != 0) {
    fprintf(stderr, "%s of %s%s\n", c->op, c->type, red ? ", red" : "");
  }
  CHECK(memcmp(after, memory, sizeof(memory)) == 0);
  (void)tsr_heap_free(e->heap, at);
}

// The same in shared memory, named and generic.
static void test_shared_case(emu *e, const atomic_case *c, bool generic) {
  static uint64_t in[4][32];
  static uint64_t out[2][32];
  draw(c, in[3], in[1], in[2]);
  char letter = c->bits == 64 ? 'd' : c->bits == 32 ? 'r' : 'h';
  char letters[5] = {'d', letter, letter, letter, 0};
  char results[3] = {letter, letter, 0};
  char atom[200];
  char body[700];
  text_of(atom, sizeof(atom), c, false, generic ? "" : ".shared", "%sp");
  (void)snprintf(body, sizeof(body),
                 ".shared .align 8 .b8 cells[256];\n.reg .b64 %%sp, %%so;\n"
                 "mov.u64 %%sp, cells; mul.wide.u32 %%so, %%hlane, 8;\n"
                 "add.u64 %%sp, %%sp, %%so;\n%s\nst.b%u [%%sp], %%i3;\n%s\n"
                 "ld.%sb%u %%o1, [%%sp];\n",
                 generic ? "cvta.shared.u64 %sp, %sp;" : "", c->bits, atom,
                 generic ? "" : "shared.", c->bits);
  if (!generic) {  // the store, too
    char *store = strstr(body, "\nst.b");
    char rest[500];
    (void)snprintf(rest, sizeof(rest), "%s", store + 4);
    (void)snprintf(store, sizeof(body) - (size_t)(store - body),
                   "\nst.shared.%s", rest);
  }
  CHECK(emu_lanes(e, "", body, letters, LANES(in), results, out));
  for (uint32_t i = 0; i < 32; ++i) {
    CHECK_EQ(out[0][i], in[3][i]);
    CHECK_EQ(out[1][i],
             reference(c->op, c->type, in[3][i], in[1][i], in[2][i], true));
  }
}

static void test_scalars(emu *e) {
  for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); ++k) {
    const atomic_case *c = &cases[k];
    bool has_red = strcmp(c->op, "cas") != 0 && strcmp(c->op, "exch") != 0;
    for (int round = 0; round < 3; ++round) {
      for (int same = 0; same < 2; ++same) {
        test_global_case(e, c, false, same != 0);
        if (has_red) test_global_case(e, c, true, same != 0);
      }
      test_shared_case(e, c, round == 0);
    }
  }
}

// --- Vectors, 128 bits ------------------------------------------------------

typedef struct vector_case {
  const char *op, *type;
  uint32_t bits, count;
} vector_case;

static void test_vectors(emu *e) {
  static const vector_case vectors[] = {
      {"add", "f32", 32, 2},          {"add", "f32", 32, 4},
      {"add.noftz", "f16", 16, 2},    {"add.noftz", "f16", 16, 8},
      {"max.noftz", "bf16", 16, 4},   {"min.noftz", "f16", 16, 2},
      {"add.noftz", "f16x2", 32, 4},  {"min.noftz", "bf16x2", 32, 2},
      {"add.noftz", "bf16x2", 32, 2}, {"max.noftz", "f16x2", 32, 4}};
  for (size_t v = 0; v < sizeof(vectors) / sizeof(vectors[0]); ++v) {
    const vector_case *c = &vectors[v];
    static uint64_t in[9][32];
    static uint64_t out[8][32];
    unsigned char memory[32 * 16];
    for (size_t i = 0; i < sizeof(memory); ++i) {
      memory[i] = (unsigned char)random_next(&random_state);
      // Zeros of both signs meet those of the operands.
      if (i / 16 % 8 == 2 || i / 16 % 8 == 1) memory[i] = 0;
      if (i / 16 % 8 == 3) memory[i] = i % 2 == 0 ? 0 : 0x80;
    }
    uint64_t at = emu_upload(e, memory, sizeof(memory));
    char letter = c->bits == 32 ? 'r' : 'h';
    char letters[10] = {'d'};
    char sources[80] = "";
    char results[80] = "";
    for (uint32_t k = 0; k < c->count; ++k) {
      letters[k + 1] = letter;
      size_t s = strlen(sources);
      (void)snprintf(sources + s, sizeof(sources) - s, "%s%%i%u",
                     k == 0 ? "" : ", ", k + 1);
      s = strlen(results);
      (void)snprintf(results + s, sizeof(results) - s, "%s%%o%u",
                     k == 0 ? "" : ", ", k);
      for (uint32_t i = 0; i < 32; ++i) {
        in[k + 1][i] = cut(random_next(&random_state), c->bits);
        if (i % 8 == 1) in[k + 1][i] = cut(0x80000000, c->bits);
        if (i % 8 == 2) in[k + 1][i] = cut(0x80008000, c->bits);
        if (i % 8 == 3) in[k + 1][i] = 0;
      }
    }
    for (uint32_t i = 0; i < 32; ++i) in[0][i] = at + i * 16;
    char body[300];
    (void)snprintf(body, sizeof(body),
                   "atom.relaxed.gpu.global.%s.v%u.%s {%s}, [%%i0], {%s};",
                   c->op, c->count, c->type, results, sources);
    CHECK(emu_lanes(e, "", body, letters, LANES(in), letters + 1, out));
    unsigned char after[sizeof(memory)];
    emu_download(e, after, at, sizeof(after));
    uint32_t bytes = c->bits / 8;
    for (uint32_t i = 0; i < 32; ++i) {
      for (uint32_t k = 0; k < c->count; ++k) {
        uint64_t old = 0;
        memcpy(&old, memory + i * 16 + k * bytes, bytes);
        CHECK_EQ(out[k][i], old);
        uint64_t next = reference(c->op, c->type, old, in[k + 1][i], 0, false);
        memcpy(memory + i * 16 + k * bytes, &next, bytes);
      }
    }
    CHECK(memcmp(after, memory, sizeof(memory)) == 0);
    // red does the same and returns nothing.
    (void)snprintf(body, sizeof(body), "red.global.%s.v%u.%s [%%i0], {%s};",
                   c->op, c->count, c->type, sources);
    CHECK(emu_lanes(e, "", body, letters, LANES(in), "", out));
    emu_download(e, after, at, sizeof(after));
    for (uint32_t i = 0; i < 32; ++i) {
      for (uint32_t k = 0; k < c->count; ++k) {
        uint64_t old = 0;
        memcpy(&old, memory + i * 16 + k * bytes, bytes);
        uint64_t next = reference(c->op, c->type, old, in[k + 1][i], 0, false);
        memcpy(memory + i * 16 + k * bytes, &next, bytes);
      }
    }
    CHECK(memcmp(after, memory, sizeof(memory)) == 0);
  }
}

static void test_b128(emu *e) {
  static uint64_t in[5][32];
  static uint64_t out[2][32];
  uint64_t memory[32][2];
  for (uint32_t i = 0; i < 32; ++i) {
    for (int k = 0; k < 2; ++k) {
      memory[i][k] = random_next(&random_state);
      in[1 + k][i] = memory[i][k] ^ (i % 2 == 0 && k == 1 ? 1 : 0);
      in[3 + k][i] = random_next(&random_state);
    }
  }
  uint64_t at = emu_upload(e, memory, sizeof(memory));
  for (uint32_t i = 0; i < 32; ++i) in[0][i] = at + i * 16;
  CHECK(emu_lanes(e, "",
                  ".reg .b128 %b, %c, %q;\nmov.b128 %b, {%i1, %i2};\n"
                  "mov.b128 %c, {%i3, %i4};\n"
                  "atom.global.cas.b128 %q, [%i0], %b, %c;\n"
                  "mov.b128 {%o0, %o1}, %q;",
                  "ddddd", LANES(in), "dd", out));
  uint64_t after[32][2];
  emu_download(e, after, at, sizeof(after));
  for (uint32_t i = 0; i < 32; ++i) {
    for (int k = 0; k < 2; ++k) {
      CHECK_EQ(out[k][i], memory[i][k]);
      CHECK_EQ(after[i][k], i % 2 == 0 ? memory[i][k] : in[3 + k][i]);
    }
  }
  CHECK(emu_lanes(e, "",
                  ".reg .b128 %c, %q;\nmov.b128 %c, {%i3, %i4};\n"
                  "atom.global.exch.b128 %q, [%i0], %c;\n"
                  "mov.b128 {%o0, %o1}, %q;",
                  "ddddd", LANES(in), "dd", out));
  for (uint32_t i = 0; i < 32; ++i) CHECK_EQ(out[1][i], after[i][1]);
  emu_download(e, after, at, sizeof(after));
  for (uint32_t i = 0; i < 32; ++i) CHECK_EQ(after[i][0], in[3][i]);
}

// --- Modifiers --------------------------------------------------------------

static const char *const accepted[] = {
    "atom.acquire.cta.global.add.u32 %o0, [%i0], 1;",
    "atom.release.cluster.add.u32 %o0, [%i0], 1;",
    "atom.acq_rel.sys.global.add.u32 %o0, [%i0], 1;",
    "atom.gpu.global.add.u32 %o0, [%i0], 1;",
    "atom.acquire.global.add.u32 %o0, [%i0], 1;",
    "atom.global.add.L2::cache_hint.u32 %o0, [%i0], 1, %i0;",
    "atom.global.add.u32 _, [%i0], 1; mov.u32 %o0, 100;",
    "red.release.gpu.global.add.u32 [%i0], 1; mov.u32 %o0, 100;",
    "red.relaxed.sys.add.u32 [%i0], 1; mov.u32 %o0, 100;",
};

#define EIGHT "{%r1, %r1, %r1, %r1, %r1, %r1, %r1, %r1}"

static const char *const refused[] = {
    "atom.global.add.s64 %rd2, [%rd1], %rd2;",
    "atom.global.and.u32 %r1, [%rd1], %r2;",
    "atom.global.inc.s32 %r1, [%rd1], %r2;",
    "atom.global.add.f16 %h1, [%rd1], %h2;",
    "atom.global.min.f32 %r1, [%rd1], %r2;",
    "atom.global.min.noftz.f16 %h1, [%rd1], %h2;",
    "atom.global.add.noftz.f32 %r1, [%rd1], %r2;",
    "atom.shared.add.v2.f32 {%r1, %r2}, [%rd1], {%r1, %r2};",
    "atom.global.add.v8.f32 " EIGHT ", [%rd1], " EIGHT ";",
    "atom.global.add.v2.u32 {%r1, %r2}, [%rd1], {%r1, %r2};",
    "atom.global.cas.b32 %r1, [%rd1], %r2;",
    "atom.global.add.u32 %r1, [%rd1], %r2, %r3;",
    "atom.global.sub.u32 %r1, [%rd1], %r2;",
    "atom.const.add.u32 %r1, [%rd1], %r2;",
    "atom.local.add.u32 %r1, [%rd1], %r2;",
    "atom.volatile.global.add.u32 %r1, [%rd1], %r2;",
    "atom.sc.gpu.global.add.u32 %r1, [%rd1], %r2;",
    "atom.shared.add.L2::cache_hint.u32 %r1, [%r2], %r2, %rd1;",
    "red.global.exch.b32 [%rd1], %r2;",
    "red.global.cas.b32 [%rd1], %r2, %r3;",
    "red.acquire.gpu.global.add.u32 [%rd1], %r2;",
    "red.global.add.u32 %r1, [%rd1], %r2;",
};

static void test_modifiers(emu *e) {
  for (size_t k = 0; k < sizeof(accepted) / sizeof(accepted[0]); ++k) {
    static uint64_t in[1][32];
    static uint64_t out[1][32];
    uint32_t counter = 100;
    uint64_t at = emu_upload(e, &counter, sizeof(counter));
    for (uint32_t i = 0; i < 32; ++i) in[0][i] = at;
    bool clean = emu_lanes(e, "", accepted[k], "d", LANES(in), "r", out);
    if (!clean) fprintf(stderr, "%s: %s\n", accepted[k], emu_findings(e));
    CHECK(clean);
    emu_download(e, &counter, at, sizeof(counter));
    CHECK_EQ(counter, 132);
    CHECK_EQ(out[0][0], 100);
  }
  for (size_t k = 0; k < sizeof(refused) / sizeof(refused[0]); ++k) {
    CHECK(emu_refuses(e, refused[k]));
  }
}

// --- Blocks at once ---------------------------------------------------------

static const char *const count_text =
    ".version 8.7\n.target sm_90a\n.address_size 64\n"
    ".visible .entry count(.param .u64 p, .param .u64 tickets) {\n"
    ".reg .b64 %rd<6>; .reg .b32 %r<6>; .reg .f32 %f<2>;\n"
    "ld.param.u64 %rd1, [p]; ld.param.u64 %rd2, [tickets];\n"
    "atom.global.add.u32 %r1, [%rd1], 1;\n"
    "mul.wide.u32 %rd3, %r1, 4; add.u64 %rd4, %rd2, %rd3;\n"
    "mov.u32 %r2, 1; red.global.add.u32 [%rd4], %r2;\n"
    "mov.f32 %f1, 0f3f800000; red.global.add.f32 [%rd1+4], %f1;\n"
    "and.b32 %r3, %r1, 31; mov.u32 %r4, 1; shl.b32 %r4, %r4, %r3;\n"
    "red.global.or.b32 [%rd1+8], %r4;\n"
    "atom.global.inc.u32 %r5, [%rd1+12], 999;\nret;\n}\n";

static void test_blocks(emu *e, tessera_emu_parallel parallel) {
  enum { BLOCKS = 40, THREADS = 96, ALL = BLOCKS * THREADS };
  static uint32_t tickets[ALL];
  uint32_t counters[4] = {0, 0, 0, 0};
  emu_must_load(e, count_text);
  e->config.parallel = parallel;
  e->config.threads = 2;
  memset(tickets, 0, sizeof(tickets));
  uint64_t args[] = {emu_upload(e, counters, sizeof(counters)),
                     emu_upload(e, tickets, sizeof(tickets))};
  emu_dims dims = {.grid = {BLOCKS, 1, 1}, .block = {THREADS, 1, 1}};
  CHECK(emu_launch(e, "count", dims, args, 2));
  emu_download(e, counters, args[0], sizeof(counters));
  emu_download(e, tickets, args[1], sizeof(tickets));
  CHECK_EQ(counters[0], ALL);
  CHECK_EQ(counters[1], 0x45700000);  // 3840.0f
  CHECK_EQ(counters[2], 0xffffffffu);
  CHECK_EQ(counters[3], ALL % 1000);
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < ALL; ++i) wrong += tickets[i] != 1;
  CHECK_EQ(wrong, 0);  // each number was given once
  CHECK_EQ(e->launch.profile.global_atomic.instructions, 5 * BLOCKS * 3);
}

// A lock taken with cas and given back with exch: every thread adds in turn.
static const char *const lock_text =
    ".version 8.7\n.target sm_90a\n.address_size 64\n"
    ".visible .entry locked(.param .u64 p) {\n"
    ".reg .b64 %rd<4>; .reg .b32 %r<6>; .reg .pred %p<3>;\n"
    "ld.param.u64 %rd1, [p];\n"
    "mov.u32 %r1, %laneid; setp.ne.u32 %p1, %r1, 0; @%p1 bra DONE;\n"
    "SPIN:\natom.acquire.gpu.global.cas.b32 %r2, [%rd1], 0, 1;\n"
    "setp.ne.u32 %p2, %r2, 0; @%p2 bra SPIN;\n"
    "ld.global.u32 %r3, [%rd1+4]; add.u32 %r3, %r3, 1;\n"
    "st.global.u32 [%rd1+4], %r3;\n"
    "fence.acq_rel.gpu;\natom.release.gpu.global.exch.b32 %r4, [%rd1], 0;\n"
    "DONE:\nret;\n}\n";

static void test_lock(emu *e) {
  uint32_t memory[2] = {0, 0};
  emu_must_load(e, lock_text);
  uint64_t args[] = {emu_upload(e, memory, sizeof(memory))};
  emu_dims dims = {.grid = {8, 1, 1}, .block = {128, 1, 1}};
  CHECK(emu_launch(e, "locked", dims, args, 1));
  emu_download(e, memory, args[0], sizeof(memory));
  CHECK_EQ(memory[0], 0);
  CHECK_EQ(memory[1], 32);
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  test_scalars(&e);
  test_vectors(&e);
  test_b128(&e);
  test_modifiers(&e);
  test_blocks(&e, TESSERA_EMU_PARALLEL_AUTO);
  test_blocks(&e, TESSERA_EMU_PARALLEL_ALWAYS);
  test_lock(&e);
  emu_fini(&e);
  return test_finish();
}

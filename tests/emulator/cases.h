// SPDX-License-Identifier: Apache-2.0
// Instructions against formulas: a body is run with pairs of edge values and
// with random ones, and each lane compared with what a plain function says.
// Bodies that must be refused are compared by their message.
#ifndef TESTS_EMULATOR_CASES_H_
#define TESTS_EMULATOR_CASES_H_

#include "harness.h"

// The inputs are cut to their registers' sizes; of the result too.
typedef uint64_t (*case_reference)(uint64_t a, uint64_t b, uint64_t c,
                                   uint64_t d);

typedef struct lane_case {
  const char *body, *ins, *outs;  // as emu_lanes; at least one output
  case_reference expected;        // of %o0
  case_reference second;          // of %o1, or NULL
} lane_case;

enum { CASE_ROUNDS = 12, CASE_INPUTS = 4 };

static inline uint32_t case_bits(char type) {
  return type == 'd' ? 64 : type == 'h' ? 16 : type == 'p' ? 1 : 32;
}

static inline uint64_t case_cut(uint64_t value, uint32_t bits) {
  return bits == 64 ? value : value & ((UINT64_C(1) << bits) - 1);
}

// Small counts, extremes of every width, and bits between them.
static inline uint64_t case_edge(uint32_t index, uint32_t bits) {
  static const uint64_t low[] = {0, 1, 2, 31, 32, 33, 63};
  uint64_t top = UINT64_C(1) << (bits - 1);
  switch (index % 16) {
    case 7:
      return top;
    case 8:
      return top - 1;
    case 9:
      return top + 1;
    case 10:
      return UINT64_MAX;
    case 11:
      return UINT64_MAX - 1;
    case 12:
      return 64;
    case 13:
      return UINT64_C(0x5a96c3f05a96c3f0);
    case 14:
      return 255;
    case 15:
      return UINT64_C(0x8000000080008000);
    default:
      return low[index % 16];
  }
}

static inline uint64_t case_input(uint64_t *state, uint32_t round,
                                  uint32_t lane, uint32_t k, uint32_t bits) {
  uint32_t n = round * 32 + lane;
  uint64_t random = random_next(state);
  if (n < 256 && k < 2) return case_edge(k == 0 ? n / 16 : n % 16, bits);
  if (random % 3 == 0) return case_edge((uint32_t)(random >> 8), bits);
  return random_next(state) >> (random >> 4) % 64;
}

static inline void case_compare(const lane_case *c,
                                uint64_t in[CASE_INPUTS][32],
                                uint64_t out[2][32]) {
  static int shown;
  for (uint32_t lane = 0; lane < 32; ++lane) {
    for (uint32_t k = 0; c->outs[k] != '\0'; ++k) {
      case_reference reference = k == 0 ? c->expected : c->second;
      uint64_t expected = case_cut(
          reference(in[0][lane], in[1][lane], in[2][lane], in[3][lane]),
          case_bits(c->outs[k]));
      ++test_checks;
      if (out[k][lane] == expected) continue;
      ++test_failures;
      if (++shown > 40) continue;
      fprintf(stderr,
              "%s\n  of %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64
              ": output %u is %#" PRIx64 ", expected %#" PRIx64 "\n",
              c->body, in[0][lane], in[1][lane], in[2][lane], in[3][lane], k,
              out[k][lane], expected);
    }
  }
}

static inline void case_run(emu *e, const lane_case *c) {
  uint64_t state = strlen(c->body) * 77;
  for (uint32_t round = 0; round < CASE_ROUNDS; ++round) {
    uint64_t in[CASE_INPUTS][32] = {{0}}, out[2][32] = {{0}};
    for (uint32_t k = 0; c->ins[k] != '\0'; ++k) {
      uint32_t bits = case_bits(c->ins[k]);
      for (uint32_t lane = 0; lane < 32; ++lane) {
        in[k][lane] = case_cut(case_input(&state, round, lane, k, bits), bits);
      }
    }
    CHECK(emu_lanes(e, NULL, c->body, c->ins, (const uint64_t(*)[32])in,
                    c->outs, out));
    case_compare(c, in, out);
  }
}

static inline void case_run_all(emu *e, const lane_case *cases, size_t count) {
  for (size_t i = 0; i < count; ++i) case_run(e, &cases[i]);
}

typedef struct refused_case {
  const char *body;
  const char *message;  // with "ptx(7,": the body's line; NULL: accepted
} refused_case;

#define CASE_PRELUDE                                               \
  ".version 8.7\n.target sm_90a\n.address_size 64\n.entry k() {\n" \
  ".reg .b32 %r<9>; .reg .b64 %d<9>; .reg .pred %p<9>;\n"          \
  ".reg .b16 %h<9>; .reg .f32 %f<9>; .reg .b8 %b<9>;\n"

static inline void case_refused(emu *e, const refused_case *c) {
  char text[1024];
  (void)snprintf(text, sizeof(text), "%s%s\nret;\n}\n", CASE_PRELUDE, c->body);
  bool loaded = emu_load(e, text);
  if (c->message == NULL) {
    CHECK(loaded);
    if (!loaded) fprintf(stderr, "%s", tsr_buffer_text(&e->log.errors));
    return;
  }
  CHECK(!loaded);
  CHECK_STR(tsr_buffer_text(&e->log.errors), c->message);
}

#endif  // TESTS_EMULATOR_CASES_H_

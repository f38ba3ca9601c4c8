// SPDX-License-Identifier: Apache-2.0
// Runs instructions on thousands of inputs at once, each in a thread of its
// own, and tries forms that must be refused; for tests of arithmetic.
#ifndef TESTS_EMULATOR_MANY_H_
#define TESTS_EMULATOR_MANY_H_

#include <stdlib.h>

#include "harness.h"

enum { MANY_OUTPUTS = 24, MANY_MOST = 1 << 17 };

typedef struct many {
  emu e;
  uint32_t count;               // a multiple of 256
  uint64_t *in[3];              // count each
  uint64_t *out[MANY_OUTPUTS];  // count each
} many;

static inline void many_init(many *m, const char *device) {
  memset(m, 0, sizeof(*m));
  emu_init(&m->e, device);
  m->e.config.checks = 0;
  for (int k = 0; k < 3; ++k) {
    m->in[k] = calloc(MANY_MOST, sizeof(uint64_t));
    if (m->in[k] == NULL) exit(1);
  }
  for (int k = 0; k < MANY_OUTPUTS; ++k) {
    m->out[k] = calloc(MANY_MOST, sizeof(uint64_t));
    if (m->out[k] == NULL) exit(1);
  }
}
static inline void many_fini(many *m) {
  for (int k = 0; k < 3; ++k) free(m->in[k]);
  for (int k = 0; k < MANY_OUTPUTS; ++k) free(m->out[k]);
  emu_fini(&m->e);
}

static inline const char *many_type(char letter) {
  return letter == 'd' ? "b64" : letter == 'h' ? "b16" : "b32";
}
static inline void many_text(const many *m, tsr_buffer *text, const char *body,
                             const char *ins, const char *outs) {
  const tsr_device_model *device = m->e.device;
  tsr_buffer_printf(text, ".version 8.8\n.target sm_%u%u%s\n.address_size 64\n",
                    device->sm_major, device->sm_minor,
                    device->sm_major >= 9 ? "a" : "");
  tsr_buffer_append_string(
      text,
      ".visible .entry many(.param .u64 pin, .param .u64 pout, .param .u64 "
      "pstride) {\n.reg .b64 %hin, %hout, %hofs, %hstride;\n"
      ".reg .b32 %hlane, %hblock, %hword;\n.reg .pred %hp;\n"
      "ld.param.u64 %hin, [pin];\nld.param.u64 %hout, [pout];\n"
      "ld.param.u64 %hstride, [pstride];\n"
      "mov.u32 %hlane, %tid.x;\nmov.u32 %hblock, %ctaid.x;\n"
      "mad.lo.u32 %hlane, %hblock, 256, %hlane;\n"
      "mul.wide.u32 %hofs, %hlane, 8;\n"
      "add.u64 %hin, %hin, %hofs;\nadd.u64 %hout, %hout, %hofs;\n");
  for (uint32_t k = 0; ins[k] != '\0'; ++k) {
    const char *type = many_type(ins[k]);
    tsr_buffer_printf(text,
                      ".reg .%s %%i%u;\nld.global.%s %%i%u, [%%hin];\n"
                      "add.u64 %%hin, %%hin, %%hstride;\n",
                      type, k, type, k);
  }
  for (uint32_t k = 0; outs[k] != '\0'; ++k) {
    tsr_buffer_printf(text, ".reg .%s %%o%u;\n",
                      outs[k] == 'p' ? "pred" : many_type(outs[k]), k);
  }
  tsr_buffer_printf(text, "%s\n", body);
  for (uint32_t k = 0; outs[k] != '\0'; ++k) {
    if (outs[k] == 'p') {
      tsr_buffer_printf(text,
                        "selp.u32 %%hword, 1, 0, %%o%u;\n"
                        "st.global.b32 [%%hout], %%hword;\n",
                        k);
    } else {
      tsr_buffer_printf(text, "st.global.%s [%%hout], %%o%u;\n",
                        many_type(outs[k]), k);
    }
    tsr_buffer_append_string(text, "add.u64 %hout, %hout, %hstride;\n");
  }
  tsr_buffer_append_string(text, "ret;\n}\n");
}

// m->out[k][i] = what |body| makes of m->in[..][i], zero-extended. Types as in
// emu_lanes.
static inline void many_run(many *m, const char *body, const char *ins,
                            const char *outs) {
  tsr_buffer text;
  tsr_buffer_init(&text);
  many_text(m, &text, body, ins, outs);
  emu_must_load(&m->e, tsr_buffer_text(&text));
  tsr_buffer_fini(&text);
  size_t inputs = strlen(ins), outputs = strlen(outs);
  uint64_t stride = (uint64_t)m->count * sizeof(uint64_t);
  uint64_t from = emu_upload(&m->e, NULL, stride * inputs);
  uint64_t to = emu_upload(&m->e, NULL, stride * outputs);
  for (size_t k = 0; k < inputs; ++k) {
    memcpy((void *)(uintptr_t)(from + k * stride), m->in[k], stride);
  }
  tsr_heap_mark_written(m->e.heap, from, stride * inputs);
  memset((void *)(uintptr_t)to, 0, stride * outputs);
  uint64_t args[3] = {from, to, stride};
  emu_dims dims = {.grid = {m->count / 256, 1, 1}, .block = {256, 1, 1}};
  if (!emu_launch(&m->e, "many", dims, args, 3)) {
    fprintf(stderr, "%s\n%s", body, emu_findings(&m->e));
    exit(1);
  }
  for (size_t k = 0; k < outputs; ++k) {
    emu_download(&m->e, m->out[k], to + k * stride, stride);
  }
  (void)tsr_heap_free(m->e.heap, from);
  (void)tsr_heap_free(m->e.heap, to);
}

// Registers as many of each type.
static inline emu_verdict many_try(many *m, const char *version,
                                   const char *target, const char *body) {
  return emu_try(&m->e, version, target,
                 ".reg .b8 %c<4>; .reg .b16 %h<4>; .reg .b32 %r<4>;\n"
                 ".reg .b64 %d<4>; .reg .pred %p<2>;",
                 body);
}

// |body| must be refused, with its line.
static inline bool many_refused(many *m, const char *version,
                                const char *target, const char *body) {
  emu_verdict verdict = many_try(m, version, target, body);
  if (verdict == EMU_REFUSED) return true;
  fprintf(
      stderr, "%s: %s\n", body,
      verdict == EMU_ACCEPTED ? "accepted" : tsr_buffer_text(&m->e.log.errors));
  return false;
}
static inline bool many_accepted(many *m, const char *version,
                                 const char *target, const char *body) {
  bool is_accepted = many_try(m, version, target, body) == EMU_ACCEPTED;
  if (!is_accepted) {
    fprintf(stderr, "%s: %s\n", body, tsr_buffer_text(&m->e.log.errors));
  }
  return is_accepted;
}

// Compares and reports the first differences of |what|; counts as one check.
static inline void many_expect(const char *what, const many *m, uint32_t output,
                               uint64_t (*expected)(const many *, uint32_t,
                                                    const void *),
                               const void *context, uint32_t inputs) {
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < m->count; ++i) {
    uint64_t want = expected(m, i, context);
    if (m->out[output][i] == want) continue;
    if (++wrong > 3) continue;
    fprintf(stderr, "%s:", what);
    for (uint32_t k = 0; k < inputs; ++k) {
      fprintf(stderr, " %#" PRIx64, m->in[k][i]);
    }
    fprintf(stderr, " gives %#" PRIx64 ", expected %#" PRIx64 "\n",
            m->out[output][i], want);
  }
  if (wrong > 0) fprintf(stderr, "%s: %u wrong\n", what, wrong);
  CHECK(wrong == 0);
}

// --- Inputs -----------------------------------------------------------------

static const uint32_t many_edges32[] = {
    0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x807fffff,
    0x00800000, 0x80800000, 0x00800001, 0x3f800000, 0xbf800000, 0x3f800001,
    0x3f7fffff, 0x3f000000, 0x33800000, 0x33800001, 0xb3800000, 0x34000000,
    0x40000000, 0x40400000, 0x7f7fffff, 0xff7fffff, 0x7e800000, 0x7e800001,
    0x7f000000, 0x00400000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001,
    0x7f800001, 0x7fffffff, 0x4b000000, 0xcb000001, 0x4f000000, 0xcf000000,
    0x1fffffff, 0x20000000, 0x5f000000, 0x80400000};
static const uint64_t many_edges64[] = {
    0x0000000000000000, 0x8000000000000000, 0x0000000000000001,
    0x8000000000000001, 0x000fffffffffffff, 0x0010000000000000,
    0x8010000000000000, 0x0010000000000001, 0x3ff0000000000000,
    0xbff0000000000000, 0x3ff0000000000001, 0x3fefffffffffffff,
    0x3ca0000000000000, 0x3ca0000000000001, 0xbca0000000000000,
    0x4008000000000000, 0x7fefffffffffffff, 0xffefffffffffffff,
    0x7fd0000000000001, 0x7ff0000000000000, 0xfff0000000000000,
    0x7ff8000000000000, 0xfff8000000000123, 0x7ff0000000000001,
    0x4330000000000000, 0x41dfffffffc00000, 0x43e0000000000000,
    0xc1e0000000200000, 0x2000000000000000, 0x1ff0000000000000};

// Edge values crossed, then random ones: bits, or exponents close together.
static inline uint64_t many_value(uint64_t *state, bool wide, int shape) {
  uint64_t bits = random_next(state);
  uint64_t pick = random_next(state);
  if (shape == 0 || pick % 8 == 0) {
    return wide ? many_edges64[bits % (sizeof(many_edges64) / 8)]
                : many_edges32[bits % (sizeof(many_edges32) / 4)];
  }
  if (shape == 1) return wide ? bits : bits & 0xffffffffu;
  uint64_t near = pick >> 8 & 31;  // exponents within 2^32 of each other
  if (wide) {
    return (bits & UINT64_C(0x800fffffffffffff)) | (1000 + near) << 52;
  }
  return (bits & 0x807fffffu) | (112 + near) << 23;
}
static inline void many_fill(many *m, bool wide, uint32_t count,
                             uint64_t seed) {
  m->count = count;
  for (uint32_t i = 0; i < count; ++i) {
    int shape = i < count / 4 ? 0 : i < count / 2 ? 1 : 2;
    for (int k = 0; k < 3; ++k) m->in[k][i] = many_value(&seed, wide, shape);
  }
}

#endif  // TESTS_EMULATOR_MANY_H_

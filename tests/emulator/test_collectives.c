// SPDX-License-Identifier: Apache-2.0
// shfl, vote, match, redux, activemask, elect against plain formulas of the
// PTX ISA, with all lanes and with some.
#include "harness.h"

#define IN (const uint64_t(*)[32]) in

static uint64_t state = 1;

static uint32_t draw(void) {
  return (uint32_t)random_next(&state);
}

// PTX ISA 9.7.9.6, written down as it stands there.
static uint32_t shfl_formula(const char *mode, uint32_t lane, uint32_t b,
                             uint32_t c, bool *pval) {
  uint32_t bval = b & 0x1f;
  uint32_t cval = c & 0x1f;
  uint32_t mask = c >> 8 & 0x1f;
  int32_t max_lane = (int32_t)((lane & mask) | (cval & ~mask & 0x1f));
  uint32_t min_lane = lane & mask;
  int32_t j = 0;
  if (strcmp(mode, "up") == 0) {
    j = (int32_t)lane - (int32_t)bval;
    *pval = j >= max_lane;
  } else if (strcmp(mode, "down") == 0) {
    j = (int32_t)(lane + bval);
    *pval = j <= max_lane;
  } else if (strcmp(mode, "bfly") == 0) {
    j = (int32_t)(lane ^ bval);
    *pval = j <= max_lane;
  } else {
    j = (int32_t)(min_lane | (bval & ~mask & 0x1f));
    *pval = j <= max_lane;
  }
  return *pval ? (uint32_t)j : lane;
}

static void check_shfl(emu *e) {
  static const char *const modes[] = {"up", "down", "bfly", "idx"};
  static const uint32_t clamps[] = {0,      31,     0x1f1f, 0x181f,
                                    0x1c1f, 0x1800, 0x1000, 0x0f0f};
  for (uint32_t m = 0; m < 4; ++m) {
    for (uint32_t k = 0; k < 24; ++k) {
      uint64_t in[3][32];
      uint64_t out[2][32];
      for (uint32_t i = 0; i < 32; ++i) {
        in[0][i] = draw();
        in[1][i] = k < 8 ? k * 5 : draw();
        in[2][i] = k < 16 ? clamps[k % 8] : draw();
        // Sources outside of the warp do not exist: c says so for all modes.
        if (k >= 16) in[2][i] = (in[2][i] & 0x1f00) | (m == 0 ? 0 : 31);
        if (k >= 16) in[1][i] &= 0x1f;
      }
      char body[128];
      (void)snprintf(body, sizeof(body),
                     "shfl.sync.%s.b32 %%o0|%%o1, %%i0, %%i1, %%i2, -1;",
                     modes[m]);
      CHECK(emu_lanes(e, NULL, body, "rrr", IN, "rp", out));
      for (uint32_t i = 0; i < 32; ++i) {
        bool valid = false;
        uint32_t j = shfl_formula(modes[m], i, (uint32_t)in[1][i],
                                  (uint32_t)in[2][i], &valid);
        CHECK_EQ(out[0][i], in[0][j & 31]);
        CHECK_EQ(out[1][i], valid);
      }
    }
  }
}

// Two halves of the warp, each with its own mask, in one instruction and in
// two branches; values of lanes that do not take part are not defined.
static void check_groups(emu *e) {
  uint64_t in[1][32];
  uint64_t out[2][32];
  for (uint32_t i = 0; i < 32; ++i) in[0][i] = i;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    e->config.seed = seed;
    CHECK(emu_lanes(e, NULL,
                    ".reg .pred %p; .reg .b32 %m;\n"
                    "setp.lt.u32 %p, %i0, 12;\n"
                    "selp.b32 %m, 0x00000fff, 0xfffff000, %p;\n"
                    "redux.sync.add.u32 %o0, %i0, %m;\n"
                    "@%p bra LOW;\n"
                    "redux.sync.max.u32 %o1, %i0, 0xfffff000;\nbra OUT;\n"
                    "LOW: redux.sync.max.u32 %o1, %i0, 0xfff;\nOUT:\n",
                    "r", IN, "rr", out));
    for (uint32_t i = 0; i < 32; ++i) {
      CHECK_EQ(out[0][i], i < 12 ? 66 : 496 - 66);
      CHECK_EQ(out[1][i], i < 12 ? 11 : 31);
    }
  }
}

static void check_vote(emu *e) {
  static const uint32_t patterns[] = {0, 0xffffffff, 0x80000000, 1, 0xdeadbeef};
  for (uint32_t k = 0; k < 5; ++k) {
    uint32_t bits = patterns[k];
    uint64_t in[1][32];
    uint64_t out[6][32];
    for (uint32_t i = 0; i < 32; ++i) in[0][i] = bits >> i & 1u;
    CHECK(emu_lanes(e, NULL,
                    "vote.sync.all.pred %o0, %i0, -1;\n"
                    "vote.sync.any.pred %o1, %i0, 0xffffffff;\n"
                    "vote.sync.uni.pred %o2, %i0, -1;\n"
                    "vote.sync.ballot.b32 %o3, %i0, -1;\n"
                    "vote.sync.ballot.b32 %o4, !%i0, -1;\n"
                    "vote.sync.all.pred %o5, !%i0, -1;\n",
                    "p", IN, "ppprrp", out));
    for (uint32_t i = 0; i < 32; ++i) {
      CHECK_EQ(out[0][i], bits == 0xffffffff);
      CHECK_EQ(out[1][i], bits != 0);
      CHECK_EQ(out[2][i], bits == 0 || bits == 0xffffffff);
      CHECK_EQ(out[3][i], bits);
      CHECK_EQ(out[4][i], ~bits);
      CHECK_EQ(out[5][i], bits == 0);
    }
  }
}

static void check_match(emu *e) {
  for (uint32_t k = 0; k < 8; ++k) {
    uint64_t in[2][32];
    uint64_t out[6][32];
    for (uint32_t i = 0; i < 32; ++i) {
      in[0][i] = k == 0 ? 7 : draw() % (k * 2);
      // Equal in their lower halves.
      in[1][i] = k == 0 ? 9 : (uint64_t)(draw() % k) << 40 | 5;
    }
    CHECK(emu_lanes(e, NULL,
                    "match.any.sync.b32 %o0, %i0, -1;\n"
                    "match.any.sync.b64 %o1, %i1, -1;\n"
                    "match.all.sync.b32 %o2|%o3, %i0, -1;\n"
                    "match.all.sync.b64 %o4|%o5, %i1, -1;\n",
                    "rd", IN, "rrrprp", out));
    for (uint32_t i = 0; i < 32; ++i) {
      uint32_t same[2] = {0, 0};
      for (uint32_t j = 0; j < 32; ++j) {
        same[0] |= (uint32_t)(in[0][i] == in[0][j]) << j;
        same[1] |= (uint32_t)(in[1][i] == in[1][j]) << j;
      }
      bool all[2] = {same[0] == 0xffffffff, same[1] == 0xffffffff};
      CHECK_EQ(out[0][i], same[0]);
      CHECK_EQ(out[1][i], same[1]);
      CHECK_EQ(out[2][i], all[0] ? 0xffffffffu : 0u);
      CHECK_EQ(out[3][i], all[0]);
      CHECK_EQ(out[4][i], all[1] ? 0xffffffffu : 0u);
      CHECK_EQ(out[5][i], all[1]);
    }
  }
}

static void check_redux(emu *e) {
  for (uint32_t k = 0; k < 8; ++k) {
    uint64_t in[1][32];
    uint64_t out[9][32];
    uint32_t sum = 0, band = ~0u, bor = 0, bxor = 0, umin = ~0u, umax = 0;
    int32_t smin = INT32_MAX, smax = INT32_MIN;
    for (uint32_t i = 0; i < 32; ++i) {
      uint32_t v = k == 0 ? 0x80000000u : k == 1 ? ~i : draw();
      int32_t s = (int32_t)v;
      in[0][i] = v;
      sum += v, band &= v, bor |= v, bxor ^= v;
      umin = v < umin ? v : umin, umax = v > umax ? v : umax;
      smin = s < smin ? s : smin, smax = s > smax ? s : smax;
    }
    CHECK(emu_lanes(e, NULL,
                    "redux.sync.add.u32 %o0, %i0, -1;\n"
                    "redux.sync.add.s32 %o1, %i0, -1;\n"
                    "redux.sync.min.u32 %o2, %i0, -1;\n"
                    "redux.sync.max.u32 %o3, %i0, -1;\n"
                    "redux.sync.min.s32 %o4, %i0, -1;\n"
                    "redux.sync.max.s32 %o5, %i0, -1;\n"
                    "redux.sync.and.b32 %o6, %i0, -1;\n"
                    "redux.sync.or.b32 %o7, %i0, -1;\n"
                    "redux.sync.xor.b32 %o8, %i0, -1;\n",
                    "r", IN, "rrrrrrrrr", out));
    uint32_t expected[9] = {
        sum, sum, umin, umax, (uint32_t)smin, (uint32_t)smax, band, bor, bxor};
    for (uint32_t f = 0; f < 9; ++f) {
      for (uint32_t i = 0; i < 32; ++i) CHECK_EQ(out[f][i], expected[f]);
    }
  }
}

static void check_some_lanes(emu *e) {
  uint64_t in[1][32];
  uint64_t out[4][32];
  for (uint32_t i = 0; i < 32; ++i) in[0][i] = i;
  // Lanes 3, 5 and 9 only; the others keep what they had.
  CHECK(emu_lanes(e, NULL,
                  ".reg .pred %p; .reg .b32 %b;\nmov.u32 %o0, 77;\n"
                  "mov.u32 %o1, 77;\nmov.u32 %o3, 77;\n"
                  "mov.u32 %b, 1;\nshl.b32 %b, %b, %i0;\n"
                  "and.b32 %b, %b, 0x228;\nsetp.ne.u32 %p, %b, 0;\n"
                  "@%p activemask.b32 %o0;\n"
                  "@%p elect.sync %o1|%o2, 0x228;\n"
                  "@%p shfl.sync.idx.b32 %o3, %i0, 5, 31, 0x228;\n",
                  "r", IN, "rrpr", out));
  for (uint32_t i = 0; i < 32; ++i) {
    bool is = (0x228u >> i & 1u) != 0;
    CHECK_EQ(out[0][i], is ? 0x228u : 77u);
    CHECK_EQ(out[1][i], is ? 3u : 77u);
    if (is) CHECK_EQ(out[2][i], i == 3);
    CHECK_EQ(out[3][i], is ? 5u : 77u);
  }
  CHECK(emu_lanes(e, NULL, "elect.sync _|%o2, -1;\nelect.sync %o0|%o2, -1;\n",
                  "r", IN, "rrpr", out));
  for (uint32_t i = 0; i < 32; ++i) {
    CHECK_EQ(out[0][i], 0);
    CHECK_EQ(out[2][i], i == 0);
  }
}

// Lanes outside of the membermask hold the same values as those in it.
static void check_some_matches(emu *e) {
  uint64_t in[2][32], out[3][32];
  const uint32_t members = 0x0ff0f00f;
  for (uint32_t i = 0; i < 32; ++i) {
    in[0][i] = i % 3;
    in[1][i] = members >> i & 1;
  }
  CHECK(emu_lanes(e, NULL,
                  ".reg .pred %p;\nsetp.ne.u32 %p, %i1, 0;\n"
                  "mov.u32 %o0, 77;\nmov.u32 %o1, 77;\nmov.u32 %o2, 77;\n"
                  "@!%p bra OUT;\n"
                  "match.any.sync.b32 %o0, %i0, 0x0ff0f00f;\n"
                  "vote.sync.ballot.b32 %o1, 1, 0x0ff0f00f;\n"
                  "match.all.sync.b32 %o2, 5, 0x0ff0f00f;\nOUT:\n",
                  "rr", IN, "rrr", out));
  for (uint32_t i = 0; i < 32; ++i) {
    uint32_t same = 0;
    for (uint32_t k = 0; k < 32; ++k) same |= (uint32_t)(k % 3 == i % 3) << k;
    bool is = (members >> i & 1) != 0;
    CHECK_EQ(out[0][i], is ? same & members : 77);
    CHECK_EQ(out[1][i], is ? members : 77);
    CHECK_EQ(out[2][i], is ? members : 77);
  }
}

// redux of floats needs sm_100a, which no modelled device is.
static void check_float_redux(void) {
  emu e;
  emu_init(&e, "h100");
  tsr_device_model blackwell = *e.device;
  blackwell.sm_major = 10;
  e.device = &blackwell;
  static const uint32_t values[][3] = {
      // -0 is below +0; NaN counts only with .NaN.
      {0x00000000, 0x80000000, 0x00000000},
      {0xbf800000, 0x7fc00001, 0x3f000000},
      {0xff800000, 0x3f800000, 0x7f800000},
      {0xffc00000, 0x7fffffff, 0x7f800001},
      {0xc0000000, 0x3f800000, 0x00000001},
  };
  static const uint32_t expected[][5] = {
      // min, max, min.abs, max.NaN, min.abs.NaN
      {0x80000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000},
      {0xbf800000, 0x3f000000, 0x3f000000, 0x7fffffff, 0x7fffffff},
      {0xff800000, 0x7f800000, 0x3f800000, 0x7f800000, 0x3f800000},
      {0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff},
      {0xc0000000, 0x3f800000, 0x00000001, 0x3f800000, 0x00000001},
  };
  for (uint32_t k = 0; k < 5; ++k) {
    uint64_t in[1][32], out[5][32];
    for (uint32_t i = 0; i < 32; ++i) in[0][i] = values[k][i % 3];
    CHECK(emu_lanes(&e, NULL,
                    ".reg .f32 %f<6>;\nmov.b32 %f0, %i0;\n"
                    "redux.sync.min.f32 %f1, %f0, -1;\n"
                    "redux.sync.max.f32 %f2, %f0, -1;\n"
                    "redux.sync.min.abs.f32 %f3, %f0, -1;\n"
                    "redux.sync.max.NaN.f32 %f4, %f0, -1;\n"
                    "redux.sync.min.abs.NaN.f32 %f5, %f0, -1;\n"
                    "mov.b32 %o0, %f1;\nmov.b32 %o1, %f2;\n"
                    "mov.b32 %o2, %f3;\nmov.b32 %o3, %f4;\n"
                    "mov.b32 %o4, %f5;\n",
                    "r", IN, "rrrrr", out));
    for (uint32_t f = 0; f < 5; ++f) CHECK_EQ(out[f][7], expected[k][f]);
  }
  emu_fini(&e);
}

static bool refused(emu *e, const char *target, const char *text) {
  char all[1024];
  (void)snprintf(all, sizeof(all),
                 ".version 8.7\n.target %s\n.address_size 64\n"
                 ".visible .entry k() {\n.reg .pred %%p, %%q;\n"
                 ".reg .b32 %%r<4>;\n.reg .f32 %%f<3>;\n.reg .b64 %%d;\n"
                 "%s\nret;\n}\n",
                 target, text);
  bool bad = !emu_load(e, all);
  return bad && strstr(tsr_buffer_text(&e->log.errors), "ptx(9,") != NULL;
}

static void check_refused(emu *e) {
  static const char *const bad[] = {
      "shfl.up.b32 %r1, %r2, 1, 0;",
      "shfl.sync.b32 %r1, %r2, 1, 0, -1;",
      "shfl.sync.up.b64 %d, %d, 1, 0, -1;",
      "shfl.sync.up.b32 %r1, %r2, 1, 0;",
      "shfl.sync.up.b32 _|%p, %r2, 1, 0, -1;",
      "vote.all.pred %p, %q;",
      "vote.sync.ballot.pred %p, %q, -1;",
      "vote.sync.all.b32 %r1, %q, -1;",
      "vote.sync.all.pred %p, %q;",
      "match.all.sync.u32 %r1, %r2, -1;",
      "match.any.sync.b32 %r1|%p, %r2, -1;",
      "match.any.b32 %r1, %r2, -1;",
      "redux.sync.and.u32 %r1, %r2, -1;",
      "redux.sync.add.b32 %r1, %r2, -1;",
      "redux.sync.min.f32 %f1, %f2, -1;",
      "redux.add.u32 %r1, %r2, -1;",
      "activemask.u32 %r1;",
      "activemask.b32 %p;",
      "elect.sync %r1, -1;",
      "setmaxnreg.inc.sync.aligned.u32 20;",
      "setmaxnreg.inc.sync.aligned.u32 28;",
      "setmaxnreg.inc.sync.aligned.u32 264;",
      "setmaxnreg.inc.sync.aligned.u32 %r1;",
      "setmaxnreg.inc.aligned.u32 64;",
      "nanosleep.s32 5;",
      "pmevent 16;",
      "griddepcontrol.wait.foo;",
      "griddepcontrol;",
  };
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
    bool is = refused(e, "sm_90a", bad[i]);
    CHECK(is);
    if (!is) fprintf(stderr, "accepted: %s\n", bad[i]);
  }
  CHECK(refused(e, "sm_90", "setmaxnreg.inc.sync.aligned.u32 64;"));
  CHECK(refused(e, "sm_80", "elect.sync %r1|%p, -1;"));
  CHECK(refused(e, "sm_80", "griddepcontrol.wait;"));
  CHECK(!refused(e, "sm_90a",
                 "setmaxnreg.inc.sync.aligned.u32 64;\n"
                 "setmaxnreg.dec.sync.aligned.u32 24;\npmevent 3;\n"
                 "pmevent.mask 0x1f;\ngriddepcontrol.wait;\n"
                 "griddepcontrol.launch_dependents;\nnanosleep.u32 %r1;"));
}

int main(void) {
  emu e;
  emu_init(&e, "h100");
  check_shfl(&e);
  check_groups(&e);
  check_vote(&e);
  check_match(&e);
  check_some_matches(&e);
  check_float_redux();
  check_redux(&e);
  check_some_lanes(&e);
  check_refused(&e);
  emu_fini(&e);
  return test_finish();
}

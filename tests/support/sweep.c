// SPDX-License-Identifier: Apache-2.0
// See sweep.h.
#include "sweep.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "activation.h"
#include "number.h"
#include "random.h"

enum { MESSAGES = 3 };

void sweep_fill(float *inputs, uint32_t count) {
  static const float special[] = {0.0f,   -0.0f,  1.0f,     -1.0f,    88.0f,
                                  -88.0f, 1e-40f, -1e-40f,  3e38f,    -3e38f,
                                  -13.0f, -3.0f,  65504.0f, 65519.0f, 65520.0f};
  uint64_t state = 3;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t exponent = i % 255;
    if (i % 2 == 0) exponent = 118 + i / 2 % 18;  // 2^-9 .. 2^8
    uint32_t bits = (uint32_t)random_next(&state) & 0x807fffffu;
    inputs[i] = tsr_float_from_bits(bits | exponent << 23);
  }
  memcpy(inputs, special, sizeof(special));
}

uint32_t sweep_activation(const sweep *s, tsr_activation activation,
                          sweep_bound bound, double least,
                          const float *outputs) {
  const char *name = tsr_activation_name(activation);
  double worst = 0, worst_at = 0;
  uint32_t bad = 0;
  for (uint32_t i = 0; i < s->count; ++i) {
    double v = (double)s->inputs[i];
    double y = activation_exact(activation, v);
    double error = fabs((double)outputs[i] - y);
    double relative = fabs(y) > 1e-30 ? error / fabs(y) : 0;
    if (!(error <= bound(activation, v, y)) && ++bad <= MESSAGES) {
      fprintf(stderr, "%s %s: f(%.9g) = %.9g, expected %.9g\n", s->label, name,
              v, (double)outputs[i], y);
    }
    if (v > least && relative > worst) {
      worst = relative;
      worst_at = v;
    }
  }
  printf("%s %s: worst relative error (v > %g) 2^%.2f at %g\n", s->label, name,
         least, log2(worst), worst_at);
  return bad;
}

uint32_t sweep_conversion(const sweep *s, tsr_dtype type,
                          const uint16_t *outputs) {
  uint32_t bad = 0;
  for (uint32_t i = 0; i < s->count; ++i) {
    float v = s->inputs[i] + 0.0f;  // 0 + bias, which makes -0 a 0
    uint16_t want = number_bits(v, type);
    bool is_right = outputs[i] == want;
    if (isnan(v)) is_right = isnan(number_value(outputs[i], type));
    if (!is_right && ++bad <= MESSAGES) {
      fprintf(stderr, "%s %s: %g is %04x, expected %04x\n", s->label,
              tsr_dtype_name(type), (double)v, outputs[i], want);
    }
  }
  return bad;
}

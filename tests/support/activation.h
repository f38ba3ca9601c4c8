// SPDX-License-Identifier: Apache-2.0
// The functions of the plan language in float64, for tests of kernels of every
// family: one oracle, which shares nothing with code generators, nor with the
// reference of `tessera verify`.
#ifndef TESTS_SUPPORT_ACTIVATION_H_
#define TESTS_SUPPORT_ACTIVATION_H_

#include "base/types.h"

// What |activation| makes of v: of the gate, in gated ones.
double activation_exact(tsr_activation activation, double v);

#endif  // TESTS_SUPPORT_ACTIVATION_H_

// SPDX-License-Identifier: Apache-2.0
// What functions.def's lines are turned into: parameter lists named by
// position, so that a function's types are written once. An implementation of
// cuName_v2 is called tsr_cuName_v2.
#ifndef DRIVER_CALL_H_
#define DRIVER_CALL_H_

#include "driver/cuda_abi.h"

#define TSR_JOIN2(a, b) a##b
#define TSR_JOIN(a, b) TSR_JOIN2(a, b)
#define TSR_COUNT_AT(a, b, c, d, e, f, g, h, i, j, k, l, n, ...) n
#define TSR_COUNT(...) \
  TSR_COUNT_AT(__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)

#define TSR_PARAMS_1(A) A a
#define TSR_PARAMS_2(A, B) A a, B b
#define TSR_PARAMS_3(A, B, C) A a, B b, C c
#define TSR_PARAMS_4(A, B, C, D) A a, B b, C c, D d
#define TSR_PARAMS_5(A, B, C, D, E) A a, B b, C c, D d, E e
#define TSR_PARAMS_6(A, B, C, D, E, F) A a, B b, C c, D d, E e, F f
#define TSR_PARAMS_7(A, B, C, D, E, F, G) A a, B b, C c, D d, E e, F f, G g
#define TSR_PARAMS_8(A, B, C, D, E, F, G, H) \
  A a, B b, C c, D d, E e, F f, G g, H h
#define TSR_PARAMS_9(A, B, C, D, E, F, G, H, I) \
  A a, B b, C c, D d, E e, F f, G g, H h, I i
#define TSR_PARAMS_10(A, B, C, D, E, F, G, H, I, J) \
  A a, B b, C c, D d, E e, F f, G g, H h, I i, J j
#define TSR_PARAMS_11(A, B, C, D, E, F, G, H, I, J, K) \
  A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k
#define TSR_PARAMS_12(A, B, C, D, E, F, G, H, I, J, K, L) \
  A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k, L l
#define TSR_PARAMS(...) \
  TSR_JOIN(TSR_PARAMS_, TSR_COUNT(__VA_ARGS__))(__VA_ARGS__)

#define TSR_ARGS_1 a
#define TSR_ARGS_2 a, b
#define TSR_ARGS_3 a, b, c
#define TSR_ARGS_4 a, b, c, d
#define TSR_ARGS_5 a, b, c, d, e
#define TSR_ARGS_6 a, b, c, d, e, f
#define TSR_ARGS_7 a, b, c, d, e, f, g
#define TSR_ARGS_8 a, b, c, d, e, f, g, h
#define TSR_ARGS_9 a, b, c, d, e, f, g, h, i
#define TSR_ARGS_10 a, b, c, d, e, f, g, h, i, j
#define TSR_ARGS_11 a, b, c, d, e, f, g, h, i, j, k
#define TSR_ARGS_12 a, b, c, d, e, f, g, h, i, j, k, l
#define TSR_ARGS(...) TSR_JOIN(TSR_ARGS_, TSR_COUNT(__VA_ARGS__))

// The implementations.
#define TSR_CU(name, suffix, since, stream, check, ...) \
  CUresult tsr_##name##suffix(TSR_PARAMS(__VA_ARGS__));
#define TSR_CU0(name, suffix, since, stream, check) \
  CUresult tsr_##name##suffix(void);
#define TSR_CUN(name, suffix, since, stream, check)
#include "driver/functions.def"
#undef TSR_CU
#undef TSR_CU0
#undef TSR_CUN

#endif  // DRIVER_CALL_H_

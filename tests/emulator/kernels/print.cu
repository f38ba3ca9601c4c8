// SPDX-License-Identifier: Apache-2.0
// printf of device code, as nvcc passes its arguments (../test_nvcc.c).
#include <cstdio>

extern "C" __global__ void say(int n) {
  if (threadIdx.x < n) {
    printf("block %d thread %2u: %s %5.2f %c %lld %p%%|%-4d|%*d\n", blockIdx.x,
           threadIdx.x, "text", 1.5 * threadIdx.x, 'a' + threadIdx.x,
           -5000000000LL, (void *)16, 7, 4, (int)threadIdx.x);
  }
  int r = printf("no arguments\n");
  if (r != 0) printf("%d\n", r);
}

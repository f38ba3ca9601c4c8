// SPDX-License-Identifier: Apache-2.0
// What a compiler makes of calls: recursion, a table of functions, virtual
// functions, structures by value, a switch, arrays in local memory, assert.
// test_nvcc.c computes the same on the host. ptx/calls.ptx is compiled with
// -arch=sm_80, ptx/calls_plain.ptx with -Xcicc -O0 as well.
#include <cassert>

struct Base {
  __device__ virtual int f(int x) {
    return x + 1;
  }
};
struct Derived : Base {
  __device__ int f(int x) override {
    return x * 2;
  }
};

struct Block {
  double a[5];
  int n;
};

typedef int (*Binary)(int, int);

__device__ __noinline__ int factorial(int n) {
  return n < 2 ? 1 : n * factorial(n - 1);
}
__device__ __noinline__ int add(int a, int b) {
  return a + b;
}
__device__ __noinline__ int subtract(int a, int b) {
  return a - b;
}
__device__ __noinline__ int multiply(int a, int b) {
  return a * b;
}
__device__ Binary table[3] = {add, subtract, multiply};
__constant__ int numbers[4] = {10, 20, 30, 40};

__device__ __noinline__ Block twice(Block b) {
  for (int i = 0; i < 5; ++i) b.a[i] *= 2;
  b.n++;
  return b;
}

__device__ int choose(int x) {
  switch (x % 9) {
    case 0:
      return x * 3;
    case 1:
      return x ^ 5;
    case 2:
      return x - 7;
    case 3:
      return factorial(x % 8);
    case 4:
      return x << 2;
    case 5:
      return __popc(x);
    case 6:
      return __clz(x);
    case 7:
      return x / 3;
    default:
      return -1;
  }
}

extern __shared__ int dynamic[];

extern "C" __global__ void calls(int *out, const int *in) {
  int i = blockIdx.x * blockDim.x + threadIdx.x, x = in[i];
  int r = choose(x);
  r += table[x % 3](r, x);
  int local[16];
  for (int j = 0; j < 16; ++j) local[j] = x * j;
  r += local[(x >> 3) & 15];
  r += local[r & 15];
  Block b;
  for (int j = 0; j < 5; ++j) b.a[j] = x + j;
  b.n = x;
  b = twice(b);
  r += (int)b.a[x % 5] + b.n;
  Derived derived;
  Base base;
  Base *either = (x & 1) != 0 ? &derived : &base;
  r += either->f(x) + numbers[x & 3];
  dynamic[threadIdx.x] = r;
  __syncthreads();
  r += dynamic[threadIdx.x ^ 1];
  for (int j = 0; j < (x & 7); ++j) {
    if (((x >> j) & 1) != 0) continue;
    r += j * x;
    if (r > 1000000) break;
  }
  out[i] = r;
}

extern "C" __global__ void asserts(int *p) {
  assert(p[threadIdx.x] != 5 && "five is bad");
  p[threadIdx.x]++;
}

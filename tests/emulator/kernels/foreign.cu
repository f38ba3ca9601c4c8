// SPDX-License-Identifier: Apache-2.0
// Code that compilers make of CUDA C and that no test here wrote by hand: wide
// division, tables of jumps and of functions, recursion, structures by value,
// local arrays, diverging loops, cooperative groups, libcu++'s barriers and
// pipelines. Each kernel takes 256 numbers in two blocks; foreign.c has the
// same in C.
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>

#include <cuda/barrier>
#include <cuda/pipeline>

#pragma nv_diag_suppress static_var_with_dynamic_init

namespace cg = cooperative_groups;

#define KERNEL extern "C" __global__ void
#define INDEX (blockIdx.x * 128 + threadIdx.x)

KERNEL wide(const int *in, int *out) {
  unsigned __int128 a = (unsigned __int128)(in[INDEX] * 0x123456789abcdefull)
                            << 40 |
                        (unsigned)in[INDEX];
  unsigned __int128 b = (unsigned __int128)in[255 - INDEX] * 0x10000000fll + 1;
  unsigned long long q = (unsigned long long)(a / b + a % b);
  out[INDEX] = (int)(q ^ q >> 32);
}

KERNEL jumps(const int *in, int *out) {
  int x = in[INDEX], r = 1;
  switch (x & 7) {
    case 0:
      r = x * 3;
      break;
    case 1:
      r = x - 7;
      break;
    case 2:
      r = x ^ 0x55;
      break;
    case 3:
      r = x / 3;
      break;
    case 4:
      r = x % 5;
      break;
    case 5:
      r = ~x;
      break;
    case 6:
      r = x * x;
      break;
  }
  out[INDEX] = r;
}

__device__ __noinline__ int fibonacci(int n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
__device__ __noinline__ int twice(int x) {
  return x * 2;
}
__device__ __noinline__ int square(int x) {
  return x * x;
}
typedef int (*function)(int);
__device__ function functions[3] = {fibonacci, twice, square};
KERNEL calls(const int *in, int *out) {
  int x = in[INDEX];
  out[INDEX] = functions[x % 3](x % 3 == 0 ? x & 7 : x);
}

struct parts {
  int a[5];
  float f;
  double d;
  char c;
};
__device__ __noinline__ parts change(parts s, int x) {
  s.a[x & 3] += x;
  s.f *= 2;
  s.d += x;
  s.c = (char)x;
  return s;
}
KERNEL structures(const int *in, int *out) {
  parts s = {{1, 2, 3, 4, 5}, 1.5f, 2.5, 0};
  s = change(s, in[INDEX]);
  out[INDEX] = s.a[0] + s.a[3] * 7 + (int)s.f + (int)s.d + s.c;
}

KERNEL local(const int *in, int *out) {
  int a[40], sum = 0;
  for (int i = 0; i < 40; i++) a[i] = in[(INDEX + i) % 256];
  for (int i = 0; i < 40; i++) {
    int j = a[i] % 40, t = a[i];
    a[i] = a[j];
    a[j] = t;
  }
  for (int i = 0; i < 40; i++) sum = sum * 31 + a[i];
  out[INDEX] = sum;
}

KERNEL loops(const int *in, int *out) {
  int count = 0;
  for (unsigned x = in[INDEX] + 1; x != 1 && count < 300;) {
    x = x & 1 ? 3 * x + 1 : x >> 1;
    if (++count % 50 == 49) continue;
    if (x == 160) break;
  }
  out[INDEX] = count;
}

KERNEL groups(const int *in, int *out) {
  auto warp = cg::tiled_partition<32>(cg::this_thread_block());
  int v = in[INDEX];
  int sum = cg::reduce(cg::tiled_partition<8>(warp), v, cg::plus<int>());
  int most = cg::reduce(warp, v, cg::greater<int>());
  int scan = cg::inclusive_scan(warp, v, cg::plus<int>());
  int odd = 0;
  if (v & 1) {
    auto some = cg::coalesced_threads();
    odd = some.thread_rank() + 100 * some.size() + some.shfl(v, 0);
  }
  out[INDEX] = sum + most * 3 + scan * 5 + odd * 7;
}

KERNEL grid(const int *in, int *out) {
  atomicAdd(out + 256, in[INDEX]);
  cg::this_grid().sync();
  out[INDEX] = out[256];
}

KERNEL barriers(const int *in, int *out) {
  __shared__ cuda::barrier<cuda::thread_scope_block> barrier;
  __shared__ alignas(16) int s[128];
  if (threadIdx.x == 0) init(&barrier, 128);
  __syncthreads();
  cuda::memcpy_async(s + threadIdx.x, in + INDEX, cuda::aligned_size_t<4>(4),
                     barrier);
  barrier.arrive_and_wait();
  out[INDEX] = s[(threadIdx.x + 1) % 128];
}

KERNEL pipelines(const int *in, int *out) {
  __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 2> state;
  __shared__ int s[2][128];
  auto block = cg::this_thread_block();
  auto pipe = cuda::make_pipeline(block, &state);
  int sum = 0;
  for (int k = 0; k < 5; k++) {
    if (k < 4) {
      pipe.producer_acquire();
      cuda::memcpy_async(block, s[k & 1], in + (k & 1) * 128, 512, pipe);
      pipe.producer_commit();
    }
    if (k > 0) {
      pipe.consumer_wait();
      sum += s[(k - 1) & 1][127 - threadIdx.x] * k;
      pipe.consumer_release();
    }
  }
  out[INDEX] = sum;
}

// All threads of the block say the same.
KERNEL flag(const int *in, int *out) {
  __shared__ int any;
  any = 0;
  __syncthreads();
  if (in[INDEX] > 900) any = 1;
  __syncthreads();
  out[INDEX] = any;
}

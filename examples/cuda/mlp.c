// SPDX-License-Identifier: Apache-2.0
// An application of the CUDA Driver API that lets libtessera compute: the
// feed-forward half of an encoder block, y = x + down(gelu(up(x))).
//
//   mlp BUNDLE [TOKENS...]
//
// Context, stream and all device memory (weights too) are the application's
// own; libtessera only launches. The same bundle on the host target is what
// the result is compared with.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "support.h"

// The relative error allowed between GPU and CPU, over all of y. Both round
// what goes from up to down to bfloat16, whose relative spacing is 2^-7 at
// most; sums of fp32 in another order are far below that. So each number in
// between differs by one step at most, most by none.
static const double tolerance = 1.0 / 128;

typedef struct mlp {
  tessera_bundle *bundle;
  const tessera_layer *up, *down;
  size_t width, hidden;  // columns of x and y, columns in between
} mlp;

static const tessera_layer *find_layer(const tessera_bundle *bundle,
                                       const char *name,
                                       tessera_layer_info *info) {
  tessera_error error = {0};
  const tessera_layer *layer = tessera_bundle_find_layer(bundle, name);
  if (layer == NULL) {
    fprintf(stderr, "the bundle has no layer '%s'\n", name);
    exit(1);
  }
  info->size = sizeof(*info);
  TESSERA(tessera_layer_query(layer, info, &error));
  if (info->input_type != TESSERA_BF16 || info->output_type != TESSERA_BF16) {
    fprintf(stderr, "layer '%s' is not bf16 throughout\n", name);
    exit(1);
  }
  return layer;
}

static mlp open_mlp(const char *path) {
  tessera_error error = {0};
  tessera_layer_info up, down;
  mlp m = {0};
  TESSERA(tessera_bundle_open(path, NULL, &m.bundle, &error));
  m.up = find_layer(m.bundle, "mlp.up", &up);
  m.down = find_layer(m.bundle, "mlp.down", &down);
  m.width = up.columns;
  m.hidden = up.output_columns;
  if (down.columns != m.hidden || down.output_columns != m.width ||
      !down.has_residual || up.has_residual) {
    fprintf(stderr, "mlp.up and mlp.down are no feed-forward block\n");
    exit(1);
  }
  return m;
}

// What both layers need, for any number of tokens up to |tokens|.
static size_t workspace_size(const mlp *m, const tessera_program *program,
                             uint32_t tokens) {
  tessera_error error = {0};
  size_t up, down;
  TESSERA(tessera_layer_workspace(program, m->up, tokens, &up, &error));
  TESSERA(tessera_layer_workspace(program, m->down, tokens, &down, &error));
  return up > down ? up : down;
}

// Addresses of one device: the host's or the GPU's.
typedef struct buffers {
  void *x, *between, *y, *workspace;
  size_t workspace_size;
  void *stream;
} buffers;

static void run_mlp(const mlp *m, const tessera_program *program,
                    const buffers *b, uint32_t tokens) {
  tessera_error error = {0};
  tessera_run_args args = {
      .size = sizeof(args),
      .token_count = tokens,
      .input = b->x,
      .output = b->between,
      .workspace = b->workspace,
      .workspace_size = b->workspace_size,
      .stream = b->stream,
  };
  TESSERA(tessera_linear_run(program, m->up, &args, &error));
  args.input = b->between;
  args.residual = b->x;
  args.output = b->y;
  TESSERA(tessera_linear_run(program, m->down, &args, &error));
}

// ---- On the CPU
// ---------------------------------------------------------------

static void compute_on_host(const mlp *m, uint32_t tokens, uint16_t *x,
                            uint16_t *y) {
  tessera_error error = {0};
  tessera_device *device;
  tessera_program *program;
  TESSERA(tessera_device_open("host", NULL, &device, &error));
  TESSERA(tessera_program_prepare(m->bundle, device, &program, &error));
  buffers b = {.x = x, .y = y};
  b.between = allocate(tokens * m->hidden, sizeof(uint16_t));
  b.workspace_size = (workspace_size(m, program, tokens) + 63) / 64 * 64;
  b.workspace =
      b.workspace_size == 0 ? NULL : aligned_alloc(64, b.workspace_size);
  run_mlp(m, program, &b, tokens);
  free(b.between);
  free(b.workspace);
  tessera_program_destroy(program);
  tessera_device_close(device);
}

// ---- On the GPU
// ---------------------------------------------------------------

typedef struct gpu {
  CUcontext context;
  CUstream stream;
  CUdeviceptr weights;  // and tables: what the program needs
  tessera_device *device;
  tessera_program *program;
} gpu;

static CUdeviceptr device_memory(size_t size) {
  CUdeviceptr address = 0;
  if (size != 0) CUDA(cuda.memory_allocate(&address, size));
  return address;
}

static gpu open_gpu(const mlp *m) {
  tessera_error error = {0};
  gpu g = {0};
  CUdevice ordinal;
  CUDA(cuda.init(0));
  CUDA(cuda.device_get(&ordinal, 0));
  CUDA(cuda.context_create(&g.context, 0, ordinal));
  CUDA(cuda.stream_create(&g.stream, CU_STREAM_NON_BLOCKING));
  tessera_device_options device = {.size = sizeof(device),
                                   .context = g.context};
  TESSERA(tessera_device_open("cuda:0", &device, &g.device, &error));
  printf("device: %s\n", tessera_device_description(g.device));

  tessera_prepare_options prepare = {.size = sizeof(prepare),
                                     .stream = g.stream};
  TESSERA(tessera_program_memory(m->bundle, g.device,
                                 &prepare.device_memory_size, &error));
  g.weights = device_memory(prepare.device_memory_size);
  prepare.device_memory = (void *)(uintptr_t)g.weights;
  TESSERA(tessera_program_prepare_with(m->bundle, g.device, &prepare,
                                       &g.program, &error));
  printf("kernels: %s, weights and tables: %zu bytes\n",
         tessera_program_variant(g.program), prepare.device_memory_size);
  return g;
}

static void close_gpu(gpu *g) {
  tessera_program_destroy(g->program);
  tessera_device_close(g->device);
  if (g->weights != 0) CUDA(cuda.memory_free(g->weights));
  CUDA(cuda.stream_destroy(g->stream));
  CUDA(cuda.context_destroy(g->context));
}

// Copies, both layers, copies back: all in one stream, waited for once.
static void compute_on_gpu(const mlp *m, const gpu *g, uint32_t tokens,
                           const uint16_t *x, uint16_t *y) {
  tessera_error error = {0};
  size_t size = tokens * m->width * sizeof(*x);
  size_t between_size = tokens * m->hidden * sizeof(*x);
  size_t scratch_size = workspace_size(m, g->program, tokens);
  CUdeviceptr in = device_memory(size), out = device_memory(size);
  CUdeviceptr between = device_memory(between_size);
  CUdeviceptr scratch = device_memory(scratch_size);
  buffers b = {
      .x = (void *)(uintptr_t)in,
      .between = (void *)(uintptr_t)between,
      .y = (void *)(uintptr_t)out,
      .workspace = (void *)(uintptr_t)scratch,
      .workspace_size = scratch_size,
      .stream = g->stream,
  };
  CUDA(cuda.upload(in, x, size, g->stream));
  TESSERA(tessera_workspace_init(g->program, b.workspace, scratch_size,
                                 g->stream, &error));
  run_mlp(m, g->program, &b, tokens);
  CUDA(cuda.download(y, out, size, g->stream));
  CUDA(cuda.stream_synchronize(g->stream));
  CUDA(cuda.memory_free(in));
  CUDA(cuda.memory_free(between));
  CUDA(cuda.memory_free(out));
  if (scratch != 0) CUDA(cuda.memory_free(scratch));
}

// ---- Comparing
// ----------------------------------------------------------------

// |a - b| over |b|, as lengths of vectors.
static double relative_error(const uint16_t *a, const uint16_t *b,
                             size_t count) {
  double difference = 0, length = 0;
  for (size_t i = 0; i < count; ++i) {
    double p = (double)from_bf16(a[i]), q = (double)from_bf16(b[i]);
    difference += (p - q) * (p - q);
    length += q * q;
  }
  return sqrt(difference / length);
}

static int compare(const mlp *m, const gpu *g, uint32_t tokens) {
  size_t count = tokens * m->width;
  uint16_t *x = allocate(count, sizeof(*x));
  uint16_t *ours = allocate(count, sizeof(*ours));
  uint16_t *reference = allocate(count, sizeof(*reference));
  fill_bf16(x, count, tokens);
  compute_on_host(m, tokens, x, reference);
  compute_on_gpu(m, g, tokens, x, ours);
  double error = relative_error(ours, reference, count);
  int is_close = error <= tolerance;  // false for NaN too
  if (is_close) {
    printf("%u tokens: GPU and CPU agree\n", tokens);
  } else {
    printf("%u tokens: GPU and CPU differ by %.3g\n", tokens, error);
  }
  free(x);
  free(ours);
  free(reference);
  return is_close;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s BUNDLE [TOKENS...]\n", argv[0]);
    return 2;
  }
  static const uint32_t usual[] = {1, 7, 16, 100};
  open_driver();
  mlp m = open_mlp(argv[1]);
  gpu g = open_gpu(&m);
  int good = 1;
  int count = argc > 2 ? argc - 2 : (int)(sizeof(usual) / sizeof(*usual));
  for (int i = 0; i < count; ++i) {
    uint32_t tokens =
        argc > 2 ? (uint32_t)strtoul(argv[i + 2], NULL, 10) : usual[i];
    if (tokens == 0) {
      fprintf(stderr, "%s: not a number of tokens\n", argv[i + 2]);
      return 2;
    }
    good &= compare(&m, &g, tokens);
  }
  close_gpu(&g);
  tessera_bundle_close(m.bundle);
  return good ? 0 : 1;
}

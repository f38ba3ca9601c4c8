// SPDX-License-Identifier: Apache-2.0
// Every variant that this machine can run, executed on random layers of every
// kind mix and shape, against float64 under the bound of docs/numerics.md.
// Outputs are poisoned first; guards around Y, partials, scratch and packed
// input must come back untouched, and the end of X and bias lies at the end of
// a page behind which nothing may be read.
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "layer.h"
#include "support/activation.h"
#include "support/number.h"
#include "support/random.h"
#include "test.h"

enum { GUARD = 256, POISON = 0xa5 };

// Memory that ends where a page without access begins.
typedef struct fence {
  uint8_t *map;
  size_t map_size;
  uint8_t *data;
} fence;

static fence fence_create(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  fence f = {.map_size = (size / page + 2) * page};
  f.map = mmap(NULL, f.map_size, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (f.map == MAP_FAILED) abort();
  if (mprotect(f.map + f.map_size - page, page, PROT_NONE) != 0) abort();
  f.data = f.map + f.map_size - page - size;
  return f;
}

static void fence_destroy(fence *f) {
  (void)munmap(f->map, f->map_size);
}

// Poisoned memory with guards before and after.
typedef struct guarded {
  uint8_t *base;
  uint8_t *data;
  size_t size;
} guarded;

static guarded guarded_create(size_t size) {
  guarded g = {.size = size};
  size_t total = (size + 2 * GUARD + 63) / 64 * 64;
  g.base = aligned_alloc(64, total);
  if (g.base == NULL) abort();
  memset(g.base, POISON, total);
  g.data = g.base + GUARD;
  return g;
}

static bool guarded_destroy(guarded *g) {
  bool whole = true;
  for (size_t i = 0; i < GUARD; ++i) {
    whole = whole && g->base[i] == POISON;
    whole = whole && g->data[g->size + i] == POISON;
  }
  free(g->base);
  return whole;
}

typedef struct run {
  const layer *layer;
  const image *image;
  uint32_t tokens;
  fence input, bias, residual;
  guarded output;
  int64_t input_stride, output_stride, residual_stride;
  uint32_t output_columns;
} run;

static void run_create(run *r, const layer *l, const image *im, uint32_t tokens,
                       uint32_t extra) {
  const tsr_kernel_spec *spec = &l->spec;
  size_t out_size = tsr_dtype_size(spec->output_type);
  *r = (run){.layer = l, .image = im, .tokens = tokens};
  r->output_columns =
      tsr_activation_is_gated(spec->activation) ? spec->rows / 2 : spec->rows;
  r->input_stride = spec->columns + extra;
  r->output_stride = r->output_columns + extra;
  r->residual_stride = r->output_columns + 2 * extra;
  size_t last = tokens - 1;
  r->input = fence_create((last * (size_t)r->input_stride + spec->columns) * 2);
  r->bias = fence_create(spec->rows * sizeof(float));
  r->residual = fence_create(
      (last * (size_t)r->residual_stride + r->output_columns) * out_size);
  r->output = guarded_create(
      (last * (size_t)r->output_stride + r->output_columns) * out_size);
  uint64_t state = tokens * 77 + extra;
  for (uint32_t t = 0; t < tokens; ++t) {
    for (uint32_t c = 0; c < spec->columns; ++c) {
      number_store(r->input.data, t * (size_t)r->input_stride + c,
                   spec->weight_type, random_uniform(&state));
    }
    for (uint32_t c = 0; c < r->output_columns; ++c) {
      number_store(r->residual.data, t * (size_t)r->residual_stride + c,
                   spec->output_type, random_uniform(&state));
    }
  }
  memcpy(r->bias.data, l->bias, spec->rows * sizeof(float));
}

static void execute(const run *r) {
  const layer *l = r->layer;
  uint32_t index = image_kernel(r->image, r->tokens);
  const tsr_kernel *kernel = &r->image->kernels[index];
  guarded scratch = guarded_create(kernel->scratch_base +
                                   kernel->scratch_per_token * r->tokens);
  guarded packed = guarded_create(kernel->packed_base +
                                  kernel->packed_per_token * r->tokens);
  guarded partials = guarded_create((size_t)l->schedule->partial_count *
                                    r->tokens * l->spec.tile.rows * 4);
  tsr_host_args args = {
      .tiles = l->tiles,
      .reductions = l->reductions,
      .input = r->input.data,
      .residual = l->spec.has_residual ? r->residual.data : NULL,
      .bias = l->spec.has_bias ? (const float *)(void *)r->bias.data : NULL,
      .output = r->output.data,
      .input_stride = r->input_stride,
      .residual_stride = r->residual_stride,
      .output_stride = r->output_stride,
      .partials = (float *)(void *)partials.data,
      .packed_input = packed.data,
      .scratch = scratch.data,
      .token_count = r->tokens,
  };
  if (r->image->pack[index] != NULL) {
    args.first = r->tokens / 3;  // second part first: any division, any order
    args.count = r->tokens - args.first;
    r->image->pack[index](&args);
    args.count = args.first;
    args.first = 0;
    r->image->pack[index](&args);
  }
  for (uint32_t w = 0; w < l->schedule->worker_count; ++w) {
    args.stream = l->stream + l->workers[w].stream_offset;
    args.segments = l->segments + l->workers[w].segment_first;
    args.segment_count = l->workers[w].segment_count;
    r->image->run[index](&args);
  }
  args.first = 0;
  args.count = l->schedule->reduction_count;
  r->image->reduce[index](&args);
  CHECK(guarded_destroy(&scratch));
  CHECK(guarded_destroy(&packed));
  CHECK(guarded_destroy(&partials));
}

// W x + b of one row and the bound of its error.
static double product(const run *r, uint32_t token, uint32_t row,
                      double *out_error) {
  const layer *l = r->layer;
  double sum = 0;
  double size = 0;
  for (uint32_t c = 0; c < l->spec.columns; ++c) {
    double w = l->weights[row * (size_t)l->spec.columns + c];
    double x = number_load(r->input.data, token * (size_t)r->input_stride + c,
                           l->spec.weight_type);
    sum += w * x;
    size += fabs(w * x);
  }
  double n =
      2.0 * ceil(l->spec.columns / 4.0) + (double)l->schedule->worker_count + 5;
  double gamma = n * 0x1p-24 / (1 - n * 0x1p-24);
  if (l->spec.has_bias) {
    sum += l->bias[row];
    size += fabs((double)l->bias[row]);
  }
  *out_error = gamma * size + l->spec.columns * 0x1p-124;
  return sum;
}

static double rounding(tsr_dtype type, double y) {
  if (type == TSR_DTYPE_F32) return fabs(y) * 0x1p-24 + 0x1p-149;
  if (type == TSR_DTYPE_BF16) return fabs(y) * 0x1p-8 + 0x1p-133;
  return fabs(y) * 0x1p-11 + 0x1p-24;
}

static double expected(const run *r, uint32_t token, uint32_t column,
                       double *out_error) {
  const tsr_kernel_spec *spec = &r->layer->spec;
  bool gated = tsr_activation_is_gated(spec->activation);
  double error = 0;
  double v = product(r, token, gated ? 2 * column : column, &error);
  double y = activation_exact(spec->activation, v);
  bool exact = spec->activation <= TSR_ACTIVATION_RELU;
  error = exact ? error : 1.13 * error + fabs(y) * 0x1p-20 + 0x1p-100;
  if (gated) {
    double up_error = 0;
    double up = product(r, token, 2 * column + 1, &up_error);
    error = error * (fabs(up) + up_error) + fabs(y) * up_error;
    y *= up;
    error += fabs(y) * 0x1p-24;
  }
  if (spec->has_residual) {
    y += (double)number_load(r->residual.data,
                             token * (size_t)r->residual_stride + column,
                             spec->output_type);
    error += fabs(y) * 0x1p-24;
  }
  *out_error = error + rounding(spec->output_type, fabs(y) + error);
  return y;
}

static double compare(const run *r, const char *what) {
  const tsr_kernel_spec *spec = &r->layer->spec;
  double worst = 0;
  uint32_t reported = 0;
  for (uint32_t t = 0; t < r->tokens; ++t) {
    for (uint32_t c = 0; c < r->output_columns; ++c) {
      double bound = 0;
      double want = expected(r, t, c, &bound);
      double got = number_load(r->output.data, t * (size_t)r->output_stride + c,
                               spec->output_type);
      double ratio = fabs(got - want) / bound;
      if (!(ratio <= 1) && reported++ < 3) {
        fprintf(stderr, "%s: token %u of %u, column %u: %g, expected %g\n",
                what, t, r->tokens, c, got, want);
      }
      worst = ratio > worst ? ratio : worst;
    }
  }
  CHECK(reported == 0);
  // Between the rows of a strided Y nothing is written.
  size_t size = tsr_dtype_size(spec->output_type);
  bool gaps = true;
  for (uint32_t t = 0; t + 1 < r->tokens; ++t) {
    size_t from = t * (size_t)r->output_stride + r->output_columns;
    size_t to = (t + 1) * (size_t)r->output_stride;
    for (size_t i = from * size; i < to * size; ++i) {
      gaps = gaps && r->output.data[i] == POISON;
    }
  }
  CHECK(gaps);
  return worst;
}

static double run_tokens(const layer *l, const image *im, uint32_t tokens,
                         uint32_t extra, const char *what) {
  run r;
  run_create(&r, l, im, tokens, extra);
  execute(&r);
  double worst = compare(&r, what);
  fence_destroy(&r.input);
  fence_destroy(&r.bias);
  fence_destroy(&r.residual);
  CHECK(guarded_destroy(&r.output));
  return worst;
}

typedef struct test_case {
  const char *name;
  uint32_t rows, columns;
  tsr_tile_shape tile;
  tsr_activation activation;
  bool bias, residual;
  tsr_dtype output;
  double zero, sparse;
  uint32_t workers;
} test_case;

// What is added to W x.
enum { PLAIN = 0, BIAS = 1, RESIDUAL = 2 };

#define CASE(name, rows, columns, tile_rows, tile_columns, function, added,    \
             output, zero, sparse, workers)                                    \
  {                                                                            \
    name, rows, columns, {tile_rows, tile_columns}, TSR_ACTIVATION_##function, \
        ((added)&BIAS) != 0, ((added)&RESIDUAL) != 0, TSR_DTYPE_##output,      \
        zero, sparse, workers                                                  \
  }

static const test_case cases[] = {
    CASE("mixed", 256, 384, 128, 128, NONE, BIAS, F32, 0.1, 0.5, 3),
    CASE("dense", 128, 256, 64, 64, GELU_ERF, BIAS, BF16, 0, 0, 5),
    CASE("sparse", 192, 256, 64, 128, SILU, RESIDUAL, F16, 0, 1, 4),
    CASE("ragged", 203, 331, 128, 128, RELU, BIAS | RESIDUAL, F32, 0.1, 0.5, 3),
    CASE("odd", 101, 97, 48, 96, GELU_TANH, BIAS, BF16, 0, 0.5, 7),
    CASE("small", 7, 5, 16, 32, NONE, BIAS | RESIDUAL, F32, 0, 0.5, 2),
    CASE("gated", 150, 260, 80, 64, SWIGLU, BIAS, BF16, 0.1, 0.6, 6),
    CASE("geglu", 96, 130, 32, 32, GEGLU_ERF, RESIDUAL, F32, 0, 0.5, 12),
    CASE("geglu_tanh", 112, 66, 112, 64, GEGLU_TANH, BIAS, F16, 0, 0.5, 1),
    CASE("empty", 40, 70, 16, 32, NONE, BIAS, F32, 1, 0, 2),
    CASE("wide", 24, 1030, 16, 512, NONE, PLAIN, F32, 0, 0.5, 2),
    CASE("tall", 520, 64, 256, 32, NONE, BIAS, BF16, 0.2, 0.5, 3),
};

static void run_case(const test_case *c, tsr_dtype type, const char *variant) {
  static const uint32_t tokens[] = {1, 2, 3, 4, 5, 6, 7, 16, 17, 33, 64, 131};
  layer_options options = {.zero_share = c->zero,
                           .sparse_share = c->sparse,
                           .workers = c->workers,
                           .split = true,
                           .seed = 42};
  options.spec = (tsr_kernel_spec){.rows = c->rows,
                                   .columns = c->columns,
                                   .tile = c->tile,
                                   .weight_type = type,
                                   .output_type = c->output,
                                   .activation = c->activation,
                                   .has_bias = c->bias,
                                   .has_residual = c->residual,
                                   .token_first = 1,
                                   .token_last = UINT32_MAX};
  char what[96];
  (void)snprintf(what, sizeof(what), "%s %s %s", variant, c->name,
                 tsr_dtype_name(type));
  layer l;
  image im;
  CHECK(layer_create(&options, &l));
  if (l.stream == NULL) return;
  bool ok = image_create(&l.spec, variant, &im);
  CHECK(ok);
  double worst = 0;
  for (size_t i = 0; ok && i < sizeof(tokens) / sizeof(tokens[0]); ++i) {
    double ratio = run_tokens(&l, &im, tokens[i], i % 2 == 0 ? 0 : 3, what);
    worst = ratio > worst ? ratio : worst;
  }
  printf("%-40s worst error / bound %.3f, compiled in %.2f s\n", what, worst,
         im.compile_seconds);
  image_destroy(&im);
  layer_destroy(&l);
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  if (!machine_can(argv[1])) {
    printf("SKIPPED: this machine cannot run %s\n", argv[1]);
    return 77;
  }
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
    if (argc > 2 && strcmp(argv[2], cases[i].name) != 0) continue;
    run_case(&cases[i], TSR_DTYPE_BF16, argv[1]);
    run_case(&cases[i], TSR_DTYPE_F16, argv[1]);
  }
  return test_finish();
}

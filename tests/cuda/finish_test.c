// SPDX-License-Identifier: Apache-2.0
// The end of a segment alone, on tables made by hand. Segments without steps
// turn a bias into v, exactly: activations and conversions over all exponents
// against libm in float64. Sums whose order shows: k-slices and slots are added
// in theirs. A workspace that nobody initialised is found.
#include <math.h>
#include <stdlib.h>

#include "compiler/fragment_pack.h"
#include "device_internal.h"
#include "support/number.h"
#include "support/random.h"
#include "support/sweep.h"
#include "test.h"

enum { ROWS = 32768, TILE_ROWS = 256, PANELS = ROWS / TILE_ROWS };

// A launch for one token.
typedef struct job {
  tsr_kernel_spec spec;
  const float *bias;
  const uint8_t *stream;
  size_t stream_size;
  const uint16_t *input;
  const tsr_nvidia_step *steps;
  uint32_t step_count;
  const tsr_nvidia_worker *workers;
  uint32_t worker_count;
  const tsr_nvidia_segment *segments;
  uint32_t segment_count;
  uint32_t partial_count, reduction_count;
  uint32_t magic;
  void *output;
  size_t output_size;
} job;

enum { ARRAYS = 8 };

static bool upload(device *dev, const void *data, size_t size,
                   CUdeviceptr *out) {
  size_t room = size == 0 ? 1 : size;
  if (dev->d.cuMemAlloc(out, room) != CUDA_SUCCESS) return false;
  return size == 0 || dev->d.cuMemcpyHtoD(*out, data, size) == CUDA_SUCCESS;
}

// stream, steps, workers, segments, input, bias, output, workspace.
static bool upload_all(device *dev, const job *j, const tsr_cuda_kernel *kernel,
                       CUdeviceptr at[ARRAYS]) {
  size_t slots = (size_t)j->partial_count * kernel->block_tokens *
                 j->spec.tile.rows * sizeof(float);
  uint32_t *workspace = calloc(1, TSR_NVIDIA_WORKSPACE_HEADER + slots);
  if (workspace == NULL) return false;
  workspace[0] = j->magic;
  bool ok =
      upload(dev, j->stream, j->stream_size, &at[0]) &&
      upload(dev, j->steps, j->step_count * sizeof(*j->steps), &at[1]) &&
      upload(dev, j->workers, j->worker_count * sizeof(*j->workers), &at[2]) &&
      upload(dev, j->segments, j->segment_count * sizeof(*j->segments),
             &at[3]) &&
      upload(dev, j->input, j->spec.columns * sizeof(*j->input), &at[4]) &&
      upload(dev, j->bias, j->spec.rows * sizeof(float), &at[5]) &&
      upload(dev, j->output, j->output_size, &at[6]) &&
      upload(dev, workspace, TSR_NVIDIA_WORKSPACE_HEADER + slots, &at[7]);
  free(workspace);
  return ok;
}

static CUresult launch(device *dev, const job *j, const tsr_cuda_kernel *kernel,
                       const CUdeviceptr at[ARRAYS]) {
  CUfunction function = device_kernel(dev, kernel, "sm_80");
  if (function == NULL) return CUDA_ERROR_INVALID_VALUE;
  CUdeviceptr a[ARRAYS], none = 0;
  memcpy(a, at, sizeof(a));
  int64_t input_stride = j->spec.columns, output_stride = j->spec.rows;
  uint32_t one = 1, workers = j->worker_count, partials = j->partial_count,
           reductions = j->reduction_count;
  void *parameters[TSR_NVIDIA_PARAMETERS] = {
      &a[0], &a[1], &a[2], &a[3],         &a[4],          &none,
      &a[5], &a[6], &a[7], &input_stride, &output_stride, &output_stride,
      &one,  &one,  &one,  &workers,      &partials,      &reductions};
  CUresult result =
      dev->d.cuLaunchKernel(function, workers, 1, 1, kernel->threads, 1, 1,
                            kernel->shared_size, NULL, parameters, NULL);
  return result == CUDA_SUCCESS ? dev->d.cuCtxSynchronize() : result;
}

static size_t findings(device *dev) {
  if (!driver_is_emulated(&dev->d)) return 0;
  size_t count = dev->d.tessera_emu_finding_count();
  for (size_t i = 0; i < count && i < 4; ++i) {
    tessera_emu_finding finding = {.struct_size = sizeof(finding)};
    (void)dev->d.tessera_emu_get_finding(i, &finding);
    fprintf(stderr, "%s\n", finding.message);
  }
  return count;
}

static CUresult run(device *dev, const job *j) {
  tsr_cuda_kernel kernels[TSR_KERNEL_LIMIT];
  CUdeviceptr at[ARRAYS] = {0};
  CHECK(tsr_cuda_plan(&j->spec, tsr_cuda_target_find("sm_80"), kernels) != 0);
  if (driver_is_emulated(&dev->d)) dev->d.tessera_emu_clear_findings();
  CHECK(upload_all(dev, j, &kernels[0], at));
  CUresult result = launch(dev, j, &kernels[0], at);
  if (result != CUDA_SUCCESS) return result;
  CHECK_EQ(findings(dev), 0);
  CHECK_EQ(dev->d.cuMemcpyDtoH(j->output, at[6], j->output_size), 0);
  for (uint32_t i = 0; i < ARRAYS; ++i) (void)dev->d.cuMemFree(at[i]);
  return result;
}

// ---- Activations and conversions -------------------------------------------

static float inputs[ROWS];
static float outputs[ROWS];
static uint16_t input[64];  // X: not used, but there
static tsr_nvidia_segment panels[PANELS];

static const sweep all = {"sm_80", inputs, ROWS};

static void make_inputs(void) {
  sweep_fill(inputs, ROWS);
  for (uint32_t i = 0; i < PANELS; ++i) {
    panels[i] =
        (tsr_nvidia_segment){.panel = i, .partial = TSR_NVIDIA_NO_PARTIAL};
  }
}

// v of all rows is |inputs|.
static void evaluate(device *dev, tsr_activation activation, tsr_dtype type,
                     void *out) {
  const tsr_nvidia_step step = {0};
  const tsr_nvidia_worker worker = {.segment_end = PANELS};
  job j = {.spec = {.rows = ROWS,
                    .columns = 64,
                    .tile = {TILE_ROWS, 64},
                    .weight_type = TSR_DTYPE_BF16,
                    .output_type = type,
                    .activation = activation,
                    .has_bias = true,
                    .kinds = 1u << TSR_KIND_DENSE,
                    .token_first = 1,
                    .token_last = 1},
           .bias = inputs,
           .input = input,
           .steps = &step,
           .step_count = 1,
           .workers = &worker,
           .worker_count = 1,
           .segments = panels,
           .segment_count = PANELS,
           .output = out,
           .output_size = ROWS * tsr_dtype_size(type)};
  if (tsr_activation_is_gated(activation)) j.output_size /= 2;
  CHECK_EQ(run(dev, &j), CUDA_SUCCESS);
}

// What docs/numerics.md states of the CUDA target, less what hardware's ex2,
// rcp and div may be off: the emulator's are rounded correctly. 2^-21.
static double bound(tsr_activation a, double v, double y) {
  double w = fabs(0.79788456080286535588 * (v + 0.044715 * v * v * v));
  if (a == TSR_ACTIVATION_RELU) return 0;
  if (a == TSR_ACTIVATION_SILU) return fabs(y) * 0x1p-21 + 0x1p-119;
  if (a == TSR_ACTIVATION_GELU_TANH) {
    return fabs(y) * (v > -3 ? 0x1p-21 : 0x1p-24 * (8 + 2 * fmin(w, 100))) +
           0x1p-120;
  }
  return fabs(y) * 0x1p-21 + 0x1p-120;
}

static void test_activation(device *dev, tsr_activation activation) {
  evaluate(dev, activation, TSR_DTYPE_F32, outputs);
  CHECK_EQ(sweep_activation(&all, activation, bound, -INFINITY, outputs), 0);
}

// A gate's neighbour is multiplied with it, after it.
static void test_gated(device *dev, tsr_activation gated,
                       tsr_activation activation) {
  static float plain[ROWS];
  evaluate(dev, activation, TSR_DTYPE_F32, plain);
  evaluate(dev, gated, TSR_DTYPE_F32, outputs);
  uint32_t bad = 0;
  for (uint32_t i = 0; i < ROWS / 2; ++i) {
    float y = plain[2 * i] * (inputs[2 * i + 1] + 0.0f);  // v is 0 + bias
    if (memcmp(&y, &outputs[i], sizeof(y)) != 0) ++bad;
  }
  CHECK_EQ(bad, 0);
}

static void test_conversion(device *dev, tsr_dtype type) {
  static const float edges[] = {INFINITY, -INFINITY, NAN};
  static uint16_t bits[ROWS];
  memcpy(inputs, edges, sizeof(edges));
  evaluate(dev, TSR_ACTIVATION_NONE, type, bits);
  CHECK_EQ(sweep_conversion(&all, type, bits), 0);
  sweep_fill(inputs, ROWS);
}

// A NaN comes out as one, infinities as the function's limit.
static void test_special(device *dev, tsr_activation activation) {
  static const float edges[] = {NAN, INFINITY, -INFINITY};
  memcpy(inputs, edges, sizeof(edges));
  evaluate(dev, activation, TSR_DTYPE_F32, outputs);
  CHECK(isnan(outputs[0]));
  CHECK(isinf(outputs[1]) && outputs[1] > 0.0f);
  CHECK(fabsf(outputs[2]) < 0x1p-118f);
  sweep_fill(inputs, ROWS);
}

// ---- Order of sums ---------------------------------------------------------

// More slots than are read at once, as many slices as a block has at most.
enum {
  ORDER_ROWS = 16,
  ORDER_STEPS = 11,
  ORDER_COLUMNS = 64 * ORDER_STEPS,
  SLICES = 8,
};

typedef struct order {
  uint8_t stream[ORDER_ROWS * ORDER_COLUMNS * 2];
  uint16_t input[ORDER_COLUMNS];
  float bias[ORDER_ROWS];
  tsr_nvidia_step steps[ORDER_STEPS];
} order;

// Step i's sum is values[i] in every row.
static void make_order(const float values[ORDER_STEPS], order *o) {
  static const uint8_t keep[8] = {255, 255, 255, 255, 255, 255, 255, 255};
  memset(o, 0, sizeof(*o));
  for (uint32_t i = 0; i < ORDER_STEPS; ++i) {
    float weights[ORDER_ROWS][64] = {{0}};
    for (uint32_t r = 0; r < ORDER_ROWS; ++r) weights[r][5] = values[i];
    uint32_t size = ORDER_ROWS * 64 * 2;
    tsr_fragment_pack_tile(&weights[0][0], 64, keep, 0, 0, ORDER_ROWS, 64,
                           TSR_KIND_DENSE, TSR_DTYPE_BF16,
                           o->stream + i * size);
    o->input[64 * i + 5] = number_bits(1.0f, TSR_DTYPE_BF16);
    o->steps[i] = (tsr_nvidia_step){
        .offset = i * size / 128,
        .code = tsr_nvidia_step_code(64 * i, TSR_KIND_DENSE, 64)};
  }
}

static job order_job(const order *o, float *out) {
  return (job){.spec = {.rows = ORDER_ROWS,
                        .columns = ORDER_COLUMNS,
                        .tile = {ORDER_ROWS, ORDER_COLUMNS},
                        .weight_type = TSR_DTYPE_BF16,
                        .output_type = TSR_DTYPE_F32,
                        .has_bias = true,
                        .kinds = 1u << TSR_KIND_DENSE,
                        .token_first = 1,
                        .token_last = 1},
               .bias = o->bias,
               .stream = o->stream,
               .stream_size = sizeof(o->stream),
               .input = o->input,
               .steps = o->steps,
               .step_count = ORDER_STEPS,
               .output = out,
               .output_size = ORDER_ROWS * sizeof(float)};
}

static void check_order(device *dev, const job *j, float expected) {
  const float *y = j->output;
  memset(j->output, 0xff, j->output_size);
  CHECK_EQ(run(dev, j), CUDA_SUCCESS);
  for (uint32_t r = 0; r < ORDER_ROWS; ++r) CHECK(y[r] == expected);
}

// One block: each k-slice has a step, some another one of zeros.
static void test_slices(device *dev, const order *o, float expected) {
  float y[ORDER_ROWS];
  tsr_nvidia_worker worker = {.step_end = ORDER_STEPS, .segment_end = 1};
  tsr_nvidia_segment segment = {.step_end = ORDER_STEPS,
                                .partial = TSR_NVIDIA_NO_PARTIAL};
  job j = order_job(o, y);
  j.workers = &worker;
  j.segments = &segment;
  j.worker_count = j.segment_count = 1;
  check_order(dev, &j, expected);
}

static job split_job(const order *o, float *y, tsr_nvidia_worker *workers,
                     tsr_nvidia_segment *segments) {
  for (uint32_t i = 0; i < ORDER_STEPS; ++i) {
    workers[i] = (tsr_nvidia_worker){.step_first = i,
                                     .step_end = i + 1,
                                     .segment_first = i,
                                     .segment_end = i + 1};
    segments[i] = (tsr_nvidia_segment){
        .step_end = i + 1, .partial = i, .partial_count = ORDER_STEPS};
  }
  job j = order_job(o, y);
  j.workers = workers;
  j.segments = segments;
  j.worker_count = j.segment_count = j.partial_count = ORDER_STEPS;
  j.reduction_count = 1;
  j.magic = TSR_NVIDIA_WORKSPACE_MAGIC;
  return j;
}

// A block for each step, of which any may be the last.
static void test_slots(device *dev, const order *o, float expected) {
  float y[ORDER_ROWS];
  tsr_nvidia_worker workers[ORDER_STEPS];
  tsr_nvidia_segment segments[ORDER_STEPS];
  job j = split_job(o, y, workers, segments);
  tessera_emu_config config = {.struct_size = sizeof(config)};
  bool emulated = driver_is_emulated(&dev->d);
  if (emulated) dev->d.tessera_emu_get_config(&config);
  config.parallel = TESSERA_EMU_PARALLEL_NEVER;
  for (config.seed = 1; config.seed <= 6; ++config.seed) {
    if (emulated) (void)dev->d.tessera_emu_set_config(&config);
    check_order(dev, &j, expected);
  }
}

// The sum of |values| in fp32, each of |step| after the one before.
static float chain(const float *values, int first, int step) {
  float sum = values[first];
  for (int i = 1; i < ORDER_STEPS; ++i) sum += values[first + i * step];
  return sum;
}

// In fp32, (2^24 + 1) - 2^24 is 0, and (2^24 - 2^24) + 1 is 1.
static void test_order(device *dev) {
  static const float choice[] = {0x1p24f, -0x1p24f, 1.0f, 3.0f, -7.0f, 0x1p20f};
  static order o;
  uint32_t telling = 0;
  uint64_t state = 1;
  for (uint32_t n = 0; n < 4; ++n) {
    float values[ORDER_STEPS];
    for (uint32_t i = 0; i < ORDER_STEPS; ++i) {
      values[i] = choice[random_next(&state) % 6];
    }
    float sum = chain(values, 0, 1);
    telling += sum != chain(values, ORDER_STEPS - 1, -1);
    make_order(values, &o);
    test_slots(dev, &o, sum);
    for (uint32_t i = SLICES; i < ORDER_STEPS; ++i) values[i] = 0.0f;
    make_order(values, &o);
    test_slices(dev, &o, chain(values, 0, 1));
  }
  CHECK(telling != 0);
}

static void test_magic(device *dev) {
  static const float values[ORDER_STEPS] = {1.0f};
  static order o;
  float y[ORDER_ROWS] = {0};
  tsr_nvidia_worker workers[ORDER_STEPS];
  tsr_nvidia_segment segments[ORDER_STEPS];
  if (!driver_is_emulated(&dev->d)) return;  // the context would be lost
  make_order(values, &o);
  job j = split_job(&o, y, workers, segments);
  j.magic = 0;
  CHECK(run(dev, &j) != CUDA_SUCCESS);
  tessera_emu_finding finding = {.struct_size = sizeof(finding)};
  CHECK(dev->d.tessera_emu_finding_count() != 0);
  (void)dev->d.tessera_emu_get_finding(0, &finding);
  CHECK(strstr(finding.message, "trap") != NULL);
  CHECK(device_restart(dev));
}

int main(int argc, char **argv) {
  device dev;
  if (argc < 2 || !device_open(&dev, argv[1], "h100")) return 1;
  make_inputs();
  for (int a = TSR_ACTIVATION_RELU; a <= TSR_ACTIVATION_SILU; ++a) {
    test_activation(&dev, (tsr_activation)a);
    test_special(&dev, (tsr_activation)a);
  }
  test_gated(&dev, TSR_ACTIVATION_SWIGLU, TSR_ACTIVATION_SILU);
  test_gated(&dev, TSR_ACTIVATION_GEGLU_ERF, TSR_ACTIVATION_GELU_ERF);
  test_gated(&dev, TSR_ACTIVATION_GEGLU_TANH, TSR_ACTIVATION_GELU_TANH);
  test_conversion(&dev, TSR_DTYPE_BF16);
  test_conversion(&dev, TSR_DTYPE_F16);
  test_order(&dev);
  test_magic(&dev);
  device_close(&dev);
  return test_finish();
}

// SPDX-License-Identifier: Apache-2.0
// Every call of the driver and every allocation that opening, preparing,
// running and closing make, made to fail in turn: each failure is told, names
// the call, and leaves nothing behind.
#include <dlfcn.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cuda_checks.h"
#include "test.h"

extern size_t tsr_cuda_upload_buffer;  // runtime/src/cuda/program.h

static emu e;
static tessera_bundle *bundle;

typedef struct objects {
  tessera_device *device;
  tessera_program *program, *copy;
  tessera_timer *timer;
  void *input, *output, *workspace;
} objects;

// The whole life of a program, up to the first failure. |o| is released by the
// caller.
static tessera_status live(objects *o, tessera_error *error) {
  const tessera_layer *layer = tessera_bundle_find_layer(bundle, "wide");
  tessera_run_args args = {.size = sizeof(args), .token_count = 2};
  uint64_t dump[DUMP_COUNT];
  size_t size = 0;
  double seconds = 0;
  tessera_status s = tessera_device_open("cuda:0", NULL, &o->device, error);
#define THEN(call) \
  if (s == TESSERA_OK) s = (call)
  THEN(tessera_program_prepare(bundle, o->device, &o->program, error));
  THEN(tessera_program_copy(o->program, layer, &o->copy, error));
  THEN(tessera_timer_create(o->device, &o->timer, error));
  THEN(tessera_layer_workspace(o->copy, layer, 2, &size, error));
  THEN(tessera_device_allocate(o->device, 4096, &o->input, error));
  THEN(tessera_device_allocate(o->device, 4096, &o->output, error));
  THEN(tessera_device_allocate(o->device, size, &o->workspace, error));
  THEN(tessera_workspace_init(o->copy, o->workspace, size, NULL, error));
  THEN(tessera_timer_start(o->timer, NULL, error));
  args.input = o->input;
  args.output = o->output;
  args.residual = o->output;
  args.workspace = o->workspace;
  args.workspace_size = size;
  THEN(tessera_linear_run(o->copy, layer, &args, error));
  THEN(tessera_timer_stop(o->timer, NULL, error));
  THEN(tessera_timer_read(o->timer, &seconds, error));
  THEN(tessera_device_copy(o->device, o->input, o->output, sizeof(dump), NULL,
                           error));
  THEN(tessera_device_synchronize(o->device, NULL, error));
  THEN(tessera_device_read(o->device, dump, o->input, sizeof(dump), NULL,
                           error));
  if (s == TESSERA_OK) CHECK_EQ(dump[12], 2);
  THEN(tessera_device_write(o->device, o->input, dump, sizeof(dump), NULL,
                            error));
#undef THEN
  return s;
}

static void release(objects *o) {
  tessera_device_free(o->device, o->input);
  tessera_device_free(o->device, o->output);
  tessera_device_free(o->device, o->workspace);
  tessera_timer_destroy(o->timer);
  tessera_program_destroy(o->copy);
  tessera_program_destroy(o->program);
  tessera_device_close(o->device);
  memset(o, 0, sizeof(*o));
}

// ---- Missing drivers --------------------------------------------------------

static void test_missing_driver(void) {
  CHECK_EQ(setenv("TESSERA_CUDA_DRIVER", "/absent.so", 1), 0);
  check_device_fails(
      "cuda", TESSERA_UNAVAILABLE,
      "device 'cuda:0': there is no CUDA driver: /absent.so: cannot "
      "open shared object file: No such file or directory");
  CHECK_EQ(setenv("TESSERA_CUDA_DRIVER", "libm.so.6", 1), 0);
  check_device_fails("cuda:0", TESSERA_UNAVAILABLE,
                     "device 'cuda:0': 'libm.so.6' is no CUDA driver");
  tessera_device *device = NULL;
  tessera_error error;
  CHECK_EQ(setenv("TESSERA_CUDA_DRIVER", OLD_DRIVER, 1), 0);
  CHECK_EQ(tessera_device_open("cuda", NULL, &device, &error),
           TESSERA_UNAVAILABLE);
  CHECK(strstr(error.message,
               "' is too old: it is of CUDA 11.4, 12.0 or newer "
               "is needed") != NULL);
  CHECK_EQ(setenv("TESSERA_CUDA_DRIVER", EMPTY_DRIVER, 1), 0);
  CHECK_EQ(tessera_device_open("cuda", NULL, &device, &error),
           TESSERA_UNAVAILABLE);
  CHECK(strstr(error.message, "' has no cuGetErrorName of CUDA 6.0") != NULL);
}

// A failure to start is not kept: the next attempt may succeed.
static void test_driver_does_not_start(void) {
  CHECK_EQ(e.fail("cuInit", 1, 100), 0);
  check_device_fails(
      "cuda:0", TESSERA_UNAVAILABLE,
      "device 'cuda:0': the CUDA driver does not start: "
      "CUDA_ERROR_NO_DEVICE (no CUDA-capable device is detected)");
}

// Without a name it is the system's.
static void test_usual_driver(void) {
  tessera_device *device = NULL;
  tessera_error error = {0};
  CHECK_EQ(setenv("TESSERA_CUDA_DRIVER", "", 1), 0);
  void *usual = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (usual != NULL) {
    printf("SKIPPED: there is a CUDA driver here\n");
    (void)dlclose(usual);
    return;
  }
  CHECK_EQ(tessera_device_open("cuda", NULL, &device, &error),
           TESSERA_UNAVAILABLE);
  CHECK(strstr(error.message,
               "device 'cuda:0': there is no CUDA driver: libcuda.so.1: ") ==
        error.message);
}

// ---- Calls of the driver ----------------------------------------------------

static const char *const pairs[][2] = {
    {"cuMemAlloc", "cuMemFree"},
    {"cuMemHostAlloc", "cuMemFreeHost"},
    {"cuStreamCreate", "cuStreamDestroy"},
    {"cuEventCreate", "cuEventDestroy"},
    {"cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease"},
    {"cuCtxPushCurrent", "cuCtxPopCurrent"},
};
enum { PAIRS = sizeof(pairs) / sizeof(pairs[0]) };

// Whether everything that was made is gone; of the call that failed nothing
// was made.
static void check_balance(const char *failed) {
  for (int i = 0; i < PAIRS; ++i) {
    uint64_t made = e.call_count(pairs[i][0]);
    uint64_t gone = e.call_count(pairs[i][1]);
    if (strcmp(pairs[i][0], failed) == 0) --made;
    CHECK_EQ(gone, made);
  }
}

// What only releases: nobody is told, and what it was to release is lost.
static bool is_release(const char *name) {
  for (int i = 0; i < PAIRS; ++i) {
    if (strcmp(name, pairs[i][1]) == 0) return true;
  }
  return strcmp(name, "cuModuleUnload") == 0;
}

static void fail_call(const char *name, uint64_t nth) {
  objects o = {0};
  tessera_error error = {0};
  char *said;
  e.clear_calls();
  CHECK_EQ(e.fail(name, nth, CUDA_ERROR_OUT_OF_MEMORY), 0);
  tessera_status status = live(&o, &error);
  said = error.message;
  release(&o);
  (void)e.fail(name, 0, 0);
  check_balance(name);
  CHECK_EQ(status, TESSERA_OUT_OF_MEMORY);
  CHECK_EQ(error.native, CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(strstr(said, "CUDA_ERROR_OUT_OF_MEMORY (out of memory)") != NULL);
  if (strstr(said, name) == NULL) {
    fprintf(stderr, "%s %u: %s\n", name, (unsigned)nth, said);
    CHECK(false);
  }
}

static void test_calls(void) {
  static const char *const names[] = {
#define TSR_CU(name, version, parameters) #name,
#include "cuda/symbols.def"
#undef TSR_CU
  };
  enum { NAMES = sizeof(names) / sizeof(names[0]) };
  uint64_t counts[NAMES];
  objects o = {0};
  tessera_error error = {0};
  CHECK_EQ(live(&o, &error), TESSERA_OK);  // the first opens the driver
  release(&o);
  e.clear_calls();
  CHECK_EQ(live(&o, &error), TESSERA_OK);
  CHECK_STR(error.message, "");
  for (int i = 0; i < NAMES; ++i) counts[i] = e.call_count(names[i]);
  release(&o);
  check_balance("");
  uint64_t failures = 0;
  for (int i = 0; i < NAMES; ++i) {
    if (is_release(names[i]) || strstr(names[i], "cuGetError") != NULL) {
      continue;
    }
    for (uint64_t nth = 1; nth <= counts[i]; ++nth, ++failures) {
      fail_call(names[i], nth);
    }
  }
  CHECK(failures > 40);
}

// Also those of an upload that takes many buffers: the copies that are under
// way are waited for before their buffers go.
static void test_calls_of_upload(void) {
  static const char *const names[] = {"cuMemcpyHtoDAsync", "cuEventRecord",
                                      "cuEventSynchronize",
                                      "cuStreamSynchronize"};
  size_t usual = tsr_cuda_upload_buffer;
  tsr_cuda_upload_buffer = 16384;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
    objects o = {0};
    tessera_error error = {0};
    e.clear_calls();
    CHECK_EQ(live(&o, &error), TESSERA_OK);
    uint64_t count = e.call_count(names[i]);
    release(&o);
    CHECK(count > (i < 3 ? 4u : 1u));
    for (uint64_t nth = 1; nth <= count; ++nth) {
      fail_call(names[i], nth);
      CHECK(e.call_count("cuStreamSynchronize") != 0);
    }
  }
  tsr_cuda_upload_buffer = usual;
}

// A result that is no lack of memory, and one that even the driver has no name
// for, as those of a newer one may be.
static void test_other_results(void) {
  static const struct {
    int result;
    const char *message;
  } cases[] = {
      {CUDA_ERROR_LAUNCH_FAILED,
       "layer 'wide': cuLaunchKernel of 'dump_decode': "
       "CUDA_ERROR_LAUNCH_FAILED (unspecified launch failure)"},
      {12345,
       "layer 'wide': cuLaunchKernel of 'dump_decode': unknown error (no "
       "description)"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
    objects o = {0};
    tessera_error error = {0};
    CHECK_EQ(e.fail("cuLaunchKernel", 1, cases[i].result), 0);
    CHECK_EQ(live(&o, &error), TESSERA_DEVICE);
    CHECK_EQ(error.native, cases[i].result);
    CHECK_STR(error.message, cases[i].message);
    release(&o);
  }
}

// A context that cannot be entered, or tells nothing.
static void test_callers_context(void) {
  static const char *const names[] = {"cuCtxPushCurrent", "cuCtxGetDevice"};
  CUcontext mine = NULL, now = NULL;
  CHECK_EQ(e.ctx_create(&mine, 0, 0), CUDA_SUCCESS);
  CHECK_EQ(e.ctx_set(NULL), CUDA_SUCCESS);
  for (int i = 0; i < 2; ++i) {
    tessera_device_options options = {.size = sizeof(options), .context = mine};
    tessera_device *device = NULL;
    tessera_error error = {0};
    char said[200];
    CHECK_EQ(e.fail(names[i], 1, CUDA_ERROR_INVALID_CONTEXT), 0);
    CHECK_EQ(tessera_device_open("cuda:0", &options, &device, &error),
             TESSERA_DEVICE);
    CHECK(device == NULL);
    CHECK_EQ(error.native, CUDA_ERROR_INVALID_CONTEXT);
    (void)snprintf(said, sizeof(said),
                   "device 'cuda:0': %s: CUDA_ERROR_INVALID_CONTEXT (",
                   names[i]);
    CHECK(strncmp(error.message, said, strlen(said)) == 0);
    CHECK_EQ(e.ctx_get(&now), CUDA_SUCCESS);
    CHECK(now == NULL);
  }
  CHECK_EQ(e.ctx_destroy(mine), CUDA_SUCCESS);
}

// An upload in the caller's stream makes none of its own, and is done when it
// returns.
static void test_callers_stream(void) {
  tessera_prepare_options options = {.size = sizeof(options),
                                     .stream = CU_STREAM_PER_THREAD};
  tessera_device *device = NULL;
  tessera_program *program = NULL;
  tessera_error error = {0};
  e.clear_calls();
  CHECK_EQ(tessera_device_open("cuda:0", NULL, &device, &error), TESSERA_OK);
  CHECK_EQ(
      tessera_program_prepare_with(bundle, device, &options, &program, &error),
      TESSERA_OK);
  CHECK_STR(error.message, "");
  CHECK_EQ(e.call_count("cuStreamCreate"), 0);
  CHECK_EQ(e.call_count("cuStreamSynchronize"), 1);
  tessera_program_destroy(program);
  tessera_device_close(device);
  CHECK_EQ(e.call_count("cuStreamDestroy"), 0);
  check_balance("");
}

// ---- Allocations ------------------------------------------------------------

static void test_allocations(void) {
  objects o = {0};
  tessera_error error = {0};
  (void)tsr_memory_fail_at(0);
  CHECK_EQ(live(&o, &error), TESSERA_OK);
  release(&o);
  uint64_t count = tsr_memory_fail_at(0);
  CHECK(count > 4);
  for (uint64_t nth = 1; nth <= count; ++nth) {
    e.clear_calls();
    (void)tsr_memory_fail_at(nth);
    CHECK_EQ(live(&o, &error), TESSERA_OUT_OF_MEMORY);
    (void)tsr_memory_fail_at(0);
    CHECK(strstr(error.message, "out of memory") != NULL);
    release(&o);
    check_balance("");
  }
}

static void test_allocations_of_opening(void) {
  cuda_bundle written;
  tsr_buffer bytes;
  tessera_error error = {0};
  cuda_bundle_init(&written);
  cuda_bundle_container(&written, &bytes);
  (void)tsr_memory_fail_at(0);
  tessera_bundle_close(cuda_open_bytes(&bytes, true, &error));
  CHECK_STR(error.message, "");
  uint64_t count = tsr_memory_fail_at(0);
  CHECK(count > 4);
  for (uint64_t nth = 1; nth <= count; ++nth) {
    (void)tsr_memory_fail_at(nth);
    CHECK(cuda_open_bytes(&bytes, true, &error) == NULL);
    (void)tsr_memory_fail_at(0);
    CHECK_EQ(error.status, TESSERA_OUT_OF_MEMORY);
  }
  tsr_buffer_fini(&bytes);
  cuda_bundle_fini(&written);
}

// ---- Images -----------------------------------------------------------------

static tessera_program *prepare(tessera_device *device, cuda_bundle *written,
                                tessera_error *error) {
  static tessera_bundle *opened;
  tessera_program *program = NULL;
  tessera_bundle_close(opened);
  cuda_bundle_manifest(written);
  opened = cuda_open_bundle(written, true, error);
  CHECK_STR(error->message, "");
  (void)!tessera_program_prepare(opened, device, &program, error);
  return program;
}

static void test_images(void) {
  cuda_bundle written;
  tessera_device *device = NULL;
  tessera_error error = {0};
  tessera_program *program;
  e.clear_calls();
  CHECK_EQ(tessera_device_open("cuda:0", NULL, &device, &error), TESSERA_OK);
  cuda_bundle_init(&written);
  tsr_buffer *ptx = &written.images[CUDA_PTX_80].data;
  tsr_buffer *newer = &written.images[CUDA_PTX_90].data;
  // The cubin is refused, and then the PTX for this device: that for a smaller
  // one does.
  tsr_buffer_clear(newer);
  tsr_buffer_append_string(newer, ".version 8.5\n.target sm_90\nno");
  program = prepare(device, &written, &error);
  CHECK_STR(error.message, "");
  CHECK_STR(tessera_program_variant(program), "sm_80 ptx");
  CHECK_EQ(e.call_count("cuModuleLoadDataEx"), 3);
  tessera_program_destroy(program);
  // None does: the message has what the driver's compiler says.
  tsr_buffer_clear(ptx);
  tsr_buffer_append_string(ptx, ".version 8.5\n.target sm_80\nyes");
  program = prepare(device, &written, &error);
  CHECK(program == NULL);
  CHECK_EQ(error.status, TESSERA_UNSUPPORTED);
  CHECK_EQ(error.native, CUDA_ERROR_INVALID_PTX);
  CHECK(strstr(error.message,
               ": the driver takes none of its images: sm_90 cubin: "
               "CUDA_ERROR_NO_BINARY_FOR_GPU") != NULL);
  CHECK(strstr(error.message,
               "; sm_80 ptx: CUDA_ERROR_INVALID_PTX: ptx(3,1): error: ") !=
        NULL);
  tessera_device_close(device);
  CHECK_EQ(tessera_device_open("cuda:1", NULL, &device, &error), TESSERA_OK);
  // A kernel that the image lacks.
  tsr_buffer_clear(ptx);
  tsr_buffer_append_string(ptx,
                           ".version 8.5\n.target sm_80\n.address_size 64\n"
                           ".visible .entry dump_decode() { ret; }\n");
  program = prepare(device, &written, &error);
  CHECK(program == NULL);
  CHECK_EQ(error.status, TESSERA_CORRUPT);
  CHECK(strstr(error.message,
               ": image 'sm_80 ptx' does not define 'dump_prefill'") != NULL);
  tessera_device_close(device);
  check_balance("");
  cuda_bundle_fini(&written);
}

int main(int argc, char **argv) {
  cuda_bundle written;
  tessera_error error = {0};
  if (argc != 2) return 2;
  test_missing_driver();
  test_usual_driver();
  e = emu_open(argv[1], "h100,a100");
  test_driver_does_not_start();
  cuda_bundle_init(&written);
  bundle = cuda_open_bundle(&written, true, &error);
  CHECK_STR(error.message, "");
  test_calls();
  test_calls_of_upload();
  test_other_results();
  test_callers_context();
  test_callers_stream();
  test_allocations();
  test_allocations_of_opening();
  test_images();
  tessera_bundle_close(bundle);
  cuda_bundle_fini(&written);
  CHECK_EQ(e.finding_count(), 0);
  return test_finish();
}

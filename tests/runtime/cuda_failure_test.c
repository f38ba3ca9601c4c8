// SPDX-License-Identifier: Apache-2.0
// Every call of the driver and every allocation that opening, preparing,
// running and closing make, made to fail in turn: each failure is told, names
// the call, and leaves nothing behind.
#include <stdlib.h>

#include "base/memory.h"
#include "cuda_session.h"
#include "test.h"

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
  e = emu_open(argv[1], "h100,a100");
  cuda_bundle_init(&written);
  bundle = cuda_open_bundle(&written, true, &error);
  CHECK_STR(error.message, "");
  test_calls();
  test_allocations();
  test_images();
  tessera_bundle_close(bundle);
  cuda_bundle_fini(&written);
  CHECK_EQ(e.finding_count(), 0);
  return test_finish();
}

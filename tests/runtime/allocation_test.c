// SPDX-License-Identifier: Apache-2.0
// Running a layer allocates nothing, by whatever means: the C library's
// allocator is replaced by one that counts. (glibc, without sanitizers, which
// replace it themselves.)
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "synthetic.h"
#include "tessera/tessera.h"
#include "test.h"

static atomic_ulong allocations;

// glibc's own names for what is replaced below.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *pointer, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
  atomic_fetch_add(&allocations, 1);
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  atomic_fetch_add(&allocations, 1);
  return __libc_calloc(count, size);
}

void *realloc(void *pointer, size_t size) {
  atomic_fetch_add(&allocations, 1);
  return __libc_realloc(pointer, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  atomic_fetch_add(&allocations, 1);
  return __libc_memalign(alignment, size);
}

static void check_runs(const tessera_program *program,
                       const tessera_layer *layer, uint32_t tokens) {
  static uint16_t input[16 * 128];
  static float residual[16 * 64];
  static float output[16 * 64];
  tessera_layer_info info = {.size = sizeof(info)};
  tessera_error error = {0};
  size_t size = 0;
  tessera_team team = {{0}};
  CHECK_EQ(tessera_layer_query(layer, &info, &error), TESSERA_OK);
  CHECK_EQ(tessera_layer_workspace(program, layer, tokens, &size, &error),
           TESSERA_OK);
  void *workspace = aligned_alloc(64, (size / 64 + 1) * 64);
  tessera_run_args args = {.size = sizeof(args),
                           .token_count = tokens,
                           .input = input,
                           .residual = info.has_residual ? residual : NULL,
                           .output = output,
                           .workspace = workspace,
                           .workspace_size = size};
  unsigned long before = atomic_load(&allocations);
  for (int i = 0; i < 20; ++i) {
    CHECK_EQ(tessera_linear_run(program, layer, &args, &error), TESSERA_OK);
    CHECK_EQ(
        tessera_linear_run_thread(program, layer, &args, &team, 0, 1, &error),
        TESSERA_OK);
  }
  // Refusals allocate nothing either.
  args.input = NULL;
  CHECK_EQ(tessera_linear_run(program, layer, &args, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_EQ(atomic_load(&allocations) - before, 0);
  free(workspace);
}

int main(void) {
  synthetic written;
  tsr_buffer container;
  char path[CONTAINER_PATH];
  tessera_bundle *bundle = NULL;
  tessera_device *device = NULL;
  tessera_program *program = NULL;
  tessera_device_options options = {.size = sizeof(options), .thread_count = 3};
  synthetic_init(&written, KERNEL_IMAGE, 12);
  synthetic_container(&written, &container);
  int file = container_file(container.data, container.size, path);
  CHECK_EQ(tessera_bundle_open(path, NULL, &bundle, NULL), TESSERA_OK);
  CHECK_EQ(tessera_device_open("host", &options, &device, NULL), TESSERA_OK);
  CHECK_EQ(tessera_program_prepare(bundle, device, &program, NULL), TESSERA_OK);
  CHECK(atomic_load(&allocations) > 10);  // the counter counts
  for (uint32_t i = 0; i < SYNTHETIC_LAYERS; ++i) {
    check_runs(program, tessera_bundle_layer(bundle, i), 1);
    check_runs(program, tessera_bundle_layer(bundle, i), 9);
  }
  tessera_program_destroy(program);
  tessera_device_close(device);
  tessera_bundle_close(bundle);
  (void)close(file);
  tsr_buffer_fini(&container);
  synthetic_fini(&written);
  return test_finish();
}

// SPDX-License-Identifier: Apache-2.0
// Opening bundles and devices, preparing programs: what they answer, how they
// fail, that nothing is lost when memory runs out at any point.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "synthetic.h"
#include "tessera/tessera.h"
#include "test.h"

static char folder[CONTAINER_PATH];  // of this test's own

static const char *place(const char *name) {
  static char path[2 * CONTAINER_PATH];
  (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
  return path;
}

static void make_folder(const char *name) {
  synthetic bundle;
  synthetic_init(&bundle, KERNEL_IMAGE, 3);
  synthetic_folder(&bundle, place(name));
  synthetic_fini(&bundle);
}

static tessera_bundle *open_ok(const char *path) {
  tessera_bundle *bundle = NULL;
  tessera_error error = {0};
  CHECK_EQ(tessera_bundle_open(path, NULL, &bundle, &error), TESSERA_OK);
  CHECK_STR(error.message, "");
  return bundle;
}

// |message| follows "bundle '...': ".
static void open_fails(const char *path, tessera_status expected,
                       const char *message) {
  tessera_bundle *bundle = (tessera_bundle *)(void *)folder;
  tessera_error error = {0};
  CHECK_EQ(tessera_bundle_open(path, NULL, &bundle, &error), expected);
  CHECK(bundle == NULL);
  const char *text = strstr(error.message, "': ");
  CHECK_STR(text == NULL ? error.message : text + 3, message);
}

// ---- Bundles ----------------------------------------------------------------

static void check_queries(const tessera_bundle *bundle) {
  tessera_error error = {0};
  CHECK_STR(tessera_bundle_name(bundle), "synthetic");
  CHECK_STR(tessera_bundle_plan(bundle), "model \"synthetic\";\n");
  CHECK(strncmp(tessera_bundle_manifest(bundle), "{\"format\"", 9) == 0);
  CHECK_EQ(tessera_bundle_layer_count(bundle), SYNTHETIC_LAYERS);
  CHECK(tessera_bundle_layer(bundle, SYNTHETIC_LAYERS) == NULL);
  CHECK(tessera_bundle_find_layer(bundle, "layer.none") == NULL);
  static const char *const names[] = {"layer.plain", "layer.ragged",
                                      "layer.gated", "layer.nothing"};
  for (uint32_t i = 0; i < SYNTHETIC_LAYERS; ++i) {
    const tessera_layer *layer = tessera_bundle_layer(bundle, i);
    CHECK(tessera_bundle_find_layer(bundle, names[i]) == layer);
    tessera_layer_info info = {.size = sizeof(info)};
    CHECK_EQ(tessera_layer_query(layer, &info, &error), TESSERA_OK);
    CHECK_STR(info.name, names[i]);
  }
  const tessera_layer *gated = tessera_bundle_layer(bundle, 2);
  tessera_layer_info info = {.size = sizeof(info)};
  CHECK_EQ(tessera_layer_query(gated, &info, &error), TESSERA_OK);
  CHECK_STR(info.symbol, "gated");
  CHECK_EQ(info.rows, 96);
  CHECK_EQ(info.columns, 128);
  CHECK_EQ(info.output_columns, 48);
  CHECK_EQ(info.tile_rows, 32);
  CHECK_EQ(info.tile_columns, 64);
  CHECK_EQ(info.weight_type, TESSERA_BF16);
  CHECK_EQ(info.output_type, TESSERA_BF16);
  CHECK_STR(info.activation, "swiglu");
  CHECK_EQ(info.has_bias, 1);
  CHECK_EQ(info.has_residual, 0);
  CHECK_EQ(info.dense_bytes, 96 * 128 * 2);
  CHECK_EQ(info.worker_count, 3);
  CHECK_EQ(info.token_first, 1);
  CHECK_EQ(info.token_last, UINT32_MAX);
  uint32_t panels = 0;
  uint32_t columns = 0;
  const uint8_t *tiles = tessera_layer_tiles(gated, &panels, &columns);
  CHECK_EQ(panels, 3);
  CHECK_EQ(columns, 2);
  uint64_t counts[3] = {0};
  for (uint32_t i = 0; i < panels * columns; ++i) ++counts[tiles[i]];
  CHECK_EQ(counts[0], info.zero_tiles);
  CHECK_EQ(counts[1], info.sparse24_tiles);
  CHECK_EQ(counts[2], info.dense_tiles);
}

static void test_queries(void) {
  make_folder("whole");
  tessera_bundle *bundle = open_ok(place("whole"));
  check_queries(bundle);
  tessera_bundle_close(bundle);
  CHECK(tessera_bundle_name(NULL) == NULL);
  CHECK(tessera_bundle_manifest(NULL) == NULL);
  CHECK(tessera_bundle_plan(NULL) == NULL);
  CHECK_EQ(tessera_bundle_layer_count(NULL), 0);
  CHECK(tessera_bundle_layer(NULL, 0) == NULL);
  CHECK(tessera_bundle_find_layer(NULL, "x") == NULL);
  CHECK(tessera_layer_tiles(NULL, NULL, NULL) == NULL);
  CHECK_STR(tessera_version(), "0.1.0");
  CHECK_STR(tessera_status_name(TESSERA_CORRUPT), "corrupt bundle");
  CHECK_STR(tessera_status_name((tessera_status)99), "unknown status");
}

static void test_bad_calls(void) {
  tessera_error error = {0};
  tessera_bundle *bundle = NULL;
  tessera_bundle_options options = {.size = 3};
  tessera_layer_info info = {.size = 1};
  CHECK_EQ(tessera_bundle_open(NULL, NULL, &bundle, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error.message, "path is NULL");
  CHECK_EQ(tessera_bundle_open("x", NULL, NULL, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error.message, "out_bundle is NULL");
  CHECK_EQ(tessera_bundle_open("x", &options, &bundle, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error.message, "tessera_bundle_options.size is 3, expected 16");
  CHECK_EQ(tessera_layer_query(NULL, &info, &error), TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error.message, "layer is NULL");
  bundle = open_ok(place("whole"));
  CHECK_EQ(tessera_layer_query(tessera_bundle_layer(bundle, 0), &info, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK(strstr(error.message, "tessera_layer_info.size is 1") != NULL);
  tessera_bundle_close(bundle);
  tessera_bundle_close(NULL);
}

// ---- Folders ----------------------------------------------------------------

static void replace_member(const char *bundle, const char *member) {
  char path[2 * CONTAINER_PATH];
  (void)snprintf(path, sizeof(path), "%s/%s/%s", folder, bundle, member);
  CHECK_EQ(unlink(path), 0);
}

static void test_folders(void) {
  open_fails(place("absent"), TESSERA_NOT_FOUND,
             "cannot open it: No such file or directory");
  open_fails("/dev/null", TESSERA_CORRUPT, "container: not a regular file");
  make_folder("a");
  replace_member("a", "manifest.json");
  open_fails(place("a"), TESSERA_CORRUPT, "member 'manifest.json' is missing");
  make_folder("b");
  replace_member("b", "weights.bin");
  open_fails(place("b"), TESSERA_CORRUPT,
             "files[1].path: member 'weights.bin' is missing");
  CHECK_EQ(symlink("../whole/weights.bin", place("b/weights.bin")), 0);
  open_fails(place("b"), TESSERA_CORRUPT,
             "files[1].path: member 'weights.bin' is a symbolic link");
  CHECK_EQ(unlink(place("b/weights.bin")), 0);
  CHECK_EQ(mkfifo(place("b/weights.bin"), 0600), 0);
  open_fails(place("b"), TESSERA_CORRUPT,
             "files[1].path: member 'weights.bin': not a regular file");
  CHECK_EQ(unlink(place("b/weights.bin")), 0);
  CHECK_EQ(mkdir(place("b/weights.bin"), 0700), 0);
  open_fails(place("b"), TESSERA_CORRUPT,
             "files[1].path: member 'weights.bin': not a regular file");
  make_folder("c");
  replace_member("c", "kernels/host-generic.so");
  CHECK_EQ(rmdir(place("c/kernels")), 0);
  CHECK_EQ(symlink("../whole/kernels", place("c/kernels")), 0);
  open_fails(place("c"), TESSERA_CORRUPT,
             "image 'generic': file: member 'kernels/host-generic.so' is "
             "missing");
  make_folder("d");
  CHECK_EQ(truncate(place("d/weights.bin"), 100), 0);
  open_fails(place("d"), TESSERA_CORRUPT,
             "files[1].size: 'weights.bin' has 100 bytes, not 37184");
  make_folder("e");
  CHECK_EQ(truncate(place("e/manifest.json"), 0), 0);
  open_fails(place("e"), TESSERA_CORRUPT,
             "manifest.json: 1:1: expected a value");
  // A link to a whole bundle is the user's own affair.
  CHECK_EQ(symlink("whole", place("link")), 0);
  tessera_bundle_close(open_ok(place("link")));
}

// What was opened stays, though its name now means another bundle.
static void test_replaced(void) {
  make_folder("old");
  tessera_bundle *bundle = open_ok(place("old"));
  char path[2 * CONTAINER_PATH];
  (void)snprintf(path, sizeof(path), "%s", place("older"));
  CHECK_EQ(rename(place("old"), path), 0);
  check_queries(bundle);
  tessera_device *device = NULL;
  tessera_program *program = NULL;
  CHECK_EQ(tessera_device_open("host", NULL, &device, NULL), TESSERA_OK);
  CHECK_EQ(tessera_program_prepare(bundle, device, &program, NULL), TESSERA_OK);
  tessera_program_destroy(program);
  tessera_device_close(device);
  tessera_bundle_close(bundle);
}

// ---- Devices ----------------------------------------------------------------

static void device_fails(const char *name,
                         const tessera_device_options *options,
                         tessera_status expected, const char *message) {
  tessera_device *device = (tessera_device *)(void *)folder;
  tessera_error error = {0};
  CHECK_EQ(tessera_device_open(name, options, &device, &error), expected);
  CHECK(device == NULL);
  CHECK_STR(error.message, message);
}

static void test_devices(void) {
  tessera_device_options options = {.size = sizeof(options), .thread_count = 3};
  tessera_device *device = NULL;
  tessera_error error = {0};
  CHECK_EQ(tessera_device_open("host", &options, &device, &error), TESSERA_OK);
  CHECK_EQ(tessera_device_thread_count(device), 3);
  CHECK(strstr(tessera_device_description(device), ", 3 threads, ") != NULL);
  tessera_device_close(device);
  CHECK_EQ(tessera_device_open("host", NULL, &device, &error), TESSERA_OK);
  CHECK(tessera_device_thread_count(device) >= 1);
  tessera_device_close(device);
  tessera_device_close(NULL);
  CHECK(tessera_device_description(NULL) == NULL);
  device_fails(NULL, NULL, TESSERA_INVALID_ARGUMENT, "name is NULL");
  device_fails("gpu", NULL, TESSERA_NOT_FOUND,
               "device 'gpu': unknown; there are 'host' and 'cuda:N'");
  device_fails("host:1", NULL, TESSERA_NOT_FOUND, "there is one host");
  device_fails("host:", NULL, TESSERA_NOT_FOUND,
               "device 'host:': unknown; there are 'host' and 'cuda:N'");
  device_fails("hostess", NULL, TESSERA_NOT_FOUND,
               "device 'hostess': unknown; there are 'host' and 'cuda:N'");
  CHECK_EQ(setenv("TESSERA_CUDA_DRIVER", "/absent/driver.so", 1), 0);
  device_fails("cuda:0", NULL, TESSERA_UNAVAILABLE,
               "device 'cuda:0': there is no CUDA driver: /absent/driver.so: "
               "cannot open shared object file: No such file or directory");
  options.thread_count = 1025;
  device_fails("host", &options, TESSERA_INVALID_ARGUMENT,
               "thread_count is 1025, the limit is 1024");
  options.thread_count = 1;
  options.weights = (tessera_weights)2;
  device_fails("host", &options, TESSERA_INVALID_ARGUMENT, "weights is 2");
  options.size = 1;
  device_fails("host", &options, TESSERA_INVALID_ARGUMENT,
               "tessera_device_options.size is 1, expected 40");
}

// ---- Programs ---------------------------------------------------------------

// Prepares a bundle in which |from| is |to|, on a device of |variant|.
static void prepare_fails(const char *from, const char *to, const char *variant,
                          tessera_status expected, const char *message) {
  synthetic written;
  tsr_buffer container;
  char path[CONTAINER_PATH];
  synthetic_init(&written, KERNEL_IMAGE, 3);
  if (from != NULL) synthetic_replace(&written.manifest, from, 0, to);
  synthetic_container(&written, &container);
  int file = container_file(container.data, container.size, path);
  tessera_bundle *bundle = open_ok(path);
  (void)close(file);
  tessera_device_options options = {
      .size = sizeof(options), .thread_count = 1, .variant = variant};
  tessera_device *device = NULL;
  tessera_error error = {0};
  tessera_program *program = (tessera_program *)(void *)folder;
  CHECK_EQ(tessera_device_open("host", &options, &device, &error), TESSERA_OK);
  CHECK_EQ(tessera_program_prepare(bundle, device, &program, &error), expected);
  CHECK((program == NULL) == (expected != TESSERA_OK));
  const char *text = strstr(error.message, "': ");
  CHECK_STR(text == NULL ? "" : text + 3, message);
  tessera_program_destroy(program);
  tessera_device_close(device);
  tessera_bundle_close(bundle);
  tsr_buffer_fini(&container);
  synthetic_fini(&written);
}

static void test_programs(void) {
  prepare_fails(NULL, NULL, NULL, TESSERA_OK, "");
  prepare_fails(NULL, NULL, "generic", TESSERA_OK, "");
  prepare_fails(NULL, NULL, "x86-64-v9", TESSERA_NOT_FOUND,
                "it has no image for 'x86-64-v9'");
  prepare_fails("\"required\": \"\"", "\"required\": \"telepathy\"", NULL,
                TESSERA_UNSUPPORTED,
                "no image suits this machine: 'generic' needs telepathy, which "
                "this machine lacks");
  prepare_fails("\"required\": \"\"", "\"required\": \"telepathy\"", "generic",
                TESSERA_UNSUPPORTED,
                "image 'generic' needs telepathy, which this machine lacks");
  prepare_fails("\"abi\": 1", "\"abi\": 2", NULL, TESSERA_UNSUPPORTED,
                "no image suits this machine: 'generic' has ABI 2, this "
                "library speaks 1");
  prepare_fails("\"family\": \"host\"", "\"family\": \"moon\"", NULL,
                TESSERA_UNSUPPORTED, "it was not compiled for the host target");
  prepare_fails("\"run\": \"plain_run\"", "\"run\": \"plain_walk\"", NULL,
                TESSERA_CORRUPT,
                "image 'generic': it does not define 'plain_walk'");
  tessera_error error = {0};
  tessera_program *program = NULL;
  CHECK_EQ(tessera_program_prepare(NULL, NULL, &program, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error.message, "bundle is NULL");
  tessera_program_destroy(NULL);
  CHECK(tessera_program_variant(NULL) == NULL);
}

// An image that is an ELF file by its first bytes only.
static void test_broken_image(void) {
  synthetic written;
  synthetic_init(&written, KERNEL_IMAGE, 3);
  written.image.size = 64;
  synthetic_manifest(&written);
  synthetic_folder(&written, place("broken"));
  tessera_bundle *bundle = open_ok(place("broken"));
  tessera_device *device = NULL;
  tessera_program *program = NULL;
  tessera_error error = {0};
  CHECK_EQ(tessera_device_open("host", NULL, &device, &error), TESSERA_OK);
  CHECK_EQ(tessera_program_prepare(bundle, device, &program, &error),
           TESSERA_CORRUPT);
  CHECK(strstr(error.message, "cannot load 'kernels/host-generic.so': ") !=
        NULL);
  tessera_device_close(device);
  tessera_bundle_close(bundle);
  synthetic_fini(&written);
}

// Two programs of one bundle, and two bundles, side by side.
static void test_several(void) {
  make_folder("twin");
  tessera_bundle *bundles[2] = {open_ok(place("whole")), NULL};
  bundles[1] = open_ok(place("twin"));
  tessera_device *device = NULL;
  tessera_program *programs[4] = {NULL};
  CHECK_EQ(tessera_device_open("host", NULL, &device, NULL), TESSERA_OK);
  for (int i = 0; i < 4; ++i) {
    CHECK_EQ(
        tessera_program_prepare(bundles[i / 2], device, &programs[i], NULL),
        TESSERA_OK);
    CHECK_STR(tessera_program_variant(programs[i]), "generic");
  }
  for (int i = 0; i < 4; ++i) tessera_program_destroy(programs[i]);
  tessera_device_close(device);
  tessera_bundle_close(bundles[0]);
  tessera_bundle_close(bundles[1]);
}

// ---- Out of memory ----------------------------------------------------------

static tessera_status go_through(tessera_error *error) {
  tessera_bundle *bundle = NULL;
  tessera_device *device = NULL;
  tessera_program *program = NULL;
  tessera_device_options options = {.size = sizeof(options), .thread_count = 2};
  tessera_status status =
      tessera_bundle_open(place("whole"), NULL, &bundle, error);
  if (status == TESSERA_OK) {
    status = tessera_device_open("host", &options, &device, error);
  }
  if (status == TESSERA_OK) {
    status = tessera_program_prepare(bundle, device, &program, error);
  }
  tessera_program *copy = NULL;
  if (status == TESSERA_OK) {
    status = tessera_program_copy(program, tessera_bundle_layer(bundle, 0),
                                  &copy, error);
  }
  tessera_program_destroy(copy);
  tessera_program_destroy(program);
  tessera_device_close(device);
  tessera_bundle_close(bundle);
  return status;
}

static void test_out_of_memory(void) {
  for (uint64_t nth = 1; nth < 1000; ++nth) {
    tessera_error error = {0};
    (void)tsr_memory_fail_at(nth);
    tessera_status status = go_through(&error);
    uint64_t seen = tsr_memory_fail_at(0);
    if (seen < nth) {
      CHECK_EQ(status, TESSERA_OK);
      CHECK(nth > 10);
      return;
    }
    CHECK_EQ(status, TESSERA_OUT_OF_MEMORY);
    CHECK(strstr(error.message, "out of memory") != NULL);
  }
  CHECK(false);  // the end was never reached
}

static int count_descriptors(void) {
  int count = 0;
  for (int i = 0; i < 256; ++i) count += fcntl(i, F_GETFD) >= 0;
  return count;
}

int main(void) {
  int descriptors = count_descriptors();
  (void)snprintf(folder, sizeof(folder), "runtime_open.XXXXXX");
  if (mkdtemp(folder) == NULL) return 1;
  test_queries();
  test_bad_calls();
  test_folders();
  test_replaced();
  test_devices();
  test_programs();
  test_broken_image();
  test_several();
  test_out_of_memory();
  CHECK_EQ(count_descriptors(), descriptors);
  tsr_error error = {0};
  CHECK_EQ(tsr_path_remove(folder, &error), TSR_OK);
  return test_finish();
}

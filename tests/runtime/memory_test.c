// SPDX-License-Identifier: Apache-2.0
// Memory and timers through a device, as a caller meets them on the host: there
// they are the caller's own, with the same checks as anywhere.
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "tessera/tessera.h"
#include "test.h"

static tessera_device *open_host(void) {
  tessera_device *device = NULL;
  tessera_error error;
  const tessera_device_options options = {.size = sizeof(options),
                                          .thread_count = 1};
  CHECK_EQ(tessera_device_open("host", &options, &device, &error), TESSERA_OK);
  return device;
}

static void test_memory_is_aligned_and_holds_what_is_written(void) {
  tessera_device *device = open_host();
  tessera_error error;
  void *a = NULL;
  void *b = NULL;
  char out[5] = "";
  CHECK_EQ(tessera_device_allocate(device, 5, &a, &error), TESSERA_OK);
  CHECK_EQ(tessera_device_allocate(device, 5, &b, &error), TESSERA_OK);
  CHECK_EQ((uintptr_t)a % 256, 0);
  CHECK_EQ(tessera_device_write(device, a, "abcd", 5, NULL, &error),
           TESSERA_OK);
  CHECK_EQ(tessera_device_copy(device, b, a, 5, NULL, &error), TESSERA_OK);
  CHECK_EQ(tessera_device_read(device, out, b, 5, NULL, &error), TESSERA_OK);
  CHECK_STR(out, "abcd");
  CHECK_EQ(tessera_device_synchronize(device, NULL, &error), TESSERA_OK);
  tessera_device_free(device, a);
  tessera_device_free(device, b);
  tessera_device_free(device, NULL);
  tessera_device_close(device);
}

static void test_nothing_is_allocated_for_no_bytes(void) {
  tessera_device *device = open_host();
  tessera_error error;
  void *memory = &error;
  CHECK_EQ(tessera_device_allocate(device, 0, &memory, &error), TESSERA_OK);
  CHECK(memory == NULL);
  CHECK_EQ(tessera_device_allocate(device, SIZE_MAX, &memory, &error),
           TESSERA_OUT_OF_MEMORY);
  CHECK(memory == NULL);
  CHECK_EQ(tessera_device_write(device, NULL, NULL, 0, NULL, &error),
           TESSERA_OK);
  tessera_device_close(device);
}

static void test_misuse_is_named(void) {
  tessera_device *device = open_host();
  tessera_error error;
  tessera_timer *timer = NULL;
  double seconds;
  size_t size;
  char byte = 0;
  CHECK_EQ(tessera_device_allocate(NULL, 1, NULL, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error.message, "device is NULL");
  CHECK_EQ(tessera_device_read(device, NULL, &byte, 1, NULL, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error.message, "destination is NULL");
  CHECK_EQ(tessera_device_write(device, &byte, NULL, 1, NULL, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error.message, "source is NULL");
  CHECK_EQ(tessera_device_synchronize(device, &byte, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error.message, "stream is not NULL, but the host has no streams");
  CHECK_EQ(tessera_timer_start(NULL, NULL, &error), TESSERA_INVALID_ARGUMENT);
  CHECK_EQ(tessera_timer_create(device, NULL, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_EQ(tessera_timer_create(device, &timer, &error), TESSERA_OK);
  CHECK_EQ(tessera_timer_stop(timer, &byte, &error), TESSERA_INVALID_ARGUMENT);
  CHECK_EQ(tessera_timer_read(timer, NULL, &error), TESSERA_INVALID_ARGUMENT);
  CHECK_EQ(tessera_timer_read(NULL, &seconds, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_EQ(tessera_program_memory(NULL, device, &size, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error.message, "bundle is NULL");
  CHECK_EQ(tessera_workspace_init(NULL, NULL, 0, NULL, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_EQ(tessera_device_open("host", NULL, NULL, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error.message, "out_device is NULL");
  CHECK_EQ(tessera_program_prepare(NULL, device, NULL, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error.message, "out_program is NULL");
  CHECK_EQ(tessera_program_copy(NULL, NULL, NULL, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error.message, "out_program is NULL");
  tessera_timer_destroy(timer);
  tessera_timer_destroy(NULL);
  tessera_device_close(device);
}

static void test_timers_measure(void) {
  tessera_device *device = open_host();
  tessera_timer *timer = NULL;
  tessera_error error;
  double seconds = 0.0;
  const struct timespec pause = {0, 2000000};
  CHECK_EQ(tessera_timer_create(device, &timer, &error), TESSERA_OK);
  CHECK_EQ(tessera_timer_start(timer, NULL, &error), TESSERA_OK);
  (void)nanosleep(&pause, NULL);
  CHECK_EQ(tessera_timer_stop(timer, NULL, &error), TESSERA_OK);
  CHECK_EQ(tessera_timer_read(timer, &seconds, &error), TESSERA_OK);
  CHECK(seconds >= 2e-3);
  CHECK(seconds < 10.0);
  tessera_timer_destroy(timer);
  tessera_device_close(device);
}

int main(void) {
  test_memory_is_aligned_and_holds_what_is_written();
  test_nothing_is_allocated_for_no_bytes();
  test_misuse_is_named();
  test_timers_measure();
  return test_finish();
}

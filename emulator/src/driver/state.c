// SPDX-License-Identifier: Apache-2.0
// What the driver as a whole remembers: configuration, devices, threads,
// profiles. Started by cuInit, forgotten by tessera_emu_reset.
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "driver/driver.h"

enum { PROFILES_MAX = 4096, PROFILES_FIRST = 16 };

tsr_driver tsr_the;

CUresult tsr_result_of(tsr_status status) {
  switch (status) {
    case TSR_OK:
      return CUDA_SUCCESS;
    case TSR_INVALID_ARGUMENT:
      return CUDA_ERROR_INVALID_VALUE;
    case TSR_OUT_OF_MEMORY:
      return CUDA_ERROR_OUT_OF_MEMORY;
    case TSR_UNSUPPORTED:
      return CUDA_ERROR_NOT_SUPPORTED;
    case TSR_IO:
      return CUDA_ERROR_OPERATING_SYSTEM;
    default:
      return CUDA_ERROR_UNKNOWN;
  }
}

uint64_t tsr_driver_choice(void) {
  uint64_t z = tsr_the.config.seed * UINT64_C(0xd1342543de82ef95) +
               ++tsr_the.next_choice * UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

// --- Threads ----------------------------------------------------------------

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool key_made;

static void clear_stack(tsr_thread *thread) {
  while (thread->depth > 0) {
    CUcontext context = thread->stack[--thread->depth];
    if (context != NULL) tsr_ctx_release(context);
  }
}

static void end_thread(void *data) {
  tsr_thread *thread = data;
  tsr_driver_lock();
  clear_stack(thread);
  tsr_stream_disown(thread);
  *thread->link = thread->next;
  if (thread->next != NULL) thread->next->link = thread->link;
  tsr_driver_unlock();
  tsr_free(thread);
}

static void make_key(void) {
  key_made = pthread_key_create(&key, end_thread) == 0;
}

tsr_thread *tsr_thread_get(void) {
  (void)pthread_once(&key_once, make_key);
  if (!key_made) return NULL;
  tsr_thread *thread = pthread_getspecific(key);
  if (thread != NULL) return thread;
  thread = tsr_calloc(1, sizeof(*thread));
  if (thread == NULL) return NULL;
  if (pthread_setspecific(key, thread) != 0) {
    tsr_free(thread);
    return NULL;
  }
  thread->next = tsr_the.threads;
  thread->link = &tsr_the.threads;
  if (thread->next != NULL) thread->next->link = &thread->next;
  tsr_the.threads = thread;
  return thread;
}

// --- Configuration ----------------------------------------------------------

static bool choose_devices(const char *names) {
  tsr_device chosen[TSR_DEVICES_MAX] = {{0}};
  uint32_t count = 0;
  while (*names != '\0') {
    char key_text[32];
    size_t size = strcspn(names, ",");
    if (size >= sizeof(key_text) || count == TSR_DEVICES_MAX) return false;
    memcpy(key_text, names, size);
    key_text[size] = '\0';
    const tsr_device_model *model = tsr_device_find(key_text);
    if (model == NULL) return false;
    chosen[count++].model = model;
    names += size;
    if (*names == ',') ++names;
  }
  if (count == 0) return false;
  memcpy(tsr_the.devices, chosen, sizeof(chosen));
  tsr_the.device_count = count;
  return true;
}

// "cuMemAlloc:3:2,cuLaunchKernel:1:719".
static bool choose_failures(const char *text) {
  while (*text != '\0') {
    size_t name = strcspn(text, ":,");
    if (text[name] != ':') return false;
    char *end;
    unsigned long long nth = strtoull(text + name + 1, &end, 10);
    if (*end != ':' || nth == 0) return false;
    long result = strtol(end + 1, &end, 10);
    if ((*end != ',' && *end != '\0') || result <= 0 || result > 999) {
      return false;
    }
    if (tsr_calls_fail(text, name, nth, (int)result) != 0) return false;
    text = *end == ',' ? end + 1 : end;
  }
  return true;
}

static char *environment_copy(const char *name) {
  const char *value = getenv(name);
  return value == NULL || *value == '\0' ? NULL : tsr_strdup(value);
}

void tsr_driver_configure(void) {
  if (tsr_the.configured) return;
  tsr_the.configured = true;
  tsr_error error = {0};
  tsr_config_defaults(&tsr_the.config);
  tsr_the.bad_environment =
      tsr_config_from_environment(&tsr_the.config, &error) != TSR_OK;
  tsr_the.log_path = environment_copy("TESSERA_EMU_LOG");
  tsr_the.profile_path = environment_copy("TESSERA_EMU_PROFILE_LOG");
  tsr_the.print_path = environment_copy("TESSERA_EMU_PRINTF");
  const char *devices = getenv("TESSERA_EMU_DEVICE");
  if (devices != NULL && !choose_devices(devices)) {
    tsr_the.bad_environment = true;
    (void)tsr_error_set(&error, TSR_INVALID_ARGUMENT,
                        "TESSERA_EMU_DEVICE: no such device in '%s'", devices);
  }
  const char *failures = getenv("TESSERA_EMU_FAIL");
  if (failures != NULL && !choose_failures(failures)) {
    tsr_the.bad_environment = true;
    (void)tsr_error_set(&error, TSR_INVALID_ARGUMENT,
                        "TESSERA_EMU_FAIL: '%s' is not name:nth:result,...",
                        failures);
  }
  if (tsr_the.bad_environment) tsr_driver_log("%s", error.message);
}

// --- Start and stop ---------------------------------------------------------

CUresult tsr_driver_start(void) {
  if (tsr_the.initialised) return CUDA_SUCCESS;
  if (tsr_the.bad_environment) return CUDA_ERROR_INVALID_VALUE;
  if (tsr_the.device_count == 0 && !choose_devices("h100")) {
    return CUDA_ERROR_NO_DEVICE;
  }
  if (tsr_the.report == NULL) {
    tsr_error error = {0};
    tsr_status status = tsr_report_create(&tsr_the.report, &error);
    if (status != TSR_OK) return tsr_result_of(status);
    tsr_report_set_log(tsr_the.report, tsr_the.log_path);
    tsr_report_set_output(tsr_the.report, tsr_the.print_path);
  }
  tsr_the.initialised = true;
  return CUDA_SUCCESS;
}

static void destroy_objects(void) {
  void *object;
  while ((object = tsr_object_any(TSR_OBJECT_LINK, NULL)) != NULL) {
    tsr_link_destroy(object);
  }
  while ((object = tsr_object_any(TSR_OBJECT_CONTEXT, NULL)) != NULL) {
    tsr_ctx_destroy(object);
  }
  while ((object = tsr_object_any(TSR_OBJECT_EXEC, NULL)) != NULL) {
    tsr_exec_destroy(object);
  }
  while ((object = tsr_object_any(TSR_OBJECT_GRAPH, NULL)) != NULL) {
    tsr_graph_destroy(object);
  }
  while ((object = tsr_object_any(TSR_OBJECT_EVENT, NULL)) != NULL) {
    tsr_object_remove(object);
    tsr_event_release(object);
  }
  while ((object = tsr_object_any(TSR_OBJECT_LIBRARY, NULL)) != NULL) {
    tsr_library_destroy(object);
  }
  while ((object = tsr_object_any(TSR_OBJECT_POOL, NULL)) != NULL) {
    tsr_object_remove(object);
    tsr_free(object);
  }
}

void tsr_driver_stop(void) {
  destroy_objects();
  tsr_memory_free_all(NULL);
  for (tsr_thread *at = tsr_the.threads; at != NULL; at = at->next) {
    clear_stack(at);
    at->capture_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  }
  for (uint32_t i = 0; i < tsr_the.device_count; ++i) {
    tsr_heap_destroy(tsr_the.devices[i].heap);
  }
  tsr_report_destroy(tsr_the.report);
  tsr_free(tsr_the.profiles);
  tsr_free(tsr_the.memories);
  tsr_driver fresh = {.configured = tsr_the.configured,
                      .bad_environment = tsr_the.bad_environment,
                      .config = tsr_the.config,
                      .log_path = tsr_the.log_path,
                      .profile_path = tsr_the.profile_path,
                      .print_path = tsr_the.print_path,
                      .threads = tsr_the.threads};
  // The devices of the environment come back, not those of a test before.
  tsr_the = fresh;
  const char *devices = getenv("TESSERA_EMU_DEVICE");
  if (devices != NULL) (void)choose_devices(devices);
  tsr_calls_clear();
}

// --- Log and profiles -------------------------------------------------------

static void append_file(const char *path, const char *text, size_t size) {
  int file = strcmp(path, "-") == 0
                 ? STDERR_FILENO
                 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0) return;  // a log that cannot be written is no error
  while (size > 0) {
    ssize_t done = write(file, text, size);
    if (done <= 0) break;
    text += done;
    size -= (size_t)done;
  }
  if (file != STDERR_FILENO) (void)close(file);
}

void tsr_driver_log(const char *format, ...) {
  if (tsr_the.log_path == NULL) return;
  char line[1024] = "tessera-cuda-emu: ";
  size_t used = strlen(line);
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(line + used, sizeof(line) - used - 1, format, arguments);
  va_end(arguments);
  used = strlen(line);
  line[used++] = '\n';
  append_file(tsr_the.log_path, line, used);
}

static void put_traffic(tsr_buffer *out, const char *name,
                        const tessera_emu_traffic *traffic) {
  tsr_buffer_printf(
      out,
      ",\"%s\":{\"instructions\":%" PRIu64 ",\"bytes\":%" PRIu64
      ",\"transactions\":%" PRIu64 ",\"ideal\":%" PRIu64 ",\"width\":[%" PRIu64
      ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]}",
      name, traffic->instructions, traffic->bytes, traffic->transactions,
      traffic->ideal, traffic->width[0], traffic->width[1], traffic->width[2],
      traffic->width[3], traffic->width[4]);
}

static void put_classes(tsr_buffer *out, const tessera_emu_profile *profile) {
  static const char *const names[TESSERA_EMU_CLASS_COUNT] = {
      "integer", "float",     "convert", "load",    "store",      "atomic",
      "matrix",  "matrix_io", "async",   "barrier", "collective", "control"};
  tsr_buffer_append_string(out, ",\"classes\":{");
  for (uint32_t i = 0; i < TESSERA_EMU_CLASS_COUNT; ++i) {
    tsr_buffer_printf(out, "%s\"%s\":%" PRIu64, i == 0 ? "" : ",", names[i],
                      profile->by_class[i]);
  }
  tsr_buffer_append_string(out, "},\"matrix\":{");
  for (uint32_t i = 0; i < profile->matrix_count; ++i) {
    const tessera_emu_matrix_count *at = &profile->matrix[i];
    tsr_buffer_append_string(out, i == 0 ? "" : ",");
    tsr_buffer_append_json(out, at->name, strlen(at->name));
    tsr_buffer_printf(out, ":%" PRIu64, at->count);
  }
  tsr_buffer_append_string(out, "}");
}

static void write_profile(const char *path, const tessera_emu_profile *p) {
  tsr_buffer out;
  tsr_buffer_init(&out);
  tsr_buffer_append_string(&out, "{\"kernel\":");
  tsr_buffer_append_json(&out, p->kernel, strlen(p->kernel));
  tsr_buffer_printf(&out,
                    ",\"launch\":%" PRIu64
                    ",\"grid\":[%u,%u,%u],\"block\":[%u,%u,%u],"
                    "\"shared_bytes\":%u,\"warp_instructions\":%" PRIu64
                    ",\"thread_instructions\":%" PRIu64,
                    p->launch, p->grid[0], p->grid[1], p->grid[2], p->block[0],
                    p->block[1], p->block[2], p->shared_bytes,
                    p->warp_instructions, p->thread_instructions);
  put_classes(&out, p);
  const struct {
    const char *name;
    const tessera_emu_traffic *traffic;
  } traffics[] = {
      {"global_load", &p->global_load},
      {"global_store", &p->global_store},
      {"global_atomic", &p->global_atomic},
      {"shared_load", &p->shared_load},
      {"shared_store", &p->shared_store},
      {"shared_atomic", &p->shared_atomic},
      {"local_load", &p->local_load},
      {"local_store", &p->local_store},
      {"copy", &p->copy},
      {"copy_shared", &p->copy_shared},
      {"bulk_load", &p->bulk_load},
      {"bulk_store", &p->bulk_store},
  };
  for (size_t i = 0; i < sizeof(traffics) / sizeof(traffics[0]); ++i) {
    put_traffic(&out, traffics[i].name, traffics[i].traffic);
  }
  tsr_buffer_printf(&out,
                    ",\"barrier_waits\":%" PRIu64 ",\"mbarrier_waits\":%" PRIu64
                    ",\"host_seconds\":%.9f,\"modelled_seconds\":%.9f}\n",
                    p->barrier_waits, p->mbarrier_waits, p->host_seconds,
                    p->modelled_seconds);
  if (!out.failed) append_file(path, out.data, out.size);
  tsr_buffer_fini(&out);
}

// The ring grows to PROFILES_MAX entries; then the oldest goes.
static bool grow_profiles(void) {
  if (tsr_the.profile_count < tsr_the.profile_capacity) return true;
  if (tsr_the.profile_capacity == PROFILES_MAX) return false;
  uint32_t capacity = tsr_the.profile_capacity == 0
                          ? PROFILES_FIRST
                          : tsr_the.profile_capacity * 2;
  tessera_emu_profile *grown =
      tsr_realloc(tsr_the.profiles, capacity * sizeof(*grown));
  if (grown == NULL) return false;
  tsr_the.profiles = grown;
  tsr_the.profile_capacity = capacity;
  return true;
}

void tsr_driver_keep_profile(const tessera_emu_profile *profile) {
  if (tsr_the.config.profile == 0) return;
  if (tsr_the.profile_path != NULL) {
    write_profile(tsr_the.profile_path, profile);
  }
  if (grow_profiles()) {
    tsr_the.profiles[tsr_the.profile_count++] = *profile;
  } else if (tsr_the.profile_capacity == PROFILES_MAX) {
    tsr_the.profiles[tsr_the.profile_first] = *profile;
    tsr_the.profile_first = (tsr_the.profile_first + 1) % PROFILES_MAX;
  }
}

// --- cuda_emu.h -------------------------------------------------------------

void tessera_emu_get_config(tessera_emu_config *out_config) {
  if (out_config == NULL) return;
  tsr_driver_lock();
  tsr_driver_configure();
  size_t size = out_config->struct_size;
  tessera_emu_config config = tsr_the.config;
  if (size > sizeof(config)) size = sizeof(config);
  config.struct_size = out_config->struct_size;
  memcpy(out_config, &config, size);
  tsr_driver_unlock();
}

int tessera_emu_set_config(const tessera_emu_config *config) {
  if (config == NULL || config->struct_size < sizeof(size_t)) return -1;
  tsr_driver_lock();
  tsr_driver_configure();
  // Fields that the caller does not know keep their values.
  tessera_emu_config next = tsr_the.config;
  size_t size = config->struct_size;
  memcpy(&next, config, size < sizeof(next) ? size : sizeof(next));
  next.struct_size = sizeof(next);
  tsr_error error = {0};
  bool valid = tsr_config_check(&next, &error) == TSR_OK;
  if (valid) tsr_the.config = next;
  tsr_driver_unlock();
  return valid ? 0 : -1;
}

int tessera_emu_set_devices(const char *names) {
  if (names == NULL) return -1;
  tsr_driver_lock();
  tsr_driver_configure();
  bool done = !tsr_the.initialised && choose_devices(names);
  tsr_driver_unlock();
  return done ? 0 : -1;
}

void tessera_emu_reset(void) {
  tsr_driver_lock();
  tsr_driver_configure();
  tsr_driver_stop();
  tsr_driver_unlock();
}

size_t tessera_emu_finding_count(void) {
  tsr_driver_lock();
  size_t count = tsr_the.report == NULL ? 0 : tsr_report_count(tsr_the.report);
  tsr_driver_unlock();
  return count;
}

int tessera_emu_get_finding(size_t index, tessera_emu_finding *out_finding) {
  if (out_finding == NULL) return -1;
  tessera_emu_finding finding = {.struct_size = sizeof(finding)};
  tsr_driver_lock();
  bool found =
      tsr_the.report != NULL && tsr_report_get(tsr_the.report, index, &finding);
  tsr_driver_unlock();
  if (!found) return -1;
  size_t size = out_finding->struct_size;
  finding.struct_size = size;
  memcpy(out_finding, &finding,
         size < sizeof(finding) ? size : sizeof(finding));
  return 0;
}

void tessera_emu_clear_findings(void) {
  tsr_driver_lock();
  if (tsr_the.report != NULL) tsr_report_clear(tsr_the.report);
  tsr_driver_unlock();
}

size_t tessera_emu_profile_count(void) {
  tsr_driver_lock();
  size_t count = tsr_the.profile_count;
  tsr_driver_unlock();
  return count;
}

int tessera_emu_get_profile(size_t index, tessera_emu_profile *out_profile) {
  if (out_profile == NULL) return -1;
  tsr_driver_lock();
  bool found = index < tsr_the.profile_count;
  if (found) {
    uint32_t at = (tsr_the.profile_first + (uint32_t)index) % PROFILES_MAX;
    size_t size = out_profile->struct_size;
    size_t whole = sizeof(*out_profile);
    memcpy(out_profile, &tsr_the.profiles[at], size < whole ? size : whole);
    out_profile->struct_size = size;
  }
  tsr_driver_unlock();
  return found ? 0 : -1;
}

void tessera_emu_clear_profiles(void) {
  tsr_driver_lock();
  tsr_the.profile_count = 0;
  tsr_the.profile_first = 0;
  tsr_driver_unlock();
}

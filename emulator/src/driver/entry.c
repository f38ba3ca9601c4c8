// SPDX-License-Identifier: Apache-2.0
// The exported functions: each takes the lock, counts the call, lets a test
// make it fail, refuses what is not possible in the present state and then
// calls the implementation. Also cuGetProcAddress, which hands them out.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver/driver.h"

#define EXPORT __attribute__((visibility("default")))

enum { FREE, LOOSE, BOUND };  // functions.def's |check|
enum { NONE, PTSZ, PTDS };    // functions.def's |stream|

typedef enum function_id {
#define TSR_CU(name, suffix, ...) ID_##name##suffix,
#define TSR_CU0(name, suffix, ...) ID_##name##suffix,
#define TSR_CUN(name, suffix, ...) ID_##name##suffix,
#include "driver/functions.def"
#undef TSR_CU
#undef TSR_CU0
#undef TSR_CUN
  ID_COUNT
} function_id;

typedef struct function_fact {
  const char *name;
  int since, check, stream;
} function_fact;

static const function_fact facts[ID_COUNT] = {
#define TSR_CU(name, suffix, since, stream, check, ...) \
  {#name, since, check, stream},
#define TSR_CU0(name, suffix, since, stream, check) \
  {#name, since, check, stream},
#define TSR_CUN(name, suffix, since, stream, check) \
  {#name, since, check, stream},
#include "driver/functions.def"
#undef TSR_CU
#undef TSR_CU0
#undef TSR_CUN
};

typedef struct injection {
  function_id name;  // the first variant's
  uint64_t left;     // calls until it happens
  int result;
} injection;

enum { INJECTIONS_MAX = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t calls[ID_COUNT];  // of the first variant of each name
static injection injections[INJECTIONS_MAX];
static uint32_t injection_count;

void tsr_driver_lock(void) {
  (void)pthread_mutex_lock(&lock);
}

void tsr_driver_unlock(void) {
  (void)pthread_mutex_unlock(&lock);
}

void tsr_driver_wait(void) {
  (void)pthread_cond_wait(&changed, &lock);
}

void tsr_driver_wake(void) {
  (void)pthread_cond_broadcast(&changed);
}

// --- Counting and failing ---------------------------------------------------

// Variants of a function stand next to each other.
static function_id first_variant(function_id id) {
  while (id > 0 && strcmp(facts[id - 1].name, facts[id].name) == 0) --id;
  return id;
}

static function_id find_name(const char *name, size_t size) {
  for (function_id id = 0; id < ID_COUNT; ++id) {
    if (strlen(facts[id].name) == size &&
        memcmp(facts[id].name, name, size) == 0) {
      return id;
    }
  }
  return ID_COUNT;
}

static CUresult injected(function_id name) {
  for (uint32_t i = 0; i < injection_count; ++i) {
    if (injections[i].name != name || --injections[i].left > 0) continue;
    int result = injections[i].result;
    injections[i] = injections[--injection_count];
    return (CUresult)result;
  }
  return CUDA_SUCCESS;
}

int tsr_calls_fail(const char *name, size_t size, uint64_t nth, int result) {
  function_id id = find_name(name, size);
  if (id == ID_COUNT) return -1;
  for (uint32_t i = 0; i < injection_count; ++i) {
    if (injections[i].name != id) continue;
    injections[i] = injections[--injection_count];
    break;
  }
  if (nth == 0 || result == 0) return 0;
  if (injection_count == INJECTIONS_MAX) return -1;
  injections[injection_count++] = (injection){id, nth, result};
  return 0;
}

int tessera_emu_fail(const char *name, uint64_t nth, int result) {
  if (name == NULL) return -1;
  tsr_driver_lock();
  int failed = tsr_calls_fail(name, strlen(name), nth, result);
  tsr_driver_unlock();
  return failed;
}

uint64_t tessera_emu_call_count(const char *name) {
  if (name == NULL) return 0;
  function_id id = find_name(name, strlen(name));
  if (id == ID_COUNT) return 0;
  tsr_driver_lock();
  uint64_t count = calls[id];
  tsr_driver_unlock();
  return count;
}

void tsr_calls_clear(void) {
  memset(calls, 0, sizeof(calls));
}

void tessera_emu_clear_calls(void) {
  tsr_driver_lock();
  tsr_calls_clear();
  tsr_driver_unlock();
}

// --- The wrapper ------------------------------------------------------------

static CUresult admit(function_id id, bool per_thread) {
  function_id name = first_variant(id);
  ++calls[name];
  tsr_driver_configure();
  CUresult result = injected(name);
  if (result != CUDA_SUCCESS) return result;
  tsr_thread *thread = tsr_thread_get();
  if (thread == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
  thread->per_thread = per_thread;
  if (facts[id].check == FREE) return CUDA_SUCCESS;
  if (thread->in_callback) return CUDA_ERROR_NOT_PERMITTED;
  if (!tsr_the.initialised) return CUDA_ERROR_NOT_INITIALIZED;
  if (facts[id].check == BOUND && thread->depth > 0) {
    CUcontext context = thread->stack[thread->depth - 1];
    if (context != NULL && !context->destroyed) return context->fault;
  }
  return CUDA_SUCCESS;
}

// Holds the lock when it returns CUDA_SUCCESS.
static CUresult enter(function_id id, bool per_thread) {
  tsr_driver_lock();
  CUresult result = admit(id, per_thread);
  if (result != CUDA_SUCCESS) tsr_driver_unlock();
  return result;
}

#define WRAP(symbol, id, impl, per_thread, ...)    \
  EXPORT CUresult symbol(TSR_PARAMS(__VA_ARGS__)); \
  CUresult symbol(TSR_PARAMS(__VA_ARGS__)) {       \
    CUresult result = enter(id, per_thread);       \
    if (result != CUDA_SUCCESS) return result;     \
    result = impl(TSR_ARGS(__VA_ARGS__));          \
    tsr_driver_unlock();                           \
    return result;                                 \
  }
#define WRAP0(symbol, id, impl)                \
  EXPORT CUresult symbol(void);                \
  CUresult symbol(void) {                      \
    CUresult result = enter(id, false);        \
    if (result != CUDA_SUCCESS) return result; \
    result = impl();                           \
    tsr_driver_unlock();                       \
    return result;                             \
  }
#define WRAP_NONE(base, ...)
#define WRAP_PTSZ(base, ...) \
  WRAP(base##_ptsz, ID_##base, tsr_##base, true, __VA_ARGS__)
#define WRAP_PTDS(base, ...) \
  WRAP(base##_ptds, ID_##base, tsr_##base, true, __VA_ARGS__)

static CUresult unsupported(void) {
  return CUDA_ERROR_NOT_SUPPORTED;
}

#define TSR_CU(name, suffix, since, stream, check, ...)            \
  WRAP(name##suffix, ID_##name##suffix, tsr_##name##suffix, false, \
       __VA_ARGS__)                                                \
  WRAP_##stream(name##suffix, __VA_ARGS__)
#define TSR_CU0(name, suffix, since, stream, check) \
  WRAP0(name##suffix, ID_##name##suffix, tsr_##name##suffix)
#define TSR_CUN(name, suffix, since, stream, check) \
  WRAP0(name##suffix, ID_##name##suffix, unsupported)
#include "driver/functions.def"
#undef TSR_CU
#undef TSR_CU0
#undef TSR_CUN

// --- cuGetProcAddress -------------------------------------------------------

typedef void (*any_function)(void);

typedef struct function_symbols {
  any_function legacy, per_thread;
} function_symbols;

#define SYMBOLS_NONE(base) \
  { (any_function)(base), (any_function)(base) }
#define SYMBOLS_PTSZ(base) \
  { (any_function)(base), (any_function)(base##_ptsz) }
#define SYMBOLS_PTDS(base) \
  { (any_function)(base), (any_function)(base##_ptds) }

static const function_symbols symbols[ID_COUNT] = {
#define TSR_CU(name, suffix, since, stream, check, ...) \
  SYMBOLS_##stream(name##suffix),
#define TSR_CU0(name, suffix, since, stream, check) SYMBOLS_NONE(name##suffix),
#define TSR_CUN(name, suffix, since, stream, check) SYMBOLS_NONE(name##suffix),
#include "driver/functions.def"
#undef TSR_CU
#undef TSR_CU0
#undef TSR_CUN
};

// A function's address as the object pointer that the interface gives.
static void put_function(void **out, any_function function) {
  memcpy(out, &function, sizeof(function));
}

// |version|: the newest variant that is not newer.
static CUdriverProcAddressQueryResult look_up(const char *name, int version,
                                              uint64_t flags, void **out) {
  *out = NULL;
  function_id id = find_name(name, strlen(name));
  if (id == ID_COUNT) return CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  function_id best = ID_COUNT;
  for (; id < ID_COUNT && strcmp(facts[id].name, name) == 0; ++id) {
    if (facts[id].since > version) continue;
    if (best == ID_COUNT || facts[id].since >= facts[best].since) best = id;
  }
  if (best == ID_COUNT) return CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
  // The variants for a thread's own default stream came with CUDA 7.0.
  bool per_thread =
      (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) != 0;
  put_function(out,
               per_thread ? symbols[best].per_thread : symbols[best].legacy);
  return CU_GET_PROC_ADDRESS_SUCCESS;
}

CUresult tsr_cuGetProcAddress_v2(const char *symbol, void **pfn, int version,
                                 uint64_t flags,
                                 CUdriverProcAddressQueryResult *status) {
  if (symbol == NULL || pfn == NULL || flags > 2 || version < 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  CUdriverProcAddressQueryResult found = look_up(symbol, version, flags, pfn);
  if (status != NULL) *status = found;
  // With a place for the status, its value tells; without, the result has to.
  return found == CU_GET_PROC_ADDRESS_SUCCESS || status != NULL
             ? CUDA_SUCCESS
             : CUDA_ERROR_NOT_FOUND;
}

CUresult tsr_cuGetProcAddress(const char *symbol, void **pfn, int version,
                              uint64_t flags) {
  return tsr_cuGetProcAddress_v2(symbol, pfn, version, flags, NULL);
}

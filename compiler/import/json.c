// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include <pthread.h>

#include "base/memory.h"

// jansson's own error code calls some failed allocations syntax errors, and
// some go unnoticed.
static _Thread_local bool out_of_memory;

static void *allocate(size_t size) {
  void *memory = tsr_malloc(size);
  if (memory == NULL) out_of_memory = true;
  return memory;
}

static void set_allocator(void) {
  json_set_alloc_funcs(allocate, tsr_free);
}

tsr_status tsr_json_parse_object(const char *what, const char *text,
                                 size_t size, json_t **out_object,
                                 tsr_error *error) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void)pthread_once(&once, set_allocator);
  *out_object = NULL;
  out_of_memory = false;
  json_error_t problem = {.line = 0};
  json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
  // Even a result is not to be trusted then: a key may be lacking.
  if (out_of_memory) {
    json_decref(root);
    return tsr_error_out_of_memory(error);
  }
  if (root == NULL) {
    return tsr_error_set(error, TSR_CORRUPT, "%s: JSON, line %d, column %d: %s",
                         what, problem.line, problem.column, problem.text);
  }
  if (!json_is_object(root)) {
    json_decref(root);
    return tsr_error_set(error, TSR_CORRUPT, "%s: not a JSON object", what);
  }
  *out_object = root;
  return TSR_OK;
}

// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include <pthread.h>

#include "base/memory.h"

static void set_allocator(void) {
  json_set_alloc_funcs(tsr_malloc, tsr_free);
}

tsr_status tsr_json_parse_object(const char *what, const char *text,
                                 size_t size, json_t **out_object,
                                 tsr_error *error) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void)pthread_once(&once, set_allocator);
  *out_object = NULL;
  json_error_t problem = {.line = 0};
  json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
  if (root == NULL) {
    if (json_error_code(&problem) == json_error_out_of_memory) {
      return tsr_error_out_of_memory(error);
    }
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

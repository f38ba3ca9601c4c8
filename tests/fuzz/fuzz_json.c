// SPDX-License-Identifier: Apache-2.0
// The runtime's JSON reader: any bytes. What it accepts is walked, so that a
// sanitizer sees every node and string.
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "runtime/src/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(const tsr_json *node) {
  size_t total = node->type == TSR_JSON_STRING ? strlen(node->string) : 1;
  if (node->key != NULL) {
    total += strlen(node->key);
    if (tsr_json_find(node->parent, node->key) != node) __builtin_trap();
  }
  for (const tsr_json *child = node->first; child != NULL;
       child = child->next) {
    total += walk(child);
  }
  return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tsr_arena arena = {0};
  tessera_error error = {0};
  const tsr_json *root = NULL;
  tessera_status status =
      tsr_json_parse(&arena, (const char *)data, size, &root, &error);
  if ((status == TESSERA_OK) != (root != NULL)) __builtin_trap();
  if ((status == TESSERA_OK) != (error.message[0] == '\0')) __builtin_trap();
  if (root != NULL) (void)walk(root);
  tsr_arena_fini(&arena);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Any bytes as config.json, against a checkpoint in which every matrix is
// 64 x 64: whatever plan comes out must be a correct one.
#include <stdlib.h>
#include <string.h>

#include "compiler/hf_config.h"
#include "frontend/frontend.h"
#include "fuzz.h"

static bool ends_with(const char *text, const char *tail) {
  size_t size = strlen(text);
  size_t tail_size = strlen(tail);
  return size >= tail_size && strcmp(text + size - tail_size, tail) == 0;
}

// Blocks 0 and 1 under the plain prefixes; q, k and v have biases, as have all
// layers of encoders.
static bool find(void *context, const char *name, uint64_t *out_rows,
                 uint64_t *out_columns) {
  (void)context;
  bool encoder = strncmp(name, "encoder.layer.", 14) == 0;
  if (!encoder && strncmp(name, "model.layers.", 13) != 0) return false;
  const char *block = name + (encoder ? 14 : 13);
  if ((block[0] != '0' && block[0] != '1') || block[1] != '.') return false;
  bool bias = ends_with(name, ".bias");
  if (bias && !encoder && strstr(name, "o_proj") != NULL) return false;
  if (bias && strstr(name, "mlp") != NULL) return false;
  *out_rows = 64;
  *out_columns = bias ? 1 : 64;
  return true;
}

static void check_plan(const tsr_buffer *text) {
  tsr_compilation *compilation = tsr_compilation_create();
  tsr_ast *ast = NULL;
  tsr_plan *plan = NULL;
  if (compilation == NULL) return;
  if (tsr_parse_text(compilation, "plan", ".", tsr_buffer_text(text),
                     text->size, &ast, NULL) != TSR_OK ||
      tsr_check(compilation, ast, &plan, NULL) != TSR_OK || plan == NULL ||
      plan->layer_count == 0) {
    __builtin_trap();
  }
  tsr_compilation_destroy(compilation);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tsr_buffer out;
  tsr_error error = {0};
  tsr_buffer_init(&out);
  const tsr_hf_model model = {.config = (const char *)data,
                              .config_size = size,
                              .name = "fuzz",
                              .weights_path = "model.safetensors",
                              .masks_format = TSR_MASK_PATCH,
                              .masks_path = "mask.npz",
                              .find = find};
  tsr_status status = tsr_hf_write_plan(&model, &out, &error);
  if (status == TSR_OK) {
    check_plan(&out);
  } else if (error.message[0] == '\0' || out.size != 0) {
    __builtin_trap();  // a failure says why and writes nothing
  }
  tsr_buffer_fini(&out);
  return 0;
}

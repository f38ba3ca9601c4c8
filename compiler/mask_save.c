// SPDX-License-Identifier: Apache-2.0
// Writes masks as PATCH publishes them, so that its tools, numpy and our own
// importer read one and the same file (docs/masks.md).
#include <string.h>

#include "base/memory.h"
#include "compiler/mask.h"
#include "compiler/npz.h"

static bool uses_norms(const tsr_mask *mask) {
  for (uint32_t i = 0; i < tsr_mask_tensor_count(mask); ++i) {
    if (tsr_mask_get_tensor(mask, i)->norms != NULL) return true;
  }
  return false;
}

static void append_pair(tsr_buffer *out, const char *key, const char *value) {
  tsr_buffer_append_json(out, key, strlen(key));
  tsr_buffer_append_string(out, ": ");
  tsr_buffer_append_json(out, value, strlen(value));
  tsr_buffer_append_string(out, ", ");
}

void tsr_mask_describe(const tsr_mask *mask, const char *model,
                       tsr_buffer *out) {
  tsr_mask_report total = tsr_mask_report_total(mask);
  bool mixed = total.tiles[TSR_KIND_DENSE] != 0;
  tsr_buffer_append_char(out, '{');
  append_pair(out, "repo", "");
  append_pair(out, "base_model", model);
  append_pair(out, "method", uses_norms(mask) ? "wanda" : "magnitude");
  append_pair(out, "variant", "one-shot");
  tsr_buffer_printf(out, "\"sparsity\": %.6f, ", tsr_mask_target(mask));
  append_pair(out, "pattern", mixed ? "Dense/2:4 tiles" : "2:4");
  append_pair(out, "format",
              "uint8 numpy.packbits of the row-major [out, in] mask, 1 = keep");
  tsr_buffer_printf(out, "\"measured_sparsity\": %.6f}",
                    tsr_mask_report_sparsity(&total));
}

static tsr_status add_tensor(const tsr_mask *mask, uint32_t index,
                             tsr_npz_writer *writer, tsr_error *error) {
  const tsr_mask_tensor *tensor = tsr_mask_get_tensor(mask, index);
  uint64_t size = tsr_mask_bits_size(mask, index);
  uint64_t two = 2;
  int64_t shape[2] = {tensor->rows, tensor->columns};
  tsr_buffer name;
  tsr_buffer_init(&name);
  tsr_buffer_printf(&name, "%s.__shape__", tensor->name);
  tsr_status status = tsr_buffer_status(&name, error);
  uint8_t *bits = tsr_malloc((size_t)size);
  if (status == TSR_OK && bits == NULL) status = tsr_error_out_of_memory(error);
  if (status == TSR_OK) status = tsr_mask_emit(mask, index, bits, error);
  if (status == TSR_OK) {
    status = tsr_npz_writer_add(writer, tensor->name, TSR_NPY_UINT8, 1, &size,
                                bits, error);
  }
  if (status == TSR_OK) {
    status = tsr_npz_writer_add(writer, tsr_buffer_text(&name), TSR_NPY_INT64,
                                1, &two, shape, error);
  }
  tsr_free(bits);
  tsr_buffer_fini(&name);
  return status;
}

tsr_status tsr_mask_save(const tsr_mask *mask, const char *path,
                         const char *model, tsr_error *error) {
  tsr_npz_writer *writer = NULL;
  tsr_buffer meta;
  tsr_buffer_init(&meta);
  tsr_mask_describe(mask, model, &meta);
  tsr_status status = tsr_buffer_status(&meta, error);
  if (status == TSR_OK) status = tsr_npz_writer_create(path, &writer, error);
  for (uint32_t i = 0; status == TSR_OK && i < tsr_mask_tensor_count(mask);
       ++i) {
    status = add_tensor(mask, i, writer, error);
  }
  if (status == TSR_OK) {
    status = tsr_npz_writer_add_text(writer, "__meta__", tsr_buffer_text(&meta),
                                     error);
  }
  if (status == TSR_OK) {
    status = tsr_npz_writer_commit(writer, error);
    writer = NULL;
  }
  tsr_npz_writer_close(writer);
  tsr_buffer_fini(&meta);
  return status;
}

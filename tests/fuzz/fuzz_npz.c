// SPDX-License-Identifier: Apache-2.0
// Any bytes as an npz archive, and as an npy array.
#include "base/hash.h"
#include "base/memory.h"
#include "compiler/npz.h"
#include "fuzz.h"

enum { MAX_READ = 1 << 20 };

static void read_member(const tsr_npz *npz, uint32_t index) {
  tsr_npy header;
  tsr_npy array;
  void *memory = NULL;
  char *text = NULL;
  if (tsr_npz_peek(npz, index, &header, NULL) != TSR_OK) return;
  if (header.data_size > MAX_READ) return;
  if (tsr_npz_read(npz, index, &array, &memory, NULL) == TSR_OK) {
    if (array.data_size != header.data_size) __builtin_trap();
    (void)tsr_hash_bytes(array.data, (size_t)array.data_size);
  }
  tsr_free(memory);
  if (tsr_npz_read_text(npz, index, &text, NULL) != TSR_OK && text != NULL) {
    __builtin_trap();
  }
  tsr_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tsr_npy array;
  if (tsr_npy_parse(data, size, &array, NULL) == TSR_OK) {
    (void)tsr_hash_bytes(array.data, (size_t)array.data_size);
  }
  tsr_npz *npz = NULL;
  tsr_error error = {.status = TSR_OK};
  tsr_status status = tsr_npz_open_memory("fuzz", data, size, &npz, &error);
  if ((status == TSR_OK) != (npz != NULL)) __builtin_trap();
  if (status != TSR_OK) return 0;
  for (uint32_t i = 0; i < tsr_npz_count(npz); ++i) read_member(npz, i);
  (void)tsr_npz_nearest(npz, "model.layers.0.weight");
  tsr_npz_close(npz);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Any bytes as a safetensors file: opening gives a status, and whatever opened
// can be read to the last element.
#include "base/hash.h"
#include "compiler/checkpoint.h"
#include "fuzz.h"

static void read_tensor(const tsr_tensor *tensor) {
  float values[64];
  tsr_dtype type;
  (void)tsr_hash_bytes(tensor->data, (size_t)tensor->size);
  if (!tsr_tensor_dtype(tensor, &type) || tensor->count == 0) return;
  uint64_t count = tensor->count < 64 ? tensor->count : 64;
  tsr_tensor_read(tensor, 0, count, values);
  tsr_tensor_read(tensor, tensor->count - count, count, values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tsr_checkpoint *checkpoint = NULL;
  tsr_error error = {.status = TSR_OK};
  tsr_status status =
      tsr_checkpoint_open_memory("fuzz", data, size, &checkpoint, &error);
  if ((status == TSR_OK) != (checkpoint != NULL)) __builtin_trap();
  if (status != TSR_OK) {
    if (error.status != status || error.message[0] == '\0') __builtin_trap();
    return 0;
  }
  for (uint32_t i = 0; i < tsr_checkpoint_count(checkpoint); ++i) {
    const tsr_tensor *tensor = tsr_checkpoint_tensor(checkpoint, i);
    if (tsr_checkpoint_find(checkpoint, tensor->name) != tensor) {
      __builtin_trap();
    }
    read_tensor(tensor);
  }
  (void)tsr_checkpoint_nearest(checkpoint, "model.layers.0.weight");
  tsr_checkpoint_close(checkpoint);
  return 0;
}

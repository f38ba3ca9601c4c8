// SPDX-License-Identifier: Apache-2.0
// One safetensors file: 8 bytes header size, a JSON header, the data. Format:
// github.com/huggingface/safetensors, README, "Format".
#ifndef COMPILER_IMPORT_SAFETENSORS_H_
#define COMPILER_IMPORT_SAFETENSORS_H_

#include "compiler/checkpoint.h"
#include "names.h"

typedef struct tsr_safetensors {
  char *path;           // for messages; owned
  tsr_map map;          // closed by the owner
  tsr_tensor *tensors;  // owned; in the order of the header
  uint32_t count;
  char *texts;  // owned; names and type names
  tsr_names names;
} tsr_safetensors;

// Checks and indexes |map|, which the file then uses (and does not close).
// |*out_file| is empty on failure. |out_file| must stay where it is: tensors
// point at its map.
TSR_MUST_USE tsr_status tsr_safetensors_open(const char *path, tsr_map map,
                                             tsr_safetensors *out_file,
                                             tsr_error *error);
void tsr_safetensors_close(tsr_safetensors *file);

#endif  // COMPILER_IMPORT_SAFETENSORS_H_

// SPDX-License-Identifier: Apache-2.0
// Activations between .npy files and what a layer computes with: float32,
// float16, float64, or uint16 holding bfloat16 bits in the file; the layer's
// own type in memory.
#ifndef TESSERA_ACTIVATIONS_H_
#define TESSERA_ACTIVATIONS_H_

#include "base/types.h"
#include "compiler/npy.h"

typedef struct tsr_activations {
  tsr_dtype type;
  void *data;  // [tokens, columns], 64-byte aligned, owned
  uint64_t tokens;
  uint64_t columns;
  // As in the file: the last is |columns|, the product of the others |tokens|.
  uint32_t rank;
  uint64_t shape[TSR_NPY_MAX_RANK];
} tsr_activations;

// Reads |path| and converts it to |type| (round to nearest even). Its last
// dimension must be |columns|; |what| names the matrix in messages. On failure
// |*out| is empty.
TSR_MUST_USE tsr_status tsr_activations_read(const char *path, const char *what,
                                             uint64_t columns, tsr_dtype type,
                                             tsr_activations *out,
                                             tsr_error *error);
// An array of zeros for the result: |like|'s tokens and leading dimensions.
TSR_MUST_USE tsr_status tsr_activations_create(const tsr_activations *like,
                                               uint64_t columns, tsr_dtype type,
                                               tsr_activations *out,
                                               tsr_error *error);
// Writes float32, or with |raw| the own type (bfloat16 as uint16 bits).
TSR_MUST_USE tsr_status tsr_activations_write(const tsr_activations *array,
                                              const char *path, bool raw,
                                              tsr_error *error);
void tsr_activations_fini(tsr_activations *array);

#endif  // TESSERA_ACTIVATIONS_H_

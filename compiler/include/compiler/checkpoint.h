// SPDX-License-Identifier: Apache-2.0
// Checkpoints in the safetensors format: one file, or shards behind a
// "*.safetensors.index.json". Files are mapped; headers are checked in full
// when opened (bounds, overlaps, sizes against shapes, duplicate names), so
// that a tensor's bytes can be used without further checks.
#ifndef COMPILER_CHECKPOINT_H_
#define COMPILER_CHECKPOINT_H_

#include "base/file.h"
#include "base/types.h"

enum { TSR_TENSOR_MAX_RANK = 8 };

// What an element is, as far as this compiler computes with it.
typedef enum tsr_element {
  TSR_ELEMENT_F32,
  TSR_ELEMENT_F16,
  TSR_ELEMENT_BF16,
  TSR_ELEMENT_U8,
  TSR_ELEMENT_I64,
  TSR_ELEMENT_OTHER,  // legal in a file; no reader of ours takes it
} tsr_element;

typedef struct tsr_tensor {
  const char *name;
  const char *type_name;  // as in the file: "BF16"
  tsr_element element;
  uint32_t rank;
  uint64_t shape[TSR_TENSOR_MAX_RANK];
  uint64_t count;       // product of the shape
  const uint8_t *data;  // row-major, little-endian; may be unaligned
  uint64_t size;        // bytes
  const tsr_map *map;   // that |data| lies in; NULL: the caller's memory
} tsr_tensor;

// Thread-safe for reading once open.
typedef struct tsr_checkpoint tsr_checkpoint;

// |path| is a .safetensors file, an index (.json), or a folder that holds
// "model.safetensors.index.json" or "model.safetensors". Messages name the
// file. |*out_checkpoint| is NULL on failure.
TSR_MUST_USE tsr_status tsr_checkpoint_open(const char *path,
                                            tsr_checkpoint **out_checkpoint,
                                            tsr_error *error);
// One safetensors file in memory, which must outlive the checkpoint.
TSR_MUST_USE tsr_status
tsr_checkpoint_open_memory(const char *name, const uint8_t *data, size_t size,
                           tsr_checkpoint **out_checkpoint, tsr_error *error);
void tsr_checkpoint_close(tsr_checkpoint *checkpoint);  // NULL is legal

// Path of the file (of an index: of shard |index|) as it was opened; NULL from
// the number of files on.
const char *tsr_checkpoint_file(const tsr_checkpoint *checkpoint,
                                uint32_t index);

// Tensors in the order of the file (of an index: sorted by name).
uint32_t tsr_checkpoint_count(const tsr_checkpoint *checkpoint);
// Borrowed from |checkpoint|.
const tsr_tensor *tsr_checkpoint_tensor(const tsr_checkpoint *checkpoint,
                                        uint32_t index);
// NULL when there is no such tensor.
const tsr_tensor *tsr_checkpoint_find(const tsr_checkpoint *checkpoint,
                                      const char *name);
// The name nearest to |name|, or NULL when none is near.
const char *tsr_checkpoint_nearest(const tsr_checkpoint *checkpoint,
                                   const char *name);

// True for F32, F16 and BF16, and then the type.
TSR_MUST_USE bool tsr_tensor_dtype(const tsr_tensor *tensor,
                                   tsr_dtype *out_dtype);
// Elements [first, first + count) of an F32, F16 or BF16 tensor, exactly.
void tsr_tensor_read(const tsr_tensor *tensor, uint64_t first, uint64_t count,
                     float *values);
// Bytes [offset, offset + size) of the tensor will not be read again soon.
void tsr_tensor_drop(const tsr_tensor *tensor, uint64_t offset, uint64_t size);

#endif  // COMPILER_CHECKPOINT_H_

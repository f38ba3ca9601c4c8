// SPDX-License-Identifier: Apache-2.0
// Writes bundles (docs/bundle.md) and reads back what an incremental compile
// needs of the previous one. Nothing here depends on the order of threads, on
// the clock or on where the bundle lies.
#ifndef COMPILER_BUNDLE_H_
#define COMPILER_BUNDLE_H_

#include "base/arena.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/hash.h"
#include "compiler/host_pack.h"
#include "compiler/import.h"
#include "compiler/nvidia_schedule.h"

enum {
  TSR_BUNDLE_VERSION = 1,
  TSR_STREAM_ALIGNMENT = 4096,
  TSR_SECTION_ALIGNMENT = 64,
  TSR_FAMILY_COUNT = 2,  // of tsr_target_family
};

// "host", "cuda": the words of manifests.
const char *tsr_family_name(tsr_target_family family);

// ---- weights.bin -----------------------------------------------------------

// A range of weights.bin. Size 0 with offset 0: absent.
typedef struct tsr_section {
  uint64_t offset;
  uint64_t size;
  tsr_hash hash;
} tsr_section;

// weights.bin while it is written, front to back, hashed on the way.
typedef struct tsr_packing tsr_packing;

TSR_MUST_USE tsr_status tsr_packing_create(const char *path,
                                           tsr_packing **out_archive,
                                           tsr_error *error);
// One section at a time: begin, append any number of times, end.
TSR_MUST_USE tsr_status tsr_packing_begin(tsr_packing *archive,
                                          size_t alignment, tsr_error *error);
TSR_MUST_USE tsr_status tsr_packing_append(tsr_packing *archive,
                                           const void *data, size_t size,
                                           tsr_error *error);
void tsr_packing_end(tsr_packing *archive, tsr_section *out_section);
// The three in one.
TSR_MUST_USE tsr_status tsr_packing_section(tsr_packing *archive,
                                            size_t alignment, const void *data,
                                            size_t size,
                                            tsr_section *out_section,
                                            tsr_error *error);
// Pads, commits and closes, whatever happens; gives the file's size and hash.
TSR_MUST_USE tsr_status tsr_packing_finish(tsr_packing *archive,
                                           uint64_t *out_size,
                                           tsr_hash *out_hash,
                                           tsr_error *error);
void tsr_packing_close(tsr_packing *archive);  // discards; NULL is legal

// ---- Layers ----------------------------------------------------------------

// What a layer's packed sections depend on, by name, so that a miss can say
// what changed.
typedef enum tsr_key_part {
  TSR_KEY_WEIGHTS,   // values and biases
  TSR_KEY_MASK,      // keep bits
  TSR_KEY_OPTIONS,   // tile, type, rules, schedule
  TSR_KEY_COMPILER,  // revision of the packer
  TSR_KEY_PART_COUNT
} tsr_key_part;

typedef struct tsr_layer_key {
  tsr_hash parts[TSR_KEY_PART_COUNT];
} tsr_layer_key;

// "weights", "mask", "options", "compiler".
const char *tsr_key_part_name(tsr_key_part part);

// What a layer is packed for: each family has its own traversal of the same
// grid. NULL: no target of that family.
typedef struct tsr_layer_schedule {
  const tsr_tile_grid *grid;
  const tsr_schedule *host;
  const tsr_nvidia_tables *cuda;
} tsr_layer_schedule;

bool tsr_layer_has(const tsr_layer_schedule *schedule,
                   tsr_target_family family);

// The options and compiler parts; the others come from tsr_matrix_hash.
void tsr_layer_key_init(const tsr_plan_layer *layer,
                        const tsr_layer_schedule *schedule,
                        tsr_layer_key *out_key);

// What one family has of a layer.
typedef struct tsr_packed_part {
  bool is_there;
  bool is_reused;  // the stream was copied
  tsr_section stream;
  tsr_section schedule;
  uint64_t padding;  // CUDA: bytes of the stream that the format does not
                     // promise (tsr_fragment_bytes)
} tsr_packed_part;

// The packed form of one layer, as the manifest tells it.
typedef struct tsr_packed_layer {
  uint32_t rows;
  uint32_t columns;
  uint64_t tiles[TSR_KIND_COUNT];
  uint64_t kept_weights;
  uint32_t workers;   // of the host's schedule
  uint32_t partials;  // likewise
  uint32_t steps;     // of the CUDA schedule
  tsr_layer_key key;
  tsr_section grid;
  tsr_section bias;  // of all families; absent without one
  tsr_packed_part parts[TSR_FAMILY_COUNT];
} tsr_packed_layer;

// What is known of a layer before it is packed: shape, tiles, schedules.
void tsr_packed_layer_init(const tsr_layer_schedule *schedule,
                           tsr_packed_layer *out_layer);
// Of the first family that there is: what the layer is said to take.
uint64_t tsr_packed_bytes(const tsr_packed_layer *layer);
// Every stream was copied from the previous bundle.
bool tsr_packed_is_reused(const tsr_packed_layer *layer);

// Called with the number of weights packed since the last call, for each family
// anew; TSR_OK to go on. NULL is legal.
typedef tsr_status (*tsr_pack_progress)(void *context, uint64_t weights,
                                        tsr_error *error);

typedef struct tsr_previous tsr_previous;

typedef struct tsr_pack_options {
  uint32_t threads;
  tsr_pack_progress progress;
  void *context;
  // Streams are copied from the layer of this name in there, unless they are
  // damaged or this is NULL.
  const tsr_previous *previous;
} tsr_pack_options;

// Packs |matrix| for every family that |schedule| has and appends its sections.
// Memory is bound by a few panels for each thread; the bytes do not depend on
// |threads|. The matrix is read once for each family: a stream is contiguous in
// an archive that is written front to back. Fills everything in |out_layer| but
// the key.
TSR_MUST_USE tsr_status tsr_packing_layer(
    tsr_packing *archive, const tsr_plan_layer *layer, const tsr_matrix *matrix,
    const tsr_layer_schedule *schedule, const tsr_pack_options *options,
    tsr_packed_layer *out_layer, tsr_error *error);

// ---- Manifest --------------------------------------------------------------

typedef struct tsr_bundle_input {
  const char *role;  // "weights", "masks"
  const char *path;  // as in the plan
  uint64_t size;
} tsr_bundle_input;

typedef struct tsr_bundle_file {
  const char *path;
  uint64_t size;
  tsr_hash hash;
} tsr_bundle_file;

// Of one CUDA kernel in one cubin, as the assembler told.
typedef struct tsr_bundle_resources {
  uint32_t kernel;  // into tsr_bundle.cuda_kernels
  uint32_t registers;
  uint32_t spill_stores, spill_loads;  // bytes
  uint32_t stack;
  uint32_t shared_static;
  uint32_t blocks;      // resident on a multiprocessor
  const char *limiter;  // of them
} tsr_bundle_resources;

typedef struct tsr_bundle_image {
  tsr_target_family family;
  const char *variant;
  const char *architecture;
  const char *required;
  int rank;
  uint32_t abi;
  // CUDA alone.
  const char *format;       // "ptx", "cubin"
  const char *ptxas;        // version of the assembler; "" for PTX
  const uint32_t *kernels;  // that it holds, into tsr_bundle.cuda_kernels
  uint32_t kernel_count;
  const tsr_bundle_resources *resources;
  uint32_t resource_count;
  tsr_bundle_file file;
} tsr_bundle_image;

typedef struct tsr_bundle_kernel {
  const char *name;
  const char *strategy;
  uint32_t token_first;
  uint32_t token_last;
  const char *run;
  const char *reduce;
  const char *pack;
  uint64_t scratch_base, scratch_per_token;
  uint64_t packed_base, packed_per_token;
} tsr_bundle_kernel;

typedef struct tsr_bundle_cuda_kernel {
  const char *name;
  const char *strategy;
  tsr_nvidia_mode mode;
  uint32_t token_first;
  uint32_t token_last;
  uint32_t threads;
  uint32_t shared_size;
  uint32_t block_tokens;
} tsr_bundle_cuda_kernel;

// Kernels of one layer: indices into its family's, ascending by token range.
typedef struct tsr_bundle_choice {
  const uint32_t *kernels;
  uint32_t count;
} tsr_bundle_choice;

typedef struct tsr_bundle_layer {
  const tsr_plan_layer *plan;
  tsr_packed_layer packed;
  tsr_bundle_choice chosen[TSR_FAMILY_COUNT];
} tsr_bundle_layer;

typedef struct tsr_bundle {
  const char *name;
  const char *symbol;
  const char *version;
  const char *fingerprint;
  const tsr_bundle_input *inputs;
  uint32_t input_count;
  const tsr_bundle_file *files;
  uint32_t file_count;
  const tsr_bundle_image *images;
  uint32_t image_count;
  const tsr_bundle_kernel *kernels;
  uint32_t kernel_count;
  const tsr_bundle_cuda_kernel *cuda_kernels;
  uint32_t cuda_kernel_count;
  const tsr_bundle_layer *layers;
  uint32_t layer_count;
} tsr_bundle;

// Columns of Y: rows, or half of them for gated activations.
uint32_t tsr_bundle_output_columns(const tsr_bundle_layer *layer);
// [A-Za-z_][A-Za-z0-9_]* made from a model's name, in |arena|; NULL: memory.
const char *tsr_bundle_symbol(tsr_arena *arena, const char *name);
void tsr_bundle_write_manifest(const tsr_bundle *bundle, tsr_buffer *out);
// The generated header and source, one typed function per layer.
void tsr_bundle_write_header(const tsr_bundle *bundle, tsr_buffer *out);
void tsr_bundle_write_source(const tsr_bundle *bundle, tsr_buffer *out);

// Puts the members of the folder |directory| into the single file |path|,
// manifest.json first, then |paths| in their order.
TSR_MUST_USE tsr_status tsr_bundle_write_single(const char *directory,
                                                const char *const *paths,
                                                uint32_t path_count,
                                                const char *path,
                                                tsr_error *error);

// ---- The previous bundle ---------------------------------------------------

// Reads the manifest of the bundle (folder or single file) at |path|. NULL in
// |*out_previous| when there is none or none that can be used; that is no
// error. Only memory can fail. Immutable and thread-safe from then on.
TSR_MUST_USE tsr_status tsr_previous_open(const char *path,
                                          tsr_previous **out_previous,
                                          tsr_error *error);
void tsr_previous_close(tsr_previous *previous);  // NULL is legal

// Whether |path| may be replaced by a bundle: it is absent, a bundle of either
// form, or empty. Anything else is not ours to remove. Only memory can fail.
TSR_MUST_USE tsr_status tsr_bundle_may_replace(const char *path, bool *out_may,
                                               tsr_error *error);

typedef enum tsr_reuse {
  TSR_REUSE_HIT,
  TSR_REUSE_NO_BUNDLE,  // nothing to compare with
  TSR_REUSE_NEW_LAYER,  // the layer is not in it
  TSR_REUSE_CHANGED,    // parts of the key differ
} tsr_reuse;

// Compares |key| with the layer of that name. |*out_changed| gets bit
// tsr_key_part for every part that differs. |previous| may be NULL.
tsr_reuse tsr_previous_compare(const tsr_previous *previous, const char *name,
                               const tsr_layer_key *key, unsigned *out_changed);

// |family|'s packed stream of the layer of that name, if it has |size| bytes
// and its hash. NULL otherwise. Borrowed.
const uint8_t *tsr_previous_stream(const tsr_previous *previous,
                                   const char *name, tsr_target_family family,
                                   uint64_t size, uint64_t *out_kept_weights);
// A range of its weights.bin, unchecked but for its place; NULL where there is
// no such. Borrowed.
const uint8_t *tsr_previous_bytes(const tsr_previous *previous, uint64_t offset,
                                  uint64_t size);
// Its bytes will not be used again.
void tsr_previous_drop(const tsr_previous *previous, const uint8_t *data,
                       uint64_t size);

#endif  // COMPILER_BUNDLE_H_

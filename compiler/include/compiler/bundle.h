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

enum {
  TSR_BUNDLE_VERSION = 1,
  TSR_STREAM_ALIGNMENT = 4096,
  TSR_SECTION_ALIGNMENT = 64,
};

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

// The options and compiler parts; the others come from tsr_matrix_hash.
void tsr_layer_key_init(const tsr_plan_layer *layer, uint32_t workers,
                        tsr_layer_key *out_key);

// The packed form of one layer, as the manifest tells it.
typedef struct tsr_packed_layer {
  uint32_t rows;
  uint32_t columns;
  uint64_t tiles[TSR_KIND_COUNT];
  uint64_t kept_weights;
  uint32_t workers;
  uint32_t partials;
  tsr_layer_key key;
  tsr_section grid;
  tsr_section stream;
  tsr_section schedule;
  tsr_section bias;  // absent without one
  bool reused;       // the stream was copied
} tsr_packed_layer;

// Called with the number of weights packed since the last call; TSR_OK to go
// on. NULL is legal.
typedef tsr_status (*tsr_pack_progress)(void *context, uint64_t weights,
                                        tsr_error *error);

typedef struct tsr_previous tsr_previous;

typedef struct tsr_pack_options {
  uint32_t threads;
  tsr_pack_progress progress;
  void *context;
  // The stream is copied from the layer of this name in there, unless it is
  // damaged or NULL.
  const tsr_previous *previous;
} tsr_pack_options;

// Packs |matrix| as |schedule| says and appends its sections. Memory is bound
// by a few panels for each thread; the bytes do not depend on |threads|. Fills
// everything in |out_layer| but the key.
TSR_MUST_USE tsr_status tsr_packing_layer(
    tsr_packing *archive, const tsr_plan_layer *layer, const tsr_matrix *matrix,
    const tsr_schedule *schedule, const tsr_pack_options *options,
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

typedef struct tsr_bundle_image {
  const char *family;
  const char *variant;
  const char *architecture;
  const char *required;
  int rank;
  uint32_t abi;
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

typedef struct tsr_bundle_layer {
  const tsr_plan_layer *plan;
  tsr_packed_layer packed;
  const uint32_t *kernels;  // indices, ascending by token range
  uint32_t kernel_count;
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

// The packed stream of the layer of that name, if it has |size| bytes and its
// hash. NULL otherwise. Borrowed.
const uint8_t *tsr_previous_stream(const tsr_previous *previous,
                                   const char *name, uint64_t size,
                                   uint64_t *out_kept_weights);
// Its bytes will not be used again.
void tsr_previous_drop(const tsr_previous *previous, const uint8_t *data,
                       uint64_t size);

#endif  // COMPILER_BUNDLE_H_

// SPDX-License-Identifier: Apache-2.0
// From a Hugging Face folder to a starting plan: reads config.json, checks that
// the checkpoint holds what the configuration promises, and writes the text of
// a plan for its linear layers (tesserac init --from-hf).
#ifndef COMPILER_HF_CONFIG_H_
#define COMPILER_HF_CONFIG_H_

#include "base/buffer.h"
#include "frontend/plan.h"

// Finds tensor |name| in the checkpoint; false when there is none.
// |*out_rows|, |*out_columns|: its shape; for a vector columns is 1; 0 and 0
// for any other rank.
typedef bool (*tsr_hf_find)(void *context, const char *name, uint64_t *out_rows,
                            uint64_t *out_columns);

typedef struct tsr_hf_model {
  const char *config;  // text of config.json
  size_t config_size;
  const char *name;          // of the plan's model: [A-Za-z0-9._-]+
  const char *weights_path;  // as the plan shall name it
  // TSR_MASK_PATCH, TSR_MASK_MASKLLM, or TSR_MASK_NONE: a comment tells how.
  tsr_mask_format masks_format;
  const char *masks_path;  // as the plan shall name it; where masks would go
  // Statements of the plan, "target cuda sm_80;\n"; NULL: the host's.
  const char *targets;
  tsr_hf_find find;
  void *context;
} tsr_hf_model;

// Appends the plan to |out|. TSR_CORRUPT when config.json is not what it should
// be, TSR_UNSUPPORTED for an architecture (or numbers) that we do not know,
// TSR_MISMATCH when the checkpoint contradicts it.
TSR_MUST_USE tsr_status tsr_hf_write_plan(const tsr_hf_model *model,
                                          tsr_buffer *out, tsr_error *error);

// The architectures that are known, "llama, mistral, ...": for help texts.
const char *tsr_hf_architectures(void);

#endif  // COMPILER_HF_CONFIG_H_

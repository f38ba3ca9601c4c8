// SPDX-License-Identifier: Apache-2.0
// tesserac compile --explain: what its forms share. Layers that differ in their
// weights only have the same kernels, so that one question serves them all;
// what a mask changes (bytes, time) differs between the answers.
#ifndef TESSERAC_COMPILE_EXPLAIN_H_
#define TESSERAC_COMPILE_EXPLAIN_H_

#include "tesserac/compile.h"

#define TSR_NO_LAYER UINT32_MAX

// Layers whose kernels are equal: |first|, next[first], ... until TSR_NO_LAYER.
typedef struct tsr_layer_group {
  const uint32_t *next;
  uint32_t first, last;
  uint32_t count;
} tsr_layer_group;

// One range of tokens of a group for one target.
typedef struct tsr_question {
  const tsr_compile *c;
  const tsr_layer_group *group;
  const tsr_cuda_target *target;
  tsr_kernel_spec spec;
  uint32_t tokens;
  bool is_first;  // of its group
} tsr_question;

typedef void (*tsr_teller)(const tsr_question *q, void *context);

// Calls |tell| for each range of tokens for which |target| has a kernel.
void tsr_explain_ask(const tsr_compile *c, const tsr_layer_group *group,
                     const tsr_cuda_target *target, tsr_teller tell,
                     void *context);
// What is predicted of layer |layer|, the chosen candidate first. The count.
uint32_t tsr_explain_answer(const tsr_question *q, uint32_t layer,
                            tsr_cuda_candidate out[TSR_CUDA_CANDIDATE_LIMIT]);

// Tables. |is_alone|: each layer by itself.
TSR_MUST_USE tsr_status tsr_explain_text(const tsr_compile *c, bool is_alone,
                                         tsr_buffer *out, tsr_error *error);

#endif  // TESSERAC_COMPILE_EXPLAIN_H_

// SPDX-License-Identifier: Apache-2.0
// What the decoders of tensor-core instructions share.
#ifndef TENSOR_DECODE_TENSOR_H_
#define TENSOR_DECODE_TENSOR_H_

#include "decode/decode.h"
#include "tensor/tile.h"

// The mandatory .sync and .aligned.
bool tsr_tensor_need_aligned(tsr_decoder *d);
// ".row.col", in this order: A lies by rows, B by columns.
bool tsr_tensor_need_row_col(tsr_decoder *d);
// False when |type| is no element of a matrix.
bool tsr_tensor_element(tsr_ptx_type type, tsr_element *out_element);
// Operand |index| must be a vector of |count| registers of |type|: their refs
// go to |refs|.
bool tsr_tensor_sources(tsr_decoder *d, uint32_t index, uint32_t count,
                        tsr_ptx_type type, tsr_ref *refs);
bool tsr_tensor_destinations(tsr_decoder *d, uint32_t index, uint32_t count,
                             tsr_ptx_type type, tsr_ref *refs);
// "PREFIX.SHAPE.bf16", both types where they differ; in the arena, NULL when
// out of memory.
const char *tsr_tensor_name(tsr_decoder *d, const char *prefix,
                            const char *shape, tsr_ptx_type a, tsr_ptx_type b);

// Reports lanes of the warp that do not take part, as .aligned and the ISA's
// "all threads in the warp" forbid; with CHECK_SYNC.
void tsr_tensor_check_lanes(tsr_warp *warp, const tsr_op *op, uint32_t mask);

// Double precision mma (mma_f64.c): called when the first type is f64.
bool tsr_decode_mma_f64(tsr_decoder *d);

#endif  // TENSOR_DECODE_TENSOR_H_

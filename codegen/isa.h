// SPDX-License-Identifier: Apache-2.0
// What a variant's machine can do, in the terms that strategies decide by.
#ifndef CODEGEN_ISA_H_
#define CODEGEN_ISA_H_

#include "codegen/codegen.h"

typedef struct cg_isa {
  uint32_t lanes;      // f32 lanes of a vector register: 4, 8, 16
  uint32_t registers;  // vector registers: 16, 32
  bool bf16_dot;       // vdpbf16ps
  bool f16_convert;    // hardware conversion between f16 and f32
  bool permute;        // permutes by a register of indices (AVX2, AVX-512)
  bool multishift;     // vpmultishiftqb (VBMI)
} cg_isa;

cg_isa tsr_variant_isa(const tsr_variant *variant);

#endif  // CODEGEN_ISA_H_

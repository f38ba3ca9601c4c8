// SPDX-License-Identifier: Apache-2.0
// The inside of a compilation, for the files of the front end.
#ifndef FRONTEND_COMPILATION_H_
#define FRONTEND_COMPILATION_H_

#include "frontend/diag_list.h"
#include "frontend/frontend.h"
#include "frontend/source_list.h"

struct tsr_compilation {
  tsr_arena arena;
  tsr_sources sources;
  tsr_diags *diags;
};

#endif  // FRONTEND_COMPILATION_H_

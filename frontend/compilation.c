// SPDX-License-Identifier: Apache-2.0
#include "frontend/compilation.h"

#include "base/memory.h"

tsr_compilation *tsr_compilation_create(void) {
  tsr_compilation *compilation = tsr_calloc(1, sizeof(*compilation));
  if (compilation == NULL) return NULL;
  compilation->sources.arena = &compilation->arena;
  compilation->diags = tsr_diags_create();
  if (compilation->diags == NULL) {
    tsr_free(compilation);
    return NULL;
  }
  return compilation;
}

void tsr_compilation_destroy(tsr_compilation *compilation) {
  if (compilation == NULL) return;
  tsr_diags_destroy(compilation->diags);
  tsr_arena_fini(&compilation->arena);
  tsr_free(compilation);
}

tsr_arena *tsr_compilation_arena(tsr_compilation *compilation) {
  return &compilation->arena;
}

tsr_sources *tsr_compilation_sources(tsr_compilation *compilation) {
  return &compilation->sources;
}

tsr_diags *tsr_compilation_diags(tsr_compilation *compilation) {
  return compilation->diags;
}

// SPDX-License-Identifier: Apache-2.0
// Source text and places in it. A span is byte offsets into one source; line
// and column exist only when printing (tsr_source_locate).
#ifndef FRONTEND_SOURCE_H_
#define FRONTEND_SOURCE_H_

#include "base/arena.h"

// Half-open byte range in source number |source|. Zero-width is legal.
typedef struct tsr_span {
  uint32_t source;  // index into tsr_sources
  uint32_t begin;
  uint32_t end;
} tsr_span;

// For a mistake that no text stands for: printed without a place.
#define TSR_SPAN_NONE ((tsr_span){UINT32_MAX, 0, 0})

// The root plan and everything it includes, in order of opening.
typedef struct tsr_sources tsr_sources;

// 1-based; the column counts display cells (a tab reaches the next multiple of
// 8, a combining character is 0 wide, a wide one 2).
typedef struct tsr_location {
  const char *path;
  uint32_t line;
  uint32_t column;
} tsr_location;

// A source that does not exist has an empty path, line 0 and column 0.
tsr_location tsr_source_locate(const tsr_sources *sources, uint32_t source,
                               uint32_t offset);

#endif  // FRONTEND_SOURCE_H_

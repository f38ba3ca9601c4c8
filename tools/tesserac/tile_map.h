// SPDX-License-Identifier: Apache-2.0
// Pictures of a layer's tile grid: for the terminal and as SVG.
#ifndef TESSERAC_TILE_MAP_H_
#define TESSERAC_TILE_MAP_H_

#include "base/buffer.h"
#include "base/types.h"

typedef struct tsr_tile_map {
  const char *name;                  // of the layer
  uint32_t rows, columns;            // of the matrix
  uint32_t tile_rows, tile_columns;  // of a tile
  uint32_t panels, tiles_per_panel;
  const uint8_t *kinds;  // tsr_kind, row-major [panels, tiles_per_panel]
  uint64_t counts[TSR_KIND_COUNT];
  uint64_t kept_weights;
  uint64_t packed_bytes, dense_bytes;
} tsr_tile_map;

typedef struct tsr_map_screen {
  uint32_t width;   // cells
  uint32_t height;  // lines; UINT32_MAX: no limit
  bool color;       // 256 colours, two tiles per cell (half blocks)
  bool utf8;        // without colour: shades; else letters
} tsr_map_screen;

// Draws |map| with its title and legend. A grid larger than the screen is
// drawn at a scale of s x s tiles per mark, which the legend states; a mark
// then shows the mean of the bytes stored.
void tsr_tile_map_draw(const tsr_tile_map *map, const tsr_map_screen *screen,
                       tsr_buffer *out);

// A self-contained picture of |count| maps, one below the other.
void tsr_tile_map_svg(const tsr_tile_map *maps, uint32_t count,
                      const char *title, tsr_buffer *out);

#endif  // TESSERAC_TILE_MAP_H_

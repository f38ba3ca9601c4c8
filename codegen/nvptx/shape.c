// SPDX-License-Identifier: Apache-2.0
// How a matrix falls into what warps multiply, and how a block's shared memory
// is divided: pure arithmetic, so that plan, generator and tests agree on it.
#include "nv.h"

static uint32_t minimum(uint32_t a, uint32_t b) {
  return a < b ? a : b;
}

nv_shape nv_shape_of(const tsr_kernel_spec *spec) {
  nv_shape shape = {0};
  uint32_t tile_columns = minimum(spec->tile.columns, spec->columns);
  shape.tile_rows = spec->tile.rows;
  shape.panels = (spec->rows + shape.tile_rows - 1) / shape.tile_rows;
  shape.last_rows = spec->rows - (shape.panels - 1) * shape.tile_rows;
  shape.blocks = tsr_fragment_blocks(shape.tile_rows);
  shape.last_blocks = tsr_fragment_blocks(shape.last_rows);
  // The first row group and the first k-chunk of a tile are its largest; what
  // most steps have gets the straight-line code.
  uint32_t blocks = shape.panels == 1 ? shape.last_blocks : shape.blocks;
  shape.main_blocks = minimum(blocks, NV_GROUP_BLOCKS);
  shape.main_columns = tsr_fragment_steps(
      minimum(tile_columns, TSR_FRAGMENT_CHUNK), TSR_KIND_DENSE);
  return shape;
}

nv_layout nv_layout_of(const tsr_cuda_geometry *geometry) {
  nv_layout layout = {0};
  uint32_t warps =
      geometry->groups * geometry->k_slices * geometry->token_slices;
  layout.stage_size =
      geometry->token_slices * geometry->warp_tokens * NV_CHUNK_BYTES;
  layout.x_size = geometry->k_slices * geometry->stages * layout.stage_size;
  // Not over X: copies for the steps after a segment's end are under way while
  // it is being finished.
  layout.finish_offset = layout.x_size;
  layout.finish_warp = NV_FINISH_TOKENS * NV_FINISH_STRIDE * 4u;
  layout.flag_offset = layout.finish_offset + warps * layout.finish_warp;
  layout.size = layout.flag_offset + 16u;
  return layout;
}

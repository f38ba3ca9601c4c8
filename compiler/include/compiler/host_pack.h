// SPDX-License-Identifier: Apache-2.0
// Packs and unpacks tiles of the host family (layout: base/host_abi.h) and
// writes the schedule section.
#ifndef COMPILER_HOST_PACK_H_
#define COMPILER_HOST_PACK_H_

#include "base/buffer.h"
#include "base/host_abi.h"
#include "compiler/schedule.h"

// tsr_tile_cost of the host family.
uint64_t tsr_host_tile_cost(const tsr_tile_grid *grid, uint32_t panel,
                            uint32_t column, tsr_kind kind);

// Packs one tile. |values| points at its first weight, |value_stride| floats
// from row to row; |keep| at the row's keep bits (see tsr_matrix_read),
// |keep_stride| bytes from row to row, the tile starting at bit |column|.
// |out| takes tsr_host_tile_size bytes, 64-byte aligned. A sparse24 tile must
// be valid (the importer proved it); rounding to |type| is to nearest even.
void tsr_host_pack_tile(const float *values, size_t value_stride,
                        const uint8_t *keep, size_t keep_stride,
                        uint32_t column, uint32_t rows, uint32_t columns,
                        tsr_kind kind, tsr_dtype type, void *out);

// The inverse: |values| [rows, columns] of bits of |type|, |keep| one byte per
// weight (0 or 1; for dense all 1). Written separately from pack, by index
// formula, so that one does not hide the other's mistake. Padding is checked
// to be zero: TSR_CORRUPT otherwise.
TSR_MUST_USE tsr_status tsr_host_unpack_tile(const void *packed, uint32_t rows,
                                             uint32_t columns, tsr_kind kind,
                                             uint16_t *values, uint8_t *keep,
                                             tsr_error *error);

// Appends the schedule section (tsr_host_schedule and what follows it).
// Stream offsets are assigned here: worker after worker, each 64-byte aligned;
// |*out_stream_size| is their total, without slack.
void tsr_host_write_schedule(const tsr_schedule *schedule, tsr_buffer *out,
                             uint64_t *out_stream_size);

#endif  // COMPILER_HOST_PACK_H_

// SPDX-License-Identifier: Apache-2.0
// Aligned columns for people. Columns whose header starts with '<' are
// left-aligned, with '>' right-aligned; the mark is not printed. One column may
// start with '=': left-aligned, and broken at blanks where the table would be
// wider than 80 columns.
#ifndef COMMON_TABLE_H_
#define COMMON_TABLE_H_

#include "common/cli.h"

typedef struct tsr_table tsr_table;

// |headers| is NULL-terminated: {"<layer", ">bytes", NULL}. NULL when out of
// memory, which all calls accept; render then reports it.
tsr_table *tsr_table_create(const char *const *headers);
void tsr_table_destroy(tsr_table *table);
// Cells go left to right, row after row.
void tsr_table_cell(tsr_table *table, const char *format, ...) TSR_PRINTF(2, 3);
// A line across (before totals). Only between rows.
void tsr_table_rule(tsr_table *table);
TSR_MUST_USE tsr_status tsr_table_render(const tsr_table *table, bool utf8,
                                         bool color, tsr_buffer *out,
                                         tsr_error *error);

#endif  // COMMON_TABLE_H_

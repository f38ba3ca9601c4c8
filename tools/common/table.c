// SPDX-License-Identifier: Apache-2.0
#include "common/table.h"

#include <stdarg.h>
#include <string.h>

#include "base/arena.h"
#include "base/memory.h"
#include "common/terminal.h"

enum { COLUMN_LIMIT = 24, GAP = 2, CELL_SIZE = 512, PAGE_WIDTH = 80 };

struct tsr_table {
  const char *headers[COLUMN_LIMIT];  // without their marks; borrowed
  bool right[COLUMN_LIMIT];
  size_t column_count;
  size_t broken;  // the column that breaks at blanks; column_count: none
  char **cells;   // row by row; a rule is a row of NULLs; owned array
  size_t cell_count;
  size_t cell_capacity;
  tsr_arena arena;  // the cells' text
  bool failed;
};

tsr_table *tsr_table_create(const char *const *headers) {
  tsr_table *table = tsr_calloc(1, sizeof(*table));
  if (table == NULL) return NULL;
  tsr_arena_init(&table->arena);
  size_t broken = COLUMN_LIMIT;
  while (headers[table->column_count] != NULL &&
         table->column_count < COLUMN_LIMIT) {
    const char *header = headers[table->column_count];
    if (header[0] == '=') broken = table->column_count;
    table->right[table->column_count] = header[0] == '>';
    table->headers[table->column_count++] = header + 1;
  }
  table->broken = broken < table->column_count ? broken : table->column_count;
  return table;
}

void tsr_table_destroy(tsr_table *table) {
  if (table == NULL) return;
  tsr_arena_fini(&table->arena);
  tsr_free(table->cells);
  tsr_free(table);
}

static void add(tsr_table *table, char *cell) {
  if (table->cell_count == table->cell_capacity) {
    size_t capacity = table->cell_capacity == 0 ? 64 : 2 * table->cell_capacity;
    char **cells = tsr_realloc(table->cells, capacity * sizeof(*cells));
    if (cells == NULL) {
      table->failed = true;
      return;
    }
    table->cells = cells;
    table->cell_capacity = capacity;
  }
  table->cells[table->cell_count++] = cell;
}

void tsr_table_cell(tsr_table *table, const char *format, ...) {
  if (table == NULL) return;
  char text[CELL_SIZE];
  va_list args;
  va_start(args, format);
  int size = vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  if (size < 0) size = 0;
  if ((size_t)size >= sizeof(text)) size = (int)sizeof(text) - 1;
  char *cell = tsr_arena_strndup(&table->arena, text, (size_t)size);
  if (cell == NULL) {
    table->failed = true;
    return;
  }
  add(table, cell);
}

void tsr_table_rule(tsr_table *table) {
  if (table == NULL) return;
  for (size_t i = 0; i < table->column_count; ++i) add(table, NULL);
}

static size_t width_of(const char *text) {
  return tsr_text_width(text, strlen(text));
}

static void measure(const tsr_table *table, size_t widths[COLUMN_LIMIT]) {
  if (table->column_count == 0) return;
  for (size_t i = 0; i < table->column_count; ++i) {
    widths[i] = width_of(table->headers[i]);
  }
  for (size_t i = 0; i < table->cell_count; ++i) {
    size_t width = table->cells[i] == NULL ? 0 : width_of(table->cells[i]);
    size_t *column = &widths[i % table->column_count];
    if (width > *column) *column = width;
  }
}

// Bytes of the words of |text| that fit |width| columns; at least one word.
static size_t fitting(const char *text, size_t width) {
  size_t end = strcspn(text, " ");
  while (text[end] != '\0') {
    size_t next = end + 1 + strcspn(text + end + 1, " ");
    if (tsr_text_width(text, next) > width) break;
    end = next;
  }
  return end;
}

static size_t widest_line(const char *text, size_t width) {
  size_t widest = 0;
  while (*text != '\0') {
    size_t size = fitting(text, width);
    size_t here = tsr_text_width(text, size);
    if (here > widest) widest = here;
    text += size + (text[size] == ' ');
  }
  return widest;
}

// Makes the column that breaks as wide as the page allows.
static void narrow(const tsr_table *table, size_t widths[COLUMN_LIMIT]) {
  size_t column = table->broken;
  if (column == table->column_count) return;
  size_t others = GAP * (table->column_count - 1);
  for (size_t i = 0; i < table->column_count; ++i) {
    if (i != column) others += widths[i];
  }
  if (others + widths[column] <= PAGE_WIDTH) return;
  size_t room = others < PAGE_WIDTH ? PAGE_WIDTH - others : 1;
  widths[column] = width_of(table->headers[column]);
  for (size_t i = column; i < table->cell_count; i += table->column_count) {
    if (table->cells[i] == NULL) continue;
    size_t width = widest_line(table->cells[i], room);
    if (width > widths[column]) widths[column] = width;
  }
}

// Trailing blanks are held back until something follows them.
static void put_line(const tsr_table *table, const char *const *cells,
                     const size_t *widths, tsr_buffer *out) {
  size_t blanks = 0;
  for (size_t i = 0; i < table->column_count; ++i) {
    size_t width = width_of(cells[i]);
    size_t pad = widths[i] > width ? widths[i] - width : 0;
    if (table->right[i]) blanks += pad;
    for (; blanks != 0 && width != 0; --blanks)
      tsr_buffer_append_char(out, ' ');
    tsr_buffer_append_string(out, cells[i]);
    blanks += GAP + (table->right[i] ? 0 : pad);
  }
  tsr_buffer_append_char(out, '\n');
}

static void put_row(const tsr_table *table, const char *const *cells,
                    const size_t *widths, tsr_buffer *out) {
  size_t column = table->broken;
  if (column == table->column_count) {
    put_line(table, cells, widths, out);
    return;
  }
  const char *line[COLUMN_LIMIT];
  memcpy(line, cells, table->column_count * sizeof(*line));
  const char *rest = cells[column];
  do {
    char piece[CELL_SIZE];
    size_t size = fitting(rest, widths[column]);
    memcpy(piece, rest, size);
    piece[size] = '\0';
    line[column] = piece;
    put_line(table, line, widths, out);
    for (size_t i = 0; i < table->column_count; ++i) line[i] = "";
    rest += size + (rest[size] == ' ');
  } while (*rest != '\0');
}

static void put_rule(const tsr_table *table, const size_t *widths, bool utf8,
                     bool color, tsr_buffer *out) {
  tsr_buffer_append_string(out, tsr_style_code(color, TSR_STYLE_DIM));
  for (size_t i = 0; i < table->column_count; ++i) {
    for (size_t k = 0; k < widths[i]; ++k) {
      tsr_buffer_append_string(out, utf8 ? "\u2500" : "-");
    }
    if (i + 1 < table->column_count) tsr_buffer_append_string(out, "  ");
  }
  tsr_buffer_append_string(out, tsr_style_code(color, TSR_STYLE_NONE));
  tsr_buffer_append_char(out, '\n');
}

tsr_status tsr_table_render(const tsr_table *table, bool utf8, bool color,
                            tsr_buffer *out, tsr_error *error) {
  if (table == NULL || table->failed) return tsr_error_out_of_memory(error);
  size_t widths[COLUMN_LIMIT] = {0};
  measure(table, widths);
  narrow(table, widths);
  tsr_buffer_append_string(out, tsr_style_code(color, TSR_STYLE_BOLD));
  put_row(table, table->headers, widths, out);
  tsr_buffer_append_string(out, tsr_style_code(color, TSR_STYLE_NONE));
  put_rule(table, widths, utf8, color, out);
  size_t columns = table->column_count;
  for (size_t i = 0; i + columns <= table->cell_count; i += columns) {
    const char *const *row = (const char *const *)(table->cells + i);
    if (row[0] == NULL) {
      put_rule(table, widths, utf8, color, out);
    } else {
      put_row(table, row, widths, out);
    }
  }
  return tsr_buffer_status(out, error);
}

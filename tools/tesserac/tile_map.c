// SPDX-License-Identifier: Apache-2.0
#include "tesserac/tile_map.h"

#include "common/terminal.h"

// Marks, from nothing stored to everything. A mark at scale 1 is one of three
// kinds; at larger scales it is a mean: the levels between are for those.
enum { LEVEL_COUNT = 9, LEVEL_ZERO = 0, LEVEL_SPARSE = 4, LEVEL_DENSE = 8 };

// Bytes stored per weight, relative to dense; the bounds lie half way.
static const double level_bounds[LEVEL_COUNT - 1] = {0.0,  0.2,  0.4,  0.55,
                                                     0.58, 0.70, 0.85, 0.9999};
// xterm's 256 colours: grey, blues (2:4), through sand to orange (dense).
static const int level_colors[LEVEL_COUNT] = {237, 23,  24,  25, 32,
                                              110, 180, 172, 208};
static const char *const level_shades[LEVEL_COUNT] = {
    "\u00b7", "\u2591", "\u2591", "\u2591", "\u2592",
    "\u2592", "\u2593", "\u2593", "\u2588"};
static const char level_letters[LEVEL_COUNT] = {'.', '-', '-', '~', 's',
                                                'x', 'x', 'X', 'D'};

static int level_of(double stored) {
  int level = 0;
  while (level < LEVEL_COUNT - 1 && stored > level_bounds[level]) ++level;
  return level;
}

// Mean over the tiles that the mark at (row, column) covers; -1 outside.
static int mark_level(const tsr_tile_map *map, uint32_t scale, uint32_t row,
                      uint32_t column) {
  static const double stored[TSR_KIND_COUNT] = {0, 0.5625, 1};
  uint32_t row_begin = row * scale;
  uint32_t column_begin = column * scale;
  if (row_begin >= map->panels) return -1;
  double sum = 0;
  uint32_t count = 0;
  for (uint32_t i = row_begin; i < row_begin + scale && i < map->panels; ++i) {
    for (uint32_t k = column_begin;
         k < column_begin + scale && k < map->tiles_per_panel; ++k) {
      uint8_t kind = map->kinds[(size_t)i * map->tiles_per_panel + k];
      sum += kind < TSR_KIND_COUNT ? stored[kind] : 0;
      ++count;
    }
  }
  return count == 0 ? -1 : level_of(sum / count);
}

static uint32_t divide_up(uint32_t value, uint32_t by) {
  return value / by + (value % by != 0);
}

static uint32_t choose_scale(const tsr_tile_map *map,
                             const tsr_map_screen *screen) {
  uint32_t width = screen->width < 10 ? 10 : screen->width;
  uint32_t scale = divide_up(map->tiles_per_panel, width);
  if (screen->height != UINT32_MAX) {
    uint32_t height = screen->height < 4 ? 4 : screen->height;
    uint32_t marks = screen->color && screen->utf8 ? 2 * height : height;
    uint32_t vertical = divide_up(map->panels, marks);
    if (vertical > scale) scale = vertical;
  }
  return scale == 0 ? 1 : scale;
}

// One character: the upper half in the foreground, the lower behind it.
static void half_blocks(const tsr_tile_map *map, uint32_t scale, uint32_t row,
                        uint32_t columns, tsr_buffer *out) {
  int foreground = -1;
  int background = -1;
  for (uint32_t column = 0; column < columns; ++column) {
    int upper = mark_level(map, scale, row, column);
    int lower = mark_level(map, scale, row + 1, column);
    if (upper != foreground) {
      tsr_buffer_printf(out, "\033[38;5;%dm", level_colors[upper]);
    }
    if (lower != background && lower >= 0) {
      tsr_buffer_printf(out, "\033[48;5;%dm", level_colors[lower]);
    }
    foreground = upper;
    background = lower;
    tsr_buffer_append_string(out, "\u2580");
  }
  tsr_buffer_append_string(out, "\033[0m\n");
}

// Cells are twice as high as wide: marks are doubled where there is room.
static void plain_row(const tsr_tile_map *map, const tsr_map_screen *screen,
                      uint32_t scale, uint32_t row, uint32_t columns,
                      tsr_buffer *out) {
  int repeat = columns <= screen->width / 2 ? 2 : 1;
  for (uint32_t column = 0; column < columns; ++column) {
    int level = mark_level(map, scale, row, column);
    if (screen->color) {
      tsr_buffer_printf(out, "\033[38;5;%dm", level_colors[level]);
    }
    for (int i = 0; i < repeat; ++i) {
      if (screen->utf8) {
        tsr_buffer_append_string(out, level_shades[level]);
      } else {
        tsr_buffer_append_char(out, level_letters[level]);
      }
    }
  }
  tsr_buffer_append_string(out, screen->color ? "\033[0m\n" : "\n");
}

static void legend_mark(const tsr_map_screen *screen, int level,
                        tsr_buffer *out) {
  if (screen->color) {
    tsr_buffer_printf(out, "\033[38;5;%dm", level_colors[level]);
  }
  if (!screen->utf8) {
    tsr_buffer_append_char(out, level_letters[level]);
  } else if (screen->color) {
    tsr_buffer_append_string(out, "\u25a0");
  } else {
    tsr_buffer_append_string(out, level_shades[level]);
  }
  if (screen->color) tsr_buffer_append_string(out, "\033[0m");
}

static void legend(const tsr_tile_map *map, const tsr_map_screen *screen,
                   uint32_t scale, tsr_buffer *out) {
  static const struct {
    tsr_kind kind;
    int level;
    const char *word;
  } entries[] = {{TSR_KIND_DENSE, LEVEL_DENSE, "dense"},
                 {TSR_KIND_SPARSE24, LEVEL_SPARSE, "2:4"},
                 {TSR_KIND_ZERO, LEVEL_ZERO, "zero"}};
  for (size_t i = 0; i < 3; ++i) {
    if (i != 0) tsr_buffer_append_string(out, "   ");
    legend_mark(screen, entries[i].level, out);
    tsr_buffer_printf(out, " %s %s", entries[i].word,
                      tsr_format_count(map->counts[entries[i].kind]).text);
  }
  tsr_buffer_append_char(out, '\n');
  if (scale == 1) return;
  tsr_buffer_printf(
      out, "scale: one mark is %u x %u tiles, by mean bytes: ", scale, scale);
  for (int level = 0; level < LEVEL_COUNT; ++level) {
    bool repeated =
        !screen->color && level != 0 &&
        (screen->utf8 ? level_shades[level] == level_shades[level - 1]
                      : level_letters[level] == level_letters[level - 1]);
    if (!repeated) legend_mark(screen, level, out);
  }
  tsr_buffer_append_char(out, '\n');
}

void tsr_tile_map_draw(const tsr_tile_map *map, const tsr_map_screen *screen,
                       tsr_buffer *out) {
  uint32_t scale = choose_scale(map, screen);
  uint32_t rows = divide_up(map->panels, scale);
  uint32_t columns = divide_up(map->tiles_per_panel, scale);
  tsr_buffer_printf(out, "%s%s%s  W [%u, %u], %u x %u tiles of %u x %u\n",
                    tsr_style_code(screen->color, TSR_STYLE_BOLD), map->name,
                    tsr_style_code(screen->color, TSR_STYLE_NONE), map->rows,
                    map->columns, map->panels, map->tiles_per_panel,
                    map->tile_rows, map->tile_columns);
  bool halves = screen->color && screen->utf8;
  for (uint32_t row = 0; row < rows; row += halves ? 2 : 1) {
    if (halves) {
      half_blocks(map, scale, row, columns, out);
    } else {
      plain_row(map, screen, scale, row, columns, out);
    }
  }
  legend(map, screen, scale, out);
}

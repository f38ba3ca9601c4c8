// SPDX-License-Identifier: Apache-2.0
// Tile maps as SVG: no fonts, scripts or files from elsewhere; readable on
// light and on dark ground. Runs of equal tiles are one rectangle.
#include <string.h>

#include "tesserac/tile_map.h"

enum { MARGIN = 24, HEADER = 52, LEGEND = 40, AXIS = 22, MAP_WIDTH = 640 };

static const char *const classes[TSR_KIND_COUNT] = {"z", "s", "d"};
static const char *const words[TSR_KIND_COUNT] = {"zero", "2:4", "dense"};

static const char style[] =
    "<style>\n"
    "text{font-family:system-ui,'DejaVu Sans',sans-serif;fill:#1f2328}\n"
    ".t{font-size:15px;font-weight:600}.n{font-size:12px}\n"
    ".a{font-size:11px;fill:#59636e}\n"
    ".f{fill:none;stroke:#818b98;stroke-width:1}\n"
    ".g{stroke:#ffffff;stroke-opacity:.55;fill:none}\n"
    ".d{fill:#d9772b}.s{fill:#3b7fc4}.z{fill:#818b98;fill-opacity:.22}\n"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.a{fill:#9198a1}\n"
    ".g{stroke:#0d1117}.f{stroke:#59636e}}\n"
    "</style>\n";

static void escape(const char *text, tsr_buffer *out) {
  for (; *text != '\0'; ++text) {
    if (*text == '<') {
      tsr_buffer_append_string(out, "&lt;");
    } else if (*text == '&') {
      tsr_buffer_append_string(out, "&amp;");
    } else if (*text == '"') {
      tsr_buffer_append_string(out, "&quot;");
    } else if ((unsigned char)*text < 0x20) {
      tsr_buffer_append_char(out, ' ');  // not a character of XML
    } else {
      tsr_buffer_append_char(out, *text);
    }
  }
}

static double minimum(double a, double b) {
  return a < b ? a : b;
}

// Pixels per weight: the map is MAP_WIDTH wide, and no tile is larger than a
// thumb or taller than the page is wide.
static double pixels(const tsr_tile_map *map) {
  double scale = (double)MAP_WIDTH / map->columns;
  double tall = 1.0 * MAP_WIDTH / map->rows;
  double thumb = 36.0 / map->tile_columns;
  return minimum(minimum(scale, tall), thumb);
}

static double map_height(const tsr_tile_map *map) {
  return HEADER + AXIS + map->rows * pixels(map) + LEGEND;
}

// All tiles of one kind, as one path.
static void tiles(const tsr_tile_map *map, tsr_kind kind, double left,
                  double top, tsr_buffer *out) {
  double scale = pixels(map);
  if (map->counts[kind] == 0) return;
  tsr_buffer_printf(out, "<path class=\"%s\" d=\"", classes[kind]);
  for (uint32_t panel = 0; panel < map->panels; ++panel) {
    const uint8_t *row = map->kinds + (size_t)panel * map->tiles_per_panel;
    double y = (double)panel * map->tile_rows;
    double bottom = minimum(y + map->tile_rows, map->rows);
    for (uint32_t i = 0; i < map->tiles_per_panel;) {
      uint32_t end = i + 1;
      while (end < map->tiles_per_panel && row[end] == row[i]) ++end;
      if (row[i] == kind) {
        double x = (double)i * map->tile_columns;
        double right = minimum((double)end * map->tile_columns, map->columns);
        tsr_buffer_printf(out, "M%.2f %.2fH%.2fV%.2fH%.2fz", left + x * scale,
                          top + y * scale, left + right * scale,
                          top + bottom * scale, left + x * scale);
      }
      i = end;
    }
  }
  tsr_buffer_append_string(out, "\"/>\n");
}

// Lines between tiles, where they are large enough to be parted.
static void lines(const tsr_tile_map *map, double left, double top,
                  tsr_buffer *out) {
  double scale = pixels(map);
  double smallest = minimum(map->tile_columns * scale, map->tile_rows * scale);
  if (smallest < 4) return;
  double right = left + map->columns * scale;
  double bottom = top + map->rows * scale;
  tsr_buffer_printf(out, "<path class=\"g\" stroke-width=\"%.2f\" d=\"",
                    minimum(1.5, smallest / 10));
  for (uint32_t i = 1; i < map->tiles_per_panel; ++i) {
    tsr_buffer_printf(out, "M%.2f %.2fV%.2f",
                      left + (double)i * map->tile_columns * scale, top,
                      bottom);
  }
  for (uint32_t i = 1; i < map->panels; ++i) {
    tsr_buffer_printf(out, "M%.2f %.2fH%.2f", left,
                      top + (double)i * map->tile_rows * scale, right);
  }
  tsr_buffer_append_string(out, "\"/>\n");
}

static void header(const tsr_tile_map *map, double left, double top,
                   tsr_buffer *out) {
  double weights = (double)map->rows * map->columns;
  tsr_buffer_printf(out, "<text class=\"t\" x=\"%.2f\" y=\"%.2f\">", left,
                    top + 18);
  escape(map->name, out);
  tsr_buffer_printf(
      out,
      "</text>\n<text class=\"n\" x=\"%.2f\" y=\"%.2f\">W [%u, %u], tiles of "
      "%u \u00d7 %u; sparsity %.1f %%; %.1f %% of the dense bytes</text>\n",
      left, top + 38, map->rows, map->columns, map->tile_rows,
      map->tile_columns, 100 * (1 - (double)map->kept_weights / weights),
      100 * (double)map->packed_bytes / (double)map->dense_bytes);
}

static void legend(const tsr_tile_map *map, double left, double top,
                   tsr_buffer *out) {
  for (int i = 0; i < TSR_KIND_COUNT; ++i) {
    int kind = TSR_KIND_COUNT - 1 - i;
    double x = left + 120 * i;
    tsr_buffer_printf(out,
                      "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"12\" "
                      "height=\"12\"/><text class=\"n\" x=\"%.2f\" "
                      "y=\"%.2f\">%s: %llu</text>\n",
                      classes[kind], x, top + 10, x + 18, top + 20.5,
                      words[kind], (unsigned long long)map->counts[kind]);
  }
}

static void one_map(const tsr_tile_map *map, double top, tsr_buffer *out) {
  double left = MARGIN + AXIS;
  double scale = pixels(map);
  double width = map->columns * scale;
  double height = map->rows * scale;
  header(map, left, top, out);
  top += HEADER;
  tsr_buffer_printf(out,
                    "<text class=\"a\" x=\"%.2f\" y=\"%.2f\">in_features "
                    "\u2192</text>\n<text class=\"a\" transform=\"translate("
                    "%.2f %.2f) rotate(-90)\" text-anchor=\"end\">\u2190 "
                    "out_features</text>\n",
                    left, top + 14, left - 8, top + AXIS);
  top += AXIS;
  for (int kind = 0; kind < TSR_KIND_COUNT; ++kind) {
    tiles(map, (tsr_kind)kind, left, top, out);
  }
  lines(map, left, top, out);
  tsr_buffer_printf(out,
                    "<rect class=\"f\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" "
                    "height=\"%.2f\"/>\n",
                    left, top, width, height);
  legend(map, left, top + height, out);
}

void tsr_tile_map_svg(const tsr_tile_map *maps, uint32_t count,
                      const char *title, tsr_buffer *out) {
  double height = 2 * MARGIN;
  for (uint32_t i = 0; i < count; ++i) height += map_height(&maps[i]);
  double width = MAP_WIDTH + 2 * MARGIN + AXIS;
  tsr_buffer_printf(out,
                    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" "
                    "height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n"
                    "<title>",
                    width, height, width, height);
  escape(title, out);
  tsr_buffer_append_string(out, "</title>\n");
  tsr_buffer_append_string(out, style);
  double top = MARGIN;
  for (uint32_t i = 0; i < count; ++i) {
    one_map(&maps[i], top, out);
    top += map_height(&maps[i]);
  }
  tsr_buffer_append_string(out, "</svg>\n");
}

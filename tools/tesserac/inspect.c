// SPDX-License-Identifier: Apache-2.0
// tesserac inspect: what is in a bundle.
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "common/rows.h"
#include "common/runtime.h"
#include "common/terminal.h"
#include "tesserac/commands.h"
#include "tesserac/inspection.h"

// ---- Access -----------------------------------------------------------------

tessera_layer_info tsr_inspection_layer(const tsr_inspection *inspection,
                                        uint32_t index) {
  tessera_layer_info info = {.size = sizeof(info)};
  tessera_error error = {0};
  const tessera_layer *layer = tessera_bundle_layer(inspection->bundle, index);
  tessera_status status = tessera_layer_query(layer, &info, &error);
  if (status != TESSERA_OK) memset(&info, 0, sizeof(info));
  return info;
}

tsr_tile_map tsr_inspection_map(const tsr_inspection *inspection,
                                uint32_t index) {
  tessera_layer_info info = tsr_inspection_layer(inspection, index);
  tsr_tile_map map = {
      .name = info.name,
      .rows = info.rows,
      .columns = info.columns,
      .tile_rows = info.tile_rows,
      .tile_columns = info.tile_columns,
      .counts = {info.zero_tiles, info.sparse24_tiles, info.dense_tiles},
      .kept_weights = info.kept_weights,
      .packed_bytes = info.packed_bytes,
      .dense_bytes = info.dense_bytes,
  };
  const tessera_layer *layer = tessera_bundle_layer(inspection->bundle, index);
  map.kinds = tessera_layer_tiles(layer, &map.panels, &map.tiles_per_panel);
  return map;
}

const json_t *tsr_inspection_json(const tsr_inspection *inspection,
                                  uint32_t index) {
  return json_array_get(json_object_get(inspection->manifest, "layers"), index);
}

uint64_t tsr_json_uint(const json_t *object, const char *key) {
  json_int_t value = json_integer_value(json_object_get(object, key));
  return value < 0 ? 0 : (uint64_t)value;
}

uint64_t tsr_json_uint_at(const json_t *object, const char *key, size_t index) {
  const json_t *array = json_object_get(object, key);
  json_int_t value = json_integer_value(json_array_get(array, index));
  return value < 0 ? 0 : (uint64_t)value;
}

const char *tsr_json_string(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text == NULL ? "" : text;
}

const json_t *tsr_inspection_cuda(const tsr_inspection *inspection,
                                  uint32_t index) {
  return json_object_get(tsr_inspection_json(inspection, index), "cuda");
}

bool tsr_inspection_schedule(const tsr_inspection *inspection, uint32_t index,
                             tsr_arena *arena, tsr_tile_grid *out_grid,
                             tsr_nvidia_tables *out_tables) {
  const json_t *cuda = tsr_inspection_cuda(inspection, index);
  const json_t *section = json_object_get(cuda, "schedule");
  const json_t *stream = json_object_get(cuda, "stream");
  tsr_tile_map map = tsr_inspection_map(inspection, index);
  uint64_t size = tsr_json_uint(section, "size");
  if (section == NULL || inspection->members == NULL) return false;
  *out_grid = (tsr_tile_grid){.tile = {map.tile_rows, map.tile_columns},
                              .rows = map.rows,
                              .columns = map.columns,
                              .panel_count = map.panels,
                              .column_count = map.tiles_per_panel};
  const uint8_t *data = tsr_previous_bytes(
      inspection->members, tsr_json_uint(section, "offset"), size);
  tsr_error ignored = {0};
  return data != NULL &&
         tsr_nvidia_tables_read(arena, data, (size_t)size, out_grid,
                                tsr_json_uint(stream, "size"), out_tables,
                                &ignored) == TSR_OK;
}

double tsr_layer_sparsity(const tessera_layer_info *info) {
  double weights = (double)info->rows * info->columns;
  return weights == 0 ? 0 : 1 - (double)info->kept_weights / weights;
}

// ---- The command ------------------------------------------------------------

static int open_bundle(tsr_inspection *inspection) {
  const tsr_cli *cli = inspection->cli;
  tessera_error error = {0};
  const tessera_bundle_options options = {
      .size = sizeof(options),
      .verify_checksums = tsr_cli_given(cli, "checksums"),
  };
  if (tessera_bundle_open(cli->positionals[0], &options, &inspection->bundle,
                          &error) != TESSERA_OK) {
    return tsr_cli_fail_runtime(cli, &error);
  }
  json_error_t problem;
  inspection->manifest =
      json_loads(tessera_bundle_manifest(inspection->bundle), 0, &problem);
  if (inspection->manifest == NULL) {
    tsr_cli_error(cli, "%s: manifest.json: line %d: %s", cli->positionals[0],
                  problem.line, problem.text);
    return TSR_EXIT_DIAGNOSED;
  }
  tsr_error failure = {0};
  if (tsr_previous_open(cli->positionals[0], &inspection->members, &failure) !=
      TSR_OK) {
    return tsr_cli_fail(cli, &failure);
  }
  return TSR_EXIT_OK;
}

static int choose_layer(tsr_inspection *inspection) {
  const tsr_cli *cli = inspection->cli;
  tsr_error error = {0};
  tsr_status status =
      tsr_layers_select(inspection->bundle, tsr_cli_string(cli, "layer"),
                        &inspection->first, &inspection->count, &error);
  return status == TSR_OK ? TSR_EXIT_OK : tsr_cli_fail(cli, &error);
}

static void draw_maps(const tsr_inspection *inspection, tsr_buffer *out) {
  const tsr_cli *cli = inspection->cli;
  tsr_map_screen screen = {
      .width = tsr_terminal_width(cli->out),
      .height = UINT32_MAX,
      .color = cli->out_color,
      .utf8 = cli->utf8,
  };
  // Title, legend, scale and the prompt stay on the screen with the map.
  if (tsr_terminal_is_tty(cli->out)) {
    screen.height = tsr_terminal_height(cli->out) - 4;
  }
  for (uint32_t i = 0; i < inspection->count; ++i) {
    tsr_tile_map map = tsr_inspection_map(inspection, inspection->first + i);
    if (i != 0) tsr_buffer_append_char(out, '\n');
    if (map.kinds != NULL) tsr_tile_map_draw(&map, &screen, out);
  }
}

static tsr_status write_svg(const tsr_inspection *inspection, const char *path,
                            tsr_error *error) {
  uint32_t count = inspection->count;
  tsr_tile_map *maps = tsr_calloc((size_t)count + 1, sizeof(*maps));
  if (maps == NULL) return tsr_error_out_of_memory(error);
  uint32_t used = 0;
  for (uint32_t i = 0; i < count; ++i) {
    maps[used] = tsr_inspection_map(inspection, inspection->first + i);
    if (maps[used].kinds != NULL) ++used;
  }
  tsr_buffer svg = {0};
  tsr_tile_map_svg(maps, used, tessera_bundle_name(inspection->bundle), &svg);
  tsr_status status = tsr_buffer_status(&svg, error);
  if (status == TSR_OK)
    status = tsr_file_write(path, svg.data, svg.size, error);
  tsr_buffer_fini(&svg);
  tsr_free(maps);
  return status;
}

static int show(const tsr_inspection *inspection) {
  const tsr_cli *cli = inspection->cli;
  tsr_buffer text = {0};
  tsr_error error = {0};
  tsr_status status = TSR_OK;
  const char *svg = tsr_cli_string(cli, "svg");
  bool tiles = tsr_cli_given(cli, "tiles");
  if (svg != NULL) status = write_svg(inspection, svg, &error);
  if (tsr_cli_given(cli, "json")) {
    tsr_inspection_write_json(inspection, tiles, &text);
  } else if (tiles) {
    draw_maps(inspection, &text);
  } else if (tsr_cli_given(cli, "kernels")) {
    tsr_inspection_kernels(inspection, &text);
  } else if (tsr_cli_given(cli, "cuts")) {
    if (status == TSR_OK) {
      status = tsr_inspection_cuts(inspection, &text, &error);
    }
  } else if (tsr_cli_given(cli, "layer")) {
    tsr_inspection_details(inspection, &text);
  } else {
    tsr_inspection_tables(inspection, &text);
  }
  status = tsr_cli_print(cli, status, &text, &error);
  return status == TSR_OK ? TSR_EXIT_OK : tsr_cli_fail(cli, &error);
}

static int run(tsr_cli *cli) {
  tsr_inspection inspection = {.cli = cli};
  int code = open_bundle(&inspection);
  if (code == TSR_EXIT_OK) code = choose_layer(&inspection);
  if (code == TSR_EXIT_OK) code = show(&inspection);
  json_decref(inspection.manifest);
  tsr_previous_close(inspection.members);
  tessera_bundle_close(inspection.bundle);
  return code;
}

static const tsr_option options[] = {
    {.name = "layer",
     .letters = "l",
     .type = TSR_OPTION_STRING,
     .value = "LAYER",
     .help = "only this layer, in detail"},
    {.name = "kernels",
     .letters = "k",
     .help = "list all kernels",
     .group = "what"},
    {.name = "cuts",
     .help = "list every division of the layers between CUDA thread blocks",
     .group = "what"},
    {.name = "json", .help = "write JSON, with exact numbers"},
    {.name = "tiles",
     .letters = "t",
     .help = "draw the tile map; with --json: add the kinds of all tiles",
     .group = "what"},
    {.name = "svg",
     .type = TSR_OPTION_FILE,
     .value = "FILE",
     .help = "write the tile map as a picture to FILE"},
    {.name = "checksums",
     .help = "read all of the bundle and check its checksums"},
    {0}};

static const tsr_example examples[] = {
    {"tesserac inspect model.bundle", "layers, kernels and images as tables"},
    {"tesserac inspect model.bundle --layer encoder.0.up --tiles",
     "where dense, 2:4 and empty tiles are"},
    {"tesserac inspect model.bundle --json | jq .total", "for scripts"},
    {0}};

const tsr_command tsr_command_inspect = {
    .name = "inspect",
    .summary = "show what is in a bundle",
    .description =
        "Shows the layers of a bundle with their shapes, kinds of tiles and "
        "bytes against the dense form, the strategies of their kernels with "
        "the token counts that they serve, and the images with the processors "
        "that they fit; for CUDA the registers and spills of every kernel. "
        "With --layer: one layer with all parameters of its launches, and how "
        "evenly CUDA thread blocks share its work.\n\n"
        "The structure of the bundle is always checked; its checksums are, "
        "when asked for.",
    .options = options,
    .positionals = tsr_positionals_bundle,
    .examples = examples,
    .run = run,
};

// SPDX-License-Identifier: Apache-2.0
// What a packed layer is: of which families, made from what (its key), and what
// it says of itself before anything is packed.
#include "compiler/bundle.h"
#include "packer_revision.h"

const char *tsr_family_name(tsr_target_family family) {
  static const char *const names[TSR_FAMILY_COUNT] = {
      [TSR_TARGET_HOST] = "host", [TSR_TARGET_CUDA] = "cuda"};
  return names[family];
}

bool tsr_layer_has(const tsr_layer_schedule *schedule,
                   tsr_target_family family) {
  return family == TSR_TARGET_HOST ? schedule->host != NULL
                                   : schedule->cuda != NULL;
}

// Bytes of the CUDA stream that the format does not promise.
static uint64_t fragment_padding(const tsr_tile_grid *grid) {
  uint64_t bytes = 0;
  for (uint32_t panel = 0; panel < grid->panel_count; ++panel) {
    uint32_t rows = tsr_grid_panel_rows(grid, panel);
    for (uint32_t column = 0; column < grid->column_count; ++column) {
      uint32_t columns = tsr_grid_tile_columns(grid, column);
      tsr_kind kind = tsr_grid_kind(grid, panel, column);
      bytes += tsr_fragment_tile_bytes(rows, columns, kind).padding;
    }
  }
  return bytes;
}

void tsr_packed_layer_init(const tsr_layer_schedule *schedule,
                           tsr_packed_layer *out_layer) {
  const tsr_tile_grid *grid = schedule->grid;
  size_t cells = (size_t)grid->panel_count * grid->column_count;
  *out_layer = (tsr_packed_layer){.rows = grid->rows, .columns = grid->columns};
  for (int i = 0; i < TSR_FAMILY_COUNT; ++i) {
    out_layer->parts[i].is_there =
        tsr_layer_has(schedule, (tsr_target_family)i);
  }
  if (schedule->host != NULL) {
    out_layer->workers = schedule->host->worker_count;
    out_layer->partials = schedule->host->partial_count;
  }
  if (schedule->cuda != NULL) {
    out_layer->steps = schedule->cuda->step_count;
    out_layer->parts[TSR_TARGET_CUDA].padding = fragment_padding(grid);
  }
  for (size_t i = 0; i < cells; ++i) ++out_layer->tiles[grid->kinds[i]];
}

uint64_t tsr_packed_bytes(const tsr_packed_layer *layer) {
  for (int i = 0; i < TSR_FAMILY_COUNT; ++i) {
    if (layer->parts[i].is_there) return layer->parts[i].stream.size;
  }
  return 0;
}

bool tsr_packed_is_reused(const tsr_packed_layer *layer) {
  bool is_any = false;
  for (int i = 0; i < TSR_FAMILY_COUNT; ++i) {
    const tsr_packed_part *part = &layer->parts[i];
    if (part->is_there && !part->is_reused) return false;
    is_any |= part->is_there;
  }
  return is_any;
}

// ---- Keys ------------------------------------------------------------------

const char *tsr_key_part_name(tsr_key_part part) {
  static const char *const names[TSR_KEY_PART_COUNT] = {"weights", "mask",
                                                        "options", "compiler"};
  return names[part];
}

// Numbers are hashed one by one: padding in structs has no value.
static void hash_number(tsr_hash *state, uint64_t number) {
  uint64_t words[3] = {state->low, state->high, number};
  *state = tsr_hash_bytes(words, sizeof(words));
}

static tsr_hash hash_options(const tsr_plan_layer *layer,
                             const tsr_layer_schedule *schedule) {
  tsr_hash hash = {0};
  for (int i = 0; i < TSR_FAMILY_COUNT; ++i) {
    hash_number(&hash, tsr_layer_has(schedule, (tsr_target_family)i));
  }
  hash_number(&hash, layer->combine);
  hash_number(&hash, layer->tensor_count);
  hash_number(&hash, layer->tile.rows);
  hash_number(&hash, layer->tile.columns);
  hash_number(&hash, layer->weight_type);
  hash_number(&hash, layer->has_bias);
  hash_number(&hash, schedule->host == NULL ? 0 : schedule->host->worker_count);
  hash_number(&hash, layer->schedule.workers);
  hash_number(&hash, layer->schedule.balance);
  hash_number(&hash, layer->schedule.split_panels);
  hash_number(&hash, layer->rule_count);
  for (uint32_t i = 0; i < layer->rule_count; ++i) {
    const tsr_plan_rule *rule = &layer->rules[i];
    hash_number(&hash, rule->kind);
    hash_number(&hash, rule->row_begin);
    hash_number(&hash, rule->row_end);
    hash_number(&hash, rule->column_begin);
    hash_number(&hash, rule->column_end);
    hash_number(&hash, rule->is_assertion);
  }
  return hash;
}

void tsr_layer_key_init(const tsr_plan_layer *layer,
                        const tsr_layer_schedule *schedule,
                        tsr_layer_key *out_key) {
  *out_key = (tsr_layer_key){0};
  out_key->parts[TSR_KEY_OPTIONS] = hash_options(layer, schedule);
  tsr_hash *compiler = &out_key->parts[TSR_KEY_COMPILER];
  hash_number(compiler, TSR_BUNDLE_VERSION);
  hash_number(compiler, TSR_HOST_ABI_VERSION);
  hash_number(compiler, TSR_FRAGMENT_ABI_VERSION);
  hash_number(compiler, TSR_NVIDIA_ABI_VERSION);
  hash_number(compiler, TSR_PACKER_REVISION);
}

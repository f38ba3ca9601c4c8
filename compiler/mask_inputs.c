// SPDX-License-Identifier: Apache-2.0
// Gathers the matrices to mask. A plan is read through the importer, as a plan
// of one layer per tensor and without masks, so that every weight format that
// compiles can also be masked; a bare checkpoint is read directly.
#include "compiler/mask_inputs.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "compiler/checkpoint.h"
#include "compiler/import.h"

struct tsr_mask_inputs {
  tsr_arena arena;  // of names, plan and norms
  tsr_mask_tensor *tensors;
  uint32_t count;
  // Of a plan:
  tsr_inputs *files;
  tsr_matrix **matrices;  // [count]
  const char *straddling_first;
  uint32_t straddling_count;
  // Of a checkpoint:
  tsr_checkpoint *checkpoint;
};

static tsr_status create(uint64_t capacity, tsr_mask_inputs **out,
                         tsr_error *error) {
  tsr_mask_inputs *inputs = tsr_calloc(1, sizeof(*inputs));
  *out = NULL;
  if (inputs == NULL) return tsr_error_out_of_memory(error);
  if (capacity == 0) capacity = 1;
  tsr_arena_init(&inputs->arena);
  inputs->tensors = tsr_arena_alloc_array(&inputs->arena, (size_t)capacity,
                                          sizeof(*inputs->tensors));
  inputs->matrices = tsr_arena_alloc_array(&inputs->arena, (size_t)capacity,
                                           sizeof(tsr_matrix *));
  if (inputs->tensors == NULL || inputs->matrices == NULL) {
    tsr_mask_inputs_close(inputs);
    return tsr_error_out_of_memory(error);
  }
  *out = inputs;
  return TSR_OK;
}

void tsr_mask_inputs_close(tsr_mask_inputs *inputs) {
  if (inputs == NULL) return;
  for (uint32_t i = 0; i < inputs->count; ++i) {
    tsr_matrix_close(inputs->matrices[i]);
  }
  tsr_inputs_close(inputs->files);
  tsr_checkpoint_close(inputs->checkpoint);
  tsr_arena_fini(&inputs->arena);
  tsr_free(inputs);
}

const tsr_mask_tensor *tsr_mask_inputs_tensors(const tsr_mask_inputs *inputs) {
  return inputs->tensors;
}

uint32_t tsr_mask_inputs_count(const tsr_mask_inputs *inputs) {
  return inputs->count;
}

uint64_t tsr_mask_inputs_weights(const tsr_mask_inputs *inputs) {
  uint64_t weights = 0;
  for (uint32_t i = 0; i < inputs->count; ++i) {
    weights += (uint64_t)inputs->tensors[i].rows * inputs->tensors[i].columns;
  }
  return weights;
}

// ---------------------------------------------------------------------------
// A plan

// One mention of a tensor in a plan.
typedef struct mention {
  const tsr_plan_layer *layer;
  const tsr_plan_tensor *tensor;
  uint32_t order;
  uint32_t first;  // order of the tensor's first mention
  uint32_t place;  // among the distinct tensors
} mention;

static bool is_repeated(const mention *m) {
  return m->first != m->order;
}

static int compare_names(const void *left, const void *right) {
  const mention *const *a = left;
  const mention *const *b = right;
  int order = strcmp((*a)->tensor->name, (*b)->tensor->name);
  if (order != 0) return order;
  return (*a)->order < (*b)->order ? -1 : (*a)->order > (*b)->order;
}

static tsr_status check_repetition(const mention *first, const mention *again,
                                   tsr_error *error) {
  const char *name = first->tensor->name;
  if (first->tensor->weights_index != again->tensor->weights_index) {
    return tsr_error_set(error, TSR_UNSUPPORTED,
                         "two weights of the plan have a tensor '%s', but an "
                         "archive of masks can hold only one by that name",
                         name);
  }
  if (first->layer->tile.rows != again->layer->tile.rows ||
      first->layer->tile.columns != again->layer->tile.columns) {
    return tsr_error_set(error, TSR_UNSUPPORTED,
                         "tensor '%s' has different tiles in layers '%s' and "
                         "'%s'; give --tile",
                         name, first->layer->name, again->layer->name);
  }
  return TSR_OK;
}

static void collect(const tsr_plan *plan, mention *mentions) {
  uint32_t count = 0;
  for (uint32_t l = 0; l < plan->layer_count; ++l) {
    const tsr_plan_layer *layer = &plan->layers[l];
    for (uint32_t t = 0; t < layer->tensor_count; ++t) {
      mentions[count] = (mention){.layer = layer,
                                  .tensor = &layer->tensors[t],
                                  .order = count,
                                  .first = count};
      ++count;
    }
  }
}

// Finds the first mention of each name and numbers those.
static tsr_status number_distinct(mention *mentions, uint32_t count,
                                  bool own_tiles, tsr_arena *arena,
                                  tsr_error *error) {
  const mention **sorted = tsr_arena_alloc_array(arena, count, sizeof(*sorted));
  tsr_status status = TSR_OK;
  uint32_t places = 0;
  if (sorted == NULL) return tsr_error_out_of_memory(error);
  for (uint32_t i = 0; i < count; ++i) sorted[i] = &mentions[i];
  qsort(sorted, count, sizeof(*sorted), compare_names);
  const mention *first = NULL;
  for (uint32_t i = 0; i < count && status == TSR_OK; ++i) {
    bool repeated = first != NULL &&
                    strcmp(first->tensor->name, sorted[i]->tensor->name) == 0;
    if (!repeated) first = sorted[i];
    if (!repeated) continue;
    mentions[sorted[i]->order].first = first->order;
    mention again = *sorted[i];
    if (!own_tiles) again.layer = first->layer;
    status = check_repetition(first, &again, error);
  }
  for (uint32_t i = 0; i < count; ++i) {
    mention *m = &mentions[i];
    m->place = is_repeated(m) ? mentions[m->first].place : places++;
  }
  return status;
}

// The plan's layer for one tensor alone.
static void make_layer(const mention *m, tsr_tile_shape tile,
                       tsr_plan_tensor *tensor, tsr_plan_layer *layer) {
  *tensor = *m->tensor;
  tensor->bias_name = "";
  tensor->masks_index = 0;
  *layer = *m->layer;
  layer->name = tensor->name;
  layer->combine = TSR_COMBINE_SINGLE;
  layer->tensors = tensor;
  layer->tensor_count = 1;
  if (tile.rows != 0) layer->tile = tile;
  layer->has_bias = false;
  layer->has_residual = false;
  layer->activation = TSR_ACTIVATION_NONE;
  layer->rules = NULL;
  layer->rule_count = 0;
}

static tsr_status read_matrix(void *context, uint32_t row, uint32_t count,
                              float *values, tsr_error *error) {
  const tsr_matrix *matrix = context;
  return tsr_matrix_read_unmasked(matrix, row, count, values, error);
}

// Whether |second| is the other half of an interleaved layer. Both must be
// mentioned here first: a tensor is chosen once.
static bool are_partners(const mention *first, const mention *second) {
  return second->layer == first->layer &&
         first->layer->combine == TSR_COMBINE_INTERLEAVE &&
         first->tensor == &first->layer->tensors[0] &&
         second->tensor == &first->layer->tensors[1] && !is_repeated(first) &&
         !is_repeated(second);
}

// Binds |layer| as the next tensor. A mistake is in |diags| then.
static tsr_status add_matrix(tsr_mask_inputs *inputs,
                             const tsr_plan_layer *layer, uint32_t partner,
                             tsr_diags *diags, tsr_error *error) {
  tsr_matrix *matrix = NULL;
  tsr_status status =
      tsr_matrix_open(inputs->files, layer, diags, &matrix, error);
  if (status != TSR_OK || matrix == NULL) return status;
  tsr_mask_tensor *tensor = &inputs->tensors[inputs->count];
  *tensor = (tsr_mask_tensor){.name = layer->name,
                              .rows = tsr_matrix_rows(matrix),
                              .columns = tsr_matrix_columns(matrix),
                              .tile = layer->tile,
                              .partner = partner,
                              .read = read_matrix,
                              .context = matrix};
  if (partner != TSR_MASK_NO_PARTNER &&
      (inputs->tensors[partner].rows != tensor->rows ||
       inputs->tensors[partner].columns != tensor->columns)) {
    tensor->partner = TSR_MASK_NO_PARTNER;  // compile says what is wrong
  }
  inputs->matrices[inputs->count++] = matrix;
  return TSR_OK;
}

static tsr_status open_matrices(tsr_mask_inputs *inputs, const tsr_plan *plan,
                                const mention *mentions, uint32_t count,
                                tsr_tile_shape tile, tsr_diags *diags,
                                tsr_error *error) {
  static const tsr_plan_masks no_masks = {.format = TSR_MASK_NONE, .path = ""};
  tsr_arena *arena = &inputs->arena;
  tsr_plan_layer *layers = tsr_arena_alloc_array(arena, count, sizeof(*layers));
  tsr_plan_tensor *tensors =
      tsr_arena_alloc_array(arena, count, sizeof(*tensors));
  tsr_plan *copy = tsr_arena_alloc(arena, sizeof(*copy));
  if (layers == NULL || tensors == NULL || copy == NULL) {
    return tsr_error_out_of_memory(error);
  }
  *copy = *plan;
  copy->masks = &no_masks;
  copy->masks_count = 1;
  copy->layers = layers;
  copy->layer_count = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (is_repeated(&mentions[i])) continue;
    make_layer(&mentions[i], tile, &tensors[copy->layer_count],
               &layers[copy->layer_count]);
    ++copy->layer_count;
  }
  tsr_status status = tsr_inputs_open(copy, NULL, diags, &inputs->files, error);
  if (status != TSR_OK || inputs->files == NULL) return status;
  for (uint32_t i = 0; i < count && status == TSR_OK; ++i) {
    uint32_t place = mentions[i].place;
    if (is_repeated(&mentions[i])) continue;
    bool pair = i > 0 && are_partners(&mentions[i - 1], &mentions[i]) &&
                place == inputs->count;  // none failed before
    status = add_matrix(inputs, &layers[place],
                        pair ? place - 1 : TSR_MASK_NO_PARTNER, diags, error);
  }
  return status;
}

// All tensors are open and in their places.
static void count_straddling(tsr_mask_inputs *inputs, const mention *mentions,
                             uint32_t count) {
  const tsr_plan_layer *counted = NULL;
  for (uint32_t i = 0; i < count; ++i) {
    const mention *m = &mentions[i];
    uint32_t last = m->layer->tensor_count - 1;
    if (m->layer->combine != TSR_COMBINE_CONCATENATE || m->layer == counted ||
        m->tensor == &m->layer->tensors[last]) {
      continue;
    }
    const tsr_mask_tensor *tensor = &inputs->tensors[m->place];
    if (tensor->rows % tensor->tile.rows == 0) continue;
    counted = m->layer;
    if (inputs->straddling_count++ == 0) {
      inputs->straddling_first = m->layer->name;
    }
  }
}

uint32_t tsr_mask_inputs_straddling(const tsr_mask_inputs *inputs,
                                    const char **out_first) {
  *out_first = inputs->straddling_first;
  return inputs->straddling_count;
}

tsr_status tsr_mask_inputs_open_plan(const tsr_plan *plan, tsr_tile_shape tile,
                                     tsr_diags *diags,
                                     tsr_mask_inputs **out_inputs,
                                     tsr_error *error) {
  tsr_mask_inputs *inputs = NULL;
  uint32_t count = 0;
  uint32_t errors_before = tsr_diag_error_count(diags);
  *out_inputs = NULL;
  for (uint32_t i = 0; i < plan->layer_count; ++i) {
    count += plan->layers[i].tensor_count;
  }
  tsr_status status = create(count, &inputs, error);
  if (status != TSR_OK) return status;
  mention *mentions =
      tsr_arena_alloc_array(&inputs->arena, count, sizeof(*mentions));
  if (mentions == NULL) status = tsr_error_out_of_memory(error);
  if (status == TSR_OK) {
    collect(plan, mentions);
    status =
        number_distinct(mentions, count, tile.rows == 0, &inputs->arena, error);
  }
  if (status == TSR_OK) {
    status = open_matrices(inputs, plan, mentions, count, tile, diags, error);
  }
  if (status == TSR_OK && tsr_diag_error_count(diags) == errors_before) {
    count_straddling(inputs, mentions, count);
    *out_inputs = inputs;
  } else {
    tsr_mask_inputs_close(inputs);
  }
  return status;
}

// ---------------------------------------------------------------------------
// A checkpoint

static bool ends_with(const char *text, const char *tail) {
  size_t size = strlen(text);
  size_t tail_size = strlen(tail);
  return size >= tail_size && strcmp(text + size - tail_size, tail) == 0;
}

static bool is_wanted(const tsr_tensor *tensor, const char *const *patterns,
                      uint32_t count) {
  tsr_dtype type;
  if (tensor->rank != 2 || !tsr_tensor_dtype(tensor, &type)) return false;
  if (tensor->count == 0 || tensor->shape[0] > UINT32_MAX ||
      tensor->shape[1] > UINT32_MAX) {
    return false;
  }
  for (uint32_t i = 0; i < count; ++i) {
    if (fnmatch(patterns[i], tensor->name, 0) == 0) return true;
  }
  return count == 0 && ends_with(tensor->name, ".weight") &&
         (strstr(tensor->name, ".layers.") != NULL ||
          strstr(tensor->name, ".layer.") != NULL);
}

static tsr_status read_tensor(void *context, uint32_t row, uint32_t count,
                              float *values, tsr_error *error) {
  const tsr_tensor *tensor = context;
  uint64_t columns = tensor->shape[1];
  uint64_t element = tensor->size / tensor->count;
  (void)error;
  tsr_tensor_read(tensor, row * columns, count * columns, values);
  tsr_tensor_drop(tensor, row * columns * element, count * columns * element);
  return TSR_OK;
}

static tsr_status add_tensor(tsr_mask_inputs *inputs, const tsr_tensor *tensor,
                             tsr_tile_shape tile, tsr_error *error) {
  tsr_tensor *copy = tsr_arena_alloc(&inputs->arena, sizeof(*copy));
  if (copy == NULL) return tsr_error_out_of_memory(error);
  *copy = *tensor;
  inputs->tensors[inputs->count++] =
      (tsr_mask_tensor){.name = tensor->name,
                        .rows = (uint32_t)tensor->shape[0],
                        .columns = (uint32_t)tensor->shape[1],
                        .tile = tile,
                        .partner = TSR_MASK_NO_PARTNER,
                        .read = read_tensor,
                        .context = copy};
  return TSR_OK;
}

static tsr_status report_nothing(const char *path, const char *const *patterns,
                                 uint32_t count, tsr_error *error) {
  if (count == 0) {
    return tsr_error_set(error, TSR_NOT_FOUND,
                         "%s: no matrix is named '*.layers.*.weight' or "
                         "'*.layer.*.weight'; name them with --tensors",
                         path);
  }
  return tsr_error_set(error, TSR_NOT_FOUND, "%s: no matrix matches '%s'%s",
                       path, patterns[0],
                       count > 1 ? " or the other patterns" : "");
}

tsr_status tsr_mask_inputs_open_checkpoint(
    const char *path, const char *const *patterns, uint32_t pattern_count,
    tsr_tile_shape tile, tsr_mask_inputs **out_inputs, tsr_error *error) {
  tsr_checkpoint *checkpoint = NULL;
  tsr_mask_inputs *inputs = NULL;
  *out_inputs = NULL;
  tsr_status status = tsr_checkpoint_open(path, &checkpoint, error);
  if (status != TSR_OK) return status;
  uint32_t count = tsr_checkpoint_count(checkpoint);
  status = create(count, &inputs, error);
  if (status != TSR_OK) {
    tsr_checkpoint_close(checkpoint);
    return status;
  }
  inputs->checkpoint = checkpoint;
  for (uint32_t i = 0; i < count && status == TSR_OK; ++i) {
    const tsr_tensor *tensor = tsr_checkpoint_tensor(checkpoint, i);
    if (!is_wanted(tensor, patterns, pattern_count)) continue;
    status = add_tensor(inputs, tensor, tile, error);
  }
  if (status == TSR_OK && inputs->count == 0) {
    status = report_nothing(path, patterns, pattern_count, error);
  }
  if (status == TSR_OK) {
    *out_inputs = inputs;
  } else {
    tsr_mask_inputs_close(inputs);
  }
  return status;
}

// ---------------------------------------------------------------------------
// Norms

// "X.input_norm" or "X.weight" for "X.weight".
static const tsr_tensor *find_norms(const tsr_checkpoint *norms,
                                    const char *name, tsr_buffer *scratch) {
  size_t size = strlen(name);
  if (ends_with(name, ".weight")) size -= strlen(".weight");
  tsr_buffer_clear(scratch);
  tsr_buffer_append(scratch, name, size);
  tsr_buffer_append_string(scratch, ".input_norm");
  if (scratch->failed) return NULL;
  const tsr_tensor *tensor =
      tsr_checkpoint_find(norms, tsr_buffer_text(scratch));
  return tensor != NULL ? tensor : tsr_checkpoint_find(norms, name);
}

static tsr_status read_norms_of(tsr_mask_inputs *inputs,
                                tsr_mask_tensor *tensor, const char *path,
                                const tsr_tensor *norms, tsr_error *error) {
  tsr_dtype type;
  if (norms->rank != 1 || norms->count != tensor->columns ||
      !tsr_tensor_dtype(norms, &type)) {
    return tsr_error_set(error, TSR_MISMATCH,
                         "%s: '%s' is not a vector of %u floats, one for each "
                         "column of '%s'",
                         path, norms->name, tensor->columns, tensor->name);
  }
  float *values =
      tsr_arena_alloc_array(&inputs->arena, tensor->columns, sizeof(*values));
  if (values == NULL) return tsr_error_out_of_memory(error);
  tsr_tensor_read(norms, 0, norms->count, values);
  tensor->norms = values;
  return TSR_OK;
}

tsr_status tsr_mask_inputs_read_norms(tsr_mask_inputs *inputs, const char *path,
                                      tsr_error *error) {
  tsr_checkpoint *checkpoint = NULL;
  tsr_buffer scratch;
  tsr_buffer_init(&scratch);
  tsr_status status = tsr_checkpoint_open(path, &checkpoint, error);
  for (uint32_t i = 0; i < inputs->count && status == TSR_OK; ++i) {
    tsr_mask_tensor *tensor = &inputs->tensors[i];
    const tsr_tensor *norms = find_norms(checkpoint, tensor->name, &scratch);
    status = tsr_buffer_status(&scratch, error);
    if (status != TSR_OK) break;
    if (norms == NULL) {
      status = tsr_error_set(error, TSR_NOT_FOUND,
                             "%s: no norms '%s' for tensor '%s'", path,
                             tsr_buffer_text(&scratch), tensor->name);
    } else {
      status = read_norms_of(inputs, tensor, path, norms, error);
    }
  }
  tsr_checkpoint_close(checkpoint);
  tsr_buffer_fini(&scratch);
  return status;
}

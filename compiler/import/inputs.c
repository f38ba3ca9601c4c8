// SPDX-License-Identifier: Apache-2.0
// Opens every file that a plan names and checks every tensor against it, so
// that one run shows all mistakes.
#include "inputs.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"

static bool is_machines(tsr_status status, const tsr_error *problem) {
  switch (status) {
    case TSR_OUT_OF_MEMORY:
    case TSR_CANCELLED:
    case TSR_INTERNAL:
      return true;
    case TSR_IO:
      return problem->native == ENOMEM || problem->native == EMFILE ||
             problem->native == ENFILE;
    default:
      return false;
  }
}

tsr_status tsr_import_report(tsr_diags *diags, tsr_span span, tsr_status status,
                             const tsr_error *problem, tsr_error *error) {
  if (status == TSR_OK) return TSR_OK;
  if (is_machines(status, problem)) {
    if (error != NULL && error->status == TSR_OK) *error = *problem;
    return status;
  }
  tsr_diag_code code = TSR_DIAG_INPUT_UNREADABLE;
  if (status == TSR_CORRUPT || status == TSR_MISMATCH) {
    code = TSR_DIAG_INPUT_DAMAGED;
  } else if (status == TSR_UNSUPPORTED) {
    code = TSR_DIAG_INPUT_UNSUPPORTED;
  }
  tsr_diag_report(diags, code, span, "%s", problem->message);
  return TSR_OK;
}

static tsr_status join(const char *directory, const char *path, char **out_path,
                       tsr_error *error) {
  *out_path = tsr_path_join(directory, path);
  return *out_path == NULL ? tsr_error_out_of_memory(error) : TSR_OK;
}

static tsr_status open_weights(const char *directory, tsr_diags *diags,
                               tsr_weights_input *weights, bool *valid,
                               tsr_error *error) {
  if (weights->plan->format == TSR_WEIGHTS_SYNTHETIC) return TSR_OK;
  char *path = NULL;
  tsr_status status = join(directory, weights->plan->path, &path, error);
  if (status != TSR_OK) return status;
  tsr_error problem = {.status = TSR_OK};
  status = tsr_checkpoint_open(path, &weights->checkpoint, &problem);
  tsr_free(path);
  if (status != TSR_OK) *valid = false;
  return tsr_import_report(diags, weights->plan->span, status, &problem, error);
}

static bool has_file(tsr_mask_format format) {
  return format == TSR_MASK_PATCH || format == TSR_MASK_MASKLLM ||
         format == TSR_MASK_GRID;
}

static tsr_status open_masks(const char *directory, tsr_diags *diags,
                             tsr_mask_input *masks, bool *valid,
                             tsr_error *error) {
  if (!has_file(masks->plan->format)) return TSR_OK;
  tsr_status status = join(directory, masks->plan->path, &masks->path, error);
  if (status != TSR_OK) return status;
  tsr_error problem = {.status = TSR_OK};
  if (masks->plan->format != TSR_MASK_GRID) {
    status = tsr_npz_open(masks->path, &masks->npz, &problem);
  } else if (!tsr_path_exists(masks->path)) {
    status = tsr_error_set(&problem, TSR_NOT_FOUND,
                           "%s: no such file or folder", masks->path);
  }
  if (status != TSR_OK) *valid = false;
  return tsr_import_report(diags, masks->plan->span, status, &problem, error);
}

// A file that could not be opened was reported; its tensors are not.
static bool is_open(const tsr_inputs *inputs, const tsr_plan_tensor *tensor) {
  const tsr_weights_input *weights = &inputs->weights[tensor->weights_index];
  const tsr_mask_input *masks = &inputs->masks[tensor->masks_index];
  bool weights_open = weights->plan->format == TSR_WEIGHTS_SYNTHETIC ||
                      weights->checkpoint != NULL;
  bool masks_open =
      masks->npz != NULL || (masks->plan->format != TSR_MASK_PATCH &&
                             masks->plan->format != TSR_MASK_MASKLLM);
  return weights_open && masks_open;
}

// |parts| has room for the layer's.
static tsr_status check_layer(const tsr_inputs *inputs,
                              const tsr_plan_layer *layer, tsr_part *parts,
                              tsr_diags *diags, bool *valid, tsr_error *error) {
  bool all_bound = true;
  for (uint32_t i = 0; i < layer->tensor_count; ++i) {
    bool bound = is_open(inputs, &layer->tensors[i]);
    tsr_status status = TSR_OK;
    if (bound) {
      status = tsr_part_bind(inputs, layer, &layer->tensors[i], diags,
                             &parts[i], &bound, error);
    }
    if (status != TSR_OK) return status;
    all_bound = all_bound && bound;
  }
  bool fits = all_bound && tsr_parts_fit(layer, parts, diags);
  *valid = *valid && fits;
  return TSR_OK;
}

static tsr_status check_layers(const tsr_inputs *inputs, tsr_diags *diags,
                               bool *valid, tsr_error *error) {
  const tsr_plan *plan = inputs->plan;
  uint32_t most = 1;
  for (uint32_t i = 0; i < plan->layer_count; ++i) {
    uint32_t count = plan->layers[i].tensor_count;
    if (count > most) most = count;
  }
  tsr_part *parts = tsr_calloc(most, sizeof(*parts));
  if (parts == NULL) return tsr_error_out_of_memory(error);
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; i < plan->layer_count && status == TSR_OK; ++i) {
    status = check_layer(inputs, &plan->layers[i], parts, diags, valid, error);
  }
  tsr_free(parts);
  return status;
}

static tsr_status open_all(tsr_inputs *inputs, const char *directory,
                           tsr_diags *diags, bool *valid, tsr_error *error) {
  const tsr_plan *plan = inputs->plan;
  inputs->weights = tsr_calloc(plan->weights_count, sizeof(*inputs->weights));
  inputs->masks = tsr_calloc(plan->masks_count, sizeof(*inputs->masks));
  if (inputs->weights == NULL || inputs->masks == NULL) {
    return tsr_error_out_of_memory(error);
  }
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; i < plan->weights_count && status == TSR_OK; ++i) {
    inputs->weights[i].plan = &plan->weights[i];
    status = open_weights(directory, diags, &inputs->weights[i], valid, error);
  }
  for (uint32_t i = 0; i < plan->masks_count && status == TSR_OK; ++i) {
    inputs->masks[i].plan = &plan->masks[i];
    status = open_masks(directory, diags, &inputs->masks[i], valid, error);
  }
  if (status == TSR_OK) status = check_layers(inputs, diags, valid, error);
  return status;
}

tsr_status tsr_inputs_open(const tsr_plan *plan, const char *directory,
                           tsr_diags *diags, tsr_inputs **out_inputs,
                           tsr_error *error) {
  *out_inputs = NULL;
  tsr_inputs *inputs = tsr_calloc(1, sizeof(*inputs));
  if (inputs == NULL) return tsr_error_out_of_memory(error);
  inputs->plan = plan;
  if (directory == NULL) directory = plan->directory;
  bool valid = true;
  tsr_status status = open_all(inputs, directory, diags, &valid, error);
  if (status == TSR_OK && valid) {
    *out_inputs = inputs;
  } else {
    tsr_inputs_close(inputs);
  }
  return status;
}

void tsr_inputs_close(tsr_inputs *inputs) {
  if (inputs == NULL) return;
  for (uint32_t i = 0; inputs->weights != NULL; ++i) {
    if (i == inputs->plan->weights_count) break;
    tsr_checkpoint_close(inputs->weights[i].checkpoint);
  }
  for (uint32_t i = 0; inputs->masks != NULL; ++i) {
    if (i == inputs->plan->masks_count) break;
    tsr_npz_close(inputs->masks[i].npz);
    tsr_free(inputs->masks[i].path);
  }
  tsr_free(inputs->weights);
  tsr_free(inputs->masks);
  tsr_free(inputs);
}

const char *tsr_inputs_file(const tsr_inputs *inputs, uint32_t weights,
                            uint32_t index) {
  const tsr_checkpoint *checkpoint = inputs->weights[weights].checkpoint;
  return checkpoint == NULL ? NULL : tsr_checkpoint_file(checkpoint, index);
}

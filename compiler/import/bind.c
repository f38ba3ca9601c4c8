// SPDX-License-Identifier: Apache-2.0
// Finds what a plan's tensor stands for and checks types and shapes. Every
// mistake is a diagnostic at the tensor; nothing but headers is read.
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "convert.h"
#include "inputs.h"
#include "synthetic.h"

// What the steps of one binding share.
typedef struct binding {
  const tsr_inputs *inputs;
  const tsr_plan_layer *layer;
  const tsr_plan_tensor *tensor;
  const tsr_weights_input *weights;
  tsr_diags *diags;
  tsr_part *part;
  bool valid;
  tsr_error *error;
} binding;

static const char WEIGHT_SUFFIX[] = ".weight";

enum { MAX_EXTENT = 1 << 30 };

static void report_missing(binding *b, const char *name) {
  const tsr_checkpoint *checkpoint = b->weights->checkpoint;
  const char *nearest = tsr_checkpoint_nearest(checkpoint, name);
  const char *path = b->weights->plan->path;
  b->valid = false;
  if (nearest == NULL) {
    tsr_diag_report(b->diags, TSR_DIAG_TENSOR_NOT_FOUND, b->tensor->span,
                    "'%s' holds no tensor '%s'", path, name);
  } else {
    tsr_diag_report(b->diags, TSR_DIAG_TENSOR_NOT_FOUND, b->tensor->span,
                    "'%s' holds no tensor '%s'; did you mean '%s'?", path, name,
                    nearest);
  }
  tsr_diag_note(b->diags, b->weights->plan->span,
                "these weights were searched");
}

static void report_damage(binding *b, const char *name, const char *what) {
  b->valid = false;
  tsr_diag_report(b->diags, TSR_DIAG_INPUT_DAMAGED, b->tensor->span,
                  "'%s': tensor '%s' %s", b->weights->plan->path, name, what);
}

// "[2, 3]" for messages; static per call site through |out|.
static void format_shape(const tsr_tensor *tensor, char *out, size_t capacity) {
  size_t size = 0;
  out[0] = '\0';
  for (uint32_t i = 0; i < tensor->rank && size + 24 < capacity; ++i) {
    int written =
        snprintf(out + size, capacity - size, i == 0 ? "%llu" : ", %llu",
                 (unsigned long long)tensor->shape[i]);
    if (written > 0) size += (size_t)written;
  }
}

static bool check_type(binding *b, const tsr_tensor *tensor,
                       tsr_dtype *out_type) {
  if (tsr_tensor_dtype(tensor, out_type)) return true;
  b->valid = false;
  tsr_diag_report(b->diags, TSR_DIAG_TENSOR_TYPE, b->tensor->span,
                  "tensor '%s' has elements of type %s (F32, F16 and BF16 can "
                  "be compiled)",
                  tensor->name, tensor->type_name);
  return false;
}

static bool set_extents(binding *b, uint64_t rows, uint64_t columns) {
  if (rows == 0 || columns == 0 || rows > MAX_EXTENT || columns > MAX_EXTENT) {
    b->valid = false;
    tsr_diag_report(b->diags, TSR_DIAG_TENSOR_NOT_MATRIX, b->tensor->span,
                    "tensor '%s' is [%llu, %llu]; each extent must be 1..%d",
                    b->tensor->name, (unsigned long long)rows,
                    (unsigned long long)columns, MAX_EXTENT);
    return false;
  }
  b->part->rows = (uint32_t)rows;
  b->part->columns = (uint32_t)columns;
  return true;
}

static void bind_plain(binding *b, const tsr_tensor *tensor) {
  if (tensor->rank != 2) {
    char shape[256];
    format_shape(tensor, shape, sizeof(shape));
    b->valid = false;
    tsr_diag_report(b->diags, TSR_DIAG_TENSOR_NOT_MATRIX, b->tensor->span,
                    "tensor '%s' has shape [%s], not [out_features, "
                    "in_features]",
                    tensor->name, shape);
    return;
  }
  b->part->storage = TSR_PART_PLAIN;
  b->part->values = tensor;
  if (check_type(b, tensor, &b->part->type)) {
    (void)set_extents(b, tensor->shape[0], tensor->shape[1]);
  }
}

// ---- compressed-tensors ----------------------------------------------------

// "<prefix>.<part>", and failing that "<name>.<part>" as older versions wrote.
static const tsr_tensor *find_member(binding *b, const char *part,
                                     char **out_name) {
  const char *name = b->tensor->name;
  size_t size = strlen(name);
  size_t cut = sizeof(WEIGHT_SUFFIX) - 1;
  bool has_suffix = size > cut && strcmp(name + size - cut, WEIGHT_SUFFIX) == 0;
  size_t capacity = size + strlen(part) + 2;
  char *text = tsr_malloc(capacity);
  *out_name = text;
  if (text == NULL) return NULL;
  const tsr_checkpoint *checkpoint = b->weights->checkpoint;
  const tsr_tensor *found = NULL;
  snprintf(text, capacity, "%s.%s", name, part);
  found = tsr_checkpoint_find(checkpoint, text);
  if (found == NULL && has_suffix) {
    snprintf(text, capacity, "%.*s.%s", (int)(size - cut), name, part);
    found = tsr_checkpoint_find(checkpoint, text);
  }
  return found;
}

// The member, or NULL after a report (|required|) or when out of memory.
static tsr_status take_member(binding *b, const char *part, tsr_element element,
                              const tsr_tensor **out) {
  char *name = NULL;
  *out = find_member(b, part, &name);
  if (name == NULL) return tsr_error_out_of_memory(b->error);
  if (*out == NULL) {
    report_damage(b, name, "is missing");
  } else if ((*out)->element != element) {
    report_damage(
        b, name,
        element == TSR_ELEMENT_U8 ? "is not of type U8" : "is not of type I64");
    *out = NULL;
  }
  tsr_free(name);
  return TSR_OK;
}

static uint64_t read_int64(const tsr_tensor *tensor, uint64_t index) {
  uint64_t value;
  memcpy(&value, tensor->data + 8 * index, sizeof(value));
  return value;
}

static void check_compressed(binding *b, const tsr_tensor *values) {
  tsr_part *part = b->part;
  const tsr_tensor *bitmask = part->bitmask;
  if (bitmask->rank != 2 || bitmask->shape[0] != part->rows ||
      bitmask->shape[1] != tsr_bits_size(part->columns)) {
    report_damage(b, bitmask->name, "does not fit the declared shape");
  }
  if (part->storage == TSR_PART_BITMASK) {
    if (part->offsets->count != part->rows) {
      report_damage(b, part->offsets->name, "does not fit the declared shape");
    }
    if (values->rank != 1) {
      report_damage(b, values->name, "does not have one dimension");
    }
  } else if (part->columns % 4 != 0 || values->rank != 2 ||
             values->shape[0] != part->rows ||
             values->shape[1] != part->columns / 2) {
    report_damage(b, values->name,
                  "is not [out_features, in_features / 2], as 2:4 needs");
  }
}

static tsr_status bind_compressed(binding *b, const tsr_tensor *values) {
  tsr_part *part = b->part;
  const tsr_tensor *shape = NULL;
  part->storage = b->weights->plan->format == TSR_WEIGHTS_BITMASK
                      ? TSR_PART_BITMASK
                      : TSR_PART_BITMASK24;
  part->values = values;
  (void)check_type(b, values, &part->type);
  tsr_status status = take_member(b, "bitmask", TSR_ELEMENT_U8, &part->bitmask);
  if (status == TSR_OK) {
    status = take_member(b, "shape", TSR_ELEMENT_I64, &shape);
  }
  if (status == TSR_OK && part->storage == TSR_PART_BITMASK) {
    status = take_member(b, "row_offsets", TSR_ELEMENT_I64, &part->offsets);
  }
  if (status != TSR_OK || !b->valid) return status;
  if (shape->count != 2) {
    report_damage(b, shape->name, "does not hold two extents");
  } else if (set_extents(b, read_int64(shape, 0), read_int64(shape, 1))) {
    check_compressed(b, values);
  }
  return TSR_OK;
}

// ---- weights and bias ------------------------------------------------------

static void bind_synthetic(binding *b) {
  uint64_t seed = b->weights->plan->seed;
  tsr_part *part = b->part;
  part->storage = TSR_PART_SYNTHETIC;
  // Values are exact in every 16-bit type.
  part->type = TSR_DTYPE_BF16;
  part->key = tsr_synthetic_key(seed, b->tensor->name);
  part->bias_key = tsr_synthetic_key(seed, b->tensor->bias_name);
  (void)set_extents(b, b->tensor->rows, b->tensor->columns);
}

static tsr_status bind_weights(binding *b) {
  const tsr_checkpoint *checkpoint = b->weights->checkpoint;
  tsr_weights_format format = b->weights->plan->format;
  if (format == TSR_WEIGHTS_SYNTHETIC) {
    bind_synthetic(b);
    return TSR_OK;
  }
  if (format != TSR_WEIGHTS_SAFETENSORS) {
    char *name = NULL;
    const tsr_tensor *values = find_member(b, "compressed", &name);
    tsr_free(name);
    if (name == NULL) return tsr_error_out_of_memory(b->error);
    if (values != NULL) return bind_compressed(b, values);
    // Layers on the ignore list of a compressed checkpoint are plain.
  }
  const tsr_tensor *tensor = tsr_checkpoint_find(checkpoint, b->tensor->name);
  if (tensor == NULL) {
    report_missing(b, b->tensor->name);
  } else {
    bind_plain(b, tensor);
  }
  return TSR_OK;
}

static void bind_bias(binding *b) {
  const char *name = b->tensor->bias_name;
  if (name[0] == '\0' || b->part->storage == TSR_PART_SYNTHETIC) return;
  const tsr_tensor *bias = tsr_checkpoint_find(b->weights->checkpoint, name);
  tsr_dtype type;
  if (bias == NULL) {
    report_missing(b, name);
  } else if (check_type(b, bias, &type) && b->part->rows != 0 &&
             (bias->rank != 1 || bias->shape[0] != b->part->rows)) {
    char shape[256];
    format_shape(bias, shape, sizeof(shape));
    b->valid = false;
    tsr_diag_report(b->diags, TSR_DIAG_BIAS_SHAPE, b->tensor->span,
                    "bias '%s' has shape [%s], its weight has %u rows", name,
                    shape, b->part->rows);
  }
  b->part->bias = bias;
}

// ---- masks -----------------------------------------------------------------

static void note_masks(binding *b) {
  tsr_diag_note(b->diags, b->part->masks->plan->span,
                "these masks were searched");
}

// "<name><suffix>". Owned; NULL when out of memory.
static char *append(const char *name, const char *suffix) {
  size_t size = strlen(name) + strlen(suffix) + 1;
  char *text = tsr_malloc(size);
  if (text != NULL) snprintf(text, size, "%s%s", name, suffix);
  return text;
}

// PATCH's and MaskLLM's archives are easily taken for each other.
static tsr_status note_other_format(binding *b) {
  bool is_patch = b->part->masks->plan->format == TSR_MASK_PATCH;
  char *other = append(b->tensor->name, is_patch ? ".mask" : "");
  if (other == NULL) return tsr_error_out_of_memory(b->error);
  uint32_t index;
  if (tsr_npz_find(b->part->masks->npz, other, &index)) {
    tsr_diag_note(
        b->diags, b->part->masks->plan->span,
        "it holds '%s': these are masks of %s", other,
        is_patch ? "MaskLLM, `masks maskllm`" : "PATCH, `masks patch`");
  } else {
    note_masks(b);
  }
  tsr_free(other);
  return TSR_OK;
}

static tsr_status report_no_mask(binding *b, const char *member) {
  const tsr_mask_input *masks = b->part->masks;
  const char *path = masks->plan->path;
  const char *nearest = tsr_npz_nearest(masks->npz, member);
  b->valid = false;
  if (nearest == NULL) {
    tsr_diag_report(b->diags, TSR_DIAG_MASK_NOT_FOUND, b->tensor->span,
                    "'%s' holds no mask '%s'", path, member);
  } else {
    tsr_diag_report(b->diags, TSR_DIAG_MASK_NOT_FOUND, b->tensor->span,
                    "'%s' holds no mask '%s'; did you mean '%s'?", path, member,
                    nearest);
  }
  return note_other_format(b);
}

static uint64_t mask_bytes(const tsr_part *part) {
  return ((uint64_t)part->rows * part->columns + 7) / 8;
}

static void check_bits(binding *b, const tsr_npy *array, const char *member) {
  const tsr_part *part = b->part;
  if (array->type == TSR_NPY_UINT8 && array->rank == 1 &&
      array->count == mask_bytes(part)) {
    return;
  }
  b->valid = false;
  if (array->type != TSR_NPY_UINT8 || array->rank != 1) {
    tsr_diag_report(b->diags, TSR_DIAG_MASK_SHAPE, b->tensor->span,
                    "mask '%s' is of type %s with %u dimensions, not packed "
                    "bits (uint8, one dimension)",
                    member, tsr_npy_type_name(array->type), array->rank);
  } else {
    tsr_diag_report(b->diags, TSR_DIAG_MASK_SHAPE, b->tensor->span,
                    "mask '%s' has %llu bytes; the weight [%u, %u] needs %llu",
                    member, (unsigned long long)array->count, part->rows,
                    part->columns, (unsigned long long)mask_bytes(part));
  }
  note_masks(b);
}

static void check_shape_values(binding *b, const tsr_npy *array,
                               const char *member) {
  const int64_t *shape = array->data;
  const tsr_part *part = b->part;
  if (shape[0] == part->rows && shape[1] == part->columns) return;
  b->valid = false;
  tsr_diag_report(b->diags, TSR_DIAG_MASK_SHAPE, b->tensor->span,
                  "mask '%s' is for a matrix [%lld, %lld]; the weight is [%u, "
                  "%u]",
                  member, (long long)shape[0], (long long)shape[1], part->rows,
                  part->columns);
  note_masks(b);
}

static tsr_status report_archive(binding *b, tsr_status status,
                                 const tsr_error *problem) {
  if (status != TSR_OK) b->valid = false;
  return tsr_import_report(b->diags, b->tensor->span, status, problem,
                           b->error);
}

// PATCH stores the shape beside the bits.
static tsr_status check_shape_member(binding *b, const char *member,
                                     const char *shape_member) {
  const tsr_npz *npz = b->part->masks->npz;
  uint32_t index = 0;
  if (!tsr_npz_find(npz, shape_member, &index)) {
    return report_no_mask(b, shape_member);
  }
  tsr_error problem = {.status = TSR_OK};
  tsr_npy array;
  void *memory = NULL;
  tsr_status status = tsr_npz_peek(npz, index, &array, &problem);
  if (status == TSR_OK &&
      (array.type != TSR_NPY_INT64 || array.rank != 1 || array.count != 2)) {
    status = tsr_error_set(&problem, TSR_CORRUPT,
                           "%s: %s is not an int64 array of two extents",
                           b->part->masks->plan->path, shape_member);
  }
  if (status == TSR_OK) {
    status = tsr_npz_read(npz, index, &array, &memory, &problem);
  }
  if (status == TSR_OK) check_shape_values(b, &array, member);
  tsr_free(memory);
  return report_archive(b, status, &problem);
}

static tsr_status bind_member(binding *b, const char *member) {
  const tsr_npz *npz = b->part->masks->npz;
  if (!tsr_npz_find(npz, member, &b->part->mask_member)) {
    return report_no_mask(b, member);
  }
  tsr_error problem = {.status = TSR_OK};
  tsr_npy array;
  tsr_status status = tsr_npz_peek(npz, b->part->mask_member, &array, &problem);
  if (status != TSR_OK) return report_archive(b, status, &problem);
  if (b->part->masks->plan->format == TSR_MASK_PATCH) {
    char *shape_member = append(member, ".__shape__");
    if (shape_member == NULL) return tsr_error_out_of_memory(b->error);
    status = check_shape_member(b, member, shape_member);
    tsr_free(shape_member);
  }
  if (status == TSR_OK && b->valid) check_bits(b, &array, member);
  return status;
}

static tsr_status bind_archive(binding *b) {
  bool is_patch = b->part->masks->plan->format == TSR_MASK_PATCH;
  char *member = append(b->tensor->name, is_patch ? "" : ".mask");
  if (member == NULL) return tsr_error_out_of_memory(b->error);
  tsr_status status = bind_member(b, member);
  tsr_free(member);
  return status;
}

static tsr_status bind_grid(binding *b) {
  tsr_map map = {.data = NULL};
  tsr_npy array;
  tsr_status status = tsr_part_open_grid(b->part, b->layer->tile, b->diags,
                                         &map, &array, b->error);
  if (status == TSR_OK && array.data == NULL) b->valid = false;
  tsr_map_close(&map);
  return status;
}

static tsr_status bind_mask(binding *b) {
  switch (b->part->masks->plan->format) {
    case TSR_MASK_PATCH:
    case TSR_MASK_MASKLLM:
      return bind_archive(b);
    case TSR_MASK_GRID:
      return bind_grid(b);
    case TSR_MASK_BITMASK:
      if (b->weights->plan->format != TSR_WEIGHTS_BITMASK &&
          b->weights->plan->format != TSR_WEIGHTS_BITMASK24) {
        b->valid = false;
        tsr_diag_report(b->diags, TSR_DIAG_MASK_NOT_FOUND, b->tensor->span,
                        "the weights of '%s' are not compressed, so they hold "
                        "no bitmask",
                        b->tensor->name);
      }
      return TSR_OK;
    default:
      return TSR_OK;
  }
}

tsr_status tsr_part_bind(const tsr_inputs *inputs, const tsr_plan_layer *layer,
                         const tsr_plan_tensor *tensor, tsr_diags *diags,
                         tsr_part *out_part, bool *out_is_valid,
                         tsr_error *error) {
  *out_part = (tsr_part){.tensor = tensor,
                         .masks = &inputs->masks[tensor->masks_index]};
  binding b = {.inputs = inputs,
               .layer = layer,
               .tensor = tensor,
               .weights = &inputs->weights[tensor->weights_index],
               .diags = diags,
               .part = out_part,
               .valid = true,
               .error = error};
  tsr_status status = bind_weights(&b);
  if (status == TSR_OK) bind_bias(&b);
  if (status == TSR_OK && b.valid) status = bind_mask(&b);
  *out_is_valid = b.valid;
  return status;
}

// SPDX-License-Identifier: Apache-2.0
// Checks of single layers, which fill in their part of the plan, and of all
// layers together.
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/suggest.h"
#include "frontend/sema.h"

static tsr_diags *diags_of(const tsr_sema *sema) {
  return sema->compilation->diags;
}

static tsr_node *slot_node(const tsr_draft_layer *layer, tsr_slot slot) {
  return layer->effective.slots[slot].node;
}

// Settings of the plan and its declarations: weights and masks at the top are
// declarations, not settings.
static bool collect_plan(tsr_sema *sema, const tsr_ast *ast) {
  bool good = true;
  for (tsr_node *node = ast->root->body; node != NULL; node = node->next) {
    if (node->included != NULL) {
      good = collect_plan(sema, node->included) && good;
    } else if (node->kind == TSR_NODE_MODEL) {
      if (sema->model == NULL) {
        sema->model = node;
        continue;
      }
      tsr_diag_report(diags_of(sema), TSR_DIAG_DUPLICATE_SETTING, node->span,
                      "'model' is given twice");
      tsr_diag_note(diags_of(sema), sema->model->span, "first given here");
      good = false;
    } else if (node->kind != TSR_NODE_WEIGHTS && node->kind != TSR_NODE_MASKS) {
      tsr_node *next = node->next;
      node->next = NULL;  // collect exactly this one
      good =
          tsr_settings_collect(sema, node, NULL, &sema->settings, NULL) && good;
      node->next = next;
    }
  }
  return good;
}

bool tsr_check_plan_settings_once(tsr_sema *sema, void *unused) {
  (void)unused;
  return collect_plan(sema, sema->ast);
}

// --- name --------------------------------------------------------------------

static const char *mangle(tsr_sema *sema, const char *name) {
  bool digit = name[0] >= '0' && name[0] <= '9';
  char *symbol = tsr_arena_printf(&sema->compilation->arena, "%s%s",
                                  digit ? "_" : "", name);
  if (symbol == NULL) {
    sema->out_of_memory = true;
    return NULL;
  }
  for (char *c = symbol; *c != '\0'; ++c) {
    bool keep = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                (*c >= '0' && *c <= '9');
    if (!keep) *c = '_';
  }
  return symbol;
}

bool tsr_check_layer_name(tsr_sema *sema, tsr_draft_layer *layer) {
  const char *name;
  tsr_node *node = layer->node->first;
  if (!tsr_sema_text(sema, node, layer->bindings, &name)) return false;
  size_t size = strlen(name);
  bool control = false;
  for (const char *c = name; *c != '\0'; ++c) {
    control = control || (unsigned char)*c < 0x20 || *c == 0x7f;
  }
  if (size == 0 || size > 255 || control) {
    tsr_diag_report(diags_of(sema), TSR_DIAG_LAYER_NAME, node->span,
                    size == 0    ? "a layer's name may not be empty"
                    : size > 255 ? "a layer's name may have 255 bytes"
                                 : "a layer's name may not have control "
                                   "characters");
    return false;
  }
  layer->plan.name = name;
  layer->plan.symbol = mangle(sema, name);
  return layer->plan.symbol != NULL;
}

static void apply_matches(tsr_sema *sema, tsr_draft_layer *layer,
                          const char *name) {
  for (uint32_t i = 0; i < sema->matches.count; ++i) {
    tsr_draft_match *match = tsr_vector_at(&sema->matches, i);
    if (match->pattern == NULL || !tsr_glob_match(match->pattern, name)) {
      continue;
    }
    match->used = true;
    tsr_settings_override(&layer->effective, &match->settings);
    for (tsr_node *n = match->node->body; n != NULL; n = n->next) {
      if (n->kind != TSR_NODE_RULE) continue;
      tsr_node **rule = tsr_vector_push(sema, &layer->rules);
      if (rule != NULL) *rule = n;
    }
  }
}

bool tsr_check_layer_settings_once(tsr_sema *sema, tsr_draft_layer *layer) {
  tsr_vector rules = {.item_size = sizeof(tsr_node *)};
  bool good = tsr_settings_collect(sema, layer->node->body, layer->bindings,
                                   &layer->own, &rules);
  layer->effective = sema->settings;
  if ((layer->failed & (tsr_check_set)1 << TSR_CHECK_layer_name) == 0) {
    apply_matches(sema, layer, layer->plan.name);
  }
  tsr_settings_override(&layer->effective, &layer->own);
  for (uint32_t i = 0; i < rules.count; ++i) {
    tsr_node *const *from = tsr_vector_at(&rules, i);
    tsr_node **rule = tsr_vector_push(sema, &layer->rules);
    if (rule != NULL) *rule = *from;
  }
  return good;
}

// --- tensors -----------------------------------------------------------------

bool tsr_check_layer_weight(tsr_sema *sema, tsr_draft_layer *layer) {
  const tsr_node *node = slot_node(layer, TSR_SLOT_COMBINE);
  if (node != NULL) {
    layer->plan.combine =
        node->kind == TSR_NODE_CONCAT       ? TSR_COMBINE_CONCATENATE
        : node->kind == TSR_NODE_INTERLEAVE ? TSR_COMBINE_INTERLEAVE
                                            : TSR_COMBINE_SINGLE;
    return true;
  }
  if (!layer->own.lost && !layer->node->erroneous) {
    layer->node->erroneous = true;
    tsr_diag_report(diags_of(sema), TSR_DIAG_NO_WEIGHT,
                    layer->node->first->span,
                    "this layer has none of weight, concat, interleave");
  }
  return false;
}

static uint32_t count_nodes(const tsr_node *first) {
  uint32_t count = 0;
  for (; first != NULL; first = first->next) ++count;
  return count;
}

bool tsr_check_tensor_count(tsr_sema *sema, tsr_draft_layer *layer) {
  tsr_node *node = slot_node(layer, TSR_SLOT_COMBINE);
  uint32_t count = count_nodes(node->first);
  static const uint32_t least[] = {1, 2, 2};
  static const uint32_t most[] = {1, TSR_TENSOR_COUNT_MAX, 2};
  static const char *const wanted[] = {"one tensor", "2 to 64 tensors",
                                       "two tensors"};
  uint32_t combine = (uint32_t)layer->plan.combine;
  layer->plan.tensor_count = count;
  if (count >= least[combine] && count <= most[combine]) return true;
  if (!node->erroneous) {
    node->erroneous = true;
    tsr_diag_report(diags_of(sema), TSR_DIAG_TENSOR_COUNT, node->span,
                    "%s takes %s, not %u", tsr_node_kind_name(node->kind),
                    wanted[combine], count);
  }
  return false;
}

static tsr_node *tensor_clause(const tsr_node *tensor, tsr_node_kind kind) {
  tsr_node *n = tensor->first;
  while (n != NULL && n->kind != kind) n = n->next;
  return n;
}

// The name of a tensor that is not named: "<layer>.weight", "<layer>.1.weight".
static const char *made_up_name(tsr_sema *sema, const tsr_draft_layer *layer,
                                uint32_t index) {
  tsr_arena *arena = &sema->compilation->arena;
  const char *name =
      layer->plan.tensor_count == 1
          ? tsr_arena_printf(arena, "%s.weight", layer->plan.name)
          : tsr_arena_printf(arena, "%s.%u.weight", layer->plan.name, index);
  if (name == NULL) sema->out_of_memory = true;
  return name;
}

static bool read_tensor_name(tsr_sema *sema, tsr_draft_layer *layer,
                             tsr_node *node, uint32_t index) {
  tsr_plan_tensor *tensor = &layer->tensors[index];
  tensor->span = node->span;
  tensor->bias_name = "";
  tsr_node *first = node->first;
  if (first->kind == TSR_NODE_STRING) {
    return tsr_sema_name(sema, first, layer->bindings, &tensor->name);
  }
  static const char *const words[] = {"synthetic"};
  if (!tsr_node_is_word(first, words[0])) {
    tsr_sema_unknown_word(sema, TSR_DIAG_UNKNOWN_WORD, first, "word", words, 1);
    return false;
  }
  tensor->name = made_up_name(sema, layer, index);
  return tensor->name != NULL;
}

bool tsr_check_tensor_names(tsr_sema *sema, tsr_draft_layer *layer) {
  layer->tensors =
      tsr_arena_alloc_array(&sema->compilation->arena, layer->plan.tensor_count,
                            sizeof(*layer->tensors));
  if (layer->tensors == NULL) {
    sema->out_of_memory = true;
    return false;
  }
  layer->plan.tensors = layer->tensors;
  bool good = true;
  uint32_t index = 0;
  for (tsr_node *n = slot_node(layer, TSR_SLOT_COMBINE)->first; n != NULL;
       n = n->next) {
    good = read_tensor_name(sema, layer, n, index++) && good;
  }
  return good;
}

// --- sources of tensors ------------------------------------------------------

static void report_unknown_source(tsr_sema *sema, tsr_node *string,
                                  const tsr_vector *sources, const char *what,
                                  const char *name) {
  enum { SHOWN_MAX = 32 };
  const char *names[SHOWN_MAX] = {NULL};
  uint32_t count = 0;
  for (uint32_t i = 0; i < sources->count && count < SHOWN_MAX; ++i) {
    const tsr_draft_source *source = tsr_vector_at(sources, i);
    if (source->name != NULL) names[count++] = source->name;
  }
  const char *near = tsr_suggest(name, (uint32_t)strlen(name), names, count);
  if (near != NULL) {
    tsr_diag_report(diags_of(sema), TSR_DIAG_UNKNOWN_SOURCE, string->span,
                    "no %s named \"%s\"; did you mean \"%s\"?", what, name,
                    near);
  } else {
    tsr_diag_report(diags_of(sema), TSR_DIAG_UNKNOWN_SOURCE, string->span,
                    "no %s named \"%s\"", what, name);
  }
}

static bool find_source(tsr_sema *sema, tsr_node *string,
                        const tsr_binding *bindings, const tsr_vector *sources,
                        const char *what, uint32_t *out_index) {
  const char *name;
  if (!tsr_sema_name(sema, string, bindings, &name)) return false;
  for (uint32_t i = 0; i < sources->count; ++i) {
    tsr_draft_source *source = tsr_vector_at(sources, i);
    if (source->name == NULL || strcmp(source->name, name) != 0) continue;
    *out_index = i;
    return true;
  }
  // After a syntax error the declaration may be what was lost.
  if (!sema->lost) report_unknown_source(sema, string, sources, what, name);
  return false;
}

// Without from: the declaration without a name, or else the only one.
static bool default_source(tsr_sema *sema, tsr_node *node,
                           const tsr_vector *sources, const char *what,
                           uint32_t *out_index) {
  *out_index = 0;
  for (uint32_t i = 0; i < sources->count; ++i) {
    const tsr_draft_source *source = tsr_vector_at(sources, i);
    if (source->name != NULL) continue;
    *out_index = i;
    return true;
  }
  if (sources->count <= 1) return true;
  if (!node->erroneous) {
    tsr_diag_report(diags_of(sema), TSR_DIAG_SOURCE_AMBIGUOUS, node->span,
                    "which %s? All declarations have names; say from", what);
  }
  node->erroneous = true;
  return false;
}

// Synthetic tensors without from take the default when that is synthetic, and
// else the only synthetic declaration.
static bool synthetic_source(tsr_sema *sema, tsr_node *node,
                             uint32_t *out_index) {
  uint32_t found = UINT32_MAX;
  for (uint32_t i = 0; i < sema->weights.count; ++i) {
    const tsr_draft_source *source = tsr_vector_at(&sema->weights, i);
    if (source->weights.format != TSR_WEIGHTS_SYNTHETIC) continue;
    if (found == UINT32_MAX || source->name == NULL) found = i;
  }
  if (found == UINT32_MAX) {
    if (!node->erroneous && !sema->lost) {
      tsr_diag_report(diags_of(sema), TSR_DIAG_NO_WEIGHTS, node->span,
                      "no synthetic weights are declared; say: weights "
                      "synthetic seed 1;");
    }
    node->erroneous = true;
    return false;
  }
  *out_index = found;
  return true;
}

static bool bind_weights(tsr_sema *sema, tsr_draft_layer *layer, tsr_node *node,
                         uint32_t *out_index) {
  const tsr_node *from = tensor_clause(node, TSR_NODE_FROM);
  const tsr_binding *bindings = layer->bindings;
  if (from == NULL) {
    const tsr_setting *setting = &layer->effective.slots[TSR_SLOT_WEIGHTS];
    if (setting->node != NULL) {
      from = tensor_clause(setting->node, TSR_NODE_FROM);
      bindings = setting->bindings;
      if (from == NULL) return false;  // reported where it stands
    }
  }
  if (from != NULL) {
    return find_source(sema, from->first, bindings, &sema->weights, "weights",
                       out_index);
  }
  if (node->first->kind == TSR_NODE_WORD) {
    return synthetic_source(sema, node, out_index);
  }
  return default_source(sema, node, &sema->weights, "weights", out_index);
}

// Index of the implicit declaration "keep everything", made when first needed.
static bool no_masks(tsr_sema *sema, uint32_t *out_index) {
  for (uint32_t i = 0; i < sema->masks.count; ++i) {
    const tsr_draft_source *source = tsr_vector_at(&sema->masks, i);
    if (source->node == NULL) {
      *out_index = i;
      return true;
    }
  }
  tsr_draft_source *source = tsr_vector_push(sema, &sema->masks);
  if (source == NULL) return false;
  source->name = "\n";  // no string of a plan is that
  source->good = true;
  source->used = true;
  source->masks.format = TSR_MASK_NONE;
  source->masks.path = "";
  source->masks.span = TSR_SPAN_NONE;
  *out_index = sema->masks.count - 1;
  return true;
}

static bool has_declared_masks(const tsr_sema *sema) {
  for (uint32_t i = 0; i < sema->masks.count; ++i) {
    const tsr_draft_source *source = tsr_vector_at(&sema->masks, i);
    if (source->node != NULL) return true;
  }
  return false;
}

static bool bind_masks(tsr_sema *sema, tsr_draft_layer *layer, tsr_node *node,
                       uint32_t *out_index) {
  const tsr_node *clause = tensor_clause(node, TSR_NODE_MASKS);
  if (clause != NULL) {
    return find_source(sema, clause->first, layer->bindings, &sema->masks,
                       "masks", out_index);
  }
  const tsr_setting *setting = &layer->effective.slots[TSR_SLOT_MASKS];
  if (setting->node != NULL) {
    const tsr_node *from = tensor_clause(setting->node, TSR_NODE_FROM);
    if (from != NULL) {
      return find_source(sema, from->first, setting->bindings, &sema->masks,
                         "masks", out_index);
    }
    return no_masks(sema, out_index);
  }
  if (!has_declared_masks(sema)) return no_masks(sema, out_index);
  return default_source(sema, node, &sema->masks, "masks", out_index);
}

bool tsr_check_tensor_sources(tsr_sema *sema, tsr_draft_layer *layer) {
  bool good = true;
  uint32_t index = 0;
  for (tsr_node *n = slot_node(layer, TSR_SLOT_COMBINE)->first; n != NULL;
       n = n->next) {
    tsr_plan_tensor *tensor = &layer->tensors[index++];
    bool bound = bind_weights(sema, layer, n, &tensor->weights_index);
    bound = bind_masks(sema, layer, n, &tensor->masks_index) && bound;
    good = good && bound;
    if (!bound) continue;
    tsr_draft_source *w = tsr_vector_at(&sema->weights, tensor->weights_index);
    tsr_draft_source *m = tsr_vector_at(&sema->masks, tensor->masks_index);
    w->used = true;
    m->used = true;
  }
  return good;
}

// In a layer or a match only "weights from" and "masks from" or "masks none".
static bool check_nested_source(tsr_sema *sema, tsr_node *node) {
  const tsr_node *first = node->first;
  bool from = first->kind == TSR_NODE_FROM;
  bool none = node->kind == TSR_NODE_MASKS && tsr_node_is_word(first, "none");
  if ((from || none) && first->next == NULL) return true;
  tsr_diag_report(sema->compilation->diags, TSR_DIAG_SOURCE_CLAUSE, node->span,
                  node->kind == TSR_NODE_MASKS
                      ? "here only: masks from \"name\"; or masks none;"
                      : "here only: weights from \"name\";");
  tsr_diag_note(sema->compilation->diags, node->span,
                "declare sources at the top level, with: as \"name\"");
  return false;
}

static bool check_nested_sources(tsr_sema *sema, tsr_node *first, bool nested) {
  bool good = true;
  for (tsr_node *n = first; n != NULL; n = n->next) {
    if (nested && !n->erroneous &&
        (n->kind == TSR_NODE_WEIGHTS || n->kind == TSR_NODE_MASKS) &&
        !check_nested_source(sema, n)) {
      n->erroneous = true;
      good = false;
    }
    if (n->kind != TSR_NODE_SCHEDULE) {
      bool deeper = n->kind == TSR_NODE_LAYER || n->kind == TSR_NODE_MATCH;
      good = check_nested_sources(sema, n->body, deeper) && good;
    }
    if (n->included != NULL) {
      good = check_nested_sources(sema, n->included->root->body, false) && good;
    }
  }
  return good;
}

bool tsr_check_nested_sources(tsr_sema *sema, void *unused) {
  (void)unused;
  return check_nested_sources(sema, sema->ast->root->body, false);
}

// --- shapes of synthetic tensors ---------------------------------------------

static bool report_shape(tsr_sema *sema, tsr_node *node, const char *message) {
  if (!node->erroneous) {
    tsr_diag_report(diags_of(sema), TSR_DIAG_SYNTHETIC_SHAPE, node->span, "%s",
                    message);
  }
  node->erroneous = true;
  return false;
}

static bool read_shape(tsr_sema *sema, tsr_node *node,
                       tsr_plan_tensor *tensor) {
  const tsr_draft_source *source =
      tsr_vector_at(&sema->weights, tensor->weights_index);
  tsr_node *shape = tensor_clause(node, TSR_NODE_SHAPE);
  bool synthetic = source->weights.format == TSR_WEIGHTS_SYNTHETIC;
  if (!synthetic) {
    if (shape == NULL) return true;
    return report_shape(sema, shape, "a tensor from a file states no shape");
  }
  if (shape == NULL) {
    return report_shape(sema, node,
                        "a synthetic tensor states its shape: \"name\" "
                        "4096x4096");
  }
  if (shape->erroneous) return false;
  if (shape->number < 1 || shape->number > TSR_EXTENT_MAX ||
      shape->second < 1 || shape->second > TSR_EXTENT_MAX) {
    return report_shape(sema, shape, "rows and columns are 1 to 16777216");
  }
  tensor->rows = (uint32_t)shape->number;
  tensor->columns = (uint32_t)shape->second;
  return true;
}

bool tsr_check_synthetic_shapes(tsr_sema *sema, tsr_draft_layer *layer) {
  bool good = true;
  const tsr_plan_tensor *first = NULL;
  uint32_t index = 0;
  for (tsr_node *n = slot_node(layer, TSR_SLOT_COMBINE)->first; n != NULL;
       n = n->next) {
    tsr_plan_tensor *tensor = &layer->tensors[index++];
    if (!read_shape(sema, n, tensor)) {
      good = false;
    } else if (tensor->rows != 0 && first == NULL) {
      first = tensor;
    } else if (tensor->rows != 0 && tensor->columns != first->columns) {
      good = report_shape(sema, n, "tensors of one layer have equal columns");
    } else if (tensor->rows != 0 && tensor->rows != first->rows &&
               layer->plan.combine == TSR_COMBINE_INTERLEAVE) {
      good = report_shape(sema, n, "interleaved tensors have equal shapes");
    }
  }
  return good;
}

// --- bias, activation --------------------------------------------------------

bool tsr_check_bias_count(tsr_sema *sema, tsr_draft_layer *layer) {
  tsr_node *bias = slot_node(layer, TSR_SLOT_BIAS);
  if (bias == NULL || bias->first == NULL) return true;
  uint32_t count = count_nodes(bias->first);
  if (count == layer->plan.tensor_count) return true;
  if (!bias->erroneous) {
    bias->erroneous = true;
    tsr_diag_report(diags_of(sema), TSR_DIAG_BIAS_COUNT, bias->span,
                    "%u bias%s for %u tensor%s; write none where there is none",
                    count, count == 1 ? "" : "es", layer->plan.tensor_count,
                    layer->plan.tensor_count == 1 ? "" : "s");
    tsr_diag_note(diags_of(sema), slot_node(layer, TSR_SLOT_COMBINE)->span,
                  "the tensors");
  }
  return false;
}

// "x.weight" -> "x.bias"; any other name gets ".bias" behind it.
static bool derive_bias(tsr_sema *sema, tsr_plan_tensor *tensor) {
  size_t size = strlen(tensor->name);
  if (size > 7 && strcmp(tensor->name + size - 7, ".weight") == 0) size -= 7;
  tensor->bias_name = tsr_arena_printf(&sema->compilation->arena, "%.*s.bias",
                                       (int)size, tensor->name);
  if (tensor->bias_name == NULL) sema->out_of_memory = true;
  return tensor->bias_name != NULL;
}

static bool read_bias(tsr_sema *sema, tsr_draft_layer *layer, tsr_node *node,
                      tsr_plan_tensor *tensor) {
  if (node->kind == TSR_NODE_STRING) {
    return tsr_sema_name(sema, node, layer->bindings, &tensor->bias_name);
  }
  static const char *const words[] = {"none"};
  if (tsr_node_is_word(node, words[0])) return true;
  tsr_sema_unknown_word(sema, TSR_DIAG_UNKNOWN_WORD, node, "word", words, 1);
  return false;
}

bool tsr_check_bias_names(tsr_sema *sema, tsr_draft_layer *layer) {
  const tsr_node *bias = slot_node(layer, TSR_SLOT_BIAS);
  if (bias == NULL) return true;
  bool good = true;
  tsr_node *node = bias->first;
  for (uint32_t i = 0; i < layer->plan.tensor_count; ++i) {
    tsr_plan_tensor *tensor = &layer->tensors[i];
    good = (node == NULL ? derive_bias(sema, tensor)
                         : read_bias(sema, layer, node, tensor)) &&
           good;
    if (node != NULL) node = node->next;
    if (tensor->bias_name == NULL) return false;
    if (tensor->bias_name[0] != '\0') layer->plan.has_bias = true;
  }
  return good;
}

bool tsr_check_gated_activation(tsr_sema *sema, tsr_draft_layer *layer) {
  tsr_node *node = slot_node(layer, TSR_SLOT_ACTIVATION);
  if (node == NULL || node->erroneous) return node == NULL;
  tsr_activation activation = tsr_setting_activation(&layer->effective);
  if (!tsr_activation_is_gated(activation) ||
      layer->plan.combine == TSR_COMBINE_INTERLEAVE) {
    return true;
  }
  node->erroneous = true;
  tsr_diag_report(diags_of(sema), TSR_DIAG_GATED_ACTIVATION, node->first->span,
                  "%s needs a layer made by interleave",
                  tsr_activation_name(activation));
  tsr_diag_note(diags_of(sema), slot_node(layer, TSR_SLOT_COMBINE)->span,
                "this layer is made by %s",
                tsr_node_kind_name(slot_node(layer, TSR_SLOT_COMBINE)->kind));
  return false;
}

// --- all layers --------------------------------------------------------------

typedef struct named_layer {
  const char *key;
  uint32_t index;
  const tsr_draft_layer *layer;
} named_layer;

static int compare_named(const void *left, const void *right) {
  const named_layer *a = left;
  const named_layer *b = right;
  int order = strcmp(a->key, b->key);
  return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

static void report_duplicate(tsr_sema *sema, const named_layer *a,
                             const named_layer *b, tsr_diag_code code) {
  tsr_span span = b->layer->node->first->span;
  if (code == TSR_DIAG_DUPLICATE_LAYER) {
    tsr_diag_report(diags_of(sema), code, span, "layer \"%s\" is defined twice",
                    b->layer->plan.name);
  } else {
    tsr_diag_report(diags_of(sema), code, span,
                    "layers \"%s\" and \"%s\" both become '%s' in C",
                    a->layer->plan.name, b->layer->plan.name, b->key);
  }
  if (a->layer->node == b->layer->node) {
    tsr_diag_note(diags_of(sema), span,
                  "by one statement in a loop: use the loop's variable in the "
                  "name");
  } else {
    tsr_diag_note(diags_of(sema), a->layer->node->first->span, "the other one");
  }
}

static bool keys_differ(tsr_sema *sema, tsr_diag_code code) {
  named_layer *named = tsr_malloc(sizeof(*named) * (sema->layers.count + 1));
  if (named == NULL) {
    sema->out_of_memory = true;
    return false;
  }
  uint32_t count = 0;
  for (uint32_t i = 0; i < sema->layers.count; ++i) {
    const tsr_draft_layer *layer = tsr_vector_at(&sema->layers, i);
    if (layer->plan.symbol == NULL) continue;
    bool by_name = code == TSR_DIAG_DUPLICATE_LAYER;
    named[count++] = (named_layer){
        by_name ? layer->plan.name : layer->plan.symbol, i, layer};
  }
  qsort(named, count, sizeof(*named), compare_named);
  bool good = true;
  for (uint32_t i = 1; i < count; ++i) {
    if (strcmp(named[i - 1].key, named[i].key) != 0) continue;
    good = false;
    report_duplicate(sema, &named[i - 1], &named[i], code);
  }
  tsr_free(named);
  return good;
}

bool tsr_check_layer_names_unique(tsr_sema *sema, void *unused) {
  (void)unused;
  return keys_differ(sema, TSR_DIAG_DUPLICATE_LAYER);
}

bool tsr_check_symbols_unique(tsr_sema *sema, void *unused) {
  (void)unused;
  return keys_differ(sema, TSR_DIAG_SYMBOL_COLLISION);
}

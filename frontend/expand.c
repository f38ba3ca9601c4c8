// SPDX-License-Identifier: Apache-2.0
// Loops unrolled and patterns applied: statements become one draft per layer.
#include <string.h>

#include "frontend/sema.h"

// '*' any characters, '?' one (byte of ASCII, or whole character). Linear
// space, and time at most pattern times text: it remembers one star only.
bool tsr_glob_match(const char *pattern, const char *text) {
  const char *star = NULL;
  const char *resume = NULL;
  while (*text != '\0') {
    if (*pattern == '*') {
      star = ++pattern;
      resume = text;
    } else if (*pattern == '?') {
      ++pattern;
      ++text;
      while ((*text & 0xc0) == 0x80) ++text;
    } else if (*pattern == *text) {
      ++pattern;
      ++text;
    } else if (star != NULL) {
      pattern = star;
      text = ++resume;
    } else {
      return false;
    }
  }
  while (*pattern == '*') ++pattern;
  return *pattern == '\0';
}

static bool report_size(tsr_sema *sema, tsr_node *node, const char *message) {
  if (!node->erroneous) {
    tsr_diag_report(sema->compilation->diags, TSR_DIAG_LOOP_SIZE,
                    node->first->span, "%s", message);
  }
  node->erroneous = true;
  return false;
}

static bool add_layer(tsr_sema *sema, tsr_node *node,
                      const tsr_binding *bindings) {
  if (sema->layers.count == TSR_LAYER_COUNT_MAX) {
    return report_size(sema, node, "more than 65536 layers");
  }
  tsr_draft_layer *layer = tsr_vector_push(sema, &sema->layers);
  if (layer == NULL) return false;
  layer->node = node;
  layer->bindings = bindings;
  layer->rules.item_size = sizeof(tsr_node *);
  layer->plan.name = "";
  return true;
}

static bool add_match(tsr_sema *sema, tsr_node *node,
                      const tsr_binding *bindings) {
  if (sema->matches.count == TSR_MATCH_COUNT_MAX) {
    tsr_diag_report(sema->compilation->diags, TSR_DIAG_TOO_MANY,
                    node->first->span, "more than %d matches",
                    TSR_MATCH_COUNT_MAX);
    return false;
  }
  tsr_draft_match *match = tsr_vector_push(sema, &sema->matches);
  if (match == NULL) return false;
  match->node = node;
  match->bindings = bindings;
  const char *pattern;
  bool good = tsr_sema_name(sema, node->first, bindings, &pattern);
  if (good) match->pattern = pattern;
  // A setting that is given twice was reported and keeps nothing from being
  // expanded.
  (void)tsr_settings_collect(sema, node->body, bindings, &match->settings,
                             NULL);
  return good;
}

static bool expand_statements(tsr_sema *sema, tsr_node *first,
                              const tsr_binding *bindings);

static bool iterate(tsr_sema *sema, tsr_node *loop, const tsr_binding *outer,
                    const tsr_binding *value) {
  if (sema->iteration_count++ == TSR_ITERATION_COUNT_MAX) {
    return report_size(sema, loop, "more than 1000000 iterations");
  }
  if (sema->iteration_count > TSR_ITERATION_COUNT_MAX) return false;
  tsr_binding *binding =
      tsr_arena_alloc(&sema->compilation->arena, sizeof(*binding));
  if (binding == NULL) {
    sema->out_of_memory = true;
    return false;
  }
  *binding = *value;
  binding->outer = outer;
  binding->name = loop->first->text;
  return expand_statements(sema, loop->body, binding);
}

static bool iterate_range(tsr_sema *sema, tsr_node *loop,
                          const tsr_binding *outer, const tsr_node *range) {
  const tsr_node *step = tsr_node_find(range, TSR_NODE_STEP);
  uint64_t stride = step == NULL ? 1 : step->first->number;
  bool good = true;
  for (uint64_t i = range->number; i <= range->second; i += stride) {
    tsr_binding value = {.is_number = true, .number = i};
    good = iterate(sema, loop, outer, &value) && good;
    if (sema->out_of_memory || loop->erroneous) return false;
  }
  return good;
}

static bool iterate_value(tsr_sema *sema, tsr_node *loop,
                          const tsr_binding *outer, tsr_node *item) {
  if (item->kind == TSR_NODE_RANGE) {
    return iterate_range(sema, loop, outer, item);
  }
  tsr_binding value = {.is_number = item->kind == TSR_NODE_NUMBER,
                       .number = item->number};
  if (!value.is_number && !tsr_sema_text(sema, item, outer, &value.text)) {
    return false;
  }
  return iterate(sema, loop, outer, &value);
}

// Is the loop's variable free in |outer|?
static bool check_variable(tsr_sema *sema, tsr_node *loop,
                           const tsr_binding *outer) {
  tsr_node *name = loop->first;
  for (const tsr_binding *b = outer; b != NULL; b = b->outer) {
    if (b->name.size != name->text.size ||
        memcmp(b->name.data, name->text.data, b->name.size) != 0) {
      continue;
    }
    if (!name->erroneous) {
      tsr_diag_report(sema->compilation->diags, TSR_DIAG_LOOP_VARIABLE,
                      name->span, "'%.*s' is the variable of an outer loop",
                      (int)(name->text.size > 60 ? 60 : name->text.size),
                      name->text.data);
    }
    name->erroneous = true;
    return false;
  }
  return true;
}

static bool expand_loop(tsr_sema *sema, tsr_node *loop,
                        const tsr_binding *outer) {
  if (loop->erroneous || !check_variable(sema, loop, outer)) return false;
  bool good = true;
  for (tsr_node *item = loop->first->next->first; item != NULL;
       item = item->next) {
    good = iterate_value(sema, loop, outer, item) && good;
    if (sema->out_of_memory || loop->erroneous) return false;
  }
  return good;
}

static bool expand_statements(tsr_sema *sema, tsr_node *first,
                              const tsr_binding *bindings) {
  bool good = true;
  for (tsr_node *node = first; node != NULL; node = node->next) {
    if (sema->out_of_memory) return false;
    if (node->kind == TSR_NODE_LAYER) {
      good = add_layer(sema, node, bindings) && good;
    } else if (node->kind == TSR_NODE_MATCH) {
      good = add_match(sema, node, bindings) && good;
    } else if (node->kind == TSR_NODE_FOR) {
      good = expand_loop(sema, node, bindings) && good;
    } else if (node->included != NULL) {
      good = expand_statements(sema, node->included->root->body, NULL) && good;
    }
  }
  return good;
}

bool tsr_check_expansion(tsr_sema *sema, void *unused) {
  (void)unused;
  return expand_statements(sema, sema->ast->root->body, NULL);
}

static bool loop_range_is_good(tsr_sema *sema, tsr_node *range) {
  if (range->erroneous) return false;
  const tsr_node *step = tsr_node_find(range, TSR_NODE_STEP);
  if (step != NULL && step->first->erroneous) return false;
  const char *why = NULL;
  if (range->second < range->number) why = "the range ends before it begins";
  if (range->second >= UINT32_MAX) why = "loops count to 4294967294 at most";
  if (step != NULL &&
      (step->first->number == 0 || step->first->number >= UINT32_MAX)) {
    why = "a step is 1 or more";
  }
  if (why == NULL) return true;
  tsr_diag_report(sema->compilation->diags, TSR_DIAG_LOOP_RANGE, range->span,
                  "%s", why);
  return false;
}

bool tsr_check_loop_values(tsr_sema *sema, tsr_node *node) {
  bool good = true;
  for (tsr_node *item = node->first->next->first; item != NULL;
       item = item->next) {
    if (item->kind == TSR_NODE_RANGE) {
      good = loop_range_is_good(sema, item) && good;
    } else if (item->kind == TSR_NODE_NUMBER && item->number >= UINT32_MAX &&
               !item->erroneous) {
      good = false;
      tsr_diag_report(sema->compilation->diags, TSR_DIAG_NUMBER_TOO_LARGE,
                      item->span, "loops count to 4294967294 at most");
    }
    good = good && !item->erroneous;
  }
  return good;
}

bool tsr_check_layers_present(tsr_sema *sema, void *unused) {
  (void)unused;
  if (sema->layers.count != 0) return true;
  if (!sema->lost) {
    tsr_diag_report(sema->compilation->diags, TSR_DIAG_NO_LAYERS,
                    (tsr_span){sema->ast->source, 0, 0},
                    "the plan defines no layers");
  }
  return false;
}

bool tsr_check_patterns_used(tsr_sema *sema, void *unused) {
  (void)unused;
  if (sema->lost || tsr_diag_error_count(sema->compilation->diags) != 0) {
    return false;
  }
  for (uint32_t i = 0; i < sema->matches.count; ++i) {
    const tsr_draft_match *match = tsr_vector_at(&sema->matches, i);
    if (match->used || match->pattern == NULL) continue;
    tsr_diag_report(sema->compilation->diags, TSR_DIAG_MATCH_UNUSED,
                    match->node->first->span, "\"%s\" matches no layer",
                    match->pattern);
  }
  return true;
}

// SPDX-License-Identifier: Apache-2.0
// Runs the table of checks: first on every statement of the tree, then on the
// plan and its layers, in the order of checks.def.
#include "frontend/sema.h"

#include <string.h>

#include "base/suggest.h"

typedef enum scope { SCOPE_NODE, SCOPE_PLAN, SCOPE_LAYER } scope;

typedef struct check {
  const char *name;
  scope on;
  tsr_node_kind kind;  // SCOPE_NODE only
  tsr_check_set prerequisites;
  bool (*on_node)(tsr_sema *sema, tsr_node *node);
  bool (*on_plan)(tsr_sema *sema, void *unused);
  bool (*on_layer)(tsr_sema *sema, tsr_draft_layer *layer);
} check;

// |on| expands to the scope, the kind and the function's column.
#define NODE(node_kind) SCOPE_NODE, TSR_NODE_##node_kind, on_node
#define PLAN SCOPE_PLAN, TSR_NODE_COUNT, on_plan
#define LAYER SCOPE_LAYER, TSR_NODE_COUNT, on_layer
#define NONE 0
#define NEEDS(name) ((tsr_check_set)1 << TSR_CHECK_##name)
#define ROW(name, needs, scope_value, kind_value, column) \
  [TSR_CHECK_##name] = {.on = (scope_value),              \
                        .kind = (kind_value),             \
                        .prerequisites = (needs),         \
                        .column = tsr_check_##name},
#define ROW_OF(name, needs, ...) ROW(name, needs, __VA_ARGS__)
#define TSR_CHECK(name, on, prerequisites) ROW_OF(name, (prerequisites), on)

static const check checks[TSR_CHECK_COUNT] = {
#include "frontend/checks.def"
};

#undef NODE
#undef PLAN
#undef LAYER
#undef TSR_CHECK

_Static_assert(TSR_CHECK_COUNT <= 64, "tsr_check_set is 64 bits");

void *tsr_vector_push(tsr_sema *sema, tsr_vector *vector) {
  if (vector->count == vector->capacity) {
    uint32_t capacity = vector->capacity == 0 ? 8 : vector->capacity * 2;
    void *items = tsr_arena_alloc_array(&sema->compilation->arena, capacity,
                                        vector->item_size);
    if (items == NULL) {
      sema->out_of_memory = true;
      return NULL;
    }
    if (vector->count != 0) {
      memcpy(items, vector->items, (size_t)vector->count * vector->item_size);
    }
    vector->items = items;
    vector->capacity = capacity;
  }
  return tsr_vector_at(vector, vector->count++);
}

void *tsr_vector_at(const tsr_vector *vector, uint32_t index) {
  return (char *)vector->items + (size_t)index * vector->item_size;
}

void tsr_sema_unknown_word(tsr_sema *sema, tsr_diag_code code, tsr_node *node,
                           const char *what, const char *const *candidates,
                           uint32_t count) {
  if (node->erroneous) return;
  node->erroneous = true;
  const char *near =
      tsr_suggest(node->text.data, node->text.size, candidates, count);
  int size = (int)(node->text.size > 60 ? 60 : node->text.size);
  if (near != NULL) {
    tsr_diag_report(sema->compilation->diags, code, node->span,
                    "unknown %s '%.*s'; did you mean '%s'?", what, size,
                    node->text.data, near);
  } else {
    tsr_diag_report(sema->compilation->diags, code, node->span,
                    "unknown %s '%.*s'", what, size, node->text.data);
  }
}

bool tsr_node_is_word(const tsr_node *node, const char *word) {
  return node != NULL && node->kind == TSR_NODE_WORD &&
         strlen(word) == node->text.size &&
         memcmp(word, node->text.data, node->text.size) == 0;
}

uint32_t tsr_word_index(const tsr_node *node, const char *const *words,
                        uint32_t count) {
  uint32_t index = 0;
  while (index < count && !tsr_node_is_word(node, words[index])) ++index;
  return index;
}

bool tsr_sema_text(tsr_sema *sema, tsr_node *node, const tsr_binding *bindings,
                   const char **out_text) {
  bool good;
  if (!tsr_literal_expand(sema->compilation, node, bindings, out_text, &good)) {
    sema->out_of_memory = true;
  }
  return good;
}

bool tsr_sema_name(tsr_sema *sema, tsr_node *node, const tsr_binding *bindings,
                   const char **out_text) {
  if (!tsr_sema_text(sema, node, bindings, out_text)) return false;
  if ((*out_text)[0] != '\0') return true;
  if (!node->erroneous) {
    tsr_diag_report(sema->compilation->diags, TSR_DIAG_EMPTY_STRING, node->span,
                    "this may not be empty");
  }
  node->erroneous = true;
  return false;
}

static void check_node(tsr_sema *sema, tsr_node *node) {
  tsr_check_set failed = 0;
  for (uint32_t i = 0; i < TSR_CHECK_COUNT; ++i) {
    const check *c = &checks[i];
    if (c->on != SCOPE_NODE || c->kind != node->kind) continue;
    if ((c->prerequisites & failed) != 0) continue;
    if (!c->on_node(sema, node)) {
      failed |= (tsr_check_set)1 << i;
      node->erroneous = true;
    }
  }
}

// Recursion is bounded: the parser limits blocks and includes.
static void check_statements(tsr_sema *sema, tsr_node *first) {
  for (tsr_node *node = first; node != NULL; node = node->next) {
    if (node->kind == TSR_NODE_ERROR) sema->lost = true;
    check_node(sema, node);
    check_statements(sema, node->body);
    if (node->included != NULL) {
      check_statements(sema, node->included->root->body);
    }
  }
}

static void check_layers(tsr_sema *sema, const check *c, tsr_check_set bit) {
  for (uint32_t i = 0; i < sema->layers.count; ++i) {
    tsr_draft_layer *layer = tsr_vector_at(&sema->layers, i);
    if ((c->prerequisites & (sema->failed | layer->failed)) != 0 ||
        !c->on_layer(sema, layer)) {
      layer->failed |= bit;
    }
  }
}

static void check_plan(tsr_sema *sema) {
  for (uint32_t i = 0; i < TSR_CHECK_COUNT && !sema->out_of_memory; ++i) {
    const check *c = &checks[i];
    tsr_check_set bit = (tsr_check_set)1 << i;
    if (c->on == SCOPE_LAYER) check_layers(sema, c, bit);
    if (c->on != SCOPE_PLAN) continue;
    if ((c->prerequisites & sema->failed) != 0 || !c->on_plan(sema, NULL)) {
      sema->failed |= bit;
    }
  }
}

static void init(tsr_sema *sema, tsr_compilation *compilation, tsr_ast *ast) {
  memset(sema, 0, sizeof(*sema));
  sema->compilation = compilation;
  sema->ast = ast;
  sema->lost = tsr_diag_error_count(compilation->diags) != 0;
  sema->model_name = "model";
  sema->weights.item_size = sizeof(tsr_draft_source);
  sema->masks.item_size = sizeof(tsr_draft_source);
  sema->targets.item_size = sizeof(tsr_plan_target);
  sema->matches.item_size = sizeof(tsr_draft_match);
  sema->layers.item_size = sizeof(tsr_draft_layer);
}

tsr_status tsr_check(tsr_compilation *compilation, tsr_ast *ast,
                     tsr_plan **out_plan, tsr_error *error) {
  *out_plan = NULL;
  tsr_sema sema;
  init(&sema, compilation, ast);
  check_statements(&sema, ast->root->body);
  check_plan(&sema);
  if (sema.out_of_memory) return tsr_error_out_of_memory(error);
  if (tsr_diag_error_count(compilation->diags) != 0) return TSR_OK;
  *out_plan = tsr_plan_build(&sema);
  if (*out_plan == NULL) return tsr_error_out_of_memory(error);
  return TSR_OK;
}

// SPDX-License-Identifier: Apache-2.0
// From the tree to the plan: the state that the checks of checks.def share.
//
// Checks fill in drafts as they go; what a check could not make sense of is
// marked (tsr_node.erroneous, failed bits), so nothing is reported twice.
#ifndef FRONTEND_SEMA_H_
#define FRONTEND_SEMA_H_

#include "frontend/ast.h"
#include "frontend/compilation.h"
#include "frontend/literal.h"

enum {
  TSR_LAYER_COUNT_MAX = 65536,
  TSR_ITERATION_COUNT_MAX = 1000000,
  TSR_TENSOR_COUNT_MAX = 64,
  TSR_EXTENT_MAX = 16777216,  // rows or columns of a synthetic tensor
  TSR_WORKERS_MAX = 4096,
  // A kernel is made for each range; the others bound what checks cost.
  TSR_TOKEN_RANGE_COUNT_MAX = 64,
  TSR_DECLARATION_COUNT_MAX = 1000,
  TSR_MATCH_COUNT_MAX = 1000,
};

typedef enum tsr_check_id {
#define TSR_CHECK(name, on, prerequisites) TSR_CHECK_##name,
#include "frontend/checks.def"
#undef TSR_CHECK
  TSR_CHECK_COUNT
} tsr_check_id;

// Bits by tsr_check_id.
typedef uint64_t tsr_check_set;

// A growing array in the arena. Elements move when it grows.
typedef struct tsr_vector {
  void *items;
  uint32_t count;
  uint32_t capacity;
  uint32_t item_size;
} tsr_vector;

// A statement, and the loop variables that its strings may name.
typedef struct tsr_setting {
  tsr_node *node;  // NULL: not given
  const tsr_binding *bindings;
} tsr_setting;

// One slot per setting that a plan, a match or a layer may give once.
typedef enum tsr_slot {
  TSR_SLOT_WEIGHTS,  // weights from "name"; not the plan's declarations
  TSR_SLOT_MASKS,
  TSR_SLOT_TOKENS,
  TSR_SLOT_TILE,
  TSR_SLOT_TYPE,
  TSR_SLOT_OUTPUT,
  TSR_SLOT_SCHEDULE,
  TSR_SLOT_WORKERS,
  TSR_SLOT_BALANCE,
  TSR_SLOT_SPLIT,
  TSR_SLOT_COMBINE,  // weight, concat or interleave; layers only
  TSR_SLOT_BIAS,
  TSR_SLOT_ACTIVATION,
  TSR_SLOT_RESIDUAL,
  TSR_SLOT_COUNT
} tsr_slot;

typedef struct tsr_settings {
  tsr_setting slots[TSR_SLOT_COUNT];
  bool lost;  // an ERROR node stands among the statements
} tsr_settings;

typedef struct tsr_draft_source {
  tsr_node *node;
  const char *name;  // NULL: none
  bool good;
  bool used;
  tsr_plan_weights weights;  // one of the two
  tsr_plan_masks masks;
} tsr_draft_source;

typedef struct tsr_draft_layer {
  tsr_node *node;
  const tsr_binding *bindings;
  uint32_t match_count;    // matches that were seen before this layer: all
  tsr_settings own;        // as written in the layer
  tsr_settings effective;  // plan < matches < layer
  tsr_vector rules;        // tsr_node *, in order
  tsr_plan_tensor *tensors;
  tsr_plan_layer plan;
  tsr_check_set failed;
} tsr_draft_layer;

typedef struct tsr_draft_match {
  tsr_node *node;
  const tsr_binding *bindings;
  const char *pattern;  // NULL: erroneous
  tsr_settings settings;
  bool used;
} tsr_draft_match;

typedef struct tsr_sema {
  tsr_compilation *compilation;
  tsr_ast *ast;
  bool out_of_memory;
  bool lost;  // the text has syntax errors: nothing is said to be missing
  tsr_check_set failed;
  const char *model_name;
  tsr_node *model;
  tsr_settings settings;
  tsr_vector weights;  // tsr_draft_source
  tsr_vector masks;    // tsr_draft_source
  tsr_vector targets;  // tsr_plan_target
  tsr_vector matches;  // tsr_draft_match
  tsr_vector layers;   // tsr_draft_layer
  uint32_t iteration_count;
} tsr_sema;

// A new zeroed element, or NULL (out of memory is noted).
void *tsr_vector_push(tsr_sema *sema, tsr_vector *vector);
void *tsr_vector_at(const tsr_vector *vector, uint32_t index);

// Puts the settings among the statements from |first| on into |settings|;
// a second of a kind is reported. Rules go to |rules| (may be NULL).
bool tsr_settings_collect(tsr_sema *sema, tsr_node *first,
                          const tsr_binding *bindings, tsr_settings *settings,
                          tsr_vector *rules);
// What |over| gives replaces what |base| has.
void tsr_settings_override(tsr_settings *base, const tsr_settings *over);

// "unknown <what> '<word>'", with a suggestion. Marks |node| erroneous.
void tsr_sema_unknown_word(tsr_sema *sema, tsr_diag_code code, tsr_node *node,
                           const char *what, const char *const *candidates,
                           uint32_t count);
// Index of WORD |node| in |words|, or |count|.
uint32_t tsr_word_index(const tsr_node *node, const char *const *words,
                        uint32_t count);
bool tsr_node_is_word(const tsr_node *node, const char *word);
// Expands; false when a mistake was reported or memory ran out.
bool tsr_sema_text(tsr_sema *sema, tsr_node *node, const tsr_binding *bindings,
                   const char **out_text);
// As above; empty is a mistake.
bool tsr_sema_name(tsr_sema *sema, tsr_node *node, const tsr_binding *bindings,
                   const char **out_text);

// Loops and matches into drafts (expand.c).
bool tsr_sema_expand(tsr_sema *sema);
bool tsr_glob_match(const char *pattern, const char *text);

// Values of checked statements (settings.c); NULL nodes give the defaults.
tsr_tile_shape tsr_setting_tile(const tsr_settings *settings);
tsr_dtype tsr_setting_type(const tsr_settings *settings);
tsr_dtype tsr_setting_output(const tsr_settings *settings);
tsr_activation tsr_setting_activation(const tsr_settings *settings);
tsr_plan_schedule tsr_setting_schedule(const tsr_settings *settings);
tsr_plan_tokens *tsr_setting_tokens(tsr_sema *sema,
                                    const tsr_settings *settings,
                                    uint32_t *out_count);
tsr_plan_rule *tsr_setting_rules(tsr_sema *sema, const tsr_vector *rules);

// The plan from the drafts, after all checks passed (plan_build.c).
tsr_plan *tsr_plan_build(tsr_sema *sema);

// The check functions, by their table.
// NOLINTBEGIN(bugprone-macro-parentheses): these are parameters.
#define NODE(kind) tsr_node *node
#define PLAN void *unused
#define LAYER tsr_draft_layer *layer
// NOLINTEND(bugprone-macro-parentheses)
#define TSR_CHECK(name, on, prerequisites) \
  bool tsr_check_##name(tsr_sema *sema, on);
#include "frontend/checks.def"
#undef TSR_CHECK
#undef NODE
#undef PLAN
#undef LAYER

#endif  // FRONTEND_SEMA_H_

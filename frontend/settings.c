// SPDX-License-Identifier: Apache-2.0
// Settings: collecting them, laying them over one another, checking their
// values and reading them.
#include <stdlib.h>
#include <string.h>

#include "frontend/sema.h"

static const char *const type_words[TSR_DTYPE_COUNT] = {"f32", "f16", "bf16"};
static const char *const balance_words[] = {"bytes", "time", "tiles"};
static const char *const switch_words[] = {"off", "on"};
static const char *const kind_words[TSR_KIND_COUNT] = {"zero", "sparse24",
                                                       "dense"};
static const char *const default_words[] = {"default"};

// Which slot a statement fills; TSR_SLOT_COUNT: none.
static tsr_slot slot_of(tsr_node_kind kind) {
  switch (kind) {
    case TSR_NODE_WEIGHTS:
      return TSR_SLOT_WEIGHTS;
    case TSR_NODE_MASKS:
      return TSR_SLOT_MASKS;
    case TSR_NODE_TOKENS:
      return TSR_SLOT_TOKENS;
    case TSR_NODE_TILE:
      return TSR_SLOT_TILE;
    case TSR_NODE_TYPE:
      return TSR_SLOT_TYPE;
    case TSR_NODE_OUTPUT:
      return TSR_SLOT_OUTPUT;
    case TSR_NODE_SCHEDULE:
      return TSR_SLOT_SCHEDULE;
    case TSR_NODE_WORKERS:
      return TSR_SLOT_WORKERS;
    case TSR_NODE_BALANCE:
      return TSR_SLOT_BALANCE;
    case TSR_NODE_SPLIT:
      return TSR_SLOT_SPLIT;
    case TSR_NODE_WEIGHT:
    case TSR_NODE_CONCAT:
    case TSR_NODE_INTERLEAVE:
      return TSR_SLOT_COMBINE;
    case TSR_NODE_BIAS:
      return TSR_SLOT_BIAS;
    case TSR_NODE_ACTIVATION:
      return TSR_SLOT_ACTIVATION;
    case TSR_NODE_RESIDUAL:
      return TSR_SLOT_RESIDUAL;
    default:
      return TSR_SLOT_COUNT;
  }
}

static void report_twice(tsr_sema *sema, tsr_node *node,
                         const tsr_node *before) {
  // Reported once, however often a loop comes by.
  if (node->erroneous) return;
  node->erroneous = true;
  tsr_diags *diags = sema->compilation->diags;
  if (slot_of(node->kind) == TSR_SLOT_COMBINE) {
    tsr_diag_report(diags, TSR_DIAG_WEIGHT_TWICE, node->span,
                    "the layer has its weights already");
  } else {
    tsr_diag_report(diags, TSR_DIAG_DUPLICATE_SETTING, node->span,
                    "'%s' is given twice", tsr_node_kind_name(node->kind));
  }
  tsr_diag_note(diags, before->span, "first given here");
}

static bool put(tsr_sema *sema, tsr_node *node, const tsr_binding *bindings,
                tsr_settings *settings) {
  tsr_slot slot = slot_of(node->kind);
  if (slot == TSR_SLOT_COUNT) return true;
  tsr_setting *setting = &settings->slots[slot];
  if (setting->node != NULL) {
    report_twice(sema, node, setting->node);
    return false;
  }
  *setting = (tsr_setting){node, bindings};
  return true;
}

bool tsr_settings_collect(tsr_sema *sema, tsr_node *first,
                          const tsr_binding *bindings, tsr_settings *settings,
                          tsr_vector *rules) {
  bool good = true;
  for (tsr_node *node = first; node != NULL; node = node->next) {
    if (node->kind == TSR_NODE_ERROR) settings->lost = true;
    if (node->kind == TSR_NODE_RULE && rules != NULL) {
      tsr_node **rule = tsr_vector_push(sema, rules);
      if (rule != NULL) *rule = node;
      continue;
    }
    good = put(sema, node, bindings, settings) && good;
    if (node->kind == TSR_NODE_SCHEDULE) {
      good = tsr_settings_collect(sema, node->body, bindings, settings, NULL) &&
             good;
    }
  }
  return good;
}

void tsr_settings_override(tsr_settings *base, const tsr_settings *over) {
  for (uint32_t i = 0; i < TSR_SLOT_COUNT; ++i) {
    if (over->slots[i].node != NULL) base->slots[i] = over->slots[i];
  }
  base->lost = base->lost || over->lost;
}

// --- checks of values --------------------------------------------------------

bool tsr_check_tile_shape(tsr_sema *sema, tsr_node *node) {
  const tsr_node *shape = node->first;
  if (shape->erroneous) return false;
  bool rows =
      shape->number >= 16 && shape->number <= 256 && shape->number % 16 == 0;
  bool columns =
      shape->second >= 32 && shape->second <= 512 && shape->second % 32 == 0;
  if (rows && columns) return true;
  tsr_diag_report(
      sema->compilation->diags, TSR_DIAG_TILE_SHAPE, shape->span,
      "a tile cannot have %llu %s: %s",
      (unsigned long long)(rows ? shape->second : shape->number),
      rows ? "columns" : "rows",
      rows ? "32 to 512 in steps of 32" : "16 to 256 in steps of 16");
  return false;
}

static bool check_type(tsr_sema *sema, tsr_node *word) {
  if (tsr_word_index(word, type_words, TSR_DTYPE_COUNT) != TSR_DTYPE_COUNT) {
    return true;
  }
  tsr_sema_unknown_word(sema, TSR_DIAG_UNKNOWN_TYPE, word, "type", type_words,
                        TSR_DTYPE_COUNT);
  return false;
}

bool tsr_check_weight_type(tsr_sema *sema, tsr_node *node) {
  if (!check_type(sema, node->first)) return false;
  if (!tsr_node_is_word(node->first, "f32")) return true;
  tsr_diag_report(sema->compilation->diags, TSR_DIAG_WEIGHT_TYPE,
                  node->first->span,
                  "weights and inputs are bf16 or f16; only the output may be "
                  "f32");
  return false;
}

bool tsr_check_output_type(tsr_sema *sema, tsr_node *node) {
  return check_type(sema, node->first);
}

bool tsr_check_token_ranges(tsr_sema *sema, tsr_node *node) {
  bool good = true;
  uint32_t count = 0;
  for (const tsr_node *range = node->first; range != NULL;
       range = range->next) {
    if (++count > TSR_TOKEN_RANGE_COUNT_MAX) {
      tsr_diag_report(sema->compilation->diags, TSR_DIAG_TOO_MANY, range->span,
                      "more than %d ranges of tokens",
                      TSR_TOKEN_RANGE_COUNT_MAX);
      return false;
    }
    if (range->erroneous) {
      good = false;
    } else if (range->number == 0 || range->number >= UINT32_MAX ||
               range->second < range->number || range->second > UINT32_MAX ||
               (range->kind == TSR_NODE_RANGE && range->second == UINT32_MAX)) {
      good = false;
      tsr_diag_report(
          sema->compilation->diags, TSR_DIAG_TOKEN_RANGE, range->span,
          range->second < range->number ? "the range ends before it begins"
                                        : "token counts are 1 to 4294967294");
    }
  }
  return good;
}

bool tsr_check_token_overlap(tsr_sema *sema, tsr_node *node) {
  for (const tsr_node *b = node->first; b != NULL; b = b->next) {
    for (const tsr_node *a = node->first; a != b; a = a->next) {
      if (a->number > b->second || b->number > a->second) continue;
      tsr_diag_report(sema->compilation->diags, TSR_DIAG_TOKEN_OVERLAP, b->span,
                      "this range overlaps another");
      tsr_diag_note(sema->compilation->diags, a->span, "this one");
      return false;
    }
  }
  return true;
}

static bool check_schedule_word(tsr_sema *sema, tsr_node *word,
                                const char *what, const char *const *words,
                                uint32_t count) {
  if (tsr_word_index(word, words, count) != count) return true;
  tsr_sema_unknown_word(sema, TSR_DIAG_SCHEDULE_VALUE, word, what, words,
                        count);
  return false;
}

bool tsr_check_schedule_workers(tsr_sema *sema, tsr_node *node) {
  tsr_node *value = node->first;
  if (value->kind == TSR_NODE_WORD) {
    return check_schedule_word(sema, value, "number of workers", default_words,
                               1);
  }
  if (value->erroneous) return false;
  if (value->number >= 1 && value->number <= TSR_WORKERS_MAX) return true;
  tsr_diag_report(sema->compilation->diags, TSR_DIAG_SCHEDULE_VALUE,
                  value->span, "workers: 1 to %d, or default", TSR_WORKERS_MAX);
  return false;
}

bool tsr_check_schedule_balance(tsr_sema *sema, tsr_node *node) {
  return check_schedule_word(sema, node->first, "balance", balance_words, 3);
}

bool tsr_check_schedule_split(tsr_sema *sema, tsr_node *node) {
  return check_schedule_word(sema, node->first, "value of split", switch_words,
                             2);
}

static const char *const *activation_words(void) {
  static const char *const words[TSR_ACTIVATION_COUNT] = {
      "none", "relu",   "gelu_erf",  "gelu_tanh",
      "silu", "swiglu", "geglu_erf", "geglu_tanh"};
  return words;
}

bool tsr_check_activation_name(tsr_sema *sema, tsr_node *node) {
  const char *const *words = activation_words();
  if (tsr_word_index(node->first, words, TSR_ACTIVATION_COUNT) !=
      TSR_ACTIVATION_COUNT) {
    return true;
  }
  tsr_sema_unknown_word(sema, TSR_DIAG_UNKNOWN_ACTIVATION, node->first,
                        "activation", words, TSR_ACTIVATION_COUNT);
  if (tsr_node_is_word(node->first, "gelu") ||
      tsr_node_is_word(node->first, "geglu")) {
    tsr_diag_note(sema->compilation->diags, node->first->span,
                  "the _erf form is exact, the _tanh form is the common "
                  "approximation");
  }
  return false;
}

bool tsr_check_rule_extents(tsr_sema *sema, tsr_node *node) {
  const tsr_node *before[2] = {NULL, NULL};
  for (const tsr_node *n = node->first; n != NULL; n = n->next) {
    if (n->kind != TSR_NODE_ROWS && n->kind != TSR_NODE_COLUMNS) continue;
    const tsr_node **same = &before[n->kind == TSR_NODE_COLUMNS];
    if (*same != NULL) {
      tsr_diag_report(sema->compilation->diags, TSR_DIAG_DUPLICATE_SETTING,
                      n->span, "'%s' is given twice",
                      tsr_node_kind_name(n->kind));
      tsr_diag_note(sema->compilation->diags, (*same)->span,
                    "first given here");
      return false;
    }
    *same = n;
    const tsr_node *range = n->first;
    if (range->erroneous) return false;
    if (range->second < range->number || range->number >= UINT32_MAX ||
        range->second > UINT32_MAX) {
      tsr_diag_report(sema->compilation->diags, TSR_DIAG_RULE_RANGE,
                      range->span,
                      range->second < range->number
                          ? "the range ends before it begins"
                          : "rows and columns are 0 to 4294967294");
      return false;
    }
  }
  return true;
}

// --- values of checked statements --------------------------------------------

static const tsr_node *operand(const tsr_settings *settings, tsr_slot slot) {
  const tsr_node *node = settings->slots[slot].node;
  return node == NULL ? NULL : node->first;
}

tsr_tile_shape tsr_setting_tile(const tsr_settings *settings) {
  const tsr_node *shape = operand(settings, TSR_SLOT_TILE);
  if (shape == NULL) return (tsr_tile_shape){128, 128};
  return (tsr_tile_shape){(uint32_t)shape->number, (uint32_t)shape->second};
}

tsr_dtype tsr_setting_type(const tsr_settings *settings) {
  const tsr_node *word = operand(settings, TSR_SLOT_TYPE);
  if (word == NULL) return TSR_DTYPE_BF16;
  return (tsr_dtype)tsr_word_index(word, type_words, TSR_DTYPE_COUNT);
}

tsr_dtype tsr_setting_output(const tsr_settings *settings) {
  const tsr_node *word = operand(settings, TSR_SLOT_OUTPUT);
  if (word == NULL) return tsr_setting_type(settings);
  return (tsr_dtype)tsr_word_index(word, type_words, TSR_DTYPE_COUNT);
}

tsr_activation tsr_setting_activation(const tsr_settings *settings) {
  const tsr_node *word = operand(settings, TSR_SLOT_ACTIVATION);
  uint32_t index = word == NULL ? 0
                                : tsr_word_index(word, activation_words(),
                                                 TSR_ACTIVATION_COUNT);
  return index == TSR_ACTIVATION_COUNT ? TSR_ACTIVATION_NONE
                                       : (tsr_activation)index;
}

tsr_plan_schedule tsr_setting_schedule(const tsr_settings *settings) {
  tsr_plan_schedule schedule = {0, TSR_BALANCE_BYTES, true};
  const tsr_node *workers = operand(settings, TSR_SLOT_WORKERS);
  const tsr_node *balance = operand(settings, TSR_SLOT_BALANCE);
  const tsr_node *split = operand(settings, TSR_SLOT_SPLIT);
  if (workers != NULL) schedule.workers = (uint32_t)workers->number;
  if (balance != NULL) {
    schedule.balance = (tsr_balance)tsr_word_index(balance, balance_words, 3);
  }
  if (split != NULL) {
    schedule.split_panels = tsr_word_index(split, switch_words, 2) == 1;
  }
  return schedule;
}

static int compare_tokens(const void *left, const void *right) {
  const tsr_plan_tokens *a = left;
  const tsr_plan_tokens *b = right;
  return (a->first > b->first) - (a->first < b->first);
}

static tsr_plan_tokens *default_tokens(tsr_sema *sema, uint32_t *out_count) {
  static const tsr_plan_tokens defaults[] = {
      {1, 1, {UINT32_MAX, 0, 0}},
      {2, 16, {UINT32_MAX, 0, 0}},
      {17, UINT32_MAX, {UINT32_MAX, 0, 0}},
  };
  tsr_plan_tokens *tokens =
      tsr_arena_alloc(&sema->compilation->arena, sizeof(defaults));
  if (tokens == NULL) return NULL;
  *out_count = 3;
  return memcpy(tokens, defaults, sizeof(defaults));
}

tsr_plan_tokens *tsr_setting_tokens(tsr_sema *sema,
                                    const tsr_settings *settings,
                                    uint32_t *out_count) {
  const tsr_node *first = operand(settings, TSR_SLOT_TOKENS);
  if (first == NULL) return default_tokens(sema, out_count);
  uint32_t count = 0;
  for (const tsr_node *n = first; n != NULL; n = n->next) ++count;
  tsr_plan_tokens *tokens =
      tsr_arena_alloc_array(&sema->compilation->arena, count, sizeof(*tokens));
  if (tokens == NULL) return NULL;
  *out_count = 0;
  for (const tsr_node *n = first; n != NULL; n = n->next) {
    tokens[(*out_count)++] =
        (tsr_plan_tokens){(uint32_t)n->number, (uint32_t)n->second, n->span};
  }
  qsort(tokens, count, sizeof(*tokens), compare_tokens);
  return tokens;
}

static tsr_plan_rule read_rule(const tsr_node *node) {
  tsr_plan_rule rule = {0};
  rule.row_end = UINT32_MAX;
  rule.column_end = UINT32_MAX;
  rule.span = node->span;
  for (const tsr_node *n = node->first; n != NULL; n = n->next) {
    if (n->kind == TSR_NODE_REQUIRE) rule.is_assertion = true;
    if (n->kind == TSR_NODE_WORD) {
      rule.kind = (tsr_kind)tsr_word_index(n, kind_words, TSR_KIND_COUNT);
    }
    if (n->kind != TSR_NODE_ROWS && n->kind != TSR_NODE_COLUMNS) continue;
    uint32_t begin = (uint32_t)n->first->number;
    uint32_t last = (uint32_t)n->first->second;
    uint32_t end = last == UINT32_MAX ? UINT32_MAX : last + 1;
    if (n->kind == TSR_NODE_ROWS) {
      rule.row_begin = begin;
      rule.row_end = end;
    } else {
      rule.column_begin = begin;
      rule.column_end = end;
    }
  }
  return rule;
}

tsr_plan_rule *tsr_setting_rules(tsr_sema *sema, const tsr_vector *rules) {
  tsr_plan_rule *out = tsr_arena_alloc_array(&sema->compilation->arena,
                                             rules->count, sizeof(*out));
  if (out == NULL) return NULL;
  for (uint32_t i = 0; i < rules->count; ++i) {
    tsr_node *const *node = tsr_vector_at(rules, i);
    out[i] = read_rule(*node);
  }
  return out;
}

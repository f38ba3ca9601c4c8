// SPDX-License-Identifier: Apache-2.0
// Checks of what a plan declares once: its name, targets, weights and masks.
#include <string.h>

#include "frontend/sema.h"

static const char *const weights_words[] = {"safetensors", "bitmask",
                                            "bitmask24", "synthetic"};
static const char *const mask_words[] = {
    "none", "nonzero", "patch", "maskllm", "bitmask", "grid", "synthetic"};
enum { WEIGHTS_COUNT = 4, MASKS_COUNT = 7 };

static const char *const target_words[] = {"host", "cuda"};
static const char *const host_words[] = {
    "generic",        "x86-64-v2", "x86-64-v3", "x86-64-v4",
    "x86-64-v4-bf16", "native",    "aarch64"};
static const char *const cuda_words[] = {"sm_80",  "sm_86",  "sm_89", "sm_90",
                                         "sm_90a", "sm_100", "sm_120"};
enum { HOST_COUNT = 7, CUDA_COUNT = 7 };

// --- model -------------------------------------------------------------------

static bool name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

// "dir/foo bar.tess" -> "foo-bar".
static bool name_from_path(tsr_sema *sema) {
  const char *path = sema->compilation->sources.items[sema->ast->source]->path;
  const char *slash = strrchr(path, '/');
  const char *base = slash == NULL ? path : slash + 1;
  size_t size = strlen(base);
  if (size > 5 && strcmp(base + size - 5, ".tess") == 0) size -= 5;
  if (size > 128) size = 128;
  if (strcmp(base, "<stdin>") == 0) {
    base = "model";
    size = 5;
  }
  char *name = tsr_arena_strndup(&sema->compilation->arena, base, size);
  if (name == NULL) {
    sema->out_of_memory = true;
    return false;
  }
  for (char *c = name; *c != '\0'; ++c) {
    if (!name_char(*c)) *c = '-';
  }
  sema->model_name = size == 0 ? "model" : name;
  return true;
}

bool tsr_check_model_name(tsr_sema *sema, void *unused) {
  (void)unused;
  if (sema->model == NULL) return name_from_path(sema);
  tsr_node *node = sema->model->first;
  const char *name;
  if (!tsr_sema_name(sema, node, NULL, &name)) return false;
  size_t size = strlen(name);
  size_t good = 0;
  while (name_char(name[good])) ++good;
  if (good == size && size <= 128 && name[0] != '.') {
    sema->model_name = name;
    return true;
  }
  const char *why = good != size ? "letters, digits, '.', '_' and '-' only"
                    : size > 128 ? "128 characters at most"
                                 : "it may not begin with '.'";
  tsr_diag_report(sema->compilation->diags, TSR_DIAG_MODEL_NAME, node->span,
                  "unusable model name: %s", why);
  return false;
}

// --- targets -----------------------------------------------------------------

bool tsr_check_target_name(tsr_sema *sema, tsr_node *node) {
  if (tsr_word_index(node->first, target_words, 2) != 2) return true;
  tsr_sema_unknown_word(sema, TSR_DIAG_UNKNOWN_TARGET, node->first, "target",
                        target_words, 2);
  return false;
}

bool tsr_check_target_variants(tsr_sema *sema, tsr_node *node) {
  bool host = tsr_node_is_word(node->first, "host");
  const char *const *words = host ? host_words : cuda_words;
  uint32_t count = host ? HOST_COUNT : CUDA_COUNT;
  bool good = true;
  for (tsr_node *n = node->first->next; n != NULL; n = n->next) {
    if (tsr_word_index(n, words, count) != count) continue;
    good = false;
    tsr_sema_unknown_word(sema, TSR_DIAG_UNKNOWN_VARIANT, n,
                          host ? "variant of host" : "variant of cuda", words,
                          count);
  }
  return good;
}

static bool add_target(tsr_sema *sema, tsr_target_family family,
                       const char *variant, tsr_span span) {
  for (uint32_t i = 0; i < sema->targets.count; ++i) {
    const tsr_plan_target *other = tsr_vector_at(&sema->targets, i);
    if (strcmp(other->variant, variant) != 0) continue;
    tsr_diag_report(sema->compilation->diags, TSR_DIAG_DUPLICATE_TARGET, span,
                    "target '%s' is given twice", variant);
    if (other->span.source != UINT32_MAX) {
      tsr_diag_note(sema->compilation->diags, other->span, "first given here");
    }
    return false;
  }
  tsr_plan_target *target = tsr_vector_push(sema, &sema->targets);
  if (target == NULL) return false;
  *target = (tsr_plan_target){family, variant, span};
  return true;
}

// What a target without a list of variants means.
static bool add_default_targets(tsr_sema *sema, tsr_target_family family,
                                tsr_span span) {
  if (family == TSR_TARGET_CUDA) {
    return add_target(sema, family, "sm_80", span) &&
           add_target(sema, family, "sm_90a", span);
  }
  return add_target(sema, family, "x86-64-v2", span) &&
         add_target(sema, family, "x86-64-v3", span) &&
         add_target(sema, family, "x86-64-v4", span) &&
         add_target(sema, family, "x86-64-v4-bf16", span);
}

static bool add_targets(tsr_sema *sema, const tsr_node *node) {
  if (node->erroneous) return false;
  bool host = tsr_node_is_word(node->first, "host");
  tsr_target_family family = host ? TSR_TARGET_HOST : TSR_TARGET_CUDA;
  const tsr_node *variant = node->first->next;
  if (variant == NULL) {
    return add_default_targets(sema, family, node->first->span);
  }
  bool good = true;
  for (; variant != NULL; variant = variant->next) {
    uint32_t index = host ? tsr_word_index(variant, host_words, HOST_COUNT)
                          : tsr_word_index(variant, cuda_words, CUDA_COUNT);
    const char *name = host ? host_words[index] : cuda_words[index];
    good = add_target(sema, family, name, variant->span) && good;
  }
  return good;
}

static bool targets_of(tsr_sema *sema, const tsr_ast *ast, bool *any) {
  bool good = true;
  for (const tsr_node *node = ast->root->body; node != NULL;
       node = node->next) {
    if (node->kind == TSR_NODE_TARGET) {
      *any = true;
      good = add_targets(sema, node) && good;
    } else if (node->included != NULL) {
      good = targets_of(sema, node->included, any) && good;
    }
  }
  return good;
}

bool tsr_check_targets_once(tsr_sema *sema, void *unused) {
  (void)unused;
  bool any = false;
  bool good = targets_of(sema, sema->ast, &any);
  if (any || sema->lost) return good;
  return add_default_targets(sema, TSR_TARGET_HOST, TSR_SPAN_NONE);
}

// --- clauses of weights and masks --------------------------------------------

static bool clauses_once(tsr_sema *sema, tsr_node *node) {
  bool good = true;
  for (tsr_node *b = node->first; b != NULL; b = b->next) {
    for (const tsr_node *a = node->first; a != b; a = a->next) {
      if (a->kind != b->kind || b->erroneous) continue;
      b->erroneous = true;
      good = false;
      tsr_diag_report(
          sema->compilation->diags, TSR_DIAG_DUPLICATE_SETTING, b->span,
          "a second %s",
          b->kind == TSR_NODE_WORD ? "format" : tsr_node_kind_name(b->kind));
      tsr_diag_note(sema->compilation->diags, a->span, "the first one");
    }
  }
  return good;
}

bool tsr_check_clauses_once(tsr_sema *sema, tsr_node *node) {
  return clauses_once(sema, node);
}

static bool tensors_once(tsr_sema *sema, tsr_node *node) {
  bool good = true;
  for (tsr_node *n = node->first; n != NULL; n = n->next) {
    good = clauses_once(sema, n) && good;
  }
  return good;
}

bool tsr_check_weight_tensors(tsr_sema *sema, tsr_node *node) {
  return tensors_once(sema, node);
}

bool tsr_check_concat_tensors(tsr_sema *sema, tsr_node *node) {
  return tensors_once(sema, node);
}

bool tsr_check_interleave_tensors(tsr_sema *sema, tsr_node *node) {
  return tensors_once(sema, node);
}

bool tsr_check_mask_clauses_once(tsr_sema *sema, tsr_node *node) {
  return clauses_once(sema, node);
}

static tsr_node *clause(const tsr_node *node, tsr_node_kind kind) {
  tsr_node *n = node->first;
  while (n != NULL && n->kind != kind) n = n->next;
  return n;
}

// Reports a clause that the format has no use for.
static bool forbid(tsr_sema *sema, const tsr_node *node, tsr_node_kind kind,
                   const char *format) {
  const tsr_node *found = clause(node, kind);
  if (found == NULL) return true;
  tsr_diag_report(sema->compilation->diags, TSR_DIAG_SOURCE_CLAUSE, found->span,
                  "with format '%s' there is no %s", format,
                  kind == TSR_NODE_STRING ? "file" : tsr_node_kind_name(kind));
  return false;
}

static bool ends_with(const char *text, const char *end) {
  size_t text_size = strlen(text);
  size_t end_size = strlen(end);
  return text_size >= end_size &&
         strcmp(text + (text_size - end_size), end) == 0;
}

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

static bool read_name(tsr_sema *sema, const tsr_node *node,
                      tsr_draft_source *source) {
  const tsr_node *as = clause(node, TSR_NODE_AS);
  return as == NULL || tsr_sema_name(sema, as->first, NULL, &source->name);
}

static uint64_t read_seed(const tsr_node *node) {
  const tsr_node *seed = clause(node, TSR_NODE_SEED);
  return seed == NULL ? 0 : seed->first->number;
}

static bool seed_is_good(const tsr_node *node) {
  const tsr_node *seed = clause(node, TSR_NODE_SEED);
  return seed == NULL || !seed->first->erroneous;
}

// Paths are seen from the root plan's folder.
static bool read_path(tsr_sema *sema, const tsr_node *node,
                      const char **out_path) {
  tsr_node *string = clause(node, TSR_NODE_STRING);
  *out_path = "";
  if (string == NULL) {
    tsr_diag_report(sema->compilation->diags, TSR_DIAG_SOURCE_CLAUSE,
                    node->span, "a path is missing: %s \"file\";",
                    tsr_node_kind_name(node->kind));
    return false;
  }
  const char *path;
  if (!tsr_sema_name(sema, string, NULL, &path)) return false;
  const char *prefix =
      sema->compilation->sources.items[node->span.source]->prefix;
  if (path[0] != '/' && prefix[0] != '\0') {
    path = tsr_arena_printf(&sema->compilation->arena, "%s/%s", prefix, path);
  }
  if (path == NULL) {
    sema->out_of_memory = true;
    return false;
  }
  *out_path = path;
  return true;
}

static bool unclear(tsr_sema *sema, const tsr_node *node, const char *what,
                    const char *example) {
  tsr_diag_report(sema->compilation->diags, TSR_DIAG_FORMAT_UNCLEAR,
                  clause(node, TSR_NODE_STRING)->span,
                  "the format of these %s cannot be told from the file's name; "
                  "say, for example: %s",
                  what, example);
  return false;
}

// The name of synthetic data may stand where files have their path.
static bool synthetic_name(tsr_sema *sema, const tsr_node *node,
                           tsr_draft_source *source) {
  tsr_node *string = clause(node, TSR_NODE_STRING);
  if (string == NULL) return read_name(sema, node, source);
  return forbid(sema, node, TSR_NODE_AS, "synthetic") &&
         tsr_sema_name(sema, string, NULL, &source->name);
}

// --- weights -----------------------------------------------------------------

static bool read_weights_file(tsr_sema *sema, const tsr_node *node,
                              tsr_node *word, tsr_draft_source *source) {
  bool good = forbid(sema, node, TSR_NODE_SEED, "safetensors");
  good = read_name(sema, node, source) && good;
  good = read_path(sema, node, &source->weights.path) && good;
  if (!good || word != NULL) return good;
  const char *path = source->weights.path;
  if (ends_with(path, ".safetensors") ||
      ends_with(path, ".safetensors.index.json")) {
    source->weights.format = TSR_WEIGHTS_SAFETENSORS;
    return true;
  }
  return unclear(sema, node, "weights", "weights safetensors \"file\";");
}

static bool read_weights(tsr_sema *sema, tsr_node *node,
                         tsr_draft_source *source) {
  tsr_node *word = clause(node, TSR_NODE_WORD);
  uint32_t index =
      word == NULL ? 0 : tsr_word_index(word, weights_words, WEIGHTS_COUNT);
  if (index == WEIGHTS_COUNT) {
    tsr_sema_unknown_word(sema, TSR_DIAG_UNKNOWN_WEIGHTS_FORMAT, word,
                          "weights format", weights_words, WEIGHTS_COUNT);
    return false;
  }
  source->weights.format = (tsr_weights_format)index;
  source->weights.path = "";
  source->weights.span = node->span;
  const char *format = weights_words[index];
  bool good = forbid(sema, node, TSR_NODE_FROM, format) &&
              forbid(sema, node, TSR_NODE_SPARSE24, format) &&
              forbid(sema, node, TSR_NODE_ZERO, format) && seed_is_good(node);
  if (!good) return false;
  if (source->weights.format != TSR_WEIGHTS_SYNTHETIC) {
    return read_weights_file(sema, node, word, source);
  }
  source->weights.seed = read_seed(node);
  return synthetic_name(sema, node, source);
}

// --- masks -------------------------------------------------------------------

static bool read_fractions(tsr_sema *sema, const tsr_node *node,
                           tsr_plan_masks *masks) {
  const tsr_node *sparse = clause(node, TSR_NODE_SPARSE24);
  const tsr_node *zero = clause(node, TSR_NODE_ZERO);
  uint64_t sum = 0;
  if (sparse != NULL) {
    if (sparse->first->erroneous) return false;
    sum += sparse->first->number;
    masks->sparse24_fraction = (double)sparse->first->number / 1e11;
  }
  if (zero != NULL) {
    if (zero->first->erroneous) return false;
    sum += zero->first->number;
    masks->zero_fraction = (double)zero->first->number / 1e11;
  }
  if (sum <= 100000000000u) return true;
  tsr_diag_report(sema->compilation->diags, TSR_DIAG_BAD_FRACTION, node->span,
                  "the fractions of sparse24 and zero tiles exceed 100%%");
  return false;
}

// From the name of the file alone.
static bool infer_mask_format(tsr_sema *sema, const tsr_node *node,
                              tsr_plan_masks *masks) {
  const char *base = base_name(masks->path);
  if (ends_with(base, "mask_compressed.npz")) {
    masks->format = TSR_MASK_MASKLLM;
  } else if (ends_with(base, "mask.npz")) {
    masks->format = TSR_MASK_PATCH;
  } else if (ends_with(base, ".npy")) {
    masks->format = TSR_MASK_GRID;
  } else {
    return unclear(sema, node, "masks", "masks patch \"file\";");
  }
  return true;
}

static bool mask_has_file(tsr_mask_format format) {
  return format == TSR_MASK_PATCH || format == TSR_MASK_MASKLLM ||
         format == TSR_MASK_GRID;
}

static bool read_synthetic_masks(tsr_sema *sema, const tsr_node *node,
                                 tsr_draft_source *source) {
  bool good = read_fractions(sema, node, &source->masks);
  source->masks.seed = read_seed(node);
  return synthetic_name(sema, node, source) && good;
}

static bool read_other_masks(tsr_sema *sema, const tsr_node *node,
                             const tsr_node *word, tsr_draft_source *source) {
  bool has_file = word == NULL || mask_has_file(source->masks.format);
  const char *format = word == NULL ? "file" : mask_words[source->masks.format];
  bool good = forbid(sema, node, TSR_NODE_SPARSE24, format) &&
              forbid(sema, node, TSR_NODE_ZERO, format) &&
              forbid(sema, node, TSR_NODE_SEED, format);
  good = read_name(sema, node, source) && good;
  if (!has_file) return forbid(sema, node, TSR_NODE_STRING, format) && good;
  good = read_path(sema, node, &source->masks.path) && good;
  if (!good || word != NULL) return good;
  return infer_mask_format(sema, node, &source->masks);
}

static bool read_masks(tsr_sema *sema, tsr_node *node,
                       tsr_draft_source *source) {
  tsr_node *word = clause(node, TSR_NODE_WORD);
  uint32_t index =
      word == NULL ? 0 : tsr_word_index(word, mask_words, MASKS_COUNT);
  if (index == MASKS_COUNT) {
    tsr_sema_unknown_word(sema, TSR_DIAG_UNKNOWN_MASK_FORMAT, word,
                          "mask format", mask_words, MASKS_COUNT);
    return false;
  }
  source->masks.format = (tsr_mask_format)index;
  source->masks.path = "";
  source->masks.span = node->span;
  if (!forbid(sema, node, TSR_NODE_FROM, mask_words[index]) ||
      !seed_is_good(node)) {
    return false;
  }
  if (word != NULL && source->masks.format == TSR_MASK_SYNTHETIC) {
    return read_synthetic_masks(sema, node, source);
  }
  return read_other_masks(sema, node, word, source);
}

// --- declarations ------------------------------------------------------------

static bool declare(tsr_sema *sema, const tsr_ast *ast, tsr_node_kind kind,
                    tsr_vector *sources) {
  bool good = true;
  for (tsr_node *node = ast->root->body; node != NULL; node = node->next) {
    if (node->included != NULL) {
      good = declare(sema, node->included, kind, sources) && good;
    }
    if (node->kind != kind) continue;
    if (sources->count == TSR_DECLARATION_COUNT_MAX) {
      tsr_diag_report(sema->compilation->diags, TSR_DIAG_TOO_MANY, node->span,
                      "more than %d declarations of %s",
                      TSR_DECLARATION_COUNT_MAX, tsr_node_kind_name(kind));
      return false;
    }
    tsr_draft_source *source = tsr_vector_push(sema, sources);
    if (source == NULL) return false;
    source->node = node;
    source->good = !node->erroneous &&
                   (kind == TSR_NODE_WEIGHTS ? read_weights(sema, node, source)
                                             : read_masks(sema, node, source));
    good = source->good && good;
  }
  return good;
}

bool tsr_check_weights_sources(tsr_sema *sema, void *unused) {
  (void)unused;
  return declare(sema, sema->ast, TSR_NODE_WEIGHTS, &sema->weights);
}

bool tsr_check_masks_sources(tsr_sema *sema, void *unused) {
  (void)unused;
  return declare(sema, sema->ast, TSR_NODE_MASKS, &sema->masks);
}

static bool same_name(const char *a, const char *b) {
  return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool names_differ(tsr_sema *sema, const tsr_vector *sources,
                         const char *what) {
  bool good = true;
  for (uint32_t j = 0; j < sources->count; ++j) {
    const tsr_draft_source *b = tsr_vector_at(sources, j);
    for (uint32_t i = 0; i < j && b->good; ++i) {
      const tsr_draft_source *a = tsr_vector_at(sources, i);
      if (!a->good || !same_name(a->name, b->name)) continue;
      good = false;
      if (b->name == NULL) {
        tsr_diag_report(sema->compilation->diags, TSR_DIAG_DUPLICATE_SOURCE,
                        b->node->span,
                        "a second declaration of %s without a name; add: as "
                        "\"name\"",
                        what);
      } else {
        tsr_diag_report(sema->compilation->diags, TSR_DIAG_DUPLICATE_SOURCE,
                        b->node->span, "%s \"%s\" are declared twice", what,
                        b->name);
      }
      tsr_diag_note(sema->compilation->diags, a->node->span,
                    "first declared here");
      break;
    }
  }
  return good;
}

bool tsr_check_source_names(tsr_sema *sema, void *unused) {
  (void)unused;
  bool weights = names_differ(sema, &sema->weights, "weights");
  return names_differ(sema, &sema->masks, "masks") && weights;
}

bool tsr_check_weights_present(tsr_sema *sema, void *unused) {
  (void)unused;
  if (sema->weights.count != 0) return true;
  if (!sema->lost) {
    const tsr_draft_layer *layer = tsr_vector_at(&sema->layers, 0);
    tsr_diag_report(sema->compilation->diags, TSR_DIAG_NO_WEIGHTS,
                    layer->node->first->span,
                    "the plan does not declare weights for its layers");
  }
  return false;
}

static void warn_unused(tsr_sema *sema, const tsr_vector *sources,
                        const char *what) {
  for (uint32_t i = 0; i < sources->count; ++i) {
    const tsr_draft_source *source = tsr_vector_at(sources, i);
    if (source->used || !source->good) continue;
    tsr_diag_report(sema->compilation->diags, TSR_DIAG_SOURCE_UNUSED,
                    source->node->span, "no layer uses these %s", what);
  }
}

bool tsr_check_sources_used(tsr_sema *sema, void *unused) {
  (void)unused;
  if (sema->lost || tsr_diag_error_count(sema->compilation->diags) != 0) {
    return false;
  }
  warn_unused(sema, &sema->weights, "weights");
  warn_unused(sema, &sema->masks, "masks");
  return true;
}

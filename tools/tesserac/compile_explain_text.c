// SPDX-License-Identifier: Apache-2.0
// tesserac compile --explain for people. A model has hundreds of layers and
// some five shapes: layers with equal kernels are told together, each figure as
// the range that it takes among them.
#include <string.h>

#include "base/memory.h"
#include "common/names.h"
#include "common/table.h"
#include "common/terminal.h"
#include "tesserac/compile_explain.h"

enum { BOUND_LIMIT = 4, PAGE_WIDTH = 80 };

// ---- Groups ----------------------------------------------------------------

typedef struct grouping {
  tsr_layer_group *groups;  // in the order of their first layers
  uint32_t count;
  uint32_t *next;  // of each layer
} grouping;

static void grouping_fini(grouping *g) {
  tsr_free(g->groups);
  tsr_free(g->next);
}

// Tiles that are zero need no code: a layer with some has the kernels of one
// without.
static uint32_t kinds_of(const tsr_kernel_spec *spec) {
  return spec->kinds & ~(1u << TSR_KIND_ZERO);
}

static bool same_spec(const tsr_kernel_spec *a, const tsr_kernel_spec *b) {
  return a->rows == b->rows && a->columns == b->columns &&
         a->tile.rows == b->tile.rows && a->tile.columns == b->tile.columns &&
         a->weight_type == b->weight_type && a->output_type == b->output_type &&
         a->activation == b->activation && a->has_bias == b->has_bias &&
         a->has_residual == b->has_residual && kinds_of(a) == kinds_of(b);
}

static bool same_tokens(const tsr_plan_layer *a, const tsr_plan_layer *b) {
  if (a->token_count != b->token_count) return false;
  for (uint32_t i = 0; i < a->token_count; ++i) {
    if (a->tokens[i].first != b->tokens[i].first ||
        a->tokens[i].last != b->tokens[i].last) {
      return false;
    }
  }
  return true;
}

static bool same_kernels(const tsr_compile *c, uint32_t a, uint32_t b) {
  tsr_kernel_spec x = tsr_compile_spec(&c->layers[a]);
  tsr_kernel_spec y = tsr_compile_spec(&c->layers[b]);
  return same_spec(&x, &y) &&
         same_tokens(&c->plan->layers[a], &c->plan->layers[b]);
}

// Puts layer |index| into the group of its like, or into a new one.
static void add_layer(const tsr_compile *c, uint32_t index, bool is_alone,
                      grouping *g) {
  uint32_t at = is_alone ? g->count : 0;
  while (at < g->count && !same_kernels(c, g->groups[at].first, index)) ++at;
  tsr_layer_group *group = &g->groups[at];
  g->next[index] = TSR_NO_LAYER;
  if (at == g->count) {
    *group = (tsr_layer_group){.next = g->next, .first = index};
    ++g->count;
  } else {
    g->next[group->last] = index;
  }
  group->last = index;
  ++group->count;
}

static tsr_status grouping_init(const tsr_compile *c, bool is_alone,
                                grouping *out, tsr_error *error) {
  size_t count = c->plan->layer_count;
  *out = (grouping){.groups = tsr_calloc(count + 1, sizeof(*out->groups)),
                    .next = tsr_calloc(count + 1, sizeof(*out->next))};
  if (out->groups == NULL || out->next == NULL) {
    grouping_fini(out);
    return tsr_error_out_of_memory(error);
  }
  for (uint32_t i = 0; i < count; ++i) add_layer(c, i, is_alone, out);
  return TSR_OK;
}

// ---- Figures ---------------------------------------------------------------

typedef struct spread {
  double least, most;
} spread;

// What is predicted of one strategy and token tile, for all layers of a group.
typedef struct figure {
  tsr_cuda_candidate first;  // its first layer's
  spread seconds, bytes;
  spread extra;  // percent more than what was chosen
  const char *bounds[BOUND_LIMIT];
  uint32_t bound_count;
} figure;

typedef struct figures {
  uint32_t count;
  figure rows[TSR_CUDA_CANDIDATE_LIMIT];
} figures;

static void widen(spread *s, double value) {
  if (value < s->least) s->least = value;
  if (value > s->most) s->most = value;
}

static void add_bound(figure *f, const char *bound) {
  for (uint32_t i = 0; i < f->bound_count; ++i) {
    if (strcmp(f->bounds[i], bound) == 0) return;
  }
  if (f->bound_count < BOUND_LIMIT) f->bounds[f->bound_count++] = bound;
}

static double extra_of(const tsr_cuda_candidate *c, double chosen) {
  return 100 * (c->seconds / chosen - 1);
}

static figure begin_figure(const tsr_cuda_candidate *c, double chosen) {
  double extra = extra_of(c, chosen);
  figure f = {.first = *c,
              .seconds = {c->seconds, c->seconds},
              .bytes = {(double)c->bytes, (double)c->bytes},
              .extra = {extra, extra}};
  if (c->is_applicable) add_bound(&f, c->bound);
  return f;
}

// All but the chosen one come by their time, so their order may differ.
static figure *find_figure(figures *all, const tsr_cuda_candidate *c) {
  for (uint32_t i = 0; i < all->count; ++i) {
    const tsr_cuda_candidate *first = &all->rows[i].first;
    if (first->is_applicable && strcmp(first->strategy, c->strategy) == 0 &&
        first->kernel.block_tokens == c->kernel.block_tokens) {
      return &all->rows[i];
    }
  }
  return NULL;
}

static void gather(const tsr_question *q, figures *out) {
  tsr_cuda_candidate all[TSR_CUDA_CANDIDATE_LIMIT];
  uint32_t layer = q->group->first;
  out->count = tsr_explain_answer(q, layer, all);
  for (uint32_t i = 0; i < out->count; ++i) {
    out->rows[i] = begin_figure(&all[i], all[0].seconds);
  }
  while ((layer = q->group->next[layer]) != TSR_NO_LAYER) {
    uint32_t count = tsr_explain_answer(q, layer, all);
    for (uint32_t i = 0; i < count; ++i) {
      if (!all[i].is_applicable) continue;
      figure *f = find_figure(out, &all[i]);
      if (f == NULL) continue;
      widen(&f->seconds, all[i].seconds);
      widen(&f->bytes, (double)all[i].bytes);
      widen(&f->extra, extra_of(&all[i], all[0].seconds));
      add_bound(f, all[i].bound);
    }
  }
}

// Both tables have these two columns.
static void put_strategy(const tsr_question *q, const figure *f,
                         bool is_first_row, tsr_table *table) {
  if (is_first_row) {
    tsr_table_cell(table, "%u", q->tokens);
  } else {
    tsr_table_cell(table, "%s", "");
  }
  tsr_table_cell(table, "%s", f->first.strategy);
}

static void put_refusal(const figure *f, int empty, tsr_table *table) {
  for (int i = 0; i < empty; ++i) tsr_table_cell(table, "%s", "");
  tsr_table_cell(table, "%s", f->first.reason);
}

// ---- Layer by layer --------------------------------------------------------

// "268 M".
static tsr_number format_flops(uint64_t flops) {
  tsr_number number = tsr_format_bytes(flops);
  number.text[strlen(number.text) - 1] = '\0';  // the B of bytes
  return number;
}

static void put_single(const figure *f, tsr_table *table) {
  const tsr_cuda_candidate *c = &f->first;
  tsr_table_cell(table, "%u", c->kernel.block_tokens);
  tsr_table_cell(table, "%s", tsr_format_seconds(c->seconds).text);
  tsr_table_cell(table, "%s", c->bound);
  tsr_table_cell(table, "%s", tsr_format_bytes(c->bytes).text);
  tsr_table_cell(table, "%s", format_flops(c->flops).text);
  if (c->is_chosen) {
    tsr_table_cell(table, "chosen");
  } else {
    tsr_table_cell(table, "%+.1f %%", f->extra.least);
  }
}

static void tell_single(const tsr_question *q, void *context) {
  tsr_table *table = context;
  const char *name = q->c->plan->layers[q->group->first].name;
  figures all;
  gather(q, &all);
  for (uint32_t i = 0; i < all.count; ++i) {
    tsr_table_cell(table, "%s", i == 0 && q->is_first ? name : "");
    put_strategy(q, &all.rows[i], i == 0, table);
    if (all.rows[i].first.is_applicable) {
      put_single(&all.rows[i], table);
    } else {
      put_refusal(&all.rows[i], 5, table);
    }
  }
}

static tsr_status write_singles(const tsr_compile *c, const grouping *g,
                                const tsr_cuda_target *target, tsr_buffer *out,
                                tsr_error *error) {
  static const char *const headers[] = {
      "<layer", ">tokens", "<strategy", ">tile", ">time",
      "<bound", ">bytes",  ">flops",    "=",     NULL};
  tsr_table *table = tsr_table_create(headers);
  for (uint32_t i = 0; i < g->count; ++i) {
    tsr_explain_ask(c, &g->groups[i], target, tell_single, table);
  }
  tsr_status status =
      tsr_table_render(table, c->cli->utf8, c->cli->out_color, out, error);
  tsr_table_destroy(table);
  return status;
}

// ---- Group by group --------------------------------------------------------

// "15.4 us", "15.4..15.9 us", "998 us..1.02 ms".
static void put_spread(tsr_number least, tsr_number most, tsr_table *table) {
  const char *unit = strchr(least.text, ' ');
  const char *other = strchr(most.text, ' ');
  if (strcmp(least.text, most.text) == 0) {
    tsr_table_cell(table, "%s", most.text);
  } else if (unit != NULL && other != NULL && strcmp(unit, other) == 0) {
    tsr_table_cell(table, "%.*s..%s", (int)(unit - least.text), least.text,
                   most.text);
  } else {
    tsr_table_cell(table, "%s..%s", least.text, most.text);
  }
}

static tsr_number format_percent(double value) {
  tsr_number number;
  bool is_small = value < 9.95 && value > -9.95;
  (void)snprintf(number.text, sizeof(number.text), "%+.*f %%", is_small ? 1 : 0,
                 value);
  return number;
}

static void put_bounds(const figure *f, tsr_table *table) {
  tsr_buffer names = {0};
  for (uint32_t i = 0; i < f->bound_count; ++i) {
    if (i != 0) tsr_buffer_append_string(&names, ", ");
    tsr_buffer_append_string(&names, f->bounds[i]);
  }
  tsr_table_cell(table, "%s", tsr_buffer_text(&names));
  tsr_buffer_fini(&names);
}

static void put_figure(const figure *f, tsr_table *table) {
  tsr_table_cell(table, "%u", f->first.kernel.block_tokens);
  put_spread(tsr_format_seconds(f->seconds.least),
             tsr_format_seconds(f->seconds.most), table);
  put_bounds(f, table);
  put_spread(tsr_format_bytes((uint64_t)f->bytes.least),
             tsr_format_bytes((uint64_t)f->bytes.most), table);
  if (f->first.is_chosen) {
    tsr_table_cell(table, "chosen");
  } else {
    put_spread(format_percent(f->extra.least), format_percent(f->extra.most),
               table);
  }
}

static void tell_group(const tsr_question *q, void *context) {
  tsr_table *table = context;
  figures all;
  gather(q, &all);
  for (uint32_t i = 0; i < all.count; ++i) {
    put_strategy(q, &all.rows[i], i == 0, table);
    if (all.rows[i].first.is_applicable) {
      put_figure(&all.rows[i], table);
    } else {
      put_refusal(&all.rows[i], 4, table);
    }
  }
}

// |text| in lines of the page's width, broken after commas.
static void put_wrapped(const char *text, tsr_buffer *out) {
  size_t column = 0;
  while (*text != '\0') {
    const char *end = strstr(text, ", ");
    size_t size = end == NULL ? strlen(text) : (size_t)(end - text) + 1;
    size_t width = tsr_text_width(text, size);
    if (column != 0 && column + 1 + width > PAGE_WIDTH) {
      tsr_buffer_append_string(out, "\n  ");
      column = 2;
    } else if (column != 0) {
      tsr_buffer_append_char(out, ' ');
      ++column;
    }
    tsr_buffer_append(out, text, size);
    column += width;
    text += size + (end != NULL);
  }
}

// "layers.{0..31}.{q,k,v,o}_proj: 128 layers, 4096 x 4096".
static tsr_status put_title(const tsr_compile *c, const tsr_layer_group *group,
                            tsr_buffer *out, tsr_error *error) {
  const char **names = tsr_calloc(group->count, sizeof(*names));
  if (names == NULL) return tsr_error_out_of_memory(error);
  uint32_t count = 0;
  for (uint32_t i = group->first; i != TSR_NO_LAYER; i = group->next[i]) {
    names[count++] = c->plan->layers[i].name;
  }
  const tsr_packed_layer *packed = &c->layers[group->first].packed;
  tsr_buffer text = {0};
  tsr_names_fold(names, count, &text);
  tsr_buffer_printf(&text, ": %s, %u x %u",
                    tsr_format_plural(count, "layer").text, packed->rows,
                    packed->columns);
  bool color = c->cli->out_color;
  tsr_buffer_printf(out, "\n%s", tsr_style_code(color, TSR_STYLE_BOLD));
  put_wrapped(tsr_buffer_text(&text), out);
  tsr_buffer_printf(out, "%s\n", tsr_style_code(color, TSR_STYLE_NONE));
  tsr_status status = tsr_buffer_status(&text, error);
  tsr_buffer_fini(&text);
  tsr_free(names);
  return status;
}

static tsr_status write_group(const tsr_compile *c,
                              const tsr_layer_group *group,
                              const tsr_cuda_target *target, tsr_buffer *out,
                              tsr_error *error) {
  static const char *const headers[] = {
      ">tokens", "<strategy", ">tile", ">time", "<bound", ">bytes", "=", NULL};
  tsr_status status = put_title(c, group, out, error);
  if (status != TSR_OK) return status;
  tsr_table *table = tsr_table_create(headers);
  tsr_explain_ask(c, group, target, tell_group, table);
  status = tsr_table_render(table, c->cli->utf8, c->cli->out_color, out, error);
  tsr_table_destroy(table);
  return status;
}

static tsr_status write_groups(const tsr_compile *c, const grouping *g,
                               const tsr_cuda_target *target, tsr_buffer *out,
                               tsr_error *error) {
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < g->count; ++i) {
    status = write_group(c, &g->groups[i], target, out, error);
  }
  return status;
}

// ---- Both ------------------------------------------------------------------

tsr_status tsr_explain_text(const tsr_compile *c, bool is_alone,
                            tsr_buffer *out, tsr_error *error) {
  grouping g;
  tsr_status status = grouping_init(c, is_alone, &g, error);
  if (status != TSR_OK) return status;
  for (uint32_t i = 0; status == TSR_OK && i < c->cuda_target_count; ++i) {
    const tsr_cuda_target *target = c->cuda_targets[i];
    tsr_buffer_printf(out, "%s%s: predicted for %s\n", i == 0 ? "" : "\n",
                      target->name, target->gpu.name);
    // Where no two layers are alike one table is easier to read than many.
    status = g.count == c->plan->layer_count
                 ? write_singles(c, &g, target, out, error)
                 : write_groups(c, &g, target, out, error);
  }
  grouping_fini(&g);
  return status;
}

// SPDX-License-Identifier: Apache-2.0
// tesserac compile --explain: for each layer, target and range of tokens the
// strategy that was chosen and those that were not, with what the cost model
// predicts of each (docs/cuda-kernels.md, "Strategies").
#include <string.h>

#include "common/table.h"
#include "common/terminal.h"
#include "tesserac/compile.h"

// One range of tokens of one layer for one target.
typedef struct question {
  const char *layer;
  uint32_t tokens;
  bool is_first;  // of its layer
  uint32_t count;
  tsr_cuda_candidate candidates[TSR_CUDA_CANDIDATE_LIMIT];
} question;

typedef void (*teller)(const question *q, void *context);

static void ask_range(const tsr_compile *c, uint32_t layer,
                      const tsr_cuda_target *target,
                      const tsr_plan_tokens *range, bool *io_is_first,
                      teller tell, void *context) {
  tsr_kernel_spec spec = tsr_compile_spec(&c->layers[layer]);
  tsr_cuda_facts facts = tsr_compile_cuda_facts(c, layer, target);
  tsr_cuda_kernel kernels[TSR_KERNEL_LIMIT];
  spec.token_first = range->first;
  spec.token_last = range->last;
  uint32_t count = tsr_cuda_plan(&spec, target, kernels);
  for (uint32_t i = 0; i < count; ++i) {
    const tsr_kernel_spec *own = &kernels[i].spec;
    question q = {.layer = c->plan->layers[layer].name,
                  .tokens = tsr_cuda_judged(own->token_first, own->token_last),
                  .is_first = *io_is_first};
    q.count = tsr_cuda_explain(&spec, &facts, target, q.tokens, q.candidates);
    tell(&q, context);
    *io_is_first = false;
  }
}

static void ask(const tsr_compile *c, const tsr_cuda_target *target,
                teller tell, void *context) {
  for (uint32_t i = 0; i < c->plan->layer_count; ++i) {
    const tsr_plan_layer *layer = &c->plan->layers[i];
    bool is_first = true;
    for (uint32_t r = 0; r < layer->token_count; ++r) {
      ask_range(c, i, target, &layer->tokens[r], &is_first, tell, context);
    }
  }
}

// ---- For people ------------------------------------------------------------

// "268 M".
static tsr_number format_flops(uint64_t flops) {
  tsr_number number = tsr_format_bytes(flops);
  number.text[strlen(number.text) - 1] = '\0';  // the B of bytes
  return number;
}

static void tell_candidate(const question *q, uint32_t index,
                           tsr_table *table) {
  const tsr_cuda_candidate *c = &q->candidates[index];
  tsr_table_cell(table, "%s", index == 0 && q->is_first ? q->layer : "");
  if (index == 0) {
    tsr_table_cell(table, "%u", q->tokens);
  } else {
    tsr_table_cell(table, "%s", "");
  }
  tsr_table_cell(table, "%s", c->strategy);
  if (!c->is_applicable) {
    for (int i = 0; i < 5; ++i) tsr_table_cell(table, "%s", "");
    tsr_table_cell(table, "%s", c->reason);
    return;
  }
  tsr_table_cell(table, "%u", c->kernel.block_tokens);
  tsr_table_cell(table, "%s", tsr_format_seconds(c->seconds).text);
  tsr_table_cell(table, "%s", c->bound);
  tsr_table_cell(table, "%s", tsr_format_bytes(c->bytes).text);
  tsr_table_cell(table, "%s", format_flops(c->flops).text);
  if (c->is_chosen) {
    tsr_table_cell(table, "%s", "chosen");
  } else {
    tsr_table_cell(table, "%+.1f %%",
                   100 * (c->seconds / q->candidates[0].seconds - 1));
  }
}

static void tell_rows(const question *q, void *context) {
  for (uint32_t i = 0; i < q->count; ++i) tell_candidate(q, i, context);
}

static tsr_status write_text(const tsr_compile *c, tsr_buffer *out,
                             tsr_error *error) {
  static const char *const headers[] = {
      "<layer", ">tokens", "<strategy", ">tile", ">time",
      "<bound", ">bytes",  ">flops",    "=",     NULL};
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < c->cuda_target_count; ++i) {
    const tsr_cuda_target *target = c->cuda_targets[i];
    tsr_buffer_printf(out, "%s%s: predicted for %s\n", i == 0 ? "" : "\n",
                      target->name, target->gpu.name);
    tsr_table *table = tsr_table_create(headers);
    ask(c, target, tell_rows, table);
    status =
        tsr_table_render(table, c->cli->utf8, c->cli->out_color, out, error);
    tsr_table_destroy(table);
  }
  return status;
}

// ---- For scripts -----------------------------------------------------------

typedef struct json_writer {
  tsr_buffer *out;
  bool is_first;  // layer of its target
} json_writer;

static void text(tsr_buffer *out, const char *name, const char *value) {
  tsr_buffer_printf(out, "\"%s\": ", name);
  if (value == NULL) {
    tsr_buffer_append_string(out, "null");
  } else {
    tsr_buffer_append_json(out, value, strlen(value));
  }
}

static void json_candidate(const tsr_cuda_candidate *c, tsr_buffer *out) {
  tsr_buffer_append_string(out, "\n        {");
  text(out, "strategy", c->strategy);
  tsr_buffer_printf(out, ", \"chosen\": %s, ", c->is_chosen ? "true" : "false");
  text(out, "refused", c->reason);
  if (c->is_applicable) {
    tsr_buffer_append_string(out, ", ");
    text(out, "kernel", c->is_chosen ? c->kernel.name : NULL);
    tsr_buffer_printf(
        out,
        ", \"token_tile\": %u, \"seconds\": %.6e,\n         \"bytes\": %llu, "
        "\"flops\": %llu, \"mma\": %llu, ",
        c->kernel.block_tokens, c->seconds, (unsigned long long)c->bytes,
        (unsigned long long)c->flops, (unsigned long long)c->mma);
    text(out, "bound", c->bound);
  }
  tsr_buffer_append_char(out, '}');
}

static void json_question(const question *q, void *context) {
  json_writer *w = context;
  tsr_buffer_append_string(w->out, w->is_first ? "\n" : ",\n");
  w->is_first = false;
  tsr_buffer_append_string(w->out, "      {");
  text(w->out, "layer", q->layer);
  tsr_buffer_printf(w->out, ", \"tokens\": %u, \"candidates\": [", q->tokens);
  for (uint32_t i = 0; i < q->count; ++i) {
    if (i != 0) tsr_buffer_append_char(w->out, ',');
    json_candidate(&q->candidates[i], w->out);
  }
  tsr_buffer_append_string(w->out, "]}");
}

static void write_json(const tsr_compile *c, tsr_buffer *out) {
  tsr_buffer_append_string(out, "{\"targets\": [");
  for (uint32_t i = 0; i < c->cuda_target_count; ++i) {
    const tsr_cuda_target *target = c->cuda_targets[i];
    tsr_buffer_append_string(out, i == 0 ? "\n  {" : ",\n  {");
    text(out, "target", target->name);
    tsr_buffer_append_string(out, ", ");
    text(out, "gpu", target->gpu.name);
    tsr_buffer_append_string(out, ", \"choices\": [");
    json_writer writer = {out, true};
    ask(c, target, json_question, &writer);
    tsr_buffer_append_string(out, "]}");
  }
  tsr_buffer_append_string(out, "]}\n");
}

tsr_status tsr_compile_explain(tsr_compile *c, tsr_error *error) {
  const char *form = tsr_cli_string(c->cli, "explain");
  if (form == NULL) return TSR_OK;
  if (c->cuda_target_count == 0) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "--explain: no cuda target is compiled for");
  }
  tsr_buffer out = {0};
  tsr_status status = TSR_OK;
  if (strcmp(form, "json") == 0) {
    write_json(c, &out);
  } else {
    status = write_text(c, &out, error);
  }
  return tsr_cli_print(c->cli, status, &out, error);
}

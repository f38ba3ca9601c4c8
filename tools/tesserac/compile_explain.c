// SPDX-License-Identifier: Apache-2.0
// tesserac compile --explain: for each layer, target and range of tokens the
// strategy that was chosen and those that were not, with what the cost model
// predicts of each (docs/cuda-kernels.md, "Strategies"). For scripts, layer by
// layer; compile_explain_text.c has the form for people.
#include "tesserac/compile_explain.h"

#include <string.h>

uint32_t tsr_explain_answer(const tsr_question *q, uint32_t layer,
                            tsr_cuda_candidate out[TSR_CUDA_CANDIDATE_LIMIT]) {
  tsr_cuda_facts facts = tsr_compile_cuda_facts(q->c, layer, q->target);
  return tsr_cuda_explain(&q->spec, &facts, q->target, q->tokens, out);
}

static void ask_range(tsr_question *q, const tsr_plan_tokens *range,
                      tsr_teller tell, void *context) {
  tsr_cuda_kernel kernels[TSR_KERNEL_LIMIT];
  q->spec.token_first = range->first;
  q->spec.token_last = range->last;
  uint32_t count = tsr_cuda_plan(&q->spec, q->target, kernels);
  for (uint32_t i = 0; i < count; ++i) {
    const tsr_kernel_spec *own = &kernels[i].spec;
    q->tokens = tsr_cuda_judged(own->token_first, own->token_last);
    tell(q, context);
    q->is_first = false;
  }
}

void tsr_explain_ask(const tsr_compile *c, const tsr_layer_group *group,
                     const tsr_cuda_target *target, tsr_teller tell,
                     void *context) {
  const tsr_plan_layer *plan = &c->plan->layers[group->first];
  tsr_question q = {.c = c,
                    .group = group,
                    .target = target,
                    .spec = tsr_compile_spec(&c->layers[group->first]),
                    .is_first = true};
  for (uint32_t i = 0; i < plan->token_count; ++i) {
    ask_range(&q, &plan->tokens[i], tell, context);
  }
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

static void json_question(const tsr_question *q, void *context) {
  json_writer *w = context;
  uint32_t layer = q->group->first;
  tsr_cuda_candidate candidates[TSR_CUDA_CANDIDATE_LIMIT];
  uint32_t count = tsr_explain_answer(q, layer, candidates);
  tsr_buffer_append_string(w->out, w->is_first ? "\n" : ",\n");
  w->is_first = false;
  tsr_buffer_append_string(w->out, "      {");
  text(w->out, "layer", q->c->plan->layers[layer].name);
  tsr_buffer_printf(w->out, ", \"tokens\": %u, \"candidates\": [", q->tokens);
  for (uint32_t i = 0; i < count; ++i) {
    if (i != 0) tsr_buffer_append_char(w->out, ',');
    json_candidate(&candidates[i], w->out);
  }
  tsr_buffer_append_string(w->out, "]}");
}

static void json_layers(const tsr_compile *c, const tsr_cuda_target *target,
                        tsr_buffer *out) {
  json_writer writer = {out, true};
  for (uint32_t i = 0; i < c->plan->layer_count; ++i) {
    tsr_layer_group alone = {.first = i, .last = i, .count = 1};
    tsr_explain_ask(c, &alone, target, json_question, &writer);
  }
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
    json_layers(c, target, out);
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
    status = tsr_explain_text(c, strcmp(form, "layers") == 0, &out, error);
  }
  return tsr_cli_print(c->cli, status, &out, error);
}

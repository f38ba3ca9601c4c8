// SPDX-License-Identifier: Apache-2.0
// --emit=plan: the checked plan, everything spelled out.
#include <string.h>

#include "frontend/frontend.h"

static const char *const weights_names[] = {"safetensors", "bitmask",
                                            "bitmask24", "synthetic"};
static const char *const mask_names[] = {
    "none", "nonzero", "patch", "maskllm", "bitmask", "grid", "synthetic"};
static const char *const combine_names[] = {"weight", "concat", "interleave"};
static const char *const balance_names[] = {"bytes", "time", "tiles"};
static const char *const kind_names[] = {"zero", "sparse24", "dense"};

static void put_string(tsr_buffer *out, const char *text) {
  tsr_buffer_append_char(out, ' ');
  tsr_buffer_append_json(out, text, strlen(text));
}

static void put_end(tsr_buffer *out, const char *what, uint32_t end) {
  if (end == UINT32_MAX) {
    tsr_buffer_printf(out, "%send", what);
  } else {
    tsr_buffer_printf(out, "%s%u", what, end);
  }
}

// Billionths, so that no float is printed and no locale asked.
static void put_fraction(tsr_buffer *out, const char *name, double fraction) {
  tsr_buffer_printf(out, " %s %llu/1000000000", name,
                    (unsigned long long)(fraction * 1e9 + 0.5));
}

static void put_sources(const tsr_plan *plan, tsr_buffer *out) {
  for (uint32_t i = 0; i < plan->weights_count; ++i) {
    const tsr_plan_weights *w = &plan->weights[i];
    tsr_buffer_printf(out, "weights %u %s", i, weights_names[w->format]);
    put_string(out, w->path);
    tsr_buffer_printf(out, " seed %llu\n", (unsigned long long)w->seed);
  }
  for (uint32_t i = 0; i < plan->masks_count; ++i) {
    const tsr_plan_masks *m = &plan->masks[i];
    tsr_buffer_printf(out, "masks %u %s", i, mask_names[m->format]);
    put_string(out, m->path);
    if (m->format == TSR_MASK_SYNTHETIC) {
      put_fraction(out, "sparse24", m->sparse24_fraction);
      put_fraction(out, "zero", m->zero_fraction);
      tsr_buffer_printf(out, " seed %llu", (unsigned long long)m->seed);
    }
    tsr_buffer_append_char(out, '\n');
  }
}

static void put_tensors(const tsr_plan_layer *layer, tsr_buffer *out) {
  for (uint32_t i = 0; i < layer->tensor_count; ++i) {
    const tsr_plan_tensor *tensor = &layer->tensors[i];
    tsr_buffer_append_string(out, "  tensor");
    put_string(out, tensor->name);
    if (tensor->rows != 0) {
      tsr_buffer_printf(out, " %ux%u", tensor->rows, tensor->columns);
    }
    tsr_buffer_printf(out, " weights %u masks %u", tensor->weights_index,
                      tensor->masks_index);
    if (tensor->bias_name[0] != '\0') {
      tsr_buffer_append_string(out, " bias");
      put_string(out, tensor->bias_name);
    }
    tsr_buffer_append_char(out, '\n');
  }
}

static void put_rules(const tsr_plan_layer *layer, tsr_buffer *out) {
  for (uint32_t i = 0; i < layer->rule_count; ++i) {
    const tsr_plan_rule *rule = &layer->rules[i];
    tsr_buffer_printf(out, "  %s %s rows %u",
                      rule->is_assertion ? "require" : "set",
                      kind_names[rule->kind], rule->row_begin);
    put_end(out, "..<", rule->row_end);
    tsr_buffer_printf(out, " columns %u", rule->column_begin);
    put_end(out, "..<", rule->column_end);
    tsr_buffer_append_char(out, '\n');
  }
}

static void put_layer(const tsr_plan_layer *layer, tsr_buffer *out) {
  tsr_buffer_append_string(out, "layer");
  put_string(out, layer->name);
  tsr_buffer_printf(out, " symbol %s\n", layer->symbol);
  tsr_buffer_printf(out, "  %s tile %ux%u type %s output %s\n",
                    combine_names[layer->combine], layer->tile.rows,
                    layer->tile.columns, tsr_dtype_name(layer->weight_type),
                    tsr_dtype_name(layer->output_type));
  put_tensors(layer, out);
  tsr_buffer_printf(out, "  bias %s residual %s activation %s\n",
                    layer->has_bias ? "yes" : "no",
                    layer->has_residual ? "yes" : "no",
                    tsr_activation_name(layer->activation));
  put_rules(layer, out);
  if (layer->schedule.workers == 0) {
    tsr_buffer_append_string(out, "  workers default");
  } else {
    tsr_buffer_printf(out, "  workers %u", layer->schedule.workers);
  }
  tsr_buffer_printf(out, " balance %s split %s\n",
                    balance_names[layer->schedule.balance],
                    layer->schedule.split_panels ? "on" : "off");
  tsr_buffer_append_string(out, "  tokens");
  for (uint32_t i = 0; i < layer->token_count; ++i) {
    tsr_buffer_printf(out, " %u", layer->tokens[i].first);
    put_end(out, "..", layer->tokens[i].last);
  }
  tsr_buffer_append_char(out, '\n');
}

void tsr_plan_dump(const tsr_plan *plan, tsr_buffer *out) {
  tsr_buffer_printf(out, "model %s\n", plan->name);
  put_sources(plan, out);
  for (uint32_t i = 0; i < plan->target_count; ++i) {
    tsr_buffer_printf(
        out, "target %s %s\n",
        plan->targets[i].family == TSR_TARGET_HOST ? "host" : "cuda",
        plan->targets[i].variant);
  }
  for (uint32_t i = 0; i < plan->layer_count; ++i) {
    put_layer(&plan->layers[i], out);
  }
}

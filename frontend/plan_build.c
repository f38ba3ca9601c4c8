// SPDX-License-Identifier: Apache-2.0
// Drafts that passed every check become the plan.
#include <string.h>

#include "frontend/sema.h"

static bool build_layer(tsr_sema *sema, tsr_draft_layer *draft,
                        tsr_plan_layer *out) {
  const tsr_settings *settings = &draft->effective;
  *out = draft->plan;
  out->tile = tsr_setting_tile(settings);
  out->weight_type = tsr_setting_type(settings);
  out->input_type = out->weight_type;
  out->output_type = tsr_setting_output(settings);
  out->has_residual = settings->slots[TSR_SLOT_RESIDUAL].node != NULL;
  out->activation = tsr_setting_activation(settings);
  out->schedule = tsr_setting_schedule(settings);
  out->rule_count = draft->rules.count;
  out->rules = tsr_setting_rules(sema, &draft->rules);
  out->tokens = tsr_setting_tokens(sema, settings, &out->token_count);
  out->span = draft->node->first->span;
  return out->rules != NULL && out->tokens != NULL;
}

static bool build_sources(tsr_sema *sema, tsr_plan *plan) {
  tsr_arena *arena = &sema->compilation->arena;
  tsr_plan_weights *weights =
      tsr_arena_alloc_array(arena, sema->weights.count, sizeof(*weights));
  tsr_plan_masks *masks =
      tsr_arena_alloc_array(arena, sema->masks.count, sizeof(*masks));
  if (weights == NULL || masks == NULL) return false;
  for (uint32_t i = 0; i < sema->weights.count; ++i) {
    const tsr_draft_source *source = tsr_vector_at(&sema->weights, i);
    weights[i] = source->weights;
  }
  for (uint32_t i = 0; i < sema->masks.count; ++i) {
    const tsr_draft_source *source = tsr_vector_at(&sema->masks, i);
    masks[i] = source->masks;
  }
  plan->weights = weights;
  plan->weights_count = sema->weights.count;
  plan->masks = masks;
  plan->masks_count = sema->masks.count;
  return true;
}

tsr_plan *tsr_plan_build(tsr_sema *sema) {
  tsr_arena *arena = &sema->compilation->arena;
  tsr_plan *plan = tsr_arena_alloc(arena, sizeof(*plan));
  tsr_plan_layer *layers =
      tsr_arena_alloc_array(arena, sema->layers.count, sizeof(*layers));
  if (plan == NULL || layers == NULL || !build_sources(sema, plan)) return NULL;
  plan->name = sema->model_name;
  plan->directory =
      sema->compilation->sources.items[sema->ast->source]->directory;
  plan->targets = sema->targets.items;
  plan->target_count = sema->targets.count;
  plan->layers = layers;
  plan->layer_count = sema->layers.count;
  for (uint32_t i = 0; i < sema->layers.count; ++i) {
    if (!build_layer(sema, tsr_vector_at(&sema->layers, i), &layers[i])) {
      return NULL;
    }
  }
  return plan;
}

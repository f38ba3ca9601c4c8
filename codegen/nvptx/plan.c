// SPDX-License-Identifier: Apache-2.0
// Which kernels serve a layer on a target, under which names, with which
// resources. No LLVM work. Names do not speak of targets: a kernel that several
// targets choose is one kernel of a bundle, compiled for each of them.
#include <stdio.h>
#include <string.h>

#include "cost.h"
#include "nv.h"

enum { PLAN_GROUPS = 8 };

uint32_t nv_groups(const tsr_kernel_spec *spec) {
  uint32_t rows = spec->tile.rows < spec->rows ? spec->tile.rows : spec->rows;
  return tsr_fragment_groups(rows);
}

const char *nv_refuse_shape(const tsr_kernel_spec *spec) {
  if (nv_groups(spec) > PLAN_GROUPS) return "tiles of more than 512 rows";
  return NULL;
}

static void write_tokens(const tsr_kernel_spec *spec, char *out, size_t size) {
  if (spec->token_last == UINT32_MAX) {
    (void)snprintf(out, size, "n%uup", spec->token_first);
  } else if (spec->token_first == spec->token_last) {
    (void)snprintf(out, size, "n%u", spec->token_first);
  } else {
    (void)snprintf(out, size, "n%uto%u", spec->token_first, spec->token_last);
  }
}

// Spells every field of the spec: kernels of equal names are equal.
static void write_name(const char *strategy, const tsr_kernel_spec *spec,
                       char *out, size_t size) {
  char tokens[32];
  write_tokens(spec, tokens, sizeof(tokens));
  bool sparse = (spec->kinds & 1u << TSR_KIND_SPARSE24) != 0;
  bool dense = (spec->kinds & 1u << TSR_KIND_DENSE) != 0;
  (void)snprintf(
      out, size, "tsr_%s_%s_%ux%u_t%ux%u_%s%s%s_%s%s%s_%s_%s", strategy,
      tsr_dtype_name(spec->weight_type), spec->rows, spec->columns,
      spec->tile.rows, spec->tile.columns, sparse ? "s" : "", dense ? "d" : "",
      sparse || dense ? "" : "z", tsr_activation_name(spec->activation),
      spec->has_bias ? "_b" : "", spec->has_residual ? "_r" : "",
      tsr_dtype_name(spec->output_type), tokens);
}

void nv_resources(const nv_strategy *strategy, tsr_cuda_kernel *kernel) {
  const tsr_cuda_geometry *g = &kernel->geometry;
  kernel->strategy = strategy->name;
  kernel->mode = strategy->mode;
  kernel->threads = g->groups * g->k_slices * g->token_slices * NV_LANES;
  kernel->shared_size = nv_layout_of(g).size;
  kernel->block_tokens = g->token_slices * g->warp_tokens;
  write_name(strategy->name, &kernel->spec, kernel->name, sizeof(kernel->name));
}

// ---- Choices: a strategy with one of its buckets ---------------------------

typedef struct choice {
  const nv_strategy *strategy;
  const char *reason;  // why it cannot be, or NULL
  tsr_cuda_kernel kernel;
} choice;

static tsr_kernel_spec narrow(const tsr_kernel_spec *spec, uint32_t first,
                              uint32_t last) {
  tsr_kernel_spec out = *spec;
  out.kinds &= 1u << TSR_KIND_SPARSE24 | 1u << TSR_KIND_DENSE;
  out.token_first = first;
  out.token_last = last;
  return out;
}

static void choice_make(const nv_strategy *strategy,
                        const tsr_kernel_spec *spec,
                        const tsr_cuda_target *target, uint32_t bucket_last,
                        choice *out) {
  memset(out, 0, sizeof(*out));
  out->strategy = strategy;
  out->reason = strategy->refuse(spec, target);
  if (out->reason != NULL) return;
  out->kernel.spec = *spec;
  out->kernel.geometry = strategy->geometry(spec, bucket_last);
  nv_resources(strategy, &out->kernel);
}

// Two targets may take different buckets for one range, and names do not speak
// of targets: a bucket that is not the smallest for its range is in the name.
static void name_bucket(tsr_cuda_kernel *kernel) {
  size_t used = strlen(kernel->name);
  (void)snprintf(kernel->name + used, sizeof(kernel->name) - used, "_x%u",
                 kernel->block_tokens);
}

// All for tokens |first| to |last|, which no bucket's end divides; at most
// TSR_CUDA_CANDIDATE_LIMIT. A strategy without a bucket for them appears once,
// with its reason.
static uint32_t list_choices(const tsr_kernel_spec *spec,
                             const tsr_cuda_target *target, uint32_t first,
                             uint32_t last,
                             choice out[TSR_CUDA_CANDIDATE_LIMIT]) {
  tsr_kernel_spec own = narrow(spec, first, last);
  uint32_t count = 0;
  for (uint32_t s = 0; nv_strategies[s] != NULL; ++s) {
    uint32_t ends[TSR_KERNEL_LIMIT];
    uint32_t end_count = nv_strategies[s]->buckets(ends);
    bool any = false;
    for (uint32_t i = 0; i < end_count; ++i) {
      if (ends[i] < last || count == TSR_CUDA_CANDIDATE_LIMIT) continue;
      choice_make(nv_strategies[s], &own, target, ends[i], &out[count]);
      if (out[count].reason == NULL && any) name_bucket(&out[count].kernel);
      any = true;
      if (out[count++].reason != NULL) break;
    }
    if (any || count == TSR_CUDA_CANDIDATE_LIMIT) continue;
    choice_make(nv_strategies[s], &own, target, ends[end_count - 1],
                &out[count++]);
  }
  return count;
}

static void choice_cost(const choice *c, const tsr_cuda_facts *facts,
                        const tsr_cuda_target *target, uint32_t tokens,
                        tsr_cuda_candidate *out) {
  memset(out, 0, sizeof(*out));
  out->strategy = c->strategy->name;
  out->is_applicable = c->reason == NULL;
  out->reason = c->reason;
  if (c->reason != NULL) return;
  out->kernel = c->kernel;
  c->strategy->cost(&c->kernel.spec, facts, target, tokens, out);
}

// Of a layer whose tiles are all of the densest kind that it has.
static tsr_cuda_facts plan_facts(const tsr_kernel_spec *spec) {
  tsr_kind kind = TSR_KIND_ZERO;
  if ((spec->kinds & 1u << TSR_KIND_SPARSE24) != 0) kind = TSR_KIND_SPARSE24;
  if ((spec->kinds & 1u << TSR_KIND_DENSE) != 0) kind = TSR_KIND_DENSE;
  uint64_t panels = (spec->rows - 1) / spec->tile.rows + 1;
  tsr_cuda_facts facts = {.byte_imbalance = 1, .time_imbalance = 1};
  if (kind == TSR_KIND_ZERO) return facts;
  facts.steps = panels * tsr_fragment_chunks(spec->columns);
  facts.time = (uint64_t)tsr_fragment_blocks(spec->rows) *
               tsr_fragment_steps(spec->columns, kind);
  facts.stream_bytes =
      facts.time * (TSR_FRAGMENT_SIZE + (kind == TSR_KIND_SPARSE24 ? 64u : 0u));
  return facts;
}

// The best of all for tokens |first| to |last|; the first listed of equals,
// which has the smallest bucket. False: none.
static bool choose(const tsr_kernel_spec *spec, const tsr_cuda_target *target,
                   uint32_t first, uint32_t last, tsr_cuda_kernel *out) {
  choice choices[TSR_CUDA_CANDIDATE_LIMIT];
  tsr_cuda_facts facts = plan_facts(spec);
  uint32_t count = list_choices(spec, target, first, last, choices);
  uint32_t tokens = tsr_cuda_judged(first, last);
  bool found = false;
  double least = 0;
  for (uint32_t i = 0; i < count; ++i) {
    tsr_cuda_candidate candidate;
    choice_cost(&choices[i], &facts, target, tokens, &candidate);
    if (!candidate.is_applicable) continue;
    if (found && candidate.seconds >= least) continue;
    found = true;
    least = candidate.seconds;
    *out = choices[i].kernel;
  }
  return found;
}

// The first end at or after |token| of a bucket of any strategy that can serve
// it: one that cannot divides nothing.
static uint32_t next_end(const tsr_kernel_spec *spec,
                         const tsr_cuda_target *target, uint32_t token) {
  tsr_kernel_spec own = narrow(spec, token, token);
  uint32_t least = UINT32_MAX;
  for (uint32_t s = 0; nv_strategies[s] != NULL; ++s) {
    uint32_t ends[TSR_KERNEL_LIMIT];
    if (nv_strategies[s]->refuse(&own, target) != NULL) continue;
    uint32_t count = nv_strategies[s]->buckets(ends);
    for (uint32_t i = 0; i < count; ++i) {
      if (ends[i] >= token && ends[i] < least) least = ends[i];
    }
  }
  return least;
}

uint32_t tsr_cuda_plan(const tsr_kernel_spec *spec,
                       const tsr_cuda_target *target,
                       tsr_cuda_kernel out_kernels[TSR_KERNEL_LIMIT]) {
  uint32_t count = 0;
  uint32_t first = spec->token_first < 1 ? 1 : spec->token_first;
  while (first <= spec->token_last && count < TSR_KERNEL_LIMIT) {
    uint32_t last = next_end(spec, target, first);
    if (last > spec->token_last) last = spec->token_last;
    // What one strategy refuses for its shape they all do.
    if (!choose(spec, target, first, last, &out_kernels[count])) return 0;
    ++count;
    if (last == UINT32_MAX) break;
    first = last + 1;
  }
  return count;
}

// ---- Explanation -----------------------------------------------------------

static bool same_kernel(const tsr_cuda_kernel *a, const tsr_cuda_kernel *b) {
  return strcmp(a->strategy, b->strategy) == 0 &&
         memcmp(&a->geometry, &b->geometry, sizeof(a->geometry)) == 0;
}

// The chosen first, then by time, then those that cannot be.
static bool comes_before(const tsr_cuda_candidate *a,
                         const tsr_cuda_candidate *b) {
  if (a->is_chosen != b->is_chosen) return a->is_chosen;
  if (a->is_applicable != b->is_applicable) return a->is_applicable;
  return a->is_applicable && a->seconds < b->seconds;
}

static void sort(tsr_cuda_candidate *candidates, uint32_t count) {
  for (uint32_t i = 1; i < count; ++i) {
    tsr_cuda_candidate moved = candidates[i];
    uint32_t at = i;
    for (; at > 0 && comes_before(&moved, &candidates[at - 1]); --at) {
      candidates[at] = candidates[at - 1];
    }
    candidates[at] = moved;
  }
}

uint32_t tsr_cuda_explain(const tsr_kernel_spec *spec,
                          const tsr_cuda_facts *facts,
                          const tsr_cuda_target *target, uint32_t tokens,
                          tsr_cuda_candidate out[TSR_CUDA_CANDIDATE_LIMIT]) {
  tsr_cuda_kernel kernels[TSR_KERNEL_LIMIT];
  uint32_t kernel_count = tsr_cuda_plan(spec, target, kernels);
  const tsr_cuda_kernel *chosen = NULL;
  uint32_t first = tokens;
  uint32_t last = tokens;
  for (uint32_t i = 0; i < kernel_count; ++i) {
    if (kernels[i].spec.token_first > tokens) continue;
    if (kernels[i].spec.token_last < tokens) continue;
    chosen = &kernels[i];
    first = chosen->spec.token_first;
    last = chosen->spec.token_last;
  }
  choice choices[TSR_CUDA_CANDIDATE_LIMIT];
  uint32_t count = list_choices(spec, target, first, last, choices);
  for (uint32_t i = 0; i < count; ++i) {
    choice_cost(&choices[i], facts, target, tokens, &out[i]);
    out[i].is_chosen = chosen != NULL && out[i].is_applicable &&
                       same_kernel(chosen, &out[i].kernel);
  }
  sort(out, count);
  return count;
}

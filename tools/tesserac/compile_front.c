// SPDX-License-Identifier: Apache-2.0
// tesserac compile: plan, targets, inputs; and the depfile, which names what
// was read.
#include <string.h>

#include "base/memory.h"
#include "tesserac/compile.h"

static tsr_status parse(tsr_compile *c, tsr_error *error) {
  uint64_t start = tsr_trace_now(c->trace);
  tsr_status status =
      tsr_parse_file(c->compilation, c->plan_path, &c->ast, error);
  tsr_trace_add(c->trace, "front", "parse", start);
  return status;
}

static tsr_status check(tsr_compile *c, tsr_error *error) {
  uint64_t start = tsr_trace_now(c->trace);
  tsr_status status = tsr_check(c->compilation, c->ast, &c->plan, error);
  tsr_trace_add(c->trace, "front", "check", start);
  return status;
}

// ---- Targets ---------------------------------------------------------------

static tsr_status too_many(tsr_error *error) {
  return tsr_error_set(error, TSR_UNSUPPORTED, "more than %d targets",
                       TSR_VARIANT_LIMIT);
}

static tsr_status add_variant(tsr_compile *c, const tsr_variant *variant,
                              tsr_error *error) {
  for (uint32_t i = 0; i < c->variant_count; ++i) {
    if (strcmp(c->variants[i]->name, variant->name) == 0) return TSR_OK;
  }
  if (c->variant_count == TSR_VARIANT_LIMIT) return too_many(error);
  c->variants[c->variant_count++] = variant;
  return TSR_OK;
}

static tsr_status add_cuda_target(tsr_compile *c, const tsr_cuda_target *target,
                                  tsr_error *error) {
  for (uint32_t i = 0; i < c->cuda_target_count; ++i) {
    if (c->cuda_targets[i] == target) return TSR_OK;
  }
  if (c->cuda_target_count == TSR_VARIANT_LIMIT) return too_many(error);
  c->cuda_targets[c->cuda_target_count++] = target;
  return TSR_OK;
}

// Of either family: their names differ.
static tsr_status add_target(tsr_compile *c, const char *name,
                             tsr_error *error) {
  const tsr_cuda_target *target = tsr_cuda_target_find(name);
  if (target != NULL) return add_cuda_target(c, target, error);
  const tsr_variant *variant = tsr_variant_find(name);
  if (variant != NULL) return add_variant(c, variant, error);
  return tsr_error_set(error, TSR_UNSUPPORTED,
                       "this build does not know the target %s", name);
}

static tsr_status choose_targets(tsr_compile *c, tsr_error *error) {
  bool is_overridden = tsr_cli_given(c->cli, "target");
  uint32_t count =
      is_overridden ? tsr_cli_count(c->cli, "target") : c->plan->target_count;
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < count; ++i) {
    const char *name = is_overridden ? tsr_cli_string_at(c->cli, "target", i)
                                     : c->plan->targets[i].variant;
    status = add_target(c, name, error);
  }
  return status;
}

// What one family alone has cannot be emitted for the other.
static tsr_status check_emissions(const tsr_compile *c, tsr_error *error) {
  unsigned host = TSR_EMISSION_ASM | TSR_EMISSION_OBJ;
  unsigned cuda = TSR_EMISSION_PTX | TSR_EMISSION_CUBIN;
  if ((c->emit & host) != 0 && c->variant_count == 0) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "--emit=asm and --emit=obj are for host targets, and "
                         "there are CUDA targets only; see --emit=ptx,cubin");
  }
  if ((c->emit & cuda) != 0 && c->cuda_target_count == 0) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "--emit=ptx and --emit=cubin are for CUDA targets, "
                         "and there are host targets only; give --target");
  }
  return TSR_OK;
}

static tsr_status open_inputs(tsr_compile *c, tsr_error *error) {
  uint64_t start = tsr_trace_now(c->trace);
  tsr_status status = tsr_inputs_open(
      c->plan, NULL, tsr_compilation_diags(c->compilation), &c->inputs, error);
  tsr_trace_add(c->trace, "front", "open inputs", start);
  return status;
}

tsr_status tsr_compile_front(tsr_compile *c, tsr_error *error) {
  tsr_status status = parse(c, error);
  // Checked after syntax errors too, to show all mistakes in one run.
  if (status == TSR_OK && c->ast != NULL && c->last >= TSR_STAGE_CHECK) {
    status = check(c, error);
  }
  if (status != TSR_OK || c->plan == NULL) return status;
  if (c->last >= TSR_STAGE_IMPORT) status = choose_targets(c, error);
  if (status == TSR_OK && c->last >= TSR_STAGE_IMPORT) {
    status = check_emissions(c, error);
  }
  if (status == TSR_OK && c->last >= TSR_STAGE_IMPORT) {
    status = open_inputs(c, error);
  }
  return status;
}

// ---- Depfile ---------------------------------------------------------------

// As make and ninja read it.
static void put_path(tsr_buffer *out, const char *path) {
  for (const char *c = path; *c != '\0'; ++c) {
    if (*c == ' ' || *c == '#' || *c == '\\' || *c == ':') {
      tsr_buffer_append_char(out, '\\');
    }
    if (*c == '$') tsr_buffer_append_char(out, '$');
    tsr_buffer_append_char(out, *c);
  }
}

static void put_prerequisite(tsr_buffer *out, const char *path) {
  if (strcmp(path, "-") == 0) return;
  tsr_buffer_append_string(out, " \\\n  ");
  put_path(out, path);
}

static void put_input(tsr_buffer *out, const tsr_plan *plan, const char *path) {
  if (path[0] == '\0') return;
  char *joined = strcmp(plan->directory, ".") == 0
                     ? tsr_path_join("", path)
                     : tsr_path_join(plan->directory, path);
  if (joined == NULL) {
    out->failed = true;
    return;
  }
  put_prerequisite(out, joined);
  tsr_free(joined);
}

// What an index names; the file that the plan names itself is there already.
static void put_shards(tsr_buffer *out, const tsr_compile *c,
                       uint32_t weights) {
  const char *path;
  if (c->inputs == NULL || tsr_inputs_file(c->inputs, weights, 0) == NULL) {
    return;
  }
  const char *named = tsr_path_name(c->plan->weights[weights].path);
  for (uint32_t i = 0; (path = tsr_inputs_file(c->inputs, weights, i)) != NULL;
       ++i) {
    if (strcmp(tsr_path_name(path), named) != 0) put_prerequisite(out, path);
  }
}

static void write_rule(const tsr_compile *c, tsr_buffer *out) {
  const tsr_sources *sources = tsr_compilation_sources(c->compilation);
  put_path(out, c->output == NULL ? c->plan_path : c->output);
  tsr_buffer_append_char(out, ':');
  for (uint32_t i = 0; i < tsr_sources_count(sources); ++i) {
    put_prerequisite(out, tsr_sources_path(sources, i));
  }
  for (uint32_t i = 0; c->plan != NULL && i < c->plan->weights_count; ++i) {
    put_input(out, c->plan, c->plan->weights[i].path);
    put_shards(out, c, i);
  }
  for (uint32_t i = 0; c->plan != NULL && i < c->plan->masks_count; ++i) {
    put_input(out, c->plan, c->plan->masks[i].path);
  }
  tsr_buffer_append_char(out, '\n');
}

tsr_status tsr_compile_depfile(tsr_compile *c, tsr_error *error) {
  const char *name = tsr_cli_string(c->cli, "depfile-name");
  if (name == NULL && !tsr_cli_given(c->cli, "depfile")) return TSR_OK;
  tsr_buffer path = {0}, text = {0};
  if (name != NULL) {
    tsr_buffer_append_string(&path, name);
  } else {
    const char *base = c->output == NULL ? c->plan_path : c->output;
    tsr_buffer_printf(&path, "%s.d", base);
  }
  write_rule(c, &text);
  tsr_status status = tsr_buffer_status(&path, error);
  if (status == TSR_OK) status = tsr_buffer_status(&text, error);
  if (status == TSR_OK) {
    status = tsr_file_write(path.data, text.data, text.size, error);
  }
  tsr_buffer_fini(&path);
  tsr_buffer_fini(&text);
  return status;
}

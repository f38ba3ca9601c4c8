// SPDX-License-Identifier: Apache-2.0
// tessera verify: runs every layer of a bundle on random input and compares
// with a float64 reference made from the original weights and masks, under a
// derived bound (reference.h, docs/numerics.md). What a kernel must not touch
// is poisoned first: outputs and the gaps between their rows with a pattern,
// gaps between input rows and the workspace with NaN.
#include "verify.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "common/cli.h"
#include "common/diagnostics.h"
#include "common/progress.h"
#include "common/rows.h"
#include "common/runtime.h"
#include "compiler/import.h"
#include "emulator.h"
#include "frontend/frontend.h"
#include "launch.h"
#include "reference.h"
#include "session.h"
#include "tessera/commands.h"

enum {
  TOKEN_LIMIT = 4096,  // larger runs say nothing new
  DEFAULT_LAST_TOKEN = 129,
  ERROR_LIMIT = 20,  // of diagnostics
  INPUT_GAP = 5,     // elements between rows: odd, so that rows start at
  OUTPUT_GAP = 7,    // any alignment
  POISON = 0xfb,     // NaN in every type, as a repeated byte
};

// Multiply-adds spent on one layer's reference unless --sample says otherwise.
static const double reference_budget = 0x1p28;

typedef struct verify {
  tsr_cli *cli;
  tsr_session_options options;
  tsr_session session;
  tsr_compilation *compilation;
  tsr_plan *plan;
  tsr_inputs *inputs;
  uint64_t seed;
  uint32_t first, count;  // layers
  bool failed;            // a layer is wrong
} verify;

// Buffers of one run; Y of every token count is kept for the comparison.
typedef struct run {
  uint32_t token_count;
  size_t stride;  // elements, of the output
  size_t size;    // bytes, of the output
  uint8_t *output;
} run;

typedef struct layer_check {
  verify *verify;
  uint32_t index;
  const tessera_layer *layer;
  const tsr_plan_layer *plan;
  tsr_matrix *matrix;
  tsr_layer_manifest manifest;
  tsr_probe probe;
  uint32_t token_max;
  run runs[TSR_VERIFY_TOKENS];
  tsr_finding *found;
} layer_check;

static void fail_layer(tsr_finding *found, const char *format, ...)
    TSR_PRINTF(2, 3);

static void fail_layer(tsr_finding *found, const char *format, ...) {
  if (!found->failed) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(found->message, sizeof(found->message), format, arguments);
    va_end(arguments);
  }
  found->failed = true;
}

// ---- Which token counts ----------------------------------------------------

static void add_tokens(const tsr_layer_manifest *manifest, tsr_finding *found,
                       uint64_t tokens) {
  if (tokens > TOKEN_LIMIT || found->token_count == TSR_VERIFY_TOKENS ||
      tsr_layer_manifest_strategy(manifest, tokens) == NULL) {
    return;
  }
  for (uint32_t i = 0; i < found->token_count; ++i) {
    if (found->tokens[i] == tokens) return;
  }
  // In ascending order.
  uint32_t place = found->token_count++;
  for (; place > 0 && found->tokens[place - 1] > tokens; --place) {
    found->tokens[place] = found->tokens[place - 1];
  }
  found->tokens[place] = (uint32_t)tokens;
}

// Every kernel's first and last count, those beside them, and some between.
static void default_tokens(const tsr_layer_manifest *manifest,
                           tsr_finding *found) {
  static const uint32_t between[] = {7, 33, 64, 100, DEFAULT_LAST_TOKEN};
  for (uint32_t i = 0; i < manifest->kernel_count; ++i) {
    add_tokens(manifest, found, manifest->kernels[i].first);
    add_tokens(manifest, found, (uint64_t)manifest->kernels[i].first + 1);
    if (manifest->kernels[i].last <= DEFAULT_LAST_TOKEN) {
      add_tokens(manifest, found, manifest->kernels[i].last);
    }
  }
  for (size_t i = 0; i < sizeof(between) / sizeof(between[0]); ++i) {
    add_tokens(manifest, found, between[i]);
  }
}

static tsr_status choose_tokens(layer_check *check, tsr_error *error) {
  const tsr_cli *cli = check->verify->cli;
  tsr_finding *found = check->found;
  if (!tsr_cli_given(cli, "tokens")) {
    default_tokens(&check->manifest, found);
  } else {
    for (uint32_t i = 0; i < tsr_cli_count(cli, "tokens"); ++i) {
      add_tokens(&check->manifest, found, tsr_cli_uint_at(cli, "tokens", i));
    }
  }
  for (uint32_t i = 0; i < found->token_count; ++i) {
    if (found->tokens[i] > check->token_max) {
      check->token_max = found->tokens[i];
    }
  }
  if (found->token_count != 0) return TSR_OK;
  return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                       "layer '%s' takes %u to %u tokens (and verify at most "
                       "%d), perhaps with gaps; none of --tokens fits",
                       found->info.name, found->info.token_first,
                       found->info.token_last, TOKEN_LIMIT);
}

// ---- Running ---------------------------------------------------------------

static tsr_status make_probe(layer_check *check, tsr_error *error) {
  const tessera_layer_info *info = &check->found->info;
  uint64_t state =
      check->verify->seed ^ tsr_hash_bytes(info->name, strlen(info->name)).low;
  size_t tokens = check->token_max;
  tsr_probe *probe = &check->probe;
  *probe = (tsr_probe){.token_count = check->token_max,
                       .columns = info->columns,
                       .output_columns = info->output_columns};
  size_t input_count = tokens * info->columns;
  probe->input = tsr_malloc(input_count * sizeof(double));
  if (probe->input == NULL) return tsr_error_out_of_memory(error);
  for (size_t i = 0; i < input_count; ++i) {
    probe->input[i] = tsr_reference_round(tsr_random_signed(&state),
                                          (tsr_dtype)info->input_type);
  }
  if (!info->has_residual) return TSR_OK;
  size_t residual_count = tokens * info->output_columns;
  probe->residual = tsr_malloc(residual_count * sizeof(double));
  if (probe->residual == NULL) return tsr_error_out_of_memory(error);
  for (size_t i = 0; i < residual_count; ++i) {
    probe->residual[i] = tsr_reference_round(tsr_random_signed(&state),
                                             (tsr_dtype)info->output_type);
  }
  return TSR_OK;
}

// The probe's first |tokens| tokens as the layer takes them, rows |stride|
// elements apart. NULL when out of memory.
static void *store_input(const layer_check *check, uint32_t tokens,
                         size_t stride) {
  const tsr_probe *probe = &check->probe;
  tsr_dtype type = (tsr_dtype)check->found->info.input_type;
  size_t size = tokens * stride * tsr_dtype_size(type);
  void *input = tsr_malloc(size);
  if (input == NULL) return NULL;
  memset(input, POISON, size);
  for (uint32_t n = 0; n < tokens; ++n) {
    for (uint32_t k = 0; k < probe->columns; ++k) {
      tsr_reference_store(input, n * stride + k, type,
                          probe->input[(size_t)k * probe->token_count + n]);
    }
  }
  return input;
}

static void *store_residual(const layer_check *check, uint32_t tokens,
                            size_t stride) {
  const tsr_probe *probe = &check->probe;
  tsr_dtype type = (tsr_dtype)check->found->info.output_type;
  size_t size = tokens * stride * tsr_dtype_size(type);
  void *residual = tsr_malloc(size);
  if (residual == NULL) return NULL;
  memset(residual, POISON, size);
  for (uint32_t n = 0; n < tokens; ++n) {
    for (uint32_t m = 0; m < probe->output_columns; ++m) {
      tsr_reference_store(
          residual, n * stride + m, type,
          probe->residual[(size_t)n * probe->output_columns + m]);
    }
  }
  return residual;
}

static tsr_status launch(const layer_check *check, const tessera_run_args *args,
                         size_t output_size, tsr_error *error) {
  tsr_launch l;
  tsr_status status = tsr_launch_init(&check->verify->session, check->index,
                                      args, output_size, &l, error);
  if (status == TSR_OK) status = tsr_launch_poison(&l, POISON, error);
  if (status == TSR_OK) status = tsr_launch_run(&l, error);
  tsr_launch_fini(&l);
  return status;
}

// Runs the layer with |tokens| tokens. Rows are apart when |gap| is true.
static tsr_status run_tokens(layer_check *check, uint32_t tokens, bool gap,
                             run *out, tsr_error *error) {
  const tessera_layer_info *info = &check->found->info;
  size_t input_stride = info->columns + (gap ? INPUT_GAP : 0);
  out->token_count = tokens;
  out->stride = info->output_columns + (gap ? OUTPUT_GAP : 0);
  // One row more than asked for, to see writes past the end.
  out->size = (tokens + 1u) * out->stride *
              tsr_dtype_size((tsr_dtype)info->output_type);
  out->output = tsr_malloc(out->size);
  void *input = store_input(check, tokens, input_stride);
  void *residual =
      info->has_residual ? store_residual(check, tokens, out->stride) : NULL;
  tsr_status status = TSR_OK;
  if (out->output == NULL || input == NULL ||
      (residual == NULL && info->has_residual)) {
    status = tsr_error_out_of_memory(error);
  } else {
    memset(out->output, POISON, out->size);
    tessera_run_args args = {.size = sizeof(args),
                             .token_count = tokens,
                             .input = input,
                             .input_stride = (int64_t)input_stride,
                             .residual = residual,
                             .residual_stride = (int64_t)out->stride,
                             .output = out->output,
                             .output_stride = (int64_t)out->stride};
    status = launch(check, &args, out->size, error);
  }
  tsr_free(input);
  tsr_free(residual);
  return status;
}

// ---- Comparing -------------------------------------------------------------

// Gaps and the row past the end must still be poison.
static void check_untouched(const layer_check *check, const run *r) {
  const tessera_layer_info *info = &check->found->info;
  size_t element = tsr_dtype_size((tsr_dtype)info->output_type);
  for (uint32_t n = 0; n <= r->token_count; ++n) {
    size_t begin =
        (n * r->stride + (n < r->token_count ? info->output_columns : 0)) *
        element;
    size_t end = (n + 1u) * r->stride * element;
    for (size_t i = begin; i < end; ++i) {
      if (r->output[i] == POISON) continue;
      fail_layer(check->found, "N = %u: wrote past the end of row %u of Y",
                 r->token_count, n);
      return;
    }
  }
}

// Elements that no reference is computed for must at least be written.
static void check_finite(const layer_check *check, const run *r) {
  const tessera_layer_info *info = &check->found->info;
  for (uint32_t n = 0; n < r->token_count; ++n) {
    for (uint32_t m = 0; m < info->output_columns; ++m) {
      double y = tsr_reference_load(r->output, n * r->stride + m,
                                    (tsr_dtype)info->output_type);
      if (!isnan(y)) continue;
      fail_layer(check->found, "N = %u: Y[%u, %u] is NaN or was not written",
                 r->token_count, n, m);
      return;
    }
  }
}

static double fraction_of(double actual, double expected, double bound) {
  double difference = fabs(actual - expected);
  if (isinf(bound)) return 0.0;
  if (isnan(difference)) return (double)INFINITY;
  if (difference == 0.0) return 0.0;
  return difference / bound;
}

static void compare_element(tsr_finding *found, const run *r, uint32_t token,
                            uint32_t column, double actual,
                            const tsr_expected *expected) {
  double rounded = fraction_of(actual, expected->rounded[token],
                               expected->rounded_bound[token]);
  double original = fraction_of(actual, expected->original[token],
                                expected->original_bound[token]);
  double error = fabs(actual - expected->rounded[token]);
  found->rounded_fraction = fmax(found->rounded_fraction, rounded);
  found->original_fraction = fmax(found->original_fraction, original);
  if (isfinite(error)) found->error = fmax(found->error, error);
  if (rounded > 1.0 || original > 1.0) {
    fail_layer(found, "N = %u: Y[%u, %u] is %.8g, expected %.8g within %.3g",
               r->token_count, token, column, actual, expected->rounded[token],
               expected->rounded_bound[token]);
  }
}

static void compare_column(layer_check *check, uint32_t column,
                           const tsr_expected *expected) {
  tsr_finding *found = check->found;
  tsr_dtype type = (tsr_dtype)found->info.output_type;
  for (uint32_t i = 0; i < found->token_count; ++i) {
    const run *r = &check->runs[i];
    for (uint32_t n = 0; n < r->token_count; ++n) {
      double actual =
          tsr_reference_load(r->output, n * r->stride + column, type);
      compare_element(found, r, n, column, actual, expected);
    }
  }
}

// How many output columns to compare: all where that is quick.
static uint32_t sample_size(const layer_check *check) {
  const tessera_layer_info *info = &check->found->info;
  uint32_t all = info->output_columns;
  double wanted;
  if (tsr_cli_given(check->verify->cli, "sample")) {
    wanted = (double)tsr_cli_uint(check->verify->cli, "sample");
    if (wanted == 0.0) return all;
  } else {
    double per_column = (double)info->columns * check->token_max *
                        (info->rows / info->output_columns);
    // At least one column of each panel.
    uint32_t panels = 0, tile_columns = 0;
    (void)tessera_layer_tiles(check->layer, &panels, &tile_columns);
    wanted = fmax(reference_budget / per_column, fmax(64.0, panels));
  }
  return wanted < all ? (uint32_t)wanted : all;
}

// A panel is split between workers, on CUDA devices at multiples of 64 columns.
static uint32_t segment_limit(const layer_check *check) {
  const tessera_layer_info *info = &check->found->info;
  if (!check->verify->session.is_cuda) return info->worker_count;
  uint32_t panels = 0, tile_columns = 0;
  (void)tessera_layer_tiles(check->layer, &panels, &tile_columns);
  return tile_columns * ((info->tile_columns + 63u) / 64u);
}

static tsr_adder adder_of(const tsr_session *session) {
  if (!session->is_cuda) return TSR_ADDER_HOST;
  return session->emulated && tsr_emulator_is_exact() ? TSR_ADDER_TENSOR_EXACT
                                                      : TSR_ADDER_TENSOR_CORE;
}

static tsr_status compare(layer_check *check, tsr_error *error) {
  tsr_finding *found = check->found;
  uint32_t all = found->info.output_columns;
  uint32_t samples = sample_size(check);
  uint64_t state = check->verify->seed + 1;
  tsr_reference *reference;
  tsr_status status =
      tsr_reference_create(check->matrix, check->plan, &check->probe,
                           adder_of(&check->verify->session),
                           segment_limit(check), &reference, error);
  // One column at a random place in each of |samples| equal strata.
  for (uint32_t i = 0; status == TSR_OK && i < samples; ++i) {
    uint64_t begin = (uint64_t)i * all / samples;
    uint64_t end = ((uint64_t)i + 1) * all / samples;
    uint32_t column =
        (uint32_t)(begin + tsr_random_next(&state) % (end - begin));
    tsr_expected expected;
    status = tsr_reference_column(reference, column, &expected, error);
    if (status == TSR_OK) compare_column(check, column, &expected);
  }
  found->columns_compared = samples;
  tsr_reference_destroy(reference);
  return status;
}

// ---- One layer -------------------------------------------------------------

static void check_identity(layer_check *check) {
  tsr_finding *found = check->found;
  const tessera_layer_info *info = &found->info;
  const tsr_plan_layer *plan = check->plan;
  if (strcmp(info->name, plan->name) != 0 ||
      info->rows != tsr_matrix_rows(check->matrix) ||
      info->columns != tsr_matrix_columns(check->matrix) ||
      info->weight_type != (tessera_dtype)plan->weight_type ||
      info->input_type != (tessera_dtype)plan->input_type ||
      info->output_type != (tessera_dtype)plan->output_type ||
      strcmp(info->activation, tsr_activation_name(plan->activation)) != 0 ||
      !info->has_residual != !plan->has_residual) {
    fail_layer(found, "the bundle's layer is not the one that its plan states");
  }
}

// The inputs at hand must be those that the bundle was compiled from.
static tsr_status check_hashes(layer_check *check, tsr_error *error) {
  tsr_hash weights, mask;
  tsr_status status = tsr_matrix_hash(check->matrix, &weights, &mask, error);
  if (status != TSR_OK) return status;
  bool same_weights = tsr_hash_equal(weights, check->manifest.weights);
  bool same_mask = tsr_hash_equal(mask, check->manifest.mask);
  if (!same_weights || !same_mask) {
    fail_layer(check->found,
               "the %s differ from those that the bundle was compiled from",
               same_weights ? "masks"
               : same_mask  ? "weights"
                            : "weights and masks");
  }
  return TSR_OK;
}

static tsr_status check_grid(layer_check *check) {
  const tsr_tile_grid *grid = tsr_matrix_grid(check->matrix);
  uint32_t panels, columns;
  const uint8_t *tiles = tessera_layer_tiles(check->layer, &panels, &columns);
  if (panels != grid->panel_count || columns != grid->column_count ||
      memcmp(tiles, grid->kinds, (size_t)panels * columns) != 0) {
    fail_layer(check->found, "tile kinds differ from those of the mask");
  }
  return TSR_OK;
}

static tsr_status run_layer(layer_check *check, tsr_error *error) {
  tsr_finding *found = check->found;
  tsr_status status = choose_tokens(check, error);
  if (status == TSR_OK) status = make_probe(check, error);
  for (uint32_t i = 0; status == TSR_OK && i < found->token_count; ++i) {
    status =
        run_tokens(check, found->tokens[i], i % 2 == 1, &check->runs[i], error);
    if (status != TSR_OK) break;
    check_untouched(check, &check->runs[i]);
    check_finite(check, &check->runs[i]);
  }
  if (status == TSR_OK) status = compare(check, error);
  for (uint32_t i = 0; i < found->token_count; ++i) {
    tsr_free(check->runs[i].output);
  }
  tsr_free(check->probe.input);
  tsr_free(check->probe.residual);
  return status;
}

static tsr_status verify_layer(verify *v, uint32_t index, tsr_finding *found,
                               tsr_error *error) {
  layer_check check = {.verify = v,
                       .index = index,
                       .layer = tessera_bundle_layer(v->session.bundle, index),
                       .plan = &v->plan->layers[index],
                       .found = found};
  tsr_diags *diags = tsr_compilation_diags(v->compilation);
  tsr_status status =
      tsr_session_query(&v->session, index, &found->info, error);
  if (status == TSR_OK) {
    status = tsr_session_manifest(&v->session, index, &check.manifest, error);
  }
  if (status == TSR_OK) {
    status =
        tsr_matrix_open(v->inputs, check.plan, diags, &check.matrix, error);
  }
  if (status == TSR_OK && check.matrix == NULL) {
    fail_layer(found, "its weights or masks cannot be read");
  } else if (status == TSR_OK) {
    check_identity(&check);
    status = check_hashes(&check, error);
    if (status == TSR_OK && !found->failed) status = check_grid(&check);
    if (status == TSR_OK && !found->failed) status = run_layer(&check, error);
  }
  tsr_matrix_close(check.matrix);
  if (found->failed) v->failed = true;
  return status;
}

// ---- The bundle's plan and inputs ------------------------------------------

// The folder that the plan's paths are relative to: --inputs, or the one that
// holds the bundle. Owned by the caller.
static char *inputs_folder(const tsr_cli *cli) {
  const char *given = tsr_cli_string(cli, "inputs");
  if (given != NULL) return tsr_strdup(given);
  char *path = tsr_strdup(cli->positionals[0]);
  if (path == NULL) return NULL;
  for (size_t size = strlen(path); size > 1 && path[size - 1] == '/'; --size) {
    path[size - 1] = '\0';
  }
  char *folder = tsr_path_directory(path);
  tsr_free(path);
  return folder;
}

static tsr_status open_inputs(verify *v, tsr_error *error) {
  const char *text = tessera_bundle_plan(v->session.bundle);
  char *folder = inputs_folder(v->cli);
  v->compilation = tsr_compilation_create();
  tsr_status status = TSR_OK;
  if (folder == NULL || v->compilation == NULL) {
    status = tsr_error_out_of_memory(error);
  }
  tsr_ast *ast = NULL;
  if (status == TSR_OK) {
    status = tsr_parse_text(v->compilation, "plan.tess", folder, text,
                            strlen(text), &ast, error);
  }
  if (status == TSR_OK) {
    status = tsr_check(v->compilation, ast, &v->plan, error);
  }
  if (status == TSR_OK && v->plan != NULL) {
    status =
        tsr_inputs_open(v->plan, folder, tsr_compilation_diags(v->compilation),
                        &v->inputs, error);
  }
  tsr_free(folder);
  return status;
}

static bool plan_matches(const verify *v) {
  return v->plan->layer_count == tessera_bundle_layer_count(v->session.bundle);
}

// ---- The command -----------------------------------------------------------

static uint64_t layer_cost(const verify *v, uint32_t index) {
  tessera_layer_info info;
  tsr_error ignored = {0};
  if (tsr_session_query(&v->session, index, &info, &ignored) != TSR_OK) {
    return 0;
  }
  return info.dense_bytes;
}

static tsr_status report(const verify *v, const tsr_finding *findings,
                         tsr_error *error) {
  tsr_verify_report summary = {.session = &v->session,
                               .findings = findings,
                               .count = v->count,
                               .seed = v->seed,
                               .ok = !v->failed};
  tsr_buffer out;
  tsr_buffer_init(&out);
  tsr_status status = TSR_OK;
  if (tsr_cli_given(v->cli, "json")) {
    tsr_verify_print_json(&summary, &out);
  } else {
    status = tsr_verify_print_table(&summary, v->cli, &out, error);
  }
  return tsr_cli_print(v->cli, status, &out, error);
}

static tsr_status verify_layers(verify *v, tsr_error *error) {
  tsr_finding *findings = tsr_calloc(v->count, sizeof(*findings));
  if (findings == NULL) return tsr_error_out_of_memory(error);
  uint64_t cost = 0;
  for (uint32_t i = 0; i < v->count; ++i) cost += layer_cost(v, v->first + i);
  tsr_progress *progress =
      tsr_progress_begin(v->cli, "verifying", "layers", v->count, cost);
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < v->count; ++i) {
    const char *name = v->plan->layers[v->first + i].name;
    tsr_progress_label(progress, name);
    status = verify_layer(v, v->first + i, &findings[i], error);
    tsr_progress_step(progress, layer_cost(v, v->first + i), name);
  }
  tsr_progress_end(progress);
  if (status == TSR_OK) status = report(v, findings, error);
  tsr_free(findings);
  return status;
}

static tsr_status verify_bundle(verify *v, tsr_error *error) {
  tsr_status status = tsr_session_open(&v->options, &v->session, error);
  if (status == TSR_OK) {
    status =
        tsr_layers_select(v->session.bundle, tsr_cli_string(v->cli, "layer"),
                          &v->first, &v->count, error);
  }
  if (status == TSR_OK) status = open_inputs(v, error);
  if (status != TSR_OK) return status;
  if (v->inputs == NULL) {
    v->failed = true;  // its plan's diagnostics say why
    return TSR_OK;
  }
  if (!plan_matches(v)) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "bundle '%s': plan.tess has %u layers, the manifest "
                         "%u",
                         tessera_bundle_name(v->session.bundle),
                         v->plan->layer_count,
                         tessera_bundle_layer_count(v->session.bundle));
  }
  return verify_layers(v, error);
}

static int run_verify(tsr_cli *cli) {
  verify v = {.cli = cli, .seed = tsr_cli_uint(cli, "seed")};
  tsr_error error = {0};
  int code = tsr_session_read_options(cli, &v.options);
  if (code != TSR_EXIT_OK) return code;
  tsr_status status = verify_bundle(&v, &error);
  // The findings, not the number of mistakes, decide how verify ends.
  if (v.compilation != NULL) {
    (void)tsr_cli_report_as(cli, v.compilation, false, ERROR_LIMIT);
  }
  tsr_inputs_close(v.inputs);
  tsr_compilation_destroy(v.compilation);
  tsr_session_close(&v.session);
  if (status != TSR_OK) return tsr_cli_fail(cli, &error);
  return v.failed ? TSR_EXIT_DIAGNOSED : TSR_EXIT_OK;
}

static const tsr_option options[] = {
    {.name = "inputs",
     .type = TSR_OPTION_DIRECTORY,
     .value = "DIR",
     .help = "the folder of the plan that the bundle was compiled from "
             "(default: the one that holds the bundle)"},
    {.name = "layer",
     .letters = "l",
     .type = TSR_OPTION_STRING,
     .value = "NAME",
     .help = "verify this layer only"},
    {.name = "tokens",
     .type = TSR_OPTION_UINT_LIST,
     .value = "N,...",
     .help = "token counts to run (default: the ends of every kernel's range, "
             "and some between)",
     .minimum = 1,
     .maximum = TOKEN_LIMIT},
    {.name = "sample",
     .type = TSR_OPTION_UINT,
     .value = "N",
     .help = "output columns to compare per layer, 0 for all (default: all of "
             "a small layer)",
     .maximum = UINT32_MAX},
    {.name = "seed",
     .type = TSR_OPTION_UINT,
     .value = "S",
     .help = "seed of the random input",
     .default_text = "1"},
    TSR_OPTIONS_SESSION("threads to run with (default: one per core)"),
    {.name = "json", .type = TSR_OPTION_FLAG, .help = "print JSON"},
    {0}};

static const tsr_example examples[] = {
    {"tessera verify model.bundle", "all layers, kernels at their boundaries"},
    {"tessera verify model.bundle --inputs models --layer encoder.0.up",
     "one layer, the plan's files in another folder"},
    {0}};

const tsr_command tsr_command_verify = {
    .name = "verify",
    .summary = "compare what a bundle computes with a float64 reference",
    .description =
        "Reads the bundle's plan, weights and masks again, makes sure that "
        "they are those that it was compiled from, runs every layer on random "
        "input and compares with a reference in double precision.\n\n"
        "'of bound' is the worst error as a fraction of what fp32 arithmetic "
        "on the packed weights can err at most; 'incl. weights' also counts "
        "rounding the original weights to 16 bits. Above 1 something is "
        "wrong, and the exit code is 1. The bounds are derived in "
        "docs/numerics.md.",
    .options = options,
    .positionals = tsr_positionals_bundle,
    .examples = examples,
    .run = run_verify};

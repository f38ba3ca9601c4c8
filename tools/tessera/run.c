// SPDX-License-Identifier: Apache-2.0
// tessera run: one layer on activations from a file.
#include <string.h>

#include "common/rows.h"
#include "common/runtime.h"
#include "common/terminal.h"
#include "tessera/activations.h"
#include "tessera/commands.h"
#include "tessera/launch.h"

typedef struct job {
  const tsr_cli *cli;
  tsr_session_options options;
  tsr_session session;
  uint32_t index;  // of the layer
  tessera_layer_info info;
  tsr_activations input;
  tsr_activations residual;
  tsr_activations output;
} job;

static int open_layer(job *j) {
  const tsr_cli *cli = j->cli;
  const char *name = tsr_cli_string(cli, "layer");
  tsr_error error = {0};
  uint32_t count;
  tsr_status status =
      tsr_session_open_bundle(cli->positionals[0], &j->session, &error);
  if (status == TSR_OK) {
    status =
        tsr_layers_select(j->session.bundle, name, &j->index, &count, &error);
  }
  if (status == TSR_OK) {
    status = tsr_session_query(&j->session, j->index, &j->info, &error);
  }
  if (status != TSR_OK) return tsr_cli_fail(cli, &error);
  if (j->info.has_residual && !tsr_cli_given(cli, "residual")) {
    return tsr_cli_usage_error(
        cli, "layer '%s' adds a residual: --residual FILE is missing", name);
  }
  if (!j->info.has_residual && tsr_cli_given(cli, "residual")) {
    return tsr_cli_usage_error(
        cli, "layer '%s' adds no residual: --residual means nothing", name);
  }
  return TSR_EXIT_OK;
}

// "1 to 16", "at least 17". What kernels of other devices take, the runtime
// knows.
static tsr_status check_tokens(const job *j, const char *path,
                               tsr_error *error) {
  uint64_t tokens = j->input.tokens;
  const tessera_layer_info *info = &j->info;
  bool on_host = strcmp(j->options.device, "host") == 0;
  if (!on_host && tokens <= UINT32_MAX) return TSR_OK;
  if (tokens >= info->token_first && tokens <= info->token_last &&
      tokens <= UINT32_MAX) {
    return TSR_OK;
  }
  if (info->token_last == UINT32_MAX) {
    return tsr_error_set(
        error, TSR_MISMATCH, "%s: %llu tokens; layer '%s' takes at least %u",
        path, (unsigned long long)tokens, info->name, info->token_first);
  }
  return tsr_error_set(error, TSR_MISMATCH,
                       "%s: %llu tokens; layer '%s' takes %u to %u", path,
                       (unsigned long long)tokens, info->name,
                       info->token_first, info->token_last);
}

static tsr_status check_residual(const job *j, const char *path,
                                 tsr_error *error) {
  if (j->residual.tokens == j->input.tokens) return TSR_OK;
  return tsr_error_set(error, TSR_MISMATCH,
                       "%s: the residual has %llu tokens, the input %llu", path,
                       (unsigned long long)j->residual.tokens,
                       (unsigned long long)j->input.tokens);
}

static tsr_status read_inputs(job *j, tsr_error *error) {
  const tsr_cli *cli = j->cli;
  const char *path = tsr_cli_string(cli, "input");
  tsr_status status =
      tsr_activations_read(path, "input", j->info.columns,
                           (tsr_dtype)j->info.input_type, &j->input, error);
  if (status == TSR_OK) status = check_tokens(j, path, error);
  path = tsr_cli_string(cli, "residual");
  if (status == TSR_OK && path != NULL) {
    status = tsr_activations_read(path, "residual", j->info.output_columns,
                                  (tsr_dtype)j->info.output_type, &j->residual,
                                  error);
    if (status == TSR_OK) status = check_residual(j, path, error);
  }
  if (status == TSR_OK) {
    status = tsr_activations_create(&j->input, j->info.output_columns,
                                    (tsr_dtype)j->info.output_type, &j->output,
                                    error);
  }
  return status;
}

static tsr_status launch(job *j, tsr_error *error) {
  const tessera_run_args args = {
      .size = sizeof(args),
      .token_count = (uint32_t)j->input.tokens,
      .input = j->input.data,
      .residual = j->residual.data,
      .output = j->output.data,
  };
  tsr_launch l;
  tsr_status status =
      tsr_launch_init(&j->session, j->index, &args, 0, &l, error);
  if (status == TSR_OK) status = tsr_launch_run(&l, error);
  tsr_launch_fini(&l);
  return status;
}

static int run_job(job *j) {
  const tsr_cli *cli = j->cli;
  tsr_error error = {0};
  int code = tsr_session_read_options(cli, &j->options);
  if (code == TSR_EXIT_OK) code = open_layer(j);
  if (code != TSR_EXIT_OK) return code;
  tsr_status status = read_inputs(j, &error);
  if (status == TSR_OK) {
    status = tsr_session_open_device(&j->options, &j->session, &error);
  }
  if (status == TSR_OK) status = launch(j, &error);
  if (status == TSR_OK) {
    status = tsr_activations_write(&j->output, tsr_cli_string(cli, "output"),
                                   tsr_cli_given(cli, "raw"), &error);
  }
  if (status != TSR_OK) return tsr_cli_fail(cli, &error);
  tsr_cli_note(cli, "%s: %s on %s, image %s", j->info.name,
               tsr_format_plural(j->input.tokens, "token").text,
               j->session.description,
               tessera_program_variant(j->session.program));
  return TSR_EXIT_OK;
}

static int run(tsr_cli *cli) {
  job j = {.cli = cli};
  int code = run_job(&j);
  tsr_activations_fini(&j.input);
  tsr_activations_fini(&j.residual);
  tsr_activations_fini(&j.output);
  tsr_session_close(&j.session);
  return code;
}

static const tsr_option options[] = {
    {.name = "layer",
     .letters = "l",
     .type = TSR_OPTION_STRING,
     .value = "LAYER",
     .help = "the layer to run",
     .required = true},
    {.name = "input",
     .letters = "i",
     .type = TSR_OPTION_FILE,
     .value = "X.npy",
     .help = "activations, (tokens, in_features)",
     .required = true},
    {.name = "output",
     .letters = "o",
     .type = TSR_OPTION_FILE,
     .value = "Y.npy",
     .help = "where to write the result, (tokens, out_features)",
     .required = true},
    {.name = "residual",
     .letters = "r",
     .type = TSR_OPTION_FILE,
     .value = "R.npy",
     .help = "what the layer adds, (tokens, out_features)"},
    {.name = "raw",
     .help = "write the layer's own output type (bfloat16 as uint16 bits) "
             "instead of float32"},
    TSR_OPTIONS_SESSION("threads to run with (default: one per core)"),
    {0}};

static const tsr_example examples[] = {
    {"tessera run model.bundle --layer encoder.0.up -i x.npy -o y.npy",
     "multiply the rows of x.npy by the layer"},
    {0}};

const tsr_command tsr_command_run = {
    .name = "run",
    .summary = "run one layer on activations from a file",
    .description =
        "Computes Y = activation(X W^T + bias) + residual. X may be float16, "
        "float32, float64, or uint16 with the bits of bfloat16; it is rounded "
        "to the layer's type. It may have more than two dimensions: the last "
        "is in_features, the others count tokens, and Y keeps them. Y is "
        "written whole or not at all.",
    .options = options,
    .positionals = tsr_positionals_bundle,
    .examples = examples,
    .run = run,
};

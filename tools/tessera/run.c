// SPDX-License-Identifier: Apache-2.0
// tessera run: one layer on activations from a file.
#include <string.h>

#include "base/memory.h"
#include "common/rows.h"
#include "common/runtime.h"
#include "common/terminal.h"
#include "tessera/activations.h"
#include "tessera/commands.h"

typedef struct job {
  const tsr_cli *cli;
  tessera_bundle *bundle;
  tessera_device *device;
  tessera_program *program;
  const tessera_layer *layer;
  tessera_layer_info info;
  tsr_activations input;
  tsr_activations residual;
  tsr_activations output;
  void *workspace;
} job;

static int open_layer(job *j) {
  const tsr_cli *cli = j->cli;
  const char *name = tsr_cli_string(cli, "layer");
  tessera_error error = {0};
  if (tessera_bundle_open(cli->positionals[0], NULL, &j->bundle, &error) !=
      TESSERA_OK) {
    return tsr_cli_fail_runtime(cli, &error);
  }
  uint32_t index, count;
  tsr_error missing = {0};
  if (tsr_layers_select(j->bundle, name, &index, &count, &missing) != TSR_OK) {
    return tsr_cli_fail(cli, &missing);
  }
  j->layer = tessera_bundle_layer(j->bundle, index);
  j->info.size = sizeof(j->info);
  if (tessera_layer_query(j->layer, &j->info, &error) != TESSERA_OK) {
    return tsr_cli_fail_runtime(cli, &error);
  }
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

static int open_device(job *j) {
  const tsr_cli *cli = j->cli;
  const tessera_device_options options = {
      .size = sizeof(options),
      .thread_count = (uint32_t)tsr_cli_uint(cli, "threads"),
      .variant = tsr_cli_string(cli, "variant"),
  };
  tessera_error error = {0};
  tessera_status status = tessera_device_open(tsr_cli_string(cli, "device"),
                                              &options, &j->device, &error);
  if (status == TESSERA_OK) {
    status = tessera_program_prepare(j->bundle, j->device, &j->program, &error);
  }
  return status == TESSERA_OK ? TSR_EXIT_OK : tsr_cli_fail_runtime(cli, &error);
}

// "1 to 16", "at least 17".
static tsr_status check_tokens(const job *j, const char *path,
                               tsr_error *error) {
  uint64_t tokens = j->input.tokens;
  const tessera_layer_info *info = &j->info;
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

static int launch(job *j) {
  tessera_error error = {0};
  uint32_t tokens = (uint32_t)j->input.tokens;
  size_t size = 0;
  tessera_status status =
      tessera_layer_workspace(j->program, j->layer, tokens, &size, &error);
  if (status != TESSERA_OK) return tsr_cli_fail_runtime(j->cli, &error);
  if (size != 0) j->workspace = tsr_aligned_alloc(64, size);
  if (size != 0 && j->workspace == NULL) {
    tsr_cli_error(j->cli, "out of memory");
    return TSR_EXIT_FAILURE;
  }
  const tessera_run_args args = {
      .size = sizeof(args),
      .token_count = tokens,
      .input = j->input.data,
      .residual = j->residual.data,
      .output = j->output.data,
      .workspace = j->workspace,
      .workspace_size = size,
  };
  status = tessera_linear_run(j->program, j->layer, &args, &error);
  return status == TESSERA_OK ? TSR_EXIT_OK
                              : tsr_cli_fail_runtime(j->cli, &error);
}

static int run_job(job *j) {
  const tsr_cli *cli = j->cli;
  tsr_error error = {0};
  int code = open_layer(j);
  if (code == TSR_EXIT_OK && read_inputs(j, &error) != TSR_OK) {
    return tsr_cli_fail(cli, &error);
  }
  if (code == TSR_EXIT_OK) code = open_device(j);
  if (code == TSR_EXIT_OK) code = launch(j);
  if (code != TSR_EXIT_OK) return code;
  const char *path = tsr_cli_string(cli, "output");
  if (tsr_activations_write(&j->output, path, tsr_cli_given(cli, "raw"),
                            &error) != TSR_OK) {
    return tsr_cli_fail(cli, &error);
  }
  tsr_cli_note(cli, "%s: %s on %s, image %s", j->info.name,
               tsr_format_plural(j->input.tokens, "token").text,
               tessera_device_description(j->device),
               tessera_program_variant(j->program));
  return TSR_EXIT_OK;
}

static int run(tsr_cli *cli) {
  job j = {.cli = cli};
  int code = run_job(&j);
  tsr_activations_fini(&j.input);
  tsr_activations_fini(&j.residual);
  tsr_activations_fini(&j.output);
  tsr_free(j.workspace);
  tessera_program_destroy(j.program);
  tessera_device_close(j.device);
  tessera_bundle_close(j.bundle);
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
    {.name = "device",
     .letters = "d",
     .type = TSR_OPTION_STRING,
     .value = "DEVICE",
     .help = "where to run",
     .default_text = "host"},
    {.name = "threads",
     .letters = "t",
     .type = TSR_OPTION_UINT,
     .value = "N",
     .help = "threads to run with (default: one per core)",
     .minimum = 1,
     .maximum = 1024},
    {.name = "variant",
     .type = TSR_OPTION_STRING,
     .value = "NAME",
     .help = "use this image of the bundle, not the best one that fits"},
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

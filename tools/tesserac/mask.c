// SPDX-License-Identifier: Apache-2.0
// tesserac mask: masks for weights that have none (docs/masks.md).
#include "compiler/mask.h"

#include <string.h>

#include "base/memory.h"
#include "common/diagnostics.h"
#include "common/interrupt.h"
#include "common/progress.h"
#include "common/rows.h"
#include "common/table.h"
#include "common/terminal.h"
#include "compiler/kind.h"
#include "compiler/mask_inputs.h"
#include "tesserac/commands.h"

// What one run needs; freed in close_job.
typedef struct job {
  const tsr_cli *cli;
  tsr_compilation *compilation;  // of a plan
  tsr_mask_inputs *inputs;
  tsr_progress *progress;
  const char *model;  // what the archive says was masked
} job;

// ---------------------------------------------------------------------------
// The command line

// "128x128"; {0, 0} when not given.
static bool read_tile(const char *text, tsr_tile_shape *out_tile) {
  *out_tile = (tsr_tile_shape){0, 0};
  if (text == NULL) return true;
  uint32_t sides[2] = {0, 0};
  int side = 0;
  for (; *text != '\0'; ++text) {
    if (*text == 'x' && side == 0) {
      side = 1;
    } else if (*text >= '0' && *text <= '9' && sides[side] < 1000) {
      sides[side] = sides[side] * 10 + (uint32_t)(*text - '0');
    } else {
      return false;
    }
  }
  *out_tile = (tsr_tile_shape){sides[0], sides[1]};
  return sides[0] >= 16 && sides[0] <= 256 && sides[0] % 16 == 0 &&
         sides[1] >= 32 && sides[1] <= 512 && sides[1] % 32 == 0;
}

// TSR_EXIT_OK, or what a command line that makes no sense ends with.
static int check_usage(tsr_cli *cli, tsr_tile_shape *out_tile) {
  bool plan = cli->positional_count != 0;
  bool wanda = strcmp(tsr_cli_string(cli, "score"), "wanda") == 0;
  if (plan == tsr_cli_given(cli, "weights")) {
    return tsr_cli_usage_error(cli, "give either a plan or --weights");
  }
  if (plan && tsr_cli_given(cli, "tensors")) {
    return tsr_cli_usage_error(cli, "--tensors goes with --weights");
  }
  if (wanda != tsr_cli_given(cli, "norms")) {
    return tsr_cli_usage_error(cli, "--score=wanda and --norms go together");
  }
  if (!read_tile(tsr_cli_string(cli, "tile"), out_tile)) {
    return tsr_cli_usage_error(
        cli,
        "--tile: '%s' is not a shape of 16 to 256 rows by 16 and 32 to 512 "
        "columns by 32, like 128x128",
        tsr_cli_string(cli, "tile"));
  }
  return TSR_EXIT_OK;
}

// ---------------------------------------------------------------------------
// Inputs

static tsr_status open_plan(job *j, tsr_tile_shape tile, tsr_error *error) {
  const char *path = j->cli->positionals[0];
  tsr_ast *ast = NULL;
  tsr_plan *plan = NULL;
  j->compilation = tsr_compilation_create();
  if (j->compilation == NULL) return tsr_error_out_of_memory(error);
  tsr_diags *diags = tsr_compilation_diags(j->compilation);
  tsr_status status = tsr_parse_file(j->compilation, path, &ast, error);
  if (status == TSR_OK && ast != NULL && tsr_diag_error_count(diags) == 0) {
    status = tsr_check(j->compilation, ast, &plan, error);
  }
  if (status != TSR_OK || plan == NULL) return status;
  j->model = plan->name;
  return tsr_mask_inputs_open_plan(plan, tile, diags, &j->inputs, error);
}

static tsr_status open_weights(job *j, tsr_tile_shape tile, tsr_error *error) {
  const tsr_cli *cli = j->cli;
  const char *path = tsr_cli_string(cli, "weights");
  const char *slash = strrchr(path, '/');
  uint32_t count = tsr_cli_count(cli, "tensors");
  const char **patterns = tsr_calloc(count + 1u, sizeof(*patterns));
  if (patterns == NULL) return tsr_error_out_of_memory(error);
  for (uint32_t i = 0; i < count; ++i) {
    patterns[i] = tsr_cli_string_at(cli, "tensors", i);
  }
  if (tile.rows == 0) tile = (tsr_tile_shape){128, 128};
  j->model = slash == NULL ? path : slash + 1;
  tsr_status status = tsr_mask_inputs_open_checkpoint(path, patterns, count,
                                                      tile, &j->inputs, error);
  tsr_free(patterns);
  return status;
}

static tsr_status open_inputs(job *j, tsr_tile_shape tile, tsr_error *error) {
  tsr_status status = j->cli->positional_count != 0
                          ? open_plan(j, tile, error)
                          : open_weights(j, tile, error);
  const char *norms = tsr_cli_string(j->cli, "norms");
  if (status == TSR_OK && j->inputs != NULL && norms != NULL) {
    status = tsr_mask_inputs_read_norms(j->inputs, norms, error);
  }
  return status;
}

static void warn_straddling(const job *j) {
  const char *first = NULL;
  uint32_t count = tsr_mask_inputs_straddling(j->inputs, &first);
  if (count == 0) return;
  tsr_cli_warning(j->cli,
                  "in %u concatenated %s (first: '%s') a tensor's rows are "
                  "not a multiple of the tile's: a tile that spans two "
                  "tensors is 2:4 only where both are",
                  count, count == 1 ? "layer" : "layers", first);
}

// ---------------------------------------------------------------------------
// Results

static void add_row(tsr_table *table, const char *name, const char *shape,
                    const tsr_mask_report *report) {
  tsr_table_cell(table, "%s", name);
  tsr_table_cell(table, "%s", shape);
  tsr_table_cell(table, "%s",
                 tsr_format_count(report->tiles[TSR_KIND_DENSE]).text);
  tsr_table_cell(table, "%s",
                 tsr_format_count(report->tiles[TSR_KIND_SPARSE24]).text);
  tsr_table_cell(table, "%.2f %%", 100 * tsr_mask_report_sparsity(report));
  tsr_table_cell(table, "%.4f", tsr_mask_report_error(report));
}

static tsr_status print_table(const tsr_cli *cli, const tsr_mask *mask,
                              tsr_error *error) {
  static const char *const headers[] = {
      "<tensor", ">shape", ">dense", ">2:4", ">sparsity", ">rel. error", NULL};
  tsr_table *table = tsr_table_create(headers);
  tsr_buffer out;
  tsr_buffer_init(&out);
  for (uint32_t i = 0; i < tsr_mask_tensor_count(mask); ++i) {
    const tsr_mask_tensor *tensor = tsr_mask_get_tensor(mask, i);
    tsr_mask_report report = tsr_mask_report_tensor(mask, i);
    char shape[32];
    (void)snprintf(shape, sizeof(shape), "%ux%u", tensor->rows,
                   tensor->columns);
    add_row(table, tensor->name, shape, &report);
  }
  tsr_mask_report total = tsr_mask_report_total(mask);
  tsr_table_rule(table);
  add_row(table, "all", "", &total);
  tsr_status status =
      tsr_table_render(table, cli->utf8, cli->out_color, &out, error);
  tsr_table_destroy(table);
  return tsr_cli_print(cli, status, &out, error);
}

// ---------------------------------------------------------------------------
// Work

static bool advance(void *context, uint64_t weights) {
  const job *j = context;
  tsr_progress_advance(j->progress, weights);
  return !tsr_interrupted();
}

static tsr_mask_options make_options(job *j) {
  const tsr_cli *cli = j->cli;
  bool absolute = strcmp(tsr_cli_string(cli, "criterion"), "absolute") == 0;
  return (tsr_mask_options){
      .sparsity = tsr_cli_real(cli, "sparsity"),
      .per_tensor = tsr_cli_given(cli, "per-layer"),
      .criterion = absolute ? TSR_MASK_ABSOLUTE : TSR_MASK_RELATIVE,
      .threads = tsr_cli_jobs(cli),
      .progress = advance,
      .progress_context = j};
}

static tsr_status make_masks(job *j, tsr_error *error) {
  const tsr_mask_inputs *inputs = j->inputs;
  const char *path = tsr_cli_string(j->cli, "output");
  tsr_mask_options options = make_options(j);
  tsr_mask *mask = NULL;
  // Every weight is read twice: to score it and to write its bit.
  j->progress = tsr_progress_begin(j->cli, "masking", "passes", 2,
                                   2 * tsr_mask_inputs_weights(inputs));
  tsr_progress_label(j->progress, "scoring");
  tsr_status status =
      tsr_mask_create(tsr_mask_inputs_tensors(inputs),
                      tsr_mask_inputs_count(inputs), &options, &mask, error);
  if (status == TSR_OK) {
    tsr_progress_step(j->progress, 0, "scored");
    tsr_progress_label(j->progress, "writing");
    status = tsr_mask_save(mask, path, j->model, error);
  }
  if (status == TSR_OK) tsr_progress_step(j->progress, 0, "written");
  tsr_progress_end(j->progress);
  j->progress = NULL;
  if (status == TSR_OK && !j->cli->quiet) {
    status = print_table(j->cli, mask, error);
  }
  tsr_mask_destroy(mask);
  return status;
}

static int run(tsr_cli *cli) {
  job j = {.cli = cli};
  tsr_error error = {0};
  tsr_tile_shape tile = {0, 0};
  int code = check_usage(cli, &tile);
  if (code != TSR_EXIT_OK) return code;
  tsr_status status = open_inputs(&j, tile, &error);
  if (j.compilation != NULL) code = tsr_cli_report(cli, j.compilation);
  if (status == TSR_OK && j.inputs != NULL) {
    warn_straddling(&j);
    status = make_masks(&j, &error);
  }
  if (status != TSR_OK) code = tsr_cli_fail(cli, &error);
  tsr_mask_inputs_close(j.inputs);
  tsr_compilation_destroy(j.compilation);
  return code;
}

// ---------------------------------------------------------------------------
// The table

static const char *const scores[] = {"magnitude", "wanda", NULL};
static const char *const criteria[] = {"relative", "absolute", NULL};

static const tsr_option options[] = {
    {.name = "output",
     .letters = "o",
     .type = TSR_OPTION_FILE,
     .value = "FILE",
     .help = "write the masks to FILE, an .npz archive as PATCH publishes them",
     .required = true},
    {.name = "sparsity",
     .type = TSR_OPTION_REAL,
     .value = "S",
     .help = "prune this fraction of the weights",
     .maximum = 0.5,
     .required = true},
    {.name = "per-layer",
     .help = "every tensor meets the target, not only their sum"},
    {.name = "score",
     .type = TSR_OPTION_CHOICE,
     .value = "SCORE",
     .help = "what a weight is worth: |w|, or |w| times the norm of its input "
             "channel",
     .default_text = "magnitude",
     .choices = scores},
    {.name = "norms",
     .type = TSR_OPTION_FILE,
     .value = "FILE",
     .help = "norms of input channels, a safetensors file with X.input_norm "
             "(or X.weight), one value per column, for each X.weight"},
    {.name = "criterion",
     .type = TSR_OPTION_CHOICE,
     .value = "WHICH",
     .help = "compare errors relative to their tensor's energy, or as they are",
     .default_text = "relative",
     .choices = criteria},
    {.name = "tile",
     .type = TSR_OPTION_STRING,
     .value = "RxC",
     .help = "tiles of R rows and C columns instead of the plan's (with "
             "--weights: instead of 128x128)"},
    {.name = "weights",
     .type = TSR_OPTION_FILE,
     .value = "FILE",
     .help = "mask a safetensors checkpoint without a plan"},
    {.name = "tensors",
     .type = TSR_OPTION_STRING,
     .value = "GLOB",
     .help = "with --weights: the matrices whose names match GLOB, instead of "
             "*.layers.*.weight and *.layer.*.weight",
     .repeatable = true},
    TSR_OPTION_JOBS,
    TSR_OPTIONS_DIAGNOSTICS,
    {0}};

static const tsr_positional positionals[] = {
    {.name = "PLAN",
     .help = "the plan whose tensors to mask, or - for standard input",
     .type = TSR_OPTION_FILE,
     .minimum = 0,
     .maximum = 1},
    {0}};

static const tsr_example examples[] = {
    {"tesserac mask model.tess -o mask.npz --sparsity 0.45",
     "the file that `masks patch \"mask.npz\";` in the plan names"},
    {"tesserac mask --weights model.safetensors --tensors '*_proj.weight' "
     "-o mask.npz --sparsity 0.25 --score wanda --norms norms.safetensors",
     "by Wanda's score, without a plan"},
    {0}};

const tsr_command tsr_command_mask = {
    .name = "mask",
    .summary = "make masks for weights that have none",
    .description =
        "Prunes in one shot: in every group of 4 in_features the 2 weights "
        "with the largest score stay; tiles whose pruning would cost most, "
        "per byte saved, stay dense, as many as the target leaves. Weights "
        "are streamed; memory does not grow with them. The masks that a plan "
        "names are not read, so the file may be missing that this command is "
        "to write.\n\n"
        "The relative error of a tensor is the norm of its pruned scores over "
        "the norm of all.",
    .options = options,
    .positionals = positionals,
    .examples = examples,
    .polls_interrupt = true,
    .run = run,
};

// SPDX-License-Identifier: Apache-2.0
// tesserac compile: the command line, the order of the stages, cleaning up.
#include "tesserac/compile.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "common/diagnostics.h"
#include "common/interrupt.h"
#include "common/rows.h"
#include "common/terminal.h"
#include "tesserac/commands.h"

// ---- Command line ----------------------------------------------------------

static const char *const stage_names[] = {
    "parse", "check", "import", "schedule", "pack", "codegen", NULL};

static const char *const emission_names[] = {
    "tokens", "ast",     "plan",   "schedule", "ll",    "asm",
    "obj",    "weights", "header", "ptx",      "cubin", NULL};

// The stage that each emission needs, in the order of the bits.
static const tsr_stage emission_stages[] = {
    TSR_STAGE_PARSE,    TSR_STAGE_PARSE,   TSR_STAGE_CHECK,
    TSR_STAGE_SCHEDULE, TSR_STAGE_CODEGEN, TSR_STAGE_CODEGEN,
    TSR_STAGE_CODEGEN,  TSR_STAGE_PACK,    TSR_STAGE_SCHEDULE,
    TSR_STAGE_CODEGEN,  TSR_STAGE_CODEGEN};

// Every target that tesserac knows; tests hold it against the tables.
static const char *const target_names[] = {
    "generic", "x86-64-v2", "x86-64-v3", "x86-64-v4", "x86-64-v4-bf16",
    "native",  "aarch64",   "sm_80",     "sm_86",     "sm_89",
    "sm_90",   "sm_90a",    "sm_100",    "sm_120",    NULL};

static const char *const report_forms[] = {"text", "json", NULL};
static const char *const explain_forms[] = {"text", "layers", "json", NULL};

static const tsr_option options[] = {
    {.name = "output",
     .letters = "o",
     .type = TSR_OPTION_FILE,
     .value = "PATH",
     .help = "write the bundle to PATH (default: PLAN with .bundle for .tess); "
             "with --emit, write files into the folder PATH"},
    TSR_OPTION_JOBS,
    {.name = "target",
     .type = TSR_OPTION_CHOICE,
     .value = "TARGET",
     .choices = target_names,
     .help = "compile for this host variant or CUDA architecture instead of "
             "the plan's targets; may be given several times",
     .repeatable = true},
    {.name = "single-file",
     .type = TSR_OPTION_FLAG,
     .help = "write the bundle as one file instead of a folder"},
    {.name = "emit",
     .type = TSR_OPTION_CHOICE_LIST,
     .value = "KIND,...",
     .help = "write these instead of a bundle: to standard output, or into "
             "the folder of -o",
     .choices = emission_names},
    {.name = "stop-after",
     .type = TSR_OPTION_CHOICE,
     .value = "STAGE",
     .help = "end after this stage, without a bundle",
     .choices = stage_names},
    {.name = "depfile",
     .letters = "MD",
     .type = TSR_OPTION_FLAG,
     .help = "write a Makefile rule with everything that was read to the "
             "output's name with .d"},
    {.name = "depfile-name",
     .letters = "MF",
     .type = TSR_OPTION_FILE,
     .value = "FILE",
     .help = "as -MD, to FILE"},
    {.name = "cache-dir",
     .type = TSR_OPTION_DIRECTORY,
     .value = "DIR",
     .help = "keep compiled kernels in DIR (default: $TESSERA_CACHE, "
             "$XDG_CACHE_HOME/tessera, ~/.cache/tessera)"},
    {.name = "no-cache",
     .type = TSR_OPTION_FLAG,
     .help = "neither use the cache of kernels nor the bundle at the output's "
             "place"},
    {.name = "why",
     .type = TSR_OPTION_FLAG,
     .help = "say for every layer and kernel whether it was made anew, and "
             "what had changed"},
    {.name = "linker",
     .type = TSR_OPTION_STRING,
     .value = "PROGRAM",
     .help = "link with PROGRAM (default: $TESSERA_LINKER, ld.lld-22, ld.lld, "
             "ld)"},
    {.name = "ptxas",
     .type = TSR_OPTION_STRING,
     .value = "PROGRAM",
     .help = "assemble cubins with PROGRAM, or with none (default: "
             "$TESSERA_PTXAS, ptxas in PATH or in /usr/local/cuda/bin)"},
    {.name = "explain",
     .type = TSR_OPTION_CHOICE,
     .value = "FORM",
     .implied = "text",
     .choices = explain_forms,
     .help = "say for each layer and token count which CUDA strategy was "
             "chosen, and what the others would cost; layers with the same "
             "kernels together, with layers each by itself"},
    {.name = "resources",
     .type = TSR_OPTION_CHOICE,
     .value = "FORM",
     .implied = "text",
     .choices = report_forms,
     .help = "say what each CUDA kernel takes: registers, spills, shared "
             "memory, blocks per multiprocessor and what limits them"},
    {.name = "max-spill",
     .type = TSR_OPTION_UINT,
     .value = "BYTES",
     .help = "fail when a CUDA kernel spills more; needs ptxas",
     .minimum = 0,
     .maximum = 4294967295.0},
    {.name = "min-occupancy",
     .type = TSR_OPTION_STRING,
     .value = "BLOCKS|PERCENT%",
     .help = "fail when a multiprocessor holds fewer blocks of a CUDA kernel, "
             "or fewer threads; needs ptxas"},
    {.name = "save-temps",
     .type = TSR_OPTION_DIRECTORY,
     .value = "DIR",
     .help = "keep every kernel's IR, assembly and object, or PTX, in DIR"},
    {.name = "time-trace",
     .type = TSR_OPTION_FILE,
     .value = "FILE",
     .help = "write what took how long to FILE, for chrome://tracing"},
    {.name = "verbose",
     .letters = "v",
     .type = TSR_OPTION_FLAG,
     .help = "say what is used and how long each stage takes"},
    TSR_OPTIONS_DIAGNOSTICS,
    {0}};

static const tsr_example examples[] = {
    {"tesserac compile model.tess -o model.bundle", "compile a plan"},
    {"tesserac compile model.tess --emit=schedule",
     "see which worker does which tiles"},
    {"tesserac compile model.tess --emit=ll,asm -o out --target x86-64-v3",
     "read the code of every kernel"},
    {"tesserac compile model.tess --emit=ptx -o out --target sm_80",
     "read the PTX of every layer"},
    {"tesserac compile model.tess --explain --stop-after=schedule",
     "see which CUDA kernels would be chosen, and what they are predicted to "
     "take"},
    {"tesserac compile model.tess --resources --max-spill=0",
     "see registers and occupancy, and fail where registers spill"},
    {"tesserac compile model.tess --why",
     "see what an incremental compile did again, and why"},
    {0}};

// PLAN without ".tess", with ".bundle".
static char *default_output(const char *plan_path) {
  tsr_buffer path = {0};
  size_t size = strlen(plan_path);
  bool suffix = size > 5 && strcmp(plan_path + size - 5, ".tess") == 0;
  tsr_buffer_append(&path, plan_path, suffix ? size - 5 : size);
  tsr_buffer_append_string(&path, ".bundle");
  char *output = path.failed ? NULL : tsr_strdup(path.data);
  tsr_buffer_fini(&path);
  return output;
}

static bool needs_output(const tsr_compile *c) {
  return c->emit == 0 && c->last == TSR_STAGE_BUNDLE;
}

static tsr_stage choose_emissions(tsr_compile *c) {
  tsr_stage last = TSR_STAGE_PARSE;
  for (uint32_t i = 0; emission_names[i] != NULL; ++i) {
    if (!tsr_cli_has(c->cli, "emit", emission_names[i])) continue;
    c->emit |= 1u << i;
    if (emission_stages[i] > last) last = emission_stages[i];
  }
  return c->emit == 0 ? TSR_STAGE_BUNDLE : last;
}

static tsr_stage stage_of(const char *name) {
  int stage = 0;
  while (strcmp(stage_names[stage], name) != 0) ++stage;
  return (tsr_stage)stage;
}

// Reports and gates raise the last stage of --emit to the one that they need.
static int read_reports(tsr_compile *c) {
  static const struct {
    const char *name;
    tsr_stage stage;
  } needs[] = {{"explain", TSR_STAGE_SCHEDULE},
               {"resources", TSR_STAGE_CODEGEN},
               {"max-spill", TSR_STAGE_CODEGEN},
               {"min-occupancy", TSR_STAGE_CODEGEN}};
  const char *stop = tsr_cli_string(c->cli, "stop-after");
  for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); ++i) {
    if (!tsr_cli_given(c->cli, needs[i].name)) continue;
    if (stop != NULL && stage_of(stop) < needs[i].stage) {
      return tsr_cli_usage_error(c->cli,
                                 "--%s needs the stage %s, which "
                                 "--stop-after=%s leaves out",
                                 needs[i].name, stage_names[needs[i].stage],
                                 stop);
    }
    if (c->last < needs[i].stage) c->last = needs[i].stage;
  }
  return tsr_compile_check_reports(c);
}

static int read_stages(tsr_compile *c) {
  c->last = choose_emissions(c);
  const char *stop = tsr_cli_string(c->cli, "stop-after");
  if (stop == NULL) return read_reports(c);
  tsr_stage wanted = stage_of(stop);
  if (c->emit != 0 && wanted < c->last) {
    return tsr_cli_usage_error(c->cli,
                               "--emit needs the stage %s, which "
                               "--stop-after=%s leaves out",
                               stage_names[c->last], stop);
  }
  c->last = wanted;
  return read_reports(c);
}

static int read_output(tsr_compile *c, tsr_error *error) {
  const char *output = tsr_cli_string(c->cli, "output");
  bool binary = (c->emit & (TSR_EMISSION_OBJ | TSR_EMISSION_WEIGHTS |
                            TSR_EMISSION_CUBIN)) != 0;
  if (output == NULL && binary) {
    return tsr_cli_usage_error(
        c->cli,
        "--emit=obj, --emit=cubin and --emit=weights need a folder: give -o");
  }
  if (output == NULL && needs_output(c) && strcmp(c->plan_path, "-") == 0) {
    return tsr_cli_usage_error(c->cli,
                               "a plan from standard input needs -o PATH");
  }
  if (output == NULL && !needs_output(c)) return TSR_EXIT_OK;
  c->output =
      output == NULL ? default_output(c->plan_path) : tsr_strdup(output);
  if (c->output != NULL) return TSR_EXIT_OK;
  (void)tsr_error_out_of_memory(error);
  return tsr_cli_fail(c->cli, error);
}

static tsr_status check_place(const char *output, tsr_error *error) {
  bool may;
  tsr_status status = tsr_bundle_may_replace(output, &may, error);
  if (status != TSR_OK || may) return status;
  return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                       "%s exists and is not a bundle; remove it or choose "
                       "another output",
                       output);
}

static int read_options(tsr_compile *c, tsr_error *error) {
  const tsr_cli *cli = c->cli;
  c->plan_path = cli->positionals[0];
  c->threads = tsr_cli_jobs(cli);
  c->verbose = tsr_cli_given(cli, "verbose");
  c->why = tsr_cli_given(cli, "why");
  c->single_file = tsr_cli_given(cli, "single-file");
  c->temps = tsr_cli_string(cli, "save-temps");
  int code = read_stages(c);
  if (code == TSR_EXIT_OK) code = read_output(c, error);
  if (code != TSR_EXIT_OK) return code;
  if (needs_output(c) && check_place(c->output, error) != TSR_OK) {
    return tsr_cli_fail(cli, error);
  }
  c->no_cache = tsr_cli_given(cli, "no-cache");
  if (c->no_cache) return TSR_EXIT_OK;
  if (tsr_cache_open(tsr_cli_string(cli, "cache-dir"), &c->cache, error) !=
      TSR_OK) {
    return tsr_cli_fail(cli, error);
  }
  return TSR_EXIT_OK;
}

// ---- Stages ----------------------------------------------------------------

bool tsr_compile_is_wrong(const tsr_compile *c) {
  return tsr_diag_error_count(tsr_compilation_diags(c->compilation)) != 0;
}

typedef tsr_status (*stage_function)(tsr_compile *c, tsr_error *error);

static const struct stage_row {
  tsr_stage first;  // runs when the last stage is at least this one
  const char *name;
  stage_function run;
} stage_rows[] = {
    {TSR_STAGE_PARSE, "front", tsr_compile_front},
    {TSR_STAGE_CODEGEN, "tools", tsr_compile_tools},
    {TSR_STAGE_IMPORT, "layers", tsr_compile_layers},
    {TSR_STAGE_CODEGEN, "kernels", tsr_compile_kernels},
    {TSR_STAGE_SCHEDULE, "explain", tsr_compile_explain},
    {TSR_STAGE_CODEGEN, "assemble", tsr_compile_assemble},
    {TSR_STAGE_CODEGEN, "resources", tsr_compile_resources},
    {TSR_STAGE_BUNDLE, "bundle", tsr_compile_bundle},
    {TSR_STAGE_PARSE, "emit", tsr_compile_emit},
    {TSR_STAGE_PARSE, "depfile", tsr_compile_depfile},
};

static void say_stage(const tsr_compile *c, const char *name, uint64_t start) {
  if (!c->verbose) return;
  double seconds = (double)(tsr_trace_now(c->trace) - start) * 1e-6;
  tsr_cli_note(c->cli, "%s: %s", name, tsr_format_seconds(seconds).text);
}

static void say_settings(const tsr_compile *c) {
  if (!c->verbose) return;
  tsr_cli_note(c->cli, "%u threads; cache: %s", c->threads,
               c->cache.directory == NULL ? "none" : c->cache.directory);
}

static tsr_status run_stages(tsr_compile *c, tsr_error *error) {
  say_settings(c);
  for (size_t i = 0; i < sizeof(stage_rows) / sizeof(stage_rows[0]); ++i) {
    if (stage_rows[i].first > c->last) continue;
    if (tsr_interrupted())
      return tsr_error_set(error, TSR_CANCELLED, "interrupted");
    uint64_t start = tsr_trace_now(c->trace);
    tsr_status status = stage_rows[i].run(c, error);
    tsr_trace_add(c->trace, "stage", stage_rows[i].name, start);
    say_stage(c, stage_rows[i].name, start);
    if (status != TSR_OK || tsr_compile_is_wrong(c)) return status;
  }
  return TSR_OK;
}

static void objects_fini(tsr_compile *c) {
  size_t objects = (size_t)c->kernel_count * c->variant_count;
  for (size_t i = 0; c->objects != NULL && i < objects; ++i) {
    tsr_emitted_fini(&c->objects[i].emitted);
  }
  tsr_free(c->objects);
  tsr_free(c->kernels);
  tsr_free(c->kernel_keys);
}

static void cuda_fini(tsr_compile *c) {
  size_t objects = (size_t)c->cuda_kernel_count * c->cuda_target_count;
  for (size_t i = 0; c->cuda_objects != NULL && i < objects; ++i) {
    tsr_cuda_emitted_fini(&c->cuda_objects[i].emitted);
  }
  for (uint32_t i = 0; c->cuda_modules != NULL && i < c->cuda_target_count;
       ++i) {
    tsr_buffer_fini(&c->cuda_modules[i].ptx);
    tsr_buffer_fini(&c->cuda_modules[i].cubin);
  }
  for (uint32_t i = 0; c->cuda_layers != NULL && i < c->plan->layer_count;
       ++i) {
    tsr_cuda_layer *layer = &c->cuda_layers[i];
    for (uint32_t s = 0; s < layer->share_count; ++s) {
      tsr_buffer_fini(&layer->shares[s].cuts);
    }
  }
  tsr_free(c->cuda_objects);
  tsr_free(c->cuda_modules);
  tsr_free(c->cuda_layers);
  tsr_free(c->cuda_kernels);
  tsr_free(c->cuda_keys);
  tsr_free(c->cuda_chosen);
  tsr_free(c->cuda_jobs);
  tsr_buffer_fini(&c->ptxas);
  tsr_buffer_fini(&c->ptxas_version);
}

static void compile_fini(tsr_compile *c) {
  objects_fini(c);
  cuda_fini(c);
  tsr_packing_close(c->archive);
  tsr_staging_discard(&c->staging);
  tsr_previous_close(c->previous);
  tsr_inputs_close(c->inputs);
  tsr_buffer_fini(&c->schedules);
  tsr_compilation_destroy(c->compilation);
  tsr_cache_close(&c->cache);
  tsr_trace_destroy(c->trace);
  tsr_free(c->output);
}

static int compile(tsr_compile *c, tsr_error *error) {
  const char *trace = tsr_cli_string(c->cli, "time-trace");
  bool timed = trace != NULL || c->verbose;
  if (timed) c->trace = tsr_trace_create();
  c->compilation = tsr_compilation_create();
  if (c->compilation == NULL || (timed && c->trace == NULL)) {
    (void)tsr_error_out_of_memory(error);
    return tsr_cli_fail(c->cli, error);
  }
  tsr_status status = run_stages(c, error);
  if (status == TSR_OK && trace != NULL) {
    status = tsr_trace_write(c->trace, trace, error);
  }
  int code = tsr_cli_report(c->cli, c->compilation);
  if (status != TSR_OK) return tsr_cli_fail(c->cli, error);
  if (code == TSR_EXIT_OK) tsr_compile_summary(c);
  return code;
}

static int run(tsr_cli *cli) {
  // A file that grows past a limit is an error like a full disk, not a death.
  (void)signal(SIGXFSZ, SIG_IGN);
  // In JSON form standard error holds the diagnostics alone.
  tsr_cli quiet = *cli;
  quiet.quiet = cli->quiet || tsr_cli_json_diagnostics(cli);
  tsr_compile c = {.cli = &quiet};
  tsr_error error = {0};
  int code = read_options(&c, &error);
  if (code == TSR_EXIT_OK) code = compile(&c, &error);
  compile_fini(&c);
  return code;
}

const tsr_command tsr_command_compile = {
    .name = "compile",
    .summary = "compile a plan into a bundle",
    .description =
        "Reads the plan and everything it names, packs every layer's weights, "
        "compiles the kernels they need for every target and writes the "
        "bundle: whole, or not at all. The bytes do not depend on -j, on the "
        "folder, on the locale or on the clock.\n\n"
        "A bundle that already lies at the output's place is used: a layer "
        "whose weights, mask and options have not changed is copied from it, "
        "and kernels come from the cache. --why says what was done anew and "
        "which component of the content key had changed.\n\n"
        "--emit writes intermediate forms instead of a bundle. Texts go to "
        "standard output; with -o DIR, everything goes to files there: "
        "tokens.txt, ast.txt, plan.txt, schedule.txt, weights.bin, "
        "include/MODEL.h, TARGET/KERNEL.ll, .s, .o, and for CUDA "
        "TARGET/LAYER.ptx and TARGET/kernels.cubin.",
    .options = options,
    .positionals = tsr_positionals_plan,
    .examples = examples,
    .polls_interrupt = true,
    .run = run,
};

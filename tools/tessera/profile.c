// SPDX-License-Identifier: Apache-2.0
// tessera profile: runs layers on the emulated CUDA driver, which executes
// their kernels exactly and counts what they do. Counts are the same on any
// machine; the emulator's own time says nothing of a GPU and is not told.
#include "profile.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "common/interrupt.h"
#include "common/progress.h"
#include "common/rows.h"
#include "common/runtime.h"
#include "launch.h"
#include "tessera/commands.h"

enum { TOKEN_LIMIT = 65536 };

typedef struct profile {
  tsr_cli *cli;
  tsr_emulator emulator;
  tessera_emu_config config;
  tsr_session session;
  uint32_t first, count;      // layers
  tsr_profile_point *points;  // owned
  uint32_t point_count;
  uint8_t *reads;  // owned: counters of the program's memory
} profile;

const char *const tsr_profile_checks[] = {"init",    "race", "sync", "async",
                                          "numeric", "all",  NULL};

// ---- The driver ------------------------------------------------------------

static uint32_t wanted_checks(const tsr_cli *cli) {
  uint32_t checks = 0;
  for (uint32_t i = 0; i < tsr_cli_count(cli, "check"); ++i) {
    const char *name = tsr_cli_string_at(cli, "check", i);
    for (uint32_t bit = 0; tsr_profile_checks[bit] != NULL; ++bit) {
      if (strcmp(name, tsr_profile_checks[bit]) == 0) checks |= 1u << bit;
    }
  }
  uint32_t all = TESSERA_EMU_CHECK_ALL + 1u;  // the bit of "all"
  return (checks & all) != 0 ? TESSERA_EMU_CHECK_ALL : checks;
}

static tsr_status apply(const profile *p, tsr_error *error) {
  if (p->emulator.set_config(&p->config) == 0) return TSR_OK;
  return tsr_error_set(error, TSR_INTERNAL,
                       "the emulated driver refuses its configuration");
}

// Before the device is opened: what is checked is decided then. Findings are
// told, with the counters, rather than failing the launch.
static tsr_status configure(profile *p, tsr_error *error) {
  tessera_emu_config *config = &p->config;
  *config = (tessera_emu_config){.struct_size = sizeof(*config)};
  p->emulator.get_config(config);
  config->profile = 1;
  config->findings_fail = 0;
  if (tsr_cli_given(p->cli, "check")) config->checks = wanted_checks(p->cli);
  return apply(p, error);
}

static tsr_status watch_program(profile *p, tsr_error *error) {
  p->reads = tsr_malloc(p->session.memory_size);
  if (p->reads == NULL) return tsr_error_out_of_memory(error);
  p->config.watch_address = (uint64_t)(uintptr_t)p->session.memory;
  p->config.watch_size = p->session.memory_size;
  p->config.watch_reads = p->reads;
  // So are weights read and nothing else: tables are read word by word, each
  // word by all lanes.
  p->config.watch_width = 16;
  return apply(p, error);
}

static tsr_status choose_gpu(const profile *p, tsr_error *error) {
  const char *gpu = tsr_cli_string(p->cli, "gpu");
  if (gpu == NULL || p->emulator.set_devices(gpu) == 0) return TSR_OK;
  return tsr_error_set(error, TSR_NOT_FOUND,
                       "the emulated driver has no device '%s'; "
                       "docs/emulator.md lists them",
                       gpu);
}

static tsr_status open_session(profile *p, tsr_error *error) {
  const tsr_session_options options = {
      .path = p->cli->positionals[0], .device = "cuda:0", .own_memory = true};
  tsr_status status = tsr_emulator_choose(&p->emulator, error);
  if (status == TSR_OK) status = choose_gpu(p, error);
  if (status == TSR_OK) status = configure(p, error);
  if (status == TSR_OK) {
    status = tsr_session_open(&options, &p->session, error);
  }
  if (status == TSR_OK) {
    status =
        tsr_layers_select(p->session.bundle, tsr_cli_string(p->cli, "layer"),
                          &p->first, &p->count, error);
  }
  return status == TSR_OK ? watch_program(p, error) : status;
}

// ---- Counting --------------------------------------------------------------

static void add_traffic(tessera_emu_traffic *sum,
                        const tessera_emu_traffic *more) {
  sum->instructions += more->instructions;
  sum->bytes += more->bytes;
  for (int i = 0; i < 5; ++i) sum->width[i] += more->width[i];
  sum->transactions += more->transactions;
  sum->ideal += more->ideal;
}

static void add_matrix(tessera_emu_profile *sum,
                       const tessera_emu_matrix_count *more) {
  enum { LIMIT = sizeof(sum->matrix) / sizeof(sum->matrix[0]) };
  for (uint32_t i = 0; i < sum->matrix_count; ++i) {
    if (strcmp(sum->matrix[i].name, more->name) != 0) continue;
    sum->matrix[i].count += more->count;
    return;
  }
  if (sum->matrix_count < LIMIT) sum->matrix[sum->matrix_count++] = *more;
}

static void add_profile(tessera_emu_profile *sum,
                        const tessera_emu_profile *more) {
  static const size_t traffic[] = {offsetof(tessera_emu_profile, global_load),
                                   offsetof(tessera_emu_profile, global_store),
                                   offsetof(tessera_emu_profile, global_atomic),
                                   offsetof(tessera_emu_profile, shared_load),
                                   offsetof(tessera_emu_profile, shared_store),
                                   offsetof(tessera_emu_profile, shared_atomic),
                                   offsetof(tessera_emu_profile, local_load),
                                   offsetof(tessera_emu_profile, local_store),
                                   offsetof(tessera_emu_profile, copy),
                                   offsetof(tessera_emu_profile, copy_shared),
                                   offsetof(tessera_emu_profile, bulk_load),
                                   offsetof(tessera_emu_profile, bulk_store)};
  for (size_t i = 0; i < sizeof(traffic) / sizeof(traffic[0]); ++i) {
    tessera_emu_traffic part;
    memcpy(&part, (const char *)more + traffic[i], sizeof(part));
    tessera_emu_traffic all;
    memcpy(&all, (const char *)sum + traffic[i], sizeof(all));
    add_traffic(&all, &part);
    memcpy((char *)sum + traffic[i], &all, sizeof(all));
  }
  sum->blocks += more->blocks;
  sum->warp_instructions += more->warp_instructions;
  sum->thread_instructions += more->thread_instructions;
  for (int i = 0; i < TESSERA_EMU_CLASS_COUNT; ++i) {
    sum->by_class[i] += more->by_class[i];
  }
  sum->barrier_waits += more->barrier_waits;
  sum->mbarrier_waits += more->mbarrier_waits;
  sum->modelled_seconds += more->modelled_seconds;
  for (uint32_t i = 0; i < more->matrix_count; ++i) {
    add_matrix(sum, &more->matrix[i]);
  }
}

static void collect(const profile *p, tsr_profile_point *point) {
  for (size_t i = 0; i < p->emulator.profile_count(); ++i) {
    tessera_emu_profile one = {.struct_size = sizeof(one)};
    if (p->emulator.get_profile(i, &one) != 0) continue;
    if (point->launches++ == 0) {
      point->counts = one;
    } else {
      add_profile(&point->counts, &one);
    }
  }
  for (size_t i = 0; i < p->session.memory_size; ++i) {
    point->weight_bytes += p->reads[i];
    if (p->reads[i] == UINT8_MAX) point->weight_bytes_more = true;
  }
  tessera_emu_finding finding = {.struct_size = sizeof(finding)};
  point->finding_count = p->emulator.finding_count();
  if (point->finding_count != 0 && p->emulator.get_finding(0, &finding) == 0) {
    (void)snprintf(point->finding, sizeof(point->finding), "%s",
                   finding.message);
  }
}

// Only the run itself is counted, not what prepares it.
static tsr_status count_run(profile *p, uint32_t layer,
                            const tessera_run_args *args,
                            tsr_profile_point *point, tsr_error *error) {
  tsr_launch launch;
  tsr_status status =
      tsr_launch_init(&p->session, layer, args, 0, &launch, error);
  if (status != TSR_OK) return status;
  tessera_error failure = {0};
  status = tsr_session_status(
      tessera_device_synchronize(p->session.device, NULL, &failure), &failure,
      error);
  p->emulator.clear_profiles();
  p->emulator.clear_findings();
  memset(p->reads, 0, p->session.memory_size);
  if (status == TSR_OK) status = tsr_launch_run(&launch, error);
  if (status == TSR_OK) collect(p, point);
  tsr_launch_fini(&launch);
  return status;
}

static tsr_status profile_point(profile *p, uint32_t layer,
                                tsr_profile_point *point, tsr_error *error) {
  const tessera_layer_info *info = &point->info;
  uint64_t state = 1;
  size_t outputs = (size_t)point->tokens * info->output_columns;
  tsr_dtype type = (tsr_dtype)info->output_type;
  void *input = tsr_random_array((size_t)point->tokens * info->columns,
                                 (tsr_dtype)info->input_type, &state);
  void *residual =
      info->has_residual ? tsr_random_array(outputs, type, &state) : NULL;
  void *output = tsr_calloc(outputs, tsr_dtype_size(type));
  tsr_status status = TSR_OK;
  if (input == NULL || output == NULL ||
      (residual == NULL && info->has_residual)) {
    status = tsr_error_out_of_memory(error);
  } else {
    const tessera_run_args args = {.size = sizeof(args),
                                   .token_count = point->tokens,
                                   .input = input,
                                   .residual = residual,
                                   .output = output};
    status = count_run(p, layer, &args, point, error);
  }
  tsr_free(input);
  tsr_free(residual);
  tsr_free(output);
  return status;
}

static tsr_status profile_layer(profile *p, uint32_t layer,
                                tsr_progress *progress, tsr_error *error) {
  tessera_layer_info info;
  tsr_layer_manifest manifest;
  tsr_status status = tsr_session_query(&p->session, layer, &info, error);
  if (status == TSR_OK) {
    status = tsr_session_manifest(&p->session, layer, &manifest, error);
  }
  for (uint32_t i = 0; status == TSR_OK && i < tsr_cli_count(p->cli, "tokens");
       ++i) {
    uint64_t tokens = tsr_cli_uint_at(p->cli, "tokens", i);
    const char *strategy = tsr_layer_manifest_strategy(&manifest, tokens);
    tsr_progress_label(progress, info.name);
    if (tsr_interrupted()) status = TSR_CANCELLED;
    if (status == TSR_OK && strategy != NULL) {
      tsr_profile_point *point = &p->points[p->point_count++];
      *point = (tsr_profile_point){.info = info, .tokens = (uint32_t)tokens};
      (void)snprintf(point->strategy, sizeof(point->strategy), "%s", strategy);
      status = profile_point(p, layer, point, error);
    }
    tsr_progress_step(progress, 0, info.name);
  }
  return status;
}

static tsr_status profile_layers(profile *p, tsr_error *error) {
  uint32_t limit = p->count * tsr_cli_count(p->cli, "tokens");
  p->points = tsr_calloc(limit, sizeof(*p->points));
  if (p->points == NULL) return tsr_error_out_of_memory(error);
  tsr_progress *progress =
      tsr_progress_begin(p->cli, "emulating", "runs", limit, 0);
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < p->count; ++i) {
    status = profile_layer(p, p->first + i, progress, error);
  }
  tsr_progress_end(progress);
  if (status == TSR_CANCELLED) {
    return tsr_error_set(error, TSR_CANCELLED, "interrupted");
  }
  if (status == TSR_OK && p->point_count == 0) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "no layer takes any of the token counts asked for");
  }
  return status;
}

// ---- The command -----------------------------------------------------------

static tsr_status report(const profile *p, tsr_error *error) {
  const tsr_profile_report report = {.session = &p->session,
                                     .points = p->points,
                                     .count = p->point_count,
                                     .checks = p->config.checks};
  tsr_buffer out;
  tsr_buffer_init(&out);
  tsr_status status = TSR_OK;
  if (tsr_cli_given(p->cli, "json")) {
    tsr_profile_print_json(&report, &out);
  } else {
    status = tsr_profile_print_tables(&report, p->cli, &out, error);
  }
  return tsr_cli_print(p->cli, status, &out, error);
}

static int run_profile(tsr_cli *cli) {
  profile p = {.cli = cli};
  tsr_error error = {0};
  bool found = false;
  tsr_status status = open_session(&p, &error);
  if (status == TSR_OK) status = profile_layers(&p, &error);
  if (status == TSR_OK) status = report(&p, &error);
  for (uint32_t i = 0; i < p.point_count; ++i) {
    found = found || p.points[i].finding_count != 0;
  }
  tsr_session_close(&p.session);
  tsr_free(p.points);
  tsr_free(p.reads);
  if (status != TSR_OK) return tsr_cli_fail(cli, &error);
  return found ? TSR_EXIT_DIAGNOSED : TSR_EXIT_OK;
}

static const tsr_option options[] = {
    {.name = "layer",
     .letters = "l",
     .type = TSR_OPTION_STRING,
     .value = "NAME",
     .help = "profile this layer only"},
    {.name = "tokens",
     .type = TSR_OPTION_UINT_LIST,
     .value = "N,...",
     .help = "token counts to run",
     .default_text = "1,16,128",
     .minimum = 1,
     .maximum = TOKEN_LIMIT},
    {.name = "gpu",
     .type = TSR_OPTION_STRING,
     .value = "NAME",
     .help = "the GPU to emulate: a100, a6000, rtx4090, h100 or h200 "
             "(default: what TESSERA_EMU_DEVICE names, or h100)"},
    {.name = "check",
     .type = TSR_OPTION_CHOICE_LIST,
     .value = "CHECK,...",
     .help = "look for such mistakes of kernels too (default: what "
             "TESSERA_EMU_CHECK names)",
     .choices = tsr_profile_checks},
    {.name = "json", .type = TSR_OPTION_FLAG, .help = "print JSON"},
    {0}};

static const tsr_example examples[] = {
    {"tessera profile model.bundle --tokens 1", "what decode does, per layer"},
    {"tessera profile model.bundle --gpu a100 --check all",
     "as an A100 would, with races and stale memory looked for"},
    {0}};

const tsr_command tsr_command_profile = {
    .name = "profile",
    .summary = "count what a bundle's CUDA kernels do",
    .description =
        "Runs layers on random input on the emulated CUDA driver and prints "
        "its counters: instructions, tensor-core instructions, memory traffic "
        "and what it costs beyond the least possible, shared-memory bank "
        "conflicts, waits at barriers. They are exact, and need no GPU: the "
        "driver is the one installed with tessera, or the emulated one that "
        "TESSERA_CUDA_DRIVER names. 'modelled' is the time of a simple model "
        "of the GPU (docs/emulator.md) that compares kernels and predicts "
        "none.\n\n"
        "What --check or the emulator itself finds wrong with a kernel is "
        "told, and the exit code is 1.",
    .options = options,
    .positionals = tsr_positionals_bundle,
    .examples = examples,
    .polls_interrupt = true,
    .run = run_profile};

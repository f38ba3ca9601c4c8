// SPDX-License-Identifier: Apache-2.0
#include "fixture_commands.h"

#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/memory.h"
#include "common/interrupt.h"
#include "common/progress.h"
#include "common/terminal.h"

static void pause_ms(long ms) {
  struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
  (void)nanosleep(&time, NULL);
}

// ---- every: one option of each type -----------------------------------------

static const char *const shapes[] = {"round", "square", "star", NULL};

static const tsr_option every_options[] = {
    {.name = "flag", .letters = "f", .help = "a flag"},
    {.name = "output",
     .letters = "o",
     .type = TSR_OPTION_FILE,
     .value = "FILE",
     .help = "write to FILE",
     .required = true},
    {.name = "folder",
     .type = TSR_OPTION_DIRECTORY,
     .value = "DIR",
     .help = "a folder"},
    {.name = "name",
     .type = TSR_OPTION_STRING,
     .value = "TEXT",
     .help = "any text, with 'quotes', [brackets]: and a very long "
             "explanation that does not fit into one line of the help",
     .repeatable = true},
    {.name = "jobs",
     .letters = "j",
     .type = TSR_OPTION_UINT,
     .value = "N",
     .help = "how many",
     .default_text = "3",
     .minimum = 1,
     .maximum = 64},
    {.name = "share",
     .type = TSR_OPTION_REAL,
     .value = "X",
     .help = "a fraction",
     .default_text = "0.25",
     .maximum = 1},
    {.name = "shape",
     .type = TSR_OPTION_CHOICE,
     .value = "SHAPE",
     .help = "a shape",
     .default_text = "round",
     .choices = shapes},
    {.name = "tokens",
     .type = TSR_OPTION_UINT_LIST,
     .value = "N,...",
     .help = "token counts",
     .default_text = "1,16"},
    {.name = "emit",
     .type = TSR_OPTION_CHOICE_LIST,
     .value = "SHAPE,...",
     .help = "what to emit",
     .choices = shapes},
    {.name = "dependencies", .letters = "MD", .help = "write dependencies"},
    {.name = "dependency-file",
     .letters = "MF",
     .type = TSR_OPTION_FILE,
     .value = "FILE",
     .help = "where to"},
    {.name = "trace",
     .type = TSR_OPTION_FILE,
     .value = "FILE",
     .help = "trace to FILE",
     .implied = "trace.json"},
    {.name = "left", .help = "go left", .group = "way"},
    {.name = "right", .help = "go right", .group = "way"},
    {0}};

static const tsr_positional every_positionals[] = {{.name = "PLAN",
                                                    .help = "the plan",
                                                    .type = TSR_OPTION_FILE,
                                                    .minimum = 1,
                                                    .maximum = 1},
                                                   {.name = "MORE",
                                                    .help = "more of them",
                                                    .type = TSR_OPTION_FILE,
                                                    .maximum = 2},
                                                   {0}};

static const tsr_example every_examples[] = {
    {"fixture every -o x plan", "the least that it takes"}, {0}};

static int run_every(tsr_cli *cli) {
  (void)fprintf(cli->out, "%s %llu %.3f\n", tsr_cli_string(cli, "output"),
                (unsigned long long)tsr_cli_uint(cli, "jobs"),
                tsr_cli_real(cli, "share"));
  return TSR_EXIT_OK;
}

const tsr_command fixture_every = {
    .name = "every",
    .summary = "take one option of every type",
    .description =
        "The first paragraph is filled: it is as long as it takes "
        "to reach the end of a line and go on in the next.\n\n"
        "The second has\n"
        "  kept lines\n"
        "  of text.",
    .options = every_options,
    .positionals = every_positionals,
    .examples = every_examples,
    .run = run_every,
};

// ---- work: files under way, and progress ------------------------------------

static const tsr_option work_options[] = {
    {.name = "steps",
     .type = TSR_OPTION_UINT,
     .value = "N",
     .help = "steps",
     .default_text = "10"},
    {.name = "pause",
     .type = TSR_OPTION_UINT,
     .value = "MS",
     .help = "milliseconds of each",
     .default_text = "20"},
    {.name = "deaf", .help = "never ask whether it was interrupted"},
    {0}};

static const tsr_positional work_positionals[] = {{.name = "DIR",
                                                   .help = "where to write",
                                                   .type = TSR_OPTION_DIRECTORY,
                                                   .minimum = 1,
                                                   .maximum = 1},
                                                  {0}};

static tsr_status steps(const tsr_cli *cli, tsr_output *output,
                        tsr_error *error) {
  uint64_t count = tsr_cli_uint(cli, "steps");
  bool deaf = cli->command->polls_interrupt && tsr_cli_given(cli, "deaf");
  tsr_progress *progress =
      tsr_progress_begin(cli, "working", "steps", count, count * 2);
  tsr_status status = TSR_OK;
  for (uint64_t i = 0; i < count && status == TSR_OK; ++i) {
    char label[32];
    (void)snprintf(label, sizeof(label), "step %u", (unsigned)i);
    tsr_progress_label(progress, label);
    status = tsr_output_write(output, label, strlen(label), error);
    pause_ms((long)tsr_cli_uint(cli, "pause"));
    tsr_progress_advance(progress, 1);
    tsr_progress_step(progress, 1, label);
    if (!deaf && tsr_interrupted()) status = TSR_CANCELLED;
  }
  tsr_progress_end(progress);
  return status;
}

static int run_work(tsr_cli *cli) {
  tsr_error error = {0};
  tsr_output *output = NULL;
  tsr_staging staging = {0};
  char *file = tsr_path_join(cli->positionals[0], "file");
  char *folder = tsr_path_join(cli->positionals[0], "folder");
  tsr_status status = tsr_staging_begin(folder, &staging, &error);
  if (status == TSR_OK) status = tsr_output_create(file, &output, &error);
  if (status == TSR_OK) status = steps(cli, output, &error);
  if (status == TSR_OK) {
    status = tsr_output_commit(output, &error);
    output = NULL;
  }
  if (status == TSR_OK) status = tsr_staging_commit(&staging, &error);
  tsr_output_close(output);
  tsr_staging_discard(&staging);
  tsr_free(file);
  tsr_free(folder);
  if (status != TSR_OK) return tsr_cli_fail(cli, &error);
  (void)fprintf(cli->out, "%sdone%s\n",
                tsr_style_code(cli->out_color, TSR_STYLE_GOOD),
                tsr_style_code(cli->out_color, TSR_STYLE_NONE));
  return TSR_EXIT_OK;
}

static const tsr_command work = {
    .name = "work",
    .summary = "work for a while",
    .description = "Writes a file and a folder, slowly.",
    .options = work_options,
    .positionals = work_positionals,
    .polls_interrupt = true,
    .run = run_work,
};

static const tsr_command stubborn = {
    .name = "stubborn",
    .summary = "the same, without asking for interrupts",
    .description = "Ends at the first signal.",
    .options = work_options,
    .positionals = work_positionals,
    .run = run_work,
};

static const tsr_command *const commands[] = {
    &fixture_every,    &work, &stubborn, &tsr_command_completions,
    &tsr_command_help, NULL};

const tsr_tool fixture_tool = {
    .name = "fixture",
    .summary = "a tool for tests",
    .description = "It does nothing of use.",
    .commands = commands,
};

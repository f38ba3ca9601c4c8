// SPDX-License-Identifier: Apache-2.0
// tesserac fmt: the canonical text of a plan. Formatting what was formatted
// changes nothing.
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "common/diagnostics.h"
#include "tesserac/commands.h"

// Standard input up to its end.
static tsr_status read_stdin(tsr_buffer *out, tsr_error *error) {
  char block[65536];
  size_t size;
  while ((size = fread(block, 1, sizeof(block), stdin)) != 0) {
    tsr_buffer_append(out, block, size);
  }
  if (ferror(stdin) != 0) {
    return tsr_error_set_errno(error, errno, "standard input");
  }
  return tsr_buffer_status(out, error);
}

static tsr_status read_plan(const char *path, tsr_buffer *out,
                            tsr_error *error) {
  if (strcmp(path, "-") == 0) return read_stdin(out, error);
  tsr_map map;
  tsr_status status = tsr_map_open(path, &map, error);
  if (status != TSR_OK) return status;
  tsr_buffer_append(out, map.data, map.size);
  tsr_map_close(&map);
  return tsr_buffer_status(out, error);
}

// The path that messages and includes of |path| go by.
static const char *source_name(const tsr_cli *cli, const char *path) {
  const char *name = tsr_cli_string(cli, "stdin-name");
  if (strcmp(path, "-") != 0) return path;
  return name != NULL ? name : "<stdin>";
}

// Formats |text|. When it has mistakes they are printed, and |*out_code| says
// so.
static tsr_status format(const tsr_cli *cli, const char *path,
                         const tsr_buffer *text, tsr_buffer *out, int *out_code,
                         tsr_error *error) {
  const char *name = source_name(cli, path);
  tsr_ast *ast = NULL;
  tsr_compilation *compilation = tsr_compilation_create();
  char *directory = tsr_path_directory(name);
  tsr_status status = TSR_OK;
  if (compilation == NULL || directory == NULL) {
    status = tsr_error_out_of_memory(error);
  } else {
    status = tsr_parse_text(compilation, name, directory, tsr_buffer_text(text),
                            text->size, &ast, error);
  }
  if (status == TSR_OK) {
    *out_code = tsr_cli_report(cli, compilation);
    if (*out_code == TSR_EXIT_OK) tsr_ast_format(ast, out);
    status = tsr_buffer_status(out, error);
  }
  tsr_free(directory);
  tsr_compilation_destroy(compilation);
  return status;
}

static bool same(const tsr_buffer *a, const tsr_buffer *b) {
  return a->size == b->size &&
         (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

// What the command was asked to do with the result.
static tsr_status deliver(const tsr_cli *cli, const char *path,
                          const tsr_buffer *before, const tsr_buffer *after,
                          int *out_code, tsr_error *error) {
  if (tsr_cli_given(cli, "check")) {
    if (same(before, after)) return TSR_OK;
    (void)fprintf(cli->out, "%s\n", path);
    *out_code = TSR_EXIT_DIAGNOSED;
    return TSR_OK;
  }
  if (!tsr_cli_given(cli, "in-place")) {
    (void)fwrite(tsr_buffer_text(after), 1, after->size, cli->out);
    return TSR_OK;
  }
  if (same(before, after)) return TSR_OK;
  return tsr_file_write(path, tsr_buffer_text(after), after->size, error);
}

static int run_one(const tsr_cli *cli, const char *path) {
  tsr_buffer before = {0};
  tsr_buffer after = {0};
  tsr_error error = {0};
  int code = TSR_EXIT_OK;
  tsr_status status = read_plan(path, &before, &error);
  if (status == TSR_OK) {
    status = format(cli, path, &before, &after, &code, &error);
  }
  if (status == TSR_OK && code == TSR_EXIT_OK) {
    status = deliver(cli, path, &before, &after, &code, &error);
  }
  if (status != TSR_OK) code = tsr_cli_fail(cli, &error);
  tsr_buffer_fini(&before);
  tsr_buffer_fini(&after);
  return code;
}

static int run(tsr_cli *cli) {
  int worst = TSR_EXIT_OK;
  for (uint32_t i = 0; i < cli->positional_count; ++i) {
    const char *path = cli->positionals[i];
    if (strcmp(path, "-") == 0 && tsr_cli_given(cli, "in-place")) {
      return tsr_cli_usage_error(cli,
                                 "standard input cannot be changed in place");
    }
  }
  for (uint32_t i = 0; i < cli->positional_count; ++i) {
    int code = run_one(cli, cli->positionals[i]);
    if (code > worst) worst = code;
  }
  return worst;
}

static const tsr_option options[] = {
    {.name = "in-place",
     .letters = "i",
     .help = "rewrite the files that are not in canonical form",
     .group = "what"},
    {.name = "check",
     .help = "print the names of those files and exit with 1 if there is one",
     .group = "what"},
    {.name = "stdin-name",
     .type = TSR_OPTION_FILE,
     .value = "PATH",
     .help = "the plan that standard input stands for: its folder is where "
             "includes are looked up"},
    TSR_OPTIONS_DIAGNOSTICS,
    {0}};

static const tsr_positional positionals[] = {
    {.name = "PLAN",
     .help = "the plans, or - for standard input",
     .type = TSR_OPTION_FILE,
     .minimum = 1,
     .maximum = UINT32_MAX},
    {0}};

static const tsr_example examples[] = {
    {"tesserac fmt -i *.tess", "format all plans of this folder"},
    {"tesserac fmt --check *.tess", "for continuous checks"},
    {0}};

const tsr_command tsr_command_fmt = {
    .name = "fmt",
    .summary = "write a plan in canonical form",
    .description =
        "Prints the plan with the spacing, the order of words and the line "
        "breaks that all plans share. Comments stay, and so does the meaning. "
        "Plans that it includes are read, but not printed. A plan with syntax "
        "errors is left alone.",
    .options = options,
    .positionals = positionals,
    .examples = examples,
    .run = run,
};

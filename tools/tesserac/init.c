// SPDX-License-Identifier: Apache-2.0
// tesserac init: a starting plan from a Hugging Face folder.
// realpath is XSI.
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "common/diagnostics.h"
#include "compiler/checkpoint.h"
#include "compiler/hf_config.h"
#include "tesserac/commands.h"

// ---------------------------------------------------------------------------
// Paths

// |to| as seen from the folder |from|; both absolute, without links. Owned by
// the caller; NULL when out of memory.
static char *relative_path(const char *from, const char *to) {
  size_t common = 0;  // of whole components, with their '/'
  size_t i = 0;
  for (; from[i] != '\0' && from[i] == to[i]; ++i) {
    if (from[i] == '/') common = i + 1;
  }
  if (from[i] == '\0' && to[i] == '/') common = i + 1;
  if (from[i] == '/' && to[i] == '\0') common = i + 1;
  tsr_buffer out;
  tsr_buffer_init(&out);
  const char *rest = strlen(from) > common ? from + common : "";
  while (*rest != '\0') {
    tsr_buffer_append_string(&out, "../");
    rest += strcspn(rest, "/");
    if (*rest == '/') ++rest;
  }
  if (strlen(to) > common) tsr_buffer_append_string(&out, to + common);
  char *text = out.failed ? NULL : tsr_strdup(tsr_buffer_text(&out));
  tsr_buffer_fini(&out);
  return text;
}

static tsr_status resolve(const char *path, char out[PATH_MAX],
                          tsr_error *error) {
  if (realpath(path, out) != NULL) return TSR_OK;
  if (errno == ENOENT) {  // as tsr_map_open sees it: the input is wrong
    return tsr_error_set(error, TSR_NOT_FOUND, "%s: %s", path, strerror(errno));
  }
  return tsr_error_set_errno(error, errno, "%s", path);
}

static bool is_weights(const char *name) {
  static const char suffix[] = ".safetensors";
  size_t size = strlen(name);
  return size > sizeof(suffix) - 1 && name[0] != '.' &&
         strcmp(name + size - (sizeof(suffix) - 1), suffix) == 0;
}

// The only *.safetensors in |directory|; "" when there is none or more.
static tsr_status find_only(const char *directory, char out[NAME_MAX + 1],
                            tsr_error *error) {
  int count = 0;
  DIR *stream = opendir(directory);
  out[0] = '\0';
  if (stream == NULL) return tsr_error_set_errno(error, errno, "%s", directory);
  for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
    if (!is_weights(entry->d_name)) continue;
    if (++count == 1) (void)snprintf(out, NAME_MAX + 1, "%s", entry->d_name);
  }
  closedir(stream);
  if (count != 1) out[0] = '\0';
  return TSR_OK;
}

static bool holds(const char *directory, const char *name) {
  char *path = tsr_path_join(directory, name);
  bool exists = path != NULL && tsr_path_exists(path);
  tsr_free(path);
  return exists;
}

static tsr_status find_weights(const char *directory, char out[NAME_MAX + 1],
                               tsr_error *error) {
  static const char *const usual[] = {"model.safetensors.index.json",
                                      "model.safetensors"};
  for (int i = 0; i < 2; ++i) {
    if (!holds(directory, usual[i])) continue;
    (void)snprintf(out, NAME_MAX + 1, "%s", usual[i]);
    return TSR_OK;
  }
  tsr_status status = find_only(directory, out, error);
  if (status != TSR_OK || out[0] != '\0') return status;
  return tsr_error_set(error, TSR_NOT_FOUND,
                       "%s: no model.safetensors, no "
                       "model.safetensors.index.json and not exactly one "
                       "other *.safetensors",
                       directory);
}

// ---------------------------------------------------------------------------
// One run

typedef struct job {
  const char *directory;       // as given
  char root[PATH_MAX];         // the same, resolved
  char place[PATH_MAX];        // folder of the plan, resolved
  char weights[NAME_MAX + 1];  // in root
  char name[129];              // of the model
  char *weights_path;          // from place; owned
  char *masks_path;            // likewise
  tsr_mask_format masks_format;
  tsr_checkpoint *checkpoint;
  tsr_map config;
} job;

static bool find_tensor(void *context, const char *name, uint64_t *out_rows,
                        uint64_t *out_columns) {
  const tsr_checkpoint *checkpoint = context;
  const tsr_tensor *tensor = tsr_checkpoint_find(checkpoint, name);
  if (tensor == NULL) return false;
  bool known = tensor->rank == 1 || tensor->rank == 2;
  *out_rows = known ? tensor->shape[0] : 0;
  *out_columns = tensor->rank == 2 ? tensor->shape[1] : known;
  return true;
}

// The folder's name, with what a model's name cannot hold made '-'.
static void name_model(job *j) {
  const char *base = strrchr(j->root, '/');
  base = base == NULL ? j->root : base + 1;
  size_t size = 0;
  for (; base[size] != '\0' && size < sizeof(j->name) - 1; ++size) {
    char c = base[size];
    bool legal = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                 (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    j->name[size] = legal ? c : '-';
  }
  j->name[size] = '\0';
  if (size == 0) (void)snprintf(j->name, sizeof(j->name), "model");
}

static char *place_file(const job *j, const char *name) {
  char *full = tsr_path_join(j->root, name);
  char *path = full == NULL ? NULL : relative_path(j->place, full);
  tsr_free(full);
  return path;
}

static bool is_maskllm(const char *path) {
  const char *slash = strrchr(path, '/');
  return strcmp(slash == NULL ? path : slash + 1, "mask_compressed.npz") == 0;
}

// Masks that the user names: the file may be missing, its folder not.
static tsr_status take_masks(job *j, const char *path, tsr_error *error) {
  const char *slash = strrchr(path, '/');
  const char *name = slash == NULL ? path : slash + 1;
  char resolved[PATH_MAX] = "";
  char *folder = tsr_path_directory(path);
  tsr_status status = folder == NULL ? tsr_error_out_of_memory(error)
                                     : resolve(folder, resolved, error);
  tsr_free(folder);
  if (status != TSR_OK) return status;
  char *full = tsr_path_join(resolved, name);
  j->masks_path = full == NULL ? NULL : relative_path(j->place, full);
  tsr_free(full);
  j->masks_format = is_maskllm(path) ? TSR_MASK_MASKLLM : TSR_MASK_PATCH;
  return j->masks_path == NULL ? tsr_error_out_of_memory(error) : TSR_OK;
}

static tsr_status find_masks(job *j, tsr_error *error) {
  const char *name = "mask.npz";
  j->masks_format = TSR_MASK_NONE;
  if (holds(j->root, name)) {
    j->masks_format = TSR_MASK_PATCH;
  } else if (holds(j->root, "mask_compressed.npz")) {
    j->masks_format = TSR_MASK_MASKLLM;
    name = "mask_compressed.npz";
  }
  // Masks to come are made beside the plan.
  j->masks_path =
      j->masks_format == TSR_MASK_NONE ? tsr_strdup(name) : place_file(j, name);
  return j->masks_path == NULL ? tsr_error_out_of_memory(error) : TSR_OK;
}

static tsr_status open_config(job *j, tsr_error *error) {
  char *path = tsr_path_join(j->directory, "config.json");
  tsr_status status = path == NULL ? tsr_error_out_of_memory(error)
                                   : tsr_map_open(path, &j->config, error);
  tsr_free(path);
  return status;
}

static tsr_status open_weights(job *j, tsr_error *error) {
  tsr_status status = find_weights(j->directory, j->weights, error);
  if (status != TSR_OK) return status;
  char *path = tsr_path_join(j->directory, j->weights);
  status = path == NULL ? tsr_error_out_of_memory(error)
                        : tsr_checkpoint_open(path, &j->checkpoint, error);
  tsr_free(path);
  return status;
}

static tsr_status open_folder(job *j, const char *output, const char *masks,
                              tsr_error *error) {
  bool standard = strcmp(output, "-") == 0;
  char *place = standard ? tsr_strdup(".") : tsr_path_directory(output);
  if (place == NULL) return tsr_error_out_of_memory(error);
  tsr_status status = resolve(j->directory, j->root, error);
  if (status == TSR_OK) status = resolve(place, j->place, error);
  tsr_free(place);
  if (status == TSR_OK) status = open_config(j, error);
  if (status == TSR_OK) status = open_weights(j, error);
  if (status == TSR_OK) {
    name_model(j);
    j->weights_path = place_file(j, j->weights);
    if (j->weights_path == NULL) status = tsr_error_out_of_memory(error);
  }
  if (status != TSR_OK) return status;
  return masks == NULL ? find_masks(j, error) : take_masks(j, masks, error);
}

static void close_folder(job *j) {
  tsr_checkpoint_close(j->checkpoint);
  tsr_map_close(&j->config);
  tsr_free(j->weights_path);
  tsr_free(j->masks_path);
}

// What is written has been through the front end: it parses, checks, and is in
// canonical form.
static tsr_status canonical_plan(const tsr_cli *cli, const job *j,
                                 const char *output, const tsr_buffer *draft,
                                 tsr_buffer *out, tsr_error *error) {
  tsr_compilation *compilation = tsr_compilation_create();
  tsr_ast *ast = NULL;
  tsr_plan *plan = NULL;
  if (compilation == NULL) return tsr_error_out_of_memory(error);
  tsr_status status =
      tsr_parse_text(compilation, output, j->place, tsr_buffer_text(draft),
                     draft->size, &ast, error);
  if (status == TSR_OK && ast != NULL) {
    status = tsr_check(compilation, ast, &plan, error);
  }
  if (status == TSR_OK && plan == NULL) {
    (void)tsr_cli_report(cli, compilation);
    status = tsr_error_set(error, TSR_INTERNAL,
                           "the plan that init wrote is not correct");
  }
  if (status == TSR_OK) {
    tsr_ast_format(ast, out);
    status = tsr_buffer_status(out, error);
  }
  tsr_compilation_destroy(compilation);
  return status;
}

static tsr_status write_out(const tsr_cli *cli, const char *output,
                            const tsr_buffer *text, tsr_error *error) {
  if (strcmp(output, "-") != 0) {
    return tsr_file_write(output, text->data, text->size, error);
  }
  if (fwrite(text->data, 1, text->size, cli->out) != text->size) {
    return tsr_error_set_errno(error, errno, "standard output");
  }
  return TSR_OK;
}

static const char *const target_names[] = {
    "host",  "cuda",   "sm_80",  "sm_86",  "sm_89",
    "sm_90", "sm_90a", "sm_100", "sm_120", NULL};

// What --target asks for, as statements, in the order given, once each.
static void write_targets(const tsr_cli *cli, tsr_buffer *out) {
  uint32_t count = (uint32_t)tsr_cli_count(cli, "target");
  if (count == 0) tsr_buffer_append_string(out, "target host;\n");
  for (uint32_t i = 0; i < count; ++i) {
    const char *name = tsr_cli_string_at(cli, "target", i);
    bool again = false;
    for (uint32_t k = 0; k < i && !again; ++k) {
      again = strcmp(tsr_cli_string_at(cli, "target", k), name) == 0;
    }
    if (again) continue;
    tsr_buffer_printf(out, "target %s%s;\n",
                      strncmp(name, "sm_", 3) == 0 ? "cuda " : "", name);
  }
}

// What config.json and the checkpoint say, as a plan not yet in canonical form.
static tsr_status draft_plan(const tsr_cli *cli, const job *j,
                             tsr_buffer *out_draft, tsr_error *error) {
  tsr_buffer targets;
  tsr_buffer_init(&targets);
  write_targets(cli, &targets);
  tsr_status status = tsr_buffer_status(&targets, error);
  if (status == TSR_OK) {
    tsr_hf_model model = {.config = (const char *)j->config.data,
                          .config_size = j->config.size,
                          .name = j->name,
                          .weights_path = j->weights_path,
                          .masks_format = j->masks_format,
                          .masks_path = j->masks_path,
                          .targets = tsr_buffer_text(&targets),
                          .find = find_tensor,
                          .context = j->checkpoint};
    status = tsr_hf_write_plan(&model, out_draft, error);
    if (status != TSR_OK) tsr_error_prefix(error, "%s", j->directory);
  }
  tsr_buffer_fini(&targets);
  return status;
}

static tsr_status init(const tsr_cli *cli, job *j, const char *output,
                       tsr_error *error) {
  tsr_buffer draft;
  tsr_buffer text;
  tsr_buffer_init(&draft);
  tsr_buffer_init(&text);
  tsr_status status =
      open_folder(j, output, tsr_cli_string(cli, "masks"), error);
  if (status == TSR_OK) status = draft_plan(cli, j, &draft, error);
  if (status == TSR_OK) {
    status = canonical_plan(cli, j, output, &draft, &text, error);
  }
  if (status == TSR_OK) status = write_out(cli, output, &text, error);
  tsr_buffer_fini(&draft);
  tsr_buffer_fini(&text);
  return status;
}

static int run(tsr_cli *cli) {
  job j = {.directory = tsr_cli_string(cli, "from-hf")};
  tsr_error error = {0};
  const char *output = tsr_cli_string(cli, "output");
  bool standard = strcmp(output, "-") == 0;
  if (!standard && tsr_path_exists(output) && !tsr_cli_given(cli, "force")) {
    tsr_cli_error(cli, "%s exists; give --force to replace it", output);
    return TSR_EXIT_FAILURE;
  }
  tsr_status status = init(cli, &j, output, &error);
  close_folder(&j);
  if (status != TSR_OK) return tsr_cli_fail(cli, &error);
  if (!standard) tsr_cli_note(cli, "wrote %s", output);
  return TSR_EXIT_OK;
}

static const tsr_option options[] = {
    {.name = "from-hf",
     .type = TSR_OPTION_DIRECTORY,
     .value = "DIR",
     .help = "the folder with config.json and *.safetensors",
     .required = true},
    {.name = "output",
     .letters = "o",
     .type = TSR_OPTION_FILE,
     .value = "FILE",
     .help = "write the plan to FILE; - is standard output",
     .default_text = "model.tess"},
    {.name = "masks",
     .type = TSR_OPTION_FILE,
     .value = "MASKS",
     .help = "name these masks in the plan, there already or still to be made, "
             "instead of those in DIR"},
    {.name = "target",
     .type = TSR_OPTION_CHOICE,
     .value = "TARGET",
     .choices = target_names,
     .help = "name this target in the plan instead of host; may be given "
             "several times",
     .repeatable = true},
    {.name = "force", .letters = "f", .help = "replace the file if it exists"},
    {0}};

static const tsr_example examples[] = {
    {"tesserac init --from-hf Llama-3.2-1B -o llama.tess",
     "q, k, v in one layer, gate and up in one, for all blocks"},
    {"tesserac init --from-hf . --masks mask.npz && tesserac mask model.tess "
     "-o mask.npz --sparsity 0.45",
     "a plan, and the masks that it names"},
    {"tesserac init --from-hf . --target host --target sm_80",
     "for the CPU and an A100"},
    {0}};

const tsr_command tsr_command_init = {
    .name = "init",
    .summary = "write a starting plan for a model",
    .description =
        "Reads config.json and the names and shapes of the tensors in a "
        "Hugging Face folder and writes a plan for all linear layers of its "
        "blocks: q, k, v concatenated, gate and up interleaved, biases and "
        "activations fused. A mask.npz or mask_compressed.npz in the folder "
        "is named, or --masks; otherwise the line for masks is a comment. "
        "Paths in the "
        "plan are relative to the plan.\n\n"
        "Known architectures: llama, mistral, qwen2 (2.5), qwen3, gemma, "
        "gemma2, gemma3, bert, roberta, xlm-roberta, camembert, electra.",
    .options = options,
    .examples = examples,
    .run = run,
};

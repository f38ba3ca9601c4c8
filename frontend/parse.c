// SPDX-License-Identifier: Apache-2.0
// The entry: reads a plan and what it includes. Problems of the root file are
// the caller's (a status); problems of an included file are the plan's
// (diagnostics at the include statement).
#include "frontend/parse.h"

#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "frontend/literal.h"

typedef struct parse_job {
  tsr_compilation *compilation;
  uint32_t root;   // source; a compilation may parse several plans
  uint32_t depth;  // of includes
  tsr_error *error;
} parse_job;

// Text that no scanner need see: binary files, other encodings. The first
// oddity is reported (UTF-16 begins with one that is no zero byte).
static bool text_is_sane(tsr_diags *diags, const tsr_source *source,
                         uint32_t index) {
  const char *nul =
      source->size == 0 ? NULL : memchr(source->text, '\0', source->size);
  uint32_t zero = nul == NULL ? source->size : (uint32_t)(nul - source->text);
  uint32_t bad = (uint32_t)tsr_utf8_find_invalid(source->text, source->size);
  uint32_t at = zero < bad ? zero : bad;
  tsr_span span = {index, at, at + 1};
  if (at == source->size) return true;
  if (zero < bad) {
    tsr_diag_report(diags, TSR_DIAG_NUL_BYTE, span,
                    "zero byte at offset %u: this is not a text", at);
  } else {
    tsr_diag_report(diags, TSR_DIAG_BAD_UTF8, span,
                    "byte 0x%02x at offset %u is not UTF-8",
                    (unsigned)(unsigned char)source->text[at], at);
  }
  return false;
}

static tsr_ast *ast_new(tsr_compilation *compilation, uint32_t index) {
  tsr_ast *ast = tsr_arena_alloc(&compilation->arena, sizeof(*ast));
  tsr_node *root = tsr_arena_alloc(&compilation->arena, sizeof(*root));
  if (ast == NULL || root == NULL) return NULL;
  root->kind = TSR_NODE_ROOT;
  root->span = (tsr_span){index, 0, 0};
  ast->compilation = compilation;
  ast->source = index;
  ast->root = root;
  return ast;
}

static tsr_status parse_source(parse_job *job, uint32_t index,
                               tsr_ast **out_ast);

// "directory/name", or |name| when it is absolute or |directory| is empty.
static const char *join(tsr_arena *arena, const char *directory,
                        const char *name) {
  if (name[0] == '/' || directory[0] == '\0') {
    return tsr_arena_strndup(arena, name, strlen(name));
  }
  size_t size = strlen(directory);
  const char *slash = directory[size - 1] == '/' ? "" : "/";
  return tsr_arena_printf(arena, "%s%s%s", directory, slash, name);
}

// The part of |path| before the last '/'; |none| when there is none.
static const char *directory_of(tsr_arena *arena, const char *path,
                                const char *none) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL) return none;
  size_t size = (size_t)(slash - path);
  return tsr_arena_strndup(arena, path, size == 0 ? 1 : size);
}

static bool same_file(const tsr_source *source, const tsr_source_data *data) {
  return data->inode != 0 && source->inode == data->inode &&
         source->device == data->device;
}

static bool is_open(const tsr_sources *sources, const tsr_source_data *data,
                    uint32_t from) {
  for (uint32_t i = from; i != UINT32_MAX; i = sources->items[i]->parent) {
    if (same_file(sources->items[i], data)) return true;
  }
  return false;
}

// Reports a file that is here already. False when it is new.
static bool is_repeated(const parse_job *job, const tsr_source_data *data,
                        uint32_t parent, const char *path, tsr_span span) {
  tsr_compilation *compilation = job->compilation;
  const tsr_sources *sources = &compilation->sources;
  if (is_open(sources, data, parent)) {
    tsr_diag_report(compilation->diags, TSR_DIAG_INCLUDE_CYCLE, span,
                    "%s includes itself", path);
    return true;
  }
  for (uint32_t i = job->root; i < sources->count; ++i) {
    if (!same_file(sources->items[i], data)) continue;
    tsr_diag_report(compilation->diags, TSR_DIAG_INCLUDED_TWICE, span,
                    "%s is included twice", path);
    tsr_diag_note(compilation->diags, sources->items[i]->included,
                  "first included here");
    return true;
  }
  return false;
}

static void report_unreadable(tsr_diags *diags, tsr_span span,
                              const tsr_error *error) {
  tsr_diag_code code = error->status == TSR_UNSUPPORTED
                           ? TSR_DIAG_SOURCE_TOO_LARGE
                           : TSR_DIAG_INCLUDE_UNREADABLE;
  tsr_diag_report(diags, code, span, "%s", error->message);
}

// Opens what |path| names, relative to source |parent|. |*out_index| is
// UINT32_MAX when a mistake was reported.
static tsr_status open_include(parse_job *job, uint32_t parent,
                               const char *path, tsr_span span,
                               uint32_t *out_index) {
  tsr_sources *sources = &job->compilation->sources;
  tsr_arena *arena = &job->compilation->arena;
  tsr_diags *diags = job->compilation->diags;
  const tsr_source *from = sources->items[parent];
  *out_index = UINT32_MAX;
  const char *base = strcmp(from->directory, ".") == 0 ? "" : from->directory;
  const char *full = join(arena, base, path);
  const char *seen = join(arena, from->prefix, path);
  if (full == NULL || seen == NULL) return tsr_error_out_of_memory(job->error);
  tsr_source_data data;
  tsr_error problem = {0};
  tsr_status status = tsr_source_read_file(arena, full, &data, &problem);
  if (status == TSR_OUT_OF_MEMORY) return tsr_error_out_of_memory(job->error);
  if (status != TSR_OK) {
    report_unreadable(diags, span, &problem);
    return TSR_OK;
  }
  if (is_repeated(job, &data, parent, full, span)) return TSR_OK;
  tsr_source *source = tsr_sources_add(sources, full, &data, out_index);
  if (source == NULL) return tsr_error_out_of_memory(job->error);
  source->parent = parent;
  source->included = span;
  source->directory = directory_of(arena, full, ".");
  source->prefix = directory_of(arena, seen, "");
  bool whole = source->directory != NULL && source->prefix != NULL;
  return whole ? TSR_OK : tsr_error_out_of_memory(job->error);
}

static tsr_status include(parse_job *job, uint32_t parent, tsr_node *node) {
  tsr_compilation *compilation = job->compilation;
  tsr_span span = node->first->span;
  if (job->depth == TSR_INCLUDE_DEPTH_MAX ||
      compilation->sources.count == TSR_SOURCE_COUNT_MAX) {
    tsr_diag_report(compilation->diags, TSR_DIAG_INCLUDE_LIMIT, span,
                    job->depth == TSR_INCLUDE_DEPTH_MAX
                        ? "includes nested too deep"
                        : "too many included files");
    return TSR_OK;
  }
  const char *path;
  bool good;
  if (!tsr_literal_plain(compilation, node->first, &path, &good)) {
    return tsr_error_out_of_memory(job->error);
  }
  if (!good) return TSR_OK;
  uint32_t index;
  tsr_status status = open_include(job, parent, path, span, &index);
  if (status != TSR_OK || index == UINT32_MAX) return status;
  ++job->depth;
  status = parse_source(job, index, &node->included);
  --job->depth;
  return status;
}

static tsr_status parse_source(parse_job *job, uint32_t index,
                               tsr_ast **out_ast) {
  tsr_compilation *compilation = job->compilation;
  tsr_ast *ast = ast_new(compilation, index);
  *out_ast = ast;
  if (ast == NULL) return tsr_error_out_of_memory(job->error);
  const tsr_source *source = tsr_sources_get(&compilation->sources, index);
  if (!text_is_sane(compilation->diags, source, index)) return TSR_OK;
  tsr_parser parser = {0};
  parser.compilation = compilation;
  parser.source = source;
  parser.source_index = index;
  tsr_status status = tsr_parse_run(&parser, job->error);
  if (status != TSR_OK) return status;
  if (parser.root != NULL) ast->root = parser.root;
  ast->tokens = parser.tokens;
  ast->token_count = parser.token_count;
  for (tsr_node *node = ast->root->body; node != NULL; node = node->next) {
    if (node->kind != TSR_NODE_INCLUDE) continue;
    status = include(job, index, node);
    if (status != TSR_OK) return status;
  }
  return TSR_OK;
}

// Registers the root file; |path| "-" is printed as "<stdin>".
static tsr_status add_root(tsr_compilation *compilation, const char *path,
                           const char *directory, const tsr_source_data *data,
                           uint32_t *out_index, tsr_error *error) {
  const char *kept = tsr_arena_strndup(&compilation->arena, path, strlen(path));
  if (kept == NULL || directory == NULL) return tsr_error_out_of_memory(error);
  tsr_source *source =
      tsr_sources_add(&compilation->sources, kept, data, out_index);
  if (source == NULL) return tsr_error_out_of_memory(error);
  source->directory = directory;
  return TSR_OK;
}

static tsr_status open_root(tsr_compilation *compilation, const char *path,
                            uint32_t *out_index, tsr_error *error) {
  tsr_source_data data;
  tsr_status status = tsr_source_read(&compilation->arena, path, &data, error);
  if (status != TSR_OK) return status;
  const char *directory = directory_of(&compilation->arena, path, ".");
  if (strcmp(path, "-") == 0) path = "<stdin>";
  return add_root(compilation, path, directory, &data, out_index, error);
}

tsr_status tsr_parse_file(tsr_compilation *compilation, const char *path,
                          tsr_ast **out_ast, tsr_error *error) {
  *out_ast = NULL;
  uint32_t index;
  tsr_status status = open_root(compilation, path, &index, error);
  if (status != TSR_OK) return status;
  parse_job job = {compilation, index, 0, error};
  return parse_source(&job, index, out_ast);
}

tsr_status tsr_parse_text(tsr_compilation *compilation, const char *name,
                          const char *directory, const char *text, size_t size,
                          tsr_ast **out_ast, tsr_error *error) {
  *out_ast = NULL;
  if (size > TSR_SOURCE_SIZE_MAX) {
    return tsr_error_set(error, TSR_UNSUPPORTED, "%s: a plan may have 64 MiB",
                         name);
  }
  tsr_source_data data = {0};
  data.text = tsr_arena_strndup(&compilation->arena, text, size);
  if (data.text == NULL) return tsr_error_out_of_memory(error);
  data.size = size;
  const char *kept =
      tsr_arena_strndup(&compilation->arena, directory, strlen(directory));
  uint32_t index;
  tsr_status status = add_root(compilation, name, kept, &data, &index, error);
  if (status != TSR_OK) return status;
  parse_job job = {compilation, index, 0, error};
  return parse_source(&job, index, out_ast);
}

tsr_status tsr_parser_open(tsr_compilation *compilation, const char *path,
                           tsr_parser *out_parser, tsr_error *error) {
  memset(out_parser, 0, sizeof(*out_parser));
  uint32_t index;
  tsr_status status = open_root(compilation, path, &index, error);
  if (status != TSR_OK) return status;
  const tsr_source *source = tsr_sources_get(&compilation->sources, index);
  if (!text_is_sane(compilation->diags, source, index)) return TSR_OK;
  out_parser->compilation = compilation;
  out_parser->source = source;
  out_parser->source_index = index;
  return TSR_OK;
}

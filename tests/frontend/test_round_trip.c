// SPDX-License-Identifier: Apache-2.0
// Properties of the canonical form, over every plan of this suite that parses
// (good and bad ones), and over copies of them with their white space and line
// ends disturbed:
//  - format(text) parses to the same tree as text (places aside);
//  - format(format(text)) == format(text);
//  - every comment is kept, in order;
//  - flattening gives a plan that means the same.
#include <dirent.h>
#include <stdlib.h>

#include "frontend/ast.h"
#include "frontend/parse.h"
#include "test.h"

static bool same_tree(const tsr_node *a, const tsr_node *b);

static bool same_list(const tsr_node *a, const tsr_node *b) {
  while (a != NULL && b != NULL) {
    if (!same_tree(a, b)) return false;
    a = a->next;
    b = b->next;
  }
  return a == b;
}

static bool same_tree(const tsr_node *a, const tsr_node *b) {
  return a->kind == b->kind && a->text.size == b->text.size &&
         (a->text.size == 0 ||
          memcmp(a->text.data, b->text.data, a->text.size) == 0) &&
         a->number == b->number && a->second == b->second &&
         same_list(a->first, b->first) && same_list(a->body, b->body);
}

static tsr_ast *parse(tsr_compilation *compilation, const char *directory,
                      const char *text, size_t size) {
  tsr_ast *ast = NULL;
  tsr_error error = {0};
  tsr_status status = tsr_parse_text(compilation, "plan.tess", directory, text,
                                     size, &ast, &error);
  CHECK_EQ(status, TSR_OK);
  return ast;
}

// Comments, without the blanks at their ends, one per line.
static void comments_of(const tsr_ast *ast, tsr_buffer *out) {
  const tsr_source *source =
      tsr_sources_get(&ast->compilation->sources, ast->source);
  for (uint32_t i = 0; i < ast->token_count; ++i) {
    tsr_span span = ast->tokens[i].span;
    if (ast->tokens[i].kind != TSR_TOKEN_COMMENT) continue;
    tsr_buffer_append(out, source->text + span.begin, span.end - span.begin);
    tsr_buffer_append_char(out, '\n');
  }
}

static void check_comments(const tsr_ast *a, const tsr_ast *b) {
  tsr_buffer left;
  tsr_buffer right;
  tsr_buffer_init(&left);
  tsr_buffer_init(&right);
  comments_of(a, &left);
  comments_of(b, &right);
  CHECK_STR(tsr_buffer_text(&right), tsr_buffer_text(&left));
  tsr_buffer_fini(&left);
  tsr_buffer_fini(&right);
}

// True when the text parsed without a mistake, so that there was something to
// check.
static bool check_text(const char *directory, const char *text, size_t size) {
  tsr_compilation *compilation = tsr_compilation_create();
  tsr_diags *diags = tsr_compilation_diags(compilation);
  tsr_ast *ast = parse(compilation, directory, text, size);
  bool good = tsr_diag_error_count(diags) == 0;
  tsr_buffer once;
  tsr_buffer twice;
  tsr_buffer_init(&once);
  tsr_buffer_init(&twice);
  if (good) {
    tsr_ast_format(ast, &once);
    tsr_ast *again =
        parse(compilation, directory, tsr_buffer_text(&once), once.size);
    CHECK_EQ(tsr_diag_error_count(diags), 0);
    CHECK(same_tree(ast->root, again->root));
    check_comments(ast, again);
    tsr_ast_format(again, &twice);
    CHECK_STR(tsr_buffer_text(&twice), tsr_buffer_text(&once));
  }
  tsr_buffer_fini(&once);
  tsr_buffer_fini(&twice);
  tsr_compilation_destroy(compilation);
  return good;
}

static uint32_t next_random(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 16;
}

// Replaces white space between tokens by other white space, comments aside.
static void disturb(const tsr_buffer *in, uint32_t seed, tsr_buffer *out) {
  static const char *const gaps[] = {" ", "\n", "\t", "\r\n", "\n\n\n", "  "};
  bool in_string = false;
  bool in_comment = false;
  for (size_t i = 0; i < in->size; ++i) {
    char c = in->data[i];
    if (c == '"' && !in_comment && (i == 0 || in->data[i - 1] != '\\')) {
      in_string = !in_string;
    }
    if (c == '#' && !in_string) in_comment = true;
    if (c == '\n') in_comment = false;
    bool blank = !in_string && !in_comment && (c == ' ' || c == '\n');
    // The end of a comment must stay one.
    bool keep = c == '\n' && next_random(&seed) % 2 == 0;
    if (blank && c == ' ') {
      tsr_buffer_append_string(out, gaps[next_random(&seed) % 6]);
    } else {
      tsr_buffer_append_char(out, c);
      if (blank && !keep) tsr_buffer_append_string(out, "\n  ");
    }
  }
}

static void read_file(const char *path, tsr_buffer *out) {
  FILE *file = fopen(path, "rb");
  CHECK(file != NULL);
  if (file == NULL) return;
  char block[4096];
  for (size_t got; (got = fread(block, 1, sizeof(block), file)) != 0;) {
    tsr_buffer_append(out, block, got);
  }
  fclose(file);
}

static void dump_plan(const char *directory, const char *text, size_t size,
                      tsr_buffer *out) {
  tsr_compilation *compilation = tsr_compilation_create();
  tsr_ast *ast = parse(compilation, directory, text, size);
  tsr_plan *plan = NULL;
  tsr_error error = {0};
  CHECK_EQ(tsr_check(compilation, ast, &plan, &error), TSR_OK);
  if (plan != NULL) tsr_plan_dump(plan, out);
  tsr_compilation_destroy(compilation);
}

static void check_flatten(const char *directory, const tsr_buffer *text) {
  tsr_compilation *compilation = tsr_compilation_create();
  tsr_ast *ast = parse(compilation, directory, text->data, text->size);
  tsr_buffer flat;
  tsr_buffer before;
  tsr_buffer after;
  tsr_buffer_init(&flat);
  tsr_buffer_init(&before);
  tsr_buffer_init(&after);
  tsr_ast_flatten(ast, &flat);
  tsr_compilation_destroy(compilation);
  CHECK(strstr(tsr_buffer_text(&flat), "include \"") == NULL);
  dump_plan(directory, text->data, text->size, &before);
  dump_plan(directory, tsr_buffer_text(&flat), flat.size, &after);
  CHECK_STR(tsr_buffer_text(&after), tsr_buffer_text(&before));
  tsr_buffer_fini(&flat);
  tsr_buffer_fini(&before);
  tsr_buffer_fini(&after);
}

static int check_file(const char *directory, const char *name, bool good) {
  char path[1024];
  (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
  tsr_buffer text;
  tsr_buffer_init(&text);
  read_file(path, &text);
  int checked = check_text(directory, tsr_buffer_text(&text), text.size);
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    tsr_buffer other;
    tsr_buffer_init(&other);
    disturb(&text, seed, &other);
    checked += check_text(directory, tsr_buffer_text(&other), other.size);
    tsr_buffer_fini(&other);
  }
  if (good) check_flatten(directory, &text);
  tsr_buffer_fini(&text);
  return checked;
}

static int check_directory(const char *directory, bool good) {
  DIR *dir = opendir(directory);
  CHECK(dir != NULL);
  if (dir == NULL) return 0;
  int checked = 0;
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    size_t size = strlen(entry->d_name);
    if (size < 6 || strcmp(entry->d_name + size - 5, ".tess") != 0) continue;
    checked += check_file(directory, entry->d_name, good);
  }
  closedir(dir);
  return checked;
}

int main(void) {
  int good = check_directory(TEST_DIRECTORY "/golden", true);
  int bad = check_directory(TEST_DIRECTORY "/bad", false);
  printf("%d texts of golden/, %d of bad/\n", good, bad);
  CHECK(good > 100);
  CHECK(bad > 500);
  return test_finish();
}

// SPDX-License-Identifier: Apache-2.0
// Unit tests of what the golden files do not reach: places and widths, the
// list of reports (threads, order, limits, colour), glob and "did you mean",
// explain, and the entry points' failures.
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/suggest.h"
#include "base/utf8.h"
#include "frontend/compilation.h"
#include "frontend/sema.h"
#include "test.h"

static tsr_ast *parse(tsr_compilation *c, const char *text) {
  tsr_ast *ast = NULL;
  tsr_error error = {0};
  CHECK_EQ(tsr_parse_text(c, "t.tess", ".", text, strlen(text), &ast, &error),
           TSR_OK);
  return ast;
}

static void print(const tsr_compilation *c, tsr_diag_print_options options,
                  tsr_buffer *out) {
  tsr_buffer_init(out);
  tsr_diag_print(c->diags, &c->sources, &options, out);
}

static void test_locate(void) {
  tsr_compilation *c = tsr_compilation_create();
  parse(c, "ab\n\tc\xc3\xa9\xe6\xa8\xa1z\r\n\ne\xcc\x81x");
  const tsr_sources *s = tsr_compilation_sources(c);
  tsr_location at = tsr_source_locate(s, 0, 0);
  CHECK_EQ(at.line, 1);
  CHECK_EQ(at.column, 1);
  CHECK_STR(at.path, "t.tess");
  at = tsr_source_locate(s, 0, 4);  // after the tab
  CHECK_EQ(at.line, 2);
  CHECK_EQ(at.column, 9);
  at = tsr_source_locate(s, 0, 10);  // after c, e acute (1), a wide one (2)
  CHECK_EQ(at.column, 13);
  at = tsr_source_locate(s, 0, 13);
  CHECK_EQ(at.line, 3);
  CHECK_EQ(at.column, 1);
  at = tsr_source_locate(s, 0, 17);  // e and its combining acute
  CHECK_EQ(at.line, 4);
  CHECK_EQ(at.column, 2);
  at = tsr_source_locate(s, 0, 9999);  // clamped
  CHECK_EQ(at.line, 4);
  CHECK_EQ(at.column, 3);
  at = tsr_source_locate(s, 7, 0);
  CHECK_EQ(at.line, 0);
  CHECK_EQ(tsr_sources_count(s), 1);
  tsr_compilation_destroy(c);
}

static void test_utf8(void) {
  uint32_t code;
  CHECK_EQ(tsr_utf8_decode("\xf0\x9f\x98\x80", 4, &code), 4);
  CHECK_EQ(code, 0x1f600);
  CHECK_EQ(tsr_utf8_decode("\xc0\x80", 2, &code), 0);          // overlong
  CHECK_EQ(tsr_utf8_decode("\xe0\x80\x80", 3, &code), 0);      // overlong
  CHECK_EQ(tsr_utf8_decode("\xed\xa0\x80", 3, &code), 0);      // surrogate
  CHECK_EQ(tsr_utf8_decode("\xf4\x90\x80\x80", 4, &code), 0);  // > U+10FFFF
  CHECK_EQ(tsr_utf8_decode("\xe2\x82", 2, &code), 0);          // cut off
  CHECK_EQ(tsr_utf8_find_invalid("a\xc3\xa9\xff", 4), 3);
  CHECK_EQ(tsr_utf8_find_invalid("", 0), 0);
  CHECK_EQ(tsr_utf8_advance("\t", 1, 3), 8);
  CHECK_EQ(tsr_utf8_advance("\t", 1, 8), 16);
}

static void test_glob(void) {
  CHECK(tsr_glob_match("*", ""));
  CHECK(tsr_glob_match("a*c", "abbc"));
  CHECK(tsr_glob_match("a*b*c", "a-b-b-c"));
  CHECK(!tsr_glob_match("a*b*c", "a-b-b"));
  CHECK(tsr_glob_match("?", "\xe6\xa8\xa1"));
  CHECK(!tsr_glob_match("?", ""));
  CHECK(!tsr_glob_match("??", "\xe6\xa8\xa1"));
  CHECK(tsr_glob_match("***a", "aaa"));
  CHECK(!tsr_glob_match("", "a"));
  CHECK(tsr_glob_match("encoder.*.qkv", "encoder.11.qkv"));
  CHECK(!tsr_glob_match("encoder.*.qkv", "encoder.11.qkv2"));
}

static void test_suggest(void) {
  static const char *const words[] = {"bf16", "f16", NULL, "gelu_erf",
                                      "weight"};
  CHECK_STR(tsr_suggest("wieght", 6, words, 5), "weight");
  CHECK_STR(tsr_suggest("gelu", 4, words, 5), "gelu_erf");
  CHECK_STR(tsr_suggest("fp16", 4, words, 5), "f16");
  CHECK(tsr_suggest("zzz", 3, words, 5) == NULL);
  CHECK(tsr_suggest("", 0, words, 5) == NULL);
  CHECK(tsr_suggest("f16", 3, NULL, 0) == NULL);
  char text[200];
  memset(text, 'x', sizeof(text));
  CHECK(tsr_suggest(text, sizeof(text), words, 5) == NULL);
}

static void test_explain(void) {
  tsr_buffer out;
  tsr_buffer_init(&out);
  CHECK(tsr_diag_explain("TSR-E115", &out));
  CHECK(strstr(tsr_buffer_text(&out), "TSR-E115: ") != NULL);
  CHECK(tsr_diag_explain("tsr-e115", &out));
  CHECK(tsr_diag_explain("e115", &out));
  CHECK(tsr_diag_explain("115", &out));
  CHECK(!tsr_diag_explain("TSR-E999", &out));
  CHECK(!tsr_diag_explain("", &out));
  CHECK(!tsr_diag_explain("-E115", &out));
  CHECK(!tsr_diag_explain("XSR-E115", &out));
  tsr_buffer_fini(&out);
}

// Codes are unique and their letter fits their severity.
static void test_codes(void) {
  for (int i = 0; i < TSR_DIAG_COUNT; ++i) {
    const char *name = tsr_diag_code_name((tsr_diag_code)i);
    bool is_error = tsr_diag_severity((tsr_diag_code)i) == TSR_SEVERITY_ERROR;
    CHECK_EQ(strlen(name), 8);
    CHECK(name[4] == (is_error ? 'E' : 'W'));
    for (int j = 0; j < i; ++j) {
      CHECK(strcmp(name, tsr_diag_code_name((tsr_diag_code)j)) != 0);
    }
  }
}

enum { THREADS = 4, REPORTS = 200 };

typedef struct reporter {
  tsr_diags *diags;
  uint32_t index;
} reporter;

static void *report_many(void *argument) {
  const reporter *r = argument;
  for (uint32_t i = 0; i < REPORTS; ++i) {
    uint32_t at = i * THREADS + r->index;
    tsr_span span = {0, at, at + 1};
    tsr_diag_report(r->diags, TSR_DIAG_TENSOR_NOT_FOUND, span, "report %u", at);
    tsr_diag_note(r->diags, span, "note %u", at);
  }
  return NULL;
}

// Text of a run in which |THREADS| threads report; owned by |out|.
static void run_threads(tsr_buffer *out) {
  tsr_compilation *c = tsr_compilation_create();
  char text[THREADS * REPORTS + 1];
  memset(text, '\n', sizeof(text) - 1);
  text[sizeof(text) - 1] = '\0';
  parse(c, text);
  pthread_t threads[THREADS];
  reporter reporters[THREADS];
  for (uint32_t i = 0; i < THREADS; ++i) {
    reporters[i] = (reporter){c->diags, i};
    CHECK_EQ(pthread_create(&threads[i], NULL, report_many, &reporters[i]), 0);
  }
  for (uint32_t i = 0; i < THREADS; ++i) (void)pthread_join(threads[i], NULL);
  CHECK_EQ(tsr_diag_error_count(c->diags), THREADS * REPORTS);
  print(c, (tsr_diag_print_options){false, false, 0}, out);
  tsr_compilation_destroy(c);
}

static void test_threads(void) {
  tsr_buffer first;
  tsr_buffer second;
  run_threads(&first);
  run_threads(&second);
  CHECK_STR(tsr_buffer_text(&second), tsr_buffer_text(&first));
  // Each note follows its own report.
  const char *at = tsr_buffer_text(&first);
  for (uint32_t i = 0; i < THREADS * REPORTS && at != NULL; ++i) {
    char wanted[64];
    (void)snprintf(wanted, sizeof(wanted), "error: report %u [", i);
    at = strstr(at, wanted);
    CHECK(at != NULL);
    (void)snprintf(wanted, sizeof(wanted), "note: note %u\n", i);
    if (at != NULL) at = strstr(at, wanted);
    CHECK(at != NULL);
  }
  tsr_buffer_fini(&first);
  tsr_buffer_fini(&second);
}

static void test_limit(void) {
  tsr_compilation *c = tsr_compilation_create();
  parse(c, "\n\n\n\n");
  for (uint32_t i = 0; i < 4; ++i) {
    tsr_diag_report(c->diags, TSR_DIAG_SYNTAX, (tsr_span){0, 3 - i, 4 - i},
                    "number %u", 3 - i);
  }
  tsr_diag_report(c->diags, TSR_DIAG_MATCH_UNUSED, TSR_SPAN_NONE, "no place");
  CHECK_EQ(tsr_diag_error_count(c->diags), 4);
  CHECK_EQ(tsr_diag_warning_count(c->diags), 1);
  tsr_buffer out;
  print(c, (tsr_diag_print_options){false, false, 2}, &out);
  CHECK_STR(tsr_buffer_text(&out),
            "t.tess:1:1: error: number 0 [TSR-E001]\n"
            "    1 | \n      | ^\n"
            "t.tess:2:1: error: number 1 [TSR-E001]\n"
            "    2 | \n      | ^\n"
            "warning: no place [TSR-W401]\n"
            "2 more errors not shown (--error-limit=2)\n");
  tsr_buffer_fini(&out);
  print(c, (tsr_diag_print_options){false, true, 1}, &out);
  CHECK_STR(tsr_buffer_text(&out),
            "[\n  {\"code\": \"TSR-E001\", \"severity\": \"error\", "
            "\"message\": \"number 0\", \"place\": {\"path\": \"t.tess\", "
            "\"begin\": {\"offset\": 0, \"line\": 1, \"column\": 1}, "
            "\"end\": {\"offset\": 1, \"line\": 2, \"column\": 1}}, "
            "\"repeats\": 0, \"notes\": []},\n"
            "  {\"code\": \"TSR-W401\", \"severity\": \"warning\", "
            "\"message\": \"no place\", \"place\": null, \"repeats\": 0, "
            "\"notes\": []}\n]\n");
  tsr_buffer_fini(&out);
  tsr_compilation_destroy(c);
}

static void test_color(void) {
  tsr_compilation *c = tsr_compilation_create();
  parse(c, "tile;");
  tsr_buffer out;
  print(c, (tsr_diag_print_options){true, false, 0}, &out);
  CHECK_STR(tsr_buffer_text(&out),
            "\033[1mt.tess:1:5: \033[1;31merror: \033[0munexpected ';', "
            "expected a shape (128x128) [TSR-E001]\n"
            "    1 | tile;\n      |     \033[1;31m^\033[0m\n");
  tsr_buffer_fini(&out);
  tsr_compilation_destroy(c);
}

static void test_kept_limit(void) {
  tsr_compilation *c = tsr_compilation_create();
  for (uint32_t i = 0; i < TSR_DIAG_KEPT_MAX + 5; ++i) {
    tsr_diag_report(c->diags, TSR_DIAG_SYNTAX, TSR_SPAN_NONE, "x");
    tsr_diag_note(c->diags, TSR_SPAN_NONE, "y");
  }
  CHECK_EQ(tsr_diag_error_count(c->diags), TSR_DIAG_KEPT_MAX + 5);
  tsr_buffer out;
  print(c, (tsr_diag_print_options){false, false, 1}, &out);
  CHECK(strstr(tsr_buffer_text(&out), "the list is incomplete") != NULL);
  tsr_buffer_fini(&out);
  tsr_compilation_destroy(c);
}

// A report that found no memory takes its notes with it.
static void test_dropped(void) {
  tsr_compilation *c = tsr_compilation_create();
  (void)tsr_memory_fail_at(1);  // the arena's first block
  tsr_diag_report(c->diags, TSR_DIAG_SYNTAX, TSR_SPAN_NONE, "lost");
  (void)tsr_memory_fail_at(0);
  tsr_diag_note(c->diags, TSR_SPAN_NONE, "lost too");
  tsr_diag_report(c->diags, TSR_DIAG_SYNTAX, TSR_SPAN_NONE, "kept");
  tsr_diag_note(c->diags, TSR_SPAN_NONE, "kept too");
  CHECK_EQ(tsr_diag_error_count(c->diags), 2);
  tsr_buffer out;
  print(c, (tsr_diag_print_options){false, false, 0}, &out);
  CHECK_STR(tsr_buffer_text(&out),
            "error: kept [TSR-E001]\n"
            "note: kept too\n"
            "the list is incomplete: too many reports or too little memory\n");
  tsr_buffer_fini(&out);
  tsr_compilation_destroy(c);
}

static void test_entry_failures(void) {
  tsr_compilation *c = tsr_compilation_create();
  tsr_ast *ast;
  tsr_error error = {0};
  CHECK_EQ(tsr_parse_file(c, "/nonexistent/x.tess", &ast, &error),
           TSR_NOT_FOUND);
  CHECK(ast == NULL);
  CHECK(strstr(error.message, "/nonexistent/x.tess") != NULL);
  error = (tsr_error){0};
  CHECK_EQ(tsr_parse_file(c, "/", &ast, &error), TSR_IO);
  error = (tsr_error){0};
  CHECK_EQ(tsr_parse_text(c, "t", ".", "", (size_t)64 * 1024 * 1024 + 1, &ast,
                          &error),
           TSR_UNSUPPORTED);
  tsr_compilation_destroy(c);
  tsr_compilation_destroy(NULL);
}

// Sparse files of 64 MiB and one byte more, as root and as include.
static void test_large_file(void) {
  char path[] = "/tmp/tsr-large-XXXXXX";
  int file = mkstemp(path);
  CHECK(file >= 0);
  CHECK_EQ(ftruncate(file, 64 * 1024 * 1024 + 1), 0);
  close(file);
  tsr_compilation *c = tsr_compilation_create();
  tsr_ast *ast;
  tsr_error error = {0};
  CHECK_EQ(tsr_parse_file(c, path, &ast, &error), TSR_UNSUPPORTED);
  CHECK(strstr(error.message, "64 MiB") != NULL);
  char text[128];
  (void)snprintf(text, sizeof(text), "include \"%s\";", path);
  parse(c, text);
  tsr_buffer out;
  print(c, (tsr_diag_print_options){false, false, 0}, &out);
  CHECK(strstr(tsr_buffer_text(&out), "[TSR-E013]") != NULL);
  tsr_buffer_fini(&out);
  tsr_compilation_destroy(c);
  unlink(path);
}

static void test_defaults(void) {
  tsr_compilation *c = tsr_compilation_create();
  tsr_ast *ast =
      parse(c, "weights \"w.safetensors\";layer \"0-a\"{weight \"x\";}");
  tsr_plan *plan;
  tsr_error error = {0};
  CHECK_EQ(tsr_check(c, ast, &plan, &error), TSR_OK);
  CHECK(plan != NULL);
  CHECK_STR(plan->name, "t");
  CHECK_STR(plan->directory, ".");
  CHECK_EQ(plan->target_count, 4);
  CHECK_EQ(plan->masks_count, 1);
  CHECK_EQ(plan->masks[0].format, TSR_MASK_NONE);
  const tsr_plan_layer *layer = &plan->layers[0];
  CHECK_STR(layer->symbol, "_0_a");
  CHECK_EQ(layer->tile.rows, 128);
  CHECK_EQ(layer->tile.columns, 128);
  CHECK_EQ(layer->weight_type, TSR_DTYPE_BF16);
  CHECK_EQ(layer->output_type, TSR_DTYPE_BF16);
  CHECK_EQ(layer->token_count, 3);
  CHECK_EQ(layer->tokens[2].last, UINT32_MAX);
  CHECK(layer->schedule.split_panels);
  CHECK_EQ(layer->schedule.workers, 0);
  CHECK(!layer->has_bias);
  CHECK_STR(layer->tensors[0].bias_name, "");
  tsr_compilation_destroy(c);
}

int main(void) {
  test_locate();
  test_utf8();
  test_glob();
  test_suggest();
  test_explain();
  test_codes();
  test_threads();
  test_limit();
  test_color();
  test_kept_limit();
  test_dropped();
  test_entry_failures();
  test_large_file();
  test_defaults();
  return test_finish();
}

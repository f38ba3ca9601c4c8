// SPDX-License-Identifier: Apache-2.0
// Parsing by table, numbers and widths, tables, tile maps.
#include <stdlib.h>

#include "base/memory.h"
#include "common/cli_internal.h"
#include "common/names.h"
#include "common/table.h"
#include "common/terminal.h"
#include "fixture_commands.h"
#include "tesserac/tile_map.h"
#include "test.h"

// ---- Parsing ----------------------------------------------------------------

typedef struct attempt {
  tsr_cli cli;
  int code;
  char *message;
  size_t message_size;
  char line[512];
  char *words[32];
} attempt;

// Parses |line|, cut at blanks.
static void parse(attempt *a, const char *line) {
  memset(a, 0, sizeof(*a));
  a->cli.tool = &fixture_tool;
  a->cli.command = &fixture_every;
  a->cli.out = stdout;
  a->cli.err = open_memstream(&a->message, &a->message_size);
  (void)snprintf(a->line, sizeof(a->line), "%s", line);
  int count = 0;
  char *state = NULL;
  for (char *word = strtok_r(a->line, " ", &state); word != NULL;
       word = strtok_r(NULL, " ", &state)) {
    a->words[count++] = word;
  }
  a->code = tsr_cli_parse(&a->cli, count, a->words);
  (void)fclose(a->cli.err);
}

static void drop(attempt *a) {
  tsr_cli_fini(&a->cli);
  free(a->message);
}

static void test_values(void) {
  attempt a;
  parse(&a,
        "-fo out plan -j4 --share=0.5 --name a --name=b --emit "
        "star,round --emit=square --tokens 1,16,512 -MD -MF x.d --trace "
        "more --shape star");
  CHECK_EQ(a.code, TSR_EXIT_OK);
  CHECK_STR(a.message, "");
  CHECK(tsr_cli_given(&a.cli, "flag"));
  CHECK(!tsr_cli_given(&a.cli, "left"));
  CHECK(tsr_cli_given(&a.cli, "dependencies"));
  CHECK_STR(tsr_cli_string(&a.cli, "dependency-file"), "x.d");
  CHECK_STR(tsr_cli_string(&a.cli, "output"), "out");
  CHECK_STR(tsr_cli_string(&a.cli, "trace"), "trace.json");
  CHECK_STR(tsr_cli_string(&a.cli, "shape"), "star");
  CHECK_EQ(tsr_cli_uint(&a.cli, "jobs"), 4);
  CHECK(tsr_cli_real(&a.cli, "share") == 0.5);
  CHECK_EQ(tsr_cli_count(&a.cli, "name"), 2);
  CHECK_STR(tsr_cli_string_at(&a.cli, "name", 1), "b");
  CHECK_EQ(tsr_cli_count(&a.cli, "emit"), 3);
  CHECK(tsr_cli_has(&a.cli, "emit", "square"));
  CHECK_EQ(tsr_cli_count(&a.cli, "tokens"), 3);
  CHECK_EQ(tsr_cli_uint_at(&a.cli, "tokens", 2), 512);
  CHECK_EQ(a.cli.positional_count, 2);
  CHECK_STR(a.cli.positionals[1], "more");
  drop(&a);
}

static void test_defaults(void) {
  attempt a;
  parse(&a, "--output=- -- -plan");
  CHECK_EQ(a.code, TSR_EXIT_OK);
  CHECK_STR(tsr_cli_string(&a.cli, "output"), "-");
  CHECK_STR(a.cli.positionals[0], "-plan");
  CHECK_EQ(tsr_cli_uint(&a.cli, "jobs"), 3);
  CHECK(!tsr_cli_given(&a.cli, "jobs"));
  CHECK(tsr_cli_real(&a.cli, "share") == 0.25);
  CHECK_EQ(tsr_cli_count(&a.cli, "tokens"), 2);
  CHECK_EQ(tsr_cli_uint_at(&a.cli, "tokens", 1), 16);
  CHECK_EQ(tsr_cli_uint_at(&a.cli, "tokens", 2), 0);
  CHECK_EQ(tsr_cli_count(&a.cli, "emit"), 0);
  CHECK(!tsr_cli_has(&a.cli, "emit", "star"));
  CHECK(tsr_cli_string(&a.cli, "folder") == NULL);
  CHECK_STR(tsr_cli_string(&a.cli, "color"), "auto");
  drop(&a);
}

// The last of several wins; --help excuses everything that is missing.
static void test_rules(void) {
  attempt a;
  parse(&a, "-o a -o b p -j 1 -j 2");
  CHECK_EQ(a.code, TSR_EXIT_OK);
  CHECK_STR(tsr_cli_string(&a.cli, "output"), "b");
  CHECK_EQ(tsr_cli_uint(&a.cli, "jobs"), 2);
  drop(&a);
  parse(&a, "--help");
  CHECK_EQ(a.code, TSR_EXIT_OK);
  drop(&a);
}

static void expect_error(const char *line, const char *message) {
  attempt a;
  char whole[512];
  parse(&a, line);
  (void)snprintf(whole, sizeof(whole),
                 "fixture every: %s\nTry 'fixture every --help'.\n", message);
  CHECK_EQ(a.code, TSR_EXIT_USAGE);
  CHECK_STR(a.message, whole);
  drop(&a);
}

static void test_errors(void) {
  expect_error("--outptu x",
               "unknown option '--outptu'; did you mean '--output'?");
  expect_error("--outptu=x",
               "unknown option '--outptu'; did you mean '--output'?");
  expect_error("--zzz", "unknown option '--zzz'");
  expect_error("-z", "unknown option '-z'");
  expect_error("-fz", "unknown option '-z'");
  expect_error("-MG", "unknown option '-MG'");
  expect_error("-o", "option '-o' needs a value: -o FILE");
  expect_error("--output", "option '--output' needs a value: --output FILE");
  expect_error("--output=", "option '--output' needs a path, not ''");
  expect_error("--flag=1", "option '--flag' takes no value");
  expect_error("-j x",
               "option '-j' needs a whole number from 1 to 64, not 'x'");
  expect_error("-j0", "option '-j' needs a whole number from 1 to 64, not '0'");
  expect_error("--jobs=65",
               "option '--jobs' needs a whole number from 1 to 64, not '65'");
  expect_error("--jobs=-1",
               "option '--jobs' needs a whole number from 1 to 64, not '-1'");
  expect_error("--jobs 99999999999999999999",
               "option '--jobs' needs a whole number from 1 to 64, not "
               "'99999999999999999999'");
  expect_error("--share 1.5",
               "option '--share' needs a number from 0 to 1, not '1.5'");
  expect_error("--share nan",
               "option '--share' needs a number from 0 to 1, not 'nan'");
  expect_error("--share 0,5",
               "option '--share' needs a number from 0 to 1, not '0,5'");
  expect_error("--share 0x1",
               "option '--share' needs a number from 0 to 1, not '0x1'");
  expect_error("--tokens 1,,2",
               "option '--tokens' needs a whole number, not ''");
  expect_error("--shape star,round",
               "option '--shape': unknown value 'star,round'; it can be round, "
               "square, star");
  expect_error("--emit star,rouns",
               "option '--emit': unknown value 'rouns'; did you mean 'round'?");
  expect_error("-o x", "PLAN is missing");
  expect_error("p", "option '--output FILE' is missing");
  expect_error("-o x a b c d", "unexpected argument 'd'");
  expect_error("-o x a --left --right",
               "options '--left' and '--right' exclude each other");
}

static void test_parse_out_of_memory(void) {
  for (uint64_t nth = 1; nth <= 3; ++nth) {
    attempt a;
    memset(&a, 0, sizeof(a));
    (void)tsr_memory_fail_at(nth);
    parse(&a, "-o a p -f -f -f -f -f -f -f -f -f -f -f -f -f -f -f -f");
    (void)tsr_memory_fail_at(0);
    CHECK_EQ(a.code, TSR_EXIT_FAILURE);
    CHECK_STR(a.message, "fixture: error: out of memory\n");
    drop(&a);
  }
}

// Every default must be a value that the option itself accepts.
static void test_table_is_sound(void) {
  for (const tsr_option *o = fixture_every.options; o->name != NULL; ++o) {
    CHECK(o->help != NULL);
    CHECK(!tsr_option_takes_value(o) || o->value != NULL);
  }
}

// ---- Texts ------------------------------------------------------------------

static void test_suggest(void) {
  static const char *const words[] = {"compile", "check", "explain", NULL};
  CHECK_STR(tsr_suggest_word("complie", words), "compile");
  CHECK_STR(tsr_suggest_word("chek", words), "check");
  CHECK(tsr_suggest_word("frobnicate", words) == NULL);
  CHECK(tsr_suggest_word("", words) == NULL);
}

static void test_widths(void) {
  CHECK_EQ(tsr_text_width("abc", 3), 3);
  CHECK_EQ(tsr_text_width("a\u0301", 3), 1);       // combining accent
  CHECK_EQ(tsr_text_width("\u5c64\u6570", 6), 4);  // wide
  CHECK_EQ(tsr_text_width("\xff\xfe", 2), 2);      // not UTF-8
  CHECK_EQ(tsr_text_fit("\u5c64\u6570", 6, 3), 3);
  CHECK_EQ(tsr_text_fit("abcdef", 6, 4), 4);
  CHECK_EQ(tsr_text_fit("a\u0301b", 4, 1), 3);
}

static void test_numbers(void) {
  CHECK_STR(tsr_format_bytes(0).text, "0 B");
  CHECK_STR(tsr_format_bytes(999).text, "999 B");
  CHECK_STR(tsr_format_bytes(1000).text, "1.00 kB");
  CHECK_STR(tsr_format_bytes(999499).text, "999 kB");
  CHECK_STR(tsr_format_bytes(999500).text, "1.00 MB");
  CHECK_STR(tsr_format_bytes(13476838400u).text, "13.5 GB");
  CHECK_STR(tsr_format_rate(38.24e9).text, "38.2 GB/s");
  CHECK_STR(tsr_format_seconds(0).text, "0.00 ns");
  CHECK_STR(tsr_format_seconds(12.34e-9).text, "12.3 ns");
  CHECK_STR(tsr_format_seconds(999.9e-6).text, "1.00 ms");
  CHECK_STR(tsr_format_seconds(1.25e-3).text, "1.25 ms");
  CHECK_STR(tsr_format_seconds(99.9).text, "99.9 s");
  CHECK_STR(tsr_format_seconds(125).text, "2m05s");
  CHECK_STR(tsr_format_seconds(3725).text, "1h02m");
  CHECK_STR(tsr_format_plural(1, "layer").text, "1 layer");
  CHECK_STR(tsr_format_plural(0, "layer").text, "0 layers");
  CHECK_STR(tsr_format_count(0).text, "0");
  CHECK_STR(tsr_format_count(999).text, "999");
  CHECK_STR(tsr_format_count(1000).text, "1,000");
  CHECK_STR(tsr_format_count(12345678).text, "12,345,678");
}

static tsr_table *small_table(void) {
  static const char *const headers[] = {"<layer", ">bytes", "<why", NULL};
  tsr_table *table = tsr_table_create(headers);
  tsr_table_cell(table, "%s", "\u5c64.0");
  tsr_table_cell(table, "%d", 7);
  tsr_table_cell(table, "%s", "");
  tsr_table_cell(table, "%s", "b");
  tsr_table_cell(table, "%d", 123456);
  tsr_table_cell(table, "%s", "big");
  tsr_table_rule(table);
  tsr_table_cell(table, "%s", "2 layers");
  tsr_table_cell(table, "%s", "");
  tsr_table_cell(table, "%s", "");
  return table;
}

static void test_table(void) {
  tsr_buffer out = {0};
  tsr_error error = {0};
  tsr_table *table = small_table();
  CHECK_EQ(tsr_table_render(table, false, false, &out, &error), TSR_OK);
  CHECK_STR(tsr_buffer_text(&out),
            "layer      bytes  why\n"
            "--------  ------  ---\n"
            "\u5c64.0           7\n"
            "b         123456  big\n"
            "--------  ------  ---\n"
            "2 layers\n");
  tsr_table_destroy(table);
  tsr_buffer_fini(&out);
}

static void test_table_breaks_lines(void) {
  static const char *const headers[] = {"<image", "=needs", ">rank", NULL};
  static const char word[] = "a234567890b234567890c234567890d234567890";
  tsr_table *table = tsr_table_create(headers);
  tsr_table_cell(table, "first");
  tsr_table_cell(table, "%s %s x", word, word);
  tsr_table_cell(table, "1");
  tsr_table_cell(table, "second");
  tsr_table_cell(table, "%s", "");
  tsr_table_cell(table, "2");
  tsr_buffer out = {0};
  tsr_error error = {0};
  CHECK_EQ(tsr_table_render(table, false, false, &out, &error), TSR_OK);
  CHECK_STR(tsr_buffer_text(&out),
            "image   needs                                       rank\n"
            "------  ------------------------------------------  ----\n"
            "first   a234567890b234567890c234567890d234567890       1\n"
            "        a234567890b234567890c234567890d234567890 x\n"
            "second                                                 2\n");
  tsr_table_destroy(table);
  tsr_buffer_fini(&out);
}

static void test_table_out_of_memory(void) {
  for (uint64_t nth = 1;; ++nth) {
    tsr_buffer out = {0};
    tsr_error error = {0};
    (void)tsr_memory_fail_at(nth);
    tsr_table *table = small_table();
    tsr_status status = tsr_table_render(table, true, true, &out, &error);
    uint64_t count = tsr_memory_fail_at(0);
    tsr_table_destroy(table);
    tsr_buffer_fini(&out);
    if (count < nth) {
      CHECK_EQ(status, TSR_OK);
      CHECK(nth > 2);
      return;
    }
    CHECK_EQ(status, TSR_OUT_OF_MEMORY);
    if (nth > 50) return;
  }
}

// Every text made from the tables or from names notices every failed
// allocation.
static void make_text(int which, tsr_buffer *out) {
  switch (which) {
    case 0:
      tsr_help_text(&fixture_tool, &fixture_every, true, 80, out);
      break;
    case 1:
      tsr_help_man(&fixture_tool, &fixture_every, out);
      break;
    case 2:
      tsr_help_markdown(&fixture_tool, out);
      break;
    case 3:
      tsr_completions_bash(&fixture_tool, out);
      break;
    case 4:
      tsr_completions_zsh(&fixture_tool, out);
      break;
    case 5:
      tsr_completions_fish(&fixture_tool, out);
      break;
    default: {
      const char *names[] = {"l.0.q", "l.0.k", "l.1.q", "l.1.k"};
      tsr_names_fold(names, 4, out);
      break;
    }
  }
}

// ---- Names ------------------------------------------------------------------

// |words|: the names, separated by blanks.
static void check_fold(const char *words, const char *expected) {
  char copy[1000];
  const char *names[200];
  uint32_t count = 0;
  (void)snprintf(copy, sizeof(copy), "%s", words);
  for (char *at = strtok(copy, " "); at != NULL; at = strtok(NULL, " ")) {
    names[count++] = at;
  }
  tsr_buffer out = {0};
  tsr_names_fold(names, count, &out);
  CHECK_STR(tsr_buffer_text(&out), expected);
  tsr_buffer_fini(&out);
}

static void test_names(void) {
  check_fold("head", "head");
  check_fold("a b", "{a,b}");
  check_fold("l.0.q l.0.k l.1.q l.1.k l.2.q l.2.k", "l.{0..2}.{q,k}");
  check_fold("l.0.q_proj l.0.k_proj", "l.0.{q,k}_proj");
  // Every name of a pattern was there, and no name is told twice.
  check_fold("l.0.q l.0.o l.1.q l.2.q l.2.o", "l.{0..2}.q, l.{0,2}.o");
  check_fold("l.0.q l.1.q l.1.q.x", "l.{0,1}.q, l.1.q.x");
  check_fold("0 1 2 5 6 9 7 8", "{0..2,5,6,9,7,8}");
  // Numbers and words are not torn apart.
  check_fold("layer10 layer11 layer12", "layer{10..12}");
  check_fold("gate gates", "{gate,gates}");
  check_fold("ffn1_up ffn2_up", "ffn{1,2}_up");
  check_fold("a_x a_ b_x", "{a_x,a_,b_x}");
  check_fold("a07 a08 a09", "a{07,08,09}");
  check_fold("1up 2up 3up", "{1..3}up");
  check_fold("9999999998 9999999999", "{9999999998,9999999999}");
  check_fold("a..b a.c.b", "a.{,c}.b");
  check_fold("x.1 x.3 x.5 x.7 x.9 x.11 x.13 x.15 x.17 x.19 x.21 x.23 x.25",
             "x.{1,3,5,7,9,11,13,15,17,19,21,23,...}");
  check_fold("a b.b c.c.c d.d.d.d e.e.e.e.e f.f.f.f.f.f g.g.g.g.g.g.g",
             "a, b.b, c.c.c, d.d.d.d, e.e.e.e.e, f.f.f.f.f.f, ...");
}

static void test_texts_out_of_memory(void) {
  for (int which = 0; which < 7; ++which) {
    for (uint64_t nth = 1;; ++nth) {
      tsr_buffer out = {0};
      (void)tsr_memory_fail_at(nth);
      make_text(which, &out);
      uint64_t count = tsr_memory_fail_at(0);
      bool failed = out.failed;
      tsr_buffer_fini(&out);
      if (count < nth) {
        CHECK(!failed && nth > 1);
        break;
      }
      CHECK(failed);
    }
  }
}

// ---- Tile maps --------------------------------------------------------------

static const uint8_t kinds[] = {2, 1, 0, 1, 1, 2, 0, 0, 1};

static tsr_tile_map small_map(void) {
  return (tsr_tile_map){
      .name = "a<b>&c",
      .rows = 300,
      .columns = 384,
      .tile_rows = 128,
      .tile_columns = 128,
      .panels = 3,
      .tiles_per_panel = 3,
      .kinds = kinds,
      .counts = {3, 4, 2},
      .kept_weights = 50000,
      .packed_bytes = 100000,
      .dense_bytes = 230400,
  };
}

static void test_map_letters(void) {
  tsr_buffer out = {0};
  tsr_tile_map map = small_map();
  tsr_map_screen screen = {.width = 80, .height = UINT32_MAX};
  tsr_tile_map_draw(&map, &screen, &out);
  CHECK_STR(tsr_buffer_text(&out),
            "a<b>&c  W [300, 384], 3 x 3 tiles of 128 x 128\n"
            "DDss..\nssssDD\n....ss\n"
            "D dense 2   s 2:4 4   . zero 3\n");
  tsr_buffer_clear(&out);
  screen.utf8 = true;
  tsr_tile_map_draw(&map, &screen, &out);
  CHECK(strstr(tsr_buffer_text(&out),
               "\u2588\u2588\u2592\u2592\u00b7\u00b7\n") != NULL);
  tsr_buffer_clear(&out);
  screen.color = true;
  tsr_tile_map_draw(&map, &screen, &out);
  CHECK(strstr(tsr_buffer_text(&out), "\u2580") != NULL);
  CHECK(strstr(tsr_buffer_text(&out), "\033[38;5;208m") != NULL);
  tsr_buffer_fini(&out);
}

// 200 x 100 tiles on a small screen: the scale is stated, nothing is wider.
static void test_map_scale(void) {
  enum { PANELS = 200, ACROSS = 100 };
  static uint8_t many[PANELS * ACROSS];
  memset(many, TSR_KIND_SPARSE24, sizeof(many));
  tsr_tile_map map = small_map();
  map.kinds = many;
  map.panels = PANELS;
  map.tiles_per_panel = ACROSS;
  tsr_map_screen screen = {.width = 40, .height = 20};
  tsr_buffer out = {0};
  tsr_tile_map_draw(&map, &screen, &out);
  CHECK(strstr(tsr_buffer_text(&out), "10 x 10 tiles") != NULL);
  CHECK(strstr(tsr_buffer_text(&out), "\nssssssssssssssssssss\n") != NULL);
  tsr_buffer_fini(&out);
}

static void test_svg(void) {
  tsr_buffer out = {0};
  tsr_tile_map maps[2] = {small_map(), small_map()};
  tsr_tile_map_svg(maps, 2, "two <maps>", &out);
  const char *text = tsr_buffer_text(&out);
  CHECK(strncmp(text, "<svg ", 5) == 0);
  CHECK(strstr(text, "<title>two &lt;maps&gt;</title>") != NULL ||
        strstr(text, "<title>two &lt;maps></title>") != NULL);
  CHECK(strstr(text, "a&lt;b>&amp;c") != NULL);
  CHECK(strstr(text, "dense: 2") != NULL);
  CHECK(strstr(text, "prefers-color-scheme:dark") != NULL);
  CHECK(strstr(text, "http://www.w3.org/2000/svg") != NULL);
  tsr_buffer_fini(&out);
}

int main(void) {
  test_values();
  test_defaults();
  test_rules();
  test_errors();
  test_parse_out_of_memory();
  test_table_is_sound();
  test_suggest();
  test_widths();
  test_numbers();
  test_table();
  test_table_breaks_lines();
  test_table_out_of_memory();
  test_names();
  test_texts_out_of_memory();
  test_map_letters();
  test_map_scale();
  test_svg();
  return test_finish();
}

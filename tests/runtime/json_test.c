// SPDX-License-Identifier: Apache-2.0
// The JSON reader: what it accepts, and one defect per text.
#include "json.h"

#include <stdlib.h>

#include "base/memory.h"
#include "test.h"

typedef struct case_bad {
  const char *text;
  const char *message;
} case_bad;

static const case_bad bad[] = {
    {"", "1:1: expected a value"},
    {"  \n ", "2:2: expected a value"},
    {"{", "1:2: expected a string"},
    {"{\"a\"}", "1:5: expected ':'"},
    {"{\"a\":}", "1:6: expected a value"},
    {"{\"a\":1", "1:7: expected ',' or '}'"},
    {"{\"a\":1,}", "1:8: expected a string"},
    {"{\"a\":1,\n \"a\":2}", "2:2: a key occurs twice in one object"},
    {"{\"a\":1,\"\\u0061\":2}", "1:8: a key occurs twice in one object"},
    {"{a:1}", "1:2: expected a string"},
    {"[1 2]", "1:4: expected ',' or ']'"},
    {"[1,]", "1:4: expected a value"},
    {"[1] []", "1:5: text after the end of the value"},
    {"01", "1:3: a number starts with a superfluous zero"},
    {"-", "1:2: expected a value"},
    {"+1", "1:1: expected a value"},
    {"1.", "1:3: expected a digit"},
    {"1e", "1:3: expected a digit"},
    {"1e+", "1:4: expected a digit"},
    {".5", "1:1: expected a value"},
    {"nul", "1:1: expected a value"},
    {"NaN", "1:1: expected a value"},
    {"truex", "1:5: text after the end of the value"},
    {"\"a", "1:3: unterminated string"},
    {"\"a\\", "1:4: unknown escape in a string"},
    {"\"\\x\"", "1:3: unknown escape in a string"},
    {"\"\\u12g4\"", "1:6: expected four hexadecimal digits after \\u"},
    {"\"\\u0000\"", "1:8: a string contains NUL"},
    {"\"\\ud800\"", "1:8: a high surrogate without a low one"},
    {"\"\\ud800\\u0041\"", "1:14: a high surrogate without a low one"},
    {"\"\\udc00\"", "1:8: a low surrogate without a high one"},
    {"\"\t\"", "1:2: a control character in a string"},
    {"\"\xff\"", "1:2: not UTF-8"},
    {"\"\xc0\x80\"", "1:2: not UTF-8"},
    {"\"\xed\xa0\x80\"", "1:2: not UTF-8"},
    {"\"\xf4\x90\x80\x80\"", "1:2: not UTF-8"},
    {"\"\xe2\x82\"", "1:2: not UTF-8"},
    {"\"\\n\\n\" x", "1:8: text after the end of the value"},
};

static void test_mistakes(void) {
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
    tsr_arena arena = {0};
    tessera_error error = {0};
    const tsr_json *root = NULL;
    tessera_status status =
        tsr_json_parse(&arena, bad[i].text, strlen(bad[i].text), &root, &error);
    CHECK_EQ(status, TESSERA_CORRUPT);
    CHECK(root == NULL);
    CHECK_STR(error.message, bad[i].message);
    tsr_arena_fini(&arena);
  }
}

static void check_depth(int depth, tessera_status expected) {
  char text[256];
  memset(text, '[', (size_t)depth);
  memset(text + depth, ']', (size_t)depth);
  tsr_arena arena = {0};
  tessera_error error = {0};
  const tsr_json *root = NULL;
  CHECK_EQ(tsr_json_parse(&arena, text, (size_t)depth * 2, &root, &error),
           expected);
  if (expected != TESSERA_OK) {
    CHECK_STR(error.message, "1:33: nested more than 32 levels deep");
  }
  tsr_arena_fini(&arena);
}

static void test_values(void) {
  static const char text[] =
      " {\"text\": \"a\\u00e9\\ud83d\\ude00\\/\\n\", \"yes\": true,\r\n"
      "\t\"no\": false, \"none\": null, \"list\": [1, -2, [], {}],"
      "\"big\": 18446744073709551615, \"low\": -9223372036854775808,"
      "\"over\": 18446744073709551616, \"under\": -9223372036854775809,"
      "\"real\": -1.5e-3, \"zero\": -0} ";
  tsr_arena arena = {0};
  tessera_error error = {0};
  const tsr_json *root = NULL;
  CHECK_EQ(tsr_json_parse(&arena, text, sizeof(text) - 1, &root, &error),
           TESSERA_OK);
  CHECK_STR(tsr_json_find(root, "text")->string,
            "a\xc3\xa9\xf0\x9f\x98\x80/\n");
  CHECK(tsr_json_find(root, "yes")->boolean);
  CHECK(!tsr_json_find(root, "no")->boolean);
  CHECK_EQ(tsr_json_find(root, "none")->type, TSR_JSON_NULL);
  const tsr_json *list = tsr_json_find(root, "list");
  CHECK_EQ(list->count, 4);
  CHECK_EQ(list->first->next->magnitude, 2);
  CHECK(list->first->next->negative);
  CHECK_EQ(list->first->next->next->next->type, TSR_JSON_OBJECT);
  CHECK(tsr_json_find(root, "big")->magnitude == UINT64_MAX);
  CHECK_EQ(tsr_json_find(root, "low")->type, TSR_JSON_INTEGER);
  CHECK_EQ(tsr_json_find(root, "over")->type, TSR_JSON_FRACTION);
  CHECK_EQ(tsr_json_find(root, "under")->type, TSR_JSON_FRACTION);
  CHECK_STR(tsr_json_find(root, "real")->string, "-1.5e-3");
  CHECK(!tsr_json_find(root, "zero")->negative);
  CHECK(tsr_json_find(root, "missing") == NULL);
  CHECK(tsr_json_find(list, "missing") == NULL);
  tsr_arena_fini(&arena);
}

static void test_out_of_memory(void) {
  static const char text[] = "{\"a\": [1, 2.5, \"text\"]}";
  for (uint64_t nth = 1;; ++nth) {
    tsr_arena arena = {0};
    tessera_error error = {0};
    const tsr_json *root = NULL;
    (void)tsr_memory_fail_at(nth);
    tessera_status status =
        tsr_json_parse(&arena, text, sizeof(text) - 1, &root, &error);
    uint64_t seen = tsr_memory_fail_at(0);
    tsr_arena_fini(&arena);
    if (seen < nth) {
      CHECK_EQ(status, TESSERA_OK);
      CHECK(nth > 1);
      return;
    }
    CHECK_EQ(status, TESSERA_OUT_OF_MEMORY);
  }
}

int main(void) {
  test_values();
  test_mistakes();
  check_depth(32, TESSERA_OK);
  check_depth(33, TESSERA_CORRUPT);
  test_out_of_memory();
  return test_finish();
}

// SPDX-License-Identifier: Apache-2.0
// Buffers: terminated text, sticky failure, JSON strings of any bytes.
#include "base/buffer.h"

#include "base/memory.h"
#include "test.h"

static void test_appending(void) {
  tsr_buffer buffer;
  tsr_buffer_init(&buffer);
  CHECK_STR(tsr_buffer_text(&buffer), "");
  tsr_buffer_append(&buffer, NULL, 0);
  tsr_buffer_append_string(&buffer, "ab");
  tsr_buffer_append_char(&buffer, 'c');
  tsr_buffer_printf(&buffer, "%d", 4);
  CHECK_STR(tsr_buffer_text(&buffer), "abc4");
  CHECK_EQ(buffer.size, 4);
  tsr_buffer_clear(&buffer);
  CHECK_STR(tsr_buffer_text(&buffer), "");
  for (int i = 0; i < 5000; ++i) tsr_buffer_append(&buffer, "x\0y", 3);
  CHECK_EQ(buffer.size, 15000);
  CHECK_EQ(buffer.data[15000], 0);
  CHECK_EQ(tsr_buffer_status(&buffer, NULL), TSR_OK);
  tsr_buffer_fini(&buffer);
  tsr_buffer_fini(&buffer);
  tsr_buffer_fini(NULL);
}

static void test_failure_is_sticky(void) {
  tsr_buffer buffer = {0};
  (void)tsr_memory_fail_at(1);
  tsr_buffer_append_string(&buffer, "lost");
  (void)tsr_memory_fail_at(0);
  tsr_buffer_append_string(&buffer, "also lost");
  tsr_buffer_printf(&buffer, "%d", 1);
  CHECK_STR(tsr_buffer_text(&buffer), "");
  tsr_error error = {0};
  CHECK_EQ(tsr_buffer_status(&buffer, &error), TSR_OUT_OF_MEMORY);
  CHECK_STR(error.message, "out of memory");
  tsr_buffer_fini(&buffer);
  tsr_buffer_append(&buffer, "", SIZE_MAX / 2);
  CHECK(buffer.failed);
  tsr_buffer_fini(&buffer);
}

static void test_json(void) {
  static const struct {
    const char *text;
    size_t size;
    const char *json;
  } rows[] = {
      {"plain", 5, "\"plain\""},
      {"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
      {"\n\t\x01\x1f\x7f", 5, "\"\\n\\t\\u0001\\u001f\x7f\""},
      {"a\0b", 3, "\"a\\u0000b\""},
      {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9,
       "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\""},
      {"\xff", 1, "\"\\ufffd\""},                        // never in UTF-8
      {"\xc3", 1, "\"\\ufffd\""},                        // cut short
      {"\xc0\xaf", 2, "\"\\ufffd\\ufffd\""},             // overlong
      {"\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\""},  // a surrogate
      {"\xf4\x90\x80\x80", 4, "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
    tsr_buffer buffer = {0};
    tsr_buffer_append_json(&buffer, rows[i].text, rows[i].size);
    CHECK_STR(tsr_buffer_text(&buffer), rows[i].json);
    tsr_buffer_fini(&buffer);
  }
}

int main(void) {
  test_appending();
  test_failure_is_sticky();
  test_json();
  return test_finish();
}

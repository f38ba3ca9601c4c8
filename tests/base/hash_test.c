// SPDX-License-Identifier: Apache-2.0
// Hashes: the published XXH3-128 values, streaming in any pieces, text form.
#include "base/hash.h"

#include "test.h"

static void check_text(tsr_hash hash, const char *expected) {
  char text[33];
  tsr_hash_format(hash, text);
  CHECK_STR(text, expected);
}

// From xxhash's own tests (XXH3_128bits, seed 0): the empty input; and as
// `xxhsum -H2` prints it.
static void test_known_values(void) {
  check_text(tsr_hash_bytes("", 0), "99aa06d3014798d86001c324468d497f");
  check_text(tsr_hash_bytes("abc", 3), "06b05ab6733a618578af5f94892f3950");
}

static void test_streaming(void) {
  static unsigned char data[5000];
  for (size_t i = 0; i < sizeof(data); ++i) data[i] = (unsigned char)(i * 31);
  tsr_hash whole = tsr_hash_bytes(data, sizeof(data));
  tsr_hasher *hasher = tsr_hasher_create();
  CHECK(hasher != NULL);
  for (size_t piece = 1; piece < sizeof(data); piece = piece * 2 + 3) {
    tsr_hasher_reset(hasher);
    for (size_t at = 0; at < sizeof(data); at += piece) {
      size_t left = sizeof(data) - at;
      tsr_hasher_update(hasher, data + at, left < piece ? left : piece);
    }
    CHECK(tsr_hash_equal(tsr_hasher_digest(hasher), whole));
  }
  data[4999] ^= 1;
  CHECK(!tsr_hash_equal(tsr_hash_bytes(data, sizeof(data)), whole));
  tsr_hasher_destroy(hasher);
  tsr_hasher_destroy(NULL);
}

static void test_text(void) {
  tsr_hash hash = {.low = 0x0123456789abcdefu, .high = 0xfedcba9876543210u};
  check_text(hash, "fedcba98765432100123456789abcdef");
  tsr_hash parsed = {0};
  CHECK(tsr_hash_parse("fedcba98765432100123456789abcdef", &parsed));
  CHECK(tsr_hash_equal(hash, parsed));
  static const char *const bad[] = {"",
                                    "fedcba98765432100123456789abcde",
                                    "fedcba98765432100123456789abcdef0",
                                    "FEDCBA98765432100123456789ABCDEF",
                                    "fedcba98765432100123456789abcdeg",
                                    " edcba98765432100123456789abcdef"};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
    CHECK(!tsr_hash_parse(bad[i], &parsed));
  }
}

int main(void) {
  test_known_values();
  test_streaming();
  test_text();
  return test_finish();
}

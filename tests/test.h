// SPDX-License-Identifier: Apache-2.0
// The smallest test harness that says where and what: a failed check prints
// file, line and values and the program goes on; TEST_MAIN's program returns 1
// when any check failed.
#ifndef TESTS_TEST_H_
#define TESTS_TEST_H_

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int test_failures;
static int test_checks;

#define CHECK(condition)                                               \
  do {                                                                 \
    ++test_checks;                                                     \
    if (!(condition)) {                                                \
      ++test_failures;                                                 \
      fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, \
              #condition);                                             \
    }                                                                  \
  } while (0)

#define CHECK_EQ(actual, expected)                                    \
  do {                                                                \
    long long test_actual = (long long)(actual);                      \
    long long test_expected = (long long)(expected);                  \
    ++test_checks;                                                    \
    if (test_actual != test_expected) {                               \
      ++test_failures;                                                \
      fprintf(stderr, "%s:%d: %s is %lld, expected %lld\n", __FILE__, \
              __LINE__, #actual, test_actual, test_expected);         \
    }                                                                 \
  } while (0)

#define CHECK_STR(actual, expected)                                       \
  do {                                                                    \
    const char *test_actual = (actual);                                   \
    const char *test_expected = (expected);                               \
    ++test_checks;                                                        \
    if (test_actual == NULL || strcmp(test_actual, test_expected) != 0) { \
      ++test_failures;                                                    \
      fprintf(stderr, "%s:%d: %s is \"%s\", expected \"%s\"\n", __FILE__, \
              __LINE__, #actual, test_actual ? test_actual : "(null)",    \
              test_expected);                                             \
    }                                                                     \
  } while (0)

// Call last in main: prints the tally and gives the exit code.
static inline int test_finish(void) {
  printf("%d checks, %d failed\n", test_checks, test_failures);
  return test_failures == 0 && test_checks > 0 ? 0 : 1;
}

#endif  // TESTS_TEST_H_

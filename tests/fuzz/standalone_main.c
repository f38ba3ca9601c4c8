// SPDX-License-Identifier: Apache-2.0
// A fuzzer for compilers without libFuzzer, and for CI: runs a harness over
// every file of the given files and folders, and over |--mutate N| variants of
// each, made by a fixed seed. The input at hand is kept in a file that names
// itself when the process dies, so a failure can be repeated.
//   fuzz_x [--mutate N] PATH...
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

enum { INPUT_MAX = 1 << 20 };

static uint8_t seed_bytes[INPUT_MAX];
static uint8_t input[INPUT_MAX];
static size_t input_size;
static unsigned long run_count;
static uint32_t random_state = 1;

static uint32_t next_random(uint32_t bound) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return bound == 0 ? 0 : random_state % bound;
}

// Writes the input that was being run. Stdio in a handler is not safe in
// general; here the process is lost anyway.
static void save_input(int signal_number) {
  static const char path[] = "crash-input";
  FILE *file = fopen(path, "wb");
  if (file != NULL) {
    (void)fwrite(input, 1, input_size, file);
    (void)fclose(file);
    fprintf(stderr, "the input is in ./%s\n", path);
  }
  (void)signal(signal_number, SIG_DFL);
  (void)raise(signal_number);
}

static void run_input(void) {
  ++run_count;
  // A copy of exact size, so that reading past the end is seen.
  uint8_t *exact = malloc(input_size == 0 ? 1 : input_size);
  if (exact == NULL) return;
  memcpy(exact, input, input_size);
  (void)LLVMFuzzerTestOneInput(exact, input_size);
  free(exact);
}

static void flip_byte(void) {
  if (input_size == 0) return;
  input[next_random((uint32_t)input_size)] = (uint8_t)next_random(256);
}

static void flip_bit(void) {
  if (input_size == 0) return;
  input[next_random((uint32_t)input_size)] ^= (uint8_t)(1u << next_random(8));
}

static void remove_range(void) {
  if (input_size == 0) return;
  size_t begin = next_random((uint32_t)input_size);
  size_t size = 1 + next_random((uint32_t)(input_size - begin));
  if (size > 64) size = 1 + size % 64;
  memmove(input + begin, input + begin + size, input_size - begin - size);
  input_size -= size;
}

static void repeat_range(void) {
  if (input_size == 0) return;
  size_t begin = next_random((uint32_t)input_size);
  size_t size = 1 + next_random((uint32_t)(input_size - begin));
  if (size > 256) size = 1 + size % 256;
  if (input_size + size > INPUT_MAX) return;
  size_t to = next_random((uint32_t)input_size);
  uint8_t piece[256];
  memcpy(piece, input + begin, size);
  memmove(input + to + size, input + to, input_size - to);
  memcpy(input + to, piece, size);
  input_size += size;
}

static void cut_end(void) {
  input_size = next_random((uint32_t)input_size);
}

// Numbers at the edges of their types, in binary and in decimal.
static void put_edge(void) {
  static const char *const edges[] = {"4294967295",
                                      "4294967296",
                                      "18446744073709551615",
                                      "-1",
                                      "0",
                                      "1e308",
                                      "\xff\xff\xff\xff",
                                      "\xff\xff\xff\x7f",
                                      "\x00\x00\x00\x80",
                                      "\x00"};
  static const size_t sizes[] = {10, 10, 20, 2, 1, 5, 4, 4, 4, 1};
  size_t which = next_random(10);
  if (input_size < sizes[which]) return;
  size_t at = next_random((uint32_t)(input_size - sizes[which] + 1));
  memcpy(input + at, edges[which], sizes[which]);
}

static void mutate(void) {
  static void (*const mutations[])(void) = {
      flip_byte, flip_bit, remove_range, repeat_range, cut_end, put_edge};
  uint32_t count = 1 + next_random(4);
  for (uint32_t i = 0; i < count; ++i) mutations[next_random(6)]();
}

static int run_file(const char *path, unsigned long variants) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    perror(path);
    return 1;
  }
  size_t size = fread(seed_bytes, 1, sizeof(seed_bytes), file);
  (void)fclose(file);
  for (unsigned long i = 0; i <= variants; ++i) {
    memcpy(input, seed_bytes, size);
    input_size = size;
    if (i != 0) mutate();
    run_input();
  }
  return 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static int run_path(const char *path, unsigned long variants) {
  struct stat info;
  if (stat(path, &info) != 0) {
    perror(path);
    return 1;
  }
  if (!S_ISDIR(info.st_mode)) return run_file(path, variants);
  struct dirent **names;
  int count = scandir(path, &names, NULL, compare_names);
  int failed = count < 0;
  for (int i = 0; i < count; ++i) {
    char child[4096];
    (void)snprintf(child, sizeof(child), "%s/%s", path, names[i]->d_name);
    if (names[i]->d_name[0] != '.' && stat(child, &info) == 0 &&
        S_ISREG(info.st_mode)) {
      failed |= run_file(child, variants);
    }
    free(names[i]);
  }
  if (count >= 0) free(names);
  return failed;
}

int main(int argc, char **argv) {
  unsigned long variants = 0;
  int failed = 0;
  (void)signal(SIGABRT, save_input);
  (void)signal(SIGSEGV, save_input);
  (void)signal(SIGFPE, save_input);
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--mutate") == 0 && i + 1 < argc) {
      variants = strtoul(argv[++i], NULL, 10);
    } else {
      failed |= run_path(argv[i], variants);
    }
  }
  printf("%lu inputs\n", run_count);
  return failed != 0 || run_count == 0;
}

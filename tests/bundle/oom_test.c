// SPDX-License-Identifier: Apache-2.0
// tesserac compile with an allocation that fails, at many places from the first
// to the last: it says so, ends with the right code, leaves nothing behind and
// spares the bundle that was there. Each run is a process of its own; under
// LeakSanitizer it must not leak either.
#undef _POSIX_C_SOURCE
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "tesserac/commands.h"
#include "test.h"

enum { RUNS = 60 };

static const char plan[] =
    "model \"m\";\n"
    "target host generic;\n"
    "target cuda sm_80;\n"
    "tokens 1;\n"
    "weights synthetic seed 5;\n"
    "masks synthetic sparse24 50% zero 20% seed 5;\n"
    "layer \"a\" { weight synthetic 200x264; bias; }\n"
    "layer \"b\" { weight synthetic 64x64; type f16; }\n";

static char root[] = "/tmp/tessera-oom-test-XXXXXX";
static uint64_t *allocations;  // shared with the children

static void child(uint64_t nth) {
  char *arguments[] = {"tesserac", "compile",     "plan.tess", "-o",
                       "m.bundle", "--cache-dir", "cache",     "-j",
                       "1",        "-v",          "--why",     "-MD",
                       "--ptxas",  "none",        NULL};
  int log = open("log", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  (void)dup2(log, STDERR_FILENO);
  (void)close(log);
  (void)tsr_memory_fail_at(nth);
  int code = tsr_cli_main(&tsr_tool_tesserac, 14, arguments);
  *allocations = tsr_memory_fail_at(0);
  exit(code);
}

static int run(uint64_t nth) {
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) child(nth);
  int how = -1;
  CHECK(waitpid(pid, &how, 0) == pid);
  return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
}

static int temporaries(void) {
  int count = 0;
  DIR *directory = opendir(".");
  const struct dirent *entry;
  while (directory != NULL && (entry = readdir(directory)) != NULL) {
    count += strstr(entry->d_name, "tessera-tmp") != NULL;
  }
  if (directory != NULL) closedir(directory);
  return count;
}

static tsr_map read_map(const char *path) {
  tsr_map map;
  CHECK_EQ(tsr_map_open(path, &map, NULL), TSR_OK);
  return map;
}

static void check_run(uint64_t nth, tsr_map expected) {
  int code = run(nth);
  tsr_map log = read_map("log");
  bool said = log.data != NULL &&
              memmem(log.data, log.size, "out of memory", 13) != NULL;
  // Some allocations can be done without: a cache entry, a progress bar.
  if (code != 0 && !(code == TSR_EXIT_FAILURE && said)) {
    ++test_failures;
    fprintf(stderr, "allocation %d: exit code %d: %.*s\n", (int)nth, code,
            (int)log.size, (const char *)log.data);
  }
  tsr_map_close(&log);
  CHECK_EQ(temporaries(), 0);
  tsr_map manifest = read_map("m.bundle/manifest.json");
  CHECK_EQ(manifest.size, expected.size);
  CHECK(manifest.size == expected.size &&
        memcmp(manifest.data, expected.data, expected.size) == 0);
  tsr_map_close(&manifest);
}

int main(void) {
  allocations = mmap(NULL, sizeof(*allocations), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (allocations == MAP_FAILED) return 1;
  CHECK(mkdtemp(root) != NULL && chdir(root) == 0);
  CHECK_EQ(tsr_file_write("plan.tess", plan, strlen(plan), NULL), TSR_OK);
  CHECK_EQ(run(0), 0);  // fills the cache
  CHECK_EQ(run(0), 0);  // with everything reused
  CHECK(*allocations > RUNS);
  uint64_t count = *allocations;
  tsr_map expected = read_map("m.bundle/manifest.json");
  for (uint64_t i = 0; i < RUNS; ++i) {
    check_run(1 + i * count / RUNS, expected);
  }
  tsr_map_close(&expected);
  CHECK_EQ(tsr_path_remove(root, NULL), TSR_OK);
  return test_finish();
}

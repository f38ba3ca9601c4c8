// SPDX-License-Identifier: Apache-2.0
// Files are whole or absent; what others use stays, what the dead left goes.
#undef _POSIX_C_SOURCE
#define _GNU_SOURCE
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "test.h"

static char root[] = "/tmp/tessera-file-test-XXXXXX";

static char *at(const char *name) {
  static char paths[8][512];
  static int turn;
  char *path = paths[turn++ % 8];
  snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
  return path;
}

static int entry_count(const char *path) {
  int count = 0;
  DIR *directory = opendir(path);
  if (directory == NULL) return -1;
  while (readdir(directory) != NULL) ++count;
  closedir(directory);
  return count - 2;
}

static void write_text(const char *path, const char *text) {
  tsr_error error = {0};
  CHECK_EQ(tsr_file_write(path, text, strlen(text), &error), TSR_OK);
  CHECK_STR(error.message, "");
}

static void check_text(const char *path, const char *text) {
  tsr_map map;
  tsr_error error = {0};
  CHECK_EQ(tsr_map_open(path, &map, &error), TSR_OK);
  CHECK_EQ(map.size, strlen(text));
  if (map.size == strlen(text)) {
    CHECK(map.size == 0 || memcmp(map.data, text, map.size) == 0);
  }
  tsr_map_close(&map);
}

static void test_maps(void) {
  tsr_map map;
  tsr_error error = {0};
  CHECK_EQ(tsr_map_open(at("none"), &map, &error), TSR_NOT_FOUND);
  CHECK_EQ(error.status, TSR_NOT_FOUND);
  CHECK_EQ(error.native, ENOENT);
  CHECK(map.data == NULL && map.size == 0);
  error = (tsr_error){0};
  CHECK_EQ(tsr_map_open(root, &map, &error), TSR_INVALID_ARGUMENT);
  CHECK(mkfifo(at("fifo"), 0600) == 0);
  error = (tsr_error){0};
  CHECK_EQ(tsr_map_open(at("fifo"), &map, &error), TSR_INVALID_ARGUMENT);
  CHECK(unlink(at("fifo")) == 0);
  write_text(at("empty"), "");
  check_text(at("empty"), "");
  static char big[300000];
  memset(big, 'x', sizeof(big) - 1);
  write_text(at("big"), big);
  check_text(at("big"), big);
  CHECK_EQ(tsr_map_open(at("big"), &map, NULL), TSR_OK);
  tsr_map_drop(&map, 0, SIZE_MAX);
  tsr_map_drop(&map, 5, 100);
  tsr_map_drop(&map, SIZE_MAX, 1);
  CHECK(map.data[299998] == 'x');
  tsr_map_close(&map);
  tsr_map_close(&map);
}

static void test_outputs(void) {
  write_text(at("file"), "old");
  tsr_output *output;
  CHECK_EQ(tsr_output_create(at("file"), &output, NULL), TSR_OK);
  CHECK_EQ(tsr_output_write(output, "new", 3, NULL), TSR_OK);
  CHECK_EQ(tsr_output_align(output, 8, NULL), TSR_OK);
  CHECK_EQ(tsr_output_offset(output), 8);
  CHECK_EQ(tsr_output_align(output, 8, NULL), TSR_OK);
  CHECK_EQ(tsr_output_offset(output), 8);
  check_text(at("file"), "old");
  tsr_output_close(output);
  check_text(at("file"), "old");
  int before = entry_count(root);
  write_text(at("file"), "newer");
  check_text(at("file"), "newer");
  CHECK_EQ(entry_count(root), before);
  // A link stays a link.
  CHECK(symlink("file", at("link")) == 0);
  write_text(at("link"), "through");
  check_text(at("file"), "through");
  struct stat info;
  CHECK(lstat(at("link"), &info) == 0 && S_ISLNK(info.st_mode));
  // Who may read a file does not change.
  CHECK(chmod(at("file"), 0640) == 0);
  write_text(at("file"), "private");
  CHECK(stat(at("file"), &info) == 0 && (info.st_mode & 0777) == 0640);
  write_text("/dev/null", "gone");
  tsr_error error = {0};
  CHECK_EQ(tsr_file_write(root, "x", 1, &error), TSR_IO);
  CHECK_EQ(error.native, EISDIR);
  error = (tsr_error){0};
  CHECK_EQ(tsr_file_write(at("none/file"), "x", 1, &error), TSR_IO);
  CHECK_EQ(error.native, ENOENT);
}

static void test_paths(void) {
  static const struct {
    const char *directory, *name, *joined;
  } joins[] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"},
               {"a", "/b", "/b"}, {"/", "b", "/b"},   {".", "b", "./b"}};
  for (size_t i = 0; i < sizeof(joins) / sizeof(joins[0]); ++i) {
    char *path = tsr_path_join(joins[i].directory, joins[i].name);
    CHECK_STR(path, joins[i].joined);
    tsr_free(path);
  }
  static const char *const directories[][2] = {
      {"a/b", "a"}, {"a", "."}, {"/a", "/"}, {"a/b/", "a/b"}, {"/", "/"}};
  for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); ++i) {
    char *path = tsr_path_directory(directories[i][0]);
    CHECK_STR(path, directories[i][1]);
    tsr_free(path);
  }
  CHECK_STR(tsr_path_name("a/b.c"), "b.c");
  CHECK_STR(tsr_path_name("b.c"), "b.c");
  static const char *const inside[] = {"a",   "a/b",  "a..b",
                                       "..a", "a/.b", "..."};
  for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); ++i) {
    CHECK(tsr_path_is_contained(inside[i]));
  }
  static const char *const outside[] = {"",     "/a",   "../a", "a/../b",
                                        "..",   "a/..", ".",    "./a",
                                        "a//b", "a/",   "/",    "a/./b"};
  for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); ++i) {
    CHECK(!tsr_path_is_contained(outside[i]));
  }
}

static void test_folders(void) {
  tsr_error error = {0};
  CHECK_EQ(tsr_path_make_directories(at("x/y//z/"), &error), TSR_OK);
  CHECK_EQ(tsr_path_make_directories(at("x/y/z"), &error), TSR_OK);
  CHECK(tsr_path_is_directory(at("x/y/z")));
  CHECK(tsr_path_is_empty(at("x/y/z")));
  CHECK(!tsr_path_is_empty(at("x/y")));
  CHECK(!tsr_path_is_empty(at("x/none")));
  write_text(at("x/y/z/f"), "1");
  write_text(at("outside"), "stays");
  CHECK(symlink(root, at("x/y/up")) == 0);
  CHECK_EQ(tsr_path_remove(at("x"), &error), TSR_OK);
  CHECK(!tsr_path_exists(at("x")));
  check_text(at("outside"), "stays");
  CHECK_EQ(tsr_path_remove(at("x"), &error), TSR_OK);
  CHECK_EQ(tsr_path_make_directories(at("outside/x"), &error), TSR_IO);
}

static void stage(const char *text, bool commit) {
  tsr_staging staging;
  tsr_error error = {0};
  CHECK_EQ(tsr_staging_begin(at("bundle/"), &staging, &error), TSR_OK);
  char *path = tsr_path_join(staging.temporary_path, "member");
  write_text(path, text);
  tsr_free(path);
  if (commit) {
    CHECK_EQ(tsr_staging_commit(&staging, &error), TSR_OK);
  }
  tsr_staging_discard(&staging);
  tsr_staging_discard(&staging);
}

static void test_staging(void) {
  int before = entry_count(root);
  stage("lost", false);
  CHECK_EQ(entry_count(root), before);
  stage("first", true);
  check_text(at("bundle/member"), "first");
  stage("lost", false);
  check_text(at("bundle/member"), "first");
  stage("second", true);
  check_text(at("bundle/member"), "second");
  CHECK_EQ(entry_count(root), before + 1);
  // Through a link, which stays.
  CHECK(symlink("bundle", at("bundle-link")) == 0);
  tsr_staging staging;
  CHECK_EQ(tsr_staging_begin(at("bundle-link"), &staging, NULL), TSR_OK);
  CHECK_EQ(tsr_staging_commit(&staging, NULL), TSR_OK);
  struct stat info;
  CHECK(lstat(at("bundle-link"), &info) == 0 && S_ISLNK(info.st_mode));
  CHECK(tsr_path_is_empty(at("bundle")));
  CHECK(unlink(at("bundle-link")) == 0);
  // Also in the place of a file.
  CHECK_EQ(tsr_path_remove(at("bundle"), NULL), TSR_OK);
  write_text(at("bundle"), "a file");
  stage("third", true);
  check_text(at("bundle/member"), "third");
  CHECK_EQ(entry_count(root), before + 1);
}

static void test_names_of_any_length(void) {
  char name[256];
  memset(name, 'n', 255);
  name[255] = '\0';
  write_text(at(name), "long");
  check_text(at(name), "long");
  CHECK(unlink(at(name)) == 0);
}

// What a killed process leaves is removed, what a living one writes is not.
static void test_stale(void) {
  int before = entry_count(root);
  tsr_staging living;
  CHECK_EQ(tsr_staging_begin(at("target"), &living, NULL), TSR_OK);
  pid_t child = fork();
  if (child == 0) {
    tsr_staging staging;
    tsr_output *output;
    if (tsr_staging_begin(at("target"), &staging, NULL) != TSR_OK) _exit(1);
    if (tsr_output_create(at("target"), &output, NULL) != TSR_OK) _exit(1);
    kill(getpid(), SIGKILL);
  }
  int how;
  CHECK(waitpid(child, &how, 0) == child && WIFSIGNALED(how));
  CHECK_EQ(entry_count(root), before + 3);
  tsr_staging staging;
  CHECK_EQ(tsr_staging_begin(at("target"), &staging, NULL), TSR_OK);
  CHECK_EQ(entry_count(root), before + 2);
  CHECK(tsr_path_is_directory(living.temporary_path));
  tsr_staging_discard(&staging);
  tsr_staging_discard(&living);
  CHECK_EQ(entry_count(root), before);
}

static void test_interrupted(void) {
  int before = entry_count(root);
  pid_t child = fork();
  if (child == 0) {
    tsr_staging staging;
    tsr_output *output;
    if (tsr_staging_begin(at("target"), &staging, NULL) != TSR_OK) _exit(1);
    if (tsr_output_create(at("other"), &output, NULL) != TSR_OK) _exit(1);
    tsr_file_remove_temporaries();
    _exit(0);
  }
  int how;
  CHECK(waitpid(child, &how, 0) == child && how == 0);
  CHECK_EQ(entry_count(root), before);
}

static void test_file_too_large(void) {
  int before = entry_count(root);
  pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {100000, 100000};
    setrlimit(RLIMIT_FSIZE, &limit);
    static char big[300000];
    tsr_error error = {0};
    tsr_status status = tsr_file_write(at("limited"), big, sizeof(big), &error);
    _exit(status == TSR_IO && error.native == EFBIG ? 0 : 1);
  }
  int how;
  CHECK(waitpid(child, &how, 0) == child && how == 0);
  CHECK_EQ(entry_count(root), before);
}

static tsr_status stage_once(void) {
  tsr_staging staging;
  tsr_error error = {0};
  tsr_status status = tsr_staging_begin(at("oom"), &staging, &error);
  if (status != TSR_OK) return status;
  char *path = tsr_path_join(staging.temporary_path, "member");
  status =
      path == NULL ? TSR_OUT_OF_MEMORY : tsr_file_write(path, "x", 1, NULL);
  tsr_free(path);
  if (status == TSR_OK) return tsr_staging_commit(&staging, &error);
  tsr_staging_discard(&staging);
  return status;
}

static void test_out_of_memory(void) {
  int before = entry_count(root);
  (void)tsr_memory_fail_at(0);
  CHECK_EQ(stage_once(), TSR_OK);
  uint64_t count = tsr_memory_fail_at(0);
  CHECK(count > 5);
  for (uint64_t i = 1; i <= count; ++i) {
    CHECK_EQ(tsr_path_remove(at("oom"), NULL), TSR_OK);
    (void)tsr_memory_fail_at(i);
    tsr_status status = stage_once();
    (void)tsr_memory_fail_at(0);
    // Looking for stale files and syncing the folder can be done without.
    CHECK(status == TSR_OUT_OF_MEMORY || tsr_path_exists(at("oom")));
  }
  CHECK_EQ(tsr_path_remove(at("oom"), NULL), TSR_OK);
  CHECK_EQ(entry_count(root), before);
}

int main(void) {
  CHECK(mkdtemp(root) != NULL);
  test_maps();
  test_outputs();
  test_paths();
  test_folders();
  test_staging();
  test_names_of_any_length();
  test_stale();
  test_interrupted();
  test_file_too_large();
  test_out_of_memory();
  CHECK_EQ(tsr_path_remove(root, NULL), TSR_OK);
  return test_finish();
}

// SPDX-License-Identifier: Apache-2.0
// What a terminal shows and what Ctrl-C leaves: the fixture tool runs on a
// pseudo-terminal of ours.
#undef _POSIX_C_SOURCE
#undef _GNU_SOURCE
#define _GNU_SOURCE  // posix_openpt, ioctl, environ
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

enum { SCREEN_LIMIT = 1 << 18, WORD_LIMIT = 16 };

typedef struct session {
  pid_t pid;
  int master;
  int status;
  size_t size;
  char screen[SCREEN_LIMIT];
} session;

static session s;
static char folder[] = "/tmp/tessera-cli-XXXXXX";

static void child(int slave, const char *const *environment,
                  char *const *words) {
  (void)setsid();
  (void)ioctl(slave, TIOCSCTTY, 0);
  (void)dup2(slave, 0);
  (void)dup2(slave, 1);
  (void)dup2(slave, 2);
  if (slave > 2) (void)close(slave);
  (void)unsetenv("NO_COLOR");
  (void)setenv("TERM", "xterm", 1);
  (void)setenv("LC_ALL", "C.UTF-8", 1);
  for (size_t i = 0; environment[i] != NULL; i += 2) {
    (void)setenv(environment[i], environment[i + 1], 1);
  }
  (void)execv(words[0], words);
  _exit(127);
}

// Starts the fixture with |words| (NULL-terminated) on a terminal of 80
// columns.
static bool start(const char *const *environment, const char *const *words) {
  char *argv[WORD_LIMIT] = {getenv("CLI_FIXTURE")};
  for (size_t i = 0; words[i] != NULL; ++i) {
    argv[i + 1] = (char *)(uintptr_t)words[i];
  }
  memset(&s, 0, sizeof(s));
  s.master = posix_openpt(O_RDWR | O_NOCTTY);
  if (s.master < 0 || grantpt(s.master) != 0 || unlockpt(s.master) != 0) {
    return false;
  }
  int slave = open(ptsname(s.master), O_RDWR | O_NOCTTY);
  struct winsize window = {.ws_row = 24, .ws_col = 80};
  (void)ioctl(slave, TIOCSWINSZ, &window);
  s.pid = fork();
  if (s.pid == 0) {
    (void)close(s.master);
    child(slave, environment, argv);
  }
  (void)close(slave);
  return s.pid > 0;
}

// Reads for |ms| milliseconds at most, or until |word| has appeared.
static bool watch(const char *word, int ms) {
  struct timespec begin;
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &begin);
  for (;;) {
    if (word != NULL && strstr(s.screen, word) != NULL) return true;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    long spent = (now.tv_sec - begin.tv_sec) * 1000 +
                 (now.tv_nsec - begin.tv_nsec) / 1000000;
    struct pollfd poller = {.fd = s.master, .events = POLLIN};
    if (spent >= ms || poll(&poller, 1, ms - (int)spent) <= 0) return false;
    ssize_t got = read(s.master, s.screen + s.size, SCREEN_LIMIT - 1 - s.size);
    if (got <= 0) return false;  // EIO: the other side is closed
    s.size += (size_t)got;
    s.screen[s.size] = '\0';
  }
}

static void finish(void) {
  (void)watch(NULL, 10000);
  int waited = 0;
  for (int i = 0; i < 500 && waited == 0; ++i) {
    waited = waitpid(s.pid, &s.status, WNOHANG);
    if (waited == 0) (void)usleep(10000);
  }
  if (waited == 0) {
    CHECK(waited != 0);  // the tool ends
    (void)kill(s.pid, SIGKILL);
    (void)waitpid(s.pid, &s.status, 0);
  }
  (void)close(s.master);
}

static size_t files_in_folder(void) {
  DIR *directory = opendir(folder);
  size_t count = 0;
  for (struct dirent *entry = readdir(directory); entry != NULL;
       entry = readdir(directory)) {
    count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
  }
  (void)closedir(directory);
  return count;
}

static void empty_folder(void) {
  char path[600];
  (void)snprintf(path, sizeof(path), "%s/file", folder);
  (void)unlink(path);
  (void)snprintf(path, sizeof(path), "%s/folder", folder);
  (void)rmdir(path);
}

static const char *const plain[] = {NULL};

static void test_bar(void) {
  const char *const words[] = {"work", "--steps", "30", folder, NULL};
  CHECK(start(plain, words));
  finish();
  CHECK(WIFEXITED(s.status) && WEXITSTATUS(s.status) == 0);
  CHECK(strstr(s.screen, "\rworking ") != NULL);
  CHECK(strstr(s.screen, "\u2588") != NULL);
  CHECK(strstr(s.screen, "100 %, 30/30 steps") != NULL);
  CHECK(strstr(s.screen, "\r\033[K\033[32mdone\033[0m\r\n") != NULL);
  CHECK_EQ(files_in_folder(), 2);
  // A bar never takes a line of its own, and no fraction is ahead of its work.
  const char *end = strstr(s.screen, "done");
  CHECK(end != NULL &&
        memchr(s.screen, '\n', (size_t)(end - s.screen)) == NULL);
  CHECK(strstr(s.screen, "100 %, 29/30") == NULL);
  empty_folder();
}

static void test_no_color(void) {
  const char *const environment[] = {"NO_COLOR", "1", NULL};
  const char *const words[] = {"work", "--steps", "3", folder, NULL};
  CHECK(start(environment, words));
  finish();
  CHECK(strstr(s.screen, "\033[32m") == NULL);
  CHECK(strstr(s.screen, "\033[36m") == NULL);
  CHECK(strstr(s.screen, "100 %") != NULL);  // the bar itself stays
  empty_folder();
  const char *const always[] = {"work",           "--steps", "3",
                                "--color=always", folder,    NULL};
  CHECK(start(environment, always));
  finish();
  CHECK(strstr(s.screen, "\033[32mdone") != NULL);
  empty_folder();
}

static void test_ascii_locale(void) {
  const char *const environment[] = {"LC_ALL", "C", NULL};
  const char *const words[] = {"work", "--steps", "5", folder, NULL};
  CHECK(start(environment, words));
  finish();
  CHECK(strstr(s.screen, "####") != NULL);
  CHECK(strstr(s.screen, "\u2588") == NULL);
  empty_folder();
}

static void test_dumb_and_quiet(void) {
  const char *const environment[] = {"TERM", "dumb", NULL};
  const char *const words[] = {"work", "--steps", "3", folder, NULL};
  CHECK(start(environment, words));
  finish();
  CHECK(strchr(s.screen, '\033') == NULL);
  CHECK(strstr(s.screen, "working: 3/3 steps (100 %) step 2\r\n") != NULL);
  empty_folder();
  const char *const quiet[] = {"work", "-q", "--steps", "3", folder, NULL};
  CHECK(start(plain, quiet));
  finish();
  CHECK_STR(s.screen, "\033[32mdone\033[0m\r\n");
  empty_folder();
}

// Ctrl-C, as the terminal's driver sends it to the foreground group.
static void interrupt_once(const char *const *words, const char *until) {
  CHECK(start(plain, words));
  CHECK(watch(until, 10000));
  CHECK_EQ(files_in_folder(), 2);  // the temporary file and folder
  CHECK_EQ(write(s.master, "\003", 1), 1);
  finish();
  CHECK(WIFSIGNALED(s.status) && WTERMSIG(s.status) == SIGINT);
  CHECK_EQ(files_in_folder(), 0);
}

static void test_interrupt(void) {
  const char *const polling[] = {"work", "--steps", "500", folder, NULL};
  interrupt_once(polling, "/500 steps");
  const char *const stubborn[] = {"stubborn", "--steps", "500", folder, NULL};
  interrupt_once(stubborn, "/500 steps");
}

static void test_second_interrupt(void) {
  const char *const words[] = {"work", "--deaf", "--steps",
                               "5000", folder,   NULL};
  CHECK(start(plain, words));
  CHECK(watch("/5000 steps", 10000));
  CHECK_EQ(write(s.master, "\003", 1), 1);
  (void)watch(NULL, 300);
  s.size = 0;
  s.screen[0] = '\0';
  CHECK(watch("/5000 steps", 10000));  // it goes on
  CHECK_EQ(write(s.master, "\003", 1), 1);
  finish();
  CHECK(WIFSIGNALED(s.status) && WTERMSIG(s.status) == SIGINT);
  CHECK_EQ(files_in_folder(), 0);
}

static void test_terminate(void) {
  const char *const words[] = {"work", "--steps", "500", folder, NULL};
  CHECK(start(plain, words));
  CHECK(watch("/500 steps", 10000));
  CHECK_EQ(kill(s.pid, SIGTERM), 0);
  finish();
  CHECK(WIFSIGNALED(s.status) && WTERMSIG(s.status) == SIGTERM);
  CHECK_EQ(files_in_folder(), 0);
}

int main(void) {
  if (getenv("CLI_FIXTURE") == NULL || mkdtemp(folder) == NULL) {
    fprintf(stderr, "SKIPPED: CLI_FIXTURE is not set, or no place in /tmp\n");
    return 77;
  }
  test_bar();
  test_no_color();
  test_ascii_locale();
  test_dumb_and_quiet();
  test_interrupt();
  test_second_interrupt();
  test_terminate();
  CHECK_EQ(rmdir(folder), 0);
  return test_finish();
}

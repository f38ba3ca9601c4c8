// SPDX-License-Identifier: Apache-2.0
// Findings of kernels. One entry per launch, kind and line of the text: the
// first in the lowest-numbered block, so that the list does not depend on which
// thread ran which block when; further ones are counted. The log gets them when
// the launch has ended.
#include "check/report.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "decode/program.h"

enum { FINDINGS_MAX = 256 };

typedef struct entry {
  tessera_emu_finding finding;
  uint64_t block;           // linear
  uint64_t count_in_block;  // of finding.count
  bool settled;             // its launch has ended, the log has it
} entry;

// What a block printed.
typedef struct print {
  uint64_t block;
  size_t start, size;  // in |printed|
} print;

// Per launch, as a device's buffer (cudaLimitPrintfFifoSize).
enum { PRINT_MAX = 1 << 20 };

struct tsr_report {
  pthread_mutex_t mutex;
  entry *entries;  // FINDINGS_MAX
  size_t count;
  uint64_t dropped;    // beyond FINDINGS_MAX
  int log;             // file descriptor, or -1
  int output;          // of printf, likewise
  tsr_buffer printed;  // by the launch in progress
  print *prints;
  size_t print_count, print_capacity;
};

tsr_status tsr_report_create(tsr_report **out_report, tsr_error *error) {
  *out_report = NULL;
  tsr_report *report = tsr_calloc(1, sizeof(*report));
  entry *entries = tsr_calloc(FINDINGS_MAX, sizeof(*entries));
  if (report == NULL || entries == NULL) {
    tsr_free(report);
    tsr_free(entries);
    return tsr_error_out_of_memory(error);
  }
  report->entries = entries;
  report->log = -1;
  report->output = -1;
  tsr_buffer_init(&report->printed);
  if (pthread_mutex_init(&report->mutex, NULL) != 0) {
    tsr_free(entries);
    tsr_free(report);
    return tsr_error_out_of_memory(error);
  }
  *out_report = report;
  return TSR_OK;
}

void tsr_report_destroy(tsr_report *report) {
  if (report == NULL) return;
  tsr_report_set_log(report, NULL);
  tsr_report_set_output(report, NULL);
  tsr_buffer_fini(&report->printed);
  tsr_free(report->prints);
  (void)pthread_mutex_destroy(&report->mutex);
  tsr_free(report->entries);
  tsr_free(report);
}

void tsr_report_clear(tsr_report *report) {
  (void)pthread_mutex_lock(&report->mutex);
  report->count = 0;
  report->dropped = 0;
  (void)pthread_mutex_unlock(&report->mutex);
}

// Replaces |*file| by |path|, "-" being |standard|.
static void reopen(tsr_report *report, int *file, const char *path,
                   int standard) {
  int opened = -1;
  if (path != NULL && strcmp(path, "-") == 0) {
    opened = standard;
  } else if (path != NULL) {
    opened = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  }
  (void)pthread_mutex_lock(&report->mutex);
  int before = *file;
  *file = opened;
  (void)pthread_mutex_unlock(&report->mutex);
  if (before > STDERR_FILENO) (void)close(before);
}

void tsr_report_set_log(tsr_report *report, const char *path) {
  reopen(report, &report->log, path, STDERR_FILENO);
}

void tsr_report_set_output(tsr_report *report, const char *path) {
  reopen(report, &report->output, path, STDOUT_FILENO);
}

static void write_all(int file, const char *cursor, size_t left) {
  while (left > 0) {
    ssize_t written = write(file, cursor, left);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // a log that cannot be written is no error
    cursor += written;
    left -= (size_t)written;
  }
}

static void write_log(int log, const char *message) {
  char line[sizeof(((tessera_emu_finding *)0)->message) + 32];
  int size = snprintf(line, sizeof(line), "tessera-cuda-emu: %s\n", message);
  if (size < 0) return;
  write_all(log, line,
            (size_t)size < sizeof(line) ? (size_t)size : sizeof(line) - 1);
}

// --- What kernels print -----------------------------------------------------

static bool grow_prints(tsr_report *report) {
  if (report->print_count < report->print_capacity) return true;
  size_t capacity = report->print_capacity * 2 + 64;
  print *prints = tsr_realloc(report->prints, capacity * sizeof(*prints));
  if (prints == NULL) return false;
  report->prints = prints;
  report->print_capacity = capacity;
  return true;
}

void tsr_report_print(const tsr_block *block, const char *text, size_t size) {
  tsr_report *report = block->launch->report;
  if (report == NULL || size == 0) return;
  (void)pthread_mutex_lock(&report->mutex);
  if (report->output >= 0 && size <= PRINT_MAX - report->printed.size &&
      grow_prints(report)) {
    report->prints[report->print_count++] = (print){
        .block = block->linear, .start = report->printed.size, .size = size};
    tsr_buffer_append(&report->printed, text, size);
  }
  (void)pthread_mutex_unlock(&report->mutex);
}

static int compare_prints(const void *a, const void *b) {
  const print *x = a, *y = b;
  if (x->block != y->block) return x->block < y->block ? -1 : 1;
  return x->start < y->start ? -1 : 1;
}

// Block by block: the same whatever the threads did.
static void write_prints(tsr_report *report, const tsr_launch *launch) {
  if (report->print_count == 0) return;
  if (!launch->together) {
    qsort(report->prints, report->print_count, sizeof(*report->prints),
          compare_prints);
  }
  for (size_t i = 0; i < report->print_count && !report->printed.failed; ++i) {
    const print *p = &report->prints[i];
    bool behind = tsr_launch_failed(launch) && !launch->together &&
                  p->block > tsr_launch_failed_block(launch);
    if (behind) continue;
    write_all(report->output, report->printed.data + p->start, p->size);
  }
  report->print_count = 0;
  tsr_buffer_fini(&report->printed);
  tsr_buffer_init(&report->printed);
}

const char *tsr_finding_name(tessera_emu_finding_kind kind) {
  static const char *const names[] = {
      "unknown",       "out of bounds", "misaligned", "read-only",
      "uninitialised", "race",          "in flight",  "proxy",
      "divergence",    "deadlock",      "barrier",    "metadata",
      "leak",          "illegal",       "trap",       "timeout",
  };
  size_t index = (size_t)kind;
  return names[index < sizeof(names) / sizeof(names[0]) ? index : 0];
}

// |found| was made once more, in |block|.
static void count_again(entry *found, uint64_t block) {
  ++found->finding.count;
  found->count_in_block += block == found->block ? 1 : 0;
}

static entry *find_entry(tsr_report *report, uint64_t launch,
                         tessera_emu_finding_kind kind, uint32_t line) {
  for (size_t i = report->count; i-- > 0;) {
    tessera_emu_finding *finding = &report->entries[i].finding;
    if (finding->launch == launch && finding->kind == kind &&
        finding->line == line) {
      return &report->entries[i];
    }
  }
  return NULL;
}

// Where a finding was made.
typedef struct place {
  tsr_launch *launch;
  const tsr_block *block;  // NULL: of the launch as a whole
  const tsr_warp *warp;    // NULL: of the block as a whole
  uint32_t lane;
  uint32_t line;
  uint64_t address;
} place;

TSR_PRINTF(3, 0)
static void append_list(char *text, size_t size, const char *format,
                        va_list arguments) {
  size_t used = strlen(text);
  (void)vsnprintf(text + used, size - used, format, arguments);
}

static void append(char *text, size_t size, const char *format, ...)
    TSR_PRINTF(3, 4);
static void append(char *text, size_t size, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  append_list(text, size, format, arguments);
  va_end(arguments);
}

// "gemm: line 12: misaligned: <what> (block (0,0,0), thread (3,0,0), ...)".
TSR_PRINTF(3, 0)
static void compose(tessera_emu_finding *finding, const place *at,
                    const char *format, va_list arguments) {
  char *text = finding->message;
  size_t size = sizeof(finding->message);
  append(text, size, "%s: ", finding->kernel);
  if (at->line != 0) append(text, size, "line %u: ", at->line);
  append(text, size, "%s: ", tsr_finding_name(finding->kind));
  append_list(text, size, format, arguments);
  if (at->block == NULL) return;
  append(text, size, " (block (%u,%u,%u)", finding->block[0], finding->block[1],
         finding->block[2]);
  if (at->warp != NULL && at->lane < TSR_LANES) {
    append(text, size, ", thread (%u,%u,%u)", finding->thread[0],
           finding->thread[1], finding->thread[2]);
  } else if (at->warp != NULL) {
    append(text, size, ", warp %u", at->warp->index);
  }
  if (at->address != TSR_NO_ADDRESS) {
    append(text, size, ", address 0x%llx", (unsigned long long)at->address);
  }
  append(text, size, ")");
}

TSR_PRINTF(4, 0)
static void fill(tessera_emu_finding *finding, const place *at,
                 tessera_emu_finding_kind kind, const char *format,
                 va_list arguments) {
  *finding = (tessera_emu_finding){
      .struct_size = sizeof(*finding),
      .kind = kind,
      .line = at->line,
      .address = at->address,
      .launch = at->launch->number,
  };
  (void)snprintf(finding->kernel, sizeof(finding->kernel), "%s",
                 at->launch->kernel->function.name);
  for (int i = 0; i < 3; ++i) {
    if (at->block != NULL) finding->block[i] = at->block->index[i];
    if (at->warp != NULL && at->lane < TSR_LANES) {
      finding->thread[i] = at->warp->tid[i][at->lane];
    }
  }
  compose(finding, at, format, arguments);
}

TSR_PRINTF(3, 0)
static void record(const place *at, tessera_emu_finding_kind kind,
                   const char *format, va_list arguments) {
  (void)__atomic_add_fetch(&at->launch->findings, 1, __ATOMIC_RELAXED);
  tsr_report *report = at->launch->report;
  if (report == NULL) return;
  uint64_t block = at->block == NULL ? 0 : at->block->linear;
  (void)pthread_mutex_lock(&report->mutex);
  entry *found = find_entry(report, at->launch->number, kind, at->line);
  bool is_new = found == NULL;
  if (is_new && report->count < FINDINGS_MAX) {
    found = &report->entries[report->count++];
    found->finding.count = 0;
    found->settled = false;
  }
  if (found == NULL) {
    ++report->dropped;
  } else {
    uint64_t count = found->finding.count;
    if (is_new || block < found->block) {
      fill(&found->finding, at, kind, format, arguments);
      found->block = block;
      found->count_in_block = 0;
    }
    found->finding.count = count;
    count_again(found, block);
  }
  (void)pthread_mutex_unlock(&report->mutex);
}

bool tsr_find_again(const tsr_warp *warp, const tsr_op *op,
                    tessera_emu_finding_kind kind) {
  tsr_launch *launch = warp->block->launch;
  tsr_report *report = launch->report;
  if (report == NULL) return false;
  uint64_t block = warp->block->linear;
  (void)pthread_mutex_lock(&report->mutex);
  entry *found =
      find_entry(report, launch->number, kind, op == NULL ? 0 : op->line);
  bool again = found != NULL && block >= found->block;
  if (again) count_again(found, block);
  (void)pthread_mutex_unlock(&report->mutex);
  if (again) (void)__atomic_add_fetch(&launch->findings, 1, __ATOMIC_RELAXED);
  return again;
}

void tsr_find(tsr_warp *warp, const tsr_op *op, uint32_t lane,
              tessera_emu_finding_kind kind, bool fatal, uint64_t address,
              const char *format, ...) {
  place at = {
      .launch = warp->block->launch,
      .block = warp->block,
      .warp = warp,
      .lane = lane,
      .line = op == NULL ? 0 : op->line,
      .address = address,
  };
  va_list arguments;
  va_start(arguments, format);
  record(&at, kind, format, arguments);
  va_end(arguments);
  if (fatal) {
    tsr_launch_fail(warp->block->launch, warp->block->linear, (int)kind);
  }
}

void tsr_find_block(tsr_block *block, uint32_t line,
                    tessera_emu_finding_kind kind, bool fatal,
                    const char *format, ...) {
  place at = {
      .launch = block->launch,
      .block = block,
      .lane = TSR_NO_LANE,
      .line = line,
      .address = TSR_NO_ADDRESS,
  };
  va_list arguments;
  va_start(arguments, format);
  record(&at, kind, format, arguments);
  va_end(arguments);
  if (fatal) tsr_launch_fail(block->launch, block->linear, (int)kind);
}

size_t tsr_report_count(tsr_report *report) {
  (void)pthread_mutex_lock(&report->mutex);
  size_t count = report->count;
  (void)pthread_mutex_unlock(&report->mutex);
  return count;
}

size_t tsr_report_count_launch(tsr_report *report, uint64_t number) {
  size_t count = 0;
  (void)pthread_mutex_lock(&report->mutex);
  for (size_t i = 0; i < report->count; ++i) {
    count += report->entries[i].finding.launch == number ? 1 : 0;
  }
  (void)pthread_mutex_unlock(&report->mutex);
  return count;
}

// By launch, block, line, kind: the same whatever the threads did.
static bool before(const entry *a, const entry *b) {
  const tessera_emu_finding *x = &a->finding, *y = &b->finding;
  if (x->launch != y->launch) return x->launch < y->launch;
  if (a->block != b->block) return a->block < b->block;
  if (x->line != y->line) return x->line < y->line;
  return x->kind < y->kind;
}

// Blocks behind the one that failed ran as far as threads let them.
static void drop_behind(tsr_report *report, const tsr_launch *launch) {
  uint64_t last = tsr_launch_failed_block(launch);
  size_t kept = 0;
  for (size_t i = 0; i < report->count; ++i) {
    entry *e = &report->entries[i];
    if (e->finding.launch == launch->number) {
      if (e->block > last) continue;
      e->finding.count = e->count_in_block;
    }
    if (kept != i) report->entries[kept] = *e;
    ++kept;
  }
  report->count = kept;
}

static entry *next_unsettled(tsr_report *report, uint64_t number) {
  entry *next = NULL;
  for (size_t i = 0; i < report->count; ++i) {
    entry *e = &report->entries[i];
    if (e->settled || e->finding.launch != number) continue;
    if (next == NULL || before(e, next)) next = e;
  }
  return next;
}

void tsr_report_settle(const tsr_launch *launch) {
  tsr_report *report = launch->report;
  (void)pthread_mutex_lock(&report->mutex);
  if (tsr_launch_failed(launch) && !launch->together) {
    drop_behind(report, launch);
  }
  write_prints(report, launch);
  entry *next;
  while ((next = next_unsettled(report, launch->number)) != NULL) {
    if (report->log >= 0) write_log(report->log, next->finding.message);
    next->settled = true;
  }
  (void)pthread_mutex_unlock(&report->mutex);
}

bool tsr_report_get(tsr_report *report, size_t index,
                    tessera_emu_finding *out_finding) {
  (void)pthread_mutex_lock(&report->mutex);
  bool found = index < report->count;
  for (size_t i = 0; found && i < report->count; ++i) {
    size_t rank = 0;
    for (size_t j = 0; j < report->count; ++j) {
      rank += before(&report->entries[j], &report->entries[i]) ? 1 : 0;
    }
    if (rank != index) continue;
    size_t size = out_finding->struct_size;
    if (size == 0 || size > sizeof(*out_finding)) size = sizeof(*out_finding);
    memcpy(out_finding, &report->entries[i].finding, size);
    out_finding->struct_size = size;
    break;
  }
  (void)pthread_mutex_unlock(&report->mutex);
  return found;
}

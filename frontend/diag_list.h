// SPDX-License-Identifier: Apache-2.0
// The list of reports, as the front end itself sees it.
#ifndef FRONTEND_DIAG_LIST_H_
#define FRONTEND_DIAG_LIST_H_

#include <pthread.h>

#include "frontend/diag.h"

// Reports kept at most; more are counted, and the output says so.
enum { TSR_DIAG_KEPT_MAX = 20000 };

typedef struct tsr_diag_note_item {
  struct tsr_diag_note_item *next;
  tsr_span span;
  const char *message;
} tsr_diag_note_item;

typedef struct tsr_diag_item {
  struct tsr_diag_item *next;  // newest first
  tsr_diag_code code;
  tsr_span span;
  const char *message;
  tsr_diag_note_item *notes;  // in order of reporting
  tsr_diag_note_item *notes_last;
  pthread_t thread;  // who reported it: notes go to the reporter's last
  uint32_t repeats;  // used when printing: same mistake at the same place
} tsr_diag_item;

struct tsr_diags {
  pthread_mutex_t mutex;  // guards everything below
  tsr_arena arena;        // its own: reports come from any thread
  tsr_diag_item *items;
  uint32_t item_count;
  uint32_t error_count;
  uint32_t warning_count;
  bool incomplete;  // a report was counted but not kept
  // Whose report that was last, while it is that thread's last: its notes have
  // nothing to stand under.
  bool has_dropped;
  pthread_t dropped;
};

// NULL when out of memory.
tsr_diags *tsr_diags_create(void);
void tsr_diags_destroy(tsr_diags *diags);  // NULL is legal

// The properties of a code, by the columns of diag_codes.def.
tsr_severity tsr_diag_severity(tsr_diag_code code);
const char *tsr_diag_code_name(tsr_diag_code code);  // "TSR-E001"

#endif  // FRONTEND_DIAG_LIST_H_

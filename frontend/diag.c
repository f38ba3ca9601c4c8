// SPDX-License-Identifier: Apache-2.0
// Collecting reports. Everything happens under one mutex: reports are rare.
#include "frontend/diag.h"

#include <string.h>

#include "base/memory.h"
#include "frontend/diag_list.h"

tsr_diags *tsr_diags_create(void) {
  tsr_diags *diags = tsr_calloc(1, sizeof(*diags));
  if (diags != NULL && pthread_mutex_init(&diags->mutex, NULL) != 0) {
    tsr_free(diags);
    diags = NULL;
  }
  return diags;
}

void tsr_diags_destroy(tsr_diags *diags) {
  if (diags == NULL) return;
  (void)pthread_mutex_destroy(&diags->mutex);
  tsr_arena_fini(&diags->arena);
  tsr_free(diags);
}

static const char *format_message(tsr_arena *arena, const char *format,
                                  va_list args) TSR_PRINTF(2, 0);

// Formats into |arena|; NULL when out of memory.
TSR_PRINTF(2, 0)
static const char *format_message(tsr_arena *arena, const char *format,
                                  va_list args) {
  va_list again;
  va_copy(again, args);
  int size = vsnprintf(NULL, 0, format, args);
  char *text = size < 0 ? NULL : tsr_arena_alloc(arena, (size_t)size + 1);
  if (text != NULL) (void)vsnprintf(text, (size_t)size + 1, format, again);
  va_end(again);
  return text;
}

static bool is_dropped(const tsr_diags *diags) {
  return diags->has_dropped && pthread_equal(diags->dropped, pthread_self());
}

static void keep(tsr_diags *diags, tsr_diag_code code, tsr_span span,
                 const char *message) {
  tsr_diag_item *item = NULL;
  if (message != NULL && diags->item_count < TSR_DIAG_KEPT_MAX) {
    item = tsr_arena_alloc(&diags->arena, sizeof(*item));
  }
  if (item == NULL) {
    diags->incomplete = true;
    diags->has_dropped = true;
    diags->dropped = pthread_self();
    return;
  }
  if (is_dropped(diags)) diags->has_dropped = false;
  item->next = diags->items;
  item->code = code;
  item->span = span;
  item->message = message;
  item->thread = pthread_self();
  diags->items = item;
  ++diags->item_count;
}

void tsr_diag_report(tsr_diags *diags, tsr_diag_code code, tsr_span span,
                     const char *format, ...) {
  (void)pthread_mutex_lock(&diags->mutex);
  if (tsr_diag_severity(code) == TSR_SEVERITY_ERROR) {
    ++diags->error_count;
  } else {
    ++diags->warning_count;
  }
  va_list args;
  va_start(args, format);
  const char *message = format_message(&diags->arena, format, args);
  va_end(args);
  keep(diags, code, span, message);
  (void)pthread_mutex_unlock(&diags->mutex);
}

static tsr_diag_item *last_of_thread(const tsr_diags *diags) {
  pthread_t self = pthread_self();
  tsr_diag_item *item = diags->items;
  while (item != NULL && !pthread_equal(item->thread, self)) item = item->next;
  return item;
}

void tsr_diag_note(tsr_diags *diags, tsr_span span, const char *format, ...) {
  (void)pthread_mutex_lock(&diags->mutex);
  tsr_diag_item *item = last_of_thread(diags);
  va_list args;
  va_start(args, format);
  const char *message = format_message(&diags->arena, format, args);
  va_end(args);
  tsr_diag_note_item *note =
      message == NULL ? NULL : tsr_arena_alloc(&diags->arena, sizeof(*note));
  if (note != NULL && item != NULL && !is_dropped(diags)) {
    note->span = span;
    note->message = message;
    if (item->notes == NULL) {
      item->notes = note;
    } else {
      item->notes_last->next = note;
    }
    item->notes_last = note;
  }
  (void)pthread_mutex_unlock(&diags->mutex);
}

// The public readers take const lists; locking is not a visible change.
static uint32_t read_count(const tsr_diags *diags, const uint32_t *count) {
  pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&diags->mutex;
  (void)pthread_mutex_lock(mutex);
  uint32_t value = *count;
  (void)pthread_mutex_unlock(mutex);
  return value;
}

uint32_t tsr_diag_error_count(const tsr_diags *diags) {
  return read_count(diags, &diags->error_count);
}

uint32_t tsr_diag_warning_count(const tsr_diags *diags) {
  return read_count(diags, &diags->warning_count);
}

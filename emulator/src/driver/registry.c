// SPDX-License-Identifier: Apache-2.0
// Which handles are alive: a hash table of chains through the objects
// themselves, so that adding one cannot fail.
#include "driver/driver.h"

enum { BUCKETS = 4096 };

static tsr_object *buckets[BUCKETS];

static tsr_object **bucket(const void *handle) {
  uint64_t hash =
      (uint64_t)(uintptr_t)handle * UINT64_C(0x9e3779b97f4a7c15) >> 32;
  return &buckets[hash % BUCKETS];
}

void tsr_object_add(tsr_object *object, tsr_object_kind kind, CUcontext owner) {
  tsr_object **head = bucket(object);
  object->kind = kind;
  object->owner = owner;
  object->next = *head;
  *head = object;
}

void tsr_object_remove(tsr_object *object) {
  for (tsr_object **link = bucket(object); *link != NULL;
       link = &(*link)->next) {
    if (*link != object) continue;
    *link = object->next;
    object->next = NULL;
    return;
  }
}

void *tsr_object_get(const void *handle, tsr_object_kind kind) {
  for (tsr_object *at = *bucket(handle); at != NULL; at = at->next) {
    if (at == handle) return at->kind == kind ? at : NULL;
  }
  return NULL;
}

void *tsr_object_any(tsr_object_kind kind, CUcontext owner) {
  for (uint32_t i = 0; i < BUCKETS; ++i) {
    for (tsr_object *at = buckets[i]; at != NULL; at = at->next) {
      if (at->kind == kind && (owner == NULL || at->owner == owner)) return at;
    }
  }
  return NULL;
}

// SPDX-License-Identifier: Apache-2.0
// Device memory is one reserved range of addresses. Allocations are kept in an
// array sorted by address: a kernel's access needs one search, and mostly none,
// because each thread remembers its last hits. The bitmap of written bytes is
// reserved in parallel, a bit at the same distance from its start as the byte
// has from the heap's. Pages come from the system when they are touched.
#define _GNU_SOURCE  // memfd_create, MAP_FIXED_NOREPLACE, MADV_HUGEPAGE
#include "memory/heap.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/memory.h"
#include "memory/bits.h"

#define ALIGNMENT UINT64_C(512)
#define GUARD UINT64_C(256)
// Where the range is asked for: clear of what systems, sanitizers and position
// independent programs use; other heaps of the process follow at a distance.
#define FIRST_HINT UINT64_C(0x200000000000)
#define HINT_STEP UINT64_C(0x010000000000)
// From this size on, memory is filled by mapping a file of 0xff bytes: a page
// costs nothing until it is written.
#define LAZY_SIZE (UINT64_C(256) << 20)
#define PATTERN_SIZE (UINT64_C(16) << 20)
#define COMMIT_STEP (UINT64_C(32) << 20)
// From this size on, large pages are asked for: a hundredth of the faults.
#define LARGE_SIZE (UINT64_C(8) << 20)
// Ranges from this size on go back to the system when they are freed.
#define RELEASE_SIZE (UINT64_C(1) << 20)

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSR_THREAD_SANITIZER 1
#endif
#endif

#if defined(TSR_THREAD_SANITIZER) || defined(__SANITIZE_THREAD__)
enum { HINT_TRIES = 0 };  // it keeps those addresses for itself
#else
enum { HINT_TRIES = 32 };
#endif
enum { FREED_KEPT = 256, HIT_COUNT = 8 };

typedef struct freed_range {
  uint64_t address, size;
} freed_range;

struct tsr_heap {
  pthread_mutex_t mutex;
  unsigned char *base;
  uint64_t span;       // reserved bytes
  uint64_t committed;  // of those, readable and writable, from the start
  unsigned char *written;
  uint64_t size;            // of the device
  uint64_t used;            // atomic
  uint64_t generation;      // atomic; a new one whenever a range changes
  tsr_allocation *entries;  // sorted by address
  uint32_t entry_count, entry_capacity;
  uint64_t next_serial;
  freed_range freed[FREED_KEPT];  // a ring
  uint64_t freed_count;
  int pattern;  // a file of PATTERN_SIZE 0xff bytes; -1: not made
};

// What a thread found last. Generations are unique in the process, so a hit of
// another heap or of an older state never matches.
typedef struct heap_hit {
  uint64_t generation;
  tsr_allocation allocation;
} heap_hit;

static _Thread_local heap_hit hits[HIT_COUNT];
static _Thread_local uint32_t next_hit;
static uint64_t last_generation;

static uint64_t round_up(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

static uint64_t page_size(void) {
  long size = sysconf(_SC_PAGESIZE);
  return size > 0 ? (uint64_t)size : 4096;
}

static void change(tsr_heap *heap) {
  uint64_t next = __atomic_add_fetch(&last_generation, 1, __ATOMIC_RELAXED);
  __atomic_store_n(&heap->generation, next, __ATOMIC_RELEASE);
}

// --- The range --------------------------------------------------------------

static void *reserve(uint64_t span) {
  for (uint64_t i = 0; i < HINT_TRIES; ++i) {
    void *hint = (void *)(uintptr_t)(FIRST_HINT + i * HINT_STEP);
    void *got =
        mmap(hint, span, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
             -1, 0);
    if (got == hint) return got;
    // A kernel that does not know the flag takes the address as a wish.
    if (got != MAP_FAILED) (void)munmap(got, span);
  }
  return mmap(NULL, span, PROT_NONE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static tsr_status reserve_all(tsr_heap *heap, bool track_written,
                              tsr_error *error) {
  // Guards and rounding double small allocations at most.
  heap->span = round_up(heap->size, COMMIT_STEP) * 2 + (UINT64_C(1) << 30);
  void *base = reserve(heap->span);
  if (base == MAP_FAILED) {
    return tsr_error_set(error, TSR_OUT_OF_MEMORY,
                         "cannot reserve %" PRIu64 " bytes of addresses",
                         heap->span);
  }
  heap->base = base;
  if (!track_written) return TSR_OK;
  void *bits = mmap(NULL, heap->span / 8, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (bits == MAP_FAILED) return tsr_error_out_of_memory(error);
  heap->written = bits;
  return TSR_OK;
}

tsr_status tsr_heap_create(uint64_t size, bool track_written,
                           tsr_heap **out_heap, tsr_error *error) {
  *out_heap = NULL;
  if (size == 0 || size > UINT64_C(1) << 42) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "a heap of %" PRIu64 " bytes", size);
  }
  tsr_heap *heap = tsr_calloc(1, sizeof(*heap));
  if (heap == NULL) return tsr_error_out_of_memory(error);
  if (pthread_mutex_init(&heap->mutex, NULL) != 0) {
    tsr_free(heap);
    return tsr_error_out_of_memory(error);
  }
  heap->size = size;
  heap->pattern = -1;
  change(heap);
  tsr_status status = reserve_all(heap, track_written, error);
  if (status != TSR_OK) {
    tsr_heap_destroy(heap);
    return status;
  }
  *out_heap = heap;
  return TSR_OK;
}

void tsr_heap_destroy(tsr_heap *heap) {
  if (heap == NULL) return;
  if (heap->base != NULL) (void)munmap(heap->base, heap->span);
  if (heap->written != NULL) (void)munmap(heap->written, heap->span / 8);
  if (heap->pattern >= 0) (void)close(heap->pattern);
  (void)pthread_mutex_destroy(&heap->mutex);
  tsr_free(heap->entries);
  tsr_free(heap);
}

static bool commit(tsr_heap *heap, uint64_t end) {
  if (end <= heap->committed) return true;
  uint64_t next = round_up(end, COMMIT_STEP);
  if (next > heap->span) next = heap->span;
  if (mprotect(heap->base + heap->committed, next - heap->committed,
               PROT_READ | PROT_WRITE) != 0) {
    return false;
  }
  heap->committed = next;
  return true;
}

// The whole pages of a range; false when it has none.
static bool whole_pages(unsigned char *start, uint64_t size,
                        unsigned char **out_start, uint64_t *out_size) {
  uint64_t page = page_size();
  uint64_t first = round_up((uint64_t)(uintptr_t)start, page);
  uint64_t last = ((uint64_t)(uintptr_t)start + size) / page * page;
  if (last <= first) return false;
  *out_start = (unsigned char *)(uintptr_t)first;
  *out_size = last - first;
  return true;
}

static int pattern_file(tsr_heap *heap) {
  if (heap->pattern >= 0) return heap->pattern;
  int file = memfd_create("tessera-unwritten", MFD_CLOEXEC);
  if (file < 0) return -1;
  void *bytes = MAP_FAILED;
  if (ftruncate(file, (off_t)PATTERN_SIZE) == 0) {
    bytes =
        mmap(NULL, PATTERN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  if (bytes == MAP_FAILED) {
    (void)close(file);
    return -1;
  }
  memset(bytes, 0xff, PATTERN_SIZE);
  (void)munmap(bytes, PATTERN_SIZE);
  return heap->pattern = file;
}

// Maps 0xff pages over the range; what could not be mapped is written.
static void fill_lazily(tsr_heap *heap, unsigned char *start, uint64_t size) {
  int file = pattern_file(heap);
  for (uint64_t done = 0; done < size; done += PATTERN_SIZE) {
    uint64_t part = size - done < PATTERN_SIZE ? size - done : PATTERN_SIZE;
    void *got = MAP_FAILED;
    if (file >= 0) {
      got = mmap(start + done, part, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file, 0);
    }
    if (got == MAP_FAILED) memset(start + done, 0xff, part);
  }
}

static void fill(tsr_heap *heap, unsigned char *start, uint64_t size) {
  unsigned char *pages = NULL;
  uint64_t pages_size = 0;
  if (!whole_pages(start, size, &pages, &pages_size) || size < LAZY_SIZE) {
    if (size >= LARGE_SIZE) (void)madvise(pages, pages_size, MADV_HUGEPAGE);
    memset(start, 0xff, size);
    return;
  }
  memset(start, 0xff, (size_t)(pages - start));
  fill_lazily(heap, pages, pages_size);
  unsigned char *rest = pages + pages_size;
  memset(rest, 0xff, (size_t)(start + size - rest));
}

// Zeroes a part of the bitmap; large parts go back to the system.
static void forget_written(tsr_heap *heap, uint64_t offset, uint64_t size) {
  if (heap->written == NULL) return;
  unsigned char *start = heap->written + offset / 8;
  uint64_t bytes = round_up(size, ALIGNMENT) / 8;
  unsigned char *pages;
  uint64_t pages_size;
  if (bytes >= RELEASE_SIZE && whole_pages(start, bytes, &pages, &pages_size) &&
      madvise(pages, pages_size, MADV_DONTNEED) == 0) {
    memset(start, 0, (size_t)(pages - start));
    unsigned char *rest = pages + pages_size;
    memset(rest, 0, (size_t)(start + bytes - rest));
    return;
  }
  memset(start, 0, bytes);
}

static void give_back(unsigned char *start, uint64_t size) {
  unsigned char *pages;
  uint64_t pages_size;
  if (size < RELEASE_SIZE || !whole_pages(start, size, &pages, &pages_size)) {
    return;
  }
  // A fresh mapping, for a range that may have pages of the pattern.
  if (size >= LAZY_SIZE) {
    (void)mmap(pages, pages_size, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  } else {
    (void)madvise(pages, pages_size, MADV_DONTNEED);
  }
}

// --- The table --------------------------------------------------------------

// The first entry that begins behind |address|.
static uint32_t upper_bound(const tsr_heap *heap, uint64_t address) {
  uint32_t low = 0;
  uint32_t high = heap->entry_count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (heap->entries[middle].address <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static bool grow(tsr_heap *heap) {
  if (heap->entry_count < heap->entry_capacity) return true;
  uint32_t capacity = heap->entry_capacity == 0 ? 64 : heap->entry_capacity * 2;
  tsr_allocation *entries =
      tsr_realloc(heap->entries, capacity * sizeof(*entries));
  if (entries == NULL) return false;
  heap->entries = entries;
  heap->entry_capacity = capacity;
  return true;
}

// There is room for it.
static void insert(tsr_heap *heap, uint32_t index, tsr_allocation entry) {
  entry.serial = ++heap->next_serial;
  memmove(heap->entries + index + 1, heap->entries + index,
          (heap->entry_count - index) * sizeof(entry));
  heap->entries[index] = entry;
  ++heap->entry_count;
  change(heap);
}

static bool in_range(const tsr_heap *heap, uint64_t address) {
  return address - (uint64_t)(uintptr_t)heap->base < heap->span;
}

// The first gap of |size| bytes and their guard: an offset; UINT64_MAX: none.
static uint64_t first_fit(const tsr_heap *heap, uint64_t size,
                          uint32_t *out_index) {
  uint64_t base = (uint64_t)(uintptr_t)heap->base;
  uint64_t at = ALIGNMENT;
  uint32_t i = upper_bound(heap, base);
  for (; i < heap->entry_count && in_range(heap, heap->entries[i].address);
       ++i) {
    const tsr_allocation *entry = &heap->entries[i];
    if (at + size + GUARD <= entry->address - base) break;
    at = round_up(entry->address - base + entry->size + GUARD, ALIGNMENT);
  }
  *out_index = i;
  return at + size + GUARD <= heap->span ? at : UINT64_MAX;
}

static tsr_status allocate_locked(tsr_heap *heap, uint64_t size,
                                  tsr_heap_use use, uint64_t *out_address,
                                  tsr_error *error) {
  uint64_t used = __atomic_load_n(&heap->used, __ATOMIC_RELAXED);
  if (size > heap->size ||
      round_up(size, ALIGNMENT) > round_up(heap->size, ALIGNMENT) - used) {
    return tsr_error_set(error, TSR_OUT_OF_MEMORY,
                         "device memory is full: %" PRIu64 " of %" PRIu64
                         " bytes are in use, %" PRIu64 " asked for",
                         used, heap->size, size);
  }
  uint32_t index = 0;
  uint64_t offset = first_fit(heap, size, &index);
  if (offset == UINT64_MAX || !grow(heap) ||
      !commit(heap, offset + size + GUARD)) {
    return tsr_error_out_of_memory(error);
  }
  fill(heap, heap->base + offset, size);
  forget_written(heap, offset, size);
  tsr_allocation entry = {
      .address = (uint64_t)(uintptr_t)heap->base + offset,
      .size = size,
      .use = use,
      .written = heap->written == NULL ? NULL : heap->written + offset / 8,
  };
  insert(heap, index, entry);
  __atomic_store_n(&heap->used, used + round_up(size, ALIGNMENT),
                   __ATOMIC_RELAXED);
  *out_address = entry.address;
  return TSR_OK;
}

tsr_status tsr_heap_allocate(tsr_heap *heap, uint64_t size, tsr_heap_use use,
                             uint64_t *out_address, tsr_error *error) {
  *out_address = 0;
  if (size == 0) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "an allocation of 0 bytes");
  }
  (void)pthread_mutex_lock(&heap->mutex);
  tsr_status status = allocate_locked(heap, size, use, out_address, error);
  (void)pthread_mutex_unlock(&heap->mutex);
  return status;
}

static tsr_status register_locked(tsr_heap *heap, uint64_t address,
                                  uint64_t size, tsr_error *error) {
  uint32_t index = upper_bound(heap, address);
  const tsr_allocation *before = index > 0 ? &heap->entries[index - 1] : NULL;
  bool overlaps =
      (before != NULL && address - before->address < before->size) ||
      (index < heap->entry_count &&
       heap->entries[index].address - address < size) ||
      in_range(heap, address);
  if (overlaps) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "memory at 0x%" PRIx64 " is registered already",
                         address);
  }
  if (!grow(heap)) return tsr_error_out_of_memory(error);
  insert(
      heap, index,
      (tsr_allocation){.address = address, .size = size, .use = TSR_HEAP_HOST});
  return TSR_OK;
}

tsr_status tsr_heap_register(tsr_heap *heap, void *address, uint64_t size,
                             tsr_error *error) {
  uint64_t start = (uint64_t)(uintptr_t)address;
  if (address == NULL || size == 0 || start + size < start) {
    return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                         "%" PRIu64 " bytes at %p cannot be registered", size,
                         address);
  }
  (void)pthread_mutex_lock(&heap->mutex);
  tsr_status status = register_locked(heap, start, size, error);
  (void)pthread_mutex_unlock(&heap->mutex);
  return status;
}

bool tsr_heap_free(tsr_heap *heap, uint64_t address) {
  (void)pthread_mutex_lock(&heap->mutex);
  uint32_t index = upper_bound(heap, address);
  bool found = index > 0 && heap->entries[index - 1].address == address;
  if (found) {
    tsr_allocation entry = heap->entries[--index];
    memmove(heap->entries + index, heap->entries + index + 1,
            (heap->entry_count - index - 1) * sizeof(entry));
    --heap->entry_count;
    change(heap);
    if (in_range(heap, address)) {
      (void)__atomic_sub_fetch(&heap->used, round_up(entry.size, ALIGNMENT),
                               __ATOMIC_RELAXED);
      heap->freed[heap->freed_count++ % FREED_KEPT] =
          (freed_range){address, entry.size};
      give_back(heap->base + (address - (uint64_t)(uintptr_t)heap->base),
                entry.size);
    }
  }
  (void)pthread_mutex_unlock(&heap->mutex);
  return found;
}

bool tsr_heap_find(tsr_heap *heap, uint64_t address,
                   tsr_allocation *out_allocation) {
  uint64_t generation = __atomic_load_n(&heap->generation, __ATOMIC_ACQUIRE);
  for (uint32_t i = 0; i < HIT_COUNT; ++i) {
    if (hits[i].generation == generation &&
        address - hits[i].allocation.address < hits[i].allocation.size) {
      *out_allocation = hits[i].allocation;
      return true;
    }
  }
  (void)pthread_mutex_lock(&heap->mutex);
  uint32_t index = upper_bound(heap, address);
  bool found = index > 0 && address - heap->entries[index - 1].address <
                                heap->entries[index - 1].size;
  if (found) {
    *out_allocation = heap->entries[index - 1];
    hits[next_hit++ % HIT_COUNT] =
        (heap_hit){heap->generation, *out_allocation};
  }
  (void)pthread_mutex_unlock(&heap->mutex);
  return found;
}

// --- Messages ---------------------------------------------------------------

// The last freed range that |address| lies in; NULL: none.
static const freed_range *find_freed(const tsr_heap *heap, uint64_t address) {
  uint64_t kept =
      heap->freed_count < FREED_KEPT ? heap->freed_count : FREED_KEPT;
  for (uint64_t i = 1; i <= kept; ++i) {
    const freed_range *range =
        &heap->freed[(heap->freed_count - i) % FREED_KEPT];
    if (address - range->address < range->size) return range;
  }
  return NULL;
}

static void describe_neighbour(const tsr_heap *heap, uint64_t address,
                               char *out_text, uint64_t text_size) {
  uint32_t index = upper_bound(heap, address);
  const tsr_allocation *before = index > 0 ? &heap->entries[index - 1] : NULL;
  const tsr_allocation *after =
      index < heap->entry_count ? &heap->entries[index] : NULL;
  uint64_t behind =
      before == NULL ? UINT64_MAX : address - (before->address + before->size);
  uint64_t ahead = after == NULL ? UINT64_MAX : after->address - address;
  const tsr_allocation *near = behind <= ahead ? before : after;
  uint64_t distance = behind <= ahead ? behind : ahead;
  if (near == NULL) {
    (void)snprintf(out_text, text_size, "nothing is allocated");
    return;
  }
  (void)snprintf(out_text, text_size,
                 "%" PRIu64 " bytes %s the allocation of %" PRIu64
                 " bytes at 0x%" PRIx64,
                 distance, behind <= ahead ? "behind the end of" : "before",
                 near->size, near->address);
}

void tsr_heap_describe(tsr_heap *heap, uint64_t address, char *out_text,
                       uint64_t text_size) {
  tsr_allocation in;
  if (tsr_heap_find(heap, address, &in)) {
    (void)snprintf(out_text, text_size,
                   "%" PRIu64 " bytes into the allocation of %" PRIu64
                   " bytes at 0x%" PRIx64,
                   address - in.address, in.size, in.address);
    return;
  }
  (void)pthread_mutex_lock(&heap->mutex);
  const freed_range *freed = find_freed(heap, address);
  if (freed != NULL) {
    (void)snprintf(out_text, text_size,
                   "in the allocation of %" PRIu64 " bytes at 0x%" PRIx64
                   ", which was freed",
                   freed->size, freed->address);
  } else {
    describe_neighbour(heap, address, out_text, text_size);
  }
  (void)pthread_mutex_unlock(&heap->mutex);
}

// --- Written bytes ----------------------------------------------------------

void tsr_heap_mark_written(tsr_heap *heap, uint64_t address, uint64_t size) {
  tsr_allocation in;
  if (size == 0 || !tsr_heap_find(heap, address, &in) || in.written == NULL) {
    return;
  }
  uint64_t first = address - in.address;
  if (size > in.size - first) size = in.size - first;
  tsr_bits_set(in.written, first, size);
}

uint64_t tsr_heap_used(const tsr_heap *heap) {
  return __atomic_load_n(&heap->used, __ATOMIC_RELAXED);
}

uint64_t tsr_heap_size(const tsr_heap *heap) {
  return heap->size;
}

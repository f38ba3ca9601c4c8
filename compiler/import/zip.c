// SPDX-License-Identifier: Apache-2.0
// Section numbers are those of PKWARE's APPNOTE.TXT 6.3.10.
#include "zip.h"

#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST  // next_in points at const bytes
#include <zlib.h>

#include "base/memory.h"

enum {
  END_SIZE = 22,      // 4.3.16, without comment
  END64_SIZE = 56,    // 4.3.14, without extensible data
  LOCATOR_SIZE = 20,  // 4.3.15
  CENTRAL_SIZE = 46,  // 4.3.12, without name, extra, comment
  LOCAL_SIZE = 30,    // 4.3.7, without name, extra
  MAX_COMMENT = 65535,
  METHOD_STORED = 0,
  METHOD_DEFLATE = 8,
  FLAG_ENCRYPTED = 1,
  EXTRA_ZIP64 = 1,  // 4.5.3
  // Deflate cannot expand more (258 bytes from 2 bits, RFC 1951).
  MAX_EXPANSION = 1032,
};

static uint16_t read16(const uint8_t *p) {
  return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t read32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
         (uint32_t)p[3] << 24;
}

static uint64_t read64(const uint8_t *p) {
  return (uint64_t)read32(p) | (uint64_t)read32(p + 4) << 32;
}

// Where the central directory is and how many entries it has.
typedef struct directory {
  uint64_t offset;
  uint64_t size;
  uint64_t count;
  uint64_t limit;  // the directory must end here or earlier
} directory;

static tsr_status corrupt(tsr_error *error, const char *what) {
  return tsr_error_set(error, TSR_CORRUPT, "zip archive: %s", what);
}

static bool find_end(const uint8_t *data, size_t size, size_t *out_end) {
  size_t lowest =
      size > END_SIZE + MAX_COMMENT ? size - END_SIZE - MAX_COMMENT : 0;
  for (size_t at = size < END_SIZE ? 0 : size - END_SIZE + 1; at-- > lowest;) {
    if (read32(data + at) == 0x06054b50 &&
        read16(data + at + 20) == size - at - END_SIZE) {
      *out_end = at;
      return true;
    }
  }
  return false;
}

static tsr_status read_end64(const uint8_t *data, size_t end, directory *out,
                             tsr_error *error) {
  const uint8_t *locator = data + end - LOCATOR_SIZE;
  uint64_t at = read64(locator + 8);
  if (read32(locator + 4) != 0 || read32(locator + 16) > 1) {
    return corrupt(error, "spans several disks");
  }
  if (end < LOCATOR_SIZE + END64_SIZE || at > end - LOCATOR_SIZE - END64_SIZE ||
      read32(data + at) != 0x06064b50) {
    return corrupt(error, "the zip64 end record is not where it is said to be");
  }
  const uint8_t *record = data + at;
  if (read32(record + 16) != 0 || read32(record + 20) != 0 ||
      read64(record + 24) != read64(record + 32)) {
    return corrupt(error, "spans several disks");
  }
  out->count = read64(record + 32);
  out->size = read64(record + 40);
  out->offset = read64(record + 48);
  out->limit = at;
  return TSR_OK;
}

static tsr_status find_directory(const uint8_t *data, size_t size,
                                 directory *out, tsr_error *error) {
  size_t end = 0;
  if (!find_end(data, size, &end)) {
    return corrupt(error, "no end record (truncated, or not an npz/zip file)");
  }
  const uint8_t *record = data + end;
  *out = (directory){.offset = read32(record + 16),
                     .size = read32(record + 12),
                     .count = read16(record + 10),
                     .limit = end};
  tsr_status status = TSR_OK;
  if (end >= LOCATOR_SIZE && read32(record - LOCATOR_SIZE) == 0x07064b50) {
    status = read_end64(data, end, out, error);
  } else if (read16(record + 4) != 0 || read16(record + 6) != 0 ||
             read16(record + 8) != read16(record + 10)) {
    status = corrupt(error, "spans several disks");
  }
  if (status != TSR_OK) return status;
  if (out->offset > out->limit || out->size > out->limit - out->offset) {
    return corrupt(error, "the central directory lies outside the file");
  }
  if (out->count > out->size / CENTRAL_SIZE) {
    return corrupt(error, "more entries than the central directory holds");
  }
  return TSR_OK;
}

// Replaces the saturated fields by those of the zip64 extra field (4.5.3).
static bool apply_zip64(const uint8_t *extra, size_t size,
                        tsr_zip_entry *entry) {
  bool wants[3] = {entry->size == UINT32_MAX,
                   entry->compressed_size == UINT32_MAX,
                   entry->begin == UINT32_MAX};
  uint64_t *fields[3] = {&entry->size, &entry->compressed_size, &entry->begin};
  if (!wants[0] && !wants[1] && !wants[2]) return true;
  while (size >= 4) {
    size_t length = read16(extra + 2);
    if (length > size - 4) return false;
    if (read16(extra) == EXTRA_ZIP64) {
      const uint8_t *p = extra + 4;
      for (int i = 0; i < 3; ++i) {
        if (!wants[i]) continue;
        if ((size_t)(extra + 4 + length - p) < 8) return false;
        *fields[i] = read64(p);
        p += 8;
      }
      return true;
    }
    extra += 4 + length;
    size -= 4 + length;
  }
  return false;
}

static tsr_status check_entry(const tsr_zip_entry *entry, uint16_t flags,
                              tsr_error *error) {
  if ((flags & FLAG_ENCRYPTED) != 0) {
    return tsr_error_set(error, TSR_UNSUPPORTED, "zip member '%s' is encrypted",
                         entry->name);
  }
  if (entry->method != METHOD_STORED && entry->method != METHOD_DEFLATE) {
    return tsr_error_set(error, TSR_UNSUPPORTED,
                         "zip member '%s' uses compression method %u (stored "
                         "and deflate are supported)",
                         entry->name, entry->method);
  }
  if (entry->method == METHOD_STORED && entry->size != entry->compressed_size) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "zip member '%s' is stored, yet its sizes differ",
                         entry->name);
  }
  if (entry->size / MAX_EXPANSION > entry->compressed_size) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "zip member '%s' declares %llu bytes, more than its "
                         "%llu compressed bytes can hold",
                         entry->name, (unsigned long long)entry->size,
                         (unsigned long long)entry->compressed_size);
  }
  return TSR_OK;
}

// Checks the local header and finds the compressed bytes.
static tsr_status locate_data(const uint8_t *data, const directory *where,
                              tsr_zip_entry *entry, tsr_error *error) {
  size_t name_size = strlen(entry->name);
  if (where->offset < LOCAL_SIZE || entry->begin > where->offset - LOCAL_SIZE ||
      read32(data + entry->begin) != 0x04034b50) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "zip member '%s': no local header at byte %llu",
                         entry->name, (unsigned long long)entry->begin);
  }
  const uint8_t *local = data + entry->begin;
  uint64_t left = where->offset - entry->begin - LOCAL_SIZE;
  uint64_t head = (uint64_t)read16(local + 26) + read16(local + 28);
  if (head > left || entry->compressed_size > left - head) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "zip member '%s' runs past the end of the data",
                         entry->name);
  }
  if (read16(local + 26) != name_size ||
      memcmp(local + LOCAL_SIZE, entry->name, name_size) != 0 ||
      read16(local + 8) != entry->method) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "zip member '%s': local and central headers differ",
                         entry->name);
  }
  entry->data = local + LOCAL_SIZE + head;
  entry->end = entry->begin + LOCAL_SIZE + head + entry->compressed_size;
  return TSR_OK;
}

// One central header; |*at| moves behind it, |*text| behind the copied name.
static tsr_status read_central(const uint8_t *data, const directory *where,
                               uint64_t *at, char **text, tsr_zip_entry *entry,
                               tsr_error *error) {
  uint64_t end = where->offset + where->size;
  const uint8_t *p = data + *at;
  if (end - *at < CENTRAL_SIZE || read32(p) != 0x02014b50) {
    return corrupt(error, "the central directory is damaged or truncated");
  }
  size_t name_size = read16(p + 28);
  size_t extra_size = read16(p + 30);
  size_t comment_size = read16(p + 32);
  if (name_size + extra_size + comment_size > end - *at - CENTRAL_SIZE) {
    return corrupt(error, "the central directory is damaged or truncated");
  }
  if (name_size == 0 || memchr(p + CENTRAL_SIZE, 0, name_size) != NULL) {
    return corrupt(error, "a member's name is empty or has a NUL in it");
  }
  memcpy(*text, p + CENTRAL_SIZE, name_size);
  (*text)[name_size] = '\0';
  *entry = (tsr_zip_entry){.name = *text,
                           .compressed_size = read32(p + 20),
                           .size = read32(p + 24),
                           .begin = read32(p + 42),
                           .crc = read32(p + 16),
                           .method = read16(p + 10)};
  *text += name_size + 1;
  if (!apply_zip64(p + CENTRAL_SIZE + name_size, extra_size, entry)) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "zip member '%s': its zip64 sizes are missing",
                         entry->name);
  }
  *at += CENTRAL_SIZE + name_size + extra_size + comment_size;
  tsr_status status = check_entry(entry, read16(p + 8), error);
  if (status == TSR_OK) status = locate_data(data, where, entry, error);
  return status;
}

static int compare_begin(const void *a, const void *b) {
  const tsr_zip_entry *const *x = a;
  const tsr_zip_entry *const *y = b;
  return ((*x)->begin > (*y)->begin) - ((*x)->begin < (*y)->begin);
}

// Overlapping members are how a small archive declares a huge content.
static tsr_status check_overlap(const tsr_zip *zip, tsr_error *error) {
  const tsr_zip_entry **order = tsr_calloc(zip->count, sizeof(*order));
  if (order == NULL) return tsr_error_out_of_memory(error);
  for (uint32_t i = 0; i < zip->count; ++i) order[i] = &zip->entries[i];
  qsort(order, zip->count, sizeof(*order), compare_begin);
  tsr_status status = TSR_OK;
  for (uint32_t i = 1; i < zip->count && status == TSR_OK; ++i) {
    if (order[i - 1]->end > order[i]->begin) {
      status =
          tsr_error_set(error, TSR_CORRUPT, "zip members '%s' and '%s' overlap",
                        order[i - 1]->name, order[i]->name);
    }
  }
  tsr_free(order);
  return status;
}

static tsr_status index_names(tsr_zip *zip, tsr_error *error) {
  tsr_status status = tsr_names_init(&zip->names, zip->count, error);
  if (status != TSR_OK) return status;
  for (uint32_t i = 0; i < zip->count; ++i) {
    tsr_names_add(&zip->names, zip->entries[i].name, i);
  }
  const char *twice = tsr_names_sort(&zip->names);
  if (twice == NULL) return TSR_OK;
  return tsr_error_set(error, TSR_CORRUPT,
                       "zip archive: two members are named '%s'", twice);
}

static tsr_status read_directory(const uint8_t *data, const directory *where,
                                 tsr_zip *zip, tsr_error *error) {
  zip->entries = tsr_calloc((size_t)where->count, sizeof(*zip->entries));
  // Every name and its NUL fits: a central header is longer than a NUL.
  zip->texts = tsr_malloc((size_t)where->size);
  if (zip->entries == NULL || zip->texts == NULL) {
    return tsr_error_out_of_memory(error);
  }
  uint64_t at = where->offset;
  char *text = zip->texts;
  while (zip->count < where->count) {
    tsr_status status =
        read_central(data, where, &at, &text, &zip->entries[zip->count], error);
    if (status != TSR_OK) return status;
    ++zip->count;
  }
  if (at != where->offset + where->size) {
    return corrupt(error, "the central directory holds more than its entries");
  }
  return TSR_OK;
}

tsr_status tsr_zip_open(const uint8_t *data, size_t size, tsr_zip *out_zip,
                        tsr_error *error) {
  *out_zip = (tsr_zip){.entries = NULL};
  directory where = {.offset = 0};
  tsr_status status = find_directory(data, size, &where, error);
  if (status == TSR_OK && where.count > UINT32_MAX) {
    status = corrupt(error, "more than 4294967295 members");
  }
  if (status == TSR_OK) status = read_directory(data, &where, out_zip, error);
  if (status == TSR_OK) status = check_overlap(out_zip, error);
  if (status == TSR_OK) status = index_names(out_zip, error);
  if (status != TSR_OK) tsr_zip_close(out_zip);
  return status;
}

void tsr_zip_close(tsr_zip *zip) {
  tsr_names_fini(&zip->names);
  tsr_free(zip->entries);
  tsr_free(zip->texts);
  *zip = (tsr_zip){.entries = NULL};
}

static voidpf allocate(voidpf opaque, uInt count, uInt size) {
  (void)opaque;
  return tsr_calloc(count, size);
}

static void release(voidpf opaque, voidpf pointer) {
  (void)opaque;
  tsr_free(pointer);
}

// zlib counts in 32 bits.
static uInt slice(uint64_t left) {
  return left > (1u << 30) ? 1u << 30 : (uInt)left;
}

// The caller names the member.
static tsr_status inflate_failed(const char *why, tsr_error *error) {
  return tsr_error_set(error, TSR_CORRUPT, "%s", why);
}

// Inflates until |size| bytes are out. |*out_ended| tells whether the stream
// ended exactly there, all input used.
static tsr_status run_inflate(z_stream *z, const tsr_zip_entry *entry,
                              uint8_t *out, uint64_t size, bool *out_ended,
                              tsr_error *error) {
  uint64_t in_left = entry->compressed_size;
  uint64_t out_left = size;
  uint8_t surplus;  // the end of the stream may need room to be seen
  int code = Z_OK;
  z->next_out = out;
  while (code == Z_OK) {
    if (z->avail_in == 0 && in_left != 0) {
      z->avail_in = slice(in_left);
      in_left -= z->avail_in;
    }
    if (z->avail_out == 0 && out_left != 0) {
      z->avail_out = slice(out_left);
      out_left -= z->avail_out;
    } else if (z->avail_out == 0) {
      break;
    }
    code = inflate(z, Z_NO_FLUSH);
  }
  if (code == Z_OK) {  // all bytes are out; does the stream end here?
    z->next_out = &surplus;
    z->avail_out = 1;
    if (z->avail_in == 0) z->avail_in = slice(in_left);
    code = inflate(z, Z_NO_FLUSH);
    *out_ended = code == Z_STREAM_END && z->avail_out == 1 &&
                 z->total_in == entry->compressed_size;
    return TSR_OK;
  }
  *out_ended = code == Z_STREAM_END && out_left == 0 && z->avail_out == 0 &&
               z->total_in == entry->compressed_size;
  if (code == Z_MEM_ERROR) return tsr_error_out_of_memory(error);
  if (code == Z_STREAM_END && out_left == 0 && z->avail_out == 0) return TSR_OK;
  return inflate_failed(code == Z_STREAM_END
                            ? "the member holds fewer bytes than it declares"
                            : "the deflate stream is damaged or truncated",
                        error);
}

static tsr_status inflate_entry(const tsr_zip_entry *entry, uint8_t *out,
                                uint64_t size, bool *out_ended,
                                tsr_error *error) {
  z_stream z = {.zalloc = allocate, .zfree = release};
  z.next_in = entry->data;
  if (inflateInit2(&z, -MAX_WBITS) != Z_OK) {
    return tsr_error_out_of_memory(error);
  }
  tsr_status status = run_inflate(&z, entry, out, size, out_ended, error);
  (void)inflateEnd(&z);
  return status;
}

tsr_status tsr_zip_read_prefix(const tsr_zip_entry *entry, void *out,
                               size_t size, tsr_error *error) {
  if (size > entry->size) {
    return inflate_failed("the member is shorter than asked for", error);
  }
  if (size == 0) return TSR_OK;
  if (entry->method == METHOD_STORED) {
    memcpy(out, entry->data, size);
    return TSR_OK;
  }
  bool ended = false;
  return inflate_entry(entry, out, size, &ended, error);
}

static uint32_t checksum(const uint8_t *data, uint64_t size) {
  uLong crc = crc32(0, NULL, 0);
  while (size != 0) {
    uInt here = slice(size);
    crc = crc32(crc, data, here);
    data += here;
    size -= here;
  }
  return (uint32_t)crc;
}

tsr_status tsr_zip_read(const tsr_zip_entry *entry, void *out,
                        tsr_error *error) {
  bool ended = true;
  tsr_status status = TSR_OK;
  if (entry->method == METHOD_STORED) {
    if (entry->size != 0) memcpy(out, entry->data, (size_t)entry->size);
  } else {
    status = inflate_entry(entry, out, entry->size, &ended, error);
  }
  if (status != TSR_OK) return status;
  if (!ended) {
    return inflate_failed("the member holds more bytes than it declares",
                          error);
  }
  if (checksum(out, entry->size) != entry->crc) {
    return inflate_failed("the checksum (CRC-32) does not match", error);
  }
  return TSR_OK;
}

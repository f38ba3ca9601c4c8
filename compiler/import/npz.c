// SPDX-License-Identifier: Apache-2.0
// Reading: a ZIP archive seen as named arrays.
#include "compiler/npz.h"

#include <string.h>

#include "base/memory.h"
#include "zip.h"

struct tsr_npz {
  char *path;  // for messages; owned
  tsr_map map;
  bool owns_map;
  tsr_zip zip;
  // Per ".npy" member, in the order of the archive. Owned.
  uint32_t *members;  // into zip.entries
  char **titles;      // into |texts|: the name without ".npy"
  char *texts;
  uint32_t count;
  tsr_names names;
};

enum {
  SUFFIX_SIZE = 4,  // ".npy"
  // Headers of numpy's are 64 or 128 bytes; a longer one is read in full.
  PEEK_SIZE = 512,
};

static bool is_array(const tsr_zip_entry *entry) {
  size_t size = strlen(entry->name);
  return size > SUFFIX_SIZE &&
         strcmp(entry->name + size - SUFFIX_SIZE, ".npy") == 0;
}

static tsr_status index_arrays(tsr_npz *npz, tsr_error *error) {
  size_t text_size = 0;
  for (uint32_t i = 0; i < npz->zip.count; ++i) {
    text_size += strlen(npz->zip.entries[i].name) + 1;
  }
  npz->members = tsr_calloc(npz->zip.count, sizeof(*npz->members));
  npz->titles = tsr_calloc(npz->zip.count, sizeof(*npz->titles));
  npz->texts = tsr_malloc(text_size);
  if (npz->members == NULL || npz->titles == NULL || npz->texts == NULL) {
    return tsr_error_out_of_memory(error);
  }
  tsr_status status = tsr_names_init(&npz->names, npz->zip.count, error);
  if (status != TSR_OK) return status;
  char *text = npz->texts;
  for (uint32_t i = 0; i < npz->zip.count; ++i) {
    const tsr_zip_entry *entry = &npz->zip.entries[i];
    if (!is_array(entry)) continue;
    size_t size = strlen(entry->name) - SUFFIX_SIZE;
    memcpy(text, entry->name, size);
    text[size] = '\0';
    tsr_names_add(&npz->names, text, npz->count);
    npz->members[npz->count] = i;
    npz->titles[npz->count++] = text;
    text += size + 1;
  }
  // The archive's names are distinct, so these are.
  (void)tsr_names_sort(&npz->names);
  return TSR_OK;
}

static tsr_status create(const char *path, tsr_map map, bool owns_map,
                         tsr_npz **out_npz, tsr_error *error) {
  *out_npz = NULL;
  tsr_map held = map;
  tsr_npz *npz = tsr_calloc(1, sizeof(*npz));
  if (npz == NULL) {
    if (owns_map) tsr_map_close(&held);
    return tsr_error_out_of_memory(error);
  }
  npz->map = map;
  npz->owns_map = owns_map;
  npz->path = tsr_strdup(path);
  tsr_status status =
      npz->path == NULL ? tsr_error_out_of_memory(error) : TSR_OK;
  if (status == TSR_OK) {
    status = tsr_zip_open(map.data, map.size, &npz->zip, error);
  }
  if (status == TSR_OK) status = index_arrays(npz, error);
  if (status == TSR_OK) {
    *out_npz = npz;
  } else {
    if (status != TSR_OUT_OF_MEMORY) tsr_error_prefix(error, "%s", path);
    tsr_npz_close(npz);
  }
  return status;
}

tsr_status tsr_npz_open(const char *path, tsr_npz **out_npz, tsr_error *error) {
  tsr_map map;
  *out_npz = NULL;
  tsr_status status = tsr_map_open(path, &map, error);
  if (status != TSR_OK) return status;
  return create(path, map, true, out_npz, error);
}

tsr_status tsr_npz_open_memory(const char *name, const uint8_t *data,
                               size_t size, tsr_npz **out_npz,
                               tsr_error *error) {
  return create(name, (tsr_map){data, size}, false, out_npz, error);
}

void tsr_npz_close(tsr_npz *npz) {
  if (npz == NULL) return;
  tsr_names_fini(&npz->names);
  tsr_zip_close(&npz->zip);
  if (npz->owns_map) tsr_map_close(&npz->map);
  tsr_free(npz->members);
  tsr_free(npz->titles);
  tsr_free(npz->texts);
  tsr_free(npz->path);
  tsr_free(npz);
}

uint32_t tsr_npz_count(const tsr_npz *npz) {
  return npz->count;
}

const char *tsr_npz_name(const tsr_npz *npz, uint32_t index) {
  return npz->titles[index];
}

bool tsr_npz_find(const tsr_npz *npz, const char *name, uint32_t *out_index) {
  return tsr_names_find(&npz->names, name, out_index);
}

const char *tsr_npz_nearest(const tsr_npz *npz, const char *name) {
  return tsr_names_nearest(&npz->names, name);
}

static const tsr_zip_entry *entry_of(const tsr_npz *npz, uint32_t index) {
  return &npz->zip.entries[npz->members[index]];
}

static tsr_status peek_long(const tsr_zip_entry *entry, tsr_npy *out_array,
                            tsr_error *error) {
  // Twice the longest header that the parser accepts.
  size_t size = entry->size < 131072 ? (size_t)entry->size : 131072;
  uint8_t *bytes = tsr_malloc(size);
  if (bytes == NULL) return tsr_error_out_of_memory(error);
  tsr_status status = tsr_zip_read_prefix(entry, bytes, size, error);
  if (status == TSR_OK) {
    status = tsr_npy_parse_header(bytes, size, out_array, error);
  }
  tsr_free(bytes);
  return status;
}

static tsr_status peek_entry(const tsr_zip_entry *entry, tsr_npy *out_array,
                             tsr_error *error) {
  uint8_t bytes[PEEK_SIZE];
  size_t size = entry->size < PEEK_SIZE ? (size_t)entry->size : PEEK_SIZE;
  tsr_status status = tsr_zip_read_prefix(entry, bytes, size, error);
  if (status != TSR_OK) return status;
  // A header that does not fit is tried again with room.
  if (size == PEEK_SIZE) {
    status = tsr_npy_parse_header(bytes, size, out_array, NULL);
    if (status != TSR_OK) status = peek_long(entry, out_array, error);
  } else {
    status = tsr_npy_parse_header(bytes, size, out_array, error);
  }
  if (status != TSR_OK) return status;
  uint64_t declared = out_array->header_size + out_array->data_size;
  if (declared == entry->size) return TSR_OK;
  memset(out_array, 0, sizeof(*out_array));
  return tsr_error_set(error, TSR_CORRUPT,
                       "the member has %llu bytes where its npy header "
                       "declares %llu",
                       (unsigned long long)entry->size,
                       (unsigned long long)declared);
}

static void name_member(const tsr_npz *npz, const tsr_zip_entry *entry,
                        tsr_status status, tsr_error *error) {
  if (status == TSR_OUT_OF_MEMORY) return;
  tsr_error_prefix(error, "%s: %s", npz->path, entry->name);
}

tsr_status tsr_npz_peek(const tsr_npz *npz, uint32_t index, tsr_npy *out_array,
                        tsr_error *error) {
  memset(out_array, 0, sizeof(*out_array));
  const tsr_zip_entry *entry = entry_of(npz, index);
  tsr_status status = peek_entry(entry, out_array, error);
  if (status != TSR_OK) name_member(npz, entry, status, error);
  return status;
}

static tsr_status read_entry(const tsr_zip_entry *entry, tsr_npy *out_array,
                             void **out_memory, tsr_error *error) {
  tsr_npy header = {.rank = 0};
  tsr_status status = peek_entry(entry, &header, error);
  if (status != TSR_OK) return status;
  // malloc aligns to 16 and numpy's headers are multiples of 16; tsr_npy_parse
  // refuses the rest.
  uint8_t *bytes = tsr_malloc((size_t)entry->size);
  if (bytes == NULL) return tsr_error_out_of_memory(error);
  status = tsr_zip_read(entry, bytes, error);
  if (status == TSR_OK) {
    status = tsr_npy_parse(bytes, (size_t)entry->size, out_array, error);
  }
  if (status == TSR_OK) {
    *out_memory = bytes;
  } else {
    tsr_free(bytes);
  }
  return status;
}

tsr_status tsr_npz_read(const tsr_npz *npz, uint32_t index, tsr_npy *out_array,
                        void **out_memory, tsr_error *error) {
  *out_memory = NULL;
  memset(out_array, 0, sizeof(*out_array));
  const tsr_zip_entry *entry = entry_of(npz, index);
  tsr_status status = read_entry(entry, out_array, out_memory, error);
  if (status != TSR_OK) name_member(npz, entry, status, error);
  // The compressed bytes are not needed again soon.
  if (npz->owns_map) {
    tsr_map_drop(&npz->map, (size_t)entry->begin,
                 (size_t)(entry->end - entry->begin));
  }
  return status;
}

static void append_utf8(tsr_buffer *out, uint32_t code) {
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) code = 0xfffd;
  char bytes[4];
  size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = size; i-- > 1; code >>= 6) {
    bytes[i] = (char)(0x80 | (code & 0x3f));
  }
  static const uint8_t lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
  bytes[0] = (char)(lead[size] | code);
  tsr_buffer_append(out, bytes, size);
}

tsr_status tsr_npz_read_text(const tsr_npz *npz, uint32_t index,
                             char **out_text, tsr_error *error) {
  *out_text = NULL;
  tsr_npy array;
  void *memory = NULL;
  tsr_status status = tsr_npz_read(npz, index, &array, &memory, error);
  if (status != TSR_OK) return status;
  tsr_buffer text;
  tsr_buffer_init(&text);
  if (array.type != TSR_NPY_UNICODE || array.rank != 0) {
    status = tsr_error_set(error, TSR_CORRUPT, "%s: %s is not a text",
                           npz->path, npz->titles[index]);
  } else {
    tsr_buffer_append(&text, "", 0);
    const uint32_t *codes = array.data;
    for (uint32_t i = 0; i < array.item_size / 4 && codes[i] != 0; ++i) {
      append_utf8(&text, codes[i]);
    }
    status = tsr_buffer_status(&text, error);
  }
  tsr_free(memory);
  if (status == TSR_OK) {
    *out_text = text.data;
  } else {
    tsr_buffer_fini(&text);
  }
  return status;
}

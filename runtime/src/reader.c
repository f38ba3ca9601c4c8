// SPDX-License-Identifier: Apache-2.0
#include "reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"

enum { PATH_SIZE = 160 };

// "host.stream.offset", "tokens[1]": from below the scope to |node|.
static void write_path(const tsr_reader *reader, const tsr_json *node,
                       char out_path[PATH_SIZE]) {
  const tsr_json *chain[TSR_JSON_DEPTH_LIMIT];
  size_t depth = 0;
  for (; node != NULL && node != reader->scope && node->parent != NULL &&
         depth < TSR_JSON_DEPTH_LIMIT;
       node = node->parent) {
    chain[depth++] = node;
  }
  size_t used = 0;
  out_path[0] = '\0';
  while (depth != 0 && used < PATH_SIZE) {
    const tsr_json *step = chain[--depth];
    int size =
        step->key == NULL
            ? snprintf(out_path + used, PATH_SIZE - used, "[%u]", step->index)
            : snprintf(out_path + used, PATH_SIZE - used, "%s%.64s",
                       used == 0 ? "" : ".", step->key);
    used += (size_t)size;
  }
}

TSR_PRINTF(3, 0)
static void record(tsr_reader *reader, const char *path, const char *format,
                   va_list args) {
  char message[256];
  (void)vsnprintf(message, sizeof(message), format, args);
  bool has_label = reader->label[0] != '\0';
  bool has_path = path[0] != '\0';
  reader->status =
      tsr_fail(reader->error, TESSERA_CORRUPT, "%s%s%s%s%s", reader->label,
               has_label ? ": " : "", path, has_path ? ": " : "", message);
}

void tsr_reader_fail(tsr_reader *reader, const tsr_json *node,
                     const char *format, ...) {
  if (reader->status != TESSERA_OK) return;
  char path[PATH_SIZE];
  write_path(reader, node, path);
  va_list args;
  va_start(args, format);
  record(reader, path, format, args);
  va_end(args);
}

void tsr_reader_fail_key(tsr_reader *reader, const tsr_json *object,
                         const char *key, const char *format, ...) {
  if (reader->status != TESSERA_OK) return;
  // The member may be absent: name it through a stand-in.
  tsr_json member = {.key = key, .parent = object};
  char path[PATH_SIZE];
  write_path(reader, &member, path);
  va_list args;
  va_start(args, format);
  record(reader, path, format, args);
  va_end(args);
}

void tsr_reader_prefix_key(tsr_reader *reader, const tsr_json *object,
                           const char *key) {
  tsr_json member = {.key = key, .parent = object};
  char path[PATH_SIZE];
  write_path(reader, &member, path);
  bool has_label = reader->label[0] != '\0';
  tsr_fail_prefix(reader->error, "%s%s%s", reader->label, has_label ? ": " : "",
                  path);
}

// The member, if it is there and of |type|; else NULL and a failure.
static const tsr_json *find(tsr_reader *reader, const tsr_json *object,
                            const char *key, tsr_json_type type,
                            const char *type_name) {
  if (reader->status != TESSERA_OK) return NULL;
  const tsr_json *node = tsr_json_find(object, key);
  if (node == NULL) {
    tsr_reader_fail_key(reader, object, key, "missing");
    return NULL;
  }
  if (node->type != type) {
    tsr_reader_fail(reader, node, "expected %s", type_name);
    return NULL;
  }
  return node;
}

static uint64_t take_uint(tsr_reader *reader, const tsr_json *node,
                          uint64_t minimum, uint64_t maximum) {
  bool is_natural = node->type == TSR_JSON_INTEGER && !node->negative;
  if (is_natural && node->magnitude >= minimum && node->magnitude <= maximum) {
    return node->magnitude;
  }
  if (minimum == maximum) {
    tsr_reader_fail(reader, node, "expected %llu", (unsigned long long)minimum);
  } else {
    tsr_reader_fail(reader, node, "expected an integer from %llu to %llu",
                    (unsigned long long)minimum, (unsigned long long)maximum);
  }
  return minimum;
}

uint64_t tsr_read_uint(tsr_reader *reader, const tsr_json *object,
                       const char *key, uint64_t minimum, uint64_t maximum) {
  if (reader->status != TESSERA_OK) return minimum;
  const tsr_json *node = tsr_json_find(object, key);
  if (node == NULL) {
    tsr_reader_fail_key(reader, object, key, "missing");
    return minimum;
  }
  return take_uint(reader, node, minimum, maximum);
}

uint32_t tsr_read_u32(tsr_reader *reader, const tsr_json *object,
                      const char *key, uint32_t minimum, uint32_t maximum) {
  return (uint32_t)tsr_read_uint(reader, object, key, minimum, maximum);
}

bool tsr_read_bool(tsr_reader *reader, const tsr_json *object,
                   const char *key) {
  const tsr_json *node =
      find(reader, object, key, TSR_JSON_BOOLEAN, "true or false");
  return node != NULL && node->boolean;
}

const char *tsr_read_string(tsr_reader *reader, const tsr_json *object,
                            const char *key) {
  const tsr_json *node = find(reader, object, key, TSR_JSON_STRING, "a string");
  if (node == NULL) return "";
  const char *copy =
      tsr_arena_strndup(reader->arena, node->string, strlen(node->string));
  if (copy != NULL) return copy;
  reader->status = tsr_fail_out_of_memory(reader->error);
  return "";
}

static bool is_identifier(const char *text) {
  if (text[0] >= '0' && text[0] <= '9') return false;
  for (const char *c = text; *c != '\0'; ++c) {
    bool is_legal = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= '0' && *c <= '9') || *c == '_';
    if (!is_legal) return false;
  }
  return text[0] != '\0';
}

const char *tsr_read_identifier(tsr_reader *reader, const tsr_json *object,
                                const char *key, bool may_be_empty) {
  const char *text = tsr_read_string(reader, object, key);
  if (reader->status != TESSERA_OK) return "";
  if ((may_be_empty && text[0] == '\0') || is_identifier(text)) return text;
  tsr_reader_fail_key(reader, object, key, "'%.100s' is not a C identifier",
                      text);
  return "";
}

tsr_hash tsr_read_hash(tsr_reader *reader, const tsr_json *object,
                       const char *key) {
  tsr_hash hash = {0};
  const tsr_json *node = find(reader, object, key, TSR_JSON_STRING, "a string");
  if (node != NULL && !tsr_hash_parse(node->string, &hash)) {
    tsr_reader_fail(reader, node, "expected 32 lower-case hexadecimal digits");
  }
  return hash;
}

uint32_t tsr_read_word(tsr_reader *reader, const tsr_json *object,
                       const char *key, const char *(*word)(uint32_t),
                       uint32_t count) {
  const tsr_json *node = find(reader, object, key, TSR_JSON_STRING, "a string");
  if (node == NULL) return 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (strcmp(node->string, word(i)) == 0) return i;
  }
  tsr_reader_fail(reader, node, "unknown word '%.64s'", node->string);
  return 0;
}

const tsr_json *tsr_read_object(tsr_reader *reader, const tsr_json *object,
                                const char *key) {
  return find(reader, object, key, TSR_JSON_OBJECT, "an object");
}

const tsr_json *tsr_read_array(tsr_reader *reader, const tsr_json *object,
                               const char *key) {
  return find(reader, object, key, TSR_JSON_ARRAY, "an array");
}

void tsr_read_pair(tsr_reader *reader, const tsr_json *object, const char *key,
                   uint64_t minimum, uint64_t maximum, uint64_t out_pair[2]) {
  out_pair[0] = out_pair[1] = minimum;
  const tsr_json *node = tsr_read_array(reader, object, key);
  if (node == NULL) return;
  if (node->count != 2) {
    tsr_reader_fail(reader, node, "expected two integers");
    return;
  }
  out_pair[0] = take_uint(reader, node->first, minimum, maximum);
  if (reader->status != TESSERA_OK) return;
  out_pair[1] = take_uint(reader, node->first->next, minimum, maximum);
}

// SPDX-License-Identifier: Apache-2.0
// Many modules -> one: the header once, declarations of shared memory once,
// then the entries in the order given. PTX has no include and no linker that a
// driver would run for us; and a hundred modules would each be loaded alone.
#include <stdio.h>
#include <string.h>

#include "nv.h"

typedef struct joiner {
  const tsr_cuda_target *target;
  tsr_buffer shared;  // declarations seen, one a line
  tsr_buffer names;   // entries seen, each in line ends: "\nNAME\n"
  tsr_buffer body;
} joiner;

typedef struct line {
  const char *text;  // without leading blanks
  size_t size;       // without the line's end
} line;

static line line_at(const char *at, const char *end) {
  const char *stop = memchr(at, '\n', (size_t)(end - at));
  line l = {at, (size_t)((stop != NULL ? stop : end) - at)};
  while (l.size != 0 && (*l.text == ' ' || *l.text == '\t')) {
    ++l.text;
    --l.size;
  }
  while (l.size != 0 &&
         (l.text[l.size - 1] == '\r' || l.text[l.size - 1] == ' ')) {
    --l.size;
  }
  return l;
}

static bool begins(line l, const char *word) {
  size_t size = strlen(word);
  return l.size >= size && memcmp(l.text, word, size) == 0;
}

static bool equals(line l, const char *word) {
  return l.size == strlen(word) && begins(l, word);
}

// The identifier that ends at the first of |stops| or at the line's end.
static line word_until(line l, const char *stops) {
  size_t size = 0;
  while (size < l.size && strchr(stops, l.text[size]) == NULL) ++size;
  return (line){l.text, size};
}

// Whether |list| has |word| between line ends; adds it if not.
static bool note(tsr_buffer *list, line word) {
  for (const char *at = tsr_buffer_text(list); (at = strchr(at, '\n'));) {
    ++at;
    if (strncmp(at, word.text, word.size) == 0 && at[word.size] == '\n') {
      return true;
    }
  }
  if (list->size == 0) tsr_buffer_append_char(list, '\n');
  tsr_buffer_append(list, word.text, word.size);
  tsr_buffer_append_char(list, '\n');
  return false;
}

// .version, .target and .address_size, which must be the target's.
static tsr_status check_header(const joiner *j, const tsr_object *text, line l,
                               uint32_t *io_seen, tsr_error *error) {
  char version[24];
  char target[24];
  (void)snprintf(version, sizeof(version), ".version %u.%u",
                 j->target->ptx / 10, j->target->ptx % 10);
  (void)snprintf(target, sizeof(target), ".target %s", j->target->name);
  const char *expected[] = {version, target, ".address_size 64"};
  if (*io_seen < 3 && equals(l, expected[*io_seen])) {
    ++*io_seen;
    return TSR_OK;
  }
  return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                       "%s: \"%.*s\" in a module for %s", text->name,
                       l.size > 80 ? 80 : (int)l.size, l.text, j->target->name);
}

static tsr_status take_entry(joiner *j, const tsr_object *text, line l,
                             tsr_error *error) {
  size_t skip = strlen(".visible .entry ");
  line name = word_until((line){l.text + skip, l.size - skip}, "( ");
  if (!note(&j->names, name)) return TSR_OK;
  return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                       "%s: a second entry named %.*s", text->name,
                       name.size > 200 ? 200 : (int)name.size, name.text);
}

static tsr_status take_line(joiner *j, const tsr_object *text, line l,
                            bool *io_in_body, uint32_t *io_seen,
                            tsr_error *error) {
  if (begins(l, ".version ") || begins(l, ".target ") ||
      begins(l, ".address_size ")) {
    return check_header(j, text, l, io_seen, error);
  }
  if (begins(l, ".extern .shared ")) {
    (void)note(&j->shared, l);
    return TSR_OK;
  }
  if (begins(l, ".visible .entry ")) {
    *io_in_body = true;
    return take_entry(j, text, l, error);
  }
  // Variables and functions would need names of their own; there are none.
  bool is_global = begins(l, ".global ") || begins(l, ".const ") ||
                   begins(l, ".visible .") || begins(l, ".func") ||
                   begins(l, ".extern .");
  if (!is_global) return TSR_OK;
  return tsr_error_set(error, TSR_INTERNAL, "%s: cannot join \"%.*s\"",
                       text->name, l.size > 80 ? 80 : (int)l.size, l.text);
}

static tsr_status take_text(joiner *j, const tsr_object *text,
                            tsr_error *error) {
  const char *at = text->data;
  const char *end = at + strnlen(at, text->size);
  bool in_body = false;
  uint32_t seen = 0;
  while (at < end) {
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    line l = line_at(at, end);
    tsr_status status = take_line(j, text, l, &in_body, &seen, error);
    if (status != TSR_OK) return status;
    if (stop == NULL) stop = end - 1;
    if (in_body) tsr_buffer_append(&j->body, at, (size_t)(stop + 1 - at));
    at = stop + 1;
  }
  if (seen == 3 && in_body) return TSR_OK;
  return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                       "%s is not a module with an entry", text->name);
}

static void write_comment(const char *comment, tsr_buffer *out) {
  for (const char *at = comment; at != NULL && *at != '\0';) {
    size_t size = strcspn(at, "\n");
    tsr_buffer_append_string(out, size == 0 ? "//" : "// ");
    tsr_buffer_append(out, at, size);
    tsr_buffer_append_char(out, '\n');
    at += size + (at[size] == '\n');
  }
}

static void write_module(const joiner *j, const char *comment,
                         tsr_buffer *out) {
  write_comment(comment, out);
  tsr_buffer_printf(out, "\n.version %u.%u\n.target %s\n.address_size 64\n",
                    j->target->ptx / 10, j->target->ptx % 10, j->target->name);
  tsr_buffer_append(out, tsr_buffer_text(&j->shared), j->shared.size);
  tsr_buffer_append_char(out, '\n');
  tsr_buffer_append(out, tsr_buffer_text(&j->body), j->body.size);
}

tsr_status tsr_cuda_join(const tsr_cuda_target *target, const char *comment,
                         const tsr_object *texts, uint32_t text_count,
                         tsr_buffer *out, tsr_error *error) {
  joiner j = {.target = target};
  tsr_buffer_init(&j.shared);
  tsr_buffer_init(&j.names);
  tsr_buffer_init(&j.body);
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; i < text_count && status == TSR_OK; ++i) {
    status = take_text(&j, &texts[i], error);
  }
  if (status == TSR_OK) status = tsr_buffer_status(&j.shared, error);
  if (status == TSR_OK) status = tsr_buffer_status(&j.names, error);
  if (status == TSR_OK) status = tsr_buffer_status(&j.body, error);
  if (status == TSR_OK) {
    write_module(&j, comment, out);
    status = tsr_buffer_status(out, error);
  }
  tsr_buffer_fini(&j.shared);
  tsr_buffer_fini(&j.names);
  tsr_buffer_fini(&j.body);
  return status;
}

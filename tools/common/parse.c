// SPDX-License-Identifier: Apache-2.0
// Words of the command line -> occurrences of options, by the command's table.
// Every value is checked here, so that commands never see a bad one.
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "common/cli_internal.h"

static const char *const color_words[] = {"auto", "always", "never", NULL};

const tsr_option tsr_common_options[] = {
    {.name = "quiet", .letters = "q", .help = "no progress, no notes"},
    {.name = "color",
     .type = TSR_OPTION_CHOICE,
     .value = "WHEN",
     .help = "use colours; auto: on a terminal, unless NO_COLOR is set",
     .default_text = "auto",
     .choices = color_words},
    {.name = "help", .letters = "h", .help = "show this help and exit"},
    {.name = "version", .help = "show the version and exit"},
    {0}};

const tsr_option *tsr_option_next(tsr_option_visit *visit) {
  if (!visit->common) {
    const tsr_option *own = visit->command->options;
    if (own != NULL && own[visit->index].name != NULL) {
      return &own[visit->index++];
    }
    visit->common = true;
    visit->index = 0;
  }
  const tsr_option *option = &tsr_common_options[visit->index];
  if (option->name == NULL) return NULL;
  ++visit->index;
  return option;
}

const tsr_option *tsr_option_find(const tsr_command *command,
                                  const char *name) {
  tsr_option_visit visit = {.command = command};
  const tsr_option *option = tsr_option_next(&visit);
  while (option != NULL && strcmp(option->name, name) != 0) {
    option = tsr_option_next(&visit);
  }
  return option;
}

bool tsr_option_takes_value(const tsr_option *option) {
  return option->type != TSR_OPTION_FLAG;
}

bool tsr_option_is_list(const tsr_option *option) {
  return option->type == TSR_OPTION_UINT_LIST ||
         option->type == TSR_OPTION_CHOICE_LIST;
}

// ---- Values -----------------------------------------------------------------

typedef struct parser {
  tsr_cli *cli;
  int argc;
  char **argv;
  int next;
  const char **positionals;  // owned; handed to the cli
  uint32_t arg_capacity;
} parser;

// As the user wrote it: "--output" or "-o".
static const char *spelled(const tsr_option *option, bool is_long,
                           char buffer[80]) {
  (void)snprintf(buffer, 80, "%s%s", is_long ? "--" : "-",
                 is_long ? option->name : option->letters);
  return buffer;
}

static int bad_number(const parser *p, const tsr_option *option,
                      const char *spelling, const char *text) {
  const char *what =
      option->type == TSR_OPTION_REAL ? "a number" : "a whole number";
  if (option->minimum == 0 && option->maximum == 0) {
    return tsr_cli_usage_error(p->cli, "option '%s' needs %s, not '%s'",
                               spelling, what, text);
  }
  return tsr_cli_usage_error(p->cli,
                             "option '%s' needs %s from %.15g to %.15g, not "
                             "'%s'",
                             spelling, what, option->minimum, option->maximum,
                             text);
}

static bool in_range(const tsr_option *option, double value) {
  if (option->minimum == 0 && option->maximum == 0) return true;
  return value >= option->minimum && value <= option->maximum;
}

static bool read_uint(const char *text, uint64_t *out_value) {
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || text[digits] != '\0') return false;
  errno = 0;
  unsigned long long value = strtoull(text, NULL, 10);
  *out_value = value;
  return errno == 0;
}

// LC_NUMERIC is always "C" in our tools, so strtod reads '.'; hexadecimal,
// "inf" and "nan" are refused.
static bool read_real(const char *text, double *out_value) {
  size_t length = strspn(text, "0123456789.eE+-");
  if (length == 0 || text[length] != '\0') return false;
  char *end = NULL;
  errno = 0;
  *out_value = strtod(text, &end);
  return errno == 0 && end != text && *end == '\0';
}

static int bad_choice(const parser *p, const tsr_option *option,
                      const char *spelling, const char *text) {
  tsr_buffer list = {0};
  for (size_t i = 0; option->choices[i] != NULL; ++i) {
    tsr_buffer_printf(&list, "%s%s", i == 0 ? "" : ", ", option->choices[i]);
  }
  const char *meant = tsr_suggest_word(text, option->choices);
  int code;
  if (meant != NULL) {
    code = tsr_cli_usage_error(
        p->cli, "option '%s': unknown value '%s'; did you mean '%s'?", spelling,
        text, meant);
  } else {
    code = tsr_cli_usage_error(p->cli,
                               "option '%s': unknown value '%s'; it can be %s",
                               spelling, text, tsr_buffer_text(&list));
  }
  tsr_buffer_fini(&list);
  return code;
}

static bool is_choice(const tsr_option *option, const char *text) {
  for (size_t i = 0; option->choices[i] != NULL; ++i) {
    if (strcmp(option->choices[i], text) == 0) return true;
  }
  return false;
}

static int out_of_memory(const parser *p) {
  tsr_cli_error(p->cli, "out of memory");
  return TSR_EXIT_FAILURE;
}

static int add_arg(parser *p, const tsr_arg *arg) {
  tsr_cli *cli = p->cli;
  if (cli->arg_count == p->arg_capacity) {
    uint32_t capacity = p->arg_capacity == 0 ? 16 : p->arg_capacity * 2;
    tsr_arg *args = tsr_realloc(cli->args, capacity * sizeof(*args));
    if (args == NULL) return out_of_memory(p);
    cli->args = args;
    p->arg_capacity = capacity;
  }
  cli->args[cli->arg_count++] = *arg;
  return TSR_EXIT_OK;
}

// |text| is one value (one element of a list).
static int add_value(parser *p, const tsr_option *option, const char *spelling,
                     const char *text) {
  tsr_arg arg = {.option = option, .text = text};
  switch (option->type) {
    case TSR_OPTION_UINT:
    case TSR_OPTION_UINT_LIST:
      if (!read_uint(text, &arg.number) ||
          !in_range(option, (double)arg.number)) {
        return bad_number(p, option, spelling, text);
      }
      break;
    case TSR_OPTION_REAL:
      if (!read_real(text, &arg.real) || !in_range(option, arg.real)) {
        return bad_number(p, option, spelling, text);
      }
      break;
    case TSR_OPTION_CHOICE:
    case TSR_OPTION_CHOICE_LIST:
      if (!is_choice(option, text)) {
        return bad_choice(p, option, spelling, text);
      }
      break;
    case TSR_OPTION_FLAG:
    case TSR_OPTION_STRING:
    case TSR_OPTION_FILE:
    case TSR_OPTION_DIRECTORY:
      if (text != NULL && text[0] == '\0' &&
          option->type != TSR_OPTION_STRING) {
        return tsr_cli_usage_error(p->cli, "option '%s' needs a path, not ''",
                                   spelling);
      }
      break;
  }
  return add_arg(p, &arg);
}

// Splits the list in place: the words of argv are ours to change.
static int add_list(parser *p, const tsr_option *option, const char *spelling,
                    char *text) {
  int code = TSR_EXIT_OK;
  for (char *rest = text; rest != NULL && code == TSR_EXIT_OK;) {
    char *comma = strchr(rest, ',');
    if (comma != NULL) *comma = '\0';
    code = add_value(p, option, spelling, rest);
    rest = comma == NULL ? NULL : comma + 1;
  }
  return code;
}

// |attached| is what follows "=" or the letter, or NULL.
static int add_option(parser *p, const tsr_option *option, bool is_long,
                      char *attached) {
  char buffer[80];
  const char *spelling = spelled(option, is_long, buffer);
  if (!tsr_option_takes_value(option)) {
    if (attached != NULL) {
      return tsr_cli_usage_error(p->cli, "option '%s' takes no value",
                                 spelling);
    }
    return add_value(p, option, spelling, NULL);
  }
  if (attached == NULL && option->implied != NULL) {
    return add_value(p, option, spelling, option->implied);
  }
  if (attached == NULL) {
    if (p->next == p->argc) {
      return tsr_cli_usage_error(p->cli, "option '%s' needs a value: %s %s",
                                 spelling, spelling, option->value);
    }
    attached = p->argv[p->next++];
  }
  if (tsr_option_is_list(option)) {
    return add_list(p, option, spelling, attached);
  }
  return add_value(p, option, spelling, attached);
}

// ---- Words ------------------------------------------------------------------

static int unknown_option(const parser *p, const char *word, size_t length) {
  enum { LIMIT = 64 };
  const char *names[LIMIT + 1];
  size_t count = 0;
  tsr_option_visit visit = {.command = p->cli->command};
  for (const tsr_option *option = tsr_option_next(&visit);
       option != NULL && count < LIMIT; option = tsr_option_next(&visit)) {
    names[count++] = option->name;
  }
  names[count] = NULL;
  char name[128];
  (void)snprintf(name, sizeof(name), "%.*s", (int)length, word);
  const char *meant = name[0] == '-' && name[1] == '-'
                          ? tsr_suggest_word(name + 2, names)
                          : NULL;
  if (meant != NULL) {
    return tsr_cli_usage_error(
        p->cli, "unknown option '%s'; did you mean '--%s'?", name, meant);
  }
  return tsr_cli_usage_error(p->cli, "unknown option '%s'", name);
}

static int parse_long(parser *p, char *word) {
  char *equals = strchr(word, '=');
  size_t length = equals == NULL ? strlen(word) : (size_t)(equals - word);
  tsr_option_visit visit = {.command = p->cli->command};
  for (const tsr_option *option = tsr_option_next(&visit); option != NULL;
       option = tsr_option_next(&visit)) {
    if (strlen(option->name) == length - 2 &&
        memcmp(option->name, word + 2, length - 2) == 0) {
      return add_option(p, option, true, equals == NULL ? NULL : equals + 1);
    }
  }
  return unknown_option(p, word, length);
}

static const tsr_option *find_letters(const tsr_command *command,
                                      const char *letters, size_t length) {
  tsr_option_visit visit = {.command = command};
  const tsr_option *option = tsr_option_next(&visit);
  while (option != NULL) {
    if (option->letters != NULL && strlen(option->letters) == length &&
        memcmp(option->letters, letters, length) == 0) {
      return option;
    }
    option = tsr_option_next(&visit);
  }
  return NULL;
}

// -MD and -MF first, as whole words; then -o FILE, -oFILE, -j4, -qi.
static int parse_letters(parser *p, char *word) {
  const tsr_command *command = p->cli->command;
  size_t length = strlen(word + 1);
  if (length > 1) {
    const tsr_option *whole = find_letters(command, word + 1, length);
    if (whole != NULL) return add_option(p, whole, false, NULL);
  }
  for (char *letter = word + 1; *letter != '\0'; ++letter) {
    const tsr_option *option = find_letters(command, letter, 1);
    if (option == NULL) {
      char one[3] = {'-', *letter, '\0'};
      bool first = letter == word + 1;
      return unknown_option(p, first ? word : one, first ? length + 1 : 2);
    }
    bool takes = tsr_option_takes_value(option) && option->implied == NULL;
    if (takes) {
      return add_option(p, option, false,
                        letter[1] == '\0' ? NULL : letter + 1);
    }
    int code = add_option(p, option, false, NULL);
    if (code != TSR_EXIT_OK) return code;
  }
  return TSR_EXIT_OK;
}

static int parse_words(parser *p) {
  bool options_end = false;
  int code = TSR_EXIT_OK;
  while (p->next < p->argc && code == TSR_EXIT_OK) {
    char *word = p->argv[p->next++];
    if (options_end || word[0] != '-' || word[1] == '\0') {
      p->positionals[p->cli->positional_count++] = word;
    } else if (strcmp(word, "--") == 0) {
      options_end = true;
    } else if (word[1] == '-') {
      code = parse_long(p, word);
    } else {
      code = parse_letters(p, word);
    }
  }
  return code;
}

// ---- The whole --------------------------------------------------------------

static int check_exclusive(const parser *p) {
  const tsr_cli *cli = p->cli;
  for (uint32_t i = 0; i < cli->arg_count; ++i) {
    const tsr_option *a = cli->args[i].option;
    for (uint32_t j = 0; a->group != NULL && j < i; ++j) {
      const tsr_option *b = cli->args[j].option;
      if (a == b || b->group == NULL || strcmp(a->group, b->group) != 0) {
        continue;
      }
      return tsr_cli_usage_error(cli,
                                 "options '--%s' and '--%s' exclude each "
                                 "other",
                                 b->name, a->name);
    }
  }
  return TSR_EXIT_OK;
}

static int check_required(const parser *p) {
  const tsr_option *options = p->cli->command->options;
  for (size_t i = 0; options != NULL && options[i].name != NULL; ++i) {
    if (options[i].required && !tsr_cli_given(p->cli, options[i].name)) {
      return tsr_cli_usage_error(p->cli, "option '--%s %s' is missing",
                                 options[i].name, options[i].value);
    }
  }
  return TSR_EXIT_OK;
}

static int check_choice(const parser *p, const tsr_positional *row,
                        const char *text) {
  for (size_t i = 0; row->choices[i] != NULL; ++i) {
    if (strcmp(row->choices[i], text) == 0) return TSR_EXIT_OK;
  }
  const char *meant = tsr_suggest_word(text, row->choices);
  if (meant != NULL) {
    return tsr_cli_usage_error(p->cli, "unknown %s '%s'; did you mean '%s'?",
                               row->name, text, meant);
  }
  return tsr_cli_usage_error(p->cli, "unknown %s '%s'", row->name, text);
}

static int check_positionals(const parser *p) {
  const tsr_cli *cli = p->cli;
  const tsr_positional *rows = cli->command->positionals;
  uint32_t used = 0;
  for (size_t i = 0; rows != NULL && rows[i].name != NULL; ++i) {
    uint32_t here = cli->positional_count - used;
    if (here < rows[i].minimum) {
      return tsr_cli_usage_error(cli, "%s is missing", rows[i].name);
    }
    if (here > rows[i].maximum) here = rows[i].maximum;
    for (uint32_t k = 0; k < here; ++k) {
      int code = rows[i].type == TSR_OPTION_CHOICE
                     ? check_choice(p, &rows[i], cli->positionals[used + k])
                     : TSR_EXIT_OK;
      if (code != TSR_EXIT_OK) return code;
    }
    used += here;
  }
  if (used < cli->positional_count) {
    return tsr_cli_usage_error(cli, "unexpected argument '%s'",
                               cli->positionals[used]);
  }
  return TSR_EXIT_OK;
}

int tsr_cli_parse(tsr_cli *cli, int argc, char **argv) {
  parser p = {.cli = cli, .argc = argc, .argv = argv};
  p.positionals = tsr_calloc((size_t)argc + 1, sizeof(*p.positionals));
  if (p.positionals == NULL) return out_of_memory(&p);
  cli->positionals = p.positionals;
  int code = parse_words(&p);
  if (code != TSR_EXIT_OK) return code;
  if (tsr_cli_given(cli, "help") || tsr_cli_given(cli, "version")) {
    return TSR_EXIT_OK;  // whatever else is missing
  }
  code = check_exclusive(&p);
  if (code == TSR_EXIT_OK) code = check_positionals(&p);
  if (code == TSR_EXIT_OK) code = check_required(&p);
  return code;
}

void tsr_cli_fini(tsr_cli *cli) {
  tsr_free((void *)(uintptr_t)cli->positionals);
  tsr_free(cli->args);
  cli->positionals = NULL;
  cli->args = NULL;
  cli->arg_count = cli->positional_count = 0;
}

// ---- Access -----------------------------------------------------------------

static const tsr_arg *find_arg(const tsr_cli *cli, const char *name,
                               uint32_t index, bool last) {
  const tsr_arg *found = NULL;
  for (uint32_t i = 0; i < cli->arg_count; ++i) {
    if (strcmp(cli->args[i].option->name, name) != 0) continue;
    found = &cli->args[i];
    if (!last && index-- == 0) return found;
  }
  return last ? found : NULL;
}

static const char *default_text(const tsr_cli *cli, const char *name) {
  const tsr_option *option = tsr_option_find(cli->command, name);
  assert(option != NULL);
  return option == NULL ? NULL : option->default_text;
}

bool tsr_cli_given(const tsr_cli *cli, const char *name) {
  assert(tsr_option_find(cli->command, name) != NULL);
  return find_arg(cli, name, 0, true) != NULL;
}

const char *tsr_cli_string(const tsr_cli *cli, const char *name) {
  const tsr_arg *arg = find_arg(cli, name, 0, true);
  return arg != NULL ? arg->text : default_text(cli, name);
}

uint64_t tsr_cli_uint(const tsr_cli *cli, const char *name) {
  const tsr_arg *arg = find_arg(cli, name, 0, true);
  if (arg != NULL) return arg->number;
  const char *text = default_text(cli, name);
  uint64_t value = 0;
  return text != NULL && read_uint(text, &value) ? value : 0;
}

double tsr_cli_real(const tsr_cli *cli, const char *name) {
  const tsr_arg *arg = find_arg(cli, name, 0, true);
  if (arg != NULL) return arg->real;
  const char *text = default_text(cli, name);
  double value = 0;
  return text != NULL && read_real(text, &value) ? value : 0;
}

// Element |index| of the default, which has commas only in lists; false past
// its end.
static bool default_element(const tsr_cli *cli, const char *name,
                            uint32_t index, const char **out_begin,
                            size_t *out_size) {
  const tsr_option *option = tsr_option_find(cli->command, name);
  assert(option != NULL);
  const char *text = option == NULL ? NULL : option->default_text;
  while (text != NULL) {
    size_t size =
        tsr_option_is_list(option) ? strcspn(text, ",") : strlen(text);
    if (index-- == 0) {
      *out_begin = text;
      *out_size = size;
      return true;
    }
    text = text[size] == ',' ? text + size + 1 : NULL;
  }
  return false;
}

uint32_t tsr_cli_count(const tsr_cli *cli, const char *name) {
  uint32_t count = 0;
  while (find_arg(cli, name, count, false) != NULL) ++count;
  const char *begin;
  size_t size;
  if (count != 0) return count;
  while (default_element(cli, name, count, &begin, &size)) ++count;
  return count;
}

const char *tsr_cli_string_at(const tsr_cli *cli, const char *name,
                              uint32_t index) {
  const tsr_arg *arg = find_arg(cli, name, index, false);
  if (arg != NULL) return arg->text;
  if (find_arg(cli, name, 0, true) != NULL) return NULL;
  const tsr_option *option = tsr_option_find(cli->command, name);
  const char *begin = NULL;
  size_t size = 0;
  if (option == NULL || !default_element(cli, name, index, &begin, &size)) {
    return NULL;
  }
  // The elements of a default are words of the choices: return those.
  for (size_t i = 0; option->choices != NULL && option->choices[i] != NULL;
       ++i) {
    if (strlen(option->choices[i]) == size &&
        memcmp(option->choices[i], begin, size) == 0) {
      return option->choices[i];
    }
  }
  return begin;
}

uint64_t tsr_cli_uint_at(const tsr_cli *cli, const char *name, uint32_t index) {
  const tsr_arg *arg = find_arg(cli, name, index, false);
  if (arg != NULL) return arg->number;
  const char *begin = NULL;
  size_t size = 0;
  if (find_arg(cli, name, 0, true) != NULL ||
      !default_element(cli, name, index, &begin, &size)) {
    return 0;
  }
  char digits[24];
  uint64_t value = 0;
  (void)snprintf(digits, sizeof(digits), "%.*s", (int)size, begin);
  return read_uint(digits, &value) ? value : 0;
}

bool tsr_cli_has(const tsr_cli *cli, const char *name, const char *value) {
  uint32_t count = tsr_cli_count(cli, name);
  for (uint32_t i = 0; i < count; ++i) {
    const char *text = tsr_cli_string_at(cli, name, i);
    if (text != NULL && strcmp(text, value) == 0) return true;
  }
  return false;
}

// SPDX-License-Identifier: Apache-2.0
// Completion scripts for bash, zsh and fish, from the same tables as --help.
#include <string.h>

#include "common/cli_internal.h"

typedef const char *const *word_list;

static word_list positional_words(const tsr_tool *tool,
                                  const tsr_command *command,
                                  const char *names[TSR_COMMAND_LIMIT + 1]) {
  if (command == &tsr_command_help) {
    tsr_tool_command_names(tool, names);
    return names;
  }
  const tsr_positional *rows = command->positionals;
  return rows == NULL || rows[0].name == NULL ? NULL : rows[0].choices;
}

static bool takes_paths(const tsr_command *command) {
  const tsr_positional *rows = command->positionals;
  for (size_t i = 0; rows != NULL && rows[i].name != NULL; ++i) {
    if (rows[i].type == TSR_OPTION_FILE ||
        rows[i].type == TSR_OPTION_DIRECTORY) {
      return true;
    }
  }
  return false;
}

static void words(word_list list, tsr_buffer *out) {
  for (size_t i = 0; list != NULL && list[i] != NULL; ++i) {
    tsr_buffer_printf(out, "%s%s", i == 0 ? "" : " ", list[i]);
  }
}

// Inside single quotes of a shell.
static void quoted(const char *text, tsr_buffer *out) {
  for (; *text != '\0'; ++text) {
    if (*text == '\'') {
      tsr_buffer_append_string(out, "'\\''");
    } else {
      tsr_buffer_append_char(out, *text);
    }
  }
}

static void command_words(const tsr_tool *tool, tsr_buffer *out) {
  const char *names[TSR_COMMAND_LIMIT + 1];
  tsr_tool_command_names(tool, names);
  words(names, out);
}

// ---- bash -------------------------------------------------------------------

// "=" breaks words in bash: --emit=ll arrives as three. A list is completed
// after its last comma.
static const char bash_head[] =
    "  local cur prev\n"
    "  cur=${COMP_WORDS[COMP_CWORD]}\n"
    "  prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "  if [[ $cur == '=' ]]; then\n"
    "    cur=\n"
    "  elif [[ $prev == '=' ]]; then\n"
    "    prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "  fi\n"
    "  COMPREPLY=()\n";

static void bash_case(const tsr_option *option, const char *prefix,
                      const char *name, tsr_buffer *out) {
  const char *action = NULL;
  if (option->type == TSR_OPTION_FILE) {
    action = "compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\"))";
  } else if (option->type == TSR_OPTION_DIRECTORY) {
    action = "compopt -o filenames; COMPREPLY=($(compgen -d -- \"$cur\"))";
  }
  tsr_buffer_printf(out, "    '%s %s%s')\n      ", prefix,
                    strlen(name) == strlen(option->name) ? "--" : "-", name);
  if (action != NULL) {
    tsr_buffer_append_string(out, action);
  } else if (option->type == TSR_OPTION_CHOICE_LIST) {
    tsr_buffer_append_string(out,
                             "local head=; [[ $cur == *,* ]] && "
                             "head=${cur%,*},\n      COMPREPLY=($(compgen -P "
                             "\"$head\" -W '");
    words(option->choices, out);
    tsr_buffer_append_string(out, "' -- \"${cur##*,}\"))");
  } else if (option->choices != NULL) {
    tsr_buffer_append_string(out, "COMPREPLY=($(compgen -W '");
    words(option->choices, out);
    tsr_buffer_append_string(out, "' -- \"$cur\"))");
  } else {
    tsr_buffer_append_string(out, ":");  // a value nobody can guess
  }
  tsr_buffer_append_string(out, "\n      return ;;\n");
}

static void bash_values(const tsr_command *command, tsr_buffer *out) {
  tsr_option_visit visit = {.command = command};
  for (const tsr_option *option = tsr_option_next(&visit); option != NULL;
       option = tsr_option_next(&visit)) {
    if (!tsr_option_takes_value(option) || option->implied != NULL) continue;
    bash_case(option, command->name, option->name, out);
    if (option->letters != NULL) {
      bash_case(option, command->name, option->letters, out);
    }
  }
}

static void bash_words(const tsr_tool *tool, const tsr_command *command,
                       tsr_buffer *out) {
  tsr_buffer_printf(out,
                    "    %s)\n      if [[ $cur == -* ]]; then\n"
                    "        COMPREPLY=($(compgen -W '",
                    command->name);
  tsr_option_visit visit = {.command = command};
  const char *space = "";
  for (const tsr_option *option = tsr_option_next(&visit); option != NULL;
       option = tsr_option_next(&visit)) {
    tsr_buffer_printf(out, "%s--%s", space, option->name);
    space = " ";
    if (option->letters != NULL)
      tsr_buffer_printf(out, " -%s", option->letters);
  }
  tsr_buffer_append_string(out, "' -- \"$cur\"))\n");
  const char *names[TSR_COMMAND_LIMIT + 1];
  word_list list = positional_words(tool, command, names);
  if (list != NULL) {
    tsr_buffer_append_string(out,
                             "      else\n        COMPREPLY=($(compgen -W "
                             "'");
    words(list, out);
    tsr_buffer_append_string(out, "' -- \"$cur\"))\n");
  } else if (takes_paths(command)) {
    tsr_buffer_append_string(out,
                             "      else\n        compopt -o filenames\n"
                             "        COMPREPLY=($(compgen -f -- \"$cur\"))\n");
  }
  tsr_buffer_append_string(out, "      fi ;;\n");
}

void tsr_completions_bash(const tsr_tool *tool, tsr_buffer *out) {
  tsr_buffer_printf(out,
                    "# bash completion for %s, made by `%s completions "
                    "bash`.\n# shellcheck disable=SC2207\n_%s() {\n%s",
                    tool->name, tool->name, tool->name, bash_head);
  tsr_buffer_append_string(out,
                           "  if ((COMP_CWORD == 1)); then\n"
                           "    COMPREPLY=($(compgen -W '");
  command_words(tool, out);
  tsr_buffer_append_string(out,
                           " --help --version' -- \"$cur\"))\n    return\n"
                           "  fi\n  case \"${COMP_WORDS[1]} $prev\" in\n");
  for (size_t i = 0; tool->commands[i] != NULL; ++i) {
    bash_values(tool->commands[i], out);
  }
  tsr_buffer_append_string(out, "  esac\n  case ${COMP_WORDS[1]} in\n");
  for (size_t i = 0; tool->commands[i] != NULL; ++i) {
    bash_words(tool, tool->commands[i], out);
  }
  tsr_buffer_printf(out, "  esac\n}\ncomplete -F _%s %s\n", tool->name,
                    tool->name);
}

// ---- zsh --------------------------------------------------------------------

// Help inside a spec of _arguments: brackets and colons mean something there.
static void zsh_text(const char *text, tsr_buffer *out) {
  for (; *text != '\0'; ++text) {
    if (strchr("[]:\\", *text) != NULL) tsr_buffer_append_char(out, '\\');
    char one[2] = {*text, '\0'};
    quoted(one, out);
  }
}

static void zsh_action(tsr_option_type type, word_list choices,
                       tsr_buffer *out) {
  if (type == TSR_OPTION_FILE) {
    tsr_buffer_append_string(out, "_files");
  } else if (type == TSR_OPTION_DIRECTORY) {
    tsr_buffer_append_string(out, "_files -/");
  } else if (type == TSR_OPTION_CHOICE_LIST) {
    tsr_buffer_append_string(out, "_sequence compadd - ");
    words(choices, out);
  } else if (choices != NULL) {
    tsr_buffer_append_char(out, '(');
    words(choices, out);
    tsr_buffer_append_char(out, ')');
  } else {
    tsr_buffer_append_char(out, ' ');
  }
}

static void zsh_option(const tsr_option *option, const char *dashes,
                       const char *name, tsr_buffer *out) {
  bool is_long = dashes[1] == '-';
  bool takes = tsr_option_takes_value(option);
  const char *star =
      option->repeatable || tsr_option_is_list(option) ? "*" : "";
  // "=" after a long name: --name=V and --name V; "=-": the first only. After
  // a letter nothing: -o V; "+": -oV too.
  const char *join = !takes            ? ""
                     : !is_long        ? "+"
                     : option->implied ? "=-"
                                       : "=";
  if (!is_long && strlen(name) > 1) join = "";
  tsr_buffer_printf(out, "        '%s%s%s%s[", star, dashes, name, join);
  zsh_text(option->help, out);
  tsr_buffer_append_char(out, ']');
  if (takes) {
    tsr_buffer_printf(out, "%s%s:", option->implied != NULL ? "::" : ":",
                      option->value);
    zsh_action(option->type, option->choices, out);
  }
  tsr_buffer_append_string(out, "' \\\n");
}

static void zsh_command(const tsr_tool *tool, const tsr_command *command,
                        tsr_buffer *out) {
  tsr_buffer_printf(out, "    %s)\n      _arguments \\\n", command->name);
  tsr_option_visit visit = {.command = command};
  for (const tsr_option *option = tsr_option_next(&visit); option != NULL;
       option = tsr_option_next(&visit)) {
    zsh_option(option, "--", option->name, out);
    if (option->letters != NULL) {
      zsh_option(option, "-", option->letters, out);
    }
  }
  const char *names[TSR_COMMAND_LIMIT + 1];
  const tsr_positional *rows = command->positionals;
  for (size_t i = 0; rows != NULL && rows[i].name != NULL; ++i) {
    word_list list =
        i == 0 ? positional_words(tool, command, names) : rows[i].choices;
    tsr_buffer_printf(out, "        '%s:%s:", rows[i].maximum > 1 ? "*" : "",
                      rows[i].name);
    zsh_action(rows[i].type, list, out);
    tsr_buffer_append_string(out, "' \\\n");
  }
  tsr_buffer_append_string(out, "        && return 0 ;;\n");
}

void tsr_completions_zsh(const tsr_tool *tool, tsr_buffer *out) {
  tsr_buffer_printf(out,
                    "#compdef %s\n# zsh completion for %s, made by `%s "
                    "completions zsh`.\n_%s() {\n  local -a commands\n"
                    "  commands=(\n",
                    tool->name, tool->name, tool->name, tool->name);
  for (size_t i = 0; tool->commands[i] != NULL; ++i) {
    tsr_buffer_printf(out, "    '%s:", tool->commands[i]->name);
    quoted(tool->commands[i]->summary, out);
    tsr_buffer_append_string(out, "'\n");
  }
  tsr_buffer_append_string(out,
                           "  )\n  if ((CURRENT == 2)); then\n"
                           "    _describe command commands\n    return\n  fi\n"
                           "  local command=$words[2]\n  shift words\n"
                           "  ((CURRENT--))\n  case $command in\n");
  for (size_t i = 0; tool->commands[i] != NULL; ++i) {
    zsh_command(tool, tool->commands[i], out);
  }
  tsr_buffer_printf(out,
                    "  esac\n}\nif [[ $funcstack[1] == _%s ]]; then\n"
                    "  _%s \"$@\"\nelse\n  compdef _%s %s\nfi\n",
                    tool->name, tool->name, tool->name, tool->name);
}

// ---- fish -------------------------------------------------------------------

static void fish_begin(const tsr_tool *tool, const tsr_command *command,
                       tsr_buffer *out) {
  tsr_buffer_printf(out, "complete -c %s -n '__fish_seen_subcommand_from %s'",
                    tool->name, command->name);
}

static void fish_option(const tsr_tool *tool, const tsr_command *command,
                        const tsr_option *option, tsr_buffer *out) {
  fish_begin(tool, command, out);
  tsr_buffer_printf(out, " -l %s", option->name);
  if (option->letters != NULL) {
    tsr_buffer_printf(out, " %s %s", strlen(option->letters) == 1 ? "-s" : "-o",
                      option->letters);
  }
  bool path =
      option->type == TSR_OPTION_FILE || option->type == TSR_OPTION_DIRECTORY;
  if (tsr_option_takes_value(option) && option->implied == NULL) {
    tsr_buffer_append_string(out, path ? " -r" : " -x");  // -x: no files
  }
  if (option->type == TSR_OPTION_FILE) tsr_buffer_append_string(out, " -F");
  if (option->type == TSR_OPTION_DIRECTORY) {
    tsr_buffer_append_string(out, " -a '(__fish_complete_directories)'");
  }
  if (option->choices != NULL) {
    tsr_buffer_append_string(out, " -a '");
    words(option->choices, out);
    tsr_buffer_append_char(out, '\'');
  }
  tsr_buffer_append_string(out, " -d '");
  quoted(option->help, out);
  tsr_buffer_append_string(out, "'\n");
}

void tsr_completions_fish(const tsr_tool *tool, tsr_buffer *out) {
  tsr_buffer_printf(out,
                    "# fish completion for %s, made by `%s completions "
                    "fish`.\ncomplete -c %s -f\n",
                    tool->name, tool->name, tool->name);
  for (size_t i = 0; tool->commands[i] != NULL; ++i) {
    const tsr_command *command = tool->commands[i];
    tsr_buffer_printf(out,
                      "complete -c %s -n __fish_use_subcommand -a %s -d "
                      "'",
                      tool->name, command->name);
    quoted(command->summary, out);
    tsr_buffer_append_string(out, "'\n");
    tsr_option_visit visit = {.command = command};
    for (const tsr_option *option = tsr_option_next(&visit); option != NULL;
         option = tsr_option_next(&visit)) {
      fish_option(tool, command, option, out);
    }
    const char *names[TSR_COMMAND_LIMIT + 1];
    word_list list = positional_words(tool, command, names);
    if (list == NULL && !takes_paths(command)) continue;
    fish_begin(tool, command, out);
    tsr_buffer_append_string(out, list == NULL ? " -F" : " -a '");
    words(list, out);
    tsr_buffer_append_string(out, list == NULL ? "\n" : "'\n");
  }
}

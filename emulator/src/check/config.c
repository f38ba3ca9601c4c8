// SPDX-License-Identifier: Apache-2.0
// The configuration: defaults, what the environment says, what is allowed.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "check/report.h"

typedef struct choice {
  const char *name;
  uint32_t value;
} choice;

static const choice checks[] = {{"init", TESSERA_EMU_CHECK_INIT},
                                {"race", TESSERA_EMU_CHECK_RACE},
                                {"sync", TESSERA_EMU_CHECK_SYNC},
                                {"async", TESSERA_EMU_CHECK_ASYNC},
                                {"numeric", TESSERA_EMU_CHECK_NUMERIC},
                                {"all", TESSERA_EMU_CHECK_ALL},
                                {"none", 0},
                                {NULL, 0}};
static const choice times[] = {{"late", TESSERA_EMU_TIME_LATE},
                               {"early", TESSERA_EMU_TIME_EARLY},
                               {"random", TESSERA_EMU_TIME_RANDOM},
                               {NULL, 0}};
static const choice accumulates[] = {
    {"exact", TESSERA_EMU_ACCUMULATE_EXACT},
    {"hardware", TESSERA_EMU_ACCUMULATE_HARDWARE},
    {NULL, 0}};
static const choice parallels[] = {{"auto", TESSERA_EMU_PARALLEL_AUTO},
                                   {"never", TESSERA_EMU_PARALLEL_NEVER},
                                   {"always", TESSERA_EMU_PARALLEL_ALWAYS},
                                   {NULL, 0}};
static const choice findings[] = {{"report", 0}, {"fail", 1}, {NULL, 0}};
static const choice switches[] = {{"0", 0}, {"1", 1}, {NULL, 0}};
static const choice streams[] = {{"eager", 0}, {"lazy", 1}, {NULL, 0}};

void tsr_config_defaults(tessera_emu_config *out_config) {
  *out_config = (tessera_emu_config){
      .struct_size = sizeof(*out_config),
      .time = TESSERA_EMU_TIME_LATE,
      .accumulate = TESSERA_EMU_ACCUMULATE_EXACT,
      .parallel = TESSERA_EMU_PARALLEL_AUTO,
      .findings_fail = 1,
      .profile = 1,
      .watchdog = UINT64_C(1) << 40,
      .lazy_streams = 1,
  };
}

// The value called by the |size| bytes of |name|.
static bool choose(const choice *choices, const char *name, size_t size,
                   uint32_t *out_value) {
  for (; choices->name != NULL; ++choices) {
    if (strlen(choices->name) == size &&
        memcmp(choices->name, name, size) == 0) {
      *out_value = choices->value;
      return true;
    }
  }
  return false;
}

static tsr_status refuse(tsr_error *error, const char *variable,
                         const char *value, const choice *choices) {
  char known[128] = "a number";
  size_t used = 0;
  for (; choices != NULL && choices->name != NULL; ++choices) {
    int added = snprintf(known + used, sizeof(known) - used, "%s%s",
                         used == 0 ? "" : ", ", choices->name);
    if (added > 0) used += (size_t)added;
    if (used >= sizeof(known)) break;
  }
  return tsr_error_set(error, TSR_INVALID_ARGUMENT, "%s=%s: expected %s",
                       variable, value, known);
}

static tsr_status read_choice(const char *variable, const choice *choices,
                              uint32_t *value, tsr_error *error) {
  const char *text = getenv(variable);
  if (text == NULL || text[0] == '\0' ||
      choose(choices, text, strlen(text), value)) {
    return TSR_OK;
  }
  return refuse(error, variable, text, choices);
}

// "init,race": the union.
static tsr_status read_checks(uint32_t *value, tsr_error *error) {
  const char *text = getenv("TESSERA_EMU_CHECK");
  if (text == NULL || text[0] == '\0') return TSR_OK;
  uint32_t all = 0;
  for (const char *cursor = text;;) {
    size_t size = strcspn(cursor, ",");
    uint32_t one;
    if (!choose(checks, cursor, size, &one)) {
      return refuse(error, "TESSERA_EMU_CHECK", text, checks);
    }
    all |= one;
    if (cursor[size] == '\0') break;
    cursor += size + 1;
  }
  *value = all;
  return TSR_OK;
}

static tsr_status read_number(const char *variable, uint64_t most,
                              uint64_t *value, tsr_error *error) {
  const char *text = getenv(variable);
  if (text == NULL || text[0] == '\0') return TSR_OK;
  char *end;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 0);
  if (text[0] == '-' || end == text || *end != '\0' || errno != 0 ||
      number > most) {
    return refuse(error, variable, text, NULL);
  }
  *value = number;
  return TSR_OK;
}

tsr_status tsr_config_from_environment(tessera_emu_config *config,
                                       tsr_error *error) {
  uint32_t time = config->time, accumulate = config->accumulate;
  uint32_t parallel = config->parallel;
  uint64_t threads = config->threads;
  const tsr_status results[] = {
      read_number("TESSERA_EMU_SEED", UINT64_MAX, &config->seed, error),
      read_checks(&config->checks, error),
      read_choice("TESSERA_EMU_TIME", times, &time, error),
      read_choice("TESSERA_EMU_ACCUMULATE", accumulates, &accumulate, error),
      read_choice("TESSERA_EMU_PARALLEL", parallels, &parallel, error),
      read_number("TESSERA_EMU_THREADS", 256, &threads, error),
      read_choice("TESSERA_EMU_FINDINGS", findings, &config->findings_fail,
                  error),
      read_choice("TESSERA_EMU_PROFILE", switches, &config->profile, error),
      read_number("TESSERA_EMU_WATCHDOG", UINT64_MAX, &config->watchdog, error),
      read_choice("TESSERA_EMU_STREAMS", streams, &config->lazy_streams, error),
  };
  config->time = (tessera_emu_time)time;
  config->accumulate = (tessera_emu_accumulate)accumulate;
  config->parallel = (tessera_emu_parallel)parallel;
  config->threads = (uint32_t)threads;
  for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); ++i) {
    if (results[i] != TSR_OK) return results[i];
  }
  return TSR_OK;
}

tsr_status tsr_config_check(const tessera_emu_config *config,
                            tsr_error *error) {
  const char *field = NULL;
  if (config->struct_size == 0 || config->struct_size > sizeof(*config)) {
    field = "struct_size";
  } else if ((config->checks & ~(uint32_t)TESSERA_EMU_CHECK_ALL) != 0) {
    field = "checks";
  } else if ((uint32_t)config->time > TESSERA_EMU_TIME_RANDOM) {
    field = "time";
  } else if ((uint32_t)config->accumulate > TESSERA_EMU_ACCUMULATE_HARDWARE) {
    field = "accumulate";
  } else if ((uint32_t)config->parallel > TESSERA_EMU_PARALLEL_ALWAYS) {
    field = "parallel";
  } else if (config->threads > 256) {
    field = "threads";
  }
  if (field == NULL) return TSR_OK;
  return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                       "configuration: '%s' has no meaning", field);
}

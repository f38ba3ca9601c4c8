// SPDX-License-Identifier: Apache-2.0
// tesserac compile --resources: what each CUDA kernel takes of a
// multiprocessor, as the assembler reports it; and the gates --max-spill and
// --min-occupancy, which stop a compile before a bundle is written. What only
// the assembler knows is "?" without it, and a gate does not pass unseen.
#include <stdlib.h>
#include <string.h>

#include "common/table.h"
#include "common/terminal.h"
#include "tesserac/compile.h"

static const char no_ptxas[] =
    "no ptxas was found (--ptxas, TESSERA_PTXAS, PATH, /usr/local/cuda/bin)";

static tsr_cuda_resources *resources_of(const tsr_compile *c, uint32_t kernel,
                                        uint32_t target) {
  return &tsr_compile_cuda_object(c, kernel, target)->resources;
}

// Resident threads over those that a multiprocessor can hold.
static double occupancy(const tsr_compile *c, uint32_t kernel,
                        uint32_t target) {
  return (double)resources_of(c, kernel, target)->blocks *
         c->cuda_kernels[kernel].threads /
         c->cuda_targets[target]->threads_total;
}

// ---- For people ------------------------------------------------------------

static void known_cells(const tsr_compile *c, uint32_t kernel, uint32_t target,
                        tsr_table *table) {
  const tsr_cuda_resources *r = resources_of(c, kernel, target);
  tsr_table_cell(table, "%u", r->registers);
  tsr_table_cell(table, "%u/%u", r->spill_stores, r->spill_loads);
  tsr_table_cell(table, "%u",
                 c->cuda_kernels[kernel].shared_size + r->shared_static);
  tsr_table_cell(table, "%u", r->blocks);
  tsr_table_cell(table, "%.0f %%", 100 * occupancy(c, kernel, target));
  tsr_table_cell(table, "%s", r->limiter);
}

static void unknown_cells(const tsr_compile *c, uint32_t kernel,
                          tsr_table *table) {
  tsr_table_cell(table, "?");
  tsr_table_cell(table, "?");
  tsr_table_cell(table, "%u", c->cuda_kernels[kernel].shared_size);
  for (int i = 0; i < 3; ++i) tsr_table_cell(table, "?");
}

static tsr_status write_text(const tsr_compile *c, tsr_buffer *out,
                             tsr_error *error) {
  static const char *const headers[] = {">registers", ">spills",  ">shared",
                                        ">blocks",    ">threads", "<limit",
                                        "<kernel",    NULL};
  tsr_status status = TSR_OK;
  for (uint32_t t = 0; status == TSR_OK && t < c->cuda_target_count; ++t) {
    tsr_buffer_printf(out, "%s%s\n", t == 0 ? "" : "\n",
                      c->cuda_targets[t]->name);
    tsr_table *table = tsr_table_create(headers);
    for (uint32_t k = 0; k < c->cuda_kernel_count; ++k) {
      if (!tsr_compile_cuda_has(c, k, t)) continue;
      if (resources_of(c, k, t)->is_known) {
        known_cells(c, k, t, table);
      } else {
        unknown_cells(c, k, table);
      }
      tsr_table_cell(table, "%s", c->cuda_kernels[k].name);
    }
    status =
        tsr_table_render(table, c->cli->utf8, c->cli->out_color, out, error);
    tsr_table_destroy(table);
  }
  return status;
}

// ---- For scripts -----------------------------------------------------------

static void number(tsr_buffer *out, const char *name, bool is_known,
                   uint32_t value) {
  if (is_known) {
    tsr_buffer_printf(out, ", \"%s\": %u", name, value);
  } else {
    tsr_buffer_printf(out, ", \"%s\": null", name);
  }
}

static void json_kernel(const tsr_compile *c, uint32_t kernel, uint32_t target,
                        tsr_buffer *out) {
  const tsr_cuda_kernel *k = &c->cuda_kernels[kernel];
  const tsr_cuda_resources *r = resources_of(c, kernel, target);
  bool known = r->is_known;
  tsr_buffer_printf(out,
                    "\n    {\"kernel\": \"%s\", \"strategy\": \"%s\",\n"
                    "     \"threads\": %u, \"shared_dynamic\": %u",
                    k->name, k->strategy, k->threads, k->shared_size);
  number(out, "shared_static", known, r->shared_static);
  number(out, "registers", known, r->registers);
  number(out, "spill_stores", known, r->spill_stores);
  number(out, "spill_loads", known, r->spill_loads);
  number(out, "stack", known, r->stack);
  number(out, "blocks", known, r->blocks);
  if (known) {
    tsr_buffer_printf(out, ", \"occupancy\": %.4f, \"limiter\": \"%s\"}",
                      occupancy(c, kernel, target), r->limiter);
  } else {
    tsr_buffer_append_string(out, ", \"occupancy\": null, \"limiter\": null}");
  }
}

static void write_json(const tsr_compile *c, tsr_buffer *out) {
  tsr_buffer_append_string(out, "{\"ptxas\": ");
  if (c->ptxas.size == 0) {
    tsr_buffer_append_string(out, "null");
  } else {
    tsr_buffer_append_json(out, tsr_buffer_text(&c->ptxas_version),
                           c->ptxas_version.size);
  }
  tsr_buffer_append_string(out, ", \"targets\": [");
  for (uint32_t t = 0; t < c->cuda_target_count; ++t) {
    tsr_buffer_printf(out, "%s\n  {\"target\": \"%s\", \"kernels\": [",
                      t == 0 ? "" : ",", c->cuda_targets[t]->name);
    bool is_first = true;
    for (uint32_t k = 0; k < c->cuda_kernel_count; ++k) {
      if (!tsr_compile_cuda_has(c, k, t)) continue;
      if (!is_first) tsr_buffer_append_char(out, ',');
      is_first = false;
      json_kernel(c, k, t, out);
    }
    tsr_buffer_append_string(out, "]}");
  }
  tsr_buffer_append_string(out, "]}\n");
}

static tsr_status print_resources(const tsr_compile *c, tsr_error *error) {
  const char *form = tsr_cli_string(c->cli, "resources");
  if (form == NULL) return TSR_OK;
  if (c->ptxas.size == 0) {
    tsr_cli_warning(c->cli, "registers, spills and blocks are unknown: %s",
                    no_ptxas);
  }
  tsr_buffer out = {0};
  tsr_status status = TSR_OK;
  if (strcmp(form, "json") == 0) {
    write_json(c, &out);
  } else {
    status = write_text(c, &out, error);
  }
  return tsr_cli_print(c->cli, status, &out, error);
}

// ---- Gates -----------------------------------------------------------------

// "2" blocks, "25%" of the threads.
static bool parse_occupancy(const char *text, double *out_value,
                            bool *out_is_percent) {
  char *end = NULL;
  // strtod alone would take "inf", "0x2", blanks and signs.
  size_t size = strspn(text, "0123456789.");
  if (size == 0 || (text[size] != '\0' && text[size] != '%')) return false;
  *out_value = strtod(text, &end);
  *out_is_percent = *end == '%';
  if (*out_is_percent) ++end;
  if (*end != '\0') return false;
  if (*out_is_percent) return *out_value <= 100;
  return *out_value <= 32 && *out_value == (double)(unsigned)*out_value;
}

// What one kernel has against it; "" when nothing.
static void check_spill(const tsr_compile *c, uint32_t k, uint32_t t, char *out,
                        size_t size) {
  const tsr_cuda_resources *r = resources_of(c, k, t);
  uint64_t most = tsr_cli_uint(c->cli, "max-spill");
  uint32_t spill =
      r->spill_stores > r->spill_loads ? r->spill_stores : r->spill_loads;
  if (!tsr_cli_given(c->cli, "max-spill") || spill <= most) return;
  (void)snprintf(out, size, "spills %u bytes, --max-spill allows %llu", spill,
                 (unsigned long long)most);
}

static void check_occupancy(const tsr_compile *c, uint32_t k, uint32_t t,
                            char *out, size_t size) {
  const tsr_cuda_resources *r = resources_of(c, k, t);
  const char *asked = tsr_cli_string(c->cli, "min-occupancy");
  double least = 0;
  bool is_percent = false;
  if (asked == NULL || !parse_occupancy(asked, &least, &is_percent)) return;
  double has = is_percent ? 100 * occupancy(c, k, t) : r->blocks;
  if (has >= least) return;
  (void)snprintf(out, size,
                 "has %s (%.0f %% of the threads) on a multiprocessor, limited "
                 "by %s; --min-occupancy asks for %s",
                 tsr_format_plural(r->blocks, "block").text,
                 100 * occupancy(c, k, t), r->limiter, asked);
}

static tsr_status check_kernels(const tsr_compile *c, tsr_error *error) {
  char first[400] = "";
  uint32_t count = 0;
  for (uint32_t t = 0; t < c->cuda_target_count; ++t) {
    for (uint32_t k = 0; k < c->cuda_kernel_count; ++k) {
      char text[200] = "";
      if (!tsr_compile_cuda_has(c, k, t)) continue;
      check_spill(c, k, t, text, sizeof(text));
      if (text[0] == '\0') check_occupancy(c, k, t, text, sizeof(text));
      if (text[0] == '\0' || count++ != 0) continue;
      (void)snprintf(first, sizeof(first), "kernel %s for %s %s",
                     c->cuda_kernels[k].name, c->cuda_targets[t]->name, text);
    }
  }
  if (count == 0) return TSR_OK;
  if (count == 1) return tsr_error_set(error, TSR_MISMATCH, "%s", first);
  return tsr_error_set(error, TSR_MISMATCH, "%s (and %s like it)", first,
                       tsr_format_plural(count - 1, "kernel").text);
}

tsr_status tsr_compile_check_gates(const tsr_compile *c, tsr_error *error) {
  static const char *const names[] = {"max-spill", "min-occupancy",
                                      "resources"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
    if (!tsr_cli_given(c->cli, names[i])) continue;
    if (c->cuda_target_count == 0) {
      return tsr_error_set(error, TSR_INVALID_ARGUMENT,
                           "--%s: no cuda target is compiled for", names[i]);
    }
    if (i < 2 && c->ptxas.size == 0) {
      return tsr_error_set(error, TSR_UNSUPPORTED, "--%s cannot be checked: %s",
                           names[i], no_ptxas);
    }
  }
  return TSR_OK;
}

tsr_status tsr_compile_resources(tsr_compile *c, tsr_error *error) {
  tsr_status status = print_resources(c, error);
  return status == TSR_OK ? check_kernels(c, error) : status;
}

// ---- Command line ----------------------------------------------------------

bool tsr_compile_wants_resources(const tsr_compile *c) {
  return tsr_cli_given(c->cli, "resources") ||
         tsr_cli_given(c->cli, "max-spill") ||
         tsr_cli_given(c->cli, "min-occupancy");
}

int tsr_compile_check_reports(const tsr_compile *c) {
  const tsr_cli *cli = c->cli;
  const char *asked = tsr_cli_string(cli, "min-occupancy");
  double value = 0;
  bool is_percent = false;
  if (asked != NULL && !parse_occupancy(asked, &value, &is_percent)) {
    return tsr_cli_usage_error(cli,
                               "--min-occupancy=%s: blocks (1 to 32) or a "
                               "percentage of the threads (25%%)",
                               asked);
  }
  const char *explain = tsr_cli_string(cli, "explain");
  const char *resources = tsr_cli_string(cli, "resources");
  if (explain == NULL && resources == NULL) return TSR_EXIT_OK;
  if (c->emit != 0 && !tsr_cli_given(cli, "output")) {
    return tsr_cli_usage_error(cli,
                               "--%s and --emit both write to standard output: "
                               "give -o",
                               explain != NULL ? "explain" : "resources");
  }
  bool both = explain != NULL && resources != NULL;
  if (both &&
      (strcmp(explain, "json") == 0 || strcmp(resources, "json") == 0)) {
    return tsr_cli_usage_error(
        cli, "--explain and --resources together are for people: no json");
  }
  return TSR_EXIT_OK;
}

// SPDX-License-Identifier: Apache-2.0
// See profile.h. Three tables, one row for each layer and token count, so that
// each fits a terminal: the work, the memory, the instructions by class.
#include <string.h>

#include "common/table.h"
#include "common/terminal.h"
#include "profile.h"

static const char *const classes[TESSERA_EMU_CLASS_COUNT] = {
    [TESSERA_EMU_CLASS_INTEGER] = "integer",
    [TESSERA_EMU_CLASS_FLOAT] = "float",
    [TESSERA_EMU_CLASS_CONVERT] = "convert",
    [TESSERA_EMU_CLASS_LOAD] = "load",
    [TESSERA_EMU_CLASS_STORE] = "store",
    [TESSERA_EMU_CLASS_ATOMIC] = "atomic",
    [TESSERA_EMU_CLASS_MATRIX] = "matrix",
    [TESSERA_EMU_CLASS_MATRIX_IO] = "matrix_io",
    [TESSERA_EMU_CLASS_ASYNC] = "async",
    [TESSERA_EMU_CLASS_BARRIER] = "barrier",
    [TESSERA_EMU_CLASS_COLLECTIVE] = "collective",
    [TESSERA_EMU_CLASS_CONTROL] = "control",
};

// ---- Figures ---------------------------------------------------------------

// Instructions whose name starts with |prefix|.
static uint64_t matrix_count(const tsr_profile_point *p, const char *prefix) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < p->counts.matrix_count; ++i) {
    if (strncmp(p->counts.matrix[i].name, prefix, strlen(prefix)) == 0) {
      sum += p->counts.matrix[i].count;
    }
  }
  return sum;
}

static uint64_t sparse_count(const tsr_profile_point *p) {
  return matrix_count(p, "mma.sp") + matrix_count(p, "wgmma.sp");
}

static uint64_t dense_count(const tsr_profile_point *p) {
  return matrix_count(p, "mma") + matrix_count(p, "wgmma") - sparse_count(p);
}

enum { SECTOR = 32 };  // bytes

// What moves, in whole sectors: a word that all lanes ask for moves once.
static uint64_t bytes_read(const tsr_profile_point *p) {
  return SECTOR * (p->counts.global_load.transactions +
                   p->counts.copy.transactions) +
         p->counts.bulk_load.bytes;
}

// X, residual, tables, partial sums.
static uint64_t other_bytes(const tsr_profile_point *p) {
  uint64_t all = bytes_read(p);
  return all > p->weight_bytes ? all - p->weight_bytes : 0;
}

static uint64_t bytes_written(const tsr_profile_point *p) {
  return SECTOR * p->counts.global_store.transactions +
         p->counts.bulk_store.bytes;
}

static double bytes_per_weight(const tsr_profile_point *p) {
  return (double)p->weight_bytes /
         ((double)p->info.rows * (double)p->info.columns);
}

// Sectors of global memory over those that the bytes need: 1 is coalesced.
static double sector_ratio(const tsr_profile_point *p) {
  const tessera_emu_profile *c = &p->counts;
  uint64_t ideal = c->global_load.ideal + c->global_store.ideal + c->copy.ideal;
  uint64_t moved = c->global_load.transactions + c->global_store.transactions +
                   c->copy.transactions;
  return ideal == 0 ? 1.0 : (double)moved / (double)ideal;
}

// Passes through the banks of shared memory beyond the fewest possible.
static uint64_t bank_conflicts(const tsr_profile_point *p) {
  const tessera_emu_traffic *parts[] = {
      &p->counts.shared_load, &p->counts.shared_store, &p->counts.shared_atomic,
      &p->counts.copy_shared};
  uint64_t sum = 0;
  for (int i = 0; i < 4; ++i) sum += parts[i]->transactions - parts[i]->ideal;
  return sum;
}

// ---- Text ------------------------------------------------------------------

static void count_cell(tsr_table *table, uint64_t count) {
  tsr_table_cell(table, "%s", tsr_format_count(count).text);
}

static void point_cells(tsr_table *table, const tsr_profile_point *p) {
  tsr_table_cell(table, "%s", p->info.name);
  tsr_table_cell(table, "%u", p->tokens);
}

static void work_row(tsr_table *table, const tsr_profile_point *p) {
  point_cells(table, p);
  tsr_table_cell(table, "%s", p->strategy);
  tsr_table_cell(table, "%u", p->launches);
  tsr_table_cell(table, "%u", p->counts.blocks);
  count_cell(table, p->counts.warp_instructions);
  count_cell(table, dense_count(p));
  count_cell(table, sparse_count(p));
  count_cell(table, p->counts.barrier_waits + p->counts.mbarrier_waits);
  tsr_table_cell(table, "%s",
                 tsr_format_seconds(p->counts.modelled_seconds).text);
  tsr_table_cell(table, "%zu", p->finding_count);
}

static void memory_row(tsr_table *table, const tsr_profile_point *p) {
  point_cells(table, p);
  const char *more = p->weight_bytes_more ? ">" : "";
  tsr_table_cell(table, "%s%s", more, tsr_format_bytes(p->weight_bytes).text);
  tsr_table_cell(table, "%s%.3f", more, bytes_per_weight(p));
  tsr_table_cell(table, "%s", tsr_format_bytes(other_bytes(p)).text);
  tsr_table_cell(table, "%s", tsr_format_bytes(bytes_written(p)).text);
  tsr_table_cell(table, "%.2f", sector_ratio(p));
  count_cell(table, bank_conflicts(p));
}

static void class_row(tsr_table *table, const tsr_profile_point *p) {
  point_cells(table, p);
  for (int i = 0; i < TESSERA_EMU_CLASS_COUNT; ++i) {
    double share = p->counts.warp_instructions == 0
                       ? 0.0
                       : 100.0 * (double)p->counts.by_class[i] /
                             (double)p->counts.warp_instructions;
    if (p->counts.by_class[i] == 0) {
      tsr_table_cell(table, "-");
    } else {
      tsr_table_cell(table, "%.1f", share);
    }
  }
}

static tsr_status print_table(const tsr_profile_report *report,
                              const tsr_cli *cli, const char *title,
                              const char *const *headers,
                              void (*row)(tsr_table *,
                                          const tsr_profile_point *),
                              tsr_buffer *out, tsr_error *error) {
  tsr_table *table = tsr_table_create(headers);
  for (uint32_t i = 0; i < report->count; ++i) row(table, &report->points[i]);
  tsr_buffer_printf(out, "\n%s\n", title);
  tsr_status status =
      tsr_table_render(table, cli->utf8, cli->out_color, out, error);
  tsr_table_destroy(table);
  return status;
}

static void print_checks(uint32_t checks, tsr_buffer *out) {
  if (checks == 0) {
    tsr_buffer_append_string(out, "bounds and alignment");
    return;
  }
  const char *separator = "";
  for (uint32_t i = 0; checks >> i != 0; ++i) {
    if ((checks >> i & 1u) == 0) continue;
    tsr_buffer_printf(out, "%s%s", separator, tsr_profile_checks[i]);
    separator = ", ";
  }
}

static void print_findings(const tsr_profile_report *report, tsr_buffer *out) {
  for (uint32_t i = 0; i < report->count; ++i) {
    const tsr_profile_point *p = &report->points[i];
    if (p->finding_count == 0) continue;
    tsr_buffer_printf(out, "layer '%s', N = %u: %s\n", p->info.name, p->tokens,
                      p->finding);
  }
}

tsr_status tsr_profile_print_tables(const tsr_profile_report *report,
                                    const tsr_cli *cli, tsr_buffer *out,
                                    tsr_error *error) {
  static const char *const work[] = {
      "<layer", ">N",      "<kernel", ">launches", ">blocks",   ">instructions",
      ">mma",   ">mma.sp", ">waits",  ">modelled", ">findings", NULL};
  static const char *const memory[] = {
      "<layer", ">N",       ">weights",       ">B/weight",
      ">other", ">written", ">sectors/least", ">bank conflicts",
      NULL};
  static const char *const kinds[] = {
      "<layer", ">N",   ">int",   ">float", ">cvt",  ">load", ">store", ">atom",
      ">mma",   ">ldm", ">async", ">bar",   ">shfl", ">ctl",  NULL};
  tsr_buffer_printf(
      out, "%s, kernels for %s\nchecked: ", report->session->description,
      tessera_program_variant(report->session->program));
  print_checks(report->checks, out);
  tsr_buffer_append_string(out, "\n");
  tsr_status status =
      print_table(report, cli, "Work", work, work_row, out, error);
  if (status == TSR_OK) {
    status = print_table(report, cli,
                         "Global memory read (weights; X, tables, sums) and "
                         "written, shared memory",
                         memory, memory_row, out, error);
  }
  if (status == TSR_OK) {
    status = print_table(report, cli, "Warp instructions by class, in percent",
                         kinds, class_row, out, error);
  }
  print_findings(report, out);
  return status;
}

// ---- JSON ------------------------------------------------------------------

static void json_traffic(const char *name, const tessera_emu_traffic *t,
                         tsr_buffer *out) {
  if (t->instructions == 0) return;
  tsr_buffer_printf(
      out,
      ",\n     \"%s\": {\"instructions\": %llu, \"bytes\": %llu, "
      "\"transactions\": %llu, \"ideal\": %llu, \"width\": {\"1\": %llu, "
      "\"2\": %llu, \"4\": %llu, \"8\": %llu, \"16\": %llu}}",
      name, (unsigned long long)t->instructions, (unsigned long long)t->bytes,
      (unsigned long long)t->transactions, (unsigned long long)t->ideal,
      (unsigned long long)t->width[0], (unsigned long long)t->width[1],
      (unsigned long long)t->width[2], (unsigned long long)t->width[3],
      (unsigned long long)t->width[4]);
}

static void json_memory(const tsr_profile_point *p, tsr_buffer *out) {
  const tessera_emu_profile *c = &p->counts;
  const struct {
    const char *name;
    const tessera_emu_traffic *traffic;
  } parts[] = {{"global_load", &c->global_load},
               {"global_store", &c->global_store},
               {"global_atomic", &c->global_atomic},
               {"shared_load", &c->shared_load},
               {"shared_store", &c->shared_store},
               {"shared_atomic", &c->shared_atomic},
               {"local_load", &c->local_load},
               {"local_store", &c->local_store},
               {"copy", &c->copy},
               {"copy_shared", &c->copy_shared},
               {"bulk_load", &c->bulk_load},
               {"bulk_store", &c->bulk_store}};
  tsr_buffer_printf(out,
                    ",\n     \"weight_bytes\": %llu, "
                    "\"weight_bytes_more\": %s, "
                    "\"bytes_per_weight\": %.6g, \"other_bytes\": %llu, "
                    "\"written_bytes\": %llu, \"bank_conflicts\": %llu",
                    (unsigned long long)p->weight_bytes,
                    p->weight_bytes_more ? "true" : "false",
                    bytes_per_weight(p), (unsigned long long)other_bytes(p),
                    (unsigned long long)bytes_written(p),
                    (unsigned long long)bank_conflicts(p));
  for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); ++i) {
    json_traffic(parts[i].name, parts[i].traffic, out);
  }
}

static void json_instructions(const tsr_profile_point *p, tsr_buffer *out) {
  const tessera_emu_profile *c = &p->counts;
  tsr_buffer_printf(out,
                    ",\n     \"warp_instructions\": %llu, "
                    "\"thread_instructions\": %llu, \"by_class\": {",
                    (unsigned long long)c->warp_instructions,
                    (unsigned long long)c->thread_instructions);
  for (int i = 0; i < TESSERA_EMU_CLASS_COUNT; ++i) {
    tsr_buffer_printf(out, "%s\"%s\": %llu", i == 0 ? "" : ", ", classes[i],
                      (unsigned long long)c->by_class[i]);
  }
  tsr_buffer_append_string(out, "},\n     \"matrix\": {");
  for (uint32_t i = 0; i < c->matrix_count; ++i) {
    tsr_buffer_printf(out, "%s\"%s\": %llu", i == 0 ? "" : ", ",
                      c->matrix[i].name,
                      (unsigned long long)c->matrix[i].count);
  }
  tsr_buffer_append_string(out, "}");
}

static void json_text(tsr_buffer *out, const char *name, const char *text) {
  tsr_buffer_printf(out, "\"%s\": ", name);
  tsr_buffer_append_json(out, text, strlen(text));
}

static void json_point(const tsr_profile_point *p, tsr_buffer *out) {
  const tessera_emu_profile *c = &p->counts;
  tsr_buffer_append_string(out, "    {");
  json_text(out, "layer", p->info.name);
  tsr_buffer_printf(out,
                    ", \"rows\": %u, \"columns\": %u, \"tokens\": %u, "
                    "\"kernel\": \"%s\",\n     ",
                    p->info.rows, p->info.columns, p->tokens, p->strategy);
  json_text(out, "entry", c->kernel);
  tsr_buffer_printf(out,
                    ", \"launches\": %u, \"grid\": [%u, %u, %u], "
                    "\"block\": [%u, %u, %u], \"shared_bytes\": %u, "
                    "\"blocks\": %u",
                    p->launches, c->grid[0], c->grid[1], c->grid[2],
                    c->block[0], c->block[1], c->block[2], c->shared_bytes,
                    c->blocks);
  json_instructions(p, out);
  json_memory(p, out);
  tsr_buffer_printf(out,
                    ",\n     \"barrier_waits\": %llu, "
                    "\"mbarrier_waits\": %llu, \"modelled_seconds\": %.6g, "
                    "\"findings\": %zu",
                    (unsigned long long)c->barrier_waits,
                    (unsigned long long)c->mbarrier_waits, c->modelled_seconds,
                    p->finding_count);
  if (p->finding_count != 0) {
    tsr_buffer_append_string(out, ", ");
    json_text(out, "finding", p->finding);
  }
  tsr_buffer_append_string(out, "}");
}

void tsr_profile_print_json(const tsr_profile_report *report, tsr_buffer *out) {
  const tsr_session *session = report->session;
  tsr_buffer_append_string(out, "{\n  ");
  json_text(out, "bundle", tessera_bundle_name(session->bundle));
  tsr_buffer_append_string(out, ",\n  ");
  json_text(out, "device", session->description);
  tsr_buffer_append_string(out, ",\n  ");
  json_text(out, "variant", tessera_program_variant(session->program));
  tsr_buffer_append_string(out, ",\n  \"emulated\": true,\n  \"checks\": [");
  const char *separator = "";
  for (uint32_t i = 0; report->checks >> i != 0; ++i) {
    if ((report->checks >> i & 1u) == 0) continue;
    tsr_buffer_printf(out, "%s\"%s\"", separator, tsr_profile_checks[i]);
    separator = ", ";
  }
  tsr_buffer_append_string(out, "],\n  \"points\": [\n");
  for (uint32_t i = 0; i < report->count; ++i) {
    json_point(&report->points[i], out);
    tsr_buffer_append_string(out, i + 1 < report->count ? ",\n" : "\n");
  }
  tsr_buffer_append_string(out, "  ]\n}\n");
}

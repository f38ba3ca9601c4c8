// SPDX-License-Identifier: Apache-2.0
// See verify.h.
#include <math.h>
#include <string.h>

#include "common/table.h"
#include "verify.h"

static void format_tokens(const tsr_finding *found, tsr_buffer *out,
                          const char *separator) {
  for (uint32_t i = 0; i < found->token_count; ++i) {
    tsr_buffer_printf(out, "%s%u", i == 0 ? "" : separator, found->tokens[i]);
  }
}

static void table_row(tsr_table *table, const tsr_finding *found) {
  const tessera_layer_info *info = &found->info;
  tsr_buffer tokens;
  tsr_buffer_init(&tokens);
  format_tokens(found, &tokens, " ");
  tsr_table_cell(table, "%s", info->name);
  tsr_table_cell(table, "%ux%u", info->rows, info->columns);
  tsr_table_cell(table, "%s", tsr_buffer_text(&tokens));
  if (found->columns_compared == info->output_columns) {
    tsr_table_cell(table, "all");
  } else {
    tsr_table_cell(table, "%u of %u", found->columns_compared,
                   info->output_columns);
  }
  if (found->columns_compared == 0) {
    for (int i = 0; i < 3; ++i) tsr_table_cell(table, "-");
  } else {
    tsr_table_cell(table, "%.2e", found->error);
    tsr_table_cell(table, "%.3f", found->rounded_fraction);
    tsr_table_cell(table, "%.3f", found->original_fraction);
  }
  tsr_table_cell(table, "%s", found->failed ? "WRONG" : "ok");
  tsr_buffer_fini(&tokens);
}

tsr_status tsr_verify_print_table(const tsr_verify_report *v,
                                  const tsr_cli *cli, tsr_buffer *out,
                                  tsr_error *error) {
  static const char *const headers[] = {
      "<layer",    ">shape",         "=tokens", ">columns", ">worst error",
      ">of bound", ">incl. weights", "<",       NULL};
  tsr_table *table = tsr_table_create(headers);
  for (uint32_t i = 0; i < v->count; ++i) table_row(table, &v->findings[i]);
  tsr_status status =
      tsr_table_render(table, cli->utf8, cli->out_color, out, error);
  tsr_table_destroy(table);
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < v->count; ++i) {
    if (!v->findings[i].failed) continue;
    ++wrong;
    tsr_buffer_printf(out, "layer '%s': %s\n", v->findings[i].info.name,
                      v->findings[i].message);
  }
  tsr_buffer_printf(out,
                    "%u of %u layers within the bound on %s, kernels for "
                    "%s\n",
                    v->count - wrong, v->count, v->session->description,
                    tessera_program_variant(v->session->program));
  return status;
}

static void json_layer(const tsr_finding *found, tsr_buffer *out) {
  const tessera_layer_info *info = &found->info;
  tsr_buffer_append_string(out, "    {\"name\": ");
  tsr_buffer_append_json(out, info->name, strlen(info->name));
  tsr_buffer_printf(out, ", \"rows\": %u, \"columns\": %u, \"tokens\": [",
                    info->rows, info->columns);
  format_tokens(found, out, ", ");
  tsr_buffer_printf(out,
                    "], \"output_columns\": %u, \"compared\": %u, "
                    "\"ok\": %s",
                    info->output_columns, found->columns_compared,
                    found->failed ? "false" : "true");
  if (found->columns_compared != 0) {
    // Infinity is no JSON number; 1e308 says the same.
    tsr_buffer_printf(out,
                      ", \"worst_error\": %.9g, \"of_bound\": %.6g, "
                      "\"of_bound_with_weights\": %.6g",
                      fmin(found->error, 1e308),
                      fmin(found->rounded_fraction, 1e308),
                      fmin(found->original_fraction, 1e308));
  }
  if (found->failed) {
    tsr_buffer_append_string(out, ", \"message\": ");
    tsr_buffer_append_json(out, found->message, strlen(found->message));
  }
  tsr_buffer_append_string(out, "}");
}

void tsr_verify_print_json(const tsr_verify_report *v, tsr_buffer *out) {
  const char *name = tessera_bundle_name(v->session->bundle);
  tsr_buffer_append_string(out, "{\n  \"bundle\": ");
  tsr_buffer_append_json(out, name, strlen(name));
  tsr_buffer_append_string(out, ",\n  \"device\": ");
  tsr_buffer_append_json(out, v->session->description,
                         strlen(v->session->description));
  tsr_buffer_printf(out,
                    ",\n  \"emulated\": %s,\n  \"variant\": \"%s\",\n"
                    "  \"seed\": %llu,\n",
                    v->session->emulated ? "true" : "false",
                    tessera_program_variant(v->session->program),
                    (unsigned long long)v->seed);
  tsr_buffer_printf(out, "  \"ok\": %s,\n  \"layers\": [\n",
                    v->ok ? "true" : "false");
  for (uint32_t i = 0; i < v->count; ++i) {
    json_layer(&v->findings[i], out);
    tsr_buffer_append_string(out, i + 1 < v->count ? ",\n" : "\n");
  }
  tsr_buffer_append_string(out, "  ]\n}\n");
}

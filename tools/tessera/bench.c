// SPDX-License-Identifier: Apache-2.0
// tessera bench: how long each layer takes, beside what the same machine can
// read in the same minute, another bundle, and OpenBLAS. How it is measured:
// contest.h.
#include <string.h>

#include "base/memory.h"
#include "common/cli.h"
#include "common/interrupt.h"
#include "common/progress.h"
#include "common/rows.h"
#include "common/runtime.h"
#include "common/table.h"
#include "common/terminal.h"
#include "contest.h"
#include "tessera/commands.h"

enum {
  TOKEN_LIMIT = 65536,
  CACHES_PER_WORKING_SET = 4,
  // Of a CUDA device; 126 MiB is the largest cache of its kind (B200).
  CUDA_CACHE_SIZE = 128 << 20,
};

typedef struct point {
  uint32_t layer;
  uint32_t tokens;
  tessera_layer_info info;
  char strategy[16];
  tsr_contest_result result;
} point;

typedef struct bench {
  tsr_cli *cli;
  tsr_session_options session_options;
  tsr_session session;
  tsr_session against;
  bool has_against;
  tsr_contest_options options;
  uint32_t first, count;  // layers
  point *points;          // owned
  uint32_t point_count;
} bench;

// ---- Points ----------------------------------------------------------------

// Token counts that the layer has no kernel for are left out.
static tsr_status plan_layer(bench *b, uint32_t layer, tsr_error *error) {
  tessera_layer_info info;
  tsr_layer_manifest manifest;
  tsr_status status = tsr_session_query(&b->session, layer, &info, error);
  if (status == TSR_OK) {
    status = tsr_session_manifest(&b->session, layer, &manifest, error);
  }
  for (uint32_t i = 0; status == TSR_OK && i < tsr_cli_count(b->cli, "tokens");
       ++i) {
    uint64_t tokens = tsr_cli_uint_at(b->cli, "tokens", i);
    const char *strategy = tsr_layer_manifest_strategy(&manifest, tokens);
    if (strategy == NULL) continue;
    point *p = &b->points[b->point_count++];
    *p = (point){.layer = layer, .tokens = (uint32_t)tokens, .info = info};
    (void)snprintf(p->strategy, sizeof(p->strategy), "%s", strategy);
  }
  return status;
}

static tsr_status plan_points(bench *b, tsr_error *error) {
  size_t limit = (size_t)b->count * tsr_cli_count(b->cli, "tokens");
  b->points = tsr_calloc(limit, sizeof(*b->points));
  if (b->points == NULL) return tsr_error_out_of_memory(error);
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < b->count; ++i) {
    status = plan_layer(b, b->first + i, error);
  }
  if (status == TSR_OK && b->point_count == 0) {
    status = tsr_error_set(error, TSR_INVALID_ARGUMENT,
                           "no layer takes any of the token counts asked for");
  }
  return status;
}

static tsr_status find_opponent(const bench *b, const point *p,
                                uint32_t *out_layer, tsr_error *error) {
  *out_layer = 0;
  if (!b->has_against) return TSR_OK;
  uint32_t count;
  tessera_layer_info info;
  tsr_status status = tsr_layers_select(b->against.bundle, p->info.name,
                                        out_layer, &count, error);
  if (status == TSR_OK) {
    status = tsr_session_query(&b->against, *out_layer, &info, error);
  }
  if (status == TSR_OK &&
      (info.rows != p->info.rows || info.columns != p->info.columns ||
       info.has_residual != p->info.has_residual)) {
    status =
        tsr_error_set(error, TSR_MISMATCH,
                      "layer '%s' is %ux%u here and %ux%u in bundle '%s'",
                      p->info.name, p->info.rows, p->info.columns, info.rows,
                      info.columns, tessera_bundle_name(b->against.bundle));
  }
  return status;
}

static tsr_status measure_points(bench *b, tsr_error *error) {
  tsr_progress *progress =
      tsr_progress_begin(b->cli, "measuring", "points", b->point_count, 0);
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < b->point_count; ++i) {
    point *p = &b->points[i];
    uint32_t opponent;
    tsr_progress_label(progress, p->info.name);
    if (tsr_interrupted()) status = TSR_CANCELLED;
    if (status == TSR_OK) status = find_opponent(b, p, &opponent, error);
    if (status == TSR_OK) {
      status = tsr_contest_run(&b->options, &b->session, p->layer, opponent,
                               p->tokens, &p->result, error);
    }
    tsr_progress_step(progress, 0, p->info.name);
  }
  tsr_progress_end(progress);
  if (status == TSR_CANCELLED) {
    (void)tsr_error_set(error, TSR_CANCELLED, "interrupted");
  }
  return status;
}

// ---- Figures ---------------------------------------------------------------

static double memory_rate(const bench *b) {
  double sum = 0.0;
  for (uint32_t i = 0; i < b->point_count; ++i) {
    sum += b->points[i].result.memory_rate.median;
  }
  return sum / b->point_count;
}

static double weight_rate(const point *p) {
  return (double)p->info.packed_bytes / p->result.seconds.median;
}

static double operations(const point *p) {
  return 2.0 * p->info.rows * p->info.columns * p->tokens;
}

// ---- Reports ---------------------------------------------------------------

static void ratio_cell(tsr_table *table, const tsr_spread *ratio) {
  if (ratio->count == 0) {
    tsr_table_cell(table, "-");
  } else {
    tsr_table_cell(table, "%.2fx", ratio->median);
  }
}

static void table_row(const bench *b, tsr_table *table, const point *p) {
  const tsr_contest_result *r = &p->result;
  tsr_table_cell(table, "%s", p->info.name);
  tsr_table_cell(table, "%u", p->tokens);
  tsr_table_cell(table, "%s", p->strategy);
  tsr_table_cell(table, "%s", tsr_format_seconds(r->seconds.median).text);
  if (b->session.emulated) {
    tsr_table_cell(table, "%s", tsr_format_bytes(p->info.packed_bytes).text);
    tsr_table_cell(table, "%.4g", operations(p) / 1e9);
    return;
  }
  tsr_table_cell(table, "%s..%s", tsr_format_seconds(r->seconds.p10).text,
                 tsr_format_seconds(r->seconds.p90).text);
  tsr_table_cell(table, "%.1f", weight_rate(p) / 1e9);
  tsr_table_cell(table, "%.0f%%",
                 100.0 * weight_rate(p) / r->memory_rate.median);
  tsr_table_cell(table, "%.0f", operations(p) / r->seconds.median / 1e9);
  if (b->has_against) ratio_cell(table, &r->against_ratio);
  if (b->options.peer != NULL) ratio_cell(table, &r->peer_ratio);
}

typedef struct total {
  double seconds, against, peer, bytes, operations;
  uint32_t layers;
} total;

static total sum_points(const bench *b, uint32_t tokens) {
  total sum = {0};
  for (uint32_t i = 0; i < b->point_count; ++i) {
    const point *p = &b->points[i];
    if (p->tokens != tokens) continue;
    sum.seconds += p->result.seconds.median;
    sum.against += p->result.against_seconds.median;
    sum.peer += p->result.peer_seconds.median;
    sum.bytes += (double)p->info.packed_bytes;
    sum.operations += operations(p);
    ++sum.layers;
  }
  return sum;
}

static void total_row(const bench *b, tsr_table *table, uint32_t tokens) {
  total sum = sum_points(b, tokens);
  if (sum.layers < 2) return;
  tsr_table_cell(table, "all %u", sum.layers);
  tsr_table_cell(table, "%u", tokens);
  tsr_table_cell(table, "%s", "");
  tsr_table_cell(table, "%s", tsr_format_seconds(sum.seconds).text);
  if (b->session.emulated) {
    tsr_table_cell(table, "%s", tsr_format_bytes((uint64_t)sum.bytes).text);
    tsr_table_cell(table, "%.4g", sum.operations / 1e9);
    return;
  }
  tsr_table_cell(table, "%s", "");
  tsr_table_cell(table, "%.1f", sum.bytes / sum.seconds / 1e9);
  tsr_table_cell(table, "%.0f%%",
                 100.0 * sum.bytes / sum.seconds / memory_rate(b));
  tsr_table_cell(table, "%.0f", sum.operations / sum.seconds / 1e9);
  if (b->has_against) {
    tsr_table_cell(table, "%.2fx", sum.against / sum.seconds);
  }
  if (b->options.peer != NULL) {
    tsr_table_cell(table, "%.2fx", sum.peer / sum.seconds);
  }
}

static void print_conditions(const bench *b, tsr_buffer *out) {
  bool is_cuda = b->session.is_cuda;
  if (b->session.emulated) {
    tsr_buffer_append_string(
        out,
        "EMULATED CUDA DRIVER: times are those of a simple model of the GPU, "
        "nothing was\nmeasured. What kernels do is counted by 'tessera "
        "profile'.\n");
    return;
  }
  const char *setting = b->options.working_set == 0 ? "hot (one copy)"
                        : is_cuda                   ? "cold (copies in turns)"
                                  : "cold (copies in large pages, in turns)";
  tsr_buffer_printf(out, "weights %s; %s memory: %s\n", setting,
                    is_cuda ? "copying" : "reading",
                    tsr_format_rate(memory_rate(b)).text);
}

static void print_setting(const bench *b, tsr_buffer *out) {
  tsr_buffer_printf(out, "%s, kernels for %s\n", b->session.description,
                    tessera_program_variant(b->session.program));
  print_conditions(b, out);
  if (b->has_against && !b->session.emulated) {
    tsr_buffer_printf(out, "bundle: time of '%s' over time of '%s'\n",
                      tessera_bundle_name(b->against.bundle),
                      tessera_bundle_name(b->session.bundle));
  }
  if (b->options.peer != NULL) {
    tsr_buffer_printf(out, "OpenBLAS: fp32, dense; %s\n",
                      tsr_peer_description(b->options.peer));
  }
}

// Of the table, after layer, N and kernel; room for two more.
static void fill_headers(const bench *b, const char **headers) {
  static const char *const emulated[] = {">modelled", ">weights", ">GFLOP",
                                         NULL};
  static const char *const measured[] = {">time", ">p10..p90", ">GB/s",
                                         NULL,    ">GFLOP/s",  NULL};
  const char *const *list = b->session.emulated ? emulated : measured;
  size_t count = b->session.emulated ? 3 : 5;
  memcpy((void *)headers, (const void *)list, (count + 1) * sizeof(*list));
  if (b->session.emulated) return;
  headers[3] = b->session.is_cuda ? ">of copy" : ">of read";
  if (b->has_against) headers[count++] = ">bundle";
  if (b->options.peer != NULL) headers[count++] = ">OpenBLAS";
  headers[count] = NULL;
}

static tsr_status print_table(const bench *b, tsr_buffer *out,
                              tsr_error *error) {
  const char *headers[11] = {"<layer", ">N", "<kernel"};
  fill_headers(b, headers + 3);
  tsr_table *table = tsr_table_create(headers);
  for (uint32_t i = 0; i < b->point_count; ++i) {
    table_row(b, table, &b->points[i]);
  }
  if (b->count > 1) {
    tsr_table_rule(table);
    for (uint32_t i = 0; i < tsr_cli_count(b->cli, "tokens"); ++i) {
      total_row(b, table, (uint32_t)tsr_cli_uint_at(b->cli, "tokens", i));
    }
  }
  print_setting(b, out);
  tsr_status status =
      tsr_table_render(table, b->cli->utf8, b->cli->out_color, out, error);
  tsr_table_destroy(table);
  return status;
}

static void json_spread(tsr_buffer *out, const char *name,
                        const tsr_spread *s) {
  if (s->count == 0) return;
  tsr_buffer_printf(out,
                    ",\n     \"%s\": {\"median\": %.6g, \"p10\": %.6g, "
                    "\"p90\": %.6g, \"samples\": %zu}",
                    name, s->median, s->p10, s->p90, s->count);
}

static void json_rates(const bench *b, const point *p, tsr_buffer *out) {
  const tsr_contest_result *r = &p->result;
  bool is_cuda = b->session.is_cuda;
  tsr_buffer_printf(out,
                    ",\n     \"bytes_per_second\": %.6g, \"%s\": %.4f, "
                    "\"flop_per_second\": %.6g",
                    weight_rate(p), is_cuda ? "of_copy" : "of_read",
                    weight_rate(p) / r->memory_rate.median,
                    operations(p) / r->seconds.median);
  json_spread(out, "seconds", &r->seconds);
  json_spread(out, is_cuda ? "copy_bytes_per_second" : "read_bytes_per_second",
              &r->memory_rate);
  json_spread(out, "against_seconds", &r->against_seconds);
  json_spread(out, "against_ratio", &r->against_ratio);
  json_spread(out, "peer_seconds", &r->peer_seconds);
  json_spread(out, "peer_ratio", &r->peer_ratio);
}

static void json_point(const bench *b, const point *p, tsr_buffer *out) {
  const tsr_contest_result *r = &p->result;
  tsr_buffer_append_string(out, "    {\"layer\": ");
  tsr_buffer_append_json(out, p->info.name, strlen(p->info.name));
  tsr_buffer_printf(out,
                    ", \"rows\": %u, \"columns\": %u, \"tokens\": %u, "
                    "\"kernel\": \"%s\",\n     \"bytes\": %llu, "
                    "\"copies\": %u, \"flop\": %.0f",
                    p->info.rows, p->info.columns, p->tokens, p->strategy,
                    (unsigned long long)p->info.packed_bytes, r->copies,
                    operations(p));
  if (b->session.emulated) {
    tsr_buffer_printf(out, ", \"modelled_seconds\": %.6g", r->seconds.median);
  } else {
    json_rates(b, p, out);
  }
  tsr_buffer_append_string(out, "}");
}

static void json_text(tsr_buffer *out, const char *name, const char *text) {
  tsr_buffer_printf(out, "  \"%s\": ", name);
  tsr_buffer_append_json(out, text, strlen(text));
  tsr_buffer_append_string(out, ",\n");
}

static void print_json(const bench *b, tsr_buffer *out) {
  tsr_buffer_append_string(out, "{\n");
  json_text(out, "bundle", tessera_bundle_name(b->session.bundle));
  if (b->has_against) {
    json_text(out, "against", tessera_bundle_name(b->against.bundle));
  }
  if (b->options.peer != NULL) {
    json_text(out, "peer", tsr_peer_description(b->options.peer));
  }
  json_text(out, "device", b->session.description);
  json_text(out, "variant", tessera_program_variant(b->session.program));
  tsr_buffer_printf(out,
                    "  \"emulated\": %s,\n  \"threads\": %u,\n"
                    "  \"working_set\": %zu,\n  \"points\": [\n",
                    b->session.emulated ? "true" : "false",
                    tessera_device_thread_count(b->session.device),
                    b->options.working_set);
  for (uint32_t i = 0; i < b->point_count; ++i) {
    json_point(b, &b->points[i], out);
    tsr_buffer_append_string(out, i + 1 < b->point_count ? ",\n" : "\n");
  }
  tsr_buffer_append_string(out, "  ]\n}\n");
}

static tsr_status report(const bench *b, tsr_error *error) {
  tsr_buffer out;
  tsr_buffer_init(&out);
  tsr_status status = TSR_OK;
  if (tsr_cli_given(b->cli, "json")) {
    print_json(b, &out);
  } else {
    status = print_table(b, &out, error);
  }
  return tsr_cli_print(b->cli, status, &out, error);
}

// ---- The command -----------------------------------------------------------

// How much memory copies of the weights take, so that a cache cannot hold them.
static size_t working_set(const bench *b) {
  if (tsr_cli_given(b->cli, "hot") || b->session.emulated) return 0;
  size_t cache = b->session.is_cuda ? CUDA_CACHE_SIZE : tsr_cache_size();
  return CACHES_PER_WORKING_SET * cache;
}

// Reading by as many threads, to compare with; a CUDA device copies instead.
static tsr_status open_host_parties(bench *b, tsr_error *error) {
  uint32_t threads = tessera_device_thread_count(b->session.device);
  tsr_status status = TSR_OK;
  if (tsr_cli_given(b->cli, "peer")) {
    status = tsr_peer_open(threads, &b->options.peer, error);
  }
  if (status == TSR_OK) {
    status =
        tsr_bandwidth_create(threads, CACHES_PER_WORKING_SET * tsr_cache_size(),
                             &b->options.bandwidth, error);
  }
  return status;
}

// The other bundle runs on its own device: its threads sleep while ours run.
static tsr_status open_parties(bench *b, tsr_error *error) {
  tsr_session_options options = b->session_options;
  tsr_status status = tsr_session_open(&options, &b->session, error);
  if (status != TSR_OK) return status;
  b->options.working_set = working_set(b);
  options.path = tsr_cli_string(b->cli, "against");
  if (options.path != NULL) {
    status = tsr_session_open(&options, &b->against, error);
    b->has_against = status == TSR_OK;
    b->options.against = &b->against;
  }
  if (status == TSR_OK && !b->session.is_cuda) {
    status = open_host_parties(b, error);
  }
  return status;
}

static tsr_status bench_bundle(bench *b, tsr_error *error) {
  tsr_status status = open_parties(b, error);
  if (status == TSR_OK) {
    status =
        tsr_layers_select(b->session.bundle, tsr_cli_string(b->cli, "layer"),
                          &b->first, &b->count, error);
  }
  if (status == TSR_OK) status = plan_points(b, error);
  if (status == TSR_OK) status = measure_points(b, error);
  if (status == TSR_OK) status = report(b, error);
  return status;
}

static int run_bench(tsr_cli *cli) {
  bench b = {.cli = cli};
  b.options.seconds = tsr_cli_real(cli, "time");
  b.options.seed = 1;
  int code = tsr_session_read_options(cli, &b.session_options);
  if (code != TSR_EXIT_OK) return code;
  if (tsr_cli_given(cli, "peer") &&
      strcmp(b.session_options.device, "host") != 0) {
    return tsr_cli_usage_error(
        cli, "--peer runs on the host: with --device %s it means nothing",
        b.session_options.device);
  }
  tsr_error error = {0};
  tsr_status status = bench_bundle(&b, &error);
  tsr_bandwidth_destroy(b.options.bandwidth);
  tsr_peer_close(b.options.peer);
  tsr_session_close(&b.against);
  tsr_session_close(&b.session);
  tsr_free(b.points);
  return status == TSR_OK ? TSR_EXIT_OK : tsr_cli_fail(cli, &error);
}

static const char *const peers[] = {"openblas", NULL};

static const tsr_option options[] = {
    {.name = "tokens",
     .type = TSR_OPTION_UINT_LIST,
     .value = "N,...",
     .help = "token counts to measure",
     .default_text = "1,16,512",
     .minimum = 1,
     .maximum = TOKEN_LIMIT},
    {.name = "layer",
     .letters = "l",
     .type = TSR_OPTION_STRING,
     .value = "NAME",
     .help = "measure this layer only"},
    {.name = "against",
     .type = TSR_OPTION_FILE,
     .value = "BUNDLE",
     .help = "run the layers of this bundle in turns and print how many times "
             "longer they take"},
    {.name = "peer",
     .type = TSR_OPTION_CHOICE,
     .value = "LIBRARY",
     .help = "run this library's dense fp32 product in turns",
     .choices = peers},
    {.name = "cold",
     .type = TSR_OPTION_FLAG,
     .help = "weights come from memory: copies of them take turns, four times "
             "the last-level cache together, 512 MiB on a CUDA device (the "
             "default)",
     .group = "temperature"},
    {.name = "hot",
     .type = TSR_OPTION_FLAG,
     .help = "weights may stay in the caches",
     .group = "temperature"},
    {.name = "time",
     .type = TSR_OPTION_REAL,
     .value = "SECONDS",
     .help = "time to spend on each figure",
     .default_text = "0.5",
     .minimum = 0.001,
     .maximum = 3600},
    TSR_OPTIONS_SESSION("threads of every party (default: one per core)"),
    {.name = "json", .type = TSR_OPTION_FLAG, .help = "print JSON"},
    {0}};

static const tsr_example examples[] = {
    {"tessera bench model.bundle --tokens 1", "decode speed of every layer"},
    {"tessera bench sparse.bundle --against dense.bundle --peer openblas",
     "what sparsity gains, and beside a dense library"},
    {0}};

const tsr_command tsr_command_bench = {
    .name = "bench",
    .summary = "measure the layers of a bundle",
    .description =
        "Prints the median time of a run of each layer with its spread, the "
        "rate at which packed weights are consumed, and that rate as a "
        "fraction of the speed at which as many threads merely read memory, "
        "measured in turns with the layer. All parties take turns in rounds of "
        "a few milliseconds; ratios are medians over rounds. On a CUDA device "
        "runs are timed in rows between two events, and compared with the "
        "speed at which the device copies memory, bytes read and written. The "
        "emulated CUDA driver knows modelled times only, and the report says "
        "so.\n\n"
        "GFLOP/s counts the dense product, 2 M K N. 'bundle' and 'OpenBLAS' "
        "are their time over ours: above 1, ours is faster.",
    .options = options,
    .positionals = tsr_positionals_bundle,
    .examples = examples,
    .polls_interrupt = true,
    .run = run_bench};

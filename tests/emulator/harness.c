// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <stdlib.h>

#include "base/memory.h"
#include "exec/devices.h"

static void must(tsr_status status, const tsr_error *error, const char *what) {
  if (status == TSR_OK) return;
  fprintf(stderr, "harness: %s: %s\n", what, error->message);
  exit(1);
}

void emu_init(emu *e, const char *device) {
  memset(e, 0, sizeof(*e));
  tsr_error error = {0};
  tsr_config_defaults(&e->config);
  e->config.checks = TESSERA_EMU_CHECK_ALL;
  e->device = tsr_device_find(device);
  if (e->device == NULL) {
    fprintf(stderr, "harness: no device '%s'\n", device);
    exit(1);
  }
  must(tsr_heap_create(e->device->memory_bytes, true, &e->heap, &error), &error,
       "heap");
  must(tsr_report_create(&e->report, &error), &error, "report");
}

void emu_fini(emu *e) {
  tsr_program_destroy(e->program);
  tsr_ptx_log_fini(&e->log);
  tsr_report_destroy(e->report);
  tsr_heap_destroy(e->heap);
  memset(e, 0, sizeof(*e));
}

bool emu_load(emu *e, const char *text) {
  tsr_error error = {0};
  tsr_program_destroy(e->program);
  e->program = NULL;
  tsr_ptx_log_fini(&e->log);
  memset(&e->log, 0, sizeof(e->log));
  tsr_status status = tsr_program_load(text, strlen(text), e->device, e->heap,
                                       &e->log, &e->program, &error);
  if (status != TSR_OK && e->log.error_count == 0) {
    fprintf(stderr, "harness: load: %s\n", error.message);
  }
  return status == TSR_OK;
}

emu_verdict emu_try(emu *e, const char *version, const char *target,
                    const char *declarations, const char *instruction) {
  tsr_buffer text = {0};
  tsr_buffer_printf(&text,
                    ".version %s\n.target %s\n.address_size 64\n"
                    ".visible .entry k(.param .u64 p) {\n%s\n",
                    version, target, declarations);
  uint32_t line = 1;
  for (size_t i = 0; i < text.size; ++i) line += text.data[i] == '\n';
  tsr_buffer_printf(&text, "%s\nret;\n}\n", instruction);
  bool is_loaded = emu_load(e, tsr_buffer_text(&text));
  tsr_buffer_fini(&text);
  if (is_loaded) return EMU_ACCEPTED;
  char place[16];
  (void)snprintf(place, sizeof(place), "(%" PRIu32 ",", line);
  const char *log = tsr_buffer_text(&e->log.errors);
  return strstr(log, place) != NULL ? EMU_REFUSED : EMU_REFUSED_ELSEWHERE;
}

bool emu_refuses(emu *e, const char *instruction) {
  emu_verdict verdict = emu_try(e, "8.7", "sm_90a",
                                ".reg .pred %p<2>; .reg .b16 %h<4>;\n"
                                ".reg .b32 %r<8>; .reg .b64 %rd<4>;",
                                instruction);
  if (verdict == EMU_ACCEPTED) fprintf(stderr, "accepted: %s\n", instruction);
  return verdict == EMU_REFUSED;
}

void emu_must_load(emu *e, const char *text) {
  if (emu_load(e, text)) return;
  fprintf(stderr, "%s\n--- refused:\n%s", text,
          tsr_buffer_text(&e->log.errors));
  exit(1);
}

uint64_t emu_upload(emu *e, const void *data, uint64_t size) {
  tsr_error error = {0};
  uint64_t address = 0;
  must(tsr_heap_allocate(e->heap, size, TSR_HEAP_DATA, &address, &error),
       &error, "allocate");
  if (data != NULL) {
    memcpy((void *)(uintptr_t)address, data, size);
    tsr_heap_mark_written(e->heap, address, size);
  }
  return address;
}

void emu_download(emu *e, void *data, uint64_t address, uint64_t size) {
  (void)e;
  memcpy(data, (const void *)(uintptr_t)address, size);
}

static uint32_t at_least_one(uint32_t value) {
  return value == 0 ? 1 : value;
}

bool emu_launch(emu *e, const char *kernel, emu_dims dims, const uint64_t *args,
                uint32_t count) {
  const tsr_kernel *found = tsr_program_kernel(e->program, kernel);
  if (found == NULL || count > found->param_count) {
    fprintf(stderr, "harness: no kernel '%s' with %u parameters\n", kernel,
            count);
    exit(1);
  }
  unsigned char *params = tsr_calloc(1, (size_t)found->params_size + 16);
  if (params == NULL) exit(1);
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t size = found->params[i].size;
    memcpy(params + found->params[i].offset, &args[i], size < 8 ? size : 8);
  }
  tsr_launch *launch = &e->launch;
  memset(launch, 0, sizeof(*launch));
  launch->kernel = found;
  launch->device = e->device;
  launch->config = e->config;
  launch->number = ++e->launches;
  launch->threads = 1;
  for (int i = 0; i < 3; ++i) {
    launch->grid[i] = at_least_one(dims.grid[i]);
    launch->block[i] = at_least_one(dims.block[i]);
    launch->threads *= launch->block[i];
  }
  launch->warps = (launch->threads + TSR_LANES - 1) / TSR_LANES;
  launch->dynamic_shared = dims.shared;
  launch->params = params;
  launch->params_size = found->params_size;
  launch->heap = e->heap;
  launch->report = e->report;
  tsr_error error = {0};
  must(tsr_engine_run(launch, &error), &error, "launch");
  tsr_free(params);
  launch->params = NULL;
  return launch->fault == 0 &&
         tsr_report_count_launch(e->report, launch->number) == 0;
}

const char *emu_findings(emu *e) {
  static char text[8192];
  size_t used = 0;
  text[0] = '\0';
  tessera_emu_finding finding = {.struct_size = sizeof(finding)};
  for (size_t i = 0; tsr_report_get(e->report, i, &finding); ++i) {
    if (finding.launch != e->launch.number) continue;
    int n = snprintf(text + used, sizeof(text) - used, "%s\n", finding.message);
    if (n < 0 || (size_t)n >= sizeof(text) - used) break;
    used += (size_t)n;
  }
  return text;
}

bool emu_found(emu *e, tessera_emu_finding_kind kind) {
  tessera_emu_finding finding = {.struct_size = sizeof(finding)};
  for (size_t i = 0; tsr_report_get(e->report, i, &finding); ++i) {
    if (finding.launch == e->launch.number && finding.kind == kind) return true;
  }
  return false;
}

// --- One warp, one body -----------------------------------------------------

typedef struct lane_type {
  char letter;
  const char *reg;   // of the register
  const char *load;  // to load and store it
  uint32_t bytes;
} lane_type;

static const lane_type *lane_type_of(char letter) {
  static const lane_type types[] = {{'r', "b32", "b32", 4},
                                    {'d', "b64", "b64", 8},
                                    {'h', "b16", "b16", 2},
                                    {'p', "pred", "b32", 4}};
  for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); ++i) {
    if (types[i].letter == letter) return &types[i];
  }
  fprintf(stderr, "harness: no register type '%c'\n", letter);
  exit(1);
}

static void declare(tsr_buffer *text, const char *types, char prefix) {
  for (uint32_t k = 0; types[k] != '\0'; ++k) {
    tsr_buffer_printf(text, ".reg .%s %%%c%u;\n", lane_type_of(types[k])->reg,
                      prefix, k);
  }
}

// Input and output k lie at (k * 32 + lane) * 8.
static void write_kernel(emu *e, tsr_buffer *text, const char *headers,
                         const char *body, const char *ins, const char *outs) {
  const tsr_device_model *device = e->device;
  tsr_buffer_printf(text, ".version 8.7\n.target sm_%u%u%s\n.address_size 64\n",
                    device->sm_major, device->sm_minor,
                    device->sm_major >= 9 ? "a" : "");
  tsr_buffer_append_string(text, headers == NULL ? "" : headers);
  tsr_buffer_append_string(
      text,
      ".visible .entry lanes(.param .u64 pin, .param .u64 pout) {\n"
      ".reg .b64 %hin, %hout, %hofs;\n.reg .b32 %hlane, %hword;\n"
      "ld.param.u64 %hin, [pin];\nld.param.u64 %hout, [pout];\n"
      "mov.u32 %hlane, %tid.x;\nmul.wide.u32 %hofs, %hlane, 8;\n"
      "add.u64 %hin, %hin, %hofs;\nadd.u64 %hout, %hout, %hofs;\n");
  declare(text, ins, 'i');
  declare(text, outs, 'o');
  for (uint32_t k = 0; ins[k] != '\0'; ++k) {
    if (ins[k] == 'p') {
      tsr_buffer_printf(text,
                        "ld.global.b32 %%hword, [%%hin+%u];\n"
                        "setp.ne.u32 %%i%u, %%hword, 0;\n",
                        k * 256, k);
    } else {
      tsr_buffer_printf(text, "ld.global.%s %%i%u, [%%hin+%u];\n",
                        lane_type_of(ins[k])->load, k, k * 256);
    }
  }
  tsr_buffer_printf(text, "%s\n", body);
  for (uint32_t k = 0; outs[k] != '\0'; ++k) {
    if (outs[k] == 'p') {
      tsr_buffer_printf(text,
                        "selp.u32 %%hword, 1, 0, %%o%u;\n"
                        "st.global.b32 [%%hout+%u], %%hword;\n",
                        k, k * 256);
    } else {
      tsr_buffer_printf(text, "st.global.%s [%%hout+%u], %%o%u;\n",
                        lane_type_of(outs[k])->load, k * 256, k);
    }
  }
  tsr_buffer_append_string(text, "ret;\n}\n");
}

bool emu_lanes(emu *e, const char *headers, const char *body,
               const char *input_types, const uint64_t (*in)[32],
               const char *output_types, uint64_t (*out)[32]) {
  tsr_buffer text;
  tsr_buffer_init(&text);
  write_kernel(e, &text, headers, body, input_types, output_types);
  emu_must_load(e, tsr_buffer_text(&text));
  tsr_buffer_fini(&text);
  size_t in_size = strlen(input_types) * 256;
  size_t out_size = strlen(output_types) * 256;
  uint64_t args[2] = {
      emu_upload(e, in_size > 0 ? in : NULL, in_size + (in_size == 0)),
      emu_upload(e, NULL, out_size + (out_size == 0))};
  memset((void *)(uintptr_t)args[1], 0, out_size);
  emu_dims dims = {.block = {32, 1, 1}};
  bool clean = emu_launch(e, "lanes", dims, args, 2);
  emu_download(e, out, args[1], out_size);
  (void)tsr_heap_free(e->heap, args[0]);
  (void)tsr_heap_free(e->heap, args[1]);
  return clean;
}

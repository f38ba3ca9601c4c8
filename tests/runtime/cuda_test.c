// SPDX-License-Identifier: Apache-2.0
// Bundles on a CUDA device, here the emulated one: what reaches the device,
// what a launch is given, which calls of the driver a run makes, and that
// nothing of the caller's is touched.
#include <pthread.h>
#include <stdlib.h>

#include "cuda_checks.h"
#include "synthetic.h"
#include "test.h"

extern size_t tsr_cuda_upload_buffer;  // runtime/src/cuda/program.h

static emu e;

typedef struct setup {
  cuda_bundle written;
  tessera_bundle *bundle;
  tessera_device *device;
  tessera_program *program;
  const tessera_layer *wide, *nothing;
  tessera_error error;
} setup;

static void setup_init(setup *s, const char *device) {
  memset(s, 0, sizeof(*s));
  cuda_bundle_init(&s->written);
  s->bundle = cuda_open_bundle(&s->written, true, &s->error);
  CHECK_STR(s->error.message, "");
  CHECK_EQ(tessera_device_open(device, NULL, &s->device, &s->error),
           TESSERA_OK);
  CHECK_EQ(
      tessera_program_prepare(s->bundle, s->device, &s->program, &s->error),
      TESSERA_OK);
  CHECK_STR(s->error.message, "");
  s->wide = tessera_bundle_find_layer(s->bundle, "wide");
  s->nothing = tessera_bundle_find_layer(s->bundle, "nothing");
}

static void setup_fini(setup *s) {
  tessera_program_destroy(s->program);
  tessera_device_close(s->device);
  tessera_bundle_close(s->bundle);
  cuda_bundle_fini(&s->written);
}

// ---- Devices ----------------------------------------------------------------

static void test_devices(void) {
  tessera_device *device = NULL;
  tessera_error error;
  check_device_fails(
      "cuda:2", TESSERA_NOT_FOUND,
      "device 'cuda:2': there are 2 CUDA devices, counted from 0");
  CHECK_EQ(tessera_device_open("cuda:1", NULL, &device, &error), TESSERA_OK);
  CHECK(strstr(tessera_device_description(device),
               "cuda:1 (NVIDIA A100-SXM4-80GB, compute capability 8.0, 108 "
               "multiprocessors, driver ") != NULL);
  tessera_device_close(device);
}

static void test_callers_context(void) {
  tessera_device_options options = {.size = sizeof(options)};
  CUcontext mine = NULL, other = NULL, now = NULL;
  tessera_device *device = NULL;
  tessera_error error;
  CHECK_EQ(e.ctx_create(&other, 0, 1), CUDA_SUCCESS);
  CHECK_EQ(e.ctx_create(&mine, 0, 0), CUDA_SUCCESS);
  options.context = other;
  CHECK_EQ(tessera_device_open("cuda:0", &options, &device, &error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error.message, "device 'cuda:0': context is one of another device");
  options.context = mine;
  uint64_t retained = e.call_count("cuDevicePrimaryCtxRetain");
  CHECK_EQ(tessera_device_open("cuda:0", &options, &device, &error),
           TESSERA_OK);
  CHECK_EQ(e.call_count("cuDevicePrimaryCtxRetain") - retained, 0);
  void *memory = NULL;
  CHECK_EQ(e.ctx_set(other), CUDA_SUCCESS);
  CHECK_EQ(tessera_device_allocate(device, 100, &memory, &error), TESSERA_OK);
  CHECK_EQ(e.ctx_get(&now), CUDA_SUCCESS);
  CHECK(now == other);
  tessera_device_free(device, memory);
  tessera_device_close(device);
  CHECK_EQ(e.ctx_destroy(mine), CUDA_SUCCESS);
  CHECK_EQ(e.ctx_destroy(other), CUDA_SUCCESS);
}

// ---- What a launch is given -------------------------------------------------

typedef struct launch {
  setup *s;
  const tessera_layer *layer;
  void *stream;
  void *input, *residual, *output, *workspace;
  size_t workspace_size;
  tessera_run_args args;
} launch;

static void launch_init(launch *l, setup *s, const tessera_layer *layer,
                        uint32_t tokens, void *stream) {
  tessera_layer_info info = {.size = sizeof(info)};
  tessera_error *error = &s->error;
  memset(l, 0, sizeof(*l));
  l->s = s;
  l->layer = layer;
  l->stream = stream;
  CHECK_EQ(tessera_layer_query(layer, &info, error), TESSERA_OK);
  size_t size = (size_t)tokens * info.output_columns * 4;
  CHECK_EQ(tessera_layer_workspace(s->program, layer, tokens,
                                   &l->workspace_size, error),
           TESSERA_OK);
  CHECK_EQ(tessera_device_allocate(s->device, (size_t)tokens * info.columns * 2,
                                   &l->input, error),
           TESSERA_OK);
  CHECK_EQ(tessera_device_allocate(s->device, size, &l->output, error),
           TESSERA_OK);
  CHECK_EQ(tessera_device_allocate(s->device, l->workspace_size, &l->workspace,
                                   error),
           TESSERA_OK);
  if (info.has_residual) {
    CHECK_EQ(tessera_device_allocate(s->device, size, &l->residual, error),
             TESSERA_OK);
  }
  l->args = (tessera_run_args){.size = sizeof(l->args),
                               .token_count = tokens,
                               .input = l->input,
                               .residual = l->residual,
                               .output = l->output,
                               .workspace = l->workspace,
                               .workspace_size = l->workspace_size,
                               .stream = stream};
  CHECK_EQ(tessera_workspace_init(s->program, l->workspace, l->workspace_size,
                                  stream, error),
           TESSERA_OK);
}

static void launch_fini(launch *l) {
  tessera_device_free(l->s->device, l->input);
  tessera_device_free(l->s->device, l->residual);
  tessera_device_free(l->s->device, l->output);
  tessera_device_free(l->s->device, l->workspace);
}

static void launch_read(launch *l, uint64_t out[DUMP_COUNT]) {
  tessera_error *error = &l->s->error;
  CHECK_EQ(tessera_device_read(l->s->device, out, l->output,
                               DUMP_COUNT * sizeof(uint64_t), l->stream, error),
           TESSERA_OK);
}

static void launch_run(launch *l, uint64_t out[DUMP_COUNT]) {
  tessera_error *error = &l->s->error;
  CHECK_EQ(tessera_linear_run(l->s->program, l->layer, &l->args, error),
           TESSERA_OK);
  CHECK_STR(error->message, "");
  launch_read(l, out);
}

// Device memory at |address| holds |size| bytes like |expected|.
static void same_bytes(setup *s, uint64_t address, const void *expected,
                       size_t size) {
  void *memory = calloc(1, size + 1);
  CHECK_EQ(tessera_device_read(s->device, memory, (void *)(uintptr_t)address,
                               size, NULL, &s->error),
           TESSERA_OK);
  CHECK(memcmp(memory, expected, size) == 0);
  free(memory);
}

// The cut |index| of the section of layer 0 is what a launch was given.
static void same_cut(setup *s, const uint64_t *dump, uint32_t index) {
  const tsr_nvidia_schedule *head = cuda_bundle_schedule(&s->written, 0);
  const tsr_nvidia_step *steps = (const void *)(head + 1);
  const tsr_nvidia_cut *cuts = (const void *)(steps + head->step_count);
  const tsr_nvidia_worker *workers = (const void *)(cuts + head->cut_count);
  const tsr_nvidia_segment *segments =
      (const void *)(workers + head->worker_count);
  const tsr_nvidia_cut *cut = &cuts[index];
  const cuda_layer *layer = &s->written.layers[0];
  const char *data = s->written.weights.data;
  same_bytes(s, dump[0], data + layer->offsets[1], (size_t)layer->sizes[1]);
  same_bytes(s, dump[1], steps, head->step_count * sizeof(*steps));
  same_bytes(s, dump[2], workers + cut->worker_first,
             cut->worker_count * sizeof(*workers));
  same_bytes(s, dump[3], segments + cut->segment_first,
             cut->segment_count * sizeof(*segments));
  same_bytes(s, dump[6], data + layer->offsets[3], (size_t)layer->sizes[3]);
  CHECK_EQ(dump[0] % 128, 0);
  CHECK_EQ(dump[15], cut->worker_count);
  CHECK_EQ(dump[16], cut->partial_count);
  CHECK_EQ(dump[17], cut->reduction_count);
}

static void test_decode_launch(setup *s) {
  launch l;
  uint64_t dump[DUMP_COUNT];
  launch_init(&l, s, s->wide, 3, NULL);
  launch_run(&l, dump);
  same_cut(s, dump, 0);
  CHECK(dump[4] == (uintptr_t)l.input && dump[5] == (uintptr_t)l.residual);
  CHECK(dump[7] == (uintptr_t)l.output && dump[8] == (uintptr_t)l.workspace);
  CHECK_EQ(dump[9], CUDA_COLUMNS);
  CHECK_EQ(dump[10], CUDA_ROWS);
  CHECK_EQ(dump[11], CUDA_ROWS);
  CHECK_EQ(dump[12], 3);
  CHECK_EQ(dump[13], 1);
  CHECK_EQ(dump[14], TSR_NVIDIA_RASTER);
  CHECK_EQ(dump[DUMP_GRID], 7);
  CHECK_EQ(dump[DUMP_THREADS], 64);
  CHECK_EQ(dump[DUMP_SHARED], 1024);
  const tsr_nvidia_schedule *head = cuda_bundle_schedule(&s->written, 0);
  CHECK(head->cut_count == 8 && dump[16] > 1);
  // Header and the slots of one token tile, no more and no less.
  CHECK_EQ(l.workspace_size, 4096 + dump[16] * CUDA_DECODE_TOKENS * 64 * 4);
  launch_fini(&l);
}

// 100 tokens are 2 token tiles: 14 of 132 multiprocessors with 7 workers, 8
// with 4, 2 with 1, all in one wave.
static void test_prefill_launch(setup *s) {
  launch l;
  uint64_t dump[DUMP_COUNT];
  launch_init(&l, s, s->wide, 100, NULL);
  launch_run(&l, dump);
  same_cut(s, dump, 1);
  CHECK_EQ(dump[13], 2);
  CHECK_EQ(dump[DUMP_GRID], 14);
  CHECK_EQ(dump[DUMP_THREADS], 128);
  CHECK_EQ(dump[DUMP_SHARED], 65536);
  launch_fini(&l);
}

// 33 token tiles fill the 132 multiprocessors with 4 workers each; 132 do so
// with any number, of which 1 needs no workspace.
static void test_cut_follows_tokens(setup *s) {
  launch l;
  uint64_t dump[DUMP_COUNT];
  launch_init(&l, s, s->wide, 33 * CUDA_PREFILL_TOKENS, NULL);
  launch_run(&l, dump);
  same_cut(s, dump, 2);
  CHECK_EQ(dump[DUMP_GRID], 132);
  launch_fini(&l);
  launch_init(&l, s, s->wide, 132 * CUDA_PREFILL_TOKENS, NULL);
  CHECK(l.workspace_size != 0);  // fewer tokens do need one
  l.args.workspace = NULL;
  l.args.workspace_size = 0;
  launch_run(&l, dump);
  same_cut(s, dump, 3);
  CHECK_EQ(dump[8], 0);
  launch_fini(&l);
}

// A layer without tiles is launched too: bias and residual are Y.
static void test_layer_without_tiles(setup *s) {
  launch l;
  uint64_t dump[DUMP_COUNT];
  launch_init(&l, s, s->nothing, 2, NULL);
  CHECK_EQ(l.workspace_size, 0);
  launch_run(&l, dump);
  CHECK_EQ(dump[DUMP_GRID], 1);
  CHECK(dump[5] == 0 && dump[6] == 0 && dump[8] == 0);
  launch_fini(&l);
}

static void test_other_class(void) {
  setup s;
  launch l;
  uint64_t dump[DUMP_COUNT];
  setup_init(&s, "cuda:1");  // 108 multiprocessors: the class of 8
  CHECK_STR(tessera_program_variant(s.program), "sm_80 ptx");
  launch_init(&l, &s, s.wide, 1, NULL);
  launch_run(&l, dump);
  same_cut(&s, dump, 4);
  launch_fini(&l);
  // What is said of the layer is that of the first class, on any device.
  tessera_layer_info info = {.size = sizeof(info)};
  CHECK_EQ(tessera_layer_query(s.wide, &info, &s.error), TESSERA_OK);
  CHECK_EQ(info.worker_count, 7);
  setup_fini(&s);
}

// ---- Refusals ---------------------------------------------------------------

static void run_fails(launch *l, const char *message) {
  CHECK_EQ(tessera_linear_run(l->s->program, l->layer, &l->args, &l->s->error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(l->s->error.message, message);
}

static void test_run_refusals(setup *s) {
  launch l;
  tessera_error *error = &s->error;
  launch_init(&l, s, s->wide, 4, NULL);
  uint64_t launches = e.call_count("cuLaunchKernel");
  l.args.workspace_size -= 1;
  run_fails(&l,
            "layer 'wide': workspace has 135167 bytes, 4 tokens need "
            "135168");
  l.args.workspace_size += 1;
  l.args.workspace = (char *)l.workspace + 64;
  run_fails(&l, "layer 'wide': workspace is not aligned to 128 bytes");
  l.args.workspace = l.workspace;
  l.args.token_count = 65;
  run_fails(&l,
            "layer 'wide': no kernel for 65 tokens; it takes 1..64, "
            "66..131072");
  l.args.token_count = CUDA_PREFILL_LAST + 1;
  run_fails(&l,
            "layer 'wide': no kernel for 131073 tokens; it takes 1..64, "
            "66..131072");
  l.args.token_count = 4;
  l.args.input = NULL;
  run_fails(&l, "layer 'wide': input is NULL");
  CHECK_EQ(e.call_count("cuLaunchKernel"), launches);
  CHECK_EQ(tessera_workspace_init(s->program, l.workspace, 100, NULL, error),
           TESSERA_INVALID_ARGUMENT);
  CHECK_STR(error->message,
            "workspace has 100 bytes, its header alone needs 4096");
  CHECK_EQ(tessera_linear_run_thread(s->program, s->wide, &l.args,
                                     &(tessera_team){{0}}, 0, 1, error),
           TESSERA_UNSUPPORTED);
  launch_fini(&l);
}

static void ends_with(const char *message, const char *end) {
  size_t size = strlen(message), length = strlen(end);
  CHECK_STR(size < length ? message : message + size - length, end);
}

// One that was compiled for the host alone, by whatever asks for CUDA.
static void test_host_bundle(setup *s) {
  static const char end[] =
      ": it was not compiled for a CUDA target; it has generic: run it on the "
      "device host";
  synthetic written;
  tsr_buffer bytes;
  tessera_program *program = NULL;
  tessera_error *error = &s->error;
  size_t size = 0;
  synthetic_init(&written, KERNEL_IMAGE, 1);
  synthetic_container(&written, &bytes);
  tessera_bundle *bundle = cuda_open_bytes(&bytes, true, error);
  CHECK_STR(error->message, "");
  CHECK_EQ(tessera_program_prepare(bundle, s->device, &program, error),
           TESSERA_UNSUPPORTED);
  ends_with(error->message, end);
  CHECK_EQ(tessera_program_memory(bundle, s->device, &size, error),
           TESSERA_UNSUPPORTED);
  ends_with(error->message, end);
  CHECK(program == NULL && size == 0);
  tessera_bundle_close(bundle);
  tsr_buffer_fini(&bytes);
  synthetic_fini(&written);
}

static void test_bundle_without_cuda(setup *s) {
  // As the manifest of one that was compiled for the host alone.
  cuda_bundle written;
  tessera_bundle *bundle;
  tessera_program *program = NULL;
  tessera_error *error = &s->error;
  cuda_bundle_init(&written);
  for (char *at = written.manifest.data;
       (at = strstr(at, "\"cuda\": {\"steps\"")) != NULL;) {
    at[1] = 'o';
  }
  bundle = cuda_open_bundle(&written, true, error);
  CHECK_STR(error->message, "");
  CHECK_EQ(tessera_program_prepare(bundle, s->device, &program, error),
           TESSERA_UNSUPPORTED);
  ends_with(error->message,
            ": it was not compiled for a CUDA target; it has sm_80, sm_90, "
            "sm_90");
  tessera_bundle_close(bundle);
  cuda_bundle_fini(&written);
  tessera_device *host = NULL;
  CHECK_EQ(tessera_device_open("host", NULL, &host, error), TESSERA_OK);
  CHECK_EQ(tessera_program_prepare(s->bundle, host, &program, error),
           TESSERA_UNSUPPORTED);
  ends_with(error->message,
            ": it was not compiled for the host target, but for sm_80, sm_90: "
            "run it on a device cuda:N");
  tessera_device_close(host);
}

// One with a layer that has no part for CUDA: the others run.
static void test_layer_without_cuda(void) {
  static const char part[] = "\"cuda\": {\"steps\"";
  setup s = {.error = {0}};
  launch l;
  uint64_t dump[DUMP_COUNT];
  size_t size = 0;
  cuda_bundle_init(&s.written);
  char *last = strstr(s.written.manifest.data, part);
  CHECK(last != NULL && (last = strstr(last + 1, part)) != NULL);
  if (last != NULL) last[1] = 'o';
  s.bundle = cuda_open_bundle(&s.written, true, &s.error);
  CHECK_EQ(tessera_device_open("cuda:0", NULL, &s.device, &s.error),
           TESSERA_OK);
  CHECK_EQ(tessera_program_prepare(s.bundle, s.device, &s.program, &s.error),
           TESSERA_OK);
  CHECK_STR(s.error.message, "");
  s.wide = tessera_bundle_find_layer(s.bundle, "wide");
  launch_init(&l, &s, s.wide, 3, NULL);
  launch_run(&l, dump);
  same_cut(&s, dump, 0);
  l.layer = tessera_bundle_find_layer(s.bundle, "nothing");
  CHECK_EQ(tessera_layer_workspace(s.program, l.layer, 3, &size, &s.error),
           TESSERA_UNSUPPORTED);
  CHECK_STR(s.error.message,
            "layer 'nothing': it was not compiled for a CUDA target");
  l.args.residual = NULL;
  CHECK_EQ(tessera_linear_run(s.program, l.layer, &l.args, &s.error),
           TESSERA_UNSUPPORTED);
  CHECK_STR(s.error.message,
            "layer 'nothing': it was not compiled for a CUDA target");
  launch_fini(&l);
  setup_fini(&s);
}

static void prepare_fails(setup *s, cuda_bundle *written, const char *message) {
  tessera_program *program = NULL;
  tessera_bundle *bundle = cuda_open_bundle(written, true, &s->error);
  CHECK_STR(s->error.message, "");
  CHECK_EQ(tessera_program_prepare(bundle, s->device, &program, &s->error),
           TESSERA_UNSUPPORTED);
  CHECK(program == NULL && strstr(s->error.message, message) != NULL);
  tessera_bundle_close(bundle);
  cuda_bundle_fini(written);
}

// What a block may not have is said when the program is prepared, not by a run.
static void test_block_limits(setup *s) {
  static const char usual[] = "\"shared_size\": 65536";
  static const char large[] = "\"shared_size\":232449";
  cuda_bundle written;
  cuda_bundle_init(&written);
  char *at = strstr(written.manifest.data, usual);
  CHECK(at != NULL);
  if (at != NULL) memcpy(at, large, sizeof(large) - 1);
  prepare_fails(s, &written,
                ": kernel 'dump_prefill': it needs 232449 bytes of shared "
                "memory, a block of this device may have 232448");
  cuda_bundle_init(&written);
  tsr_buffer *newer = &written.images[CUDA_PTX_90].data;
  tsr_buffer limited;
  tsr_buffer_init(&limited);
  const char *text = tsr_buffer_text(newer);
  for (const char *end; (end = strstr(text, "\n{")) != NULL; text = end) {
    tsr_buffer_append(&limited, text, (size_t)(end - text));
    tsr_buffer_append_string(&limited, "\n.maxntid 96\n{");
    end += 2;
  }
  tsr_buffer_append_string(&limited, text);
  tsr_buffer_fini(newer);
  *newer = limited;
  cuda_bundle_manifest(&written);
  prepare_fails(s, &written,
                ": kernel 'dump_prefill': it has blocks of 128 threads, this "
                "device can have 96");
}

// ---- Calls ------------------------------------------------------------------

// A run is one launch between a push and a pop, and nothing else.
static void test_run_only_launches(setup *s) {
  static const char *const names[] = {
#define TSR_CU(name, version, parameters) #name,
#include "cuda/symbols.def"
#undef TSR_CU
  };
  launch l;
  launch_init(&l, s, s->wide, 3, NULL);
  e.clear_calls();
  for (int i = 0; i < 5; ++i) {
    CHECK_EQ(tessera_linear_run(s->program, s->wide, &l.args, &s->error),
             TESSERA_OK);
  }
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
    bool is_ours = strcmp(names[i], "cuLaunchKernel") == 0 ||
                   strcmp(names[i], "cuCtxPushCurrent") == 0 ||
                   strcmp(names[i], "cuCtxPopCurrent") == 0;
    CHECK_EQ(e.call_count(names[i]), is_ours ? 5 : 0);
  }
  launch_fini(&l);
}

static void test_capture(setup *s) {
  CUcontext context = NULL;
  CUstream stream = NULL;
  CUgraph graph = NULL;
  CUgraphExec exec = NULL;
  launch l;
  uint64_t dump[DUMP_COUNT];
  CHECK_EQ(e.ctx_create(&context, 0, 0), CUDA_SUCCESS);
  CHECK_EQ(e.stream_create(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  tessera_device_options options = {.size = sizeof(options),
                                    .context = context};
  setup inside = *s;
  CHECK_EQ(tessera_device_open("cuda:0", &options, &inside.device, &s->error),
           TESSERA_OK);
  CHECK_EQ(tessera_program_prepare(s->bundle, inside.device, &inside.program,
                                   &s->error),
           TESSERA_OK);
  launch_init(&l, &inside, s->wide, 3, stream);
  CHECK_EQ(e.begin_capture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL),
           CUDA_SUCCESS);
  CHECK_EQ(tessera_workspace_init(inside.program, l.workspace, l.workspace_size,
                                  stream, &s->error),
           TESSERA_OK);
  CHECK_EQ(tessera_linear_run(inside.program, s->wide, &l.args, &s->error),
           TESSERA_OK);
  CHECK_EQ(e.end_capture(stream, &graph), CUDA_SUCCESS);
  CHECK_EQ(e.instantiate(&exec, graph, 0), CUDA_SUCCESS);
  for (int i = 0; i < 3; ++i) {
    memset(dump, 0, sizeof(dump));
    CHECK_EQ(tessera_device_write(inside.device, l.output, dump, sizeof(dump),
                                  stream, &s->error),
             TESSERA_OK);
    CHECK_EQ(e.graph_launch(exec, stream), CUDA_SUCCESS);
    launch_read(&l, dump);
    CHECK_EQ(dump[12], 3);
    CHECK_EQ(dump[DUMP_GRID], 7);
  }
  CHECK_EQ(e.exec_destroy(exec), CUDA_SUCCESS);
  CHECK_EQ(e.graph_destroy(graph), CUDA_SUCCESS);
  launch_fini(&l);
  tessera_program_destroy(inside.program);
  tessera_device_close(inside.device);
  CHECK_EQ(e.stream_destroy(stream), CUDA_SUCCESS);
  CHECK_EQ(e.ctx_destroy(context), CUDA_SUCCESS);
}

static void test_workspace_init(setup *s) {
  uint32_t words[1100];
  void *memory = NULL;
  memset(words, 0x5a, sizeof(words));
  CHECK_EQ(
      tessera_device_allocate(s->device, sizeof(words), &memory, &s->error),
      TESSERA_OK);
  CHECK_EQ(tessera_device_write(s->device, memory, words, sizeof(words), NULL,
                                &s->error),
           TESSERA_OK);
  CHECK_EQ(tessera_workspace_init(s->program, memory, sizeof(words), NULL,
                                  &s->error),
           TESSERA_OK);
  CHECK_EQ(tessera_device_read(s->device, words, memory, sizeof(words), NULL,
                               &s->error),
           TESSERA_OK);
  CHECK_EQ(words[0], TSR_NVIDIA_WORKSPACE_MAGIC);
  for (int i = 1; i < 1024; ++i) CHECK_EQ(words[i], 0);
  CHECK_EQ(words[1024], 0x5a5a5a5a);
  tessera_device_free(s->device, memory);
}

// ---- Memory -----------------------------------------------------------------

static void prepare_in(setup *s, void *memory, size_t size,
                       tessera_status expected, const char *message) {
  tessera_prepare_options options = {.size = sizeof(options),
                                     .device_memory = memory,
                                     .device_memory_size = size};
  tessera_program *program = NULL;
  uint64_t allocations = e.call_count("cuMemAlloc");
  CHECK_EQ(tessera_program_prepare_with(s->bundle, s->device, &options,
                                        &program, &s->error),
           expected);
  CHECK(message == NULL || strstr(s->error.message, message) != NULL);
  CHECK_EQ(e.call_count("cuMemAlloc"), allocations);
  if (program != NULL) {
    tessera_program *own = s->program;
    launch l;
    uint64_t dump[DUMP_COUNT];
    s->program = program;
    launch_init(&l, s, s->wide, 3, NULL);
    launch_run(&l, dump);
    same_cut(s, dump, 0);
    CHECK_EQ(dump[0], (uintptr_t)memory);
    launch_fini(&l);
    s->program = own;
  }
  tessera_program_destroy(program);
}

static void test_callers_memory(setup *s) {
  size_t size = 0;
  void *memory = NULL;
  CHECK_EQ(tessera_program_memory(s->bundle, s->device, &size, &s->error),
           TESSERA_OK);
  CHECK(size > s->written.layers[0].sizes[1] && size % 256 == 0);
  CHECK_EQ(tessera_device_allocate(s->device, size, &memory, &s->error),
           TESSERA_OK);
  prepare_in(s, memory, size, TESSERA_OK, NULL);
  prepare_in(s, memory, size - 1, TESSERA_INVALID_ARGUMENT,
             "device_memory has ");
  prepare_in(s, (char *)memory + 128, size, TESSERA_INVALID_ARGUMENT,
             "device_memory is not aligned to 256 bytes");
  tessera_device_free(s->device, memory);
}

// The device reads a buffer only when it is waited for: one that is filled anew
// too early gives wrong bytes.
static void test_many_buffers(void) {
  static const size_t sizes[] = {4096, 1000, 256};
  for (int i = 0; i < 3; ++i) {
    setup s;
    launch l;
    uint64_t dump[DUMP_COUNT];
    size_t usual = tsr_cuda_upload_buffer;
    tsr_cuda_upload_buffer = sizes[i];
    e.clear_calls();
    setup_init(&s, "cuda:0");
    CHECK(e.call_count("cuMemcpyHtoDAsync") > 10);
    CHECK_EQ(e.call_count("cuMemHostAlloc"), 2);
    CHECK_EQ(e.call_count("cuStreamSynchronize"), 1);  // done, as promised
    tsr_cuda_upload_buffer = usual;
    launch_init(&l, &s, s.wide, 3, NULL);
    launch_run(&l, dump);
    same_cut(&s, dump, 0);
    launch_fini(&l);
    setup_fini(&s);
  }
}

// Between host and device a copy is done when it returns; within the device it
// is enqueued.
static void test_transfers_wait(setup *s) {
  static const uint64_t expected[] = {1, 2, 2};
  void *memory = NULL;
  char bytes[64] = "";
  tessera_device *device = s->device;
  CHECK_EQ(tessera_device_allocate(device, sizeof(bytes), &memory, &s->error),
           TESSERA_OK);
  e.clear_calls();
  for (int i = 0; i < 3; ++i) {
    tessera_status status =
        i == 0
            ? tessera_device_write(device, memory, bytes, 64, NULL, &s->error)
        : i == 1
            ? tessera_device_read(device, bytes, memory, 64, NULL, &s->error)
            : tessera_device_copy(device, (char *)memory + 32, memory, 32, NULL,
                                  &s->error);
    CHECK_EQ(status, TESSERA_OK);
    CHECK_EQ(e.call_count("cuStreamSynchronize"), expected[i]);
  }
  tessera_device_free(device, memory);
}

static void test_copy(setup *s) {
  launch l;
  uint64_t first[DUMP_COUNT], second[DUMP_COUNT];
  tessera_program *own = s->program;
  tessera_program *copy = NULL;
  launch_init(&l, s, s->wide, 3, NULL);
  launch_run(&l, first);
  CHECK_EQ(tessera_program_copy(own, s->wide, &copy, &s->error), TESSERA_OK);
  s->program = copy;
  launch_run(&l, second);
  same_cut(s, second, 0);
  CHECK(first[0] != second[0] && first[1] == second[1]);
  s->program = own;
  tessera_program_destroy(copy);
  CHECK_EQ(tessera_program_copy(own, s->nothing, &copy, &s->error), TESSERA_OK);
  tessera_program_destroy(copy);
  launch_fini(&l);
}

static void test_timer(setup *s) {
  tessera_timer *timer = NULL;
  double seconds = -1;
  CHECK_EQ(tessera_timer_create(s->device, &timer, &s->error), TESSERA_OK);
  CHECK_EQ(tessera_timer_start(timer, NULL, &s->error), TESSERA_OK);
  CHECK_EQ(tessera_timer_stop(timer, NULL, &s->error), TESSERA_OK);
  CHECK_EQ(tessera_timer_read(timer, &seconds, &s->error), TESSERA_OK);
  CHECK(seconds >= 0);
  tessera_timer_destroy(timer);
}

// ---- Threads ----------------------------------------------------------------

static void *run_often(void *opaque) {
  launch *l = opaque;
  tessera_error error;
  for (int i = 0; i < 20; ++i) {
    if (tessera_linear_run(l->s->program, l->layer, &l->args, &error) !=
        TESSERA_OK) {
      return l;
    }
  }
  return tessera_device_synchronize(l->s->device, l->stream, &error) ==
                 TESSERA_OK
             ? NULL
             : l;
}

static void test_threads(setup *s) {
  launch launches[2];
  pthread_t threads[2];
  uint64_t dump[DUMP_COUNT];
  for (int i = 0; i < 2; ++i) {
    launch_init(&launches[i], s, s->wide, 3 + (uint32_t)i, NULL);
  }
  for (int i = 0; i < 2; ++i) {
    launches[i].args.stream = launches[i].stream =
        i == 0 ? NULL : (void *)CU_STREAM_PER_THREAD;
    CHECK_EQ(pthread_create(&threads[i], NULL, run_often, &launches[i]), 0);
  }
  for (int i = 0; i < 2; ++i) {
    void *failed = NULL;
    CHECK_EQ(pthread_join(threads[i], &failed), 0);
    CHECK(failed == NULL);
    launch_read(&launches[i], dump);
    CHECK_EQ(dump[12], 3 + i);
    launch_fini(&launches[i]);
  }
}

// Whatever was current stays so.
static void test_context_is_untouched(setup *s) {
  CUcontext mine = NULL, now = NULL;
  CHECK_EQ(e.ctx_create(&mine, 0, 1), CUDA_SUCCESS);
  test_decode_launch(s);
  test_callers_memory(s);
  test_copy(s);
  test_timer(s);
  test_run_refusals(s);
  CHECK_EQ(e.ctx_get(&now), CUDA_SUCCESS);
  CHECK(now == mine);
  CHECK_EQ(e.ctx_destroy(mine), CUDA_SUCCESS);
}

int main(int argc, char **argv) {
  setup s;
  if (argc != 2) return 2;
  e = emu_open(argv[1], "h100,a100");
  test_devices();
  test_callers_context();
  setup_init(&s, "cuda");
  CHECK_STR(tessera_program_variant(s.program), "sm_90 ptx");
  test_decode_launch(&s);
  test_prefill_launch(&s);
  test_cut_follows_tokens(&s);
  test_layer_without_tiles(&s);
  test_other_class();
  test_run_refusals(&s);
  test_host_bundle(&s);
  test_bundle_without_cuda(&s);
  test_layer_without_cuda();
  test_block_limits(&s);
  test_run_only_launches(&s);
  test_capture(&s);
  test_workspace_init(&s);
  test_callers_memory(&s);
  test_many_buffers();
  test_transfers_wait(&s);
  test_copy(&s);
  test_timer(&s);
  test_threads(&s);
  test_context_is_untouched(&s);
  setup_fini(&s);
  check_inactive(&e, 2);
  CHECK_EQ(e.finding_count(), 0);
  return test_finish();
}

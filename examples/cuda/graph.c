// SPDX-License-Identifier: Apache-2.0
// Captures a chain of layers into a CUDA graph once and replays it: one launch
// for the whole chain, as decoding one token after the other wants it.
//
//   graph BUNDLE
//
// The layers of the bundle run one after the other, each on the output of the
// one before it, several times over. Every replay must give the bits that
// plain runs give, for new input in the same place too. Uses libtessera for
// memory and copies, the driver for stream and graph.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

enum { TOKENS = 4, DEPTH = 2, REPLAYS = 10, INPUTS = 2 };

typedef struct chain {
  tessera_bundle *bundle;
  tessera_device *device;
  tessera_program *program;
  uint32_t layer_count;
  CUstream stream;
  // All in the GPU's memory. A layer reads |values|[i] and writes the other;
  // in front of the first stands the input.
  void *input, *values[2], *workspace;
  size_t input_size, value_size, workspace_size;
} chain;

static void measure(chain *c) {
  tessera_error error = {0};
  size_t columns = 0, first = 0;
  for (uint32_t i = 0; i < c->layer_count; ++i) {
    const tessera_layer *layer = tessera_bundle_layer(c->bundle, i);
    tessera_layer_info info = {.size = sizeof(info)};
    size_t size;
    TESSERA(tessera_layer_query(layer, &info, &error));
    TESSERA(tessera_layer_workspace(c->program, layer, TOKENS, &size, &error));
    if (size > c->workspace_size) c->workspace_size = size;
    if (i == 0) first = info.columns;
    if (info.input_type != TESSERA_BF16 || info.output_type != TESSERA_BF16 ||
        (i != 0 && info.columns != columns) ||
        (info.has_residual && info.output_columns != first)) {
      fprintf(stderr, "layer '%s' does not fit the one before it\n", info.name);
      exit(1);
    }
    columns = info.output_columns;
    size = TOKENS * columns * sizeof(uint16_t);
    if (size > c->value_size) c->value_size = size;
  }
  if (columns != first) {
    fprintf(stderr, "the last layer does not fit the first\n");
    exit(1);
  }
  c->input_size = TOKENS * first * sizeof(uint16_t);
}

static chain open_chain(const char *path) {
  tessera_error error = {0};
  chain c = {0};
  TESSERA(tessera_bundle_open(path, NULL, &c.bundle, &error));
  TESSERA(tessera_device_open("cuda:0", NULL, &c.device, &error));
  TESSERA(tessera_program_prepare(c.bundle, c.device, &c.program, &error));
  c.layer_count = tessera_bundle_layer_count(c.bundle);
  measure(&c);
  TESSERA(tessera_device_allocate(c.device, c.input_size, &c.input, &error));
  for (int i = 0; i < 2; ++i) {
    TESSERA(
        tessera_device_allocate(c.device, c.value_size, &c.values[i], &error));
  }
  TESSERA(tessera_device_allocate(c.device, c.workspace_size, &c.workspace,
                                  &error));
  return c;
}

static void close_chain(chain *c) {
  tessera_device_free(c->device, c->workspace);
  tessera_device_free(c->device, c->values[1]);
  tessera_device_free(c->device, c->values[0]);
  tessera_device_free(c->device, c->input);
  tessera_program_destroy(c->program);
  tessera_device_close(c->device);
  tessera_bundle_close(c->bundle);
}

// Enqueues DEPTH times all layers; gives where the result will be.
static void *enqueue(const chain *c) {
  tessera_error error = {0};
  void *in = c->input;
  int turn = 0;
  for (uint32_t i = 0; i < DEPTH * c->layer_count; ++i) {
    const tessera_layer *layer =
        tessera_bundle_layer(c->bundle, i % c->layer_count);
    tessera_layer_info info = {.size = sizeof(info)};
    TESSERA(tessera_layer_query(layer, &info, &error));
    void *out = c->values[turn];
    tessera_run_args args = {
        .size = sizeof(args),
        .token_count = TOKENS,
        .input = in,
        .residual = info.has_residual ? c->input : NULL,
        .output = out,
        .workspace = c->workspace,
        .workspace_size = c->workspace_size,
        .stream = c->stream,
    };
    TESSERA(tessera_linear_run(c->program, layer, &args, &error));
    in = out;
    turn = 1 - turn;
  }
  return in;
}

static void write_input(const chain *c, uint32_t seed) {
  tessera_error error = {0};
  uint16_t *input = allocate(c->input_size, 1);
  fill_bf16(input, c->input_size / sizeof(*input), seed);
  TESSERA(tessera_device_write(c->device, c->input, input, c->input_size,
                               c->stream, &error));
  free(input);
}

static void read_output(const chain *c, const void *from, uint16_t *out) {
  tessera_error error = {0};
  TESSERA(tessera_device_read(c->device, out, from, c->input_size, c->stream,
                              &error));
}

// Replays for inputs 0 and 1 in turns; how many were right.
static int replay(const chain *c, CUgraphExec graph, const void *result,
                  uint16_t *const expected[INPUTS]) {
  uint16_t *output = allocate(c->input_size, 1);
  int right = 0;
  for (int i = 0; i < REPLAYS; ++i) {
    write_input(c, (uint32_t)(i % INPUTS));
    // What an earlier run left must not pass for a result.
    for (int j = 0; j < 2; ++j) {
      CUDA(cuda.fill((CUdeviceptr)(uintptr_t)c->values[j], 0xff, c->value_size,
                     c->stream));
    }
    CUDA(cuda.graph_launch(graph, c->stream));
    read_output(c, result, output);
    right += memcmp(output, expected[i % INPUTS], c->input_size) == 0;
  }
  free(output);
  return right;
}

static int run(chain *c) {
  tessera_error error = {0};
  uint16_t *expected[INPUTS];
  CUDA(cuda.stream_create(&c->stream, CU_STREAM_NON_BLOCKING));
  TESSERA(tessera_workspace_init(c->program, c->workspace, c->workspace_size,
                                 c->stream, &error));
  for (int i = 0; i < INPUTS; ++i) {
    expected[i] = allocate(c->input_size, 1);
    write_input(c, (uint32_t)i);
    read_output(c, enqueue(c), expected[i]);
  }

  CUgraph graph;
  CUgraphExec executable;
  size_t nodes = 0;
  CUDA(cuda.begin_capture(c->stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
  void *result = enqueue(c);
  CUDA(cuda.end_capture(c->stream, &graph));
  CUDA(cuda.graph_nodes(graph, NULL, &nodes));
  CUDA(cuda.graph_instantiate(&executable, graph, 0));
  printf("captured %d runs of %u layers: %zu nodes\n", DEPTH, c->layer_count,
         nodes);
  int right = replay(c, executable, result, expected);
  printf("%d of %d replays equal plain runs, bit for bit\n", right, REPLAYS);

  int differ = memcmp(expected[0], expected[1], c->input_size) != 0;
  if (!differ) printf("but other input makes no difference\n");
  for (int i = 0; i < INPUTS; ++i) free(expected[i]);
  CUDA(cuda.graph_executable_destroy(executable));
  CUDA(cuda.graph_destroy(graph));
  CUDA(cuda.stream_destroy(c->stream));
  return right == REPLAYS && differ;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s BUNDLE\n", argv[0]);
    return 2;
  }
  CUdevice device;
  CUcontext context;
  open_driver();
  CUDA(cuda.init(0));
  CUDA(cuda.device_get(&device, 0));
  // libtessera works in the primary context too, where it is given no other.
  CUDA(cuda.context_retain(&context, device));
  CUDA(cuda.context_set(context));
  chain c = open_chain(argv[1]);
  int good = run(&c);
  close_chain(&c);
  CUDA(cuda.context_release(device));
  return good ? 0 : 1;
}

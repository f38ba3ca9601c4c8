// SPDX-License-Identifier: Apache-2.0
// The smallest application: opens a bundle, lists its layers, runs each on four
// tokens and prints a checksum of what comes out.
//
//   run_layers BUNDLE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tessera/tessera.h>

enum { TOKENS = 4, ALIGNMENT = 64 };

static const char *const type_names[] = {"f32", "f16", "bf16"};

// bfloat16 is the upper half of a float.
static uint16_t to_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return (uint16_t)(bits >> 16);
}

// Numbers in [-1, 1) with 8 bits, so that bfloat16 holds them exactly.
static float next_number(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return (float)((int)(*state >> 24) - 128) / 128.0f;
}

static int fail(const char *what, const tessera_error *error) {
  fprintf(stderr, "%s: %s (%s)\n", what, error->message,
          tessera_status_name(error->status));
  return 1;
}

typedef struct buffers {
  uint16_t *input;  // [TOKENS, columns], bf16
  float *output;    // [TOKENS, output_columns], f32
  void *workspace;
} buffers;

static void free_buffers(buffers *b) {
  free(b->input);
  free(b->output);
  free(b->workspace);
}

static int allocate(const tessera_layer_info *info, size_t workspace_size,
                    buffers *b) {
  size_t inputs = (size_t)TOKENS * info->columns;
  size_t rounded = (workspace_size / ALIGNMENT + 1) * ALIGNMENT;
  b->input = calloc(inputs, sizeof(*b->input));
  b->output = calloc((size_t)TOKENS * info->output_columns, sizeof(*b->output));
  b->workspace = aligned_alloc(ALIGNMENT, rounded);
  if (b->input == NULL || b->output == NULL || b->workspace == NULL) return 1;
  uint32_t state = 1;
  for (size_t i = 0; i < inputs; ++i) {
    b->input[i] = to_bf16(next_number(&state));
  }
  return 0;
}

static void print_checksum(const tessera_layer_info *info, const float *y) {
  double sum = 0;
  for (size_t i = 0; i < (size_t)TOKENS * info->output_columns; ++i) {
    sum += fabs((double)y[i]);
  }
  // Variants round differently in the last bits: print what all agree on.
  printf("  %d tokens: sum |y| = %.4g\n", TOKENS, sum);
}

static int run(const tessera_program *program, const tessera_layer *layer,
               const tessera_layer_info *info) {
  tessera_error error = {0};
  buffers b = {0};
  size_t workspace_size = 0;
  if (tessera_layer_workspace(program, layer, TOKENS, &workspace_size,
                              &error) != TESSERA_OK) {
    return fail("workspace", &error);
  }
  if (allocate(info, workspace_size, &b) != 0) {
    free_buffers(&b);
    fprintf(stderr, "out of memory\n");
    return 1;
  }
  tessera_run_args args = {
      .size = sizeof(args),
      .token_count = TOKENS,
      .input = b.input,
      .output = b.output,
      // Added in place; zeros here.
      .residual = info->has_residual ? b.output : NULL,
      .workspace = b.workspace,
      .workspace_size = workspace_size,
  };
  int result = 0;
  if (tessera_linear_run(program, layer, &args, &error) == TESSERA_OK) {
    print_checksum(info, b.output);
  } else {
    result = fail("run", &error);
  }
  free_buffers(&b);
  return result;
}

static int run_layers(const tessera_bundle *bundle,
                      const tessera_program *program) {
  tessera_error error = {0};
  uint32_t count = tessera_bundle_layer_count(bundle);
  printf("%s: %u layers\n", tessera_bundle_name(bundle), count);
  for (uint32_t i = 0; i < count; ++i) {
    const tessera_layer *layer = tessera_bundle_layer(bundle, i);
    tessera_layer_info info = {.size = sizeof(info)};
    if (tessera_layer_query(layer, &info, &error) != TESSERA_OK) {
      return fail("query", &error);
    }
    printf("%s: x %s [N, %u] -> y %s [N, %u], %s%s\n", info.name,
           type_names[info.input_type], info.columns,
           type_names[info.output_type], info.output_columns, info.activation,
           info.has_residual ? ", residual" : "");
    printf("  tiles: %llu dense, %llu 2:4, %llu zero; %llu of %llu bytes\n",
           (unsigned long long)info.dense_tiles,
           (unsigned long long)info.sparse24_tiles,
           (unsigned long long)info.zero_tiles,
           (unsigned long long)info.packed_bytes,
           (unsigned long long)info.dense_bytes);
    if (info.input_type != TESSERA_BF16 || info.output_type != TESSERA_F32) {
      printf("  not run: this example feeds bf16 and reads f32\n");
    } else if (run(program, layer, &info) != 0) {
      return 1;
    }
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s BUNDLE\n", argv[0]);
    return 2;
  }
  tessera_error error = {0};
  tessera_bundle *bundle = NULL;
  tessera_device *device = NULL;
  tessera_program *program = NULL;
  int result = 1;
  if (tessera_bundle_open(argv[1], NULL, &bundle, &error) != TESSERA_OK) {
    fail("open", &error);
  } else if (tessera_device_open("host", NULL, &device, &error) != TESSERA_OK) {
    fail("device", &error);
  } else if (tessera_program_prepare(bundle, device, &program, &error) !=
             TESSERA_OK) {
    fail("prepare", &error);
  } else {
    result = run_layers(bundle, program);
  }
  tessera_program_destroy(program);
  tessera_device_close(device);
  tessera_bundle_close(bundle);
  return result;
}

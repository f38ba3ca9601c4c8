// SPDX-License-Identifier: Apache-2.0
// Damaged bundles for CUDA devices: one defect each, refused when opened, with
// one message that names the layer and the field. No driver is needed for it.
#include <stddef.h>
#include <stdlib.h>

#include "cuda_session.h"
#include "test.h"

// ---- Schedules --------------------------------------------------------------

typedef enum table { HEADER, STEP, CUT, WORKER, SEGMENT } table;

typedef struct word_case {
  table table;
  uint32_t index;
  size_t field;  // offset in the structure
  uint32_t value;
  const char *message;
} word_case;

#define FIELD(type, name) offsetof(tsr_nvidia_##type, name)

// Layer "wide": 15 steps; cut 0 is decode by 7 workers (2 steps, the last 3),
// whose segments are panels 0, 0, 0+1+2, 2, 2, 2+3, 3.
static const word_case word_cases[] = {
#include "cuda_corrupt.def"
};

static uint8_t *find_table(cuda_bundle *b, table kind, uint32_t index) {
  tsr_nvidia_schedule *head = cuda_bundle_schedule(b, 0);
  tsr_nvidia_step *steps = (void *)(head + 1);
  tsr_nvidia_cut *cuts = (void *)(steps + head->step_count);
  tsr_nvidia_worker *workers = (void *)(cuts + head->cut_count);
  tsr_nvidia_segment *segments = (void *)(workers + head->worker_count);
  switch (kind) {
    case HEADER:
      return (uint8_t *)head;
    case STEP:
      return (uint8_t *)&steps[index];
    case CUT:
      return (uint8_t *)&cuts[index];
    case WORKER:
      return (uint8_t *)&workers[index];
    case SEGMENT:
      break;
  }
  return (uint8_t *)&segments[index];
}

static void refused(const cuda_bundle *b, const char *label, size_t index,
                    const char *message) {
  tessera_error error = {0};
  tessera_bundle *opened = cuda_open_bundle(b, false, &error);
  CHECK(opened == NULL);
  tessera_bundle_close(opened);
  const char *said = strstr(error.message, ": ");
  CHECK(error.status == TESSERA_CORRUPT);
  if (said == NULL || strcmp(said + 2, message) != 0) {
    fprintf(stderr, "%s %zu\n", label, index);
    CHECK_STR(said == NULL ? "" : said + 2, message);
  }
}

static void test_schedules(void) {
  size_t count = sizeof(word_cases) / sizeof(word_cases[0]);
  for (size_t i = 0; i < count; ++i) {
    const word_case *c = &word_cases[i];
    cuda_bundle b;
    char message[400];
    cuda_bundle_init(&b);
    memcpy(find_table(&b, c->table, c->index) + c->field, &c->value, 4);
    (void)snprintf(message, sizeof(message), "layer 'wide': cuda.schedule: %s",
                   c->message);
    refused(&b, "word", i, message);
    cuda_bundle_fini(&b);
  }
}

// Layer "nothing" has three classes of a decode and a prefill cut each. With
// the third's for the first's multiprocessors only their places are wrong, and
// a device would be given half of its class.
static void test_classes_apart(void) {
  cuda_bundle b;
  cuda_bundle_init(&b);
  tsr_nvidia_schedule *head = cuda_bundle_schedule(&b, 1);
  tsr_nvidia_cut *cuts =
      (void *)((tsr_nvidia_step *)(void *)(head + 1) + head->step_count);
  CHECK_EQ(head->cut_count, 6);
  cuts[4].multiprocessors = cuts[0].multiprocessors;
  cuts[5].multiprocessors = cuts[0].multiprocessors;
  refused(&b, "class", 0,
          "layer 'nothing': cuda.schedule: cut 4: those for 132 "
          "multiprocessors are apart");
  cuda_bundle_fini(&b);
}

// Whatever 4 bytes of the section hold: it is opened or refused, and nothing
// is read outside of it (AddressSanitizer, or a crash, would tell).
static void test_random_words(void) {
  uint64_t state = 1;
  int refusals = 0;
  for (int i = 0; i < 400; ++i) {
    cuda_bundle b;
    tessera_error error = {0};
    cuda_bundle_init(&b);
    uint8_t *section = cuda_bundle_schedule(&b, 0);
    state = state * 6364136223846793005u + 1442695040888963407u;
    size_t words = (size_t)b.layers[0].sizes[2] / 4;
    uint32_t value = (uint32_t)(state >> (i % 3 == 0 ? 32 : 58));
    memcpy(section + state / 65536 % words * 4, &value, 4);
    tessera_bundle *opened = cuda_open_bundle(&b, false, &error);
    refusals += opened == NULL;
    tessera_bundle_close(opened);
    cuda_bundle_fini(&b);
  }
  CHECK(refusals > 300);
}

// ---- Manifests --------------------------------------------------------------

typedef struct text_case {
  const char *from, *to, *message;
} text_case;

static const text_case text_cases[] = {
    {"\"format\": \"ptx\"", "\"format\": \"pdf\"",
     "image 'sm_80': format: unknown word 'pdf'"},
    {"\"variant\": \"sm_90\", \"format\": \"ptx\"",
     "\"variant\": \"sm_80\", \"format\": \"ptx\"",
     "image 'sm_80': variant: occurs twice"},
    {"dump_decode", "dump decode",
     "cuda_kernels[0].name: 'dump decode' is not a C identifier"},
    {"\"mode\": \"decode\"", "\"mode\": \"encode\"",
     "kernel 'dump_decode': mode: unknown word 'encode'"},
    {"\"tokens\": [1, 64]", "\"tokens\": [1, 65]",
     "kernel 'dump_decode': tokens: up to 65, a decode kernel takes 64"},
    {"\"tokens\": [1, 64]", "\"tokens\": [64, 1]",
     "kernel 'dump_decode': tokens: 64 to 1 is empty"},
    {"\"tokens\": [66,", "\"tokens\": [64,",
     "layer 'wide': cuda.kernels[1]: token ranges overlap or descend"},
    {"\"threads\": 64", "\"threads\": 65",
     "kernel 'dump_decode': threads: 65 is not a multiple of 32"},
    {"\"threads\": 64", "\"threads\": 2048",
     "kernel 'dump_decode': threads: expected an integer from 32 to 1024"},
    {"\"shared_size\": 1024", "\"shared_size\": 1048577",
     "kernel 'dump_decode': shared_size: expected an integer from 0 to "
     "1048576"},
    {"\"block_tokens\": 64", "\"block_tokens\": 0",
     "kernel 'dump_decode': block_tokens: expected an integer from 1 to 4096"},
    {"\"steps\": 15", "\"steps\": 16",
     "layer 'wide': cuda.schedule: 15 steps, cuda.steps says 16"},
    {"\"kernels\": [0, 1]", "\"kernels\": [0, 2]",
     "layer 'wide': cuda.kernels[1]: expected an index below 2"},
    {"\"kernels\": [0, 1]", "\"kernels\": []",
     "layer 'wide': cuda.kernels: 0 kernels, expected 1 to 256"},
    {"\"kernels\": [0,1]", "\"kernels\": [0,2]",
     "image 'sm_80': kernels[1]: expected an index below 2"},
    {"\"kernels\": [0,1]", "\"kernels\": [1,0]",
     "image 'sm_80': kernels: 0 after 1: they do not ascend"},
    {"\"kernels\": [0,1]", "\"kernels\": [0]",
     "layer 'wide': cuda.kernels: image 'sm_80' serves 1 to 64 tokens, all "
     "together 1 to 131072"},
    {"\"kernels\": [0, 1]", "\"kernels\": [1, 0]",
     "layer 'wide': cuda.kernels[1]: token ranges overlap or descend"},
    {"\"kernels\": [0, 1]", "\"kernels\": [0, 0]",
     "layer 'wide': cuda.kernels[1]: token ranges overlap or descend"},
    {"\"size\": 800", "\"size\": 804",
     "layer 'wide': cuda.bias.size: 804 bytes, expected 800"},
    {"\"packed_bytes\": ", "\"packed_bytes\": 1",
     "layer 'wide': cuda.stream.size: 76032 bytes, expected 176032"},
};

static void replace(tsr_buffer *buffer, const char *from, const char *to) {
  const char *text = tsr_buffer_text(buffer);
  const char *found = strstr(text, from);
  tsr_buffer out;
  tsr_buffer_init(&out);
  if (found == NULL) {
    fprintf(stderr, "no '%s'\n", from);
    abort();
  }
  tsr_buffer_append(&out, text, (size_t)(found - text));
  tsr_buffer_append_string(&out, to);
  tsr_buffer_append_string(&out, found + strlen(from));
  tsr_buffer_fini(buffer);
  *buffer = out;
}

static void test_manifests(void) {
  for (size_t i = 0; i < sizeof(text_cases) / sizeof(text_cases[0]); ++i) {
    cuda_bundle b;
    cuda_bundle_init(&b);
    replace(&b.manifest, text_cases[i].from, text_cases[i].to);
    refused(&b, "text", i, text_cases[i].message);
    cuda_bundle_fini(&b);
  }
}

// Tables and manifest agree but for how much there is to stream.
static void test_short_stream(void) {
  cuda_bundle b;
  cuda_bundle_init(&b);
  b.layers[0].sizes[1] -= 128;
  cuda_bundle_manifest(&b);
  refused(&b, "stream", 0,
          "layer 'wide': cuda.schedule: steps of 76032 bytes, cuda.stream has "
          "75904");
  cuda_bundle_fini(&b);
}

// ---- Kernels of an image ----------------------------------------------------

enum { MANY = 17 };  // one more than a layer may have in an image

typedef struct held_case {
  uint32_t tokens[MANY][2];  // of each kernel
  const char *held[3];       // by each image
  const char *layer;         // the layers' list
  const char *message;       // NULL: nothing is wrong
} held_case;

#define EACH_1_TO_16                                                      \
  {1, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 5}, {6, 6}, {7, 7}, {8, 8}, {9, 9}, \
      {10, 10}, {11, 11}, {12, 12}, {13, 13}, {14, 14}, {15, 15}, {       \
    16, 16                                                                \
  }
#define LIST_0_TO_15 "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]"
#define LIST_1_TO_16 "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]"
#define LIST_0_TO_16 "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]"
#define OVERLAP(index) \
  "layer 'wide': cuda.kernels[" index "]: token ranges overlap or descend"

static const held_case held_cases[] = {
    {{EACH_1_TO_16},
     {LIST_0_TO_15, LIST_0_TO_15, LIST_0_TO_15},
     LIST_0_TO_15,
     NULL},
    {{EACH_1_TO_16, {17, 17}},
     {LIST_0_TO_16, LIST_0_TO_16, LIST_0_TO_16},
     LIST_0_TO_16,
     "layer 'wide': cuda.kernels: image 'sm_80' holds 17 of them, expected 1 "
     "to 16"},
    // 17 in all, 16 in each image: that is what counts. The first two serve
    // the same token.
    {{{1, 1}, EACH_1_TO_16},
     {LIST_1_TO_16, "[0,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]", LIST_1_TO_16},
     LIST_0_TO_16,
     NULL},
    {{{1, 64}, {65, 128}, {1, 128}},
     {"[2]", "[0,1]", "[0,1]"},
     "[0,1]",
     "layer 'wide': cuda.kernels: image 'sm_80' holds 0 of them, expected 1 "
     "to 16"},
    {{{1, 64}, {65, 128}, {1, 128}},
     {"[2]", "[0,1]", "[0,1]"},
     "[0,2,1]",
     NULL},
    // Disjoint in one image, not in the other.
    {{{1, 64}, {1, 65}, {65, 128}},
     {"[0,2]", "[1,2]", "[0,2]"},
     "[0,1,2]",
     OVERLAP("2")},
    {{{1, 64}, {1, 64}, {65, 128}},
     {"[0,2]", "[1,2]", "[0,2]"},
     "[0,1,2]",
     NULL},
    // With a kernel between them that the image does not hold.
    {{{1, 70}, {2, 64}, {65, 128}, {1, 1}},
     {"[0,2]", "[1,2,3]", "[1,2,3]"},
     "[3,0,1,2]",
     OVERLAP("3")},
    {{{1, 64}, {65, 128}},
     {"[0,1]", "[0,1]", "[1]"},
     "[0,1]",
     "layer 'wide': cuda.kernels: image 'sm_90' serves 65 to 128 tokens, all "
     "together 1 to 128"},
};

static void list_kernels(const held_case *c, tsr_buffer *out) {
  tsr_buffer_init(out);
  for (int i = 0; i < MANY && c->tokens[i][0] != 0; ++i) {
    tsr_buffer_printf(
        out,
        "%s{\"name\": \"k%d\", \"strategy\": \"any\", \"mode\": \"prefill\", "
        "\"tokens\": [%u, %u], \"threads\": 64, \"shared_size\": 0, "
        "\"block_tokens\": 64}",
        i == 0 ? "[" : ", ", i, c->tokens[i][0], c->tokens[i][1]);
  }
  tsr_buffer_append_char(out, ']');
}

static void test_held(void) {
  for (size_t i = 0; i < sizeof(held_cases) / sizeof(held_cases[0]); ++i) {
    const held_case *c = &held_cases[i];
    cuda_bundle b;
    tsr_buffer kernels;
    tessera_error error = {0};
    list_kernels(c, &kernels);
    cuda_bundle_init(&b);
    b.kernels = tsr_buffer_text(&kernels);
    b.layer_kernels = c->layer;
    for (int k = 0; k < 3; ++k) b.images[k].kernels = c->held[k];
    cuda_bundle_manifest(&b);
    if (c->message != NULL) {
      refused(&b, "held", i, c->message);
    } else {
      tessera_bundle *opened = cuda_open_bundle(&b, true, &error);
      CHECK_STR(error.message, "");
      tessera_bundle_close(opened);
    }
    cuda_bundle_fini(&b);
    tsr_buffer_fini(&kernels);
  }
}

// ---- Images -----------------------------------------------------------------

static void image_refused(size_t at, uint8_t value, const char *message) {
  cuda_bundle b;
  cuda_bundle_init(&b);
  b.images[CUDA_CUBIN_90].data.data[at] = (char)value;
  cuda_bundle_manifest(&b);
  refused(&b, "cubin byte", at, message);
  cuda_bundle_fini(&b);
}

static void test_images(void) {
#define CUBIN "image 'sm_90': file: 'kernels/cuda-sm_90.cubin' "
  image_refused(0, 'x', CUBIN "is no 64-bit little-endian ELF file");
  image_refused(18, 62, CUBIN "is no CUDA code");
  image_refused(60, 1, CUBIN "is cut short or damaged");  // sections
  image_refused(56, 1, CUBIN "is cut short or damaged");  // segments
  cuda_bundle b;
  cuda_bundle_init(&b);
  b.images[CUDA_PTX_80].data.data[7] = '\0';
  cuda_bundle_manifest(&b);
  refused(&b, "ptx", 0,
          "image 'sm_80': file: 'kernels/cuda-sm_80.ptx' is no text");
  cuda_bundle_fini(&b);
}

int main(void) {
  test_schedules();
  test_classes_apart();
  test_random_words();
  test_manifests();
  test_held();
  test_short_stream();
  test_images();
  return test_finish();
}

// SPDX-License-Identifier: Apache-2.0
// Damaged bundles for CUDA devices: one defect each, refused when opened, with
// one message that names the layer and the field. No driver is needed for it.
#include <stddef.h>
#include <stdlib.h>

#include "container.h"
#include "cubin.h"
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

// ---- Sections of other sizes ------------------------------------------------

// The tables of a section, to be written anew with other counts.
typedef struct tables {
  tsr_nvidia_schedule head;
  tsr_nvidia_step steps[32];
  tsr_nvidia_cut cuts[1025];
  tsr_nvidia_worker workers[64];
  tsr_nvidia_segment segments[64];
} tables;

static void section_read(cuda_bundle *b, uint32_t layer, tables *out) {
  const char *at = cuda_bundle_schedule(b, layer);
  memset(out, 0, sizeof(*out));
#define TAKE(table, count)                               \
  memcpy(out->table, at, (count) * sizeof(*out->table)); \
  at += (count) * sizeof(*out->table)
  memcpy(&out->head, at, sizeof(out->head));
  at += sizeof(out->head);
  TAKE(steps, out->head.step_count);
  TAKE(cuts, out->head.cut_count);
  TAKE(workers, out->head.worker_count);
  TAKE(segments, out->head.segment_count);
#undef TAKE
}

// Behind all others, and all of it says so. |missing|: bytes less than that.
static void section_write(cuda_bundle *b, uint32_t layer, const tables *s,
                          size_t missing) {
  static const char zeros[4096];
  tsr_buffer *out = &b->weights;
  cuda_layer *to = &b->layers[layer];
  container_align(out, 64);
  to->offsets[2] = out->size;
  to->steps = s->head.step_count;
#define PUT(table, count) \
  tsr_buffer_append(out, s->table, (count) * sizeof(*s->table))
  tsr_buffer_append(out, &s->head, sizeof(s->head));
  PUT(steps, s->head.step_count);
  PUT(cuts, s->head.cut_count);
  PUT(workers, s->head.worker_count);
  PUT(segments, s->head.segment_count);
#undef PUT
  to->sizes[2] = out->size - to->offsets[2] - missing;
  container_align(out, 64);
  tsr_buffer_append(out, zeros, sizeof(zeros));
  cuda_bundle_manifest(b);
}

static void section_refused(cuda_bundle *b, uint32_t layer, const tables *s,
                            size_t missing, const char *message) {
  char text[400];
  section_write(b, layer, s, missing);
  (void)snprintf(text, sizeof(text), "layer '%s': cuda.schedule: %s",
                 layer == 0 ? "wide" : "nothing", message);
  refused(b, "section", layer, text);
  cuda_bundle_fini(b);
}

// Counts of layer "wide", which has 15, 8, 28 and 46.
static void test_counts(void) {
  static const struct {
    uint32_t steps, cuts, workers, segments;
    const char *message;
  } cases[] = {
      {15, 0, 28, 46, "0 cuts, expected 1 to 1024"},
      {15, 1025, 28, 46, "1025 cuts, expected 1 to 1024"},
      {14, 8, 28, 46, "14 steps, the grid has more"},
      {16, 8, 28, 46, "16 steps, the grid has 15"},
      {15, 8, 29, 46, "29 workers, 46 segments; the cuts have 28, 46"},
      {15, 8, 28, 47, "28 workers, 47 segments; the cuts have 28, 46"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
    static tables s;
    cuda_bundle b;
    cuda_bundle_init(&b);
    section_read(&b, 0, &s);
    s.head.step_count = cases[i].steps;
    s.head.cut_count = cases[i].cuts;
    s.head.worker_count = cases[i].workers;
    s.head.segment_count = cases[i].segments;
    section_refused(&b, 0, &s, 0, cases[i].message);
  }
}

static void test_short_section(void) {
  static tables s;
  cuda_bundle b;
  cuda_bundle_init(&b);
  section_read(&b, 1, &s);
  s.head.cut_count = s.head.worker_count = s.head.segment_count = 0;
  section_refused(&b, 1, &s, 1, "31 bytes are too few for its header");
}

// The last cut of a layer of one panel without steps: without that panel, and
// with one too many.
static void test_panels(void) {
  static tables s;
  cuda_bundle b;
  cuda_bundle_init(&b);
  section_read(&b, 1, &s);
  s.head.segment_count = 5;
  s.cuts[5].segment_count = 0;
  s.workers[5].segment_end = 0;
  section_refused(&b, 1, &s, 0, "cut 5: it ends at panel 0 of 1, step 0 of 0");
  cuda_bundle_init(&b);
  section_read(&b, 1, &s);
  s.head.segment_count = 7;
  s.cuts[5].segment_count = 2;
  s.workers[5].segment_end = 2;
  s.segments[6] = s.segments[5];
  s.segments[6].panel = 1;
  section_refused(&b, 1, &s, 0, "cut 5: segment 1: panel 1, expected 1 of 1");
}

// A share of a panel's steps has some.
static void test_empty_share(void) {
  static tables s;
  cuda_bundle b;
  cuda_bundle_init(&b);
  section_read(&b, 0, &s);
  s.workers[1].step_end = s.workers[1].step_first;
  s.segments[1].step_end = s.workers[1].step_first;
  section_refused(&b, 0, &s, 0,
                  "cut 0: segment 1: steps 2 to 2, expected 2 to 2");
}

// What is said of a layer that has no cut for decode: its first cut's workers.
static void test_prefill_alone(void) {
  static const char kernels[] =
      "[{\"name\": \"p\", \"strategy\": \"prefill\", \"mode\": \"prefill\", "
      "\"tokens\": [1, 9], \"threads\": 64, \"shared_size\": 0, "
      "\"block_tokens\": 64}]";
  static tables s;
  cuda_bundle b;
  tessera_error error = {0};
  tessera_layer_info info = {.size = sizeof(info)};
  cuda_bundle_init(&b);
  b.kernels = kernels;
  b.layer_kernels = "[0]";
  for (uint32_t i = 0; i < b.image_count; ++i) b.images[i].kernels = "[0]";
  section_read(&b, 0, &s);
  for (uint32_t i = 0; i < s.head.cut_count; ++i) {
    s.cuts[i].mode = TSR_NVIDIA_PREFILL;
  }
  section_write(&b, 0, &s, 0);
  tessera_bundle *opened = cuda_open_bundle(&b, true, &error);
  CHECK_STR(error.message, "");
  CHECK_EQ(tessera_layer_query(tessera_bundle_find_layer(opened, "wide"), &info,
                               &error),
           TESSERA_OK);
  CHECK_EQ(info.worker_count, 7);
  tessera_bundle_close(opened);
  cuda_bundle_fini(&b);
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
    {"\"cuda_kernels\": [", "\"cuda_kernels\": 1, \"x\": [",
     "cuda_kernels: expected an array"},
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
    {"\"steps\": 15, ", "", "layer 'wide': cuda.steps: missing"},
    {"\"size\": 2328", "\"size\": 99999999",
     "layer 'wide': cuda.schedule.size: 99999999 bytes at 80128 end after "
     "weights.bin's last 86528"},
    {"kernels/cuda-sm_90.ptx", "kernels/cuda-sm_80.ptx",
     "image 'sm_90': file: 'kernels/cuda-sm_80.ptx' is listed twice"},
    {"kernels/cuda-sm_90.ptx", "kernels/cuda-sm_91.ptx",
     "image 'sm_90': file: member 'kernels/cuda-sm_91.ptx' is missing"},
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

// A byte of an image that is not what it was: seen where checksums are asked
// for, and not looked at where they are not.
static void test_damaged_images(void) {
  static const char *const messages[] = {
      "image 'sm_80': hash: 'kernels/cuda-sm_80.ptx' is damaged",
      "image 'sm_90': hash: 'kernels/cuda-sm_90.cubin' is damaged"};
  for (int i = 0; i < 2; ++i) {
    cuda_bundle b;
    tessera_error error = {0};
    cuda_bundle_init(&b);
    tsr_buffer *image = &b.images[i].data;
    image->data[image->size - 1] ^= 1;
    CHECK(cuda_open_bundle(&b, true, &error) == NULL);
    CHECK_EQ(error.status, TESSERA_CORRUPT);
    const char *said = strstr(error.message, ": ");
    CHECK_STR(said == NULL ? "" : said + 2, messages[i]);
    tessera_bundle *opened = cuda_open_bundle(&b, false, &error);
    CHECK_STR(error.message, "");
    tessera_bundle_close(opened);
    cuda_bundle_fini(&b);
  }
}

// A member that nobody speaks of.
static void test_unlisted(void) {
  cuda_bundle b;
  cuda_bundle_init(&b);
  uint32_t all = b.image_count--;
  cuda_bundle_manifest(&b);
  b.image_count = all;
  refused(&b, "member", all,
          "member 'kernels/cuda-sm_90.ptx' is not in the manifest");
  cuda_bundle_fini(&b);
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

// A cubin with a section or a segment: |count| of them from byte |place| on,
// where the entry has |range| as its offset and size.
static void elf_refused(bool is_segment, uint64_t place, uint16_t count,
                        uint32_t type, const uint64_t range[2],
                        const char *message) {
  enum { ENTRY = 64, SECTIONS = 40, SEGMENTS = 32, COUNTS = 54 };
  static const size_t ranges[2][2] = {{24, 32}, {8, 32}};
  uint16_t entry_size = is_segment ? 56 : 64;
  cuda_bundle b;
  tessera_error error = {0};
  cuda_bundle_init(&b);
  tsr_buffer *cubin = &b.images[CUDA_CUBIN_90].data;
  tsr_buffer_clear(cubin);
  cubin_write(cubin, "sm_90", CUBIN_V1);
  for (int i = 0; i < ENTRY; ++i) tsr_buffer_append_char(cubin, '\0');
  char *entry = cubin->data + ENTRY;
  char *counts = cubin->data + COUNTS + (is_segment ? 0 : 4);
  memcpy(cubin->data + (is_segment ? SEGMENTS : SECTIONS), &place, 8);
  memcpy(counts, &entry_size, 2);
  memcpy(counts + 2, &count, 2);
  memcpy(entry + (is_segment ? 0 : 4), &type, 4);
  memcpy(entry + ranges[is_segment][0], &range[0], 8);
  memcpy(entry + ranges[is_segment][1], &range[1], 8);
  cuda_bundle_manifest(&b);
  if (message != NULL) {
    refused(&b, is_segment ? "segment" : "section", count, message);
  } else {
    tessera_bundle *opened = cuda_open_bundle(&b, true, &error);
    CHECK_STR(error.message, "");
    tessera_bundle_close(opened);
  }
  cuda_bundle_fini(&b);
}

#define CUBIN "image 'sm_90': file: 'kernels/cuda-sm_90.cubin' "

// The file has 128 bytes. A table, and what its entries are of, may reach to
// its end; sections without bytes (SHT_NOBITS) and entries that are not in use
// (PT_NULL) may say what they like.
static void test_elf_ranges(void) {
  static const char damaged[] = CUBIN "is cut short or damaged";
  static const uint64_t whole[] = {0, 128}, late[] = {129, 0}, end[] = {128, 0},
                        longer[] = {64, 65}, huge[] = {64, UINT64_MAX};
  for (int segment = 0; segment < 2; ++segment) {
    bool is_segment = segment != 0;
    uint32_t empty = is_segment ? 0 : 8;
    elf_refused(is_segment, 64, 1, 1, whole, NULL);
    elf_refused(is_segment, 64, 1, 1, end, NULL);
    elf_refused(is_segment, 64, 1, 1, late, damaged);
    elf_refused(is_segment, 64, 1, 1, longer, damaged);
    elf_refused(is_segment, 64, 1, 1, huge, damaged);
    elf_refused(is_segment, 64, 1, empty, huge, NULL);
    elf_refused(is_segment, 64, 2, 1, whole, damaged);
    elf_refused(is_segment, 73, 1, 1, whole, damaged);
    elf_refused(is_segment, 129, 1, 1, whole, damaged);
    elf_refused(is_segment, UINT64_MAX, 1, 1, whole, damaged);
  }
}

static void image_is(uint32_t index, size_t size, const char *message) {
  cuda_bundle b;
  cuda_bundle_init(&b);
  b.images[index].data.size = size;
  cuda_bundle_manifest(&b);
  refused(&b, "image", index, message);
  cuda_bundle_fini(&b);
}

static void test_short_images(void) {
  image_is(CUDA_CUBIN_90, 63, CUBIN "is no 64-bit little-endian ELF file");
  image_is(CUDA_CUBIN_90, 0, CUBIN "is no 64-bit little-endian ELF file");
  image_is(CUDA_PTX_80, 0,
           "image 'sm_80': file: 'kernels/cuda-sm_80.ptx' is no text");
}

static void test_images(void) {
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
  test_counts();
  test_short_section();
  test_panels();
  test_empty_share();
  test_prefill_alone();
  test_classes_apart();
  test_random_words();
  test_manifests();
  test_held();
  test_short_stream();
  test_damaged_images();
  test_unlisted();
  test_elf_ranges();
  test_short_images();
  test_images();
  return test_finish();
}

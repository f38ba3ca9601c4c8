// SPDX-License-Identifier: Apache-2.0
// Damaged bundles: one defect each, refused when opened, with one message that
// names the bundle, the layer and the field.
#include <stddef.h>
#include <unistd.h>

#include "synthetic.h"
#include "tessera/tessera.h"
#include "test.h"

enum { DESCRIPTOR = 200 };  // so that messages do not depend on the run
#define PREFIX "bundle '/proc/self/fd/200': "

static tessera_status open_bytes(const tsr_buffer *bytes, bool verify,
                                 tessera_error *error) {
  char path[CONTAINER_PATH];
  int file = container_file(bytes->data, bytes->size, path);
  (void)dup2(file, DESCRIPTOR);
  (void)close(file);
  tessera_bundle_options options = {.size = sizeof(options),
                                    .verify_checksums = verify};
  tessera_bundle *bundle = NULL;
  tessera_status status =
      tessera_bundle_open("/proc/self/fd/200", &options, &bundle, error);
  CHECK((status == TESSERA_OK) == (bundle != NULL));
  tessera_bundle_close(bundle);
  (void)close(DESCRIPTOR);
  return status;
}

static tessera_status open_synthetic(const synthetic *bundle, bool verify,
                                     tessera_error *error) {
  tsr_buffer container;
  synthetic_container(bundle, &container);
  tessera_status status = open_bytes(&container, verify, error);
  tsr_buffer_fini(&container);
  return status;
}

typedef struct text_case {
  const char *from;
  unsigned nth;
  const char *to;
  const char *message;
} text_case;

static const text_case manifest_cases[] = {
#include "corrupt_manifest.def"
};

static void test_manifest(void) {
  for (size_t i = 0; i < sizeof(manifest_cases) / sizeof(manifest_cases[0]);
       ++i) {
    const text_case *c = &manifest_cases[i];
    synthetic bundle;
    tessera_error error = {0};
    synthetic_init(&bundle, KERNEL_IMAGE, 3);
    synthetic_replace(&bundle.manifest, c->from, c->nth, c->to);
    tessera_status status = open_synthetic(&bundle, true, &error);
    CHECK(status == TESSERA_CORRUPT || status == TESSERA_UNSUPPORTED);
    CHECK(strncmp(error.message, PREFIX, strlen(PREFIX)) == 0);
    CHECK_STR(error.message + strlen(PREFIX), c->message);
    synthetic_fini(&bundle);
  }
}

// ---- Schedule, grid ---------------------------------------------------------

typedef struct word_case {
  const char *where;  // "header", "worker", "segment", "reduction", "tile"
  uint32_t index;
  size_t field;  // offset in the structure
  uint64_t value;
  size_t size;  // of the field
  const char *message;
} word_case;

static const word_case word_cases[] = {
#define HEADER(field, value, message) \
  { "header", 0, offsetof(tsr_host_schedule, field), value, 4, message }
#define WORKER(index, field, value, message)                  \
  {                                                           \
    "worker", index, offsetof(tsr_host_worker, field), value, \
        sizeof(((tsr_host_worker *)NULL)->field), message     \
  }
#define SEGMENT(index, field, value, message) \
  { "segment", index, offsetof(tsr_host_segment, field), value, 4, message }
#define REDUCTION(index, field, value, message) \
  { "reduction", index, offsetof(tsr_host_reduction, field), value, 4, message }
#define TILE(index, value, message) \
  { "tile", index, 0, value, 4, message }
    HEADER(worker_count, 4, "4 workers, host.workers says 3"),
    HEADER(segment_count, 6, "232 bytes, its counts need 248"),
    HEADER(reduction_count, UINT32_MAX,
           "232 bytes, its counts need 68719476936"),
    HEADER(tile_count, 0, "232 bytes, its counts need 200"),
    HEADER(partial_count, 3, "3 partials, host.partials says 2"),
    HEADER(reserved[0], 1, "reserved is not zero"),
    HEADER(reserved[2], 1, "reserved is not zero"),
    WORKER(0, stream_offset, 64, "worker 0: stream starts at 64, expected 0"),
    WORKER(1, stream_offset, 0, "worker 1: stream starts at 0, expected 2176"),
    WORKER(2, stream_offset, UINT64_MAX,
           "worker 2: stream starts at 18446744073709551615, expected 4352"),
    WORKER(0, stream_size, 0,
           "worker 0: stream of 0 bytes, its tiles have 2176"),
    WORKER(
        1, stream_size, UINT64_MAX,
        "worker 1: stream of 18446744073709551615 bytes, its tiles have 2176"),
    WORKER(0, segment_first, 1, "worker 0: segments 1 + 2, expected 0 of 5"),
    WORKER(0, segment_count, 0,
           "worker 0: stream of 2176 bytes, its tiles have 0"),
    WORKER(0, segment_count, UINT32_MAX,
           "worker 0: segments 0 + 4294967295, expected 0 of 5"),
    WORKER(2, segment_count, 0,
           "worker 2: stream of 1600 bytes, its tiles have 0"),
    SEGMENT(0, panel, 4, "segment 0: panel 4 of 4"),
    SEGMENT(0, panel, UINT32_MAX, "segment 0: panel 4294967295 of 4"),
    SEGMENT(0, panel, 2, "tile 2: kind 2, the grid says 0 at [2, 2]"),
    SEGMENT(1, panel, 0, "segment 1: panel 0 is written twice"),
    SEGMENT(0, tile_first, 1, "segment 0: tiles from 1, expected 0"),
    SEGMENT(0, tile_first, UINT32_MAX, "segment 0: tiles 4294967295 + 3 of 8"),
    SEGMENT(0, tile_count, UINT32_MAX, "segment 0: tiles 0 + 4294967295 of 8"),
    SEGMENT(0, tile_count, 0,
            "worker 0: stream of 2176 bytes, its tiles have 0"),
    SEGMENT(0, partial, 0, "segment 3: partial 0 is used twice"),
    SEGMENT(0, partial, 2, "segment 0: partial 2 of 2"),
    SEGMENT(2, partial, 1, "segment 4: partial 1 is used twice"),
    SEGMENT(3, partial, TSR_HOST_NO_PARTIAL,
            "reduction 0: panel 3 is written twice"),
    REDUCTION(0, panel, 4, "reduction 0: panel 4 of 4, reserved 0"),
    REDUCTION(0, panel, 0, "reduction 0: panel 0 is written twice"),
    REDUCTION(0, panel, 1, "reduction 0: panel 1 is written twice"),
    REDUCTION(0, partial_first, 1, "reduction 0: partials 1 + 2 of 2"),
    REDUCTION(0, partial_first, UINT32_MAX,
              "reduction 0: partials 4294967295 + 2 of 2"),
    REDUCTION(0, partial_count, 1, "reduction 0: partials 0 + 1 of 2"),
    REDUCTION(0, partial_count, UINT32_MAX,
              "reduction 0: partials 0 + 4294967295 of 2"),
    REDUCTION(0, reserved, 1, "reduction 0: panel 3 of 4, reserved 1"),
    TILE(0, 1u << 24 | 3, "tile 0: column 3 of 3"),
    TILE(0, 0, "tile 0: kind 0, the grid says 1 at [0, 0]"),
    TILE(0, 3u << 24, "tile 0: kind 3, the grid says 1 at [0, 0]"),
    TILE(1, 2u << 24 | 0, "tile 1: kind 2, the grid says 1 at [0, 0]"),
    TILE(0, 0xffffffff, "tile 0: column 16777215 of 3"),
    TILE(1, 1u << 24 | 0, "tile 1: [0, 0] is scheduled twice"),
};

// With a worker per tile.
static const word_case split_cases[] = {
    REDUCTION(0, partial_first, 1, "reduction 0: partial 3 is not of panel 0"),
    REDUCTION(0, partial_count, 2, "partial 2 is not reduced"),
    REDUCTION(1, partial_first, 0, "reduction 1: partial 0 is not of panel 2"),
};

static uint8_t *find_word(synthetic *bundle, const word_case *c) {
  const synthetic_layer *l = &bundle->layers[0];
  size_t at = 0;
  if (strcmp(c->where, "header") != 0) {
    at += sizeof(tsr_host_schedule);
    bool is_here = strcmp(c->where, "worker") == 0;
    at += sizeof(tsr_host_worker) * (is_here ? c->index : l->workers);
    if (!is_here) {
      is_here = strcmp(c->where, "segment") == 0;
      at += sizeof(tsr_host_segment) * (is_here ? c->index : l->segments);
    }
    if (!is_here) {
      is_here = strcmp(c->where, "reduction") == 0;
      at += sizeof(tsr_host_reduction) * (is_here ? c->index : l->reductions);
    }
    if (!is_here) at += sizeof(tsr_host_tile) * c->index;
  }
  return (uint8_t *)bundle->weights.data + l->schedule_offset + at + c->field;
}

static void test_schedule(const word_case *cases, size_t count,
                          uint32_t workers) {
  for (size_t i = 0; i < count; ++i) {
    const word_case *c = &cases[i];
    synthetic bundle;
    tessera_error error = {0};
    synthetic_init(&bundle, KERNEL_IMAGE, workers);
    memcpy(find_word(&bundle, c), &c->value, c->size);
    // The checksum finds it first; without, the checks do.
    CHECK_EQ(open_synthetic(&bundle, true, &error), TESSERA_CORRUPT);
    CHECK_STR(error.message, PREFIX
              "layer 'layer.plain': host.schedule.hash: the section is "
              "damaged");
    synthetic_manifest(&bundle);
    CHECK_EQ(open_synthetic(&bundle, true, &error), TESSERA_CORRUPT);
    static const char prefix[] = PREFIX "layer 'layer.plain': host.schedule: ";
    CHECK(strncmp(error.message, prefix, strlen(prefix)) == 0);
    CHECK_STR(error.message + strlen(prefix), c->message);
    synthetic_fini(&bundle);
  }
}

static void check_damage(uint64_t offset, uint8_t value, bool refresh,
                         const char *message) {
  synthetic bundle;
  tessera_error error = {0};
  synthetic_init(&bundle, KERNEL_IMAGE, 3);
  ((uint8_t *)bundle.weights.data)[offset] ^= value;
  if (refresh) synthetic_manifest(&bundle);
  CHECK_EQ(open_synthetic(&bundle, true, &error), TESSERA_CORRUPT);
  CHECK(strncmp(error.message, PREFIX, strlen(PREFIX)) == 0);
  CHECK_STR(error.message + strlen(PREFIX), message);
  synthetic_fini(&bundle);
}

static void test_weights(void) {
  synthetic b;
  synthetic_init(&b, KERNEL_IMAGE, 3);
  synthetic_layer l = b.layers[0];
  uint64_t size = b.weights.size;
  synthetic_fini(&b);
  check_damage(0, 1, true, "weights.bin: does not start with TSRWGT01");
  check_damage(63, 1, true, "weights.bin: bytes 8 to 63 are not zero");
  check_damage(size - 1, 1, true,
               "weights.bin: the last 4096 bytes are not zero");
  check_damage(size - 4096, 1, true,
               "weights.bin: the last 4096 bytes are not zero");
  check_damage(l.grid_offset, 2, false,
               "layer 'layer.plain': grid.hash: the section is damaged");
  check_damage(l.stream_offset + l.stream_size - 1, 8, false,
               "layer 'layer.plain': host.stream.hash: the section is damaged");
  check_damage(l.bias_offset, 1, false,
               "layer 'layer.plain': host.bias.hash: the section is damaged");
  // Between sections.
  check_damage(l.grid_offset + l.grid_size, 1, false,
               "files: 'weights.bin' is damaged");
  check_damage(l.grid_offset, 7, true,
               "layer 'layer.plain': grid: tile 0 has kind 6");
  check_damage(l.grid_offset, 1, true,
               "layer 'layer.plain': grid: 5 zero, 4 sparse24, 3 dense; tiles "
               "says 4, 5, 3");
}

// The section ends before what the workers read of it.
static void test_stream_size(void) {
  synthetic bundle;
  tessera_error error = {0};
  synthetic_init(&bundle, KERNEL_IMAGE, 3);
  uint64_t size = bundle.layers[0].stream_size;
  bundle.layers[0].stream_size = size - 64;
  synthetic_manifest(&bundle);
  CHECK_EQ(open_synthetic(&bundle, true, &error), TESSERA_CORRUPT);
  char message[200];
  (void)snprintf(message, sizeof(message),
                 "%slayer 'layer.plain': host.schedule: streams of %llu "
                 "bytes, host.stream has %llu",
                 PREFIX, (unsigned long long)size,
                 (unsigned long long)size - 64);
  CHECK_STR(error.message, message);
  synthetic_fini(&bundle);
}

// Panel 1 keeps nothing; its segment, of no tiles, still writes the epilogue.
// Without it every other check is content.
static void test_missing_panel(void) {
  synthetic bundle;
  tessera_error error = {0};
  synthetic_init(&bundle, KERNEL_IMAGE, 3);
  synthetic_layer *l = &bundle.layers[0];
  char *section = (char *)bundle.weights.data + l->schedule_offset;
  tsr_host_schedule *schedule = (void *)section;
  tsr_host_worker *workers = (void *)(schedule + 1);
  tsr_host_segment *segment = (tsr_host_segment *)(workers + l->workers) + 1;
  CHECK_EQ(segment->panel, 1);
  CHECK_EQ(segment->tile_count, 0);
  size_t rest = l->schedule_size - (size_t)((char *)(segment + 1) - section);
  memmove(segment, segment + 1, rest);
  memset((char *)segment + rest, 0, sizeof(*segment));
  l->schedule_size -= sizeof(*segment);
  --schedule->segment_count;
  --workers[0].segment_count;
  for (uint32_t i = 1; i < l->workers; ++i) --workers[i].segment_first;
  synthetic_manifest(&bundle);
  CHECK_EQ(open_synthetic(&bundle, true, &error), TESSERA_CORRUPT);
  CHECK_STR(error.message, PREFIX
            "layer 'layer.plain': host.schedule: panel 1 is never written");
  synthetic_fini(&bundle);
}

// ---- Container --------------------------------------------------------------

typedef struct byte_case {
  size_t offset;
  size_t size;
  uint64_t value;
  const char *message;
} byte_case;

// The table: 16 bytes, then manifest.json (24 + 16), plan.tess (24 + 16),
// weights.bin (24 + 16), the image (24 + 24).
static const byte_case byte_cases[] = {
    {0, 1, 'X', "not a bundle: it does not start with TSRBUNDL"},
    {8, 4, 2, "container version 2: this library reads version 1"},
    {12, 4, 0, "container: manifest.json is not the first member"},
    {12, 4, 3,
     "image 'generic': file: member 'kernels/host-generic.so' is missing"},
    {12, 4, 5, "container: member 4: path of 0 bytes"},
    {12, 4, UINT32_MAX, "container: 4294967295 members do not fit in the file"},
    {16, 4, 0, "container: member 0: path of 0 bytes"},
    {16, 4, UINT32_MAX, "container: member 0: path of 4294967295 bytes"},
    {16, 4, 14, "container: member 0: path 'manifest.json' leaves the bundle"},
    {20, 4, 1, "container: member 'manifest.json': reserved is not zero"},
    {24, 8, 4097,
     "container: member 'manifest.json' does not start at a multiple of 4096"},
    {24, 8, 0, "container: member 'manifest.json' overlaps the table"},
    {24, 8, UINT64_MAX - 4095,
     "container: member 'manifest.json' ends after the file"},
    {32, 8, UINT64_MAX,
     "container: member 'manifest.json' ends after the file"},
    {32, 8, 1 << 20, "container: member 'manifest.json' ends after the file"},
    {32, 8, 0, "manifest.json: 1:1: expected a value"},
    {40, 1, 'M', "container: manifest.json is not the first member"},
    {40, 2, 0x2e2e, "container: manifest.json is not the first member"},
    {40, 1, '/', "container: member 0: path '/anifest.json' leaves the bundle"},
    {40, 1, 0, "container: member 0: path '' leaves the bundle"},
    {54, 1, 1, "container: member 'manifest.json': padding is not zero"},
    {64, 8, 4096,
     "container: member 'plan.tess' overlaps the member before it"},
    {80, 8, 0x6174686769657777, "files[0].path: member 'plan.tess' is missing"},
};

static void check_container(tsr_buffer *container, const char *message) {
  tessera_error error = {0};
  tessera_status status = open_bytes(container, true, &error);
  CHECK(status == TESSERA_CORRUPT || status == TESSERA_UNSUPPORTED);
  CHECK(strncmp(error.message, PREFIX, strlen(PREFIX)) == 0);
  CHECK_STR(error.message + strlen(PREFIX), message);
  tsr_buffer_fini(container);
}

static void make_container(tsr_buffer *out) {
  synthetic bundle;
  synthetic_init(&bundle, KERNEL_IMAGE, 3);
  synthetic_container(&bundle, out);
  synthetic_fini(&bundle);
}

static void test_container(void) {
  tsr_buffer container;
  for (size_t i = 0; i < sizeof(byte_cases) / sizeof(byte_cases[0]); ++i) {
    make_container(&container);
    memcpy(container.data + byte_cases[i].offset, &byte_cases[i].value,
           byte_cases[i].size);
    check_container(&container, byte_cases[i].message);
  }
  make_container(&container);
  memcpy(container.data + 80, "plan.tess\0\0\0\0\0\0", 16);
  container.data[96] = 9;  // the path's size
  memcpy(container.data + 120, "plan.tess\0\0\0\0\0\0", 16);
  check_container(&container, "container: member 'plan.tess' occurs twice");
  static const struct {
    size_t size;
    const char *message;
  } cuts[] = {{0, "not a bundle: it does not start with TSRBUNDL"},
              {7, "not a bundle: it does not start with TSRBUNDL"},
              {15, "not a bundle: it does not start with TSRBUNDL"},
              {20, "container: 4 members do not fit in the file"},
              {40, "container: 4 members do not fit in the file"},
              {4096, "container: member 'manifest.json' ends after the file"},
              {8192, "container: member 'manifest.json' ends after the file"}};
  for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); ++i) {
    make_container(&container);
    container.size = cuts[i].size;
    check_container(&container, cuts[i].message);
  }
}

// Cut anywhere: refused, never read beyond.
static void test_truncation(void) {
  tsr_buffer container;
  make_container(&container);
  size_t size = container.size;
  for (size_t cut = size - 1; cut > 0; cut -= cut < 700 ? 1 : cut / 64) {
    tessera_error error = {0};
    container.size = cut;
    CHECK_EQ(open_bytes(&container, false, &error), TESSERA_CORRUPT);
  }
  tsr_buffer_fini(&container);
}

int main(void) {
  test_manifest();
  test_schedule(word_cases, sizeof(word_cases) / sizeof(word_cases[0]), 3);
  test_schedule(split_cases, sizeof(split_cases) / sizeof(split_cases[0]), 8);
  test_weights();
  test_stream_size();
  test_missing_panel();
  test_container();
  test_truncation();
  return test_finish();
}

// SPDX-License-Identifier: Apache-2.0
// The writer inside one process: the same bytes from any number of threads, no
// leak and no file when the Nth allocation fails, and a previous bundle that is
// damaged anywhere is never trusted.
#include "compiler/bundle.h"

#include <stdlib.h>

#include "base/float16.h"
#include "base/memory.h"
#include "support/random.h"
#include "test.h"

static const char plan_text[] =
    "model \"m\";\n"
    "target host;\n"
    "tile 32x64;\n"
    "weights synthetic seed 5;\n"
    "masks synthetic sparse24 50% zero 20% seed 5;\n"
    "layer \"one\" { weight synthetic 100x200; schedule { workers 3; } }\n"
    "layer \"two\" { weight synthetic 64x64; type f16; }\n";

enum { LAYERS = 2 };

// Which families the bundles of the test at hand are for: 1 host, 2 CUDA.
static unsigned families = 1;

static char root[] = "/tmp/tessera-bundle-test-XXXXXX";

static char *at(const char *name) {
  static char paths[8][512];
  static int turn;
  char *path = paths[turn++ % 8];
  snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
  return path;
}

// Everything of one run; freed by run_fini whatever happened.
typedef struct run {
  unsigned families;  // bits of tsr_target_family
  tsr_compilation *compilation;
  tsr_plan *plan;
  tsr_inputs *inputs;
  tsr_packing *packing;
  tsr_bundle_layer layers[LAYERS];
  tsr_bundle_file weights;
  tsr_error error;
} run;

static void run_fini(run *r) {
  tsr_packing_close(r->packing);
  tsr_inputs_close(r->inputs);
  tsr_compilation_destroy(r->compilation);
}

static tsr_status read_plan(run *r) {
  tsr_ast *ast;
  r->compilation = tsr_compilation_create();
  if (r->compilation == NULL) return TSR_OUT_OF_MEMORY;
  tsr_status status = tsr_parse_text(r->compilation, "test", ".", plan_text,
                                     strlen(plan_text), &ast, &r->error);
  if (status == TSR_OK)
    status = tsr_check(r->compilation, ast, &r->plan, &r->error);
  if (status != TSR_OK) return status;
  CHECK(r->plan != NULL);
  if (r->plan == NULL) return TSR_INTERNAL;
  return tsr_inputs_open(r->plan, NULL, tsr_compilation_diags(r->compilation),
                         &r->inputs, &r->error);
}

// What |families| (bits of tsr_target_family) ask for.
static tsr_status make_schedule(run *r, const tsr_plan_layer *layer,
                                const tsr_matrix *matrix, tsr_arena *arena,
                                tsr_layer_schedule *out) {
  tsr_plan_schedule options = layer->schedule;
  *out = (tsr_layer_schedule){.grid = tsr_matrix_grid(matrix)};
  tsr_schedule *host = tsr_arena_alloc(arena, sizeof(*host));
  tsr_nvidia_tables *cuda = tsr_arena_alloc(arena, sizeof(*cuda));
  if (host == NULL || cuda == NULL) return TSR_OUT_OF_MEMORY;
  tsr_status status = TSR_OK;
  if ((r->families & 2u) != 0) {
    out->cuda = cuda;
    status =
        tsr_nvidia_tables_build(arena, out->grid, &options, cuda, &r->error);
  }
  if (options.workers == 0) options.workers = TSR_HOST_DEFAULT_WORKERS;
  if (status == TSR_OK && (r->families & 1u) != 0) {
    out->host = host;
    status = tsr_schedule_build(arena, out->grid, &options, tsr_host_tile_cost,
                                host, &r->error);
  }
  return status;
}

static tsr_status pack_matrix(run *r, uint32_t index, const tsr_matrix *matrix,
                              const tsr_previous *previous, uint32_t threads) {
  const tsr_plan_layer *layer = &r->plan->layers[index];
  tsr_arena arena = {0};
  tsr_layer_schedule schedule;
  tsr_layer_key key;
  tsr_status status = make_schedule(r, layer, matrix, &arena, &schedule);
  if (status == TSR_OK) {
    tsr_layer_key_init(layer, &schedule, &key);
    status = tsr_matrix_hash(matrix, &key.parts[TSR_KEY_WEIGHTS],
                             &key.parts[TSR_KEY_MASK], &r->error);
  }
  if (status == TSR_OK) {
    tsr_pack_options how = {.threads = threads, .previous = previous};
    r->layers[index].plan = layer;
    status = tsr_packing_layer(r->packing, layer, matrix, &schedule, &how,
                               &r->layers[index].packed, &r->error);
    r->layers[index].packed.key = key;
  }
  tsr_arena_fini(&arena);
  return status;
}

static tsr_status pack_layers(run *r, const tsr_previous *previous,
                              uint32_t threads) {
  tsr_status status = TSR_OK;
  for (uint32_t i = 0; status == TSR_OK && i < LAYERS; ++i) {
    tsr_matrix *matrix;
    status = tsr_matrix_open(r->inputs, &r->plan->layers[i],
                             tsr_compilation_diags(r->compilation), &matrix,
                             &r->error);
    if (status != TSR_OK) break;
    status = pack_matrix(r, i, matrix, previous, threads);
    tsr_matrix_close(matrix);
  }
  return status;
}

static tsr_status write_manifest(run *r, const char *folder) {
  static const uint32_t kernel = 0;
  const tsr_bundle_kernel kernels[] = {
      {"k", "gemv", 1, UINT32_MAX, "k_run", "k_reduce", "", 0, 0, 0, 0}};
  const tsr_bundle_cuda_kernel cuda_kernels[] = {
      {"c", "decode", TSR_NVIDIA_DECODE, 1, 8, 256, 4096, 8}};
  for (int i = 0; i < LAYERS; ++i) {
    for (int family = 0; family < TSR_FAMILY_COUNT; ++family) {
      r->layers[i].chosen[family] = (tsr_bundle_choice){&kernel, 1};
    }
  }
  const tsr_bundle bundle = {.name = "m",
                             .symbol = "m",
                             .version = "0.1.0",
                             .fingerprint = "test",
                             .files = &r->weights,
                             .file_count = 1,
                             .kernels = kernels,
                             .kernel_count = 1,
                             .cuda_kernels = cuda_kernels,
                             .cuda_kernel_count = r->families >> 1 & 1u,
                             .layers = r->layers,
                             .layer_count = LAYERS};
  tsr_buffer text = {0};
  tsr_bundle_write_manifest(&bundle, &text);
  tsr_status status = tsr_buffer_status(&text, &r->error);
  char *path = tsr_path_join(folder, "manifest.json");
  if (path == NULL) status = TSR_OUT_OF_MEMORY;
  if (status == TSR_OK) {
    status = tsr_file_write(path, text.data, text.size, &r->error);
  }
  tsr_free(path);
  tsr_buffer_fini(&text);
  return status;
}

// The whole way, into |folder|, which exists.
static tsr_status write_bundle(const char *folder, const char *old,
                               uint32_t threads, run *out_run) {
  run *r = out_run;
  *r = (run){.families = families};
  tsr_previous *previous = NULL;
  char *path = tsr_path_join(folder, "weights.bin");
  tsr_status status = path == NULL ? TSR_OUT_OF_MEMORY : read_plan(r);
  if (status == TSR_OK && old != NULL) {
    status = tsr_previous_open(old, &previous, &r->error);
  }
  if (status == TSR_OK) {
    status = tsr_packing_create(path, &r->packing, &r->error);
  }
  if (status == TSR_OK) status = pack_layers(r, previous, threads);
  if (status == TSR_OK) {
    r->weights.path = "weights.bin";
    status = tsr_packing_finish(r->packing, &r->weights.size, &r->weights.hash,
                                &r->error);
    r->packing = NULL;
  }
  if (status == TSR_OK) status = write_manifest(r, folder);
  tsr_previous_close(previous);
  tsr_free(path);
  return status;
}

static void check_same_file(const char *a, const char *b) {
  tsr_map left, right;
  CHECK_EQ(tsr_map_open(a, &left, NULL), TSR_OK);
  CHECK_EQ(tsr_map_open(b, &right, NULL), TSR_OK);
  CHECK_EQ(left.size, right.size);
  CHECK(left.size == right.size &&
        memcmp(left.data, right.data, left.size) == 0);
  tsr_map_close(&left);
  tsr_map_close(&right);
}

static void write_checked(const char *folder, const char *old, uint32_t threads,
                          bool reused) {
  run r;
  CHECK_EQ(tsr_path_make_directories(folder, NULL), TSR_OK);
  CHECK_EQ(write_bundle(folder, old, threads, &r), TSR_OK);
  CHECK_STR(r.error.message, "");
  for (int i = 0; i < LAYERS; ++i) {
    CHECK_EQ(tsr_packed_is_reused(&r.layers[i].packed), reused);
  }
  run_fini(&r);
}

static void test_same_bytes(void) {
  write_checked(at("one"), NULL, 1, false);
  for (uint32_t threads = 2; threads < 9; threads += 3) {
    write_checked(at("many"), NULL, threads, false);
    check_same_file(at("one/weights.bin"), at("many/weights.bin"));
    check_same_file(at("one/manifest.json"), at("many/manifest.json"));
  }
  write_checked(at("again"), at("one"), 2, true);
  check_same_file(at("one/weights.bin"), at("again/weights.bin"));
  check_same_file(at("one/manifest.json"), at("again/manifest.json"));
}

static void test_out_of_memory(void) {
  run r;
  const char *folder = at("oom");
  CHECK_EQ(tsr_path_make_directories(folder, NULL), TSR_OK);
  (void)tsr_memory_fail_at(0);
  CHECK_EQ(write_bundle(folder, at("one"), 1, &r), TSR_OK);
  run_fini(&r);
  uint64_t count = tsr_memory_fail_at(0);
  CHECK(count > 20);
  for (uint64_t i = 1; i <= count; ++i) {
    for (int fresh = 0; fresh < 2; ++fresh) {
      CHECK_EQ(tsr_path_remove(at("oom/weights.bin"), NULL), TSR_OK);
      CHECK_EQ(tsr_path_remove(at("oom/manifest.json"), NULL), TSR_OK);
      (void)tsr_memory_fail_at(i);
      tsr_status status =
          write_bundle(at("oom"), fresh ? NULL : at("one"), 1, &r);
      (void)tsr_memory_fail_at(0);
      run_fini(&r);
      // Some allocations can be done without; then everything must be there.
      CHECK(status == TSR_OK || status == TSR_OUT_OF_MEMORY);
      CHECK(status == TSR_OK || !tsr_path_exists(at("oom/manifest.json")));
      if (status == TSR_OK) {
        check_same_file(at("one/weights.bin"), at("oom/weights.bin"));
      }
    }
  }
}

// ---- Damage ----------------------------------------------------------------

static uint8_t *read_file(const char *path, size_t *out_size) {
  tsr_map map;
  CHECK_EQ(tsr_map_open(path, &map, NULL), TSR_OK);
  uint8_t *data = malloc(map.size);
  memcpy(data, map.data, map.size);
  *out_size = map.size;
  tsr_map_close(&map);
  return data;
}

// Whatever is found is read: sanitizers watch.
static void ask_everything(const char *path, const tsr_layer_key *key) {
  tsr_previous *previous;
  CHECK_EQ(tsr_previous_open(path, &previous, NULL), TSR_OK);
  bool may;
  CHECK_EQ(tsr_bundle_may_replace(path, &may, NULL), TSR_OK);
  if (previous == NULL) return;
  unsigned changed;
  (void)tsr_previous_compare(previous, "one", key, &changed);
  for (uint64_t size = 0; size < 100000; size += 64) {
    uint64_t kept;
    for (int family = 0; family < TSR_FAMILY_COUNT; ++family) {
      const uint8_t *data = tsr_previous_stream(
          previous, "one", (tsr_target_family)family, size, &kept);
      if (data != NULL && size != 0) tsr_previous_drop(previous, data, size);
    }
  }
  tsr_previous_close(previous);
}

static void test_damaged(const char *path) {
  size_t size;
  uint8_t *data = read_file(path, &size);
  uint8_t *copy = malloc(size);
  tsr_layer_key key = {0};
  uint64_t random = 99;
  for (int i = 0; i < 300; ++i) {
    memcpy(copy, data, size);
    size_t left = size;
    uint32_t near = size < 4096 || i % 2 == 0 ? 512 : (uint32_t)size;
    if (near > size) near = (uint32_t)size;
    if (i % 5 == 0) left = random_below(&random, (uint32_t)size);
    copy[random_below(&random, near)] = (uint8_t)random_next(&random);
    copy[random_below(&random, near)] ^=
        (uint8_t)(1u << random_below(&random, 8));
    CHECK_EQ(tsr_file_write(at("damaged"), copy, left, NULL), TSR_OK);
    ask_everything(at("damaged"), &key);
  }
  free(copy);
  free(data);
}

static void test_damaged_folder(void) {
  size_t size;
  uint8_t *data = read_file(at("one/manifest.json"), &size);
  tsr_layer_key key = {0};
  uint64_t random = 7;
  write_checked(at("hurt"), NULL, 1, false);
  for (int i = 0; i < 300; ++i) {
    size_t place = random_below(&random, (uint32_t)size);
    uint8_t saved = data[place];
    data[place] =
        (uint8_t) "0123456789\"{}[],:-ef \0"[random_below(&random, 22)];
    CHECK_EQ(tsr_file_write(at("hurt/manifest.json"), data, size, NULL),
             TSR_OK);
    ask_everything(at("hurt"), &key);
    data[place] = saved;
  }
  free(data);
}

static void test_single_file(void) {
  static const char *const members[] = {"weights.bin"};
  tsr_error error = {0};
  CHECK_EQ(tsr_bundle_write_single(at("one"), members, 1, at("single"), &error),
           TSR_OK);
  write_checked(at("from-single"), at("single"), 1, true);
  check_same_file(at("one/weights.bin"), at("from-single/weights.bin"));
  test_damaged(at("single"));
  static const char *const missing[] = {"none"};
  CHECK_EQ(tsr_bundle_write_single(at("one"), missing, 1, at("bad"), &error),
           TSR_NOT_FOUND);
  CHECK(!tsr_path_exists(at("bad")));
}

// ---- Families --------------------------------------------------------------

// Layer |index| of the bundle of |which| families just written, and its bytes.
static tsr_packed_layer packed_of(const char *folder, const char *old,
                                  unsigned which, uint32_t index) {
  run r;
  families = which;
  CHECK_EQ(tsr_path_make_directories(folder, NULL), TSR_OK);
  CHECK_EQ(write_bundle(folder, old, 3, &r), TSR_OK);
  tsr_packed_layer packed = r.layers[index].packed;
  run_fini(&r);
  return packed;
}

// The stream of layer |index| holds what tsr_fragment_unpack_tile and the
// matrix say, tile after tile.
static void check_fragments(const char *folder, const tsr_packed_layer *packed,
                            const tsr_matrix *matrix, tsr_dtype type) {
  const tsr_tile_grid *grid = tsr_matrix_grid(matrix);
  tsr_map map;
  char *path = tsr_path_join(folder, "weights.bin");
  CHECK_EQ(tsr_map_open(path, &map, NULL), TSR_OK);
  static float values[64 * 256];
  static uint8_t keep[64 * 32];
  static uint16_t unpacked[64 * 64];
  static uint8_t kept[64 * 64];
  const uint8_t *at = map.data + packed->parts[TSR_TARGET_CUDA].stream.offset;
  uint32_t some = 0;
  for (uint32_t panel = 0; panel < grid->panel_count; ++panel) {
    uint32_t rows = tsr_grid_panel_rows(grid, panel);
    CHECK_EQ(tsr_matrix_read(matrix, panel * grid->tile.rows, rows, values,
                             keep, NULL),
             TSR_OK);
    for (uint32_t i = 0; i < grid->column_count; ++i) {
      tsr_kind kind = tsr_grid_kind(grid, panel, i);
      uint32_t columns = tsr_grid_tile_columns(grid, i);
      if (kind == TSR_KIND_ZERO) continue;
      CHECK_EQ(tsr_fragment_unpack_tile(at, rows, columns, kind, unpacked, kept,
                                        NULL),
               TSR_OK);
      for (uint32_t c = 0; c < rows * columns; ++c) {
        uint32_t column = i * grid->tile.columns + c % columns;
        uint32_t row = c / columns;
        const uint8_t *bits = keep + (size_t)row * ((grid->columns + 7) / 8);
        bool is_kept = (bits[column / 8] >> column % 8 & 1) != 0;
        float value = is_kept ? values[row * grid->columns + column] : 0;
        float found = type == TSR_DTYPE_F16 ? tsr_fp16_to_float(unpacked[c])
                                            : tsr_bf16_to_float(unpacked[c]);
        float bound = 0x1p-8f * (value < 0 ? -value : value) + 0x1p-20f;
        CHECK(found - value <= bound && value - found <= bound);
        some += found != 0;
      }
      at += tsr_fragment_tile_size(rows, columns, kind);
    }
  }
  const tsr_section *stream = &packed->parts[TSR_TARGET_CUDA].stream;
  CHECK(at == map.data + stream->offset + stream->size);
  CHECK(some > 100);
  tsr_map_close(&map);
  tsr_free(path);
}

static void test_fragments(const char *folder) {
  run r = {0};
  families = 3;
  CHECK_EQ(read_plan(&r), TSR_OK);
  for (uint32_t i = 0; i < LAYERS; ++i) {
    tsr_matrix *matrix;
    tsr_packed_layer packed = packed_of(folder, NULL, 3, i);
    CHECK_EQ(tsr_matrix_open(r.inputs, &r.plan->layers[i],
                             tsr_compilation_diags(r.compilation), &matrix,
                             &r.error),
             TSR_OK);
    check_fragments(folder, &packed, matrix, r.plan->layers[i].weight_type);
    tsr_matrix_close(matrix);
  }
  run_fini(&r);
}

// Each family's sections are the same whether the other is there or not.
static void test_families(void) {
  for (uint32_t i = 0; i < LAYERS; ++i) {
    tsr_packed_layer host = packed_of(at("host"), NULL, 1, i);
    tsr_packed_layer cuda = packed_of(at("cuda"), NULL, 2, i);
    tsr_packed_layer both = packed_of(at("both"), NULL, 3, i);
    const tsr_packed_part *alone[] = {&host.parts[0], &cuda.parts[1]};
    for (int f = 0; f < TSR_FAMILY_COUNT; ++f) {
      CHECK(alone[f]->is_there && both.parts[f].is_there);
      CHECK(tsr_hash_equal(alone[f]->stream.hash, both.parts[f].stream.hash));
      CHECK(
          tsr_hash_equal(alone[f]->schedule.hash, both.parts[f].schedule.hash));
    }
    CHECK(!host.parts[1].is_there && !cuda.parts[0].is_there);
    CHECK_EQ(host.kept_weights, cuda.kept_weights);
    CHECK_EQ(host.kept_weights, both.kept_weights);
    CHECK_EQ(both.parts[1].stream.offset % TSR_STREAM_ALIGNMENT, 0);
    CHECK(!tsr_hash_equal(host.key.parts[TSR_KEY_OPTIONS],
                          both.key.parts[TSR_KEY_OPTIONS]));
    CHECK(!tsr_hash_equal(cuda.key.parts[TSR_KEY_OPTIONS],
                          both.key.parts[TSR_KEY_OPTIONS]));
    CHECK_EQ(tsr_packed_bytes(&both), both.parts[0].stream.size);
    CHECK_EQ(tsr_packed_bytes(&cuda), cuda.parts[1].stream.size);
    // A stream is taken from a bundle that has the family, and no other.
    tsr_packed_layer again = packed_of(at("again"), at("cuda"), 3, i);
    CHECK(!again.parts[0].is_reused && again.parts[1].is_reused);
    CHECK_EQ(again.kept_weights, both.kept_weights);
    check_same_file(at("both/weights.bin"), at("again/weights.bin"));
  }
}

static bool may_replace(const char *path) {
  bool may = false;
  CHECK_EQ(tsr_bundle_may_replace(path, &may, NULL), TSR_OK);
  return may;
}

static void test_may_replace(void) {
  CHECK(may_replace(at("nothing")));
  CHECK(may_replace(at("one")));
  CHECK(may_replace(at("single")));
  CHECK(!may_replace(root));
  CHECK(!may_replace(at("one/weights.bin")));
  CHECK(!may_replace("/dev/null"));
  static const char later[] =
      "{\n  \"format\": \"tessera-bundle\",\n  \"version\": 2,\n"
      "  \"something\": \"that this version does not know\"\n}\n";
  CHECK_EQ(tsr_path_make_directories(at("later"), NULL), TSR_OK);
  CHECK_EQ(
      tsr_file_write(at("later/manifest.json"), later, strlen(later), NULL),
      TSR_OK);
  CHECK(may_replace(at("later")));
}

static void test_symbols(void) {
  static const char *const rows[][2] = {
      {"abc", "abc"}, {"a-b.c_1", "a_b_c_1"}, {"7b", "model_7b"}, {"_x", "_x"}};
  tsr_arena arena = {0};
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
    CHECK_STR(tsr_bundle_symbol(&arena, rows[i][0]), rows[i][1]);
  }
  tsr_arena_fini(&arena);
}

int main(void) {
  CHECK(mkdtemp(root) != NULL);
  for (families = 1; families <= 3; ++families) {
    test_same_bytes();
    test_single_file();
    test_damaged_folder();
    test_out_of_memory();
  }
  families = 1;
  write_checked(at("one"), NULL, 1, false);
  test_may_replace();
  test_families();
  test_fragments(at("fragments"));
  test_symbols();
  CHECK_EQ(tsr_path_remove(root, NULL), TSR_OK);
  return test_finish();
}

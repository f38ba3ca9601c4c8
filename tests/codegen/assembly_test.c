// SPDX-License-Identifier: Apache-2.0
// What the generated code is, as counts and properties that can be read off the
// assembly: instructions per byte, no spills in hot loops, no calls; that every
// variant compiles, aarch64 too; that output is deterministic; the plan of
// kernels; the linker's failures.
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codegen/codegen.h"
#include "test.h"

static tsr_kernel_spec spec_of(tsr_dtype type, uint32_t first, uint32_t last) {
  return (tsr_kernel_spec){
      .rows = 1024,
      .columns = 1024,
      .tile = {128, 128},
      .weight_type = type,
      .output_type = TSR_DTYPE_F32,
      .kinds = 1u << TSR_KIND_SPARSE24 | 1u << TSR_KIND_DENSE,
      .has_bias = true,
      .token_first = first,
      .token_last = last};
}

static uint32_t count_in(const char *from, const char *to, const char *word) {
  uint32_t count = 0;
  for (const char *at = strstr(from, word); at != NULL && at < to;
       at = strstr(at + 1, word)) {
    ++count;
  }
  return count;
}

// The loop whose first block is named |name|: from its label to the next one.
static bool find_block(const char *text, const char *name, const char **from,
                       const char **to) {
  char label[64];
  (void)snprintf(label, sizeof(label), "# %%%s\n", name);
  *from = strstr(text, label);
  if (*from == NULL) return false;
  *to = strstr(*from, "\n.L");
  if (*to == NULL) *to = text + strlen(text);
  return true;
}

typedef struct expectation {
  const char *block;
  const char *word;
  uint32_t least, most;
} expectation;

static void check_kernel(const char *variant, tsr_dtype type, uint32_t tokens,
                         const expectation *expectations, size_t count) {
  tsr_kernel_spec spec = spec_of(type, tokens, tokens <= 4 ? tokens : 512);
  tsr_kernel kernels[TSR_KERNEL_LIMIT];
  CHECK_EQ(tsr_codegen_plan(&spec, kernels), 1);
  tsr_emitted out;
  tsr_error error = {0};
  tsr_status status =
      tsr_codegen_compile(&kernels[0], tsr_variant_find(variant),
                          TSR_EMIT_ASSEMBLY | TSR_EMIT_LL, &out, &error);
  CHECK_EQ(status, TSR_OK);
  CHECK_STR(error.message, "");
  if (status != TSR_OK) return;
  const char *text = tsr_buffer_text(&out.assembly);
  CHECK_EQ(count_in(text, text + strlen(text), "\tcall"), 0);
  CHECK(strstr(tsr_buffer_text(&out.ll), kernels[0].run_symbol) != NULL);
  for (size_t i = 0; i < count; ++i) {
    const expectation *x = &expectations[i];
    const char *from = NULL;
    const char *to = NULL;
    bool found = find_block(text, x->block, &from, &to);
    uint32_t n = found ? count_in(from, to, x->word) : UINT32_MAX;
    if (!found || n < x->least || n > x->most) {
      fprintf(stderr, "%s %s: block %s has %u of \"%s\", expected %u to %u\n",
              variant, kernels[0].name, x->block, n, x->word, x->least,
              x->most);
    }
    CHECK(found && n >= x->least && n <= x->most);
  }
  tsr_emitted_fini(&out);
}

#define CHECK_KERNEL(variant, type, tokens, list) \
  check_kernel(variant, type, tokens, list, sizeof(list) / sizeof((list)[0]))

// 8 quads of 4 units: 32 dot products for 2048 bytes, each unit loaded once;
// 2:4 by table: 16 for 1152 bytes, nothing expanded. Reading ahead is the
// hardware's.
static void test_gemv_bf16(void) {
  static const expectation one[] = {
      {"gemv.dense", "vdpbf16ps", 32, 32},
      {"gemv.dense", "prefetch", 0, 0},
      {"gemv.dense", "Spill", 0, 0},
      {"gemv.dense", "Reload", 0, 0},
      {"gemv.dense", "ymm", 0, 0},
      {"gemv.sparse24.table", "vdpbf16ps", 16, 16},
      {"gemv.sparse24.table", "vpmultishiftqb", 16, 16},
      {"gemv.sparse24.table", "vpermd", 16, 16},
      {"gemv.sparse24.table", "prefetch", 0, 0},
      {"gemv.sparse24.table", "vpexpand", 0, 0},
      {"gemv.sparse24.table", "Spill", 0, 0},
      {"gemv.sparse24.table", "Reload", 0, 0},
  };
  static const expectation four[] = {
      {"gemv.dense", "vdpbf16ps", 64, 128},
      {"gemv.dense", "Spill", 0, 0},
      {"gemv.dense", "Reload", 0, 0},
      {"gemv.sparse24.table", "vpermd", 32, 64},
      {"gemv.sparse24.table", "Spill", 0, 0},
      {"gemv.sparse24.table", "Reload", 0, 0},
  };
  CHECK_KERNEL("x86-64-v4-bf16", TSR_DTYPE_BF16, 1, one);
  CHECK_KERNEL("x86-64-v4-bf16", TSR_DTYPE_BF16, 4, four);
}

static void test_gemm(void) {
  // 8 quads, 24 accumulators; one load of each unit and quad of X.
  static const expectation bf16[] = {
      {"block.multiply", "vdpbf16ps", 192, 192},
      {"block.multiply", "Spill", 0, 0},
      {"block.multiply", "Reload", 0, 0},
  };
  CHECK_KERNEL("x86-64-v4-bf16", TSR_DTYPE_BF16, 17, bf16);
}

static void test_gemv_fp32(void) {
  static const expectation wide[] = {
      {"gemv.dense", "vcvtph2ps", 16, 200},
      {"gemv.dense", "vfmadd", 16, 200},
      {"gemv.dense", "Spill", 0, 0},
      {"gemv.sparse24.table", "vperm", 8, 200},
      {"gemv.sparse24.table", "Spill", 0, 0},
  };
  CHECK_KERNEL("x86-64-v4", TSR_DTYPE_F16, 1, wide);
  static const expectation narrow[] = {
      {"gemv.dense", "vcvtph2ps", 8, 200},
      {"gemv.dense", "vfmadd", 8, 200},
      {"gemv.dense", "Spill", 0, 0},
      {"gemv.sparse24.table", "vperm", 8, 200},
  };
  CHECK_KERNEL("x86-64-v3", TSR_DTYPE_F16, 1, narrow);
}

// e_machine of an ELF file's header.
static unsigned machine_of(const tsr_buffer *object) {
  if (object->size < 20 || memcmp(object->data, "\177ELF", 4) != 0) return 0;
  uint16_t machine;
  memcpy(&machine, object->data + 18, sizeof(machine));
  return machine;
}

static void test_every_variant(void) {
  for (const char *const *name = tsr_variant_names; *name != NULL; ++name) {
    const tsr_variant *variant = tsr_variant_find(*name);
    CHECK(variant != NULL);
    CHECK_STR(variant->name, *name);
    for (int type = TSR_DTYPE_F16; type <= TSR_DTYPE_BF16; ++type) {
      tsr_kernel_spec spec = spec_of((tsr_dtype)type, 1, UINT32_MAX);
      spec.rows = 203;
      spec.columns = 331;
      spec.activation = TSR_ACTIVATION_GELU_ERF;
      tsr_kernel kernels[TSR_KERNEL_LIMIT];
      uint32_t count = tsr_codegen_plan(&spec, kernels);
      for (uint32_t i = 0; i < count; i += 5) {  // the first and the last
        tsr_emitted out;
        tsr_error error = {0};
        CHECK_EQ(tsr_codegen_compile(&kernels[i], variant, TSR_EMIT_OBJECT,
                                     &out, &error),
                 TSR_OK);
        CHECK_STR(error.message, "");
        bool arm = strcmp(variant->architecture, "aarch64") == 0;
        CHECK_EQ(machine_of(&out.object), arm ? 183 : 62);
        tsr_emitted_fini(&out);
      }
    }
  }
  CHECK(tsr_variant_find("x86-64-v5") == NULL);
}

static void *compile_one(void *context) {
  tsr_emitted *out = context;
  tsr_kernel_spec spec = spec_of(TSR_DTYPE_BF16, 2, 2);
  tsr_kernel kernels[TSR_KERNEL_LIMIT];
  (void)tsr_codegen_plan(&spec, kernels);
  tsr_status status = tsr_codegen_compile(
      &kernels[0], tsr_variant_find("x86-64-v3"), TSR_EMIT_OBJECT, out, NULL);
  return status == TSR_OK ? out : NULL;
}

static void test_deterministic(void) {
  tsr_emitted out[4];
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) {
    CHECK_EQ(pthread_create(&threads[i], NULL, compile_one, &out[i]), 0);
  }
  for (int i = 0; i < 4; ++i) {
    void *result = NULL;
    (void)pthread_join(threads[i], &result);
    CHECK(result != NULL);
  }
  for (int i = 0; i < 4; ++i) {
    CHECK_EQ(out[i].object.size, out[0].object.size);
    CHECK(memcmp(out[i].object.data, out[0].object.data, out[0].object.size) ==
          0);
  }
  for (int i = 0; i < 4; ++i) tsr_emitted_fini(&out[i]);
}

static void test_plan(void) {
  static const uint32_t ranges[][2] = {{1, 1},  {1, UINT32_MAX},  {2, 16},
                                       {3, 40}, {17, UINT32_MAX}, {7, 9}};
  for (size_t r = 0; r < sizeof(ranges) / sizeof(ranges[0]); ++r) {
    tsr_kernel_spec spec = spec_of(TSR_DTYPE_F16, ranges[r][0], ranges[r][1]);
    tsr_kernel kernels[TSR_KERNEL_LIMIT];
    uint32_t count = tsr_codegen_plan(&spec, kernels);
    CHECK(count >= 1 && count <= TSR_KERNEL_LIMIT);
    CHECK_EQ(kernels[0].spec.token_first, ranges[r][0]);
    CHECK_EQ(kernels[count - 1].spec.token_last, ranges[r][1]);
    for (uint32_t i = 0; i + 1 < count; ++i) {
      CHECK_EQ(kernels[i].spec.token_last + 1, kernels[i + 1].spec.token_first);
      CHECK(strcmp(kernels[i].name, kernels[i + 1].name) != 0);
    }
    for (uint32_t i = 0; i < count; ++i) {
      CHECK(strcmp(kernels[i].strategy, "gemv") != 0 ||
            kernels[i].pack_symbol[0] == '\0');
    }
  }
  // The longest name there can be is not cut.
  tsr_kernel_spec spec = spec_of(TSR_DTYPE_BF16, 4294967294u, UINT32_MAX - 1);
  spec.rows = spec.columns = UINT32_MAX;
  spec.tile = (tsr_tile_shape){256, 512};
  spec.activation = TSR_ACTIVATION_GEGLU_TANH;
  spec.has_residual = true;
  tsr_kernel kernels[TSR_KERNEL_LIMIT];
  CHECK_EQ(tsr_codegen_plan(&spec, kernels), 1);
  CHECK(strstr(kernels[0].name, "_n4294967294") != NULL);
  CHECK(strlen(kernels[0].reduce_symbol) > strlen(kernels[0].name));
}

static void test_key(void) {
  tsr_kernel_spec spec = spec_of(TSR_DTYPE_BF16, 1, 1);
  tsr_kernel a;
  tsr_kernel b;
  tsr_kernel kernels[TSR_KERNEL_LIMIT];
  (void)tsr_codegen_plan(&spec, kernels);
  a = kernels[0];
  spec.has_bias = false;
  (void)tsr_codegen_plan(&spec, kernels);
  b = kernels[0];
  const tsr_variant *v3 = tsr_variant_find("x86-64-v3");
  const tsr_variant *v4 = tsr_variant_find("x86-64-v4");
  CHECK(tsr_hash_equal(tsr_codegen_key(&a, v3), tsr_codegen_key(&a, v3)));
  CHECK(!tsr_hash_equal(tsr_codegen_key(&a, v3), tsr_codegen_key(&b, v3)));
  CHECK(!tsr_hash_equal(tsr_codegen_key(&a, v3), tsr_codegen_key(&a, v4)));
}

static uint32_t left_overs(const char *folder) {
  uint32_t count = 0;
  DIR *directory = opendir(folder);
  for (struct dirent *entry; directory && (entry = readdir(directory));) {
    count += entry->d_name[0] != '.';
  }
  if (directory != NULL) (void)closedir(directory);
  return count;
}

static void test_link(void) {
  char folder[] = "/tmp/tessera-link-test-XXXXXX";
  CHECK(mkdtemp(folder) != NULL);
  (void)setenv("TMPDIR", folder, 1);
  char path[64];
  (void)snprintf(path, sizeof(path), "%s/image.so", folder);
  const tsr_variant *v3 = tsr_variant_find("x86-64-v3");
  tsr_error error = {0};
  tsr_object object = {"broken", "not an object", 13};
  CHECK_EQ(tsr_codegen_link(v3, &object, 1, NULL, path, &error), TSR_INTERNAL);
  CHECK(strncmp(error.message, "linker ld.lld-22 failed: ", 25) == 0);
  CHECK(access(path, F_OK) != 0);
  error = (tsr_error){0};
  CHECK_EQ(tsr_codegen_link(v3, &object, 1, "no-such-linker", path, &error),
           TSR_IO);
  CHECK_STR(
      error.message,
      "cannot start the linker no-such-linker: No such file or directory");
  tsr_emitted out[2];
  CHECK(compile_one(&out[0]) != NULL);
  object = (tsr_object){"n2", out[0].object.data, out[0].object.size};
  error = (tsr_error){0};
  CHECK_EQ(tsr_codegen_link(v3, &object, 1, NULL, path, &error), TSR_OK);
  CHECK_STR(error.message, "");
  CHECK(access(path, R_OK) == 0);
  CHECK_EQ(left_overs(folder), 1);  // the image; nothing temporary
  (void)unlink(path);
  tsr_emitted_fini(&out[0]);
  (void)rmdir(folder);
  (void)unsetenv("TMPDIR");
}

int main(void) {
  test_plan();
  test_key();
  test_gemv_bf16();
  test_gemm();
  test_gemv_fp32();
  test_every_variant();
  test_deterministic();
  test_link();
  return test_finish();
}

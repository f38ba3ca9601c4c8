// SPDX-License-Identifier: Apache-2.0
// The assembler: how it is found, what is made of its report and of its
// complaints (with scripts in its place), and, where a real one is, that cubins
// are the same bytes twice.
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "codegen/cuda.h"
#include "test.h"

static char folder[64] = "/tmp/tessera-ptxas-test-XXXXXX";

static const char module[] =
    ".version 8.5\n.target sm_80\n.address_size 64\n"
    ".visible .entry k1(.param .u64 a)\n{\nret;\n}\n"
    ".visible .entry k2(.param .u64 a)\n{\nret;\n}\n";

static void path_in(char out[128], const char *name) {
  (void)snprintf(out, 128, "%s/%s", folder, name);
}

static void write_script(const char *name, const char *body) {
  char path[128];
  char text[2000];
  path_in(path, name);
  (void)snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", body);
  tsr_error error = {0};
  CHECK_EQ(tsr_file_write(path, text, strlen(text), &error), TSR_OK);
  CHECK_EQ(chmod(path, 0755), 0);
}

static bool is_temporary_empty(void) {
  char path[128];
  path_in(path, "tmp");
  return tsr_path_is_empty(path);
}

// ---- Finding ---------------------------------------------------------------

static void check_found(const char *named, tsr_status status,
                        const char *expected) {
  tsr_buffer out;
  tsr_buffer_init(&out);
  tsr_error error = {0};
  CHECK_EQ(tsr_ptxas_find(named, &out, &error), status);
  if (status == TSR_OK) {
    CHECK_STR(tsr_buffer_text(&out), expected);
  } else {
    CHECK_STR(error.message, expected);
  }
  tsr_buffer_fini(&out);
}

static void test_find(void) {
  char good[128];
  char plain[128];
  path_in(good, "good");
  path_in(plain, "plain");
  tsr_error error = {0};
  CHECK_EQ(tsr_file_write(plain, "x", 1, &error), TSR_OK);
  char message[300];
  CHECK_EQ(unsetenv("TESSERA_PTXAS"), 0);
  check_found(good, TSR_OK, good);
  check_found("good", TSR_OK, good);  // by PATH
  check_found("none", TSR_OK, "");
  (void)snprintf(message, sizeof(message), "--ptxas names no program: %s",
                 plain);
  check_found(plain, TSR_NOT_FOUND, message);  // not executable
  check_found("/nowhere/ptxas", TSR_NOT_FOUND,
              "--ptxas names no program: /nowhere/ptxas");
  check_found(folder, TSR_NOT_FOUND,
              (snprintf(message, sizeof(message),
                        "--ptxas names no program: %s", folder),
               message));
  CHECK_EQ(setenv("TESSERA_PTXAS", "gone", 1), 0);
  check_found("", TSR_NOT_FOUND, "TESSERA_PTXAS names no program: gone");
  check_found(good, TSR_OK, good);  // the option comes first
  CHECK_EQ(setenv("TESSERA_PTXAS", good, 1), 0);
  check_found(NULL, TSR_OK, good);
  CHECK_EQ(setenv("TESSERA_PTXAS", "none", 1), 0);
  check_found(NULL, TSR_OK, "");
  CHECK_EQ(unsetenv("TESSERA_PTXAS"), 0);
}

// ---- Reports and complaints ------------------------------------------------

typedef struct outcome {
  tsr_status status;
  tsr_error error;
  tsr_buffer cubin;
  tsr_cuda_resources resources[2];
} outcome;

static outcome assemble_with(const char *ptxas, const char *text) {
  outcome o = {0};
  tsr_cuda_kernel kernels[2] = {{.name = "k1", .threads = 256},
                                {.name = "k2", .threads = 128}};
  tsr_buffer ptx;
  tsr_buffer_init(&ptx);
  tsr_buffer_init(&o.cubin);
  tsr_buffer_append_string(&ptx, text);
  o.status = tsr_ptxas_assemble(ptxas, "sm_80", &ptx, kernels, 2, &o.cubin,
                                o.resources, &o.error);
  tsr_buffer_fini(&ptx);
  return o;
}

static outcome assemble_script(const char *body) {
  char path[128];
  write_script("fake", body);
  path_in(path, "fake");
  outcome o = assemble_with(path, module);
  CHECK(is_temporary_empty());
  return o;
}

#define REPORT(name, registers, stores, loads)                               \
  "echo \"ptxas info    : Compiling entry function '" name                   \
  "' for 'sm_80'\"; echo 'ptxas info    : Function properties for " name     \
  "'; echo '    16 bytes stack frame, " stores " bytes spill stores, " loads \
  " bytes spill loads'; "                                                    \
  "echo 'ptxas info    : Used " registers                                    \
  " registers, used 1 barriers, 48 bytes smem, 360 bytes cmem[0]';"

static void test_report(void) {
  // As the real one, it does not keep to the module's order.
  outcome o = assemble_script(
      "echo \"$@\" > \"$(dirname \"$0\")/arguments\";"
      "for a; do last=$a; done; printf cubin > \"$last\";" REPORT(
          "k2", "168", "24", "32") REPORT("k1", "40", "0", "0"));
  CHECK_EQ(o.status, TSR_OK);
  CHECK_STR(tsr_buffer_text(&o.cubin), "cubin");
  CHECK(o.resources[0].is_known && o.resources[1].is_known);
  CHECK_EQ(o.resources[0].registers, 40);
  CHECK_EQ(o.resources[0].spill_stores, 0);
  CHECK_EQ(o.resources[1].registers, 168);
  CHECK_EQ(o.resources[1].spill_stores, 24);
  CHECK_EQ(o.resources[1].spill_loads, 32);
  CHECK_EQ(o.resources[1].stack, 16);
  CHECK_EQ(o.resources[1].shared_static, 48);
  CHECK_EQ(o.resources[1].blocks, 3);
  CHECK_STR(o.resources[1].limiter, "registers");
  tsr_buffer_fini(&o.cubin);
  char path[128];
  path_in(path, "arguments");
  tsr_map map;
  CHECK_EQ(tsr_map_open(path, &map, NULL), TSR_OK);
  static const char start[] = "-v -suppress-debug-info -arch=sm_80 /";
  CHECK(map.size > sizeof(start) &&
        memcmp(map.data, start, sizeof(start) - 1) == 0);
  tsr_map_close(&map);
}

static void check_fails(const char *body, tsr_status status,
                        const char *message) {
  outcome o = assemble_script(body);
  char expected[400];
  CHECK_EQ(o.status, status);
  (void)snprintf(expected, sizeof(expected), "%s/fake%s", folder, message);
  CHECK_STR(o.error.message, expected);
  tsr_buffer_fini(&o.cubin);
}

static void test_complaints(void) {
  check_fails(
      "echo 'ptxas warning : odd'; for a; do in=$last; last=$a; done;"
      "echo \"ptxas $(dirname $last)/module.ptx, line 6; fatal : no\" >&2;"
      "echo 'ptxas fatal : aborted'; exit 255",
      TSR_INTERNAL, ": ptxas module.ptx, line 6; fatal : no");
  check_fails("echo hm; exit 3", TSR_INTERNAL, ": hm");
  check_fails("exit 3", TSR_INTERNAL, ": it says nothing");
  check_fails("kill -9 $$", TSR_INTERNAL, ": ended by signal 9");
  // A cubin, but nothing said about k2.
  check_fails("for a; do last=$a; done; printf cubin > \"$last\";" REPORT(
                  "k1", "40", "0", "0"),
              TSR_INTERNAL, " does not say what kernel k2 uses");
}

static void test_no_cubin(void) {
  outcome o = assemble_script(REPORT("k1", "40", "0", "0")
                                  REPORT("k2", "40", "0", "0"));
  CHECK(o.status != TSR_OK);
  CHECK(strstr(o.error.message, "module.cubin") != NULL);
  tsr_buffer_fini(&o.cubin);
  o = assemble_with("/nowhere/ptxas", module);
  CHECK_EQ(o.status, TSR_IO);
  CHECK(strstr(o.error.message, "cannot start /nowhere/ptxas") != NULL);
  CHECK(is_temporary_empty());
  tsr_buffer_fini(&o.cubin);
}

static void test_version(void) {
  char path[128];
  path_in(path, "fake");
  tsr_buffer out;
  tsr_buffer_init(&out);
  tsr_error error = {0};
  write_script("fake", "echo 'Cuda compilation tools, release 13.0, V13.0.88'");
  CHECK_EQ(tsr_ptxas_version(path, &out, &error), TSR_OK);
  CHECK_STR(tsr_buffer_text(&out), "13.0.88");
  write_script("fake", "echo hello");
  tsr_buffer_clear(&out);
  CHECK_EQ(tsr_ptxas_version(path, &out, &error), TSR_UNSUPPORTED);
  tsr_buffer_fini(&out);
}

// ---- The real one ----------------------------------------------------------

static void test_real(const char *ptxas) {
  outcome a = assemble_with(ptxas, module);
  outcome b = assemble_with(ptxas, module);
  CHECK_EQ(a.status, TSR_OK);
  CHECK_STR(a.error.message, "");
  CHECK(a.cubin.size > 0 && a.cubin.size == b.cubin.size);
  CHECK(a.cubin.size == b.cubin.size &&
        memcmp(a.cubin.data, b.cubin.data, a.cubin.size) == 0);
  CHECK(a.resources[0].is_known && a.resources[1].is_known);
  CHECK(a.resources[0].blocks > 0);
  tsr_buffer_fini(&a.cubin);
  tsr_buffer_fini(&b.cubin);
  a = assemble_with(ptxas,
                    ".version 8.5\n.target sm_80\n.address_size 64\n"
                    ".visible .entry k1()\n{\nnonsense;\n}\n");
  CHECK_EQ(a.status, TSR_INTERNAL);
  CHECK(strstr(a.error.message, "module.ptx, line 6") != NULL);
  CHECK(strstr(a.error.message, "/tessera-ptxas-") == NULL);
  CHECK(is_temporary_empty());
  tsr_buffer_fini(&a.cubin);
  tsr_buffer version;
  tsr_buffer_init(&version);
  CHECK_EQ(tsr_ptxas_version(ptxas, &version, &a.error), TSR_OK);
  CHECK(version.size >= 4);
  tsr_buffer_fini(&version);
}

static void test_where_there_is_one(void) {
  tsr_buffer ptxas;
  tsr_buffer_init(&ptxas);
  tsr_error error = {0};
  CHECK_EQ(tsr_ptxas_find(NULL, &ptxas, &error), TSR_OK);
  if (ptxas.size == 0) {
    printf("SKIPPED: real ptxas (there is none on this machine)\n");
  } else {
    test_real(tsr_buffer_text(&ptxas));
  }
  tsr_buffer_fini(&ptxas);
}

int main(void) {
  char path[4096];
  if (mkdtemp(folder) == NULL) return 1;
  (void)snprintf(path, sizeof(path), "%s:%s", folder, getenv("PATH"));
  CHECK_EQ(setenv("PATH", path, 1), 0);
  path_in(path, "tmp");
  CHECK_EQ(mkdir(path, 0700), 0);
  CHECK_EQ(setenv("TMPDIR", path, 1), 0);
  write_script("good", "exit 0");
  test_find();
  test_report();
  test_complaints();
  test_no_cubin();
  test_version();
  test_where_there_is_one();
  tsr_error error = {0};
  CHECK_EQ(tsr_path_remove(folder, &error), TSR_OK);
  return test_finish();
}

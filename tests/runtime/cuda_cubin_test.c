// SPDX-License-Identifier: Apache-2.0
// Bundles with cubins, on a driver that takes them (cubin_driver.c): which of
// the images is loaded on which device, that its kernels are those that run,
// that they are given what those of the PTX are, and which image follows when
// the driver refuses one.
#include <stdlib.h>
#include <unistd.h>

#include "container.h"
#include "cubin.h"
#include "cuda_checks.h"
#include "test.h"

enum { LOG_SIZE = 1000, TOKENS = 3, PART = 1 << 20 };

static emu e;
static int log_file;

// ---- The driver's log -------------------------------------------------------

static void log_open(void) {
  char path[CONTAINER_PATH];
  log_file = container_file("", 0, path);
  if (setenv("CUBIN_DRIVER_LOG", path, 1) != 0) abort();
}

// What the driver was given since the last call, one line per image.
static const char *log_take(void) {
  static char text[LOG_SIZE];
  ssize_t size = pread(log_file, text, sizeof(text) - 1, 0);
  if (size < 0 || ftruncate(log_file, 0) != 0) abort();
  text[size] = '\0';
  return text;
}

// ---- Bundles ----------------------------------------------------------------

// The emulated driver runs PTX for its own device and older ones, whatever the
// device pretends to be.
static const char *runnable(const char *architecture) {
  long number = strtol(architecture + 3, NULL, 10);
  return number > 90 ? "sm_80" : architecture;
}

static void add_cubin(cuda_bundle *b, const char *architecture,
                      const char *says, cubin_encoding encoding,
                      const char *text) {
  tsr_buffer *to = cuda_bundle_add_image(b, "cubin", architecture);
  bool is_empty = strcmp(says, "nothing") == 0;
  cubin_write(to, is_empty ? architecture : says, encoding);
  if (!is_empty) cubin_plant(to, text);
}

// |images|: NULL-terminated, "ptx sm_90", "cubin sm_90"; "cubin sm_90 sm_89" is
// one whose header says sm_89, "cubin sm_90 nothing" one without any text to
// run. Their kernels store 1, 2, ... in the order of the images.
static void write_bundle(cuda_bundle *b, const char *const *images,
                         cubin_encoding encoding) {
  cuda_bundle_init(b);
  cuda_bundle_remove_images(b);
  for (unsigned i = 0; images[i] != NULL; ++i) {
    char format[16] = "", architecture[16] = "", says[16] = "";
    int words = sscanf(images[i], "%15s %15s %15s", format, architecture, says);
    tsr_buffer text;
    tsr_buffer_init(&text);
    cuda_bundle_ptx(&text, runnable(architecture), i + 1);
    if (strcmp(format, "ptx") == 0) {
      tsr_buffer_append(cuda_bundle_add_image(b, "ptx", architecture),
                        text.data, text.size);
    } else {
      add_cubin(b, architecture, words == 3 ? says : architecture, encoding,
                tsr_buffer_text(&text));
    }
    tsr_buffer_fini(&text);
  }
  cuda_bundle_manifest(b);
}

// ---- Running ----------------------------------------------------------------

// The program, X, Y and the workspace lie in the four parts of |memory|, so
// that what a kernel is given is the same for each image.
typedef struct session {
  cuda_bundle written;
  tessera_bundle *bundle;
  tessera_device *device;
  tessera_program *program;
  char *memory;
  tessera_error error;
} session;

static tessera_status session_init(session *s, const char *device,
                                   const char *const *images,
                                   cubin_encoding encoding) {
  tessera_prepare_options options = {.size = sizeof(options)};
  void *memory = NULL;
  memset(s, 0, sizeof(*s));
  write_bundle(&s->written, images, encoding);
  s->bundle = cuda_open_bundle(&s->written, true, &s->error);
  CHECK_STR(s->error.message, "");
  CHECK_EQ(tessera_device_open(device, NULL, &s->device, &s->error),
           TESSERA_OK);
  CHECK_EQ(
      tessera_device_allocate(s->device, (size_t)4 * PART, &memory, &s->error),
      TESSERA_OK);
  s->memory = memory;
  options.device_memory = memory;
  options.device_memory_size = PART;
  (void)log_take();
  return tessera_program_prepare_with(s->bundle, s->device, &options,
                                      &s->program, &s->error);
}

static void session_fini(session *s) {
  tessera_program_destroy(s->program);
  tessera_device_free(s->device, s->memory);
  tessera_device_close(s->device);
  tessera_bundle_close(s->bundle);
  cuda_bundle_fini(&s->written);
}

// What a run of |tokens| tokens was given, by its own account.
static void session_run(session *s, uint32_t tokens, uint64_t out[DUMP_COUNT]) {
  const tessera_layer *layer = tessera_bundle_find_layer(s->bundle, "wide");
  tessera_run_args args = {.size = sizeof(args),
                           .token_count = tokens,
                           .input = s->memory + PART,
                           .residual = s->memory + (size_t)2 * PART,
                           .output = s->memory + (size_t)2 * PART,
                           .workspace = s->memory + (size_t)3 * PART};
  CHECK_EQ(tessera_layer_workspace(s->program, layer, tokens,
                                   &args.workspace_size, &s->error),
           TESSERA_OK);
  CHECK(args.workspace_size <= PART);
  CHECK_EQ(tessera_workspace_init(s->program, args.workspace,
                                  args.workspace_size, NULL, &s->error),
           TESSERA_OK);
  CHECK_EQ(tessera_linear_run(s->program, layer, &args, &s->error), TESSERA_OK);
  CHECK_STR(s->error.message, "");
  CHECK_EQ(tessera_device_read(s->device, out, args.output,
                               DUMP_COUNT * sizeof(uint64_t), NULL, &s->error),
           TESSERA_OK);
}

// ---- Choices ----------------------------------------------------------------

typedef struct choice_case {
  const char *device, *pretended;  // NULL: what it is
  const char *images[4];
  const char *variant;
  uint64_t mark;    // of the image that runs
  const char *log;  // all that the driver was given
} choice_case;

// cuda:0 to 3 are of 9.0, 8.0, 8.6, 8.9.
static const choice_case choice_cases[] = {
#include "cuda_cubin.def"
};

// The same kernels as PTX alone: what they are given is what matters.
static void same_as_ptx(const choice_case *c, uint32_t tokens,
                        uint64_t dump[DUMP_COUNT]) {
  static const char *const text[] = {"ptx sm_80", NULL};
  session s;
  uint64_t expected[DUMP_COUNT];
  CHECK_EQ(session_init(&s, c->device, text, CUBIN_V1), TESSERA_OK);
  session_run(&s, tokens, expected);
  CHECK_EQ(expected[DUMP_MARK], 1);
  expected[DUMP_MARK] = dump[DUMP_MARK];
  CHECK(memcmp(dump, expected, sizeof(expected)) == 0);
  session_fini(&s);
}

static void check_choice(const choice_case *c, cubin_encoding encoding) {
  static const uint32_t tokens[] = {TOKENS, 100};  // decode, prefill
  session s;
  uint64_t dumps[2][DUMP_COUNT];
  if (c->pretended != NULL) {
    CHECK_EQ(setenv("CUBIN_DRIVER_CAPABILITY", c->pretended, 1), 0);
  }
  CHECK_EQ(session_init(&s, c->device, c->images, encoding), TESSERA_OK);
  CHECK_STR(s.error.message, "");
  CHECK_STR(log_take(), c->log);
  if (s.program != NULL) {
    CHECK_STR(tessera_program_variant(s.program), c->variant);
    for (int i = 0; i < 2; ++i) session_run(&s, tokens[i], dumps[i]);
    CHECK_EQ(dumps[0][DUMP_MARK], c->mark);
    CHECK_STR(log_take(), "");  // a run loads nothing
  }
  bool is_ready = s.program != NULL;
  session_fini(&s);
  for (int i = 0; i < 2 && is_ready; ++i) same_as_ptx(c, tokens[i], dumps[i]);
  CHECK_EQ(unsetenv("CUBIN_DRIVER_CAPABILITY"), 0);
}

static void test_choices(void) {
  static const cubin_encoding encodings[] = {CUBIN_V1, CUBIN_V2, CUBIN_V3};
  for (size_t i = 0; i < sizeof(choice_cases) / sizeof(choice_cases[0]); ++i) {
    int before = test_failures;
    check_choice(&choice_cases[i], encodings[i % 3]);
    if (test_failures != before) fprintf(stderr, "in case %zu\n", i);
  }
}

// ---- Failures ---------------------------------------------------------------

static void prepare_fails(const char *device, const char *const *images,
                          tessera_status status, int native,
                          const char *message, const char *log) {
  session s;
  CHECK_EQ(session_init(&s, device, images, CUBIN_V1), status);
  CHECK(s.program == NULL);
  CHECK_EQ(s.error.native, native);
  if (strstr(s.error.message, message) == NULL) {
    CHECK_STR(s.error.message, message);
  }
  CHECK_STR(log_take(), log);
  session_fini(&s);
}

static void test_none_fits(void) {
  static const char *const foreign[] = {"cubin sm_80", "cubin sm_90a", NULL};
  // Without PTX a bundle runs on no other generation, and says what it has.
  prepare_fails("cuda:2",
                (const char *const[]){"cubin sm_89", "cubin sm_90a", NULL},
                TESSERA_UNSUPPORTED, 0,
                ": no image is for compute capability 8.6; it has cuda sm_89 "
                "cubin, cuda sm_90a cubin",
                "");
  CHECK_EQ(setenv("CUBIN_DRIVER_CAPABILITY", "120", 1), 0);
  prepare_fails("cuda:0", foreign, TESSERA_UNSUPPORTED, 0,
                ": no image is for compute capability 12.0; it has cuda sm_80 "
                "cubin, cuda sm_90a cubin",
                "");
  CHECK_EQ(unsetenv("CUBIN_DRIVER_CAPABILITY"), 0);
}

static void test_all_refused(void) {
  static const char *const images[] = {"cubin sm_90 sm_80",
                                       "cubin sm_90a nothing", NULL};
  prepare_fails("cuda:0", images, TESSERA_UNSUPPORTED,
                CUDA_ERROR_NO_BINARY_FOR_GPU,
                ": the driver takes none of its images: sm_90a cubin: "
                "CUDA_ERROR_INVALID_IMAGE; sm_90 cubin: "
                "CUDA_ERROR_NO_BINARY_FOR_GPU",
                "cubin sm_90a: error 200\ncubin sm_80: error 209\n");
}

// Of no interest to the next image: the device is full.
static void test_other_failure(void) {
  static const char *const images[] = {"cubin sm_90", "ptx sm_90", NULL};
  CHECK_EQ(e.fail("cuModuleLoadDataEx", 1, CUDA_ERROR_OUT_OF_MEMORY), 0);
  prepare_fails("cuda:0", images, TESSERA_OUT_OF_MEMORY,
                CUDA_ERROR_OUT_OF_MEMORY,
                ": cuModuleLoadDataEx of 'kernels/cuda-sm_90.cubin': "
                "CUDA_ERROR_OUT_OF_MEMORY",
                "cubin sm_90: error 2\n");
}

// A cubin that lacks a kernel is damaged: its PTX may lack it too.
static void test_lacks_kernel(void) {
  static const char *const images[] = {"ptx sm_80", NULL};
  static const char text[] =
      ".version 8.5\n.target sm_90\n.address_size 64\n"
      ".visible .entry dump_decode() { ret; }\n";
  cuda_bundle b;
  tessera_device *device = NULL;
  tessera_program *program = NULL;
  tessera_error error = {0};
  write_bundle(&b, images, CUBIN_V1);
  add_cubin(&b, "sm_90", "sm_90", CUBIN_V3, text);
  cuda_bundle_manifest(&b);
  tessera_bundle *bundle = cuda_open_bundle(&b, true, &error);
  CHECK_EQ(tessera_device_open("cuda:0", NULL, &device, &error), TESSERA_OK);
  CHECK_EQ(tessera_program_prepare(bundle, device, &program, &error),
           TESSERA_CORRUPT);
  CHECK(program == NULL);
  CHECK(strstr(error.message,
               ": image 'sm_90 cubin' does not define 'dump_prefill'") != NULL);
  tessera_device_close(device);
  tessera_bundle_close(bundle);
  cuda_bundle_fini(&b);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  e = emu_open(argv[1], "h100,a100,a6000,rtx4090");
  if (setenv("TESSERA_CUDA_DRIVER", argv[2], 1) != 0) return 2;
  log_open();
  test_choices();
  test_none_fits();
  test_all_refused();
  test_other_failure();
  test_lacks_kernel();
  // Each module that was loaded is gone, and so are the contexts.
  CHECK(e.call_count("cuModuleUnload") > 30);
  check_inactive(&e, 4);
  CHECK_EQ(e.finding_count(), 0);
  return test_finish();
}

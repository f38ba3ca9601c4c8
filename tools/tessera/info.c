// SPDX-License-Identifier: Apache-2.0
// tessera info: this build, this machine, and which image of a bundle it takes.
#include <jansson.h>
#include <string.h>

#include "common/runtime.h"
#include "common/table.h"
#include "common/terminal.h"
#include "runtime/src/host/cpu.h"
#include "tessera/commands.h"
#include "tessera/emulator.h"
#include "tessera/session.h"

// What the host's kernels can make use of, in the words of /proc/cpuinfo.
static const char *const features[] = {
    "sse4_2",   "avx",      "avx2",         "fma",         "f16c",
    "bmi1",     "bmi2",     "avx512f",      "avx512bw",    "avx512dq",
    "avx512vl", "avx512cd", "avx512_vbmi2", "avx512_bf16", "avx512_fp16",
    "asimd",    "asimdhp",  "bf16",         "sve",         NULL};

static void show_features(const tsr_cli *cli) {
  char missing[64];
  (void)fprintf(cli->out, "  features      ");
  for (size_t i = 0; features[i] != NULL; ++i) {
    if (tsr_cpu_find_missing(features[i], missing, sizeof(missing))) continue;
    (void)fprintf(cli->out, " %s", features[i]);
  }
  (void)fputc('\n', cli->out);
}

// Every level up to the processor's own.
static void show_levels(const tsr_cli *cli) {
  static const char *const levels[] = {"x86-64-v2", "x86-64-v3", "x86-64-v4",
                                       "x86-64-v4-bf16"};
  const char *own = tsr_cpu_level();
  size_t count = 0;
  for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); ++i) {
    if (strcmp(levels[i], own) == 0) count = i + 1;
  }
  (void)fprintf(cli->out, "  runs           generic");
  for (size_t i = 0; i < count; ++i) {
    (void)fprintf(cli->out, ", %s", levels[i]);
  }
  if (count == 0) (void)fprintf(cli->out, ", %s", own);
  (void)fputc('\n', cli->out);
}

enum { CUDA_DEVICES_MAX = 64 };

// Every device that the driver counts, or why there is none.
static void show_cuda(const tsr_cli *cli) {
  tessera_error error = {0};
  (void)fprintf(cli->out, "\ncuda\n");
  for (uint32_t i = 0; i < CUDA_DEVICES_MAX; ++i) {
    tessera_device *device = NULL;
    char name[16];
    (void)snprintf(name, sizeof(name), "cuda:%u", i);
    if (tessera_device_open(name, NULL, &device, &error) != TESSERA_OK) {
      if (i == 0) {
        (void)fprintf(cli->out, "  unavailable    %s\n", error.message);
      }
      break;
    }
    if (i == 0 && tsr_emulator_in_use()) {
      (void)fprintf(cli->out, "  driver         emulated\n");
    }
    (void)fprintf(cli->out, "  device %-7u %s\n", i,
                  tessera_device_description(device));
    tessera_device_close(device);
  }
}

static int show_machine(const tsr_cli *cli) {
  tessera_device *device = NULL;
  tessera_error error = {0};
  char brand[128];
  tsr_cpu_brand(brand, sizeof(brand));
  (void)fprintf(cli->out, "tessera %s\n\nhost\n  processor      %s\n",
                tessera_version(), brand);
  (void)fprintf(cli->out, "  architecture   %s, level %s\n",
                tsr_cpu_architecture(), tsr_cpu_level());
  show_levels(cli);
  show_features(cli);
  if (tessera_device_open("host", NULL, &device, &error) != TESSERA_OK) {
    return tsr_cli_fail_runtime(cli, &error);
  }
  (void)fprintf(cli->out, "  threads        %u\n",
                tessera_device_thread_count(device));
  tessera_device_close(device);
  show_cuda(cli);
  return TSR_EXIT_OK;
}

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text == NULL ? "" : text;
}

// What runs "sm_86": as PTX any later device, as code later ones of its major;
// "sm_90a": its own alone.
static void cuda_verdict(const json_t *image, char *out, size_t size) {
  const char *architecture = text_of(image, "architecture");
  bool is_ptx = strcmp(text_of(image, "format"), "ptx") == 0;
  const char *reach =
      is_ptx ? " and newer devices" : " and its major's newer ones";
  size_t length = strlen(architecture);
  if (length != 0 && architecture[length - 1] == 'a') reach = " alone";
  (void)snprintf(out, size, "CUDA: %s of %s%s", is_ptx ? "PTX" : "code",
                 architecture, reach);
}

// Why the image is taken or not. |chosen| is what the host took.
static void verdict(const json_t *image, const char *chosen, char *out,
                    size_t size) {
  char missing[64];
  const char *architecture = text_of(image, "architecture");
  const char *variant = text_of(image, "variant");
  if (strcmp(text_of(image, "family"), "cuda") == 0) {
    cuda_verdict(image, out, size);
  } else if (strcmp(architecture, tsr_cpu_architecture()) != 0) {
    (void)snprintf(out, size, "no: this machine is %s", tsr_cpu_architecture());
  } else if (tsr_cpu_find_missing(text_of(image, "required"), missing,
                                  sizeof(missing))) {
    (void)snprintf(out, size, "no: the processor lacks %s", missing);
  } else if (chosen != NULL && strcmp(chosen, variant) == 0) {
    (void)snprintf(out, size, "chosen: the highest rank that fits");
  } else {
    (void)snprintf(out, size, "fits");
  }
}

static tsr_status images(const tsr_cli *cli, const json_t *list,
                         const char *chosen, tsr_error *error) {
  static const char *const headers[] = {"<image", "<architecture", ">rank",
                                        "<verdict", NULL};
  tsr_buffer text = {0};
  tsr_table *table = tsr_table_create(headers);
  for (size_t i = 0; i < json_array_size(list); ++i) {
    const json_t *image = json_array_get(list, i);
    const char *format = text_of(image, "format");
    char why[128];
    verdict(image, chosen, why, sizeof(why));
    tsr_table_cell(table, "%s %s%s%s", text_of(image, "family"),
                   text_of(image, "variant"), format[0] != '\0' ? " " : "",
                   format);
    tsr_table_cell(table, "%s", text_of(image, "architecture"));
    tsr_table_cell(
        table, "%lld",
        (long long)json_integer_value(json_object_get(image, "rank")));
    tsr_table_cell(table, "%s", why);
  }
  tsr_status status =
      tsr_table_render(table, cli->utf8, cli->out_color, &text, error);
  tsr_table_destroy(table);
  return tsr_cli_print(cli, status, &text, error);
}

// What each device would run of a bundle.
typedef struct choices {
  const tessera_bundle *bundle;
  tsr_buffer lines;
  char host[64];  // the host's, or empty
  bool any;
  tessera_error failure;  // the first
} choices;

// Asks the runtime itself, so that the answer is what a run would do.
static tessera_status choose(choices *c, const char *name, bool optional) {
  tessera_device *device = NULL;
  tessera_program *program = NULL;
  tessera_error failure = {0};
  tessera_status status = tessera_device_open(name, NULL, &device, &failure);
  if (status != TESSERA_OK && optional) return status;
  if (status == TESSERA_OK) {
    status = tessera_program_prepare(c->bundle, device, &program, &failure);
  }
  const char *variant = program == NULL ? "" : tessera_program_variant(program);
  if (status == TESSERA_OK) {
    c->any = true;
    if (strcmp(name, "host") == 0) {
      (void)snprintf(c->host, sizeof(c->host), "%s", variant);
    }
    tsr_buffer_printf(&c->lines, "%-7s runs %s\n", name, variant);
  } else {
    tsr_buffer_printf(&c->lines, "%-7s %s\n", name, failure.message);
    if (c->failure.status == TESSERA_OK) c->failure = failure;
  }
  tessera_program_destroy(program);
  tessera_device_close(device);
  return TESSERA_OK;
}

static void choose_all(choices *c, const char *device) {
  if (device != NULL) {
    (void)choose(c, device, false);
    return;
  }
  (void)choose(c, "host", false);
  for (uint32_t i = 0; i < CUDA_DEVICES_MAX; ++i) {
    char name[16];
    (void)snprintf(name, sizeof(name), "cuda:%u", i);
    if (choose(c, name, true) != TESSERA_OK) break;
  }
}

// Fails when no device can run the bundle.
static int show_choice(const tsr_cli *cli, const tessera_bundle *bundle,
                       const char *device) {
  choices c = {.bundle = bundle};
  tsr_error error = {0};
  choose_all(&c, device);
  json_t *manifest = json_loads(tessera_bundle_manifest(bundle), 0, NULL);
  (void)fprintf(cli->out, "\nbundle %s\n", tessera_bundle_name(bundle));
  tsr_status shown = images(cli, json_object_get(manifest, "images"),
                            c.host[0] == '\0' ? NULL : c.host, &error);
  json_decref(manifest);
  shown = tsr_cli_print(cli, shown, &c.lines, &error);
  if (shown != TSR_OK) return tsr_cli_fail(cli, &error);
  return c.any ? TSR_EXIT_OK : tsr_cli_fail_runtime(cli, &c.failure);
}

static int run(tsr_cli *cli) {
  char device[64] = "";
  tsr_error unknown = {0};
  if (tsr_cli_given(cli, "device") &&
      tsr_device_resolve(tsr_cli_string(cli, "device"), device, sizeof(device),
                         &unknown) != TSR_OK) {
    return tsr_cli_fail(cli, &unknown);
  }
  int code = show_machine(cli);
  if (code != TSR_EXIT_OK || cli->positional_count == 0) return code;
  const tessera_bundle_options options = {.size = sizeof(options)};
  tessera_bundle *bundle = NULL;
  tessera_error error = {0};
  if (tessera_bundle_open(cli->positionals[0], &options, &bundle, &error) !=
      TESSERA_OK) {
    return tsr_cli_fail_runtime(cli, &error);
  }
  code = show_choice(cli, bundle, device[0] == '\0' ? NULL : device);
  tessera_bundle_close(bundle);
  return code;
}

static const tsr_option options[] = {
    {.name = "device",
     .letters = "d",
     .type = TSR_OPTION_STRING,
     .value = "DEVICE",
     .help = "judge the images for this device only: host, cuda:N, or "
             "emulated:N, a device of the emulated CUDA driver"},
    {0}};

static const tsr_positional positionals[] = {
    {.name = "BUNDLE",
     .help = "a bundle whose images to judge",
     .type = TSR_OPTION_FILE,
     .maximum = 1},
    {0}};

static const tsr_example examples[] = {
    {"tessera info", "the version and the devices"},
    {"tessera info model.bundle", "also: which image would run here, and why"},
    {0}};

const tsr_command tsr_command_info = {
    .name = "info",
    .summary = "show the version, the devices, and what suits them",
    .description =
        "Shows the version, what this machine can compute with, and for a "
        "bundle which of its images would run here and why, device by device. "
        "It fails when none of them can run the bundle.",
    .options = options,
    .positionals = positionals,
    .examples = examples,
    .run = run,
};

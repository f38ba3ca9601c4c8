// SPDX-License-Identifier: Apache-2.0
// A bundle opened on a device and made ready to run, as verify and bench need
// it, with the runtime's failures in the tools' own words.
#ifndef TOOLS_TESSERA_SESSION_H_
#define TOOLS_TESSERA_SESSION_H_

#include "base/hash.h"
#include "base/status.h"
#include "base/types.h"
#include "common/cli.h"
#include "tessera/tessera.h"

typedef struct tsr_session_options {
  const char *path;
  const char *device;     // "host", "cuda:N", "emulated:N"; NULL: the host
  uint32_t thread_count;  // 0: one per core
  const char *variant;    // NULL: the best that fits
  bool own_memory;        // CUDA: tell where the program's weights are
} tsr_session_options;

typedef struct tsr_session {
  tessera_device *device;    // owned
  tessera_bundle *bundle;    // owned
  tessera_program *program;  // owned
  void *memory;              // owned: the program's, with |own_memory|
  size_t memory_size;
  // "emulated cuda:0 (NVIDIA ...)" where the name alone would claim a GPU.
  char description[224];
  bool is_cuda;   // its memory is not the tool's
  bool emulated;  // so times are those of a model
} tsr_session;

#define TSR_OPTION_DEVICE                                             \
  {                                                                   \
    .name = "device", .letters = "d", .type = TSR_OPTION_STRING,      \
    .value = "DEVICE", .default_text = "host",                        \
    .help =                                                           \
        "where to run: host, cuda:N, or emulated:N, a device of the " \
        "emulated CUDA driver"                                        \
  }

// Three rows for the option table of such a command.
#define TSR_OPTIONS_SESSION(threads_help)                          \
  TSR_OPTION_DEVICE,                                               \
      {.name = "threads",                                          \
       .letters = "t",                                             \
       .type = TSR_OPTION_UINT,                                    \
       .value = "N",                                               \
       .help = threads_help,                                       \
       .maximum = 1024},                                           \
  {                                                                \
    .name = "variant", .type = TSR_OPTION_STRING, .value = "NAME", \
    .help = "run the kernels of this instruction-set variant"      \
  }

// "cuda:N" for "emulated:N", after making the runtime use the emulated driver;
// other names as they are.
TSR_MUST_USE tsr_status tsr_device_resolve(const char *name, char *out,
                                           size_t size, tsr_error *error);

// What the command line asks for: the first positional and those rows. Returns
// TSR_EXIT_OK, or has said what makes no sense.
int tsr_session_read_options(const tsr_cli *cli, tsr_session_options *out);

// The bundle alone; then its device and program. On failure |*session| is
// zeroed.
TSR_MUST_USE tsr_status tsr_session_open_bundle(const char *path,
                                                tsr_session *out_session,
                                                tsr_error *error);
TSR_MUST_USE tsr_status tsr_session_open_device(
    const tsr_session_options *options, tsr_session *session, tsr_error *error);
// Both.
TSR_MUST_USE tsr_status tsr_session_open(const tsr_session_options *options,
                                         tsr_session *out_session,
                                         tsr_error *error);
void tsr_session_close(tsr_session *session);  // a zeroed one is legal

// Records |from| in |error| and returns the status that says the same; TSR_OK
// for TESSERA_OK.
tsr_status tsr_session_status(tessera_status status, const tessera_error *from,
                              tsr_error *error);

TSR_MUST_USE tsr_status tsr_session_query(const tsr_session *session,
                                          uint32_t layer,
                                          tessera_layer_info *out_info,
                                          tsr_error *error);

// What the tools need from the manifest and the API does not tell: of the
// kernels, those of the session's device.
typedef struct tsr_layer_manifest {
  tsr_hash weights;  // key: content of the weights and biases
  tsr_hash mask;     // key: content of the mask
  uint32_t kernel_count;
  struct {
    char strategy[16];
    uint32_t first, last;  // tokens, inclusive
  } kernels[32];
} tsr_layer_manifest;

TSR_MUST_USE tsr_status tsr_session_manifest(const tsr_session *session,
                                             uint32_t layer,
                                             tsr_layer_manifest *out_manifest,
                                             tsr_error *error);

// The strategy of the kernel that takes |tokens| tokens; NULL: there is none.
const char *tsr_layer_manifest_strategy(const tsr_layer_manifest *manifest,
                                        uint64_t tokens);

// splitmix64: a random 64-bit number; |state| is any seed.
static inline uint64_t tsr_random_next(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

// Uniform in [-1, 1).
static inline double tsr_random_signed(uint64_t *state) {
  return (double)(tsr_random_next(state) >> 11) * 0x1p-52 - 1.0;
}

#endif  // TOOLS_TESSERA_SESSION_H_

// SPDX-License-Identifier: Apache-2.0
// libtessera: runs bundles made by tesserac.
//
// Shapes: W is [M, K] = [out_features, in_features]; X is [N, K], N = tokens;
// Y is [N, output_columns] (M, or M / 2 for gated activations), all row-major,
// with a stride in elements from one token to the next.
//
// Ownership: what a *_open or *_create returns through its out parameter is
// the caller's, to be released with the matching *_close or *_destroy; these
// accept NULL. On failure the out parameter is set to NULL. Strings returned
// are borrowed from the object they were asked of.
//
// Threads: a bundle, its layers and a program are immutable and may be used
// from any number of threads. A device may be used from several threads; runs
// on it are independent as long as their workspaces and outputs are distinct.
// On the host, runs of several callers on one device follow one another, each
// with the whole pool; a device of one thread has no pool, and its runs go on
// side by side, each in its caller's thread.
//
// Errors: every function that can fail returns a tessera_status and fills the
// caller's tessera_error if one is given (clearing what an earlier call left).
// The library never prints, never exits, and treats a bundle as untrusted
// input.
#ifndef TESSERA_TESSERA_H_
#define TESSERA_TESSERA_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(TESSERA_STATIC)
#define TESSERA_API
#else
#define TESSERA_API __attribute__((visibility("default")))
#endif
#define TESSERA_MUST_USE __attribute__((warn_unused_result))

typedef enum tessera_status {
  TESSERA_OK = 0,
  TESSERA_INVALID_ARGUMENT = 1,  // the call makes no sense as made
  TESSERA_OUT_OF_MEMORY = 2,
  TESSERA_IO = 3,           // the system refused; native holds errno
  TESSERA_NOT_FOUND = 4,    // no such bundle, layer or device
  TESSERA_CORRUPT = 5,      // the bundle contradicts itself or its checksums
  TESSERA_UNSUPPORTED = 6,  // valid, but not on this machine or in this build
  TESSERA_UNAVAILABLE = 7,  // no driver, no device
  TESSERA_DEVICE = 8,    // the device reported a failure; native has its code
  TESSERA_INTERNAL = 9,  // a defect of the library that was caught
} tessera_status;

// Caller-owned, no allocation.
typedef struct tessera_error {
  tessera_status status;
  int32_t native;     // errno or the driver's code, or 0
  char message[480];  // one line, always terminated
} tessera_error;

typedef enum tessera_dtype {
  TESSERA_F32 = 0,
  TESSERA_F16 = 1,
  TESSERA_BF16 = 2,
} tessera_dtype;

typedef struct tessera_device tessera_device;
typedef struct tessera_bundle tessera_bundle;
typedef struct tessera_layer tessera_layer;

// "0.1.0".
TESSERA_API const char *tessera_version(void);
TESSERA_API const char *tessera_status_name(tessera_status status);

// ---- Devices ---------------------------------------------------------------

typedef enum tessera_weights {
  // Read them in the bundle's file, where it is mapped: nothing to copy, one
  // copy for all processes, and the system may drop what is not in use.
  TESSERA_WEIGHTS_MAPPED = 0,
  // Copy them at prepare into memory of large pages. Faster where the file
  // system caches files in small pages.
  TESSERA_WEIGHTS_COPIED = 1,
} tessera_weights;

typedef struct tessera_device_options {
  size_t size;  // sizeof(tessera_device_options), for later growth
  // Host: threads of the internal pool, the caller's included; 0: one per
  // available core (the process's affinity mask is respected).
  uint32_t thread_count;
  // Host: an instruction-set variant to use instead of the best one that fits
  // ("x86-64-v2", ...), or NULL. One that this machine lacks is refused.
  const char *variant;
  tessera_weights weights;  // host: where prepared programs keep them
  // CUDA: the CUcontext to work in, which the caller keeps alive; NULL: the
  // device's primary context, retained while the device is open.
  void *context;
} tessera_device_options;

// |name| is "host" or "cuda:N", N as the driver counts ("cuda" is "cuda:0").
// The CUDA driver is libcuda.so.1, or the library that the environment variable
// TESSERA_CUDA_DRIVER names (the emulated driver); it is opened by the first
// CUDA device and stays. Without one: TESSERA_UNAVAILABLE. |options| may be
// NULL.
TESSERA_API TESSERA_MUST_USE tessera_status
tessera_device_open(const char *name, const tessera_device_options *options,
                    tessera_device **out_device, tessera_error *error);
// Joins the pool. No run may be under way.
TESSERA_API void tessera_device_close(tessera_device *device);
// "host (AMD EPYC ..., 2 threads, x86-64-v4-bf16)".
TESSERA_API const char *tessera_device_description(
    const tessera_device *device);
TESSERA_API uint32_t tessera_device_thread_count(const tessera_device *device);

// Memory of the device, for callers without a CUDA code of their own: for
// inputs, outputs and workspaces. On the host it is ordinary memory. Aligned to
// 256 bytes; a size of 0 gives NULL.
TESSERA_API TESSERA_MUST_USE tessera_status
tessera_device_allocate(tessera_device *device, size_t size, void **out_memory,
                        tessera_error *error);
// NULL is ignored. What was enqueued on it must be done.
TESSERA_API void tessera_device_free(tessera_device *device, void *memory);
// Copies |size| bytes from the caller's memory to the device's, or back, in
// order with what was enqueued on |stream|; returns when it is done.
TESSERA_API TESSERA_MUST_USE tessera_status tessera_device_write(
    tessera_device *device, void *destination, const void *source, size_t size,
    void *stream, tessera_error *error);
TESSERA_API TESSERA_MUST_USE tessera_status tessera_device_read(
    tessera_device *device, void *destination, const void *source, size_t size,
    void *stream, tessera_error *error);
// Copies |size| bytes within the device's memory; enqueued in |stream|, as a
// run is. The ranges must not overlap.
TESSERA_API TESSERA_MUST_USE tessera_status tessera_device_copy(
    tessera_device *device, void *destination, const void *source, size_t size,
    void *stream, tessera_error *error);
// Waits for all work of |stream|, and tells how it went.
TESSERA_API TESSERA_MUST_USE tessera_status tessera_device_synchronize(
    tessera_device *device, void *stream, tessera_error *error);

// Time on the device's own clock: a CUDA event pair; on the host, the clock.
typedef struct tessera_timer tessera_timer;
TESSERA_API TESSERA_MUST_USE tessera_status tessera_timer_create(
    tessera_device *device, tessera_timer **out_timer, tessera_error *error);
TESSERA_API void tessera_timer_destroy(tessera_timer *timer);  // NULL is legal
TESSERA_API TESSERA_MUST_USE tessera_status
tessera_timer_start(tessera_timer *timer, void *stream, tessera_error *error);
TESSERA_API TESSERA_MUST_USE tessera_status
tessera_timer_stop(tessera_timer *timer, void *stream, tessera_error *error);
// Seconds from start to stop; waits for the latter.
TESSERA_API TESSERA_MUST_USE tessera_status tessera_timer_read(
    tessera_timer *timer, double *out_seconds, tessera_error *error);

// ---- Bundles ---------------------------------------------------------------

typedef struct tessera_bundle_options {
  size_t size;           // sizeof(tessera_bundle_options)
  int verify_checksums;  // 1 (the default): read and check every byte once
} tessera_bundle_options;

// Opens the bundle (a folder or a single file) at |path| and checks all of it
// before returning. |options| may be NULL.
TESSERA_API TESSERA_MUST_USE tessera_status
tessera_bundle_open(const char *path, const tessera_bundle_options *options,
                    tessera_bundle **out_bundle, tessera_error *error);
// No layer of it may be running.
TESSERA_API void tessera_bundle_close(tessera_bundle *bundle);
TESSERA_API const char *tessera_bundle_name(const tessera_bundle *bundle);
// The manifest's text (JSON, NUL-terminated).
TESSERA_API const char *tessera_bundle_manifest(const tessera_bundle *bundle);
// The plan the bundle was made from, in canonical form.
TESSERA_API const char *tessera_bundle_plan(const tessera_bundle *bundle);

TESSERA_API uint32_t tessera_bundle_layer_count(const tessera_bundle *bundle);
// Index < count; NULL otherwise. Layers are in the order of the plan.
TESSERA_API const tessera_layer *tessera_bundle_layer(
    const tessera_bundle *bundle, uint32_t index);
// NULL when there is no such layer.
TESSERA_API const tessera_layer *tessera_bundle_find_layer(
    const tessera_bundle *bundle, const char *name);

// ---- Layers ----------------------------------------------------------------

typedef struct tessera_layer_info {
  size_t size;  // in: sizeof(tessera_layer_info)
  const char *name;
  const char *symbol;
  uint32_t rows;            // M
  uint32_t columns;         // K
  uint32_t output_columns;  // M, or M / 2 for gated activations
  uint32_t tile_rows;
  uint32_t tile_columns;
  tessera_dtype weight_type;
  tessera_dtype input_type;
  tessera_dtype output_type;
  const char *activation;  // "none", "relu", "gelu_erf", ...
  int has_bias;
  int has_residual;
  uint64_t dense_tiles;
  uint64_t sparse24_tiles;
  uint64_t zero_tiles;
  uint64_t kept_weights;
  uint64_t dense_bytes;   // 2 * M * K
  uint64_t packed_bytes;  // of the stream, as stored
  uint32_t worker_count;  // of the host's schedule; without one the thread
                          // blocks of CUDA's for the first class of devices
  uint32_t token_first;   // the smallest and largest N that the layer's
  uint32_t token_last;    // kernels accept; UINT32_MAX: no upper end
} tessera_layer_info;

TESSERA_API TESSERA_MUST_USE tessera_status
tessera_layer_query(const tessera_layer *layer, tessera_layer_info *out_info,
                    tessera_error *error);
// Kind of each tile (0 zero, 1 sparse24, 2 dense), row-major [panels, columns
// of tiles]; both counts are written. Borrowed from the bundle.
TESSERA_API const uint8_t *tessera_layer_tiles(const tessera_layer *layer,
                                               uint32_t *out_panels,
                                               uint32_t *out_tile_columns);

// ---- Running ---------------------------------------------------------------

// A bundle made ready for one device: kernels loaded, weights where the device
// wants them. Everything that can be slow or fail for want of resources happens
// in prepare; run only launches.
typedef struct tessera_program tessera_program;

TESSERA_API TESSERA_MUST_USE tessera_status
tessera_program_prepare(const tessera_bundle *bundle, tessera_device *device,
                        tessera_program **out_program, tessera_error *error);

typedef struct tessera_prepare_options {
  size_t size;  // sizeof(tessera_prepare_options)
  // CUDA: device memory for the weights and tables, of at least
  // tessera_program_memory bytes, aligned to 256; it must outlive the program.
  // NULL: the library allocates it.
  void *device_memory;
  size_t device_memory_size;
  // CUDA: the CUstream to upload in. Prepare returns when all is uploaded.
  void *stream;
} tessera_prepare_options;

// As tessera_program_prepare. |options| may be NULL.
TESSERA_API TESSERA_MUST_USE tessera_status tessera_program_prepare_with(
    const tessera_bundle *bundle, tessera_device *device,
    const tessera_prepare_options *options, tessera_program **out_program,
    tessera_error *error);
// Bytes of device memory that a program of |bundle| needs on |device|; 0 on the
// host.
TESSERA_API TESSERA_MUST_USE tessera_status
tessera_program_memory(const tessera_bundle *bundle, tessera_device *device,
                       size_t *out_size, tessera_error *error);
// A second program that runs |layer| from a private copy of its weights, and
// every other layer as |program| does. For measurements: copies that take turns
// make each run read its weights from memory. Destroy it before |program|.
TESSERA_API TESSERA_MUST_USE tessera_status
tessera_program_copy(const tessera_program *program, const tessera_layer *layer,
                     tessera_program **out_program, tessera_error *error);
// Before its bundle and its device.
TESSERA_API void tessera_program_destroy(tessera_program *program);
// The kernel image in use, "x86-64-v3", "sm_90 cubin".
TESSERA_API const char *tessera_program_variant(const tessera_program *program);

typedef struct tessera_run_args {
  size_t size;              // sizeof(tessera_run_args)
  uint32_t token_count;     // N
  const void *input;        // X [N, K] of input_type
  int64_t input_stride;     // elements; 0 means K
  const void *residual;     // [N, output_columns] of output_type, if the layer
  int64_t residual_stride;  // has one; 0 means output_columns
  void *output;             // Y [N, output_columns] of output_type; must not
  int64_t output_stride;    // overlap the inputs, except residual == output
                            // with equal strides
  void *workspace;          // tessera_layer_workspace bytes, aligned to 64,
                            // on CUDA devices to 128; NULL with 0 if that is
  size_t workspace_size;    // 0. CUDA: see tessera_workspace_init
  void *stream;             // CUDA: a CUstream; host: must be NULL
} tessera_run_args;

// Bytes of workspace that a run of |layer| with up to |token_count| tokens
// needs on the program's device.
TESSERA_API TESSERA_MUST_USE tessera_status tessera_layer_workspace(
    const tessera_program *program, const tessera_layer *layer,
    uint32_t token_count, size_t *out_size, tessera_error *error);

// Makes |workspace| fit for runs, once before its first use (and again when
// something else has written to it): CUDA kernels keep counters at its start,
// which each run leaves as it found them. Enqueued in |stream|. One workspace
// serves any layers of any programs, as long as their runs follow one another.
// On the host nothing happens.
TESSERA_API TESSERA_MUST_USE tessera_status tessera_workspace_init(
    const tessera_program *program, void *workspace, size_t workspace_size,
    void *stream, tessera_error *error);

// Y = activation(X W^T + bias) + residual. Returns when the work is done (host)
// or enqueued (CUDA). Never allocates.
TESSERA_API TESSERA_MUST_USE tessera_status
tessera_linear_run(const tessera_program *program, const tessera_layer *layer,
                   const tessera_run_args *args, tessera_error *error);

// Host, with the caller's own threads: every one of |thread_count| threads
// calls this with the same |args| and |sync| and its own |thread_index|; the
// call returns in each when the layer is done. Results equal those of
// tessera_linear_run, bit for bit. |sync| is zeroed once before the first use
// and serves one team at a time.
typedef struct tessera_team {
  uint32_t opaque[16];
} tessera_team;
// As tessera_layer_workspace, for a team of |thread_count| threads: the
// workspace holds some memory for each of them.
TESSERA_API TESSERA_MUST_USE tessera_status tessera_layer_team_workspace(
    const tessera_program *program, const tessera_layer *layer,
    uint32_t token_count, uint32_t thread_count, size_t *out_size,
    tessera_error *error);
TESSERA_API TESSERA_MUST_USE tessera_status tessera_linear_run_thread(
    const tessera_program *program, const tessera_layer *layer,
    const tessera_run_args *args, tessera_team *sync, uint32_t thread_index,
    uint32_t thread_count, tessera_error *error);

#ifdef __cplusplus
}
#endif

#endif  // TESSERA_TESSERA_H_

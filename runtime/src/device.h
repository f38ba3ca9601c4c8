// SPDX-License-Identifier: Apache-2.0
// What a kind of device must be able to do. Above this line nothing knows the
// host from a GPU: names, options and run arguments arrive here checked.
#ifndef RUNTIME_DEVICE_H_
#define RUNTIME_DEVICE_H_

#include "bundle.h"

// The arguments of a run, checked, strides filled in.
typedef struct tsr_run {
  const tessera_layer *layer;
  uint32_t token_count;
  const void *input;
  int64_t input_stride;
  const void *residual;
  int64_t residual_stride;
  void *output;
  int64_t output_stride;
  uint8_t *workspace;
  size_t workspace_size;
  void *stream;
} tsr_run;

typedef enum tsr_direction {
  TSR_TO_DEVICE,
  TSR_FROM_DEVICE,
  TSR_WITHIN_DEVICE,
} tsr_direction;

// The first member of each kind's own structure.
struct tessera_timer {
  tessera_device *device;
};

// Memory and time of a device that has its own.
typedef struct tsr_device_memory_ops {
  // |size| is not 0.
  tessera_status (*allocate)(tessera_device *device, size_t size,
                             void **out_memory, tessera_error *error);
  void (*release)(tessera_device *device, void *memory);
  // Within the device: enqueued. Else done when it returns.
  tessera_status (*transfer)(tessera_device *device, tsr_direction direction,
                             void *destination, const void *source, size_t size,
                             void *stream, tessera_error *error);
  tessera_status (*synchronize)(tessera_device *device, void *stream,
                                tessera_error *error);
  tessera_status (*timer_create)(tessera_device *device,
                                 tessera_timer **out_timer,
                                 tessera_error *error);
  void (*timer_destroy)(tessera_timer *timer);
  tessera_status (*timer_mark)(tessera_timer *timer, bool is_stop, void *stream,
                               tessera_error *error);
  tessera_status (*timer_read)(tessera_timer *timer, double *out_seconds,
                               tessera_error *error);
  tessera_status (*program_size)(const tessera_bundle *bundle,
                                 tessera_device *device, size_t *out_size,
                                 tessera_error *error);
  // |options| has every field.
  tessera_status (*prepare)(const tessera_bundle *bundle,
                            tessera_device *device,
                            const tessera_prepare_options *options,
                            tessera_program **out_program,
                            tessera_error *error);
  tessera_status (*workspace_init)(const tessera_program *program,
                                   void *workspace, size_t size, void *stream,
                                   tessera_error *error);
} tsr_device_memory_ops;

typedef struct tsr_device_ops {
  // Device names are "|kind|" or "|kind|:N".
  const char *kind;
  // |options| has every field. |index| is N, 0 without one.
  tessera_status (*open)(uint32_t index, const tessera_device_options *options,
                         tessera_device **out_device, tessera_error *error);
  void (*close)(tessera_device *device);
  tessera_status (*prepare)(const tessera_bundle *bundle,
                            tessera_device *device,
                            tessera_program **out_program,
                            tessera_error *error);
  tessera_status (*copy)(const tessera_program *program,
                         const tessera_layer *layer,
                         tessera_program **out_program, tessera_error *error);
  void (*destroy)(tessera_program *program);
  // For exactly |token_count| tokens, or for any number up to it. A count that
  // no kernel takes is refused.
  tessera_status (*workspace)(const tessera_program *program,
                              const tessera_layer *layer, uint32_t token_count,
                              bool or_fewer, uint32_t thread_count,
                              size_t *out_size, tessera_error *error);
  tessera_status (*run)(const tessera_program *program, const tsr_run *run,
                        tessera_error *error);
  // NULL where the caller's threads cannot help.
  tessera_status (*run_thread)(const tessera_program *program,
                               const tsr_run *run, tessera_team *team,
                               uint32_t thread_index, uint32_t thread_count,
                               tessera_error *error);
  // NULL: the caller's memory and clock are the device's (the host).
  const tsr_device_memory_ops *memory;
} tsr_device_ops;

// The first member of each kind's own structure.
struct tessera_device {
  const tsr_device_ops *ops;
  uint32_t thread_count;
  char description[192];
};

struct tessera_program {
  const tessera_bundle *bundle;
  tessera_device *device;
  const char *variant;
};

extern const tsr_device_ops tsr_host_device_ops;
extern const tsr_device_ops tsr_cuda_device_ops;

// run_args.c: checks what a caller gave.
TESSERA_MUST_USE tessera_status tsr_run_check(const tessera_program *program,
                                              const tessera_layer *layer,
                                              const tessera_run_args *args,
                                              uint32_t thread_count,
                                              tsr_run *out_run,
                                              tessera_error *error);

typedef struct tsr_token_range {
  uint32_t first;
  uint32_t last;  // UINT32_MAX: no upper end
} tsr_token_range;

// "no kernel for 5 tokens; it takes 1..4, 16..": |ranges| ascend.
tessera_status tsr_fail_tokens(uint32_t token_count,
                               const tsr_token_range *ranges, uint32_t count,
                               tessera_error *error);

#endif  // RUNTIME_DEVICE_H_

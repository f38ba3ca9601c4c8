// SPDX-License-Identifier: Apache-2.0
// Runs a launch. Blocks run side by side on threads of their own (each to its
// end), unless the kernel's blocks communicate through global memory: then as
// many blocks as would be resident on the device are interleaved in one thread,
// so that the outcome depends on the seed alone.
#ifndef EXEC_ENGINE_H_
#define EXEC_ENGINE_H_

#include "decode/program.h"
#include "exec/machine.h"

// |launch| is filled but for profile, failed and fault. TSR_OK also when the
// kernel faulted: launch->fault says so.
TSR_MUST_USE tsr_status tsr_engine_run(tsr_launch *launch, tsr_error *error);

// Programmatic dependent launch: runs |second| up to its griddepcontrol.wait
// before |first| and the rest after it (both filled as above; the adversary's
// choice of overlap).
TSR_MUST_USE tsr_status tsr_engine_run_dependent(tsr_launch *first,
                                                 tsr_launch *second,
                                                 tsr_error *error);

// Blocks of |threads| threads and |shared| bytes (static and dynamic) that fit
// a multiprocessor at once. Registers are not known (there is no ptxas): they
// count as |registers| per thread, 0 for "not limiting".
uint32_t tsr_engine_residency(const tsr_device_model *device, uint32_t threads,
                              uint32_t shared, uint32_t registers);

// For handlers. Splits the running split: the lanes of |lanes| go to |target|,
// the others stay at the next operation. Returns the handler's TSR_FLOW_JUMP.
tsr_flow tsr_engine_branch(tsr_warp *warp, uint32_t lanes, uint32_t target);
// Calls |function| with the lanes of |lanes| (registers and local frame pushed)
// and returns from it. Arguments lie in the callee's local frame: decode/ lays
// out the caller's outgoing area where the callee's incoming one begins.
tsr_flow tsr_engine_call(tsr_warp *warp, const tsr_op *op, uint32_t lanes,
                         const tsr_function *function);
tsr_flow tsr_engine_return(tsr_warp *warp, uint32_t lanes);
// Whether the launch that this one depends on has ended (or there is none).
bool tsr_engine_grid_open(const tsr_warp *warp);
// Virtual time: nanoseconds since the launch began, from instructions executed.
uint64_t tsr_engine_clock(const tsr_warp *warp);        // %clock64
uint64_t tsr_engine_nanoseconds(const tsr_warp *warp);  // %globaltimer

#endif  // EXEC_ENGINE_H_

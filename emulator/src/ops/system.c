// SPDX-License-Identifier: Apache-2.0
// A failed assert() of CUDA C ends the launch with its text; what device-side
// printf prints is kept until the launch ends. malloc and free are known by
// name, so that modules that merely contain them load; executing one is a
// finding.
#include "ops/system.h"

#include <stdio.h>

#include "check/report.h"
#include "ops/print.h"

// Where result or argument |index| of the call lies for |lane|; NULL when there
// is none.
static unsigned char *place(const tsr_warp *warp, const tsr_op *op,
                            uint32_t lane, uint32_t index) {
  const tsr_system_call *call = op->data;
  const tsr_signature *signature = call->signature;
  const tsr_block *block = warp->block;
  uint32_t size = signature->sizes[index];
  uint64_t offset =
      warp->local + call->caller->local_bytes + signature->offsets[index];
  if (size > 8 || offset + size > block->local_stride) return NULL;
  size_t thread = (size_t)warp->index * TSR_LANES + lane;
  return block->local + thread * block->local_stride + offset;
}

// Argument |index| of |lane|, zero-extended; 0 when there is none.
static uint64_t argument(const tsr_warp *warp, const tsr_op *op, uint32_t lane,
                         uint32_t index) {
  const tsr_signature *signature =
      ((const tsr_system_call *)op->data)->signature;
  if (index >= signature->param_count) return 0;
  index += signature->result_count;
  uint64_t value = 0;
  const unsigned char *at = place(warp, op, lane, index);
  if (at != NULL) memcpy(&value, at, signature->sizes[index]);
  return value;
}

// The string at |address| of global memory, cut to |size|.
static void copy_string(tsr_warp *warp, uint64_t address, char *out,
                        uint64_t size) {
  tsr_allocation allocation;
  uint64_t length = 0;
  if (tsr_heap_find(warp->block->launch->heap, address, &allocation)) {
    uint64_t room = allocation.address + allocation.size - address;
    const char *text = (const char *)(uintptr_t)address;
    while (length < room && length + 1 < size && text[length] != '\0') {
      out[length] =
          text[length] >= ' ' && text[length] <= '~' ? text[length] : '?';
      ++length;
    }
  }
  out[length] = '\0';
}

// __assertfail(message, file, line, function, bytes of a character).
static tsr_flow run_assert(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  uint32_t lane = (uint32_t)__builtin_ctz(mask);
  char message[160], file[100];
  copy_string(warp, argument(warp, op, lane, 0), message, sizeof(message));
  copy_string(warp, argument(warp, op, lane, 1), file, sizeof(file));
  tsr_find(warp, op, lane, TESSERA_EMU_TRAP, true, TSR_NO_ADDRESS,
           "assertion failed: %s at %s:%u", message, file,
           (uint32_t)argument(warp, op, lane, 2));
  return TSR_FLOW_FAULT;
}

// vprintf(format, buffer of the arguments). Lanes print one after another.
static tsr_flow run_print(tsr_warp *warp, const tsr_op *op, uint32_t mask) {
  const tsr_system_call *call = op->data;
  tsr_buffer text;
  tsr_buffer_init(&text);
  bool fine = true;
  for (; fine && mask != 0; mask &= mask - 1) {
    uint32_t lane = (uint32_t)__builtin_ctz(mask);
    int32_t result = 0;
    fine = tsr_print(warp, op, lane, argument(warp, op, lane, 0),
                     argument(warp, op, lane, 1), &text, &result);
    unsigned char *at = call->signature->result_count == 1 &&
                                call->signature->sizes[0] == sizeof(result)
                            ? place(warp, op, lane, 0)
                            : NULL;
    if (at != NULL) memcpy(at, &result, sizeof(result));
  }
  tsr_report_print(warp->block, tsr_buffer_text(&text), text.size);
  tsr_buffer_fini(&text);
  return fine ? TSR_FLOW_NEXT : TSR_FLOW_FAULT;
}

static tsr_flow run_unsupported(tsr_warp *warp, const tsr_op *op,
                                uint32_t mask) {
  const tsr_system_call *call = op->data;
  tsr_find(warp, op, (uint32_t)__builtin_ctz(mask), TESSERA_EMU_ILLEGAL, true,
           TSR_NO_ADDRESS, "the system function '%s' is not supported",
           call->name);
  return TSR_FLOW_FAULT;
}

tsr_handler tsr_system_handler(tsr_ptx_str name) {
  static const char *const known[] = {"malloc", "free", NULL};
  if (tsr_ptx_str_equal(name, "__assertfail")) return run_assert;
  if (tsr_ptx_str_equal(name, "vprintf")) return run_print;
  for (int i = 0; known[i] != NULL; ++i) {
    if (tsr_ptx_str_equal(name, known[i])) return run_unsupported;
  }
  return NULL;
}

// SPDX-License-Identifier: Apache-2.0
// Runs PTX on the emulator without the driver on top: one device, its memory,
// the text, a launch. Failures of the harness itself end the test with a
// message; what kernels do wrong is the test's to look at.
#ifndef TESTS_EMULATOR_HARNESS_H_
#define TESTS_EMULATOR_HARNESS_H_

#include "check/report.h"
#include "exec/engine.h"
#include "support/random.h"
#include "test.h"

typedef struct emu {
  tessera_emu_config config;  // change it before emu_launch
  const tsr_device_model *device;
  tsr_heap *heap;
  tsr_report *report;
  tsr_program *program;  // NULL until loaded
  tsr_ptx_log log;
  uint64_t launches;
  tsr_launch launch;  // the last one: profile, fault
} emu;

// |device|: "h100", ...; every check on, exact accumulation, seed 0.
void emu_init(emu *e, const char *device);
void emu_fini(emu *e);
// Replaces the program. False with e->log filled when the text is refused.
bool emu_load(emu *e, const char *text);

typedef enum emu_verdict {
  EMU_ACCEPTED,
  EMU_REFUSED,            // at the instruction's line
  EMU_REFUSED_ELSEWHERE,  // at another one: e->log
} emu_verdict;
// What is said of |instruction| alone in a kernel that has the parameter p and
// |declarations| (registers, shared memory).
emu_verdict emu_try(emu *e, const char *version, const char *target,
                    const char *declarations, const char *instruction);
// emu_try, and |instruction| has to be refused, at its line.
static inline void emu_check_refused(emu *e, const char *version,
                                     const char *target,
                                     const char *declarations,
                                     const char *instruction) {
  emu_verdict verdict = emu_try(e, version, target, declarations, instruction);
  CHECK(verdict != EMU_ACCEPTED);
  CHECK(verdict == EMU_REFUSED);
  if (verdict == EMU_REFUSED) return;
  fprintf(
      stderr, "%s: %s\n", instruction,
      verdict == EMU_ACCEPTED ? "accepted" : tsr_buffer_text(&e->log.errors));
}
// Whether |instruction| alone in a kernel is refused, at its line; registers
// are %p<2>, %h<4>, %r<8>, %rd<4>, the target sm_90a. Says when it is accepted.
bool emu_refuses(emu *e, const char *instruction);
// As emu_load, and the test ends with the log when it is refused.
void emu_must_load(emu *e, const char *text);
// Device memory with the bytes of |data| (NULL: never written).
uint64_t emu_upload(emu *e, const void *data, uint64_t size);
void emu_download(emu *e, void *data, uint64_t address, uint64_t size);

typedef struct emu_dims {
  uint32_t grid[3], block[3], shared;  // 0 counts as 1
} emu_dims;
// Launches with |count| 8-byte parameters (put at the offsets that the kernel
// declares, cut to their sizes). True when there was no fault and no finding.
bool emu_launch(emu *e, const char *kernel, emu_dims dims, const uint64_t *args,
                uint32_t count);
// The last launch's findings as text, for messages; static storage.
const char *emu_findings(emu *e);
bool emu_found(emu *e, tessera_emu_finding_kind kind);

// One warp executes |body| (PTX; may declare registers, |headers| goes in front
// of the entry) with inputs in registers and writes outputs back. Types name
// the registers: 'r' .b32, 'd' .b64, 'h' .b16, 'p' .pred (0 or 1). Input k is
// %i<k>, output k %o<k>: emu_lanes(e, "add.s32 %o0, %i0, %i1;", "rr", in, "r",
// out) with in[k][lane], out[k][lane] (zero-extended). .version 8.7, target of
// the device (with its 'a' variant where it has one). True as emu_launch.
bool emu_lanes(emu *e, const char *headers, const char *body,
               const char *input_types, const uint64_t (*in)[32],
               const char *output_types, uint64_t (*out)[32]);

#endif  // TESTS_EMULATOR_HARNESS_H_

// SPDX-License-Identifier: Apache-2.0
// Findings: made while kernels run, read through cuda_emu.h, written to a file
// on request (TESSERA_EMU_LOG). Thread-safe.
#ifndef CHECK_REPORT_H_
#define CHECK_REPORT_H_

#include "exec/machine.h"

// Nobody has to ask for it: -1.
#define TSR_NO_LANE 0xffffffffu
#define TSR_NO_ADDRESS UINT64_MAX

TSR_MUST_USE tsr_status tsr_report_create(tsr_report **out_report,
                                          tsr_error *error);
void tsr_report_destroy(tsr_report *report);
void tsr_report_clear(tsr_report *report);
// Where every finding is written, a line each: a file (appended), "-" for the
// standard error, NULL for nowhere.
void tsr_report_set_log(tsr_report *report, const char *path);

// Records a finding of |warp| (NULL: of the launch) at |op| (may be NULL). The
// message becomes "KERNEL: line L: WHAT (block (x,y,z), thread (x,y,z), address
// 0x...)". |fatal|: what hardware would stop at; sets the launch's fault. Else
// the launch goes on, and fails at its end if the configuration says so.
void tsr_find(tsr_warp *warp, const tsr_op *op, uint32_t lane,
              tessera_emu_finding_kind kind, bool fatal, uint64_t address,
              const char *format, ...) TSR_PRINTF(7, 8);
// Counts a finding if one of its kind and line is kept already that this one
// would not replace: then nobody needs to put its message together.
bool tsr_find_again(const tsr_warp *warp, const tsr_op *op,
                    tessera_emu_finding_kind kind);
// tsr_find without a warp (deadlocks, leaks at the end of a block).
void tsr_find_block(tsr_block *block, uint32_t line,
                    tessera_emu_finding_kind kind, bool fatal,
                    const char *format, ...) TSR_PRINTF(5, 6);

// Where printf of kernels goes: appended to |path| ("-": the standard output)
// when their launch has ended; NULL: nowhere.
void tsr_report_set_output(tsr_report *report, const char *path);
// |block| prints.
void tsr_report_print(const tsr_block *block, const char *text, size_t size);
// |launch| has ended: its findings are logged, less those that would not have
// been made had the blocks run one after another.
void tsr_report_settle(const tsr_launch *launch);

size_t tsr_report_count(tsr_report *report);
bool tsr_report_get(tsr_report *report, size_t index,
                    tessera_emu_finding *out_finding);
// Findings of launch |number|.
size_t tsr_report_count_launch(tsr_report *report, uint64_t number);

// "unknown", "out of bounds", ... ; static.
const char *tsr_finding_name(tessera_emu_finding_kind kind);

// --- Configuration (config.c)
// ---------------------------------------------------

void tsr_config_defaults(tessera_emu_config *out_config);
// Applies the environment; what it does not understand is described in |error|
// and gives TSR_INVALID_ARGUMENT, with the rest applied.
tsr_status tsr_config_from_environment(tessera_emu_config *config,
                                       tsr_error *error);
// Checks the values; TSR_INVALID_ARGUMENT names the field.
tsr_status tsr_config_check(const tessera_emu_config *config, tsr_error *error);

#endif  // CHECK_REPORT_H_

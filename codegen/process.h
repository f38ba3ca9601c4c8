// SPDX-License-Identifier: Apache-2.0
// Programs that finish what we emit (linker, ptxas): run without a shell, with
// their files in a private folder that is removed on every way out. Any number
// may run side by side; all are known, so that an interrupted command ends them
// and leaves neither a program nor a file (tsr_codegen_stop, codegen.h).
#ifndef CODEGEN_PROCESS_H_
#define CODEGEN_PROCESS_H_

#include <stddef.h>

#include "base/status.h"

// Stays where it is from create to remove.
typedef struct cg_folder {
  char path[160];  // "" when there is none
  struct cg_folder *next;
} cg_folder;

// |purpose| is a word of the folder's name. TSR_CANCELLED after
// tsr_codegen_stop.
TSR_MUST_USE tsr_status cg_folder_create(cg_folder *folder, const char *purpose,
                                         tsr_error *error);
// With all it holds.
void cg_folder_remove(cg_folder *folder);

// A new file.
TSR_MUST_USE tsr_status cg_file_create(const char *path, const void *data,
                                       size_t size, tsr_error *error);

// Runs arguments[0], looked up in PATH, and waits; what it says goes to |log|,
// and it has nothing to read. In a process group of its own: an interrupt from
// the terminal reaches us alone, and we end it with whatever it has started.
// 0 and how it ended, as waitpid gives it, or the errno that stopped us;
// ECANCELED: tsr_codegen_stop did.
int cg_process_run(char *const *arguments, const char *log, int *out_result);

#endif  // CODEGEN_PROCESS_H_

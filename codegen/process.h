// SPDX-License-Identifier: Apache-2.0
// Programs that finish what we emit (linker, ptxas): run without a shell, with
// their files in a private folder that is removed on every way out.
#ifndef CODEGEN_PROCESS_H_
#define CODEGEN_PROCESS_H_

#include <stddef.h>

#include "base/status.h"

typedef struct cg_folder {
  char path[160];  // "" when there is none
} cg_folder;

// |purpose| is a word of the folder's name.
TSR_MUST_USE tsr_status cg_folder_create(cg_folder *folder, const char *purpose,
                                         tsr_error *error);
// With all it holds.
void cg_folder_remove(cg_folder *folder);

// A new file.
TSR_MUST_USE tsr_status cg_file_create(const char *path, const void *data,
                                       size_t size, tsr_error *error);

// Runs arguments[0], looked up in PATH, and waits; what it says goes to |log|.
// 0 and how it ended, as waitpid gives it, or the errno that stopped us.
int cg_process_run(char *const *arguments, const char *log, int *out_result);

#endif  // CODEGEN_PROCESS_H_

// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "codegen/codegen.h"
#include "common/interrupt.h"
#include "tesserac/commands.h"

// LLVM would abort with a stack trace and leave temporary files behind.
static void on_llvm_fatal(const char *reason) {
  tsr_codegen_stop(true);
  tsr_file_remove_temporaries();
  (void)fprintf(stderr,
                "tesserac: LLVM gave up: %s\n"
                "This is a defect of tesserac; please report it with the "
                "plan.\n",
                reason);
  _Exit(3);
}

int main(int argc, char **argv) {
  tsr_codegen_on_fatal(on_llvm_fatal);
  tsr_interrupt_on(tsr_codegen_stop);
  return tsr_cli_main(&tsr_tool_tesserac, argc, argv);
}

// SPDX-License-Identifier: Apache-2.0
// The front end's door: text -> AST -> checked plan.
#ifndef FRONTEND_FRONTEND_H_
#define FRONTEND_FRONTEND_H_

#include "frontend/diag.h"
#include "frontend/plan.h"

// One compilation: owns the arena, the sources, the diagnostics, the AST and
// the plan. Thread-compatible (reports are thread-safe).
typedef struct tsr_compilation tsr_compilation;

typedef struct tsr_ast tsr_ast;

// NULL when out of memory.
tsr_compilation *tsr_compilation_create(void);
void tsr_compilation_destroy(tsr_compilation *compilation);  // NULL is legal

tsr_arena *tsr_compilation_arena(tsr_compilation *compilation);
tsr_sources *tsr_compilation_sources(tsr_compilation *compilation);
tsr_diags *tsr_compilation_diags(tsr_compilation *compilation);

// Reads and parses the plan at |path| ("-" is standard input) with everything
// it includes. A status other than TSR_OK is a failure of the machine; mistakes
// in the text are diagnostics, and |*out_ast| is then what could be recovered.
TSR_MUST_USE tsr_status tsr_parse_file(tsr_compilation *compilation,
                                       const char *path, tsr_ast **out_ast,
                                       tsr_error *error);
// As above for text in memory (copied); |name| stands for the path and
// |directory| for the folder of relative paths.
TSR_MUST_USE tsr_status tsr_parse_text(tsr_compilation *compilation,
                                       const char *name, const char *directory,
                                       const char *text, size_t size,
                                       tsr_ast **out_ast, tsr_error *error);

// Runs every check. |*out_plan| is NULL when an error was reported.
TSR_MUST_USE tsr_status tsr_check(tsr_compilation *compilation, tsr_ast *ast,
                                  tsr_plan **out_plan, tsr_error *error);

// The paths of the root plan and of all includes, in order of opening.
uint32_t tsr_sources_count(const tsr_sources *sources);
const char *tsr_sources_path(const tsr_sources *sources, uint32_t source);

// Canonical text of one source's AST, comments kept (tesserac fmt). Meant for
// text that parsed without errors: of any other, tokens may be missing.
void tsr_ast_format(const tsr_ast *ast, tsr_buffer *out);
// Canonical text of the whole plan, includes put in place and their paths
// rewritten relative to the root: the text that a bundle keeps (plan.tess).
void tsr_ast_flatten(const tsr_ast *ast, tsr_buffer *out);
// --emit=tokens, --emit=ast, --emit=plan: stable text for people and tests.
TSR_MUST_USE tsr_status tsr_dump_tokens(tsr_compilation *compilation,
                                        const char *path, tsr_buffer *out,
                                        tsr_error *error);
void tsr_ast_dump(const tsr_ast *ast, tsr_buffer *out);
void tsr_plan_dump(const tsr_plan *plan, tsr_buffer *out);

// Title and explanation of a code ("TSR-E041", case does not matter), as
// tesserac explain prints them. False when there is no such code.
bool tsr_diag_explain(const char *code, tsr_buffer *out);
// All codes, for docs/errors.md and completions.
void tsr_diag_list_markdown(tsr_buffer *out);

#endif  // FRONTEND_FRONTEND_H_

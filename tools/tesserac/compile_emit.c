// SPDX-License-Identifier: Apache-2.0
// tesserac compile: --emit and --save-temps, to standard output or to files.
#include "tesserac/compile_emit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

tsr_status tsr_emit_file(const char *folder, const char *name, const void *data,
                         size_t size, tsr_error *error) {
  char *path = tsr_path_join(folder, name);
  char *parent = path == NULL ? NULL : tsr_path_directory(path);
  tsr_status status = parent == NULL ? tsr_error_out_of_memory(error)
                                     : tsr_path_make_directories(parent, error);
  if (status == TSR_OK) status = tsr_file_write(path, data, size, error);
  tsr_free(parent);
  tsr_free(path);
  return status;
}

tsr_status tsr_emit_text(const tsr_compile *c, const char *name,
                         const tsr_buffer *text, tsr_error *error) {
  tsr_status status = tsr_buffer_status(text, error);
  if (status != TSR_OK) return status;
  if (c->output != NULL) {
    return tsr_emit_file(c->output, name, tsr_buffer_text(text), text->size,
                         error);
  }
  if (fwrite(tsr_buffer_text(text), 1, text->size, c->cli->out) != text->size ||
      fflush(c->cli->out) != 0) {
    // Without a reader (`| head`) there is no more to do, and nothing to say.
    if (errno == EPIPE) return tsr_error_set(error, TSR_CANCELLED, "no reader");
    return tsr_error_set_errno(error, errno, "cannot write the output");
  }
  return TSR_OK;
}

// ---- Texts of the front ----------------------------------------------------

static tsr_status make_tokens(const tsr_compile *c, tsr_buffer *out,
                              tsr_error *error) {
  return tsr_dump_tokens(c->compilation, c->plan_path, out, error);
}

static tsr_status make_ast(const tsr_compile *c, tsr_buffer *out,
                           tsr_error *error) {
  (void)error;
  tsr_ast_dump(c->ast, out);
  return TSR_OK;
}

static tsr_status make_plan(const tsr_compile *c, tsr_buffer *out,
                            tsr_error *error) {
  (void)error;
  tsr_plan_dump(c->plan, out);
  return TSR_OK;
}

static tsr_status make_schedule(const tsr_compile *c, tsr_buffer *out,
                                tsr_error *error) {
  tsr_buffer_append(out, tsr_buffer_text(&c->schedules), c->schedules.size);
  return tsr_buffer_status(&c->schedules, error);
}

static const struct text_row {
  tsr_emission emission;
  const char *name;
  tsr_status (*make)(const tsr_compile *c, tsr_buffer *out, tsr_error *error);
} text_rows[] = {
    {TSR_EMISSION_TOKENS, "tokens.txt", make_tokens},
    {TSR_EMISSION_AST, "ast.txt", make_ast},
    {TSR_EMISSION_PLAN, "plan.txt", make_plan},
    {TSR_EMISSION_SCHEDULE, "schedule.txt", make_schedule},
};

static tsr_status emit_texts(const tsr_compile *c, tsr_error *error) {
  for (size_t i = 0; i < sizeof(text_rows) / sizeof(text_rows[0]); ++i) {
    if ((c->emit & text_rows[i].emission) == 0) continue;
    tsr_buffer text = {0};
    tsr_status status = text_rows[i].make(c, &text, error);
    if (status == TSR_OK) {
      status = tsr_emit_text(c, text_rows[i].name, &text, error);
    }
    tsr_buffer_fini(&text);
    if (status != TSR_OK) return status;
  }
  return TSR_OK;
}

static tsr_status emit_header(const tsr_compile *c, tsr_error *error) {
  if ((c->emit & TSR_EMISSION_HEADER) == 0) return TSR_OK;
  tsr_bundle bundle;
  tsr_status status = tsr_compile_describe(c, &bundle, error);
  if (status != TSR_OK) return status;
  tsr_buffer text = {0}, name = {0};
  tsr_bundle_write_header(&bundle, &text);
  tsr_buffer_printf(&name, "include/%s.h", bundle.symbol);
  status = tsr_buffer_status(&name, error);
  if (status == TSR_OK) status = tsr_emit_text(c, name.data, &text, error);
  tsr_buffer_fini(&text);
  tsr_buffer_fini(&name);
  return status;
}

static tsr_status emit_weights(const tsr_compile *c, tsr_error *error) {
  if ((c->emit & TSR_EMISSION_WEIGHTS) == 0) return TSR_OK;
  tsr_map map = {0};
  char *path = tsr_path_join(c->staging.temporary_path, "weights.bin");
  tsr_status status = path == NULL ? tsr_error_out_of_memory(error)
                                   : tsr_map_open(path, &map, error);
  if (status == TSR_OK) {
    status = tsr_emit_file(c->output, "weights.bin", map.data, map.size, error);
  }
  tsr_map_close(&map);
  tsr_free(path);
  return status;
}

// ---- Kernels ---------------------------------------------------------------

static const struct form_row {
  tsr_emission emission;
  const char *suffix;
  const char *comment;  // begins a comment in such a text; NULL: binary
  size_t offset;        // of its buffer in tsr_emitted
} form_rows[] = {
    {TSR_EMISSION_LL, "ll", ";", offsetof(tsr_emitted, ll)},
    {TSR_EMISSION_ASM, "s", "#", offsetof(tsr_emitted, assembly)},
    {TSR_EMISSION_OBJ, "o", NULL, offsetof(tsr_emitted, object)},
};

static const tsr_buffer *form_buffer(const tsr_emitted *emitted,
                                     const struct form_row *row) {
  return (const tsr_buffer *)(const void *)((const char *)emitted +
                                            row->offset);
}

static tsr_status write_form(const tsr_compile *c, const char *folder,
                             uint32_t kernel, uint32_t variant,
                             const struct form_row *row, tsr_error *error) {
  const tsr_emitted *emitted = &tsr_compile_object(c, kernel, variant)->emitted;
  const tsr_buffer *buffer = form_buffer(emitted, row);
  tsr_buffer name = {0};
  tsr_buffer_printf(&name, "%s/%s.%s", c->variants[variant]->name,
                    c->kernels[kernel].name, row->suffix);
  tsr_status status = tsr_buffer_status(&name, error);
  if (status == TSR_OK) {
    status = tsr_emit_file(folder, name.data, tsr_buffer_text(buffer),
                           buffer->size, error);
  }
  tsr_buffer_fini(&name);
  return status;
}

static tsr_status print_form(const tsr_compile *c, uint32_t kernel,
                             uint32_t variant, const struct form_row *row,
                             tsr_error *error) {
  const tsr_emitted *emitted = &tsr_compile_object(c, kernel, variant)->emitted;
  (void)fprintf(c->cli->out, "%s ---- %s for %s\n", row->comment,
                c->kernels[kernel].name, c->variants[variant]->name);
  return tsr_emit_text(c, NULL, form_buffer(emitted, row), error);
}

static tsr_status emit_forms(const tsr_compile *c, unsigned set,
                             const char *folder, tsr_error *error) {
  for (size_t f = 0; f < sizeof(form_rows) / sizeof(form_rows[0]); ++f) {
    if ((set & form_rows[f].emission) == 0) continue;
    for (uint32_t kernel = 0; kernel < c->kernel_count; ++kernel) {
      for (uint32_t variant = 0; variant < c->variant_count; ++variant) {
        tsr_status status =
            folder == NULL
                ? print_form(c, kernel, variant, &form_rows[f], error)
                : write_form(c, folder, kernel, variant, &form_rows[f], error);
        if (status != TSR_OK) return status;
      }
    }
  }
  return TSR_OK;
}

tsr_status tsr_compile_emit(tsr_compile *c, tsr_error *error) {
  tsr_status status = emit_texts(c, error);
  if (status == TSR_OK) status = emit_header(c, error);
  if (status == TSR_OK) status = emit_weights(c, error);
  if (status == TSR_OK && c->objects != NULL) {
    status = emit_forms(c, c->emit, c->output, error);
  }
  if (status == TSR_OK && c->objects != NULL && c->temps != NULL) {
    unsigned all = TSR_EMISSION_LL | TSR_EMISSION_ASM | TSR_EMISSION_OBJ;
    status = emit_forms(c, all, c->temps, error);
  }
  if (status == TSR_OK && c->cuda_objects != NULL) {
    status = tsr_emit_cuda(c, error);
  }
  return status;
}

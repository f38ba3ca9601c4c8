// SPDX-License-Identifier: Apache-2.0
// The generated C header and source: one typed function per layer, over
// <tessera/tessera.h> alone; C11 and C++ without a warning. Layers are looked
// up and compared with what was compiled once, in bind.
#include <string.h>

#include "compiler/bundle.h"

// A name of ours after the model's symbol, made different from every layer's:
// "_" is appended until it is.
typedef struct own_name {
  char text[32];
} own_name;

static bool is_layer(const tsr_bundle *bundle, const char *name) {
  for (uint32_t i = 0; i < bundle->layer_count; ++i) {
    if (strcmp(bundle->layers[i].plan->symbol, name) == 0) return true;
  }
  return false;
}

static own_name choose_name(const tsr_bundle *bundle, const char *wanted) {
  own_name name = {{0}};
  size_t size = strlen(wanted);
  memcpy(name.text, wanted, size);
  while (is_layer(bundle, name.text) && size + 1 < sizeof(name.text)) {
    name.text[size++] = '_';
  }
  return name;
}

static const char *c_type(tsr_dtype type) {
  return type == TSR_DTYPE_F32 ? "float" : "uint16_t";
}

// A layer's name may hold anything: as C text, and where it must not end a
// comment.
static void put_literal(tsr_buffer *out, const char *text) {
  tsr_buffer_append_char(out, '"');
  for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; ++c) {
    if (*c == '"' || *c == '\\' || *c == '?') {
      tsr_buffer_printf(out, "\\%c", *c);
    } else if (*c < 0x20 || *c >= 0x7f) {
      tsr_buffer_printf(out, "\\%03o", *c);
    } else {
      tsr_buffer_append_char(out, (char)*c);
    }
  }
  tsr_buffer_append_char(out, '"');
}

static void put_comment_text(tsr_buffer *out, const char *text) {
  for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; ++c) {
    bool plain = *c >= 0x20 && *c != 0x7f && *c != '\\';
    tsr_buffer_append_char(out, plain ? (char)*c : '?');
  }
}

// "// encoder.up: Y[N, 1536] f32 = gelu_erf(X[N, 384] bf16 W^T + bias)"
static void put_layer_comment(tsr_buffer *out, const tsr_bundle_layer *layer) {
  const tsr_plan_layer *plan = layer->plan;
  bool active = plan->activation != TSR_ACTIVATION_NONE;
  tsr_buffer_append_string(out, "// ");
  put_comment_text(out, plan->name);
  tsr_buffer_printf(
      out, ":\n//   output[N, %u] %s = %s%sinput[N, %u] %s * W^T",
      tsr_bundle_output_columns(layer), tsr_dtype_name(plan->output_type),
      active ? tsr_activation_name(plan->activation) : "", active ? "(" : "",
      layer->packed.columns, tsr_dtype_name(plan->input_type));
  tsr_buffer_printf(out, "%s%s%s\n", plan->has_bias ? " + bias" : "",
                    active ? ")" : "", plan->has_residual ? " + residual" : "");
}

static void put_signature(tsr_buffer *out, const tsr_bundle *bundle,
                          const own_name *model,
                          const tsr_bundle_layer *layer) {
  const char *output = c_type(layer->plan->output_type);
  tsr_buffer_printf(out,
                    "tessera_status %s_%s(\n    const %s_%s *model, "
                    "uint32_t token_count,\n    const %s *input,",
                    bundle->symbol, layer->plan->symbol, bundle->symbol,
                    model->text, c_type(layer->plan->input_type));
  if (layer->plan->has_residual) {
    tsr_buffer_printf(out, " const %s *residual,", output);
  }
  tsr_buffer_printf(out,
                    " %s *output,\n    void *workspace, "
                    "size_t workspace_size, void *stream,\n"
                    "    tessera_error *error)",
                    output);
}

static void put_bind_signature(tsr_buffer *out, const tsr_bundle *bundle,
                               const own_name *bind, const own_name *model) {
  tsr_buffer_printf(out,
                    "tessera_status %s_%s(\n"
                    "    const tessera_bundle *bundle, "
                    "const tessera_program *program,\n"
                    "    %s_%s *out_model, tessera_error *error)",
                    bundle->symbol, bind->text, bundle->symbol, model->text);
}

static void put_workspace_signature(tsr_buffer *out, const tsr_bundle *bundle,
                                    const own_name *workspace,
                                    const own_name *model) {
  tsr_buffer_printf(out,
                    "tessera_status %s_%s(\n"
                    "    const %s_%s *model, uint32_t token_count, "
                    "size_t *out_size,\n    tessera_error *error)",
                    bundle->symbol, workspace->text, bundle->symbol,
                    model->text);
}

static void put_init_signature(tsr_buffer *out, const tsr_bundle *bundle,
                               const own_name *init, const own_name *model) {
  tsr_buffer_printf(out,
                    "tessera_status %s_%s(\n"
                    "    const %s_%s *model, void *workspace, "
                    "size_t workspace_size,\n"
                    "    void *stream, tessera_error *error)",
                    bundle->symbol, init->text, bundle->symbol, model->text);
}

void tsr_bundle_write_header(const tsr_bundle *bundle, tsr_buffer *out) {
  own_name model = choose_name(bundle, "model");
  own_name bind = choose_name(bundle, "bind");
  own_name workspace = choose_name(bundle, "workspace");
  own_name init = choose_name(bundle, "workspace_init");
  uint32_t count = bundle->layer_count == 0 ? 1 : bundle->layer_count;
  tsr_buffer_append_string(out, "// Made by tesserac from the plan of \"");
  put_comment_text(out, bundle->name);
  tsr_buffer_printf(out,
                    "\".\n// Types bf16 and f16 are bit patterns in "
                    "uint16_t.\n#ifndef TESSERA_MODEL_%s_H_\n"
                    "#define TESSERA_MODEL_%s_H_\n\n"
                    "#include <tessera/tessera.h>\n\n"
                    "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n",
                    bundle->symbol, bundle->symbol);
  tsr_buffer_printf(out,
                    "// The model's layers on one device; borrows both "
                    "pointers.\ntypedef struct %s_%s {\n"
                    "  const tessera_program *program;\n"
                    "  const tessera_layer *layers[%u];\n} %s_%s;\n\n",
                    bundle->symbol, model.text, count, bundle->symbol,
                    model.text);
  tsr_buffer_append_string(out,
                           "// Finds the layers and checks that they are "
                           "the ones declared here.\nTESSERA_MUST_USE ");
  put_bind_signature(out, bundle, &bind, &model);
  tsr_buffer_append_string(out,
                           ";\n// Bytes of workspace that serve every "
                           "layer. Its alignment: 64 bytes on the host,\n"
                           "// 128 on CUDA devices.\nTESSERA_MUST_USE ");
  put_workspace_signature(out, bundle, &workspace, &model);
  tsr_buffer_append_string(out,
                           ";\n// Once, before the first layer uses "
                           "|workspace|; on the host it does nothing.\n"
                           "// |stream|: a CUstream or NULL for the default "
                           "one; NULL on the host.\nTESSERA_MUST_USE ");
  put_init_signature(out, bundle, &init, &model);
  tsr_buffer_append_string(out,
                           ";\n\n// Layers: rows of input, residual and "
                           "output lie side by side, in the device's memory.\n"
                           "// |stream| as above; the launch is not waited "
                           "for.\n");
  for (uint32_t i = 0; i < bundle->layer_count; ++i) {
    put_layer_comment(out, &bundle->layers[i]);
    tsr_buffer_append_string(out, "TESSERA_MUST_USE ");
    put_signature(out, bundle, &model, &bundle->layers[i]);
    tsr_buffer_append_string(out, ";\n");
  }
  tsr_buffer_printf(out,
                    "\n#ifdef __cplusplus\n}\n#endif\n\n"
                    "#endif  // TESSERA_MODEL_%s_H_\n",
                    bundle->symbol);
}

// ---- Source ----------------------------------------------------------------

static const char *c_dtype(tsr_dtype type) {
  static const char *const names[TSR_DTYPE_COUNT] = {
      "TESSERA_F32", "TESSERA_F16", "TESSERA_BF16"};
  return names[type];
}

static const char source_prologue[] =
    "struct expected_layer {\n"
    "  const char *name;\n"
    "  uint32_t rows;\n"
    "  uint32_t columns;\n"
    "  tessera_dtype input_type;\n"
    "  tessera_dtype output_type;\n"
    "  int has_residual;\n"
    "};\n\n";

static const char source_check[] =
    "static tessera_status fail(tessera_error *error, tessera_status status,\n"
    "                           const char *name, const char *what) {\n"
    "  if (error != NULL) {\n"
    "    error->status = status;\n"
    "    error->native = 0;\n"
    "    (void)snprintf(error->message, sizeof(error->message), \"%s: %s\", "
    "name,\n                   what);\n"
    "  }\n"
    "  return status;\n"
    "}\n\n"
    "static tessera_status check(const tessera_layer *layer,\n"
    "                            const struct expected_layer *expected,\n"
    "                            tessera_error *error) {\n"
    "  tessera_layer_info info;\n"
    "  tessera_status status;\n"
    "  if (layer == NULL) {\n"
    "    return fail(error, TESSERA_NOT_FOUND, expected->name, "
    "\"no such layer\");\n"
    "  }\n"
    "  memset(&info, 0, sizeof(info));\n"
    "  info.size = sizeof(info);\n"
    "  status = tessera_layer_query(layer, &info, error);\n"
    "  if (status != TESSERA_OK) return status;\n"
    "  if (info.rows != expected->rows || info.columns != expected->columns "
    "||\n"
    "      info.input_type != expected->input_type ||\n"
    "      info.output_type != expected->output_type ||\n"
    "      (info.has_residual != 0) != (expected->has_residual != 0)) {\n"
    "    return fail(error, TESSERA_INVALID_ARGUMENT, expected->name,\n"
    "                \"is not the layer that this source was made for\");\n"
    "  }\n"
    "  return TESSERA_OK;\n"
    "}\n\n";

static void put_table(tsr_buffer *out, const tsr_bundle *bundle) {
  tsr_buffer_append_string(out, source_prologue);
  tsr_buffer_append_string(
      out, "static const struct expected_layer expected_layers[] = {\n");
  for (uint32_t i = 0; i < bundle->layer_count; ++i) {
    const tsr_bundle_layer *layer = &bundle->layers[i];
    tsr_buffer_append_string(out, "    {");
    put_literal(out, layer->plan->name);
    tsr_buffer_printf(out, ", %u, %u, %s, %s, %d},\n", layer->packed.rows,
                      layer->packed.columns, c_dtype(layer->plan->input_type),
                      c_dtype(layer->plan->output_type),
                      layer->plan->has_residual ? 1 : 0);
  }
  tsr_buffer_append_string(out, "};\n\n");
  tsr_buffer_append_string(out, source_check);
}

static void put_bind(tsr_buffer *out, const tsr_bundle *bundle,
                     const own_name *model) {
  own_name bind = choose_name(bundle, "bind");
  put_bind_signature(out, bundle, &bind, model);
  tsr_buffer_printf(
      out,
      " {\n  size_t i;\n"
      "  memset(out_model, 0, sizeof(*out_model));\n"
      "  for (i = 0; i < %u; ++i) {\n"
      "    const tessera_layer *layer =\n"
      "        tessera_bundle_find_layer(bundle, expected_layers[i].name);\n"
      "    tessera_status status = check(layer, &expected_layers[i], error);\n"
      "    if (status != TESSERA_OK) {\n"
      "      memset(out_model, 0, sizeof(*out_model));\n"
      "      return status;\n    }\n"
      "    out_model->layers[i] = layer;\n  }\n"
      "  out_model->program = program;\n"
      "  return TESSERA_OK;\n}\n\n",
      bundle->layer_count);
}

static void put_workspace(tsr_buffer *out, const tsr_bundle *bundle,
                          const own_name *model) {
  own_name workspace = choose_name(bundle, "workspace");
  put_workspace_signature(out, bundle, &workspace, model);
  tsr_buffer_printf(
      out,
      " {\n  size_t i;\n  size_t largest = 0;\n  *out_size = 0;\n"
      "  for (i = 0; i < %u; ++i) {\n    size_t size = 0;\n"
      "    tessera_status status =\n"
      "        tessera_layer_workspace(model->program, model->layers[i],\n"
      "                                token_count, &size, error);\n"
      "    if (status != TESSERA_OK) return status;\n"
      "    if (size > largest) largest = size;\n  }\n"
      "  *out_size = largest;\n  return TESSERA_OK;\n}\n\n",
      bundle->layer_count);
}

static void put_init(tsr_buffer *out, const tsr_bundle *bundle,
                     const own_name *model) {
  own_name init = choose_name(bundle, "workspace_init");
  put_init_signature(out, bundle, &init, model);
  tsr_buffer_append_string(
      out,
      " {\n  return tessera_workspace_init(model->program, workspace, "
      "workspace_size,\n                                stream, error);\n"
      "}\n\n");
}

static void put_layer_function(tsr_buffer *out, const tsr_bundle *bundle,
                               const own_name *model, uint32_t index) {
  const tsr_bundle_layer *layer = &bundle->layers[index];
  put_signature(out, bundle, model, layer);
  tsr_buffer_append_string(out,
                           " {\n  tessera_run_args args;\n"
                           "  memset(&args, 0, sizeof(args));\n"
                           "  args.size = sizeof(args);\n"
                           "  args.token_count = token_count;\n"
                           "  args.input = input;\n");
  if (layer->plan->has_residual) {
    tsr_buffer_append_string(out, "  args.residual = residual;\n");
  }
  tsr_buffer_printf(out,
                    "  args.output = output;\n"
                    "  args.workspace = workspace;\n"
                    "  args.workspace_size = workspace_size;\n"
                    "  args.stream = stream;\n"
                    "  return tessera_linear_run(model->program, "
                    "model->layers[%u], &args,\n"
                    "                            error);\n}\n",
                    index);
}

void tsr_bundle_write_source(const tsr_bundle *bundle, tsr_buffer *out) {
  own_name model = choose_name(bundle, "model");
  tsr_buffer_append_string(out, "// Made by tesserac from the plan of \"");
  put_comment_text(out, bundle->name);
  tsr_buffer_printf(out,
                    "\".\n#include \"%s.h\"\n\n#include <stdio.h>\n"
                    "#include <string.h>\n\n",
                    bundle->symbol);
  put_table(out, bundle);
  put_bind(out, bundle, &model);
  put_workspace(out, bundle, &model);
  put_init(out, bundle, &model);
  for (uint32_t i = 0; i < bundle->layer_count; ++i) {
    if (i != 0) tsr_buffer_append_char(out, '\n');
    put_layer_function(out, bundle, &model, i);
  }
}

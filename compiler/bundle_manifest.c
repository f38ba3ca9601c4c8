// SPDX-License-Identifier: Apache-2.0
// manifest.json: keys in the order of docs/bundle.md, numbers as integers, one
// line for each small thing, so that two manifests can be compared with diff.
#include <string.h>

#include "compiler/bundle.h"

uint32_t tsr_bundle_output_columns(const tsr_bundle_layer *layer) {
  return tsr_activation_is_gated(layer->plan->activation)
             ? layer->packed.rows / 2
             : layer->packed.rows;
}

static bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '_';
}

const char *tsr_bundle_symbol(tsr_arena *arena, const char *name) {
  bool digit = name[0] == '\0' || (name[0] >= '0' && name[0] <= '9');
  char *symbol = tsr_arena_printf(arena, "%s%s", digit ? "model_" : "", name);
  if (symbol == NULL) return NULL;
  for (char *c = symbol; *c != '\0'; ++c) {
    if (!is_word(*c)) *c = '_';
  }
  return symbol;
}

// ---- Pieces ----------------------------------------------------------------

static void put_string(tsr_buffer *out, const char *key, const char *text) {
  tsr_buffer_printf(out, "\"%s\": ", key);
  tsr_buffer_append_json(out, text, strlen(text));
}

static void put_number(tsr_buffer *out, const char *key, uint64_t number) {
  tsr_buffer_printf(out, "\"%s\": %llu", key, (unsigned long long)number);
}

static void put_bool(tsr_buffer *out, const char *key, bool value) {
  tsr_buffer_printf(out, "\"%s\": %s", key, value ? "true" : "false");
}

static void put_pair(tsr_buffer *out, const char *key, uint64_t first,
                     uint64_t second) {
  tsr_buffer_printf(out, "\"%s\": [%llu, %llu]", key, (unsigned long long)first,
                    (unsigned long long)second);
}

static void put_hash(tsr_buffer *out, const char *key, tsr_hash hash) {
  char text[33];
  tsr_hash_format(hash, text);
  tsr_buffer_printf(out, "\"%s\": \"%s\"", key, text);
}

static void put_section(tsr_buffer *out, const char *key,
                        const tsr_section *section) {
  tsr_buffer_printf(out, "\"%s\": {", key);
  put_number(out, "offset", section->offset);
  tsr_buffer_append_string(out, ", ");
  put_number(out, "size", section->size);
  tsr_buffer_append_string(out, ", ");
  put_hash(out, "hash", section->hash);
  tsr_buffer_append_char(out, '}');
}

static void comma(tsr_buffer *out) {
  tsr_buffer_append_string(out, ", ");
}

// Begins element |index| of a list on a line of its own.
static void begin_element(tsr_buffer *out, uint32_t index) {
  tsr_buffer_append_string(out, index == 0 ? "\n    {" : ",\n    {");
}

static void begin_list(tsr_buffer *out, const char *key) {
  tsr_buffer_printf(out, "  \"%s\": [", key);
}

static void end_list(tsr_buffer *out, uint32_t count) {
  tsr_buffer_append_string(out, count == 0 ? "]" : "\n  ]");
}

// ---- Lists -----------------------------------------------------------------

static void put_inputs(tsr_buffer *out, const tsr_bundle *bundle) {
  begin_list(out, "inputs");
  for (uint32_t i = 0; i < bundle->input_count; ++i) {
    const tsr_bundle_input *input = &bundle->inputs[i];
    begin_element(out, i);
    put_string(out, "role", input->role);
    comma(out);
    put_string(out, "path", input->path);
    comma(out);
    put_number(out, "size", input->size);
    tsr_buffer_append_char(out, '}');
  }
  end_list(out, bundle->input_count);
}

static void put_file(tsr_buffer *out, const char *key,
                     const tsr_bundle_file *file) {
  put_string(out, key, file->path);
  comma(out);
  put_number(out, "size", file->size);
  comma(out);
  put_hash(out, "hash", file->hash);
}

static void put_files(tsr_buffer *out, const tsr_bundle *bundle) {
  begin_list(out, "files");
  for (uint32_t i = 0; i < bundle->file_count; ++i) {
    begin_element(out, i);
    put_file(out, "path", &bundle->files[i]);
    tsr_buffer_append_char(out, '}');
  }
  end_list(out, bundle->file_count);
}

static void put_resources(tsr_buffer *out, const tsr_bundle_image *image) {
  tsr_buffer_append_string(out, ",\n     \"resources\": [");
  for (uint32_t i = 0; i < image->resource_count; ++i) {
    const tsr_bundle_resources *from = &image->resources[i];
    tsr_buffer_printf(out, "%s\n       {", i == 0 ? "" : ",");
    put_number(out, "kernel", from->kernel);
    comma(out);
    put_number(out, "registers", from->registers);
    comma(out);
    put_number(out, "spill_stores", from->spill_stores);
    comma(out);
    put_number(out, "spill_loads", from->spill_loads);
    comma(out);
    put_number(out, "stack", from->stack);
    comma(out);
    put_number(out, "shared_static", from->shared_static);
    comma(out);
    put_number(out, "blocks", from->blocks);
    comma(out);
    put_string(out, "limiter", from->limiter);
    tsr_buffer_append_char(out, '}');
  }
  tsr_buffer_append_char(out, ']');
}

static void put_indices(tsr_buffer *out, const uint32_t *indices,
                        uint32_t count) {
  tsr_buffer_append_string(out, "\"kernels\": [");
  for (uint32_t i = 0; i < count; ++i) {
    tsr_buffer_printf(out, "%s%u", i == 0 ? "" : ", ", indices[i]);
  }
  tsr_buffer_append_char(out, ']');
}

static void put_image(tsr_buffer *out, const tsr_bundle_image *image) {
  bool is_cuda = image->family == TSR_TARGET_CUDA;
  put_string(out, "family", tsr_family_name(image->family));
  comma(out);
  put_string(out, "variant", image->variant);
  comma(out);
  if (is_cuda) {
    put_string(out, "format", image->format);
    comma(out);
  }
  put_string(out, "architecture", image->architecture);
  tsr_buffer_append_string(out, ",\n     ");
  put_string(out, "required", image->required);
  comma(out);
  tsr_buffer_printf(out, "\"rank\": %d", image->rank);
  comma(out);
  put_number(out, "abi", image->abi);
  if (is_cuda) {
    comma(out);
    put_string(out, "ptxas", image->ptxas);
  }
  tsr_buffer_append_string(out, ",\n     ");
  put_file(out, "file", &image->file);
  if (is_cuda) {
    tsr_buffer_append_string(out, ",\n     ");
    put_indices(out, image->kernels, image->kernel_count);
  }
  if (image->resource_count != 0) put_resources(out, image);
}

static void put_images(tsr_buffer *out, const tsr_bundle *bundle) {
  begin_list(out, "images");
  for (uint32_t i = 0; i < bundle->image_count; ++i) {
    begin_element(out, i);
    put_image(out, &bundle->images[i]);
    tsr_buffer_append_char(out, '}');
  }
  end_list(out, bundle->image_count);
}

static void put_cuda_kernels(tsr_buffer *out, const tsr_bundle *bundle) {
  static const char *const modes[] = {
      [TSR_NVIDIA_DECODE] = "decode", [TSR_NVIDIA_PREFILL] = "prefill"};
  begin_list(out, "cuda_kernels");
  for (uint32_t i = 0; i < bundle->cuda_kernel_count; ++i) {
    const tsr_bundle_cuda_kernel *kernel = &bundle->cuda_kernels[i];
    begin_element(out, i);
    put_string(out, "name", kernel->name);
    comma(out);
    put_string(out, "strategy", kernel->strategy);
    comma(out);
    put_string(out, "mode", modes[kernel->mode]);
    comma(out);
    put_pair(out, "tokens", kernel->token_first, kernel->token_last);
    tsr_buffer_append_string(out, ",\n     ");
    put_number(out, "threads", kernel->threads);
    comma(out);
    put_number(out, "shared_size", kernel->shared_size);
    comma(out);
    put_number(out, "block_tokens", kernel->block_tokens);
    tsr_buffer_append_char(out, '}');
  }
  end_list(out, bundle->cuda_kernel_count);
}

static void put_kernels(tsr_buffer *out, const tsr_bundle *bundle) {
  begin_list(out, "kernels");
  for (uint32_t i = 0; i < bundle->kernel_count; ++i) {
    const tsr_bundle_kernel *kernel = &bundle->kernels[i];
    begin_element(out, i);
    put_string(out, "name", kernel->name);
    comma(out);
    put_string(out, "strategy", kernel->strategy);
    comma(out);
    put_pair(out, "tokens", kernel->token_first, kernel->token_last);
    tsr_buffer_append_string(out, ",\n     ");
    put_string(out, "run", kernel->run);
    tsr_buffer_append_string(out, ",\n     ");
    put_string(out, "reduce", kernel->reduce);
    tsr_buffer_append_string(out, ",\n     ");
    put_string(out, "pack", kernel->pack);
    comma(out);
    put_pair(out, "scratch", kernel->scratch_base, kernel->scratch_per_token);
    comma(out);
    put_pair(out, "packed", kernel->packed_base, kernel->packed_per_token);
    tsr_buffer_append_char(out, '}');
  }
  end_list(out, bundle->kernel_count);
}

// ---- Layers ----------------------------------------------------------------

static void put_layer_head(tsr_buffer *out, const tsr_bundle_layer *layer) {
  const tsr_plan_layer *plan = layer->plan;
  put_string(out, "name", plan->name);
  comma(out);
  put_string(out, "symbol", plan->symbol);
  tsr_buffer_append_string(out, ",\n     ");
  put_number(out, "rows", layer->packed.rows);
  comma(out);
  put_number(out, "columns", layer->packed.columns);
  comma(out);
  put_number(out, "output_columns", tsr_bundle_output_columns(layer));
  comma(out);
  put_pair(out, "tile", plan->tile.rows, plan->tile.columns);
  tsr_buffer_append_string(out, ",\n     ");
  put_string(out, "weight_type", tsr_dtype_name(plan->weight_type));
  comma(out);
  put_string(out, "input_type", tsr_dtype_name(plan->input_type));
  comma(out);
  put_string(out, "output_type", tsr_dtype_name(plan->output_type));
  tsr_buffer_append_string(out, ",\n     ");
  put_string(out, "activation", tsr_activation_name(plan->activation));
  comma(out);
  put_bool(out, "has_bias", plan->has_bias);
  comma(out);
  put_bool(out, "has_residual", plan->has_residual);
}

static void put_layer_counts(tsr_buffer *out, const tsr_packed_layer *layer) {
  tsr_buffer_append_string(out, "\"tiles\": {");
  put_number(out, "zero", layer->tiles[TSR_KIND_ZERO]);
  comma(out);
  put_number(out, "sparse24", layer->tiles[TSR_KIND_SPARSE24]);
  comma(out);
  put_number(out, "dense", layer->tiles[TSR_KIND_DENSE]);
  tsr_buffer_append_string(out, "},\n     ");
  put_number(out, "kept_weights", layer->kept_weights);
  comma(out);
  put_number(out, "dense_bytes", (uint64_t)layer->rows * layer->columns * 2);
  comma(out);
  put_number(out, "packed_bytes", tsr_packed_bytes(layer));
}

static void put_key(tsr_buffer *out, const tsr_layer_key *key) {
  tsr_buffer_append_string(out, "\"key\": {");
  for (int part = 0; part < TSR_KEY_PART_COUNT; ++part) {
    if (part != 0) tsr_buffer_append_string(out, ",\n       ");
    put_hash(out, tsr_key_part_name((tsr_key_part)part), key->parts[part]);
  }
  tsr_buffer_append_char(out, '}');
}

// What every family has, after its own numbers.
static void put_part(tsr_buffer *out, const tsr_bundle_layer *layer,
                     tsr_target_family family) {
  const tsr_packed_part *part = &layer->packed.parts[family];
  const tsr_bundle_choice *chosen = &layer->chosen[family];
  tsr_buffer_append_string(out, ",\n       ");
  put_section(out, "stream", &part->stream);
  tsr_buffer_append_string(out, ",\n       ");
  put_section(out, "schedule", &part->schedule);
  if (layer->plan->has_bias) {
    tsr_buffer_append_string(out, ",\n       ");
    put_section(out, "bias", &layer->packed.bias);
  }
  tsr_buffer_append_string(out, ",\n       ");
  put_indices(out, chosen->kernels, chosen->count);
  tsr_buffer_append_char(out, '}');
}

static void put_host(tsr_buffer *out, const tsr_bundle_layer *layer) {
  const tsr_packed_layer *packed = &layer->packed;
  tsr_buffer_append_string(out, ",\n     \"host\": {\n       ");
  put_number(out, "workers", packed->workers);
  comma(out);
  put_number(out, "partials", packed->partials);
  put_part(out, layer, TSR_TARGET_HOST);
}

static void put_cuda(tsr_buffer *out, const tsr_bundle_layer *layer) {
  const tsr_packed_layer *packed = &layer->packed;
  tsr_buffer_append_string(out, ",\n     \"cuda\": {\n       ");
  put_number(out, "steps", packed->steps);
  comma(out);
  put_number(out, "padding", packed->parts[TSR_TARGET_CUDA].padding);
  put_part(out, layer, TSR_TARGET_CUDA);
}

static void put_layers(tsr_buffer *out, const tsr_bundle *bundle) {
  begin_list(out, "layers");
  for (uint32_t i = 0; i < bundle->layer_count; ++i) {
    const tsr_bundle_layer *layer = &bundle->layers[i];
    begin_element(out, i);
    put_layer_head(out, layer);
    tsr_buffer_append_string(out, ",\n     ");
    put_layer_counts(out, &layer->packed);
    tsr_buffer_append_string(out, ",\n     ");
    put_key(out, &layer->packed.key);
    tsr_buffer_append_string(out, ",\n     ");
    put_section(out, "grid", &layer->packed.grid);
    if (layer->packed.parts[TSR_TARGET_HOST].is_there) put_host(out, layer);
    if (layer->packed.parts[TSR_TARGET_CUDA].is_there) put_cuda(out, layer);
    tsr_buffer_append_char(out, '}');
  }
  end_list(out, bundle->layer_count);
}

void tsr_bundle_write_manifest(const tsr_bundle *bundle, tsr_buffer *out) {
  tsr_buffer_append_string(out, "{\n  \"format\": \"tessera-bundle\",\n  ");
  put_number(out, "version", TSR_BUNDLE_VERSION);
  tsr_buffer_append_string(out, ",\n  ");
  put_string(out, "name", bundle->name);
  tsr_buffer_append_string(out, ",\n  ");
  put_string(out, "symbol", bundle->symbol);
  tsr_buffer_append_string(out, ",\n  \"compiler\": {");
  put_string(out, "version", bundle->version);
  comma(out);
  put_string(out, "fingerprint", bundle->fingerprint);
  tsr_buffer_append_string(out, "},\n");
  put_inputs(out, bundle);
  tsr_buffer_append_string(out, ",\n");
  put_files(out, bundle);
  tsr_buffer_append_string(out, ",\n");
  put_images(out, bundle);
  tsr_buffer_append_string(out, ",\n");
  put_kernels(out, bundle);
  tsr_buffer_append_string(out, ",\n");
  if (bundle->cuda_kernel_count != 0) {
    put_cuda_kernels(out, bundle);
    tsr_buffer_append_string(out, ",\n");
  }
  put_layers(out, bundle);
  tsr_buffer_append_string(out, "\n}\n");
}

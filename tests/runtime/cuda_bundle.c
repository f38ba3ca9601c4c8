// SPDX-License-Identifier: Apache-2.0
#include "cuda_bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "container.h"
#include "cubin.h"
#include "manifest_text.h"

#define PLAN "model \"dumps\";\n"

enum { PATH = 64 };

// ---- Tables -----------------------------------------------------------------

typedef struct tables {
  tsr_nvidia_step steps[64];
  uint32_t panel_ends[CUDA_PANELS];
  uint32_t panels, step_count;
  tsr_nvidia_cut cuts[16];
  uint32_t cut_count;
  tsr_nvidia_worker workers[64];
  uint32_t worker_count;
  tsr_nvidia_segment segments[256];
  uint32_t segment_count;
} tables;

// Panel 1 keeps nothing, nor does layer 1.
static tsr_kind kind_at(uint32_t layer, uint32_t panel, uint32_t column) {
  if (layer == 1 || panel == 1) return TSR_KIND_ZERO;
  return (panel + column) % 3 == 0 ? TSR_KIND_SPARSE24 : TSR_KIND_DENSE;
}

static uint64_t add_steps(tables *t, uint32_t layer) {
  uint64_t offset = 0;
  for (uint32_t panel = 0; panel < t->panels; ++panel) {
    uint32_t rows = layer == 1                 ? CUDA_TILE
                    : panel + 1 == CUDA_PANELS ? CUDA_ROWS % CUDA_TILE
                                               : CUDA_TILE;
    for (uint32_t c = 0; c < (layer == 1 ? 1u : CUDA_TILE_COLUMNS); ++c) {
      tsr_kind kind = kind_at(layer, panel, c);
      if (kind == TSR_KIND_ZERO) continue;
      t->steps[t->step_count++] = (tsr_nvidia_step){
          (uint32_t)(offset / TSR_FRAGMENT_ALIGNMENT),
          tsr_nvidia_step_code(c * CUDA_TILE, kind, CUDA_TILE)};
      offset += tsr_fragment_tile_size(rows, CUDA_TILE, kind);
    }
    t->panel_ends[panel] = t->step_count;
  }
  return offset;
}

// Slots and counters of a cut's split panels.
static void number_parts(tsr_nvidia_segment *segments, tsr_nvidia_cut *cut) {
  for (uint32_t i = 0; i < cut->segment_count;) {
    uint32_t end = i;
    while (end < cut->segment_count &&
           segments[end].panel == segments[i].panel) {
      ++end;
    }
    uint32_t count = end - i;
    for (uint32_t first = i; count > 1 && i < end; ++i) {
      segments[i].partial = cut->partial_count + i - first;
      segments[i].partial_first = cut->partial_count;
      segments[i].partial_count = count;
      segments[i].reduction = cut->reduction_count;
    }
    if (count > 1) cut->partial_count += count;
    if (count > 1) ++cut->reduction_count;
    i = end;
  }
}

static void add_cut(tables *t, uint32_t multiprocessors, tsr_nvidia_mode mode,
                    uint32_t workers) {
  tsr_nvidia_cut *cut = &t->cuts[t->cut_count++];
  *cut = (tsr_nvidia_cut){.multiprocessors = multiprocessors,
                          .mode = (uint32_t)mode,
                          .worker_first = t->worker_count,
                          .worker_count = workers,
                          .segment_first = t->segment_count};
  tsr_nvidia_segment *segments = &t->segments[t->segment_count];
  uint32_t panel = 0, step = 0, count = 0;
  for (uint32_t w = 0; w < workers; ++w) {
    uint32_t end = (w + 1) * t->step_count / workers;
    bool is_last = w + 1 == workers;
    tsr_nvidia_worker *worker = &t->workers[t->worker_count++];
    *worker = (tsr_nvidia_worker){step, end, count, count};
    while (panel < t->panels && (step < end || is_last)) {
      uint32_t here = t->panel_ends[panel] < end ? t->panel_ends[panel] : end;
      segments[count++] = (tsr_nvidia_segment){
          .panel = panel, .step_end = here, .partial = TSR_NVIDIA_NO_PARTIAL};
      step = here;
      if (here == t->panel_ends[panel]) ++panel;
    }
    worker->segment_end = count;
  }
  cut->segment_count = count;
  t->segment_count += count;
  number_parts(segments, cut);
}

static void put_part(cuda_bundle *b, cuda_layer *layer, int part,
                     const void *data, uint64_t size, size_t alignment) {
  container_align(&b->weights, alignment);
  layer->offsets[part] = b->weights.size;
  layer->sizes[part] = size;
  tsr_buffer_append(&b->weights, data, (size_t)size);
}

static void put_schedule(cuda_bundle *b, cuda_layer *layer, const tables *t) {
  tsr_nvidia_schedule header = {
      t->step_count, t->cut_count, t->worker_count, t->segment_count, {0}};
  tsr_buffer *out = &b->weights;
  container_align(out, 64);
  layer->offsets[2] = out->size;
  tsr_buffer_append(out, &header, sizeof(header));
  tsr_buffer_append(out, t->steps, t->step_count * sizeof(t->steps[0]));
  tsr_buffer_append(out, t->cuts, t->cut_count * sizeof(t->cuts[0]));
  tsr_buffer_append(out, t->workers, t->worker_count * sizeof(t->workers[0]));
  tsr_buffer_append(out, t->segments,
                    t->segment_count * sizeof(t->segments[0]));
  layer->sizes[2] = out->size - layer->offsets[2];
}

static void put_layer(cuda_bundle *b, uint32_t index) {
  cuda_layer *layer = &b->layers[index];
  tables t = {.panels = index == 1 ? 1 : CUDA_PANELS};
  uint8_t grid[CUDA_PANELS * CUDA_TILE_COLUMNS];
  uint32_t columns = index == 1 ? 1 : CUDA_TILE_COLUMNS;
  for (uint32_t i = 0; i < t.panels * columns; ++i) {
    grid[i] = (uint8_t)kind_at(index, i / columns, i % columns);
    ++layer->kinds[grid[i]];
  }
  uint64_t size = add_steps(&t, index);
  // Per class: multiprocessors, workers of its cuts. The last is layer 1's.
  static const uint32_t shares[3][3] = {{132, 7, 4}, {8, 3, 2}, {2, 1, 1}};
  for (uint32_t i = 0; i < 2 + index; ++i) {
    uint32_t most = index == 1 ? 1 : UINT32_MAX;
    uint32_t decode = shares[i][1] < most ? shares[i][1] : most;
    add_cut(&t, shares[i][0], TSR_NVIDIA_DECODE, decode);
    if (index == 0) add_cut(&t, shares[i][0], TSR_NVIDIA_PREFILL, shares[i][1]);
    if (index == 0) add_cut(&t, shares[i][0], TSR_NVIDIA_PREFILL, shares[i][2]);
    add_cut(&t, shares[i][0], TSR_NVIDIA_PREFILL, 1);
  }
  layer->steps = t.step_count;
  put_part(b, layer, 0, grid, (uint64_t)t.panels * columns, 64);
  uint8_t *stream = calloc(1, (size_t)size + 1);
  if (stream == NULL) abort();
  for (uint64_t i = 0; i < size; ++i) stream[i] = (uint8_t)(i * 37 + i / 251);
  put_part(b, layer, 1, stream, size, 4096);
  free(stream);
  put_schedule(b, layer, &t);
  float bias[CUDA_ROWS];
  for (uint32_t i = 0; i < CUDA_ROWS; ++i) bias[i] = (float)i / 8;
  if (index == 0) put_part(b, layer, 3, bias, sizeof(bias), 64);
}

void *cuda_bundle_schedule(cuda_bundle *bundle, uint32_t index) {
  return bundle->weights.data + bundle->layers[index].offsets[2];
}

// ---- Kernels ----------------------------------------------------------------

// Thread 0 of block 0 stores the parameters and its launch into Y.
static void put_kernel(tsr_buffer *out, const char *name, unsigned mark) {
  tsr_buffer_printf(out, ".visible .entry %s(", name);
  for (int i = 0; i < TSR_NVIDIA_PARAMETERS; ++i) {
    tsr_buffer_printf(out, "%s.param .%s p%d", i == 0 ? "" : ", ",
                      i < 12 ? "b64" : "b32", i);
  }
  tsr_buffer_append_string(
      out,
      ")\n{\n.reg .pred %p;\n.reg .b32 %a, %b;\n.reg .b64 %y, %v;\n"
      "mov.u32 %a, %ctaid.x;\nmov.u32 %b, %tid.x;\nor.b32 %a, %a, %b;\n"
      "setp.ne.u32 %p, %a, 0;\n@%p bra END;\nld.param.b64 %y, [p7];\n");
  for (int i = 0; i < TSR_NVIDIA_PARAMETERS; ++i) {
    if (i < 12) {
      tsr_buffer_printf(out, "ld.param.b64 %%v, [p%d];\n", i);
    } else {
      tsr_buffer_printf(out,
                        "ld.param.b32 %%a, [p%d];\ncvt.u64.u32 %%v, %%a;\n", i);
    }
    tsr_buffer_printf(out, "st.global.b64 [%%y+%d], %%v;\n", 8 * i);
  }
  static const char *const special[] = {"nctaid.x", "ntid.x",
                                        "dynamic_smem_size"};
  for (int i = 0; i < 3; ++i) {
    tsr_buffer_printf(out,
                      "mov.u32 %%a, %%%s;\ncvt.u64.u32 %%v, %%a;\n"
                      "st.global.b64 [%%y+%d], %%v;\n",
                      special[i], 8 * (DUMP_GRID + i));
  }
  tsr_buffer_printf(out, "mov.b64 %%v, %u;\nst.global.b64 [%%y+%d], %%v;\n",
                    mark, 8 * DUMP_MARK);
  tsr_buffer_append_string(out, "END:\nret;\n}\n");
}

void cuda_bundle_ptx(tsr_buffer *out, const char *target, unsigned mark) {
  tsr_buffer_printf(out, ".version 8.5\n.target %s\n.address_size 64\n",
                    target);
  put_kernel(out, "dump_decode", mark);
  put_kernel(out, "dump_prefill", mark);
}

// ---- manifest.json ----------------------------------------------------------

static void put_path(const cuda_image *image, char out[PATH]) {
  (void)snprintf(out, PATH, "kernels/cuda-%s.%s", image->architecture,
                 image->format);
}

static void put_image(tsr_buffer *out, const cuda_image *image) {
  char path[PATH];
  put_path(image, path);
  tsr_buffer_printf(out,
                    "{\"family\": \"cuda\", \"variant\": \"%s\", \"format\": "
                    "\"%s\", \"architecture\": \"%s\", \"required\": \"\", "
                    "\"rank\": 80, \"abi\": 1, \"ptxas\": \"\", ",
                    image->architecture, image->format, image->architecture);
  manifest_put_file(out, "file", path, image->data.data, image->data.size);
  out->data[--out->size] = '\0';  // the brace
  tsr_buffer_printf(out, ", \"kernels\": %s}",
                    image->kernels == NULL ? "[0,1]" : image->kernels);
}

static void put_section(const cuda_bundle *b, tsr_buffer *out, const char *key,
                        const cuda_layer *layer, int part) {
  tsr_buffer_append_string(out, ", ");
  manifest_put_section(out, key, &b->weights, layer->offsets[part],
                       layer->sizes[part]);
}

static void put_layer_json(const cuda_bundle *b, uint32_t index,
                           tsr_buffer *out) {
  const cuda_layer *layer = &b->layers[index];
  uint32_t rows = index == 1 ? CUDA_TILE : CUDA_ROWS;
  uint32_t columns = index == 1 ? CUDA_TILE : CUDA_COLUMNS;
  tsr_buffer_printf(
      out,
      "%s{\"name\": \"%s\", \"symbol\": \"l%u\", \"rows\": %u, \"columns\": "
      "%u, \"output_columns\": %u, \"tile\": [64, 64], \"weight_type\": "
      "\"bf16\", \"input_type\": \"bf16\", \"output_type\": \"f32\", "
      "\"activation\": \"none\", \"has_bias\": %s, \"has_residual\": %s, ",
      index == 0 ? "" : ",\n", index == 0 ? "wide" : "nothing", index, rows,
      columns, rows, index == 0 ? "true" : "false",
      index == 0 ? "true" : "false");
  tsr_buffer_printf(
      out,
      "\"tiles\": {\"zero\": %u, \"sparse24\": %u, \"dense\": %u}, "
      "\"kept_weights\": 1, \"dense_bytes\": %u, \"packed_bytes\": %llu, "
      "\"key\": {\"weights\": \"%032x\", \"mask\": \"%032x\", \"options\": "
      "\"%032x\", \"compiler\": \"%032x\"}",
      layer->kinds[0], layer->kinds[1], layer->kinds[2], rows * columns * 2,
      (unsigned long long)layer->sizes[1], 1, 2, 3, 4);
  put_section(b, out, "grid", layer, 0);
  tsr_buffer_printf(out, ", \"cuda\": {\"steps\": %u", layer->steps);
  put_section(b, out, "stream", layer, 1);
  put_section(b, out, "schedule", layer, 2);
  if (index == 0) put_section(b, out, "bias", layer, 3);
  tsr_buffer_printf(out, ", \"kernels\": %s}}",
                    b->layer_kernels == NULL ? "[0, 1]" : b->layer_kernels);
}

static void put_kernels(tsr_buffer *out) {
  tsr_buffer_printf(
      out,
      "[{\"name\": \"dump_decode\", "
      "\"strategy\": \"decode\", \"mode\": \"decode\", \"tokens\": [1, %d], "
      "\"threads\": 64, \"shared_size\": 1024, \"block_tokens\": %d},\n"
      "{\"name\": \"dump_prefill\", \"strategy\": \"prefill\", \"mode\": "
      "\"prefill\", \"tokens\": [66, %d], \"threads\": 128, "
      "\"shared_size\": 65536, \"block_tokens\": %d}]",
      CUDA_DECODE_TOKENS, CUDA_DECODE_TOKENS, CUDA_PREFILL_LAST,
      CUDA_PREFILL_TOKENS);
}

void cuda_bundle_manifest(cuda_bundle *b) {
  tsr_buffer *out = &b->manifest;
  tsr_buffer_clear(out);
  tsr_buffer_append_string(
      out,
      "{\"format\": \"tessera-bundle\", \"version\": 1, \"name\": \"dumps\", "
      "\"symbol\": \"dumps\", \"compiler\": {\"version\": \"test\", "
      "\"fingerprint\": \"none\"},\n\"inputs\": [],\n\"files\": [{");
  manifest_put_file(out, "path", "plan.tess", PLAN, sizeof(PLAN) - 1);
  tsr_buffer_append_string(out, ", {");
  manifest_put_file(out, "path", "weights.bin", b->weights.data,
                    b->weights.size);
  tsr_buffer_append_string(out, "],\n\"images\": [");
  for (uint32_t i = 0; i < b->image_count; ++i) {
    if (i != 0) tsr_buffer_append_string(out, ",\n");
    put_image(out, &b->images[i]);
  }
  tsr_buffer_append_string(out, "],\n\"kernels\": [],\n\"cuda_kernels\": ");
  if (b->kernels == NULL) {
    put_kernels(out);
  } else {
    tsr_buffer_append_string(out, b->kernels);
  }
  tsr_buffer_append_string(out, ",\n\"layers\": [");
  for (uint32_t i = 0; i < CUDA_LAYERS; ++i) put_layer_json(b, i, out);
  tsr_buffer_append_string(out, "]}\n");
  if (out->failed || b->weights.failed) abort();
}

// ---- All --------------------------------------------------------------------

tsr_buffer *cuda_bundle_add_image(cuda_bundle *b, const char *format,
                                  const char *architecture) {
  if (b->image_count == CUDA_IMAGE_LIMIT) abort();
  cuda_image *image = &b->images[b->image_count++];
  *image = (cuda_image){.format = format};
  (void)snprintf(image->architecture, sizeof(image->architecture), "%s",
                 architecture);
  return &image->data;
}

void cuda_bundle_remove_images(cuda_bundle *b) {
  while (b->image_count != 0)
    tsr_buffer_fini(&b->images[--b->image_count].data);
}

void cuda_bundle_init(cuda_bundle *b) {
  static const char zeros[4096];
  memset(b, 0, sizeof(*b));
  tsr_buffer_append(&b->weights, "TSRWGT01", 8);
  for (uint32_t i = 0; i < CUDA_LAYERS; ++i) put_layer(b, i);
  container_align(&b->weights, 64);
  tsr_buffer_append(&b->weights, zeros, sizeof(zeros));
  cuda_bundle_ptx(cuda_bundle_add_image(b, "ptx", "sm_80"), "sm_80", 0);
  cubin_write(cuda_bundle_add_image(b, "cubin", "sm_90"), "sm_90", CUBIN_V2);
  cuda_bundle_ptx(cuda_bundle_add_image(b, "ptx", "sm_90"), "sm_90", 0);
  cuda_bundle_manifest(b);
}

void cuda_bundle_fini(cuda_bundle *b) {
  cuda_bundle_remove_images(b);
  tsr_buffer_fini(&b->weights);
  tsr_buffer_fini(&b->manifest);
}

void cuda_bundle_container(const cuda_bundle *b, tsr_buffer *out) {
  container_member members[3 + CUDA_IMAGE_LIMIT] = {
      {"manifest.json", b->manifest.data, b->manifest.size},
      {"plan.tess", PLAN, sizeof(PLAN) - 1},
      {"weights.bin", b->weights.data, b->weights.size},
  };
  char paths[CUDA_IMAGE_LIMIT][PATH];
  for (uint32_t i = 0; i < b->image_count; ++i) {
    const tsr_buffer *data = &b->images[i].data;
    put_path(&b->images[i], paths[i]);
    members[3 + i] = (container_member){paths[i], data->data, data->size};
  }
  container_write(members, 3 + b->image_count, out);
}

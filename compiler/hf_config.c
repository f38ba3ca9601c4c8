// SPDX-License-Identifier: Apache-2.0
// Hugging Face configurations as tables: which tensors a block has, what shape
// the configuration promises for each, and which of them make one layer. An
// architecture is a row of |families|; the code below knows none by name.
#include "compiler/hf_config.h"

#include <stdio.h>
#include <string.h>

#include "import/json.h"

// ---------------------------------------------------------------------------
// Tables

// Sizes that shapes are made of.
typedef enum size_name {
  SIZE_HIDDEN,
  SIZE_INTERMEDIATE,
  SIZE_QUERY,      // heads * head_dim
  SIZE_KEY_VALUE,  // key-value heads * head_dim
  SIZE_COUNT,
} size_name;

// How to say where a size comes from.
static const char *const size_sources[SIZE_COUNT] = {
    "hidden_size", "intermediate_size", "num_attention_heads x head_dim",
    "num_key_value_heads x head_dim"};

// Which of the configuration's words decides about a bias.
typedef enum bias_rule {
  BIAS_ATTENTION_IN,   // q, k, v
  BIAS_ATTENTION_OUT,  // o
  BIAS_MLP,
} bias_rule;

typedef struct block_tensor {
  const char *name;  // without prefix, ".weight", ".bias"
  size_name rows;
  size_name columns;
  bias_rule bias;
} block_tensor;

enum { LAYER_TENSORS_MAX = 3, BLOCK_LAYERS = 4 };

// One layer of the plan, made of 1 to 3 tensors.
typedef struct block_layer {
  const char *name;
  const char *verb;  // "weight", "concat", "interleave"
  bool activated;    // the block's activation follows
  block_tensor tensors[LAYER_TENSORS_MAX];
} block_layer;

static const block_layer decoder_layers[BLOCK_LAYERS] = {
    {"qkv",
     "concat",
     false,
     {{"self_attn.q_proj", SIZE_QUERY, SIZE_HIDDEN, BIAS_ATTENTION_IN},
      {"self_attn.k_proj", SIZE_KEY_VALUE, SIZE_HIDDEN, BIAS_ATTENTION_IN},
      {"self_attn.v_proj", SIZE_KEY_VALUE, SIZE_HIDDEN, BIAS_ATTENTION_IN}}},
    {"o",
     "weight",
     false,
     {{"self_attn.o_proj", SIZE_HIDDEN, SIZE_QUERY, BIAS_ATTENTION_OUT}}},
    {"gate_up",
     "interleave",
     true,
     {{"mlp.gate_proj", SIZE_INTERMEDIATE, SIZE_HIDDEN, BIAS_MLP},
      {"mlp.up_proj", SIZE_INTERMEDIATE, SIZE_HIDDEN, BIAS_MLP}}},
    {"down",
     "weight",
     false,
     {{"mlp.down_proj", SIZE_HIDDEN, SIZE_INTERMEDIATE, BIAS_MLP}}},
};

static const block_layer encoder_layers[BLOCK_LAYERS] = {
    {"qkv",
     "concat",
     false,
     {{"attention.self.query", SIZE_QUERY, SIZE_HIDDEN, BIAS_ATTENTION_IN},
      {"attention.self.key", SIZE_QUERY, SIZE_HIDDEN, BIAS_ATTENTION_IN},
      {"attention.self.value", SIZE_QUERY, SIZE_HIDDEN, BIAS_ATTENTION_IN}}},
    {"o",
     "weight",
     false,
     {{"attention.output.dense", SIZE_HIDDEN, SIZE_QUERY, BIAS_ATTENTION_OUT}}},
    {"up",
     "weight",
     true,
     {{"intermediate.dense", SIZE_INTERMEDIATE, SIZE_HIDDEN, BIAS_MLP}}},
    {"down",
     "weight",
     false,
     {{"output.dense", SIZE_HIDDEN, SIZE_INTERMEDIATE, BIAS_MLP}}},
};

static uint32_t tensor_count(const block_layer *layer) {
  uint32_t count = 1;
  while (count < LAYER_TENSORS_MAX && layer->tensors[count].name != NULL) {
    ++count;
  }
  return count;
}

// Where blocks stand in checkpoints; the first under which block 0 is found.
static const char *const decoder_prefixes[] = {"model.layers.",
                                               "layers.",
                                               "language_model.model.layers.",
                                               "model.language_model.layers.",
                                               "language_model.layers.",
                                               NULL};
static const char *const encoder_prefixes[] = {
    "encoder.layer.",         "bert.encoder.layer.",  "roberta.encoder.layer.",
    "electra.encoder.layer.", "model.encoder.layer.", NULL};

// What decides whether a bias must be there.
typedef enum bias_policy {
  BIAS_BY_CONFIG,  // attention_bias, mlp_bias where they are stated
  BIAS_ON_QKV,     // q, k, v always; nothing else
  BIAS_ALWAYS,
} bias_policy;

typedef struct family {
  const char *model_type;
  const char *part;  // layer names: "layers.{i}.qkv"
  const block_layer *layers;
  const char *const *prefixes;
  bool gated;
  bias_policy bias;
  const char *activation;  // when the configuration does not say
  // Defaults of the configuration class, 0: none (heads: must be stated;
  // key-value heads: as heads; head_dim: hidden_size / heads).
  uint32_t heads, key_value_heads, head_dim;
} family;

#define DECODER "layers", decoder_layers, decoder_prefixes, true
#define ENCODER "encoder", encoder_layers, encoder_prefixes, false

// Defaults: transformers 4.57, configuration_<model_type>.py.
static const family families[] = {
    {"llama", DECODER, BIAS_BY_CONFIG, "silu", 0, 0, 0},
    {"mistral", DECODER, BIAS_BY_CONFIG, "silu", 0, 8, 0},
    {"qwen2", DECODER, BIAS_ON_QKV, "silu", 0, 0, 0},
    {"qwen3", DECODER, BIAS_BY_CONFIG, "silu", 0, 0, 128},
    {"gemma", DECODER, BIAS_BY_CONFIG, "gelu_pytorch_tanh", 16, 16, 256},
    {"gemma2", DECODER, BIAS_BY_CONFIG, "gelu_pytorch_tanh", 8, 4, 256},
    {"gemma3_text", DECODER, BIAS_BY_CONFIG, "gelu_pytorch_tanh", 8, 4, 256},
    {"bert", ENCODER, BIAS_ALWAYS, "gelu", 12, 0, 0},
    {"roberta", ENCODER, BIAS_ALWAYS, "gelu", 12, 0, 0},
    {"xlm-roberta", ENCODER, BIAS_ALWAYS, "gelu", 12, 0, 0},
    {"camembert", ENCODER, BIAS_ALWAYS, "gelu", 12, 0, 0},
    {"electra", ENCODER, BIAS_ALWAYS, "gelu", 4, 0, 0},
};

enum { FAMILY_COUNT = sizeof(families) / sizeof(families[0]) };

const char *tsr_hf_architectures(void) {
  return "llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3, bert, roberta, "
         "xlm-roberta, camembert, electra";
}

// transformers' activation names (activations.py, ACT2FN).
static const struct {
  const char *name;
  tsr_activation plain;
  tsr_activation gated;
} activations[] = {
    {"silu", TSR_ACTIVATION_SILU, TSR_ACTIVATION_SWIGLU},
    {"swish", TSR_ACTIVATION_SILU, TSR_ACTIVATION_SWIGLU},
    {"gelu", TSR_ACTIVATION_GELU_ERF, TSR_ACTIVATION_GEGLU_ERF},
    {"gelu_python", TSR_ACTIVATION_GELU_ERF, TSR_ACTIVATION_GEGLU_ERF},
    {"gelu_new", TSR_ACTIVATION_GELU_TANH, TSR_ACTIVATION_GEGLU_TANH},
    {"gelu_fast", TSR_ACTIVATION_GELU_TANH, TSR_ACTIVATION_GEGLU_TANH},
    {"gelu_pytorch_tanh", TSR_ACTIVATION_GELU_TANH, TSR_ACTIVATION_GEGLU_TANH},
    {"relu", TSR_ACTIVATION_RELU, TSR_ACTIVATION_NONE},
};

enum { ACTIVATION_COUNT = sizeof(activations) / sizeof(activations[0]) };

// ---------------------------------------------------------------------------
// config.json

typedef struct config {
  const tsr_hf_model *model;
  json_t *root;
  json_t *text;  // the object that describes the language model
  const family *family;
  const char *prefix;
  uint32_t block_count;
  uint32_t heads, key_value_heads, head_dim;
  uint64_t sizes[SIZE_COUNT];
  tsr_activation activation;
  tsr_dtype type;    // of weights and activations
  tsr_dtype output;  // f32 when the checkpoint is
  // Whether each tensor of a block has a bias, as block 0 shows.
  bool biased[BLOCK_LAYERS][LAYER_TENSORS_MAX];
} config;

// A count between 1 and 2^24. Absent (or null): |fallback|, unless that is 0.
static tsr_status read_count(const config *c, const char *key,
                             uint32_t fallback, uint32_t *out,
                             tsr_error *error) {
  json_t *value = json_object_get(c->text, key);
  *out = fallback;
  if (value == NULL || json_is_null(value)) {
    if (fallback != 0) return TSR_OK;
    return tsr_error_set(error, TSR_CORRUPT, "config.json: '%s' is missing",
                         key);
  }
  json_int_t count = json_integer_value(value);
  if (!json_is_integer(value) || count < 1 || count > 1 << 24) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "config.json: '%s' is not a count between 1 and %d",
                         key, 1 << 24);
  }
  *out = (uint32_t)count;
  return TSR_OK;
}

// A text of |key|, or NULL when absent.
static tsr_status read_text(json_t *object, const char *key, const char **out,
                            tsr_error *error) {
  json_t *value = json_object_get(object, key);
  *out = NULL;
  if (value == NULL || json_is_null(value)) return TSR_OK;
  if (!json_is_string(value)) {
    return tsr_error_set(error, TSR_CORRUPT, "config.json: '%s' is not a text",
                         key);
  }
  *out = json_string_value(value);
  return TSR_OK;
}

static tsr_status parse(config *c, tsr_error *error) {
  return tsr_json_parse_object("config.json", c->model->config,
                               c->model->config_size, &c->root, error);
}

static const family *find_family(const char *model_type) {
  for (int i = 0; i < FAMILY_COUNT; ++i) {
    if (strcmp(families[i].model_type, model_type) == 0) return &families[i];
  }
  return NULL;
}

// The top level names the family, or, for models of text and images, its
// "text_config" does.
static tsr_status choose_family(config *c, tsr_error *error) {
  const char *type = NULL;
  const char *text_type = NULL;
  tsr_status status = read_text(c->root, "model_type", &type, error);
  if (status != TSR_OK) return status;
  c->text = c->root;
  json_t *text = json_object_get(c->root, "text_config");
  if (json_is_object(text)) {
    status = read_text(text, "model_type", &text_type, error);
    if (status != TSR_OK) return status;
    c->text = text;
  }
  if (type == NULL && text_type == NULL) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "config.json: 'model_type' is missing");
  }
  const char *decisive = text_type != NULL ? text_type : type;
  // gemma3's own text_config may leave its type to the top level.
  if (strcmp(decisive, "gemma3") == 0) decisive = "gemma3_text";
  c->family = find_family(decisive);
  if (c->family != NULL) return TSR_OK;
  return tsr_error_set(error, TSR_UNSUPPORTED,
                       "config.json: architecture '%s' is not known; known "
                       "are %s",
                       decisive, tsr_hf_architectures());
}

static tsr_status refuse_quantized(const config *c, tsr_error *error) {
  static const char *const keys[] = {"quantization_config",
                                     "compression_config"};
  for (int i = 0; i < 2; ++i) {
    json_t *value = json_object_get(c->root, keys[i]);
    if (value == NULL || json_is_null(value)) continue;
    return tsr_error_set(error, TSR_UNSUPPORTED,
                         "config.json: '%s': init reads plain checkpoints "
                         "only; write the plan by hand (docs/language.md)",
                         keys[i]);
  }
  return TSR_OK;
}

static tsr_status read_sizes(config *c, tsr_error *error) {
  const family *f = c->family;
  uint32_t hidden = 0;
  uint32_t intermediate = 0;
  tsr_status status = read_count(c, "hidden_size", 0, &hidden, error);
  if (status == TSR_OK) {
    status = read_count(c, "intermediate_size", 0, &intermediate, error);
  }
  if (status == TSR_OK) {
    status = read_count(c, "num_hidden_layers", 0, &c->block_count, error);
  }
  if (status == TSR_OK) {
    status = read_count(c, "num_attention_heads", f->heads, &c->heads, error);
  }
  if (status != TSR_OK) return status;
  uint32_t fallback = f->key_value_heads != 0 ? f->key_value_heads : c->heads;
  if (f->gated) {
    status = read_count(c, "num_key_value_heads", fallback, &c->key_value_heads,
                        error);
  }
  bool stated = json_is_integer(json_object_get(c->text, "head_dim"));
  if (status == TSR_OK && !stated && f->head_dim == 0 &&
      hidden % c->heads != 0) {
    return tsr_error_set(error, TSR_CORRUPT,
                         "config.json: 'hidden_size' %u is not a multiple of "
                         "'num_attention_heads' %u",
                         hidden, c->heads);
  }
  fallback = f->head_dim != 0 ? f->head_dim : hidden / c->heads;
  if (status == TSR_OK) {
    status = read_count(c, "head_dim", fallback, &c->head_dim, error);
  }
  c->sizes[SIZE_HIDDEN] = hidden;
  c->sizes[SIZE_INTERMEDIATE] = intermediate;
  c->sizes[SIZE_QUERY] = (uint64_t)c->heads * c->head_dim;
  c->sizes[SIZE_KEY_VALUE] = (uint64_t)c->key_value_heads * c->head_dim;
  return status;
}

static tsr_status read_activation(config *c, tsr_error *error) {
  const char *name = NULL;
  const char *key = "hidden_activation";
  tsr_status status = read_text(c->text, key, &name, error);
  // Gemma states "hidden_act": "gelu" for history's sake and means the tanh
  // form (transformers, modeling_gemma.py); others have hidden_act only.
  bool gemma = strncmp(c->family->model_type, "gemma", 5) == 0;
  if (status == TSR_OK && name == NULL && !gemma) {
    key = "hidden_act";
    status = read_text(c->text, key, &name, error);
  }
  if (status != TSR_OK) return status;
  if (name == NULL) name = c->family->activation;
  for (int i = 0; i < ACTIVATION_COUNT; ++i) {
    if (strcmp(activations[i].name, name) != 0) continue;
    c->activation =
        c->family->gated ? activations[i].gated : activations[i].plain;
    if (c->activation != TSR_ACTIVATION_NONE) return TSR_OK;
  }
  return tsr_error_set(error, TSR_UNSUPPORTED,
                       "config.json: '%s': activation '%s' is not known", key,
                       name);
}

static tsr_status read_type(config *c, tsr_error *error) {
  json_t *objects[2] = {c->text, c->root};
  static const char *const keys[2] = {"dtype", "torch_dtype"};
  const char *name = NULL;
  tsr_status status = TSR_OK;
  for (int i = 0; i < 4 && status == TSR_OK && name == NULL; ++i) {
    status = read_text(objects[i / 2], keys[i % 2], &name, error);
  }
  if (status != TSR_OK) return status;
  c->type = TSR_DTYPE_BF16;
  c->output = TSR_DTYPE_F32;
  if (name == NULL || strcmp(name, "float32") == 0) return TSR_OK;
  c->output = TSR_DTYPE_BF16;
  if (strcmp(name, "bfloat16") == 0) return TSR_OK;
  c->type = c->output = TSR_DTYPE_F16;
  if (strcmp(name, "float16") == 0) return TSR_OK;
  return tsr_error_set(error, TSR_UNSUPPORTED,
                       "config.json: 'torch_dtype': '%s' is not float32, "
                       "float16 or bfloat16",
                       name);
}

// ---------------------------------------------------------------------------
// The checkpoint against the configuration

enum { NAME_MAX_SIZE = 160 };

static void tensor_name(const config *c, uint32_t block,
                        const block_tensor *tensor, const char *suffix,
                        char out[NAME_MAX_SIZE]) {
  (void)snprintf(out, NAME_MAX_SIZE, "%s%u.%s%s", c->prefix, block,
                 tensor->name, suffix);
}

static bool find(const config *c, const char *name, uint64_t shape[2]) {
  shape[0] = shape[1] = 0;
  return c->model->find(c->model->context, name, &shape[0], &shape[1]);
}

static tsr_status find_prefix(config *c, tsr_error *error) {
  const block_tensor *first = &c->family->layers[0].tensors[0];
  char name[NAME_MAX_SIZE];
  uint64_t shape[2];
  for (const char *const *p = c->family->prefixes; *p != NULL; ++p) {
    c->prefix = *p;
    tensor_name(c, 0, first, ".weight", name);
    if (find(c, name, shape)) return TSR_OK;
  }
  c->prefix = c->family->prefixes[0];
  tensor_name(c, 0, first, ".weight", name);
  return tsr_error_set(error, TSR_MISMATCH,
                       "the checkpoint has no tensor '%s' (nor one under "
                       "another usual prefix), which config.json's '%s' "
                       "promises",
                       name, c->family->model_type);
}

static tsr_status check_weight(const config *c, uint32_t block,
                               const block_tensor *tensor, tsr_error *error) {
  char name[NAME_MAX_SIZE];
  uint64_t shape[2];
  uint64_t rows = c->sizes[tensor->rows];
  uint64_t columns = c->sizes[tensor->columns];
  tensor_name(c, block, tensor, ".weight", name);
  if (!find(c, name, shape)) {
    return tsr_error_set(error, TSR_MISMATCH,
                         "the checkpoint has no tensor '%s', which "
                         "config.json promises ('num_hidden_layers' %u)",
                         name, c->block_count);
  }
  if (shape[0] == rows && shape[1] == columns) return TSR_OK;
  return tsr_error_set(
      error, TSR_MISMATCH,
      "tensor '%s' is [%llu, %llu], but config.json promises [%llu, %llu] "
      "(%s, %s)",
      name, (unsigned long long)shape[0], (unsigned long long)shape[1],
      (unsigned long long)rows, (unsigned long long)columns,
      size_sources[tensor->rows], size_sources[tensor->columns]);
}

// 1: a bias must be there, 0: must not, -1: the configuration does not say.
static int expected_bias(const config *c, bias_rule rule) {
  if (c->family->bias == BIAS_ALWAYS) return 1;
  if (c->family->bias == BIAS_ON_QKV) return rule == BIAS_ATTENTION_IN;
  json_t *value = json_object_get(
      c->text, rule == BIAS_MLP ? "mlp_bias" : "attention_bias");
  return json_is_boolean(value) ? json_is_true(value) : -1;
}

static tsr_status check_bias(config *c, uint32_t block, uint32_t layer,
                             uint32_t index, tsr_error *error) {
  const block_tensor *tensor = &c->family->layers[layer].tensors[index];
  char name[NAME_MAX_SIZE];
  uint64_t shape[2];
  tensor_name(c, block, tensor, ".bias", name);
  bool found = find(c, name, shape);
  int expected = expected_bias(c, tensor->bias);
  if (block == 0) c->biased[layer][index] = found;
  if (expected < 0) expected = c->biased[layer][index];
  if (found != (expected != 0)) {
    return tsr_error_set(error, TSR_MISMATCH,
                         "the checkpoint has %s tensor '%s', which "
                         "config.json's '%s' %s",
                         found ? "a" : "no", name, c->family->model_type,
                         found ? "does not have" : "promises");
  }
  uint64_t rows = c->sizes[tensor->rows];
  if (!found || (shape[0] == rows && shape[1] == 1)) return TSR_OK;
  return tsr_error_set(error, TSR_MISMATCH,
                       "tensor '%s' is not a vector of %llu, as config.json "
                       "promises (%s)",
                       name, (unsigned long long)rows,
                       size_sources[tensor->rows]);
}

static tsr_status check_block(config *c, uint32_t block, tsr_error *error) {
  tsr_status status = TSR_OK;
  for (uint32_t l = 0; l < BLOCK_LAYERS; ++l) {
    const block_layer *layer = &c->family->layers[l];
    for (uint32_t t = 0; t < tensor_count(layer); ++t) {
      status = check_weight(c, block, &layer->tensors[t], error);
      if (status == TSR_OK) status = check_bias(c, block, l, t, error);
      if (status != TSR_OK) return status;
    }
  }
  return status;
}

static tsr_status check_checkpoint(config *c, tsr_error *error) {
  tsr_status status = find_prefix(c, error);
  for (uint32_t i = 0; status == TSR_OK && i < c->block_count; ++i) {
    status = check_block(c, i, error);
  }
  if (status != TSR_OK) return status;
  char name[NAME_MAX_SIZE];
  uint64_t shape[2];
  tensor_name(c, c->block_count, &c->family->layers[0].tensors[0], ".weight",
              name);
  if (!find(c, name, shape)) return TSR_OK;
  return tsr_error_set(error, TSR_MISMATCH,
                       "the checkpoint has a tensor '%s', but config.json "
                       "promises no more than 'num_hidden_layers' %u",
                       name, c->block_count);
}

// ---------------------------------------------------------------------------
// The plan

// A string of the plan language.
static void write_string(const char *text, tsr_buffer *out) {
  tsr_buffer_append_char(out, '"');
  for (; *text != '\0'; ++text) {
    if (strchr("\"\\{}", *text) != NULL) tsr_buffer_append_char(out, '\\');
    tsr_buffer_append_char(out, *text);
  }
  tsr_buffer_append_char(out, '"');
}

static void write_head(const config *c, tsr_buffer *out) {
  const tsr_hf_model *model = c->model;
  tsr_buffer_printf(out,
                    "# A starting plan for %s, written by tesserac init.\n"
                    "# Residual additions are left to the application: say "
                    "`residual;` in \"o\" and\n# \"down\" to fuse them.\n",
                    c->family->model_type);
  tsr_buffer_append_string(out, "model ");
  write_string(model->name, out);
  tsr_buffer_append_string(out, ";\nweights ");
  write_string(model->weights_path, out);
  tsr_buffer_append_string(out, ";\n");
  if (model->masks_format == TSR_MASK_NONE) {
    tsr_buffer_append_string(out,
                             "# No masks yet: `tesserac mask` makes them, "
                             "then uncomment this line.\n# masks patch ");
  } else {
    bool patch = model->masks_format == TSR_MASK_PATCH;
    tsr_buffer_printf(out, "masks %s ", patch ? "patch" : "maskllm");
  }
  write_string(model->masks_path, out);
  tsr_buffer_append_string(out, ";\n");
  tsr_buffer_printf(out,
                    "%stokens 1, 2..16, 17..;\ntile 128x128;\n"
                    "type %s;\noutput %s;\n\n",
                    model->targets == NULL ? "target host;\n" : model->targets,
                    tsr_dtype_name(c->type), tsr_dtype_name(c->output));
}

static void write_weights(const config *c, const block_layer *layer,
                          tsr_buffer *out) {
  tsr_buffer_printf(out, "    %s", layer->verb);
  for (uint32_t t = 0; t < tensor_count(layer); ++t) {
    tsr_buffer_printf(out, "%s \"%s{i}.%s.weight\"", t == 0 ? "" : ",",
                      c->prefix, layer->tensors[t].name);
  }
  tsr_buffer_append_string(out, ";\n");
}

static void write_biases(const config *c, const block_layer *layer,
                         const bool *biased, tsr_buffer *out) {
  uint32_t count = tensor_count(layer);
  uint32_t with = 0;
  for (uint32_t t = 0; t < count; ++t) with += biased[t];
  if (with == 0) return;
  tsr_buffer_append_string(out, "    bias");
  for (uint32_t t = 0; t < count && with != count; ++t) {
    tsr_buffer_append_string(out, t == 0 ? " " : ", ");
    if (!biased[t]) {
      tsr_buffer_append_string(out, "none");
      continue;
    }
    tsr_buffer_printf(out, "\"%s{i}.%s.bias\"", c->prefix,
                      layer->tensors[t].name);
  }
  tsr_buffer_append_string(out, ";\n");
}

static void write_layer(const config *c, uint32_t index, tsr_buffer *out) {
  const block_layer *layer = &c->family->layers[index];
  tsr_buffer_printf(out, "  layer \"%s.{i}.%s\" {\n", c->family->part,
                    layer->name);
  write_weights(c, layer, out);
  write_biases(c, layer, c->biased[index], out);
  if (layer->activated) {
    tsr_buffer_printf(out, "    activation %s;\n",
                      tsr_activation_name(c->activation));
  }
  tsr_buffer_append_string(out, "  }\n");
}

static void write_plan(const config *c, tsr_buffer *out) {
  write_head(c, out);
  tsr_buffer_printf(out, "for i in 0..%u {\n", c->block_count - 1);
  for (uint32_t l = 0; l < BLOCK_LAYERS; ++l) write_layer(c, l, out);
  tsr_buffer_append_string(out, "}\n");
}

tsr_status tsr_hf_write_plan(const tsr_hf_model *model, tsr_buffer *out,
                             tsr_error *error) {
  config c = {.model = model};
  tsr_status status = parse(&c, error);
  if (status == TSR_OK) status = choose_family(&c, error);
  if (status == TSR_OK) status = refuse_quantized(&c, error);
  if (status == TSR_OK) status = read_sizes(&c, error);
  if (status == TSR_OK) status = read_activation(&c, error);
  if (status == TSR_OK) status = read_type(&c, error);
  if (status == TSR_OK) status = check_checkpoint(&c, error);
  if (status == TSR_OK) {
    write_plan(&c, out);
    status = tsr_buffer_status(out, error);
  }
  json_decref(c.root);
  return status;
}

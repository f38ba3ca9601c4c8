// SPDX-License-Identifier: Apache-2.0
// Plans from configurations: what is written for each family, and the exact
// words when configuration and checkpoint contradict each other.
#include "compiler/hf_config.h"

#include <stdlib.h>

#include "base/memory.h"
#include "test.h"

// A checkpoint described by numbers instead of files.
typedef struct checkpoint {
  const char *prefix;
  bool encoder;
  uint32_t blocks, hidden, intermediate, query, key_value;
  bool qkv_bias, o_bias, mlp_bias;
  const char *missing;    // a tensor that is not there, or NULL
  const char *misshapen;  // a tensor with one row more, or NULL
} checkpoint;

typedef struct part {
  const char *name;
  uint32_t rows, columns;
  bool bias;
} part;

enum { PART_COUNT = 7 };

static void list_parts(const checkpoint *c, part out[PART_COUNT]) {
  memset(out, 0, PART_COUNT * sizeof(*out));
  if (c->encoder) {
    const part parts[] = {
        {"attention.self.query", c->query, c->hidden, c->qkv_bias},
        {"attention.self.key", c->query, c->hidden, c->qkv_bias},
        {"attention.self.value", c->query, c->hidden, c->qkv_bias},
        {"attention.output.dense", c->hidden, c->query, c->o_bias},
        {"intermediate.dense", c->intermediate, c->hidden, c->mlp_bias},
        {"output.dense", c->hidden, c->intermediate, c->mlp_bias}};
    memcpy(out, parts, sizeof(parts));
    return;
  }
  const part parts[] = {
      {"self_attn.q_proj", c->query, c->hidden, c->qkv_bias},
      {"self_attn.k_proj", c->key_value, c->hidden, c->qkv_bias},
      {"self_attn.v_proj", c->key_value, c->hidden, c->qkv_bias},
      {"self_attn.o_proj", c->hidden, c->query, c->o_bias},
      {"mlp.gate_proj", c->intermediate, c->hidden, c->mlp_bias},
      {"mlp.up_proj", c->intermediate, c->hidden, c->mlp_bias},
      {"mlp.down_proj", c->hidden, c->intermediate, c->mlp_bias}};
  memcpy(out, parts, sizeof(parts));
}

static bool find(void *context, const char *name, uint64_t *out_rows,
                 uint64_t *out_columns) {
  const checkpoint *c = context;
  part parts[PART_COUNT];
  size_t prefix = strlen(c->prefix);
  if (c->missing != NULL && strcmp(name, c->missing) == 0) return false;
  if (strncmp(name, c->prefix, prefix) != 0) return false;
  char *rest = NULL;
  unsigned long block = strtoul(name + prefix, &rest, 10);
  if (rest == name + prefix || block >= c->blocks || *rest != '.') return false;
  uint64_t more = c->misshapen != NULL && strcmp(name, c->misshapen) == 0;
  list_parts(c, parts);
  for (int i = 0; i < PART_COUNT && parts[i].name != NULL; ++i) {
    size_t size = strlen(parts[i].name);
    if (strncmp(rest + 1, parts[i].name, size) != 0) continue;
    const char *suffix = rest + 1 + size;
    bool bias = strcmp(suffix, ".bias") == 0;
    if (bias ? !parts[i].bias : strcmp(suffix, ".weight") != 0) continue;
    *out_rows = parts[i].rows + more;
    *out_columns = bias ? 1 : parts[i].columns;
    return true;
  }
  return false;
}

static tsr_hf_model make_model(const char *config, checkpoint *c) {
  return (tsr_hf_model){.config = config,
                        .config_size = strlen(config),
                        .name = "tiny",
                        .weights_path = "model.safetensors",
                        .masks_format = TSR_MASK_PATCH,
                        .masks_path = "mask.npz",
                        .find = find,
                        .context = c};
}

// ---------------------------------------------------------------------------
// What is written

static const checkpoint tiny_llama = {.prefix = "model.layers.",
                                      .blocks = 2,
                                      .hidden = 64,
                                      .intermediate = 128,
                                      .query = 64,
                                      .key_value = 32};

#define LLAMA_CONFIG                                         \
  "{\"model_type\": \"llama\", \"hidden_size\": 64, "        \
  "\"intermediate_size\": 128, \"num_hidden_layers\": 2, "   \
  "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, " \
  "\"hidden_act\": \"silu\", \"torch_dtype\": \"bfloat16\""

static const char llama_plan[] =
    "# A starting plan for llama, written by tesserac init.\n"
    "# Residual additions are left to the application: say `residual;` in "
    "\"o\" and\n"
    "# \"down\" to fuse them.\n"
    "model \"tiny\";\n"
    "weights \"model.safetensors\";\n"
    "masks patch \"mask.npz\";\n"
    "target host;\n"
    "tokens 1, 2..16, 17..;\n"
    "tile 128x128;\n"
    "type bf16;\n"
    "output bf16;\n"
    "\n"
    "for i in 0..1 {\n"
    "  layer \"layers.{i}.qkv\" {\n"
    "    concat \"model.layers.{i}.self_attn.q_proj.weight\", "
    "\"model.layers.{i}.self_attn.k_proj.weight\", "
    "\"model.layers.{i}.self_attn.v_proj.weight\";\n"
    "  }\n"
    "  layer \"layers.{i}.o\" {\n"
    "    weight \"model.layers.{i}.self_attn.o_proj.weight\";\n"
    "  }\n"
    "  layer \"layers.{i}.gate_up\" {\n"
    "    interleave \"model.layers.{i}.mlp.gate_proj.weight\", "
    "\"model.layers.{i}.mlp.up_proj.weight\";\n"
    "    activation swiglu;\n"
    "  }\n"
    "  layer \"layers.{i}.down\" {\n"
    "    weight \"model.layers.{i}.mlp.down_proj.weight\";\n"
    "  }\n"
    "}\n";

static void test_llama(void) {
  checkpoint c = tiny_llama;
  tsr_hf_model model = make_model(LLAMA_CONFIG "}", &c);
  tsr_buffer out;
  tsr_buffer_init(&out);
  CHECK_EQ(tsr_hf_write_plan(&model, &out, NULL), TSR_OK);
  CHECK_STR(tsr_buffer_text(&out), llama_plan);
  tsr_buffer_fini(&out);
}

// The plan for |config| contains each of |parts| (NULL-terminated).
static void expect_parts(const char *config, checkpoint c,
                         const char *const *parts) {
  tsr_hf_model model = make_model(config, &c);
  tsr_error error = {0};
  tsr_buffer out;
  tsr_buffer_init(&out);
  CHECK_EQ(tsr_hf_write_plan(&model, &out, &error), TSR_OK);
  CHECK_STR(error.message, "");
  for (; *parts != NULL; ++parts) {
    bool found = strstr(tsr_buffer_text(&out), *parts) != NULL;
    if (!found) fprintf(stderr, "not in the plan: %s\n", *parts);
    CHECK(found);
  }
  tsr_buffer_fini(&out);
}

static void test_qwen2(void) {
  checkpoint c = {.prefix = "model.layers.",
                  .blocks = 3,
                  .hidden = 56,
                  .intermediate = 100,
                  .query = 56,
                  .key_value = 16,
                  .qkv_bias = true};
  expect_parts(
      "{\"model_type\": \"qwen2\", \"hidden_size\": 56, "
      "\"intermediate_size\": 100, \"num_hidden_layers\": 3, "
      "\"num_attention_heads\": 7, \"num_key_value_heads\": 2, "
      "\"torch_dtype\": \"float16\"}",
      c,
      (const char *[]){
          "for i in 0..2 {\n", "type f16;\noutput f16;\n",
          "\"model.layers.{i}.self_attn.v_proj.weight\";\n    bias;\n  }\n",
          "o_proj.weight\";\n  }\n", "activation swiglu;", NULL});
}

static void test_gemma2(void) {
  checkpoint c = {.prefix = "model.layers.",
                  .blocks = 1,
                  .hidden = 48,
                  .intermediate = 96,
                  .query = 8 * 256,
                  .key_value = 4 * 256};
  expect_parts(
      "{\"model_type\": \"gemma2\", \"hidden_size\": 48, "
      "\"intermediate_size\": 96, \"num_hidden_layers\": 1, "
      "\"hidden_act\": \"gelu\", \"attention_bias\": false}",
      c,
      (const char *[]){"for i in 0..0 {\n", "type bf16;\noutput f32;\n",
                       "activation geglu_tanh;", NULL});
}

// Models of text and images: text_config, and the prefix that goes with it.
static void test_gemma3(void) {
  checkpoint c = {.prefix = "language_model.model.layers.",
                  .blocks = 2,
                  .hidden = 48,
                  .intermediate = 96,
                  .query = 8 * 32,
                  .key_value = 4 * 32};
  static const char *const parts[] = {
      "for i in 0..1 {\n", "activation geglu_tanh;", "type bf16;\noutput bf16",
      "weight \"language_model.model.layers.{i}.self_attn.o_proj.weight\";",
      NULL};
  expect_parts(
      "{\"model_type\": \"gemma3\", \"torch_dtype\": \"bfloat16\", "
      "\"vision_config\": {\"hidden_size\": 99}, \"text_config\": {"
      "\"model_type\": \"gemma3_text\", \"hidden_size\": 48, "
      "\"intermediate_size\": 96, \"num_hidden_layers\": 2, "
      "\"head_dim\": 32, \"hidden_activation\": \"gelu_pytorch_tanh\"}}",
      c, parts);
  c.prefix = "model.language_model.layers.";
  expect_parts(
      "{\"model_type\": \"gemma3\", \"dtype\": \"bfloat16\", "
      "\"text_config\": {\"hidden_size\": 48, \"intermediate_size\": 96, "
      "\"num_hidden_layers\": 2, \"head_dim\": 32}}",
      c, (const char *[]){"\"model.language_model.layers.{i}.mlp", NULL});
}

static void test_bert(void) {
  static const char config[] =
      "{\"model_type\": \"bert\", \"hidden_size\": 48, "
      "\"intermediate_size\": 192, \"num_hidden_layers\": 6, "
      "\"num_attention_heads\": 12, \"hidden_act\": \"gelu\"}";
  checkpoint c = {.prefix = "encoder.layer.",
                  .encoder = true,
                  .blocks = 6,
                  .hidden = 48,
                  .intermediate = 192,
                  .query = 48,
                  .qkv_bias = true,
                  .o_bias = true,
                  .mlp_bias = true};
  expect_parts(
      config, c,
      (const char *[]){
          "for i in 0..5 {\n",
          "layer \"encoder.{i}.qkv\" {\n"
          "    concat \"encoder.layer.{i}.attention.self.query.weight\"",
          "    weight \"encoder.layer.{i}.attention.output.dense.weight\";\n"
          "    bias;\n",
          "intermediate.dense.weight\";\n    bias;\n"
          "    activation gelu_erf;\n",
          "layer \"encoder.{i}.down\" {\n"
          "    weight \"encoder.layer.{i}.output.dense.weight\";\n"
          "    bias;\n  }\n",
          NULL});
  c.prefix = "bert.encoder.layer.";
  expect_parts(
      config, c,
      (const char *[]){"\"bert.encoder.layer.{i}.intermediate.dense.weight\"",
                       NULL});
}

static void test_biases_of_some(void) {
  checkpoint c = tiny_llama;
  c.qkv_bias = true;
  c.missing = "model.layers.0.self_attn.k_proj.bias";
  c.blocks = 1;
  expect_parts(
      "{\"model_type\": \"llama\", \"hidden_size\": 64, "
      "\"intermediate_size\": 128, \"num_hidden_layers\": 1, "
      "\"num_attention_heads\": 4, \"num_key_value_heads\": 2}",
      c,
      (const char *[]){"bias \"model.layers.{i}.self_attn.q_proj.bias\", "
                       "none, \"model.layers.{i}.self_attn.v_proj.bias\";",
                       NULL});
}

static void test_activations(void) {
  static const char *const names[][2] = {{"silu", "swiglu"},
                                         {"gelu", "geglu_erf"},
                                         {"gelu_new", "geglu_tanh"},
                                         {"gelu_fast", "geglu_tanh"},
                                         {"gelu_pytorch_tanh", "geglu_tanh"}};
  for (int i = 0; i < 5; ++i) {
    char config[512], wanted[64];
    snprintf(config, sizeof(config),
             "{\"model_type\": \"mistral\", \"hidden_size\": 64, "
             "\"intermediate_size\": 128, \"num_hidden_layers\": 2, "
             "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
             "\"head_dim\": null, \"hidden_act\": \"%s\"}",
             names[i][0]);
    snprintf(wanted, sizeof(wanted), "activation %s;\n", names[i][1]);
    expect_parts(config, tiny_llama, (const char *[]){wanted, NULL});
  }
}

// Paths are strings of the plan language; masks may be still to come.
static void test_paths(void) {
  checkpoint c = tiny_llama;
  tsr_hf_model model = make_model(LLAMA_CONFIG "}", &c);
  model.weights_path = "a \"b\"\\{c}.safetensors";
  model.masks_format = TSR_MASK_NONE;
  tsr_buffer out;
  tsr_buffer_init(&out);
  CHECK_EQ(tsr_hf_write_plan(&model, &out, NULL), TSR_OK);
  CHECK(strstr(tsr_buffer_text(&out),
               "weights \"a \\\"b\\\"\\\\\\{c\\}.safetensors\";\n"
               "# No masks yet: `tesserac mask` makes them, then uncomment "
               "this line.\n"
               "# masks patch \"mask.npz\";\n"
               "target") != NULL);
  tsr_buffer_clear(&out);
  model.masks_format = TSR_MASK_MASKLLM;
  CHECK_EQ(tsr_hf_write_plan(&model, &out, NULL), TSR_OK);
  CHECK(strstr(tsr_buffer_text(&out), "\nmasks maskllm \"mask.npz\";\n") !=
        NULL);
  tsr_buffer_fini(&out);
}

// ---------------------------------------------------------------------------
// What is refused

static void expect_error(const char *config, checkpoint c, tsr_status status,
                         const char *message) {
  tsr_hf_model model = make_model(config, &c);
  tsr_error error = {0};
  tsr_buffer out;
  tsr_buffer_init(&out);
  CHECK_EQ(tsr_hf_write_plan(&model, &out, &error), status);
  CHECK_STR(error.message, message);
  CHECK_EQ(out.size, 0);
  tsr_buffer_fini(&out);
}

static void test_bad_configs(void) {
  static const struct {
    const char *config;
    tsr_status status;
    const char *message;
  } cases[] = {
      {"{", TSR_CORRUPT,
       "config.json: JSON, line 1, column 1: string or '}' expected near end "
       "of file"},
      {"[]", TSR_CORRUPT, "config.json: not a JSON object"},
      {"{}", TSR_CORRUPT, "config.json: 'model_type' is missing"},
      {"{\"model_type\": 7}", TSR_CORRUPT,
       "config.json: 'model_type' is not a text"},
      {"{\"model_type\": \"mamba\"}", TSR_UNSUPPORTED,
       "config.json: architecture 'mamba' is not known; known are llama, "
       "mistral, qwen2, qwen3, gemma, gemma2, gemma3, bert, roberta, "
       "xlm-roberta, camembert, electra"},
      {"{\"model_type\": \"llama\"}", TSR_CORRUPT,
       "config.json: 'hidden_size' is missing"},
      {"{\"model_type\": \"llama\", \"hidden_size\": 0}", TSR_CORRUPT,
       "config.json: 'hidden_size' is not a count between 1 and 16777216"},
      {"{\"model_type\": \"llama\", \"hidden_size\": 16777217}", TSR_CORRUPT,
       "config.json: 'hidden_size' is not a count between 1 and 16777216"},
      {"{\"model_type\": \"llama\", \"hidden_size\": \"64\"}", TSR_CORRUPT,
       "config.json: 'hidden_size' is not a count between 1 and 16777216"},
      {"{\"model_type\": \"bert\", \"hidden_size\": 64, "
       "\"intermediate_size\": 128, \"num_hidden_layers\": 2, "
       "\"num_attention_heads\": 5}",
       TSR_CORRUPT,
       "config.json: 'hidden_size' 64 is not a multiple of "
       "'num_attention_heads' 5"},
      {LLAMA_CONFIG ", \"quantization_config\": {}}", TSR_UNSUPPORTED,
       "config.json: 'quantization_config': init reads plain checkpoints "
       "only; write the plan by hand (docs/language.md)"},
      {LLAMA_CONFIG ", \"hidden_activation\": \"mish\"}", TSR_UNSUPPORTED,
       "config.json: 'hidden_activation': activation 'mish' is not known"},
      {LLAMA_CONFIG ", \"hidden_activation\": \"relu\"}", TSR_UNSUPPORTED,
       "config.json: 'hidden_activation': activation 'relu' is not known"},
      {LLAMA_CONFIG ", \"dtype\": \"float64\"}", TSR_UNSUPPORTED,
       "config.json: 'torch_dtype': 'float64' is not float32, float16 or "
       "bfloat16"},
      {LLAMA_CONFIG ", \"hidden_size\": 64}", TSR_CORRUPT,
       "config.json: JSON, line 1, column 207: duplicate object key near "
       "'\"hidden_size\"'"},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
    expect_error(cases[i].config, tiny_llama, cases[i].status,
                 cases[i].message);
  }
}

static void test_contradictions(void) {
  static const char config[] = LLAMA_CONFIG "}";
  checkpoint c = tiny_llama;
  c.prefix = "transformer.h.";
  expect_error(config, c, TSR_MISMATCH,
               "the checkpoint has no tensor "
               "'model.layers.0.self_attn.q_proj.weight' (nor one under "
               "another usual prefix), which config.json's 'llama' promises");
  c = tiny_llama;
  c.missing = "model.layers.1.mlp.up_proj.weight";
  expect_error(config, c, TSR_MISMATCH,
               "the checkpoint has no tensor "
               "'model.layers.1.mlp.up_proj.weight', which config.json "
               "promises ('num_hidden_layers' 2)");
  c = tiny_llama;
  c.blocks = 3;
  expect_error(config, c, TSR_MISMATCH,
               "the checkpoint has a tensor "
               "'model.layers.2.self_attn.q_proj.weight', but config.json "
               "promises no more than 'num_hidden_layers' 2");
  c = tiny_llama;
  c.key_value = 64;
  expect_error(config, c, TSR_MISMATCH,
               "tensor 'model.layers.0.self_attn.k_proj.weight' is [64, 64], "
               "but config.json promises [32, 64] (num_key_value_heads x "
               "head_dim, hidden_size)");
  c = tiny_llama;
  c.misshapen = "model.layers.1.mlp.down_proj.weight";
  expect_error(config, c, TSR_MISMATCH,
               "tensor 'model.layers.1.mlp.down_proj.weight' is [65, 128], "
               "but config.json promises [64, 128] (hidden_size, "
               "intermediate_size)");
}

static void test_contradicting_biases(void) {
  checkpoint c = tiny_llama;
  expect_error(LLAMA_CONFIG ", \"attention_bias\": true}", c, TSR_MISMATCH,
               "the checkpoint has no tensor "
               "'model.layers.0.self_attn.q_proj.bias', which config.json's "
               "'llama' promises");
  c.mlp_bias = true;
  expect_error(LLAMA_CONFIG ", \"mlp_bias\": false}", c, TSR_MISMATCH,
               "the checkpoint has a tensor "
               "'model.layers.0.mlp.gate_proj.bias', which config.json's "
               "'llama' does not have");
  c.missing = "model.layers.1.mlp.gate_proj.bias";
  expect_error(LLAMA_CONFIG "}", c, TSR_MISMATCH,
               "the checkpoint has no tensor "
               "'model.layers.1.mlp.gate_proj.bias', which config.json's "
               "'llama' promises");
  c = tiny_llama;
  c.o_bias = true;
  c.misshapen = "model.layers.1.self_attn.o_proj.bias";
  expect_error(LLAMA_CONFIG "}", c, TSR_MISMATCH,
               "tensor 'model.layers.1.self_attn.o_proj.bias' is not a vector "
               "of 64, as config.json promises (hidden_size)");
}

static void test_out_of_memory(void) {
  checkpoint c = tiny_llama;
  tsr_hf_model model = make_model(LLAMA_CONFIG "}", &c);
  uint64_t nth = 0;
  uint64_t used;
  do {
    tsr_error error = {0};
    tsr_buffer out;
    tsr_buffer_init(&out);
    (void)tsr_memory_fail_at(++nth);
    tsr_status status = tsr_hf_write_plan(&model, &out, &error);
    used = tsr_memory_fail_at(0);
    CHECK_EQ(status, used < nth ? TSR_OK : TSR_OUT_OF_MEMORY);
    tsr_buffer_fini(&out);
  } while (used >= nth);
  CHECK(nth > 10);
}

int main(void) {
  test_llama();
  test_qwen2();
  test_gemma2();
  test_gemma3();
  test_bert();
  test_biases_of_some();
  test_activations();
  test_paths();
  test_bad_configs();
  test_contradictions();
  test_contradicting_biases();
  test_out_of_memory();
  return test_finish();
}

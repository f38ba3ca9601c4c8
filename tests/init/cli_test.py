# SPDX-License-Identifier: Apache-2.0
"""tesserac init on small Hugging Face folders, one per architecture: what it
writes is checked, is canonical, and names its files from where it lies.

usage: cli_test.py TESSERAC WORK_FOLDER
"""
import json
import os
import shutil
import struct
import subprocess
import sys

TESSERAC, WORK = sys.argv[1:]


def run(*args, code=0, cwd=WORK):
    done = subprocess.run([TESSERAC, *args], cwd=cwd, capture_output=True,
                          text=True)
    assert done.returncode == code, (args, done.returncode, done.stdout,
                                     done.stderr)
    return done


def save(path, shapes, kind="BF16"):
    size = 4 if kind == "F32" else 2
    header, at = {}, 0
    for name, shape in shapes.items():
        count = size
        for side in shape:
            count *= side
        header[name] = {"dtype": kind, "shape": shape,
                        "data_offsets": [at, at + count]}
        at += count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + bytes(at))


def decoder(prefix, blocks, hidden, inter, q, kv, qkv_bias=False):
    shapes = {"model.embed_tokens.weight": [10, hidden]}
    for i in range(blocks):
        b = f"{prefix}{i}."
        for name, rows in ("q", q), ("k", kv), ("v", kv):
            shapes[f"{b}self_attn.{name}_proj.weight"] = [rows, hidden]
            if qkv_bias:
                shapes[f"{b}self_attn.{name}_proj.bias"] = [rows]
        shapes[b + "self_attn.o_proj.weight"] = [hidden, q]
        shapes[b + "mlp.gate_proj.weight"] = [inter, hidden]
        shapes[b + "mlp.up_proj.weight"] = [inter, hidden]
        shapes[b + "mlp.down_proj.weight"] = [hidden, inter]
        shapes[b + "input_layernorm.weight"] = [hidden]
    return shapes


def encoder(prefix, blocks, hidden, inter):
    shapes = {"embeddings.word_embeddings.weight": [10, hidden]}
    for i in range(blocks):
        b = f"{prefix}{i}."
        for name, rows, columns in (
                ("attention.self.query", hidden, hidden),
                ("attention.self.key", hidden, hidden),
                ("attention.self.value", hidden, hidden),
                ("attention.output.dense", hidden, hidden),
                ("intermediate.dense", inter, hidden),
                ("output.dense", hidden, inter)):
            shapes[b + name + ".weight"] = [rows, columns]
            shapes[b + name + ".bias"] = [rows]
    return shapes


def config(model_type, hidden, inter, blocks, heads, **more):
    return {"model_type": model_type, "hidden_size": hidden,
            "intermediate_size": inter, "num_hidden_layers": blocks,
            "num_attention_heads": heads, **more}


FOLDERS = {
    "llama": (config("llama", 64, 160, 2, 4, num_key_value_heads=2,
                     hidden_act="silu", torch_dtype="bfloat16",
                     architectures=["LlamaForCausalLM"]),
              decoder("model.layers.", 2, 64, 160, 64, 32), "swiglu", 8),
    "mistral": (config("mistral", 64, 160, 1, 4, num_key_value_heads=2,
                       hidden_act="silu", head_dim=32),
                decoder("model.layers.", 1, 64, 160, 128, 64), "swiglu", 4),
    "qwen2.5": (config("qwen2", 56, 96, 3, 7, num_key_value_heads=1,
                       hidden_act="silu", torch_dtype="bfloat16"),
                decoder("model.layers.", 3, 56, 96, 56, 8, True), "swiglu",
                12),
    "gemma-2": (config("gemma2", 48, 96, 2, 4, num_key_value_heads=2,
                       head_dim=32, hidden_activation="gelu_pytorch_tanh"),
                decoder("model.layers.", 2, 48, 96, 128, 64), "geglu_tanh",
                8),
    "gemma-3-1b": (config("gemma3_text", 48, 96, 2, 4, head_dim=32,
                          num_key_value_heads=1,
                          hidden_activation="gelu_pytorch_tanh"),
                   decoder("model.layers.", 2, 48, 96, 128, 32),
                   "geglu_tanh", 8),
    "gemma-3-4b": ({"model_type": "gemma3", "torch_dtype": "bfloat16",
                    "text_config": {"model_type": "gemma3_text",
                                    "hidden_size": 48, "head_dim": 16,
                                    "intermediate_size": 96,
                                    "num_hidden_layers": 2}},
                   decoder("language_model.model.layers.", 2, 48, 96, 128,
                           64), "geglu_tanh", 8),
    "bert": (config("bert", 48, 192, 6, 12, hidden_act="gelu"),
             encoder("encoder.layer.", 6, 48, 192), "gelu_erf", 24),
    "bert-prefixed": (config("bert", 48, 192, 1, 12, hidden_act="gelu_new"),
                      encoder("bert.encoder.layer.", 1, 48, 192),
                      "gelu_tanh", 4),
}


def make_folder(name, settings, shapes):
    folder = os.path.join(WORK, name)
    os.makedirs(folder)
    with open(folder + "/config.json", "w") as f:
        json.dump(settings, f)
    save(folder + "/model.safetensors", shapes)
    return folder


def read(path):
    with open(os.path.join(WORK, path)) as f:
        return f.read()


def test_architectures():
    for name, (settings, shapes, activation, layers) in FOLDERS.items():
        make_folder(name, settings, shapes)
        plan = name + ".tess"
        run("init", "--from-hf", name, "-o", plan)
        text = read(plan)
        assert f'weights "{name}/model.safetensors";' in text, text
        assert f"activation {activation};" in text, text
        assert run("fmt", plan).stdout in ("", text)
        assert read(plan) == text, "not canonical"
        dump = run("check", plan)
        assert f"{layers} layers" in dump.stderr, dump.stderr


def test_places():
    # Beside the weights, deeper, elsewhere; and on standard output.
    run("init", "--from-hf", ".", cwd=WORK + "/llama")
    assert 'weights "model.safetensors";' in read("llama/model.tess")
    assert 'model "llama";' in read("llama/model.tess")
    os.makedirs(WORK + "/plans/deep")
    run("init", "--from-hf", "llama", "-o", "plans/deep/x.tess")
    assert ('weights "../../llama/model.safetensors";'
            in read("plans/deep/x.tess"))
    run("check", "plans/deep/x.tess")
    run("check", "x.tess", cwd=WORK + "/plans/deep")
    done = run("init", "--from-hf", "../llama", "-o", "-",
               cwd=WORK + "/plans")
    assert 'weights "../llama/model.safetensors";' in done.stdout
    # A folder whose name starts like another's.
    os.makedirs(WORK + "/llam")
    run("init", "--from-hf", "llama", "-o", "llam/x.tess")
    assert 'weights "../llama/model.safetensors";' in read("llam/x.tess")
    # Never over a file by accident.
    before = read("llam/x.tess")
    done = run("init", "--from-hf", "bert", "-o", "llam/x.tess", code=3)
    assert "llam/x.tess exists; give --force to replace it" in done.stderr
    assert read("llam/x.tess") == before
    run("init", "--from-hf", "bert", "-o", "llam/x.tess", "--force")
    assert read("llam/x.tess") != before


def test_targets():
    """--target names targets, in order, once each; the host is the default."""
    assert "\ntarget host;\n" in read("llama.tess")
    run("init", "--from-hf", "llama", "-o", "gpu.tess", "--target", "sm_90",
        "--target", "host", "--target", "sm_90", "--target", "sm_80")
    assert ("\ntarget cuda sm_90;\ntarget host;\ntarget cuda sm_80;\n"
            "tokens" in read("gpu.tess")), read("gpu.tess")
    run("check", "gpu.tess")
    done = run("init", "--from-hf", "llama", "-o", "-", "--target", "cuda")
    assert "\ntarget cuda;\ntokens" in done.stdout, done.stdout
    run("init", "--from-hf", "llama", "-o", "-", "--target", "sm_70", code=2)


def test_masks():
    """Masks that are there are named; others are made where it is said."""
    text = read("llama.tess")
    assert '# masks patch "mask.npz";\n' in text
    run("mask", "llama.tess", "-o", "llama/mask.npz", "--sparsity", "0.4",
        "--tile", "16x32")
    run("init", "--from-hf", "llama", "-o", "masked.tess")
    assert '\nmasks patch "llama/mask.npz";\n' in read("masked.tess")
    run("check", "masked.tess")
    # Named by the user: from the plan's place, there or not.
    run("init", "--from-hf", "llama", "-o", "plans/m.tess", "--masks",
        "bert/new.npz")
    assert '\nmasks patch "../bert/new.npz";\n' in read("plans/m.tess")
    run("init", "--from-hf", "llama", "-o", "plans/n.tess", "--masks",
        "mask_compressed.npz")
    assert ('\nmasks maskllm "../mask_compressed.npz";\n'
            in read("plans/n.tess"))
    run("mask", "plans/m.tess", "-o", "bert/new.npz", "--sparsity", "0.4",
        "--tile", "16x32")
    run("check", "plans/m.tess")
    done = run("init", "--from-hf", "llama", "-o", "plans/o.tess", "--masks",
               "gone/m.npz", code=1)
    assert "gone: No such file or directory" in done.stderr, done.stderr


def test_other_files():
    shapes = FOLDERS["llama"][1]
    folder = make_folder("sharded", FOLDERS["llama"][0], {})
    os.remove(folder + "/model.safetensors")
    names = sorted(shapes)
    parts = {"a.safetensors": names[:5], "b.safetensors": names[5:]}
    for part, members in parts.items():
        save(f"{folder}/{part}", {n: shapes[n] for n in members})
    done = run("init", "--from-hf", "sharded", "-o", "s.tess", code=1)
    assert ("sharded: no model.safetensors, no model.safetensors.index.json "
            "and not exactly one other *.safetensors" in done.stderr)
    index = {"metadata": {}, "weight_map": {
        n: part for part, members in parts.items() for n in members}}
    with open(folder + "/model.safetensors.index.json", "w") as f:
        json.dump(index, f)
    run("init", "--from-hf", "sharded", "-o", "s.tess")
    assert 'weights "sharded/model.safetensors.index.json";' in read("s.tess")
    run("check", "s.tess")
    folder = make_folder("odd name {1}", *FOLDERS["bert"][:2])
    os.rename(folder + "/model.safetensors", folder + "/w.safetensors")
    run("init", "--from-hf", "odd name {1}", "-o", "odd.tess")
    assert 'weights "odd name \\{1\\}/w.safetensors";' in read("odd.tess")
    assert 'model "odd-name--1-";' in read("odd.tess")
    run("check", "odd.tess")


def expect(words, folder, code=1):
    done = run("init", "--from-hf", folder, "-o", "no.tess", code=code)
    assert words in done.stderr, done.stderr
    assert not os.path.exists(WORK + "/no.tess")


def test_mistakes():
    settings, shapes = FOLDERS["llama"][:2]
    expect("nothere: No such file or directory", "nothere")
    os.makedirs(WORK + "/empty")
    expect("empty/config.json: ", "empty")
    make_folder("mamba", {"model_type": "mamba"}, shapes)
    expect("mamba: config.json: architecture 'mamba' is not known; known are "
           "llama, mistral, qwen2,", "mamba", code=3)
    make_folder("heads", dict(settings, num_key_value_heads=4), shapes)
    expect("heads: tensor 'model.layers.0.self_attn.k_proj.weight' is "
           "[32, 64], but config.json promises [64, 64] (num_key_value_heads "
           "x head_dim, hidden_size)", "heads")
    make_folder("more", dict(settings, num_hidden_layers=3), shapes)
    expect("more: the checkpoint has no tensor "
           "'model.layers.2.self_attn.q_proj.weight', which config.json "
           "promises ('num_hidden_layers' 3)", "more")
    make_folder("rank", settings, dict(
        shapes, **{"model.layers.1.mlp.up_proj.weight": [160, 8, 8]}))
    expect("'model.layers.1.mlp.up_proj.weight' is [0, 0], but", "rank")
    folder = make_folder("damaged", settings, shapes)
    with open(folder + "/model.safetensors", "r+b") as f:
        f.truncate(100)
    expect("damaged/model.safetensors", "damaged")
    run("init", code=2)


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    test_architectures()
    test_places()
    test_targets()
    test_masks()
    test_other_files()
    test_mistakes()
    print("tesserac init: all as expected")


if __name__ == "__main__":
    main()

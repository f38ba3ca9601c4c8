# SPDX-License-Identifier: Apache-2.0
"""tesserac mask from the outside: numpy reads what it writes, plans and bare
checkpoints agree, mistakes have their words, interrupts leave nothing.

usage: cli_test.py TESSERAC WORK_FOLDER
"""
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time

import numpy as np

import oracle

TESSERAC, WORK = sys.argv[1:]


def run(*args, code=0):
    done = subprocess.run([TESSERAC, *args], cwd=WORK, capture_output=True,
                          text=True)
    assert done.returncode == code, (args, done.returncode, done.stdout,
                                     done.stderr)
    return done


def save(path, tensors):
    """A safetensors file of {name: (type, array)}."""
    header, data = {}, b""
    for name, (kind, array) in tensors.items():
        if kind == "BF16":
            raw = (array.astype(np.float32).view(np.uint32) >> 16).astype(
                np.uint16).tobytes()
        else:
            raw = array.astype({"F32": np.float32, "F16": np.float16}[kind]
                               ).tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(WORK, path), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def as_read(kind, array):
    """The values that a reader of |kind| sees."""
    if kind == "F16":
        return array.astype(np.float16).astype(np.float32)
    a = array.astype(np.float32)
    if kind == "BF16":
        return (a.view(np.uint32) & 0xFFFF0000).astype(np.uint32).view(
            np.float32)
    return a


def compare(path, names, tensors, target, per_tensor=0):
    """The archive holds what the oracle expects of |tensors|."""
    got = np.load(os.path.join(WORK, path))
    want = oracle.expected(tensors, target, per_tensor, oracle.RELATIVE)
    keys = sum(([n, n + ".__shape__"] for n in names), []) + ["__meta__"]
    assert list(got.keys()) == keys, list(got.keys())
    for name, tensor, (_, mask, _, _) in zip(names, tensors, want):
        shape = got[name + ".__shape__"]
        assert shape.dtype == np.int64 and tuple(shape) == tensor.w.shape
        assert got[name].dtype == np.uint8
        bits = np.unpackbits(got[name])[:shape.prod()].reshape(shape)
        assert (bits == mask).all(), name
    kept = sum(int(w[1].sum()) for w in want)
    total = sum(t.w.size for t in tensors)
    return json.loads(str(got["__meta__"])), 1 - kept / total


def make_weights():
    rng = np.random.default_rng(5)
    shapes = {
        "model.layers.0.q.weight": ("BF16", (64, 96)),
        "model.layers.0.k.weight": ("F16", (32, 96)),
        "model.layers.0.gate.weight": ("F32", (80, 96)),
        "model.layers.0.up.weight": ("F32", (80, 96)),
        "model.layers.0.norm.weight": ("F32", (96,)),
        "model.embed.weight": ("F32", (40, 96)),
    }
    tensors = {n: (kind, oracle.matrix(rng, *(s if len(s) == 2 else (1, s[0]))
                                       ).reshape(s))
               for n, (kind, s) in shapes.items()}
    save("w.safetensors", tensors)
    norms = {n[:-7] + ".input_norm": ("F32", rng.random(96))
             for n in shapes if len(shapes[n][1]) == 2}
    save("norms.safetensors", norms)
    return tensors, norms


def as_tensors(weights, names, norms=None, partners={}):
    return [oracle.Tensor(
        as_read(*weights[n]), (16, 32),
        None if norms is None else norms[n[:-7] + ".input_norm"][1],
        partners.get(n, oracle.NO_PARTNER)) for n in names]


def test_weights(weights, norms):
    names = [n for n in weights if ".layers." in n and "norm" not in n]
    common = ["mask", "--weights", "w.safetensors", "--tile", "16x32"]
    done = run(*common, "-o", "a.npz", "--sparsity", "0.45")
    meta, sparsity = compare("a.npz", names, as_tensors(weights, names), 0.45)
    assert meta["method"] == "magnitude" and meta["sparsity"] == 0.45
    assert meta["base_model"] == "w.safetensors"
    assert meta["pattern"] == "Dense/2:4 tiles"
    assert abs(meta["measured_sparsity"] - sparsity) < 1e-6
    assert all(n in done.stdout for n in names), done.stdout
    for jobs in "1", "3", "256":
        run(*common, "-o", "b.npz", "--sparsity", "0.45", "-j", jobs)
        assert (open(WORK + "/a.npz", "rb").read() ==
                open(WORK + "/b.npz", "rb").read()), jobs
    run(*common, "-o", "c.npz", "--sparsity", "0.3", "--per-layer")
    compare("c.npz", names, as_tensors(weights, names), 0.3, 1)
    run(*common, "-o", "d.npz", "--sparsity", "0.25", "--score", "wanda",
        "--norms", "norms.safetensors", "--tensors", "*.q.weight",
        "--tensors", "*embed*")
    names = ["model.layers.0.q.weight", "model.embed.weight"]
    meta, _ = compare("d.npz", names, as_tensors(weights, names, norms), 0.25)
    assert meta["method"] == "wanda"


PLAN = """model "toy";
weights "w.safetensors";
masks patch "mask.npz";
target host generic;
tile 16x32;
layer "qk" {
  concat "model.layers.0.q.weight", "model.layers.0.k.weight";
}
layer "gate_up" {
  interleave "model.layers.0.gate.weight", "model.layers.0.up.weight";
  activation swiglu;
}
layer "q_again" {
  weight "model.layers.0.q.weight";
  dense;
}
"""


def test_plan(weights):
    with open(WORK + "/toy.tess", "w") as f:
        f.write(PLAN)
    names = ["model.layers.0." + n + ".weight" for n in
             ("q", "k", "gate", "up")]
    tensors = as_tensors(weights, names, None,
                         {"model.layers.0.up.weight": 2})
    run("mask", "toy.tess", "-o", "mask.npz", "--sparsity", "0.4")
    meta, _ = compare("mask.npz", names, tensors, 0.4)
    assert meta["base_model"] == "toy"
    run("check", "toy.tess")
    done = run("mask", "toy.tess", "-o", "x.npz", "--sparsity", "0.4",
               "--tile", "48x32")
    assert ("warning: in 1 concatenated layer (first: 'qk') a tensor's rows "
            "are not a multiple of the tile's" in done.stderr), done.stderr


def expect(words, *args, code):
    done = run("mask", *args, code=code)
    assert words in done.stderr, (words, done.stderr)
    assert not os.path.exists(WORK + "/no.npz")


def test_mistakes():
    out = ["-o", "no.npz", "--sparsity"]
    w = ["--weights", "w.safetensors"]
    expect("either a plan or --weights", *out, "0.4", code=2)
    expect("either a plan or --weights", "toy.tess", *w, *out, "0.4", code=2)
    expect("--tensors goes with --weights", "toy.tess", "--tensors", "*",
           *out, "0.4", code=2)
    expect("--score=wanda and --norms go together", *w, "--score", "wanda",
           *out, "0.4", code=2)
    expect("'128x100' is not a shape", *w, "--tile", "128x100", *out, "0.4",
           code=2)
    expect("0.6", *w, *out, "0.6", code=2)
    expect("w.safetensors: no matrix matches 'none*'", *w, "--tensors",
           "none*", *out, "0.4", code=1)
    expect("empty.safetensors: no norms 'model.layers.0.q.input_norm' for "
           "tensor 'model.layers.0.q.weight'", *w,
           "--score", "wanda", "--norms", "empty.safetensors", *out, "0.4",
           code=1)
    expect("nothere.safetensors", "--weights", "nothere.safetensors", *out,
           "0.4", code=1)
    expect("tensor 'model.layers.0.q.weight': weight [3, 7] is not a finite "
           "number", "--weights", "nan.safetensors", *out, "0.4", code=1)
    expect("'model.layers.0.q.input_norm' is not a vector of 96 floats, one "
           "for each column of 'model.layers.0.q.weight'", *w, "--score",
           "wanda", "--norms", "short.safetensors", *out, "0.4", code=1)
    expect("TSR-E201", "missing.tess", *out, "0.4", code=1)
    expect("TSR-E001", "syntax.tess", *out, "0.4", code=1)


def make_mistakes(weights):
    save("empty.safetensors", {})
    bad = weights["model.layers.0.q.weight"][1].copy()
    bad[3, 7] = np.nan
    save("nan.safetensors", {"model.layers.0.q.weight": ("F32", bad)})
    save("short.safetensors",
         {"model.layers.0.q.input_norm": ("F32", np.ones(95))})
    with open(WORK + "/missing.tess", "w") as f:
        f.write(PLAN.replace("layers.0.k", "layers.1.k"))
    with open(WORK + "/syntax.tess", "w") as f:
        f.write(PLAN.replace("concat", "concatenate"))


def test_interrupt():
    """SIGINT in the midst of 100 million weights: no file, no temporary."""
    folder = WORK + "/interrupted"
    os.mkdir(folder)
    path = WORK + "/large.safetensors"
    header = json.dumps({"a.layers.0.weight": {
        "dtype": "BF16", "shape": [16384, 16384],
        "data_offsets": [0, 2 << 28]}}).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(header)) + header)
        f.truncate(8 + len(header) + (2 << 28))  # sparse: zeros
    child = subprocess.Popen(
        [TESSERAC, "mask", "--weights", path, "-o", folder + "/m.npz",
         "--sparsity", "0.4", "-j", "1"], stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL)
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    code = child.wait(60)
    os.remove(path)
    assert code == -signal.SIGINT, code
    assert os.listdir(folder) == [], os.listdir(folder)


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    weights, norms = make_weights()
    test_weights(weights, norms)
    test_plan(weights)
    make_mistakes(weights)
    test_mistakes()
    test_interrupt()
    print("tesserac mask: all as expected")


if __name__ == "__main__":
    main()

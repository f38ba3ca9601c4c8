# SPDX-License-Identifier: Apache-2.0
"""Every plan in docs/language.md becomes a bundle: the files that it names are
made here, with a small tensor for each that it reads.

usage: language_test.py TESSERAC SOURCE_FOLDER
"""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

TESSERAC, SOURCE = sys.argv[1:]
# Rules of an example speak of these rows and columns.
SHAPES = {"up.weight": (256, 640)}


def run(*words):
    done = subprocess.run([TESSERAC, *words], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, (words, done.returncode, done.stderr)
    return done.stdout


def save(path, tensors):
    header, at = {}, 0
    for name, shape in tensors.items():
        size = 2
        for side in shape:
            size *= side
        header[name] = {"dtype": "BF16", "shape": shape,
                        "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        # Finite and not zero: 1.0, 1.0078125, ...
        file.write(struct.pack("<Q", len(text)) + text)
        file.write(b"".join(struct.pack("<H", 0x3f80 + i % 64)
                            for i in range(at // 2)))


def save_weights(path, tensors):
    """A file, or an index with one shard."""
    if not path.endswith(".index.json"):
        save(path, tensors)
        return
    shard = "model-00001-of-00001.safetensors"
    save(os.path.join(os.path.dirname(path), shard), tensors)
    with open(path, "w") as file:
        json.dump({"weight_map": dict.fromkeys(tensors, shard)}, file)


def save_grid(path):
    """One 2:4 tile."""
    head = ("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1), }"
            .ljust(117) + "\n").encode()
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head
                   + b"\x01")


def make_inputs(folder, plan):
    """The files that the dump of the plan names."""
    dump = run("compile", plan, "--emit=plan")
    files = {index: {} for index in re.findall(r'^weights (\d+) safetensors',
                                               dump, re.M)}
    for name, index, bias in re.findall(
            r'^  tensor "([^"]*)" .*?weights (\d+) masks \d+'
            r'(?: bias "([^"]*)")?$', dump, re.M):
        if index not in files:
            continue  # synthetic
        shape = SHAPES.get(name, (128, 128))
        files[index][name] = shape
        if bias:
            files[index][bias] = shape[:1]
    for index, tensors in files.items():
        path = re.search(rf'^weights {index} safetensors "([^"]*)"', dump,
                         re.M).group(1)
        save_weights(os.path.join(folder, path), tensors)
    for kind, path in re.findall(r'^masks \d+ (\w+) "([^"]+)"', dump, re.M):
        path = os.path.join(folder, path)
        if kind == "grid":
            save_grid(path)
        else:
            run("mask", plan, "-o", path, "--sparsity", "0.5", "-q")


def main():
    with open(os.path.join(SOURCE, "docs", "language.md")) as file:
        text = file.read()
    plans = re.findall(r"^```tess\n(.*?)^```", text, re.M | re.S)
    assert plans
    for number, plan in enumerate(plans):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "plan.tess")
            with open(path, "w") as file:
                file.write(plan)
            make_inputs(folder, path)
            # Cross-compiled kernels show nothing new about a plan.
            run("compile", path, "-o", os.path.join(folder, "out.bundle"),
                "--target", "generic", "--cache-dir",
                os.path.join(folder, "cache"), "-q")
            listed = json.loads(run("inspect", "--json",
                                    os.path.join(folder, "out.bundle")))
            print(f"example {number + 1}: {len(listed['layers'])} layers")


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""minilm.py TESSERAC TESSERA EXAMPLE: the demo's way, checked by numpy at every
step: the mask's sparsity and pattern, then what every layer computes."""
import json
import pathlib
import shutil
import sys
import tempfile

import numpy

from harness import (Tools, check, expect, load_array, read_masks,
                     read_safetensors, round_to, save_array)

PREFIX = "encoder.layer.0."
LAYERS = {  # name: tensors, activation, residual
    "attention.qkv": (["attention.self.query", "attention.self.key",
                       "attention.self.value"], "none", False),
    "attention.output": (["attention.output.dense"], "none", True),
    "mlp.up": (["intermediate.dense"], "gelu_erf", False),
    "mlp.down": (["output.dense"], "none", True),
}


def check_masks(masks):
    kept = sum(int(mask.sum()) for mask in masks.values())
    total = sum(mask.size for mask in masks.values())
    sparsity = 1 - kept / total
    # One tile of 128x128 more or less is 0.5 % of the block.
    if abs(sparsity - 0.45) > 0.005:
        sys.exit(f"the mask prunes {sparsity:.4f}, expected 0.45")
    for name, mask in masks.items():
        tiles = mask.reshape(mask.shape[0] // 128, 128, -1, 32, 4)
        groups = tiles.sum(axis=4).max(axis=(1, 3))
        full = tiles.all(axis=(1, 3, 4))
        if not numpy.all((groups == 2) | full):
            sys.exit(f"{name}: a tile is neither 2:4 nor dense")


def check_layers(tools, bundle, tensors, masks):
    random = numpy.random.default_rng(5)
    for layer, (names, activation, has_residual) in LAYERS.items():
        names = [PREFIX + name for name in names]
        weights = numpy.concatenate(
            [tensors[n + ".weight"] * masks.get(n + ".weight", 1)
             for n in names])
        bias = numpy.concatenate([tensors[n + ".bias"] for n in names])
        for tokens in (1, 3, 16, 40):
            x = round_to(random.standard_normal((tokens, weights.shape[1])),
                         "bf16")
            save_array(tools.folder / "x.npy", x, "bf16")
            arguments = ["run", bundle, "--layer", layer, "--input", "x.npy",
                         "--output", "y.npy", "--raw"]
            residual = None
            if has_residual:
                residual = round_to(
                    random.standard_normal((tokens, weights.shape[0])), "bf16")
                save_array(tools.folder / "r.npy", residual, "bf16")
                arguments += ["--residual", "r.npy"]
            tools.run("tessera", *arguments)
            y, error = expect(x, weights, "bf16", "bf16", activation, bias,
                              residual)
            check(f"{bundle}, {layer}, N = {tokens}",
                  load_array(tools.folder / "y.npy", "bf16"), y, error)


def main():
    tesserac, tessera, example = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        tools = Tools(tesserac, tessera, folder)
        for path in pathlib.Path(example).iterdir():
            if path.is_file():
                shutil.copy(path, folder)
        tools.run("tesserac", "mask", "block0.tess", "--sparsity", "0.45",
                  "-o", "mask.npz")
        masks = read_masks(tools.folder / "mask.npz")
        check_masks(masks)
        tensors = read_safetensors(tools.folder / "block0.safetensors")
        for plan in ("block0", "block0-dense"):
            bundle = plan + ".bundle"
            tools.run("tesserac", "compile", plan + ".tess", "-o", bundle,
                      "--target", "native")
            check_layers(tools, bundle, tensors,
                         masks if plan == "block0" else {})
            report = json.loads(tools.run("tessera", "verify", bundle,
                                          "--json"))
            assert report["ok"] and len(report["layers"]) == 4, report
            assert all(layer["of_bound"] <= 1 for layer in report["layers"])
        # Its inputs are not those that it was compiled from.
        shutil.copy(tools.folder / "mask.npz", tools.folder / "old.npz")
        tools.run("tesserac", "mask", "block0.tess", "--sparsity", "0.3",
                  "-o", "mask.npz")
        out = tools.run("tessera", "verify", "block0.bundle", expect=1)
        assert "masks differ" in out, out
    print("ok")


if __name__ == "__main__":
    main()

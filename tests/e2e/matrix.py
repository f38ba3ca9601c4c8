#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""matrix.py TESSERAC TESSERA [SEED]: layers of every pair of properties (shape,
tile, kinds, types, activation, bias, residual, how tensors are combined),
written by numpy, compiled as one plan, run at several token counts and compared
with numpy; then verified by the tool itself."""
import itertools
import json
import random
import sys
import tempfile

import numpy

from harness import (Tools, check, expect, load_array, round_to, save_array,
                     write_masks, write_safetensors)

PROPERTIES = {
    "shape": [(64, 64), (200, 136), (96, 520), (130, 102), (48, 1024),
              (16, 32)],
    "tile": [(128, 128), (64, 64), (16, 32), (48, 96), (256, 512)],
    "kinds": ["dense", "sparse24", "mixed", "with zero", "zero"],
    "source": ["f32", "f16", "bf16"],
    "type": ["bf16", "f16"],
    "output": ["f32", "f16", "bf16"],
    "activation": ["none", "relu", "gelu_erf", "gelu_tanh", "silu", "swiglu",
                   "geglu_erf", "geglu_tanh"],
    "bias": [False, True],
    "residual": [False, True],
    "split": ["on", "off"],
    "workers": [1, 3, 12],
}
TOKENS = (1, 2, 7, 16, 17, 70)


def choose_cases(rng):
    """Cases that together hold every pair of values of two properties."""
    names = list(PROPERTIES)
    missing = {(a, x, b, y) for a, b in itertools.combinations(names, 2)
               for x in PROPERTIES[a] for y in PROPERTIES[b]}

    def pairs(case):
        return {(a, case[a], b, case[b])
                for a, b in itertools.combinations(names, 2)}

    cases = []
    while missing:
        seed = rng.choice(sorted(missing, key=repr))
        best = None
        for _ in range(60):
            case = {name: rng.choice(PROPERTIES[name]) for name in names}
            case[seed[0]], case[seed[2]] = seed[1], seed[3]
            gain = len(pairs(case) & missing)
            if best is None or gain > best[0]:
                best = (gain, case)
        cases.append(best[1])
        missing -= pairs(best[1])
    return cases


def make_mask(rng, shape, tile, kinds):
    """A keep mask whose tiles are of the kinds asked for."""
    rows, columns = shape
    mask = numpy.ones(shape, bool)
    # Two of each aligned group of four, at random.
    groups = -(-columns // 4)
    order = numpy.argsort(rng.random((rows, groups, 4)), axis=2)
    sparse = (order < 2).reshape(rows, groups * 4)[:, :columns]
    choices = {"dense": [2], "sparse24": [1], "mixed": [1, 2],
               "with zero": [0, 1, 2], "zero": [0]}[kinds]
    for r in range(0, rows, tile[0]):
        for c in range(0, columns, tile[1]):
            kind = rng.choice(choices)
            part = numpy.s_[r:r + tile[0], c:c + tile[1]]
            if kind == 1:
                mask[part] = sparse[part]
            elif kind == 0:
                mask[part] = False
    return mask


def make_layer(rng, index, case):
    """The layer's text, its tensors and masks, and its matrix and bias."""
    gated = "glu" in case["activation"]
    rows, columns = case["shape"]
    if gated:
        parts, word = [(rows // 2, columns)] * 2, "interleave"
    elif index % 3 == 0 and rows % 3 != 0:
        parts, word = [(rows - 5, columns), (5, columns)], "concat"
    else:
        parts, word = [(rows, columns)], "weight"
    tensors, masks, matrices, biases = {}, {}, [], []
    whole = make_mask(rng, case["shape"], case["tile"], case["kinds"])
    for i, part in enumerate(parts):
        name = f"l{index}.p{i}"
        values = round_to(rng.standard_normal(part), case["source"])
        if gated:
            mask = whole[i::2]
        else:
            begin = sum(p[0] for p in parts[:i])
            mask = whole[begin:begin + part[0]]
        tensors[name + ".weight"] = (values, case["source"])
        masks[name + ".weight"] = mask
        bias = round_to(rng.standard_normal(part[0]), "f32")
        tensors[name + ".bias"] = (bias, "f32")
        matrices.append(values * mask)
        biases.append(bias)
    if gated:
        matrix = numpy.stack(matrices, 1).reshape(rows, columns)
        bias = numpy.stack(biases, 1).reshape(rows)
    else:
        matrix, bias = numpy.concatenate(matrices), numpy.concatenate(biases)
    names = [f'"l{index}.p{i}.weight"' for i in range(len(parts))]
    lines = [f'layer "l{index}" {{', f"  {word} {', '.join(names)};"]
    if case["bias"]:
        names = [n.replace(".weight", ".bias") for n in names]
        lines.append(f"  bias {', '.join(names)};")
    lines += [f"  tile {case['tile'][0]}x{case['tile'][1]};",
              f"  type {case['type']};", f"  output {case['output']};",
              f"  schedule {{ workers {case['workers']}; "
              f"split {case['split']}; }}"]
    if case["activation"] != "none":
        lines.append(f"  activation {case['activation']};")
    if case["residual"]:
        lines.append("  residual;")
    lines.append("}")
    return lines, tensors, masks, matrix, bias


def main():
    tesserac, tessera = sys.argv[1:3]
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    rng = numpy.random.default_rng(seed)
    cases = choose_cases(random.Random(seed))
    plan = ['model "matrix";', 'weights "w.safetensors";',
            'masks patch "mask.npz";', "target host native;",
            "tokens 1, 2..16, 17..;"]
    tensors, masks, layers = {}, {}, []
    for index, case in enumerate(cases):
        lines, t, m, matrix, bias = make_layer(rng, index, case)
        plan += lines
        tensors.update(t)
        masks.update(m)
        layers.append((case, matrix, bias))
    with tempfile.TemporaryDirectory() as folder:
        tools = Tools(tesserac, tessera, folder)
        (tools.folder / "plan.tess").write_text("\n".join(plan) + "\n")
        write_safetensors(tools.folder / "w.safetensors", tensors)
        write_masks(tools.folder / "mask.npz", masks)
        tools.run("tesserac", "compile", "plan.tess", "-o", "m.bundle")
        worst = 0.0
        for index, (case, matrix, bias) in enumerate(layers):
            worst = max(worst, check_layer(tools, rng, index, case, matrix,
                                           bias))
        report = json.loads(tools.run("tessera", "verify", "m.bundle",
                                      "--json"))
        assert report["ok"], report
    print(f"{len(cases)} layers, {len(TOKENS)} token counts each, worst error "
          f"{worst:.3f} of the bound")


def check_layer(tools, rng, index, case, matrix, bias):
    worst = 0.0
    # Not every count for every layer: two, and all counts over the layers.
    for tokens in (TOKENS[index % 6], TOKENS[(index // 6 + index) % 6]):
        x = round_to(rng.standard_normal((tokens, matrix.shape[1])),
                     case["type"])
        save_array(tools.folder / "x.npy", x, case["type"])
        arguments = ["run", "m.bundle", "--layer", f"l{index}", "--input",
                     "x.npy", "--output", "y.npy", "--raw"]
        residual = None
        if case["residual"]:
            outputs = matrix.shape[0] // (2 if "glu" in case["activation"]
                                          else 1)
            residual = round_to(rng.standard_normal((tokens, outputs)),
                                case["output"])
            save_array(tools.folder / "r.npy", residual, case["output"])
            arguments += ["--residual", "r.npy"]
        tools.run("tessera", *arguments)
        y, error = expect(x, matrix, case["type"], case["output"],
                          case["activation"], bias if case["bias"] else None,
                          residual)
        actual = load_array(tools.folder / "y.npy", case["output"])
        worst = max(worst, check(f"layer {index} {case}, N = {tokens}", actual,
                                 y, error))
    return worst


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cuda_minilm.py TESSERAC TESSERA LIBTESSERA EMULATED_DRIVER EXAMPLE: the block
of MiniLM compiled for CPUs and GPUs into one bundle, its layers run one after
the other through libtessera, on the host and on the emulated GPU with all
checks on. Every layer's output must be right within the derived bound for the
input that it had, and the ends of both chains must differ by no more than the
bounds of all layers, carried through the block, allow."""
import filecmp
import json
import os
import pathlib
import shutil
import sys
import tempfile

import numpy

from harness import (Tools, check, cuda_operations, expect, from_bytes,
                     read_masks, read_safetensors, round_to, to_bytes)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] /
                       "scripts"))
import libtessera  # noqa: E402

PREFIX = "encoder.layer.0."
QKV = ["attention.self.query", "attention.self.key", "attention.self.value"]
# Layer, tensors, activation, input, first column of it, residual. "v" of the
# attention stands for what attention would make of q, k and v.
CHAIN = [
    ("attention.qkv", QKV, "none", "x", 0, None),
    ("attention.output", ["attention.output.dense"], "none", "attention.qkv",
     768, "x"),
    ("mlp.up", ["intermediate.dense"], "gelu_erf", "attention.output", 0,
     None),
    ("mlp.down", ["output.dense"], "none", "mlp.up", 0, "attention.output"),
]
TOKENS = (1, 7, 16, 64, 128)
WIDTH = 384


def read_weights(tensors, masks):
    out = {}
    for layer, names, *_ in CHAIN:
        names = [PREFIX + name for name in names]
        out[layer] = (
            numpy.concatenate([tensors[n + ".weight"] * masks[n + ".weight"]
                               for n in names]),
            numpy.concatenate([tensors[n + ".bias"] for n in names]))
    return out


def run_chain(program, tokens, x):
    """What each layer gave, by name, as bf16 bits; run twice, same bits."""
    layers = {name: program.bundle.layer(name) for name, *_ in CHAIN}
    infos = {name: program.bundle.query(layer)
             for name, layer in layers.items()}
    places = {"x": program.allocate(tokens * WIDTH * 2)}
    program.write(places["x"], x)
    for name, info in infos.items():
        places[name] = program.allocate(tokens * info.output_columns * 2)
    workspace = program.workspace(layers.values(), tokens)
    results = []
    for _ in range(2):
        for name, _, _, source, first, residual in CHAIN:
            arguments = program.arguments(
                tokens, places[source] + 2 * first, places[name], workspace,
                places[residual] if residual else None)
            if source != "x":
                arguments.input_stride = infos[source].output_columns
            program.run(layers[name], arguments)
        results.append({})
        for name, info in infos.items():
            y = numpy.empty((tokens, info.output_columns), numpy.uint16)
            program.read(places[name], y)
            results[-1][name] = y
    program.free_all()
    for name, *_ in CHAIN:
        if not numpy.array_equal(results[0][name], results[1][name]):
            sys.exit(f"{name}, N = {tokens}: two runs, two results")
    return results[0]


def check_layers(what, weights, x, outputs, operations):
    """Each layer against float64, on the input that it had."""
    values = {name: from_bytes(bits.tobytes(), "bf16", bits.shape)
              for name, bits in [("x", x), *outputs.items()]}
    errors, worst = {}, 0
    for name, _, activation, source, first, residual in CHAIN:
        w, bias = weights[name]
        y, errors[name] = expect(
            values[source][:, first:first + w.shape[1]], w, "bf16", "bf16",
            activation, bias, values[residual] if residual else None,
            operations(w.shape[1]))
        worst = max(worst, check(f"{what}, {name}", values[name], y,
                                 errors[name]))
    return values, errors, worst


def carry(weights, host, device):
    """Bound on the difference of the ends: what differs in a layer's input
    grows by |W| and at most 1.13 (slope of gelu); to it the layer's own error
    on either side adds."""
    apart = {"x": 0.0}
    for name, _, activation, source, first, residual in CHAIN:
        w, _ = weights[name]
        carried = 0.0
        if source != "x":
            carried = apart[source][:, first:first + w.shape[1]] @ abs(
                round_to(w, "bf16")).T
            if activation != "none":
                carried = 1.13 * carried
        if residual:
            carried = carried + apart[residual]
        apart[name] = carried + host[name] + device[name]
    return apart[CHAIN[-1][0]]


def check_chain(weights, host, gpu):
    random = numpy.random.default_rng(11)
    last = CHAIN[-1][0]
    for tokens in TOKENS:
        values = round_to(random.standard_normal((tokens, WIDTH)), "bf16")
        x = numpy.frombuffer(to_bytes(values, "bf16"), numpy.uint16).reshape(
            values.shape)
        sides = [check_layers(f"{name}, N = {tokens}", weights, x,
                              run_chain(program, tokens, x), operations)
                 for name, program, operations in (
                     ("host", host, lambda columns: None),
                     ("cuda", gpu, cuda_operations))]
        bound = carry(weights, sides[0][1], sides[1][1])
        apart = abs(sides[0][0][last] - sides[1][0][last])
        fraction = float((apart / bound).max())
        if not fraction <= 1:
            sys.exit(f"N = {tokens}: the ends differ by {apart.max()}, "
                     f"{fraction} of the bound")
        equal = float((apart == 0).mean())
        print(f"N = {tokens}: host {sides[0][2]:.3f}, cuda {sides[1][2]:.3f} "
              f"of a layer's bound; ends {fraction:.3f} of theirs, "
              f"{100 * equal:.1f} % equal, largest difference "
              f"{apart.max():.3g}")


def same_files(a, b):
    names = sorted(p.relative_to(a) for p in a.rglob("*") if p.is_file())
    if names != sorted(p.relative_to(b) for p in b.rglob("*") if p.is_file()):
        sys.exit(f"{a} and {b} have different files")
    for name in names:
        if not filecmp.cmp(a / name, b / name, shallow=False):
            sys.exit(f"{name} differs from one compile to the next")


def compile_bundle(tools):
    """In one folder and another, with one thread and all: the same bytes. The
    second time kernels come from the cache; that they come out the same when
    made again is tested where they are made."""
    targets = ("--target", "native", "--target", "sm_80")
    tools.run("tesserac", "compile", "block0-cuda.tess", "-o", "block0.bundle",
              *targets)
    elsewhere = tools.folder / "elsewhere"
    elsewhere.mkdir()
    for name in ("block0-cuda.tess", "layers.tess", "block0.safetensors",
                 "mask.npz"):
        shutil.copy(tools.folder / name, elsewhere)
    tools.run("tesserac", "compile", "elsewhere/block0-cuda.tess", "-o",
              "elsewhere/again.bundle", "-j", "1", *targets)
    same_files(tools.folder / "block0.bundle", elsewhere / "again.bundle")


def main():
    tesserac, tessera, library, driver, example = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        findings = pathlib.Path(folder) / "findings.log"
        findings.touch()
        os.environ.update(TESSERA_CUDA_DRIVER=driver, TESSERA_EMU_CHECK="all",
                          TESSERA_EMU_DEVICE="a100",
                          TESSERA_EMU_LOG=str(findings))
        tools = Tools(tesserac, tessera, folder)
        for path in pathlib.Path(example).iterdir():
            if path.is_file():
                shutil.copy(path, folder)
        tools.run("tesserac", "mask", "block0-cuda.tess", "--sparsity", "0.45",
                  "-o", "mask.npz")
        compile_bundle(tools)
        weights = read_weights(
            read_safetensors(tools.folder / "block0.safetensors"),
            read_masks(tools.folder / "mask.npz"))
        bundle = libtessera.Bundle(libtessera.Library(library),
                                   tools.folder / "block0.bundle")
        host = libtessera.Program(bundle)
        gpu = libtessera.Program(bundle, "cuda:0")
        check_chain(weights, host, gpu)
        gpu.close()
        host.close()
        bundle.close()
        for device in ("host", "cuda:0"):
            report = json.loads(tools.run(
                "tessera", "verify", "block0.bundle", "--device", device,
                "--tokens", ",".join(map(str, TOKENS)), "--json"))
            assert report["ok"] and len(report["layers"]) == 4, report
            assert all(layer["of_bound"] <= 1
                       for layer in report["layers"]), report
        # Cubins of the bundle are refused by the emulator, which says so; PTX
        # is taken instead.
        found = [line for line in findings.read_text().splitlines()
                 if "this is a cubin" not in line]
        if found:
            sys.exit("\n".join(found))
    print("ok")


if __name__ == "__main__":
    main()

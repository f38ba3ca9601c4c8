#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cuda_cubin.py TESSERAC TESSERA PLANT CUBIN_DRIVER: bundles with cubins, those
of ptxas where there is one, on a driver that takes them by what their headers
say and runs the PTX that was planted in them (tests/runtime/cubin_driver.c):
each device gets the one for it, says so, and computes the bits that it computes
from PTX."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy

from harness import Tools, round_to, save_array

PLAN = """model "cubin";
target cuda %s;
tokens 1..8;
tile 64x64;
weights synthetic seed 7;
masks synthetic sparse24 40%% zero 10%% seed 3;
layer "up" { weight synthetic 200x256; bias; activation gelu_erf; }
layer "down" { weight synthetic 128x200; residual; }
"""
SHAPES = {"up": (200, 256), "down": (128, 200)}
TARGETS = {"own": ["sm_80", "sm_86", "sm_90", "sm_90a"],
           "real": ["sm_80", "sm_90a"]}
# Devices of the emulated driver, and the targets that they can have.
DEVICES = {"a100": ["sm_80"], "rtx4090": ["sm_86", "sm_80"],
           "h100": ["sm_90a"]}
PTXAS = next((path for path in (os.environ.get("TESSERA_PTXAS"),
                                shutil.which("ptxas"),
                                "/usr/local/cuda/bin/ptxas")
              if path and os.access(path, os.X_OK)), None)
# What there is to tell apart: "sm_100f" is marked like sm_100.
ARCHITECTURES = ["75", "80", "86", "87", "89", "90", "90a", "100", "100a",
                 "103", "103a", "110", "120", "120a", "121"]
MODULE = """.version %s
.target sm_%s
.address_size 64
.visible .entry k(.param .u64 a)
{
ret;
}
"""


def compile_plan(tools, name, targets, ptxas):
    (tools.folder / "m.tess").write_text(PLAN % ", ".join(targets))
    tools.run("tesserac", "compile", "m.tess", "-o", f"{name}.bundle", "-q",
              "--ptxas", ptxas)


def target_of(kind, device):
    return next(name for name in DEVICES[device] if name in TARGETS[kind])


def plant(tools, program, kind):
    out = subprocess.run([program, f"{kind}.bundle"], cwd=tools.folder,
                         check=True, text=True, capture_output=True).stdout
    says = [line.split() for line in out.splitlines()]
    assert says == [[name, name] for name in TARGETS[kind]], (kind, out)


def run(tools, bundle, device, layer, tokens):
    """Y's bytes, and what the driver was given for them."""
    log = tools.folder / "log.txt"
    log.unlink(missing_ok=True)
    tools.env.update(TESSERA_EMU_DEVICE=device, CUBIN_DRIVER_LOG=str(log))
    more = ["--residual", f"r{tokens}.npy"] if layer == "down" else []
    tools.run("tessera", "run", bundle, "--layer", layer, "-i",
              f"{layer}{tokens}.npy", "-o", "y.npy", "--raw", "-q", "--device",
              "cuda:0", *more)
    return (tools.folder / "y.npy").read_bytes(), log.read_text()


def make_inputs(tools, tokens):
    random = numpy.random.default_rng(tokens)
    for layer, (rows, columns) in SHAPES.items():
        x = round_to(random.standard_normal((tokens, columns)), "bf16")
        save_array(tools.folder / f"{layer}{tokens}.npy", x, "bf16")
        if layer == "down":
            save_array(tools.folder / f"r{tokens}.npy",
                       round_to(random.standard_normal((tokens, rows)),
                                "bf16"), "bf16")


def test_results(tools, kinds):
    for layer, tokens in (("up", 8), ("down", 3)):
        make_inputs(tools, tokens)
        for device in DEVICES:
            expected, log = run(tools, "ptx.bundle", device, layer, tokens)
            assert log.startswith("ptx sm_"), log
            for kind in kinds:
                y, log = run(tools, f"{kind}.bundle", device, layer, tokens)
                target = target_of(kind, device)
                assert log == f"cubin {target}: loaded\n", log
                assert y == expected, (kind, device, layer, tokens)


def test_reports(tools, kinds):
    for kind in kinds:
        for device in DEVICES:
            tools.env["TESSERA_EMU_DEVICE"] = device
            text = tools.run("tessera", "info", f"{kind}.bundle", "--device",
                             "cuda:0")
            target = target_of(kind, device)
            assert f"cuda:0  runs {target} cubin\n" in text, text
        for line in ("PTX of sm_80 and newer devices",
                     "code of sm_80 and its major's newer ones",
                     "PTX of sm_90a alone", "code of sm_90a alone"):
            assert f"CUDA: {line}\n" in text, text
    report = json.loads(tools.run(
        "tessera", "verify", f"{kinds[-1]}.bundle", "--device", "cuda",
        "--tokens", "1", "--json"))
    assert report["ok"] and report["variant"] == "sm_90a cubin", report


def test_other_generation(tools):
    """Code for sm_90 is not for 10.0, and nothing of sm_90a is: PTX is."""
    tools.env.update(TESSERA_EMU_DEVICE="h100", CUBIN_DRIVER_CAPABILITY="100")
    text = tools.run("tessera", "info", "own.bundle", "--device", "cuda:0")
    assert "cuda:0  runs sm_90 ptx\n" in text, text
    del tools.env["CUBIN_DRIVER_CAPABILITY"]


def test_headers(tools, program):
    """Real cubins say what they are for where we look for it."""
    known = []
    for name in ARCHITECTURES:
        for version in ("9.0", "8.8", "8.7", "8.5"):
            (tools.folder / "k.ptx").write_text(MODULE % (version, name))
            done = subprocess.run(
                [PTXAS, "-arch", f"sm_{name}", "k.ptx", "-o",
                 f"sm_{name}.cubin"], cwd=tools.folder, capture_output=True)
            if done.returncode == 0:
                known.append(f"sm_{name}")
                break
        else:
            print(f"SKIPPED: {PTXAS} does not assemble for sm_{name}")
    assert {"sm_80", "sm_90", "sm_90a"} <= set(known), known
    out = subprocess.run([program, "-r"] + [f"{name}.cubin" for name in known],
                         cwd=tools.folder, check=True, text=True,
                         capture_output=True).stdout
    assert out.split() == known, (out, known)


def main():
    tesserac, tessera, program, driver = map(os.path.abspath, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        tools = Tools(tesserac, tessera, folder,
                      {"TESSERA_CUDA_DRIVER": driver})
        kinds = ["own"]
        if PTXAS is None:
            print("SKIPPED: no ptxas here, so no real cubins")
        else:
            kinds.append("real")
            test_headers(tools, program)
        compile_plan(tools, "ptx", TARGETS["own"], "none")
        for kind in kinds:
            compile_plan(tools, kind, TARGETS[kind],
                         PTXAS if kind == "real" else "none")
            plant(tools, program, kind)
        test_results(tools, kinds)
        test_reports(tools, kinds)
        test_other_generation(tools)
    print("ok:", ", ".join(kinds))


if __name__ == "__main__":
    main()

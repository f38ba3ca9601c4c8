#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cuda_tools.py TESSERAC TESSERA PLAIN_DRIVER EMULATED_DRIVER: run, verify, bench, info and profile on the
emulated CUDA driver, and what they say where it cannot be. What kernels compute
and count is tested in tests/cuda; here it is that the tools tell the truth."""
import json
import os
import subprocess
import sys
import tempfile

import numpy

from harness import (Tools, check, expect, load_array, read_masks, round_to,
                     save_array, write_masks, write_safetensors)

PLAN = """model "%s";
%s
tokens 1..16, 17..;
tile 64x64;
type bf16;
output f32;
weights "w.safetensors";
masks patch "mask.npz";
layer "up" { weight "up"; bias "up.bias"; activation gelu_erf; }
layer "down" { weight "down"; residual; }
"""
SHAPES = {"up": (192, 128), "down": (128, 192)}


def make_inputs(tools):
    random = numpy.random.default_rng(11)
    tensors, masks = {}, {}
    for name, shape in SHAPES.items():
        weights = round_to(random.standard_normal(shape) / 8, "f32")
        mask = numpy.ones(shape, numpy.uint8)
        mask[:64, :64] = 0                                    # a zero tile
        mask[64:128, 64:128].reshape(64, 16, 4)[:, :, 2:] = 0  # a 2:4 tile
        tensors[name] = (weights, "f32")
        masks[name] = mask
    tensors["up.bias"] = (round_to(random.standard_normal(192), "f32"), "f32")
    write_safetensors(tools.folder / "w.safetensors", tensors)
    write_masks(tools.folder / "mask.npz", masks)
    targets = {"both": "target host native;\ntarget cuda sm_80;",
               "gpu": "target cuda sm_80;", "cpu": "target host native;"}
    for name, lines in targets.items():
        (tools.folder / f"{name}.tess").write_text(PLAN % (name, lines))
        tools.run("tesserac", "compile", f"{name}.tess", "-o",
                  f"{name}.bundle", "-q", "--ptxas", "none")
    return {name: values for name, (values, _) in tensors.items()}, masks


def fails(tools, code, message, *arguments, env=None):
    done = subprocess.run([tools.tessera, *arguments], cwd=tools.folder,
                          env=dict(tools.env, **(env or {})), text=True,
                          capture_output=True)
    what = " ".join(arguments)
    assert done.returncode == code, (what, done.returncode, done.stderr)
    assert message in done.stderr, (what, done.stderr)
    assert done.stderr.count("\n") <= 2, done.stderr


def test_run(tools, tensors, masks):
    random = numpy.random.default_rng(12)
    for tokens in (1, 17, 70):
        for layer, (rows, columns) in SHAPES.items():
            x = round_to(random.standard_normal((tokens, columns)), "bf16")
            save_array(tools.folder / "x.npy", x, "bf16")
            arguments = ["run", "both.bundle", "--layer", layer, "-i", "x.npy",
                         "-o", "y.npy", "--raw", "-q"]
            residual = None
            if layer == "down":
                residual = round_to(random.standard_normal((tokens, rows)),
                                    "f32")
                save_array(tools.folder / "r.npy", residual, "f32")
                arguments += ["--residual", "r.npy"]
            y, error = expect(
                x, tensors[layer] * masks[layer], "bf16", "f32",
                "gelu_erf" if layer == "up" else "none",
                tensors["up.bias"] if layer == "up" else None, residual)
            for device in ("host", "emulated", "emulated:0"):
                tools.run("tessera", *arguments, "--device", device)
                check(f"{layer}, N = {tokens}, {device}",
                      load_array(tools.folder / "y.npy", "f32"), y, error)


def test_verify(tools):
    for bundle in ("both", "gpu"):
        report = json.loads(tools.run("tessera", "verify", f"{bundle}.bundle",
                                      "--device", "emulated", "--json"))
        assert report["emulated"] is True, report
        assert report["ok"] and report["variant"].startswith("sm_80"), report
        for layer in report["layers"]:
            # Both kernels of the plan and the counts around their ends.
            assert {1, 2, 16, 17, 18, 129} <= set(layer["tokens"]), layer
            assert 0 < layer["of_bound"] <= 1, layer
    text = tools.run("tessera", "verify", "gpu.bundle", "--device", "emulated",
                     "--tokens", "16")
    assert "2 of 2 layers within the bound on emulated cuda:0 (" in text, text
    # Weights other than those that the bundle was made from.
    masks = read_masks(tools.folder / "mask.npz")
    (tools.folder / "mask.npz").rename(tools.folder / "old.npz")
    masks["up"] = 1 - masks["up"]
    write_masks(tools.folder / "mask.npz", masks)
    out = tools.run("tessera", "verify", "gpu.bundle", "--device", "emulated",
                    expect=1)
    assert "masks differ" in out, out
    (tools.folder / "old.npz").rename(tools.folder / "mask.npz")


def test_bench(tools):
    arguments = ["bench", "both.bundle", "--device", "emulated", "--tokens",
                 "1,64", "--time", "0.01"]
    report = json.loads(tools.run("tessera", *arguments, "--json"))
    assert report["emulated"] is True, report
    for point in report["points"]:
        # A model's time is not named like a measured one.
        assert "seconds" not in point and "bytes_per_second" not in point
        assert point["modelled_seconds"] > 0, point
        assert point["flop"] == 2 * 192 * 128 * point["tokens"], point
    text = tools.run("tessera", *arguments)
    assert "EMULATED CUDA DRIVER" in text and "GB/s" not in text, text
    host = json.loads(tools.run("tessera", "bench", "both.bundle", "--tokens",
                                "1", "--time", "0.01", "--json"))
    assert host["emulated"] is False and host["points"][0]["seconds"], host


def test_fault(tools):
    """A launch that is ended says which, and what the driver found."""
    for command in ("profile", "verify"):
        more = ["--device", "emulated"] if command == "verify" else []
        fails(tools, 3, "up, 1 tokens", command, "gpu.bundle", "--layer", "up",
              "--tokens", "1", "-q", *more,
              env={"TESSERA_EMU_WATCHDOG": "100"})
        fails(tools, 3, "watchdog", command, "gpu.bundle", "--layer", "up",
              "--tokens", "1", "-q", *more,
              env={"TESSERA_EMU_WATCHDOG": "100"})


def test_real_driver(tools, plain, emulated):
    """What is measured where the driver does not say that it is emulated."""
    env = {"TESSERA_CUDA_DRIVER": plain, "PLAIN_DRIVER_OF": emulated}
    real = Tools(tools.tesserac, tools.tessera, tools.folder, env)
    text = real.run("tessera", "info", "gpu.bundle")
    assert "emulated" not in text and "cuda:0  runs sm_80" in text, text
    report = json.loads(real.run("tessera", "verify", "gpu.bundle", "--device",
                                 "cuda", "--tokens", "1,20", "--json"))
    assert report["ok"] and report["emulated"] is False, report
    arguments = ["bench", "gpu.bundle", "--device", "cuda:0", "--layer", "up",
                 "--tokens", "1", "--hot", "--time", "0.001", "--against",
                 "both.bundle"]
    report = json.loads(real.run("tessera", *arguments, "--json"))
    assert report["emulated"] is False, report
    point = report["points"][0]
    for name in ("seconds", "copy_bytes_per_second", "against_seconds",
                 "against_ratio"):
        spread = point[name]
        assert 0 < spread["p10"] <= spread["median"] <= spread["p90"], spread
        assert spread["samples"] >= 5, spread
    # Of one run, not of a row of them: the model's 2 us and what it moves.
    assert 2e-6 < point["seconds"]["median"] < 6e-6, point
    # Bytes read and written: the virtual H100 copies at 3352 GB/s, together.
    assert 2.5e12 < point["copy_bytes_per_second"]["median"] < 3.5e12, point
    assert abs(point["against_ratio"]["median"] - 1) < 0.3, point
    fails(real, 3, "is not the emulated CUDA driver", "profile", "gpu.bundle")


def test_profile(tools):
    arguments = ["profile", "gpu.bundle", "--tokens", "1,16,17,200"]
    report = json.loads(tools.run("tessera", *arguments, "--check", "all",
                                  "--json"))
    assert report["checks"] == ["init", "race", "sync", "async", "numeric"]
    points = report["points"]
    assert [(p["layer"], p["tokens"]) for p in points] == [
        (layer, n) for layer in SHAPES for n in (1, 16, 17, 200)], points
    for point in points:
        assert point["launches"] == 1 and point["findings"] == 0, point
        matrix = point["matrix"]
        sparse = sum(n for name, n in matrix.items() if ".sp" in name)
        dense = sum(matrix.values()) - sparse
        # One 2:4 tile: 4 row blocks x 2 k-steps; four dense ones: 4 x 4 each.
        tiles = -(-point["tokens"] // 8)
        assert sparse >= 8 * tiles and sparse % 8 == 0, point
        assert dense >= 4 * 16 * tiles and dense % 64 == 0, point
        assert sum(point["by_class"].values()) == point["warp_instructions"]
        assert sum(matrix.values()) == point["by_class"]["matrix"], point
        read = sum(32 * point[name]["transactions"]
                   for name in ("global_load", "copy") if name in point)
        assert read == point["weight_bytes"] + point["other_bytes"], point
        # Each weight at least once: 4 dense tiles and a 2:4 one.
        assert point["weight_bytes"] >= 4 * 64 * 64 * 2 + 4608, point
        assert point["other_bytes"] >= 2 * point["tokens"] * 128, point
        assert point["written_bytes"] >= 4 * point["tokens"] * point["rows"]
        if point["kernel"] == "decode":  # exactly once
            assert point["weight_bytes"] == 4 * 64 * 64 * 2 + 4608, point
    text = tools.run("tessera", *arguments[:2], "--tokens", "1", "--gpu",
                     "a100", "--layer", "up")
    assert text.startswith("emulated cuda:0 (") and "A100" in text, text
    assert "down" not in text and "bank conflicts" in text, text


def test_info(tools):
    text = tools.run("tessera", "info", "both.bundle", "--device", "emulated")
    assert "driver         emulated" in text and "H100" in text, text
    assert "cuda sm_80 ptx" in text and "cuda:0  runs sm_80" in text, text
    text = tools.run("tessera", "info", "cpu.bundle",
                     "--device", "host")
    assert "host    runs " in text, text
    env = dict(tools.env, TESSERA_EMU_DEVICE="a100,rtx4090")
    done = subprocess.run([tools.tessera, "info", "--device", "emulated"],
                          env=env, text=True, capture_output=True)
    assert "device 0       cuda:0" in done.stdout, done.stdout
    assert "device 1       cuda:1" in done.stdout, done.stdout


def test_errors(tools):
    none = {"TESSERA_CUDA_DRIVER": "/nowhere/libcuda.so"}
    fails(tools, 3, "no CUDA driver: ", "verify", "gpu.bundle", "--device",
          "cuda", env=none)
    fails(tools, 3, "no emulated CUDA driver: ", "profile", "gpu.bundle",
          env=none)
    fails(tools, 3, "is not the emulated CUDA driver", "profile", "gpu.bundle",
          env={"TESSERA_CUDA_DRIVER": "libm.so.6"})
    for name in ("TESSERA_EMU_DEVICE", "TESSERA_EMU_CHECK"):
        fails(tools, 3, "docs/emulator.md tells what TESSERA_EMU_DEVICE and "
              "its like may be", "verify", "gpu.bundle", "--device", "emulated",
              env={name: "A100"})
    fails(tools, 1, "no device 'h900'", "profile", "gpu.bundle", "--gpu",
          "h900")
    fails(tools, 1, "no layer takes any of the token counts", "profile",
          "few.bundle", "--tokens", "7")
    # The other family's bundle: what it has instead, and where that runs.
    manifest = json.loads((tools.folder / "cpu.bundle/manifest.json")
                          .read_text())
    has, = [image["variant"] for image in manifest["images"]]
    for command in ("verify", "bench", "info"):
        fails(tools, 3, "it was not compiled for a CUDA target; it has "
              f"{has}: run it on the device host\n", command, "cpu.bundle",
              "--device", "emulated")
        fails(tools, 3, "it was not compiled for the host target, but for "
              "sm_80: run it on a device cuda:N\n", command, "gpu.bundle",
              "--device", "host")
    for option in ("--threads=1", "--variant=x86-64-v2"):
        fails(tools, 2, f"{option.split('=')[0]} is for the host", "verify",
              "gpu.bundle", "--device", "emulated", option)
    fails(tools, 2, "--peer runs on the host", "bench", "gpu.bundle",
          "--device", "cuda:0", "--peer", "openblas")
    fails(tools, 1, "there is 1 CUDA device", "verify", "gpu.bundle", "--device",
          "emulated:7")
    fails(tools, 1, "unknown", "verify", "gpu.bundle", "--device", "emulatedx")


def main():
    os.environ.pop("TESSERA_CUDA_DRIVER", None)
    os.environ.pop("TESSERA_EMU_DEVICE", None)
    with tempfile.TemporaryDirectory() as folder:
        tools = Tools(*sys.argv[1:3], folder)
        tensors, masks = make_inputs(tools)
        (tools.folder / "few.tess").write_text(
            PLAN.replace("1..16, 17..", "1, 16")
            % ("few", "target cuda sm_80;"))
        tools.run("tesserac", "compile", "few.tess", "-o", "few.bundle", "-q",
                  "--ptxas", "none")
        test_run(tools, tensors, masks)
        test_verify(tools)
        test_bench(tools)
        test_fault(tools)
        test_profile(tools)
        test_real_driver(tools, *sys.argv[3:5])
        test_info(tools)
        test_errors(tools)
    print("ok")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""strategies_test.py TESSERAC_WITH_ONE_MORE TESSERAC TESSERA EMULATED_DRIVER:
a strategy that only sm_90a can execute is chosen, compiled and listed for
sm_90a alone, and the runtime launches it there and nowhere else."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

MORE, TESSERAC, TESSERA, DRIVER = map(os.path.abspath, sys.argv[1:])
PLAN = """model "m";
target cuda sm_80, sm_90a;
tokens 1..;
tile 64x64;
weights synthetic seed 7;
masks synthetic sparse24 60% zero 10% seed 3;
layer "a" { weight synthetic 200x256; bias; }
layer "b" { weight synthetic 96x128; activation silu; }
"""
OPEN = 2**32 - 1
SHARED = [[1, 8], [9, 16], [17, 32], [33, 64], [65, 128], [129, OPEN]]
EXACT = [[1, 8], [9, 16], [17, 24], [25, 32], [33, 64], [65, 128], [129, OPEN]]
TOKENS = [1, 8, 16, 17, 24, 25, 32, 33, 65]


def run(*command, code=0, **env):
    done = subprocess.run(list(map(str, command)), text=True,
                          capture_output=True, env=dict(os.environ, **env))
    if done.returncode != code:
        sys.exit(f"{command}: exit code {done.returncode}\n{done.stdout}"
                 f"{done.stderr}")
    return done


def compile_plan(compiler, folder, bundle, *arguments):
    return run(compiler, "compile", folder / "m.tess", "-o", folder / bundle,
               "--ptxas", "none", *arguments,
               TESSERA_CACHE=str(folder / "cache"))


def read(folder, bundle):
    return json.loads((folder / bundle / "manifest.json").read_text())


def held_by(manifest, layer, image):
    return [manifest["cuda_kernels"][i] for i in layer["cuda"]["kernels"]
            if i in image["kernels"]]


def test_manifest(folder):
    """Each image has its own kernels, a layer those of all."""
    manifest = read(folder, "more.bundle")
    old, exact = manifest["images"]
    assert (old["variant"], exact["variant"]) == ("sm_80", "sm_90a"), old
    kernels = manifest["cuda_kernels"]
    names = [kernel["name"] for kernel in kernels]
    assert len(set(names)) == len(names), names
    assert set(old["kernels"]) | set(exact["kernels"]) == set(
        range(len(kernels)))
    for image in (old, exact):
        ptx = (folder / "more.bundle" / image["file"]).read_text()
        entries = re.findall(r"\.visible \.entry (\w+)\(", ptx)
        assert entries == [names[i] for i in image["kernels"]], entries
        assert ("wgmma" in ptx) == (image is exact), image["variant"]
    for layer in manifest["layers"]:
        union = [kernels[i] for i in layer["cuda"]["kernels"]]
        order = [(*k["tokens"], names.index(k["name"])) for k in union]
        assert order == sorted(set(order)), order
        for image, ranges in ((old, SHARED), (exact, EXACT)):
            found = held_by(manifest, layer, image)
            assert [k["tokens"] for k in found] == ranges, found
            new = [k["tokens"] for k in found if k["strategy"] == "exact90a"]
            assert new == ([[1, 8], [9, 16], [17, 24]] if image is exact
                           else []), new
            # A bucket that is not the smallest for its tokens is in the name:
            # of equal names kernels are equal, whatever targets choose.
            wide = [k for k in found if re.search(r"_x\d+$", k["name"])]
            assert [(k["tokens"], k["name"][-12:], k["block_tokens"])
                    for k in wide] == (
                [([17, 24], "_n17to24_x64", 64)] if image is exact
                else []), wide
        # What both chose is there once.
        assert len(union) == len(SHARED) + 4, union


def test_explained(folder):
    report = json.loads(compile_plan(
        MORE, folder, "x.bundle", "--stop-after=schedule",
        "--explain=json").stdout)
    for target in report["targets"]:
        for choice in target["choices"]:
            new = [c for c in choice["candidates"]
                   if c["strategy"] == "exact90a"]
            can = target["target"] == "sm_90a" and choice["tokens"] <= 24
            assert [c["chosen"] for c in new] == (
                [True, False] if can else [False]), (target["target"], choice)
            if target["target"] == "sm_80":
                assert new[0]["refused"] == "only on sm_90a", new


def test_devices(folder):
    """The same bundle on an A100 and on an H100: results, and what ran."""
    ran = {}
    for device, variant in (("a100", "sm_80"), ("h100", "sm_90a")):
        log = folder / f"{device}.log"
        report = json.loads(run(
            TESSERA, "verify", folder / "more.bundle", "--device", "cuda:0",
            "--tokens", ",".join(map(str, TOKENS)), "--json",
            TESSERA_CUDA_DRIVER=DRIVER, TESSERA_EMU_DEVICE=device,
            TESSERA_EMU_CHECK="all", TESSERA_EMU_PROFILE_LOG=str(log)).stdout)
        assert report["ok"] and report["variant"] == f"{variant} ptx", report
        manifest = read(folder, "more.bundle")
        image = next(i for i in manifest["images"] if i["variant"] == variant)
        allowed = {manifest["cuda_kernels"][i]["name"]
                   for i in image["kernels"]}
        ran[device] = set(re.findall(r"tsr_\w+", log.read_text()))
        assert ran[device] <= allowed, ran[device] - allowed
    new = [name for name in ran["h100"] if "exact90a" in name]
    assert len(new) == 6, new  # both layers, three ranges
    assert sum(name.endswith("_n17to24_x64") for name in new) == 2, new
    assert any(name.endswith("_n25to32") for name in ran["h100"])
    assert not any("exact90a" in name for name in ran["a100"])
    assert any(name.endswith("_n17to32") for name in ran["a100"])


def test_reports(folder):
    """inspect tells which targets have a kernel; --emit=ptx goes by target."""
    text = run(TESSERAC, "inspect", "--kernels", folder / "more.bundle").stdout
    for line in text.splitlines():
        if line.startswith("tsr_exact90a"):
            assert line.split()[-1] == "sm_90a", line
        elif line.startswith("tsr_prefill"):
            assert line.split()[-1] == "all", line
    assert text.count("tsr_exact90a") == 6, text
    compile_plan(MORE, folder, "out", "--emit=ptx")
    for target, count in (("sm_80", 6), ("sm_90a", 7)):
        module = (folder / "out" / target / "a.ptx").read_text()
        assert module.count(".visible .entry") == count, target
        assert ("exact90a" in module) == (target == "sm_90a"), target


def test_without(folder):
    """The compiler as it is: all images hold all kernels."""
    compile_plan(TESSERAC, folder, "plain.bundle")
    manifest = read(folder, "plain.bundle")
    every = list(range(len(manifest["cuda_kernels"])))
    assert [i["kernels"] for i in manifest["images"]] == [every, every]


def main():
    with tempfile.TemporaryDirectory(prefix="tessera-strategies-") as name:
        folder = pathlib.Path(name)
        (folder / "m.tess").write_text(PLAN)
        compile_plan(MORE, folder, "more.bundle")
        for test in (test_manifest, test_explained, test_devices,
                     test_reports, test_without):
            test(folder)
            print(f"{test.__name__}: ok")


if __name__ == "__main__":
    main()

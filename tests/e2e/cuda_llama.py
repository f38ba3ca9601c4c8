#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cuda_llama.py TESSERAC EXAMPLE: what compiling a model of LLaMA-2 7B's size
for a GPU costs, on the first of its 32 blocks and on the first four: kernels
are shared by the layers of equal shape, and memory does not grow with the
number of layers. docs/benchmarks/compile.md has the whole model. The bound on
time is far above what an idle machine needs: it finds another order of growth,
no percents."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

# Decode for up to 8, 16, 32 and 64 tokens, prefill for up to 128 and more.
SHAPES, BUCKETS = 3, 6
LARGEST_TENSOR = 2 * 11008 * 4096  # bytes, as bf16
RESIDENT_MAX = (1 << 30) + LARGEST_TENSOR
GROWTH_MAX = 64 << 20  # of resident memory, from 7 layers to 28
SECONDS_MAX = 240


def run(tesserac, folder, *arguments):
    """Runs it with a cache of its own. What it printed, and the most memory that
    it had resident."""
    # AddressSanitizer would keep 256 MB of what was freed, more of it the
    # longer the process runs.
    options = [os.environ.get("ASAN_OPTIONS", ""), "quarantine_size_mb=16"]
    env = dict(os.environ, TESSERA_CACHE=str(folder / "kernels"),
               ASAN_OPTIONS=":".join(filter(None, options)))
    start = time.monotonic()
    with open(folder / "log.txt", "w+") as log:
        process = subprocess.Popen([tesserac, "compile", *arguments],
                                   cwd=folder, env=env, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        text = log.read()
    seconds = time.monotonic() - start
    resident = usage.ru_maxrss * 1024
    what = f"tesserac compile {' '.join(map(str, arguments))}"
    if process.returncode != 0:
        sys.exit(f"{what}: exit code {process.returncode}\n{text}")
    if resident > RESIDENT_MAX:
        sys.exit(f"{what}: {resident >> 20} MiB resident, at most "
                 f"{RESIDENT_MAX >> 20} expected")
    if seconds > SECONDS_MAX:
        sys.exit(f"{what}: {seconds:.0f} s, at most {SECONDS_MAX} expected")
    print(f"{what}: {seconds:.1f} s, {resident >> 20} MiB resident, "
          f"{usage.ru_utime + usage.ru_stime:.1f} s of processors")
    return text, resident


def write_blocks(folder, example, count):
    """The plan, with the first |count| of its 32 blocks."""
    for path in pathlib.Path(example).iterdir():
        shutil.copy(path, folder)
    layers = (folder / "layers.tess").read_text()
    fewer = layers.replace("for i in 0..31", f"for i in 0..{count - 1}")
    assert fewer != layers, "the plan has another loop"
    (folder / "layers.tess").write_text(fewer)


def check_ptx(folder):
    """Each layer's file has its kernels; the names of all of them."""
    names = set()
    files = sorted((folder / "ptx").rglob("*.ptx"))
    assert len(files) == 7, files
    for path in files:
        found = re.findall(r"^\.visible \.entry (\w+)\(", path.read_text(),
                           re.M)
        assert len(set(found)) == len(found) == BUCKETS, (path, found)
        names |= set(found)
    assert len(names) == SHAPES * BUCKETS, names
    return names


def check_bundle(path, names):
    manifest = json.loads((path / "manifest.json").read_text())
    kernels = [kernel["name"] for kernel in manifest["cuda_kernels"]]
    assert sorted(kernels) == sorted(names), (kernels, names)
    assert len(manifest["layers"]) == 7, manifest["layers"]
    for layer in manifest["layers"]:
        assert len(layer["cuda"]["kernels"]) == BUCKETS, layer
        # 0.9 x 1.125 + 0.1 x 2 bytes of each weight, by the drawn tiles.
        weights = layer["rows"] * layer["columns"]
        assert 1.15 < layer["packed_bytes"] / weights < 1.28, layer


def main():
    tesserac, example = sys.argv[1:]
    plan = "llama-2-7b-cuda.tess"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write_blocks(folder, example, 1)
        run(tesserac, folder, plan, "--emit=ptx", "-o", "ptx", "--ptxas",
            "none", "--no-cache")
        names = check_ptx(folder)
        _, one = run(tesserac, folder, plan, "-o", "one.bundle", "--ptxas",
                     "none", "--no-cache")
        check_bundle(folder / "one.bundle", names)
        write_blocks(folder, example, 4)
        text, four = run(tesserac, folder, plan, "--stop-after", "codegen",
                         "--ptxas", "none", "--no-cache")
        count = SHAPES * BUCKETS
        if f"{count} kernels for 1 CUDA target ({count} compiled" not in text:
            sys.exit(f"expected {count} kernels:\n{text}")
        if four > one + GROWTH_MAX:
            sys.exit(f"{four >> 20} MiB resident with 28 layers, "
                     f"{one >> 20} with 7")
    print("ok")


if __name__ == "__main__":
    main()

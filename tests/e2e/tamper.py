#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tamper.py TESSERAC TESSERA TAMPER: verification finds one wrong bit among the
weights, wherever it is, when all checksums are right; and a damaged file is
refused when they are not."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from harness import Tools

PLAN = """model "tamper";
target host native;
tile 64x64;
output f32;
weights synthetic seed 3;
masks none;
layer "dense" { weight synthetic 192x256; }
"""
# Two layers that differ in nothing but their rows, of one and the same panel.
ROWS = """model "rows";
target host native;
tile 64x64;
output f32;
weights synthetic seed 3;
masks none;
layer "short" { weight synthetic 60x256; }
layer "full" { weight synthetic 64x256; }
"""


def check_one_bit(tools, tamper, seed, bit):
    """Bit 13 is in the exponent of a bf16 weight, bit 3 in the middle of the
    mantissa: 1/16 of the weight, less than rounding the others can do."""
    shutil.rmtree(tools.folder / "bad.bundle", ignore_errors=True)
    shutil.copytree(tools.folder / "good.bundle", tools.folder / "bad.bundle")
    where = subprocess.run(
        [tamper, "bad.bundle", "dense", str(seed), str(bit)],
        cwd=tools.folder, check=True, text=True, capture_output=True).stdout
    out = tools.run("tessera", "verify", "bad.bundle", "--json", expect=1)
    layer = json.loads(out)["layers"][0]
    if layer["ok"] or layer["of_bound"] <= 1:
        sys.exit(f"verify misses flipped bit {bit}: {where}")


def check_written_past_the_end(tools):
    """A kernel for 64 rows in the place of the one for 60: the 60 are right,
    and 4 more are written behind them."""
    (tools.folder / "rows.tess").write_text(ROWS)
    tools.run("tesserac", "compile", "rows.tess", "-o", "rows.bundle")
    tools.run("tessera", "verify", "rows.bundle")
    path = tools.folder / "rows.bundle/manifest.json"
    manifest = json.loads(path.read_text())
    short, full = manifest["layers"]
    short["host"]["kernels"] = full["host"]["kernels"]
    path.write_text(json.dumps(manifest))
    out = tools.run("tessera", "verify", "rows.bundle", "--json", expect=1)
    short, full = json.loads(out)["layers"]
    if short["ok"] or "wrote past the end of row" not in short["message"]:
        sys.exit(f"verify misses writes between rows: {short}")
    if not full["ok"]:
        sys.exit(f"verify blames the right kernel: {full}")


def main():
    tesserac, tessera, tamper = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        tools = Tools(tesserac, tessera, folder)
        (tools.folder / "plan.tess").write_text(PLAN)
        tools.run("tesserac", "compile", "plan.tess", "-o", "good.bundle")
        tools.run("tessera", "verify", "good.bundle")
        for seed in range(12):
            check_one_bit(tools, tamper, seed, 13 if seed % 2 else 3)
        check_written_past_the_end(tools)
        # The same flip without mending the checksums.
        weights = pathlib.Path(folder, "good.bundle/weights.bin")
        data = bytearray(weights.read_bytes())
        data[8192] ^= 1
        weights.write_bytes(data)
        tools.run("tessera", "verify", "good.bundle", expect=1)
    print("ok")


if __name__ == "__main__":
    main()

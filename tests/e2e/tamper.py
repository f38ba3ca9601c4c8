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


def main():
    tesserac, tessera, tamper = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        tools = Tools(tesserac, tessera, folder)
        (tools.folder / "plan.tess").write_text(PLAN)
        tools.run("tesserac", "compile", "plan.tess", "-o", "good.bundle")
        tools.run("tessera", "verify", "good.bundle")
        for seed in range(12):
            shutil.rmtree(tools.folder / "bad.bundle", ignore_errors=True)
            shutil.copytree(tools.folder / "good.bundle",
                            tools.folder / "bad.bundle")
            where = subprocess.run(
                [tamper, "bad.bundle", "dense", str(seed)], cwd=folder,
                check=True, text=True, capture_output=True).stdout
            out = tools.run("tessera", "verify", "bad.bundle", "--json",
                            expect=1)
            layer = json.loads(out)["layers"][0]
            if layer["ok"] or layer["of_bound"] <= 1:
                sys.exit(f"verify misses a flipped bit: {where}")
        # The same flip without mending the checksums.
        weights = pathlib.Path(folder, "good.bundle/weights.bin")
        data = bytearray(weights.read_bytes())
        data[8192] ^= 1
        weights.write_bytes(data)
        tools.run("tessera", "verify", "good.bundle", expect=1)
    print("ok")


if __name__ == "__main__":
    main()

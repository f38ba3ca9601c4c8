#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench.py TESSERAC TESSERA: the benchmark's report is whole and adds up. What
it measures is not judged here: a loaded machine must not fail a test."""
import json
import sys
import tempfile

from harness import Tools

PLAN = """model "%s";
target host native;
tile 64x64;
weights synthetic seed 3;
masks %s;
layer "up" { weight synthetic 512x256; }
layer "down" { weight synthetic 256x512; residual; }
"""


def check_spread(spread):
    assert 0 < spread["p10"] <= spread["median"] <= spread["p90"], spread
    assert spread["samples"] >= 5, spread


def main():
    with tempfile.TemporaryDirectory() as folder:
        tools = Tools(*sys.argv[1:], folder)
        for name, masks in (("sparse", "synthetic sparse24 90% seed 3"),
                            ("dense", "none")):
            (tools.folder / f"{name}.tess").write_text(PLAN % (name, masks))
            tools.run("tesserac", "compile", f"{name}.tess", "-o",
                      f"{name}.bundle")
        common = ["bench", "sparse.bundle", "--against", "dense.bundle",
                  "--tokens", "1,16", "--time", "0.01"]
        report = json.loads(tools.run("tessera", *common, "--json"))
        assert report["bundle"] == "sparse", report
        assert report["against"] == "dense", report
        points = report["points"]
        assert [(p["layer"], p["tokens"]) for p in points] == [
            ("up", 1), ("up", 16), ("down", 1), ("down", 16)], points
        for point in points:
            for name in ("seconds", "read_bytes_per_second", "against_seconds",
                         "against_ratio"):
                check_spread(point[name])
            rate = point["bytes"] / point["seconds"]["median"]
            assert abs(rate / point["bytes_per_second"] - 1) < 1e-3, point
            # 90 % of tiles at 1.125 bytes a weight, 10 % at 2.
            assert 0.55 < point["bytes"] / (2 * 512 * 256) < 0.68, point
            assert point["copies"] > 100, point
        hot = json.loads(tools.run("tessera", *common, "--hot", "--json"))
        assert all(p["copies"] == 1 for p in hot["points"])
        text = tools.run("tessera", *common, "--layer", "up")
        assert "GB/s" in text and "down" not in text, text
        tools.run("tessera", "bench", "sparse.bundle", "--layer", "nosuch",
                  expect=1)
        tools.run("tessera", "bench", "sparse.bundle", "--hot", "--cold",
                  expect=2)
    print("ok")


if __name__ == "__main__":
    main()

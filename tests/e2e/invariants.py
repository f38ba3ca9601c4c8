#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""invariants.py TESSERAC TESSERA: what must not matter does not. The bundle is
the same, byte for byte, whatever the folder, the number of jobs, the locale,
the time zone and the umask; a layer's result is the same, bit for bit, whatever
the number of threads; every instruction-set variant passes verification."""
import filecmp
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

import numpy

from harness import Tools, round_to, save_array

PLAN = """model "invariants";
target host x86-64-v2, x86-64-v3;
tokens 1, 17..;
tile 64x64;
type bf16;
output f32;
weights synthetic seed 7;
masks synthetic sparse24 60% zero 10% seed 7;
layer "a" { weight synthetic 512x256; activation silu; }
layer "b" { weight synthetic 200x520; type f16; residual; }
layer "c" { interleave synthetic 96x256, synthetic 96x256; activation swiglu; }
"""

VARIANTS_PLAN = """model "variants";
%s
tile 64x64;
output f32;
weights synthetic seed 7;
masks synthetic sparse24 60%% zero 10%% seed 7;
layer "a" { weight synthetic 128x256; activation gelu_tanh; }
"""


def same_trees(a, b):
    """Names of what differs."""
    listing = [sorted(str(p.relative_to(root)) for p in root.rglob("*")
                      if p.is_file()) for root in (a, b)]
    if listing[0] != listing[1]:
        return sorted(set(listing[0]) ^ set(listing[1]))
    return [name for name in listing[0]
            if not filecmp.cmp(a / name, b / name, shallow=False)]


def make_locale(folder):
    """A German locale, comma for the decimal point, or None."""
    if shutil.which("localedef") is None:
        return None
    done = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8",
                           str(folder / "de_DE.UTF-8")], capture_output=True)
    made = (folder / "de_DE.UTF-8").exists()
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.UTF-8"} if made else None


def compile_in(tools_paths, folder, jobs, env=None):
    folder.mkdir(parents=True)
    (folder / "plan.tess").write_text(PLAN)
    tools = Tools(*tools_paths, folder, env)
    tools.run("tesserac", "compile", "plan.tess", "-o", "m.bundle",
              "--no-cache", "-j", jobs)
    return folder / "m.bundle"


def check_same_bundle(paths, root):
    first = compile_in(paths, root / "one", 1)
    variations = {"folder and jobs": ("elsewhere/two", 2, {}),
                  "time zone": ("three", 2, {"TZ": "Asia/Tokyo",
                                             "SOURCE_DATE_EPOCH": "1"})}
    locale = make_locale(root)
    if locale is None:
        print("no localedef with its sources: locales are not tested")
    else:
        variations["locale"] = ("four", 1, locale)
    for what, (folder, jobs, env) in variations.items():
        os.umask(0o077 if what == "time zone" else 0o022)
        wrong = same_trees(first, compile_in(paths, root / folder, jobs, env))
        if wrong:
            sys.exit(f"the {what} changed {', '.join(wrong)}")
    leftovers = [p.name for p in (root / "one").iterdir()]
    if sorted(leftovers) != ["m.bundle", "plan.tess"]:
        sys.exit(f"compile left {leftovers}")
    return first, locale


def check_threads(tools, random):
    shapes = {"a": (256, None), "b": (520, 200), "c": (256, None)}
    for layer, (columns, residual) in shapes.items():
        for tokens in (1, 17, 40):
            x = round_to(random.standard_normal((tokens, columns)),
                         "f16" if layer == "b" else "bf16")
            numpy.save(tools.folder / "x.npy", x.astype(numpy.float32))
            arguments = ["run", "m.bundle", "--layer", layer, "--input",
                         "x.npy"]
            if residual:
                save_array(tools.folder / "r.npy",
                           round_to(random.standard_normal((tokens, residual)),
                                    "f32"), "f32")
                arguments += ["--residual", "r.npy"]
            results = set()
            for threads in (1, 2, 3, 5):
                tools.run("tessera", *arguments, "--output", "y.npy",
                          "--threads", threads)
                results.add((tools.folder / "y.npy").read_bytes())
            if len(results) != 1:
                sys.exit(f"layer {layer}, N = {tokens}: the number of threads "
                         "changes the result")


def check_variants(tools):
    """All that this machine can run: the others are refused by name."""
    (tools.folder / "small.tess").write_text(
        VARIANTS_PLAN % ('target host;' if platform.machine() == "x86_64"
                         else 'target host native;'))
    tools.run("tesserac", "compile", "small.tess", "-o", "small.bundle")
    manifest = json.loads(
        (tools.folder / "small.bundle/manifest.json").read_text())
    ran = 0
    for image in manifest["images"]:
        command = [tools.tessera, "verify", "small.bundle", "--json",
                   "--variant", image["variant"]]
        done = subprocess.run(command, cwd=tools.folder, env=tools.env,
                              text=True, capture_output=True)
        if done.returncode == 0:
            report = json.loads(done.stdout)
            assert report["ok"] and report["variant"] == image["variant"]
            ran += 1
        elif image["variant"] not in done.stderr or done.returncode != 3:
            sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    if ran == 0:
        sys.exit("no variant runs on this machine")
    print(f"{ran} of {len(manifest['images'])} variants ran")


def check_locale(tools, locale):
    """Output for machines and people keeps its decimal point."""
    german = Tools(tools.tesserac, tools.tessera, tools.folder, locale)
    json.loads(german.run("tessera", "verify", "m.bundle", "--json"))
    text = german.run("tessera", "verify", "m.bundle")
    if re.search(r"\d,\d", re.sub(r"\d{1,3}(,\d{3})+", "", text)):
        sys.exit(f"a decimal comma:\n{text}")
    german.run("tesserac", "check", "plan.tess")


def main():
    paths = sys.argv[1:3]
    random = numpy.random.default_rng(3)
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        bundle, locale = check_same_bundle(paths, root)
        tools = Tools(*paths, bundle.parent)
        check_threads(tools, random)
        check_variants(tools)
        if locale is not None:
            check_locale(tools, locale)
    print("ok")


if __name__ == "__main__":
    main()

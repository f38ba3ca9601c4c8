# SPDX-License-Identifier: Apache-2.0
"""tesserac compile --explain, --resources, --max-spill, --min-occupancy.

Usage: cuda_reports_test.py TESSERAC. A script stands in for ptxas, so that
spills and registers are what a case needs and the test runs everywhere; what a
real one says of one plan is looked at where there is one.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

tesserac = os.path.abspath(sys.argv[1])
failed = False

PLAN = """model "reports";
weights synthetic seed 7;
masks synthetic sparse24 70% zero 10% seed 7;
target TARGET;
tokens 1..8, 65..;
type bf16;
layer "square" {
  weight synthetic 256x256;
}
layer "ragged" {
  weight synthetic 300x200;
  tile 64x64;
  residual;
}
"""

# Four blocks of three layers; the masks differ from layer to layer. Layers that
# stand apart differ from those in bias, tokens or kinds only.
GROUPS = """model "groups";
weights synthetic seed 7;
masks synthetic sparse24 70% zero 0% seed 7;
target cuda sm_80, sm_90;
tokens 1..8, 65..;
type bf16;
for i in 0..3 {
  for p in ["q", "k"] {
    layer "blocks.{i}.{p}_proj" { weight synthetic 1024x1024; }
  }
  layer "blocks.{i}.up" { weight synthetic 1024x1024; bias; }
}
layer "head" { weight synthetic 1024x1024; tokens 1..8; }
layer "tail" { weight synthetic 1024x1024; dense rows 0..1023; }
"""

PTXAS = """#!/bin/sh
if [ "$1" = --version ]; then  # cubins are cached by it
  answers=$(printf '%s' "$SPILLS$REGISTERS" | cksum | cut -c1-5)
  [ "$SPILLS$REGISTERS" = none ] && answers=3
  echo "Cuda compilation tools, release 1.2, V1.2.$answers"
  exit
fi
for word; do
  case $word in *.ptx) in=$word ;; esac
  last=$word
done
printf cubin >"$last"
sed -n 's/^\\.visible \\.entry \\([A-Za-z0-9_]*\\)(.*/\\1/p' "$in" |
while read -r name; do
  spill=0
  case $name in *"$SPILLS"*) spill=24 ;; esac
  echo "ptxas info    : Compiling entry function '$name' for 'sm_80'"
  echo "    0 bytes stack frame, $spill bytes spill stores, 16 bytes spill loads"
  echo "ptxas info    : Used ${REGISTERS:-128} registers, used 1 barriers"
done
"""
DECODE = "tsr_decode_bf16_256x256_t128x128_sd_none_bf16_n1to8"
NO_PTXAS = ("no ptxas was found (--ptxas, TESSERA_PTXAS, PATH, "
            "/usr/local/cuda/bin)")


def check(condition, what):
    global failed
    if not condition:
        print("FAILED:", what, file=sys.stderr)
        failed = True


def compile_plan(*words, plan="cuda.tess", **environment):
    """Exit code, output, and what was said beside progress."""
    done = subprocess.run(
        [tesserac, "compile", "-q", plan, *words], capture_output=True,
        text=True, check=False,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8",
             "TESSERA_CACHE": os.path.abspath("cache"), "SPILLS": "none",
             "TESSERA_PTXAS": os.path.abspath("ptxas"), **environment})
    return done.returncode, done.stdout, done.stderr


def bundles():
    return sorted(name for name in os.listdir(".") if "bundle" in name)


def expect_failure(code, message, *words, **environment):
    got, _, said = compile_plan(*words, **environment)
    check(got == code, f"{words}: ended with {got}, expected {code}: {said}")
    check(message in said, f"{words}: said {said!r}, expected {message!r}")
    check(bundles() == [], f"{words}: left {bundles()}")


def test_explain_text():
    code, out, said = compile_plan("--explain", "--stop-after=schedule")
    check(code == 0 and said == "", f"explain: {code} {said}")
    lines = out.splitlines()
    check(lines[0] == "sm_80: predicted for A100-SXM4-80GB", lines[0])
    check("sm_86: predicted for RTX A6000" in lines, "no sm_86")
    # Two layers, three ranges (1-8, 65-128, 129 and more), two targets.
    check(out.count("chosen") == 12, f"{out.count('chosen')} chosen")
    rows = [line.split() for line in lines]
    check(["square", "8", "decode", "8"] in [row[:4] for row in rows],
          "no row for square, 8 tokens")
    check(bundles() == [], f"explain left {bundles()}")


def split_groups(text):
    """By target and title: the rows below it, in words."""
    groups = {}
    target = rows = None
    for line in text.splitlines():
        check(len(line) <= 80, f"{len(line)} columns: {line}")
        if ": predicted for " in line:
            target = line.split(":")[0]
        elif re.search(r": \d+ layers?, ", line):
            rows = groups[(target, line)] = []
        elif line and not line.startswith(("tokens ", "\u2500")):
            rows.append(line.split())
    return groups


def check_spread(told, values, unit, what):
    """|told|, "1.25..1.31 us", is from the least to the greatest value."""
    number, got = told
    ends = [float(end) for end in number.split("..")]
    scale = {"us": 1e-6, "ms": 1e-3, "kB": 1e3, "MB": 1e6, "%": 1}[got]
    for end, value in ((ends[0], min(values)), (ends[-1], max(values))):
        check(abs(end * scale - value) <= abs(value) * 6e-3 + unit,
              f"{what}: {told} of {min(values)} to {max(values)}")
    check(len(ends) == 1 or ends[0] < ends[1], f"{what}: {told}")


def test_explain_groups():
    """Layers with equal kernels together, each figure as the range that the
    exact ones of all of them take."""
    code, out, said = compile_plan("--explain", "--stop-after=schedule",
                                   plan="groups.tess")
    check(code == 0 and said == "", f"groups: {code} {said}")
    groups = split_groups(out)
    size = "1024 x 1024"
    titles = {f"blocks.{{0..3}}.{{q,k}}_proj: 8 layers, {size}":
              [f"blocks.{i}.{p}_proj" for i in range(4) for p in "qk"],
              f"blocks.{{0..3}}.up: 4 layers, {size}":
              [f"blocks.{i}.up" for i in range(4)],
              f"head: 1 layer, {size}": ["head"],
              f"tail: 1 layer, {size}": ["tail"]}
    check(list(groups) == [(target, title) for target in ("sm_80", "sm_90")
                           for title in titles], list(groups))
    _, out, _ = compile_plan("--explain=json", "--stop-after=schedule",
                             plan="groups.tess")
    ranges = 0
    for target in json.loads(out)["targets"]:
        for title, layers in titles.items():
            choices = [c for c in target["choices"] if c["layer"] in layers]
            rows = groups[(target["target"], title)]
            check(sum("chosen" in row for row in rows) ==
                  len({c["tokens"] for c in choices}), f"{title}: {rows}")
            ranges += check_rows(rows, choices, f"{target['target']}, {title}")
    check(ranges > 20, f"only {ranges} figures differ between layers")


def check_rows(rows, choices, where):
    """The number of figures that are ranges."""
    ranges, tokens = 0, None
    for row in rows:
        if row[0].isdigit():
            tokens = int(row.pop(0))
        if len(row) < 6:
            continue  # a refusal
        found = [(c, choice["candidates"][0]["seconds"]) for choice in choices
                 if choice["tokens"] == tokens for c in choice["candidates"]
                 if c["strategy"] == row[0] and
                 c.get("token_tile") == int(row[1])]
        what = f"{where}: {tokens} tokens, {row}"
        check(found != [], what)
        check_spread(row[2:4], [c["seconds"] for c, _ in found], 0, what)
        bounds = {c["bound"] for c, _ in found}
        at = 5 if row[4] != "tensor" else 6
        check(len(bounds) > 1 or " ".join(row[4:at]) in bounds, what)
        at += 2 * (len(bounds) - 1)
        if len(bounds) == 1:
            check_spread(row[at:at + 2], [c["bytes"] for c, _ in found], 0,
                         what)
            if row[-1] == "%":
                check_spread(row[at + 2:], [100 * (c["seconds"] / best - 1)
                                            for c, best in found], 0.51, what)
        ranges += sum(".." in word for word in row)
    return ranges


def test_explain_layers():
    code, out, _ = compile_plan("--explain=layers", "--stop-after=schedule",
                                plan="groups.tess")
    check(code == 0, f"layers: {code}")
    # 13 layers with three ranges, the head with one; two targets.
    check(out.count("chosen") == 2 * (13 * 3 + 1), out.count("chosen"))
    for name in ("blocks.0.q_proj", "blocks.3.up", "head", "tail"):
        check(out.count(f"\n{name} ") == 2, f"{name} in {out}")
    same = [compile_plan(f"--explain={form}", "--stop-after=schedule")[1]
            for form in ("text", "layers")]
    check(same[0] == same[1], "one table where no two layers are alike")


def check_choice(choice):
    where = f"{choice['layer']}, {choice['tokens']} tokens"
    candidates = choice["candidates"]
    chosen = [c for c in candidates if c["chosen"]]
    check(len(chosen) == 1 and candidates[0]["chosen"], f"{where}: chosen")
    strategy = "decode" if choice["tokens"] <= 64 else "prefill"
    check(candidates[0]["strategy"] == strategy, f"{where}: {strategy}")
    check(f"_{strategy}_" in candidates[0]["kernel"], f"{where}: kernel")
    usable = [c for c in candidates if c["refused"] is None]
    others = [c["seconds"] for c in usable[1:]]
    check(others == sorted(others), f"{where}: order {others}")
    for c in usable:
        check(c["bytes"] > 0 and c["flops"] > 0 and c["mma"] > 0,
              f"{where}: {c}")
        check(1e-7 < c["seconds"] < 1e-3, f"{where}: {c['seconds']} s")
        check(c["bound"] in ("bandwidth", "cache", "tensor cores", "latency"),
              f"{where}: {c['bound']}")
    refused = [c for c in candidates if c["refused"] is not None]
    for c in refused:
        check(c["refused"] == "more than 64 tokens", f"{where}: {c}")
    check((choice["tokens"] > 64) == (len(refused) == 1), f"{where}: refused")


def test_explain_json():
    code, out, _ = compile_plan("--explain=json", "--stop-after=schedule")
    check(code == 0, f"explain=json: {code}")
    targets = json.loads(out)["targets"]
    check([t["target"] for t in targets] == ["sm_80", "sm_86"], "targets")
    for target in targets:
        asked = [(c["layer"], c["tokens"]) for c in target["choices"]]
        check(asked == [(layer, n) for layer in ("square", "ragged")
                        for n in (8, 128, 2048)], asked)
        for choice in target["choices"]:
            check_choice(choice)


def test_resources():
    code, out, said = compile_plan("--resources", "--stop-after=codegen",
                                   SPILLS="n65to128")
    check(code == 0 and said == "", f"resources: {code} {said}")
    rows = [line.split() for line in out.splitlines()]
    row = next((r for r in rows if r and r[-1] == DECODE), None)
    check(row is not None and row[:2] == ["128", "0/16"], row)
    check(row is not None and row[3:7] == ["2", "25", "%", "registers"], row)
    spilled = [r for r in rows if r and "n65to128" in r[-1]]
    check(len(spilled) == 4 and all(r[1] == "24/16" for r in spilled), spilled)
    code, out, _ = compile_plan("--resources=json", "--emit=ptx", "-o", "ptx")
    check(code == 0, f"resources=json: {code}")
    shutil.rmtree("ptx")
    told = json.loads(out)
    check(told["ptxas"] == "1.2.3", told["ptxas"])
    check([t["target"] for t in told["targets"]] == ["sm_80", "sm_86"], told)
    kernels = {k["kernel"]: k for k in told["targets"][0]["kernels"]}
    check(len(kernels) == 6, f"{len(kernels)} kernels")
    decode = kernels[DECODE]
    check(decode["registers"] == 128 and decode["blocks"] == 2, decode)
    check(decode["occupancy"] == 0.25 and decode["limiter"] == "registers",
          decode)
    check(decode["threads"] == 256 and decode["shared_dynamic"] > 0, decode)


def test_without_ptxas():
    code, out, said = compile_plan("--resources", "--stop-after=codegen",
                                   TESSERA_PTXAS="none")
    check(code == 0 and NO_PTXAS in said, f"without: {code} {said}")
    rows = [line.split() for line in out.splitlines()]
    row = next((r for r in rows if r and r[-1] == DECODE), None)
    check(row is not None and row.count("?") == 5, row)
    code, out, _ = compile_plan("--resources=json", "--stop-after=codegen",
                                TESSERA_PTXAS="none")
    told = json.loads(out)
    check(told["ptxas"] is None, told)
    kernel = told["targets"][0]["kernels"][0]
    check(kernel["registers"] is None and kernel["blocks"] is None, kernel)
    check(kernel["shared_dynamic"] > 0, kernel)
    for gate in ("--max-spill=0", "--min-occupancy=1"):
        expect_failure(3, NO_PTXAS, gate, TESSERA_PTXAS="none")


def test_gates():
    kernel = "256x256_t128x128_sd_none_bf16_n65to128"
    spills = {"SPILLS": kernel}
    expect_failure(
        1, f"kernel tsr_prefill_bf16_{kernel} for sm_80 spills 24 bytes, "
        "--max-spill allows 23 (and 1 kernel like it)", "--max-spill=23",
        **spills)
    expect_failure(
        1, f"kernel {DECODE} for sm_86 has 2 blocks (33 % of the threads) on a "
        "multiprocessor, limited by registers; --min-occupancy asks for 34%",
        "--min-occupancy=34%", "--target", "sm_86")
    expect_failure(1, f"kernel {DECODE} for sm_80 has 1 block (12 %",
                   "--min-occupancy=2", REGISTERS="255")
    code, _, said = compile_plan("--max-spill=24", "--min-occupancy=1",
                                 **spills)
    check(code == 0 and said == "", f"gates that hold: {code} {said}")
    check(bundles() == ["cuda.bundle"], bundles())
    shutil.rmtree("cuda.bundle")
    for gate in ("--max-spill=0", "--min-occupancy=1", "--resources",
                 "--explain"):
        name = gate.split("=")[0]
        expect_failure(1, f"{name}: no cuda target is compiled for", gate,
                       plan="host.tess")


def test_usage():
    for word in ("0x2", "2.5", "-1", "33", "101%", "", "2 ", "%"):
        expect_failure(2, "blocks (1 to 32)", f"--min-occupancy={word}")
    expect_failure(2, "--max-spill", "--max-spill=-1")
    expect_failure(2, "give -o", "--explain", "--emit=ptx")
    expect_failure(2, "needs the stage codegen", "--resources",
                   "--stop-after=schedule")
    expect_failure(2, "needs the stage schedule", "--explain",
                   "--stop-after=check")
    expect_failure(2, "no json", "--explain=json", "--resources")


def test_real():
    code, out, said = compile_plan("--resources=json", "--stop-after=codegen",
                                   TESSERA_PTXAS="")
    check(code == 0, f"real ptxas: {code} {said}")
    told = json.loads(out)
    if told["ptxas"] is None:
        print("SKIPPED: real ptxas (there is none on this machine)",
              file=sys.stderr)
        return
    for target in told["targets"]:
        for kernel in target["kernels"]:
            check(32 <= kernel["registers"] <= 255 and kernel["blocks"] >= 1,
                  f"{target['target']}: {kernel}")


folder = tempfile.mkdtemp()
try:
    os.chdir(folder)
    for name, target in (("cuda", "cuda sm_80, sm_86"),
                         ("host", "host x86-64-v2")):
        with open(name + ".tess", "w", encoding="utf-8") as file:
            file.write(PLAN.replace("TARGET", target))
    with open("ptxas", "w", encoding="utf-8") as file:
        file.write(PTXAS)
    os.chmod("ptxas", 0o755)
    with open("groups.tess", "w", encoding="utf-8") as file:
        file.write(GROUPS)
    test_explain_text()
    test_explain_groups()
    test_explain_layers()
    test_explain_json()
    test_resources()
    test_without_ptxas()
    test_gates()
    test_usage()
    test_real()
finally:
    shutil.rmtree(folder)
sys.exit(1 if failed else 0)

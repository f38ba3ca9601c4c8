#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compile_cuda_test.py, arguments as compile_test.py's: bundles for CUDA
targets, alone and beside the host's. Without ptxas on this machine nothing is
assembled, and this says so."""
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import compile_test as base
from compile_test import check, leftovers, lines, same, write_plan
from schema import complaints

PLAN = """model "m";
target {target};
tokens 1, 129..;
tile 64x64;
weights synthetic seed 7;
masks synthetic sparse24 60% zero 10% seed 3;
layer "a" {{ weight synthetic 200x256; bias; }}
layer "b.c" {{ weight synthetic 96x128; activation silu; {more} }}
"""
PTXAS = next((path for path in (os.environ.get("TESSERA_PTXAS"),
                                shutil.which("ptxas"),
                                "/usr/local/cuda/bin/ptxas")
              if path and os.access(path, os.X_OK)), None)


def write(name="plan.tess", target="cuda sm_80", more=""):
    (base.folder / name).write_text(PLAN.format(target=target, more=more))


def compile_plan(*arguments, env=None, **options):
    """With one cache for all tests: those of caching are compile_test.py's."""
    return base.compile_plan(*arguments, **options,
                             env={"TESSERA_CACHE": CACHE, **(env or {})})


def compile_cuda(*arguments, **options):
    return compile_plan("--ptxas", "none", *arguments, **options)


def manifest_of(bundle):
    text = (base.folder / bundle / "manifest.json").read_text()
    manifest = json.loads(text)
    schema = (base.SOURCE / "docs/manifest.schema.json").read_text()
    for complaint in complaints(manifest, json.loads(schema)):
        check(False, complaint)
    return manifest


# ---- Contents ---------------------------------------------------------------

def check_schedule(data, layer):
    """The section is as long as its header says, its cuts cover all steps."""
    section = layer["cuda"]["schedule"]
    at, end = section["offset"], section["offset"] + section["size"]
    steps, cuts, workers, segments = struct.unpack_from("<4I16x", data, at)
    check(section["size"] == 32 + 8 * steps + 32 * cuts + 16 * workers +
          32 * segments, "the schedule section's arithmetic")
    check(steps == layer["cuda"]["steps"], "steps")
    found = set()
    for i in range(cuts):
        cut = struct.unpack_from("<8I", data, at + 32 + 8 * steps + 32 * i)
        found.add(cut[:2])
        first = end - 32 * segments - 16 * workers + 16 * cut[2]
        shares = [struct.unpack_from("<4I", data, first + 16 * w)
                  for w in range(cut[3])]
        check(shares[0][0] == 0 and shares[-1][1] == steps, "all steps")
    check(found == {(n, mode) for n in (84, 108, 128, 132)
                    for mode in (0, 1)}, f"classes of devices: {found}")


def check_layer(data, manifest, layer):
    cuda = layer["cuda"]
    check("host" not in layer, "no host part")
    check(layer["packed_bytes"] == cuda["stream"]["size"], "packed_bytes")
    for name, alignment in (("stream", 4096), ("schedule", 64)):
        check(cuda[name]["offset"] % alignment == 0, f"{name} is aligned")
    check("bias" not in cuda or cuda["bias"]["size"] == 4 * layer["rows"],
          "bias")
    kernels = [manifest["cuda_kernels"][i] for i in cuda["kernels"]]
    ranges = [tuple(kernel["tokens"]) for kernel in kernels]
    check(ranges[0][0] == 1 and ranges[-1][1] == 2**32 - 1, f"{ranges}")
    check(all(a[1] < b[0] for a, b in zip(ranges, ranges[1:])), f"{ranges}")
    check_schedule(data, layer)


def test_cuda_alone():
    write()
    done = compile_cuda("-o", "m.bundle")
    check(lines(done, "for CUDA: "), f"padding is reported: {done.stderr}")
    manifest = manifest_of("m.bundle")
    check(manifest["kernels"] == [], "no host kernels")
    check(" cuda-" in manifest["compiler"]["fingerprint"] and
          " host-" not in manifest["compiler"]["fingerprint"], "fingerprint")
    image, = manifest["images"]
    check((image["family"], image["variant"], image["format"], image["rank"],
           image["ptxas"]) == ("cuda", "sm_80", "ptx", 80, ""), f"{image}")
    ptx = (base.folder / "m.bundle" / image["file"]).read_text()
    entries = re.findall(r"\.visible \.entry (\w+)\(", ptx)
    check(entries == [k["name"] for k in manifest["cuda_kernels"]],
          "the module holds the kernels, in their order")
    check("\n.target sm_80\n" in ptx and ptx.count(".version") == 1, "header")
    data = (base.folder / "m.bundle/weights.bin").read_bytes()
    for layer in manifest["layers"]:
        check_layer(data, manifest, layer)


def test_generated_functions():
    """The generated sources on the emulated driver, without the host's part."""
    plan = base.caller_plan().replace("host generic", "cuda sm_80")
    (base.folder / "plan.tess").write_text(plan)
    compile_cuda("-o", "m.bundle")
    base.build_caller()
    done = subprocess.run(
        [base.folder / "main", base.folder / "m.bundle", "cuda:0"], text=True,
        capture_output=True,
        env=dict(os.environ, TESSERA_EMU_CHECK="all",
                 TESSERA_CUDA_DRIVER=os.environ["TESSERA_TEST_EMULATOR"]))
    check(done.returncode == 0, f"the caller runs: {done.stderr}")


def test_both():
    """The host's part is what it is without CUDA."""
    write(target="host generic")
    compile_cuda("-o", "host.bundle")
    write(target="host generic;\ntarget cuda sm_80, sm_90a")
    compile_cuda("-o", "both.bundle")
    host, both = manifest_of("host.bundle"), manifest_of("both.bundle")
    check("cuda_kernels" not in host, "no CUDA without a target")
    check(both["kernels"] == host["kernels"], "the host's kernels")
    check(both["images"][0] == host["images"][0], "the host's image")
    check([i["rank"] for i in both["images"][1:]] == [80, 91], "ranks")
    every = list(range(len(both["cuda_kernels"])))
    check([i["kernels"] for i in both["images"][1:]] == [every, every] and
          "kernels" not in both["images"][0], "what the images hold")
    check("host" in both["compiler"]["fingerprint"] and
          "cuda" in both["compiler"]["fingerprint"], "both fingerprints")
    for ours, alone in zip(both["layers"], host["layers"]):
        for name in ("stream", "schedule"):
            check(ours["host"][name]["hash"] == alone["host"][name]["hash"],
                  f"the host's {name}")
        check(ours["packed_bytes"] == alone["packed_bytes"], "packed_bytes")
        check(ours["grid"]["hash"] == alone["grid"]["hash"], "grid")
    bias = both["layers"][0]["cuda"]["bias"]
    check(bias == both["layers"][0]["host"]["bias"], "one bias for both")
    ptx = [(base.folder / "both.bundle" / image["file"]).read_text()
           for image in both["images"][1:]]
    check([re.sub(r"^\.(version|target) .*$", "", text, flags=re.M)
           for text in ptx][0] ==
          re.sub(r"^\.(version|target) .*$", "", ptx[1], flags=re.M),
          "targets differ in .version and .target only")


def test_same_bytes():
    write(target="host generic;\ntarget cuda sm_80")
    compile_cuda("-o", "one.bundle", "-j", "1", "--no-cache")
    (base.folder / "deep/er").mkdir(parents=True)
    compile_cuda("-o", "deep/er/two.bundle", "-j", "2")
    check(same(base.folder / "one.bundle", base.folder / "deep/er/two.bundle"),
          "-j, the folder and the cache change no byte")
    done = compile_cuda("-o", "one.bundle", "--why")  # reuse, cached kernels
    check(all("reused" in line for line in lines(done, "layer ")),
          f"reused: {done.stderr}")
    check(lines(done, "kernel tsr_decode") and
          all("from the cache" in line for line in lines(done, "kernel ")),
          f"cached: {done.stderr}")
    check(same(base.folder / "one.bundle", base.folder / "deep/er/two.bundle"),
          "reuse changes no byte")
    compile_cuda("-o", "m.one", "--single-file")
    done = compile_cuda("-o", "m.one", "--single-file", "--why")
    check(all("reused" in line for line in lines(done, "layer ")),
          "a single file serves the next compile")


def test_reasons():
    """A family more, or other workers, and layers are packed anew."""
    write()
    compile_cuda("-o", "m.bundle")
    for change in ({"target": "cuda sm_80;\ntarget host generic"},
                   {"more": "schedule { workers 7; }"}):
        write(**change)
        done = compile_cuda("-o", "copy.bundle")
        shutil.rmtree(base.folder / "fresh.bundle", ignore_errors=True)
        os.rename(base.folder / "copy.bundle", base.folder / "fresh.bundle")
        shutil.copytree(base.folder / "m.bundle", base.folder / "copy.bundle")
        done = compile_cuda("-o", "copy.bundle", "--why")
        check(any(line.endswith("packed, changed: options")
                  for line in lines(done, "layer ")), done.stderr)
        check(same(base.folder / "copy.bundle", base.folder / "fresh.bundle"),
              f"{change}: an incremental bundle differs from a fresh one")
        shutil.rmtree(base.folder / "copy.bundle")
    write(target="cuda sm_86")  # packed weights serve all CUDA targets
    done = compile_cuda("-o", "m.bundle", "--why")
    check(all("reused" in line for line in lines(done, "layer ")), done.stderr)


# ---- Looking at it ----------------------------------------------------------

def inspect(*arguments):
    done = subprocess.run([base.TESSERAC, "inspect", *map(str, arguments)],
                          cwd=base.folder, capture_output=True, text=True)
    check(done.returncode == 0, f"inspect {arguments}: {done.stderr}")
    return done.stdout


def test_inspect():
    write(target="host generic;\ntarget cuda sm_80")
    compile_cuda("-o", "m.bundle")
    compile_cuda("-o", "m.one", "--single-file")
    manifest = manifest_of("m.bundle")
    shown = json.loads(inspect("m.bundle", "--json"))
    check(shown == json.loads(inspect("m.one", "--json")), "both forms")
    check(shown["cuda_kernels"] == manifest["cuda_kernels"], "kernels")
    for ours, theirs in zip(shown["layers"], manifest["layers"]):
        cuda = theirs["cuda"]
        check(ours["cuda"]["packed_bytes"] == cuda["stream"]["size"] and
              ours["cuda"]["padding"] == cuda["padding"], f"{ours['cuda']}")
        weights = ours["rows"] * ours["columns"]
        check(abs(ours["cuda"]["bytes_per_weight"] * weights -
                  cuda["stream"]["size"]) < 1, "bytes per weight")
        cuts = ours["cuda"]["cuts"]
        check({cut["multiprocessors"] for cut in cuts} == {84, 108, 128, 132},
              "classes")
        check(all(cut["byte_imbalance"] >= 1 and cut["time_imbalance"] >= 1 and
                  (cut["workers"] > 1 or cut["byte_imbalance"] == 1)
                  for cut in cuts), "shares")
    text = inspect("m.bundle")
    for line in (r"a +\d+ +[\d.]+ kB +\d\.\d{3} +[\d.]+ k?B +[\d.]+ % ",
                 r"decode +2 +1 +<= \d+ ",
                 r"cuda sm_80 ptx .* compute capability 8.0 or later$"):
        check(re.search(f"^{line}", text, re.M), f"{line} in {text}")
    text = inspect("m.bundle", "--layer", "a")
    check("Launches" in text and "CUDA launches" in text and
          "CUDA decode" in text and "CUDA prefill" in text, text)
    check("tsr_prefill_" in inspect("m.bundle", "--kernels"), "--kernels")
    compile_cuda("-o", "cuda.bundle", "--target", "sm_80")
    alone = json.loads(inspect("cuda.bundle", "--json"))
    for ours, theirs in zip(alone["layers"], shown["layers"]):
        check("workers" not in ours and ours["cuda"] == theirs["cuda"],
              "CUDA alone")
    check(re.search(r"^a .* -$", inspect("cuda.bundle"), re.M), "no workers")
    check("Launches" not in inspect("cuda.bundle", "--layer", "a").replace(
        "CUDA launches", ""), "no host launches")


CUTS = """model "cuts";
target cuda sm_80;
tokens 1..16, 65..;
weights synthetic seed 7;
masks synthetic sparse24 60% zero 10% seed 3;
layer "a" { weight synthetic 1024x2048; }
layer "b" { weight synthetic 256x128; }
layer "odd" { weight synthetic 512x1024; tokens 65..200; }
layer "few" { weight synthetic 256x128; tokens 1..4; }
"""


def table_below(text, title):
    """The rows below |title|, in words, and the class that each belongs to."""
    at = next((i for i, line in enumerate(text.splitlines())
               if line.startswith(title)), None)
    if at is None:
        return []
    rows, device = [], None
    for line in text.splitlines()[at + 3:]:
        if not line:
            break
        check(len(line) <= 80, f"{len(line)} columns: {line}")
        words = line.split()
        if line[:15].strip():
            device = int(words.pop(0))
        rows.append((device, words))
    return rows


def is_bytes(words, value):
    scale = {"B": 1, "kB": 1e3, "MB": 1e6}[words[1]]
    return abs(float(words[0]) * scale - value) <= 6e-3 * value


def pick(cuts, tiles, device, size):
    """docs/runtime.md, "Choosing a cut"; |size|: bytes of packed weights, tiles
    have 128 rows."""
    def cost(cut):
        waves = -(-cut["workers"] * tiles // device)
        return waves * (size / 512 + 128 * cut["partials"]) / cut["workers"]
    cuts = [c for c in cuts if c["mode"] == "prefill" and
            c["reductions"] * tiles <= 1020]
    best = min(map(cost, cuts))
    return min((c for c in cuts if cost(c) <= 16 / 15 * best),
               key=lambda c: (c["partials"], cost(c)))


def check_prefill(words, device, cuts, size):
    """|words|: a row of the summary, after the class of device."""
    first, last = map(int, words[0].split(".."))
    tile = int(words[1])
    tiles = range(-(-first // tile), -(-last // tile) + 1)
    picked = [pick(cuts, count, device, size) for count in tiles]
    for column, key in ((2, "workers"), (3, "reductions")):
        values = [cut[key] for cut in picked]
        ends = sorted({min(values), max(values)})
        check(words[column] == "..".join(map(str, ends)), f"{words}: {ends}")
    worst = max(cut["time_imbalance"] for cut in picked)
    check(abs(float(words[4]) - worst) < 6e-4, f"{words}: {worst}")
    sizes = [4096 + count * cut["partials"] * tile * 128 * 4
             if cut["partials"] else 0 for count, cut in zip(tiles, picked)]
    check(is_bytes(words[5:7], max(sizes)), f"{words}: {max(sizes)} bytes")
    return last


def test_cut_summary():
    """What one layer shows of its cuts, against all of them as JSON."""
    (base.folder / "plan.tess").write_text(CUTS)
    compile_cuda("-o", "m.bundle")
    layers = json.loads(inspect("m.bundle", "--json"))["layers"]
    for layer in layers[:3]:
        text = inspect("m.bundle", "--layer", layer["name"])
        decode = table_below(text, "CUDA decode")
        prefill = table_below(text, "CUDA prefill")
        check([device for device, _ in decode] ==
              ([] if layer["name"] == "odd" else [84, 108, 128, 132]), decode)
        expected = ([128, 200] if layer["name"] == "odd" else
                    [128, 512, 2048, 8192])
        for device, words in decode:
            cut, = [c for c in layer["cuda"]["cuts"] if c["mode"] == "decode"
                    and c["multiprocessors"] == device]
            mean = layer["packed_bytes"] / cut["workers"]
            check(words[0] == str(cut["workers"]) and
                  is_bytes(words[1:3], cut["least_bytes"]) and
                  is_bytes(words[3:5], mean) and
                  is_bytes(words[5:7], cut["most_bytes"]) and
                  words[7] == str(cut["reductions"]), f"{words}: {cut}")
            size = 4096 + cut["partials"] * 16 * 128 * 4
            check(is_bytes(words[8:], size if cut["partials"] else 0), words)
        for device in (84, 108, 128, 132):
            cuts = [c for c in layer["cuda"]["cuts"]
                    if c["multiprocessors"] == device]
            ends = [check_prefill(words, device, cuts, layer["packed_bytes"])
                    for of, words in prefill if of == device]
            check(ends == expected, f"{device}: {ends}")
    text = inspect("m.bundle", "--layer", "few")
    check("CUDA decode" in text and "CUDA prefill" not in text, text)


def test_all_cuts():
    (base.folder / "plan.tess").write_text(CUTS)
    compile_cuda("-o", "m.bundle")
    layers = json.loads(inspect("m.bundle", "--json"))["layers"]
    text = inspect("m.bundle", "--cuts")
    check([line.split(" (")[0] for line in lines_of(text, " cuts ")] ==
          [f"{layer['name']}: {len(layer['cuda']['cuts'])} cuts"
           for layer in layers], text)
    cuts = layers[1]["cuda"]["cuts"]
    rows = [line.split() for line in
            inspect("m.bundle", "--cuts", "--layer", "b").splitlines()[3:]]
    check(rows == [[str(c["multiprocessors"]), c["mode"], str(c["workers"]),
                    str(c["partials"]), str(c["reductions"]),
                    f"{c['byte_imbalance']:.3f}", f"{c['time_imbalance']:.3f}"]
                   for c in cuts], f"{rows}: {cuts}")
    write(target="host generic")
    compile_cuda("-o", "host.bundle")
    done = subprocess.run([base.TESSERAC, "inspect", "host.bundle", "--cuts"],
                          cwd=base.folder, capture_output=True, text=True)
    check(done.returncode == 1 and done.stdout == "" and
          "nothing here is compiled for a cuda target" in done.stderr,
          f"{done}")


def lines_of(text, word):
    return [line for line in text.splitlines() if word in line]


# ---- Targets and emissions --------------------------------------------------

def test_targets():
    write_plan()
    for name in ("sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100",
                 "sm_120"):
        compile_cuda("--stop-after=import", "--target", name)
        write(target=f"cuda {name}")
        compile_cuda("--stop-after=check")
    write(target="cuda")
    compile_cuda("-o", "m.bundle")
    check([image["variant"] for image in manifest_of("m.bundle")["images"]] ==
          ["sm_80", "sm_90a"], "what cuda without a list means")
    done = compile_cuda("--target", "sm_81", expect=2)
    check("did you mean" in done.stderr, done.stderr)


def test_emissions():
    write()
    compile_cuda("--emit=ptx,ll,schedule", "-o", "out")
    names = {str(p.relative_to(base.folder / "out"))
             for p in (base.folder / "out").rglob("*.*")}
    check({"sm_80/a.ptx", "sm_80/b_c.ptx", "schedule.txt"} <= names, f"{names}")
    check(sum(name.endswith(".ll") for name in names) == 2 * 2, f"{names}")
    ptx = (base.folder / "out/sm_80/b_c.ptx").read_text()
    for text in ("// layer b.c\n", "// plan plan.tess:8\n",
                 "// Y [N, 96] bf16 = silu(X [N, 128] W^T)\n",
                 "decode, 108 multiprocessors", "prefill, tokens 129..",
                 ".visible .entry tsr_decode_bf16_96x128_t64x64_"):
        check(text in ptx, f"{text!r} in the layer's PTX")
    check("84 multiprocessors" not in ptx, "the tile runs of an A100 alone")
    check(".entry tsr_decode_bf16_200x256" not in ptx, "no other layer's code")
    schedule = (base.folder / "out/schedule.txt").read_text()
    check(schedule.startswith("layer a for cuda\nmatrix 200x256 tile 64x64 "),
          schedule[:80])
    compile_cuda("--save-temps", "temps", "-o", "m.bundle")
    suffixes = {p.suffix for p in (base.folder / "temps").rglob("*.*")}
    check(suffixes == {".ll", ".ptx"}, f"--save-temps keeps {suffixes}")
    done = compile_cuda("--emit=asm", expect=1)
    check("--emit=ptx" in done.stderr, done.stderr)
    done = compile_cuda("--emit=ptx", "--target", "generic", expect=1)
    check("host targets only" in done.stderr, done.stderr)
    compile_cuda("--emit=cubin", expect=2)
    done = compile_cuda("--emit=cubin", "-o", "out", expect=1)
    check("needs ptxas" in done.stderr, done.stderr)


# ---- The assembler ----------------------------------------------------------

def write_program(name, text):
    path = base.folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def test_assembler_fails():
    write()
    compile_cuda("-o", "m.bundle")
    before = (base.folder / "m.bundle/manifest.json").read_bytes()
    broken = write_program("broken", """case "$*" in
*--version*) echo "Cuda compilation tools, release 13.0, V13.0.88";;
*) echo "ptxas fatal : no such thing" >&2; exit 255;;
esac
""")
    for program, text, code in ((broken, "no such thing", 3),
                                ("/none", "/none", 1)):
        done = compile_plan("-o", "m.bundle", "--ptxas", program, expect=code)
        check(text in done.stderr, done.stderr)
        done = compile_plan("-o", "m.bundle", expect=code,
                            env={"TESSERA_PTXAS": str(program)})
        check(text in done.stderr, done.stderr)
        check((base.folder / "m.bundle/manifest.json").read_bytes() == before,
              "the old bundle is spared")
        check(leftovers() == [], f"{leftovers()} are left")
    compile_plan("-o", "new.bundle", "--ptxas", broken, expect=3)
    check(not (base.folder / "new.bundle").exists(), "nothing is left")


FOUR = ("sm_80", "sm_86", "sm_89", "sm_90")
# Waits until MEET of its kind were started, then says how many are at work.
MEETING = """case "$*" in
*--version*) echo "Cuda compilation tools, release 1.2, V1.2.3"; exit;;
esac
for word; do
  case $word in *.ptx) in=$word ;; -arch=*) arch=${word#-arch=} ;; esac
  last=$word
done
: >"$WHERE/started.$$"; : >"$WHERE/running.$$"
turns=0
while [ "$(ls "$WHERE" | grep -c started)" -lt "$MEET" ] &&
      [ $turns -lt 200 ]; do
  sleep 0.05; turns=$((turns + 1))
done
sleep 0.2
ls "$WHERE" | grep -c running >>"$WHERE/seen"
case $arch in *"$SLOW"*) sleep 0.5 ;; esac
case " $BAD " in
*" $arch "*) echo "ptxas fatal : not for $arch" >&2; exit 255 ;;
esac
rm "$WHERE/running.$$"
cksum <"$in" >"$last"
sed -n 's/^\\.visible \\.entry \\([A-Za-z0-9_]*\\)(.*/\\1/p' "$in" |
while read -r name; do
  echo "ptxas info    : Compiling entry function '$name' for '$arch'"
  echo "ptxas info    : Used 40 registers"
done
"""


def compile_meeting(jobs, *arguments, **options):
    """With four targets and MEETING as ptxas: how many were at work at once."""
    program = write_program("meeting", MEETING)
    where, temporary = base.folder / "where", base.folder / "tmp"
    for folder in (where, temporary):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    env = {"WHERE": str(where), "TMPDIR": str(temporary), "MEET": "1",
           "BAD": "none", "SLOW": "none", **options.pop("env", {})}
    done = compile_plan("-j", jobs, "--ptxas", program, *arguments, env=env,
                        **options)
    check(list(temporary.iterdir()) == [], "temporary files are left")
    return done, max(map(int, (where / "seen").read_text().split()))


def test_side_by_side():
    write(target="cuda " + ", ".join(FOUR))
    compile_cuda("--stop-after=codegen", "-o", "m.bundle",
                 env={"TESSERA_CACHE": str(base.folder / "kernels")})
    for jobs in (1, 2, 4):  # kernels from the cache, cubins not
        cache = base.folder / f"cache{jobs}"
        shutil.copytree(base.folder / "kernels", cache)
        _, most = compile_meeting(
            jobs, "-o", f"j{jobs}.bundle",
            env={"MEET": str(jobs), "TESSERA_CACHE": str(cache)})
        check(most == jobs, f"-j {jobs}: {most} at once")
        check(same(base.folder / "j1.bundle", base.folder / f"j{jobs}.bundle"),
              f"-j {jobs} changes no byte")
    images = manifest_of("j4.bundle")["images"]
    check([image["variant"] for image in images if image["format"] == "cubin"]
          == list(FOUR), "a cubin for each, in their order")


def test_first_failure():
    """Of several complaints the first target's, whichever comes first."""
    write(target="cuda " + ", ".join(FOUR))
    for jobs in (1, 2, 4):
        done, _ = compile_meeting(
            jobs, "-q", "-o", "m.bundle", expect=3,
            env={"BAD": "sm_86 sm_89 sm_90", "SLOW": "sm_86"})
        check(done.stderr.count("\n") == 1 and "sm_86: " in done.stderr and
              "not for sm_86" in done.stderr, f"-j {jobs}: {done.stderr}")
        check(leftovers() == [] and not (base.folder / "m.bundle").exists(),
              "nothing is left")


def test_progress():
    """It counts what is assembled, not what the cache has."""
    write(target="cuda sm_89", more="residual;")
    compile_meeting(2, "-o", "m.bundle")
    write(target="cuda sm_86, sm_89, sm_90", more="residual;")
    done, _ = compile_meeting(2, "-o", "m.bundle")
    last = lines(done, "assembling: ")[-1]
    check(last.startswith("assembling: 2/2 CUDA targets (100 %)"), last)
    done = compile_plan("-o", "m.bundle", "--ptxas", base.folder / "meeting")
    check(lines(done, "assembling: ") == [], f"all cached: {done.stderr}")


def is_running(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def interrupt(slow, send):
    """What ends while two of four are assembled leaves nothing, and at once."""
    program = write_program("slow", f"""case "$*" in
*--version*) echo "Cuda compilation tools, release 13.0, V13.0.1";;
*) {slow}
   sleep 60 & echo $$ $! >"started.$$"; wait;;
esac
""")
    temporary = base.folder / "tmp"
    temporary.mkdir(exist_ok=True)
    for path in base.folder.glob("started.*"):
        path.unlink()
    process = subprocess.Popen(
        [base.TESSERAC, "compile", "plan.tess", "-o", "m.bundle", "-j", "2",
         "--ptxas", program], cwd=base.folder, text=True,
        env=dict(os.environ, TESSERA_CACHE=CACHE, TMPDIR=str(temporary)),
        stderr=subprocess.PIPE, start_new_session=True)
    programs = []
    for _ in range(600):
        programs = [int(word) for path in base.folder.glob("started.*")
                    for word in path.read_text().split()]
        if len(programs) == 4:
            break
        time.sleep(0.05)
    check(len(programs) == 4, f"two assemblers were started: {programs}")
    start = time.monotonic()
    number = send(process.pid)
    _, text = process.communicate(timeout=90)
    check(time.monotonic() - start < 20, "it does not wait for programs")
    check(process.returncode == -number and "error" not in text,
          f"interrupted: {process.returncode} {text}")
    for _ in range(100):  # until whoever inherits them has noticed
        if not any(map(is_running, programs)):
            break
        time.sleep(0.05)
    check(not any(map(is_running, programs)), f"of {programs} some are left")
    check(leftovers() == [], f"{leftovers()} are left")
    check(list(temporary.iterdir()) == [], "temporary files are left")


def twice(process):
    os.kill(process, signal.SIGTERM)
    time.sleep(0.5)
    check(is_running(process), "the first signal waits for the programs")
    os.kill(process, signal.SIGTERM)
    return signal.SIGTERM


def as_terminal(process):
    os.killpg(process, signal.SIGINT)
    return signal.SIGINT


def alone(process):
    os.kill(process, signal.SIGTERM)
    return signal.SIGTERM


def test_interrupted():
    """While assemblers work: nothing is left, the old bundle is spared."""
    write(target="cuda " + ", ".join(FOUR))
    compile_cuda("-o", "m.bundle")
    shutil.copytree(base.folder / "m.bundle", base.folder / "old.bundle")
    interrupt(":", as_terminal)
    interrupt(":", alone)
    interrupt("trap '' TERM", twice)
    check(same(base.folder / "m.bundle", base.folder / "old.bundle"),
          "the old bundle is spared")


def test_cubins():
    if PTXAS is None:
        print("SKIPPED: no ptxas here, so no cubin is made")
        return
    write()
    done = compile_plan("-o", "m.bundle", "--ptxas", PTXAS)
    manifest = manifest_of("m.bundle")
    ptx, cubin = manifest["images"]
    check((cubin["format"], cubin["variant"]) == ("cubin", "sm_80"), f"{cubin}")
    check(re.fullmatch(r"\d+\.\d+\.\d+", cubin["ptxas"]), cubin["ptxas"])
    check([row["kernel"] for row in cubin["resources"]] ==
          list(range(len(manifest["cuda_kernels"]))), "resources of all")
    for row in cubin["resources"]:
        check(0 < row["registers"] <= 255 and row["blocks"] >= 1 and
              row["spill_loads"] == 0, f"{row}")
    data = (base.folder / "m.bundle" / cubin["file"]).read_bytes()
    check(data[:4] == b"\x7fELF", "a cubin is an ELF file")
    check(lines(compile_plan("-o", "m.bundle", "--ptxas", PTXAS, "--why"),
                "cubin ") == ["cubin for sm_80: from the cache"], "cached")
    check(manifest_of("m.bundle") == manifest, "the cache changes nothing")
    compile_plan("-o", "again.bundle", "--ptxas", PTXAS, "--no-cache")
    check(same(base.folder / "m.bundle", base.folder / "again.bundle"),
          "cubins are reproducible")
    compile_plan("--emit=cubin", "-o", "out", "--ptxas", PTXAS)
    check((base.folder / "out/sm_80/kernels.cubin").read_bytes() == data,
          "--emit=cubin")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="tessera-cache-") as CACHE:
        base.main(globals())

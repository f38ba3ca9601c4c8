#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compile_test.py TESSERAC LIBTESSERA SOURCE_DIR CC [SANITIZERS]: tesserac
compile from outside. What a bundle holds, what is reused and why, and that a
bundle is whole or absent whatever happens."""
import filecmp
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from schema import complaints

TESSERAC = os.path.abspath(sys.argv[1])
LIBRARY = pathlib.Path(sys.argv[2]).resolve()
SOURCE = pathlib.Path(sys.argv[3]).resolve()
CC = [sys.argv[4], *(f"-fsanitize={name}" for name in sys.argv[5:])]

PLAN = """model "m";
target host generic;
tokens 1;
tile 64x64;
weights synthetic seed {seed};
masks synthetic sparse24 {sparse}% zero 10% seed 3;
layer "a" {{ weight synthetic 200x256; tile {tile}; }}
layer "b.c" {{ weight synthetic 96x128; activation {activation}; }}
{more}
"""
VALUES = {"seed": 7, "sparse": 60, "tile": "64x64", "activation": "none",
          "more": ""}
BIG = """model "big";
target host generic;
tokens 1;
weights synthetic seed 1;
masks synthetic sparse24 50% zero 0% seed 1;
for i in 0..63 { layer "l{i}" { weight synthetic 2048x4096; } }
"""

folder = None
failures = []


def check(condition, what):
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}", file=sys.stderr)


def write_plan(name="plan.tess", **changes):
    (folder / name).write_text(PLAN.format(**{**VALUES, **changes}))


def compile_plan(*arguments, expect=0, plan="plan.tess", env=None, **options):
    command = [TESSERAC, "compile", plan, *map(str, arguments)]
    environment = {**os.environ, "TESSERA_CACHE": str(folder / "cache"),
                   **(env or {})}
    done = subprocess.run(command, cwd=folder, text=True, env=environment,
                          capture_output=True, **options)
    check(done.returncode == expect,
          f"{' '.join(command)}: exit code {done.returncode}, expected "
          f"{expect}: {done.stderr}")
    return done


def lines(done, word):
    return [line for line in done.stderr.splitlines() if line.startswith(word)]


def same(a, b):
    names = [sorted(p.relative_to(root) for p in root.rglob("*")
                    if p.is_file()) for root in (a, b)]
    return names[0] == names[1] and all(
        filecmp.cmp(a / name, b / name, shallow=False) for name in names[0])


def leftovers():
    return [p.name for p in folder.iterdir() if "tessera-tmp" in p.name]


# ---- Contents ---------------------------------------------------------------

def test_manifest():
    write_plan(more='layer "g" { interleave synthetic 48x64, synthetic 48x64; '
                    'activation swiglu; residual; }')
    compile_plan("-o", "m.bundle")
    schema = json.loads((SOURCE / "docs/manifest.schema.json").read_text())
    manifest = json.loads((folder / "m.bundle/manifest.json").read_text())
    for complaint in complaints(manifest, schema):
        check(False, complaint)
    check([layer["name"] for layer in manifest["layers"]] ==
          ["a", "b.c", "g"], "layers are in the order of the plan")
    check(manifest["layers"][2]["output_columns"] == 48, "gated halves")
    weights = (folder / "m.bundle/weights.bin").read_bytes()
    check(weights[:8] == b"TSRWGT01" and not any(weights[8:64]), "header")
    check(not any(weights[-4096:]), "4096 zeros at the end")
    end = 64
    for layer in manifest["layers"]:
        host = layer["host"]
        for section, alignment in ((host["stream"], 4096),
                                   (host["schedule"], 64),
                                   (layer["grid"], 64)):
            check(section["offset"] % alignment == 0, "alignment")
            check(not any(weights[end:section["offset"]]), "gaps are zero")
            end = section["offset"] + section["size"]
        check(sum(layer["tiles"].values()) == layer["grid"]["size"], "tiles")
        check(layer["packed_bytes"] == host["stream"]["size"], "packed_bytes")
    # The checker itself finds what is wrong.
    for path, value in ((("version",), 2), (("layers", 0, "rows"), 0),
                        (("layers", 0, "grid", "hash"), "xyz"),
                        (("images",), []), (("kernels", 0, "tokens"), [1])):
        damaged = json.loads(json.dumps(manifest))
        node = damaged
        for part in path[:-1]:
            node = node[part]
        node[path[-1]] = value
        check(complaints(damaged, schema), f"the schema forbids {path}")


def test_single_file():
    write_plan()
    compile_plan("-o", "m.bundle")
    compile_plan("-o", "m.one", "--single-file")
    data = (folder / "m.one").read_bytes()
    check(data[:12] == b"TSRBUNDL\x01\0\0\0", "magic and version")
    count, at, members = int.from_bytes(data[12:16], "little"), 16, {}
    for _ in range(count):
        size = int.from_bytes(data[at:at + 4], "little")
        check(data[at + 4:at + 8] == b"\0\0\0\0", "reserved is zero")
        offset = int.from_bytes(data[at + 8:at + 16], "little")
        length = int.from_bytes(data[at + 16:at + 24], "little")
        name = data[at + 24:at + 24 + size].decode()
        check(offset % 4096 == 0, "members start at pages")
        members[name] = data[offset:offset + length]
        at += 24 + (size + 7) // 8 * 8
    check(next(iter(members)) == "manifest.json", "the manifest comes first")
    root = folder / "m.bundle"
    check(members == {str(p.relative_to(root)): p.read_bytes()
                      for p in root.rglob("*") if p.is_file()},
          "one file holds what the folder holds")
    done = compile_plan("-o", "m.one", "--single-file", "--why")
    check(len(lines(done, "layer ")) == 2 and
          all("reused" in line for line in lines(done, "layer ")),
          "a single file serves the next compile")
    inspect = subprocess.run([TESSERAC, "inspect", folder / "m.one"],
                             capture_output=True, text=True)
    check(inspect.returncode == 0, f"inspect reads it: {inspect.stderr}")


def test_generated_sources():
    # Names that would collide with ours, or end a string or a comment.
    write_plan(more='layer "bind" { weight synthetic 64x64; residual; }\n'
                    'layer "workspace_init" { weight synthetic 64x64; }\n'
                    'layer "model" { weight synthetic 64x64; output f32; }\n'
                    'layer "w?\\\\/ü\\"" { weight synthetic 64x64; }')
    compile_plan("-o", "m.bundle")
    source = next((folder / "m.bundle/src").iterdir())
    include = [f"-I{SOURCE}/runtime/include", f"-I{folder}/m.bundle/include"]
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wconversion"]
    forms = [["cc", "-std=c11"], ["c++", "-x", "c++", "-std=c++11"],
             ["clang", "-std=c11"], ["clang++", "-x", "c++", "-std=c++20"]]
    for form in forms:
        if shutil.which(form[0]) is None:
            continue
        done = subprocess.run([*form, *warnings, *include, "-c", source, "-o",
                               "/dev/null"], capture_output=True, text=True)
        check(done.returncode == 0, f"{form[0]}: {done.stderr}")


# Calls the generated functions and the library itself on a device; both must
# agree.
CALLER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "m.h"
static tessera_error error;
static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, error.message);
  return 1;
}
static int direct(const tessera_program *program, const tessera_layer *layer,
                  const void *x, const void *r, void *y, void *w, size_t size) {
  tessera_run_args args;
  memset(&args, 0, sizeof(args));
  args.size = sizeof(args);
  args.token_count = 3;
  args.input = x;
  args.residual = r;
  args.output = y;
  args.workspace = w;
  args.workspace_size = size;
  return tessera_linear_run(program, layer, &args, &error) != TESSERA_OK;
}
static uint16_t x[3 * 256], r[3 * 96], b1[3 * 96], b2[3 * 96];
static float a1[3 * 200], a2[3 * 200];
static tessera_device *device;
static void *room(size_t size, const void *content) {
  void *memory;
  if (tessera_device_allocate(device, size, &memory, &error) ||
      (content != NULL &&
       tessera_device_write(device, memory, content, size, NULL, &error)))
    exit(fail("memory"));
  return memory;
}
static int take(void *to, const void *from, size_t size) {
  return tessera_device_read(device, to, from, size, NULL, &error);
}
static void release(tessera_program *program, tessera_bundle *bundle) {
  tessera_program_destroy(program);
  tessera_device_close(device);
  tessera_bundle_close(bundle);
}
int main(int argc, char **argv) {
  tessera_bundle *bundle;
  tessera_program *program;
  m_model model;
  size_t size;
  void *w, *dx, *dr, *y1, *y2;
  int i;
  if (argc != 3) return 2;
  for (i = 0; i < 3 * 256; ++i) x[i] = (uint16_t)(0x3f00 + i % 97);
  for (i = 0; i < 3 * 96; ++i) r[i] = (uint16_t)(0x4000 + i % 31);
  if (tessera_bundle_open(argv[1], NULL, &bundle, &error)) return fail("open");
  if (tessera_device_open(argv[2], NULL, &device, &error)) return fail("device");
  if (tessera_program_prepare(bundle, device, &program, &error))
    return fail("prepare");
  if (m_bind(bundle, program, &model, &error)) {
    release(program, bundle);
    return fail("bind");
  }
  if (m_workspace(&model, 3, &size, &error)) return fail("workspace");
  w = room(size, NULL);
  dx = room(sizeof(x), x);
  dr = room(sizeof(r), r);
  y1 = room(sizeof(a1), NULL);
  y2 = room(sizeof(b1), NULL);
  if (m_workspace_init(&model, w, size, NULL, &error)) return fail("init");
  if (m_a(&model, 3, dx, y1, w, size, NULL, &error) ||
      take(a1, y1, sizeof(a1)))
    return fail("a");
  if (m_b_c(&model, 3, dx, dr, y2, w, size, NULL, &error) ||
      take(b1, y2, sizeof(b1)))
    return fail("b.c");
  if (direct(program, tessera_bundle_find_layer(bundle, "a"), dx, NULL, y1, w,
             size) ||
      direct(program, tessera_bundle_find_layer(bundle, "b.c"), dx, dr, y2, w,
             size) ||
      take(a2, y1, sizeof(a2)) || take(b2, y2, sizeof(b2)))
    return fail("direct");
  // A stream is the host's mistake, not a crash.
  if (strcmp(argv[2], "host") == 0 &&
      m_a(&model, 3, dx, y1, w, size, w, &error) != TESSERA_INVALID_ARGUMENT)
    return fail("stream");
  if (memcmp(a1, a2, sizeof(a1)) || memcmp(b1, b2, sizeof(b1))) {
    fprintf(stderr, "the results differ\n");
    return 1;
  }
  if (a1[0] == 0.0f || b1[0] == 0) return 1;
  tessera_device_free(device, w);
  tessera_device_free(device, dx);
  tessera_device_free(device, dr);
  tessera_device_free(device, y1);
  tessera_device_free(device, y2);
  release(program, bundle);
  return 0;
}
"""


def caller_plan():
    plan = PLAN.format(**VALUES).replace("tokens 1;", "tokens 1..;")
    plan = plan.replace("tile 64x64; }", "output f32; }")
    return plan.replace("activation none;", "residual;")


def build_caller():
    """Of the generated sources in m.bundle."""
    (folder / "main.c").write_text(CALLER)
    done = subprocess.run(
        [*CC, "-std=c11", "-Wall", "-Wextra", "-Werror", "-o",
         folder / "main", folder / "main.c", folder / "m.bundle/src/m.c",
         f"-I{SOURCE}/runtime/include", f"-I{folder}/m.bundle/include",
         LIBRARY, f"-Wl,-rpath,{LIBRARY.parent}"],
        capture_output=True, text=True)
    check(done.returncode == 0, f"the caller compiles: {done.stderr}")


def test_generated_functions():
    plan = caller_plan()
    (folder / "plan.tess").write_text(plan)
    compile_plan("-o", "m.bundle")
    build_caller()
    run = lambda: subprocess.run([folder / "main", folder / "m.bundle", "host"],
                                 capture_output=True, text=True)
    done = run()
    check(done.returncode == 0, f"the caller runs: {done.stderr}")
    # The same program on another bundle.
    (folder / "plan.tess").write_text(plan.replace("200x256", "200x320"))
    compile_plan("-o", "m.bundle")
    done = run()
    check(done.returncode == 1 and done.stderr ==
          "bind: a: is not the layer that this source was made for\n",
          f"a bundle of other shapes is refused: {done.stderr}")


# ---- Reuse ------------------------------------------------------------------

def why(expected, **changes):
    """Compiles with |changes| over a fresh bundle; what --why says of a, b.c
    (and more)."""
    write_plan()
    shutil.rmtree(folder / "m.bundle", ignore_errors=True)
    compile_plan("-o", "m.bundle")
    write_plan(**changes)
    done = compile_plan("-o", "m.bundle", "--why")
    found = [line.split(": ", 1)[1] for line in lines(done, "layer ")]
    check(found == expected, f"{changes}: {found}, expected {expected}")
    shutil.rmtree(folder / "fresh.bundle", ignore_errors=True)
    compile_plan("-o", "fresh.bundle")
    check(same(folder / "m.bundle", folder / "fresh.bundle"),
          f"{changes}: an incremental bundle differs from a fresh one")


def test_reasons():
    reused = "reused, nothing changed"
    why([reused, reused])
    why(["packed, changed: weights"] * 2, seed=8)
    why(["packed, changed: mask"] * 2, sparse=20)
    why(["packed, changed: mask, options", reused], tile="32x64")
    why([reused, reused], activation="silu")  # the kernel's business alone
    why([reused, "packed, changed: options"],
        more='match "b.c" { schedule { workers 3; } }')
    why([reused, reused, "packed, not in the previous bundle"],
        more='layer "new" { weight synthetic 64x64; }')
    write_plan()
    shutil.rmtree(folder / "m.bundle")
    done = compile_plan("-o", "m.bundle", "--why")
    check(all("no previous bundle" in line for line in lines(done, "layer ")),
          "a first compile says that there was none")


def test_damaged_previous():
    write_plan()
    compile_plan("-o", "m.bundle")
    shutil.copytree(folder / "m.bundle", folder / "good.bundle")
    manifest = json.loads((folder / "m.bundle/manifest.json").read_text())
    offset = manifest["layers"][0]["host"]["stream"]["offset"]
    with open(folder / "m.bundle/weights.bin", "r+b") as file:
        file.seek(offset + 100)
        byte = file.read(1)[0]
        file.seek(offset + 100)
        file.write(bytes([byte ^ 1]))
    done = compile_plan("-o", "m.bundle", "--why")
    found = [line.split(": ", 1)[1] for line in lines(done, "layer ")]
    check(found == ["packed, the previous bundle's copy is damaged",
                    "reused, nothing changed"], f"damage is found: {found}")
    check(same(folder / "m.bundle", folder / "good.bundle"), "and mended")
    for name, text in (("weights.bin", b""), ("manifest.json", b"{")):
        (folder / "m.bundle" / name).write_bytes(text)
        expect = 1 if name == "manifest.json" else 0
        compile_plan("-o", "m.bundle", expect=expect)
    shutil.rmtree(folder / "m.bundle")


def test_cache():
    write_plan()
    shutil.rmtree(folder / "cache", ignore_errors=True)
    kernels = lambda done: {line.split(": ", 1)[1]
                            for line in lines(done, "kernel ")}
    done = compile_plan("-o", "m.bundle", "--why")
    check(kernels(done) == {"compiled, not in the cache"}, "a cold cache")
    done = compile_plan("-o", "m.bundle", "--why")
    check(kernels(done) == {"from the cache"}, "a warm cache")
    shutil.copytree(folder / "m.bundle", folder / "first.bundle",
                    dirs_exist_ok=True)
    entries = sorted((folder / "cache").rglob("*.o"))
    check(len(entries) >= 2, "the cache has an entry per kernel")
    damages = [lambda d: d[:-1], lambda d: b"",
               lambda d: d[:60] + bytes([d[60] ^ 1]) + d[61:]]
    for damage in damages:
        for entry in entries:
            entry.write_bytes(damage(entry.read_bytes()))
        done = compile_plan("-o", "m.bundle", "--why")
        check(kernels(done) == {"compiled, the cache's entry is damaged"},
              f"a damaged cache: {kernels(done)}")
        check(same(folder / "m.bundle", folder / "first.bundle"),
              "damage in the cache does not reach the bundle")
    # One kernel's entry under another's name.
    entries[0].write_bytes(entries[1].read_bytes())
    compile_plan("-o", "m.bundle")
    check(same(folder / "m.bundle", folder / "first.bundle"), "swapped entry")
    done = compile_plan("-o", "m.bundle", "--why", "--no-cache")
    check(kernels(done) == {"compiled, the cache is not used"}, "--no-cache")
    compile_plan("-o", "m.bundle", "--cache-dir", "/dev/null/none")


# ---- Whole or absent --------------------------------------------------------

def old_bundle():
    write_plan()
    compile_plan("-o", "m.bundle")
    shutil.rmtree(folder / "old.bundle", ignore_errors=True)
    shutil.copytree(folder / "m.bundle", folder / "old.bundle")
    (folder / "big.tess").write_text(BIG)


def check_old(what):
    check(leftovers() == [], f"{what} leaves {leftovers()}")
    check(same(folder / "m.bundle", folder / "old.bundle"),
          f"{what} spares the old bundle")


def test_file_too_large():
    old_bundle()
    for limit in (1000, 100_000, 20_000_000):
        done = compile_plan(
            "-o", "m.bundle", "--no-cache", plan="big.tess", expect=3,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                  (limit, limit)))
        check("File too large" in done.stderr, f"says why: {done.stderr}")
        check_old(f"a limit of {limit} bytes")


def test_disk_full():
    (folder / "big.tess").write_text(BIG)
    mount = folder / "small"
    mount.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none",
                           mount], capture_output=True)
    if done.returncode != 0:
        print("SKIPPED: a full disk (no right to mount a tmpfs)")
        return
    try:
        done = compile_plan("-o", mount / "m.bundle", "--no-cache",
                            plan="big.tess", expect=3)
        check("No space left on device" in done.stderr, done.stderr)
        check(list(mount.iterdir()) == [], "a full disk is left empty")
    finally:
        subprocess.run(["umount", mount], check=True)


def test_disk_full_for_images():
    """The weights fit, the images that the linker writes do not."""
    write_plan()
    done = compile_plan("-o", "fits.bundle")
    weights = (folder / "fits.bundle/weights.bin").stat().st_size
    mount = folder / "small"
    mount.mkdir(exist_ok=True)
    size = (weights + 4095) // 4096 * 4 + 8
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k",
                           "none", mount], capture_output=True)
    if done.returncode != 0:
        print("SKIPPED: a full disk (no right to mount a tmpfs)")
        return
    try:
        done = compile_plan("-o", mount / "m.bundle", expect=3)
        check("host-" in done.stderr and
              "No space left on device" in done.stderr, done.stderr)
        check("bug report" not in done.stderr, done.stderr)
        check(list(mount.iterdir()) == [], "a full disk is left empty")
    finally:
        subprocess.run(["umount", mount], check=True)


def start_big(*arguments):
    process = subprocess.Popen(
        [TESSERAC, "compile", "big.tess", "-o", "m.bundle", "--no-cache",
         *arguments], cwd=folder, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        sizes = [p.stat().st_size for p in folder.glob(".m.bundle*/.weights*")]
        if sizes and max(sizes) > 1_000_000:
            return process
        time.sleep(0.002)
    check(False, "the compile was over before it could be stopped")
    return process


def test_killed():
    old_bundle()
    process = start_big()
    process.kill()
    process.communicate()
    check(leftovers() != [], "a killed compile cannot clean up")
    check(same(folder / "m.bundle", folder / "old.bundle"),
          "a killed compile spares the old bundle")
    # One that still runs keeps what it has.
    process = start_big()
    mine = [name for name in leftovers()]
    compile_plan("-o", "m.bundle")
    check(len(leftovers()) == 1, f"the dead one's are removed: {mine}")
    process.send_signal(signal.SIGINT)
    _, text = process.communicate()
    check(process.returncode == -signal.SIGINT,
          f"interrupted: {process.returncode} {text}")
    check_old("an interrupt")


def test_not_ours():
    write_plan()
    (folder / "precious").mkdir()
    (folder / "precious/thesis").write_text("x")
    for name in ("precious", "plan.tess"):
        done = compile_plan("-o", name, expect=1)
        check("is not a bundle" in done.stderr, done.stderr)
    check((folder / "precious/thesis").exists(), "what is not ours stays")
    (folder / "empty").mkdir()
    compile_plan("-o", "empty")


# ---- Command line -----------------------------------------------------------

def test_emit():
    write_plan()
    for kind, text in (("tokens", "model"), ("ast", "model"), ("plan", "m"),
                       ("schedule", "layer a\nmatrix 200x256 tile 64x64"),
                       ("ll", "define"), ("asm", ".text"),
                       ("header", "m_b_c(")):
        done = compile_plan(f"--emit={kind}")
        check(text in done.stdout, f"--emit={kind}: {done.stdout[:200]}")
    kinds = "tokens,ast,plan,schedule,ll,asm,obj,weights,header"
    compile_plan(f"--emit={kinds}", "-o", "out")
    names = sorted(str(p.relative_to(folder / "out"))
                   for p in (folder / "out").rglob("*") if p.is_file())
    for name in ("tokens.txt", "ast.txt", "plan.txt", "schedule.txt",
                 "weights.bin", "include/m.h"):
        check(name in names, f"--emit writes {name}")
    for suffix in (".ll", ".s", ".o"):
        check(any(name.startswith("generic/") and name.endswith(suffix)
                  for name in names), f"--emit writes {suffix}: {names}")
    check(leftovers() == [], f"--emit leaves {leftovers()}")
    compile_plan("--emit=obj", expect=2)
    compile_plan("--emit=ll", "--stop-after=check", expect=2)
    for stage in ("parse", "check", "import", "schedule", "pack", "codegen"):
        compile_plan(f"--stop-after={stage}", "-o", "none.bundle")
    check(not (folder / "none.bundle").exists() and leftovers() == [],
          "--stop-after writes nothing")


def test_side_files():
    (folder / "with space").mkdir()
    write_plan("with space/p.tess")
    (folder / "with space/inc$.tess").write_text("# nothing\n")
    with open(folder / "with space/p.tess", "a") as file:
        file.write('include "inc$.tess";\n')
    compile_plan("-o", "m.bundle", "-MD", "--time-trace", "trace.json",
                 "--save-temps", "temps", plan="with space/p.tess")
    check((folder / "m.bundle.d").read_text() ==
          "m.bundle: \\\n  with\\ space/p.tess \\\n"
          "  with\\ space/inc$$.tess\n",
          (folder / "m.bundle.d").read_text())
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    check({"parse", "check", "a", "b.c", "bundle"} <=
          {event["name"] for event in events}, "the trace names the work")
    check(all(event["ph"] == "X" and event["dur"] >= 0 for event in events),
          "the trace's events are complete")
    suffixes = {p.suffix for p in (folder / "temps").rglob("*.*")}
    check(suffixes == {".ll", ".s", ".o"}, f"--save-temps keeps {suffixes}")


def test_mistakes():
    write_plan()
    text = (folder / "plan.tess").read_text()
    done = compile_plan("--target", "generik", expect=2)
    check("did you mean 'generic'" in done.stderr, done.stderr)
    (folder / "bad.tess").write_text(text + 'layer "a" { }\nlayer "a" { }\n')
    done = compile_plan("-o", "none.bundle", "--diagnostics=json",
                        plan="bad.tess", expect=1)
    check(len(json.loads(done.stderr)) >= 2, f"several errors: {done.stderr}")
    check(not (folder / "none.bundle").exists(), "no bundle after a mistake")
    done = compile_plan("-o", "m.bundle", "--diagnostics=json", "-v", "--why")
    check(json.loads(done.stderr) == [], f"JSON alone: {done.stderr}")
    done = compile_plan("-o", "none.bundle", plan="missing.tess", expect=1)
    check("missing.tess" in done.stderr, done.stderr)


def main(names):
    global folder
    tests = [value for name, value in names.items()
             if name.startswith("test_")]
    for test in tests:
        with tempfile.TemporaryDirectory(prefix="tessera-compile-") as root:
            folder = pathlib.Path(root)
            start = time.monotonic()
            test()
            print(f"{test.__name__}: {time.monotonic() - start:.1f} s")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main(globals())

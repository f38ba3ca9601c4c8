#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check.py ROOT CHECK: one rule about the tree; prints what breaks it.

check.py --self-test plants one breach of every rule and expects it found.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

LIBRARIES = ("base", "frontend", "compiler", "codegen", "runtime", "emulator")
# A room may include from itself and from these. "tessera" is the public header.
MAY_INCLUDE = {
    "base": {"base"},
    "frontend": {"base", "frontend"},
    "compiler": {"base", "frontend", "compiler"},
    "codegen": {"base", "frontend", "compiler", "codegen"},
    "runtime": {"base", "tessera"},
    "emulator": {"base", "tessera"},  # its own header, cuda_emu.h
    "tools/common": {"base", "frontend", "tessera", "common"},
    "tools/tessera": {"base", "frontend", "compiler", "tessera", "common"},
    "tools/tesserac": {"base", "frontend", "compiler", "codegen", "tessera",
                       "common"},
}
ROOMS = {"base", "frontend", "compiler", "codegen", "tessera", "common"}
LINES_MAX = 800


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.files = sorted(self._list())
        self._texts = {}

    def _list(self):
        git = ["git", "-C", str(self.root), "ls-files", "-co",
               "--exclude-standard"]
        listing = subprocess.run(git, text=True, capture_output=True)
        if listing.returncode == 0:
            names = listing.stdout.splitlines()
        else:  # a release archive has no history
            names = [str(path.relative_to(self.root))
                     for path in self.root.rglob("*") if path.is_file()]
        return [name for name in names
                if (self.root / name).is_file()
                and not name.startswith(("build/", "out/"))]

    def text(self, name):
        if name not in self._texts:
            self._texts[name] = (self.root / name).read_text("utf-8",
                                                             "surrogateescape")
        return self._texts[name]

    def sources(self, *rooms):
        return [name for name in self.files
                if name.endswith((".c", ".h", ".y", ".l"))
                and (not rooms or name.startswith(tuple(r + "/"
                                                        for r in rooms)))]

    def code(self, name):
        """Lines without comments and the text of strings, numbered."""
        text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"),
                      self.text(name), flags=re.S)
        for number, line in enumerate(text.splitlines(), 1):
            if not line.lstrip().startswith("#include"):
                line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
            yield number, re.sub(r"//.*", "", line)


def grep(tree, names, pattern, what, allow=lambda name, line: False):
    compiled = re.compile(pattern)
    return [f"{name}:{number}: {what}: {line.strip()}"
            for name in names for number, line in tree.code(name)
            if compiled.search(line) and not allow(name, line)]


def check_llvm(tree):
    names = [n for n in tree.sources()
             if not n.startswith(("codegen/", "tests/codegen/"))]
    return grep(tree, names, r"#include\s*[<\"]llvm", "LLVM outside codegen/")


def check_cuda(tree):
    # Tests and examples are applications: they may call the driver themselves.
    names = [n for n in tree.sources()
             if not n.startswith(("runtime/", "emulator/", "tests/",
                                  "examples/"))]
    return grep(tree, names,
                r"#include\s*[<\"]cuda|\bCU(device|context|module|stream|"
                r"function|event|result|deviceptr)\b|\bcu[A-Z]\w+\s*\(",
                "CUDA outside runtime/ and emulator/")


def check_exit(tree):
    names = [n for n in tree.sources()
             if not n.startswith("tests/") and not n.endswith("/main.c")
             and not n.startswith("examples/")]
    return grep(tree, names, r"\b(_?exit|_Exit|quick_exit|abort)\s*\(",
                "ends the process outside a main.c")


def check_stdio(tree):
    return grep(tree, tree.sources(*LIBRARIES),
                r"\b(printf|vprintf|puts|putchar|perror)\s*\(|"
                r"\bf(printf|puts|putc|write)\s*\([^;]*\b(stdout|stderr)\b",
                "a library that prints")


def check_allocation(tree):
    names = [n for n in tree.sources(*LIBRARIES, "tools")
             if n != "base/memory.c"]
    return grep(tree, names,
                r"(?<![\w.>])(malloc|calloc|realloc|free|strdup|strndup|"
                r"aligned_alloc|posix_memalign)\s*\(",
                "allocates past base/memory.h",
                # What realpath() and json_dumps() return is freed so.
                lambda name, line: line.strip() in
                ("free(target);", "free(dumped);"))


def check_includes(tree):
    wrong = []
    for name in tree.sources():
        room = next((r for r in sorted(MAY_INCLUDE, key=len, reverse=True)
                     if name.startswith(r + "/")), None)
        if room is None:
            continue
        for number, line in tree.code(name):
            found = re.match(r'\s*#include\s*[<"](\w+)/', line)
            if (found and found.group(1) in ROOMS
                    and found.group(1) not in MAY_INCLUDE[room]):
                wrong.append(f"{name}:{number}: {room} must not include "
                             f"{found.group(1)}/")
    return wrong


def check_spdx(tree):
    wrong = []
    for name in tree.files:
        path = pathlib.PurePath(name)
        script = not path.suffix and tree.text(name).startswith("#!") \
            if path.parts[0] in ("scripts", ".ci") else False
        if (path.suffix in (".c", ".h", ".y", ".l", ".py", ".sh", ".cmake",
                            ".def")
                or path.name == "CMakeLists.txt" or script):
            head = "\n".join(tree.text(name).splitlines()[:3])
            if "SPDX-License-Identifier: Apache-2.0" not in head:
                wrong.append(f"{name}: no SPDX line at the top")
    return wrong


def check_length(tree):
    return [f"{name}: {lines} lines, more than {LINES_MAX}"
            for name in tree.sources()
            if (lines := tree.text(name).count("\n")) > LINES_MAX]


def text_files(tree):
    return [name for name in tree.files
            if not name.endswith((".safetensors", ".npz", ".npy", ".png",
                                  ".zip", ".bin"))
            and b"\0" not in (tree.root / name).read_bytes()[:4096]
            and not name.startswith(("tests/hygiene/", "tests/fuzz/seeds/"))]


def check_paths(tree):
    # Folders of the machine that a file was written on.
    pattern = re.compile(r"(?<![\w.$}])/(work|root|home|Users)/\w")
    return [f"{name}:{number}: a path of one machine: {line.strip()[:120]}"
            for name in text_files(tree)
            for number, line in enumerate(tree.text(name).splitlines(), 1)
            if pattern.search(line)]


def check_hosts(tree):
    pattern = re.compile(r"(deb|security|apt)\.(debian|llvm)\.org|pypi\.org|"
                         r"pythonhosted\.org|proxy\.golang|registry\.npmjs")
    return [f"{name}:{number}: names a registry's host"
            for name in text_files(tree)
            for number, line in enumerate(tree.text(name).splitlines(), 1)
            if pattern.search(line)]


def check_links(tree):
    """Files that the documents link to, or run, must be there."""
    wrong = []
    for name in tree.files:
        if not name.endswith(".md"):
            continue
        folder = (tree.root / name).parent
        text = tree.text(name)
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)|<img[^>]*src=\"(\S+)\"",
                                 text):
            target = target[0] or target[1]
            if "://" in target or target.startswith("mailto:"):
                continue
            if not (folder / target).exists():
                wrong.append(f"{name}: links to {target}, which is not there")
        for target in re.findall(r"(?<![\w/])(\./scripts/[\w-]+)", text):
            if not (tree.root / target).exists():
                wrong.append(f"{name}: runs {target}, which is not there")
    return wrong


def check_scripts(tree):
    """Executable, parsed by bash, and those that the README promises."""
    wrong = []
    for name in tree.files:
        if not name.startswith(("scripts/", ".ci/")):
            continue
        path = tree.root / name
        first = tree.text(name).splitlines()[0]
        if first.startswith("#!") and not path.stat().st_mode & 0o100:
            wrong.append(f"{name}: is not executable")
        if "bash" in first and subprocess.run(["bash", "-n", path]).returncode:
            wrong.append(f"{name}: does not parse")
    for name in ("scripts/demo", "scripts/test", ".ci/run"):
        if not (tree.root / name).exists():
            wrong.append(f"{name}: is not there")
    return wrong


def check_format(tree):
    tool = shutil.which("clang-format-14")
    if tool is None:
        print("skipped: no clang-format-14")
        sys.exit(77)
    names = [n for n in tree.sources() if n.endswith((".c", ".h"))]
    out = subprocess.run([tool, "--dry-run", *names], cwd=tree.root, text=True,
                         capture_output=True).stderr
    return sorted(set(re.findall(r"^(\S+?:\d+):\d+: warning: code should be",
                                 out, re.M)))


CHECKS = {name[len("check_"):]: function
          for name, function in list(globals().items())
          if name.startswith("check_")}

# A breach of each rule: file, content.
BREACHES = {
    "llvm": ("compiler/a.c", '#include <llvm-c/Core.h>\n'),
    "cuda": ("compiler/a.c", 'void f(void) { cuInit(0); }\n'),
    "exit": ("compiler/a.c", 'void f(void) { exit(1); }\n'),
    "stdio": ("base/a.c", 'void f(void) { fprintf(stderr, "x"); }\n'),
    "allocation": ("runtime/a.c", 'void *f(void) { return malloc(1); }\n'),
    "includes": ("frontend/a.c", '#include "compiler/kind.h"\n'),
    "spdx": ("base/a.c", 'int x;\n'),
    "length": ("base/a.c", "\n" * (LINES_MAX + 1)),
    "paths": ("docs/a.md", "see /home/someone/x\n"),
    "hosts": ("scripts/a", "curl https://pypi.org/x\n"),
    "links": ("docs/a.md", "[x](nowhere.md)\n"),
    "scripts": ("scripts/a", "#!/usr/bin/env bash\nif\n"),
    "format": ("base/a.c", "int   x ;\n"),
}


def self_test():
    wrong = []
    for check, (name, content) in BREACHES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / name
            path.parent.mkdir(parents=True)
            path.write_text(content)
            try:
                found = CHECKS[check](Tree(folder))
            except SystemExit:
                continue
        if not any(name in line for line in found):
            wrong.append(f"the check '{check}' misses {content!r}")
    wrong += [f"no breach for '{check}'" for check in CHECKS
              if check not in BREACHES]
    print("\n".join(wrong))
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root, check = sys.argv[1:]
    wrong = CHECKS[check](Tree(root))
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

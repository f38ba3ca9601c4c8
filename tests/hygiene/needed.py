#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""needed.py TOOL LIBRARY: `tessera` and libtessera.so ask for the C library
and nothing else, and the library exports its API and nothing else."""
import re
import subprocess
import sys

ALLOWED = re.compile(
    r"^(libc|libm|libdl|libpthread|librt|ld-linux[\w-]*)\.so\.\d+$")


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], check=True, text=True,
                          capture_output=True).stdout


def needed(path):
    return re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("-d", path))


def exported(path):
    """Names of defined global symbols, without versions."""
    names = []
    for line in readelf("--dyn-syms", path).splitlines():
        words = line.split()
        if len(words) < 8 or words[4] not in ("GLOBAL", "WEAK"):
            continue
        # "ABS" are the names of versions.
        if words[6] not in ("UND", "ABS") and words[3] in ("FUNC", "OBJECT"):
            names.append(words[7].split("@")[0])
    return names


def main():
    tool, library = sys.argv[1:]
    wrong = [f"{path}: needs {name}" for path in (tool, library)
             for name in needed(path) if not ALLOWED.match(name)]
    names = exported(library)
    wrong += [f"{library}: exports {name}" for name in names
              if not name.startswith("tessera_")]
    if "tessera_linear_run" not in names:
        wrong.append(f"{library}: does not export tessera_linear_run")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

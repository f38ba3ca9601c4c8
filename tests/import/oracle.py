# SPDX-License-Identifier: Apache-2.0
"""What the oracle scripts share: numpy or a loud skip, a folder, checks."""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("SKIPPED: numpy is not installed, importers were not judged")
    sys.exit(77)

failures = 0
checks = 0


def check(condition, what):
    global failures, checks
    checks += 1
    if not condition:
        failures += 1
        print("check failed:", what)


def same(a, b):
    """Equal type, shape and bits (NaN and the sign of zero count)."""
    return (a.dtype == b.dtype and a.shape == b.shape
            and a.tobytes() == b.tobytes())


def run(*command):
    """Exit status, standard output, standard error."""
    done = subprocess.run([str(c) for c in command], capture_output=True,
                          text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def folder():
    return tempfile.TemporaryDirectory(prefix="tessera-import-")


def finish():
    print(f"{checks} checks, {failures} failed")
    sys.exit(1 if failures or not checks else 0)

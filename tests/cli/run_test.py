# SPDX-License-Identifier: Apache-2.0
"""tessera run on files that numpy writes: types, shapes, messages.

Usage: run_test.py TESSERA, in a folder with the bundle b of plan.tess.
"""
import os
import subprocess
import sys

import numpy as np

tessera = sys.argv[1]
failed = False


def check(condition, what):
    global failed
    if not condition:
        print("FAILED:", what, file=sys.stderr)
        failed = True


def run(*words):
    done = subprocess.run([tessera, "run", "b", *words], capture_output=True,
                          text=True, check=False)
    return done.returncode, done.stderr


def bf16_bits(values):
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7fff + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def bf16_values(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def expect_error(code, message, *words):
    if os.path.exists("no.npy"):
        os.remove("no.npy")
    got, said = run(*words, "-o", "no.npy")
    check(got == code and said == message,
          f"{words}: {got} {said!r}, expected {code} {message!r}")
    check(not os.path.exists("no.npy"), f"{words}: wrote an output")


random = np.random.default_rng(1)
x = bf16_values(bf16_bits(random.standard_normal((4, 256))))
np.save("x.npy", x)

# The same numbers in every type give the same result.
code, said = run("-l", "square", "-i", "x.npy", "-o", "y.npy")
check(code == 0 and said.startswith("square: 4 tokens on host ("), said)
y = np.load("y.npy")
check(y.shape == (4, 256) and y.dtype == np.float32, f"{y.shape} {y.dtype}")
check(np.abs(y).max() > 0, "the result is zero")
for name, other in (("f64", x.astype(np.float64)), ("bits", bf16_bits(x))):
    np.save("other.npy", other)
    code, said = run("-q", "-l", "square", "-i", "other.npy", "-o", "z.npy",
                     "--threads", "1")
    check(code == 0 and said == "", said)
    check(np.array_equal(np.load("z.npy"), y), f"{name} differs from f32")

# Linear in X: a power of two is exact, float16 has room for these.
np.save("half.npy", (x / 4).astype(np.float16).astype(np.float32))
np.save("half16.npy", (x / 4).astype(np.float16))
for name in ("half", "half16"):
    run("-q", "-l", "square", "-i", f"{name}.npy", "-o", f"{name}.out.npy")
check(np.array_equal(np.load("half.out.npy"), np.load("half16.out.npy")),
      "float16 differs")

# Leading dimensions stay; one token may be a vector.
np.save("x3.npy", x.reshape(2, 2, 256))
run("-q", "-l", "square", "-i", "x3.npy", "-o", "y3.npy")
check(np.array_equal(np.load("y3.npy"), y.reshape(2, 2, 256)), "3 dimensions")
np.save("x1.npy", x[0])
run("-q", "-l", "square", "-i", "x1.npy", "-o", "y1.npy")
check(np.load("y1.npy").shape == (256,), "1 dimension")

# A residual, and the layer's own type.
u = bf16_values(bf16_bits(random.standard_normal((3, 200))))
r = bf16_values(bf16_bits(random.standard_normal((3, 300))))
np.save("u.npy", u)
np.save("r.npy", r)
np.save("zero.npy", np.zeros_like(r))
words = ("-q", "-l", "ragged", "-i", "u.npy")
run(*words, "-r", "r.npy", "-o", "v.npy")
run(*words, "-r", "r.npy", "-o", "v16.npy", "--raw")
run(*words, "-r", "zero.npy", "-o", "v0.npy")
v16 = np.load("v16.npy")
check(v16.dtype == np.uint16, "--raw")
check(np.array_equal(bf16_values(v16), np.load("v.npy")), "--raw values")
check(np.abs(np.load("v0.npy") + r - np.load("v.npy")).max() < 0.1, "residual")

# Mistakes.
hint = "\nTry 'tessera run --help'.\n"
expect_error(2, "tessera run: layer 'ragged' adds a residual: --residual FILE "
             "is missing" + hint, "-l", "ragged", "-i", "u.npy")
expect_error(2, "tessera run: layer 'square' adds no residual: --residual "
             "means nothing" + hint, "-l", "square", "-i", "x.npy", "-r",
             "r.npy")
expect_error(1, "tessera: error: u.npy: the input has shape (3, 200); the "
             "layer needs (tokens, 256)\n", "-l", "square", "-i", "u.npy")
np.save("r2.npy", r[:2])
expect_error(1, "tessera: error: r2.npy: the residual has 2 tokens, the input "
             "3\n", "-l", "ragged", "-i", "u.npy", "-r", "r2.npy")
np.save("x5.npy", np.zeros((5, 256), np.float32))
expect_error(1, "tessera: error: x5.npy: 5 tokens; layer 'square' takes 1 to "
             "4\n", "-l", "square", "-i", "x5.npy")
np.save("int.npy", np.zeros((1, 256), np.int64))
expect_error(1, "tessera: error: int.npy: the input is int64; it can be "
             "float16, float32, float64, or uint16 with the bits of bfloat16\n",
             "-l", "square", "-i", "int.npy")
np.save("empty.npy", np.zeros((0, 256), np.float32))
expect_error(1, "tessera: error: empty.npy: the input has shape (0, 256); the "
             "layer needs (tokens, 256)\n", "-l", "square", "-i", "empty.npy")
expect_error(1, "tessera: error: no layer 'squar' in bundle 'cli-test'; did "
             "you mean 'square'?\n", "-l", "squar", "-i", "x.npy")
os.environ["TESSERA_CUDA_DRIVER"] = "/absent/driver.so"
expect_error(3, "tessera: error: device 'cuda:0': there is no CUDA driver: "
             "/absent/driver.so: cannot open shared object file: No such file "
             "or directory; TESSERA_CUDA_DRIVER names another driver, "
             "--device emulated needs none\n", "-l", "square", "-i", "x.npy",
             "--device", "cuda:0")
del os.environ["TESSERA_CUDA_DRIVER"]
code, said = run("-l", "square", "-i", "x.npy", "-o", "absent/y.npy")
check(code == 3 and "absent/y.npy" in said, said)
check(not any(".tessera-tmp-" in name for name in os.listdir(".")),
      "a temporary file stays")

sys.exit(1 if failed else 0)

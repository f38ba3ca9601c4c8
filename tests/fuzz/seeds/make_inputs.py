# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of the safetensors, bitmask and npz fuzzers (needs numpy).
Run it here after a change of the formats; the files are in the tree."""
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "..", "import"))
import formats as f  # noqa: E402
from oracle import np  # noqa: E402

rng = np.random.default_rng(1)


def write(name, data):
    with open(os.path.join(here, name), "wb") as file:
        file.write(data)


w = f.random_weights(rng, 6, 20, "bf16")
keep = rng.random((6, 20)) < 0.6
keep24 = (rng.random((6, 5, 4)).argsort(-1).argsort(-1) < 2).reshape(6, 20)
write("safetensors/plain", f.safetensors(
    {"a.weight": w, "a.bias": np.zeros(6, np.float32),
     "h": np.ones((2, 3), np.float16), "n": np.zeros(0, np.int64)},
    {"format": "pt"}))
write("safetensors/empty", f.safetensors({}))
write("bitmask/bitmask", f.safetensors(f.bitmask("a", w, keep)))
write("bitmask/bitmask24", f.safetensors(
    {**f.bitmask24("a", w, keep24), "a.bias": np.zeros(6, np.float32)}))
write("bitmask/plain", f.safetensors({"a.weight": w,
                                      "a.bias": np.zeros(6, np.float16)}))
for compressed in (False, True):
    name = os.path.join(here, "npz", "deflated" if compressed else "stored")
    f.patch_npz(name, {"a.weight": keep}, compressed)
    os.rename(name + ".npz", name)
np.save(os.path.join(here, "npz", "array"), np.zeros((2, 3), np.float32))
os.rename(os.path.join(here, "npz", "array.npy"),
          os.path.join(here, "npz", "array"))
with open(os.path.join(here, "npz", "deflated"), "rb") as file:
    write("npz/zip64", f.zip64_end(file.read()))

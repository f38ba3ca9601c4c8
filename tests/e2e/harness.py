# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: files written and read by numpy alone, and
the oracle that says what a layer must compute. Nothing here uses our code."""
import json
import math
import os
import pathlib
import struct
import subprocess
import sys

import numpy

# Significant bits and smallest normal exponent.
FORMATS = {"f32": (24, -126), "f16": (11, -14), "bf16": (8, -126)}


class Tools:
    def __init__(self, tesserac, tessera, folder, env=None):
        self.tesserac, self.tessera = tesserac, tessera
        self.folder = pathlib.Path(folder)
        # Kernels are kept in the test's own folder, not in the user's.
        self.env = dict(os.environ, **(env or {}))
        self.env["TESSERA_CACHE"] = str(self.folder / ".kernels")

    def run(self, tool, *arguments, expect=0):
        command = [getattr(self, tool), *map(str, arguments)]
        done = subprocess.run(command, cwd=self.folder, env=self.env,
                              text=True, capture_output=True)
        if done.returncode != expect:
            sys.exit(f"{' '.join(command)}: exit code {done.returncode}, "
                     f"expected {expect}\n{done.stdout}{done.stderr}")
        return done.stdout


# ---- Number formats ---------------------------------------------------------

def round_to(values, kind):
    """Rounds float64 to a format: nearest, ties to even, no overflow here."""
    bits, lowest = FORMATS[kind]
    values = numpy.asarray(values, numpy.float64)
    _, exponent = numpy.frexp(values)
    quantum = numpy.ldexp(1.0, numpy.maximum(exponent - 1, lowest) - bits + 1)
    return numpy.rint(values / quantum) * quantum


def to_bytes(values, kind):
    """Values that |kind| holds exactly, as stored."""
    values = numpy.asarray(values, numpy.float64)
    if kind == "f32":
        return values.astype("<f4").tobytes()
    if kind == "f16":
        return values.astype("<f2").tobytes()
    return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()


def from_bytes(data, kind, shape):
    if kind == "bf16":
        wide = numpy.frombuffer(data, "<u2").astype("<u4") << 16
        return wide.view("<f4").astype(numpy.float64).reshape(shape)
    return numpy.frombuffer(data, {"f32": "<f4", "f16": "<f2"}[kind]).astype(
        numpy.float64).reshape(shape)


def save_array(path, values, kind):
    """An .npy as `tessera run` takes it: bf16 as its bits in uint16."""
    data = numpy.frombuffer(to_bytes(values, kind),
                            {"f32": "<f4", "f16": "<f2", "bf16": "<u2"}[kind])
    numpy.save(path, data.reshape(numpy.shape(values)))


def load_array(path, kind):
    data = numpy.load(path)
    if kind == "bf16" and data.dtype != numpy.uint16:
        sys.exit(f"{path}: expected uint16, got {data.dtype}")
    return from_bytes(data.tobytes(), kind, data.shape)


# ---- Files ------------------------------------------------------------------

def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    out = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        out[name] = from_bytes(data[8 + size + begin:8 + size + end],
                               entry["dtype"].lower(), entry["shape"])
    return out


def write_safetensors(path, tensors):
    """|tensors|: name -> (values, kind)."""
    header, parts, offset = {}, [], 0
    for name, (values, kind) in tensors.items():
        part = to_bytes(values, kind)
        header[name] = {"dtype": kind.upper(), "shape": list(values.shape),
                        "data_offsets": [offset, offset + len(part)]}
        parts.append(part)
        offset += len(part)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text +
                                   b"".join(parts))


def write_masks(path, masks):
    """PATCH's mask.npz: flat bits, first weight in the highest."""
    entries = {}
    for name, mask in masks.items():
        entries[name] = numpy.packbits(mask.reshape(-1).astype(bool))
        entries[name + ".__shape__"] = numpy.array(mask.shape, numpy.int64)
    numpy.savez_compressed(path, **entries)


def read_masks(path):
    archive = numpy.load(path)
    out = {}
    for name in archive.files:
        if name.endswith(".__shape__") or name == "__meta__":
            continue
        shape = archive[name + ".__shape__"]
        bits = numpy.unpackbits(archive[name])[:shape[0] * shape[1]]
        out[name] = bits.reshape(shape)
    return out


# ---- The oracle -------------------------------------------------------------

erf = numpy.vectorize(math.erf, otypes=[numpy.float64])


def gelu_tanh(v):
    inner = math.sqrt(2 / math.pi) * (v + 0.044715 * v ** 3)
    return 0.5 * v * (1 + numpy.tanh(inner))


def silu(v):
    return v / (1 + numpy.exp(-v))


def gelu_erf(v):
    return 0.5 * v * (1 + erf(v / math.sqrt(2)))


ACTIVATIONS = {
    "none": lambda v: v, "relu": lambda v: numpy.maximum(v, 0),
    "gelu_erf": gelu_erf, "gelu_tanh": gelu_tanh, "silu": silu,
    "swiglu": silu, "geglu_erf": gelu_erf, "geglu_tanh": gelu_tanh,
}


def cuda_operations(columns):
    """docs/numerics.md, CUDA, for the emulated driver. A panel has no more
    segments than steps of 64 columns."""
    return -(-columns // 16) + 8 + -(-columns // 64) + 3


def expect(x, weights, weight_type, output_type, activation="none", bias=None,
           residual=None, operations=None):
    """Y and the largest error that fp32 arithmetic on rounded weights may make.
    All float64; |weights| already masked; |operations|: one behind the other,
    if not the host's."""
    w = round_to(weights, weight_type)
    v = x @ w.T
    magnitude = abs(x) @ abs(w).T
    if bias is not None:
        v = v + bias
        magnitude = magnitude + abs(bias)
    unit = 2.0 ** -24
    # docs/numerics.md; 12 is the largest number of segments in these tests.
    if operations is None:
        operations = 2 * -(-w.shape[1] // 4) + 12 + 5
    error = magnitude * (operations * unit / (1 - operations * unit)) + 1e-35
    function = ACTIVATIONS[activation]
    if activation.endswith("glu") or activation.startswith("geglu"):
        gate, up = v[:, 0::2], v[:, 1::2]
        gate_error, up_error = error[:, 0::2], error[:, 1::2]
        f = function(gate)
        f_error = 1.13 * gate_error + 2.0 ** -20 * abs(f)
        y = f * up
        error = ((abs(f) + f_error) * up_error + abs(up) * f_error +
                 unit * abs(y))
    else:
        y = function(v)
        if activation not in ("none", "relu"):
            error = 1.13 * error + 2.0 ** -20 * abs(y)
    if residual is not None:
        y = y + residual
        error = error + unit * (abs(y) + error)
    bits, lowest = FORMATS[output_type]
    error = (error + 2.0 ** -bits * (abs(y) + error) +
             2.0 ** (lowest - bits))
    return y, error


def check(what, actual, expected, error):
    """The worst error as a fraction of the bound; ends the test above 1."""
    if actual.shape != expected.shape:
        sys.exit(f"{what}: shape {actual.shape}, expected {expected.shape}")
    fraction = abs(actual - expected) / error
    worst = numpy.unravel_index(numpy.argmax(fraction), fraction.shape)
    if not fraction[worst] <= 1:
        sys.exit(f"{what}: Y[{worst[0]}, {worst[1]}] is {actual[worst]}, "
                 f"expected {expected[worst]} within {error[worst]}")
    return fraction[worst]

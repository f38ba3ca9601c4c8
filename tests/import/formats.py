# SPDX-License-Identifier: Apache-2.0
"""Writes every input format by numpy and struct alone, from the formats'
descriptions (docs/inputs.md), sharing nothing with the readers."""
import json
import struct

from oracle import np

# bfloat16 arrays travel as this wrapper around their bit patterns.


class Bf16:
    def __init__(self, bits):
        self.bits = np.ascontiguousarray(bits, dtype=np.uint16)
        self.shape = self.bits.shape

    def floats(self):
        return (self.bits.astype(np.uint32) << 16).view(np.float32)

    def __getitem__(self, key):
        return Bf16(self.bits[key])


def floats(array):
    if isinstance(array, Bf16):
        return array.floats()
    return array.astype(np.float32)


TYPES = {"float32": "F32", "float16": "F16", "uint8": "U8", "int64": "I64",
         "int8": "I8", "int32": "I32", "float64": "F64", "bool": "BOOL"}


def entry(array):
    if isinstance(array, Bf16):
        return "BF16", array.bits.tobytes()
    return TYPES[array.dtype.name], np.ascontiguousarray(array).tobytes()


def safetensors(tensors, metadata=None, align=8):
    """Bytes of a safetensors file; |tensors| maps names to arrays."""
    header = {}
    if metadata is not None:
        header["__metadata__"] = metadata
    data = b""
    for name, array in tensors.items():
        kind, raw = entry(array)
        header[name] = {"dtype": kind, "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % align)
    return struct.pack("<Q", len(text)) + text + data


def random_weights(rng, rows, columns, kind):
    """Normal values; also both zeros, subnormals, infinities and NaN."""
    values = rng.standard_normal((rows, columns)).astype(np.float32)
    flat = values.reshape(-1)
    special = np.array([0.0, -0.0, np.inf, -np.inf, 1e-7, -6e-8, 3e-5, 65504,
                        1e-40], dtype=np.float32)
    flat[: len(special)] = special
    if kind == "bf16":
        bits = (values.view(np.uint32) >> 16).astype(np.uint16)
        bits.reshape(-1)[len(special)] = 0x7FC1  # NaN with a payload
        return Bf16(bits)
    if kind == "f16":
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        halves.reshape(-1).view(np.uint16)[len(special)] = 0x7E01
        return halves
    return values


def random_mask(rng, rows, columns, tile, kinds):
    """A keep mask whose tiles have the given kinds (0, 1, 2), row-major."""
    keep = np.zeros((rows, columns), dtype=bool)
    kinds = np.asarray(kinds).reshape(-(-rows // tile[0]),
                                      -(-columns // tile[1]))
    for p in range(kinds.shape[0]):
        for c in range(kinds.shape[1]):
            rs = slice(p * tile[0], min((p + 1) * tile[0], rows))
            cs = slice(c * tile[1], min((c + 1) * tile[1], columns))
            shape = keep[rs, cs].shape
            if kinds[p, c] == 2:
                keep[rs, cs] = rng.random(shape) < 0.7
                keep[rs.start, cs.start:cs.start + 3] = True  # surely dense
            elif kinds[p, c] == 1:
                score = rng.random((shape[0], -(-shape[1] // 4), 4))
                order = score.argsort(-1).argsort(-1) < 2
                order = order.reshape(shape[0], -1)[:, :shape[1]]
                order[0, 0] = True  # surely not zero
                order[0, 1:4] = False
                keep[rs, cs] = order
    return keep


def derive(keep, tile):
    """Kinds of tiles, by the definition and slowly."""
    rows, columns = keep.shape
    out = np.zeros((-(-rows // tile[0]), -(-columns // tile[1])), np.uint8)
    for p in range(out.shape[0]):
        for c in range(out.shape[1]):
            part = keep[p * tile[0]:(p + 1) * tile[0],
                        c * tile[1]:(c + 1) * tile[1]]
            width = -(-part.shape[1] // 4) * 4
            padded = np.zeros((part.shape[0], width), bool)
            padded[:, :part.shape[1]] = part
            most = padded.reshape(part.shape[0], -1, 4).sum(-1).max()
            out[p, c] = 0 if not part.any() else 1 if most <= 2 else 2
    return out


def packed_lsb(keep):
    return np.packbits(keep, axis=-1, bitorder="little")


def patch_npz(path, masks, compressed=True):
    members = {}
    for name, keep in masks.items():
        members[name] = np.packbits(keep.reshape(-1))
        members[name + ".__shape__"] = np.array(keep.shape, dtype=np.int64)
    members["__meta__"] = np.array('{"pattern": "Dense/2:4 tiles"}')
    (np.savez_compressed if compressed else np.savez)(path, **members)


def maskllm_npz(path, masks):
    np.savez_compressed(path, **{name + ".mask": np.packbits(keep)
                                 for name, keep in masks.items()})


def bitmask(prefix, weights, keep):
    """compressed-tensors "sparse-bitmask"."""
    offsets = np.concatenate([[0], keep.sum(1).cumsum()[:-1]]).astype(np.int64)
    return {prefix + ".compressed": weights[keep],
            prefix + ".bitmask": packed_lsb(keep),
            prefix + ".row_offsets": offsets,
            prefix + ".shape": np.array(keep.shape, dtype=np.int64)}


def bitmask24(prefix, weights, keep):
    """compressed-tensors "sparse-24-bitmask"."""
    values = weights[keep]
    shape = (keep.shape[0], keep.shape[1] // 2)
    values = (Bf16(values.bits.reshape(shape)) if isinstance(values, Bf16)
              else values.reshape(shape))
    return {prefix + ".compressed": values,
            prefix + ".bitmask": packed_lsb(keep),
            prefix + ".shape": np.array([[r] for r in keep.shape],
                                        dtype=np.int64)}


def zip64_end(archive):
    """The archive's bytes with its end record in the 64-bit form."""
    end = archive.rindex(b"PK\5\6")
    count, size, offset = struct.unpack("<HII", archive[end + 10:end + 20])
    record = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count,
                                     count, size, offset)
    locator = b"PK\6\7" + struct.pack("<IQI", 0, end, 1)
    return archive[:end] + record + locator + b"PK\5\6" + struct.pack(
        "<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)

# SPDX-License-Identifier: Apache-2.0
"""One defect per case; the diagnostic must say exactly what is wrong."""
import json
import os
import re
import struct
import sys
import zipfile

import formats as f
from oracle import check, finish, folder, np, run

tool = sys.argv[1]
rng = np.random.default_rng(3)
HEAD = 'model "m";\ntarget host;\ntile 32x64;\n'
LAYER = 'layer "a" { weight "a.weight"; }\n'
W = f.random_weights(rng, 40, 100, "bf16")
GOOD = f.safetensors({"a.weight": W})


def write(directory, name, data):
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb" if isinstance(data, bytes) else "w") as file:
        file.write(data)


def complain(files, plan, *expected, keep_notes=False):
    """The messages (with codes) of the errors and warnings, in order."""
    with folder() as directory:
        for name, data in files.items():
            if callable(data):
                data(os.path.join(directory, name))
            else:
                write(directory, name, data)
        write(directory, "plan.tess", HEAD + plan)
        out = os.path.join(directory, "out")
        os.mkdir(out)
        code, _, stderr = run(tool, os.path.join(directory, "plan.tess"), out)
        found = [line.split(": ", 2)[2].replace(directory, "DIR")
                 for line in stderr.splitlines()
                 if re.match(r".*plan.tess:\d+:\d+: (error|warning): ", line)
                 or (keep_notes and ": note: " in line)]
        errors = any("[TSR-E" in line for line in expected)
        check(code == (1 if errors else 0), f"status {code}: {stderr}")
        check(found == list(expected), "\n  found    "
              + "\n           ".join(found) + "\n  expected "
              + "\n           ".join(expected) + "\n" + stderr)


def header(text, data=b"", size=None):
    raw = text.encode()
    return struct.pack("<Q", len(raw) if size is None else size) + raw + data


def one(kind="BF16", shape="[2,2]", offsets="[0,8]"):
    return (f'{{"a.weight":{{"dtype":"{kind}","shape":{shape},'
            f'"data_offsets":{offsets}}}}}')


def damaged(data, message, code="TSR-E203"):
    complain({"w.safetensors": data},
             'weights "w.safetensors";\nmasks none;\n' + LAYER,
             f"DIR/w.safetensors: {message} [{code}]")


def test_safetensors():
    damaged(b"", "0 bytes are too few for a safetensors file")
    damaged(b"1234567", "7 bytes are too few for a safetensors file")
    damaged(header("{}", size=2**40),
            "the header claims 1099511627776 bytes (at most 100000000); is "
            "this a safetensors file?")
    damaged(header("{}", size=3),
            "truncated: the header claims 3 bytes, the file has 2")
    damaged(header("{"), "header: JSON, line 1, column 1: string or '}' "
            "expected near end of file")
    damaged(header("[]"), "header: not a JSON object")
    damaged(header('{"a":1,"a":2}'),
            "header: JSON, line 1, column 10: duplicate object key near '\"a\"'")
    damaged(header('{"__metadata__":[]}'), "__metadata__ is not an object")
    damaged(header('{"a.weight":[]}'),
            "tensor 'a.weight': its entry is not an object")
    damaged(header(one("X9"), bytes(8)),
            "tensor 'a.weight': unknown dtype 'X9'")
    damaged(header(one(shape="4"), bytes(8)),
            "tensor 'a.weight': its shape is not an array")
    damaged(header(one(shape="[2,-2]"), bytes(8)),
            "tensor 'a.weight': its shape holds something that is not a size")
    damaged(header(one(shape="[1,1,1,1,1,1,1,1,4]"), bytes(8)),
            "tensor 'a.weight': it has more than 8 dimensions")
    damaged(header(one(shape="[4294967296,4294967296]"), bytes(8)),
            "tensor 'a.weight': its shape's product overflows")
    damaged(header(one(offsets="[8,0]"), bytes(8)),
            "tensor 'a.weight': its data_offsets are not a range")
    damaged(header(one(offsets="[0]"), bytes(8)),
            "tensor 'a.weight': its data_offsets are not a range")
    damaged(header(one(), bytes(7)),
            "tensor 'a.weight': its data ends at byte 8, the file has 7 bytes "
            "of data (truncated?)")
    damaged(GOOD[:-1], "tensor 'a.weight': its data ends at byte 8000, the "
            "file has 7999 bytes of data (truncated?)")
    damaged(GOOD + b"x", "1 bytes follow the last tensor's data")
    damaged(header(one(shape="[2,3]"), bytes(8)),
            "tensor 'a.weight': 8 bytes of data where 6 elements of BF16 take "
            "2 each")
    entry = '"%s":{"dtype":"U8","shape":[4],"data_offsets":[%d,%d]}'
    damaged(header("{" + entry % ("a", 0, 4) + "," + entry % ("b", 3, 7) + "}",
                   bytes(7)), "tensors 'a' and 'b' overlap")


def test_files():
    plan = 'weights "w.safetensors";\nmasks none;\n' + LAYER
    complain({}, plan,
             "DIR/w.safetensors: No such file or directory [TSR-E202]")
    complain({"w.safetensors": os.mkfifo}, plan,
             "DIR/w.safetensors: not a regular file [TSR-E202]")
    complain({"w.safetensors": GOOD},
             'weights "w.safetensors";\nmasks patch "m.npz";\n' + LAYER,
             "DIR/m.npz: No such file or directory [TSR-E202]")
    complain({"w.safetensors": GOOD, "m.npz": GOOD},
             'weights "w.safetensors";\nmasks patch "m.npz";\n' + LAYER,
             "DIR/m.npz: zip archive: no end record (truncated, or not an "
             "npz/zip file) [TSR-E203]")
    # Both files in one run.
    complain({}, 'weights "w.safetensors";\nmasks patch "m.npz";\n' + LAYER,
             "DIR/w.safetensors: No such file or directory [TSR-E202]",
             "DIR/m.npz: No such file or directory [TSR-E202]")


def test_shards():
    def shards(weight_map, message, files=None):
        index = json.dumps({"weight_map": weight_map})
        complain({"w.safetensors.index.json": index, **(files or {})},
                 'weights "w.safetensors.index.json";\nmasks none;\n' + LAYER,
                 message)
    name = "DIR/w.safetensors.index.json"
    for path in ("../w.safetensors", "/etc/passwd", "a//b", "", "a/../b"):
        shards({"a.weight": path},
               f"{name}: the shard of 'a.weight' is '{path}', which is not a "
               "name inside the index's folder [TSR-E203]")
    shards({"a.weight": 5},
           f"{name}: the shard of 'a.weight' is '', which is not a name "
           "inside the index's folder [TSR-E203]")
    shards([1], f"{name}: it has no weight_map object [TSR-E203]")
    shards({"a.weight": "s"},
           "DIR/s: No such file or directory [TSR-E202]")
    shards({"a.weight": "s", "b.weight": "s"},
           f"{name}: tensor 'b.weight' is not in its shard 's' [TSR-E203]",
           {"s": GOOD})


def test_tensors():
    def tensors(arrays, layer, *messages, **options):
        complain({"w.safetensors": f.safetensors(arrays)},
                 'weights "w.safetensors";\nmasks none;\n' + layer, *messages,
                 **options)
    tensors({"a.weights": W}, LAYER,
            "'w.safetensors' holds no tensor 'a.weight'; did you mean "
            "'a.weights'? [TSR-E201]")
    tensors({"something.else": W}, LAYER,
            "'w.safetensors' holds no tensor 'a.weight' [TSR-E201]")
    tensors({"a.weight": np.zeros((2, 2), np.int32)}, LAYER,
            "tensor 'a.weight' has elements of type I32 (F32, F16 and BF16 can "
            "be compiled) [TSR-E206]")
    tensors({"a.weight": np.zeros((2, 2, 2), np.float32)}, LAYER,
            "tensor 'a.weight' has shape [2, 2, 2], not [out_features, "
            "in_features] [TSR-E205]")
    tensors({"a.weight": np.zeros((0, 2), np.float32)}, LAYER,
            "tensor 'a.weight' is [0, 2]; each extent must be 1..1073741824 "
            "[TSR-E205]")
    with_bias = 'layer "a" { weight "a.weight"; bias "a.bias"; }'
    tensors({"a.weight": W}, with_bias,
            "'w.safetensors' holds no tensor 'a.bias' [TSR-E201]")
    tensors({"a.weight": W, "a.bias": np.zeros(41, np.float32)}, with_bias,
            "bias 'a.bias' has shape [41], its weight has 40 rows [TSR-E207]")
    tensors({"a.weight": W, "a.bias": np.zeros((40, 1), np.float32)},
            with_bias, "bias 'a.bias' has shape [40, 1], its weight has 40 "
            "rows [TSR-E207]")
    tensors({"a.weight": W, "a.bias": np.zeros(40, np.int64)}, with_bias,
            "tensor 'a.bias' has elements of type I64 (F32, F16 and BF16 can "
            "be compiled) [TSR-E206]")
    pair = {"a.weight": W, "b.weight": W[:, :90]}
    tensors(pair, 'layer "ab" { concat "a.weight", "b.weight"; }',
            "layer 'ab': 'b.weight' has 90 in_features, 'a.weight' has 100 "
            "[TSR-E211]")
    pair = {"a.weight": W, "b.weight": W[:38]}
    tensors(pair, 'layer "ab" { interleave "a.weight", "b.weight"; }',
            "layer 'ab': 'b.weight' is [38, 100], 'a.weight' is [40, 100] "
            "[TSR-E212]")
    # What is wrong with one layer hides nothing of the others.
    tensors(pair, 'layer "ab" { interleave "a.weight", "b.weight"; }\n'
            'layer "c" { weight "A.weight"; }\n',
            "layer 'ab': 'b.weight' is [38, 100], 'a.weight' is [40, 100] "
            "[TSR-E212]",
            "'w.safetensors' holds no tensor 'A.weight'; did you mean "
            "'a.weight'? [TSR-E201]")


KEEP = f.random_mask(rng, 40, 100, (32, 64), [[2, 1], [1, 2]])


def savez(**members):
    return lambda path: np.savez_compressed(path, **members)


def patched(member, offset, value, compressed=True):
    """An archive with some bytes of a member's data changed."""
    def make(path):
        f.patch_npz(path, {"a.weight": KEEP}, compressed)
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(member)
        with open(path, "r+b") as file:
            file.seek(info.header_offset + 26)
            name, extra = struct.unpack("<HH", file.read(4))
            file.seek(info.header_offset + 30 + name + extra + offset)
            file.write(value)
    return make


def test_archives():
    def masks(kind, archive, *messages):
        complain({"w.safetensors": GOOD, "m.npz": archive},
                 f'weights "w.safetensors";\nmasks {kind} "m.npz";\n' + LAYER,
                 *messages, keep_notes=len(messages) > 1)
    bits = np.packbits(KEEP)
    shape = np.array(KEEP.shape)
    name = "a.weight"
    masks("patch", savez(**{"a.weigh": bits}),
          "'m.npz' holds no mask 'a.weight'; did you mean 'a.weigh'? "
          "[TSR-E208]")
    masks("patch", savez(**{name: bits}),
          "'m.npz' holds no mask 'a.weight.__shape__' [TSR-E208]")
    masks("patch", savez(**{name: bits, name + ".__shape__": shape[::-1]}),
          "mask 'a.weight' is for a matrix [100, 40]; the weight is [40, 100] "
          "[TSR-E209]")
    masks("patch", savez(**{name: bits, name + ".__shape__":
                            shape.astype(np.int32)}),
          "m.npz: a.weight.__shape__ is not an int64 array of two extents "
          "[TSR-E203]")
    masks("patch", savez(**{name: bits[:-1], name + ".__shape__": shape}),
          "mask 'a.weight' has 499 bytes; the weight [40, 100] needs 500 "
          "[TSR-E209]")
    masks("patch", savez(**{name: KEEP, name + ".__shape__": shape}),
          "mask 'a.weight' is of type bool with 2 dimensions, not packed bits "
          "(uint8, one dimension) [TSR-E209]")
    masks("patch", savez(**{name: bits.astype(np.float32),
                            name + ".__shape__": shape}),
          "mask 'a.weight' is of type float32 with 1 dimensions, not packed "
          "bits (uint8, one dimension) [TSR-E209]")
    masks("maskllm", savez(**{name: bits}),
          "'m.npz' holds no mask 'a.weight.mask' [TSR-E208]",
          "it holds 'a.weight': these are masks of PATCH, `masks patch`")
    masks("patch", savez(**{name + ".mask": bits}),
          "'m.npz' holds no mask 'a.weight' [TSR-E208]",
          "it holds 'a.weight.mask': these are masks of MaskLLM, `masks "
          "maskllm`")
    masks("maskllm", savez(**{name + ".mask": np.append(bits, bits)}),
          "mask 'a.weight.mask' has 1000 bytes; the weight [40, 100] needs "
          "500 [TSR-E209]")
    # The bytes of a padded mask in the other bit order.
    odd = f.safetensors({"a.weight": W[:, :99][:39]})
    keep = np.ones((39, 99), bool)
    complain({"w.safetensors": odd, "m.npz": savez(
        **{name + ".mask": np.packbits(keep, bitorder="little")})},
        'weights "w.safetensors";\nmasks maskllm "m.npz";\n' + LAYER,
        "the mask of 'a.weight' has padding bits set behind its last weight: "
        "its bits are not in the order of numpy.packbits [TSR-E210]")
    masks("patch", patched("a.weight.npy", 300, b"\x55\xaa", compressed=False),
          "DIR/m.npz: a.weight.npy: the checksum (CRC-32) does not match "
          "[TSR-E203]")
    masks("patch", patched("a.weight.npy", 0, b"\xff\xff"),
          "DIR/m.npz: a.weight.npy: the deflate stream is damaged or "
          "truncated [TSR-E203]")


def test_bomb():
    """A member that declares more than its bytes can hold, and one that says
    it is a gigabyte of zeros, where 500 bytes are due."""
    def bomb(path):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("a.weight.mask.npy", "w") as member:
                np.lib.format.write_array_header_1_0(member, {
                    "descr": "|u1", "fortran_order": False,
                    "shape": (1 << 26,)})
                member.write(bytes(1 << 26))
    complain({"w.safetensors": GOOD, "m.npz": bomb},
             'weights "w.safetensors";\nmasks maskllm "m.npz";\n' + LAYER,
             "mask 'a.weight.mask' has 67108864 bytes; the weight [40, 100] "
             "needs 500 [TSR-E209]")


def test_bitmask():
    keep24 = np.tile(np.array([True, False, False, True]), (40, 25))
    def weights(kind, tensors, *messages):
        complain({"w.safetensors": f.safetensors(tensors)},
                 f'weights {kind} "w.safetensors";\nmasks bitmask;\n' + LAYER,
                 *messages)
    def sparse(**changes):
        tensors = f.bitmask("a", W, KEEP)
        for name, value in changes.items():
            tensors["a." + name] = value
            if value is None:
                del tensors["a." + name]
        return tensors
    wrong = "'w.safetensors': tensor 'a.%s' %s [TSR-E203]"
    full = f.bitmask("a", W, KEEP)
    weights("bitmask", sparse(bitmask=None),
            wrong % ("bitmask", "is missing"))
    weights("bitmask", sparse(row_offsets=None),
            wrong % ("row_offsets", "is missing"))
    weights("bitmask", sparse(shape=np.array([40, 100], np.int32)),
            wrong % ("shape", "is not of type I64"))
    weights("bitmask", sparse(shape=np.array([40], np.int64)),
            wrong % ("shape", "does not hold two extents"))
    weights("bitmask", sparse(shape=np.array([40, -1], np.int64)),
            "tensor 'a.weight' is [40, 18446744073709551615]; each extent "
            "must be 1..1073741824 [TSR-E205]")
    weights("bitmask", sparse(shape=np.array([40, 200], np.int64)),
            wrong % ("bitmask", "does not fit the declared shape"))
    weights("bitmask", sparse(row_offsets=np.zeros(39, np.int64)),
            wrong % ("row_offsets", "does not fit the declared shape"))
    offsets = full["a.row_offsets"].copy()
    offsets[7] += 1
    row = "tensor 'a.weight': row %d of its bitmask %s [TSR-E203]"
    weights("bitmask", sparse(row_offsets=offsets),
            row % (7, "does not begin where row_offsets says"))
    weights("bitmask", sparse(compressed=full["a.compressed"][:-1]),
            row % (39, "has more bits than there are values left"))
    more = f.Bf16(np.append(full["a.compressed"].bits, 0))
    kept = int(KEEP.sum())
    weights("bitmask", sparse(compressed=more),
            f"tensor 'a.weight': {kept + 1} values, but its bitmask has {kept} "
            "bits [TSR-E203]")
    bits = full["a.bitmask"].copy()
    bits[3, -1] |= 0x80
    weights("bitmask", sparse(bitmask=bits),
            row % (3, "has padding bits set"))
    good = f.bitmask24("a", W, keep24)
    bits = good["a.bitmask"].copy()
    bits[2, 5] = 0x37
    weights("bitmask24", {**good, "a.bitmask": bits},
            row % (2, "does not have exactly 2 bits in each group of 4"))
    weights("bitmask24", {**good, "a.compressed": f.Bf16(
        good["a.compressed"].bits[:, :-1])},
        wrong % ("compressed",
                 "is not [out_features, in_features / 2], as 2:4 needs"))
    weights("bitmask24", f.bitmask("a", W, KEEP),
            wrong % ("compressed",
                     "is not [out_features, in_features / 2], as 2:4 needs"))


def test_grids():
    def grid(array, *messages, name="g/a.weight.npy"):
        def save(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            np.save(path, array)
        complain({"w.safetensors": GOOD, name: save},
                 'weights "w.safetensors";\nmasks grid "g";\n' + LAYER,
                 *messages)
    kinds = np.array([[1, 2], [0, 1]], np.uint8)
    grid(kinds, "DIR/g/a.weight.npy: No such file or directory [TSR-E208]",
         name="g/b.weight.npy")
    need = "tiles of 32x64 over [40, 100] need uint8 (2, 2) [TSR-E209]"
    grid(kinds[:1], f"the tile grid of 'a.weight' is uint8 (1, 2); {need}")
    grid(kinds.astype(np.int64),
         f"the tile grid of 'a.weight' is int64 (2, 2); {need}")
    grid(np.array([[1, 2], [3, 1]], np.uint8),
         "the tile grid of 'a.weight' holds 3 at (1, 0); kinds are 0 zero, 1 "
         "sparse24, 2 dense [TSR-E210]")
    grid(np.asfortranarray(kinds),
         "DIR/g/a.weight.npy: the array is in Fortran order; save "
         "numpy.ascontiguousarray(a) instead [TSR-E204]")
    complain({"w.safetensors": GOOD, "g/a.weight.npy": b"\x93NUMPY\x01\x00"},
             'weights "w.safetensors";\nmasks grid "g";\n' + LAYER,
             "DIR/g/a.weight.npy: npy header: truncated [TSR-E203]")


def test_rules():
    keep = np.zeros((40, 100), bool)
    keep[:, 64:] = True  # tiles (0, 1) and (1, 1) are dense
    keep[3, 64:70] = (False, False, True, True, False, True)
    keep[3, 70:] = False
    keep[:3, 64:] = keep[4:32, 64:] = False
    keep[3, 64:68] = (True, False, True, True)
    def rules(text, *messages):
        complain({"w.safetensors": GOOD,
                  "m.npz": lambda path: f.patch_npz(path, {"a.weight": keep})},
                 'weights "w.safetensors";\nmasks patch "m.npz";\n'
                 f'layer "a" {{ weight "a.weight"; {text} }}\n', *messages)
    one = ("layer 'a', tensor 'a.weight': tile (0, 1) is not 2:4: row 3, group "
           "16 (in_features 64..67) keeps 3 of 4 [TSR-E213]")
    rules("sparse24 rows 0..31;", one)
    rules("require sparse24 columns 64..99;", one)
    rules("require dense rows 0..31;",
          "layer 'a': tile (0, 0) is zero, not dense [TSR-E214]")
    rules("require zero rows 32..39;",
          "layer 'a': tile (1, 1) is dense, not zero [TSR-E214]")
    rules("zero rows 0..31 columns 64..;",
          "layer 'a': this rule drops 4 kept weights [TSR-W201]")
    rules("dense rows 40..50;",
          "layer 'a' has rows 0..39, the rule names 40..50 [TSR-E215]")
    rules("dense rows 8..40;",
          "layer 'a' has rows 0..39, the rule names 8..40 [TSR-E215]")
    rules("dense columns 200..;",
          "layer 'a' has columns 0..99, the rule names 200.. [TSR-E215]")
    # What an override makes is what an assertion sees.
    rules("require zero columns 64..99; zero;",
          "layer 'a': this rule drops 292 kept weights [TSR-W201]")


def test_out_of_memory():
    """Every allocation fails once: a status, no crash, nothing invented."""
    with folder() as directory:
        arrays = {"a.weight": W, "b.weight": W,
                  "a.bias": np.zeros(40, np.float32)}
        write(directory, "w.safetensors", f.safetensors(arrays))
        write(directory, "w.json", json.dumps(
            {"weight_map": {name: "w.safetensors" for name in arrays}}))
        sparse = f.bitmask("a", W, KEEP)
        write(directory, "s.safetensors", f.safetensors(sparse))
        f.patch_npz(os.path.join(directory, "m.npz"),
                    {"a.weight": KEEP, "b.weight": KEEP})
        np.save(os.path.join(directory, "g.npy"),
                np.array([[1, 2], [0, 1]], np.uint8))
        plan = os.path.join(directory, "plan.tess")
        write(directory, "plan.tess", HEAD + (
            'weights safetensors "w.json" as "w";\n'
            'weights bitmask "s.safetensors" as "s";\n'
            'masks patch "m.npz" as "p";\nmasks grid "g.npy" as "g";\n'
            'masks nonzero as "n";\nmasks bitmask as "b";\n'
            'masks synthetic sparse24 50% seed 1 as "y";\n'
            'layer "p" { concat "a.weight" from "w" masks from "p", "b.weight" '
            'from "w" masks from "g"; bias "a.bias", none; dense rows 0..3; }\n'
            'layer "n" { weight "a.weight" from "w" masks from "n"; }\n'
            'layer "b" { weight "a.weight" from "s" masks from "b"; }\n'
            'layer "y" { weight "a.weight" from "w" masks from "y"; }\n'))
        os.mkdir(os.path.join(directory, "out"))
        os.environ["OOM_AT"] = "0"
        code, stdout, stderr = run(tool, plan, os.path.join(directory, "out"))
        check(code == 0, f"out of memory: plan: {stderr}")
        total = int(stdout.split("allocations ")[1])
        failed = 0
        # Front end and writers have their own tests; sample the whole range.
        for nth in range(1, total + 1, max(1, total // 120)):
            os.environ["OOM_AT"] = str(nth)
            code, _, stderr = run(tool, plan, os.path.join(directory, "out"))
            check(code in (0, 1, 3) and (code == 0 or "memory" in stderr),
                  f"allocation {nth}: {code} {stderr}")
            failed += code != 0
        check(failed > 50, f"only {failed} failures of {total} allocations")
        del os.environ["OOM_AT"]


for name, test in sorted(globals().items()):
    if name.startswith("test_"):
        test()
finish()

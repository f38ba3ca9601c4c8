# SPDX-License-Identifier: Apache-2.0
"""numpy writes, we read; we write, numpy reads. Bit for bit."""
import io
import os
import sys
import zipfile

from formats import zip64_end
from oracle import check, finish, folder, np, run, same

tool = sys.argv[1]
rng = np.random.default_rng(7)
arrays = {
    "model.layers.0.q.weight": rng.integers(0, 256, 12345, dtype=np.uint8),
    "model.layers.0.q.weight.__shape__": np.array([3, 4], dtype=np.int64),
    "zeros": np.zeros(300000, dtype=np.uint8),
    "flags": rng.integers(0, 2, (7, 5)).astype(bool),
    "halves": rng.standard_normal((5, 6, 7)).astype(np.float16),
    "floats": np.array([0.0, -0.0, np.nan, np.inf, 1e-42], dtype=np.float32),
    "doubles": rng.standard_normal((2, 3)),
    "words": rng.integers(0, 65536, (4, 4)).astype(np.uint16),
    "ints": rng.integers(-9, 9, (2, 2)).astype(np.int32),
    "empty": np.zeros((0, 3), dtype=np.float32),
    "scalar": np.array(5, dtype=np.int64),
    "column": np.asfortranarray(np.arange(4, dtype=np.float32).reshape(4, 1)),
}
text = '{"repo": "a/b", "note": "héllo \u6f22 \U0001f600"}'


def write_zip64(path):
    """Every member with zip64 sizes and an extra field, as for huge files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(name + ".npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array)
        member = io.BytesIO()
        np.lib.format.write_array(member, np.array(text))
        archive.writestr("__meta__.npy", member.getvalue())


def judge(kind, path, directory):
    out = os.path.join(directory, kind)
    os.mkdir(out)
    code, stdout, stderr = run(tool, "unpack", path, out)
    check(code == 0, f"{kind}: unpack: {stderr}")
    names = dict(line.split(" ", 1) for line in stdout.splitlines())
    check(list(names.values()) == [*arrays, "__meta__"], f"{kind}: {names}")
    for index, name in names.items():
        if name != "__meta__":
            read = np.load(os.path.join(out, index + ".npy"))
            check(same(read, np.ascontiguousarray(arrays[name])
                       if arrays[name].ndim else arrays[name]),
                  f"{kind}: {name}")
    copies = [os.path.join(directory, f"{kind}-{i}.npz") for i in range(2)]
    for copy in copies:
        code, _, stderr = run(tool, "copy", path, copy)
        check(code == 0, f"{kind}: copy: {stderr}")
    with open(copies[0], "rb") as a, open(copies[1], "rb") as b:
        check(a.read() == b.read(), f"{kind}: two copies differ")
    check(zipfile.ZipFile(copies[0]).testzip() is None, f"{kind}: testzip")
    with np.load(copies[0]) as copy:
        check(list(copy.keys()) == list(names.values()), f"{kind}: copy names")
        check(str(copy["__meta__"]) == text, f"{kind}: text")
        for name, array in arrays.items():
            check(same(copy[name], array), f"{kind}: copy of {name}")


def judge_npy(directory):
    for name, array in arrays.items():
        path = os.path.join(directory, "in.npy")
        out = os.path.join(directory, "out.npy")
        for version in ((1, 0), (2, 0), (3, 0)):
            with open(path, "wb") as file:
                np.lib.format.write_array(file, array, version)
            code, _, stderr = run(tool, "npy", path, out)
            check(code == 0, f"npy {name} {version}: {stderr}")
            check(same(np.load(out), array), f"npy {name} {version}")
        np.save(path, array)
        with open(path, "rb") as a, open(out, "rb") as b:
            bytes_a = a.read()
            if b"'fortran_order': True" not in bytes_a:
                check(bytes_a == b.read(), f"npy {name}: not as numpy writes")


with folder() as directory:
    everything = {**arrays, "__meta__": np.array(text)}
    np.savez(os.path.join(directory, "stored.npz"), **everything)
    np.savez_compressed(os.path.join(directory, "deflated.npz"), **everything)
    write_zip64(os.path.join(directory, "zip64.npz"))
    with open(os.path.join(directory, "zip64.npz"), "rb") as file:
        large = zip64_end(file.read())
    with open(os.path.join(directory, "zip64end.npz"), "wb") as file:
        file.write(large)
    np.load(os.path.join(directory, "zip64end.npz")).close()  # so say others
    for kind in ("stored", "deflated", "zip64", "zip64end"):
        judge(kind, os.path.join(directory, kind + ".npz"), directory)
    judge_npy(directory)
finish()

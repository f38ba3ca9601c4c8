# SPDX-License-Identifier: Apache-2.0
"""Every importer against numpy, bit for bit."""
import json
import os
import sys

import formats as f
from oracle import check, finish, folder, np, run, same

tool = sys.argv[1]
rng = np.random.default_rng(11)
TILE = (32, 64)
BYTES = {0: 0.0, 1: 1.125, 2: 2.0}


def write(directory, name, data):
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb" if isinstance(data, bytes) else "w") as file:
        file.write(data)
    return path


def read_layers(directory, text, code=0):
    """Compiles the plan; one dictionary of arrays and facts per layer."""
    plan = write(directory, "plan.tess", 'model "m";\ntarget host;\n' + text)
    out = os.path.join(directory, "out")
    os.makedirs(out, exist_ok=True)
    status, stdout, stderr = run(tool, plan, out)
    check(status == code, f"status {status}: {stderr}\n{text}")
    layers = []
    for i, line in enumerate(stdout.splitlines()):
        words = line.split()
        layer = {"name": words[0], "type": words[1],
                 "stats": [int(w) for w in words[2:9]], "hash": words[9:]}
        for what in ("values", "unmasked", "keep", "grid", "bias"):
            layer[what] = np.load(os.path.join(out, f"{i}.{what}.npy"))
        layers.append(layer)
    return layers


def judge(what, layer, weights, keep, tile=TILE, bias=None, grid=None):
    """|weights| float32 and |keep| bool are the truth."""
    rows, columns = weights.shape
    if grid is None:
        grid = f.derive(keep, tile)
    masked = np.where(keep, weights.view(np.uint32), 0).astype(np.uint32)
    check(same(layer["values"].view(np.uint32), masked), what + ": values")
    check(same(layer["unmasked"].view(np.uint32),
               np.ascontiguousarray(weights).view(np.uint32)),
          what + ": unmasked")
    check(same(layer["keep"], f.packed_lsb(keep)), what + ": keep")
    check(same(layer["grid"], grid), what + ": grid")
    bias = np.zeros(rows, np.float32) if bias is None else bias
    check(same(layer["bias"].reshape(-1), bias), what + ": bias")
    packed = 0
    for p in range(grid.shape[0]):
        for c in range(grid.shape[1]):
            height = min(tile[0], rows - p * tile[0])
            width = min(tile[1], columns - c * tile[1])
            packed += int(BYTES[grid[p, c]] * height * width + 0.5)
    check(layer["stats"] == [int((grid == k).sum()) for k in range(3)]
          + [rows * columns, int(keep.sum()), 2 * rows * columns, packed],
          f"{what}: statistics {layer['stats']}")


def settings(weights, masks, tile=TILE):
    return f"weights {weights};\nmasks {masks};\ntile {tile[0]}x{tile[1]};\n"


def kinds_of(rows, columns, tile=TILE):
    shape = (-(-rows // tile[0]), -(-columns // tile[1]))
    kinds = rng.integers(0, 3, shape)
    kinds.reshape(-1)[:3] = (0, 1, 2)[:kinds.size]
    return kinds


def test_safetensors(d):
    for kind in ("f32", "f16", "bf16"):
        for align in (8, 1):  # old files do not align their data
            for shape in ((70, 200), (33, 77), (32, 64), (1, 1), (5, 3)):
                w = f.random_weights(rng, *shape, kind) if shape[0] > 4 else (
                    np.ones(shape, np.float32))
                bias = rng.standard_normal(shape[0]).astype(np.float16)
                write(d, "w.safetensors", f.safetensors(
                    {"odd": np.zeros(3, np.int8), "a.weight": w,
                     "a.bias": bias}, {"format": "pt"}, align))
                text = settings('"w.safetensors"', "none")
                text += 'layer "a" { weight "a.weight"; bias "a.bias"; }'
                layer, = read_layers(d, text)
                judge(f"plain {kind} {shape}", layer, f.floats(w),
                      np.ones(shape, bool), bias=bias.astype(np.float32))
                check(layer["type"] == (kind if shape[0] > 4 else "f32"),
                      "type " + kind)


def test_nonzero(d):
    for kind in ("f32", "f16", "bf16"):
        keep = f.random_mask(rng, 70, 200, TILE, kinds_of(70, 200))
        w = f.random_weights(rng, 70, 200, kind)
        if isinstance(w, f.Bf16):
            w.bits[~keep] = 0
        else:
            w[~keep] = 0
        write(d, "w.safetensors", f.safetensors({"a.weight": w}))
        layer, = read_layers(d, settings('"w.safetensors"', "nonzero")
                             + 'layer "a" { weight "a.weight"; }')
        values = f.floats(w)
        keep = values != 0
        # -0 is not kept, so it is read as 0.
        judge("nonzero " + kind, layer, values, keep)


def test_archives(d):
    for shape in ((96, 256), (70, 203), (33, 77)):
        names = ["model.layers.0.q.weight", "model.layers.0.k.weight"]
        keeps = {n: f.random_mask(rng, *shape, TILE, kinds_of(*shape))
                 for n in names}
        w = {n: f.random_weights(rng, *shape, "bf16") for n in names}
        write(d, "w.safetensors", f.safetensors(w))
        f.patch_npz(os.path.join(d, "mask.npz"), keeps)
        f.patch_npz(os.path.join(d, "stored.npz"), keeps, compressed=False)
        f.maskllm_npz(os.path.join(d, "mask_compressed.npz"), keeps)
        seen = []
        for masks in ('patch "mask.npz"', 'patch "stored.npz"',
                      'maskllm "mask_compressed.npz"'):
            text = settings('"w.safetensors"', masks)
            for i, n in enumerate(names):
                text += f'layer "l{i}" {{ weight "{n}"; }}\n'
            layers = read_layers(d, text)
            for n, layer in zip(names, layers):
                judge(f"{masks} {shape}", layer, f.floats(w[n]), keeps[n])
            seen.append([layer["hash"] for layer in layers])
        check(seen[0] == seen[1] == seen[2], "hashes of equal content")
        check(seen[0][0] != seen[0][1], "hashes of different content")


def test_bitmask(d):
    for kind in ("f32", "f16", "bf16"):
        for suffix in ("", ".weight"):
            shape = (70, 203)
            w = f.random_weights(rng, *shape, kind)
            keep = f.random_mask(rng, *shape, TILE, kinds_of(*shape))
            keep[5] = False
            plain = f.random_weights(rng, 32, 64, kind)
            write(d, "w.safetensors", f.safetensors(
                {**f.bitmask("a" + suffix, w, keep), "b.weight": plain}))
            text = settings('bitmask "w.safetensors"', "bitmask")
            text += 'layer "a" { weight "a.weight"; }\n'
            text += 'layer "b" { weight "b.weight"; }\n'
            a, b = read_layers(d, text)
            values = np.where(keep, f.floats(w).view(np.uint32), 0)
            values = values.astype(np.uint32).view(np.float32)
            judge("bitmask " + kind, a, values, keep)
            judge("bitmask, ignored", b, f.floats(plain),
                  np.ones((32, 64), bool))


def test_bitmask24(d):
    for kind in ("f32", "f16", "bf16"):
        for columns in (200, 204):
            w = f.random_weights(rng, 70, columns, kind)
            order = rng.random((70, columns // 4, 4)).argsort(-1).argsort(-1)
            keep = (order < 2).reshape(70, columns)
            write(d, "w.safetensors",
                  f.safetensors(f.bitmask24("a", w, keep)))
            layer, = read_layers(d, settings('bitmask24 "w.safetensors"',
                                             "bitmask")
                                 + 'layer "a" { weight "a.weight"; }')
            values = np.where(keep, f.floats(w).view(np.uint32), 0)
            values = values.astype(np.uint32).view(np.float32)
            judge(f"bitmask24 {kind} {columns}", layer, values, keep)


def largest_of_four(values):
    """First of equals; by the magnitudes' bits."""
    rows, columns = values.shape
    width = -(-columns // 4) * 4
    bits = np.full((rows, width), -1, np.int64)
    bits[:, :columns] = values.view(np.uint32) & 0x7FFFFFFF
    groups = bits.reshape(rows, -1, 4)
    order = np.argsort(-groups, axis=-1, kind="stable").argsort(-1)
    return (order < 2).reshape(rows, width)[:, :columns]


def test_grid(d):
    shape = (70, 202)
    w = f.random_weights(rng, *shape, "bf16")
    w.bits[:, 100:104] = w.bits[:, 100:101]  # equal magnitudes
    kinds = kinds_of(*shape).astype(np.uint8)
    write(d, "w.safetensors", f.safetensors({"a.weight": w, "b.weight": w}))
    os.makedirs(os.path.join(d, "grids"), exist_ok=True)
    np.save(os.path.join(d, "grids", "a.weight.npy"), kinds)
    np.save(os.path.join(d, "one.npy"), kinds)
    values = f.floats(w)
    full = np.repeat(np.repeat(kinds, TILE[0], 0), TILE[1], 1)
    full = full[:shape[0], :shape[1]]
    keep = np.where(full == 1, largest_of_four(values), full == 2)
    for masks, names in (('grid "grids"', "a"), ('grid "one.npy"', "ab")):
        text = settings('"w.safetensors"', masks)
        for n in names:
            text += f'layer "{n}" {{ weight "{n}.weight"; }}\n'
        for layer in read_layers(d, text):
            judge(masks, layer, values, keep)
            check((layer["grid"] == kinds).all(), masks + ": kinds")


def test_combined(d):
    shapes = {"q": (64, 100), "k": (33, 100), "v": (33, 100)}
    w = {n + ".weight": f.random_weights(rng, *s, k) for (n, s), k in
         zip(shapes.items(), ("bf16", "bf16", "f32"))}
    keeps = {n + ".weight": f.random_mask(rng, *s, TILE, kinds_of(*s))
             for n, s in shapes.items()}
    bias = {"q.bias": rng.standard_normal(64).astype(np.float32),
            "v.bias": rng.standard_normal(33).astype(np.float32)}
    write(d, "w.safetensors", f.safetensors({**w, **bias}))
    f.patch_npz(os.path.join(d, "m.npz"), keeps)
    head = settings('"w.safetensors"', 'patch "m.npz"')
    text = head + ('layer "qkv" { concat "q.weight", "k.weight", "v.weight"; '
                   'bias "q.bias", none, "v.bias"; }\n'
                   'layer "gu" { interleave "k.weight", "v.weight"; '
                   'bias none, "v.bias"; }\n')
    qkv, gu = read_layers(d, text)
    values = [f.floats(x) for x in w.values()]
    masks = list(keeps.values())
    zeros = np.zeros(33, np.float32)
    judge("concat", qkv, np.concatenate(values), np.concatenate(masks),
          bias=np.concatenate([bias["q.bias"], zeros, bias["v.bias"]]))
    check(qkv["type"] == "f32", "mixed types")
    both = np.empty((66, 100), np.float32)
    both[0::2], both[1::2] = values[1], values[2]
    mask = np.empty((66, 100), bool)
    mask[0::2], mask[1::2] = masks[1], masks[2]
    paired = np.zeros(66, np.float32)
    paired[1::2] = bias["v.bias"]
    judge("interleave", gu, both, mask, bias=paired)


def test_shards(d):
    w = {f"l{i}.weight": f.random_weights(rng, 32, 64, "bf16")
         for i in range(4)}
    names = list(w)
    files = {"model-00001-of-00002.safetensors": names[:2],
             "part/model-00002-of-00002.safetensors": names[2:]}
    for file, inside in files.items():
        write(d, "sharded/" + file, f.safetensors({n: w[n] for n in inside}))
    index = {"metadata": {"total_size": 1}, "weight_map": {
        n: file for file, inside in files.items() for n in inside}}
    write(d, "sharded/model.safetensors.index.json", json.dumps(index))
    for path in ("sharded/model.safetensors.index.json", "sharded"):
        text = settings(f'safetensors "{path}"', "none")
        for i in (3, 0, 2, 1):
            text += f'layer "l{i}" {{ weight "l{i}.weight"; }}\n'
        for layer in read_layers(d, text):
            judge("shards", layer, f.floats(w[layer["name"] + ".weight"]),
                  np.ones((32, 64), bool))


def test_rules(d):
    shape = (96, 192)
    kinds = np.array([[0, 1, 2], [1, 1, 1], [2, 2, 2]])
    keep = f.random_mask(rng, *shape, TILE, kinds)
    w = f.random_weights(rng, *shape, "f32")
    write(d, "w.safetensors", f.safetensors({"a.weight": w}))
    f.patch_npz(os.path.join(d, "m.npz"), {"a.weight": keep})
    text = settings('"w.safetensors"', 'patch "m.npz"') + (
        'layer "a" { weight "a.weight";\n'
        "dense rows 0..40 columns 0..63; zero rows 64..95 columns 64..100;\n"
        "sparse24 rows 32..63 columns 128..; require dense rows 64..95 "
        "columns 128..; require zero rows 70 columns 70; }")
    layer, = read_layers(d, text)
    keep[64:96, 64:128] = False
    keep[0:64, 0:64] = True  # a dense tile keeps all its weights
    grid = np.array([[2, 1, 2], [2, 1, 1], [2, 0, 2]], np.uint8)
    judge("rules", layer, w, keep, grid=grid)


def test_synthetic(d):
    text = ('weights synthetic seed 7;\n'
            'masks synthetic sparse24 60% zero 10% seed 3;\ntile 32x64;\n'
            'layer "a" { weight synthetic 320x640; }\n'
            'layer "b" { weight synthetic 33x77; }\n')
    a, b = read_layers(d, text)
    again, _ = read_layers(d, text)
    check(same(a["values"], again["values"]) and same(a["keep"], again["keep"])
          and a["hash"] == again["hash"], "synthetic: repeatable")
    check(a["hash"] != b["hash"], "synthetic: layers differ")
    other, _ = read_layers(d, text.replace("seed 7", "seed 8"))
    check(other["hash"][0] != a["hash"][0], "synthetic: seed of weights")
    check(other["hash"][1] == a["hash"][1], "synthetic: seed of masks")
    for layer, shape in ((a, (320, 640)), (b, (33, 77))):
        keep = np.unpackbits(layer["keep"], axis=1, bitorder="little")
        keep = keep[:, :shape[1]].astype(bool)
        judge("synthetic", layer, layer["unmasked"], keep)
        check((layer["unmasked"] != 0).all(), "synthetic: no zeros")
        bits = layer["unmasked"].view(np.uint32)
        check((bits & 0xFFFF == 0).all(), "synthetic: exact in bf16")
        halves = layer["unmasked"].astype(np.float16).astype(np.float32)
        check(same(halves, layer["unmasked"]), "synthetic: exact in f16")
    check(a["stats"][:3] == [10, 60, 30], f"synthetic: counts {a['stats']}")
    tiles = a["grid"].repeat(32, 0).repeat(64, 1)
    keep = np.unpackbits(a["keep"], axis=1, bitorder="little").astype(bool)
    groups = keep.reshape(320, -1, 4).sum(-1)
    kinds = tiles[:, ::4]
    check((groups[kinds == 1] == 2).all() and (groups[kinds == 2] == 4).all(),
          "synthetic: 2 of 4")
    deviation = a["unmasked"].std() * np.sqrt(640)
    check(0.7 < deviation < 1.42, f"synthetic: deviation {deviation}")
    check(abs(a["unmasked"].mean()) < 0.001, "synthetic: mean")
    patterns = np.packbits(keep.reshape(-1, 4)[(kinds == 1).reshape(-1)],
                           axis=1).reshape(-1)
    counts = np.unique(patterns, return_counts=True)[1]
    check(len(counts) == 6 and counts.min() > 0.9 * counts.mean(),
          f"synthetic: patterns {counts}")
    correlation = np.corrcoef(a["unmasked"][:64])
    check(np.abs(correlation - np.eye(64)).max() < 0.25,
          "synthetic: rows are independent")


for name, test in sorted(globals().items()):
    if name.startswith("test_"):
        with folder() as directory:
            test(directory)
finish()

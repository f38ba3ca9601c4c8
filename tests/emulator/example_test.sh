#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# example_test.sh EXAMPLE CC DRIVER STUBS SANITIZERS: builds the example as its
# README says, linked and with dlopen, runs it with DRIVER in the loader's path
# and compares; then breaks it, and the emulator has to say where.
set -eu
example=$1
compiler=$2
driver=$3
stubs=$4
# shellcheck source=tests/support/example.sh
. "$(dirname "$0")/../support/example.sh"
example_begin "$5"
example_enter "$example"
unset TESSERA_EMU_DEVICE TESSERA_EMU_SEED TESSERA_EMU_CHECK TESSERA_EMU_FAIL

flags='-std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Werror'
# shellcheck disable=SC2086  # several options
"$compiler" $flags vectors.c -o linked -L"$stubs" -lcuda
readelf -d linked | grep -q 'NEEDED.*\[libcuda\.so\.1\]'
# shellcheck disable=SC2086
"$compiler" $flags -DUSE_DLOPEN vectors.c -o loaded -ldl
LD_LIBRARY_PATH=$driver
export LD_LIBRARY_PATH
for program in linked loaded; do
  ./$program vectors.ptx >actual.txt
  diff expected.txt actual.txt
done
TESSERA_EMU_DEVICE=a100 ./linked vectors.ptx | grep -q 'A100'
if TESSERA_EMU_DEVICE=nosuch ./linked vectors.ptx 2>error.txt; then exit 1; fi
grep -q '^cuInit: invalid argument$' error.txt
if TESSERA_EMU_FAIL=cuMemAlloc:2:2 ./linked vectors.ptx >actual.txt 2>error.txt; then
  exit 1
fi
grep -q '^cuMemAlloc: out of memory$' error.txt

# Without the barrier there is a race, and its line is named.
sed '/bar\.sync/d' vectors.ptx >broken.ptx
if TESSERA_EMU_CHECK=all TESSERA_EMU_LOG=log.txt \
  TESSERA_EMU_PROFILE_LOG=profile.txt ./linked broken.ptx >actual.txt 2>error.txt; then
  exit 1
fi
grep -q 'unspecified launch failure' error.txt
grep -q '^tessera-cuda-emu: sum: line [0-9]*: .*race' log.txt
test "$(grep -c '^{"kernel":"axpy","launch":1,' profile.txt)" = 1
test "$(grep -c '^{"kernel":"sum","launch":2,' profile.txt)" = 1

# Only the driver's functions and the emulator's own are exported.
nm -D --defined-only "$driver/libcuda.so.1" | awk '{ print $3 }' |
  grep -Ev '^(cu[A-Z]|tessera_emu_)' >other.txt || true
test ! -s other.txt || {
  echo "exported, but not of the interface:"
  cat other.txt
  exit 1
}
echo "the example agrees with its README, linked and loaded"

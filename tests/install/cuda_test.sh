#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# cuda_test.sh BUILD EXAMPLE CC GENERATOR SANITIZERS: installs BUILD into a
# folder, builds the example against it as its README says, without a CUDA
# toolkit, runs both programs on the emulated driver and compares; then on
# its other devices, and what they say where the driver or memory is missing.
set -eu
build=$1
example=$2
compiler=$3
generator=$4
# shellcheck source=tests/support/example.sh
. "$(dirname "$0")/../support/example.sh"
example_begin "$5"
for name in $(env | sed -n 's/^\(TESSERA_EMU_[A-Z_]*\)=.*/\1/p'); do
  unset "$name"
done

example_install "$build" "$work/prefix"
example_enter "$example"
example_log compile.log \
  "$work/prefix/bin/tesserac" compile mlp.tess -o mlp.bundle
example_build "$generator" "$compiler" \
  -DCMAKE_C_FLAGS="-Wall -Wextra -Werror"

TESSERA_CUDA_DRIVER=$(find "$work/prefix" -name libcuda.so.1)
export TESSERA_CUDA_DRIVER
{
  build/mlp mlp.bundle
  build/graph mlp.bundle
} >actual.txt
diff expected.txt actual.txt

# Other devices, asynchronous work late, early and at random times, all checks:
# the same, but for the device and the memory that it wants.
check_device() {  # DEVICE TIME
  TESSERA_EMU_DEVICE=$1 TESSERA_EMU_TIME=$2 TESSERA_EMU_CHECK=all
  TESSERA_EMU_LOG=findings.txt
  export TESSERA_EMU_DEVICE TESSERA_EMU_TIME TESSERA_EMU_CHECK TESSERA_EMU_LOG
  build/graph mlp.bundle >actual.txt
  tail -2 expected.txt | diff - actual.txt
  build/mlp mlp.bundle 3 65 >actual.txt
  test "$(grep -c 'GPU and CPU agree' actual.txt)" = 2
  unset TESSERA_EMU_DEVICE TESSERA_EMU_TIME TESSERA_EMU_CHECK TESSERA_EMU_LOG
}
: >findings.txt
check_device a100 early
check_device a6000 late
check_device rtx4090 random
# That cubins are not executed is no finding.
grep -v 'this is a cubin' findings.txt >found.txt || true
test ! -s found.txt || {
  cat found.txt
  exit 1
}

# Every replay launches every kernel, and nothing else launches any.
TESSERA_EMU_PROFILE_LOG=profile.txt build/graph mlp.bundle >actual.txt
launches=$(grep -c '^{"kernel":"tsr_decode' profile.txt)
# 2 plain chains and 10 replays of 2 x 2 layers, each one kernel.
test "$launches" = 48 || {
  echo "$launches launches, expected 48"
  exit 1
}

# Where the driver, or memory, is missing, one line says so.
for program in mlp graph; do
  if TESSERA_CUDA_DRIVER=/nowhere/libcuda.so.1 build/$program mlp.bundle \
    >actual.txt 2>error.txt; then exit 1; fi
  grep -q '^no CUDA driver: /nowhere/libcuda.so.1: cannot open' error.txt
  if TESSERA_EMU_FAIL=cuMemAlloc:1:2 build/$program mlp.bundle \
    >actual.txt 2>error.txt; then exit 1; fi
  grep -q 'OUT_OF_MEMORY' error.txt
  test "$(wc -l <error.txt)" = 1
done
echo "both programs agree with their README"

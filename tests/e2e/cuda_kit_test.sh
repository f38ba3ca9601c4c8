#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cuda_kit_test.sh SOURCE BUILD DRIVER: what scripts/pack-cuda packs brings every
# library that it needs, and its scripts/check-cuda tells what passed, failed and
# was skipped. The emulated driver stands in for a GPU's.
set -euo pipefail
source=$1 build=$2 driver=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
kit=$folder/kit

fail() {
  echo "$*" >&2
  exit 1
}

"$source/scripts/pack-cuda" --build "$build" "$kit"
if "$source/scripts/pack-cuda" --build "$build" "$kit" 2> "$folder/said"; then
  fail "a folder that is there was packed into"
fi
grep -q 'is there already' "$folder/said" || fail "$(cat "$folder/said")"

# All but the C library comes from the kit.
find "$kit/build" -name '*.bin' > "$folder/programs"
[[ $(wc -l < "$folder/programs") -eq 7 ]] || fail "programs are missing"
while read -r program; do
  LD_LIBRARY_PATH=$kit/lib ldd "$program" > "$folder/libraries"
  if grep -E '=>' "$folder/libraries" | grep -vE "=> $kit/lib/" |
    grep -vE '(^|/)lib(c|m|dl|rt|pthread)\.so'; then
    fail "$program takes the above from elsewhere"
  fi
done < "$folder/programs"

cd /
clean=(env -i PATH=/usr/bin:/bin HOME="$folder")
"${clean[@]}" "$kit/scripts/check-cuda" --driver "$driver" --out "$folder/out" \
  --only device,model,bench -- --models 7b > "$folder/said" ||
  fail "$(cat "$folder/said")"
cat "$folder/said"
for name in device compile_ptx verify_ptx bench_plans; do
  grep -q "^passed   $name " "$folder/said" || fail "$name did not pass"
  [[ -s $folder/out/$name.log ]] || fail "$name has no log"
done
for name in cubin bench; do
  grep -q "^SKIPPED  $name: ." "$folder/said" || fail "$name: not skipped"
done
tail -1 "$folder/said" | grep -qE '^[0-9]+ passed, 0 failed, [2-9] skipped$' ||
  fail "no tally"

# A driver that is not there: a failure, not a skip.
if "${clean[@]}" "$kit/scripts/check-cuda" --driver "$folder/none.so" \
  --out "$folder/out" --only device > "$folder/said" 2>&1; then
  fail "no driver, no failure"
fi
grep -q '^FAILED   device' "$folder/said" || fail "$(cat "$folder/said")"
tail -1 "$folder/said" | grep -q ', 1 failed,' || fail "$(cat "$folder/said")"
echo "ok"

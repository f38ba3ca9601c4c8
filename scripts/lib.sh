# SPDX-License-Identifier: Apache-2.0
# Shared by scripts/test, scripts/demo and .ci/run; sourced from the
# repository's root by bash.

tally_passed=0
tally_failed=0
tally_skipped=0

# configure_and_build PRESET [TARGET...]: quiet unless something fails.
configure_and_build() {
  local preset=$1 log=build/$1.log
  shift
  mkdir -p build
  if ! cmake --preset "$preset" > "$log" 2>&1; then
    cat "$log" >&2
    return 1
  fi
  # ninja shows progress on a terminal and one line per step elsewhere.
  if [[ -t 1 ]]; then
    cmake --build --preset "$preset" ${1:+--target "$@"}
  elif ! cmake --build --preset "$preset" ${1:+--target "$@"} \
    >> "$log" 2>&1; then
    grep -v '^\[[0-9]*/[0-9]*\] [^F]' "$log" | tail -100 >&2
    return 1
  fi
}

# run_ctest PRESET [ARGUMENT...]: adds to the tally; fails when a test failed
# or when there was none. Tests labelled long, which take hours, only run when
# a label is asked for: scripts/test -L long.
run_ctest() {
  local preset=$1 log=build/$1.ctest.log status=0
  shift
  local labels=(-LE long)
  [[ " $* " == *" -L "* ]] && labels=()
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error \
    -j "$(nproc)" --timeout 600 "${labels[@]}" "$@" 2>&1 | tee "$log" ||
    status=$?
  local passed failed skipped
  passed=$(grep -cE '^ *[0-9]+/[0-9]+ Test .* Passed ' "$log") || true
  skipped=$(grep -cE '^ *[0-9]+/[0-9]+ Test .*\*\*\*Skipped' "$log") || true
  failed=$(sed -nE 's/^.* ([0-9]+) tests? failed out of [0-9]+$/\1/p' "$log")
  tally_passed=$((tally_passed + passed))
  tally_skipped=$((tally_skipped + skipped))
  tally_failed=$((tally_failed + ${failed:-1}))
  return "$status"
}

# stage NAME COMMAND...: one more check in the tally.
stage() {
  local name=$1 begin=$SECONDS
  shift
  echo "== $name"
  if "$@"; then
    tally_passed=$((tally_passed + 1))
    echo "== $name: passed ($((SECONDS - begin)) s)"
  else
    tally_failed=$((tally_failed + 1))
    echo "== $name: FAILED ($((SECONDS - begin)) s)"
  fi
}

print_tally() {
  echo "$tally_passed passed, $tally_failed failed, $tally_skipped skipped"
}

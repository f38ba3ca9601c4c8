#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run_golden.sh TOOL DIRECTORY [--update]
# Next to each *.tess lie files whose extension says what is compared: .tokens,
# .ast, .plan, .fmt, .flat (output of that mode), .err, .json (diagnostics of
# check, text or JSON). --update rewrites those that exist.
set -u
tool=$1
directory=$2
update=${3-}
cd "$directory" || exit 2
actual=$(mktemp) || exit 2
trap 'rm -f "$actual"' EXIT
count=0
failed=0

compare() {
  count=$((count + 1))
  if [ "$update" = --update ]; then
    cat "$actual" >"$1"
  elif ! diff -u "$1" "$actual"; then
    failed=$((failed + 1))
  fi
}

# An exit code that does not fit is shown as a difference of its own.
expect_code() {
  if [ "$1" -ne "$2" ]; then
    echo "$3: exit code $1, expected $2"
    failed=$((failed + 1))
  fi
}

for plan in *.tess; do
  base=${plan%.tess}
  for mode in tokens ast plan fmt flat; do
    [ -e "$base.$mode" ] || continue
    name=$mode
    [ "$mode" = flat ] && name=flatten
    "$tool" "$name" "$plan" >"$actual" 2>&1
    expect_code $? 0 "$base.$mode"
    compare "$base.$mode"
  done
  if [ -e "$base.err" ]; then
    "$tool" check "$plan" >"$actual" 2>&1
    code=$?
    case $base in w*) expect_code $code 0 "$plan" ;; *) expect_code $code 1 "$plan" ;; esac
    compare "$base.err"
  fi
  if [ -e "$base.json" ]; then
    "$tool" json "$plan" >"$actual" 2>&1
    compare "$base.json"
  fi
done
echo "$count files compared, $failed failed"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]

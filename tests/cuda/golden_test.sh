#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# golden_test.sh PROGRAM FILECHECK FOLDER NAME: the text that 'PROGRAM emit
# NAME sm_80' prints against FOLDER/any.check and FOLDER/NAME.check, once for
# each prefix that these have.
set -eu
program=$1 filecheck=$2 folder=$3 name=$4
if [ ! -x "$filecheck" ]; then
  echo "SKIPPED: no FileCheck (llvm-22-tools) here: no text was looked at" >&2
  exit 77
fi
text=$(mktemp)
trap 'rm -f "$text"' EXIT
"$program" emit "$name" sm_80 >"$text"
failed=0
for file in "$folder/any.check" "$folder/$name.check"; do
  [ -f "$file" ] || continue
  prefixes=$(sed -n 's/^# \([A-Z]*\)\(-[A-Z]*\)*\(-[0-9]*\)\{0,1\}: .*/\1/p' \
    "$file" | sort -u)
  for prefix in $prefixes; do
    if ! "$filecheck" --check-prefix="$prefix" --input-file="$text" "$file"
    then
      echo "$name: $prefix of $file" >&2
      failed=1
    fi
  done
done
exit "$failed"

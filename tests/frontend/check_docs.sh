#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_docs.sh TOOL DOCS: errors.md is what the codes say, and every ```tess
# block of language.md is a plan without a complaint.
set -u
tool=$1
docs=$2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
failed=0

"$tool" markdown >"$work/errors.md"
if ! diff -u "$docs/errors.md" "$work/errors.md"; then
  echo "docs/errors.md is out of date: plan_tool markdown >docs/errors.md"
  failed=1
fi

awk -v work="$work" '
  /^```tess$/ { file = sprintf("%s/line-%d.tess", work, NR); on = 1; next }
  /^```/ { on = 0 }
  on { print >file }' "$docs/language.md"
count=0
for plan in "$work"/*.tess; do
  [ -e "$plan" ] || continue
  count=$((count + 1))
  output=$("$tool" check "$plan" 2>&1)
  if [ $? -ne 0 ] || [ -n "$output" ]; then
    echo "language.md, ${plan##*/}: $output"
    failed=1
  fi
done
echo "$count examples"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_codes.sh TOOL BAD: every code 0xx and 1xx, and the warnings of the
# language, is expected by at least one file of BAD.
set -u
tool=$1
bad=$2
failed=0
count=0
for code in $("$tool" markdown | sed -n 's/^### \(TSR-[EW][014][0-9]*\):.*/\1/p'); do
  count=$((count + 1))
  case $code in
    # Takes a file of 64 MiB: see test_frontend.c.
    TSR-E013) continue ;;
  esac
  if ! grep -q "\[$code\]" "$bad"/*.err; then
    echo "no file in $bad provokes $code"
    failed=1
  fi
done
echo "$count codes"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]

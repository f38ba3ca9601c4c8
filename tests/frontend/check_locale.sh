#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_locale.sh TOOL SUITE: the golden files again under a German locale,
# which is made here when the system has none (that takes seconds).
set -u
tool=$1
suite=$2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
failed=0
tried=0
for name in de_DE; do
  if locale -a 2>/dev/null | grep -qi "^$name.utf-\?8$"; then
    LOCPATH=
  elif localedef -i $name -f UTF-8 "$work/$name.UTF-8" >/dev/null 2>&1; then
    LOCPATH=$work
  else
    echo "SKIPPED: no locale $name, and localedef cannot make it"
    continue
  fi
  tried=1
  export LOCPATH
  [ -n "$LOCPATH" ] || unset LOCPATH
  # The C library's own messages stay English.
  export LANGUAGE=en
  LC_ALL=$name.UTF-8 "$suite/run_golden.sh" "$tool" "$suite/golden" || failed=1
  LC_ALL=$name.UTF-8 "$suite/run_golden.sh" "$tool" "$suite/bad" || failed=1
done
[ "$tried" -eq 1 ] || exit 77
exit $failed

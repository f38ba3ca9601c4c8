#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a script with a Python that has numpy; exits 77 where there is none.
for python in /usr/bin/python3 python3; do
  if "$python" -c 'import numpy' 2>/dev/null; then
    exec env PYTHONDONTWRITEBYTECODE=1 "$python" "$@"
  fi
done
echo "SKIPPED: no python3 with numpy (Debian: python3-numpy)"
exit 77

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# linkage_test.sh LIBTESSERA HEADER CC TEXT: the header is C and C++, the
# example in TEXT compiles, the library exports the functions of the header, no
# more and no fewer, and needs the C library's objects only.
set -eu
library=$1
header=$2
compiler=$3
text=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$compiler" -std=c11 -Wall -Wextra -Wpedantic -Wstrict-prototypes -Werror \
  -fsyntax-only -x c "$header"
if command -v c++ >/dev/null; then
  c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c++ "$header"
else
  echo "no c++ here: the header was not tried as C++"
fi

# The text's first example is C that compiles.
{
  echo '#include <stdlib.h>'
  echo '#include <tessera/tessera.h>'
  echo 'void example(const void *x, void *y, uint32_t token_count);'
  echo 'void example(const void *x, void *y, uint32_t token_count) {'
  awk '/^```c$/ { inside = 1; next } /^```$/ && inside { exit } inside' "$text"
  echo '}'
} >"$work/example.c"
grep -q tessera_linear_run "$work/example.c"
"$compiler" -std=c11 -Wall -Wextra -Werror -Wno-unused-result -fsyntax-only \
  -I"$(dirname "$header")/.." "$work/example.c"

nm -D --defined-only "$library" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' |
  sort >"$work/exported"
sed 's,//.*,,' "$header" | tr '\n' ' ' | tr ';' '\n' | grep TESSERA_API |
  grep -o 'tessera_[a-z_]*(' | tr -d '(' | sort >"$work/declared"
nm -D --defined-only "$library" | awk '$2 != "T" && $2 != "A"' >"$work/other"

diff "$work/declared" "$work/exported" || {
  echo "the header (<) and the library (>) differ"
  exit 1
}
test "$(wc -l <"$work/exported")" -gt 20
test ! -s "$work/other" || {
  echo "exported, but no function:"
  cat "$work/other"
  exit 1
}

readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' >"$work/needed"
if grep -Ev '^(libc|libm|libpthread|libdl|ld-linux[-a-z0-9]*)\.so' "$work/needed"
then
  echo "the library may not need the above"
  exit 1
fi
grep -q '^libc\.so' "$work/needed"
# Nothing that ends the process or prints may be called.
if nm -D --undefined-only "$library" |
  grep -E ' (exit|_exit|abort|printf|puts|perror|fprintf|fputs)(@|$)'; then
  echo "the library may not call the above"
  exit 1
fi
echo "$(wc -l <"$work/exported") functions, needs $(tr '\n' ' ' <"$work/needed")"

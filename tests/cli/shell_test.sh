#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What shells, pagers and pipes see of a tool made of tables.
# Usage: shell_test.sh FIXTURE TESTS_FOLDER [--update]
set -u
fixture=$1
here=$2
update=${3:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
export LC_ALL=C.UTF-8 COLUMNS=80 TERM=xterm
unset NO_COLOR

fail() {
  echo "FAILED: $*" >&2
  failed=1
}

skip() { echo "SKIPPED: $*" >&2; }

golden() { # NAME FILE
  if [ -n "$update" ]; then cp "$2" "$here/golden/$1"; fi
  diff -u "$here/golden/$1" "$2" || fail "$1 differs (see above)"
}

expect_code() { # CODE COMMAND...
  local want=$1 got
  shift
  "$@" >"$work/out" 2>"$work/err"
  got=$?
  [ "$got" = "$want" ] || fail "$* ended with $got, expected $want"
}

# ---- Help -------------------------------------------------------------------
"$fixture" --help >"$work/tool.txt" || fail "--help"
golden help-tool.txt "$work/tool.txt"
"$fixture" every --help >"$work/every.txt" || fail "every --help"
golden help-every.txt "$work/every.txt"
"$fixture" help every | cmp - "$work/every.txt" || fail "help every"
"$fixture" help --markdown >"$work/reference.md" || fail "--markdown"
golden reference.md "$work/reference.md"
"$fixture" help --man every >"$work/every.1" || fail "--man"
golden every.1 "$work/every.1"
COLUMNS=40 "$fixture" every --help | awk 'length > 60 { exit 1 }' ||
  fail "help does not fit a narrow screen"
"$fixture" every --version | grep -Eqx 'fixture [0-9]+\.[0-9]+\.[0-9]+' ||
  fail "--version"

# ---- Exit codes and messages ------------------------------------------------
expect_code 2 "$fixture"
expect_code 2 "$fixture" evry
[ "$(cat "$work/err")" = "fixture: unknown command 'evry'; did you mean 'every'?
Try 'fixture --help'." ] || fail "unknown command: $(cat "$work/err")"
expect_code 2 "$fixture" --nothing
expect_code 2 "$fixture" help evry
expect_code 2 "$fixture" every
expect_code 0 "$fixture" every --output x plan --share 0.5
[ "$(cat "$work/out")" = "x 3 0.500" ] || fail "every: $(cat "$work/out")"
expect_code 3 "$fixture" stubborn --steps 1 "$work/absent"
"$fixture" every --help >/dev/full 2>"$work/err"
[ $? = 3 ] || fail "a full disk is not noticed"
grep -q "No space left on device" "$work/err" || fail "full: $(cat "$work/err")"
"$fixture" help --markdown 2>"$work/err" | head -n 1 >/dev/null
[ -s "$work/err" ] && fail "a closed pipe is reported: $(cat "$work/err")"

# ---- Another locale: numbers do not change ----------------------------------
# Made here when the system has none.
locale=$(locale -a | grep -Ei '^(de_DE|fr_FR).*utf-?8$' | head -n 1)
if [ -z "$locale" ] && mkdir "$work/locale" &&
  localedef -i de_DE -f UTF-8 "$work/locale/de_DE.UTF-8" 2>/dev/null; then
  locale=de_DE.UTF-8
  export LOCPATH=$work/locale
fi
if [ -n "$locale" ]; then
  [ "$(LC_ALL=$locale printf %.1f 0,5)" = "0,5" ] ||
    fail "locale $locale is not what this test thinks"
  out=$(LC_ALL=$locale "$fixture" every --output x plan --share 0.5)
  [ "$out" = "x 3 0.500" ] || fail "locale $locale: $out"
else
  skip "no German or French locale is installed or can be made"
fi
unset LOCPATH

# ---- Progress without a terminal --------------------------------------------
mkdir "$work/p"
"$fixture" work --steps 4 --pause 1 "$work/p" 2>"$work/err" >"$work/out" ||
  fail "work"
[ "$(cat "$work/err")" = "working: 4/4 steps (100 %) step 3" ] ||
  fail "progress lines: $(cat "$work/err")"
[ "$(cat "$work/out")" = done ] || fail "work printed $(cat "$work/out")"
"$fixture" work --quiet --steps 4 --pause 1 "$work/p" 2>"$work/err" >/dev/null
[ -s "$work/err" ] && fail "-q is not quiet"
nohup_dir=$work/n
mkdir "$nohup_dir"

# A process told to ignore SIGHUP (nohup) goes on.
(trap '' HUP; exec "$fixture" work --steps 20 --pause 10 "$nohup_dir") \
  >/dev/null 2>&1 &
pid=$!
sleep 0.1
kill -HUP $pid
wait $pid || fail "nohup is not respected"
[ -f "$nohup_dir/file" ] || fail "nohup: no result"

# ---- Completions ------------------------------------------------------------
"$fixture" completions bash >"$work/bash" && bash -n "$work/bash" ||
  fail "bash completions"
complete_line() { # WORD... : the candidates for the last word
  bash --norc -c '
    source "$1"; shift
    compopt() { :; }
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _fixture
    echo "${COMPREPLY[*]}"' _ "$work/bash" "$@"
}
expect_words() { # EXPECTED WORD...
  local want=$1 got
  shift
  got=$(complete_line "$@")
  [ "$got" = "$want" ] || fail "completing '$*': '$got', expected '$want'"
}
expect_words "every" fixture ev
expect_words "--jobs" fixture every --jo
expect_words "round" fixture every --shape ro
expect_words "square star" fixture every --shape = s
expect_words "star,round" fixture every --emit star,r
expect_words "bash" fixture completions b
expect_words "every" fixture help ev
touch "$work/zz-file"
(cd "$work" && expect_words "zz-file" fixture every -o zz; exit $failed) ||
  failed=1
if command -v zsh >/dev/null; then
  "$fixture" completions zsh >"$work/_fixture" && zsh -n "$work/_fixture" ||
    fail "zsh completions"
else
  skip "zsh is not installed"
fi
if command -v fish >/dev/null; then
  "$fixture" completions fish >"$work/fish" && fish --no-execute "$work/fish" ||
    fail "fish completions"
  got=$(fish --no-config -c "source $work/fish
    complete -C 'fixture every --shape s' | string replace -r '\t.*' ''" |
    tr '\n' ' ')
  [ "$got" = "square star " ] || fail "fish completes '$got'"
else
  skip "fish is not installed"
fi

# ---- Manual pages -----------------------------------------------------------
"$fixture" help --man >"$work/fixture.1" || fail "help --man"
for page in fixture every; do
  if command -v groff >/dev/null; then
    groff -man -Tutf8 -ww -z "$work/$page.1" 2>"$work/err"
    [ -s "$work/err" ] && fail "groff: $(cat "$work/err")"
  else
    skip "groff is not installed"
  fi
  if command -v mandoc >/dev/null; then
    # No date on purpose: pages are the same whenever they are built.
    mandoc -T lint -W warning "$work/$page.1" |
      grep -v 'missing date' >"$work/err"
    [ -s "$work/err" ] && fail "mandoc: $(cat "$work/err")"
  else
    skip "mandoc is not installed"
  fi
done

exit $failed

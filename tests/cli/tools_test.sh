#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# check, fmt, explain, inspect, run and info as a user meets them, and that the
# reference, the manual pages and the completions of both tools are in order.
# Usage: tools_test.sh TESSERAC TESSERA SOURCE_FOLDER
set -u
tesserac=$1
tessera=$2
source=$3
here=$source/tests/cli
plan=$here/plan.tess
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
export LC_ALL=C.UTF-8 COLUMNS=100 TERM=xterm
unset NO_COLOR
python=/usr/bin/python3
[ -x $python ] || python=python3

fail() {
  echo "FAILED: $*" >&2
  failed=1
}
skip() { echo "SKIPPED: $*" >&2; }
# CODE EXPECTED_STDERR COMMAND...
expect() {
  local want=$1 message=$2 got
  shift 2
  "$@" >out 2>err
  got=$?
  [ $got = "$want" ] || fail "$*: ended with $got, expected $want: $(cat err)"
  [ "$(cat err)" = "$message" ] || fail "$*: said '$(cat err)', expected '$message'"
}
json() { $python -m json.tool "$1" >/dev/null || fail "$1 is not JSON"; }

# ---- A mapped file is truncated ---------------------------------------------
# The signal that it raises, once the handler is there (SigCgt has bit 7 - 1).
mkfifo plan.fifo
(exec "$tesserac" check - <plan.fifo 2>err) &
reader=$!
exec 9>plan.fifo
for _ in $(seq 100); do
  caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' /proc/$reader/status 2>/dev/null)
  [ $((0x${caught:-0} & 0x40)) != 0 ] &&
    [ "$(readlink /proc/$reader/exe)" = "$(readlink -f "$tesserac")" ] && break
  sleep 0.05
done
kill -BUS $reader
wait $reader 2>/dev/null
status=$?
exec 9>&-
if ! grep -q Sanitizer err; then
  [ $status = 135 ] || fail "SIGBUS: ended with $status: $(cat err)"
  grep -q 'was cut short' err || fail "SIGBUS: said '$(cat err)'"
fi

# ---- Reference, manual pages, completions -----------------------------------
sh "$here/docs.sh" "$tesserac" "$tessera" >cli.md
diff -u "$source/docs/cli.md" cli.md ||
  fail "docs/cli.md is out of date: run 'ninja cli_docs'"
for tool in "$tesserac" "$tessera"; do
  name=$(basename "$tool")
  "$tool" completions bash >bash && bash -n bash || fail "$name: bash"
  if command -v zsh >/dev/null; then
    "$tool" completions zsh >zsh && zsh -n zsh || fail "$name: zsh"
  fi
  if command -v fish >/dev/null; then
    "$tool" completions fish >fish && fish --no-execute fish ||
      fail "$name: fish"
  fi
  "$tool" help --man >"$name.1" || fail "$name help --man"
  for command in $("$tool" help --names); do
    "$tool" help --man $command >"$name-$command.1" || fail "$name $command --man"
    "$tool" $command --help >out || fail "$name $command --help"
    "$tool" $command --version >out || fail "$name $command --version"
    "$tool" $command --no-such-option >out 2>err
    [ $? = 2 ] || fail "$name $command --no-such-option"
  done
done
if command -v groff >/dev/null; then
  for page in *.1; do groff -man -Tutf8 -ww -z "$page" 2>>groff.err; done
  [ -s groff.err ] && fail "groff: $(cat groff.err)"
else
  skip "groff is not installed"
fi
if command -v mandoc >/dev/null; then
  mandoc -T lint -W warning ./*.1 | grep -v 'missing date' >err
  [ -s err ] && fail "mandoc: $(cat err)"
else
  skip "mandoc is not installed"
fi

# ---- check ------------------------------------------------------------------
expect 0 "$plan: correct, 2 layers" "$tesserac" check "$plan"
expect 0 "" "$tesserac" check -q "$plan"
expect 0 "<stdin>: correct, 2 layers" "$tesserac" check - <"$plan"
expect 0 "[]" "$tesserac" check --diagnostics=json "$plan"
sed 's/gelu_erf/gelu_erv/' "$plan" >bad.tess
"$tesserac" check bad.tess 2>err && fail "bad.tess is accepted"
grep -q "^bad.tess:15:14: error: .*gelu_erv.*did you mean 'gelu_erf'" err ||
  fail "check bad.tess: $(cat err)"
grep -q "$(printf '\033')" err && fail "colour without a terminal"
# A reader that goes early is not worth a word, a full disk is worth one.
"$tesserac" compile --emit=ll --target x86-64-v3 -q "$plan" 2>err | head -n 1 >/dev/null
[ -s err ] && fail "a closed pipe is reported: $(cat err)"
"$tesserac" compile --emit=ll --target x86-64-v3 -q "$plan" >/dev/full 2>err
[ $? = 3 ] || fail "a full disk is not noticed"
[ "$(cat err)" = "$(basename "$tesserac"): error: cannot write the output: \
No space left on device" ] || fail "full disk: $(cat err)"
# What a syntax error spares is checked; nothing is said to be missing.
cat >both.tess <<'END'
weights synthetic;
type fp8;
layer "a" { weigth "a" 32x32; activation gelu; }
END
"$tesserac" check both.tess 2>err && fail "both.tess is accepted"
[ "$(grep -o 'TSR-E[0-9]*' err | tr '\n' ' ')" = \
  "TSR-E116 TSR-E001 TSR-E120 " ] || fail "check both.tess: $(cat err)"
"$tesserac" compile both.tess 2>err.compile && fail "both.tess is compiled"
diff err err.compile || fail "check and compile differ"
"$tesserac" check --color=always bad.tess 2>&1 | grep -q "$(printf '\033')" ||
  fail "no colour with --color=always"
"$tesserac" check --diagnostics=json bad.tess 2>err.json && fail "bad.tess"
json err.json
printf 'model 1;\nmodel 2;\nmodel 3;\n' >many.tess
"$tesserac" check --error-limit=1 many.tess 2>err
[ "$(grep -c 'error: ' err)" = 1 ] || fail "--error-limit=1: $(cat err)"
expect 1 "tesserac: error: absent.tess: No such file or directory" \
  "$tesserac" check absent.tess
sed 's/weights .*/weights "absent.safetensors";/; s/masks .*/masks none;/
  s/synthetic [0-9x]*/"a.weight"/' "$plan" >files.tess
"$tesserac" check --no-inputs files.tess 2>err ||
  fail "check --no-inputs: $(cat err)"
"$tesserac" check files.tess 2>err && fail "absent weights are not noticed"
grep -q "absent.safetensors" err || fail "check files.tess: $(cat err)"

# ---- fmt --------------------------------------------------------------------
for input in "$plan" "$source"/examples/*/*.tess; do
  "$tesserac" fmt "$input" >one.tess || fail "fmt $input"
  "$tesserac" fmt - --stdin-name "$input" <one.tess >two.tess || fail "fmt of fmt $input"
  cmp one.tess two.tess || fail "fmt is no identity on $input"
done
tr -s '\n ' ' ' <"$plan" | sed 's/^#[^;]*\(model\)/\1/' >line.tess
sed -i 's/^# Synthetic.* files. //' line.tess
cp line.tess copy.tess
expect 1 "" "$tesserac" fmt --check line.tess
[ "$(cat out)" = line.tess ] || fail "fmt --check prints '$(cat out)'"
expect 0 "" "$tesserac" fmt -i line.tess
expect 0 "" "$tesserac" fmt --check line.tess
"$tesserac" fmt copy.tess | cmp - line.tess || fail "fmt -i and fmt differ"
expect 2 "tesserac fmt: standard input cannot be changed in place
Try 'tesserac fmt --help'." "$tesserac" fmt -i -
cp many.tess kept.tess
"$tesserac" fmt -i kept.tess 2>err && fail "fmt accepts many.tess"
cmp many.tess kept.tess || fail "fmt -i changed a plan with mistakes"

# ---- explain ----------------------------------------------------------------
"$tesserac" explain tsr-e001 | head -n 1 | grep -qx "TSR-E001: syntax error" ||
  fail "explain"
expect 2 "tesserac explain: no code 'TSR-E00'; did you mean 'TSR-E001'?
Try 'tesserac explain --help'." "$tesserac" explain TSR-E00
"$tesserac" explain --list | grep -q "^TSR-E001  syntax error" || fail "--list"

# ---- inspect ----------------------------------------------------------------
"$tesserac" compile -q "$plan" -o b || fail "compile"
"$tesserac" inspect b >out || fail "inspect"
grep -q "^ragged  *300 x 200 " out || fail "inspect: $(cat out)"
LC_ALL=C "$tesserac" inspect b | LC_ALL=C grep -q '[^ -~]' &&
  fail "inspect prints more than ASCII in the C locale"
"$tesserac" inspect b --json >b.json && json b.json
"$tesserac" inspect b --json --tiles --layer ragged >one.json && json one.json
$python - <<'PYTHON' || fail "inspect --json contradicts itself"
import json
b = json.load(open("b.json"))
m = json.load(open("b/manifest.json"))
assert [l["name"] for l in b["layers"]] == ["square", "ragged"]
for ours, theirs in zip(b["layers"], m["layers"]):
    for key in ("rows", "columns", "tile", "tiles", "kept_weights",
                "dense_bytes", "packed_bytes", "activation"):
        assert ours[key] == theirs[key], key
total = b["total"]
for key in ("kept_weights", "dense_bytes", "packed_bytes"):
    assert total[key] == sum(l[key] for l in m["layers"]), key
one, = json.load(open("one.json"))["layers"]
assert len(one["map"]) == 5 and all(len(r) == 7 for r in one["map"])
count = "".join(one["map"]).count
assert {"zero": count("."), "sparse24": count("s"), "dense": count("D")} \
    == one["tiles"]
PYTHON
"$tesserac" inspect b --layer ragged >out || fail "inspect --layer"
grep -q "^  epilogue *gelu_erf, residual$" out || fail "details: $(cat out)"
"$tesserac" inspect b --layer ragged --tiles --svg map.svg >out ||
  fail "inspect --tiles"
[ "$(wc -l <out)" = 7 ] || fail "inspect --tiles: $(cat out)"
$python -c "import xml.dom.minidom as m; m.parse('map.svg')" || fail "map.svg"
if command -v rsvg-convert >/dev/null; then
  rsvg-convert map.svg -o map.png || fail "map.svg does not render"
else
  skip "rsvg-convert is not installed"
fi
if command -v script >/dev/null; then
  script -qec "stty cols 100 rows 30; '$tesserac' inspect b --tiles" /dev/null >out
  grep -q "$(printf '\033\\[38;5;208m')" out && grep -q "▀" out ||
    fail "no half blocks on a terminal: $(cat -v out)"
  NO_COLOR=1 script -qec "'$tesserac' inspect b --tiles" /dev/null >out
  grep -q "$(printf '\033')" out && fail "NO_COLOR is not respected"
else
  skip "script is not installed"
fi
expect 1 "tesserac: error: no layer 'ragges' in bundle 'cli-test'; did you \
mean 'ragged'?" "$tesserac" inspect b --layer ragges
for command in verify bench; do
  expect 1 "tessera: error: no layer 'ragges' in bundle 'cli-test'; did you \
mean 'ragged'?" "$tessera" $command b --layer ragges
done
"$tesserac" inspect absent 2>err
[ $? = 1 ] || [ $? = 3 ] || fail "inspect absent"
cp -r b damaged
printf 'x' | dd of=damaged/weights.bin bs=1 seek=5000 conv=notrunc 2>/dev/null
"$tesserac" inspect --checksums damaged >out 2>err &&
  fail "inspect --checksums misses damage"

# ---- run and info -----------------------------------------------------------
"$tessera" info >out || fail "info"
grep -q "^tessera [0-9]" out && grep -q "^  threads " out || fail "info"
if grep -q sse4_2 /proc/cpuinfo; then
  "$tessera" info b | grep -q "^host x86-64-v2 .*chosen" || fail "info b"
  if $python -c 'import numpy' 2>/dev/null; then
    $python "$here/run_test.py" "$tessera" || failed=1
  else
    skip "numpy is not installed: tessera run is not tested here"
  fi
else
  skip "the bundle of this test is for x86-64-v2"
fi

exit $failed

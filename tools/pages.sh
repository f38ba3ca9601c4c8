#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Lets a tool write its manual pages and completions into FOLDER, which has the
# shape of a prefix's share/. Usage: pages.sh TOOL FOLDER
set -eu
tool=$1
share=$2
name=$(basename "$tool")
mkdir -p "$share/man/man1" "$share/bash-completion/completions" \
  "$share/zsh/site-functions" "$share/fish/vendor_completions.d"
"$tool" help --man >"$share/man/man1/$name.1"
"$tool" help --names | while read -r command; do
  "$tool" help --man "$command" >"$share/man/man1/$name-$command.1"
done
"$tool" completions bash >"$share/bash-completion/completions/$name"
"$tool" completions zsh >"$share/zsh/site-functions/_$name"
"$tool" completions fish >"$share/fish/vendor_completions.d/$name.fish"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes docs/cli.md, the reference of both tools, to standard output.
# Usage: docs.sh TESSERAC TESSERA
set -eu
cat <<'HEAD'
# Commands

Written by the tools themselves from the tables that also make `--help`, the
manual pages and the completions (`ninja cli_docs`); do not edit.

HEAD
"$1" help --markdown
"$2" help --markdown

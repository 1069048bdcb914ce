#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# check_columns.sh [FOLDER]: holds C, assembly, C++, linker scripts and Python to lines of at most
# 100 characters (characters of UTF-8, not bytes). There are no exceptions: a string is split, a
# trailing comment goes above its line.
set -eu

cd "${1:-$(dirname "$0")/../..}"

# The program is awk's, not the shell's. Bytes 0x80 to 0xbf only continue a character, and awks
# differ in what they take for one, so all of them count bytes here.
# shellcheck disable=SC2016
find . -name build -prune -o -name .git -prune -o -type f \
        \( -name '*.[chS]' -o -name '*.cpp' -o -name '*.ld' -o -name '*.py' \) -print |
        sed 's,^\./,,' | LC_ALL=C sort |
        LC_ALL=C xargs awk -v columns=100 '
{
        line = $0
        gsub(/[\200-\277]/, "", line)
        if (length(line) > columns) {
                printf "%s:%d: %d columns, at most %d\n", FILENAME, FNR, length(line), columns
                bad = 1
        }
}
END { exit bad }' >&2

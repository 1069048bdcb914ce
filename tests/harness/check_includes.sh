#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# check_includes.sh [FOLDER]: holds the sources to the one way of including a project header: in quotes, with
# the folder in front ("kernel/pmm.h"), never relative, so that the include folders of the Makefile decide
# what may be seen. Which folder may see which is not checked here: a forbidden include does not build.
set -eu

cd "${1:-$(dirname "$0")/../..}"

# The program is awk's, not the shell's.
# shellcheck disable=SC2016
find arch kernel drivers lib tests -name '*.[chS]' -type f | LC_ALL=C sort |
        xargs awk '
# Folders that a header may be named by; a driver family is named by two.
BEGIN {
        split("arch base drivers kernel tests virtqueue vmbus_mailbox vmbus_ring", names, " ")
        for (i in names)
                known[names[i]] = 1
}
function complain(what) {
        printf "%s:%d: %s: %s\n", FILENAME, FNR, what, $0
        bad = 1
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
        path = $0
        sub(/^[^"]*"/, "", path)
        sub(/".*$/, "", path)
        if (path ~ /(^|\/)\.\.?\//)
                complain("relative include")
        else if (path !~ /\//)
                complain("include without its folder")
        else if (!(substr(path, 1, index(path, "/") - 1) in known))
                complain("include of an unknown folder")
}
/^[ \t]*#[ \t]*include[ \t]*<(arch|base|drivers|kernel|tests|virtqueue|vmbus_mailbox|vmbus_ring)\// {
        complain("project header in angle brackets")
}
END { exit bad }' >&2

#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# The compiler that picolibc's build calls: $PICOLIBC_CC with the image's flags (PICOLIBC_FLAGS,
# from build.sh), and without the folder of the build in what it writes.
#
# One file is compiled otherwise. The integer printf steps over an argument of type double when a
# format asks for one, and the compiler refuses even to name that type's registers under
# -mgeneral-regs-only. That file may use SSE, but gets nothing that would make the compiler do so;
# build.sh checks that it did not.
set -eu

registers=-mgeneral-regs-only
for argument; do
        case $argument in
        */vfiprintf.c)
                registers='-mno-80387 -mno-mmx -fno-tree-vectorize -fno-tree-slp-vectorize' ;;
        esac
done
# The flags are words by purpose.
# shellcheck disable=SC2086
exec $PICOLIBC_CC $PICOLIBC_FLAGS $registers -ffile-prefix-map="$PICOLIBC_WORK/build=/picolibc" \
        -ffile-prefix-map=../= "$@"

#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# check_no_simd ELF — proves that the linked image, C library and compiler support included, has no
# instruction that uses an x87, MMX, SSE, AVX, AVX-512 or AMX register, or that saves, restores or
# controls them. The kernel does not keep that state for anybody, and runs with these instructions
# switched off (cpu.c).
#
# OBJDUMP names the disassembler. Instructions are recognised by operand (%xmm0, %st(1), %k1 ...)
# and, where there is none, by mnemonic: everything that begins with f is x87 in this instruction
# set. Facts: Intel SDM 1, chapters 8 to 18; volume 2.
set -eu
LC_ALL=C
export LC_ALL

# Functions that may contain such instructions, one a line with the reason behind it. None.
allowed='
'

# Below this count the disassembly is not what we think it is.
INSTRUCTIONS_MIN=1000

if [ $# -ne 1 ]; then
        echo 'usage: check_no_simd.sh ELF' >&2
        exit 2
fi

lines=$("${OBJDUMP:-objdump}" -d --no-show-raw-insn "$1") || exit 1

printf '%s\n' "$lines" |
        awk -v elf="$1" -v allowed="$allowed" -v instructions_min="$INSTRUCTIONS_MIN" '
BEGIN {
        count = split(allowed, rows, "\n")
        for (i = 1; i <= count; i++) {
                split(rows[i], words, " ")
                if (words[1] != "")
                        ok[words[1]] = 1
        }
        found = instructions = 0
}
# ffffffff80200000 <name>:
/^[0-9a-f]+ <.*>:$/ {
        name = $2
        gsub(/[<>:]/, "", name)
        next
}
#   address:<tab>[prefix ]mnemonic operands
/^ *[0-9a-f]+:/ {
        text = $0
        sub(/^ *[0-9a-f]+:[ \t]*/, "", text)
        sub(/[ \t]*#.*$/, "", text)
        if (text == "")
                next
        instructions++
        # What a branch goes to has a name of its own: <fputs+0x12>.
        gsub(/<[^>]*>/, "", text)
        mnemonic = text
        while (mnemonic ~ /^(lock|repz?|repnz|bnd|notrack|data16|addr32|rex(\.[A-Z]+)?|[c-gs]s) /)
                sub(/^[^ ]+ +/, "", mnemonic)
        sub(/[ \t].*$/, "", mnemonic)
        bad = 0
        if (text ~ /%([xyzt]mm[0-9]|mm[0-7]|st([^a-z0-9]|$)|k[0-7]([^a-z0-9]|$)|bnd[0-3])/)
                bad = 1
        else if (mnemonic ~ /^f/ && mnemonic != "fs")
                bad = 1
        else if (mnemonic ~ /^(emms|wait|v?ldmxcsr|v?stmxcsr|vzeroall|vzeroupper)$/)
                bad = 1
        else if (mnemonic ~ /^(xsave.*|xrstor.*|xsetbv|xgetbv|ldtilecfg|sttilecfg|tilerelease)$/)
                bad = 1
        if (bad && !(name in ok)) {
                found++
                printf "check_no_simd: %s: in %s: %s\n", elf, name, text
        }
}
END {
        if (instructions < instructions_min) {
                printf "check_no_simd: %s: only %d instructions found\n", elf, instructions
                exit 1
        }
        exit found > 0
}' >&2

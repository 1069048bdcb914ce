#!/bin/sh
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# gen_symbols — the table behind kernel/symbols.c, as assembler source on standard output.
#
#   gen_symbols.sh --empty             a table without entries, for the first link
#   gen_symbols.sh ELF                 the table of ELF's functions
#   gen_symbols.sh --check ELF0 ELF1   fails when any symbol of .text differs between two links
#
# NM names the nm program. The same ELF gives the same output, byte for byte.
set -eu
LC_ALL=C
export LC_ALL

# "address type name" of everything in .text, ascending. Addresses have 16 digits, so that text
# sorts like numbers; where several names share an address a global one comes first (T before W
# before t before w). nm counts text_end to the section behind it.
text_symbols() {
        "${NM:-nm}" --defined-only "$1" |
                awk 'NF == 3 && length($1) == 16 && ($2 ~ /^[TtWw]$/ || $3 == "text_end")' | sort
}

header() {
        cat <<'END'
/* Made by kernel/gen_symbols.sh; see kernel/symbols.c. */
        .section .symbol_table, "a", @progbits
        .balign 8
        .global symbols_table
        .type symbols_table, @object
symbols_table:
END
}

footer() {
        cat <<'END'
        .size symbols_table, . - symbols_table
        .section .note.GNU-stack, "", @progbits
END
}

empty() {
        header
        echo '        .long 0, 0'
        footer
}

# The assembler does the arithmetic on addresses (awk need not know 64-bit numbers); awk counts
# letters.
table() {
        text_symbols "$1" | awk '
        BEGIN {
                count = 0
                for (i = 33; i < 127; i++)
                        code[sprintf("%c", i)] = i
        }
        $3 == "text_start" { base = $1 }
        $3 == "text_end" { end = $1 }
        # A self-test is named by the table of tests: no second copy of its name.
        $3 ~ /_test_$/ { $3 = "" }
        # Marks of the linker script and the assembler are no functions.
        $3 ~ /^(image_start|text_start|text_end)$/ || $3 ~ /^\./ { next }
        $1 == last { next }
        { last = $1; address[count] = $1; name[count++] = $3 }
        END {
                if (count == 0 || base == "" || end == "") {
                        print "gen_symbols: text_start, text_end, functions: one is missing" \
                                > "/dev/stderr"
                        exit 1
                }
                printf "        .long %d, 0x%s - 0x%s\n", count, end, base
                before = base
                kept = ""
                for (i = 0; i < count; i++) {
                        printf "        .uleb128 0x%s - 0x%s\n", address[i], before
                        before = address[i]
                        if (name[i] == "") {
                                print "        .byte 255"
                                continue
                        }
                        letters = length(name[i])
                        if (letters > 127) {
                                print "gen_symbols: too long: " name[i] > "/dev/stderr"
                                exit 1
                        }
                        shared = 0
                        while (shared < letters - 1 && shared < length(kept) &&
                               substr(name[i], shared + 1, 1) == substr(kept, shared + 1, 1))
                                shared++
                        printf "        .byte %d\n", shared
                        if (shared < letters - 1)
                                printf "        .ascii \"%s\"\n", \
                                        substr(name[i], shared + 1, letters - 1 - shared)
                        printf "        .byte %d\n", code[substr(name[i], letters, 1)] + 128
                        kept = name[i]
                }
        }'
}

# --check: both lists must be equal, and not empty by accident.
check() {
        folder=$(mktemp -d)
        trap 'rm -rf "$folder"' EXIT
        text_symbols "$1" > "$folder/first"
        text_symbols "$2" > "$folder/second"
        if ! [ -s "$folder/first" ]; then
                echo "gen_symbols: $1 has no symbols in .text" >&2
                exit 1
        fi
        if ! cmp -s "$folder/first" "$folder/second"; then
                echo "gen_symbols: the second link moved these symbols ($1, $2):" >&2
                diff "$folder/first" "$folder/second" | head -n 20 >&2
                exit 1
        fi
}

usage() {
        echo 'usage: gen_symbols.sh --empty | ELF | --check ELF0 ELF1' >&2
        exit 2
}

case ${1-} in
--empty)
        [ $# -eq 1 ] || usage
        empty ;;
--check)
        [ $# -eq 3 ] || usage
        check "$2" "$3" ;;
-* | '')
        usage ;;
*)
        [ $# -eq 1 ] || usage
        # Into a variable first: the output of a pipe that failed must not look like a table.
        lines=$(table "$1")
        header
        printf '%s\n' "$lines"
        footer ;;
esac

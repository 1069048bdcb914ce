# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# ktap_view: follows a KTAP stream line by line as far as a verdict needs it, and shows it to a person.
# Sourced by run-qemu.sh, which sets: text (the line), raw, and for the heading boot machine smp mem cpu
# accel. What it found out is in: verdict, panic_cause, ktap_wrong, tests_failed, not_a_success.
# tests/harness/ktap.py is the strict reader; this one checks only that a success is a whole one.
# Facts: the Linux kernel's Documentation/dev-tools/ktap.rst; kernel/selftest.h.
# shellcheck disable=SC2154 # set by run-qemu.sh

# ---- what the guest says ------------------------------------------------------------------------

ktap_wrong='' verdict='' panic_cause='' trailing=''
top_planned='' top_seen=0 suite='' suite_planned='' suite_seen=0 suite_failed=0 suite_skipped=0
tests_seen=0 tests_failed=0 tests_skipped=0 in_suite=''
kept=()
readonly KEPT_LINES=40      # log lines of one test that are shown when it fails
readonly LIVE_NAME_CHARS=40 # keeps the line of the running test within 80 columns

wrong() { ktap_wrong=${ktap_wrong:-$*}; }

# One line, with its log lines for a machine: "# panic: CAUSE", "# verdict: WORD ...".
follow() {
        if [[ $text == '# verdict: '* ]]; then
                [[ -z $verdict ]] || wrong "two verdict lines"
                verdict=${text#'# verdict: '} trailing=''
                return
        fi
        [[ -z $verdict ]] || trailing=${trailing:-$text}
        if [[ $text == '# panic: '* ]]; then
                panic_cause=${panic_cause:-${text#'# panic: '}}
        elif [[ $text =~ ^(\ *)1\.\.([0-9]+)(\ #\ SKIP.*)?$ ]]; then
                if [[ -z ${BASH_REMATCH[1]} ]]; then
                        top_planned=${BASH_REMATCH[2]}
                else
                        suite_planned=${BASH_REMATCH[2]}
                fi
        elif [[ $text =~ ^\ +'KTAP version 1'$ ]]; then
                in_suite=1 suite='' suite_planned='' suite_seen=0 suite_failed=0 suite_skipped=0
        elif [[ $text =~ ^\ +'# Subtest: '(.*)$ ]]; then
                suite=${BASH_REMATCH[1]}
        elif [[ $text =~ ^(\ *)(not\ )?ok\ ([0-9]+)(.*)$ ]]; then
                follow_result "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}" \
                        "${BASH_REMATCH[4]}"
        fi
}

follow_result() { # INDENT NOT NUMBER REST
        local skipped=0
        [[ $4 != *'# SKIP'* ]] || skipped=1
        if [[ -n $1 ]]; then
                ((++suite_seen == $3)) || wrong "test $3 of suite '$suite' came as number $suite_seen"
                ((suite_skipped += skipped, tests_seen++, tests_skipped += skipped))
                [[ -z $2 || $skipped == 1 ]] || ((suite_failed++, tests_failed++))
                return
        fi
        ((++top_seen == $3)) || wrong "result $3 came as number $top_seen"
        if [[ -n $in_suite ]]; then
                [[ $suite_seen == "$suite_planned" ]] ||
                        wrong "suite '$suite' planned ${suite_planned:-nothing} and ran $suite_seen"
                [[ -z $2 || $suite_failed != 0 ]] || wrong "suite '$suite' failed without a failed test"
        else
                ((tests_seen++, tests_skipped += skipped))
                [[ -z $2 || $skipped == 1 ]] || ((tests_failed++))
        fi
        in_suite=''
}

# Empty when the stream is a whole success; else what is missing.
not_a_success() {
        if [[ -n $ktap_wrong ]]; then
                echo "$ktap_wrong"
        elif [[ -z $verdict ]]; then
                echo "no verdict line"
        elif [[ $verdict != PASS && $verdict != PASS\ * ]]; then
                echo "the verdict is '$verdict'"
        elif [[ -n $trailing ]]; then
                echo "'$trailing' came after the verdict"
        elif [[ -z $top_planned ]]; then
                echo "no plan"
        elif ((top_seen != top_planned)) || [[ -n $in_suite ]]; then
                echo "$top_seen of $top_planned suites ended"
        fi
}

# ---- the view -----------------------------------------------------------------------------------

bold='' dim='' red='' green='' plain='' live=''
choose_view() {
        [[ -n $raw || ! -t 1 ]] && raw=1 && return
        [[ ${TERM:-dumb} == dumb ]] && return
        live=1
        [[ -z ${NO_COLOR:-} ]] || return
        bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
}

erase() { [[ -z $live ]] || printf '\r\e[K'; }
show() { erase; printf '%s\n' "$*"; }

show_heading() {
        [[ -z $raw ]] || return
        local cpus="$smp CPU"
        ((smp == 1)) || cpus+=s
        show "${bold}paravane${plain}  $boot on $machine, $cpus, $mem, $cpu ($accel)"
}

# Shows one line of the stream, after follow() has seen it.
show_line() {
        local line_text=${text#"${text%%[! ]*}"} indent=${text%%[! ]*}
        case $line_text in
        'KTAP version 1' | 1..* | '# Subtest: '* | '# verdict: '*) ;;
        '# '*)
                if [[ -n $in_suite && -z $panic_cause ]]; then
                        kept+=("$text") # shown if the test fails
                        ((${#kept[@]} <= KEPT_LINES)) || kept=("${kept[@]:1}")
                else
                        show "  $dim${line_text#'# '}$plain"
                fi
                ;;
        'ok '* | 'not ok '*)
                if [[ -n $indent ]]; then
                        show_test "$line_text"
                else
                        show_suite "$line_text"
                fi
                ;;
        *) show "  $line_text" ;;
        esac
}

show_kept() {
        local kept_line
        for kept_line in ${kept[@]+"${kept[@]}"}; do
                show "         ${kept_line#*'# '}"
        done
        kept=()
}

show_test() {
        local name=${1#*ok * }
        if [[ $1 == not* && $1 != *'# SKIP'* ]]; then
                show "  ${red}FAIL$plain   $suite.$name"
                show_kept
        elif [[ $1 == *'# SKIP'* ]]; then
                show "  ${dim}skip   $suite.$name$plain"
        elif [[ -n $live ]]; then
                printf '\r\e[K  %s...%s    %-20s %s/%s %s' "$dim" "$plain" "$suite" "$suite_seen" \
                        "$suite_planned" "${name:0:LIVE_NAME_CHARS}"
        fi
        kept=()
}

show_suite() {
        local name=${1#*ok * } colour=$green word=ok note
        kept=()
        note="$suite_seen tests"
        ((suite_seen != 1)) || note="1 test"
        ((suite_skipped == 0)) || note+=", $suite_skipped skipped"
        ((suite_failed == 0)) || note+=", $suite_failed failed"
        [[ $1 != not* ]] || colour=$red word=FAIL
        printf -v note '%-20s %s' "$name" "$note"
        show "  $colour$(printf %-6s "$word")$plain $note"
}

# The last line: VERDICT (DETAIL) COLOUR
show_verdict() {
        local ms now
        now_us now
        printf -v ms '%d.%02d' $(((now - run_start) / 1000000)) $(((now - run_start) / 10000 % 100))
        if [[ -n $raw ]]; then
                printf '%s%s\n' "$1" "${2:+ ($2)}" >&2
        else
                show "$bold$3$1$plain${2:+ ($2)}  ${dim}$ms s$plain"
        fi
}

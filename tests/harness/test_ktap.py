# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""The KTAP reader against streams that are right and streams that are wrong in one place each."""

import pytest

import ktap

GOOD = """\
KTAP version 1
# paravane release
1..3
  KTAP version 1
  # Subtest: pmm
  1..2
  ok 1 alloc
# a log line from anywhere
  # pmm_test.c:12: expected a == b
  not ok 2 free
not ok 1 pmm
  KTAP version 1
  1..1
  ok 1 probe # SKIP no such device
ok 2 pci
ok 3 plain # rcode=0
# verdict: FAIL 1 of 4
"""


def test_reads_names_results_and_directives():
    stream = ktap.parse(GOOD)
    assert [result.name for result in stream.results] == ["pmm", "pci", "plain"]
    leaves = dict(stream.leaves())
    assert list(leaves) == [("pmm", "alloc"), ("pmm", "free"), ("pci", "probe"), ("plain",)]
    assert leaves["pmm", "alloc"].passed
    assert leaves["pmm", "free"].failed
    assert leaves["pci", "probe"].skipped
    assert leaves["pci", "probe"].reason == "no such device"
    assert leaves["plain",].reason == "rcode=0"
    assert stream.counts() == (2, 1, 1)


def test_diagnostics_stay_with_the_test_they_precede():
    stream = ktap.parse(GOOD)
    free = dict(stream.leaves())["pmm", "free"]
    assert free.diagnostics == ["# pmm_test.c:12: expected a == b"]
    assert stream.diagnostics == ["# verdict: FAIL 1 of 4"]
    assert "# a log line from anywhere" in list(stream.all_diagnostics())


def test_an_empty_plan_is_complete():
    assert ktap.parse("KTAP version 1\n1..0 # SKIP nothing matches\n").skip_all == "nothing matches"
    assert ktap.parse("KTAP version 1\n1..0\n").planned == 0


def test_bail_out_ends_a_stream_early():
    stream = ktap.parse("KTAP version 1\n1..9\nok 1 a\nBail out! no memory\n# verdict: PANIC\n")
    assert stream.bail_out == "no memory"
    assert len(stream.results) == 1
    assert stream.diagnostics == ["# verdict: PANIC"]


def test_three_levels():
    stream = ktap.parse("KTAP version 1\n1..1\n  KTAP version 1\n  1..1\n    KTAP version 1\n"
                        "    1..1\n    not ok 1 c\n  not ok 1 b\nnot ok 1 a\n")
    assert [path for path, _ in stream.leaves()] == [("a", "b", "c")]
    assert stream.counts() == (0, 1, 0)


def test_a_todo_failure_does_not_fail_its_parent():
    stream = ktap.parse("KTAP version 1\n1..1\n  KTAP version 1\n  1..1\n"
                        "  not ok 1 b # TODO later\nok 1 a\n")
    assert stream.counts() == (1, 0, 0)


H = "KTAP version 1\n"
N = H + "1..1\n  KTAP version 1\n"

WRONG = [
    ("nothing", "", 0, "no version line"),
    ("no version", "1..1\nok 1 a\n", 1, 'expected "KTAP version 1"'),
    ("text first", "BdsDxe: loading\n" + H, 1, 'expected "KTAP version 1"'),
    ("another version", "KTAP version 2\n1..1\n", 1, 'expected "KTAP version 1"'),
    ("another version nested", H + "1..1\n  TAP version 13\n", 3, "unknown version"),
    ("version twice", H + H, 2, "depth 0, expected 1"),
    ("result before plan", H + "ok 1 a\n", 2, "before the plan"),
    ("no plan", H, 0, "no plan"),
    ("no plan nested", N + "ok 1 a\n", 4, "no plan"),
    ("second plan", H + "1..1\n1..1\n", 3, "second plan"),
    ("plan from zero", H + "0..1\n", 2, "is no plan"),
    ("plan with zeros", H + "1..01\n", 2, "is no plan"),
    ("plan without end", H + "1..\n", 2, "is no plan"),
    ("too few", H + "1..2\nok 1 a\n", 0, "planned 2 results, got 1"),
    ("too many", H + "1..1\nok 1 a\nok 2 b\n", 4, "beyond the plan"),
    ("starts at zero", H + "1..1\nok 0 a\n", 3, "is no result"),
    ("number left out", H + "1..2\nok 1 a\nok 3 b\n", 4, "result number 3, expected 2"),
    ("number twice", H + "1..2\nok 1 a\nok 1 b\n", 4, "result number 1, expected 2"),
    ("no number", H + "1..1\nok a\n", 3, "is no result"),
    ("capital", H + "1..1\nOK 1 a\n", 3, "is no result"),
    ("one space", H + "1..1\n KTAP version 1\n", 3, "indented by 1"),
    ("too deep", H + "1..1\n    KTAP version 1\n", 3, "depth 2, expected 1"),
    ("nested before plan", H + "  KTAP version 1\n", 2, "before the plan of the level above"),
    ("nested twice", N + "  1..1\n  ok 1 b\n  KTAP version 1\n", 6, "a version line"),
    ("nested too few", N + "  1..2\n  ok 1 b\nok 1 a\n", 6, "planned 2 results, got 1"),
    ("nested result without stream", H + "1..1\n  ok 1 b\n", 3, "a result at depth 1"),
    ("nested unfinished", N + "  1..1\n  ok 1 b\n", 0, "have no result line"),
    ("plan at wrong depth", N + "1..1\n", 4, "a plan at depth 0"),
    ("parent hides failure", N + "  1..1\n  not ok 1 b\nok 1 a\n", 6, "although a subtest failed"),
    ("parent invents failure", N + "  1..1\n  ok 1 b\nnot ok 1 a\n", 6, "although no subtest did"),
    ("parent of another name", N + "  # Subtest: x\n  1..1\n  ok 1 b\nok 1 a\n", 7, '"x"'),
    ("subtest line twice", N + "  # Subtest: x\n  # Subtest: x\n", 5, "twice"),
    ("unknown line", H + "1..1\nhello\n", 3, "is no KTAP line"),
    ("empty line", H + "\n1..1\n", 2, "empty line"),
    ("carriage return", H + "1..1\r\n", 2, "control character"),
    ("escape sequence", H + "\x1b[2J1..1\n", 2, "control character"),
    ("skip without reason", H + "1..1\nok 1 a # SKIP\n", 3, "without a reason"),
    ("small directive", H + "1..1\nok 1 a # skip why\n", 3, "in capitals"),
    ("passed timeout", H + "1..1\nok 1 a # TIMEOUT 3 s\n", 3, 'behind "ok"'),
    ("after bail out", H + "1..1\nBail out!\nok 1 a\n", 4, "after Bail out!"),
    ("cut off", H + "1..1\nok 1 a", 3, "no end"),
    ("diagnostic too deep", H + "1..1\n    # x\n", 3, "below every open stream"),
]


@pytest.mark.parametrize("text, line, what", [case[1:] for case in WRONG],
                         ids=[case[0].replace(" ", "_") for case in WRONG])
def test_rejects(text, line, what):
    with pytest.raises(ktap.KtapError) as caught:
        ktap.parse(text)
    assert caught.value.line == line
    assert what in caught.value.what
    assert (f"line {line}:" if line else "end of stream:") in str(caught.value)


def test_nesting_has_an_end():
    text = "".join("  " * depth + "KTAP version 1\n" + "  " * depth + "1..1\n"
                   for depth in range(ktap.DEPTH_MAX + 1))
    with pytest.raises(ktap.KtapError, match="nested deeper"):
        ktap.parse(text)

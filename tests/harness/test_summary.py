# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""The last line of `make test`: what counts as what."""

import pytest

import summary

PASSED = '<testcase classname="a" name="p"/>'
FAILED = '<testcase classname="a" name="f"><failure message="x"/></testcase>'
SKIPPED = '<testcase classname="a" name="s"><skipped message="x"/></testcase>'
BROKEN = '<testcase classname="a" name="e"><error message="x"/></testcase>'
TWICE = FAILED + '<testcase classname="a" name="f"><error message="teardown"/></testcase>'
LATE = PASSED + '<testcase classname="a" name="p"><error message="teardown"/></testcase>'

CASES = [
    ("all_well", PASSED, 0, "1 passed, 0 failed", 0),
    ("skipped", PASSED + SKIPPED, 0, "1 passed, 0 failed, 1 skipped", 0),
    ("failed", PASSED + FAILED, 1, "1 passed, 1 failed", 1),
    ("error", PASSED + BROKEN, 1, "1 passed, 1 failed", 1),
    ("twice", PASSED + TWICE, 1, "1 passed, 1 failed", 1),
    ("late", LATE, 1, "0 passed, 1 failed", 1),
    ("only_skipped", SKIPPED, 0, "0 passed, 0 failed, 1 skipped", 1),
    ("nothing", "", 5, "0 passed, 1 failed", 1),
    ("pytest_broke", PASSED, 3, "1 passed, 1 failed", 1),
    ("cut_off", None, 0, "0 passed, 1 failed", 1),
]


@pytest.mark.parametrize("cases, pytest_status, line, status", [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])
def test_last_line(tmp_path, capsys, cases, pytest_status, line, status):
    report = tmp_path / "junit.xml"
    report.write_text("<testsuites><testsuite>" if cases is None else
                      f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    assert summary.main(report, pytest_status) == status
    assert capsys.readouterr().out.splitlines()[-1] == line


def test_no_report_is_a_failure(tmp_path, capsys):
    assert summary.main(tmp_path / "none.xml", 0) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 1 failed"

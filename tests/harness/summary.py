# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""summary: the last line of `make test`, from pytest's JUnit file.

Usage: summary.py JUNIT_XML PYTEST_STATUS Prints "N passed, N failed" and, where there are some, ",
N skipped". A test that failed and then failed again while it was taken down counts once; errors
count as failures, and so does a run of pytest that ended badly without naming a failed test. Exit
status 1 if anything failed or nothing passed.
"""

import sys
import xml.etree.ElementTree as ET

PYTEST_OK, PYTEST_TESTS_FAILED = 0, 1


def tally(xml_path):
    """(passed, failed, skipped) of the tests in the file, each test counted
    once, the worst word wins."""
    order = ("passed", "skipped", "failed")
    words = {}
    for case in ET.parse(xml_path).iter("testcase"):
        name = (case.get("classname"), case.get("name"))
        if case.find("failure") is not None or case.find("error") is not None:
            word = "failed"
        elif case.find("skipped") is not None:
            word = "skipped"
        else:
            word = "passed"
        words[name] = max(word, words.get(name, word), key=order.index)
    values = list(words.values())
    return values.count("passed"), values.count("failed"), values.count("skipped")


def main(xml_path, status):
    try:
        passed, failed, skipped = tally(xml_path)
    except (OSError, ET.ParseError) as error:
        print(f"no test report: {error}")
        passed, failed, skipped = 0, 1, 0
    if failed == 0 and status != PYTEST_OK:
        print(f"pytest ended with status {status} without naming a failed test")
        failed = 1
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))

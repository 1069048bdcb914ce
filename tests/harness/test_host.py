# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Every host test as a test of its own, in a process of its own, under AddressSanitizer and UBSan."""

import subprocess

import pytest

import boot

PROGRAM = boot.BUILD / "host-asan/host-tests"
LIMIT_S = 600  # a hang detector


def listing():
    return subprocess.run([PROGRAM, "--list"], check=False, capture_output=True, text=True)


def list_tests():
    return listing().stdout.split() if PROGRAM.exists() else []


def test_there_are_host_tests():
    assert PROGRAM.exists(), "build/host-asan/host-tests is not built: make test builds it"
    result = listing()
    assert result.returncode == 0, result.stderr
    names = result.stdout.split()
    assert names and len(names) == len(set(names))


@pytest.mark.parametrize("name", list_tests())
def test_host(name):
    result = subprocess.run([PROGRAM, name], check=False, capture_output=True, text=True,
                            errors="replace", timeout=LIMIT_S)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    for line in output.splitlines():
        if line.startswith("# SKIP "):
            pytest.skip(line.removeprefix("# SKIP "))


def test_a_name_that_no_test_has():
    result = subprocess.run([PROGRAM, "no.such_test"], check=False, capture_output=True, text=True)
    assert result.returncode != 0
    assert "no test matches no.such_test" in result.stderr

# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Every host test as a test of its own, in a process of its own: all of them under AddressSanitizer
and UBSan, those with threads under ThreadSanitizer as well."""

import re
import subprocess

import pytest

import boot
import images

KINDS = ["asan", "tsan"]
PROGRAMS = {kind: boot.BUILD / f"host-{kind}/host-tests" for kind in KINDS}
PROGRAM = PROGRAMS["asan"]
LIMIT_S = 600  # a hang detector


def listing(kind):
    return subprocess.run([PROGRAMS[kind], "--list"], check=False, capture_output=True, text=True)


def list_tests():
    return [(kind, name) for kind in KINDS if PROGRAMS[kind].exists()
            for name in listing(kind).stdout.split()]


@pytest.mark.parametrize("kind", KINDS)
def test_there_are_host_tests(kind):
    assert PROGRAMS[kind].exists(), f"{PROGRAMS[kind]} is not built: make test builds it"
    result = listing(kind)
    assert result.returncode == 0, result.stderr
    names = result.stdout.split()
    assert names and len(names) == len(set(names))


@pytest.mark.parametrize(("kind", "name"), list_tests())
def test_host(kind, name):
    result = subprocess.run([PROGRAMS[kind], name], check=False, capture_output=True, text=True,
                            errors="replace", timeout=LIMIT_S)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    for line in output.splitlines():
        if line.startswith("# SKIP "):
            pytest.skip(line.removeprefix("# SKIP "))


# Tests on request that take minutes: millions where the others have thousands.
LONG = ["vmbus_ring_long.random_steps_agree_with_a_list_of_packets",
        "virtqueue_transfer_long.in_every_way"]
LONG_LIMIT_S = 3600  # a hang detector


@pytest.mark.parametrize("name", LONG)
def test_long(request, name):
    if not request.config.getoption("--full-matrix"):
        pytest.skip("takes minutes: make test FULL_MATRIX=1")
    result = subprocess.run([PROGRAM, name], check=False, capture_output=True, text=True,
                            errors="replace", timeout=LONG_LIMIT_S)
    assert result.returncode == 0 and "1 test(s) run" in result.stdout, (
        result.stdout + result.stderr)


# The suites of the memory objects: one more run of each test for each page allocation in it.
OF_MEMORY = re.compile(
    r"buffer_chain|channel|memory_death|message_packet|page_|pmm|slab|threads$|validity|vmar|vmo")


def suites_of_memory():
    names = listing("asan").stdout.split() if PROGRAM.exists() else []
    return sorted({name.partition(".")[0] for name in names
                   if OF_MEMORY.match(name.partition(".")[0])})


def refuse(glob, every):
    return subprocess.run([PROGRAM, "--refuse-all" if every else "--refuse", glob], check=False,
                          capture_output=True, text=True, errors="replace", timeout=LIMIT_S)


@pytest.mark.parametrize("suite", suites_of_memory())
def test_every_page_allocation_refused_once(suite, request):
    result = refuse(f"{suite}.*", request.config.getoption("--full-matrix"))
    assert result.returncode == 0, result.stdout + result.stderr
    last = result.stdout.splitlines()[-1]
    assert re.fullmatch(
        r"\d+ tests, \d+ of \d+ allocations refused, \d+ calls made again, 0 failed", last), last


def test_every_page_allocation_refused_once_in_the_guest(run_name):
    """The tests of memory objects that need real page tables or the kernel's own memory."""
    elf = images.folder(images.ALL_TESTS) / "paravane.elf"
    result, _, passed = boot.boot_and_pass(run_name, "--boot", "microvm", "--image", elf, "--smp",
                                           1, "--mem",
                                                "64M", "--net", "none", "--test", "refused.*")
    refused = re.findall(r"# \w+\.\w+: (\d+) of (\d+) allocations refused", result.stdout)
    assert passed > 0 and sum(int(some) for some, _ in refused) > 300, result.explain()
    # Not all of them each time: where regions lie is chance, and so is how many tables they need.
    assert all(int(some) > 0 or every == "0" for some, every in refused), result.explain()


def test_the_memory_suites_are_found():
    found = suites_of_memory()
    for suite in ["buffer_chain", "channel", "message_packet", "page_cache", "pmm", "slab", "vmar",
                  "vmo", "vmo_store"]:
        assert suite in found


def test_a_name_that_no_test_has():
    result = subprocess.run([PROGRAM, "no.such_test"], check=False, capture_output=True, text=True)
    assert result.returncode != 0
    assert "no test matches no.such_test" in result.stderr

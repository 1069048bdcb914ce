# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""The options of the page allocator, from the command line to what they do."""

import re

import pytest

import boot
import images

CHECKER = "kernel.pmm-checker."
ALL_TESTS = ["--boot", "pvh", "--image", images.folder(images.ALL_TESTS) / "paravane.elf"] \
    if (boot.BUILD / images.ALL_TESTS).exists() else []


def words(run_name, append, *options):
    """What a boot without tests says to the command line `append`."""
    result, _, _ = boot.boot_and_pass(run_name, "--boot", "microvm", "--test", "none", "--append",
                                      append, *options)
    return result.stdout


@pytest.mark.parametrize("value, armed", [("=true", True), ("", True), ("=off", False),
                                          ("=auto", False)])
def test_the_checker_is_on_when_asked_for(run_name, value, armed):
    stdout = words(run_name, f"{CHECKER}enable{value} cmd=pmmcheck")
    assert ("# pmm-checker: armed, 4096 bytes a page\n" in stdout) == armed, stdout
    assert ("# pmm-checker: off\n" in stdout) == (not armed), stdout
    if armed:
        assert re.search(r"^# pmm-checker: 0 of \d+ free pages are bad now$", stdout, re.M), stdout


def test_auto_is_on_without_a_hypervisor(run_name):
    stdout = words(run_name, f"{CHECKER}enable=auto cmd=pmmcheck", "--cpu", "qemu64,-hypervisor")
    assert "# pmm-checker: armed, 4096 bytes a page, then panic; 0 pages were bad" in stdout, stdout


@pytest.mark.parametrize("size, used, expected", [("8", 8, None), ("0x200", 512, None),
                                                  ("12", 4096, "a multiple of 8"),
                                                  ("4104", 4096,
                                                   f"{CHECKER}fill-size=N with N from 8 to 4096")])
def test_fill_sizes(run_name, size, used, expected):
    """A size that is refused leaves whole pages."""
    stdout = words(run_name, f"{CHECKER}enable=true {CHECKER}fill-size={size}")
    assert f"# pmm-checker: armed, {used} bytes a page\n" in stdout, stdout
    wrong = f"# cmdline: '{CHECKER}fill-size={size}': expected "
    assert (wrong in stdout) == (expected is not None), stdout
    assert expected is None or wrong + expected + "\n" in stdout, stdout


@pytest.mark.parametrize("word, expected", [("enable=perhaps", "expected true, false or auto"),
                                            ("action=shout", "expected oops or panic")])
def test_words_it_does_not_know(run_name, word, expected):
    assert f"# cmdline: '{CHECKER}{word}': {expected}\n" in words(run_name, CHECKER + word)


def test_a_write_after_free_is_shown_and_survived(run_name):
    result, _, passed = boot.boot_and_pass(run_name, *ALL_TESTS, "--test", "pmm_checker_kernel.*",
                                           "--append", f"{CHECKER}enable=true {CHECKER}action=oops")
    assert passed == 1
    assert re.search(
        r"^ *# pmm-checker: free page 0x[0-9a-f]+ was written at offset 7, expected bytes 43$",
                     result.stdout, re.M), result.explain()
    assert "# pmm-checker: 000: 43 43 43 43 43 43 43 99 43 43 43 43 43 43 43 43\n" in result.stdout


def test_a_write_after_free_ends_the_run(run_name):
    result = boot.boot(run_name, *ALL_TESTS, "--test", "pmm_checker_kernel.*", "--append",
                       f"{CHECKER}enable=true")
    assert result.status == boot.PANIC and "a free page was written to" in result.detail, (
        result.explain())


def test_what_is_low(run_name):
    stdout = words(run_name, "cmd=pmm", "--mem", "64M")
    assert re.search(
        r"^# pmm: memory is enough; low below (19|20)\d\d KiB, enough above \d+ KiB; 0 signals",
        stdout,
                     re.M), stdout
    stdout = words(run_name, "cmd=pmm kernel.oom.warning-mb=8", "--mem", "64M")
    assert ("# pmm: memory is enough; low below 8192 KiB, enough above 16384 KiB; 0 signals"
            in stdout), stdout
    # Half of it at most.
    stdout = words(run_name, "cmd=pmm kernel.oom.warning-mb=300", "--mem", "64M")
    assert re.search(r"^# pmm: memory is (low|enough); low below 3\d{4} KiB", stdout, re.M), stdout


def where_regions_go(run_name, *options):
    """(bits, the two places) of a boot with `options`, and what it said."""
    result, _, _ = boot.boot_and_pass(run_name, *ALL_TESTS, "--test", "aspace.where_regions_go",
                                      "--append", " ".join(options))
    said = re.search(r"# (\d+) bits, placed at (0x[0-9a-f]+) (0x[0-9a-f]+)", result.stdout)
    assert said, result.explain()
    return said.groups(), result.stdout


def test_options_of_placement(run_name):
    (bits, first, second), _ = where_regions_go(run_name, "aslr.disable")
    assert bits == "0" and int(second, 16) == int(first, 16) + 4 * 4096
    assert where_regions_go(run_name, "aslr.entropy_bits=12")[0][0] == "12"
    refused, said = where_regions_go(run_name, "aslr.entropy_bits=37")
    assert refused[0] == "30" and "aslr.entropy_bits" in said
    seven, again, eight = (where_regions_go(run_name, f"aslr.seed={seed}")[0] for seed in (7, 7, 8))
    assert seven == again != eight

# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""The guest's test runner, its panics and its watchdog, on real boots that
must fail in the right words.

The tests of the suite `crash` run only when they are asked for; each does one thing wrong.
"""

import re

import pytest

import boot
import ktap

FRAME = re.compile(r"#   at 0x[0-9a-f]{16} ([\w.]+)\+0x[0-9a-f]+ \((.+)\)$")

# Test, exit status, verdict word, and what the cause must say.
CRASHES = [
    ("panic", boot.PANIC, "PANIC", r".+"),
    ("assert", boot.PANIC, "PANIC", r"assertion failed: .+, at tests/boot/crash_test\.c:[0-9]+"),
    ("null_write", boot.PANIC, "PANIC", r"page fault: write to 0x0 \(null pointer\)"),
    ("execute_data", boot.PANIC, "PANIC", r"page fault: .*(execut|fetch)"),
    ("write_text", boot.PANIC, "PANIC", r"page fault: write to 0x[0-9a-f]+ \(read-only\)"),
    ("write_rodata", boot.PANIC, "PANIC", r"page fault: write to 0x[0-9a-f]+ \(read-only\)"),
    ("stack_overflow", boot.PANIC, "PANIC", r"stack overflow.*guard"),
    ("divide", boot.PANIC, "PANIC", r"(?i)divi"),
    ("undefined", boot.PANIC, "PANIC", r"(?i)(invalid|undefined).*(opcode|instruction)"),
    ("general_protection", boot.PANIC, "PANIC", r"general protection"),
    ("double_fault", boot.PANIC, "PANIC", r"double fault"),
    ("fail", boot.FAIL, "FAIL", r"1 of 1 tests failed"),
    ("hang", boot.PANIC, "PANIC", r"watchdog: crash\.hang did not end"),
    ("hang_cli", boot.PANIC, "PANIC", r"watchdog: crash\.hang_cli did not end"),
    ("triple_fault", boot.NO_RESULT, "RESET", r"triple fault"),
    ("exit_silent", boot.NO_RESULT, "INCOMPLETE", r"no verdict line"),
]


# The function that the backtrace must name, where it is not the test itself.
CULPRITS = {"stack_overflow": ("recurse", "tests/boot/crash_test.c"),
            "double_fault": ("arch_fault_without_stack", "arch/x86_64/exit.c")}


# It is the same kernel under UEFI, on tables of another origin and behind a
# firmware that takes seconds.
UNDER_UEFI = ("panic", "stack_overflow", "hang_cli", "triple_fault")
CRASHES_BY_PATH = [(path, *crash) for path in ("pvh", "microvm", "uefi") for crash in CRASHES
                   if path != "uefi" or crash[0] in UNDER_UEFI]


@pytest.mark.parametrize("path, name, status, word, cause", CRASHES_BY_PATH,
                         ids=["-".join(case[:2]) for case in CRASHES_BY_PATH])
def test_crash(run_name, path, name, status, word, cause):
    result = boot.boot(run_name, "--boot", path, "--test", f"crash.{name}")
    assert (result.status, result.word) == (status, word), result.explain()
    assert re.search(cause, result.detail), result.explain()
    if word == "PANIC":
        assert result.stdout.splitlines()[-1] == f"# verdict: PANIC {result.detail}"
        assert f"# panic: {result.detail}\n" in result.stdout
        check_backtrace(result, *CULPRITS.get(name, (f"crash.{name}", "tests/boot/crash_test.c")))


def check_backtrace(result, function, file):
    """Function names come from the guest, file and line from the host;
    both must know the culprit."""
    frames = [FRAME.match(line) for line in result.stdout.splitlines()
              if line.startswith("#   at ")]
    assert frames, result.explain()
    named = {frame.group(1): frame.group(2) for frame in frames if frame}
    assert re.search(rf"\b{re.escape(file)}:[0-9]+$", named.get(function, "")), result.explain()
    assert re.search(r"\bkernel/main\.c:[0-9]+$", named.get("kernel_main", "")), result.explain()
    assert "build/include" not in "".join(named.values()), result.explain()


def test_a_failed_test_is_shown_with_its_place(run_name):
    result = boot.boot(run_name, "--boot", "pvh", "--test", "crash.fail")
    stream = result.stream()
    ((path, leaf),) = stream.leaves()
    assert path == ("crash", "fail") and leaf.failed
    assert re.match(r"# tests/boot/crash_test\.c:[0-9]+: expected ", leaf.diagnostics[-1])


def test_crashes_run_only_on_request(run_name):
    for glob in ("*", "c*"):
        result = boot.boot(run_name, "--boot", "pvh", "--test", glob)
        assert "Subtest: crash" not in result.stdout
        assert result.status in (boot.PASS, boot.FAIL), result.explain()


def listed_tests(run_name):
    result, stream, _ = boot.boot_and_pass(run_name, "--boot", "pvh", "--test", "list")
    assert stream.planned == 0
    return re.findall(r"^# test: (\S+\.\S+?)( \(by request\))?$", result.stdout, re.MULTILINE)


def test_list_names_what_runs(run_name):
    listed = listed_tests(run_name)
    names = [name for name, _ in listed]
    assert len(names) == len(set(names)) and names
    on_request = [name for name, by_request in listed if by_request]
    assert {f"crash.{case[0]}" for case in CRASHES} <= set(on_request)
    _, stream, _ = boot.boot_and_pass(run_name, "--boot", "pvh")
    ran = [".".join(path) for path, _ in stream.leaves()]
    assert sorted(ran) == sorted(set(names) - set(on_request))


def test_a_glob_chooses(run_name):
    names = [name for name, by_request in listed_tests(run_name) if not by_request]
    suite, test = names[0].split(".", 1)
    for glob, wanted in ((f"{suite}.*", [n for n in names if n.startswith(suite + ".")]),
                         (f"*.{test}", [n for n in names if n.endswith("." + test)]),
                         (names[-1], [names[-1]])):
        _, stream, _ = boot.boot_and_pass(run_name, "--boot", "pvh", "--test", glob)
        assert sorted(".".join(path) for path, _ in stream.leaves()) == sorted(wanted), glob


def test_a_glob_that_nothing_matches_fails(run_name):
    result = boot.boot(run_name, "--boot", "pvh", "--test", "nosuch.*")
    assert (result.status, result.word) == (boot.FAIL, "FAIL"), result.explain()
    assert result.detail == "no self-test matches 'nosuch.*'"
    assert ktap.parse(result.stdout).planned == 0


@pytest.mark.parametrize("words, named", [
    ("frobnicate", "frobnicate"),
    ("frobnicate=3", "frobnicate"),
    ("kernel.bufferchain.reserve-pages=many", "kernel.bufferchain.reserve-pages"),
    ("kernel.bufferchain.reserve-pages=99999999999999999999999",
     "kernel.bufferchain.reserve-pages"),
    ("kernel.bufferchain.reserve-pages=", "kernel.bufferchain.reserve-pages"),
    ("kernel.bufferchain.reserve-pages=64X", "kernel.bufferchain.reserve-pages"),
])
def test_wrong_words_are_named_and_the_boot_goes_on(run_name, words, named):
    plain = boot.boot(run_name, "--boot", "pvh", "--test", "none")
    result, stream, _ = boot.boot_and_pass(run_name, "--boot", "pvh", "--test", "none", "--append",
                                           words)
    about = [line for line in stream.all_diagnostics() if "cmdline: " in line and named in line]
    assert about, result.explain()
    assert not [line for line in plain.stdout.splitlines() if line in about]


def test_console_words(run_name):
    result, _, _ = boot.boot_and_pass(run_name, "--boot", "pvh", "--test", "none",
                                      "--append", "cmd=help,nosuchword")
    assert "nosuchword" in result.stdout.split("command line",
                                               1)[1].split("\n", 1)[1], result.explain()

# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Machines with several CPUs: all of them run, all tests pass on them, and a panic on any ends them
all. And machines with much memory, or with less of it than they have."""

import re

import pytest

import boot
import images

PATHS = {"microvm": ["--boot", "microvm"], "q35": ["--boot", "pvh", "--machine", "q35"],
         "pc": ["--boot", "pvh", "--machine", "pc"]}


MOST = 64  # as many as the kernel knows


def pytest_generate_tests(metafunc):
    if "machine_with" in metafunc.fixturenames:
        machines = [(path, cpus) for path in PATHS for cpus in (4, 8)] + [("q35", 16)]
        if metafunc.config.getoption("--full-matrix"):
            machines.append(("q35", MOST))  # each host processor runs many
        metafunc.parametrize("machine_with", machines,
                             ids=lambda machine: f"{machine[0]}-{machine[1]}")


def test_all_cpus_run(run_name, machine_with):
    path, cpus = machine_with
    result, stream, passed = boot.boot_and_pass(run_name, *PATHS[path], "--smp", cpus, "--append",
                                                 "cmd=cpu watchdog=off" if cpus > 16 else "cmd=cpu")
    assert passed > 0 and f"# cpu: {cpus} CPUs run" in result.stdout, result.explain()
    for cpu in range(cpus):
        assert re.search(rf"^# cpu: {cpu} APIC ", result.stdout, re.M), result.explain()
    assert "Subtest: smp" in result.stdout
    assert not re.search(r"SKIP the machine has one CPU", result.stdout), result.explain()


def test_as_many_cpus_as_there_can_be(run_name):
    """All of them start and answer; the tests that each needs all of them for
    take minutes (--full-matrix)."""
    result, _, passed = boot.boot_and_pass(run_name, *PATHS["q35"], "--smp", MOST, "--test",
                                           "smp.every_cpu*", "--append", "cmd=cpu watchdog=off")
    assert passed == 1 and f"# cpu: {MOST} CPUs run" in result.stdout, result.explain()
    assert f"# cpu: {MOST - 1} APIC " in result.stdout, result.explain()


def test_one_cpu_pays_for_no_others(run_name):
    elf = images.folder(images.ALL_TESTS) / "paravane.elf"
    _, _, passed = boot.boot_and_pass(run_name, "--boot", "microvm", "--image", elf, "--smp", 1,
                                      "--test", "cpu.alone*")
    assert passed == 1  # not skipped


def test_no_more_cpus_than_asked_for(run_name):
    result, _, _ = boot.boot_and_pass(run_name, "--boot", "microvm", "--smp", 4, "--test", "smp.*",
                                      "--append", "cpus=2")
    assert "# cpu: 2 CPUs run" in result.stdout, result.explain()


def test_one_cpu_says_nothing_about_others(run_name):
    result, _, _ = boot.boot_and_pass(run_name, "--boot", "microvm", "--smp", 1, "--test", "none")
    assert "CPUs" not in result.stdout, result.explain()


def after_verdict(stdout):
    lines = stdout.splitlines()
    verdicts = [i for i, line in enumerate(lines) if line.startswith("# verdict: ")]
    assert len(verdicts) == 1, stdout[-2000:]
    return lines[verdicts[0] + 1:]


@pytest.mark.parametrize("name, cause", [
    ("panic_on_another_cpu_stops_all", r"on request, on CPU 2"),
    ("all_panic_at_once", r"on request, on CPU [0-2]"),
    ("stack_overflow_on_another_cpu", r"stack overflow: guard page under the work stack of CPU 1"),
    ("a_deaf_cpu_is_named", r"CPU 1 does not answer a TLB shoot-down of CPU 0"),
])
def test_an_end_on_another_cpu(run_name, name, cause):
    result = boot.boot(run_name, "--boot", "pvh", "--smp", 3, "--test", f"smp_crash.{name}")
    assert result.status == boot.PANIC and re.fullmatch(cause, result.detail), result.explain()
    assert result.stdout.count("# panic: ") == 1, result.explain()
    assert after_verdict(result.stdout) == [], result.explain()


def test_eight_gibibytes(run_name):
    result, _, passed = boot.boot_and_pass(run_name, "--boot", "pvh", "--mem", "8G", "--smp", 2,
                                           "--append", "cmd=pmm")
    assert passed > 0 and re.search(r"^# pmm: arena 1 'high' 0x100000000\.\.0x", result.stdout,
                                    re.M)


@pytest.mark.parametrize("path", PATHS)
def test_memory_can_be_limited(run_name, path):
    result, _, passed = boot.boot_and_pass(run_name, *PATHS[path], "--mem", "64M", "--append",
                                           "kernel.memory-limit-mb=16")
    assert passed > 0
    assert re.search(r"^# memory: limited to 16 MiB, 4[78] MiB are left alone", result.stdout,
                     re.M), \
        result.explain()
    assert re.search(r"^# memory: 16 MiB in ", result.stdout, re.M), result.explain()


def test_a_limit_that_is_too_low_is_refused(run_name):
    result, _, _ = boot.boot_and_pass(run_name, "--boot", "microvm", "--test", "none", "--append",
                                      "kernel.memory-limit-mb=7")
    assert "'kernel.memory-limit-mb=7': this kernel needs 8 MiB" in result.stdout, result.explain()

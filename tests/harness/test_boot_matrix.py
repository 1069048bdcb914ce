# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Real boots: every way to start, on machines of many shapes.

PVH and microvm boot every combination. UEFI boots a set in which every pair of values occurs
together, because the firmware takes seconds; `make test FULL_MATRIX=1` boots them all.
"""

import itertools
import re

import pytest

import boot
import images

MACHINES = {"uefi": ("q35", "pc"), "pvh": ("q35", "pc"), "microvm": ("",)}
CPUS = ("1", "2")
MEMORY = ("64M", "256M", "4G")
MODELS = ("qemu64", "Nehalem", "max")


def every_combination(path):
    return list(itertools.product(MACHINES[path], CPUS, MEMORY, MODELS))


def pairs_of(combination):
    return set(itertools.combinations(enumerate(combination), 2))


def covering_set(combinations):
    """A few of the combinations, in which every pair of values that occurs together still does."""
    missing = set().union(*map(pairs_of, combinations))
    chosen = []
    while missing:
        best = max(combinations, key=lambda combination: len(pairs_of(combination) & missing))
        chosen.append(best)
        missing -= pairs_of(best)
    return chosen


def options_of(path, machine, cpus, memory, model):
    options = ["--boot", path, "--smp", cpus, "--mem", memory, "--cpu", model]
    return options + (["--machine", machine] if machine else [])


def pytest_generate_tests(metafunc):
    if "shape" not in metafunc.fixturenames:
        return
    shapes = []
    for path in MACHINES:
        combinations = every_combination(path)
        if path == "uefi" and not metafunc.config.getoption("--full-matrix"):
            combinations = covering_set(combinations)
        shapes += [(path, *combination) for combination in combinations]
    metafunc.parametrize("shape", shapes, ids=["-".join(filter(None, shape)) for shape in shapes])


def test_boots_and_passes(run_name, shape):
    result, stream, passed = boot.boot_and_pass(run_name, *options_of(*shape))
    assert stream.results and passed > 0
    path = "UEFI" if shape[0] == "uefi" else "PVH"
    assert any(f"booted by {path}" in line for line in stream.all_diagnostics())
    assert any("virtio: net0 at " in line for line in stream.all_diagnostics())
    for suite, test in (("net", "arp_of_the_router"), ("virtio_net", "stop_and_restart")):
        lines = result.stdout.partition(f"# Subtest: {suite}\n")[2].partition("\nok ")[0]
        assert test in lines and "# SKIP" not in lines, result.explain()


def test_the_covering_set_covers():
    combinations = every_combination("uefi")
    chosen = covering_set(combinations)
    assert len(chosen) < len(combinations) / 2
    assert set().union(*map(pairs_of, chosen)) == set().union(*map(pairs_of, combinations))


@pytest.mark.parametrize("image", [images.DEBUG, images.CLANG])
@pytest.mark.parametrize("path", ["pvh", "uefi"])
def test_other_builds_boot(run_name, image, path):
    name = "esp.img" if path == "uefi" else "paravane.elf"
    _, _, passed = boot.boot_and_pass(run_name, "--boot", path, "--image",
                                      images.folder(image) / name)
    assert passed > 0


def test_tests_of_portable_parts_pass_in_the_guest_too(run_name):
    """The image with TESTS=all: what usually runs on the host only, built for the kernel."""
    _, stream, passed = boot.boot_and_pass(run_name, "--boot", "pvh", "--mem", "1G", "--smp", 4,
                                           "--image",
                                           images.folder(images.ALL_TESTS) / "paravane.elf")
    assert passed > 0
    assert any("Subtest: memory_map" in line for line in stream.all_diagnostics())


@pytest.mark.parametrize("path", ["pvh", "uefi"])
def test_an_image_without_tests_boots(run_name, path):
    name = "esp.img" if path == "uefi" else "paravane.elf"
    _, stream, passed = boot.boot_and_pass(run_name, "--boot", path, "--image",
                                           images.folder(images.WITHOUT_TESTS) / name)
    assert (stream.planned, stream.skip_all, passed) == (0, "this image has no self-tests", 0)


@pytest.mark.parametrize("image", [images.VIRTIO, images.NO_DRIVERS])
def test_an_image_with_fewer_drivers_boots_and_passes(run_name, image):
    _, stream, passed = boot.boot_and_pass(run_name, "--boot", "pvh", "--image",
                                           images.folder(image) / "paravane.elf")
    assert passed > 0
    cards = any("Subtest: virtio_net" in line for line in stream.all_diagnostics())
    assert cards == (image == images.VIRTIO)


@pytest.mark.parametrize("path", ["pvh", "microvm"])
def test_sixteen_megabytes_are_enough(run_name, path):
    _, _, passed = boot.boot_and_pass(run_name, "--boot", path, "--mem", "16M")
    assert passed > 0


@pytest.mark.parametrize("path", ["pvh", "microvm"])
def test_too_little_memory_says_how_much_is_enough(run_name, path):
    result = boot.boot(f"{run_name}.short", "--boot", path, "--mem", "4M")
    assert result.status == boot.PANIC, result.explain()
    said = re.fullmatch(r"not enough memory: \d+ KiB of RAM, this kernel needs (\d+) MiB",
                        result.detail)
    assert said, result.explain()
    enough = int(said.group(1))
    assert enough <= 8
    boot.boot_and_pass(f"{run_name}.enough", "--boot", path, "--mem", f"{enough}M")


def test_the_guest_sees_what_the_machine_has(run_name):
    """The words of the command line arrive on both paths, commas and spaces too."""
    for path in ("pvh", "uefi"):
        result, _, _ = boot.boot_and_pass(f"{run_name}.{path}", "--boot", path, "--test", "none",
                                          "--append", "cmd=help,help")
        assert "command line 'test=none cmd=help,help'" in result.stdout, result.explain()


def test_the_reserve_of_message_pages_is_honoured(run_name):
    """kernel.bufferchain.reserve-pages, at its ends and beyond; message.*
    tests that the cache keeps it."""
    for pages in (0, 1, 64, 4096):
        result, _, _ = boot.boot_and_pass(
            f"{run_name}.{pages}", "--boot", "microvm", "--test", "message.*", "--append",
            f"kernel.bufferchain.reserve-pages={pages} cmd=bufferchain")
        assert f"# bufferchain: reserve {pages} pages a CPU" in result.stdout, result.explain()
    result, _, _ = boot.boot_and_pass(
        f"{run_name}.wrong", "--boot", "microvm", "--test", "message.*", "--append",
        "kernel.bufferchain.reserve-pages=4097 cmd=bufferchain")
    assert "expected kernel.bufferchain.reserve-pages=N with N from 0 to 4096" in result.stdout
    assert "# bufferchain: reserve 32 pages a CPU" in result.stdout, result.explain()


def test_free_pages_are_checked_on_request(run_name):
    """All tests pass with every free page filled and verified."""
    result, _, passed = boot.boot_and_pass(run_name, "--boot", "microvm", "--mem", "64M",
                                           "--append", "kernel.pmm-checker.enable")
    assert "# pmm-checker: armed, 4096 bytes a page" in result.stdout and passed > 0


@pytest.mark.parametrize("path", ["pvh", "uefi", "microvm"])
def test_without_a_network_card(run_name, path):
    boot.boot_and_pass(run_name, "--boot", path, "--net", "none")

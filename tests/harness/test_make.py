# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""What make rebuilds when something changes, and what it tells editors: in a copy of
the tree, object by object."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import boot
import images

# One file of each world: kernel with and without the C library, UEFI, host.
KERNEL, PURE = "build/release/obj/kernel/glob.c.o", "build/release/obj/kernel/pmm_run.c.o"
EFI, HOST = ("build/release/efi/arch/x86_64/boot_efi_map.c.o",
             "build/host-asan/obj/kernel/pmm_run.c.o")
OBJECTS = (KERNEL, PURE, EFI, HOST)

in_this_copy = pytest.mark.xdist_group("copy_for_make")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree that borrows the built picolibc and has the objects above."""
    path = tmp_path_factory.mktemp("make") / "tree"
    images.copy_tree(path)
    (path / "build").mkdir(exist_ok=True)
    (path / "build/picolibc").symlink_to(boot.BUILD / "picolibc")
    result = images.make(path, *OBJECTS)
    assert result.returncode == 0, result.stdout
    return path


def rebuilt(tree, *words):
    """The objects that make builds anew."""
    before = {name: (tree / name).stat().st_mtime_ns for name in OBJECTS}
    result = images.make(tree, *OBJECTS, *words)
    assert result.returncode == 0, result.stdout
    return {name for name in OBJECTS if (tree / name).stat().st_mtime_ns != before[name]}


@in_this_copy
def test_nothing_is_built_twice(tree):
    assert rebuilt(tree) == set()


@in_this_copy
@pytest.mark.parametrize("header, users", [
    ("kernel/glob.h", {KERNEL}),
    ("kernel/pmm.h", {PURE, HOST}),
    ("arch/x86_64/boot_efi_map.h", {EFI}),
    ("lib/base/bytes.h", {PURE, EFI, HOST}),
    ("Makefile", set(OBJECTS)),
])
def test_who_includes_a_header_is_rebuilt(tree, header, users):
    os.utime(tree / header)
    assert rebuilt(tree) == users


@in_this_copy
@pytest.mark.parametrize("word, users", [
    ("PICOLIBC_FLAGS=-isystem build/picolibc/include -DCHANGED", {KERNEL, PURE, EFI}),
    ("EFI_WARNINGS=-Wall", {KERNEL, PURE, EFI}),
    ("HOST_WARNINGS=-Wall", {HOST}),
], ids=["kernel", "efi", "host"])
def test_what_depends_on_flags_is_rebuilt(tree, word, users):
    assert rebuilt(tree, word) == users
    assert rebuilt(tree, word) == set()
    assert rebuilt(tree) == users, "back again"


@in_this_copy
def test_compile_commands(tree):
    """A JSON file that names every C file, with arguments by which each kind of file compiles."""
    result = images.make(tree, "compile_commands.json")
    assert result.returncode == 0, result.stdout
    entries = {entry["file"]: entry
               for entry in json.loads((tree / "compile_commands.json").read_text())}
    sources = {path.relative_to(tree).as_posix() for folder in
               ("arch", "drivers", "kernel", "lib", "tests")
               for path in (tree / folder).rglob("*.c")}
    assert set(entries) == sources
    one_of_each_folder = {Path(name).parent: name for name in sorted(sources)}.values()
    for name in {"kernel/main.c", "kernel/pmm.c", "arch/x86_64/cpu.c", "arch/x86_64/boot_efi.c",
                 "tests/host/pmm_test.c", "tests/host/pmm_model_test.c", "tests/host/runner.c",
                 "tests/fuzz/virtio_net_device_fuzz.c", *one_of_each_folder}:
        entry = entries[name]
        result = subprocess.run([*entry["arguments"], "-fsyntax-only"], cwd=entry["directory"],
                                check=False, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr

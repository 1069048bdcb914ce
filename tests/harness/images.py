# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""images: the images that `make test` has built, and a copy of the tree to break on purpose."""

import shutil
import subprocess

import pytest

import boot

# Folder under build/ and what make is told to get there.
RELEASE, DEBUG, CLANG, WITHOUT_TESTS = "release", "debug", "release-clang", "release-notests"
ALL_TESTS = "release-alltests"
# The smallest guest that has a network card, and one without any optional device.
VIRTIO, VIRTIO_WITHOUT_TESTS, NO_DRIVERS = (
    "release-virtio", "release-notests-virtio", "release-nodrivers")
MAKE_WORDS = {RELEASE: [], DEBUG: ["FLAVOUR=debug"], CLANG: ["CC=clang"],
              WITHOUT_TESTS: ["TESTS=0"], ALL_TESTS: ["TESTS=all"], VIRTIO: ["DRIVERS=virtio"],
              VIRTIO_WITHOUT_TESTS: ["DRIVERS=virtio", "TESTS=0"], NO_DRIVERS: ["DRIVERS="]}
ALL = tuple(MAKE_WORDS)
MAKE_LIMIT_S = 1200  # a hang detector


def folder(image):
    """build/<image>; skips the test where there is no clang to have built it."""
    if image == CLANG and shutil.which("clang") is None:
        pytest.skip("clang is not installed")
    path = boot.BUILD / image
    assert (path / "paravane.elf").exists(), f"{path} is not built: make test builds it"
    return path


def copy_tree(target):
    """Copies the sources, picolibc and its archive, but nothing else that was built."""
    def ignore(where, names):
        if where == str(boot.TOP):
            return {".git", "build"} & set(names)
        return {"__pycache__"} & set(names)

    shutil.copytree(boot.TOP, target, ignore=ignore, symlinks=True)
    if (boot.BUILD / "downloads").exists():
        shutil.copytree(boot.BUILD / "downloads", target / "build/downloads")


def make(tree, *words):
    """Runs make in a tree of its own; returns the finished process with
    all that was said in stdout."""
    return subprocess.run(["make", "-s", "-j2", *words], cwd=tree, check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=MAKE_LIMIT_S)

# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""What every test file here may use, and the knobs of the suite."""

import re
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import boot as boot_module  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--full-matrix", action="store_true",
                     help="boot every combination under UEFI too, not only a covering set")


@pytest.fixture
def run_name(request):
    """A folder name under build/test for this test's logs."""
    return re.sub(r"[^A-Za-z0-9_.=-]+", "_", request.node.name.replace("[", ".").rstrip("]"))


@pytest.fixture
def short_folder():
    """A folder whose path is short enough for sockets (108 bytes), wherever the clone lies."""
    with tempfile.TemporaryDirectory(prefix="paravane.") as name:
        yield Path(name)


@pytest.fixture
def fake(tmp_path, run_name):
    """fake(script, *options): run-qemu.sh --boot pvh over the stand-in emulator."""

    def start(script, *options, **more):
        env = boot_module.fake_guest(tmp_path, script, **more)
        return boot_module.run(run_name, "--boot", "pvh", "--image",
                               boot_module.empty_elf(tmp_path), *options, env=env)

    return start

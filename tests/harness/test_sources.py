# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""What can be said of the sources without building them."""

import shutil
import subprocess

import pytest

import boot

CHECK_INCLUDES = boot.TOP / "tests/harness/check_includes.sh"
SCRIPT_FOLDERS = ("", "arch/x86_64", "kernel", "lib/picolibc", "tests/harness", "tests/peers")


def check_includes(folder):
    return subprocess.run([CHECK_INCLUDES, folder], check=False, capture_output=True, text=True)


def test_includes_are_written_with_their_folder():
    result = check_includes(boot.TOP)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("line, complaint", [
    ('#include "../kernel/pmm.h"', "relative include"),
    ('#include "./pmm.h"', "relative include"),
    ('#include "kernel/../lib/base/bytes.h"', "relative include"),
    ('#include "pmm.h"', "include without its folder"),
    ('  # include "x86_64/io.h"', "include of an unknown folder"),
    ("#include <kernel/pmm.h>", "project header in angle brackets"),
])
def test_the_check_sees(tmp_path, line, complaint):
    for folder in ("arch", "kernel", "drivers", "lib", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "kernel/good.c").write_text('#include "kernel/pmm.h"\n#include <stdint.h>\n')
    assert check_includes(tmp_path).returncode == 0
    (tmp_path / "kernel/bad.c").write_text("/* a comment */\n" + line + "\n")
    result = check_includes(tmp_path)
    assert result.returncode != 0
    assert f"kernel/bad.c:2: {complaint}" in result.stderr


def shell_scripts():
    return sorted(path.relative_to(boot.TOP).as_posix() for folder in SCRIPT_FOLDERS
                  for path in (boot.TOP / folder).glob("*.sh"))


@pytest.mark.parametrize("script", shell_scripts())
def test_shellcheck(script):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    result = subprocess.run(["shellcheck", "-x", script], check=False, capture_output=True, text=True,
                            cwd=boot.TOP)
    assert result.returncode == 0, result.stdout

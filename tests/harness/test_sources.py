# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""What can be said of the sources without building them."""

import re
import shutil
import subprocess

import pytest

import boot

CHECK_COLUMNS = boot.TOP / "tests/harness/check_columns.sh"
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


def check_columns(folder):
    return subprocess.run([CHECK_COLUMNS, folder], check=False, capture_output=True, text=True)


def test_lines_have_at_most_100_columns():
    result = check_columns(boot.TOP)
    assert result.returncode == 0, result.stderr


def test_no_source_is_empty():
    """A header without a word is included without a word, too."""
    rooms = ["arch", "kernel", "drivers", "lib", "tests"]
    sources = [path for room in rooms for path in (boot.TOP / room).rglob("*.[chS]")]
    assert sources and [path for path in sources if path.stat().st_size == 0] == []


@pytest.mark.parametrize("name", ["kernel/a.c", "kernel/a.h", "arch/a.S", "a.ld", "tests/a.py"])
def test_the_check_of_columns_sees(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("—" * 100 + "\n" + "x" * 100 + "\n", encoding="utf-8")
    (tmp_path / "build").mkdir()
    (tmp_path / "build/made.c").write_text("x" * 101, encoding="utf-8")
    assert check_columns(tmp_path).returncode == 0
    with (tmp_path / name).open("a", encoding="utf-8") as file:
        file.write("—" * 101 + "\n")
    result = check_columns(tmp_path)
    assert result.returncode != 0
    assert result.stderr == f"{name}:3: 101 columns, at most 100\n"


def shell_scripts():
    return sorted(path.relative_to(boot.TOP).as_posix() for folder in SCRIPT_FOLDERS
                  for path in (boot.TOP / folder).glob("*.sh"))


@pytest.mark.parametrize("script", shell_scripts())
def test_shellcheck(script):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    result = subprocess.run(["shellcheck", "-x", script], check=False, capture_output=True,
                            text=True, cwd=boot.TOP)
    assert result.returncode == 0, result.stdout


# ---- features of virtio network cards ----

VIRTIO = boot.TOP / "drivers/virtio"
FEATURE = r"\b(?:VIRTIO_F_|VIRTIO_NET_F_|NET\()([A-Z][A-Z0-9_]*)"


def split_off_wishes(features_c):
    """The names of what is accepted when it is offered, and the source without that list."""
    before, wishes, after = re.split(r"(\.wanted = .*?,\n        \.refused)", features_c,
                                     maxsplit=1, flags=re.DOTALL)
    names = set(re.findall(FEATURE, wishes))
    assert "RECEIVE_COALESCED" in wishes
    coalesced = re.search(r"#define RECEIVE_COALESCED.*?\n\n", features_c, flags=re.DOTALL).group()
    return names | set(re.findall(FEATURE, coalesced)), before.replace(coalesced, "") + after


def unexplained_features(header, features_h, features_c, others):
    """Feature bits with a name that are neither accepted and used nor in the header's
    paragraph that says why not."""
    named = set(re.findall(r"^ +VIRTIO_(?:NET_)?F_(\w+) = \d+,", features_h, flags=re.MULTILINE))
    wanted, rest = split_off_wishes(features_c)
    used = wanted & set(re.findall(FEATURE, rest + others))
    paragraph = re.search(r"^ \* Features .*?(?=^ \* Peer )", header,
                          flags=re.DOTALL | re.MULTILINE).group()
    paragraph = re.sub(r"\b(\w+)4/6", r"\g<1>4 \g<1>6", paragraph)
    return named - used - set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", paragraph))


def feature_sources():
    header, features_h, features_c = (
        (VIRTIO / name).read_text(encoding="utf-8")
        for name in ("virtio_net.h", "virtio_features.h", "virtio_net_features.c"))
    others = "".join(path.read_text(encoding="utf-8") for path in sorted(VIRTIO.glob("*.c"))
                     if path.name not in ("virtio_features.c", "virtio_net_features.c"))
    return header, features_h, features_c, others


def test_every_feature_is_used_or_the_reason_is_written_down():
    sources = feature_sources()
    assert unexplained_features(*sources) == {"VERSION_1"}, "only this one is always required"


@pytest.mark.parametrize("feature", ["NOTIFICATION_DATA", "HOST_UFO", "ACCESS_PLATFORM",
                                     "GUEST_HDRLEN"])
def test_a_feature_without_a_reason_is_seen(feature):
    header, *sources = feature_sources()
    assert feature in header
    assert unexplained_features(header.replace(feature, "it"), *sources) == {"VERSION_1", feature}


def test_a_feature_that_is_only_accepted_is_seen():
    header, features_h, features_c, others = feature_sources()
    assert unexplained_features(header, features_h, features_c,
                                others.replace("VIRTIO_NET_F_CTRL_VQ", "0")) == \
        {"VERSION_1", "CTRL_VQ"}

# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Where a kernel that UEFI starts has its words from: load options, else a file
beside the loader, else fw_cfg.

Each boot offers the better source and the worse one; fw_cfg alone is
what every other boot here uses.
"""

import shlex
import shutil
import subprocess

import boot
import images

STATUS_PASS = 33  # what QEMU makes of the guest's code for PASS
BOOT_LIMIT_S = 300  # a hang detector


def words_of(output):
    """The command line that the kernel says it has."""
    return output.split("command line '", 1)[1].split("'\n", 1)[0]


def esp_with(path, content):
    """A copy of the ESP image with paravane.cmd beside the loader."""
    shutil.copy(images.folder(images.RELEASE) / "esp.img", path)
    subprocess.run(["mcopy", "-i", path, "-", "::/EFI/BOOT/paravane.cmd"], check=True,
                   input=content)
    return path


def test_a_file_beside_the_loader_comes_before_fw_cfg(run_name, tmp_path):
    image = esp_with(tmp_path / "esp.img", b"test=none\ncmd=help\r\n")
    result, _, _ = boot.boot_and_pass(run_name, "--boot", "uefi", "--net", "none", "--image", image,
                                      "--append", "test=list")
    assert words_of(result.stdout) == "test=none cmd=help", result.explain()


def test_a_file_that_is_no_text_is_refused_in_words(run_name, tmp_path):
    image = esp_with(tmp_path / "esp.img", b"test=none\xff\x01")
    result = boot.boot(run_name, "--boot", "uefi", "--net", "none", "--image", image)
    assert (result.status, result.word) == (boot.NO_RESULT, "INCOMPLETE"), result.explain()
    assert "paravane.cmd: not plain ASCII text" in result.detail


def test_load_options_come_before_the_file_and_fw_cfg(run_name, tmp_path):
    """QEMU hands -kernel and -append to OVMF, which starts the program with
    the words as load options."""
    printed = boot.run(f"{run_name}.line", "-n", "--no-build", "--boot", "uefi", "--net", "none",
                       "--image", esp_with(tmp_path / "esp.img", b"test=list"), "--append",
                       "test=list")
    assert printed.status == boot.PASS, printed.explain()
    line = [word.replace(",bootindex=0", "") for word in shlex.split(printed.stdout)]
    line += ["-kernel", images.folder(images.RELEASE) / "BOOTX64.EFI", "-append",
             "test=none cmd=help"]
    result = subprocess.run(line, check=False, stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, errors="replace", timeout=BOOT_LIMIT_S)
    assert result.returncode == STATUS_PASS, result.stderr + result.stdout[-2000:]
    assert words_of(result.stdout) == "test=none cmd=help"

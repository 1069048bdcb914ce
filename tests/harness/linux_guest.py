# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""linux_guest: a stock Linux as a stranger: Debian's cloud kernel with an initramfs of
busybox and the virtio modules.

The two packages are fetched with apt-get download and only unpacked, under
build/linux-guest; nothing is installed.
Facts: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst (cpio, "newc").
"""

import fcntl
import gzip
import re
import shutil
import subprocess

import pytest

import boot

FOLDER = boot.BUILD / "linux-guest"
FETCH_LIMIT_S = 300
MODULES = ["virtio/virtio_ring", "virtio/virtio", "virtio/virtio_pci_legacy_dev",
           "virtio/virtio_pci_modern_dev", "virtio/virtio_pci"]
NET_MODULES = ["net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net"]
APPLETS = ["sh", "mount", "insmod", "ip", "udhcpc", "ping", "poweroff", "sleep", "cat", "echo",
           "grep"]

# /udhcpc: called by udhcpc with an address.
UDHCPC = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/24" dev "$interface"
echo "guest: address $ip router $router"
"""

INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in {modules}; do insmod "/modules/$module.ko" || echo "guest: no $module"; done
tries=60
while [ ! -e /sys/class/net/eth0 ] && [ $tries -gt 0 ]; do tries=$((tries - 1)); sleep 1; done
ip link set lo up
ip link set eth0 up
{commands}
echo "guest: end"
poweroff -f
"""


def _download(package, target):
    """Fetches a package of the distribution and unpacks it to `target`."""
    packages = FOLDER / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    try:
        fetched = subprocess.run(["apt-get", "download", "-q", package], cwd=packages, check=False,
                                 text=True, capture_output=True, timeout=FETCH_LIMIT_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{package} was not fetched within {FETCH_LIMIT_S} s")
    found = sorted(packages.glob(f"{package}_*.deb"))
    if fetched.returncode != 0 and not found:
        pytest.skip(f"{package} cannot be fetched: {fetched.stderr.strip()[-200:]}")
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["dpkg-deb", "-x", found[-1], target], check=True)


def _kernel_package():
    """The package that linux-image-cloud-amd64 stands for."""
    shown = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"], check=False,
                           capture_output=True, text=True)
    match = re.search(r"Depends: (linux-image-\S+)", shown.stdout)
    if shown.returncode != 0 or match is None:
        pytest.skip("the distribution has no linux-image-cloud-amd64")
    return match[1]


def _one(pattern):
    found = sorted(FOLDER.glob(pattern))
    if not found:
        pytest.skip(f"this distribution's packages have no {pattern.split('/', 1)[1]}")
    return found[-1]


def prepare():
    """Fetches what is not there yet; skips the test where that cannot be. Returns the kernel."""
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not there: packages come from Debian")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (FOLDER / "done").exists():
            _download(_kernel_package(), FOLDER / "kernel")
            _download("busybox-static", FOLDER / "busybox")
            (FOLDER / "done").write_text("")
    return _one("kernel/boot/vmlinuz-*")


def _cpio_entry(name, mode, data=b""):
    name = name.encode() + b"\0"
    head = "070701" + "".join(f"{field:08X}" for field in
                              (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0))
    entry = head.encode() + name
    entry += bytes(-len(entry) % 4) + data
    return entry + bytes(-len(entry) % 4)


def make_initramfs(path, commands):
    """An initramfs whose init loads the modules, brings eth0 up, runs
    `commands` (shell) and powers off."""
    prepare()
    entries = [_cpio_entry(name, 0o40755) for name in
               ("bin", "modules", "proc", "sys", "dev")]
    entries.append(_cpio_entry("bin/busybox", 0o100755, _one("busybox/bin/busybox").read_bytes()))
    entries += [_cpio_entry(f"bin/{applet}", 0o120777, b"busybox") for applet in APPLETS]
    names = []
    for module in [f"drivers/{name}" for name in MODULES] + NET_MODULES:
        source = _one(f"kernel/lib/modules/*/kernel/{module}.ko")
        names.append(source.stem)
        entries.append(_cpio_entry(f"modules/{source.name}", 0o100644, source.read_bytes()))
    entries.append(_cpio_entry("udhcpc", 0o100755, UDHCPC.encode()))
    entries.append(_cpio_entry("init", 0o100755,
                               INIT.format(modules=" ".join(names), commands=commands).encode()))
    entries.append(_cpio_entry("TRAILER!!!", 0))
    path.write_bytes(gzip.compress(b"".join(entries), 1))
    return path


def emulator_line(initramfs, memory_mb=256, machine="q35"):
    """QEMU's command line for it, without a card; the console is the serial port. Room for a second
    processor, or TCG orders no memory accesses (run-qemu.sh says why)."""
    return ["qemu-system-x86_64", "-machine", f"{machine},accel=tcg", "-cpu", "max", "-m",
            str(memory_mb), "-smp", "1,maxcpus=2", "-nodefaults", "-display", "none", "-serial",
            "stdio", "-no-reboot", "-kernel", str(prepare()), "-initrd", str(initramfs), "-append",
            "console=ttyS0 quiet panic=-1 random.trust_cpu=on"]


def insist_on_answers(said, count):
    """Every echo of busybox's ping was answered; or which were not."""
    answered = {int(number) for number in re.findall(r"^\d+ bytes from .*seq=(\d+) ", said,
                                                     re.MULTILINE)}
    lost = sorted(set(range(count)) - answered)
    assert not lost, f"no answers to the echoes {lost} of {count}: {said}"
    assert f"{count} packets transmitted, {count} packets received, 0% packet loss" in said, said

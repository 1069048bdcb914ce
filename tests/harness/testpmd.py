# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""testpmd: runs DPDK's dpdk-testpmd, without huge pages and without devices of this machine, as the
driver (virtio-user) or the device (vhost) of a vhost-user socket.

Facts: DPDK 22.11, Testpmd Application User Guide; its guides to the virtio
and vhost poll mode drivers.
"""

import contextlib
import glob
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

LIMIT_S = 60  # a hang detector
MEMORY_MB = 128
PMD_FOLDERS = "/usr/lib/*/dpdk/pmds-*"
# The first two on which this process may run: the tests pin what they compare.
CPUS = (sorted(os.sched_getaffinity(0)) * 2)[:2]


def skip_without(driver):
    """Skips the test when testpmd or its driver (virtio, vhost) is not
    installed, or has one CPU only."""
    if shutil.which("dpdk-testpmd") is None:
        pytest.skip("dpdk-testpmd is not installed (Debian: dpdk-dev)")
    if not glob.glob(f"{PMD_FOLDERS}/librte_net_{driver}.so*"):
        pytest.skip(f"DPDK's {driver} driver is not installed (Debian: librte-net-{driver}23)")
    if not os.path.exists("/sys/devices/system/cpu"):
        pytest.skip("DPDK looks for its CPUs in /sys, which is not mounted here")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("dpdk-testpmd needs two CPUs")


class Testpmd:
    """A running testpmd, spoken to by its prompt."""

    __test__ = False

    def __init__(self, process, log):
        self.process = process
        self.log = log

    def output(self):
        return self.log.read_text(errors="replace")

    def command(self, text, answer, limit_s=LIMIT_S):
        """Gives a command and waits until `answer` has come once more; the output since."""
        before = len(self.output())
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()
        return self.wait_for(answer, before, limit_s)

    def wait_for(self, answer, start=0, limit_s=LIMIT_S):
        deadline = time.monotonic() + limit_s
        while re.search(answer, self.output()[start:]) is None:
            assert self.process.poll() is None, f"testpmd ended: {self.output()[-3000:]}"
            assert time.monotonic() < deadline, f"no {answer!r} in: {self.output()[-3000:]}"
            time.sleep(0.02)
        return self.output()[start:]

    def counters(self):
        """(received, sent) of port 0."""
        text = self.command("show port stats 0", r"TX-bytes: *\d+[\s\S]*####\s")
        return (int(re.search(r"RX-packets: *(\d+)", text)[1]),
                int(re.search(r"TX-packets: *(\d+)", text)[1]))

    def stop(self):
        """Stops forwarding; counts of all it did: (received, sent, not sent)."""
        text = self.command("stop", r"Done\.")
        total = re.search(
            r"Accumulated[\s\S]*RX-packets: (\d+)[\s\S]*TX-packets: (\d+) *TX-dropped: (\d+)", text)
        return tuple(map(int, total.groups()))


@contextlib.contextmanager
def run(folder, name, vdev, *options, cpus=CPUS, more=()):
    """Starts testpmd with a virtual device.

    folder, name   its log is folder/name.log; the name also keeps instances apart
    vdev           --vdev=...
    options        of testpmd itself
    more           further devices
    cpus           the first for its prompt, the second forwards
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    command = ["stdbuf", "-oL", "dpdk-testpmd", "--no-huge", "-m", str(MEMORY_MB), "--no-pci",
               "--no-telemetry", "--no-shconf", "-l", ",".join(map(str, cpus)), "--main-lcore",
               str(cpus[0]), f"--file-prefix=paravane-{os.getpid()}-{name}",
               *(f"--vdev={one}" for one in (vdev, *more)), "--", "-i",
               "--total-num-mbufs=4096", *options]
    with open(log, "wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out,
                                   stderr=subprocess.STDOUT, start_new_session=True)
    running = Testpmd(process, log)
    try:
        running.wait_for("testpmd> ")
        yield running
        if process.poll() is None:
            process.stdin.write(b"stop\nquit\n")
            process.stdin.close()
            process.wait(timeout=LIMIT_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

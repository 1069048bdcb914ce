# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""boot: runs ./run-qemu.sh and hands back what happened, checked.

Every run leaves its logs in build/test/<name>/: command, serial.log, stderr.log. Time limits here
are hang detectors, far above what a slow machine takes; no test passes or fails by the clock.
"""

import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import ktap

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / "build"
RUNNER = TOP / "run-qemu.sh"
FAKE_QEMU = TOP / "tests/harness/fake_qemu.py"

PASS, FAIL, USAGE, MISSING, PANIC, HANG, NO_RESULT, ERROR = range(8)
RUN_LIMIT_S = 900
GUEST_SILENCE_S = 120  # --timeout of real boots: generous, the machine may be busy
VERDICT = re.compile(r"([A-Z]+)(?: \((.*)\))?$")


@dataclass
class Run:
    """One run of run-qemu.sh: its exit status, both outputs, and the verdict line taken apart."""

    status: int
    stdout: str
    stderr: str
    word: str = ""
    detail: str = ""

    def stream(self):
        """The KTAP stream on the standard output, read strictly."""
        return ktap.parse(self.stdout)

    def explain(self):
        return (f"status {self.status}, {self.word} ({self.detail})\n{self.stderr}\n"
                f"{self.stdout[-4000:]}")


def _finish(process, name):
    try:
        return process.communicate(timeout=RUN_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate()
        raise AssertionError(f"{name}: run-qemu.sh did not end within {RUN_LIMIT_S} s") from None


def run(name, *options, env=None, stdin=None, cwd=TOP):
    """Runs run-qemu.sh with its standard output on a pipe.

    name     folder of the logs under build/test
    options  as on the command line
    env      additions to the environment
    """
    folder = BUILD / "test" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [str(RUNNER), *map(str, options)]
    (folder / "command").write_text(shlex.join(command) + "\n")
    with subprocess.Popen(command, cwd=cwd, env=os.environ | (env or {}), text=True,
                          errors="replace", stdin=stdin or subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          start_new_session=True) as process:
        stdout, stderr = _finish(process, name)
    (folder / "serial.log").write_text(stdout)
    (folder / "stderr.log").write_text(stderr)
    result = Run(process.returncode, stdout, stderr)
    for line in stderr.splitlines():
        if match := VERDICT.match(line):
            result.word, result.detail = match.group(1), match.group(2) or ""
    return result


def boot(name, *options, env=None):
    """Boots the image that is already built; the caller judges."""
    return run(name, "--no-build", "--timeout", GUEST_SILENCE_S, *options, env=env)


def boot_and_pass(name, *options, env=None):
    """Boots, and insists on a whole success: exit status, verdict, strict KTAP, no failed test."""
    result = boot(name, *options, env=env)
    assert result.status == PASS, result.explain()
    assert result.word == "PASS", result.explain()
    stream = result.stream()
    passed, failed, _ = stream.counts()
    assert failed == 0 and stream.bail_out is None, result.explain()
    return result, stream, passed


def run_on_terminal(name, *options, env=None):
    """Runs with the standard output on a pseudo-terminal; (exit status,
    what the terminal was sent)."""
    folder = BUILD / "test" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    master, slave = pty.openpty()
    environment = os.environ | {"TERM": "xterm"} | (env or {})
    with subprocess.Popen([str(RUNNER), *map(str, options)], cwd=TOP, env=environment,
                          stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.PIPE,
                          start_new_session=True) as process:
        os.close(slave)
        output = b""
        while select.select([master], [], [], RUN_LIMIT_S)[0]:
            try:
                chunk = os.read(master, 65536)
            except OSError:  # the other end is closed: Linux says EIO
                break
            if not chunk:
                break
            output += chunk
        else:
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate()
    os.close(master)
    (folder / "terminal.log").write_bytes(output)
    return process.returncode, output.decode(errors="replace")


def screen_lines(output):
    """What stays on the screen: lines without colours, after the erasures."""
    lines = []
    for line in output.replace("\r\n", "\n").split("\n"):
        line = line.rsplit("\r\x1b[K", 1)[-1]
        lines.append(re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line))
    return lines


def program_in(folder, name, *command):
    """A program that runs `command` with the arguments it gets; its path, for
    an environment like QEMU=."""
    path = Path(folder) / name
    path.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, command))} "$@"\n')
    path.chmod(0o755)
    return str(path)


def fake_guest(folder, script, **more):
    """The environment in which run-qemu.sh boots the guest that `script`
    describes (fake_qemu.py)."""
    path = Path(folder) / "guest"
    path.write_text(script)
    return {"QEMU": str(FAKE_QEMU), "FAKE_GUEST": str(path), **more}


def empty_elf(folder):
    """A file that passes for an ELF; the fake emulator does not look inside."""
    path = Path(folder) / "fake.elf"
    path.write_bytes(b"\x7fELF" + bytes(60))
    return path

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""fake_qemu: stands in for the emulator (QEMU=tests/harness/fake_qemu.py
./run-qemu.sh --no-build ...).

Plays the guest that the file $FAKE_GUEST describes, line by line: each line goes to the serial port
(standard output), except the commands

  @part TEXT        TEXT without an end of line
  @shutdown REASON  the monitor reports SHUTDOWN with that reason
  @stderr TEXT      the emulator complains
  @forever          stays, answers "info registers" with RIP of $FAKE_RIP, until it is killed
  @deaf             from now on SIGTERM is ignored
  @exit STATUS      leaves

and writes its own arguments, one a line, to $FAKE_ARGV if that is set.
"""

import json
import os
import signal
import sys

ENDLESS_PAUSE_S = 3600


def monitor_pipe():
    """The path given by -chardev pipe,id=qmp,path=PATH."""
    for argument in sys.argv:
        if argument.startswith("pipe,id=qmp,path="):
            return argument.split("path=", 1)[1]
    return None


def report_shutdown(reason):
    event = {"timestamp": {"seconds": 0, "microseconds": 0}, "event": "SHUTDOWN",
             "data": {"guest": True, "reason": reason}}
    with open(monitor_pipe() + ".out", "w", encoding="ascii") as answers:
        print(json.dumps(event), file=answers, flush=True)


def stay():
    pipe = monitor_pipe()
    with open(pipe + ".in", encoding="ascii") as questions, \
            open(pipe + ".out", "w", encoding="ascii") as answers:
        for question in questions:
            if "info registers" in question:
                text = f"\r\nCPU#0\r\nRIP={os.environ.get('FAKE_RIP', '0' * 16)} RFL=2\r\n"
                print(json.dumps({"return": text}), file=answers, flush=True)
    signal.alarm(ENDLESS_PAUSE_S)
    signal.pause()


def play(line):
    command, _, argument = line.rstrip("\n").partition(" ")
    if command == "@part":
        sys.stdout.write(argument)
    elif command == "@shutdown":
        report_shutdown(argument)
    elif command == "@stderr":
        print(argument, file=sys.stderr, flush=True)
    elif command == "@forever":
        sys.stdout.flush()
        stay()
    elif command == "@deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif command == "@exit":
        sys.stdout.flush()
        sys.exit(int(argument))
    else:
        sys.stdout.write(line)
    sys.stdout.flush()


def main():
    if "FAKE_ARGV" in os.environ:
        with open(os.environ["FAKE_ARGV"], "w", encoding="utf-8") as log:
            log.write("".join(argument + "\n" for argument in sys.argv[1:]))
    with open(os.environ["FAKE_GUEST"], encoding="utf-8", newline="\n") as guest:
        for line in guest:
            play(line)


main()

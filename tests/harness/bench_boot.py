# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""bench_boot: how long a boot takes, from the start of the emulator's process.

Usage: bench_boot.py RESULTS_JSON [--rounds N] [--rounds-uefi N]

For each boot path, two figures: to the first line of KTAP, and to the end of a boot without tests
(test=none). The yardstick is a guest that does nothing (empty_pvh.S; under UEFI empty_efi.S, so
that the firmware's own time is in it) on the same machine, measured in turn with the boots, so that
the machine's moods fall on both. Adds to the array in RESULTS_JSON rows like those of
tests/bench/bench.c: {"name", "unit", "min", "median", "yardstick", "ratio"}, times in nanoseconds,
the yardstick's fastest run, and the ratio of the fastest runs.
"""

import argparse
import shlex
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import bench_results
import boot

# Name, options of run-qemu.sh, and the machine whose yardstick it is held against.
PATHS = [("microvm", ["--boot", "microvm"], "microvm"),
         ("pvh_q35", ["--boot", "pvh", "--machine", "q35"], "q35"),
         ("uefi_q35", ["--boot", "uefi", "--machine", "q35"], "uefi")]
COMMON = ["--smp", "1", "--net", "none", "--test", "none"]
ROUNDS, ROUNDS_UEFI = 30, 7
BOOT_LIMIT_S = 120  # a hang detector
STATUS_PASS = 33
NS_PER_MS = 1000000


def emulator_line(options):
    printed = subprocess.run([boot.RUNNER, "-n", *options, *COMMON], check=True,
                             capture_output=True, text=True).stdout
    return shlex.split(printed)


def with_kernel(line, kernel):
    """The same machine with another kernel, and without a command line for it."""
    at = line.index("-kernel")
    words = line[at + 4:] if line[at + 2:at + 3] == ["-append"] else line[at + 2:]
    return line[:at] + ["-kernel", str(kernel)] + words


def with_esp(line, esp):
    """The same machine with another EFI system partition."""
    own = str(boot.BUILD / "release/esp.img")
    assert any(own in word or "release/esp.img" in word for word in line), line
    return [word.replace(own, str(esp)).replace("build/release/esp.img", str(esp)) for word in line]


def build_efi_yardstick(folder):
    """An ESP image with empty_efi.S, made by the project's own rules for ours."""
    esp = folder / "efi/esp.img"
    subprocess.run(["make", "-s", f"YARDSTICK={esp.relative_to(boot.TOP)}", "efi-yardstick"],
                   check=True, cwd=boot.TOP)
    return esp


def build_yardstick(folder):
    folder.mkdir(parents=True, exist_ok=True)
    elf = folder / "empty_pvh.elf"
    subprocess.run(["gcc", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none",
                    "-Wl,-Ttext-segment=0x200000", "-Wl,-z,max-page-size=4096", "-o", elf,
                    boot.TOP / "tests/harness/empty_pvh.S"], check=True)
    return elf


def time_one(line, wants_ktap):
    """(ns to the first KTAP line or None, ns to the end); SystemExit when
    the guest does not succeed."""
    start = time.monotonic_ns()
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          cwd=boot.TOP) as process:
        watch = threading.Timer(BOOT_LIMIT_S, process.kill)  # a guest that hangs is one that fails
        watch.start()
        first = None
        for text in process.stdout:
            if first is None and text.rstrip().endswith(b"KTAP version 1"):
                first = time.monotonic_ns() - start
        status = process.wait()
        watch.cancel()
        end = time.monotonic_ns() - start
    if status != STATUS_PASS or (wants_ktap and first is None):
        sys.exit(f"bench_boot: status {status}, not a success: {shlex.join(line)}")
    return first, end


def measure(rounds, rounds_uefi):
    """Lists of nanoseconds, by the name of the figure or ("yardstick", machine)."""
    empty = build_yardstick(boot.BUILD / "bench")
    lines = {name: emulator_line(options) for name, options, _ in PATHS}
    yardsticks = {"microvm": with_kernel(lines["microvm"], empty),
                  "q35": with_kernel(lines["pvh_q35"], empty),
                  "uefi": with_esp(lines["uefi_q35"], build_efi_yardstick(boot.BUILD / "bench"))}
    times = {}
    for round_number in range(-1, max(rounds, rounds_uefi)):  # round -1 warms the caches up
        for machine, line in yardsticks.items():
            if round_number >= (rounds_uefi if machine == "uefi" else rounds):
                continue
            end = time_one(line, wants_ktap=False)[1]
            times.setdefault(("yardstick", machine), []).append(end)
        for name, line in lines.items():
            if round_number >= (rounds_uefi if name.startswith("uefi") else rounds):
                continue
            first, end = time_one(line, wants_ktap=True)
            times.setdefault(f"boot.{name}.first_line", []).append(first)
            times.setdefault(f"boot.{name}.whole", []).append(end)
    return {name: values[1:] for name, values in times.items()}


def rows_of(times):
    rows = []
    for name, _, machine in PATHS:
        yardstick = min(times["yardstick", machine])
        for what in ("first_line", "whole"):
            values = times[f"boot.{name}.{what}"]
            rows.append({"name": f"boot.{name}.{what}", "unit": "boot", "min": min(values),
                         "median": round(statistics.median(values)), "yardstick": yardstick,
                         "ratio": round(min(values) / yardstick, 3)})
    return rows


def print_rows(rows):
    print(f"{'name':<36} {'min':>9} {'median':>9} {'yardstick':>9} {'ratio':>6}  (ms)")
    for row in rows:
        ms = [row[key] / NS_PER_MS for key in ("min", "median", "yardstick")]
        print(f"{row['name']:<36} {ms[0]:9.1f} {ms[1]:9.1f} {ms[2]:9.1f} {row['ratio']:6.2f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--rounds-uefi", type=int, default=ROUNDS_UEFI)
    arguments = parser.parse_args()
    rows = rows_of(measure(arguments.rounds, arguments.rounds_uefi))
    bench_results.add(arguments.results, rows)
    print_rows(rows)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""bench_vmbus: round trips between the guest and vmbus-host, over the pages
and doorbells that they share.

Usage: bench_vmbus.py RESULTS_JSON [--packets N]

Packets of 8 to 256 bytes, each compared when it comes back; a lost one fails the run. One at a time
(vmbus.round_trip), and 32 under way (vmbus.round_trip.window32), a million of each. The yardstick
is the same number of round trips between two processes that wake one another by eventfds and share
nothing else, measured before and after.
"""

import argparse
import multiprocessing
import os
import re
import sys
import time
from pathlib import Path

import bench_results
import boot
import images

PACKETS, YARDSTICK_ROUNDS = 1000000, 50000
WINDOWS = {1: "vmbus.round_trip", 32: "vmbus.round_trip.window32"}
LIMIT_S = 900


def answer_wakes(there, back, rounds):
    for _ in range(rounds):
        os.eventfd_read(there)
        os.eventfd_write(back, 1)


def time_wakes(rounds=YARDSTICK_ROUNDS):
    """Nanoseconds for a wake there and a wake back."""
    there, back = os.eventfd(0), os.eventfd(0)
    other = multiprocessing.get_context("fork").Process(target=answer_wakes,
                                                        args=(there, back, rounds))
    other.start()
    begin = time.monotonic_ns()
    for _ in range(rounds):
        os.eventfd_write(there, 1)
        os.eventfd_read(back)
    took = time.monotonic_ns() - begin
    other.join()
    os.close(there)
    os.close(back)
    return took / rounds


def time_round_trips(packets, window):
    """Nanoseconds a packet, by the guest's clock; SystemExit when one was lost."""
    elf = images.folder(images.ALL_TESTS) / "paravane.elf"
    result = boot.boot(f"bench_vmbus.{window}", "--vmbus", "--vmbus-args", "--stats", "--boot",
                       "pvh", "--image", elf, "--timeout", LIMIT_S, "--test",
                       "vmbus_echo.round_trips", "--append",
                       f"vmbus_echo.packets={packets} vmbus_echo.window={window} "
                       f"vmbus_echo.seconds={LIMIT_S}")
    done = re.search(r"(\d+) round trips, .*?: (\d+) ns each", result.stdout)
    if result.status != boot.PASS or done is None or int(done[1]) != packets:
        sys.exit(f"bench_vmbus: {result.explain()}")
    return int(done[2])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("--packets", type=int, default=PACKETS)
    arguments = parser.parse_args()
    rows = []
    print(f"{'name':<36} {'us':>9} {'packets/s':>11} {'yardstick':>9} {'ratio':>6}")
    for window, name in WINDOWS.items():
        before = time_wakes()
        took = time_round_trips(arguments.packets, window)
        yardstick = min(before, time_wakes())
        rows.append({"name": name, "unit": "packet", "min": took, "median": took,
                     "yardstick": round(yardstick, 1),
                     "ratio": round(took / yardstick, 3)})
        print(f"{name:<36} {took / 1000:9.2f} {10**9 // took:11} "
              f"{yardstick / 1000:9.2f} {took / yardstick:6.2f}")
    bench_results.add(arguments.results, rows)


if __name__ == "__main__":
    main()

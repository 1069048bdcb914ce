# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""bench_guest: how many instructions the guest takes to map a page of user
memory, touch it and unmap it.

Usage: bench_guest.py RESULTS_JSON

Boots the image with all tests under QEMU's -icount shift=0, where the time stamp counter counts
instructions, and reads what tests/boot/all/map_cost_test.c logs. That a tick is an instruction is
seen on a loop of known length first. Rows: map_cost.page (the VMO has the page already) and
map_cost.page.fresh (the touch takes and clears one), each as a whole and by step. "min" and
"median" are the same number: a count repeats.
"""

import argparse
import re
import sys
from pathlib import Path

import bench_results
import boot
import images

LOOP = re.compile(r"map_cost\.loop: (\d+) instructions in (\d+) ticks")
ROW = re.compile(
    r"(map_cost\.page(?:\.fresh)?): map (\d+), touch (\d+), unmap (\d+), whole (\d+) ticks")
STEPS = (".map", ".touch", ".unmap", "")
LOOP_EXCESS_MAX = 16  # around the loop


def count():
    """[(name, instructions)]; SystemExit when the run failed, or its ticks are no instructions."""
    elf = images.folder(images.ALL_TESTS) / "paravane.elf"
    result = boot.boot("bench_guest", "--boot", "microvm", "--smp", 1, "--net", "none", "--image",
                       elf, "--test", "map_cost.*", "--", "-icount", "shift=0,sleep=off")
    loop = LOOP.search(result.stdout)
    rows = ROW.findall(result.stdout)
    if result.status != boot.PASS or loop is None or not rows:
        sys.exit(f"bench_guest: {result.explain()}")
    instructions, ticks = int(loop[1]), int(loop[2])
    if not instructions <= ticks <= instructions + LOOP_EXCESS_MAX:
        sys.exit(
            f"bench_guest: {instructions} instructions took {ticks} ticks: not counted one by one")
    return [(name + step, int(number)) for name, *numbers in rows
            for step, number in zip(STEPS, numbers)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    arguments = parser.parse_args()
    counts = count()
    print(f"{'name':<36} {'instructions':>12}")
    for name, number in counts:
        print(f"{name:<36} {number:12}")
    bench_results.add(arguments.results,
                      [{"name": name, "unit": "instructions of a page", "min": number,
                                           "median": number, "yardstick": None, "ratio": None}
                                          for name, number in counts])


if __name__ == "__main__":
    main()

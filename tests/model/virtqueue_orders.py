# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Holds the memory orders of lib/virtqueue against the relacy model checker, and the
checker against weakened orders.

Usage: virtqueue_orders.py FOLDER [MUTANT]

Builds tests/model/virtqueue_model.cpp and the two ends in FOLDER, over lib/virtqueue as it
is: nothing may be found. Then one mutant after the other: every acquire, release and fence
that stands in lib/virtqueue is taken away in turn, and so is each last look before sleep;
something must be found in each. MODEL_ITERATIONS says how often each scenario is run (20000).
"""

import os
import subprocess
import sys

import orders

MODEL = orders.TOP / "tests/model"
CXX, CC = os.environ.get("CXX", "g++"), os.environ.get("CC", "gcc")
ITERATIONS = os.environ.get("MODEL_ITERATIONS", "20000")
# One process's own threads: tests/host/virtqueue_signals_threads_hosted_test.c, ThreadSanitizer.
ELSEWHERE = ["virtqueue_device_signals.h"]

# What else a lost wake-up would come from; name: (file, what stands there, what the mutant has
# instead)
LOOKS = {
    "split: the last look at avail.idx": (
        "virtqueue_device_split.c",
        "return !look_at_avail_index(device) || device->seen != device->popped;", "return false;"),
    "split: the last look at used.idx": (
        "virtqueue_split_driver.c",
        "if (!look_at_used_index(queue))\n                return true;\n"
        "        return (uint32_t)(queue->seen - queue->taken) >= count;", "return false;"),
    "packed: the last look at an available descriptor": (
        "virtqueue_device_packed.c",
        "return (words.rest & VIRTQUEUE_REST_BOTH) ==\n               "
        "virtqueue_packed_available_on_lap(device->next_popped.wrap);",
        "return false;"),
    "packed: the last look at a used descriptor": (
        "virtqueue_packed_driver.c", "return used || queue->batch_left != 0;", "return false;"),
}


def compile_c(work, folder, source):
    target = work / (source.stem + ".o")
    subprocess.run([CC, "-std=gnu17", "-O1", "-g", "-fno-strict-aliasing", "-DPARAVANE_DEBUG=1",
                    f"-I{work}", f"-I{folder}/include", "-c", source, "-o", target], check=True)
    return target


def build(folder, name, mutant):
    """Builds everything the first time, then only what the mutant changes."""
    work, first = folder / name, folder / "as-it-is"
    orders.copy_sources(work, "virtqueue", MODEL / "shim/virtqueue_shared.h", mutant)
    link = folder / "include/tests/model"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(MODEL)
    sources = sorted((work / "virtqueue").glob("*.c")) + [MODEL / "virtqueue_model_ends.c"]
    changed = [source for source in sources if mutant is None or mutant[0].endswith(".h")
               or source.name == mutant[0]]
    objects = [compile_c(work, folder, source) if source in changed
               else first / (source.stem + ".o")
               for source in sources]
    checker = first / "checker.o"
    if mutant is None:
        # What it would warn of is in relacy.
        subprocess.run([CXX, "-std=gnu++20", "-w", "-O1", "-g", f"-I{folder}/include", "-c",
                        MODEL / "virtqueue_model.cpp", "-o", checker], check=True)
    subprocess.run([CXX, "-o", work / "model", checker, *objects], check=True)
    return work / "model", ITERATIONS


if __name__ == "__main__":
    sys.exit(orders.main(build, {**orders.every_order("virtqueue", ELSEWHERE), **LOOKS}))

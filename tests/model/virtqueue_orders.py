# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Holds the memory orders of lib/virtqueue against the relacy model checker, and the
checker against weakened orders.

Usage: virtqueue_orders.py FOLDER [MUTANT]

Builds tests/model/virtqueue_model.cpp and the two ends in FOLDER, over lib/virtqueue as it
is: nothing may be found. Then with one order after the other of spec/virtio.md, 8, taken
away, in each layout and at each end: something must be found. MODEL_ITERATIONS says how often
each scenario is run (20000).
"""

import os
import subprocess
import sys

import orders

MODEL = orders.TOP / "tests/model"
CXX, CC = os.environ.get("CXX", "g++"), os.environ.get("CC", "gcc")
ITERATIONS = os.environ.get("MODEL_ITERATIONS", "20000")
FENCE = "shared_fence_full();\n"

MUTANTS = {
    "split: avail.idx is published by a release store": (
        "virtqueue_split_driver.c", "shared_store_release_u16(&queue->avail->index,",
        "shared_store_u16(&queue->avail->index,"),
    "split: avail.idx is loaded with acquire": (
        "virtqueue_device_ring.h", "shared_load_acquire_u16(&ring->avail->index)",
        "shared_load_u16(&ring->avail->index)"),
    "split: used.idx is published by a release store": (
        "virtqueue_device_ring.h", "shared_store_release_u16(&ring->used->index,",
        "shared_store_u16(&ring->used->index,"),
    "split: used.idx is loaded with acquire": (
        "virtqueue_split_driver.c", "shared_load_acquire_u16(&queue->used->index)",
        "shared_load_u16(&queue->used->index)"),
    "split: a fence between avail.idx and the device's wish": (
        "virtqueue_split_driver.c", FENCE + "        if (!queue->event_index)",
        "        if (!queue->event_index)"),
    "split: a fence between the device's wish and its last look": (
        "virtqueue_device_split.c", FENCE + "        return !look_at_avail_index(device)",
        "        return !look_at_avail_index(device)"),
    "split: a fence between used.idx and the driver's wish": (
        "virtqueue_device_split.c", FENCE + "        return virtqueue_device_ring_signal_wanted",
        "        return virtqueue_device_ring_signal_wanted"),
    "split: a fence between the driver's wish and its last look": (
        "virtqueue_split_driver.c", FENCE + "        if (!look_at_used_index(queue))",
        "        if (!look_at_used_index(queue))"),
    "packed: the first head is published by a release store": (
        "virtqueue_packed_driver.c",
        "shared_store_release_u64(&ring_of(queue)[queue->held_offset].bytes,",
        "shared_store_u64(&ring_of(queue)[queue->held_offset].bytes,"),
    "packed: an available descriptor is loaded with acquire": (
        "virtqueue_device_packed.h", "shared_load_acquire_u64(&descriptor->bytes)",
        "shared_load_u64(&descriptor->bytes)"),
    "packed: the first used descriptor is published by a release store": (
        "virtqueue_device_packed.c", "shared_store_release_u64(&held->bytes,",
        "shared_store_u64(&held->bytes,"),
    "packed: a used descriptor is loaded with acquire": (
        "virtqueue_packed_driver.c", "shared_load_acquire_u64(&ring[offset].bytes)",
        "shared_load_u64(&ring[offset].bytes)"),
    "packed, in order: a used descriptor is loaded with acquire": (
        "virtqueue_packed_driver.c",
        "shared_load_acquire_u64(&ring_of(queue)[place.offset].bytes)",
        "shared_load_u64(&ring_of(queue)[place.offset].bytes)"),
    "packed: a fence between the first head and the device's wish": (
        "virtqueue_packed_driver.c", FENCE + "        uint32_t event = ",
        "        uint32_t event = "),
    "packed: a fence between the device's wish and its last look": (
        "virtqueue_device_packed.c", FENCE + "        words = virtqueue_packed_load_words(",
        "        words = virtqueue_packed_load_words("),
    "packed: a fence between the used descriptor and the driver's wish": (
        "virtqueue_device_packed.c", FENCE + "        return virtqueue_packed_event_wanted",
        "        return virtqueue_packed_event_wanted"),
    "packed: a fence between the driver's wish and its last look": (
        "virtqueue_packed_driver.c", FENCE + "        (void)look_at(", "        (void)look_at("),
    # no orders, but what a lost wake-up would come from as well
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
    sys.exit(orders.main(build, MUTANTS))

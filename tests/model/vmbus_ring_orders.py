# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Holds the memory orders of lib/vmbus_ring against the relacy model checker, and the checker against
weakened orders.

Usage: vmbus_ring_orders.py FOLDER [MUTANT]

Builds tests/model/vmbus_ring_model.cpp in FOLDER from the sources as they are: nothing may be found.
Then from one mutant after the other, each with one order of spec/vmbus.md, c.5, taken away: something
must be found in each. MODEL_ITERATIONS says how often each scenario is run (20000).
"""

import os
import subprocess
import sys

import orders

COMPILER = os.environ.get("CXX", "g++")
ITERATIONS = os.environ.get("MODEL_ITERATIONS", "20000")

# name: (file, what stands there, what the mutant has instead)
MUTANTS = {
    "1: in is published by a release store": (
        "vmbus_sender.h", "shared_store_release_u32(&control->in, ",
        "shared_store_u32(&control->in, "),
    "1: in is loaded with acquire": (
        "vmbus_receiver.h", "shared_load_acquire_u32(&receiver->memory.control->in); /* c.5, 1 */",
        "shared_load_u32(&receiver->memory.control->in);"),
    "2: out is published by a release store": (
        "vmbus_receiver.h", "shared_store_release_u32(&control->out, ",
        "shared_store_u32(&control->out, "),
    "2: out is loaded with acquire": (
        "vmbus_sender.c", "uint32_t value = shared_load_acquire_u32(&memory->control->out);",
        "uint32_t value = shared_load_u32(&memory->control->out);"),
    "3: a fence between in and the mask": (
        "vmbus_sender.h", "shared_fence_full(); /* c.5, 3 */", "/* c.5, 3 */"),
    "4 and 5: a fence before the receiver's last look": (
        "vmbus_receiver.c", "shared_fence_full();\n        if (position->unsettled_words != 0)",
        "if (position->unsettled_words != 0)"),
    "5: a fence before a settlement": (
        "vmbus_receiver.c", "shared_fence_full(); /* c.5, 5:", "/* c.5, 5:"),
    "5: a commit put off is settled before sleep": (
        "vmbus_receiver.c", "if (position->unsettled_words != 0)\n                *signal_sender",
        "if (false)\n                *signal_sender"),
    "5: a commit put off is settled by the next": (
        "vmbus_receiver.h",
        "                if (position->unsettled_words == 0)\n                        return false;",
        "                return false;"),
    "6: a fence before the sender's last look": (
        "vmbus_sender.c", "shared_fence_full(); /* c.5, 6:", "/* c.5, 6:"),
}


def build(folder, name, mutant):
    work = folder / name
    orders.copy_sources(work, "vmbus_ring", orders.TOP / "tests/model/shim/base/shared.h", mutant)
    program = work / "model"
    # The sources are C; what C++ frowns on in them is no news.
    subprocess.run([COMPILER, "-std=gnu++20", "-fpermissive", "-w", "-O1", f"-I{work}", f"-I{orders.TOP}", "-o", program,
                    orders.TOP / "tests/model/vmbus_ring_model.cpp"], check=True)
    return program, ITERATIONS


if __name__ == "__main__":
    sys.exit(orders.main(build, MUTANTS))

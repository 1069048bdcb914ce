# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Holds the memory orders of lib/vmbus_ring against the relacy model checker, and the
checker against weakened orders.

Usage: vmbus_ring_orders.py FOLDER [MUTANT]

Builds tests/model/vmbus_ring_model.cpp in FOLDER from the sources as they are: nothing may be
found. Then one mutant after the other: every acquire, release and fence that stands in
lib/vmbus_ring is taken away in turn, whatever it is there for, and something must be found in each.
So an order that no check needs fails this as well as one that is missing. MODEL_ITERATIONS says how
often each scenario is run (20000).
"""

import os
import shutil
import subprocess
import sys

import orders

COMPILER = os.environ.get("CXX", "g++")
ITERATIONS = os.environ.get("MODEL_ITERATIONS", "20000")

# What else a lost signal would come from; name: (file, what stands there,
# what the mutant has instead)
PUT_OFF = {
    "c.5, 5: a commit put off is settled before sleep": (
        "vmbus_receiver.c", "if (position->unsettled_words != 0)\n                *signal_sender",
        "if (false)\n                *signal_sender"),
    "c.5, 5: a commit put off is settled by the next": (
        "vmbus_receiver.h",
        "                if (position->unsettled_words == 0)\n"
        "                        return false;",
        "                return false;"),
}


def build(folder, name, mutant):
    work = folder / name
    orders.copy_sources(work, "vmbus_ring", orders.TOP / "tests/model/shim/base/shared.h", mutant)
    shutil.copy(orders.TOP / "tests/model/shim/stdatomic.h", work)
    program = work / "model"
    # The sources are C; what C++ frowns on in them is no news. Compiling
    # takes longer than running: no -O.
    subprocess.run([COMPILER, "-std=gnu++20", "-fpermissive", "-w", f"-I{work}", f"-I{orders.TOP}",
                    "-o", program, orders.TOP / "tests/model/vmbus_ring_model.cpp"], check=True)
    return program, ITERATIONS


if __name__ == "__main__":
    sys.exit(orders.main(build, {**orders.every_order("vmbus_ring"), **PUT_OFF}))

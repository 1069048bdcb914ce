# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Holds the memory orders of lib/vmbus_ring against the relacy model checker, and the checker against
weakened orders.

Usage: vmbus_ring_orders.py FOLDER [NAME]

Builds tests/model/vmbus_ring_model.cpp in FOLDER from the sources as they are: nothing may be found.
Then from one mutant after the other, each with one order of spec/vmbus.md, c.5, taken away: something
must be found in each. NAME picks one mutant. Exit status 0: all as it must be; 77: no relacy here.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
COMPILER = os.environ.get("CXX", "g++")
RUN_SECONDS_MAX = 300

# name: (file, what stands there, what the mutant has instead)
MUTANTS = {
    "1: in is published by a release store": (
        "vmbus_sender.h", "shared_store_seq_cst_u32(&control->in, ",
        "shared_store_relaxed_and_fence_u32(&control->in, "),
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
        "vmbus_sender.h", "shared_store_seq_cst_u32(&control->in, ",
        "shared_store_release_u32(&control->in, "),
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


def build(folder, name, mutant=None):
    """The program, made of the sources with one text replaced."""
    work = folder / name
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(TOP / "lib/vmbus_ring", work / "vmbus_ring")
    shutil.copytree(TOP / "lib/base", work / "base")
    shutil.copy(TOP / "tests/model/shim/base/shared.h", work / "base/shared.h")
    if mutant is not None:
        file, old, new = mutant
        text = (work / "vmbus_ring" / file).read_text()
        assert text.count(old) == 1, f"{file} has {text.count(old)} times: {old}"
        (work / "vmbus_ring" / file).write_text(text.replace(old, new))
    program = work / "model"
    # The sources are C; what C++ frowns on in them is no news.
    subprocess.run([COMPILER, "-std=gnu++20", "-fpermissive", "-w", "-O1", f"-I{work}", "-o", program,
                    TOP / "tests/model/vmbus_ring_model.cpp"], check=True)
    return program


def run(program):
    """Whether nothing was found, and the line that says what was."""
    result = subprocess.run([program], check=False, capture_output=True, text=True,
                            timeout=RUN_SECONDS_MAX)
    lines = [line for line in result.stdout.splitlines() if "sleep" in line and ": " in line]
    return result.returncode == 0, lines[-1] if lines else f"exit status {result.returncode}"


def main():
    folder = Path(sys.argv[1])
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    if not Path("/usr/include/relacy/relacy.hpp").exists():
        print("relacy is not installed (Debian: relacy-dev)")
        return 77
    good, what = run(build(folder, "as-it-is"))
    print(f"as it is: {what}")
    failures = 0 if good else 1
    for number, (name, mutant) in enumerate(MUTANTS.items()):
        if wanted not in name:
            continue
        holds, what = run(build(folder, f"mutant-{number}", mutant))
        print(f"without {name}: {'NOTHING FOUND' if holds else 'found in ' + what}", flush=True)
        failures += holds
    print("all as it must be" if failures == 0 else f"{failures} not as they must be")
    return 0 if failures == 0 else 1


if __name__ == "__main__":
    sys.exit(main())

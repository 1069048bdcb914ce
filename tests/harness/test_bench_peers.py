# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""The part of bench_peers.py that does not depend on the machine: how many instructions the guest
spends on a frame that it receives and answers, counted by the emulator (-icount)."""

import json
import subprocess
import sys

import bench_peers
import boot
import images
import vhost_user as vu

ATTEMPTS = 3  # echoes are datagrams: on a busy machine the client may give up on some
LIMIT_S = 300
# For a step of a frame, with all of net_answer around it: about twice what
# it was when this was written.
INSTRUCTIONS_MAX = {"receive.window1": 3000, "answer.window1": 1200, "send.window1": 1600,
                    "receive.window32": 1200, "answer.window32": 1200, "send.window32": 900}


def test_instructions_for_a_frame(tmp_path):
    images.folder(images.ALL_TESTS)
    vu.require_program(bench_peers.ECHO_CLIENT)
    results = tmp_path / "results.json"
    for _ in range(ATTEMPTS):
        run = subprocess.run([sys.executable, "-B", boot.TOP / "tests/harness/bench_peers.py",
                              results, "--only", "instructions"], check=False, capture_output=True,
                             text=True, timeout=LIMIT_S)
        if run.returncode == 0:
            break
    assert run.returncode == 0, run.stdout + run.stderr
    found = {row["name"].removeprefix("net.frame."): row["instructions"]
             for row in json.loads(results.read_text())}
    assert found.keys() == INSTRUCTIONS_MAX.keys()
    for step, count in found.items():
        assert 50 < count <= INSTRUCTIONS_MAX[step], found

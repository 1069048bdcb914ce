# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Writes a seed corpus for the fuzz target of the VMBus host.

Usage: vmbus_seeds.py host FOLDER

The seeds are scripts in the form that tests/fuzz/vmbus_host_fuzz.c reads: a connection, open channels, a
card that is up, packets of every kind.
"""

import sys
from pathlib import Path

CONNECT = bytes([1, 0, 0])
OPEN = [bytes([2, index]) for index in range(4)]
UP = bytes([7, 0])


def packet(channel, kind, length8, payload, external=()):
    """kind is an index into the fuzzer's list of types; payload are words below 256."""
    return bytes([3, channel, kind, length8 - 2, *external, 1, 42]) + bytes(
        byte for word in payload for byte in (0, word))


SEEDS = {
    "connect": CONNECT,
    "echo": CONNECT + OPEN[1] + packet(1, 0, 4, [1, 2, 3, 4]),
    "pipe": CONNECT + OPEN[2] + packet(2, 0, 4, [1, 0, 4, 0]),
    "direct": CONNECT + OPEN[1] + packet(1, 2, 6, [0, 1, 8, 0, 40, 0, 0, 0], [2]),
    "net": CONNECT + OPEN[0] + UP,
    "net_frame": CONNECT + OPEN[0] + UP + bytes([8, 0, 26, 1, 0]) + bytes(
        byte for word in [36, 60, 0, 0, 0, 0, 0, 0, 0, *[7] * 15] for byte in (0, word)) + bytes(2),
    "net_query": CONNECT + OPEN[0] + UP + bytes([8, 1, 7, 4, 0]) + bytes(
        byte for word in [9, 1, 0, 20, 0] for byte in (0, word)) + bytes(2),
    "net_receive": CONNECT + OPEN[0] + UP + bytes([10]) + bytes(64) + bytes([13, 0]),
}


def main():
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name, seed in SEEDS.items():
        (folder / name).write_bytes(seed)


main()

# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Writes a seed corpus for the fuzz targets of lib/vmbus_ring.

Usage: vmbus_ring_seeds.py producer|consumer FOLDER

The seeds are scripts in the form that tests/fuzz/vmbus_ring_fuzz.h reads: the packets of
spec/vmbus.md, b.8, each followed by the steps that read it, on every kind of area; and for the
consumer a round of writing, committing and sleeping with every kind of packet.
"""

import struct
import sys

import seeds


def size(value):
    """A size or an index, in the short form where it fits."""
    if value % 8 == 0 and value < 8 * 512:
        return bytes([value // 512, value % 512 // 8])
    return b"\xff" + struct.pack("<I", value)


def store(index, word):
    return b"\x00\x05" + size(index) + struct.pack("<Q", word)


def packet(kind, data_offset8, length8, flags, ident, rest):
    words = [kind | data_offset8 << 16 | length8 << 32 | flags << 48, ident, *rest]
    return words + [0] * (length8 + 1 - len(words))


PACKETS = {
    "in_band": packet(6, 2, 3, 0, 0x1122334455667788, [0x0807060504030201]),
    "request": packet(6, 2, 3, 1, 0x2A, [0xCCBBAA]),
    "completion": packet(11, 2, 2, 0, 0x2A, []),
    "gpa_direct": packet(9, 8, 10, 1, 0x55,
                         [2 << 32, 0x10 << 32 | 0x1000, 0x100, 0x101, 64, 0x200]),
    "transfer_pages": packet(7, 5, 6, 1, 7, [2 << 32 | 0xCAFE, 60, 1806 << 32 | 1514]),
    "pipe_data": packet(6, 2, 4, 0, 0, [1 | 8 << 32, 0x1122334455667788]),
    "pipe_partial": packet(6, 2, 4, 0, 0, [2 | 0x00030008 << 32, 0x1122334455667788]),
    "pipe_end": packet(6, 2, 3, 0, 0, [1]),
}
READ, COMMIT, SLEEP, REVERT = b"\x02\x05\x00", b"\x02\x00", b"\x02\x01", b"\x02\x02"
PIPE_READ, MESSAGE, WOKEN, LOOK = b"\x02\x03", b"\x02\x04", b"\x02\x01", b"\x03"


def producer_seeds():
    for areas in range(4):
        for name, words in PACKETS.items():
            stores = b"".join(store(8 * i, word) for i, word in enumerate(words))
            publish = b"\x00\x00" + size(8 * len(words))
            want_room = b"\x00\x02" + size(4088)
            for how, step in (("read", READ), ("pipe", PIPE_READ), ("message", MESSAGE)):
                script = stores + publish + LOOK + step + REVERT + step + want_room + COMMIT + SLEEP
                yield f"{name}_{how}_{areas}", bytes([areas]) + script + WOKEN


def consumer_seeds():
    for areas in range(4):
        for kind in range(5):
            write = b"\x00\x00\x05" + bytes([3, kind]) + size(1024) + b"\x07"
            commit = b"\x00\x00\x00"
            sleep = b"\x00\x00\x02" + size(2048)
            take_all = b"\x01\x02"
            unmask = b"\x01\x03\x00"
            script = unmask + write + commit + write * 6 + commit + sleep + take_all + sleep + write
            yield f"kind_{kind}_{areas}", bytes([areas]) + script + commit


def main():
    seeds.write((producer_seeds if sys.argv[1] == "producer" else consumer_seeds)())


if __name__ == "__main__":
    main()

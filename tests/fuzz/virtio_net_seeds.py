# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Seeds of the fuzzer virtio_net_device: cards that start, and what can happen to each of them.
The bytes are in the order in which tests/fuzz/virtio_net_device_fuzz.c takes them.

usage: virtio_net_seeds.py DOOR FOLDER
"""

import struct

import seeds

PACKED, IN_ORDER, RING_RESET, MRG = 1 << 34, 1 << 35, 1 << 40, 1 << 15
RINGS = {"split": 0, "events": 3 << 28, "packed": PACKED | 3 << 28, "ordered": IN_ORDER | 1 << 28,
         "reset": RING_RESET | PACKED}
CHECKSUMS = 1 << 0 | 1 << 1
COALESCED = (MRG | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 11 | 1 << 12 | 1 << 13 |
             1 << 54 | 1 << 55 | 1 << 56)
CONTROL = 1 << 17 | 1 << 18 | 1 << 19 | 1 << 21 | 1 << 22 | 1 << 23 | 1 << 53
HASHES = 1 << 57 | 1 << 60
STATUS = 1 << 16
CARDS = {"bare": 0, "whole": STATUS | CHECKSUMS | COALESCED | CONTROL,
         "hashes": CHECKSUMS | MRG | CONTROL | HASHES}

NOTHING = bytes((0, 7))
POLL = bytes((0, 6, 63))
USE, INTERRUPT, NEEDS_RESET, LINK, ANSWER, SERVE, SILENCE = range(7)


def device(operation, *values, queue=0):
    return bytes((queue, operation, *values))


def client(operation, *values, queue=0):
    return bytes((queue, operation, *values))


def deliver(count, odd, *fields, pair=0):
    """A frame of 14 + count bytes whose header has these fields."""
    return bytes((0, 8, odd)) + struct.pack("<HB", count, pair) + b"".join(fields)


def send(count, parts, head, offload):
    """A frame of 14 + count bytes; offload: checksum, its start, segmentation, bytes
    of segments and of headers."""
    return bytes((0, 4)) + struct.pack("<HBHB5BB", count, parts - 1, 64, head, *offload, 0)


def headers():
    """Frames that were joined, with a checksum to be made, or checked;
    and some that make no sense."""
    steps = []
    for kind in (0, 1, 4, 5, 0x81, 0x84, 0x85, 3):
        flags, segments = bytes((1,)), struct.pack("<BBH", kind, 200, 54)
        checksum = struct.pack("<HB", 34, 16)
        steps += [deliver(1400, 1 | 2 | 4 | 32, flags, segments, checksum) + POLL,
                  deliver(1400, 1 | 2 | 4 | 32 | 64, flags, segments, checksum) + POLL,
                  deliver(500, 1 | 2 | 4, flags, segments, checksum) + POLL]
    steps += [deliver(100, 1 | 32, bytes((2,))) + POLL,
              deliver(100, 1 | 4 | 32, b"\1", struct.pack("<HB", 9999, 0)) + POLL]
    return steps


def parts():
    """Numbers of parts, as they should be and otherwise; frames that lack
    parts when the card is reset."""
    steps = [deliver(1000, 8, bytes((count,))) + POLL
             for count in (1, 2, 1, 3, 0, 5, 6, 1, 1, 1, 1, 1, 19, 4, 2)]
    return [*steps, deliver(1000, 8, bytes((3,))) + POLL, NOTHING + client(3, 0),
            deliver(60, 32) + POLL]


def rings():
    """Entries of used rings: right ones, the same again, others."""
    steps = [device(SERVE) + send(300, 1 + i % 4, 0, (1, 34, 0, 0, 0)) for i in range(6)]
    steps += [device(SERVE) + POLL, device(USE, 0, 1, 60, 0) + POLL, deliver(60, 32) + POLL,
              device(USE, 0, 1, 60, 0) + POLL, device(USE, 70, 1, 60, 0, queue=1) + POLL,
              device(USE, 1, 0, 255, 255, 255, 255) + POLL]
    return steps


def sends():
    """Frames of one to four parts, with and without room in front, to be cut or not."""
    offloads = [(0, 0, 0, 0, 0), (1, 34, 0, 0, 0), (1, 34, 1, 100, 54), (1, 54, 2, 100, 74),
                (1, 34, 3, 100, 42)]
    steps = [NOTHING + send(1400, 1 + i % 4, 20 if i % 2 else 0, offload)
             for i, offload in enumerate(offloads * 3)]
    return [*steps, device(SERVE) + POLL, device(SERVE) + POLL]


def life():
    """Settings, announcements, a link that goes, refusals, resets that somebody wants."""
    settings = client(2, 1, 5, 7, 0, 1)
    return [NOTHING + settings, device(LINK, 3) + POLL, device(INTERRUPT, 0) + POLL,
            device(LINK, 0) + POLL, device(INTERRUPT, 0) + POLL, device(LINK, 1) + POLL,
            NOTHING + client(3, 0), NOTHING + settings, device(ANSWER, 1, 3, 1) + settings,
            device(ANSWER, 0, 0, 0) + settings, device(NEEDS_RESET, 0) + POLL,
            device(INTERRUPT, 0) + POLL, deliver(60, 32) + POLL, device(NEEDS_RESET, 0) + POLL,
            device(INTERRUPT, 0) + POLL, device(INTERRUPT, 0) + client(3, 0)]


def silence():
    """A card with frames of both directions that does not answer to a reset; then it does."""
    return [NOTHING + send(300, 2, 0, (0, 0, 0, 0, 0)), deliver(60, 32) + client(0),
            deliver(60, 32) + POLL, device(SILENCE, 15) + client(3, 0),
            device(SILENCE, 0) + client(3, 0), deliver(60, 32) + POLL]


STORIES = {"headers": headers, "parts": parts, "rings": rings, "sends": sends, "life": life,
           "silence": silence}


def good_cards():
    """Each kind of ring and card, with each story."""
    for ring, ring_bits in RINGS.items():
        for card, card_bits in CARDS.items():
            bits = 1 << 32 | 1 << 5 | ring_bits | card_bits
            for story, steps in STORIES.items():
                # One pair in use, nothing out of the ordinary; of the last story, three.
                pairs = 2 if story == "life" and card != "bare" else 0
                start = struct.pack("<II", bits >> 32, bits & 0xFFFFFFFF) + bytes((pairs, 0, 0))
                yield f"{ring}_{card}_{story}", start + b"".join(steps())


def poor_cards():
    """Cards that start barely, or not at all: few entries, no queues, a short
    configuration, no memory, no answers."""
    bits = 1 << 32 | RINGS["reset"] | CARDS["whole"] | 1 << 3
    head = struct.pack("<II", bits >> 32, bits & 0xFFFFFFFF)
    for name, rest in (("size", (2, 1, 1, 0)), ("sizes", (2, 1, 4, 0)), ("queues", (2, 2, 2, 0)),
                       ("short", (2, 8, 9, 0)),
                       ("mtu", (2, 4, 10, 60, 10, 60, 10, 60, 11, 0, 0)), ("broken", (2, 16, 3, 0)),
                       ("silent", (2, 32, 0)), ("offers", (2, 0, 1)), ("nameless", (2, 0, 4)),
                       ("sticks", (2, 64, 0)), *((f"memory{pages}", (2, 0, 2, pages // 2))
                                                 for pages in range(0, 320, 16))):
        yield f"poor_{name}", head + bytes(rest) + b"".join(life() + rings())
    only_hash = 1 << 32 | 1 << 5 | MRG | CONTROL | 1 << 57
    yield "hash_alone", (struct.pack("<II", only_hash >> 32, only_hash & 0xFFFFFFFF) +
                         bytes((1, 0, 0)) + b"".join(parts() + life()))


seeds.write([*good_cards(), *poor_cards()])

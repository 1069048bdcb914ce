# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Writes a seed corpus for the fuzz targets of the two ends of VMBus.

Usage: vmbus_seeds.py client|host FOLDER

The seeds are scripts in the form that tests/fuzz/vmbus_<end>_fuzz.c reads. For the host: a
connection, open channels, a card that is up, packets of every kind. For the client: what its user
does, and what a host may say to it, at once or between a request and its answer.
"""

import sys

import seeds

CONNECT = bytes([1, 0, 0])
OPENED_AS = [bytes([2, index]) for index in range(4)]
UP = bytes([7, 0])


def packet(channel, kind, length8, payload, external=()):
    """kind is an index into the fuzzer's list of types; payload are words below 256."""
    return bytes([3, channel, kind, length8 - 2, *external, 1, 42]) + bytes(
        byte for word in payload for byte in (0, word))


HOST_SEEDS = {
    "connect": CONNECT,
    "echo": CONNECT + OPENED_AS[1] + packet(1, 0, 4, [1, 2, 3, 4]),
    "pipe": CONNECT + OPENED_AS[2] + packet(2, 0, 4, [1, 0, 4, 0]),
    "direct": CONNECT + OPENED_AS[1] + packet(1, 2, 6, [0, 1, 8, 0, 40, 0, 0, 0], [2]),
    "net": CONNECT + OPENED_AS[0] + UP,
    "net_frame": CONNECT + OPENED_AS[0] + UP + bytes([8, 0, 26, 1, 0]) + bytes(
        byte for word in [36, 60, 0, 0, 0, 0, 0, 0, 0, *[7] * 15] for byte in (0, word)) + bytes(2),
    "net_query": CONNECT + OPENED_AS[0] + UP + bytes([8, 1, 7, 4, 0]) + bytes(
        byte for word in [9, 1, 0, 20, 0] for byte in (0, word)) + bytes(2),
    "net_receive": CONNECT + OPENED_AS[0] + UP + bytes([10]) + bytes(64) + bytes([13, 0]),
}

# ---- the client ----

QUIET = bytes(8)  # no word of the host's in between, for as many messages as a step may send
V6, V53, V4, V3 = (bytes([version]) for version in range(4))
OPEN, CLOSE, MODIFY, GPADL, PAUSE, RESUME, SCRIBBLE, SILENT, EVENT, RECONNECT, SAY = range(11)
(PATCH_REST, PATCH_CHANNEL, PATCH_OPEN_ID,
 PATCH_GPADL_12, PATCH_GPADL_8, PATCH_OFFER_ID) = 1, 2, 4, 8, 16, 32


def step(what, channel=0, *more):
    return bytes([channel << 5 | what, *more])


def said(kind, length, patch=0, *words):
    """A host's message: its type, and little words from byte 8 on as far
    as the fuzzer takes bytes."""
    body = b"".join(bytes([word, 0, 0, 0]) for word in words)
    taken = length - 8 if patch & PATCH_REST else min(length, 24) - 8
    return bytes([length, patch, kind]) + body.ljust(taken, b"\0")[:taken]


def say(*message):
    return step(SAY) + said(*message)


def interrupted(what, channel, *message):
    """A step of the user's, with a message of the host's before the answer to its first one."""
    return step(what, channel) + bytes([1]) + said(*message) + QUIET


OFFER, RESCIND, OPENED, CREATED, TORN = 1, 2, 6, 10, 12
VERSION_ANSWER, UNLOADED, MODIFIED, PAUSED = 15, 17, 20, 22
CLIENT_SEEDS = {
    f"{name}_{version[0]}": version + script for version in (V6, V53, V4, V3) for name, script in {
        "open_close": step(OPEN) + QUIET + step(EVENT, 0, 1) + step(CLOSE) + QUIET,
        "all_open": b"".join(step(OPEN, channel) + QUIET for channel in range(3)) +
            step(RECONNECT) + QUIET,
        "modify": step(OPEN) + QUIET + step(MODIFY, 0, 1) + QUIET +
            say(MODIFIED, 20, PATCH_CHANNEL, 1, 0, 1),
        "gpadl": step(OPEN) + QUIET + step(GPADL, 0, 40) + QUIET + bytes([1]) +
            say(CREATED, 20, PATCH_GPADL_12),
        "offer": say(OFFER, 196, PATCH_REST | PATCH_OFFER_ID, 9, 9, 9, 9, 8) + step(OPEN, 3) +
            QUIET,
        "offer_twice": say(OFFER, 196, PATCH_REST | PATCH_OFFER_ID) * 2,
        "rescind": step(OPEN) + QUIET + say(RESCIND, 12, PATCH_CHANNEL) + step(CLOSE) + QUIET,
        "rescind_while_opening": interrupted(OPEN, 0, RESCIND, 12, PATCH_CHANNEL) + step(CLOSE) +
            QUIET,
        "refused": interrupted(OPEN, 0, OPENED, 20, PATCH_CHANNEL | PATCH_OPEN_ID, 0, 0, 1),
        "opened_twice": step(OPEN) + QUIET + say(OPENED, 20, PATCH_CHANNEL | PATCH_OPEN_ID),
        "torn_unasked": step(OPEN) + QUIET + say(TORN, 12, PATCH_GPADL_8),
        "late": step(SILENT, 0, 5) + QUIET + say(OPENED, 20, PATCH_CHANNEL | PATCH_OPEN_ID) +
            step(CLOSE) + QUIET,
        "pause": step(OPEN) + QUIET + step(PAUSE) + QUIET + bytes([1]) + QUIET + say(PAUSED, 8) +
            step(RESUME),
        "short": say(OPENED, 7), "long": say(VERSION_ANSWER, 240, PATCH_REST),
        "unloaded": say(UNLOADED, 8),
        "ring": step(OPEN) + QUIET + step(SCRIBBLE, 0, 6) +
            bytes([1, 1, 1, 8, 2, 1, 2, 6, 3, 1, 0, 0]) * 3,
    }.items()
}


seeds.write({"client": CLIENT_SEEDS, "host": HOST_SEEDS}[sys.argv[1]].items())

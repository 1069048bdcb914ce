# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Writes a seed corpus for the fuzz target of the network card on VMBus.

Usage: netvsc_seeds.py host FOLDER

The seeds are scripts in the form that tests/fuzz/netvsc_host_fuzz.c reads: what the
card's user does, what an honest host does, and what a hostile one says, at once or while
the card waits for an answer.
"""

import seeds

HOSTILE_WAITS = 8  # in the first byte, behind the version
POLL, SEND, RELEASE, SET, RESTART, HOST, ARRIVE, WAITS, LINK = 0, 3, 5, 6, 7, 8, 9, 10, 11
MESSAGE, COMPLETION, ANSWER, TRANSFER, PACKET, SCRIBBLE = 0x80, 0x81, 0x82, 0x83, 0x86, 0x87
LAST_ID = 0
FRAME, FRAME_INFO, FRAME_INFOS = 0, 1, 2  # what lies behind the ranges of transfer pages
INITIALISED, QUERIED, SET_DONE, KEPT, STATUS, KEEPALIVE = (0x60 + kind for kind in range(6))
SUCCESS, INFORMATION = 8, 16  # of an answer


def word(value):
    if value < 0x100:
        return bytes([0, value])
    if value < 0x10000:
        return bytes([0xd0]) + value.to_bytes(2, "little")
    return bytes([0xff]) + value.to_bytes(4, "little")


def words(*values, count=24):
    return b"".join(word(value) for value in (*values, *[0] * (count - len(values))))


def frame(size=46, parts=1, offload=0):
    return bytes([SEND]) + word(size) + bytes([parts - 1, offload, 7])


def transfer(kind, *places, oddities=0, behind=b"", flip=(0, ()), rest=()):
    """rest: words of the RNDIS message behind those that are made good;
    flip: one that is not left so."""
    ranges = b"".join(word(place) + bytes([0, flip[0]]) + words(*rest) +
                      b"".join(word(value) for value in flip[1])
                      for place in places)
    return bytes([TRANSFER, oddities, len(places), kind]) + ranges + behind + bytes([9])


def completion(which=LAST_ID, kind=3, status=1):
    return bytes([COMPLETION, kind, 10]) + words(0, status, count=10) + bytes([which])


def step(what, *more):
    return bytes([what, *more])


def info(kind, value):
    return [0] * 11 + [16, kind, 12, value]


POLLED = step(POLL)
SEEDS = {
    f"{name}_{version}": bytes([version]) + script for version in (0, 1, 2, 7) for name, script in {
        "frames_out": b"".join(frame(size, 1 + size % 4, size % 16)
                               for size in (46, 100, 300, 1000, 1486)) + step(HOST)
                      + POLLED,
        "frames_in": step(ARRIVE, 7) + step(HOST) + POLLED + step(RELEASE, 3) + step(ARRIVE, 5) +
            step(HOST) + POLLED,
        "settings": step(SET, 1) + step(SET, 2) + step(SET, 0x10) + step(RESTART, 1) +
            step(LINK, 0x80, 0) + step(HOST)
                    + POLLED,
        "frame": transfer(FRAME, 3) + POLLED + step(RELEASE, 1),
        "frames": transfer(FRAME, 3, 4, 9) + POLLED + transfer(FRAME, 20, 21) + POLLED +
            step(RELEASE, 7),
        "frame_checksum": transfer(FRAME_INFO, 3, rest=info(0, 0x14)) + POLLED,
        "frame_tag": transfer(FRAME_INFOS, 3, rest=info(6, 0x1230)) + POLLED,
        "frame_piece": transfer(FRAME_INFO, 3, rest=info(0x80000001, 0x101)) + POLLED,
        "frame_twice": transfer(FRAME, 3, 3) + POLLED,
        "frame_held": transfer(FRAME, 3) + POLLED + transfer(FRAME, 3) + POLLED,
        "frame_cut": transfer(FRAME, 3, flip=(1, (500,))) + POLLED,
        "frame_outside": transfer(FRAME, 3, flip=(2, (60,))) + POLLED,
        "range_raw": transfer(FRAME, 0x1ff000, oddities=1) + POLLED,
        "range_long": bytes([TRANSFER, 2, 1, FRAME]) + word(3) + bytes(2) + words() +
            word(0x300000) + bytes([9]) + POLLED,
        "no_range": transfer(FRAME) + POLLED,
        "wrong_set": transfer(FRAME, 3, oddities=32, behind=word(0xface)) + POLLED,
        "wrong_channel": transfer(FRAME, 3, oddities=8, behind=bytes([5])) + POLLED,
        "no_id": transfer(FRAME, 3, oddities=64)[:-1] + bytes([9, 48]) + POLLED,
        "status": transfer(STATUS, 3, flip=(2, (0x4001000c,))) + POLLED,
        "control_as_data": transfer(KEEPALIVE, 3, oddities=8, behind=bytes([0])) + POLLED,
        "direct": step(PACKET) + words(0, 1, 8, 0, 1) + bytes([LAST_ID]) + word(0x7000f) +
            bytes([0]) + POLLED,
        "keepalive": transfer(KEEPALIVE, 3) + POLLED + step(HOST),
        "late_answer": transfer(QUERIED | SUCCESS | INFORMATION, 3) + POLLED,
        "sent": frame() + completion() + POLLED,
        "sent_failed": frame() + completion(status=2) + POLLED,
        "sent_twice": frame() + completion() + POLLED + completion() + POLLED,
        "sent_other": frame() + frame(300) + completion(1) + completion(0) + POLLED,
        "sent_wrong_type": frame() + completion(kind=1) + POLLED,
        "message": step(MESSAGE, 5, 10) + words(count=10) + POLLED,
        "packet": step(PACKET) + words() + bytes([LAST_ID]) + word(3) + bytes([0]) + POLLED,
        "index": step(SCRIBBLE, 1) + word(3) + POLLED + step(RESTART, 1),
        "index_far": step(SCRIBBLE, 1) + word(0x10000) + POLLED + step(RESTART, 1) + frame() +
            step(HOST) + POLLED,
        "out": step(SCRIBBLE, 2) + word(9) + frame() + POLLED,
        "answer_in_between": step(WAITS, 1) + step(SET, 1) + bytes([0x83]) +
            transfer(SET_DONE | SUCCESS, 3)[1:] + POLLED,
        "gone": frame() + step(LINK, 0) + POLLED + step(HOST) + POLLED,
        "version": step(WAITS, 1) + step(RESTART, 1) + bytes([ANSWER, 0, 1]) + word(2) + bytes(40),
        "section": step(WAITS, 1) + step(RESTART, 1) + bytes([0, ANSWER, 3, 1]) + word(0xffffffff) +
            bytes(40),
    }.items()
}
SEEDS |= {f"bring_up_{name}": bytes([HOSTILE_WAITS]) + script + bytes(40) for name, script in {
    "silent": bytes([0x80]) + bytes(12),
    "version_refused": bytes([ANSWER, 3, 1]) + word(2),
    "good": bytes([ANSWER, 0, 0]) * 3,
    "section": bytes([0, ANSWER, 3, 1]) + word(0xffffffff),
    "sections": bytes([0, ANSWER, 2, 1]) + word(0),
    "send_buffer": bytes([0, 0, ANSWER, 2, 1]) + word(3),
    "initialised": bytes([0, 0, 0]) + transfer(INITIALISED | SUCCESS, 3),
    "mac": bytes([0, 0, 0, 0]) + transfer(QUERIED | SUCCESS | INFORMATION, 3),
}.items()}


seeds.write(SEEDS.items())

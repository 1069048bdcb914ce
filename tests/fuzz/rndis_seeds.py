# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Writes a seed corpus for the fuzz target of RNDIS messages: what an honest host
sends, and the edges of that.

Usage: rndis_seeds.py message FOLDER

Facts: spec/vmbus.md, f.4: a header of type and length; offsets count from byte 8 of the message.
"""

import struct

import seeds

PACKET, INITIALISED, QUERIED, SET, RESET, STATUS, KEPT = (
    1, 0x80000002, 0x80000004, 0x80000005, 0x80000006, 7, 0x80000008)
CHECKSUM, LSO, VLAN = 0, 2, 6
HEADER_BYTES = 44


def words(*values):
    return struct.pack(f"<{len(values)}I", *values)


def message(kind, *values, behind=b""):
    return words(kind, 8 + 4 * len(values) + len(behind), *values) + behind


def info(kind, value):
    return words(16, kind, 12, value)


def packet(data, *infos, gap=0):
    described = b"".join(infos)
    at = HEADER_BYTES + len(described) + gap
    return message(PACKET, at - 8, len(data), 0, 0, 0, HEADER_BYTES - 8 if infos else 0,
                   len(described), 0, 0, behind=described + bytes(gap) + data)


FRAME = bytes.fromhex("021122334455525500000202080045") + bytes(45)
SEEDS = {
    "packet": packet(FRAME),
    "packet_checksum": packet(FRAME, info(CHECKSUM, 0x14)),
    "packet_vlan": packet(FRAME, info(CHECKSUM, 0x14), info(VLAN, 100 << 4)),
    "packet_lso": packet(FRAME, info(LSO, 1460)),
    "packet_gap": packet(FRAME, info(VLAN, 7), gap=20),
    "packet_short": packet(FRAME[:14]),
    "packet_cut": packet(FRAME)[:-1],
    "packets": packet(FRAME) + packet(FRAME[:20]),
    "initialised": message(INITIALISED, 1, 0, 1, 0, 1, 0, 8, 0x4000, 3, 0, 0),
    "queried_mac": message(QUERIED, 2, 0, 6, 16, behind=FRAME[:6]),
    "queried_nothing": message(QUERIED, 2, 0xc00000bb, 0, 0),
    "queried_offload": message(QUERIED, 3, 0, 248, 16, behind=bytes(248)),
    "set": message(SET, 4, 0),
    "reset": message(RESET, 0, 1),
    "link_down": message(STATUS, 0x4001000c, 0, 0),
    "link_state": message(STATUS, 0x4001001a, 8, 20, behind=bytes(8)),
    "kept_alive": message(KEPT, 5, 0),
}


seeds.write(SEEDS.items())

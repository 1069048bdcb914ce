# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Seeds of the fuzzer virtio_transport: devices as they are found in the wild.

usage: virtio_seeds.py DOOR FOLDER
"""

import struct

import seeds

PCI, MAGIC, PLACED, READ_BACK, NO_VECTORS, NO_MAPPING, STATUS, RESETS = (
    1 << bit for bit in range(8))
# INDIRECT, EVENT_IDX, STATUS, MAC; VERSION_1, RING_RESET.
FEATURES = struct.pack("<II", 0x30010020, 0x101)
# What a device answers from its reset to DRIVER_OK, roughly: features, sizes, enabled.
LIFE = (FEATURES + struct.pack("<H", 3) + struct.pack("<H", 256)) * 40
# Three lives of a device whose registers read back. Before the first queue, once, the masks of four
# vectors; for each of five queues whether it wants interrupts, how many there are, its size, that
# it is not live yet, and where its notifications go; then what interrupts, the configuration and
# its generation say; queues that are reset start again.
PCI_QUEUE = struct.pack("<BHHHH", 0, 5, 256, 0, 1)
PCI_LIFE = FEATURES + bytes(16) + (PCI_QUEUE * 5 + bytes(50) + bytes(2) * 5 + FEATURES) * 3
MMIO_QUEUE = struct.pack("<BII", 0, 256, 0)
MMIO_LIFE = (FEATURES + MMIO_QUEUE * 5 + struct.pack("<I", 3) * 4 + b"\0" + bytes(80)) * 3


def capability(at, kind, following, offset, length):
    head = struct.pack("<BBBBBBHIII", 9, following, 20, kind, 4, 0, 0, offset, length, 4)
    return at, head


def space():
    """Configuration space as QEMU's virtio-net-pci has it."""
    data = bytearray(256)
    data[0:4] = struct.pack("<HH", 0x1AF4, 0x1041)
    data[6] = 0x10
    data[0x34], data[0x3C], data[0x3D] = 0x98, 5, 1
    data[0x98:0xA4] = struct.pack("<BBHII", 0x11, 0x84, 3, 1, 0x801)
    for at, head in (capability(0x84, 5, 0x70, 0, 0), capability(0x70, 2, 0x5C, 0x3000, 0x1000),
                     capability(0x5C, 4, 0x48, 0x2000, 0x1000),
                     capability(0x48, 3, 0xB0, 0x1000, 0x1000), capability(0xB0, 1, 0, 0, 0x1000)):
        data[at:at + 20] = head
    return bytes(data)


def devices():
    common = MAGIC | PLACED | READ_BACK | STATUS
    for name, options, life in (
            ("vectors", common | RESETS, PCI_LIFE), ("line", common | NO_VECTORS, PCI_LIFE),
            ("window", common | NO_MAPPING, PCI_LIFE), ("unplaced", common & ~PLACED, LIFE),
            ("old", common, LIFE), ("liar", MAGIC | PLACED, LIFE)):
        yield f"pci_{name}", bytes([options | PCI]) + space() + life
    for name, options, life in (("sound", common | RESETS, MMIO_LIFE), ("stuck", common, MMIO_LIFE),
                                ("old", common, LIFE), ("liar", MAGIC, LIFE), ("none", 0, LIFE)):
        yield f"mmio_{name}", bytes([options, 1]) + life


seeds.write(devices())

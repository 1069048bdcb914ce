# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""Seeds of the fuzzer virtio_transport: devices as they are found in the wild.

usage: virtio_seeds.py DOOR FOLDER
"""

import struct
import sys
from pathlib import Path

PCI, MAGIC, PLACED, READ_BACK, NO_VECTORS, NO_MAPPING, STATUS = (1 << bit for bit in range(7))
# What a device answers from its reset to DRIVER_OK, roughly: features, sizes, enabled.
LIFE = (struct.pack("<II", 0x30010020, 0x101) + struct.pack("<H", 3) + struct.pack("<H", 256)) * 40


def capability(at, kind, following, offset, length):
    head = struct.pack("<BBBBBBHIII", 9, following, 20, kind, 4, 0, 0, offset, length, 4)
    return at, head


def space():
    """Configuration space as QEMU's virtio-net-pci has it."""
    data = bytearray(256)
    data[0:4] = struct.pack("<HH", 0x1AF4, 0x1041)
    data[6] = 0x10
    data[0x34], data[0x3C], data[0x3D] = 0x98, 11, 1
    data[0x98:0xA4] = struct.pack("<BBHII", 0x11, 0x84, 3, 1, 0x801)
    for at, head in (capability(0x84, 5, 0x70, 0, 0), capability(0x70, 2, 0x5C, 0x3000, 0x1000),
                     capability(0x5C, 4, 0x48, 0x2000, 0x1000), capability(0x48, 3, 0xB0, 0x1000, 0x1000),
                     capability(0xB0, 1, 0, 0, 0x1000)):
        data[at:at + 20] = head
    return bytes(data)


def main():
    folder = Path(sys.argv[2])
    common = MAGIC | PLACED | READ_BACK | STATUS
    for name, options in (("vectors", common), ("line", common | NO_VECTORS), ("window", common | NO_MAPPING),
                          ("unplaced", common & ~PLACED), ("liar", MAGIC | PLACED)):
        (folder / f"pci_{name}").write_bytes(bytes([options | PCI]) + space() + LIFE)
    for name, options in (("sound", common), ("liar", MAGIC), ("none", 0)):
        (folder / f"mmio_{name}").write_bytes(bytes([options, 1]) + LIFE)


main()

# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""elf: the program headers and the Xen note of a 64-bit little-endian ELF file.

Facts: the System V ABI's ELF-64 object file format; the Xen project's ELF
notes (type 18, PHYS32_ENTRY).
"""

import struct
from dataclasses import dataclass

PT_LOAD, PT_NOTE = 1, 4
PF_EXECUTE, PF_WRITE = 1, 2
XEN_PHYS32_ENTRY = 18
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")


@dataclass
class Segment:
    """One program header, with its bytes in the file."""

    type: int
    flags: int
    vaddr: int
    paddr: int
    memory_bytes: int
    align: int
    content: bytes

    @property
    def writable(self):
        return bool(self.flags & PF_WRITE)

    @property
    def executable(self):
        return bool(self.flags & PF_EXECUTE)


def segments(path):
    """All program headers of the file, in order; raises ValueError for what is no 64-bit ELF."""
    data = path.read_bytes()
    fields = HEADER.unpack_from(data)
    if fields[0][:6] != b"\x7fELF\x02\x01":
        raise ValueError(f"{path} is no 64-bit little-endian ELF")
    offset, size, count = fields[5], fields[9], fields[10]
    result = []
    for i in range(count):
        kind, flags, at, vaddr, paddr, file_bytes, memory_bytes, align = PROGRAM_HEADER.unpack_from(
            data, offset + i * size)
        result.append(Segment(kind, flags, vaddr, paddr, memory_bytes, align,
                              data[at:at + file_bytes]))
    return result


def notes(segment):
    """(name, type, description) of each note in a PT_NOTE segment."""
    data, at, result = segment.content, 0, []
    while at < len(data):
        name_bytes, description_bytes, kind = struct.unpack_from("<III", data, at)
        at += 12
        name = data[at:at + name_bytes]
        at += -(-name_bytes // 4) * 4
        result.append((name, kind, data[at:at + description_bytes]))
        at += -(-description_bytes // 4) * 4
    return result

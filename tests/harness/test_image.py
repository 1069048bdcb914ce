# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
"""The files that are built: their shape, their size, that they come out the
same, and what does not build."""

import struct
import subprocess

import pytest

import boot
import elf
import images

PAGE_BYTES = 4096
KERNEL_VA = 0xFFFFFFFF80200000  # linker.ld
KERNEL_PA = 0x200000
# What the kernel itself takes, and on top of it the device families: all that virtio and virtio-net
# can negotiate, then VMBus with its transports and its card.
SIZE_LIMIT_BYTES = {images.NO_DRIVERS: 256 * 1024,
                    images.VIRTIO: 272 * 1024, images.VIRTIO_WITHOUT_TESTS: 153 * 1024,
                    images.RELEASE: 344 * 1024, images.WITHOUT_TESTS: 208 * 1024}
EFI_SUBSYSTEM_APPLICATION = 10

every_image = pytest.mark.parametrize("image", images.ALL)
# One worker makes the copy of the tree and all that is tried in it.
in_a_copy = pytest.mark.xdist_group("copy_of_the_tree")


@every_image
@pytest.mark.parametrize("name", ["paravane.elf", "paravane.stripped.elf"])
def test_note_is_where_every_loader_finds_it(image, name):
    segments = elf.segments(images.folder(image) / name)
    found = [segment for segment in segments if segment.type == elf.PT_NOTE]
    assert len(found) == 1
    assert found[0].align == 4, "QEMU finds the entry by the alignment of the segment"
    (note,) = elf.notes(found[0])
    assert note[:2] == (b"Xen\0", elf.XEN_PHYS32_ENTRY)
    entry = int.from_bytes(note[2], "little")
    inside = [segment for segment in segments if segment.type == elf.PT_LOAD and
              segment.executable and
              segment.paddr <= entry < segment.paddr + segment.memory_bytes]
    assert inside, f"the entry {entry:#x} is in no executable segment"


@every_image
def test_no_segment_is_writable_and_executable(image):
    loads = [s for s in elf.segments(images.folder(image) / "paravane.elf")
             if s.type == elf.PT_LOAD]
    assert [s for s in loads if s.executable] and [s for s in loads if s.writable]
    for segment in loads:
        assert not (segment.writable and segment.executable), hex(segment.vaddr)


@every_image
def test_segments_share_no_page_and_keep_the_offset(image):
    loads = [s for s in elf.segments(images.folder(image) / "paravane.elf")
             if s.type == elf.PT_LOAD]
    end = KERNEL_VA
    for segment in loads:
        assert segment.vaddr // PAGE_BYTES * PAGE_BYTES >= end
        assert segment.vaddr - segment.paddr == KERNEL_VA - KERNEL_PA
        end = -(-(segment.vaddr + segment.memory_bytes) // PAGE_BYTES) * PAGE_BYTES


@pytest.mark.parametrize("image", SIZE_LIMIT_BYTES)
def test_size(image):
    size = (images.folder(image) / "paravane.stripped.elf").stat().st_size
    assert size <= SIZE_LIMIT_BYTES[image], f"{size} bytes stripped"


@every_image
def test_the_esp_holds_the_application(image, tmp_path):
    built = images.folder(image) / "BOOTX64.EFI"
    copy = tmp_path / "copy.efi"
    subprocess.run(["mcopy", "-i", images.folder(image) / "esp.img", "::/EFI/BOOT/BOOTX64.EFI",
                    copy],
                   check=True)
    assert copy.read_bytes() == built.read_bytes()
    data = built.read_bytes()
    pe = struct.unpack_from("<I", data, 0x3C)[0]
    assert data[:2] == b"MZ" and data[pe:pe + 4] == b"PE\0\0"
    assert struct.unpack_from("<H", data, pe + 24 + 68)[0] == EFI_SUBSYSTEM_APPLICATION


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree in a folder of another length, built there from nothing (picolibc too)."""
    path = tmp_path_factory.mktemp("a-folder-with-a-longer-name") / "tree"
    images.copy_tree(path)
    result = images.make(path, "image")
    assert result.returncode == 0, result.stdout[-4000:]
    return path


@in_a_copy
@pytest.mark.parametrize("name", ["paravane.elf", "paravane.stripped.elf", "BOOTX64.EFI",
                                  "esp.img"])
def test_the_same_bytes_in_another_folder(tree, name):
    here = (images.folder(images.RELEASE) / name).read_bytes()
    there = (tree / "build/release" / name).read_bytes()
    assert here == there, f"{name} differs from one folder to another"


class Change:
    """Appends text to a file of the copy, and takes it back."""

    def __init__(self, tree, name, text):
        self.path, self.text = tree / name, text

    def __enter__(self):
        self.before = self.path.read_text()
        self.path.write_text(self.before + self.text)

    def __exit__(self, *_):
        self.path.write_text(self.before)


# Includer and header: one forbidden include for each row of the matrix in CONTRIBUTING.md.
FORBIDDEN = [
    ("lib/base/status.c", "kernel/log.h"),
    ("lib/base/status.c", "arch/arch.h"),
    ("lib/virtqueue/*.c", "vmbus_ring/vmbus_ring.h"),
    ("lib/virtqueue/*.c", "string.h"),
    ("lib/vmbus_ring/*.c", "kernel/pmm.h"),
    ("arch/x86_64/cpu.c", "kernel/log.h"),
    ("arch/x86_64/cpu.c", "drivers/pci/pci.h"),
    ("kernel/pmm.c", "arch/arch.h"),
    ("kernel/pmm.c", "kernel/log.h"),
    ("kernel/pmm.c", "string.h"),
    ("kernel/main.c", "drivers/pci/pci.h"),
    ("kernel/main.c", "arch/cpu.h"),
    ("kernel/main.c", "tests/expect.h"),
    ("drivers/virtio/*.c", "drivers/serial/uart16550.h"),
    ("drivers/virtio/*.c", "arch/cpu.h"),
    ("tests/boot/base_test.c", "arch/cpu.h"),
]


@in_a_copy
@pytest.mark.parametrize("includer, header", FORBIDDEN, ids=[" ".join(pair) for pair in FORBIDDEN])
def test_a_forbidden_include_does_not_build(tree, includer, header):
    source = sorted(tree.glob(includer))[0].relative_to(tree)
    quoted = f"<{header}>" if "/" not in header else f'"{header}"'
    with Change(tree, source, f"#include {quoted}\n"):
        result = images.make(tree, f"build/release/obj/{source}.o")
    assert result.returncode != 0, f"{source} may include {quoted}"
    assert f"{header}: No such file or directory" in result.stdout, result.stdout


@in_a_copy
def test_an_allowed_include_builds(tree):
    """That the copy builds at all after a change, and the tests above fail for their own reason."""
    with Change(tree, "kernel/main.c", '#include "kernel/pmm.h"\n#include <string.h>\n'):
        result = images.make(tree, "build/release/obj/kernel/main.c.o")
    assert result.returncode == 0, result.stdout


@in_a_copy
@pytest.mark.parametrize("instruction", ["movaps %xmm0, %xmm1", "fninit", "vzeroupper"])
def test_a_vector_instruction_does_not_link(tree, instruction):
    # In the section of a function that is used, or the linker would leave it out.
    section = '.pushsection .text.kernel_main, \\"ax\\", @progbits'
    planted = f'__asm__("{section}\\n{instruction}\\n.popsection");\n'
    with Change(tree, "kernel/main.c", planted):
        result = images.make(tree, "build/release/paravane.elf")
    assert result.returncode != 0, f"{instruction} went into the image"
    assert "check_no_simd" in result.stdout, result.stdout
    assert instruction.split()[0] in result.stdout, result.stdout


@in_a_copy
def test_the_copy_is_whole_again(tree):
    """After all that was tried in it: the same bytes once more, so nothing
    that failed left a trace."""
    result = images.make(tree, "image")
    assert result.returncode == 0, result.stdout
    assert (tree / "build/release/paravane.elf").read_bytes() == \
        (images.folder(images.RELEASE) / "paravane.elf").read_bytes()

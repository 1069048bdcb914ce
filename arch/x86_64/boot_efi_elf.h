/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* boot_efi_elf — checks a kernel ELF and lays it out in memory; nothing in it knows of firmware.
 *
 *   file     |header|program headers|...|segment a|...|segment b|
 *                                        |               |
 *   image    |a a a a 0 0 0|  0 0 0  |b b b b b 0 0 0 0|      offset == p_vaddr - image_va
 *            ^ image_va, page aligned                      ^ image_va + image_bytes
 *
 * Owner       the caller owns file and image; nothing is allocated or kept
 * Context     any; pure
 * Invariants  [E1] after efi_elf_check() said EFI_ELF_OK every byte that efi_elf_load() reads lies
 *                  in the file and every byte that it writes lies in the image
 * Facts       System V ABI, "ELF-64 Object File Format" 1.5:
 *             figures 2, 4 and 6. p_paddr is not used. */
#ifndef ARCH_BOOT_EFI_ELF_H
#define ARCH_BOOT_EFI_ELF_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"

/* The kernel is linked somewhere in the top 2 GiB of the address space (-mcmodel=kernel). */
#define EFI_ELF_VA_MIN 0xffffffff80000000ull
#define EFI_ELF_IMAGE_BYTES_MAX (64 * MIB)
#define EFI_ELF_SEGMENTS_MAX 16

enum efi_elf_result {
        EFI_ELF_OK = 0,
        EFI_ELF_TOO_SHORT,        /* not even a header */
        EFI_ELF_NOT_ELF,          /* wrong magic */
        EFI_ELF_WRONG_KIND,       /* not a 64-bit little-endian x86-64 executable of version 1 */
        /* Program headers of the wrong size or number, or outside the file. */
        EFI_ELF_BAD_HEADERS,
        EFI_ELF_SEGMENT_OUTSIDE,  /* a segment's bytes are not all in the file */
        EFI_ELF_SEGMENT_SIZES,    /* more bytes in the file than in memory */
        EFI_ELF_SEGMENT_ADDRESS,  /* a segment is not in the top 2 GiB, or wraps */
        EFI_ELF_SEGMENTS_OVERLAP,
        EFI_ELF_NO_SEGMENTS,
        EFI_ELF_IMAGE_TOO_BIG,    /* more than EFI_ELF_IMAGE_BYTES_MAX from first to last page */
        EFI_ELF_BAD_ENTRY,        /* the entry point is in no executable segment */
};

struct efi_elf_segment {
        uint64_t file_offset;
        uint64_t file_bytes;
        uint64_t image_offset;
        uint64_t image_bytes;
};

struct efi_elf {
        const uint8_t *file;
        uint64_t entry_va;
        uint64_t image_va;    /* page aligned */
        uint64_t image_bytes; /* whole pages, 1 page .. EFI_ELF_IMAGE_BYTES_MAX */
        size_t segment_count; /* those with bytes in memory */
        struct efi_elf_segment segments[EFI_ELF_SEGMENTS_MAX];
};

/* Reads and checks everything that loading relies on; changes nothing but *elf.
 *   file        file_bytes long, any alignment; must stay while *elf is used
 *   elf         out: valid only after EFI_ELF_OK
 *   returns     EFI_ELF_OK, or the first rule that the file breaks */
enum efi_elf_result MUST_CHECK efi_elf_check(const void *file, size_t file_bytes,
                                             struct efi_elf *elf);

/* Writes the whole image: segments from the file, every other byte zero. Cannot fail [E1].
 *   image       elf->image_bytes long, page aligned */
void efi_elf_load(const struct efi_elf *elf, void *image);

/* A static sentence without full stop that says what is wrong. */
const char *efi_elf_result_text(enum efi_elf_result result);

#endif

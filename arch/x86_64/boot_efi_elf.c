/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Checks a kernel ELF and lays it out in memory; see boot_efi_elf.h.
 *
 * The file comes with the loader, so it is not hostile, but it may have been
 * damaged, or be the wrong file: everything is checked in efi_elf_check, and
 * efi_elf_load then has nothing left to decide. */
#include "arch/boot_efi_elf.h"

#include <stdbool.h>

/* ELF-64 Object File Format, figure 2. */
struct elf_header {
        uint8_t magic[4];
        uint8_t class;
        uint8_t data;
        uint8_t ident_version;
        uint8_t os_abi;
        uint8_t abi_version;
        uint8_t padding[7];
        uint16_t type;
        uint16_t machine;
        uint32_t version;
        uint64_t entry;
        uint64_t program_offset;
        uint64_t section_offset;
        uint32_t flags;
        uint16_t header_bytes;
        uint16_t program_entry_bytes;
        uint16_t program_count;
        uint16_t section_entry_bytes;
        uint16_t section_count;
        uint16_t section_names_index;
};
_Static_assert(sizeof(struct elf_header) == 64, "ELF-64, figure 2");

/* Figure 6. */
struct elf_program_header {
        uint32_t type;
        uint32_t flags;
        uint64_t offset;
        uint64_t va;
        uint64_t pa;
        uint64_t file_bytes;
        uint64_t memory_bytes;
        uint64_t alignment;
};
_Static_assert(sizeof(struct elf_program_header) == 56, "ELF-64, figure 6");

#define ELF_CLASS_64 2
#define ELF_DATA_LITTLE_ENDIAN 1
#define ELF_VERSION 1
#define ELF_TYPE_EXECUTABLE 2
#define ELF_MACHINE_X86_64 62
#define ELF_SEGMENT_LOAD 1
#define ELF_SEGMENT_EXECUTABLE_BIT 0

const char *efi_elf_result_text(enum efi_elf_result result)
{
        switch (result) {
        case EFI_ELF_OK:
                return "no error";
        case EFI_ELF_TOO_SHORT:
                return "shorter than an ELF header";
        case EFI_ELF_NOT_ELF:
                return "not an ELF file";
        case EFI_ELF_WRONG_KIND:
                return "not an x86-64 executable";
        case EFI_ELF_BAD_HEADERS:
                return "program headers of the wrong size or number, or outside the file";
        case EFI_ELF_SEGMENT_OUTSIDE:
                return "a segment reaches beyond the end of the file";
        case EFI_ELF_SEGMENT_SIZES:
                return "a segment has more bytes in the file than in memory";
        case EFI_ELF_SEGMENT_ADDRESS:
                return "a segment is not in the top 2 GiB";
        case EFI_ELF_SEGMENTS_OVERLAP:
                return "two segments overlap";
        case EFI_ELF_NO_SEGMENTS:
                return "nothing to load";
        case EFI_ELF_IMAGE_TOO_BIG:
                return "larger than 64 MiB in memory";
        case EFI_ELF_BAD_ENTRY:
                return "the entry point is in no executable segment";
        }
        return "unknown error";
}

static enum efi_elf_result check_header(const struct elf_header *header, size_t file_bytes)
{
        static const uint8_t magic[4] = {0x7f, 'E', 'L', 'F'};
        for (size_t i = 0; i < sizeof(magic); i++) {
                if (header->magic[i] != magic[i])
                        return EFI_ELF_NOT_ELF;
        }
        if (header->class != ELF_CLASS_64 || header->data != ELF_DATA_LITTLE_ENDIAN ||
            header->ident_version != ELF_VERSION || header->version != ELF_VERSION ||
            header->type != ELF_TYPE_EXECUTABLE || header->machine != ELF_MACHINE_X86_64)
                return EFI_ELF_WRONG_KIND;
        uint64_t program_bytes = header->program_count * sizeof(struct elf_program_header);
        if (header->program_entry_bytes != sizeof(struct elf_program_header) ||
            header->program_count > EFI_ELF_SEGMENTS_MAX || header->program_offset > file_bytes ||
            program_bytes > file_bytes - header->program_offset)
                return EFI_ELF_BAD_HEADERS;
        return EFI_ELF_OK;
}

static enum efi_elf_result check_segment(const struct elf_program_header *program,
                                         size_t file_bytes)
{
        if (program->offset > file_bytes || program->file_bytes > file_bytes - program->offset)
                return EFI_ELF_SEGMENT_OUTSIDE;
        if (program->file_bytes > program->memory_bytes)
                return EFI_ELF_SEGMENT_SIZES;
        /* The last page of the address space stays free, so that
         * rounding up to pages cannot wrap. */
        if (program->va < EFI_ELF_VA_MIN || program->va > UINT64_MAX - PAGE_BYTES ||
            program->memory_bytes > UINT64_MAX - PAGE_BYTES - program->va)
                return EFI_ELF_SEGMENT_ADDRESS;
        return EFI_ELF_OK;
}

/* Whether [a, a + a_bytes) and [b, b + b_bytes) share a byte; neither wraps. */
static bool ranges_overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
        return a < b + b_bytes && b < a + a_bytes;
}

/* Turns addresses into offsets once the first page of the image is known, and checks what concerns
 * the segments together. Until here image_offset holds the address. */
static enum efi_elf_result settle_segments(struct efi_elf *elf)
{
        if (elf->segment_count == 0)
                return EFI_ELF_NO_SEGMENTS;
        uint64_t start = UINT64_MAX, end = 0;
        for (size_t i = 0; i < elf->segment_count; i++) {
                const struct efi_elf_segment *segment = &elf->segments[i];
                for (size_t j = 0; j < i; j++) {
                        if (ranges_overlap(segment->image_offset, segment->image_bytes,
                                           elf->segments[j].image_offset,
                                           elf->segments[j].image_bytes))
                                return EFI_ELF_SEGMENTS_OVERLAP;
                }
                start = min_u64(start, segment->image_offset);
                end = max_u64(end, segment->image_offset + segment->image_bytes);
        }
        elf->image_va = round_down(start, PAGE_BYTES);
        elf->image_bytes = round_up(end, PAGE_BYTES) - elf->image_va;
        if (elf->image_bytes > EFI_ELF_IMAGE_BYTES_MAX)
                return EFI_ELF_IMAGE_TOO_BIG;
        for (size_t i = 0; i < elf->segment_count; i++)
                elf->segments[i].image_offset -= elf->image_va;
        return EFI_ELF_OK;
}

enum efi_elf_result efi_elf_check(const void *file, size_t file_bytes, struct efi_elf *elf)
{
        struct elf_header header;
        bool entry_found = false;

        if (file_bytes < sizeof(header))
                return EFI_ELF_TOO_SHORT;
        memcpy(&header, file, sizeof(header));
        enum efi_elf_result result = check_header(&header, file_bytes);
        if (result != EFI_ELF_OK)
                return result;

        elf->file = file;
        elf->entry_va = header.entry;
        elf->segment_count = 0;
        for (size_t i = 0; i < header.program_count; i++) {
                struct elf_program_header program;
                memcpy(&program, elf->file + header.program_offset + i * sizeof(program),
                       sizeof(program));
                if (program.type != ELF_SEGMENT_LOAD || program.memory_bytes == 0)
                        continue;
                result = check_segment(&program, file_bytes);
                if (result != EFI_ELF_OK)
                        return result;
                if ((program.flags & BIT_MASK(ELF_SEGMENT_EXECUTABLE_BIT)) != 0 &&
                    header.entry >= program.va && header.entry - program.va < program.file_bytes)
                        entry_found = true;
                elf->segments[elf->segment_count++] =
                        (struct efi_elf_segment){.file_offset = program.offset,
                                                 .file_bytes = program.file_bytes,
                                                 .image_offset = program.va,
                                                 .image_bytes = program.memory_bytes};
        }
        result = settle_segments(elf);
        if (result != EFI_ELF_OK)
                return result;
        return entry_found ? EFI_ELF_OK : EFI_ELF_BAD_ENTRY;
}

void efi_elf_load(const struct efi_elf *elf, void *image)
{
        memset(image, 0, elf->image_bytes);
        for (size_t i = 0; i < elf->segment_count; i++) {
                const struct efi_elf_segment *segment = &elf->segments[i];
                memcpy((uint8_t *)image + segment->image_offset, elf->file + segment->file_offset,
                       segment->file_bytes);
        }
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The loader's memory: allocating below 4 GiB, taking the final memory map, leaving boot services.
 *
 * Facts: UEFI 2.10, 7.2 (memory services), 7.4.6 (ExitBootServices: a stale key is answered with
 * EFI_INVALID_PARAMETER; after that only memory services may be called). */
#include "arch/boot_efi.h"

#include "base/bytes.h"

#define ALLOCATION_PA_LAST (4 * GIB - 1)
#define LARGE_ALIGNMENT (2 * MIB)
/* Room in the map's buffer beyond what the firmware asks for: the buffer itself may split a free range into
 * three, and events between two calls may do the same. */
#define MAP_SLACK_DESCRIPTORS 16
#define LEAVE_ATTEMPTS_MAX 8

/* Gives back what lies before the aligned part and behind it. */
static EFI_PHYSICAL_ADDRESS keep_aligned_part(const struct efi_firmware *firmware,
                                              EFI_PHYSICAL_ADDRESS pa, uint64_t page_count)
{
        uint64_t slack_pages = LARGE_ALIGNMENT / PAGE_BYTES - 1;
        EFI_PHYSICAL_ADDRESS aligned = round_up(pa, LARGE_ALIGNMENT);
        uint64_t before_pages = (aligned - pa) / PAGE_BYTES;
        if (before_pages > 0)
                firmware->boot->FreePages(pa, before_pages);
        if (slack_pages > before_pages)
                firmware->boot->FreePages(aligned + page_count * PAGE_BYTES,
                                          slack_pages - before_pages);
        return aligned;
}

EFI_STATUS efi_memory_allocate(const struct efi_firmware *firmware, size_t bytes, bool large,
                               EFI_PHYSICAL_ADDRESS *pa)
{
        uint64_t page_count = div_round_up(bytes, PAGE_BYTES);
        if (large) {
                *pa = ALLOCATION_PA_LAST;
                EFI_STATUS status = firmware->boot->AllocatePages(
                        AllocateMaxAddress, EfiLoaderData,
                        page_count + LARGE_ALIGNMENT / PAGE_BYTES - 1, pa);
                if (!EFI_ERROR(status)) {
                        *pa = keep_aligned_part(firmware, *pa, page_count);
                        return EFI_SUCCESS;
                }
        }
        *pa = ALLOCATION_PA_LAST;
        return firmware->boot->AllocatePages(AllocateMaxAddress, EfiLoaderData, page_count, pa);
}

void efi_memory_free(const struct efi_firmware *firmware, EFI_PHYSICAL_ADDRESS pa, size_t bytes)
{
        firmware->boot->FreePages(pa, div_round_up(bytes, PAGE_BYTES));
}

struct map_buffer {
        EFI_MEMORY_DESCRIPTOR *descriptors;
        UINTN bytes;            /* of the buffer */
        UINTN map_bytes;        /* of the map in it */
        UINTN descriptor_bytes;
        UINTN key;
};

static EFI_STATUS read_map(const struct efi_firmware *firmware, struct map_buffer *buffer)
{
        UINT32 version;
        buffer->map_bytes = buffer->bytes;
        return firmware->boot->GetMemoryMap(&buffer->map_bytes, buffer->descriptors, &buffer->key,
                                            &buffer->descriptor_bytes, &version);
}

EFI_STATUS efi_memory_leave_firmware(const struct efi_firmware *firmware, struct efi_map *map)
{
        struct map_buffer buffer = {0};
        EFI_PHYSICAL_ADDRESS pa;

        EFI_STATUS status = read_map(firmware, &buffer);
        if (status != EFI_BUFFER_TOO_SMALL)
                return EFI_ERROR(status) ? status : EFI_DEVICE_ERROR;
        buffer.bytes = buffer.map_bytes + MAP_SLACK_DESCRIPTORS * buffer.descriptor_bytes;
        status = efi_memory_allocate(firmware, buffer.bytes, false, &pa);
        if (EFI_ERROR(status))
                return status;
        buffer.descriptors = (EFI_MEMORY_DESCRIPTOR *)(uintptr_t)pa;
        status = read_map(firmware, &buffer);
        if (EFI_ERROR(status)) {
                efi_memory_free(firmware, pa, buffer.bytes);
                return status;
        }

        /* From the first attempt on the firmware may be half gone: no way back, and no console. */
        for (unsigned attempt = 0; attempt < LEAVE_ATTEMPTS_MAX; attempt++) {
                status = firmware->boot->ExitBootServices(firmware->image_handle, buffer.key);
                if (!EFI_ERROR(status)) {
                        *map = (struct efi_map){.descriptors = buffer.descriptors,
                                                .bytes = buffer.map_bytes,
                                                .descriptor_bytes = buffer.descriptor_bytes};
                        return EFI_SUCCESS;
                }
                EFI_STATUS map_status = read_map(firmware, &buffer);
                if (EFI_ERROR(map_status))
                        efi_report_and_reset(firmware, "reading the memory map again", map_status);
        }
        efi_report_and_reset(firmware, "leaving boot services", status);
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The loader's memory: allocating below 4 GiB, taking the final memory map, leaving boot services.
 *
 * Facts: UEFI 2.10, 7.2 (memory services), 7.4.6 (ExitBootServices: a stale key is answered with
 * EFI_INVALID_PARAMETER; after that only memory services may be called). */
#include "arch/boot_efi.h"

#include "base/bytes.h"

#define ALLOCATION_PA_LAST (4 * GIB - 1)
/* Room in the map's buffer beyond what the firmware asks for: the buffer itself may split a free
 * range into three, and events between two calls may do the same. */
#define MAP_SLACK_DESCRIPTORS 16
#define LEAVE_ATTEMPTS_MAX 8

/* No alignment beyond a page: the kernel maps itself in 4 KiB pages, and a search for
 * a 2 MiB boundary ends in giving memory back, for which OVMF takes 7 ms under
 * emulation (it clears what it gets). */
EFI_STATUS efi_memory_allocate(const struct efi_firmware *firmware, size_t bytes,
                               EFI_PHYSICAL_ADDRESS *pa)
{
        *pa = ALLOCATION_PA_LAST;
        return firmware->boot->AllocatePages(AllocateMaxAddress, EfiLoaderData,
                                             div_round_up(bytes, PAGE_BYTES), pa);
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
        status = efi_memory_allocate(firmware, buffer.bytes, &pa);
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

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of arch/x86_64/boot_efi_memory.c on firmware that is made up here: how the loader leaves
 * it. The map changes behind the loader's back, as it does when an event of the firmware's
 * allocates, so that its key is stale. Facts: UEFI 2.10, 7.2.3 and 7.4.6. */
#include "tests/expect.h"

#include "arch/boot_efi.h"
#include "base/bytes.h"

#define DESCRIPTOR_BYTES 48 /* more than the structure, as firmware does */
#define BUFFER_PAGES 4
#define MAP_PA 0x1000000
#define FOREVER UINT32_MAX

/* The firmware: what it was asked, and how it behaves. */
static struct {
        uint32_t descriptor_count; /* in the map as it is now */
        UINTN key;
        /* How often the map still changes right before the loader leaves. */
        uint32_t stale_times;
        uint32_t grows_by;         /* descriptors, at each such change */
        EFI_STATUS allocate_status;
        uint32_t exits, maps;
        bool left, reset;
        EFI_PHYSICAL_ADDRESS freed_pa;
        UINTN freed_pages;
} firmware;

static uint8_t buffer[BUFFER_PAGES * PAGE_BYTES] ALIGNED(PAGE_BYTES);
static void *reset_point[5]; /* as __builtin_setjmp wants it */

static EFI_STATUS EFIAPI allocate_pages(EFI_ALLOCATE_TYPE type, EFI_MEMORY_TYPE memory, UINTN pages,
                                        EFI_PHYSICAL_ADDRESS *pa)
{
        (void)memory;
        if (firmware.allocate_status != EFI_SUCCESS)
                return firmware.allocate_status;
        if (type != AllocateMaxAddress || pages > BUFFER_PAGES)
                return EFI_OUT_OF_RESOURCES;
        *pa = (uintptr_t)buffer;
        return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI free_pages(EFI_PHYSICAL_ADDRESS pa, UINTN pages)
{
        firmware.freed_pa = pa;
        firmware.freed_pages = pages;
        return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI get_memory_map(UINTN *bytes, EFI_MEMORY_DESCRIPTOR *map, UINTN *key,
                                        UINTN *descriptor_bytes, UINT32 *version)
{
        UINTN wanted = (UINTN)firmware.descriptor_count * DESCRIPTOR_BYTES;
        bool fits = *bytes >= wanted;

        firmware.maps++;
        *bytes = wanted;
        *descriptor_bytes = DESCRIPTOR_BYTES;
        *version = EFI_MEMORY_DESCRIPTOR_VERSION;
        if (!fits)
                return EFI_BUFFER_TOO_SMALL;
        memset(map, 0, wanted);
        for (uint32_t i = 0; i < firmware.descriptor_count; i++) {
                EFI_MEMORY_DESCRIPTOR *descriptor =
                        (EFI_MEMORY_DESCRIPTOR *)(void *)((uint8_t *)map + i * DESCRIPTOR_BYTES);
                descriptor->Type = EfiConventionalMemory;
                descriptor->PhysicalStart = MAP_PA + 2 * i * PAGE_BYTES;
                descriptor->NumberOfPages = 1;
        }
        *key = firmware.key;
        return EFI_SUCCESS;
}

static EFI_STATUS EFIAPI exit_boot_services(EFI_HANDLE image, UINTN key)
{
        (void)image;
        firmware.exits++;
        if (firmware.stale_times != 0) {
                firmware.stale_times -= firmware.stale_times != FOREVER;
                firmware.key++;
                firmware.descriptor_count += firmware.grows_by;
        }
        if (key != firmware.key)
                return EFI_INVALID_PARAMETER;
        firmware.left = true;
        return EFI_SUCCESS;
}

/* What boot_efi_report.c does on real firmware; it never comes back. */
NORETURN void efi_report_and_reset(const struct efi_firmware *from, const char *what,
                                   EFI_STATUS status)
{
        (void)from;
        (void)what;
        (void)status;
        firmware.reset = true;
        __builtin_longjmp(reset_point, 1);
}

/* Leaves the made-up firmware; *map is what the loader goes on with. */
static NOINLINE EFI_STATUS leave(struct efi_map *map)
{
        static EFI_BOOT_SERVICES services; /* too large for the stack */
        static struct efi_firmware loader;

        memset(&services, 0, sizeof(services));
        memset(&loader, 0, sizeof(loader));
        services.AllocatePages = allocate_pages;
        services.FreePages = free_pages;
        services.GetMemoryMap = get_memory_map;
        services.ExitBootServices = exit_boot_services;
        loader.boot = &services;
        return efi_memory_leave_firmware(&loader, map);
}

static void power_on(uint32_t descriptor_count, uint32_t stale_times, uint32_t grows_by)
{
        memset(&firmware, 0, sizeof(firmware));
        firmware.descriptor_count = descriptor_count;
        firmware.key = 1000;
        firmware.stale_times = stale_times;
        firmware.grows_by = grows_by;
}

TEST(boot_efi_memory, leaves_at_once_when_nothing_changes)
{
        struct efi_map map = {0};

        power_on(5, 0, 0);
        EXPECT_EQ(leave(&map), EFI_SUCCESS);
        EXPECT_TRUE(firmware.left);
        EXPECT_EQ(firmware.exits, 1);
        EXPECT_EQ(map.bytes, 5 * DESCRIPTOR_BYTES);
        EXPECT_EQ(map.descriptor_bytes, DESCRIPTOR_BYTES);
        EXPECT_PTR_EQ(map.descriptors, buffer);
}

TEST(boot_efi_memory, a_stale_key_is_tried_again_with_the_new_map)
{
        for (uint32_t times = 1; times <= 3; times++) {
                struct efi_map map = {0};
                power_on(5, times, 2);
                EXPECT_EQ(leave(&map), EFI_SUCCESS);
                EXPECT_TRUE(firmware.left);
                EXPECT_EQ(firmware.exits, times + 1);
                /* The map that goes to the kernel is the one that was left with, not the first. */
                EXPECT_EQ(map.bytes, (5 + 2 * times) * DESCRIPTOR_BYTES);
        }
}

TEST(boot_efi_memory, firmware_that_cannot_be_left_ends_in_words)
{
        static struct efi_map map;

        power_on(5, FOREVER, 0);
        if (__builtin_setjmp(reset_point) == 0)
                (void)leave(&map);
        EXPECT_TRUE(firmware.reset);
        EXPECT_FALSE(firmware.left);
        EXPECT_EQ(firmware.exits, firmware.maps - 2); /* a fresh map before each further try */
        EXPECT_TRUE(firmware.exits > 1 && firmware.exits < 100);
}

TEST(boot_efi_memory, a_map_that_outgrows_its_buffer_ends_in_words)
{
        static struct efi_map map;

        power_on(5, 1, 100);
        if (__builtin_setjmp(reset_point) == 0)
                (void)leave(&map);
        EXPECT_TRUE(firmware.reset);
        EXPECT_FALSE(firmware.left);
}

TEST(boot_efi_memory, no_memory_for_the_map_changes_nothing)
{
        struct efi_map map = {0};

        power_on(5, 0, 0);
        firmware.allocate_status = EFI_OUT_OF_RESOURCES;
        EXPECT_EQ(leave(&map), EFI_OUT_OF_RESOURCES);
        EXPECT_EQ(firmware.exits, 0);
        EXPECT_PTR_EQ(map.descriptors, NULL);
        EXPECT_EQ(firmware.freed_pages, 0);
}

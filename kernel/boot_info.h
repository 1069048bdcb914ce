/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* boot_info — what every boot path hands over, and the state of the CPU when it does.
 *
 * Each path (arch/x86_64/boot_pvh.*, boot_efi.c) fills one struct boot_info and enters the kernel
 * ELF at its 64-bit entry point (e_entry, a virtual address) like this:
 *
 *   CPU      long mode, interrupts off, direction flag clear, any stack (the kernel sets its own)
 *   RDI      physical address of the struct boot_info, below 4 GiB
 *   CR3      tables that map (a) the kernel image at its linked addresses, page by page
 *            from kernel_pa, writable and executable, and (b) physical 0 .. 1 GiB (or
 *            more) at the same virtual address
 *   memory   boot_info and the tables lie in the kernel image or in BOOT_REGION_LOADER
 *            regions; the kernel copies boot_info, builds tables of its own, and from
 *            then on LOADER regions are RAM
 *
 * Regions may come unsorted, overlapping or empty; kernel/memory.c normalises them. Where regions
 * of two types overlap, the less usable type wins. */
#ifndef KERNEL_BOOT_INFO_H
#define KERNEL_BOOT_INFO_H

#include <stddef.h>
#include <stdint.h>

#define BOOT_INFO_MAGIC 0x4f464e4945564150ull /* "PAVEINFO" */
#define BOOT_INFO_VERSION 1
#define BOOT_REGIONS_MAX 384
#define BOOT_CMDLINE_BYTES 2048 /* terminator included */

enum boot_path { BOOT_PATH_PVH = 1, BOOT_PATH_UEFI = 2 };

/* In order of usability: where two regions overlap, the larger number wins. */
enum boot_region_type {
        BOOT_REGION_RAM = 1,          /* free for the kernel from the start */
        BOOT_REGION_LOADER = 2,       /* RAM once the kernel runs on its own tables */
        BOOT_REGION_ACPI_RECLAIM = 3, /* RAM that holds ACPI tables; never reused here */
        BOOT_REGION_ACPI_NVS = 4,
        BOOT_REGION_RESERVED = 5,
        BOOT_REGION_UNUSABLE = 6,
};

struct boot_region {
        uint64_t pa;
        uint64_t bytes;
        uint32_t type; /* enum boot_region_type; other values are taken as RESERVED */
        uint32_t reserved;
};

struct boot_info {
        uint64_t magic;
        uint32_t version;
        uint32_t path;         /* enum boot_path */
        uint64_t kernel_pa;    /* where the first byte of the linked image lies, page aligned */
        uint64_t kernel_bytes; /* whole pages, bss and stacks included */
        uint64_t rsdp_pa;      /* ACPI root pointer, 0: none handed over */
        uint64_t tsc_entry;    /* time stamp counter at the first instruction of ours */
        uint32_t region_count;
        uint32_t regions_dropped; /* regions that did not fit the array; the kernel reports them */
        uint32_t cmdline_truncated;
        uint32_t reserved;
        struct boot_region regions[BOOT_REGIONS_MAX];
        char cmdline[BOOT_CMDLINE_BYTES]; /* always terminated; words separated by spaces */
};

_Static_assert(offsetof(struct boot_info, regions) == 64, "handed over between separate programs");
_Static_assert(sizeof(struct boot_region) == 24, "handed over between separate programs");

#endif

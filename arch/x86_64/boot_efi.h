/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* boot_efi — what the parts of the UEFI loader that talk to the firmware share.
 *
 *   boot_efi.c          the order of events, from the firmware's call to the kernel's entry
 *   boot_efi_memory.c   allocating, the memory map, leaving boot services
 *   boot_efi_cmdline.c  the command line's three sources       boot_efi_fw_cfg.c  the third of them
 *   boot_efi_bytes.c    memcpy and memset
 *   boot_efi_report.c   failures in words, on the console and the serial port
 *   boot_efi_jump.S     the switch to other tables; the kernel itself, as data
 *   boot_efi_elf, _map, _tables, _text: know nothing of firmware, and are tested on the host
 *
 * This is a program of its own: no file of it is linked into the kernel, and none of the kernel's
 * into it.
 * Context     boot CPU, called by firmware at TPL_APPLICATION; interrupts belong to the firmware
 * Facts       UEFI 2.10; gnu-efi 3.0 (start code, declarations, GUIDs, names of statuses) */
#ifndef ARCH_BOOT_EFI_H
#define ARCH_BOOT_EFI_H

#include <efi.h>
#include <efilib.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/boot_efi_map.h"
#include "arch/boot_efi_text.h"
#include "base/compiler.h"

struct boot_info;

struct efi_firmware {
        EFI_HANDLE image_handle;
        EFI_SYSTEM_TABLE *system;
        EFI_BOOT_SERVICES *boot;
        EFI_LOADED_IMAGE *loaded; /* this program, as the firmware sees it */
};

/* ---- failures: boot_efi_report.c ---- */

/* Says "# efi: <what>: <detail>: <status in words>" on the firmware's console and on the first
 * serial port; `detail` may be NULL. Returns the status, for the caller to return. */
EFI_STATUS efi_report(const struct efi_firmware *firmware, const char *what, const char *detail,
                      EFI_STATUS status);
/* The same without the console, for when boot services are gone; resets the machine. */
NORETURN void efi_report_and_reset(const struct efi_firmware *firmware, const char *what,
                                   EFI_STATUS status);

/* ---- memory: boot_efi_memory.c ---- */

/* Allocates LoaderData below 4 GiB, page aligned.
 *   bytes     1 .. 1 GiB; whole pages are taken
 *   pa        out: where */
EFI_STATUS MUST_CHECK efi_memory_allocate(const struct efi_firmware *firmware, size_t bytes,
                                          EFI_PHYSICAL_ADDRESS *pa);
void efi_memory_free(const struct efi_firmware *firmware, EFI_PHYSICAL_ADDRESS pa, size_t bytes);

/* Takes the final memory map and leaves boot services. On success nothing of the firmware's may be
 * called any more and *map describes memory; its descriptors lie in LoaderData.
 *   returns   an error only while boot services still stand and nothing has changed; a firmware
 *             that refuses to be left ends in efi_report_and_reset */
EFI_STATUS MUST_CHECK efi_memory_leave_firmware(const struct efi_firmware *firmware,
                                                struct efi_map *map);

/* ---- command line: boot_efi_cmdline.c, boot_efi_fw_cfg.c ---- */

/* Reads the command line from the first of these that has one: the load options,
 * paravane.cmd beside the loader or in \EFI\BOOT, fw_cfg's opt/paravane/cmdline. None: *text
 * is empty, and that is no error.
 *   returns   an error (already reported) for a file or item that is there but is no text, or that
 *             cannot be read. Load options that are no text are what some boot managers keep for
 *             themselves, and count as not there. */
EFI_STATUS MUST_CHECK efi_cmdline_read(const struct efi_firmware *firmware, struct efi_text *text);

/* EFI_TEXT_EMPTY also where there is no QEMU or no such item. */
enum efi_text_result MUST_CHECK efi_fw_cfg_read(const char *name, struct efi_text *text);

/* ---- the jump: boot_efi_jump.S ---- */

/* The kernel's ELF, carried along as data. */
extern const uint8_t efi_kernel_file[], efi_kernel_file_end[];
extern const uint8_t efi_jump_end[];

/* Switches to the tables at root_pa and to the stack, and enters the kernel. The code from here to
 * efi_jump_end must be mapped at its own address by the tables.
 *   stack_top_pa, boot_info_pa    mapped at the same virtual address by the tables */
NORETURN void efi_jump(uint64_t root_pa, uint64_t stack_top_pa, uint64_t boot_info_pa,
                       uint64_t entry_va);

#endif

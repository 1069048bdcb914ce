/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* boot_efi_text — a command line out of whatever text the firmware gives: UTF-16 or bytes, with or
 * without an end mark, perhaps not text at all.
 *
 * Text is what consists of printable ASCII, tabs and line ends only. Tabs and line ends become
 * spaces; spaces at both ends go. The text ends at the first NUL, if there is one.
 *
 * Owner       the caller gives source and destination
 * Context     any; pure */
#ifndef ARCH_BOOT_EFI_TEXT_H
#define ARCH_BOOT_EFI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum efi_text_result {
        EFI_TEXT_OK = 0,
        EFI_TEXT_EMPTY,    /* nothing but spaces, or nothing */
        EFI_TEXT_NOT_TEXT, /* some unit before the end is no text */
};

struct efi_text {
        char *chars;     /* the caller's; always terminated afterwards, empty unless EFI_TEXT_OK */
        size_t bytes;    /* of chars, terminator included, at least 1 */
        bool truncated;  /* out: the text was longer; its first bytes - 1 characters were kept */
};

/* Converts unit_count UTF-16 units, or byte_count bytes. `units` NULL
 * is legal when the count is 0. */
enum efi_text_result MUST_CHECK efi_text_from_utf16(const uint16_t *units, size_t unit_count,
                                                    struct efi_text *text);
enum efi_text_result MUST_CHECK efi_text_from_bytes(const uint8_t *bytes, size_t byte_count,
                                                    struct efi_text *text);

/* Removes the first word if it ends in ".efi" in any case: the UEFI shell puts
 * the program's own name there. */
void efi_text_drop_program_name(char *chars);

struct efi_text_path {
        uint16_t *units;
        size_t unit_count;
};

/* The path of the file `name` in the folder of the file `path`.
 *   path       ends at the first NUL or after unit_count units; folders
 *              are separated by backslashes
 *   beside     its units are written and terminated
 *   returns    false when the result, terminator included, does not fit; then nothing is written */
bool MUST_CHECK efi_text_beside(const struct efi_text_path *path, const char *name,
                                const struct efi_text_path *beside);

#endif

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* A command line out of whatever text the firmware gives; see boot_efi_text.h. */
#include "arch/boot_efi_text.h"

#define PRINTABLE_FIRST 0x20
#define PRINTABLE_LAST 0x7e

static bool is_text(uint32_t unit)
{
        return (unit >= PRINTABLE_FIRST && unit <= PRINTABLE_LAST) || unit == '\t' ||
               unit == '\n' || unit == '\r';
}

/* Adds one unit of text behind `length` characters; leading spaces are left out. */
static size_t append(struct efi_text *text, size_t length, uint32_t unit)
{
        char c = unit < PRINTABLE_FIRST ? ' ' : (char)unit;
        if (c == ' ' && length == 0)
                return 0;
        if (length == text->bytes - 1) {
                text->truncated = text->truncated || c != ' ';
                return length;
        }
        text->chars[length] = c;
        return length + 1;
}

static enum efi_text_result finish(struct efi_text *text, size_t length)
{
        while (length > 0 && text->chars[length - 1] == ' ')
                length--;
        text->chars[length] = '\0';
        return length > 0 ? EFI_TEXT_OK : EFI_TEXT_EMPTY;
}

static enum efi_text_result refuse(struct efi_text *text)
{
        text->chars[0] = '\0';
        text->truncated = false;
        return EFI_TEXT_NOT_TEXT;
}

enum efi_text_result efi_text_from_utf16(const uint16_t *units, size_t unit_count,
                                         struct efi_text *text)
{
        size_t length = 0;
        text->truncated = false;
        for (size_t i = 0; i < unit_count && units[i] != 0; i++) {
                if (!is_text(units[i]))
                        return refuse(text);
                length = append(text, length, units[i]);
        }
        return finish(text, length);
}

enum efi_text_result efi_text_from_bytes(const uint8_t *bytes, size_t byte_count,
                                         struct efi_text *text)
{
        size_t length = 0;
        text->truncated = false;
        for (size_t i = 0; i < byte_count && bytes[i] != 0; i++) {
                if (!is_text(bytes[i]))
                        return refuse(text);
                length = append(text, length, bytes[i]);
        }
        return finish(text, length);
}

void efi_text_drop_program_name(char *chars)
{
        static const char suffix[] = ".efi";
        const size_t suffix_length = sizeof(suffix) - 1;
        size_t word = 0;
        while (chars[word] != '\0' && chars[word] != ' ')
                word++;
        if (word < suffix_length)
                return;
        for (size_t i = 0; i < suffix_length; i++) {
                char c = chars[word - suffix_length + i];
                if (c >= 'A' && c <= 'Z')
                        c = (char)(c - 'A' + 'a');
                if (c != suffix[i])
                        return;
        }
        while (chars[word] == ' ')
                word++;
        size_t to = 0;
        while (chars[word] != '\0')
                chars[to++] = chars[word++];
        chars[to] = '\0';
}

bool efi_text_beside(const struct efi_text_path *path, const char *name,
                     const struct efi_text_path *beside)
{
        size_t folder = 0, name_length = 0;
        for (size_t i = 0; i < path->unit_count && path->units[i] != 0; i++) {
                if (path->units[i] == '\\')
                        folder = i + 1;
        }
        while (name[name_length] != '\0')
                name_length++;
        if (folder + name_length + 1 > beside->unit_count)
                return false;
        for (size_t i = 0; i < folder; i++)
                beside->units[i] = path->units[i];
        for (size_t i = 0; i <= name_length; i++)
                beside->units[folder + i] = (uint8_t)name[i];
        return true;
}

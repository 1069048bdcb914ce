/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The loader's failures in words, on the firmware's console and on the first serial port.
 *
 * The serial port is written to directly as well, because the firmware's console may be a
 * screen only, and whoever runs this in a script reads the serial port. Facts: 16550 data
 * sheet, line status register. */
#include "arch/boot_efi.h"

#include "arch/io.h"

#define SERIAL_PORT 0x3f8
#define SERIAL_LINE_STATUS (SERIAL_PORT + 5)
#define SERIAL_LINE_STATUS_ROOM 0x20
#define SERIAL_LINE_STATUS_ABSENT 0xff
/* A byte takes 87 us at 115200 baud; a port that takes longer than this is not waited for. */
#define SERIAL_POLLS_MAX 100000

#define LINE_BYTES 160

struct line {
        char chars[LINE_BYTES];
        size_t length;
};

static void line_add(struct line *line, const char *text)
{
        while (*text != '\0' && line->length < LINE_BYTES - 1)
                line->chars[line->length++] = *text++;
        line->chars[line->length] = '\0';
}

static void line_add_status(struct line *line, EFI_STATUS status)
{
        CHAR16 words[64];
        StatusToString(words, status);
        for (size_t i = 0; i < ARRAY_COUNT(words) && words[i] != 0; i++)
                line_add(line, (char[2]){(char)words[i]});
}

static void compose(struct line *line, const char *what, const char *detail, EFI_STATUS status)
{
        line->length = 0;
        line_add(line, "# efi: ");
        line_add(line, what);
        if (detail != NULL) {
                line_add(line, ": ");
                line_add(line, detail);
        }
        line_add(line, ": ");
        line_add_status(line, status);
}

static void serial_write_byte(char c)
{
        if (inb(SERIAL_LINE_STATUS) == SERIAL_LINE_STATUS_ABSENT)
                return;
        for (unsigned polls = 0; polls < SERIAL_POLLS_MAX; polls++) {
                if ((inb(SERIAL_LINE_STATUS) & SERIAL_LINE_STATUS_ROOM) != 0) {
                        outb(SERIAL_PORT, (uint8_t)c);
                        return;
                }
        }
}

static void serial_write_line(const struct line *line)
{
        serial_write_byte('\r');
        serial_write_byte('\n');
        for (size_t i = 0; i < line->length; i++)
                serial_write_byte(line->chars[i]);
        serial_write_byte('\r');
        serial_write_byte('\n');
}

static void console_write_line(const struct efi_firmware *firmware, const struct line *line)
{
        static CHAR16 line_end[] = {'\r', '\n', 0};
        CHAR16 wide[LINE_BYTES];
        SIMPLE_TEXT_OUTPUT_INTERFACE *console = firmware->system->ConOut;
        if (console == NULL)
                return;
        for (size_t i = 0; i <= line->length; i++)
                wide[i] = (uint8_t)line->chars[i];
        console->OutputString(console, wide);
        console->OutputString(console, line_end);
}

EFI_STATUS efi_report(const struct efi_firmware *firmware, const char *what, const char *detail,
                      EFI_STATUS status)
{
        struct line line;
        compose(&line, what, detail, status);
        serial_write_line(&line);
        console_write_line(firmware, &line);
        return status;
}

NORETURN void efi_report_and_reset(const struct efi_firmware *firmware, const char *what,
                                   EFI_STATUS status)
{
        struct line line;
        compose(&line, what, NULL, status);
        serial_write_line(&line);
        firmware->system->RuntimeServices->ResetSystem(EfiResetCold, status, 0, NULL);
        for (;;)
                __asm__ volatile("cli\n\thlt");
}

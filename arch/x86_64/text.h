/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* text — puts words and numbers together in a caller's buffer, for the few sentences that arch/
 * makes. It has no C library and must work in the middle of a crash.
 *
 *   char line[80];
 *   struct text text = text_begin(line, sizeof(line));
 *   text_add(&text, "read of ");
 *   text_add_hex(&text, address, 1);
 *
 * What does not fit is left out; the buffer is a terminated string after every call.
 * Context: any. */
#ifndef ARCH_TEXT_H
#define ARCH_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define TEXT_HEX_DIGITS_MAX 16
#define TEXT_DECIMAL_DIGITS_MAX 20

struct text {
        char *buffer;
        size_t buffer_bytes; /* at least 1 */
        size_t used_bytes;   /* without the terminator */
};

static inline struct text text_begin(char *buffer, size_t buffer_bytes)
{
        buffer[0] = '\0';
        return (struct text){.buffer = buffer, .buffer_bytes = buffer_bytes};
}

static inline void text_add_char(struct text *text, char character)
{
        if (text->used_bytes + 1 >= text->buffer_bytes)
                return;
        text->buffer[text->used_bytes++] = character;
        text->buffer[text->used_bytes] = '\0';
}

static inline void text_add(struct text *text, const char *words)
{
        for (; *words != '\0'; words++)
                text_add_char(text, *words);
}

/* "0x" and at least `digits` hex digits. */
static inline void text_add_hex(struct text *text, uint64_t value, unsigned digits)
{
        text_add(text, "0x");
        for (unsigned digit = TEXT_HEX_DIGITS_MAX; digit-- > 0;) {
                if (digit < digits || digit == 0 || value >> (4 * digit) != 0)
                        text_add_char(text, "0123456789abcdef"[value >> (4 * digit) & 0xf]);
        }
}

static inline void text_add_decimal(struct text *text, uint64_t value)
{
        char digits[TEXT_DECIMAL_DIGITS_MAX];
        unsigned count = 0;

        do {
                digits[count++] = (char)('0' + value % 10);
                value /= 10;
        } while (value != 0);
        while (count > 0)
                text_add_char(text, digits[--count]);
}

#endif

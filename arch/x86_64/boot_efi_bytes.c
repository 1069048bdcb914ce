/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* memcpy and memset for the loader. gnu-efi has both, byte by byte, and that is most of the
 * loader's time when it places a kernel of some hundred KiB under emulation; the string
 * instructions are quick on every CPU and every emulator. A loop in C will not do: the compiler
 * would make a call of memcpy of it. */
#include "base/bytes.h"

#define WORD_BYTES sizeof(uint64_t)

void *memcpy(void *restrict destination, const void *restrict source, size_t bytes)
{
        void *to = destination;
        size_t words = bytes / WORD_BYTES, rest = bytes % WORD_BYTES;
        __asm__ volatile("rep movsq" : "+D"(to), "+S"(source), "+c"(words) : : "memory");
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(source), "+c"(rest) : : "memory");
        return destination;
}

void *memset(void *destination, int value, size_t bytes)
{
        void *to = destination;
        size_t words = bytes / WORD_BYTES, rest = bytes % WORD_BYTES;
        uint64_t pattern = (uint8_t)value * 0x0101010101010101ull;
        __asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(pattern) : "memory");
        __asm__ volatile("rep stosb" : "+D"(to), "+c"(rest) : "a"(pattern) : "memory");
        return destination;
}

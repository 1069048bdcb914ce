/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* symbols — searches the table that kernel/gen_symbols.sh makes.
 *
 *   symbols_table:  count | text bytes | entry, ascending by address ...
 *   entry:          distance from the entry before (the first: from text_start), in 7-bit groups,
 *                   lowest first, bit 7 set on all but the last   (ULEB128)
 *                   one byte: how many letters the name shares with the last name before it, or
 *                   SYMBOLS_SELF_TEST: a self-test's function, whose name stands in the table of
 *                   tests already
 *                   the other letters, at least one, bit 7 set on the last
 *
 * Names that follow each other begin alike, so this takes two thirds of a plain table. It is read
 * from the start on each look-up: panics are rare. */
#include "kernel/symbols.h"

#include <stdio.h>

#include "arch/arch.h"
#include "base/test_case.h"
#include "kernel/linker_table.h"

#define NAME_BYTES_MAX 128
#define SYMBOLS_SELF_TEST 255
#define MORE_BIT 0x80u
#define GROUP_BITS 7

struct symbols_header {
        uint32_t count;
        uint32_t text_bytes; /* from text_start to text_end */
        uint8_t entries[];
};

/* A walk over the table. */
struct symbols_walk {
        const uint8_t *at;
        uint64_t start;       /* of the current function, from text_start */
        bool self_test;       /* the name is that of the last function that was none */
        char *name;           /* NAME_BYTES_MAX */
};

extern const struct symbols_header symbols_table;
extern const char text_start[]; /* linker.ld */
LINKER_TABLE_DECLARE(test_table, struct test_case);

/* "suite.name" of the self-test whose function starts at `address`. */
static void name_test(uint64_t address, char *name)
{
        snprintf(name, NAME_BYTES_MAX, "?");
        LINKER_TABLE_FOR_EACH(test, test_table, struct test_case)
        {
                if ((uint64_t)test->run == address)
                        snprintf(name, NAME_BYTES_MAX, "%s.%s", test->suite, test->name);
        }
}

/* The table is ours: it is as long as it says, and no name is longer than NAME_BYTES_MAX - 1. */
static uint64_t read_distance(const uint8_t **at)
{
        uint64_t distance = 0;
        uint32_t shift = 0;
        uint8_t byte;
        do {
                byte = *(*at)++;
                distance |= (uint64_t)(byte & ~MORE_BIT) << shift;
                shift += GROUP_BITS;
        } while (byte & MORE_BIT);
        return distance;
}

static void walk_on(struct symbols_walk *walk)
{
        walk->start += read_distance(&walk->at);
        uint8_t shared = *walk->at++;
        walk->self_test = shared == SYMBOLS_SELF_TEST;
        if (walk->self_test)
                return;
        char *letter = walk->name + shared;
        uint8_t byte;
        do {
                byte = *walk->at++;
                *letter++ = (char)(byte & ~MORE_BIT);
        } while (!(byte & MORE_BIT));
        *letter = '\0';
}

/* Where the function behind the current one starts. */
static uint64_t next_start(const struct symbols_walk *walk)
{
        const uint8_t *at = walk->at;
        return walk->start + read_distance(&at);
}

bool symbols_lookup(uint64_t address, const char **name, uint64_t *offset)
{
        static char text[NAME_BYTES_MAX];
        const struct symbols_header *table = &symbols_table;
        struct symbols_walk walk = {.at = table->entries, .name = text};
        uint64_t wanted = address - (uint64_t)text_start;

        if (address < (uint64_t)text_start || wanted >= table->text_bytes || table->count == 0)
                return false;
        walk_on(&walk);
        if (walk.start > wanted)
                return false;
        for (uint32_t i = 1; i < table->count && next_start(&walk) <= wanted; i++)
                walk_on(&walk);
        if (walk.self_test)
                name_test((uint64_t)text_start + walk.start, text);
        *name = text;
        *offset = wanted - walk.start;
        return true;
}

size_t symbols_count(void)
{
        return symbols_table.count;
}

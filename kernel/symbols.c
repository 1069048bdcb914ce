/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* symbols — searches the table that kernel/gen_symbols.sh makes.
 *
 *   symbols_table:  count | text bytes | start[count] | names ...
 *                                        ascending, from text_start; a name for each, in the same order
 *
 * A start has 32 bits, so that an entry costs four bytes and its name. The empty name is that of a
 * self-test's function, whose name stands in the table of tests already. */
#include "kernel/symbols.h"

#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "base/test_case.h"
#include "kernel/linker_table.h"

struct symbols_header {
        uint32_t count;
        uint32_t text_bytes; /* from text_start to text_end */
        uint32_t starts[];   /* count of them; the names follow */
};

extern const struct symbols_header symbols_table;
extern const char text_start[]; /* linker.ld */
LINKER_TABLE_DECLARE(test_table, struct test_case);

/* "suite.name" of the self-test whose function starts at `address`; overwritten by the next one. */
static const char *test_name(uint64_t address)
{
        static char name[128];

        LINKER_TABLE_FOR_EACH(test, test_table, struct test_case)
        {
                if ((uint64_t)test->run == address) {
                        snprintf(name, sizeof(name), "%s.%s", test->suite, test->name);
                        return name;
                }
        }
        return "?";
}

bool symbols_lookup(uint64_t address, const char **name, uint64_t *offset)
{
        const struct symbols_header *table = &symbols_table;
        const uint32_t *starts = table->starts;
        const char *found = (const char *)(starts + table->count);
        uint64_t wanted = address - (uint64_t)text_start;
        size_t low = 0, high = table->count;

        if (address < (uint64_t)text_start || wanted >= table->text_bytes)
                return false;
        /* Invariant: starts[0..low) <= wanted < starts[high..count). */
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (starts[middle] <= wanted)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low == 0)
                return false;
        for (size_t i = 1; i < low; i++)
                found += strlen(found) + 1;
        *name = found;
        if (*found == '\0')
                *name = test_name((uint64_t)text_start + starts[low - 1]);
        *offset = wanted - starts[low - 1];
        return true;
}

size_t symbols_count(void)
{
        return symbols_table.count;
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of the C library as the image has it: built without SSE and x87, with the integer printf
 * (lib/picolibc/README.md). They check our build of it, not each corner of the standard.
 * Facts: ISO C17, 7.21.6.1, 7.22.1.4 and 7.24. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/expect.h"

/* The assembler versions change their way at 16 and 256 bytes and at each 128 after that. */
#define AREA_BYTES 640
#define LENGTH_MAX 600
#define OFFSET_MAX 9
#define GUARD 0x55

static unsigned char source_area[AREA_BYTES];
static unsigned char target_area[AREA_BYTES];

static unsigned char pattern(size_t index)
{
        return (unsigned char)(index * 7 + index / 256 + 1);
}

static void fill_areas(void)
{
        for (size_t i = 0; i < AREA_BYTES; i++) {
                source_area[i] = pattern(i);
                target_area[i] = GUARD;
        }
}

/* Each length up to 40, then in steps that meet every remainder. */
static size_t next_length(size_t length)
{
        return length + (length < 40 ? 1 : 37);
}

/* Whether nothing outside [offset, offset + length) of the target was written. */
static bool guards_hold(size_t offset, size_t length)
{
        for (size_t i = 0; i < AREA_BYTES; i++)
                if ((i < offset || i >= offset + length) && target_area[i] != GUARD)
                        return false;
        return true;
}

TEST(libc, snprintf_knows_every_integer_format)
{
        char text[256];
        int length = snprintf(text, sizeof(text),
                              "%s|%zu|%llx|%d|%p|%5.3s|%-4d|%08lx|%#x|%c|%%|%+d|%*d", "word",
                              (size_t)123456789012, 0xdeadbeefcafef00dull, -42,
                              (void *)0xffffffff80200000, "abcdef", 7, 0x1234ul, 255u, 'x', 5, 6,
                              -3);
        EXPECT_STR_EQ(text, "word|123456789012|deadbeefcafef00d|-42|0xffffffff80200000|  abc|7   |"
                            "00001234|0xff|x|%|+5|    -3");
        EXPECT_EQ((size_t)length, strlen(text));
        snprintf(text, sizeof(text), "%lld %llu %hhu %jd %td %o", LLONG_MIN, ULLONG_MAX,
                 (unsigned char)200, (intmax_t)-1, (ptrdiff_t)9, 8u);
        EXPECT_STR_EQ(text, "-9223372036854775808 18446744073709551615 200 -1 9 10");
}

TEST(libc, snprintf_stays_inside_and_tells_the_whole_length)
{
        char text[8] = "#######";
        EXPECT_EQ(snprintf(text, 4, "%s", "abcdef"), 6);
        EXPECT_BYTES_EQ(text, "abc\0###", sizeof(text));
        EXPECT_EQ(snprintf(NULL, 0, "%d", 12345), 5);
}

TEST(libc, memcpy_copies_any_length_at_any_alignment)
{
        for (size_t offset = 0; offset < OFFSET_MAX; offset++) {
                for (size_t length = 0; length < LENGTH_MAX; length = next_length(length)) {
                        size_t from = offset * 3 % 8;
                        fill_areas();
                        EXPECT_PTR_EQ(memcpy(target_area + offset, source_area + from, length),
                                      target_area + offset);
                        REQUIRE_(EXPECT_BYTES_EQ(target_area + offset, source_area + from, length));
                        REQUIRE_TRUE(guards_hold(offset, length));
                }
        }
}

TEST(libc, memset_fills_any_length_at_any_alignment)
{
        for (size_t offset = 0; offset < OFFSET_MAX; offset++) {
                for (size_t length = 0; length < LENGTH_MAX; length = next_length(length)) {
                        bool filled = true;
                        fill_areas();
                        EXPECT_PTR_EQ(memset(target_area + offset, 0x181, length),
                                      target_area + offset);
                        for (size_t i = offset; i < offset + length; i++)
                                filled = filled && target_area[i] == 0x81;
                        REQUIRE_TRUE(filled);
                        REQUIRE_TRUE(guards_hold(offset, length));
                }
        }
}

/* Moves `length` bytes of the pattern from one place of the area to another that overlaps it. */
static bool moves(size_t from, size_t to, size_t length)
{
        fill_areas();
        memmove(source_area + to, source_area + from, length);
        for (size_t i = 0; i < AREA_BYTES; i++) {
                bool inside = i >= to && i < to + length;
                if (source_area[i] != pattern(inside ? i - to + from : i))
                        return false;
        }
        return true;
}

TEST(libc, memmove_moves_overlapping_bytes_both_ways)
{
        for (size_t distance = 1; distance < 20; distance += 3) {
                for (size_t length = 0; length < LENGTH_MAX; length = next_length(length)) {
                        REQUIRE_TRUE(moves(distance, 0, length));
                        REQUIRE_TRUE(moves(1, 1 + distance, length));
                }
        }
}

TEST(libc, memcmp_and_strings_order_by_unsigned_bytes)
{
        fill_areas();
        memcpy(target_area, source_area, AREA_BYTES);
        EXPECT_EQ(memcmp(source_area, target_area, AREA_BYTES), 0);
        target_area[AREA_BYTES - 1] ^= 0x80;
        EXPECT_EQ(memcmp(source_area, target_area, AREA_BYTES) < 0,
                  source_area[AREA_BYTES - 1] < target_area[AREA_BYTES - 1]);
        EXPECT_LT(strcmp("abc", "abc\x80"), 0);
        EXPECT_GT(strcmp("ab\xff" "defghijkl", "ab\x01" "defghijkl"), 0);
        EXPECT_EQ(strncmp("abcd", "abcx", 3), 0);
        EXPECT_LT(strncmp("abcd", "abcx", 4), 0);
        EXPECT_EQ(strlen("hello"), 5);
        EXPECT_EQ(strnlen("hello", 3), 3);
}

TEST(libc, searches_find_the_first_and_the_last)
{
        const char *text = "a longer line, longer than a word";
        EXPECT_PTR_EQ(strchr(text, 'l'), text + 2);
        EXPECT_PTR_EQ(strrchr(text, 'l'), text + 15);
        EXPECT_PTR_EQ(strchr(text, 'Q'), NULL);
        EXPECT_PTR_EQ(strchr(text, '\0'), text + strlen(text));
        EXPECT_PTR_EQ(strstr(text, "line"), text + 9);
        EXPECT_PTR_EQ(memchr(text, 'w', strlen(text)), text + 29);
        EXPECT_PTR_EQ(memchr(text, 'w', 29), NULL);
}

TEST(libc, strtoull_reads_prefixes_and_stops_at_the_limit)
{
        char *end;
        EXPECT_EQ(strtoull("0xffffffffffffffff,", &end, 0), ULLONG_MAX);
        EXPECT_EQ(*end, ',');
        EXPECT_EQ(strtoull("077", NULL, 0), 63);
        EXPECT_EQ(strtol("-12x", &end, 10), -12);
        EXPECT_EQ(*end, 'x');
        errno = 0;
        EXPECT_EQ(strtoull("18446744073709551616", NULL, 10), ULLONG_MAX);
        EXPECT_EQ(errno, ERANGE);
}

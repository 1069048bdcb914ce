/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/cmdline.c, kernel/glob.c and what they say on the console. The words that these
 * tests parse are declared here, so they are in the table of every image that has tests. */
#include "tests/expect.h"

#include <stdio.h>
#include <string.h>

#include "kernel/cmdline.h"
#include "kernel/glob.h"
#include "kernel/log.h"

static uint64_t number = 7;
static bool flag;
static char text[8] = "default";
CMDLINE_UINT(number, "selftest.number", 5, 3ull << 30, "for the self-tests of the command line");
CMDLINE_FLAG(flag, "selftest.flag", "for the self-tests of the command line");
CMDLINE_STRING(text, "selftest.text", "for the self-tests of the command line");

/* Keeps what is logged instead of printing it. */
struct capture {
        struct log_sink sink;
        char text[1024];
        size_t bytes;
};

static void capture_write(struct log_sink *sink, const char *line, size_t bytes)
{
        struct capture *capture = CONTAINER_OF(sink, struct capture, sink);

        if (bytes < sizeof(capture->text) - capture->bytes) {
                memcpy(capture->text + capture->bytes, line, bytes);
                capture->bytes += bytes;
        }
}

/* Parses `words` and compares the number of complaints and their text. */
static void expect_parse(struct test *t, const char *words, size_t reported, const char *said)
{
        struct capture capture = {.sink.write = capture_write};
        struct log_sink *console = log_replace_sinks(&capture.sink);
        size_t count = cmdline_parse(words);

        log_replace_sinks(console);
        EXPECT_EQ(count, reported);
        EXPECT_STR_EQ(capture.text, said);
}

#define NUMBER_EXPECTED "expected selftest.number=N with N from 5 to 3221225472\n"

/* A loader's words may hold anything; on the console they stay inside their line. */
TEST(cmdline, control_characters_do_not_reach_the_console)
{
        expect_parse(t, "a\x1b[2J\x07\x7f""b", 1,
                     "# cmdline: unknown word 'a?[2J??b'; cmd=cmdline lists the known ones\n");
}

TEST(cmdline, a_newline_in_an_argument_ends_no_line)
{
        struct capture capture = {.sink.write = capture_write};
        struct log_sink *console = log_replace_sinks(&capture.sink);

        log_line("command line '%s'", "a\nok 1 b\r");
        log_raw("%s", "\t\xc3\xa9");
        log_replace_sinks(console);
        EXPECT_STR_EQ(capture.text, "# command line 'a?ok 1 b?'\n?\xc3\xa9\n");
}

TEST(cmdline, numbers)
{
        expect_parse(t, "selftest.number=5", 0, "");
        EXPECT_EQ(number, 5);
        expect_parse(t, "  selftest.number=0x1F\n", 0, "");
        EXPECT_EQ(number, 31);
        expect_parse(t, "selftest.number=3G", 0, "");
        EXPECT_EQ(number, 3ull << 30);
        expect_parse(t, "selftest.number=2m\tselftest.number=64k", 0, "");
        EXPECT_EQ(number, 65536);
}

static void expect_wrong_number(struct test *t, const char *word)
{
        char said[160];
        (void)snprintf(said, sizeof(said), "# cmdline: '%s': " NUMBER_EXPECTED, word);
        expect_parse(t, word, 1, said);
}

TEST(cmdline, wrong_numbers_keep_the_value)
{
        number = 9;
        expect_wrong_number(t, "selftest.number");
        expect_wrong_number(t, "selftest.number=");
        expect_wrong_number(t, "selftest.number=4");
        expect_wrong_number(t, "selftest.number=4G");
        expect_wrong_number(t, "selftest.number=12x");
        expect_wrong_number(t, "selftest.number=-6");
        expect_wrong_number(t, "selftest.number=0x");
        /* 2^64 + 6 and 2^34 G would be in range if they were cut to 64 bits. */
        expect_wrong_number(t, "selftest.number=18446744073709551622");
        expect_wrong_number(t, "selftest.number=17179869185G");
        EXPECT_EQ(number, 9);
}

TEST(cmdline, flags)
{
        flag = false;
        expect_parse(t, "selftest.flag", 0, "");
        EXPECT_TRUE(flag);
        expect_parse(t, "selftest.flag=off", 0, "");
        EXPECT_FALSE(flag);
        expect_parse(t, "selftest.flag=true", 0, "");
        EXPECT_TRUE(flag);
        expect_parse(t, "selftest.flag=maybe", 1,
                     "# cmdline: 'selftest.flag=maybe': expected true or false\n");
        EXPECT_TRUE(flag);
}

TEST(cmdline, strings)
{
        expect_parse(t, "selftest.text=a=b", 0, "");
        EXPECT_STR_EQ(text, "a=b");
        expect_parse(t, "selftest.text=1234567", 0, "");
        EXPECT_STR_EQ(text, "1234567");
        expect_parse(t, "selftest.text=12345678", 1,
                     "# cmdline: 'selftest.text': expected selftest.text=TEXT "
                     "of at most 7 characters\n");
        EXPECT_STR_EQ(text, "1234567");
        expect_parse(t, "selftest.text=", 0, "");
        EXPECT_STR_EQ(text, "");
}

TEST(cmdline, unknown_words_are_named)
{
        expect_parse(t, "", 0, "");
        expect_parse(t, " \n ", 0, "");
        expect_parse(
                t, "selftest.fla selftest.flags=1", 2,
                "# cmdline: unknown word 'selftest.fla'; cmd=cmdline lists the known ones\n"
                "# cmdline: unknown word 'selftest.flags'; cmd=cmdline lists the known ones\n");
}

TEST(cmdline, glob)
{
        EXPECT_TRUE(glob_matches("pmm.*", "pmm.free"));
        EXPECT_TRUE(glob_matches("*", ""));
        EXPECT_TRUE(glob_matches("*.*e*d", "pmm.freed"));
        EXPECT_TRUE(glob_matches("a*b*c", "a.b.b.c"));
        EXPECT_TRUE(glob_matches("p?m.x", "pmm.x"));
        EXPECT_FALSE(glob_matches("p?m.x", "pm.x"));
        EXPECT_FALSE(glob_matches("pmm.*", "pm.free"));
        EXPECT_FALSE(glob_matches("pmm", "pmm.free"));
        EXPECT_FALSE(glob_matches("*ab", "abc"));
        EXPECT_FALSE(glob_matches("", "a"));
}

TEST(cmdline, long_lines_are_cut_and_say_so)
{
        struct capture capture = {.sink.write = capture_write};
        struct log_sink *console = log_replace_sinks(&capture.sink);
        char long_text[LOG_LINE_BYTES + 10];

        memset(long_text, 'x', sizeof(long_text) - 1);
        long_text[sizeof(long_text) - 1] = '\0';
        log_line("%s", long_text);
        log_replace_sinks(console);
        EXPECT_EQ(capture.bytes, LOG_LINE_BYTES - 1);
        EXPECT_BYTES_EQ(capture.text, "# xxx", 5);
        EXPECT_BYTES_EQ(capture.text + capture.bytes - 5, "x...\n", 5);
}

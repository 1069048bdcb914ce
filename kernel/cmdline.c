/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* cmdline — parses the command line against the table of options; see cmdline.h. */
#include "kernel/cmdline.h"

#include <string.h>

#include "kernel/command.h"
#include "kernel/linker_table.h"
#include "kernel/log.h"

LINKER_TABLE_DECLARE(cmdline_table, struct cmdline_option);

struct word {
        const char *name;
        size_t name_length;
        const char *value; /* NULL: no '=' */
        size_t value_length;
};

static bool text_is(const char *text, size_t length, const char *wanted)
{
        return strlen(wanted) == length && memcmp(text, wanted, length) == 0;
}

/* The next word at *text, which moves behind it; false at the end. */
static bool next_word(const char **text, struct word *word)
{
        const char *start = *text + strspn(*text, " \t\r\n");
        size_t length = strcspn(start, " \t\r\n");
        const char *equals = memchr(start, '=', length);

        *text = start + length;
        word->name = start;
        word->name_length = equals != NULL ? (size_t)(equals - start) : length;
        word->value = equals != NULL ? equals + 1 : NULL;
        word->value_length = equals != NULL ? length - word->name_length - 1 : 0;
        return length != 0;
}

static unsigned digit_value(char digit)
{
        if (digit >= '0' && digit <= '9')
                return (unsigned)(digit - '0');
        digit |= 0x20;
        return digit >= 'a' && digit <= 'f' ? (unsigned)(digit - 'a') + 10 : 99;
}

static unsigned suffix_shift(char suffix)
{
        switch (suffix | 0x20) {
        case 'k':
                return 10;
        case 'm':
                return 20;
        case 'g':
                return 30;
        default:
                return 0;
        }
}

bool cmdline_number(const char *text, size_t length, uint64_t *number)
{
        unsigned base = 10, shift = 0;
        uint64_t value = 0;

        if (length > 2 && text[0] == '0' && (text[1] | 0x20) == 'x') {
                base = 16;
                text += 2;
                length -= 2;
        }
        if (length > 1)
                shift = suffix_shift(text[length - 1]);
        if (shift != 0)
                length--;
        if (length == 0)
                return false;
        for (size_t i = 0; i < length; i++) {
                unsigned digit = digit_value(text[i]);
                if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
                    __builtin_add_overflow(value, digit, &value))
                        return false;
        }
        if (shift != 0 && value >> (64 - shift) != 0)
                return false;
        *number = value << shift;
        return true;
}

static bool set_number(const struct cmdline_option *option, const struct word *word)
{
        uint64_t number;

        if (word->value == NULL || !cmdline_number(word->value, word->value_length, &number) ||
            number < option->min || number > option->max) {
                log_line("cmdline: '%.*s%s%.*s': expected %s=N with N from %llu to %llu",
                         (int)word->name_length, word->name, word->value != NULL ? "=" : "",
                         (int)word->value_length, word->value != NULL ? word->value : "",
                         option->name, (unsigned long long)option->min,
                         (unsigned long long)option->max);
                return false;
        }
        *(uint64_t *)option->value = number;
        return true;
}

static bool set_flag(const struct cmdline_option *option, const struct word *word)
{
        static const char *const yes[] = {"true", "1", "on", "yes"};
        static const char *const no[] = {"false", "0", "off", "no"};

        if (word->value == NULL) {
                *(bool *)option->value = true;
                return true;
        }
        for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
                bool is_yes = text_is(word->value, word->value_length, yes[i]);
                if (is_yes || text_is(word->value, word->value_length, no[i])) {
                        *(bool *)option->value = is_yes;
                        return true;
                }
        }
        log_line("cmdline: '%s=%.*s': expected true or false", option->name,
                 (int)word->value_length, word->value);
        return false;
}

static bool set_string(const struct cmdline_option *option, const struct word *word)
{
        if (word->value == NULL || word->value_length >= option->string_bytes) {
                log_line("cmdline: '%s': expected %s=TEXT of at most %u characters", option->name,
                         option->name, option->string_bytes - 1);
                return false;
        }
        memcpy(option->value, word->value, word->value_length);
        ((char *)option->value)[word->value_length] = '\0';
        return true;
}

static bool take_each(const struct cmdline_option *option, const struct word *word)
{
        const char *wrong = option->take(word->value, word->value_length);

        if (wrong != NULL)
                log_line("cmdline: '%s=%.*s': %s", option->name, (int)word->value_length,
                         word->value != NULL ? word->value : "", wrong);
        return wrong == NULL;
}

static bool apply_word(const struct word *word)
{
        LINKER_TABLE_FOR_EACH(option, cmdline_table, struct cmdline_option)
        {
                if (!text_is(word->name, word->name_length, option->name))
                        continue;
                switch (option->kind) {
                case CMDLINE_KIND_UINT:
                        return set_number(option, word);
                case CMDLINE_KIND_FLAG:
                        return set_flag(option, word);
                case CMDLINE_KIND_STRING:
                        return set_string(option, word);
                case CMDLINE_KIND_EACH:
                        return take_each(option, word);
                }
        }
        log_line("cmdline: unknown word '%.*s'; cmd=cmdline lists the known ones",
                 (int)word->name_length, word->name);
        return false;
}

size_t cmdline_parse(const char *text)
{
        size_t reported = 0;
        struct word word;

        while (next_word(&text, &word))
                reported += !apply_word(&word);
        return reported;
}

static void cmdline_list(void)
{
        LINKER_TABLE_FOR_EACH(option, cmdline_table, struct cmdline_option)
        {
                switch (option->kind) {
                case CMDLINE_KIND_UINT:
                        log_line("%s=N (%llu to %llu, now %llu): %s", option->name,
                                 (unsigned long long)option->min, (unsigned long long)option->max,
                                 (unsigned long long)*(const uint64_t *)option->value,
                                 option->help);
                        break;
                case CMDLINE_KIND_FLAG:
                        log_line("%s (now %s): %s", option->name,
                                 *(const bool *)option->value ? "true" : "false", option->help);
                        break;
                case CMDLINE_KIND_STRING:
                        log_line("%s=TEXT (now '%s'): %s", option->name,
                                 (const char *)option->value, option->help);
                        break;
                case CMDLINE_KIND_EACH:
                        log_line("%s=...: %s", option->name, option->help);
                        break;
                }
        }
}
COMMAND(cmdline_command, "cmdline", "every word of the command line, with its value and range",
        cmdline_list);

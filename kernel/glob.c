/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* glob — see glob.h. Backtracks only to the last star, so it needs no recursion. */
#include "kernel/glob.h"

#include <stddef.h>

bool glob_matches(const char *pattern, const char *text)
{
        const char *star = NULL, *resume = NULL;

        while (*text != '\0') {
                if (*pattern == '*') {
                        star = pattern++;
                        resume = text;
                } else if (*pattern == '?' || *pattern == *text) {
                        pattern++;
                        text++;
                } else if (star != NULL) {
                        pattern = star + 1;
                        text = ++resume;
                } else {
                        return false;
                }
        }
        while (*pattern == '*')
                pattern++;
        return *pattern == '\0';
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* death — tests whose success is an assertion:
 * the act runs in a child process, whose last words count. */
#ifndef TESTS_HOST_DEATH_H
#define TESTS_HOST_DEATH_H

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/expect.h"

/* Runs `act` in a child; its last words must be a failed assertion that contains `words`. */
static inline void expect_death(struct test *t, void (*act)(void), const char *words)
{
        char said[1024] = "";
        size_t said_bytes = 0;
        int ends[2], status;
        ssize_t got;
        REQUIRE_EQ(pipe(ends), 0);
        pid_t child = fork();
        REQUIRE_TRUE(child >= 0);
        if (child == 0) {
                dup2(ends[1], STDERR_FILENO);
                NO_REFUSALS();
                act();
                _exit(0);
        }
        close(ends[1]);
        while (said_bytes < sizeof(said) - 1 &&
               (got = read(ends[0], said + said_bytes, sizeof(said) - 1 - said_bytes)) > 0)
                said_bytes += (size_t)got;
        close(ends[0]);
        REQUIRE_EQ(waitpid(child, &status, 0), child);
        if (!EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
            !EXPECT_TRUE(strstr(said, "assertion failed") != NULL && strstr(said, words) != NULL))
                test_log(t, "wanted \"%s\", the child said \"%s\"", words, said);
}

#endif

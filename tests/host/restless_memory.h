/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* restless_memory — memory of which every byte changes as soon as somebody has loaded it: whoever
 * looks twice sees two things. With it a double fetch is found by any parser of a peer's memory, in
 * two ways: a byte was looked at by two readers (watched_memory.h says what a reader is), and the
 * parser's result is not that of quiet memory.
 *
 * Bytes that the code stores are left alone from then on. */
#ifndef TESTS_HOST_RESTLESS_MEMORY_H
#define TESTS_HOST_RESTLESS_MEMORY_H

#include "tests/expect.h"
#include "tests/host/watched_memory.h"

#define RESTLESS_BYTES_MAX 65536u

static struct {
        uint32_t reader[RESTLESS_BYTES_MAX]; /* the first one; 0: nobody yet */
        uint8_t quiet[RESTLESS_BYTES_MAX];   /* what was there in the beginning */
        uint8_t before[64];                  /* what the access that is under way found */
        size_t offset, width;                /* of it */
        uint32_t twice;                      /* bytes that a second reader looked at */
        size_t twice_at;                     /* the last of them */
        size_t low, high;                    /* of what the library's call has loaded */
        size_t steady, steady_end;           /* bytes that stay and may be looked at again */
} restless;

static void restless_before(size_t offset)
{
        restless.offset = offset;
        restless.width = watched.width < watched.bytes - offset ? watched.width
                                                                 : watched.bytes - offset;
        memcpy(restless.before, watched.pages + offset, restless.width);
}

static void restless_turn(size_t low, size_t high)
{
        for (size_t i = low; i < high; i++)
                if (restless.reader[i] == watched.reader)
                        watched.pages[i] = (uint8_t)~restless.quiet[i];
}

static void restless_after(void)
{
        size_t end = restless.offset + restless.width;
        if (memcmp(restless.before, watched.pages + restless.offset, restless.width) != 0)
                return; /* a store */
        for (size_t i = restless.offset; i < end; i++) {
                if (i >= restless.steady && i < restless.steady_end)
                        continue;
                if (restless.reader[i] == 0) {
                        restless.reader[i] = watched.reader;
                } else if (restless.reader[i] != watched.reader) {
                        restless.twice++;
                        restless.twice_at = i;
                }
        }
        if (!watched.in_library) {
                restless_turn(restless.offset, end);
                return;
        }
        restless.low = restless.offset < restless.low ? restless.offset : restless.low;
        restless.high = end > restless.high ? end : restless.high;
}

static void restless_returned(void)
{
        restless_turn(restless.low, restless.high);
        restless.low = RESTLESS_BYTES_MAX;
        restless.high = 0;
}

/* From here on the `bytes` bytes at `pages` (whole pages,
 * RESTLESS_BYTES_MAX at most) are restless. */
static inline void restless_begin(void *pages, size_t bytes)
{
        memset(&restless, 0, sizeof(restless));
        restless.low = RESTLESS_BYTES_MAX;
        memcpy(restless.quiet, pages, bytes);
        watched_open(pages, bytes, restless_before, restless_after);
        watched.follow = true;
        watched.returned = restless_returned;
        watch();
}

/* Behind begin: the bytes from `start` up to `end` are what a rule says must be looked at again. */
static inline void restless_leave(size_t start, size_t end)
{
        restless.steady = start;
        restless.steady_end = end;
}

/* Until here. What was loaded and not stored since is as it was in the beginning. */
static inline void restless_end(void)
{
        unwatch();
        watched.follow = false;
        for (size_t i = 0; i < watched.bytes; i++)
                if (restless.reader[i] != 0 && watched.pages[i] == (uint8_t)~restless.quiet[i])
                        watched.pages[i] = restless.quiet[i];
        watched_close();
}

#endif

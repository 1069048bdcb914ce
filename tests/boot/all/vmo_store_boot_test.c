/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What the console word `vmostore` prints. */
#include "tests/boot/vmo_bed.h"

#include <string.h>

#include "kernel/log.h"
#include "kernel/vmo_store_boot.h"

static struct vmo_store store;
static char said[512];

static void keep_line(struct log_sink *sink, const char *line, size_t bytes)
{
        strncat(said, line, bytes < sizeof(said) - strlen(said) ? bytes : 0);
}

static void print_and_drop(void)
{
        struct log_sink sink = {.write = keep_line};
        struct log_sink *console = log_replace_sinks(&sink);

        said[0] = '\0';
        vmo_store_print();
        log_replace_sinks(console);
        vmo_store_withdraw(&store);
        vmo_store_fini(&store);
}

static zx_status_t two_in_a_store(struct test *t)
{
        struct vmo *vmo;

        vmo_store_init(&store, "selftest");
        vmo_store_publish(&store);
        bed.clean_up = print_and_drop;
        TRY(bed_vmo(3 * PAGE_BYTES, 0, &vmo));
        EXPECT_OK(vmo_store_register(&store, 7, vmo));
        TRY(vmo_store_write(&store, (struct vmo_region){7, 0, 1}, "x"));
        EXPECT_OK(vmo_store_register(&store, 8, vmo));
        TRY(vmo_store_pin(&store, 8));
        return ZX_OK;
}

/* The last run is the one with memory enough. */
TEST(vmo_store_boot, what_the_console_word_says)
{
        bed_run(t, two_in_a_store);
        EXPECT_TRUE(strstr(said,
                           "# vmostore: selftest: 2 of 32 ids, reads 0, writes 1, refused 0\n") !=
                                   NULL);
        EXPECT_TRUE(strstr(said, "# vmostore:   id 7: paged, 12 KiB, 3 pages there\n") != NULL);
        EXPECT_TRUE(strstr(said, "# vmostore:   id 8: paged, 12 KiB, 3 pages there, pinned\n") !=
                    NULL);
}

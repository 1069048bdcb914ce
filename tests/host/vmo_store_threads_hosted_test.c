/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* One store from several threads at once, as the queues of a card use it: bytes and spans by any,
 * while one registers and takes back ids of its own. Under AddressSanitizer and ThreadSanitizer. */
#include <string.h>

#include "base/bytes.h"
#include "kernel/vmo_buffer.h"
#include "tests/host/thread_bed.h"

#define BED_PAGES 300u
#define VMO_PAGES 16u
#define ROUNDS 3000u
#define OWN_BYTES 512u /* of each page; of each thread */

static struct vmo_pool pool;
static struct vmo *vmo;
static struct vmo_store store, second;
static uint64_t free_before;

static struct vmo_region region(uint8_t id, uint64_t page, uint64_t length)
{
        return (struct vmo_region){id, page * PAGE_BYTES + this_cpu * OWN_BYTES, length};
}

/* Writes, reads and copies in its own part of each page, through both ids of the same VMO; and
 * looks its physical memory up. */
static void use_bytes(uint64_t *random)
{
        uint8_t out[OWN_BYTES], in[OWN_BYTES];
        uint64_t page = next_random(random) % VMO_PAGES, other = next_random(random) % VMO_PAGES;
        struct vmo_span span;
        size_t count = 0;
        uint64_t copied = 0;

        memset(out, (int)next_random(random) | 1, sizeof(out));
        note(TRIED(vmo_store_write(&store, region(0, page, OWN_BYTES), out)) == ZX_OK);
        note(TRIED(vmo_store_copy(&store, region(0, page, OWN_BYTES), &store,
                                  region(1, other, OWN_BYTES))) == ZX_OK);
        note(vmo_store_read(&store, region(1, other, OWN_BYTES), in) == ZX_OK);
        note(memcmp(in, out, sizeof(in)) == 0);
        note(vmo_store_read(&store, region(9, 0, 1), in) == ZX_ERR_NOT_FOUND);
        note(vmo_store_read(&store, region(0, VMO_PAGES, 1), in) == ZX_ERR_OUT_OF_RANGE);
        note(vmo_store_pinned_spans(&store, region(0, page, OWN_BYTES),
                                    (struct vmo_span_list){&span, 1}, &count) == ZX_OK);
        note(count == 1 && span.bytes == OWN_BYTES);

        struct rx_buffer rx, tx;
        struct rx_space from = {1, region(0, page, OWN_BYTES)},
                        to = {2, region(1, other, OWN_BYTES)};
        vmo_store_make_rx_space_buffer(&store, &from, &tx);
        vmo_store_make_rx_space_buffer(&store, &to, &rx);
        note(TRIED(vmo_buffer_copy_from(&rx.buffer, &tx.buffer, &copied)) == ZX_OK);
        note(copied == OWN_BYTES);
}

static void *work(void *number)
{
        uint64_t random = this_cpu = (uint32_t)(uintptr_t)number;
        uint32_t id;

        pthread_barrier_wait(&all_here);
        for (unsigned i = 0; i < ROUNDS; i++) {
                use_bytes(&random);
                if (this_cpu != 0)
                        continue;
                /* The same VMO in a store that is this thread's alone, and out again. */
                note(vmo_store_push(&second, vmo, &id) == ZX_OK);
                if (i % 8 == 0)
                        note(TRIED(vmo_store_pin(&second, id)) == ZX_OK);
                note(vmo_store_unregister(&second, id) == ZX_OK);
        }
        return NULL;
}

TEST(vmo_store_threads, bytes_and_spans_by_all)
{
        make_pmm(t, BED_PAGES);
        REQUIRE_OK(vmo_pool_init(&pool, &pmm));
        free_before = pmm_count_free_pages(&pmm);
        REQUIRE_OK(vmo_create(&pool, VMO_PAGES * PAGE_BYTES, 0, &vmo));
        vmo_store_init(&store, "shared");
        vmo_store_init(&second, "own");
        REQUIRE_OK(vmo_store_register(&store, 0, vmo));
        REQUIRE_OK(vmo_store_register(&store, 1, vmo));
        REQUIRE_OK(vmo_store_pin(&store, 0));
        run_threads(t, THREADS, work);
        EXPECT_EQ(atomic_load(&wrongs), 0u);
        EXPECT_TRUE(vmo_store_valid(&store) && vmo_store_valid(&second));
        EXPECT_EQ(store.counters.refused, 2 * THREADS * ROUNDS);
        vmo_put(vmo);
        vmo_store_fini(&store);
        vmo_store_fini(&second);
        vmo_pool_fini(&pool);
        EXPECT_EQ(pmm_count_free_pages(&pmm), free_before);
}

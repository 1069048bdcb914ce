/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* That the validity functions of the memory objects see what is wrong, one field at a time; every
 * other test only sees them say that all is well. Those of pmm, channel, message_packet and the
 * tree of a VMAR have tests beside the rest of theirs. */
#include "tests/boot/vmo_bed.h"

#include "kernel/buffer_chain.h"
#include "kernel/vmo_buffer.h"
#include "kernel/vmo_internal.h"

#define P PAGE_BYTES

/* Puts something wrong into a place, looks, and puts back what was there. */
#define EXPECT_SEEN(valid_, place_, wrong_)              \
        do {                                             \
                __typeof__(place_) right_ = (place_);    \
                EXPECT_TRUE(valid_);                     \
                (place_) = (wrong_);                     \
                EXPECT_FALSE(valid_);                    \
                (place_) = right_;                       \
        } while (0)

SWEPT_TEST(validity, vmo)
{
        struct vmo *vmo;

        TRY(bed_vmo(4 * P, VMO_RESIZABLE, &vmo));
        TRY(vmo_op_range(vmo, VMO_OP_COMMIT, 0, 2 * P));
        TRY(bed_pin(vmo, P, P));
        struct vm_page *page = vmo_find_page(vmo, 0);
        EXPECT_SEEN(vmo_valid(vmo), vmo->size_bytes, 4 * P + 1);
        EXPECT_SEEN(vmo_valid(vmo), vmo->content_bytes, 4 * P + 1);
        EXPECT_SEEN(vmo_valid(vmo), vmo->reference_count, 0);
        EXPECT_SEEN(vmo_valid(vmo), vmo->mapping_count, 1);
        EXPECT_SEEN(vmo_valid(vmo), vmo->committed_pages, 3);
        EXPECT_SEEN(vmo_valid(vmo), vmo->pinned_pages, 0);
        EXPECT_SEEN(vmo_valid(vmo), page->state, VM_PAGE_ALLOC);
        EXPECT_SEEN(vmo_valid(vmo), page->use.object.owner, NULL);
        EXPECT_SEEN(vmo_valid(vmo), page->use.object.offset, P);
        EXPECT_SEEN(vmo_valid(vmo), page->list.next, &page->list);
        /* A page beyond the size that nobody counts. */
        EXPECT_OK(vmo_set_content_size(vmo, 0));
        EXPECT_TRUE(vmo_valid(vmo));
        vmo->size_bytes = P;
        vmo->committed_pages = 1;
        vmo->pinned_pages = 0;
        EXPECT_FALSE(vmo_valid(vmo));
        vmo->size_bytes = 4 * P;
        vmo->committed_pages = 2;
        vmo->pinned_pages = 1;
        return ZX_OK;
}

SWEPT_TEST(validity, slab)
{
        struct vmo *vmo;

        TRY(bed_vmo(P, 0, &vmo));
        struct vm_page *page = pmm_page_from_va(&bed.pmm, vmo);
        EXPECT_SEEN(slab_valid(&bed.pool.vmos), bed.pool.vmos.object_count, 2);
        EXPECT_SEEN(slab_valid(&bed.pool.vmos), bed.pool.vmos.page_count, 0);
        EXPECT_SEEN(slab_valid(&bed.pool.vmos), bed.pool.vmos.page_count, 2);
        EXPECT_SEEN(slab_valid(&bed.pool.vmos), page->state, VM_PAGE_ALLOC);
        return ZX_OK;
}

static struct vmo_store store;

static void drop_store(void)
{
        vmo_store_fini(&store);
}

SWEPT_TEST(validity, vmo_store_and_buffer)
{
        struct vmo *vmo, *resizable, *physical;
        uint8_t first_free;

        vmo_store_init(&store, "bed");
        bed.clean_up = drop_store;
        TRY(bed_vmo(2 * P, 0, &vmo));
        TRY(bed_vmo(P, VMO_RESIZABLE, &resizable));
        TRY(bed_physical(0xfee00000, P, &physical));
        TRY(vmo_store_register(&store, 7, vmo));
        first_free = store.free_next[VMO_STORE_VMOS_MAX];
        EXPECT_SEEN(vmo_store_valid(&store), store.used_count, 2);
        EXPECT_SEEN(vmo_store_valid(&store), store.slots[7].vmo, NULL);
        EXPECT_SEEN(vmo_store_valid(&store), store.slots[7].vmo, resizable);
        EXPECT_SEEN(vmo_store_valid(&store), store.slots[7].vmo, physical);
        EXPECT_SEEN(vmo_store_valid(&store), vmo->cache_policy, VMO_CACHE_UNCACHED);
        EXPECT_SEEN(vmo_store_valid(&store), store.slots[8].vmo, vmo);
        EXPECT_SEEN(vmo_store_valid(&store), store.slots[8].pinned, true);
        EXPECT_SEEN(vmo_store_valid(&store), store.free_prev[first_free], 3);
        EXPECT_SEEN(vmo_store_valid(&store), store.free_next[first_free], VMO_STORE_VMOS_MAX + 1);
        EXPECT_SEEN(vmo_store_valid(&store), store.free_next[first_free], VMO_STORE_VMOS_MAX);

        struct rx_buffer rx;
        struct rx_space space = {1, {7, 0, P}};
        vmo_store_make_rx_space_buffer(&store, &space, &rx);
        EXPECT_SEEN(vmo_buffer_valid(&rx.buffer), rx.buffer.length, P + 1);
        EXPECT_SEEN(vmo_buffer_valid(&rx.buffer), rx.buffer.part_count, 0);
        EXPECT_SEEN(vmo_buffer_valid(&rx.buffer), rx.buffer.part_count, VMO_BUFFER_PARTS_MAX + 1);
        EXPECT_SEEN(vmo_buffer_valid(&rx.buffer), rx.buffer.store, NULL);
        rx.buffer.part_count = 2; /* a sum that wraps */
        rx.buffer.parts[1].region.length = 0;
        EXPECT_SEEN(vmo_buffer_valid(&rx.buffer), rx.buffer.parts[1].region.length, UINT64_MAX);

        /* What a descriptor may name. */
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      vmo_store_check_read(&store, (struct vmo_region){8, 0, 0}));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      vmo_store_prepare_write(&store, (struct vmo_region){8, 0, 0}));
        EXPECT_OK(vmo_store_check_read(&store, (struct vmo_region){7, P, P}));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      vmo_store_check_read(&store, (struct vmo_region){7, P, P + 1}));
        return ZX_OK;
}

static struct page_cache cache;
static struct page_cache_entry entry;

static void drain_cache(void)
{
        page_cache_drain_all(&cache);
}

SWEPT_TEST(validity, page_cache_and_buffer_chain)
{
        struct page_cache_config config = {
                .pmm = &bed.pmm, .reserve_pages = 4, .cpu_count = 1, .entries = &entry};
        struct buffer_chain *chain;
        static const char data[5000];

        TRY(page_cache_init(&cache, &config));
        bed.clean_up = drain_cache;
        TRY(buffer_chain_alloc(&cache, 10000, &chain));
        EXPECT_OK(buffer_chain_append_kernel(chain, data, sizeof(data), NULL));
        struct buffer_chain_buffer *second = chain->first->next;
        struct vm_page *used = pmm_page_from_va(&bed.pmm, second);
        struct vm_page *unused = vm_page_from_node(chain->unused_pages.next);
        EXPECT_SEEN(buffer_chain_valid(chain), second->canary, 0);
        EXPECT_SEEN(buffer_chain_valid(chain), second->reserved_bytes, 8);
        EXPECT_SEEN(buffer_chain_valid(chain), second->next, chain->first);
        EXPECT_SEEN(buffer_chain_valid(chain), chain->first->next, BUFFER_CHAIN_END);
        EXPECT_SEEN(buffer_chain_valid(chain), chain->write_offset,
                    BUFFER_CHAIN_RAW_DATA_BYTES + 1);
        EXPECT_SEEN(buffer_chain_valid(chain), chain->tail, chain->first);
        EXPECT_SEEN(buffer_chain_valid(chain), used->state, VM_PAGE_ALLOC);
        EXPECT_SEEN(buffer_chain_valid(chain), unused->state, VM_PAGE_CACHE);
        buffer_chain_free(chain);

        struct vm_page *page = vm_page_from_node(entry.pages.next);
        EXPECT_GE(entry.count, 2);
        EXPECT_SEEN(page_cache_valid(&cache), entry.count, entry.count - 1);
        EXPECT_SEEN(page_cache_valid(&cache), entry.count, entry.count + 1);
        EXPECT_SEEN(page_cache_valid(&cache), cache.reserve_pages, 1);
        EXPECT_SEEN(page_cache_valid(&cache), page->state, VM_PAGE_ALLOC);
        EXPECT_SEEN(page_cache_valid(&cache), page->list.prev, &page->list);
        return ZX_OK;
}

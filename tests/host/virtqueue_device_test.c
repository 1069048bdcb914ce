/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of the device's end of a split ring with a driver that keeps the rules: the bare ring, the
 * queue. The walks: virtqueue_chain_test.c. Drivers that break them:
 * virtqueue_device_rules_test.c. */
#include "tests/host/virtqueue_device_rig.h"

/* ---- the bare ring ---- */

TEST(virtqueue_device, bare_ring)
{
        struct rig rig;
        struct virtqueue_descriptor copy;
        uint16_t head = 77;
        REQUIRE_TRUE(rig_init(t, &rig, 4));
        struct virtqueue_device_ring *ring = &rig.device.ring;
        EXPECT_FALSE(virtqueue_device_ring_avail(ring, 0, &head));
        rig_describe(&rig.descriptors[3], 0x1122334455667788, 0x99aabbcc, rig_next(2, RIG_WRITE));
        rig_offer(&rig, 3);
        REQUIRE_TRUE(virtqueue_device_ring_avail(ring, 0, &head));
        EXPECT_EQ(head, 3);
        EXPECT_FALSE(virtqueue_device_ring_avail(ring, 1, &head));
        REQUIRE_TRUE(virtqueue_device_ring_descriptor(ring, 3, &copy));
        EXPECT_BYTES_EQ(&copy, &rig.descriptors[3], 16);
        EXPECT_FALSE(virtqueue_device_ring_descriptor(ring, 4, &copy));
        EXPECT_FALSE(virtqueue_device_ring_descriptor(ring, UINT32_MAX, &copy));

        struct virtqueue_used_element entry = {.id = 3, .bytes = 5};
        for (uint32_t i = 0xfffe; i < 0x10003; i++)
                virtqueue_device_ring_insert_used(ring, (uint16_t)i, entry);
        EXPECT_EQ(rig.used->index, 0); /* five entries, nothing shown */
        virtqueue_device_ring_publish_used(ring, 3);
        EXPECT_EQ(rig.used->index, 3); /* runs freely, not modulo 4 */
        EXPECT_EQ(rig.used->ring[2].id, 3);
        EXPECT_EQ(rig.used->ring[2].bytes, 5);
        rig.avail->flags = 1;
        EXPECT_FALSE(virtqueue_device_ring_signal_wanted(ring, false, 3, 1));
        EXPECT_TRUE(virtqueue_device_ring_signal_wanted(ring, true, 1, 1));
        rig.avail->ring[4] = 7; /* used_event */
        EXPECT_FALSE(virtqueue_device_ring_signal_wanted(ring, true, 7, 4));
        EXPECT_TRUE(virtqueue_device_ring_signal_wanted(ring, true, 8, 1));
}

/* ---- the memory ---- */

TEST(virtqueue_device, translation)
{
        struct rig rig;
        uint64_t mapped;
        uint8_t bytes[64], pattern[64];
        rig_prepare(t, &rig, 4);
        struct virtqueue_device_memory memory = rig_memory(&rig);
        for (uint32_t i = 0; i < 64; i++) {
                pattern[i] = (uint8_t)(i * 3 + 1);
                *rig_at(&rig, RIG_DATA_DEV + PAGE_BYTES - 20 + i) = pattern[i];
        }
        uint64_t end = RIG_DATA_DEV + RIG_DATA_BYTES;
        EXPECT_PTR_EQ(virtqueue_device_memory_map(&memory, RIG_DATA_DEV + 4000, 200, &mapped),
                      (char *)rig.regions[3].va + 4000);
        EXPECT_EQ(mapped, 96);
        EXPECT_TRUE(virtqueue_device_memory_copy_in(&memory, bytes,
                                                    RIG_DATA_DEV + PAGE_BYTES - 20, 64));
        EXPECT_BYTES_EQ(bytes, pattern, 64); /* over all three regions */
        EXPECT_PTR_EQ(virtqueue_device_memory_map(&memory, end - 1, 9, &mapped),
                      (char *)rig.regions[5].va + PAGE_BYTES - 1);
        EXPECT_EQ(mapped, 1);
        EXPECT_FALSE(virtqueue_device_memory_copy_in(&memory, bytes, end - 8, 9));
        EXPECT_TRUE(virtqueue_device_memory_copy_in(&memory, bytes, end - 8, 8));
        static const uint64_t nowhere[] = {0, RIG_DATA_DEV - 1, RIG_DATA_DEV + RIG_DATA_BYTES,
                                           UINT64_MAX};
        for (size_t i = 0; i < ARRAY_COUNT(nowhere); i++)
                EXPECT_PTR_EQ(virtqueue_device_memory_map(&memory, nowhere[i], 1, &mapped), NULL);
        struct virtqueue_device_region last = {.dev = UINT64_MAX - 7, .bytes = 8, .va = bytes};
        struct virtqueue_device_regions top = {.regions = &last, .count = 1};
        memory.context = &top;
        EXPECT_PTR_EQ(virtqueue_device_memory_map(&memory, UINT64_MAX - 3, 4, &mapped), bytes + 4);
        EXPECT_PTR_EQ(virtqueue_device_memory_map(&memory, UINT64_MAX - 3, 5, &mapped), NULL);
}

static void *translate_more(const void *context, uint64_t dev, uint64_t bytes,
                            uint64_t *mapped_bytes)
{
        (void)dev;
        *mapped_bytes = bytes + 100;
        return (char *)(uintptr_t)context;
}

/* A translation may answer with more than was asked for; nobody goes there. */
TEST(virtqueue_device, translation_of_more)
{
        uint8_t bytes[8];
        uint64_t mapped = 0;
        struct virtqueue_device_memory memory = {.translate = translate_more, .context = bytes};
        EXPECT_PTR_EQ(virtqueue_device_memory_map(&memory, 1, 8, &mapped), bytes);
        EXPECT_EQ(mapped, 8);
}

/* Both the driver's address and the pointer must be aligned. */
TEST(virtqueue_device, translation_of_crooked_regions)
{
        static ALIGNED(16) uint8_t bytes[64];
        struct virtqueue_device_region region = {.dev = 0x1008, .bytes = 32, .va = bytes};
        struct virtqueue_device_regions table = {.regions = &region, .count = 1};
        struct virtqueue_device_memory memory = {.translate = virtqueue_device_regions_translate,
                                                 .context = &table};
        EXPECT_PTR_EQ(virtqueue_device_memory_map_whole(&memory, 0x1008, 16, 8), bytes);
        EXPECT_PTR_EQ(virtqueue_device_memory_map_whole(&memory, 0x1008, 16, 16), NULL);
        EXPECT_PTR_EQ(virtqueue_device_memory_map_whole(&memory, 0x1010, 16, 16), NULL);
}

TEST(virtqueue_device, init_refuses)
{
        struct rig rig;
        rig_prepare(t, &rig, 8);
        static const uint32_t sizes[] = {0, 3, 12, 65536, 1u << 31};
        for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
                struct virtqueue_device_config config = rig.config;
                config.size = sizes[i];
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_device_init(&rig.device, &config));
        }
        static struct virtqueue_device_config bad[9];
        for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
                bad[i] = rig.config;
        bad[0].slots = NULL;
        bad[1].memory.translate = NULL;
        bad[2].descriptors_dev = 0x5000; /* nobody's */
        bad[3].driver_dev = RIG_AVAIL_DEV + 4; /* reaches behind its region */
        bad[4].device_dev = UINT64_MAX - 3;
        bad[5].descriptors_dev = RIG_DATA_DEV + 8;
        bad[6].driver_dev = RIG_DATA_DEV + 1;
        bad[7].device_dev = RIG_DATA_DEV + 2;
        bad[8].descriptors_dev = RIG_DATA_DEV + PAGE_BYTES - 16; /* in two pieces */
        for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_device_init(&rig.device, &bad[i]));
        EXPECT_OK(virtqueue_device_init(&rig.device, &rig.config));
}

/* What was in the slots before means nothing. */
TEST(virtqueue_device, init_clears)
{
        struct rig rig;
        rig_prepare(t, &rig, 8);
        memset(rig.config.slots, 0xff, 8 * sizeof(*rig.config.slots));
        REQUIRE_OK(virtqueue_device_init(&rig.device, &rig.config));
        rig_describe(&rig.descriptors[7], RIG_DATA_DEV, 8, 0);
        rig_offer(&rig, 7);
        EXPECT_OK(rig_pop(&rig));
}

/* ---- chains ---- */

/* Chain 1 -> 5 -> 2: read, write, write. */
static void offer_three(struct rig *rig)
{
        rig_describe(&rig->descriptors[1], RIG_DATA_DEV, 100, rig_next(5, 0));
        rig_describe(&rig->descriptors[5], RIG_DATA_DEV + 200, 50, rig_next(2, RIG_WRITE));
        rig_describe(&rig->descriptors[2], RIG_DATA_DEV + 300, 7, RIG_WRITE);
        rig_offer(rig, 1);
}

TEST(virtqueue_device, a_chain_there_and_back)
{
        struct rig rig;
        REQUIRE_TRUE(rig_init(t, &rig, 8));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, rig_pop(&rig));
        offer_three(&rig);
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_EQ(rig.request.id, 1);
        EXPECT_EQ(rig.request.readable_count, 1);
        EXPECT_EQ(rig.request.writable_count, 2);
        EXPECT_EQ(rig.request.readable_bytes, 100);
        EXPECT_EQ(rig.request.writable_bytes, 57);
        EXPECT_EQ(rig.pieces[0].dev, RIG_DATA_DEV);
        EXPECT_EQ(rig.pieces[1].dev, RIG_DATA_DEV + 200);
        EXPECT_EQ(rig.pieces[2].bytes, 7);
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, rig_pop(&rig));
        EXPECT_EQ(virtqueue_device_in_flight(&rig.device), 1);
        virtqueue_device_push(&rig.device, 1, 57);
        EXPECT_EQ(rig.used->index, 0);
        virtqueue_device_publish(&rig.device);
        EXPECT_EQ(rig.used->index, 1);
        EXPECT_EQ(rig.used->ring[0].id, 1);
        EXPECT_EQ(rig.used->ring[0].bytes, 57);
        EXPECT_EQ(virtqueue_device_in_flight(&rig.device), 0);
        EXPECT_TRUE(virtqueue_device_valid(&rig.device));
}

/* Single descriptors take a shorter way: both kinds of them. */
TEST(virtqueue_device, chains_of_one)
{
        struct rig rig;
        REQUIRE_TRUE(rig_init(t, &rig, 8));
        rig_describe(&rig.descriptors[0], RIG_DATA_DEV, 9, 0x12340000); /* next means nothing */
        rig_describe(&rig.descriptors[7], RIG_DATA_DEV + 64, UINT32_MAX, RIG_WRITE);
        rig_offer(&rig, 0);
        rig_offer(&rig, 7);
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_EQ(rig.request.readable_count, 1);
        EXPECT_EQ(rig.request.writable_count, 0);
        EXPECT_EQ(rig.request.readable_bytes, 9);
        EXPECT_EQ(rig.request.writable_bytes, 0);
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_EQ(rig.request.readable_count, 0);
        EXPECT_EQ(rig.request.writable_count, 1);
        EXPECT_EQ(rig.request.readable_bytes, 0);
        EXPECT_EQ(rig.request.writable_bytes, UINT32_MAX);
        EXPECT_EQ(rig.pieces[0].dev, RIG_DATA_DEV + 64);
        EXPECT_EQ(rig.pieces[0].bytes, UINT32_MAX);
}

/* Empty pieces count as descriptors, and are not there otherwise. */
TEST(virtqueue_device, empty_pieces)
{
        struct rig rig;
        REQUIRE_TRUE(rig_init(t, &rig, 8));
        rig_describe(&rig.descriptors[0], UINT64_MAX, 0, rig_next(1, 0));
        rig_describe(&rig.descriptors[1], RIG_DATA_DEV, 4, rig_next(2, 0));
        rig_describe(&rig.descriptors[2], 0, 0, rig_next(3, RIG_WRITE));
        rig_describe(&rig.descriptors[3], RIG_DATA_DEV, 6, RIG_WRITE);
        rig_describe(&rig.descriptors[4], 5, 0, 0);
        rig_describe(&rig.descriptors[5], 0, 0, 0);
        rig_offer(&rig, 0);
        rig_offer(&rig, 4);
        rig_offer(&rig, 5);
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_EQ(rig.request.readable_count, 1);
        EXPECT_EQ(rig.request.writable_count, 1);
        EXPECT_EQ(rig.pieces[0].bytes, 4);
        EXPECT_EQ(rig.pieces[1].bytes, 6);
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_EQ(rig.request.readable_count + rig.request.writable_count, 0);
        virtqueue_device_push(&rig.device, 4, 0);
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_EQ(rig.request.readable_count + rig.request.writable_count, 0);
}

/* Something unusual late in a chain: what came before it is counted as well. */
TEST(virtqueue_device, empty_piece_behind_others)
{
        struct rig rig;
        REQUIRE_TRUE(rig_init(t, &rig, 8));
        rig_describe(&rig.descriptors[0], RIG_DATA_DEV, 3, rig_next(1, 0));
        rig_describe(&rig.descriptors[1], RIG_DATA_DEV, 5, rig_next(2, RIG_WRITE));
        rig_describe(&rig.descriptors[2], RIG_DATA_DEV, 0, rig_next(3, RIG_WRITE));
        rig_describe(&rig.descriptors[3], RIG_DATA_DEV, 7, RIG_WRITE);
        rig_offer(&rig, 0);
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_EQ(rig.request.readable_count, 1);
        EXPECT_EQ(rig.request.writable_count, 2);
        EXPECT_EQ(rig.request.readable_bytes, 3);
        EXPECT_EQ(rig.request.writable_bytes, 12);
}

/* Where addresses end is an end like any other, alone and in a chain. */
TEST(virtqueue_device, pieces_at_the_end_of_addresses)
{
        struct rig rig;
        REQUIRE_TRUE(rig_init(t, &rig, 8));
        rig_describe(&rig.descriptors[0], UINT64_MAX - 7, 8, RIG_WRITE);
        rig_describe(&rig.descriptors[1], UINT64_MAX - 7, 8, rig_next(2, 0));
        rig_describe(&rig.descriptors[2], UINT64_MAX, 1, RIG_WRITE);
        rig_offer(&rig, 0);
        rig_offer(&rig, 1);
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_EQ(rig.request.writable_bytes, 8);
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_EQ(rig.request.readable_bytes, 8);
        EXPECT_EQ(rig.request.writable_bytes, 1);
        EXPECT_EQ(rig.pieces[1].dev, UINT64_MAX);
}

/* A table of four, its links jumping, its descriptors over three regions; a plain descriptor before
 * it, and WRITE on the one that refers to it, which means nothing. */
static void offer_table(struct rig *rig, uint64_t table_dev)
{
        struct virtqueue_descriptor table[4];
        rig_describe(&table[0], RIG_DATA_DEV, 10, rig_next(3, 0));
        rig_describe(&table[3], RIG_DATA_DEV + 10, 20, rig_next(1, RIG_WRITE));
        rig_describe(&table[1], RIG_DATA_DEV + 30, 30, RIG_WRITE);
        rig_describe(&table[2], RIG_DATA_DEV, 40, RIG_INDIRECT); /* no link leads here */
        for (uint32_t i = 0; i < sizeof(table); i++)
                *rig_at(rig, table_dev + i) = ((uint8_t *)table)[i];
        rig_describe(&rig->descriptors[6], RIG_DATA_DEV + 2000, 5, rig_next(2, 0));
        rig_describe(&rig->descriptors[2], table_dev, 64, RIG_INDIRECT | RIG_WRITE);
        rig_offer(rig, 6);
}

TEST(virtqueue_device, indirect_tables)
{
        static const uint64_t places[] = {RIG_DATA_DEV + 1024, RIG_DATA_DEV + 1027,
                                          RIG_DATA_DEV + PAGE_BYTES - 20};
        struct rig rig;
        REQUIRE_TRUE(rig_init(t, &rig, 8));
        for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
                offer_table(&rig, places[i]);
                REQUIRE_OK(rig_pop(&rig));
                EXPECT_EQ(rig.request.id, 6);
                EXPECT_EQ(rig.request.readable_count, 2);
                EXPECT_EQ(rig.request.writable_count, 2);
                EXPECT_EQ(rig.request.readable_bytes, 15);
                EXPECT_EQ(rig.request.writable_bytes, 50);
                EXPECT_EQ(rig.pieces[1].dev, RIG_DATA_DEV);
                EXPECT_EQ(rig.pieces[2].bytes, 20);
                EXPECT_EQ(rig.pieces[3].bytes, 30);
                virtqueue_device_push(&rig.device, 6, 0);
        }
}

TEST(virtqueue_device, longest_chains)
{
        struct rig rig;
        REQUIRE_TRUE(rig_init(t, &rig, 8));
        for (uint32_t i = 0; i < 8; i++)
                rig_describe(&rig.descriptors[i], RIG_DATA_DEV, 16,
                             i < 7 ? rig_next(i + 1, 0) : 0);
        for (uint32_t i = 0; i < 8 * 16; i++) /* the same eight as a table */
                *rig_at(&rig, RIG_DATA_DEV + i) = ((uint8_t *)rig.descriptors)[i];
        rig_offer(&rig, 0);
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_EQ(rig.request.readable_count, 8);
        virtqueue_device_push(&rig.device, 0, 0);
        rig_describe(&rig.descriptors[0], RIG_DATA_DEV, 128, RIG_INDIRECT);
        rig_offer(&rig, 0);
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_EQ(rig.request.readable_count, 8);
}

/* ---- several in flight, rollback, restart ---- */

static void offer_ones(struct rig *rig, uint32_t first, uint32_t count)
{
        for (uint32_t i = first; i < first + count; i++) {
                rig_describe(&rig->descriptors[i], RIG_DATA_DEV + 8 * i, 8, RIG_WRITE);
                rig_offer(rig, (uint16_t)i);
        }
}

TEST(virtqueue_device, back_in_any_order)
{
        static const uint16_t order[] = {2, 0, 3, 1};
        struct rig rig;
        REQUIRE_TRUE(rig_init(t, &rig, 8));
        offer_ones(&rig, 0, 4);
        for (uint32_t i = 0; i < 4; i++) {
                REQUIRE_OK(rig_pop(&rig));
                EXPECT_EQ(rig.request.id, i);
        }
        for (size_t i = 0; i < 4; i++)
                virtqueue_device_push(&rig.device, order[i], (uint32_t)i);
        virtqueue_device_publish(&rig.device);
        EXPECT_EQ(rig.used->index, 4);
        for (size_t i = 0; i < 4; i++) {
                EXPECT_EQ(rig.used->ring[i].id, order[i]);
                EXPECT_EQ(rig.used->ring[i].bytes, i);
        }
}

TEST(virtqueue_device, unpop)
{
        struct virtqueue_request requests[3];
        struct virtqueue_element pieces[3];
        struct rig rig;
        REQUIRE_TRUE(rig_init(t, &rig, 4));
        offer_ones(&rig, 0, 4);
        for (uint32_t i = 0; i < 3; i++) {
                requests[i] = (struct virtqueue_request){.elements = &pieces[i], .elements_max = 1};
                REQUIRE_OK(virtqueue_device_pop(&rig.device, &requests[i]));
        }
        virtqueue_device_unpop(&rig.device, &requests[2]);
        virtqueue_device_unpop(&rig.device, &requests[1]);
        EXPECT_EQ(virtqueue_device_in_flight(&rig.device), 1);
        EXPECT_TRUE(virtqueue_device_valid(&rig.device));
        for (uint16_t i = 1; i < 4; i++) {
                REQUIRE_OK(rig_pop(&rig));
                EXPECT_EQ(rig.request.id, i);
        }
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, rig_pop(&rig));
}

/* A second device goes on where the first stood: at any index, the wrap included. */
TEST(virtqueue_device, goes_on_elsewhere)
{
        struct rig rig;
        struct virtqueue_device successor;
        REQUIRE_TRUE(rig_init(t, &rig, 4));
        for (uint32_t i = 0; i < 65534; i++) {
                offer_ones(&rig, i % 4, 1);
                REQUIRE_OK(rig_pop(&rig));
                virtqueue_device_push(&rig.device, rig.request.id, 1);
        }
        virtqueue_device_publish(&rig.device);
        rig.config.resume = true;
        rig.config.state = virtqueue_device_save(&rig.device);
        EXPECT_EQ(rig.config.state.available, 65534);
        EXPECT_EQ(rig.config.state.used, 65534);
        REQUIRE_OK(virtqueue_device_init(&successor, &rig.config));
        EXPECT_TRUE(virtqueue_device_signal_needed(&successor)); /* the first may owe one */
        EXPECT_FALSE(virtqueue_device_signal_needed(&successor));
        offer_ones(&rig, 0, 4);
        for (uint32_t i = 0; i < 4; i++) {
                REQUIRE_OK(virtqueue_device_pop(&successor, &rig.request));
                EXPECT_EQ(rig.request.id, i);
                virtqueue_device_push(&successor, rig.request.id, 1);
        }
        virtqueue_device_publish(&successor);
        EXPECT_EQ(rig.used->index, 2);
        EXPECT_EQ(rig.used->ring[1].id, 3);
}

/* One chain stayed with a predecessor; what is in flight is counted from here on. */
TEST(virtqueue_device, goes_on_with_chains_lost)
{
        struct rig rig;
        rig_prepare(t, &rig, 4);
        rig.config.resume = true;
        rig.config.state = (struct virtqueue_device_state){.available = 5, .used = 3};
        rig.avail_index = 5;
        rig.avail->index = 5;
        REQUIRE_OK(virtqueue_device_init(&rig.device, &rig.config));
        EXPECT_EQ(virtqueue_device_in_flight(&rig.device), 0);
        offer_ones(&rig, 0, 2);
        REQUIRE_OK(rig_pop(&rig));
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_EQ(virtqueue_device_in_flight(&rig.device), 2);
        virtqueue_device_push(&rig.device, 1, 0);
        virtqueue_device_publish(&rig.device);
        EXPECT_EQ(rig.used->index, 4);
        EXPECT_EQ(rig.used->ring[3].id, 1);
        EXPECT_EQ(virtqueue_device_in_flight(&rig.device), 1);
}

/* ---- signals ---- */

static void serve_one(struct test *t, struct rig *rig)
{
        offer_ones(rig, rig->avail_index % rig->config.size, 1);
        REQUIRE_OK(rig_pop(rig));
        virtqueue_device_push(&rig->device, rig->request.id, 0);
        virtqueue_device_publish(&rig->device);
}

TEST(virtqueue_device, signals_by_flag)
{
        struct rig rig;
        REQUIRE_TRUE(rig_init(t, &rig, 4));
        EXPECT_FALSE(virtqueue_device_signal_needed(&rig.device));
        serve_one(t, &rig);
        EXPECT_TRUE(virtqueue_device_signal_needed(&rig.device));
        EXPECT_FALSE(virtqueue_device_signal_needed(&rig.device));
        rig.avail->flags = 0xfffe; /* other bits mean nothing */
        serve_one(t, &rig);
        EXPECT_TRUE(virtqueue_device_signal_needed(&rig.device));
        rig.avail->flags = 1;
        serve_one(t, &rig);
        EXPECT_FALSE(virtqueue_device_signal_needed(&rig.device));
}

TEST(virtqueue_device, signals_by_event_on_batches)
{
        struct rig rig;
        rig_prepare(t, &rig, 4);
        rig.config.event_index = rig.config.resume = true;
        rig.config.state = (struct virtqueue_device_state){0xfffd, 0xfffd};
        rig.avail_index = 0xfffd;
        rig.avail->flags = 1; /* ignored */
        REQUIRE_OK(virtqueue_device_init(&rig.device, &rig.config));
        EXPECT_TRUE(virtqueue_device_signal_needed(&rig.device));
        rig.avail->ring[4] = 0xffff;
        serve_one(t, &rig);
        EXPECT_FALSE(virtqueue_device_signal_needed(&rig.device)); /* 0xfffd */
        serve_one(t, &rig);
        serve_one(t, &rig);
        serve_one(t, &rig);
        EXPECT_TRUE(virtqueue_device_signal_needed(&rig.device)); /* 0xfffe, 0xffff, 0 */
        serve_one(t, &rig);
        EXPECT_FALSE(virtqueue_device_signal_needed(&rig.device));
        rig.avail->ring[4] = 1; /* just passed */
        serve_one(t, &rig);
        EXPECT_FALSE(virtqueue_device_signal_needed(&rig.device));
}

static void expect_notifications(struct test *t, bool event_index)
{
        struct rig rig;
        rig_prepare(t, &rig, 4);
        rig.config.event_index = event_index;
        REQUIRE_OK(virtqueue_device_init(&rig.device, &rig.config));
        const uint16_t *avail_event = (const uint16_t *)(const void *)&rig.used->ring[4];
        EXPECT_FALSE(virtqueue_device_ask(&rig.device));
        EXPECT_EQ(*avail_event, 0);
        EXPECT_EQ(rig.used->flags, 0);
        virtqueue_device_mute(&rig.device);
        EXPECT_EQ(rig.used->flags, !event_index);
        EXPECT_EQ(*avail_event, event_index ? 0xffff : 0);
        offer_ones(&rig, 0, 1);
        /* Available since the last pop(): it must be noticed now or never. */
        EXPECT_TRUE(virtqueue_device_ask(&rig.device));
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_FALSE(virtqueue_device_ask(&rig.device));
        EXPECT_EQ(rig.used->flags, 0);
        EXPECT_EQ(*avail_event, event_index);
}

TEST(virtqueue_device, notifications_by_flag)
{
        expect_notifications(t, false);
}

TEST(virtqueue_device, notifications_by_event)
{
        expect_notifications(t, true);
}

/* A muted queue stays quiet for more than a lap of the 16-bit index. */
TEST(virtqueue_device, muted_past_the_index_wrap)
{
        struct rig rig;
        uint32_t kicks = 0;
        rig_prepare(t, &rig, 8);
        rig.config.event_index = true;
        REQUIRE_OK(virtqueue_device_init(&rig.device, &rig.config));
        virtqueue_device_mute(&rig.device);
        for (uint32_t i = 0; i < 140000; i++) {
                uint16_t event = rig.used->ring[8].id & 0xffff;
                kicks += event == rig.avail_index;
                serve_one(t, &rig);
                REQUIRE_TRUE(rig.device.fault.reason == VIRTQUEUE_DEVICE_FAULT_NONE);
        }
        EXPECT_LE(kicks, 1);
}

/* ---- the example of the header ---- */

#define QUEUE_SIZE 4
static unsigned interrupts;

static void serve(struct virtqueue_chain_io *io)
{
        uint8_t byte = 0xee;
        uint32_t done;
        if (virtqueue_chain_write(io, &byte, 1, &done) != ZX_OK)
                interrupts = 1000;
}

static void interrupt_driver(struct virtqueue_device *device)
{
        (void)device;
        interrupts++;
}

static void example(struct virtqueue_device *device_)
{
#define device (*device_)
        struct virtqueue_element pieces[QUEUE_SIZE];
        struct virtqueue_request request = {.elements = pieces, .elements_max = QUEUE_SIZE};
        struct virtqueue_chain_io io;
        while (virtqueue_device_pop(&device, &request) == ZX_OK) {
                virtqueue_chain_io_init(&io, &device, &request);
                serve(&io);                                     // reads and writes through it
                (void)virtqueue_chain_finish(&io);              // or virtqueue_device_push()
        }
        virtqueue_device_publish(&device);                      // once a batch
        if (virtqueue_device_signal_needed(&device))
                interrupt_driver(&device);
#undef device
}

TEST(virtqueue_device, example_of_the_header)
{
        struct rig rig;
        REQUIRE_TRUE(rig_init(t, &rig, QUEUE_SIZE));
        offer_ones(&rig, 0, 3);
        interrupts = 0;
        example(&rig.device);
        EXPECT_EQ(interrupts, 1);
        EXPECT_EQ(rig.used->index, 3);
        EXPECT_EQ(rig.used->ring[2].bytes, 1);
        EXPECT_EQ(*rig_at(&rig, RIG_DATA_DEV + 16), 0xee);
}

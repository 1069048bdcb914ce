/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* netvsc_scripted_hosted_test — RNDIS messages, and the receive buffer of a card that polls, in
 * memory that changes as soon as it was looked at. Each byte that a host can write is looked at
 * once, and what is made of a message is what it said at that look. */
#define _GNU_SOURCE
#include "tests/host/netvsc_bed.h"
#include "tests/host/restless_memory.h"

#if defined(__x86_64__)

#define MESSAGE_BYTES_MAX 200u
#define WATCHED_BYTES RESTLESS_BYTES_MAX

/* What is made of a message. */
struct understood {
        enum rndis_result header, result;
        uint32_t type, length;
        struct rndis_packet packet;
        struct rndis_control control;
};

static void understand(const void *message, uint32_t bytes, bool data, struct understood *what)
{
        if (data) {
                what->header = rndis_take_header(message, bytes, &what->type, &what->length);
                if (what->header == RNDIS_OK)
                        what->result = rndis_take_packet(message, what->length, &what->packet);
        } else {
                what->result = rndis_take_control(message, bytes, &what->control);
        }
}

static void expect_one_look(struct test *t, const uint32_t *words, uint32_t bytes, bool data)
{
        static struct understood quiet, turned;
        uint8_t *page = world_pages(t, 1, NULL);
        memset(&quiet, 0, sizeof(quiet));
        memset(&turned, 0, sizeof(turned));
        memcpy(page, words, bytes);
        understand(page, bytes, data, &quiet);
        restless_begin(page, PAGE_BYTES);
        understand(page, bytes, data, &turned);
        restless_end();
        if (!EXPECT_EQ(restless.twice, 0) ||
            !EXPECT_BYTES_EQ(&turned, &quiet, sizeof(quiet)))
                test_log(t, "message of type %x, byte %zu", words[0], restless.twice_at);
        EXPECT_GE(watched.accesses, 2u);
        EXPECT_EQ(quiet.result, RNDIS_OK);
}
#define ONE_LOOK(data, ...)                                                                        \
        do {                                                                                       \
                const uint32_t words_[MESSAGE_BYTES_MAX / 4] = {__VA_ARGS__};                      \
                expect_one_look(t, words_, words_[1], (data));                                     \
        } while (0)

TEST(rndis, no_byte_of_a_message_is_looked_at_twice)
{
        /* A frame; with a checksum and a tag; with a hash and a piece's place. */
        ONE_LOOK(true, RNDIS_PACKET, 104, 36, 60);
        ONE_LOOK(true, RNDIS_PACKET, 136, 68, 60, 0, 0, 0, 36, 32, 0, 0, /* the elements: */
                 16, 0, 12, 0x14, 16, 6, 12, 0x1230);
        ONE_LOOK(true, RNDIS_PACKET, 152, 84, 60, 0, 0, 0, 36, 48, 0, 0, /* the elements: */
                 16, 8, 12, 0x12345678, 16, 9, 12, 0x301, 16, 0x80000001, 12, 0x100);
        /* Answers and news. */
        ONE_LOOK(false, RNDIS_INITIALIZE | RNDIS_COMPLETE, 52, 7, 0, 1, 0, 1, 0, 8, 0x4000, 3);
        ONE_LOOK(false, RNDIS_QUERY | RNDIS_COMPLETE, 30, 7, 0, 6, 16, 0x04030201, 0x0605);
        ONE_LOOK(false, RNDIS_QUERY | RNDIS_COMPLETE, 24 + 112, 7, 0, 112, 16, 0xa7, 1, 2, 3);
        ONE_LOOK(false, RNDIS_SET | RNDIS_COMPLETE, 16, 7, 0);
        ONE_LOOK(false, RNDIS_INDICATE_STATUS, 28, 0x4001001a, 8, 12, 5, 6);
        ONE_LOOK(false, RNDIS_KEEPALIVE, 12, 9);
}

/* ---- the card ---- */

/* What the client was told, without a look at the bytes. */
static struct {
        uint32_t count, id;
        struct vmo_region region;
        struct netdev_receive_info info;
} told;

static void note_frames(void *context, uint32_t queue, const struct netdev_received *frames,
                        uint32_t count)
{
        told.count += count;
        told.id = frames[count - 1].buffer.buffer.parts[0].buffer_id;
        told.region = frames[count - 1].buffer.buffer.parts[0].region;
        told.info = frames[count - 1].info;
}

/* The host puts something into the receive buffer; the card reads it, restless or not. */
static void poll_card(struct test *t, bool is_restless)
{
        bed.keep = true;
        vmbus_host_rig_poll();
        if (is_restless)
                restless_begin((uint8_t *)(uintptr_t)bed.card.receive_va, WATCHED_BYTES);
        (void)netdev_poll(&bed.card.netdev, 0, 64);
        if (is_restless) {
                restless_end();
                EXPECT_EQ(restless.twice, 0);
                EXPECT_GE(watched.accesses, 2u);
        }
}

TEST(netvsc, no_byte_of_the_receive_buffer_is_looked_at_twice)
{
        CONNECT(0);
        bed.card.netdev.client.receive = note_frames;
        for (unsigned round = 0; round < 6; round++) {
                uint32_t length = 60 + 100 * round;
                memset(&told, 0, sizeof(told));
                bed.receive_bytes = length;
                bed.receive_tci = round % 3 == 2 ? 0x123 : 0;
                bed.to_receive = 1;
                poll_card(t, round % 2 == 1);
                REQUIRE_EQ(told.count, 1);
                EXPECT_EQ(told.region.length, length);
                EXPECT_LE(told.region.offset + told.region.length, bed.card.receive_bytes);
                EXPECT_EQ(told.info.vlan, bed.receive_tci != 0);
                EXPECT_EQ(told.info.vlan_tci, bed.receive_tci);
                netdev_release(&bed.card.netdev, 0, &told.id, 1);
        }
        for (unsigned round = 0; round < 4; round++) { /* news of the link */
                bool up = round % 2 == 1;
                vmbus_host_rig_link(up);
                poll_card(t, round < 2);
                EXPECT_EQ(bed.card.netdev.link_up, up);
        }
        EXPECT_EQ(bed.card.fault, NETVSC_FAULT_NONE);
        bed_end(t);
}

#endif

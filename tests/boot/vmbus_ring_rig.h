/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_rig — one ring with both of its ends,
 * for the tests of lib/vmbus_ring in both worlds. */
#ifndef TESTS_BOOT_VMBUS_RING_RIG_H
#define TESTS_BOOT_VMBUS_RING_RIG_H

#include "tests/expect.h"
#include "vmbus_ring/vmbus_ring.h"

/* By which of the two functions that read a packet get() does. */
enum read_way { READ_BOTH, READ_INLINE, READ_CALL };

/* One ring and both of its ends. */
struct rig {
        struct vmbus_memory memory;
        struct vmbus_sender sender;
        struct vmbus_receiver receiver;
        struct vmbus_send_position to;
        struct vmbus_receive_position from;
        enum read_way way; /* READ_BOTH after attach_at() */
        bool owed;         /* the receiver's last prepare_to_sleep asked for a signal */
};

/* A fresh ring on rig->memory, its indices at `index`; both ends attached. */
static inline bool attach_at(struct test *t, struct rig *rig, uint32_t index)
{
        vmbus_memory_reset(&rig->memory);
        rig->memory.control->in = index;
        rig->memory.control->out = index;
        vmbus_sender_init(&rig->sender, &rig->memory);
        vmbus_receiver_init(&rig->receiver, &rig->memory);
        rig->way = READ_BOTH;
        return EXPECT_TRUE(vmbus_sender_position(&rig->sender, &rig->to) == VMBUS_OK) &&
               EXPECT_TRUE(vmbus_receiver_position(&rig->receiver, &rig->from) == VMBUS_OK);
}

/* The same on a flat area of `data_pages`. */
static inline bool open_at(struct test *t, struct rig *rig, uint32_t data_pages, uint32_t index)
{
        uint8_t *pages = world_pages(t, data_pages + 1, NULL);
        return EXPECT_OK(vmbus_memory_init_flat(&rig->memory, pages, pages + PAGE_BYTES,
                                                data_pages * PAGE_BYTES)) &&
               attach_at(t, rig, index);
}

#define OPEN(rig, data_pages, index) REQUIRE_TRUE(open_at(t, &(rig), (data_pages), (index)))

/* Writes one packet and its payload, uncommitted. */
static inline enum vmbus_result put(struct rig *rig, enum vmbus_outgoing_kind kind, uint64_t id,
                                    const void *bytes, uint32_t count)
{
        struct vmbus_outgoing packet = {.kind = kind, .payload_bytes = count, .transaction_id = id};
        struct vmbus_range payload;
        enum vmbus_result result = vmbus_sender_write(&rig->sender, &rig->to, &packet, &payload);
        if (result != VMBUS_OK)
                return result;
        struct vmbus_writer writer = vmbus_sender_writer(&rig->sender, &payload);
        return bytes != NULL ? vmbus_writer_write(&writer, bytes, count)
                             : vmbus_writer_fill(&writer, 0xa5, count);
}

/* An in-band packet that takes `total_bytes` of the ring. */
static inline enum vmbus_result put_total(struct rig *rig, uint32_t total_bytes)
{
        return put(rig, VMBUS_SEND_IN_BAND, 0, NULL, total_bytes - VMBUS_PACKET_BYTES_MIN);
}

/* What get() returns, and nothing in lib/, when the two ways of reading a packet do not agree. */
#define READ_DIFFERS ((enum vmbus_result)-1)

/* Reads the next packet; both ways, which must find the same, unless the ring changes meanwhile or
 * the test counts what they do. */
static inline enum vmbus_result get(struct rig *rig, struct vmbus_incoming *packet)
{
        struct vmbus_receiver other = rig->receiver;
        struct vmbus_receive_position other_from = rig->from;
        struct vmbus_incoming taken;
        if (rig->way == READ_CALL)
                return vmbus_receiver_take(&rig->receiver, &rig->from, packet);
        enum vmbus_result result = vmbus_receiver_read(&rig->receiver, &rig->from, packet);
        if (rig->way == READ_INLINE)
                return result;
        if (vmbus_receiver_take(&other, &other_from, &taken) != result ||
            memcmp(&other, &rig->receiver, sizeof(other)) != 0 ||
            memcmp(&other_from, &rig->from, sizeof(other_from)) != 0)
                return READ_DIFFERS;
        const size_t end = offsetof(struct vmbus_incoming, payload) + sizeof(taken.payload);
        return result == VMBUS_OK && memcmp(&taken, packet, end) != 0 ? READ_DIFFERS : result;
}

/* Both commits; true when the peer must be signalled, which most tests do not care for. */
static inline bool commit(struct rig *rig)
{
        return vmbus_sender_commit(&rig->sender, &rig->to);
}

static inline bool give_back(struct rig *rig)
{
        return vmbus_receiver_commit(&rig->receiver, &rig->from);
}

static inline enum vmbus_result receiver_sleeps(struct rig *rig)
{
        return vmbus_receiver_prepare_to_sleep(&rig->receiver, &rig->from, &rig->owed);
}

/* Reads `packets` packets and gives them back; false when there are fewer. */
static inline bool drain(struct rig *rig, uint32_t packets)
{
        struct vmbus_incoming packet;
        for (uint32_t i = 0; i < packets; i++)
                if (get(rig, &packet) != VMBUS_OK)
                        return false;
        give_back(rig);
        return true;
}

#endif

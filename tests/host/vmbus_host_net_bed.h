/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_net_bed — a scripted guest's network driver, in words and bytes as spec/vmbus.md, (f)
 * has them; it shares no definition with the card. */
#ifndef TESTS_HOST_VMBUS_HOST_NET_BED_H
#define TESTS_HOST_VMBUS_HOST_NET_BED_H

#include "tests/host/vmbus_host_bed.h"
#include "tests/peers/vmbus_host/vmbus_host_net.h"

#define NET_FRAMES 64u
#define NET_SLOT 2048u
#define NET_RECEIVE_PAGES 64u
#define NET_SEND_PAGES 16u
#define NET_SECTION 6144u

struct net_bed {
        struct vmbus_host_net net;
        struct guest_channel channel;
        uint32_t receive_page, send_page; /* numbers of the first ones */
        uint32_t given, given_bytes[NET_FRAMES];
        uint8_t gave[NET_FRAMES][NET_SLOT]; /* what the guest sent */
        uint32_t waiting, taken, waiting_bytes[NET_FRAMES];
        uint8_t wait[NET_FRAMES][NET_SLOT]; /* what the guest shall receive */
        uint8_t frame[VMBUS_HOST_NET_FRAME_BYTES];
        struct vmbus_host_frame_port port;
};

/* One for all files. */
extern struct net_bed the_net;

static inline void net_give(void *context, const void *frame, uint32_t bytes)
{
        struct net_bed *bed = context;
        if (bed->given < NET_FRAMES && bytes <= NET_SLOT) {
                memcpy(bed->gave[bed->given], frame, bytes);
                bed->given_bytes[bed->given++] = bytes;
        }
}

static inline uint32_t net_take_frame(void *context, void *frame, uint32_t capacity)
{
        struct net_bed *bed = context;
        if (bed->taken == bed->waiting)
                return 0;
        uint32_t bytes = bed->waiting_bytes[bed->taken];
        memcpy(frame, bed->wait[bed->taken++], bytes < capacity ? bytes : capacity);
        if (bed->taken == bed->waiting)
                bed->taken = bed->waiting = 0;
        return bytes;
}

/* A frame comes from the network. */
static inline void net_arrive(const void *frame, uint32_t bytes)
{
        memcpy(the_net.wait[the_net.waiting], frame, bytes);
        the_net.waiting_bytes[the_net.waiting++] = bytes;
}

static const uint8_t net_mac[6] = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};

/* A card on channel 1, open, nothing said yet. */
static inline bool net_open(struct test *t, uint32_t queues)
{
        bed_init(t, &the_bed);
        memset(&the_net, 0, sizeof(the_net));
        the_net.port = (struct vmbus_host_frame_port){
                .context = &the_net, .give = net_give, .take = net_take_frame};
        struct vmbus_host_net_config config = {
                .port = &the_net.port, .frame = the_net.frame, .queues = (uint8_t)queues};
        memcpy(config.mac, net_mac, 6);
        vmbus_host_net_init(&the_net.net, &config);
        EXPECT_OK(vmbus_host_net_offer(&the_net.net, &the_bed.host, 0, NULL));
        bed_connect(&the_bed, 0x50003, 0, true);
        return bed_open(&the_bed, &the_net.channel, 1, 9, 9);
}

/* Sends an NVSP message and reads its completion into `answer` (10 words, zeroed first); the length
 * of the completion, UINT32_MAX when there is none. */
static inline uint32_t net_ask(const uint32_t *words, uint32_t bytes, uint32_t *answer)
{
        struct vmbus_incoming packet;
        memset(answer, 0, 40);
        if (bed_packet(&the_bed, &the_net.channel, VMBUS_SEND_IN_BAND_REQUEST, 0x1234, words,
                       bytes) != VMBUS_OK ||
            bed_receive(&the_bed, &the_net.channel, &packet, answer, 40) != VMBUS_OK ||
            packet.type != VMBUS_PACKET_COMPLETION || packet.transaction_id != 0x1234)
                return UINT32_MAX;
        return packet.payload.bytes;
}

/* Sends one that asks for no completion. */
static inline void net_tell(const uint32_t *words, uint32_t bytes)
{
        (void)!bed_packet(&the_bed, &the_net.channel, VMBUS_SEND_IN_BAND, 0, words, bytes);
}

static inline void net_buffers(uint32_t answer[10])
{
        struct test *t = the_bed.t;
        the_net.receive_page = bed_take_pages(&the_bed, NET_RECEIVE_PAGES);
        the_net.send_page = bed_take_pages(&the_bed, NET_SEND_PAGES);
        bed_gpadl(&the_bed, 1, 0x200, the_net.receive_page, NET_RECEIVE_PAGES);
        bed_gpadl(&the_bed, 1, 0x201, the_net.send_page, NET_SEND_PAGES);
        bed_forget(&the_bed);
        net_ask(MESSAGE(101, 0x200, 0xcafe), answer);
        EXPECT_EQ(answer[1], 1);
        net_ask(MESSAGE(104, 0x201, 0xface), answer);
        EXPECT_EQ(answer[1], 1);
}

static inline uint8_t *net_section(uint32_t index)
{
        return bed_page(&the_bed, the_net.send_page) + index * NET_SECTION;
}

/* The next transfer: `channel_type` 0 data or 1 control; up to 16 ranges. Not completed yet. */
struct net_transfer {
        uint64_t id;
        uint32_t message[10];
        uint32_t count;
        struct vmbus_transfer_range ranges[16];
};

static inline bool net_transfer_on(struct guest_channel *channel, struct net_transfer *transfer)
{
        struct vmbus_incoming packet;
        struct vmbus_transfer_list list = {.ranges = transfer->ranges, .capacity = 16,
                                           .buffer_bytes = NET_RECEIVE_PAGES * 4096};
        if (channel->receiver.state == VMBUS_END_ASLEEP)
                vmbus_receiver_cancel_sleep(&channel->receiver);
        struct vmbus_receive_position *from = &channel->from;
        memset(transfer->message, 0, sizeof(transfer->message));
        if (vmbus_receiver_read(&channel->receiver, from, &packet) != VMBUS_OK ||
            packet.type != VMBUS_PACKET_TRANSFER_PAGES || packet.transfer_page_set_id != 0xcafe ||
            vmbus_receiver_transfer_ranges(&channel->receiver, &packet, &list) != VMBUS_OK ||
            vmbus_receiver_copy(&channel->receiver, &packet.payload, transfer->message, 40) !=
                    VMBUS_OK) {
                vmbus_receiver_revert(from);
                return false;
        }
        transfer->id = packet.transaction_id;
        transfer->count = list.count;
        if (vmbus_receiver_commit(&channel->receiver, from))
                vmbus_host_event(&the_bed.host, BED_CHANNEL_BASE + channel->id);
        return transfer->message[0] == 107;
}

static inline bool net_transfer(struct net_transfer *transfer)
{
        return net_transfer_on(&the_net.channel, transfer);
}

/* Gives a transfer's ranges back. */
static inline void net_return(const struct net_transfer *transfer)
{
        (void)!bed_packet(&the_bed, &the_net.channel, VMBUS_SEND_COMPLETION, transfer->id,
                          (const uint32_t[]){108, 1, 0, 0, 0, 0, 0, 0, 0, 0}, 40);
}

static inline const uint8_t *net_range(const struct net_transfer *transfer, uint32_t index)
{
        return bed_page(&the_bed, the_net.receive_page) + transfer->ranges[index].byte_offset;
}

/* Sends an RNDIS control message in section 0; the NVSP status. */
static inline uint32_t net_control_send(const uint32_t *words, uint32_t bytes)
{
        uint32_t answer[10];
        memcpy(net_section(0), words, bytes);
        if (net_ask((const uint32_t[]){107, 1, 0, bytes, 0, 0, 0}, 28, answer) == UINT32_MAX)
                return UINT32_MAX;
        return answer[0] == 108 ? answer[1] : UINT32_MAX;
}

/* The same, with the answer: up to 64 words; its length, 0 when there is none. */
static inline uint32_t net_control(const uint32_t *words, uint32_t bytes, uint32_t answer[64])
{
        struct net_transfer transfer;
        memset(answer, 0, 64 * 4);
        if (net_control_send(words, bytes) != 1 || !net_transfer(&transfer) ||
            transfer.message[1] != 1 || transfer.count != 1 ||
            transfer.ranges[0].byte_count > 256)
                return 0;
        memcpy(answer, net_range(&transfer, 0), transfer.ranges[0].byte_count);
        net_return(&transfer);
        return transfer.ranges[0].byte_count;
}

/* All of the way up: version, buffers, RNDIS, filter. */
static inline bool net_up(struct test *t, uint32_t version, uint32_t queues)
{
        uint32_t answer[64];
        if (!net_open(t, queues))
                return false;
        net_ask(MESSAGE(1, version, version), answer);
        bool good = EXPECT_EQ(answer[3], 1);
        if (version >= 0x30002)
                net_tell(MESSAGE(125, 1514, 0, 0, 0));
        net_tell(MESSAGE(100, 6, version >= 0x50000 ? 30 : 1));
        net_buffers(answer);
        good &= EXPECT_EQ(net_control(MESSAGE(2, 24, 1, 1, 0, 0x4000), answer), 52);
        good &= EXPECT_EQ(answer[3], 0);
        good &= EXPECT_EQ(net_control(MESSAGE(5, 32, 2, 0x1010e, 4, 20, 0, 0xd), answer), 16);
        return good & EXPECT_EQ(answer[3], 0);
}

#endif

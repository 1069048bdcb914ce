/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_bed — a small scripted guest for the tests of tests/peers/vmbus_host.
 *
 * It knows the protocol from spec/vmbus.md only, as rows of 32-bit words, and shares no definition
 * with the host. Its RAM is BED_PAGES pages numbered from BED_FIRST_PAGE on; page numbers are no
 * addresses. It may be told to have no room for messages. */
#ifndef TESTS_HOST_VMBUS_HOST_BED_H
#define TESTS_HOST_VMBUS_HOST_BED_H

#include "tests/expect.h"
#include "tests/peers/vmbus_host/vmbus_host.h"
#include "tests/peers/vmbus_host/vmbus_host_echo.h"
#include "vmbus_ring/vmbus_ring.h"

#define BED_PAGES 320u
#define BED_FIRST_PAGE 0x1000u
#define BED_INBOX 64u
#define BED_POLLS_MAX 1000u
#define BED_CONNECTION 0x21u   /* told by the host for messages, from 5.0 on */
#define BED_CHANNEL_BASE 0x400u /* connection ids of channels */

/* A message to the host, as words; a count in bytes follows from the initialiser. */
#define MESSAGE(...) (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__})

/* The guest's view of an open channel: its two ends. */
struct guest_channel {
        uint32_t id;
        uint32_t gpadl;
        struct vmbus_sender sender;
        struct vmbus_receiver receiver;
        struct vmbus_send_position to;
        struct vmbus_receive_position from;
};

struct bed {
        struct test *t;
        struct vmbus_host host;
        uint8_t *ram;
        uint64_t words[2 * VMBUS_HOST_LIST_WORDS_MAX];
        struct {
                uint32_t count;
                uint32_t words[60];
        } inbox[BED_INBOX];
        uint32_t inbox_count, inbox_next;
        uint32_t room; /* messages that the guest still takes */
        uint32_t signals[WIRE_EVENT_FLAGS];
        uint32_t signal_vp;
        uint32_t next_page; /* of RAM, for bed_take_pages */
        uint32_t connection;
        bool repeat_pages; /* RAM goes on for ever, the same pages again */
        uint64_t transcript; /* hash of everything that was posted and signalled */
};

/* One for all files, for it is large: vmbus_host_test.c. */
extern struct bed the_bed;
extern uint8_t bed_ram[BED_PAGES * PAGE_BYTES];

static inline void *bed_map(void *context, uint64_t page_number)
{
        struct bed *bed = context;
        uint64_t index = page_number - BED_FIRST_PAGE;
        if (bed->repeat_pages)
                index %= BED_PAGES;
        return index < BED_PAGES ? bed->ram + index * PAGE_BYTES : NULL;
}

static inline void bed_hash(struct bed *bed, uint64_t value)
{
        bed->transcript = (bed->transcript ^ value) * 0x100000001b3ull;
}

static inline bool bed_post(void *context, const void *message, uint32_t bytes, uint32_t vp)
{
        struct bed *bed = context;
        if (bed->room == 0 || bed->inbox_count == BED_INBOX)
                return false;
        bed->room--;
        memset(&bed->inbox[bed->inbox_count], 0, sizeof(bed->inbox[0]));
        memcpy(bed->inbox[bed->inbox_count].words, message, bytes);
        bed->inbox[bed->inbox_count].count = bytes;
        for (uint32_t i = 0; i < ARRAY_COUNT(bed->inbox[0].words); i++)
                bed_hash(bed, bed->inbox[bed->inbox_count].words[i]);
        bed->inbox_count++;
        return true;
}

static inline void bed_signal(void *context, uint32_t event_flag, uint32_t vp)
{
        struct bed *bed = context;
        bed->signals[event_flag]++;
        bed->signal_vp = vp;
        bed_hash(bed, event_flag);
}

static const struct vmbus_host_ops bed_ops = {
        .map = bed_map, .post = bed_post, .signal = bed_signal};

static inline void bed_init(struct test *t, struct bed *bed)
{
        memset(bed, 0, sizeof(*bed));
        bed->t = t;
        bed->ram = bed_ram;
        memset(bed_ram, 0, sizeof(bed_ram));
        bed->room = UINT32_MAX;
        bed->connection = BED_CONNECTION;
        vmbus_host_init(&bed->host, &(struct vmbus_host_config){
                                            .ops = &bed_ops,
                                            .context = bed,
                                            .words = bed->words,
                                            .word_count = ARRAY_COUNT(bed->words),
                                            .message_connection = BED_CONNECTION,
                                            .connection_base = BED_CHANNEL_BASE});
}

/* Polls until there is nothing to do. */
static inline bool bed_poll(struct bed *bed)
{
        struct test *t = bed->t;
        uint32_t polls = 0;
        while (vmbus_host_poll(&bed->host) && polls < BED_POLLS_MAX)
                polls++;
        return EXPECT_LT(polls, BED_POLLS_MAX);
}

/* Sends a message of `bytes` bytes on a connection, and polls. */
static inline void bed_send_on(struct bed *bed, uint32_t connection, const uint32_t *words,
                               uint32_t bytes)
{
        struct test *t = bed->t;
        EXPECT_OK(vmbus_host_message(&bed->host, connection, words, bytes));
        bed_poll(bed);
}

static inline void bed_send(struct bed *bed, const uint32_t *words, uint32_t bytes)
{
        bed_send_on(bed, bed->connection, words, bytes);
}

/* The next message of the host, which must have `bytes` bytes and begin with these words. */
static inline bool bed_expect(struct bed *bed, const uint32_t *words, uint32_t word_bytes,
                              uint32_t bytes)
{
        struct test *t = bed->t;
        if (!EXPECT_LT(bed->inbox_next, bed->inbox_count))
                return false;
        uint32_t next = bed->inbox_next++;
        bool good = EXPECT_EQ(bed->inbox[next].count, bytes) &
                    EXPECT_BYTES_EQ(bed->inbox[next].words, words, word_bytes);
        if (bed->inbox_next == bed->inbox_count)
                bed->inbox_next = bed->inbox_count = 0;
        return good;
}
/* The whole next message is these words. */
#define EXPECT_MESSAGE(bed, ...) \
        bed_expect(bed, MESSAGE(__VA_ARGS__), sizeof((const uint32_t[]){__VA_ARGS__}))
#define EXPECT_SILENCE(bed) EXPECT_EQ((bed)->inbox_next, (bed)->inbox_count)
static inline void bed_forget(struct bed *bed)
{
        bed->inbox_next = bed->inbox_count = 0;
}

/* Runs a statement that breaks exactly one rule, once, and no other. */
#define EXPECT_RULE(bed, rule_, statement)                                                   \
        do {                                                                                 \
                uint64_t total_ = vmbus_host_faults_total(&(bed)->host);                     \
                uint32_t one_ = vmbus_host_faults(&(bed)->host, VMBUS_HOST_##rule_);         \
                statement;                                                                   \
                EXPECT_EQ(vmbus_host_faults_total(&(bed)->host), total_ + 1);                \
                EXPECT_EQ(vmbus_host_faults(&(bed)->host, VMBUS_HOST_##rule_), one_ + 1);    \
                EXPECT_STR_EQ(vmbus_host_rule_name((bed)->host.last_fault.rule), #rule_);    \
        } while (0)

/* ---- what a guest does ---- */

/* Agrees on a version and, with `offers`, asks for the offers and forgets them. */
static inline void bed_connect(struct bed *bed, uint32_t version, uint32_t features, bool offers)
{
        bool new = version >= 0x50000;
        bed_send_on(bed, new ? 4 : 1,
                    MESSAGE(14, 0, version, 0, new ? 2 : 0, features, 0, 0, 0, 0, 0, 0, 0, 0));
        bed->connection = new ? BED_CONNECTION : 1;
        if (offers)
                bed_send(bed, MESSAGE(3, 0));
        bed_forget(bed);
}

/* The number of the first of `count` fresh pages of RAM, zeroed. */
static inline uint32_t bed_take_pages(struct bed *bed, uint32_t count)
{
        struct test *t = bed->t;
        uint32_t first = bed->next_page;
        EXPECT_LE(first + count, BED_PAGES);
        bed->next_page += count;
        return BED_FIRST_PAGE + first;
}

static inline uint8_t *bed_page(struct bed *bed, uint64_t page_number)
{
        return bed->ram + (page_number - BED_FIRST_PAGE) * PAGE_BYTES;
}

/* A GPADL of one range over `count` pages from `first` on; in pieces where it must be. */
static inline void bed_gpadl(struct bed *bed, uint32_t channel, uint32_t handle, uint32_t first,
                             uint32_t count)
{
        uint32_t words[60] = {8, 0, channel, handle, (8 + 8 * count) | 1 << 16, count * 4096, 0};
        uint32_t at = 7, page = 0;
        for (; page < count && page < 26; page++, at += 2) {
                words[at] = first + page;
                words[at + 1] = 0;
        }
        bed_send(bed, words, at * 4);
        for (uint32_t number = 0; page < count; number++) {
                uint32_t body[60] = {9, 0, number, handle};
                for (at = 4; page < count && at < 60; page++, at += 2)
                        body[at] = first + page;
                bed_send(bed, body, at * 4);
        }
}

/* The guest's ends of a ring pair on `up` + `down` pages from `first` on. */
static inline bool bed_attach(struct bed *bed, struct guest_channel *channel, uint32_t first,
                              uint32_t up, uint32_t down)
{
        struct test *t = bed->t;
        struct vmbus_memory memory;
        uint8_t *ring = bed_page(bed, first);
        if (!EXPECT_OK(vmbus_memory_init_flat(&memory, ring, ring + PAGE_BYTES,
                                              (up - 1) * PAGE_BYTES)))
                return false;
        vmbus_memory_reset(&memory);
        vmbus_sender_init(&channel->sender, &memory);
        ring += up * PAGE_BYTES;
        if (!EXPECT_OK(vmbus_memory_init_flat(&memory, ring, ring + PAGE_BYTES,
                                              (down - 1) * PAGE_BYTES)))
                return false;
        vmbus_memory_reset(&memory);
        vmbus_receiver_init(&channel->receiver, &memory);
        bool signal;
        return EXPECT_EQ(vmbus_sender_position(&channel->sender, &channel->to), VMBUS_OK) &&
               EXPECT_EQ(vmbus_receiver_position(&channel->receiver, &channel->from), VMBUS_OK) &&
               EXPECT_EQ(vmbus_receiver_prepare_to_sleep(&channel->receiver, &channel->from,
                                                         &signal),
                         VMBUS_EMPTY);
}

/* Opens a channel with rings of `up` and `down` pages; handle 0x100 + channel, open id 0x77. */
static inline bool bed_open(struct bed *bed, struct guest_channel *channel, uint32_t id,
                            uint32_t up, uint32_t down)
{
        uint32_t first = bed_take_pages(bed, up + down);
        uint32_t words[37] = {5, 0, id, 0x77, 0x100 + id, 0, up};
        channel->id = id;
        channel->gpadl = 0x100 + id;
        if (!bed_attach(bed, channel, first, up, down))
                return false;
        bed_gpadl(bed, id, channel->gpadl, first, up + down);
        bool good = EXPECT_MESSAGE(bed, 10, 0, id, 0x100 + id, 0);
        bed_send(bed, words, sizeof(words));
        return good & EXPECT_MESSAGE(bed, 6, 0, id, 0x77, 0);
}

/* Commits and, when the rings say so, signals the host; then polls. */
static inline void bed_commit(struct bed *bed, struct guest_channel *channel)
{
        if (vmbus_sender_commit(&channel->sender, &channel->to))
                vmbus_host_event(&bed->host, BED_CHANNEL_BASE + channel->id);
        bed_poll(bed);
}

/* Writes one packet, uncommitted. */
static inline enum vmbus_result bed_write(struct guest_channel *channel,
                                          const struct vmbus_outgoing *packet, const void *payload)
{
        struct vmbus_range range;
        enum vmbus_result result =
                vmbus_sender_write(&channel->sender, &channel->to, packet, &range);
        if (result != VMBUS_OK)
                return result;
        struct vmbus_writer writer = vmbus_sender_writer(&channel->sender, &range);
        return vmbus_writer_write(&writer, payload, packet->payload_bytes);
}

/* Sends one packet, all steps. */
static inline enum vmbus_result bed_packet(struct bed *bed, struct guest_channel *channel,
                                           enum vmbus_outgoing_kind kind, uint64_t id,
                                           const void *payload, uint32_t bytes)
{
        struct vmbus_outgoing packet = {
                .kind = kind, .payload_bytes = bytes, .transaction_id = id};
        enum vmbus_result result = bed_write(channel, &packet, payload);
        if (result == VMBUS_OK)
                bed_commit(bed, channel);
        return result;
}

/* The next packet of the host, its payload in `payload` (`capacity` bytes); given back at once. */
static inline enum vmbus_result bed_receive(struct bed *bed, struct guest_channel *channel,
                                            struct vmbus_incoming *packet, void *payload,
                                            uint32_t capacity)
{
        bool signal = false;
        if (channel->receiver.state == VMBUS_END_ASLEEP)
                vmbus_receiver_cancel_sleep(&channel->receiver);
        enum vmbus_result result = vmbus_receiver_read(&channel->receiver, &channel->from, packet);
        if (result == VMBUS_OK) {
                result = vmbus_receiver_copy(&channel->receiver, &packet->payload, payload,
                                             capacity);
                signal = vmbus_receiver_commit(&channel->receiver, &channel->from);
        } else if (result == VMBUS_EMPTY) {
                enum vmbus_result slept = vmbus_receiver_prepare_to_sleep(
                        &channel->receiver, &channel->from, &signal);
                if (slept != VMBUS_EMPTY)
                        result = slept == VMBUS_OK ? VMBUS_EMPTY : slept;
        }
        if (signal) {
                vmbus_host_event(&bed->host, BED_CHANNEL_BASE + channel->id);
                bed_poll(bed);
        }
        return result;
}

#endif

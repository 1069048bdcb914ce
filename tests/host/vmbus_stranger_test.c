/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_stranger_test — the ends of lib/vmbus_ring meet ends that were written by another hand.
 *
 *   ring 0    lib sender        -->  stranger consumer
 *   ring 1    stranger producer -->  lib receiver
 *
 * Both rings live through the same random steps. After each, the two control pages and the two data
 * areas hold the same bytes, and both ends of a kind have said the same: done, no room, signal the
 * other side, sleep. A mistake that both ends of the library share shows as a difference. */
#include "tests/expect.h"
#include "tests/host/vmbus_stranger_ring.h"
#include "vmbus_ring/vmbus_ring.h"

#define STEPS 24000u
#define SPELL_STEPS 64u /* for each page of the ring */
#define PAYLOAD_BYTES_MAX 700u
#define HEADER_BYTES_MAX 256u
#define RANGES_MAX 5u
#define CONTROL_BYTES 128u /* all that is used of the page, and what is reserved behind it */
#define BUFFER_BYTES 0x100000u
#define PAGE_NUMBERS 16u

enum end_state { AWAKE, ASLEEP };

struct meeting {
        uint8_t *pages[2]; /* control page, data */
        uint32_t data_bytes;
        struct vmbus_sender sender;
        struct vmbus_send_position to;
        struct stranger_consumer stranger_consumer;
        struct stranger_producer stranger_producer;
        struct vmbus_receiver receiver;
        struct vmbus_receive_position from;
        enum end_state producers, consumers;
        uint32_t needed_bytes; /* a packet for which there was no room */
        /* What was reached. */
        uint32_t packets[STRANGER_COMPLETION + 1], full, sleeps[2], signals[2], wraps;
};

/* One packet as both hands are told of it. */
struct draft {
        struct vmbus_outgoing ours;
        struct stranger_packet theirs;
        struct vmbus_gpa_list gpa;
        uint64_t gpa_words[HEADER_BYTES_MAX / 8];
        struct vmbus_transfer_range transfer[RANGES_MAX];
        uint8_t header[HEADER_BYTES_MAX];
        uint8_t payload[PAYLOAD_BYTES_MAX];
};

/* ---- drafts ---- */

static void draft_transfer(struct test *t, struct draft *draft)
{
        uint32_t count = world_random_below(t, RANGES_MAX + 1), at = 0;
        draft->ours.kind = VMBUS_SEND_TRANSFER_PAGES;
        draft->ours.transfer_page_set_id = 0xcafe;
        draft->ours.transfer_count = count;
        draft->ours.transfer = draft->transfer;
        draft->theirs.type = STRANGER_TRANSFER;
        at = stranger_append(draft->header, at, 0xcafe, 4);
        at = stranger_append(draft->header, at, count, 4);
        for (uint32_t i = 0; i < count; i++) {
                uint32_t bytes = world_random_below(t, 2000);
                uint32_t offset = world_random_below(t, BUFFER_BYTES - bytes);
                draft->transfer[i] = (struct vmbus_transfer_range){.byte_count = bytes,
                                                                   .byte_offset = offset};
                at = stranger_append(draft->header, at, bytes, 4);
                at = stranger_append(draft->header, at, offset, 4);
        }
        draft->theirs.header_bytes = at;
}

static void draft_gpa(struct test *t, struct draft *draft)
{
        uint32_t count = 1 + world_random_below(t, RANGES_MAX), at = 0;
        draft->ours.kind = VMBUS_SEND_GPA_DIRECT;
        draft->ours.gpa = &draft->gpa;
        draft->theirs.type = STRANGER_GPA;
        at = stranger_append(draft->header, at, 0, 4);
        at = stranger_append(draft->header, at, count, 4);
        vmbus_gpa_list_init(&draft->gpa, draft->gpa_words, HEADER_BYTES_MAX / 8);
        for (uint32_t i = 0; i < count; i++) {
                uint64_t numbers[PAGE_NUMBERS];
                uint32_t bytes = 1 + world_random_below(t, 9000);
                uint32_t offset = world_random_below(t, 4096);
                uint32_t pages = (bytes + offset + 4095) / 4096;
                at = stranger_append(draft->header, at, bytes, 4);
                at = stranger_append(draft->header, at, offset, 4);
                for (uint32_t p = 0; p < pages; p++) {
                        numbers[p] = (uint64_t)world_random(t) << 8;
                        at = stranger_append(draft->header, at, numbers[p], 8);
                }
                EXPECT_OK(vmbus_gpa_list_push(
                        &draft->gpa, &(struct vmbus_gpa_range){bytes, offset, pages, numbers}));
        }
        draft->theirs.header_bytes = at;
}

static void make_draft(struct test *t, struct draft *draft)
{
        static const struct {
                enum vmbus_outgoing_kind ours;
                uint16_t type, flags;
        } plain[] = {
                {VMBUS_SEND_IN_BAND, STRANGER_IN_BAND, 0},
                {VMBUS_SEND_IN_BAND_REQUEST, STRANGER_IN_BAND, STRANGER_WANTS_COMPLETION},
                {VMBUS_SEND_COMPLETION, STRANGER_COMPLETION, 0},
        };
        uint32_t kind = world_random_below(t, 5);
        uint32_t limit = world_random_below(t, 4) == 0 ? PAYLOAD_BYTES_MAX : 40;
        uint32_t bytes = world_random_below(t, limit);
        uint64_t id = (uint64_t)world_random(t) << 32 | world_random(t);
        draft->ours = (struct vmbus_outgoing){.payload_bytes = bytes, .transaction_id = id};
        draft->theirs = (struct stranger_packet){.flags = STRANGER_WANTS_COMPLETION,
                                                 .id = id,
                                                 .header = draft->header,
                                                 .payload = draft->payload,
                                                 .payload_bytes = bytes};
        for (uint32_t i = 0; i < bytes; i++)
                draft->payload[i] = (uint8_t)world_random(t);
        if (kind < ARRAY_COUNT(plain)) {
                draft->ours.kind = plain[kind].ours;
                draft->theirs.type = plain[kind].type;
                draft->theirs.flags = plain[kind].flags;
        } else if (kind == ARRAY_COUNT(plain)) {
                draft_transfer(t, draft);
        } else {
                draft_gpa(t, draft);
        }
}

/* ---- steps: each is taken by our end and by the stranger's, and says whether they agreed ---- */

static bool step_put(struct test *t, struct meeting *both)
{
        struct draft draft;
        struct vmbus_range payload;
        make_draft(t, &draft);
        EXPECT_EQ(vmbus_outgoing_bytes(&draft.ours), stranger_packet_bytes(&draft.theirs));
        enum vmbus_result ours =
                vmbus_sender_write(&both->sender, &both->to, &draft.ours, &payload);
        enum stranger_result theirs = stranger_put(&both->stranger_producer, &draft.theirs);
        if (ours == VMBUS_FULL) {
                both->full++;
                both->needed_bytes = stranger_packet_bytes(&draft.theirs);
                return EXPECT_EQ(theirs, STRANGER_NOT_NOW);
        }
        if (!EXPECT_EQ(ours, VMBUS_OK) || !EXPECT_EQ(theirs, STRANGER_DONE))
                return false;
        struct vmbus_writer writer = vmbus_sender_writer(&both->sender, &payload);
        both->needed_bytes = 0;
        enum vmbus_result wrote =
                vmbus_writer_write(&writer, draft.payload, draft.theirs.payload_bytes);
        return EXPECT_EQ(wrote, VMBUS_OK) &&
               EXPECT_EQ(both->to.next_in, both->stranger_producer.next);
}

static bool step_publish(struct test *t, struct meeting *both)
{
        bool ours = vmbus_sender_commit(&both->sender, &both->to);
        bool theirs = stranger_publish(&both->stranger_producer);
        if (ours && both->consumers == ASLEEP) {
                stranger_consumer_woken(&both->stranger_consumer);
                EXPECT_EQ(vmbus_receiver_woken(&both->receiver), VMBUS_OK);
                both->consumers = AWAKE;
        }
        both->signals[0] += ours;
        return EXPECT_EQ(ours, theirs);
}

/* Our receiver's view of a packet against the stranger's, which has read the other ring. */
static bool same_packet(struct test *t, struct meeting *both, const struct vmbus_incoming *ours,
                        const struct stranger_packet *theirs)
{
        uint8_t payload[PAYLOAD_BYTES_MAX + 8];
        uint64_t words[HEADER_BYTES_MAX / 8];
        struct vmbus_transfer_range ranges[RANGES_MAX];
        struct vmbus_transfer_list transfer = {.ranges = ranges, .capacity = RANGES_MAX,
                                               .buffer_bytes = BUFFER_BYTES};
        struct vmbus_gpa_list gpa;
        bool wants = theirs->flags == STRANGER_WANTS_COMPLETION;
        bool has_id = wants || theirs->type == STRANGER_COMPLETION;
        if (!EXPECT_EQ((uint32_t)ours->type, theirs->type) ||
            !EXPECT_EQ(ours->completion_requested, wants) ||
            !EXPECT_EQ(ours->has_transaction_id, has_id) ||
            !EXPECT_EQ(ours->transaction_id, has_id ? theirs->id : 0) ||
            !EXPECT_EQ(
                    vmbus_receiver_copy(&both->receiver, &ours->payload, payload, sizeof(payload)),
                    VMBUS_OK) ||
            !EXPECT_EQ(ours->payload.bytes, theirs->payload_bytes) ||
            !EXPECT_BYTES_EQ(payload, theirs->payload, theirs->payload_bytes))
                return false;
        vmbus_gpa_list_init(&gpa, words, ARRAY_COUNT(words));
        if (theirs->type == STRANGER_TRANSFER)
                return EXPECT_EQ(vmbus_receiver_transfer_ranges(&both->receiver, ours, &transfer),
                                 VMBUS_OK) &&
                       EXPECT_EQ(ours->transfer_page_set_id, stranger_peek(theirs->header, 0, 2)) &&
                       EXPECT_EQ(transfer.count, stranger_peek(theirs->header, 4, 4)) &&
                       EXPECT_BYTES_EQ(ranges, theirs->header + 8, theirs->header_bytes - 8);
        if (theirs->type == STRANGER_GPA)
                return EXPECT_EQ(vmbus_receiver_gpa_ranges(&both->receiver, ours, &gpa),
                                 VMBUS_OK) &&
                       EXPECT_EQ(gpa.range_count, stranger_peek(theirs->header, 4, 4)) &&
                       EXPECT_BYTES_EQ(words, theirs->header + 8, theirs->header_bytes - 8);
        return true;
}

static bool step_take(struct test *t, struct meeting *both)
{
        uint8_t header[HEADER_BYTES_MAX], payload[PAYLOAD_BYTES_MAX + 8];
        struct stranger_packet theirs = {.header = header, .payload = payload};
        struct vmbus_incoming ours;
        uint32_t before = both->stranger_consumer.next;
        enum stranger_result result = stranger_take(&both->stranger_consumer, &theirs);
        enum vmbus_result our_result = vmbus_receiver_take(&both->receiver, &both->from, &ours);
        if (result == STRANGER_NOT_NOW)
                return EXPECT_EQ(our_result, VMBUS_EMPTY);
        if (!EXPECT_EQ(result, STRANGER_DONE) || !EXPECT_EQ(our_result, VMBUS_OK))
                return false;
        both->packets[theirs.type]++;
        both->wraps += both->stranger_consumer.next < before;
        return EXPECT_EQ(both->from.next_out, both->stranger_consumer.next) &&
               same_packet(t, both, &ours, &theirs);
}

static bool step_release(struct test *t, struct meeting *both)
{
        bool theirs = stranger_release(&both->stranger_consumer);
        bool ours = vmbus_receiver_commit(&both->receiver, &both->from);
        if (theirs && both->producers == ASLEEP) {
                stranger_producer_woken(&both->stranger_producer);
                EXPECT_EQ(vmbus_sender_woken(&both->sender), VMBUS_OK);
                both->producers = AWAKE;
        }
        both->signals[1] += theirs;
        return EXPECT_EQ(ours, theirs);
}

static bool step_producers_wait(struct test *t, struct meeting *both)
{
        if (both->needed_bytes == 0)
                return true;
        if (!step_publish(t, both))
                return false;
        bool theirs = stranger_producer_waits(&both->stranger_producer, both->needed_bytes);
        enum vmbus_result ours =
                vmbus_sender_prepare_to_sleep(&both->sender, &both->to, both->needed_bytes, 0);
        both->producers = theirs ? ASLEEP : AWAKE;
        both->sleeps[0] += theirs;
        both->needed_bytes = 0;
        return EXPECT_EQ(ours, theirs ? VMBUS_FULL : VMBUS_OK);
}

static bool step_consumers_wait(struct test *t, struct meeting *both)
{
        bool signal;
        if (!step_release(t, both))
                return false;
        /* Who has packets left does not sleep; our end refuses to. */
        if (both->stranger_consumer.next != both->to.committed_in)
                return true;
        bool theirs = stranger_consumer_waits(&both->stranger_consumer);
        enum vmbus_result ours =
                vmbus_receiver_prepare_to_sleep(&both->receiver, &both->from, &signal);
        both->consumers = theirs ? ASLEEP : AWAKE;
        both->sleeps[1] += theirs;
        return EXPECT_FALSE(signal) && EXPECT_EQ(ours, theirs ? VMBUS_EMPTY : VMBUS_OK);
}

/* ---- the meeting ---- */

static bool meet(struct test *t, struct meeting *both, uint32_t pages)
{
        struct stranger_memory memory[2];
        struct vmbus_memory ours[2];
        *both = (struct meeting){.data_bytes = pages * 4096};
        for (uint32_t i = 0; i < 2; i++) {
                both->pages[i] = world_pages(t, 1 + pages, NULL);
                memory[i] = (struct stranger_memory){both->pages[i], both->pages[i] + 4096,
                                                     both->data_bytes};
                if (!EXPECT_OK(vmbus_memory_init_flat(&ours[i], both->pages[i], memory[i].data,
                                                      both->data_bytes)))
                        return false;
        }
        vmbus_sender_init(&both->sender, &ours[0]);
        stranger_consumer_attach(&both->stranger_consumer, &memory[0]);
        stranger_producer_attach(&both->stranger_producer, &memory[1]);
        vmbus_receiver_init(&both->receiver, &ours[1]);
        both->stranger_consumer.header_room = HEADER_BYTES_MAX;
        both->stranger_consumer.payload_room = PAYLOAD_BYTES_MAX + 8;
        return EXPECT_EQ(vmbus_sender_position(&both->sender, &both->to), VMBUS_OK) &&
               EXPECT_EQ(vmbus_receiver_position(&both->receiver, &both->from), VMBUS_OK);
}

static bool step(struct test *t, struct meeting *both, uint32_t which)
{
        if (which < 4)
                return both->producers == ASLEEP || step_put(t, both);
        if (which < 6)
                return both->producers == ASLEEP || step_publish(t, both);
        if (which < 9)
                return both->consumers == ASLEEP || step_take(t, both);
        if (which < 10)
                return both->consumers == ASLEEP || step_release(t, both);
        if (which < 11)
                return both->producers == ASLEEP || step_producers_wait(t, both);
        return both->consumers == ASLEEP || step_consumers_wait(t, both);
}

static void same_life(struct test *t, uint32_t pages)
{
        struct meeting both;
        REQUIRE_TRUE(meet(t, &both, pages));
        for (uint32_t i = 0; i < STEPS; i++) {
                /* Spells: both busy; writers faster; readers faster. So rings fill and drain. */
                uint32_t spell = i / (SPELL_STEPS * pages) % 3;
                uint32_t which = spell == 0   ? world_random_below(t, 12)
                                 : spell == 1 ? world_random_below(t, 5)
                                              : 4 + world_random_below(t, 8);
                REQUIRE_(step(t, &both, which));
                REQUIRE_(EXPECT_BYTES_EQ(both.pages[0], both.pages[1], CONTROL_BYTES));
                REQUIRE_(EXPECT_BYTES_EQ(both.pages[0] + 4096, both.pages[1] + 4096,
                                         both.data_bytes));
                /* All asleep is where a lost signal ends. */
                REQUIRE_TRUE(!(both.producers == ASLEEP && both.consumers == ASLEEP));
        }
        EXPECT_GT(both.packets[STRANGER_IN_BAND], 400u);
        EXPECT_GT(both.packets[STRANGER_COMPLETION], 200u);
        EXPECT_GT(both.packets[STRANGER_TRANSFER], 200u);
        EXPECT_GT(both.packets[STRANGER_GPA], 200u);
        EXPECT_GT(both.wraps, 20u);
        EXPECT_GT(both.full, 50u);
        for (uint32_t i = 0; i < 2; i++) {
                EXPECT_GT(both.sleeps[i], 8u);
                EXPECT_GT(both.signals[i], 8u);
        }
}

TEST(vmbus_stranger, two_hands_write_and_read_the_same_ring_of_one_page)
{
        same_life(t, 1);
}

TEST(vmbus_stranger, two_hands_write_and_read_the_same_ring_of_three_pages)
{
        same_life(t, 3);
}

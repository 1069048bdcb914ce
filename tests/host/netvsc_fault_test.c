/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* netvsc_fault_test — every rule of enum netvsc_fault, broken once by a packet or an answer that is
 * written into the card's ring by hand, and what else a host may say that ours never does.
 *
 * The packets go in front of the host's own, which has nothing to send at that moment. */
#include "tests/host/netvsc_bed.h"

#define FRAME_BYTES 60u
#define PLACE 5u /* the sub-allocation that is used */
#define QUESTION_BYTES VMBUS_IN_BAND_BYTES(NVSP_MESSAGE_BYTES)

struct broken_rule;
static const struct broken_rule *now; /* the row that is at work */

/* ---- packets by hand ---- */

/* Writes a packet where the host would. asks: with the flag that asks for a completion, which is
 * there of itself in transfer pages. */
static void inject(const struct vmbus_outgoing *packet, const void *payload, bool asks)
{
        const struct vmbus_memory *memory = &bed.card.channel->receiver.memory;
        struct test *t = bed.t;
        struct vmbus_sender sender;
        struct vmbus_send_position position;
        struct vmbus_range range;
        uint64_t word0;
        vmbus_sender_init(&sender, memory);
        REQUIRE_EQ(vmbus_sender_position(&sender, &position), VMBUS_OK);
        REQUIRE_EQ(vmbus_sender_write(&sender, &position, packet, &range), VMBUS_OK);
        struct vmbus_writer writer = vmbus_sender_writer(&sender, &range);
        REQUIRE_EQ(vmbus_writer_write(&writer, payload, packet->payload_bytes), VMBUS_OK);
        vmbus_memory_copy_in(memory, position.committed_in, &word0, sizeof(word0));
        if (!asks)
                word0 &= ~BIT_MASK(VMBUS_WORD0_FLAGS_BIT + VMBUS_FLAG_COMPLETION_REQUESTED_BIT);
        vmbus_memory_copy_out(memory, position.committed_in, &word0, sizeof(word0));
        bool signal UNUSED = vmbus_sender_commit(&sender, &position);
}

/* Transfer pages as a host sends them, around an NVSP message of that type and channel. */
struct transfer {
        struct vmbus_transfer_range ranges[2];
        uint32_t range_count, type, channel, message_bytes;
        uint16_t set_id;
        bool no_id;
};

static struct transfer good_transfer(void)
{
        return (struct transfer){
                .ranges = {{FRAME_BYTES, bed.card.section_offset +
                                                 PLACE * bed.card.suballocation_bytes}},
                .range_count = 1,
                .type = NVSP_SEND_RNDIS_PACKET,
                .channel = NVSP_CHANNEL_DATA,
                .message_bytes = NVSP_MESSAGE_BYTES,
                .set_id = NVSP_RECEIVE_BUFFER_ID};
}

static void inject_transfer(const struct transfer *transfer)
{
        const struct nvsp_message message = {.type = transfer->type,
                                             .rndis = {transfer->channel, NVSP_NO_SECTION, 0}};
        const struct vmbus_outgoing packet = {.kind = VMBUS_SEND_TRANSFER_PAGES,
                                              .payload_bytes = transfer->message_bytes,
                                              .transaction_id = 7,
                                              .transfer = transfer->ranges,
                                              .transfer_count = transfer->range_count,
                                              .transfer_page_set_id = transfer->set_id};
        inject(&packet, &message, !transfer->no_id);
}

/* An RNDIS message in the receive buffer, and the packet that names it. */
static void inject_rndis(uint32_t channel, const uint32_t *words, uint32_t bytes)
{
        struct transfer transfer = good_transfer();
        transfer.channel = channel;
        transfer.ranges[0].byte_count = bytes;
        /* The host's right: to the card its buffer is read only. */
        memcpy((uint8_t *)(uintptr_t)bed.card.receive_va + transfer.ranges[0].byte_offset, words,
               bytes);
        inject_transfer(&transfer);
}

/* A frame with one element of per-packet info. */
#define PACKET_WORDS ((RNDIS_PACKET_HEADER_BYTES + RNDIS_INFO_BYTES + FRAME_BYTES) / 4)
static void inject_frame(uint32_t info_type, uint32_t info)
{
        uint32_t words[PACKET_WORDS] = {RNDIS_PACKET, sizeof(words), 52, FRAME_BYTES, 0, 0, 0, 36,
                                        RNDIS_INFO_BYTES, 0, 0, RNDIS_INFO_BYTES, info_type, 12,
                                        info};
        memcpy(words + 15, bed.card.netdev.mac, NETDEV_MAC_BYTES);
        for (uint32_t i = 14; i < FRAME_BYTES; i++)
                ((uint8_t *)(words + 15))[i] = bed_byte(bed.received, i);
        inject_rndis(NVSP_CHANNEL_DATA, words, sizeof(words));
}

/* The transaction id of the packet that begins `bytes_back` before
 * the end of what the card sent. */
static uint64_t sent_id(uint32_t bytes_back)
{
        const struct vmbus_channel *channel = bed.card.channel;
        uint32_t size = channel->sender.memory.data_bytes;
        uint32_t start = (channel->send_position.committed_in + size - bytes_back) % size;
        uint64_t words[2];
        vmbus_memory_copy_in(&channel->sender.memory, start, words, sizeof(words));
        return words[1];
}

static void inject_completion(uint64_t id, const struct nvsp_message *message, uint32_t bytes)
{
        const struct vmbus_outgoing packet = {.kind = VMBUS_SEND_COMPLETION,
                                              .payload_bytes = bytes,
                                              .transaction_id = id};
        inject(&packet, message, false);
}

/* ---- one way for each rule to be broken ---- */

struct broken_rule {
        enum netvsc_fault fault;
        void (*say)(void);    /* unasked, before a poll; or */
        bool (*answer)(void); /* asked: by a restart, ... */
        bool in_a_setting;    /* ... or by a setting */
        uint32_t word, value; /* for the one of them that looks there */
};

static void say_index(void)
{
        bed.card.channel->receiver.memory.control->in = 3;
}

static void say_range_outside_buffer(void)
{
        struct transfer transfer = good_transfer();
        transfer.ranges[0].byte_offset = bed.card.receive_bytes - FRAME_BYTES + 1;
        inject_transfer(&transfer);
}

static void say_gpa_direct(void)
{
        uint64_t words[2], page = 1;
        struct vmbus_gpa_list list;
        struct vmbus_gpa_range range = {.byte_count = 8, .page_count = 1, .pages = &page};
        struct test *t = bed.t;
        vmbus_gpa_list_init(&list, words, ARRAY_COUNT(words));
        REQUIRE_OK(vmbus_gpa_list_push(&list, &range));
        const struct vmbus_outgoing packet = {.kind = VMBUS_SEND_GPA_DIRECT, .gpa = &list};
        inject(&packet, &list, true);
}

static void say_short_message(void)
{
        struct transfer transfer = good_transfer();
        transfer.message_bytes = 0;
        inject_transfer(&transfer);
}

static void say_message_type(void)
{
        struct transfer transfer = good_transfer();
        transfer.type = now->value;
        inject_transfer(&transfer);
}

static void say_message_channel(void)
{
        struct transfer transfer = good_transfer();
        transfer.channel = now->value;
        inject_transfer(&transfer);
}

static void say_set_id(void)
{
        struct transfer transfer = good_transfer();
        transfer.set_id = NVSP_SEND_BUFFER_ID;
        inject_transfer(&transfer);
}

static void say_no_transaction(void)
{
        struct transfer transfer = good_transfer();
        transfer.no_id = true;
        inject_transfer(&transfer);
}

static void say_no_range(void)
{
        struct transfer transfer = good_transfer();
        transfer.range_count = 0;
        inject_transfer(&transfer);
}

static void say_empty_range(void)
{
        struct transfer transfer = good_transfer();
        transfer.ranges[0].byte_count = 0;
        inject_transfer(&transfer);
}

static void say_range_behind_section(void)
{
        struct transfer transfer = good_transfer();
        /* As if the answer to SendReceiveBuffer had said so. */
        bed.card.suballocation_count = PLACE + 1;
        transfer.ranges[0].byte_count = bed.card.suballocation_bytes + 1;
        inject_transfer(&transfer);
}

static void say_range_before_section(void)
{
        struct transfer transfer = good_transfer();
        bed.card.section_offset = transfer.ranges[0].byte_offset + 1;
        bed.card.suballocation_count -= PLACE + 1;
        inject_transfer(&transfer);
}

static void say_place_twice(void)
{
        struct transfer transfer = good_transfer();
        transfer.range_count = 2;
        transfer.ranges[1] = transfer.ranges[0];
        transfer.ranges[1].byte_offset += FRAME_BYTES; /* another part of the same */
        inject_transfer(&transfer);
}

static void say_held_place(void)
{
        struct transfer transfer = good_transfer();
        struct test *t = bed.t;
        bed.keep = true;
        bed.to_receive = 1;
        REQUIRE_TRUE(bed_until(&bed.received, 1));
        transfer.ranges[0].byte_offset =
                bed.card.section_offset + bed.held[0] * bed.card.suballocation_bytes;
        inject_transfer(&transfer);
}

static void say_too_many_ranges(void)
{
        struct transfer transfer = good_transfer();
        bed.card.suballocation_count = 1;
        transfer.ranges[0].byte_offset = bed.card.section_offset;
        transfer.range_count = 2;
        inject_transfer(&transfer);
}

static void say_rndis_length(void)
{
        const uint32_t words[PACKET_WORDS] = {RNDIS_PACKET, sizeof(words) + 1, 52, FRAME_BYTES};
        inject_rndis(NVSP_CHANNEL_DATA, words, sizeof(words));
}

static void say_rndis_frame_outside(void)
{
        const uint32_t words[PACKET_WORDS] = {RNDIS_PACKET, sizeof(words), 53, FRAME_BYTES};
        inject_rndis(NVSP_CHANNEL_DATA, words, sizeof(words));
}

static void say_short_control(void)
{
        const uint32_t words[2] = {RNDIS_INDICATE_STATUS, sizeof(words)};
        inject_rndis(NVSP_CHANNEL_CONTROL, words, sizeof(words));
}

static void say_control_as_data(void)
{
        const uint32_t words[3] = {RNDIS_KEEPALIVE, sizeof(words), 1};
        inject_rndis(NVSP_CHANNEL_DATA, words, sizeof(words));
}

static void say_piece(void)
{
        inject_frame(0x80000001, 1 | 1 << 8);
}

static void say_unknown_completion(void)
{
        const struct nvsp_message message = {.type = NVSP_SEND_RNDIS_PACKET_COMPLETE};
        inject_completion(0x123456789, &message, sizeof(message));
}

/* A frame, and its completion in place of the host's. */
static void complete_frame(uint32_t type, uint32_t message_bytes)
{
        const struct nvsp_message message = {.type = type,
                                             .rndis_complete.status = NVSP_STATUS_SUCCESS};
        struct netdev_frame frame = bed_make_frame(1, FRAME_BYTES, 1);
        struct test *t = bed.t;
        uint32_t before = bed.card.channel->send_position.committed_in;
        REQUIRE_OK(bed_send(&frame));
        inject_completion(sent_id(bed.card.channel->send_position.committed_in - before), &message,
                          message_bytes);
}

static void say_short_completion(void)
{
        complete_frame(NVSP_SEND_RNDIS_PACKET_COMPLETE, 0);
}

static void say_completion_type(void)
{
        complete_frame(NVSP_SEND_RNDIS_PACKET, NVSP_MESSAGE_BYTES);
}

static void say_completion_twice(void)
{
        const struct nvsp_message message = {.type = NVSP_SEND_RNDIS_PACKET_COMPLETE,
                                             .rndis_complete.status = NVSP_STATUS_SUCCESS};
        complete_frame(NVSP_SEND_RNDIS_PACKET_COMPLETE, NVSP_MESSAGE_BYTES);
        inject_completion(sent_id(bed.card.channel->send_position.committed_in), &message, 0);
}

/* The answer to SendReceiveBuffer with one of its words changed. */
static bool answer_section(void)
{
        const struct vmbus_channel *channel = bed.card.channel;
        struct nvsp_message message;
        if (!bed.card.opened || channel->send_position.committed_in < QUESTION_BYTES)
                return false;
        vmbus_memory_copy_in(&channel->sender.memory,
                             channel->send_position.committed_in - VMBUS_FOOTER_BYTES -
                                     NVSP_MESSAGE_BYTES,
                             &message, sizeof(message));
        if (message.type != NVSP_SEND_RECEIVE_BUFFER)
                return false;
        bed.instead = NULL;
        message = (struct nvsp_message){
                .type = NVSP_SEND_RECEIVE_BUFFER_COMPLETE,
                .receive_buffer_complete = {NVSP_STATUS_SUCCESS, 1, bed.card.section_offset,
                                            bed.card.suballocation_bytes,
                                            bed.card.suballocation_count, bed.card.receive_bytes}};
        if (now->value == NETVSC_SUBALLOCATIONS_MAX + 1) /* so many would fit */
                message.receive_buffer_complete.suballocation_bytes = NETDEV_MTU_MIN;
        ((uint32_t *)&message)[now->word] = now->value;
        inject_completion(sent_id(QUESTION_BYTES), &message, sizeof(message));
        return true;
}

/* The answer to a SET is that to a QUERY. */
static bool answer_rndis(void)
{
        const uint32_t words[6] = {RNDIS_QUERY | RNDIS_COMPLETE, sizeof(words), bed.card.request_id,
                                  RNDIS_STATUS_SUCCESS, 0, 0};
        if (bed.card.request_id == 0)
                return false;
        bed.instead = NULL;
        inject_rndis(NVSP_CHANNEL_CONTROL, words, sizeof(words));
        return true;
}

static const struct broken_rule broken_rules[] = {
        {.fault = NETVSC_FAULT_RING, .say = say_index},
        {.fault = NETVSC_FAULT_RING, .say = say_range_outside_buffer},
        {.fault = NETVSC_FAULT_PACKET_TYPE, .say = say_gpa_direct},
        {.fault = NETVSC_FAULT_MESSAGE_SHORT, .say = say_short_message},
        {.fault = NETVSC_FAULT_MESSAGE_SHORT, .say = say_short_completion},
        {.fault = NETVSC_FAULT_MESSAGE_TYPE, .say = say_message_type, .value = 108},
        {.fault = NETVSC_FAULT_MESSAGE_TYPE, .say = say_message_channel, .value = 2},
        {.fault = NETVSC_FAULT_COMPLETION, .say = say_unknown_completion},
        {.fault = NETVSC_FAULT_COMPLETION, .say = say_completion_twice},
        {.fault = NETVSC_FAULT_ANSWER_TYPE, .say = say_completion_type},
        {.fault = NETVSC_FAULT_ANSWER_TYPE, .answer = answer_section, .word = 0, .value = 105},
        {.fault = NETVSC_FAULT_ANSWER_TYPE, .answer = answer_rndis, .in_a_setting = true},
        {.fault = NETVSC_FAULT_SECTIONS, .answer = answer_section, .word = 2, .value = 0},
        {.fault = NETVSC_FAULT_SECTIONS, .answer = answer_section, .word = 2, .value = 2},
        {.fault = NETVSC_FAULT_SECTIONS, .answer = answer_section, .word = 3, .value = UINT32_MAX},
        {.fault = NETVSC_FAULT_SECTIONS, .answer = answer_section, .word = 4, .value = 8},
        {.fault = NETVSC_FAULT_SECTIONS, .answer = answer_section, .word = 4, .value = UINT32_MAX},
        {.fault = NETVSC_FAULT_SECTIONS, .answer = answer_section, .word = 5, .value = 0},
        {.fault = NETVSC_FAULT_SECTIONS,
         .answer = answer_section,
         .word = 5,
         .value = NETVSC_SUBALLOCATIONS_MAX + 1},
        {.fault = NETVSC_FAULT_SECTIONS, .answer = answer_section, .word = 6, .value = UINT32_MAX},
        {.fault = NETVSC_FAULT_SET_ID, .say = say_set_id},
        {.fault = NETVSC_FAULT_NO_TRANSACTION, .say = say_no_transaction},
        {.fault = NETVSC_FAULT_RANGE, .say = say_no_range},
        {.fault = NETVSC_FAULT_RANGE, .say = say_empty_range},
        {.fault = NETVSC_FAULT_RANGE, .say = say_range_behind_section},
        {.fault = NETVSC_FAULT_RANGE, .say = say_range_before_section},
        {.fault = NETVSC_FAULT_HELD, .say = say_place_twice},
        {.fault = NETVSC_FAULT_HELD, .say = say_held_place},
        {.fault = NETVSC_FAULT_HELD, .say = say_too_many_ranges},
        {.fault = NETVSC_FAULT_RNDIS, .say = say_rndis_length},
        {.fault = NETVSC_FAULT_RNDIS, .say = say_rndis_frame_outside},
        {.fault = NETVSC_FAULT_RNDIS, .say = say_short_control},
        {.fault = NETVSC_FAULT_RNDIS_TYPE, .say = say_control_as_data},
        {.fault = NETVSC_FAULT_PIECES, .say = say_piece},
};

static void break_rule(struct test *t, const struct broken_rule *rule)
{
        const struct netdev_receive_mode mode = {.promiscuous = true};
        now = rule;
        bed.instead = rule->answer;
        if (rule->say != NULL)
                rule->say();
        else if (rule->in_a_setting)
                EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                              netdev_set_receive_mode(&bed.card.netdev, &mode));
        else
                EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, netdev_restart(&bed.card.netdev));
        if (bed.card.netdev.running)
                (void)netdev_poll(&bed.card.netdev, 0, 64);
        EXPECT_TRUE(bed.instead == NULL);
}

/* Frames both ways. */
static void card_works(struct test *t)
{
        struct netdev_frame frame = bed_make_frame(3, 200, 2);
        REQUIRE_OK(bed_send(&frame));
        REQUIRE_TRUE(bed_until(&bed.done_ok, bed.done_ok + 1));
        EXPECT_TRUE(bed_sent_right(3, 200));
        bed.made = bed.received;
        bed.to_receive = 3;
        REQUIRE_TRUE(bed_until(&bed.received, bed.received + 3));
}

/* The rule is named, the card stops, and a restart makes it work again. */
TEST(netvsc, each_broken_rule_is_named_and_stops_the_card_until_a_restart)
{
        char *memory = world_pages(t, BED_PAGES, NULL);
        uint32_t seen = 1u << NETVSC_FAULT_NONE;
        for (size_t i = 0; i < ARRAY_COUNT(broken_rules); i++) {
                const struct broken_rule *rule = &broken_rules[i];
                REQUIRE_TRUE(bed_begin(t, memory, 0));
                REQUIRE_OK(vmbus_connect(&bed.vmbus));
                REQUIRE_OK(bed.offer_status);
                REQUIRE_TRUE(bed_attach(t));
                break_rule(t, rule);
                if (!EXPECT_EQ(bed.card.fault, rule->fault))
                        test_log(t, "row %u: %s", (unsigned)i, netvsc_fault_rule(rule->fault));
                EXPECT_EQ(bed.card.netdev.counters.faults, 1u);
                EXPECT_FALSE(bed.card.netdev.running);
                EXPECT_FALSE(bed.card.opened);
                EXPECT_NE(vmbus_channel_state(bed.card.channel), VMBUS_CHANNEL_OPEN);
                EXPECT_EQ(netdev_transmit_in_flight(&bed.card.netdev), 0);
                bed.keep = false;
                bed_release_held();
                REQUIRE_OK(netdev_restart(&bed.card.netdev));
                EXPECT_EQ(bed.card.fault, NETVSC_FAULT_NONE);
                card_works(t);
                bed_end(t);
                seen |= 1u << rule->fault;
        }
        EXPECT_EQ(seen, (1u << NETVSC_FAULT_COUNT) - 1); /* each rule has a row */
}

/* ---- what is no fault ---- */

/* The host's verdict on a received frame: valid only where TCP or UDP
 * was right and nothing wrong. */
TEST(netvsc, a_received_checksum_is_believed_only_when_it_is_good)
{
        static const struct {
                uint32_t bits;
                enum netdev_checksum verdict;
        } rows[] = {
                {0, NETDEV_CHECKSUM_UNKNOWN},
                {1u << RNDIS_RECEIVED_TCP_OK_BIT, NETDEV_CHECKSUM_VALID},
                {1u << RNDIS_RECEIVED_UDP_OK_BIT, NETDEV_CHECKSUM_VALID},
                {1u << RNDIS_RECEIVED_TCP_OK_BIT | 1u << RNDIS_RECEIVED_IP_OK_BIT,
                 NETDEV_CHECKSUM_VALID},
                {1u << RNDIS_RECEIVED_IP_OK_BIT, NETDEV_CHECKSUM_UNKNOWN},
                {1u << RNDIS_RECEIVED_TCP_FAILED_BIT, NETDEV_CHECKSUM_UNKNOWN},
                {1u << RNDIS_RECEIVED_UDP_FAILED_BIT, NETDEV_CHECKSUM_UNKNOWN},
                {1u << RNDIS_RECEIVED_TCP_OK_BIT | 1u << RNDIS_RECEIVED_IP_FAILED_BIT,
                 NETDEV_CHECKSUM_UNKNOWN},
                {1u << RNDIS_RECEIVED_TCP_OK_BIT | 1u << RNDIS_RECEIVED_UDP_FAILED_BIT,
                 NETDEV_CHECKSUM_UNKNOWN},
        };
        char *memory = world_pages(t, BED_PAGES, NULL);
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                REQUIRE_TRUE(bed_begin(t, memory, 0));
                REQUIRE_OK(vmbus_connect(&bed.vmbus));
                REQUIRE_TRUE(bed_attach(t));
                inject_frame(0, rows[i].bits);
                (void)netdev_poll(&bed.card.netdev, 0, 64);
                EXPECT_EQ(bed.received, 1u);
                if (!EXPECT_EQ(bed.info.checksum, rows[i].verdict))
                        test_log(t, "bits %x", rows[i].bits);
                EXPECT_EQ(bed.card.fault, NETVSC_FAULT_NONE);
                bed_end(t);
        }
}

/* News that change nothing here (netvsc.h), and a question of the host's. */
static void say_status(uint32_t status, uint32_t information)
{
        const uint32_t words[6] = {RNDIS_INDICATE_STATUS, sizeof(words), status, 4, 12,
                                   information};
        inject_rndis(NVSP_CHANNEL_CONTROL, words, sizeof(words));
}

TEST(netvsc, other_news_of_the_host_change_nothing)
{
        static const uint32_t news[] = {RNDIS_STATUS_LINK_SPEED_CHANGE, RNDIS_STATUS_NETWORK_CHANGE,
                                        RNDIS_STATUS_OFFLOAD_CONFIG, 0x40019999};
        char *memory = world_pages(t, BED_PAGES, NULL);
        for (size_t i = 0; i < ARRAY_COUNT(news); i++) {
                REQUIRE_TRUE(bed_begin(t, memory, 0));
                REQUIRE_OK(vmbus_connect(&bed.vmbus));
                REQUIRE_TRUE(bed_attach(t));
                uint32_t bits = bed.card.netdev.capabilities.bits;
                say_status(news[i], 0);
                (void)netdev_poll(&bed.card.netdev, 0, 64);
                EXPECT_EQ(bed.card.fault, NETVSC_FAULT_NONE);
                EXPECT_TRUE(bed.card.netdev.link_up);
                EXPECT_EQ(bed.card.netdev.capabilities.bits, bits);
                EXPECT_EQ(bed.card.transaction_done, UINT16_MAX); /* it was completed */
                say_status(RNDIS_STATUS_MEDIA_DISCONNECT, 0);
                (void)netdev_poll(&bed.card.netdev, 0, 64);
                EXPECT_FALSE(bed.card.netdev.link_up); /* while this one does */
                bed_end(t);
        }
}

/* f.4: any status but success. */
TEST(netvsc, a_frame_that_the_host_did_not_send_comes_back_as_such)
{
        const struct nvsp_message failed = {.type = NVSP_SEND_RNDIS_PACKET_COMPLETE,
                                            .rndis_complete.status = 2};
        CONNECT(0);
        struct netdev_frame frame = bed_make_frame(9, 100, 1);
        uint32_t before = bed.card.channel->send_position.committed_in;
        uint64_t words[2];
        REQUIRE_OK(bed_send(&frame));
        vmbus_memory_copy_in(&bed.card.channel->sender.memory, before, words, sizeof(words));
        inject_completion(words[1], &failed, NVSP_MESSAGE_BYTES);
        (void)netdev_poll(&bed.card.netdev, 0, 64);
        EXPECT_EQ(bed.done_ok, 0u);
        EXPECT_EQ(bed.done_other, 1u);
        EXPECT_STATUS(ZX_ERR_IO, bed.done_status);
        EXPECT_EQ(netdev_counters(&bed.card.netdev)->total.transmit_failed, 1u);
        EXPECT_EQ(bed.card.fault, NETVSC_FAULT_NONE);
        EXPECT_TRUE(bed.card.netdev.running);
        bed_end(t);
}

TEST(netvsc, the_host_is_told_that_the_guest_lives)
{
        const uint32_t words[3] = {RNDIS_KEEPALIVE, sizeof(words), 0x1234};
        const uint32_t answer[] = {RNDIS_KEEPALIVE | RNDIS_COMPLETE, RNDIS_KEEPALIVE_COMPLETE_BYTES,
                                   0x1234, RNDIS_STATUS_SUCCESS};
        CONNECT(0);
        const struct vmbus_memory *memory = &bed.card.channel->sender.memory;
        uint32_t before = bed.card.channel->send_position.committed_in;
        inject_rndis(NVSP_CHANNEL_CONTROL, words, sizeof(words));
        (void)netdev_poll(&bed.card.netdev, 0, 64);
        EXPECT_EQ(bed.card.fault, NETVSC_FAULT_NONE);
        /* A GPA direct packet that names the page with the answer. */
        uint64_t packet[8];
        vmbus_memory_copy_in(memory, before, packet, sizeof(packet));
        EXPECT_EQ(packet[0] & UINT16_MAX, VMBUS_PACKET_GPA_DIRECT);
        EXPECT_EQ((uint32_t)packet[3], sizeof(answer));
        EXPECT_EQ(packet[5], NVSP_SEND_RNDIS_PACKET | (uint64_t)NVSP_CHANNEL_CONTROL << 32);
        EXPECT_BYTES_EQ(pmm_pa_to_va(&bed.pmm, packet[4] * PAGE_BYTES), answer, sizeof(answer));
        bed_end(t);
}

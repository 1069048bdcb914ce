/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_echo_test — packets through open channels of the host side, by its echo; and what a
 * guest that spoils its rings gets: spec/vmbus.md, (b), (c). */
#include "tests/host/vmbus_host_bed.h"

static struct vmbus_host_echo echo, pipe_echo;
static struct vmbus_host_offer offers[2];
static struct guest_channel channel;

static void start(struct test *t, uint32_t id, uint32_t up, uint32_t down)
{
        bed_init(t, &the_bed);
        vmbus_host_echo_init(&echo, false);
        vmbus_host_echo_init(&pipe_echo, true);
        vmbus_host_echo_offer(&echo, &offers[0], 0);
        vmbus_host_echo_offer(&pipe_echo, &offers[1], 1);
        EXPECT_OK(vmbus_host_offer(&the_bed.host, &offers[0], NULL));
        EXPECT_OK(vmbus_host_offer(&the_bed.host, &offers[1], NULL));
        bed_connect(&the_bed, 0x50003, 0, true);
        bed_open(&the_bed, &channel, id, up, down);
}

TEST(vmbus_host_echo, packets_come_back)
{
        struct vmbus_incoming packet;
        char text[16] = {0};
        start(t, 1, 2, 2);
        REQUIRE_EQ(bed_packet(&the_bed, &channel, VMBUS_SEND_IN_BAND_REQUEST, 0x123456789abcdef,
                              "hello", 6), VMBUS_OK);
        EXPECT_EQ(the_bed.signals[1], 1);
        REQUIRE_EQ(bed_receive(&the_bed, &channel, &packet, text, sizeof(text)), VMBUS_OK);
        EXPECT_EQ(packet.type, VMBUS_PACKET_COMPLETION);
        EXPECT_EQ(packet.transaction_id, 0x123456789abcdef);
        EXPECT_EQ(packet.payload.bytes, 8);
        EXPECT_BYTES_EQ(text, "hello\0\0", 8);
        REQUIRE_EQ(bed_packet(&the_bed, &channel, VMBUS_SEND_IN_BAND, 7, "", 0), VMBUS_OK);
        REQUIRE_EQ(bed_receive(&the_bed, &channel, &packet, text, sizeof(text)), VMBUS_OK);
        EXPECT_EQ(packet.type, VMBUS_PACKET_IN_BAND);
        EXPECT_FALSE(packet.completion_requested);
        EXPECT_EQ(packet.payload.bytes, 0);
        EXPECT_EQ(bed_receive(&the_bed, &channel, &packet, text, sizeof(text)), VMBUS_EMPTY);
        REQUIRE_EQ(bed_packet(&the_bed, &channel, VMBUS_SEND_COMPLETION, 7, "", 0), VMBUS_OK);
        EXPECT_EQ(bed_receive(&the_bed, &channel, &packet, text, sizeof(text)), VMBUS_EMPTY);
        EXPECT_EQ(echo.completions, 1);
        EXPECT_EQ(echo.packets, 3);
}

/* The bytes that the host leaves in its ring for one request, as spec/vmbus.md, b.8 writes them. */
TEST(vmbus_host_echo, an_answer_has_these_bytes)
{
        static const uint8_t bytes[] = {
                0x0b, 0, 2, 0, 3, 0, 0, 0, 0x2a, 0,    0,    0,    0, 0, 0, 0,
                0xaa, 0xbb, 0xcc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0x0b, 0, 2, 0, 2, 0, 0, 0, 0x2b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0};
        start(t, 1, 2, 2);
        bed_packet(&the_bed, &channel, VMBUS_SEND_IN_BAND_REQUEST, 0x2a, "\xaa\xbb\xcc", 3);
        bed_packet(&the_bed, &channel, VMBUS_SEND_IN_BAND_REQUEST, 0x2b, "", 0);
        EXPECT_BYTES_EQ(channel.receiver.memory.data, bytes, sizeof(bytes));
        EXPECT_EQ(channel.receiver.memory.control->in, sizeof(bytes));
        EXPECT_EQ(channel.receiver.memory.control->feature_bits, 1);
        EXPECT_EQ(channel.sender.memory.control->interrupt_mask, 0);
        EXPECT_EQ(channel.sender.memory.control->out, 0x20 + 0x18);
}

TEST(vmbus_host_echo, messages_of_a_pipe_come_back)
{
        struct vmbus_pipe_buffer buffer = {.capacity = 20000};
        struct vmbus_pipe_bytes message = {.byte_count = 16384};
        static uint8_t out[16384], in[20000];
        start(t, 2, 6, 8);
        for (uint32_t i = 0; i < sizeof(out); i++)
                out[i] = (uint8_t)(i * 7 + i / 256);
        message.bytes = out;
        buffer.bytes = in;
        for (uint32_t i = 0; i < 40; i++) {
                message.byte_count = i == 0 ? 16384 : world_random_below(t, 5000);
                REQUIRE_EQ(vmbus_pipe_write_message(&channel.sender, &channel.to, &message),
                           VMBUS_OK);
                bed_commit(&the_bed, &channel);
                vmbus_receiver_cancel_sleep(&channel.receiver);
                REQUIRE_EQ(vmbus_pipe_read_message(&channel.receiver, &channel.from, &buffer),
                           VMBUS_OK);
                EXPECT_EQ(buffer.byte_count, message.byte_count);
                EXPECT_BYTES_EQ(in, out, message.byte_count);
                bool signal = vmbus_receiver_commit(&channel.receiver, &channel.from);
                REQUIRE_EQ(vmbus_receiver_prepare_to_sleep(&channel.receiver, &channel.from,
                                                           &signal), VMBUS_EMPTY);
        }
}

TEST(vmbus_host_echo, a_pipe_header_is_checked)
{
        static const uint32_t bad[][3] = {
                {8, 0, 0}, {8, 2, 0}, {8, 3, 0}, {8, 1, 1},
                {16, 1, 9}, {16, 1, UINT32_MAX}, {0, 0, 0}};
        for (uint32_t i = 0; i < ARRAY_COUNT(bad); i++) {
                const uint32_t payload[4] = {bad[i][1], bad[i][2], 0, 0};
                start(t, 2, 2, 2);
                EXPECT_RULE(
                        &the_bed, PIPE_HEADER,
                        bed_packet(&the_bed, &channel, VMBUS_SEND_IN_BAND, 0, payload, bad[i][0]));
        }
        start(t, 2, 2, 2);
        EXPECT_RULE(&the_bed, PACKET_TYPE,
                    bed_packet(&the_bed, &channel, VMBUS_SEND_TRANSFER_PAGES, 0, "", 0));
}

TEST(vmbus_host_echo, pages_are_inverted)
{
        struct vmbus_host_echo_direct answer;
        struct vmbus_incoming packet;
        struct vmbus_gpa_list list;
        uint64_t words[80];
        uint64_t first, pages[3];
        struct vmbus_gpa_range range = {.byte_count = 5000, .byte_offset = 4000, .page_count = 3,
                                        .pages = pages};
        struct vmbus_outgoing direct = {
                .kind = VMBUS_SEND_GPA_DIRECT, .transaction_id = 77, .gpa = &list};
        start(t, 1, 2, 2);
        first = bed_take_pages(&the_bed, 3);
        for (uint32_t i = 0; i < 3; i++)
                pages[i] = first + 2 - i; /* backwards */
        memset(bed_page(&the_bed, first), 3, 3 * PAGE_BYTES);
        vmbus_gpa_list_init(&list, words, ARRAY_COUNT(words));
        REQUIRE_OK(vmbus_gpa_list_push(&list, &range));
        range = (struct vmbus_gpa_range){1, 0, 1, &pages[2]};
        REQUIRE_OK(vmbus_gpa_list_push(&list, &range));
        REQUIRE_EQ(bed_write(&channel, &direct, ""), VMBUS_OK);
        bed_commit(&the_bed, &channel);
        REQUIRE_EQ(bed_receive(&the_bed, &channel, &packet, &answer, sizeof(answer)), VMBUS_OK);
        EXPECT_EQ(packet.transaction_id, 77);
        EXPECT_EQ(answer.status, 0);
        EXPECT_EQ(answer.byte_count, 5001);
        EXPECT_EQ(answer.sum, 5000 * 3 + 252); /* the last byte was inverted before */
        EXPECT_EQ(bed_page(&the_bed, pages[0])[3999], 3);
        EXPECT_EQ(bed_page(&the_bed, pages[0])[4000], 252);
        EXPECT_EQ(bed_page(&the_bed, pages[1])[4095], 252);
        EXPECT_EQ(bed_page(&the_bed, pages[2])[0], 3); /* twice */
        EXPECT_EQ(bed_page(&the_bed, pages[2])[807], 252);
        EXPECT_EQ(bed_page(&the_bed, pages[2])[808], 3);
        /* A page that is not there, and more ranges than it takes. */
        pages[2] = BED_FIRST_PAGE + BED_PAGES;
        vmbus_gpa_list_clear(&list);
        REQUIRE_OK(vmbus_gpa_list_push(&list, &range));
        bed_write(&channel, &direct, "");
        EXPECT_RULE(&the_bed, PACKET_PAGE, bed_commit(&the_bed, &channel));
        REQUIRE_EQ(bed_receive(&the_bed, &channel, &packet, &answer, sizeof(answer)), VMBUS_OK);
        EXPECT_EQ(answer.status, 1);
        range.pages = &pages[0];
        for (uint32_t i = 0; i < 32; i++)
                REQUIRE_OK(vmbus_gpa_list_push(&list, &range));
        bed_write(&channel, &direct, "");
        EXPECT_RULE(&the_bed, PACKET_RANGES, bed_commit(&the_bed, &channel));
        REQUIRE_EQ(bed_receive(&the_bed, &channel, &packet, &answer, sizeof(answer)), VMBUS_OK);
        EXPECT_EQ(answer.status, 1);
}

TEST(vmbus_host_echo, a_host_may_ask_as_well)
{
        struct vmbus_incoming packet;
        uint64_t payload;
        start(t, 2, 2, 2);
        echo.requests = 300; /* more than one ring holds */
        REQUIRE_TRUE(bed_open(&the_bed, &channel, 1, 2, 2));
        for (uint64_t id = 1; id <= echo.requests; id++) {
                REQUIRE_EQ(bed_receive(&the_bed, &channel, &packet, &payload, 8), VMBUS_OK);
                REQUIRE_EQ(packet.transaction_id, id);
                REQUIRE_TRUE(packet.completion_requested);
                EXPECT_EQ(payload, id);
                REQUIRE_EQ(bed_packet(&the_bed, &channel, VMBUS_SEND_COMPLETION, id, "", 0),
                           VMBUS_OK);
        }
        EXPECT_EQ(bed_receive(&the_bed, &channel, &packet, &payload, 8), VMBUS_EMPTY);
        EXPECT_EQ(echo.completions, echo.requests);
}

/* A host whose ring is full asks for room; it is woken by the
 * guest's signal and by nothing else. */
TEST(vmbus_host_echo, a_full_ring_is_no_end)
{
        struct vmbus_incoming packet;
        uint64_t payload, id = 0;
        start(t, 2, 2, 2);
        echo.requests = 1000;
        REQUIRE_TRUE(bed_open(&the_bed, &channel, 1, 2, 2));
        EXPECT_NE(channel.receiver.memory.control->pending_send_size, 0);
        while (bed_receive(&the_bed, &channel, &packet, &payload, 8) == VMBUS_OK)
                REQUIRE_EQ(packet.transaction_id, ++id);
        EXPECT_EQ(id, 1000);
        EXPECT_EQ(channel.receiver.memory.control->pending_send_size, 0);
}

/* Many packets of all sizes through rings of all sizes, the guest writing and reading in its own
 * rhythm; nothing is lost, doubled or out of order, and nobody waits for ever. */
TEST(vmbus_host_echo, a_long_talk_loses_nothing)
{
        static uint8_t payload[2048];
        for (uint32_t sizes = 0; sizes < 6; sizes++) {
                uint32_t sent = 0, received = 0, want = 20000, idle = 0;
                start(t, 1, 2 + sizes % 3, 2 + sizes / 3);
                while (received < want && idle < 10) {
                        struct vmbus_incoming packet;
                        uint32_t before = received + sent;
                        for (uint32_t i = world_random_below(t, 20); i > 0 && sent < want; i--) {
                                struct vmbus_outgoing out = {
                                        .kind = VMBUS_SEND_IN_BAND_REQUEST,
                                        .payload_bytes = 8 + world_random_below(t, 1000),
                                        .transaction_id = sent};
                                memcpy(payload, &sent, sizeof(sent));
                                if (channel.sender.state == VMBUS_END_ASLEEP &&
                                    vmbus_sender_woken(&channel.sender) != VMBUS_OK)
                                        return;
                                enum vmbus_result result = bed_write(&channel, &out, payload);
                                if (result != VMBUS_OK)
                                        break;
                                sent++;
                        }
                        bed_commit(&the_bed, &channel);
                        for (uint32_t i = world_random_below(t, 20); i > 0; i--) {
                                uint32_t number;
                                if (bed_receive(&the_bed, &channel, &packet, payload,
                                                sizeof(payload)) != VMBUS_OK)
                                        break;
                                memcpy(&number, payload, sizeof(number));
                                REQUIRE_EQ(packet.transaction_id, received);
                                REQUIRE_EQ(number, received);
                                received++;
                        }
                        idle = received + sent == before ? idle + 1 : 0;
                }
                EXPECT_EQ(received, want);
                EXPECT_EQ(vmbus_host_faults_total(&the_bed.host), 0);
        }
}

/* ---- a guest that spoils its rings ---- */

TEST(vmbus_host_echo, a_corrupt_ring_ends_one_channel)
{
        for (uint32_t i = 0; i < 7; i++) {
                struct vmbus_incoming packet;
                struct vmbus_control_page *up, *down;
                uint64_t word = 0;
                start(t, 1, 2, 2);
                up = channel.sender.memory.control;
                down = channel.receiver.memory.control;
                bed_write(&channel,
                          &(struct vmbus_outgoing){.kind = VMBUS_SEND_IN_BAND_REQUEST}, "");
                uint64_t *descriptor = (void *)channel.sender.memory.data;
                switch (i) {
                case 0: *descriptor = VMBUS_WORD0(1, 2, 2, 0); break;
                case 1: *descriptor = VMBUS_WORD0(6, 3, 2, 0); break;
                case 2: *descriptor = VMBUS_WORD0(6, 2, 3, 0); break;
                case 3: *descriptor = VMBUS_WORD0(6, 2, 2, 2); break;
                case 4: down->out = 4096; break;
                case 5: down->out = 12; break;
                default: break;
                }
                if (i == 4 || i == 5) { /* seen when the host needs room */
                        for (uint32_t j = 0; j < 200; j++)
                                bed_packet(&the_bed, &channel, VMBUS_SEND_IN_BAND_REQUEST, 0, "",
                                           0);
                } else if (i == 6) {
                        up->in = 4097;
                        vmbus_host_event(&the_bed.host, BED_CHANNEL_BASE + 1);
                        bed_poll(&the_bed);
                } else {
                        bed_commit(&the_bed, &channel);
                }
                EXPECT_EQ(vmbus_host_faults(&the_bed.host, VMBUS_HOST_RING), 1);
                EXPECT_EQ(the_bed.host.channels[0].broken, VMBUS_HOST_RING);
                vmbus_host_event(&the_bed.host, BED_CHANNEL_BASE + 1);
                bed_poll(&the_bed);
                EXPECT_EQ(vmbus_host_faults_total(&the_bed.host), 1);
                /* Closed and opened again it is as good as new. */
                bed_send(&the_bed, MESSAGE(7, 0, 1));
                bed_send(&the_bed, MESSAGE(11, 0, 1, 0x101));
                bed_forget(&the_bed);
                REQUIRE_TRUE(bed_open(&the_bed, &channel, 1, 2, 2));
                bed_packet(&the_bed, &channel, VMBUS_SEND_IN_BAND_REQUEST, 3, &word, 8);
                EXPECT_EQ(bed_receive(&the_bed, &channel, &packet, &word, 8), VMBUS_OK);
        }
}

TEST(vmbus_host_echo, a_sleeping_host_notices_its_mask)
{
        start(t, 1, 2, 2);
        EXPECT_EQ(channel.sender.memory.control->interrupt_mask, 0);
        channel.sender.memory.control->interrupt_mask = 1;
        vmbus_host_event(&the_bed.host, BED_CHANNEL_BASE + 1);
        EXPECT_RULE(&the_bed, RING, bed_poll(&the_bed));
}

/* ---- lies ---- */

/* A packet that names one page. */
static void send_page(struct test *t, uint64_t id)
{
        const uint64_t page = BED_FIRST_PAGE + BED_PAGES - 1;
        const struct vmbus_gpa_range range = {8, 0, 1, &page};
        struct vmbus_gpa_list list;
        uint64_t words[2];
        struct vmbus_outgoing direct = {
                .kind = VMBUS_SEND_GPA_DIRECT, .transaction_id = id, .gpa = &list};
        vmbus_gpa_list_init(&list, words, ARRAY_COUNT(words));
        EXPECT_OK(vmbus_gpa_list_push(&list, &range));
        if (bed_write(&channel, &direct, "") == VMBUS_OK)
                bed_commit(&the_bed, &channel);
}

/* A short life under lies; the guest does what it always does and stops when it must. */
static uint64_t live(struct test *t, uint64_t seed, uint32_t rate, uint64_t lies)
{
        uint64_t word = 0;
        start(t, 1, 2, 2);
        vmbus_host_lie(&the_bed.host, seed, rate);
        vmbus_host_lie_only(&the_bed.host, lies);
        for (uint32_t i = 0; i < 60; i++) {
                struct vmbus_incoming packet;
                bed_send(&the_bed, MESSAGE(8, 0, 1, i, 16 | 1 << 16, 4096, 0, BED_FIRST_PAGE, 0));
                bed_send(&the_bed, MESSAGE(11, 0, 1, i));
                bed_send(&the_bed, MESSAGE(22, 0, 1, i));
                bed_forget(&the_bed);
                if (channel.sender.state == VMBUS_END_READY && the_bed.host.channels[0].running &&
                    the_bed.host.channels[0].broken == VMBUS_HOST_NONE) {
                        bed_packet(&the_bed, &channel, VMBUS_SEND_IN_BAND_REQUEST, i, &word, 8);
                        if (channel.sender.state == VMBUS_END_READY)
                                send_page(t, i);
                }
                while (bed_receive(&the_bed, &channel, &packet, &word, 8) == VMBUS_OK)
                        bed_hash(&the_bed, packet.transaction_id);
        }
        bed_connect(&the_bed, 0x60000, 0, false);
        for (uint32_t i = 0; i < 20; i++) {
                bed_send(&the_bed, MESSAGE(16, 0));
                bed_connect(&the_bed, 0x60000, 0, true);
        }
        return the_bed.transcript;
}

#define NETWORK_LIES                                                                         \
        (~(BIT_MASK(VMBUS_HOST_LIE_TRANSFER_SET) - 1))

TEST(vmbus_host_echo, each_lie_is_told)
{
        uint64_t honest = live(t, 1, 0, VMBUS_HOST_LIE_ALL);
        for (uint32_t lie = 0; lie < VMBUS_HOST_LIES; lie++) {
                if ((NETWORK_LIES >> lie & 1) != 0 || lie == VMBUS_HOST_LIE_PIPE_HEADER)
                        continue; /* vmbus_host_net_test; below */
                uint64_t transcript = live(t, 1, 4, BIT_MASK(lie));
                if (!EXPECT_GT(vmbus_host_lies_told(&the_bed.host, lie), 0))
                        test_log(t, "%s", vmbus_host_lie_name(lie));
                EXPECT_EQ(vmbus_host_lies_told_total(&the_bed.host),
                          vmbus_host_lies_told(&the_bed.host, lie));
                /* Seen by the guest, except where the lie is about bytes that it does not hash. */
                if (lie < VMBUS_HOST_LIE_RING_IN_RANGE)
                        EXPECT_NE(transcript, honest);
        }
}

TEST(vmbus_host_echo, lies_about_a_pipe_have_their_rules)
{
        uint8_t bytes[300] = {7};
        uint32_t types = 0, lengths = 0;
        for (uint32_t seed = 1; seed <= 20; seed++) {
                struct vmbus_pipe_buffer buffer = {.bytes = bytes, .capacity = sizeof(bytes)};
                struct vmbus_pipe_bytes message = {.bytes = bytes, .byte_count = sizeof(bytes)};
                enum vmbus_result result = VMBUS_OK;
                start(t, 2, 2, 2);
                vmbus_receiver_cancel_sleep(&channel.receiver);
                vmbus_host_lie(&the_bed.host, seed, 4);
                vmbus_host_lie_only(&the_bed.host, BIT_MASK(VMBUS_HOST_LIE_PIPE_HEADER));
                for (uint32_t n = 0; n < 60 && result == VMBUS_OK; n++) {
                        REQUIRE_EQ(vmbus_pipe_write_message(&channel.sender, &channel.to, &message),
                                   VMBUS_OK);
                        bed_commit(&the_bed, &channel);
                        result = vmbus_pipe_read_message(&channel.receiver, &channel.from, &buffer);
                        bool signal UNUSED =
                                vmbus_receiver_commit(&channel.receiver, &channel.from);
                }
                EXPECT_EQ(vmbus_host_lies_told(&the_bed.host, VMBUS_HOST_LIE_PIPE_HEADER), 1);
                types += result == VMBUS_BAD_PIPE_TYPE;
                lengths += result == VMBUS_BAD_PIPE_LENGTH;
        }
        EXPECT_GT(types, 0);
        EXPECT_GT(lengths, 0);
        EXPECT_EQ(types + lengths, 20);
}

TEST(vmbus_host_echo, lies_are_repeatable)
{
        uint64_t first = live(t, 7, 20, VMBUS_HOST_LIE_ALL);
        EXPECT_GT(vmbus_host_lies_told_total(&the_bed.host), 5);
        EXPECT_EQ(live(t, 7, 20, VMBUS_HOST_LIE_ALL), first);
        EXPECT_NE(live(t, 8, 20, VMBUS_HOST_LIE_ALL), first);
        EXPECT_EQ(live(t, 7, 0, VMBUS_HOST_LIE_ALL), live(t, 8, 0, VMBUS_HOST_LIE_ALL));
        EXPECT_EQ(vmbus_host_lies_told_total(&the_bed.host), 0);
}

TEST(vmbus_host_echo, no_seed_breaks_the_host)
{
        for (uint64_t seed = 0; seed < 300; seed++)
                live(t, seed, 3 + seed % 30, VMBUS_HOST_LIE_ALL);
        EXPECT_GT(the_bed.transcript, 0);
}

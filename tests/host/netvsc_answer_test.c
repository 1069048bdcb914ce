/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* netvsc_answer_test — what a card makes of answers that a host may give and ours does not: a
 * refused question, other limits, a section size of no use; and of a keepalive in the midst of a
 * question.
 *
 * The host answers as always, and its words are changed before the card has read them. Facts:
 * spec/vmbus.md, f.2 (sections), f.6 (RNDIS). */
#include "tests/host/netvsc_bed.h"

#define ANSWER_BYTES VMBUS_IN_BAND_BYTES(NVSP_MESSAGE_BYTES) /* a completion is as long */
#define RNDIS_STATUS_NOT_SUPPORTED 0xc00000bbu
#define FRAME_BYTES 100u

/* Places in RNDIS messages, in words and bytes. */
enum { AT_TYPE, AT_LENGTH, AT_ID, AT_OID, AT_STATUS = AT_OID, AT_COUNT, AT_INFORMATION = 6 };
#define SET_LSO_OFFSET (28 + 11) /* of the NDIS parameters: LSO version 2 of IPv4, then of IPv6 */
/* In the NDIS offload object: the most bytes of LSO version 2. */
enum { OFFER_LSO4 = AT_INFORMATION + 84 / 4, OFFER_LSO6 = AT_INFORMATION + 96 / 4 };

/* The rows below change at most two words of one answer. */
static struct {
        uint32_t oid;        /* of a query; or */
        uint32_t nvsp_type;  /* of the answer */
        struct {
                uint32_t at, value; /* at 0: nothing */
        } words[2];
        unsigned changed;    /* answers */
        uint8_t lso_told[2]; /* what the card has switched on */
} change;

/* Of an answer, which need not be aligned. */
static void change_words(uint8_t *answer)
{
        for (size_t i = 0; i < ARRAY_COUNT(change.words); i++)
                if (change.words[i].at != 0)
                        memcpy(answer + change.words[i].at * sizeof(uint32_t),
                               &change.words[i].value, sizeof(uint32_t));
        change.changed++;
}

/* The answer to request `id` in the receive buffer, which is the host's to write; NULL: not yet. */
static uint8_t *find_answer(uint32_t type, uint32_t id)
{
        for (uint32_t i = 0; i < bed.card.suballocation_count; i++) {
                uint8_t *place = (uint8_t *)(uintptr_t)bed.card.receive_va +
                                 bed.card.section_offset + i * bed.card.suballocation_bytes;
                uint32_t words[3];
                memcpy(words, place, sizeof(words));
                if (words[AT_TYPE] == (type | RNDIS_COMPLETE) && words[AT_ID] == id)
                        return place;
        }
        return NULL;
}

static const uint8_t *control_page(void)
{
        return bed.card.header_va + NETVSC_SEND_SLOTS * NETVSC_HEADER_BYTES;
}

/* In place of the host, which works inside: changes the answer to the query of change.oid. */
static bool change_rndis(void)
{
        uint32_t asked[4] = {0};
        if (bed.card.request_id != 0)
                memcpy(asked, control_page(), sizeof(asked));
        vmbus_host_rig_poll();
        if (asked[AT_TYPE] == RNDIS_SET && asked[AT_OID] == RNDIS_OID_TCP_OFFLOAD_PARAMETERS)
                memcpy(change.lso_told, control_page() + SET_LSO_OFFSET, sizeof(change.lso_told));
        if (asked[AT_TYPE] != RNDIS_QUERY || asked[AT_OID] != change.oid)
                return true;
        uint8_t *answer = find_answer(RNDIS_QUERY, bed.card.request_id);
        if (answer != NULL)
                change_words(answer);
        return true;
}

/* The same with the completion that carries an NVSP message of change.nvsp_type. */
static bool change_nvsp(void)
{
        vmbus_host_rig_poll();
        if (!bed.card.opened || change.changed != 0)
                return true;
        const struct vmbus_memory *memory = &bed.card.channel->receiver.memory;
        uint32_t in = memory->control->in, words[NVSP_MESSAGE_BYTES / sizeof(uint32_t)];
        if (in < ANSWER_BYTES)
                return true;
        in -= VMBUS_FOOTER_BYTES + NVSP_MESSAGE_BYTES;
        vmbus_memory_copy_in(memory, in, words, sizeof(words));
        if (words[0] != change.nvsp_type)
                return true;
        change_words((uint8_t *)words);
        vmbus_memory_copy_out(memory, in, words, sizeof(words));
        return true;
}

/* ---- the MTU ---- */

/* A host that does not say how long a frame may be, or says what is no MTU, leaves the one that it
 * was told of; and it is asked for the link all the same. */
TEST(netvsc, without_a_usable_answer_the_wanted_mtu_stays)
{
        enum { wanted = 2000, answered = 1800 };
        static const struct {
                uint32_t at, value, mtu;
        } rows[] = {
                {AT_INFORMATION, answered, answered},
                {AT_STATUS, RNDIS_STATUS_NOT_SUPPORTED, wanted},
                {AT_COUNT, sizeof(uint32_t) - 1, wanted},
                {AT_COUNT, 0, wanted},
                {AT_INFORMATION, NETDEV_MTU_MIN - 1, wanted},
                {AT_INFORMATION, NETDEV_MTU_MIN, NETDEV_MTU_MIN},
                {AT_INFORMATION, UINT32_MAX, wanted},
        };
        char *memory = world_pages(t, BED_PAGES, NULL);
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                REQUIRE_TRUE(bed_begin(t, memory, 0));
                memset(&change, 0, sizeof(change));
                change.oid = RNDIS_OID_GEN_MAXIMUM_FRAME_SIZE;
                change.words[0].at = AT_INFORMATION; /* a refusal, too, with a value behind it */
                change.words[0].value = answered;
                change.words[1].at = rows[i].at;
                change.words[1].value = rows[i].value;
                bed.card.wanted_mtu = wanted;
                bed.instead = change_rndis;
                vmbus_host_rig_link(false);
                REQUIRE_OK(vmbus_connect(&bed.vmbus));
                REQUIRE_OK(bed.offer_status);
                EXPECT_EQ(change.changed, 1u);
                if (!EXPECT_EQ(bed.card.netdev.mtu, rows[i].mtu))
                        test_log(t, "row %u", (unsigned)i);
                EXPECT_EQ(bed.card.netdev.capabilities.receive_part_bytes,
                          rows[i].mtu + NETDEV_HEADER_BYTES);
                EXPECT_FALSE(bed.card.netdev.link_up);
                EXPECT_TRUE(bed.card.netdev.running);
                EXPECT_EQ(bed.card.fault, NETVSC_FAULT_NONE);
                bed_end(t);
                EXPECT_EQ(vmbus_host_rig_faults(), 0);
        }
}

/* ---- large sends ---- */

#define LSO_LEAST (NETDEV_FRAME_BYTES_MAX / 2) /* a smaller limit is not worth it */
#define LSO_USUAL 0xf53cu

/* A frame of IPv6 of `bytes` that is to be cut is taken by netdev's own rule, or refused by it. */
static void expect_taken(struct test *t, uint32_t bytes, bool taken)
{
        struct netdev_frame frame = bed_make_frame(1, bytes, 1);
        uint8_t *at = bed.va + frame.buffer.buffer.parts[0].region.offset;
        const uint8_t ip[40] = {0x60, 0, 0, 0, (uint8_t)((bytes - 54) >> 8), (uint8_t)(bytes - 54),
                                6, 64, 0xfe, 0x80, [23] = 1, 0xfe, 0x80, [39] = 2};
        at[12] = 0x86;
        at[13] = 0xdd;
        memcpy(at + 14, ip, sizeof(ip));
        at[54 + 12] = 5 << 4; /* TCP: a header of five words */
        frame.offload.segmentation = NETDEV_SEGMENT_TSO6;
        frame.offload.segment_bytes = 1400;
        frame.offload.header_bytes = 74;
        frame.offload.checksum = true;
        frame.offload.checksum_start = 54;
        frame.offload.checksum_offset = 16;
        EXPECT_STATUS(taken ? ZX_OK : ZX_ERR_INVALID_ARGS, bed_send(&frame));
}

/* Each protocol has a limit of its own; the card's is the smaller one of those it uses. */
TEST(netvsc, the_limit_of_large_sends_is_that_of_each_protocol_in_use)
{
        static const struct {
                uint32_t ipv4, ipv6, limit;
                bool tso4, tso6;
        } rows[] = {
                {LSO_USUAL, LSO_USUAL, LSO_USUAL, true, true},
                {LSO_USUAL, 40000, 40000, true, true},
                {40000, LSO_USUAL, 40000, true, true},
                {LSO_USUAL, LSO_LEAST, LSO_LEAST, true, true},
                {LSO_USUAL, LSO_LEAST - 1, LSO_USUAL, true, false},
                {LSO_LEAST - 1, 40000, 40000, false, true},
                {0, LSO_USUAL, LSO_USUAL, false, true},
                {LSO_USUAL, 0, LSO_USUAL, true, false},
                {LSO_LEAST - 1, LSO_LEAST - 1, 0, false, false},
                {UINT32_MAX, UINT32_MAX, NETDEV_FRAME_BYTES_MAX, true, true},
        };
        enum { off = 1, on = 2 }; /* NDIS */
        char *memory = world_pages(t, BED_PAGES, NULL);
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                REQUIRE_TRUE(bed_begin(t, memory, 0));
                memset(&change, 0, sizeof(change));
                change.oid = RNDIS_OID_TCP_OFFLOAD_CAPABILITIES;
                change.words[0].at = OFFER_LSO4;
                change.words[0].value = rows[i].ipv4;
                change.words[1].at = OFFER_LSO6;
                change.words[1].value = rows[i].ipv6;
                bed.instead = change_rndis;
                REQUIRE_OK(vmbus_connect(&bed.vmbus));
                REQUIRE_OK(bed.offer_status);
                REQUIRE_TRUE(bed_attach(t));
                EXPECT_EQ(change.changed, 1u);
                const struct netdev_capabilities *can = &bed.card.netdev.capabilities;
                if (!EXPECT_EQ(can->segmented_bytes_max, rows[i].limit))
                        test_log(t, "row %u", (unsigned)i);
                EXPECT_EQ(netdev_can(can, NETDEV_CAN_TSO4_BIT), rows[i].tso4);
                EXPECT_EQ(netdev_can(can, NETDEV_CAN_TSO6_BIT), rows[i].tso6);
                EXPECT_EQ(change.lso_told[0], rows[i].tso4 ? on : off);
                EXPECT_EQ(change.lso_told[1], rows[i].tso6 ? on : off);
                bed.instead = NULL;
                if (rows[i].tso6 && rows[i].limit < LSO_USUAL) {
                        expect_taken(t, rows[i].limit, true);
                        expect_taken(t, rows[i].limit + 1, false);
                        EXPECT_TRUE(bed_until(&bed.done_ok, 1));
                }
                bed_end(t);
        }
}

/* ---- sections of the send buffer ---- */

/* A size that is no use, or a refusal, is no fault: frames go out of the client's pages. */
TEST(netvsc, a_section_size_of_no_use_is_done_without)
{
        enum { at_status = 1, at_size = 2 }; /* words of SendSendBufferComplete */
        static const struct {
                uint32_t at, value, size, sections;
        } rows[] = {
                {at_size, 6145, 0, 0},
                {at_size, 6146, 0, 0},
                {at_size, 6147, 0, 0},
                {at_size, 6148, 6148, NETVSC_SEND_BYTES / 6148},
                {at_size, 0, 0, 0},
                {at_size, NETVSC_SEND_BYTES, NETVSC_SEND_BYTES, 1},
                {at_size, NETVSC_SEND_BYTES + 4, 0, 0},
                {at_size, UINT32_MAX - 3, 0, 0},
                {at_size, 2048, 2048, NETVSC_SECTIONS_MAX}, /* more would fit */
                {at_status, 2, 0, 0},
        };
        char *memory = world_pages(t, BED_PAGES, NULL);
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                REQUIRE_TRUE(bed_begin(t, memory, 0));
                memset(&change, 0, sizeof(change));
                change.nvsp_type = NVSP_SEND_SEND_BUFFER_COMPLETE;
                change.words[0].at = rows[i].at;
                change.words[0].value = rows[i].value;
                bed.instead = change_nvsp;
                bed.card.copy_break = 2 * FRAME_BYTES;
                REQUIRE_OK(vmbus_connect(&bed.vmbus));
                REQUIRE_OK(bed.offer_status);
                REQUIRE_TRUE(bed_attach(t));
                EXPECT_EQ(change.changed, 1u);
                bed.instead = NULL;
                if (!EXPECT_EQ(bed.card.send_section_bytes, rows[i].size))
                        test_log(t, "row %u", (unsigned)i);
                EXPECT_EQ(__builtin_popcountll(bed.card.send_sections_free), rows[i].sections);
                EXPECT_EQ(bed.card.fault, NETVSC_FAULT_NONE);
                struct netdev_frame frame = bed_make_frame(1, FRAME_BYTES, 2);
                REQUIRE_OK(bed_send(&frame));
                REQUIRE_TRUE(bed_until(&bed.done_ok, 1));
                EXPECT_TRUE(bed_sent_right(1, FRAME_BYTES));
                EXPECT_EQ(bed.card.frames_by_section, rows[i].size != 0);
                bed_end(t);
                EXPECT_EQ(vmbus_host_rig_faults(), 0);
        }
}

/* ---- a keepalive in the midst of a question ---- */

static uint32_t id_of_request;
static bool note_id(void)
{
        if (id_of_request == 0)
                id_of_request = bed.card.request_id;
        return false; /* the host is asked, too */
}

/* The host says something: a change of the link that becomes a keepalive with that id. */
static void say_keepalive(struct test *t, uint32_t id)
{
        const uint32_t keepalive[3] = {RNDIS_KEEPALIVE, sizeof(keepalive), id};
        unsigned said = 0;
        memset((void *)(uintptr_t)bed.card.receive_va, 0, bed.card.receive_bytes);
        vmbus_host_rig_link(false);
        vmbus_host_rig_poll();
        for (uint32_t i = 0; i < bed.card.suballocation_count; i++) {
                uint8_t *place = (uint8_t *)(uintptr_t)bed.card.receive_va +
                                 bed.card.section_offset + i * bed.card.suballocation_bytes;
                uint32_t type;
                memcpy(&type, place, sizeof(type));
                if (type != RNDIS_INDICATE_STATUS)
                        continue;
                memcpy(place, keepalive, sizeof(keepalive));
                said++;
        }
        EXPECT_EQ(said, 1u);
}

/* It is read before the host has seen the question, which stands in the one control page: that is
 * not written over, and a keepalive is no answer, even with the id of the question. */
TEST(netvsc, a_keepalive_leaves_a_question_that_is_under_way_alone)
{
        const struct netdev_receive_mode mode = {.promiscuous = true};
        char *memory = world_pages(t, BED_PAGES, NULL);
        for (uint32_t same_id = 0; same_id < 2; same_id++) {
                uint32_t last[3];
                REQUIRE_TRUE(bed_begin(t, memory, 0));
                REQUIRE_OK(vmbus_connect(&bed.vmbus));
                REQUIRE_OK(bed.offer_status);
                REQUIRE_TRUE(bed_attach(t));
                (void)netdev_poll(&bed.card.netdev, 0, 64);
                memcpy(last, control_page(), sizeof(last));
                uint32_t id = same_id ? last[AT_ID] + 1 : 0x87654321;
                say_keepalive(t, id);
                id_of_request = 0;
                bed.instead = note_id;
                EXPECT_OK(netdev_set_receive_mode(&bed.card.netdev, &mode));
                EXPECT_EQ(id_of_request == id, same_id); /* the question was under way */
                EXPECT_EQ(vmbus_host_rig_filter(), 1 | 8 | 0x20);
                EXPECT_EQ(bed.card.fault, NETVSC_FAULT_NONE);
                EXPECT_TRUE(bed.card.netdev.link_up);
                EXPECT_TRUE(bed.card.netdev.running);
                vmbus_host_rig_link(true); /* with its cable out, nothing comes */
                bed.to_receive = 1;
                EXPECT_TRUE(bed_until(&bed.received, 1));
                bed_end(t);
                EXPECT_EQ(vmbus_host_rig_faults(), 0);
        }
}

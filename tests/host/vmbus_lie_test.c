/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_lie_test — each lie of the host in tests/peers/vmbus_host, and what the guest says to it.
 *
 * A guest with a card lives under one kind of lie at a time, over several seeds: it connects, sends
 * and receives tagged frames, moves its channel, sets filters. What it noted, and how its calls
 * ended, is held against the row of that lie: every word of the row was said at least once, and no
 * other word ever. A row without words is a lie that changes nothing a guest may rely on: frames
 * get through. Lies about pipes are in vmbus_host_echo_test, about shared pages in
 * vmbus_mailbox_lie_hosted_test. */
#include "tests/host/netvsc_bed.h"

#define SEEDS 48
#define LIFE_ROUNDS 60

/* What was noted, a bit for each rule of the connection, of the card, of RNDIS; and outcomes. */
struct words {
        uint32_t connection, card, rndis, outcomes; /* a bit each */
};
/* How calls ended. */
enum outcome { LATE, REFUSED, BROKEN, GONE, OTHER };

static void note(struct words *words, zx_status_t status)
{
        static const zx_status_t statuses[] = {[LATE] = ZX_ERR_TIMED_OUT,
                                               [REFUSED] = ZX_ERR_ACCESS_DENIED,
                                               [BROKEN] = ZX_ERR_IO_DATA_INTEGRITY,
                                               [GONE] = ZX_ERR_PEER_CLOSED};
        uint32_t i = 0;
        if (status == ZX_OK || status == ZX_ERR_SHOULD_WAIT)
                return;
        while (i < OTHER && statuses[i] != status)
                i++;
        words->outcomes |= 1u << i;
}

static void note_card(struct words *words)
{
        if (bed.card.fault != NETVSC_FAULT_NONE)
                words->card |= 1u << bed.card.fault;
        if (bed.card.rndis_fault != RNDIS_OK)
                words->rndis |= 1u << bed.card.rndis_fault;
}

/* A life of a card that is up. */
static void live(struct test *t, struct words *words)
{
        REQUIRE_TRUE(bed_attach(t));
        bed.receive_bytes = 200;
        bed.receive_tci = 5;
        struct netdev_frame frame = bed_make_frame(1, 300, 2);
        for (unsigned i = 0; i < LIFE_ROUNDS && bed.card.netdev.running; i++) {
                struct netdev_receive_mode mode = {.promiscuous = i % 2 == 0};
                bed.to_receive = 4;
                (void)!bed_send(&frame);
                bed_round();
                if (i % 16 == 7)
                        note(words, vmbus_modify(bed.card.channel, i % 2));
                if (i % 16 == 15 && bed.card.netdev.running)
                        note(words, netdev_set_receive_mode(&bed.card.netdev, &mode));
                note_card(words);
        }
}

static void end(struct test *t, struct words *words)
{
        note_card(words);
        note(words, vmbus_disconnect(&bed.vmbus));
        for (unsigned i = 0; i < VMBUS_FAULT_COUNT; i++)
                if (bed.vmbus.faults[i] != 0)
                        words->connection |= 1u << i;
        if (bed.card.channel == NULL)
                return;
        bed_detach(t);
        netvsc_fini(&bed.card);
}

/* What the guest says to that lie; how often it was told and how many frames came, added up. */
static struct words hear(struct test *t, char *memory, enum vmbus_host_lie lie, uint32_t *told,
                         uint64_t *received)
{
        struct words words = {0};
        for (uint32_t seed = 1; seed <= SEEDS; seed++) {
                uint32_t rate = 1 + seed / 2 % 12;
                if (!bed_begin(t, memory, 0))
                        break;
                if (seed % 2 == 0)
                        vmbus_host_rig_lie_only(seed, rate, lie);
                note(&words, vmbus_connect(&bed.vmbus));
                note(&words, bed.offer_status);
                if (bed.card.channel != NULL && bed.card.netdev.running) {
                        *told += vmbus_host_rig_lies_told(lie);
                        vmbus_host_rig_lie_only(seed, rate, lie);
                        live(t, &words);
                }
                end(t, &words);
                *told += vmbus_host_rig_lies_told(lie);
                *received += bed.received;
        }
        return words;
}

/* ---- the table ---- */

#define C(rule) (1u << VMBUS_FAULT_##rule)
#define N(rule) (1u << NETVSC_FAULT_##rule)
#define R(rule) (1u << RNDIS_##rule)
#define O(outcome) (1u << outcome)
/* What follows from another broken rule, in a connection that goes on for a while. */
#define AFTERWARDS (C(BROKEN) | C(EVENT_UNKNOWN) | C(NOT_AWAITED))
#define ANY UINT32_MAX

struct row {
        enum vmbus_host_lie lie;
        struct words must; /* each is said once at least */
        struct words may;  /* beside those, and beside outcomes where anything must be said */
};
#define ROW(lie_, ...) {.lie = VMBUS_HOST_LIE_##lie_, __VA_ARGS__}
#define CONNECTION(...) .must.connection = (__VA_ARGS__)
#define RNDIS(rule) .must = {.card = N(RNDIS), .rndis = R(rule)}

static const struct row rows[] = {
        ROW(MESSAGE_SHORT, CONNECTION(C(LENGTH) | C(HEADER))),
        ROW(MESSAGE_LONG),
        ROW(MESSAGE_TYPE, CONNECTION(C(TYPE))),
        ROW(MESSAGE_DIRECTION, CONNECTION(C(DIRECTION))),
        ROW(MESSAGE_CHANNEL, CONNECTION(C(ID_UNKNOWN) | C(ID_RANGE))),
        ROW(MESSAGE_ID, CONNECTION(C(NOT_AWAITED)), .must.outcomes = O(LATE)),
        ROW(MESSAGE_STATUS, CONNECTION(C(SUPPORTED)), .must.outcomes = O(REFUSED)),
        ROW(MESSAGE_BITS, CONNECTION(C(TYPE)), .may = {ANY, ANY, ANY, ANY}),
        ROW(MESSAGE_DROP, .must.outcomes = O(LATE)),
        ROW(MESSAGE_TWICE, CONNECTION(C(ID_LIVE) | C(OFFERS_END) | C(NOT_AWAITED))),
        ROW(MESSAGE_UNASKED, CONNECTION(C(NOT_AWAITED) | C(ID_RANGE) | C(OFFERS_END)),
            .may.connection = C(VERSION) | C(ID_LIVE) | C(SUPPORTED) | C(ID_UNKNOWN)),
        ROW(VERSION_FEATURES, CONNECTION(C(FEATURES))),
        ROW(OFFER_MONITOR),
        ROW(RESCIND, .must.outcomes = O(GONE), .may.connection = C(RESCIND_TWICE)),
        ROW(RESCIND_UNKNOWN, CONNECTION(C(ID_UNKNOWN)), .may.connection = C(VERSION)),
        ROW(SIGNAL_DROP),
        ROW(SIGNAL_SPURIOUS), /* nobody can tell it from one that comes late */
        ROW(SIGNAL_OTHER, CONNECTION(C(EVENT_UNKNOWN))),
        ROW(RING_IN_RANGE, .must.card = N(RING)),
        ROW(RING_IN_ALIGNMENT, .must.card = N(RING)),
        ROW(RING_IN_BACKWARDS, .must.card = N(RING)),
        ROW(RING_IN_AHEAD, .must.card = N(RING)),
        /* A host that does not say what it has read is signalled no
         * more; who waits for it is late. */
        ROW(RING_OUT_RANGE, .must.outcomes = O(LATE)),
        ROW(RING_OUT_ALIGNMENT, .must.outcomes = O(LATE)),
        ROW(RING_OUT_AHEAD, .must.outcomes = O(LATE)),
        ROW(RING_PENDING),
        ROW(RING_MASK, .must.card = N(RING)),
        ROW(PACKET_LENGTH, .must.card = N(RING)),
        ROW(PACKET_OFFSET, .must.card = N(RING)),
        ROW(PACKET_TYPE, .must.card = N(RING), .may.card = ANY),
        ROW(PACKET_FLAGS, .must.card = N(RING)),
        ROW(PACKET_FOOTER),
        ROW(PACKET_SCRIBBLE, .must.card = N(RING), .may = {ANY, ANY, ANY, ANY}),
        ROW(COMPLETION_UNKNOWN, .must.card = N(COMPLETION)),
        ROW(COMPLETION_TWICE, .must.card = N(COMPLETION)),
        ROW(COMPLETION_DROP, .must.outcomes = O(LATE)),
        ROW(TRANSFER_SET, .must.card = N(SET_ID)),
        ROW(TRANSFER_BOUNDS, .must.card = N(RING) | N(RANGE)),
        ROW(TRANSFER_COUNT, .must.card = N(RING)),
        ROW(TRANSFER_NONE, .must.card = N(RANGE)),
        ROW(TRANSFER_REUSE, .must.card = N(HELD)),
        ROW(TRANSFER_SCRIBBLE, .may = {.card = N(RNDIS) | N(RNDIS_TYPE), .rndis = ANY}),
        ROW(NVSP_TYPE, .must.card = N(ANSWER_TYPE)),
        ROW(NVSP_STATUS, .must.card = N(SECTIONS), .must.outcomes = O(OTHER)),
        ROW(NVSP_SECTIONS, .must.card = N(SECTIONS)),
        ROW(NVSP_SHORT, .must.card = N(MESSAGE_SHORT), .may.card = N(SECTIONS)),
        ROW(RNDIS_LENGTH, RNDIS(LENGTH_TOO_LARGE)),
        ROW(RNDIS_SHORT, RNDIS(LENGTH_TOO_SMALL)),
        ROW(RNDIS_TYPE, .must.card = N(RNDIS_TYPE)),
        ROW(RNDIS_DATA, RNDIS(DATA_OUTSIDE)),
        ROW(RNDIS_PPI, RNDIS(INFO_OUTSIDE)),
        ROW(RNDIS_PPI_SIZE, RNDIS(INFO_SIZE)),
        ROW(RNDIS_PPI_OFFSET, RNDIS(INFO_OFFSET)),
        ROW(RNDIS_OOB, RNDIS(OOB_DATA)),
        ROW(RNDIS_REQUEST, .must.outcomes = O(LATE)),
        ROW(RNDIS_INFORMATION, RNDIS(INFORMATION_OUTSIDE)),
        ROW(RNDIS_ANSWER, .must.outcomes = O(OTHER)), /* no address, no card */
        ROW(LINK),
};

/* Whether all that must be said was, and nothing that may not be. */
static bool said(uint32_t words, uint32_t must, uint32_t may)
{
        return (words & must) == must && (words & ~(must | may)) == 0;
}

static void hold_against(struct test *t, const struct row *row, const struct words *words)
{
        const struct words *must = &row->must, *may = &row->may;
        bool anything = (must->connection | must->card | must->rndis | must->outcomes) != 0;
        uint32_t outcomes = may->outcomes | (anything ? ANY : 0);
        uint32_t connection = may->connection | (must->connection != 0 ? AFTERWARDS : 0);
        if (!EXPECT_TRUE(said(words->connection, must->connection, connection)) ||
            !EXPECT_TRUE(said(words->card, must->card, may->card)) ||
            !EXPECT_TRUE(said(words->rndis, must->rndis, may->rndis)) ||
            !EXPECT_TRUE(said(words->outcomes, must->outcomes, outcomes)))
                test_log(t, "%s: connection 0x%x, card 0x%x, rndis 0x%x, outcomes 0x%x",
                         vmbus_host_lie_name(row->lie), (unsigned)words->connection,
                         (unsigned)words->card, (unsigned)words->rndis,
                         (unsigned)words->outcomes);
}

TEST(vmbus_lie, each_has_its_faults_and_no_others)
{
        char *memory = world_pages(t, BED_PAGES, NULL);
        uint64_t seen = BIT_MASK(VMBUS_HOST_LIE_PIPE_HEADER);
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                uint32_t told = 0;
                uint64_t received = 0;
                struct words words = hear(t, memory, rows[i].lie, &told, &received);
                hold_against(t, &rows[i], &words);
                if (!EXPECT_GT(told, 0u) || !EXPECT_GT(received, 0u))
                        test_log(t, "%s", vmbus_host_lie_name(rows[i].lie));
                seen |= BIT_MASK(rows[i].lie);
        }
        /* Each lie that this host tells has a row. */
        EXPECT_EQ(seen, BIT_MASK(VMBUS_HOST_LIE_MAILBOX_HEAD) - 1);
}

TEST(vmbus_lie, without_one_nothing_is_said)
{
        uint32_t told = 0;
        uint64_t received = 0;
        struct words words = hear(t, world_pages(t, BED_PAGES, NULL), VMBUS_HOST_LIE_PIPE_HEADER,
                                  &told, &received);
        EXPECT_EQ(told, 0u);
        EXPECT_EQ(words.connection | words.card | words.rndis | words.outcomes, 0u);
        EXPECT_GT(received, SEEDS * LIFE_ROUNDS * 2u);
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* A guest that answers: ARP and ICMP echo, in the memory in which the question came, without a
 * copy. On request only; somebody outside must ask (ping -f through a tap, a program at the other
 * end of a socket). It goes on until so many echoes were answered, a datagram for UDP's port 9
 * tells it to end, or the time is over. When its card is taken away it goes on with the next one
 * that comes, if it was told to. When the card wants its place announced, it sends a gratuitous ARP
 * request: who has our address, from our address.
 *
 * Peer        the network: a private copy of a frame's headers is judged, and only that is used
 * Facts       RFC 826 (ARP), 768 (UDP), 792 (ICMP), 1624 (a checksum after a change) */
#include "tests/expect.h"

#include <stdlib.h>
#include <string.h>

#include "base/shared.h"
#include "drivers/netdev/netdev.h"
#include "kernel/aspace.h"
#include "kernel/cmdline.h"
#include "kernel/cpu.h"
#include "kernel/time.h"
#include "tests/boot/net_frames.h"

static uint64_t wanted_echoes, seconds = 60, spin, cards = 1;
static bool steps, until_gone;
static char address[16] = "10.0.2.15";
CMDLINE_UINT(wanted_echoes, "net_answer.echoes", 0, UINT32_MAX,
             "net_answer.echo: echoes to answer before it ends; 0: as many as come");
CMDLINE_UINT(seconds, "net_answer.seconds", 1, 3600, "net_answer.echo: how long it waits for them");
CMDLINE_UINT(spin, "net_answer.spin", 0, 1, "net_answer.echo: poll all the time, never sleep");
CMDLINE_FLAG(steps, "net_answer.steps",
             "net_answer.echo: say what each step costs; with QEMU's -icount shift=0 a ns is an"
             " instruction");
CMDLINE_UINT(cards, "net_answer.cards", 1, 16,
             "net_answer.echo: goes on with the next card when one is taken away, up to so many");
CMDLINE_FLAG(
        until_gone, "net_answer.until-gone",
        "net_answer.echo: with its first question in hand, announces itself until the card is taken"
        " away, then answers: a send meets a card that is gone");
CMDLINE_STRING(address, "net_answer.ip", "net_answer.echo: the address that it answers for");

#define ANSWERS_MAX 256
#define ID_ANNOUNCEMENT ANSWERS_MAX /* the only frame of our own */
#define POLL_BUDGET 64
#define HEADERS_BYTES 42 /* Ethernet and ARP; Ethernet, IPv4 without options and ICMP or UDP */
#define END_PORT 9       /* "discard" */
#define ANNOUNCE_PAUSE_NS (10 * NS_PER_MS)
#define LET_GO_LIMIT_NS (3 * NS_PER_SECOND)
#define LET_GO_POLLS 64
#define TEST_LIMIT_MS 3700000

static struct {
        struct test *t;
        struct netdev *netdev;
        uint32_t ip;
        uint32_t part_ids[ANSWERS_MAX]; /* by the frame's id: whose memory it is in */
        uint32_t free[ANSWERS_MAX], free_count;
        struct netdev_frame pending[ANSWERS_MAX];
        uint32_t pending_count;
        uint64_t echoes, resolved, ignored, dropped, announced;
        bool told_to_end, to_announce, announcing, has_waited;
        struct vmo *vmo; /* the announcement's */
        uint32_t vmo_id;
        uint64_t poll_ns, answer_ns, send_ns; /* of rounds with frames, with `steps` */
        uint64_t rounds;                      /* such rounds */
} answer;

static uint64_t step_now(void)
{
        return steps ? time_ns() : 0;
}

/* Turns a question into its answer; false: it is none for us. `head` is a copy of the first
 * HEADERS_BYTES of a frame of `bytes`. */
static bool make_arp_answer(uint8_t *head)
{
        static const uint8_t request[] = {0, 1, 8, 0, NET_MAC_BYTES, 4, 0, NET_ARP_REQUEST};
        if (memcmp(head + 14, request, sizeof(request)) != 0 || net_get32(head + 38) != answer.ip)
                return false;
        head[21] = NET_ARP_REPLY;
        memcpy(head, head + 6, NET_MAC_BYTES);
        memcpy(head + 32, head + 22, 10); /* the asker's two addresses */
        memcpy(head + 6, answer.netdev->mac, NET_MAC_BYTES);
        memcpy(head + 22, answer.netdev->mac, NET_MAC_BYTES);
        memcpy(head + 28, head + 38, 4);
        for (int i = 0; i < 4; i++) /* ours, as it was asked for */
                head[28 + i] = (uint8_t)(answer.ip >> (24 - 8 * i));
        answer.resolved++;
        return true;
}

static bool make_echo_answer(uint8_t *head, uint64_t bytes)
{
        uint8_t swapped[NET_MAC_BYTES];
        uint32_t total = net_get16(head + 16);
        if (head[14] != 0x45 || (net_get16(head + 20) & 0x3fff) != 0 ||
            head[23] != NET_PROTOCOL_ICMP || net_get32(head + 30) != answer.ip || total < 28 ||
            total > bytes - 14 || head[34] != NET_ICMP_ECHO_REQUEST || head[35] != 0)
                return false;
        memcpy(swapped, head, NET_MAC_BYTES);
        memcpy(head, head + 6, NET_MAC_BYTES);
        memcpy(head + 6, swapped, NET_MAC_BYTES);
        memcpy(swapped, head + 26, 4); /* the sum over both addresses stays what it was */
        memcpy(head + 26, head + 30, 4);
        memcpy(head + 30, swapped, 4);
        head[34] = NET_ICMP_ECHO_REPLY;
        uint32_t sum = net_get16(head + 36) + (NET_ICMP_ECHO_REQUEST << 8);
        sum = (sum & 0xffff) + (sum >> 16);
        head[36] = (uint8_t)(sum >> 8);
        head[37] = (uint8_t)sum;
        answer.echoes++;
        return true;
}

static bool tells_to_end(const uint8_t *head)
{
        return net_get16(head + 12) == NET_ETHERTYPE_IPV4 && head[14] == 0x45 &&
               (net_get16(head + 20) & 0x3fff) == 0 && head[23] == NET_PROTOCOL_UDP &&
               net_get32(head + 30) == answer.ip && net_get16(head + 36) == END_PORT;
}

/* Puts the answer where the question is, and it up for sending; false: nothing was done. */
static bool answer_frame(const struct netdev_received *frame)
{
        const struct vmo_buffer *buffer = &frame->buffer.buffer;
        struct test *t = answer.t;
        uint8_t head[HEADERS_BYTES];
        uint8_t *va = buffer->part_count != 1 || buffer->length < HEADERS_BYTES ? NULL :
                              netdev_window(answer.netdev, buffer->parts[0].region);
        if (va == NULL)
                return false;
        shared_copy_in(head, va, sizeof(head));
        answer.told_to_end |= tells_to_end(head);
        if (answer.free_count == 0) {
                answer.dropped++;
                return false;
        }
        uint16_t type = net_get16(head + 12);
        if (!(type == NET_ETHERTYPE_ARP  ? make_arp_answer(head) :
              type == NET_ETHERTYPE_IPV4 ? make_echo_answer(head, buffer->length) :
                                           false))
                return false;
        shared_copy_out(va, head, sizeof(head));
        uint32_t id = answer.free[--answer.free_count];
        struct netdev_frame *out = &answer.pending[answer.pending_count++];
        struct tx_request request = {.id = id, .regions = &buffer->parts[0].region,
                                     .region_count = 1};
        memset(out, 0, sizeof(*out));
        out->head_bytes = frame->info.head_bytes;
        answer.part_ids[id] = buffer->parts[0].buffer_id;
        EXPECT_OK(vmo_store_make_tx_buffer(&answer.netdev->store, &request, false, &out->buffer));
        return true;
}

static void on_receive(UNUSED void *context, uint32_t queue, const struct netdev_received *frames,
                       uint32_t count)
{
        uint64_t start = step_now();
        for (uint32_t i = 0; i < count; i++)
                if (!answer_frame(&frames[i])) {
                        answer.ignored++;
                        netdev_release_frame(answer.netdev, queue, &frames[i]);
                }
        answer.answer_ns += step_now() - start;
}

static void on_transmit_done(UNUSED void *context, uint32_t queue, const uint32_t *ids,
                             uint32_t count, UNUSED zx_status_t status)
{
        uint32_t parts[NETDEV_BATCH_MAX], part_count = 0;
        for (uint32_t i = 0; i < count; i++) {
                if (ids[i] == ID_ANNOUNCEMENT) {
                        answer.announcing = false;
                        continue;
                }
                parts[part_count++] = answer.part_ids[ids[i]];
                answer.free[answer.free_count++] = ids[i];
        }
        if (part_count != 0)
                netdev_release(answer.netdev, queue, parts, part_count);
}

static void on_announce(UNUSED void *context)
{
        answer.to_announce = true;
}

/* Whether a transmit may end so: all went, or the rest waits for room. A card that may be taken
 * away goes in an interrupt, at any moment; the next round looks at it again. */
static bool transmit_ended_well(zx_status_t status)
{
        return status == ZX_OK || status == ZX_ERR_SHOULD_WAIT ||
               ((cards > 1 || until_gone) &&
                (status == ZX_ERR_BAD_STATE || status == ZX_ERR_PEER_CLOSED));
}

/* Every bridge on the way learns where we are now; every host that knows us looks again.
 * Returns how the transmit ended. */
static zx_status_t announce(void)
{
        struct test *t = answer.t;
        struct net_frame frame;
        struct netdev_frame out = {.head_bytes = 0};
        uint32_t accepted = 0;
        net_build_arp_request(&frame, answer.netdev->mac, answer.ip, answer.ip);
        struct vmo_region region = {(uint8_t)answer.vmo_id, 0, frame.bytes};
        struct tx_request request = {.id = ID_ANNOUNCEMENT, .regions = &region, .region_count = 1};
        EXPECT_OK(vmo_write(answer.vmo, frame.data, 0, frame.bytes));
        EXPECT_OK(vmo_store_make_tx_buffer(&answer.netdev->store, &request, false, &out.buffer));
        zx_status_t status = netdev_transmit(answer.netdev, 0, &out, 1, &accepted);
        EXPECT_TRUE(transmit_ended_well(status));
        answer.announcing = accepted != 0;
        answer.to_announce = accepted == 0;
        answer.announced += accepted;
        return status;
}

/* For somebody outside who takes the card away when he hears us: no poll looks at it between that
 * and the transmit of what we have to say. */
static void wait_until_the_card_goes(uint64_t deadline)
{
        zx_status_t status = ZX_OK;
        while ((status == ZX_OK || status == ZX_ERR_SHOULD_WAIT) && !time_passed(deadline)) {
                status = announce();
                time_wait_interrupt(time_deadline_after(ANNOUNCE_PAUSE_NS));
        }
        answer.has_waited = true;
        if (status == ZX_OK || status == ZX_ERR_SHOULD_WAIT)
                return; /* the time was over first */
        test_log(answer.t, "%s is gone with %u answers to send: %s", answer.netdev->name,
                 answer.pending_count, zx_status_name(status));
}

/* One round; whether there was something to do. */
static bool answer_some(uint64_t deadline)
{
        struct test *t = answer.t;
        uint64_t start = step_now();
        uint32_t accepted = 0, done = netdev_poll(answer.netdev, 0, POLL_BUDGET);
        if (answer.to_announce && !answer.announcing && answer.netdev->running)
                (void)announce();
        if (answer.pending_count == 0)
                return done != 0;
        if (until_gone && !answer.has_waited)
                wait_until_the_card_goes(deadline);
        uint64_t polled = step_now();
        zx_status_t status = netdev_transmit(answer.netdev, 0, answer.pending,
                                             answer.pending_count, &accepted);
        EXPECT_TRUE(transmit_ended_well(status));
        answer.pending_count -= accepted;
        memmove(answer.pending, answer.pending + accepted,
                answer.pending_count * sizeof(answer.pending[0]));
        answer.rounds++;
        answer.poll_ns += polled - start;
        answer.send_ns += step_now() - polled;
        return true;
}

/* Sums over all rounds with frames; a look at the clock is said apart:
 * two are in each step of a round. */
static void report_steps(struct test *t)
{
        if (!steps || answer.echoes == 0)
                return;
        uint64_t start = time_ns(), looks = 100;
        for (uint64_t i = 0; i < looks; i++)
                (void)time_ns();
        uint64_t look_ns = (time_ns() - start) / looks;
        test_log(t, "steps in ns: receive %llu, answer %llu, send %llu, clock %llu, rounds %llu",
                 (unsigned long long)(answer.poll_ns - answer.answer_ns),
                 (unsigned long long)answer.answer_ns, (unsigned long long)answer.send_ns,
                 (unsigned long long)look_ns, (unsigned long long)answer.rounds);
}

/* "A.B.C.D"; 0: it is none. */
static uint32_t parse_address(const char *text)
{
        uint32_t ip = 0;
        for (int i = 0; i < 4; i++) {
                char *end;
                unsigned long part = strtoul(text, &end, 10);
                if (end == text || part > 255 || *end != (i < 3 ? '.' : '\0'))
                        return 0;
                ip = ip << 8 | (uint32_t)part;
                text = end + 1;
        }
        return ip;
}

/* Takes a card that is there; false: there is none. */
static bool attach_card(struct test *t)
{
        static const struct netdev_client client = {.receive = on_receive,
                                                    .transmit_done = on_transmit_done,
                                                    .announce = on_announce};
        for (size_t i = 0; i < netdev_count(); i++) {
                if (netdev_at(i)->removed)
                        continue;
                answer.netdev = netdev_at(i);
                answer.pending_count = answer.free_count = 0;
                answer.announcing = answer.to_announce = false;
                for (uint32_t id = 0; id < ANSWERS_MAX; id++)
                        answer.free[answer.free_count++] = id;
                return EXPECT_OK(netdev_register_vmo(answer.netdev, answer.vmo, &answer.vmo_id)) &&
                       EXPECT_OK(netdev_attach(answer.netdev, &client));
        }
        return false;
}

/* The card was taken away: lets go of it and waits for another one; false: none came. */
static bool next_card(struct test *t, uint64_t deadline)
{
        test_log(t, "%s is gone after %llu echoes", answer.netdev->name,
                 (unsigned long long)answer.echoes);
        for (uint32_t i = 0; i < answer.pending_count; i++) /* was never handed over */
                netdev_release(answer.netdev, 0,
                               &answer.part_ids[answer.pending[i].buffer.id], 1);
        answer.pending_count = 0;
        for (unsigned i = 0; i < LET_GO_POLLS && netdev_transmit_in_flight(answer.netdev) != 0; i++)
                (void)netdev_poll(answer.netdev, 0, POLL_BUDGET); /* they come back unsent */
        EXPECT_OK(netdev_detach(answer.netdev));
        while (!attach_card(t)) {
                if (time_passed(deadline))
                        return false;
                (void)cpu_serve(); /* offers are taken there */
                time_wait_interrupt(time_deadline_after(NS_PER_MS));
        }
        test_log(t, "answering on %s", answer.netdev->name);
        return true;
}

static const char *open_card(struct test *t)
{
        memset(&answer, 0, sizeof(answer));
        answer.t = t;
        answer.ip = parse_address(address);
        if (answer.ip == 0)
                return "net_answer.ip is no address such as 10.0.2.15";
        if (netdev_count() == 0)
                return "this machine has no network card";
        if (!EXPECT_OK(vmo_create(aspace_vmo_pool(), PAGE_BYTES, 0, &answer.vmo)))
                return "no memory";
        if (attach_card(t))
                return NULL;
        vmo_put(answer.vmo);
        return "this machine's network cards are gone";
}

TEST_WITH(net_answer, echo, TEST_ON_REQUEST, TEST_LIMIT_MS)
{
        const char *why = open_card(t);
        if (why != NULL)
                SKIP(why);
        uint64_t deadline = time_deadline_after(seconds * NS_PER_SECOND), used = 1;
        test_log(t, "answering at %s", address);
        while ((wanted_echoes == 0 || answer.echoes < wanted_echoes) && !answer.told_to_end &&
               !time_passed(deadline)) {
                if (answer.netdev->removed && (used++ == cards || !next_card(t, deadline)))
                        break;
                if (answer.netdev->running && answer_some(deadline))
                        continue;
                if (spin == 0)
                        netdev_wait(answer.netdev, 0, deadline);
                else
                        (void)cpu_serve(); /* as netdev_wait() does: the card may be taken away */
        }
        deadline = time_deadline_after(LET_GO_LIMIT_NS);
        while ((answer.pending_count != 0 || netdev_transmit_in_flight(answer.netdev) != 0) &&
               answer.netdev->running && !time_passed(deadline))
                if (!answer_some(deadline))
                        netdev_wait(answer.netdev, 0, deadline);
        test_log(t,
                 "answered %llu echoes, %llu requests for the address; %llu others; "
                 "announced %llu times",
                 (unsigned long long)answer.echoes, (unsigned long long)answer.resolved,
                 (unsigned long long)answer.ignored, (unsigned long long)answer.announced);
        test_log(t, "%s: link %s, %llu link changes", answer.netdev->name,
                 answer.netdev->link_up ? "up" : "down",
                 (unsigned long long)netdev_counters(answer.netdev)->link_changes);
        report_steps(t);
        EXPECT_GE(answer.echoes, wanted_echoes == 0 ? 1 : wanted_echoes);
        EXPECT_EQ(answer.dropped, 0);
        EXPECT_EQ(netdev_counters(answer.netdev)->faults, 0);
        EXPECT_OK(netdev_detach(answer.netdev));
        vmo_put(answer.vmo);
}

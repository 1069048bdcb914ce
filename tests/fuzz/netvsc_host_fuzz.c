/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* A hostile host behind a network card's channel, all of it: the input is a list of steps. A step
 * is something that the card's user does (frames out, settings, restart), what an honest host does,
 * or what a hostile one says or writes: NVSP messages, completions, transfer pages with RNDIS
 * messages behind them, any packet, any word of a control page, any byte of the receive buffer; at
 * once, or while the card waits for an answer, during its bring-up, too.
 *
 * What must hold: no access outside, no assertion, no wait without an end. A frame that is handed
 * up lies in the receive buffer, and no byte of it is handed up again before it was given back.
 * Each frame that was taken for sending comes back once. In the end every page is there. */
#include "tests/fuzz/vmbus_fuzz.h"
#include "tests/host/netvsc_bed.h"

#define STEPS_MAX 200u
#define ROUNDS_MAX 4u
#define IDS_KEPT 8u
#define FRAMES_MAX 4096u
#define RANGES_MAX 6u
#define WORDS_MAX 24u

static struct {
        const uint8_t *at, *end;
        bool in_hook, hostile_waits; /* hostile_waits: also while somebody waits for an answer */
        uint64_t ids[IDS_KEPT];      /* on the wire, of the last requests */
        uint32_t question;           /* the NVSP message that waits for an answer */
        uint32_t id_count, frame_count;
        bool under_way[FRAMES_MAX];
} input;

/* What the client holds, in the order in which it came. */
static struct {
        uint32_t id;
        uint64_t offset, end;
} held[BED_HELD_MAX];
static uint8_t memory[BED_PAGES * 4096] ALIGNED(4096);

void netdev_wake(struct netdev *netdev, uint32_t queue_bits)
{
        (void)netdev;
        (void)queue_bits;
}

static uint8_t take(void)
{
        return input.at == input.end ? 0 : *input.at++;
}

/* Mostly a small number. */
static uint32_t take_word(void)
{
        uint8_t kind = take();
        uint32_t word = take();
        if (kind < 0xd0)
                return word;
        word |= (uint32_t)take() << 8;
        return kind < 0xe8 ? word : word | (uint32_t)take() << 16 | (uint32_t)take() << 24;
}

/* ---- the client ---- */

static void receive(void *context, uint32_t queue, const struct netdev_received *frames,
                    uint32_t count)
{
        struct test *t = NULL;
        for (uint32_t i = 0; i < count; i++) {
                const struct vmo_buffer *buffer = &frames[i].buffer.buffer;
                const struct vmo_region region = buffer->parts[0].region;
                uint64_t end = region.offset + region.length;
                EXPECT_EQ(buffer->part_count, 1);
                EXPECT_EQ(buffer->length, region.length);
                EXPECT_LE(end, bed.card.receive_bytes);
                EXPECT_TRUE(region.offset < end);
                EXPECT_TRUE(netdev_window(&bed.card.netdev, region) != NULL);
                for (uint32_t k = 0; k < bed.held_count; k++)
                        EXPECT_TRUE(end <= held[k].offset || region.offset >= held[k].end);
                EXPECT_LE(bed.held_count + 1, BED_HELD_MAX);
                held[bed.held_count].id = buffer->parts[0].buffer_id;
                held[bed.held_count].offset = region.offset;
                held[bed.held_count++].end = end;
                bed.received++;
        }
}

static void release(uint32_t count)
{
        for (; count != 0 && bed.held_count != 0; count--)
                netdev_release(&bed.card.netdev, 0, &held[--bed.held_count].id, 1);
}

static void done(void *context, uint32_t queue, const uint32_t *ids, uint32_t count,
                 zx_status_t status)
{
        struct test *t = NULL;
        for (uint32_t i = 0; i < count; i++) {
                EXPECT_TRUE(ids[i] < FRAMES_MAX && input.under_way[ids[i]]);
                input.under_way[ids[i]] = false;
        }
}

static void attach(void)
{
        struct test *t = NULL;
        EXPECT_TRUE(bed_attach(NULL));
        bed.card.netdev.client.receive = receive;
        bed.card.netdev.client.transmit_done = done;
}

/* ---- what the host says ---- */

static bool is_open(void)
{
        return bed.card.channel != NULL && bed.card.opened &&
               vmbus_channel_state(bed.card.channel) == VMBUS_CHANNEL_OPEN;
}

/* Puts a packet into the ring as it stands; nothing where the ring's own words are broken or it is
 * full. flips: bits of the first word that are turned over. */
static void put(const struct vmbus_outgoing *packet, const void *payload, uint64_t flips)
{
        const struct vmbus_memory *ring = &bed.card.channel->receiver.memory;
        struct vmbus_sender sender;
        struct vmbus_send_position position;
        struct vmbus_range range;
        uint64_t word0;
        uint32_t mask = ring->control->interrupt_mask;
        vmbus_sender_init(&sender, ring);
        if (vmbus_sender_position(&sender, &position) != VMBUS_OK ||
            vmbus_sender_write(&sender, &position, packet, &range) != VMBUS_OK)
                return;
        vmbus_memory_copy_out(ring, range.offset, payload, range.bytes);
        word0 = vmbus_memory_load_u64(ring, position.committed_in) ^ flips;
        vmbus_memory_store_u64(ring, position.committed_in, word0);
        if (vmbus_sender_commit(&sender, &position) || mask == 0)
                bed.up.event(bed.up.context, bed.card.channel->offer.channel_id);
}

static uint64_t take_id(void)
{
        uint8_t which = take();
        return which < IDS_KEPT ? input.ids[which] : take_word();
}

static void take_words(uint32_t words[WORDS_MAX], uint32_t count)
{
        for (uint32_t i = 0; i < count; i++)
                words[i] = take_word();
}

/* An NVSP message, asked for (a completion) or not. */
static void say_message(bool completion)
{
        static const uint32_t types[] = {2, 102, 105, 108, 107, 128, 135, 1};
        uint32_t words[WORDS_MAX], kind = take(), count = take() % (NVSP_MESSAGE_BYTES / 4 + 2);
        take_words(words, count);
        if (kind < 0x80 && count != 0)
                words[0] = types[kind % ARRAY_COUNT(types)];
        const struct vmbus_outgoing packet = {
                .kind = completion          ? VMBUS_SEND_COMPLETION
                      : (kind & 0x40) != 0 ? VMBUS_SEND_IN_BAND_REQUEST
                                           : VMBUS_SEND_IN_BAND,
                .payload_bytes = count * 4,
                .transaction_id = completion ? take_id() : 5};
        put(&packet, words, 0);
}

/* A good answer to the question that the card asks in its bring-up, but perhaps for one word. */
static void answer_but_one(void)
{
        static const uint32_t answers[][8] = {
                {NVSP_INIT, NVSP_INIT_COMPLETE, NVSP_VERSION_6_1, 8, NVSP_STATUS_SUCCESS},
                {NVSP_SEND_RECEIVE_BUFFER, NVSP_SEND_RECEIVE_BUFFER_COMPLETE, NVSP_STATUS_SUCCESS,
                 1, 0, 1728, 256, 256 * 1728},
                {NVSP_SEND_SEND_BUFFER, NVSP_SEND_SEND_BUFFER_COMPLETE, NVSP_STATUS_SUCCESS, 6144}};
        uint32_t words[NVSP_MESSAGE_BYTES / 4] = {0}, at = take() % 7;
        for (uint32_t i = 0; i < ARRAY_COUNT(answers); i++)
                if (answers[i][0] == input.question)
                        memcpy(words, &answers[i][1], 7 * sizeof(words[0]));
        if ((take() & 3) != 0)
                words[at] = take_word();
        const struct vmbus_outgoing packet = {.kind = VMBUS_SEND_COMPLETION,
                                              .payload_bytes = sizeof(words),
                                              .transaction_id = input.ids[0]};
        put(&packet, words, 0);
}

/* An RNDIS message in `words`; its bytes. */
static uint32_t make_rndis(uint32_t words[WORDS_MAX], uint8_t kind)
{
        static const uint32_t types[] = {RNDIS_INITIALIZE | RNDIS_COMPLETE,
                                         RNDIS_QUERY | RNDIS_COMPLETE,
                                         RNDIS_SET | RNDIS_COMPLETE,
                                         RNDIS_KEEPALIVE | RNDIS_COMPLETE,
                                         RNDIS_INDICATE_STATUS,
                                         RNDIS_KEEPALIVE};
        uint32_t count = WORDS_MAX - take() % 13, flips = take();
        take_words(words, count);
        if (kind < 0x60) { /* a frame, perhaps with an element in front */
                uint32_t info = kind % 3 * RNDIS_INFO_BYTES;
                const uint32_t packet[11] = {RNDIS_PACKET, count * 4, 36 + info,
                                             count * 4 - 44 - info, 0, 0, 0,
                                             info != 0 ? 36 : 0, info, 0, 0};
                memcpy(words, packet, sizeof(packet));
                for (uint32_t i = 0; i < info / 4; i += 4) {
                        words[11 + i] = RNDIS_INFO_BYTES;
                        words[13 + i] = 12;
                }
        } else if (kind < 0xc0) { /* an answer, or news */
                words[0] = types[kind % ARRAY_COUNT(types)];
                words[1] = count * 4;
                words[2] = bed.card.request_id;
                if ((kind & 8) != 0)
                        words[3] = RNDIS_STATUS_SUCCESS;
                if (words[0] == (RNDIS_QUERY | RNDIS_COMPLETE) && (kind & 16) != 0) {
                        words[4] = (count - 6) * 4;
                        words[5] = 16;
                }
        }
        if (flips != 0 && flips < count)
                words[flips] = take_word();
        return count * 4;
}

/* Transfer pages; what the ranges name is written before, as a host does, or is what was there. */
static void say_transfer(void)
{
        struct vmbus_transfer_range ranges[RANGES_MAX];
        uint32_t words[WORDS_MAX], oddities = take(), count = take() % (RANGES_MAX + 1);
        uint32_t size = bed.card.suballocation_bytes != 0 ? bed.card.suballocation_bytes : 1;
        uint8_t kind = take();
        for (uint32_t i = 0; i < count; i++) {
                uint32_t place = take_word();
                ranges[i].byte_offset =
                        (oddities & 1) != 0 ? place : bed.card.section_offset + place * size;
                ranges[i].byte_count = make_rndis(words, kind);
                if (ranges[i].byte_offset < bed.card.receive_bytes &&
                    ranges[i].byte_count <= bed.card.receive_bytes - ranges[i].byte_offset)
                        memcpy((uint8_t *)(uintptr_t)bed.card.receive_va + ranges[i].byte_offset,
                               words, ranges[i].byte_count);
                if ((oddities & 2) != 0)
                        ranges[i].byte_count = take_word();
        }
        /* One after the other: which of the values in an initializer
         * is made first, is left open. */
        uint32_t type = (oddities & 4) != 0 ? take() : NVSP_SEND_RNDIS_PACKET;
        uint32_t channel = kind >= 0x60 ? NVSP_CHANNEL_CONTROL : NVSP_CHANNEL_DATA;
        if ((oddities & 8) != 0)
                channel = take();
        uint32_t bytes = (oddities & 16) != 0 ? take() % NVSP_MESSAGE_BYTES : NVSP_MESSAGE_BYTES;
        uint32_t set_id = (oddities & 32) != 0 ? take_word() : NVSP_RECEIVE_BUFFER_ID;
        uint64_t id = take();
        const struct nvsp_message message = {.type = type, .rndis = {channel, NVSP_NO_SECTION, 0}};
        const struct vmbus_outgoing packet = {.kind = VMBUS_SEND_TRANSFER_PAGES,
                                              .payload_bytes = bytes,
                                              .transaction_id = id,
                                              .transfer = ranges,
                                              .transfer_count = count,
                                              .transfer_page_set_id = (uint16_t)set_id};
        put(&packet, &message, (oddities & 64) != 0 ? 1ull << take() % 64 : 0);
}

/* A packet of any sort. */
static void say_packet(void)
{
        uint32_t words[WORDS_MAX];
        take_words(words, WORDS_MAX);
        const struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND,
                                              .payload_bytes = sizeof(words),
                                              .transaction_id = take_id()};
        uint64_t flips = take_word();
        put(&packet, words, flips << take() % 64);
}

static void scribble(void)
{
        struct vmbus_channel *channel = bed.card.channel;
        uint32_t what = take();
        if (what < 0x40) {
                uint32_t *words = (uint32_t *)(void *)((what & 1) != 0
                                                               ? channel->receiver.memory.control
                                                               : channel->sender.memory.control);
                words[(what >> 1) % 4] = take_word();
        } else if (what < 0x80) {
                const struct vmbus_memory *ring = &channel->receiver.memory;
                uint32_t index = (ring->control->out + what % 0x40 * 8) % ring->data_bytes & ~7u;
                uint64_t value = take_word();
                vmbus_memory_store_u64(ring, index, value << take() % 64);
        } else if (bed.card.receive_bytes != 0) {
                uint32_t at = bed.card.section_offset + take_word() * (uint32_t)sizeof(uint32_t);
                ((uint8_t *)(uintptr_t)bed.card.receive_va)[at % bed.card.receive_bytes] = take();
        }
}

static void say(uint8_t what)
{
        if (!is_open())
                return;
        switch (what % 8) {
        case 0: say_message(false); break;
        case 1: say_message(true); break;
        case 2: answer_but_one(); break;
        case 3:
        case 4:
        case 5: say_transfer(); break;
        case 6: say_packet(); break;
        default: scribble(); break;
        }
}

/* Notes the id of the packet that the card has sent last, if it began at `start`. */
static void note_id(uint32_t start)
{
        const struct vmbus_channel *channel = bed.card.channel;
        const struct vmbus_memory *ring = &channel->sender.memory;
        if (!is_open() || start == channel->send_position.committed_in)
                return;
        memmove(&input.ids[1], &input.ids[0], sizeof(input.ids) - sizeof(input.ids[0]));
        input.ids[0] = vmbus_memory_load_u64(
                ring, vmbus_memory_advance(ring, start, VMBUS_WORD_BYTES));
}

/* The packet that the card has sent last, if it is an NVSP question. */
static void note_question(void)
{
        const struct vmbus_memory *ring = &bed.card.channel->sender.memory;
        uint32_t end = bed.card.channel->send_position.committed_in;
        uint32_t bytes = (uint32_t)VMBUS_IN_BAND_BYTES(NVSP_MESSAGE_BYTES);
        if (end < bytes)
                return;
        note_id(end - bytes);
        input.question =
                (uint32_t)vmbus_memory_load_u64(ring, end - bytes + VMBUS_DESCRIPTOR_BYTES);
}

/* In place of the host, while the card waits for an answer: true: the host stays silent. */
static bool instead(void)
{
        bool asked = (bed.card.call.waiting && !bed.card.call.done) ||
                     (bed.card.request_id != 0 && !bed.card.control_done);
        if (input.in_hook || !input.hostile_waits || input.at == input.end || !asked || !is_open())
                return false;
        uint8_t what = take();
        if (what < 0x80)
                return false;
        input.in_hook = true;
        note_question();
        say(what);
        input.in_hook = false;
        return true;
}

/* ---- what the user does ---- */

static void send_frame(void)
{
        uint32_t bytes = NETDEV_HEADER_BYTES + take_word() % 3000, parts = 1 + take() % 4;
        uint8_t offload = take();
        if (!bed.attached || input.frame_count == FRAMES_MAX)
                return;
        uint32_t id = input.frame_count++, start = bed.card.channel->send_position.committed_in;
        struct netdev_frame frame = bed_make_frame(id, bytes, parts);
        frame.offload.vlan = (offload & 1) != 0;
        frame.offload.vlan_tci = take();
        if ((offload & 2) != 0 && bytes >= 100) {
                bool six = (offload & 4) != 0, udp = (offload & 8) != 0;
                frame.offload.checksum = true;
                frame.offload.checksum_start = six ? 54 : 34;
                frame.offload.checksum_offset = udp ? 6 : 16;
        }
        input.under_way[id] = bed_send(&frame) == ZX_OK;
        note_id(start);
}

static void set_something(void)
{
        uint8_t what = take();
        struct netdev_receive_mode mode = {.promiscuous = (what & 1) != 0,
                                           .all_multicast = (what & 2) != 0,
                                           .multicast_count = what >> 3 & 7};
        (void)!netdev_set_receive_mode(&bed.card.netdev, &mode);
}

static void poll_all(void)
{
        for (unsigned i = 0; i < ROUNDS_MAX; i++) {
                vmbus_serve(&bed.vmbus);
                if (bed.attached && bed.card.netdev.running)
                        (void)netdev_poll(&bed.card.netdev, 0, 64);
        }
}

static void step(void)
{
        uint8_t what = take();
        bool alive = bed.attached && bed.rescinds == 0;
        if (what >= 0x60) {
                if (alive)
                        say(what);
                return;
        }
        switch (what % 12) {
        case 0:
        case 1:
        case 2: poll_all(); break;
        case 3:
        case 4:
                if (alive && bed.card.netdev.running)
                        send_frame();
                break;
        case 5: release(1 + take() % 8); break;
        case 6:
                if (alive)
                        set_something();
                break;
        case 7:
                if (alive && (take() & 1) != 0)
                        (void)!netdev_restart(&bed.card.netdev);
                break;
        case 8: vmbus_host_rig_poll(); break;
        case 9: bed.to_receive += take() % 8; break;
        case 10: input.hostile_waits = (take() & 1) != 0; break;
        default:
                if (take() < 0x20)
                        vmbus_host_rig_rescind();
                else
                        vmbus_host_rig_link((take() & 1) != 0);
                break;
        }
}

static void finish(void)
{
        struct test *t = NULL;
        bed.instead = NULL;
        (void)!vmbus_disconnect(&bed.vmbus);
        EXPECT_EQ(vmbus_state(&bed.vmbus), VMBUS_STATE_IDLE);
        if (bed.card.channel != NULL) {
                EXPECT_FALSE(bed.card.opened);
                EXPECT_EQ(netdev_transmit_in_flight(&bed.card.netdev), 0);
                for (uint32_t i = 0; i < input.frame_count; i++)
                        EXPECT_FALSE(input.under_way[i]);
                release(UINT32_MAX);
                EXPECT_EQ(netdev_receive_held(&bed.card.netdev), 0);
                EXPECT_TRUE(vmo_store_valid(&bed.card.netdev.store));
                bed_detach(NULL);
                netvsc_fini(&bed.card);
        }
        EXPECT_EQ(bed.vmbus.leaked_pages, 0);
        EXPECT_EQ(pmm_count_free_pages(&bed.pmm), bed.free_pages);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
        static const uint32_t versions[] = {0, NVSP_VERSION_5, NVSP_VERSION_4, NVSP_VERSION_1};
        memset(&input, 0, sizeof(input));
        input.at = data;
        input.end = data + bytes;
        uint8_t first = take();
        if (!bed_begin(NULL, (char *)memory, versions[first & 3]))
                abort();
        bed.card.copy_break = (first & 4) != 0 ? 200 : 0;
        bed.instead = instead;
        input.hostile_waits = (first & 8) != 0;
        if (vmbus_connect(&bed.vmbus) == ZX_OK && bed.card.channel != NULL &&
            bed.card.netdev.running)
                attach();
        for (unsigned i = 0; i < STEPS_MAX && input.at != input.end; i++)
                step();
        finish();
        return 0;
}

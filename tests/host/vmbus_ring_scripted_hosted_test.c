/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_scripted_hosted_test — a ring whose words change between two loads.
 *
 * The pages of the ring are taken away; each access faults, is noted, and is let through as a
 * single step of the processor, after which the pages are gone again. So a test sees every load
 * and store that the compiled code makes, and a hook may change any word before or after each.
 * With it two things are checked for every function that reads what a peer can write: no word of a
 * header and no index is loaded twice in one call, and when every word is overwritten right after
 * its first load nothing in the result changes. */
#define _GNU_SOURCE
#include "tests/boot/vmbus_ring_rig.h"
#include "tests/expect.h"
#include "tests/host/watched_memory.h"

#if defined(__x86_64__)

#define PAGES 3u /* control page, two pages of data */
#define RING_PAGES_BYTES (PAGES * PAGE_BYTES)
#define UNITS (PAGES * 1024u) /* of 4 bytes, the smallest that is loaded */

static struct {
        uint8_t *pages;
        bool changes;          /* overwrite what was loaded right after its first load */
        uint32_t unit;         /* of the access that is being let through */
        uint64_t before;       /* what the word that holds it was */
        uint32_t loads[UNITS]; /* accesses that changed nothing */
} script;

static uint64_t word_of(uint32_t unit)
{
        uint64_t word;
        memcpy(&word, script.pages + unit / 2 * 8, 8);
        return word;
}

static void before_access(size_t offset)
{
        script.unit = (uint32_t)(offset / 4);
        script.before = word_of(script.unit);
}

/* A word of the control page is 4 bytes, of the data 8. */
static void invert(uint32_t unit)
{
        bool control = unit < 1024;
        uint8_t *bytes = script.pages + (control ? unit * 4 : unit / 2 * 8);
        for (uint32_t i = 0; i < (control ? 4 : 8); i++)
                bytes[i] = (uint8_t)~bytes[i];
}

static void after_access(void)
{
        if (word_of(script.unit) != script.before)
                return;
        script.loads[script.unit]++; /* a load; no test stores what is there */
        if (script.changes)
                invert(script.unit);
}

/* From here on every access is noted, until unwatch(). */
static void arm(void)
{
        memset(script.loads, 0, sizeof(script.loads));
        watch();
}

/* A ring of two pages under the script, its indices at `index`. */
static bool open_scripted(struct test *t, struct rig *rig, uint32_t index)
{
        script.pages = world_pages(t, PAGES, NULL);
        watched_open(script.pages, RING_PAGES_BYTES, before_access, after_access);
        return EXPECT_OK(vmbus_memory_init_flat(&rig->memory, script.pages,
                                                script.pages + PAGE_BYTES, 2 * PAGE_BYTES)) &&
               attach_at(t, rig, index);
}

/* The most loads of any of the units first .. first + count - 1. */
static uint32_t most_loads(uint32_t first, uint32_t count)
{
        uint32_t most = 0;
        for (uint32_t i = first; i < first + count; i++)
                if (script.loads[i] > most)
                        most = script.loads[i];
        return most;
}

/* One packet of each kind, of which the receiver reads one at a time. */
static bool put_kinds(struct test *t, struct rig *rig)
{
        static uint64_t words[16];
        static const uint64_t pages[2] = {3, 4};
        static const struct vmbus_transfer_range ranges[2] = {{8, 16}, {24, 32}};
        struct vmbus_gpa_list list;
        struct vmbus_gpa_range range = {4097, 9, 2, pages};
        struct vmbus_range payload;
        vmbus_gpa_list_init(&list, words, 16);
        if (!EXPECT_OK(vmbus_gpa_list_push(&list, &range)))
                return false;
        for (enum vmbus_outgoing_kind kind = VMBUS_SEND_IN_BAND; kind <= VMBUS_SEND_TRANSFER_PAGES;
             kind++) {
                const struct vmbus_outgoing packet = {.kind = kind,
                                                      .payload_bytes = 24,
                                                      .transaction_id = 77,
                                                      .gpa = &list,
                                                      .transfer = ranges,
                                                      .transfer_count = 2,
                                                      .transfer_page_set_id = 5};
                if (!EXPECT_EQ(vmbus_sender_write(&rig->sender, &rig->to, &packet, &payload),
                               VMBUS_OK))
                        return false;
                struct vmbus_writer writer = vmbus_sender_writer(&rig->sender, &payload);
                if (!EXPECT_EQ(vmbus_writer_fill(&writer, 0x5a, 24), VMBUS_OK))
                        return false;
        }
        commit(rig);
        return true;
}

/* What is read of a packet: its numbers and its decoded ranges. */
struct seen {
        enum vmbus_result result, ranges;
        struct vmbus_incoming packet;
        struct vmbus_transfer_range transfer[4];
        uint64_t words[4];
        uint32_t count;
};

static void see_packet(struct rig *rig, struct seen *seen)
{
        struct vmbus_transfer_list transfer = {seen->transfer, 4, 0, 1000};
        struct vmbus_gpa_list list = {seen->words, 4, 0, 0};
        memset(seen, 0, sizeof(*seen));
        seen->result = get(rig, &seen->packet);
        if (seen->result != VMBUS_OK)
                return;
        if (seen->packet.type == VMBUS_PACKET_TRANSFER_PAGES) {
                seen->ranges =
                        vmbus_receiver_transfer_ranges(&rig->receiver, &seen->packet, &transfer);
                seen->count = transfer.count;
        }
        if (seen->packet.type == VMBUS_PACKET_GPA_DIRECT) {
                seen->ranges = vmbus_receiver_gpa_ranges(&rig->receiver, &seen->packet, &list);
                seen->count = list.word_count;
        }
}

/* The headers: each word loaded once, so they are the same. The ranges are copied by the C
 * library's memcpy, which may load a byte twice where its pieces overlap; so they may have
 * changed, but what was checked is what is handed out. */
static bool expect_same(struct test *t, const struct rig *rig, const struct seen *restless,
                        const struct seen *quiet)
{
        bool external = quiet->packet.range_count != 0;
        uint32_t end = external ? quiet->packet.ranges.offset : quiet->packet.payload.offset;
        for (uint32_t back = external ? 24 : 16; back != 0; back -= 8) {
                uint32_t index = (end + rig->memory.data_bytes - back) % rig->memory.data_bytes;
                EXPECT_EQ(most_loads(1024 + index / 4, 2), 1u);
        }
        EXPECT_LE(script.loads[0], 1u);
        bool same = EXPECT_BYTES_EQ(&restless->packet, &quiet->packet, sizeof(quiet->packet)) &&
                    EXPECT_EQ(restless->result, quiet->result);
        for (uint32_t i = 0;
             quiet->packet.type == VMBUS_PACKET_TRANSFER_PAGES && i < restless->count; i++)
                same &= EXPECT_LE((uint64_t)restless->transfer[i].byte_offset +
                                          restless->transfer[i].byte_count,
                                  1000u);
        return same && EXPECT_TRUE(restless->ranges == VMBUS_OK ||
                                   restless->ranges == VMBUS_BAD_TRANSFER_RANGE ||
                                   restless->ranges == VMBUS_BAD_GPA_OFFSET);
}

/* Reads the five packets twice: from quiet memory, and from memory in which each word is inverted
 * behind the back of whoever has loaded it. */
static void read_restless(struct test *t, uint32_t index, enum read_way way)
{
        struct seen quiet[5], restless;
        struct vmbus_receive_position before[5];
        struct rig rig;
        REQUIRE_TRUE(open_scripted(t, &rig, index));
        REQUIRE_TRUE(put_kinds(t, &rig));
        rig.way = way;
        for (uint32_t i = 0; i < 5; i++) {
                before[i] = rig.from;
                see_packet(&rig, &quiet[i]);
                REQUIRE_EQ(quiet[i].result, VMBUS_OK);
                REQUIRE_EQ(quiet[i].ranges, VMBUS_OK);
        }
        EXPECT_EQ(quiet[3].count, 3);
        EXPECT_EQ(quiet[4].count, 2);
        for (uint32_t i = 0; i < 5; i++) {
                rig.from = before[i];
                rig.receiver.state = VMBUS_END_READY; /* if a range was found broken */
                script.changes = true;
                arm();
                see_packet(&rig, &restless);
                unwatch();
                script.changes = false;
                EXPECT_GE(watched.accesses, 2u);
                if (!expect_same(t, &rig, &restless, &quiet[i]))
                        test_log(t, "packet %u of a ring at %u, way %u", i, index, way);
        }
        watched_close();
}

TEST(vmbus_ring, no_word_of_a_packet_is_looked_at_twice)
{
        for (uint32_t index = 0; index < 2 * PAGE_BYTES; index += 4088) {
                read_restless(t, index, READ_INLINE);
                read_restless(t, index, READ_CALL);
        }
}

/* The words of the control page, in units. */
enum { IN = 0, OUT = 1, MASK = 2, PENDING = 3, FEATURES = 16 };

static void expect_loads(struct test *t, const char *what, const uint32_t loads[4])
{
        for (uint32_t i = 0; i < 4; i++)
                if (!EXPECT_EQ(script.loads[i], loads[i]))
                        test_log(t, "%s, word %u of the control page", what, i);
        for (uint32_t i = 4; i < 1024; i++)
                EXPECT_EQ(script.loads[i], 0u);
}

#define SCRIPTED(what, ...)                                                                        \
        do {                                                                                       \
                arm();                                                                             \
                what;                                                                              \
                unwatch();                                                                         \
                expect_loads(t, #what, (const uint32_t[4]){__VA_ARGS__});                          \
        } while (0)

static void load_indices(struct test *t, enum read_way way)
{
        volatile enum vmbus_result result;
        volatile bool signal;
        struct vmbus_incoming packet;
        struct rig rig;
        REQUIRE_TRUE(open_scripted(t, &rig, 64));
        rig.way = way;
        /* Only at the start is our own index loaded. in, out, mask, pending: */
        SCRIPTED(result = vmbus_sender_position(&rig.sender, &rig.to), 1, 1, 0, 0);
        SCRIPTED(result = vmbus_receiver_position(&rig.receiver, &rig.from), 1, 1, 0, 0);
        SCRIPTED(result = vmbus_sender_can_write(&rig.sender, &rig.to, 100), 0, 0, 0, 0);
        SCRIPTED(result = put_total(&rig, 8184), 0, 0, 0, 0);
        EXPECT_EQ(result, VMBUS_OK);
        SCRIPTED(result = vmbus_sender_can_write(&rig.sender, &rig.to, 100), 0, 1, 0, 0);
        rig.memory.control->interrupt_mask = 0;
        SCRIPTED(signal = commit(&rig), 0, 1, 1, 0);
        EXPECT_TRUE(signal);
        rig.memory.control->interrupt_mask = 1;
        SCRIPTED(result = vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, 100, 0), 0, 1, 0, 0);
        EXPECT_EQ(result, VMBUS_FULL);
        SCRIPTED(result = get(&rig, &packet), 1, 0, 0, 0);
        EXPECT_EQ(result, VMBUS_OK);
        /* pending_send_size: once to see whether to look,
         * and behind the fence the look that counts. */
        SCRIPTED(signal = give_back(&rig), 1, 0, 0, 2);
        EXPECT_TRUE(signal);
        SCRIPTED(result = vmbus_sender_woken(&rig.sender), 0, 0, 0, 0);
        REQUIRE_EQ(put_total(&rig, 24), VMBUS_OK);
        signal = commit(&rig);
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        SCRIPTED(signal = give_back(&rig), 0, 0, 0, 1);
        SCRIPTED(result = receiver_sleeps(&rig), 1, 0, 0, 1);
        EXPECT_EQ(result, VMBUS_EMPTY);
        SCRIPTED(result = vmbus_receiver_check_sleep(&rig.receiver), 0, 0, 1, 0);
        SCRIPTED(result = vmbus_receiver_woken(&rig.receiver), 0, 0, 1, 0);
        EXPECT_EQ(result, VMBUS_OK);
        /* Nobody waits: one plain look a commit.
         * A commit with nothing to give back settles, once. */
        REQUIRE_EQ(put_total(&rig, 24), VMBUS_OK);
        signal = commit(&rig);
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        SCRIPTED(signal = give_back(&rig), 0, 0, 0, 1);
        SCRIPTED(signal = give_back(&rig), 0, 0, 0, 1);
        SCRIPTED(signal = give_back(&rig), 0, 0, 0, 0);
        /* Half a ring may go unsettled, and no more. */
        for (uint32_t i = 0; i < 2; i++) {
                REQUIRE_EQ(put_total(&rig, 2048 + 8 * i), VMBUS_OK);
                signal = commit(&rig);
                REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
                SCRIPTED(signal = give_back(&rig), 0, 0, 0, 1 + i);
        }
        (void)signal;
        (void)result;
        watched_close();
}

TEST(vmbus_ring, every_index_is_loaded_once_and_never_our_own)
{
        load_indices(t, READ_INLINE);
        load_indices(t, READ_CALL);
}

TEST(vmbus_ring, inspection_and_pipes_look_once_too)
{
        const struct vmbus_pipe_bytes message = {"0123456789", 10};
        struct vmbus_pipe_reader reader = {0};
        struct vmbus_control_view view;
        struct vmbus_text text;
        char bytes[10], lines[400];
        struct vmbus_pipe_buffer buffer = {bytes, 10, 0};
        volatile bool signal;
        bool pipe_signal;
        enum vmbus_result result;
        struct rig rig;
        REQUIRE_TRUE(open_scripted(t, &rig, 8184));
        REQUIRE_EQ(vmbus_pipe_write_message(&rig.sender, &rig.to, &message), VMBUS_OK);
        signal = commit(&rig);
        (void)signal;
        arm();
        vmbus_inspect_control(rig.memory.control, 8192, &view);
        unwatch();
        EXPECT_EQ(most_loads(0, UNITS), 1u);
        EXPECT_EQ(view.used_bytes, 48);
        vmbus_text_init(&text, lines, sizeof(lines));
        arm();
        vmbus_print_packets(&text, &rig.memory, 1);
        unwatch();
        EXPECT_EQ(script.loads[1024 + 2046], 1u); /* the two words of the descriptor */
        EXPECT_EQ(script.loads[1024 + 0], 1u);
        script.changes = true;
        arm();
        result = vmbus_pipe_read(&rig.receiver, &rig.from, &reader, &buffer, &pipe_signal);
        unwatch();
        script.changes = false;
        EXPECT_EQ(script.loads[1024 + 2], 1u); /* the pipe header */
        REQUIRE_EQ(result, VMBUS_OK);
        EXPECT_EQ(buffer.byte_count, 10);
        watched_close();
}

#endif

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Both ends of a virtqueue over memory that is watched: each access to the rings is trapped and let
 * through alone, so that loads are counted by what they look at, and a word can be inverted right
 * behind the load of it. Whoever looks twice is counted, and sees something else the second time.
 *
 * A word is what one load takes: half a descriptor (8 bytes), half a used element or a packed event
 * word (4), an index, a flag, an entry of the avail ring, an event index (2).
 *
 * Needs what tests/host/watched_memory.h needs. */
#define _GNU_SOURCE
#include "base/bytes.h"
#include "tests/expect.h"
#include "tests/host/watched_memory.h"
#include "virtqueue/virtqueue_device.h"
#include "virtqueue/virtqueue_driver.h"

#if defined(__x86_64__)

#define PAGES 4u
#define BYTES (PAGES * PAGE_BYTES)
#define UNIT_BYTES 2u
#define UNITS (BYTES / UNIT_BYTES)

#define RING_DEV 0x5500000000ull
#define DATA_DEV 0x6600000000ull
#define DRIVER_AREA PAGE_BYTES
#define DEVICE_AREA (2 * PAGE_BYTES)
#define TABLES (3 * PAGE_BYTES)
#define INDEX_OFFSET 2u /* of avail.idx and used.idx in their areas */

#define SIZE 16u
#define CHAINS 5u
#define PIECES_MAX 4u

/* ---- the script ---- */

static struct {
        uint8_t *pages;
        bool packed;
        bool changes;          /* invert what was loaded, right after its first load */
        uint32_t word;         /* offset of the word of the access that is being let through */
        uint64_t before;       /* what it was */
        uint32_t loads[UNITS]; /* of the word that begins there: accesses that changed nothing */
} script;

static uint32_t word_bytes(uint32_t offset)
{
        if (offset < DRIVER_AREA || offset >= TABLES)
                return 8;
        if (script.packed || offset >= DEVICE_AREA + 4)
                return 4;
        return 2;
}

static uint64_t read_word(uint32_t offset)
{
        uint64_t value = 0;
        memcpy(&value, script.pages + offset, word_bytes(offset));
        return value;
}

static void before_access(size_t offset)
{
        script.word = (uint32_t)round_down(offset, word_bytes((uint32_t)offset));
        script.before = read_word(script.word);
}

static void after_access(void)
{
        if (read_word(script.word) != script.before)
                return;
        script.loads[script.word / UNIT_BYTES]++; /* a load; nobody stores what is there */
        for (uint32_t i = 0; script.changes && i < word_bytes(script.word); i++)
                script.pages[script.word + i] = (uint8_t)~script.pages[script.word + i];
}

/* From here on every access is noted, until unwatch(). */
static void arm(bool changes)
{
        memset(script.loads, 0, sizeof(script.loads));
        script.changes = changes;
        watch();
}

static uint32_t loads_at(uint32_t offset)
{
        return script.loads[offset / UNIT_BYTES];
}

/* How many words were loaded, and that none was twice. */
static uint32_t loaded_words(struct test *t)
{
        uint32_t count = 0;
        for (uint32_t i = 0; i < UNITS; i++) {
                count += script.loads[i] != 0;
                if (!EXPECT_LE(script.loads[i], 1u))
                        test_log(t, "the word at 0x%x was loaded %u times", i * UNIT_BYTES,
                                 script.loads[i]);
        }
        return count;
}

/* ---- both ends ---- */

struct shape {
        const char *name;
        bool packed, event_index, indirect, in_order;
};

static const struct shape shapes[] = {
        {"split", false, false, false, false},
        {"split, event index, tables", false, true, true, false},
        {"split, event index, in order", false, true, false, true},
        {"packed", true, false, false, false},
        {"packed, event index, tables", true, true, true, false},
        {"packed, event index, in order", true, true, false, true},
};

static struct bed {
        struct virtqueue_driver driver;
        struct virtqueue_device device;
        struct virtqueue_slot slots[SIZE];
        struct virtqueue_device_slot device_slots[SIZE];
        struct virtqueue_device_region region;
        struct virtqueue_device_regions table;
} bed, kept_bed;
static uint8_t kept_pages[BYTES];

/* Everything as it was, and back: both ends can do the same again. */
static void keep(void)
{
        kept_bed = bed;
        memcpy(kept_pages, script.pages, BYTES);
}

static void go_back(void)
{
        bed = kept_bed;
        memcpy(script.pages, kept_pages, BYTES);
}

static struct virtqueue_area area(uint32_t offset)
{
        return (struct virtqueue_area){.va = script.pages + offset, .dev = RING_DEV + offset};
}

/* Memory in which no store stores what is there already. */
static void soil(bool packed)
{
        if (packed)
                return; /* descriptors of zeros: no lap's */
        memset(script.pages, 0xa5, DRIVER_AREA);
        memset(script.pages + DRIVER_AREA + 4, 0xa5, 2 * SIZE);
        memset(script.pages + DEVICE_AREA + 4, 0xa5, 8 * SIZE);
}

static bool open_bed(struct test *t, const struct shape *shape)
{
        memset(&bed, 0, sizeof(bed));
        script.pages = world_pages(t, PAGES, NULL);
        script.packed = shape->packed;
        watched_open(script.pages, BYTES, before_access, after_access);
        bed.region = (struct virtqueue_device_region){RING_DEV, BYTES, script.pages};
        bed.table = (struct virtqueue_device_regions){&bed.region, 1};
        struct virtqueue_driver_config driver = {
                .size = SIZE,
                .packed = shape->packed,
                .event_index = shape->event_index,
                .in_order = shape->in_order,
                .indirect_entries = shape->indirect ? PIECES_MAX : 0,
                .descriptors = area(0),
                .avail = area(DRIVER_AREA),
                .used = area(DEVICE_AREA),
                .tables = area(TABLES),
                .slots = bed.slots,
        };
        struct virtqueue_device_config device = {
                .size = SIZE,
                .packed = shape->packed,
                .event_index = shape->event_index,
                .in_order = shape->in_order,
                .indirect = shape->indirect,
                .descriptors_dev = RING_DEV,
                .driver_dev = RING_DEV + DRIVER_AREA,
                .device_dev = RING_DEV + DEVICE_AREA,
                .memory = {virtqueue_device_regions_translate, &bed.table},
                .slots = bed.device_slots,
        };
        if (!EXPECT_OK(virtqueue_driver_init(&bed.driver, &driver)))
                return false;
        soil(shape->packed);
        return EXPECT_OK(virtqueue_device_init(&bed.device, &device));
}

static void close_bed(void)
{
        watched_close();
}

/* Chains of one piece to read, of one to write, of both kinds, of none to read, of one again; then
 * some of the same kind in a row, before one of another. */
static const struct counts {
        uint32_t readable[CHAINS], writable[CHAINS];
} all_counts[] = {
        {{1, 0, 2, 0, 1}, {0, 1, 1, 3, 0}},
        {{2, 4, 3, 1, 0}, {0, 0, 0, 3, 1}},
        {{0, 0, 0, 2, 3}, {2, 4, 3, 0, 1}},
};
static const struct counts *counts = &all_counts[0];

static zx_status_t give_chains(void)
{
        static struct virtqueue_element elements[CHAINS][PIECES_MAX];
        struct virtqueue_chain chains[CHAINS];
        uint32_t added;
        for (uint32_t i = 0; i < CHAINS; i++) {
                for (uint32_t k = 0; k < PIECES_MAX; k++)
                        elements[i][k] = (struct virtqueue_element){
                                DATA_DEV + (i * PIECES_MAX + k) * 256, 10 + i * PIECES_MAX + k};
                chains[i] = (struct virtqueue_chain){elements[i], counts->readable[i],
                                                     counts->writable[i], &elements[i]};
        }
        return virtqueue_driver_add_batch(&bed.driver, chains, CHAINS, &added);
}

/* What a device has popped. */
struct popped {
        struct virtqueue_request requests[CHAINS];
        struct virtqueue_element pieces[CHAINS * PIECES_MAX];
        zx_status_t status;
        uint32_t count;
};

static void pop_chains(struct popped *popped, bool batch)
{
        memset(popped, 0, sizeof(*popped));
        if (batch) {
                struct virtqueue_request_batch room = {.requests = popped->requests,
                                                       .elements = popped->pieces,
                                                       .requests_max = CHAINS,
                                                       .elements_max = CHAINS * PIECES_MAX};
                popped->status = virtqueue_device_pop_batch(&bed.device, &room);
                popped->count = room.count;
                return;
        }
        for (; popped->count < CHAINS && popped->status == ZX_OK; popped->count++) {
                struct virtqueue_request *request = &popped->requests[popped->count];
                request->elements = &popped->pieces[popped->count * PIECES_MAX];
                request->elements_max = PIECES_MAX;
                popped->status = virtqueue_device_pop(&bed.device, request);
        }
}

static bool expect_same_chains(struct test *t, const struct popped *quiet,
                               const struct popped *restless)
{
        bool same = EXPECT_EQ(restless->status, quiet->status) &&
                    EXPECT_EQ(restless->count, quiet->count) &&
                    EXPECT_BYTES_EQ(restless->pieces, quiet->pieces, sizeof(quiet->pieces));
        for (uint32_t i = 0; same && i < quiet->count; i++)
                same = EXPECT_EQ(restless->requests[i].counts, quiet->requests[i].counts) &&
                       EXPECT_EQ(restless->requests[i].bytes, quiet->requests[i].bytes) &&
                       EXPECT_EQ(restless->requests[i].place, quiet->requests[i].place);
        return same;
}

/* The words of the chains: two of each descriptor, in the ring or in a table; of split chains the
 * entries and the index. */
static uint32_t words_of_chains(const struct shape *shape)
{
        uint32_t words = shape->packed ? 0 : 1 + CHAINS;
        for (uint32_t i = 0; i < CHAINS; i++) {
                uint32_t pieces = counts->readable[i] + counts->writable[i];
                words += 2 * pieces + (shape->indirect && pieces > 1 ? 2 : 0);
        }
        return words;
}

/* ---- the tests ---- */

static void look_at_pops(struct test *t, const struct shape *shape, bool batch)
{
        static struct popped quiet, restless;
        REQUIRE_TRUE(open_bed(t, shape));
        REQUIRE_OK(give_chains());
        virtqueue_driver_publish(&bed.driver);
        keep();
        pop_chains(&quiet, batch);
        REQUIRE_OK(quiet.status);
        REQUIRE_EQ(quiet.count, CHAINS);
        go_back();
        arm(true);
        pop_chains(&restless, batch);
        unwatch();
        (void)expect_same_chains(t, &quiet, &restless);
        /* A copy out of a table may take both words of a descriptor in one load. */
        uint32_t words = loaded_words(t), expected = words_of_chains(shape);
        EXPECT_LE(words, expected);
        if (!shape->indirect)
                EXPECT_EQ(words, expected);
        EXPECT_TRUE(virtqueue_device_valid(&bed.device));
        close_bed();
}

TEST(virtqueue_scripted, a_device_looks_at_each_word_of_a_chain_once)
{
        size_t each = 2 * ARRAY_COUNT(shapes);
        for (size_t k = 0; k < each * ARRAY_COUNT(all_counts) && !test_has_failed(t); k++) {
                size_t i = k % each;
                counts = &all_counts[k / each];
                look_at_pops(t, &shapes[i / 2], i % 2);
                counts = &all_counts[0];
                if (test_has_failed(t))
                        test_log(t, "%s, %s", shapes[i / 2].name, i % 2 ? "batch" : "one by one");
        }
}

/* Gives all chains back: those with a writable part as far as they were written. */
static void give_back(const struct popped *popped)
{
        struct virtqueue_used_element used[CHAINS];
        for (uint32_t i = 0; i < popped->count; i++)
                used[i] = (struct virtqueue_used_element){popped->requests[i].id,
                                                          popped->requests[i].writable_bytes};
        virtqueue_device_push_batch(&bed.device, used, popped->count);
        virtqueue_device_publish(&bed.device);
}

struct taken {
        struct virtqueue_completion done[CHAINS];
        zx_status_t status;
        uint32_t count;
};

static void take_chains(struct taken *taken)
{
        memset(taken, 0, sizeof(*taken));
        taken->status = virtqueue_driver_get(&bed.driver, taken->done, CHAINS, &taken->count);
}

static void look_at_gets(struct test *t, const struct shape *shape)
{
        static struct popped popped;
        static struct taken quiet, restless;
        REQUIRE_TRUE(open_bed(t, shape));
        REQUIRE_OK(give_chains());
        virtqueue_driver_publish(&bed.driver);
        pop_chains(&popped, true);
        REQUIRE_EQ(popped.count, CHAINS);
        give_back(&popped);
        keep();
        take_chains(&quiet);
        REQUIRE_OK(quiet.status);
        REQUIRE_EQ(quiet.count, CHAINS);
        go_back();
        arm(true);
        take_chains(&restless);
        unwatch();
        EXPECT_BYTES_EQ(&restless, &quiet, sizeof(quiet));
        uint32_t words = loaded_words(t);
        EXPECT_GE(words, 2u);
        EXPECT_LE(words, shape->packed ? CHAINS : 1 + 2 * CHAINS);
        EXPECT_TRUE(virtqueue_driver_valid(&bed.driver));
        close_bed();
}

TEST(virtqueue_scripted, a_driver_looks_at_each_word_of_a_used_entry_once)
{
        for (size_t i = 0; i < ARRAY_COUNT(shapes) && !test_has_failed(t); i++) {
                look_at_gets(t, &shapes[i]);
                if (test_has_failed(t))
                        test_log(t, "%s", shapes[i].name);
        }
}

#define WATCHED(what)              \
        do {                       \
                arm(false);        \
                what;              \
                unwatch();         \
        } while (0)

/* What an end has written it remembers: it loads none of it.
 * What it asks of the other, it asks once. */
static void look_at_the_rest(struct test *t, const struct shape *shape)
{
        static struct popped popped;
        uint32_t wish_of_device = DEVICE_AREA, wish_of_driver = DRIVER_AREA;
        volatile zx_status_t status;
        volatile bool answer;
        if (!shape->packed && shape->event_index) {
                wish_of_device += 4 + 8 * SIZE;
                wish_of_driver += 4 + 2 * SIZE;
        }
        REQUIRE_TRUE(open_bed(t, shape));
        WATCHED(answer = virtqueue_device_ask(&bed.device));
        EXPECT_FALSE(answer);
        EXPECT_EQ(loads_at(shape->packed ? 8 : DRIVER_AREA + INDEX_OFFSET), 1);
        WATCHED(status = give_chains());
        EXPECT_OK(status);
        EXPECT_EQ(loaded_words(t), 0);
        EXPECT_GE(watched.accesses, 2 * CHAINS);
        WATCHED(virtqueue_driver_publish(&bed.driver));
        EXPECT_EQ(loaded_words(t), 0);
        EXPECT_EQ(watched.accesses, 1);
        WATCHED(answer = virtqueue_driver_kick_needed(&bed.driver));
        EXPECT_TRUE(answer);
        EXPECT_EQ(loaded_words(t), 1);
        EXPECT_EQ(loads_at(wish_of_device), 1);
        pop_chains(&popped, true);
        REQUIRE_EQ(popped.count, CHAINS);
        WATCHED(answer = virtqueue_driver_ask(&bed.driver, CHAINS));
        EXPECT_FALSE(answer);
        EXPECT_EQ(loads_at(shape->packed ? 8 : DEVICE_AREA + INDEX_OFFSET), 1);
        WATCHED(give_back(&popped));
        EXPECT_EQ(loaded_words(t), 0);
        EXPECT_GE(watched.accesses, 2u);
        WATCHED(answer = virtqueue_device_signal_needed(&bed.device));
        EXPECT_EQ(loaded_words(t), 1);
        EXPECT_EQ(loads_at(wish_of_driver), 1);
        WATCHED(virtqueue_device_mute(&bed.device));
        EXPECT_EQ(loaded_words(t), 0);
        WATCHED(virtqueue_driver_mute(&bed.driver));
        EXPECT_EQ(loaded_words(t), 0);
        close_bed();
}

TEST(virtqueue_scripted, nobody_looks_at_what_it_has_written_itself)
{
        for (size_t i = 0; i < ARRAY_COUNT(shapes) && !test_has_failed(t); i++) {
                look_at_the_rest(t, &shapes[i]);
                if (test_has_failed(t))
                        test_log(t, "%s", shapes[i].name);
        }
}

#endif

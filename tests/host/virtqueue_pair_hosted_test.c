/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Our driver's end against our device's end, split and packed, and both against an obvious model: a
 * list of chains, what their bytes are, and in which order they must come back.
 *
 * The memory is mapped twice, at unrelated places: the driver's end knows one, the device's end the
 * other, and the addresses in the ring are of a third kind, so that one used on the wrong side is a
 * fault. The device finds the memory in regions of odd lengths, so that buffers cross them. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/expect.h"
#include "virtqueue/virtqueue_chain.h"
#include "virtqueue/virtqueue_device.h"
#include "virtqueue/virtqueue_driver.h"

#define SIZE_MAX_HERE 64u
#define ELEMENTS_MAX 8u
#define ELEMENT_BYTES_MAX 90u
#define CHAIN_BYTES (ELEMENTS_MAX * 96u)
#define DEV_BASE 0x7700000000ull
#define DESC_OFFSET 0x0u
#define DRIVER_OFFSET 0x2000u
#define DEVICE_OFFSET 0x3000u
#define TABLES_OFFSET 0x4000u
#define DATA_OFFSET 0x20000u
#define ARENA_BYTES (DATA_OFFSET + SIZE_MAX_HERE * CHAIN_BYTES)
#define REGIONS_MAX 400u
#define REGION_STEP 997u

struct options {
        uint32_t size;
        bool packed, event_index, in_order, indirect;
        bool polling;    /* nobody sleeps */
        bool single_bytes; /* every element has one byte */
        bool resets;       /* the queue is reset now and then */
};

enum state { FREE, ADDED, HELD, USED_ };

/* One chain; its index is its cookie. */
struct chain {
        enum state state;
        uint32_t readable_count, writable_count, written;
        uint32_t readable_bytes, writable_bytes;
        uint64_t sequence; /* the how manieth that was popped */
        struct virtqueue_element elements[ELEMENTS_MAX];
        uint8_t readable[ELEMENTS_MAX * ELEMENT_BYTES_MAX];
        uint8_t writable[ELEMENTS_MAX * ELEMENT_BYTES_MAX];
        struct virtqueue_request request;
        struct virtqueue_element pieces[ELEMENTS_MAX];
};

struct fifo {
        uint32_t items[SIZE_MAX_HERE], first, count;
};

static struct pair {
        struct test *t;
        struct options options;
        char *driver_va, *device_va;
        struct virtqueue_driver driver;
        struct virtqueue_device device;
        struct virtqueue_slot slots[SIZE_MAX_HERE];
        struct virtqueue_device_slot device_slots[SIZE_MAX_HERE];
        struct virtqueue_device_region regions[REGIONS_MAX];
        struct virtqueue_device_regions table;
        struct chain chains[SIZE_MAX_HERE];
        struct fifo free, added, held, used;
        uint64_t random, taken, log, kicks, signals, popped, moves, resets;
        bool driver_sleeps, device_sleeps;
} pair;

static uint32_t below(uint32_t bound)
{
        pair.random = pair.random * 6364136223846793005ull + 1442695040888963407ull;
        return (uint32_t)((pair.random >> 33) * bound >> 31);
}

/* What both layouts must agree on. */
static void note(uint64_t value)
{
        pair.log = (pair.log ^ value) * 0x100000001b3ull;
}

static void put(struct fifo *fifo, uint32_t item)
{
        fifo->items[(fifo->first + fifo->count++) % SIZE_MAX_HERE] = item;
}

static uint32_t take(struct fifo *fifo)
{
        fifo->count--;
        return fifo->items[fifo->first++ % SIZE_MAX_HERE];
}

static void put_front(struct fifo *fifo, uint32_t item)
{
        fifo->items[--fifo->first % SIZE_MAX_HERE] = item;
        fifo->count++;
}

/* ---- setting up ---- */

static bool map_twice(struct test *t)
{
        int fd = memfd_create("virtqueue-pair", 0);
        if (!EXPECT_TRUE(fd >= 0) || !EXPECT_TRUE(ftruncate(fd, ARENA_BYTES) == 0))
                return false;
        pair.driver_va = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        pair.device_va = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        return EXPECT_TRUE(pair.driver_va != MAP_FAILED) &&
               EXPECT_TRUE(pair.device_va != MAP_FAILED) &&
               EXPECT_TRUE(pair.driver_va != pair.device_va);
}

static void unmap(void)
{
        munmap(pair.driver_va, ARENA_BYTES);
        munmap(pair.device_va, ARENA_BYTES);
}

static struct virtqueue_area area(uint32_t offset)
{
        return (struct virtqueue_area){.va = pair.driver_va + offset, .dev = DEV_BASE + offset};
}

/* One region for rings, then many small ones; tables lie among these. */
static void make_regions(void)
{
        uint32_t count = 0, offset = 0;
        while (offset < ARENA_BYTES) {
                uint32_t bytes = offset == 0 ? TABLES_OFFSET : REGION_STEP;
                if (bytes > ARENA_BYTES - offset)
                        bytes = ARENA_BYTES - offset;
                pair.regions[count++] = (struct virtqueue_device_region){
                        .dev = DEV_BASE + offset, .bytes = bytes, .va = pair.device_va + offset};
                offset += bytes;
        }
        pair.table = (struct virtqueue_device_regions){.regions = pair.regions, .count = count};
}

/* The device's end, from the beginning or from where another one has stood. */
static bool open_device(struct test *t, const struct virtqueue_device_state *state)
{
        struct virtqueue_device_config device = {
                .size = pair.options.size,
                .event_index = pair.options.event_index,
                .packed = pair.options.packed,
                .indirect = pair.options.indirect,
                .in_order = pair.options.in_order,
                .resume = state != NULL,
                .descriptors_dev = DEV_BASE + DESC_OFFSET,
                .driver_dev = DEV_BASE + DRIVER_OFFSET,
                .device_dev = DEV_BASE + DEVICE_OFFSET,
                .memory = {.translate = virtqueue_device_regions_translate, .context = &pair.table},
                .slots = pair.device_slots,
        };
        if (state != NULL)
                device.state = *state;
        pair.device_sleeps = false;
        memset(&pair.device, 0xee, sizeof(pair.device));
        memset(pair.device_slots, 0xee, sizeof(pair.device_slots));
        return EXPECT_OK(virtqueue_device_init(&pair.device, &device));
}

static bool open_pair(struct test *t, struct options options, uint64_t seed)
{
        char *driver_va = pair.driver_va, *device_va = pair.device_va;
        memset(&pair, 0, sizeof(pair));
        pair.t = t;
        pair.options = options;
        pair.driver_va = driver_va;
        pair.device_va = device_va;
        pair.random = seed;
        for (uint32_t i = 0; i < options.size; i++)
                put(&pair.free, i);
        make_regions();
        struct virtqueue_driver_config driver = {
                .size = options.size,
                .event_index = options.event_index,
                .packed = options.packed,
                .in_order = options.in_order,
                .indirect_entries = !options.indirect ? 0 : options.size < 6 ? options.size : 6,
                .descriptors = area(DESC_OFFSET),
                .avail = area(DRIVER_OFFSET),
                .used = area(DEVICE_OFFSET),
                .tables = area(TABLES_OFFSET),
                .slots = pair.slots,
        };
        return EXPECT_OK(virtqueue_driver_init(&pair.driver, &driver)) && open_device(t, NULL);
}

/* ---- the driver ---- */

/* Makes a chain of random pieces of the cookie's memory, with random bytes in those to read. */
static void make_chain(uint32_t cookie)
{
        struct chain *chain = &pair.chains[cookie];
        uint32_t limit = pair.options.size < ELEMENTS_MAX ? pair.options.size : ELEMENTS_MAX;
        uint32_t count = 1 + below(below(2) == 0 ? limit : 1 + (limit > 1));
        uint32_t offset = DATA_OFFSET + cookie * CHAIN_BYTES;
        chain->readable_count = below(count + 1);
        chain->writable_count = count - chain->readable_count;
        chain->readable_bytes = chain->writable_bytes = 0;
        for (uint32_t i = 0; i < count; i++) {
                uint32_t bytes = pair.options.single_bytes ? 1 : 1 + below(ELEMENT_BYTES_MAX);
                chain->elements[i] =
                        (struct virtqueue_element){.dev = DEV_BASE + offset, .bytes = bytes};
                for (uint32_t k = 0; k < bytes; k++) {
                        uint8_t byte = (uint8_t)below(256);
                        pair.driver_va[offset + k] = (char)byte;
                        if (i < chain->readable_count)
                                chain->readable[chain->readable_bytes++] = byte;
                        else
                                chain->writable[chain->writable_bytes++] = byte;
                }
                offset += bytes + below(5);
        }
}

/* The free chain that is `ahead` places from the front, made anew, as the driver's end takes it. */
static struct virtqueue_chain next_chain(uint32_t ahead)
{
        uint32_t cookie = pair.free.items[(pair.free.first + ahead) % SIZE_MAX_HERE];
        struct chain *chain = &pair.chains[cookie];
        make_chain(cookie);
        return (struct virtqueue_chain){.elements = chain->elements,
                                        .readable_count = chain->readable_count,
                                        .writable_count = chain->writable_count,
                                        .cookie = chain};
}

/* Adds up to `wanted` chains, one by one or in one call. */
static void driver_adds(uint32_t wanted)
{
        struct test *t = pair.t;
        struct virtqueue_chain requests[SIZE_MAX_HERE];
        uint32_t batch = below(2) == 0 ? 1 : wanted, done = 0, added;
        zx_status_t status = ZX_OK;
        while (done < wanted && status == ZX_OK) {
                for (uint32_t i = 0; i < batch; i++)
                        requests[i] = next_chain(i);
                if (batch == 1) {
                        status = virtqueue_driver_add(&pair.driver, requests);
                        added = status == ZX_OK;
                } else {
                        status = virtqueue_driver_add_batch(&pair.driver, requests, batch, &added);
                        EXPECT_TRUE(added == batch || status != ZX_OK);
                }
                note((uint64_t)status);
                note(added);
                for (uint32_t i = 0; i < added; i++) {
                        uint32_t cookie = take(&pair.free);
                        pair.chains[cookie].state = ADDED;
                        put(&pair.added, cookie);
                }
                done += added;
        }
        if (status != ZX_OK) {
                EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, status);
                EXPECT_LT(pair.driver.free_count, ELEMENTS_MAX);
        }
}

static void driver_gives(void)
{
        uint32_t wanted = 1 + below(pair.options.size);
        if (wanted > pair.free.count)
                wanted = pair.free.count;
        if (wanted != 0)
                driver_adds(wanted);
        if (below(4) == 0)
                return;
        virtqueue_driver_publish(&pair.driver);
        if (virtqueue_driver_kick_needed(&pair.driver)) {
                pair.device_sleeps = false;
                pair.kicks++;
        }
}

/* What the device wrote is there, and nothing behind it. */
static void check_bytes(const struct chain *chain)
{
        struct test *t = pair.t;
        uint32_t at = 0;
        for (uint32_t i = chain->readable_count; i < chain->readable_count + chain->writable_count;
             i++) {
                const struct virtqueue_element *element = &chain->elements[i];
                for (uint32_t k = 0; k < element->bytes; k++, at++) {
                        uint8_t byte = (uint8_t)pair.driver_va[element->dev - DEV_BASE + k];
                        uint8_t expected = chain->writable[at];
                        if (at < chain->written)
                                expected = (uint8_t)~expected;
                        REQUIRE_EQ(byte, expected);
                }
        }
}

static void driver_takes(void)
{
        struct test *t = pair.t;
        struct virtqueue_completion done[16];
        uint32_t count;
        if (pair.driver_sleeps)
                return;
        if (below(3) == 0)
                virtqueue_driver_mute(&pair.driver);
        zx_status_t status = virtqueue_driver_get(&pair.driver, done, 1 + below(16), &count);
        note((uint64_t)status);
        for (uint32_t i = 0; i < count && !test_has_failed(t); i++) {
                REQUIRE_TRUE(pair.used.count != 0);
                uint32_t cookie = take(&pair.used);
                struct chain *chain = &pair.chains[cookie];
                REQUIRE_TRUE(done[i].cookie == chain);
                REQUIRE_TRUE(chain->state == USED_);
                REQUIRE_EQ(done[i].written_bytes, chain->written);
                check_bytes(chain);
                note((uint64_t)cookie << 32 | chain->written);
                chain->state = FREE;
                put(&pair.free, cookie);
                pair.taken++;
        }
        if (status == ZX_OK)
                return;
        REQUIRE_STATUS(ZX_ERR_SHOULD_WAIT, status);
        REQUIRE_TRUE(pair.used.count == 0);
        uint32_t in_flight = virtqueue_driver_in_flight(&pair.driver);
        uint32_t asked = in_flight > 1 ? 1 + below(in_flight) : 1;
        bool there = virtqueue_driver_ask(&pair.driver, asked);
        EXPECT_FALSE(there); /* nobody else runs */
        pair.driver_sleeps = !pair.options.polling;
}

/* ---- the device ---- */

/* Reads all of the readable part in random steps, some of it skipped. */
static void check_readable(struct virtqueue_chain_io *io, const struct chain *chain)
{
        struct test *t = pair.t;
        uint8_t bytes[64];
        uint32_t at = 0, done;
        while (at < chain->readable_bytes) {
                uint32_t step = 1 + below(sizeof(bytes));
                struct virtqueue_chain_span span;
                REQUIRE_EQ(virtqueue_chain_readable_left(io), chain->readable_bytes - at);
                switch (below(3)) {
                case 0:
                        done = virtqueue_chain_skip(io, step);
                        break;
                case 1:
                        REQUIRE_OK(virtqueue_chain_read_next(io, step, &span));
                        done = span.bytes;
                        REQUIRE_TRUE(memcmp(span.va, &chain->readable[at], done) == 0);
                        break;
                default:
                        REQUIRE_OK(virtqueue_chain_read(io, bytes, step, &done));
                        REQUIRE_TRUE(memcmp(bytes, &chain->readable[at], done) == 0);
                        REQUIRE_EQ(done, step < chain->readable_bytes - at ?
                                                 step : chain->readable_bytes - at);
                }
                REQUIRE_TRUE(done != 0 && done <= step);
                at += done;
        }
        EXPECT_TRUE(virtqueue_chain_readable_left(io) == 0);
}

/* Inverts a random number of bytes of the writable part, in random steps. */
static void write_some(struct virtqueue_chain_io *io, struct chain *chain)
{
        struct test *t = pair.t;
        uint8_t bytes[64];
        uint32_t wanted = below(chain->writable_bytes + 1), done;
        chain->written = 0;
        while (chain->written < wanted) {
                uint32_t step = 1 + below(sizeof(bytes)), at = chain->written;
                struct virtqueue_chain_span span;
                if (step > wanted - at)
                        step = wanted - at;
                for (uint32_t i = 0; i < step; i++)
                        bytes[i] = (uint8_t)~chain->writable[at + i];
                if (below(2) == 0) {
                        REQUIRE_OK(virtqueue_chain_write(io, bytes, step, &done));
                        REQUIRE_EQ(done, step);
                } else {
                        REQUIRE_OK(virtqueue_chain_write_next(io, step, &span));
                        done = span.bytes;
                        memcpy(span.va, bytes, done);
                        virtqueue_chain_add_written(io, done);
                }
                chain->written += done;
        }
}

/* What was popped is the oldest chain that was published. */
static void hold(const struct virtqueue_request *request)
{
        struct test *t = pair.t;
        REQUIRE_TRUE(pair.added.count != 0);
        uint32_t cookie = take(&pair.added);
        struct chain *chain = &pair.chains[cookie];
        REQUIRE_TRUE(chain->state == ADDED);
        REQUIRE_EQ(request->readable_count, chain->readable_count);
        REQUIRE_EQ(request->writable_count, chain->writable_count);
        REQUIRE_EQ(request->readable_bytes, chain->readable_bytes);
        REQUIRE_EQ(request->writable_bytes, chain->writable_bytes);
        for (uint32_t k = 0; k < chain->readable_count + chain->writable_count; k++) {
                REQUIRE_EQ(request->elements[k].dev, chain->elements[k].dev);
                REQUIRE_EQ(request->elements[k].bytes, chain->elements[k].bytes);
                chain->pieces[k] = request->elements[k];
        }
        chain->request = *request;
        chain->request.elements = chain->pieces;
        chain->state = HELD;
        chain->sequence = pair.popped++;
        put(&pair.held, cookie);
}

/* Pops up to `wanted` chains, one by one or in one call with random room.
 *   returns   how many; 0: there was none */
static uint32_t pop_some(uint32_t wanted)
{
        struct test *t = pair.t;
        static struct virtqueue_element pieces[SIZE_MAX_HERE * ELEMENTS_MAX];
        static struct virtqueue_request requests[SIZE_MAX_HERE];
        struct virtqueue_request_batch batch = {
                .requests = requests,
                .requests_max = wanted,
                .elements = pieces,
                .elements_max = ELEMENTS_MAX + below(ARRAY_COUNT(pieces) - ELEMENTS_MAX + 1)};
        zx_status_t status;
        /* How many of those that are there a batch brings is not the same in both layouts. */
        if (below(2) == 0 || pair.options.polling) {
                requests[0] = (struct virtqueue_request){.elements = pieces,
                                                         .elements_max = ELEMENTS_MAX};
                status = virtqueue_device_pop(&pair.device, requests);
                batch.count = status == ZX_OK;
        } else {
                status = virtqueue_device_pop_batch(&pair.device, &batch);
                EXPECT_TRUE((status == ZX_OK) == (batch.count != 0));
                EXPECT_TRUE(batch.count <= wanted && batch.elements_count <= batch.elements_max);
        }
        if (status != ZX_OK)
                EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, status);
        if (below(8) == 0) { /* back, the latest first, and again */
                uint32_t left = batch.count == 0 ? 0 : below(batch.count);
                while (batch.count > left)
                        virtqueue_device_unpop(&pair.device, &requests[--batch.count]);
        }
        for (uint32_t i = 0; i < batch.count && !test_has_failed(t); i++)
                hold(&requests[i]);
        return status == ZX_OK ? batch.count + 1 : 0;
}

static void device_pops(void)
{
        struct test *t = pair.t;
        uint32_t wanted = 1 + below(pair.options.size), popped = 0;
        if (pair.device_sleeps)
                return;
        if (below(3) == 0)
                virtqueue_device_mute(&pair.device);
        while (popped < wanted && !test_has_failed(t)) {
                uint32_t more = pop_some(wanted - popped);
                if (more == 0) {
                        EXPECT_FALSE(virtqueue_device_ask(&pair.device));
                        pair.device_sleeps = !pair.options.polling;
                        return;
                }
                popped += more;
        }
}

/* Gives one chain back, by itself. */
static void finish(struct virtqueue_chain_io *io, const struct chain *chain)
{
        struct test *t = pair.t;
        bool complete = chain->written == chain->writable_bytes;
        EXPECT_TRUE(virtqueue_chain_finish(io) ==
                    (complete ? VIRTQUEUE_CHAIN_COMPLETE : VIRTQUEUE_CHAIN_WRITABLE_LEFT));
}

/* Serves `wanted` of the chains that are held and gives them back,
 * each by itself or all at once. */
static void give_back(uint32_t wanted)
{
        struct test *t = pair.t;
        struct virtqueue_used_element used[SIZE_MAX_HERE];
        struct virtqueue_request requests[SIZE_MAX_HERE];
        enum { ONE_BY_ONE, ALL, ALL_READ } how = below(3);
        for (uint32_t i = 0; i < wanted && !test_has_failed(t); i++) {
                if (!pair.options.in_order)
                        for (uint32_t turns = below(pair.held.count); turns != 0; turns--)
                                put(&pair.held, take(&pair.held));
                uint32_t cookie = take(&pair.held);
                struct chain *chain = &pair.chains[cookie];
                struct virtqueue_chain_io io;
                virtqueue_chain_io_init(&io, &pair.device, &chain->request);
                check_readable(&io, chain);
                chain->written = 0;
                if (how != ALL_READ)
                        write_some(&io, chain);
                if (how == ONE_BY_ONE)
                        finish(&io, chain);
                requests[i] = chain->request;
                used[i] = (struct virtqueue_used_element){.id = chain->request.id,
                                                          .bytes = chain->written};
                chain->state = USED_;
                put(&pair.used, cookie);
        }
        if (how == ALL)
                virtqueue_device_push_batch(&pair.device, used, wanted);
        if (how == ALL_READ)
                virtqueue_device_push_read(&pair.device, requests, wanted);
}

static void device_uses(void)
{
        give_back(below(pair.held.count + 1));
        virtqueue_device_publish(&pair.device);
        if (virtqueue_device_signal_needed(&pair.device)) {
                pair.driver_sleeps = false;
                pair.signals++;
        }
}

/* The chain that was popped last, out of those that are held; false: it was given back already. */
static bool take_latest(uint32_t *cookie)
{
        bool found = false;
        for (uint32_t left = pair.held.count; left != 0; left--) {
                uint32_t item = take(&pair.held);
                if (pair.chains[item].sequence + 1 == pair.popped) {
                        *cookie = item;
                        found = true;
                } else {
                        put(&pair.held, item);
                }
        }
        return found;
}

/* The device goes on elsewhere: what it holds it gives back, or has not seen, and another one that
 * knows nothing but two positions takes up the rings. */
static void device_moves(void)
{
        struct test *t = pair.t;
        uint32_t cookie;
        for (uint32_t wanted = below(pair.held.count + 1); wanted != 0 && take_latest(&cookie);
             wanted--) {
                struct chain *chain = &pair.chains[cookie];
                virtqueue_device_unpop(&pair.device, &chain->request);
                chain->state = ADDED;
                put_front(&pair.added, cookie);
                pair.popped--;
        }
        give_back(pair.held.count);
        virtqueue_device_publish(&pair.device);
        bool asks = below(2) == 0; /* else it is the other one that has to signal */
        bool wanted_now = asks && virtqueue_device_signal_needed(&pair.device);
        EXPECT_EQ(virtqueue_device_in_flight(&pair.device), 0);
        struct virtqueue_device_state state = virtqueue_device_save(&pair.device);
        REQUIRE_TRUE(open_device(t, &state));
        if (!asks)
                wanted_now = virtqueue_device_signal_needed(&pair.device);
        if (wanted_now) {
                pair.driver_sleeps = false;
                pair.signals++;
        }
        pair.moves++;
}

/* The queue is taken out of the device's hands, emptied and set up anew: each chain that the driver
 * has not had back comes, once. */
static void queue_resets(void)
{
        struct test *t = pair.t;
        uint32_t missing = pair.options.size - pair.free.count;
        bool back[SIZE_MAX_HERE] = {false};
        void *cookie;
        for (; virtqueue_driver_take_unused(&pair.driver, &cookie); missing--) {
                uint32_t number = (uint32_t)((struct chain *)cookie - pair.chains);
                REQUIRE_TRUE(missing != 0 && number < pair.options.size && !back[number]);
                REQUIRE_TRUE(pair.chains[number].state != FREE);
                back[number] = true;
        }
        REQUIRE_EQ(missing, 0);
        for (uint32_t number = 0; number < pair.options.size; number++) {
                if (!back[number])
                        continue;
                pair.chains[number].state = FREE;
                put(&pair.free, number);
        }
        pair.added.count = pair.held.count = pair.used.count = 0;
        pair.driver_sleeps = false;
        virtqueue_driver_reset(&pair.driver);
        REQUIRE_TRUE(open_device(t, NULL));
        pair.resets++;
}

/* ---- runs ---- */

#define UPHEAVAL_STEPS 40 /* one step in so many is none of the ordinary ones */

static void upheaval(void)
{
        if (pair.options.resets && below(2) == 0)
                queue_resets();
        else
                device_moves();
}

static void run(struct test *t, struct options options, uint64_t seed, uint64_t chains)
{
        static void (*const steps[])(void) = {driver_gives, driver_takes, device_pops, device_uses};
        uint64_t limit = chains * 64 + 100000;
        REQUIRE_TRUE(open_pair(t, options, seed));
        for (uint64_t step = 0; pair.taken < chains && step < limit; step++) {
                if (test_has_failed(t))
                        break;
                if (below(UPHEAVAL_STEPS) == 0)
                        upheaval();
                else
                        steps[below(ARRAY_COUNT(steps))]();
                REQUIRE_TRUE(virtqueue_driver_valid(&pair.driver));
                REQUIRE_TRUE(virtqueue_device_valid(&pair.device));
                /* Whoever sleeps has been told nothing that he would have to do. */
                if (pair.device_sleeps)
                        REQUIRE_EQ(virtqueue_driver_in_flight(&pair.driver),
                                   pair.held.count + pair.used.count);
                if (pair.driver_sleeps && pair.held.count + pair.added.count == 0)
                        REQUIRE_TRUE(pair.used.count == 0);
        }
        EXPECT_GE(pair.taken, chains);
        EXPECT_GT(pair.moves, 0);
        EXPECT_EQ(pair.resets != 0, options.resets);
        EXPECT_TRUE(pair.driver.fault.reason == VIRTQUEUE_FAULT_NONE);
        EXPECT_TRUE(pair.device.fault.reason == VIRTQUEUE_DEVICE_FAULT_NONE);
        if (test_has_failed(t))
                test_log(t, "size %u packed %d event %d order %d indirect %d seed %llu",
                         options.size, options.packed, options.event_index, options.in_order,
                         options.indirect, (unsigned long long)seed);
}

static struct options options_of(uint32_t bits, uint32_t size)
{
        return (struct options){.size = size,
                                .packed = bits & 1,
                                .event_index = bits & 2,
                                .in_order = bits & 4,
                                .indirect = bits & 8,
                                .resets = true};
}

/* Every combination of features, small and odd sizes included; everybody sleeps when he may. */
TEST_WITH(virtqueue_pair, all_features_against_the_model, 0, 120000)
{
        static const uint32_t sizes[] = {1, 2, 3, 8, 13, 64};
        REQUIRE_TRUE(map_twice(t));
        for (uint32_t bits = 0; bits < 16 && !test_has_failed(t); bits++)
                for (size_t i = 0; i < ARRAY_COUNT(sizes) && !test_has_failed(t); i++) {
                        struct options options = options_of(bits, sizes[i]);
                        if (options.packed || is_power_of_two(sizes[i]))
                                run(t, options, bits * 100 + i + 1, 3000);
                }
        unmap();
}

/* The same decisions give the same results in both layouts, to the last status and byte. */
TEST_WITH(virtqueue_pair, split_and_packed_agree, 0, 120000)
{
        REQUIRE_TRUE(map_twice(t));
        for (uint32_t seed = 1; seed <= 60 && !test_has_failed(t); seed++) {
                struct options options = options_of(seed * 2, 1u << seed % 7);
                uint64_t log[2];
                options.polling = true;
                for (int packed = 0; packed < 2; packed++) {
                        options.packed = packed != 0;
                        run(t, options, seed, 1000);
                        log[packed] = pair.log;
                }
                EXPECT_EQ(log[0], log[1]);
        }
        unmap();
}

TEST_WITH(virtqueue_pair, elements_of_one_byte, 0, 120000)
{
        REQUIRE_TRUE(map_twice(t));
        for (uint32_t bits = 0; bits < 16 && !test_has_failed(t); bits++) {
                struct options options = options_of(bits, 64);
                options.single_bytes = true;
                run(t, options, bits + 1, 5000);
        }
        unmap();
}

/* More chains than any 16-bit index counts, on a ring that they wrap often and that is never reset;
 * the device's end moves now and then. */
TEST_WITH(virtqueue_pair, past_the_wrap_of_every_index, 0, 120000)
{
        REQUIRE_TRUE(map_twice(t));
        for (uint32_t bits = 0; bits < 16 && !test_has_failed(t); bits++) {
                struct options options = options_of(bits, 32);
                options.single_bytes = true;
                options.resets = false;
                run(t, options, bits + 77, 70000);
        }
        unmap();
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_driver_fuzz — a hostile device: the input writes anything anywhere in the three areas,
 * at any time, and our driver's end adds, publishes, takes back, sleeps and is reset. Both layouts.
 * A list of who is out must agree with every completion. */
#include "tests/fuzz/virtqueue_fuzz.h"
#include "virtqueue/virtqueue_driver.h"

#define SIZE_MAX_HERE 32u
#define ELEMENTS_MAX 5u
#define AREAS 4u

enum state { FREE, ADDED, PUBLISHED };

struct fuzz {
        struct virtqueue_driver queue;
        struct virtqueue_driver_config config;
        struct virtqueue_slot slots[SIZE_MAX_HERE];
        uint8_t *areas[AREAS];
        uint64_t bytes[AREAS];
        struct {
                enum state state;
                uint32_t writable_bytes;
        } chains[SIZE_MAX_HERE];
        uint32_t out; /* chains that are not FREE */
};

static struct virtqueue_area make_area(struct fuzz *fuzz, uint32_t which, uint64_t bytes)
{
        fuzz->areas[which] = aligned_alloc(16, round_up(bytes, 16));
        fuzz->bytes[which] = bytes;
        memset(fuzz->areas[which], 0xa5, round_up(bytes, 16));
        return (struct virtqueue_area){fuzz->areas[which], 0x10000 * (which + 1ull)};
}

static void open_fuzz(struct fuzz *fuzz, struct fuzz_input *input)
{
        uint8_t options = fuzz_u8(input);
        uint32_t size = 1u << fuzz_u8(input) % 6;
        bool packed = options & 1;
        memset(fuzz, 0, sizeof(*fuzz));
        if (packed && options & 16)
                size = 1 + fuzz_u8(input) % SIZE_MAX_HERE;
        fuzz->config = (struct virtqueue_driver_config){
                .size = size,
                .packed = packed,
                .event_index = options & 2,
                .in_order = options & 4,
                .indirect_entries = !(options & 8) ? 0 : size < 3 ? size : 3,
                .slots = fuzz->slots,
        };
        fuzz->config.descriptors = make_area(fuzz, 0, 16ull * size);
        fuzz->config.avail = make_area(fuzz, 1, packed ? 4 : 6 + 2ull * size);
        fuzz->config.used = make_area(fuzz, 2, packed ? 4 : 6 + 8ull * size);
        fuzz->config.tables = make_area(fuzz, 3, 16ull * size * 3);
        CHECK(virtqueue_driver_init(&fuzz->queue, &fuzz->config) == ZX_OK);
}

/* ---- the device ---- */

static void device_step(struct fuzz *fuzz, struct fuzz_input *input)
{
        uint32_t area = fuzz_u8(input) % AREAS, size = fuzz->config.size;
        uint32_t id = fuzz_u8(input) % (size + 1), bytes = fuzz_u8(input);
        switch (fuzz_u8(input) % 4) {
        case 0:
                fuzz->areas[area][fuzz_u16(input) % fuzz->bytes[area]] = fuzz_u8(input);
                break;
        case 1: /* an entry, at the right place unless the input says something else */
                if (fuzz->config.packed) {
                        uint32_t at = (fuzz->queue.next_used.offset + (fuzz_u8(input) % 8 == 0)) %
                                      size;
                        bool wrap = fuzz->queue.next_used.wrap ^ (fuzz_u8(input) % 8 == 0);
                        uint64_t rest = virtqueue_packed_rest(
                                bytes, id, virtqueue_packed_used(wrap) | (bytes & 1) << 1);
                        memcpy(fuzz->areas[0] + 16 * at + 8, &rest, 8);
                } else {
                        uint16_t *index = (uint16_t *)(void *)fuzz->areas[2] + 1;
                        struct virtqueue_used_element entry = {id, bytes};
                        memcpy(fuzz->areas[2] + 4 + 8 * (*index % size), &entry, 8);
                        *index += 1;
                }
                break;
        case 2: /* an index */
                if (!fuzz->config.packed)
                        ((uint16_t *)(void *)fuzz->areas[2])[1] += fuzz_u8(input) % 4;
                break;
        default: /* suppression */
                for (uint32_t i = 0; i < 4 && i < fuzz->bytes[2]; i++)
                        if (fuzz->config.packed)
                                fuzz->areas[2][i] = fuzz_u8(input);
        }
}

/* ---- the driver ---- */

#define BATCH_MAX 4u

/* A chain of the input's choice under the first cookie from `cookie` on that is free; returns it,
 * or the ring's size: there is none. */
static uint32_t make_chain(struct fuzz *fuzz, struct fuzz_input *input, uint32_t cookie,
                           struct virtqueue_chain *chain, struct virtqueue_element *elements)
{
        uint32_t sum = 0, count = 1 + fuzz_u8(input) % ELEMENTS_MAX;
        uint32_t readable = fuzz_u8(input) % (count + 1);
        while (cookie < fuzz->config.size && fuzz->chains[cookie].state != FREE)
                cookie++;
        if (cookie == fuzz->config.size)
                return cookie;
        for (uint32_t i = 0; i < count; i++) {
                elements[i] = (struct virtqueue_element){0x1000 + fuzz_u8(input), fuzz_u8(input)};
                sum += i >= readable ? elements[i].bytes : 0;
        }
        *chain = (struct virtqueue_chain){.elements = elements,
                                          .readable_count = readable,
                                          .writable_count = count - readable,
                                          .cookie = (void *)(uintptr_t)(cookie + 1)};
        fuzz->chains[cookie].writable_bytes = sum;
        return cookie;
}

static void add(struct fuzz *fuzz, struct fuzz_input *input)
{
        struct virtqueue_element elements[BATCH_MAX][ELEMENTS_MAX];
        struct virtqueue_chain chains[BATCH_MAX];
        uint32_t cookies[BATCH_MAX], count = 0, added, wanted = 1 + fuzz_u8(input) % BATCH_MAX;
        for (uint32_t cookie = 0; count < wanted; count++) {
                cookies[count] = cookie =
                        make_chain(fuzz, input, cookie, &chains[count], elements[count]);
                if (cookie++ == fuzz->config.size)
                        break;
        }
        if (wanted == 1 && count == 1)
                added = virtqueue_driver_add(&fuzz->queue, chains) == ZX_OK;
        else if (virtqueue_driver_add_batch(&fuzz->queue, chains, count, &added) == ZX_OK)
                CHECK(added == count);
        else
                CHECK(added < count);
        for (uint32_t i = 0; i < added; i++)
                fuzz->chains[cookies[i]].state = ADDED;
        fuzz->out += added;
}

static void publish(struct fuzz *fuzz)
{
        virtqueue_driver_publish(&fuzz->queue);
        for (uint32_t i = 0; i < fuzz->config.size; i++)
                if (fuzz->chains[i].state == ADDED)
                        fuzz->chains[i].state = PUBLISHED;
        (void)!virtqueue_driver_kick_needed(&fuzz->queue);
}

static void get(struct fuzz *fuzz, struct fuzz_input *input)
{
        struct virtqueue_completion done[8];
        uint32_t count;
        zx_status_t status =
                virtqueue_driver_get(&fuzz->queue, done, 1 + fuzz_u8(input) % 8, &count);
        CHECK(status == ZX_OK || status == ZX_ERR_SHOULD_WAIT ||
              status == ZX_ERR_IO_DATA_INTEGRITY);
        for (uint32_t i = 0; i < count; i++) {
                uint32_t cookie = (uint32_t)(uintptr_t)done[i].cookie - 1;
                CHECK(cookie < fuzz->config.size);
                CHECK(fuzz->chains[cookie].state == PUBLISHED); /* given, and back only once */
                CHECK(done[i].written_bytes <= fuzz->chains[cookie].writable_bytes);
                fuzz->chains[cookie].state = FREE;
                fuzz->out--;
        }
}

/* After the end: nothing is said to work, nothing is written, and all that are out come back
 * once. */
static void close_queue(struct fuzz *fuzz)
{
        struct virtqueue_driver *queue = &fuzz->queue;
        void *cookie;
        if (queue->fault.reason != VIRTQUEUE_FAULT_NONE) {
                struct virtqueue_fault fault = queue->fault;
                struct virtqueue_completion done[1];
                uint32_t count;
                CHECK(virtqueue_driver_get(queue, done, 1, &count) == ZX_ERR_IO_DATA_INTEGRITY);
                CHECK(count == 0 && virtqueue_driver_ask(queue, 1));
                CHECK(!virtqueue_driver_kick_needed(queue));
                CHECK(memcmp(&fault, &queue->fault, sizeof(fault)) == 0);
                CHECK(virtqueue_fault_name(fault.reason)[0] != '?');
        }
        while (virtqueue_driver_take_unused(queue, &cookie)) {
                uint32_t which = (uint32_t)(uintptr_t)cookie - 1;
                CHECK(which < fuzz->config.size && fuzz->chains[which].state != FREE);
                fuzz->chains[which].state = FREE;
                fuzz->out--;
        }
        CHECK(fuzz->out == 0);
        virtqueue_driver_reset(queue);
        CHECK(queue->free_count == fuzz->config.size);
}

static void driver_step(struct fuzz *fuzz, struct fuzz_input *input)
{
        uint32_t in_flight = virtqueue_driver_in_flight(&fuzz->queue);
        switch (fuzz_u8(input) % 8) {
        case 0:
        case 1:
                add(fuzz, input);
                break;
        case 2:
        case 3:
                publish(fuzz);
                break;
        case 4:
        case 5:
                get(fuzz, input);
                break;
        case 6:
                virtqueue_driver_mute(&fuzz->queue);
                break;
        default:
                (void)!virtqueue_driver_ask(&fuzz->queue,
                                            in_flight == 0 ? 1 : 1 + fuzz_u8(input) % in_flight);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
        static struct fuzz fuzz;
        struct fuzz_input input = {bytes, count};
        open_fuzz(&fuzz, &input);
        while (input.count != 0 && fuzz.queue.fault.reason == VIRTQUEUE_FAULT_NONE) {
                if (fuzz_u8(&input) & 1)
                        device_step(&fuzz, &input);
                else
                        driver_step(&fuzz, &input);
                CHECK(virtqueue_driver_valid(&fuzz.queue));
        }
        close_queue(&fuzz);
        for (uint32_t i = 0; i < AREAS; i++)
                free(fuzz.areas[i]);
        return 0;
}

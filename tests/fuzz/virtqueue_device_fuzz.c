/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_device_fuzz — a hostile driver: the input writes anything anywhere, at any time, and
 * our device's end pops, walks, gives back, sleeps, wakes and goes on elsewhere. Both layouts.
 * Every region is a block of its own, so that AddressSanitizer sees one byte too far. */
#include "tests/fuzz/virtqueue_fuzz.h"
#include "virtqueue/virtqueue_chain.h"
#include "virtqueue/virtqueue_device.h"

#define SIZE_MAX_HERE 32u
#define RING_DEV 0x10000ull
#define DRIVER_DEV 0x20000ull
#define DEVICE_DEV 0x30000ull
#define DATA_DEV 0x40000ull
#define DATA_BYTES 1000u
#define STEP_BYTES 23u
#define REGIONS 6u
#define HELD_MAX 8u

struct held {
        struct virtqueue_request request;
        struct virtqueue_element pieces[SIZE_MAX_HERE];
};

struct fuzz {
        struct virtqueue_device device;
        struct virtqueue_device_config config;
        struct virtqueue_device_region regions[REGIONS];
        struct virtqueue_device_regions table;
        struct virtqueue_device_slot slots[SIZE_MAX_HERE];
        struct held held[HELD_MAX];
        uint32_t held_count; /* in the order in which they were popped */
        bool only_latest;    /* none was pushed since: unpop() is allowed */
        uint16_t avail_index;
};

static void make_region(struct fuzz *fuzz, uint32_t which, uint64_t dev, uint64_t bytes)
{
        void *va = aligned_alloc(16, round_up(bytes, 16));
        memset(va, 0, round_up(bytes, 16));
        fuzz->regions[which] =
                (struct virtqueue_device_region){.dev = dev, .bytes = bytes, .va = va};
}

static void open_fuzz(struct fuzz *fuzz, struct fuzz_input *input)
{
        uint8_t options = fuzz_u8(input);
        uint32_t size = 1u << fuzz_u8(input) % 6;
        memset(fuzz, 0, sizeof(*fuzz));
        if (options & 1 && options & 16)
                size = 1 + fuzz_u8(input) % SIZE_MAX_HERE;
        make_region(fuzz, 0, RING_DEV, 16ull * size);
        make_region(fuzz, 1, DRIVER_DEV, 6 + 2ull * size);
        make_region(fuzz, 2, DEVICE_DEV, 6 + 8ull * size);
        make_region(fuzz, 3, DATA_DEV, DATA_BYTES);
        make_region(fuzz, 4, DATA_DEV + DATA_BYTES, STEP_BYTES);
        make_region(fuzz, 5, DATA_DEV + DATA_BYTES + STEP_BYTES, DATA_BYTES);
        fuzz->table = (struct virtqueue_device_regions){fuzz->regions, REGIONS};
        fuzz->config = (struct virtqueue_device_config){
                .size = size,
                .packed = options & 1,
                .event_index = options & 2,
                .indirect = options & 4,
                .resume = options & 8,
                .in_order = options & 32,
                .descriptors_dev = RING_DEV,
                .driver_dev = DRIVER_DEV,
                .device_dev = DEVICE_DEV,
                .memory = {virtqueue_device_regions_translate, &fuzz->table},
                .slots = fuzz->slots,
        };
        if (fuzz->config.resume) {
                fuzz->config.state.available = fuzz_u16(input);
                fuzz->config.state.used = fuzz_u16(input);
                fuzz->avail_index = fuzz->config.state.available;
        }
}

/* ---- the driver ---- */

static uint64_t some_address(struct fuzz_input *input)
{
        uint8_t kind = fuzz_u8(input);
        if (kind < 200)
                return DATA_DEV + fuzz_u16(input) % (2 * DATA_BYTES + STEP_BYTES + 10);
        if (kind < 220)
                return RING_DEV + fuzz_u8(input); /* its own ring */
        return (uint64_t)0 - fuzz_u8(input);
}

static uint32_t some_length(struct fuzz_input *input)
{
        uint8_t kind = fuzz_u8(input);
        if (kind < 128)
                return kind;
        if (kind < 192)
                return (kind & 7) * 16u;
        return kind < 250 ? fuzz_u16(input) : fuzz_u32(input);
}

static void write_descriptor(struct fuzz *fuzz, struct fuzz_input *input, void *to)
{
        struct virtqueue_descriptor descriptor = {.address = some_address(input),
                                                  .bytes = some_length(input)};
        uint16_t flags = fuzz_u8(input) & 7;
        uint16_t other = fuzz_u8(input) % (SIZE_MAX_HERE + 1);
        if (fuzz->config.packed) {
                bool wrap = fuzz_u8(input) & 1;
                descriptor.flags = other;
                descriptor.next = flags | virtqueue_packed_available(wrap);
        } else {
                descriptor.flags = flags;
                descriptor.next = other;
        }
        memcpy(to, &descriptor, sizeof(descriptor));
}

static void driver_step(struct fuzz *fuzz, struct fuzz_input *input)
{
        struct virtqueue_device_region *region = &fuzz->regions[fuzz_u8(input) % REGIONS];
        uint8_t *bytes = region->va;
        uint32_t which;
        switch (fuzz_u8(input) % 6) {
        case 0: /* anything anywhere */
                bytes[fuzz_u16(input) % region->bytes] = fuzz_u8(input);
                break;
        case 1:
        case 2:
                which = fuzz_u8(input) % fuzz->config.size;
                write_descriptor(fuzz, input, (char *)fuzz->regions[0].va + 16 * which);
                break;
        case 3: /* an entry of a table */
                which = fuzz_u8(input) % 32;
                write_descriptor(fuzz, input, (char *)fuzz->regions[3].va + 16 * which);
                break;
        case 4: /* properly available */
                if (!fuzz->config.packed) {
                        uint16_t *avail = fuzz->regions[1].va;
                        avail[2 + fuzz->avail_index % fuzz->config.size] =
                                fuzz_u8(input) % (fuzz->config.size + 1);
                        avail[1] = ++fuzz->avail_index;
                }
                break;
        default:
                if (!fuzz->config.packed)
                        ((uint16_t *)fuzz->regions[1].va)[1] = fuzz->avail_index = fuzz_u16(input);
        }
}

/* ---- the device ---- */

static void check_request(const struct fuzz *fuzz, const struct virtqueue_request *request)
{
        uint64_t sums[2] = {0, 0};
        uint32_t count = request->readable_count + request->writable_count;
        CHECK(count <= fuzz->config.size && count <= request->elements_max);
        for (uint32_t i = 0; i < count; i++) {
                const struct virtqueue_element *element = &request->elements[i];
                CHECK(element->bytes != 0);
                CHECK(element->dev + (element->bytes - 1) >= element->dev);
                sums[i >= request->readable_count] += element->bytes;
        }
        CHECK(sums[0] == request->readable_bytes && sums[1] == request->writable_bytes);
        CHECK(sums[0] + sums[1] <= UINT32_MAX);
        CHECK(request->id < fuzz->config.size);
        for (uint32_t i = 0; i < fuzz->held_count; i++)
                CHECK(fuzz->held[i].request.id != request->id);
}

static void pop(struct fuzz *fuzz, struct fuzz_input *input)
{
        if (fuzz->held_count == HELD_MAX)
                return;
        struct held *held = &fuzz->held[fuzz->held_count];
        uint8_t room = fuzz_u8(input);
        held->request.elements = held->pieces;
        held->request.elements_max = room < 200 ? SIZE_MAX_HERE : 1 + room % 4;
        if (virtqueue_device_pop(&fuzz->device, &held->request) != ZX_OK)
                return;
        check_request(fuzz, &held->request);
        fuzz->held_count++;
        fuzz->only_latest = true;
}

/* Pops as many as there are and as there is random room for. */
static void pop_batch(struct fuzz *fuzz, struct fuzz_input *input)
{
        struct virtqueue_request requests[HELD_MAX];
        struct virtqueue_element *pieces = calloc(HELD_MAX * SIZE_MAX_HERE, sizeof(*pieces));
        uint32_t room = HELD_MAX - fuzz->held_count;
        struct virtqueue_request_batch batch = {
                .requests = requests,
                .elements = pieces,
                .requests_max = room == 0 ? 0 : 1 + fuzz_u8(input) % room,
                .elements_max = 1 + fuzz_u16(input) % (HELD_MAX * SIZE_MAX_HERE)};
        if (room != 0 && virtqueue_device_pop_batch(&fuzz->device, &batch) == ZX_OK) {
                CHECK(batch.count != 0 && batch.count <= batch.requests_max);
                CHECK(batch.elements_count <= batch.elements_max);
                for (uint32_t i = 0; i < batch.count; i++) {
                        struct held *held = &fuzz->held[fuzz->held_count];
                        const struct virtqueue_request *request = &requests[i];
                        uint32_t count = request->readable_count + request->writable_count;
                        CHECK(request->elements >= pieces &&
                              request->elements + count <= pieces + batch.elements_count);
                        held->request = *request;
                        held->request.elements_max = SIZE_MAX_HERE;
                        check_request(fuzz, &held->request);
                        memcpy(held->pieces, request->elements, count * sizeof(*pieces));
                        fuzz->held_count++;
                }
                fuzz->only_latest = true;
        }
        free(pieces);
}

/* Gives the oldest few back at once. */
static void push_batch(struct fuzz *fuzz, struct fuzz_input *input)
{
        struct virtqueue_used_element used[HELD_MAX];
        struct virtqueue_request requests[HELD_MAX];
        uint32_t count = fuzz_u8(input) % (fuzz->held_count + 1);
        bool only_read = fuzz_u8(input) & 1;
        for (uint32_t i = 0; i < count; i++) {
                uint64_t writable = fuzz->held[i].request.writable_bytes;
                requests[i] = fuzz->held[i].request;
                used[i] = (struct virtqueue_used_element){
                        requests[i].id, (uint32_t)(fuzz_u16(input) % (writable + 1))};
        }
        if (only_read)
                virtqueue_device_push_read(&fuzz->device, requests, count);
        else
                virtqueue_device_push_batch(&fuzz->device, used, count);
        memmove(&fuzz->held[0], &fuzz->held[count], (HELD_MAX - count) * sizeof(struct held));
        fuzz->held_count -= count;
        fuzz->only_latest &= count == 0;
}

/* Walks a chain in steps of the input's choice, and gives it back. */
static void serve(struct fuzz *fuzz, struct fuzz_input *input)
{
        struct virtqueue_chain_io io;
        struct virtqueue_chain_span span;
        uint8_t bytes[256];
        uint32_t done;
        if (fuzz->held_count == 0)
                return;
        uint32_t which = fuzz_u8(input) % fuzz->held_count;
        if (fuzz->config.in_order)
                which = 0;
        struct held held = fuzz->held[which];
        held.request.elements = held.pieces;
        virtqueue_chain_io_init(&io, &fuzz->device, &held.request);
        zx_status_t status = ZX_OK;
        for (uint32_t i = 0; i < 40 && status == ZX_OK && input->count != 0; i++) {
                uint32_t step = 1 + fuzz_u8(input), left = virtqueue_chain_readable_left(&io);
                switch (fuzz_u8(input) % 4) {
                case 0:
                        status = virtqueue_chain_read(&io, bytes, step > 256 ? 256 : step, &done);
                        CHECK(left - done == virtqueue_chain_readable_left(&io));
                        break;
                case 1:
                        status = virtqueue_chain_read_next(&io, step, &span);
                        CHECK(status != ZX_OK || (span.bytes <= step && span.bytes != 0));
                        if (status == ZX_OK)
                                memcpy(bytes, span.va, span.bytes > 256 ? 256 : span.bytes);
                        break;
                case 2:
                        memset(bytes, 0x5a, sizeof(bytes));
                        status = virtqueue_chain_write(&io, bytes, step > 256 ? 256 : step, &done);
                        break;
                default:
                        (void)virtqueue_chain_skip(&io, step);
                }
                if (status == ZX_ERR_STOP)
                        status = ZX_OK;
        }
        CHECK(status == ZX_OK || fuzz->device.fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE);
        CHECK(io.written_bytes <= held.request.writable_bytes);
        (void)virtqueue_chain_finish(&io);
        memmove(&fuzz->held[which], &fuzz->held[which + 1],
                (HELD_MAX - 1 - which) * sizeof(struct held));
        fuzz->held_count--;
        fuzz->only_latest = false;
}

static void unpop(struct fuzz *fuzz)
{
        if (fuzz->held_count == 0 || !fuzz->only_latest)
                return;
        struct virtqueue_request *request = &fuzz->held[fuzz->held_count - 1].request;
        virtqueue_device_unpop(&fuzz->device, request);
        fuzz->held_count--;
        fuzz->only_latest = false; /* what is before it was popped before, perhaps long before */
}

static void device_step(struct fuzz *fuzz, struct fuzz_input *input)
{
        struct virtqueue_device *device = &fuzz->device;
        switch (fuzz_u8(input) % 12) {
        case 0:
        case 1:
        case 2:
                pop(fuzz, input);
                break;
        case 3:
                serve(fuzz, input);
                break;
        case 4:
                virtqueue_device_publish(device);
                break;
        case 5:
                (void)!virtqueue_device_signal_needed(device);
                break;
        case 6:
                (void)!virtqueue_device_ask(device);
                break;
        case 7:
                virtqueue_device_mute(device);
                break;
        case 8:
        case 9:
                pop_batch(fuzz, input);
                break;
        case 10:
                push_batch(fuzz, input);
                break;
        default:
                unpop(fuzz);
        }
}

/* A broken queue stays as it is, whatever is called, and writes nothing. */
static void check_broken(struct fuzz *fuzz)
{
        struct virtqueue_device_fault fault = fuzz->device.fault;
        uint8_t ring[16 * SIZE_MAX_HERE], device_area[6 + 8 * SIZE_MAX_HERE];
        memcpy(ring, fuzz->regions[0].va, fuzz->regions[0].bytes);
        memcpy(device_area, fuzz->regions[2].va, fuzz->regions[2].bytes);
        struct virtqueue_request request = {.elements = fuzz->held[0].pieces, .elements_max = 1};
        CHECK(virtqueue_device_pop(&fuzz->device, &request) == ZX_ERR_IO_DATA_INTEGRITY);
        if (fuzz->held_count != 0)
                virtqueue_device_push(&fuzz->device, fuzz->held[0].request.id, 0);
        virtqueue_device_publish(&fuzz->device);
        virtqueue_device_mute(&fuzz->device);
        CHECK(virtqueue_device_ask(&fuzz->device));
        CHECK(!virtqueue_device_signal_needed(&fuzz->device));
        CHECK(memcmp(ring, fuzz->regions[0].va, fuzz->regions[0].bytes) == 0);
        CHECK(memcmp(device_area, fuzz->regions[2].va, fuzz->regions[2].bytes) == 0);
        CHECK(memcmp(&fault, &fuzz->device.fault, sizeof(fault)) == 0);
        CHECK(virtqueue_device_fault_name(fault.reason)[0] != '?');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
        static struct fuzz fuzz;
        struct fuzz_input input = {bytes, count};
        open_fuzz(&fuzz, &input);
        if (virtqueue_device_init(&fuzz.device, &fuzz.config) == ZX_OK) {
                while (input.count != 0 &&
                       fuzz.device.fault.reason == VIRTQUEUE_DEVICE_FAULT_NONE) {
                        if (fuzz_u8(&input) & 1)
                                driver_step(&fuzz, &input);
                        else
                                device_step(&fuzz, &input);
                        CHECK(virtqueue_device_valid(&fuzz.device));
                        if (fuzz.device.fault.reason == VIRTQUEUE_DEVICE_FAULT_NONE)
                                CHECK(virtqueue_device_in_flight(&fuzz.device) == fuzz.held_count);
                }
                if (fuzz.device.fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                        check_broken(&fuzz);
        }
        for (uint32_t i = 0; i < REGIONS; i++)
                free(fuzz.regions[i].va);
        return 0;
}

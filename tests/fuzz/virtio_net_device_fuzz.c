/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_net_device_fuzz — a hostile card against the driver and a client of netdev: the
 * input chooses what the card offers and says of itself, which headers and lengths it
 * delivers, what it writes into used rings and packed descriptors, how it answers commands,
 * when it wants a reset; and what the client does meanwhile; and how much memory there is.
 * Whatever happens, in the end every page is there again, unless the card did not answer to a
 * reset and keeps what it was given. */
#include "tests/fuzz/expect_aborts.h"
#include "tests/fuzz/one_thread.h"
#include "tests/fuzz/virtqueue_fuzz.h"
#include "kernel/cpu.h"
#include "tests/host/machine/virtio_net_rig.h"

#include <stdarg.h>

#define FUZZ_PAGES 384
#define STEPS_MAX 96

/* ---- the world that the rig stands on ---- */

struct test {
        int unused;
};
static struct test the_test;
static uint8_t pages[FUZZ_PAGES * PAGE_BYTES] __attribute__((aligned(4096)));

void *world_pages(struct test *t, size_t page_count, uint64_t *pa_out)
{
        (void)t;
        CHECK(page_count == FUZZ_PAGES && pa_out == NULL);
        return pages;
}

void log_line(const char *format, ...)
{
        (void)format;
}

uint32_t cpu_count(void)
{
        return 1;
}

/* ---- the card ---- */

/* Most inputs are cards that start, so that what follows is seen. */
static void choose_card(struct fuzz_input *input)
{
        const uint16_t pairs = 3;
        rig.hostile = true;
        rig.offered |= (uint64_t)fuzz_u32(input) << 32 | fuzz_u32(input);
        memcpy(rig.config + VIRTIO_NET_CONFIG_PAIRS, &pairs, 2);
        rig.queue_count = 2 * pairs + 1;
        rig.queue_pairs = 1 + fuzz_u8(input) % pairs;
        uint8_t odd = fuzz_u8(input); /* what is out of the ordinary */
        if (odd & 1)
                rig.queue_size = fuzz_u8(input) % (RIG_QUEUE_SIZE_MAX + 1);
        if (odd & 2)
                rig.queue_count = fuzz_u8(input) % RIG_QUEUES;
        for (uint32_t i = 0; i < 4 && (odd & 4); i++) {
                uint8_t at = fuzz_u8(input) % RIG_CONFIG_BYTES;
                rig.config[at] = fuzz_u8(input);
        }
        if (odd & 8)
                rig.config_bytes = fuzz_u8(input) % RIG_CONFIG_BYTES;
        rig.breaks_at_start = odd & 16 && fuzz_u8(input) == 3;
        rig.control_silent = odd & 32;
        rig.queue_never_resets = odd & 64;
        uint8_t world = fuzz_u8(input);
        rig.only_offers_reset = world & 1;
        if (world & 2)
                rig_take_pages(fuzz_u8(input) * 2u);
        if (world & 4)
                rig.offered &= ~RIG_NET(MAC);
}

static void deliver(struct fuzz_input *input)
{
        uint8_t bytes[2048], odd = fuzz_u8(input);
        uint32_t count = 14 + fuzz_u16(input) % (sizeof(bytes) - 14), pair = fuzz_u8(input) % 3;
        struct virtio_net_header header = {0};
        if (odd & 1)
                header.flags = fuzz_u8(input);
        if (odd & 2) {
                header.gso_type = fuzz_u8(input);
                header.gso_bytes = fuzz_u8(input);
                header.header_bytes = fuzz_u16(input);
        }
        if (odd & 4) {
                header.checksum_start = fuzz_u16(input);
                header.checksum_offset = fuzz_u8(input);
        }
        if (odd & 8)
                header.buffer_count = fuzz_u8(input) % 20;
        if (odd & 16)
                header.hash_report = fuzz_u8(input);
        if (odd & 32) {
                (void)rig_deliver(pair, header, 1, odd & 64 ? count * 30 : count);
                return;
        }
        memset(bytes, 0x5a, sizeof(bytes));
        memcpy(bytes, &header, sizeof(header));
        (void)rig_deliver_raw(pair, bytes, odd & 64 ? count % 40 : count);
}

static void device_step(struct fuzz_input *input)
{
        uint16_t queue = fuzz_u8(input) % 7, id;
        switch (fuzz_u8(input) % 12) {
        case 0:
                id = fuzz_u8(input) % 80;
                rig_use(queue, id, fuzz_u8(input) % 4 == 0 ? fuzz_u32(input) : fuzz_u16(input));
                break;
        case 1:
                rig_interrupt(fuzz_u8(input) % 2 == 0 ? VIRTIO_SOURCE_CONFIG : fuzz_u32(input));
                break;
        case 2:
                if (fuzz_u8(input) % 4 == 0)
                        rig.status |= VIRTIO_STATUS_NEEDS_RESET;
                break;
        case 3:
                rig.config[VIRTIO_NET_CONFIG_STATUS] = fuzz_u8(input);
                break;
        case 4:
                rig.control_answer = fuzz_u8(input);
                rig.control_answers_left = fuzz_u8(input) % 4;
                rig.control_says_nothing = fuzz_u8(input) % 4 == 0;
                break;
        case 5:
                (void)rig_serve(queue % 3);
                break;
        case 6:
                rig.never_resets = fuzz_u8(input) % 16 == 15;
                break;
        case 7: /* nothing */
                break;
        default:
                deliver(input);
        }
}

/* ---- the client ---- */

static void send(struct fuzz_input *input)
{
        uint32_t bytes = 14 + fuzz_u16(input) % 1504, parts = 1 + fuzz_u8(input) % 4;
        struct netdev_frame frame = rig_frame(&the_test, 7, fuzz_u16(input), bytes, parts);
        frame.head_bytes = fuzz_u8(input);
        frame.offload.checksum = fuzz_u8(input) % 2;
        frame.offload.checksum_start = fuzz_u8(input);
        frame.offload.segmentation = fuzz_u8(input) % 4;
        frame.offload.segment_bytes = fuzz_u8(input);
        frame.offload.header_bytes = fuzz_u8(input);
        uint32_t accepted;
        (void)!netdev_transmit(rig_card(), fuzz_u8(input) % 3, &frame, 1, &accepted);
}

static void set(struct fuzz_input *input)
{
        struct netdev_receive_mode mode = {.promiscuous = fuzz_u8(input) % 2};
        struct netdev_moderation moderation = {1, 2, 3, 4};
        const uint8_t mac[] = {2, 0, 0, 0, 0, fuzz_u8(input)};
        (void)!netdev_set_receive_mode(rig_card(), &mode);
        (void)!netdev_set_vlan(rig_card(), fuzz_u16(input), fuzz_u8(input) % 2);
        (void)!netdev_set_mac(rig_card(), mac);
        (void)!netdev_set_moderation(rig_card(), &moderation);
}

static void client_step(struct fuzz_input *input)
{
        uint32_t queue = fuzz_u8(input) % 3;
        switch (fuzz_u8(input) % 8) {
        case 0:
                rig.holds = !rig.holds;
                break;
        case 1:
                rig_release_all();
                break;
        case 2:
                set(input);
                break;
        case 3:
                if (fuzz_u8(input) % 4 == 0)
                        (void)!netdev_restart(rig_card());
                break;
        case 4:
        case 5:
                send(input);
                break;
        default:
                (void)rig_card()->ops->pending(rig_card(), queue % rig_card()->queue_pairs);
                (void)netdev_poll(rig_card(), queue, 1 + fuzz_u8(input) % 64);
        }
        if (netdev_receive_held(rig_card()) > RIG_GOT_MAX / 2)
                rig_release_all();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
        struct fuzz_input input = {bytes, count};
        rig_init(&the_test, FUZZ_PAGES);
        choose_card(&input);
        zx_status_t status = rig_start_card();
        if (status == ZX_OK && rig_attach() == ZX_OK)
                for (uint32_t i = 0; i < STEPS_MAX && input.count != 0; i++) {
                        device_step(&input);
                        client_step(&input);
                        CHECK(vmo_store_valid(&rig_card()->store));
                }
        if (rig_card()->counters.leaked_pages == 0) {
                rig.never_resets = false;
                rig_finish(&the_test);
        } else {
                CHECK(pmm_check_all(&rig.pmm) && rig.bad_addresses == 0);
        }
        return 0;
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* See virtio_net_rig.h. */
#include "tests/host/machine/virtio_net_rig.h"

#include <string.h>

#include "base/assert.h"

#define NEVER UINT32_MAX
#define CLIENT_PAGES 64

/* An expectation outside of a test's own function. */
#define RIG_EXPECT(condition)                                                                      \
        do {                                                                                       \
                struct test *t = rig.t;                                                            \
                bool held = (condition);                                                           \
                EXPECT_TRUE(held || rig.hostile);                                                  \
        } while (0)

/* What the driver promises, however hostile the device is. */
#define RIG_PROMISED(condition)                                                                    \
        do {                                                                                       \
                struct test *t = rig.t;                                                            \
                EXPECT_TRUE(condition);                                                            \
        } while (0)

struct rig rig;
struct virtio_net rig_net;

static uint8_t buffer[RIG_FRAME_BYTES + sizeof(struct virtio_net_header)];

uint32_t rig_sum(uint32_t seed, uint32_t count)
{
        uint32_t sum = 0;
        for (uint32_t i = 0; i < count; i++)
                sum = sum * 33 + rig_byte(seed, i);
        return sum;
}

static uint32_t sum_of(const uint8_t *bytes, uint32_t count)
{
        uint32_t sum = 0;
        for (uint32_t i = 0; i < count; i++)
                sum = sum * 33 + bytes[i];
        return sum;
}

/* ---- the list of cards, of which there is one ---- */

zx_status_t netdev_add(struct netdev *netdev)
{
        strcpy(netdev->name, "net0");
        return ZX_OK;
}

void netdev_forget(struct netdev *netdev)
{
        ASSERT(netdev_is_idle(netdev));
}

void netdev_wake(struct netdev *netdev, uint32_t queue_bits)
{
        (void)netdev;
        rig.woken |= queue_bits;
        rig.interrupts += queue_bits != 0;
}

/* ---- memory ---- */

static void *translate(const void *context, uint64_t dev, uint64_t bytes, uint64_t *mapped_bytes)
{
        (void)context;
        uint64_t end = RIG_BASE_PA + rig.pages * PAGE_BYTES;
        if (dev < RIG_BASE_PA || dev >= end || bytes > end - dev) {
                rig.bad_addresses++;
                return NULL;
        }
        for (uint64_t pa = round_down(dev, PAGE_BYTES); pa < dev + bytes; pa += PAGE_BYTES) {
                const struct vm_page *page = pmm_page_from_pa(&rig.pmm, pa);
                rig.bad_addresses += page == NULL || page->state == VM_PAGE_FREE;
        }
        *mapped_bytes = bytes;
        return rig.memory + (dev - RIG_BASE_PA);
}

void rig_take_pages(uint64_t left)
{
        uint64_t count = pmm_count_free_pages(&rig.pmm);
        if (count > left)
                RIG_EXPECT(pmm_alloc_pages(&rig.pmm, count - left, PMM_ALLOC_ANY, &rig.taken) ==
                           ZX_OK);
}

/* ---- the transport ---- */

static uint8_t get_status(struct virtio_transport *transport)
{
        (void)transport;
        return rig.status;
}

static void set_status(struct virtio_transport *transport, uint8_t status)
{
        (void)transport;
        if (status == 0) {
                rig.resets++;
                if (rig.never_resets)
                        return;
                for (uint32_t i = 0; i < RIG_QUEUES; i++)
                        rig.queues[i].live = false;
                rig.accepted = 0;
        }
        if (status & VIRTIO_STATUS_DRIVER_OK)
                RIG_EXPECT(rig.started); /* a device may look then whether to interrupt at all */
        if (rig.breaks_at_start && (status & VIRTIO_STATUS_DRIVER_OK))
                status |= VIRTIO_STATUS_NEEDS_RESET;
        rig.status = status;
}

static uint32_t offered_features(struct virtio_transport *transport, uint32_t bank)
{
        (void)transport;
        return bank < 2 ? (uint32_t)(rig.offered >> 32 * bank) : 0;
}

static void accept_features(struct virtio_transport *transport, uint32_t bank, uint32_t bits)
{
        (void)transport;
        rig.accepted |= (uint64_t)bits << 32 * bank;
        if (rig.takes_pages && bank == 0)
                rig_take_pages(rig.leaves_pages);
}

static uint16_t queue_count(struct virtio_transport *transport)
{
        (void)transport;
        return rig.queue_count;
}

static uint32_t queue_size_max(struct virtio_transport *transport, uint16_t queue)
{
        (void)transport;
        (void)queue;
        return rig.queue_size;
}

static zx_status_t queue_enable(struct virtio_transport *transport, uint16_t index,
                                const struct virtio_queue_setup *setup)
{
        struct rig_queue *queue = &rig.queues[index];
        ASSERT(index < RIG_QUEUES);
        if (queue->live)
                return ZX_ERR_BAD_STATE;
        struct virtqueue_device_config config = {
                .size = setup->size,
                .event_index = rig.accepted & RIG_F(EVENT_IDX),
                .indirect = rig.accepted & RIG_F(INDIRECT_DESC),
                .packed = rig.accepted & RIG_F(RING_PACKED),
                .in_order = rig.accepted & RIG_F(IN_ORDER),
                .descriptors_dev = setup->descriptors_dev,
                .driver_dev = setup->driver_dev,
                .device_dev = setup->device_dev,
                .memory = {.translate = translate},
                .slots = queue->slots,
        };
        if (virtqueue_device_init(&queue->device, &config) != ZX_OK)
                return ZX_ERR_IO;
        if (rig.only_offers_reset && (rig.accepted & RIG_F(RING_RESET))) {
                queue->live = true;
                transport->resets_queues = false;
                return ZX_ERR_NOT_SUPPORTED;
        }
        queue->setup = *setup;
        queue->wild = false;
        queue->notifications = 0;
        queue->live = true;
        return ZX_OK;
}

static zx_status_t queue_reset(struct virtio_transport *transport, uint16_t queue)
{
        (void)transport;
        if (rig.queue_never_resets)
                return ZX_ERR_TIMED_OUT;
        rig.queues[queue].live = false;
        rig.queues[queue].resets++;
        return ZX_OK;
}

static uint32_t config_generation(struct virtio_transport *transport)
{
        (void)transport;
        return 0;
}

static uint32_t config_read(struct virtio_transport *transport, uint32_t offset, uint8_t bytes)
{
        uint32_t value = 0;
        ASSERT(offset % bytes == 0 && offset + bytes <= transport->config_bytes);
        memcpy(&value, rig.config + offset, bytes);
        return value;
}

static enum virtio_interrupt_mode interrupts_open(struct virtio_transport *transport,
                                                  uint16_t queues, virtio_interrupt_fn handler,
                                                  void *context)
{
        rig.handler = handler;
        rig.handler_context = context;
        rig.vectors = queues;
        rig.masked = false;
        transport->interrupt_mode = rig.has_no_interrupts ? VIRTIO_INTERRUPTS_NONE :
                                                            VIRTIO_INTERRUPTS_PER_QUEUE;
        return transport->interrupt_mode;
}

static void interrupts_aim(struct virtio_transport *transport, uint16_t queue, uint32_t cpu)
{
        (void)transport;
        RIG_EXPECT(queue < rig.vectors && !rig.started);
        rig.queues[queue].aimed_at = cpu + 1;
}

static void interrupts_start(struct virtio_transport *transport)
{
        (void)transport;
        rig.started = true;
}

static void interrupts_mask(struct virtio_transport *transport)
{
        (void)transport;
        rig.masked = true;
}

static void interrupts_close(struct virtio_transport *transport)
{
        rig.handler = NULL;
        rig.started = false;
        transport->interrupt_mode = VIRTIO_INTERRUPTS_NONE;
}

void rig_interrupt(uint32_t sources)
{
        if (rig.handler != NULL && rig.started && !rig.masked && !rig.has_no_interrupts)
                rig.handler(rig.handler_context, sources);
}

static uint64_t now_ns(struct virtio_transport *transport)
{
        (void)transport;
        return rig.clock_ns;
}

static void pause(struct virtio_transport *transport)
{
        (void)transport;
        rig.clock_ns += 1000000;
}

/* ---- commands ---- */

static uint8_t answer_to_command(void)
{
        if (rig.control_answers_left == NEVER)
                return 0;
        if (rig.control_answers_left == 0) {
                if (rig.control_refuses_once)
                        rig.control_answers_left = NEVER;
                return rig.control_answer;
        }
        rig.control_answers_left--;
        return 0;
}

static void serve_control(struct rig_queue *queue)
{
        struct virtqueue_element pieces[RIG_QUEUE_SIZE_MAX];
        struct virtqueue_request request = {.elements = pieces, .elements_max = RIG_QUEUE_SIZE_MAX};
        struct virtqueue_chain_io io;
        while (!rig.control_silent && !queue->wild &&
               virtqueue_device_pop(&queue->device, &request) == ZX_OK) {
                struct rig_command *command = &rig.commands[rig.command_count++ % RIG_COMMANDS_MAX];
                uint8_t head[2] = {0};
                uint32_t done;
                virtqueue_chain_io_init(&io, &queue->device, &request);
                RIG_EXPECT(virtqueue_chain_read(&io, head, 2, &done) == ZX_OK);
                command->class = head[0];
                command->command = head[1];
                RIG_EXPECT(virtqueue_chain_read(&io, command->data, RIG_COMMAND_BYTES,
                                                           &command->bytes) == ZX_OK);
                uint8_t answer = answer_to_command();
                if (!rig.control_says_nothing)
                        RIG_EXPECT(virtqueue_chain_write(&io, &answer, 1, &done) ==
                                                      ZX_OK);
                (void)virtqueue_chain_finish(&io);
                virtqueue_device_publish(&queue->device);
                RIG_EXPECT(!virtqueue_device_signal_needed(&queue->device)); /* nobody waits */
                (void)!virtqueue_device_ask(&queue->device);
        }
}

static void notify(struct virtio_transport *transport, uint16_t index)
{
        (void)transport;
        rig.notifications++;
        RIG_EXPECT(rig.status & VIRTIO_STATUS_DRIVER_OK);
        RIG_EXPECT(index < RIG_QUEUES && rig.queues[index].live);
        rig.queues[index % RIG_QUEUES].notifications++;
        if (rig.at_notification != NULL)
                rig.at_notification(index);
        if (index == rig_net.control_index && rig_net.control_open)
                serve_control(&rig.queues[index]);
}

static const struct virtio_transport_ops ops = {
        .name = "rig",
        .status = get_status,
        .set_status = set_status,
        .offered_features = offered_features,
        .accept_features = accept_features,
        .queue_count = queue_count,
        .queue_size_max = queue_size_max,
        .queue_enable = queue_enable,
        .queue_reset = queue_reset,
        .notify = notify,
        .config_generation = config_generation,
        .config_read = config_read,
        .interrupts_open = interrupts_open,
        .interrupts_aim = interrupts_aim,
        .interrupts_start = interrupts_start,
        .interrupts_mask = interrupts_mask,
        .interrupts_close = interrupts_close,
        .now_ns = now_ns,
        .pause = pause,
};

/* ---- the data path ---- */

static void publish(struct rig_queue *queue, uint32_t index)
{
        virtqueue_device_publish(&queue->device);
        if (virtqueue_device_signal_needed(&queue->device))
                rig_interrupt(VIRTIO_SOURCE_QUEUE(index));
}

/* Spreads buffer[0..bytes) over as many chains as it takes. */
static bool spread(uint32_t pair, uint32_t bytes)
{
        struct rig_queue *queue = &rig.queues[2 * pair];
        struct virtqueue_request requests[RIG_QUEUE_SIZE_MAX];
        struct virtqueue_element pieces[RIG_QUEUE_SIZE_MAX];
        uint32_t count = 0, room = 0, done;
        bool merges = rig.accepted & RIG_NET(MRG_RXBUF);
        if (!queue->live || queue->wild)
                return false;
        while (room < bytes && count < RIG_QUEUE_SIZE_MAX && (count == 0 || merges)) {
                requests[count].elements = &pieces[count];
                requests[count].elements_max = 1;
                if (virtqueue_device_pop(&queue->device, &requests[count]) != ZX_OK)
                        break;
                room += requests[count++].writable_bytes;
        }
        if (room < bytes) {
                while (count != 0)
                        virtqueue_device_unpop(&queue->device, &requests[--count]);
                return false;
        }
        struct virtio_net_header *header = (struct virtio_net_header *)(void *)buffer;
        if (merges && header->buffer_count == 0)
                header->buffer_count = (uint16_t)count;
        for (uint32_t i = 0, at = 0; i < count; i++, at += done) {
                struct virtqueue_chain_io io;
                if (i == 0) {
                        uint64_t mapped;
                        rig.last_written = translate(NULL, pieces[0].dev, 1, &mapped);
                }
                virtqueue_chain_io_init(&io, &queue->device, &requests[i]);
                if (virtqueue_chain_write(&io, buffer + at, bytes - at, &done) != ZX_OK)
                        return false;
                (void)virtqueue_chain_finish(&io);
        }
        publish(queue, 2 * pair);
        return true;
}

bool rig_deliver(uint32_t pair, struct virtio_net_header header, uint32_t seed, uint32_t count)
{
        uint32_t header_bytes = rig.accepted & RIG_NET(HASH_REPORT) ? sizeof(header) :
                                                                      VIRTIO_NET_HEADER_BYTES;
        ASSERT(count <= RIG_FRAME_BYTES);
        memcpy(buffer, &header, header_bytes);
        for (uint32_t i = 0; i < count; i++)
                buffer[header_bytes + i] = rig_byte(seed, i);
        return spread(pair, header_bytes + count);
}

bool rig_deliver_raw(uint32_t pair, const void *bytes, uint32_t count)
{
        struct rig_queue *queue = &rig.queues[2 * pair];
        struct virtqueue_element piece;
        struct virtqueue_request request = {.elements = &piece, .elements_max = 1};
        struct virtqueue_chain_io io;
        uint32_t done;
        if (!queue->live || queue->wild || virtqueue_device_pop(&queue->device, &request) != ZX_OK)
                return false;
        virtqueue_chain_io_init(&io, &queue->device, &request);
        if (virtqueue_chain_write(&io, bytes, count, &done) != ZX_OK)
                return false;
        (void)virtqueue_chain_finish(&io);
        publish(queue, 2 * pair);
        return true;
}

static void keep_sent(struct virtqueue_device *device, const struct virtqueue_request *request)
{
        struct rig_sent *sent = &rig.sent[rig.sent_count++ % RIG_SENT_MAX];
        struct virtqueue_chain_io io;
        uint32_t header_bytes = rig_net.header_bytes;
        *sent = (struct rig_sent){.elements = request->readable_count};
        virtqueue_chain_io_init(&io, device, request);
        RIG_EXPECT(virtqueue_chain_read(&io, &sent->header, header_bytes,
                                                   &sent->bytes) == ZX_OK);
        RIG_EXPECT(sent->bytes == header_bytes);
        RIG_EXPECT(virtqueue_chain_read(&io, buffer, RIG_FRAME_BYTES, &sent->bytes) ==
                                      ZX_OK);
        RIG_EXPECT(request->writable_count == 0);
        memcpy(sent->start, buffer, min_u64(sent->bytes, RIG_SHORT_BYTES));
        sent->sum = sum_of(buffer, sent->bytes);
        (void)virtqueue_chain_finish(&io);
}

uint32_t rig_serve(uint32_t pair)
{
        struct rig_queue *queue = &rig.queues[2 * pair + 1];
        struct virtqueue_element pieces[RIG_QUEUE_SIZE_MAX];
        struct virtqueue_request request = {.elements = pieces, .elements_max = RIG_QUEUE_SIZE_MAX};
        uint32_t count = 0;
        if (!queue->live || queue->wild)
                return 0;
        for (; virtqueue_device_pop(&queue->device, &request) == ZX_OK; count++)
                keep_sent(&queue->device, &request);
        RIG_EXPECT(queue->device.fault.reason == VIRTQUEUE_DEVICE_FAULT_NONE);
        publish(queue, 2 * pair + 1);
        (void)!virtqueue_device_ask(&queue->device);
        return count;
}

void rig_use(uint16_t index, uint16_t id, uint32_t bytes)
{
        struct virtqueue_device *device = &rig.queues[index].device;
        if (!rig.queues[index].live)
                return;
        rig.queues[index].wild = true;
        if (device->packed) {
                struct virtqueue_packed_place place = device->next_pushed;
                device->packed_ring[place.offset].id = id;
                device->packed_ring[place.offset].bytes = bytes;
                device->packed_ring[place.offset].flags = virtqueue_packed_used(place.wrap);
                virtqueue_packed_advance(&device->next_pushed, 1, device->ring.size);
                return;
        }
        virtqueue_device_ring_insert_used(
                &device->ring, (uint16_t)device->pushed++,
                (struct virtqueue_used_element){.id = id, .bytes = bytes});
        virtqueue_device_ring_publish_used(&device->ring, (uint16_t)device->pushed);
}

void rig_break_queue(uint16_t index)
{
        struct virtio_net_pair *pair = &rig_net.pairs[index / 2];
        struct virtio_queue *queue = index % 2 == 0 ? &pair->receive : &pair->transmit;
        ASSERT(!queue->ring.packed);
        queue->ring.used->index += 0x4000;
}

/* ---- the client ---- */

/* Its parts are the card's memory behind the header, and nobody else has them. */
static void expect_parts(const struct vmo_buffer *frame, uint32_t queue)
{
        const struct virtio_net_pair *pair = &rig_net.pairs[queue];
        for (uint32_t i = 0; i < frame->part_count; i++) {
                const struct vmo_region *region = &frame->parts[i].region;
                uint32_t part = frame->parts[i].buffer_id,
                         skipped = i == 0 ? rig_net.header_bytes : 0;
                RIG_PROMISED(part < pair->part_count);
                if (part >= pair->part_count)
                        return;
                uint64_t first = (uint64_t)part * pair->part_bytes + skipped;
                RIG_PROMISED(region->vmo_id == pair->memory_id && region->offset == first);
                RIG_PROMISED(region->length != 0 && region->length <= pair->part_bytes - skipped);
                RIG_PROMISED(pair->part_states[part] == VIRTIO_NET_PART_CLIENT);
                for (uint32_t j = 0; j < i; j++)
                        RIG_PROMISED(frame->parts[j].buffer_id != part);
        }
}

/* What netdev.h promises of a frame, whatever the device has said of it. */
static void expect_contract(const struct netdev_received *frame, uint32_t queue)
{
        const struct netdev_receive_info *info = &frame->info;
        uint64_t bytes = frame->buffer.buffer.length;
        uint64_t limit = rig_card()->mtu + NETDEV_HEADER_BYTES + NETDEV_VLAN_TAG_BYTES;
        expect_parts(&frame->buffer.buffer, queue);
        RIG_PROMISED(bytes >= NETDEV_HEADER_BYTES);
        if (info->segmentation == NETDEV_SEGMENT_NONE) {
                RIG_PROMISED(bytes <= limit && !info->ecn);
        } else {
                RIG_PROMISED(bytes <= NETDEV_FRAME_BYTES_MAX && info->segment_bytes != 0);
                RIG_PROMISED(info->segmentation <= NETDEV_SEGMENT_USO &&
                             info->header_bytes <= bytes);
                RIG_PROMISED(netdev_can(&rig_card()->capabilities, NETDEV_CAN_COALESCE_BIT));
        }
        if (info->checksum == NETDEV_CHECKSUM_PARTIAL)
                RIG_PROMISED((uint64_t)info->checksum_start + info->checksum_offset + 2 <= bytes);
        RIG_PROMISED(info->hash_type <= NETDEV_HASH_UDP_IPV6_EX);
}

static void on_receive(void *context, uint32_t queue, const struct netdev_received *frames,
                       uint32_t count)
{
        (void)context;
        for (uint32_t i = 0; i < count; i++) {
                struct rig_got *got = &rig.got[rig.got_count++ % RIG_GOT_MAX];
                size_t bytes = 0;
                ASSERT(!got->held); /* the test's own limit */
                *got = (struct rig_got){.frame = frames[i], .queue = queue, .held = rig.holds};
                RIG_PROMISED(vmo_buffer_valid(&frames[i].buffer.buffer));
                expect_contract(&frames[i], queue);
                RIG_PROMISED(vmo_buffer_read(&frames[i].buffer.buffer, buffer, sizeof(buffer),
                                             &bytes) == ZX_OK);
                got->sum = sum_of(buffer, (uint32_t)bytes);
                if (!rig.holds)
                        netdev_release_frame(rig_card(), queue, &frames[i]);
        }
}

static void on_transmit_done(void *context, uint32_t queue, const uint32_t *ids, uint32_t count,
                             zx_status_t status)
{
        (void)context;
        (void)queue;
        for (uint32_t i = 0; i < count; i++, rig.done_count++) {
                rig.done_ids[rig.done_count % RIG_DONE_MAX] = ids[i];
                rig.done_status[rig.done_count % RIG_DONE_MAX] = status;
        }
}

static void on_state_changed(void *context)
{
        (void)context;
        rig.changes++;
}

static void on_announce(void *context)
{
        (void)context;
        rig.announces++;
}

struct netdev_frame rig_frame(struct test *t, uint32_t id, uint64_t offset, uint32_t count,
                              uint32_t parts)
{
        struct netdev_frame frame = {0};
        struct vmo_region regions[VMO_BUFFER_PARTS_MAX];
        struct tx_request request = {.id = id, .regions = regions, .region_count = parts};
        for (uint32_t i = 0; i < count; i++)
                buffer[i] = rig_byte(id, i);
        EXPECT_OK(vmo_write(rig.vmo, buffer, offset, count));
        for (uint32_t i = 0, at = 0; i < parts; i++) {
                uint32_t bytes = i + 1 == parts ? count - at : count / parts;
                regions[i] = (struct vmo_region){(uint8_t)rig.vmo_id, offset + at, bytes};
                at += bytes;
        }
        EXPECT_OK(vmo_store_make_tx_buffer(&rig_card()->store, &request, false, &frame.buffer));
        return frame;
}

zx_status_t rig_send(uint32_t queue, const struct netdev_frame *frame)
{
        uint32_t accepted;
        zx_status_t status = netdev_transmit(rig_card(), queue, frame, 1, &accepted);
        RIG_EXPECT(accepted == (status == ZX_OK));
        return status;
}

uint32_t rig_poll(uint32_t queue)
{
        return netdev_poll(rig_card(), queue, 64);
}

void rig_release_all(void)
{
        for (uint32_t i = 0; i < RIG_GOT_MAX; i++) {
                if (rig.got[i].held)
                        netdev_release_frame(rig_card(), rig.got[i].queue, &rig.got[i].frame);
                rig.got[i].held = false;
        }
}

/* ---- beginning and end ---- */

void rig_init(struct test *t, uint32_t pages)
{
        static const uint8_t mac[NETDEV_MAC_BYTES] = {0x52, 0x54, 0, 1, 2, 3};
        const uint16_t pairs = 1, mtu = 1500, table_entries = 128, link = 1;
        const uint32_t hash_types = 0x1ff;
        memset(&rig, 0, sizeof(rig));
        rig.t = t;
        rig.pages = pages;
        rig.memory = world_pages(t, pages, NULL);
        list_init(&rig.taken);
        EXPECT_OK(pmm_init(&rig.pmm, (uint64_t)(uintptr_t)rig.memory - RIG_BASE_PA));
        EXPECT_OK(pmm_add_arena(&rig.pmm, "rig", RIG_BASE_PA, pages * PAGE_BYTES));
        EXPECT_OK(vmo_pool_init(&rig.pool, &rig.pmm));
        rig.free_pages = pmm_count_free_pages(&rig.pmm);
        rig.offered = RIG_F(VERSION_1) | RIG_NET(MAC);
        rig.config_bytes = RIG_CONFIG_BYTES;
        rig.queue_count = 3;
        rig.queue_size = 16;
        rig.control_answers_left = NEVER;
        rig.queue_pairs = 1;
        memcpy(rig.config + VIRTIO_NET_CONFIG_MAC, mac, sizeof(mac));
        memcpy(rig.config + VIRTIO_NET_CONFIG_STATUS, &link, 2);
        memcpy(rig.config + VIRTIO_NET_CONFIG_PAIRS, &pairs, 2);
        memcpy(rig.config + VIRTIO_NET_CONFIG_MTU, &mtu, 2);
        rig.config[VIRTIO_NET_CONFIG_KEY_BYTES] = VIRTIO_NET_KEY_BYTES;
        memcpy(rig.config + VIRTIO_NET_CONFIG_TABLE_ENTRIES, &table_entries, 2);
        memcpy(rig.config + VIRTIO_NET_CONFIG_HASH_TYPES, &hash_types, 4);
}

zx_status_t rig_start_card(void)
{
        struct virtio_net_options options = {.pool = &rig.pool, .queue_size = RIG_QUEUE_SIZE_MAX,
                                             .queue_pairs = NETDEV_QUEUE_PAIRS_MAX};
        rig.transport = (struct virtio_transport){.ops = &ops, .device_type = 1,
                                                  .resets_queues = true,
                                                  .config_bytes = rig.config_bytes};
        return virtio_net_start(&rig_net, &rig.transport, &options);
}

zx_status_t rig_attach(void)
{
        struct netdev_client client = {.receive = on_receive, .transmit_done = on_transmit_done,
                                       .state_changed = on_state_changed, .announce = on_announce,
                                       .queue_pairs = rig.queue_pairs};
        zx_status_t status = vmo_create(&rig.pool, CLIENT_PAGES * PAGE_BYTES, 0, &rig.vmo);
        if (status != ZX_OK)
                return status;
        status = netdev_register_vmo(rig_card(), rig.vmo, &rig.vmo_id);
        if (status == ZX_OK) {
                status = netdev_attach(rig_card(), &client);
                if (status != ZX_OK && netdev_unregister_vmo(rig_card(), rig.vmo_id) != ZX_OK)
                        ASSERT(false);
        }
        if (status != ZX_OK) {
                vmo_put(rig.vmo);
                rig.vmo = NULL;
        }
        return status;
}

zx_status_t rig_start(struct test *t)
{
        zx_status_t status = rig_start_card();
        if (status == ZX_OK)
                EXPECT_OK(rig_attach());
        return status;
}

void rig_finish(struct test *t)
{
        rig_release_all();
        virtio_net_stop(&rig_net);
        if (rig.vmo != NULL) {
                EXPECT_OK(netdev_detach(rig_card()));
                vmo_put(rig.vmo);
        }
        EXPECT_TRUE(vmo_store_valid(&rig_card()->store));
        EXPECT_OK(virtio_net_free_memory(&rig_net));
        pmm_free(&rig.pmm, &rig.taken);
        EXPECT_EQ(pmm_count_free_pages(&rig.pmm), rig.free_pages);
        EXPECT_TRUE(pmm_check_all(&rig.pmm));
        EXPECT_EQ(rig.bad_addresses, 0);
        vmo_pool_fini(&rig.pool);
}

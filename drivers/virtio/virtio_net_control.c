/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The control queue of a virtio network card: one command at a time, waited for with a bound, and
 * the settings that are made of commands.
 *
 *   command page   | class, command | data ... | answer |      three elements; never reused while
 *                                                              an answer is outstanding
 *
 * A command that is not answered in time leaves its page with the device; from then on every
 * setting says ZX_ERR_TIMED_OUT, until the card is restarted. Facts: Virtio 1.3, 5.1.6.5. */
#include "base/assert.h"
#include "base/bytes.h"
#include "base/shared.h"
#include "drivers/virtio/virtio_net.h"
#include "kernel/log.h"

#define ANSWER_LIMIT_NS 1000000000ull
#define CONTROL_QUEUE_SIZE 4u /* one chain of three elements */
#define COMMAND_BYTES 2u
#define ANSWER_OK 0
#define ANSWER_NONE 0xff /* what stands there before the device has written */
#define ANSWER_OFFSET (PAGE_BYTES - 1)
#define DATA_BYTES_MAX (ANSWER_OFFSET - COMMAND_BYTES)

/* Class in the upper byte, command in the lower. */
enum control_command {
        RX_PROMISCUOUS = 0x000,
        RX_ALL_MULTICAST = 0x001,
        MAC_TABLE = 0x100,
        MAC_ADDRESS = 0x101,
        VLAN_ADD = 0x200,
        VLAN_DELETE = 0x201,
        ANNOUNCE_ACK = 0x300,
        MQ_PAIRS = 0x400,
        MQ_RSS = 0x401,
        MQ_HASH = 0x402,
        COALESCE_TRANSMIT = 0x600,
        COALESCE_RECEIVE = 0x601,
};

zx_status_t virtio_net_open_control(struct virtio_net *net)
{
        struct virtio_queue_options options = {.pmm = net->pmm, .size_limit = CONTROL_QUEUE_SIZE,
                                               .no_interrupt = true,
                                               .indirect_entries = CONTROL_QUEUE_SIZE};
        net->control_stuck = false;
        if (!virtio_device_has(&net->device, VIRTIO_NET_F_CTRL_VQ))
                return ZX_OK;
        zx_status_t status = virtio_queue_open(&net->control, &net->device, net->control_index,
                                               &options);
        if (status != ZX_OK)
                return status;
        net->control_open = true;
        return virtio_queue_alloc(&net->control, PAGE_BYTES, &net->command);
}

/* ---- one command ---- */

/* A command under construction; its data goes straight into the page. */
struct command {
        struct virtio_net *net;
        uint32_t data_bytes;
};

static struct command begin(struct virtio_net *net, enum control_command what)
{
        uint8_t head[COMMAND_BYTES] = {(uint8_t)(what >> 8), (uint8_t)what};
        if (net->control_open && !net->control_stuck)
                shared_copy_out(net->command.va, head, sizeof(head));
        return (struct command){.net = net};
}

static void put(struct command *command, const void *bytes, uint32_t count)
{
        struct virtio_net *net = command->net;
        ASSERT(command->data_bytes + count <= DATA_BYTES_MAX);
        if (net->control_open && !net->control_stuck)
                shared_copy_out((uint8_t *)net->command.va + COMMAND_BYTES + command->data_bytes,
                                bytes, count);
        command->data_bytes += count;
}

static void put16(struct command *command, uint32_t value)
{
        uint16_t field = (uint16_t)value;
        put(command, &field, sizeof(field));
}

static void put32(struct command *command, uint32_t value)
{
        put(command, &value, sizeof(value));
}

/* Waits for the one chain that is out. */
static zx_status_t wait_for_answer(struct virtio_net *net)
{
        struct virtio_transport *transport = net->device.transport;
        struct virtqueue_completion done;
        uint64_t start = transport->ops->now_ns(transport);
        uint32_t count;
        zx_status_t status;
        while ((status = virtqueue_driver_get(&net->control.ring, &done, 1, &count)) ==
               ZX_ERR_SHOULD_WAIT) {
                if (transport->ops->now_ns(transport) - start >= ANSWER_LIMIT_NS) {
                        net->control_stuck = true;
                        return ZX_ERR_TIMED_OUT;
                }
                transport->ops->pause(transport);
        }
        if (status != ZX_OK) {
                net->control_stuck = true;
                virtio_net_fault(net, &net->control);
                return ZX_ERR_IO;
        }
        uint8_t answer = shared_load_u8((uint8_t *)net->command.va + ANSWER_OFFSET);
        /* Some devices give back what they do not know without having written anything. */
        return done.written_bytes == 1 && answer == ANSWER_OK ? ZX_OK : ZX_ERR_IO;
}

/* Sends the command.
 *   returns  ZX_OK; ZX_ERR_IO: refused; ZX_ERR_TIMED_OUT; ZX_ERR_NOT_SUPPORTED: no control queue */
static zx_status_t finish(const struct command *command)
{
        struct virtio_net *net = command->net;
        struct virtqueue_element elements[3];
        uint32_t count = 0;
        if (!net->control_open)
                return ZX_ERR_NOT_SUPPORTED;
        if (net->control_stuck)
                return ZX_ERR_TIMED_OUT;
        shared_store_u8((uint8_t *)net->command.va + ANSWER_OFFSET, ANSWER_NONE);
        elements[count++] = (struct virtqueue_element){net->command.dev, COMMAND_BYTES};
        if (command->data_bytes != 0)
                elements[count++] = (struct virtqueue_element){net->command.dev + COMMAND_BYTES,
                                                               command->data_bytes};
        elements[count++] = (struct virtqueue_element){net->command.dev + ANSWER_OFFSET, 1};
        struct virtqueue_chain chain = {.elements = elements, .readable_count = count - 1,
                                        .writable_count = 1};
        zx_status_t status = virtqueue_driver_add(&net->control.ring, &chain);
        if (status != ZX_OK) /* the device's ring is too small for a command */
                return ZX_ERR_NOT_SUPPORTED;
        virtio_queue_flush(&net->control);
        return wait_for_answer(net);
}

static zx_status_t send_byte(struct virtio_net *net, enum control_command what, uint8_t value)
{
        struct command command = begin(net, what);
        put(&command, &value, sizeof(value));
        return finish(&command);
}

/* ---- which frames ---- */

static zx_status_t send_macs(struct virtio_net *net, const struct netdev_receive_mode *mode)
{
        struct command command = begin(net, MAC_TABLE);
        put32(&command, mode->unicast_count);
        put(&command, mode->macs, mode->unicast_count * NETDEV_MAC_BYTES);
        put32(&command, mode->multicast_count);
        put(&command, mode->macs[mode->unicast_count], mode->multicast_count * NETDEV_MAC_BYTES);
        return finish(&command);
}

static zx_status_t send_mode(struct virtio_net *net, const struct netdev_receive_mode *mode)
{
        zx_status_t status = send_macs(net, mode);
        if (status == ZX_OK)
                status = send_byte(net, RX_ALL_MULTICAST, mode->all_multicast);
        if (status == ZX_OK)
                status = send_byte(net, RX_PROMISCUOUS, mode->promiscuous);
        return status;
}

zx_status_t virtio_net_set_receive_mode(struct netdev *netdev,
                                        const struct netdev_receive_mode *mode)
{
        struct virtio_net *net = virtio_net_from(netdev);
        struct virtio_net_settings *settings = &net->settings;
        if (!virtio_device_has(&net->device, VIRTIO_NET_F_CTRL_RX))
                return ZX_ERR_NOT_SUPPORTED;
        zx_status_t status = send_mode(net, mode);
        if (status == ZX_OK) {
                settings->mode = *mode;
                settings->mode_set = true;
        } else if (status == ZX_ERR_IO && send_mode(net, &settings->mode) != ZX_OK) {
                log_line("virtio-net: %s: the device takes neither the new nor the old filters",
                         netdev->name);
        }
        return status;
}

static zx_status_t send_vlan(struct virtio_net *net, uint16_t vlan_id, bool pass)
{
        struct command command = begin(net, pass ? VLAN_ADD : VLAN_DELETE);
        put16(&command, vlan_id);
        return finish(&command);
}

zx_status_t virtio_net_set_vlan(struct netdev *netdev, uint16_t vlan_id, bool pass)
{
        struct virtio_net *net = virtio_net_from(netdev);
        uint8_t *byte = &net->settings.vlans[vlan_id / 8], bit = (uint8_t)(1u << vlan_id % 8);
        zx_status_t status = send_vlan(net, vlan_id, pass);
        if (status != ZX_OK)
                return status;
        net->settings.vlans_set = true;
        *byte = pass ? *byte | bit : *byte & (uint8_t)~bit;
        return ZX_OK;
}

static zx_status_t send_mac(struct virtio_net *net, const uint8_t *mac)
{
        struct command command = begin(net, MAC_ADDRESS);
        put(&command, mac, NETDEV_MAC_BYTES);
        return finish(&command);
}

zx_status_t virtio_net_set_mac(struct netdev *netdev, const uint8_t *mac)
{
        struct virtio_net *net = virtio_net_from(netdev);
        zx_status_t status = send_mac(net, mac);
        if (status == ZX_OK) {
                memcpy(net->settings.mac, mac, NETDEV_MAC_BYTES);
                net->settings.mac_set = true;
        }
        return status;
}

/* ---- when and where ---- */

static zx_status_t send_moderation(struct virtio_net *net, enum control_command what,
                                   uint32_t frames, uint32_t us)
{
        struct command command = begin(net, what);
        put32(&command, frames);
        put32(&command, us);
        return finish(&command);
}

zx_status_t virtio_net_set_moderation(struct netdev *netdev,
                                      const struct netdev_moderation *moderation)
{
        struct virtio_net *net = virtio_net_from(netdev);
        const struct netdev_moderation *old = &net->settings.moderation;
        zx_status_t status = send_moderation(net, COALESCE_TRANSMIT, moderation->transmit_frames,
                                             moderation->transmit_us);
        if (status != ZX_OK)
                return status;
        status = send_moderation(net, COALESCE_RECEIVE, moderation->receive_frames,
                                 moderation->receive_us);
        if (status == ZX_OK) {
                net->settings.moderation = *moderation;
                net->settings.moderation_set = true;
        } else if (send_moderation(net, COALESCE_TRANSMIT, old->transmit_frames,
                                   old->transmit_us) != ZX_OK) {
                log_line("virtio-net: %s: half of a moderation stays", netdev->name);
        }
        return status;
}

/* What everybody uses for the Toeplitz hash, so that other ends can check it. */
static const uint8_t key[VIRTIO_NET_KEY_BYTES] = {
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
        0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
        0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static void put_key(struct command *command)
{
        const uint8_t key_bytes = sizeof(key);
        put(command, &key_bytes, sizeof(key_bytes));
        put(command, key, sizeof(key));
}

static zx_status_t send_rss(struct virtio_net *net, uint32_t pairs)
{
        struct command command = begin(net, MQ_RSS);
        uint32_t entries = VIRTIO_NET_TABLE_ENTRIES_MIN / 2; /* the maximum may be exclusive */
        put32(&command, net->hash_types);
        put16(&command, entries - 1);
        put16(&command, 0); /* the pair for what has no hash */
        for (uint32_t i = 0; i < entries; i++)
                put16(&command, i % pairs);
        put16(&command, pairs); /* transmit queues */
        put_key(&command);
        return finish(&command);
}

static zx_status_t send_hash(struct virtio_net *net)
{
        static const uint8_t reserved[8];
        struct command command = begin(net, MQ_HASH);
        put32(&command, net->hash_types);
        put(&command, reserved, sizeof(reserved));
        put_key(&command);
        return finish(&command);
}

static zx_status_t send_pairs(struct virtio_net *net, uint32_t count)
{
        struct command command = begin(net, MQ_PAIRS);
        put16(&command, count);
        return finish(&command);
}

/* The hash comes last: at any other command of its class QEMU forgets it
 * (virtio_net_handle_mq()). */
zx_status_t virtio_net_steer(struct virtio_net *net, uint32_t count)
{
        uint32_t old = net->netdev.queue_pairs;
        bool has_new_pairs = false;
        zx_status_t status = ZX_OK;
        if (net->control_stuck)
                return ZX_ERR_TIMED_OUT; /* the device has heard nothing */
        if (virtio_device_has(&net->device, VIRTIO_NET_F_RSS)) {
                status = send_rss(net, count);
        } else {
                if (virtio_device_has(&net->device, VIRTIO_NET_F_MQ))
                        status = send_pairs(net, count);
                has_new_pairs = status == ZX_OK;
                if (has_new_pairs && virtio_device_has(&net->device, VIRTIO_NET_F_HASH_REPORT))
                        status = send_hash(net);
        }
        if (status == ZX_OK || count == old)
                return status;
        /* To the old pairs again; what was not answered may be done at any time. */
        if ((has_new_pairs || net->control_stuck) &&
            (send_pairs(net, old) != ZX_OK || send_hash(net) != ZX_OK) && !net->broken)
                virtio_net_fault(net, NULL);
        return status;
}

/* ---- after a restart ---- */

static zx_status_t restore_vlans(struct virtio_net *net)
{
        zx_status_t status = ZX_OK;
        for (uint16_t id = 0; id < VIRTIO_NET_VLAN_IDS && status == ZX_OK; id++)
                if (net->settings.vlans[id / 8] >> id % 8 & 1)
                        status = send_vlan(net, id, true);
        return status;
}

void virtio_net_restore_settings(struct virtio_net *net)
{
        const struct virtio_net_settings *settings = &net->settings;
        const struct netdev_moderation *moderation = &settings->moderation;
        zx_status_t status = ZX_OK;
        if (settings->mac_set) {
                status = send_mac(net, settings->mac);
                if (status == ZX_OK)
                        memcpy(net->netdev.mac, settings->mac, NETDEV_MAC_BYTES);
        }
        if (status == ZX_OK && settings->mode_set)
                status = send_mode(net, &settings->mode);
        if (status == ZX_OK && settings->vlans_set)
                status = restore_vlans(net);
        if (status == ZX_OK && settings->moderation_set)
                status = send_moderation(net, COALESCE_TRANSMIT, moderation->transmit_frames,
                                         moderation->transmit_us);
        if (status == ZX_OK && settings->moderation_set)
                status = send_moderation(net, COALESCE_RECEIVE, moderation->receive_frames,
                                         moderation->receive_us);
        if (status != ZX_OK)
                log_line("virtio-net: %s: its settings are not what they were: %s",
                         net->netdev.name, zx_status_name(status));
}

void virtio_net_acknowledge_announce(struct virtio_net *net)
{
        struct command command = begin(net, ANNOUNCE_ACK);
        if (finish(&command) != ZX_OK)
                log_line("virtio-net: %s: the device does not take the announcement",
                         net->netdev.name);
}

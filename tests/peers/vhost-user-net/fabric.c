/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Where frames go, see fabric.h. */
#include "tests/peers/vhost-user-net/fabric.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_SECOND 1000000000ull
#define GROUP_ADDRESS_MASK 1u /* in the first byte */

static uint64_t now_ns(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

bool fabric_add(struct fabric *fabric, struct net_port *port)
{
        if (fabric->ports_count == FABRIC_PORTS_MAX)
                return false;
        port->batch = aligned_alloc(NET_BATCH_STEP, sizeof(*port->batch));
        if (port->batch == NULL)
                return false;
        net_batch_clear(port->batch);
        fabric->ports[fabric->ports_count++] = port;
        return true;
}

/* ---- addresses ---- */

static uint64_t read_address(const uint8_t *at)
{
        uint64_t address = 0;
        memcpy(&address, at, ETHERNET_ADDRESS_BYTES);
        return address;
}

static struct fabric_address *address_place(struct fabric *fabric, uint64_t address)
{
        return &fabric->addresses[(address * 0x9e3779b97f4a7c15ull) >> 54 &
                                  (FABRIC_ADDRESSES - 1)];
}

/* The last one that hashes to a place has it: a sender of many addresses cannot fill the table. */
static void learn(struct fabric *fabric, struct net_port *port, const uint8_t *source)
{
        uint64_t address = read_address(source);
        if (source[0] & GROUP_ADDRESS_MASK || address == 0)
                return;
        *address_place(fabric, address) = (struct fabric_address){address, port};
}

/* The port behind which an address is; NULL: unknown. */
static struct net_port *look_up(struct fabric *fabric, const uint8_t *destination)
{
        uint64_t address = read_address(destination);
        const struct fabric_address *place = address_place(fabric, address);
        if (destination[0] & GROUP_ADDRESS_MASK || place->address != address)
                return NULL;
        return place->port;
}

/* ---- ways ---- */

static enum net_delivery hand_over(struct net_port *to, struct net_frame_place *frame)
{
        enum net_delivery result = to->ops->deliver(to, frame);
        if (result == NET_DELIVERED) {
                to->counters.frames_out++;
                to->counters.bytes_out += frame->bytes;
                to->touched = true;
        }
        return result;
}

/* To one receiver; false: the frame waits. */
static bool send_to(struct fabric *fabric, struct net_port *from, struct net_port *to,
                    struct net_frame_place *frame, bool may_wait)
{
        if (hand_over(to, frame) != NET_FULL)
                return true;
        if (may_wait && fabric->when_full != FABRIC_FULL_DROP) {
                uint64_t now = now_ns();
                if (from->stalled_on == NULL)
                        from->stalled_since_ns = now;
                from->stalled_on = to;
                if (now - from->stalled_since_ns < FABRIC_STALL_NS)
                        return false;
        }
        to->counters.dropped_full++;
        return true;
}

static bool switch_frame(struct fabric *fabric, struct net_port *from,
                         struct net_frame_place *frame)
{
        bool wire = fabric->ports_count == 2 || fabric->when_full == FABRIC_FULL_WAIT;
        struct net_port *to = look_up(fabric, frame->data);
        learn(fabric, from, frame->data + ETHERNET_ADDRESS_BYTES);
        if (to == from) /* its own side of the wire */
                return true;
        if (to != NULL)
                return send_to(fabric, from, to, frame, wire);
        for (size_t i = 0; i < fabric->ports_count; i++)
                if (fabric->ports[i] != from &&
                    !send_to(fabric, from, fabric->ports[i], frame, fabric->ports_count == 2))
                        return false; /* there is one receiver only, so nobody gets it twice */
        return true;
}

static void swap_addresses(uint8_t *frame)
{
        uint8_t kept[ETHERNET_ADDRESS_BYTES];
        memcpy(kept, frame, sizeof(kept));
        memcpy(frame, frame + ETHERNET_ADDRESS_BYTES, sizeof(kept));
        memcpy(frame + ETHERNET_ADDRESS_BYTES, kept, sizeof(kept));
}

/* What is done with every frame once, when it was taken. */
static void look_at_batch(struct fabric *fabric, struct net_port *port)
{
        struct net_batch *batch = port->batch;
        port->counters.frames_in += batch->count;
        for (uint32_t i = 0; i < batch->count; i++) {
                port->counters.bytes_in += batch->frames[i].bytes;
                if (fabric->capture != NULL)
                        pcap_file_write(fabric->capture, batch->frames[i].data,
                                        batch->frames[i].bytes);
                if (fabric->mode == FABRIC_MACSWAP)
                        swap_addresses(batch->frames[i].data);
                else if (fabric->mode == FABRIC_SWITCH)
                        batch->frames[i].pair = NET_PAIR_ANY;
        }
        if (batch->count != 0)
                port->touched = true;
}

/* Delivers what was taken, as far as it goes. */
static void forward(struct fabric *fabric, struct net_port *port)
{
        struct net_batch *batch = port->batch;
        if (fabric->mode == FABRIC_DISCARD) {
                port->counters.discarded += batch->count - batch->next;
                batch->next = batch->count;
        }
        for (; batch->next < batch->count; batch->next++) {
                struct net_frame_place *frame = &batch->frames[batch->next];
                bool gone = fabric->mode == FABRIC_SWITCH ?
                                    switch_frame(fabric, port, frame) :
                                    send_to(fabric, port, port, frame, true);
                if (!gone)
                        return;
                port->stalled_on = NULL;
        }
}

/* False: nothing moved. A port may also have taken what was no frame. */
static bool run_port(struct fabric *fabric, struct net_port *port)
{
        struct net_batch *batch = port->batch;
        uint32_t before = batch->next;
        if (batch->next == batch->count) {
                net_batch_clear(batch);
                before = 0;
                port->ops->take(port, batch);
                look_at_batch(fabric, port);
        }
        forward(fabric, port);
        return batch->next != before || port->touched;
}

bool fabric_run(struct fabric *fabric)
{
        bool moved = false;
        for (size_t i = 0; i < fabric->ports_count; i++) {
                if (!run_port(fabric, fabric->ports[i]))
                        continue;
                moved = true;
                for (size_t j = 0; j < fabric->ports_count; j++)
                        if (fabric->ports[j]->touched) {
                                fabric->ports[j]->touched = false;
                                fabric->ports[j]->ops->flush(fabric->ports[j]);
                        }
        }
        return moved;
}

bool fabric_ask(struct fabric *fabric)
{
        bool ready = false;
        for (size_t i = 0; i < fabric->ports_count; i++) {
                struct net_port *port = fabric->ports[i];
                if (port->stalled_on != NULL)
                        ready |= port->stalled_on->ops->ask_sink(port->stalled_on);
                else
                        ready |= port->ops->ask_source(port);
        }
        return ready;
}

bool fabric_stalled(const struct fabric *fabric)
{
        for (size_t i = 0; i < fabric->ports_count; i++)
                if (fabric->ports[i]->stalled_on != NULL)
                        return true;
        return false;
}

void fabric_fini(struct fabric *fabric)
{
        for (size_t i = 0; i < fabric->ports_count; i++) {
                free(fabric->ports[i]->batch);
                fabric->ports[i]->batch = NULL;
        }
        fabric->ports_count = 0;
}

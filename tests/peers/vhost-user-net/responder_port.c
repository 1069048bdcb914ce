/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* An answering host, see responder_port.h. */
#include "tests/peers/vhost-user-net/responder_port.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "tests/peers/net_bytes.h"

#define FRAME_BYTES_MIN 60u
#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_ARP 0x0806u
#define ARP_BYTES 28u
#define ARP_REQUEST 1u
#define ARP_REPLY 2u
#define IP_BYTES 20u
#define IP_FRAGMENT_MASK 0x3fffu
#define IP_HOPS 64u
#define PROTOCOL_ICMP 1u
#define PROTOCOL_UDP 17u
#define ICMP_BYTES 8u
#define ICMP_ECHO_REQUEST 8u
#define ICMP_ECHO_REPLY 0u
#define UDP_BYTES 8u
#define DHCP_SERVER_PORT 67u
#define DHCP_CLIENT_PORT 68u
#define DHCP_FIXED_BYTES 236u
#define DHCP_COOKIE 0x63825363u
#define DHCP_MESSAGE_BYTES 300u /* of the answers, whose options are few */
#define DHCP_DISCOVER 1u
#define DHCP_OFFER 2u
#define DHCP_REQUEST 3u
#define DHCP_ACK 5u
#define DHCP_NAK 6u
#define DHCP_LEASE_SECONDS 86400u
#define CLIENTS_MAX 64u
#define FIRST_CLIENT_OFFSET 13u /* from the host's address: .2 and .15 */

enum dhcp_option {
        DHCP_OPTION_PAD = 0,
        DHCP_OPTION_MASK = 1,
        DHCP_OPTION_ROUTER = 3,
        DHCP_OPTION_REQUESTED = 50,
        DHCP_OPTION_LEASE = 51,
        DHCP_OPTION_TYPE = 53,
        DHCP_OPTION_SERVER = 54,
        DHCP_OPTION_END = 255,
};

struct responder_port {
        struct net_port port; /* first */
        uint8_t address[ETHERNET_ADDRESS_BYTES];
        uint32_t ip, mask;
        uint8_t clients[CLIENTS_MAX][ETHERNET_ADDRESS_BYTES]; /* by the order of their coming */
        uint32_t clients_count;
        struct net_batch answers; /* to be taken */
};

/* A frame that is taken apart. */
struct view {
        const uint8_t *at;
        uint32_t bytes;
};

/* ---- answers ---- */

/* Begins an answer to `to`; NULL: no room. It is added by finish(). */
static uint8_t *begin(struct responder_port *responder, const uint8_t *to, uint16_t type)
{
        struct net_batch *answers = &responder->answers;
        if (!net_batch_has_room(answers))
                return NULL;
        uint8_t *frame = net_batch_place(answers);
        memset(frame - NET_HEADER_BYTES, 0, NET_HEADER_BYTES + FRAME_BYTES_MIN);
        memcpy(frame, to, ETHERNET_ADDRESS_BYTES);
        memcpy(frame + ETHERNET_ADDRESS_BYTES, responder->address, ETHERNET_ADDRESS_BYTES);
        put16(frame + 2 * ETHERNET_ADDRESS_BYTES, type);
        return frame;
}

static void finish(struct responder_port *responder, uint32_t bytes)
{
        net_batch_add(&responder->answers, bytes < FRAME_BYTES_MIN ? FRAME_BYTES_MIN : bytes,
                      NET_PAIR_ANY);
}

/* An IP header for `payload_bytes` that follow it. */
static void put_ip(uint8_t *ip, uint8_t protocol, uint32_t from, uint32_t to)
{
        ip[8] = IP_HOPS;
        ip[9] = protocol;
        put32(ip + 12, from);
        put32(ip + 16, to);
}

static void end_ip(uint8_t *ip, uint32_t payload_bytes)
{
        ip[0] = 0x45; /* version 4, 5 words */
        put16(ip + 2, IP_BYTES + payload_bytes);
        put16(ip + 10, 0);
        put16(ip + 10, internet_checksum(ip, IP_BYTES));
}

static void answer_arp(struct responder_port *responder, struct view arp)
{
        static const uint8_t ethernet_ipv4[] = {0, 1, 8, 0, 6, 4};
        if (arp.bytes < ARP_BYTES || memcmp(arp.at, ethernet_ipv4, sizeof(ethernet_ipv4)) != 0 ||
            get16(arp.at + 6) != ARP_REQUEST || get32(arp.at + 24) != responder->ip)
                return;
        uint8_t *frame = begin(responder, arp.at + 8, ETHERTYPE_ARP);
        if (frame == NULL)
                return;
        uint8_t *answer = frame + ETHERNET_HEADER_BYTES;
        memcpy(answer, ethernet_ipv4, sizeof(ethernet_ipv4));
        put16(answer + 6, ARP_REPLY);
        memcpy(answer + 8, responder->address, ETHERNET_ADDRESS_BYTES);
        put32(answer + 14, responder->ip);
        memcpy(answer + 18, arp.at + 8, 10); /* the asker's two addresses */
        finish(responder, ETHERNET_HEADER_BYTES + ARP_BYTES);
}

static void answer_echo(struct responder_port *responder, const uint8_t *asker, uint32_t asker_ip,
                        struct view icmp)
{
        if (icmp.bytes < ICMP_BYTES || icmp.at[0] != ICMP_ECHO_REQUEST || icmp.at[1] != 0 ||
            internet_checksum(icmp.at, icmp.bytes) != 0)
                return;
        uint8_t *frame = begin(responder, asker, ETHERTYPE_IPV4);
        if (frame == NULL)
                return;
        uint8_t *ip = frame + ETHERNET_HEADER_BYTES, *answer = ip + IP_BYTES;
        put_ip(ip, PROTOCOL_ICMP, responder->ip, asker_ip);
        end_ip(ip, icmp.bytes);
        memcpy(answer, icmp.at, icmp.bytes);
        answer[0] = ICMP_ECHO_REPLY;
        put16(answer + 2, 0);
        put16(answer + 2, internet_checksum(answer, icmp.bytes));
        finish(responder, ETHERNET_HEADER_BYTES + IP_BYTES + icmp.bytes);
}

/* ---- DHCP ---- */

/* The address of a client, a new one if need be; 0: there are no more. */
static uint32_t lease(struct responder_port *responder, const uint8_t *client)
{
        uint32_t i = 0;
        while (i < responder->clients_count &&
               memcmp(responder->clients[i], client, ETHERNET_ADDRESS_BYTES) != 0)
                i++;
        uint32_t ip = responder->ip + FIRST_CLIENT_OFFSET + i;
        if (i == CLIENTS_MAX || (ip & responder->mask) != (responder->ip & responder->mask))
                return 0;
        if (i == responder->clients_count)
                memcpy(responder->clients[responder->clients_count++], client,
                       ETHERNET_ADDRESS_BYTES);
        return ip;
}

/* What matters of a client's options; false: they leave the message. */
struct wishes {
        uint8_t type;
        uint32_t server, requested;
};

static bool read_options(struct view options, struct wishes *wishes)
{
        uint32_t i = 0;
        *wishes = (struct wishes){0};
        while (i < options.bytes && options.at[i] != DHCP_OPTION_END) {
                const uint8_t *option = options.at + i;
                if (*option == DHCP_OPTION_PAD) {
                        i++;
                        continue;
                }
                if (options.bytes - i < 2 || option[1] > options.bytes - i - 2)
                        return false;
                if (option[0] == DHCP_OPTION_TYPE && option[1] == 1)
                        wishes->type = option[2];
                else if (option[0] == DHCP_OPTION_SERVER && option[1] == 4)
                        wishes->server = get32(option + 2);
                else if (option[0] == DHCP_OPTION_REQUESTED && option[1] == 4)
                        wishes->requested = get32(option + 2);
                i += 2u + option[1];
        }
        return i < options.bytes;
}

static uint8_t *put_option(uint8_t *at, enum dhcp_option option, uint32_t value)
{
        at[0] = (uint8_t)option;
        at[1] = sizeof(value);
        put32(at + 2, value);
        return at + 2 + sizeof(value);
}

/* The answer, by broadcast: the client may have no address yet. */
static void send_dhcp(struct responder_port *responder, const uint8_t *question, uint8_t type,
                      uint32_t ip_offered)
{
        static const uint8_t everybody[ETHERNET_ADDRESS_BYTES] = {255, 255, 255, 255, 255, 255};
        uint8_t *frame = begin(responder, everybody, ETHERTYPE_IPV4);
        if (frame == NULL)
                return;
        uint8_t *ip = frame + ETHERNET_HEADER_BYTES, *udp = ip + IP_BYTES;
        uint8_t *message = udp + UDP_BYTES, *option = message + DHCP_FIXED_BYTES;
        memset(udp, 0, UDP_BYTES + DHCP_MESSAGE_BYTES);
        put_ip(ip, PROTOCOL_UDP, responder->ip, UINT32_MAX);
        end_ip(ip, UDP_BYTES + DHCP_MESSAGE_BYTES);
        put16(udp, DHCP_SERVER_PORT);
        put16(udp + 2, DHCP_CLIENT_PORT);
        put16(udp + 4, UDP_BYTES + DHCP_MESSAGE_BYTES);
        message[0] = 2; /* a reply */
        memcpy(message + 1, question + 1, 7); /* hardware, transaction */
        memcpy(message + 10, question + 10, 2); /* flags */
        put32(message + 16, ip_offered);
        put32(message + 20, responder->ip);
        memcpy(message + 28, question + 28, 16);
        put32(option, DHCP_COOKIE);
        option += 4;
        *option++ = DHCP_OPTION_TYPE;
        *option++ = 1;
        *option++ = type;
        option = put_option(option, DHCP_OPTION_SERVER, responder->ip);
        if (type != DHCP_NAK) {
                option = put_option(option, DHCP_OPTION_LEASE, DHCP_LEASE_SECONDS);
                option = put_option(option, DHCP_OPTION_MASK, responder->mask);
                option = put_option(option, DHCP_OPTION_ROUTER, responder->ip);
        }
        *option = DHCP_OPTION_END;
        finish(responder, ETHERNET_HEADER_BYTES + IP_BYTES + UDP_BYTES + DHCP_MESSAGE_BYTES);
}

static void answer_dhcp(struct responder_port *responder, struct view udp)
{
        struct wishes wishes;
        if (udp.bytes < UDP_BYTES + DHCP_FIXED_BYTES + 4 || get16(udp.at + 2) != DHCP_SERVER_PORT)
                return;
        const uint8_t *question = udp.at + UDP_BYTES;
        uint32_t bytes = udp.bytes - UDP_BYTES;
        struct view options = {question + DHCP_FIXED_BYTES + 4, bytes - DHCP_FIXED_BYTES - 4};
        if (question[0] != 1 || question[2] != ETHERNET_ADDRESS_BYTES ||
            get32(question + DHCP_FIXED_BYTES) != DHCP_COOKIE || !read_options(options, &wishes))
                return;
        if (wishes.type != DHCP_DISCOVER && wishes.type != DHCP_REQUEST)
                return;
        if (wishes.server != 0 && wishes.server != responder->ip)
                return; /* it talks to another one */
        uint32_t ip = lease(responder, question + 28);
        uint32_t wanted = wishes.requested != 0 ? wishes.requested : get32(question + 12);
        if (ip == 0)
                return;
        if (wishes.type == DHCP_DISCOVER)
                send_dhcp(responder, question, DHCP_OFFER, ip);
        else if (wanted == ip)
                send_dhcp(responder, question, DHCP_ACK, ip);
        else
                send_dhcp(responder, question, DHCP_NAK, 0);
}

static void answer_ip(struct responder_port *responder, const uint8_t *asker, struct view ip)
{
        if (ip.bytes < IP_BYTES || ip.at[0] >> 4 != 4)
                return;
        uint32_t head = (ip.at[0] & 15u) * 4, total = get16(ip.at + 2);
        uint32_t to = get32(ip.at + 16);
        if (head < IP_BYTES || total < head || total > ip.bytes ||
            (get16(ip.at + 6) & IP_FRAGMENT_MASK) != 0 || internet_checksum(ip.at, head) != 0)
                return;
        struct view payload = {ip.at + head, total - head};
        if (ip.at[9] == PROTOCOL_ICMP && to == responder->ip)
                answer_echo(responder, asker, get32(ip.at + 12), payload);
        else if (ip.at[9] == PROTOCOL_UDP && (to == responder->ip || to == UINT32_MAX))
                answer_dhcp(responder, payload);
}

/* ---- the port ---- */

static enum net_delivery deliver(struct net_port *port, struct net_frame_place *frame)
{
        struct responder_port *responder = CONTAINER_OF(port, struct responder_port, port);
        struct view behind = {frame->data + ETHERNET_HEADER_BYTES,
                              frame->bytes - ETHERNET_HEADER_BYTES};
        if (!net_batch_has_room(&responder->answers))
                return NET_FULL;
        net_frame_complete_checksum(frame);
        switch (get16(frame->data + 2 * ETHERNET_ADDRESS_BYTES)) {
        case ETHERTYPE_ARP:
                answer_arp(responder, behind);
                break;
        case ETHERTYPE_IPV4:
                answer_ip(responder, frame->data + ETHERNET_ADDRESS_BYTES, behind);
                break;
        }
        return NET_DELIVERED;
}

static void take(struct net_port *port, struct net_batch *batch)
{
        struct responder_port *responder = CONTAINER_OF(port, struct responder_port, port);
        struct net_batch *answers = &responder->answers;
        for (uint32_t i = 0; i < answers->count; i++) {
                const struct net_frame_place *answer = &answers->frames[i];
                memcpy(net_batch_place(batch) - NET_HEADER_BYTES, answer->data - NET_HEADER_BYTES,
                       NET_HEADER_BYTES + answer->bytes);
                net_batch_add(batch, answer->bytes, NET_PAIR_ANY);
        }
        net_batch_clear(answers);
}

static void do_nothing(struct net_port *port)
{
}

static bool has_answers(struct net_port *port)
{
        return CONTAINER_OF(port, struct responder_port, port)->answers.count != 0;
}

static bool has_room(struct net_port *port)
{
        return net_batch_has_room(&CONTAINER_OF(port, struct responder_port, port)->answers);
}

static bool must_poll(const struct net_port *port)
{
        return false;
}

static void close_responder(struct net_port *port)
{
        free(CONTAINER_OF(port, struct responder_port, port));
}

struct net_port *responder_port_new(const char *address)
{
        static const struct net_port_ops ops = {.take = take, .deliver = deliver,
                                                .flush = do_nothing, .ask_source = has_answers,
                                                .ask_sink = has_room, .must_poll = must_poll,
                                                .tick = do_nothing, .close = close_responder};
        static const uint8_t locally_administered[] = {0x52, 0x55};
        char host[INET_ADDRSTRLEN];
        struct in_addr ip;
        unsigned bits;
        char rest;
        struct responder_port *responder;
        if (sscanf(address, "%15[0-9.]/%u%c", host, &bits, &rest) != 2 || bits < 8 || bits > 30 ||
            inet_pton(AF_INET, host, &ip) != 1) {
                fprintf(stderr, "%s: expected an address such as 10.0.2.2/24\n", address);
                return NULL;
        }
        responder = aligned_alloc(NET_BATCH_STEP, sizeof(*responder));
        if (responder == NULL)
                return NULL;
        memset(responder, 0, offsetof(struct responder_port, answers));
        net_batch_clear(&responder->answers);
        responder->port.ops = &ops;
        snprintf(responder->port.name, sizeof(responder->port.name), "respond:%.100s", address);
        responder->ip = ntohl(ip.s_addr);
        responder->mask = UINT32_MAX << (32 - bits);
        memcpy(responder->address, locally_administered, sizeof(locally_administered));
        put32(responder->address + 2, responder->ip);
        return &responder->port;
}

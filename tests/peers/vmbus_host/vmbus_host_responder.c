/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_responder — answers ARP, ICMP echo, DHCP and UDP echo.
 * Facts: the RFCs in the header. */
#include "tests/peers/vmbus_host/vmbus_host_responder.h"

#include "base/bytes.h"
#include "tests/peers/net_bytes.h"
#include "tests/peers/vmbus_host/wire_net.h"

#define ETHERNET_BYTES 14u
#define ARP_BYTES 28u
#define IP_BYTES 20u
#define UDP_BYTES 8u
#define ICMP_BYTES 8u
#define ETHERTYPE_ARP 0x0806u
#define ETHERTYPE_IPV4 0x0800u
#define PROTOCOL_ICMP 1u
#define PROTOCOL_UDP 17u
#define ICMP_REPLY 0u
#define ICMP_REQUEST 8u
#define PORT_ECHO 7u
#define PORT_DHCP_SERVER 67u
#define PORT_DHCP_CLIENT 68u
#define DHCP_FIXED_BYTES 240u /* up to and with the magic cookie */
#define DHCP_COOKIE 0x63825363u
#define DHCP_OPTION_TYPE 53u
#define DHCP_OPTION_PAD 0u
#define DHCP_OPTION_END 255u
#define DHCP_DISCOVER 1u
#define DHCP_OFFER 2u
#define DHCP_REQUEST 3u
#define DHCP_ACK 5u
#define LEASE_SECONDS 86400u
#define NETMASK 0xffffff00u
#define PING_BYTES 56u
#define PING_IDENTIFIER 0x5041u
#define TTL 64u

static const uint8_t router_mac[6] = {0x52, 0x55, 0x0a, 0x00, 0x02, 0x02};

/* ---- the queue to the guest ---- */

/* A place for the next frame, zeroed; NULL when too much waits. */
static uint8_t *new_frame(struct vmbus_host_responder *responder, uint32_t bytes)
{
        uint32_t place = (responder->head + responder->count) % VMBUS_HOST_RESPONDER_FRAMES;
        if (responder->count == VMBUS_HOST_RESPONDER_FRAMES || bytes > VMBUS_HOST_RESPONDER_SLOT) {
                responder->overruns++;
                return NULL;
        }
        memset(responder->frames[place], 0, bytes);
        responder->bytes[place] = (uint16_t)bytes;
        responder->count++;
        return responder->frames[place];
}

static bool ready(void *context)
{
        const struct vmbus_host_responder *responder = context;
        return responder->count + RNDIS_PACKETS_MAX <= VMBUS_HOST_RESPONDER_FRAMES;
}

static uint32_t take(void *context, void *frame, uint32_t capacity)
{
        struct vmbus_host_responder *responder = context;
        if (responder->count == 0)
                return 0;
        uint32_t bytes = responder->bytes[responder->head];
        memcpy(frame, responder->frames[responder->head], min_u64(bytes, capacity));
        responder->head = (responder->head + 1) % VMBUS_HOST_RESPONDER_FRAMES;
        responder->count--;
        return bytes;
}

/* Ethernet and IP headers of an answer with `bytes` behind them; where those begin, or NULL. */
static uint8_t *new_packet(struct vmbus_host_responder *responder, uint32_t protocol,
                           uint32_t from, uint32_t to, uint32_t bytes)
{
        static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
        uint8_t *frame = new_frame(responder, ETHERNET_BYTES + IP_BYTES + bytes);
        if (frame == NULL)
                return NULL;
        uint8_t *ip = frame + ETHERNET_BYTES;
        memcpy(frame, to == UINT32_MAX ? broadcast : responder->guest_mac, 6);
        memcpy(frame + 6, router_mac, 6);
        put16(frame + 12, ETHERTYPE_IPV4);
        ip[0] = 0x45;
        put16(ip + 2, IP_BYTES + bytes);
        put16(ip + 6, 0x4000);
        ip[8] = TTL;
        ip[9] = (uint8_t)protocol;
        put32(ip + 12, from);
        put32(ip + 16, to);
        put16(ip + 10, internet_checksum(ip, IP_BYTES));
        return ip + IP_BYTES;
}

/* ---- protocols ---- */

static bool answer_arp(struct vmbus_host_responder *responder, const uint8_t *frame, uint32_t bytes)
{
        const uint8_t *arp = frame + ETHERNET_BYTES;
        if (bytes < ETHERNET_BYTES + ARP_BYTES || get16(arp) != 1 ||
            get16(arp + 2) != ETHERTYPE_IPV4 || get16(arp + 4) != 0x0604 || get16(arp + 6) != 1)
                return false;
        uint32_t target = get32(arp + 24);
        memcpy(responder->guest_mac, arp + 8, 6);
        if ((target & NETMASK) != (VMBUS_HOST_RESPONDER_ADDRESS & NETMASK) ||
            target == VMBUS_HOST_RESPONDER_GUEST || get32(arp + 14) == target)
                return true; /* an announcement, or for somebody else */
        uint8_t *answer = new_frame(responder, ETHERNET_BYTES + ARP_BYTES);
        if (answer == NULL)
                return true;
        memcpy(answer, arp + 8, 6);
        memcpy(answer + 6, router_mac, 6);
        put16(answer + 12, ETHERTYPE_ARP);
        memcpy(answer + ETHERNET_BYTES, arp, 8);
        put16(answer + 20, 2);
        memcpy(answer + 22, router_mac, 6);
        put32(answer + 28, target);
        memcpy(answer + 32, arp + 8, 10);
        responder->arp_answered++;
        return true;
}

static bool answer_icmp(struct vmbus_host_responder *responder, const uint8_t *ip,
                        const uint8_t *icmp, uint32_t bytes)
{
        if (bytes < ICMP_BYTES || internet_checksum(icmp, bytes) != 0)
                return false;
        if (icmp[0] == ICMP_REPLY && get16(icmp + 4) == PING_IDENTIFIER) {
                responder->pings_answered++;
                return true;
        }
        if (icmp[0] != ICMP_REQUEST)
                return false;
        uint8_t *answer =
                new_packet(responder, PROTOCOL_ICMP, get32(ip + 16), get32(ip + 12), bytes);
        if (answer == NULL)
                return true;
        memcpy(answer, icmp, bytes);
        answer[0] = ICMP_REPLY;
        put16(answer + 2, 0);
        put16(answer + 2, internet_checksum(answer, bytes));
        responder->echo_answered++;
        return true;
}

/* The value of the DHCP message type, 0 when there is none. */
static uint32_t dhcp_type(const uint8_t *options, uint32_t bytes)
{
        uint32_t at = 0;
        while (at + 1 < bytes && options[at] != DHCP_OPTION_END) { /* forward by 1 at least */
                if (options[at] == DHCP_OPTION_PAD) {
                        at++;
                        continue;
                }
                if (options[at] == DHCP_OPTION_TYPE && options[at + 1] == 1 && at + 2 < bytes)
                        return options[at + 2];
                at += 2u + options[at + 1];
        }
        return 0;
}

static uint8_t *put_option(uint8_t *at, uint8_t option, uint32_t value)
{
        at[0] = option;
        at[1] = 4;
        put32(at + 2, value);
        return at + 6;
}

static bool answer_dhcp(struct vmbus_host_responder *responder, const uint8_t *request,
                        uint32_t bytes)
{
        enum { ANSWER_BYTES = 300 };
        if (bytes < DHCP_FIXED_BYTES || request[0] != 1 || request[1] != 1 || request[2] != 6 ||
            get32(request + 236) != DHCP_COOKIE)
                return false;
        uint32_t type = dhcp_type(request + DHCP_FIXED_BYTES, bytes - DHCP_FIXED_BYTES);
        if (type != DHCP_DISCOVER && type != DHCP_REQUEST)
                return false;
        memcpy(responder->guest_mac, request + 28, 6);
        uint8_t *udp = new_packet(responder, PROTOCOL_UDP, VMBUS_HOST_RESPONDER_ADDRESS, UINT32_MAX,
                                  UDP_BYTES + ANSWER_BYTES);
        if (udp == NULL)
                return true;
        put16(udp, PORT_DHCP_SERVER);
        put16(udp + 2, PORT_DHCP_CLIENT);
        put16(udp + 4, UDP_BYTES + ANSWER_BYTES);
        uint8_t *answer = udp + UDP_BYTES, *option = answer + DHCP_FIXED_BYTES;
        memcpy(answer, request, 8); /* with the transaction id */
        answer[0] = 2;
        memcpy(answer + 10, request + 10, 2); /* flags */
        put32(answer + 16, VMBUS_HOST_RESPONDER_GUEST);
        put32(answer + 20, VMBUS_HOST_RESPONDER_ADDRESS);
        memcpy(answer + 28, request + 28, 16);
        put32(answer + 236, DHCP_COOKIE);
        *option++ = DHCP_OPTION_TYPE;
        *option++ = 1;
        *option++ = type == DHCP_DISCOVER ? DHCP_OFFER : DHCP_ACK;
        option = put_option(option, 54, VMBUS_HOST_RESPONDER_ADDRESS); /* server */
        option = put_option(option, 51, LEASE_SECONDS);
        option = put_option(option, 1, NETMASK);
        option = put_option(option, 3, VMBUS_HOST_RESPONDER_ADDRESS); /* router */
        *option = DHCP_OPTION_END;
        if (type == DHCP_REQUEST) {
                responder->leased = true;
                responder->leases++;
        }
        return true;
}

static bool answer_udp(struct vmbus_host_responder *responder, const uint8_t *ip,
                       const uint8_t *udp, uint32_t bytes)
{
        if (bytes < UDP_BYTES || get16(udp + 4) < UDP_BYTES || get16(udp + 4) > bytes)
                return false;
        bytes = get16(udp + 4);
        if (get16(udp + 2) == PORT_DHCP_SERVER && get16(udp) == PORT_DHCP_CLIENT)
                return answer_dhcp(responder, udp + UDP_BYTES, bytes - UDP_BYTES);
        if (get16(udp + 2) != PORT_ECHO)
                return false;
        uint8_t *answer =
                new_packet(responder, PROTOCOL_UDP, get32(ip + 16), get32(ip + 12), bytes);
        if (answer == NULL)
                return true;
        memcpy(answer, udp + 2, 2);
        memcpy(answer + 2, udp, 2);
        memcpy(answer + 4, udp + 4, bytes - 4); /* addresses and ports are the same in sum */
        responder->udp_answered++;
        return true;
}

static bool answer_ip(struct vmbus_host_responder *responder, const uint8_t *frame, uint32_t bytes)
{
        const uint8_t *ip = frame + ETHERNET_BYTES;
        uint32_t left = bytes - ETHERNET_BYTES;
        if (left < IP_BYTES || ip[0] != 0x45 || get16(ip + 2) < IP_BYTES || get16(ip + 2) > left ||
            internet_checksum(ip, IP_BYTES) != 0 || (get16(ip + 6) & 0x3fff) != 0)
                return false;
        memcpy(responder->guest_mac, frame + 6, 6);
        left = get16(ip + 2) - IP_BYTES;
        if (ip[9] == PROTOCOL_ICMP)
                return answer_icmp(responder, ip, ip + IP_BYTES, left);
        if (ip[9] == PROTOCOL_UDP)
                return answer_udp(responder, ip, ip + IP_BYTES, left);
        return false;
}

static void give(void *context, const void *frame_bytes, uint32_t bytes)
{
        struct vmbus_host_responder *responder = context;
        const uint8_t *frame = frame_bytes;
        uint32_t type = get16(frame + 12);
        if (!(type == ETHERTYPE_ARP && answer_arp(responder, frame, bytes)) &&
            !(type == ETHERTYPE_IPV4 && answer_ip(responder, frame, bytes)))
                responder->dropped++;
}

/* ---- the rest ---- */

void vmbus_host_responder_init(struct vmbus_host_responder *responder)
{
        memset(responder, 0, sizeof(*responder));
        responder->port = (struct vmbus_host_frame_port){responder, give, take, ready};
}

bool vmbus_host_responder_ping(struct vmbus_host_responder *responder)
{
        if (!responder->leased)
                return false;
        uint8_t *icmp = new_packet(responder, PROTOCOL_ICMP, VMBUS_HOST_RESPONDER_ADDRESS,
                                   VMBUS_HOST_RESPONDER_GUEST, ICMP_BYTES + PING_BYTES);
        if (icmp == NULL)
                return false;
        icmp[0] = ICMP_REQUEST;
        put16(icmp + 4, PING_IDENTIFIER);
        put16(icmp + 6, responder->ping_sequence++);
        for (uint32_t i = 0; i < PING_BYTES; i++)
                icmp[ICMP_BYTES + i] = (uint8_t)i;
        put16(icmp + 2, internet_checksum(icmp, ICMP_BYTES + PING_BYTES));
        responder->pings_sent++;
        return true;
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The first network card of this machine, whatever it is, in conversation with whoever is at its
 * other end: an address by DHCP, ARP, ICMP echoes, a burst. */
#include "tests/boot/net_client.h"

#include "kernel/cmdline.h"

char net_peer[16] = "user";
CMDLINE_STRING(net_peer, "net.peer",
               "who is at the other end of the network card: user (QEMU's), host (10.0.2.2 without "
               "DHCP) or none");

/* ---- DHCP ---- */

static uint32_t dhcp_id;

static bool is_dhcp_offer(const struct net_frame *frame)
{
        struct net_ip ip;
        struct net_dhcp dhcp;
        return net_parse_ip(frame, &ip) && net_parse_dhcp(&ip, &dhcp) && dhcp.id == dhcp_id &&
               dhcp.type == NET_DHCP_OFFER;
}

TEST(net, dhcp_offer)
{
        struct net_frame frame;
        struct net_ip ip;
        struct net_dhcp offer;
        if (strcmp(net_peer, "host") == 0)
                SKIP("net.peer says that there is no DHCP");
        const char *why = net_open_card(t, NULL, catch_frame);
        if (why != NULL)
                SKIP(why);
        dhcp_id = (uint32_t)time_ns() | 1;
        net_build_dhcp_discover(&frame, net.netdev->mac, dhcp_id);
        EXPECT_TRUE(net_send(&frame));
        const struct net_frame *answer = net_await(is_dhcp_offer);
        if (EXPECT_TRUE(answer != NULL) && net_parse_ip(answer, &ip) &&
            net_parse_dhcp(&ip, &offer)) {
                EXPECT_EQ(offer.operation, 2);
                EXPECT_BYTES_EQ(offer.client_mac, net.netdev->mac, NET_MAC_BYTES);
                EXPECT_EQ(ip.from, offer.server_ip);
                EXPECT_NE(offer.server_ip, 0);
                EXPECT_NE(offer.offered_ip, 0);
                EXPECT_NE(offer.offered_ip, NET_IP_BROADCAST);
                if (offer.server_ip == SLIRP_ROUTER) {
                        EXPECT_EQ(offer.offered_ip & SLIRP_MASK, SLIRP_NETWORK);
                        EXPECT_GE(offer.offered_ip, SLIRP_GUEST);
                        EXPECT_EQ(offer.mask, SLIRP_MASK);
                        EXPECT_EQ(offer.router_ip, SLIRP_ROUTER);
                }
                test_log(t, "offered %u.%u.%u.%u by %u.%u.%u.%u", offer.offered_ip >> 24,
                         offer.offered_ip >> 16 & 255, offer.offered_ip >> 8 & 255,
                         offer.offered_ip & 255, offer.server_ip >> 24, offer.server_ip >> 16 & 255,
                         offer.server_ip >> 8 & 255, offer.server_ip & 255);
        }
        net_close(t);
}

/* ---- ARP ---- */

TEST(net, arp_of_the_router)
{
        struct net_arp arp;
        const char *why = net_open_card(t, NULL, catch_frame);
        if (why != NULL)
                SKIP(why);
        resolve_router(t, &arp);
        net_close(t);
}

/* ---- ICMP ---- */

#define ECHO_ID 0x5041

static bool is_echo_reply(const struct net_frame *frame)
{
        struct net_ip ip;
        struct net_echo echo;
        return net_parse_ip(frame, &ip) && net_parse_echo(&ip, &echo) &&
               echo.type == NET_ICMP_ECHO_REPLY && echo.id == ECHO_ID;
}

/* One echo of `data_bytes` to the router, all of which must come back. */
static void expect_echo(struct test *t, const struct net_arp *router, uint16_t sequence,
                        uint32_t data_bytes)
{
        struct net_frame frame;
        struct net_ip ip;
        struct net_echo echo;
        net_put_ethernet(&frame, router->sender_mac, net.netdev->mac, NET_ETHERTYPE_IPV4);
        net_put_ip(&frame, NET_PROTOCOL_ICMP, SLIRP_GUEST, SLIRP_ROUTER, 8 + data_bytes);
        net_put_echo_request(&frame, ECHO_ID, sequence, data_bytes);
        net_pad(&frame, NET_FRAME_BYTES_MIN);
        EXPECT_TRUE(net_send(&frame));
        const struct net_frame *answer = net_await(is_echo_reply);
        REQUIRE_TRUE(answer != NULL);
        REQUIRE_TRUE(net_parse_ip(answer, &ip) && net_parse_echo(&ip, &echo));
        EXPECT_EQ(ip.from, SLIRP_ROUTER);
        EXPECT_EQ(ip.to, SLIRP_GUEST);
        EXPECT_EQ(echo.sequence, sequence);
        REQUIRE_EQ(echo.data_bytes, data_bytes);
        for (uint32_t i = 0; i < data_bytes; i++)
                REQUIRE_EQ(echo.data[i], (uint8_t)(sequence + i));
}

/* From the shortest to the longest frame of this MTU: 28 bytes go to IP and ICMP. */
TEST(net, icmp_echo_of_all_lengths)
{
        struct net_arp router;
        const char *why = net_open_card(t, NULL, catch_frame);
        if (why != NULL)
                SKIP(why);
        uint32_t longest = (uint32_t)min_u64(net.netdev->mtu, NETDEV_MTU_DEFAULT) - 28;
        const uint32_t lengths[] = {0, 1, 2, 17, 18, 19, 511, longest - 1, longest};
        if (resolve_router(t, &router))
                for (uint16_t i = 0; i < ARRAY_COUNT(lengths) && !test_has_failed(t); i++)
                        expect_echo(t, &router, i, lengths[i]);
        net_close(t);
}

/* ---- bursts ---- */

TEST(net, burst_of_100)
{
        const char *why = net_open_card(t, NULL, count_answer);
        if (why != NULL)
                SKIP(why);
        run_burst(t, 100);
        net_close(t);
}

/* More than any ring here has entries, so that every index wraps its ring. */

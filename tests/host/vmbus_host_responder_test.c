/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_responder_test — the network of one: RFC 826, 791, 792, 2131. */
#include "tests/expect.h"
#include "tests/peers/vmbus_host/vmbus_host_responder.h"

static struct vmbus_host_responder responder;
static uint8_t frame[2048], got[2048];

static void put(uint32_t at, const char *hex)
{
        for (; hex[0] != '\0'; hex += hex[0] == ' ' ? 1 : 2) {
                if (hex[0] == ' ')
                        continue;
                uint32_t high = hex[0] <= '9' ? hex[0] - '0' : hex[0] - 'a' + 10;
                uint32_t low = hex[1] <= '9' ? hex[1] - '0' : hex[1] - 'a' + 10;
                frame[at++] = (uint8_t)(high << 4 | low);
        }
}

static uint32_t sum(const uint8_t *bytes, uint32_t count)
{
        uint32_t total = 0;
        for (uint32_t i = 0; i < count; i++)
                total += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
        while (total > 0xffff)
                total = (total & 0xffff) + (total >> 16);
        return total;
}

/* Ethernet and IP of the guest, `bytes` behind them; checksums are right. */
static void put_ip(uint32_t protocol, uint32_t bytes)
{
        memset(frame, 0, sizeof(frame));
        put(0, "52550a000202 021122334455 0800 4500 0000 0001 0000 4000 0000 0a00020f 0a000202");
        frame[17] = (uint8_t)(20 + bytes);
        frame[16] = (uint8_t)((20 + bytes) >> 8);
        frame[23] = (uint8_t)protocol;
        uint32_t checksum = ~sum(frame + 14, 20);
        frame[24] = (uint8_t)(checksum >> 8);
        frame[25] = (uint8_t)checksum;
}

static uint32_t exchange(uint32_t bytes)
{
        memset(got, 0xee, sizeof(got));
        responder.port.give(responder.port.context, frame, bytes);
        return responder.port.take(responder.port.context, got, sizeof(got));
}

#define ARP "0001 0800 0604 0001 021122334455 0a00020f 000000000000 0a000202"

TEST(vmbus_host_responder, arp_is_answered)
{
        static const uint8_t answer[42] = {
                2, 0x11, 0x22, 0x33, 0x44, 0x55, 0x52, 0x55, 10, 0, 2, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0,
                2, 0x52, 0x55, 10, 0, 2, 2, 10, 0, 2, 2, 2, 0x11, 0x22, 0x33, 0x44, 0x55, 10, 0, 2,
                15};
        vmbus_host_responder_init(&responder);
        put(0, "ffffffffffff 021122334455 0806" ARP);
        EXPECT_EQ(exchange(42), 42);
        EXPECT_BYTES_EQ(got, answer, 42);
        EXPECT_EQ(exchange(41), 0); /* cut off */
        frame[41] = 15;
        EXPECT_EQ(exchange(42), 0); /* the guest's own */
        frame[40] = 3;
        EXPECT_EQ(exchange(42), 0); /* another net */
        put(14, ARP);
        frame[21] = 2;
        EXPECT_EQ(exchange(42), 0); /* a reply */
        EXPECT_EQ(responder.dropped, 2);
}

TEST(vmbus_host_responder, pings_are_answered)
{
        vmbus_host_responder_init(&responder);
        put_ip(1, 8 + 9);
        put(34, "0800 0000 1234 0007 010203040506070809");
        uint32_t checksum = ~sum(frame + 34, 17);
        frame[36] = (uint8_t)(checksum >> 8);
        frame[37] = (uint8_t)checksum;
        EXPECT_EQ(exchange(60), 51); /* padding of the frame is not answered */
        EXPECT_BYTES_EQ(got + 26, "\x0a\0\2\2\x0a\0\2\x0f", 8);
        EXPECT_EQ(got[34], 0);
        EXPECT_BYTES_EQ(got + 38, frame + 38, 13);
        EXPECT_EQ(sum(got + 14, 20), 0xffff);
        EXPECT_EQ(sum(got + 34, 17), 0xffff);
        frame[50] ^= 1;
        EXPECT_EQ(exchange(60), 0); /* ICMP's checksum */
        frame[50] ^= 1;
        frame[22] ^= 1;
        EXPECT_EQ(exchange(60), 0); /* IP's */
        frame[22] ^= 1;
        EXPECT_EQ(exchange(50), 0); /* shorter than it says */
        EXPECT_EQ(responder.dropped, 3);
        EXPECT_EQ(responder.echo_answered, 1);
}

static void put_dhcp(uint8_t type)
{
        put_ip(17, 8 + 250);
        put(34, "0044 0043 0102 0000 01010600 deadbeef 0000 8000");
        put(70, "021122334455");
        put(278, "63825363 00 3501");
        frame[285] = type;
        frame[286] = 255;
}

TEST(vmbus_host_responder, an_address_is_leased)
{
        vmbus_host_responder_init(&responder);
        EXPECT_FALSE(vmbus_host_responder_ping(&responder));
        for (uint8_t type = 1; type <= 3; type += 2) {
                put_dhcp(type);
                EXPECT_EQ(exchange(300), 14 + 20 + 8 + 300);
                EXPECT_BYTES_EQ(got, "\xff\xff\xff\xff\xff\xff\x52\x55\x0a\0\2\2\x08\0", 14);
                EXPECT_EQ(sum(got + 14, 20), 0xffff);
                EXPECT_BYTES_EQ(got + 34, "\0\x43\0\x44\x01\x34\0\0", 8);
                EXPECT_BYTES_EQ(got + 42, "\2\1\6\0\xde\xad\xbe\xef\0\0\x80\0", 12);
                EXPECT_BYTES_EQ(got + 58, "\x0a\0\2\x0f\x0a\0\2\2", 8);
                EXPECT_BYTES_EQ(got + 70, "\2\x11\x22\x33\x44\x55", 6);
                EXPECT_BYTES_EQ(got + 278, "\x63\x82\x53\x63\x35\1", 6);
                EXPECT_EQ(got[284], type == 1 ? 2 : 5);
                EXPECT_BYTES_EQ(got + 285, "\x36\4\x0a\0\2\2\x33\4\0\1\x51\x80"
                                           "\1\4\xff\xff\xff\0\3\4\x0a\0\2\2\xff", 25);
        }
        EXPECT_EQ(responder.leases, 1);
        put_dhcp(8);
        EXPECT_EQ(exchange(300), 0);
        put_dhcp(1);
        frame[278] ^= 1;
        EXPECT_EQ(exchange(300), 0);
        /* And now it pings. */
        REQUIRE_TRUE(vmbus_host_responder_ping(&responder));
        EXPECT_EQ(responder.port.take(&responder, got, sizeof(got)), 98);
        memcpy(frame, got, 98);
        memcpy(frame + 26, got + 30, 4);
        memcpy(frame + 30, got + 26, 4);
        frame[34] = 0;
        uint32_t checksum = sum(frame + 36, 2) + 0x800;
        checksum = (checksum & 0xffff) + (checksum >> 16);
        frame[36] = (uint8_t)(checksum >> 8);
        frame[37] = (uint8_t)checksum;
        EXPECT_EQ(exchange(98), 0);
        EXPECT_EQ(responder.pings_answered, 1);
}

TEST(vmbus_host_responder, udp_comes_back)
{
        vmbus_host_responder_init(&responder);
        put_ip(17, 8 + 5);
        put(34, "1234 0007 000d abcd 0102030405");
        EXPECT_EQ(exchange(47), 47);
        EXPECT_BYTES_EQ(got + 34, "\0\7\x12\x34\0\x0d\xab\xcd\1\2\3\4\5", 13);
        frame[37] = 8;
        EXPECT_EQ(exchange(47), 0);
        frame[37] = 7;
        frame[39] = 14;
        EXPECT_EQ(exchange(47), 0);
        frame[39] = 13;
        for (uint32_t i = 0; i < 40; i++)
                responder.port.give(&responder, frame, 47);
        EXPECT_EQ(responder.count, VMBUS_HOST_RESPONDER_FRAMES);
        EXPECT_EQ(responder.overruns, 40 - VMBUS_HOST_RESPONDER_FRAMES);
}

TEST(vmbus_host_responder, garbage_is_dropped)
{
        vmbus_host_responder_init(&responder);
        for (uint32_t round = 0; round < 20000; round++) {
                uint32_t bytes = 14 + world_random_below(t, 400);
                put_ip(round % 3 == 0 ? 17 : 1, bytes - 14);
                for (uint32_t i = world_random_below(t, 6); i > 0; i--)
                        frame[12 + world_random_below(t, bytes - 12)] = (uint8_t)world_random(t);
                exchange(bytes);
                while (responder.port.take(&responder, got, sizeof(got)) != 0)
                        continue;
        }
        EXPECT_GT(responder.dropped, 1000);
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* echo-client — asks a guest behind QEMU's `-netdev dgram` for ICMP echoes, as fast as it answers,
 * and says how fast that was.
 *
 *   echo-client OWN_SOCKET QEMU_SOCKET GUEST_ADDRESS WINDOW ECHOES [PAYLOAD_BYTES]
 *   echoes=N lost=N seconds=S rate=ECHOES_A_SECOND best_rate=THE_SAME median_us=M p99_us=P
 *
 * best_rate is that of the fastest STRETCH answers in a row: on a machine that has other things to
 * do it tells more than the whole.
 *
 * WINDOW requests are under way at a time. The guest's hardware address is asked for by ARP first
 * (as 10.0.2.2), until it answers. One frame is one datagram. Exit status: 0, 1 nobody answered or
 * too much was lost, 2 wrong usage.
 *
 * Relies on   sockets of Linux. Each answer is judged within its length before it counts
 * Facts       QEMU 7.2, -netdev dgram; RFC 826, 791, 792, 1071 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/peers/net_bytes.h"

#define FRAME_BYTES_MAX 1514u
#define HEADERS_BYTES 42u /* Ethernet, IPv4, ICMP; and Ethernet, ARP */
#define WINDOW_MAX 1024u
#define ECHOES_MAX 10000000u
#define RESOLVE_TRIES 300
#define RESOLVE_PAUSE_MS 200
#define LOST_AFTER_MS 5000
#define ECHO_ID 0x5041u
#define NS_PER_SECOND 1000000000ull
#define SOCKET_BYTES (4 << 20)
#define STRETCH 1000u
#define SEQUENCES 65536u

static const uint8_t own_mac[6] = {0x52, 0x55, 10, 0, 2, 2};
static const uint8_t own_ip[4] = {10, 0, 2, 2};

static struct client {
        int socket;
        uint8_t guest_mac[6], guest_ip[4];
        uint32_t payload_bytes;
        uint64_t *sent_ns; /* by sequence number; 0: none under way */
        uint32_t *round_trips_ns;
        uint64_t stretch_began_ns, best_stretch_ns; /* 0: none yet */
} client;

static uint64_t now_ns(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* ---- frames ---- */

static void build_arp(uint8_t *frame)
{
        static const uint8_t request[] = {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1};
        memset(frame, 0, 60);
        memset(frame, 0xff, 6);
        memcpy(frame + 6, own_mac, 6);
        memcpy(frame + 12, request, sizeof(request));
        memcpy(frame + 22, own_mac, 6);
        memcpy(frame + 28, own_ip, 4);
        memcpy(frame + 38, client.guest_ip, 4);
}

static bool is_arp_answer(const uint8_t *frame, ssize_t bytes)
{
        static const uint8_t answer[] = {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2};
        return bytes >= (ssize_t)HEADERS_BYTES && memcmp(frame + 12, answer, sizeof(answer)) == 0 &&
               memcmp(frame + 28, client.guest_ip, 4) == 0;
}

/* Answers whoever asks for our address: a guest that cannot confirm it forgets us after a while. */
static void answer_arp(uint8_t *frame, ssize_t bytes)
{
        static const uint8_t request[] = {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1};
        if (bytes < (ssize_t)HEADERS_BYTES || memcmp(frame + 12, request, sizeof(request)) != 0 ||
            memcmp(frame + 38, own_ip, 4) != 0)
                return;
        memcpy(frame, frame + 6, 6);
        memcpy(frame + 6, own_mac, 6);
        frame[21] = 2;
        memcpy(frame + 32, frame + 22, 10); /* the asker's two addresses */
        memcpy(frame + 22, own_mac, 6);
        memcpy(frame + 28, own_ip, 4);
        (void)!send(client.socket, frame, HEADERS_BYTES, MSG_DONTWAIT); /* it asks again */
}

static uint32_t build_echo(uint8_t *frame, uint32_t sequence)
{
        uint8_t *ip = frame + 14, *icmp = ip + 20;
        uint32_t total = 20 + 8 + client.payload_bytes, bytes = 14 + total;
        memcpy(frame, client.guest_mac, 6);
        memcpy(frame + 6, own_mac, 6);
        put16(frame + 12, 0x0800);
        memset(ip, 0, 28);
        ip[0] = 0x45;
        put16(ip + 2, total);
        ip[8] = 64;
        ip[9] = 1;
        memcpy(ip + 12, own_ip, 4);
        memcpy(ip + 16, client.guest_ip, 4);
        put16(ip + 10, internet_checksum(ip, 20));
        icmp[0] = 8;
        put16(icmp + 4, ECHO_ID);
        put16(icmp + 6, sequence);
        for (uint32_t i = 0; i < client.payload_bytes; i++)
                icmp[8 + i] = (uint8_t)(sequence + i);
        put16(icmp + 2, internet_checksum(icmp, 8 + client.payload_bytes));
        return bytes < 60 ? 60 : bytes;
}

/* Whether a frame is a whole and right answer; its sequence number. */
static bool is_echo_answer(const uint8_t *frame, ssize_t bytes, uint32_t *sequence)
{
        uint32_t total = 20 + 8 + client.payload_bytes;
        const uint8_t *ip = frame + 14, *icmp = ip + 20;
        if (bytes < (ssize_t)(14 + total) || get16(frame + 12) != 0x0800 || ip[0] != 0x45 ||
            ip[9] != 1 || get16(ip + 2) != total || internet_checksum(ip, 20) != 0 ||
            icmp[0] != 0 || get16(icmp + 4) != ECHO_ID ||
            memcmp(ip + 12, client.guest_ip, 4) != 0 ||
            internet_checksum(icmp, 8 + client.payload_bytes) != 0)
                return false;
        *sequence = get16(icmp + 6);
        return true;
}

/* ---- asking ---- */

static bool wait_readable(int timeout_ms)
{
        struct pollfd ready = {.fd = client.socket, .events = POLLIN};
        return poll(&ready, 1, timeout_ms) == 1;
}

static bool resolve(void)
{
        uint8_t frame[FRAME_BYTES_MAX];
        for (int i = 0; i < RESOLVE_TRIES; i++) {
                build_arp(frame);
                (void)!send(client.socket, frame, 60, MSG_DONTWAIT); /* nobody there yet: again */
                while (wait_readable(RESOLVE_PAUSE_MS)) {
                        ssize_t got = recv(client.socket, frame, sizeof(frame), MSG_DONTWAIT);
                        if (!is_arp_answer(frame, got))
                                continue;
                        memcpy(client.guest_mac, frame + 22, 6);
                        return true;
                }
        }
        return false;
}

static void ask(uint32_t sequence)
{
        uint8_t frame[FRAME_BYTES_MAX];
        uint32_t bytes = build_echo(frame, sequence);
        client.sent_ns[sequence % SEQUENCES] = now_ns();
        if (send(client.socket, frame, bytes, 0) != (ssize_t)bytes)
                client.sent_ns[sequence % SEQUENCES] = 0; /* counts as lost, by its time */
}

/* Takes note of the time that every STRETCH answers took. */
static void note_stretch(uint32_t answered, uint64_t now)
{
        if (answered % STRETCH != 0)
                return;
        uint64_t took = now - client.stretch_began_ns;
        if (client.best_stretch_ns == 0 || took < client.best_stretch_ns)
                client.best_stretch_ns = took;
        client.stretch_began_ns = now;
}

/* Keeps `window` requests under way until `echoes` were answered; how many were lost, or more than
 * the window when too many were. */
static uint32_t run(uint32_t window, uint32_t echoes)
{
        uint8_t frame[FRAME_BYTES_MAX];
        uint32_t asked = 0, answered = 0, lost = 0, sequence;
        while (asked < window && asked < echoes)
                ask(asked++);
        while (answered < echoes && lost <= window) {
                ssize_t got = recv(client.socket, frame, sizeof(frame), MSG_DONTWAIT);
                if (got < 0 && !wait_readable(LOST_AFTER_MS)) {
                        memset(client.sent_ns, 0, SEQUENCES * sizeof(*client.sent_ns));
                        lost = asked - answered; /* one that still comes is no answer any more */
                        for (uint32_t i = 0; i < window; i++)
                                ask(asked++);
                        continue;
                }
                if (got < 0 || !is_echo_answer(frame, got, &sequence)) {
                        answer_arp(frame, got);
                        continue;
                }
                if (client.sent_ns[sequence] == 0) /* given up before */
                        continue;
                uint64_t now = now_ns();
                client.round_trips_ns[answered++] = (uint32_t)(now - client.sent_ns[sequence]);
                note_stretch(answered, now);
                client.sent_ns[sequence] = 0;
                if (asked < echoes + lost)
                        ask(asked++);
        }
        return lost;
}

static int by_size(const void *left, const void *right)
{
        uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
        return a < b ? -1 : a > b;
}

static bool open_socket(const char *own, const char *peer)
{
        struct sockaddr_un ours = {.sun_family = AF_UNIX}, theirs = {.sun_family = AF_UNIX};
        int bytes = SOCKET_BYTES;
        if (strlen(own) >= sizeof(ours.sun_path) || strlen(peer) >= sizeof(theirs.sun_path))
                return false;
        strcpy(ours.sun_path, own);
        strcpy(theirs.sun_path, peer);
        client.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        unlink(own);
        setsockopt(client.socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
        if (client.socket < 0 ||
            bind(client.socket, (struct sockaddr *)&ours, sizeof(ours)) != 0)
                return false;
        for (int i = 0; i < RESOLVE_TRIES; i++) { /* until QEMU is there */
                if (connect(client.socket, (struct sockaddr *)&theirs, sizeof(theirs)) == 0)
                        return true;
                poll(NULL, 0, RESOLVE_PAUSE_MS);
        }
        return false;
}

int main(int argc, char **argv)
{
        uint32_t window = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
        uint32_t echoes = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : 0;
        client.payload_bytes = argc > 6 ? (uint32_t)strtoul(argv[6], NULL, 10) : 22;
        if (argc < 6 || argc > 7 || window < 1 || window > WINDOW_MAX || echoes < 1 ||
            echoes > ECHOES_MAX || client.payload_bytes > FRAME_BYTES_MAX - HEADERS_BYTES ||
            inet_pton(AF_INET, argv[3], client.guest_ip) != 1) {
                fprintf(stderr, "usage: echo-client OWN_SOCKET QEMU_SOCKET GUEST_ADDRESS"
                                " WINDOW(1..%u) ECHOES(1..%u) [PAYLOAD_BYTES]\n",
                        WINDOW_MAX, ECHOES_MAX);
                return 2;
        }
        client.sent_ns = calloc(SEQUENCES, sizeof(*client.sent_ns));
        client.round_trips_ns = calloc(echoes, sizeof(*client.round_trips_ns));
        if (client.sent_ns == NULL || client.round_trips_ns == NULL)
                return 1;
        if (!open_socket(argv[1], argv[2]) || !resolve()) {
                fprintf(stderr, "echo-client: %s does not answer at %s\n", argv[3], argv[2]);
                return 1;
        }
        uint64_t start = client.stretch_began_ns = now_ns();
        uint32_t lost = run(window, echoes);
        double seconds = (double)(now_ns() - start) / (double)NS_PER_SECOND;
        unlink(argv[1]);
        if (lost > window) {
                fprintf(stderr, "echo-client: %u echoes lost\n", lost);
                return 1;
        }
        qsort(client.round_trips_ns, echoes, sizeof(*client.round_trips_ns), by_size);
        double best = client.best_stretch_ns == 0 ? echoes / seconds :
                              (double)STRETCH * NS_PER_SECOND / (double)client.best_stretch_ns;
        printf("echoes=%u lost=%u seconds=%.3f rate=%.0f best_rate=%.0f "
               "median_us=%.1f p99_us=%.1f\n",
               echoes, lost, seconds, echoes / seconds, best,
               client.round_trips_ns[echoes / 2] / 1000.0,
               client.round_trips_ns[(uint64_t)echoes * 99 / 100] / 1000.0);
        return 0;
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* main — vmbus-host: a VMBus host for a guest under plain QEMU.
 * `vmbus-host --help` has the options.
 *
 *   guest's RAM file  <--->  tests/peers/vmbus_host  <--->  bridge (responder, socket, tap)
 *                              |            ^
 *   ivshmem BAR: mailbox  <----'            '---- doorbells: eventfds
 *
 * One thread that sleeps in poll(2). A doorbell says no more than "look". */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "tests/peers/vmbus_host/program/bridge.h"
#include "tests/peers/vmbus_host/program/control.h"
#include "tests/peers/vmbus_host/program/ivshmem_server.h"
#include "tests/peers/vmbus_host/program/mailbox.h"
#include "tests/peers/vmbus_host/program/options.h"
#include "tests/peers/vmbus_host/vmbus_host.h"
#include "tests/peers/vmbus_host/vmbus_host_echo.h"
#include "tests/peers/vmbus_host/vmbus_host_net.h"

#define MESSAGE_CONNECTION 0x21u /* not the one for the first contact: who ignores it is noticed */
#define GPADL_WORDS (8 * VMBUS_HOST_LIST_WORDS_MAX)
#define IDLE_MS 50      /* the guest's state words are looked at this often without a doorbell */
#define NO_ROOM_MS 1    /* messages wait for the guest to read others */
#define PING_SECONDS 1
#define MESSAGES_PER_ROUND 64u

#define ORDERS_PER_ROUND 16u

enum { DEVICE_NET, DEVICE_ECHO, DEVICE_PIPE, DEVICES };
static const char *const device_names[DEVICES] = {"net", "echo", "pipe"};

struct program {
        struct options options;
        struct ivshmem_server server;
        struct mailbox mailbox;
        struct bridge bridge;
        struct control control;
        struct vmbus_host host;
        struct vmbus_host_echo echo, pipe_echo;
        struct vmbus_host_net net;
        struct vmbus_host_offer offers[2];
        const struct vmbus_host_offer *offered[DEVICES];
        bool withheld[DEVICES]; /* by an order */
        uint8_t *ram;
        bool ring_message, ring_event[VMBUS_MAILBOX_VPS]; /* doorbells owed */
        uint64_t resets, doorbells, turns;
        struct timespec first_packet, last_packet;
        uint64_t counted_packets;
        uint64_t words[GPADL_WORDS];
        uint8_t frame[VMBUS_HOST_NET_FRAME_BYTES];
};

static struct program program;
static volatile sig_atomic_t stopped;

NORETURN void assert_failed(const char *file, unsigned line, const char *expression)
{
        fprintf(stderr, "vmbus-host: assertion failed: %s:%u: %s\n", file, line, expression);
        abort();
}

static void stop(int signal_number)
{
        stopped = 1;
}

/* ---- the library's world ---- */

static void *map_page(void *context, uint64_t page_number)
{
        if (page_number >= program.options.ram_bytes / PAGE_BYTES)
                return NULL;
        return program.ram + page_number * PAGE_BYTES;
}

static bool post(void *context, const void *message, uint32_t bytes, uint32_t vp)
{
        if (!mailbox_post(&program.mailbox, message, bytes))
                return false;
        program.ring_message = true;
        return true;
}

static void set_event(void *context, uint32_t event_flag, uint32_t vp)
{
        mailbox_set_event(&program.mailbox, event_flag, vp); /* below VMBUS_MAILBOX_VPS: vp_count */
        program.ring_event[vp] = true;
}

static void note(void *context, const struct vmbus_host_fault *fault)
{
        if (program.host.faults[fault->rule] > 1 && !program.options.verbose)
                return;
        fprintf(stderr, "vmbus-host: the guest broke %s (%s): channel %u, value 0x%x, limit 0x%x\n",
                vmbus_host_rule_name(fault->rule), vmbus_host_rule_text(fault->rule),
                fault->channel, fault->value, fault->limit);
}

static void ring_doorbells(void)
{
        if (program.ring_message)
                ivshmem_server_ring(&program.server, VMBUS_MAILBOX_VECTOR_MESSAGE);
        program.ring_message = false;
        for (unsigned vp = 0; vp < VMBUS_MAILBOX_VPS; vp++) {
                if (program.ring_event[vp])
                        ivshmem_server_ring(&program.server, VMBUS_MAILBOX_VECTOR_EVENT + vp);
                program.ring_event[vp] = false;
        }
}

/* ---- start ---- */

static bool map_ram(void)
{
        const char *path = program.options.ram_path;
        uint64_t bytes = program.options.ram_bytes;
        struct stat status;
        int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (file < 0 || fstat(file, &status) != 0 ||
            (status.st_size == 0 && ftruncate(file, (off_t)bytes) != 0)) {
                fprintf(stderr, "vmbus-host: --ram %s: %s\n", path, strerror(errno));
                return false;
        }
        if (status.st_size != 0 && (uint64_t)status.st_size != bytes) {
                fprintf(stderr, "vmbus-host: --ram %s has %llu bytes, --mem says %llu\n", path,
                        (unsigned long long)status.st_size, (unsigned long long)bytes);
                return false;
        }
        void *ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        close(file);
        if (ram == MAP_FAILED) {
                fprintf(stderr, "vmbus-host: cannot map %s: %s\n", path, strerror(errno));
                return false;
        }
        program.ram = ram;
        return true;
}

/* The channel of that device; NULL: it has none. */
static struct vmbus_host_channel *channel_of(uint32_t device)
{
        for (uint32_t i = 0; i < VMBUS_HOST_CHANNELS; i++) {
                struct vmbus_host_channel *channel = &program.host.channels[i];
                if (channel->id != 0 && channel->offer == program.offered[device])
                        return channel;
        }
        return NULL;
}

/* Offers what is not offered: at the start, and again what a guest has released (a lie or an order
 * took it away). */
static void offer_devices(void)
{
        for (uint32_t device = 0; device < DEVICES; device++)
                if (!program.withheld[device] && channel_of(device) == NULL)
                        (void)!vmbus_host_offer(&program.host, program.offered[device], NULL);
}

static void start_host(void)
{
        static const struct vmbus_host_ops ops = {
                .map = map_page, .post = post, .signal = set_event, .note = note};
        const struct options *options = &program.options;
        vmbus_host_init(&program.host, &(struct vmbus_host_config){
                                               .ops = &ops,
                                               .words = program.words,
                                               .word_count = GPADL_WORDS,
                                               .version_max = options->version_max,
                                               .message_connection = MESSAGE_CONNECTION,
                                               .vp_count = VMBUS_MAILBOX_VPS});
        if (options->lie) {
                vmbus_host_lie(&program.host, options->lie_seed, options->lie_rate);
                vmbus_host_lie_only(&program.host, options->lies);
        }
        struct vmbus_host_net_config net = {.port = &program.bridge.port,
                                            .frame = program.frame,
                                            .queues = (uint8_t)options->queues,
                                            .version_max = options->nvsp_max};
        memcpy(net.mac, options->mac, sizeof(net.mac));
        vmbus_host_net_init(&program.net, &net);
        vmbus_host_echo_init(&program.echo, false);
        vmbus_host_echo_init(&program.pipe_echo, true);
        vmbus_host_echo_offer(&program.echo, &program.offers[0], 0);
        vmbus_host_echo_offer(&program.pipe_echo, &program.offers[1], 1);
        program.withheld[DEVICE_NET] = options->echo_only;
        if (!options->echo_only)
                (void)!vmbus_host_net_offer(&program.net, &program.host, 0, NULL);
        program.offered[DEVICE_NET] = &program.net.offers[0];
        program.offered[DEVICE_ECHO] = &program.offers[0];
        program.offered[DEVICE_PIPE] = &program.offers[1];
        offer_devices();
}

/* ---- orders ---- */

/* With it go its subchannels. */
static void rescind_device(uint32_t device)
{
        for (uint32_t i = 0; i < VMBUS_HOST_CHANNELS; i++) {
                struct vmbus_host_channel *channel = &program.host.channels[i];
                if (channel->id != 0 && channel->offer->device == program.offered[device]->device)
                        vmbus_host_rescind(&program.host, channel);
        }
}

static void show_devices(void)
{
        char line[CONTROL_LINE_BYTES];
        for (uint32_t device = 0; device < DEVICES; device++) {
                const struct vmbus_host_channel *channel = channel_of(device);
                if (channel == NULL)
                        snprintf(line, sizeof(line), "%s: not offered\n", device_names[device]);
                else
                        snprintf(line, sizeof(line), "%s: channel %u, %s\n", device_names[device],
                                 channel->id,
                                 channel->rescinded       ? "rescinded, not released yet"
                                 : channel->broken != 0   ? "broken by the guest"
                                 : channel->open          ? "open"
                                                          : "offered");
                control_say(&program.control, line);
        }
}

static void show_counts(void)
{
        char line[CONTROL_LINE_BYTES];
        snprintf(line, sizeof(line), "turns %llu, stalls %llu\n", (unsigned long long)program.turns,
                 (unsigned long long)program.net.stalls);
        control_say(&program.control, line);
}

/* Does what a line says; the answer. */
static const char *obey(const char *line)
{
        if (strcmp(line, "show") == 0) {
                show_devices();
                return "ok\n";
        }
        if (strcmp(line, "count") == 0) {
                show_counts();
                return "ok\n";
        }
        if (program.options.echo_only &&
            (strstr(line, "link ") != NULL || strstr(line, " net") != NULL))
                return "error: this host has no card (--echo)\n";
        if (strcmp(line, "link up") == 0 || strcmp(line, "link down") == 0) {
                vmbus_host_net_link(&program.net, line[5] == 'u');
                return "ok\n";
        }
        for (uint32_t device = 0; device < DEVICES; device++) {
                const char *name = device_names[device];
                bool offer = strncmp(line, "offer ", 6) == 0 && strcmp(line + 6, name) == 0;
                if (!offer && (strncmp(line, "rescind ", 8) != 0 || strcmp(line + 8, name) != 0))
                        continue;
                if (program.withheld[device] != offer)
                        return offer ? "error: it is offered already\n"
                                     : "error: it is not offered\n";
                program.withheld[device] = !offer;
                if (!offer)
                        rescind_device(device);
                offer_devices();
                return "ok\n";
        }
        return "error: expected rescind or offer with net, echo or pipe; link down; link up; show; "
               "or count\n";
}

static void take_orders(void)
{
        char line[CONTROL_LINE_BYTES];
        for (uint32_t i = 0; i < ORDERS_PER_ROUND && control_take(&program.control, line); i++)
                control_say(&program.control, obey(line));
}

/* ---- the loop ---- */

static void take_events(void)
{
        for (uint32_t word = 0; word < VMBUS_MAILBOX_FLAGS / 64; word++) {
                uint64_t flags = mailbox_take_events(&program.mailbox, word);
                while (flags != 0) {
                        vmbus_host_event(&program.host,
                                         word * 64 + (uint32_t)__builtin_ctzll(flags));
                        flags &= flags - 1;
                }
        }
}

static void take_messages(void)
{
        struct mailbox_message message;
        for (uint32_t i = 0; i < MESSAGES_PER_ROUND && mailbox_peek(&program.mailbox, &message);
             i++) {
                /* What was signalled before the message was posted is meant before it: a channel is
                 * closed after its last packets. */
                take_events();
                if (message.type == 1 &&
                    vmbus_host_message(&program.host, (uint32_t)message.connection_id,
                                       message.payload, message.bytes) == ZX_ERR_SHOULD_WAIT)
                        return; /* it stays where it is */
                if (message.type != 1)
                        fprintf(stderr,
                                "vmbus-host: a message of type %u, which is none of VMBus\n",
                                message.type);
                mailbox_took(&program.mailbox);
        }
}

/* Everything that a look can find; true: look again at once. */
static bool look(void)
{
        if (mailbox_guest_reset(&program.mailbox)) {
                vmbus_host_reset(&program.host);
                mailbox_reset_done(&program.mailbox);
                program.ring_message = true;
                program.resets++;
        }
        take_messages();
        take_events();
        bool more = vmbus_host_poll(&program.host);
        if (program.echo.packets + program.pipe_echo.packets != program.counted_packets) {
                if (program.counted_packets == 0)
                        clock_gettime(CLOCK_MONOTONIC, &program.first_packet);
                program.counted_packets = program.echo.packets + program.pipe_echo.packets;
                if (program.options.stats)
                        clock_gettime(CLOCK_MONOTONIC, &program.last_packet);
        }
        ring_doorbells();
        return more;
}

static void now_and_then(time_t *last_second)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec < *last_second + PING_SECONDS)
                return;
        *last_second = now.tv_sec;
        if (program.bridge.responds)
                (void)vmbus_host_responder_ping(&program.bridge.responder);
        offer_devices();
}

/* QEMU is gone: the guest with it. */
static void forget_guest(void)
{
        vmbus_host_reset(&program.host);
        mailbox_init(&program.mailbox, program.server.memory, program.options.ram_bytes,
                     IVSHMEM_OUR_ID);
        program.mailbox.liar = &program.host;
}

static void run(void)
{
        time_t last_second = 0;
        bool more = false;
        while (!stopped) {
                int network = vmbus_host_net_takes(&program.net) ? program.bridge.file : -1;
                struct pollfd files[] = {{program.server.listener, POLLIN, 0},
                                         {program.server.client, POLLIN, 0},
                                         {program.server.from_guest[0], POLLIN, 0},
                                         {program.server.from_guest[1], POLLIN, 0},
                                         /* -1: not asked, it would not sleep. */
                                         {network, POLLIN, 0},
                                         {control_file(&program.control), POLLIN, 0}};
                int timeout = more ? 0 : program.host.queue_count != 0 ? NO_ROOM_MS : IDLE_MS;
                if (poll(files, sizeof(files) / sizeof(files[0]), timeout) < 0 && errno != EINTR) {
                        perror("vmbus-host: poll");
                        return;
                }
                program.turns++;
                if (files[0].revents != 0)
                        (void)ivshmem_server_accept(&program.server);
                if (files[1].revents != 0 && ivshmem_server_client_gone(&program.server)) {
                        if (!program.options.keep)
                                return;
                        forget_guest();
                }
                for (unsigned i = 0; i < VMBUS_MAILBOX_VECTORS_TO_HOST; i++)
                        program.doorbells += ivshmem_server_rung(&program.server, i);
                take_orders();
                more = look();
                now_and_then(&last_second);
        }
}

/* ---- the end ---- */

static void print_stats(void)
{
        const struct vmbus_host *host = &program.host;
        const struct vmbus_host_responder *responder = &program.bridge.responder;
        double seconds = (double)(program.last_packet.tv_sec - program.first_packet.tv_sec) +
                         (double)(program.last_packet.tv_nsec - program.first_packet.tv_nsec) / 1e9;
        fprintf(stderr, "vmbus-host: messages: %llu in, %llu out; events: %llu in, %llu out; "
                        "doorbells %llu; resets %llu; turns %llu\n",
                (unsigned long long)host->messages_in, (unsigned long long)host->messages_out,
                (unsigned long long)host->events_in, (unsigned long long)host->signals_out,
                (unsigned long long)program.doorbells, (unsigned long long)program.resets,
                (unsigned long long)program.turns);
        fprintf(stderr, "vmbus-host: echo: %llu packets, %llu bytes",
                (unsigned long long)program.counted_packets,
                (unsigned long long)(program.echo.bytes + program.pipe_echo.bytes));
        if (seconds > 0)
                fprintf(stderr, ", %.0f packets a second",
                        (double)program.counted_packets / seconds);
        fprintf(stderr, "\nvmbus-host: net: %llu frames from the guest, %llu to it, %llu filtered, "
                        "%llu send errors, %llu without room in it, %llu lost behind the card, "
                        "%llu with the link down; stalled %llu times\n",
                (unsigned long long)program.net.frames_in,
                (unsigned long long)program.net.frames_out,
                (unsigned long long)program.net.frames_filtered,
                (unsigned long long)program.net.send_errors,
                (unsigned long long)program.net.receive_shortages,
                (unsigned long long)program.bridge.lost,
                (unsigned long long)program.net.frames_unplugged,
                (unsigned long long)program.net.stalls);
        if (program.bridge.responds)
                fprintf(stderr, "vmbus-host: responder: leases %u, arp %u, echo %u, udp %u, "
                                "pings %u, answered %u\n",
                        responder->leases, responder->arp_answered, responder->echo_answered,
                        responder->udp_answered, responder->pings_sent, responder->pings_answered);
        for (unsigned i = 0; i < VMBUS_HOST_RULES; i++)
                if (host->faults[i] != 0)
                        fprintf(stderr, "vmbus-host: broken: %s %u\n", vmbus_host_rule_name(i),
                                host->faults[i]);
        for (unsigned i = 0; i < VMBUS_HOST_LIES; i++)
                if (host->liar.told[i] != 0)
                        fprintf(stderr, "vmbus-host: lie: %s %u\n", vmbus_host_lie_name(i),
                                host->liar.told[i]);
}

int main(int argc, char **argv)
{
        struct sigaction action = {.sa_handler = stop};
        int status = options_read(&program.options, argc, argv);
        if (status >= 0)
                return status;
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        sigaction(SIGHUP, &action, NULL);
        signal(SIGPIPE, SIG_IGN);
        program.server.listener = program.server.client = program.bridge.file = -1;
        bool good = control_start(&program.control, program.options.control_path) &&
                    bridge_start(&program.bridge, program.options.network) && map_ram() &&
                    ivshmem_server_start(&program.server, program.options.socket_path);
        if (good) {
                mailbox_init(&program.mailbox, program.server.memory, program.options.ram_bytes,
                             IVSHMEM_OUR_ID);
                program.mailbox.liar = &program.host;
                start_host();
                run();
                if (program.options.stats)
                        print_stats();
                ivshmem_server_stop(&program.server);
        }
        bridge_stop(&program.bridge);
        control_stop(&program.control);
        return good ? 0 : 1;
}

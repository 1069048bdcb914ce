/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The command line, see options.h. Facts: getopt_long(3). */
#define _GNU_SOURCE
#include "tests/peers/vhost-user-net/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_DEFAULT 8u
#define SECONDS_MAX 86400u

static const char help[] =
"usage: vhost-user-net PORT... [OPTION...]\n"
"\n"
"A vhost-user back end for virtio network cards: QEMU, another VMM or DPDK connects to a socket,\n"
"and the frames of its guest go where you say. Every message and every ring is checked; "
"who breaks\n"
"a rule is told which.\n"
"\n"
"Ports (up to 16):\n"
"  -s, --socket PATH       listen on a unix socket; front ends come and go\n"
"  -c, --connect PATH      connect to a front end that listens (QEMU's server=on); "
"tried every second\n"
"  -t, --tap NAME          a tap of this host, made if need be\n"
"  -r, --respond ADDR/BITS a host that exists only here: answers ARP, ping and DHCP\n"
"\n"
"What happens to frames:\n"
"  -m, --mode MODE         switch    to the port where the address was last seen, else to all\n"
"                                    (default)\n"
"                          macswap   back to their guest, the two addresses exchanged\n"
"                          echo      back to their guest as they are\n"
"                          discard   nowhere\n"
"  -p, --pcap FILE         every frame that came in is also written to a capture file\n"
"  -f, --when-full HOW     a receiver has no buffers: wait (up to 100 ms, and with it what is\n"
"                          behind), or drop; auto (default): drop if there are more than "
"two ports\n"
"\n"
"What is offered to front ends:\n"
"  -q, --queues N          queue pairs, 1 to 64 (8)\n"
"  -w, --without LIST      features that are not offered: packed, in-order, indirect, "
"event-idx, mrg,\n"
"                          csum, tso, uso, mq, mtu, mem-slots, reply-ack\n"
"  -a, --mac ADDRESS       the card's address, with the messages to ask for it (not for "
"QEMU, which\n"
"                          has an address for its card)\n"
"\n"
"How it runs:\n"
"  -b, --busy-poll         look at the rings all the time instead of sleeping: a whole CPU\n"
"  -S, --stats[=SECONDS]   print counters at the end (and every so many seconds); SIGUSR1 prints\n"
"                          them at any time\n"
"  -1, --once              end when the last front end has gone\n"
"  -v, --verbose           name every message\n"
"  -h, --help              this\n"
"\n"
"A front end that speaks wrongly is disconnected with a line on the standard error output; "
"a guest\n"
"that breaks its ring has that ring stopped until it resets it.\n"
"Exit status: 0 ended as told (SIGTERM, SIGINT, --once), 1 it could not start, 2 wrong usage.\n"
"\n"
"  vhost-user-net -s /tmp/vm.sock -r 10.0.2.2/24\n"
"  qemu-system-x86_64 -m 256 -smp 2 -object memory-backend-memfd,id=mem,size=256M,share=on \\\n"
"    -machine q35,memory-backend=mem -chardev socket,id=chr,path=/tmp/vm.sock \\\n"
"    -netdev vhost-user,id=net,chardev=chr -device virtio-net-pci,netdev=net ...\n";

static const uint64_t features_all =
        BIT_MASK(NET_F_CSUM_BIT) | BIT_MASK(NET_F_GUEST_CSUM_BIT) | BIT_MASK(NET_F_MTU_BIT) |
        BIT_MASK(NET_F_GUEST_TSO4_BIT) | BIT_MASK(NET_F_GUEST_TSO6_BIT) |
        BIT_MASK(NET_F_GUEST_ECN_BIT) | BIT_MASK(NET_F_HOST_TSO4_BIT) |
        BIT_MASK(NET_F_HOST_TSO6_BIT) | BIT_MASK(NET_F_HOST_ECN_BIT) |
        BIT_MASK(NET_F_MRG_RXBUF_BIT) | BIT_MASK(NET_F_MQ_BIT) | BIT_MASK(NET_F_INDIRECT_BIT) |
        BIT_MASK(NET_F_EVENT_INDEX_BIT) | BIT_MASK(VHOST_F_PROTOCOL_FEATURES_BIT) |
        BIT_MASK(NET_F_VERSION_1_BIT) | BIT_MASK(NET_F_PACKED_BIT) | BIT_MASK(NET_F_IN_ORDER_BIT) |
        BIT_MASK(NET_F_GUEST_USO4_BIT) | BIT_MASK(NET_F_GUEST_USO6_BIT) |
        BIT_MASK(NET_F_HOST_USO_BIT);

static const uint64_t protocol_all =
        BIT_MASK(VHOST_PROTOCOL_MQ_BIT) | BIT_MASK(VHOST_PROTOCOL_REPLY_ACK_BIT) |
        BIT_MASK(VHOST_PROTOCOL_NET_MTU_BIT) | BIT_MASK(VHOST_PROTOCOL_RESET_DEVICE_BIT) |
        BIT_MASK(VHOST_PROTOCOL_MEM_SLOTS_BIT);

#define TSO_MASK                                                                                \
        (BIT_MASK(NET_F_GUEST_TSO4_BIT) | BIT_MASK(NET_F_GUEST_TSO6_BIT) |                      \
         BIT_MASK(NET_F_GUEST_ECN_BIT) | BIT_MASK(NET_F_HOST_TSO4_BIT) |                        \
         BIT_MASK(NET_F_HOST_TSO6_BIT) | BIT_MASK(NET_F_HOST_ECN_BIT))
#define USO_MASK                                                                                \
        (BIT_MASK(NET_F_GUEST_USO4_BIT) | BIT_MASK(NET_F_GUEST_USO6_BIT) |                      \
         BIT_MASK(NET_F_HOST_USO_BIT))

/* What --without knows; what depends on a feature goes with it. */
static const struct {
        const char *name;
        uint64_t features, protocol;
} groups[] = {
        {"packed", BIT_MASK(NET_F_PACKED_BIT), 0},
        {"in-order", BIT_MASK(NET_F_IN_ORDER_BIT), 0},
        {"indirect", BIT_MASK(NET_F_INDIRECT_BIT), 0},
        {"event-idx", BIT_MASK(NET_F_EVENT_INDEX_BIT), 0},
        {"mrg", BIT_MASK(NET_F_MRG_RXBUF_BIT), 0},
        {"csum", BIT_MASK(NET_F_CSUM_BIT) | BIT_MASK(NET_F_GUEST_CSUM_BIT) | TSO_MASK | USO_MASK,
         0},
        {"tso", TSO_MASK, 0},
        {"uso", USO_MASK, 0},
        {"mq", BIT_MASK(NET_F_MQ_BIT), BIT_MASK(VHOST_PROTOCOL_MQ_BIT)},
        {"mtu", BIT_MASK(NET_F_MTU_BIT), BIT_MASK(VHOST_PROTOCOL_NET_MTU_BIT)},
        {"mem-slots", 0, BIT_MASK(VHOST_PROTOCOL_MEM_SLOTS_BIT)},
        {"reply-ack", 0, BIT_MASK(VHOST_PROTOCOL_REPLY_ACK_BIT)},
};

static bool wrong(const char *option, const char *argument, const char *expected)
{
        fprintf(stderr, "vhost-user-net: --%s %s: expected %s\n", option, argument, expected);
        return false;
}

static bool read_number(const char *option, const char *argument, uint32_t most, uint32_t *number)
{
        char expected[64], *end;
        unsigned long value = strtoul(argument, &end, 10);
        if (*argument >= '0' && *argument <= '9' && *end == '\0' && value >= 1 && value <= most) {
                *number = (uint32_t)value;
                return true;
        }
        snprintf(expected, sizeof(expected), "a number from 1 to %u", most);
        return wrong(option, argument, expected);
}

static bool read_word(const char *option, const char *argument, const char *const *words,
                      uint32_t *which)
{
        char expected[128] = "";
        for (uint32_t i = 0; words[i] != NULL; i++) {
                if (strcmp(argument, words[i]) == 0) {
                        *which = i;
                        return true;
                }
                size_t used = strlen(expected);
                snprintf(expected + used, sizeof(expected) - used, "%s%s", i == 0 ? "" : ", ",
                         words[i]);
        }
        return wrong(option, argument, expected);
}

static bool read_without(struct options *options, const char *list)
{
        while (*list != '\0') {
                size_t bytes = strcspn(list, ",");
                bool known = false;
                for (size_t i = 0; i < ARRAY_COUNT(groups); i++)
                        if (strlen(groups[i].name) == bytes &&
                            memcmp(groups[i].name, list, bytes) == 0) {
                                options->offer.features &= ~groups[i].features;
                                options->offer.protocol_features &= ~groups[i].protocol;
                                known = true;
                        }
                if (!known)
                        return wrong("without", list, "names of features, see --help");
                list += bytes + (list[bytes] == ',');
        }
        return true;
}

static bool read_mac(struct options *options, const char *argument)
{
        uint8_t *mac = options->offer.config;
        char rest;
        if (sscanf(argument, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2],
                   &mac[3], &mac[4], &mac[5], &rest) != 6 || mac[0] & 1)
                return wrong("mac", argument, "an address such as 52:54:00:12:34:56");
        options->offer.features |= BIT_MASK(NET_F_MAC_BIT);
        options->offer.protocol_features |= BIT_MASK(VHOST_PROTOCOL_CONFIG_BIT);
        return true;
}

static bool add_port(struct options *options, enum option_port_kind kind, const char *argument)
{
        if (options->ports_count == FABRIC_PORTS_MAX) {
                fprintf(stderr, "vhost-user-net: more than %u ports\n", FABRIC_PORTS_MAX);
                return false;
        }
        options->ports[options->ports_count++] = (struct option_port){kind, argument};
        return true;
}

static bool read_one(struct options *options, int letter, const char *argument)
{
        static const char *const modes[] = {"switch", "echo", "macswap", "discard", NULL};
        static const char *const fulls[] = {"auto", "wait", "drop", NULL};
        uint32_t which;
        switch (letter) {
        case 's': return add_port(options, OPTION_LISTEN, argument);
        case 'c': return add_port(options, OPTION_CONNECT, argument);
        case 't': return add_port(options, OPTION_TAP, argument);
        case 'r': return add_port(options, OPTION_RESPOND, argument);
        case 'q': return read_number("queues", argument, VHOST_PAIRS_MAX, &options->offer.pairs);
        case 'w': return read_without(options, argument);
        case 'a': return read_mac(options, argument);
        case 'p': options->capture = argument; return true;
        case 'b': options->busy_poll = true; return true;
        case '1': options->once = true; return true;
        case 'v': options->verbose = true; return true;
        case 'm':
                if (!read_word("mode", argument, modes, &which))
                        return false;
                options->mode = (enum fabric_mode)which;
                return true;
        case 'f':
                if (!read_word("when-full", argument, fulls, &which))
                        return false;
                options->when_full = (enum fabric_when_full)which;
                return true;
        case 'S':
                options->stats_at_end = true;
                return argument == NULL ||
                       read_number("stats", argument, SECONDS_MAX, &options->stats_seconds);
        default: return false; /* getopt has said what is wrong */
        }
}

enum options_result options_read(struct options *options, int argc, char **argv)
{
        static const struct option words[] = {
                {"socket", required_argument, NULL, 's'},
                {"connect", required_argument, NULL, 'c'},
                {"tap", required_argument, NULL, 't'},
                {"respond", required_argument, NULL, 'r'},
                {"mode", required_argument, NULL, 'm'},
                {"pcap", required_argument, NULL, 'p'},
                {"when-full", required_argument, NULL, 'f'},
                {"queues", required_argument, NULL, 'q'},
                {"without", required_argument, NULL, 'w'},
                {"mac", required_argument, NULL, 'a'},
                {"busy-poll", no_argument, NULL, 'b'},
                {"stats", optional_argument, NULL, 'S'},
                {"once", no_argument, NULL, '1'},
                {"verbose", no_argument, NULL, 'v'},
                {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0},
        };
        *options = (struct options){.offer = {.features = features_all,
                                              .protocol_features = protocol_all,
                                              .pairs = PAIRS_DEFAULT}};
        for (int letter; (letter = getopt_long(argc, argv, "s:c:t:r:m:p:f:q:w:a:bS::1vh", words,
                                               NULL)) != -1;) {
                if (letter == 'h') {
                        fputs(help, stdout);
                        return OPTIONS_DONE;
                }
                if (!read_one(options, letter, optarg))
                        return OPTIONS_WRONG;
        }
        if (optind < argc)
                fprintf(stderr, "vhost-user-net: %s: not an option\n", argv[optind]);
        else if (options->ports_count == 0)
                fprintf(stderr, "vhost-user-net: no port; try --help\n");
        else if (options->mode == FABRIC_SWITCH && options->ports_count == 1 &&
                 options->capture == NULL)
                fprintf(stderr, "vhost-user-net: one port has nobody to talk to: give another one,"
                                " or --mode macswap, echo or discard\n");
        else
                return OPTIONS_RUN;
        return OPTIONS_WRONG;
}

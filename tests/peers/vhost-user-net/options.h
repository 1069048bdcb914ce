/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* options — the command line of vhost-user-net. */
#ifndef TESTS_PEERS_OPTIONS_H
#define TESTS_PEERS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "tests/peers/vhost-user-net/fabric.h"
#include "tests/peers/vhost-user-net/vhost_session.h"

#define EXIT_USAGE 2

enum option_port_kind { OPTION_LISTEN, OPTION_CONNECT, OPTION_TAP, OPTION_RESPOND };

struct option_port {
        enum option_port_kind kind;
        const char *argument;
};

struct options {
        struct option_port ports[FABRIC_PORTS_MAX];
        uint32_t ports_count;
        struct vhost_offer offer;
        enum fabric_mode mode;
        enum fabric_when_full when_full;
        const char *capture;  /* NULL: none */
        uint32_t stats_seconds; /* 0: none */
        bool stats_at_end;
        bool busy_poll;
        bool once;
        bool verbose;
};

enum options_result { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_WRONG };

/* Reads the command line; what is wrong with it was said. OPTIONS_DONE: --help was all. */
enum options_result MUST_CHECK options_read(struct options *options, int argc, char **argv);

#endif

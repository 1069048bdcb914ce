/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* options — the words that vmbus-host is started with. */
#ifndef TESTS_PEERS_VMBUS_HOST_PROGRAM_OPTIONS_H
#define TESTS_PEERS_VMBUS_HOST_PROGRAM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Guest memory whose addresses are offsets in its file on every machine of QEMU that boots us: q35
 * moves what is above this many bytes beyond 4 GiB. */
#define OPTIONS_RAM_BYTES_LIMIT 0xb0000000ull

struct options {
        const char *socket_path;
        const char *ram_path;
        uint64_t ram_bytes;
        const char *network;
        uint8_t mac[6];
        uint32_t queues;
        uint32_t version_max; /* of VMBus, 0: the newest */
        uint32_t nvsp_max;    /* NVSP_VERSION_..., 0: the newest */
        const char *control_path; /* NULL: none */
        bool lie;
        uint64_t lie_seed;
        uint32_t lie_rate;
        uint64_t lies; /* which ones */
        bool echo_only, keep, stats, verbose;
};

/* Reads them. Returns -1 to go on, else the exit status: 0 after --help, 2 after a complaint. */
int options_read(struct options *options, int argc, char **argv);

#endif

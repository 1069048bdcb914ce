/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pcap_file — writes frames to a capture file (libpcap's format 2.4, nanoseconds, Ethernet).
 *
 * Owner       of the open file
 * Facts       the libpcap file format, draft-ietf-opsawg-pcap */
#ifndef TESTS_PEERS_PCAP_FILE_H
#define TESTS_PEERS_PCAP_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"

struct pcap_file {
        FILE *file;
        uint64_t frames;
        bool failed; /* a write failed; said once, later frames are left out */
};

/* Creates `path`; false, with errno: it cannot be. */
bool MUST_CHECK pcap_file_open(struct pcap_file *pcap, const char *path);

/* Adds a frame, with the time of now. */
void pcap_file_write(struct pcap_file *pcap, const void *frame, uint32_t bytes);

/* Hands everything to the system. */
void pcap_file_flush(struct pcap_file *pcap);

/* Ends the file; false: not all could be written. */
bool pcap_file_close(struct pcap_file *pcap);

#endif

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Capture files, see pcap_file.h. */
#include "tests/peers/vhost-user-net/pcap_file.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define PCAP_MAGIC_NANOSECONDS 0xa1b23c4du
#define PCAP_MAJOR 2
#define PCAP_MINOR 4
#define PCAP_SNAP_BYTES 262144u
#define PCAP_ETHERNET 1u

struct pcap_head {
        uint32_t magic;
        uint16_t major, minor;
        uint32_t zone, precision, snap_bytes, link;
};

struct pcap_record {
        uint32_t seconds, nanoseconds, stored_bytes, bytes;
};

bool pcap_file_open(struct pcap_file *pcap, const char *path)
{
        const struct pcap_head head = {.magic = PCAP_MAGIC_NANOSECONDS, .major = PCAP_MAJOR,
                                       .minor = PCAP_MINOR, .snap_bytes = PCAP_SNAP_BYTES,
                                       .link = PCAP_ETHERNET};
        *pcap = (struct pcap_file){.file = fopen(path, "wbe")};
        return pcap->file != NULL && fwrite(&head, sizeof(head), 1, pcap->file) == 1 &&
               fflush(pcap->file) == 0;
}

void pcap_file_write(struct pcap_file *pcap, const void *frame, uint32_t bytes)
{
        struct timespec now;
        if (pcap->failed)
                return;
        clock_gettime(CLOCK_REALTIME, &now);
        const struct pcap_record record = {.seconds = (uint32_t)now.tv_sec,
                                           .nanoseconds = (uint32_t)now.tv_nsec,
                                           .stored_bytes = bytes, .bytes = bytes};
        if (fwrite(&record, sizeof(record), 1, pcap->file) != 1 ||
            fwrite(frame, bytes, 1, pcap->file) != 1) {
                pcap->failed = true;
                fprintf(stderr, "vhost-user-net: the capture file: %s\n", strerror(errno));
                return;
        }
        pcap->frames++;
}

void pcap_file_flush(struct pcap_file *pcap)
{
        if (pcap->file != NULL && fflush(pcap->file) != 0)
                pcap->failed = true;
}

bool pcap_file_close(struct pcap_file *pcap)
{
        bool closed = pcap->file == NULL || fclose(pcap->file) == 0;
        pcap->file = NULL;
        return closed && !pcap->failed;
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What the command line says about virtio network cards.
 *
 *   virtio_net.features=-packed,-mrg-rxbuf      leaves these features alone, by the names that
 *                                               cmd=virtio shows; "none": all that can be left */
#include <string.h>

#include "base/bytes.h"
#include "drivers/virtio/virtio_net.h"
#include "kernel/cmdline.h"
#include "kernel/log.h"

#define DEVICE_TYPE_NET 1

static char features[128];
static uint64_t queue_size = VIRTIO_NET_QUEUE_SIZE_DEFAULT;
static uint64_t queue_pairs = NETDEV_QUEUE_PAIRS_MAX;
CMDLINE_STRING(features, "virtio_net.features",
               "features of virtio network cards to leave alone: -NAME,-NAME... or none");
CMDLINE_UINT(queue_size, "virtio_net.queue-size", 2, VIRTIO_NET_QUEUE_SIZE_MAX,
             "entries of a virtio network card's queues at most");
CMDLINE_UINT(queue_pairs, "virtio_net.queue-pairs", 1, NETDEV_QUEUE_PAIRS_MAX,
             "queue pairs of a virtio network card at most");

/* Without VERSION_1 there is no device. */
static uint64_t unwanted_features(void)
{
        uint64_t unwanted = 0;
        const char *at = features;
        if (strcmp(features, "none") == 0)
                return ~BIT_MASK(VIRTIO_F_VERSION_1);
        while (*at != '\0') {
                size_t length = strcspn(at, ",");
                int bit =
                        *at == '-' ? virtio_feature_find(at + 1, length - 1, DEVICE_TYPE_NET) : -1;
                if (bit < 0 || bit == VIRTIO_F_VERSION_1)
                        log_line("virtio_net.features: '%.*s' is none to leave alone; expected "
                                 "-NAME,-NAME... or none",
                                 (int)length, at);
                else
                        unwanted |= BIT_MASK(bit);
                at += length + (at[length] == ',');
        }
        return unwanted;
}

void virtio_net_options_of_command_line(struct virtio_net_options *options)
{
        options->unwanted = unwanted_features();
        options->queue_size = 1u << (31 - __builtin_clz((uint32_t)queue_size));
        options->queue_pairs = (uint32_t)min_u64(options->queue_pairs, queue_pairs);
}

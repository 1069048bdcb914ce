/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_element — one buffer of a chain, the same on both sides. Facts: Virtio 1.3, 2.6. */
#ifndef VIRTQUEUE_VIRTQUEUE_ELEMENT_H
#define VIRTQUEUE_VIRTQUEUE_ELEMENT_H

#include <stdint.h>

struct virtqueue_element {
        uint64_t dev;   /* the address that the driver gave it and the device uses */
        uint32_t bytes; /* 1..; a zero-length element is fatal for some devices */
};

#endif

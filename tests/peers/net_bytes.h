/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* net_bytes — numbers in the byte order of the network, at any address, and the checksum over them.
 * For the peers alone: what the guest's own code says on the wire is checked against this.
 *
 * Relies on   nothing but freestanding C
 * Facts       RFC 1071 */
#ifndef TESTS_PEERS_NET_BYTES_H
#define TESTS_PEERS_NET_BYTES_H

#include <stdint.h>

static inline uint32_t get16(const uint8_t *at)
{
        return (uint32_t)at[0] << 8 | at[1];
}

static inline uint32_t get32(const uint8_t *at)
{
        return get16(at) << 16 | get16(at + 2);
}

/* The low 16 bits of `value`. */
static inline void put16(uint8_t *at, uint32_t value)
{
        at[0] = (uint8_t)(value >> 8);
        at[1] = (uint8_t)value;
}

static inline void put32(uint8_t *at, uint32_t value)
{
        put16(at, value >> 16);
        put16(at + 2, value);
}

/* Of `bytes` bytes, 131072 at most; 0 over bytes that hold their right checksum. */
static inline uint16_t internet_checksum(const uint8_t *at, uint32_t bytes)
{
        uint32_t sum = 0;
        for (uint32_t i = 0; i + 1 < bytes; i += 2)
                sum += get16(at + i);
        if (bytes % 2 != 0)
                sum += (uint32_t)at[bytes - 1] << 8;
        while (sum > UINT16_MAX)
                sum = (sum & UINT16_MAX) + (sum >> 16);
        return (uint16_t)~sum;
}

#endif

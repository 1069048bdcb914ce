/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* rndis_message_fuzz — a hostile host's RNDIS messages: the input is one range of the receive
 * buffer, in memory of exactly its length. */
#include "drivers/hyperv/rndis.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

NORETURN void assert_failed(const char *file, unsigned line, const char *expression)
{
        __builtin_trap();
}

#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition))                                                                  \
                        __builtin_trap();                                                          \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct rndis_control control;
        struct rndis_packet packet;
        uint32_t type, length, bytes = (uint32_t)size;
        uint8_t *message = malloc(size != 0 ? size : 1);
        memcpy(message, data, size);
        if (rndis_take_header(message, bytes, &type, &length) == RNDIS_OK) {
                CHECK(length >= RNDIS_HEADER_BYTES && length <= bytes);
                if (rndis_take_packet(message, length, &packet) == RNDIS_OK) {
                        CHECK(packet.data_bytes != 0 && packet.data_bytes <= length);
                        CHECK(packet.data_offset >= RNDIS_PACKET_HEADER_BYTES);
                        CHECK(packet.data_offset <= length - packet.data_bytes);
                }
        }
        if (rndis_take_control(message, bytes, &control) == RNDIS_OK)
                CHECK(control.information_bytes <= RNDIS_INFORMATION_BYTES_MAX &&
                      control.information_bytes <= bytes);
        free(message);
        return 0;
}

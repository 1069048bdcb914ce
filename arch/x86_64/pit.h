/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pit — the 8254 interval timer: channel 0 is the watchdog's, channel 2 (the
 * speaker's) the calibration's.
 *
 * For files of arch/ only. Facts: Intel 8254 datasheet. Context: boot
 * CPU; a channel has one user. */
#ifndef ARCH_PIT_H
#define ARCH_PIT_H

#include <stdint.h>

#include "arch/io.h"

#define PIT_HZ 1193182u
#define PIT_COUNT_MAX 0xffffu

#define PIT_CHANNEL_TICK 0
#define PIT_CHANNEL_SPEAKER 2

#define PIT_DATA_PORT 0x40 /* plus the channel */
#define PIT_COMMAND_PORT 0x43
#define PIT_COMMAND_CHANNEL_SHIFT 6
#define PIT_COMMAND_LATCH 0x00
#define PIT_COMMAND_BOTH_BYTES 0x30
#define PIT_MODE_ONE_SHOT 0x00  /* mode 0: counts down and goes on through 0 */
#define PIT_MODE_PERIODIC 0x04  /* mode 2: an edge every time the count runs out */

/* Channel 2's gate and the speaker behind it. */
#define PIT_GATE_PORT 0x61
#define PIT_GATE_ENABLE 0x01
#define PIT_GATE_SPEAKER 0x02

/* Starts a channel; count 0 stands for 65536. */
static inline void pit_program(uint8_t channel, uint8_t mode, uint16_t count)
{
        outb(PIT_COMMAND_PORT,
             (uint8_t)(channel << PIT_COMMAND_CHANNEL_SHIFT | PIT_COMMAND_BOTH_BYTES | mode));
        outb(PIT_DATA_PORT + channel, (uint8_t)count);
        outb(PIT_DATA_PORT + channel, (uint8_t)(count >> 8));
}

/* The channel's count now; all ones on a machine without a PIT. */
static inline uint16_t pit_read(uint8_t channel)
{
        outb(PIT_COMMAND_PORT, (uint8_t)(channel << PIT_COMMAND_CHANNEL_SHIFT | PIT_COMMAND_LATCH));
        uint8_t low = inb(PIT_DATA_PORT + channel);
        uint8_t high = inb(PIT_DATA_PORT + channel);
        return (uint16_t)(high << 8 | low);
}

#endif

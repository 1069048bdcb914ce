/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* channel_boot — the kernel's channels: their pool, and the console word `channel`. */
#ifndef KERNEL_CHANNEL_BOOT_H
#define KERNEL_CHANNEL_BOOT_H

#include "kernel/channel.h"

/* For channel_create; valid after channel_boot. */
extern struct channel_pool kernel_channels;

/* After memory_init; once. */
void channel_boot(void);

/* The console word: a line for each channel, up to CHANNEL_LINES_MAX of them. */
#define CHANNEL_LINES_MAX 50
void channel_print(void);

#endif

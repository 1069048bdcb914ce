/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* channel_wait — how a channel_call of this kernel waits: it takes work of its CPU (kernel/cpu.h),
 * halts until an interrupt or the deadline, and is woken by the CPU that answers. */
#ifndef KERNEL_CHANNEL_WAIT_H
#define KERNEL_CHANNEL_WAIT_H

#include "kernel/channel.h"

/* For channel_create and channel_init. Deadlines are those of kernel/time.h. A queue that reaches
 * 1750 messages is noted in the log; one with 3500 takes no more.
 *   context  channel_call with them: thread, interrupts on, no lock held */
extern const struct channel_ops channel_wait_ops;

#endif

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_device_signals — one signal for many queues. A device whose queues share an interrupt,
 * or that serves a queue in many small steps, notes whom it owes a signal and sends it once, when
 * it is done with all of them.
 *
 *   for each queue:            serve; virtqueue_device_publish(&device);
 *                              virtqueue_device_signals_note(&signals, &device)
 *   before it sleeps or ends:  virtqueue_device_signals_flush(&signals)
 *
 * What was noted is never lost: a queue that is noted while somebody flushes is either in that
 * signal or in the next flush.
 *
 * Owner       caller; the queues need not know
 * Context     any; several threads, each with queues of its own, may share one
 * Order       the exchange in flush() acquires what every note() since the last one released: the
 *             entries that were published before any of them are there when the signal is sent. So
 *             note() exchanges as well, and never looks first: a plain store, or none, would leave
 *             the notes of others before it behind
 * Facts       spec/zircon-objects.md, 13.5 (the same for one notifier: "buffered") */
#ifndef VIRTQUEUE_VIRTQUEUE_DEVICE_SIGNALS_H
#define VIRTQUEUE_VIRTQUEUE_DEVICE_SIGNALS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "virtqueue/virtqueue_device.h"

struct virtqueue_device_signals {
        void (*signal)(void *context); /* interrupts the driver */
        void *context;
        _Atomic bool owed;
        _Atomic uint64_t noted, sent; /* how often; for display */
};

static inline void virtqueue_device_signals_init(struct virtqueue_device_signals *signals,
                                                 void (*signal)(void *context), void *context)
{
        signals->signal = signal;
        signals->context = context;
        atomic_init(&signals->owed, false);
        atomic_init(&signals->noted, 0);
        atomic_init(&signals->sent, 0);
}

/* Asks, as virtqueue_device_signal_needed() does, after a publish(); what it says is remembered. */
static inline void virtqueue_device_signals_note(struct virtqueue_device_signals *signals,
                                                 struct virtqueue_device *device)
{
        if (!virtqueue_device_signal_needed(device))
                return;
        atomic_fetch_add_explicit(&signals->noted, 1, memory_order_relaxed);
        /* Goes on with the release sequence of whoever noted before. */
        (void)atomic_exchange_explicit(&signals->owed, true, memory_order_release);
}

/* Sends one signal if one or more are owed.
 *   returns  whether it did */
static inline bool virtqueue_device_signals_flush(struct virtqueue_device_signals *signals)
{
        if (!atomic_exchange_explicit(&signals->owed, false, memory_order_acquire))
                return false;
        atomic_fetch_add_explicit(&signals->sent, 1, memory_order_relaxed);
        signals->signal(signals->context);
        return true;
}

#endif

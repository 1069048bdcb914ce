/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_bench — the benchmarks of lib/virtqueue are in several files; virtqueue_bench.c hands
 * over its own and then those of the others. */
#ifndef TESTS_BENCH_VIRTQUEUE_BENCH_H
#define TESTS_BENCH_VIRTQUEUE_BENCH_H

/* Hands over the benchmarks of the device's end. */
void virtqueue_device_bench_register(void);

/* Hands over those of both ends in two processes. */
void virtqueue_transfer_bench_register(void);

#endif

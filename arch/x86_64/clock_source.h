/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* clock_source — ways to learn how fast a counter runs: what CPUID or the hypervisor says, and
 * measuring against a counter whose speed is known.
 *
 * For files of arch/ only. Context: boot CPU, interrupts off while something is measured. */
#ifndef ARCH_CLOCK_SOURCE_H
#define ARCH_CLOCK_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"

/* Frequencies outside are refused as absurd. */
#define CLOCK_HZ_MIN 50000000ull
#define CLOCK_HZ_MAX 20000000000ull

/* A counter that runs by itself. */
struct clock_counter {
        uint64_t (*read)(const struct clock_counter *counter);
        volatile void *registers; /* or */
        uint16_t port;
        uint32_t bits; /* it wraps after that many */
        bool down;
        uint64_t hz; /* 0: not known */
};

/* How far the time stamp counter and `counter` moved in the same stretch of time. */
struct clock_interval {
        uint64_t ticks;
        uint64_t counted;
        uint64_t step_max; /* the most ticks between two looks */
};
/* Watches both until `counter` has moved by `counted_min` (or more) or the time stamp counter by
 * `ticks_max`, whichever comes first.
 *   returns  ZX_OK with what passed; ZX_ERR_IO: the counter stands still */
zx_status_t MUST_CHECK clock_compare(const struct clock_counter *counter, uint64_t counted_min,
                                     uint64_t ticks_max, struct clock_interval *interval);

/* How fast the time stamp counter runs, against a counter with an hz. Takes a millisecond or two,
 * and longer where the machine is stopped meanwhile.
 *   returns  ZX_OK; ZX_ERR_IO: that counter stands still, or is far too slow */
zx_status_t MUST_CHECK clock_measure_against(const struct clock_counter *counter, uint64_t *hz_out);

/* a * b / c, rounded down; the product may need 128 bits, the result must fit 64. c is not 0. */
uint64_t clock_scale(uint64_t a, uint64_t b, uint64_t c);

/* Nanoseconds that pvclock's multiplier and shift make of a tick, turned
 * into ticks a second; 0: absurd.
 * Facts: Linux Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW. */
uint64_t clock_pvclock_hz(uint32_t multiplier, int8_t shift);

void clock_source_configure(const struct arch_clock_config *config);

#endif

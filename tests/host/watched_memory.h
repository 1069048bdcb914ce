/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* watched_memory — pages of which every access is seen: they are taken away, each access faults, is
 * let through alone as a single step of the processor, and the pages are gone again. The test's hooks
 * run before and after each, and may look at and change anything in the pages.
 *
 * One area at a time; one thread. Needs Linux on x86-64: protection faults, the trap flag. */
#ifndef TESTS_HOST_WATCHED_MEMORY_H
#define TESTS_HOST_WATCHED_MEMORY_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#define TRAP_FLAG 0x100ll

static struct {
        uint8_t *pages;
        size_t bytes;
        /* An access to the byte at `offset` comes; has been. The pages can be read and written in
         * both. Not called while the watch is off. */
        void (*before)(size_t offset);
        void (*after)(void);
        uint32_t accesses; /* since watch() */
        bool on;
} watched;

static void watched_fault(int number, siginfo_t *info, void *context)
{
        ucontext_t *cpu = context;
        uintptr_t offset = (uintptr_t)info->si_addr - (uintptr_t)watched.pages;
        (void)number;
        if (!watched.on || offset >= watched.bytes) {
                signal(SIGSEGV, SIG_DFL); /* a real one: fault again and die */
                return;
        }
        mprotect(watched.pages, watched.bytes, PROT_READ | PROT_WRITE);
        watched.before(offset);
        watched.accesses++;
        cpu->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void watched_step(int number, siginfo_t *info, void *context)
{
        ucontext_t *cpu = context;
        (void)number;
        (void)info;
        cpu->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
        watched.after();
        mprotect(watched.pages, watched.bytes, PROT_NONE);
}

/* `pages`: whole pages, `bytes` of them; the watch is off. */
static inline void watched_open(uint8_t *pages, size_t bytes, void (*before)(size_t offset),
                                void (*after)(void))
{
        struct sigaction fault = {.sa_sigaction = watched_fault, .sa_flags = SA_SIGINFO};
        struct sigaction step = {.sa_sigaction = watched_step, .sa_flags = SA_SIGINFO};
        watched.pages = pages;
        watched.bytes = bytes;
        watched.before = before;
        watched.after = after;
        sigaction(SIGSEGV, &fault, NULL);
        sigaction(SIGTRAP, &step, NULL);
}

static inline void watched_close(void)
{
        signal(SIGSEGV, SIG_DFL);
        signal(SIGTRAP, SIG_DFL);
}

/* From here on every access is seen; until unwatch(). */
static inline void watch(void)
{
        watched.accesses = 0;
        watched.on = true;
        mprotect(watched.pages, watched.bytes, PROT_NONE);
}

static inline void unwatch(void)
{
        mprotect(watched.pages, watched.bytes, PROT_READ | PROT_WRITE);
        watched.on = false;
}

#endif

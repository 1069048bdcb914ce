/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* watched_memory — pages of which every access is seen: they are taken away, each access faults, is
 * let through alone as a single step of the processor, and the pages are gone again. The test's
 * hooks run before and after each, and may look at and change anything in the pages.
 *
 * With `follow` it is also known who makes an access: every instruction of the program's own
 * code is a reader of its own, and so is every call of a library (memcpy may load a byte
 * twice where its pieces overlap; that is one look). For that the processor goes in single
 * steps from the first access on.
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
        bool on, under_way;
        /* With follow, set before watch(): */
        bool follow, in_library;
        uint32_t reader;        /* who makes the access that is under way, 1 .. since watch() */
        uint32_t width;         /* its bytes */
        void (*returned)(void); /* a library's call is over; as before(), may be NULL */
} watched;

/* The program's own code; libraries lie elsewhere. */
extern const char __executable_start[], etext[];

static bool watched_is_library(const ucontext_t *cpu)
{
        uintptr_t at = (uintptr_t)cpu->uc_mcontext.gregs[REG_RIP];
        return at < (uintptr_t)__executable_start || at >= (uintptr_t)etext;
}

/* The bytes that an instruction moves from or to memory, as far as
 * compilers and memcpy use them. */
static uint32_t watched_width(const uint8_t *code)
{
        bool half = false, wide = false;
        uint8_t repeat = 0;
        for (;; code++) {
                if (*code == 0xf2 || *code == 0xf3)
                        repeat = *code;
                else if (*code == 0x66)
                        half = true;
                else if (*code != 0xf0 && *code != 0x64 && *code != 0x65)
                        break;
        }
        if ((*code & 0xf0) == 0x40)
                wide = (*code++ & 8) != 0;
        if (*code == 0x62) /* EVEX, VEX */
                return 16u << (code[3] >> 5 & 3);
        if (*code == 0xc4 || *code == 0xc5)
                return (code[*code == 0xc4 ? 2 : 1] & 4) != 0 ? 32 : 16;
        if (*code == 0x63)
                return 4;
        if (*code != 0x0f)
                return (*code & 1) == 0 ? 1 : wide ? 8 : half ? 2 : 4;
        switch (code[1]) {
        case 0xb6:
        case 0xbe:
                return 1;
        case 0xb7:
        case 0xbf:
                return 2;
        case 0x10:
        case 0x11:
                return repeat == 0xf2 ? 8 : repeat == 0xf3 ? 4 : 16;
        case 0x28:
        case 0x29:
        case 0x6f:
        case 0x7f:
                return 16;
        case 0x12:
        case 0x13:
        case 0x16:
        case 0x17:
        case 0xd6:
                return 8;
        case 0x7e:
                return repeat == 0xf3 || wide ? 8 : 4;
        default:
                return wide ? 8 : half ? 2 : 4;
        }
}

static void watched_note_reader(const ucontext_t *cpu)
{
        bool library = watched_is_library(cpu);
        if (!library || !watched.in_library)
                watched.reader++;
        watched.in_library = library;
        watched.width = watched_width((const uint8_t *)cpu->uc_mcontext.gregs[REG_RIP]);
}

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
        if (watched.follow)
                watched_note_reader(cpu);
        watched.before(offset);
        watched.accesses++;
        watched.under_way = true;
        cpu->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void watched_step(int number, siginfo_t *info, void *context)
{
        ucontext_t *cpu = context;
        (void)number;
        (void)info;
        if (!watched.follow || !watched.on)
                cpu->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
        if (!watched.on)
                return;
        bool returned = watched.follow && watched.in_library && !watched_is_library(cpu);
        if (!watched.under_way && !returned)
                return;
        mprotect(watched.pages, watched.bytes, PROT_READ | PROT_WRITE);
        if (watched.under_way)
                watched.after();
        watched.under_way = false;
        if (returned) {
                watched.in_library = false;
                if (watched.returned != NULL)
                        watched.returned();
        }
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
        watched.accesses = watched.reader = 0;
        watched.under_way = watched.in_library = false;
        watched.on = true;
        mprotect(watched.pages, watched.bytes, PROT_NONE);
}

static inline void unwatch(void)
{
        watched.on = false;
        mprotect(watched.pages, watched.bytes, PROT_READ | PROT_WRITE);
}

#endif

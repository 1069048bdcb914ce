/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* boot — what the boot paths in this folder share: the kernel's own copy of boot_info. */
#ifndef ARCH_BOOT_H
#define ARCH_BOOT_H

#include <stdint.h>

#include "base/compiler.h"
#include "kernel/boot_info.h"

/* Entered from entry.S; `boot_info_pa` is mapped at va == pa. */
NORETURN void boot_start(const struct boot_info *boot_info_pa);
/* Entered from boot_pvh.S. */
NORETURN void boot_pvh_start(uint64_t start_info_pa, uint64_t tsc_entry);

/* The one copy that kernel_main gets; in bss, so that the loader's memory can be reused. */
extern struct boot_info boot_info_own;

#endif

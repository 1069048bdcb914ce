/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* boot — takes over boot_info from a loader and enters the kernel. */
#include "arch/boot.h"

#include "arch/arch.h"
#include "arch/smp.h"
#include "base/bytes.h"

struct boot_info boot_info_own;

NORETURN void boot_start(const struct boot_info *boot_info_pa)
{
        smp_set_this(&smp_boot_cpu);
        /* Nothing can be printed yet; a wrong magic is left in place for kernel_main to report. */
        memcpy(&boot_info_own, boot_info_pa, sizeof(boot_info_own));
        boot_info_own.cmdline[BOOT_CMDLINE_BYTES - 1] = '\0';
        kernel_main(&boot_info_own);
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* main — the boot order, on one screen. Names no driver and no test: they
 * enter through linker tables. */
#include "arch/arch.h"
#include "kernel/acpi.h"
#include "kernel/aspace.h"
#include "kernel/boot_info.h"
#include "kernel/boot_report.h"
#include "kernel/buffer_chain_boot.h"
#include "kernel/channel_boot.h"
#include "kernel/cmdline.h"
#include "kernel/command.h"
#include "kernel/cpu.h"
#include "kernel/driver.h"
#include "kernel/interrupts.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/memory_pressure.h"
#include "kernel/panic.h"
#include "kernel/selftest.h"
#include "kernel/time.h"
#include "kernel/watchdog.h"

static char commands[128];
CMDLINE_STRING(commands, "cmd",
               "console words to run before the tests, separated by commas; cmd=help");

static void greet(const struct boot_info *boot_info)
{
        char cpu[160];

        log_line("Paravane %s, booted by %s, command line '%s'", PARAVANE_FLAVOUR,
                 boot_info->path == BOOT_PATH_UEFI ? "UEFI" : "PVH", boot_info->cmdline);
        if (boot_info->magic != BOOT_INFO_MAGIC || boot_info->version != BOOT_INFO_VERSION)
                panic("the loader's boot_info has magic 0x%llx version %u, "
                      "expected 0x%llx version %u",
                      (unsigned long long)boot_info->magic, boot_info->version, BOOT_INFO_MAGIC,
                      BOOT_INFO_VERSION);
        if (boot_info->cmdline_truncated)
                log_line("cmdline: longer than %d characters, cut", BOOT_CMDLINE_BYTES - 1);
        arch_cpu_describe(cpu, sizeof(cpu));
        log_line("cpu: %s", cpu);
}

NORETURN void kernel_main(const struct boot_info *boot_info)
{
        uint8_t code;

        boot_report_begin(boot_info->tsc_entry);
        arch_cpu_init(); /* first, so that a fault anywhere below is decoded, not a silent reset */
        log_raw("KTAP version 1");
        driver_start_phase(DRIVER_PHASE_CONSOLE);
        boot_report_step("console");
        greet(boot_info);
        cmdline_parse(boot_info->cmdline);
        boot_report_step("greeting");
        memory_init(boot_info);
        boot_report_step("memory");
        acpi_init(boot_info->rsdp_pa);
        boot_report_step("acpi");
        interrupts_init();
        cpu_start_begin();
        boot_report_step("interrupts");
        time_init(boot_info->tsc_entry);
        boot_report_step("clock");
        cpu_start_finish();
        boot_report_step("cpus");
        watchdog_init();
        buffer_chain_boot();
        channel_boot();
        memory_pressure_boot();
        aspace_init();
        boot_report_step("objects");
        driver_start_phase(DRIVER_PHASE_BUS);
        driver_start_phase(DRIVER_PHASE_DEVICE);
        boot_report_step("drivers");
        boot_report_print();

        command_run_list(commands);
        code = selftest_run();
        driver_stop_all();
        selftest_print_verdict();
        arch_exit(code);
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* boot_report — see boot_report.h. Steps are kept as raw ticks, because most of them end before
 * the clock's frequency is known. */
#include "kernel/boot_report.h"

#include <stdio.h>

#include "arch/arch.h"
#include "base/assert.h"
#include "kernel/command.h"
#include "kernel/log.h"
#include "kernel/time.h"

#define BOOT_STEPS_MAX 24
#define BOOT_LINE_BYTES 400

static struct {
        const char *name;
        uint64_t ticks;
} steps[BOOT_STEPS_MAX];
static size_t step_count;

void boot_report_begin(uint64_t tsc)
{
        ASSERT(step_count == 0);
        steps[step_count].name = "begin";
        steps[step_count++].ticks = tsc;
}

void boot_report_step(const char *name)
{
        ASSERT(step_count > 0);
        ASSERT(step_count < BOOT_STEPS_MAX);
        steps[step_count].name = name;
        steps[step_count++].ticks = arch_ticks();
}

/* Appends "name 1.2 ms". */
static size_t append_step(char *line, size_t used, const char *name, uint64_t ticks)
{
        uint64_t tenths = arch_ticks_to_ns(ticks) / (NS_PER_MS / 10);
        int bytes = snprintf(line + used, BOOT_LINE_BYTES - used, "%s%s %llu.%llu ms",
                             used != 0 ? ", " : "", name, (unsigned long long)(tenths / 10),
                             (unsigned long long)(tenths % 10));
        return bytes > 0 && (size_t)bytes < BOOT_LINE_BYTES - used ? used + (size_t)bytes : used;
}

void boot_report_print(void)
{
        char line[BOOT_LINE_BYTES] = "";
        size_t used = 0;

        for (size_t i = 1; i < step_count; i++)
                used = append_step(line, used, steps[i].name, steps[i].ticks - steps[i - 1].ticks);
        used = append_step(line, used, "total", steps[step_count - 1].ticks - steps[0].ticks);
        log_line("boot: %s", line);
}
COMMAND(boot_command, "boot", "how long each step of the boot took", boot_report_print);

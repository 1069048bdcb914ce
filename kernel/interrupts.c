/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* interrupts — see interrupts.h. */
#include "kernel/interrupts.h"

#include "arch/arch.h"
#include "kernel/acpi.h"
#include "kernel/panic.h"

void interrupts_init(void)
{
        const struct acpi_info *acpi = acpi_info();
        zx_status_t status;

        arch_exit_configure(&acpi->exit);
        status = arch_irq_init(&acpi->irq);
        if (status != ZX_OK)
                panic("no interrupt controller: %s", zx_status_name(status));
        arch_interrupts_enable();
}

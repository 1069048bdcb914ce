/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* irq_report — the console word `irq`: interrupt controllers, and who owns which vector. */
#include "arch/arch.h"
#include "kernel/command.h"
#include "kernel/log.h"

#define VECTOR_COUNT 256
#define NO_GSI UINT32_MAX

static void irq_print(void)
{
        struct arch_irq_summary summary;
        struct arch_irq_vector vector;

        arch_irq_summary(&summary);
        log_line("irq: %s id %u, %u I/O APICs with %u lines (%u do not answer), %u vectors free",
                 summary.x2apic ? "x2APIC" : "local APIC", summary.apic_id, summary.ioapic_count,
                 summary.line_count, summary.ioapics_missing, summary.msi_free);
        log_line("irq: %llu handled, %llu spurious, %llu errors (0x%x)",
                 (unsigned long long)arch_irq_count(),
                 (unsigned long long)arch_irq_spurious_count(),
                 (unsigned long long)summary.error_count, summary.error_status);
        for (uint32_t from = 0; from < VECTOR_COUNT && arch_irq_next_vector(from, &vector);
             from = vector.vector + 1u) {
                if (vector.gsi == NO_GSI)
                        log_line("irq: vector 0x%x %s: %llu", vector.vector, vector.name,
                                 (unsigned long long)vector.count);
                else
                        log_line("irq: vector 0x%x %s, GSI %u: %llu", vector.vector, vector.name,
                                 vector.gsi, (unsigned long long)vector.count);
        }
}
COMMAND(irq_command, "irq", "interrupt controllers, vectors and their counts", irq_print);

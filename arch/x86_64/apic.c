/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* apic — arch_irq_*: vectors, MSI messages, lines, and what to do with
 * interrupts that nobody asked for.
 * Facts: Intel SDM 3, 10.11 (message format), 10.8.5 (end of interrupt), 10.9 (spurious); 8259A
 * datasheet; ACPI 6.5, 5.2.12.5 (overrides). */
#include "arch/apic.h"

#include <stdbool.h>
#include <stddef.h>

#include "arch/io.h"
#include "arch/ioapic.h"
#include "arch/lapic.h"
#include "arch/trap.h"
#include "base/assert.h"
#include "base/bytes.h"

#define MSI_ADDRESS 0xfee00000u
#define MSI_DESTINATION_SHIFT 12
#define MSI_VECTOR_MASK 0xffu
#define APIC_ID_MAX 254u /* 255 is everybody */

#define PIC_MASTER_COMMAND 0x20
#define PIC_MASTER_DATA 0x21
#define PIC_SLAVE_COMMAND 0xa0
#define PIC_SLAVE_DATA 0xa1
#define PIC_LINES 8
#define PIC_ICW1_INIT_WITH_ICW4 0x11
#define PIC_ICW3_MASTER 0x04 /* the slave hangs on line 2 */
#define PIC_ICW3_SLAVE 0x02
#define PIC_ICW4_8086 0x01
#define PIC_MASK_ALL 0xff

#define ISA_IRQ_COUNT 16
#define MPS_POLARITY_MASK 3u
#define MPS_POLARITY_LOW 3u
#define MPS_TRIGGER_SHIFT 2
#define MPS_TRIGGER_MASK 3u
#define MPS_TRIGGER_LEVEL 3u

struct slot {
        arch_irq_handler handler; /* NULL: free; atomic: interrupts of other CPUs look at it */
        /* CPUs that are in the handler, or about to look for it; atomic. */
        uint32_t running;
        void *context;
        const char *name;
        uint64_t count;
        uint32_t gsi;
};

static struct slot slots[TRAP_VECTOR_COUNT];
static struct apic_isa_line isa_lines[ISA_IRQ_COUNT];
static uint64_t handled_count, spurious_count, error_count;
static uint32_t error_status, ioapics_missing;

/* ---- delivery ---- */

/* Every vector from 32 on ends here. */
static void dispatch(struct arch_trap_frame *frame, void *context)
{
        uint8_t vector = (uint8_t)frame->vector;
        struct slot *slot = &slots[vector];

        (void)context;
        /* Either this CPU sees that the handler is gone, or vacate() sees that it is
         * running here: the store in front of each load is ordered before it
         * (sequential consistency on both sides). */
        __atomic_fetch_add(&slot->running, 1, __ATOMIC_SEQ_CST);
        arch_irq_handler handler = __atomic_load_n(&slot->handler, __ATOMIC_SEQ_CST);
        if (handler != NULL) {
                /* The timer's and the other CPUs' vectors come to several CPUs. */
                __atomic_fetch_add(&slot->count, 1, __ATOMIC_RELAXED);
                __atomic_fetch_add(&handled_count, 1, __ATOMIC_RELAXED);
                handler(slot->context);
                __atomic_fetch_sub(&slot->running, 1, __ATOMIC_RELEASE);
                lapic_end_of_interrupt();
                return;
        }
        __atomic_fetch_sub(&slot->running, 1, __ATOMIC_RELEASE);
        /* Either truly spurious (the APIC's own, or an 8259's: not in service, must not be
         * ended), or a message with a vector that is nobody's, which would block all vectors
         * below it if it were never ended. */
        __atomic_fetch_add(&spurious_count, 1, __ATOMIC_RELAXED);
        if (lapic_in_service(vector))
                lapic_end_of_interrupt();
}

static void error_interrupt(void *context)
{
        (void)context;
        __atomic_fetch_add(&error_count, 1, __ATOMIC_RELAXED);
        __atomic_fetch_or(&error_status, lapic_take_errors(), __ATOMIC_RELAXED);
}

static void occupy(uint8_t vector, const char *name, arch_irq_handler handler, void *context)
{
        struct slot *slot = &slots[vector];
        bool enabled = arch_interrupts_disable();

        ASSERT(handler != NULL);
        ASSERT(slot->handler == NULL);
        slot->context = context;
        slot->name = name;
        slot->count = 0;
        slot->gsi = APIC_NO_GSI;
        /* With the context before it. */
        __atomic_store_n(&slot->handler, handler, __ATOMIC_RELEASE);
        arch_interrupts_restore(enabled);
}

/* Takes the handler away and waits until no CPU runs it. Not from inside it. */
static void vacate(struct slot *slot)
{
        __atomic_store_n(&slot->handler, NULL, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&slot->running, __ATOMIC_SEQ_CST) != 0)
                arch_pause(); /* handlers are short and do not block */
}

void apic_claim_vector(uint8_t vector, const char *name, arch_irq_handler handler, void *context)
{
        ASSERT(vector > APIC_VECTOR_LAST);
        occupy(vector, name, handler, context);
}

/* ---- set-up ---- */

/* Moves the 8259s' vectors away from the CPU's exceptions, for the spurious interrupts that they
 * raise even when masked, and masks them. On a machine without them the ports swallow this. */
static void disable_pics(void)
{
        outb(PIC_MASTER_COMMAND, PIC_ICW1_INIT_WITH_ICW4);
        outb(PIC_SLAVE_COMMAND, PIC_ICW1_INIT_WITH_ICW4);
        outb(PIC_MASTER_DATA, APIC_VECTOR_PIC);
        outb(PIC_SLAVE_DATA, APIC_VECTOR_PIC + PIC_LINES);
        outb(PIC_MASTER_DATA, PIC_ICW3_MASTER);
        outb(PIC_SLAVE_DATA, PIC_ICW3_SLAVE);
        outb(PIC_MASTER_DATA, PIC_ICW4_8086);
        outb(PIC_SLAVE_DATA, PIC_ICW4_8086);
        outb(PIC_MASTER_DATA, PIC_MASK_ALL);
        outb(PIC_SLAVE_DATA, PIC_MASK_ALL);
}

/* ISA lines are edge-triggered and active high unless an override says otherwise. */
static void take_overrides(const struct arch_irq_config *config)
{
        for (uint32_t irq = 0; irq < ISA_IRQ_COUNT; irq++)
                isa_lines[irq] = (struct apic_isa_line){.gsi = irq};
        ASSERT(config->override_count <= ARRAY_COUNT(config->overrides));
        for (uint32_t i = 0; i < config->override_count; i++) {
                uint32_t flags = config->overrides[i].mps_flags;
                ASSERT(config->overrides[i].isa_irq < ISA_IRQ_COUNT);
                isa_lines[config->overrides[i].isa_irq] = (struct apic_isa_line){
                        .gsi = config->overrides[i].gsi,
                        .level = (flags >> MPS_TRIGGER_SHIFT & MPS_TRIGGER_MASK) ==
                                 MPS_TRIGGER_LEVEL,
                        .active_low = (flags & MPS_POLARITY_MASK) == MPS_POLARITY_LOW,
                };
        }
}

/* One that does not answer is left out: its lines are then not found. */
static void add_ioapics(const struct arch_irq_config *config)
{
        ASSERT(config->ioapic_count <= ARRAY_COUNT(config->ioapics));
        for (uint32_t i = 0; i < config->ioapic_count; i++) {
                if (config->ioapics[i].va == NULL ||
                    ioapic_add(config->ioapics[i].va, config->ioapics[i].gsi_base) != ZX_OK)
                        ioapics_missing++;
        }
}

zx_status_t arch_irq_init(const struct arch_irq_config *config)
{
        bool enabled = arch_interrupts_disable();

        disable_pics();
        for (uint32_t vector = TRAP_FIRST_INTERRUPT; vector < TRAP_VECTOR_COUNT; vector++)
                trap_set_interrupt_handler((uint8_t)vector, dispatch, NULL);
        take_overrides(config);
        zx_status_t status =
                lapic_init(config->lapic_va, APIC_VECTOR_SPURIOUS, APIC_VECTOR_ERROR);
        if (status == ZX_OK) {
                apic_claim_vector(APIC_VECTOR_ERROR, "lapic-error", error_interrupt, NULL);
                add_ioapics(config);
        }
        arch_interrupts_restore(enabled);
        return status;
}

struct apic_isa_line apic_isa_line(uint8_t isa_irq)
{
        ASSERT(isa_irq < ISA_IRQ_COUNT);
        return isa_lines[isa_irq];
}

void apic_init_this(void)
{
        lapic_init_this(APIC_VECTOR_SPURIOUS, APIC_VECTOR_ERROR, false);
}

zx_status_t apic_destination(uint8_t *apic_id)
{
        if (!lapic_is_ready() || lapic_id() > APIC_ID_MAX)
                return ZX_ERR_NOT_SUPPORTED;
        *apic_id = (uint8_t)lapic_id();
        return ZX_OK;
}

/* ---- vectors for devices ---- */

/* A free vector, 0: none. */
static uint8_t find_free_vector(void)
{
        for (uint32_t vector = APIC_VECTOR_FIRST; vector <= APIC_VECTOR_LAST; vector++)
                if (slots[vector].handler == NULL)
                        return (uint8_t)vector;
        return 0;
}

zx_status_t arch_irq_allocate_msi(const char *name, arch_irq_handler handler, void *context,
                                  struct arch_msi_message *message)
{
        uint8_t apic_id;
        uint8_t vector = find_free_vector();

        if (apic_destination(&apic_id) != ZX_OK || vector == 0)
                return ZX_ERR_NO_RESOURCES;
        occupy(vector, name, handler, context);
        message->address = MSI_ADDRESS | (uint32_t)apic_id << MSI_DESTINATION_SHIFT;
        message->data = vector; /* edge, fixed delivery */
        return ZX_OK;
}

void arch_irq_free_msi(const struct arch_msi_message *message)
{
        uint32_t vector = message->data & MSI_VECTOR_MASK;
        bool enabled = arch_interrupts_disable();

        ASSERT(vector >= APIC_VECTOR_FIRST && vector <= APIC_VECTOR_LAST);
        ASSERT(slots[vector].handler != NULL);
        ASSERT(slots[vector].gsi == APIC_NO_GSI);
        vacate(&slots[vector]);
        arch_interrupts_restore(enabled);
}

zx_status_t arch_irq_aim_msi(struct arch_msi_message *message, uint32_t cpu)
{
        struct arch_cpu_summary summary;
        ASSERT(cpu < arch_cpu_count());
        arch_cpu_summary(cpu, &summary);
        if (summary.apic_id > APIC_ID_MAX)
                return ZX_ERR_NOT_SUPPORTED;
        message->address = MSI_ADDRESS | summary.apic_id << MSI_DESTINATION_SHIFT;
        return ZX_OK;
}

/* The slot that a line is connected to, NULL: none. */
static struct slot *find_line(uint32_t gsi)
{
        ASSERT(gsi != APIC_NO_GSI);
        for (uint32_t vector = APIC_VECTOR_FIRST; vector <= APIC_VECTOR_LAST; vector++)
                if (slots[vector].handler != NULL && slots[vector].gsi == gsi)
                        return &slots[vector];
        return NULL;
}

zx_status_t arch_irq_connect_gsi(uint32_t gsi, bool level, bool active_low, const char *name,
                                 arch_irq_handler handler, void *context)
{
        struct ioapic_route route = {.level = level, .active_low = active_low};
        bool enabled = arch_interrupts_disable();
        zx_status_t status = ZX_ERR_ALREADY_BOUND;

        if (find_line(gsi) != NULL)
                goto out;
        status = ZX_ERR_NO_RESOURCES;
        route.vector = find_free_vector();
        if (route.vector == 0 || apic_destination(&route.apic_id) != ZX_OK)
                goto out;
        occupy(route.vector, name, handler, context);
        slots[route.vector].gsi = gsi;
        status = ioapic_route(gsi, &route);
        if (status != ZX_OK)
                vacate(&slots[route.vector]);
out:
        arch_interrupts_restore(enabled);
        return status;
}

void arch_irq_mask_gsi(uint32_t gsi)
{
        bool enabled = arch_interrupts_disable();
        ioapic_mask(gsi);
        arch_interrupts_restore(enabled);
}

void arch_irq_disconnect_gsi(uint32_t gsi)
{
        bool enabled = arch_interrupts_disable();
        struct slot *slot = find_line(gsi);

        ASSERT(slot != NULL);
        ioapic_mask(gsi);
        vacate(slot);
        arch_interrupts_restore(enabled);
}

zx_status_t arch_irq_connect_isa(uint8_t isa_irq, const char *name, arch_irq_handler handler,
                                 void *context)
{
        struct apic_isa_line line = apic_isa_line(isa_irq);
        return arch_irq_connect_gsi(line.gsi, line.level, line.active_low, name, handler, context);
}

/* ---- looking ---- */

uint64_t arch_irq_count(void)
{
        return __atomic_load_n(&handled_count, __ATOMIC_RELAXED); /* interrupts change it */
}

uint64_t arch_irq_spurious_count(void)
{
        return __atomic_load_n(&spurious_count, __ATOMIC_RELAXED);
}

void arch_irq_summary(struct arch_irq_summary *summary)
{
        *summary = (struct arch_irq_summary){
                .x2apic = lapic_is_x2apic(),
                .apic_id = lapic_is_ready() ? lapic_id() : 0,
                .ioapic_count = ioapic_count(),
                .ioapics_missing = ioapics_missing,
                .line_count = ioapic_line_count(),
                .error_count = error_count,
                .error_status = error_status,
        };
        for (uint32_t vector = APIC_VECTOR_FIRST; vector <= APIC_VECTOR_LAST; vector++)
                summary->msi_free += slots[vector].handler == NULL;
}

bool arch_irq_next_vector(uint32_t vector, struct arch_irq_vector *out)
{
        for (; vector < TRAP_VECTOR_COUNT; vector++) {
                const struct slot *slot = &slots[vector];
                if (slot->handler == NULL)
                        continue;
                *out = (struct arch_irq_vector){.name = slot->name, .count = slot->count,
                                                .gsi = slot->gsi, .vector = (uint8_t)vector};
                return true;
        }
        return false;
}

void arch_irq_raise_self(const struct arch_msi_message *message)
{
        uint32_t vector = message->data & MSI_VECTOR_MASK;

        ASSERT(vector >= TRAP_FIRST_INTERRUPT);
        ASSERT(lapic_is_ready());
        lapic_send_self((uint8_t)vector);
}

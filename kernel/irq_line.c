/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* See irq_line.h. The list of users is changed with interrupts off, and walked by the handler on
 * the same CPU: neither sees the other half-way. */
#include "kernel/irq_line.h"

#include "arch/arch.h"
#include "base/assert.h"
#include "kernel/acpi.h"
#include "kernel/log.h"

#define ISA_IRQS 16
#define MPS_POLARITY_MASK 3u
#define MPS_POLARITY_LOW 3u
#define MPS_TRIGGER_SHIFT 2
#define MPS_TRIGGER_LEVEL 3u

static struct irq_line_state {
        struct irq_line line;
        struct list_node users;
        uint32_t user_count; /* 0: free */
        uint32_t unclaimed;  /* interrupts in a row */
} lines[IRQ_LINES_MAX];

struct irq_line irq_line_of_isa(uint8_t irq)
{
        const struct arch_irq_config *config = &acpi_info()->irq;
        struct irq_line line = {.gsi = irq};
        ASSERT(irq < ISA_IRQS);
        for (uint32_t i = 0; i < config->override_count; i++) {
                uint32_t flags = config->overrides[i].mps_flags;
                if (config->overrides[i].isa_irq != irq)
                        continue;
                line.gsi = config->overrides[i].gsi;
                line.level = flags >> MPS_TRIGGER_SHIFT == MPS_TRIGGER_LEVEL;
                line.active_low = (flags & MPS_POLARITY_MASK) == MPS_POLARITY_LOW;
        }
        return line;
}

static bool ask_users(struct irq_line_state *state)
{
        bool claimed = false;
        LIST_FOR_EACH (node, &state->users) {
                struct irq_line_user *user = CONTAINER_OF(node, struct irq_line_user, node);
                if (!user->masked)
                        claimed |= user->handler(user->context);
        }
        return claimed;
}

static void on_interrupt(void *context)
{
        struct irq_line_state *state = context;
        bool claimed = ask_users(state);
        state->unclaimed = claimed ? 0 : state->unclaimed + 1;
        for (uint32_t pass = 1; !state->line.level && claimed && pass < IRQ_LINE_PASSES_MAX; pass++)
                claimed = ask_users(state);
        if (state->unclaimed == IRQ_LINE_UNCLAIMED_MAX) {
                arch_irq_mask_gsi(state->line.gsi);
                log_line("irq: line %u interrupts without end and no device claims it; masked",
                         (unsigned)state->line.gsi);
        }
}

/* The state of that line, else a free one; NULL: there is none. */
static struct irq_line_state *find_state(uint32_t gsi)
{
        struct irq_line_state *free = NULL;
        for (uint32_t i = 0; i < IRQ_LINES_MAX; i++) {
                if (lines[i].user_count == 0)
                        free = &lines[i];
                else if (lines[i].line.gsi == gsi)
                        return &lines[i];
        }
        return free;
}

zx_status_t irq_line_connect(struct irq_line_user *user, const struct irq_line *line)
{
        struct irq_line_state *state = find_state(line->gsi);
        ASSERT(user->state == NULL);
        if (state == NULL)
                return ZX_ERR_NO_RESOURCES;
        if (state->user_count != 0 && (state->line.level != line->level ||
                                       state->line.active_low != line->active_low))
                return ZX_ERR_BAD_STATE;
        bool enabled = arch_interrupts_disable();
        zx_status_t status = ZX_OK;
        if (state->user_count == 0) {
                *state = (struct irq_line_state){.line = *line};
                list_init(&state->users);
                status = arch_irq_connect_gsi(line->gsi, line->level, line->active_low, user->name,
                                              on_interrupt, state);
        }
        if (status == ZX_OK) {
                user->state = state;
                user->masked = false;
                list_add_tail(&state->users, &user->node);
                state->user_count++;
        }
        arch_interrupts_restore(enabled);
        return status;
}

void irq_line_mask(struct irq_line_user *user)
{
        bool enabled = arch_interrupts_disable(), used = false;
        if (user->state != NULL) {
                user->masked = true;
                LIST_FOR_EACH (node, &user->state->users)
                        used |= !CONTAINER_OF(node, struct irq_line_user, node)->masked;
                if (!used)
                        arch_irq_mask_gsi(user->state->line.gsi);
        }
        arch_interrupts_restore(enabled);
}

void irq_line_disconnect(struct irq_line_user *user)
{
        bool enabled = arch_interrupts_disable();
        if (user->state != NULL) {
                list_remove(&user->node);
                if (--user->state->user_count == 0)
                        arch_irq_disconnect_gsi(user->state->line.gsi);
                user->state = NULL;
        }
        arch_interrupts_restore(enabled);
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* irq_line — interrupt lines of an I/O APIC, shared by the devices that are wired to them.
 *
 *   struct irq_line line = {.gsi = 24, .level = true};
 *   irq_line_connect(&user, &line);       // user.handler and .context are set; calls from here on
 *   irq_line_disconnect(&user);           // none after this
 *
 * A handler looks at its device and says whether it was the one. A line that works by level is high
 * until every device that raises it has been told; one that works by edge is silent while another
 * device still holds it up. Hence the users of an edge are asked again until none of them claims
 * it. A line that interrupts IRQ_LINE_UNCLAIMED_MAX times in a row and is nobody's is masked, and
 * that is logged: the machine would do nothing else any more.
 *
 * Owner     struct irq_line_user is the caller's, static, and in place while it is connected
 * Context   boot CPU, to which all lines go; connect and disconnect in threads, mask also in
 *           interrupts
 * Facts     Intel 82093AA datasheet, 3.2.4; Linux masks such lines as well */
#ifndef KERNEL_IRQ_LINE_H
#define KERNEL_IRQ_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/status.h"

#define IRQ_LINES_MAX 32
#define IRQ_LINE_PASSES_MAX 64 /* over the users of an edge, an interrupt */
#define IRQ_LINE_UNCLAIMED_MAX 1000

/* Which line, and how it works. */
struct irq_line {
        uint32_t gsi;
        bool level, active_low;
};

/* In interrupt context.
 *   returns  whether the device had something to say */
typedef bool (*irq_line_fn)(void *context);

struct irq_line_user {
        irq_line_fn handler;
        void *context;
        const char *name;
        /* irq_line's */
        struct list_node node;
        struct irq_line_state *state; /* NULL: not connected */
        bool masked;
};

/* The line behind an ISA IRQ (0..15), after the firmware's overrides: by default edge, active high,
 * with the same number. */
struct irq_line irq_line_of_isa(uint8_t irq);

/* Connects, alone or as one more user. The first one decides how the line works.
 *   returns  ZX_OK; ZX_ERR_NO_RESOURCES: no vector, or IRQ_LINES_MAX lines are connected;
 *            ZX_ERR_NOT_FOUND: no I/O APIC has it; ZX_ERR_BAD_STATE: others use it by the other
 *            trigger or polarity; ZX_ERR_ALREADY_BOUND: somebody has it who shares it with nobody.
 *            Nothing has changed then */
zx_status_t MUST_CHECK irq_line_connect(struct irq_line_user *user, const struct irq_line *line);
/* The handler is not called any more; the line is masked when no other user is left. */
void irq_line_mask(struct irq_line_user *user);
void irq_line_disconnect(struct irq_line_user *user);

#endif

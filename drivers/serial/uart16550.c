/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* uart16550 — the console: COM1, 115200 8N1, polled.
 * To get this device:  -serial stdio
 *
 * Facts: National Semiconductor PC16550D data sheet. Output only. Every wait is bounded: a UART
 * that stops taking bytes loses text, never the run. */
#include "arch/io.h"
#include "kernel/driver.h"
#include "kernel/log.h"

#define UART_PORT 0x3f8
#define UART_FIFO_BYTES 16
#define UART_POLLS_MAX 1000000 /* a byte takes 87 us at 115200 baud */

/* Register offsets; the first two are the divisor while LINE_CONTROL has bit 7. */
#define UART_DATA 0
#define UART_INTERRUPT_ENABLE 1
#define UART_FIFO_CONTROL 2
#define UART_LINE_CONTROL 3
#define UART_MODEM_CONTROL 4
#define UART_LINE_STATUS 5
#define UART_SCRATCH 7

#define LINE_CONTROL_8N1 0x03
#define LINE_CONTROL_DIVISOR 0x80
#define FIFO_CONTROL_ENABLE_AND_CLEAR 0x07
#define MODEM_CONTROL_DTR_RTS 0x03
#define LINE_STATUS_TRANSMIT_EMPTY 0x20

static bool transmit_is_empty(void)
{
        for (unsigned poll = 0; poll < UART_POLLS_MAX; poll++) {
                if (inb(UART_PORT + UART_LINE_STATUS) & LINE_STATUS_TRANSMIT_EMPTY)
                        return true;
        }
        return false;
}

static void uart_write(struct log_sink *sink, const char *text, size_t bytes)
{
        (void)sink;
        for (size_t done = 0; done < bytes;) {
                if (!transmit_is_empty())
                        return;
                /* Empty means that the whole FIFO is free. */
                for (unsigned room = UART_FIFO_BYTES; room > 0 && done < bytes; room--)
                        outb(UART_PORT + UART_DATA, (uint8_t)text[done++]);
        }
}

static zx_status_t uart_start(void)
{
        static struct log_sink sink = {.write = uart_write};

        outb(UART_PORT + UART_SCRATCH, 0x5a);
        if (inb(UART_PORT + UART_SCRATCH) != 0x5a)
                return ZX_ERR_NOT_FOUND;
        outb(UART_PORT + UART_INTERRUPT_ENABLE, 0);
        outb(UART_PORT + UART_LINE_CONTROL, LINE_CONTROL_DIVISOR);
        outb(UART_PORT + UART_DATA, 1);
        outb(UART_PORT + UART_INTERRUPT_ENABLE, 0);
        outb(UART_PORT + UART_LINE_CONTROL, LINE_CONTROL_8N1);
        outb(UART_PORT + UART_FIFO_CONTROL, FIFO_CONTROL_ENABLE_AND_CLEAR);
        outb(UART_PORT + UART_MODEM_CONTROL, MODEM_CONTROL_DTR_RTS);
        log_add_sink(&sink);
        return ZX_OK;
}

DRIVER(uart16550_driver, "uart16550", DRIVER_PHASE_CONSOLE, uart_start, NULL);

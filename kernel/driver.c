/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* driver — walks the driver table; see driver.h. */
#include "kernel/driver.h"

#include "base/assert.h"
#include "kernel/linker_table.h"
#include "kernel/log.h"

#define DRIVERS_MAX 64

LINKER_TABLE_DECLARE(driver_table, struct driver);

static const struct driver *started[DRIVERS_MAX];
static size_t started_count;

void driver_start_phase(enum driver_phase phase)
{
        LINKER_TABLE_FOR_EACH(driver, driver_table, struct driver)
        {
                zx_status_t status;

                if (driver->phase != phase)
                        continue;
                status = driver->start();
                if (status == ZX_OK) {
                        ASSERT(started_count < DRIVERS_MAX);
                        started[started_count++] = driver;
                } else if (status != ZX_ERR_NOT_FOUND) {
                        log_line("driver %s: did not start: %s", driver->name,
                                 zx_status_name(status));
                }
        }
}

void driver_stop_all(void)
{
        while (started_count > 0) {
                const struct driver *driver = started[--started_count];
                if (driver->stop != NULL)
                        driver->stop();
        }
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The entry of the Hyper-V family in the driver table. */
#include "drivers/hyperv/hyperv.h"

#include "arch/arch.h"
#include "drivers/hyperv/hyperv_transport.h"
#include "drivers/hyperv/vmbus_mailbox_pci.h"
#include "drivers/hyperv/vmbus_protocol.h"
#include "kernel/aspace.h"
#include "kernel/cpu.h"
#include "kernel/driver.h"
#include "kernel/linker_table.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/time.h"

#define CHANNELS 64
#define GPADLS 128
#define EVERY_CPU_DEADLINE_NS 1000000000ull
#define MSI_VECTOR_MASK 0xffu

LINKER_TABLE_DECLARE(vmbus_driver_table, struct vmbus_driver);

/* Allocated when a transport is found. */
struct connection {
        struct vmbus vmbus;
        union {
                struct hyperv_transport hyperv;
                struct vmbus_mailbox_pci mailbox;
        };
        struct vmbus_channel channels[CHANNELS];
        struct vmbus_gpadl gpadls[GPADLS];
        /* vmbus_serve() as work of the boot CPU;
         * a second one for what comes while the first runs. */
        struct cpu_work work[2];
};

static struct connection *connection;
static struct spinlock wake_lock = SPINLOCK_INIT("vmbus wake");

/* ---- the platform ---- */

static void pause_ns(uint64_t ns)
{
        time_wait_interrupt(time_deadline_after(ns));
}

const struct vmbus_platform hyperv_platform = {
        .now_ns = time_ns,
        .pause = pause_ns,
        .cpu = cpu_current_number,
        .cpu_count = cpu_count,
        .interrupts_disable = arch_interrupts_disable,
        .interrupts_restore = arch_interrupts_restore,
};

static void serve(void *context)
{
        vmbus_serve(context);
}

/* Work that runs may have looked for the last time; then the other one does it. */
static void wake(void *context)
{
        struct connection *c = context;
        bool enabled = cpu_lock_irq_save(&wake_lock);
        for (size_t i = 0; i < ARRAY_COUNT(c->work); i++) {
                uint32_t state = __atomic_load_n(&c->work[i].state, __ATOMIC_ACQUIRE);
                if (state == CPU_WORK_QUEUED)
                        break;
                if (state == CPU_WORK_RUNNING)
                        continue;
                cpu_work_post(&c->work[i], 0);
                break;
        }
        cpu_unlock_irq_restore(&wake_lock, enabled);
}

/* ---- Hyper-V itself ---- */

static const void *map_code(uint64_t pa)
{
        void *va;
        return memory_map_physical(pa, PAGE_BYTES, MEMORY_MAP_CODE, &va) == ZX_OK ? va : NULL;
}

static zx_status_t on_every_cpu(void (*function)(void *context), void *context)
{
        return cpu_run_on_all(function, context, time_deadline_after(EVERY_CPU_DEADLINE_NS));
}

static const struct hyperv_ops cpu_ops = {
        .cpuid = arch_hyperv_cpuid,
        .read_msr = arch_hyperv_read_msr,
        .write_msr = arch_hyperv_write_msr,
        .hypercall = arch_hyperv_hypercall,
        .ticks = arch_ticks,
        .map_code = map_code,
        .on_every_cpu = on_every_cpu,
};

static void on_interrupt(void *context)
{
        hyperv_interrupt(context);
}

static zx_status_t open_hyperv(struct hyperv_transport *hyperv,
                               const struct hyperv_features *features)
{
        struct arch_msi_message message;
        zx_status_t status = arch_irq_allocate_msi("hyper-v", on_interrupt, hyperv, &message);
        if (status != ZX_OK)
                return status;
        const struct hyperv_config config = {.ops = &cpu_ops,
                                             .platform = &hyperv_platform,
                                             .pmm = &kernel_pmm,
                                             .features = *features,
                                             .vector = (uint8_t)(message.data & MSI_VECTOR_MASK)};
        status = hyperv_transport_open(hyperv, &config);
        if (status != ZX_OK)
                arch_irq_free_msi(&message);
        return status;
}

/* ---- start and stop ---- */

static zx_status_t allocate(struct connection **out)
{
        struct list_node pages;
        uint64_t pa;
        size_t count = div_round_up(sizeof(struct connection), PAGE_BYTES);
        list_init(&pages);
        zx_status_t status = pmm_alloc_contiguous(&kernel_pmm, count, PMM_ALLOC_ANY,
                                                  PAGE_BYTES_LOG2, &pa, &pages);
        if (status != ZX_OK)
                return status;
        LIST_FOR_EACH(node, &pages)
        {
                pmm_set_state(&kernel_pmm, vm_page_from_node(node), VM_PAGE_HEAP);
        }
        /* For good: the list's head is on this stack, so its pages leave it. */
        for (size_t i = 0; i < count; i++)
                (void)list_remove_head(&pages);
        *out = memory_pa_to_va(pa);
        memset(*out, 0, sizeof(**out));
        return ZX_OK;
}

static bool ivshmem_is_there(void)
{
        for (size_t i = 0; i < pci_device_count(); i++)
                if (vmbus_mailbox_pci_matches(pci_device_at(i)))
                        return true;
        return false;
}

static zx_status_t open_transport(struct connection *c, zx_status_t detected,
                                  const struct hyperv_features *features,
                                  struct vmbus_transport **transport)
{
        zx_status_t status;
        if (detected == ZX_OK) {
                status = open_hyperv(&c->hyperv, features);
                *transport = &c->hyperv.transport;
        } else {
                status = vmbus_mailbox_pci_open(&c->mailbox, &hyperv_platform);
                *transport = &c->mailbox.mailbox.transport;
        }
        return status;
}

static zx_status_t connect(struct connection *c, struct vmbus_transport *transport)
{
        const struct vmbus_config config = {
                .transport = transport,
                .pool = aspace_vmo_pool(),
                .drivers = __start_vmbus_driver_table,
                .driver_count = LINKER_TABLE_COUNT(vmbus_driver_table),
                .channels = c->channels,
                .channel_count = CHANNELS,
                .gpadls = c->gpadls,
                .gpadl_count = GPADLS,
                /* No more than what is used: event flags and connections are as the host gives
                 * them, there are no monitor pages, one client, no isolation. */
                .features_wanted = VMBUS_FEATURE_PAUSE_RESUME,
                .wake = wake,
                .wake_context = c,
        };
        zx_status_t status = vmbus_init(&c->vmbus, &config);
        if (status != ZX_OK)
                return status;
        for (size_t i = 0; i < ARRAY_COUNT(c->work); i++)
                cpu_work_init(&c->work[i], serve, &c->vmbus);
        status = vmbus_connect(&c->vmbus);
        if (status == ZX_ERR_IO_DATA_INTEGRITY)
                log_line("vmbus: the host broke a rule: %s", vmbus_fault_name(c->vmbus.fault));
        return status;
}

static zx_status_t hyperv_start(void)
{
        struct hyperv_features features;
        struct vmbus_transport *transport;
        zx_status_t detected = hyperv_detect(&cpu_ops, arch_cpu_has_hypervisor(), &features);
        if (detected == ZX_ERR_ACCESS_DENIED)
                log_line("hyper-v: an isolated guest, which VMBus here does not know");
        if (detected != ZX_OK && !ivshmem_is_there())
                return ZX_ERR_NOT_FOUND;
        zx_status_t status = allocate(&connection);
        if (status != ZX_OK)
                return status;
        status = open_transport(connection, detected, &features, &transport);
        if (status == ZX_OK)
                status = connect(connection, transport);
        if (status != ZX_OK) {
                /* A late interrupt may still look at it: the memory stays. */
                connection = NULL;
                return status;
        }
        log_line("vmbus: version %u.%u over %s", connection->vmbus.version >> 16,
                 connection->vmbus.version & 0xffff, transport->ops->name);
        return ZX_OK;
}

static void hyperv_stop(void)
{
        zx_status_t status = vmbus_disconnect(&connection->vmbus);
        if (status != ZX_OK)
                log_line("vmbus: the host did not take leave: %s", zx_status_name(status));
}

DRIVER(hyperv_driver, "vmbus", DRIVER_PHASE_DEVICE, hyperv_start, hyperv_stop);

struct vmbus *hyperv_vmbus(void)
{
        return connection == NULL ? NULL : &connection->vmbus;
}

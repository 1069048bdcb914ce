/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Hypercalls, synthetic interrupts and the reference clock. Facts: spec/vmbus.md, (g). */
#include "drivers/hyperv/hyperv_transport.h"

#include "base/assert.h"
#include "base/shared.h"

#define MESSAGES_PER_INTERRUPT 32 /* of a host that keeps the slot full */
#define CLOCK_TRIES 64            /* of a page that changes while it is read */
#define CLOCK_UNIT_NS 100
#define CONNECTION_ID_CONTACT 4u  /* spec e.1: an old host does not have it */
#define SIGNAL_INPUT_OFFSET 2048u /* in the input page, apart from what a post prepares */

static struct hyperv_transport *of(struct vmbus_transport *transport)
{
        return CONTAINER_OF(transport, struct hyperv_transport, transport);
}

/* ---- detection ---- */

zx_status_t hyperv_detect(const struct hyperv_ops *ops, bool hypervisor,
                          struct hyperv_features *features)
{
        uint32_t r[HYPERV_REGISTER_COUNT];
        const uint32_t eax_needed = BIT_MASK(HYPERV_FEATURE_SYNIC_BIT) |
                                    BIT_MASK(HYPERV_FEATURE_HYPERCALL_BIT) |
                                    BIT_MASK(HYPERV_FEATURE_VP_INDEX_BIT);
        const uint32_t ebx_needed = BIT_MASK(HYPERV_FEATURE_POST_MESSAGE_BIT) |
                                    BIT_MASK(HYPERV_FEATURE_SIGNAL_EVENT_BIT);
        if (!hypervisor)
                return ZX_ERR_NOT_FOUND;
        ops->cpuid(HYPERV_LEAF_VENDOR, r);
        uint32_t highest = r[HYPERV_EAX];
        if (r[HYPERV_EBX] != HYPERV_VENDOR_EBX || r[HYPERV_ECX] != HYPERV_VENDOR_ECX ||
            r[HYPERV_EDX] != HYPERV_VENDOR_EDX || highest < HYPERV_LEAF_LIMITS)
                return ZX_ERR_NOT_FOUND;
        ops->cpuid(HYPERV_LEAF_INTERFACE, r); /* others show that vendor, too: this decides (g.1) */
        if (r[HYPERV_EAX] != HYPERV_INTERFACE)
                return ZX_ERR_NOT_FOUND;
        ops->cpuid(HYPERV_LEAF_FEATURES, r);
        features->eax = r[HYPERV_EAX];
        features->ebx = r[HYPERV_EBX];
        if ((features->eax & eax_needed) != eax_needed ||
            (features->ebx & ebx_needed) != ebx_needed)
                return ZX_ERR_NOT_SUPPORTED;
        if ((features->ebx & BIT_MASK(HYPERV_FEATURE_ISOLATION_BIT)) != 0 &&
            highest >= HYPERV_LEAF_ISOLATION) {
                ops->cpuid(HYPERV_LEAF_ISOLATION, r);
                if ((r[HYPERV_EBX] & HYPERV_ISOLATION_TYPE_MASK) != 0)
                        return ZX_ERR_ACCESS_DENIED;
        }
        return ZX_OK;
}

/* ---- pages and their registers ---- */

static zx_status_t new_page(struct hyperv_transport *hyperv, struct vm_page **page)
{
        zx_status_t status = pmm_alloc_page(hyperv->pmm, PMM_ALLOC_ANY, page);
        if (status == ZX_OK) {
                pmm_set_state(hyperv->pmm, *page, VM_PAGE_HEAP);
                memset(pmm_page_va(hyperv->pmm, *page), 0, PAGE_BYTES);
        }
        return status;
}

static void free_page(struct hyperv_transport *hyperv, struct vm_page **page)
{
        if (*page != NULL)
                pmm_free_page(hyperv->pmm, *page);
        *page = NULL;
}

/* Lays a page over memory of ours, or takes it off (NULL); reserved bits stay as they were read. */
static void set_page(const struct hyperv_transport *hyperv, uint32_t msr,
                     const struct vm_page *page)
{
        uint64_t kept = hyperv->ops->read_msr(msr) & HYPERV_PAGE_RESERVED_MASK;
        hyperv->ops->write_msr(msr, kept | (page != NULL ? page->pa | HYPERV_PAGE_ENABLE : 0));
}

static void free_pages(struct hyperv_transport *hyperv)
{
        for (uint32_t cpu = 0; cpu < hyperv->cpu_count; cpu++)
                for (unsigned i = 0; i < ARRAY_COUNT(hyperv->cpus[cpu].pages); i++)
                        free_page(hyperv, &hyperv->cpus[cpu].pages[i]);
        free_page(hyperv, &hyperv->tsc_page);
        free_page(hyperv, &hyperv->hypercall_page);
}

static zx_status_t make_pages(struct hyperv_transport *hyperv)
{
        zx_status_t status = new_page(hyperv, &hyperv->hypercall_page);
        if (status == ZX_OK)
                status = new_page(hyperv, &hyperv->tsc_page);
        for (uint32_t i = 0; i < hyperv->cpu_count && status == ZX_OK; i++) {
                struct hyperv_cpu *cpu = &hyperv->cpus[i];
                for (unsigned p = 0; p < ARRAY_COUNT(cpu->pages) && status == ZX_OK; p++)
                        status = new_page(hyperv, &cpu->pages[p]);
                if (status != ZX_OK)
                        break;
                cpu->messages = pmm_page_va(hyperv->pmm, cpu->pages[0]);
                cpu->events = pmm_page_va(hyperv->pmm, cpu->pages[1]);
                cpu->input = pmm_page_va(hyperv->pmm, cpu->pages[2]);
                cpu->input_pa = cpu->pages[2]->pa;
        }
        if (status == ZX_OK) {
                hyperv->tsc = pmm_page_va(hyperv->pmm, hyperv->tsc_page);
                hyperv->hypercall_code = hyperv->ops->map_code(hyperv->hypercall_page->pa);
                if (hyperv->hypercall_code == NULL)
                        status = ZX_ERR_NO_MEMORY;
        }
        return status;
}

/* ---- clock ---- */

/* The page's time; false: the page is not valid (g.8). */
static bool page_time(const struct hyperv_transport *hyperv, uint64_t *time)
{
        const struct hyperv_tsc_page *page = hyperv->tsc;
        for (unsigned i = 0; i < CLOCK_TRIES; i++) {
                uint32_t sequence = shared_load_acquire_u32(&page->sequence);
                if (sequence == 0)
                        return false;
                uint64_t scale = shared_load_u64(&page->scale);
                uint64_t offset = shared_load_u64(&page->offset);
                uint64_t ticks = hyperv->ops->ticks();
                shared_fence_acquire(); /* scale and offset before the second look */
                if (shared_load_u32(&page->sequence) != sequence)
                        continue;
                *time = (uint64_t)(((unsigned __int128)ticks * scale) >> 64) + offset;
                return true;
        }
        return false;
}

uint64_t hyperv_reference_time(const struct hyperv_transport *hyperv)
{
        uint64_t time;
        if (hyperv->tsc_page != NULL && page_time(hyperv, &time))
                return time;
        return hyperv->ops->read_msr(HYPERV_MSR_TIME_REF_COUNT);
}

static uint64_t hyperv_now(struct vmbus_transport *transport)
{
        struct hyperv_transport *hyperv = of(transport);
        if ((hyperv->features.eax & BIT_MASK(HYPERV_FEATURE_REFERENCE_COUNTER_BIT)) == 0)
                return hyperv->platform->now_ns();
        return hyperv_reference_time(hyperv) * CLOCK_UNIT_NS;
}

/* ---- hypercalls ---- */

static uint32_t call(const struct hyperv_transport *hyperv, uint64_t control, uint64_t input)
{
        return hyperv->ops->hypercall(hyperv->hypercall_code, control, input, 0) &
               HYPERV_STATUS_MASK;
}

static zx_status_t hyperv_post(struct vmbus_transport *transport, uint32_t connection_id,
                               const void *message, uint32_t bytes)
{
        struct hyperv_transport *hyperv = of(transport);
        const struct hyperv_cpu *cpu = &hyperv->cpus[hyperv->platform->cpu()];
        struct hyperv_post_message *input = (void *)cpu->input;
        ASSERT(bytes <= HYPERV_MESSAGE_BYTES_MAX);
        *input = (struct hyperv_post_message){.connection_id = connection_id,
                                              .message_type = HYPERV_MESSAGE_TYPE_VMBUS,
                                              .payload_bytes = bytes};
        memcpy(input->payload, message, bytes);
        switch (call(hyperv, HYPERV_CALL_POST_MESSAGE, cpu->input_pa)) {
        case HYPERV_STATUS_SUCCESS:
                return ZX_OK;
        case HYPERV_STATUS_INSUFFICIENT_MEMORY:
        case HYPERV_STATUS_INSUFFICIENT_BUFFERS:
                return ZX_ERR_SHOULD_WAIT;
        case HYPERV_STATUS_INVALID_CONNECTION_ID: /* the host may be opening the port (g.6) */
                return connection_id == CONNECTION_ID_CONTACT ? ZX_ERR_IO : ZX_ERR_SHOULD_WAIT;
        default:
                return ZX_ERR_IO;
        }
}

/* In memory, for a hypervisor that does not take it in registers. Interrupts off: a callback may
 * signal, too. */
static uint32_t signal_slowly(struct hyperv_transport *hyperv, uint32_t connection_id)
{
        bool enabled = hyperv->platform->interrupts_disable();
        const struct hyperv_cpu *cpu = &hyperv->cpus[hyperv->platform->cpu()];
        struct hyperv_signal_event *input = (void *)(cpu->input + SIGNAL_INPUT_OFFSET);
        *input = (struct hyperv_signal_event){.connection_id = connection_id};
        uint32_t status = call(hyperv, HYPERV_CALL_SIGNAL_EVENT,
                               cpu->input_pa + SIGNAL_INPUT_OFFSET);
        hyperv->platform->interrupts_restore(enabled);
        return status;
}

static zx_status_t hyperv_signal(struct vmbus_transport *transport, uint32_t connection_id,
                                 uint32_t flag)
{
        struct hyperv_transport *hyperv = of(transport);
        uint32_t status = HYPERV_STATUS_INVALID_INPUT;
        if (!hyperv->slow_signals) /* flag number 0: relative to the connection (g.4) */
                status = call(hyperv, HYPERV_CALL_SIGNAL_EVENT | BIT_MASK(HYPERV_CALL_FAST_BIT),
                              connection_id);
        if (status == HYPERV_STATUS_INVALID_INPUT) {
                hyperv->slow_signals = true;
                status = signal_slowly(hyperv, connection_id);
        }
        return status == HYPERV_STATUS_SUCCESS ? ZX_OK : ZX_ERR_IO;
}

/* ---- synthetic interrupts ---- */

/* Takes one message out of this CPU's slot; false: there is none.
 * The order of the steps is that of g.5. */
static bool take_message(struct hyperv_transport *hyperv, struct hyperv_cpu *cpu)
{
        struct hyperv_message *slot = &cpu->messages->slots[HYPERV_SINT_VMBUS];
        struct hyperv_message copy;
        struct vmbus_message message;
        uint32_t type = shared_load_acquire_u32(&slot->type); /* pairs with the host's store */
        if (type == 0)
                return false;
        shared_copy_in(&copy, slot, sizeof(copy));
        bool ours = type == HYPERV_MESSAGE_TYPE_VMBUS;
        bool good = copy.payload_bytes <= HYPERV_MESSAGE_BYTES_MAX;
        if (ours && good) {
                message.bytes = copy.payload_bytes;
                memcpy(message.payload, copy.payload, copy.payload_bytes);
        }
        /* Only the message that was read is taken away: a duplicate handler may have been first. */
        (void)__atomic_compare_exchange_n(&slot->type, &type, 0, false, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED);
        /* The hypervisor sets the pending flag before it looks at the type again:
         * store, fence, load. */
        shared_fence_full();
        if ((shared_load_u8(&slot->flags) & HYPERV_MESSAGE_PENDING) != 0)
                hyperv->ops->write_msr(HYPERV_MSR_EOM, 0);
        if (!ours) {
                cpu->ignored_count++;
        } else if (good) {
                cpu->message_count++;
                hyperv->upcalls.message(hyperv->upcalls.context, &message);
        } else if (!hyperv->broken) {
                hyperv->broken = true;
                hyperv->upcalls.broken(hyperv->upcalls.context);
        }
        return true;
}

static void take_events(struct hyperv_transport *hyperv, struct hyperv_cpu *cpu)
{
        uint64_t *flags = cpu->events->flags[HYPERV_SINT_VMBUS];
        for (uint32_t word = 0; word < HYPERV_EVENT_FLAGS / 64; word++) {
                if (shared_load_u64(&flags[word]) == 0)
                        continue;
                /* A full barrier: what the host wrote before the flag is seen by the callback. */
                uint64_t set = __atomic_exchange_n(&flags[word], 0, __ATOMIC_SEQ_CST);
                for (; set != 0; set &= set - 1) {
                        cpu->event_count++;
                        hyperv->upcalls.event(hyperv->upcalls.context,
                                              word * 64 + (uint32_t)__builtin_ctzll(set));
                }
        }
}

void hyperv_interrupt(struct hyperv_transport *hyperv)
{
        struct hyperv_cpu *cpu = &hyperv->cpus[hyperv->platform->cpu()];
        if (!__atomic_load_n(&hyperv->running, __ATOMIC_ACQUIRE))
                return;
        for (unsigned i = 0; i < MESSAGES_PER_INTERRUPT && take_message(hyperv, cpu); i++)
                ;
        take_events(hyperv, cpu);
}

static void hyperv_poll(struct vmbus_transport *transport)
{
        struct hyperv_transport *hyperv = of(transport);
        bool enabled = hyperv->platform->interrupts_disable();
        hyperv_interrupt(hyperv); /* of this CPU */
        hyperv->platform->interrupts_restore(enabled);
}

/* ---- start and stop (g.3) ---- */

static uint64_t sint_kept(const struct hyperv_transport *hyperv)
{
        return hyperv->ops->read_msr(HYPERV_MSR_SINT2) &
               ~(HYPERV_SINT_VECTOR_MASK | BIT_MASK(HYPERV_SINT_MASKED_BIT) |
                 BIT_MASK(HYPERV_SINT_AUTO_EOI_BIT) | BIT_MASK(HYPERV_SINT_POLLING_BIT) |
                 BIT_MASK(HYPERV_SINT_PROXY_BIT));
}

static void start_cpu(void *context)
{
        struct hyperv_transport *hyperv = context;
        struct hyperv_cpu *cpu = &hyperv->cpus[hyperv->platform->cpu()];
        cpu->vp_index = (uint32_t)hyperv->ops->read_msr(HYPERV_MSR_VP_INDEX);
        memset(cpu->messages, 0, PAGE_BYTES);
        memset(cpu->events, 0, PAGE_BYTES);
        set_page(hyperv, HYPERV_MSR_SIMP, cpu->pages[0]);
        set_page(hyperv, HYPERV_MSR_SIEFP, cpu->pages[1]);
        /* Never with auto-EOI: the handler ends the interrupt,
         * which is right whatever the hints say. */
        hyperv->ops->write_msr(HYPERV_MSR_SINT2, sint_kept(hyperv) | hyperv->vector);
        hyperv->ops->write_msr(HYPERV_MSR_SCONTROL, hyperv->ops->read_msr(HYPERV_MSR_SCONTROL) |
                                                            HYPERV_SCONTROL_ENABLE);
}

static void stop_cpu(void *context)
{
        struct hyperv_transport *hyperv = context;
        hyperv->ops->write_msr(HYPERV_MSR_SINT2,
                               sint_kept(hyperv) | hyperv->vector |
                                       BIT_MASK(HYPERV_SINT_MASKED_BIT));
        hyperv->ops->write_msr(HYPERV_MSR_SCONTROL, hyperv->ops->read_msr(HYPERV_MSR_SCONTROL) &
                                                            ~HYPERV_SCONTROL_ENABLE);
        set_page(hyperv, HYPERV_MSR_SIMP, NULL);
        set_page(hyperv, HYPERV_MSR_SIEFP, NULL);
}

static zx_status_t hyperv_start(struct vmbus_transport *transport,
                                const struct vmbus_upcalls *upcalls)
{
        struct hyperv_transport *hyperv = of(transport);
        hyperv->upcalls = *upcalls;
        hyperv->broken = false;
        __atomic_store_n(&hyperv->running, true, __ATOMIC_RELEASE);
        zx_status_t status = hyperv->ops->on_every_cpu(start_cpu, hyperv);
        if (status != ZX_OK)
                transport->ops->stop(transport);
        return status;
}

static void hyperv_stop(struct vmbus_transport *transport)
{
        struct hyperv_transport *hyperv = of(transport);
        /* Each CPU runs its own handlers,
         * so when it has run stop_cpu none of them is in the middle. */
        __atomic_store_n(&hyperv->running, false, __ATOMIC_RELEASE);
        zx_status_t status UNUSED = hyperv->ops->on_every_cpu(stop_cpu, hyperv);
}

static uint32_t hyperv_vp_index(struct vmbus_transport *transport, uint32_t cpu)
{
        return cpu < of(transport)->cpu_count ? of(transport)->cpus[cpu].vp_index : VMBUS_VP_NONE;
}

static void hyperv_pause(struct vmbus_transport *transport, uint64_t ns)
{
        of(transport)->platform->pause(ns);
}

static bool hyperv_interrupts_disable(struct vmbus_transport *transport)
{
        return of(transport)->platform->interrupts_disable();
}

static void hyperv_interrupts_restore(struct vmbus_transport *transport, bool enabled)
{
        of(transport)->platform->interrupts_restore(enabled);
}

static const struct vmbus_transport_ops hyperv_transport_ops = {
        .name = "Hyper-V",
        .start = hyperv_start,
        .stop = hyperv_stop,
        .post = hyperv_post,
        .signal = hyperv_signal,
        .poll = hyperv_poll,
        .vp_index = hyperv_vp_index,
        .now_ns = hyperv_now,
        .pause = hyperv_pause,
        .interrupts_disable = hyperv_interrupts_disable,
        .interrupts_restore = hyperv_interrupts_restore,
};

zx_status_t hyperv_transport_open(struct hyperv_transport *hyperv,
                                  const struct hyperv_config *config)
{
        const struct hyperv_ops *ops = config->ops;
        *hyperv = (struct hyperv_transport){.transport.ops = &hyperv_transport_ops,
                                            .ops = ops,
                                            .platform = config->platform,
                                            .pmm = config->pmm,
                                            .features = config->features,
                                            .vector = config->vector,
                                            .cpu_count = config->platform->cpu_count()};
        if (hyperv->cpu_count > HYPERV_CPUS_MAX)
                return ZX_ERR_NOT_SUPPORTED;
        zx_status_t status = make_pages(hyperv);
        if (status != ZX_OK)
                goto undo_pages;
        ops->write_msr(HYPERV_MSR_GUEST_OS_ID, HYPERV_GUEST_OS_ID);
        set_page(hyperv, HYPERV_MSR_HYPERCALL, hyperv->hypercall_page);
        if ((ops->read_msr(HYPERV_MSR_HYPERCALL) & HYPERV_PAGE_ENABLE) == 0) {
                ops->write_msr(HYPERV_MSR_GUEST_OS_ID, 0);
                status = ZX_ERR_NOT_SUPPORTED;
                goto undo_pages;
        }
        if ((hyperv->features.eax & BIT_MASK(HYPERV_FEATURE_REFERENCE_TSC_BIT)) != 0)
                set_page(hyperv, HYPERV_MSR_REFERENCE_TSC, hyperv->tsc_page);
        return ZX_OK;

undo_pages:
        free_pages(hyperv);
        return status;
}

void hyperv_transport_close(struct hyperv_transport *hyperv)
{
        ASSERT(!hyperv->running);
        if ((hyperv->features.eax & BIT_MASK(HYPERV_FEATURE_REFERENCE_TSC_BIT)) != 0)
                set_page(hyperv, HYPERV_MSR_REFERENCE_TSC, NULL);
        set_page(hyperv, HYPERV_MSR_HYPERCALL, NULL);
        hyperv->ops->write_msr(HYPERV_MSR_GUEST_OS_ID, 0);
        free_pages(hyperv); /* overlays are off: the pages are ours again */
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* hyperv_bed — a model of the hypervisor's registers, for tests of the Hyper-V transport: CPUID
 * leaves, MSRs a CPU, overlay pages, hypercalls, message slots with their pending flag, event
 * flags, the reference clock. The model knows the numbers of spec/vmbus.md, (g), by itself. */
#ifndef TESTS_HOST_HYPERV_BED_H
#define TESTS_HOST_HYPERV_BED_H

#include "tests/expect.h"

#include "base/bytes.h"
#include "drivers/hyperv/hyperv_transport.h"

#define PAGES 64
#define BASE_PA (7 * MIB)
#define CPUS 3
#define QUEUE 8
#define WRITES_MAX 64
#define PORT_LIMIT 4 /* messages that a port holds */

/* ---- the model ---- */

struct overlay {
        bool on;
        uint64_t pa;
        uint8_t below[4096]; /* what was there before, and comes back */
};

static struct {
        struct test *t;
        struct pmm pmm;
        uint64_t free_pages;
        uint32_t cpu; /* that runs now */
        bool interrupts;

        /* what CPUID says */
        uint32_t leaves[5][4];
        uint32_t isolation;
        unsigned cpuid_calls;

        uint64_t guest_os_id;
        struct overlay hypercall, tsc;
        bool refuse_hypercalls, no_fast, no_code;
        unsigned deaf_cpu; /* not 0: it does not take what is to run on every CPU */
        struct {
                uint64_t sint2, scontrol;
                struct overlay simp, siefp;
                struct {
                        uint8_t bytes[256];
                } waiting[QUEUE];
                unsigned waiting_count;
                unsigned interrupts, eoms;
        } cpus[CPUS];
        uint64_t reserved_bits; /* what SIMP and the like read as in bits 11:1 */
        uint64_t ticks, time_ref_count;
        unsigned time_reads;
        void (*ticking)(void); /* in the middle of a look at the clock; NULL: nothing */

        /* what was written to which register, by whom */
        struct msr_write {
                uint32_t cpu, msr;
                uint64_t value;
        } writes[WRITES_MAX];
        unsigned write_count;

        /* the other side */
        unsigned taken, port_used;
        uint32_t last_connection, last_type, last_bytes, status;
        uint8_t last_payload[240];
        unsigned signals, slow_signals, fast_refused, signals_with_interrupts;
        uint32_t last_signal;

        /* upcalls */
        unsigned messages, broken;
        struct vmbus_message last_message;
        uint32_t events[16];
        unsigned event_count;
} model;

static uint8_t *at(uint64_t pa)
{
        return pmm_pa_to_va(&model.pmm, pa);
}

static void put_overlay(struct overlay *overlay, uint64_t value, uint8_t fill)
{
        struct test *t = model.t;
        bool on = (value & 1) != 0;
        uint64_t pa = value & ~0xfffull;
        if (overlay->on && (!on || overlay->pa != pa))
                memcpy(at(overlay->pa), overlay->below, 4096);
        if (on && !(overlay->on && overlay->pa == pa)) {
                EXPECT_TRUE(pmm_page_from_pa(&model.pmm, pa) != NULL);
                memcpy(overlay->below, at(pa), 4096);
                memset(at(pa), fill, 4096);
        }
        overlay->on = on;
        overlay->pa = pa;
}
static void model_cpuid(uint32_t leaf, uint32_t r[HYPERV_REGISTER_COUNT])
{
        model.cpuid_calls++;
        memset(r, 0, 16);
        if (leaf >= 0x40000000 && leaf <= 0x40000004)
                memcpy(r, model.leaves[leaf - 0x40000000], 16);
        if (leaf == 0x4000000c)
                r[1] = model.isolation;
}

static uint64_t model_read_msr(uint32_t msr)
{
        struct test *t = model.t;
        switch (msr) {
        case 0x40000001:
                return (model.hypercall.on ? model.hypercall.pa | 1 : 0) | model.reserved_bits;
        case 0x40000002:
                return 100 + model.cpu;
        case 0x40000020:
                model.time_reads++;
                return model.time_ref_count;
        case 0x40000021:
                return (model.tsc.on ? model.tsc.pa | 1 : 0) | model.reserved_bits;
        case 0x40000080:
                return model.cpus[model.cpu].scontrol;
        case 0x40000082:
                return (model.cpus[model.cpu].siefp.on ? 1 : 0) | model.reserved_bits;
        case 0x40000083:
                return (model.cpus[model.cpu].simp.on ? 1 : 0) | model.reserved_bits;
        case 0x40000092:
                return model.cpus[model.cpu].sint2;
        default:
                EXPECT_EQ(msr, 0); /* no such register: a fault on the real thing */
                return 0;
        }
}

/* Whether SINT 2 of a CPU can take something now. */
static bool synic_works(uint32_t cpu)
{
        return (model.cpus[cpu].scontrol & 1) != 0 && model.cpus[cpu].simp.on &&
               model.cpus[cpu].siefp.on;
}

static void raise_interrupt(uint32_t cpu)
{
        uint64_t sint = model.cpus[cpu].sint2;
        if ((sint >> 16 & 1) == 0 && (sint & 0xff) >= 16)
                model.cpus[cpu].interrupts++;
}

/* Puts the next waiting message into slot 2 when that is empty; else says that one waits. */
static void deliver(uint32_t cpu)
{
        if (!synic_works(cpu) || model.cpus[cpu].waiting_count == 0)
                return;
        uint8_t *slot = at(model.cpus[cpu].simp.pa) + 2 * 256;
        slot[5] |= 1; /* pending, before the look at the type */
        if (slot[0] | slot[1] | slot[2] | slot[3])
                return;
        memcpy(slot, model.cpus[cpu].waiting[0].bytes, 256);
        model.cpus[cpu].waiting_count--;
        memmove(&model.cpus[cpu].waiting[0], &model.cpus[cpu].waiting[1],
                model.cpus[cpu].waiting_count * 256);
        slot[5] = model.cpus[cpu].waiting_count != 0;
        raise_interrupt(cpu);
}

static void host_message(uint32_t cpu, uint32_t type, uint8_t bytes, uint8_t fill)
{
        uint8_t *waiting = model.cpus[cpu].waiting[model.cpus[cpu].waiting_count++].bytes;
        memset(waiting, 0, 256);
        memcpy(waiting, &type, 4);
        waiting[4] = bytes;
        memset(waiting + 16, fill, 240);
        deliver(cpu);
}

static inline void host_event(uint32_t cpu, uint32_t flag)
{
        if (!synic_works(cpu))
                return;
        at(model.cpus[cpu].siefp.pa)[2 * 256 + flag / 8] |= (uint8_t)(1u << flag % 8);
        raise_interrupt(cpu);
}

static void model_write_msr(uint32_t msr, uint64_t value)
{
        struct test *t = model.t;
        model.writes[model.write_count++ % WRITES_MAX] =
                (struct msr_write){model.cpu, msr, value};
        if (msr == 0x40000000) {
                model.guest_os_id = value;
                if (value == 0)
                        put_overlay(&model.hypercall, 0, 0);
        } else if (msr == 0x40000001) {
                bool allowed = model.guest_os_id != 0 && !model.refuse_hypercalls;
                EXPECT_EQ(value & 0xffe, model.reserved_bits);
                put_overlay(&model.hypercall, allowed ? value : 0, 0xc3);
        } else if (msr == 0x40000021) {
                EXPECT_EQ(value & 0xffe, model.reserved_bits);
                put_overlay(&model.tsc, value, 0);
        } else if (msr == 0x40000080) {
                model.cpus[model.cpu].scontrol = value;
        } else if (msr == 0x40000082) {
                EXPECT_EQ(value & 0xffe, model.reserved_bits);
                put_overlay(&model.cpus[model.cpu].siefp, value, 0);
        } else if (msr == 0x40000083) {
                EXPECT_EQ(value & 0xffe, model.reserved_bits);
                put_overlay(&model.cpus[model.cpu].simp, value, 0);
                deliver(model.cpu);
        } else if (msr == 0x40000084) {
                model.cpus[model.cpu].eoms++;
                deliver(model.cpu);
        } else if (msr == 0x40000092) {
                model.cpus[model.cpu].sint2 = value;
        } else {
                EXPECT_EQ(msr, 0);
        }
}

static uint64_t post_message(uint64_t control, uint64_t input)
{
        uint32_t header[4];
        if (control != 0x5c)
                return 3;
        if (input % 8 != 0 || input % 4096 + 256 > 4096)
                return 4;
        memcpy(header, at(input), 16);
        if (header[1] != 0 || (header[2] & 0x80000000u) != 0 || header[3] > 240)
                return 5;
        if (model.status != 0)
                return model.status;
        if (model.port_used == PORT_LIMIT)
                return 0x13;
        model.port_used++;
        model.taken++;
        model.last_connection = header[0];
        model.last_type = header[2];
        model.last_bytes = header[3];
        memcpy(model.last_payload, at(input) + 16, 240);
        return 0;
}

static uint64_t model_hypercall(const void *page, uint64_t control, uint64_t input, uint64_t output)
{
        struct test *t = model.t;
        uint64_t signal = input;
        EXPECT_TRUE(model.hypercall.on);
        EXPECT_PTR_EQ(page, at(model.hypercall.pa));
        EXPECT_EQ(((const uint8_t *)page)[0], 0xc3);
        if ((control & 0xffff) == 0x5c)
                return post_message(control, input);
        if (control != 0x1005d && control != 0x5d)
                return 2;
        if (control == 0x1005d && model.no_fast) {
                model.fast_refused++;
                return 3;
        }
        if (control == 0x5d) {
                model.signals_with_interrupts += model.interrupts;
                if (input % 8 != 0)
                        return 4;
                memcpy(&signal, at(input), 8);
                model.slow_signals++;
        }
        if (signal >> 32 != 0)
                return 5;
        if (model.status != 0)
                return model.status;
        model.signals++;
        model.last_signal = (uint32_t)signal;
        return 0;
}

static uint64_t model_ticks(void)
{
        if (model.ticking != NULL)
                model.ticking();
        return model.ticks;
}

static const void *model_map_code(uint64_t pa)
{
        return model.no_code ? NULL : at(pa);
}

static zx_status_t model_on_every_cpu(void (*function)(void *context), void *context)
{
        uint32_t cpu = model.cpu;
        for (model.cpu = 0; model.cpu < CPUS; model.cpu++)
                if (model.cpu == 0 || model.cpu != model.deaf_cpu)
                        function(context);
        model.cpu = cpu;
        return model.deaf_cpu == 0 ? ZX_OK : ZX_ERR_TIMED_OUT;
}

static const struct hyperv_ops model_ops = {model_cpuid, model_read_msr, model_write_msr,
                                            model_hypercall, model_ticks, model_map_code,
                                            model_on_every_cpu};

static uint64_t platform_now(void)
{
        return 4711;
}
static void platform_pause(uint64_t ns)
{
}
static uint32_t platform_cpu(void)
{
        return model.cpu;
}
static uint32_t platform_cpu_count(void)
{
        return CPUS;
}
static bool platform_interrupts_disable(void)
{
        bool were = model.interrupts;
        model.interrupts = false;
        return were;
}
static void platform_interrupts_restore(bool enabled)
{
        model.interrupts = enabled;
}
static const struct vmbus_platform platform = {platform_now, platform_pause, platform_cpu,
                                               platform_cpu_count, platform_interrupts_disable,
                                               platform_interrupts_restore};

/* ---- upcalls ---- */

static void on_message(void *context, const struct vmbus_message *message)
{
        model.messages++;
        model.last_message = *message;
}
static void on_event(void *context, uint32_t flag)
{
        model.events[model.event_count++ % 16] = flag;
}
static void on_broken(void *context)
{
        model.broken++;
}
static const struct vmbus_upcalls upcalls = {on_message, on_event, on_broken, NULL};

static struct hyperv_transport hyperv;

/* A hypervisor with everything that VMBus needs. */
static bool begin(struct test *t)
{
        static const uint32_t leaves[5][4] = {
                {0x4000000c, 0x7263694d, 0x666f736f, 0x76482074},
                {0x31237648, 0, 0, 0},
                {20348, 10 << 16, 0, 0},
                {0x266, 0x30, 0, 0}, /* counter, SynIC, hypercalls, VP index, TSC; post, signal */
                {1 << 9, 0, 0, 0},
        };
        uint64_t pa;
        char *memory = world_pages(t, PAGES, &pa);
        memset(&model, 0, sizeof(model));
        memcpy(model.leaves, leaves, sizeof(leaves));
        model.t = t;
        model.interrupts = true;
        model.reserved_bits = 0xa50;
        if (!EXPECT_OK(pmm_init(&model.pmm, (uint64_t)(uintptr_t)memory - BASE_PA)) ||
            !EXPECT_OK(pmm_add_arena(&model.pmm, "model", BASE_PA, PAGES * PAGE_BYTES)))
                return false;
        model.free_pages = pmm_count_free_pages(&model.pmm);
        for (unsigned cpu = 0; cpu < CPUS; cpu++)
                model.cpus[cpu].sint2 = 1 << 16 | 0xff00; /* masked; bits 15:8 are nobody's */
        return true;
}

static zx_status_t open_it(struct test *t)
{
        struct hyperv_config config = {.ops = &model_ops, .platform = &platform,
                                       .pmm = &model.pmm, .vector = 0x51};
        EXPECT_OK(hyperv_detect(&model_ops, true, &config.features));
        return hyperv_transport_open(&hyperv, &config);
}

static struct vmbus_transport *started(struct test *t)
{
        if (!begin(t) || !EXPECT_OK(open_it(t)) ||
            !EXPECT_OK(hyperv.transport.ops->start(&hyperv.transport, &upcalls)))
                return NULL;
        return &hyperv.transport;
}

#define START(transport)                                    \
        struct vmbus_transport *transport = started(t);     \
        REQUIRE_TRUE(transport != NULL)

static void end(struct test *t)
{
        hyperv.transport.ops->stop(&hyperv.transport);
        hyperv_transport_close(&hyperv);
        EXPECT_EQ(pmm_count_free_pages(&model.pmm), model.free_pages);
        EXPECT_TRUE(model.interrupts);
}

#endif

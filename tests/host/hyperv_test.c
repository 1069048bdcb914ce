/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of drivers/hyperv/hyperv_transport.c against a model of the hypervisor: detection, start
 * and stop, messages, signals, events, the clock. */
#include "tests/host/hyperv_bed.h"

TEST(hyperv, detection_costs_nothing_where_there_is_no_hypervisor)
{
        struct hyperv_features features;
        REQUIRE_TRUE(begin(t));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, hyperv_detect(&model_ops, false, &features));
        EXPECT_EQ(model.cpuid_calls, 0);
        memcpy(&model.leaves[0][1], "KVMKVMKVM\0\0\0", 12);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, hyperv_detect(&model_ops, true, &features));
        EXPECT_EQ(model.cpuid_calls, 1);
}

TEST(hyperv, detection_wants_the_interface_and_what_vmbus_needs)
{
        static const struct {
                unsigned leaf, reg;
                uint32_t clear, set;
                zx_status_t status;
        } cases[] = {
                {0, 0, 0, 0, ZX_OK},
                {0, 0, UINT32_MAX, 0x40000004, ZX_ERR_NOT_FOUND},
                {0, 3, 1, 1, ZX_ERR_NOT_FOUND}, /* toggled below */
                {1, 0, UINT32_MAX, 0x31237647, ZX_ERR_NOT_FOUND},
                {3, 0, 1 << 2, 0, ZX_ERR_NOT_SUPPORTED},
                {3, 0, 1 << 5, 0, ZX_ERR_NOT_SUPPORTED},
                {3, 0, 1 << 6, 0, ZX_ERR_NOT_SUPPORTED},
                {3, 1, 1 << 4, 0, ZX_ERR_NOT_SUPPORTED},
                {3, 1, 1 << 5, 0, ZX_ERR_NOT_SUPPORTED},
                {3, 0, 1 << 9 | 1 << 1, 0, ZX_OK}, /* the clocks are no must */
        };
        for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
                struct hyperv_features features;
                REQUIRE_TRUE(begin(t));
                uint32_t *word = &model.leaves[cases[i].leaf][cases[i].reg];
                *word = (*word & ~cases[i].clear) | cases[i].set;
                EXPECT_STATUS(cases[i].status, hyperv_detect(&model_ops, true, &features));
        }
        struct hyperv_features features;
        REQUIRE_TRUE(begin(t));
        model.leaves[3][1] |= 1 << 22;
        EXPECT_OK(hyperv_detect(&model_ops, true, &features));
        model.isolation = 2; /* SNP */
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, hyperv_detect(&model_ops, true, &features));
}

TEST(hyperv, starts_and_stops_in_the_order_of_the_book)
{
        START(transport);
        EXPECT_NE(model.guest_os_id, 0);
        EXPECT_EQ(model.guest_os_id >> 63, 1);
        EXPECT_TRUE(model.hypercall.on);
        EXPECT_TRUE(model.tsc.on);
        for (unsigned cpu = 0; cpu < CPUS; cpu++) {
                EXPECT_TRUE(synic_works(cpu));
                EXPECT_EQ(model.cpus[cpu].sint2, 0xff00 | 0x51); /* not masked, no auto-EOI */
                EXPECT_EQ(transport->ops->vp_index(transport, cpu), 100 + cpu);
                EXPECT_NE(model.cpus[cpu].simp.pa, model.cpus[cpu].siefp.pa);
                EXPECT_NE(model.cpus[cpu].simp.pa, model.cpus[(cpu + 1) % CPUS].simp.pa);
        }
        EXPECT_EQ(transport->ops->vp_index(transport, CPUS), VMBUS_VP_NONE);
        transport->ops->stop(transport);
        for (unsigned cpu = 0; cpu < CPUS; cpu++) {
                EXPECT_FALSE(model.cpus[cpu].simp.on);
                EXPECT_FALSE(model.cpus[cpu].siefp.on);
                EXPECT_EQ(model.cpus[cpu].sint2 >> 16 & 1, 1);
                EXPECT_EQ(model.cpus[cpu].scontrol & 1, 0);
        }
        EXPECT_OK(transport->ops->start(transport, &upcalls)); /* and again */
        end(t);
        EXPECT_FALSE(model.hypercall.on);
        EXPECT_FALSE(model.tsc.on);
        EXPECT_EQ(model.guest_os_id, 0);
}

/* Writes of registers in their order: `on` says what the bit that matters becomes. */
struct step {
        uint32_t cpu, msr;
        bool on;
};

static bool step_on(const struct msr_write *write)
{
        if (write->msr == 0x40000000)
                return write->value != 0;
        if (write->msr == 0x40000092)
                return (write->value >> 16 & 1) == 0; /* masked */
        return (write->value & 1) != 0;
}

static void expect_steps(struct test *t, const struct step *steps, unsigned count)
{
        EXPECT_EQ(model.write_count, count);
        for (unsigned i = 0; i < count && i < model.write_count; i++) {
                EXPECT_EQ(model.writes[i].cpu, steps[i].cpu);
                EXPECT_EQ(model.writes[i].msr, steps[i].msr);
                EXPECT_EQ(step_on(&model.writes[i]), steps[i].on);
        }
        model.write_count = 0;
}

#define START_CPU(n) {n, 0x40000083, true}, {n, 0x40000082, true}, {n, 0x40000092, true}, \
                     {n, 0x40000080, true}
#define STOP_CPU(n) {n, 0x40000092, false}, {n, 0x40000080, false}, {n, 0x40000083, false}, \
                    {n, 0x40000082, false}

/* g.3: the OS id before the hypercall page, the pages of a CPU before its interrupt; back the other
 * way round. */
TEST(hyperv, writes_the_registers_in_the_order_of_the_book)
{
        static const struct step open[] = {
                {0, 0x40000000, true}, {0, 0x40000001, true}, {0, 0x40000021, true}};
        static const struct step start[] = {START_CPU(0), START_CPU(1), START_CPU(2)};
        static const struct step stop[] = {STOP_CPU(0), STOP_CPU(1), STOP_CPU(2)};
        static const struct step close[] = {
                {0, 0x40000021, false}, {0, 0x40000001, false}, {0, 0x40000000, false}};
        REQUIRE_TRUE(begin(t));
        REQUIRE_OK(open_it(t));
        expect_steps(t, open, ARRAY_COUNT(open));
        REQUIRE_OK(hyperv.transport.ops->start(&hyperv.transport, &upcalls));
        expect_steps(t, start, ARRAY_COUNT(start));
        hyperv.transport.ops->stop(&hyperv.transport);
        expect_steps(t, stop, ARRAY_COUNT(stop));
        hyperv_transport_close(&hyperv);
        expect_steps(t, close, ARRAY_COUNT(close));
        EXPECT_EQ(pmm_count_free_pages(&model.pmm), model.free_pages);
}

TEST(hyperv, undoes_everything_when_it_cannot_start)
{
        REQUIRE_TRUE(begin(t));
        model.refuse_hypercalls = true;
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, open_it(t));
        EXPECT_EQ(model.guest_os_id, 0);
        EXPECT_EQ(pmm_count_free_pages(&model.pmm), model.free_pages);
        model.refuse_hypercalls = false;
        model.no_code = true;
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, open_it(t));
        EXPECT_EQ(pmm_count_free_pages(&model.pmm), model.free_pages);
        model.no_code = false;

        struct list_node taken;
        unsigned refused = 0;
        list_init(&taken);
        REQUIRE_OK(pmm_alloc_pages(&model.pmm, model.free_pages, 0, &taken));
        while (open_it(t) != ZX_OK) { /* a page more each time: 2 + 3 a CPU */
                REQUIRE_EQ(pmm_count_free_pages(&model.pmm), refused);
                EXPECT_EQ(model.guest_os_id, 0);
                refused++;
                pmm_free_page(&model.pmm, vm_page_from_node(list_remove_head(&taken)));
        }
        EXPECT_EQ(refused, 2 + 3 * CPUS);
        hyperv_transport_close(&hyperv);
        pmm_free(&model.pmm, &taken);
        EXPECT_EQ(pmm_count_free_pages(&model.pmm), model.free_pages);
}

/* One CPU does not come: those that did are as before, and nothing is taken any more. */
TEST(hyperv, stops_where_it_has_started_when_a_cpu_does_not_come)
{
        REQUIRE_TRUE(begin(t));
        REQUIRE_OK(open_it(t));
        struct vmbus_transport *transport = &hyperv.transport;
        model.deaf_cpu = CPUS - 1;
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, transport->ops->start(transport, &upcalls));
        EXPECT_FALSE(hyperv.running);
        for (uint32_t cpu = 0; cpu + 1 < CPUS; cpu++) {
                EXPECT_FALSE(model.cpus[cpu].simp.on);
                EXPECT_FALSE(model.cpus[cpu].siefp.on);
                EXPECT_EQ(model.cpus[cpu].scontrol & 1, 0);
        }
        model.deaf_cpu = 0;
        hyperv_transport_close(&hyperv);
        EXPECT_EQ(pmm_count_free_pages(&model.pmm), model.free_pages);
}

/* An interrupt that was on its way when the connection ended. */
TEST(hyperv, takes_nothing_after_the_end)
{
        START(transport);
        host_message(0, 1, 8, 1);
        transport->ops->stop(transport);
        memset(hyperv.cpus[0].messages, 1, 4096);
        memset(hyperv.cpus[0].events, 1, 4096);
        hyperv_interrupt(&hyperv);
        EXPECT_EQ(model.messages, 0);
        EXPECT_EQ(model.event_count, 0);
        EXPECT_EQ(model.broken, 0);
        hyperv_transport_close(&hyperv);
        EXPECT_EQ(pmm_count_free_pages(&model.pmm), model.free_pages);
}

TEST(hyperv, posts_messages_and_waits_for_room)
{
        static const struct {
                uint32_t status, connection;
                zx_status_t expected;
        } cases[] = {
                {0x13, 1, ZX_ERR_SHOULD_WAIT}, {0xb, 1, ZX_ERR_SHOULD_WAIT},
                {0x12, 1, ZX_ERR_SHOULD_WAIT}, {0x12, 4, ZX_ERR_IO},
                {0x6, 1, ZX_ERR_IO},           {0x2, 1, ZX_ERR_IO},
        };
        uint8_t message[240];
        START(transport);
        memset(message, 0x5a, sizeof(message));
        for (unsigned cpu = 0; cpu < CPUS; cpu++) {
                model.cpu = cpu; /* each with an input page of its own */
                EXPECT_OK(transport->ops->post(transport, 0x77, message, 8 + cpu * 116));
                EXPECT_EQ(model.last_connection, 0x77);
                EXPECT_EQ(model.last_type, 1);
                EXPECT_EQ(model.last_bytes, 8 + cpu * 116);
                EXPECT_BYTES_EQ(model.last_payload, message, 8 + cpu * 116);
        }
        EXPECT_OK(transport->ops->post(transport, 1, message, 240));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, transport->ops->post(transport, 1, message, 8));
        model.port_used = 0;
        EXPECT_OK(transport->ops->post(transport, 1, message, 8));
        EXPECT_EQ(model.last_payload[8], 0); /* nothing of an earlier message goes along */
        for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
                model.status = cases[i].status;
                EXPECT_STATUS(cases[i].expected,
                              transport->ops->post(transport, cases[i].connection, message, 8));
        }
        model.status = 0;
        end(t);
}

TEST(hyperv, signals_in_registers_or_in_memory)
{
        START(transport);
        EXPECT_OK(transport->ops->signal(transport, 0x2001, 1));
        EXPECT_EQ(model.last_signal, 0x2001);
        EXPECT_EQ(model.slow_signals, 0);
        model.status = 0x11;
        EXPECT_STATUS(ZX_ERR_IO, transport->ops->signal(transport, 0x2001, 1));
        model.status = 0;
        model.no_fast = true;
        EXPECT_OK(transport->ops->signal(transport, 0x2002, 1));
        EXPECT_OK(transport->ops->signal(transport, 0x2003, 1));
        EXPECT_EQ(model.last_signal, 0x2003);
        EXPECT_EQ(model.slow_signals, 2);
        EXPECT_EQ(model.fast_refused, 1); /* asked for once */
        EXPECT_EQ(model.signals_with_interrupts, 0); /* a callback uses the same input page */
        end(t);
}

TEST(hyperv, takes_messages_one_after_the_other)
{
        START(transport);
        for (uint8_t i = 1; i <= 5; i++)
                host_message(0, 1, 8 + i, i);
        EXPECT_EQ(model.cpus[0].interrupts, 1); /* the others wait behind the slot */
        hyperv_interrupt(&hyperv);
        EXPECT_EQ(model.messages, 5);
        EXPECT_EQ(model.last_message.bytes, 13);
        EXPECT_EQ(model.last_message.payload[12], 5);
        EXPECT_EQ(model.cpus[0].eoms, 4); /* none after the last: nothing was pending */
        host_message(0, 1, 240, 9);
        EXPECT_EQ(model.cpus[0].waiting_count, 0);
        transport->ops->poll(transport);
        EXPECT_EQ(model.messages, 6);
        hyperv_interrupt(&hyperv);
        EXPECT_EQ(model.messages, 6);
        EXPECT_EQ(model.cpus[0].eoms, 4);

        host_message(0, 0x80000010, 24, 1); /* a timer's: taken away, so that the next can come */
        host_message(0, 1, 8, 3);
        hyperv_interrupt(&hyperv);
        EXPECT_EQ(model.messages, 7);
        EXPECT_EQ(hyperv.cpus[0].ignored_count, 1);
        EXPECT_EQ(model.broken, 0);
        host_message(0, 1, 241, 3);
        hyperv_interrupt(&hyperv);
        host_message(0, 1, 255, 3);
        hyperv_interrupt(&hyperv);
        EXPECT_EQ(model.messages, 7);
        EXPECT_EQ(model.broken, 1); /* once */

        host_message(1, 1, 8, 3); /* another CPU's slot is its own */
        hyperv_interrupt(&hyperv);
        EXPECT_EQ(model.messages, 7);
        model.cpu = 1;
        hyperv_interrupt(&hyperv);
        EXPECT_EQ(model.messages, 8);
        end(t);
}

TEST(hyperv, takes_every_event_flag_of_its_cpu_once)
{
        static const uint32_t flags[] = {0, 1, 63, 64, 1000, 2047};
        START(transport);
        for (unsigned i = 0; i < ARRAY_COUNT(flags); i++)
                host_event(2, flags[i]);
        hyperv_interrupt(&hyperv);
        EXPECT_EQ(model.event_count, 0);
        model.cpu = 2;
        hyperv_interrupt(&hyperv);
        EXPECT_EQ(model.event_count, ARRAY_COUNT(flags));
        EXPECT_BYTES_EQ(model.events, flags, sizeof(flags));
        hyperv_interrupt(&hyperv);
        EXPECT_EQ(model.event_count, ARRAY_COUNT(flags));
        at(model.cpus[2].siefp.pa)[3 * 256] = 0xff; /* of another SINT */
        hyperv_interrupt(&hyperv);
        EXPECT_EQ(model.event_count, ARRAY_COUNT(flags));
        transport->ops->stop(transport);
        hyperv_interrupt(&hyperv); /* a late one */
        EXPECT_EQ(model.event_count, ARRAY_COUNT(flags));
        EXPECT_OK(transport->ops->start(transport, &upcalls));
        end(t);
}

TEST(hyperv, reads_the_reference_clock)
{
        START(transport);
        struct hyperv_tsc_page *page = (void *)at(model.tsc.pa);
        model.time_ref_count = 123;
        EXPECT_EQ(hyperv_reference_time(&hyperv), 123); /* sequence 0: not valid */
        EXPECT_EQ(transport->ops->now_ns(transport), 12300);
        page->sequence = 7;
        page->scale = 1ull << 62; /* a quarter */
        page->offset = -5;
        model.ticks = 4000;
        EXPECT_EQ(hyperv_reference_time(&hyperv), 995);
        model.ticks = UINT64_MAX; /* the product has 128 bits */
        EXPECT_EQ(hyperv_reference_time(&hyperv), (UINT64_MAX >> 2) - 5);
        page->scale = UINT64_MAX;
        page->offset = 0;
        EXPECT_EQ(hyperv_reference_time(&hyperv), UINT64_MAX - 1);
        EXPECT_EQ(model.time_reads, 2);
        page->sequence = 0;
        EXPECT_EQ(hyperv_reference_time(&hyperv), 123);
        end(t);
}

static void page_changes_once(void)
{
        struct hyperv_tsc_page *page = (void *)at(model.tsc.pa);
        model.ticking = NULL;
        page->sequence++;
        page->scale = 1ull << 63;
        page->offset = 100;
}

static void page_changes_always(void)
{
        struct hyperv_tsc_page *page = (void *)at(model.tsc.pa);
        page->sequence += page->sequence == UINT32_MAX ? 2 : 1; /* 0 means not valid */
}

/* A page that changes under the reader is read again; one that does not stop is left alone. */
TEST(hyperv, reads_the_clock_again_when_its_page_changed)
{
        START(transport);
        struct hyperv_tsc_page *page = (void *)at(model.tsc.pa);
        model.time_ref_count = 123;
        model.ticks = 4000;
        page->sequence = 7;
        page->scale = 1ull << 62;
        page->offset = -5;
        model.ticking = page_changes_once;
        EXPECT_EQ(hyperv_reference_time(&hyperv), 2100); /* all of the new page */
        EXPECT_EQ(model.time_reads, 0);
        model.ticking = page_changes_always;
        EXPECT_EQ(hyperv_reference_time(&hyperv), 123);
        EXPECT_EQ(model.time_reads, 1);
        model.ticking = NULL;
        end(t);
}

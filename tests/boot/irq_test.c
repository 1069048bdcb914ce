/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of arch_irq_* on the live machine. Interrupts are raised as a device's message
 * would be, by this CPU to itself. */
#include "tests/expect.h"

#include "arch/arch.h"
#include "base/shared.h"
#include "kernel/acpi.h"
#include "kernel/time.h"

#define ARRIVAL_NS NS_PER_SECOND /* a hang detector */
#define PIC_SPURIOUS_VECTOR 0x27
#define APIC_SPURIOUS_VECTOR 0xff
#define VECTORS_MAX 256
#define NO_SUCH_GSI 5000u

static uint32_t raised; /* by the handler below */

static void count_irq(void *context)
{
        uint32_t *count = context;
        shared_store_u32(count, shared_load_u32(count) + 1);
}

static bool wait_for_count_until(uint32_t wanted, uint64_t deadline_ns)
{
        while (shared_load_u32(&raised) < wanted) {
                if (time_passed(deadline_ns))
                        return false;
                time_wait_interrupt(deadline_ns);
        }
        return true;
}

static bool wait_for_count(uint32_t wanted)
{
        return wait_for_count_until(wanted, time_deadline_after(ARRIVAL_NS));
}

static bool wait_for_spurious(uint64_t wanted)
{
        uint64_t deadline_ns = time_deadline_after(ARRIVAL_NS);
        while (arch_irq_spurious_count() != wanted)
                if (time_passed(deadline_ns))
                        return false;
        return true;
}

static uint32_t free_vectors(void)
{
        struct arch_irq_summary summary;
        arch_irq_summary(&summary);
        return summary.msi_free;
}

TEST(irq, controllers_answer)
{
        struct arch_irq_summary summary;
        arch_irq_summary(&summary);
        EXPECT_EQ(summary.ioapic_count, acpi_info()->irq.ioapic_count);
        EXPECT_EQ(summary.ioapics_missing, 0u);
        EXPECT_GE(summary.line_count, 24u * summary.ioapic_count);
        EXPECT_EQ(summary.error_count, 0u);
        EXPECT_TRUE(arch_interrupts_enabled());
}

TEST(irq, message_reaches_its_handler)
{
        struct arch_msi_message message;
        shared_store_u32(&raised, 0);
        REQUIRE_OK(arch_irq_allocate_msi("test", count_irq, &raised, &message));
        EXPECT_EQ(message.address >> 20, 0xfeeu);
        uint64_t before = arch_irq_count();
        for (uint32_t i = 1; i <= 3; i++) {
                arch_irq_raise_self(&message);
                EXPECT_TRUE(wait_for_count(i));
        }
        EXPECT_GE(arch_irq_count(), before + 3);
        struct arch_irq_vector vector;
        EXPECT_TRUE(arch_irq_next_vector(message.data, &vector));
        EXPECT_EQ(vector.vector, message.data);
        EXPECT_STR_EQ(vector.name, "test");
        EXPECT_EQ(vector.count, 3u);
        arch_irq_free_msi(&message);
}

TEST(irq, held_back_while_interrupts_are_off)
{
        struct arch_msi_message message;
        shared_store_u32(&raised, 0);
        REQUIRE_OK(arch_irq_allocate_msi("test", count_irq, &raised, &message));
        bool enabled = arch_interrupts_disable();
        EXPECT_FALSE(arch_interrupts_enabled());
        arch_irq_raise_self(&message);
        time_sleep(NS_PER_MS / 10); /* spins, as interrupts are off */
        EXPECT_EQ(shared_load_u32(&raised), 0u);
        arch_interrupts_restore(enabled);
        EXPECT_TRUE(wait_for_count(1));
        arch_irq_free_msi(&message);
}

TEST(irq, vectors_run_out_and_come_back)
{
        static struct arch_msi_message messages[VECTORS_MAX];
        struct arch_msi_message one_more = {.address = 1, .data = 2};
        uint32_t count = free_vectors();
        bool seen[VECTORS_MAX] = {false};

        EXPECT_GT(count, 100u);
        for (uint32_t i = 0; i < count; i++) {
                REQUIRE_OK(arch_irq_allocate_msi("test", count_irq, &raised, &messages[i]));
                EXPECT_FALSE(seen[messages[i].data]);
                seen[messages[i].data] = true;
        }
        EXPECT_EQ(free_vectors(), 0u);
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES,
                      arch_irq_allocate_msi("test", count_irq, &raised, &one_more));
        EXPECT_EQ(one_more.address, 1u);
        EXPECT_EQ(one_more.data, 2u);
        for (uint32_t i = 0; i < count; i++)
                arch_irq_free_msi(&messages[i]);
        EXPECT_EQ(free_vectors(), count);
}

/* A device that writes another vector than it was given: counted, ended,
 * and nothing below is blocked. */
TEST(irq, stray_messages_block_nothing)
{
        struct arch_msi_message mine, stray;
        shared_store_u32(&raised, 0);
        REQUIRE_OK(arch_irq_allocate_msi("test", count_irq, &raised, &mine));
        REQUIRE_OK(arch_irq_allocate_msi("stray", count_irq, &raised, &stray));
        EXPECT_GT(stray.data, mine.data); /* a higher vector is a higher priority */
        arch_irq_free_msi(&stray);

        uint64_t spurious = arch_irq_spurious_count();
        arch_irq_raise_self(&stray);
        EXPECT_TRUE(wait_for_spurious(spurious + 1));
        stray.data = APIC_SPURIOUS_VECTOR;
        arch_irq_raise_self(&stray);
        EXPECT_TRUE(wait_for_spurious(spurious + 2));
        stray.data = PIC_SPURIOUS_VECTOR;
        arch_irq_raise_self(&stray);
        EXPECT_TRUE(wait_for_spurious(spurious + 3));

        arch_irq_raise_self(&mine);
        EXPECT_TRUE(wait_for_count(1));
        arch_irq_free_msi(&mine);
}

TEST(irq, line_that_no_controller_has)
{
        uint32_t before = free_vectors();
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      arch_irq_connect_gsi(NO_SUCH_GSI, true, true, "test", count_irq, &raised));
        EXPECT_EQ(free_vectors(), before);
}

/* ---- a real line: an HPET timer, where one can reach an I/O APIC line that is free ---- */

#define HPET_COUNTER_PERIOD 0x004
#define HPET_CONFIGURATION 0x010
#define HPET_ENABLE 1u
#define HPET_COUNTER 0x0f0
#define HPET_TIMER_CONFIGURATION 0x140 /* timer 2 */
#define HPET_TIMER_LINES 0x144
#define HPET_TIMER_COMPARATOR 0x148
#define HPET_TIMER_ENABLE (1u << 2)
#define HPET_TIMER_32_BIT (1u << 8)
#define HPET_TIMER_LINE_SHIFT 9
#define FEMTOSECONDS_PER_NS 1000000u
#define LINE_FIRST 16u /* below are ISA's */
#define LINE_ATTEMPTS 10u /* 1 ms, 2 ms, ... 512 ms */

TEST(irq, line_of_a_device)
{
        char *hpet = (char *)acpi_info()->clock.hpet_va;
        if (hpet == NULL)
                SKIP("no HPET to raise a line");
        uint32_t lines = shared_load_u32(hpet + HPET_TIMER_LINES) >> LINE_FIRST << LINE_FIRST;
        if (lines == 0)
                SKIP("the HPET reaches no line above ISA's");
        uint32_t gsi = 31 - (uint32_t)__builtin_clz(lines);
        uint32_t counts =
                NS_PER_MS * FEMTOSECONDS_PER_NS / shared_load_u32(hpet + HPET_COUNTER_PERIOD);

        uint32_t configuration = shared_load_u32(hpet + HPET_CONFIGURATION);
        shared_store_u32(hpet + HPET_CONFIGURATION, configuration | HPET_ENABLE);
        shared_store_u32(&raised, 0);
        REQUIRE_OK(arch_irq_connect_gsi(gsi, false, false, "test", count_irq, &raised));
        EXPECT_STATUS(ZX_ERR_ALREADY_BOUND,
                      arch_irq_connect_gsi(gsi, false, false, "test", count_irq, &raised));
        shared_store_u32(hpet + HPET_TIMER_CONFIGURATION,
                         HPET_TIMER_ENABLE | HPET_TIMER_32_BIT | gsi << HPET_TIMER_LINE_SHIFT);
        /* A comparator that the counter has passed already, because the host stopped us in between,
         * waits for the counter to come round: ask again, for later. */
        bool arrived = false;
        for (uint32_t attempt = 0; attempt < LINE_ATTEMPTS && !arrived; attempt++) {
                shared_store_u32(hpet + HPET_TIMER_COMPARATOR,
                                 shared_load_u32(hpet + HPET_COUNTER) + (counts << attempt));
                arrived = wait_for_count_until(1, time_deadline_after(2 * (NS_PER_MS << attempt)));
        }
        EXPECT_TRUE(arrived);
        shared_store_u32(hpet + HPET_TIMER_CONFIGURATION, 0);
        shared_store_u32(hpet + HPET_CONFIGURATION, configuration);
        arch_irq_disconnect_gsi(gsi);
}

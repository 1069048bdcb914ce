/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* hyperv_order_hosted_test — messages that come between any two accesses of the interrupt handler
 * to its message page (spec/vmbus.md, g.5): the order "clear the type, fence, look at the flags"
 * shows only there. The page is watched, each access of the compiled code is a step, and the
 * hypervisor acts in front of the one that the test names. */
#define _GNU_SOURCE
#include "tests/host/hyperv_bed.h"

#if defined(__x86_64__)
#include "tests/host/watched_memory.h"

#define STEPS_MAX 4096u /* of the handler, with two messages */

static struct {
        uint32_t step, act_at;
        void (*act)(void);
        uint32_t cleared_at; /* the step that cleared the type first */
        uint32_t type_before;
} script;

static uint32_t *slot_type(void)
{
        return (void *)(at(model.cpus[0].simp.pa) + 2 * 256);
}

static void before_step(size_t offset)
{
        (void)offset;
        if (script.step == script.act_at && script.act != NULL)
                script.act();
        script.type_before = *slot_type();
}

static void after_step(void)
{
        if (script.cleared_at == UINT32_MAX && script.type_before != 0 && *slot_type() == 0)
                script.cleared_at = script.step;
        script.step++;
}

/* What the hypervisor does in a write of a register is one step, and none of ours. */
static void write_msr_unwatched(uint32_t msr, uint64_t value)
{
        unwatch();
        model_write_msr(msr, value);
        watch();
}

/* The handler once, with `act` in front of its step `act_at`. */
static void run_handler(void (*act)(void), uint32_t act_at)
{
        script.step = 0;
        script.act = act;
        script.act_at = act_at;
        script.cleared_at = UINT32_MAX;
        watch();
        hyperv_interrupt(&hyperv);
        unwatch();
}

/* A transport whose CPU 0 has one message in its slot. */
static bool started_watched(struct test *t)
{
        static struct hyperv_ops ops;
        if (started(t) == NULL)
                return false;
        ops = model_ops;
        ops.write_msr = write_msr_unwatched;
        hyperv.ops = &ops;
        watched_open(at(model.cpus[0].simp.pa), PAGE_BYTES, before_step, after_step);
        host_message(0, 1, 8, 1);
        return EXPECT_EQ(model.cpus[0].interrupts, 1);
}

static void finish(struct test *t)
{
        watched_close();
        hyperv.ops = &model_ops;
        end(t);
}

static void another_comes(void)
{
        host_message(0, 1, 8, 2);
}

/* Wherever the second message comes, it is heard of in this interrupt or by another one that was
 * raised for it. */
TEST(hyperv, a_message_is_lost_between_no_two_steps_of_the_handler)
{
        uint32_t at_step = 0;
        bool inside = true;
        for (; inside && at_step < STEPS_MAX; at_step++) {
                REQUIRE_TRUE(started_watched(t));
                run_handler(another_comes, at_step);
                inside = script.step > at_step;
                if (!inside)
                        another_comes(); /* behind the last step */
                if (model.messages != 2 && model.cpus[0].interrupts == 2)
                        hyperv_interrupt(&hyperv);
                if (!EXPECT_EQ(model.messages, 2))
                        test_log(t, "lost in front of step %u", at_step);
                EXPECT_EQ(model.last_message.payload[0], 2);
                EXPECT_EQ(model.cpus[0].waiting_count, 0);
                finish(t);
        }
        EXPECT_FALSE(inside);
        EXPECT_GT(at_step, 3u); /* type, message, clear, flags */
}

/* A duplicate of the handler has taken the message away, and a timer's stands in the slot. */
static void slot_has_another(void)
{
        uint8_t *slot = (uint8_t *)slot_type();
        const uint32_t type = 0x80000010;
        memset(slot, 0, 256);
        memcpy(slot, &type, sizeof(type));
}

TEST(hyperv, a_late_handler_takes_only_the_message_that_it_read)
{
        REQUIRE_TRUE(started_watched(t));
        run_handler(NULL, 0);
        uint32_t clears_at = script.cleared_at;
        finish(t);
        REQUIRE_TRUE(clears_at != UINT32_MAX);
        REQUIRE_TRUE(started_watched(t));
        run_handler(slot_has_another, clears_at);
        EXPECT_EQ(model.messages, 1);
        EXPECT_EQ(hyperv.cpus[0].ignored_count, 1); /* it was still there */
        EXPECT_EQ(*slot_type(), 0u);
        finish(t);
}

#endif

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The VMBus client and the VMBus host in one kernel: on two CPUs when there are two, else in turns.
 * The two were written by different hands from the same description; here they meet. */
#include "tests/expect.h"

#include "arch/arch.h"
#include "kernel/aspace.h"
#include "kernel/cpu.h"
#include "kernel/memory.h"
#include "kernel/time.h"
#include "tests/boot/vmbus_machine.h"
#include "tests/peers/vmbus_host/vmbus_host.h"

#define QUEUE 8
#define WORDS 64
#define CONNECTION_BASE 0x2000
#define PACKETS 1000
/* Two CPUs that wait for each other's words: where they share one of the machine's, each packet
 * takes it some milliseconds. Enough to go around the rings several times. */
#define LOOPBACK_PACKETS 200
#define RETARGET_PACKETS 10
#define DEADLINE_NS 5000000000ull

/* ---- a transport between the two: what the guest posts waits in a queue; a message of the host is
 * an upcall on the host's CPU, as an interrupt there would make it; an event waits for the CPU that
 * it is for, which looks for it whenever it waits ---- */

#define CPUS 2 /* that can be told of events: the test's and the host's */

static struct {
        struct vmbus_transport transport;
        struct vmbus_upcalls up;
        struct vmbus_host host;
        struct vmbus_host_echo echo;
        struct vmbus_host_offer offer;
        uint64_t words[WORDS];
        struct spinlock lock; /* over the queue */
        struct {
                uint32_t connection_id, bytes;
                uint8_t payload[VMBUS_MESSAGE_BYTES_MAX];
        } queue[QUEUE];
        uint32_t head, tail;
        uint32_t events; /* atomic: bit n, channel n */
        uint32_t to_guest[CPUS]; /* atomic: bit n, event flag n of that CPU */
        uint32_t taking; /* atomic: CPUs that hand events up now */
        bool stop;       /* atomic */
        struct cpu_work work;

        struct vmbus vmbus;
        struct vmbus_channel channels[4];
        struct vmbus_gpadl gpadls[4];
        uint32_t called; /* atomic */
        uint32_t called_on[CPUS]; /* atomic: how often, on that CPU */
} loop;

static void *map_page(void *context, uint64_t number)
{
        return pmm_page_from_pa(&kernel_pmm, number * PAGE_BYTES) == NULL
                       ? NULL
                       : memory_pa_to_va(number * PAGE_BYTES);
}

static bool post_to_guest(void *context, const void *bytes, uint32_t count, uint32_t vp)
{
        struct vmbus_message message = {.bytes = count};
        memcpy(message.payload, bytes, count);
        loop.up.message(loop.up.context, &message);
        return true;
}

static void signal_guest(void *context, uint32_t flag, uint32_t vp)
{
        __atomic_fetch_or(&loop.to_guest[vp], 1u << flag, __ATOMIC_SEQ_CST);
}

/* Events for the CPU that calls. */
static void take_events(void)
{
        uint32_t cpu = cpu_current();
        if (cpu >= CPUS || __atomic_load_n(&loop.to_guest[cpu], __ATOMIC_RELAXED) == 0)
                return;
        __atomic_fetch_add(&loop.taking, 1, __ATOMIC_SEQ_CST);
        uint32_t flags = __atomic_exchange_n(&loop.to_guest[cpu], 0, __ATOMIC_SEQ_CST);
        for (; flags != 0; flags &= flags - 1)
                loop.up.event(loop.up.context, (uint32_t)__builtin_ctz(flags));
        __atomic_fetch_sub(&loop.taking, 1, __ATOMIC_SEQ_CST);
}

static const struct vmbus_host_ops host_ops = {
        .map = map_page, .post = post_to_guest, .signal = signal_guest};

/* One turn of the host. */
static void host_turn(void)
{
        while (__atomic_load_n(&loop.head, __ATOMIC_ACQUIRE) !=
               __atomic_load_n(&loop.tail, __ATOMIC_ACQUIRE)) {
                uint32_t slot = loop.head % QUEUE;
                if (vmbus_host_message(&loop.host, loop.queue[slot].connection_id,
                                       loop.queue[slot].payload,
                                       loop.queue[slot].bytes) == ZX_ERR_SHOULD_WAIT)
                        break;
                __atomic_store_n(&loop.head, loop.head + 1, __ATOMIC_RELEASE);
        }
        uint32_t events = __atomic_exchange_n(&loop.events, 0, __ATOMIC_SEQ_CST);
        for (; events != 0; events &= events - 1)
                vmbus_host_event(&loop.host, CONNECTION_BASE + (uint32_t)__builtin_ctz(events));
        (void)vmbus_host_poll(&loop.host);
}

static void host_until_stopped(void *context)
{
        while (!__atomic_load_n(&loop.stop, __ATOMIC_ACQUIRE)) {
                host_turn();
                take_events();
                arch_pause();
        }
}

static zx_status_t loop_start(struct vmbus_transport *transport,
                              const struct vmbus_upcalls *upcalls)
{
        loop.up = *upcalls;
        if (cpu_count() > 1)
                cpu_work_post(&loop.work, 1);
        return ZX_OK;
}

static void loop_stop(struct vmbus_transport *transport)
{
        __atomic_store_n(&loop.stop, true, __ATOMIC_RELEASE);
        if (cpu_count() > 1 && cpu_work_wait(&loop.work, time_ns() + DEADLINE_NS) != ZX_OK)
                arch_pause(); /* the test's own deadline ends it */
}

static zx_status_t loop_post(struct vmbus_transport *transport, uint32_t connection_id,
                             const void *message, uint32_t bytes)
{
        zx_status_t status = ZX_ERR_SHOULD_WAIT;
        spinlock_take(&loop.lock);
        uint32_t slot = loop.tail % QUEUE;
        if (loop.tail - __atomic_load_n(&loop.head, __ATOMIC_ACQUIRE) < QUEUE) {
                loop.queue[slot].connection_id = connection_id;
                loop.queue[slot].bytes = bytes;
                memcpy(loop.queue[slot].payload, message, bytes);
                __atomic_store_n(&loop.tail, loop.tail + 1, __ATOMIC_RELEASE);
                status = ZX_OK;
        }
        spinlock_give(&loop.lock);
        return status;
}

static zx_status_t loop_signal(struct vmbus_transport *transport, uint32_t connection_id,
                               uint32_t flag)
{
        __atomic_fetch_or(&loop.events, 1u << (connection_id - CONNECTION_BASE), __ATOMIC_SEQ_CST);
        return ZX_OK;
}

static void loop_poll(struct vmbus_transport *transport)
{
        if (cpu_count() == 1)
                host_turn();
        take_events();
}

static uint32_t loop_vp_index(struct vmbus_transport *transport, uint32_t cpu)
{
        return cpu < min_u64(cpu_count(), CPUS) ? cpu : VMBUS_VP_NONE;
}

static uint64_t loop_now(struct vmbus_transport *transport)
{
        return time_ns();
}

static void loop_pause(struct vmbus_transport *transport, uint64_t ns)
{
        loop_poll(transport);
        arch_pause();
}

static bool loop_interrupts_disable(struct vmbus_transport *transport)
{
        return arch_interrupts_disable();
}

static void loop_interrupts_restore(struct vmbus_transport *transport, bool enabled)
{
        arch_interrupts_restore(enabled);
}

static const struct vmbus_transport_ops loop_ops = {
        .name = "loopback",
        .start = loop_start,
        .stop = loop_stop,
        .post = loop_post,
        .signal = loop_signal,
        .poll = loop_poll,
        .vp_index = loop_vp_index,
        .now_ns = loop_now,
        .pause = loop_pause,
        .interrupts_disable = loop_interrupts_disable,
        .interrupts_restore = loop_interrupts_restore,
};

/* ---- the test ---- */

static void on_event(struct vmbus_channel *channel, void *context)
{
        if (cpu_current() < CPUS)
                __atomic_fetch_add(&loop.called_on[cpu_current()], 1, __ATOMIC_SEQ_CST);
        __atomic_store_n(&loop.called, 1, __ATOMIC_RELEASE);
}

/* Waits for the callback; false: it did not come. */
static bool await_call(struct vmbus_channel *channel, uint64_t deadline)
{
        struct vmbus_transport *transport = channel->vmbus->config.transport;
        while (__atomic_load_n(&loop.called, __ATOMIC_ACQUIRE) == 0) {
                if (time_passed(deadline))
                        return false;
                transport->ops->pause(transport, NS_PER_MS); /* does not poll the rings */
        }
        return true;
}

/* Sleeps until the next packet is there, and takes it. */
static zx_status_t receive(struct vmbus_channel *channel, void *buffer, uint32_t bytes)
{
        uint64_t deadline = time_ns() + DEADLINE_NS;
        for (;;) {
                struct vmbus_incoming packet;
                __atomic_store_n(&loop.called, 0, __ATOMIC_RELAXED);
                zx_status_t status = vmbus_channel_receive(channel, &packet, buffer, bytes);
                if (status != ZX_ERR_SHOULD_WAIT)
                        return status;
                status = vmbus_channel_sleep(channel);
                if (status == ZX_ERR_SHOULD_WAIT && !await_call(channel, deadline))
                        return ZX_ERR_TIMED_OUT;
                if (status != ZX_OK && status != ZX_ERR_SHOULD_WAIT)
                        return status;
        }
}

static void echo_packets(struct test *t, struct vmbus_channel *channel, uint32_t count)
{
        uint64_t out[32], in[32];
        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND};
        for (uint32_t i = 0; i < count; i++) {
                packet.payload_bytes = 8 + i % 31 * 8;
                for (unsigned w = 0; w < ARRAY_COUNT(out); w++)
                        out[w] = i * 0x9e3779b97f4a7c15ull + w;
                REQUIRE_OK(vmbus_channel_send(channel, &packet, out));
                REQUIRE_OK(receive(channel, in, sizeof(in)));
                REQUIRE_(EXPECT_BYTES_EQ(in, out, packet.payload_bytes));
        }
}

/* Echoes packets, each of which finds us asleep, so that the host
 * signals: on that CPU and no other. */
static void echo_on(struct test *t, struct vmbus_channel *channel, uint32_t cpu)
{
        const struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND, .payload_bytes = 8};
        for (uint32_t i = 0; i < CPUS; i++)
                __atomic_store_n(&loop.called_on[i], 0, __ATOMIC_SEQ_CST);
        for (uint64_t i = 0; i < RETARGET_PACKETS; i++) {
                uint64_t in = ~i;
                __atomic_store_n(&loop.called, 0, __ATOMIC_RELAXED);
                REQUIRE_STATUS(ZX_ERR_SHOULD_WAIT, vmbus_channel_sleep(channel));
                REQUIRE_OK(vmbus_channel_send(channel, &packet, &i));
                REQUIRE_TRUE(await_call(channel, time_ns() + DEADLINE_NS));
                REQUIRE_OK(receive(channel, &in, sizeof(in)));
                EXPECT_EQ(in, i);
        }
        for (uint32_t i = 0; i < CPUS; i++) {
                uint32_t count = __atomic_load_n(&loop.called_on[i], __ATOMIC_SEQ_CST);
                EXPECT_TRUE(i == cpu ? count >= RETARGET_PACKETS : count == 0);
        }
}

/* What the host signalled before ModifyChannel was for the CPU of then. */
static void settle_events(struct test *t)
{
        uint64_t deadline = time_ns() + DEADLINE_NS;
        while (__atomic_load_n(&loop.to_guest[0], __ATOMIC_SEQ_CST) != 0 ||
               __atomic_load_n(&loop.to_guest[1], __ATOMIC_SEQ_CST) != 0 ||
               __atomic_load_n(&loop.taking, __ATOMIC_SEQ_CST) != 0) {
                REQUIRE_TRUE(!time_passed(deadline));
                take_events();
        }
}

/* The channel is open for CPU 0: on to the second, if there is one, and back. */
static void retarget(struct test *t, struct vmbus_channel *channel)
{
        echo_on(t, channel, 0);
        for (uint32_t i = 1; i <= CPUS; i++) {
                uint32_t cpu = cpu_count() > 1 ? i % CPUS : 0;
                REQUIRE_OK(vmbus_modify(channel, cpu));
                settle_events(t);
                echo_on(t, channel, cpu);
        }
}

static const struct vmbus_open_parameters parameters = {.send_pages = 2,
                                                        .receive_pages = 2,
                                                        .backing = VMBUS_BACKING_PAGED,
                                                        .callback = on_event};

TEST(vmbus_client, meets_the_host_and_echoes_packets)
{
        const struct vmbus_host_config host = {.ops = &host_ops,
                                               .words = loop.words,
                                               .word_count = WORDS,
                                               .connection_base = CONNECTION_BASE};
        const struct vmbus_config config = {.transport = &loop.transport,
                                            .pool = aspace_vmo_pool(),
                                            .channels = loop.channels,
                                            .channel_count = ARRAY_COUNT(loop.channels),
                                            .gpadls = loop.gpadls,
                                            .gpadl_count = ARRAY_COUNT(loop.gpadls),
                                            .deadline_ns = DEADLINE_NS};
        memset(&loop, 0, sizeof(loop));
        loop.transport.ops = &loop_ops;
        cpu_work_init(&loop.work, host_until_stopped, NULL);
        vmbus_host_init(&loop.host, &host);
        vmbus_host_echo_init(&loop.echo, false);
        vmbus_host_echo_offer(&loop.echo, &loop.offer, 1);
        REQUIRE_OK(vmbus_host_offer(&loop.host, &loop.offer, NULL));
        REQUIRE_OK(vmbus_init(&loop.vmbus, &config));
        REQUIRE_OK(vmbus_connect(&loop.vmbus));
        EXPECT_EQ(loop.vmbus.version, 0x60000);
        struct vmbus_channel *channel = &loop.channels[0];
        if (EXPECT_OK(vmbus_open(channel, &parameters))) {
                retarget(t, channel);
                echo_packets(t, channel, LOOPBACK_PACKETS);
                EXPECT_OK(vmbus_close(channel));
        }
        EXPECT_OK(vmbus_disconnect(&loop.vmbus));
        EXPECT_EQ(loop.echo.packets, LOOPBACK_PACKETS + (1 + CPUS) * RETARGET_PACKETS);
        EXPECT_EQ(vmbus_host_faults_total(&loop.host), 0);
        EXPECT_EQ(loop.vmbus.leaked_pages, 0);
        for (unsigned i = 0; i < VMBUS_FAULT_COUNT; i++)
                if (!EXPECT_EQ(loop.vmbus.faults[i], 0))
                        test_log(t, "%s", vmbus_fault_name((enum vmbus_fault_rule)i));
}

/* Against the host that this machine has, as `run-qemu.sh --vmbus` gives it one. */
TEST(vmbus_client, echoes_packets_over_the_machines_own_connection)
{
        struct vmbus_channel *channel = vmbus_machine_echo();
        if (channel == NULL)
                SKIP("no VMBus host with an echo here");
        REQUIRE_OK(vmbus_open(channel, &parameters));
        uint64_t begin_ns = time_ns();
        echo_packets(t, channel, PACKETS);
        test_log(t, "%u round trips, %llu us each", PACKETS,
                 (unsigned long long)((time_ns() - begin_ns) / PACKETS / NS_PER_US));
        uint32_t cpu = cpu_count() > 1 ? 1 : 0;
        zx_status_t status = vmbus_modify(channel, cpu);
        /* An older host cannot (e.2). */
        EXPECT_STATUS(hyperv_vmbus()->version < WIRE_VERSION_4_1 ? ZX_ERR_NOT_SUPPORTED : ZX_OK,
                      status);
        if (status == ZX_OK) {
                /* An interrupt of before may still be under way while the first packets are. */
                echo_packets(t, channel, RETARGET_PACKETS);
                echo_on(t, channel, cpu);
                test_log(t, "retargeted: %u callbacks on CPU %u", loop.called_on[cpu], cpu);
        }
        EXPECT_OK(vmbus_close(channel));
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The VMBus client on several CPUs, played by threads, under ThreadSanitizer: one is the host,
 * whose messages and events come in the middle of what the others do, two open channels, send, and
 * close them again, one tells drivers of what is new. */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "tests/expect.h"

#include "base/bytes.h"
#include "drivers/hyperv/vmbus.h"
#include "tests/peers/vmbus_host/vmbus_host.h"
#include "tests/peers/vmbus_host/vmbus_host_echo.h"

#define PAGES 512
#define BASE_PA (9 * MIB)
#define QUEUE 8
#define CONNECTION_BASE 0x2000
#define USERS 2
#define ROUNDS 20
#define PACKETS 50
#define DEADLINE_NS 20000000000ull

static _Thread_local uint32_t this_cpu; /* 0: the test's own thread */

static struct {
        struct pmm pmm;
        struct pmm_state_counts counts[2 + USERS];
        struct vmo_pool pool;
        struct vmbus_transport transport;
        struct vmbus_upcalls up;
        struct vmbus_host host;
        struct vmbus_host_echo echoes[USERS];
        struct vmbus_host_offer offers[USERS];
        uint64_t words[256];
        pthread_mutex_t lock; /* over the queue */
        struct {
                uint32_t connection_id, bytes;
                uint8_t payload[VMBUS_MESSAGE_BYTES_MAX];
        } queue[QUEUE];
        uint32_t head, tail;
        uint32_t events, stop, stop_serving;
        struct vmbus vmbus;
        struct vmbus_channel channels[4];
        struct vmbus_gpadl gpadls[8];
        uint32_t called[USERS], failures;
} bed;

static uint32_t current_cpu(void)
{
        return this_cpu;
}

/* ---- the host's thread ---- */

static void *map_page(void *context, uint64_t number)
{
        return pmm_page_from_pa(&bed.pmm, number * PAGE_BYTES) == NULL
                       ? NULL
                       : pmm_pa_to_va(&bed.pmm, number * PAGE_BYTES);
}

static bool post_to_guest(void *context, const void *bytes, uint32_t count, uint32_t vp)
{
        struct vmbus_message message = {.bytes = count};
        memcpy(message.payload, bytes, count);
        bed.up.message(bed.up.context, &message);
        return true;
}

static void signal_guest(void *context, uint32_t flag, uint32_t vp)
{
        bed.up.event(bed.up.context, flag);
}

static const struct vmbus_host_ops host_ops = {
        .map = map_page, .post = post_to_guest, .signal = signal_guest};

static bool take_posted(uint32_t *connection_id, uint8_t *payload, uint32_t *bytes)
{
        pthread_mutex_lock(&bed.lock);
        bool any = bed.head != bed.tail;
        if (any) {
                *connection_id = bed.queue[bed.head % QUEUE].connection_id;
                *bytes = bed.queue[bed.head % QUEUE].bytes;
                memcpy(payload, bed.queue[bed.head % QUEUE].payload, *bytes);
                bed.head++;
        }
        pthread_mutex_unlock(&bed.lock);
        return any;
}

static void *host_thread(void *context)
{
        uint32_t connection_id, bytes;
        ALIGNED(8) uint8_t payload[VMBUS_MESSAGE_BYTES_MAX];
        while (__atomic_load_n(&bed.stop, __ATOMIC_ACQUIRE) == 0) {
                while (take_posted(&connection_id, payload, &bytes))
                        while (vmbus_host_message(&bed.host, connection_id, payload, bytes) ==
                               ZX_ERR_SHOULD_WAIT)
                                (void)vmbus_host_poll(&bed.host);
                uint32_t events = __atomic_exchange_n(&bed.events, 0, __ATOMIC_SEQ_CST);
                for (; events != 0; events &= events - 1)
                        vmbus_host_event(&bed.host,
                                         CONNECTION_BASE + (uint32_t)__builtin_ctz(events));
                if (!vmbus_host_poll(&bed.host))
                        sched_yield();
        }
        return NULL;
}

/* ---- the transport ---- */

static zx_status_t start(struct vmbus_transport *transport, const struct vmbus_upcalls *upcalls)
{
        bed.up = *upcalls;
        return ZX_OK;
}
static void stop(struct vmbus_transport *transport)
{
}
static zx_status_t post(struct vmbus_transport *transport, uint32_t connection_id,
                        const void *message, uint32_t bytes)
{
        pthread_mutex_lock(&bed.lock);
        bool room = bed.tail - bed.head < QUEUE;
        if (room) {
                bed.queue[bed.tail % QUEUE].connection_id = connection_id;
                bed.queue[bed.tail % QUEUE].bytes = bytes;
                memcpy(bed.queue[bed.tail % QUEUE].payload, message, bytes);
                bed.tail++;
        }
        pthread_mutex_unlock(&bed.lock);
        return room ? ZX_OK : ZX_ERR_SHOULD_WAIT;
}
static zx_status_t signal_host(struct vmbus_transport *transport, uint32_t connection_id,
                               uint32_t flag)
{
        __atomic_fetch_or(&bed.events, 1u << (connection_id - CONNECTION_BASE), __ATOMIC_SEQ_CST);
        return ZX_OK;
}
static void poll(struct vmbus_transport *transport)
{
}
static uint32_t vp_index(struct vmbus_transport *transport, uint32_t cpu)
{
        return cpu < 4 ? cpu : VMBUS_VP_NONE;
}
static uint64_t now_ns(struct vmbus_transport *transport)
{
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}
static void pause_ns(struct vmbus_transport *transport, uint64_t ns)
{
        sched_yield();
}
static bool interrupts_disable(struct vmbus_transport *transport)
{
        return true;
}
static void interrupts_restore(struct vmbus_transport *transport, bool enabled)
{
}
static const struct vmbus_transport_ops ops = {
        "threads", start, stop,   post,     signal_host,        poll,
        vp_index,  now_ns, pause_ns, interrupts_disable, interrupts_restore};

/* ---- users ---- */

static void on_event(struct vmbus_channel *channel, void *context)
{
        __atomic_store_n((uint32_t *)context, 1, __ATOMIC_RELEASE);
}

static bool echo(struct vmbus_channel *channel, uint32_t *called, uint64_t value)
{
        uint64_t deadline = now_ns(NULL) + DEADLINE_NS, back = 0;
        const struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND, .payload_bytes = 8};
        struct vmbus_incoming incoming;
        if (vmbus_channel_send(channel, &packet, &value) != ZX_OK)
                return false;
        for (;;) {
                __atomic_store_n(called, 0, __ATOMIC_RELAXED);
                zx_status_t status = vmbus_channel_receive(channel, &incoming, &back, sizeof(back));
                if (status == ZX_OK)
                        return back == value;
                if (status == ZX_ERR_SHOULD_WAIT)
                        status = vmbus_channel_sleep(channel);
                while (status == ZX_ERR_SHOULD_WAIT &&
                       __atomic_load_n(called, __ATOMIC_ACQUIRE) == 0) {
                        if (now_ns(NULL) >= deadline)
                                return false;
                        sched_yield();
                }
                if (status != ZX_OK && status != ZX_ERR_SHOULD_WAIT)
                        return false;
        }
}

static void *user_thread(void *context)
{
        uint32_t *called = context;
        this_cpu = 2 + (uint32_t)(called - bed.called);
        struct vmbus_channel *channel = &bed.channels[called - bed.called];
        const struct vmbus_open_parameters parameters = {.send_pages = 1,
                                                         .receive_pages = 1,
                                                         .backing = VMBUS_BACKING_PAGED,
                                                         .callback = on_event,
                                                         .context = called};
        bool good = true;
        for (unsigned round = 0; round < ROUNDS && good; round++) {
                good = vmbus_open(channel, &parameters) == ZX_OK;
                for (unsigned i = 0; i < PACKETS && good; i++)
                        good = echo(channel, called, round * 1000 + i);
                good = good && vmbus_modify(channel, round % 4) == ZX_OK;
                good = good && vmbus_close(channel) == ZX_OK;
        }
        if (!good)
                __atomic_fetch_add(&bed.failures, 1, __ATOMIC_RELAXED);
        return NULL;
}

static void *serve_thread(void *context)
{
        this_cpu = 1;
        while (__atomic_load_n(&bed.stop_serving, __ATOMIC_ACQUIRE) == 0) {
                vmbus_serve(&bed.vmbus);
                sched_yield();
        }
        return NULL;
}

TEST(vmbus_client_threads, several_cpus_use_several_channels)
{
        char *memory = world_pages(t, PAGES, NULL);
        const struct vmbus_host_config host = {.ops = &host_ops, .words = bed.words,
                                               .word_count = ARRAY_COUNT(bed.words),
                                               .connection_base = CONNECTION_BASE};
        const struct vmbus_config config = {.transport = &bed.transport,
                                            .pool = &bed.pool,
                                            .channels = bed.channels,
                                            .channel_count = ARRAY_COUNT(bed.channels),
                                            .gpadls = bed.gpadls,
                                            .gpadl_count = ARRAY_COUNT(bed.gpadls),
                                            .deadline_ns = DEADLINE_NS};
        pthread_t host_id, serve_id, users[USERS];
        bed.transport.ops = &ops;
        pthread_mutex_init(&bed.lock, NULL);
        REQUIRE_OK(pmm_init(&bed.pmm, (uint64_t)(uintptr_t)memory - BASE_PA));
        pmm_set_cpus(&bed.pmm, bed.counts, ARRAY_COUNT(bed.counts), current_cpu);
        REQUIRE_OK(pmm_add_arena(&bed.pmm, "threads", BASE_PA, PAGES * PAGE_BYTES));
        REQUIRE_OK(vmo_pool_init(&bed.pool, &bed.pmm));
        uint64_t free_pages = pmm_count_free_pages(&bed.pmm);
        vmbus_host_init(&bed.host, &host);
        for (unsigned i = 0; i < USERS; i++) {
                vmbus_host_echo_init(&bed.echoes[i], false);
                vmbus_host_echo_offer(&bed.echoes[i], &bed.offers[i], (uint8_t)i);
                REQUIRE_OK(vmbus_host_offer(&bed.host, &bed.offers[i], NULL));
        }
        REQUIRE_OK(vmbus_init(&bed.vmbus, &config));
        pthread_create(&host_id, NULL, host_thread, NULL);
        EXPECT_OK(vmbus_connect(&bed.vmbus));
        pthread_create(&serve_id, NULL, serve_thread, NULL);
        for (unsigned i = 0; i < USERS; i++)
                pthread_create(&users[i], NULL, user_thread, &bed.called[i]);
        for (unsigned i = 0; i < USERS; i++)
                pthread_join(users[i], NULL);
        EXPECT_EQ(bed.failures, 0);
        __atomic_store_n(&bed.stop_serving, 1, __ATOMIC_RELEASE);
        pthread_join(serve_id, NULL);
        EXPECT_OK(vmbus_disconnect(&bed.vmbus));
        __atomic_store_n(&bed.stop, 1, __ATOMIC_RELEASE);
        pthread_join(host_id, NULL);
        EXPECT_EQ(pmm_count_free_pages(&bed.pmm), free_pages);
        EXPECT_EQ(vmbus_host_faults_total(&bed.host), 0);
        EXPECT_EQ(bed.echoes[0].packets + bed.echoes[1].packets, USERS * ROUNDS * PACKETS);
}

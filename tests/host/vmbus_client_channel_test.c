/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Channels of the VMBus client against a scripted host: GPADLs, open, close, modify, rescind at
 * every moment, drivers, subchannels, packets.
 * Facts: spec/vmbus.md, a.3, e.4 to e.7, e.10, e.11. */
#include "tests/host/vmbus_client_bed.h"

/* ---- GPADLs ---- */

static uint64_t numbers[BED_LIST_PAGES_MAX];

TEST(vmbus_client_channel, tells_the_host_every_page_of_a_gpadl)
{
        static const uint32_t counts[] = {1, 2, 25, 26, 27, 53, 54, 55, 82, 83, 1000, 8189, 8190};
        CONNECT(0x60000, 1);
        for (uint32_t i = 0; i < ARRAY_COUNT(numbers); i++)
                numbers[i] = 0x1000000000ull + i * 0x10001ull;
        for (unsigned i = 0; i < ARRAY_COUNT(counts); i++) {
                uint32_t count = counts[i];
                const struct vmbus_gpadl_memory memory = {.page_numbers = numbers,
                                                          .page_count = count};
                struct vmbus_gpadl *gpadl;
                bed.log_count = 0;
                REQUIRE_OK(vmbus_gpadl_create(bed_channel(1), &memory, &gpadl));
                EXPECT_EQ(gpadl->handle, bed.list.handle);
                EXPECT_EQ(bed.list.channel_id, 1);
                EXPECT_EQ(bed.list.bytes_total, 8 * (count + 1));
                EXPECT_EQ(bed.list.words[0], (uint64_t)count * 4096); /* offset 0 above it */
                EXPECT_BYTES_EQ(&bed.list.words[1], numbers, count * 8);
                EXPECT_EQ(bed.list.bodies, count <= 26 ? 0 : (count - 26 + 27) / 28);
                EXPECT_EQ(posted_count(8), 1);
                const uint8_t *header = bed.log[0].payload;
                EXPECT_EQ(header[18] | header[19] << 8, 1);
                if (count < 26)
                        EXPECT_EQ(bed.log[0].bytes, 28 + 8 * count);
                EXPECT_OK(vmbus_gpadl_teardown(bed_channel(1), gpadl));
                EXPECT_EQ(get32(posted_last(11)->payload, 8), 1);
                EXPECT_EQ(get32(posted_last(11)->payload, 12), bed.list.handle);
        }
        bed_end(t);
}

/* After four billion GPADLs, with one that has been there since. */
TEST(vmbus_client_channel, never_gives_a_handle_twice)
{
        const struct vmbus_gpadl_memory memory = {.page_numbers = numbers, .page_count = 1};
        struct vmbus_gpadl *old, *new, *after;
        CONNECT(0x60000, 1);
        REQUIRE_OK(vmbus_gpadl_create(bed_channel(1), &memory, &old));
        bed.vmbus.next_handle = old->handle - 1;
        REQUIRE_OK(vmbus_gpadl_create(bed_channel(1), &memory, &new));
        EXPECT_NE(new->handle, old->handle);
        bed.vmbus.next_handle = UINT32_MAX;
        REQUIRE_OK(vmbus_gpadl_create(bed_channel(1), &memory, &after));
        EXPECT_NE(after->handle, 0);
        EXPECT_NE(after->handle, old->handle);
        EXPECT_OK(vmbus_gpadl_teardown(bed_channel(1), after));
        EXPECT_OK(vmbus_gpadl_teardown(bed_channel(1), new));
        EXPECT_OK(vmbus_gpadl_teardown(bed_channel(1), old));
        bed_end(t);
}

/* e.11: a number below 128, and its valid bit; else there is no monitor. */
TEST(vmbus_client_channel, believes_a_monitor_id_that_exists)
{
        static const uint8_t offered[][3] = {
                {5, 0, 0xff}, {127, 1, 127}, {128, 1, 0xff}, {5, 3, 5}};
        CONNECT(0x60000, 0);
        for (uint32_t i = 0; i < ARRAY_COUNT(offered); i++) {
                host_offer(i + 1, 0);
                uint8_t *message = bed.queue[(bed.queue_tail - 1) % BED_QUEUE_MAX].payload;
                message[188] = offered[i][0];
                message[189] = offered[i][1];
                bed_poll(&bed.transport);
                REQUIRE_TRUE(bed_channel(i + 1) != NULL);
                EXPECT_EQ(bed_channel(i + 1)->offer.monitor_id, offered[i][2]);
        }
        bed_end(t);
}

TEST(vmbus_client_channel, pins_the_memory_of_a_gpadl_until_the_host_lets_go)
{
        CONNECT(0x60000, 1);
        struct vmo *vmo;
        struct vmbus_gpadl *gpadl;
        REQUIRE_OK(vmo_create(&bed.pool, 8 * PAGE_BYTES, 0, &vmo));
        struct vmbus_gpadl_memory memory = {.vmo = vmo, .offset = PAGE_BYTES,
                                            .bytes = 3 * PAGE_BYTES};
        REQUIRE_OK(vmbus_gpadl_create(bed_channel(1), &memory, &gpadl));
        for (unsigned i = 0; i < 3; i++) {
                uint64_t pa;
                EXPECT_OK(vmo_get_page(vmo, (1 + i) * PAGE_BYTES, 0, &pa));
                EXPECT_EQ(bed.list.words[1 + i], pa / 4096);
        }
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_op_range(vmo, VMO_OP_DECOMMIT, PAGE_BYTES, PAGE_BYTES));

        bed.silent = TYPE_BIT(11);
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, vmbus_gpadl_teardown(bed_channel(1), gpadl));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_op_range(vmo, VMO_OP_DECOMMIT, PAGE_BYTES, PAGE_BYTES));
        host_say(12, 12, bed.list.handle, 0, 0); /* late */
        bed_settle();
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, PAGE_BYTES, PAGE_BYTES));
        EXPECT_FAULTS(0, NOT_AWAITED);
        vmo_put(vmo);
        bed_end(t);
}

TEST(vmbus_client_channel, ends_a_gpadl_that_was_created_too_late)
{
        CONNECT(0x60000, 1);
        struct vmbus_gpadl *gpadl;
        const struct vmbus_gpadl_memory memory = {.page_numbers = numbers, .page_count = 2};
        bed.silent = TYPE_BIT(8);
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, vmbus_gpadl_create(bed_channel(1), &memory, &gpadl));
        uint32_t handle = bed.list.handle;
        host_say(20, 10, 2, handle, 0); /* another channel's: not this one */
        bed_settle();
        EXPECT_FAULTS(1, NOT_AWAITED);
        EXPECT_EQ(posted_count(11), 0);
        host_say(20, 10, 1, handle, 0);
        bed_settle();
        EXPECT_EQ(posted_count(11), 1); /* torn down at once */
        EXPECT_EQ(get32(posted_last(11)->payload, 12), handle);
        for (unsigned i = 0; i < BED_GPADLS; i++)
                EXPECT_EQ(bed.gpadls[i].state, VMBUS_GPADL_FREE);
        bed_end(t);
}

TEST(vmbus_client_channel, refuses_gpadls_that_no_list_can_carry)
{
        CONNECT(0x60000, 1);
        struct vmbus_channel *channel = bed_channel(1);
        struct vmbus_gpadl *gpadl, *all[BED_GPADLS];
        struct vmo *vmo;
        REQUIRE_OK(vmo_create(&bed.pool, 4 * PAGE_BYTES, 0, &vmo));
        const struct vmbus_gpadl_memory bad[] = {
                {.page_numbers = numbers, .page_count = 0},
                {.page_numbers = numbers, .page_count = 8191},
                {.page_numbers = NULL, .page_count = 1},
                {.vmo = vmo, .bytes = 0},
                {.vmo = vmo, .bytes = PAGE_BYTES + 1},
                {.vmo = vmo, .offset = 8, .bytes = PAGE_BYTES},
                {.vmo = vmo, .bytes = 8191 * PAGE_BYTES},
        };
        for (unsigned i = 0; i < ARRAY_COUNT(bad); i++)
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_gpadl_create(channel, &bad[i], &gpadl));
        const struct vmbus_gpadl_memory beyond = {.vmo = vmo, .bytes = 5 * PAGE_BYTES};
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmbus_gpadl_create(channel, &beyond, &gpadl));
        EXPECT_EQ(posted_count(8), 0);

        const struct vmbus_gpadl_memory good = {.vmo = vmo, .bytes = PAGE_BYTES};
        for (unsigned i = 0; i < BED_GPADLS; i++)
                REQUIRE_OK(vmbus_gpadl_create(channel, &good, &all[i]));
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, vmbus_gpadl_create(channel, &good, &gpadl));
        for (unsigned i = 0; i < BED_GPADLS; i++)
                for (unsigned j = 0; j < i; j++)
                        EXPECT_NE(all[i]->handle, all[j]->handle);
        for (unsigned i = 0; i < BED_GPADLS; i++)
                EXPECT_OK(vmbus_gpadl_teardown(channel, all[i]));
        bed.refuse = TYPE_BIT(8);
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmbus_gpadl_create(channel, &good, &gpadl));
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, PAGE_BYTES)); /* not pinned any more */
        vmo_put(vmo);
        bed_end(t);
}

/* ---- open and close ---- */

/* What the client posted, against a.3 and e.7. */
static void expect_open_message(struct test *t, uint32_t bytes, uint32_t target_vp)
{
        const struct bed_posted *open = posted_last(5);
        if (!EXPECT_TRUE(open != NULL))
                return;
        EXPECT_EQ(open->bytes, bytes);
        EXPECT_EQ(get32(open->payload, 8), 1);
        EXPECT_NE(get32(open->payload, 12), 0);
        EXPECT_EQ(get32(open->payload, 16), bed.list.handle);
        EXPECT_EQ(get32(open->payload, 20), target_vp);
        EXPECT_EQ(get32(open->payload, 24), 3); /* one control page, two of data */
        EXPECT_BYTES_EQ(open->payload + 28, "hello\0\0\0", 8);
        EXPECT_EQ(open->payload[147], 0);
        if (bytes == 156) {
                EXPECT_EQ(get32(open->payload, 148), 0x2001);
                EXPECT_EQ(get32(open->payload, 152), 1);
        }
}

TEST(vmbus_client_channel, opens_and_closes)
{
        static const struct {
                uint32_t features, open_bytes, cpu, vp;
                enum vmbus_backing backing;
        } cases[] = {
                {0, 148, 2, 18, VMBUS_BACKING_ANY},
                {VMBUS_FEATURE_SIGNAL_PARAMETERS, 156, 0, 16, VMBUS_BACKING_CONTIGUOUS},
                {VMBUS_FEATURE_REDIRECT, 156, VMBUS_CPU_NONE, UINT32_MAX, VMBUS_BACKING_PAGED},
        };
        for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
                struct vmbus_open_parameters parameters = bed_open_small;
                BEGIN(0x60000, 1);
                bed.config.features_wanted = bed.feature_bits = cases[i].features;
                REQUIRE_TRUE(bed_connect(t));
                struct vmbus_channel *channel = bed_channel(1);
                EXPECT_EQ(channel->offer.flags, VMBUS_OFFER_PIPE);
                EXPECT_EQ(channel->offer.user_data[0], VMBUS_PIPE_TYPE_MESSAGE);
                EXPECT_EQ(channel->offer.monitor_id, 0xff); /* 5, but not valid */
                EXPECT_TRUE(channel->offer.dedicated_interrupt);
                parameters.cpu = cases[i].cpu;
                parameters.backing = cases[i].backing;
                parameters.user_data = "hello";
                parameters.user_bytes = 5;
                REQUIRE_OK(vmbus_open(channel, &parameters));
                EXPECT_STATE(OPEN, channel);
                expect_open_message(t, cases[i].open_bytes, cases[i].vp);
                EXPECT_EQ(bed.list.bytes_total, 8 * (1 + 7));
                EXPECT_EQ(channel->sender.memory.data_bytes, 2 * 4096);
                EXPECT_EQ(channel->receiver.memory.data_bytes, 3 * 4096);
                EXPECT_EQ(channel->sender.memory.pages != NULL,
                          cases[i].backing == VMBUS_BACKING_PAGED);
                EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_open(channel, &parameters));
                EXPECT_OK(vmbus_close(channel));
                EXPECT_STATE(OFFERED, channel);
                EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_close(channel));
                EXPECT_EQ(posted_count(7), 1);
                EXPECT_EQ(posted_count(11), 1);
                EXPECT_OK(vmbus_open(channel, &parameters)); /* and again */
                bed_end(t);
        }
}

TEST(vmbus_client_channel, refuses_bad_parameters)
{
        CONNECT(0x60000, 1);
        struct vmbus_open_parameters bad;
#define BAD(change)                                                                           \
        do {                                                                                  \
                bad = bed_open_small;                                                         \
                change;                                                                       \
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_open(bed_channel(1), &bad));         \
        } while (0)
        BAD(bad.send_pages = 0);
        BAD(bad.receive_pages = 0);
        BAD(bad.send_pages = 2049);
        BAD(bad.receive_pages = 2049);
        BAD(bad.user_bytes = 1);
        BAD((bad.user_data = numbers, bad.user_bytes = 121));
        BAD(bad.cpu = 4);
        BAD(bad.request_count = 1);
        BAD(bad.backing = (enum vmbus_backing)3);
#undef BAD
        EXPECT_STATE(OFFERED, bed_channel(1));
        bed_end(t);
}

TEST(vmbus_client_channel, leaves_nothing_when_the_host_refuses_or_is_late)
{
        static const struct {
                uint32_t refuse, silent;
                zx_status_t status;
                unsigned closes;
        } cases[] = {
                {TYPE_BIT(8), 0, ZX_ERR_ACCESS_DENIED, 0},
                {TYPE_BIT(5), 0, ZX_ERR_ACCESS_DENIED, 0},
                {0, TYPE_BIT(5), ZX_ERR_TIMED_OUT, 1}, /* it may have it open */
        };
        CONNECT(0x60000, 1);
        uint64_t free_pages = pmm_count_free_pages(&bed.pmm);
        for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
                bed.refuse = cases[i].refuse;
                bed.silent = cases[i].silent;
                bed.log_count = 0;
                EXPECT_STATUS(cases[i].status, vmbus_open(bed_channel(1), &bed_open_small));
                EXPECT_STATE(OFFERED, bed_channel(1));
                EXPECT_EQ(posted_count(7), cases[i].closes);
                EXPECT_EQ(pmm_count_free_pages(&bed.pmm), free_pages);
        }
        bed.silent = bed.refuse = 0;
        /* A late OpenResult, then one with another open id: nobody waits for either. */
        host_say(20, 6, 1, bed.last_open_id, 0);
        host_say(20, 6, 1, bed.last_open_id + 7, 0);
        bed_settle();
        EXPECT_FAULTS(2, NOT_AWAITED);
        EXPECT_OK(vmbus_open(bed_channel(1), &bed_open_small));
        bed_end(t);
}

static void say_wrong_results(uint32_t type)
{
        if (type == 5) {
                host_say(20, 6, 1, get32(posted_last(5)->payload, 12) ^ 1, 1);
                host_say(20, 6, 2, get32(posted_last(5)->payload, 12), 1);
                host_say(20, 6, 1000, get32(posted_last(5)->payload, 12), 1);
        }
}

TEST(vmbus_client_channel, believes_only_the_result_of_its_own_open)
{
        CONNECT(0x60000, 2);
        bed.hook = say_wrong_results;
        EXPECT_OK(vmbus_open(bed_channel(1), &bed_open_small));
        EXPECT_FAULTS(2, NOT_AWAITED);
        EXPECT_FAULTS(1, ID_UNKNOWN);
        bed_end(t);
}

TEST(vmbus_client_channel, fails_whole_wherever_memory_ends)
{
        static const enum vmbus_backing backings[] = {VMBUS_BACKING_ANY, VMBUS_BACKING_CONTIGUOUS,
                                                      VMBUS_BACKING_PAGED};
        for (unsigned b = 0; b < ARRAY_COUNT(backings); b++) {
                struct vmbus_open_parameters parameters = bed_open_small;
                struct list_node taken;
                unsigned refused = 0;
                CONNECT(0x60000, 1);
                parameters.backing = backings[b];
                list_init(&taken);
                REQUIRE_OK(pmm_alloc_pages(&bed.pmm, pmm_count_free_pages(&bed.pmm), 0, &taken));
                for (;;) { /* one page more free each time; ends when it is enough */
                        uint64_t before = pmm_count_free_pages(&bed.pmm);
                        zx_status_t status = vmbus_open(bed_channel(1), &parameters);
                        if (status == ZX_OK)
                                break;
                        REQUIRE_STATUS(ZX_ERR_NO_MEMORY, status);
                        EXPECT_STATE(OFFERED, bed_channel(1));
                        EXPECT_EQ(pmm_count_free_pages(&bed.pmm), before);
                        EXPECT_EQ(posted_count(8), 0);
                        refused++;
                        struct list_node *node = list_remove_tail(&taken);
                        REQUIRE_TRUE(node != NULL);
                        pmm_free_page(&bed.pmm, vm_page_from_node(node));
                }
                EXPECT_GE(refused, 7);
                pmm_free(&bed.pmm, &taken);
                bed_end(t);
        }
}

/* ---- modify ---- */

TEST(vmbus_client_channel, retargets_to_another_cpu)
{
        CONNECT(0x60000, 1);
        struct vmbus_channel *channel = bed_channel(1);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_modify(channel, 1));
        REQUIRE_OK(vmbus_open(channel, &bed_open_small));
        EXPECT_OK(vmbus_modify(channel, 3));
        EXPECT_EQ(channel->cpu, 3);
        EXPECT_EQ(get32(posted_last(22)->payload, 8), 1);
        EXPECT_EQ(get32(posted_last(22)->payload, 12), 19);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmbus_modify(channel, 4));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmbus_modify(channel, VMBUS_CPU_NONE));
        bed.refuse = TYPE_BIT(22);
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmbus_modify(channel, 0));
        EXPECT_EQ(channel->cpu, 3);
        bed.refuse = 0;
        bed.silent = TYPE_BIT(22);
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, vmbus_modify(channel, 0));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_modify(channel, 0)); /* the answer is still due */
        bed.silent = 0;
        host_say(16, 24, 1, 0, 0);
        bed_settle();
        EXPECT_OK(vmbus_modify(channel, 0));
        host_say(16, 24, 1, 0, 0);
        host_say(16, 24, 9, 0, 0);
        bed_settle();
        EXPECT_FAULTS(1, NOT_AWAITED);
        EXPECT_FAULTS(1, ID_UNKNOWN);
        bed_end(t);
}

TEST(vmbus_client_channel, retargets_as_the_version_allows)
{
        static const struct {
                uint32_t version;
                zx_status_t status;
        } cases[] = {{0x30000, ZX_ERR_NOT_SUPPORTED}, {0x40000, ZX_ERR_NOT_SUPPORTED},
                     {0x40001, ZX_OK}, {0x50002, ZX_OK}, {0x50003, ZX_OK}};
        for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
                struct vmbus_open_parameters polled = bed_open_small;
                CONNECT(cases[i].version, 2);
                REQUIRE_OK(vmbus_open(bed_channel(1), &bed_open_small));
                EXPECT_STATUS(cases[i].status, vmbus_modify(bed_channel(1), 0));
                EXPECT_STATUS(cases[i].status, vmbus_modify(bed_channel(1), 1));
                EXPECT_EQ(posted_count(22), cases[i].status == ZX_OK ? 2 : 0);
                polled.cpu = VMBUS_CPU_NONE;
                REQUIRE_OK(vmbus_open(bed_channel(2), &polled));
                EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_modify(bed_channel(2), 1));
                bed_end(t);
        }
}

/* ---- rescind ---- */

static void rescind_1(void)
{
        host_say(12, 2, 1, 0, 0);
        bed_poll(&bed.transport);
}

static uint32_t rescind_at;
static void rescind_hook(uint32_t type)
{
        if (type == rescind_at) {
                rescind_at = 0;
                rescind_1();
        }
}

TEST(vmbus_client_channel, survives_a_rescind_in_every_state)
{
        static const struct {
                uint32_t at; /* the message during which it comes */
                uint32_t silent;
                zx_status_t open_status;
                unsigned closes, teardowns;
        } cases[] = {
                {8, 0, ZX_ERR_PEER_CLOSED, 0, 1},            /* PREPARING, created all the same */
                {8, TYPE_BIT(8), ZX_ERR_TIMED_OUT, 0, 0},    /* PREPARING, late */
                {5, 0, ZX_ERR_PEER_CLOSED, 1, 1},            /* OPENING, opened all the same */
                {5, TYPE_BIT(5), ZX_ERR_PEER_CLOSED, 1, 1},  /* OPENING, never answered */
                {7, 0, ZX_OK, 1, 1},                         /* CLOSING */
                {11, 0, ZX_OK, 1, 1},                        /* CLOSING */
        };
        for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
                CONNECT(0x60000, 2);
                struct vmbus_channel *channel = bed_channel(1);
                rescind_at = cases[i].at;
                bed.hook = rescind_hook;
                bed.silent = cases[i].silent;
                uint64_t before = bed.now_ns;
                EXPECT_STATUS(cases[i].open_status, vmbus_open(channel, &bed_open_small));
                if (cases[i].open_status == ZX_OK)
                        EXPECT_OK(vmbus_close(channel));
                if (cases[i].open_status != ZX_ERR_TIMED_OUT)
                        EXPECT_LT(bed.now_ns - before, BED_DEADLINE_NS); /* not waited out */
                EXPECT_STATE(RESCINDED, channel);
                EXPECT_EQ(posted_count(7), cases[i].closes);
                EXPECT_EQ(posted_count(11), cases[i].teardowns);
                EXPECT_EQ(posted_count(13), 0);
                EXPECT_GT(bed.wakes, 0);
                bed.silent = 0;
                bed_settle();
                if (cases[i].open_status == ZX_ERR_TIMED_OUT) {
                        EXPECT_STATE(RESCINDED, channel); /* the host may still have the rings */
                        host_say(20, 10, 1, bed.list.handle, 0x8000ffff);
                        bed_settle();
                }
                EXPECT_STATE(FREE, channel);
                EXPECT_EQ(posted_count(13), 1);
                EXPECT_EQ(get32(posted_last(13)->payload, 8), 1);
                EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_open(channel, &bed_open_small));
                bed_end(t);
        }
}

/* Opened, and taken back before whoever waits has looked. */
static void open_and_rescind(uint32_t type)
{
        if (type != 5)
                return;
        host_say(20, 6, 1, get32(posted_last(5)->payload, 12), 0);
        host_say(12, 2, 1, 0, 0);
}

TEST(vmbus_client_channel, a_rescind_right_behind_the_opening_is_not_lost)
{
        CONNECT(0x60000, 1);
        struct vmbus_channel *channel = bed_channel(1);
        bed.hook = open_and_rescind;
        bed.silent = TYPE_BIT(5);
        EXPECT_STATUS(ZX_ERR_PEER_CLOSED, vmbus_open(channel, &bed_open_small));
        EXPECT_STATE(RESCINDED, channel);
        EXPECT_EQ(posted_count(7), 1);
        bed_settle();
        EXPECT_STATE(FREE, channel);
        bed_end(t);
}

TEST(vmbus_client_channel, gives_an_id_back_once_and_takes_it_again)
{
        CONNECT(0x60000, 2);
        struct vmbus_channel *channel = bed_channel(1);
        rescind_1(); /* OFFERED */
        EXPECT_STATE(RESCINDED, channel);
        rescind_1();
        EXPECT_FAULTS(1, RESCIND_TWICE);
        host_offer(3, 0); /* the same device, with a new id, before the old one is released */
        bed_settle();
        EXPECT_STATE(FREE, channel);
        EXPECT_EQ(posted_count(13), 1);
        EXPECT_STATE(OFFERED, bed_channel(3));
        rescind_1();
        EXPECT_FAULTS(1, ID_UNKNOWN);
        host_offer(1, 0);
        bed_settle();
        EXPECT_STATE(OFFERED, bed_channel(1));

        REQUIRE_OK(vmbus_open(bed_channel(1), &bed_open_small));
        channel = bed_channel(1);
        rescind_1(); /* OPEN: nobody's, so it stays until its user closes it */
        bed_settle();
        EXPECT_STATE(REVOKED, channel);
        EXPECT_EQ(posted_count(13), 1);
        EXPECT_STATUS(ZX_ERR_PEER_CLOSED, vmbus_channel_sleep(channel));
        EXPECT_STATUS(ZX_ERR_PEER_CLOSED, vmbus_modify(channel, 1));
        EXPECT_OK(vmbus_close(channel));
        bed_settle();
        EXPECT_STATE(FREE, channel);
        EXPECT_EQ(posted_count(13), 2);
        bed_end(t);
}

TEST(vmbus_client_channel, an_id_offered_twice_breaks_the_connection)
{
        CONNECT(0x60000, 2);
        struct vmbus_channel *channel = bed_channel(2);
        REQUIRE_OK(vmbus_open(channel, &bed_open_small));
        host_offer(1, 0);
        bed_poll(&bed.transport);
        EXPECT_EQ(vmbus_state(&bed.vmbus), VMBUS_STATE_BROKEN);
        EXPECT_EQ(bed.vmbus.fault, VMBUS_FAULT_ID_LIVE);
        EXPECT_EQ(bed.vmbus.fault_message_type, 1);
        EXPECT_STATE(REVOKED, channel);
        EXPECT_STATUS(ZX_ERR_PEER_CLOSED, vmbus_channel_sleep(channel));
        unsigned before = bed.log_count;
        host_say(12, 2, 2, 0, 0);
        bed_settle();
        EXPECT_FAULTS(1, BROKEN);
        EXPECT_EQ(bed.log_count, before);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_close(channel)); /* vmbus_serve() has done it */
        bed_end(t); /* Unload, and every page comes back */
        EXPECT_EQ(bed.log_count, before + 1);
}

/* ---- events ---- */

static unsigned called;
static void count_call(struct vmbus_channel *channel, void *context)
{
        called += *(unsigned *)context;
}

/* Of a channel whose callbacks are counted, from 0 on. */
static struct vmbus_open_parameters counted(void)
{
        static unsigned one = 1;
        struct vmbus_open_parameters parameters = bed_open_small;
        parameters.callback = count_call;
        parameters.context = &one;
        called = 0;
        return parameters;
}

TEST(vmbus_client_channel, an_event_reaches_its_open_channel_only)
{
        const struct vmbus_open_parameters parameters = counted();
        CONNECT(0x60000, 2);
        struct vmbus_channel *channel = bed_channel(1);
        bed.events = 1u << 1;
        bed_poll(&bed.transport); /* not open */
        EXPECT_FAULTS(1, EVENT_UNKNOWN);
        REQUIRE_OK(vmbus_open(channel, &parameters));
        bed.events = 1ull << 0 | 1ull << 1 | 1ull << 2 | 1ull << 40;
        bed_poll(&bed.transport);
        EXPECT_EQ(called, 1);
        EXPECT_EQ(channel->event_count, 1);
        EXPECT_FAULTS(4, EVENT_UNKNOWN);
        bed.up.event(bed.up.context, 2047);
        bed.up.event(bed.up.context, 2048);
        bed.up.event(bed.up.context, UINT32_MAX);
        EXPECT_FAULTS(7, EVENT_UNKNOWN);
        rescind_1();
        bed.up.event(bed.up.context, 1);
        EXPECT_EQ(called, 1);
        EXPECT_OK(vmbus_close(channel));
        bed_end(t);
}

static unsigned signals;
static void signal_hook(uint32_t type)
{
        signals++;
        bed.up.event(bed.up.context, 1);
}

/* A signal may overtake the answer to OpenChannel, and may be under way when the channel is closed
 * or taken back. A new offer of the same id begins anew. */
TEST(vmbus_client_channel, an_event_that_comes_early_or_late_is_no_fault)
{
        const struct vmbus_open_parameters parameters = counted();
        CONNECT(0x60000, 1);
        struct vmbus_channel *channel = bed_channel(1);
        signals = 0;
        bed.vmbus.next_open_id = UINT32_MAX - 1;
        for (unsigned i = 0; i < 3; i++) {
                bed.hook = signal_hook; /* with each message, from the GPADL on */
                REQUIRE_OK(vmbus_open(channel, &parameters));
                EXPECT_OK(vmbus_close(channel));
                bed.hook = NULL;
                EXPECT_EQ(signals, 4 * (i + 1)); /* GPADL, open, close, teardown */
                bed.up.event(bed.up.context, 1);
        }
        EXPECT_EQ(called, 0);
        rescind_1();
        bed.up.event(bed.up.context, 1);
        EXPECT_FAULTS(0, EVENT_UNKNOWN);
        bed_settle();
        EXPECT_STATE(FREE, channel);
        bed.up.event(bed.up.context, 1);
        EXPECT_FAULTS(1, EVENT_UNKNOWN);
        host_offer(1, 0);
        bed_settle();
        bed.up.event(bed.up.context, 1);
        EXPECT_FAULTS(2, EVENT_UNKNOWN);
        bed_end(t);
}

/* ---- drivers ---- */

static struct {
        unsigned offers, rescinds, subchannels;
        struct vmbus_channel *last;
        zx_status_t answer;
        bool opens, closes;
        struct vmbus_gpadl *gpadl;
} driven;

static zx_status_t driven_offer(struct vmbus_channel *channel)
{
        driven.offers++;
        driven.subchannels += channel->offer.subchannel_index != 0;
        driven.last = channel;
        if (driven.answer != ZX_OK)
                return driven.answer;
        if (driven.opens && vmbus_open(channel, &bed_open_small) != ZX_OK)
                return ZX_ERR_IO;
        return ZX_OK;
}

static void driven_rescind(struct vmbus_channel *channel)
{
        driven.rescinds++;
        if (driven.closes)
                (void)vmbus_close(channel);
}

static const struct vmbus_driver drivers[] = {
        {.name = "other", .interface = VMBUS_GUID(1u, 2, 3, 4, 5ull), .offer = driven_offer},
        {.name = "driven",
         .interface = VMBUS_GUID(0xf8615163u, 0xdf3e, 0x46c5, 0x913f, 0xf2d2f965ed0eull),
         .offer = driven_offer,
         .rescind = driven_rescind},
};

#define BEGIN_DRIVEN(version, offers_)                          \
        do {                                                    \
                memset(&driven, 0, sizeof(driven));             \
                BEGIN(version, offers_);                        \
                bed.config.drivers = drivers;                   \
                bed.config.driver_count = ARRAY_COUNT(drivers); \
        } while (0)

TEST(vmbus_client_channel, drivers_hear_of_offers_and_rescinds)
{
        for (unsigned closes = 0; closes < 2; closes++) {
                BEGIN_DRIVEN(0x60000, 2);
                driven.opens = true;
                driven.closes = closes != 0;
                REQUIRE_TRUE(bed_connect(t));
                EXPECT_EQ(driven.offers, 2);
                EXPECT_TRUE(bed_channel(1)->driver == &drivers[1]);
                EXPECT_STATE(OPEN, bed_channel(1));
                host_offer(5, 0); /* hot add */
                bed_settle();
                EXPECT_EQ(driven.offers, 3);
                EXPECT_STATE(OPEN, bed_channel(5));
                const struct vmbus_gpadl_memory memory = {.page_numbers = numbers, .page_count = 1};
                EXPECT_OK(vmbus_gpadl_create(bed_channel(5), &memory, &driven.gpadl));
                host_say(12, 2, 5, 0, 0); /* and remove; the driver forgets its GPADL */
                bed_settle();
                bed_settle();
                EXPECT_EQ(driven.rescinds, 1);
                EXPECT_TRUE(bed_channel(5) == NULL);
                EXPECT_EQ(posted_count(11), 2); /* the rings', and the forgotten one */
                EXPECT_EQ(get32(posted_last(13)->payload, 8), 5);
                bed_end(t);
                EXPECT_EQ(driven.rescinds, 3);
        }
}

TEST(vmbus_client_channel, a_driver_may_refuse_an_offer)
{
        BEGIN_DRIVEN(0x60000, 1);
        driven.answer = ZX_ERR_NOT_SUPPORTED;
        REQUIRE_TRUE(bed_connect(t));
        EXPECT_EQ(driven.offers, 1);
        EXPECT_TRUE(bed_channel(1)->driver == NULL);
        bed_settle();
        EXPECT_EQ(driven.offers, 1); /* and is not asked again */
        host_offer(2, 1); /* nor about the subchannels of what it did not take */
        bed_settle();
        EXPECT_EQ(driven.offers, 1);
        EXPECT_TRUE(bed_channel(2)->driver == NULL);
        EXPECT_OK(vmbus_open(bed_channel(1), &bed_open_small)); /* it is anybody's */
        bed_end(t);
        EXPECT_EQ(driven.rescinds, 0);
}

TEST(vmbus_client_channel, subchannels_go_to_the_driver_of_their_primary)
{
        BEGIN_DRIVEN(0x60000, 1);
        REQUIRE_TRUE(bed_connect(t));
        host_offer(2, 1);
        host_offer(3, 2);
        bed_settle();
        EXPECT_EQ(driven.offers, 3);
        EXPECT_EQ(driven.subchannels, 2);
        EXPECT_PTR_EQ(vmbus_channel_primary(bed_channel(3)), bed_channel(1));
        EXPECT_PTR_EQ(vmbus_channel_primary(bed_channel(1)), bed_channel(1));
        struct vmbus_channel *sub = bed_channel(3);
        rescind_1();
        EXPECT_TRUE(vmbus_channel_primary(sub) == NULL);
        bed_settle();
        EXPECT_EQ(driven.rescinds, 1);
        host_offer(4, 3); /* an orphan */
        bed_settle();
        EXPECT_EQ(driven.offers, 3);
        EXPECT_TRUE(bed_channel(4)->driver == NULL);
        bed_end(t);
}

TEST(vmbus_client_channel, more_offers_than_slots_are_counted)
{
        BEGIN(0x60000, BED_CHANNELS + 2);
        REQUIRE_TRUE(bed_connect(t));
        EXPECT_FAULTS(2, NO_SLOT);
        EXPECT_EQ(vmbus_state(&bed.vmbus), VMBUS_STATE_CONNECTED);
        rescind_1();
        bed_settle();
        host_offer(9, 0);
        bed_settle();
        EXPECT_STATE(OFFERED, bed_channel(9));
        bed_end(t);
}

/* ---- packets ---- */

/* The host's ends of the rings of the last GPADL: its first `downstream` pages, and the others. */
static struct {
        struct vmbus_receiver receiver;
        struct vmbus_receive_position from;
        struct vmbus_sender sender;
        struct vmbus_send_position to;
        void *pages[16];
} host;

static bool host_attach(struct test *t, uint32_t downstream)
{
        struct vmbus_memory up, down;
        uint32_t count = bed.list.bytes_total / 8 - 1;
        for (uint32_t i = 0; i < count; i++)
                host.pages[i] = pmm_pa_to_va(&bed.pmm, bed.list.words[1 + i] * 4096);
        if (!EXPECT_OK(vmbus_memory_init_paged(&up, host.pages[0], &host.pages[1],
                                               downstream - 1)) ||
            !EXPECT_OK(vmbus_memory_init_paged(&down, host.pages[downstream],
                                               &host.pages[downstream + 1],
                                               count - downstream - 1)))
                return false;
        vmbus_receiver_init(&host.receiver, &up);
        vmbus_sender_init(&host.sender, &down);
        return EXPECT_EQ(vmbus_receiver_position(&host.receiver, &host.from), VMBUS_OK) &&
               EXPECT_EQ(vmbus_sender_position(&host.sender, &host.to), VMBUS_OK);
}

/* Asks for a signal with the next packet. */
static void host_sleep(struct test *t)
{
        bool signal;
        EXPECT_EQ(vmbus_receiver_prepare_to_sleep(&host.receiver, &host.from, &signal),
                  VMBUS_EMPTY);
}

/* Sends every packet that is there back as a completion of itself. */
static void host_echo(struct test *t)
{
        struct vmbus_incoming packet;
        struct vmbus_range range;
        uint8_t bytes[256];
        EXPECT_EQ(vmbus_receiver_woken(&host.receiver), VMBUS_OK);
        while (vmbus_receiver_read(&host.receiver, &host.from, &packet) == VMBUS_OK) {
                struct vmbus_outgoing answer = {.kind = VMBUS_SEND_COMPLETION,
                                                .payload_bytes = packet.payload.bytes,
                                                .transaction_id = packet.transaction_id};
                EXPECT_EQ(vmbus_receiver_copy(&host.receiver, &packet.payload, bytes,
                                              sizeof(bytes)), VMBUS_OK);
                EXPECT_EQ(vmbus_sender_write(&host.sender, &host.to, &answer, &range), VMBUS_OK);
                struct vmbus_writer writer = vmbus_sender_writer(&host.sender, &range);
                EXPECT_EQ(vmbus_writer_write(&writer, bytes, range.bytes), VMBUS_OK);
        }
        bool signal = vmbus_receiver_commit(&host.receiver, &host.from);
        if (vmbus_sender_commit(&host.sender, &host.to) || signal)
                bed.events |= 1u << 1;
        host_sleep(t);
}

TEST(vmbus_client_channel, carries_packets_both_ways)
{
        static struct vmbus_request_slot slots[4];
        static const enum vmbus_backing backings[] = {VMBUS_BACKING_CONTIGUOUS,
                                                      VMBUS_BACKING_PAGED};
        unsigned one = 1;
        for (unsigned b = 0; b < ARRAY_COUNT(backings); b++) {
                struct vmbus_open_parameters parameters = bed_open_small;
                CONNECT(0x60000, 1);
                struct vmbus_channel *channel = bed_channel(1);
                parameters.backing = backings[b];
                parameters.callback = count_call;
                parameters.context = &one;
                parameters.request_slots = slots;
                parameters.request_count = ARRAY_COUNT(slots);
                REQUIRE_OK(vmbus_open(channel, &parameters));
                REQUIRE_TRUE(host_attach(t, 3));
                host_sleep(t);
                for (uint32_t i = 0; i < 1000; i++) {
                        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND_REQUEST,
                                                        .payload_bytes = 1 + i % 200};
                        struct vmbus_incoming incoming;
                        uint8_t out[200], in[208];
                        void *request = NULL;
                        called = 0;
                        memset(out, (int)i, sizeof(out));
                        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, vmbus_channel_sleep(channel));
                        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, vmbus_channel_sleep(channel));
                        REQUIRE_OK(vmbus_channel_send_request(channel, &packet, out, &out[i % 7]));
                        host_echo(t);
                        bed_poll(&bed.transport);
                        EXPECT_EQ(called, 1);
                        REQUIRE_OK(vmbus_channel_receive(channel, &incoming, in, sizeof(in)));
                        EXPECT_EQ(incoming.type, VMBUS_PACKET_COMPLETION);
                        EXPECT_BYTES_EQ(in, out, packet.payload_bytes);
                        EXPECT_OK(vmbus_channel_complete(channel, &incoming, &request));
                        EXPECT_PTR_EQ(request, &out[i % 7]);
                        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                                      vmbus_channel_complete(channel, &incoming, &request));
                        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT,
                                      vmbus_channel_receive(channel, &incoming, in, sizeof(in)));
                }
                EXPECT_EQ(bed.last_signal_id, 0x2001);
                EXPECT_EQ(bed.last_signal_flag, 1);
                EXPECT_EQ(channel->signal_count, bed.signals);
                bed_end(t);
        }
}

TEST(vmbus_client_channel, tells_full_and_too_large_and_too_small_apart)
{
        static struct vmbus_request_slot slots[2];
        static uint8_t big[9000];
        struct vmbus_open_parameters parameters = bed_open_small;
        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND, .payload_bytes = 4000};
        struct vmbus_incoming incoming;
        unsigned one = 1;
        CONNECT(0x60000, 1);
        struct vmbus_channel *channel = bed_channel(1);
        parameters.callback = count_call;
        parameters.context = &one;
        parameters.request_slots = slots;
        parameters.request_count = ARRAY_COUNT(slots);
        REQUIRE_OK(vmbus_open(channel, &parameters));
        REQUIRE_TRUE(host_attach(t, 3));
        EXPECT_OK(vmbus_channel_send(channel, &packet, big));
        EXPECT_OK(vmbus_channel_send(channel, &packet, big));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, vmbus_channel_send(channel, &packet, big));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, vmbus_channel_send_request(channel, &packet, big, big));
        EXPECT_EQ(channel->requests.waiting_count, 0); /* it was taken back */
        uint64_t bytes = vmbus_outgoing_bytes(&packet);
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, vmbus_channel_send_sleep(channel, bytes));
        called = 0;
        EXPECT_EQ(vmbus_receiver_read(&host.receiver, &host.from, &incoming), VMBUS_OK);
        EXPECT_TRUE(vmbus_receiver_commit(&host.receiver, &host.from)); /* it asks for a signal */
        EXPECT_OK(vmbus_channel_send(channel, &packet, big)); /* wakes by itself */
        packet.payload_bytes = 8192;
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmbus_channel_send(channel, &packet, big));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      vmbus_channel_send_sleep(channel, vmbus_outgoing_bytes(&packet)));

        struct vmbus_outgoing answer = {.kind = VMBUS_SEND_IN_BAND, .payload_bytes = 64};
        struct vmbus_range range;
        EXPECT_EQ(vmbus_sender_write(&host.sender, &host.to, &answer, &range), VMBUS_OK);
        (void)!vmbus_sender_commit(&host.sender, &host.to);
        EXPECT_STATUS(ZX_ERR_BUFFER_TOO_SMALL,
                      vmbus_channel_receive(channel, &incoming, big, 63));
        EXPECT_EQ(incoming.payload.bytes, 64);
        EXPECT_OK(vmbus_channel_receive(channel, &incoming, big, 64));
        channel->receiver.memory.control->in = 4; /* the host breaks a rule */
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                      vmbus_channel_receive(channel, &incoming, big, 64));
        EXPECT_EQ(channel->receiver.fault.reason, VMBUS_BAD_IN_ALIGNMENT);
        bed_end(t);
}

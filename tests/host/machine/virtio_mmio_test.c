/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of drivers/virtio/virtio_mmio and of kernel/irq_line under it, against registers that hold
 * the driver to the rules of Virtio 1.3, 4.2. */
#include "tests/expect.h"

#include <string.h>

#include "base/bytes.h"
#include "drivers/virtio/virtio_device.h"
#include "drivers/virtio/virtio_mmio.h"
#include "kernel/cmdline.h"
#include "tests/host/machine/scripted_machine.h"

#define BASE 0xfeb02e00ull
#define GSI 24
#define QUEUES 3
#define CONFIG_BYTES 0x40

static struct registers {
        uint32_t magic, version, type, status, interrupts, generation;
        uint32_t feature_bank, accept_bank, queue;
        uint64_t offered, accepted;
        struct {
                uint32_t max, size, ready;
                uint64_t addresses[3];
                uint32_t resets;      /* writes of 1 to its reset register */
                uint32_t reset_reads; /* so many more times that register reads 1 */
        } queues[QUEUES];
        bool loses_ready; /* a queue does not become ready */
        bool no_reset_register; /* RING_RESET is offered all the same, as QEMU 7.2 does */
        uint32_t reset_polls;   /* reads of 1 until a queue reset has ended */
        uint32_t notified; /* queue, plus 1 */
        uint32_t broken_rules;
        uint8_t config[CONFIG_BYTES];
} registers;

static struct virtio_mmio virtio;
static struct virtio_device device;

/* What lies behind the select register is touched with the lock only: other queues have threads of
 * their own. */
static void expect_lock(void)
{
        registers.broken_rules += !spinlock_is_held(&virtio.transport.queue_lock);
}

static uint32_t read_queue(uint64_t offset)
{
        expect_lock();
        if (registers.queue >= QUEUES)
                return 0;
        return offset == 0x034 ? registers.queues[registers.queue].max :
                                 registers.queues[registers.queue].ready;
}

/* Exists with RING_RESET only; "ready" is up as long as it goes on. */
static uint32_t read_queue_reset(void)
{
        uint32_t index = registers.queue;
        expect_lock();
        registers.broken_rules += !(registers.accepted & BIT_MASK(VIRTIO_F_RING_RESET)) ||
                                  index >= QUEUES;
        if (index >= QUEUES || registers.no_reset_register || registers.queues[index].resets == 0)
                return 0;
        if (registers.queues[index].reset_reads != 0) {
                registers.queues[index].reset_reads--;
                return 1;
        }
        registers.queues[index].ready = 0;
        return 0;
}

static void write_queue_reset(uint32_t value)
{
        uint32_t index = registers.queue;
        expect_lock();
        if (!(registers.accepted & BIT_MASK(VIRTIO_F_RING_RESET)) || index >= QUEUES ||
            registers.queues[index].ready != 1 || value != 1) {
                registers.broken_rules++;
                return;
        }
        registers.queues[index].resets++;
        registers.queues[index].reset_reads = registers.reset_polls;
}

static uint32_t read_register(void *context, uint64_t offset, uint8_t bytes)
{
        uint32_t value = 0;
        (void)context;
        if (offset >= 0x100) {
                memcpy(&value, registers.config + offset - 0x100, bytes);
                return value;
        }
        registers.broken_rules += bytes != 4;
        switch (offset) {
        case 0x000: return registers.magic;
        case 0x004: return registers.version;
        case 0x008: return registers.type;
        case 0x010: return registers.feature_bank < 2 ?
                                   (uint32_t)(registers.offered >> 32 * registers.feature_bank) : 0;
        case 0x034:
        case 0x044: return read_queue(offset);
        case 0x060: return registers.interrupts;
        case 0x070: return registers.status;
        case 0x0c0: return read_queue_reset();
        case 0x0fc: return registers.generation;
        default: registers.broken_rules++; return 0;
        }
}

static void write_queue(uint64_t offset, uint32_t value)
{
        uint32_t index = registers.queue;
        expect_lock();
        if (index >= QUEUES || (registers.queues[index].ready && offset != 0x044)) {
                registers.broken_rules++;
                return;
        }
        uint64_t *address = &registers.queues[index].addresses[(offset - 0x080) / 0x10 % 3];
        if (offset == 0x038)
                registers.queues[index].size = value;
        else if (offset == 0x044)
                registers.queues[index].ready = registers.loses_ready ? 0 : value;
        else if (offset % 0x10 == 0)
                *address = (*address & ~UINT64_C(0xffffffff)) | value;
        else
                *address = (*address & 0xffffffff) | (uint64_t)value << 32;
}

static void write_status(uint32_t value)
{
        registers.status = value;
        if (value != 0)
                return;
        registers.interrupts = 0;
        registers.accepted = 0;
        for (uint32_t i = 0; i < QUEUES; i++)
                registers.queues[i].ready = 0;
}

static void write_register(void *context, uint64_t offset, uint8_t bytes, uint32_t value)
{
        (void)context;
        registers.broken_rules += bytes != 4 || offset >= 0x100;
        switch (offset) {
        case 0x014: registers.feature_bank = value; break;
        case 0x020:
                registers.accepted |= (uint64_t)value << 32 * (registers.accept_bank & 1);
                break;
        case 0x024: registers.accept_bank = value; break;
        case 0x030: expect_lock(); registers.queue = value; break;
        case 0x038: case 0x044: case 0x080: case 0x084: case 0x090: case 0x094: case 0x0a0:
        case 0x0a4: write_queue(offset, value); break;
        case 0x050: registers.notified = value + 1; break;
        case 0x064: registers.interrupts &= ~value; break;
        case 0x070: write_status(value); break;
        case 0x0c0: write_queue_reset(value); break;
        default: registers.broken_rules++;
        }
}

static struct virtio_mmio_place place;

static void make_machine(void)
{
        scripted_machine_reset();
        memset(&virtio, 0, sizeof(virtio));
        registers = (struct registers){.magic = 0x74726976, .version = 2, .type = 1, .status = 7,
                                       .offered = BIT_MASK(VIRTIO_F_VERSION_1) | BIT_MASK(5)};
        registers.queues[0].max = registers.queues[1].max = 1024;
        place = (struct virtio_mmio_place){.pa = BASE, .bytes = 0x100 + CONFIG_BYTES,
                                           .line = {.gsi = GSI, .level = true}};
        scripted_machine_place(&(struct scripted_registers){
                .pa = BASE, .bytes = 0x100 + CONFIG_BYTES, .read = read_register,
                .write = write_register});
}

static void expect_no_rule_broken(struct test *t)
{
        EXPECT_EQ(registers.broken_rules, 0);
        EXPECT_EQ(scripted_machine.bad_accesses, 0);
}

static const struct virtio_wishes wishes = {.wanted = BIT_MASK(5)};

/* Up to the point where queues can be made live. */
static void bring_up(struct test *t)
{
        make_machine();
        REQUIRE_OK(virtio_mmio_open(&virtio, &place));
        virtio_device_init(&device, &virtio.transport);
        REQUIRE_OK(virtio_device_reset(&device));
        REQUIRE_OK(virtio_device_negotiate(&device, &wishes));
}

TEST(virtio_mmio, handshake_and_queues)
{
        bring_up(t);
        uint32_t size = 0;
        EXPECT_EQ(registers.accepted, registers.offered);
        EXPECT_EQ(virtio.transport.device_type, 1);
        EXPECT_EQ(virtio.transport.config_bytes, CONFIG_BYTES);
        EXPECT_STR_EQ(virtio.transport.place, "0xfeb02e00");
        REQUIRE_OK(virtio_device_queue_size(&device, 1, 256, &size));
        EXPECT_EQ(size, 256);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, virtio_device_queue_size(&device, 2, 256, &size));
        struct virtio_queue_setup setup = {.size = 256, .descriptors_dev = 0x123456789000,
                                           .driver_dev = 0xaabbccdd1000, .device_dev = 0x2000};
        REQUIRE_OK(virtio_device_queue_enable(&device, 1, &setup));
        EXPECT_EQ(registers.queues[1].size, 256);
        EXPECT_EQ(registers.queues[1].addresses[0], 0x123456789000);
        EXPECT_EQ(registers.queues[1].addresses[1], 0xaabbccdd1000);
        EXPECT_EQ(registers.queues[1].addresses[2], 0x2000);
        EXPECT_EQ(registers.queues[1].ready, 1);
        EXPECT_EQ(registers.queues[0].ready, 0);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, virtio_device_queue_enable(&device, 1, &setup));
        REQUIRE_OK(virtio_device_start(&device));
        virtio.transport.ops->notify(&virtio.transport, 1);
        EXPECT_EQ(registers.notified, 2);
        REQUIRE_OK(virtio_device_reset(&device));
        EXPECT_EQ(registers.status, 0);
        expect_no_rule_broken(t);
}

TEST(virtio_mmio, queue_that_does_not_become_ready)
{
        bring_up(t);
        struct virtio_queue_setup setup = {.size = 64};
        registers.loses_ready = true;
        EXPECT_STATUS(ZX_ERR_IO, virtio_device_queue_enable(&device, 0, &setup));
        expect_no_rule_broken(t);
}

/* ---- queue reset ---- */

static const struct virtio_wishes reset_wishes = {.wanted = BIT_MASK(5) |
                                                            BIT_MASK(VIRTIO_F_RING_RESET)};
static const struct virtio_queue_setup reset_setup = {
        .size = 128, .descriptors_dev = 0x5000, .driver_dev = 0x6000, .device_dev = 0x7000};

/* A device that offers RING_RESET, up to the point where queues can be made live. */
static void bring_up_with_reset(struct test *t)
{
        make_machine();
        registers.offered |= BIT_MASK(VIRTIO_F_RING_RESET);
        EXPECT_OK(virtio_mmio_open(&virtio, &place));
        EXPECT_TRUE(virtio.transport.resets_queues);
        virtio_device_init(&device, &virtio.transport);
        EXPECT_OK(virtio_device_reset(&device));
        EXPECT_OK(virtio_device_negotiate(&device, &reset_wishes));
        REQUIRE_TRUE(virtio_device_has(&device, VIRTIO_F_RING_RESET));
}

TEST(virtio_mmio, queue_is_reset_and_made_live_again)
{
        bring_up_with_reset(t);
        registers.reset_polls = 3;
        REQUIRE_OK(virtio_device_queue_enable(&device, 1, &reset_setup));
        EXPECT_EQ(registers.queues[1].resets, 1); /* the device has shown that it can */
        EXPECT_EQ(registers.queues[1].ready, 1);
        EXPECT_EQ(registers.queues[1].addresses[2], 0x7000);
        REQUIRE_OK(virtio_device_queue_enable(&device, 0, &reset_setup));
        EXPECT_EQ(registers.queues[0].resets, 0); /* once is enough */
        REQUIRE_OK(virtio_device_start(&device));
        registers.queue = 0;
        uint64_t before_ns = scripted_machine.clock_ns;
        REQUIRE_OK(virtio_device_queue_reset(&device, 1));
        EXPECT_GT(scripted_machine.clock_ns, before_ns); /* it waited between its looks */
        EXPECT_EQ(registers.queues[1].resets, 2);
        EXPECT_EQ(registers.queues[1].ready, 0);
        EXPECT_EQ(registers.queues[0].ready, 1);
        struct virtio_queue_setup other = {.size = 32, .descriptors_dev = 0x8000};
        REQUIRE_OK(virtio_device_queue_enable(&device, 1, &other));
        EXPECT_EQ(registers.queues[1].size, 32);
        EXPECT_EQ(registers.queues[1].addresses[0], 0x8000);
        EXPECT_EQ(registers.queues[1].ready, 1);
        EXPECT_EQ(registers.queues[1].resets, 2);
        REQUIRE_OK(virtio_device_reset(&device)); /* the proof holds in its next life, too */
        REQUIRE_OK(virtio_device_negotiate(&device, &reset_wishes));
        REQUIRE_OK(virtio_device_queue_enable(&device, 0, &reset_setup));
        EXPECT_EQ(registers.queues[0].resets, 0);
        expect_no_rule_broken(t);
}

/* Offered, and not there: found out by the first queue, and not asked for again. */
TEST(virtio_mmio, queue_reset_that_is_only_offered)
{
        for (uint32_t never_ends = 0; never_ends < 2; never_ends++) {
                bring_up_with_reset(t);
                registers.no_reset_register = !never_ends;
                registers.reset_polls = UINT32_MAX;
                EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED,
                              virtio_device_queue_enable(&device, 1, &reset_setup));
                EXPECT_FALSE(virtio.transport.resets_queues);
                EXPECT_EQ(scripted_machine.clock_ns >= VIRTIO_RESET_LIMIT_NS, never_ends);
                REQUIRE_OK(virtio_device_reset(&device));
                REQUIRE_OK(virtio_device_negotiate(&device, &wishes));
                REQUIRE_OK(virtio_device_queue_enable(&device, 1, &reset_setup));
                EXPECT_EQ(registers.queues[1].resets, 1);
                EXPECT_EQ(registers.queues[1].ready, 1);
                expect_no_rule_broken(t);
        }
}

/* While a thread waits for the end of its queue's reset, that of another
 * queue resets and revives its own. */
static void reset_the_other_queue(void)
{
        scripted_machine.on_sleep = NULL; /* one such thread */
        registers.reset_polls = 0;
        registers.broken_rules += virtio_device_queue_reset(&device, 0) != ZX_OK;
        registers.broken_rules += virtio_device_queue_enable(&device, 0, &reset_setup) != ZX_OK;
}

TEST(virtio_mmio, queues_are_reset_by_two_threads)
{
        bring_up_with_reset(t);
        REQUIRE_OK(virtio_device_queue_enable(&device, 1, &reset_setup));
        REQUIRE_OK(virtio_device_queue_enable(&device, 0, &reset_setup));
        REQUIRE_OK(virtio_device_start(&device));
        registers.reset_polls = 5;
        scripted_machine.on_sleep = reset_the_other_queue;
        EXPECT_OK(virtio_device_queue_reset(&device, 1));
        EXPECT_EQ(registers.queues[1].reset_reads, 0);
        EXPECT_EQ(registers.queues[1].ready, 0);
        EXPECT_EQ(registers.queues[0].ready, 1);
        EXPECT_EQ(registers.queues[0].resets, 1);
        expect_no_rule_broken(t);
}

/* A device that has once reset a queue and no longer does. */
TEST(virtio_mmio, queue_reset_that_fails)
{
        for (uint32_t never_ends = 0; never_ends < 2; never_ends++) {
                bring_up_with_reset(t);
                REQUIRE_OK(virtio_device_queue_enable(&device, 1, &reset_setup));
                REQUIRE_OK(virtio_device_start(&device));
                registers.no_reset_register = !never_ends;
                registers.reset_polls = UINT32_MAX;
                uint64_t before_ns = scripted_machine.clock_ns;
                EXPECT_STATUS(never_ends ? ZX_ERR_TIMED_OUT : ZX_ERR_IO,
                              virtio_device_queue_reset(&device, 1));
                EXPECT_LE(scripted_machine.clock_ns - before_ns, 2 * VIRTIO_RESET_LIMIT_NS);
                EXPECT_EQ(registers.queues[1].ready, 1);
                expect_no_rule_broken(t);
        }
}

TEST(virtio_mmio, configuration_in_its_own_widths)
{
        bring_up(t);
        uint8_t bytes[6];
        uint16_t half;
        uint32_t word;
        for (uint32_t i = 0; i < CONFIG_BYTES; i++)
                registers.config[i] = (uint8_t)i;
        REQUIRE_OK(virtio_device_config_read(&device, 0, bytes, 6, 1));
        EXPECT_EQ(bytes[5], 5);
        REQUIRE_OK(virtio_device_config_read(&device, 6, &half, 2, 2));
        EXPECT_EQ(half, 0x0706);
        REQUIRE_OK(virtio_device_config_read(&device, CONFIG_BYTES - 4, &word, 4, 4));
        EXPECT_EQ(word, 0x3f3e3d3c);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      virtio_device_config_read(&device, CONFIG_BYTES, &word, 4, 4));
        registers.generation = UINT32_MAX; /* all 32 bits count */
        REQUIRE_OK(virtio_device_config_read(&device, 0, &word, 4, 4));
        EXPECT_EQ(virtio.transport.ops->config_generation(&virtio.transport), UINT32_MAX);
        expect_no_rule_broken(t);
}

/* ---- what is no such device ---- */

TEST(virtio_mmio, registers_that_are_none)
{
        make_machine();
        registers.type = 0;
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, virtio_mmio_open(&virtio, &place));
        registers.type = 1;
        registers.version = 1;
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, virtio_mmio_open(&virtio, &place));
        EXPECT_EQ(virtio.version, 1);
        registers.version = 3;
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, virtio_mmio_open(&virtio, &place));
        EXPECT_EQ(virtio.version, 3);
        registers.magic = 0x76697274;
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtio_mmio_open(&virtio, &place));
        registers.magic = UINT32_MAX;
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtio_mmio_open(&virtio, &place));
        place.bytes = 0x100;
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtio_mmio_open(&virtio, &place));
        place.bytes = 0x200;
        scripted_machine.mapping_refused = true;
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, virtio_mmio_open(&virtio, &place));
        EXPECT_EQ(registers.status, 7); /* nothing was touched */
        expect_no_rule_broken(t);
}

/* ---- interrupts ---- */

static struct {
        uint32_t calls, sources;
        uint32_t raise_again; /* so many calls find the next interrupt raised behind them */
} seen;

static void on_sources(void *context, uint32_t sources)
{
        (void)context;
        seen.calls++;
        seen.sources |= sources;
        if (seen.raise_again != 0) {
                seen.raise_again--;
                registers.interrupts |= 2;
        }
}

static void open_interrupts(struct test *t, bool level)
{
        make_machine();
        memset(&seen, 0, sizeof(seen));
        place.line.level = level;
        REQUIRE_OK(virtio_mmio_open(&virtio, &place));
        EXPECT_EQ(virtio.transport.ops->interrupts_open(&virtio.transport, 2, on_sources, NULL),
                  VIRTIO_INTERRUPTS_LINE);
        EXPECT_EQ(scripted_machine.lines_open, 1);
}

TEST(virtio_mmio, interrupts_are_told_apart_and_acknowledged)
{
        open_interrupts(t, true);
        registers.interrupts = 1;
        EXPECT_TRUE(scripted_machine_raise(GSI));
        EXPECT_EQ(seen.sources, 3); /* both queues, nothing else */
        EXPECT_EQ(registers.interrupts, 0);
        registers.interrupts = 2;
        EXPECT_TRUE(scripted_machine_raise(GSI));
        EXPECT_EQ(seen.sources, 3 | VIRTIO_SOURCE_CONFIG);
        EXPECT_EQ(seen.calls, 2);
        EXPECT_TRUE(scripted_machine_raise(GSI)); /* for nothing */
        EXPECT_EQ(seen.calls, 2);
        registers.interrupts = 0xfffffffc; /* reserved bits mean nothing */
        EXPECT_TRUE(scripted_machine_raise(GSI));
        EXPECT_EQ(seen.calls, 2);
        virtio.transport.ops->interrupts_close(&virtio.transport);
        EXPECT_FALSE(scripted_machine_raise(GSI));
        EXPECT_EQ(scripted_machine.lines_open, 0);
        expect_no_rule_broken(t);
}

/* An edge that is raised while its line is still up is seen by nobody: the status says it. */
TEST(virtio_mmio, edge_is_served_until_it_is_silent)
{
        open_interrupts(t, false);
        registers.interrupts = 1;
        seen.raise_again = 5;
        EXPECT_TRUE(scripted_machine_raise(GSI));
        EXPECT_EQ(seen.calls, 6);
        EXPECT_EQ(registers.interrupts, 0);
        registers.interrupts = 1; /* one that never ends costs a bounded time */
        seen.raise_again = UINT32_MAX;
        EXPECT_TRUE(scripted_machine_raise(GSI));
        EXPECT_EQ(seen.calls, 6 + IRQ_LINE_PASSES_MAX);
        virtio.transport.ops->interrupts_close(&virtio.transport);
}

TEST(virtio_mmio, no_line_means_polling)
{
        make_machine();
        scripted_machine.lines_refused = true;
        REQUIRE_OK(virtio_mmio_open(&virtio, &place));
        EXPECT_EQ(virtio.transport.ops->interrupts_open(&virtio.transport, 2, on_sources, NULL),
                  VIRTIO_INTERRUPTS_NONE);
        virtio.transport.ops->interrupts_mask(&virtio.transport);
        virtio.transport.ops->interrupts_close(&virtio.transport);
}

/* ---- lines ---- */

static struct sharer {
        struct irq_line_user user;
        uint32_t pending, calls;
} sharers[3];

static bool serve_sharer(void *context)
{
        struct sharer *sharer = context;
        sharer->calls++;
        if (sharer->pending == 0)
                return false;
        sharer->pending--;
        return true;
}

static void make_sharers(void)
{
        scripted_machine_reset();
        memset(sharers, 0, sizeof(sharers));
        for (size_t i = 0; i < ARRAY_COUNT(sharers); i++)
                sharers[i].user = (struct irq_line_user){
                        .handler = serve_sharer, .context = &sharers[i], .name = "sharer"};
}

TEST(irq_line, sharers_of_a_level)
{
        struct irq_line line = {.gsi = 10, .level = true}, edge = {.gsi = 10};
        make_sharers();
        REQUIRE_OK(irq_line_connect(&sharers[0].user, &line));
        REQUIRE_OK(irq_line_connect(&sharers[1].user, &line));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, irq_line_connect(&sharers[2].user, &edge));
        EXPECT_EQ(scripted_machine.lines_open, 1);
        sharers[1].pending = 1;
        EXPECT_TRUE(scripted_machine_raise(10));
        EXPECT_EQ(sharers[0].calls, 1);
        EXPECT_EQ(sharers[1].pending, 0);
        irq_line_mask(&sharers[0].user);
        EXPECT_TRUE(scripted_machine_raise(10));
        EXPECT_EQ(sharers[0].calls, 1);
        EXPECT_EQ(sharers[1].calls, 2);
        irq_line_mask(&sharers[1].user);
        EXPECT_FALSE(scripted_machine_raise(10)); /* nobody is left to be interrupted for */
        irq_line_disconnect(&sharers[0].user);
        EXPECT_EQ(scripted_machine.lines_open, 1);
        irq_line_disconnect(&sharers[1].user);
        irq_line_disconnect(&sharers[1].user); /* again is nothing */
        EXPECT_EQ(scripted_machine.lines_open, 0);
        REQUIRE_OK(irq_line_connect(&sharers[2].user, &edge));
        EXPECT_TRUE(scripted_machine_raise(10));
        irq_line_disconnect(&sharers[2].user);
}

TEST(irq_line, line_that_nobody_claims_is_masked)
{
        struct irq_line line = {.gsi = 11, .level = true};
        make_sharers();
        REQUIRE_OK(irq_line_connect(&sharers[0].user, &line));
        for (uint32_t i = 1; i < IRQ_LINE_UNCLAIMED_MAX; i++)
                EXPECT_TRUE(scripted_machine_raise(11));
        sharers[0].pending = 1; /* one that is claimed makes good for all */
        EXPECT_TRUE(scripted_machine_raise(11));
        for (uint32_t i = 0; i < IRQ_LINE_UNCLAIMED_MAX; i++)
                EXPECT_TRUE(scripted_machine_raise(11));
        EXPECT_FALSE(scripted_machine_raise(11));
        EXPECT_STR_EQ(scripted_machine.log,
                      "irq: line 11 interrupts without end and no device claims it; masked\n");
        irq_line_disconnect(&sharers[0].user);
}

TEST(irq_line, no_more_lines_than_there_is_room)
{
        static struct sharer many[IRQ_LINES_MAX + 1];
        make_sharers();
        for (uint32_t i = 0; i <= IRQ_LINES_MAX; i++) {
                struct irq_line line = {.gsi = i};
                many[i].user = (struct irq_line_user){
                        .handler = serve_sharer, .context = &many[i], .name = "many"};
                EXPECT_STATUS(i < IRQ_LINES_MAX ? ZX_OK : ZX_ERR_NO_RESOURCES,
                              irq_line_connect(&many[i].user, &line));
        }
        for (uint32_t i = 0; i < IRQ_LINES_MAX; i++)
                irq_line_disconnect(&many[i].user);
        EXPECT_EQ(scripted_machine.lines_open, 0);
        scripted_machine.lines_refused = true;
        struct irq_line line = {.gsi = 5};
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, irq_line_connect(&sharers[0].user, &line));
        irq_line_disconnect(&sharers[0].user);
}

TEST(irq_line, isa_lines_follow_the_overrides)
{
        scripted_machine_reset();
        scripted_machine.acpi.irq.override_count = 2;
        scripted_machine.acpi.irq.overrides[0].gsi = 2;
        scripted_machine.acpi.irq.overrides[1].isa_irq = 10;
        scripted_machine.acpi.irq.overrides[1].gsi = 20;
        scripted_machine.acpi.irq.overrides[1].mps_flags = 0xf; /* level, low */
        EXPECT_EQ(irq_line_of_isa(0).gsi, 2);
        EXPECT_FALSE(irq_line_of_isa(0).level);
        EXPECT_EQ(irq_line_of_isa(5).gsi, 5);
        EXPECT_FALSE(irq_line_of_isa(5).level || irq_line_of_isa(5).active_low);
        EXPECT_EQ(irq_line_of_isa(10).gsi, 20);
        EXPECT_TRUE(irq_line_of_isa(10).level && irq_line_of_isa(10).active_low);
}

/* ---- words ---- */

static bool take(const char *value, const char *complaint)
{
        const char *wrong = virtio_mmio_take_place(value, strlen(value));
        return complaint == NULL
                       ? wrong == NULL
                       : wrong != NULL && strncmp(wrong, complaint, strlen(complaint)) == 0;
}

/* Words are for the whole boot: what is taken here stays. */
TEST(virtio_mmio, places_by_words)
{
        scripted_machine_reset();
        struct acpi_aml_virtio_mmio by_acpi = {.pa = 0xfeb00000, .bytes = 512, .gsi = 40,
                                               .level = true};
        scripted_machine.acpi.virtio_mmio = &by_acpi;
        scripted_machine.acpi.virtio_mmio_count = 1;
        REQUIRE_EQ(virtio_mmio_place_count(), 1);
        EXPECT_TRUE(take("", "SIZE is no number"));
        EXPECT_TRUE(take("4K", "BASE is missing"));
        EXPECT_TRUE(take("4K@", "BASE is no number"));
        EXPECT_TRUE(take("4K@0x1000", "IRQ is missing"));
        EXPECT_TRUE(take("4K:5", "SIZE is no number"));
        EXPECT_TRUE(take("4K@0x1000:", "IRQ is no number"));
        EXPECT_TRUE(take("4K@0x1000:5:", "ID is no number"));
        EXPECT_TRUE(take("4K@0x1000:5:1:2", "ID is no number"));
        EXPECT_TRUE(take("4K@0x1000:5x", "IRQ is no number"));
        EXPECT_TRUE(take("-1@0x1000:5", "SIZE is no number"));
        EXPECT_TRUE(take("0x100@0x1000:5", "SIZE must be"));
        EXPECT_TRUE(take("4K@0:5", "no registers can lie there"));
        EXPECT_TRUE(take("4K@0x1002:5", "no registers can lie there"));
        EXPECT_TRUE(take("4K@0xfffffffffffff004:5", "no registers can lie there"));
        EXPECT_TRUE(take("4K@0x1000:0xffffffff", "no machine has such an IRQ"));
        EXPECT_EQ(virtio_mmio_place_count(), 1);
        EXPECT_TRUE(take("512@0xfeb00e00:12", NULL));
        EXPECT_TRUE(take("4K@0xd0000000:30:7", NULL));
        REQUIRE_EQ(virtio_mmio_place_count(), 3);
        EXPECT_EQ(virtio_mmio_place_at(0).line.gsi, 40);
        EXPECT_TRUE(virtio_mmio_place_at(0).line.level);
        EXPECT_EQ(virtio_mmio_place_at(1).pa, 0xfeb00e00);
        EXPECT_EQ(virtio_mmio_place_at(1).bytes, 512);
        EXPECT_EQ(virtio_mmio_place_at(1).line.gsi, 12);
        EXPECT_FALSE(virtio_mmio_place_at(1).line.level);
        EXPECT_EQ(virtio_mmio_place_at(2).bytes, 4096);
        EXPECT_EQ(virtio_mmio_place_at(2).line.gsi, 30);
        scripted_machine.acpi.irq.override_count = 1; /* ISA's lines may be wired elsewhere */
        scripted_machine.acpi.irq.overrides[0].isa_irq = 12;
        scripted_machine.acpi.irq.overrides[0].gsi = 30;
        EXPECT_EQ(virtio_mmio_place_at(1).line.gsi, 30);
        EXPECT_EQ(virtio_mmio_place_at(2).line.gsi, 30);
        scripted_machine.acpi.irq.overrides[0].isa_irq = 30;
        scripted_machine.acpi.irq.overrides[0].gsi = 5;
        EXPECT_EQ(virtio_mmio_place_at(2).line.gsi, 30); /* which is none of them */
        for (uint32_t i = 2; i < VIRTIO_MMIO_PLACES_MAX; i++)
                EXPECT_TRUE(take("1M@1M:6", NULL));
        EXPECT_TRUE(take("1M@1M:6", "there is no room"));
}

TEST(virtio_mmio, words_on_the_command_line)
{
        scripted_machine_reset();
        EXPECT_EQ(cmdline_parse("virtio_mmio.device=4K@:5 virtio_mmio.device"), 2);
        EXPECT_STR_EQ(scripted_machine.log,
                      "cmdline: 'virtio_mmio.device=4K@:5': BASE is no number; expected "
                      "SIZE@BASE:IRQ[:ID], such as 4K@0xd0000000:5\n"
                      "cmdline: 'virtio_mmio.device=': SIZE is no number; expected "
                      "SIZE@BASE:IRQ[:ID], such as 4K@0xd0000000:5\n");
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of drivers/virtio/virtio_pci on a function that answers: mapped and through the
 * window, with vectors, with a line and with neither. Each register is held to its
 * width (Virtio 1.3, 4.1.4.3). */
#include "tests/expect.h"

#include <string.h>

#include "base/bytes.h"
#include "drivers/pci/pci.h"
#include "drivers/virtio/virtio_device.h"
#include "drivers/virtio/virtio_pci.h"
#include "tests/host/machine/scripted_machine.h"

#define BAR_TABLE 1 /* MSI-X */
#define BAR_REGISTERS 4
#define TABLE_PA 0xfeb00000ull
#define REGISTERS_PA 0xe000000000ull /* where OVMF puts it */
#define BAR_BYTES 0x4000u
#define CAPABILITY_WINDOW 0x84
#define CAPABILITY_MSIX 0x98
#define VECTORS 4
#define QUEUES 3
#define COMMON 0x0000u
#define ISR 0x1000u
#define CONFIG 0x2000u
#define NOTIFY 0x3000u

static struct function {
        struct pci_device device;
        uint8_t space[256];
        uint32_t bar_values[PCI_BARS_MAX];
        /* the device behind it */
        uint32_t bank, accept_bank, table[VECTORS * 4];
        uint64_t offered, accepted;
        uint16_t config_vector, queue, vectors_taken;
        struct {
                uint16_t size, vector, enabled, resetting;
                uint32_t addresses[6];
        } queues[QUEUES];
        uint8_t status, isr, config[64];
        uint16_t notified; /* plus 1 */
        bool keeps_its_size; /* of queues, whatever is written */
        uint16_t reset_polls; /* reads of 1 until a queue reset has ended */
        uint32_t window_accesses, broken_rules;
} function;

static struct virtio_pci virtio;
static struct virtio_device device;

/* What lies behind the select register is touched with the lock only: other queues have threads of
 * their own. */
static void expect_lock(uint32_t offset)
{
        function.broken_rules += offset >= 0x16 && !spinlock_is_held(&virtio.transport.queue_lock);
}

/* Reads 1 while it goes on, and the queue is enabled until its end. */
static uint32_t read_reset(void)
{
        typeof(function.queues[0]) *queue = &function.queues[function.queue % QUEUES];
        if (queue->resetting > 1) {
                queue->resetting--;
                return 1;
        }
        if (queue->resetting == 1)
                queue->enabled = queue->resetting = 0;
        return 0;
}

static uint32_t width_of(uint32_t offset)
{
        return offset < 0x10 || offset >= 0x20 ? (offset >= 0x38 ? 2 : 4) :
               offset == 0x14 || offset == 0x15 ? 1 : 2;
}

static uint32_t read_common(uint32_t offset)
{
        typeof(function.queues[0]) *queue = &function.queues[function.queue % QUEUES];
        expect_lock(offset);
        switch (offset) {
        case 0x04: return (uint32_t)(function.offered >> 32 * (function.bank & 1));
        case 0x10: return function.config_vector;
        case 0x12: return QUEUES;
        case 0x14: return function.status;
        case 0x15: return 0;
        case 0x18: return queue->size;
        case 0x1a: return queue->vector;
        case 0x1c: return queue->enabled;
        case 0x1e: return function.queue;
        case 0x3a: return read_reset();
        default: function.broken_rules++; return 0;
        }
}

/* A device takes as many vectors as it has room for. */
static uint16_t take_vector(uint32_t vector)
{
        return vector < function.vectors_taken ? (uint16_t)vector : 0xffff;
}

static void write_common(uint32_t offset, uint32_t value)
{
        typeof(function.queues[0]) *queue = &function.queues[function.queue % QUEUES];
        expect_lock(offset);
        switch (offset) {
        case 0x00: function.bank = value; break;
        case 0x08: function.accept_bank = value; break;
        case 0x0c: function.accepted |= (uint64_t)value << 32 * (function.accept_bank & 1); break;
        case 0x10: function.config_vector = take_vector(value); break;
        case 0x14: function.status = (uint8_t)value; break;
        case 0x16: function.queue = (uint16_t)value; break;
        case 0x18: queue->size = function.keeps_its_size ? queue->size : (uint16_t)value; break;
        case 0x1a: queue->vector = take_vector(value); break;
        case 0x1c:
                function.broken_rules += value != 1;
                queue->enabled = (uint16_t)value;
                break;
        case 0x3a: queue->resetting = (uint16_t)(1 + function.reset_polls); break;
        default:
                function.broken_rules += offset < 0x20 || offset >= 0x38 || queue->enabled;
                queue->addresses[(offset - 0x20) / 4 % 6] = value;
        }
}

static uint32_t read_bar(void *context, uint64_t offset, uint8_t bytes)
{
        uint32_t value = 0;
        (void)context;
        if (offset >= NOTIFY) {
                function.broken_rules++;
        } else if (offset >= CONFIG) {
                memcpy(&value, function.config + offset % 64, bytes);
        } else if (offset == ISR) {
                function.broken_rules += bytes != 1;
                value = function.isr;
                function.isr = 0;
        } else {
                function.broken_rules += bytes != width_of((uint32_t)offset);
                value = read_common((uint32_t)offset);
        }
        return value;
}

static void write_bar(void *context, uint64_t offset, uint8_t bytes, uint32_t value)
{
        (void)context;
        if (offset >= NOTIFY) {
                function.broken_rules += bytes != 2 || offset != NOTIFY + 4 * value;
                function.notified = (uint16_t)(value + 1);
        } else {
                function.broken_rules += bytes != width_of((uint32_t)offset);
                write_common((uint32_t)offset, value);
        }
}

static uint32_t read_table(void *context, uint64_t offset, uint8_t bytes)
{
        (void)context;
        function.broken_rules += bytes != 4;
        return function.table[offset / 4 % (VECTORS * 4)];
}

static void write_table(void *context, uint64_t offset, uint8_t bytes, uint32_t value)
{
        (void)context;
        function.broken_rules += bytes != 4;
        function.table[offset / 4 % (VECTORS * 4)] = value;
}

/* ---- configuration space ---- */

/* The window's data register: an access to the BAR that its other registers name. */
static bool window_hit(uint16_t offset, uint8_t bytes, uint64_t *bar_offset)
{
        uint32_t length, start;
        if (offset < CAPABILITY_WINDOW + 16 || offset >= CAPABILITY_WINDOW + 20)
                return false;
        memcpy(&start, function.space + CAPABILITY_WINDOW + 8, 4);
        memcpy(&length, function.space + CAPABILITY_WINDOW + 12, 4);
        function.window_accesses++;
        function.broken_rules += length != bytes || start % bytes != 0 || start >= BAR_BYTES ||
                                 function.space[CAPABILITY_WINDOW + 4] != BAR_REGISTERS;
        *bar_offset = start;
        return true;
}

static uint32_t read_space(const struct pci_device *pci, uint16_t offset, uint8_t bytes)
{
        uint32_t value = 0;
        uint64_t at;
        (void)pci;
        if (window_hit(offset, bytes, &at))
                return read_bar(NULL, at, bytes);
        memcpy(&value, function.space + offset, bytes);
        return value;
}

static void write_space(const struct pci_device *pci, uint16_t offset, uint8_t bytes,
                        uint32_t value)
{
        static const uint32_t masks[PCI_BARS_MAX] = {
                [BAR_TABLE] = 0xfffff000, [BAR_REGISTERS] = ~(BAR_BYTES - 1),
                [BAR_REGISTERS + 1] = UINT32_MAX};
        uint64_t at;
        (void)pci;
        if (window_hit(offset, bytes, &at)) {
                write_bar(NULL, at, bytes, value);
                return;
        }
        if (offset >= 0x10 && offset < 0x28) {
                uint32_t before, mask = masks[(offset - 0x10) / 4];
                memcpy(&before, function.space + offset, 4);
                value = (value & mask) | (before & ~mask);
        }
        memcpy(function.space + offset, &value, bytes);
}

static const struct pci_config_ops space_ops = {
        .read = read_space, .write = write_space, .name = "script"};

static void put_bytes(uint8_t offset, uint32_t value, uint8_t bytes)
{
        memcpy(function.space + offset, &value, bytes);
}

static void put_capability(uint8_t at, uint8_t next, uint8_t type, uint32_t offset)
{
        put_bytes(at, 0x09, 1);
        put_bytes(at + 1, next, 1);
        put_bytes(at + 2, 20, 1);
        put_bytes(at + 3, type, 1);
        put_bytes(at + 4, BAR_REGISTERS, 1);
        put_bytes(at + 8, offset, 4);
        put_bytes(at + 12, type == 3 ? 1 : type == 4 ? 64 : 0x1000, 4);
        put_bytes(at + 16, type == 2 ? 4 : 0, 4);
}

/* A function as QEMU has it. */
static void make_function(uint64_t registers_pa)
{
        scripted_machine_reset();
        memset(&function, 0, sizeof(function));
        memset(&virtio, 0, sizeof(virtio));
        put_bytes(0x00, 0x10411af4, 4);
        put_bytes(0x06, 0x10, 2);
        put_bytes(0x10 + 4 * BAR_TABLE, TABLE_PA, 4);
        put_bytes(0x10 + 4 * BAR_REGISTERS, (uint32_t)registers_pa | 0xc, 4);
        put_bytes(0x14 + 4 * BAR_REGISTERS, (uint32_t)(registers_pa >> 32), 4);
        put_bytes(0x34, CAPABILITY_MSIX, 1);
        put_bytes(0x3c, 11, 1);
        put_bytes(0x3d, 1, 1);
        put_bytes(CAPABILITY_MSIX, 0x11 | CAPABILITY_WINDOW << 8 | (VECTORS - 1) << 16, 4);
        put_bytes(CAPABILITY_MSIX + 4, BAR_TABLE, 4);
        put_capability(CAPABILITY_WINDOW, 0x70, 5, 0);
        put_capability(0x70, 0x5c, 2, NOTIFY);
        put_capability(0x5c, 0x48, 4, CONFIG);
        put_capability(0x48, 0xb0, 3, ISR);
        put_capability(0xb0, 0, 1, COMMON);
        function.offered = BIT_MASK(VIRTIO_F_VERSION_1) | BIT_MASK(VIRTIO_F_RING_RESET);
        function.vectors_taken = VECTORS;
        for (uint32_t i = 0; i < QUEUES; i++)
                function.queues[i].size = 256;
        function.device = (struct pci_device){.config = &space_ops, .bus = 3, .device = 4};
        scripted_machine_place(&(struct scripted_registers){
                .pa = registers_pa, .bytes = BAR_BYTES, .read = read_bar, .write = write_bar});
        scripted_machine_place(&(struct scripted_registers){
                .pa = TABLE_PA, .bytes = 0x1000, .read = read_table, .write = write_table});
}

static struct {
        uint32_t calls, sources;
} seen;

static void on_sources(void *context, uint32_t sources)
{
        (void)context;
        seen.calls++;
        seen.sources |= sources;
}

static const struct virtio_wishes wishes = {.wanted = BIT_MASK(VIRTIO_F_RING_RESET)};

/* From the probe to a live device with two queues. */
static void bring_up(struct test *t, enum virtio_interrupt_mode expected)
{
        const struct virtio_transport_ops *ops;
        memset(&seen, 0, sizeof(seen));
        REQUIRE_OK(pci_probe(&function.device));
        REQUIRE_OK(virtio_pci_open(&virtio, &function.device));
        ops = virtio.transport.ops;
        virtio_device_init(&device, &virtio.transport);
        REQUIRE_OK(virtio_device_reset(&device));
        REQUIRE_OK(virtio_device_negotiate(&device, &wishes));
        EXPECT_EQ(ops->interrupts_open(&virtio.transport, 2, on_sources, NULL), expected);
        for (uint16_t queue = 0; queue < 2; queue++) {
                struct virtio_queue_setup setup = {
                        .size = 64, .descriptors_dev = 0x1122334455667000,
                        .driver_dev = 0x2000, .device_dev = 0x3000};
                uint32_t size;
                REQUIRE_OK(virtio_device_queue_size(&device, queue, 64, &size));
                REQUIRE_OK(virtio_device_queue_enable(&device, queue, &setup));
                EXPECT_EQ(function.queues[queue].addresses[0], 0x55667000u);
                EXPECT_EQ(function.queues[queue].addresses[1], 0x11223344u);
                EXPECT_EQ(function.queues[queue].size, 64);
        }
        ops->interrupts_start(&virtio.transport);
        REQUIRE_OK(virtio_device_start(&device));
        ops->notify(&virtio.transport, 1);
        EXPECT_EQ(function.notified, 2);
        REQUIRE_OK(virtio_device_queue_reset(&device, 1));
}

static void bring_down(struct test *t)
{
        REQUIRE_OK(virtio_device_reset(&device));
        virtio.transport.ops->interrupts_close(&virtio.transport);
        EXPECT_EQ(scripted_machine.messages_open, 0);
        EXPECT_EQ(scripted_machine.lines_open, 0);
        EXPECT_EQ(function.broken_rules, 0);
        EXPECT_EQ(scripted_machine.bad_accesses, 0);
}

static bool signal_entry(uint32_t entry)
{
        return (function.table[4 * entry + 3] & 1) == 0 &&
               scripted_machine_signal(function.table[4 * entry], function.table[4 * entry + 2]);
}

TEST(virtio_pci_life, vector_for_each_queue_above_4_gib)
{
        make_function(REGISTERS_PA);
        bring_up(t, VIRTIO_INTERRUPTS_PER_QUEUE);
        EXPECT_EQ(function.window_accesses, 0);
        EXPECT_EQ(function.config_vector, 0);
        EXPECT_EQ(function.queues[0].vector, 1);
        EXPECT_EQ(function.queues[1].vector, 2);
        EXPECT_TRUE(signal_entry(2));
        EXPECT_EQ(seen.sources, VIRTIO_SOURCE_QUEUE(1));
        EXPECT_TRUE(signal_entry(0));
        EXPECT_EQ(seen.sources, VIRTIO_SOURCE_QUEUE(1) | VIRTIO_SOURCE_CONFIG);
        EXPECT_EQ(function.space[5] & 4, 4); /* the line is off */
        virtio.transport.ops->interrupts_mask(&virtio.transport);
        EXPECT_FALSE(signal_entry(1));
        bring_down(t);
}

/* While a thread waits for the end of its queue's reset, that of another
 * queue resets and revives its own. */
static const struct virtio_queue_setup small_setup = {.size = 32, .descriptors_dev = 0x4000};

static void reset_the_other_queue(void)
{
        scripted_machine.on_sleep = NULL; /* one such thread */
        function.reset_polls = 0;
        function.broken_rules += virtio_device_queue_reset(&device, 0) != ZX_OK;
        function.broken_rules += virtio_device_queue_enable(&device, 0, &small_setup) != ZX_OK;
}

TEST(virtio_pci_life, queues_are_reset_by_two_threads)
{
        make_function(REGISTERS_PA);
        bring_up(t, VIRTIO_INTERRUPTS_PER_QUEUE);
        REQUIRE_OK(virtio_device_queue_enable(&device, 1, &small_setup));
        function.reset_polls = 5;
        scripted_machine.on_sleep = reset_the_other_queue;
        EXPECT_OK(virtio_device_queue_reset(&device, 1));
        EXPECT_EQ(function.queues[1].enabled, 0);
        EXPECT_EQ(function.queues[1].resetting, 0);
        EXPECT_EQ(function.queues[0].enabled, 1);
        EXPECT_EQ(function.queues[0].size, 32);
        bring_down(t);
}

/* A control queue has the number behind all pairs of the device, however many. */
TEST(virtio_pci_life, queue_beyond_those_that_interrupt)
{
        const uint16_t beyond = 32; /* the third one of the script */
        const struct virtio_queue_setup setup = {.size = 64, .no_interrupt = true};
        make_function(REGISTERS_PA);
        bring_up(t, VIRTIO_INTERRUPTS_PER_QUEUE);
        REQUIRE_OK(virtio_device_reset(&device));
        REQUIRE_OK(virtio_device_negotiate(&device, &wishes));
        REQUIRE_OK(virtio_device_queue_enable(&device, beyond, &setup));
        EXPECT_EQ(function.queues[beyond % QUEUES].vector, 0xffff);
        virtio.transport.ops->notify(&virtio.transport, beyond);
        EXPECT_EQ(function.notified, beyond + 1);
        for (uint16_t queue = 0; queue < 2; queue++) { /* each still has its own register */
                virtio.transport.ops->notify(&virtio.transport, queue);
                EXPECT_EQ(function.notified, queue + 1);
        }
        bring_down(t);
}

TEST(virtio_pci_life, vectors_are_aimed_at_cpus)
{
        make_function(REGISTERS_PA);
        bring_up(t, VIRTIO_INTERRUPTS_PER_QUEUE);
        virtio.transport.ops->interrupts_aim(&virtio.transport, 1, 3);
        EXPECT_EQ(function.table[4 * 2], 0xfee03000u);
        EXPECT_EQ(function.table[4 * 1], 0xfee00000u);
        virtio.transport.ops->interrupts_aim(&virtio.transport, 2, 3); /* it has no vector */
        scripted_machine.aiming_refused = true;
        virtio.transport.ops->interrupts_aim(&virtio.transport, 0, 1);
        EXPECT_EQ(function.table[4 * 1], 0xfee00000u);
        bring_down(t);
}

/* The machine has fewer vectors, or the device takes fewer: those that
 * are there stand for the rest. */
TEST(virtio_pci_life, vectors_run_out)
{
        make_function(REGISTERS_PA);
        scripted_machine.messages_left = 2;
        bring_up(t, VIRTIO_INTERRUPTS_SHARED);
        EXPECT_EQ(function.queues[0].vector, 1);
        EXPECT_EQ(function.queues[1].vector, 0);
        EXPECT_TRUE(signal_entry(0));
        EXPECT_EQ(seen.sources, VIRTIO_SOURCE_QUEUE(1) | VIRTIO_SOURCE_CONFIG);
        bring_down(t);
        make_function(REGISTERS_PA);
        function.vectors_taken = 1;
        bring_up(t, VIRTIO_INTERRUPTS_PER_QUEUE);
        EXPECT_EQ(virtio.transport.interrupt_mode, VIRTIO_INTERRUPTS_SHARED);
        EXPECT_EQ(function.queues[1].vector, 0);
        bring_down(t);
}

static void expect_line(struct test *t)
{
        EXPECT_EQ(function.space[5] & 4, 0); /* the line is on */
        function.isr = 1;
        EXPECT_TRUE(scripted_machine_raise(11));
        EXPECT_EQ(seen.sources, 3);
        EXPECT_EQ(function.isr, 0);
        function.isr = 2;
        EXPECT_TRUE(scripted_machine_raise(11));
        EXPECT_EQ(seen.sources, 3 | VIRTIO_SOURCE_CONFIG);
        EXPECT_TRUE(scripted_machine_raise(11)); /* another device's */
        EXPECT_EQ(seen.calls, 2);
}

TEST(virtio_pci_life, line_without_vectors)
{
        make_function(REGISTERS_PA);
        scripted_machine.messages_left = 0;
        bring_up(t, VIRTIO_INTERRUPTS_LINE);
        expect_line(t);
        bring_down(t);
        EXPECT_EQ(function.space[5] & 4, 4);
}

/* What a queue's registers say is looked at before it is made live. */
TEST(virtio_pci_life, queues_that_cannot_be_made_live)
{
        const struct virtio_queue_setup setup = {.size = 32};
        for (uint32_t i = 0; i < 3; i++) {
                make_function(REGISTERS_PA);
                function.keeps_its_size = i == 0;
                if (i == 1) /* so few notify registers that only the first queue's is there whole */
                        put_bytes(0x70 + 12, 5, 4);
                if (i == 2) /* the second queue's is where no 16-bit register can be */
                        put_bytes(0x70 + 16, 3, 1);
                REQUIRE_OK(pci_probe(&function.device));
                REQUIRE_OK(virtio_pci_open(&virtio, &function.device));
                virtio_device_init(&device, &virtio.transport);
                REQUIRE_OK(virtio_device_reset(&device));
                REQUIRE_OK(virtio_device_negotiate(&device, &wishes));
                EXPECT_STATUS(i == 0 ? ZX_ERR_IO : ZX_OK,
                              virtio_device_queue_enable(&device, 0, &setup));
                EXPECT_STATUS(i == 0 ? ZX_ERR_IO : ZX_ERR_IO_DATA_INTEGRITY,
                              virtio_device_queue_enable(&device, 1, &setup));
                EXPECT_EQ(function.queues[1].enabled, 0);
                bring_down(t);
        }
}

/* No vector, and a line that nobody has noted, that is the timer's, or that no controller has. */
TEST(virtio_pci_life, neither_vectors_nor_line)
{
        static const uint8_t lines[] = {0, 16, 255};
        for (size_t i = 0; i < ARRAY_COUNT(lines) + 3; i++) {
                make_function(REGISTERS_PA);
                scripted_machine.messages_left = 0;
                if (i < ARRAY_COUNT(lines))
                        put_bytes(0x3c, lines[i], 1);
                else if (i == ARRAY_COUNT(lines))
                        put_bytes(0x3d, 0, 1);
                else if (i == ARRAY_COUNT(lines) + 1) /* there is nothing that lets go of it */
                        put_bytes(0x48 + 3, 99, 1);
                else
                        scripted_machine.lines_refused = true;
                bring_up(t, VIRTIO_INTERRUPTS_NONE);
                bring_down(t);
        }
}

TEST(virtio_pci_life, through_the_window)
{
        make_function(0); /* nobody placed the BAR */
        bring_up(t, VIRTIO_INTERRUPTS_LINE);
        EXPECT_GT(function.window_accesses, 0);
        EXPECT_EQ(function.space[4] & 6, 4); /* bus master, and no memory at address 0 */
        expect_line(t);
        bring_down(t);
        make_function(REGISTERS_PA);
        scripted_machine.mapping_refused = true;
        bring_up(t, VIRTIO_INTERRUPTS_LINE);
        bring_down(t);
}

TEST(virtio_pci_life, neither_mapped_nor_window)
{
        make_function(0);
        put_bytes(CAPABILITY_WINDOW + 2, 16, 1); /* no room for the data register */
        REQUIRE_OK(pci_probe(&function.device));
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtio_pci_open(&virtio, &function.device));
        EXPECT_EQ(function.space[4] & 7, 0);
        make_function(REGISTERS_PA);
        put_bytes(CAPABILITY_WINDOW + 3, 9, 1);
        scripted_machine.mapping_refused = true;
        REQUIRE_OK(pci_probe(&function.device));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, virtio_pci_open(&virtio, &function.device));
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Fuzzer of the virtio transports: a device all of whose registers say what the input says, each
 * time anew. What the driver writes is swallowed.
 *
 *   byte 0     bits 0: memory-mapped | PCI; 1: the registers' magic is right; 2: BARs and the MSI-X
 *              table are where they belong; 3: written registers read back, those of a queue until
 *              another one is selected; 4: no vectors left; 5: mapping is refused; 6: the status
 *              reads back; 7: a queue that is reset is not live afterwards
 *   the rest   what reads return, in order; zeros at the end
 *
 * From the probe to a live device and down again, with configuration reads, interrupts and queue
 * resets; whatever happens, nothing outside of mapped registers is touched, no assertion fails, and
 * when the transport is closed every line and message has been given back. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "drivers/pci/pci.h"
#include "drivers/virtio/virtio_device.h"
#include "drivers/virtio/virtio_mmio.h"
#include "drivers/virtio/virtio_pci.h"
#include "tests/host/machine/scripted_machine.h"

#define MMIO_PA 0xfeb00000ull
#define MMIO_BYTES 0x200
#define GSI 5
#define QUEUES 5
#define ROUNDS 3

enum {
        OPTION_PCI_BIT = 0, OPTION_MAGIC_BIT, OPTION_PLACED_BIT, OPTION_READ_BACK_BIT,
        OPTION_NO_VECTORS_BIT, OPTION_NO_MAPPING_BIT, OPTION_STATUS_BIT, OPTION_RESETS_BIT,
};

#define WORDS 1024 /* of registers that read back, by their offset */
#define REGISTERS_BAR 4

static struct {
        const uint8_t *at, *end;
        uint8_t options;
        uint32_t status;
        uint32_t words[WORDS];
        bool written[WORDS];
} input;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

NORETURN void assert_failed(const char *file, unsigned line, const char *expression)
{
        (void)file, (void)line, (void)expression;
        __builtin_trap();
}

static uint64_t registers_base; /* what accesses are counted from: 0 on PCI */

static bool option(unsigned bit)
{
        return (input.options & BIT_MASK(bit)) != 0;
}

static uint32_t take(uint8_t bytes)
{
        uint32_t value = 0;
        size_t count = min_u64(bytes, (uint64_t)(input.end - input.at));
        memcpy(&value, input.at, count);
        input.at += count;
        return value;
}

/* BARs have registers at the same offsets; those of the table of vectors
 * must not be those of queues. */
static uint32_t word_of(uint64_t offset)
{
        return (uint32_t)(offset / 2 + (offset >> 12) * 61) % WORDS;
}

static bool is_status(uint64_t offset)
{
        if (!option(OPTION_PCI_BIT))
                return offset == 0x70;
        return (offset & 0x3fff) == 0x14 && (offset >> 14) % 8 == REGISTERS_BAR;
}

/* What selects a queue lets go of what was written for another one. */
static void select_queue(uint64_t offset, uint32_t value)
{
        bool pci = option(OPTION_PCI_BIT);
        uint64_t base = offset & ~UINT64_C(0xfff), end = pci ? 0x40 : 0xc4;
        if ((offset & 0xfff) != (pci ? 0x16 : 0x30) || value == input.words[word_of(offset)])
                return;
        for (uint64_t at = pci ? 0x18 : 0x34; at < end; at += 2)
                input.written[word_of(base + at)] = false;
}

/* The reset of a queue, which ends at once, or never does: false. */
static bool reset_queue(uint64_t offset)
{
        bool pci = option(OPTION_PCI_BIT);
        if ((offset & 0xfff) != (pci ? 0x3a : 0xc0) || !option(OPTION_RESETS_BIT))
                return false;
        uint32_t live = word_of((offset & ~UINT64_C(0xfff)) + (pci ? 0x1c : 0x44));
        input.words[word_of(offset)] = input.words[live] = 0;
        return true;
}

static uint32_t read_register(void *context, uint64_t offset, uint8_t bytes)
{
        (void)context;
        offset -= registers_base;
        if (option(OPTION_READ_BACK_BIT) && input.written[word_of(offset)])
                return input.words[word_of(offset)];
        if (option(OPTION_STATUS_BIT) && is_status(offset))
                return input.status;
        if (!option(OPTION_PCI_BIT) && option(OPTION_MAGIC_BIT) && offset < 0xc)
                return offset == 0 ? 0x74726976 : offset == 4 ? 2 : 1;
        return take(bytes);
}

static void write_register(void *context, uint64_t offset, uint8_t bytes, uint32_t value)
{
        (void)context;
        (void)bytes;
        offset -= registers_base;
        if (is_status(offset))
                input.status = value;
        select_queue(offset, value);
        if (!reset_queue(offset))
                input.words[word_of(offset)] = value;
        input.written[word_of(offset)] = true;
}

/* ---- a PCI function: 256 bytes of the input, with what decides put right if so wished ---- */

static uint8_t space[256];

static uint32_t read_space(const struct pci_device *pci, uint16_t offset, uint8_t bytes)
{
        uint32_t value = 0;
        (void)pci;
        ASSERT(offset + bytes <= sizeof(space) && offset % bytes == 0);
        memcpy(&value, space + offset, bytes);
        return value;
}

/* BARs answer to sizing: 16 KiB each. */
static void write_space(const struct pci_device *pci, uint16_t offset, uint8_t bytes,
                        uint32_t value)
{
        (void)pci;
        ASSERT(offset + bytes <= sizeof(space) && offset % bytes == 0);
        if (offset >= 0x10 && offset < 0x28 && option(OPTION_PLACED_BIT))
                value = (value & ~0x3fffu) | (space[offset] & 15);
        memcpy(space + offset, &value, bytes);
}

static const struct pci_config_ops space_ops = {
        .read = read_space, .write = write_space, .name = "fuzz"};

static void fill_space(void)
{
        static const uint8_t ids[4] = {0xf4, 0x1a, 0x41, 0x10};
        memset(space, 0, sizeof(space));
        for (size_t i = 0; i < sizeof(space); i++)
                space[i] = (uint8_t)take(1);
        if (option(OPTION_MAGIC_BIT))
                memcpy(space, ids, sizeof(ids));
        for (uint32_t bar = 0; bar < PCI_BARS_MAX && option(OPTION_PLACED_BIT); bar++) {
                uint32_t address = 0xe0000000u + bar * 0x4000;
                memcpy(space + 0x10 + 4 * bar, &address, sizeof(address));
        }
}

/* ---- the driver's side ---- */

static void on_interrupt(void *context, uint32_t sources)
{
        uint32_t *seen = context;
        *seen |= sources;
}

static const struct virtio_wishes wishes = {.wanted = UINT64_MAX,
                                            .rules = virtio_net_feature_rules,
                                            .rule_count = VIRTIO_NET_FEATURE_RULES};

static void interrupt(struct virtio_transport *transport)
{
        for (uint32_t i = 0; i < 4; i++) {
                scripted_machine_raise(GSI);
                scripted_machine_signal(0xfee00000, i);
        }
        if (take(1) & 1)
                transport->ops->interrupts_mask(transport);
}

static void read_configuration(struct virtio_device *device)
{
        uint8_t fields[8];
        for (uint32_t i = 0; i < 4; i++) {
                uint8_t width = (uint8_t)(1u << take(1) % 3);
                (void)!virtio_device_config_read(device, take(1) / width * width, fields, 8, width);
        }
}

static void live(struct virtio_device *device, uint32_t *seen)
{
        struct virtio_transport *transport = device->transport;
        uint16_t opened = 0;
        transport->ops->interrupts_open(transport, QUEUES, on_interrupt, seen);
        for (; opened < QUEUES; opened++) {
                struct virtio_queue_setup setup = {.no_interrupt = take(1) & 1};
                if (virtio_device_queue_size(device, opened, 256, &setup.size) != ZX_OK ||
                    virtio_device_queue_enable(device, opened, &setup) != ZX_OK)
                        break;
        }
        if (transport->ops->interrupts_aim != NULL)
                transport->ops->interrupts_aim(transport, 0, 1);
        transport->ops->interrupts_start(transport);
        interrupt(transport);
        if (virtio_device_start(device) == ZX_OK) {
                interrupt(transport);
                read_configuration(device);
                for (uint16_t queue = 0; queue < opened; queue++)
                        transport->ops->notify(transport, queue);
                for (uint16_t queue = 0; queue < opened && transport->resets_queues &&
                     virtio_device_has(device, VIRTIO_F_RING_RESET); queue++) {
                        const struct virtio_queue_setup setup = {.size = 16, .no_interrupt = true};
                        if (virtio_device_queue_reset(device, queue) != ZX_OK)
                                break;
                        (void)!virtio_device_queue_enable(device, queue, &setup);
                }
                (void)virtio_device_needs_reset(device);
        }
        (void)!virtio_device_reset(device);
        transport->ops->interrupts_close(transport);
}

static void run(struct virtio_transport *transport)
{
        struct virtio_device device;
        uint32_t seen = 0;
        virtio_device_init(&device, transport);
        for (uint32_t round = 0; round < ROUNDS; round++)
                if (virtio_device_reset(&device) == ZX_OK &&
                    virtio_device_negotiate(&device, &wishes) == ZX_OK)
                        live(&device, &seen);
        ASSERT(scripted_machine.lines_open == 0 && scripted_machine.messages_open == 0);
        ASSERT(scripted_machine.bad_accesses == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
        static struct virtio_pci pci;
        static struct virtio_mmio mmio;
        static struct pci_device function;
        struct scripted_registers everything = {
                .bytes = UINT64_MAX, .read = read_register, .write = write_register};
        if (bytes == 0)
                return 0;
        memset(&input, 0, sizeof(input));
        registers_base = 0;
        input.options = data[0];
        input.at = data + 1;
        input.end = data + bytes;
        scripted_machine_reset();
        scripted_machine_place(&everything);
        if (option(OPTION_NO_VECTORS_BIT))
                scripted_machine.messages_left = 0;
        scripted_machine.mapping_refused = option(OPTION_NO_MAPPING_BIT);
        if (option(OPTION_PCI_BIT)) {
                fill_space();
                function = (struct pci_device){.config = &space_ops};
                if (pci_probe(&function) == ZX_OK && virtio_pci_device_type(&function) != 0 &&
                    virtio_pci_open(&pci, &function) == ZX_OK)
                        run(&pci.transport);
        } else {
                struct virtio_mmio_place place = {.pa = MMIO_PA, .bytes = MMIO_BYTES,
                                                  .line = {.gsi = GSI, .level = take(1) & 1}};
                registers_base = MMIO_PA;
                if (virtio_mmio_open(&mmio, &place) == ZX_OK)
                        run(&mmio.transport);
        }
        return 0;
}

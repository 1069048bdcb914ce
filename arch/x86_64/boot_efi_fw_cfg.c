/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* One named item of QEMU's firmware configuration device, through its ports.
 *
 * To give it one:  -fw_cfg name=opt/paravane/cmdline,string='test=pmm.* log=debug'
 * Facts: spec of the device in QEMU's documentation, "fw_cfg": selector 0 is the signature, 0x19
 * the directory; numbers in it are big-endian; strings carry no terminator. */
#include "arch/boot_efi.h"

#include "arch/io.h"
#include "kernel/boot_info.h"

#define FW_CFG_SELECTOR_PORT 0x510
#define FW_CFG_DATA_PORT 0x511
#define FW_CFG_SIGNATURE 0x00
#define FW_CFG_DIRECTORY 0x19
#define FW_CFG_NAME_BYTES 56
/* More items than any QEMU has (its own limit is the selector's 14 bits; a common count is 20). */
#define FW_CFG_ITEMS_MAX 1024
/* What is read of an item: more than a command line can hold, so that too
 * long is told from just fits. */
#define FW_CFG_ITEM_BYTES_MAX (2 * BOOT_CMDLINE_BYTES)

struct item {
        uint32_t bytes;
        uint16_t selector;
        char name[FW_CFG_NAME_BYTES];
};

static void read_bytes(void *destination, size_t bytes)
{
        uint8_t *to = destination;
        for (size_t i = 0; i < bytes; i++)
                to[i] = inb(FW_CFG_DATA_PORT);
}

static uint32_t read_big_endian(size_t bytes)
{
        uint32_t value = 0;
        for (size_t i = 0; i < bytes; i++)
                value = value << 8 | inb(FW_CFG_DATA_PORT);
        return value;
}

static bool is_there(void)
{
        static const char signature[4] = {'Q', 'E', 'M', 'U'};
        bool same = true;
        outw(FW_CFG_SELECTOR_PORT, FW_CFG_SIGNATURE);
        for (size_t i = 0; i < sizeof(signature); i++)
                same = inb(FW_CFG_DATA_PORT) == (uint8_t)signature[i] && same;
        return same;
}

static void read_item(struct item *item)
{
        item->bytes = read_big_endian(sizeof(uint32_t));
        item->selector = (uint16_t)read_big_endian(sizeof(uint16_t));
        (void)read_big_endian(sizeof(uint16_t)); /* reserved */
        read_bytes(item->name, sizeof(item->name));
}

static bool has_name(const struct item *item, const char *name)
{
        for (size_t i = 0; i < sizeof(item->name); i++) {
                if (item->name[i] != name[i])
                        return false;
                if (name[i] == '\0')
                        return true;
        }
        return false;
}

enum efi_text_result efi_fw_cfg_read(const char *name, struct efi_text *text)
{
        static uint8_t content[FW_CFG_ITEM_BYTES_MAX];
        text->chars[0] = '\0';
        text->truncated = false;
        if (!is_there())
                return EFI_TEXT_EMPTY;
        outw(FW_CFG_SELECTOR_PORT, FW_CFG_DIRECTORY);
        uint32_t item_count = read_big_endian(sizeof(uint32_t));
        for (uint32_t i = 0; i < item_count && i < FW_CFG_ITEMS_MAX; i++) {
                struct item item;
                read_item(&item);
                if (!has_name(&item, name))
                        continue;
                size_t bytes = item.bytes < sizeof(content) ? item.bytes : sizeof(content);
                outw(FW_CFG_SELECTOR_PORT, item.selector);
                read_bytes(content, bytes);
                return efi_text_from_bytes(content, bytes, text);
        }
        return EFI_TEXT_EMPTY;
}

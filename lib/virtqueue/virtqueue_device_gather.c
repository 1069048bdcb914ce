/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The judgement of a chain, see virtqueue_device_gather.h. */
#include "virtqueue/virtqueue_device_gather.h"

#include "base/bytes.h"
#include "base/shared.h"

/* Where the entries of an indirect table are. */
struct table {
        const char *whole; /* NULL: in more than one region, or in none: copy_entry() finds out */
        uint64_t dev;
        uint32_t entries;
};

static bool refuse(struct virtqueue_device_gather *gather,
                   enum virtqueue_device_fault_reason reason, uint64_t value, uint64_t limit)
{
        virtqueue_device_refuse(gather->device, reason, value, limit);
        return false;
}

/* Counts one more descriptor before anything is done with it; false: too many. */
static bool count_descriptor(struct virtqueue_device_gather *gather)
{
        uint32_t size = gather->device->ring.size;
        if (UNLIKELY(gather->read == size))
                return refuse(gather, VIRTQUEUE_DEVICE_FAULT_LONG_CHAIN, size, size);
        gather->read++;
        return true;
}

/* Adds one buffer. Sums stay below 2^47: at most 2^15 pieces of less than 2^32 bytes. */
static bool add_piece(struct virtqueue_device_gather *gather,
                      const struct virtqueue_descriptor *descriptor)
{
        struct virtqueue_request *request = gather->request;
        bool writable = (descriptor->flags & VIRTQUEUE_FLAG(VIRTQUEUE_WRITE_BIT)) != 0;
        uint64_t dev = descriptor->address;
        if (UNLIKELY(gather->writable && !writable)) /* 2.7.4.2: those to write come last */
                return refuse(gather, VIRTQUEUE_DEVICE_FAULT_ORDER, dev, 0);
        gather->writable = writable;
        if (UNLIKELY(descriptor->bytes == 0))
                return true;
        if (UNLIKELY(dev + (descriptor->bytes - 1) < dev))
                return refuse(gather, VIRTQUEUE_DEVICE_FAULT_WRAP, dev, descriptor->bytes);
        if (UNLIKELY(gather->pieces == request->elements_max) && gather->wait)
                return false;
        if (UNLIKELY(gather->pieces == request->elements_max))
                return refuse(gather, VIRTQUEUE_DEVICE_FAULT_MANY_PIECES, gather->pieces,
                              request->elements_max);
        request->elements[gather->pieces++] =
                (struct virtqueue_element){.dev = dev, .bytes = descriptor->bytes};
        gather->total_bytes += descriptor->bytes;
        if (writable) {
                gather->writable_bytes += descriptor->bytes;
                gather->writable_pieces++;
        }
        return true;
}

/* Copies entry `which`, which is below table->entries, out of a table. */
static bool copy_entry(struct virtqueue_device_gather *gather, const struct table *table,
                       uint32_t which, struct virtqueue_descriptor *entry)
{
        uint64_t offset = (uint64_t)which * VIRTQUEUE_DESCRIPTOR_BYTES;
        if (LIKELY(table->whole != NULL)) {
                shared_copy_in(entry, table->whole + offset, VIRTQUEUE_DESCRIPTOR_BYTES);
                return true;
        }
        if (virtqueue_device_memory_copy_in(&gather->device->memory, entry, table->dev + offset,
                                            VIRTQUEUE_DESCRIPTOR_BYTES))
                return true;
        return refuse(gather, VIRTQUEUE_DEVICE_FAULT_UNMAPPED, table->dev + offset, 0);
}

/* Takes the entries of a table: split, along its links from the first one on; packed, all in their
 * order (2.8.7), where flags stand elsewhere and only WRITE means something. The descriptor that
 * refers to a table is not a buffer and does not count. */
static bool gather_table(struct virtqueue_device_gather *gather, const struct table *table)
{
        struct virtqueue_descriptor entry;
        uint32_t which = 0;
        do {
                if (!count_descriptor(gather) || !copy_entry(gather, table, which, &entry))
                        return false;
                if (gather->device->packed) {
                        bool more = which + 1 < table->entries;
                        uint16_t next = more ? VIRTQUEUE_FLAG(VIRTQUEUE_NEXT_BIT) : 0;
                        entry.flags = (entry.next & ~VIRTQUEUE_FLAG(VIRTQUEUE_NEXT_BIT)) | next;
                        entry.next = (uint16_t)(which + 1);
                }
                if (UNLIKELY((entry.flags & VIRTQUEUE_FLAG(VIRTQUEUE_INDIRECT_BIT)) != 0))
                        return refuse(gather, VIRTQUEUE_DEVICE_FAULT_INDIRECT_NESTED, which,
                                      table->entries);
                if (!add_piece(gather, &entry))
                        return false;
                if (!(entry.flags & VIRTQUEUE_FLAG(VIRTQUEUE_NEXT_BIT)))
                        return true;
                which = entry.next;
        } while (which < table->entries);
        return refuse(gather, VIRTQUEUE_DEVICE_FAULT_NEXT_RANGE, which, table->entries);
}

/* Judges the descriptor that refers to a table (2.7.5.3), then takes what is in it. */
static NOINLINE bool gather_indirect(struct virtqueue_device_gather *gather,
                                     const struct virtqueue_descriptor *descriptor)
{
        uint64_t mapped, allowed = virtqueue_descriptors_bytes(gather->device->ring.size);
        struct table table = {.dev = descriptor->address,
                              .entries = descriptor->bytes / VIRTQUEUE_DESCRIPTOR_BYTES};
        if (!gather->device->indirect)
                return refuse(gather, VIRTQUEUE_DEVICE_FAULT_INDIRECT_OFF, table.dev, 0);
        if ((descriptor->flags & VIRTQUEUE_FLAG(VIRTQUEUE_NEXT_BIT)) != 0)
                return refuse(gather, VIRTQUEUE_DEVICE_FAULT_INDIRECT_NEXT, table.dev, 0);
        if (descriptor->bytes == 0 || descriptor->bytes > allowed ||
            descriptor->bytes % VIRTQUEUE_DESCRIPTOR_BYTES != 0)
                return refuse(gather, VIRTQUEUE_DEVICE_FAULT_INDIRECT_LENGTH, descriptor->bytes,
                              allowed);
        if (table.dev + (descriptor->bytes - 1) < table.dev)
                return refuse(gather, VIRTQUEUE_DEVICE_FAULT_WRAP, table.dev, descriptor->bytes);
        table.whole = virtqueue_device_memory_map(&gather->device->memory, table.dev,
                                                  descriptor->bytes, &mapped);
        if (table.whole != NULL && mapped < descriptor->bytes)
                table.whole = NULL;
        return gather_table(gather, &table);
}

bool virtqueue_device_gather_descriptor(struct virtqueue_device_gather *gather,
                                        const struct virtqueue_descriptor *descriptor)
{
        if ((descriptor->flags & VIRTQUEUE_FLAG(VIRTQUEUE_INDIRECT_BIT)) != 0)
                return gather_indirect(gather, descriptor);
        return count_descriptor(gather) && add_piece(gather, descriptor);
}

zx_status_t virtqueue_device_gather_refuse_total(struct virtqueue_device *device,
                                                 uint64_t total_bytes)
{
        virtqueue_device_refuse(device, VIRTQUEUE_DEVICE_FAULT_TOTAL, total_bytes, UINT32_MAX);
        return ZX_ERR_IO_DATA_INTEGRITY;
}

bool virtqueue_device_gather_finish(struct virtqueue_device_gather *gather)
{
        struct virtqueue_request *request = gather->request;
        if (UNLIKELY(gather->total_bytes > UINT32_MAX)) /* 2.7.4: below 2^32 bytes in all */
                return virtqueue_device_gather_refuse_total(gather->device, gather->total_bytes) ==
                       ZX_OK;
        request->readable_count = gather->pieces - gather->writable_pieces;
        request->writable_count = gather->writable_pieces;
        request->readable_bytes = (uint32_t)(gather->total_bytes - gather->writable_bytes);
        request->writable_bytes = (uint32_t)gather->writable_bytes;
        return true;
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_payload — spans and filling; writer and reader are inline in the header.
 * Facts: spec/vmbus.md, a.2 (a packet wraps at most once). */
#include "vmbus_ring/vmbus_payload.h"

static uint32_t range_spans(const struct vmbus_memory *memory, struct vmbus_range range,
                            struct vmbus_span spans[VMBUS_SPANS_MAX])
{
        uint32_t to_end = memory->data_bytes - range.offset;
        DEBUG_ASSERT(range.offset < memory->data_bytes);
        DEBUG_ASSERT(range.bytes <= memory->data_bytes);
        if (range.bytes == 0)
                return 0;
        spans[0].bytes = memory->data + range.offset;
        spans[0].byte_count = range.bytes;
        if (range.bytes <= to_end)
                return 1;
        spans[0].byte_count = to_end;
        spans[1].bytes = memory->data;
        spans[1].byte_count = range.bytes - to_end;
        return 2;
}

uint32_t vmbus_writer_spans(const struct vmbus_writer *writer,
                            struct vmbus_span spans[VMBUS_SPANS_MAX])
{
        return range_spans(writer->memory, writer->left, spans);
}

uint32_t vmbus_reader_spans(const struct vmbus_reader *reader,
                            struct vmbus_const_span spans[VMBUS_SPANS_MAX])
{
        struct vmbus_span found[VMBUS_SPANS_MAX];
        uint32_t count = range_spans(reader->memory, reader->left, found);
        for (uint32_t i = 0; i < count; i++) {
                spans[i].bytes = found[i].bytes;
                spans[i].byte_count = found[i].byte_count;
        }
        return count;
}

enum vmbus_result vmbus_writer_fill(struct vmbus_writer *writer, uint8_t value, uint32_t bytes)
{
        struct vmbus_writer part = *writer;
        struct vmbus_span spans[VMBUS_SPANS_MAX];
        if (bytes > writer->left.bytes)
                return VMBUS_RANGE_END;
        part.left.bytes = bytes;
        uint32_t count = vmbus_writer_spans(&part, spans);
        for (uint32_t i = 0; i < count; i++)
                memset(spans[i].bytes, value, spans[i].byte_count);
        writer->left.offset = vmbus_memory_advance(writer->memory, writer->left.offset, bytes);
        writer->left.bytes -= bytes;
        return VMBUS_OK;
}

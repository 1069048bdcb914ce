/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_payload — spans and filling; writer and reader are inline in the header.
 * Facts: spec/vmbus.md, a.2 (a packet wraps at most once). */
#include "vmbus_ring/vmbus_payload.h"

static uint32_t range_spans(const struct vmbus_memory *memory, struct vmbus_range range,
                            struct vmbus_span spans[VMBUS_SPANS_MAX])
{
        uint32_t count = 0;
        DEBUG_ASSERT(range.bytes <= memory->data_bytes);
        for (; count < VMBUS_SPANS_MAX && range.bytes != 0; count++) {
                uint64_t row = vmbus_memory_row_bytes(memory, range.offset);
                uint32_t piece = (uint32_t)min_u64(range.bytes, row);
                spans[count].bytes = vmbus_memory_at_(memory, range.offset);
                spans[count].byte_count = piece;
                range.offset = vmbus_memory_advance(memory, range.offset, piece);
                range.bytes -= piece;
        }
        return count;
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
        if (bytes > writer->left.bytes)
                return VMBUS_RANGE_END;
        writer->left.bytes -= bytes;
        /* Each round fills at least one byte and reaches the next page or the end. */
        while (bytes != 0) {
                uint32_t piece = (uint32_t)min_u64(
                        bytes, vmbus_memory_row_bytes(writer->memory, writer->left.offset));
                memset(vmbus_memory_at_(writer->memory, writer->left.offset), value, piece);
                writer->left.offset =
                        vmbus_memory_advance(writer->memory, writer->left.offset, piece);
                bytes -= piece;
        }
        return VMBUS_OK;
}

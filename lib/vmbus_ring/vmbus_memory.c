/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_memory — taking memory over, and copies that do not lie in a row; the rest is inline in the
 * header. Facts: spec/vmbus.md, a.2, a.3. */
#include "vmbus_ring/vmbus_memory.h"

static bool usable(const void *address)
{
        return address != NULL && is_aligned((uintptr_t)address, VMBUS_WORD_BYTES);
}

static bool is_data_size(uint64_t bytes)
{
        return bytes != 0 && bytes <= UINT32_MAX && is_aligned(bytes, VMBUS_DATA_UNIT_BYTES);
}

zx_status_t vmbus_memory_init_flat(struct vmbus_memory *memory, void *control, void *data,
                                   uint64_t data_bytes)
{
        if (!usable(control) || !usable(data) || !is_data_size(data_bytes))
                return ZX_ERR_INVALID_ARGS;
        *memory = (struct vmbus_memory){.control = control,
                                        .data = data,
                                        .straight_bytes = data_bytes,
                                        .data_bytes = (uint32_t)data_bytes};
        return ZX_OK;
}

zx_status_t vmbus_memory_init_mirrored(struct vmbus_memory *memory, void *control, void *data,
                                       uint64_t data_bytes)
{
        zx_status_t status = vmbus_memory_init_flat(memory, control, data, data_bytes);
        if (status == ZX_OK)
                memory->straight_bytes = 2 * data_bytes;
        return status;
}

zx_status_t vmbus_memory_init_paged(struct vmbus_memory *memory, void *control, void *const *pages,
                                    uint64_t page_count)
{
        if (!usable(control) || pages == NULL || page_count > UINT32_MAX / PAGE_BYTES ||
            !is_data_size(page_count * PAGE_BYTES))
                return ZX_ERR_INVALID_ARGS;
        for (uint64_t i = 0; i < page_count; i++)
                if (!usable(pages[i]))
                        return ZX_ERR_INVALID_ARGS;
        *memory = (struct vmbus_memory){.control = control,
                                        .pages = (uint8_t *const *)pages,
                                        .data_bytes = (uint32_t)(page_count * PAGE_BYTES)};
        return ZX_OK;
}

void vmbus_memory_reset(const struct vmbus_memory *memory)
{
        memset(memory->control, 0, sizeof(*memory->control));
}

/* Each round of the two loops copies at least one byte and reaches the next page or the end. */

NOINLINE void vmbus_memory_copy_in_pieces_(const struct vmbus_memory *memory, uint32_t index,
                                           void *restrict target, uint32_t bytes)
{
        uint8_t *next = target;
        while (bytes != 0) {
                uint32_t piece = (uint32_t)min_u64(bytes, vmbus_memory_row_bytes(memory, index));
                shared_copy_in(next, vmbus_memory_at_(memory, index), piece);
                next += piece;
                bytes -= piece;
                if (bytes != 0)
                        index = vmbus_memory_advance(memory, index, piece);
        }
}

NOINLINE void vmbus_memory_copy_out_pieces_(const struct vmbus_memory *memory, uint32_t index,
                                            const void *restrict source, uint32_t bytes)
{
        const uint8_t *next = source;
        while (bytes != 0) {
                uint32_t piece = (uint32_t)min_u64(bytes, vmbus_memory_row_bytes(memory, index));
                shared_copy_out(vmbus_memory_at_(memory, index), next, piece);
                next += piece;
                bytes -= piece;
                if (bytes != 0)
                        index = vmbus_memory_advance(memory, index, piece);
        }
}

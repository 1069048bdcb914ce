/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_memory — taking memory over; the accessors are inline in the header.
 * Facts: spec/vmbus.md, a.2. */
#include "vmbus_ring/vmbus_memory.h"

zx_status_t vmbus_memory_init_flat(struct vmbus_memory *memory, void *control, void *data,
                                   uint64_t data_bytes)
{
        if (control == NULL || data == NULL)
                return ZX_ERR_INVALID_ARGS;
        if (!is_aligned((uintptr_t)control, VMBUS_WORD_BYTES) ||
            !is_aligned((uintptr_t)data, VMBUS_WORD_BYTES))
                return ZX_ERR_INVALID_ARGS;
        if (data_bytes == 0 || data_bytes > UINT32_MAX ||
            !is_aligned(data_bytes, VMBUS_DATA_UNIT_BYTES))
                return ZX_ERR_INVALID_ARGS;
        memory->control = control;
        memory->data = data;
        memory->data_bytes = (uint32_t)data_bytes;
        return ZX_OK;
}

void vmbus_memory_reset(const struct vmbus_memory *memory)
{
        memset(memory->control, 0, sizeof(*memory->control));
}

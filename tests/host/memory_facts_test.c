/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The numbers of spec/zircon-objects.md, 1 to 6 and 10, that other people's programs and dumps rely
 * on, written down once more: a change in a header is seen here. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/channel.h"
#include "kernel/vmo_buffer.h"

/* Section 1. */
TEST(memory_facts, statuses_have_their_numbers)
{
        static const struct {
                zx_status_t number;
                const char *name;
        } rows[] = {
                {0, "ZX_OK"},
                {-1, "ZX_ERR_INTERNAL"},
                {-2, "ZX_ERR_NOT_SUPPORTED"},
                {-3, "ZX_ERR_NO_RESOURCES"},
                {-4, "ZX_ERR_NO_MEMORY"},
                {-6, "ZX_ERR_INTERNAL_INTR_RETRY"},
                {-10, "ZX_ERR_INVALID_ARGS"},
                {-11, "ZX_ERR_BAD_HANDLE"},
                {-12, "ZX_ERR_WRONG_TYPE"},
                {-14, "ZX_ERR_OUT_OF_RANGE"},
                {-15, "ZX_ERR_BUFFER_TOO_SMALL"},
                {-20, "ZX_ERR_BAD_STATE"},
                {-21, "ZX_ERR_TIMED_OUT"},
                {-22, "ZX_ERR_SHOULD_WAIT"},
                {-23, "ZX_ERR_CANCELED"},
                {-24, "ZX_ERR_PEER_CLOSED"},
                {-25, "ZX_ERR_NOT_FOUND"},
                {-26, "ZX_ERR_ALREADY_EXISTS"},
                {-27, "ZX_ERR_ALREADY_BOUND"},
                {-28, "ZX_ERR_UNAVAILABLE"},
                {-30, "ZX_ERR_ACCESS_DENIED"},
                {-40, "ZX_ERR_IO"},
                {-42, "ZX_ERR_IO_DATA_INTEGRITY"},
                {-45, "ZX_ERR_IO_OVERRUN"},
                {-47, "ZX_ERR_IO_INVALID"},
                {-60, "ZX_ERR_STOP"},
                {-61, "ZX_ERR_NEXT"},
                {-502, "ZX_ERR_INTERNAL_INTR_KILLED"},
        };
        size_t named = 0;
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
                EXPECT_STR_EQ(zx_status_name(rows[i].number), rows[i].name);
        for (zx_status_t number = -1000; number <= 1000; number++)
                named += __builtin_strcmp(zx_status_name(number), "ZX_ERR_?") != 0;
        EXPECT_EQ(named, ARRAY_COUNT(rows));
}

/* 2.2. */
TEST(memory_facts, page_states_have_their_numbers)
{
        static const char *const names[] = {"free", "alloc", "object", "wired", "heap", "mmu",
                                            "iommu", "ipc", "cache", "slab", "zram", "loaned"};
        for (unsigned state = 0; state < ARRAY_COUNT(names); state++)
                EXPECT_STR_EQ(vm_page_state_name((enum vm_page_state)state), names[state]);
        EXPECT_EQ(VM_PAGE_STATE_COUNT, ARRAY_COUNT(names));
        EXPECT_EQ(VM_PAGE_FREE, 0);
        EXPECT_EQ(VM_PAGE_OBJECT, 2);
        EXPECT_EQ(VM_PAGE_IPC, 7);
        EXPECT_EQ(VM_PAGE_FREE_LOANED, 11);
}

TEST(memory_facts, constants_have_their_values)
{
        static const struct {
                uint64_t ours, specified;
        } rows[] = {
                {PMM_ARENA_COUNT_MAX, 16},          /* 2.3 */
                {PMM_ARENA_PAGES_MAX + 1, 1 << 25}, /* one less, see pmm.h */
                {PMM_ALLOC_LO_MEM, 1},              /* 2.4 */
                {PMM_ALLOC_CAN_WAIT, 2},
                {VM_PAGE_PIN_COUNT_MAX, 31},
                {PMM_CHECKER_PATTERN, 'C'},
                {BUFFER_CHAIN_BUFFER_BYTES, 4096}, /* 4.1 */
                {BUFFER_CHAIN_BUFFER_FIELDS_BYTES, 16},
                {BUFFER_CHAIN_RAW_DATA_BYTES, 4080},
                {BUFFER_CHAIN_CHAIN_BYTES, 56},
                {BUFFER_CHAIN_CONTIG_BYTES, 4024},
                {BUFFER_CHAIN_RESERVE_PAGES_DEFAULT, 32}, /* 14 */
                {MESSAGE_PACKET_BYTES_MAX, 65536},        /* 5 */
                {MESSAGE_PACKET_HANDLES_MAX, 64},
                {MESSAGE_PACKET_IOVECS_MAX, 8192},
                {MESSAGE_PACKET_IOVECS_A_STEP, 16},
                {MESSAGE_PACKET_HEADER_BYTES, 48},
                {CHANNEL_PENDING_MAX, 3500},
                {CHANNEL_PENDING_WARNING, 1750},
                {VMO_RESIZABLE, 1 << 1}, /* 6 */
                {VMO_DISCARDABLE, 1 << 2},
                {VMO_OP_COMMIT, 1},
                {VMO_OP_DECOMMIT, 2},
                {VMO_OP_LOCK, 3},
                {VMO_OP_UNLOCK, 4},
                {VMO_OP_CACHE_SYNC, 6},
                {VMO_OP_CACHE_INVALIDATE, 7},
                {VMO_OP_CACHE_CLEAN, 8},
                {VMO_OP_CACHE_CLEAN_INVALIDATE, 9},
                {VMO_OP_ZERO, 10},
                {VMO_OP_TRY_LOCK, 11},
                {VMO_OP_DONT_NEED, 12},
                {VMO_OP_ALWAYS_NEED, 13},
                {VMO_STORE_VMOS_MAX, 32}, /* 10.1 */
                {VMO_BUFFER_PARTS_MAX, 4},
        };
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
                EXPECT_EQ(rows[i].ours, rows[i].specified);
}

/* 4.2: what n pages hold, and that one byte more takes another page. */
TEST(memory_facts, capacity_of_pages)
{
        for (uint64_t pages = 1; pages <= 17; pages++) {
                uint64_t capacity = 4024 + (pages - 1) * 4080;
                EXPECT_EQ(buffer_chain_pages_for(capacity), pages);
                EXPECT_EQ(buffer_chain_pages_for(capacity + 1), pages + 1);
        }
}

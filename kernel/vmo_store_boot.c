/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo_store_boot — published VMO stores, and what they say about themselves. */
#include "kernel/vmo_store_boot.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/command.h"
#include "kernel/log.h"

static struct spinlock lock = SPINLOCK_INIT("vmo stores"); /* over the list */
static struct list_node stores = {&stores, &stores};

void vmo_store_publish(struct vmo_store *store)
{
        spinlock_take(&lock);
        ASSERT(!list_in_list(&store->node));
        list_add_tail(&stores, &store->node);
        spinlock_give(&lock);
}

void vmo_store_withdraw(struct vmo_store *store)
{
        spinlock_take(&lock);
        ASSERT(list_in_list(&store->node));
        list_remove(&store->node);
        spinlock_give(&lock);
}

static void print_slot(const struct vmo_store_slot *slot, uint32_t id)
{
        static const char *const kinds[] = {[VMO_KIND_PAGED] = "paged",
                                            [VMO_KIND_CONTIGUOUS] = "contiguous",
                                            [VMO_KIND_PHYSICAL] = "physical"};
        log_line("vmostore:   id %u: %s, %llu KiB, %llu pages there%s", id,
                 kinds[vmo_kind(slot->vmo)],
                 (unsigned long long)(vmo_size(slot->vmo) / KIB),
                 (unsigned long long)vmo_committed_pages(slot->vmo),
                 slot->pinned ? ", pinned" : "");
}

/* The lock is held while lines are written, so that no store goes away meanwhile; the console is
 * slow, but stores come and go with drivers. */
void vmo_store_print(void)
{
        spinlock_take(&lock);
        if (list_is_empty(&stores))
                log_line("vmostore: none");
        LIST_FOR_EACH(node, &stores)
        {
                const struct vmo_store *store = CONTAINER_OF(node, struct vmo_store, node);
                log_line("vmostore: %s: %u of %u ids, reads %llu, writes %llu, refused %llu",
                         store->name,
                         store->used_count, VMO_STORE_VMOS_MAX,
                         (unsigned long long)store->counters.reads,
                         (unsigned long long)store->counters.writes,
                         (unsigned long long)store->counters.refused);
                for (uint32_t id = 0; id < VMO_STORE_VMOS_MAX; id++) {
                        if (store->slots[id].vmo != NULL)
                                print_slot(&store->slots[id], id);
                }
        }
        spinlock_give(&lock);
}
COMMAND(vmostore_command, "vmostore", "stores of VMOs for descriptors: ids, sizes, pages, pins",
        vmo_store_print);

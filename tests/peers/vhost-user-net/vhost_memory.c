/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* A front end's memory, see vhost_memory.h. Relies on mmap(). Facts: docs/interop/vhost-user.rst of
 * QEMU 7.2; mmap(2): offsets and lengths of files with huge pages are multiples of the huge page,
 * which is the file's block size. */
#define _GNU_SOURCE
#include "tests/peers/vhost-user-net/vhost_memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/peers/vhost-user-net/vhost_channel.h"

static struct vhost_memory *all_memories;

void vhost_memory_init(struct vhost_memory *memory)
{
        memset(memory, 0, sizeof(*memory));
        memory->table.regions = memory->guest;
        memory->next = all_memories;
        all_memories = memory;
}

void vhost_memory_fini(struct vhost_memory *memory)
{
        vhost_memory_clear(memory);
        for (struct vhost_memory **link = &all_memories; *link != NULL; link = &(*link)->next)
                if (*link == memory) {
                        *link = memory->next;
                        return;
                }
}

void vhost_memory_clear(struct vhost_memory *memory)
{
        for (size_t i = 0; i < memory->table.count; i++)
                munmap(memory->mappings[i].base, memory->mappings[i].mapped_bytes);
        memory->table.count = 0;
        memory->lost = false;
}

/* Whether two ranges, which do not wrap, have a byte in common. */
static bool overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
        return a < b + b_bytes && b < a + a_bytes;
}

/* [M1] */
static bool region_good(const struct vhost_memory *memory, const struct vhost_region *region,
                        char *why)
{
        uint64_t end;
        if (region->bytes == 0) {
                snprintf(why, VHOST_WHY_BYTES, "a region of 0 bytes");
                return false;
        }
        if (add_overflows(region->guest_address, region->bytes, &end) ||
            add_overflows(region->user_address, region->bytes, &end) ||
            add_overflows(region->mmap_offset, region->bytes, &end)) {
                snprintf(why, VHOST_WHY_BYTES,
                         "region 0x%llx+0x%llx (user 0x%llx, offset 0x%llx) wraps",
                         (unsigned long long)region->guest_address,
                         (unsigned long long)region->bytes,
                         (unsigned long long)region->user_address,
                         (unsigned long long)region->mmap_offset);
                return false;
        }
        for (size_t i = 0; i < memory->table.count; i++) {
                const struct vhost_region *other = &memory->mappings[i].region;
                if (!overlap(region->guest_address, region->bytes, other->guest_address,
                             other->bytes) &&
                    !overlap(region->user_address, region->bytes, other->user_address,
                             other->bytes))
                        continue;
                snprintf(why, VHOST_WHY_BYTES, "region 0x%llx+0x%llx overlaps region 0x%llx+0x%llx",
                         (unsigned long long)region->guest_address,
                         (unsigned long long)region->bytes,
                         (unsigned long long)other->guest_address,
                         (unsigned long long)other->bytes);
                return false;
        }
        return true;
}

/* Maps the region's part of the file, from a block's beginning on. */
static bool map(struct vhost_mapping *mapping, int fd, const struct stat *file, char *why)
{
        const struct vhost_region *region = &mapping->region;
        uint64_t end = region->mmap_offset + region->bytes;
        if (end > (uint64_t)file->st_size) {
                snprintf(why, VHOST_WHY_BYTES,
                         "region 0x%llx ends at 0x%llx of a file of 0x%llx bytes",
                         (unsigned long long)region->guest_address, (unsigned long long)end,
                         (unsigned long long)file->st_size);
                return false;
        }
        uint64_t block = max_u64((uint64_t)file->st_blksize, PAGE_BYTES);
        if (!is_power_of_two(block))
                block = PAGE_BYTES;
        uint64_t start = round_down(region->mmap_offset, block);
        mapping->mapped_bytes = round_up(end - start, block);
        mapping->base = mmap(NULL, mapping->mapped_bytes, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_NORESERVE, fd, (off_t)start);
        if (mapping->base == MAP_FAILED) {
                snprintf(why, VHOST_WHY_BYTES, "mapping region 0x%llx: %s",
                         (unsigned long long)region->guest_address, strerror(errno));
                return false;
        }
        mapping->va = (char *)mapping->base + (region->mmap_offset - start);
        return true;
}

/* The mapping of the same bytes at the same addresses; NULL: there is none. */
static struct vhost_mapping *find_same(struct vhost_memory *memory,
                                       const struct vhost_mapping *mapping)
{
        const struct vhost_region *region = &mapping->region;
        for (size_t i = 0; i < memory->table.count; i++) {
                struct vhost_mapping *other = &memory->mappings[i];
                if (other->region.guest_address == region->guest_address &&
                    other->region.user_address == region->user_address &&
                    other->region.bytes == region->bytes &&
                    other->region.mmap_offset == region->mmap_offset &&
                    other->device == mapping->device && other->inode == mapping->inode)
                        return other;
        }
        return NULL;
}

bool vhost_memory_add(struct vhost_memory *memory, const struct vhost_region *region, int fd,
                      char *why)
{
        struct vhost_mapping mapping = {.region = *region, .holders = 1};
        size_t at = memory->table.count;
        struct stat file;
        if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) || file.st_size < 0) {
                snprintf(why, VHOST_WHY_BYTES, "a region's descriptor is no file");
                return false;
        }
        mapping.device = file.st_dev;
        mapping.inode = file.st_ino;
        struct vhost_mapping *same = find_same(memory, &mapping);
        if (same != NULL && same->holders < VHOST_MEMORY_HOLDERS_MAX) {
                same->holders++;
                return true;
        }
        if (at == VHOST_MEMORY_SLOTS) {
                snprintf(why, VHOST_WHY_BYTES, "more than %u regions", VHOST_MEMORY_SLOTS);
                return false;
        }
        if (!region_good(memory, region, why) || !map(&mapping, fd, &file, why))
                return false;
        while (at > 0 && memory->guest[at - 1].bytes < region->bytes) { /* [M2] */
                memory->guest[at] = memory->guest[at - 1];
                memory->mappings[at] = memory->mappings[at - 1];
                at--;
        }
        memory->mappings[at] = mapping;
        memory->guest[at] = (struct virtqueue_device_region){
                .dev = region->guest_address,
                .bytes = region->bytes,
                .va = mapping.va,
        };
        memory->table.count++;
        return true;
}

bool vhost_memory_remove(struct vhost_memory *memory, const struct vhost_region *region)
{
        for (size_t i = 0; i < memory->table.count; i++) {
                const struct vhost_region *known = &memory->mappings[i].region;
                if (known->guest_address != region->guest_address ||
                    known->user_address != region->user_address || known->bytes != region->bytes)
                        continue;
                if (--memory->mappings[i].holders != 0)
                        return true;
                munmap(memory->mappings[i].base, memory->mappings[i].mapped_bytes);
                memory->table.count--;
                for (size_t j = i; j < memory->table.count; j++) {
                        memory->mappings[j] = memory->mappings[j + 1];
                        memory->guest[j] = memory->guest[j + 1];
                }
                return true;
        }
        return false;
}

bool vhost_memory_guest_address(const struct vhost_memory *memory, uint64_t user_address,
                                uint64_t *guest_address)
{
        for (size_t i = 0; i < memory->table.count; i++) {
                const struct vhost_region *region = &memory->mappings[i].region;
                uint64_t offset = user_address - region->user_address;
                if (offset < region->bytes) {
                        *guest_address = region->guest_address + offset;
                        return true;
                }
        }
        return false;
}

struct virtqueue_device_memory vhost_memory_translation(const struct vhost_memory *memory)
{
        return (struct virtqueue_device_memory){.translate = virtqueue_device_regions_translate,
                                                .context = &memory->table};
}

/* Only system calls, so that a signal handler may do it. */
bool vhost_memory_fault(const void *address)
{
        for (struct vhost_memory *memory = all_memories; memory != NULL; memory = memory->next)
                for (size_t i = 0; i < memory->table.count; i++) {
                        const struct vhost_mapping *mapping = &memory->mappings[i];
                        if ((uintptr_t)address - (uintptr_t)mapping->base >= mapping->mapped_bytes)
                                continue;
                        memory->lost = true;
                        return mmap(mapping->base, mapping->mapped_bytes, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
                                    0) != MAP_FAILED;
                }
        return false;
}

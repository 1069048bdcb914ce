/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* page_tree — finds the page at a page number, in a space of 2^52 of them that is mostly empty.
 *
 *   height 0   root is the page with number 0 itself (or NULL)
 *   height h   root is a node of 64 slots, each for 64^(h-1) page numbers; leaves are pages
 *
 * A radix tree: 64 slots a node and a bitmap of those in use, so that walking over what is there
 * costs nothing for what is not. A VMO of one page has no node, one of up to 256 KiB has one, of 16
 * MiB 65.
 *
 * Owner       of the tree is the caller, of the nodes its slab, of the pages whoever put them in
 * Context     none of its own: the caller holds a lock
 * Invariants  [T1] bit i of `used` is set exactly when slots[i] is not NULL; no node but a root is
 *             empty
 *             [T2] the height is the least that holds the highest number put in since it was last
 *             empty
 * Facts       none from outside */
#ifndef KERNEL_PAGE_TREE_H
#define KERNEL_PAGE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "kernel/pmm.h"
#include "kernel/slab.h"

#define PAGE_TREE_SLOTS_LOG2 6
#define PAGE_TREE_SLOTS (1u << PAGE_TREE_SLOTS_LOG2)
#define PAGE_TREE_NUMBER_BITS 52
#define PAGE_TREE_NUMBER_END (1ull << PAGE_TREE_NUMBER_BITS)
#define PAGE_TREE_HEIGHT_MAX 9 /* 9 * 6 >= 52 */

struct page_tree_node {
        uint64_t used;
        void *slots[PAGE_TREE_SLOTS]; /* nodes, or pages in a node of height 1 */
};

struct page_tree {
        void *root;
        uint32_t height;
};

void page_tree_init(struct page_tree *tree);

/* The page with this number; NULL: none. */
struct vm_page *page_tree_find(const struct page_tree *tree, uint64_t number);
/* The first page with a number in [*number, end); *number becomes its number. NULL: none. */
struct vm_page *page_tree_next(const struct page_tree *tree, uint64_t *number, uint64_t end);

/* Puts a page where none is.
 *   number   below PAGE_TREE_NUMBER_END
 *   returns  ZX_OK; ZX_ERR_NO_MEMORY: no node, nothing changed */
zx_status_t MUST_CHECK page_tree_insert(struct page_tree *tree, struct slab *nodes, uint64_t number,
                                        struct vm_page *page);
/* Takes the page with this number out and returns it; NULL: none.
 * Nodes that become empty are freed. */
struct vm_page *page_tree_remove(struct page_tree *tree, struct slab *nodes, uint64_t number);

#endif

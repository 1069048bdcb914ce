/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmar_tree — ranges of addresses that do not overlap, in order, and the gaps between them.
 *
 *              [40,50)                subtree_first, subtree_end    10, 90
 *             /       \               largest_gap  inside a subtree, between neighbours: 20
 *        [10,20)     [60,70)
 *             \           \
 *           [30,40)     [80,90)       gaps before the first and after the last are the caller's
 *
 * A balanced tree (AVL: the two sides of a node differ by one level at most), so that 2^32 ranges
 * make 46 levels. Nothing recurses: nodes know their parents. Each node knows the largest gap in
 * its subtree, so the search for a gap skips what has none that is large enough.
 *
 * Owner       of a node is the caller; nothing is allocated here
 * Context     none of its own: the caller holds a lock
 * Invariants  [T1] in order, node->base + node->bytes <= next->base; bytes is not 0; no end is over
 *                  2^63
 *             [T2] heights of the two sides differ by at most 1; height is 1 + the larger
 *             [T3] subtree_first, subtree_end and largest_gap are what the subtree says
 * Cost        O(log n) everywhere
 * Facts       spec/zircon-objects.md, 7: what the tree must answer */
#ifndef KERNEL_VMAR_TREE_H
#define KERNEL_VMAR_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

#define VMAR_TREE_HEIGHT_MAX 64 /* more than any tree that fits in memory: 1.44 log2(n) */

struct vmar_node {
        struct vmar_node *up, *left, *right;
        uint64_t base; /* changed through vmar_tree_resize while it is in a tree */
        uint64_t bytes;
        uint64_t subtree_first, subtree_end, largest_gap;
        uint8_t height;
        uint8_t kind; /* the caller's */
};

struct vmar_tree {
        struct vmar_node *root;
};

static inline uint64_t vmar_node_end(const struct vmar_node *node)
{
        return node->base + node->bytes;
}

/* Adds a node whose base and bytes are set; it overlaps none that is there. */
void vmar_tree_insert(struct vmar_tree *tree, struct vmar_node *node);
void vmar_tree_remove(struct vmar_tree *tree, struct vmar_node *node);
/* Gives a node of the tree new ends that keep it between its neighbours. */
void vmar_tree_resize(struct vmar_node *node, uint64_t base, uint64_t bytes);

/* In order; NULL: none. */
struct vmar_node *vmar_tree_first(const struct vmar_tree *tree);
struct vmar_node *vmar_tree_next(const struct vmar_node *node);
struct vmar_node *vmar_tree_previous(const struct vmar_node *node);
/* The first node that ends after `address`: it contains the address or lies behind it. */
struct vmar_node *vmar_tree_at_or_after(const struct vmar_tree *tree, uint64_t address);

/* Addresses between two neighbours, or between a neighbour and the end of the window. */
struct vmar_gap {
        uint64_t first, end;
        struct vmar_node *after; /* the node that begins at `end`; NULL: the window ends there */
};
/* The first gap of at least `bytes` (not 0) in the window [first, end) that holds the whole tree.
 *   returns  false: there is none */
bool vmar_tree_first_gap(const struct vmar_tree *tree, uint64_t first, uint64_t end, uint64_t bytes,
                         struct vmar_gap *gap);
/* The next one behind *gap, which the other or this one found with the same window and bytes. */
bool vmar_tree_next_gap(const struct vmar_tree *tree, uint64_t end, uint64_t bytes,
                        struct vmar_gap *gap);

/* [T1]..[T3] for all nodes. */
bool vmar_tree_valid(const struct vmar_tree *tree);

#endif

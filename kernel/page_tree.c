/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* page_tree — a radix tree of pages by page number. */
#include "kernel/page_tree.h"

#include "base/assert.h"
#include "base/bytes.h"

_Static_assert(PAGE_TREE_HEIGHT_MAX * PAGE_TREE_SLOTS_LOG2 >= PAGE_TREE_NUMBER_BITS,
               "every number has a place");

void page_tree_init(struct page_tree *tree)
{
        tree->root = NULL;
        tree->height = 0;
}

/* Whether a tree of this height has a place for `number`. */
static bool covers(uint32_t height, uint64_t number)
{
        return height >= PAGE_TREE_HEIGHT_MAX || number >> (height * PAGE_TREE_SLOTS_LOG2) == 0;
}

/* The slot of `number` in a node of that height. */
static uint32_t slot_of(uint32_t height, uint64_t number)
{
        return (uint32_t)(number >> ((height - 1) * PAGE_TREE_SLOTS_LOG2)) % PAGE_TREE_SLOTS;
}

struct vm_page *page_tree_find(const struct page_tree *tree, uint64_t number)
{
        void *at = tree->root;
        if (!covers(tree->height, number))
                return NULL;
        for (uint32_t height = tree->height; height > 0 && at != NULL; height--)
                at = ((struct page_tree_node *)at)->slots[slot_of(height, number)];
        return at;
}

/* Looks for the first page at or after *number. Goes down as far as there is something; where there
 * is not, moves *number to the next place that has something in this node, or behind the node. */
static struct vm_page *next_step(const struct page_tree *tree, uint64_t *number)
{
        void *at = tree->root;
        for (uint32_t height = tree->height; height > 0; height--) {
                const struct page_tree_node *node = at;
                uint32_t slot = slot_of(height, *number);
                uint32_t shift = (height - 1) * PAGE_TREE_SLOTS_LOG2;
                uint64_t rest = node->used >> slot;
                if (rest == 0) { /* nothing more in this node: the first number behind it */
                        *number = ((*number >> shift) - slot + PAGE_TREE_SLOTS) << shift;
                        return NULL;
                }
                uint32_t skip = (uint32_t)__builtin_ctzll(rest);
                if (skip != 0)
                        *number = ((*number >> shift) + skip) << shift;
                at = node->slots[slot + skip];
        }
        return at;
}

struct vm_page *page_tree_next(const struct page_tree *tree, uint64_t *number, uint64_t end)
{
        uint64_t at = *number;
        /* Each step finds a page or leaves a node for good. */
        while (tree->root != NULL && at < end && covers(tree->height, at)) {
                struct vm_page *page = next_step(tree, &at);
                if (page != NULL && at < end) {
                        *number = at;
                        return page;
                }
        }
        return NULL;
}

/* ---- change ---- */

/* A path from the root to a leaf; level h is the node of height h. */
struct path {
        struct page_tree_node *nodes[PAGE_TREE_HEIGHT_MAX + 1];
};

static void put(struct page_tree_node *node, uint32_t slot, void *value)
{
        node->slots[slot] = value;
        if (value != NULL)
                node->used |= BIT_MASK(slot);
        else
                node->used &= ~BIT_MASK(slot);
}

/* Takes out what is at the end of the path to `number`, and the nodes that are empty then. */
static void cut(struct page_tree *tree, struct slab *nodes, const struct path *path,
                uint64_t number)
{
        for (uint32_t height = 1; height <= tree->height; height++) {
                struct page_tree_node *node = path->nodes[height];
                put(node, slot_of(height, number), NULL);
                if (node->used != 0)
                        return;
                slab_free(nodes, node);
        }
        page_tree_init(tree);
}

/* Takes nodes that raise() has put over the root off again:
 * they have nothing but their first slot. */
static void lower(struct page_tree *tree, struct slab *nodes, uint32_t height)
{
        while (tree->height > height) {
                struct page_tree_node *node = tree->root;
                ASSERT(node->used == BIT_MASK(0));
                tree->root = node->slots[0];
                tree->height--;
                slab_free(nodes, node);
        }
}

/* Puts nodes over the root until the tree covers `number`; an empty tree needs none. */
static zx_status_t raise(struct page_tree *tree, struct slab *nodes, uint64_t number)
{
        uint32_t height = tree->height;
        while (!covers(tree->height, number)) {
                if (tree->root != NULL) {
                        struct page_tree_node *node = slab_alloc(nodes);
                        if (node == NULL) {
                                lower(tree, nodes, height);
                                return ZX_ERR_NO_MEMORY;
                        }
                        put(node, 0, tree->root);
                        tree->root = node;
                }
                tree->height++;
        }
        return ZX_OK;
}

/* The nodes between what the tree has and a page, while they are not yet part of it. */
struct branch {
        struct page_tree_node *parent; /* what it will hang from; NULL: it will be the root */
        struct page_tree_node *top;    /* NULL: no new node was needed */
        uint32_t top_height;
};

static void free_branch(struct slab *nodes, const struct branch *branch, uint64_t number)
{
        struct page_tree_node *node = branch->top;
        for (uint32_t height = branch->top_height; node != NULL; height--) {
                struct page_tree_node *below = node->slots[slot_of(height, number)];
                slab_free(nodes, node);
                node = below;
        }
}

/* Finds or makes the node of height 1 for `number` in a tree that covers it and
 * is higher than 0. */
static struct page_tree_node *grow_branch(const struct page_tree *tree, struct slab *nodes,
                                          uint64_t number, struct branch *branch)
{
        struct page_tree_node *parent = NULL;
        void *at = tree->root;
        for (uint32_t height = tree->height; height > 0; height--) {
                if (at == NULL) {
                        at = slab_alloc(nodes);
                        if (at == NULL)
                                return NULL;
                        if (branch->top == NULL)
                                *branch = (struct branch){parent, at, height};
                        else
                                put(parent, slot_of(height + 1, number), at);
                }
                parent = at;
                at = parent->slots[slot_of(height, number)];
        }
        ASSERT(at == NULL); /* one page for a number */
        return parent;
}

zx_status_t page_tree_insert(struct page_tree *tree, struct slab *nodes, uint64_t number,
                             struct vm_page *page)
{
        struct branch branch = {NULL, NULL, 0};
        ASSERT(number < PAGE_TREE_NUMBER_END);
        ASSERT(page != NULL);
        uint32_t height_before = tree->height;
        zx_status_t status = raise(tree, nodes, number);
        if (status != ZX_OK)
                return status;
        if (tree->height == 0) {
                ASSERT(tree->root == NULL); /* one page for a number */
                tree->root = page;
                return ZX_OK;
        }

        struct page_tree_node *leaf = grow_branch(tree, nodes, number, &branch);
        if (leaf == NULL)
                goto undo_raise;
        put(leaf, slot_of(1, number), page);
        if (branch.top != NULL && branch.parent != NULL)
                put(branch.parent, slot_of(branch.top_height + 1, number), branch.top);
        else if (branch.top != NULL)
                tree->root = branch.top;
        return ZX_OK;
undo_raise:
        free_branch(nodes, &branch, number);
        if (tree->root == NULL)
                page_tree_init(tree);
        else
                lower(tree, nodes, height_before);
        return ZX_ERR_NO_MEMORY;
}

struct vm_page *page_tree_remove(struct page_tree *tree, struct slab *nodes, uint64_t number)
{
        struct path path;
        void *at = tree->root;
        if (!covers(tree->height, number))
                return NULL;
        for (uint32_t height = tree->height; height > 0 && at != NULL; height--) {
                path.nodes[height] = at;
                at = path.nodes[height]->slots[slot_of(height, number)];
        }
        if (at != NULL)
                cut(tree, nodes, &path, number);
        return at;
}

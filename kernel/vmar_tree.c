/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmar_tree — an AVL tree without recursion; see vmar_tree.h. */
#include "kernel/vmar_tree.h"

#include <stddef.h>

#include "base/assert.h"
#include "base/bytes.h"

static unsigned height_of(const struct vmar_node *node)
{
        return node == NULL ? 0 : node->height;
}

/* What a node knows of its subtree, out of what its children know of theirs [T2][T3]. */
static void summarise(struct vmar_node *node)
{
        unsigned left = height_of(node->left), right = height_of(node->right);

        node->height = (uint8_t)(1 + (left > right ? left : right));
        node->subtree_first = node->base;
        node->subtree_end = vmar_node_end(node);
        node->largest_gap = 0;
        if (node->left != NULL) {
                node->subtree_first = node->left->subtree_first;
                node->largest_gap = max_u64(node->left->largest_gap,
                                            node->base - node->left->subtree_end);
        }
        if (node->right != NULL) {
                uint64_t gap = node->right->subtree_first - vmar_node_end(node);
                node->subtree_end = node->right->subtree_end;
                node->largest_gap = max_u64(node->largest_gap,
                                            max_u64(gap, node->right->largest_gap));
        }
}

/* ---- balance ---- */

/* The place that points at `node`. */
static struct vmar_node **link_to(struct vmar_tree *tree, struct vmar_node *node)
{
        if (node->up == NULL)
                return &tree->root;
        return node->up->left == node ? &node->up->left : &node->up->right;
}

/*     node             child
 *    /    \           /     \
 *   a     child  ->  node    c        and its mirror image
 *        /    \     /   \
 *       b      c   a     b
 * Returns child, the new top. */
static struct vmar_node *rotate(struct vmar_tree *tree, struct vmar_node *node, bool to_left)
{
        struct vmar_node *child = to_left ? node->right : node->left;
        struct vmar_node *middle = to_left ? child->left : child->right;

        *link_to(tree, node) = child;
        child->up = node->up;
        node->up = child;
        if (to_left) {
                child->left = node;
                node->right = middle;
        } else {
                child->right = node;
                node->left = middle;
        }
        if (middle != NULL)
                middle->up = node;
        summarise(node);
        summarise(child);
        return child;
}

/* [T2] for a node whose sides differ by two levels at most; returns what is there then. */
static struct vmar_node *balance(struct vmar_tree *tree, struct vmar_node *node)
{
        unsigned left = height_of(node->left), right = height_of(node->right);

        if (right > left + 1) {
                if (height_of(node->right->left) > height_of(node->right->right))
                        rotate(tree, node->right, false);
                return rotate(tree, node, true);
        }
        if (left > right + 1) {
                if (height_of(node->left->right) > height_of(node->left->left))
                        rotate(tree, node->left, true);
                return rotate(tree, node, false);
        }
        return node;
}

/* Puts everything right from `node` to the root. */
static void repair(struct vmar_tree *tree, struct vmar_node *node)
{
        while (node != NULL) {
                summarise(node);
                node = balance(tree, node)->up;
        }
}

void vmar_tree_insert(struct vmar_tree *tree, struct vmar_node *node)
{
        struct vmar_node *up = NULL, **link = &tree->root;

        DEBUG_ASSERT(node->bytes != 0);
        while (*link != NULL) {
                up = *link;
                link = node->base < up->base ? &up->left : &up->right;
        }
        node->up = up;
        node->left = NULL;
        node->right = NULL;
        *link = node;
        repair(tree, node);
        DEBUG_ASSERT(vmar_tree_previous(node) == NULL ||
                     vmar_node_end(vmar_tree_previous(node)) <= node->base);
        DEBUG_ASSERT(vmar_tree_next(node) == NULL ||
                     vmar_node_end(node) <= vmar_tree_next(node)->base);
}

static void replace(struct vmar_tree *tree, struct vmar_node *node, struct vmar_node *by)
{
        *link_to(tree, node) = by;
        if (by != NULL)
                by->up = node->up;
}

void vmar_tree_remove(struct vmar_tree *tree, struct vmar_node *node)
{
        struct vmar_node *broken; /* the lowest node whose subtree has changed */

        if (node->left == NULL || node->right == NULL) {
                broken = node->up;
                replace(tree, node, node->left != NULL ? node->left : node->right);
        } else { /* the next one, which has no left side, takes its place */
                struct vmar_node *next = vmar_tree_next(node);
                broken = next;
                if (next->up != node) {
                        broken = next->up;
                        replace(tree, next, next->right);
                        next->right = node->right;
                        next->right->up = next;
                }
                replace(tree, node, next);
                next->left = node->left;
                next->left->up = next;
        }
        node->up = NULL;
        node->left = NULL;
        node->right = NULL;
        repair(tree, broken);
}

void vmar_tree_resize(struct vmar_node *node, uint64_t base, uint64_t bytes)
{
        node->base = base;
        node->bytes = bytes;
        for (struct vmar_node *at = node; at != NULL; at = at->up)
                summarise(at);
}

/* ---- in order ---- */

static struct vmar_node *leftmost(struct vmar_node *node)
{
        while (node != NULL && node->left != NULL)
                node = node->left;
        return node;
}

struct vmar_node *vmar_tree_first(const struct vmar_tree *tree)
{
        return leftmost(tree->root);
}

struct vmar_node *vmar_tree_next(const struct vmar_node *node)
{
        if (node->right != NULL)
                return leftmost(node->right);
        while (node->up != NULL && node->up->right == node)
                node = node->up;
        return node->up;
}

struct vmar_node *vmar_tree_previous(const struct vmar_node *node)
{
        if (node->left != NULL) {
                struct vmar_node *last = node->left;
                while (last->right != NULL)
                        last = last->right;
                return last;
        }
        while (node->up != NULL && node->up->left == node)
                node = node->up;
        return node->up;
}

struct vmar_node *vmar_tree_at_or_after(const struct vmar_tree *tree, uint64_t address)
{
        struct vmar_node *best = NULL, *node = tree->root;

        while (node != NULL) {
                if (vmar_node_end(node) > address) {
                        best = node;
                        node = node->left;
                } else {
                        node = node->right;
                }
        }
        return best;
}

/* ---- gaps ---- */

static bool found(struct vmar_gap *gap, uint64_t first, struct vmar_node *after)
{
        gap->first = first;
        gap->end = after->base;
        gap->after = after;
        return true;
}

/* The first gap inside the subtree of `node`, which has one. */
static bool first_inside(struct vmar_node *node, uint64_t bytes, struct vmar_gap *gap)
{
        for (;;) {
                DEBUG_ASSERT(node->largest_gap >= bytes);
                if (node->left != NULL && node->left->largest_gap >= bytes) {
                        node = node->left;
                        continue;
                }
                if (node->left != NULL && node->base - node->left->subtree_end >= bytes)
                        return found(gap, node->left->subtree_end, node);
                if (node->right->subtree_first - vmar_node_end(node) >= bytes)
                        return found(gap, vmar_node_end(node), leftmost(node->right));
                node = node->right;
        }
}

/* The first gap that begins at the end of `node` or later, up to the last node. */
static bool gap_from(struct vmar_node *node, uint64_t bytes, struct vmar_gap *gap)
{
        for (;;) {
                struct vmar_node *right = node->right;
                if (right != NULL && right->subtree_first - vmar_node_end(node) >= bytes)
                        return found(gap, vmar_node_end(node), leftmost(right));
                if (right != NULL && right->largest_gap >= bytes)
                        return first_inside(right, bytes, gap);
                while (node->up != NULL && node->up->right == node)
                        node = node->up;
                /* All of this subtree has been seen; the node it is the left side of comes next. */
                if (node->up == NULL)
                        return false;
                if (node->up->base - node->subtree_end >= bytes)
                        return found(gap, node->subtree_end, node->up);
                node = node->up;
        }
}

static bool last_gap(const struct vmar_tree *tree, uint64_t end, uint64_t bytes,
                     struct vmar_gap *gap)
{
        gap->first = tree->root->subtree_end;
        gap->end = end;
        gap->after = NULL;
        return end - gap->first >= bytes;
}

bool vmar_tree_first_gap(const struct vmar_tree *tree, uint64_t first, uint64_t end, uint64_t bytes,
                         struct vmar_gap *gap)
{
        DEBUG_ASSERT(bytes != 0);
        if (tree->root == NULL) {
                *gap = (struct vmar_gap){.first = first, .end = end};
                return end - first >= bytes;
        }
        if (tree->root->subtree_first - first >= bytes)
                return found(gap, first, leftmost(tree->root));
        if (tree->root->largest_gap >= bytes)
                return first_inside(tree->root, bytes, gap);
        return last_gap(tree, end, bytes, gap);
}

bool vmar_tree_next_gap(const struct vmar_tree *tree, uint64_t end, uint64_t bytes,
                        struct vmar_gap *gap)
{
        if (gap->after == NULL)
                return false;
        return gap_from(gap->after, bytes, gap) || last_gap(tree, end, bytes, gap);
}

/* ---- validity ---- */

static bool node_valid(const struct vmar_node *node)
{
        struct vmar_node again = *node;
        unsigned left = height_of(node->left), right = height_of(node->right);

        if (node->bytes == 0 || vmar_node_end(node) > BIT_MASK(63) ||
            vmar_node_end(node) < node->base)
                return false; /* [T1] */
        if ((node->left != NULL && node->left->up != node) ||
            (node->right != NULL && node->right->up != node))
                return false;
        if (left > right + 1 || right > left + 1)
                return false; /* [T2] */
        summarise(&again);
        return again.height == node->height && again.subtree_first == node->subtree_first &&
               again.subtree_end == node->subtree_end && again.largest_gap == node->largest_gap;
}

bool vmar_tree_valid(const struct vmar_tree *tree)
{
        const struct vmar_node *previous = NULL;

        if (tree->root != NULL && (tree->root->up != NULL ||
                                   tree->root->height > VMAR_TREE_HEIGHT_MAX))
                return false;
        for (const struct vmar_node *node = vmar_tree_first(tree); node != NULL;
             node = vmar_tree_next(node)) {
                if (!node_valid(node) || (previous != NULL && vmar_node_end(previous) > node->base))
                        return false;
                previous = node;
        }
        return true;
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* list — a doubly linked list through nodes that live in the listed structures.
 *
 *   list <-> first <-> ... <-> last <-> (list)        an empty list points at itself
 *
 * Owner      of the nodes is the caller; a list never allocates or frees
 * Context    any; no locking: the caller holds whatever protects the list
 * Invariants [L1] node->next->prev == node and node->prev->next == node for every node on a list
 *            [L2] a node that is on no list has next == NULL and prev == NULL
 *
 *   struct frame { struct list_node node; int number; };
 *   struct list_node frames;  list_init(&frames);
 *   list_add_tail(&frames, &f->node);
 *   struct frame *first = CONTAINER_OF(list_head(&frames), struct frame, node); */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"
#include "base/compiler.h"

struct list_node {
        struct list_node *prev;
        struct list_node *next;
};

static inline void list_init(struct list_node *list)
{
        list->prev = list;
        list->next = list;
}

static inline bool list_is_empty(const struct list_node *list)
{
        return list->next == list;
}

/* Whether `node` is on some list [L2]. */
static inline bool list_in_list(const struct list_node *node)
{
        return node->next != NULL;
}

static inline void list_insert_between_(struct list_node *prev, struct list_node *next,
                                        struct list_node *node)
{
        DEBUG_ASSERT(!list_in_list(node)); /* [L2] */
        node->prev = prev;
        node->next = next;
        prev->next = node;
        next->prev = node;
}

static inline void list_add_head(struct list_node *list, struct list_node *node)
{
        list_insert_between_(list, list->next, node);
}

static inline void list_add_tail(struct list_node *list, struct list_node *node)
{
        list_insert_between_(list->prev, list, node);
}

/* Takes `node` off the list it is on. */
static inline void list_remove(struct list_node *node)
{
        DEBUG_ASSERT(node->next->prev == node); /* [L1] */
        DEBUG_ASSERT(node->prev->next == node); /* [L1] */
        node->prev->next = node->next;
        node->next->prev = node->prev;
        node->prev = NULL;
        node->next = NULL;
}

/* The first or last node, NULL when empty; the list is unchanged. */
static inline struct list_node *list_head(const struct list_node *list)
{
        return list_is_empty(list) ? NULL : list->next;
}

static inline struct list_node *list_tail(const struct list_node *list)
{
        return list_is_empty(list) ? NULL : list->prev;
}

/* Takes the first or last node off, NULL when empty. */
static inline struct list_node *list_remove_head(struct list_node *list)
{
        struct list_node *node = list_head(list);
        if (node != NULL)
                list_remove(node);
        return node;
}

static inline struct list_node *list_remove_tail(struct list_node *list)
{
        struct list_node *node = list_tail(list);
        if (node != NULL)
                list_remove(node);
        return node;
}

/* Moves all of `from` in front of `list` (head) or behind it (tail), in
 * order; `from` becomes empty. */
static inline void list_splice_head(struct list_node *list, struct list_node *from)
{
        if (list_is_empty(from))
                return;
        from->prev->next = list->next;
        list->next->prev = from->prev;
        list->next = from->next;
        from->next->prev = list;
        list_init(from);
}

static inline void list_splice_tail(struct list_node *list, struct list_node *from)
{
        if (list_is_empty(from))
                return;
        from->next->prev = list->prev;
        list->prev->next = from->next;
        list->prev = from->prev;
        from->prev->next = list;
        list_init(from);
}

/* The number of nodes, by walking. */
static inline size_t list_count(const struct list_node *list)
{
        size_t count = 0;
        for (const struct list_node *node = list->next; node != list; node = node->next)
                count++;
        return count;
}

/* Visits every node in order; the body must not remove the node (take
 * the next one first if it does). */
#define LIST_FOR_EACH(node, list) \
        for (struct list_node *node = (list)->next; node != (list); node = node->next)

#endif

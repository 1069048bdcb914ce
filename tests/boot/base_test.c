/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of lib/base. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "base/list.h"

TEST(base, round_and_align)
{
        EXPECT_EQ(round_up(1, 8), 8);
        EXPECT_EQ(round_up(8, 8), 8);
        EXPECT_EQ(round_down(15, 8), 8);
        EXPECT_EQ(div_round_up(UINT64_MAX, 2), 1ull << 63);
        EXPECT_TRUE(is_power_of_two(1));
        EXPECT_FALSE(is_power_of_two(0));
        EXPECT_FALSE(is_power_of_two(24));
        EXPECT_TRUE(is_aligned(4096, 4096));
        EXPECT_FALSE(is_aligned(4104, 4096));
}

TEST(base, add_overflows_at_the_edge)
{
        uint64_t sum;
        EXPECT_FALSE(add_overflows(UINT64_MAX - 1, 1, &sum));
        EXPECT_EQ(sum, UINT64_MAX);
        EXPECT_TRUE(add_overflows(UINT64_MAX, 1, &sum));
}

TEST(base, status_names)
{
        EXPECT_STR_EQ(zx_status_name(ZX_OK), "ZX_OK");
        EXPECT_STR_EQ(zx_status_name(ZX_ERR_SHOULD_WAIT), "ZX_ERR_SHOULD_WAIT");
        EXPECT_STR_EQ(zx_status_name(-22), "ZX_ERR_SHOULD_WAIT");
        EXPECT_STR_EQ(zx_status_name(12345), "ZX_ERR_?");
}

struct letter {
        struct list_node node;
        char label;
};

/* Compares a list with the labels it should have, from the front and from the back. */
static void expect_labels(struct test *t, struct list_node *list, const char *labels)
{
        char forward[8] = {0}, expected[8] = {0};
        size_t count = 0;
        LIST_FOR_EACH(node, list)
        {
                if (count < sizeof(forward) - 1)
                        forward[count++] = CONTAINER_OF(node, struct letter, node)->label;
        }
        for (size_t i = 0; labels[i] != '\0'; i++)
                expected[i] = labels[i];
        EXPECT_STR_EQ(forward, expected);
        for (struct list_node *node = list->prev; node != list; node = node->prev)
                EXPECT_EQ(CONTAINER_OF(node, struct letter, node)->label, expected[--count]);
}

TEST(base, list_order)
{
        struct letter a = {.label = 'a'}, b = {.label = 'b'}, c = {.label = 'c'};
        struct list_node list, other;

        list_init(&list);
        list_init(&other);
        EXPECT_TRUE(list_is_empty(&list));
        EXPECT_TRUE(list_remove_head(&list) == NULL);
        EXPECT_TRUE(list_remove_tail(&list) == NULL);

        list_add_tail(&list, &b.node);
        list_add_head(&list, &a.node);
        list_add_tail(&list, &c.node);
        expect_labels(t, &list, "abc");
        EXPECT_EQ(list_count(&list), 3);

        list_remove(&b.node);
        EXPECT_FALSE(list_in_list(&b.node));
        expect_labels(t, &list, "ac");

        list_add_tail(&other, &b.node);
        list_splice_head(&list, &other);
        expect_labels(t, &list, "bac");
        EXPECT_TRUE(list_is_empty(&other));

        list_splice_tail(&other, &list);
        expect_labels(t, &other, "bac");
        EXPECT_PTR_EQ(list_remove_tail(&other), &c.node);
        EXPECT_PTR_EQ(list_remove_head(&other), &b.node);
        expect_labels(t, &other, "a");
}

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* expect — one vocabulary for tests, two back ends.
 *
 * A test file includes this and the part under test, and nothing of the world it runs in. The same
 * file is linked into the kernel (kernel/selftest.c: KTAP on the serial port) and into host
 * programs (tests/host: cmocka, under sanitizers).
 *
 *   TEST(pmm, free_page_goes_to_the_head)
 *   {
 *           struct vm_page *page;
 *           REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));  // a failure leaves the test
 *           EXPECT_EQ(page->pa % PAGE_BYTES, 0);                     // a failure is noted, goes on
 *   }
 *
 * Inside a test the name `t` is the running test; hand it to helpers that report or
 * that need pages. EXPECT_* evaluate to bool (true: held). REQUIRE_* return from the
 * function (which must be void). */
#ifndef TESTS_EXPECT_H
#define TESTS_EXPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "base/test_case.h"

#define TEST_WITH(suite_, name_, flags_, limit_ms_)                                          \
        static void suite_##_##name_##_test_(struct test *t);                                \
        LINKER_TABLE_ENTRY(test_table)                                                       \
        static const struct test_case suite_##_##name_##_entry_ = {                          \
                .suite = #suite_, .name = #name_, .run = suite_##_##name_##_test_,           \
                .flags = (flags_), .limit_ms = (limit_ms_), .line = __LINE__}; \
        static void suite_##_##name_##_test_(UNUSED struct test *t)

#define TEST(suite_, name_) TEST_WITH(suite_, name_, 0, 0)

static inline uint32_t world_random_below(struct test *t, uint32_t bound)
{
        return (uint32_t)(((uint64_t)world_random(t) * bound) >> 32);
}

/* ---- refusals: tests/host/refusal.h ----
 *
 * On the host a call is made again when a page that it needed was refused on purpose, which happens
 * with host-tests --refuse only; anywhere else these are the plain expressions. So an expression
 * below may run twice: let it be the call, and do the counting elsewhere. */
#ifdef EXPECT_REFUSALS
#include "tests/host/refusal.h"
#define EXPECT_ASK_(act_, as_wanted_, status_)                                  \
        do {                                                                    \
                struct refusal_frame frame_ = refusal_begin(__FILE__, __LINE__);\
                do {                                                            \
                        act_;                                                   \
                } while (refusal_again(&frame_, (as_wanted_), (status_)));      \
        } while (0)
/* A status that is not looked at at once: zx_status_t status = TRIED(vmo_write(...)); */
#define TRIED(expression)                                                               \
        ({                                                                              \
                zx_status_t asked_;                                                     \
                EXPECT_ASK_(asked_ = (expression), asked_ == ZX_OK, asked_);            \
                asked_;                                                                 \
        })
/* The same for a pointer, NULL where there is no memory. */
#define TRIED_POINTER(expression)                                                               \
        ({                                                                                      \
                __typeof__(expression) pointer_;                                                \
                EXPECT_ASK_(pointer_ = (expression), pointer_ != NULL,                          \
                            pointer_ != NULL ? ZX_OK : ZX_ERR_NO_MEMORY);                       \
                pointer_;                                                                       \
        })
/* Runs check(t) whenever something was refused, until the end of the test. */
#define ON_REFUSAL(check) refusal_check(t, (check))
/* From here on nothing is refused in this process. */
#define NO_REFUSALS() refusal_stop()
#else
#define EXPECT_ASK_(act_, as_wanted_, status_) act_
#define TRIED(expression) (expression)
#define TRIED_POINTER(expression) (expression)
#define ON_REFUSAL(check) ((void)(check))
#define NO_REFUSALS() ((void)0)
#endif

/* ---- the vocabulary ---- */

/* What a failed expectation calls: out of line and with everything in registers, because there are
 * more than a thousand of them in the image. They note the failure and return false. */
bool expect_failed_(struct test *t, const char *file, unsigned line, const char *text);
bool expect_relation_failed_(struct test *t, const char *file, unsigned line, const char *text,
                             long long left, long long right);
bool expect_status_failed_(struct test *t, const char *file, unsigned line, const char *text,
                           zx_status_t expected, zx_status_t got);
bool expect_pointer_failed_(struct test *t, const char *file, unsigned line, const char *text,
                            const void *left, const void *right);
bool expect_string_eq_(struct test *t, const char *file, unsigned line, const char *text,
                       const char *left, const char *right);
struct expect_bytes {
        const void *left, *right;
        size_t count;
};
bool expect_bytes_eq_(struct test *t, const char *file, unsigned line, const char *text,
                      const struct expect_bytes *bytes);

#ifdef EXPECT_REFUSALS
#define EXPECT_TRUE(condition)                                                           \
        ({                                                                               \
                bool held_;                                                              \
                EXPECT_ASK_(held_ = (condition), held_, held_ ? ZX_OK : ZX_ERR_NO_MEMORY);\
                held_ ? true : expect_failed_(t, __FILE__, __LINE__, #condition);        \
        })
#else
#define EXPECT_TRUE(condition) \
        ((condition) ? true : expect_failed_(t, __FILE__, __LINE__, #condition))
#endif
#define EXPECT_FALSE(condition) \
        ((condition) ? expect_failed_(t, __FILE__, __LINE__, "not " #condition) : true)

/* Compares two integers and shows both values in decimal and hex. */
#define EXPECT_RELATION_(left, op, right)                                                        \
        ({                                                                                       \
                __auto_type left_ = (left);                                                      \
                __auto_type right_ = (right);                                                    \
                (left_ op right_) ? true                                                         \
                                  : expect_relation_failed_(t, __FILE__, __LINE__,               \
                                                            #left " " #op " " #right,            \
                                                            (long long)left_, (long long)right_); \
        })
#define EXPECT_EQ(left, right) EXPECT_RELATION_(left, ==, right)
#define EXPECT_NE(left, right) EXPECT_RELATION_(left, !=, right)
#define EXPECT_LT(left, right) EXPECT_RELATION_(left, <, right)
#define EXPECT_LE(left, right) EXPECT_RELATION_(left, <=, right)
#define EXPECT_GT(left, right) EXPECT_RELATION_(left, >, right)
#define EXPECT_GE(left, right) EXPECT_RELATION_(left, >=, right)

#define EXPECT_PTR_EQ(left, right)                                                                \
        ({                                                                                        \
                const void *left_ = (left);                                                       \
                const void *right_ = (right);                                                     \
                left_ == right_ ? true                                                            \
                                : expect_pointer_failed_(t, __FILE__, __LINE__,                   \
                                                         #left " == " #right, left_, right_);     \
        })

/* A zx_status_t, shown by name. */
#define EXPECT_STATUS(expected, expression)                                                       \
        ({                                                                                        \
                zx_status_t want_ = (expected), got_;                                             \
                EXPECT_ASK_(got_ = (expression), got_ == want_, got_);                            \
                want_ == got_ ? true                                                              \
                              : expect_status_failed_(t, __FILE__, __LINE__, #expression, want_,  \
                                                      got_);                                      \
        })
#define EXPECT_OK(expression) EXPECT_STATUS(ZX_OK, expression)

/* Two strings. */
#define EXPECT_STR_EQ(left, right) \
        expect_string_eq_(t, __FILE__, __LINE__, #left " == " #right, (left), (right))

/* `count` bytes; a failure shows the first offset that differs and both bytes there. */
#define EXPECT_BYTES_EQ(left, right, count)                              \
        expect_bytes_eq_(t, __FILE__, __LINE__, #left " == " #right,     \
                         &(const struct expect_bytes){(left), (right), (count)})

#define REQUIRE_(expectation)         \
        do {                          \
                if (!(expectation))   \
                        return;       \
        } while (0)
#define REQUIRE_TRUE(condition) REQUIRE_(EXPECT_TRUE(condition))
#define REQUIRE_EQ(left, right) REQUIRE_(EXPECT_EQ(left, right))
#define REQUIRE_OK(expression) REQUIRE_(EXPECT_OK(expression))
#define REQUIRE_STATUS(expected, expression) REQUIRE_(EXPECT_STATUS(expected, expression))

#define SKIP(reason)                     \
        do {                             \
                test_skip(t, (reason));  \
                return;                  \
        } while (0)

#endif

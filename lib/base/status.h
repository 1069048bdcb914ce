/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* status — the one status type of the house, with Zircon's names and numbers.
 *
 * 0 is success, errors are negative. Facts: Zircon's errors.h; only the names that something here
 * returns or passes on are listed, each with its original value. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdint.h>

typedef int32_t zx_status_t;

/* X(name, value) for every status; the one list from which the enum and the names are made. */
#define ZX_STATUS_LIST(X)               \
        X(ZX_OK, 0)                     \
        X(ZX_ERR_INTERNAL, -1)          \
        X(ZX_ERR_NOT_SUPPORTED, -2)     \
        X(ZX_ERR_NO_RESOURCES, -3)      \
        X(ZX_ERR_NO_MEMORY, -4)         \
        X(ZX_ERR_INTERNAL_INTR_RETRY, -6) \
        X(ZX_ERR_INVALID_ARGS, -10)     \
        X(ZX_ERR_BAD_HANDLE, -11)       \
        X(ZX_ERR_WRONG_TYPE, -12)       \
        X(ZX_ERR_OUT_OF_RANGE, -14)     \
        X(ZX_ERR_BUFFER_TOO_SMALL, -15) \
        X(ZX_ERR_BAD_STATE, -20)        \
        X(ZX_ERR_TIMED_OUT, -21)        \
        X(ZX_ERR_SHOULD_WAIT, -22)      \
        X(ZX_ERR_CANCELED, -23)         \
        X(ZX_ERR_PEER_CLOSED, -24)      \
        X(ZX_ERR_NOT_FOUND, -25)        \
        X(ZX_ERR_ALREADY_EXISTS, -26)   \
        X(ZX_ERR_ALREADY_BOUND, -27)    \
        X(ZX_ERR_UNAVAILABLE, -28)      \
        X(ZX_ERR_ACCESS_DENIED, -30)    \
        X(ZX_ERR_IO, -40)               \
        X(ZX_ERR_IO_DATA_INTEGRITY, -42) \
        X(ZX_ERR_IO_OVERRUN, -45)       \
        X(ZX_ERR_IO_INVALID, -47)       \
        X(ZX_ERR_STOP, -60)             \
        X(ZX_ERR_NEXT, -61)             \
        X(ZX_ERR_INTERNAL_INTR_KILLED, -502)

enum {
#define ZX_STATUS_ENUM_(name, value) name = (value),
        ZX_STATUS_LIST(ZX_STATUS_ENUM_)
#undef ZX_STATUS_ENUM_
};

/* The name of `status` as a static string, "ZX_ERR_?" for a number that is not in the list. */
const char *zx_status_name(zx_status_t status);

#endif

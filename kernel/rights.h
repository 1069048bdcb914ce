/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* rights — what a handle lets its holder do: bits with Zircon's numbers.
 *
 * A handle here is a value: a pointer and these bits, passed by copy. Who hands one out decides
 * about its rights, and the functions that take one check them.
 * Facts: Zircon's rights.h; spec/zircon-objects.md, 1 */
#ifndef KERNEL_RIGHTS_H
#define KERNEL_RIGHTS_H

#include <stdint.h>

#include "base/bytes.h"

enum right_bit {
        RIGHT_DUPLICATE_BIT = 0,
        RIGHT_TRANSFER_BIT = 1,
        RIGHT_READ_BIT = 2,
        RIGHT_WRITE_BIT = 3,
        RIGHT_EXECUTE_BIT = 4,
        RIGHT_MAP_BIT = 5,
        RIGHT_GET_PROPERTY_BIT = 6,
        RIGHT_SET_PROPERTY_BIT = 7,
        RIGHT_INSPECT_BIT = 15,
        RIGHT_SAME_BIT = 31,
};
#define RIGHT_DUPLICATE ((uint32_t)BIT_MASK(RIGHT_DUPLICATE_BIT))
#define RIGHT_TRANSFER ((uint32_t)BIT_MASK(RIGHT_TRANSFER_BIT))
#define RIGHT_READ ((uint32_t)BIT_MASK(RIGHT_READ_BIT))
#define RIGHT_WRITE ((uint32_t)BIT_MASK(RIGHT_WRITE_BIT))
#define RIGHT_EXECUTE ((uint32_t)BIT_MASK(RIGHT_EXECUTE_BIT))
#define RIGHT_MAP ((uint32_t)BIT_MASK(RIGHT_MAP_BIT))
#define RIGHT_GET_PROPERTY ((uint32_t)BIT_MASK(RIGHT_GET_PROPERTY_BIT))
#define RIGHT_SET_PROPERTY ((uint32_t)BIT_MASK(RIGHT_SET_PROPERTY_BIT))
#define RIGHT_INSPECT ((uint32_t)BIT_MASK(RIGHT_INSPECT_BIT))
/* Instead of a set of rights: those that the handle has. */
#define RIGHT_SAME ((uint32_t)BIT_MASK(RIGHT_SAME_BIT))

/* What the handle of a new region has, and below it one of READ, WRITE,
 * EXECUTE for each CAN_MAP option. */
#define RIGHTS_VMAR_DEFAULT (RIGHT_DUPLICATE | RIGHT_TRANSFER | RIGHT_INSPECT)
/* What the handle of a new VMO has. */
#define RIGHTS_VMO_DEFAULT                                                      \
        (RIGHT_DUPLICATE | RIGHT_TRANSFER | RIGHT_READ | RIGHT_WRITE |          \
         RIGHT_MAP | RIGHT_GET_PROPERTY | RIGHT_SET_PROPERTY)

#endif

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
#include "base/status.h"

const char *zx_status_name(zx_status_t status)
{
        switch (status) {
#define ZX_STATUS_CASE_(name, value) \
        case (value):                \
                return #name;
                ZX_STATUS_LIST(ZX_STATUS_CASE_)
#undef ZX_STATUS_CASE_
        default:
                return "ZX_ERR_?";
        }
}

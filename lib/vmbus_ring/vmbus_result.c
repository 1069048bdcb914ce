/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_result — names, rules and statuses; all made from the one list in the header. */
#include "vmbus_ring/vmbus_result.h"

const char *vmbus_result_name(enum vmbus_result result)
{
        switch (result) {
#define VMBUS_RESULT_NAME_(name, number, rule)                                                     \
        case name:                                                                                 \
                return #name;
                VMBUS_RESULT_LIST(VMBUS_RESULT_NAME_)
#undef VMBUS_RESULT_NAME_
        }
        return "VMBUS_?";
}

const char *vmbus_result_rule(enum vmbus_result result)
{
        switch (result) {
#define VMBUS_RESULT_RULE_(name, number, rule)                                                     \
        case name:                                                                                 \
                return rule;
                VMBUS_RESULT_LIST(VMBUS_RESULT_RULE_)
#undef VMBUS_RESULT_RULE_
        }
        return "";
}

zx_status_t vmbus_result_status(enum vmbus_result result)
{
        switch (result) {
        case VMBUS_OK:
                return ZX_OK;
        case VMBUS_EMPTY:
        case VMBUS_FULL:
        case VMBUS_BUSY:
                return ZX_ERR_SHOULD_WAIT;
        case VMBUS_COMMIT_FIRST:
                return ZX_ERR_BAD_STATE;
        case VMBUS_PIPE_END:
                return ZX_ERR_PEER_CLOSED;
        case VMBUS_BATCH_END:
                return ZX_ERR_STOP;
        case VMBUS_TOO_LARGE:
        case VMBUS_RANGE_END:
                return ZX_ERR_OUT_OF_RANGE;
        default:
                return ZX_ERR_IO_DATA_INTEGRITY;
        }
}

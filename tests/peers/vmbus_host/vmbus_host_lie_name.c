/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_lie_name — what the lies are called. Apart, as the names of the rules are. */
#include "base/compiler.h"
#include "tests/peers/vmbus_host/vmbus_host_lie.h"

static const char *const names[VMBUS_HOST_LIES][2] = {
#define VMBUS_HOST_LIE_NAME_(name, text) {#name, text},
        VMBUS_HOST_LIE_LIST(VMBUS_HOST_LIE_NAME_)
#undef VMBUS_HOST_LIE_NAME_
};

const char *vmbus_host_lie_name(enum vmbus_host_lie lie)
{
        return (unsigned)lie < VMBUS_HOST_LIES ? names[lie][0] : "?";
}

const char *vmbus_host_lie_text(enum vmbus_host_lie lie)
{
        return (unsigned)lie < VMBUS_HOST_LIES ? names[lie][1] : "?";
}

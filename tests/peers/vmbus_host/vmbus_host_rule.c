/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_rule — the names. Apart, so that an image that prints none does not carry them. */
#include "tests/peers/vmbus_host/vmbus_host_rule.h"

#include "base/compiler.h"

static const char *const names[VMBUS_HOST_RULES][2] = {
#define VMBUS_HOST_RULE_NAME_(name, rule) {#name, rule},
        VMBUS_HOST_RULE_LIST(VMBUS_HOST_RULE_NAME_)
#undef VMBUS_HOST_RULE_NAME_
};

const char *vmbus_host_rule_name(enum vmbus_host_rule rule)
{
        return (unsigned)rule < VMBUS_HOST_RULES ? names[rule][0] : "?";
}

const char *vmbus_host_rule_text(enum vmbus_host_rule rule)
{
        return (unsigned)rule < VMBUS_HOST_RULES ? names[rule][1] : "?";
}

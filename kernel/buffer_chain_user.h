/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* buffer_chain_user — messages from and to user memory: the source and the sink of
 * kernel/buffer_chain.h over kernel/user_copy.h.
 *
 * Context  as user_copy: it may fault and take locks
 * Errors   of the copy, see kernel/user_copy.h; after those of the chain
 * Facts    spec/zircon-objects.md, 4.3 and 5. Unlike there: a bad address says what is wrong with
 *          it, and what was copied before it is reported */
#ifndef KERNEL_BUFFER_CHAIN_USER_H
#define KERNEL_BUFFER_CHAIN_USER_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "kernel/buffer_chain.h"
#include "kernel/message_packet.h"

/* The next byte is read at user_va, or written there;
 * it moves on with each piece that was copied whole. */
struct buffer_chain_user_source {
        struct buffer_chain_source base;
        uint64_t user_va;
};
struct buffer_chain_user_sink {
        struct buffer_chain_sink base;
        uint64_t user_va;
};
struct buffer_chain_user_source buffer_chain_user_source(uint64_t user_va);
struct buffer_chain_user_sink buffer_chain_user_sink(uint64_t user_va);

/* buffer_chain_append from user memory. The whole range is checked before the first byte is copied.
 *   copied_out  (may be NULL) bytes in the chain now: pieces of one buffer each, as
 *               buffer_chain_append has it
 *   returns     ZX_OK; bytes 0: ZX_OK; ZX_ERR_OUT_OF_RANGE: the chain is closed or out of pages;
 *               the copy's status. Closed after every failure */
zx_status_t MUST_CHECK buffer_chain_append_user(struct buffer_chain *chain, uint64_t user_va,
                                                size_t bytes, size_t *copied_out);
/* buffer_chain_copy_out to user memory.
 *   copied_out  (may be NULL) bytes written before the failure, to the byte
 *   returns     ZX_OK; ZX_ERR_OUT_OF_RANGE: past the chain's length, nothing written;
 *               the copy's status */
zx_status_t MUST_CHECK buffer_chain_copy_out_user(const struct buffer_chain *chain,
                                                  uint64_t user_va, uint64_t offset,
                                                  size_t bytes, size_t *copied_out);

/* The iovecs of a message (kernel/message_packet.h) whose array and bytes are in user memory. */
struct message_packet_user_iovecs {
        struct message_packet_iovec_source base;
        uint64_t array_va; /* of struct message_packet_iovec, no alignment asked for */
};
struct message_packet_user_iovecs message_packet_user_iovecs(uint64_t array_va);

#endif

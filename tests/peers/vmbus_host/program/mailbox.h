/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* mailbox — the host's end of the shared pages of lib/vmbus_mailbox: messages and event flags.
 *
 * Peer        the guest writes every word at any time: each is read once, checked, and our own
 *             indices are kept here. An index that breaks the layout's rules ends the connection
 *             until the guest's next RESET
 * Facts       lib/vmbus_mailbox/vmbus_mailbox.h */
#ifndef TESTS_PEERS_VMBUS_HOST_PROGRAM_MAILBOX_H
#define TESTS_PEERS_VMBUS_HOST_PROGRAM_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/peers/vmbus_host/vmbus_host_lie.h"
#include "vmbus_mailbox/vmbus_mailbox.h"

struct mailbox {
        struct vmbus_mailbox *shared;
        uint32_t in_head;    /* messages to us: next one to read */
        uint32_t out_tail;   /* messages to the guest: next one to write */
        uint32_t generation; /* of the last reset that was done */
        bool broken;
        struct vmbus_host *liar; /* whose lies about these pages are told here; NULL: none */
};

/* A message of the guest. */
struct mailbox_message {
        uint32_t type;
        uint32_t bytes;
        uint64_t connection_id;
        uint8_t payload[VMBUS_MAILBOX_MESSAGE_BYTES_MAX];
};

/* Begins on `shared`, which is zeroed; the guest sees us from here on. Nobody lies. */
void mailbox_init(struct mailbox *mailbox, struct vmbus_mailbox *shared, uint64_t ram_bytes,
                  uint32_t our_id);
/* Whether the guest has begun anew since it was last asked; then everything is forgotten on this
 * side, and the guest is answered by mailbox_reset_done() when the caller has forgotten as well. */
bool mailbox_guest_reset(struct mailbox *mailbox);
void mailbox_reset_done(struct mailbox *mailbox);
/* Looks at the guest's next message, which stays until mailbox_took(). */
bool mailbox_peek(struct mailbox *mailbox, struct mailbox_message *message);
void mailbox_took(struct mailbox *mailbox);
/* Sends a message; false: no room, or no guest. */
bool mailbox_post(struct mailbox *mailbox, const void *bytes, uint32_t count);
/* Takes 64 event flags of the guest, those from 64 x word on. */
uint64_t mailbox_take_events(struct mailbox *mailbox, uint32_t word);
void mailbox_set_event(struct mailbox *mailbox, uint32_t flag, uint32_t vp);

#endif

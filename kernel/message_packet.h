/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* message_packet — one message of a channel: bytes and handles in one BufferChain.
 *
 *   payload of the first buffer, 4024 bytes                            further buffers, 4080 bytes
 *                                                                      each
 *   |struct message_packet, 48|handles, 8 each|txid, 4|data ...        |data ...
 *    0                         48              48 + 8 * handle_count
 *
 * The transaction id is the first four bytes of the data; it always lies in the first buffer. There
 * is no heap behind a packet: freeing its chain frees it.
 *
 * Handles are opaque pointers here. A packet carries them; it closes them when it is freed only if
 * somebody has said that it owns them (message_packet_set_owns_handles).
 *
 * Owner       whoever created it, until message_packet_free or until a channel has taken it
 * Context     one owner at a time; no lock; as the page cache below it, and as the source or sink
 *             it is given
 * Invariants  [M1] data_bytes <= 65536 and handle_count <= 64
 *             [M2] the chain's length is 48 + 8 * handle_count + data_bytes, and it is not closed
 *             [M3] slots of handles that nobody has filled are NULL
 * Facts       spec/zircon-objects.md, 5. Unlike there: more than 16 iovecs are held to 65536 bytes
 *             in all as fewer are (there it was what 17 pages hold, up to 69256 bytes); handle
 *             slots begin as NULL, not as old bytes; handles that die with a packet, and the
 *             packets that die with them, are freed in a loop, not by recursion */
#ifndef KERNEL_MESSAGE_PACKET_H
#define KERNEL_MESSAGE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/status.h"
#include "kernel/buffer_chain.h"

#define MESSAGE_PACKET_BYTES_MAX 65536u
#define MESSAGE_PACKET_HANDLES_MAX 64u
#define MESSAGE_PACKET_IOVECS_MAX 8192u
#define MESSAGE_PACKET_IOVECS_A_STEP 16u
#define MESSAGE_PACKET_TXID_BYTES 4u
#define MESSAGE_PACKET_HEADER_BYTES 48u

/* What a packet does with its handles when it owns them and is freed. */
struct message_packet_handle_ops {
        /* Closes one handle (never NULL). Packets that die with it (a channel's end that nobody has
         * read) are put at the tail of `packets` instead of being freed in here; see
         * channel_close_into. */
        void (*close)(void *handle, struct list_node *packets);
};

struct message_packet {
        struct list_node node; /* of whoever owns it */
        struct buffer_chain *chain;
        const struct message_packet_handle_ops *handle_ops;
        void **handles; /* right behind this */
        uint32_t data_bytes;
        uint16_t handle_count;
        bool owns_handles;
        uint8_t reserved;
};
_Static_assert(sizeof(struct message_packet) == MESSAGE_PACKET_HEADER_BYTES, "5");
_Static_assert(MESSAGE_PACKET_HEADER_BYTES + MESSAGE_PACKET_HANDLES_MAX * sizeof(void *) +
                       MESSAGE_PACKET_TXID_BYTES <= BUFFER_CHAIN_CONTIG_BYTES,
               "5: the transaction id is contiguous with the handles and the packet");

/* ---- creation ----
 *
 * All of them:
 *   cache       where pages come from; must outlive the packet
 *   packet_out  out: a packet with `handle_count` empty slots that owns no handles; untouched on
 *               failure
 *   returns     ZX_OK; ZX_ERR_OUT_OF_RANGE: more than 65536 bytes or 64 handles; ZX_ERR_NO_MEMORY;
 *               the source's own status. After a failure nothing has changed but the
 *               source's position */

/* From a source that can fail, such as user memory (kernel/buffer_chain_user.h). */
zx_status_t MUST_CHECK message_packet_create(struct page_cache *cache,
                                             struct buffer_chain_source *source,
                                             size_t data_bytes, size_t handle_count,
                                             struct message_packet **packet_out);
/* From kernel memory; data_bytes 0: `data` is not looked at. */
zx_status_t MUST_CHECK message_packet_create_kernel(struct page_cache *cache, const void *data,
                                                    size_t data_bytes, size_t handle_count,
                                                    struct message_packet **packet_out);

/* One piece of a message that is scattered; the layout of zx_channel_iovec_t. */
struct message_packet_iovec {
        uint64_t address; /* in the source's terms */
        uint32_t bytes;
        uint32_t reserved; /* 0 */
};
_Static_assert(sizeof(struct message_packet_iovec) == 16, "the caller's program writes it");

/* Where iovecs and what they point at come from. Each entry is read once;
 * what it said then counts. */
struct message_packet_iovec_source {
        /* Entries first .. first + count - 1; count <= MESSAGE_PACKET_IOVECS_A_STEP. */
        zx_status_t (*read_iovecs)(struct message_packet_iovec_source *source,
                                   struct message_packet_iovec *iovecs, uint32_t first,
                                   uint32_t count);
        zx_status_t (*read_bytes)(struct message_packet_iovec_source *source, void *destination,
                                  uint64_t address, size_t bytes);
};

/* Gathers `iovec_count` pieces, which may be empty, in order. At most 16 entries are looked at at a
 * time: up to 16 the packet is allocated to size, beyond it for 65536 bytes, and what it does not
 * need is given back.
 *   returns  also ZX_ERR_OUT_OF_RANGE: more than 8192 iovecs, or more than 65536 bytes in all;
 *            ZX_ERR_INVALID_ARGS: a reserved field is not 0 (checked before the bytes of its step
 *            are copied) */
zx_status_t MUST_CHECK message_packet_create_iovecs(struct page_cache *cache,
                                                    struct message_packet_iovec_source *source,
                                                    uint32_t iovec_count, size_t handle_count,
                                                    struct message_packet **packet_out);

/* Frees the packet and, if it owns them, closes its handles in order. Handles' packets that die
 * with them are freed likewise, one after the other, however deep they were nested. */
void message_packet_free(struct message_packet *packet);
/* The same for all packets on a list, which becomes empty. */
void message_packet_free_list(struct list_node *packets);

/* ---- contents ---- */

static inline uint32_t message_packet_data_bytes(const struct message_packet *packet)
{
        return packet->data_bytes;
}
/* The slots; the caller fills them, in any order. */
static inline void **message_packet_handles(struct message_packet *packet)
{
        return packet->handles;
}
static inline uint32_t message_packet_handle_count(const struct message_packet *packet)
{
        return packet->handle_count;
}
static inline struct message_packet *message_packet_from_node(struct list_node *node)
{
        return CONTAINER_OF(node, struct message_packet, node);
}

/* Whether freeing the packet closes its handles, and how. On: `ops` must not be NULL. A reader that
 * has taken the handles out sets it off. */
void message_packet_set_owns_handles(struct message_packet *packet, bool owns,
                                     const struct message_packet_handle_ops *ops);

/* The first four bytes of the data, 0 when there are fewer. */
uint32_t message_packet_txid(const struct message_packet *packet);
/* Nothing happens when the data is shorter than four bytes. */
void message_packet_set_txid(struct message_packet *packet, uint32_t txid);

/* Copies all of the data out.
 *   returns  ZX_OK; the sink's own status: what was written before it stays written.
 *            Any number of times */
zx_status_t MUST_CHECK message_packet_copy_data(const struct message_packet *packet,
                                                struct buffer_chain_sink *sink);
/* To kernel memory of at least message_packet_data_bytes. */
void message_packet_copy_data_kernel(const struct message_packet *packet, void *destination);

/* [M1], [M2] and the chain's validity; walks the chain. */
bool message_packet_valid(const struct message_packet *packet);

#endif

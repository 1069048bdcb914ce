/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo_buffer — TxBuffer and RxBuffer: a frame as up to four pieces of registered VMOs, in a row.
 *
 *   struct tx_buffer | struct rx_buffer
 *     struct vmo_buffer:  store, length,  part 0 -> part 1 -> ...      (buffer id, vmo id, offset,
 *                         length)
 *
 * Regions are what a peer wrote and are not looked at before bytes are moved. Then everything is
 * checked first and copied afterwards: an error has copied nothing.
 *
 * Owner       the caller's storage; no resources behind it, it is dropped by forgetting it. The
 *             store must outlive it
 * Context     one owner at a time; the store as vmo_store.h says
 * Invariants  [F1] part_count <= VMO_BUFFER_PARTS_MAX; length is the sum of the parts' lengths and
 *             did not overflow
 * Facts       spec/zircon-objects.md, 10.1, 10.4. Beyond it: a fifth part is an error, Write and
 *             CopyFrom check all before they copy, the id of a TxBuffer is defined without parts */
#ifndef KERNEL_VMO_BUFFER_H
#define KERNEL_VMO_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "kernel/vmo_store.h"

#define VMO_BUFFER_PARTS_MAX 4

struct vmo_buffer_part {
        uint32_t buffer_id;
        struct vmo_region region;
};

struct vmo_buffer {
        struct vmo_store *store;
        uint64_t length;
        uint32_t part_count;
        struct vmo_buffer_part parts[VMO_BUFFER_PARTS_MAX];
};

/* ---- both kinds ---- */

static inline uint64_t vmo_buffer_length(const struct vmo_buffer *buffer)
{
        return buffer->length;
}

/* Adds a part at the end. ZX_ERR_INVALID_ARGS: there are four, or the lengths add up past 2^64;
 * nothing changed. */
zx_status_t MUST_CHECK vmo_buffer_push(struct vmo_buffer *buffer, uint32_t buffer_id,
                                       struct vmo_region region);

/* All bytes of all parts, in order, to `destination`, which has room for `capacity`.
 *   read_out  out: how many, vmo_buffer_length
 *   returns   ZX_OK; ZX_ERR_BUFFER_TOO_SMALL: capacity; the store's status of the first part that
 *             is bad; nothing was written then */
zx_status_t MUST_CHECK vmo_buffer_read(const struct vmo_buffer *buffer, void *destination,
                                       size_t capacity, size_t *read_out);
/* Fills the parts in order.
 *   bytes    0: ZX_OK without a look at any part
 *   returns  ZX_OK; ZX_ERR_OUT_OF_RANGE: more bytes than all parts hold; the store's status of the
 *            first part that is needed and bad, looking only at the bytes that are needed; no byte
 *            was written then. With ZX_ERR_NO_MEMORY, pages of earlier parts may be there now */
zx_status_t MUST_CHECK vmo_buffer_write(struct vmo_buffer *buffer, const void *source,
                                        size_t bytes);
/* All bytes of `from` into the parts of `to`, split at the borders of both; the ranges may overlap
 * only if no byte is written before it is read (as one part on one part).
 *   copied_out  out: how many
 *   returns     ZX_OK; ZX_ERR_INTERNAL: `to` holds fewer bytes than `from`; the store's status of
 *               the first part that is bad, all of `from` first, then what vmo_buffer_write looks
 *               at in `to`; no byte was written then, pages as there */
zx_status_t MUST_CHECK vmo_buffer_copy_from(struct vmo_buffer *to, const struct vmo_buffer *from,
                                            uint64_t *copied_out);

/* [F1] */
bool vmo_buffer_valid(const struct vmo_buffer *buffer);

/* ---- transmit ---- */

/* A request for transmission, as a client makes it. */
struct tx_request {
        uint32_t id;
        const struct vmo_region *regions;
        uint32_t region_count; /* more than VMO_BUFFER_PARTS_MAX is an error */
        uint8_t port_id;
        uint8_t frame_type;
        uint32_t flags;
};

enum tx_info_type { TX_INFO_NONE = 0 };

struct tx_metadata {
        enum tx_info_type info_type;
        uint32_t flags;
};

struct tx_buffer {
        struct vmo_buffer buffer;
        uint32_t id;
        uint8_t port_id;
        uint8_t frame_type;
        bool has_metadata;
        struct tx_metadata metadata;
};

/* MakeTxBuffer. ZX_ERR_INVALID_ARGS: more than four regions, or lengths that add up past 2^64. */
zx_status_t MUST_CHECK vmo_store_make_tx_buffer(struct vmo_store *store,
                                                const struct tx_request *request,
                                                bool want_metadata, struct tx_buffer *tx);
static inline uint32_t tx_buffer_id(const struct tx_buffer *tx)
{
        return tx->id;
}
/* TakeMetadata: false when it was not wanted or has been taken. */
bool MUST_CHECK tx_buffer_take_metadata(struct tx_buffer *tx, struct tx_metadata *metadata);

/* ---- receive ---- */

/* Space for a received frame. */
struct rx_space {
        uint32_t id;
        struct vmo_region region;
};

struct rx_buffer {
        struct vmo_buffer buffer;
};

/* MakeRxSpaceBuffer: one part. MakeEmptyRxBuffer: none. */
void vmo_store_make_rx_space_buffer(struct vmo_store *store, const struct rx_space *space,
                                    struct rx_buffer *rx);
void vmo_store_make_empty_rx_buffer(struct vmo_store *store, struct rx_buffer *rx);
/* PushRxSpace: errors as vmo_buffer_push. */
zx_status_t MUST_CHECK rx_buffer_push_space(struct rx_buffer *rx, const struct rx_space *space);

/* WithSpace: called for each part, in order. */
typedef void (*rx_space_fn)(void *context, uint32_t id, struct vmo_region region);
void rx_buffer_with_space(const struct rx_buffer *rx, rx_space_fn function, void *context);

/* WithReturn: called once for each part, in order, with offset 0 and the bytes of it that were
 * written if `written` bytes went in from the start; 0 for parts behind them. */
typedef void (*rx_return_fn)(void *context, uint32_t id, uint64_t offset, uint64_t length);
void rx_buffer_with_return(const struct rx_buffer *rx, uint64_t written, rx_return_fn function,
                           void *context);

#endif

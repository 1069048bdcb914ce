/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_inspect — snapshots, predicates, text. Facts: spec/vmbus.md, d.6. */
#include "vmbus_ring/vmbus_inspect.h"

/* Payload bytes shown of each packet. */
#define SHOWN_BYTES_MAX 16u

void vmbus_inspect_control(const struct vmbus_control_page *control, uint32_t data_bytes,
                           struct vmbus_control_view *view)
{
        *view = (struct vmbus_control_view){
                .data_bytes = data_bytes,
                .in = shared_load_u32(&control->in),
                .out = shared_load_u32(&control->out),
                .interrupt_mask = shared_load_u32(&control->interrupt_mask),
                .pending_send_size = shared_load_u32(&control->pending_send_size),
                .feature_bits = shared_load_u32(&control->feature_bits),
                .guest_to_host_interrupt_count =
                        shared_load_u64(&control->guest_to_host_interrupt_count)};
        view->indices_valid = view->in < data_bytes && is_aligned(view->in, VMBUS_WORD_BYTES) &&
                              view->out < data_bytes && is_aligned(view->out, VMBUS_WORD_BYTES);
        if (!view->indices_valid)
                return;
        const struct vmbus_memory sizes = {.data_bytes = data_bytes};
        view->used_bytes = vmbus_memory_distance(&sizes, view->out, view->in);
        view->free_bytes = vmbus_memory_free(&sizes, view->in, view->out);
}

bool vmbus_reader_needs_signal(const struct vmbus_control_page *control, uint32_t data_bytes)
{
        struct vmbus_control_view view;
        vmbus_inspect_control(control, data_bytes, &view);
        return view.indices_valid && view.interrupt_mask == VMBUS_INTERRUPTS_UNMASKED &&
               view.used_bytes != 0;
}

bool vmbus_writer_needs_signal(const struct vmbus_control_page *control, uint32_t data_bytes)
{
        struct vmbus_control_view view;
        vmbus_inspect_control(control, data_bytes, &view);
        uint32_t pending = view.pending_send_size & ~(VMBUS_WORD_BYTES - 1); /* c.3, 2 */
        return view.indices_valid && pending != 0 && view.free_bytes >= pending;
}

/* ---- text ---- */

static void put_char(struct vmbus_text *text, char c)
{
        if (text->length + 1 >= text->capacity) {
                text->truncated = true;
                return;
        }
        text->buffer[text->length++] = c;
        text->buffer[text->length] = '\0';
}

static void put_string(struct vmbus_text *text, const char *string)
{
        for (; *string != '\0'; string++) /* ours, and short */
                put_char(text, *string);
}

static void put_digits(struct vmbus_text *text, uint64_t number, uint32_t base, uint32_t least)
{
        char digits[20]; /* 2^64 - 1 has so many in base 10 */
        uint32_t count = 0;
        do {
                digits[count++] = "0123456789abcdef"[number % base];
                number /= base;
        } while (number != 0);
        for (; least > count; least--)
                put_char(text, '0');
        while (count != 0)
                put_char(text, digits[--count]);
}

/* " name 0x1f" */
static void put_hex(struct vmbus_text *text, const char *name, uint64_t number)
{
        put_char(text, ' ');
        put_string(text, name);
        put_string(text, " 0x");
        put_digits(text, number, 16, 1);
}

/* " name 31" */
static void put_number(struct vmbus_text *text, const char *name, uint64_t number)
{
        put_char(text, ' ');
        put_string(text, name);
        put_char(text, ' ');
        put_digits(text, number, 10, 1);
}

void vmbus_print_control(struct vmbus_text *text, const struct vmbus_control_view *view)
{
        put_string(text, "ring");
        put_hex(text, "size", view->data_bytes);
        put_hex(text, "in", view->in);
        put_hex(text, "out", view->out);
        put_hex(text, "mask", view->interrupt_mask);
        put_hex(text, "pending", view->pending_send_size);
        put_hex(text, "features", view->feature_bits);
        put_number(text, "signals", view->guest_to_host_interrupt_count);
        if (view->indices_valid) {
                put_number(text, "used", view->used_bytes);
                put_number(text, "free", view->free_bytes);
        } else {
                put_string(text, " bad index");
        }
        put_char(text, '\n');
}

static const char *state_name(enum vmbus_end_state state)
{
        return state == VMBUS_END_READY ? "ready" : state == VMBUS_END_ASLEEP ? "asleep"
                                                                              : "corrupt";
}

static void put_fault(struct vmbus_text *text, const struct vmbus_fault *fault)
{
        if (fault->reason != VMBUS_OK) {
                put_char(text, ' ');
                put_string(text, vmbus_result_name(fault->reason));
                put_hex(text, "at", fault->index);
                put_hex(text, "value", fault->value);
                put_hex(text, "limit", fault->limit);
        }
        put_char(text, '\n');
}

static void put_memory(struct vmbus_text *text, const struct vmbus_memory *memory)
{
        struct vmbus_control_view view;
        vmbus_inspect_control(memory->control, memory->data_bytes, &view);
        vmbus_print_control(text, &view);
}

/* What the lines of both ends end with. */
static NOINLINE void put_end(struct vmbus_text *text, uint64_t signals, uint64_t polls,
                             const struct vmbus_fault *fault)
{
        put_number(text, "signals", signals);
        put_number(text, "polls", polls);
        put_fault(text, fault);
}

void vmbus_print_sender(struct vmbus_text *text, const struct vmbus_sender *sender,
                        const struct vmbus_send_position *position)
{
        put_memory(text, &sender->memory);
        put_string(text, "sender ");
        put_string(text, state_name(sender->state));
        put_hex(text, "next_in", position->next_in);
        put_hex(text, "committed_in", position->committed_in);
        put_hex(text, "cached_out", position->cached_out);
        put_end(text, sender->signals.sent, sender->polls, &sender->fault);
}

void vmbus_print_receiver(struct vmbus_text *text, const struct vmbus_receiver *receiver,
                          const struct vmbus_receive_position *position)
{
        put_memory(text, &receiver->memory);
        put_string(text, "receiver ");
        put_string(text, state_name(receiver->state));
        put_hex(text, "next_out", position->next_out);
        put_hex(text, "committed_out", position->committed_out);
        put_hex(text, "cached_in", position->cached_in);
        put_end(text, receiver->signals.sent, receiver->polls, &receiver->fault);
}

static const char *type_name(enum vmbus_packet_type type)
{
        switch (type) {
        case VMBUS_PACKET_IN_BAND:
                return "in-band";
        case VMBUS_PACKET_COMPLETION:
                return "completion";
        case VMBUS_PACKET_GPA_DIRECT:
                return "gpa-direct";
        case VMBUS_PACKET_TRANSFER_PAGES:
                return "transfer-pages";
        }
        return "?";
}

static void put_packet(struct vmbus_text *text, const struct vmbus_receiver *probe, uint32_t start,
                       const struct vmbus_incoming *packet)
{
        uint8_t bytes[SHOWN_BYTES_MAX];
        struct vmbus_range shown = {packet->payload.offset,
                                    (uint32_t)min_u64(packet->payload.bytes, SHOWN_BYTES_MAX)};
        put_string(text, "0x");
        put_digits(text, start, 16, 4);
        put_char(text, ' ');
        put_string(text, type_name(packet->type));
        if (packet->has_transaction_id)
                put_hex(text, "id", packet->transaction_id);
        if (packet->completion_requested)
                put_string(text, " wants-completion");
        if (packet->type == VMBUS_PACKET_TRANSFER_PAGES)
                put_hex(text, "set", packet->transfer_page_set_id);
        if (packet->type == VMBUS_PACKET_TRANSFER_PAGES || packet->type == VMBUS_PACKET_GPA_DIRECT)
                put_number(text, "ranges", packet->range_count);
        put_number(text, "payload", packet->payload.bytes);
        vmbus_memory_copy_in(&probe->memory, shown.offset, bytes, shown.bytes);
        for (uint32_t i = 0; i < shown.bytes; i++) {
                put_string(text, i == 0 ? ": " : " ");
                put_digits(text, bytes[i], 16, 2);
        }
        put_string(text, shown.bytes < packet->payload.bytes ? " ...\n" : "\n");
}

/* A receiver that was never started writes nothing: it only lacks what vmbus_receiver_init() stores
 * for the peer to see. */
void vmbus_print_packets(struct vmbus_text *text, const struct vmbus_memory *memory,
                         uint32_t packets_max)
{
        struct vmbus_receiver probe = {.memory = *memory, .state = VMBUS_END_READY};
        struct vmbus_receive_position position;
        enum vmbus_result result = vmbus_receiver_position(&probe, &position);
        for (uint32_t i = 0; result == VMBUS_OK && i < packets_max; i++) {
                struct vmbus_incoming packet;
                uint32_t start = position.next_out;
                result = vmbus_receiver_read(&probe, &position, &packet);
                if (result == VMBUS_OK)
                        put_packet(text, &probe, start, &packet);
        }
        put_string(text, result == VMBUS_OK ? "and no more were asked for" : "then");
        if (result == VMBUS_EMPTY)
                put_string(text, " VMBUS_EMPTY");
        put_fault(text, &probe.fault);
}

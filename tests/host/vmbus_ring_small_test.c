/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_small_test — every state of a ring of eight slots, and every step from each.
 *
 * A page of data, packets of 512 bytes: eight slots, seven of which can be in use. A state of the
 * whole is where each of the indices stands, what each end believes of the other, whether signals
 * are masked, how much room the producer waits for, what of the receiver's commits is put off, and
 * whether an end sleeps. All of them are made by hand and every operation is tried from each; what
 * must come out is counted in slots. */
#include "tests/boot/vmbus_ring_rig.h"
#include "tests/expect.h"

#define SLOTS 8u
#define SLOT_BYTES 512u
#define SLOT_WORDS (SLOT_BYTES / VMBUS_WORD_BYTES)
#define PUT_OFF_MAX (SLOTS / 2) /* slots; a commit that would put off so many settles */

/* Slots, counted up from out (the published one): 0 <= next_out, cached_in <= in <= next_in, and
 * so on; `lag` is how far the producer's cached_out is behind out. */
struct state {
        uint32_t out;      /* the slot number, 0 .. 7; all others are distances */
        uint32_t committed; /* in - out */
        uint32_t written;  /* next_in - out */
        uint32_t read;     /* next_out - out */
        uint32_t known;    /* cached_in - out */
        uint32_t lag;      /* out - cached_out */
};

static uint32_t index_of(uint32_t slot)
{
        return slot % SLOTS * SLOT_BYTES;
}

static bool possible(const struct state *state)
{
        return state->written < SLOTS && state->committed <= state->written &&
               state->known <= state->committed && state->read <= state->known &&
               state->written + state->lag < SLOTS;
}

/* Puts the ring and both ends into a state; the slots that are committed hold good packets. */
static void enter(struct rig *rig, const struct state *state)
{
        const uint64_t word0 = VMBUS_WORD0(6, 2, (SLOT_BYTES - 8) / 8, 0);
        rig->memory.control->out = index_of(state->out);
        rig->memory.control->in = index_of(state->out + state->committed);
        rig->memory.control->interrupt_mask = 1;
        rig->memory.control->pending_send_size = 0;
        rig->sender.state = VMBUS_END_READY;
        rig->receiver.state = VMBUS_END_READY;
        rig->to = (struct vmbus_send_position){
                .next_in = index_of(state->out + state->written),
                .committed_in = index_of(state->out + state->committed),
                .cached_out = index_of(state->out + SLOTS - state->lag)};
        rig->from = (struct vmbus_receive_position){
                .next_out = index_of(state->out + state->read),
                .committed_out = index_of(state->out),
                .cached_in = index_of(state->out + state->known)};
        for (uint32_t i = 0; i < SLOTS; i++)
                memcpy(rig->memory.data + index_of(i), &word0, 8);
}

static void try_sender(struct test *t, struct rig *rig, const struct state *state)
{
        for (uint32_t slots = 1; slots <= SLOTS; slots++) {
                enum vmbus_result wanted = slots == SLOTS                 ? VMBUS_TOO_LARGE
                                         : state->written + slots < SLOTS ? VMBUS_OK
                                                                          : VMBUS_FULL;
                enter(rig, state);
                REQUIRE_EQ(vmbus_sender_can_write(&rig->sender, &rig->to, slots * SLOT_BYTES),
                           wanted);
                enter(rig, state);
                REQUIRE_EQ(put_total(rig, slots * SLOT_BYTES), wanted);
                REQUIRE_EQ(rig->to.next_in, index_of(state->out + state->written +
                                                     (wanted == VMBUS_OK ? slots : 0)));
                REQUIRE_EQ(rig->memory.control->in, index_of(state->out + state->committed));

                enter(rig, state);
                if (wanted == VMBUS_FULL && state->written - state->committed + slots >= SLOTS)
                        wanted = VMBUS_COMMIT_FIRST;
                REQUIRE_EQ(vmbus_sender_prepare_to_sleep(&rig->sender, &rig->to,
                                                         slots * SLOT_BYTES, 0),
                           wanted);
                REQUIRE_EQ(rig->memory.control->pending_send_size,
                           wanted == VMBUS_FULL
                                   ? (state->written - state->committed + slots) * SLOT_BYTES
                                   : 0);
        }
        for (uint32_t mask = 0; mask < 2; mask++) {
                enter(rig, state);
                rig->memory.control->interrupt_mask = mask;
                REQUIRE_EQ(commit(rig), mask == 0 && state->written != state->committed &&
                                                state->committed == 0);
                REQUIRE_EQ(rig->memory.control->in, index_of(state->out + state->written));
        }
        enter(rig, state);
        vmbus_sender_revert(&rig->to);
        REQUIRE_EQ(rig->to.next_in, index_of(state->out + state->committed));
}

static void try_receiver(struct test *t, struct rig *rig, const struct state *state)
{
        struct vmbus_incoming packet;
        enter(rig, state);
        REQUIRE_EQ(get(rig, &packet), state->read < state->committed ? VMBUS_OK : VMBUS_EMPTY);
        REQUIRE_EQ(rig->from.next_out,
                   index_of(state->out + state->read + (state->read < state->committed)));
        enter(rig, state);
        REQUIRE_EQ(receiver_sleeps(rig), state->read != 0        ? VMBUS_COMMIT_FIRST
                                         : state->committed != 0 ? VMBUS_OK
                                                                 : VMBUS_EMPTY);
        REQUIRE_EQ(rig->memory.control->interrupt_mask, state->committed != 0);
        enter(rig, state);
        vmbus_receiver_revert(&rig->from);
        REQUIRE_EQ(rig->from.next_out, index_of(state->out));
        for (uint32_t pending = 0; pending <= SLOTS; pending++) {
                uint32_t before = SLOTS - state->committed, after = before + state->read;
                enter(rig, state);
                /* A word less than whole slots, as is free; 0 for nothing. */
                rig->memory.control->pending_send_size =
                        pending == 0 ? 0 : pending * SLOT_BYTES - 8;
                REQUIRE_EQ(give_back(rig), state->read != 0 && pending != 0 && before < pending &&
                                                   pending <= after);
                REQUIRE_EQ(rig->memory.control->out, index_of(state->out + state->read));
        }
}

/* Whether a look behind a fence finds a producer whose wait for `pending` slots the last `given`
 * ones have ended, with `free` of them free now. */
static bool wait_ends(uint32_t free, uint32_t given, uint32_t pending)
{
        uint32_t before = given < free ? free - given : 0;
        return before < pending && pending <= free;
}

/* The receiver's commits with `put_off` slots given back and not settled, and its way to sleep. */
static void try_put_off(struct test *t, struct rig *rig, const struct state *state,
                        uint32_t put_off)
{
        uint32_t free = SLOTS - state->committed, given = put_off + state->read;
        for (uint32_t pending = 0; pending <= SLOTS; pending++) {
                uint32_t pending_bytes = pending == 0 ? 0 : pending * SLOT_BYTES - 8;
                bool settles = state->read == 0 || pending != 0 || given >= PUT_OFF_MAX;
                enter(rig, state);
                rig->from.unsettled_words = put_off * SLOT_WORDS;
                rig->memory.control->pending_send_size = pending_bytes;
                REQUIRE_EQ(give_back(rig),
                           settles && wait_ends(free + state->read, given, pending));
                REQUIRE_EQ(rig->from.unsettled_words, settles ? 0 : given * SLOT_WORDS);

                enter(rig, state);
                rig->from.unsettled_words = put_off * SLOT_WORDS;
                rig->memory.control->pending_send_size = pending_bytes;
                (void)receiver_sleeps(rig);
                REQUIRE_EQ(rig->owed, state->read == 0 && wait_ends(free, put_off, pending));
                REQUIRE_EQ(rig->from.unsettled_words,
                           state->read == 0 ? 0 : put_off * SLOT_WORDS);
        }
}

/* A receiver that sleeps; what is committed came since. */
static void try_sleeping_receiver(struct test *t, struct rig *rig, const struct state *state)
{
        struct vmbus_incoming packet;
        enum vmbus_result wanted = state->committed != 0 ? VMBUS_OK : VMBUS_EMPTY;
        for (uint32_t way = 0; way < 3; way++) {
                enter(rig, state);
                rig->receiver.state = VMBUS_END_ASLEEP;
                rig->memory.control->interrupt_mask = way == 2; /* by somebody else */
                enum vmbus_result awake = way == 2 ? VMBUS_BAD_INTERRUPT_MASK : VMBUS_OK;
                REQUIRE_EQ(vmbus_receiver_check_sleep(&rig->receiver), awake);
                if (way == 1)
                        vmbus_receiver_cancel_sleep(&rig->receiver);
                else
                        REQUIRE_EQ(vmbus_receiver_woken(&rig->receiver), awake);
                REQUIRE_EQ(rig->memory.control->interrupt_mask, 1);
                REQUIRE_EQ(get(rig, &packet), way == 2 ? awake : wanted);
        }
        enter(rig, state);
        rig->receiver.state = VMBUS_END_ASLEEP;
        rig->memory.control->interrupt_mask = 0;
        REQUIRE_EQ(commit(rig), state->written != state->committed && state->committed == 0);
        REQUIRE_EQ(vmbus_receiver_woken(&rig->receiver), VMBUS_OK);
        REQUIRE_EQ(get(rig, &packet), state->written != 0 ? VMBUS_OK : VMBUS_EMPTY);
}

/* A sender that sleeps for `slots`, in every state in which it can: it is signalled by the commit
 * that makes them fit, and by no other. */
static void try_sleeping_sender(struct test *t, struct rig *rig, const struct state *state,
                                uint32_t slots)
{
        bool fits = state->written - state->read + slots < SLOTS;
        uint32_t asked = state->written - state->committed + slots;
        if (state->written + slots < SLOTS || asked >= SLOTS)
                return;
        for (uint32_t way = 0; way < 2; way++) {
                enter(rig, state);
                rig->sender.state = VMBUS_END_ASLEEP;
                rig->memory.control->pending_send_size = asked * SLOT_BYTES;
                REQUIRE_EQ(give_back(rig), state->read != 0 && fits);
                REQUIRE_EQ(rig->memory.control->pending_send_size, asked * SLOT_BYTES);
                if (way == 1)
                        vmbus_sender_cancel_sleep(&rig->sender);
                else
                        REQUIRE_EQ(vmbus_sender_woken(&rig->sender), VMBUS_OK);
                REQUIRE_EQ(rig->memory.control->pending_send_size, 0);
                REQUIRE_EQ(put_total(rig, slots * SLOT_BYTES),
                           state->read != 0 && fits ? VMBUS_OK : VMBUS_FULL);
        }
}

/* What the peer's index may turn into: judged by where it may go from the state. */
static void try_bad_indices(struct test *t, struct rig *rig, const struct state *state)
{
        struct vmbus_incoming packet;
        for (uint32_t slot = 0; slot < SLOTS; slot++) {
                uint32_t ahead = (slot + SLOTS - state->out) % SLOTS;
                enter(rig, state);
                rig->memory.control->in = index_of(slot);
                if (state->read == state->known) { /* else `in` is not looked at */
                        enum vmbus_result wanted = ahead < state->known   ? VMBUS_BAD_IN_BACKWARDS
                                                 : ahead == state->read ? VMBUS_EMPTY
                                                                        : VMBUS_OK;
                        REQUIRE_EQ(get(rig, &packet), wanted);
                }
                enter(rig, state);
                rig->memory.control->out = index_of(slot);
                uint32_t used = (state->committed + SLOTS - ahead) % SLOTS;
                bool grown = used > state->committed + state->lag;
                enum vmbus_result result =
                        vmbus_sender_prepare_to_sleep(&rig->sender, &rig->to, SLOT_BYTES, 0);
                if (result == VMBUS_COMMIT_FIRST)
                        continue;
                REQUIRE_EQ(result == VMBUS_BAD_OUT_BACKWARDS, grown);
        }
}

TEST_WITH(vmbus_ring, every_state_of_eight_slots_takes_every_step, 0, 120000)
{
        struct state state;
        uint32_t count = 0;
        struct rig rig;
        OPEN(rig, 1, 0);
        for (uint32_t number = 0; number < 1u << 18; number++) {
                state = (struct state){number % 8,       number / 8 % 8,    number / 64 % 8,
                                       number / 512 % 8, number / 4096 % 8, number / 32768};
                if (!possible(&state))
                        continue;
                count++;
                try_sender(t, &rig, &state);
                try_receiver(t, &rig, &state);
                try_bad_indices(t, &rig, &state);
                for (uint32_t put_off = 0; put_off < PUT_OFF_MAX; put_off++)
                        try_put_off(t, &rig, &state, put_off);
                if (state.read == 0 && state.known == 0)
                        try_sleeping_receiver(t, &rig, &state);
                for (uint32_t slots = 1; state.lag == 0 && slots < SLOTS; slots++)
                        try_sleeping_sender(t, &rig, &state, slots);
                if (test_has_failed(t)) {
                        test_log(t, "out %u committed %u written %u read %u known %u lag %u",
                                 state.out, state.committed, state.written, state.read, state.known,
                                 state.lag);
                        return;
                }
        }
        /* 8 places of out, and read <= known <= committed <= written <= 7 - lag: C(8 + 4, 5). */
        EXPECT_EQ(count, 8u * 792u);
}

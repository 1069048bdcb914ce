/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_model — the two ends of a ring under the relacy model checker.
 *
 * lib/vmbus_ring is compiled as it stands, as C++, over tests/model/shim/base/shared.h. What relacy
 * finds: a packet's word that is read before it was published or overwritten before it was given
 * back (a data race; c.5, 1 and 2), an end that sleeps for ever because its signal was lost (a
 * deadlock; c.5, 3 to 6), and a signal for a packet that was read before its receiver slept (an
 * assertion; c.5, 7). Of vmbus_multi: what one processor leaves to the next under the lock, and
 * what a signal's count brings with it.
 *
 * Usage: PROGRAM ITERATIONS [SCENARIO]      exit status 0: nothing found
 * Needs relacy (Debian: relacy-dev). */
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <relacy/relacy.hpp>
#include <relacy/pthread.h>

#include "tests/model/scenario.h"

#define _Static_assert static_assert
#define _Noreturn [[noreturn]]
#define restrict __restrict__

namespace ring
{
#include "vmbus_ring/vmbus_sender.c"
#include "vmbus_ring/vmbus_receiver.c"
#include "vmbus_ring/vmbus_memory.c"
#include "vmbus_ring/vmbus_gpa.c"
#include "vmbus_ring/vmbus_multi.c"

void *memcpy(void *__restrict__ to, const void *__restrict__ from, size_t bytes)
{
        return __builtin_memcpy(to, from, bytes);
}
void *memset(void *to, int value, size_t bytes)
{
        return __builtin_memset(to, value, bytes);
}
[[noreturn]] void assert_failed(const char *file, unsigned line, const char *expression)
{
        fprintf(stderr, "assertion failed: %s:%u: %s\n", file, line, expression);
        abort();
}
} // namespace ring

using namespace ring;

enum { DATA_BYTES = 4096, PAYLOAD_BYTES = 2016, PACKET_BYTES = 2040 }; /* two fit */

struct two_ends {
        model_words words;
        vmbus_memory memory;
        vmbus_sender sender;
        vmbus_receiver receiver;
        vmbus_send_position to;
        vmbus_receive_position from;
        sem_t sender_signal, receiver_signal;
        bool signalled; /* the receiver, ever */

        void open()
        {
                model = &words;
                for (int i = 0; i < 5; i++)
                        words.control[i].store(0, rl::memory_order_relaxed);
                RL_ASSERT(vmbus_memory_init_flat(&memory, control_place, data_place, DATA_BYTES) ==
                          ZX_OK);
                vmbus_sender_init(&sender, &memory);
                vmbus_receiver_init(&receiver, &memory);
                RL_ASSERT(vmbus_sender_position(&sender, &to) == VMBUS_OK);
                RL_ASSERT(vmbus_receiver_position(&receiver, &from) == VMBUS_OK);
                sem_init(&sender_signal, 0, 0);
                sem_init(&receiver_signal, 0, 0);
                signalled = false;
        }

        void open_full()
        {
                open();
                send(0);
                send(1);
        }

        void close()
        {
                sem_destroy(&sender_signal);
                sem_destroy(&receiver_signal);
        }

        /* Writes one packet, sleeping for room; its first and last payload words say which it is.
         * The first lies where the consumer has just read a descriptor, when a packet is written
         * into the room that its last but one has left. */
        void send(uint64_t number)
        {
                vmbus_outgoing packet = {};
                packet.kind = VMBUS_SEND_COMPLETION;
                packet.payload_bytes = PAYLOAD_BYTES;
                packet.transaction_id = number;
                vmbus_range payload;
                vmbus_result result;
                while ((result = vmbus_sender_write(&sender, &to, &packet, &payload)) ==
                       VMBUS_FULL) {
                        result = vmbus_sender_prepare_to_sleep(&sender, &to, PACKET_BYTES, 0);
                        RL_ASSERT(result == VMBUS_FULL || result == VMBUS_OK);
                        if (result == VMBUS_OK)
                                continue;
                        sem_wait(&sender_signal);
                        RL_ASSERT(vmbus_sender_woken(&sender) == VMBUS_OK);
                }
                RL_ASSERT(result == VMBUS_OK);
                vmbus_memory_store_u64(&memory, payload.offset, number + 50);
                vmbus_memory_store_u64(
                        &memory, vmbus_memory_advance(&memory, payload.offset, PAYLOAD_BYTES - 8),
                        number + 100);
                if (vmbus_sender_commit(&sender, &to)) {
                        signalled = true;
                        sem_post(&receiver_signal);
                }
        }

        /* Reads one packet, sleeping until it comes, and gives it back. */
        void receive(uint64_t number)
        {
                vmbus_incoming packet;
                vmbus_result result;
                bool owed;
                /* Both ways of reading take turns. */
                while ((result = number % 2 == 0
                                         ? vmbus_receiver_read(&receiver, &from, &packet)
                                         : vmbus_receiver_take(&receiver, &from, &packet)) ==
                       VMBUS_EMPTY) {
                        result = vmbus_receiver_prepare_to_sleep(&receiver, &from, &owed);
                        if (owed)
                                sem_post(&sender_signal);
                        RL_ASSERT(result == VMBUS_EMPTY || result == VMBUS_OK);
                        if (result == VMBUS_OK)
                                continue;
                        sem_wait(&receiver_signal);
                        RL_ASSERT(vmbus_receiver_woken(&receiver) == VMBUS_OK);
                }
                RL_ASSERT(result == VMBUS_OK);
                take(packet, number);
        }

        /* Looks at a packet that was read and gives it back. */
        void take(const vmbus_incoming &packet, uint64_t number)
        {
                RL_ASSERT(packet.transaction_id == number);
                RL_ASSERT(vmbus_memory_load_u64(&memory, packet.payload.offset) == number + 50);
                RL_ASSERT(vmbus_memory_load_u64(&memory,
                                                vmbus_memory_advance(&memory, packet.payload.offset,
                                                                     PAYLOAD_BYTES - 8)) ==
                          number + 100);
                give_back();
        }

        void give_back()
        {
                if (vmbus_receiver_commit(&receiver, &from))
                        sem_post(&sender_signal);
        }
};

/* One packet; the receiver is about to sleep when it comes. Orders 1, 3, 4. */
struct receiver_sleeps : rl::test_suite<receiver_sleeps, 2> {
        two_ends ends;
        void before() { ends.open(); }
        void after() { ends.close(); }
        void thread(unsigned index)
        {
                if (index == 0)
                        ends.send(0);
                else
                        ends.receive(0);
        }
};

/* A full ring; the sender is about to sleep when one packet is given back by a receiver that polls:
 * its second commit settles. Orders 2, 5, 6. */
struct sender_sleeps : rl::test_suite<sender_sleeps, 2> {
        two_ends ends;
        void before() { ends.open_full(); }
        void after() { ends.close(); }
        void thread(unsigned index)
        {
                if (index == 0) {
                        ends.send(2);
                        return;
                }
                ends.receive(0);
                ends.give_back();
        }
};

/* Packets through a ring that holds two, both ends sleeping as often as it comes. All orders. */
struct both_sleep : rl::test_suite<both_sleep, 2> {
        two_ends ends;
        void before() { ends.open(); }
        void after() { ends.close(); }
        void thread(unsigned index)
        {
                for (uint64_t number = 0; number < 4; number++) {
                        if (index == 0)
                                ends.send(number);
                        else
                                ends.receive(number);
                }
                if (index == 1)
                        ends.give_back();
        }
};

/* A receiver that comes when packets may be there already: it reads what its first look has shown.
 * Order 1. */
struct receiver_attaches : rl::test_suite<receiver_attaches, 2> {
        two_ends ends;
        void before() { ends.open(); }
        void after() { ends.close(); }
        void thread(unsigned index)
        {
                vmbus_incoming packet;
                if (index == 0) {
                        ends.send(0);
                        return;
                }
                RL_ASSERT(vmbus_receiver_position(&ends.receiver, &ends.from) == VMBUS_OK);
                if (ends.from.cached_in == ends.from.next_out)
                        return;
                RL_ASSERT(vmbus_receiver_read(&ends.receiver, &ends.from, &packet) == VMBUS_OK);
                ends.take(packet, 0);
        }
};

/* A sender that comes when room may have been given back already: it writes into what its
 * first look has shown. Order 2. */
struct sender_attaches : rl::test_suite<sender_attaches, 2> {
        two_ends ends;
        void before() { ends.open_full(); }
        void after() { ends.close(); }
        void thread(unsigned index)
        {
                if (index == 1) {
                        ends.receive(0);
                        return;
                }
                RL_ASSERT(vmbus_sender_position(&ends.sender, &ends.to) == VMBUS_OK);
                if (vmbus_memory_free(&ends.memory, ends.to.next_in, ends.to.cached_out) >=
                    PACKET_BYTES)
                        ends.send(2);
        }
};

/* A receiver that reads a packet awake, gives it back and then sleeps for the first time: nobody
 * has asked for a signal of that packet. Order 7. */
struct asked_only : rl::test_suite<asked_only, 2> {
        two_ends ends;
        bool read_awake;
        void before()
        {
                ends.open();
                read_awake = false;
        }
        void after()
        {
                RL_ASSERT(!(ends.signalled && read_awake));
                ends.close();
        }
        void thread(unsigned index)
        {
                vmbus_incoming packet;
                bool owed;
                if (index == 0) {
                        ends.send(0);
                        return;
                }
                if (vmbus_receiver_read(&ends.receiver, &ends.from, &packet) != VMBUS_OK)
                        return;
                ends.take(packet, 0);
                read_awake = true;
                RL_ASSERT(vmbus_receiver_prepare_to_sleep(&ends.receiver, &ends.from, &owed) ==
                          VMBUS_EMPTY);
        }
};

/* Two processors send through one front;
 * what the second publishes covers what the first has written. */
struct two_behind_a_lock : rl::test_suite<two_behind_a_lock, 3> {
        two_ends ends;
        vmbus_multi multi;
        void before()
        {
                ends.open();
                RL_ASSERT(vmbus_multi_init(&multi, &ends.sender) == VMBUS_OK);
        }
        void after() { ends.close(); }
        void thread(unsigned index)
        {
                vmbus_incoming packet;
                if (index == 2) {
                        for (unsigned i = 0; i < 2; i++)
                                if (vmbus_receiver_read(&ends.receiver, &ends.from, &packet) ==
                                    VMBUS_OK)
                                        RL_ASSERT(packet.transaction_id < 2);
                        return;
                }
                vmbus_outgoing outgoing = {};
                outgoing.kind = VMBUS_SEND_COMPLETION;
                outgoing.transaction_id = index;
                bool signal;
                while (vmbus_multi_send(&multi, &outgoing, nullptr, &signal) == VMBUS_BUSY)
                        ;
        }
};

/* One processor looks at `out` for a packet that does not fit yet; the next one writes
 * into what that look has shown. */
struct look_behind_a_lock : rl::test_suite<look_behind_a_lock, 3> {
        two_ends ends;
        vmbus_multi multi;
        void before()
        {
                ends.open();
                ends.send(0);
                ends.send(1);
                RL_ASSERT(vmbus_multi_init(&multi, &ends.sender) == VMBUS_OK);
        }
        void after() { ends.close(); }
        void thread(unsigned index)
        {
                if (index == 2) {
                        ends.receive(0);
                        return;
                }
                vmbus_outgoing outgoing = {};
                outgoing.kind = VMBUS_SEND_COMPLETION;
                outgoing.payload_bytes = index == 0 ? PAYLOAD_BYTES + 16 : 0;
                bool signal;
                vmbus_result result;
                while ((result = vmbus_multi_send(&multi, &outgoing, nullptr, &signal)) ==
                       VMBUS_BUSY)
                        ;
                RL_ASSERT(result == VMBUS_FULL || (index == 1 && result == VMBUS_OK));
        }
};

/* Who sees that a signal was counted sees what its handler did before. */
struct signal_counted : rl::test_suite<signal_counted, 2> {
        two_ends ends;
        vmbus_multi multi;
        rl::var<int> noted;
        void before()
        {
                ends.open();
                RL_ASSERT(vmbus_multi_init(&multi, &ends.sender) == VMBUS_OK);
                noted($) = 0;
        }
        void after() { ends.close(); }
        void thread(unsigned index)
        {
                if (index == 0) {
                        noted($) = 1;
                        vmbus_multi_signal(&multi);
                } else if (vmbus_multi_signals(&multi) != 0) {
                        RL_ASSERT(noted($) == 1);
                }
        }
};

int main(int argc, char **argv)
{
        unsigned iterations = argc > 1 ? (unsigned)strtoul(argv[1], nullptr, 0) : 20000;
        const char *which = argc > 2 ? argv[2] : "";
        bool good = true;
        auto wanted = [&](const char *name) { return good && (!*which || !strcmp(which, name)); };
#define RUN(scenario, part)                                                                        \
        if (wanted(#scenario))                                                                     \
        good = scenario_holds<scenario>(#scenario, iterations / (part))
        RUN(receiver_sleeps, 1);
        RUN(sender_sleeps, 1);
        RUN(receiver_attaches, 1);
        RUN(sender_attaches, 1);
        RUN(asked_only, 1);
        RUN(two_behind_a_lock, 1);
        RUN(look_behind_a_lock, 1);
        RUN(signal_counted, 1);
        RUN(both_sleep, 2);
        return good ? 0 : 1;
}

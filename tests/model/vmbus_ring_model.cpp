/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_model — the two ends of a ring under the relacy model checker.
 *
 * lib/vmbus_ring is compiled as it stands, as C++, over tests/model/shim/base/shared.h. What relacy
 * finds: a packet's word that is read before it was published or overwritten before it was given
 * back (a data race; c.5, 1 and 2), and an end that sleeps for ever because its signal was lost (a
 * deadlock; c.5, 3 to 6). Order 7 of that table follows from 3 and 4 here: a mask that is seen
 * clear before our fence belongs to a receiver that sees our `in`.
 *
 * Usage: PROGRAM ITERATIONS [SCENARIO]      exit status 0: nothing found. Needs relacy (Debian: relacy-dev).
 */
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
                while ((result = vmbus_sender_write(&sender, &to, &packet, &payload)) == VMBUS_FULL) {
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
                if (vmbus_sender_commit(&sender, &to))
                        sem_post(&receiver_signal);
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
        void before()
        {
                ends.open();
                ends.send(0);
                ends.send(1);
        }
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

int main(int argc, char **argv)
{
        unsigned iterations = argc > 1 ? (unsigned)strtoul(argv[1], nullptr, 0) : 20000;
        const char *which = argc > 2 ? argv[2] : "";
        bool good = true;
        if (*which == '\0' || !strcmp(which, "receiver_sleeps"))
                good &= scenario_holds<receiver_sleeps>("receiver_sleeps", iterations);
        if (good && (*which == '\0' || !strcmp(which, "sender_sleeps")))
                good &= scenario_holds<sender_sleeps>("sender_sleeps", iterations);
        if (good && (*which == '\0' || !strcmp(which, "both_sleep")))
                good &= scenario_holds<both_sleep>("both_sleep", iterations / 2);
        return good ? 0 : 1;
}

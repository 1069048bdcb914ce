/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_model — the two ends of a virtqueue under the relacy model checker.
 *
 * lib/virtqueue is compiled as it stands, in C, over tests/model/shim/virtqueue_shared.h, whose
 * accessors end here. What an end may load at any time (indices, flags, event words, descriptors of
 * a packed ring) is atomics of relacy; everything else that both ends touch, the buffers included,
 * is plain: read before it was published, or overwritten before it was given back, it is a data
 * race. An end that sleeps for ever because its signal was lost is a deadlock.
 *
 * Usage: PROGRAM ITERATIONS [SCENARIO]   exit status 0: nothing found.
 * Needs relacy (Debian: relacy-dev). */
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <relacy/relacy.hpp>
#include <relacy/pthread.h>

#include "tests/model/scenario.h"
#include "tests/model/virtqueue_model_ends.h"

enum model_order { MODEL_RELAXED, MODEL_ACQUIRE, MODEL_RELEASE };

unsigned char model_place[MODEL_PLACE_BYTES] __attribute__((aligned(64)));

/* One word for each 2 bytes of the place, whatever its width; each is used in one width. */
struct words {
        rl::atomic<uint64_t> atomic[MODEL_PLACE_BYTES / 2];
        rl::var<uint64_t> plain[MODEL_PLACE_BYTES / 2];
        rl::var<uint32_t> buffers[MODEL_SIZE];
        sem_t kick, signal;
        bool packed;

        /* Split: flags, index and the event word behind the ring, of both areas. Packed: all; a
         * descriptor's address is loaded whether it is available or not, and then not used. */
        bool is_atomic(unsigned offset) const
        {
                if (packed)
                        return true;
                if (offset < MODEL_DRIVER_AREA)
                        return false;
                if (offset < MODEL_DEVICE_AREA)
                        return offset < MODEL_DRIVER_AREA + 4 ||
                               offset == MODEL_DRIVER_AREA + 4 + 2 * MODEL_SIZE;
                return offset < MODEL_DEVICE_AREA + 4 ||
                       offset == MODEL_DEVICE_AREA + 4 + 8 * MODEL_SIZE;
        }
};
static words *model;

static unsigned offset_of(const void *address)
{
        size_t offset = (const unsigned char *)address - model_place;
        RL_ASSERT(offset < MODEL_PLACE_BYTES);
        return (unsigned)offset;
}

extern "C" {

uint64_t model_load(const void *address, unsigned bytes, enum model_order order)
{
        unsigned offset = offset_of(address);
        if (!model->is_atomic(offset))
                return model->plain[offset / 2]($);
        if (order == MODEL_ACQUIRE)
                return model->atomic[offset / 2].load(rl::memory_order_acquire);
        return model->atomic[offset / 2].load(rl::memory_order_relaxed);
}

void model_store(void *address, uint64_t value, unsigned bytes, enum model_order order)
{
        unsigned offset = offset_of(address);
        if (!model->is_atomic(offset))
                model->plain[offset / 2]($) = value;
        else if (order == MODEL_RELEASE)
                model->atomic[offset / 2].store(value, rl::memory_order_release);
        else
                model->atomic[offset / 2].store(value, rl::memory_order_relaxed);
}

void model_fence(void)
{
        rl::atomic_thread_fence(rl::memory_order_seq_cst);
}

void shared_copy_in(void *, const void *, size_t)
{
        abort();
}

void shared_copy_out(void *, const void *, size_t)
{
        abort();
}

void model_require(bool held, const char *what)
{
        if (!held)
                fprintf(stderr, "not as it must be: %s\n", what);
        RL_ASSERT(held);
}

void model_kick(void)
{
        sem_post(&model->kick);
}

void model_await_kick(void)
{
        sem_wait(&model->kick);
}

void model_signal(void)
{
        sem_post(&model->signal);
}

void model_await_signal(void)
{
        sem_wait(&model->signal);
}

uint32_t model_read_buffer(uint32_t which)
{
        return model->buffers[which]($);
}

void model_write_buffer(uint32_t which, uint32_t value)
{
        model->buffers[which]($) = value;
}

[[noreturn]] void assert_failed(const char *file, unsigned line, const char *expression)
{
        fprintf(stderr, "assertion failed: %s:%u: %s\n", file, line, expression);
        abort();
}
}

/* The driver sends chains through a ring that holds two, the device serves them; both sleep as
 * often as they may. */
template <bool packed, bool event_index, bool mute, bool in_order, unsigned chains>
struct both_sleep : rl::test_suite<both_sleep<packed, event_index, mute, in_order, chains>, 2> {
        words here;

        void before()
        {
                model = &here;
                here.packed = packed;
                for (unsigned i = 0; i < MODEL_PLACE_BYTES / 2; i++) {
                        here.atomic[i].store(0, rl::memory_order_relaxed);
                        here.plain[i]($) = 0;
                }
                sem_init(&here.kick, 0, 0);
                sem_init(&here.signal, 0, 0);
                model_open(model_options{packed, event_index, in_order, mute});
        }

        void after()
        {
                sem_destroy(&here.kick);
                sem_destroy(&here.signal);
        }

        void thread(unsigned index)
        {
                if (index == 0)
                        model_drive(0, chains);
                else
                        model_serve(chains);
        }
};

static const char *wanted;
static unsigned iterations;

template <class suite> static bool holds(const char *name)
{
        if (*wanted != '\0' && strcmp(wanted, name) != 0)
                return true;
        return scenario_holds<suite>(name, iterations);
}

int main(int argc, char **argv)
{
        iterations = argc > 1 ? (unsigned)strtoul(argv[1], nullptr, 0) : 1000;
        wanted = argc > 2 ? argv[2] : "";
        bool good =
                holds<both_sleep<false, true, false, false, 1>>("split, event index, one chain") &&
                holds<both_sleep<false, false, true, false, 3>>("split, flags") &&
                holds<both_sleep<false, true, true, false, 5>>("split, event index") &&
                holds<both_sleep<false, true, false, true, 5>>("split, in order") &&
                holds<both_sleep<true, true, false, false, 1>>("packed, event index, one chain") &&
                holds<both_sleep<true, false, true, false, 3>>("packed, flags") &&
                holds<both_sleep<true, true, true, false, 5>>("packed, event index") &&
                holds<both_sleep<true, true, false, true, 5>>("packed, in order");
        return good ? 0 : 1;
}

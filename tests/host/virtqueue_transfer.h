/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_transfer — two processes that hand each other chains over one ring, asleep as often as
 * they can be: the parent is the driver, the child the device. For a test, which counts, and for a
 * benchmark, which measures.
 *
 * A chain is 8 bytes to read, a number, and 8 to write, where its answer must be. Each side sleeps
 * only as the ring's rules say and wakes only by the other's event; one that never comes shows as a
 * wait that ends at its deadline. Needs Linux: memfd, futex, fork. */
#ifndef TESTS_HOST_VIRTQUEUE_TRANSFER_H
#define TESTS_HOST_VIRTQUEUE_TRANSFER_H

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "virtqueue/virtqueue_chain.h"
#include "virtqueue/virtqueue_device.h"
#include "virtqueue/virtqueue_driver.h"

#define TRANSFER_SIZE 256u
#define TRANSFER_DEV 0x7700000000ull
#define TRANSFER_DRIVER_OFFSET 0x2000u
#define TRANSFER_DEVICE_OFFSET 0x4000u
#define TRANSFER_EVENTS_OFFSET 0x6000u /* two, each on a cache line of its own */
#define TRANSFER_DATA_OFFSET 0x8000u
#define TRANSFER_TABLES_OFFSET (TRANSFER_DATA_OFFSET + TRANSFER_SIZE * 16)
#define TRANSFER_TABLE_ENTRIES 2u
#define TRANSFER_BYTES                                                                             \
        (TRANSFER_TABLES_OFFSET +                                                                  \
         TRANSFER_SIZE * TRANSFER_TABLE_ENTRIES * VIRTQUEUE_DESCRIPTOR_BYTES)
#define TRANSFER_WAIT_SECONDS_MAX 20
#define TRANSFER_BATCH (TRANSFER_SIZE / 2) /* chains of two descriptors that the ring holds */

/* What was negotiated. */
struct transfer_options {
        bool packed, event_index, in_order, indirect;
};

struct transfer {
        struct transfer_options options;
        char *va; /* of this process */
        uint32_t *kick, *signal, signals_seen;
        pid_t device_pid;
        uint64_t next, answered; /* numbers sent, answers seen */
        uint64_t sleeps;
        struct virtqueue_driver driver;
        struct virtqueue_slot slots[TRANSFER_SIZE];
        uint32_t free[TRANSFER_SIZE], free_count; /* buffers */
};

static inline uint64_t transfer_answer(uint64_t number)
{
        return number * 0x9e3779b97f4a7c15ull + 1;
}

/* An event: a count of posts, in memory that both processes share,
 * which is waited for on itself. */
static inline void transfer_post(uint32_t *event)
{
        __atomic_fetch_add(event, 1, __ATOMIC_SEQ_CST);
        syscall(SYS_futex, event, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Waits until there was a post behind number `*seen`, and notes how many there were; false: there
 * was none for too long. */
static inline bool transfer_await(uint32_t *event, uint32_t *seen)
{
        const struct timespec limit = {.tv_sec = TRANSFER_WAIT_SECONDS_MAX};
        uint32_t count;
        while ((count = __atomic_load_n(event, __ATOMIC_SEQ_CST)) == *seen)
                if (syscall(SYS_futex, event, FUTEX_WAIT, count, &limit, NULL, 0) != 0 &&
                    errno == ETIMEDOUT)
                        return false;
        *seen = count;
        return true;
}

/* ---- the device ---- */

static inline void transfer_serve(struct virtqueue_device *device,
                                  const struct virtqueue_request *request)
{
        struct virtqueue_chain_io io;
        uint64_t number, answer;
        uint32_t done;
        virtqueue_chain_io_init(&io, device, request);
        if (virtqueue_chain_read(&io, &number, sizeof(number), &done) != ZX_OK || done != 8)
                _exit(91);
        answer = transfer_answer(number);
        if (virtqueue_chain_write(&io, &answer, sizeof(answer), &done) != ZX_OK || done != 8)
                _exit(92);
        if (virtqueue_chain_finish(&io) != VIRTQUEUE_CHAIN_COMPLETE)
                _exit(93);
}

/* Serves until it is killed; exits with a code of its own when something is wrong. */
static inline void transfer_device(const struct transfer *transfer, char *va)
{
        static struct virtqueue_device_slot slots[TRANSFER_SIZE];
        static struct virtqueue_device device;
        uint32_t *kick = (void *)(va + TRANSFER_EVENTS_OFFSET), *signal = kick + 16, kicks_seen = 0;
        struct virtqueue_device_region region = {
                .dev = TRANSFER_DEV, .bytes = TRANSFER_BYTES, .va = va};
        struct virtqueue_device_regions table = {.regions = &region, .count = 1};
        struct virtqueue_element pieces[TRANSFER_SIZE];
        struct virtqueue_request request = {.elements = pieces, .elements_max = TRANSFER_SIZE};
        struct virtqueue_device_config config = {
                .size = TRANSFER_SIZE,
                .packed = transfer->options.packed,
                .event_index = transfer->options.event_index,
                .in_order = transfer->options.in_order,
                .indirect = transfer->options.indirect,
                .descriptors_dev = TRANSFER_DEV,
                .driver_dev = TRANSFER_DEV + TRANSFER_DRIVER_OFFSET,
                .device_dev = TRANSFER_DEV + TRANSFER_DEVICE_OFFSET,
                .memory = {.translate = virtqueue_device_regions_translate, .context = &table},
                .slots = slots,
        };
        if (virtqueue_device_init(&device, &config) != ZX_OK)
                _exit(94);
        for (;;) {
                zx_status_t status = ZX_OK;
                for (uint32_t i = 0; i < TRANSFER_BATCH && status == ZX_OK; i++) {
                        status = virtqueue_device_pop(&device, &request);
                        if (status == ZX_OK)
                                transfer_serve(&device, &request);
                }
                virtqueue_device_publish(&device);
                if (virtqueue_device_signal_needed(&device))
                        transfer_post(signal);
                if (status == ZX_ERR_IO_DATA_INTEGRITY)
                        _exit(95);
                if (status == ZX_ERR_SHOULD_WAIT && !virtqueue_device_ask(&device) &&
                    !transfer_await(kick, &kicks_seen))
                        _exit(96);
        }
}

/* ---- the driver ---- */

/* Maps the memory twice, makes the driver's end, and starts the device. NULL or what went wrong. */
static inline const char *transfer_open(struct transfer *transfer, struct transfer_options options)
{
        memset(transfer, 0, sizeof(*transfer));
        transfer->options = options;
        int fd = memfd_create("virtqueue-transfer", 0);
        if (fd < 0 || ftruncate(fd, TRANSFER_BYTES) != 0)
                return "memfd";
        transfer->va = mmap(NULL, TRANSFER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        char *device_va = mmap(NULL, TRANSFER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (transfer->va == MAP_FAILED || device_va == MAP_FAILED)
                return "mmap";
        transfer->kick = (void *)(transfer->va + TRANSFER_EVENTS_OFFSET);
        transfer->signal = transfer->kick + 16;
        struct virtqueue_driver_config config = {
                .size = TRANSFER_SIZE,
                .packed = options.packed,
                .event_index = options.event_index,
                .in_order = options.in_order,
                .indirect_entries = options.indirect ? TRANSFER_TABLE_ENTRIES : 0,
                .descriptors = {transfer->va, TRANSFER_DEV},
                .avail = {transfer->va + TRANSFER_DRIVER_OFFSET,
                          TRANSFER_DEV + TRANSFER_DRIVER_OFFSET},
                .used = {transfer->va + TRANSFER_DEVICE_OFFSET,
                         TRANSFER_DEV + TRANSFER_DEVICE_OFFSET},
                .tables = {transfer->va + TRANSFER_TABLES_OFFSET,
                           TRANSFER_DEV + TRANSFER_TABLES_OFFSET},
                .slots = transfer->slots,
        };
        if (virtqueue_driver_init(&transfer->driver, &config) != ZX_OK)
                return "virtqueue_driver_init";
        for (uint32_t i = 0; i < TRANSFER_SIZE; i++)
                transfer->free[transfer->free_count++] = i;
        transfer->device_pid = fork();
        if (transfer->device_pid == 0) {
                munmap(transfer->va, TRANSFER_BYTES); /* an address of the driver's is a fault */
                transfer_device(transfer, device_va);
        }
        munmap(device_va, TRANSFER_BYTES);
        return transfer->device_pid > 0 ? NULL : "fork";
}

/* Adds chains up to number `last`, exclusive, as long as there is room. */
static inline void transfer_fill(struct transfer *transfer, uint64_t last)
{
        while (transfer->next < last && transfer->free_count != 0) {
                uint32_t buffer = transfer->free[transfer->free_count - 1];
                uint32_t offset = TRANSFER_DATA_OFFSET + buffer * 16;
                struct virtqueue_element elements[2] = {{TRANSFER_DEV + offset, 8},
                                                        {TRANSFER_DEV + offset + 8, 8}};
                struct virtqueue_chain chain = {.elements = elements,
                                                .readable_count = 1,
                                                .writable_count = 1,
                                                .cookie = (void *)(uintptr_t)buffer};
                uint64_t number[2] = {transfer->next, 0};
                memcpy(transfer->va + offset, number, sizeof(number));
                if (virtqueue_driver_add(&transfer->driver, &chain) != ZX_OK)
                        return;
                transfer->free_count--;
                transfer->next++;
        }
}

/* Looks at what came back; the device answers in order. NULL or what is wrong. */
static inline const char *transfer_check(struct transfer *transfer,
                                         const struct virtqueue_completion *done, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                uint32_t buffer = (uint32_t)(uintptr_t)done[i].cookie;
                uint64_t number[2];
                memcpy(number, transfer->va + TRANSFER_DATA_OFFSET + buffer * 16, sizeof(number));
                if (done[i].written_bytes != 8 || number[0] != transfer->answered ||
                    number[1] != transfer_answer(transfer->answered))
                        return "a wrong answer";
                transfer->answered++;
                transfer->free[transfer->free_count++] = buffer;
        }
        return NULL;
}

/* Sends `count` more chains and waits for all answers. NULL or what went wrong. */
static inline const char *transfer_run(struct transfer *transfer, uint64_t count)
{
        struct virtqueue_driver *queue = &transfer->driver;
        struct virtqueue_completion done[TRANSFER_BATCH];
        uint64_t last = transfer->next + count;
        while (transfer->answered < last) {
                uint32_t taken;
                transfer_fill(transfer, last);
                virtqueue_driver_publish(queue);
                if (virtqueue_driver_kick_needed(queue))
                        transfer_post(transfer->kick);
                zx_status_t status = virtqueue_driver_get(queue, done, TRANSFER_BATCH, &taken);
                const char *wrong = transfer_check(transfer, done, taken);
                if (wrong != NULL)
                        return wrong;
                if (status == ZX_ERR_IO_DATA_INTEGRITY)
                        return virtqueue_fault_name(queue->fault.reason);
                uint32_t in_flight = virtqueue_driver_in_flight(queue);
                uint32_t enough = in_flight > 1 ? (in_flight * 3 + 3) / 4 : 1;
                if (status == ZX_ERR_SHOULD_WAIT && !virtqueue_driver_ask(queue, enough)) {
                        transfer->sleeps++;
                        if (!transfer_await(transfer->signal, &transfer->signals_seen))
                                return "the driver was never woken";
                }
        }
        return NULL;
}

/* Ends the device. NULL, or that it had ended by itself. */
static inline const char *transfer_close(struct transfer *transfer)
{
        int status;
        const char *wrong = NULL;
        kill(transfer->device_pid, SIGKILL);
        if (waitpid(transfer->device_pid, &status, 0) != transfer->device_pid ||
            !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
                wrong = "the device had given up";
        munmap(transfer->va, TRANSFER_BYTES);
        return wrong;
}

#endif

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_model_ends — the two ends of a queue as the model runs them, in C, and what the checker
 * supplies to them. */
#ifndef TESTS_MODEL_VIRTQUEUE_MODEL_ENDS_H
#define TESTS_MODEL_VIRTQUEUE_MODEL_ENDS_H

#include <stdbool.h>
#include <stdint.h>

/* Addresses in this place stand for the words of the ring; nothing is ever stored in them. */
#define MODEL_SIZE 2u /* entries */
#define MODEL_DESCRIPTORS 0u
#define MODEL_DRIVER_AREA 64u  /* avail ring, or the driver's event word */
#define MODEL_DEVICE_AREA 128u /* used ring, or the device's */
#define MODEL_PLACE_BYTES 192u

#ifdef __cplusplus
extern "C" {
#endif

extern unsigned char model_place[MODEL_PLACE_BYTES];

struct model_options {
        bool packed, event_index, in_order;
        bool mute; /* an end that is awake says that it wants no signals */
};

/* Makes both ends; before the threads. */
void model_open(struct model_options options);

/* The driver: sends chains `first` .. `end` - 1 and sleeps until all are back. */
void model_drive(uint32_t first, uint32_t end);

/* The device: serves that many chains, asleep whenever it may be. */
void model_serve(uint32_t count);

/* ---- supplied by the checker ---- */

void model_require(bool held, const char *what);
void model_kick(void); /* the driver's notification */
void model_await_kick(void);
void model_signal(void); /* the device's */
void model_await_signal(void);

/* Buffer `which`: a plain word, in which a race is found. */
uint32_t model_read_buffer(uint32_t which);
void model_write_buffer(uint32_t which, uint32_t value);

#ifdef __cplusplus
}
#endif

#endif

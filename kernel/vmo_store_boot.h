/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo_store_boot — the kernel's list of VMO stores, for the console word `vmostore`.
 *
 * Context: any CPU, thread context. */
#ifndef KERNEL_VMO_STORE_BOOT_H
#define KERNEL_VMO_STORE_BOOT_H

#include "kernel/vmo_store.h"

/* Shows an initialised store on the console until it is withdrawn, which is before vmo_store_fini.
 * The store is named by its name. */
void vmo_store_publish(struct vmo_store *store);
void vmo_store_withdraw(struct vmo_store *store);

/* What the console word prints: each store, each VMO in it. */
void vmo_store_print(void);

#endif

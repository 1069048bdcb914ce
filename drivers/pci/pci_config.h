/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pci_config — the two ways to configuration space; private to drivers/pci.
 *
 * Facts: PCI Local Bus 3.0, 3.2.2.3.2 (ports); PCI Express Base 5.0, 7.2.2 (ECAM). */
#ifndef DRIVERS_PCI_PCI_CONFIG_H
#define DRIVERS_PCI_PCI_CONFIG_H

#include "drivers/pci/pci.h"

#define PCI_BUSES_MAX 256
#define PCI_CONFIG_BYTES 256       /* what ports reach, and all that is used here */
#define PCI_CONFIG_EXPRESS_BYTES 4096

/* Picks ECAM, else the ports.
 *   first_bus  out: where enumeration starts
 *   returns    the way, NULL when the machine has neither */
const struct pci_config_ops *pci_config_init(uint8_t *first_bus);
/* Makes a bus reachable, before its first access.
 * ZX_ERR_OUT_OF_RANGE: the way does not lead there. */
zx_status_t MUST_CHECK pci_config_open_bus(uint8_t bus);

#endif

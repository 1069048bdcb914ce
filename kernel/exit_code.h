/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* exit_code — what the guest writes to isa-debug-exit when it leaves; QEMU's exit status is (code
 * << 1) | 1.
 *
 * No status that QEMU itself uses (0, 1) can come out of these. The PVH entry code has the panic
 * code, too. */
#ifndef KERNEL_EXIT_CODE_H
#define KERNEL_EXIT_CODE_H

#define SELFTEST_EXIT_PASS 0x10  /* status 33: every test that ran passed */
#define SELFTEST_EXIT_FAIL 0x11  /* status 35: some test failed */
#define SELFTEST_EXIT_PANIC 0x12 /* status 37 */

#endif

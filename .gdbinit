# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# For a guest that waits (`./run-qemu.sh --gdb` or `make debug`):  gdb -x .gdbinit build/release/paravane.elf
#
# Stops in kernel_main on every boot path: the kernel always runs at its linked addresses, wherever it was
# loaded. Breakpoints are hardware ones, because the code is not in memory yet while the firmware runs.
set pagination off
set confirm off
set disassembly-flavor intel

define boot-info
  printf "path %u (1 PVH, 2 UEFI), kernel at %#lx, %u regions, command line '%s'\n", \
    boot_info->path, boot_info->kernel_pa, boot_info->region_count, boot_info->cmdline
end
document boot-info
What the boot path handed over; in kernel_main.
end

# gdb reads a .gdbinit of the current folder by itself where its auto-load path allows it: connect once.
if $_isvoid($paravane_connected)
  set $paravane_connected = 1
  target remote localhost:1234
  hbreak kernel_main
  hbreak panic
  hbreak kernel_trap_panic
  continue
end

/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* boot_pvh — from a PVH loader (32-bit protected mode, paging off, EBX = start_info) to 64-bit C.
 *
 * The Xen PVH note names pvh_start. On entry there is no stack, no descriptor table to rely on,
 * and flat segments that must not be reloaded before our own GDT is in place. Everything here
 * runs at physical addresses: PA(symbol) is where the loader put it. Facts: Xen's x86/HVM direct
 * boot ABI; spec/virtio.md, 14.2. */
#define PA(symbol) (symbol - 0xffffffff80000000)

#define CR0_PG_WP 0x80010000
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define PTE_PRESENT_WRITE 0x3
#define PTE_PRESENT_WRITE_LARGE 0x83
#define CODE64_SELECTOR 0x08
#define DATA_SELECTOR 0x10
#define SERIAL_PORT 0x3f8

        /* Namesz 4, descsz 4, type 18 (XEN_ELFNOTE_PHYS32_ENTRY). The alignment of this
         * section becomes that of the PT_NOTE segment, from which QEMU computes where the
         * descriptor is: it must be 4. */
        .section .note.Xen, "a", @note
        .balign 4
        .long 4, 4, 18
        .asciz "Xen"
        .long PA(pvh_start)

        .section .text.entry, "ax"
        .code32
        .global pvh_start
pvh_start:
        cli
        cld
        mov %ebx, %ebp                  /* start_info; cpuid and rdtsc take the other registers */
        rdtsc
        mov %eax, PA(pvh_tsc)
        mov %edx, PA(pvh_tsc + 4)

        mov $0x80000000, %eax           /* long mode, or a sentence */
        cpuid
        cmp $0x80000001, %eax
        jb no_long_mode
        mov $0x80000001, %eax
        cpuid
        bt $29, %edx
        jnc no_long_mode

        /* PML4[0] and PML4[511] -> PDPT[0] and PDPT[510] -> one directory of 2 MiB pages: physical
         * 0..1 GiB at 0 and at IMAGE_VA_OFFSET. */
        movl $(PA(boot_pdpt) + PTE_PRESENT_WRITE), PA(boot_pml4)
        movl $(PA(boot_pdpt) + PTE_PRESENT_WRITE), PA(boot_pml4 + 511 * 8)
        movl $(PA(boot_pd) + PTE_PRESENT_WRITE), PA(boot_pdpt)
        movl $(PA(boot_pd) + PTE_PRESENT_WRITE), PA(boot_pdpt + 510 * 8)
        mov $PTE_PRESENT_WRITE_LARGE, %eax
        xor %ecx, %ecx
1:      mov %eax, PA(boot_pd)(,%ecx,8)
        add $0x200000, %eax
        inc %ecx
        cmp $512, %ecx
        jne 1b

        lgdt PA(boot_gdt_pointer)
        mov %cr4, %eax
        or $CR4_PAE, %eax
        mov %eax, %cr4
        mov $PA(boot_pml4), %eax
        mov %eax, %cr3
        mov $MSR_EFER, %ecx
        rdmsr
        or $EFER_LME, %eax
        wrmsr
        mov %cr0, %eax
        or $CR0_PG_WP, %eax
        mov %eax, %cr0
        ljmp $CODE64_SELECTOR, $PA(pvh_start64)

no_long_mode:
        mov $PA(no_long_mode_text), %esi
        mov $SERIAL_PORT, %edx
2:      lodsb
        test %al, %al
        jz 3f
        out %al, %dx
        jmp 2b
3:      mov $0x12, %al                  /* SELFTEST_EXIT_PANIC on isa-debug-exit */
        out %al, $0xf4
4:      hlt
        jmp 4b

        .code64
pvh_start64:
        mov $DATA_SELECTOR, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        xor %eax, %eax
        mov %eax, %fs
        mov %eax, %gs
        movabs $pvh_high, %rax          /* from the identity map to where we are linked */
        jmp *%rax
pvh_high:
        lea boot_stack_top(%rip), %rsp
        mov %ebp, %edi                  /* zero-extends */
        mov pvh_tsc(%rip), %rsi
        xor %ebp, %ebp                  /* the end of every backtrace */
        call boot_pvh_start
        ud2

        .section .rodata
no_long_mode_text:
        .ascii "# panic: this CPU has no 64-bit mode\n"
        .asciz "# verdict: PANIC this CPU has no 64-bit mode\n"
        .balign 8
boot_gdt:
        .quad 0
        .quad 0x00af9b000000ffff        /* 64-bit code, ring 0 */
        .quad 0x00cf93000000ffff        /* data, ring 0 */
boot_gdt_pointer:
        .word . - boot_gdt - 1
        .long PA(boot_gdt)

        .section .bss
        .balign 8
pvh_tsc:
        .skip 8

        .section .boot_tables, "aw", @nobits
        .balign 4096
boot_pml4:
        .skip 4096
boot_pdpt:
        .skip 4096
boot_pd:
        .skip 4096

        .section .note.GNU-stack, "", @progbits

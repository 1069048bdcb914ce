/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* arch — all that kernel/ may ask of the CPU, and the two calls that the CPU makes upwards.
 *
 * Everything here is for the boot CPU unless it says otherwise. Facts:
 * Intel SDM volume 3, AMD APM 2. */
#ifndef ARCH_ARCH_H
#define ARCH_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

struct boot_info;

/* ---- upwards: what the kernel supplies ---- */

/* The one entry, on the boot stack, interrupts off. `boot_info` is the kernel's own copy. */
NORETURN void kernel_main(const struct boot_info *boot_info);

/* Where an exception that nobody expected ends; kernel/panic.c. `frame`
 * lives on the exception's stack. */
struct arch_trap_frame;
NORETURN void kernel_trap_panic(const struct arch_trap_frame *frame);
/* Where arch/ ends when the machine does not do what it must; kernel/panic.c. */
NORETURN void kernel_arch_panic(const char *cause);

/* ---- the address space: where things are; see address_space.h for the picture ---- */

#define ARCH_PHYSMAP_BASE 0xffff800000000000ull /* va == pa + this, for all RAM */
#define ARCH_PHYSMAP_BYTES (64ull << 40)

/* First address and byte count of the linked image's parts, page aligned. */
struct arch_image_part {
        const char *name;
        uint64_t va;
        uint64_t bytes;
        uint32_t protection; /* ARCH_MAP_* */
};
size_t arch_image_parts(const struct arch_image_part **parts);

/* ---- CPU set-up and identity ---- */

/* Descriptor tables, IST stacks, exception entries, control bits (WP, PGE, SMEP, SMAP, UMIP, NX as
 * far as the CPU has them). Once, before anything can fault. */
void arch_cpu_init(void);
/* One line of text: vendor, model, the features that matter ("nx smep
 * smap umip 1g-pages x2apic ..."). */
void arch_cpu_describe(char *text, size_t text_bytes);
bool arch_cpu_has_hypervisor(void);

/* ---- what Hyper-V adds to the CPU; only where CPUID says that it is there ---- */

void arch_hyperv_cpuid(uint32_t leaf, uint32_t registers[4]); /* EAX, EBX, ECX, EDX */
uint64_t arch_hyperv_read_msr(uint32_t msr);
void arch_hyperv_write_msr(uint32_t msr, uint64_t value);
/* Calls the first byte of the hypercall page, which is mapped executable:
 * RCX, RDX and R8 in, RAX out. */
uint64_t arch_hyperv_hypercall(const void *page, uint64_t control, uint64_t input, uint64_t output);

/* ---- interrupts ---- */

bool arch_interrupts_enabled(void);
void arch_interrupts_enable(void);
/* Disables; returns whether they were enabled, for arch_interrupts_restore. */
bool arch_interrupts_disable(void);
void arch_interrupts_restore(bool enabled);
/* Enables interrupts and halts until one has been handled (sti; hlt
 * without a gap), returns enabled. */
void arch_wait_for_interrupt(void);
static inline void arch_pause(void)
{
        __builtin_ia32_pause();
}

/* ---- paging: 4-level tables; W^X: write and execute together is an assertion ---- */

enum arch_map_flags {
        ARCH_MAP_WRITE = 1,
        ARCH_MAP_EXECUTE = 2,
        ARCH_MAP_UNCACHED = 4,
        ARCH_MAP_GLOBAL = 8,
        ARCH_MAP_USER = 16,
};

/* Where page tables come from: returns the physical address of one zeroed page, 0 when there is
 * none. The page must be reachable at arch_table_va_base + pa. */
typedef uint64_t (*arch_table_page_fn)(void *context);
/* Takes back a page of alloc_page that is no table any more; its contents are all zeros again. */
typedef void (*arch_table_free_fn)(void *context, uint64_t pa);

struct arch_table_source {
        arch_table_page_fn alloc_page;
        void *context;
        arch_table_free_fn free_page; /* only arch_clear calls it; NULL: tables stay */
};

/* Builds the kernel's own tables: the image (each part with its protection, guard pages left out)
 * and the physical map of `ram` (1 GiB, 2 MiB and 4 KiB pages, writable, not executable, global).
 * Runs on the boot path's tables, in which table pages must be reachable at va == pa.
 *   returns ZX_OK; ZX_ERR_NO_MEMORY from the source. Nothing is switched yet. */
struct arch_ram_range {
        uint64_t pa;    /* page aligned */
        uint64_t bytes; /* whole pages */
};
zx_status_t MUST_CHECK arch_paging_build(const struct arch_ram_range *ram, size_t ram_count,
                                         uint64_t kernel_pa,
                                         const struct arch_table_source *source);
/* Switches to them. From now on table pages are reached through the physical map. */
void arch_paging_switch(void);
/* Maps bytes (whole pages) of physical memory; the range must not be mapped yet
 * (ZX_ERR_ALREADY_EXISTS, nothing changed). ZX_ERR_NO_MEMORY: the source was empty,
 * the range is unmapped again.
 * ZX_ERR_INVALID_ARGS: misaligned, or beyond the CPU's physical address width. */
zx_status_t MUST_CHECK arch_map(uint64_t va, uint64_t pa, uint64_t bytes, uint32_t flags,
                                const struct arch_table_source *source);
/* Unmaps whole pages that arch_map mapped; invalidates them on all CPUs. ZX_ERR_NOT_FOUND: some
 * page was not mapped (the others are unmapped). */
zx_status_t MUST_CHECK arch_unmap(uint64_t va, uint64_t bytes);
/* Unmaps whatever is mapped in the range, holes and parts of large leaves included, invalidates
 * it on all CPUs, and then gives every table that has become empty back to the source; empty
 * tables that a failed arch_map left in the range go, too. For parts of the address space whose
 * tables all come from `source`.
 *   returns  ZX_OK; ZX_ERR_NO_MEMORY: a large leaf at one of the two ends must be split and there
 *            is no page, nothing changed; ZX_ERR_INVALID_ARGS: misaligned
 *   cost     a table that is not there is stepped over as a whole */
zx_status_t MUST_CHECK arch_clear(uint64_t va, uint64_t bytes,
                                  const struct arch_table_source *source);
/* Gives what is mapped in the range these WRITE, EXECUTE and USER flags, the others stay as they
 * are; holes are fine; invalidates it on all CPUs. Results as arch_clear. */
zx_status_t MUST_CHECK arch_protect(uint64_t va, uint64_t bytes, uint32_t flags,
                                    const struct arch_table_source *source);
/* Writes the cache lines of these bytes back to memory and drops them, on all CPUs: before memory
 * that was mapped cached is mapped uncached. */
void arch_clean_cache(const void *va, size_t bytes);
/* What one address maps to. ZX_ERR_NOT_FOUND: nothing. Any out pointer may be NULL. */
zx_status_t MUST_CHECK arch_query(uint64_t va, uint64_t *pa, uint32_t *flags, uint64_t *page_bytes);

/* ---- interrupt controllers (LAPIC or x2APIC, I/O APIC) ---- */

typedef void (*arch_irq_handler)(void *context);

/* What the ACPI tables say about interrupt controllers. kernel/acpi.c maps the registers (uncached)
 * and hands down where; NULL: not mapped, and the part is not used. */
struct arch_irq_config {
        uint64_t lapic_pa;
        volatile void *lapic_va; /* 4 KiB; not needed in x2APIC mode */
        struct {
                uint64_t pa;
                volatile void *va;
                uint32_t gsi_base;
        } ioapics[8];
        uint32_t ioapic_count;
        struct {
                uint8_t isa_irq;
                uint32_t gsi;
                uint16_t mps_flags; /* bits 0-1 polarity, 2-3 trigger, as in the MADT */
        } overrides[16];
        uint32_t override_count;
};
/* Physical address of this CPU's local APIC registers as the CPU itself has it (IA32_APIC_BASE), 0
 * when the CPU has no local APIC. Firmware tables may be wrong about it, the CPU cannot. */
uint64_t arch_irq_lapic_pa(void);
/* Enables them with every line masked; the 8259s are masked for good.
 * x2APIC mode when the CPU has it.
 *   config   copied
 *   returns  ZX_OK; ZX_ERR_NOT_SUPPORTED: no local APIC, or its registers are not mapped. An I/O
 *            APIC that does not answer is left out. */
zx_status_t MUST_CHECK arch_irq_init(const struct arch_irq_config *config);

struct arch_msi_message {
        uint64_t address;
        uint32_t data;
};
/* Gives `handler` a vector of its own and the message a device must write to raise it (edge, to the
 * boot CPU). Handlers run with interrupts off, on the interrupted stack, and must not block.
 * ZX_ERR_NO_RESOURCES: no vector left. `name` is kept, for the log. */
zx_status_t MUST_CHECK arch_irq_allocate_msi(const char *name, arch_irq_handler handler,
                                             void *context, struct arch_msi_message *message);
/* When it returns, the handler runs nowhere and will not run again.
 * Context: not in that handler. */
void arch_irq_free_msi(const struct arch_msi_message *message);
/* Changes a message that was given out so that it goes to another CPU; the device must still be
 * told. Handlers run on that CPU then.
 *   cpu      below arch_cpu_count()
 *   returns  ZX_OK; ZX_ERR_NOT_SUPPORTED: messages do not reach that CPU (its APIC id has more
 *            than 8 bits), and nothing has changed */
zx_status_t MUST_CHECK arch_irq_aim_msi(struct arch_msi_message *message, uint32_t cpu);
/* Routes an ISA IRQ (after overrides) or a GSI to `handler` and unmasks it. */
zx_status_t MUST_CHECK arch_irq_connect_isa(uint8_t isa_irq, const char *name,
                                            arch_irq_handler handler, void *context);
zx_status_t MUST_CHECK arch_irq_connect_gsi(uint32_t gsi, bool level, bool active_low,
                                            const char *name, arch_irq_handler handler,
                                            void *context);
/* Masks a line that one of the two connected, until it is disconnected. Any context but NMI. */
void arch_irq_mask_gsi(uint32_t gsi);
/* Masks a line that one of the two connected and takes its vector back. */
void arch_irq_disconnect_gsi(uint32_t gsi);
/* Interrupts handled since boot on that vector kind, for the console and tests. */
uint64_t arch_irq_count(void);
uint64_t arch_irq_spurious_count(void);

/* For the console: what was found, and the vectors in use. */
struct arch_irq_summary {
        bool x2apic;
        uint32_t apic_id;      /* of this CPU */
        uint32_t ioapic_count; /* those that answered */
        uint32_t ioapics_missing; /* in the configuration, but nothing answers there */
        uint32_t line_count;   /* of all of them */
        uint32_t msi_free;     /* vectors that arch_irq_allocate_msi can still give */
        uint64_t error_count;  /* local APIC error interrupts */
        uint32_t error_status; /* error bits seen, ored together */
};
void arch_irq_summary(struct arch_irq_summary *summary);
struct arch_irq_vector {
        const char *name; /* as given when it was connected */
        uint64_t count;
        uint32_t gsi; /* UINT32_MAX: not an I/O APIC line */
        uint8_t vector;
};
/* The first vector in use whose number is at least `vector`; false when there is none. */
bool arch_irq_next_vector(uint32_t vector, struct arch_irq_vector *out);
/* Sends an interrupt to this CPU itself, as a device with that message would. For tests. */
void arch_irq_raise_self(const struct arch_msi_message *message);

/* ---- several CPUs: smp.c; kernel/cpu.h is what the kernel uses ---- */

#define ARCH_CPU_COUNT_MAX 64
#define ARCH_CPU_INDEX_OFFSET 8 /* in the per-CPU area that GS points at; arch/smp.h checks it */

/* The number of the CPU that calls, 0 for the boot CPU. Any context, from kernel_main on. */
static inline uint32_t arch_cpu_index(void)
{
        uint32_t index;
        /* Not volatile: nothing moves between CPUs, so the compiler may remember the answer. */
        __asm__("movl %%gs:%c1, %0" : "=r"(index) : "i"(ARCH_CPU_INDEX_OFFSET));
        return index;
}

/* What to start. */
struct arch_smp_config {
        uint64_t trampoline_pa;      /* a page below 1 MiB, RAM of ours */
        const uint32_t *apic_ids;    /* of the MADT; this CPU's own may be among them */
        uint32_t apic_id_count;
        /* Where each of them goes: its own stack, interrupts off; never returns. */
        void (*entry)(void);
        /* Pages in a row, 0: none; low: below 4 GiB. */
        uint64_t (*alloc_run)(uint64_t page_count, bool low);
        void (*free_run)(uint64_t pa, uint64_t page_count);
        const struct arch_table_source *source;
};
/* Prepares them and sends INIT and start-up interrupts to all of them at once; they come while the
 * caller goes on. Once, after arch_irq_init. A machine with one CPU: nothing is touched. */
void arch_smp_begin(const struct arch_smp_config *config);
/* Waits until each has reached `entry`. Once, after arch_smp_begin, arch_clock_init and
 * arch_timer_init.
 *   free_run  as in the config
 *   returns   how many CPUs run, this one included: their numbers are 0 .. that - 1. One
 *             that did not come in time, or for which there was no memory, has no number and
 *             stays halted if it comes later */
uint32_t arch_smp_finish(void (*free_run)(uint64_t pa, uint64_t page_count));
/* CPUs that run; 1 until arch_smp_finish has returned. */
uint32_t arch_cpu_count(void);

struct arch_cpu_summary {
        uint32_t apic_id;
        /* Its time stamp counter was seen outside the boot CPU's two readings. */
        bool tsc_corrected;
        int64_t tsc_offset;      /* what is added to it, in ticks; 0 unless corrected */
        uint64_t start_ns;       /* from INIT until it was known to run */
        uint64_t timer_count;    /* calls of its timer handler */
        uint64_t interrupt_count; /* wake-ups from other CPUs */
        uint64_t shootdown_count; /* requests that it has answered */
};
/* Of CPU number `cpu`, below arch_cpu_count(). Another CPU's counts may be a moment old. */
void arch_cpu_summary(uint32_t cpu, struct arch_cpu_summary *summary);

/* Interrupts another CPU, so that its arch_wait_for_interrupt returns. No effect on the caller
 * itself. Any context. What was written before is seen by the CPU that wakes. */
void arch_cpu_wake(uint32_t cpu);

/* A batch of translations that were taken away or made stricter in the
 * tables and must go from all TLBs.
 *
 *   struct arch_tlb_batch batch = {0};
 *   arch_tlb_add(&batch, va, bytes);  ...  arch_tlb_flush(&batch);   then the pages may be reused
 *
 * Pages (and tables) behind it must not be freed before the flush has returned. More ranges or
 * pages than a batch holds make it a flush of everything: never wrong, only slower. */
#define ARCH_TLB_RANGES_MAX 8
#define ARCH_TLB_PAGES_MAX 64
struct arch_tlb_batch {
        uint32_t range_count;
        uint32_t page_count;
        bool everything; /* global translations too */
        struct {
                uint64_t va;
                uint64_t pages;
        } ranges[ARCH_TLB_RANGES_MAX];
};
void arch_tlb_add(struct arch_tlb_batch *batch, uint64_t va, uint64_t bytes);
/* Invalidates on this CPU, and on all others by an interrupt; waits for their answers, and panics
 * with the number of the CPU that has not answered within a second or two. Empties the batch.
 * Context: thread, interrupts on or off; locks to the left of "TLB shoot-down"
 * in kernel/cpu.h may be held.
 * cost: one CPU: INVLPG a page; several: one interrupt each, whatever the batch holds. */
void arch_tlb_flush(struct arch_tlb_batch *batch);
/* Answers a request of another CPU, if there is one. For loops that wait with interrupts off. */
void arch_tlb_poll(void);

/* Stops all other CPUs where they stand, by NMI; waits for them, 100 ms at most. For panic and
 * exit; the first CPU that calls it wins, a second one that does so at the same time is
 * stopped here and does not return.
 *   returns  how many did not stop */
uint32_t arch_cpu_stop_others(void);

/* ---- time ---- */

/* Ways to learn the frequency of the time stamp counter, in the order in which they are tried. */
struct arch_clock_config {
        uint64_t hpet_pa;          /* 0: no HPET table */
        volatile void *hpet_va;    /* 1 KiB, mapped by kernel/acpi.c; NULL: not there */
        uint32_t pm_timer_port;    /* 0: no PM timer (FADT) */
        uint32_t pm_timer_bits;    /* 24 or 32 */
};
/* Calibrates: CPUID 0x15, 0x16, 0x40000010, pvclock, then HPET, PM timer, PIT channel 2 (at
 * most 5 ms in all). `how` points at a static string that names the source.
 * ZX_ERR_NOT_FOUND: no source; the clock then stays at 1 GHz assumed. */
zx_status_t MUST_CHECK arch_clock_init(const struct arch_clock_config *config, const char **how);
/* The counter value at which arch_clock_ns is 0: boot_info.tsc_entry. Once,
 * before the first clock read. */
void arch_clock_set_origin(uint64_t tsc);
/* Measures the counter once more, against one chosen source, for about 2 ms; changes
 * nothing. For tests and the console.
 *   returns  ZX_OK with *ticks_per_second; ZX_ERR_NOT_FOUND: this
 *            machine does not have that source;
 *            ZX_ERR_IO: it is there and gave an absurd result */
enum arch_clock_source {
        ARCH_CLOCK_CPUID_15, ARCH_CLOCK_CPUID_16, ARCH_CLOCK_CPUID_HYPERVISOR,
        ARCH_CLOCK_HYPERV_MSR, ARCH_CLOCK_PVCLOCK, ARCH_CLOCK_HPET, ARCH_CLOCK_PM_TIMER,
        ARCH_CLOCK_PIT,
        ARCH_CLOCK_SOURCE_COUNT
};
zx_status_t MUST_CHECK arch_clock_measure(enum arch_clock_source source,
                                          uint64_t *ticks_per_second);
const char *arch_clock_source_name(enum arch_clock_source source);
uint64_t arch_ticks(void);            /* time stamp counter, ordered after earlier loads */
uint64_t arch_ticks_per_second(void); /* 0 before arch_clock_init */
uint64_t arch_ticks_to_ns(uint64_t ticks);
/* One-shot timer on this CPU: `handler` runs once at or after `deadline_ns` of
 * arch_clock_ns (in the past: at once), in interrupt context. Arming again replaces the
 * deadline; UINT64_MAX disarms. */
uint64_t arch_clock_ns(void); /* nanoseconds since boot_info.tsc_entry */
typedef void (*arch_timer_handler)(void);
/* Needs arch_irq_init and arch_clock_init. ZX_ERR_NOT_SUPPORTED: no local APIC. Every CPU
 * that arch_smp_begin starts gets a timer of its own, with the same handler, which runs on
 * the CPU whose deadline has come. */
zx_status_t MUST_CHECK arch_timer_init(arch_timer_handler handler);
/* Static text for the log: "tsc-deadline", "lapic one-shot", "none"; its counts in a
 * second in `hz`, may be NULL. */
const char *arch_timer_describe(uint64_t *hz);
/* How often the handler was called on this CPU. For tests. */
uint64_t arch_timer_count(void);
void arch_timer_arm(uint64_t deadline_ns);

/* A periodic non-maskable tick from PIT channel 0 through the I/O APIC (about 18 a second), so that
 * a loop with interrupts off is caught as well. `tick` runs in NMI context: no locks, no
 * allocation; it may panic. Waits for the first tick; disarms the one-shot timer.
 * ZX_ERR_NOT_SUPPORTED: the machine has no PIT or no I/O APIC, or no tick came. */
typedef void (*arch_nmi_handler)(const struct arch_trap_frame *frame);
zx_status_t MUST_CHECK arch_watchdog_start(arch_nmi_handler tick);

/* ---- traps, for panic ---- */

/* Writes the decoded cause ("page fault: write to unmapped 0x... (not present)", "stack overflow:
 * guard page under the boot stack") and the registers, one line at a time, through `line`. */
typedef void (*arch_line_fn)(const char *text);
void arch_trap_describe(const struct arch_trap_frame *frame, arch_line_fn line);
/* Return addresses, innermost first, by frame pointers; stops at the first frame that is not in a
 * kernel stack. `frame` NULL: from the caller. Returns how many were stored, at most `max`. */
size_t arch_backtrace(const struct arch_trap_frame *frame, uint64_t *addresses, size_t max);

/* At the start of a panic, in any context: interrupts off, and from now on no fault counts as
 * expected (arch_trap_probe), so that a fault inside the panic ends in kernel_trap_panic again.
 * Stops all other CPUs; of two that panic at the same time only one returns from here. */
void arch_panic_begin(void);

/* ---- user memory: user_copy.S; kernel/user_copy.h is what the kernel uses ---- */

#define ARCH_USER_END 0x0000800000000000ull /* the user half of the address space is [0, this) */

/* Copies between the kernel and the user half, with user pages open (SMAP) only meanwhile. One of
 * the two ranges lies in the user half, all of it: the caller has checked that.
 *   status_out  out: ZX_OK, or why the copy ended early: what the user fault handler
 *               said; where it did not know the address, or there is none, what the
 *               CPU knows: ZX_ERR_ACCESS_DENIED for a translation that forbids the
 *               access, else ZX_ERR_NOT_FOUND
 *   returns     how many bytes were copied, from the front
 *   context     as arch_set_user_fault_handler's function; a fault
 *               on a kernel address is a panic */
uint64_t arch_user_copy(void *destination, const void *source, uint64_t bytes,
                        zx_status_t *status_out);

/* ---- faults on user addresses ---- */

/* A user copy touched an address of the user half, and the page table said no.
 *   va       any address of the lower half
 *   access   ARCH_PAGE_FAULT_* as the CPU reported them
 *   returns  ZX_OK: it is mapped now, the instruction is tried again; any other: the copy ends
 *            there with that status; ZX_ERR_NOT_FOUND: this handler knows nothing of the address
 *   context  thread, interrupts as they were where it happened; a fault in here is a panic
 * Called for the instructions of arch_user_copy only: any other touch of a user address is
 * a bug, which no mapping may hide. Nor for what mapping cannot cure: broken tables,
 * copies in interrupt handlers. */
typedef zx_status_t (*arch_user_fault_fn)(uint64_t va, uint32_t access);
/* Returns the one before, NULL at first. */
arch_user_fault_fn arch_set_user_fault_handler(arch_user_fault_fn function);

/* ---- expected faults, for tests ---- */

#define ARCH_TRAP_CAUSE_BYTES 192

enum arch_trap_vector {
        ARCH_TRAP_DIVIDE_ERROR = 0,
        ARCH_TRAP_BREAKPOINT = 3,
        ARCH_TRAP_INVALID_OPCODE = 6,
        ARCH_TRAP_NO_FPU = 7, /* x87 or vector instruction while they are off */
        ARCH_TRAP_DOUBLE_FAULT = 8,
        ARCH_TRAP_GENERAL_PROTECTION = 13,
        ARCH_TRAP_PAGE_FAULT = 14,
};

/* The error code of a page fault. */
enum arch_page_fault_bits {
        /* A translation was there and forbade the access; clear: none was there. */
        ARCH_PAGE_FAULT_PRESENT = 1,
        ARCH_PAGE_FAULT_WRITE = 2,
        ARCH_PAGE_FAULT_USER = 4,
        ARCH_PAGE_FAULT_RESERVED_BIT = 8,
        ARCH_PAGE_FAULT_FETCH = 16,
};

struct arch_trap_info {
        uint32_t vector; /* enum arch_trap_vector, or another exception */
        uint64_t error;  /* 0 where the CPU has none */
        uint64_t address; /* that a page fault was about; else 0 */
        uint64_t rip;    /* the instruction that faulted (after it, for a breakpoint) */
        char cause[ARCH_TRAP_CAUSE_BYTES]; /* as arch_trap_describe would begin */
};

/* Calls function(context) and survives an exception in it.
 *   info     out: which exception, untouched without one; may be NULL
 *   returns  true when it faulted (it was then left where it stood: locks held, memory half
 *            written); false when it returned
 * May be nested. Interrupts that come in meanwhile are handled as ever, and a fault in
 * one of their handlers is a panic as ever. NMI and machine check are never expected.
 * Context: not in interrupt handlers. */
bool MUST_CHECK arch_trap_probe(void (*function)(void *context), void *context,
                                struct arch_trap_info *info);

/* ---- leaving ---- */

struct arch_exit_config {
        uint32_t debug_exit_port; /* isa-debug-exit; 0: do not try */
        /* from the FADT and \_S5; a zero port or address means "not there" */
        uint32_t pm1a_control_port, pm1b_control_port;
        uint16_t s5_a, s5_b;        /* SLP_TYP values */
        uint64_t sleep_control_pa;  /* hardware-reduced ACPI; memory */
        /* The same byte, mapped by kernel/acpi.c; NULL: not there. */
        volatile void *sleep_control_va;
        uint8_t s5_sleep_control;   /* SLP_TYP for it */
        bool reset_register_valid;
        uint8_t reset_space;        /* ACPI address space: 0 memory, 1 port */
        uint64_t reset_address;
        volatile void *reset_va;    /* the same byte when it is memory, mapped by kernel/acpi.c */
        uint8_t reset_value;
};
void arch_exit_configure(const struct arch_exit_config *config);
/* Leaves the machine: isa-debug-exit with `code` (QEMU's status is (code << 1) | 1), else ACPI
 * power-off, else reset, else halt for ever. Any context. */
NORETURN void arch_exit(uint8_t code);
/* Resets by loading an empty IDT and faulting: a triple fault, on purpose. For the crash tests. */
NORETURN void arch_triple_fault(void);
/* Faults with a stack pointer that leads nowhere: a double fault that is no stack
 * overflow. For the crash tests. */
NORETURN void arch_fault_without_stack(void);

#endif

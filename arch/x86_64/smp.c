/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* smp — starts all CPUs at once, wakes them, stops them. See smp.h for the per-CPU area.
 *
 *   boot CPU                                  each other CPU
 *     begin: area, stacks, trampoline
 *            INIT and start-up interrupt -----> trampoline -> smp_entry64 -> smp_started:
 *     ...    (the clock is calibrated)             descriptors, tables, APIC
 *     finish: wait until all ARRIVED <----------
 *            number those that came
 *            go  ------------------------------>   time stamp, shoot-downs, timer
 *            wait until all are on line <------    entry()
 *
 * A CPU that comes too late finds its state ABANDONED and halts for good.
 * Facts: Intel SDM 3, 8.4.4.1 (the waits between INIT and start-up interrupts are for CPUs of the
 * last century: 10 ms are kept for those that are not virtual), 10.6. Context: boot CPU. */
#include "arch/smp.h"

#include "arch/address_space.h"
#include "arch/apic.h"
#include "arch/arch.h"
#include "arch/cpu.h"
#include "arch/lapic.h"
#include "arch/trap.h"
#include "base/assert.h"
#include "base/bytes.h"

#define TRAMPOLINE_END_PA MIB
#define ARRIVE_NS_MAX 2000000000ull
#define ARRIVE_CPU_NS 250000000ull    /* and for each CPU so much: a host may have few for many */
#define ON_LINE_NS_MAX 10000000000ull /* from there on only a bug keeps a CPU away */
#define SECOND_START_UP_NS 10000000u /* so long without an answer: the first may have been lost */
#define INIT_NS_BARE_METAL 10000000u
#define STOP_NS_MAX 100000000u
#define APIC_ID_XAPIC_MAX 254u

#define STACK_PAGES (STACK_BYTES / PAGE_BYTES)
#define CPU_PAGES (STACK_COUNT * STACK_PAGES + 1) /* and one for the area */

_Static_assert(sizeof(struct arch_cpu) <= PAGE_BYTES, "an area is a page");

/* Entries of the tables that a CPU starts on; paging.c has their meaning. */
#define TABLE_ENTRIES 512
#define TABLE_WAY (BIT_MASK(0) | BIT_MASK(1) | BIT_MASK(5))   /* present, write, accessed */
/* Present, accessed, large: read and execute. */
#define TABLE_LEAF (BIT_MASK(0) | BIT_MASK(5) | BIT_MASK(7))
#define START_TABLES 3 /* root, pointers, directory */

enum start_state { START_EXPECTED = 0, START_ARRIVED = 1, START_ABANDONED = 2 };

extern const char smp_trampoline[], smp_trampoline_end[], smp_trampoline_values[];
extern const char smp_trampoline_fix_gdt[], smp_trampoline_fix_far32[], smp_trampoline_fix_far64[];
void smp_entry64(void);
void smp_started(struct smp_start *start);

struct arch_cpu smp_boot_cpu;
struct smp_start smp_start_table[ARCH_CPU_COUNT_MAX];
uint32_t smp_start_count;
unsigned stack_mapped_count = STACK_COUNT;
_Atomic uint64_t smp_online = 1;

static struct arch_cpu *cpus[ARCH_CPU_COUNT_MAX] = {&smp_boot_cpu};
static uint32_t cpu_count = 1;
static atomic_bool go;
static atomic_uint started_count; /* of those after `go` */
static uint64_t start_tables_pa;
static uint32_t start_up_command;
static uint64_t init_tsc; /* when INIT was sent */
static void (*entry)(void);

struct arch_cpu *smp_cpu(uint32_t index)
{
        ASSERT(index < ARCH_CPU_COUNT_MAX);
        ASSERT(cpus[index] != NULL);
        return cpus[index];
}

uint32_t arch_cpu_count(void)
{
        return __atomic_load_n(&cpu_count, __ATOMIC_RELAXED);
}

uint32_t smp_index_of_stacks(uint32_t stack_set)
{
        for (uint32_t i = 0; i < arch_cpu_count(); i++)
                if (cpus[i]->stack_set == stack_set)
                        return i;
        return stack_set;
}

/* ---- on the CPU that starts ---- */

static NORETURN void halt_for_good(void)
{
        for (;;) {
                __asm__ volatile("cli" : : : "memory");
                cpu_halt();
        }
}

/* On its own stack, on the tables for the start, interrupts off. */
void smp_started(struct smp_start *start)
{
        struct arch_cpu *cpu = start->cpu;
        uint32_t expected = START_EXPECTED;

        smp_set_this(cpu);
        cpu_init_this();
        cpu_write_cr3(paging_root_pa());
        paging_drop_all();
        apic_init_this();
        /* release: pairs with the acquire in missing_count */
        if (!atomic_compare_exchange_strong_explicit(&start->state, &expected, START_ARRIVED,
                                                     memory_order_release, memory_order_relaxed))
                halt_for_good();
        /* acquire: pairs with the release in let_go, which wakes us. A host with few processors
         * needs them for the boot CPU meanwhile. */
        while (!atomic_load_explicit(&go, memory_order_acquire)) {
                arch_wait_for_interrupt();
                (void)arch_interrupts_disable();
        }

        cpu->tsc_seen = arch_ticks();
        /* In this order, and seq_cst: whoever changes tables from now on asks us; what was changed
         * before is what we read after the drop. Pairs with the fence in arch_tlb_flush. */
        atomic_fetch_or_explicit(&smp_online, BIT_MASK(cpu->index), memory_order_seq_cst);
        paging_drop_all();
        timer_init_this();
        atomic_fetch_add_explicit(&started_count, 1, memory_order_release); /* to all_on_line */
        entry();
        halt_for_good();
}

/* ---- preparing ---- */

/* Maps the stacks of one set; the pages in a row at `pa` become its stacks. */
static zx_status_t map_stacks(uint32_t stack_set, uint64_t pa,
                              const struct arch_table_source *source)
{
        for (unsigned i = 0; i < STACK_COUNT; i++) {
                unsigned stack = stack_set * STACK_COUNT + i;
                zx_status_t status =
                        arch_map(stack_bottom(stack), pa + i * STACK_BYTES, STACK_BYTES,
                                 ARCH_MAP_WRITE | ARCH_MAP_GLOBAL, source);
                if (status == ZX_OK)
                        continue;
                for (unsigned undo = 0; undo < i; undo++) {
                        unsigned mapped = stack_set * STACK_COUNT + undo;
                        zx_status_t undone = arch_unmap(stack_bottom(mapped), STACK_BYTES);
                        ASSERT(undone == ZX_OK);
                }
                return status;
        }
        return ZX_OK;
}

/* One more entry of the start table, with memory of its own; false: there is none. */
static bool prepare_cpu(const struct arch_smp_config *config, uint32_t apic_id)
{
        struct smp_start *start = &smp_start_table[smp_start_count];
        uint32_t stack_set = smp_start_count + 1;
        uint64_t pa = config->alloc_run(CPU_PAGES, false);

        if (pa == 0)
                return false;
        if (map_stacks(stack_set, pa, config->source) != ZX_OK) {
                config->free_run(pa, CPU_PAGES);
                return false;
        }
        start->cpu = (struct arch_cpu *)(ARCH_PHYSMAP_BASE + pa + (CPU_PAGES - 1) * PAGE_BYTES);
        memset(start->cpu, 0, sizeof(*start->cpu));
        start->cpu->apic_id = apic_id;
        start->cpu->stack_set = stack_set;
        start->apic_id = apic_id;
        start->stack_top = stack_top(stack_set * STACK_COUNT + STACK_BOOT);
        atomic_store_explicit(&start->state, START_EXPECTED, memory_order_relaxed);
        smp_start_count++;
        stack_mapped_count = (stack_set + 1) * STACK_COUNT;
        return true;
}

static void prepare_cpus(const struct arch_smp_config *config)
{
        for (uint32_t i = 0; i < config->apic_id_count; i++) {
                uint32_t apic_id = config->apic_ids[i];
                if (apic_id == smp_boot_cpu.apic_id || smp_start_count == ARCH_CPU_COUNT_MAX - 1 ||
                    (apic_id > APIC_ID_XAPIC_MAX && !lapic_is_x2apic()))
                        continue;
                if (!prepare_cpu(config, apic_id))
                        return;
        }
}

static uint64_t *table_at(uint64_t pa)
{
        return (uint64_t *)(ARCH_PHYSMAP_BASE + pa);
}

/* Tables with the kernel half, and the first 2 MiB where they are: read, execute. */
static void build_start_tables(uint64_t pa)
{
        uint64_t *root = table_at(pa);
        uint64_t *pointers = table_at(pa + PAGE_BYTES), *directory = table_at(pa + 2 * PAGE_BYTES);

        memset(root, 0, START_TABLES * PAGE_BYTES);
        memcpy(root + TABLE_ENTRIES / 2, table_at(paging_root_pa()) + TABLE_ENTRIES / 2,
               PAGE_BYTES / 2);
        root[0] = (pa + PAGE_BYTES) | TABLE_WAY;
        pointers[0] = (pa + 2 * PAGE_BYTES) | TABLE_WAY;
        directory[0] = TABLE_LEAF;
}

static void fix(char *page, const char *label, uint64_t page_pa)
{
        uint32_t value;
        char *at = page + (label - smp_trampoline);

        memcpy(&value, at, sizeof(value));
        value += (uint32_t)page_pa;
        memcpy(at, &value, sizeof(value));
}

static void build_trampoline(uint64_t page_pa, uint64_t tables_pa)
{
        char *page = (char *)(ARCH_PHYSMAP_BASE + page_pa);
        const struct smp_trampoline_values values = {
                .cr3 = (uint32_t)tables_pa,
                .efer = (uint32_t)(BIT_MASK(CPU_EFER_LME_BIT) |
                                   (cpu_features()->nx ? BIT_MASK(CPU_EFER_NXE_BIT) : 0)),
                .entry = (uint64_t)smp_entry64,
        };

        memcpy(page, smp_trampoline, (size_t)(smp_trampoline_end - smp_trampoline));
        fix(page, smp_trampoline_fix_gdt, page_pa);
        fix(page, smp_trampoline_fix_far32, page_pa);
        fix(page, smp_trampoline_fix_far64, page_pa);
        memcpy(page + (smp_trampoline_values - smp_trampoline), &values, sizeof(values));
}

/* ---- starting ---- */

static void send_to_expected(uint32_t command)
{
        for (uint32_t i = 0; i < smp_start_count; i++)
                if (atomic_load_explicit(&smp_start_table[i].state, memory_order_relaxed) ==
                    START_EXPECTED)
                        lapic_send(smp_start_table[i].apic_id, command);
}

static uint32_t missing_count(void)
{
        uint32_t missing = 0;

        for (uint32_t i = 0; i < smp_start_count; i++)
                missing += atomic_load_explicit(&smp_start_table[i].state, memory_order_acquire) ==
                           START_EXPECTED;
        return missing;
}

static void wait_for_arrivals(void)
{
        bool again = false;
        uint64_t start_ns = arch_clock_ns();
        uint64_t limit_ns = ARRIVE_NS_MAX + missing_count() * ARRIVE_CPU_NS;

        while (missing_count() != 0) {
                uint64_t waited_ns = arch_clock_ns() - start_ns;
                if (waited_ns > limit_ns)
                        return;
                if (!again && waited_ns > SECOND_START_UP_NS) {
                        send_to_expected(start_up_command); /* ignored by a CPU that runs already */
                        again = true;
                }
                arch_pause();
        }
}

/* Numbers those that came, takes back the memory of nobody: a late one may still run through its
 * stack. Returns how many did not come. */
static uint32_t number_arrivals(void)
{
        uint32_t count = 1, absent = 0;

        for (uint32_t i = 0; i < smp_start_count; i++) {
                struct smp_start *start = &smp_start_table[i];
                uint32_t expected = START_EXPECTED;
                if (atomic_compare_exchange_strong_explicit(&start->state, &expected,
                                                            START_ABANDONED, memory_order_acquire,
                                                            memory_order_acquire)) {
                        absent++;
                        continue;
                }
                start->cpu->index = count;
                cpus[count++] = start->cpu;
        }
        __atomic_store_n(&cpu_count, count, __ATOMIC_RELAXED);
        return absent;
}

static void wake_interrupt(void *context)
{
        struct arch_cpu *cpu = smp_this();

        (void)context;
        __atomic_store_n(&cpu->wake_count, cpu->wake_count + 1, __ATOMIC_RELAXED);
}

static void tlb_interrupt(void *context)
{
        (void)context;
        arch_tlb_poll();
}

/* The counter of a CPU that ran between our two readings lies between them,
 * or it does not run with ours. */
static void compare_counters(struct arch_cpu *cpu, uint64_t before, uint64_t after)
{
        cpu->start_ns = arch_ticks_to_ns(after - init_tsc);
        if (cpu->tsc_seen >= before && cpu->tsc_seen <= after)
                return;
        cpu->tsc_offset = (int64_t)(before + (after - before) / 2 - cpu->tsc_seen);
        cpu->tsc_corrected = true;
}

/* Lets those go that were numbered, and waits until all of them have said that they run. */
static void let_go(void)
{
        uint64_t before = arch_ticks(), deadline_ns = arch_clock_ns() + ON_LINE_NS_MAX;

        /* release: pairs with the acquire in smp_started */
        atomic_store_explicit(&go, true, memory_order_release);
        for (uint32_t cpu = 1; cpu < arch_cpu_count(); cpu++)
                arch_cpu_wake(cpu);
        while (atomic_load_explicit(&started_count, memory_order_acquire) != arch_cpu_count() - 1) {
                if (arch_clock_ns() > deadline_ns)
                        kernel_arch_panic("a CPU that had started does not go on");
                arch_pause();
        }
        uint64_t after = arch_ticks();
        for (uint32_t cpu = 1; cpu < arch_cpu_count(); cpu++)
                compare_counters(cpus[cpu], before, after);
}

void arch_smp_begin(const struct arch_smp_config *config)
{
        ASSERT(entry == NULL);
        entry = config->entry;
        if (!lapic_is_ready())
                return;
        smp_boot_cpu.apic_id = lapic_id();
        if (config->apic_id_count < 2 || config->trampoline_pa == 0)
                return;
        ASSERT(config->trampoline_pa + PAGE_BYTES <= TRAMPOLINE_END_PA);
        start_tables_pa = config->alloc_run(START_TABLES, true);
        if (start_tables_pa == 0)
                return;
        apic_claim_vector(SMP_VECTOR_WAKE, "wake", wake_interrupt, NULL);
        apic_claim_vector(SMP_VECTOR_TLB, "tlb", tlb_interrupt, NULL);
        prepare_cpus(config);
        build_start_tables(start_tables_pa); /* after the stacks: it copies the way to them */
        build_trampoline(config->trampoline_pa, start_tables_pa);
        start_up_command =
                LAPIC_COMMAND_START_UP | (uint32_t)(config->trampoline_pa >> PAGE_BYTES_LOG2);

        init_tsc = arch_ticks();
        send_to_expected(LAPIC_COMMAND_INIT);
        if (arch_cpu_has_hypervisor())
                send_to_expected(start_up_command);
}

uint32_t arch_smp_finish(void (*free_run)(uint64_t pa, uint64_t page_count))
{
        if (smp_start_count == 0)
                return 1;
        if (!arch_cpu_has_hypervisor()) {
                while (arch_ticks_to_ns(arch_ticks() - init_tsc) < INIT_NS_BARE_METAL)
                        arch_pause();
                send_to_expected(start_up_command);
        }
        wait_for_arrivals();
        uint32_t absent = number_arrivals();
        let_go();
        if (absent == 0) /* else one may still walk them */
                free_run(start_tables_pa, START_TABLES);
        return arch_cpu_count();
}

/* ---- waking and stopping ---- */

void arch_cpu_wake(uint32_t cpu)
{
        if (cpu != arch_cpu_index())
                lapic_send(smp_cpu(cpu)->apic_id, SMP_VECTOR_WAKE);
}

#define STOPPER_NOBODY 0u /* else the number of the CPU plus 1 */
static atomic_uint stopper;
static _Atomic uint64_t stopped;

static NORETURN void stop_here(void)
{
        atomic_fetch_or_explicit(&stopped, BIT_MASK(arch_cpu_index()), memory_order_release);
        halt_for_good();
}

void smp_stop_if_asked(void)
{
        uint32_t who = atomic_load_explicit(&stopper, memory_order_acquire);

        if (who != STOPPER_NOBODY && who != arch_cpu_index() + 1)
                stop_here();
}

uint32_t arch_cpu_stop_others(void)
{
        uint32_t nobody = STOPPER_NOBODY;
        uint64_t online = atomic_load_explicit(&smp_online, memory_order_acquire);
        uint64_t others = online & ~BIT_MASK(arch_cpu_index());
        uint64_t deadline_ns;

        if (!atomic_compare_exchange_strong_explicit(&stopper, &nobody, arch_cpu_index() + 1,
                                                     memory_order_acq_rel, memory_order_acquire)) {
                smp_stop_if_asked();
                return 0; /* we are the one, and have done it */
        }
        for (uint64_t left = others; left != 0; left &= left - 1)
                lapic_send(smp_cpu((uint32_t)__builtin_ctzll(left))->apic_id, LAPIC_COMMAND_NMI);
        deadline_ns = arch_clock_ns() + STOP_NS_MAX;
        while ((atomic_load_explicit(&stopped, memory_order_acquire) & others) != others) {
                if (arch_clock_ns() > deadline_ns)
                        break;
                arch_pause();
        }
        return (uint32_t)__builtin_popcountll(others & ~atomic_load_explicit(&stopped,
                                                                             memory_order_acquire));
}

/* ---- looking ---- */

void arch_cpu_summary(uint32_t index, struct arch_cpu_summary *summary)
{
        const struct arch_cpu *cpu = smp_cpu(index);

        *summary = (struct arch_cpu_summary){
                .apic_id = cpu->apic_id,
                .tsc_corrected = cpu->tsc_corrected,
                .tsc_offset = cpu->tsc_offset,
                .start_ns = cpu->start_ns,
                .timer_count = __atomic_load_n(&cpu->timer_count, __ATOMIC_RELAXED),
                .interrupt_count = __atomic_load_n(&cpu->wake_count, __ATOMIC_RELAXED),
                .shootdown_count = __atomic_load_n(&cpu->shootdown_count, __ATOMIC_RELAXED),
        };
}

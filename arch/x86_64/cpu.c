/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* cpu — brings this CPU into the state that the kernel runs in, and says what it is.
 *
 *   selector  0x08 code, 0x10 data, 0x18 task state segment (for the interrupt stacks only: there
 *             is no user mode)
 *   CR0       paging, write protection also for the kernel; x87 and vector instructions fault
 *   CR4       exactly the bits below as far as the CPU has them: what firmware had switched on goes
 *   EFER      NX
 *
 * The descriptor tables are writable: the CPU sets the busy bit of the TSS in them.
 * Facts: Intel SDM 3, 2.5, 3.4.5, 7.7 (64-bit TSS), 13.1 (CR0.EM and CR4.OSFXSR); volume 2, CPUID;
 * spec/virtio.md, 14.2 and 14.5 for the states on entry. Context: arch_cpu_init on the boot CPU,
 * once; cpu_init_this on each CPU, once. */
#include "arch/cpu.h"

#include "arch/address_space.h"
#include "arch/arch.h"
#include "arch/smp.h"
#include "arch/text.h"
#include "arch/trap.h"
#include "base/assert.h"
#include "base/bytes.h"

static struct arch_cpu_features features;

const struct arch_cpu_features *cpu_features(void)
{
        return &features;
}

/* ---- CPUID ---- */

#define LEAF_FEATURES 1
#define LEAF_EXTENDED_FEATURES 7
#define LEAF_AMD_FEATURES 0x80000001u
#define LEAF_MODEL_FIRST 0x80000002u
#define LEAF_MODEL_LAST 0x80000004u
#define LEAF_POWER 0x80000007u
#define LEAF_ADDRESS_WIDTHS 0x80000008u

#define PHYSICAL_ADDRESS_BITS_DEFAULT 36
#define PHYSICAL_ADDRESS_BITS_MIN 32
#define PHYSICAL_ADDRESS_BITS_MAX 52
#define LINEAR_ADDRESS_BITS_DEFAULT 48

bool cpu_has_leaf(uint32_t leaf)
{
        if (leaf >= CPU_LEAF_EXTENDED)
                return leaf <= features.extended_leaf_max;
        if (leaf >= CPU_LEAF_HYPERVISOR)
                return leaf <= features.hypervisor_leaf_max;
        return leaf <= features.leaf_max;
}

/* The registers of `leaf`, all 0 when the CPU does not have it. */
static struct cpu_cpuid leaf_or_zero(uint32_t leaf)
{
        return cpu_has_leaf(leaf) ? cpu_cpuid(leaf, 0) : (struct cpu_cpuid){0};
}

static bool bit(uint32_t word, unsigned number)
{
        return (word >> number & 1) != 0;
}

/* A string that CPUID hands out in registers may hold anything;
 * what is not printable becomes '?'. */
static void clean_text(char *text)
{
        for (; *text != '\0'; text++) {
                if (*text < ' ' || *text > '~')
                        *text = '?';
        }
}

static void read_names(struct arch_cpu_features *f)
{
        struct cpu_cpuid r = cpu_cpuid(0, 0);
        uint32_t vendor[3] = {r.ebx, r.edx, r.ecx};

        memcpy(f->vendor, vendor, sizeof(vendor));
        clean_text(f->vendor);
        if (cpu_has_leaf(LEAF_MODEL_LAST)) {
                for (uint32_t leaf = LEAF_MODEL_FIRST; leaf <= LEAF_MODEL_LAST; leaf++) {
                        r = cpu_cpuid(leaf, 0);
                        memcpy(f->model + (leaf - LEAF_MODEL_FIRST) * sizeof(r), &r, sizeof(r));
                }
                clean_text(f->model);
        }
        if (f->hypervisor) {
                r = cpu_cpuid(CPU_LEAF_HYPERVISOR, 0);
                uint32_t hypervisor[3] = {r.ebx, r.ecx, r.edx};
                f->hypervisor_leaf_max = r.eax;
                memcpy(f->hypervisor_vendor, hypervisor, sizeof(hypervisor));
                clean_text(f->hypervisor_vendor);
        }
}

static void read_features(struct arch_cpu_features *f)
{
        struct cpu_cpuid r;

        f->leaf_max = cpu_cpuid(0, 0).eax;
        f->extended_leaf_max = cpu_cpuid(CPU_LEAF_EXTENDED, 0).eax;
        if (f->extended_leaf_max < CPU_LEAF_EXTENDED)
                f->extended_leaf_max = 0; /* an answer that is no extended leaf: there are none */

        r = leaf_or_zero(LEAF_FEATURES);
        f->mce = bit(r.edx, 7);
        f->pge = bit(r.edx, 13);
        f->x2apic = bit(r.ecx, 21);
        f->tsc_deadline = bit(r.ecx, 24);
        f->hypervisor = bit(r.ecx, 31);

        r = leaf_or_zero(LEAF_EXTENDED_FEATURES);
        f->smep = bit(r.ebx, 7);
        f->smap = bit(r.ebx, 20);
        f->umip = bit(r.ecx, 2);
        f->la57 = bit(r.ecx, 16);

        r = leaf_or_zero(LEAF_AMD_FEATURES);
        f->nx = bit(r.edx, 20);
        f->gbpages = bit(r.edx, 26);
        f->rdtscp = bit(r.edx, 27);
        f->tsc_invariant = bit(leaf_or_zero(LEAF_POWER).edx, 8);

        r = leaf_or_zero(LEAF_ADDRESS_WIDTHS);
        f->physical_bits = (uint8_t)r.eax;
        f->linear_bits = (uint8_t)(r.eax >> 8);
        if (f->physical_bits < PHYSICAL_ADDRESS_BITS_MIN ||
            f->physical_bits > PHYSICAL_ADDRESS_BITS_MAX)
                f->physical_bits = PHYSICAL_ADDRESS_BITS_DEFAULT;
        if (f->linear_bits < LINEAR_ADDRESS_BITS_DEFAULT)
                f->linear_bits = LINEAR_ADDRESS_BITS_DEFAULT;
        read_names(f);
}

/* ---- descriptor tables ---- */

/* Present, ring 0, accessed already set. Intel SDM 3, figure 3-8. */
#define DESCRIPTOR_CODE64 0x00af9b000000ffffull
#define DESCRIPTOR_DATA 0x00cf93000000ffffull
#define DESCRIPTOR_TSS_TYPE (0x89ull << 40) /* present, available 64-bit TSS */

struct table_pointer {
        uint16_t limit;
        uint64_t base;
} PACKED;

static void set_up_task_state(struct arch_cpu *cpu)
{
        struct smp_task_state *task_state = &cpu->task_state;
        uint64_t base = (uint64_t)task_state, limit = sizeof(*task_state) - 1;
        unsigned slot = CPU_SELECTOR_TSS / sizeof(uint64_t);
        unsigned stacks = cpu->stack_set * STACK_COUNT;

        task_state->rsp[0] = stack_top(stacks + STACK_BOOT);
        task_state->ist[CPU_IST_DOUBLE_FAULT - 1] = stack_top(stacks + STACK_DOUBLE_FAULT);
        task_state->ist[CPU_IST_NMI - 1] = stack_top(stacks + STACK_NMI);
        task_state->ist[CPU_IST_MACHINE_CHECK - 1] = stack_top(stacks + STACK_MACHINE_CHECK);
        /* Beyond the limit: no port for user mode. */
        task_state->io_map_offset = sizeof(*task_state);

        cpu->descriptors[slot] = limit | (base & 0xffffff) << 16 | DESCRIPTOR_TSS_TYPE |
                                 (base >> 24 & 0xff) << 56;
        cpu->descriptors[slot + 1] = base >> 32;
}

static void load_descriptors(struct arch_cpu *cpu)
{
        struct table_pointer pointer = {.limit = sizeof(cpu->descriptors) - 1,
                                        .base = (uint64_t)cpu->descriptors};

        cpu->descriptors[CPU_SELECTOR_CODE / sizeof(uint64_t)] = DESCRIPTOR_CODE64;
        cpu->descriptors[CPU_SELECTOR_DATA / sizeof(uint64_t)] = DESCRIPTOR_DATA;
        /* CS can only be loaded by a far transfer; a far return takes it from the stack. */
        __asm__ volatile("lgdt %0\n\t"
                         "movl %1, %%ds\n\t"
                         "movl %1, %%es\n\t"
                         "movl %1, %%ss\n\t"
                         "movl %2, %%fs\n\t"
                         "movl %2, %%gs\n\t"
                         "pushq %3\n\t"
                         "leaq 1f(%%rip), %%rax\n\t"
                         "pushq %%rax\n\t"
                         "lretq\n"
                         "1:"
                         : : "m"(pointer), "r"(CPU_SELECTOR_DATA), "r"(0), "i"(CPU_SELECTOR_CODE)
                         : "rax", "memory");
        __asm__ volatile("ltr %w0" : : "r"(CPU_SELECTOR_TSS) : "memory");
        smp_set_this(cpu); /* the load of GS may have changed its base */
}

/* ---- control registers ---- */

/* A vector or x87 instruction in the kernel would corrupt nothing yet (nobody else uses those
 * registers), but it would once somebody does; so none is let through. With EM set x87 raises #NM
 * and, with OSFXSR clear, every SSE instruction #UD; AVX needs OSXSAVE, which is clear. */
static void set_control_registers(const struct arch_cpu_features *f)
{
        uint64_t cr4 = BIT_MASK(CPU_CR4_PAE_BIT) | BIT_MASK(CPU_CR4_DE_BIT);

        if (f->nx)
                cpu_write_msr(CPU_MSR_EFER,
                              cpu_read_msr(CPU_MSR_EFER) | BIT_MASK(CPU_EFER_NXE_BIT));
        cpu_write_cr0(BIT_MASK(CPU_CR0_PE_BIT) | BIT_MASK(CPU_CR0_MP_BIT) |
                      BIT_MASK(CPU_CR0_EM_BIT) | BIT_MASK(CPU_CR0_TS_BIT) |
                      BIT_MASK(CPU_CR0_ET_BIT) | BIT_MASK(CPU_CR0_NE_BIT) |
                      BIT_MASK(CPU_CR0_WP_BIT) | BIT_MASK(CPU_CR0_PG_BIT));

        /* The number of levels cannot be changed while paging is on. */
        cr4 |= cpu_read_cr4() & BIT_MASK(CPU_CR4_LA57_BIT);
        if (f->mce)
                cr4 |= BIT_MASK(CPU_CR4_MCE_BIT);
        if (f->pge)
                cr4 |= BIT_MASK(CPU_CR4_PGE_BIT);
        if (f->umip)
                cr4 |= BIT_MASK(CPU_CR4_UMIP_BIT);
        if (f->smep)
                cr4 |= BIT_MASK(CPU_CR4_SMEP_BIT);
        if (f->smap)
                cr4 |= BIT_MASK(CPU_CR4_SMAP_BIT);
        cpu_write_cr4(cr4);
}

void arch_cpu_init(void)
{
        ASSERT(!arch_interrupts_enabled());
        /* linker.ld reserves the stacks; address_space.h counts them. */
        ASSERT(stack_top(STACK_COUNT - 1) == (uint64_t)stacks_end);

        set_up_task_state(&smp_boot_cpu);
        load_descriptors(&smp_boot_cpu);
        trap_init();
        read_features(&features);
        set_control_registers(&features);
}

void cpu_init_this(void)
{
        struct arch_cpu *cpu = smp_this();

        set_up_task_state(cpu);
        load_descriptors(cpu);
        trap_load();
        set_control_registers(&features);
}

/* ---- identity ---- */

bool arch_cpu_has_hypervisor(void)
{
        return features.hypervisor;
}

static void add_word(struct text *text, bool present, const char *word)
{
        if (!present)
                return;
        text_add_char(text, ' ');
        text_add(text, word);
}

void arch_cpu_describe(char *description, size_t description_bytes)
{
        const struct arch_cpu_features *f = &features;
        struct text text = text_begin(description, description_bytes);

        text_add(&text, f->vendor);
        add_word(&text, f->model[0] != '\0', f->model);
        text_add_char(&text, ':');
        add_word(&text, f->nx, "nx");
        add_word(&text, f->smep, "smep");
        add_word(&text, f->smap, "smap");
        add_word(&text, f->umip, "umip");
        add_word(&text, f->pge, "global-pages");
        add_word(&text, f->gbpages, "1g-pages");
        add_word(&text, f->x2apic, "x2apic");
        add_word(&text, f->tsc_deadline, "tsc-deadline");
        add_word(&text, f->tsc_invariant, "invariant-tsc");
        text_add_char(&text, ' ');
        text_add_decimal(&text, f->physical_bits);
        text_add(&text, "-bit physical");
        add_word(&text, f->hypervisor, "under");
        add_word(&text, f->hypervisor,
                 f->hypervisor_vendor[0] != '\0' ? f->hypervisor_vendor : "a nameless hypervisor");
}

/* ---- interrupts on this CPU ---- */

bool arch_interrupts_enabled(void)
{
        return (cpu_read_rflags() & BIT_MASK(CPU_RFLAGS_IF_BIT)) != 0;
}

void arch_interrupts_enable(void)
{
        __asm__ volatile("sti" : : : "memory");
}

bool arch_interrupts_disable(void)
{
        bool enabled = arch_interrupts_enabled();

        __asm__ volatile("cli" : : : "memory");
        return enabled;
}

void arch_interrupts_restore(bool enabled)
{
        if (enabled)
                arch_interrupts_enable();
}

void arch_wait_for_interrupt(void)
{
        /* STI lets interrupts in only after the instruction that follows it,
         * so none is lost between. */
        __asm__ volatile("sti\n\thlt" : : : "memory");
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * What control register pinning costs, in units that have nothing to do with
 * how fast the machine is:
 *
 *	insns PINS OP N		an exit due to OP takes the host N instructions
 *	exits PINS N WRITES	a fixed load takes N exits, WRITES of them in order
 *				to pin; those that interrupts cause don't count
 *
 * where PINS is "unpinned" or "pinned"; the latter only if KVM has pinning.
 *
 * Time is measured with the TSC, hence the machine's has to count instructions.
 * Nothing is printed if it does not, or if a number isn't the same every time.
 */
#include <asm/kvm_para.h>
#include <linux/kvm_para.h>
#include <linux/stringify.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"

#define NR_ROUNDS	200
#define NR_LOADS	1000

#define NR_NOPS		100
#define NR_LOOPS	500

/* What a Linux guest pins. */
#define CR0_PINS	(X86_CR0_PE | X86_CR0_WP | X86_CR0_PG)
#define CR4_PINS	(X86_CR4_UMIP | X86_CR4_FSGSBASE | X86_CR4_SMEP | X86_CR4_SMAP)

/* Bits that the hypervisor keeps for itself, and that nothing depends on. */
#define CR0_TOGGLED	X86_CR0_AM
#define CR4_TOGGLED	X86_CR4_MCE

enum op {
	OP_NONE,
	OP_NOPS,
	OP_LOOP,
	OP_CPUID,
	OP_HYPERCALL,
	OP_RDMSR,
	OP_WRMSR,
	OP_CR0,
	OP_CR4,
	OP_LMSW,
	NR_OPS,
};

static const struct {
	const char *name;
	/* That the guest itself executes. */
	int insns;
} ops[NR_OPS] = {
	[OP_NONE]	= { "none", 0 },
	[OP_NOPS]	= { "nops", NR_NOPS },
	[OP_LOOP]	= { "loop", 1 + 2 * NR_LOOPS },
	[OP_CPUID]	= { "cpuid", 3 },
	[OP_HYPERCALL]	= { "hypercall", 2 },
	[OP_RDMSR]	= { "rdmsr", 2 },
	[OP_WRMSR]	= { "wrmsr", 4 },
	[OP_CR0]	= { "cr0", 1 },
	[OP_CR4]	= { "cr4", 1 },
	[OP_LMSW]	= { "lmsw", 1 },
};

/* Executed without an exit: these verify what the TSC counts. */
#define FIRST_EXIT	OP_CPUID

/* Written by the guest. */
static u32 samples[NR_OPS][NR_ROUNDS];
static u64 nr_pin_writes;

/* Written by the host. */
static bool pinned;

/*
 * The time stamps are inside of the asm statement, so that there is nothing in
 * between but @insns.  RDI and RSI are their operands.
 */
#define MEASURE(insns, rdi, rsi)						\
({										\
	u64 __rdi = (rdi), __rsi = (rsi);					\
	u32 delta;								\
										\
	asm volatile("rdtsc\n\t"						\
		     "mov %%eax, %%r8d\n\t"					\
		     insns "\n\t"						\
		     "rdtsc\n\t"						\
		     "sub %%r8d, %%eax"						\
		     : "=a"(delta), "+D"(__rdi), "+S"(__rsi)			\
		     :: "rbx", "rcx", "rdx", "r8", "cc", "memory");		\
	delta;									\
})

static void guest_pin(void)
{
	set_cr0(get_cr0() | CR0_PINS);
	set_cr4(get_cr4() | CR4_PINS);

	if (pinned) {
		wrmsr(MSR_KVM_CR0_PINNED, CR0_PINS);
		wrmsr(MSR_KVM_CR4_PINNED, CR4_PINS);
		nr_pin_writes = 2;
	}
}

static void guest_measure_round(int i)
{
	u64 cr0 = get_cr0();
	u64 cr4 = get_cr4();
	u64 adjust = rdmsr(MSR_IA32_TSC_ADJUST);

	samples[OP_NONE][i] = MEASURE("", 0, 0);
	samples[OP_NOPS][i] = MEASURE(".rept " __stringify(NR_NOPS) "\n\t"
				      "nop\n\t"
				      ".endr", 0, 0);
	samples[OP_LOOP][i] = MEASURE("mov %%edi, %%ecx\n\t"
				      "1: dec %%ecx\n\t"
				      "jnz 1b", NR_LOOPS, 0);

	samples[OP_CPUID][i] = MEASURE("xor %%eax, %%eax\n\t"
				       "xor %%ecx, %%ecx\n\t"
				       "cpuid", 0, 0);
	if (host_cpu_is_amd_compatible)
		samples[OP_HYPERCALL][i] = MEASURE("mov %%edi, %%eax\n\tvmmcall",
						   KVM_HC_VAPIC_POLL_IRQ, 0);
	else
		samples[OP_HYPERCALL][i] = MEASURE("mov %%edi, %%eax\n\tvmcall",
						   KVM_HC_VAPIC_POLL_IRQ, 0);

	samples[OP_RDMSR][i] = MEASURE("mov %%edi, %%ecx\n\trdmsr",
				       MSR_IA32_TSC_ADJUST, 0);
	samples[OP_WRMSR][i] = MEASURE("mov %%edi, %%ecx\n\t"
				       "mov %%esi, %%eax\n\t"
				       "xor %%edx, %%edx\n\t"
				       "wrmsr", MSR_IA32_TSC_ADJUST, adjust);

	samples[OP_CR0][i] = MEASURE("mov %%rdi, %%cr0", cr0 ^ CR0_TOGGLED, 0);
	set_cr0(cr0);
	samples[OP_CR4][i] = MEASURE("mov %%rdi, %%cr4", cr4 ^ CR4_TOGGLED, 0);
	set_cr4(cr4);
	samples[OP_LMSW][i] = MEASURE("lmsw %%di", (cr0 ^ X86_CR0_EM) & 0xf, 0);
	set_cr0(cr0);
}

static void guest_measure(void)
{
	int i;

	guest_pin();
	for (i = 0; i < NR_ROUNDS; i++)
		guest_measure_round(i);
	GUEST_DONE();
}

/*
 * What kernels do all the time, and what has to do with control registers and
 * MSRs; everything that respects the pins.
 */
static void guest_load_round(void)
{
	u64 cr0 = get_cr0();
	u64 cr4 = get_cr4();
	u32 eax, ebx, ecx, edx;

	/* The FPU, in the ways of old. */
	set_cr0(cr0 | X86_CR0_TS);
	asm volatile("clts");
	set_cr0(cr0 | X86_CR0_TS | X86_CR0_MP);
	set_cr0(cr0);

	set_cr0(cr0 ^ CR0_TOGGLED);
	set_cr0(cr0);
	asm volatile("lmsw %w0" :: "r"(cr0));

	/* TLB flushes, rights of user space, and what the kernel keeps. */
	set_cr4(cr4 ^ X86_CR4_PGE);
	set_cr4(cr4);
	set_cr4(cr4 ^ X86_CR4_TSD);
	set_cr4(cr4 ^ X86_CR4_DE);
	set_cr4(cr4 ^ X86_CR4_OSXMMEXCPT);
	set_cr4(cr4 ^ CR4_TOGGLED);
	set_cr4(cr4);

	set_cr3(get_cr3());
	set_cr8(get_cr8());

	wrmsr(MSR_IA32_TSC_ADJUST, rdmsr(MSR_IA32_TSC_ADJUST));
	wrmsr(MSR_KERNEL_GS_BASE, rdmsr(MSR_KERNEL_GS_BASE));
	wrmsr(MSR_EFER, rdmsr(MSR_EFER));

	cpuid(0, &eax, &ebx, &ecx, &edx);
	kvm_hypercall(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0);
}

static void guest_load(void)
{
	int i;

	guest_pin();
	for (i = 0; i < NR_LOADS; i++)
		guest_load_round();
	GUEST_DONE();
}

static struct kvm_vm *create_vm(struct kvm_vcpu **vcpu, void *guest_code, bool pin)
{
	struct kvm_vm *vm = vm_create_with_one_vcpu(vcpu, guest_code);

	TEST_ASSERT(kvm_cpu_has(X86_FEATURE_UMIP) &&
		    kvm_cpu_has(X86_FEATURE_FSGSBASE) &&
		    kvm_cpu_has(X86_FEATURE_SMEP) &&
		    kvm_cpu_has(X86_FEATURE_SMAP),
		    "The CPU lacks something that Linux pins");

	if (pin) {
		vcpu_set_msr(*vcpu, MSR_KVM_CR0_PIN_ALLOWED, CR0_PINS);
		vcpu_set_msr(*vcpu, MSR_KVM_CR4_PIN_ALLOWED, CR4_PINS);
	}
	pinned = pin;
	sync_global_to_guest(vm, pinned);
	return vm;
}

static void run_guest(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_DONE);
}

/*
 * The least that @op takes, which has to be what it nearly always takes: the
 * rest was interrupted.
 */
static int stable_min(enum op op)
{
	u32 min = -1u;
	int i, count = 0;

	for (i = 0; i < NR_ROUNDS; i++)
		min = min(min, samples[op][i]);
	for (i = 0; i < NR_ROUNDS; i++)
		count += samples[op][i] == min;

	TEST_ASSERT(count >= NR_ROUNDS * 9 / 10,
		    "\"%s\" takes %u, but longer in %d of %d rounds: does the TSC count instructions?",
		    ops[op].name, min, NR_ROUNDS - count, NR_ROUNDS);
	return min;
}

static void measure(int *insns, bool pin)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create_vm(&vcpu, guest_measure, pin);
	enum op op;

	run_guest(vcpu);
	sync_global_from_guest(vm, samples);
	for (op = 0; op < NR_OPS; op++)
		insns[op] = stable_min(op) - stable_min(OP_NONE) - ops[op].insns;

	for (op = 0; op < FIRST_EXIT; op++)
		TEST_ASSERT(!insns[op],
			    "The TSC doesn't count instructions, off by %d after \"%s\"",
			    insns[op], ops[op].name);
	for (; op < NR_OPS; op++)
		TEST_ASSERT(insns[op] > 100, "\"%s\" takes %d, that's no exit",
			    ops[op].name, insns[op]);
	kvm_vm_free(vm);
}

/* The number of pin writes that the guest made is returned in @writes. */
static u64 count_exits(u64 *writes, bool pin)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create_vm(&vcpu, guest_load, pin);
	u64 exits;

	run_guest(vcpu);
	sync_global_from_guest(vm, nr_pin_writes);
	*writes = nr_pin_writes;
	exits = vcpu_get_stat(vcpu, exits) - vcpu_get_stat(vcpu, irq_exits);
	kvm_vm_free(vm);
	return exits;
}

static void bench(const char *name, bool pin)
{
	u64 exits, exits_again, writes, writes_again;
	int insns[NR_OPS], again[NR_OPS];
	enum op op;

	measure(insns, pin);
	measure(again, pin);
	for (op = FIRST_EXIT; op < NR_OPS; op++)
		TEST_ASSERT(insns[op] == again[op],
			    "\"%s\" takes %d instructions in one VM and %d in another",
			    ops[op].name, insns[op], again[op]);

	exits = count_exits(&writes, pin);
	exits_again = count_exits(&writes_again, pin);
	TEST_ASSERT_EQ(exits, exits_again);
	TEST_ASSERT_EQ(writes, writes_again);

	for (op = FIRST_EXIT; op < NR_OPS; op++)
		printf("insns %s %s %d\n", name, ops[op].name, insns[op]);
	printf("exits %s %llu %llu\n", name, (unsigned long long)exits,
	       (unsigned long long)writes);
	fflush(stdout);
}

int main(void)
{
	bench("unpinned", false);
	if (kvm_cpu_has(X86_FEATURE_KVM_CR_PIN))
		bench("pinned", true);
	return 0;
}

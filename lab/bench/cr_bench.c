// SPDX-License-Identifier: GPL-2.0-only
/*
 * What control register pinning costs, in units that have nothing to do with
 * how fast the machine is, one "PINS WHAT N" a line:
 *
 *	OP	an exit due to OP takes the host N instructions
 *	exits	a fixed load takes N exits; those that interrupts cause don't count
 *
 * where PINS is "unpinned" or "pinned"; the latter only if KVM has pinning.
 *
 * The same goes for a nested guest: "nested" is VM-Entry and VM-Exit of L2, as L1 sees
 * it, and "l2-cr0" a write of CR0.WP by L2, which does not exit if L2 owns the bit.
 *
 * "sipi" is how long a vCPU takes, and its userspace, from INIT by way of SIPI to the
 * first exit of its startup code; another vCPU has pins, or not.
 *
 * Time is measured with the TSC, hence the machine's has to count instructions.
 * It fails if it does not, or if a number isn't the same every time.
 */
#include <asm/kvm_para.h>
#include <linux/kvm_para.h>
#include <linux/stringify.h>

#include "kvm_util.h"
#include "processor.h"
#include "svm_util.h"
#include "test_util.h"
#include "vmx.h"

#define NR_ROUNDS	200
#define NR_LOADS	1000
#define NR_LOOPS	500

/* What a Linux guest pins. */
#define CR0_PINS	X86_CR0_WP
#define CR4_PINS	(X86_CR4_UMIP | X86_CR4_FSGSBASE | X86_CR4_SMEP | X86_CR4_SMAP)

/* Bits that the hypervisor keeps for itself, and that nothing depends on. */
#define CR0_TOGGLED	X86_CR0_AM
#define CR4_TOGGLED	X86_CR4_MCE

enum op {
	NONE, LOOP, CPUID, HYPERCALL, RDMSR, WRMSR, CR0, CR4, LMSW, NESTED, L2_CR0, SIPI, NR_OPS
};

static const struct {
	const char *name;
	/* That the guest itself executes. */
	int insns;
} ops[NR_OPS] = {
	[NONE]		= { "none", 0 },
	/* Without an exit: this verifies what the TSC counts. */
	[LOOP]		= { "loop", 1 + 2 * NR_LOOPS },
	[CPUID]		= { "cpuid", 3 },
	[HYPERCALL]	= { "hypercall", 2 },
	[RDMSR]		= { "rdmsr", 2 },
	[WRMSR]		= { "wrmsr", 4 },
	[CR0]		= { "cr0", 1 },
	[CR4]		= { "cr4", 1 },
	[LMSW]		= { "lmsw", 1 },
	[NESTED]	= { "nested", 0 },
	[L2_CR0]	= { "l2-cr0", 1 },
	[SIPI]		= { "sipi", 0 },
};

/* Written by the guest. */
static u32 samples[NR_OPS][NR_ROUNDS];

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
	}
}

static void guest_measure(void)
{
	u64 cr0, cr4, adjust = rdmsr(MSR_IA32_TSC_ADJUST);
	int i;

	guest_pin();
	cr0 = get_cr0();
	cr4 = get_cr4();
	for (i = 0; i < NR_ROUNDS; i++) {
		samples[NONE][i] = MEASURE("", 0, 0);
		samples[LOOP][i] = MEASURE("mov %%edi, %%ecx\n\t"
					   "1: dec %%ecx\n\t"
					   "jnz 1b", NR_LOOPS, 0);
		samples[CPUID][i] = MEASURE("xor %%eax, %%eax\n\t"
					    "xor %%ecx, %%ecx\n\t"
					    "cpuid", 0, 0);
		if (host_cpu_is_amd_compatible)
			samples[HYPERCALL][i] = MEASURE("mov %%edi, %%eax\n\tvmmcall",
							KVM_HC_VAPIC_POLL_IRQ, 0);
		else
			samples[HYPERCALL][i] = MEASURE("mov %%edi, %%eax\n\tvmcall",
							KVM_HC_VAPIC_POLL_IRQ, 0);
		samples[RDMSR][i] = MEASURE("mov %%edi, %%ecx\n\trdmsr",
					    MSR_IA32_TSC_ADJUST, 0);
		samples[WRMSR][i] = MEASURE("mov %%edi, %%ecx\n\t"
					    "mov %%esi, %%eax\n\t"
					    "xor %%edx, %%edx\n\t"
					    "wrmsr", MSR_IA32_TSC_ADJUST, adjust);
		samples[CR0][i] = MEASURE("mov %%rdi, %%cr0", cr0 ^ CR0_TOGGLED, 0);
		set_cr0(cr0);
		samples[CR4][i] = MEASURE("mov %%rdi, %%cr4", cr4 ^ CR4_TOGGLED, 0);
		set_cr4(cr4);
		samples[LMSW][i] = MEASURE("lmsw %%di", (cr0 ^ X86_CR0_EM) & 0xf, 0);
		set_cr0(cr0);
	}
	GUEST_DONE();
}

/*
 * What kernels do all the time, and what has to do with control registers and
 * MSRs; everything that respects the pins.
 */
static void guest_load(void)
{
	u32 eax, ebx, ecx, edx;
	u64 cr0, cr4;
	int i;

	guest_pin();
	cr0 = get_cr0();
	cr4 = get_cr4();
	for (i = 0; i < NR_LOADS; i++) {
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
	GUEST_DONE();
}

/* Pointers of the guest; the one that isn't NULL says which vendor it is. */
static struct vmx_pages *vmx;
static struct svm_test_data *svm;

static void guest_l2(void)
{
	/* The hypercalls push something on the stack, where a leaf has its variables. */
	static int i;

	for (;; i++) {
		if (i < NR_ROUNDS) {
			samples[L2_CR0][i] = MEASURE("mov %%rdi, %%cr0",
						     get_cr0() ^ X86_CR0_WP, 0);
			set_cr0(get_cr0() ^ X86_CR0_WP);
		}
		if (svm)
			vmmcall();
		else
			vmcall();
	}
}

static void guest_nested(void)
{
	u64 tsc;
	int i;

	guest_pin();
	if (svm) {
		generic_svm_setup(svm, guest_l2);
	} else {
		GUEST_ASSERT(prepare_for_vmx_operation(vmx));
		GUEST_ASSERT(load_vmcs(vmx));
		prepare_vmcs(vmx, guest_l2);
		GUEST_ASSERT(!vmlaunch());
		vmwrite(GUEST_RIP, vmreadz(GUEST_RIP) + 3);
	}
	for (i = -NR_ROUNDS; i < NR_ROUNDS; i++) {
		samples[NONE][max(i, 0)] = MEASURE("", 0, 0);
		tsc = rdtsc();
		if (svm)
			run_guest(svm->vmcb, svm->vmcb_gpa);
		else
			vmresume();
		samples[NESTED][max(i, 0)] = rdtsc() - tsc;
		if (svm) {
			svm->vmcb->save.rip += 3;
			stgi();
		} else {
			vmwrite(GUEST_RIP, vmreadz(GUEST_RIP) + 3);
		}
	}
	/* The first time, L2 is new. */
	samples[L2_CR0][0] = samples[L2_CR0][1];
	GUEST_DONE();
}

static struct kvm_vm *create_vm(int nr_vcpus, bool pin)
{
	struct kvm_vm *vm = vm_create(nr_vcpus);
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_CR_PIN,
		.args = { CR0_PINS, CR4_PINS },
	};

	if (pin)
		vm_ioctl(vm, KVM_ENABLE_CAP, &cap);
	return vm;
}

static struct kvm_vm *run(struct kvm_vcpu **vcpu, void *guest_code, bool pin)
{
	struct kvm_vm *vm = create_vm(1, pin);
	struct ucall uc;
	gva_t gva;

	*vcpu = vm_vcpu_add(vm, 0, guest_code);
	if (kvm_cpu_has(X86_FEATURE_SVM)) {
		vcpu_alloc_svm(vm, &gva);
		svm = (void *)gva;
	} else {
		vcpu_alloc_vmx(vm, &gva);
		vmx = (void *)gva;
	}
	pinned = pin;
	sync_global_to_guest(vm, svm);
	sync_global_to_guest(vm, vmx);
	sync_global_to_guest(vm, pinned);

	vcpu_run(*vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(*vcpu, KVM_EXIT_IO);
	if (get_ucall(*vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT_EQ(uc.cmd, UCALL_DONE);
	return vm;
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

	/* What takes long takes a bit longer often, but nothing takes less. */
	TEST_ASSERT(count >= NR_ROUNDS * (op == SIPI ? 1 : op == NESTED ? 5 : 9) / 10,
		    "\"%s\" takes %u, but longer in %d of %d rounds: does the TSC count instructions?",
		    ops[op].name, min, NR_ROUNDS - count, NR_ROUNDS);
	return min;
}

static void measure(const char *name, bool pin, void *guest_code, enum op op, enum op last)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = run(&vcpu, guest_code, pin);

	sync_global_from_guest(vm, samples);
	kvm_vm_free(vm);
	for (; op <= last; op++) {
		int insns = stable_min(op) - stable_min(NONE) - ops[op].insns;

		TEST_ASSERT(op == LOOP ? !insns : insns > (op == L2_CR0 ? -1 : 100),
			    "\"%s\" takes %d: does the TSC count instructions?",
			    ops[op].name, insns);
		if (op != LOOP)
			printf("%s %s %d\n", name, ops[op].name, insns);
	}
}

static void measure_sipi(const char *name, bool pin)
{
	static const u8 startup_code[] = { 0xe6, 0x01 };	/* out %al, $1 */
	struct kvm_mp_state sipi = { .mp_state = KVM_MP_STATE_SIPI_RECEIVED }, mp_state;
	struct kvm_vm *vm = create_vm(2, pin);
	struct kvm_vcpu *bsp = vm_vcpu_add(vm, 0, NULL), *ap = vm_vcpu_add(vm, 1, NULL);
	struct kvm_vcpu_events init;
	u64 tsc;
	int i;

	if (pin) {
		vcpu_set_msr(bsp, MSR_KVM_CR0_PINNED, CR0_PINS);
		vcpu_set_msr(bsp, MSR_KVM_CR4_PINNED, CR4_PINS);
	}
	memcpy(addr_gpa2hva(vm, 0), startup_code, sizeof(startup_code));
	vcpu_events_get(ap, &init);
	init.flags |= KVM_VCPUEVENT_VALID_SMM;
	init.smi.latched_init = 1;
	for (i = 0; i < NR_ROUNDS; i++) {
		tsc = rdtsc();
		vcpu_events_set(ap, &init);
		/* This has KVM process the INIT. */
		vcpu_mp_state_get(ap, &mp_state);
		vcpu_mp_state_set(ap, &sipi);
		vcpu_run(ap);
		samples[SIPI][i] = rdtsc() - tsc;

		TEST_ASSERT_KVM_EXIT_REASON(ap, KVM_EXIT_IO);
		vcpu_run_complete_io(ap);
	}
	TEST_ASSERT_EQ(pin ? vcpu_get_msr(ap, MSR_KVM_CR4_PINNED) : CR4_PINS, CR4_PINS);
	kvm_vm_free(vm);
	printf("%s %s %d\n", name, ops[SIPI].name, stable_min(SIPI));
}

static void bench(const char *name, bool pin)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	measure(name, pin, guest_measure, LOOP, LMSW);
	measure(name, pin, guest_nested, NESTED, L2_CR0);
	measure_sipi(name, pin);

	vm = run(&vcpu, guest_load, pin);
	printf("%s exits %llu\n", name, (unsigned long long)
	       (vcpu_get_stat(vcpu, exits) - vcpu_get_stat(vcpu, irq_exits)));
	kvm_vm_free(vm);
	fflush(stdout);
}

int main(void)
{
	TEST_ASSERT(kvm_cpu_has(X86_FEATURE_UMIP) &&
		    kvm_cpu_has(X86_FEATURE_FSGSBASE) &&
		    kvm_cpu_has(X86_FEATURE_SMEP) &&
		    kvm_cpu_has(X86_FEATURE_SMAP),
		    "The CPU lacks something that Linux pins");

	bench("unpinned", false);
	if (kvm_has_cap(KVM_CAP_X86_CR_PIN))
		bench("pinned", true);
	return 0;
}

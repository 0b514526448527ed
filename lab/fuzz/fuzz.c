// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random sequences of all that can change CR0, CR4 and pins of two vCPUs, executed by
 * KVM and by the model in model.h, which have to agree after each step:
 *
 *	fuzz SEED STEPS
 *
 * The guest has no kernel: the host has it execute one instruction at a time, in
 * whatever mode it is, among those that are the same bytes in all modes.  Exceptions and
 * the end of each instruction are writes to ports.  If KVM and the model differ, this looks
 * for a short sequence with which they do, prints it, and fails.
 */
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>

#include "cr_pin.h"
#include "kvm_util.h"
#include "processor.h"
#include "smm.h"
#include "svm_util.h"
#include "test_util.h"
#include "vmx.h"

#include "model.h"

/* Of a VM, with which a sequence starts */
#define SEQUENCE	400

/*
 * Guest memory: all is mapped to itself, as far as it is mapped at all.  There is a
 * copy of the code wherever CS may start.
 */
#define CODE		0x1000
#define HANDLERS	0x2000
#define TABLES		0x3000		/* pseudo-descriptors, one pair for each enum mode */
#define GDT		0x3800
#define IDT32		0x3200
#define IDT64		0x3400
#define STACK(cpu)	(0x5800 + 0x800 * (cpu))
#define PML4		0x10000
#define PDPT		0x11000
#define PD(i)		(0x12000 + 0x1000 * (i))
#define PDPT_PAE	0x16000
#define PD32		0x17000
#define PT32(i)		(0x18000 + 0x1000 * (i))
#define PML5		0x1a000
#define VMCB(cpu)	(0x20000 + 0x1000 * (cpu))	/* or VMCS */
#define HSAVE(cpu)	(0x22000 + 0x1000 * (cpu))	/* or VMXON region */
#define FIELDS		0x24000
#define SMBASE(cpu)	(0x30000 + 0x20000 * (cpu))
#define TOP		0xffff0000

enum port { ENTRY = 0x10, DONE, EXITED, VECTOR = 0x80 };

/* Instructions; those of two bytes and more are the same in all modes. */
enum insn {
	I_MOV_CR0, I_MOV_CR4, I_LMSW, I_CLTS, I_WRMSR, I_RDMSR, I_RSM, I_LJMP, I_VMRUN,
	I_VMMCALL, I_VMXON, I_VMXOFF, I_VMLAUNCH, I_VMRESUME, I_VMCALL,
	NR_INSNS
};

#define VMWRITES	0x48, 0x8b, 0x02, 0x48, 0x8b, 0x72, 0x08, 0x0f, 0x79, 0xc6,	\
			0x48, 0x83, 0xc2, 0x10, 0xff, 0xc9, 0x75, 0xee

static const struct {
	u8 len, bytes[24];
} insns[NR_INSNS] = {
	[I_MOV_CR0]	= { 3, { 0x0f, 0x22, 0xc0 } },	/* mov %rax, %cr0 */
	[I_MOV_CR4]	= { 3, { 0x0f, 0x22, 0xe0 } },
	[I_LMSW]	= { 3, { 0x0f, 0x01, 0xf0 } },	/* lmsw %ax */
	[I_CLTS]	= { 2, { 0x0f, 0x06 } },
	[I_WRMSR]	= { 2, { 0x0f, 0x30 } },
	[I_RDMSR]	= { 2, { 0x0f, 0x32 } },
	[I_RSM]		= { 2, { 0x0f, 0xaa } },
	[I_LJMP]	= { 3, { 0xff, 0x6f, 0x20 } },	/* ljmp *0x20(%rdi) or *0x20(%bx) */
	[I_VMRUN]	= { 6, { 0x0f, 0x01, 0xd8, 0x0f, 0x01, 0xdc } },	/* and stgi */
	[I_VMMCALL]	= { 3, { 0x0f, 0x01, 0xd9 } },
	/* vmxon 0x28(%rdi), vmclear 0x30(%rdi), vmptrld 0x30(%rdi) */
	[I_VMXON]	= { 14, { 0xf3, 0x0f, 0xc7, 0x77, 0x28, 0x66, 0x0f, 0xc7, 0x77, 0x30,
				  0x0f, 0xc7, 0x77, 0x30 } },
	[I_VMXOFF]	= { 3, { 0x0f, 0x01, 0xc4 } },
	/* VMWRITE of %ecx pairs of field and value at (%rdx) */
	[I_VMLAUNCH]	= { 21, { VMWRITES, 0x0f, 0x01, 0xc2 } },
	[I_VMRESUME]	= { 21, { VMWRITES, 0x0f, 0x01, 0xc3 } },
	[I_VMCALL]	= { 3, { 0x0f, 0x01, 0xc1 } },
};

static const u8 preamble[] = {
	0x0f, 0x01, 0x17,		/* lgdt (%rdi) or (%bx) */
	0x0f, 0x01, 0x5f, 0x10,		/* lidt 0x10(%rdi) or 0x10(%bx) */
	0x0f, 0x22, 0xdd,		/* mov %rbp, %cr3 */
};
static const u8 fep[] = { 0x0f, 0x0b, 'k', 'v', 'm' };
static const u8 tail[] = {
	0x0f, 0x20, 0xc3,		/* mov %cr0, %rbx */
	0x0f, 0x20, 0xe6,		/* mov %cr4, %rsi */
	0xe6, DONE,			/* out %al, $DONE */
};
/* Where L2 exits to on VMX: exit reason, CR0 and CR4 of L2, and of L1 */
static const u8 vmexit[] = {
	0xb8, 0x02, 0x44, 0, 0, 0x0f, 0x78, 0xc7,		/* vmread %rax, %rdi */
	0xb8, 0x00, 0x68, 0, 0, 0x41, 0x0f, 0x78, 0xc0,		/* vmread %rax, %r8 */
	0xb8, 0x04, 0x68, 0, 0, 0x41, 0x0f, 0x78, 0xc1,		/* vmread %rax, %r9 */
	0x0f, 0x20, 0xc3, 0x0f, 0x20, 0xe6, 0xe6, EXITED,
};
#define VMEXIT		0xf00
#define SLOT(insn, emulated)	(0x40 * (1 + 2 * (insn) + (emulated)))
#define TAIL			0x20	/* of the first page, before the slots */

/* What can be done */
enum op {
	MOV_CR0, MOV_CR4, LMSW, CLTS, WRMSR, RDMSR, WRMSR_EFER, LJMP, VMXON, VMXOFF, ENTER, LEAVE,
	SET_MSR, GET, SET_CRS, RESET, INIT, INIT_SIPI, SIPI, SMI, RSM, RESTORE, NR_OPS
};

static const struct {
	const char *name;
	int weight;
} ops[NR_OPS] = {
	[MOV_CR0]	= { "mov-cr0", 24 },
	[MOV_CR4]	= { "mov-cr4", 24 },
	[LMSW]		= { "lmsw", 5 },
	[CLTS]		= { "clts", 2 },
	[WRMSR]		= { "wrmsr-pins", 14 },
	[RDMSR]		= { "rdmsr-pins", 3 },
	[WRMSR_EFER]	= { "wrmsr-efer", 4 },
	[LJMP]		= { "ljmp", 5 },
	[VMXON]		= { "vmxon", 10 },
	[VMXOFF]	= { "vmxoff", 1 },
	[ENTER]		= { "enter", 14 },
	[LEAVE]		= { "leave", 3 },
	[SET_MSR]	= { "set-msr", 14 },
	[GET]		= { "get", 6 },
	[SET_CRS]	= { "set-sregs", 4 },
	[RESET]		= { "reset", 2 },
	[INIT]		= { "init", 2 },
	[INIT_SIPI]	= { "init-sipi", 3 },
	[SIPI]		= { "sipi", 4 },
	[SMI]		= { "smi", 7 },
	[RSM]		= { "rsm", 6 },
	[RESTORE]	= { "restore", 4 },
};

struct step {
	u8 op, cpu, how;
	u64 x;
};

static struct kvm_vm *vm;
static struct kvm_vcpu *vcpus[2];
static struct cpu cpus[2];
static u64 count[NR_OPS];
static bool is_svm, verbose, unrestricted;	/* Without, real mode is emulated anyway. */
static u64 cr4_bits;

static jmp_buf failure;
static char why[256], wanted[16];

#define fail(fmt, ...)								\
do {										\
	snprintf(why, sizeof(why), fmt, ##__VA_ARGS__);				\
	longjmp(failure, 1);							\
} while (0)

#define same(what, is, should)							\
do {										\
	u64 __is = (is), __should = (should);					\
										\
	if (__is != __should)							\
		fail("%s is 0x%lx, should be 0x%lx", what, __is, __should);	\
} while (0)

static u64 rng;
static u64 any(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * 0x2545f4914f6cdd1dull;
}

static bool one_in(int n)
{
	return !((any() >> 32) % n);
}

static int nr(struct cpu *c)
{
	return c - cpus;
}

static enum mode mode_of(const struct cpu *c)
{
	return !(c->now.cr[CR0] & X86_CR0_PE) ? REAL : c->now.efer & EFER_LMA ? LONG : PROT;
}

static u64 cr3_of(u64 efer, u64 cr4)
{
	if (efer & EFER_LME)
		return cr4 & X86_CR4_LA57 ? PML5 : PML4;
	return cr4 & X86_CR4_PAE ? PDPT_PAE : PD32;
}

static void *at(u64 gpa)
{
	return addr_gpa2hva(vm, gpa);
}

static void write_code(u8 *code)
{
	int i, emulated, n;

	code[0] = 0xe6;			/* out %al, $ENTRY */
	code[1] = ENTRY;
	memcpy(code + TAIL, tail, sizeof(tail));
	memcpy(code + VMEXIT, vmexit, sizeof(vmexit));
	for (i = 0; i < NR_INSNS; i++)
		for (emulated = 0; emulated < 2; emulated++) {
			u8 *p = code + SLOT(i, emulated);

			n = emulated ? sizeof(fep) : 0;
			memcpy(p, preamble, sizeof(preamble));
			memcpy(p + sizeof(preamble), fep, n);
			p += sizeof(preamble) + n;
			memcpy(p, insns[i].bytes, insns[i].len);
			memcpy(p + insns[i].len, tail, sizeof(tail));
		}
}

static void write_memory(void)
{
	static const u64 gdt[] = { 0, 0x00af9b000000ffff, 0x00cf9b000000ffff, 0x00cf93000000ffff };
	u64 i;

	memset(at(0), 0, 0x100000);
	write_code(at(CODE));
	write_code(at(TOP + CODE));
	for (i = 0; i < 2; i++)
		write_code(at(SMBASE(i) + 0x8000));
	memcpy(at(TOP + 0xfff0), (u8 []){ 0xe6, ENTRY }, 2);
	memcpy(at(GDT), gdt, sizeof(gdt));
	for (i = 0; i < 32; i++) {
		u32 handler = HANDLERS + 4 * i;

		memcpy(at(handler), (u8 []){ 0xe6, VECTOR + i }, 2);
		*(u32 *)at(4 * i) = handler;
		*(u64 *)at(IDT32 + 8 * i) = 0x00008e0000100000 | handler;
		*(u64 *)at(IDT64 + 16 * i) = 0x00008e0000080000 | handler;
	}
	for (i = 0; i < NONE; i++) {
		*(u16 *)at(TABLES + 0x40 * i) = 0xff;
		*(u64 *)at(TABLES + 0x40 * i + 2) = GDT;
		*(u16 *)at(TABLES + 0x40 * i + 0x10) = i == REAL ? 0x3ff : i == PROT ? 0xff : 0x1ff;
		*(u64 *)at(TABLES + 0x40 * i + 0x12) = i == REAL ? 0 : i == PROT ? IDT32 : IDT64;
	}
	*(u64 *)at(PML5) = PML4 | 3;
	*(u64 *)at(PML4) = PDPT | 3;
	for (i = 0; i < 4; i++) {
		((u64 *)at(PDPT))[i] = PD(i) | 3;
		((u64 *)at(PDPT_PAE))[i] = PD(i) | 1;
	}
	*(u64 *)at(PD(0)) = 0x83;
	((u64 *)at(PD(3)))[511] = 0xffe00083;
	((u32 *)at(PD32))[0] = PT32(0) | 3;
	((u32 *)at(PD32))[1023] = PT32(1) | 3;
	for (i = 0; i < 1024; i++) {
		((u32 *)at(PT32(0)))[i] = i << 12 | 3;
		((u32 *)at(PT32(1)))[i] = 0xffc00003 + (i << 12);
	}
}

/*
 * The machine
 */
static void on_alarm(int sig)
{
}

/* Run until it writes to a port: which one, or -1 if it shuts down */
static int run(struct cpu *c)
{
	struct kvm_vcpu *vcpu = vcpus[nr(c)];
	struct itimerval limit = { .it_value.tv_sec = 5 };
	struct kvm_run *run = vcpu->run;
	int r;

	setitimer(ITIMER_REAL, &limit, NULL);
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	r = __vcpu_run(vcpu);
	if (r && errno == EINTR)
		fail("it hangs at RIP 0x%llx", run->s.regs.regs.rip);
	if (r)
		fail("KVM_RUN fails: %s", strerror(errno));
	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		return -1;
	case KVM_EXIT_IO:
		return run->io.port;
	default:
		fail("exit reason %s, RIP 0x%llx", exit_reason_str(run->exit_reason),
		     run->s.regs.regs.rip);
	}
}

static struct kvm_regs *regs_of(struct cpu *c)
{
	return &vcpus[nr(c)]->run->s.regs.regs;
}

/* Where the code is, seen by its CS */
static u64 code(u64 base)
{
	return base == CODE ? 0 : base == SMBASE(0) || base == SMBASE(1) ? 0x8000 : CODE;
}

static void compare_crs(struct cpu *c, u64 cr0, u64 cr4)
{
	same("CR0", cr0, c->now.cr[CR0]);
	same("CR4", cr4, c->now.cr[CR4]);
}

static void accept(struct cpu *c)
{
	if (c->init && !c->smm && !(c->vmxon && !c->l2))
		init(c);
}

/* L2 has exited, and its registers are where L1 looks for them. */
static void exited(struct cpu *c, const struct cpu *was, int port, u32 reason)
{
	struct vmcb *vmcb = at(VMCB(nr(c)));
	struct kvm_regs *regs = regs_of(c);

	same("port after exit", port, is_svm ? DONE : EXITED);
	same("CR0 after exit", regs->rbx, c->now.cr[CR0]);
	same("CR4 after exit", regs->rsi, c->now.cr[CR4]);
	same("exit reason", is_svm ? vmcb->control.exit_code : regs->rdi, reason);
	same("CR0 of L2", is_svm ? vmcb->save.cr0 : regs->r8, was->now.cr[CR0]);
	same("CR4 of L2", is_svm ? vmcb->save.cr4 : regs->r9, was->now.cr[CR4]);
}

/* What the guest is expected to find as it reads its registers itself, at the tail */
static void done(struct cpu *c, int port)
{
	struct kvm_regs *regs = regs_of(c);

	if (c->init) {
		const struct cpu was = *c;

		accept(c);
		if (!c->init && was.l2 && c->vmx)
			exited(c, &was, port, EXIT_REASON_INIT_SIGNAL);
		else if (!c->init)
			same("port after INIT", port, ENTRY);
		if (!c->init)
			return;
	}
	same("port", port, DONE);
	same("CR0 as read", regs->rbx, cr_read(c, CR0));
	same("CR4 as read", regs->rsi, cr_read(c, CR4));
}

static void took_exception(struct cpu *c)
{
	switch (mode_of(c)) {
	case PROT: c->now.cs = 32; break;
	case LONG: c->now.cs = 64; break;
	default: break;
	}
	c->now.base = 0;
}

/* Prepare to execute an instruction: its RIP. */
static u64 start(struct cpu *c, const struct cpu *was, enum insn insn, bool emulated,
		 u64 rax, u32 rcx, u32 rdx)
{
	bool prepare = was->now.idt != mode_of(was) || !paging(was->now.cr[CR0]);
	u64 rip = code(was->now.base) + SLOT(insn, emulated);
	u64 table = TABLES + 0x40 * mode_of(was);

	*regs_of(c) = (struct kvm_regs){
		.rax = rax, .rcx = rcx, .rdx = rdx, .rsp = STACK(nr(c)),
		.rflags = X86_EFLAGS_FIXED,
		.rip = prepare && !was->l2 ? rip : rip + sizeof(preamble),
		.rbp = cr3_of(was->now.efer, was->now.cr[CR4]),
		.rbx = table, .rdi = table,
	};
	if (!was->l2)
		c->now.idt = mode_of(was);
	return rip + sizeof(preamble) + (emulated ? sizeof(fep) : 0);
}

/*
 * Execute an instruction, see that it gets @vector, or nothing if that is 0, or if it is
 * EXIT, exits from L2 to L1 for that reason.
 */
#define EXIT		0x10000
static void execute(struct cpu *c, const struct cpu *was, enum insn insn, bool emulated,
		    u64 rax, u32 rcx, u32 rdx, int vector)
{
	struct kvm_regs *regs = regs_of(c);
	enum mode mode = mode_of(was);
	u64 rip, sp;
	int port;

	/* Where KVM emulates protected mode, as VMX can't have it, it injects nothing. */
	if (vector && !unrestricted && mode != REAL && was->now.cs == 16) {
		*c = *was;
		return;
	}
	rip = start(c, was, insn, emulated, rax, rcx, rdx);
	port = run(c);
	if (vector >= EXIT) {
		leave(c);
		exited(c, was, port, vector - EXIT);
		return;
	}
	if (!vector) {
		done(c, port);
		return;
	}
	if (port == DONE)
		fail("no exception, should be vector %d", vector);
	same("vector", port - VECTOR, vector);
	sp = regs->rsp;
	if (mode == REAL)
		same("RIP of the exception", *(u16 *)at(sp), rip);
	else if (mode == PROT)
		same("RIP of the exception", ((u32 *)at(sp))[1], rip);
	else
		same("RIP of the exception", ((u64 *)at(sp))[1], rip);
	if (mode != REAL)
		same("error code", mode == PROT ? *(u32 *)at(sp) : *(u64 *)at(sp), 0);
	took_exception(c);
}

static void compare(struct cpu *c)
{
	struct kvm_vcpu *vcpu = vcpus[nr(c)];
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_sregs sregs;
	int i;

	/* This has KVM process INIT and SIPI. */
	vcpu_mp_state_get(vcpu, &mp);
	accept(c);
	same("MP state", mp.mp_state, c->waits ? KVM_MP_STATE_INIT_RECEIVED : KVM_MP_STATE_RUNNABLE);
	vcpu_sregs_get(vcpu, &sregs);
	compare_crs(c, sregs.cr0, sregs.cr4);
	same("EFER", sregs.efer, c->now.efer);
	for (i = 0; i < 6; i++)
		same(i < 2 ? "ALLOWED" : "pins", vcpu_get_msr(vcpu, MSR_KVM_CR0_PIN_ALLOWED + i),
		     i < 2 ? c->vm_allowed[i] : c->pins[i - 2]);
	vcpu_events_get(vcpu, &events);
	same("SMM", events.smi.smm, c->smm);
	same("latched INIT", events.smi.latched_init, c->init);
	same("violations", vcpu_get_stat(vcpu, cr_pin_violations), c->violations);
}

static void set_segment(struct kvm_segment *seg, int selector, u64 base, int type, int bits)
{
	*seg = (struct kvm_segment){
		.base = base, .limit = bits == 16 ? 0xffff : 0xffffffff, .selector = selector,
		.type = type, .present = 1, .s = 1, .db = bits == 32, .l = bits == 64, .g = bits > 16,
	};
}

/* KVM_SET_SREGS of all that the model has */
static void set_sregs(struct cpu *c)
{
	struct kvm_vcpu *vcpu = vcpus[nr(c)];
	struct kvm_sregs sregs;
	enum mode mode = mode_of(c);
	int bits = c->now.cs;

	vcpu_sregs_get(vcpu, &sregs);
	set_segment(&sregs.cs, mode == REAL ? 0 : bits == 64 ? 8 : 0x10, 0, 0xb, mode == REAL ? 16 : bits);
	set_segment(&sregs.ds, mode == REAL ? 0 : 0x18, 0, 3, mode == REAL ? 16 : 32);
	sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
	sregs.tr = (struct kvm_segment){ .limit = 0x67, .type = 0xb, .present = 1 };
	sregs.ldt = (struct kvm_segment){ .unusable = 1, .type = 2 };
	sregs.gdt.base = GDT;
	sregs.gdt.limit = 0xff;
	sregs.idt.base = sregs.idt.limit = 0;
	sregs.cr0 = c->now.cr[CR0];
	sregs.cr3 = cr3_of(c->now.efer, c->now.cr[CR4]);
	sregs.cr4 = c->now.cr[CR4];
	sregs.efer = c->now.efer;
	memset(sregs.interrupt_bitmap, 0, sizeof(sregs.interrupt_bitmap));
	c->now.idt = NONE;
	c->now.base = 0;
	if (_vcpu_sregs_set(vcpu, &sregs))
		fail("KVM_SET_SREGS fails");
}

static void set_mp_state(struct cpu *c, int state)
{
	struct kvm_mp_state mp = { .mp_state = state };

	if (__vcpu_ioctl(vcpus[nr(c)], KVM_SET_MP_STATE, &mp))
		fail("KVM_SET_MP_STATE fails");
}

static void set_events(struct cpu *c, bool smm, bool init)
{
	struct kvm_vcpu_events events;

	vcpu_events_get(vcpus[nr(c)], &events);
	memset(&events.exception, 0, sizeof(events.exception));
	events.flags = KVM_VCPUEVENT_VALID_SMM | KVM_VCPUEVENT_VALID_SIPI_VECTOR;
	events.sipi_vector = CODE >> 12;
	events.smi.smm = smm;
	events.smi.pending = 0;
	events.smi.smm_inside_nmi = 0;
	events.smi.latched_init = init;
	vcpu_events_set(vcpus[nr(c)], &events);
}

static void set_pins(struct cpu *c)
{
	int i;

	for (i = 0; i < 4; i++)
		same("KVM_SET_MSRS", _vcpu_set_msr(vcpus[nr(c)], MSR_KVM_CR0_PINNED + i, c->pins[i]),
		     c->offered || c->vm_allowed[0] || c->vm_allowed[1] || !c->pins[i]);
}

static void leave_nested(struct cpu *c)
{
	struct kvm_nested_state none = {
		.size = sizeof(none),
		.format = is_svm ? KVM_STATE_NESTED_FORMAT_SVM : KVM_STATE_NESTED_FORMAT_VMX,
	};

	if (is_svm) {
		none.flags = KVM_STATE_NESTED_GIF_SET;
		none.hdr.svm.vmcb_pa = -1;
	} else {
		none.hdr.vmx.vmxon_pa = none.hdr.vmx.vmcs12_pa = -1;
	}
	if (__vcpu_nested_state_set(vcpus[nr(c)], &none))
		fail("KVM_SET_NESTED_STATE of none fails");
}

/* Reset by userspace, to any mode, with all pins back at zero; as ever, @how and @x are any */
static void reset(struct cpu *c, u8 how, u64 x)
{
	static const struct {
		u64 cr0, cr4, efer;
		int cs;
	} to[] = {
		{ X86_CR0_PE | X86_CR0_PG, X86_CR4_PAE, EFER_LME | EFER_LMA, 64 },
		{ X86_CR0_PE | X86_CR0_PG, X86_CR4_PAE, EFER_LME | EFER_LMA, 32 },
		{ X86_CR0_PE | X86_CR0_PG, X86_CR4_PAE, 0, 32 },
		{ X86_CR0_PE | X86_CR0_PG, 0, 0, 32 },
		{ X86_CR0_PE, X86_CR4_PAE, EFER_LME, 32 },
		{ X86_CR0_PE, X86_CR4_PAE, 0, 32 },
		{ X86_CR0_PE, 0, 0, 32 },
		{ 0, 0, 0, 16 },
	};
	int i = (how >> 2) % (2 * ARRAY_SIZE(to));
	u64 keep = X86_CR4_PAE | X86_CR4_LA57 | X86_CR4_PCIDE | X86_CR4_VMXE | X86_CR4_CET;

	c->waits = !c->boot && (how & 2);
	i = c->waits ? ARRAY_SIZE(to) - 1 : i < ARRAY_SIZE(to) && !(is_svm && i == 2) ? i : 0;
	leave_nested(c);
	set_events(c, false, false);
	memset(c->pins, 0, sizeof(c->pins));
	if (how & 1)
		set_pins(c);
	c->now.cr[CR0] = to[i].cr0 | X86_CR0_ET | (x & (X86_CR0_WP | X86_CR0_AM | X86_CR0_NE | X86_CR0_CD));
	c->now.cr[CR4] = to[i].cr4 | (x >> 8 & c->cr4_valid & ~keep);
	c->now.efer = to[i].efer | (c->svm ? EFER_SVME : 0);
	if (c->vmx && paging(c->now.cr[CR0])) {
		c->now.cr[CR0] |= X86_CR0_NE;
		c->now.cr[CR4] |= X86_CR4_VMXE;
	}
	c->now.cs = to[i].cs;
	c->smm = c->init = c->l2 = c->vmxon = false;
	set_sregs(c);
	if (!(how & 1))
		set_pins(c);
	set_mp_state(c, c->waits ? KVM_MP_STATE_INIT_RECEIVED : KVM_MP_STATE_RUNNABLE);
}

static void send(struct cpu *c, u32 data)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000 | nr(c) << 12, .data = data };

	int r = __vm_ioctl(vm, KVM_SIGNAL_MSI, &msi);

	if (r <= 0)
		fail("KVM_SIGNAL_MSI returns %d, %d", r, errno);
}

/* Save, turn into something else, and restore; the order is @how's. */
static void restore(struct cpu *c, u8 how)
{
	struct kvm_vcpu *vcpu = vcpus[nr(c)];
	struct {
		struct kvm_nested_state state;
		u8 data[16384];
	} nested = { .state.size = sizeof(nested) };
	struct kvm_vcpu_events events;
	struct cpu was = *c;
	struct kvm_mp_state mp;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vcpu_regs_get(vcpu, &regs);
	vcpu_sregs_get(vcpu, &sregs);
	vcpu_mp_state_get(vcpu, &mp);
	vcpu_events_get(vcpu, &events);
	vcpu_nested_state_get(vcpu, &nested.state);
	reset(c, how >> 4, 0);

	*c = was;
	events.flags |= KVM_VCPUEVENT_VALID_SMM;
	if (how & 1)
		set_pins(c);
	if (how & 2)
		vcpu_events_set(vcpu, &events);
	if (_vcpu_sregs_set(vcpu, &sregs))
		fail("KVM_SET_SREGS fails");
	if (!(how & 2))
		vcpu_events_set(vcpu, &events);
	if (how & 4)
		set_pins(c);
	if (__vcpu_nested_state_set(vcpu, &nested.state))
		fail("KVM_SET_NESTED_STATE fails");
	vcpu_mp_state_set(vcpu, &mp);
	vcpu_regs_set(vcpu, &regs);
	if (!(how & 5))
		set_pins(c);
}

/*
 * Would the guest lose its page tables?  Then that is not done.  Nor is what QEMU can't
 * do: it sets bits in PDPTEs that are reserved, and resumes the host without paging if
 * the guest has neither paging nor PAE, but EFER.LME.
 */
static bool lethal(struct cpu *was, struct cpu *c)
{
	bool pae = c->now.cr[CR4] & X86_CR4_PAE;

	if (is_svm && (paging(c->now.cr[CR0]) ? pae && !(c->now.efer & EFER_LMA) :
						!pae && (c->now.efer & EFER_LME)))
		return true;
	return paging(was->now.cr[CR0]) && paging(c->now.cr[CR0]) && !(c->now.efer & EFER_LMA) &&
	       ((was->now.cr[CR4] ^ c->now.cr[CR4]) & X86_CR4_PAE);
}

/* A value for a register: as it is but for a few bits, or as pins want it, but for... */
static u64 cr_operand(struct cpu *c, int r, struct step *s)
{
	u64 val = c->now.cr[r];

	if (s->how & 2) {
		val = (val | c->pins[r]) & ~c->pins[r + LOW];
		if (r == CR0 && (s->how & 4))
			val |= X86_CR0_PE | X86_CR0_PG;
		if (r == CR4 && (s->how & 4))
			val |= X86_CR4_PAE;
		if (r == CR4 && !(c->now.efer & EFER_LMA))	/* It's deferred. */
			val &= ~X86_CR4_PCIDE;
		if (!(s->how & 0x38))
			return val;
	}
	return val ^ s->x;
}

static u64 msr_operand(struct cpu *c, struct step *s, bool host)
{
	int i = s->how % 6, r = i & 1;
	u64 val = i < 2 ? c->vm_allowed[i] : c->pins[i - 2], now = c->now.cr[r];

	if (s->how & 0x40)
		return val ^ s->x;
	/* Mostly, nothing both ways: such pins can't be satisfied. */
	if (host)
		return i < 2 ? val : !(s->how & 0x80) ? 0 :
		       s->x & c->vm_allowed[r] & ~(s->x >> 62 ? c->pins[i & 3] : 0);
	return val | (s->x & c->allowed[r] & (i < 4 ? now : ~now) & ~c->pins[i & 3]);
}

/* What nothing else depends on */
#define FREE_CR0	(X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_WP | X86_CR0_AM)
#define FREE_CR4	(~(X86_CR4_PAE | X86_CR4_LA57 | X86_CR4_PCIDE | X86_CR4_VMXE | X86_CR4_CET))

/* Fields of the VMCS, behind each other as VMWRITE wants them: how many */
static u32 write_fields(int cpu, struct cpu *c, struct cpu *host)
{
	struct kvm_vcpu *vcpu = vcpus[cpu];
	u64 cr3 = cr3_of(c->now.efer, c->now.cr[CR4]);
	const u64 fields[][2] = {
		{ GUEST_CR0, c->now.cr[CR0] }, { GUEST_CR4, c->now.cr[CR4] }, { GUEST_CR3, cr3 },
		{ CR0_GUEST_HOST_MASK, c->mask[CR0] }, { CR4_GUEST_HOST_MASK, c->mask[CR4] },
		{ CR0_READ_SHADOW, c->shadow[CR0] }, { CR4_READ_SHADOW, c->shadow[CR4] },
		{ HOST_CR0, host->now.cr[CR0] }, { HOST_CR4, host->now.cr[CR4] },
		{ HOST_CR3, cr3_of(host->now.efer, host->now.cr[CR4]) },
		{ GUEST_RIP, CODE }, { GUEST_RFLAGS, X86_EFLAGS_FIXED }, { GUEST_RSP, STACK(cpu) },
		/* The rest stays as it is. */
		{ PIN_BASED_VM_EXEC_CONTROL, (u32)vcpu_get_msr(vcpu, MSR_IA32_VMX_TRUE_PINBASED_CTLS) },
		{ CPU_BASED_VM_EXEC_CONTROL, (u32)vcpu_get_msr(vcpu, MSR_IA32_VMX_TRUE_PROCBASED_CTLS) },
		{ VM_EXIT_CONTROLS, (u32)vcpu_get_msr(vcpu, MSR_IA32_VMX_TRUE_EXIT_CTLS) |
				    VM_EXIT_HOST_ADDR_SPACE_SIZE },
		{ VM_ENTRY_CONTROLS, (u32)vcpu_get_msr(vcpu, MSR_IA32_VMX_TRUE_ENTRY_CTLS) |
				     VM_ENTRY_IA32E_MODE },
		{ HOST_CS_SELECTOR, 8 }, { HOST_DS_SELECTOR, 0x18 }, { HOST_ES_SELECTOR, 0x18 },
		{ HOST_SS_SELECTOR, 0x18 }, { HOST_FS_SELECTOR, 0x18 }, { HOST_GS_SELECTOR, 0x18 },
		{ HOST_TR_SELECTOR, 0x20 }, { HOST_GDTR_BASE, GDT }, { HOST_IDTR_BASE, IDT64 },
		{ HOST_RIP, CODE + VMEXIT }, { HOST_RSP, STACK(cpu) },
		{ VMCS_LINK_POINTER, -1ull }, { GUEST_DR7, 0x400 },
		{ GUEST_CS_SELECTOR, 8 }, { GUEST_DS_SELECTOR, 0x18 }, { GUEST_ES_SELECTOR, 0x18 },
		{ GUEST_SS_SELECTOR, 0x18 }, { GUEST_FS_SELECTOR, 0x18 }, { GUEST_GS_SELECTOR, 0x18 },
		{ GUEST_TR_SELECTOR, 0x20 }, { GUEST_GDTR_BASE, GDT }, { GUEST_IDTR_BASE, IDT64 },
		{ GUEST_CS_LIMIT, -1u }, { GUEST_DS_LIMIT, -1u }, { GUEST_ES_LIMIT, -1u },
		{ GUEST_SS_LIMIT, -1u }, { GUEST_FS_LIMIT, -1u }, { GUEST_GS_LIMIT, -1u },
		{ GUEST_TR_LIMIT, 0x67 }, { GUEST_GDTR_LIMIT, 0xff }, { GUEST_IDTR_LIMIT, 0x1ff },
		{ GUEST_CS_AR_BYTES, 0xa09b }, { GUEST_DS_AR_BYTES, 0xc093 },
		{ GUEST_ES_AR_BYTES, 0xc093 }, { GUEST_SS_AR_BYTES, 0xc093 },
		{ GUEST_FS_AR_BYTES, 0xc093 }, { GUEST_GS_AR_BYTES, 0xc093 },
		{ GUEST_TR_AR_BYTES, 0x8b }, { GUEST_LDTR_AR_BYTES, 0x10000 },
	};

	memcpy(at(FIELDS), fields, sizeof(fields));
	return host->launched ? 13 : ARRAY_SIZE(fields);
}

static void write_vmcb(int cpu, struct cpu *c)
{
	struct vmcb *vmcb = at(VMCB(cpu));
	struct vmcb_seg data = { 0x18, 0xc93, -1u, 0 };

	memset(vmcb, 0, sizeof(*vmcb));
	vmcb->save.es = vmcb->save.ss = vmcb->save.ds = vmcb->save.fs = vmcb->save.gs = data;
	vmcb->save.cs = (struct vmcb_seg){ 8, 0xa9b, -1u, 0 };
	vmcb->save.gdtr = (struct vmcb_seg){ 0, 0, 0xff, GDT };
	vmcb->save.idtr = (struct vmcb_seg){ 0, 0, 0x1ff, IDT64 };
	vmcb->save.cr0 = c->now.cr[CR0];
	vmcb->save.cr4 = c->now.cr[CR4];
	vmcb->save.cr3 = cr3_of(c->now.efer, c->now.cr[CR4]);
	vmcb->save.efer = c->now.efer;
	vmcb->save.dr6 = 0xffff0ff0;
	vmcb->save.dr7 = 0x400;
	vmcb->save.rip = CODE;
	vmcb->save.rsp = STACK(cpu);
	vmcb->save.rflags = X86_EFLAGS_FIXED;
	vmcb->control.asid = 1;
	vmcb->control.tlb_ctl = 1;
	vmcb->control.intercept = BIT_ULL(INTERCEPT_VMRUN) | BIT_ULL(INTERCEPT_VMMCALL);
	vmcb->control.intercept_cr = c->intercept_cr[CR0] << 16 | c->intercept_cr[CR4] << 20;
}

/* VMRUN, or VMLAUNCH or VMRESUME, to an L2 in 64-bit mode with any other CR0 and CR4 */
static void enter(struct cpu *c, const struct cpu *was, struct step *s)
{
	u64 x = s->x, fixed0 = c->vmx ? c->fixed0[CR0] : 0, fixed4 = c->vmx ? c->fixed0[CR4] : 0;
	struct cpu l2 = *c, host = *c;
	int i, port;

	if (c->l2 || c->smm || (c->vmx ? !c->vmxon || mode_of(c) != LONG || c->now.cs != 64 :
				!(c->now.efer & EFER_SVME) || !paging(c->now.cr[CR0])))
		return;

	l2.now = (struct saved){
		.cr[CR0] = X86_CR0_PE | X86_CR0_PG | X86_CR0_ET | fixed0 | (x & FREE_CR0),
		.cr[CR4] = X86_CR4_PAE | fixed4 | (x >> 7 & FREE_CR4 & c->cr4_valid) |
			   (c->vmx ? c->now.cr[CR4] & X86_CR4_LA57 : 0),
		.efer = EFER_LME | EFER_LMA | (c->svm ? EFER_SVME : 0), .cs = 64, .idt = LONG,
	};
	for (i = 0; i < 2; i++) {
		l2.intercept_cr[i] = is_svm && (s->how & (2 << i));
		l2.mask[i] = is_svm || (s->how & 4) ? 0 : x * 0x9e3779b97f4a7c15ull >> (5 * i);
		l2.shadow[i] = is_svm ? 0 : x * 0xd1342543de82ef95ull >> (3 * i + 8);
	}
	c->launched = true;
	start(c, was, is_svm ? I_VMRUN : was->launched ? I_VMRESUME : I_VMLAUNCH, false, VMCB(nr(c)), 0, 0);
	if (is_svm) {
		l2.l1 = c->now;
		write_vmcb(nr(c), &l2);
		port = run(c);
	} else {
		/* Other host state than there is, by chance */
		if (s->how & 8) {
			host.now.cr[CR0] ^= x >> 3 & FREE_CR0;
			host.now.cr[CR4] ^= x >> 11 & FREE_CR4 & c->cr4_valid;
		}
		l2.l1 = host.now;
		host.launched = was->launched;
		regs_of(c)->rcx = write_fields(nr(c), &l2, &host);
		regs_of(c)->rdx = FIELDS;
		port = run(c);
		if (refused(c, host.now.cr[CR0], host.now.cr[CR4])) {
			c->violations++;
			c->launched = was->launched;
			done(c, port);
			same("VMfailValid", regs_of(c)->rflags & X86_EFLAGS_ZF, X86_EFLAGS_ZF);
			return;
		}
	}
	l2.launched = true;
	l2.l2 = true;
	*c = l2;
	if (c->vmx && c->init) {
		l2.now.idt = NONE;
		init(c);
		exited(c, &l2, port, EXIT_REASON_INIT_SIGNAL);
		return;
	}
	same("port in L2", port, ENTRY);
}

/* One step; nothing if it makes no sense as things are, as when others were left out. */
static void execute_step(struct step *s)
{
	struct cpu *c = &cpus[s->cpu], *other = &cpus[!s->cpu], was = *c;
	struct kvm_vcpu *vcpu = vcpus[s->cpu];
	bool emulated = (s->how & 1) && is_forced_emulation_enabled &&
			(unrestricted || (c->now.cs != 16 && mode_of(c) != REAL)) &&
			!(c->l2 && c->vmx);
	u64 val, cr0, cr4;
	struct vmcb_save_area *hsave = &((struct vmcb *)at(HSAVE(s->cpu)))->save;
	u64 l1[2], keep[2];
	int vector, i;
	u8 *smram;
	u16 *far;

	if (c->waits && (s->op <= LEAVE || s->op == SMI))
		return;
	count[s->op]++;
	/* For what the emulator doesn't survive */
	if (verbose)
		printf("# vCPU %d %s how 0x%x x 0x%lx, CR0 %lx CR4 %lx EFER %lx%s%s\n", s->cpu,
		       ops[s->op].name, s->how, s->x, c->now.cr[CR0], c->now.cr[CR4], c->now.efer,
		       c->smm ? " SMM" : "", c->l2 ? " L2" : "");
	switch (s->op) {
	case MOV_CR0:
	case MOV_CR4:
		i = s->op == MOV_CR0 ? CR0 : CR4;
		val = cr_operand(c, i, s);
		/*
		 * KVM's emulator, mk_cr_64(), takes no notice of the upper half, nor does
		 * QEMU's of SVM, without whose decode assists KVM emulates all of these.
		 * Without unrestricted guest, it emulates some of what comes of real mode.
		 */
		if (c->now.cs != 64 || emulated || is_svm || !unrestricted)
			val = (u32)val;
		if (cr_exits(c, i, val))
			vector = EXIT + (is_svm ? SVM_EXIT_WRITE_CR0 + 4 * i : EXIT_REASON_CR_ACCESS);
		else
			vector = cr_write(c, i, cr_effective(c, i, val));
		if (lethal(&was, c)) {
			*c = was;
			return;
		}
		execute(c, &was, i == CR0 ? I_MOV_CR0 : I_MOV_CR4, emulated, val, 0, 0, vector);
		break;
	case LMSW:
		val = (c->now.cr[CR0] ^ s->x) & 0xffff;
		if (lmsw_exits(c, val))
			vector = EXIT + (is_svm ? SVM_EXIT_WRITE_CR0 : EXIT_REASON_CR_ACCESS);
		else
			vector = cr_write(c, CR0, cr_effective(c, CR0, lmsw_value(c->now.cr[CR0], val)));
		execute(c, &was, I_LMSW, emulated, val, 0, 0, vector);
		break;
	case CLTS:
		vector = 0;
		if (c->l2 && (c->intercept_cr[CR0] || (c->mask[CR0] & c->shadow[CR0] & X86_CR0_TS)))
			vector = EXIT + (is_svm ? SVM_EXIT_WRITE_CR0 : EXIT_REASON_CR_ACCESS);
		else if (!(c->l2 && (c->mask[CR0] & X86_CR0_TS)))
			c->now.cr[CR0] &= ~X86_CR0_TS;
		execute(c, &was, I_CLTS, emulated, 0, 0, 0, vector);
		break;
	case WRMSR:
		i = s->how % 6;
		val = msr_operand(c, s, false);
		vector = c->l2 && c->vmx ? EXIT + EXIT_REASON_MSR_WRITE : pin_wrmsr(c, i, val);
		execute(c, &was, I_WRMSR, emulated, (u32)val, MSR_KVM_CR0_PIN_ALLOWED + i, val >> 32, vector);
		break;
	case RDMSR:
		i = s->how % 6;
		vector = c->l2 && c->vmx ? EXIT + EXIT_REASON_MSR_READ : pin_rdmsr(c, i, &val);
		execute(c, &was, I_RDMSR, emulated, 0, MSR_KVM_CR0_PIN_ALLOWED + i, 0, vector);
		if (!vector)
			same("RDMSR", (u32)regs_of(c)->rax | regs_of(c)->rdx << 32, val);
		break;
	case VMXON:
	case VMXOFF:
		if (!c->vmx || c->l2 || c->smm || c->vmxon == (s->op == VMXON) || c->now.cs != 64 ||
		    mode_of(c) != LONG || !(c->now.cr[CR4] & X86_CR4_VMXE) ||
		    outside_fixed(c, CR0, c->now.cr[CR0]) || outside_fixed(c, CR4, c->now.cr[CR4]))
			return;
		*(u64 *)at(TABLES + 0x40 * LONG + 0x28) = HSAVE(s->cpu);
		*(u64 *)at(TABLES + 0x40 * LONG + 0x30) = VMCB(s->cpu);
		*(u32 *)at(HSAVE(s->cpu)) = *(u32 *)at(VMCB(s->cpu)) =
			vcpu_get_msr(vcpu, MSR_IA32_VMX_BASIC) & 0x7fffffff;
		c->vmxon = s->op == VMXON;
		c->launched = false;
		execute(c, &was, c->vmxon ? I_VMXON : I_VMXOFF, false, 0, 0, 0, 0);
		break;
	case ENTER:
		enter(c, &was, s);
		break;
	case LEAVE:
		if (c->l2)
			execute(c, &was, is_svm ? I_VMMCALL : I_VMCALL, emulated && is_svm, 0, 0, 0,
				EXIT + (is_svm ? SVM_EXIT_VMMCALL : EXIT_REASON_VMCALL));
		break;
	case WRMSR_EFER:
		if (c->l2)
			return;
		val = c->now.efer ^ (s->x & (EFER_LME | (c->svm ? 0 : EFER_SVME)));
		vector = efer_wrmsr(c, val);
		if (lethal(&was, c)) {
			*c = was;
			return;
		}
		execute(c, &was, I_WRMSR, emulated, val, MSR_EFER, 0, vector);
		break;
	case LJMP:
		if (mode_of(c) == REAL || c->l2)
			return;
		i = mode_of(c) == LONG && (s->how & 2) ? 64 : 32;
		far = at(TABLES + 0x40 * mode_of(c) + 0x20);
		*(u32 *)far = code(0) + TAIL;
		far[2] = i == 64 ? 8 : 0x10;
		if (c->now.cs == 16)		/* Operands are 16 bits wide. */
			far[1] = 0x10;
		c->now.base = 0;
		c->now.cs = i;
		execute(c, &was, I_LJMP, false, 0, 0, 0, 0);
		break;
	case SET_MSR:
		i = s->how % 6;
		val = msr_operand(c, s, true);
		vector = pin_set_msr(c, i, val);
		same("KVM_SET_MSRS", _vcpu_set_msr(vcpu, MSR_KVM_CR0_PIN_ALLOWED + i, val), vector);
		break;
	case GET:
		compare(c);
		break;
	case SET_CRS: {
		struct kvm_sregs sregs;
		u64 keep0 = X86_CR0_PE | X86_CR0_PG, keep4 = X86_CR4_PAE | X86_CR4_PCIDE | X86_CR4_LA57;

		cr0 = c->now.cr[CR0] ^ (s->x & 0xe005003f & ~keep0);
		cr4 = c->now.cr[CR4] ^ (s->x >> 5 & c->cr4_valid & ~keep4);
		if (c->l2 || !cr_valid(c, CR0, cr0) || !cr_valid(c, CR4, cr4))
			return;
		vcpu_sregs_get(vcpu, &sregs);
		sregs.cr0 = c->now.cr[CR0] = cr0 | X86_CR0_ET;
		sregs.cr4 = c->now.cr[CR4] = cr4;
		if (_vcpu_sregs_set(vcpu, &sregs))
			fail("KVM_SET_SREGS fails");
		break;
	}
	case RESET:
		reset(c, s->how, s->x);
		break;
	case INIT:
	case INIT_SIPI:
		/* It stays latched where it is blocked: there's nobody who would wait for that. */
		if (!c->boot && (c->smm || (c->vmxon && !c->l2)))
			return;
		c->init = true;
		send(c, 0x500);
		if (c->l2 && c->vmx) {
			if (s->op == INIT_SIPI)		/* which is dropped */
				send(c, 0x600 | CODE >> 12);
			compare(c);
		} else if (s->op == INIT_SIPI && !c->boot) {
			send(c, 0x600 | CODE >> 12);
			init(c);
			sipi(c, other);
			if (s->how & 1)
				same("port after SIPI", run(c), ENTRY);
			else
				compare(c);
		} else if (!(c->smm || (c->vmxon && !c->l2)) && c->boot && (s->how & 1)) {
			init(c);
			same("port after INIT", run(c), ENTRY);
		} else {
			compare(c);
		}
		break;
	case SIPI:
		if (s->how & 1)
			send(c, 0x600 | CODE >> 12);
		else if (c->waits)
			set_mp_state(c, KVM_MP_STATE_SIPI_RECEIVED);
		if (c->waits && (s->how & 2)) {
			sipi(c, other);
			same("port after SIPI", run(c), ENTRY);
		} else {
			if (!c->smm)
				sipi(c, other);
			compare(c);
		}
		break;
	case SMI:
		if (c->smm)
			return;
		regs_of(c)->rip = code(c->now.base) + TAIL;
		vcpu_ioctl(vcpu, KVM_SMI, NULL);
		smi(c, SMBASE(s->cpu));
		same("port in SMM", run(c), ENTRY);
		break;
	case RSM:
		if (!c->smm)
			return;
		smram = at(SMBASE(s->cpu));
		cr0 = *(u32 *)(smram + 0xff58);
		cr4 = *(u32 *)(smram + 0xff48);
		same("CR0 in SMRAM", cr0, c->smram.cr[CR0]);
		same("CR4 in SMRAM", cr4, c->smram.cr[CR4]);
		if (s->how & 2) {
			/* VMX: what RSM loads to bits that L1 owns is not what KVM saves on exit. */
			keep[CR0] = c->smram_l2 ? c->mask[CR0] : 0;
			keep[CR4] = c->smram_l2 ? c->mask[CR4] : 0;
			cr0 ^= s->x & 0xe005003f & ~(X86_CR0_PE | X86_CR0_PG | X86_CR0_ET | keep[CR0]);
			cr4 ^= s->x >> 5 & c->cr4_valid &
			       ~(X86_CR4_PAE | X86_CR4_LA57 | X86_CR4_PCIDE | keep[CR4]);
			*(u32 *)(smram + 0xff58) = cr0;
			*(u32 *)(smram + 0xff48) = cr4;
		}
		l1[CR0] = c->l1.cr[CR0];
		l1[CR4] = c->l1.cr[CR4];
		if (c->smram_l2 && is_svm) {
			same("CR0 in the host save area", hsave->cr0, l1[CR0]);
			same("CR4 in the host save area", hsave->cr4, l1[CR4]);
			if (s->how & 4) {
				l1[CR0] ^= s->x & (X86_CR0_WP | X86_CR0_AM | X86_CR0_TS | X86_CR0_EM);
				l1[CR4] ^= s->x >> 9 & FREE_CR4 & c->cr4_valid;
				hsave->cr0 = l1[CR0];
				hsave->cr4 = l1[CR4];
			}
		}
		if (rsm(c, cr0, cr4, l1[CR0], l1[CR4])) {
			execute(c, &was, I_RSM, false, 0, 0, 0, 0);
			c->now.idt = c->smram.idt;
		} else {
			i = code(was.now.base) + SLOT(I_RSM, 0) + sizeof(preamble);
			regs_of(c)->rip = i;
			same("port after a bad RSM", run(c), -1);
			same("violations", vcpu_get_stat(vcpu, cr_pin_violations), c->violations);
			reset(c, s->how, s->x);
		}
		break;
	case RESTORE:
		restore(c, s->how);
		break;
	}
	/* What this reads is valid in KVM's cache from now on.  Therefore not always. */
	if (s->how & 0x80)
		compare(c);
}

/*
 * Sequences
 */
/* Those that all CPUs have */
#define CR4_ALWAYS (X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE |	\
		    X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR |	\
		    X86_CR4_OSXMMEXCPT)

/* Of a vCPU, or all that KVM can virtualize */
static u64 cr4_valid(struct kvm_vcpu *vcpu)
{
	const struct {
		u64 bit;
		struct kvm_x86_cpu_feature feature;
	} bits[] = {
		{ X86_CR4_OSXSAVE, X86_FEATURE_XSAVE }, { X86_CR4_SMEP, X86_FEATURE_SMEP },
		{ X86_CR4_SMAP, X86_FEATURE_SMAP }, { X86_CR4_FSGSBASE, X86_FEATURE_FSGSBASE },
		{ X86_CR4_PKE, X86_FEATURE_PKU }, { X86_CR4_LA57, X86_FEATURE_LA57 },
		{ X86_CR4_UMIP, X86_FEATURE_UMIP }, { X86_CR4_VMXE, X86_FEATURE_VMX },
		{ X86_CR4_PCIDE, X86_FEATURE_PCID }, { X86_CR4_CET, X86_FEATURE_SHSTK },
		{ X86_CR4_CET, X86_FEATURE_IBT }, { X86_CR4_LAM_SUP, X86_FEATURE_LAM },
	};
	/* The last one is in a leaf of its own. */
	int i, n = ARRAY_SIZE(bits) - !get_cpuid_entry(kvm_get_supported_cpuid(), 7, 0)->eax;
	u64 valid = CR4_ALWAYS;

	for (i = 0; i < n; i++)
		if (vcpu ? vcpu_cpuid_has(vcpu, bits[i].feature) : kvm_cpu_has(bits[i].feature))
			valid |= bits[i].bit;
	return valid;
}

static void create(u64 seed)
{
	u64 allowed[2] = { 0, cr4_bits };
	struct kvm_lapic_state lapic;
	int i, n;

	rng = (seed + 1) * 0x9e3779b97f4a7c15ull;
	for (n = 0; n < 32; n++)
		if (is_pinnable(CR0, n))
			allowed[CR0] |= BIT_ULL(n);
	for (i = 0; i < 2; i++)
		same("what can be pinned", kvm_get_feature_msr(MSR_KVM_CR0_PIN_ALLOWED + i), allowed[i]);

	/* Now and then, a VM that has no part in it, or may pin only something. */
	if (!(seed % 16))
		allowed[0] = allowed[1] = 0;
	else if (!(seed % 4))
		for (i = 0; i < 2; i++)
			allowed[i] &= any();
	vm = vm_create(2);
	vm_ioctl(vm, KVM_SET_TSS_ADDR, (void *)0xfffbd000ul);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, TOP, 1, 16, 0);
	same("KVM_ENABLE_CAP with CR0.TS", __vm_enable_cr_pin(vm, X86_CR0_TS, 0, 0), -1);
	if (allowed[0] | allowed[1])
		same("KVM_ENABLE_CAP", __vm_enable_cr_pin(vm, allowed[0], allowed[1], 0), 0);
	write_memory();
	/* SMM has an address space of its own, here with the same memory. */
	vm_set_user_memory_region(vm, 1 << 16, 0, 0, 0x100000, at(0));
	vm_set_user_memory_region(vm, 1 << 16 | 1, 0, TOP, 0x10000, at(TOP));

	memset(cpus, 0, sizeof(cpus));
	for (i = 0; i < 2; i++) {
		struct cpu *c = &cpus[i];

		vcpus[i] = vm_vcpu_add(vm, i, NULL);
		if (seed % 8) {
			vcpu_set_cpuid_feature(vcpus[i], X86_FEATURE_KVM_CR_PIN);
		} else {
			vcpu_clear_cpuid_feature(vcpus[i], X86_FEATURE_KVM_CR_PIN);
			vcpu_enable_cap(vcpus[i], KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1);
		}
		if (one_in(3))
			vcpu_clear_cpuid_feature(vcpus[i], X86_FEATURE_UMIP);
		if (one_in(3))
			vcpu_clear_cpuid_feature(vcpus[i], X86_FEATURE_SMEP);
		c->cr4_valid = cr4_valid(vcpus[i]);
		c->offered = (seed % 8) && (allowed[0] | allowed[1]);
		for (n = 0; n < 2; n++)
			c->vm_allowed[n] = c->allowed[n] = allowed[n];
		c->allowed[CR4] &= c->cr4_valid;
		c->boot = !i;
		c->svm = is_svm;
		c->vmx = !is_svm;
		if (c->vmx) {
			vcpu_set_msr(vcpus[i], MSR_IA32_FEAT_CTL,
				     FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX);
			for (n = 0; n < 2; n++) {
				c->fixed0[n] = vcpu_get_msr(vcpus[i], MSR_IA32_VMX_CR0_FIXED0 + 2 * n);
				c->fixed1[n] = vcpu_get_msr(vcpus[i], MSR_IA32_VMX_CR0_FIXED1 + 2 * n);
			}
		} else {
			vcpu_set_msr(vcpus[i], MSR_VM_HSAVE_PA, HSAVE(i));
		}
		vcpu_set_msr(vcpus[i], MSR_IA32_SMBASE, SMBASE(i));
		/* Only now KVM knows that its APIC is there. */
		vcpu_ioctl(vcpus[i], KVM_GET_LAPIC, &lapic);
		vcpu_ioctl(vcpus[i], KVM_SET_LAPIC, &lapic);
		reset(c, i ? 2 : 0, 0);
	}
	same("KVM_ENABLE_CAP with vCPUs", __vm_enable_cr_pin(vm, 0, cr4_bits, 0), -1);
}

static u64 any_bits(u64 of)
{
	u64 bits = 0;
	int n = 1 + (any() >> 60) % 3;

	while (n) {
		u64 bit = BIT_ULL(any() >> 58);

		if (!(bit & of))
			continue;
		bits |= bit;
		n--;
	}
	return bits;
}

static void generate(struct step *s)
{
	int total = 0, i;

	for (i = 0; i < NR_OPS; i++)
		total += ops[i].weight;
	i = (any() >> 32) % total;
	s->op = 0;
	while (i >= ops[s->op].weight)
		i -= ops[s->op++].weight;
	s->cpu = (any() >> 32) % 3 == 0;
	s->how = any() >> 40;
	switch (s->op) {
	case MOV_CR0:
		s->x = any_bits((any() >> 60) ? 0xe005003f : ~0ull);
		break;
	case MOV_CR4:
		s->x = any_bits((any() >> 60) ? cr4_bits : ~0ull);
		break;
	case SET_CRS:
		s->x = any_bits(~0ull);
		break;
	case RSM:
		s->x = any_bits(0xe005003f) | any_bits(~0ull);
		break;
	default:
		s->x = any() & (any() | any());
	}
}

/* How many of these steps can be executed until KVM and the model differ, or -1 */
static int play(u64 seed, struct step *steps, int n)
{
	static int i;
	int r = -1;

	if (setjmp(failure)) {
		r = i;
	} else {
		i = 0;
		create(seed);
		for (; i < n; i++)
			execute_step(&steps[i]);
		compare(&cpus[0]);
		compare(&cpus[1]);
	}
	kvm_vm_free(vm);
	return r;
}

/* Leave out what doesn't matter, first much of it, then step by step. */
static int shrink(u64 seed, struct step *steps, int n)
{
	struct step try[SEQUENCE];
	int chunk, at, end;

	for (chunk = n / 2; chunk; chunk = chunk > 1 && chunk / 2 ? chunk / 2 : 0) {
		for (at = 0; at + chunk <= n; ) {
			memcpy(try, steps, at * sizeof(*try));
			memcpy(try + at, steps + at + chunk, (n - at - chunk) * sizeof(*try));
			end = play(seed, try, n - chunk);
			if (end < 0 || strncmp(why, wanted, sizeof(wanted))) {
				at += chunk;
				continue;
			}
			n = min(end + 1, n - chunk);
			memcpy(steps, try, n * sizeof(*try));
		}
	}
	play(seed, steps, n);
	return n;
}

static void report(u64 seed, struct step *steps, int n)
{
	int i;

	printf("# seed %lu: %s, at step %d; the shortest way there:\n", seed, why, n);
	memcpy(wanted, why, sizeof(wanted));
	n = shrink(seed, steps, min(n + 1, SEQUENCE));
	for (i = 0; i < n; i++)
		printf("#   vCPU %d %s how 0x%x x 0x%lx\n", steps[i].cpu, ops[steps[i].op].name,
		       steps[i].how, steps[i].x);
	printf("# %s\n", why);
	for (i = 0; i < 2; i++)
		printf("#   model of vCPU %d: CR0 %lx CR4 %lx EFER %lx pins %lx %lx, low %lx %lx%s%s%s%s\n", i,
		       cpus[i].now.cr[0], cpus[i].now.cr[1], cpus[i].now.efer, cpus[i].pins[0],
		       cpus[i].pins[1], cpus[i].pins[2], cpus[i].pins[3], cpus[i].smm ? " SMM" : "",
		       cpus[i].waits ? " waits" : "", cpus[i].l2 ? " L2" : "",
		       cpus[i].vmxon ? " VMX" : "");
}

int main(int argc, char *argv[])
{
	struct sigaction sa = { .sa_handler = on_alarm };
	static struct step steps[SEQUENCE];
	u64 seed, left;
	int i, end;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_CR_PIN));
	TEST_ASSERT(argc == 3, "usage: fuzz SEED STEPS");
	seed = strtoull(argv[1], NULL, 0);
	left = strtoull(argv[2], NULL, 0);
	sigaction(SIGALRM, &sa, NULL);
	setbuf(stdout, NULL);
	verbose = getenv("VERBOSE");
	is_svm = kvm_cpu_has(X86_FEATURE_SVM);
	cr4_bits = cr4_valid(NULL);
	unrestricted = is_svm || kvm_is_unrestricted_guest_enabled();

	for (; left; left -= min(left, (u64)SEQUENCE), seed++) {
		rng = (seed + 1) * 0xd1342543de82ef95ull;
		for (i = 0; i < SEQUENCE; i++)
			generate(&steps[i]);
		end = play(seed, steps, min(left, (u64)SEQUENCE));
		if (end >= 0) {
			report(seed, steps, end);
			return 1;
		}
	}
	for (i = 0; i < NR_OPS; i++)
		printf("# %s: %lu\n", ops[i].name, count[i]);
	return 0;
}

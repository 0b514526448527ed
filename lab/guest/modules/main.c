// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a ROP chain in the kernel would do to CR0 and CR4, at the instruction, on each
 * online CPU. When the module is loaded, the kernel's log gets a line for each:
 *
 *	attack: won|lost|ERROR: TITLE: CPU N: WHAT CAME OF IT
 *
 * as the CPU has it right after the instruction. A bit that was lost is put back before
 * anything else happens.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/kdebug.h>
#include <linux/module.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

#include <asm/asm.h>
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/pgtable.h>
#include <asm/processor-flags.h>
#include <asm/special_insns.h>
#include <asm/trapnr.h>

/*
 * Take a single step through @gadget, and on, with @val in every register but RSP. Comes
 * back when the die notifier sets RIP to attack_jump_out() and RSP to *@sp.
 */
asmlinkage void attack_jump(unsigned long gadget, unsigned long val, unsigned long *sp);
asmlinkage void attack_jump_out(void);

/*
 * Go to the copy of attack_low[] at the physical address @low in compatibility mode, write
 * @val to CR4, read the register back, restore @old. Returns what was read.
 */
asmlinkage u32 attack_compat(u32 low, u32 stack, u32 val, u32 old, unsigned long *sp);
extern const char attack_low[];
extern const char attack_low_out[], attack_low_sp[], attack_low_end[];

/* Not taken from <asm/kvm_para.h>: unpatched kernels are attacked as well. */
#define MSR_CR0_PINNED		0x4b564d0b
#define MSR_CR4_PINNED		0x4b564d0c

#define MOV_CR_LEN		3

struct attack {
	const char *title;
	const char *bits_name;
	unsigned long bits;
	bool cr4;
	u32 msr;
	void (*run)(void);
};

/* One at a time, on one CPU */
static const struct attack *attack;
static struct {
	const char *error;
	int trapnr;
	unsigned long before;
	unsigned long wrote;
	unsigned long after;
	bool put_back;
	int msr_fault;
	u64 msr_before;
	u64 msr_wrote;
	u64 msr_after;
} res;

static unsigned long native_write_cr4_addr;
module_param_named(native_write_cr4, native_write_cr4_addr, ulong, 0400);

static unsigned long read_cr(bool cr4)
{
	return cr4 ? native_read_cr4() : native_read_cr0();
}

/* The write and nothing else. Returns the exception it met, or 0. */
static int write_cr(bool cr4, unsigned long val)
{
	unsigned long trapnr = 0;

	if (cr4)
		asm volatile("1: mov %[val], %%cr4\n"
			     "2:\n"
			     _ASM_EXTABLE_FAULT(1b, 2b)
			     : "+a" (trapnr) : [val] "r" (val) : "memory");
	else
		asm volatile("1: mov %[val], %%cr0\n"
			     "2:\n"
			     _ASM_EXTABLE_FAULT(1b, 2b)
			     : "+a" (trapnr) : [val] "r" (val) : "memory");
	return trapnr;
}

static void attack_mov(void)
{
	unsigned long cr4 = native_read_cr4();

	/* CR0.WP cannot be cleared, pinned or not, as long as CR4.CET is set. */
	if (!attack->cr4 && (attack->bits & X86_CR0_WP) && (cr4 & X86_CR4_CET))
		write_cr(true, cr4 & ~X86_CR4_CET);

	res.before = read_cr(attack->cr4);
	res.wrote = res.before & ~attack->bits;
	res.trapnr = write_cr(attack->cr4, res.wrote);
	res.after = read_cr(attack->cr4);

	if (res.after != res.before)
		write_cr(attack->cr4, res.before);
	if (native_read_cr4() != cr4)
		write_cr(true, cr4);
}

/* Give the pins back first, as an attacker would who knows of them. */
static void attack_msr(void)
{
	if (rdmsrq_safe(attack->msr, &res.msr_before)) {
		res.error = "the PINNED MSR does not exist";
		return;
	}
	res.msr_wrote = res.msr_before & ~(u64)attack->bits;
	res.msr_fault = !!wrmsrq_safe(attack->msr, res.msr_wrote);
	rdmsrq_safe(attack->msr, &res.msr_after);

	attack_mov();

	if (res.msr_after != res.msr_before)
		wrmsrq_safe(attack->msr, res.msr_before);
}

/*
 * An instruction of others that is under attack on this CPU: the exceptions it
 * causes are taken by the die notifier below.
 */
static struct {
	int cpu;
	unsigned long ip;
	/* Single steps only */
	bool stepping;
	bool fired;
	unsigned int steps;
	unsigned long start;
	unsigned long sp;
} target = { .cpu = -1 };

/* No longer than native_write_cr4() can be, or its way to put bits back. */
#define MAX_FUNC_LEN		256
#define MAX_STEPS		64

static void stop_stepping(struct pt_regs *regs)
{
	regs->flags &= ~X86_EFLAGS_TF;
	regs->ip = (unsigned long)attack_jump_out;
	regs->sp = target.sp;
	target.stepping = false;
}

static void gadget_stepped(struct pt_regs *regs)
{
	unsigned long cr4 = native_read_cr4();

	if (!target.fired) {
		/* On the way to the gadget */
		if (regs->ip == target.ip)
			return;
		target.fired = true;
		res.after = cr4;
	}

	/*
	 * See if the function that the gadget is in notices, but do not follow
	 * it out of there: the stack is not what its epilogue expects.
	 */
	if (!(cr4 & attack->bits)) {
		if (regs->ip - target.start < MAX_FUNC_LEN &&
		    target.steps++ < MAX_STEPS)
			return;
	} else if (res.after != cr4) {
		res.put_back = true;
	}
	stop_stepping(regs);
}

static int attack_die_notify(struct notifier_block *nb, unsigned long cmd,
			     void *data)
{
	struct die_args *args = data;
	struct pt_regs *regs = args->regs;

	if (READ_ONCE(target.cpu) != raw_smp_processor_id() || user_mode(regs))
		return NOTIFY_DONE;

	switch (cmd) {
	case DIE_DEBUG: {
		unsigned long *dr6 = (unsigned long *)args->err;

		if (!target.stepping || !(*dr6 & DR_STEP))
			return NOTIFY_DONE;
		*dr6 &= ~DR_STEP;
		gadget_stepped(regs);
		return NOTIFY_STOP;
	}
	case DIE_GPF:
		if (regs->ip == target.ip) {
			res.trapnr = args->trapnr;
			res.after = read_cr(attack->cr4);
			regs->ip += MOV_CR_LEN;
		} else if (!target.stepping) {
			return NOTIFY_DONE;
		}
		if (target.stepping)
			stop_stepping(regs);
		return NOTIFY_STOP;
	}
	return NOTIFY_DONE;
}

static struct notifier_block attack_die_nb = {
	.notifier_call = attack_die_notify,
};

static void aim(unsigned long ip)
{
	target.ip = ip;
	target.fired = false;
	target.steps = 0;
	WRITE_ONCE(target.cpu, raw_smp_processor_id());
}

static void aim_off(void)
{
	WRITE_ONCE(target.cpu, -1);
}

/* "mov %reg, %cr4", %reg being one of the low eight, but not %rsp */
static unsigned long find_gadget(void)
{
	u8 text[128];
	int i;

	if (copy_from_kernel_nofault(text, (void *)native_write_cr4_addr,
				     sizeof(text)))
		return 0;
	for (i = 0; i <= sizeof(text) - MOV_CR_LEN; i++) {
		if (text[i] == 0x0f && text[i + 1] == 0x22 &&
		    (text[i + 2] & 0xf8) == 0xe0 && text[i + 2] != 0xe4)
			return native_write_cr4_addr + i;
	}
	return 0;
}

/*
 * Jump to the MOV of native_write_cr4(), past what checks the value before it.
 * What checks it afterwards is too late, but restores the bit within some
 * instructions: a single step tells what they leave a ROP chain with.
 */
static void attack_jump_mov(void)
{
	unsigned long gadget = find_gadget();

	if (!gadget) {
		res.error = "no MOV to CR4 found, is native_write_cr4= right?";
		return;
	}

	res.before = native_read_cr4();
	res.wrote = res.before & ~attack->bits;

	aim(gadget);
	target.start = native_write_cr4_addr;
	target.stepping = true;
	attack_jump(gadget, res.wrote, &target.sp);
	aim_off();

	if (native_read_cr4() != res.before)
		write_cr(true, res.before);
}

/*
 * Compatibility mode has an encoding of its own. It runs where linear addresses are
 * physical ones, on page tables that have this in addition to all of the kernel.
 */
struct low {
	u64 table[5][PTRS_PER_PTE];
	u8 code[PAGE_SIZE];
	u8 stack[2 * PAGE_SIZE];
};

static struct low *low;

static void build_low(bool la57)
{
	phys_addr_t pa = virt_to_phys(low);
	u64 *top = __va(read_cr3_pa());
	u64 *table = low->table[0];
	int i, level;

	memset(low->table, 0, sizeof(low->table));
	memcpy(table + PTRS_PER_PGD / 2, top + PTRS_PER_PGD / 2, PAGE_SIZE / 2);
	for (level = la57 ? 5 : 4; level > 1; level--) {
		u64 *next = table + PTRS_PER_PTE;

		table[(pa >> (3 + 9 * level)) % PTRS_PER_PTE] =
			virt_to_phys(next) | _KERNPG_TABLE;
		table = next;
	}
	for (i = 0; i < sizeof(*low) / PAGE_SIZE; i++)
		table[(pa >> PAGE_SHIFT) % PTRS_PER_PTE + i] =
			(pa + i * PAGE_SIZE) | _KERNPG_TABLE;

	memcpy(low->code, attack_low, attack_low_end - attack_low);
}

static void attack_low_mov(void)
{
	unsigned long cr3 = __native_read_cr3();
	unsigned long cr4 = native_read_cr4();
	phys_addr_t pa = virt_to_phys(low);
	unsigned long code = pa + offsetof(struct low, code);
	u64 fs, gs;

	/* FRED takes compatibility mode from the kernel. */
	if (cr4 & X86_CR4_FRED) {
		res.error = "not possible with FRED";
		return;
	}

	build_low(cr4 & X86_CR4_LA57);
	native_write_cr3(pa);

	/* LASS forbids the kernel the low half. */
	res.trapnr = write_cr(true, cr4 & ~X86_CR4_LASS);
	if (res.trapnr) {
		res.error = "CR4.LASS cannot be cleared";
		goto out;
	}

	res.before = native_read_cr4();
	res.wrote = res.before & ~attack->bits;

	fs = native_rdmsrq(MSR_FS_BASE);
	gs = native_rdmsrq(MSR_GS_BASE);

	aim(code);
	res.after = attack_compat(code, pa + sizeof(*low), res.wrote, res.before,
				  (void *)low->code + (attack_low_sp - attack_low));

	/* Nothing of the bases is lost, but 32-bit modes only promise a half. */
	native_wrmsrq(MSR_GS_BASE, gs);
	native_wrmsrq(MSR_FS_BASE, fs);
	aim_off();
out:
	write_cr(true, cr4);
	native_write_cr3(cr3);
}

/* What code would do that loses a bit without meaning to */
static bool accident;
module_param(accident, bool, 0400);

static const struct attack attacks[] = {
	{ "MOV to CR4 without SMEP", "SMEP", X86_CR4_SMEP, true, 0, attack_mov },
	{ "MOV to CR4 without SMAP", "SMAP", X86_CR4_SMAP, true, 0, attack_mov },
	{ "MOV to CR4 without UMIP", "UMIP", X86_CR4_UMIP, true, 0, attack_mov },
	{ "MOV to CR4 without FSGSBASE", "FSGSBASE", X86_CR4_FSGSBASE, true, 0, attack_mov },
	{ "MOV to CR4 without SMEP, 32-bit", "SMEP", X86_CR4_SMEP, true, 0, attack_low_mov },
	{ "jump to the MOV in native_write_cr4()", "SMEP", X86_CR4_SMEP, true, 0, attack_jump_mov },
	{ "WRMSR to unpin SMEP, MOV to CR4", "SMEP", X86_CR4_SMEP, true, MSR_CR4_PINNED, attack_msr },
	{ "MOV to CR0 without WP", "WP", X86_CR0_WP, false, 0, attack_mov },
	{ "WRMSR to unpin WP, MOV to CR0", "WP", X86_CR0_WP, false, MSR_CR0_PINNED, attack_msr },
};

static void run_on_cpu(void *unused)
{
	attack->run();
}

/* Judge by the registers: all of them say won, or lost, or something is wrong. */
static void report(int cpu)
{
	bool on_msr = attack->msr, error = res.error;
	bool was_set = (res.before & attack->bits) == attack->bits;
	const char *bits = attack->bits_name;

	if (!error && was_set && !res.trapnr && res.after == res.wrote &&
	    (!on_msr || (!res.msr_fault && res.msr_after == res.msr_wrote)))
		pr_info("won: %s: CPU %d: %s%s cleared%s\n", attack->title, cpu,
			on_msr ? "WRMSR accepted; " : "", bits,
			res.put_back ? ", then put back by native pinning" : "");
	else if (!error && was_set && res.trapnr == X86_TRAP_GP &&
		 res.after == res.before &&
		 (!on_msr || (res.msr_fault && res.msr_wrote != res.msr_before &&
			      res.msr_after == res.msr_before)))
		pr_info("lost: %s: CPU %d: %s#GP, %s still set\n", attack->title, cpu,
			on_msr ? "WRMSR #GP; " : "", bits);
	else
		pr_info("ERROR: %s: CPU %d: %s, exception %d, before 0x%lx, wrote 0x%lx, after 0x%lx, MSR: %s, before 0x%llx, wrote 0x%llx, after 0x%llx\n",
			attack->title, cpu, error ? res.error : "neither won nor lost",
			res.trapnr, res.before, res.wrote, res.after,
			res.msr_fault ? "#GP" : "accepted", res.msr_before,
			res.msr_wrote, res.msr_after);
}

static int __init attack_init(void)
{
	int i, cpu, ret;

	if (accident) {
		native_write_cr0(native_read_cr0() & ~X86_CR0_WP);
		return 0;
	}

	low = (void *)__get_free_pages(GFP_KERNEL | GFP_DMA32 | __GFP_ZERO,
				       get_order(sizeof(*low)));
	if (!low)
		return -ENOMEM;

	ret = register_die_notifier(&attack_die_nb);
	if (ret)
		goto free;

	cpus_read_lock();
	for (i = 0; i < ARRAY_SIZE(attacks); i++) {
		for_each_online_cpu(cpu) {
			attack = &attacks[i];
			memset(&res, 0, sizeof(res));
			ret = smp_call_function_single(cpu, run_on_cpu, NULL, true);
			if (ret)
				goto unlock;
			report(cpu);
		}
	}

unlock:
	cpus_read_unlock();
	unregister_die_notifier(&attack_die_nb);
free:
	free_pages((unsigned long)low, get_order(sizeof(*low)));
	return ret;
}
module_init(attack_init);

/* To be loaded again, for more attacks */
static void __exit attack_exit(void)
{
}
module_exit(attack_exit);

MODULE_DESCRIPTION("Attacks on CR0 and CR4 from within the kernel");
MODULE_LICENSE("GPL");

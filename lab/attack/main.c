// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a ROP chain in the kernel would do to CR0 and CR4, at the instruction.
 *
 * Write the name of an attack to <debugfs>/attack: it is carried out on each
 * online CPU. Then read the file for one line per CPU:
 *
 *   NAME cpuN fault=0|1 before=X wrote=X after=X [msr-...=X] OUTCOME
 *
 * where "after" is what the CPU says right after the instruction. A bit that
 * was lost is put back before anything else happens.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/kdebug.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <asm/asm.h>
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/pgtable.h>
#include <asm/processor-flags.h>
#include <asm/special_insns.h>
#include <asm/trapnr.h>

#include "attack.h"

/* Not taken from <asm/kvm_para.h>: unpatched kernels are attacked as well. */
#define MSR_CR0_PINNED		0x4b564d0b
#define MSR_CR4_PINNED		0x4b564d0c

#define MOV_CR_LEN		3

struct result {
	int cpu;
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
};

struct attack {
	const char *name;
	const char *bits_name;
	unsigned long bits;
	bool cr4;
	u32 msr;
	void (*run)(const struct attack *attack, struct result *res);
};

static unsigned long native_write_cr4_addr;
module_param_named(native_write_cr4, native_write_cr4_addr, ulong, 0400);
MODULE_PARM_DESC(native_write_cr4, "address of that function, see /proc/kallsyms");

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

static void attack_mov(const struct attack *attack, struct result *res)
{
	unsigned long cr4 = native_read_cr4();

	/* CR0.WP cannot be cleared, pinned or not, as long as CR4.CET is set. */
	if (!attack->cr4 && (attack->bits & X86_CR0_WP) && (cr4 & X86_CR4_CET))
		write_cr(true, cr4 & ~X86_CR4_CET);

	res->before = read_cr(attack->cr4);
	res->wrote = res->before & ~attack->bits;
	res->trapnr = write_cr(attack->cr4, res->wrote);
	res->after = read_cr(attack->cr4);

	if (res->after != res->before)
		write_cr(attack->cr4, res->before);
	if (native_read_cr4() != cr4)
		write_cr(true, cr4);
}

/* Give the pins back first, as an attacker would who knows of them. */
static void attack_msr(const struct attack *attack, struct result *res)
{
	if (rdmsrq_safe(attack->msr, &res->msr_before)) {
		res->error = "the PINNED MSR does not exist";
		return;
	}
	res->msr_wrote = res->msr_before & ~(u64)attack->bits;
	res->msr_fault = !!wrmsrq_safe(attack->msr, res->msr_wrote);
	rdmsrq_safe(attack->msr, &res->msr_after);

	attack_mov(attack, res);

	if (res->msr_after != res->msr_before)
		wrmsrq_safe(attack->msr, res->msr_before);
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
	const struct attack *attack;
	struct result *res;
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
		target.res->after = cr4;
	}

	/*
	 * See if the function that the gadget is in notices, but do not follow
	 * it out of there: the stack is not what its epilogue expects.
	 */
	if (!(cr4 & target.attack->bits)) {
		if (regs->ip - target.start < MAX_FUNC_LEN &&
		    target.steps++ < MAX_STEPS)
			return;
	} else if (target.res->after != cr4) {
		target.res->put_back = true;
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
			target.res->trapnr = args->trapnr;
			target.res->after = read_cr(target.attack->cr4);
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

static void aim(const struct attack *attack, struct result *res,
		unsigned long ip)
{
	target.ip = ip;
	target.attack = attack;
	target.res = res;
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
static void attack_jump_mov(const struct attack *attack, struct result *res)
{
	unsigned long gadget = find_gadget();

	if (!gadget) {
		res->error = "no MOV to CR4 found, is native_write_cr4= right?";
		return;
	}

	res->before = native_read_cr4();
	res->wrote = res->before & ~attack->bits;

	aim(attack, res, gadget);
	target.start = native_write_cr4_addr;
	target.stepping = true;
	attack_jump(gadget, res->wrote, &target.sp);
	aim_off();

	if (native_read_cr4() != res->before)
		write_cr(true, res->before);
}

/*
 * What cannot be done in 64-bit mode is done in compatibility mode. As there
 * is no paging without CR0.PG, it runs where linear addresses are physical ones,
 * on page tables that have this in addition to all of the kernel.
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

static void attack_low_mov(const struct attack *attack, struct result *res)
{
	unsigned long cr3 = __native_read_cr3();
	unsigned long cr4 = native_read_cr4();
	phys_addr_t pa = virt_to_phys(low);
	unsigned long code = pa + offsetof(struct low, code);
	u64 fs, gs;
	const char *mov;

	/* FRED takes compatibility mode from the kernel. */
	if (cr4 & X86_CR4_FRED) {
		res->error = "not possible with FRED";
		return;
	}

	build_low(cr4 & X86_CR4_LA57);
	native_write_cr3(pa);

	/*
	 * PCIDE needs long mode, so paging cannot be turned off with it. LASS
	 * forbids the kernel the low half.
	 */
	res->trapnr = write_cr(true, cr4 & ~(X86_CR4_PCIDE | X86_CR4_LASS));
	if (res->trapnr) {
		res->error = "CR4.PCIDE or LASS cannot be cleared";
		goto out;
	}

	res->before = read_cr(attack->cr4);
	res->wrote = res->before & ~attack->bits;

	fs = native_rdmsrq(MSR_FS_BASE);
	gs = native_rdmsrq(MSR_GS_BASE);

	mov = attack->cr4 ? attack_low_cr4 : attack_low_cr0;
	aim(attack, res, code + (mov - attack_low));
	res->after = attack_compat(code, pa + sizeof(*low), res->wrote,
				   res->before, attack->cr4,
				   (void *)low->code + (attack_low_sp - attack_low));

	/* Nothing of the bases is lost, but 32-bit modes only promise a half. */
	native_wrmsrq(MSR_GS_BASE, gs);
	native_wrmsrq(MSR_FS_BASE, fs);
	aim_off();
out:
	write_cr(true, cr4);
	native_write_cr3(cr3);
}

static const struct attack attacks[] = {
	{ "cr4-smep", "SMEP", X86_CR4_SMEP, true, 0, attack_mov },
	{ "cr4-smap", "SMAP", X86_CR4_SMAP, true, 0, attack_mov },
	{ "cr4-umip", "UMIP", X86_CR4_UMIP, true, 0, attack_mov },
	{ "cr4-fsgsbase", "FSGSBASE", X86_CR4_FSGSBASE, true, 0, attack_mov },
	{ "cr4-smep-compat", "SMEP", X86_CR4_SMEP, true, 0, attack_low_mov },
	{ "cr4-jump", "SMEP", X86_CR4_SMEP, true, 0, attack_jump_mov },
	{ "cr4-pinned-msr", "SMEP", X86_CR4_SMEP, true, MSR_CR4_PINNED, attack_msr },
	{ "cr0-wp", "WP", X86_CR0_WP, false, 0, attack_mov },
	{ "cr0-pg", "PG", X86_CR0_PG, false, 0, attack_low_mov },
	{ "cr0-pe", "PE and PG", X86_CR0_PE | X86_CR0_PG, false, 0, attack_low_mov },
	{ "cr0-pinned-msr", "WP", X86_CR0_WP, false, MSR_CR0_PINNED, attack_msr },
};

struct run {
	const struct attack *attack;
	struct result res;
};

static void run_on_cpu(void *data)
{
	struct run *run = data;

	run->res.cpu = smp_processor_id();
	run->attack->run(run->attack, &run->res);
}

static const char *outcome(const struct attack *attack,
			   const struct result *res, char *buf, size_t size)
{
	const char *bits = attack->bits_name;

	if (res->error)
		scnprintf(buf, size, "ERROR: %s", res->error);
	else if ((res->before & attack->bits) != attack->bits)
		scnprintf(buf, size, "ERROR: %s not set before the attack", bits);
	else if (!res->trapnr && !(res->after & attack->bits))
		scnprintf(buf, size, "%s cleared%s", bits, res->put_back ?
			  ", then put back by native pinning" : "");
	else if (res->trapnr == X86_TRAP_GP && res->after == res->before)
		scnprintf(buf, size, "#GP, %s still set", bits);
	else
		scnprintf(buf, size, "ERROR: exception %d, but CR%d 0x%lx",
			  res->trapnr, attack->cr4 ? 4 : 0, res->after);
	return buf;
}

/* What the last attack came to; one at a time. */
static char report[PAGE_SIZE];
static size_t report_len;
static DEFINE_MUTEX(attack_mutex);

static void add_to_report(const struct attack *attack, const struct result *res)
{
	char msr[128] = "", text[80];

	if (attack->msr && !res->error)
		scnprintf(msr, sizeof(msr),
			  "msr-fault=%d msr-before=0x%llx msr-wrote=0x%llx msr-after=0x%llx WRMSR %s; ",
			  res->msr_fault, res->msr_before, res->msr_wrote,
			  res->msr_after, res->msr_fault ? "#GP" : "accepted");

	report_len += scnprintf(report + report_len, sizeof(report) - report_len,
				"%s cpu%d fault=%d before=0x%lx wrote=0x%lx after=0x%lx %s%s\n",
				attack->name, res->cpu, !!res->trapnr,
				res->before, res->wrote, res->after, msr,
				outcome(attack, res, text, sizeof(text)));
}

static int run_attack(const struct attack *attack)
{
	int cpu, ret = 0;

	guard(mutex)(&attack_mutex);
	guard(cpus_read_lock)();

	report_len = 0;
	for_each_online_cpu(cpu) {
		struct run run = { .attack = attack };

		ret = smp_call_function_single(cpu, run_on_cpu, &run, true);
		if (ret)
			break;
		add_to_report(attack, &run.res);
	}
	return ret;
}

static ssize_t attack_write(struct file *file, const char __user *ubuf,
			    size_t len, loff_t *pos)
{
	char buf[32];
	int i, ret;

	if (len >= sizeof(buf))
		return -EINVAL;
	if (copy_from_user(buf, ubuf, len))
		return -EFAULT;
	buf[len] = '\0';

	for (i = 0; i < ARRAY_SIZE(attacks); i++) {
		if (!sysfs_streq(attacks[i].name, buf))
			continue;
		ret = run_attack(&attacks[i]);
		return ret ?: len;
	}
	return -EINVAL;
}

static ssize_t attack_read(struct file *file, char __user *ubuf, size_t len,
			   loff_t *pos)
{
	guard(mutex)(&attack_mutex);
	return simple_read_from_buffer(ubuf, len, pos, report, report_len);
}

static const struct file_operations attack_fops = {
	.owner = THIS_MODULE,
	.read = attack_read,
	.write = attack_write,
};

static struct dentry *attack_file;

static int __init attack_init(void)
{
	int ret;

	low = (void *)__get_free_pages(GFP_KERNEL | GFP_DMA32 | __GFP_ZERO,
				       get_order(sizeof(*low)));
	if (!low)
		return -ENOMEM;

	ret = register_die_notifier(&attack_die_nb);
	if (ret)
		goto free;

	attack_file = debugfs_create_file("attack", 0600, NULL, NULL,
					  &attack_fops);
	if (IS_ERR(attack_file)) {
		ret = PTR_ERR(attack_file);
		goto unregister;
	}
	return 0;

unregister:
	unregister_die_notifier(&attack_die_nb);
free:
	free_pages((unsigned long)low, get_order(sizeof(*low)));
	return ret;
}
module_init(attack_init);

static void __exit attack_exit(void)
{
	debugfs_remove(attack_file);
	unregister_die_notifier(&attack_die_nb);
	free_pages((unsigned long)low, get_order(sizeof(*low)));
}
module_exit(attack_exit);

MODULE_DESCRIPTION("Attacks on CR0 and CR4 from within the kernel");
MODULE_LICENSE("GPL");

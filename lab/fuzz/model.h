/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a vCPU has to do, from the manuals of Intel and AMD and from what pinning says
 * of itself (msr.rst, api.rst), one bit after the other and with no word of KVM's.
 *
 * Where the manuals leave it open, or KVM is known to differ and pins have no part in
 * it, this follows KVM, and says so.
 */
enum { CR0, CR4 };
enum { HIGH, LOW = 2 };			/* pins[CR4 + LOW] are CR4's to 0 */
enum mode { REAL, PROT, LONG, NONE };

struct saved {
	u64 cr[2], efer, base;
	enum mode idt;
	int cs;
};

struct cpu {
	/* What CPUID gives it, what the VM lets it pin, and it may pin by itself */
	u64 cr4_valid, vm_allowed[2], allowed[2];
	bool svm, vmx, offered, boot;

	/* What it has now. While L2 runs, "now" is L2's and "l1" what L1 will have. */
	struct saved now, l1, smram;
	u64 pins[4], violations;
	bool smm, waits, init, l2, vmxon, launched, smram_l2, smram_vmxon;
	u64 fixed0[2], fixed1[2];	/* in VMX operation */

	/* What L1 wants of L2 */
	u64 mask[2], shadow[2];
	bool intercept_cr[2];
};

static bool paging(u64 cr0)
{
	return cr0 & X86_CR0_PG;
}

static bool is_deferred(int r, int bit)
{
	return r == CR4 && BIT_ULL(bit) == X86_CR4_PCIDE;
}

/* All that isn't TS, MP, ET or reserved */
static bool is_pinnable(int r, int bit)
{
	static const u8 cr0[] = { 0, 2, 5, 16, 18, 29, 30, 31 };
	unsigned int i;

	for (i = 0; r == CR0 && i < ARRAY_SIZE(cr0); i++)
		if (bit == cr0[i])
			return true;
	return r == CR4;
}

/* The ratchet and the gate */
static bool refused(struct cpu *c, u64 cr0, u64 cr4)
{
	u64 *old = c->now.cr, new[] = { cr0, cr4 };
	bool gate = !paging(old[CR0]) && paging(cr0);
	int r, bit, value;

	for (r = CR0; r <= CR4; r++)
		for (bit = 0; bit < 64; bit++)
			for (value = 0; value < 2; value++) {
				bool was = old[r] >> bit & 1, is = new[r] >> bit & 1;

				if (!(c->pins[r + (value ? HIGH : LOW)] >> bit & 1) || is == value)
					continue;
				if (was == value || (gate && !(value && is_deferred(r, bit))))
					return true;
			}
	return false;
}

/* Whether all that has to be is as it's pinned, if paging is enabled */
static bool unsatisfied(struct cpu *c, u64 cr0, u64 cr4)
{
	struct cpu unpaged = *c;

	unpaged.now.cr[CR0] = cr0 & ~X86_CR0_PG;
	unpaged.now.cr[CR4] = cr4;
	return refused(&unpaged, cr0, cr4);
}

static bool outside_fixed(struct cpu *c, int r, u64 val)
{
	return (c->fixed0[r] & ~val) || (val & ~c->fixed1[r]);
}

/* Values that don't depend on what the register was */
static bool cr_valid(struct cpu *c, int r, u64 val)
{
	if (c->vmxon && outside_fixed(c, r, val))
		return false;
	if (r == CR0)
		return !(val >> 32) && !((val & X86_CR0_NW) && !(val & X86_CR0_CD)) &&
		       !((val & X86_CR0_PG) && !(val & X86_CR0_PE));
	return !(val & ~c->cr4_valid) && !((val & X86_CR4_VMXE) && c->smm);
}

static u64 cr0_ignored(u64 val)
{
	return (val & 0xe005003f) | X86_CR0_ET;
}

static bool cr_write_valid(struct cpu *c, int r, u64 val)
{
	u64 cr0 = c->now.cr[CR0], cr4 = c->now.cr[CR4];
	bool lma = c->now.efer & EFER_LMA;

	if (!cr_valid(c, r, val))
		return false;
	if (r == CR0) {
		if (!paging(cr0) && paging(val) && (c->now.efer & EFER_LME) &&
		    (!(cr4 & X86_CR4_PAE) || c->now.cs == 64))
			return false;
		if (!paging(val) && ((lma && c->now.cs == 64) || (cr4 & X86_CR4_PCIDE)))
			return false;
		return (val & X86_CR0_WP) || !(cr4 & X86_CR4_CET);
	}
	if (lma && (!(val & X86_CR4_PAE) || ((val ^ cr4) & X86_CR4_LA57)))
		return false;
	if ((val & ~cr4 & X86_CR4_PCIDE) && !lma)
		return false;
	/* A page directory has bits that are reserved in PDPTEs. */
	if (paging(cr0) && !lma && (val & ~cr4 & X86_CR4_PAE))
		return false;
	return (cr0 & X86_CR0_WP) || !(val & X86_CR4_CET);
}

static void cr_load(struct cpu *c, int r, u64 val)
{
	c->now.cr[r] = r == CR0 ? cr0_ignored(val) : val;
	if (r == CR0) {
		c->now.efer &= ~EFER_LMA;
		if (paging(val) && (c->now.efer & EFER_LME))
			c->now.efer |= EFER_LMA;
	}
}

/* The vector of MOV to CR0 or CR4, LMSW */
static int cr_write(struct cpu *c, int r, u64 val)
{
	u64 new[] = { c->now.cr[CR0], c->now.cr[CR4] };

	if (!cr_write_valid(c, r, val))
		return GP_VECTOR;
	new[r] = r == CR0 ? cr0_ignored(val) : val;
	if (!c->smm && !c->l2 && refused(c, new[CR0], new[CR4])) {
		c->violations++;
		return GP_VECTOR;
	}
	cr_load(c, r, val);
	return 0;
}

static u64 lmsw_value(u64 cr0, u64 msw)
{
	return (cr0 & ~0xeull) | (msw & 0xf);	/* It can set PE, but not clear it. */
}

/* ALLOWED are 0 and 1, pins 2 to 5 */
static int pin_rdmsr(struct cpu *c, int i, u64 *val)
{
	if (!c->offered)
		return GP_VECTOR;
	*val = i < 2 ? c->allowed[i] : c->pins[i - 2];
	return 0;
}

static int pin_wrmsr(struct cpu *c, int i, u64 val)
{
	int r = i & 1, bit;

	if (!c->offered || i < 2 || c->smm || c->l2)
		return GP_VECTOR;
	i -= 2;
	for (bit = 0; bit < 64; bit++) {
		bool wanted = val >> bit & 1, has = c->pins[i] >> bit & 1;

		if (has && !wanted)
			return GP_VECTOR;
		if (!wanted)
			continue;
		if (!(c->allowed[r] >> bit & 1) || (c->pins[i ^ LOW] >> bit & 1))
			return GP_VECTOR;
		if (!has && (c->now.cr[r] >> bit & 1) != !(i & LOW))
			return GP_VECTOR;
	}
	c->pins[i] = val;
	return 0;
}

/* KVM_SET_MSRS: whether it succeeds */
static bool pin_set_msr(struct cpu *c, int i, u64 val)
{
	if (i < 2)
		return val == c->vm_allowed[i];
	if (val & ~c->vm_allowed[i & 1])
		return false;
	c->pins[i - 2] = val;
	return true;
}

static int efer_wrmsr(struct cpu *c, u64 val)
{
	u64 valid = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | (c->svm ? EFER_SVME : 0);

	if ((val & ~valid) || (paging(c->now.cr[CR0]) && ((val ^ c->now.efer) & EFER_LME)))
		return GP_VECTOR;
	c->now.efer = (val & ~EFER_LMA) | (c->now.efer & EFER_LMA);
	return 0;
}

/* L2 exits; what is left of L2 is the hypervisor's. */
static void leave(struct cpu *c)
{
	c->now = c->l1;
	c->l2 = false;
	if (c->vmx) {
		c->now.idt = LONG;
		c->now.cs = 64;
		c->now.base = 0;
	} else {
		c->now.cr[CR0] |= X86_CR0_PE;
	}
}

/* What L2 reads, and whether it exits when it writes; VMX's LMSW and CLTS are special. */
static u64 cr_read(struct cpu *c, int r)
{
	return c->l2 ? (c->now.cr[r] & ~c->mask[r]) | (c->shadow[r] & c->mask[r]) : c->now.cr[r];
}

static bool cr_exits(struct cpu *c, int r, u64 val)
{
	return c->l2 && (c->intercept_cr[r] || ((val ^ c->shadow[r]) & c->mask[r]));
}

static bool lmsw_exits(struct cpu *c, u64 msw)
{
	u64 set = X86_CR0_PE & msw & ~c->shadow[CR0], differ = 0xe & (msw ^ c->shadow[CR0]);

	return c->l2 && (c->intercept_cr[CR0] || ((set | differ) & c->mask[CR0]));
}

/* Bits that L2 doesn't own stay as they are. */
static u64 cr_effective(struct cpu *c, int r, u64 val)
{
	return c->l2 ? (val & ~c->mask[r]) | (c->now.cr[r] & c->mask[r]) : val;
}

static void init(struct cpu *c)
{
	/* On VMX, it's an exit. */
	if (c->vmx && c->l2) {
		c->init = false;
		leave(c);
		return;
	}
	/* CD and NW are those of L2, if that takes the INIT. */
	c->now = (struct saved){
		.cr[CR0] = (c->now.cr[CR0] & (X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET,
		.base = 0xffff0000, .idt = REAL, .cs = 16,
	};
	c->init = c->l2 = false;
	c->waits = !c->boot;
}

/* Of two vCPUs, what all others have in common is what the other one has. */
static void sipi(struct cpu *c, struct cpu *other)
{
	int i;

	if (!c->waits)
		return;
	/* What userspace has pinned both ways there is inherited high, as in KVM. */
	for (i = 0; i < 4 && c->offered; i++)
		c->pins[i] |= other->pins[i] & c->allowed[i & 1] & ~c->pins[i ^ LOW];
	c->waits = false;
	c->now.base = 0x1000;
}

static void smi(struct cpu *c, u64 smbase)
{
	c->smram = c->now;
	c->smram_l2 = c->l2;
	c->smram_vmxon = c->vmxon;
	if (c->l2)			/* KVM goes by way of L1. */
		leave(c);
	c->now.cr[CR0] &= ~(X86_CR0_PE | X86_CR0_EM | X86_CR0_TS | X86_CR0_PG);
	c->now.cr[CR4] = c->now.efer = 0;
	c->now.base = smbase;
	c->now.idt = NONE;
	c->now.cs = 16;
	c->smm = true;
	c->l2 = c->vmxon = false;
}

/*
 * RSM, with CR0 and CR4 as they are in SMRAM now, and those of L1 that will be loaded
 * when L2 exits: whether there is no shutdown
 */
static bool rsm(struct cpu *c, u64 cr0, u64 cr4, u64 l1_cr0, u64 l1_cr4)
{
	struct cpu new = *c;

	new.smm = false;
	new.vmxon = c->smram_vmxon;
	new.l2 = c->smram_l2;
	if (c->smram_l2 ? unsatisfied(c, l1_cr0, l1_cr4) : unsatisfied(c, cr0, cr4)) {
		c->violations++;
		return false;
	}
	new.now = c->smram;
	new.now.cr[CR0] = cr0_ignored(cr0);
	new.now.cr[CR4] = cr4;
	new.l1.cr[CR0] = l1_cr0;
	new.l1.cr[CR4] = l1_cr4;
	if (!cr_valid(&new, CR0, cr0) || !cr_valid(&new, CR4, cr4) ||
	    ((cr4 & X86_CR4_PCIDE) && !(new.now.efer & EFER_LMA)))
		return false;
	*c = new;
	return true;
}

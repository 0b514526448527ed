// SPDX-License-Identifier: GPL-2.0-only
/*
 * The predicate itself, over all values of all its arguments, and what KVM's functions
 * make of it.
 */
#include "model.c"

static struct kvm_cr_pins pins;
static unsigned long old0, new0, old4, new4;

static void any_write(void)
{
	__CPROVER_havoc_object(&pins);
	old0 = nondet_ulong();
	new0 = nondet_ulong();
	old4 = nondet_ulong();
	new4 = nondet_ulong();
}

static bool refused(void)
{
	return kvm_cr_write_violates_pins(old0, new0, old4, new4, &pins);
}

/* The bits that lose the value that they are pinned to */
static unsigned long lost(int i, unsigned long old, unsigned long new)
{
	return ((old & ~new) & pins.msr[i]) | ((new & ~old) & pins.msr[i + 2]);
}

/* The bits that lack it */
static unsigned long lack(int i, unsigned long cr, unsigned long deferred)
{
	return (pins.msr[i] & ~deferred & ~cr) | (pins.msr[i + 2] & cr);
}

static bool keeps_promise(unsigned long cr0, unsigned long cr4)
{
	return !(cr0 & X86_CR0_PG) || !(lack(0, cr0, 0) | lack(1, cr4, DEFERRED));
}

void predicate_promise(void)
{
	any_write();
	proved(!keeps_promise(old0, old4) || refused() || keeps_promise(new0, new4),
	       "a write that is not refused keeps the promise");
	proved(refused() || !((old4 & ~new4) & pins.cr4_high),
	       "a bit that is set and pinned stays, deferred or not");
}

void predicate_minimal(void)
{
	any_write();
	proved(!refused() || lost(0, old0, new0) || lost(1, old4, new4) ||
	       ((new0 & ~old0 & X86_CR0_PG) && !keeps_promise(new0, new4)),
	       "a refused write drops a pinned bit, or turns paging on without one");
	proved(!refused() || ((old0 ^ new0) & (pins.msr[0] | pins.msr[2] | X86_CR0_PG)) ||
	       ((old4 ^ new4) & (pins.msr[1] | pins.msr[3])),
	       "a refused write changes a pinned bit, or PG");
	proved(!refused() || pins.msr[0] || pins.msr[1] || pins.msr[2] || pins.msr[3],
	       "without pins nothing is refused");
}

/* Bits may come one by one, in any order, and PG when the others are there. */
void predicate_any_order(void)
{
	unsigned long to0 = nondet_ulong(), to4 = nondet_ulong();

	any_write();
	assume(!lack(0, to0, 0) && !lack(1, to4, 0));
	assume(!((new0 ^ old0) & (new0 ^ to0)) && !((new4 ^ old4) & (new4 ^ to4)));
	proved(!refused() || (new0 & ~old0 & X86_CR0_PG),
	       "writes on the way to what is pinned are not refused");
	proved(!refused() || !keeps_promise(new0, new4),
	       "nor is that of PG when the bits are there that are not deferred");
}

/* No vCPU with such pins can page; with all others it can, see predicate_paging(). */
static bool impossible(void)
{
	return (pins.cr0_high & pins.cr0_low) || (pins.cr4_high & pins.cr4_low & ~DEFERRED) ||
	       (pins.cr0_low & (X86_CR0_PG | X86_CR0_PE)) ||
	       ((pins.cr0_high & X86_CR0_NW) && (pins.cr0_low & X86_CR0_CD)) ||
	       ((pins.cr4_high & X86_CR4_CET) && (pins.cr0_low & X86_CR0_WP));
}

void predicate_impossible(void)
{
	any_good();
	pins = vcpu->arch.cr_pins;
	assume(impossible() && !(guest_cr(0) & X86_CR0_PG));
	/* KVM keeps that elsewhere */
	assume(!(guest_cr(1) & X86_CR4_CET) || (guest_cr(0) & X86_CR0_WP));
	vm_exit();
	proved(kvm_set_cr0(vcpu, nondet_ulong() | X86_CR0_PG),
	       "impossible sets of pins are just that");
}

/* From INIT to paging, through KVM's own functions, by one of two ways */
void predicate_paging(void)
{
	bool cr4_first = nondet_bool(), lme = nondet_bool();
	unsigned long cr0, cr4;

	any_good();
	pins = vcpu->arch.cr_pins;
	assume(!impossible() && !(pins.cr4_high & vcpu->arch.cr4_guest_rsvd_bits));
	vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
	m.nested.vmxon = false;
	kvm_vcpu_reset(vcpu, true);
	vcpu->arch.efer = vcpu->arch.cr3 = 0;
	vcpu->arch.regs_avail[0] |= BIT(VCPU_REG_CR3);
	pdptrs_valid = true;
	any_answer[CS_L] = false;

	cr0 = pins.cr0_high | X86_CR0_PG | X86_CR0_PE;
	cr4 = pins.cr4_high & ~X86_CR4_PCIDE;
	if (cr0 & X86_CR0_NW)
		cr0 |= X86_CR0_CD;
	if (cr4 & X86_CR4_CET)
		cr0 |= X86_CR0_WP;
	if (lme && !(pins.cr4_low & X86_CR4_PAE) &&
	    !(vcpu->arch.cr4_guest_rsvd_bits & X86_CR4_PAE)) {
		cr4 |= X86_CR4_PAE;
		vcpu->arch.efer |= EFER_LME;
	}

	if (cr4_first)
		proved(!kvm_set_cr4(vcpu, cr4 & ~X86_CR4_CET), "CR4 can be first");
	proved(!kvm_set_cr0(vcpu, cr0 & ~X86_CR0_PG), "CR0 without PG is next");
	proved(!kvm_set_cr4(vcpu, cr4), "then CR4");
	proved(!kvm_set_cr0(vcpu, cr0), "then PG");
	if ((pins.cr4_high & ~pins.cr4_low & X86_CR4_PCIDE) &&
	    (vcpu->arch.efer & EFER_LMA))
		proved(!kvm_set_cr4(vcpu, cr4 | X86_CR4_PCIDE), "then PCIDE");
	proved((guest_cr(0) & X86_CR0_PG) && keeps_promise(guest_cr(0), guest_cr(1)),
	       "that is paging, with what is pinned");
}

/* KVM refuses with pins what it refuses without, and what the predicate says, no more. */
static void exact(int i)
{
	unsigned long val = nondet_ulong();
	bool with, without, says;
	struct model was;

	any_good();
	vm_exit();
	kvm_register_mark_available(vcpu, VCPU_REG_CR3);
	pins = vcpu->arch.cr_pins;
	old0 = guest_cr(0);
	old4 = guest_cr(1);
	new0 = i ? old0 : (val | X86_CR0_ET) & ~CR0_RESERVED_BITS;
	new4 = i ? val : old4;
	says = !is_smm(vcpu) && !is_guest_mode(vcpu) && refused();

	was = m;
	with = i ? kvm_set_cr4(vcpu, val) : kvm_set_cr0(vcpu, val);
	m = was;
	memset(&vcpu->arch.cr_pins, 0, sizeof(vcpu->arch.cr_pins));
	vcpu->arch.cr0_pin_mask = vcpu->arch.cr4_pin_mask = 0;
	without = i ? kvm_set_cr4(vcpu, val) : kvm_set_cr0(vcpu, val);
	proved(with == (without || says), "KVM refuses what it does anyway, and no more");
	/* An invalid value is no violation. */
	proved(m.vcpu.stat.cr_pin_violations == was.vcpu.stat.cr_pin_violations,
	       "without pins there are no violations");
}

void predicate_exact_cr0(void)
{
	exact(0);
}

void predicate_exact_cr4(void)
{
	exact(1);
}

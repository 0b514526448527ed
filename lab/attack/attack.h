/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ATTACK_H
#define ATTACK_H

#include <linux/types.h>

/*
 * Take a single step through @gadget, and on, with @val in every register but
 * RSP. Comes back when the die notifier sets RIP to attack_jump_out() and RSP
 * to *@sp.
 */
asmlinkage void attack_jump(unsigned long gadget, unsigned long val,
			    unsigned long *sp);
asmlinkage void attack_jump_out(void);

/*
 * Go to the copy of attack_low[] at the physical address @low in compatibility
 * mode, write @val to CR0 or CR4, read the register back, restore @old.
 * Returns what was read.
 */
asmlinkage u32 attack_compat(u32 low, u32 stack, u32 val, u32 old, bool cr4,
			     unsigned long *sp);

/* What attack_compat() runs, and places in there. */
extern const char attack_low[], attack_low_cr0[], attack_low_cr4[];
extern const char attack_low_out[], attack_low_sp[], attack_low_end[];

#endif /* ATTACK_H */

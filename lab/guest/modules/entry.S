/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/linkage.h>
#include <linux/objtool.h>

#include <asm/nospec-branch.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>
#include <asm/unwind_hints.h>

.macro PUSH_CALLEE_SAVED
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
.endm

.macro POP_CALLEE_SAVED
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
.endm

	.text

/*
 * The gadget is entered by RET, as a ROP chain does it: no ENDBR is needed
 * there. It may be in the middle of a function whose epilogue does not fit
 * the stack, so it is not expected to return.
 */
SYM_CODE_START(attack_jump)
	UNWIND_HINT_UNDEFINED
	ANNOTATE_NOENDBR
	PUSH_CALLEE_SAVED
	movq	%rsp, (%rdx)

	pushq	%rdi
	.irp reg, rax, rbx, rcx, rdx, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	movq	%rsi, %\reg
	.endr

	/* The first #DB comes after the RET, the second after the gadget. */
	pushfq
	orq	$X86_EFLAGS_TF, (%rsp)
	popfq
	ANNOTATE_UNRET_SAFE
	ret
	int3
SYM_INNER_LABEL(attack_jump_out, SYM_L_GLOBAL)
	UNWIND_HINT_UNDEFINED
	ANNOTATE_NOENDBR
	POP_CALLEE_SAVED
	ANNOTATE_UNRET_SAFE
	ret
	int3
SYM_CODE_END(attack_jump)

/*
 * %edi: where attack_low is, %esi: end of a stack there, %edx: value to write,
 * %ecx: value to put back, %r8: where attack_low_sp is.
 */
SYM_CODE_START(attack_compat)
	UNWIND_HINT_UNDEFINED
	ANNOTATE_NOENDBR
	PUSH_CALLEE_SAVED
	leaq	.Lback(%rip), %rax
	pushq	%rax

	/*
	 * The upper halves of all registers are undefined after 32-bit modes,
	 * and RSP must be good for a #GP while in there.
	 */
	movq	%rsp, (%r8)
	movl	%esi, %esp
	movl	%edi, %edi

	/* An interrupt from user mode leaves SS null. */
	movl	$__KERNEL_DS, %eax
	movl	%eax, %ss

	movl	%edx, %eax
	movl	%ecx, %ebx
	leal	(attack_low_out - attack_low)(%edi), %edx

	pushq	$__KERNEL32_CS
	pushq	%rdi
	lretq
	int3
.Lback:
	UNWIND_HINT_UNDEFINED
	ANNOTATE_NOENDBR
	movl	%esi, %eax
	POP_CALLEE_SAVED
	ANNOTATE_UNRET_SAFE
	ret
	int3
SYM_CODE_END(attack_compat)

/* Never run where it is, only its copy at an identity-mapped address. */
	.section .rodata, "a"
	.balign 16
	.code32
SYM_DATA_START(attack_low)
	movl	%eax, %cr4
	movl	%cr4, %esi
	movl	%ebx, %cr4

	pushl	$__KERNEL_CS
	pushl	%edx
	lretl

	.code64
SYM_INNER_LABEL(attack_low_out, SYM_L_GLOBAL)
	movq	attack_low_sp(%rip), %rsp
	ret
	int3

	.balign 8
SYM_INNER_LABEL(attack_low_sp, SYM_L_GLOBAL)
	.quad	0
SYM_INNER_LABEL(attack_low_end, SYM_L_GLOBAL)
SYM_DATA_END(attack_low)

// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>

#include "batch.h"
#include "log.h"

/* In the scratch memory lies how many there are, then the calls: the code knows this form. */
#define CALL_SIZE 56
#define HEAD_SIZE 8
#define MOST_CALLS ((BATCH_SPACE - HEAD_SIZE) / CALL_SIZE)

_Static_assert(sizeof(struct batch_call) == CALL_SIZE, "the code steps by the size of a call");

/* Begins with the address of the scratch memory in r12, and the signal of inject_run() in r13. A system call keeps all but rax, rcx and r11. */
extern const char make_all[], make_all_made[], make_all_end[];

__asm__(
	".pushsection .rodata\n"
	"make_all:\n"
	"	movq (%r12), %rbx\n"
	"	addq $8, %r12\n"
	"1:	testq %rbx, %rbx\n"
	"	jz 2f\n"
	"	movq (%r12), %rax\n"
	"	movq 8(%r12), %rdi\n"
	"	movq 16(%r12), %rsi\n"
	"	movq 24(%r12), %rdx\n"
	"	movq 32(%r12), %r10\n"
	"	movq 40(%r12), %r8\n"
	"	movq 48(%r12), %r9\n"
	"	syscall\n"
	"	movq %rax, (%r12)\n"
	"	addq $56, %r12\n"
	"	decq %rbx\n"
	"	jmp 1b\n"
	"2:	movl $39, %eax\n"		/* getpid */
	"	syscall\n"
	"	movl %eax, %ebx\n"
	"	movl $186, %eax\n"		/* gettid */
	"	syscall\n"
	"	movl %ebx, %edi\n"		/* tgkill(process, thread, signal) */
	"	movl %eax, %esi\n"
	"	movl %r13d, %edx\n"
	"	movl $234, %eax\n"
	"	syscall\n"
	"make_all_made:\n"
	"	hlt\n"
	"make_all_end:\n"
	".popsection\n");

struct batch {
	uint64_t count;
	struct batch_call calls[MOST_CALLS];
};

static int one_by_one(struct inject *inject, struct batch_call *calls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const uint64_t *a = calls[i].arguments;

		calls[i].number = inject_syscall(inject, calls[i].number, a[0], a[1], a[2], a[3], a[4],
						 a[5]);
		if (calls[i].number == -ESRCH || calls[i].number == -EPROTO)
			return calls[i].number;
	}
	return 0;
}

/* Returns how many were made, or -errno. */
static int64_t make_some(struct inject *inject, uint64_t code, struct batch_call *calls, size_t count)
{
	static struct batch batch;
	uint32_t size;
	int ret;

	batch.count = count < MOST_CALLS ? count : MOST_CALLS;
	size = HEAD_SIZE + batch.count * CALL_SIZE;
	memcpy(batch.calls, calls, batch.count * CALL_SIZE);
	ret = inject_write(inject, &batch, size);
	if (!ret)
		ret = inject_run(inject, code, inject->scratch, code + (make_all_made - make_all));
	if (!ret)
		ret = inject_read(inject, &batch, size);
	if (ret)
		return ret;
	memcpy(calls, batch.calls, batch.count * CALL_SIZE);
	return batch.count;
}

int batch_run(struct inject *inject, struct batch_call *calls, size_t count)
{
	int64_t code, made = 0, end;

	if (!count)
		return 0;
	code = inject_code(inject, make_all, make_all_end - make_all);
	if (code < 0 && code > -4096) {
		log_info("process %d may run no code of ours: it makes %zu calls one by one", inject->pid, count);
		return one_by_one(inject, calls, count);
	}
	for (size_t done = 0; done < count && made >= 0; done += made) {
		made = make_some(inject, code, calls + done, count - done);
		/* every signal that would do waits for the task already */
		if (made == -EBUSY)
			made = one_by_one(inject, calls + done, count - done) ?: (int64_t)(count - done);
	}
	end = inject_remove_code(inject, code);
	return made < 0 ? made : end;
}

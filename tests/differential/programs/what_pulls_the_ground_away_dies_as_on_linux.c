#include "check.h"
#include <sys/auxv.h>

#define TOP (1UL << 47)

static char page[8192] __attribute__((aligned(4096)));

static void stack_gone(void)
{
	char here;
	unsigned long at = (unsigned long)&here & ~4095UL;
	munmap((void *)(at - (1 << 20)), 2 << 20);
	*(volatile char *)&here = 1;
}

static void handler(int signal)
{
	(void)signal;
	write(1, "handled\n", 8);
	_exit(5);
}

int main(void)
{
	IN_CHILD({ stack_gone(); });
	IN_CHILD({
		on(SIGSEGV, handler, 0);
		stack_gone();
	});
	IN_CHILD({
		stack_t stack = { .ss_sp = page, .ss_size = sizeof page };
		sigaltstack(&stack, NULL);
		on(SIGSEGV, handler, SA_ONSTACK);
		stack_gone();
	});
	IN_CHILD({ TELL(syscall(SYS_munmap, 0, TOP)); });
	IN_CHILD({ TELL(syscall(SYS_munmap, 4096, -8192L)); });
	IN_CHILD({ syscall(SYS_mprotect, (unsigned long)main & ~4095UL, 4096, PROT_NONE); });
	IN_CHILD({ syscall(SYS_mprotect, (unsigned long)main & ~4095UL, 4096, PROT_READ); });
	IN_CHILD({ syscall(SYS_mremap, (unsigned long)main & ~4095UL, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, page); });
	IN_CHILD({
		syscall(SYS_arch_prctl, 0x1002, 0);
		errno = 1;
	});
	IN_CHILD({
		syscall(SYS_arch_prctl, 0x1002, 0x1000);
		errno = 1;
	});
	IN_CHILD({ TELL(syscall(SYS_arch_prctl, 0x1002, -1L)); });
	IN_CHILD({ asm volatile("xor %%esp, %%esp\n push %%rax" ::: "memory"); });
	IN_CHILD({
		on(SIGSEGV, handler, 0);
		asm volatile("xor %%esp, %%esp\n push %%rax" ::: "memory");
	});
	IN_CHILD({ asm volatile("movabs $0x8000000000000000, %%rsp\n push %%rax" ::: "memory"); });
	IN_CHILD({ ((void (*)(void))0x10)(); });
	IN_CHILD({ ((void (*)(void))(TOP - 4096))(); });
	IN_CHILD({ ((void (*)(void))0xffff800000000000)(); });
	IN_CHILD({ *(volatile int *)0xffffffff81000000 = 1; });
	IN_CHILD({
		asm volatile("mov $60, %%eax\n mov $9, %%edi\n xor %%esp, %%esp\n syscall" ::: "memory");
	});
	// Nothing is left open, and it still works.
	IN_CHILD({
		int kept = fcntl(1, F_DUPFD, 700);
		syscall(SYS_close_range, 0, 699, 0);
		int made[2];
		int result = pipe(made);
		dprintf(kept, "pipe %d: %d %d\n", result, made[0], made[1]);
		syscall(SYS_close_range, 0, ~0U, 0);
		_exit(write(1, "x", 1) == -1 && errno == EBADF ? 4 : 5);
	});
	return 0;
}

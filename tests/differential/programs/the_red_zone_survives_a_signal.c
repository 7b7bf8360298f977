#include "check.h"

static void handler(int signal)
{
	volatile char stack[512];
	(void)signal;
	memset((char *)stack, 0xff, sizeof stack);
}

int main(void)
{
	unsigned long before, after;
	on(SIGUSR1, handler, 0);
	long pid = getpid(), tid = gettid();
	__asm__ volatile("movq $0x12345678, -8(%%rsp)\n\tmovq $0x789abcde, -128(%%rsp)\n\t"
			 "mov %2, %%rdi\n\tmov %3, %%rsi\n\tmov $10, %%edx\n\tmov $234, %%eax\n\tsyscall\n\t"
			 "mov -8(%%rsp), %0\n\tmov -128(%%rsp), %1"
			 : "=&r"(before), "=&r"(after)
			 : "r"(pid), "r"(tid)
			 : "rax", "rdi", "rsi", "rdx", "rcx", "r11", "memory");
	printf("%lx %lx\n", before, after);
	return 0;
}

#pragma GCC target("avx")
#include "check.h"
#include <fenv.h>

static void handler(int signal)
{
	(void)signal;
	__asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm7, %%xmm7; pxor %%xmm15, %%xmm15; fninit; fld1" ::: "xmm0", "xmm7",
			 "xmm15", "st");
	unsigned csr = 0x1f80;
	__asm__ volatile("ldmxcsr %0; fninit" ::"m"(csr));
}

int main(void)
{
	on(SIGUSR1, handler, 0);
	double in[2] = { 1.5, -2.25 }, a[2], b[2], c[2];
	unsigned csr = 0x7f80, csr_after;
	unsigned short control = 0x0f7f, control_after;
	long pid = getpid(), result;
	__asm__ volatile("ldmxcsr %7\n\tfldcw %8\n\t"
			 "movupd %5, %%xmm0\n\tmovupd %5, %%xmm7\n\tmovupd %5, %%xmm15\n\t"
			 "mov %6, %%rdi\n\tmov $10, %%rsi\n\tmov $62, %%rax\n\tsyscall\n\t"
			 "movupd %%xmm0, %1\n\tmovupd %%xmm7, %2\n\tmovupd %%xmm15, %3\n\tstmxcsr %4\n\tfnstcw %9\n\t"
			 : "=&a"(result), "=m"(a), "=m"(b), "=m"(c), "=m"(csr_after)
			 : "m"(in), "r"(pid), "m"(csr), "m"(control), "m"(control_after)
			 : "rdi", "rsi", "rcx", "r11", "memory", "xmm0", "xmm7", "xmm15");
	printf("%ld %g %g %g %g %g %g %x %x\n", result, a[0], a[1], b[0], b[1], c[0], c[1], csr_after, control_after);
	if (__builtin_cpu_supports("avx")) {
		double wide[4] = { 1, 2, 3, 4 }, back[4];
		__asm__ volatile("vmovupd %2, %%ymm3\n\tmov $62, %%rax\n\tmov %3, %%rdi\n\tmov $10, %%rsi\n\tsyscall\n\t"
				 "vmovupd %%ymm3, %1\n\tvzeroupper"
				 : "=&a"(result), "=m"(back)
				 : "m"(wide), "r"(pid)
				 : "rdi", "rsi", "rcx", "r11", "memory", "xmm3");
		printf("%g %g %g %g\n", back[0], back[1], back[2], back[3]);
	} else {
		printf("1 2 3 4\n");
	}
	return 0;
}

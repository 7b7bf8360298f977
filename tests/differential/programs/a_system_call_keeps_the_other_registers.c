#include "check.h"

// Loads registers from the array, calls getuid with the carry flag set, stores the registers back and then the flags,
// rcx less the address after the call, and r11.
void call(unsigned long *registers);
__asm__(".text\ncall:\n\t"
	"push %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
	"mov %rdi, %r15\n\t"
	"mov 0(%r15), %rdi\n\tmov 8(%r15), %rsi\n\tmov 16(%r15), %rdx\n\tmov 24(%r15), %r8\n\tmov 32(%r15), %r9\n\t"
	"mov 40(%r15), %r10\n\tmov 48(%r15), %rbx\n\tmov 56(%r15), %rbp\n\tmov 64(%r15), %r12\n\tmov 72(%r15), %r13\n\t"
	"mov 80(%r15), %r14\n\t"
	"mov $102, %eax\n\tstc\n\tsyscall\n1:\n\t"
	"mov %rdi, 0(%r15)\n\tmov %rsi, 8(%r15)\n\tmov %rdx, 16(%r15)\n\tmov %r8, 24(%r15)\n\tmov %r9, 32(%r15)\n\t"
	"mov %r10, 40(%r15)\n\tmov %rbx, 48(%r15)\n\tmov %rbp, 56(%r15)\n\tmov %r12, 64(%r15)\n\tmov %r13, 72(%r15)\n\t"
	"mov %r14, 80(%r15)\n\t"
	"pushf\n\tpop %rax\n\tmov %rax, 88(%r15)\n\t"
	"lea 1b(%rip), %rax\n\tsub %rax, %rcx\n\tmov %rcx, 96(%r15)\n\tmov %r11, 104(%r15)\n\t"
	"pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\tret\n");

int main(void)
{
	unsigned long registers[14];
	for (int round = 0; round < 30; round++) {
		for (int i = 0; i < 14; i++)
			registers[i] = 0x1111111111111111ul * (i + 1);
		call(registers);
		for (int i = 0; i < 11; i++)
			if (registers[i] != 0x1111111111111111ul * (i + 1))
				printf("register %d changed\n", i);
		if (!(registers[11] & 1))
			printf("the carry flag changed\n");
	}
	printf("rcx %lx r11 carry %lx\n", registers[12], registers[13] & 1);
	return 0;
}

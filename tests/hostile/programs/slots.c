// Writes into what a thread shares with the kernel, while it calls.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "hostile.h"

static volatile int flipped;
static int words[2];

static void on_signal(int signal)
{
}

// Once a thread has run on without being answered it is silent.
static long call(long number, long a, long b, long c, long d, long e, long f)
{
	long result = raw(number, a, b, c, d, e, f);
	while (flipped)
		;
	return result;
}

// All lanes: calls that wait, that copy, that fault, that make the kernel ask the thread something.
static void *calls(void *unused)
{
	int ends[2];
	char bytes[256];
	if (call(SYS_pipe, (long)ends, 0, 0, 0, 0, 0))
		return NULL;
	for (;;) {
		call(SYS_getppid, 0, 0, 0, 0, 0, 0);
		call(SYS_write, ends[1], (long)bytes, 100, 0, 0, 0);
		call(SYS_read, ends[0], (long)bytes, 100, 0, 0, 0);
		call(SYS_openat, AT_FDCWD, (long)"/etc/none", 0, 0, 0, 0);
		call(SYS_futex, (long)&words[0], FUTEX_WAKE_OP, 1, 1, (long)&words[1], FUTEX_OP(FUTEX_OP_ADD, 1, 0, 0));
		call(SYS_getrusage, 0, (long)bytes, 0, 0, 0, 0);
		call(SYS_tgkill, call(SYS_getpid, 0, 0, 0, 0, 0, 0), call(SYS_gettid, 0, 0, 0, 0, 0, 0), SIGUSR1, 0, 0, 0);
		long page = call(SYS_mmap, 0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (page > 0)
			call(SYS_munmap, page, 8192, 0, 0, 0, 0);
	}
}

static void begin_calls(int threads)
{
	pthread_t thread;
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < threads; i++)
		pthread_create(&thread, NULL, calls, NULL);
	usleep(300);
}

static void scribble(uint64_t at)
{
	if (rnd() % 2)
		*(volatile uint32_t *)(at & ~3ul) = rnd() % 4 ? rnd() % 70 : crafted();
	else
		*(volatile uint64_t *)(at & ~7ul) = crafted();
}

static void linger(int most)
{
	for (int i = rnd() % most; i > 0; i--)
		asm volatile("pause");
}

static void write_mailboxes(void *unused)
{
	begin_calls(2);
	for (;;) {
		uint64_t at = SLOTS + SLOT * (rnd() % 3);
		scribble(at + rnd() % (rnd() % 2 ? 64 : STACK));
		*(volatile uint32_t *)(at + OFFSET_SPINS) = rnd() % 2;
		linger(2000);
	}
}

void attack_mailbox(void)
{
	attempts(write_mailboxes, NULL, 60);
}

static void write_frames(void *unused)
{
	begin_calls(2);
	for (;;) {
		uint64_t at = SLOTS + SLOT * (1 + rnd() % 2);
		scribble(at + STACK + rnd() % (SLOT - STACK));
		if (rnd() % 64 == 0)
			memset((void *)(at + STACK), rnd(), SLOT - STACK);
		linger(200);
	}
}

void attack_frames(void)
{
	attempts(write_frames, NULL, 60);
}

// The thread itself says that it has stopped, for whatever reason, and where its registers lie.
static void say_stopped(void *hand_off)
{
	if (rnd() % 2)
		begin_calls(1);
	static const uint32_t stops[] = { 0, 4, 5, 7, 8, 11, 31, 31, 31, 64 };
	uint64_t slot = SLOTS + (rnd() % 4 ? 0 : SLOT), registers[REGISTERS];
	for (uint64_t at = slot + STACK; at < slot + SLOT; at += 8)
		*(volatile uint64_t *)at = crafted();
	for (uint64_t at = slot + 12; at < slot + STACK / 4; at += 4)
		if (rnd() % 4 == 0)
			*(volatile uint32_t *)at = crafted();
	uint64_t context = slot + STACK + rnd() % (SLOT - STACK - 600) / 8 * 8;
	*(volatile uint32_t *)(slot + OFFSET_STOP) = rnd() % 8 ? stops[rnd() % 10] : rnd();
	*(volatile uint32_t *)(slot + OFFSET_NUMBER) = rnd() % 500;
	*(volatile uint64_t *)(slot + OFFSET_CONTEXT) = rnd() % 8 ? context : crafted();
	// siginfo: si_code, si_arch
	*(volatile uint32_t *)(context + 304 + 8) = rnd() % 8 ? 1 : rnd();
	*(volatile uint32_t *)(context + 304 + 28) = rnd() % 2 ? 0xc000003e : 0x40000003;
	craft_registers(registers);
	registers[RBX] = slot;
	registers[R13] = *(volatile uint32_t *)(slot + OFFSET_ANSWERED);
	jump_with(registers, (uint64_t)hand_off);
}

void attack_forge(void)
{
	uint64_t hand_off = find("\xf0\xff\x03", 3);
	if (!hand_off)
		broken("the hand-off is not found", 0);
	attempts(say_stopped, (void *)hand_off, 30);
}

static void *steal(void *unused)
{
	uint64_t registers[REGISTERS];
	craft_registers(registers);
	uint64_t slot = SLOTS + SLOT * (rnd() % 3);
	uint64_t places[] = { slot + OFFSET_POSTED, slot + OFFSET_ANSWERED, ORDERS };
	registers[RAX] = SYS_futex;
	registers[RDI] = places[rnd() % 3];
	registers[RSI] = rnd() % 14 | (rnd() % 2 ? 0 : 128);
	registers[RDX] = rnd() % 2 ? *(uint32_t *)registers[RDI] : rnd() % 100;
	registers[R10] = rnd() % 2 ? 0 : rnd() % 1000;
	registers[R8] = rnd() % 2 ? (uint64_t)scratch : places[rnd() % 3];
	registers[R9] = rnd() % 2 ? *(uint32_t *)registers[RDI] : crafted();
	// From where the code goes on with the slot of another.
	registers[RBX] = slot;
	jump_with(registers, some_site());
}

static void wait_for_others(void *unused)
{
	pthread_t thread;
	begin_calls(2);
	pthread_create(&thread, NULL, steal, NULL);
	pthread_create(&thread, NULL, steal, NULL);
	steal(NULL);
}

void attack_futex(void)
{
	attempts(wait_for_others, NULL, 40);
}

// What the kernel asks a thread that has stopped is overwritten, so that the thread runs on instead, and is silent.
static void change_the_question(void *unused)
{
	begin_calls(1);
	volatile uint32_t *action = (void *)(SLOTS + SLOT + OFFSET_ACTION);
	for (;;) {
		uint32_t asked = *action;
		if (asked == 1 || asked == 3 || asked == 4) {
			flipped = 1;
			*action = 0;
		}
	}
}

void attack_question(void)
{
	attempts(change_the_question, NULL, 150);
}

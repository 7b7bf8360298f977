// Signals that come as fast as the timers can send them, also while a handler begins or returns, find the program in its own
// text or a library's and nowhere else; registers and vectors are its own there. It reads no clocks: the vDSO is no library.
#include "check.h"
#include <link.h>
#include <sys/auxv.h>
#include <ucontext.h>

static struct { unsigned long from, to; } texts[64];
static int text_count;
static volatile int signals, strange, spoiled;

static int note(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size, (void)unused;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		if (header->p_type != PT_LOAD || !(header->p_flags & PF_X) || text_count == COUNT(texts))
			continue;
		texts[text_count].from = info->dlpi_addr + header->p_vaddr;
		texts[text_count++].to = info->dlpi_addr + header->p_vaddr + header->p_memsz;
	}
	return 0;
}

static int is_text(unsigned long at)
{
	for (int i = 0; i < text_count; i++)
		if (at >= texts[i].from && at < texts[i].to)
			return 1;
	return 0;
}

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)info;
	ucontext_t *user = context;
	signals++;
	if (!is_text((unsigned long)user->uc_mcontext.gregs[REG_RIP])) {
		if (!strange++)
			fprintf(stderr, "signal %d at %llx\n", signal, user->uc_mcontext.gregs[REG_RIP]);
	}
	// What a handler leaves behind in vectors is not the program's.
	__asm__ volatile("pcmpeqd %%xmm7, %%xmm7" ::: "xmm7");
}

static void storm(int signo, clockid_t clock, long nanoseconds)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = signo };
	struct itimerspec often = { { 0, nanoseconds }, { 0, nanoseconds } };
	timer_t timer;
	on_info(signo, handler, SA_RESTART);
	MUST(timer_create(clock, &event, &timer));
	MUST(timer_settime(timer, 0, &often, NULL));
}

int main(void)
{
	dl_iterate_phdr(note, NULL);
	SHOW(text_count > 1);
	on_info(SIGALRM, handler, SA_RESTART);
	struct itimerval often = { { 0, 500 }, { 0, 500 } };
	MUST(setitimer(ITIMER_REAL, &often, NULL));
	storm(SIGUSR1, CLOCK_MONOTONIC, 301000);
	storm(SIGUSR2, CLOCK_MONOTONIC, 207000);
	unsigned calls = 0;
	while (signals < 6000 && calls < 300000) {
		unsigned long in = 0x1234567890abcdef, out, sum = 0;
		__asm__ volatile("movq %1, %%xmm7\n\tmov $400, %%ecx\n1:\tadd %%rcx, %2\n\tdec %%ecx\n\tjnz 1b\n\tmovq %%xmm7, %0"
				 : "=r"(out)
				 : "r"(in), "r"(sum)
				 : "rcx", "xmm7", "cc");
		spoiled += out != in;
		spoiled += syscall(SYS_getppid) != getppid();
		calls++;
		// A signal that is sent and taken at once begins and ends a handler each time.
		if (calls % 4 == 0)
			raise(SIGUSR1);
	}
	signal(SIGALRM, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	SHOW(signals > 100);
	printf("%d strange, %d spoiled\n", strange, spoiled);
	return 0;
}

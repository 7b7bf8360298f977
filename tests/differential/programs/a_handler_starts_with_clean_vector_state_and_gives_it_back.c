/* Vector state around handlers: what a handler starts with, what it finds in the frame, what the interrupted code gets
 * back, with several handlers nested before any of them has run, and with a frame that a handler has changed. */
#define _GNU_SOURCE
#include <immintrin.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

static volatile sig_atomic_t runs;
static unsigned seen_mxcsr[4], seen_control[4], frame_mxcsr[4];
static uint64_t seen_xmm[4], frame_xmm[4];

static void on_signal(int signal, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	int n = runs++ & 3;
	uint64_t low;
	uint16_t control;
	__asm__ volatile("movq %%xmm7, %0" : "=r"(low));
	__asm__ volatile("fnstcw %0" : "=m"(control));
	seen_xmm[n] = low;
	seen_control[n] = control;
	seen_mxcsr[n] = _mm_getcsr();
	frame_mxcsr[n] = u->uc_mcontext.fpregs->mxcsr;
	memcpy(&frame_xmm[n], &u->uc_mcontext.fpregs->_xmm[7], 8);
	/* The handler's own use of the registers must not show. */
	__asm__ volatile("pcmpeqd %%xmm7, %%xmm7" ::: "xmm7");
	_mm_setcsr(0x1fa0);
	if (signal == SIGUSR2 && info->si_code == SI_QUEUE) {
		uint64_t value = 0x5151515151515151;
		memcpy(&u->uc_mcontext.fpregs->_xmm[7], &value, 8);
		u->uc_mcontext.fpregs->mxcsr = 0x1f80 | 0x8000;
		u->uc_mcontext.gregs[REG_R12] = 77;
	}
}

static void show(const char *what, uint64_t xmm, unsigned mxcsr, long r12)
{
	printf("%s: xmm7 %016lx mxcsr %04x r12 %ld\n", what, xmm, mxcsr, r12);
	for (int i = 0; i < runs; i++)
		printf("  handler: xmm7 %016lx control %04x mxcsr %04x, frame: xmm7 %016lx mxcsr %04x\n", seen_xmm[i],
		       seen_control[i], seen_mxcsr[i], frame_xmm[i], frame_mxcsr[i]);
	runs = 0;
}

/* A call with known values in the registers, and what they hold afterwards. */
static void call(const char *what, long number, long a, long b, long c)
{
	uint64_t before = 0x1122334455667788, after;
	unsigned csr;
	long answer;
	register long r12 __asm__("r12") = 33;
	_mm_setcsr(0x1f80 | 0x6000);
	__asm__ volatile("movq %[before], %%xmm7\n\tsyscall\n\tmovq %%xmm7, %[after]"
			 : "=a"(answer), [after] "=&r"(after), "+r"(r12)
			 : "a"(number), "D"(a), "S"(b), "d"(c), [before] "r"(before)
			 : "rcx", "r11", "memory", "xmm7");
	csr = _mm_getcsr();
	_mm_setcsr(0x1f80);
	show(what, after, csr & 0xffc0, r12);
	if (answer)
		printf("  answer %ld\n", answer);
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	sigaction(SIGALRM, &action, NULL);

	call("one", 62, getpid(), SIGUSR1, 0);

	siginfo_t info = {.si_signo = SIGUSR2, .si_code = SI_QUEUE};
	info.si_pid = getpid();
	call("changed", 129, getpid(), SIGUSR2, (long)&info);

	/* Two that become deliverable at once: the second handler interrupts the first before it has begun. */
	sigset_t both, old;
	sigemptyset(&both);
	sigaddset(&both, SIGUSR1);
	sigaddset(&both, SIGUSR2);
	sigprocmask(SIG_BLOCK, &both, &old);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	uint64_t none = 0;
	register long size __asm__("r10") = 8;
	long answer;
	uint64_t before = 0x99, after;
	__asm__ volatile("movq %[before], %%xmm7\n\tsyscall\n\tmovq %%xmm7, %[after]"
			 : "=a"(answer), [after] "=&r"(after)
			 : "a"(14), "D"(SIG_SETMASK), "S"(&none), "d"(0), "r"(size), [before] "r"(before)
			 : "rcx", "r11", "memory", "xmm7");
	show("nested", after, 0, answer);

	/* In the middle of a computation. */
	struct itimerval soon = {.it_value = {.tv_usec = 20000}};
	setitimer(ITIMER_REAL, &soon, NULL);
	double sum = 0, step = 0.5;
	long rounds = 0;
	__m128d wide = _mm_set_pd(3.0, 4.0), one = _mm_set_pd(1.0, 2.0);
	while (!runs) {
		sum += step;
		wide = _mm_add_pd(wide, one);
		rounds++;
	}
	double lanes[2];
	_mm_storeu_pd(lanes, wide);
	printf("computed: %s %s %s, mxcsr %04x\n", sum == rounds * 0.5 ? "right" : "wrong",
	       lanes[0] == 4.0 + 2.0 * rounds ? "right" : "wrong", lanes[1] == 3.0 + rounds ? "right" : "wrong",
	       seen_mxcsr[0]);
	return 0;
}

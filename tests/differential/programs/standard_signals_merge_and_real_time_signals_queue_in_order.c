#include "check.h"

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)context;
	printf("%s%d value %d code %d\n", signal >= SIGRTMIN ? "RT" : "", signal >= SIGRTMIN ? signal - SIGRTMIN : signal,
	       info->si_value.sival_int, info->si_code);
}

int main(void)
{
	sigset_t all, old;
	sigfillset(&all);
	on_info(SIGUSR1, handler, 0);
	on_info(SIGUSR2, handler, 0);
	for (int i = 0; i < 4; i++) {
		struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO, .sa_mask = all };
		sigaction(SIGRTMIN + i, &action, NULL);
	}
	sigprocmask(SIG_BLOCK, &all, &old);
	for (int i = 0; i < 3; i++) {
		sigqueue(getpid(), SIGRTMIN + 2, (union sigval){ .sival_int = 20 + i });
		sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 10 + i });
		sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = i });
	}
	kill(getpid(), SIGUSR2);
	kill(getpid(), SIGUSR2);
	tgkill(getpid(), gettid(), SIGRTMIN + 3);
	// Handlers of real-time signals mask all; USR1 and USR2 do not mask each other, so the frames nest.
	sigprocmask(SIG_SETMASK, &old, NULL);
	sigpending(&old);
	SHOW(sigisemptyset(&old));
	return 0;
}

#include "check.h"

static void handler(int signal)
{
	sigset_t set;
	sigprocmask(SIG_BLOCK, NULL, &set);
	printf("got %d; USR1 blocked %d USR2 blocked %d\n", signal, sigismember(&set, SIGUSR1), sigismember(&set, SIGUSR2));
}

int main(void)
{
	sigset_t set, empty, now;
	sigemptyset(&empty);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	on(SIGUSR1, handler, SA_RESTART);
	on(SIGUSR2, handler, SA_RESTART);
	raise(SIGUSR1);
	raise(SIGUSR2);
	sigset_t only2 = set;
	sigdelset(&only2, SIGUSR2);
	TELL(sigsuspend(&only2));
	TELL(sigsuspend(&empty));
	sigprocmask(SIG_BLOCK, NULL, &now);
	printf("USR1 %d USR2 %d\n", sigismember(&now, SIGUSR1), sigismember(&now, SIGUSR2));
	pid_t me = getpid(), child = fork();
	if (!child) {
		pause_ms(30);
		kill(me, SIGUSR1);
		_exit(0);
	}
	TELL(sigsuspend(&empty));
	reap(child);
	TELL(syscall(SYS_rt_sigsuspend, &empty, 4));
	TELL(syscall(SYS_rt_sigsuspend, (void *)8, 8));
	return 0;
}

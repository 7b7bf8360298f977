#include "check.h"

static void handler(int signal)
{
	printf("handler %d\n", signal);
}

int main(void)
{
	sigset_t set, other;
	siginfo_t info;
	struct timespec none = { 0, 0 }, some = { 0, 20000000 }, bad = { 0, 1000000000 };
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	TELL(sigtimedwait(&set, &info, &none));
	TELL(sigtimedwait(&set, &info, &some));
	TELL(sigtimedwait(&set, &info, &bad));
	sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 5 });
	sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 6 });
	kill(getpid(), SIGUSR1);
	TELL(sigtimedwait(&set, &info, &none) == SIGUSR1);
	TELL(sigtimedwait(&set, &info, &none) == SIGRTMIN);
	printf("value %d code %d\n", info.si_value.sival_int, info.si_code);
	TELL(sigwaitinfo(&set, &info) == SIGRTMIN);
	printf("value %d\n", info.si_value.sival_int);
	TELL(sigtimedwait(&set, NULL, &none));
	// A signal outside of the set interrupts.
	on(SIGUSR2, handler, SA_RESTART);
	pid_t me = getpid(), child = fork();
	if (!child) {
		pause_ms(30);
		kill(me, SIGUSR2);
		_exit(0);
	}
	TELL(sigwaitinfo(&set, &info));
	reap(child);
	child = fork();
	if (!child) {
		pause_ms(30);
		kill(me, SIGUSR1);
		_exit(0);
	}
	TELL(sigwaitinfo(&set, &info));
	SHOW(info.si_pid == child);
	reap(child);
	// SIGKILL in the set is of no use, nor harm.
	sigemptyset(&other);
	sigaddset(&other, SIGKILL);
	TELL(sigtimedwait(&other, &info, &none));
	return 0;
}

#include "check.h"

int main(void)
{
	sigset_t set, old;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 3);
	sigprocmask(SIG_SETMASK, &set, NULL);
	raise(SIGUSR1);
	IN_CHILD({
		sigprocmask(SIG_BLOCK, NULL, &old);
		SHOW(sigismember(&old, SIGUSR1));
		SHOW(sigismember(&old, SIGRTMIN + 3));
		SHOW(sigismember(&old, SIGUSR2));
		// What is pending is not inherited.
		sigpending(&old);
		SHOW(sigismember(&old, SIGUSR1));
	});
	return 0;
}

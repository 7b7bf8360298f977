#include "check.h"

static pthread_t threads[3];
static int ready[2];

static void handler(int signal)
{
	for (int i = 0; i < 3; i++)
		if (pthread_equal(pthread_self(), threads[i]))
			printf("signal %d in thread %d\n", signal - SIGRTMIN, i);
}

static void *body(void *argument)
{
	long index = (long)argument;
	sigset_t set;
	sigfillset(&set);
	sigdelset(&set, SIGRTMIN + index);
	write(ready[1], "", 1);
	sigsuspend(&set);
	write(ready[1], "", 1);
	return NULL;
}

int main(void)
{
	sigset_t set;
	char byte;
	MUST(pipe(ready));
	sigfillset(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (long i = 0; i < 3; i++) {
		on(SIGRTMIN + i, handler, 0);
		pthread_create(&threads[i], NULL, body, (void *)i);
		read(ready[0], &byte, 1);
	}
	for (int i = 2; i >= 0; i--) {
		kill(getpid(), SIGRTMIN + i);
		read(ready[0], &byte, 1);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	// Directed at a thread that blocks it: pending there only.
	sigset_t pending;
	pthread_kill(pthread_self(), SIGUSR1);
	sigpending(&pending);
	SHOW(sigismember(&pending, SIGUSR1));
	return 0;
}

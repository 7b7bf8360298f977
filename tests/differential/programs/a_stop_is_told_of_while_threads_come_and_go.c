// A process has stopped when all its threads have; one that ends instead is not waited for.
#include "check.h"

static void *nothing(void *unused)
{
	return unused;
}

static void *churn(void *unused)
{
	(void)unused;
	for (;;) {
		pthread_t thread;
		if (!pthread_create(&thread, NULL, nothing, NULL))
			pthread_join(thread, NULL);
	}
}

int main(void)
{
	pid_t child = (pid_t)MUST(fork());
	if (!child) {
		pthread_t thread;
		pthread_create(&thread, NULL, churn, NULL);
		churn(NULL);
	}
	long end = now_ms() + 700;
	int told = 1;
	for (int i = 0; i < 300 && now_ms() < end && told; i++) {
		int status = 0;
		kill(child, SIGSTOP);
		long until = now_ms() + 3000;
		pid_t got;
		while ((got = waitpid(child, &status, WUNTRACED | WNOHANG)) == 0 && now_ms() < until)
			usleep(300);
		told = got == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP;
		kill(child, SIGCONT);
		pause_ms(1);
	}
	SHOW(told);
	kill(child, SIGKILL);
	reap(child);
	return 0;
}

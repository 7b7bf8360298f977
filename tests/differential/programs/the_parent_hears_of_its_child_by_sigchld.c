#include "check.h"

static volatile sig_atomic_t count;
static volatile int code, status, pid_seen;

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	count++;
	code = info->si_code;
	status = info->si_status;
	pid_seen = info->si_pid;
}

static void await(int wanted)
{
	while (count < wanted)
		pause_ms(2);
}

int main(void)
{
	on_info(SIGCHLD, handler, 0);
	pid_t child = fork();
	if (!child)
		_exit(9);
	await(1);
	printf("code %d status %d mine %d\n", code, status, pid_seen == child);
	reap(child);

	child = fork();
	if (!child)
		for (;;)
			pause();
	kill(child, SIGSTOP);
	await(2);
	printf("code %d status %d\n", code, status);
	kill(child, SIGCONT);
	await(3);
	printf("code %d status %d\n", code, status);
	kill(child, SIGINT);
	await(4);
	printf("code %d status %d\n", code, status);
	reap(child);

	// SA_NOCLDSTOP: silence about stops.
	on_info(SIGCHLD, handler, SA_NOCLDSTOP);
	child = fork();
	if (!child)
		for (;;)
			pause();
	int s;
	kill(child, SIGSTOP);
	MUST(waitpid(child, &s, WUNTRACED));
	kill(child, SIGCONT);
	MUST(waitpid(child, &s, WCONTINUED));
	printf("count %d\n", count);
	kill(child, SIGKILL);
	reap(child);
	printf("count %d\n", count);
	return 0;
}

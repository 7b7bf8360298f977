#include "check.h"

static volatile long *counters;

static void *body(void *argument)
{
	for (;;)
		counters[(long)argument]++;
	return NULL;
}

int main(void)
{
	int status;
	counters = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child = fork();
	if (!child) {
		pthread_t thread;
		for (long i = 0; i < 2; i++)
			pthread_create(&thread, NULL, body, (void *)i);
		for (;;)
			pause();
	}
	while (!counters[0] || !counters[1])
		pause_ms(1);
	kill(child, SIGSTOP);
	MUST(waitpid(child, &status, WUNTRACED));
	print_status(status);
	long first = counters[0], second = counters[1];
	pause_ms(40);
	SHOW(counters[0] == first && counters[1] == second);
	kill(child, SIGCONT);
	MUST(waitpid(child, &status, WCONTINUED));
	print_status(status);
	while (counters[0] == first || counters[1] == second)
		pause_ms(1);
	printf("running\n");
	kill(child, SIGKILL);
	reap(child);
	return 0;
}

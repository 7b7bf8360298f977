/* A process that ends with threads of its own, some of them ended before, is no affair of one that waits in a call. */
#include "check.h"
#include <pthread.h>

static void *nothing(void *argument)
{
	return argument;
}

static void *forever(void *argument)
{
	pause();
	return argument;
}

int main(void)
{
	int statuses = 0;
	for (int round = 0; round < 15; round++) {
		int p[2], status;
		MUST(pipe(p));
		pid_t waiting = fork();
		if (!waiting) {
			char byte;
			close(p[1]);
			_exit(read(p[0], &byte, 1));
		}
		pid_t ending = fork();
		if (!ending) {
			pthread_t threads[4];
			for (int i = 0; i < 4; i++)
				pthread_create(&threads[i], NULL, i < 3 ? nothing : forever, NULL);
			for (int i = 0; i < 3; i++)
				pthread_join(threads[i], NULL);
			_exit(0);
		}
		close(p[0]);
		waitpid(ending, &status, 0);
		statuses += status;
		pause_ms(2);
		close(p[1]);
		waitpid(waiting, &status, 0);
		statuses += status;
	}
	printf("%d\n", statuses);
	return 0;
}

#include "check.h"
#include <poll.h>

static int pipes[2];

static void *blocked(void *argument)
{
	char byte;
	switch ((long)argument) {
	case 0:
		read(pipes[0], &byte, 1);
		break;
	case 1:
		for (;;)
			;
	case 2:
		poll(NULL, 0, -1);
		break;
	case 3:
		wait(NULL);
		break;
	case 4:
		pause();
		break;
	default:
		syscall(SYS_exit_group, 23);
	}
	return NULL;
}

int main(void)
{
	MUST(pipe(pipes));
	IN_CHILD({
		pid_t child = fork();
		if (!child)
			for (;;)
				pause();
		prctl(PR_SET_PDEATHSIG, 0);
		pthread_t thread;
		for (long i = 0; i < 5; i++)
			pthread_create(&thread, NULL, blocked, (void *)i);
		pause_ms(30);
		kill(child, 0);
		pthread_create(&thread, NULL, blocked, (void *)9);
		kill(child, SIGKILL);
		for (;;)
			pause();
	});
	// A signal that kills takes all threads with it.
	IN_CHILD({
		pthread_t thread;
		for (long i = 0; i < 3; i++)
			pthread_create(&thread, NULL, blocked, (void *)(i == 2 ? 4 : i));
		pause_ms(20);
		kill(getpid(), SIGTERM);
		for (;;)
			pause();
	});
	return 0;
}

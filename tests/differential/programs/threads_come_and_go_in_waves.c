/* Threads that follow each other get registers, storage and numbers of their own; a process that has had many can exec
 * from one of them, fork, and end. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAVES = 12, WIDTH = 11 };

static __thread int own = 5;
static int numbers[WAVES * WIDTH];
static char *program;

static void *work(void *argument)
{
	long n = (long)argument;
	double x = n;
	int wrong = own != 5;
	numbers[n] = gettid();
	own = n;
	for (int i = 0; i < 50; i++) {
		x = x * 0.5 + n * 0.5;
		if (i % 10 == 0)
			getppid();
	}
	return (void *)(long)(wrong || own != n || x != n || gettid() != numbers[n]);
}

static void *replace(void *argument)
{
	execl(program, program, "again", (char *)0);
	return argument;
}

int main(int argc, char **argv)
{
	pthread_t threads[WIDTH];
	long wrong = 0, twice = 0, n = 0;
	program = argv[0];
	for (int wave = 0; wave < WAVES; wave++) {
		int width = wave % 3 == 0 ? 1 : wave % 3 == 1 ? 4 : WIDTH;
		for (int i = 0; i < width; i++)
			if (pthread_create(&threads[i], NULL, work, (void *)n++))
				puts("cannot create");
		for (int i = 0; i < width; i++) {
			void *result;
			pthread_join(threads[i], &result);
			wrong += (long)result;
		}
		if (wave % 4 == 2) {
			int status;
			pid_t child = fork();
			if (child == 0) {
				pthread_create(&threads[0], NULL, work, (void *)0L);
				pthread_join(threads[0], NULL);
				_exit(7);
			}
			waitpid(child, &status, 0);
			printf("child %d\n", WEXITSTATUS(status));
		}
	}
	for (int i = 0; i < n; i++)
		for (int j = 0; j < i; j++)
			twice += numbers[i] == numbers[j];
	printf("%ld threads, wrong %ld, numbers twice %ld\n", n, wrong, twice);
	fflush(stdout);
	if (argc > 1)
		return 3;
	pthread_create(&threads[0], NULL, replace, NULL);
	pthread_join(threads[0], NULL);
	puts("not replaced");
	return 1;
}

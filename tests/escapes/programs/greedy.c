// Takes all that there is of one thing: tasks, descriptors or memory; then gives it back and works on.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void *sleeper(void *unused)
{
	pause();
	return unused;
}

int main(void)
{
	int made = 0;
	pid_t child;
	setvbuf(stdout, NULL, _IONBF, 0);
	while ((child = fork()) > 0)
		made++;
	if (!child)
		pause(), _exit(0);
	printf("processes: %s %s\n", made > 20 ? "many" : "few", strerrorname_np(errno));
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	if (!fork()) {
		pthread_t thread;
		int error;
		for (made = 0; !(error = pthread_create(&thread, NULL, sleeper, NULL)); made++)
			;
		printf("threads: %s %s\n", made > 20 ? "many" : "few", strerrorname_np(error));
		_exit(0);
	}
	wait(NULL);
	for (made = 0; dup(1) >= 0; made++)
		;
	printf("descriptors: %s %s\n", made > 100 ? "many" : "few", strerrorname_np(errno));
	syscall(SYS_close_range, 3, ~0U, 0);
	if (!fork()) {
		setrlimit(RLIMIT_AS, &(struct rlimit){ 64 << 20, 64 << 20 });
		for (made = 0;; made++) {
			char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (memory == MAP_FAILED)
				break;
			memset(memory, 1, 1 << 20);
		}
		printf("memory: %s %s\n", made > 20 ? "many" : "few", strerrorname_np(errno));
		_exit(0);
	}
	wait(NULL);
	child = fork();
	if (!child)
		_exit(3);
	int status;
	waitpid(child, &status, 0);
	printf("afterwards: %d\n", WEXITSTATUS(status));
	return 0;
}

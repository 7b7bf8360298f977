#include "check.h"
#include <linux/seccomp.h>

static void *strict_thread(void *unused)
{
	(void)unused;
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0));
	syscall(SYS_getpid);
	return NULL;
}

static void handler(int signal)
{
	(void)signal;
	write(1, "handled\n", 8);
}

static void *tick(void *thread)
{
	pause_ms(30);
	pthread_kill(*(pthread_t *)thread, SIGUSR1);
	return NULL;
}

int main(void)
{
	TELL(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
	TELL(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL));
	TELL(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, "x"));
	IN_CHILD({
		MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL));
		write(1, "written\n", 8);
		char byte;
		read(-1, &byte, 1);
		syscall(SYS_exit, 3);
	});
	IN_CHILD({
		MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0));
		syscall(SYS_getpid);
	});
	// glibc's _exit is exit_group, which is not among them.
	IN_CHILD({
		MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0));
		_exit(0);
	});
	// Only the thread ends.
	IN_CHILD({
		pthread_t thread;
		MUST(-pthread_create(&thread, NULL, strict_thread, NULL));
		pthread_join(thread, NULL);
		printf("the process lives\n");
	});
	// A handler returns.
	IN_CHILD({
		pthread_t self = pthread_self();
		pthread_t thread;
		int pair[2];
		char byte;
		MUST(pipe(pair));
		on(SIGUSR1, handler, 0);
		MUST(-pthread_create(&thread, NULL, tick, &self));
		MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0));
		ssize_t count = read(pair[0], &byte, 1);
		write(1, count < 0 ? "interrupted\n" : "read\n", count < 0 ? 12 : 5);
		syscall(SYS_exit, 0);
	});
	return 0;
}

#include "check.h"

static volatile int shared;

int main(void)
{
	pid_t child = vfork();
	if (!child) {
		shared = 7;
		_exit(3);
	}
	printf("shared %d\n", shared);
	reap(child);
	child = vfork();
	if (!child) {
		shared = 8;
		execl("/bin/sh", "sh", "-c", "exit 6", NULL);
		_exit(1);
	}
	printf("shared %d\n", shared);
	reap(child);
	child = vfork();
	if (!child) {
		execl("/nonexistent", "x", NULL);
		shared = errno;
		_exit(127);
	}
	printf("shared %s\n", strerrorname_np(shared));
	reap(child);
	return 0;
}

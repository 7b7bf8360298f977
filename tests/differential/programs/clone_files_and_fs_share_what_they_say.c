#include "check.h"

static int child(void *argument)
{
	int fd = *(int *)argument;
	close(fd);
	umask(0077);
	chdir("/usr");
	return 4;
}

int main(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	char where[PATH_MAX];
	for (int shared = 0; shared < 2; shared++) {
		chdir("/");
		umask(022);
		int fd = MUST(open("/dev/null", O_RDONLY));
		int flags = SIGCHLD | (shared ? CLONE_FILES | CLONE_FS : 0);
		pid_t pid = MUST(clone(child, stack + sizeof stack, flags, &fd));
		reap(pid);
		SHOW(fcntl(fd, F_GETFD) == -1);
		printf("umask %o cwd %s\n", umask(022), getcwd(where, sizeof where));
	}
	return 0;
}

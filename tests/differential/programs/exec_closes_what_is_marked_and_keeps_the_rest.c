#include "check.h"

int main(int argc, char **argv)
{
	if (argc == 1) {
		int keep = MUST(open("/dev/null", O_RDONLY));
		int closed = MUST(open("/dev/null", O_RDONLY | O_CLOEXEC));
		int dup_kept = dup(closed);
		int marked = dup(keep);
		fcntl(marked, F_SETFD, FD_CLOEXEC);
		int marked_above = fcntl(keep, F_DUPFD_CLOEXEC, 50);
		printf("%d %d %d %d %d\n", keep, closed, dup_kept, marked, marked_above);
		execl("/proc/self/exe", argv[0], "again", NULL);
		return 1;
	}
	for (int fd = 3; fd < 60; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			printf("open %d flags %d\n", fd, fcntl(fd, F_GETFD));
	return 0;
}

#include "check.h"

int main(void)
{
	struct rlimit limit = { 10, 20 }, old;
	MUST(setrlimit(RLIMIT_NOFILE, &limit));
	int p[2], fd;
	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		printf("%d ", fd);
	printf("%s\n", strerrorname_np(errno));
	TELL(dup(0));
	TELL(dup2(0, 9));
	TELL(dup2(0, 10));
	TELL(fcntl(0, F_DUPFD, 5));
	TELL(fcntl(0, F_DUPFD, 10));
	TELL(pipe(p));
	close(9);
	TELL(pipe(p));
	TELL(open("/dev/null", O_RDONLY));
	limit.rlim_cur = 12;
	TELL(setrlimit(RLIMIT_NOFILE, &limit));
	TELL(pipe(p));
	// A lower limit closes nothing.
	limit.rlim_cur = 3;
	TELL(setrlimit(RLIMIT_NOFILE, &limit));
	TELL(fcntl(11, F_GETFD));
	limit = (struct rlimit){ 21, 20 };
	TELL(setrlimit(RLIMIT_NOFILE, &limit));
	TELL(setrlimit(99, &limit));
	TELL(getrlimit(RLIMIT_NOFILE, (void *)8));
	TELL(prlimit(0, RLIMIT_NOFILE, NULL, &old));
	printf("%ld %ld\n", (long)old.rlim_cur, (long)old.rlim_max);
	IN_CHILD({
		setresuid(1000, 1000, 1000);
		limit = (struct rlimit){ 20, 30 };
		TELL(setrlimit(RLIMIT_NOFILE, &limit));
		limit = (struct rlimit){ 15, 15 };
		TELL(setrlimit(RLIMIT_NOFILE, &limit));
		TELL(prlimit(getppid(), RLIMIT_NOFILE, NULL, &old));
	});
	TELL(prlimit(1 << 21, RLIMIT_NOFILE, NULL, &old));
	return 0;
}

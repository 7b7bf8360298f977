#include "check.h"

static void handler(int signal)
{
	printf("SIG%s\n", sigabbrev_np(signal));
}

int main(void)
{
	struct rlimit limit = { 100, 100 };
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
	char text[64];
	memset(text, 'x', sizeof text);
	MUST(setrlimit(RLIMIT_FSIZE, &limit));
	on(SIGXFSZ, handler, 0);
	TELL(write(fd, text, 64));
	TELL(write(fd, text, 64));
	TELL(write(fd, text, 64));
	TELL(write(fd, text, 0));
	TELL(pwrite(fd, text, 1, 99));
	TELL(pwrite(fd, text, 1, 100));
	TELL(ftruncate(fd, 101));
	TELL(ftruncate(fd, 50));
	TELL(truncate("file", 101));
	signal(SIGXFSZ, SIG_IGN);
	TELL(pwrite(fd, text, 1, 100));
	int p[2];
	MUST(pipe(p));
	for (int i = 0; i < 3; i++)
		write(p[1], text, 64);
	printf("pipes have no limit\n");
	signal(SIGXFSZ, SIG_DFL);
	prctl(PR_SET_DUMPABLE, 0);
	IN_CHILD(pwrite(fd, text, 1, 100));
	return 0;
}

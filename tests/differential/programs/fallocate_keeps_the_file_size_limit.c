// RLIMIT_FSIZE binds fallocate where it makes a file larger, on every filesystem.
#include "check.h"

static volatile int signals;

static void handler(int signal)
{
	(void)signal;
	signals++;
}

// Under a limit for the time of the call, since what is printed may go to a file too.
#define UNDER(bytes, call)                                                                                             \
	do {                                                                                                           \
		struct rlimit limit_ = { bytes, RLIM_INFINITY };                                                       \
		MUST(setrlimit(RLIMIT_FSIZE, &limit_));                                                                \
		long result_ = (call);                                                                                 \
		limit_.rlim_cur = RLIM_INFINITY;                                                                       \
		setrlimit(RLIMIT_FSIZE, &limit_);                                                                      \
		printf("%d: %s: %s\n", bytes, #call, NAME(result_));                                                   \
	} while (0)

static void limited(int fd)
{
	UNDER(4096, fallocate(fd, 0, 0, 4096));
	UNDER(4096, fallocate(fd, 0, 0, 4097));
	UNDER(4096, fallocate(fd, 0, 8192, 4096));
	UNDER(4096, fallocate(fd, 0, 1024, 3072));
	UNDER(4096, fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 4096));
	// What the file has already is no growth.
	UNDER(1024, fallocate(fd, 0, 0, 4096));
	UNDER(1024, fallocate(fd, 0, 0, 4097));
	struct stat stat;
	MUST(fstat(fd, &stat));
	printf("size %ld signals %d\n", (long)stat.st_size, signals);
}

int main(void)
{
	on(SIGXFSZ, handler, 0);
	limited((int)MUST(open("file", O_RDWR | O_CREAT, 0644)));
	limited((int)MUST(memfd_create("memory", 0)));
	limited((int)MUST(open("/dev/shm/limited-fallocate", O_RDWR | O_CREAT | O_EXCL, 0600)));
	MUST(unlink("/dev/shm/limited-fallocate"));
	return 0;
}

#include "check.h"
#include <sys/sysmacros.h>

int main(void)
{
	char buffer[64];
	struct stat stat;
	char *names[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty" };
	for (size_t i = 0; i < COUNT(names); i++) {
		TELL(lstat(names[i], &stat));
		printf("%s %o %u:%u\n", names[i], stat.st_mode, major(stat.st_rdev), minor(stat.st_rdev));
		int fd = open(names[i], O_RDWR);
		if (fd < 0)
			continue;
		if (strcmp(names[i], "/dev/tty")) {
			memset(buffer, 'x', sizeof buffer);
			TELL(read(fd, buffer, sizeof buffer));
			SHOW(buffer[0] == 0 && buffer[63] == 0);
			TELL(write(fd, buffer, 10));
			TELL(lseek(fd, 5, SEEK_SET));
		}
		close(fd);
	}
	int zero = MUST(open("/dev/zero", O_RDWR));
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
	printf("%d\n", map[100]);
	map[100] = 1;
	TELL(syscall(SYS_getrandom, buffer, 64, 0));
	TELL(syscall(SYS_getrandom, buffer, 64, 0x80));
	TELL(syscall(SYS_getrandom, buffer, 64, 1));
	TELL(open("/dev/missing", O_RDWR));
	char target[32] = { 0 };
	readlink("/dev/fd", target, 31);
	printf("%s\n", target);
	readlink("/dev/stdin", target, 31);
	printf("%s\n", target);
	return 0;
}

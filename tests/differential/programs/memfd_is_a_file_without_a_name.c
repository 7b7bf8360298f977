#include "check.h"

int main(void)
{
	char path[256] = { 0 }, name[300];
	memset(name, 'n', 299);
	name[299] = 0;
	TELL(memfd_create(name, 0));
	TELL(memfd_create("x", 0x8000));
	int fd = MUST(memfd_create("some", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	readlink(name, path, sizeof path - 1);
	printf("%s\n", path);
	TELL(write(fd, "0123456789", 10));
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	map[0] = 'X';
	TELL(pread(fd, path, 10, 0));
	printf("%.10s\n", path);
	TELL(fcntl(fd, F_GET_SEALS));
	TELL(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
	TELL(ftruncate(fd, 5));
	TELL(ftruncate(fd, 20));
	TELL(pwrite(fd, "a", 1, 10));
	TELL(pwrite(fd, "a", 1, 9));
	TELL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	munmap(map, 4096);
	TELL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	TELL(pwrite(fd, "a", 1, 9));
	TELL(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1L : 0L);
	TELL(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1L : 0L);
	TELL(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	TELL(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	TELL(fcntl(fd, F_GET_SEALS));
	int plain = MUST(memfd_create("plain", 0));
	TELL(fcntl(plain, F_ADD_SEALS, F_SEAL_GROW));
	TELL(fcntl(0, F_GET_SEALS));
	struct stat stat;
	MUST(fstat(fd, &stat));
	printf("%o %ld\n", stat.st_mode, (long)stat.st_size);
	return 0;
}

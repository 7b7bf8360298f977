#include "check.h"

#ifndef FALLOC_FL_KEEP_SIZE
#define FALLOC_FL_KEEP_SIZE 1
#define FALLOC_FL_PUNCH_HOLE 2
#endif

int main(void)
{
	struct stat stat;
	char text[4];
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0644)), ro = MUST(open("file", O_RDONLY)), p[2];
	pipe(p);
	TELL(fallocate(fd, 0, 0, 10000));
	MUST(fstat(fd, &stat));
	printf("%ld\n", (long)stat.st_size);
	TELL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000));
	MUST(fstat(fd, &stat));
	printf("%ld\n", (long)stat.st_size);
	pwrite(fd, "abcd", 4, 4094);
	TELL(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 4096, 4096));
	pread(fd, text, 4, 4094);
	printf("%d %d %d %d\n", text[0], text[1], text[2], text[3]);
	TELL(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1));
	TELL(fallocate(fd, 0, 0, 0));
	TELL(fallocate(fd, 0, -1, 5));
	TELL(fallocate(fd, 0x8000, 0, 5));
	TELL(fallocate(ro, 0, 0, 5));
	TELL(fallocate(p[1], 0, 0, 5));
	TELL(fallocate(99, 0, 0, 5));
	TELL(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	TELL(posix_fadvise(fd, 0, 0, 99) == EINVAL);
	TELL(posix_fadvise(p[0], 0, 0, 0) == ESPIPE);
	return 0;
}

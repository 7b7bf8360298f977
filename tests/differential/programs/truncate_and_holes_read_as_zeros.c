#include "check.h"

int main(void)
{
	struct stat stat;
	char text[12] = { 0 };
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
	TELL(pwrite(fd, "end", 3, 100000));
	MUST(fstat(fd, &stat));
	printf("size %ld\n", (long)stat.st_size);
	TELL(pread(fd, text, 10, 50000));
	for (int i = 0; i < 10; i++)
		printf("%d", text[i]);
	printf("\n");
	TELL(pread(fd, text, 10, 99998));
	TELL(pread(fd, text, 10, 100003));
	TELL(pread(fd, text, 10, -1));
	TELL(ftruncate(fd, 5));
	TELL(ftruncate(fd, 100));
	TELL(pread(fd, text, 10, 95));
	TELL(ftruncate(fd, -1));
	TELL(truncate("file", 7));
	TELL(truncate("missing", 7));
	TELL(truncate(".", 7));
	int ro = MUST(open("file", O_RDONLY));
	TELL(ftruncate(ro, 0));
	TELL(ftruncate(99, 0));
	MUST(fstat(fd, &stat));
	printf("size %ld\n", (long)stat.st_size);
	TELL(lseek(fd, 0, SEEK_HOLE));
	TELL(lseek(fd, 0, SEEK_DATA));
	TELL(lseek(fd, 7, SEEK_DATA));
	TELL(lseek(fd, 7, SEEK_HOLE));
	TELL(lseek(fd, 3, SEEK_CUR) > 0);
	return 0;
}

#include "check.h"

int main(void)
{
	struct stat stat;
	char path[64];
	TRY(open("missing", O_TMPFILE | O_RDWR, 0600));
	int fd = MUST(open(".", O_TMPFILE | O_RDWR, 0640));
	TELL(write(fd, "text", 4));
	MUST(fstat(fd, &stat));
	printf("%o links %ld size %ld\n", stat.st_mode, (long)stat.st_nlink, (long)stat.st_size);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	TELL(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	MUST(fstat(fd, &stat));
	printf("links %ld\n", (long)stat.st_nlink);
	TELL(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	TELL(linkat(fd, "", AT_FDCWD, "second", AT_EMPTY_PATH));
	int private = MUST(open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600));
	snprintf(path, sizeof path, "/proc/self/fd/%d", private);
	TELL(linkat(AT_FDCWD, path, AT_FDCWD, "third", AT_SYMLINK_FOLLOW));
	return 0;
}

#include "check.h"
#include <sys/xattr.h>

int main(void)
{
	char text[16] = { 0 };
	struct stat stat;
	put("file", "text", 0644);
	symlink("file", "link");
	mkdir("dir", 0755);
	put("dir/inner", "in", 0644);
	int fd = MUST(open("file", O_PATH | O_RDWR | O_TRUNC)), link = MUST(open("link", O_PATH | O_NOFOLLOW)), dir = MUST(open("dir", O_PATH));
	printf("%x\n", fcntl(fd, F_GETFL));
	TELL(read(fd, text, 1));
	TELL(write(fd, text, 1));
	TELL(lseek(fd, 0, SEEK_SET));
	TELL(fchmod(fd, 0600));
	TELL(fchown(fd, 0, 0));
	TELL(ftruncate(fd, 0));
	TELL(fsync(fd));
	TELL(fcntl(fd, F_SETFL, 0));
	TELL(fgetxattr(fd, "user.x", text, 1));
	TELL(fstat(fd, &stat));
	printf("%o %ld\n", stat.st_mode, (long)stat.st_size);
	TELL(fstat(link, &stat));
	printf("%o\n", stat.st_mode);
	TELL(readlinkat(link, "", text, sizeof text));
	printf("%s\n", text);
	TELL(fchdir(dir));
	TELL(access("inner", R_OK));
	TELL(fchdir(fd));
	TRY(openat(dir, "inner", O_RDONLY));
	TELL(fcntl(fd, F_DUPFD_CLOEXEC, 30));
	TRY(open("/proc/self/fd/3", O_RDONLY));
	TRY(open("/proc/self/fd/4", O_RDONLY));
	return 0;
}

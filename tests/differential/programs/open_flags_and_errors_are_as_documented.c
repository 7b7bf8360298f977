#include "check.h"

int main(void)
{
	char long_name[300], byte = 'x';
	memset(long_name, 'n', 299);
	long_name[299] = 0;
	put("file", "text", 0644);
	MUST(mkdir("dir", 0755));
	MUST(symlink("file", "link"));
	MUST(symlink("missing", "dangling"));
	MUST(symlink("round", "round"));
	TRY(open("missing", O_RDONLY));
	TRY(open("", O_RDONLY));
	TRY(open("file/", O_RDONLY));
	TRY(open("file/x", O_RDONLY));
	TRY(open("dir", O_WRONLY));
	TRY(open("dir", O_RDONLY | O_CREAT, 0644));
	TRY(open("dir/", O_RDONLY));
	TRY(open("file", O_RDONLY | O_DIRECTORY));
	TRY(open("new/", O_WRONLY | O_CREAT, 0644));
	TRY(open("file", O_WRONLY | O_CREAT | O_EXCL, 0644));
	TRY(open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0644));
	TRY(open("link", O_RDONLY | O_NOFOLLOW));
	TRY(open("link", O_RDONLY | O_NOFOLLOW | O_PATH));
	TRY(open("round", O_RDONLY));
	TRY(open("dangling", O_RDONLY));
	TRY(open("dangling", O_WRONLY | O_CREAT, 0644));
	TRY(access("missing", F_OK));
	TRY(open(long_name, O_RDONLY));
	TRY(open((char *)8, O_RDONLY));
	TRY(openat(99, "file", O_RDONLY));
	TRY(openat(99, "/etc/passwd", O_RDONLY));
	int file = MUST(open("file", O_RDWR));
	TRY(openat(file, "x", O_RDONLY));
	TRY(open("file", O_RDONLY | O_TMPFILE, 0600));
	TRY(open("file", O_RDWR | O_DIRECTORY | O_CREAT, 0600));
	TRY(open("/proc/self/fd/99", O_RDONLY));
	int read_only = MUST(open("file", O_RDONLY)), write_only = MUST(open("file", O_WRONLY)), dir = MUST(open("dir", O_RDONLY));
	TELL(write(read_only, &byte, 1));
	TELL(read(write_only, &byte, 1));
	TELL(read(dir, &byte, 1));
	TELL(write(dir, &byte, 1));
	TELL(read(99, &byte, 1));
	TELL(lseek(file, -1, SEEK_SET));
	TELL(lseek(file, 0, 77));
	TELL(lseek(file, 100, SEEK_END));
	TELL(read(file, &byte, 1));
	TELL(close(file));
	TELL(close(file));
	// Access mode 3: no reading, no writing.
	int neither = MUST(open("file", 3));
	TELL(read(neither, &byte, 1));
	TELL(write(neither, &byte, 1));
	TELL(open("file", O_RDONLY | O_TRUNC) >= 0);
	struct stat stat;
	MUST(lstat("file", &stat));
	printf("size %ld\n", (long)stat.st_size);
	return 0;
}

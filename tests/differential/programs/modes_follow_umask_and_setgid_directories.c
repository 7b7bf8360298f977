#include "check.h"

static void mode(const char *path)
{
	struct stat stat;
	MUST(lstat(path, &stat));
	printf("%s %o gid %u\n", path, stat.st_mode, stat.st_gid);
}

int main(void)
{
	printf("%o\n", umask(027));
	put("a", "", 0777);
	mode("a");
	mkdir("b", 0777);
	mode("b");
	mkfifo("c", 0666);
	mode("c");
	printf("%o\n", umask(07777));
	printf("%o\n", umask(0));
	mkdir("group", 0775);
	chown("group", 0, 3000);
	chmod("group", 02775);
	mkdir("group/sub", 0755);
	mode("group/sub");
	put("group/file", "", 0664);
	mode("group/file");
	chmod("a", 07777);
	mode("a");
	chown("a", 5, 5);
	mode("a");
	TELL(chmod("a", 0100644));
	mode("a");
	TELL(chmod("missing", 0644));
	TELL(fchmodat(AT_FDCWD, "a", 0600, 0));
	symlink("a", "link");
	TELL(lchown("link", 7, 8));
	mode("link");
	TELL(fchownat(AT_FDCWD, "link", 9, 10, 0));
	mode("a");
	TELL(fchownat(AT_FDCWD, "link", 9, 10, 0x1));
	return 0;
}

#include "check.h"

int main(void)
{
	char path[PATH_MAX];
	struct stat stat;
	mkdir("dir", 0755);
	MUST(chdir("dir"));
	TELL(rmdir("../dir"));
	TELL(syscall(SYS_getcwd, path, sizeof path));
	TELL(access(".", F_OK));
	TELL(open("file", O_CREAT | O_WRONLY, 0644));
	TELL(mkdir("sub", 0755));
	TELL(lstat(".", &stat));
	TELL(chdir("."));
	TELL(chdir(".."));
	TELL(access("dir", F_OK));
	mkdir("one", 0755);
	chdir("one");
	rename("../one", "../two");
	SHOW(strstr(getcwd(path, sizeof path), "/two") != NULL);
	TELL(syscall(SYS_getcwd, path, 2));
	TELL(syscall(SYS_getcwd, (void *)8, 4096));
	TELL(chdir("/"));
	TELL(syscall(SYS_getcwd, path, 2));
	printf("%s\n", path);
	TELL(chdir("/dev/null"));
	TELL(chdir("/missing"));
	TELL(fchdir(99));
	return 0;
}

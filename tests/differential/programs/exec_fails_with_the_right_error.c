#include "check.h"

static void run(const char *path, char **argv, char **envp)
{
	IN_CHILD({
		execve(path, argv, envp);
		printf("%s\n", strerrorname_np(errno));
	});
}

int main(void)
{
	char *args[] = { "x", NULL }, *none[] = { NULL };
	char long_name[300];
	memset(long_name, 'a', 299);
	long_name[299] = 0;
	put("unreadable", "#!/bin/sh\n", 0644);
	run("./unreadable", args, none);
	run("./missing", args, none);
	run(".", args, none);
	run("/dev/null", args, none);
	run("", args, none);
	run(long_name, args, none);
	run("./unreadable/x", args, none);
	symlink("loop", "loop");
	run("loop", args, none);
	run((char *)8, args, none);
	run("/bin/true", (char **)8, none);
	run("/bin/true", args, (char **)8);
	char *wild[] = { (char *)8, NULL };
	run("/bin/true", wild, none);
	// Being written.
	IN_CHILD({
		system("cp /bin/true ./copy");
		int fd = MUST(open("copy", O_WRONLY));
		run("./copy", args, none);
		close(fd);
		run("./copy", args, none);
	});
	TELL(open("/proc/self/exe", O_WRONLY));
	TELL(execveat(AT_FDCWD, "", args, none, 0));
	TELL(execveat(99, "x", args, none, 0));
	TELL(execveat(AT_FDCWD, "x", args, none, 0x4));
	int fd = MUST(open("/bin/true", O_PATH));
	IN_CHILD(execveat(fd, "", args, none, AT_EMPTY_PATH));
	symlink("/bin/true", "link");
	IN_CHILD(TELL(execveat(AT_FDCWD, "link", args, none, AT_SYMLINK_NOFOLLOW)));
	return 0;
}

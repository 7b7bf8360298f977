#include "check.h"
#include <linux/openat2.h>

static long open2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = { flags, mode, resolve };
	long fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

int main(void)
{
	mkdir("root", 0755);
	mkdir("root/sub", 0755);
	put("root/file", "", 0644);
	put("outside", "", 0644);
	symlink("../outside", "root/escape");
	symlink("/file", "root/absolute");
	symlink("file", "root/inside");
	symlink("/proc/self/exe", "root/magic");
	int dir = MUST(open("root", O_PATH));
	TELL(open2(dir, "file", O_RDONLY, 0, RESOLVE_BENEATH));
	TELL(open2(dir, "escape", O_RDONLY, 0, RESOLVE_BENEATH));
	TELL(open2(dir, "../outside", O_RDONLY, 0, RESOLVE_BENEATH));
	TELL(open2(dir, "sub/../file", O_RDONLY, 0, RESOLVE_BENEATH));
	TELL(open2(dir, "/file", O_RDONLY, 0, RESOLVE_BENEATH));
	TELL(open2(dir, "absolute", O_RDONLY, 0, RESOLVE_BENEATH));
	TELL(open2(dir, "absolute", O_RDONLY, 0, RESOLVE_IN_ROOT));
	TELL(open2(dir, "/file", O_RDONLY, 0, RESOLVE_IN_ROOT));
	TELL(open2(dir, "../../file", O_RDONLY, 0, RESOLVE_IN_ROOT));
	TELL(open2(dir, "escape", O_RDONLY, 0, RESOLVE_IN_ROOT));
	TELL(open2(dir, "inside", O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
	TELL(open2(dir, "inside", O_RDONLY, 0, 0));
	TELL(open2(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS));
	TELL(open2(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0, 0));
	TELL(open2(AT_FDCWD, "/proc/self/status", O_RDONLY, 0, RESOLVE_NO_XDEV));
	TELL(open2(dir, "file", O_RDONLY, 0644, 0));
	TELL(open2(dir, "new", O_WRONLY | O_CREAT, 010644, 0));
	TELL(open2(dir, "new", O_WRONLY | O_CREAT, 0644, 0));
	TELL(open2(dir, "file", 1ul << 40, 0, 0));
	TELL(open2(dir, "file", O_RDONLY, 0, 0x100));
	TELL(open2(dir, "file", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT));
	TELL(open2(dir, "file", O_PATH | O_RDWR, 0, 0));
	struct open_how how = { 0 };
	TELL(syscall(SYS_openat2, dir, "file", &how, 8));
	TELL(syscall(SYS_openat2, dir, "file", (void *)8, 24));
	uint64_t larger[4] = { 0, 0, 0, 1 };
	TELL(syscall(SYS_openat2, dir, "file", larger, 32));
	larger[3] = 0;
	TRY(syscall(SYS_openat2, dir, "file", larger, 32));
	return 0;
}

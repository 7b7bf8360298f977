#include "check.h"

static void links(const char *path)
{
	struct stat stat;
	if (lstat(path, &stat))
		printf("%s: %s\n", path, strerrorname_np(errno));
	else
		printf("%s: %ld\n", path, S_ISDIR(stat.st_mode) ? 0 : (long)stat.st_nlink);
}

int main(void)
{
	put("file", "text", 0644);
	mkdir("dir", 0755);
	symlink("file", "symlink");
	TELL(link("file", "second"));
	links("file");
	TELL(link("file", "second"));
	TELL(link("dir", "dir2"));
	TELL(link("missing", "x"));
	TELL(link("file", "dir/third"));
	TELL(link("symlink", "symlink2"));
	links("symlink");
	TELL(linkat(AT_FDCWD, "symlink", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
	links("file");
	TELL(linkat(AT_FDCWD, "file", AT_FDCWD, "x", 0x1));
	int fd = MUST(open("file", O_RDONLY));
	TELL(unlink("file"));
	TELL(unlink("file"));
	TELL(unlink("dir"));
	TELL(rmdir("dir"));
	TELL(rmdir("second"));
	TELL(unlink("second/"));
	TELL(unlinkat(AT_FDCWD, "dir/third", 0));
	TELL(unlinkat(AT_FDCWD, "dir", 0));
	TELL(unlinkat(AT_FDCWD, "dir", 0x1000));
	TELL(unlinkat(AT_FDCWD, "dir", AT_REMOVEDIR));
	TELL(rmdir("."));
	TELL(rmdir("/"));
	TELL(unlink("second"));
	TELL(unlink("followed"));
	struct stat stat;
	MUST(fstat(fd, &stat));
	printf("open and unlinked: %ld\n", (long)stat.st_nlink);
	char text[5] = { 0 };
	TELL(read(fd, text, 4));
	TELL(mkdir("dir", 0755));
	TELL(mkdir("dir", 0755));
	TELL(mkdir("dir/", 0755));
	TELL(mkdir("missing/dir", 0755));
	TELL(mkdir("slash/", 0755));
	TELL(mkdir("symlink", 0755));
	TELL(mknod("node", S_IFREG | 0644, 0));
	TELL(mknod("node", S_IFREG | 0644, 0));
	TELL(mknod("x", S_IFDIR, 0));
	TELL(symlink("", "x"));
	TELL(symlink("to", "symlink"));
	char buffer[3];
	TELL(readlink("symlink", buffer, 3));
	TELL(readlink("symlink", buffer, 0));
	TELL(readlink("dir", buffer, 3));
	TELL(readlink("missing", buffer, 3));
	return 0;
}

#include "check.h"
#include <linux/fs.h>

static void show(const char *path)
{
	char text[16] = { 0 };
	int fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, 15) < 0)
		printf("%s: %s\n", path, strerrorname_np(errno));
	else
		printf("%s: %s\n", path, text);
	close(fd);
}

int main(void)
{
	put("a", "A", 0644);
	put("b", "B", 0644);
	mkdir("dir", 0755);
	mkdir("dir/sub", 0755);
	mkdir("empty", 0755);
	symlink("a", "link");
	TELL(rename("a", "b"));
	show("a");
	show("b");
	TELL(rename("missing", "x"));
	TELL(rename("b", "dir"));
	TELL(rename("empty", "b"));
	TELL(rename("empty", "dir"));
	TELL(rename("dir", "empty"));
	TELL(rename("empty", "empty/sub/deep"));
	TELL(rename("b", "b/c"));
	TELL(rename("b", "."));
	TELL(rename("..", "x"));
	TELL(rename("b", ""));
	TELL(rename("b", "new/"));
	TELL(rename("empty/", "dir/"));
	// Two names of one file: nothing happens.
	link("b", "twin");
	TELL(rename("b", "twin"));
	show("b");
	TELL(rename("link", "moved"));
	char target[8] = { 0 };
	TELL(readlink("moved", target, sizeof target));
	put("c", "C", 0644);
	TELL(renameat2(AT_FDCWD, "b", AT_FDCWD, "c", RENAME_NOREPLACE));
	TELL(renameat2(AT_FDCWD, "b", AT_FDCWD, "fresh", RENAME_NOREPLACE));
	TELL(renameat2(AT_FDCWD, "fresh", AT_FDCWD, "c", RENAME_EXCHANGE));
	show("fresh");
	show("c");
	TELL(renameat2(AT_FDCWD, "fresh", AT_FDCWD, "dir", RENAME_EXCHANGE));
	show("dir");
	TELL(renameat2(AT_FDCWD, "c", AT_FDCWD, "missing", RENAME_EXCHANGE));
	TELL(renameat2(AT_FDCWD, "c", AT_FDCWD, "x", RENAME_EXCHANGE | RENAME_NOREPLACE));
	TELL(renameat2(AT_FDCWD, "c", AT_FDCWD, "x", 0x80));
	TELL(rename("c", (char *)8));
	return 0;
}

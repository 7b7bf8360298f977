#include "check.h"
#include <sys/xattr.h>

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *path)
{
	char names[256], *sorted[16];
	ssize_t size = listxattr(path, names, sizeof names);
	int count = 0;
	for (char *p = names; size > 0 && p < names + size; p += strlen(p) + 1)
		if (!strncmp(p, "user.", 5))
			sorted[count++] = p;
	qsort(sorted, count, sizeof *sorted, compare);
	for (int i = 0; i < count; i++)
		printf("%s ", sorted[i]);
	printf("(%d)\n", count);
}

int main(void)
{
	char value[32] = { 0 };
	put("file", "", 0644);
	symlink("file", "link");
	TELL(getxattr("file", "user.a", value, 32));
	TELL(setxattr("file", "user.a", "one", 3, XATTR_REPLACE));
	TELL(setxattr("file", "user.a", "one", 3, XATTR_CREATE));
	TELL(setxattr("file", "user.a", "two", 3, XATTR_CREATE));
	TELL(setxattr("link", "user.b", "second", 6, 0));
	TELL(setxattr("file", "user.c", "", 0, 0));
	list("file");
	TELL(getxattr("file", "user.b", NULL, 0));
	TELL(getxattr("file", "user.b", value, 2));
	TELL(getxattr("file", "user.b", value, 32));
	printf("%s\n", value);
	TELL(getxattr("file", "user.c", value, 32));
	TELL(lsetxattr("link", "user.x", "x", 1, 0));
	TELL(setxattr("file", "nonsense", "x", 1, 0));
	TELL(setxattr("file", "user.", "x", 1, 0));
	TELL(setxattr("file", "", "x", 1, 0));
	TELL(setxattr("file", "user.d", "x", 1, 8));
	TELL(setxattr("file", "user.d", "x", 70000, 0));
	TELL(removexattr("file", "user.a"));
	TELL(removexattr("file", "user.a"));
	int fd = MUST(open("file", O_RDONLY));
	TELL(fsetxattr(fd, "user.f", "f", 1, 0));
	TELL(fgetxattr(fd, "user.f", value, 32));
	TELL(flistxattr(fd, value, 1));
	list("file");
	TELL(setxattr("missing", "user.a", "x", 1, 0));
	return 0;
}

#include "check.h"
#include <dirent.h>

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(void)
{
	char name[32], *names[700];
	size_t count = 0, dots = 0;
	mkdir("dir", 0755);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof name, "dir/entry-%d", i);
		put(name, "", 0644);
	}
	mkdir("dir/sub", 0755);
	symlink("x", "dir/link");
	mkfifo("dir/fifo", 0644);
	DIR *dir = opendir("dir");
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.') {
			dots++;
			continue;
		}
		int type = *entry->d_name == 's' ? DT_DIR : *entry->d_name == 'l' ? DT_LNK : *entry->d_name == 'f' ? DT_FIFO : DT_REG;
		if (entry->d_type != type)
			printf("%s has type %d\n", entry->d_name, entry->d_type);
		names[count++] = strdup(entry->d_name);
		// What is removed on the way does not hide others.
		if (count == 100)
			for (int i = 0; i < 500; i += 100) {
				snprintf(name, sizeof name, "dir/entry-%d", i);
				unlink(name);
			}
	}
	printf("dots %zu\n", dots);
	qsort(names, count, sizeof *names, compare);
	size_t doubles = 0;
	for (size_t i = 1; i < count; i++)
		doubles += !strcmp(names[i], names[i - 1]);
	SHOW(count >= 498 && count <= 503);
	printf("doubles %zu\n", doubles);
	rewinddir(dir);
	count = 0;
	while (readdir(dir))
		count++;
	printf("again %zu\n", count);
	// A position told can be returned to.
	rewinddir(dir);
	for (int i = 0; i < 50; i++)
		readdir(dir);
	long position = telldir(dir);
	char expected[256];
	strcpy(expected, readdir(dir)->d_name);
	for (int i = 0; i < 50; i++)
		readdir(dir);
	seekdir(dir, position);
	SHOW(!strcmp(expected, readdir(dir)->d_name));
	char buffer[64];
	TELL(syscall(SYS_getdents64, dirfd(dir), buffer, 10));
	TELL(syscall(SYS_getdents64, 0, buffer, 64));
	int fd = MUST(open("dir", O_RDONLY));
	TELL(syscall(SYS_getdents64, fd, (void *)8, 4096));
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof name, "dir/entry-%d", i);
		unlink(name);
	}
	unlink("dir/link"), unlink("dir/fifo"), rmdir("dir/sub");
	lseek(fd, 0, SEEK_SET);
	rmdir("dir");
	TELL(syscall(SYS_getdents64, fd, buffer, 64));
	return 0;
}

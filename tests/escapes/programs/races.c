// Renames directories under the feet of those who walk through them: neither ".." nor a link that is a directory one moment
// ago may lead out. SECRET's file lies just outside of the root and of the volume.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int stop;
static long tries, found;
static const char *base;

static void look(int directory, const char *path)
{
	char text[16] = "";
	int fd = openat(directory, path, O_RDONLY);
	__atomic_add_fetch(&tries, 1, __ATOMIC_RELAXED);
	if (fd < 0)
		return;
	if (read(fd, text, sizeof text - 1) > 0 && !strncmp(text, "SECRET", 6))
		found++;
	close(fd);
}

static void *rename_depths(void *unused)
{
	while (!stop) {
		rename("a/b/c", "c");
		rename("c", "a/b/c");
	}
	return unused;
}

static void *walk_up(void *unused)
{
	char path[512];
	while (!stop) {
		int inner = open("a/b/c/d", O_RDONLY | O_DIRECTORY);
		if (inner < 0)
			inner = open("c/d", O_RDONLY | O_DIRECTORY);
		look(inner, "../../../../secret");
		look(inner, "../../../secret");
		look(inner, "../../secret");
		look(inner, "../../../../../../../../../../secret");
		snprintf(path, sizeof path, "../../../..%s/../secret", base);
		look(inner, path);
		close(inner);
	}
	return unused;
}

static void *swap_links(void *unused)
{
	while (!stop)
		syscall(SYS_renameat2, AT_FDCWD, "directory", AT_FDCWD, "link", 2);
	return unused;
}

static void *walk_links(void *unused)
{
	while (!stop) {
		look(AT_FDCWD, "directory/secret");
		look(AT_FDCWD, "directory/../secret");
		look(AT_FDCWD, "link/../../secret");
		int fd = open("directory/new", O_CREAT | O_WRONLY, 0644);
		close(fd);
		unlink("directory/new");
	}
	return unused;
}

int main(int argc, char **argv)
{
	void *(*const work[])(void *) = { rename_depths, walk_up, swap_links, walk_links };
	pthread_t threads[4];
	base = argv[1];
	if (chdir(base))
		return perror(base), 1;
	mkdir("a", 0755);
	mkdir("a/b", 0755);
	mkdir("a/b/c", 0755);
	mkdir("a/b/c/d", 0755);
	mkdir("directory", 0755);
	symlink(argc > 2 ? argv[2] : "..", "link");
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, work[i], NULL);
	sleep(2);
	stop = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	printf("%s, found %ld\n", tries > 100 ? "tried" : "hardly tried", found);
	return 0;
}

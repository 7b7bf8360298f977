#include "check.h"

static const char script[] = "#!/bin/sh\nexit 3\n";

static void run(const char *path)
{
	char *args[] = { (char *)path, "100", NULL }, *none[] = { NULL };
	IN_CHILD({
		execve(path, args, none);
		printf("%s\n", strerrorname_np(errno));
		_exit(9);
	});
}

int main(void)
{
	char *args[] = { "./copy", "100", NULL }, *none[] = { NULL };
	system("cp /bin/sleep ./copy; cp /bin/true ./mapped");
	put("script", script, 0755);

	// While it runs.
	pid_t child = MUST(fork());
	if (!child) {
		// The parent may have it open just now.
		while (execve("./copy", args, none) < 0 && errno == ETXTBSY)
			usleep(100);
		_exit(9);
	}
	int tries = 0, fd;
	while ((fd = open("copy", O_WRONLY)) >= 0 && ++tries < 5000) {
		close(fd);
		usleep(1000);
	}
	printf("%d %s\n", fd, strerrorname_np(errno));
	TELL(open("copy", O_RDWR));
	TELL(open("copy", O_RDONLY | O_TRUNC));
	TELL(open("copy", O_WRONLY | O_CREAT, 0755));
	TELL(open("copy", O_WRONLY | O_CREAT | O_EXCL, 0755));
	TELL(truncate("copy", 1));
	int readable = MUST(open("copy", O_RDONLY));
	close(readable);
	TELL(chmod("copy", 0700));
	TELL(link("copy", "other"));
	TELL(open("other", O_WRONLY));
	TELL(unlink("other"));
	TELL(rename("copy", "moved"));
	TELL(open("moved", O_WRONLY));
	TELL(access("moved", W_OK));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	fd = MUST(open("moved", O_WRONLY));

	// While it is written to.
	run("./moved");
	int other = MUST(open("moved", O_RDWR));
	close(fd);
	run("./moved");
	// A mapping goes on writing when the descriptor is closed, even if it is private.
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
	close(other);
	run("./moved");
	MUST(munmap(map, 4096));
	fd = MUST(open("mapped", O_RDWR));
	map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	run("./mapped");
	MUST(munmap(map, 4096));
	run("./mapped");
	// Descriptors that were inherited or sent count, too.
	fd = MUST(open("mapped", O_WRONLY));
	child = MUST(fork());
	if (!child) {
		usleep(300000);
		_exit(0);
	}
	close(fd);
	run("./mapped");
	waitpid(child, NULL, 0);
	run("./mapped");

	// Scripts as well, but only while execve reads them.
	fd = MUST(open("script", O_WRONLY));
	run("./script");
	close(fd);
	run("./script");
	put("slow", "#!/bin/sh\nsleep 1\n", 0755);
	child = MUST(fork());
	if (!child) {
		char *slow[] = { "./slow", NULL };
		execve("./slow", slow, none);
		_exit(9);
	}
	usleep(300000);
	fd = MUST(open("slow", O_WRONLY));
	printf("written to\n");
	close(fd);
	waitpid(child, NULL, 0);

	// A new file that is still open, and a memory file, which does not count.
	fd = MUST(open("new", O_WRONLY | O_CREAT, 0755));
	MUST(write(fd, script, strlen(script)));
	run("./new");
	close(fd);
	run("./new");
	return 0;
}

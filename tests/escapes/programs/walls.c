// Ways out of a directory that one was put in, and files that are carried over a border.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int reads_secret(int directory, const char *path)
{
	char text[16] = "";
	int fd = openat(directory, path, O_RDONLY);
	if (fd >= 0)
		read(fd, text, sizeof text - 1);
	close(fd);
	return !strncmp(text, "SECRET", 6);
}

static void look(const char *what, int directory)
{
	char path[256] = "";
	int found = 0;
	for (int depth = 0; depth < 20; depth++) {
		strcat(path, "../");
		char name[300];
		snprintf(name, sizeof name, "%ssecret", path);
		found |= reads_secret(directory, name);
	}
	printf("%s: %s\n", what, found ? "SECRET" : "nothing");
}

static void connect_to(const char *what, const char *name, socklen_t length)
{
	struct sockaddr_un address = { AF_UNIX, "" };
	memcpy(address.sun_path, name, length);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int result = connect(fd, (void *)&address, sizeof(sa_family_t) + length);
	printf("%s: %s\n", what, result ? strerrorname_np(errno) : "connected");
	close(fd);
}

int main(int argc, char **argv)
{
	int root = open("/", O_RDONLY | O_DIRECTORY), volume = open("/volume", O_RDONLY | O_DIRECTORY);
	look("root", root);
	look("volume", volume);
	look("proc", open("/proc/1/root", O_RDONLY | O_DIRECTORY));
	look("cwd", open("/proc/self/cwd", O_RDONLY | O_DIRECTORY));
	for (const char *const *link = (const char *const[]){ "/out", "/absolute", "/volume/out", "/volume/absolute", "/loop/secret", NULL }; *link; link++)
		printf("%s: %s\n", *link, reads_secret(AT_FDCWD, *link) ? "SECRET" : "nothing");

	// The classical way out of chroot.
	mkdir("/tmp/jail", 0755);
	if (!chroot("/tmp/jail")) {
		look("outside of the jail", root);
		fchdir(root);
		for (int i = 0; i < 20; i++)
			chdir("..");
		look("above the jail", AT_FDCWD);
		chroot(".");
	}

	// Over borders.
	fchdir(root);
	int made = open("tmp/made", O_CREAT | O_WRONLY, 0644);
	printf("link into the volume: %s\n", link("tmp/made", "volume/made") ? strerrorname_np(errno) : "made");
	printf("link of a descriptor: %s\n",
	       linkat(made, "", volume, "made", AT_EMPTY_PATH) ? strerrorname_np(errno) : "made");
	printf("rename out of the volume: %s\n", rename("volume/file", "tmp/file") ? strerrorname_np(errno) : "done");
	printf("link to a link: %s\n", linkat(AT_FDCWD, "out", AT_FDCWD, "tmp/hard", AT_SYMLINK_FOLLOW) ? strerrorname_np(errno) : "made");

	// Sockets of the host.
	if (argc > 1) {
		char abstract[100] = "";
		strcpy(abstract + 1, argv[1]);
		connect_to("abstract", abstract, strlen(argv[1]) + 1);
		connect_to("in the root", "/socket", 8);
		connect_to("by a link", "/socketlink", 12);
	}
	mount("none", "/volume", "tmpfs", 0, NULL);
	mkdir("/volume/mounted-by-guest", 0755);
	mount("/tmp", "/volume", NULL, MS_BIND, NULL);
	mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL);
	return 0;
}

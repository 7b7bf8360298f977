#include "check.h"
#include <dirent.h>

static void field(const char *name)
{
	char line[512];
	FILE *file = fopen("/proc/self/status", "r");
	while (file && fgets(line, sizeof line, file))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
			printf("%s", line);
	fclose(file);
}

int main(int argc, char **argv)
{
	(void)argc;
	char text[4096] = { 0 }, path[PATH_MAX] = { 0 };
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	signal(SIGUSR2, SIG_IGN);
	prctl(PR_SET_NAME, "renamed");
	umask(027);
	char *fields[] = { "Name", "Umask", "State", "Uid", "Gid", "Threads", "SigPnd", "ShdPnd", "SigBlk", "NoNewPrivs", "TracerPid" };
	for (size_t i = 0; i < COUNT(fields); i++)
		field(fields[i]);
	int fd = MUST(open("/proc/self/cmdline", O_RDONLY));
	ssize_t count = read(fd, text, sizeof text);
	SHOW(count == (ssize_t)strlen(argv[0]) + 1 && !strcmp(text, argv[0]));
	fd = MUST(open("/proc/self/environ", O_RDONLY));
	memset(text, 0, sizeof text);
	SHOW(read(fd, text, sizeof text) > 0 && strchr(text, '='));
	SHOW(readlink("/proc/self/exe", path, sizeof path) > 0 && !strcmp(strrchr(path, '/'), "/program"));
	memset(path, 0, sizeof path);
	SHOW(readlink("/proc/self/cwd", path, sizeof path) > 0 && !strcmp(path, getcwd(text, sizeof text)));
	memset(path, 0, sizeof path);
	TELL(readlink("/proc/self/root", path, sizeof path));
	printf("%s\n", path);
	memset(path, 0, sizeof path);
	readlink("/proc/self", path, sizeof path);
	SHOW(atoi(path) == getpid());
	memset(path, 0, sizeof path);
	readlink("/proc/thread-self", path, sizeof path);
	snprintf(text, sizeof text, "%d/task/%d", getpid(), gettid());
	SHOW(!strcmp(path, text));
	int p[2];
	MUST(pipe(p));
	snprintf(text, sizeof text, "/proc/self/fd/%d", p[0]);
	memset(path, 0, sizeof path);
	readlink(text, path, sizeof path);
	printf("%.6s\n", path);
	int gone = MUST(open("gone", O_RDWR | O_CREAT, 0644));
	unlink("gone");
	snprintf(text, sizeof text, "/proc/self/fd/%d", gone);
	memset(path, 0, sizeof path);
	readlink(text, path, sizeof path);
	SHOW(!strcmp(strrchr(path, '/'), "/gone (deleted)"));
	// A link to an open file opens it, even if it has no name any more.
	write(gone, "data", 4);
	int again = MUST(open(text, O_RDONLY));
	memset(path, 0, sizeof path);
	TELL(read(again, path, 10));
	snprintf(text, sizeof text, "/proc/self/fdinfo/%d", gone);
	FILE *info = fopen(text, "r");
	while (info && fgets(text, sizeof text, info))
		if (!strncmp(text, "pos", 3) || !strncmp(text, "flags", 5))
			printf("%s", text);
	int open_count = 0;
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	while ((entry = readdir(dir)))
		open_count += entry->d_name[0] != '.';
	printf("descriptors %d\n", open_count);
	int tasks = 0;
	dir = opendir("/proc/self/task");
	while ((entry = readdir(dir)))
		tasks += entry->d_name[0] != '.';
	printf("tasks %d\n", tasks);
	TRY(open("/proc/self/missing", O_RDONLY));
	TRY(open("/proc/1234567", O_RDONLY));
	TRY(open("/proc/self/status", O_WRONLY | O_CREAT, 0644));
	SHOW(mkdir("/proc/x", 0755) == -1);
	TRY(unlink("/proc/self/status"));
	return 0;
}

#include "check.h"

int main(void)
{
	char text[2048] = { 0 };
	prctl(PR_SET_NAME, "odd) (name");
	int fd = MUST(open("/proc/self/stat", O_RDONLY));
	read(fd, text, sizeof text - 1);
	char *end = strrchr(text, ')');
	SHOW(atoi(text) == getpid());
	printf("%.12s\n", strchr(text, '('));
	long fields[60] = { 0 };
	int count = 0;
	char state = end[2];
	for (char *p = strtok(end + 4, " \n"); p; p = strtok(NULL, " \n"))
		fields[count++] = strtol(p, NULL, 10);
	printf("state %c fields %d\n", state, count);
	SHOW(fields[0] == getppid());
	SHOW(fields[1] == getpgrp());
	SHOW(fields[2] == getsid(0));
	printf("threads %ld\n", fields[16]);
	SHOW(fields[18] > 0);
	SHOW(fields[19] > 1000000);
	SHOW(fields[20] > 10);
	char *files[] = { "/proc/uptime", "/proc/loadavg", "/proc/meminfo", "/proc/stat", "/proc/cpuinfo", "/proc/version", "/proc/mounts",
			  "/proc/filesystems", "/proc/self/mountinfo", "/proc/self/statm", "/proc/self/limits", "/proc/self/auxv",
			  "/proc/sys/kernel/hostname", "/proc/sys/kernel/pid_max", "/proc/sys/kernel/random/boot_id", "/proc/self/cgroup",
			  "/proc/self/oom_score_adj", "/proc/self/loginuid", "/proc/sys/vm/overcommit_memory", "/proc/sys/fs/file-max",
			  "/proc/self/smaps", "/proc/self/io", "/proc/self/wchan", "/proc/vmstat", "/proc/devices", "/proc/partitions",
			  "/proc/sys/kernel/osrelease", "/proc/self/net/dev", "/proc/sys/net/core/somaxconn" };
	for (size_t i = 0; i < COUNT(files); i++) {
		fd = open(files[i], O_RDONLY);
		printf("%s %s\n", files[i], fd < 0 ? strerrorname_np(errno) : read(fd, text, 100) > 0 ? "has text" : "is empty");
		close(fd);
	}
	return 0;
}

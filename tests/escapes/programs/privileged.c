// What root with every capability must not reach: each line names a call that has to fail. It prints those that do not.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAILS(call)                                                                                                    \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		if ((long)(call) >= 0)                                                                                 \
			printf("%s succeeds\n", #call);                                                                \
		tried++;                                                                                               \
	} while (0)

static int tried;

struct handle {
	unsigned bytes;
	int type;
	unsigned char id[8];
};

static void nodes(const char *directory)
{
	static const struct {
		mode_t type;
		unsigned major, minor;
	} devices[] = { { S_IFCHR, 1, 1 }, { S_IFCHR, 1, 2 }, { S_IFCHR, 1, 4 }, { S_IFCHR, 1, 11 }, { S_IFCHR, 10, 200 },
			{ S_IFCHR, 10, 229 }, { S_IFCHR, 10, 232 }, { S_IFBLK, 7, 0 }, { S_IFBLK, 8, 0 }, { S_IFBLK, 254, 0 },
			{ S_IFBLK, 253, 0 }, { S_IFBLK, 259, 0 } };
	char path[256];
	struct stat root;
	for (unsigned i = 0; i < sizeof devices / sizeof *devices; i++) {
		snprintf(path, sizeof path, "%s/node%u", directory, i);
		if (mknod(path, devices[i].type | 0666, makedev(devices[i].major, devices[i].minor)))
			continue;
		FAILS(open(path, O_RDONLY));
		FAILS(open(path, O_RDWR | O_NONBLOCK));
		unlink(path);
	}
	// The disk of the root itself.
	snprintf(path, sizeof path, "%s/disk", directory);
	if (!stat("/", &root) && !mknod(path, S_IFBLK | 0666, root.st_dev)) {
		FAILS(open(path, O_RDONLY));
		unlink(path);
	}
}

int main(void)
{
	struct timespec time = { 1000000000, 0 };
	struct timeval day = { 1000000000, 0 };
	struct handle root = { 8, 1, { 2 } };
	struct iovec own = { &time, sizeof time }, others = { (void *)0x400000, sizeof time };
	int here = open("/", O_RDONLY | O_DIRECTORY);

	FAILS(syscall(SYS_open_by_handle_at, here, &root, O_RDONLY));
	FAILS(clock_settime(CLOCK_REALTIME, &time));
	FAILS(settimeofday(&day, NULL));
	FAILS(swapon("/etc/swap", 0));
	FAILS(syscall(SYS_init_module, "x", 1, ""));
	FAILS(syscall(SYS_finit_module, here, "", 0));
	FAILS(syscall(SYS_delete_module, "loop", 0));
	FAILS(syscall(SYS_kexec_load, 0, 0, NULL, 0));
	FAILS(syscall(SYS_kexec_file_load, -1, -1, 0, NULL, 0));
	FAILS(syscall(SYS_iopl, 3));
	FAILS(syscall(SYS_ioperm, 0x70, 2, 1));
	FAILS(syscall(SYS_bpf, 5, "", 48));
	FAILS(syscall(SYS_perf_event_open, "", 0, -1, -1, 0));
	FAILS(syscall(SYS_acct, "/etc/acct"));
	FAILS(syscall(SYS_quotactl, 0x800002, NULL, 0, NULL));
	FAILS(syscall(SYS_process_vm_writev, 1, &own, 1, &others, 1, 0));
	FAILS(syscall(SYS_lookup_dcookie, 1L, &time, sizeof time));
	FAILS(syscall(SYS_vhangup) ? -1 : -1);
	FAILS(open("/dev/mem", O_RDONLY));
	FAILS(open("/dev/kmsg", O_WRONLY));
	FAILS(open("/proc/kcore", O_RDONLY));
	FAILS(open("/proc/sysrq-trigger", O_WRONLY));
	FAILS(open("/sys/kernel/uevent_helper", O_WRONLY));
	FAILS(open("/sys/fs/cgroup/release_agent", O_WRONLY));
	FAILS(open("/sys/fs/cgroup/memory/release_agent", O_WRONLY));
	FAILS(open("/sys/kernel/debug", O_RDONLY));
	FAILS(open("/sys/power/state", O_WRONLY));
	for (int fd = 0; fd < 3; fd++)
		FAILS(ioctl(fd, TIOCSTI, "x"));
	nodes("/tmp");
	nodes("/volume");
	nodes("/bin");

	// Only a container's own namespaces are there to be joined.
	static const char *const kinds[] = { "mnt", "net", "ipc", "uts", "pid", "user", "cgroup" };
	char path[64], mine[64] = "", inits[64] = "";
	for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
		if (readlink(path, mine, sizeof mine - 1) < 0)
			continue;
		snprintf(path, sizeof path, "/proc/1/ns/%s", kinds[i]);
		if (readlink(path, inits, sizeof inits - 1) > 0 && strcmp(mine, inits))
			printf("%s differs from that of init\n", kinds[i]);
	}
	printf("%s\n", tried > 25 ? "tried" : "hardly tried");
	return 0;
}

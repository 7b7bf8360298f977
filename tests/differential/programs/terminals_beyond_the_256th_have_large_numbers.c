// The minor number of a terminal is its own number: from the 256th on it does not fit into eight bits.
#include "check.h"
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#define MANY 300

static int masters[MANY];

// tty_nr of /proc/self/stat.
static long terminal_of_proc(void)
{
	char text[512];
	int fd = (int)MUST(open("/proc/self/stat", O_RDONLY));
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	char *at = strrchr(text, ')');
	long terminal = -1;
	sscanf(at + 2, "%*c %*d %*d %*d %ld", &terminal);
	return terminal;
}

int main(void)
{
	struct rlimit limit = { MANY + 20, MANY + 20 };
	setrlimit(RLIMIT_NOFILE, &limit);
	int number = 0, at = 0;
	for (; at < MANY && number < 256; at++) {
		masters[at] = (int)MUST(posix_openpt(O_RDWR | O_NOCTTY));
		MUST(ioctl(masters[at], TIOCGPTN, &number));
	}
	// Others may make terminals too.
	SHOW(number >= 256);
	int master = masters[at - 1];
	MUST(grantpt(master));
	MUST(unlockpt(master));
	struct stat stat;
	MUST(lstat(ptsname(master), &stat));
	unsigned long device = 136 << 8 | (number & 0xff) | (unsigned long)(number & ~0xff) << 12;
	SHOW(major(stat.st_rdev) == 136 && minor(stat.st_rdev) == (unsigned)number && stat.st_rdev == device);
	struct statx more;
	MUST(statx(AT_FDCWD, ptsname(master), 0, STATX_BASIC_STATS, &more));
	SHOW(more.stx_rdev_major == 136 && more.stx_rdev_minor == (unsigned)number);
	IN_CHILD({
		MUST(setsid());
		int slave = (int)MUST(open(ptsname(master), O_RDWR));
		MUST(fstat(slave, &stat));
		SHOW(stat.st_rdev == device);
		unsigned told;
		MUST(ioctl(slave, TIOCGDEV, &told));
		SHOW(told == device);
		SHOW(terminal_of_proc() == (long)device);
		SHOW(!strcmp(ttyname(slave), ptsname(master)));
	});
	return 0;
}

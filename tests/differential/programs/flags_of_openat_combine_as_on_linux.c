#include "check.h"

// One letter for each outcome, so that a line holds many combinations.
static char letter(int error)
{
	switch (error) {
	case 0: return '.';
	case EINVAL: return 'i';
	case EEXIST: return 'e';
	case EISDIR: return 'd';
	case ENOTDIR: return 'n';
	case ELOOP: return 'l';
	case ENOENT: return '-';
	case ENXIO: return 'x';
	case EOPNOTSUPP: return 'o';
	case EACCES: return 'a';
	case EPERM: return 'p';
	default: return '?';
	}
}

int main(void)
{
	static const int flags[] = { O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_TMPFILE & ~O_DIRECTORY,
				     O_CLOEXEC };
	static const char *const paths[] = { "file", "directory", "link", "dangling", "missing", "fifo", "/dev/null", "file/", "missing/",
					     "directory/", "." };
	put("file", "text", 0644);
	mkdir("directory", 0755);
	symlink("file", "link");
	symlink("nowhere", "dangling");
	mkfifo("fifo", 0644);
	for (unsigned p = 0; p < COUNT(paths); p++)
		for (int access = 0; access < 4; access++)
			for (unsigned high = 0; high < 1 << COUNT(flags); high += 64) {
				printf("%s %d %03x ", paths[p], access, high);
				for (unsigned low = 0; low < 64; low++) {
					int all = access | O_NONBLOCK | O_NOCTTY;
					for (unsigned i = 0; i < COUNT(flags); i++)
						if ((high | low) >> i & 1)
							all |= flags[i];
					int fd = (int)syscall(SYS_openat, AT_FDCWD, paths[p], all, 0644);
					putchar(letter(fd < 0 ? errno : 0));
					if (fd >= 0)
						close(fd);
					unlink("missing");
					unlink("nowhere");
				}
				printf("\n");
			}
	return 0;
}

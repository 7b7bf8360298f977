#include "check.h"

static char letter(long result)
{
	if (result >= 0)
		return '.';
	switch (errno) {
	case EINVAL: return 'i';
	case EBADF: return 'b';
	case EACCES: return 'a';
	case ENODEV: return 'n';
	case EOPNOTSUPP: return 'o';
	case EEXIST: return 'e';
	case ENOMEM: return 'm';
	case EOVERFLOW: return 'v';
	case EPERM: return 'p';
	default: return '?';
	}
}

int main(void)
{
	static const int flags[] = { MAP_ANONYMOUS, MAP_FIXED_NOREPLACE, MAP_FIXED, MAP_GROWSDOWN, MAP_NORESERVE, MAP_STACK, MAP_POPULATE };
	static const struct {
		size_t length;
		off_t offset;
	} spans[] = { { 4096, 0 }, { 0, 0 }, { 1, 1 }, { 4096, 4096 }, { -4096UL, 0 }, { 1UL << 47, 0 }, { 4096, -4096 }, { 8192, LONG_MAX & ~4095L } };
	put("file", "text", 0644);
	mkdir("directory", 0755);
	int pipes[2];
	MUST(pipe(pipes));
	const struct {
		const char *name;
		int fd;
	} files[] = { { "none", -1 }, { "closed", 99 }, { "read-write", open("file", O_RDWR) }, { "read", open("file", O_RDONLY) },
		      { "write", open("file", O_WRONLY) }, { "path", open("file", O_PATH) }, { "directory", open("directory", O_RDONLY) },
		      { "pipe", pipes[0] }, { "null", open("/dev/null", O_RDWR) }, { "zero", open("/dev/zero", O_RDWR) } };
	char *area = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (unsigned f = 0; f < COUNT(files); f++)
		for (unsigned s = 0; s < (f == 7 || f == 9 ? 6 : COUNT(spans)); s++)
			for (int type = 0; type < 4; type++) {
				printf("%s %u %d ", files[f].name, s, type);
				for (unsigned bits = 0; bits < 1 << COUNT(flags); bits += f < 4 || s == 0 ? 1 : 3)
					// Whether a pipe may not be executed or not be mapped is a matter of the version.
					for (int prot = 0; prot < (f == 7 ? 4 : 8); prot += s ? 3 : 1) {
						int all = type;
						for (unsigned i = 0; i < COUNT(flags); i++)
							if (bits >> i & 1)
								all |= flags[i];
						int fixed = all & (MAP_FIXED | MAP_FIXED_NOREPLACE);
						void *at = fixed ? area + 65536 : NULL;
						long result = syscall(SYS_mmap, at, spans[s].length, prot, all, files[f].fd, spans[s].offset);
						putchar(letter(result));
						if (result >= 0 && !fixed)
							munmap((void *)result, spans[s].length);
						else if (result >= 0)
							MUST(mmap(area, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
					}
				printf("\n");
			}
	return 0;
}

#include "check.h"

#define TOP (1UL << 47)

static void *span(const char *name, unsigned long *length)
{
	char line[256];
	unsigned long from, to;
	FILE *maps = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, maps))
		if (strstr(line, name) && sscanf(line, "%lx-%lx", &from, &to) == 2) {
			*length = to - from;
			fclose(maps);
			return (void *)from;
		}
	fclose(maps);
	return NULL;
}

int main(void)
{
	unsigned long length;
	struct timespec now;
	IN_CHILD({
		void *vdso = span("[vdso]", &length);
		TELL(munmap(vdso, length));
		TELL(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now));
		// glibc calls it by its address.
		clock_gettime(CLOCK_MONOTONIC, &now);
	});
	IN_CHILD({
		void *vdso = span("[vdso]", &length);
		TELL(mprotect(vdso, length, PROT_NONE));
		clock_gettime(CLOCK_MONOTONIC, &now);
	});
	IN_CHILD({
		void *vdso = span("[vdso]", &length);
		SHOW(mmap(vdso, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == vdso);
		clock_gettime(CLOCK_MONOTONIC, &now);
	});
	IN_CHILD({ syscall(SYS_munmap, 0, TOP - 4096); });
	return 0;
}

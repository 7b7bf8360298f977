#include "check.h"

static void find(void *address)
{
	char line[1024], permissions[8], name[512];
	unsigned long start, end, offset;
	FILE *file = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, file)) {
		name[0] = 0;
		sscanf(line, "%lx-%lx %7s %lx %*s %*s %511s", &start, &end, permissions, &offset, name);
		if ((unsigned long)address >= start && (unsigned long)address < end) {
			char *base = strrchr(name, '/');
			printf("%s offset %lx size %lx %s%s\n", permissions, offset, end - start, base ? base : name, strstr(line, "(deleted)") ? " deleted" : "");
		}
	}
	fclose(file);
}

int main(void)
{
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
	MUST(ftruncate(fd, 65536));
	find(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 8192));
	char *shared = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	mprotect(shared + 4096, 4096, PROT_NONE);
	find(shared);
	find(shared + 4096);
	find(shared + 8192);
	unlink("file");
	find(shared);
	char *anonymous = mmap((void *)0x200000000, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	find(anonymous);
	mprotect(anonymous, 4096, PROT_READ | PROT_WRITE);
	find(anonymous);
	// Neighbours that are alike become one.
	mprotect(anonymous + 4096, 4096, PROT_READ | PROT_WRITE);
	find(anonymous);
	char line[512], here;
	int stack = 0, heap = 0, vdso = 0, own = 0;
	malloc(100);
	FILE *file = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, file)) {
		stack += strstr(line, "[stack]") != NULL;
		heap += strstr(line, "[heap]") != NULL;
		vdso += strstr(line, "[vdso]") != NULL;
		own += strstr(line, "/program") != NULL;
	}
	printf("stack %d heap %d vdso %d program %d\n", stack, heap, vdso, own > 3);
	(void)here;
	return 0;
}

#include "library_text.h"

static int is_as_in_the_file(struct text *text, const unsigned char *code)
{
	unsigned char seen[8];
	kernel_reads(code, seen, sizeof seen);
	return !memcmp(seen, "\xb8\x6e\0\0\0\x0f\x05\xc3", 8);
}

int main(void)
{
	long parent = getppid(), self = getpid();
	struct text text = map_library();
	unsigned char *page = (unsigned char *)((unsigned long)text.getppid & ~4095ul);
	SHOW(always(text.getppid, 0, parent));
	SHOW(is_as_in_the_file(&text, text.getppid));
	// Into the middle: the call itself, with another number.
	SHOW(always(text.getppid + 5, 39, self));
	SHOW(always(text.getppid, 0, parent));
	// The whole of it as the kernel reads it, against the file.
	{
		Dl_info info;
		unsigned long found[3];
		dladdr(dlsym(RTLD_DEFAULT, "getppid"), &info);
		dl_iterate_phdr(find_text, found);
		int fd = MUST(open(info.dli_fname, O_RDONLY)), different = 0;
		for (size_t at = 0; at < text.length; at += 4096) {
			unsigned char file[4096] = { 0 }, memory[4096];
			if (pread(fd, file, 4096, found[0] + at) < 4096)
				break;
			kernel_reads(text.at + at, memory, 4096);
			different += memcmp(file, memory, 4096) != 0;
		}
		close(fd);
		printf("%d pages differ from the file\n", different);
	}
	// Moved.
	unsigned char *other = mmap(NULL, text.length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t offset = text.getppid - text.at;
	SHOW(mremap(text.at, text.length, text.length, MREMAP_MAYMOVE | MREMAP_FIXED, other) == other);
	SHOW(always(other + offset, 0, parent));
	SHOW(is_as_in_the_file(&text, other + offset));
	MUST(munmap(other, text.length));
	IN_CHILD(call_at(other + offset, 0));
	// Changed: page by page, back, and by a fork.
	text = map_library();
	page = (unsigned char *)((unsigned long)text.getppid & ~4095ul);
	SHOW(always(text.getppid, 0, parent));
	TELL(mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
	SHOW(!memcmp(text.getppid, "\xb8\x6e\0\0\0\x0f\x05\xc3", 8));
	SHOW(always(text.getppid, 0, parent));
	text.getppid[1] = 39;
	SHOW(always(text.getppid, 0, self));
	TELL(mprotect(page, 4096, PROT_READ | PROT_EXEC));
	SHOW(always(text.getppid, 0, self));
	SHOW(text.getppid[1] == 39);
	IN_CHILD(SHOW(always(text.getppid, 0, getpid())));
	IN_CHILD(TELL(mprotect(page, 4096, PROT_READ)); call_at(text.getppid, 0));
	MUST(munmap(text.at, text.length));
	// Replaced in part.
	text = map_library();
	page = (unsigned char *)((unsigned long)text.getppid & ~4095ul);
	SHOW(always(text.getppid, 0, parent));
	unsigned char copy[4096];
	kernel_reads(page, copy, 4096);
	SHOW(mmap(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
	memcpy(page, copy, 4096);
	SHOW(always(text.getppid, 0, parent));
	text.getppid[1] = 39;
	SHOW(always(text.getppid, 0, self));
	MUST(munmap(page, 4096));
	IN_CHILD(call_at(text.getppid, 0));
	MUST(munmap(text.at, text.length));
	// Nothing of the kernel's lies where nothing is mapped, as far as calls can tell.
	text = map_library();
	SHOW(always(text.getppid, 0, parent));
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int texts = 0;
	while (fgets(line, sizeof line, maps)) {
		unsigned long start, end;
		char rights[8];
		sscanf(line, "%lx-%lx %7s", &start, &end, rights);
		texts += !strcmp(rights, "r-xp") && (unsigned long)text.getppid >= start && (unsigned long)text.getppid < end &&
			 end - start == text.length;
	}
	fclose(maps);
	printf("%d\n", texts);
	return 0;
}

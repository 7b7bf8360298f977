// A copy of the C library's text, in which a program can look at calls and change them without harm to itself.
#ifndef LIBRARY_TEXT_H
#define LIBRARY_TEXT_H
#include "check.h"
#include <dlfcn.h>
#include <elf.h>
#include <link.h>

struct text {
	unsigned char *at;
	size_t length;
	// mov $110, %eax; syscall; ret
	unsigned char *getppid;
};

static int find_text(struct dl_phdr_info *info, size_t size, void *to)
{
	unsigned long *found = to, address = (unsigned long)dlsym(RTLD_DEFAULT, "getppid");
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		unsigned long start = info->dlpi_addr + p->p_vaddr;
		if (p->p_type == PT_LOAD && address >= start && address - start < p->p_memsz) {
			found[0] = p->p_offset & ~4095ul;
			found[1] = (p->p_filesz + (p->p_offset & 4095) + 4095) & ~4095ul;
			found[2] = address - (start & ~4095ul);
			return 1;
		}
	}
	return 0;
}

// What the kernel reads at an address.
static void kernel_reads(const void *from, void *to, size_t length)
{
	int ends[2];
	MUST(pipe(ends));
	MUST(write(ends[1], from, length));
	MUST(read(ends[0], to, length));
	close(ends[0]);
	close(ends[1]);
}

static struct text map_library(void)
{
	Dl_info info;
	unsigned long found[3] = { 0 };
	dladdr(dlsym(RTLD_DEFAULT, "getppid"), &info);
	dl_iterate_phdr(find_text, found);
	int fd = MUST(open(info.dli_fname, O_RDONLY));
	struct text text = { .length = found[1] };
	text.at = mmap(NULL, found[1], PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, found[0]);
	MUST(text.at == MAP_FAILED ? -1 : 0);
	close(fd);
	unsigned char code[64];
	kernel_reads(text.at + found[2], code, sizeof code);
	unsigned char *place = memmem(code, sizeof code, "\xb8\x6e\0\0\0\x0f\x05\xc3", 8);
	if (!place) {
		printf("the library's getppid is not as it should be\n");
		exit(99);
	}
	text.getppid = text.at + found[2] + (place - code);
	return text;
}

static long call_at(void *code, long rax)
{
	long result;
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\tcall *%2\n\tlea 128(%%rsp), %%rsp"
			 : "=a"(result)
			 : "0"(rax), "r"(code)
			 : "rcx", "r11", "memory", "cc");
	return result;
}

// Calls a function often, and says whether it always gives the same.
__attribute__((unused)) static int always(void *code, long rax, long expected)
{
	for (int i = 0; i < 300; i++)
		if (call_at(code, rax) != expected)
			return 0;
	return 1;
}
#endif

#include "check.h"
#include <sys/auxv.h>
#include <elf.h>

extern char **environ;

int main(int argc, char **argv)
{
	(void)argc;
	SHOW(getauxval(AT_PAGESZ) == 4096);
	SHOW(getauxval(AT_UID) == getuid());
	SHOW(getauxval(AT_EUID) == geteuid());
	SHOW(getauxval(AT_GID) == getgid());
	SHOW(getauxval(AT_EGID) == getegid());
	SHOW(getauxval(AT_SECURE) == 0);
	SHOW(getauxval(AT_CLKTCK) == 100);
	SHOW(getauxval(AT_PHENT) == sizeof(Elf64_Phdr));
	SHOW(getauxval(AT_PHNUM) > 3);
	SHOW(getauxval(AT_PHDR) != 0 && getauxval(AT_ENTRY) != 0 && getauxval(AT_BASE) != 0);
	SHOW(getauxval(AT_RANDOM) != 0);
	SHOW(!strcmp((char *)getauxval(AT_EXECFN), argv[0]));
	SHOW(!strcmp((char *)getauxval(AT_PLATFORM), "x86_64"));
	SHOW(getauxval(AT_SYSINFO_EHDR) != 0);
	SHOW(!memcmp((char *)getauxval(AT_SYSINFO_EHDR), "\177ELF", 4));
	SHOW(getauxval(AT_MINSIGSTKSZ) >= 2048);
	printf("hwcap %lx hwcap2 %lx minsigstksz %lu flags %lx\n", getauxval(AT_HWCAP), getauxval(AT_HWCAP2),
	       getauxval(AT_MINSIGSTKSZ), getauxval(AT_FLAGS));
	// argv, NULL, environment, NULL, vector.
	char **p = environ;
	while (*p++)
		;
	SHOW(((Elf64_auxv_t *)p)->a_type != AT_NULL);
	SHOW(argv + 2 == environ);
	return 0;
}

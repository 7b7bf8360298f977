#include "check.h"
#include <sys/auxv.h>

int main(int argc, char **argv)
{
	if (argc > 1) {
		uid_t r, e, s;
		gid_t g, h, t;
		getresuid(&r, &e, &s);
		getresgid(&g, &h, &t);
		printf("%s: %d %d %d / %d %d %d secure %ld dumpable %d\n", argv[1], (int)r, (int)e, (int)s, (int)g, (int)h, (int)t,
		       getauxval(AT_SECURE), prctl(PR_GET_DUMPABLE));
		return 0;
	}
	MUST(chmod(".", 0755));
	system("cp program setuid; cp program setgid; cp program both; cp program root");
	chown("setuid", 50, 60), chmod("setuid", 04755);
	chown("setgid", 50, 60), chmod("setgid", 02755);
	chown("both", 50, 60), chmod("both", 06755);
	chown("root", 0, 0), chmod("root", 04755);
	char *names[] = { "./setuid", "./setgid", "./both", "./root" };
	for (size_t i = 0; i < COUNT(names); i++) {
		IN_CHILD({
			setresgid(1000, 1000, 1000);
			setresuid(1000, 1000, 1000);
			execl(names[i], names[i], names[i], NULL);
		});
		IN_CHILD({
			prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
			setresgid(1000, 1000, 1000);
			setresuid(1000, 1000, 1000);
			execl(names[i], names[i], "no new privileges", NULL);
		});
	}
	// Writing takes the bits away.
	struct stat stat;
	IN_CHILD({
		chmod("both", 06777);
		setresuid(1000, 1000, 1000);
		int fd = MUST(open("both", O_WRONLY | O_APPEND));
		write(fd, "x", 1);
	});
	lstat("both", &stat);
	printf("%o\n", stat.st_mode);
	TELL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	TELL(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
	TELL(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
	return 0;
}

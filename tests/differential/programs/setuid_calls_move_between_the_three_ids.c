#include "check.h"
#include <grp.h>
#include <sys/fsuid.h>

static void ids(const char *when)
{
	uid_t r, e, s;
	gid_t gr, ge, gs;
	getresuid(&r, &e, &s);
	getresgid(&gr, &ge, &gs);
	printf("%s: %d %d %d / %d %d %d\n", when, (int)r, (int)e, (int)s, (int)gr, (int)ge, (int)gs);
}

int main(void)
{
	IN_CHILD({
		TELL(setresuid(1, 2, 3));
		ids("resuid");
		TELL(setresuid(-1, 3, -1));
		ids("swap");
		TELL(setresuid(4, -1, -1));
		TELL(setresuid(2, 1, 3));
		TELL(seteuid(3));
		ids("seteuid");
		TELL(setuid(1));
		ids("setuid");
		TELL(setuid(9));
		TELL(setreuid(3, 2));
		ids("setreuid");
		TELL(setresgid(5, 5, 5));
		TELL(setgid(0));
	});
	IN_CHILD({
		TELL(setgid(7));
		TELL(setuid(7));
		ids("dropped");
		TELL(setuid(0));
		TELL(setresuid(0, -1, -1));
		TELL(setgroups(0, NULL));
		TELL(kill(1, 0));
	});
	IN_CHILD({
		TELL(seteuid(5));
		ids("euid");
		TELL(setuid(0));
		ids("back");
		TELL(setreuid(6, 0));
		ids("setreuid sets the saved one");
		TELL(setreuid(0, 6));
		TELL(setegid(8));
		TELL(setregid(9, 10));
		ids("gids");
		printf("fsuid %d\n", setfsuid(3));
		printf("fsuid %d\n", setfsuid(-1));
		printf("fsgid %d\n", setfsgid(-1));
	});
	IN_CHILD({
		gid_t list[4] = { 30, 20, 10, 20 };
		TELL(syscall(SYS_setgroups, 4, list));
		TELL(getgroups(0, NULL));
		TELL(getgroups(2, list));
		TELL(getgroups(4, list));
		printf("%d %d %d %d\n", (int)list[0], (int)list[1], (int)list[2], (int)list[3]);
		TELL(syscall(SYS_setgroups, 70000, list));
		TELL(syscall(SYS_setgroups, 1, (void *)8));
		TELL(getgroups(-1, list));
	});
	return 0;
}

#include "check.h"

static pid_t main_tid;
static int cleared = 1;

static void *body(void *argument)
{
	char name[16];
	SHOW(gettid() != main_tid);
	SHOW(getpid() == main_tid);
	prctl(PR_SET_NAME, "worker");
	prctl(PR_GET_NAME, name);
	printf("%s\n", name);
	SHOW(tgkill(getpid(), main_tid, 0) == 0);
	TELL(syscall(SYS_tgkill, getpid() + 100000, gettid(), 0));
	// A thread of its own credentials: the raw call changes only this one.
	TELL(syscall(SYS_setresuid, 5, 5, 5));
	printf("uid %d\n", (int)syscall(SYS_getuid));
	TELL(setpgid(gettid(), 0));
	SHOW(getpgid(gettid()) == getpgid(0));
	return argument;
}

int main(void)
{
	char name[16];
	main_tid = gettid();
	SHOW(syscall(SYS_set_tid_address, &cleared) == main_tid);
	pthread_t thread;
	pthread_create(&thread, NULL, body, NULL);
	pthread_join(thread, NULL);
	prctl(PR_GET_NAME, name);
	printf("%s\n", name);
	printf("uid %d\n", (int)getuid());
	return 0;
}

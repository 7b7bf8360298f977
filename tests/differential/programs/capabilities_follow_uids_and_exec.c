#include "check.h"
#include <linux/capability.h>
#include <linux/prctl.h>

static struct __user_cap_data_struct data[2];
static struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };

static int has(int set, int capability)
{
	syscall(SYS_capget, &header, data);
	unsigned word = set == 0 ? data[0].effective : set == 1 ? data[0].permitted : data[0].inheritable;
	return word >> capability & 1;
}

static void show(const char *when)
{
	printf("%s: CHOWN %d%d%d KILL %d%d%d ambient %d bounding %d\n", when, has(0, CAP_CHOWN), has(1, CAP_CHOWN), has(2, CAP_CHOWN),
	       has(0, CAP_KILL), has(1, CAP_KILL), has(2, CAP_KILL), prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0),
	       prctl(PR_CAPBSET_READ, CAP_KILL));
}

static void set(int chown_bits, int kill_bits)
{
	unsigned sets[3] = { 0 };
	for (int i = 0; i < 3; i++)
		sets[i] = (chown_bits >> i & 1) << CAP_CHOWN | (kill_bits >> i & 1) << CAP_KILL | (i < 2 ? 1u << CAP_SETPCAP : 0);
	data[0] = (struct __user_cap_data_struct){ sets[0], sets[1], sets[2] };
	data[1] = (struct __user_cap_data_struct){ 0, 0, 0 };
	TELL(syscall(SYS_capset, &header, data));
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		show(argv[1]);
		return 0;
	}
	IN_CHILD({
		show("root");
		setresuid(1000, 1000, 1000);
		show("user");
		TELL(prctl(PR_SET_KEEPCAPS, 1));
	});
	IN_CHILD({
		prctl(PR_SET_KEEPCAPS, 1);
		setresuid(1000, 1000, 1000);
		show("kept");
		set(7, 7);
		show("raised");
		set(7, 0);
		set(7, 7);
		TELL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
		TELL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
		show("ambient");
		TELL(prctl(PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0));
		TELL(prctl(PR_CAPBSET_DROP, 99, 0, 0, 0));
		execl("/proc/self/exe", argv[0], "after exec", NULL);
	});
	IN_CHILD({
		setresuid(1000, 1000, 1000);
		execl("/proc/self/exe", argv[0], "user after exec", NULL);
	});
	IN_CHILD({
		prctl(PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0);
		execl("/proc/self/exe", argv[0], "root without KILL", NULL);
	});
	IN_CHILD({
		seteuid(1000);
		show("effective user");
		seteuid(0);
		show("root again");
	});
	header.version = 1;
	TELL(syscall(SYS_capget, &header, data));
	printf("%x\n", header.version);
	header.pid = -1;
	TELL(syscall(SYS_capget, &header, data));
	TELL(syscall(SYS_capget, NULL, NULL));
	return 0;
}

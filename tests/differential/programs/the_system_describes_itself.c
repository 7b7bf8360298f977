#include "check.h"
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

int main(void)
{
	struct utsname name;
	struct sysinfo info;
	struct statfs stat;
	TELL(uname(&name));
	printf("%s %s\n", name.sysname, name.machine);
	SHOW(atoi(name.release) >= 4);
	TELL(sysinfo(&info));
	SHOW(info.uptime >= 0 && info.totalram > 1 << 20 && info.freeram <= info.totalram && info.procs > 0 && info.mem_unit > 0);
	TELL(sethostname("x", -1));
	TELL(sethostname("x", 100));
	IN_CHILD({
		MUST(setresuid(1000, 1000, 1000));
		TELL(sethostname("x", 1));
		TELL(setdomainname("x", 1));
	});
	TELL(statfs("/proc", &stat));
	printf("%lx\n", (long)stat.f_type);
	TELL(statfs("/dev/shm", &stat));
	printf("%lx %ld\n", (long)stat.f_type, (long)stat.f_namelen);
	TELL(statfs(".", &stat));
	SHOW(stat.f_bsize >= 512 && stat.f_blocks > 0 && stat.f_namelen == 255);
	TELL(statfs("missing", &stat));
	TELL(fstatfs(99, &stat));
	unsigned cpu = 99, node = 99;
	TELL(syscall(SYS_getcpu, &cpu, &node, NULL));
	SHOW(cpu < 1024 && node < 64);
	TELL(sysconf(_SC_PAGESIZE));
	TELL(sysconf(_SC_CLK_TCK));
	return 0;
}

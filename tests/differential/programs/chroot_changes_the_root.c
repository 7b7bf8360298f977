#include "check.h"

int main(void)
{
	char path[PATH_MAX];
	mkdir("root", 0755);
	mkdir("root/sub", 0755);
	put("root/file", "", 0644);
	symlink("/file", "root/sub/link");
	put("outside", "", 0644);
	int outside = MUST(open(".", O_RDONLY));
	TELL(chroot("outside"));
	TELL(chroot("missing"));
	IN_CHILD({
		MUST(chroot("root"));
		// The working directory is outside now.
		TELL(access("outside", F_OK));
		TELL(syscall(SYS_getcwd, path, sizeof path) > 0);
		printf("%.13s\n", path);
		TELL(chdir("/"));
		TELL(syscall(SYS_getcwd, path, sizeof path));
		printf("%s\n", path);
		TELL(access("/../../file", F_OK));
		TELL(access("/sub/link", F_OK));
		TELL(access("/outside", F_OK));
		TELL(fchdir(outside));
		TELL(access("outside", F_OK));
		MUST(setresuid(1000, 1000, 1000));
		TELL(chroot("/"));
	});
	TELL(access("/etc/passwd", F_OK));
	return 0;
}

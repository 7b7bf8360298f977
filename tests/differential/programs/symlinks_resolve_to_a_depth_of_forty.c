#include "check.h"

int main(void)
{
	char name[16], previous[16] = "target";
	put("target", "t", 0644);
	for (int i = 1; i <= 42; i++) {
		snprintf(name, sizeof name, "l%d", i);
		symlink(previous, name);
		strcpy(previous, name);
	}
	TELL(access("l40", F_OK));
	TELL(access("l41", F_OK));
	struct stat stat;
	TELL(lstat("l42", &stat));
	printf("%o %ld\n", stat.st_mode, (long)stat.st_size);
	symlink(".", "here");
	TELL(access("here/here/here/here/target", F_OK));
	symlink("..", "up");
	mkdir("dir", 0755);
	symlink("../target", "dir/rel");
	TELL(access("dir/rel", F_OK));
	symlink("target/", "slashed");
	TELL(access("slashed", F_OK));
	symlink("dir/", "dirslash");
	TELL(access("dirslash/rel", F_OK));
	TELL(lstat("dirslash/", &stat));
	printf("%o\n", stat.st_mode & S_IFMT);
	TELL(lstat("dirslash", &stat));
	printf("%o\n", stat.st_mode & S_IFMT);
	return 0;
}

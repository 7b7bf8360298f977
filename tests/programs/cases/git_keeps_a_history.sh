# needs: git
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' HOME=$PWD
git config --global user.email a@b; git config --global user.name n; git config --global init.defaultBranch main
git init -q r && cd r && for i in 1 2 3 4 5; do echo "$i" > f$i; git add .; git commit -qm "commit $i"; done
git log --oneline | cat; git branch b; git checkout -q b; echo b >> f1; git commit -qam b; git checkout -q main; git merge -q --no-edit b; git status --short; git diff HEAD~1 --stat | cat
git clone -q "file://$PWD" ../c && git -C ../c log --format=%H | wc -l; git gc -q && git fsck 2>&1 | head -3; git stash list; git tag v1; git describe --tags; git grep -n b | cat; git archive HEAD | tar t | sort

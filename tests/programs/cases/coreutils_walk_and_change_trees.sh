# needs: coreutils findutils
mkdir -p t/{a,b,c}/{1,2,3}; for i in $(seq 50); do echo "file $i" > t/a/1/f$i; done
find t -type f | sort | wc -l; find t -type d | sort | head -5
cp -a t u; diff -r t u && echo same; mv u/a u/moved; ls u | sort
ln -s ../b t/a/link; readlink t/a/link; ln t/a/1/f1 t/hard; stat -c '%h %s' t/hard
chmod 640 t/hard; stat -c '%a %A' t/hard; touch -d '2020-01-02 03:04:05 UTC' t/hard; TZ=UTC stat -c '%y' t/hard
du -a t | wc -l; rm -r t/a/1; find t | wc -l; df . > /dev/null && echo df
seq 1000 | sort -R --random-source=/bin/true 2>/dev/null | sort -n | md5sum; seq 100000 | sha256sum; head -c 1000000 /dev/zero | wc -c
split -n 3 <(seq 30) 2>/dev/null || { seq 30 > s; split -l 10 s; cat xa?; }
mkfifo p; (echo through fifo > p &); cat p; truncate -s 5 s; wc -c s; dd if=/dev/zero of=z bs=1k count=3 2>/dev/null; cmp z z && echo cmp
timeout 0.2 sleep 5; echo "timeout: $?"; nice -n 5 nice; env -i A=1 env; id -u; tee x < s > y; tail -c 3 y | od -c | head -1

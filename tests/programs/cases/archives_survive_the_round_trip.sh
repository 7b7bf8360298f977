# needs: tar gzip xz-utils zstd
mkdir -p d/e; for i in $(seq 200); do seq $i > d/e/$i; done; ln -s e/1 d/l; mkfifo d/p; chmod 711 d/e
for z in gz xz zst; do tar caf a.tar.$z d; mkdir o$z; tar xf a.tar.$z -C o$z; diff -r d/e o$z/d/e && echo "$z same"; stat -c '%a %F' o$z/d/e o$z/d/l o$z/d/p; done
tar cf - d | md5sum > /dev/null; tar tf a.tar.gz | wc -l; gzip -k -9 d/e/200; zcat d/e/200.gz | cmp - d/e/200 && echo gzip; xz -k d/e/199; xz -dc d/e/199.xz | cmp - d/e/199 && echo xz; zstd -q d/e/198; zstd -dcq d/e/198.zst | cmp - d/e/198 && echo zstd

# needs: python3
/usr/bin/python3 - <<'P'
import sqlite3, mmap, os, tempfile, json, hashlib, shutil, pathlib
db = sqlite3.connect("x.db"); db.execute("pragma journal_mode=wal"); db.execute("create table t(a integer primary key, b text)")
with db: db.executemany("insert into t(b) values(?)", [(str(i),) for i in range(2000)])
print(db.execute("select count(*), sum(a) from t").fetchone()); db.close()
with open("m", "wb") as f: f.truncate(1 << 20)
with open("m", "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
    m[:5] = b"hello"; m[-3:] = b"end"; m.flush(); print(m.find(b"end"))
print(open("m", "rb").read()[:5], hashlib.md5(open("m", "rb").read()).hexdigest())
p = pathlib.Path("d"); p.mkdir(); [(p / str(i)).write_text("x" * i) for i in range(100)]
print(sum(f.stat().st_size for f in p.iterdir()), len(list(p.glob("9*")))); shutil.rmtree(p); print(p.exists())
with tempfile.NamedTemporaryFile(dir=".") as f: f.write(b"x"); print(f.seekable(), os.path.exists(f.name))
print(os.path.exists(f.name), json.dumps({"k": [1, 2]}))
P

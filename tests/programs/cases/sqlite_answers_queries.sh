# needs: sqlite3
sqlite3 d.db "create table t(a,b); with recursive c(x) as (select 1 union all select x+1 from c where x<3000) insert into t select x, x*x from c; create index i on t(a); select count(*), sum(b) from t; select * from t where a=77; pragma integrity_check; begin; delete from t where a>10; rollback; select max(a) from t;"
sqlite3 d.db .dump | md5sum; sqlite3 d.db 'vacuum'; sqlite3 -csv d.db 'select * from t limit 2'

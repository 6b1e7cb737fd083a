set -eu
# The shell of SQLite 3.40.1, made from Debian's source in $SOURCE.
cp -R "$SOURCE" source
(cd source && ./configure --disable-tcl >configure.log 2>&1 && make sqlite3.c shell.c >make.log 2>&1) || {
	tail -n 20 source/configure.log source/make.log
	exit 1
}
clang --target=wasm32-wasi -Os -w -I. -Isource -include compat.h \
	-DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_OMIT_WAL -DSQLITE_MAX_MMAP_SIZE=0 \
	'-DSQLITE_DEFAULT_UNIX_VFS="unix-none"' -DSQLITE_NOHAVE_SYSTEM -DSQLITE_OMIT_POPEN \
	-D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_GETPID -D_WASI_EMULATED_MMAN -D_WASI_EMULATED_PROCESS_CLOCKS \
	-o sqlite.wasm source/sqlite3.c source/shell.c \
	-lwasi-emulated-signal -lwasi-emulated-getpid -lwasi-emulated-mman -lwasi-emulated-process-clocks

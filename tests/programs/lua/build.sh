set -eu
# Lua 5.4.4 as Debian has it in $SOURCE.
sources=$(ls "$SOURCE"/src/l*.c | grep -v /luac.c)
# shellcheck disable=SC2086
clang --target=wasm32-wasi -O2 -w -I. -include compat.h \
	-D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS \
	'-DLUAI_TRY(L,c,a)={ a }' '-DLUAI_THROW(L,c)=abort()' -Dluai_jmpbuf=int \
	-o lua.wasm $sources \
	-lwasi-emulated-signal -lwasi-emulated-process-clocks -Wl,-z,stack-size=1048576

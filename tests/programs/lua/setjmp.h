/* Debian's wasi-libc has none. An error in Lua ends the program instead. */
typedef int jmp_buf[1];

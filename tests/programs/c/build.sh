set -eu
clang --target=wasm32-wasi -O2 -o c.wasm main.c

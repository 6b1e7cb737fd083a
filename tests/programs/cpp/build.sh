set -eu
clang++ --target=wasm32-wasi -O2 -std=c++17 -fno-exceptions -o cpp.wasm main.cpp

set -eu
export ZIG_GLOBAL_CACHE_DIR="$PWD/cache" ZIG_LOCAL_CACHE_DIR="$PWD/cache" PYTHONPATH="$ZIG"
python3 -m ziglang build-exe main.zig -target wasm32-wasi -O ReleaseSmall -femit-bin=zig.wasm

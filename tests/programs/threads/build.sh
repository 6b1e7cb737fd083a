set -eu
cargo build --quiet --release --locked --target wasm32-wasip1-threads --target-dir target
mv target/wasm32-wasip1-threads/release/threads.wasm .

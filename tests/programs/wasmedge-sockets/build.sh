set -eu
cargo build --quiet --release --locked --target wasm32-wasip1 --target-dir target
mv target/wasm32-wasip1/release/wasmedge-sockets.wasm by-hand.wasm
mv target/wasm32-wasip1/release/by-crate.wasm .
cargo build --quiet --release --locked --target wasm32-wasip1-threads --target-dir target --bin wasmedge-sockets
mv target/wasm32-wasip1-threads/release/wasmedge-sockets.wasm with-threads.wasm

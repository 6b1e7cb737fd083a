set -eu
cargo build --quiet --release --locked --target wasm32-wasip2 --target-dir target
mv target/wasm32-wasip2/release/requests.wasm .

set -eu
# Stable Rust has no target for WASI 0.3: the interfaces come with the crate, the rest is 0.2.
cargo build --quiet --release --locked --target wasm32-wasip2 --target-dir target
mv target/wasm32-wasip2/release/streams.wasm .

set -eu
# Sockets of WASI 0.2 are not a promise of tokio's yet.
export RUSTFLAGS='--cfg tokio_unstable'
cargo build --quiet --release --locked --target wasm32-wasip2 --target-dir target
mv target/wasm32-wasip2/release/*.wasm .

set -eu
for target in wasm32-wasip1 wasm32-wasip2; do
	cargo build --quiet --release --locked --target $target --target-dir target
done
mv target/wasm32-wasip1/release/sockets.wasm module.wasm
mv target/wasm32-wasip2/release/sockets.wasm component.wasm

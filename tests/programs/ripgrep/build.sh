set -eu
# As published, without a patch.
for target in wasm32-wasip1 wasm32-wasip2; do
	CARGO_TARGET_DIR=target cargo install --quiet ripgrep --version "=15.2.0" --locked --no-track \
		--target $target --root $target
done
mv wasm32-wasip1/bin/rg.wasm module.wasm
mv wasm32-wasip2/bin/rg.wasm component.wasm

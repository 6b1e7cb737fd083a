set -eu
npm install --silent --ignore-scripts --no-audit --no-fund --no-save
node_modules/.bin/asc main.ts --config node_modules/@assemblyscript/wasi-shim/asconfig.json -O -o assemblyscript.wasm

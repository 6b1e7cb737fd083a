set -eu
export PYTHONPATH="$COMPONENTIZE_PY"
python3 "$COMPONENTIZE_PY/bin/componentize-py" -d "$WIT" -w wasi:cli/command@0.2.12 \
	componentize app -p . -p "$CLIENTS" -o databases.wasm

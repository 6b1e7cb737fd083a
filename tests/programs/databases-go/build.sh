set -eu
export GOOS=wasip1 GOARCH=wasm GOCACHE="$PWD/cache" GOPATH="$PWD/path" GOTOOLCHAIN=local GOFLAGS=-modcacherw
"$GO/go/bin/go" build -ldflags=-s -o databases.wasm .

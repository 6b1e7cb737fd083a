# What the benchmarks here begin with, and the peers they compare with. Sourced; does nothing by itself.
#
# `begin` sets $tree and $benches (these directories), $work (a directory that goes with the benchmark, and where
# it then is), $lighter (a copy of the program in $work) and $wasmtime (the peer, or nothing).

tree=$(CDPATH='' cd "$(dirname "$0")/.." && pwd)
benches=$tree/benches
. "$tree/scripts/needs.sh"

# The version that Lighter is built on: another one would compare two compilers.
WASMTIME_VERSION=48.0.8

cache=${LIGHTER_BENCH_CACHE:-$HOME/.cache/lighter-bench}

# The scripts in Python share modules, and leave nothing beside them.
export PYTHONPATH="$benches" PYTHONDONTWRITEBYTECODE=1

# begin [LIGHTER]
begin() {
	if [ $# -gt 0 ]; then
		given=$(realpath "$1")
	else
		(cd "$tree" && cargo build --profile dist --bin lighter)
		given=${CARGO_TARGET_DIR:-$tree/target}/x86_64-unknown-linux-musl/dist/lighter
	fi
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	# A shell that a signal ends leaves without the above.
	trap 'exit 1' HUP INT TERM
	export LIGHTER_DATA_ROOT="$work/data" LIGHTER_RUN_ROOT="$work/run"
	cp "$given" "$work/lighter"
	lighter=$work/lighter
	cd "$work"
	find_wasmtime
	# Whoever reads the numbers must know: medians, rates and tails are then not the program's alone.
	read -r load _ </proc/loadavg
	say "load of the machine before: $load"
}

find_wasmtime() {
	wasmtime=$(command -v wasmtime || true)
	[ -n "$wasmtime" ] || [ ! -x "$cache/bin/wasmtime" ] || wasmtime=$cache/bin/wasmtime
	if [ -z "$wasmtime" ]; then
		absent "wasmtime $WASMTIME_VERSION"
		return
	fi
	case $("$wasmtime" --version) in
	"wasmtime $WASMTIME_VERSION"*) ;;
	*) say "note: $("$wasmtime" --version) is compared with, not $WASMTIME_VERSION" ;;
	esac
}

# absent WHAT: says that a row is left out.
absent() {
	say "ABSENT: $1 (benches/setup installs it)"
}

# build_guest SOURCE TARGET OUTPUT: compiles a guest of benches/guests.
build_guest() {
	rustc --edition 2024 -C opt-level=3 --target "$2" -o "$3" "$benches/guests/$1"
}

# warm PROGRAM...: has Lighter's cache and, if wasmtime is there, a PROGRAM.cwasm.
warm() {
	for program in "$@"; do
		"$lighter" compile "$program"
		[ -z "$wasmtime" ] || "$wasmtime" compile "$program" -o "${program%.*}.cwasm"
	done
	# What was changed a moment ago is hashed again at its next use: let it settle, and use it.
	sleep 0.1
	for program in "$@"; do
		"$lighter" compile "$program"
	done
}

# as_container_host COMMAND...: runs a command where `crun` works too.
#
# It refuses to work beside the unified hierarchy of hybrid control groups, so this is not there for the
# command and its peers. Done once outside of what is measured.
as_container_host() {
	if [ "$(id -u)" = 0 ]; then
		unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"' sh "$@"
	else
		"$@"
	fi
}

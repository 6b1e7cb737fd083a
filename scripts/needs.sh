# What `scripts/try` and `scripts/test` need, and how they get it. Sourced by both; does nothing by itself.
#
# A Debian package is written PACKAGE=PROBE, and is there if PROBE is: a command, or a file if it begins with `/`.
# A machine that has everything needs no network and no rights.

# The newest toolchain that is known to build this tree without a warning.
LIGHTER_TOOLCHAIN=1.95.0

# For the product. Build scripts run on this machine, so they want `cc`; the product is linked by clang and lld.
PACKAGES_TO_BUILD='gcc=cc libc6-dev=/usr/include/stdio.h clang=clang lld=ld.lld musl-tools=musl-gcc'

# For the tests: guests in C and C++, the clients that fetch the others, and whom some talk to.
PACKAGES_TO_TEST='wasi-libc=/usr/include/wasm32-wasi/stdio.h
libclang-rt-dev-wasm32=/usr/lib/llvm-14/lib/clang/14.0.6/lib/wasi/libclang_rt.builtins-wasm32.a
libc++-14-dev-wasm32=/usr/lib/wasm32-wasi/libc++.a
libc++abi-14-dev-wasm32=/usr/lib/wasm32-wasi/libc++abi.a
make=make tcl=tclsh xz-utils=xz curl=curl openssl=openssl python3=python3 python3-pip=pip3 nodejs=node npm=npm
nginx-light=nginx redis-server=redis-server postgresql=pg_ctlcluster iperf3=iperf3 dnsutils=dig netcat-openbsd=nc socat=socat iproute2=ip'

say() {
	printf '%s\n' "$*" >&2
}

die() {
	say "$*"
	exit 1
}

# need_packages PACKAGE=PROBE...
need_packages() {
	missing=
	for pair in "$@"; do
		probe=${pair#*=}
		case $probe in
		/*) [ -e "$probe" ] || missing="$missing ${pair%%=*}" ;;
		*) command -v "$probe" >/dev/null 2>&1 || missing="$missing ${pair%%=*}" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null 2>&1 || die "please install what Debian calls:$missing"
	if [ "$(id -u)" = 0 ]; then
		as_root=
	elif command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
		as_root=sudo
	else
		die "please install these packages as root: apt-get install$missing"
	fi
	say "installing:$missing"
	# Words are split on purpose: $as_root may be nothing, $missing is a list.
	# shellcheck disable=SC2086
	{
		$as_root apt-get update -qq </dev/null
		$as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends $missing </dev/null >&2
	} || die "could not install:$missing"
	# Debian starts a server as soon as it is installed; the tests start their own.
	for package in $missing; do
		case $package in
		nginx-light | redis-server | postgresql)
			[ ! -d /run/systemd/system ] || $as_root systemctl disable --quiet --now "${package%-light}" </dev/null ||
				say "could not stop $package"
			;;
		esac
	done
}

# need_rust TARGET...
need_rust() {
	command -v rustup >/dev/null 2>&1 || PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
	command -v rustup >/dev/null 2>&1 || die "please install rustup first: it brings Rust"
	case $(rustc --version 2>/dev/null) in
	"rustc ${LIGHTER_TOOLCHAIN%.*}."*) ;;
	*)
		rustup run "$LIGHTER_TOOLCHAIN" rustc --version >/dev/null 2>&1 ||
			rustup toolchain install "$LIGHTER_TOOLCHAIN" --profile minimal ||
			die "could not install Rust $LIGHTER_TOOLCHAIN"
		RUSTUP_TOOLCHAIN=$LIGHTER_TOOLCHAIN
		export RUSTUP_TOOLCHAIN
		;;
	esac
	have=$(rustup target list --installed)
	for target in "$@"; do
		case "
$have
" in
		*"
$target
"*) ;;
		*) rustup target add "$target" || die "could not install Rust's target $target" ;;
		esac
	done
}

# need_rust_components COMPONENT=COMMAND...
need_rust_components() {
	for pair in "$@"; do
		"${pair#*=}" --version >/dev/null 2>&1 || rustup component add "${pair%%=*}" ||
			die "could not install Rust's ${pair%%=*}"
	done
}

# shellcheck shell=sh disable=SC2034,SC2154
# setup.sh - what deploy/quickstart, tests/run and .ci/run share: installing
# missing packages and building.  To be sourced, with $source set to the top of
# the source tree and $program to the name to speak under.

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

say() {
	printf '%s\n' "$*"
}

# One line: what is wrong and what to do.
die() {
	printf '%s: %s\n' "$program" "$*" >&2
	exit 1
}

# --- packages: one a line, with what it is for ------------------------------

packages_build='
gcc                    compiles
libc6-dev              headers of the C library
make                   builds
autoconf               makes configure
automake               makes Makefile.in
pkg-config             finds the libraries
libfcgi-dev            the worker: FastCGI
libhiredis-dev         the worker: Redis
libsodium-dev          the worker: tokens
libjansson-dev         worker and agent: JSON
uthash-dev             the worker: hash tables
libev-dev              worker and agent: event loop
libcurl4-openssl-dev   the agent: HTTP
libsystemd-dev         tells systemd when it is ready
curl                   asks whether it works'

packages_redis='
redis-server           what the workers share'

packages_lighttpd='
lighttpd               the web server'

packages_apache='
apache2-bin            the web server'

packages_tests='
libcriterion-dev       the frame of the tests
python3                the second native agent (tests/native_peer.py)
lighttpd-mod-openssl   TLS in lighttpd
openssl                certificates for the tests'

packages_ci='
clang                  the other compiler
clang-tidy             reads the code
clang-tools            reads the code: scan-build
cppcheck               reads the code
libclang-rt-14-dev     its sanitizers
valgrind               memory checks without a rebuild
shellcheck             checks the scripts
nftables               ends slow heads for lighttpd
iproute2               network namespaces
mandoc                 checks the manual pages
systemd                rates the units
xz-utils               make distcheck'

package_is_installed() {
	status=$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) &&
	    test "$status" = installed
}

# Installs those of "name purpose" lines that are missing.  Services that come
# with them are neither started nor enabled.
setup_packages() {
	if ! command -v apt-get >/dev/null 2>&1; then
		setup_without_apt "$1"
		return
	fi
	missing=
	while read -r name purpose; do
		test -n "$name" || continue
		package_is_installed "$name" && continue
		test -n "$missing" || say "missing packages:"
		printf '    %-22s %s\n' "$name" "$purpose"
		missing="$missing $name"
	done <<-END
	$1
	END
	test -n "$missing" || return 0

	root=
	if test "$(id -u)" -ne 0; then
		command -v sudo >/dev/null 2>&1 || die "packages are missing" \
		    "and there is no sudo: as root run apt-get install$missing"
		root=sudo
	fi
	say "installing them with apt-get${root:+ (by sudo)}:"
	$root apt-get -q update || die "apt-get update failed: see above;" \
	    "then run this again, or apt-get install$missing"
	policy=/usr/sbin/policy-rc.d
	test -e $policy && policy=
	test -n "$policy" && printf '#!/bin/sh\nexit 101\n' |
	    $root tee "$policy" >/dev/null && $root chmod 755 "$policy"
	# shellcheck disable=SC2086  # words are wanted
	$root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
	    -o Dpkg::Use-Pty=0 install --no-install-recommends $missing \
	    </dev/null
	result=$?
	test -n "$policy" && $root rm -f "$policy"
	test "$result" -eq 0 || die "apt-get could not install:$missing" \
	    "(see above; then run this again)"
	for name in $missing; do
		case $name in
		redis-server|lighttpd)
			command -v systemctl >/dev/null 2>&1 &&
			    $root systemctl --quiet disable "$name" \
			    >/dev/null 2>&1
			;;
		esac
	done
	return 0
}

# Another system: all right if what the packages bring is there.
setup_without_apt() {
	case $1 in *autoconf*)
		for tool in cc make autoreconf pkg-config; do
			command -v $tool >/dev/null 2>&1 || die \
			    "no apt-get here, and no $tool: install by hand" \
			    "what README.md lists under Building"
		done
	esac
}

# --- building ---------------------------------------------------------------

# Runs a step with its output in a log; on failure its first error, in a line.
setup_step() {
	setup_name=$1
	setup_log=$2
	shift 2
	say "$setup_name"
	if ! "$@" >"$setup_log" 2>&1 </dev/null; then
		test -z "${CI-}" || tail -n 60 "$setup_log" >&2
		error=$(grep -m 1 -E 'undefined reference|rror:|rror [0-9]|annot|o rule' "$setup_log")
		die "$setup_name failed: ${error:-no message}; the whole of" \
		    "it is in $setup_log"
	fi
}

# setup_build directory [configure option ...]: builds what is not up to date.
setup_build() {
	build=$1
	shift
	mkdir -p "$build" 2>/dev/null
	test -w "$build" ||
	    die "can't write to $build: make it yours, or clone elsewhere"
	if test ! -e "$source/configure" || test ! -e "$source/Makefile.in" ||
	    test "$source/configure.ac" -nt "$source/configure" ||
	    test "$source/Makefile.am" -nt "$source/Makefile.in"; then
		setup_step "autoreconf" "$build/autoreconf.log" \
		    autoreconf -i "$source"
	fi
	# What configure found out is old when an optional library has come.
	configured="$*"
	for library in criterion libsystemd; do
		pkg-config --exists $library &&
		    configured="$configured $library"
	done
	if test ! -e "$build/Makefile" ||
	    test "$(cat "$build/configured" 2>/dev/null)" != "$configured"
	then
		(cd "$build" && setup_step "configure${*:+ $*}" \
		    "$build/configure.log" "$source/configure" "$@") || exit 1
		printf '%s\n' "$configured" >"$build/configured"
	fi
	setup_step "make (in $build)" "$build/make.log" \
	    make -C "$build" -j "$(nproc)"
}

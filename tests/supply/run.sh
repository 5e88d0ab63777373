#!/bin/sh
# Checks the crates that we depend on, as `make supply` does: licences, duplicates, sources, advisories, yanked
# versions, and a build with the oldest versions of crates and of Rust that Cargo.toml allows. Writes a bill of materials.
# Each part, or those that the arguments name, reports its result in one line. The status is 1 if a part failed. A part that cannot be checked on this
# machine does not fail; the last line and target/supply/unchecked name all of them.
set -u

cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}
supply=$PWD/target/supply
mkdir -p "$supply"
export KAMAILIO_SRC="${KAMAILIO_SRC:-$PWD/target/kamailio-src}"
DENY=0.20.2
CYCLONEDX=0.5.9
bad=

says() { echo "supply: $*"; }
failed() { says "$1: FAILED" && bad=1; }
unchecked() { says "$1: NOT CHECKED, $2" && echo "$1" >>"$supply/unchecked"; }
: >"$supply/unchecked"

# Installs crate $1 of version $2 below target/supply, if it is not there yet. It is hardly optimized, because building
# takes longer than running.
tool() {
	grep -qs "^\"$1 $2 " "$supply/.crates.toml" && return
	says "building $1 $2: some minutes, once"
	CARGO_TARGET_DIR=$supply/build CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
		CARGO_PROFILE_RELEASE_OPT_LEVEL=1 "$cargo" install --quiet --locked --force --root "$supply" "$1@$2"
}

# Checks licences, duplicates and sources, and advisories if their database can be fetched.
deny() { "$supply/bin/cargo-deny" --workspace --locked "$@"; }

crates() {
	tool cargo-deny $DENY && deny check --hide-inclusion-graph licenses bans sources || { failed "crates" && return; }
	if ! deny fetch db >"$supply/advisories.log" 2>&1; then
		unchecked advisories "their database cannot be fetched here; where it can, run \
$supply/bin/cargo-deny --workspace check advisories"
	elif deny check advisories; then
		says "advisories: none"
	else
		failed "advisories"
	fi
}

# Looks for yanked versions. A new resolution never takes one, so a resolution that asks for exactly the versions of
# Cargo.lock fails at the first that is yanked.
yanked() {
	exact=$supply/exact
	rm -rf "$exact" && mkdir -p "$exact/src" && : >"$exact/src/lib.rs"
	awk -F '"' '
		BEGIN { print "[package]\nname = \"exact\"\nedition = \"2021\"\n[workspace]\n[dependencies]" }
		/^name = / { name = $2 }
		/^version = / { version = $2 }
		/^source = / { printf "a%d = { package = \"%s\", version = \"=%s\", default-features = false }\n", ++n, name, version }
	' Cargo.lock >"$exact/Cargo.toml"
	if "$cargo" generate-lockfile --quiet --manifest-path "$exact/Cargo.toml"; then
		says "yanked versions: none of $(grep -c '^a' "$exact/Cargo.toml")"
	else
		failed "yanked versions"
	fi
}

# Writes the bill of materials: the crates that are linked into the module, without those that only build or test it.
# Cargo's metadata include the features that tests ask for, so it is made from a copy without tests. Its crates must be
# those that are linked, and it must not have this directory's path.
bill() {
	tool cargo-cyclonedx $CYCLONEDX || { failed "bill of materials" && return; }
	out=target/dispatcher.cdx.json
	linked=$("$cargo" tree --locked -p dispatcher --features kamailio --edges normal --prefix none --format '{p}' |
		sed -n 's/^\([^ ]*\) v\([^ ]*\).*/\1@\2/p' | sort -u)
	if copy bill && sed -i -e '/^\[dev-dependencies\]/,/^$/d' -e 's/^members = .*/members = []/' "$supply/bill/Cargo.toml" &&
		(cd "$supply/bill" && "$supply/bin/cargo-cyclonedx" cyclonedx --quiet --format json \
			--spec-version 1.5 --describe binaries --features kamailio --no-build-deps) &&
		sed "s|path+file://$supply/bill|path+file:///dispatcher|" "$supply/bill/dispatcher_cdylib-rlib.cdx.json" >$out &&
		! grep -F "$PWD" $out &&
		[ "$linked" = "$(sed -n 's!.*"purl": "pkg:cargo/\([^?"]*\).*!\1!p' $out | sort -u)" ]; then
		says "bill of materials: $out, $(echo "$linked" | wc -l) components with the module"
	else
		failed "bill of materials"
	fi
	rm -rf "$supply/bill"
}

# Copies the files that git tracks, as they are now, to target/supply/$1.
copy() {
	rm -rf "${supply:?}/$1" && mkdir -p "$supply/$1" && git ls-files -z | xargs -0 cp --parents -t "$supply/$1"
}

check_all() { # directory of the build, cargo and its arguments
	build=$1
	shift
	CARGO_TARGET_DIR=$supply/$build "$@" check --quiet --locked -p dispatcher -p dispatcher-harness \
		-p dispatcher-programs --features dispatcher/kamailio,dispatcher/server-tests --all-targets
}

# Builds with the oldest version of each crate that Cargo.toml allows. Only rustup's nightly can select these.
oldest_crates() {
	if ! "$cargo" +nightly --version >/dev/null 2>&1; then
		unchecked "oldest crates" "first run: rustup toolchain install nightly"
	elif copy oldest && (cd "$supply/oldest" && "$cargo" +nightly update --quiet -Zdirect-minimal-versions &&
		check_all oldest-build "$cargo"); then
		says "oldest crates: product and tests build with them"
	else
		failed "oldest crates"
	fi
	rm -rf "$supply/oldest"
}

# Builds with the Rust version that Cargo.toml names: this machine's, rustup's, or that of the distribution's
# packages, which are unpacked and not installed.
oldest_rust() {
	wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
	case $(rustc --version) in "rustc $wanted".*) says "Rust $wanted: it is the one that builds here" && return ;; esac
	if rustup run "$wanted" cargo --version >/dev/null 2>&1; then
		set -- rustup run "$wanted" cargo
	elif (unpack_rust "$wanted") && "$supply/rust/bin/rustc" --version | grep -q "^rustc $wanted"; then
		set -- env "PATH=$supply/rust/bin:$PATH" cargo
	else
		unchecked "Rust $wanted" "first run: rustup toolchain install $wanted" && return
	fi
	if check_all oldest-rust "$@"; then
		says "Rust $wanted: product and tests build with it"
	else
		failed "Rust $wanted"
	fi
}

unpack_rust() { # version
	[ ! -f "$supply/rust/.fetched" ] || return 0
	# shellcheck source=tests/programs/matrix/apt.sh
	. tests/programs/matrix/apt.sh
	private_apt "" "$supply/rust"
	for packages in "rustc cargo" "rustc-web cargo-web"; do
		case $(run apt-cache policy "${packages%% *}" | sed -n 's/^  Candidate: //p') in
			"$1".*)
				# shellcheck disable=SC2086
				fetch_packages $packages
				mkdir -p "$dest/bin"
				for program in cargo rustc rustdoc; do
					printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' \
						"$(ls -d "$dest"/root/usr/lib/*-linux-gnu)" "$dest/root/usr/bin/$program" >"$dest/bin/$program"
					chmod 755 "$dest/bin/$program"
				done
				rm -rf "$apt" && : >"$dest/.fetched"
				return
				;;
		esac
	done
	unavailable "supply: no Rust $1 among the distribution's packages"
}

for part in ${*:-crates yanked bill oldest_crates oldest_rust}; do
	$part
done
[ ! -s "$supply/unchecked" ] || says "not checked here: $(paste -s -d , "$supply/unchecked")"
[ -z "$bad" ]

#!/bin/sh
# Checks the crates of other people, as `make supply` does: licences, duplicates, sources, advisories, yanked
# versions, the oldest versions of them and the oldest Rust that Cargo.toml allows, and writes a bill of materials.
# Each part says in one line what became of it. Exit status 1 if one failed.
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

# Installs crate $1 of version $2 below target/supply, where it is not there yet. What is left out of the
# optimization is time of the compiler.
tool() {
	grep -qs "^\"$1 $2 " "$supply/.crates.toml" && return
	says "building $1 $2: some minutes, once"
	CARGO_TARGET_DIR=$supply/build CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
		CARGO_PROFILE_RELEASE_OPT_LEVEL=1 "$cargo" install --quiet --locked --force --root "$supply" "$1@$2"
}

# Licences, duplicates, sources; then advisories, where their database can be had.
deny() { "$supply/bin/cargo-deny" --workspace --locked "$@"; }

crates() {
	tool cargo-deny $DENY && deny check --hide-inclusion-graph licenses bans sources || { failed "crates" && return; }
	if ! deny fetch db >"$supply/advisories.log" 2>&1; then
		says "advisories: NOT CHECKED, their database cannot be fetched here; where it can, run" \
			"$supply/bin/cargo-deny --workspace check advisories"
	elif deny check advisories; then
		says "advisories: none"
	else
		failed "advisories"
	fi
}

# A new resolution never takes a yanked version, so one that asks for exactly those of Cargo.lock finds them all,
# or says which it does not.
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

# What is linked into the module, and nothing that only builds or tests it. Cargo's metadata join the features that
# tests ask for, so the copy has no tests; its list of crates must then be the one that is linked.
bill() {
	tool cargo-cyclonedx $CYCLONEDX || { failed "bill of materials" && return; }
	out=target/dispatcher.cdx.json
	linked=$("$cargo" tree --locked -p dispatcher --features kamailio --edges normal --prefix none --format '{p}' |
		sed -n 's/^\([^ ]*\) v\([^ ]*\).*/\1@\2/p' | sort -u)
	if copy bill && sed -i -e '/^\[dev-dependencies\]/,/^$/d' -e 's/^members = .*/members = []/' "$supply/bill/Cargo.toml" &&
		(cd "$supply/bill" && "$supply/bin/cargo-cyclonedx" cyclonedx --quiet --format json \
			--spec-version 1.5 --describe binaries --features kamailio --no-build-deps) &&
		cp "$supply/bill/dispatcher_cdylib-rlib.cdx.json" $out &&
		[ "$linked" = "$(sed -n 's!.*"purl": "pkg:cargo/\([^?"]*\).*!\1!p' $out | sort -u)" ]; then
		says "bill of materials: $out, $(echo "$linked" | wc -l) components with the module"
	else
		failed "bill of materials"
	fi
	rm -rf "$supply/bill"
}

# The files that git knows, as they are now, in target/supply/$1.
copy() {
	rm -rf "${supply:?}/$1" && mkdir -p "$supply/$1" && git ls-files -z | xargs -0 cp --parents -t "$supply/$1"
}

check_all() { # directory of the build, cargo and its arguments
	build=$1
	shift
	CARGO_TARGET_DIR=$supply/$build "$@" check --quiet --locked -p dispatcher -p dispatcher-harness \
		-p dispatcher-programs --features dispatcher/kamailio,dispatcher/server-tests --all-targets
}

# Each crate that we name in the oldest version that Cargo.toml allows. Only rustup's nightly can choose these.
oldest_crates() {
	if ! "$cargo" +nightly --version >/dev/null 2>&1; then
		says "oldest crates: NOT CHECKED, first run: rustup toolchain install nightly"
	elif copy oldest && (cd "$supply/oldest" && "$cargo" +nightly update --quiet -Zdirect-minimal-versions &&
		check_all oldest-build "$cargo"); then
		says "oldest crates: product and tests build with them"
	else
		failed "oldest crates"
	fi
	rm -rf "$supply/oldest"
}

# The Rust that Cargo.toml names: the distribution's, unpacked and not installed, unless the machine has that one.
oldest_rust() {
	wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
	case $(rustc --version) in "rustc $wanted".*) says "Rust $wanted: it is the one that builds here" && return ;; esac
	if rustup run "$wanted" cargo --version >/dev/null 2>&1; then
		set -- rustup run "$wanted" cargo
	elif (unpack_rust "$wanted") && "$supply/rust/bin/rustc" --version | grep -q "^rustc $wanted"; then
		set -- env "PATH=$supply/rust/bin:$PATH" cargo
	else
		says "Rust $wanted: NOT CHECKED, first run: rustup toolchain install $wanted" && return
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

crates
yanked
bill
oldest_crates
oldest_rust
[ -z "$bad" ]

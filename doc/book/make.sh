#!/bin/sh
# Makes the book, target/book/dispatcher.html, and the man pages, target/man, of the pages of the manual.
set -eu

cd "$(dirname "$0")/../.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
rm -rf target/book target/man
mkdir -p target/book target/man

make_with() { # arguments of pandoc...
	pandoc doc/book/contents.md --from gfm --standalone --lua-filter doc/book/book.lua "$@"
}

make_with --to html5 --self-contained --toc --toc-depth=2 --css doc/book/style.css \
	-M pagetitle="dispatcher $version" -M lang=en --output target/book/dispatcher.html

man_page() { # name, section, summary, pages...
	name=$1 section=$2 summary=$3
	shift 3
	make_with --to man -M title="$name" -V section="$section" -V footer="dispatcher $version" -V header=Kamailio \
		-M name="$name" -M summary="$summary" -M pages="$*" --output "target/man/$name.$section"
}

man_page kamailio-dispatcher 7 "select and watch SIP destinations in Kamailio" \
	start operate troubleshoot upgrade size secure parameters functions variables rpc events database metrics log-messages
man_page dispatcher.list 5 "destinations of Kamailio's module dispatcher" list-file
[ ! -e doc/reference/check.md ] ||
	man_page kamailio-dispatcher-check 1 "check lists of Kamailio's module dispatcher" check

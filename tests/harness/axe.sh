#!/bin/sh
# Fetches axe-core, which looks for faults of accessibility in the page, into target/axe/axe.min.js: from npm, or else
# out of a package of PyPI that ships it. Without either, the test that needs it is skipped and counted.
set -eu

NPM=axe-core@4.11.1
PYPI=axe-playwright-python==0.1.8

cd "$(dirname "$0")/../.."
to=$PWD/target/axe
[ ! -s "$to/axe.min.js" ] || exit 0
new=$to/new
rm -rf "$new"
mkdir -p "$new"
cd "$new"

from_npm() { npm pack --silent "$NPM" >/dev/null 2>&1 && tar -xzf axe-core-*.tgz && mv package/axe.min.js axe.min.js; }
from_pypi() {
	python3 -m pip download -q --no-deps "$PYPI" >/dev/null 2>&1 && python3 -m zipfile -e ./*.whl . &&
		mv axe_playwright_python/axe.min.js axe.min.js
}

if from_npm || from_pypi; then
	mv axe.min.js "$to/axe.min.js"
else
	echo "setup: neither npm nor pip brings axe-core: the page is not tested for accessibility" >&2
fi
rm -rf "$new"

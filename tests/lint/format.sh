#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Are all C files as clang-format would write them? format.sh [SOURCE_DIR]
# Exit status: 0 yes, 1 no, 77 no clang-format here (with CI=true that is 1).
set -u
source_dir=${1:-$(dirname "$0")/../..}
format=${CLANG_FORMAT:-clang-format}

cd "$source_dir" || exit 1
if ! command -v "$format" >/dev/null; then
	echo "clang-format is not installed: the format was not checked"
	[ "${CI:-}" = true ] && exit 1
	exit 77
fi
list=$(find lib server wrapper bgctl sm-notify stonith confsync lvm backup tests fuzz bench \
	-name '*.[ch]' 2>/dev/null | LC_ALL=C sort)
if [ -z "$list" ]; then
	echo "no C files in $source_dir"
	exit 1
fi
# No path in this tree has blanks.
# shellcheck disable=SC2086
"$format" --dry-run -Werror --style=file $list || exit 1
"$format" --version

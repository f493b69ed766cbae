#!/usr/bin/env bash
# Writes images/locks/*.txt, which list every package of each image with its version and hashes, for Linux on amd64 and arm64 and Python 3.11
# and newer.
#
# The development lock is resolved first, over all extras; the images' locks are constrained by it, so that the tested versions are
# also those in the images. The locks name no package index: pip uses the one that it is configured with.
# Usage: images/lock.sh [--upgrade]      (UV names the uv executable)
set -euo pipefail
cd "$(dirname "$0")/.."
uv="${UV:-uv}"

compile() { # compile <lock name> <extras…>: all locks but the development lock itself are constrained by the development lock
  local name="$1"; shift
  local arguments=(pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url
    --no-emit-find-links --fork-strategy fewest --output-file "images/locks/$name.txt")
  local extra
  for extra in "$@"; do arguments+=(--extra "$extra"); done
  [ "$name" = dev ] || arguments+=(--constraint images/locks/dev.txt --no-annotate)
  echo "lock: $name"
  "$uv" pip compile "${arguments[@]}" "${upgrade[@]}" >/dev/null
}

upgrade=()
[ "${1:-}" = --upgrade ] && upgrade=(--upgrade)
mkdir -p images/locks
compile dev operator train convert edge dev
upgrade=()
for image in operator train convert edge; do
  rm -f "images/locks/$image.txt"
  compile "$image" "$image"
done
if grep -nE '://|@ file' images/locks/*.txt; then
  echo "lock: a lock contains a download address; locks may only contain names, versions and hashes" >&2
  exit 1
fi

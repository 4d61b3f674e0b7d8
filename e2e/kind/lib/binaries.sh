# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a kind cluster needs beyond the lab's binaries, built from Go modules: kind itself, kubeadm and kube-proxy, containerd
# 2.x, crictl and CoreDNS. Each folder under go/ is one module, as in the lab.

KIND_MODULES="kind kubernetes containerd crictl coredns"

kind_binaries_key() { cache_key "@$KIND_SRC/go/$1" "$(declare -f kind_binaries_build kind_patient)" "$(uname -m)"; }

kind_binaries_dir() { cache_dir "kind-$1" "$(kind_binaries_key "$1")"; }

# kind_binaries_up: build what is missing, and link kind, kubectl and helm under $KIND/bin.
kind_binaries_up() {
	local module file
	for module in $KIND_MODULES; do
		BINARIES_MODULE=$module
		cache_build "kind-$module" "$(kind_binaries_key "$module")" kind_binaries_build
	done
	mkdir -p "$KIND/bin"
	for file in "$(kind_binaries_dir kind)/kind" "$(binaries_dir kubernetes)"/{kubectl,helm}; do ln -sfn "$file" "$KIND/bin/"; done
}

kind_binaries_build() {
	local out=$1 go tags='' flags='-s -w' version
	local -a targets
	go=$(binaries_go)
	cd "$KIND_SRC/go/$BINARIES_MODULE" || exit
	export GOFLAGS='-mod=readonly -buildvcs=false -gcflags=all=-dwarf=false' GOTOOLCHAIN=auto GOWORK=off
	case $BINARIES_MODULE in
	kind)
		kind_patient "$go" "$out/source"
		cd "$out/source"
		;;
	kubernetes)
		local at=k8s.io/component-base/version
		version=$("$go" list -m -f '{{.Version}}' k8s.io/kubernetes)
		flags="$flags -X $at.gitVersion=$version -X $at.gitMajor=1 -X $at.gitMinor=$(echo "$version" | cut -d. -f2)"
		;;
	containerd)
		version=$("$go" list -m -f '{{.Version}}' github.com/containerd/containerd/v2)
		tags=no_btrfs,no_zfs,no_devmapper
		flags="$flags -X github.com/containerd/containerd/v2/version.Version=$version"
		;;
	esac
	mapfile -t targets < <([ "$BINARIES_MODULE" = kind ] || "$go" mod edit -json | sed -n '/"Tool": \[/,/\]/s/.*"Path": "\(.*\)".*/\1/p')
	# CoreDNS is a main package of this repository's own, with few plugins; kind is built where its sources are.
	[ ${#targets[@]} -gt 0 ] || targets=(.)
	CGO_ENABLED=0 nice "$go" build -trimpath ${tags:+-tags "$tags"} -ldflags "$flags" -o "$out/" "${targets[@]}"
	rm -rf "$out/source"
}

# kind_patient GO DIR: copy kind's sources, with one change: kind waits ten minutes for a node's systemd, not half a minute.
# Three of them start at once on two emulated CPUs.
kind_patient() {
	local go=$1 dir=$2 source file=pkg/cluster/internal/providers/docker/provision.go
	source=$("$go" list -m -f '{{.Dir}}' sigs.k8s.io/kind)
	cp -r --no-preserve=mode "$source" "$dir"
	sed -i 's/context.Background(), 30\*time.Second)/context.Background(), 10*time.Minute)/' "$dir/$file"
	! cmp -s "$source/$file" "$dir/$file" || die "kind's wait for systemd is not where it was: see kind_patient"
}

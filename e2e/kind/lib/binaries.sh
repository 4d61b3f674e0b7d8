# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a kind cluster needs beyond the lab's binaries, built from Go modules: kind itself, kubeadm and kube-proxy, containerd
# 2.x, crictl and CoreDNS. Each directory under go/ is one module, as in the lab.

KIND_MODULES="kind kubernetes containerd crictl coredns"

kind_binaries_key() {
	local changes=''
	[ "$1" != kind ] || changes=$(declare -f kind_source kind_change)
	cache_key "@$KIND_SRC/go/$1" "$(declare -f kind_binaries_build)$changes" "$(uname -m)"
}

kind_binaries_dir() { cache_dir "kind-$1" "$(kind_binaries_key "$1")"; }

# Multus gives up when its pod's object has not come within 2.5 s. Beside the start of a pod the API server of an emulated cluster
# takes longer than that to answer.
kind_multus_key() { cache_key "$(binaries_key kubernetes)" "$(declare -f kind_multus_build kind_change)"; }
kind_multus_dir() { cache_dir kind-multus "$(kind_multus_key)"; }
kind_multus_build() {
	local out=$1 go module=gopkg.in/k8snetworkplumbingwg/multus-cni.v4 source
	go=$(binaries_go)
	cd "$LAB_SRC/go/kubernetes" || exit
	export GOFLAGS='-mod=readonly -buildvcs=false -gcflags=all=-dwarf=false' GOTOOLCHAIN=auto GOWORK=off
	source=$(kind_module_source "$go" "$module")
	cp -r --no-preserve=mode "$source" "$out/source"
	kind_change "$source" "$out/source" pkg/multus/multus.go 's/2500 \* time.Millisecond/time.Minute/'
	cp go.mod go.sum "$out/"
	"$go" mod edit -replace "$module=$out/source" "$out/go.mod"
	CGO_ENABLED=0 nice "$go" build -modfile "$out/go.mod" -trimpath -ldflags '-s -w' -o "$out/multus" "$module/cmd/multus"
	rm -r "$out/source" "$out/go.mod" "$out/go.sum"
}

# kind_binaries_up: build what is missing, and link kind, kubectl and helm under $KIND/bin.
kind_binaries_up() {
	local module file
	for module in $KIND_MODULES; do
		BINARIES_MODULE=$module
		cache_build "kind-$module" "$(kind_binaries_key "$module")" kind_binaries_build
	done
	cache_build kind-multus "$(kind_multus_key)" kind_multus_build
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
		kind_source "$go" "$out/source"
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

# kind_module_source GO MODULE: the directory of a module's sources, which the working directory's go.mod requires.
# `go list -m` names no directory as long as nobody has downloaded the module.
kind_module_source() {
	"$1" mod download "$2" >&2
	"$1" list -m -f '{{.Dir}}' "$2"
}

# kind_source GO DIR: copy kind's sources, with changes for emulated CPUs.
# - It waits an hour for a node's systemd, not half a minute: three of them start at once.
# - kubeadm does not log each try to reach the control plane: what carries the log to kind took a third of the CPUs.
# - Workers join one after another, each with three tries: beside the start of other nodes, kubeadm's requests time out.
# - kubeadm's configuration is in the version that has timeouts, v1beta4, from Kubernetes 1.31 on, which is the first to know it.
#   kind itself writes that version from 1.36 on.
kind_source() {
	local go=$1 dir=$2 source
	source=$(kind_module_source "$go" sigs.k8s.io/kind)
	cp -r --no-preserve=mode "$source" "$dir"
	kind_change "$source" "$dir" pkg/cluster/internal/providers/docker/provision.go \
		's/context.Background(), 30\*time.Second)/context.Background(), time.Hour)/'
	kind_change "$source" "$dir" pkg/cluster/internal/create/actions/kubeadminit/init.go 's/"--v=6"/"--v=1"/'
	kind_change "$source" "$dir" pkg/cluster/internal/create/actions/kubeadmjoin/join.go 's/"--v=6"/"--v=1"/'
	kind_change "$source" "$dir" pkg/cluster/internal/create/actions/kubeadmjoin/join.go \
		's/errors.UntilErrorConcurrent(fns)/inTurn(fns)/'
	cat >>"$dir/pkg/cluster/internal/create/actions/kubeadmjoin/join.go" <<-'E'

		func inTurn(fns []func() error) error {
			for _, fn := range fns {
				err := fn()
				for try := 1; err != nil && try < 3; try++ {
					err = fn()
				}
				if err != nil {
					return err
				}
			}
			return nil
		}
	E
	kind_change "$source" "$dir" pkg/cluster/internal/kubeadm/config.go 's/MustParseSemantic("v1.36.0")/MustParseSemantic("v1.31.0")/'
}

# kind_change SOURCE DIR FILE EXPRESSION: edit a file of the copy DIR with sed.
kind_change() {
	sed -i "$4" "$2/$3"
	! cmp -s "$1/$3" "$2/$3" || die "$3 of $1 has nothing to change any more: see e2e/kind/lib/binaries.sh"
}

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Operators of others that make pods, for the operator's tests: JobSet, LeaderWorkerSet and MPIJob. They are built from Go
# modules as the control plane is (binaries.sh), but only when asked for: nothing of the lab needs them. Their definitions
# and webhook configurations come from the same modules.

# operators_table: a line for each: name, module, package, the module's files that an API server needs.
operators_table() {
	cat <<-'T'
		jobset|sigs.k8s.io/jobset|.|config/components/crd/bases/*.yaml config/components/webhook/manifests.yaml
		lws|sigs.k8s.io/lws|./cmd|config/crd/bases/*.yaml config/webhook/manifests.yaml
		mpi-operator|github.com/kubeflow/mpi-operator|./cmd/mpi-operator|manifests/base/kubeflow.org_mpijobs.yaml
	T
}

operators_key() { cache_key "@$LAB_SRC/go/operators" "$(declare -f operators_table operators_build)" "$(uname -m)"; }

operators_dir() { cache_dir operators "$(operators_key)"; }

# operators_up: build them if they are missing, and link them as $LAB/bin/operators.
operators_up() {
	mkdir -p "$LAB/bin" "$LAB_CACHE"
	cache_build operators "$(operators_key)" operators_build
	ln -sfn "$(operators_dir)" "$LAB/bin/operators"
}

operators_build() {
	local out=$1 go name module package files source file
	go=$(binaries_go)
	cd "$LAB_SRC/go/operators" || exit
	# The tests look at it: programs of other versions are not what they are about.
	install -m 644 go.mod "$out/go.mod"
	export GOFLAGS='-mod=readonly -buildvcs=false -gcflags=all=-dwarf=false' GOTOOLCHAIN=auto GOWORK=off CGO_ENABLED=0
	while IFS='|' read -r name module package files; do
		"$go" mod download "$module"
		source=$("$go" list -m -f '{{.Dir}}' "$module")
		nice "$go" build -trimpath -ldflags '-s -w' -o "$out/$name" "$module${package#.}"
		mkdir -p "$out/manifests/$name"
		# shellcheck disable=SC2086
		for file in $(cd "$source" && echo $files); do install -m 644 "$source/$file" "$out/manifests/$name/"; done
	done < <(operators_table)
}

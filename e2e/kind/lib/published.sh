# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Nodes of another image than kind.sh's own, for instance of one that kind publishes (KIND_IMAGE). They have a network of their
# own (kindnet). What they lack for RDMA pods is Multus with the plugins of the fabric network. The chart puts in the rest.
# What these functions redefine is confined to the subshell in which progress_run runs them.

# The fabric network's plugin, and what gives its interfaces addresses.
PUBLISHED_PLUGINS="macvlan static"

# published_require: a VM has no way to an image registry.
published_require() {
	cluster_image_is_own || [ "$(engine)" != vm ] ||
		die "KIND_IMAGE=$KIND_IMAGE needs this machine's own Docker or Podman: the VM reaches no registry"
}

published_create() {
	eval "$(declare -f cluster_config | sed '1s/cluster_config/published_plain_config/')"
	cluster_config() { published_plain_config | sed 's/disableDefaultCNI: true/disableDefaultCNI: false/'; }
	cluster_create
}

published_furnish() {
	cluster_network() { published_network "$@"; }
	cluster_furnish
}

# published_network NODE TOKEN: put Multus in front of the CNI configuration that the node has. kindnet writes it once its pod runs.
published_network() {
	local node=$1 token=$2
	# shellcheck disable=SC2086
	tar -C "$(kind_tree)/usr/lib/cni" -c $PUBLISHED_PLUGINS | engine_exec "$node" 'tar -C /opt/cni/bin -x --skip-old-files'
	engine_exec "$node" 'cat >/opt/cni/bin/multus.new && chmod 0755 /opt/cni/bin/multus.new && mv /opt/cni/bin/multus.new /opt/cni/bin/multus' \
		<"$(kind_multus_dir)/multus"
	cluster_multus_kubeconfig "$token" | engine_exec "$node" 'umask 077 && mkdir -p /etc/sealift-kind && cat >/etc/sealift-kind/multus.kubeconfig'
	# shellcheck disable=SC2016
	engine_exec "$node" "$(declare -f published_multus)"'
		cd /etc/cni/net.d
		for i in $(seq 300); do
			own=$(ls | grep -v "^00-multus" | grep "\.conflist$" | head -n 1)
			[ -z "$own" ] || break
			sleep 1
		done
		[ -n "$own" ] || { echo "node has no CNI configuration after 300 s" >&2; exit 1; }
		published_multus "$own" >00-multus.conf.new && mv 00-multus.conf.new 00-multus.conf' </dev/null
}

# published_multus FILE: Multus' configuration in front of that of a file. It runs on the node, in whichever shell that has.
published_multus() {
	printf '{ "cniVersion": "%s", "name": "multus", "type": "multus", "kubeconfig": "/etc/sealift-kind/multus.kubeconfig", ' \
		"$(sed -n 's/.*"cniVersion": *"\([^"]*\)".*/\1/p' "$1" | head -n 1)"
	printf '"confDir": "/etc/cni/net.d", "logLevel": "error", "logToStderr": true, "delegates": [%s] }\n' "$(cat "$1")"
}

# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The kind cluster: created by kind itself, then furnished with pods' network, Multus and the fabric.

cluster_kubectl() { "$KIND/bin/kubectl" --kubeconfig "$KIND/kubeconfig" "$@"; }

# cluster_address: where Docker publishes the API server.
cluster_address() { if [ "$(engine)" = vm ]; then node_ip 1; else echo 127.0.0.1; fi; }

# cluster_config: kind's configuration. Long timeouts are for emulated CPUs; they cost a fast machine nothing. What the kubelet
# would compute all the time, and no case needs, is off.
cluster_config() {
	local own='' node role
	case $KIND_IMAGE in sealift.local/*) own=1 ;; esac
	cat <<-Y
		kind: Cluster
		apiVersion: kind.x-k8s.io/v1alpha4
		networking:
		  apiServerAddress: '$(cluster_address)'
		  apiServerPort: $KIND_API_PORT
		  disableDefaultCNI: true
		  kubeProxyMode: nftables
		  podSubnet: $KIND_POD_SUBNET
		nodes:
		$(for node in $KIND_NODES; do
			role=worker
			[ "$node" != "$KIND_CONTROL_PLANE" ] || role=control-plane
			cluster_node_config "$node" "$role" "$own"
		done)
		kubeadmConfigPatches:
		  - |
		    kind: ClusterConfiguration
		    ${own:+imageRepository: $KIND_REPOSITORY}
		    encryptionAlgorithm: ECDSA-P256
		    etcd: { local: { extraArgs: [{ name: heartbeat-interval, value: '1000' }, { name: election-timeout, value: '10000' }] } }
		    controllerManager:
		      extraArgs: [{ name: leader-elect, value: 'false' }, { name: node-monitor-grace-period, value: 60s }]
		    scheduler:
		      extraArgs: [{ name: leader-elect, value: 'false' }]
		  - |
		    kind: InitConfiguration
		    ${own:+patches: { directory: /kind/patches \}}
		    timeouts: { controlPlaneComponentHealthCheck: 20m0s, kubeletHealthCheck: 20m0s, kubernetesAPICall: 10m0s, etcdAPICall: 10m0s }
		  - |
		    kind: JoinConfiguration
		    timeouts: { kubeletHealthCheck: 20m0s, kubernetesAPICall: 10m0s, tlsBootstrap: 20m0s, discovery: 20m0s }
		  - |
		    kind: KubeletConfiguration
		    runtimeRequestTimeout: 5m0s
		    volumeStatsAggPeriod: -1s
		    makeIPTablesUtilChains: false
		    localStorageCapacityIsolation: false
		    # The first quota and the last change code of the scheduler. An emulated CPU that runs it meanwhile may crash its kernel.
		    cpuCFSQuota: false
	Y
}

# cluster_node_config NODE ROLE OWN: one node of kind's configuration. The VM has the image store of its own image ready.
cluster_node_config() {
	if [ "$(engine)" = vm ] && [ -n "$3" ]; then
		echo "- { role: $2, extraMounts: [{ hostPath: $MACHINE_STORES/$1, containerPath: /var/lib/containerd }] }"
	else
		echo "- { role: $2 }"
	fi
}

# cluster_create: one control plane, two workers. Does nothing if the cluster is there.
cluster_create() {
	if engine_run docker inspect "$KIND_CONTROL_PLANE" >/dev/null 2>&1 </dev/null; then return 0; fi
	cluster_image
	cluster_config | engine_run sh -c 'cat >/run/sealift-kind.yaml'
	engine_run env KUBECONFIG=/run/sealift-kind.kubeconfig "$(cluster_kind)" create cluster --name "$KIND_CLUSTER" --image "$KIND_IMAGE" \
		--config /run/sealift-kind.yaml --retain -v 1 </dev/null
}

# The VM's disk has kind and the image; this machine's engine gets the image here.
cluster_kind() { if [ "$(engine)" = vm ]; then echo kind; else echo "$KIND/bin/kind"; fi; }
cluster_image() {
	[ "$(engine)" != vm ] && cluster_image_is_own || return 0
	engine_run docker import --change 'ENV container=docker' --change 'STOPSIGNAL SIGRTMIN+3' \
		--change 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' "$(kind_image_dir)/root.tar" "$KIND_IMAGE" >/dev/null
}

cluster_kubeconfig() {
	engine_run cat /run/sealift-kind.kubeconfig </dev/null >"$KIND/kubeconfig.new"
	chmod 0600 "$KIND/kubeconfig.new"
	mv "$KIND/kubeconfig.new" "$KIND/kubeconfig"
}

# cluster_furnish: the pods' network, Multus, and the fabric. Each step may run again.
cluster_furnish() {
	local node token
	# The nodes share CPUs. The API server and etcd go first: what waits for them gives up and asks again.
	engine_run docker update --cpu-shares 2048 "$KIND_CONTROL_PLANE" >/dev/null </dev/null
	cluster_kubeconfig
	cluster_kubectl apply --server-side -f "$LAB_SRC/manifests" -f "$KIND_SRC/manifests" >/dev/null
	engine_run docker network inspect "$KIND_FABRIC" >/dev/null 2>&1 </dev/null ||
		engine_run docker network create --subnet "$KIND_FABRIC_SUBNET" --ip-range "$KIND_FABRIC_RANGE" "$KIND_FABRIC" >/dev/null </dev/null
	# Two of them are for a cluster whose nodes fail one by one.
	cluster_kubectl -n kube-system scale deployment coredns --replicas 1 >/dev/null
	token=$(cluster_kubectl -n kube-system create token multus --duration 8760h)
	for node in $KIND_NODES; do
		case " $KIND_WORKERS " in
		*" $node "*) engine_exec "$node" 'test -e /sys/class/net/eth1' </dev/null || engine_run docker network connect "$KIND_FABRIC" "$node" </dev/null ;;
		esac
		cluster_network "$node" "$token"
	done
	for node in $KIND_NODES; do
		cluster_kubectl wait "node/$node" --for=condition=Ready --timeout=600s >/dev/null
	done
}

# cluster_network NODE TOKEN: CNI configuration and routes of a node. The kubelet sees the configuration by itself.
cluster_network() {
	local node=$1 token=$2 subnet
	subnet=$(cluster_kubectl get node "$node" -o 'jsonpath={.spec.podCIDR}')
	[ -n "$subnet" ] || die "node $node has no pod subnet"
	cluster_multus_kubeconfig "$token" | engine_exec "$node" 'umask 077 && cat >/etc/sealift-kind/multus.kubeconfig'
	cluster_kubectl get nodes -o 'jsonpath={range .items[*]}{.spec.podCIDR}{" "}{.metadata.name}{"\n"}{end}' | grep -v " $node\$" |
		engine_exec "$node" "cat >/etc/sealift-kind/routes && systemctl restart sealift-kind && \
			sed 's#@SUBNET@#$subnet#' /usr/local/lib/sealift-kind/cni.conf.in >/etc/cni/net.d/00-multus.conf.new && \
			mv /etc/cni/net.d/00-multus.conf.new /etc/cni/net.d/00-multus.conf"
}

# Multus runs on the nodes and speaks to the API server as a service account.
cluster_multus_kubeconfig() {
	local ca
	ca=$(cluster_kubectl config view --raw -o 'jsonpath={.clusters[0].cluster.certificate-authority-data}')
	cat <<-K
		apiVersion: v1
		kind: Config
		clusters: [{ name: kind, cluster: { server: 'https://$KIND_CONTROL_PLANE:6443', certificate-authority-data: $ca } }]
		users: [{ name: multus, user: { token: $1 } }]
		contexts: [{ name: kind, context: { cluster: kind, user: multus } }]
		current-context: kind
	K
}

# cluster_load ARCHIVE NODE...: import an image archive on each node, one after another: they share CPUs and disk.
cluster_load() {
	local archive=$1 node
	shift
	[ -r "$archive" ] || die "load: cannot read $archive (make build writes the archives under build/images)"
	# shellcheck disable=SC2086
	[ $# -gt 0 ] || set -- $KIND_WORKERS
	for node; do
		cluster_load_node "$archive" "$node" || die "loading $archive failed on $node"
	done
}

# cluster_load_node ARCHIVE NODE: layers that the node has already are not sent.
cluster_load_node() {
	local archive=$1 node=$2 present
	present=$(engine_exec "$node" 'find /var/lib/containerd/io.containerd.content.v1.content/blobs/sha256 -type f -size +64k -printf "%f\n"' </dev/null)
	local -a exclude=()
	mapfile -t exclude < <(tar -tf "$archive" | grep '^\(\./\)\?blobs/sha256/' | while read -r file; do
		! grep -qx "$(basename "$file")" <<<"$present" || echo "--delete=$file"
	done)
	local work=$KIND/run/load.$$.tar status=0
	if [ ${#exclude[@]} -gt 0 ]; then
		cp "$archive" "$work"
		tar -f "$work" --delete "${exclude[@]#--delete=}"
	else
		ln -sf "$archive" "$work"
	fi
	engine_exec "$node" 'ctr --namespace k8s.io images import --local --snapshotter overlayfs -' <"$work" >/dev/null || status=$?
	rm -f "$work"
	return "$status"
}

# cluster_cable NODE cluster|fabric up|down: the other end of the node's veth, on Docker's bridge.
cluster_cable() {
	local node=$1 port index
	case $2 in cluster) port=eth0 ;; fabric) port=eth1 ;; *) die "link: cluster or fabric, not $2" ;; esac
	case $3 in up | down) ;; *) die "link: up or down, not $3" ;; esac
	index=$(engine_exec "$node" "cat /sys/class/net/$port/iflink" </dev/null)
	# shellcheck disable=SC2016
	engine_run sh -c 'ip link set "$(ip -o link | sed -n "s/^$1: \([^@]*\)@.*/\1/p")" "$2"' link "$index" "$3" </dev/null
}

# cluster_reset NODE: all of the node's processes die at once and its container starts anew.
cluster_reset() {
	engine_run sh -c '"$2" kill -s KILL "$1" >/dev/null; "$2" start "$1" >/dev/null; rm -f "/run/sealift-kind/$1"' \
		reset "$1" "$(engine_program)" </dev/null
}

# cluster_part stop|start NAME: static pods run as long as their manifest is there.
cluster_part() {
	local from=/etc/kubernetes/manifests to=/etc/sealift-kind
	case $1 in
	stop) engine_exec "$KIND_CONTROL_PLANE" "mv $from/$2.yaml $to/ && for i in \$(seq 600); do pgrep -x $2 >/dev/null || exit 0; sleep 0.1; done; exit 1" </dev/null ;;
	start) engine_exec "$KIND_CONTROL_PLANE" "mv $to/$2.yaml $from/" </dev/null ;;
	*) die "part: stop or start, not $1" ;;
	esac
}

# cluster_node_address NODE|api-server: on the cluster's network.
cluster_node_address() {
	local node=$1
	[ "$node" != api-server ] || node=$KIND_CONTROL_PLANE
	cluster_kubectl get node "$node" -o 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}'
	echo
}

# kind makes a network for all of its clusters and leaves it. The file says that this cluster was the first.
CLUSTER_NETWORK_MARK=$KIND/network-is-new
cluster_note_network() { engine_run docker network inspect kind >/dev/null 2>&1 </dev/null || touch "$CLUSTER_NETWORK_MARK"; }

# cluster_is_own: kind-up has made the cluster that runs on this machine's engine. Somebody else's may have the same name.
cluster_is_own() { [ -s "$KIND/engine" ]; }

# cluster_refuse_other: nothing is made, and nothing removed, beside a cluster of that name that kind-up has not made.
cluster_refuse_other() {
	if [ "$(engine)" = vm ] || cluster_is_own; then return; fi
	[ -z "$(engine_run docker ps -aq --filter "label=io.x-k8s.kind.cluster=$KIND_CLUSTER" </dev/null)" ] ||
		die "there is a kind cluster $KIND_CLUSTER that make kind-up has not made. To have it removed: kind delete cluster --name $KIND_CLUSTER. To use it: PROVIDER=none (e2e/README.md)"
}

# cluster_down: remove what kind-up has made on this machine's engine. The VM's ends with the VM.
cluster_down() {
	if ! cluster_is_own || [ "$(engine)" = vm ]; then return; fi
	engine_run env KUBECONFIG=/run/sealift-kind.kubeconfig "$KIND/bin/kind" delete cluster --name "$KIND_CLUSTER" || true
	engine_run docker network rm "$KIND_FABRIC" >/dev/null 2>&1 || true
	[ ! -e "$CLUSTER_NETWORK_MARK" ] || engine_run docker network rm kind >/dev/null 2>&1 || true
	rm -f "$CLUSTER_NETWORK_MARK"
	! cluster_image_is_own || engine_run docker rmi "$KIND_IMAGE" >/dev/null 2>&1 || true
	rm -rf /run/sealift-kind /run/sealift-kind.{yaml,kubeconfig}
}

# cluster_image_is_own: the nodes' image is the one that kind.sh makes.
cluster_image_is_own() { case $KIND_IMAGE in sealift.local/*) ;; *) return 1 ;; esac; }
